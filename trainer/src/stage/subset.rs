//! A share of a cohort's training patients, for curves over the amount of data.

use std::collections::{BTreeSet, HashSet};

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::run::rng;
use crate::cohort::record::{Split, StudyRecord};

/// Which of the training patients are learnt from. Of equal seeds a smaller share lies within a
/// larger one, in every stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingShare {
    /// Share of the patients, above 0 and up to 1.
    pub share: f64,
    /// Of their order.
    pub seed: u64,
}

impl Default for TrainingShare {
    /// All of them.
    fn default() -> Self {
        Self { share: 1.0, seed: 0 }
    }
}

impl TrainingShare {
    /// True when nobody is left out. Such a value is not written into a run's configuration, so
    /// that runs which were begun before there were shares go on.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.share >= 1.0
    }

    /// Refuses what is no share.
    ///
    /// # Errors
    ///
    /// Says what it may be.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.share > 0.0 && self.share <= 1.0,
            "training.share is {}: give more than 0 and at most 1",
            self.share
        );
        Ok(())
    }

    /// Ids of the training studies of the chosen patients.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a small number"
    )]
    pub fn studies<'a>(&self, records: &'a [StudyRecord]) -> HashSet<&'a str> {
        let train = || records.iter().filter(|record| record.split == Split::Train);
        let patients: BTreeSet<&str> = train().map(|record| record.patient.as_str()).collect();
        let mut patients: Vec<&str> = patients.into_iter().collect();
        patients.shuffle(&mut rng(self.seed, 1 << 59));
        let count = (self.share * patients.len() as f64).ceil() as usize;
        let kept: HashSet<&str> = patients.into_iter().take(count).collect();
        let kept = train().filter(|record| kept.contains(record.patient.as_str()));
        kept.map(|record| record.id.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::cohort::record::{Demographics, Report};

    use super::*;

    /// 20 training patients with two studies each, and one of the test split.
    fn records() -> Vec<StudyRecord> {
        let record = |i: usize| StudyRecord {
            id: format!("s{i}"),
            patient: format!("p{}", i / 2),
            split: if i < 40 { Split::Train } else { Split::Test },
            day: 0,
            description: String::new(),
            report: Report::default(),
            demographics: Demographics::default(),
        };
        (0..42).map(record).collect()
    }

    #[test]
    fn smaller_shares_lie_within_larger_ones_and_hold_whole_patients() {
        let records = records();
        let of = |share, seed| TrainingShare { share, seed }.studies(&records);
        for seed in 0..5 {
            let shares = [0.05, 0.26, 0.5, 1.0].map(|share| of(share, seed));
            assert_eq!(shares.each_ref().map(HashSet::len), [2, 12, 20, 40]);
            assert!(shares.windows(2).all(|pair| pair[0].is_subset(&pair[1])));
            for id in &shares[1] {
                let number: usize = id.trim_start_matches('s').parse().unwrap();
                assert!(shares[1].contains(format!("s{}", number ^ 1).as_str()), "half a patient");
            }
        }
        assert_ne!(of(0.5, 0), of(0.5, 1));
    }
}
