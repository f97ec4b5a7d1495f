//! Scores against labels at every threshold at once.
#![expect(clippy::float_cmp, reason = "ties are equal scores, exactly")]

use serde::{Deserialize, Serialize};

use crate::distribution::{Z95, normal_two_sided};
use crate::sample::{mean, midranks, variance};

/// Area under the ROC curve with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Auroc {
    /// The area; ties count one half.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
    /// Studies with the label.
    pub positives: usize,
    /// Studies without it.
    pub negatives: usize,
}

/// Area under the ROC curve; the interval is normal with `DeLong`'s variance (Biometrics 1988, in
/// the form that midranks allow, Sun and Xu 2014), cut to 0–1.
///
/// # Panics
/// When there are not as many scores as labels.
#[must_use]
pub fn auroc(scores: &[f64], labels: &[bool]) -> Option<Auroc> {
    let Placements { positive, negative } = Placements::of(scores, labels)?;
    let value = mean(&positive);
    let margin = Z95 * standard_error(&positive, &negative);
    Some(Auroc {
        value,
        lower: (value - margin).max(0.0),
        upper: (value + margin).min(1.0),
        positives: positive.len(),
        negatives: negative.len(),
    })
}

/// Difference of two areas under ROC curves with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AurocDifference {
    /// First area minus second.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
    /// Two-sided probability of a difference at least as large between equal scores.
    pub p_value: f64,
}

/// Compares the areas of two scores of the same studies (`DeLong` 1988): a study's placements
/// under both are subtracted, which makes their covariance part of the variance. Scores that
/// place every study alike differ by 0 with a probability of 1.
///
/// # Panics
/// When there are not as many scores as labels.
#[must_use]
pub fn auroc_difference(first: &[f64], second: &[f64], labels: &[bool]) -> Option<AurocDifference> {
    let (first, second) = (Placements::of(first, labels)?, Placements::of(second, labels)?);
    let differences =
        |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
    let positive = differences(&first.positive, &second.positive);
    let negative = differences(&first.negative, &second.negative);
    let value = mean(&positive);
    let error = standard_error(&positive, &negative);
    Some(AurocDifference {
        value,
        lower: value - Z95 * error,
        upper: value + Z95 * error,
        p_value: if value == 0.0 { 1.0 } else { normal_two_sided(value / error) },
    })
}

/// The areas that are left when each study in turn is left out, for [`crate::bootstrap::bca`].
/// `None` also when a class has one study only.
///
/// # Panics
/// When there are not as many scores as labels.
#[must_use]
pub fn auroc_without_each(scores: &[f64], labels: &[bool]) -> Option<Vec<f64>> {
    let Placements { positive, negative } = Placements::of(scores, labels)?;
    if positive.len() < 2 || negative.len() < 2 {
        return None;
    }
    let without = |own: &[f64], area: f64| -> Vec<f64> {
        let n = own.len() as f64;
        own.iter().map(|placement| (n * area - placement) / (n - 1.0)).collect()
    };
    let area = mean(&positive);
    let mut positive = without(&positive, area).into_iter();
    // A negative study's placement is the share of positive studies below it.
    let mut negative = without(&negative, 1.0 - area).into_iter().map(|below| 1.0 - below);
    labels.iter().map(|label| if *label { positive.next() } else { negative.next() }).collect()
}

/// The share of the other class that each study is ranked above.
struct Placements {
    positive: Vec<f64>,
    negative: Vec<f64>,
}

impl Placements {
    fn of(scores: &[f64], labels: &[bool]) -> Option<Self> {
        let (positive, negative) = by_class(scores, labels)?;
        let all = midranks(scores);
        let placements = |class: bool, own: &[f64], other: &[f64]| -> Vec<f64> {
            let overall = all.iter().zip(labels).filter(|(_, label)| **label == class);
            let beyond = overall.zip(midranks(own)).map(|((all, _), within)| all - within);
            beyond.map(|count| count / other.len() as f64).collect()
        };
        Some(Self {
            positive: placements(true, &positive, &negative),
            negative: placements(false, &negative, &positive),
        })
    }
}

fn standard_error(positive: &[f64], negative: &[f64]) -> f64 {
    let part = |placements: &[f64]| variance(placements) / placements.len() as f64;
    (part(positive) + part(negative)).sqrt()
}

/// The ROC curve as (false positive rate, true positive rate), from (0, 0) to (1, 1).
///
/// # Panics
/// When there are not as many scores as labels.
#[must_use]
pub fn roc(scores: &[f64], labels: &[bool]) -> Option<Vec<[f64; 2]>> {
    let (positive, negative) = by_class(scores, labels)?;
    let (m, n) = (positive.len() as f64, negative.len() as f64);
    let mut points = vec![[0.0, 0.0]];
    points.extend(
        descending(scores, labels)
            .into_iter()
            .map(|step| [step.false_positives as f64 / n, step.true_positives as f64 / m]),
    );
    Some(points)
}

/// Average precision: precision weighted by the steps of recall, without interpolation.
///
/// # Panics
/// When there are not as many scores as labels.
#[must_use]
pub fn average_precision(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let (positive, _) = by_class(scores, labels)?;
    let (mut sum, mut recalled) = (0.0, 0);
    for step in descending(scores, labels) {
        let found = step.true_positives as f64;
        let precision = found / (found + step.false_positives as f64);
        sum += precision * (step.true_positives - recalled) as f64;
        recalled = step.true_positives;
    }
    Some(sum / positive.len() as f64)
}

/// Scores of the positive and of the negative studies, in order.
fn by_class(scores: &[f64], labels: &[bool]) -> Option<(Vec<f64>, Vec<f64>)> {
    assert_eq!(scores.len(), labels.len(), "one score per label");
    let of = |class: bool| -> Vec<f64> {
        scores.iter().zip(labels).filter(|(_, label)| **label == class).map(|(s, _)| *s).collect()
    };
    let (positive, negative) = (of(true), of(false));
    let defined =
        !positive.is_empty() && !negative.is_empty() && !scores.iter().any(|s| s.is_nan());
    defined.then_some((positive, negative))
}

/// What a threshold at one of the scores calls positive.
pub(crate) struct Step {
    pub(crate) score: f64,
    pub(crate) true_positives: usize,
    pub(crate) false_positives: usize,
}

/// The thresholds that differ in their decisions, from the strictest.
pub(crate) fn descending(scores: &[f64], labels: &[bool]) -> Vec<Step> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let (mut true_positives, mut false_positives) = (0, 0);
    order
        .chunk_by(|&a, &b| scores[a] == scores[b])
        .map(|tied| {
            let positive = tied.iter().filter(|index| labels[**index]).count();
            true_positives += positive;
            false_positives += tied.len() - positive;
            Step { score: scores[tied[0]], true_positives, false_positives }
        })
        .collect()
}
