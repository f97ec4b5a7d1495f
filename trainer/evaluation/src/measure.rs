//! Everything that is measured on a set: `metrics.json`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use statistics::rows::Rows;
use statistics::sample_size::{Size, Superiority};

use crate::age::{self, Age};
use crate::alignment::{self, Alignment, AlignmentError, alignment};
use crate::comparison::{self, Comparison};
use crate::conspicuity::{Conspicuity, conspicuity};
use crate::dropping::{Dropping, dropping};
use crate::explanation::{self, Explanation, explanation};
use crate::fairness::{Fairness, Settings};
use crate::multilabel::{MultiLabel, multilabel};
use crate::neighbours::{Neighbours, neighbours};
use crate::outputs::{Column, Context, Decisions, Outputs};
use crate::priority::{self, Priority};
use crate::reliability::{self, Reliability};
use crate::resample::Resamples;
use crate::set::{self, Header, Scores, Set, SetError, Study, read_lines};
use crate::transfer::data_set::{self, DataSet};
use crate::transfer::{self, Transfer};

/// What is measured how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Resamples of patients for intervals.
    pub resamples: usize,
    /// Delays and groups; the paper's questions where nothing else is asked.
    pub fairness: Option<Settings>,
    /// The trial whose size is told.
    pub trial: Trial,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 0, resamples: 1000, fairness: None, trial: Trial::default() }
    }
}

/// A superiority trial of two groups with a yes-or-no outcome; the default is the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Share of right answers of the model.
    pub treatment: f64,
    /// Share of right answers of what it is compared with.
    pub control: f64,
    /// How much better it must be.
    pub margin: f64,
    /// Probability of a false success.
    pub alpha: f64,
    /// Probability of a true success.
    pub power: f64,
}

impl Default for Trial {
    fn default() -> Self {
        Self { treatment: 0.78, control: 0.78, margin: 0.02, alpha: 0.01, power: 0.90 }
    }
}

/// Everything that was measured; sections without their input are absent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evaluation {
    /// Model, cohort, outputs.
    pub header: Header,
    /// The command that measured.
    pub command: String,
    /// How.
    pub options: Options,
    /// Studies.
    pub studies: usize,
    /// Patients.
    pub patients: usize,
    /// Diagnoses from the images.
    pub diagnoses: Outputs,
    /// Diagnoses with the clinical context beside them.
    pub context: Option<Context>,
    /// Services.
    pub services: Option<Outputs>,
    /// Departments: any of their services.
    pub departments: Option<Outputs>,
    /// Acuity.
    pub priority: Option<Priority>,
    /// Acuity by heads with other objectives: name, result.
    pub objectives: Vec<(String, Priority)>,
    /// Age.
    pub age: Option<Age>,
    /// Which logit tells which label.
    pub multilabel: MultiLabel,
    /// Calibration.
    pub reliability: Option<Reliability>,
    /// By size and contrast of the lesion.
    pub conspicuity: Option<Conspicuity>,
    /// Nearest earlier studies.
    pub neighbours: Option<Neighbours>,
    /// Images and reports in one space.
    pub alignment: Option<Alignment>,
    /// LIME against masks.
    pub explanation: Option<Explanation>,
    /// Without some series.
    pub dropping: Vec<Dropping>,
    /// Other networks on the same cohort.
    pub comparison: Option<Comparison>,
    /// Other data sets, told from the same model's embeddings.
    #[serde(default)]
    pub transfer: Vec<DataSet>,
    /// Delays and groups of patients.
    pub fairness: Fairness,
    /// Studies that [`Options::trial`] needs.
    pub trial_studies: Option<u64>,
}

/// Why a set is not evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// A file is refused.
    #[error(transparent)]
    Set(#[from] SetError),
    /// Pairs or prompts are refused.
    #[error("{}: {source}", folder.display())]
    Alignment {
        /// The set.
        folder: PathBuf,
        /// Why.
        source: AlignmentError,
    },
}

/// Measures the set in a folder. `retrospective` is the folder of a set of earlier studies by the
/// same model, among which neighbours are looked for.
///
/// # Errors
///
/// When a file of either is refused.
pub fn evaluate(
    folder: &Path,
    retrospective: Option<&Path>,
    options: &Options,
    command: &str,
) -> Result<Evaluation, EvaluationError> {
    let set = Set::open(folder)?;
    let pairs = optional(&folder.join(alignment::PAIRS))?;
    let prompts = optional(&folder.join(alignment::PROMPTS))?.unwrap_or_default();
    let alignment = pairs.map(|pairs: Vec<_>| alignment(&set, &pairs, &prompts)).transpose();
    let alignment = alignment
        .map_err(|source| EvaluationError::Alignment { folder: folder.to_owned(), source })?;
    let dropped: Option<Vec<_>> = optional(&folder.join(set::DROPPED))?;
    let explained: Option<Vec<_>> = optional(&folder.join(explanation::EXPLAINED))?;
    let heads: Option<Vec<_>> = optional(&folder.join(priority::ACUITY_HEADS))?;
    let neighbours = retrospective.map(|earlier| nearest(folder, &set, earlier)).transpose()?;
    let mut evaluation = of(&set, options, command);
    evaluation.alignment = alignment;
    evaluation.dropping = dropped.map(|rows| dropping(&set, &rows)).unwrap_or_default();
    evaluation.explanation = explained.and_then(|rows| explanation(&rows));
    evaluation.objectives =
        heads.map(|heads| priority::objectives(&set, &heads)).unwrap_or_default();
    evaluation.neighbours = neighbours.flatten();
    evaluation.comparison = whole(&folder.join(comparison::FILE), comparison::FORMAT_VERSION)?;
    evaluation.transfer = data_sets(folder, &set)?;
    Ok(evaluation)
}

/// Measures what a set alone tells.
#[must_use]
pub fn of(set: &Set, options: &Options, command: &str) -> Evaluation {
    let resamples = Resamples::of(set, options.resamples, options.seed);
    let header = &set.header;
    let patients: std::collections::BTreeSet<&str> =
        set.studies.iter().map(|study| study.patient.as_str()).collect();
    let images = columns(set, |study| Some(&study.scores), false);
    let Trial { treatment, control, margin, alpha, power } = options.trial;
    let trial = Superiority { treatment, control, margin, alpha, ratio: 1.0 };
    Evaluation {
        header: header.clone(),
        command: command.to_owned(),
        options: options.clone(),
        studies: set.studies.len(),
        patients: patients.len(),
        diagnoses: Outputs::of(&header.diagnoses, &images, &resamples),
        context: context(set, options),
        services: services(set, &resamples),
        departments: departments(set, &resamples),
        priority: priority::priority(set),
        objectives: Vec::new(),
        age: age::age(set, &resamples),
        multilabel: multilabel(set),
        reliability: reliability::of(set),
        conspicuity: conspicuity(set),
        neighbours: None,
        alignment: None,
        explanation: None,
        dropping: Vec::new(),
        comparison: None,
        transfer: Vec::new(),
        fairness: Fairness::of(set, options.fairness.clone().unwrap_or_else(|| Settings::of(set))),
        trial_studies: trial.size(power).map(Size::total),
    }
}

/// A column for every diagnosis, of the studies for which `of` gives scores.
fn columns(set: &Set, of: impl Fn(&Study) -> Option<&Scores>, with_context: bool) -> Vec<Column> {
    let told: Vec<(&Study, &Scores)> =
        set.studies.iter().filter_map(|study| Some((study, of(study)?))).collect();
    let outputs = set.header.diagnoses.iter().enumerate();
    let columns = outputs.map(|(d, output)| Column {
        scores: told.iter().map(|(_, scores)| f64::from(scores.diagnosis[d])).collect(),
        labels: told.iter().map(|(study, _)| study.truth.diagnoses.contains(&d)).collect(),
        threshold: f64::from(match output.context_threshold {
            Some(threshold) if with_context => threshold,
            _ => output.threshold,
        }),
    });
    columns.collect()
}

fn context(set: &Set, options: &Options) -> Option<Context> {
    let with = set.studies.iter().filter(|study| study.with_context.is_some());
    let set = Set { header: set.header.clone(), studies: with.cloned().collect() };
    if set.studies.is_empty() {
        return None;
    }
    let resamples = Resamples::of(&set, options.resamples, options.seed);
    let images = columns(&set, |study| Some(&study.scores), false);
    let both = columns(&set, |study| study.with_context.as_ref(), true);
    Some(Context::of(&set.header.diagnoses, &images, &both, &resamples))
}

/// The model has services, and says something about them for every study.
fn tells_services(set: &Set) -> bool {
    let outputs = &set.header.services;
    let told = |study: &Study| study.scores.service.len() == outputs.len();
    !outputs.is_empty() && !set.studies.is_empty() && set.studies.iter().all(told)
}

fn services(set: &Set, resamples: &Resamples) -> Option<Outputs> {
    if !tells_services(set) {
        return None;
    }
    let outputs = &set.header.services;
    let columns: Vec<Column> = outputs
        .iter()
        .enumerate()
        .map(|(s, output)| Column {
            scores: set.studies.iter().map(|study| f64::from(study.scores.service[s])).collect(),
            labels: set.studies.iter().map(|study| study.truth.services.contains(&s)).collect(),
            threshold: f64::from(output.threshold),
        })
        .collect();
    Some(Outputs::of(outputs, &columns, resamples))
}

/// Any service of a department: studies in the order of the probability that one is needed, taken
/// as independent; a decision for it is that for any of its services.
fn departments(set: &Set, resamples: &Resamples) -> Option<Outputs> {
    if !tells_services(set) {
        return None;
    }
    let services = &set.header.services;
    let mut outputs: Vec<set::Output> = Vec::new();
    let mut columns = Vec::new();
    let mut decisions = Vec::new();
    for service in services {
        let department = &service.category;
        if outputs.iter().any(|known| known.name == *department) {
            continue;
        }
        let members: Vec<usize> =
            (0..services.len()).filter(|s| services[*s].category == *department).collect();
        let of_members = |of: &dyn Fn(&Study, usize) -> bool| -> Vec<bool> {
            set.studies.iter().map(|study| members.iter().any(|s| of(study, *s))).collect()
        };
        let labels = of_members(&|study, s| study.truth.services.contains(&s));
        let called = of_members(&|study, s| study.scores.service[s] >= services[s].threshold);
        decisions.push(Decisions::of(0.0, called.into_iter().zip(labels.iter().copied())));
        let logit = |study: &Study| {
            let each = members.iter().map(|s| f64::from(study.scores.service[*s]));
            // Minus the logarithm of the probability that none is.
            each.map(|logit| logit.max(0.0) + (-logit.abs()).exp().ln_1p())
                .sum::<f64>()
                .exp_m1()
                .ln()
        };
        let scores = set.studies.iter().map(logit).collect();
        columns.push(Column { scores, labels, threshold: 0.0 });
        outputs.push(set::Output {
            name: department.clone(),
            title: department.clone(),
            category: "departments".to_owned(),
            threshold: 0.0,
            context_threshold: None,
        });
    }
    let mut measured = Outputs::of(&outputs, &columns, resamples);
    for (label, decisions) in measured.labels.iter_mut().zip(decisions) {
        label.decisions = decisions;
    }
    Some(measured)
}

/// Neighbours among the studies of another set, where both have embeddings of one width.
fn nearest(folder: &Path, set: &Set, earlier: &Path) -> Result<Option<Neighbours>, SetError> {
    let theirs = Set::open(earlier)?;
    let width = set.header.embedding;
    if width == 0 || set.studies.is_empty() || theirs.studies.is_empty() {
        return Ok(None);
    }
    if theirs.header.embedding != width || theirs.header.model != set.header.model {
        let (other, own) = (&theirs.header, &set.header);
        let what = format!(
            "embeddings of {} values by {}; the studies that are evaluated have {width} by {}; \
             score both with one bundle",
            other.embedding, other.model, own.model
        );
        return Err(SetError::Content { path: earlier.join(set::HEADER), what });
    }
    let (own, other) = (embeddings(folder, set)?, embeddings(earlier, &theirs)?);
    let (own, other) = (Rows::new(&own, width), Rows::new(&other, width));
    Ok(Some(neighbours(set, own, &theirs, other)))
}

fn embeddings(folder: &Path, set: &Set) -> Result<Vec<f32>, SetError> {
    let path = folder.join(set::EMBEDDINGS);
    let bytes = fs::read(&path).map_err(|source| SetError::Io { path: path.clone(), source })?;
    let (values, _) = bytes.as_chunks::<4>();
    let expected = set.studies.len() * set.header.embedding * 4;
    if bytes.len() != expected {
        let found = bytes.len();
        let what = format!("{found} bytes; {expected} are expected for the studies of the set");
        return Err(SetError::Content { path, what });
    }
    Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

/// What `trainer transfer` found by the set's model: a folder for every data set.
fn data_sets(folder: &Path, set: &Set) -> Result<Vec<DataSet>, SetError> {
    let refuse = |path: &Path, what: String| SetError::Content { path: path.to_owned(), what };
    let stray = folder.join(transfer::FILE);
    if stray.exists() {
        let what = format!("move it into a folder of its own, {}/NAME", data_set::FOLDER);
        return Err(refuse(&stray, what));
    }
    let folder = folder.join(data_set::FOLDER);
    let mut data_sets = Vec::new();
    for name in names(&folder)? {
        let path = folder.join(&name).join(transfer::FILE);
        let found: Transfer = whole(&path, transfer::FORMAT_VERSION)?.ok_or_else(|| {
            refuse(&path, "is not there; `trainer transfer` puts it into its --out".to_owned())
        })?;
        if found.model != set.header.model {
            let (theirs, own) = (&found.model, &set.header.model);
            let what = format!("asked of {theirs}, the set is of {own}; ask one bundle");
            return Err(refuse(&path, what));
        }
        data_sets.push(DataSet::of(&name, found).map_err(|what| refuse(&path, what))?);
    }
    Ok(data_sets)
}

/// What lies in a folder that may be absent, in order; hidden things count for nothing.
fn names(folder: &Path) -> Result<Vec<String>, SetError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let list = || -> std::io::Result<Vec<String>> {
        let entries = fs::read_dir(folder)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    let mut names = list().map_err(|source| SetError::Io { path: folder.to_owned(), source })?;
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names)
}

/// The version alone, of a file of any version.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

/// A file that may be absent, of the version that this code reads.
fn whole<T: DeserializeOwned>(path: &Path, version: u32) -> Result<Option<T>, SetError> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = fs::read(path).map_err(|source| SetError::Io { path: path.to_owned(), source })?;
    let wrong = |source: serde_json::Error| SetError::Json {
        path: path.to_owned(),
        line: source.line(),
        source,
    };
    let Version { format_version } = serde_json::from_slice(&bytes).map_err(wrong)?;
    if format_version != version {
        let what = format!("format version {format_version}; this program reads {version}");
        return Err(SetError::Content { path: path.to_owned(), what });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(wrong)
}

/// The lines of a file that may be absent.
fn optional<T: DeserializeOwned>(path: &Path) -> Result<Option<Vec<T>>, SetError> {
    if path.exists() { read_lines(path).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up;

    #[test]
    fn a_department_is_that_of_any_of_its_services() {
        let set = made_up::set(400, 7);
        let found = departments(&set, &Resamples::of(&set, 10, 0)).unwrap();
        let names: Vec<&str> = found.labels.iter().map(|label| label.name.as_str()).collect();
        assert_eq!(names, ["neurology", "neurosurgery"]);
        for (parity, label) in found.labels.iter().enumerate() {
            let members = |study: &Study| {
                let scores = study.scores.service.clone().into_iter().enumerate();
                scores.filter(|(s, _)| s % 2 == parity).collect::<Vec<_>>()
            };
            let needs = |study: &Study| study.truth.services.iter().any(|s| s % 2 == parity);
            let labels: Vec<bool> = set.studies.iter().map(needs).collect();
            let called = |study: &&Study| members(study).iter().any(|(_, logit)| *logit >= 0.0);
            let called = set.studies.iter().filter(called).count();
            let counts = label.decisions.counts;
            assert_eq!(counts.true_positives + counts.false_positives, called);
            assert_eq!(label.positives, labels.iter().filter(|needed| **needed).count());
            let none = |(_, logit): &(usize, f32)| 1.0 / (1.0 + f64::from(*logit).exp());
            let probability =
                |study: &Study| 1.0 - members(study).iter().map(none).product::<f64>();
            let probabilities: Vec<f64> = set.studies.iter().map(probability).collect();
            let expected = statistics::metrics::auroc(&probabilities, &labels).unwrap().value;
            let value = label.auroc.unwrap().value;
            assert!((value - expected).abs() < 1e-9, "{value}, {expected}");
        }
    }
}
