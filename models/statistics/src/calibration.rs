//! From a logit to a probability, and how far probabilities are from frequencies.

use serde::{Deserialize, Serialize};

use crate::interval::{Interval, wilson};
use crate::metrics::{Confusion, mean};

/// How a logit becomes a probability; fitted on studies that training did not see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Calibration {
    /// `sigmoid(logit / temperature)` (Guo et al., ICML 2017).
    Temperature {
        /// Larger is less certain.
        temperature: f64,
    },
    /// `sigmoid(slope * logit + intercept)` (Platt 1999).
    Platt {
        /// Factor of the logit.
        slope: f64,
        /// Added to it.
        intercept: f64,
    },
    /// A rising polyline; constant before its first and after its last knot.
    Isotonic {
        /// `(logit, probability)`, logits ascending.
        knots: Vec<[f64; 2]>,
    },
}

/// Temperatures outside `1 / LIMIT` to `LIMIT` are not looked for: classes that the logits
/// separate fully, or rank the wrong way, have none.
const TEMPERATURE_LIMIT: f64 = 100.0;

impl Calibration {
    /// The probability of a logit.
    #[must_use]
    pub fn probability(&self, logit: f64) -> f64 {
        match self {
            Self::Temperature { temperature } => sigmoid(logit / temperature),
            Self::Platt { slope, intercept } => sigmoid(slope * logit + intercept),
            Self::Isotonic { knots } => polyline(knots, logit),
        }
    }

    /// The temperature with the least cross entropy.
    ///
    /// # Panics
    /// When there are not as many logits as labels.
    #[must_use]
    pub fn temperature(logits: &[f64], labels: &[bool]) -> Self {
        let rows: Vec<f64> = logits.iter().flat_map(|logit| [0.0, *logit]).collect();
        let classes: Vec<usize> = labels.iter().map(|label| usize::from(*label)).collect();
        Self::Temperature { temperature: softmax_temperature(&rows, 2, &classes) }
    }

    /// Platt's fit, with his smoothed targets, by Newton's method with step halving. It never falls.
    ///
    /// # Panics
    /// When there are not as many logits as labels.
    #[must_use]
    pub fn platt(logits: &[f64], labels: &[bool]) -> Self {
        assert_eq!(logits.len(), labels.len(), "one logit per label");
        let positives = labels.iter().filter(|label| **label).count() as f64;
        let negatives = labels.len() as f64 - positives;
        let target = |label: bool| {
            if label { (positives + 1.0) / (positives + 2.0) } else { 1.0 / (negatives + 2.0) }
        };
        let loss = |slope: f64, intercept: f64| -> f64 {
            let terms = logits.iter().zip(labels).map(|(z, label)| {
                let score = slope * z + intercept;
                softplus(score) - target(*label) * score
            });
            terms.sum()
        };
        let (mut slope, mut intercept) = (0.0, ((positives + 1.0) / (negatives + 1.0)).ln());
        for _ in 0..100 {
            let (mut gradient, mut hessian) = ([0.0; 2], [1e-12, 0.0, 1e-12]);
            for (z, label) in logits.iter().zip(labels) {
                let p = sigmoid(slope * z + intercept);
                let (error, weight) = (p - target(*label), p * (1.0 - p));
                gradient = [gradient[0] + error * z, gradient[1] + error];
                let [zz, z1, one] = hessian;
                hessian = [zz + weight * z * z, z1 + weight * z, one + weight];
            }
            let [zz, z1, one] = hessian;
            let determinant = zz * one - z1 * z1;
            let step = [
                (one * gradient[0] - z1 * gradient[1]) / determinant,
                (zz * gradient[1] - z1 * gradient[0]) / determinant,
            ];
            let before = loss(slope, intercept);
            let falls =
                |size: &f64| loss(slope - size * step[0], intercept - size * step[1]) < before;
            let halvings = (0..40).map(|power| 0.5_f64.powi(power));
            let Some(size) = halvings.into_iter().find(falls) else { break };
            slope -= size * step[0];
            intercept -= size * step[1];
        }
        if slope < 0.0 {
            // Scores that rank the wrong way say nothing; a falling probability would contradict the
            // order in which findings are listed. The best constant is left.
            let targets: f64 = labels.iter().map(|label| target(*label)).sum();
            let mean = targets / labels.len() as f64;
            return Self::Platt { slope: 0.0, intercept: (mean / (1.0 - mean)).ln() };
        }
        Self::Platt { slope, intercept }
    }

    /// Isotonic regression by pooling adjacent violators; equal logits are pooled first.
    ///
    /// # Panics
    /// When there are not as many logits as labels.
    #[must_use]
    pub fn isotonic(logits: &[f64], labels: &[bool]) -> Self {
        assert_eq!(logits.len(), labels.len(), "one logit per label");
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        let mut blocks: Vec<Block> = Vec::new();
        for tied in order.chunk_by(|&a, &b| logits[a].total_cmp(&logits[b]).is_eq()) {
            let positives = tied.iter().filter(|index| labels[**index]).count();
            let logit = logits[tied[0]];
            let mut block = Block { first: logit, last: logit, positives, count: tied.len() };
            while let Some(before) = blocks.pop_if(|before| before.share() >= block.share()) {
                block = Block {
                    first: before.first,
                    last: block.last,
                    positives: before.positives + block.positives,
                    count: before.count + block.count,
                };
            }
            blocks.push(block);
        }
        let mut knots: Vec<[f64; 2]> = Vec::new();
        for block in &blocks {
            knots.push([block.first, block.share()]);
            if block.last > block.first {
                knots.push([block.last, block.share()]);
            }
        }
        Self::Isotonic { knots }
    }
}

/// The temperature that makes `softmax(logits / temperature)` least surprised by `classes`.
/// `logits` holds `width` values a study.
///
/// The loss is convex in `1 / temperature`, so its slope is bisected.
///
/// # Panics
/// When the lengths do not fit, or a class is not below `width`.
#[must_use]
pub fn softmax_temperature(logits: &[f64], width: usize, classes: &[usize]) -> f64 {
    assert_eq!(logits.len(), width * classes.len(), "{width} logits per class");
    let slope = |sharpness: f64| -> f64 {
        let terms = logits.chunks_exact(width).zip(classes).map(|(row, class)| {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weight = |z: f64| (sharpness * (z - largest)).exp();
            let sum: f64 = row.iter().map(|z| weight(*z)).sum();
            row.iter().map(|z| weight(*z) * z).sum::<f64>() / sum - row[*class]
        });
        terms.sum()
    };
    let (mut low, mut high) = (-TEMPERATURE_LIMIT.ln(), TEMPERATURE_LIMIT.ln());
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if slope(middle.exp()) < 0.0 { low = middle } else { high = middle }
    }
    (-f64::midpoint(low, high)).exp()
}

/// Studies whose probabilities lie between two ends, for a reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Lower end, which belongs to the bin.
    pub lower: f64,
    /// Upper end, which does not, but for 1.
    pub upper: f64,
    /// Number of studies, at least one.
    pub studies: usize,
    /// Mean of their probabilities.
    pub confidence: f64,
    /// Share of them with the label.
    pub frequency: f64,
    /// Wilson's interval of that share.
    pub interval: Interval,
    /// What the share would be if as many studies had the label, over all bins, as have not;
    /// `None` when no study, or every one, has it.
    pub balanced_frequency: Option<f64>,
    /// Balanced accuracy of the decisions on the bin's studies, as the paper's Extended Data Fig. 6e
    /// draws it; `None` when they have one class only.
    pub balanced_accuracy: Option<f64>,
}

/// The bins that hold studies, of `bins` equal ones. `called` are the decisions on the studies.
///
/// # Panics
/// When there are not as many probabilities or decisions as labels.
#[must_use]
pub fn reliability(
    probabilities: &[f64],
    called: &[bool],
    labels: &[bool],
    bins: usize,
) -> Vec<Bin> {
    assert_eq!(called.len(), labels.len(), "one decision per label");
    let places = places(probabilities, labels, bins);
    let decisions = |bin: Option<usize>| {
        let pairs = called.iter().zip(labels).zip(&places);
        let within = pairs.filter(|(_, place)| bin.is_none_or(|bin| bin == **place));
        Confusion::of(within.map(|((called, label), _)| (*called, *label)))
    };
    let all = decisions(None);
    let one = |bin: usize| {
        let within: Vec<f64> = probabilities
            .iter()
            .zip(&places)
            .filter(|(_, p)| **p == bin)
            .map(|(p, _)| *p)
            .collect();
        let counts = decisions(Some(bin));
        let with = counts.positives() as f64 / all.positives() as f64;
        let without = counts.negatives() as f64 / all.negatives() as f64;
        let balanced = with / (with + without);
        Some(Bin {
            lower: bin as f64 / bins as f64,
            upper: (bin + 1) as f64 / bins as f64,
            studies: within.len(),
            confidence: mean(&within),
            frequency: counts.positives() as f64 / within.len() as f64,
            interval: wilson(counts.positives(), within.len())?,
            balanced_frequency: (!balanced.is_nan()).then_some(balanced),
            balanced_accuracy: counts.balanced_accuracy(),
        })
    };
    (0..bins).filter_map(one).collect()
}

/// Mean distance of confidence and frequency over `bins` equal bins of the probability, weighted
/// by the studies in each; 0 without studies.
///
/// # Panics
/// When there are not as many probabilities as labels.
#[must_use]
pub fn expected_calibration_error(probabilities: &[f64], labels: &[bool], bins: usize) -> f64 {
    let mut difference = vec![0.0; bins.max(1)];
    let places = places(probabilities, labels, bins);
    for ((probability, label), place) in probabilities.iter().zip(labels).zip(places) {
        difference[place] += probability - f64::from(u8::from(*label));
    }
    difference.iter().map(|sum| sum.abs()).sum::<f64>() / labels.len().max(1) as f64
}

/// The bin of each probability.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a probability times the number of bins, cut to the last bin"
)]
fn places(probabilities: &[f64], labels: &[bool], bins: usize) -> Vec<usize> {
    assert_eq!(probabilities.len(), labels.len(), "one probability per label");
    let place = |probability: &f64| ((probability * bins as f64) as usize).min(bins.max(1) - 1);
    probabilities.iter().map(place).collect()
}

/// Mean squared distance of probability and outcome; 0 is best.
///
/// # Panics
/// When there are not as many probabilities as labels.
#[must_use]
pub fn brier(probabilities: &[f64], labels: &[bool]) -> f64 {
    assert_eq!(probabilities.len(), labels.len(), "one probability per label");
    let square = |(p, label): (&f64, &bool)| (p - f64::from(u8::from(*label))).powi(2);
    mean(&probabilities.iter().zip(labels).map(square).collect::<Vec<_>>())
}

/// Neighbouring logits that share a frequency.
struct Block {
    first: f64,
    last: f64,
    positives: usize,
    count: usize,
}

impl Block {
    fn share(&self) -> f64 {
        self.positives as f64 / self.count as f64
    }
}

fn polyline(knots: &[[f64; 2]], x: f64) -> f64 {
    let after = knots.partition_point(|knot| knot[0] < x);
    match (after.checked_sub(1).and_then(|before| knots.get(before)), knots.get(after)) {
        (Some(&[x0, y0]), Some(&[x1, y1])) => y0 + (y1 - y0) * (x - x0) / (x1 - x0),
        (Some(&[_, y]), None) | (None, Some(&[_, y])) => y,
        (None, None) => 0.5,
    }
}

/// `1 / (1 + exp(-x))`.
#[must_use]
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `ln(1 + exp(x))` without overflow.
#[must_use]
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests;
