//! Prior studies that an archive elsewhere has: about whom it is to be asked, and what it said.
//!
//! It is asked once for each study that has become complete and has a Patient ID. A study that it
//! was not asked about for a day is too old for its prior studies to matter.

use std::time::Duration;

use serde::Serialize;

use super::commitments::later;
use super::{Store, StoreError};

/// Age of a complete study after which nobody is asked any more.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// Studies asked about in one go.
const BATCH: usize = 100;

/// A study whose prior studies are to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriorsDue {
    /// Its row.
    pub study_id: i64,
    /// Patient ID, which is there.
    pub patient_id: String,
    /// Patient's Birth Date, empty when unknown.
    pub birth_date: String,
    /// It was refused before.
    pub refused: bool,
}

/// A prior study that an archive elsewhere has. Texts are as in DICOM and empty when absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PriorElsewhere {
    /// Study Instance UID.
    pub uid: String,
    /// Study Date, YYYYMMDD.
    pub study_date: String,
    /// Study Time.
    pub study_time: String,
    /// Study Description.
    pub description: String,
    /// Accession Number.
    pub accession: String,
    /// Modalities in Study, each once.
    pub modalities: Vec<String>,
    /// AE title of the archive.
    pub archive: String,
}

impl Store {
    /// Studies whose prior studies are due to be asked for, those that are complete the longest
    /// first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn priors_due(&self) -> Result<Vec<PriorsDue>, StoreError> {
        let now = self.clock.now();
        let oldest = now.saturating_sub(later(0, PATIENCE));
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT id, patient_id, birth_date, priors_next_at > 0 FROM study
                 WHERE priors_asked_at IS NULL AND complete_at > ? AND patient_id <> ''
                   AND priors_next_at <= ?
                 ORDER BY complete_at, id LIMIT ?",
            )?;
            let rows = select.query_map((oldest, now, BATCH.cast_signed()), |row| {
                Ok(PriorsDue {
                    study_id: row.get(0)?,
                    patient_id: row.get(1)?,
                    birth_date: row.get(2)?,
                    refused: row.get(3)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The archive has answered; these are all prior studies that it has.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn priors_found(&self, study_id: i64, found: &[PriorElsewhere]) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.write(|tx| {
            let mut insert = tx.prepare_cached(
                "INSERT OR REPLACE INTO prior_elsewhere
                     (study_id, uid, study_date, study_time, description, accession, modalities,
                      archive)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )?;
            for prior in found {
                let PriorElsewhere { uid, study_date, study_time, description, .. } = prior;
                let modalities = prior.modalities.join("\\");
                insert.execute((
                    study_id,
                    uid,
                    study_date,
                    study_time,
                    description,
                    &prior.accession,
                    modalities,
                    &prior.archive,
                ))?;
            }
            // Pages that are open hear of it by the change of the study.
            tx.prepare_cached("UPDATE study SET priors_asked_at = ? WHERE id = ?")?
                .execute((now, study_id))?;
            Ok(())
        })
    }

    /// The archive refused to answer about this study; it is asked again `after` this long.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn priors_refused(&self, study_id: i64, after: Duration) -> Result<(), StoreError> {
        let next = later(self.clock.now(), after);
        self.write(|tx| {
            tx.prepare_cached("UPDATE study SET priors_next_at = ? WHERE id = ?")?
                .execute((next, study_id))?;
            Ok(())
        })
    }

    /// What an archive elsewhere has of this study's patient and this box has not, newest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn priors_elsewhere(
        &self,
        study_id: i64,
        limit: usize,
    ) -> Result<Vec<PriorElsewhere>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT uid, study_date, study_time, description, accession, modalities, archive
                 FROM prior_elsewhere p
                 WHERE study_id = ? AND NOT EXISTS (SELECT 1 FROM study WHERE study.uid = p.uid)
                 ORDER BY study_date DESC, study_time DESC, uid LIMIT ?",
            )?;
            let rows = select.query_map((study_id, limit.cast_signed()), |row| {
                let modalities: String = row.get(5)?;
                let modalities = modalities.split('\\').filter(|word| !word.is_empty());
                Ok(PriorElsewhere {
                    uid: row.get(0)?,
                    study_date: row.get(1)?,
                    study_time: row.get(2)?,
                    description: row.get(3)?,
                    accession: row.get(4)?,
                    modalities: modalities.map(str::to_owned).collect(),
                    archive: row.get(6)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;
    use crate::store::assembly::Periods;
    use crate::store::instances::{Arrival, StudyFacts};

    const NOW: Periods = Periods { quiet: 0, after_release: 0, all_announced: 0, partial: 0 };

    fn arrive(store: &Store, uid: &str, patient_id: &str) {
        let study = StudyFacts {
            uid: uid.to_owned(),
            patient_id: patient_id.to_owned(),
            birth_date: "19700101".to_owned(),
            ..StudyFacts::default()
        };
        let sop_uid = format!("{uid}.1.1");
        store.index(Arrival { study, sop_uid, ..Arrival::default() }).unwrap();
    }

    fn prior(uid: &str, date: &str) -> PriorElsewhere {
        PriorElsewhere {
            uid: uid.to_owned(),
            study_date: date.to_owned(),
            modalities: vec!["MR".to_owned(), "CT".to_owned()],
            archive: "PACS".to_owned(),
            ..PriorElsewhere::default()
        }
    }

    #[track_caller]
    fn due(store: &Store, expected: &[(i64, bool)]) {
        let due = store.priors_due().unwrap();
        assert_eq!(due.iter().map(|d| (d.study_id, d.refused)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn asked_once_when_complete_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_000_000));
        let store = Store::open(&folder.path().join("store.db"), clock.clone()).unwrap();
        arrive(&store, "1.1", "MRN7");
        due(&store, &[]);
        store.complete_due(NOW).unwrap();
        arrive(&store, "1.2", "");
        arrive(&store, "1.3", "MRN8");
        store.complete_due(NOW).unwrap();
        // Nobody can be asked about a patient without an ID.
        due(&store, &[(1, false), (3, false)]);
        let first = store.priors_due().unwrap().swap_remove(0);
        assert_eq!((first.patient_id.as_str(), first.birth_date.as_str()), ("MRN7", "19700101"));

        let pause = Duration::from_secs(600);
        store.priors_refused(1, pause).unwrap();
        due(&store, &[(3, false)]);
        store.priors_found(3, &[]).unwrap();
        due(&store, &[]);
        clock.advance(pause);
        due(&store, &[(1, true)]);
        clock.advance(PATIENCE);
        due(&store, &[]);
    }

    #[test]
    fn what_is_here_is_not_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = Store::open(&path, Arc::new(ManualClock::new(1))).unwrap();
        arrive(&store, "1.1", "MRN7");
        let change = store.latest_change().unwrap();
        let found = [prior("1.1", "20260105"), prior("1.8", "20250101"), prior("1.9", "20260101")];
        store.priors_found(1, &found).unwrap();
        assert!(store.latest_change().unwrap() > change, "pages that are open hear of it");
        let [_, older, newer] = found;
        assert_eq!(store.priors_elsewhere(1, 9).unwrap(), [newer.clone(), older.clone()]);
        assert_eq!(store.priors_elsewhere(1, 1).unwrap(), [newer]);
        arrive(&store, "1.9", "MRN7");
        assert_eq!(store.priors_elsewhere(1, 9).unwrap(), [older]);
        assert!(store.priors_elsewhere(2, 9).unwrap().is_empty());
    }
}
