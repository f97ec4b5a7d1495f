//! What goes to the hub of a referral hospital: numbered rows that wait until the hub has them.
//!
//! Whatever changes what a study shows calls `queue` in its own transaction, so that no power cut
//! parts a result or a decision from what the hospital is to hear of it. A flag (P0) says all that
//! is known of a referral; the objects of its result (P1) and, where wanted, the study's series
//! (P2) follow; what became of each study goes without its patient (P3). Without a hub in the
//! settings nothing is written. How rows are taken out is in `sending`.

mod commands;
mod flag;
mod outcome;
mod pseudonym;
mod sending;
mod stick;
mod study;
mod telemetry;
#[cfg(test)]
mod tests;
mod views;

use std::collections::BTreeSet;

use exchange::row::{Key, Kind, Row};
use rusqlite::{Connection, OptionalExtension as _, Transaction};

use super::events::{self, Level};
use super::properties::epoch;
use super::{Store, StoreError};
use study::StudyNow;

pub(crate) use flag::{finding, referral};
pub(in crate::store) use outcome::age_band;
pub use sending::{Due, ImageFile, Listed, Parcel, Unsealed};
pub use stick::Waiting;
pub(in crate::store) use study::{age_years, sex};
pub(in crate::store) use views::at_hub;
pub use views::{AnswerView, AtHub, FlagState, OutboxCounts, OutboxView};

/// What of a patient leaves the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// All that a flag has room for: the hub belongs to the same covered entity.
    Full,
    /// A pseudonym, sex and age. DICOM objects carry the patient's name, so none are sent: the
    /// hospital gets flags and outcomes only.
    Pseudonym,
}

impl Identity {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Full, Self::Pseudonym];

    /// As stored, and as the settings have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Pseudonym => "pseudonym",
        }
    }

    /// The profile of this name.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|identity| identity.word() == word)
    }
}

/// Of which studies the images are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesSent {
    /// Of none.
    None,
    /// Of those that are referred.
    Referred,
}

impl SeriesSent {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::None, Self::Referred];

    /// As stored, and as the settings have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Referred => "referred",
        }
    }

    /// The choice of this name.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|series| series.word() == word)
    }
}

/// What a hub is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubProfile {
    /// What of a patient.
    pub identity: Identity,
    /// Which images.
    pub series: SeriesSent,
}

/// A [`HubProfile`] in force.
struct Profile {
    pseudonym: bool,
    series: bool,
    salt: String,
    /// Results from before are not sent.
    since_at: i64,
}

/// The latest flag of a study.
struct Sent {
    study: String,
    body: String,
    inference_id: i64,
}

impl Store {
    /// Rows for a hub are written from now on, or no longer. What was being sent when the power
    /// failed waits again. Under another [`Identity`] than before, what waits is withdrawn and
    /// flags are written anew.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn set_hub(&self, hub: Option<&HubProfile>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let salt = [(); 2].map(|()| uuid::Uuid::new_v4().simple().to_string()).concat();
        self.write(|tx| {
            tx.execute("UPDATE outbox SET state = 'pending' WHERE state = 'in_flight'", [])?;
            // Whoever starts the box may have changed what held the offer up.
            tx.execute("UPDATE model_offer SET next_at = 0", [])?;
            let Some(HubProfile { identity, series }) = hub else {
                tx.execute("UPDATE hub_profile SET active = 0", [])?;
                return Ok(());
            };
            let before = tx
                .query_row("SELECT identity FROM hub_profile", [], |row| row.get::<_, String>(0))
                .optional()?;
            tx.execute(
                "INSERT INTO hub_profile (id, active, identity, series, salt, since_at)
                 VALUES (1, 1, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET active = 1,
                   since_at = CASE WHEN active THEN since_at ELSE excluded.since_at END,
                   identity = excluded.identity, series = excluded.series",
                (identity.word(), series.word(), salt, now),
            )?;
            if *series == SeriesSent::None {
                tx.execute("DELETE FROM outbox WHERE kind = 'series' AND sha256 = ''", [])?;
            }
            if before.is_some_and(|before| before != identity.word()) {
                write_anew(tx, now)?;
            }
            Ok(())
        })
    }
}

/// Withdraws what waits under another profile, and queues its studies again.
fn write_anew(tx: &Transaction<'_>, now: i64) -> Result<(), StoreError> {
    let studies: Vec<i64> = tx
        .prepare(
            "DELETE FROM outbox WHERE state <> 'acknowledged'
               AND kind IN ('flag', 'objects', 'series') RETURNING study_id",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let studies: BTreeSet<i64> = studies.into_iter().collect();
    studies.into_iter().try_for_each(|study| queue(tx, study, now))
}

/// Queues what a study says now, as far as the hub has not been told: its flag, objects and series,
/// and what became of it.
pub(in crate::store) fn queue(
    tx: &Transaction<'_>,
    study_id: i64,
    now: i64,
) -> Result<(), StoreError> {
    let Some(profile) = profile(tx)? else { return Ok(()) };
    let study = StudyNow::read(tx, study_id)?;
    queue_referral(tx, &profile, &study, now)?;
    let Some(body) = outcome::of(tx, &profile, &study)? else { return Ok(()) };
    let known: Option<String> = tx
        .prepare_cached(
            "SELECT body FROM outbox WHERE study_id = ? AND kind = 'outcome'
             ORDER BY seq DESC LIMIT 1",
        )?
        .query_row([study_id], |row| row.get(0))
        .optional()?;
    if known.as_ref() == Some(&body) {
        return Ok(());
    }
    insert(tx, Kind::Outcome, Of { study_id: Some(study_id), ..Of::default() }, body, now)?;
    Ok(())
}

fn queue_referral(
    tx: &Transaction<'_>,
    profile: &Profile,
    study: &StudyNow,
    now: i64,
) -> Result<(), StoreError> {
    let name = profile.study_name(&study.uid);
    // Under another name the hub knows nothing of it.
    let sent = sent(tx, study.id)?.filter(|sent| sent.study == name);
    // An analysis that failed takes no referral back; that its model was killed does.
    let basis = match study.analysed() {
        Some(result) => Some(result),
        None => match &sent {
            Some(sent) => study::result(tx, sent.inference_id)?,
            None => None,
        },
    };
    let new = basis.as_ref().is_some_and(|basis| basis.finished_at >= profile.since_at);
    if sent.is_none() && !new {
        return Ok(());
    }
    let flag = flag::of(study, basis.as_ref(), profile);
    let asked = flag.asked;
    if !asked {
        withdraw(tx, study.id, None)?;
    }
    if sent.is_none() && !asked {
        return Ok(());
    }
    let body = match flag.to_body() {
        Ok(body) => body,
        // The result is more than its flag: it stays, and somebody is told.
        Err(error) => {
            let text = format!("the referral of study {} cannot be sent: {error}", study.id);
            return events::insert(tx, now, Level::Error, "hub", &text);
        }
    };
    let inference_id = match (&basis, &sent) {
        (Some(basis), _) => Some(basis.id),
        (None, Some(sent)) => Some(sent.inference_id),
        (None, None) => None,
    };
    if !sent.is_some_and(|sent| flag::says_the_same(&sent.body, &body)) {
        let of = Of { study_id: Some(study.id), study: &name, inference_id };
        insert(tx, Kind::Flag, of, body, now)?;
    }
    if let Some(result) = basis.filter(|_| asked && !profile.pseudonym) {
        withdraw(tx, study.id, Some(result.id))?;
        queue_objects(tx, result.id, now)?;
        if profile.series {
            queue_series(tx, study, now)?;
        }
    }
    Ok(())
}

/// Takes back what was never sealed: objects of results that are replaced, or all.
fn withdraw(tx: &Transaction<'_>, study_id: i64, keep: Option<i64>) -> Result<(), StoreError> {
    tx.prepare_cached(
        "DELETE FROM outbox WHERE study_id = ?1 AND sha256 = '' AND state <> 'acknowledged'
           AND (?2 IS NULL OR kind = 'objects' AND inference_id <> ?2)",
    )?
    .execute((study_id, keep))?;
    Ok(())
}

/// The report of a result, and the picture and the places of its explanation, if there are any.
fn queue_objects(tx: &Transaction<'_>, inference_id: i64, now: i64) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO outbox (kind, priority, study_id, study, inference_id, part, created_at, at)
         SELECT 'objects', 1, s.id, s.uid, r.id, k.value, ?2, ?2
         FROM inference r JOIN study s ON s.id = r.study_id
              JOIN json_each('[\"report\", \"picture\", \"segmentation\"]') k
         WHERE r.id = ?1 AND (k.value = 'report' OR EXISTS
                 (SELECT 1 FROM explanation e WHERE e.inference_id = r.id AND e.info IS NOT NULL
                    AND (k.value = 'picture' OR json_array_length(e.info, '$.region') > 0)))
         ORDER BY k.key
         ON CONFLICT DO NOTHING",
    )?
    .execute((inference_id, now))?;
    Ok(())
}

/// The series of a study of which no row knows all images.
fn queue_series(tx: &Transaction<'_>, study: &StudyNow, now: i64) -> Result<(), StoreError> {
    tx.prepare_cached(
        "WITH here AS (
           SELECT e.id, e.uid, (SELECT count(*) FROM instance i WHERE i.series_id = e.id) AS images
           FROM series e WHERE e.study_id = ?1)
         INSERT INTO outbox (kind, priority, study_id, study, part, images, created_at, at)
         SELECT 'series', 2, ?1, ?2, here.uid, here.images, ?3, ?3 FROM here
         WHERE NOT EXISTS (SELECT 1 FROM outbox o WHERE o.study_id = ?1 AND o.kind = 'series'
                           AND o.part = here.uid
                           AND (o.sha256 = '' OR o.images >= here.images))
         ORDER BY here.id",
    )?
    .execute((study.id, &study.uid, now))?;
    Ok(())
}

/// What a row is about.
#[derive(Clone, Copy, Default)]
struct Of<'a> {
    study_id: Option<i64>,
    /// As sent.
    study: &'a str,
    inference_id: Option<i64>,
}

/// Writes a row whose content is known.
fn insert(
    tx: &Transaction<'_>,
    kind: Kind,
    of: Of<'_>,
    body: String,
    now: i64,
) -> Result<i64, StoreError> {
    tx.prepare_cached(
        "INSERT INTO outbox (kind, priority, study_id, study, inference_id, created_at, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
    )?
    .execute((
        kind.word(),
        u8::from(kind.priority()),
        of.study_id,
        of.study,
        of.inference_id,
        now,
    ))?;
    let seq = tx.last_insert_rowid();
    seal(tx, seq, kind, of.study, now, body)?;
    Ok(seq)
}

/// From here on the row is the same whenever it is sent.
fn seal(
    tx: &Transaction<'_>,
    seq: i64,
    kind: Kind,
    study: &str,
    created_ms: i64,
    body: String,
) -> Result<(), StoreError> {
    let key = Key { epoch: epoch(tx)?, seq };
    let row = Row::seal(key, kind, study.to_owned(), created_ms, body);
    tx.prepare_cached("UPDATE outbox SET epoch = ?, body = ?, sha256 = ? WHERE seq = ?")?
        .execute((&row.key.epoch, &row.body, &row.sha256, seq))?;
    Ok(())
}

/// `None` without a hub.
fn profile(db: &Connection) -> Result<Option<Profile>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT identity = 'pseudonym', series = 'referred', salt, since_at FROM hub_profile
         WHERE active",
    )?;
    let profile = query.query_row([], |row| {
        Ok(Profile {
            pseudonym: row.get(0)?,
            series: row.get(1)?,
            salt: row.get(2)?,
            since_at: row.get(3)?,
        })
    });
    Ok(profile.optional()?)
}

fn sent(db: &Connection, study_id: i64) -> Result<Option<Sent>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT study, body, inference_id FROM outbox WHERE study_id = ? AND kind = 'flag'
         ORDER BY seq DESC LIMIT 1",
    )?;
    let sent = query.query_row([study_id], |row| {
        Ok(Sent { study: row.get(0)?, body: row.get(1)?, inference_id: row.get(2)? })
    });
    Ok(sent.optional()?)
}
