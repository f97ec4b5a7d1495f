//! The subcommands `label` and `summarize`: a cohort's reports to labels and summaries.

mod lines;
mod scores;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use models::labels::DIAGNOSES;
use serde::{Deserialize, Serialize};

pub use lines::LinesError;
pub use scores::{Agreement, LabelScore};

use self::lines::{read_lines, write_lines};
use super::llm::{LanguageModel, LanguageModelConfig, LlmError};
use super::mapping::{MappingError, ReferralTable};
use super::rules::{Reading, Rules, RulesError};
use super::summarize::summarize as summarize_by_rules;
use crate::cohort::record::{LabelSource, StudyLabels, StudyRecord};

/// Configuration of `label` and `summarize`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportsConfig {
    /// Who reads the reports.
    pub method: Method,
    /// A lexicon of the site; the built-in one without it.
    pub lexicon: Option<PathBuf>,
    /// Context rules of the site; the built-in ones without it.
    pub context: Option<PathBuf>,
    /// Table of acuity and referrals; the built-in one without it.
    pub referral_table: Option<PathBuf>,
    /// Needed for the method `language_model`.
    pub language_model: Option<LanguageModelConfig>,
}

/// Who reads the reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The embedded rules.
    #[default]
    Rules,
    /// The language model, after the keyword prefilter of the rules.
    LanguageModel,
}

impl Method {
    fn word(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::LanguageModel => "language-model",
        }
    }
}

/// Why a cohort's reports cannot be labelled or summarised.
#[derive(Debug, thiserror::Error)]
pub enum ReportsError {
    /// A file of the cohort.
    #[error(transparent)]
    Lines(#[from] LinesError),
    /// The labelling rules.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The table of acuity and referrals.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The language model, at a study.
    #[error("study {id}")]
    Study {
        /// The study.
        id: String,
        /// Why.
        #[source]
        source: LlmError,
    },
    /// The language model, before the first study.
    #[error(transparent)]
    LanguageModel(#[from] LlmError),
    /// The configuration lacks a table.
    #[error(
        "method is language_model, but there is no [language_model]; add it with url and model"
    )]
    NoLanguageModel,
    /// Nothing to do.
    #[error("{path} has no studies; curate or simulate a cohort first")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// What `label` did.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelSummary {
    /// Labelled studies.
    pub studies: usize,
    /// Where the labels are.
    pub labels: PathBuf,
    /// Where the evidence is: every mention with its sentence and the rule that decided.
    pub evidence: PathBuf,
    /// Positives of each diagnosis.
    pub positives: Vec<usize>,
    /// Against the truth of a simulated cohort or decisions of readers, where there are any.
    pub against_truth: Option<Agreement>,
    /// The language model against the rules, study by study in `labels-disagreements.jsonl`.
    pub against_rules: Option<Agreement>,
}

/// A line of `labels-evidence.jsonl`.
#[derive(Serialize)]
struct EvidenceLine<'a> {
    id: &'a str,
    evidence: Vec<String>,
}

/// A line of `labels-disagreements.jsonl`.
#[derive(Serialize)]
struct Disagreement<'a> {
    id: &'a str,
    only_language_model: Vec<&'static str>,
    only_rules: Vec<&'static str>,
    evidence: Vec<String>,
}

/// A line of `summaries.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudySummary {
    /// The study.
    pub id: String,
    /// Numbered lines.
    pub summary: String,
}

/// Labels every study of a cohort folder from its report.
///
/// Writes `labels.jsonl`. Where that holds the simulator's truth, it is left alone, and the labels
/// go to `labels-rules.jsonl` or `labels-language-model.jsonl`. Decisions of readers in it stay as
/// they are, and only the other studies get new labels. With either, the agreement is part of the
/// result. `progress` is called with the number of studies done.
///
/// # Errors
///
/// When the configuration or a file of the cohort is wrong, or the language model fails; what it
/// answered until then is in its cache.
pub fn label(
    cohort: &Path,
    config: &ReportsConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<LabelSummary, ReportsError> {
    let rules = rules(config)?;
    let table = match &config.referral_table {
        Some(path) => ReferralTable::load(path)?,
        None => ReferralTable::built_in()?,
    };
    let model = model(config)?;
    let records = records(cohort)?;
    let (mut labels, mut readings) = (Vec::new(), Vec::new());
    for (done, record) in records.iter().enumerate() {
        let reading = rules.read(&record.report);
        let (diagnoses, source) = match &model {
            None => (reading.diagnoses.clone(), LabelSource::Rules),
            Some(model) => {
                let answer = model.label(&record.report, &rules);
                let failed = |source| ReportsError::Study { id: record.id.clone(), source };
                (answer.map_err(failed)?, LabelSource::LanguageModel)
            }
        };
        let (acuity, referrals) = (table.acuity(&diagnoses), table.referrals(&diagnoses));
        labels.push(StudyLabels { id: record.id.clone(), source, diagnoses, acuity, referrals });
        readings.push(reading);
        progress(done + 1, records.len());
    }

    let known = reference(cohort)?;
    let truth: BTreeMap<&str, &[bool]> =
        known.iter().map(|l| (l.id.as_str(), &l.diagnoses[..])).collect();
    let path = if known.iter().any(|l| l.source == LabelSource::Truth) {
        let path = cohort.join(format!("labels-{}.jsonl", config.method.word()));
        write_lines(&path, labels.iter())?;
        path
    } else {
        let path = cohort.join("labels.jsonl");
        let open = labels.iter().filter(|l| !truth.contains_key(l.id.as_str()));
        write_lines(&path, known.iter().chain(open))?;
        path
    };
    let evidence = cohort.join("labels-evidence.jsonl");
    write_lines(&evidence, records.iter().zip(&readings).map(evidence_line))?;
    let by_rules: BTreeMap<&str, &[bool]> =
        records.iter().zip(&readings).map(|(r, m)| (r.id.as_str(), &m.diagnoses[..])).collect();
    if model.is_some() {
        let lines = labels.iter().zip(&readings).filter_map(disagreement);
        write_lines(&cohort.join("labels-disagreements.jsonl"), lines)?;
    }
    let count = |d: usize| labels.iter().filter(|l| l.diagnoses.get(d) == Some(&true)).count();
    Ok(LabelSummary {
        studies: labels.len(),
        positives: (0..DIAGNOSES.len()).map(count).collect(),
        against_truth: (!known.is_empty()).then(|| Agreement::of(&labels, &truth)),
        against_rules: model.map(|_| Agreement::of(&labels, &by_rules)),
        labels: path,
        evidence,
    })
}

/// Summarises every report of a cohort folder into its `summaries.jsonl`; gives back their number.
///
/// # Errors
///
/// As [`label`].
pub fn summarize(
    cohort: &Path,
    config: &ReportsConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<usize, ReportsError> {
    let rules = rules(config)?;
    let model = model(config)?;
    let records = records(cohort)?;
    let mut summaries = Vec::new();
    for (done, record) in records.iter().enumerate() {
        let summary = match &model {
            None => summarize_by_rules(&record.report, &rules),
            Some(model) => model
                .summarize(&record.report)
                .map_err(|source| ReportsError::Study { id: record.id.clone(), source })?,
        };
        summaries.push(StudySummary { id: record.id.clone(), summary });
        progress(done + 1, records.len());
    }
    write_lines(&cohort.join("summaries.jsonl"), summaries.iter())?;
    Ok(summaries.len())
}

fn rules(config: &ReportsConfig) -> Result<Rules, RulesError> {
    Rules::load_or_built_in(config.lexicon.as_deref(), config.context.as_deref())
}

fn model(config: &ReportsConfig) -> Result<Option<LanguageModel>, ReportsError> {
    match (config.method, &config.language_model) {
        (Method::Rules, _) => Ok(None),
        (Method::LanguageModel, Some(model)) => Ok(Some(LanguageModel::new(model)?)),
        (Method::LanguageModel, None) => Err(ReportsError::NoLanguageModel),
    }
}

fn records(cohort: &Path) -> Result<Vec<StudyRecord>, ReportsError> {
    let path = cohort.join("cohort.jsonl");
    let records: Vec<StudyRecord> = read_lines(&path)?;
    if records.is_empty() { Err(ReportsError::Empty { path }) } else { Ok(records) }
}

/// Labels that are better than anything made here.
fn reference(cohort: &Path) -> Result<Vec<StudyLabels>, LinesError> {
    let path = cohort.join("labels.jsonl");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let mut known: Vec<StudyLabels> = read_lines(&path)?;
    known.retain(|l| matches!(l.source, LabelSource::Truth | LabelSource::Reader));
    Ok(known)
}

fn evidence_line<'a>((record, reading): (&'a StudyRecord, &Reading)) -> EvidenceLine<'a> {
    let evidence = reading.evidence.iter().map(ToString::to_string).collect();
    EvidenceLine { id: &record.id, evidence }
}

fn disagreement<'a>((labels, reading): (&'a StudyLabels, &Reading)) -> Option<Disagreement<'a>> {
    let only = |a: &[bool], b: &[bool]| -> Vec<_> {
        let pairs = DIAGNOSES.iter().zip(a.iter().zip(b));
        pairs.filter(|(_, (a, b))| **a && !**b).map(|(name, _)| *name).collect()
    };
    let only_language_model = only(&labels.diagnoses, &reading.diagnoses);
    let only_rules = only(&reading.diagnoses, &labels.diagnoses);
    let named = |name| only_language_model.contains(&name) || only_rules.contains(&name);
    let evidence: Vec<_> = reading
        .evidence
        .iter()
        .filter(|mention| DIAGNOSES.get(mention.diagnosis).is_some_and(|name| named(name)))
        .map(ToString::to_string)
        .collect();
    let differ = !only_language_model.is_empty() || !only_rules.is_empty();
    let id = &labels.id;
    differ.then_some(Disagreement { id, only_language_model, only_rules, evidence })
}

impl fmt::Display for LabelSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} studies labelled: {}", self.studies, self.labels.display())?;
        writeln!(f, "evidence: {}", self.evidence.display())?;
        let tables = [("truth", &self.against_truth), ("the rules", &self.against_rules)];
        for (name, agreement) in tables {
            if let Some(agreement) = agreement {
                write!(f, "against {name}:\n{agreement}")?;
            }
        }
        if self.against_truth.is_none() && self.against_rules.is_none() {
            for (name, positives) in DIAGNOSES.iter().zip(&self.positives) {
                writeln!(f, "{name:<52} {positives:>6}")?;
            }
        }
        Ok(())
    }
}
