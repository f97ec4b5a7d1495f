//! What the analysis task has to do, and what came of it.
//!
//! A study is due for a model when its present generation has no row for that model and the
//! present clinical context. Nothing else says what is to be done, so a power cut at any moment
//! repeats a job or does not, and the UNIQUE of the table makes two rows impossible.

use rusqlite::{Row, Transaction};
use serde_json::json;

use super::models::{Mode, Model};
use super::quality::{self, Measured};
use super::{Store, StoreError, decisions};

/// One study for one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Row of the study.
    pub study_id: i64,
    /// Generation that is analysed.
    pub generation: i64,
    /// Announced images are missing.
    pub partial: bool,
    /// Folder of the study below the archive, empty when its images were evicted.
    pub folder: String,
    /// Clinical context the model is to read, empty when there is none or it reads none.
    pub context: String,
    /// What the study says about itself, for the model's input envelope.
    pub facts: Facts,
    /// The model died so often over this job.
    pub deaths: i64,
    /// Result of the same generation and model with another context, as JSON.
    pub earlier: Option<String>,
    /// Folder of the study whose turn comes after this one's.
    pub next: Option<String>,
}

/// What the input envelope is held against.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Body Part Examined.
    pub body_part: String,
    /// Magnetic Field Strength in tesla.
    pub field_strength_t: Option<f64>,
    /// Patient's Age as in DICOM.
    pub age: String,
    /// Patient's Birth Date.
    pub birth_date: String,
    /// Study Date.
    pub study_date: String,
    /// Modalities of the series.
    pub modalities: Vec<String>,
}

/// What came of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finished {
    /// Why the study was not analysed; `None` when it was.
    pub not_analysed: Option<String>,
    /// `none`, `low`, `medium`, `high`.
    pub acuity: Option<&'static str>,
    /// Device that computed.
    pub device: String,
    /// Seconds on the wall.
    pub seconds: f64,
    /// `TriageResult` as JSON.
    pub result: Option<String>,
    /// `triage::Assessment` as JSON.
    pub assessment: Option<String>,
    /// What was measured on the images.
    pub measured: Option<Measured>,
}

/// All that may be due. SQLite would rather read every study than two indices, so that a year of
/// studies that were read would cost something.
const OPEN: &str = "
    SELECT id FROM study INDEXED BY study_open WHERE state <> 'settled' UNION ALL
    SELECT id FROM study INDEXED BY study_queue WHERE queue IN ('urgent', 'review', 'not_analysed')";

/// `?1` model digest, `?2` the model reads a context, `?3` studies as JSON or NULL for all. Studies
/// that were read are analysed only when they have just become complete; evicted ones never.
fn due_sql(all: bool) -> String {
    let among = if all { OPEN } else { "SELECT value FROM json_each(?3)" };
    format!(
        "WITH open AS (
           SELECT *, CASE WHEN ?2 THEN
             coalesce(typed_context, trim(reason || char(10) || admitting, char(10)))
             ELSE '' END AS context
           FROM study
           WHERE generation > 0 AND evicted_at IS NULL
             AND state <> 'receiving' AND (state <> 'settled' OR queue <> 'done')
             AND id IN ({among}))
         SELECT s.id, s.generation, s.partial,
                coalesce((SELECT i.path FROM instance i WHERE i.study_id = s.id LIMIT 1), ''),
                s.context, s.body_part, s.field_strength_t, s.age, s.birth_date, s.study_date,
                (SELECT group_concat(DISTINCT e.modality) FROM series e WHERE e.study_id = s.id),
                coalesce((SELECT a.deaths FROM attempt a WHERE a.study_id = s.id
                          AND a.generation = s.generation AND a.model_digest = ?1), 0),
                (SELECT r.result FROM inference r WHERE r.study_id = s.id
                  AND r.generation = s.generation AND r.model_digest = ?1 AND r.outcome = 'analysed'
                  ORDER BY r.id DESC LIMIT 1)
         FROM open s
         WHERE NOT EXISTS (SELECT 1 FROM inference r WHERE r.study_id = s.id
                 AND r.generation = s.generation AND r.model_digest = ?1 AND r.context = s.context)
         ORDER BY s.state = 'settled', s.id LIMIT 2"
    )
}

impl Store {
    /// The next study that is due for a model, of all or of some; `None` stands for no model, which
    /// makes studies that are complete known as not analysed.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn next_job(
        &self,
        model: Option<&Model>,
        among: Option<&[i64]>,
    ) -> Result<Option<Job>, StoreError> {
        let digest = model.map_or("", |m| &m.digest);
        let reads_context = model.is_some_and(|m| !m.context_encoder.is_empty());
        self.read(|db| {
            let mut query = db.prepare_cached(&due_sql(among.is_none()))?;
            let mut due = match among {
                None => query.query_map((digest, reads_context), job)?,
                Some(ids) => {
                    query.query_map((digest, reads_context, json!(ids).to_string()), job)?
                }
            };
            let (first, after) = (due.next().transpose()?, due.next().transpose()?);
            let next = after.map(|job| job.folder).filter(|folder| !folder.is_empty());
            Ok(first.map(|job| Job { next, ..job }))
        })
    }

    /// The study is being worked on.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn start_job(&self, job: &Job) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute(
                "UPDATE study SET state = 'triaging' WHERE id = ? AND state = 'waiting'",
                [job.study_id],
            )?;
            Ok(())
        })
    }

    /// The worker died over a job, or was killed for taking too long. Returns how often by now.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn record_death(&self, job: &Job, digest: &str, error: &str) -> Result<i64, StoreError> {
        self.write(|tx| {
            Ok(tx.query_row(
                "INSERT INTO attempt (study_id, generation, model_digest, deaths, last_error)
                 VALUES (?, ?, ?, 1, ?)
                 ON CONFLICT DO UPDATE SET deaths = deaths + 1, last_error = excluded.last_error
                 RETURNING deaths",
                (job.study_id, job.generation, digest, error),
                |row| row.get(0),
            )?)
        })
    }

    /// Stores what came of a job, puts the study into its queue and keeps what the watch on scanners
    /// needs, in one transaction. A study that got late images meanwhile stays open.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn finish_job(
        &self,
        job: &Job,
        model: Option<&Model>,
        finished: &Finished,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mode = model.map_or(Mode::Assist, |m| m.mode);
        self.write(|tx| {
            let rows = tx
                .prepare_cached(
                    "INSERT INTO inference (study_id, generation, model_digest, context, mode,
                   outcome, reason, acuity, partial, device, seconds, finished_at, result,
                   assessment)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                )?
                .execute((
                    job.study_id,
                    job.generation,
                    model.map_or("", |m| &m.digest),
                    &job.context,
                    if mode == Mode::Shadow { "shadow" } else { "assist" },
                    if finished.not_analysed.is_some() { "not_analysed" } else { "analysed" },
                    finished.not_analysed.as_deref().unwrap_or_default(),
                    finished.acuity,
                    job.partial,
                    &finished.device,
                    finished.seconds,
                    now,
                    &finished.result,
                    &finished.assessment,
                ))?;
            let inference_id = tx.last_insert_rowid();
            if mode != Mode::Shadow {
                settle(tx, job)?;
                decisions::recompute(tx, job.study_id, now)?;
            }
            match model.filter(|_| rows > 0 && mode == Mode::Assist) {
                Some(model) => quality::record(tx, job, &model.digest, inference_id, finished, now),
                None => Ok(()),
            }
        })
    }
}

/// Late images have set the state back to receiving, and a newer generation has work of its own.
fn settle(tx: &Transaction<'_>, job: &Job) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE study SET state = 'settled'
         WHERE id = ? AND generation = ? AND state IN ('waiting', 'triaging')",
    )?
    .execute((job.study_id, job.generation))?;
    Ok(())
}

fn job(row: &Row<'_>) -> Result<Job, rusqlite::Error> {
    let path: String = row.get(3)?;
    let modalities: Option<String> = row.get(10)?;
    Ok(Job {
        study_id: row.get(0)?,
        generation: row.get(1)?,
        partial: row.get(2)?,
        folder: path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned()),
        context: row.get(4)?,
        facts: Facts {
            body_part: row.get(5)?,
            field_strength_t: row.get(6)?,
            age: row.get(7)?,
            birth_date: row.get(8)?,
            study_date: row.get(9)?,
            modalities: modalities
                .map(|m| m.split(',').map(str::to_owned).collect())
                .unwrap_or_default(),
        },
        deaths: row.get(11)?,
        earlier: row.get(12)?,
        next: None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;
    use crate::store::assembly::Periods;
    use crate::store::decisions::Decision;
    use crate::store::instances::{Arrival, StudyFacts};

    const NOW: Periods = Periods { quiet: 0, after_release: 0, all_announced: 0, partial: 0 };

    #[test]
    fn what_is_due_is_among_what_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.sqlite");
        let store = Store::open(&path, Arc::new(ManualClock::new(1_800_000_000_000))).unwrap();
        for uid in ["1", "2", "3"] {
            let study = StudyFacts { uid: uid.to_owned(), ..StudyFacts::default() };
            store.index(Arrival { study, sop_uid: uid.to_owned(), ..Arrival::default() }).unwrap();
        }
        store.complete_due(NOW).unwrap();
        let due =
            |among: Option<&[i64]>| store.next_job(None, among).unwrap().map(|job| job.study_id);
        assert_eq!(due(Some(&[])), None);
        assert_eq!(due(Some(&[3, 2])), Some(2));
        for study in [1, 2, 3] {
            assert_eq!(due(None), Some(study));
            let job = store.next_job(None, Some(&[study])).unwrap().unwrap();
            store.finish_job(&job, None, &Finished::default()).unwrap();
            assert_eq!(due(Some(&[study])), None);
        }
        assert_eq!(due(None), None);
        for all in [true, false] {
            let plan = store.plan(&due_sql(all));
            let walks =
                |step: &String| step.starts_with("SCAN study") && !step.contains("study_open");
            assert!(!plan.iter().any(walks), "{plan:?}");
        }
        // Without a result of what is there now. One that was done is due with new images only.
        store.sql("UPDATE inference SET generation = 99 WHERE study_id = 2");
        assert_eq!((due(None), due(Some(&[1, 2, 3]))), (Some(2), Some(2)));
        store.decide(2, &Decision::Done, "test").unwrap();
        assert_eq!((due(None), due(Some(&[1, 2, 3]))), (None, None));
        let study = StudyFacts { uid: "2".to_owned(), ..StudyFacts::default() };
        store.index(Arrival { study, sop_uid: "2.2".to_owned(), ..Arrival::default() }).unwrap();
        store.complete_due(NOW).unwrap();
        assert_eq!((due(None), due(Some(&[1, 2, 3]))), (Some(2), Some(2)));
        assert_eq!(due(Some(&[1, 3])), None);
    }
}
