//! Readers' corrections from appliances: one JSON line a decided study, with the embedding that
//! the heads read, so that no image has to leave the clinic.

use std::path::Path;

use models::labels::DIAGNOSES;
use serde::{Deserialize, Serialize};

use super::heads::Table;
use super::tasks::{CLASSES, Targets, Tasks};
use crate::cohort::read_lines;

/// One decided study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feedback {
    /// Identity of the model that made the embedding.
    pub model: String,
    /// Study embedding.
    pub embedding: Vec<f32>,
    /// Diagnoses that the reader found, by name.
    pub diagnoses: Vec<String>,
    /// Services the patient was referred to.
    pub referrals: Vec<String>,
    /// Acuity the reader gave: none, low, medium, high.
    pub acuity: String,
}

/// Rows to train on beside a cohort's.
///
/// # Errors
///
/// Names the line and the field at fault.
pub fn rows(path: &Path, tasks: &Tasks, width: usize) -> anyhow::Result<Table> {
    let lines: Vec<Feedback> = read_lines(path)?;
    let mut table = Table { features: Vec::new(), width, targets: Vec::new() };
    for (i, line) in lines.into_iter().enumerate() {
        let at = || format!("{}, line {}", path.display(), i + 1);
        anyhow::ensure!(
            line.embedding.len() == width,
            "{}: the embedding has {} values, this network's have {width}; export feedback for the model that is trained further",
            at(),
            line.embedding.len()
        );
        for name in &line.diagnoses {
            anyhow::ensure!(
                DIAGNOSES.contains(&name.as_str()),
                "{}: {name:?} is no diagnosis of the label list",
                at()
            );
        }
        let class = CLASSES.iter().position(|class| *class == line.acuity);
        let class = class.ok_or_else(|| {
            anyhow::anyhow!(
                "{}: acuity is {:?}, expected none, low, medium or high",
                at(),
                line.acuity
            )
        })?;
        let float = |yes: bool| f32::from(u8::from(yes));
        let diagnoses =
            DIAGNOSES.iter().map(|d| float(line.diagnoses.iter().any(|name| name == d)));
        let services = tasks.services.iter().map(|s| float(line.referrals.contains(s)));
        let binary = diagnoses.chain(services).collect();
        table.features.extend(line.embedding);
        table.targets.push(Targets { binary, class, age: None });
    }
    Ok(table)
}
