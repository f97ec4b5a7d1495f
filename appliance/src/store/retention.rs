//! Taking the images of a study from the disk while its results stay.
//!
//! Rows and files cannot change in one step, so eviction has two transactions, and the order
//! makes every power cut harmless:
//!
//! 1. [`Store::begin_eviction`] sets `study.evicted_at`. From here on nobody looks for the files.
//! 2. [`Store::finish_eviction`] deletes the files and then, still before its COMMIT, the rows.
//!    The writer's lock keeps arrivals out meanwhile: an image that is sent again either finds its
//!    row and is a duplicate, or finds neither row nor file and is new.
//!
//! A cut between the two, or a COMMIT that fails, leaves a study with `evicted_at` and rows;
//! [`Store::half_evicted`] finds it and step 2 is repeated. A cut that brings deleted files back
//! leaves files of a study with `evicted_at` and no rows, which may be deleted again. A new image
//! clears `evicted_at`, so the mark never speaks of images that came later.

use std::io;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};
use serde_json::json;

use super::audit::{self, Entry};
use super::{Store, StoreError};

/// What decides whether the images of a study may be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Row of the study.
    pub study_id: i64,
    /// No image is expected and no analysis is due.
    pub settled: bool,
    /// When a reader was done with it, in box time; `None` while it is unread.
    pub done_at: Option<i64>,
    /// A storage commitment that names one of its instances is not answered yet.
    pub committing: bool,
    /// Its result is not with every archive yet, which needs the header of an image.
    pub sending: bool,
    /// Its objects or series are not at the hub yet, and were not given up.
    pub syncing: bool,
}

/// What an eviction took from the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Files deleted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why an eviction was not finished. It can be repeated.
#[derive(Debug, thiserror::Error)]
pub enum EvictError {
    /// A file cannot be deleted.
    #[error("the file {path} of an evicted study cannot be deleted")]
    File {
        /// Below the archive's folder.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for EvictError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// `?1` one study, or NULL for all. Those read longest ago come first.
const STANDINGS: &str = "
    WITH committing AS MATERIALIZED (
      SELECT DISTINCT i.study_id FROM commitment c
      JOIN json_each(c.request) asked
      JOIN instance i ON i.sop_uid = json_extract(asked.value, '$[1]')
      WHERE c.state = 'pending')
    SELECT id, state = 'settled',
           CASE queue WHEN 'done' THEN coalesce(done_at, last_at) END AS read_at,
           id IN (SELECT study_id FROM committing),
           EXISTS (SELECT 1 FROM delivery d WHERE d.study_id = study.id
                   AND d.state IN ('waiting', 'sending')),
           EXISTS (SELECT 1 FROM outbox o WHERE o.study_id = study.id
                   AND o.state <> 'acknowledged' AND o.priority IN (1, 2) AND o.state <> 'dead'
                   AND EXISTS (SELECT 1 FROM hub_profile WHERE active))
    FROM study WHERE evicted_at IS NULL AND (?1 IS NULL OR id = ?1)
    ORDER BY read_at IS NULL, read_at, id";

impl Store {
    /// Every study whose images are here; those read longest ago come first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn standings(&self) -> Result<Vec<Standing>, StoreError> {
        self.read(|db| standings(db, None))
    }

    /// Marks a study as evicted if it still `may` be; false when it may not.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn begin_eviction(
        &self,
        study_id: i64,
        may: impl Fn(&Standing) -> bool,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        self.write(|tx| {
            let may = standings(tx, Some(study_id))?.first().is_some_and(may);
            if may {
                tx.prepare_cached("UPDATE study SET evicted_at = ? WHERE id = ?")?
                    .execute((now, study_id))?;
            }
            Ok(may)
        })
    }

    /// Studies whose eviction began and was not finished.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn half_evicted(&self) -> Result<Vec<i64>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT id FROM study WHERE evicted_at IS NOT NULL
                   AND EXISTS (SELECT 1 FROM instance i WHERE i.study_id = study.id)",
            )?;
            let rows = query.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Deletes the files of a study that is marked, by `delete` with their paths below the
    /// archive's folder, then its instance and series rows. `None` when it is not marked, because
    /// a new image came. A file that is missing counts as deleted.
    ///
    /// # Errors
    ///
    /// When a file cannot be deleted or the database fails; the rows are then as before.
    pub fn finish_eviction(
        &self,
        study_id: i64,
        mut delete: impl FnMut(&str) -> io::Result<()>,
    ) -> Result<Option<Evicted>, EvictError> {
        let mut writer = self.writer();
        let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let marked: Option<bool> = tx
            .prepare_cached("SELECT evicted_at IS NOT NULL FROM study WHERE id = ?")?
            .query_row([study_id], |row| row.get(0))
            .optional()?;
        if marked != Some(true) {
            return Ok(None);
        }
        let files: Vec<(String, i64)> = tx
            .prepare_cached("SELECT path, bytes FROM instance WHERE study_id = ?")?
            .query_map([study_id], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let mut evicted = Evicted::default();
        for (path, bytes) in files {
            match delete(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(EvictError::File { path, source });
                }
                _ => {
                    evicted.files += 1;
                    evicted.bytes += bytes.cast_unsigned();
                }
            }
        }
        tx.prepare_cached("DELETE FROM instance WHERE study_id = ?")?.execute([study_id])?;
        tx.prepare_cached("DELETE FROM series WHERE study_id = ?")?.execute([study_id])?;
        let entry = Entry {
            actor: "appliance",
            action: "retention.evict",
            object: &format!("study {study_id}"),
            detail: &json!({ "files": evicted.files, "bytes": evicted.bytes }),
        };
        audit::append(&tx, self.clock(), &entry)?;
        tx.commit()?;
        Ok(Some(evicted))
    }

    /// Study Instance UIDs of the studies whose images were deleted.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn evicted_studies(&self) -> Result<Vec<String>, StoreError> {
        self.read(|db| {
            let mut query =
                db.prepare_cached("SELECT uid FROM study WHERE evicted_at IS NOT NULL")?;
            let rows = query.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Studies whose images were deleted, with each of their results.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn evicted_results(&self) -> Result<Vec<(i64, Option<i64>)>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT s.id, r.id FROM study s LEFT JOIN inference r ON r.study_id = s.id
                 WHERE s.evicted_at IS NOT NULL",
            )?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Bytes of the images of some studies.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn bytes_of_studies(&self, studies: &[i64]) -> Result<u64, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT coalesce(sum(bytes), 0) FROM instance WHERE study_id = ?",
            )?;
            studies.iter().try_fold(0, |sum, study| {
                let bytes: i64 = query.query_row([study], |row| row.get(0))?;
                Ok(sum + bytes.cast_unsigned())
            })
        })
    }

    /// Files in quarantine that nobody has resolved, and their bytes.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn quarantine_size(&self) -> Result<(u64, u64), StoreError> {
        self.read(|db| {
            let (files, bytes): (i64, i64) = db.query_row(
                "SELECT count(*), coalesce(sum(bytes), 0) FROM quarantine
                 WHERE resolved_at IS NULL",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            Ok((files.cast_unsigned(), bytes.cast_unsigned()))
        })
    }

    /// Study Instance UID and Patient ID of a study.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn study_identity(&self, study_id: i64) -> Result<Option<(String, String)>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT uid, patient_id FROM study WHERE id = ?")?;
            let identity = query.query_row([study_id], |row| Ok((row.get(0)?, row.get(1)?)));
            Ok(identity.optional()?)
        })
    }

    /// When the latest image came over the network, in box time.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn last_received_at(&self) -> Result<Option<i64>, StoreError> {
        self.read(|db| {
            let at = db.query_row(
                "SELECT received_at FROM instance WHERE source GLOB 'scp *'
                 ORDER BY id DESC LIMIT 1",
                [],
                |row| row.get(0),
            );
            Ok(at.optional()?)
        })
    }
}

fn standings(db: &Connection, study_id: Option<i64>) -> Result<Vec<Standing>, StoreError> {
    let mut query = db.prepare_cached(STANDINGS)?;
    let rows = query.query_map([study_id], |row| {
        Ok(Standing {
            study_id: row.get(0)?,
            settled: row.get(1)?,
            done_at: row.get(2)?,
            committing: row.get(3)?,
            sending: row.get(4)?,
            syncing: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// For tests outside of the store, where there is no SQL.
#[cfg(test)]
impl Store {
    pub(crate) fn sql(&self, statements: &str) {
        self.write(|tx| Ok(tx.execute_batch(statements)?)).unwrap();
    }

    pub(crate) fn rows(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.read(|db| Ok(db.query_row(&sql, [], |row| row.get(0))?)).unwrap()
    }
}
