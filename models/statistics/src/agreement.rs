//! Classes against classes.

use serde::{Deserialize, Serialize};

/// How often each true class was taken for each class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfusionMatrix {
    /// `counts[truth][called]`.
    pub counts: Vec<Vec<usize>>,
}

impl ConfusionMatrix {
    /// Counts studies of `classes` classes.
    ///
    /// # Panics
    /// When the lists differ in length, or hold a class that is none.
    #[must_use]
    pub fn of(truth: &[usize], called: &[usize], classes: usize) -> Self {
        assert_eq!(truth.len(), called.len(), "one class of each per study");
        let mut counts = vec![vec![0; classes]; classes];
        for (truth, called) in truth.iter().zip(called) {
            counts[*truth][*called] += 1;
        }
        Self { counts }
    }

    /// Share of the studies of the right class; `None` without studies.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        let right: usize = (0..self.counts.len()).map(|class| self.counts[class][class]).sum();
        let all: usize = self.counts.iter().flatten().sum();
        (all > 0).then(|| right as f64 / all as f64)
    }

    /// Cohen's kappa (Educational and Psychological Measurement 1960): every confusion counts the
    /// same. `None` when chance alone would agree.
    #[must_use]
    pub fn kappa(&self) -> Option<f64> {
        self.weighted_kappa(|distance| distance.min(1.0))
    }

    /// Kappa for ordered classes (Cohen, Psychological Bulletin 1968): a confusion counts by the
    /// square of the distance. `None` when chance alone would agree.
    #[must_use]
    pub fn quadratic_kappa(&self) -> Option<f64> {
        self.weighted_kappa(|distance| distance * distance)
    }

    /// One less the disagreement over that of independent classes with the same frequencies.
    fn weighted_kappa(&self, weight: impl Fn(f64) -> f64) -> Option<f64> {
        let classes = 0..self.counts.len();
        let truths: Vec<usize> = self.counts.iter().map(|row| row.iter().sum()).collect();
        let calls: Vec<usize> =
            classes.clone().map(|class| self.counts.iter().map(|row| row[class]).sum()).collect();
        let all = truths.iter().sum::<usize>() as f64;
        let (mut found, mut expected) = (0.0, 0.0);
        for truth in classes.clone() {
            for called in classes.clone() {
                let weight = weight(truth.abs_diff(called) as f64);
                found += weight * self.counts[truth][called] as f64;
                expected += weight * truths[truth] as f64 * calls[called] as f64;
            }
        }
        (expected > 0.0).then(|| 1.0 - found * all / expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_at_its_ends() {
        let truth = [0, 1, 2, 0, 1, 2];
        let same = ConfusionMatrix::of(&truth, &truth, 3);
        assert_eq!(
            (same.accuracy(), same.kappa(), same.quadratic_kappa()),
            (Some(1.0), Some(1.0), Some(1.0))
        );
        let reversed = ConfusionMatrix::of(&truth, &truth.map(|class| 2 - class), 3);
        assert_eq!((reversed.kappa(), reversed.quadratic_kappa()), (Some(0.0), Some(-1.0)));
        let constant = ConfusionMatrix::of(&[1, 1], &[1, 1], 3);
        assert_eq!((constant.accuracy(), constant.kappa()), (Some(1.0), None));
        assert_eq!(ConfusionMatrix::of(&[], &[], 3).quadratic_kappa(), None);
    }
}
