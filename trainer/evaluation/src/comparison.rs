//! Networks on one test set, each against a reference: ablations, baselines, and the same network
//! with less data or less training (paper, Methods, "Model Design Ablations" and "MLP Probing of
//! 2D CLIP models"; Fig. 2c, Extended Data Fig. 5b–d and g, 6b).
//!
//! A difference of mean AUROC has an interval by the bootstrap over patients (Efron, 1979), with
//! the same patients for both networks in every resample.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use statistics::bootstrap::{Ranked, percentile};
use statistics::power_law::PowerLaw;
use statistics::sample::mean;

use crate::resample::Resamples;
use crate::set::{Set, Study};

/// Format that this code reads and writes.
pub const FORMAT_VERSION: u32 = 1;
/// Name of the file.
pub const FILE: &str = "comparison.json";

/// `comparison.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Where the studies come from.
    pub cohort: String,
    /// Which part of the cohort.
    pub split: String,
    /// The studies are simulated, not patients.
    pub simulated: bool,
    /// Test studies.
    pub studies: usize,
    /// Their patients.
    pub patients: usize,
    /// Name of the row that differences are taken to.
    pub reference: String,
    /// Resamples behind every interval.
    pub resamples: usize,
    /// Of the [`Resamples`].
    pub seed: u64,
    /// The networks.
    pub rows: Vec<Row>,
    /// How results follow data and computation.
    pub laws: Vec<Law>,
}

/// What a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The reference, or the reference with one thing changed.
    Ablation,
    /// Something else on the same studies.
    Baseline,
    /// The reference on less data or with less training.
    Scaling,
}

/// A network before it is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Name of its row.
    pub name: String,
    /// The same for people.
    pub title: String,
    /// What it is for.
    pub kind: Kind,
    /// Numbers in the weights of its vision side.
    pub parameters: u64,
    /// Studies that it, or the probe on it, learnt from.
    pub training_studies: usize,
    /// Steps of its training; none where only a probe was trained.
    pub steps: Option<u64>,
    /// Floating-point operations of its training, an estimate.
    pub flops: Option<f64>,
    /// Seconds of its training, or of embedding where only a probe was trained.
    pub seconds: f64,
    /// How often a study's own report is found, where it reads reports.
    pub retrieval: Option<Retrieved>,
}

/// Shares of the test studies whose own report is among the first ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retrieved {
    /// Studies that one is told from, itself included.
    pub group: usize,
    /// The first.
    pub top1: f64,
    /// Among the first five.
    pub top5: f64,
}

/// A measured network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What it is.
    #[serde(flatten)]
    pub entry: Entry,
    /// Mean over the diagnoses that have positives and negatives.
    pub mean_auroc: Option<f64>,
    /// Every diagnosis.
    pub labels: Vec<LabelAuroc>,
    /// Its mean AUROC less that of the reference.
    pub difference: Option<Difference>,
}

/// One diagnosis of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelAuroc {
    /// Name as the model has it.
    pub name: String,
    /// `None` without positives or negatives.
    pub auroc: Option<f64>,
}

/// A difference with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// On the test set.
    pub value: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// What is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// [`Entry::training_studies`].
    TrainingStudies,
    /// [`Entry::flops`].
    Flops,
}

/// What falls with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Error {
    /// One less the mean AUROC.
    Auroc,
    /// Share of studies whose own report is not the first.
    Retrieval,
}

/// How an error falls with data or computation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Law {
    /// What is varied.
    pub x: Axis,
    /// What falls.
    pub y: Error,
    /// `(x, y)` of the rows in rising order, the reference among them.
    pub points: Vec<[f64; 2]>,
    /// The law through them, which leads to no error at all; from three points on.
    pub fit: Option<PowerLaw>,
}

/// Networks that cannot be compared.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ComparisonError {
    /// No reference.
    #[error("no row is called {reference}, which the others are compared with")]
    NoReference {
        /// Its name.
        reference: String,
    },
    /// Two rows of one name.
    #[error("two rows are called {name}; call one of them something else")]
    Twice {
        /// The name.
        name: String,
    },
    /// Other studies.
    #[error(
        "row {name} was measured on other studies than {reference}, or with other labels; measure both on one cohort"
    )]
    OtherStudies {
        /// The row.
        name: String,
        /// The reference.
        reference: String,
    },
}

impl Comparison {
    /// Measures networks by their predictions on one test set.
    ///
    /// # Errors
    ///
    /// When there is no reference, two rows have one name, or the sets differ in their studies.
    pub fn of(
        networks: &[(Entry, Set)],
        reference: &str,
        resamples: usize,
        seed: u64,
    ) -> Result<Self, ComparisonError> {
        let name = || reference.to_owned();
        let mut names: Vec<&str> = networks.iter().map(|(e, _)| e.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ComparisonError::Twice { name: pair[0].to_owned() });
        }
        let first = networks.iter().find(|(entry, _)| entry.name == reference);
        let set = &first.ok_or_else(|| ComparisonError::NoReference { reference: name() })?.1;
        for (entry, other) in networks {
            if !same_studies(set, other) {
                let (name, reference) = (entry.name.clone(), name());
                return Err(ComparisonError::OtherStudies { name, reference });
            }
        }
        let drawn = Resamples::of(set, resamples, seed);
        let expected = Areas::of(set, &drawn);
        let rows = networks
            .iter()
            .map(|(entry, set)| row(entry.clone(), set, &Areas::of(set, &drawn), &expected));
        let rows: Vec<Row> = rows.collect();
        Ok(Self {
            format_version: FORMAT_VERSION,
            cohort: set.header.cohort.clone(),
            split: set.header.split.clone(),
            simulated: set.header.simulated,
            studies: set.studies.len(),
            patients: set.studies.iter().map(|study| &study.patient).collect::<HashSet<_>>().len(),
            reference: name(),
            resamples,
            seed,
            laws: laws(&rows, reference),
            rows,
        })
    }
}

fn same_studies(a: &Set, b: &Set) -> bool {
    let key = |study: &Study| {
        let mut diagnoses = study.truth.diagnoses.clone();
        diagnoses.sort_unstable();
        (study.id.clone(), study.patient.clone(), diagnoses)
    };
    a.header.diagnoses.len() == b.header.diagnoses.len()
        && a.studies.iter().map(key).eq(b.studies.iter().map(key))
}

fn row(entry: Entry, set: &Set, found: &Areas, reference: &Areas) -> Row {
    let pairs = found.resampled.iter().zip(&reference.resampled);
    let differences: Vec<f64> = pairs.map(|(found, reference)| found - reference).collect();
    let interval = percentile(&differences);
    let value = found.mean.zip(reference.mean).map(|(found, reference)| found - reference);
    let difference = value.zip(interval).map(|(value, interval)| Difference {
        value,
        lower: interval.lower,
        upper: interval.upper,
    });
    let labels = set.header.diagnoses.iter().zip(&found.labels);
    let labels = labels.map(|(output, auroc)| LabelAuroc {
        name: output.name.clone(),
        auroc: Some(*auroc).filter(|area| !area.is_nan()),
    });
    Row { mean_auroc: found.mean, labels: labels.collect(), difference, entry }
}

/// Areas under the ROC curves of a network.
struct Areas {
    /// Of every diagnosis; not a number where it has none.
    labels: Vec<f64>,
    /// Over the diagnoses.
    mean: Option<f64>,
    /// The mean in every resample; not a number where there is none.
    resampled: Vec<f64>,
}

impl Areas {
    fn of(set: &Set, drawn: &Resamples) -> Self {
        let ranked = (0..set.header.diagnoses.len()).map(|diagnosis| {
            let (scores, labels) = (set.logits(diagnosis), set.has(diagnosis));
            Ranked::new(&scores, &labels).unwrap_or_else(|| unreachable!("a set has finite scores"))
        });
        let ranked: Vec<Ranked> = ranked.collect();
        let areas = |counts: &[u32]| -> Vec<f64> {
            ranked.iter().map(|output| output.auroc(counts)).collect()
        };
        let labels = areas(&vec![1; set.studies.len()]);
        Self {
            mean: mean_of(&labels),
            resampled: drawn.map(|counts| mean_of(&areas(counts)).unwrap_or(f64::NAN)),
            labels,
        }
    }
}

/// Mean of the areas that are numbers.
fn mean_of(areas: &[f64]) -> Option<f64> {
    let known: Vec<f64> = areas.iter().copied().filter(|area| !area.is_nan()).collect();
    (!known.is_empty()).then(|| mean(&known))
}

/// Laws through the reference and the rows that differ from it in data or in training alone.
fn laws(rows: &[Row], reference: &str) -> Vec<Law> {
    let Some(whole) = rows.iter().find(|row| row.entry.name == reference) else {
        return Vec::new();
    };
    let scaled = |axis: Axis| {
        rows.iter().filter(move |row| {
            let (entry, of) = (&row.entry, &whole.entry);
            let same = match axis {
                Axis::TrainingStudies => entry.steps == of.steps,
                Axis::Flops => entry.training_studies == of.training_studies,
            };
            entry.name == reference || (entry.kind == Kind::Scaling && same)
        })
    };
    let mut laws = Vec::new();
    for x in [Axis::TrainingStudies, Axis::Flops] {
        for y in [Error::Auroc, Error::Retrieval] {
            let mut points: Vec<[f64; 2]> =
                scaled(x).filter_map(|row| Some([x.of(&row.entry)?, y.of(row)?])).collect();
            points.sort_by(|a, b| a[0].total_cmp(&b[0]));
            if points.len() > 1 {
                let [abscissas, errors] = [0, 1].map(|i| points.iter().map(|p| p[i]).collect());
                let (abscissas, errors): (Vec<f64>, Vec<f64>) = (abscissas, errors);
                let fit = PowerLaw::with_offset(&abscissas, &errors, 0.0);
                laws.push(Law { x, y, points, fit });
            }
        }
    }
    laws
}

impl Axis {
    fn of(self, entry: &Entry) -> Option<f64> {
        match self {
            Self::TrainingStudies => Some(entry.training_studies as f64),
            Self::Flops => entry.flops,
        }
    }
}

impl Error {
    fn of(self, row: &Row) -> Option<f64> {
        match self {
            Self::Auroc => row.mean_auroc.map(|area| 1.0 - area),
            Self::Retrieval => row.entry.retrieval.map(|found| 1.0 - found.top1),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} studies of {} patients, {} ({}); differences to {} with 95 % intervals over patients\n",
            self.studies, self.patients, self.split, self.cohort, self.reference
        )?;
        writeln!(
            f,
            "{:<36} {:>6} {:>25} {:>6} {:>6} {:>11} {:>7} {:>7} {:>9} {:>8}",
            "network",
            "AUROC",
            "difference",
            "top 1",
            "top 5",
            "parameters",
            "studies",
            "steps",
            "TFLOP",
            "seconds"
        )?;
        for Row { entry, mean_auroc, difference, .. } in &self.rows {
            let difference = difference.map(|Difference { value, lower, upper }| {
                format!("{value:+.3} ({lower:+.3} to {upper:+.3})")
            });
            let found = entry.retrieval;
            writeln!(
                f,
                "{:<36} {:>6} {:>25} {:>6} {:>6} {:>11} {:>7} {:>7} {:>9} {:>8.0}",
                entry.title,
                shown(*mean_auroc, 3),
                difference.unwrap_or_else(|| NONE.to_owned()),
                shown(found.map(|found| found.top1), 3),
                shown(found.map(|found| found.top5), 3),
                entry.parameters,
                entry.training_studies,
                entry.steps.map_or_else(|| NONE.to_owned(), |steps| steps.to_string()),
                shown(entry.flops.map(|flops| flops / 1e12), 2),
                entry.seconds
            )?;
        }
        for Law { x, y, fit, points } in &self.laws {
            let error = match y {
                Error::Auroc => "1 - mean AUROC",
                Error::Retrieval => "1 - top-1 retrieval",
            };
            let of = match x {
                Axis::TrainingStudies => "training studies",
                Axis::Flops => "FLOPs",
            };
            write!(f, "\n{error} over {of}, {} points: ", points.len())?;
            match fit {
                Some(PowerLaw { exponent, lower, upper, .. }) => {
                    write!(f, "power {exponent:.3} ({lower:.3} to {upper:.3})")?;
                }
                None => write!(f, "too few for a law")?,
            }
        }
        Ok(())
    }
}

/// What stands where there is nothing.
const NONE: &str = "-";

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests;
