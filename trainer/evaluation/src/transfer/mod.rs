//! Whether a model's embeddings tell what it was never taught: labels that come with other data
//! sets (paper, Methods, "Prima on Public Datasets"), and whether it finds the diagnosis that all
//! studies of a folder show.
//!
//! 1. [`labels`] a table of labels, and of which kind each is;
//! 2. [`folds`] which studies a probe is fitted on;
//! 3. [`linear`] the linear probe; other probes predict the same parts elsewhere;
//! 4. [`measure`] how near predictions come;
//! 5. [`data_set`] what a report says of it, without naming studies.
//!
//! Every study is predicted once a repeat, by a probe that saw no study of its patient.

pub mod data_set;
pub mod folds;
pub mod labels;
pub mod linear;
pub mod measure;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use statistics::interval::wilson;
use statistics::metrics::mean;

use folds::Part;
use labels::{Label, Table, Values};
use measure::{Bias, Estimate, Measure, figure};

/// Format that this code reads and writes.
pub const FORMAT_VERSION: u32 = 2;
/// Name of the file of [`Transfer`].
pub const FILE: &str = "transfer.json";

/// `transfer.json`. It names studies as their data set does, so it is to be guarded as that is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Identity of the model.
    pub model: String,
    /// How studies of labels were divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// True when the table names patients; otherwise each study counts as one.
    pub patients_stated: bool,
    /// Studies that could not be looked at, and why; they count for nothing.
    pub refused: Vec<Refused>,
    /// Every label.
    pub labels: Vec<LabelResult>,
    /// The diagnosis that all studies show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positives: Option<Positives>,
}

/// How studies are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Parts that studies are divided into, at least 2.
    pub folds: usize,
    /// Divisions, at least 1.
    pub repeats: usize,
    /// Of the divisions.
    pub seed: u64,
}

/// A study that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// Its folder.
    pub study: String,
    /// Why.
    pub reason: String,
}

/// A study of a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// Its folder.
    pub id: String,
    /// Its patient.
    pub patient: String,
    /// Where it was acquired, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
}

/// A label with the studies that can be looked at and have a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// The label.
    pub name: String,
    /// Its studies.
    pub studies: Vec<Study>,
    /// Their values.
    pub values: Values,
}

impl Task {
    /// A label of a table, of those studies that `usable` is true for, given their row.
    ///
    /// # Errors
    ///
    /// When a class has fewer patients than there are folds.
    pub fn new(
        table: &Table,
        label: &Label,
        plan: Plan,
        usable: impl Fn(usize) -> bool,
    ) -> Result<Self, TooFew> {
        let kept: Vec<usize> = (0..label.rows.len()).filter(|i| usable(label.rows[*i])).collect();
        let study = |i: &usize| {
            let row = label.rows[*i];
            let (id, patient) = (table.studies[row].clone(), table.patients[row].clone());
            Study { id, patient, site: table.sites[row].clone() }
        };
        let studies: Vec<Study> = kept.iter().map(study).collect();
        let task = Self { name: label.name.clone(), studies, values: label.values.select(&kept) };
        for (class, found) in task.patients(&label.values) {
            if found < plan.folds {
                let label = label.name.clone();
                return Err(TooFew { label, class, found, folds: plan.folds });
            }
        }
        Ok(task)
    }

    /// Patients with each class or answer, whether a study has it or not, or with any number.
    fn patients(&self, all: &Values) -> Vec<(String, usize)> {
        let with = |key: Option<f64>| {
            let has =
                |study: &usize| key.is_none_or(|k| k.total_cmp(&self.values.key(*study)).is_eq());
            let studies = (0..self.studies.len()).filter(has);
            studies.map(|study| &self.studies[study].patient).collect::<BTreeSet<_>>().len()
        };
        match all {
            Values::Number { .. } => vec![("a number".to_owned(), with(None))],
            Values::YesNo { .. } => {
                vec![("no".to_owned(), with(Some(0.0))), ("yes".to_owned(), with(Some(1.0)))]
            }
            Values::Class { classes, .. } => {
                let keys = (0_u32..).map(|class| with(Some(f64::from(class))));
                classes.iter().cloned().zip(keys).collect()
            }
        }
    }

    /// The parts of a plan.
    #[must_use]
    pub fn parts(&self, plan: Plan) -> Vec<Part> {
        folds::parts(&self.studies, &self.values, plan)
    }

    /// What probes reached that each predicted the same parts, given by name with the outputs for
    /// every test study of every part.
    ///
    /// # Panics
    ///
    /// When there are not as many predictions as parts and test studies.
    #[must_use]
    pub fn result(self, parts: &[Part], probes: Vec<(&str, Vec<Vec<Vec<f64>>>)>) -> LabelResult {
        let mut folds = vec![Vec::new(); self.studies.len()];
        for part in parts {
            part.test.iter().for_each(|study| folds[*study].push(part.fold));
        }
        let first: Vec<usize> = folds.iter().map(|of| of.first().copied().unwrap_or(0)).collect();
        let probes = probes
            .into_iter()
            .map(|(probe, outputs)| ProbeResult::of(probe, &self, parts, &outputs, &first));
        let probes = probes.collect();
        let Self { name, studies, values } = self;
        LabelResult { name, studies, values, folds, probes }
    }
}

/// A class with too few patients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "column `{label}`: {found} patients with {class} have a study that can be looked at, fewer than \
     {folds} folds; give fewer --folds, or leave the class or the column out"
)]
pub struct TooFew {
    /// The label.
    pub label: String,
    /// The class.
    pub class: String,
    /// Patients that have it.
    pub found: usize,
    /// Folds asked for.
    pub folds: usize,
}

/// What probes reached on a label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelResult {
    /// Name of the column.
    pub name: String,
    /// The studies that were predicted.
    pub studies: Vec<Study>,
    /// Their values, in the same order.
    pub values: Values,
    /// The fold that each was predicted in, for every repeat.
    pub folds: Vec<Vec<usize>>,
    /// Every probe.
    pub probes: Vec<ProbeResult>,
}

/// What a probe reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeResult {
    /// `linear` or `mlp`.
    pub probe: String,
    /// For each study the outputs of probes that did not see its patient: the logit of yes, a score
    /// of every class, or the number. Mean over the repeats.
    pub outputs: Vec<Vec<f64>>,
    /// What they reach together.
    pub measure: Measure,
    /// The same figure in every fold of every repeat: AUROC, mean AUROC or mean absolute error.
    /// The paper reports mean and deviation of these.
    pub folds: Vec<Option<f64>>,
    /// Their mean.
    pub mean: Option<f64>,
    /// Their standard deviation.
    pub sd: Option<f64>,
    /// What the outputs reach at each site, where sites are known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sites: BTreeMap<String, Measure>,
    /// Regression to the mean, of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<Bias>,
}

impl ProbeResult {
    fn of(
        probe: &str,
        task: &Task,
        parts: &[Part],
        predicted: &[Vec<Vec<f64>>],
        first_folds: &[usize],
    ) -> Self {
        assert_eq!(parts.len(), predicted.len(), "outputs of every part");
        let repeats = parts.iter().map(|part| part.repeat + 1).max().unwrap_or(1);
        let mut outputs = vec![vec![0.0; task.values.outputs()]; task.studies.len()];
        let mut folds = Vec::new();
        for (part, predicted) in parts.iter().zip(predicted) {
            assert_eq!(part.test.len(), predicted.len(), "outputs of every study");
            for (study, row) in part.test.iter().zip(predicted) {
                let sums = outputs[*study].iter_mut().zip(row);
                sums.for_each(|(sum, output)| *sum += output / repeats as f64);
            }
            let rows: Vec<&[f64]> = predicted.iter().map(Vec::as_slice).collect();
            folds.push(figure(&rows, &task.values.select(&part.test)));
        }
        let measure = |studies: &[usize]| {
            let rows: Vec<&[f64]> = studies.iter().map(|s| outputs[*s].as_slice()).collect();
            let patients: Vec<&str> =
                studies.iter().map(|s| task.studies[*s].patient.as_str()).collect();
            Measure::of(&rows, &task.values.select(studies), &patients)
        };
        let all: Vec<usize> = (0..task.studies.len()).collect();
        let mut sites: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for study in &all {
            if let Some(site) = &task.studies[*study].site {
                sites.entry(site).or_default().push(*study);
            }
        }
        let sites = sites.into_iter().map(|(site, of)| (site.to_owned(), measure(&of))).collect();
        let bias = match &task.values {
            Values::Number { truth } => {
                let found: Vec<f64> = outputs.iter().map(|row| row[0]).collect();
                Bias::of(&found, truth, first_folds)
            }
            Values::YesNo { .. } | Values::Class { .. } => None,
        };
        let measure = measure(&all);
        let known: Vec<f64> = folds.iter().copied().flatten().collect();
        let (mean, sd) = mean_sd(&known);
        Self { probe: probe.to_owned(), outputs, measure, folds, mean, sd, sites, bias }
    }
}

/// Mean and standard deviation, of one and two values at least.
fn mean_sd(values: &[f64]) -> (Option<f64>, Option<f64>) {
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    let sd = (squares / values.len().saturating_sub(1) as f64).sqrt();
    ((!values.is_empty()).then_some(centre), (values.len() > 1).then_some(sd))
}

/// How often a diagnosis is found that every study shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Positives {
    /// The diagnosis as the model names it.
    pub diagnosis: String,
    /// The logit from which it is called: the bundle's operating point.
    pub threshold: f32,
    /// All series of a study, each kind alone, each kind left out.
    pub subsets: Vec<SubsetResult>,
    /// Logits by subset.
    pub studies: Vec<PositiveStudy>,
}

/// A study that shows the diagnosis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositiveStudy {
    /// Its folder.
    pub study: String,
    /// The logit from each subset of its series that it has.
    pub logits: BTreeMap<String, f32>,
}

/// How often the diagnosis is found in a subset of the series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubsetResult {
    /// Which series.
    pub subset: String,
    /// Studies that have it.
    pub studies: usize,
    /// Of these, called positive.
    pub called: usize,
    /// Their share: the true-positive rate.
    pub rate: f64,
    /// Its 95 % interval by Wilson's score.
    pub interval: [f64; 2],
}

impl Positives {
    /// Counts decisions.
    #[must_use]
    pub fn of(diagnosis: &str, threshold: f32, studies: Vec<PositiveStudy>) -> Self {
        let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        for (subset, logit) in studies.iter().flat_map(|study| &study.logits) {
            let [called, all] = counts.entry(subset).or_default();
            *called += usize::from(*logit >= threshold);
            *all += 1;
        }
        let subsets = counts.into_iter().filter_map(|(subset, [called, studies])| {
            let interval = wilson(called, studies)?;
            let interval = [interval.lower, interval.upper];
            let rate = called as f64 / studies as f64;
            Some(SubsetResult { subset: subset.to_owned(), studies, called, rate, interval })
        });
        let subsets = subsets.collect();
        Self { diagnosis: diagnosis.to_owned(), threshold, subsets, studies }
    }
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.model)?;
        if let Some(Plan { folds, repeats, .. }) = self.plan {
            write!(f, ": {folds} folds, {repeats} repeats")?;
        }
        if !self.refused.is_empty() {
            write!(f, "; {} studies refused, see transfer.json", self.refused.len())?;
        }
        for label in &self.labels {
            for probe in &label.probes {
                let (name, n) = (&label.name, label.studies.len());
                write!(f, "\n{name:<24} {:<8} {}  n {n}", probe.probe, probe.measure)?;
                if let (Some(mean), Some(sd)) = (probe.mean, probe.sd) {
                    write!(f, "; folds {mean:.3} sd {sd:.3}")?;
                }
            }
        }
        let Some(found) = &self.positives else { return Ok(()) };
        for SubsetResult { subset, studies, called, rate, interval: [lower, upper] } in
            &found.subsets
        {
            let name = &found.diagnosis;
            write!(
                f,
                "\n{name}, {subset}: {rate:.3} ({lower:.3} to {upper:.3}), {called} of {studies}"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |of: &Option<Estimate>| {
            of.map_or("none".to_owned(), |Estimate { value, lower, upper }| {
                format!("{value:.3} ({lower:.3} to {upper:.3})")
            })
        };
        match self {
            Self::YesNo { auroc, .. } => {
                let area =
                    auroc.map(|a| Estimate { value: a.value, lower: a.lower, upper: a.upper });
                write!(f, "AUROC {}", shown(&area))
            }
            Self::Class { mean_auroc, accuracy, .. } => {
                let [area, accuracy] = [mean_auroc, accuracy].map(shown);
                write!(f, "mean AUROC {area}, accuracy {accuracy}")
            }
            Self::Number { mean_absolute_error, pearson } => {
                let [error, correlation] = [mean_absolute_error, pearson].map(shown);
                write!(f, "mean absolute error {error}, Pearson {correlation}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
