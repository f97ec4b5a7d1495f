//! Decisions at one threshold.

use serde::{Deserialize, Serialize};

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
        Self::of(scores.iter().map(|score| *score >= threshold).zip(labels.iter().copied()))
    }

    /// Counts pairs of a decision and a label.
    pub fn of(pairs: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut counts = Self::default();
        for pair in pairs {
            let count = match pair {
                (true, true) => &mut counts.true_positives,
                (true, false) => &mut counts.false_positives,
                (false, false) => &mut counts.true_negatives,
                (false, true) => &mut counts.false_negatives,
            };
            *count += 1;
        }
        counts
    }

    /// Studies with the label.
    #[must_use]
    pub fn positives(self) -> usize {
        self.true_positives + self.false_negatives
    }

    /// Studies without it.
    #[must_use]
    pub fn negatives(self) -> usize {
        self.true_negatives + self.false_positives
    }

    /// Share of the positive studies that were found.
    #[must_use]
    pub fn sensitivity(self) -> Option<f64> {
        share(self.true_positives, self.positives())
    }

    /// Share of the negative studies that were called negative.
    #[must_use]
    pub fn specificity(self) -> Option<f64> {
        share(self.true_negatives, self.negatives())
    }

    /// Share of the positive decisions that are right: the positive predictive value.
    #[must_use]
    pub fn precision(self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_positives)
    }

    /// Share of the negative decisions that are right.
    #[must_use]
    pub fn negative_predictive_value(self) -> Option<f64> {
        share(self.true_negatives, self.true_negatives + self.false_negatives)
    }

    /// Mean of sensitivity and specificity.
    #[must_use]
    pub fn balanced_accuracy(self) -> Option<f64> {
        Some(f64::midpoint(self.sensitivity()?, self.specificity()?))
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

fn share(count: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| count as f64 / of as f64)
}
