//! A cohort on disk: what `curate` and `simulate` write and every later stage reads.
//!
//! | file | content |
//! |---|---|
//! | `cohort.toml` | what it is and where it comes from |
//! | `cohort.jsonl` | one [`StudyRecord`] a line |
//! | `labels.jsonl` | one [`StudyLabels`] a line |
//! | `truth.jsonl` | simulated cohorts: one [`StudyTruth`] a line |
//! | `studies/<id>/<series>/` | de-identified DICOM, where it was kept |
//! | `patches-NNNN.safetensors` | kept patches of some studies each ([`shard`]) |
//! | `tokens-NNNN.safetensors` | their tokens, beside or in place of them |
//! | `selection.toml` | by which rules the series in the patches were selected |

pub mod prepare;
pub mod record;
pub mod shard;
pub mod slices;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use models::dicom::select::Selection;
use models::labels::DIAGNOSES;
use models::weights::manifest::SelectionSeen;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use record::{Split, StudyLabels, StudyRecord, StudyTruth};

/// File names inside a cohort.
pub mod files {
    /// What the cohort is.
    pub const COHORT: &str = "cohort.toml";
    /// Studies.
    pub const RECORDS: &str = "cohort.jsonl";
    /// Labels.
    pub const LABELS: &str = "labels.jsonl";
    /// What the simulator knows.
    pub const TRUTH: &str = "truth.jsonl";
    /// Rules by which series were selected.
    pub const SELECTION: &str = "selection.toml";
    /// Folder of the DICOM files.
    pub const STUDIES: &str = "studies";
}

/// `cohort.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CohortHeader {
    /// Simulated or clinical.
    pub kind: CohortKind,
    /// Where it comes from, in one sentence.
    pub source: String,
    /// Program that wrote it.
    pub program: String,
    /// Seed of a simulated cohort.
    pub seed: Option<u64>,
    /// Studies in each split.
    pub studies: BTreeMap<String, usize>,
}

/// Where studies come from, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CohortKind {
    /// Made by `trainer simulate`.
    Simulated,
    /// A hospital's own studies.
    Clinical,
}

/// An opened cohort.
#[derive(Clone, Debug)]
pub struct Cohort {
    /// Its folder.
    pub folder: PathBuf,
    /// What it is.
    pub header: CohortHeader,
    /// Its studies in file order.
    pub records: Vec<StudyRecord>,
    /// Labels by study; empty before `label` ran.
    pub labels: HashMap<String, StudyLabels>,
    /// What the simulator knows, by study.
    pub truth: HashMap<String, StudyTruth>,
}

/// A cohort that is refused.
#[derive(Debug, thiserror::Error)]
pub enum CohortError {
    /// A file is missing or unreadable.
    #[error("cannot read {path}; a cohort is a folder that `curate` or `simulate` wrote")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The header is something else.
    #[error("{path} is not a cohort's header")]
    Header {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A line is something else.
    #[error("{path}, line {line}: {reason}; write the cohort again or correct the line")]
    Line {
        /// The file.
        path: PathBuf,
        /// One-based line.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// No study.
    #[error("{path} holds no study; there is nothing to learn from")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A patient would be trained and tested on.
    #[error(
        "{path}: patient {patient} is in {first:?} and in {second:?}; every patient belongs to one split"
    )]
    PatientInTwoSplits {
        /// The file.
        path: PathBuf,
        /// Pseudonym.
        patient: String,
        /// One split.
        first: Split,
        /// Another one.
        second: Split,
    },
    /// A study without labels where labels are needed.
    #[error("{path} has no labels of study {id}; run `trainer label` on the cohort")]
    Unlabelled {
        /// The labels' file.
        path: PathBuf,
        /// The study.
        id: String,
    },
}

impl Cohort {
    /// Reads a cohort and checks that no patient is in two splits.
    ///
    /// # Errors
    ///
    /// Names the file and line at fault.
    pub fn open(folder: &Path) -> Result<Self, CohortError> {
        let path = folder.join(files::COHORT);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| CohortError::Read { path: path.clone(), source })?;
        let header = toml::from_str(&text)
            .map_err(|source| CohortError::Header { path, source: Box::new(source) })?;
        let path = folder.join(files::RECORDS);
        let records: Vec<StudyRecord> = read_lines(&path)?;
        check(&path, &records)?;
        let path = folder.join(files::LABELS);
        let labels: Vec<(usize, StudyLabels)> = read_if_there(&path)?;
        check_labels(&path, &records, &labels)?;
        let truth: Vec<(usize, StudyTruth)> = read_if_there(&folder.join(files::TRUTH))?;
        Ok(Self {
            folder: folder.to_owned(),
            header,
            records,
            labels: labels.into_iter().map(|(_, l)| (l.id.clone(), l)).collect(),
            truth: truth.into_iter().map(|(_, t)| (t.id.clone(), t)).collect(),
        })
    }

    /// Studies of a split.
    pub fn split(&self, split: Split) -> impl Iterator<Item = &StudyRecord> {
        self.records.iter().filter(move |record| record.split == split)
    }

    /// Labels of a study.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub fn labels(&self, id: &str) -> Result<&StudyLabels, CohortError> {
        let path = || self.folder.join(files::LABELS);
        self.labels
            .get(id)
            .ok_or_else(|| CohortError::Unlabelled { path: path(), id: id.to_owned() })
    }
}

/// Writes header and records; everything else stands beside them.
///
/// # Errors
///
/// When a file cannot be written, or the records are refused as [`Cohort::open`] would.
pub fn write(
    folder: &Path,
    header: &CohortHeader,
    records: &[StudyRecord],
) -> Result<(), CohortError> {
    let path = folder.join(files::RECORDS);
    check(&path, records)?;
    write_lines(&path, records)?;
    let path = folder.join(files::COHORT);
    let text = toml::to_string_pretty(header).map_err(std::io::Error::other);
    let written = text.and_then(|text| std::fs::write(&path, text));
    written.map_err(|source| CohortError::Write { path, source })
}

fn check(path: &Path, records: &[StudyRecord]) -> Result<(), CohortError> {
    if records.is_empty() {
        return Err(CohortError::Empty { path: path.to_owned() });
    }
    let mut ids = BTreeSet::new();
    let mut splits: HashMap<&str, Split> = HashMap::new();
    for (i, record) in records.iter().enumerate() {
        if !ids.insert(&record.id) {
            let reason = format!("study {} stands there twice", record.id);
            return Err(CohortError::Line { path: path.to_owned(), line: i + 1, reason });
        }
        let first = *splits.entry(&record.patient).or_insert(record.split);
        if first != record.split {
            return Err(CohortError::PatientInTwoSplits {
                path: path.to_owned(),
                patient: record.patient.clone(),
                first,
                second: record.split,
            });
        }
    }
    Ok(())
}

/// Labels are of this cohort's studies, one line each, with a value for every diagnosis.
fn check_labels(
    path: &Path,
    records: &[StudyRecord],
    labels: &[(usize, StudyLabels)],
) -> Result<(), CohortError> {
    let studies: BTreeSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
    let mut seen = BTreeSet::new();
    for (line, StudyLabels { id, diagnoses, .. }) in labels {
        let reason = if diagnoses.len() != DIAGNOSES.len() {
            format!("{id} has {} labels, expected {}", diagnoses.len(), DIAGNOSES.len())
        } else if !studies.contains(id.as_str()) {
            format!(
                "study {id} is not in {}, so this file or this line belongs to another cohort \
                 (remove it, and run `trainer label` where labels are missing)",
                files::RECORDS
            )
        } else if !seen.insert(id.as_str()) {
            format!("study {id} is labelled twice (remove one of its lines)")
        } else {
            continue;
        };
        return Err(CohortError::Line { path: path.to_owned(), line: *line, reason });
    }
    Ok(())
}

/// Notes by which rules the series in the cohort's patches were selected.
///
/// # Errors
///
/// When the file cannot be written.
pub fn note_selection(folder: &Path, selection: &Selection) -> Result<(), CohortError> {
    let path = folder.join(files::SELECTION);
    let text = toml::to_string(&SelectionSeen::of(selection)).map_err(std::io::Error::other);
    let written = text.and_then(|text| std::fs::write(&path, text));
    written.map_err(|source| CohortError::Write { path, source })
}

/// What [`note_selection`] wrote; `None` for a cohort that does not say.
///
/// # Errors
///
/// When the file is something else.
pub fn seen_selection(folder: &Path) -> Result<Option<SelectionSeen>, CohortError> {
    let path = folder.join(files::SELECTION);
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path)
        .map_err(|source| CohortError::Read { path: path.clone(), source })?;
    let seen = toml::from_str(&text).map_err(|error| CohortError::Line {
        path,
        line: 1,
        reason: error.message().to_owned(),
    })?;
    Ok(Some(seen))
}

/// Reads a file of JSON lines.
///
/// # Errors
///
/// Names the line at fault.
pub fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, CohortError> {
    Ok(read_numbered::<T>(path)?.into_iter().map(|(_, item)| item).collect())
}

/// Items with their one-based lines.
fn read_numbered<T: DeserializeOwned>(path: &Path) -> Result<Vec<(usize, T)>, CohortError> {
    let read = |source| CohortError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    let mut items = Vec::new();
    for (i, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(read)?;
        if line.trim().is_empty() {
            continue;
        }
        let item = serde_json::from_str(&line).map_err(|e| CohortError::Line {
            path: path.to_owned(),
            line: i + 1,
            reason: e.to_string(),
        })?;
        items.push((i + 1, item));
    }
    Ok(items)
}

fn read_if_there<T: DeserializeOwned>(path: &Path) -> Result<Vec<(usize, T)>, CohortError> {
    if path.exists() { read_numbered(path) } else { Ok(Vec::new()) }
}

/// Writes a file of JSON lines; a reader sees all of it or the file before.
///
/// # Errors
///
/// When it cannot be written.
pub fn write_lines<T: Serialize>(path: &Path, items: &[T]) -> Result<(), CohortError> {
    let failed = |source| CohortError::Write { path: path.to_owned(), source };
    let partial = path.with_extension("partial");
    let mut file = BufWriter::new(File::create(&partial).map_err(failed)?);
    for item in items {
        serde_json::to_writer(&mut file, item).map_err(|e| failed(e.into()))?;
        file.write_all(b"\n").map_err(failed)?;
    }
    file.flush().map_err(failed)?;
    std::fs::rename(&partial, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::record::{Acuity, Demographics, LabelSource, Report};
    use super::*;

    fn record(id: &str) -> StudyRecord {
        StudyRecord {
            id: id.to_owned(),
            patient: format!("p{id}"),
            split: Split::Train,
            day: 0,
            description: String::new(),
            report: Report::default(),
            demographics: Demographics::default(),
        }
    }

    fn labels(id: &str) -> StudyLabels {
        StudyLabels {
            id: id.to_owned(),
            source: LabelSource::Rules,
            diagnoses: vec![false; DIAGNOSES.len()],
            acuity: Acuity::None,
            referrals: Vec::new(),
        }
    }

    #[test]
    fn labels_must_be_of_the_cohorts_studies_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let header = CohortHeader {
            kind: CohortKind::Clinical,
            source: "two studies".to_owned(),
            program: "a test".to_owned(),
            seed: None,
            studies: BTreeMap::from([("train".to_owned(), 2)]),
        };
        write(folder.path(), &header, &[record("s1"), record("s2")]).unwrap();
        assert_eq!(Cohort::open(folder.path()).unwrap().header, header);
        let open = |ids: &[&str]| {
            let lines: Vec<StudyLabels> = ids.iter().map(|id| labels(id)).collect();
            write_lines(&folder.path().join(files::LABELS), &lines).unwrap();
            Cohort::open(folder.path()).map(|cohort| cohort.labels.len())
        };
        assert_eq!(open(&["s2", "s1"]).unwrap(), 2);
        assert_eq!(open(&["s2"]).unwrap(), 1);
        let complaint = |ids: &[&str]| open(ids).unwrap_err().to_string();
        let other = complaint(&["s1", "s9"]);
        assert!(other.contains("labels.jsonl, line 2: study s9 is not in cohort.jsonl"), "{other}");
        let twice = complaint(&["s1", "s2", "s1"]);
        assert!(twice.contains("labels.jsonl, line 3: study s1 is labelled twice"), "{twice}");
    }

    #[test]
    fn a_cohort_says_by_which_rules_its_series_were_selected() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(seen_selection(folder.path()).unwrap(), None);
        let selection = Selection::built_in().unwrap();
        note_selection(folder.path(), &selection).unwrap();
        let seen = seen_selection(folder.path()).unwrap().unwrap();
        assert_eq!(seen, SelectionSeen::of(&selection));
        assert_eq!(seen.difference(&selection), None);
        std::fs::write(folder.path().join(files::SELECTION), "version = 1").unwrap();
        let error = seen_selection(folder.path()).unwrap_err().to_string();
        assert!(error.contains("selection.toml, line 1: invalid type: integer `1`"), "{error}");
    }
}
