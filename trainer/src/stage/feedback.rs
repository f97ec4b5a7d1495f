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
    /// Diagnoses that the site withholds, of which nobody was asked.
    #[serde(default)]
    pub withheld: Vec<String>,
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
        for name in line.diagnoses.iter().chain(&line.withheld) {
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
        let binary = targets(&line, tasks);
        table.features.extend(line.embedding);
        table.targets.push(Targets { binary, class, age: None });
    }
    Ok(table)
}

/// Of what was withheld nothing is known, and a service that was not named may be one that only a
/// withheld finding would have named.
fn targets(line: &Feedback, tasks: &Tasks) -> Vec<f32> {
    let target = |yes: bool, asked: bool| match (yes, asked) {
        (true, _) => 1.0,
        (false, true) => 0.0,
        (false, false) => f32::NAN,
    };
    let named = |list: &[String], label: &str| list.iter().any(|name| name == label);
    let diagnoses = DIAGNOSES
        .iter()
        .map(|label| target(named(&line.diagnoses, label), !named(&line.withheld, label)));
    let services = tasks
        .services
        .iter()
        .map(|service| target(named(&line.referrals, service), line.withheld.is_empty()));
    diagnoses.chain(services).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_site_withheld_is_no_target() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feedback.jsonl");
        let line = |withheld: &str| {
            format!(
                r#"{{"model": "m", "embedding": [0.5], "diagnoses": ["{}"], "acuity": "low",
                     "referrals": ["neurology"]{withheld}}}"#,
                DIAGNOSES[0]
            )
            .replace('\n', " ")
        };
        let withheld = format!(r#", "withheld": ["{}"]"#, DIAGNOSES[1]);
        std::fs::write(&path, format!("{}\n{}\n", line(""), line(&withheld))).unwrap();
        let tasks = Tasks { services: vec!["neurology".to_owned(), "stroke".to_owned()] };
        let table = rows(&path, &tasks, 1).unwrap();
        let [asked, not_asked] = [0, 1].map(|row| &table.targets[row].binary);
        let last = DIAGNOSES.len();
        assert_eq!((&asked[..3], &asked[last..]), (&[1.0, 0.0, 0.0][..], &[1.0, 0.0][..]));
        assert_eq!((not_asked[0], not_asked[2], not_asked[last]), (1.0, 0.0, 1.0));
        assert!(not_asked[1].is_nan() && not_asked[last + 1].is_nan());
    }
}
