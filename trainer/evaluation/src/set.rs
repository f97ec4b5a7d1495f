//! What is evaluated: a folder that `trainer score` writes, or any other program.
//!
//! ```text
//! set.json           what the model and its outputs are: a Header
//! studies.jsonl      one Study a line: truth, groups, scores
//! embeddings.f32     one row of Header::embedding values a study, little-endian, optional
//! ```
//!
//! Experiments that need the network put further files beside these; a section of the report is
//! there when its file is.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Format that this code reads and writes.
pub const FORMAT_VERSION: u32 = 1;
/// Name of the header's file.
pub const HEADER: &str = "set.json";
/// Name of the studies' file.
pub const STUDIES: &str = "studies.jsonl";
/// Name of the file of [`Dropped`].
pub const DROPPED: &str = "dropped.jsonl";
/// Name of the embeddings' file.
pub const EMBEDDINGS: &str = "embeddings.f32";

/// What the model and its outputs are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Identity of the model.
    pub model: String,
    /// Where the studies come from.
    pub cohort: String,
    /// Which part of the cohort: train, validation or test.
    pub split: String,
    /// The studies are simulated, not patients.
    pub simulated: bool,
    /// Diagnoses in the order of [`Scores::diagnosis`].
    pub diagnoses: Vec<Output>,
    /// Services in the order of [`Scores::service`]; `category` is their department.
    pub services: Vec<Output>,
    /// Acuity classes from the least urgent, in the order of [`Scores::acuity`]; empty when the
    /// model has none.
    pub acuity: Vec<String>,
    /// Values of an embedding; 0 when there is no file of embeddings.
    #[serde(default)]
    pub embedding: usize,
}

/// A yes-or-no output of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Name as the model has it.
    pub name: String,
    /// Name as people say it.
    pub title: String,
    /// What it belongs to: a category of diagnoses, a department.
    pub category: String,
    /// The logit from which the output is positive: the bundle's operating point.
    pub threshold: f32,
    /// The same on [`Study::with_context`], whose heads are others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_threshold: Option<f32>,
}

/// One study, a line of `studies.jsonl`. No patient data: pseudonyms and groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// Pseudonym of the study.
    pub id: String,
    /// Pseudonym of the patient.
    pub patient: String,
    /// Groups: attribute to value, such as `sex` to `female`. What is unknown is left out.
    #[serde(default)]
    pub groups: BTreeMap<String, String>,
    /// Age at the study.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_years: Option<f64>,
    /// Hours from acquisition to the final report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turnaround_h: Option<f64>,
    /// What the study shows.
    pub truth: Truth,
    /// What the model says from the images.
    pub scores: Scores,
    /// What it says from images and clinical context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_context: Option<Scores>,
    /// Lesions of a simulated study.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lesions: Vec<Lesion>,
}

/// What a study shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    /// Indices into [`Header::diagnoses`] that are there; all others are not.
    pub diagnoses: Vec<usize>,
    /// Indices into [`Header::services`] that should see the patient.
    #[serde(default)]
    pub services: Vec<usize>,
    /// Index into [`Header::acuity`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acuity: Option<usize>,
}

/// What a model says about a study.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// Logits of the diagnoses.
    pub diagnosis: Vec<f32>,
    /// Calibrated probabilities of the diagnoses; empty when the model has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probability: Vec<f32>,
    /// Logits of the services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service: Vec<f32>,
    /// Logits of the acuity classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acuity: Vec<f32>,
    /// Age that the images look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_years: Option<f64>,
}

/// A simulated lesion, as conspicuous as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lesion {
    /// Indices into [`Header::diagnoses`].
    pub diagnoses: Vec<usize>,
    /// Diameter of a ball of its volume.
    pub diameter_mm: f64,
    /// Largest contrast to noise in any series.
    pub contrast_to_noise: f64,
}

/// A study scored without some of its series, a line of `dropped.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// The study.
    pub id: String,
    /// Which series were left out.
    pub without: String,
    /// Logits of the diagnoses.
    pub diagnosis: Vec<f32>,
}

/// A set in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// What the outputs are.
    pub header: Header,
    /// Every study.
    pub studies: Vec<Study>,
}

/// Why a set is refused.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file or a line is not what it should be.
    #[error("{}, line {line}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The parts do not belong together.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Found and expected.
        what: String,
    },
}

impl Set {
    /// Reads a folder.
    ///
    /// # Errors
    ///
    /// Names file, line, what was found and what was expected.
    pub fn open(folder: &Path) -> Result<Self, SetError> {
        let path = folder.join(HEADER);
        let file =
            File::open(&path).map_err(|source| SetError::Io { path: path.clone(), source })?;
        let header: Header = serde_json::from_reader(BufReader::new(file))
            .map_err(|source| SetError::Json { path: path.clone(), line: source.line(), source })?;
        if header.format_version != FORMAT_VERSION {
            let found = header.format_version;
            let what = format!("format version {found}; this program reads {FORMAT_VERSION}");
            return Err(SetError::Content { path, what });
        }
        let path = folder.join(STUDIES);
        let studies: Vec<Study> = read_lines(&path)?;
        let set = Self { header, studies };
        set.check().map_err(|what| SetError::Content { path, what })?;
        Ok(set)
    }

    /// Writes header and studies into a folder, which is made where it is missing.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), SetError> {
        let write = |name: &str, of: &dyn Fn(&mut BufWriter<File>) -> std::io::Result<()>| {
            let path = folder.join(name);
            let io = |source| SetError::Write { path: path.clone(), source };
            let mut out = BufWriter::new(File::create(&path).map_err(io)?);
            of(&mut out).and_then(|()| out.flush()).map_err(io)
        };
        fs::create_dir_all(folder)
            .map_err(|source| SetError::Write { path: folder.to_owned(), source })?;
        write(HEADER, &|out| Ok(serde_json::to_writer_pretty(out, &self.header)?))?;
        write(STUDIES, &|out| {
            self.studies.iter().try_for_each(|study| {
                serde_json::to_writer(&mut *out, study)?;
                out.write_all(b"\n")
            })
        })
    }

    fn check(&self) -> Result<(), String> {
        let mut seen = HashSet::new();
        for output in self.header.diagnoses.iter().chain(&self.header.services) {
            if !seen.insert(&output.name) {
                return Err(format!("{HEADER} has {} twice; leave one", output.name));
            }
        }
        let mut seen = HashSet::new();
        for (line, study) in (1..).zip(&self.studies) {
            let wrong = |what: String| Err(format!("line {line}, study {}: {what}", study.id));
            if !seen.insert(&study.id) {
                return wrong("the study is there twice; leave one".to_owned());
            }
            for scores in [Some(&study.scores), study.with_context.as_ref()].into_iter().flatten() {
                if let Err(what) = scores.check(&self.header) {
                    return wrong(what);
                }
            }
            let truth = &study.truth;
            let indices = [
                ("diagnosis", &truth.diagnoses[..], self.header.diagnoses.len()),
                ("service", &truth.services[..], self.header.services.len()),
                ("acuity class", truth.acuity.as_slice(), self.header.acuity.len()),
            ];
            for (what, found, count) in indices {
                if let Some(index) = found.iter().find(|index| **index >= count) {
                    return wrong(format!("{what} {index}; {HEADER} lists {count}, from 0"));
                }
            }
        }
        Ok(())
    }

    /// Truth of a diagnosis for every study.
    #[must_use]
    pub fn has(&self, diagnosis: usize) -> Vec<bool> {
        self.studies.iter().map(|study| study.truth.diagnoses.contains(&diagnosis)).collect()
    }

    /// Logits of a diagnosis for every study, from images alone.
    #[must_use]
    pub fn logits(&self, diagnosis: usize) -> Vec<f64> {
        self.studies.iter().map(|study| f64::from(study.scores.diagnosis[diagnosis])).collect()
    }
}

impl Scores {
    fn check(&self, header: &Header) -> Result<(), String> {
        let expected = [
            ("diagnoses", &self.diagnosis, header.diagnoses.len(), false),
            ("probabilities", &self.probability, header.diagnoses.len(), true),
            ("services", &self.service, header.services.len(), true),
            ("acuity classes", &self.acuity, header.acuity.len(), true),
        ];
        for (what, values, count, may_be_empty) in expected {
            if values.len() != count && !(may_be_empty && values.is_empty()) {
                return Err(format!("scores of {} {what}; {HEADER} lists {count}", values.len()));
            }
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(format!("a score of {what} is {value}, not a finite number"));
            }
        }
        if let Some(value) = self.probability.iter().find(|value| !(0.0..=1.0).contains(*value)) {
            return Err(format!("a probability of {value}; write 0 to 1, logits into `diagnosis`"));
        }
        Ok(())
    }
}

/// Reads a file of JSON lines; empty lines count for nothing.
///
/// # Errors
///
/// Names file and line.
pub fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, SetError> {
    let io = |source| SetError::Io { path: path.to_owned(), source };
    let reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(io)?);
    let mut values = Vec::new();
    for (line, text) in (1..).zip(reader.lines()) {
        let text = text.map_err(io)?;
        if !text.trim().is_empty() {
            let value = serde_json::from_str(&text).map_err(|source| SetError::Json {
                path: path.to_owned(),
                line,
                source,
            })?;
            values.push(value);
        }
    }
    Ok(values)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Studies of one patient each; `has` gives the diagnoses of study `i`, and logits are 0.
    pub(crate) fn set(studies: usize, diagnoses: usize, has: impl Fn(usize) -> Vec<usize>) -> Set {
        let output = |d: usize| Output {
            name: format!("diagnosis_{d}"),
            title: format!("diagnosis {d}"),
            category: if d.is_multiple_of(2) { "even" } else { "odd" }.to_owned(),
            threshold: 0.0,
            context_threshold: None,
        };
        let study = |i: usize| Study {
            id: format!("s{i}"),
            patient: format!("p{i}"),
            groups: BTreeMap::new(),
            age_years: None,
            turnaround_h: None,
            truth: Truth { diagnoses: has(i), services: Vec::new(), acuity: None },
            scores: Scores { diagnosis: vec![0.0; diagnoses], ..Scores::default() },
            with_context: None,
            lesions: Vec::new(),
        };
        Set {
            header: Header {
                format_version: FORMAT_VERSION,
                model: "model".to_owned(),
                cohort: "made up".to_owned(),
                split: "test".to_owned(),
                simulated: true,
                diagnoses: (0..diagnoses).map(output).collect(),
                services: Vec::new(),
                acuity: ["none", "low", "medium", "high"].map(str::to_owned).to_vec(),
                embedding: 0,
            },
            studies: (0..studies).map(study).collect(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_what_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let written = set(2, 3, |i| vec![i]);
        let write = |studies: &[Study]| {
            let set = Set { header: written.header.clone(), studies: studies.to_vec() };
            set.write(folder.path()).unwrap();
            Set::open(folder.path())
        };
        assert_eq!(write(&written.studies).unwrap(), written);

        type Breach = fn(&mut Vec<Study>);
        let cases: [(Breach, &str); 6] = [
            (
                |s| s[1].id = "s0".to_owned(),
                "line 2, study s0: the study is there twice; leave one",
            ),
            (
                |s| s[0].truth.diagnoses.push(3),
                "line 1, study s0: diagnosis 3; set.json lists 3, from 0",
            ),
            (
                |s| s[1].scores.diagnosis.truncate(2),
                "line 2, study s1: scores of 2 diagnoses; set.json lists 3",
            ),
            (
                |s| s[1].with_context = Some(Scores::default()),
                "line 2, study s1: scores of 0 diagnoses; set.json lists 3",
            ),
            (
                |s| s[1].truth.acuity = Some(4),
                "line 2, study s1: acuity class 4; set.json lists 4, from 0",
            ),
            (
                |s| s[0].scores.probability = vec![0.0, 1.0, 1.5],
                "line 1, study s0: a probability of 1.5; write 0 to 1, logits into `diagnosis`",
            ),
        ];
        for (breach, expected) in cases {
            let mut studies = written.studies.clone();
            breach(&mut studies);
            let found = write(&studies).unwrap_err().to_string();
            assert!(found.ends_with(expected), "{found}");
        }
        let mut twice = written.clone();
        twice.header.diagnoses[2].name = "diagnosis_0".to_owned();
        twice.write(folder.path()).unwrap();
        let found = Set::open(folder.path()).unwrap_err().to_string();
        assert!(found.ends_with("set.json has diagnosis_0 twice; leave one"), "{found}");
        let later = Header { format_version: 7, ..written.header.clone() };
        Set { header: later, studies: Vec::new() }.write(folder.path()).unwrap();
        let found = Set::open(folder.path()).unwrap_err().to_string();
        assert!(found.ends_with("format version 7; this program reads 1"), "{found}");
    }
}
