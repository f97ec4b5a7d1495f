//! A study as it stands at this moment: its identity, the result that it shows, and the decisions
//! in force.

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::store::StoreError;
use crate::triage::Assessment;

/// Texts are as in DICOM and empty when absent.
pub(super) struct StudyNow {
    pub(super) id: i64,
    pub(super) uid: String,
    pub(super) patient_id: String,
    pub(super) patient_name: String,
    pub(super) sex: String,
    pub(super) birth_date: String,
    pub(super) age: String,
    pub(super) accession: String,
    pub(super) study_date: String,
    pub(super) description: String,
    pub(super) manufacturer: String,
    pub(super) first_at: i64,
    /// In force.
    pub(super) acuity: Option<String>,
    pub(super) shown: Option<Shown>,
    /// Oldest first.
    pub(super) decisions: Vec<Decided>,
}

/// The result that a study shows.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) id: i64,
    pub(super) analysed: bool,
    /// Why it was not.
    pub(super) reason: String,
    pub(super) acuity: Option<String>,
    pub(super) partial: bool,
    pub(super) finished_at: i64,
    pub(super) model_digest: String,
    pub(super) model_id: String,
    pub(super) intended_use: String,
    assessment: Option<String>,
}

/// A result that says something.
pub(super) struct Analysed {
    pub(super) id: i64,
    pub(super) partial: bool,
    pub(super) finished_at: i64,
    pub(super) model_digest: String,
    pub(super) model_id: String,
    pub(super) intended_use: String,
    pub(super) assessment: Assessment,
}

/// A decision in force.
pub(super) struct Decided {
    pub(super) kind: String,
    pub(super) finding: String,
    /// Acuity, for `reprioritise`.
    pub(super) value: String,
    pub(super) reason: String,
    pub(super) actor: String,
    pub(super) at: i64,
}

impl Decided {
    /// Of decisions that replace each other only the latest is in force.
    fn replaces(&self, other: &Self) -> bool {
        let group = |kind: &str| match kind {
            "agree" | "disagree" => 0,
            "reprioritise" => 1,
            _ => 2,
        };
        group(&self.kind) == group(&other.kind) && self.finding == other.finding
    }
}

/// Columns of a [`Shown`]. What another program has stored as JSON must not fail a transaction.
const SHOWN: &str = "
    r.id AS result, r.outcome = 'analysed' AS analysed, r.reason AS why, r.acuity AS model_acuity,
    r.partial AS partial, r.finished_at AS finished_at, r.model_digest AS model_digest,
    r.assessment AS assessment,
    coalesce(CASE WHEN json_valid(r.result) THEN r.result END ->> '$.model.id', '') AS model_id,
    coalesce(CASE WHEN json_valid(r.result) THEN r.result END ->> '$.model.intended_use', '')
      AS intended_use";

impl StudyNow {
    pub(super) fn read(db: &Connection, study_id: i64) -> Result<Self, StoreError> {
        let mut query = db.prepare_cached(&format!(
            "SELECT s.id AS id, uid, patient_id, patient_name, sex, birth_date, age, accession,
                    study_date, description, manufacturer, first_at, s.acuity AS acuity,
                    done_at IS NOT NULL AS done, {SHOWN}
             FROM study s LEFT JOIN inference r ON r.id = s.shown_inference WHERE s.id = ?"
        ))?;
        let (mut study, done) = query.query_row([study_id], |row| {
            let shown = row.get::<_, Option<i64>>("result")?.map(|_| shown(row)).transpose()?;
            let study = Self {
                id: row.get("id")?,
                uid: row.get("uid")?,
                patient_id: row.get("patient_id")?,
                patient_name: row.get("patient_name")?,
                sex: row.get("sex")?,
                birth_date: row.get("birth_date")?,
                age: row.get("age")?,
                accession: row.get("accession")?,
                study_date: row.get("study_date")?,
                description: row.get("description")?,
                manufacturer: row.get("manufacturer")?,
                first_at: row.get("first_at")?,
                acuity: row.get("acuity")?,
                shown,
                decisions: Vec::new(),
            };
            Ok((study, row.get::<_, bool>("done")?))
        })?;
        study.decisions = decisions(db, study_id)?;
        // Done holds for the images that the reader saw, which `done_at` knows.
        study.decisions.retain(|d| d.kind != "reopen" && (done || d.kind != "done"));
        Ok(study)
    }

    /// What it shows, if that says something.
    pub(super) fn analysed(&self) -> Option<Analysed> {
        self.shown.clone().and_then(Shown::analysed)
    }

    /// Sex as the profiles of what is sent have it.
    pub(super) fn sex(&self) -> &'static str {
        sex(&self.sex)
    }

    /// Age at the study.
    pub(super) fn age_years(&self) -> Option<u32> {
        age_years(&self.age, &self.birth_date, &self.study_date)
    }
}

/// `M`, `F`, `O`, or empty.
pub(in crate::store) fn sex(sent: &str) -> &'static str {
    ["M", "F", "O"].into_iter().find(|known| *known == sent.trim()).unwrap_or_default()
}

/// Age at the study, from the scanner (PS3.5 6.2, AS), else the years between birth and study.
pub(in crate::store) fn age_years(age: &str, born: &str, made: &str) -> Option<u32> {
    let number = |text: &str, from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    let age = age.trim();
    if let (Some(n), Some(unit)) = (number(age, 0, 3), age.get(3..)) {
        return match unit {
            "Y" => Some(n),
            "M" => Some(n / 12),
            "W" => Some(n / 52),
            "D" => Some(n / 365),
            _ => None,
        };
    }
    let years = number(made, 0, 4)?.checked_sub(number(born, 0, 4)?)?;
    // As numbers, so that 0229 against 0228 compares like a calendar.
    let before = number(made, 4, 8)? < number(born, 4, 8)?;
    years.checked_sub(u32::from(before)).filter(|years| *years <= 130)
}

impl Shown {
    /// An assessment of a program that wrote another format says nothing.
    fn analysed(self) -> Option<Analysed> {
        let assessment = self.assessment.filter(|_| self.analysed)?;
        Some(Analysed {
            id: self.id,
            partial: self.partial,
            finished_at: self.finished_at,
            model_digest: self.model_digest,
            model_id: self.model_id,
            intended_use: self.intended_use,
            assessment: serde_json::from_str(&assessment).ok()?,
        })
    }
}

/// A result that an earlier flag rests on; `None` when its model is killed.
pub(super) fn result(db: &Connection, inference_id: i64) -> Result<Option<Analysed>, StoreError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {SHOWN} FROM inference r LEFT JOIN model m ON m.digest = r.model_digest
         WHERE r.id = ? AND m.killed_at IS NULL"
    ))?;
    Ok(query.query_row([inference_id], shown).optional()?.and_then(Shown::analysed))
}

fn shown(row: &Row<'_>) -> Result<Shown, rusqlite::Error> {
    Ok(Shown {
        id: row.get("result")?,
        analysed: row.get("analysed")?,
        reason: row.get("why")?,
        acuity: row.get("model_acuity")?,
        partial: row.get("partial")?,
        finished_at: row.get("finished_at")?,
        model_digest: row.get("model_digest")?,
        model_id: row.get("model_id")?,
        intended_use: row.get("intended_use")?,
        assessment: row.get("assessment")?,
    })
}

fn decisions(db: &Connection, study_id: i64) -> Result<Vec<Decided>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT kind, finding, value, reason, actor, at FROM decision
         WHERE study_id = ? AND undone_at IS NULL ORDER BY id",
    )?;
    let rows = query.query_map([study_id], |row| {
        Ok(Decided {
            kind: row.get(0)?,
            finding: row.get(1)?,
            value: row.get(2)?,
            reason: row.get(3)?,
            actor: row.get(4)?,
            at: row.get(5)?,
        })
    })?;
    let mut in_force: Vec<Decided> = Vec::new();
    for decided in rows {
        let decided = decided?;
        in_force.retain(|earlier| !decided.replaces(earlier));
        in_force.push(decided);
    }
    Ok(in_force)
}
