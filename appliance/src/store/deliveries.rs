//! Results on their way to others: a queue for each destination, in the order in which results
//! were there.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{OptionalExtension as _, Row, Transaction};
use serde::Serialize;
use serde_json::json;

use super::audit::{self, Entry};
use super::commitments::later;
use super::{Store, StoreError};

/// What was sent so long ago is not asked about.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// Until an object is sent again that an archive took and did not keep.
const LOST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// What of a result is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What was found.
    Report,
    /// The picture of its explanation.
    Picture,
    /// The places of its explanation.
    Segmentation,
}

impl Kind {
    /// All of them, in the order in which they are sent.
    pub const ALL: [Self; 3] = [Self::Report, Self::Picture, Self::Segmentation];

    /// As stored, and as the settings have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Picture => "picture",
            Self::Segmentation => "segmentation",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Where results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// AE title of an archive, or name of a receiver or service.
    pub name: String,
    /// What it wants; a receiver wants the report, as a message or transaction.
    pub kinds: Vec<Kind>,
}

/// A result for an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Row.
    pub id: i64,
    /// Row of the study.
    pub study_id: i64,
    /// Row of the result.
    pub inference_id: i64,
    /// What of it.
    pub kind: Kind,
    /// Refusals so far.
    pub attempts: u32,
    /// The latest refusal, in our words.
    pub last_error: String,
    /// What the destination wrote with it, which may quote the patient.
    pub said: String,
}

/// What a result says, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultToSend {
    /// Study Instance UID.
    pub study_uid: String,
    /// `TriageResult` as JSON.
    pub result: String,
    /// `triage::Assessment` as JSON.
    pub assessment: String,
    /// SHA-256 of the model's manifest.
    pub model_digest: String,
    /// Announced images were missing.
    pub partial: bool,
    /// When it was there, box time in milliseconds.
    pub finished_at: i64,
    /// One image of the study, below the archive's folder.
    pub image: Option<String>,
    /// The middle one of each series: series, SOP class and SOP instance UIDs.
    pub images: Vec<[String; 3]>,
}

/// How it stands with one archive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// Its name.
    pub destination: String,
    /// Objects that wait or are being sent.
    pub waiting: i64,
    /// When the oldest of them was there.
    pub oldest_at: Option<i64>,
    /// Those that it has.
    pub sent: i64,
    /// Those that were given up.
    pub dead: i64,
}

/// A result as the study page and the list of dead letters show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryView {
    /// Row.
    pub id: i64,
    /// Row of the study.
    pub study_id: i64,
    /// Name of the destination.
    pub destination: String,
    /// The word of a [`Kind`].
    pub kind: String,
    /// `waiting`, `sending`, `sent`, `withdrawn` or `dead`.
    pub state: String,
    /// Refusals so far.
    pub attempts: i64,
    /// The latest refusal, in our words.
    pub last_error: String,
    /// What the destination wrote with it, which may quote the patient: of a study only.
    pub said: String,
    /// When it came to this.
    pub at: i64,
    /// When the archive said that it keeps it.
    pub committed_at: Option<i64>,
}

impl Store {
    /// Makes these the destinations of results from now on. What waits for any other, or of a kind
    /// that is no longer wanted, is withdrawn; what was being sent when the power failed waits
    /// again.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn set_destinations(&self, recipients: &[Recipient]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let kinds = |r: &Recipient| r.kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>();
        let all: BTreeMap<&str, _> =
            recipients.iter().map(|r| (r.name.as_str(), kinds(r))).collect();
        let all = json!(all).to_string();
        self.write(|tx| {
            tx.execute(
                "DELETE FROM destination WHERE name NOT IN (SELECT key FROM json_each(?))",
                [&all],
            )?;
            tx.execute(
                "INSERT INTO destination (name, since_at, kinds)
                 SELECT key, ?2, value FROM json_each(?1) WHERE true
                 ON CONFLICT DO UPDATE SET kinds = excluded.kinds",
                (&all, now),
            )?;
            tx.execute(
                "UPDATE delivery SET state = 'withdrawn', at = ?, said = '',
                        last_error = 'no longer in the settings'
                 WHERE state IN ('waiting', 'sending') AND NOT EXISTS
                   (SELECT 1 FROM destination n JOIN json_each(n.kinds) k
                    WHERE n.name = delivery.destination AND k.value = delivery.kind)",
                [now],
            )?;
            tx.execute("UPDATE delivery SET state = 'waiting' WHERE state = 'sending'", [])?;
            Ok(())
        })
    }

    /// The next result for an archive, marked as being sent; `None` when nothing is due. Results
    /// that are no longer shown are withdrawn on the way. A study that images come in for waits.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn begin_delivery(&self, destination: &str) -> Result<Option<Delivery>, StoreError> {
        let now = self.clock.now();
        // A look without a lock, because most looks find nothing.
        let due = self.read(|db| {
            let mut query = db.prepare_cached(&format!("SELECT EXISTS ({DUE})"))?;
            Ok(query.query_row((destination, now), |row| row.get::<_, bool>(0))?)
        })?;
        if !due {
            return Ok(None);
        }
        self.write(|tx| {
            tx.prepare_cached(
                "UPDATE delivery SET state = 'withdrawn', at = ?2, last_error = 'replaced',
                        said = ''
                 WHERE destination = ?1 AND state = 'waiting' AND NOT EXISTS
                   (SELECT 1 FROM study s JOIN inference r ON r.id = s.shown_inference
                                 LEFT JOIN model m ON m.digest = r.model_digest
                    WHERE s.id = delivery.study_id AND r.id = delivery.inference_id
                      AND m.killed_at IS NULL)",
            )?
            .execute((destination, now))?;
            let mut query = tx.prepare_cached(DUE)?;
            let found = query.query_row((destination, now), delivery);
            let Some(delivery) = found.optional()? else { return Ok(None) };
            tx.prepare_cached("UPDATE delivery SET state = 'sending', at = ? WHERE id = ?")?
                .execute((now, delivery.id))?;
            Ok(Some(delivery))
        })
    }

    /// The result of a delivery, with what it is about.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn result_to_send(&self, inference_id: i64) -> Result<ResultToSend, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT s.uid, coalesce(r.result, ''), coalesce(r.assessment, ''), r.model_digest,
                        r.partial, r.finished_at, s.id,
                        (SELECT i.path FROM instance i
                         WHERE i.study_id = s.id AND s.evicted_at IS NULL ORDER BY i.id LIMIT 1)
                 FROM inference r JOIN study s ON s.id = r.study_id WHERE r.id = ?",
            )?;
            let (mut found, study_id) = query.query_row([inference_id], |row| {
                let found = ResultToSend {
                    study_uid: row.get(0)?,
                    result: row.get(1)?,
                    assessment: row.get(2)?,
                    model_digest: row.get(3)?,
                    partial: row.get(4)?,
                    finished_at: row.get(5)?,
                    image: row.get(7)?,
                    images: Vec::new(),
                };
                Ok((found, row.get::<_, i64>(6)?))
            })?;
            let mut query = db.prepare_cached(
                "SELECT uid, sop_class, sop_uid FROM
                   (SELECT e.uid, e.id, i.sop_class, i.sop_uid, count(*) OVER (PARTITION BY e.id)
                             AS images,
                           row_number() OVER (PARTITION BY e.id ORDER BY i.id) AS place
                    FROM series e JOIN instance i ON i.series_id = e.id WHERE e.study_id = ?)
                 WHERE place = images / 2 + 1 ORDER BY id",
            )?;
            let images =
                query.query_map([study_id], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
            found.images = images.collect::<Result<_, _>>()?;
            Ok(found)
        })
    }

    /// The archive has it; `true` when neither an archive nor the hub waits for this object any more.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn delivery_sent(
        &self,
        delivery: &Delivery,
        destination: &str,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        self.write(|tx| {
            tx.prepare_cached(
                "UPDATE delivery SET state = 'sent', last_error = '', said = '', at = ?
                 WHERE id = ?",
            )?
            .execute((now, delivery.id))?;
            let entry = Entry {
                actor: destination,
                action: "result.sent",
                object: &format!("study {}", delivery.study_id),
                detail: &json!({"result": delivery.inference_id}),
            };
            audit::append(tx, self.clock(), &entry)?;
            Ok(!is_wanted(tx, delivery.inference_id, delivery.kind)?)
        })
    }

    /// What an archive took and has not committed to, nor was asked about for so long; of the last
    /// week, because it may have deleted what is older.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn uncommitted(
        &self,
        destination: &str,
        asked: Duration,
    ) -> Result<Vec<Delivery>, StoreError> {
        let now = self.clock.now();
        let before = |age: Duration| now.saturating_sub(later(0, age));
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT id, study_id, inference_id, attempts, kind, last_error, said FROM delivery
                 WHERE destination = ? AND state = 'sent' AND committed_at IS NULL
                   AND coalesce(asked_at, 0) <= ? AND at >= ? ORDER BY id LIMIT 100",
            )?;
            let values = (destination, before(asked), before(WEEK));
            let rows = query.query_map(values, delivery)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The archive is asked about these rows, each with its object's UID.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn commitment_asked(
        &self,
        transaction_uid: &str,
        rows: &[(i64, &str)],
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.write(|tx| {
            let mut update = tx.prepare_cached(
                "UPDATE delivery SET transaction_uid = ?, sop_uid = ?, asked_at = ? WHERE id = ?",
            )?;
            for (id, sop_uid) in rows {
                update.execute((transaction_uid, sop_uid, now, id))?;
            }
            Ok(())
        })
    }

    /// Of what an archive was asked about in a transaction it has committed to the objects with the
    /// UIDs `kept`; those that it `failed` wait again, and on the others it has said nothing.
    /// `false` when it was not asked.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn delivery_committed(
        &self,
        destination: &str,
        transaction_uid: &str,
        kept: &[String],
        failed: &[String],
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let again_at = later(now, LOST_PAUSE);
        let [kept, failed] = [kept, failed].map(|uids| json!(uids).to_string());
        self.write(|tx| {
            let asked = tx
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM delivery WHERE destination = ?1
                       AND transaction_uid = ?2 AND ?2 <> '' AND state = 'sent')",
                )?
                .query_row((destination, transaction_uid), |row| row.get::<_, bool>(0))?;
            if !asked {
                return Ok(false);
            }
            tx.prepare_cached(
                "UPDATE delivery SET state = 'waiting', attempts = attempts + 1, said = '',
                        last_error = 'it took the object and did not keep it', next_at = ?5,
                        at = ?4, transaction_uid = '', asked_at = NULL
                 WHERE destination = ?1 AND transaction_uid = ?2 AND state = 'sent'
                   AND sop_uid IN (SELECT value FROM json_each(?3))",
            )?
            .execute((destination, transaction_uid, failed, now, again_at))?;
            tx.prepare_cached(
                "UPDATE delivery SET committed_at = ?4
                 WHERE destination = ?1 AND transaction_uid = ?2 AND state = 'sent'
                   AND sop_uid IN (SELECT value FROM json_each(?3))",
            )?
            .execute((destination, transaction_uid, kept, now))?;
            Ok(true)
        })
    }

    /// Nothing is known of what is being sent to a destination: the connection broke, or the
    /// database failed before the answer was kept. It waits again, and that is no refusal.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn deliveries_interrupted(&self, destination: &str) -> Result<(), StoreError> {
        // A look without a lock, because it mostly finds nothing.
        let sending = self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM delivery
                                WHERE destination = ? AND state = 'sending')",
            )?;
            Ok(query.query_row([destination], |row| row.get::<_, bool>(0))?)
        })?;
        if !sending {
            return Ok(());
        }
        self.write(|tx| {
            tx.prepare_cached(
                "UPDATE delivery SET state = 'waiting'
                 WHERE destination = ? AND state = 'sending'",
            )?
            .execute([destination])?;
            Ok(())
        })
    }

    /// It was refused, with our words and those that the destination `said`; it is tried again
    /// `after` this long, or given up.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn delivery_refused(
        &self,
        id: i64,
        error: &str,
        said: &str,
        after: Option<Duration>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let state = if after.is_some() { "waiting" } else { "dead" };
        let next_at = later(now, after.unwrap_or_default());
        self.write(|tx| {
            tx.prepare_cached(
                "UPDATE delivery SET state = ?, attempts = attempts + 1, last_error = ?,
                        said = ?, next_at = ?, at = ? WHERE id = ?",
            )?
            .execute((state, error, said, next_at, now, id))?;
            Ok(())
        })
    }

    /// A person sends a result again that was given up; `false` when there is no such result.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn retry_delivery(&self, id: i64, actor: &str) -> Result<bool, StoreError> {
        let now = self.clock.now();
        self.write(|tx| {
            let study: Option<i64> = tx
                .prepare_cached(
                    "UPDATE delivery SET state = 'waiting', attempts = 0, next_at = 0, at = ?
                     WHERE id = ? AND state = 'dead' RETURNING study_id",
                )?
                .query_row((now, id), |row| row.get(0))
                .optional()?;
            let Some(study) = study else { return Ok(false) };
            let entry = Entry {
                actor,
                action: "result.retry",
                object: &format!("study {study}"),
                detail: &json!({"delivery": id}),
            };
            audit::append(tx, self.clock(), &entry)?;
            Ok(true)
        })
    }

    /// How it stands with each archive.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn delivery_queues(&self) -> Result<Vec<Queue>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT n.name,
                   (SELECT count(*) FROM delivery d WHERE d.destination = n.name
                      AND d.state IN ('waiting', 'sending')),
                   (SELECT r.finished_at FROM delivery d JOIN inference r ON r.id = d.inference_id
                      WHERE d.destination = n.name AND d.state IN ('waiting', 'sending')
                      ORDER BY d.inference_id LIMIT 1),
                   coalesce((SELECT objects FROM delivery_sent s WHERE s.destination = n.name), 0),
                   (SELECT count(*) FROM delivery d WHERE d.destination = n.name
                      AND d.state = 'dead')
                 FROM destination n ORDER BY n.name",
            )?;
            let rows = query.query_map([], |row| {
                Ok(Queue {
                    destination: row.get(0)?,
                    waiting: row.get(1)?,
                    oldest_at: row.get(2)?,
                    sent: row.get(3)?,
                    dead: row.get(4)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Results that were given up, newest first, in our words only: whoever looks after the box may
    /// see no patients.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn dead_deliveries(&self, limit: i64) -> Result<Vec<DeliveryView>, StoreError> {
        self.delivery_views("''", "state = 'dead' ORDER BY id DESC LIMIT ?", limit)
    }

    /// Where the results of a study went, oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn study_deliveries(&self, study_id: i64) -> Result<Vec<DeliveryView>, StoreError> {
        self.delivery_views("said", "study_id = ? ORDER BY id", study_id)
    }

    fn delivery_views(
        &self,
        said: &str,
        which: &str,
        value: i64,
    ) -> Result<Vec<DeliveryView>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(&format!(
                "SELECT id, study_id, destination, state, attempts, last_error, at, kind,
                        committed_at, {said}
                 FROM delivery WHERE {which}"
            ))?;
            let rows = query.query_map([value], |row| {
                Ok(DeliveryView {
                    id: row.get(0)?,
                    study_id: row.get(1)?,
                    destination: row.get(2)?,
                    kind: row.get(7)?,
                    state: row.get(3)?,
                    attempts: row.get(4)?,
                    last_error: row.get(5)?,
                    said: row.get(9)?,
                    at: row.get(6)?,
                    committed_at: row.get(8)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// Of the columns that [`DUE`] selects.
fn delivery(row: &Row<'_>) -> Result<Delivery, rusqlite::Error> {
    Ok(Delivery {
        id: row.get(0)?,
        study_id: row.get(1)?,
        inference_id: row.get(2)?,
        kind: Kind::of(&row.get::<_, String>(4)?).unwrap_or(Kind::Report),
        attempts: row.get(3)?,
        last_error: row.get(5)?,
        said: row.get(6)?,
    })
}

/// `?1` destination, `?2` now. Of a study that images come in for a later result is to be expected.
const DUE: &str = "
    SELECT d.id, d.study_id, d.inference_id, d.attempts, d.kind, d.last_error, d.said
    FROM delivery d JOIN study s ON s.id = d.study_id
    WHERE d.destination = ?1 AND d.state = 'waiting' AND d.next_at <= ?2
      AND s.state = 'settled'
    ORDER BY d.inference_id,
             CASE d.kind WHEN 'report' THEN 0 WHEN 'picture' THEN 1 ELSE 2 END LIMIT 1";

/// An archive or the hub still waits for the object of a result, which is sent to both as the same
/// bytes.
pub(in crate::store) fn is_wanted(
    tx: &Transaction<'_>,
    inference_id: i64,
    kind: Kind,
) -> Result<bool, StoreError> {
    let mut query = tx.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM delivery WHERE inference_id = ?1 AND kind = ?2
                          AND state NOT IN ('sent', 'withdrawn')
                          AND study_id = (SELECT study_id FROM inference WHERE id = ?1))
             OR EXISTS (SELECT 1 FROM outbox WHERE inference_id = ?1 AND part = ?2
                          AND kind = 'objects' AND state <> 'acknowledged')",
    )?;
    Ok(query.query_row((inference_id, kind.word()), |row| row.get(0))?)
}

/// Queues the result that a study shows now, if it says anything, and the picture and the places of
/// its explanation, if there are any, for every destination that wants them.
pub(in crate::store) fn queue(tx: &Transaction<'_>, study_id: i64) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO delivery (destination, study_id, inference_id, kind, at)
         SELECT n.name, s.id, r.id, k.value, r.finished_at
         FROM study s JOIN inference r ON r.id = s.shown_inference JOIN destination n
              JOIN json_each(n.kinds) k
         WHERE s.id = ? AND (k.value = 'report' OR EXISTS
                 (SELECT 1 FROM explanation e WHERE e.inference_id = r.id AND e.info IS NOT NULL
                    AND (k.value = 'picture' OR json_array_length(e.info, '$.region') > 0)))
           AND r.outcome = 'analysed' AND r.finished_at >= n.since_at
         ON CONFLICT DO UPDATE SET state = 'waiting', last_error = '', said = ''
           WHERE state = 'withdrawn'",
    )?
    .execute([study_id])?;
    Ok(())
}

#[cfg(test)]
mod tests;
