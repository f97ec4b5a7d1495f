//! How near predictions come to the truth.

use std::collections::BTreeMap;

use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statistics::metrics::{Auroc, auroc, average_precision, mean, pearson};

use super::folds::rng;
use crate::transfer::labels::Values;

/// Resamplings of a bootstrap.
pub const RESAMPLES: u64 = 1000;

/// A value with its 95 % interval: percentiles of a bootstrap over patients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// On all studies.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
}

/// What predictions reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Measure {
    /// Yes or no.
    YesNo {
        /// Area under the ROC curve with `DeLong`'s interval, which takes studies for independent.
        auroc: Option<Auroc>,
        /// Average precision.
        average_precision: Option<f64>,
    },
    /// Classes, each against the rest.
    Class {
        /// As of yes or no, for every class.
        auroc: Vec<Option<Auroc>>,
        /// Mean over the classes that have one.
        mean_auroc: Option<Estimate>,
        /// Share of studies whose largest output is that of their class.
        accuracy: Option<Estimate>,
    },
    /// A number.
    Number {
        /// Mean absolute error, in the number's unit.
        mean_absolute_error: Option<Estimate>,
        /// Pearson's correlation.
        pearson: Option<Estimate>,
    },
}

impl Measure {
    /// Of studies with these outputs, values and patients.
    pub(super) fn of(outputs: &[&[f64]], values: &Values, patients: &[&str]) -> Self {
        let groups = groups(patients);
        match values {
            Values::YesNo { truth } => Self::YesNo {
                auroc: auroc(&column(outputs, 0), truth),
                average_precision: average_precision(&column(outputs, 0), truth),
            },
            Values::Class { classes, truth } => {
                let is_right = |study: &&usize| {
                    outputs[**study].iter().all(|out| *out <= outputs[**study][truth[**study]])
                };
                let area = |drawn: &[usize]| {
                    let rows: Vec<&[f64]> = drawn.iter().map(|study| outputs[*study]).collect();
                    figure(&rows, &values.select(drawn))
                };
                let accuracy = |drawn: &[usize]| {
                    let right = drawn.iter().filter(is_right).count();
                    (!drawn.is_empty()).then(|| right as f64 / drawn.len() as f64)
                };
                Self::Class {
                    auroc: areas(outputs, classes.len(), truth),
                    mean_auroc: bootstrap(&groups, area),
                    accuracy: bootstrap(&groups, accuracy),
                }
            }
            Values::Number { truth } => {
                let found = column(outputs, 0);
                let of = |values: &[f64], drawn: &[usize]| -> Vec<f64> {
                    drawn.iter().map(|study| values[*study]).collect()
                };
                let error = |drawn: &[usize]| absolute_error(&of(&found, drawn), &of(truth, drawn));
                let correlation = |drawn: &[usize]| pearson(&of(&found, drawn), &of(truth, drawn));
                Self::Number {
                    mean_absolute_error: bootstrap(&groups, error),
                    pearson: bootstrap(&groups, correlation),
                }
            }
        }
    }
}

/// The figure that folds are compared by: AUROC, mean AUROC of the classes, or mean absolute error.
pub(super) fn figure(outputs: &[&[f64]], values: &Values) -> Option<f64> {
    match values {
        Values::YesNo { truth } => Some(auroc(&column(outputs, 0), truth)?.value),
        Values::Class { classes, truth } => {
            let areas = areas(outputs, classes.len(), truth);
            let known: Vec<f64> = areas.iter().flatten().map(|area| area.value).collect();
            (!known.is_empty()).then(|| mean(&known))
        }
        Values::Number { truth } => absolute_error(&column(outputs, 0), truth),
    }
}

fn column(outputs: &[&[f64]], output: usize) -> Vec<f64> {
    outputs.iter().map(|row| row[output]).collect()
}

/// Each class against the rest.
fn areas(outputs: &[&[f64]], classes: usize, truth: &[usize]) -> Vec<Option<Auroc>> {
    let area = |class: usize| {
        let own: Vec<bool> = truth.iter().map(|other| *other == class).collect();
        auroc(&column(outputs, class), &own)
    };
    (0..classes).map(area).collect()
}

fn absolute_error(found: &[f64], truth: &[f64]) -> Option<f64> {
    let errors: Vec<f64> =
        found.iter().zip(truth).map(|(found, truth)| (found - truth).abs()).collect();
    (!errors.is_empty()).then(|| mean(&errors))
}

/// Studies of each patient.
fn groups(patients: &[&str]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (study, patient) in patients.iter().enumerate() {
        groups.entry(patient).or_default().push(study);
    }
    groups.into_values().collect()
}

/// The studies of one resampling: of as many patients as there are, drawn with replacement.
#[must_use]
pub fn resample(groups: &[Vec<usize>], index: u64) -> Vec<usize> {
    let mut rng = rng(0, index);
    (0..groups.len()).flat_map(|_| groups[rng.random_range(0..groups.len())].clone()).collect()
}

/// A value on all studies and its interval; resamplings without the value do not count.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a thousand"
)]
fn bootstrap(
    groups: &[Vec<usize>],
    of: impl Fn(&[usize]) -> Option<f64> + Sync,
) -> Option<Estimate> {
    let value = of(&groups.concat())?;
    let drawn = (0..RESAMPLES).into_par_iter();
    let mut values: Vec<f64> = drawn.filter_map(|index| of(&resample(groups, index))).collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    let at = |share: f64| values.get((share * last).round() as usize).copied().unwrap_or(value);
    Some(Estimate { value, lower: at(0.025), upper: at(0.975) })
}

/// Regression to the mean of predicted numbers, and what correcting for it leaves (de Lange and
/// Cole, `NeuroImage`: Clinical 26, 2020): predicted = slope * true + intercept is fitted, and its
/// distance from the true value taken off. The correction **knows the true value**, so
/// `corrected_error` is no accuracy; it is what is left of a brain-age gap that depends on age.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bias {
    /// Of predicted on true values, over all studies; 1 without bias.
    pub slope: f64,
    /// Where the line stands at 0.
    pub intercept: f64,
    /// Correlation of the gap, predicted less true, with the true value; 0 without bias.
    pub gap_correlation: Option<f64>,
    /// The same after correction.
    pub corrected_gap_correlation: Option<f64>,
    /// Mean absolute gap after correction, in the number's unit.
    pub corrected_error: f64,
}

impl Bias {
    /// The line that corrects a study is that of the other folds.
    pub(super) fn of(found: &[f64], truth: &[f64], folds: &[usize]) -> Option<Self> {
        let without = |fold: Option<usize>| {
            let others = (0..truth.len()).filter(|study| Some(folds[*study]) != fold);
            line(&others.map(|study| [truth[study], found[study]]).collect::<Vec<_>>())
        };
        let [slope, intercept] = without(None)?;
        let count = folds.iter().max().map_or(0, |last| last + 1);
        let lines: Vec<[f64; 2]> =
            (0..count).map(|fold| without(Some(fold))).collect::<Option<_>>()?;
        let gaps: Vec<f64> = found.iter().zip(truth).map(|(f, t)| f - t).collect();
        let pairs = found.iter().zip(truth).zip(folds);
        let corrected: Vec<f64> = pairs
            .map(|((found, truth), fold)| found - (lines[*fold][0] * truth + lines[*fold][1]))
            .collect();
        Some(Self {
            slope,
            intercept,
            gap_correlation: pearson(&gaps, truth),
            corrected_gap_correlation: pearson(&corrected, truth),
            corrected_error: mean(&corrected.iter().map(|gap| gap.abs()).collect::<Vec<_>>()),
        })
    }
}

/// Slope and intercept of y on x by least squares; `None` where x is the same for all.
fn line(points: &[[f64; 2]]) -> Option<[f64; 2]> {
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|[x, y]| (*x, *y)).unzip();
    let (mean_x, mean_y) = (mean(&x), mean(&y));
    let products = points.iter().map(|[x, y]| (x - mean_x) * (y - mean_y)).sum::<f64>();
    let squares = x.iter().map(|x| (x - mean_x).powi(2)).sum::<f64>();
    let slope = products / squares;
    (squares > 0.0).then_some([slope, mean_y - slope * mean_x])
}
