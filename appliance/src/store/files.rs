//! What the index says about the files on disk, for checking one against the other.

use rusqlite::OptionalExtension as _;

use super::{Store, StoreError};

/// A study as far as its folder is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StudyFolder {
    /// Its row.
    pub id: i64,
    /// Study Instance UID.
    pub uid: String,
    /// Its images were deleted to make room.
    pub evicted: bool,
}

/// A file that has a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedFile {
    /// File below the archive's folder.
    pub path: String,
    /// SHA-256 of the data set.
    pub sha256: Vec<u8>,
    /// Bytes of the data set.
    pub bytes: i64,
}

/// A series as people know it, with its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesFiles {
    /// Series Instance UID.
    pub uid: String,
    /// Series Number.
    pub number: Option<i64>,
    /// Series Description.
    pub description: String,
    /// Its images were deleted to make room.
    pub evicted: bool,
    /// Files below the archive's folder, in order of arrival.
    pub paths: Vec<String>,
}

impl Store {
    /// All studies, oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn study_folders(&self) -> Result<Vec<StudyFolder>, StoreError> {
        self.read(|db| {
            let mut query =
                db.prepare_cached("SELECT id, uid, evicted_at IS NOT NULL FROM study ORDER BY id")?;
            let rows = query.query_map([], |row| {
                Ok(StudyFolder { id: row.get(0)?, uid: row.get(1)?, evicted: row.get(2)? })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The files of a study, in order of their paths.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn indexed_files(&self, study_id: i64) -> Result<Vec<IndexedFile>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT path, sha256, bytes FROM instance WHERE study_id = ? ORDER BY path",
            )?;
            let rows = query.query_map([study_id], |row| {
                Ok(IndexedFile { path: row.get(0)?, sha256: row.get(1)?, bytes: row.get(2)? })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// A series of a study with its files; `None` when the study has no such series.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn series_files(
        &self,
        study_id: i64,
        series_id: i64,
    ) -> Result<Option<SeriesFiles>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT r.uid, r.number, r.description, s.evicted_at IS NOT NULL
                 FROM series r JOIN study s ON s.id = r.study_id WHERE r.id = ? AND s.id = ?",
            )?;
            let series = query.query_row((series_id, study_id), |row| {
                Ok(SeriesFiles {
                    uid: row.get(0)?,
                    number: row.get(1)?,
                    description: row.get(2)?,
                    evicted: row.get(3)?,
                    paths: Vec::new(),
                })
            });
            let Some(mut series) = series.optional()? else { return Ok(None) };
            let mut query =
                db.prepare_cached("SELECT path FROM instance WHERE series_id = ? ORDER BY id")?;
            let rows = query.query_map([series_id], |row| row.get(0))?;
            series.paths = rows.collect::<Result<_, _>>()?;
            Ok(Some(series))
        })
    }
}
