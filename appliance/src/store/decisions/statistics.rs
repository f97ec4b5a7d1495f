//! How often readers agree with a finding at this site. False alarms, not misses, cost a model its
//! readers' trust, so the site's own figures stand beside every finding.

use serde::Serialize;
use statistics::interval::wilson;

use crate::store::{Store, StoreError};

/// Latest results of a model that [`Store::finding_statistics`] looks at. It bounds the work, and
/// lets a figure follow what happens at the site now.
pub const STATISTICS_WINDOW: i64 = 5000;

/// What readers at this site make of a finding of one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FindingStatistics {
    /// Label.
    pub label: String,
    /// Studies that show the finding.
    pub shown: i64,
    /// Of these, studies a reader agreed on.
    pub agreed: i64,
    /// Of these, studies a reader disagreed on.
    pub disagreed: i64,
    /// Studies that show the finding and that a reader is done with or decided anything on.
    pub reviewed: i64,
    /// Of these, studies a reader disagreed on or gave another acuity than the model.
    pub overridden: i64,
    /// agreed / (agreed + disagreed); `None` before the first.
    pub ppv: Option<f64>,
    /// Its 95 % interval by Wilson's score.
    pub ppv_interval: Option<[f64; 2]>,
    /// overridden / reviewed; `None` before the first.
    pub override_rate: Option<f64>,
}

impl Store {
    /// Statistics of these findings over the latest [`STATISTICS_WINDOW`] shown results of a model,
    /// by label; a finding that none of them has is left out. Of several decisions on one finding
    /// the latest in force counts.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn finding_statistics(
        &self,
        model_digest: &str,
        labels: &[&str],
    ) -> Result<Vec<FindingStatistics>, StoreError> {
        let labels = serde_json::json!(labels).to_string();
        self.read(|db| {
            let mut select = db.prepare_cached(STATISTICS)?;
            let rows = select.query_map((&labels, model_digest, STATISTICS_WINDOW), |row| {
                let (agreed, disagreed) = (row.get(2)?, row.get(3)?);
                let (reviewed, overridden) = (row.get(4)?, row.get(5)?);
                Ok(FindingStatistics {
                    label: row.get(0)?,
                    shown: row.get(1)?,
                    agreed,
                    disagreed,
                    reviewed,
                    overridden,
                    ppv: share(agreed, agreed + disagreed),
                    ppv_interval: interval(agreed, agreed + disagreed),
                    override_rate: share(overridden, reviewed),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// Parameters: labels as JSON, model digest, window.
const STATISTICS: &str = "
    WITH oldest AS MATERIALIZED (
        SELECT coalesce((SELECT inference.id FROM inference
                                JOIN study ON study.id = inference.study_id
                         WHERE study.shown_inference = inference.id
                               AND inference.outcome = 'analysed' AND inference.model_digest = ?2
                         ORDER BY inference.id DESC LIMIT 1 OFFSET ?3 - 1), 0) AS id),
    shown AS (
        SELECT finding.label AS label,
               study.queue = 'done' OR EXISTS (
                   SELECT 1 FROM decision WHERE study_id = study.id AND undone_at IS NULL)
                   AS reviewed,
               coalesce((SELECT value <> inference.acuity FROM decision
                         WHERE study_id = study.id AND kind = 'reprioritise'
                               AND undone_at IS NULL
                         ORDER BY id DESC LIMIT 1), 0) AS reprioritised,
               (SELECT kind FROM decision
                WHERE study_id = study.id AND finding = finding.label AND undone_at IS NULL
                ORDER BY id DESC LIMIT 1) AS verdict
        FROM json_each(?1) AS asked
             CROSS JOIN finding ON finding.label = asked.value
                                   AND finding.inference_id >= (SELECT id FROM oldest)
             JOIN inference ON inference.id = finding.inference_id
             JOIN study ON study.id = inference.study_id
        WHERE study.shown_inference = inference.id AND inference.outcome = 'analysed'
              AND inference.model_digest = ?2)
    SELECT label, count(*), sum(verdict IS 'agree'), sum(verdict IS 'disagree'),
           sum(reviewed), sum(reviewed AND (reprioritised OR verdict IS 'disagree'))
    FROM shown GROUP BY label ORDER BY label";

#[expect(clippy::cast_precision_loss, reason = "counts of studies are far below 2^52")]
fn share(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Wilson's interval of a share; unlike the textbook one it is honest about three out of three.
fn interval(part: i64, whole: i64) -> Option<[f64; 2]> {
    let [part, whole] = [part, whole].map(|count| usize::try_from(count).unwrap_or_default());
    wilson(part.min(whole), whole).map(|interval| [interval.lower, interval.upper])
}
