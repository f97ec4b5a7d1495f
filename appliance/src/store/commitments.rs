//! Storage commitments: what a scanner asked about before it deletes its images (PS3.4 J).

use std::time::Duration;

use rusqlite::OptionalExtension as _;

use super::{Store, StoreError};

/// Commitments reported in one go.
const BATCH: usize = 100;

/// A request that was not reported on yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// Row.
    pub id: i64,
    /// Transaction UID (0008,1195), chosen by the requester.
    pub transaction_uid: String,
    /// AE title of the requester.
    pub requester: String,
    /// AE title of ours that it called.
    pub called: String,
    /// SOP class and SOP instance UIDs asked about.
    pub instances: Vec<(String, String)>,
    /// When it was asked, box time in milliseconds.
    pub at: i64,
    /// Reports tried so far.
    pub attempts: u32,
}

/// Whether an instance is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// In the index, its file durable.
    Yes,
    /// Not in the index, or its images were deleted.
    No,
    /// In the index under another SOP class.
    OtherClass,
}

impl Store {
    /// Notes a request, due `after` this long; on return it is on the disk. A transaction that
    /// the requester repeats is reported on again.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn request_commitment(
        &self,
        transaction_uid: &str,
        (requester, peer, called): (&str, &str, &str),
        instances: &[(String, String)],
        after: Duration,
    ) -> Result<i64, StoreError> {
        let request = serde_json::to_string(instances)
            .map_err(|source| StoreError::Stored { what: "commitment request", source })?;
        let now = self.clock.now();
        self.write(|tx| {
            let mut upsert = tx.prepare_cached(
                "INSERT INTO commitment
                     (transaction_uid, requester, peer, called, request, at, next_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (requester, transaction_uid) DO UPDATE SET
                     peer = ?3, called = ?4, request = ?5, at = ?6, next_at = ?7,
                     state = 'pending', attempts = 0, last_error = ''
                 RETURNING id",
            )?;
            let values =
                (transaction_uid, requester, peer, called, request, now, later(now, after));
            Ok(upsert.query_row(values, |row| row.get(0))?)
        })
    }

    /// A request; none when it was reported on, or given up.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn pending_commitment(&self, id: i64) -> Result<Option<Commitment>, StoreError> {
        let found = self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT transaction_uid, requester, called, request, at, attempts
                 FROM commitment WHERE id = ? AND state = 'pending'",
            )?;
            let row = query.query_row([id], |row| {
                let request: String = row.get(3)?;
                let commitment = Commitment {
                    id,
                    transaction_uid: row.get(0)?,
                    requester: row.get(1)?,
                    called: row.get(2)?,
                    instances: Vec::new(),
                    at: row.get(4)?,
                    attempts: row.get(5)?,
                };
                Ok((commitment, request))
            });
            Ok(row.optional()?)
        })?;
        let Some((mut commitment, request)) = found else { return Ok(None) };
        commitment.instances = serde_json::from_str(&request)
            .map_err(|source| StoreError::Stored { what: "commitment request", source })?;
        Ok(Some(commitment))
    }

    /// Requests to report on now, the longest due first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn commitments_due(&self) -> Result<Vec<i64>, StoreError> {
        let now = self.clock.now();
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT id FROM commitment WHERE state = 'pending' AND next_at <= ?
                 ORDER BY next_at, id LIMIT ?",
            )?;
            let rows = query.query_map((now, BATCH.cast_signed()), |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Which of these instances, given by SOP class and SOP instance UID, are kept.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn held(&self, instances: &[(String, String)]) -> Result<Vec<Held>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT sop_class FROM instance JOIN study ON study.id = instance.study_id
                 WHERE sop_uid = ? AND evicted_at IS NULL",
            )?;
            let mut held = |(class, instance): &(String, String)| {
                let kept: Option<String> =
                    query.query_row([instance], |row| row.get(0)).optional()?;
                Ok(match kept {
                    None => Held::No,
                    Some(kept) if kept == *class => Held::Yes,
                    Some(_) => Held::OtherClass,
                })
            };
            instances.iter().map(&mut held).collect()
        })
    }

    /// Makes a pending request due at once.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn commitment_due_now(&self, id: i64) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.write(|tx| {
            tx.prepare_cached("UPDATE commitment SET next_at = min(next_at, ?) WHERE id = ?")?
                .execute((now, id))?;
            Ok(())
        })
    }

    /// The requester has the report.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn commitment_sent(&self, id: i64) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.prepare_cached(
                "UPDATE commitment SET state = 'sent', attempts = attempts + 1, last_error = ''
                 WHERE id = ?",
            )?
            .execute([id])?;
            Ok(())
        })
    }

    /// A report could not be delivered; it is tried again `after` this long, or given up.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn commitment_failed(
        &self,
        id: i64,
        error: &str,
        after: Option<Duration>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let state = if after.is_some() { "pending" } else { "dead" };
        self.write(|tx| {
            tx.prepare_cached(
                "UPDATE commitment
                 SET state = ?, attempts = attempts + 1, last_error = ?, next_at = ?
                 WHERE id = ?",
            )?
            .execute((state, error, later(now, after.unwrap_or_default()), id))?;
            Ok(())
        })
    }
}

/// Box time so much later.
pub(in crate::store) fn later(now: i64, by: Duration) -> i64 {
    now.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;
    use crate::store::instances::{Arrival, StudyFacts};

    #[test]
    fn from_request_to_report() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_000));
        let store = Store::open(&folder.path().join("store.db"), clock.clone()).unwrap();
        let asked = vec![("1.1".to_owned(), "1.2.3".to_owned())];
        let who = ("SCANNER1", "192.0.2.7", "PRIMA");
        let wait = Duration::from_secs(30);
        let id = store.request_commitment("1.9", who, &asked, wait).unwrap();
        let due = |expected: &[i64]| assert_eq!(store.commitments_due().unwrap(), expected);
        due(&[]);
        store.commitment_due_now(id).unwrap();
        due(&[id]);
        let pending = store.pending_commitment(id).unwrap().unwrap();
        assert_eq!((pending.instances, pending.at, pending.attempts), (asked.clone(), 1_000, 0));

        store.commitment_failed(id, "no answer", Some(wait)).unwrap();
        due(&[]);
        clock.advance(wait);
        due(&[id]);
        assert_eq!(store.pending_commitment(id).unwrap().unwrap().attempts, 1);
        store.commitment_sent(id).unwrap();
        due(&[]);
        assert_eq!(store.pending_commitment(id).unwrap(), None);

        // The same transaction again is the same row, due again; another requester's is not.
        let now = Duration::ZERO;
        assert_eq!(store.request_commitment("1.9", who, &asked, now).unwrap(), id);
        due(&[id]);
        let other = store.request_commitment("1.9", ("B", "", ""), &asked, now).unwrap();
        assert_ne!(other, id);
        store.commitment_failed(id, "no answer", None).unwrap();
        due(&[other]);
    }

    #[test]
    fn what_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = Store::open(&path, Arc::new(ManualClock::new(1))).unwrap();
        for (study, instance) in [("1.5", "1.2.3"), ("1.6", "1.2.4")] {
            let arrival = Arrival {
                study: StudyFacts { uid: study.to_owned(), ..StudyFacts::default() },
                sop_uid: instance.to_owned(),
                sop_class: "1.1".to_owned(),
                ..Arrival::default()
            };
            store.index(arrival).unwrap();
        }
        store
            .write(|tx| Ok(tx.execute("UPDATE study SET evicted_at = 2 WHERE uid = '1.6'", [])?))
            .unwrap();
        let check = |class: &str, instance: &str, expected: Held| {
            let held = store.held(&[(class.to_owned(), instance.to_owned())]).unwrap();
            assert_eq!(held, [expected]);
        };
        check("1.1", "1.2.3", Held::Yes);
        check("1.9", "1.2.3", Held::OtherClass);
        check("1.1", "1.2.9", Held::No);
        // Evicted: what was deleted here must not be deleted there.
        check("1.1", "1.2.4", Held::No);
    }
}
