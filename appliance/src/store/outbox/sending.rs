//! Rows on their way out: what is due, what waits for its blobs, and what the hub answered. The
//! contract is that of [`exchange::courier::Outbox`].

use std::time::Duration;

use exchange::courier::{Blob, Terms};
use exchange::manifest::Manifest;
use exchange::row::{BODY_BYTES, Key, Kind, Priority, Row};
use exchange::wire::{Answered, Outcome, Rejection};
use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, Transaction};

use super::seal;
use crate::store::commitments::later;
use crate::store::deliveries::{Kind as ObjectKind, is_wanted};
use crate::store::events::{self, Level};
use crate::store::{Store, StoreError};

/// What is sent next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// These, which are in flight from now on.
    Rows(Vec<Row>),
    /// A file of the most urgent row.
    Blob(Blob),
    /// Nothing before the most urgent row is sealed.
    Unsealed(Unsealed),
    /// Nothing is due; the next row that waits for its time is due then.
    Nothing(Option<i64>),
}

/// A row that names files, before anybody has looked at them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsealed {
    /// Its number.
    pub seq: i64,
    /// Study Instance UID.
    pub study: String,
    /// What it is to name.
    pub parcel: Parcel,
}

/// What a row names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parcel {
    /// What becomes of a result.
    Object {
        /// Row of the result.
        inference_id: i64,
        /// What of it.
        kind: ObjectKind,
    },
    /// A series as the scanner sent it.
    Series {
        /// Series Instance UID.
        uid: String,
        /// Series Description.
        title: String,
        /// In the order of arrival.
        images: Vec<ImageFile>,
    },
}

/// An image of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// SOP Class UID.
    pub sop_class: String,
    /// SOP Instance UID.
    pub sop_instance: String,
    /// File below the archive's folder.
    pub path: String,
}

/// What a row names, looked at: the paths are those of the manifest's objects, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The body.
    pub manifest: Manifest,
    /// Below the folder of results or of the archive.
    pub paths: Vec<String>,
}

/// `?1` now, `?2` priority. A row waits for the earlier ones of its study that are as urgent or
/// more; what became of a study waits for nothing else. Later flags pass one that is dead.
pub(super) const DUE: &str = "
    SELECT o.seq, o.epoch, o.kind, o.study, o.created_at, o.sha256, o.body
    FROM outbox o
    WHERE o.state IN ('pending', 'in_flight', 'retry') AND o.priority = ?2
      AND o.state <> 'in_flight' AND o.next_at <= ?1
      AND NOT EXISTS (SELECT 1 FROM outbox e
            WHERE e.study_id = o.study_id AND e.state <> 'acknowledged' AND e.seq < o.seq
              AND e.priority <= o.priority AND (e.priority < 3) = (o.priority < 3)
              AND NOT (o.kind = 'flag' AND e.state = 'dead'))
    ORDER BY o.seq";

impl Store {
    /// What is sent next; rows are marked as being in flight.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn outbox_due(&self, terms: &Terms) -> Result<Due, StoreError> {
        let now = self.clock.now();
        // A look without a lock, because most looks find nothing.
        let due = self.read(|db| due(db, terms, now))?;
        let Due::Rows(rows) = &due else { return Ok(due) };
        self.write(|tx| {
            let mut mark =
                tx.prepare_cached("UPDATE outbox SET state = 'in_flight', at = ? WHERE seq = ?")?;
            for row in rows {
                mark.execute((now, row.key.seq))?;
            }
            Ok(())
        })?;
        Ok(due)
    }

    /// Seals a row that names files, and keeps where they are. Nothing happens when it was
    /// withdrawn meanwhile.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn seal_row(&self, seq: i64, listed: &Listed) -> Result<(), StoreError> {
        let Listed { manifest, paths } = listed;
        let stored = |source| StoreError::Stored { what: "manifest", source };
        let body = serde_json::to_string(manifest).map_err(stored)?;
        if body.len() > BODY_BYTES {
            let objects = manifest.objects.len();
            return self.row_failed(seq, &format!("{objects} images are too many for a row"), None);
        }
        self.write(|tx| {
            let found: Option<(String, String, i64)> = tx
                .prepare_cached(
                    "SELECT kind, study, created_at FROM outbox WHERE seq = ? AND sha256 = ''",
                )?
                .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()?;
            let Some((kind, study, created_at)) = found else { return Ok(()) };
            seal(tx, seq, kind_of(&kind), &study, created_at, body)?;
            let images = i64::try_from(paths.len()).unwrap_or(i64::MAX);
            tx.prepare_cached("UPDATE outbox SET images = ? WHERE seq = ? AND kind = 'series'")?
                .execute((images, seq))?;
            let mut insert = tx.prepare_cached(
                "INSERT INTO outbox_blob (seq, number, sha256, bytes, path)
                 VALUES (?, ?, ?, ?, ?)",
            )?;
            for (number, (object, path)) in (0_i64..).zip(manifest.objects.iter().zip(paths)) {
                let bytes = object.bytes.cast_signed();
                insert.execute((seq, number, &object.sha256, bytes, path))?;
            }
            Ok(())
        })
    }

    /// Where the file of a blob is: `true` for the folder of results, else the archive's. `None`
    /// when no row names it any more.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn blob_path(&self, blob: &Blob) -> Result<Option<(bool, String)>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT o.kind = 'objects', b.path FROM outbox_blob b JOIN outbox o USING (seq)
                 WHERE b.seq = ? AND b.sha256 = ? LIMIT 1",
            )?;
            let found =
                query.query_row((blob.seq, &blob.sha256), |row| Ok((row.get(0)?, row.get(1)?)));
            Ok(found.optional()?)
        })
    }

    /// The hub keeps a blob there, or no longer.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn blob_placed(&self, blob: &Blob, place: Option<&str>) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.prepare_cached("UPDATE outbox_blob SET place = ? WHERE seq = ? AND sha256 = ?")?
                .execute((place, blob.seq, &blob.sha256))?;
            Ok(())
        })
    }

    /// The hub has all of a blob.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn blob_arrived(&self, blob: &Blob) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.prepare_cached("UPDATE outbox_blob SET arrived = 1 WHERE seq = ? AND sha256 = ?")?
                .execute((blob.seq, &blob.sha256))?;
            Ok(())
        })
    }

    /// What the hub answered for rows; rows that it did not take now wait for `pause`. Returns the
    /// objects of results that nobody waits for any more.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn settle_rows(
        &self,
        answers: &[Answered],
        pause: Duration,
    ) -> Result<Vec<(i64, ObjectKind)>, StoreError> {
        let now = self.clock.now();
        self.write(|tx| {
            let mut done = Vec::new();
            for Answered { key, outcome } in answers {
                match outcome {
                    Outcome::Stored | Outcome::Duplicate => {
                        done.extend(acknowledge(tx, key, now)?);
                    }
                    Outcome::Rejected { code, reason } => {
                        if is_ours(tx, key)? {
                            fail(tx, now, key.seq, (rejected(*code), reason.as_str()), None)?;
                        }
                    }
                    Outcome::Later { reason } => {
                        if is_ours(tx, key)? {
                            let error = "the hub did not take it yet";
                            fail(tx, now, key.seq, (error, reason.as_str()), Some(pause))?;
                        }
                    }
                }
            }
            Ok(done)
        })
    }

    /// Nobody knows what became of the rows in flight: they wait again.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn rows_interrupted(&self) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.prepare_cached(
                "UPDATE outbox SET state = 'pending'
                 WHERE state IN ('pending', 'in_flight', 'retry') AND state = 'in_flight'",
            )?
            .execute([])?;
            Ok(())
        })
    }

    /// A row failed, in our words: it is tried again after `pause`, or, without one, given up.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn row_failed(
        &self,
        seq: i64,
        why: &str,
        pause: Option<Duration>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.write(|tx| fail(tx, now, seq, (why, ""), pause))
    }
}

fn due(db: &Connection, terms: &Terms, now: i64) -> Result<Due, StoreError> {
    let order = order(terms);
    let (mut rows, mut bytes) = (Vec::new(), 0);
    let mut query = db.prepare_cached(DUE)?;
    'priorities: for priority in &order {
        let mut candidates = query.query((now, u8::from(*priority)))?;
        while let Some(found) = candidates.next()? {
            let row = row(found)?;
            // Behind a row that has to wait for its files others of its kind mostly do too.
            if row.sha256.is_empty() {
                if rows.is_empty() {
                    return Ok(Due::Unsealed(unsealed(db, row)?));
                }
                continue 'priorities;
            }
            if let Some(blob) = missing(db, row.key.seq)? {
                if rows.is_empty() {
                    return Ok(Due::Blob(blob));
                }
                continue 'priorities;
            }
            bytes += row.body.len();
            if rows.len() == terms.rows || !rows.is_empty() && bytes > terms.bytes {
                break 'priorities;
            }
            rows.push(row);
        }
    }
    if !rows.is_empty() {
        return Ok(Due::Rows(rows));
    }
    let numbers: Vec<u8> = order.into_iter().map(u8::from).collect();
    let next = db
        .prepare_cached(
            "SELECT min(next_at) FROM outbox
             WHERE state IN ('pending', 'in_flight', 'retry') AND next_at > ?
               AND priority IN (SELECT value FROM json_each(?))",
        )?
        .query_row((now, serde_json::json!(numbers).to_string()), |row| row.get(0))?;
    Ok(Due::Nothing(next))
}

/// Flags come first whatever is said of telemetry: they are few and small.
fn order(terms: &Terms) -> Vec<Priority> {
    let mut order = Priority::ALL;
    if terms.telemetry_first {
        order = [Priority::Flag, Priority::Telemetry, Priority::Result, Priority::Images];
    }
    let allowed = |priority: &Priority| match priority {
        Priority::Telemetry => terms.lowest >= Priority::Result,
        other => *other <= terms.lowest,
    };
    order.into_iter().filter(allowed).collect()
}

/// Of the columns that [`DUE`] selects.
pub(super) fn row(row: &SqlRow<'_>) -> Result<Row, rusqlite::Error> {
    Ok(Row {
        key: Key { epoch: row.get(1)?, seq: row.get(0)? },
        kind: kind_of(&row.get::<_, String>(2)?),
        study: row.get(3)?,
        created_ms: row.get(4)?,
        sha256: row.get(5)?,
        body: row.get(6)?,
    })
}

/// The schema has no other words.
fn kind_of(word: &str) -> Kind {
    Kind::of(word).unwrap_or(Kind::Outcome)
}

/// The first file of a row that the hub does not have.
fn missing(db: &Connection, seq: i64) -> Result<Option<Blob>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT sha256, bytes, place FROM outbox_blob WHERE seq = ? AND NOT arrived
         ORDER BY number LIMIT 1",
    )?;
    let blob = query.query_row([seq], |row| {
        Ok(Blob {
            seq,
            sha256: row.get(0)?,
            bytes: row.get::<_, i64>(1)?.cast_unsigned(),
            place: row.get(2)?,
        })
    });
    Ok(blob.optional()?)
}

pub(super) fn unsealed(db: &Connection, row: Row) -> Result<Unsealed, StoreError> {
    let seq = row.key.seq;
    let (study_id, inference_id, part): (i64, Option<i64>, String) = db
        .prepare_cached("SELECT study_id, inference_id, part FROM outbox WHERE seq = ?")?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let parcel = match inference_id {
        Some(inference_id) => {
            let kind = ObjectKind::of(&part).unwrap_or(ObjectKind::Report);
            Parcel::Object { inference_id, kind }
        }
        None => series(db, study_id, part)?,
    };
    Ok(Unsealed { seq, study: row.study, parcel })
}

fn series(db: &Connection, study_id: i64, uid: String) -> Result<Parcel, StoreError> {
    let title: Option<String> = db
        .prepare_cached("SELECT description FROM series WHERE study_id = ? AND uid = ?")?
        .query_row((study_id, &uid), |row| row.get(0))
        .optional()?;
    let mut query = db.prepare_cached(
        "SELECT i.sop_class, i.sop_uid, i.path
         FROM instance i JOIN series e ON e.id = i.series_id
         WHERE e.study_id = ? AND e.uid = ? ORDER BY i.id",
    )?;
    let images = query.query_map((study_id, &uid), |row| {
        Ok(ImageFile { sop_class: row.get(0)?, sop_instance: row.get(1)?, path: row.get(2)? })
    })?;
    let images = images.collect::<Result<_, _>>()?;
    Ok(Parcel::Series { uid, title: title.unwrap_or_default(), images })
}

/// An answer speaks of a row that waits here; late answers change nothing.
fn is_ours(tx: &Transaction<'_>, key: &Key) -> Result<bool, StoreError> {
    let mut query = tx.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE seq = ? AND epoch = ?
                        AND state NOT IN ('acknowledged', 'dead'))",
    )?;
    Ok(query.query_row((key.seq, &key.epoch), |row| row.get(0))?)
}

/// The hub has the row. Returns its object when nobody waits for that any more.
fn acknowledge(
    tx: &Transaction<'_>,
    key: &Key,
    now: i64,
) -> Result<Option<(i64, ObjectKind)>, StoreError> {
    let found: Option<(String, Option<i64>, String)> = tx
        .prepare_cached(
            "UPDATE outbox SET state = 'acknowledged', at = ?, last_error = '', said = '',
                    body = CASE WHEN kind IN ('objects', 'series') THEN '' ELSE body END
             WHERE seq = ? AND epoch = ? AND sha256 <> '' AND state <> 'acknowledged'
             RETURNING kind, inference_id, part",
        )?
        .query_row((now, key.seq, &key.epoch), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((kind, inference_id, part)) = found else { return Ok(None) };
    tx.prepare_cached("DELETE FROM outbox_blob WHERE seq = ?")?.execute([key.seq])?;
    match (kind.as_str(), inference_id, ObjectKind::of(&part)) {
        ("objects", Some(id), Some(kind)) if !is_wanted(tx, id, kind)? => Ok(Some((id, kind))),
        _ => Ok(None),
    }
}

/// Why a hub rejected a row, in our words, with what to do.
fn rejected(code: Rejection) -> &'static str {
    match code {
        Rejection::Fork => {
            "the hub has another row with this number: two boxes use one identity, or a disk was \
             copied; enrol this box again"
        }
        Rejection::Damaged => "the row is damaged: its content is not what its digest says",
        Rejection::Body => "the hub cannot read it; its program may be older than this one",
        Rejection::Blob => "the hub lacks a file that it names; send it again",
    }
}

/// `error` is in our words, with what the hub said.
fn fail(
    tx: &Transaction<'_>,
    now: i64,
    seq: i64,
    (error, said): (&str, &str),
    pause: Option<Duration>,
) -> Result<(), StoreError> {
    let state = if pause.is_some() { "retry" } else { "dead" };
    let next_at = pause.map_or(0, |pause| later(now, pause));
    let study: Option<Option<i64>> = tx
        .prepare_cached(
            "UPDATE outbox SET state = ?, attempts = attempts + 1, last_error = ?, said = ?,
                    next_at = ?, at = ? WHERE seq = ? AND state <> 'acknowledged'
             RETURNING study_id",
        )?
        .query_row((state, error, said, next_at, now, seq), |row| row.get(0))
        .optional()?;
    let (Some(study), None) = (study, pause) else { return Ok(()) };
    let about = study.map_or_else(String::new, |study| format!(" of study {study}"));
    let text = format!(
        "row {seq}{about} did not get to the hub and is given up; see page System: {error}"
    );
    events::insert(tx, now, Level::Error, "hub", &text)
}
