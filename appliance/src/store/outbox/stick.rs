//! What waits, for a stick: looked at and left as it is, because only a receipt says that it
//! arrived.

use exchange::courier::Blob;
use exchange::row::Row;
use rusqlite::OptionalExtension as _;

use super::sending::{Unsealed, row, unsealed};
use crate::store::{Store, StoreError};

/// A row that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number.
    pub seq: i64,
    /// Bytes of its body and of the files that it names.
    pub bytes: u64,
}

impl Store {
    /// The most urgent row whose files nobody has looked at.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn unsealed_row(&self) -> Result<Option<Unsealed>, StoreError> {
        self.read(|db| {
            let found = db
                .prepare_cached(
                    "SELECT seq, epoch, kind, study, created_at, sha256, body FROM outbox
                     WHERE sha256 = '' AND state IN ('pending', 'in_flight', 'retry')
                     ORDER BY priority, seq LIMIT 1",
                )?
                .query_row([], row)
                .optional()?;
            found.map(|found| unsealed(db, found)).transpose()
        })
    }

    /// Sealed rows that wait, in the order in which they are to be stored. What stands behind a row
    /// that was given up waits for it here as well.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn waiting_rows(&self) -> Result<Vec<Waiting>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT o.seq, length(o.body)
                        + coalesce((SELECT sum(b.bytes) FROM outbox_blob b WHERE b.seq = o.seq), 0)
                 FROM outbox o
                 WHERE o.sha256 <> '' AND o.state IN ('pending', 'in_flight', 'retry')
                   AND NOT EXISTS (SELECT 1 FROM outbox e
                         WHERE e.study_id = o.study_id AND e.state = 'dead' AND e.seq < o.seq
                           AND e.priority <= o.priority AND (e.priority < 3) = (o.priority < 3)
                           AND o.kind <> 'flag')
                 ORDER BY o.priority, o.seq",
            )?;
            let rows = query.query_map([], |row| {
                Ok(Waiting { seq: row.get(0)?, bytes: row.get::<_, i64>(1)?.cast_unsigned() })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// A row that waits, and all files that it names; `None` when it no longer does.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn waiting_row(&self, seq: i64) -> Result<Option<(Row, Vec<Blob>)>, StoreError> {
        self.read(|db| {
            let found = db
                .prepare_cached(
                    "SELECT seq, epoch, kind, study, created_at, sha256, body FROM outbox
                     WHERE seq = ? AND sha256 <> '' AND state IN ('pending', 'in_flight', 'retry')",
                )?
                .query_row([seq], row)
                .optional()?;
            let Some(found) = found else { return Ok(None) };
            let mut query = db.prepare_cached(
                "SELECT sha256, bytes FROM outbox_blob WHERE seq = ? ORDER BY number",
            )?;
            let blobs = query.query_map([seq], |row| {
                let bytes = row.get::<_, i64>(1)?.cast_unsigned();
                Ok(Blob { seq, sha256: row.get(0)?, bytes, place: None })
            })?;
            Ok(Some((found, blobs.collect::<Result<_, _>>()?)))
        })
    }
}
