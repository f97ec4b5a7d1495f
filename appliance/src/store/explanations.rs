//! Which places of an image a finding rests on: what is to be explained, and what came of it.

use rusqlite::OptionalExtension as _;
use serde_json::json;

use super::{Store, StoreError, deliveries, outbox};

/// A finding that is to be explained: the first one of a result that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplanationJob {
    /// Row of the study.
    pub study_id: i64,
    /// Row of the result.
    pub inference_id: i64,
    /// Folder of the study below the archive.
    pub folder: String,
    /// Clinical context that the result has read.
    pub context: String,
    /// The label.
    pub finding: String,
}

/// An explanation as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredExplanation {
    /// The label.
    pub finding: String,
    /// `ExplanationInfo` as JSON; `None` when there is none.
    pub info: Option<String>,
    /// Why there is none.
    pub failed: String,
}

impl Store {
    /// The next finding of a model to explain, of all studies or of some, of urgent ones first; none
    /// of studies that were read.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn next_explanation(
        &self,
        digest: &str,
        among: Option<&[i64]>,
    ) -> Result<Option<ExplanationJob>, StoreError> {
        // Some are found by their ids, all by their queue.
        let (index, filter, ids) = match among {
            None => ("INDEXED BY study_queue", "?2 IS NULL", None),
            Some(ids) => {
                let filter = "s.id IN (SELECT value FROM json_each(?2))";
                ("NOT INDEXED", filter, Some(json!(ids).to_string()))
            }
        };
        self.read(|db| {
            let mut query = db.prepare_cached(&format!(
                "SELECT s.id, r.id, r.context, r.assessment ->> '$.findings[0].label',
                        (SELECT i.path FROM instance i WHERE i.study_id = s.id LIMIT 1)
                 FROM study s {index} JOIN inference r ON r.id = s.shown_inference
                 WHERE {filter} AND s.queue IN ('urgent', 'review') AND s.state = 'settled'
                   AND s.evicted_at IS NULL AND r.outcome = 'analysed' AND r.model_digest = ?1
                   AND r.assessment ->> '$.findings[0].label' IS NOT NULL
                   AND NOT EXISTS (SELECT 1 FROM explanation e WHERE e.inference_id = r.id)
                 ORDER BY s.queue = 'urgent' DESC, r.id LIMIT 1",
            ))?;
            let found = query.query_row((digest, ids), |row| {
                let path: Option<String> = row.get(4)?;
                let folder = path.as_deref().and_then(|path| path.rsplit_once('/'));
                Ok(ExplanationJob {
                    study_id: row.get(0)?,
                    inference_id: row.get(1)?,
                    context: row.get(2)?,
                    finding: row.get(3)?,
                    folder: folder.map_or(String::new(), |(folder, _)| folder.to_owned()),
                })
            });
            Ok(found.optional()?)
        })
    }

    /// Stores an explanation, or why there is none, and queues its picture and places.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn explained(
        &self,
        job: &ExplanationJob,
        outcome: Result<String, String>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (info, failed) = match outcome {
            Ok(info) => (Some(info), String::new()),
            Err(reason) => (None, reason),
        };
        self.write(|tx| {
            tx.prepare_cached(
                "INSERT INTO explanation (inference_id, finding, info, failed) VALUES (?, ?, ?, ?)
                 ON CONFLICT DO NOTHING",
            )?
            .execute((job.inference_id, &job.finding, &info, &failed))?;
            deliveries::queue(tx, job.study_id)?;
            outbox::queue(tx, job.study_id, now)
        })
    }

    /// The explanation of a result, if it was tried.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn explanation(&self, inference_id: i64) -> Result<Option<StoredExplanation>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT finding, info, failed FROM explanation WHERE inference_id = ?",
            )?;
            let found = query.query_row([inference_id], |row| {
                let (finding, info, failed) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(StoredExplanation { finding, info, failed })
            });
            Ok(found.optional()?)
        })
    }
}
