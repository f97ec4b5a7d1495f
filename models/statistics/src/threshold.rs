//! Where a score becomes a decision; a score equal to the threshold is positive.

use serde::{Deserialize, Serialize};

use crate::metrics::{Confusion, descending};

/// The rule that picks a threshold on the validation split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum OperatingPoint {
    /// Largest sensitivity + specificity (Youden 1950); the highest such threshold.
    Youden,
    /// The highest threshold that finds at least this share of the positive studies.
    Sensitivity {
        /// Share, above 0 and at most 1.
        least: f64,
    },
    /// The lowest threshold that calls at least this share of the negative studies negative.
    Specificity {
        /// Share, at least 0 and below 1.
        least: f64,
    },
    /// Most right decisions on the published grid of logits, -5.0 to 2.0 in steps of 0.2; the
    /// lowest such threshold (specification §10).
    PublishedGrid,
}

impl OperatingPoint {
    /// The threshold on these scores; between two neighbouring scores where the rule leaves the
    /// choice. `None` when a class is missing, a score is not a number, or no threshold meets
    /// the rule.
    ///
    /// # Panics
    /// When there are not as many scores as labels.
    #[must_use]
    pub fn threshold(self, scores: &[f64], labels: &[bool]) -> Option<f64> {
        assert_eq!(scores.len(), labels.len(), "one score per label");
        let positives = labels.iter().filter(|label| **label).count();
        let negatives = labels.len() - positives;
        if positives == 0 || negatives == 0 || scores.iter().any(|score| score.is_nan()) {
            return None;
        }
        let steps = descending(scores, labels);
        let sensitivity = |i: usize| steps[i].true_positives as f64 / positives as f64;
        let specificity = |i: usize| 1.0 - steps[i].false_positives as f64 / negatives as f64;
        let between = |i: usize| {
            let next = steps.get(i + 1).map_or(steps[i].score, |next| next.score);
            f64::midpoint(steps[i].score, next)
        };
        match self {
            Self::Youden => {
                let gain = |i: usize| sensitivity(i) + specificity(i);
                let best = (0..steps.len()).reduce(|a, b| if gain(b) > gain(a) { b } else { a });
                best.map(between)
            }
            Self::Sensitivity { least } => {
                (0..steps.len()).find(|i| sensitivity(*i) >= least).map(between)
            }
            Self::Specificity { least } => {
                (0..steps.len()).rev().find(|i| specificity(*i) >= least).map(between)
            }
            Self::PublishedGrid => {
                let right = |threshold: f64| {
                    let counts = Confusion::at(threshold, scores, labels);
                    counts.true_positives + counts.true_negatives
                };
                let grid = (-25..=10).map(|fifths| f64::from(fifths) / 5.0);
                grid.reduce(|a, b| if right(b) > right(a) { b } else { a })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores of three positive and four negative studies.
    const SCORES: [f64; 7] = [2.0, 1.0, 0.0, 1.0, -1.0, -2.0, 0.4];
    const LABELS: [bool; 7] = [true, true, true, false, false, false, false];

    #[test]
    fn every_rule_stands_where_it_says() {
        for (rule, expected) in [
            // 1 of 3 at 2.0; 2 of 3 and 1 of 4 at 1.0; 3 of 3 and 2 of 4 at 0.0.
            (OperatingPoint::Youden, Some(-0.5)),
            (OperatingPoint::Sensitivity { least: 0.5 }, Some(0.7)),
            (OperatingPoint::Sensitivity { least: 1.0 }, Some(-0.5)),
            (OperatingPoint::Sensitivity { least: 1.1 }, None),
            (OperatingPoint::Specificity { least: 0.75 }, Some(0.7)),
            (OperatingPoint::Specificity { least: 0.9 }, Some(1.5)),
            // 5 of 7 right from just above -1 to 0, at 0.6 to 1.0 and above 1; -0.8 comes first.
            (OperatingPoint::PublishedGrid, Some(-0.8)),
        ] {
            assert_eq!(rule.threshold(&SCORES, &LABELS), expected, "{rule:?}");
        }
        assert_eq!(OperatingPoint::Youden.threshold(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(OperatingPoint::Youden.threshold(&[1.0, f64::NAN], &[true, false]), None);
    }
}
