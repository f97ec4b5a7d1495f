//! The files of a cohort folder, and those of the private folder beside it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::deidentify::create_private;
use super::exclusion::Exclusion;
use super::report_files::files_under;
use super::summary::Summary;
use super::{CurateError, flow, resolved};
use crate::cohort::record::StudyRecord;
use crate::cohort::{self, CohortHeader, CohortKind};

/// A line of `rejected.jsonl`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Rejected {
    /// `file`, `folder`, `report` or `study`.
    pub(super) kind: &'static str,
    /// Pseudonym; `private_dir` says what it stands for.
    pub(super) id: String,
    /// Step of the flow chart, for studies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Exclusion>,
    /// More about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) what: String,
}

/// The two folders.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) cohort: PathBuf,
    pub(super) private: PathBuf,
}

impl Output {
    /// Makes both folders and checks that neither lies in the other.
    pub(super) fn create(cohort: &Path, private: &Path) -> Result<Self, CurateError> {
        let (whole, secret) = (resolved(cohort), resolved(private));
        if whole.starts_with(&secret) || secret.starts_with(&whole) {
            return Err(CurateError::PrivateInside {
                private: private.into(),
                output: cohort.into(),
            });
        }
        if files_under(cohort)
            .is_ok_and(|found| !found.files.is_empty() || !found.unreadable.is_empty())
        {
            return Err(CurateError::OutputInUse { path: cohort.into() });
        }
        for folder in [cohort.join("studies").as_path(), private] {
            let fails = |source| CurateError::Write { path: folder.to_owned(), source };
            fs::create_dir_all(folder).map_err(fails)?;
        }
        Ok(Self { cohort: cohort.into(), private: private.into() })
    }

    /// What was left out, and, outside the cohort, what the pseudonyms stand for.
    pub(super) fn write_lists(
        &self,
        rejected: &[Rejected],
        private: &[serde_json::Value],
    ) -> Result<(), CurateError> {
        self.write("rejected.jsonl", &lines(rejected))?;
        let path = self.private.join("pseudonyms.local.jsonl");
        let written =
            create_private(&path).and_then(|mut file| file.write_all(lines(private).as_bytes()));
        written.map_err(|source| CurateError::Write { path, source })
    }

    pub(super) fn write_summary(&self, summary: &Summary) -> Result<(), CurateError> {
        let mut json = serde_json::to_string_pretty(summary).unwrap_or_default();
        json.push('\n');
        self.write("summary.json", &json)?;
        self.write("summary.txt", &summary.text())?;
        self.write("flow.svg", &flow::svg(&summary.counts))
    }

    /// Records and header last: a cohort without them is not finished. What else there is to say
    /// of the cohort stands in `summary.json`.
    pub(super) fn write_cohort(
        &self,
        records: &[StudyRecord],
        summary: &Summary,
    ) -> Result<(), CurateError> {
        let splits = summary.counts.splits.iter().filter(|(_, count)| count.studies > 0);
        let header = CohortHeader {
            kind: CohortKind::Clinical,
            source: format!(
                "{} studies of {} patients from a hospital's archive",
                records.len(),
                summary.patients
            ),
            program: format!("trainer {}", env!("CARGO_PKG_VERSION")),
            seed: None,
            studies: splits.map(|(name, count)| (name.clone(), count.studies)).collect(),
        };
        Ok(cohort::write(&self.cohort, &header, records)?)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), CurateError> {
        let path = self.cohort.join(name);
        fs::write(&path, text).map_err(|source| CurateError::Write { path, source })
    }
}

/// One JSON object a line.
fn lines<T: Serialize>(items: &[T]) -> String {
    items
        .iter()
        .filter_map(|item| serde_json::to_string(item).ok())
        .map(|line| line + "\n")
        .collect()
}
