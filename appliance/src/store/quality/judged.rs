//! What readers said of findings, for the share of them that is right, by groups of patients and by
//! scanner.

use serde::Serialize;

use crate::store::outbox::{age_band, age_years, sex};
use crate::store::{Store, StoreError};

/// Latest studies of a model that are looked at, as for the figures beside a finding.
const WINDOW: i64 = crate::store::decisions::STATISTICS_WINDOW;

/// A finding that a reader has judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The label.
    pub label: String,
    /// The reader agreed.
    pub agreed: bool,
    /// `M`, `F`, `O`, or empty.
    pub sex: &'static str,
    /// `0-17`, `18-39`, `40-64`, `65+`, or empty.
    pub age_band: &'static str,
    /// What people call the scanner.
    pub scanner: String,
}

impl Store {
    /// Findings of the latest studies of a model that a reader has judged; of several verdicts on
    /// one finding the latest in force.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn judged_findings(&self, model_digest: &str) -> Result<Vec<Judged>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached(JUDGED)?;
            let rows = select.query_map((model_digest, WINDOW), |row| {
                let [sent, age, born, made]: [String; 4] =
                    [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
                Ok(Judged {
                    label: row.get(0)?,
                    agreed: row.get(1)?,
                    sex: sex(&sent),
                    age_band: age_years(&age, &born, &made).map(age_band).unwrap_or_default(),
                    scanner: row.get(6)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// Parameters: model digest, window.
const JUDGED: &str = "
    WITH latest AS MATERIALIZED (
        SELECT study_id, scanner_id FROM monitored WHERE model_digest = ?1
        ORDER BY id DESC LIMIT ?2)
    SELECT d.finding, d.kind = 'agree', s.sex, s.age, s.birth_date, s.study_date, c.name
    FROM latest m JOIN study s ON s.id = m.study_id
                  JOIN scanner c ON c.id = m.scanner_id
                  JOIN decision d ON d.study_id = s.id
    WHERE d.kind IN ('agree', 'disagree') AND d.undone_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM decision later
                          WHERE later.study_id = d.study_id AND later.finding = d.finding
                                AND later.id > d.id AND later.undone_at IS NULL)
    ORDER BY d.id";
