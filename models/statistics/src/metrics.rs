//! How well a score separates two classes, and how two measurements agree.
//!
//! Every figure is `None` where it has no meaning: one class missing, a score that is not a
//! number, no variance.
#![expect(clippy::float_cmp, reason = "ties are equal scores, exactly")]

use serde::{Deserialize, Serialize};

/// Half the width of a 95 % interval in standard errors.
const Z95: f64 = 1.959_963_984_540_054;

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
    let (positive, negative) = by_class(scores, labels)?;
    let all = midranks(scores);
    let (m, n) = (positive.len() as f64, negative.len() as f64);
    // Share of the other class that each study is ranked beyond.
    let placements = |class: bool, own: &[f64], other: f64| -> Vec<f64> {
        let within = midranks(own);
        let overall = all.iter().zip(labels).filter(|(_, label)| **label == class);
        overall.zip(within).map(|((all, _), within)| (all - within) / other).collect()
    };
    let value = mean(&placements(true, &positive, n));
    let variance = variance(&placements(true, &positive, n)) / m
        + variance(&placements(false, &negative, m)) / n;
    let margin = Z95 * variance.sqrt();
    Some(Auroc {
        value,
        lower: (value - margin).max(0.0),
        upper: (value + margin).min(1.0),
        positives: positive.len(),
        negatives: negative.len(),
    })
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

/// Pearson's correlation.
///
/// # Panics
/// When the lists differ in length.
#[must_use]
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "one value of each per study");
    if x.iter().chain(y).any(|value| !value.is_finite()) {
        return None;
    }
    let (mean_x, mean_y) = (mean(x), mean(y));
    let product = |a: &[f64], mean_a: f64, b: &[f64], mean_b: f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum()
    };
    let spread = product(x, mean_x, x, mean_x) * product(y, mean_y, y, mean_y);
    (spread > 0.0).then(|| product(x, mean_x, y, mean_y) / spread.sqrt())
}

/// Spearman's rank correlation; ties share their mean rank.
///
/// # Panics
/// When the lists differ in length.
#[must_use]
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.iter().chain(y).any(|value| value.is_nan()) {
        return None;
    }
    pearson(&midranks(x), &midranks(y))
}

/// Decisions against labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Called positive, and rightly so.
    pub true_positives: usize,
    /// Called positive, wrongly.
    pub false_positives: usize,
    /// Called negative, and rightly so.
    pub true_negatives: usize,
    /// Called negative, wrongly.
    pub false_negatives: usize,
}

impl Confusion {
    /// Counts decisions; a score equal to the threshold is positive.
    ///
    /// # Panics
    /// When there are not as many scores as labels.
    #[must_use]
    pub fn at(threshold: f64, scores: &[f64], labels: &[bool]) -> Self {
        assert_eq!(scores.len(), labels.len(), "one score per label");
        let mut counts = Self::default();
        for (score, label) in scores.iter().zip(labels) {
            let count = match (*score >= threshold, *label) {
                (true, true) => &mut counts.true_positives,
                (true, false) => &mut counts.false_positives,
                (false, false) => &mut counts.true_negatives,
                (false, true) => &mut counts.false_negatives,
            };
            *count += 1;
        }
        counts
    }

    /// Share of the positive studies that were found.
    #[must_use]
    pub fn sensitivity(self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// Share of the negative studies that were called negative.
    #[must_use]
    pub fn specificity(self) -> Option<f64> {
        share(self.true_negatives, self.true_negatives + self.false_positives)
    }

    /// Share of the positive decisions that are right.
    #[must_use]
    pub fn precision(self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_positives)
    }

    /// Harmonic mean of precision and sensitivity.
    #[must_use]
    pub fn f1(self) -> Option<f64> {
        let wrong = self.false_positives + self.false_negatives;
        share(2 * self.true_positives, 2 * self.true_positives + wrong)
    }

    /// Share of right decisions.
    #[must_use]
    pub fn accuracy(self) -> Option<f64> {
        let right = self.true_positives + self.true_negatives;
        share(right, right + self.false_positives + self.false_negatives)
    }
}

/// 95 % interval of a share of `count` in `of` by Wilson's score (J. Am. Stat. Assoc. 1927): within
/// 0–1, and wide for three of three.
#[must_use]
pub fn wilson(count: usize, of: usize) -> Option<[f64; 2]> {
    let p = share(count, of)?;
    let n = of as f64;
    let centre = p + Z95 * Z95 / (2.0 * n);
    let margin = Z95 * (p * (1.0 - p) / n + Z95 * Z95 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z95 * Z95 / n;
    Some([((centre - margin) / scale).max(0.0), ((centre + margin) / scale).min(1.0)])
}

fn share(count: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| count as f64 / of as f64)
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

/// Ranks from 1; equal values share their mean rank.
fn midranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = before as f64 + (tied.len() + 1) as f64 / 2.0;
        for &index in tied {
            ranks[index] = rank;
        }
        before += tied.len();
    }
    ranks
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

/// Mean; not a number without values.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Unbiased variance; 0 for a single value.
fn variance(values: &[f64]) -> f64 {
    let centre = mean(values);
    let sum: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    sum / (values.len().max(2) - 1) as f64
}

#[cfg(test)]
pub(crate) mod tests;
