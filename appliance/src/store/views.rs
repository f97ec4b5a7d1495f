//! What the web pages show beside the worklist: one study in full, and the state of the box.
//!
//! Results of shadow models are left out: nobody is to see them. Of a result whose model is
//! killed only its existence is told.

use rusqlite::{Connection, OptionalExtension as _, Row};
use serde::Serialize;
use serde_json::json;

use super::audit::{self, Entry};
use super::worklist::acuity_of;
use super::{Store, StoreError};
use crate::triage::Acuity;

/// Latest images that [`Store::box_view`] looks at for who sent lately.
const RECENT_IMAGES: i64 = 5000;

/// What the study page shows beside the study's row of the worklist. Texts are as in DICOM and
/// empty when absent, times are box time in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StudyView {
    /// Study Time.
    pub study_time: String,
    /// Referring Physician's Name.
    pub referring_physician: String,
    /// Institution Name.
    pub institution: String,
    /// Station Name.
    pub station: String,
    /// Manufacturer and model name.
    pub manufacturer: String,
    /// Magnetic Field Strength in tesla.
    pub field_strength_t: Option<f64>,
    /// Body Part Examined.
    pub body_part: String,
    /// Reason for the Requested Procedure.
    pub reason: String,
    /// Admitting Diagnoses Description.
    pub admitting: String,
    /// Clinical context that a reader typed; it replaces the two above.
    pub typed_context: Option<String>,
    /// The images were deleted to make room.
    pub evicted_at: Option<i64>,
    /// In order of arrival.
    pub series: Vec<SeriesView>,
    /// Oldest first, without those of shadow models.
    pub results: Vec<ResultView>,
}

impl StudyView {
    /// The clinical context a model reads, empty for none.
    #[must_use]
    pub fn context(&self) -> String {
        let sent = || format!("{}\n{}", self.reason, self.admitting).trim_matches('\n').to_owned();
        self.typed_context.clone().unwrap_or_else(sent)
    }
}

/// A series as it arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeriesView {
    /// Its row.
    pub id: i64,
    /// Series Instance UID.
    pub uid: String,
    /// Series Number.
    pub number: Option<i64>,
    /// Series Description.
    pub description: String,
    /// Modality.
    pub modality: String,
    /// Images that arrived.
    pub instances: i64,
    /// Images announced by the scanner.
    pub expected_instances: Option<i64>,
}

/// Another study of the same patient on this box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prior {
    /// Row of the study.
    pub id: i64,
    /// Patient's Name, which may be spelt otherwise.
    pub patient_name: String,
    /// Study Date, YYYYMMDD.
    pub study_date: String,
    /// Study Description.
    pub description: String,
    /// What the rules or a reader made of it.
    pub acuity: Option<Acuity>,
    /// A reader was done with it.
    pub done: bool,
    /// Its images were deleted to make room.
    pub evicted: bool,
}

/// One run of a model over a study, without its scores.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResultView {
    /// Its row.
    pub id: i64,
    /// Which completion of the study it is about.
    pub generation: i64,
    /// SHA-256 of the model's manifest, empty when no model was asked.
    pub model_digest: String,
    /// Name of the model, empty when it is not installed.
    pub model_name: String,
    /// The model is killed: what it said is not told.
    pub hidden: bool,
    /// Clinical context it read, empty for none.
    pub context: String,
    /// `analysed` or `not_analysed`.
    pub outcome: String,
    /// Why it was not analysed.
    pub reason: String,
    /// What the rules made of it.
    pub acuity: Option<Acuity>,
    /// Announced images were missing.
    pub partial: bool,
    /// Device that computed.
    pub device: String,
    /// On the wall.
    pub seconds: f64,
    /// When it was there.
    pub finished_at: i64,
}

/// One result with its scores.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredResult {
    /// Everything else.
    pub view: ResultView,
    /// `TriageResult` as JSON.
    pub result: Option<String>,
    /// `triage::Assessment` as JSON.
    pub assessment: Option<String>,
}

/// What waits and what came in lately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BoxView {
    /// Studies that images come in for.
    pub receiving: i64,
    /// Studies that are complete and wait for analysis.
    pub waiting: i64,
    /// Studies being analysed.
    pub triaging: i64,
    /// Who sent the latest few thousand images, the latest sender first.
    pub senders: Vec<Sender>,
    /// Files set aside that nobody has dealt with.
    pub quarantined: i64,
    /// The latest storage commitments, newest first.
    pub commitments: Vec<CommitmentView>,
}

/// Somebody who sent images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sender {
    /// Where from: `scp SCANNER1`, `import`.
    pub source: String,
    /// Of the latest few thousand images those from there.
    pub images: i64,
    /// The latest of them.
    pub last_at: i64,
}

/// A storage commitment asked of us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommitmentView {
    /// AE title of the requester.
    pub requester: String,
    /// Images asked about.
    pub images: i64,
    /// `pending`, `sent` or `dead`.
    pub state: String,
    /// Reports tried.
    pub attempts: i64,
    /// Why the latest failed.
    pub last_error: String,
    /// When it was asked.
    pub at: i64,
}

impl Store {
    /// One study in full; `None` when there is no such study.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn study_view(&self, study_id: i64) -> Result<Option<StudyView>, StoreError> {
        self.read(|db| {
            let Some(mut view) = study(db, study_id)? else { return Ok(None) };
            view.series = series(db, study_id)?;
            let mut select = db.prepare_cached(&format!(
                "{RESULT} WHERE r.study_id = ? AND {SEEN} ORDER BY r.id"
            ))?;
            let results = select.query_map([study_id], result_view)?;
            view.results = results.collect::<Result<_, _>>()?;
            Ok(Some(view))
        })
    }

    /// Other studies with this study's Patient ID, newest first; not those whose birth date
    /// contradicts, because Patient IDs are used again.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn priors(&self, study_id: i64, limit: usize) -> Result<Vec<Prior>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT p.id, p.patient_name, p.study_date, p.description, p.acuity, p.done_at,
                        p.evicted_at
                 FROM study s JOIN study p ON p.patient_id = s.patient_id AND p.id <> s.id
                 WHERE s.id = ? AND p.patient_id <> ''
                   AND (p.birth_date = s.birth_date OR p.birth_date = '' OR s.birth_date = '')
                 ORDER BY p.study_date DESC, p.study_time DESC, p.id DESC LIMIT ?",
            )?;
            let mut rows = select.query((study_id, limit.cast_signed()))?;
            let mut priors = Vec::new();
            while let Some(row) = rows.next()? {
                priors.push(Prior {
                    id: row.get(0)?,
                    patient_name: row.get(1)?,
                    study_date: row.get(2)?,
                    description: row.get(3)?,
                    acuity: acuity_of(row.get(4)?)?,
                    done: row.get::<_, Option<i64>>(5)?.is_some(),
                    evicted: row.get::<_, Option<i64>>(6)?.is_some(),
                });
            }
            Ok(priors)
        })
    }

    /// One result of a study with its scores; `None` when there is none that may be seen.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn stored_result(
        &self,
        study_id: i64,
        inference_id: i64,
    ) -> Result<Option<StoredResult>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached(&format!(
                "{RESULT} WHERE r.study_id = ? AND r.id = ? AND {SEEN} AND m.killed_at IS NULL"
            ))?;
            let stored = select.query_row((study_id, inference_id), |row| {
                Ok(StoredResult {
                    view: result_view(row)?,
                    result: row.get("result")?,
                    assessment: row.get("assessment")?,
                })
            });
            Ok(stored.optional()?)
        })
    }

    /// The studies that arrived last, newest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn latest_studies(&self, limit: usize) -> Result<Vec<i64>, StoreError> {
        self.read(|db| {
            let mut select =
                db.prepare_cached("SELECT id FROM study ORDER BY first_at DESC, id DESC LIMIT ?")?;
            let rows = select.query_map([limit.cast_signed()], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The state of the box as far as the database knows it; there are at most `limit` commitments.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn box_view(&self, limit: usize) -> Result<BoxView, StoreError> {
        self.read(|db| {
            let mut view = BoxView::default();
            // The index `study_open` holds exactly these rows.
            let mut select = db.prepare_cached(
                "SELECT state, count(*) FROM study WHERE state <> 'settled' GROUP BY state",
            )?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                match row.get::<_, String>(0)?.as_str() {
                    "receiving" => view.receiving = row.get(1)?,
                    "waiting" => view.waiting = row.get(1)?,
                    _ => view.triaging = row.get(1)?,
                }
            }
            view.senders = senders(db)?;
            view.quarantined = db
                .prepare_cached("SELECT count(*) FROM quarantine WHERE resolved_at IS NULL")?
                .query_row([], |row| row.get(0))?;
            view.commitments = commitments(db, limit)?;
            Ok(view)
        })
    }

    /// Replaces the clinical context of a study, or goes back to the scanner's. The study becomes
    /// due for a model that reads it. False when there is no such study.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn set_context(
        &self,
        study_id: i64,
        typed: Option<&str>,
        actor: &str,
    ) -> Result<bool, StoreError> {
        self.write(|tx| {
            let rows = tx
                .prepare_cached("UPDATE study SET typed_context = ? WHERE id = ?")?
                .execute((typed, study_id))?;
            if rows == 0 {
                return Ok(false);
            }
            let object = format!("study {study_id}");
            // The text itself may name the patient, and the log leaves the box.
            let detail = json!({ "characters": typed.map(|text| text.chars().count()) });
            let entry = Entry { actor, action: "study.context", object: &object, detail: &detail };
            audit::append(tx, self.clock(), &entry)?;
            Ok(true)
        })
    }
}

fn study(db: &Connection, study_id: i64) -> Result<Option<StudyView>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT study_time, referring_physician, institution, station, manufacturer,
                field_strength_t, body_part, reason, admitting, typed_context, evicted_at
         FROM study WHERE id = ?",
    )?;
    let view = select.query_row([study_id], |row| {
        Ok(StudyView {
            study_time: row.get(0)?,
            referring_physician: row.get(1)?,
            institution: row.get(2)?,
            station: row.get(3)?,
            manufacturer: row.get(4)?,
            field_strength_t: row.get(5)?,
            body_part: row.get(6)?,
            reason: row.get(7)?,
            admitting: row.get(8)?,
            typed_context: row.get(9)?,
            evicted_at: row.get(10)?,
            series: Vec::new(),
            results: Vec::new(),
        })
    });
    Ok(view.optional()?)
}

fn series(db: &Connection, study_id: i64) -> Result<Vec<SeriesView>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT id, uid, number, description, modality,
                (SELECT count(*) FROM instance WHERE series_id = series.id), expected_instances
         FROM series WHERE study_id = ? ORDER BY id",
    )?;
    let rows = select.query_map([study_id], |row| {
        Ok(SeriesView {
            id: row.get(0)?,
            uid: row.get(1)?,
            number: row.get(2)?,
            description: row.get(3)?,
            modality: row.get(4)?,
            instances: row.get(5)?,
            expected_instances: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What may be seen of a model: also what it said as a shadow, once it assists, as in the list.
const SEEN: &str = "(r.mode = 'assist' OR m.mode = 'assist')";

const RESULT: &str = "
    SELECT r.*, coalesce(m.name, '') AS model_name, m.killed_at IS NOT NULL AS hidden
    FROM inference r LEFT JOIN model m ON m.digest = r.model_digest";

fn result_view(row: &Row<'_>) -> Result<ResultView, rusqlite::Error> {
    let hidden = row.get("hidden")?;
    Ok(ResultView {
        id: row.get("id")?,
        generation: row.get("generation")?,
        model_digest: row.get("model_digest")?,
        model_name: row.get("model_name")?,
        hidden,
        context: row.get("context")?,
        outcome: row.get("outcome")?,
        reason: if hidden { String::new() } else { row.get("reason")? },
        acuity: if hidden { None } else { acuity_of(row.get("acuity")?)? },
        partial: row.get("partial")?,
        device: row.get("device")?,
        seconds: row.get("seconds")?,
        finished_at: row.get("finished_at")?,
    })
}

/// Only the latest images, because the table grows to many millions of rows.
fn senders(db: &Connection) -> Result<Vec<Sender>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT source, count(*), max(received_at)
         FROM (SELECT source, received_at FROM instance ORDER BY id DESC LIMIT ?)
         GROUP BY source ORDER BY max(received_at) DESC, source",
    )?;
    let rows = select.query_map([RECENT_IMAGES], |row| {
        Ok(Sender { source: row.get(0)?, images: row.get(1)?, last_at: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn commitments(db: &Connection, limit: usize) -> Result<Vec<CommitmentView>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT requester, json_array_length(request), state, attempts, last_error, at
         FROM commitment ORDER BY id DESC LIMIT ?",
    )?;
    let rows = select.query_map([limit.cast_signed()], |row| {
        Ok(CommitmentView {
            requester: row.get(0)?,
            images: row.get(1)?,
            state: row.get(2)?,
            attempts: row.get(3)?,
            last_error: row.get(4)?,
            at: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests;
