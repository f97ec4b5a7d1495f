//! A bootstrap over patients: studies of one patient are not independent, so patients are drawn,
//! each with all of its studies.

use std::collections::BTreeMap;

use statistics::bootstrap::Plan;

use crate::set::Set;

/// Which patients are drawn, and whose study each is.
#[derive(Clone, Debug, PartialEq)]
pub struct Resamples {
    plan: Plan,
    /// Patient of every study.
    patient: Vec<usize>,
}

impl Resamples {
    /// Draws as many patients as there are, with replacement, `count` times.
    #[must_use]
    pub fn of(set: &Set, count: usize, seed: u64) -> Self {
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let patient = set
            .studies
            .iter()
            .map(|study| {
                let next = numbers.len();
                *numbers.entry(&study.patient).or_insert(next)
            })
            .collect();
        Self { plan: Plan::new(seed, count, numbers.len()), patient }
    }

    /// A figure of every resample, from how often each study is in it.
    pub fn map<T: Send>(&self, figure: impl Fn(&[u32]) -> T + Sync) -> Vec<T> {
        self.plan.map_counts(|drawn| {
            let counts: Vec<u32> = self.patient.iter().map(|patient| drawn[*patient]).collect();
            figure(&counts)
        })
    }
}

#[cfg(test)]
mod tests {
    use statistics::bootstrap::Ranked;
    use statistics::metrics::auroc;

    use super::*;
    use crate::set::tests::set;

    #[test]
    fn a_resample_is_whole_patients() {
        let mut set = set(40, 1, |_| vec![]);
        for (i, study) in set.studies.iter_mut().enumerate() {
            study.patient = format!("p{}", i / 2);
        }
        let scores: Vec<f64> = (0..40_u32).map(|i| f64::from(i * 7 % 10)).collect();
        let labels: Vec<bool> = (0..40).map(|i| i % 3 == 0).collect();
        let ranked = Ranked::new(&scores, &labels).unwrap();
        let resamples = Resamples::of(&set, 50, 1);
        let found = resamples.map(|counts| (counts.to_vec(), ranked.auroc(counts)));
        for (counts, found) in &found {
            assert!(counts.chunks_exact(2).all(|pair| pair[0] == pair[1]));
            assert_eq!(counts.iter().sum::<u32>(), 40);
            let drawn = || {
                let each = counts.iter().enumerate();
                each.flat_map(|(i, count)| std::iter::repeat_n(i, *count as usize))
            };
            let scores: Vec<f64> = drawn().map(|i| scores[i]).collect();
            let labels: Vec<bool> = drawn().map(|i| labels[i]).collect();
            let expected = auroc(&scores, &labels).unwrap().value;
            assert!((found - expected).abs() < 1e-12);
        }
        let again = Resamples::of(&set, 50, 1).map(|counts| counts.to_vec());
        assert!(again.iter().eq(found.iter().map(|(counts, _)| counts)), "the same every time");
    }
}
