//! What was received and kept, but not filed.

use serde::Serialize;

use super::{Store, StoreError};
use crate::hex;

/// Why something is kept aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Other content is known under its UID.
    Conflict,
    /// It cannot be indexed.
    Unreadable,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A file to be kept aside; it is in its place already.
#[derive(Clone, Debug)]
pub struct Aside {
    /// Why, in kind.
    pub kind: Kind,
    /// Study Instance UID, as far as known.
    pub study_uid: String,
    /// SOP Instance UID, as far as known.
    pub sop_uid: String,
    /// SHA-256 of the data set.
    pub sha256: [u8; 32],
    /// Bytes of the data set.
    pub bytes: u64,
    /// File below the archive's folder.
    pub path: String,
    /// Why, in words without patient identifiers.
    pub reason: String,
    /// Where it came from: `scp SCANNER1`, `import`.
    pub source: String,
}

/// A row of the quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Its row.
    pub id: i64,
    /// `conflict` or `unreadable`.
    pub kind: String,
    /// Row of the study that it says it belongs to, if that is known.
    pub study_id: Option<i64>,
    /// SHA-256 of the data set, hexadecimal.
    pub sha256: String,
    /// Bytes of the data set.
    pub bytes: i64,
    /// File below the archive's folder.
    pub path: String,
    /// Why, in words.
    pub reason: String,
    /// Where it came from.
    pub source: String,
    /// When, box time in ms.
    pub at: i64,
}

impl Store {
    /// Notes a file that was kept aside. The same content under the same UID is noted once, and
    /// shown again if it had been resolved.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn set_aside(&self, aside: &Aside) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.write(|tx| {
            tx.prepare_cached(
                "INSERT INTO quarantine (kind, study_uid, sop_uid, sha256, bytes, path, reason,
                                         source, at)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (sop_uid, sha256) DO UPDATE SET resolved_at = NULL",
            )?
            .execute((
                aside.kind.word(),
                &aside.study_uid,
                &aside.sop_uid,
                &aside.sha256[..],
                aside.bytes.cast_signed(),
                &aside.path,
                &aside.reason,
                &aside.source,
                now,
            ))?;
            Ok(())
        })
    }

    /// What is kept aside and not resolved, newest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn quarantined(&self, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT quarantine.id, kind, study.id, sha256, bytes, path, quarantine.reason,
                        source, at
                 FROM quarantine LEFT JOIN study ON study.uid = study_uid
                 WHERE resolved_at IS NULL ORDER BY quarantine.id DESC LIMIT ?",
            )?;
            let rows = query.query_map([limit.cast_signed()], |row| {
                Ok(Quarantined {
                    id: row.get(0)?,
                    kind: row.get(1)?,
                    study_id: row.get(2)?,
                    sha256: hex::lower(&row.get::<_, Vec<u8>>(3)?),
                    bytes: row.get(4)?,
                    path: row.get(5)?,
                    reason: row.get(6)?,
                    source: row.get(7)?,
                    at: row.get(8)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Takes a row off the list. The file stays where it is.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn resolve_quarantined(&self, id: i64) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.write(|tx| {
            tx.prepare_cached(
                "UPDATE quarantine SET resolved_at = ? WHERE id = ? AND resolved_at IS NULL",
            )?
            .execute((now, id))?;
            Ok(())
        })
    }
}
