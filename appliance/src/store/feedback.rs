//! What readers decided on results, for whoever trains the model further.

use std::collections::BTreeMap;

use super::{Store, StoreError};

/// A study that a reader was done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadStudy {
    /// Row of the study.
    pub study_id: i64,
    /// Completion of the study that the result is about.
    pub generation: i64,
    /// `triage::Assessment` as JSON.
    pub assessment: String,
    /// Verdict in force on each finding that has one: `true` for agreed.
    pub verdicts: BTreeMap<String, bool>,
    /// Acuity that a reader gave instead of the model's.
    pub acuity: Option<String>,
}

impl Store {
    /// Studies that were read and show a result of this model, oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn read_studies(&self, model_digest: &str) -> Result<Vec<ReadStudy>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT s.id, r.generation, coalesce(r.assessment, ''),
                        (SELECT json_group_object(finding, json(iif(kind = 'agree', 'true', 'false')))
                         FROM (SELECT finding, kind, max(id) FROM decision
                               WHERE study_id = s.id AND kind IN ('agree', 'disagree')
                                     AND undone_at IS NULL GROUP BY finding)),
                        (SELECT value FROM decision WHERE study_id = s.id
                                AND kind = 'reprioritise' AND undone_at IS NULL
                         ORDER BY id DESC LIMIT 1)
                 FROM study s JOIN inference r ON r.id = s.shown_inference
                 WHERE s.queue = 'done' AND r.outcome = 'analysed' AND r.model_digest = ?
                 ORDER BY s.id",
            )?;
            let mut rows = select.query([model_digest])?;
            let mut studies = Vec::new();
            while let Some(row) = rows.next()? {
                let verdicts: String = row.get(3)?;
                studies.push(ReadStudy {
                    study_id: row.get(0)?,
                    generation: row.get(1)?,
                    assessment: row.get(2)?,
                    verdicts: serde_json::from_str(&verdicts)
                        .map_err(|source| StoreError::Stored { what: "verdict", source })?,
                    acuity: row.get(4)?,
                });
            }
            Ok(studies)
        })
    }
}
