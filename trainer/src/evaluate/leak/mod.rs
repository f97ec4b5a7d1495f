//! Two baselines that must fail: what can be told about a study's labels without looking at its
//! images. From headers and names alone, or from global intensity histograms alone, a diagnosis
//! must hardly be predictable; where it is, the cohort gives its answers away.
//!
//! Both use the same classifier, logistic regression on standardised features, fitted on the
//! training split, its penalty chosen on the validation split, measured on the test split. A cohort
//! without test studies lends some of its training patients for that ([`assign`]).

pub mod features;
pub mod report;

use std::collections::BTreeSet;

use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::cohort::record::{Split, StudyRecord};
use crate::stage::run::rng;
use statistics::logistic::{Standard, fit, score};
use statistics::metrics::{Auroc, auroc};
use statistics::rows::Rows;

/// Of a hundred training patients, those that a cohort without test studies lends.
pub const LENT_PERCENT: usize = 30;
/// Seed of the choice of these.
const SEED: u64 = 0;
/// Penalties that are tried, in units of the mean loss.
const PENALTIES: [f64; 4] = [1.0, 1e-1, 1e-2, 1e-3];
/// Penalty of a cohort without a validation split.
const DEFAULT_PENALTY: f64 = 1e-2;

/// What a baseline reached on the test split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeakReport {
    /// One area a label; `None` where the training or test split lacks a class.
    pub auroc: Vec<Option<Auroc>>,
    /// Their mean; `None` when there is none.
    pub mean: Option<f64>,
    /// The penalty that was best on the validation split.
    pub penalty: f64,
}

/// Which studies the baselines are measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasuredOn {
    /// Those of the test split.
    TestStudies,
    /// Those of [`LENT_PERCENT`] of the training patients, in a cohort without test studies.
    LentPatients,
}

/// What each study is used for, in the order of the records. Equal cohorts lend the same patients.
#[must_use]
pub fn assign(records: &[StudyRecord]) -> (Vec<Split>, MeasuredOn) {
    let of = |split: Split| records.iter().filter(move |record| record.split == split);
    if of(Split::Test).next().is_some() {
        return (records.iter().map(|record| record.split).collect(), MeasuredOn::TestStudies);
    }
    let patients: BTreeSet<&str> = of(Split::Train).map(|r| r.patient.as_str()).collect();
    let mut patients: Vec<&str> = patients.into_iter().collect();
    patients.shuffle(&mut rng(SEED, 0));
    patients.truncate(patients.len() * LENT_PERCENT / 100);
    let lent: BTreeSet<&str> = patients.into_iter().collect();
    let split = |record: &StudyRecord| {
        if lent.contains(record.patient.as_str()) { Split::Test } else { record.split }
    };
    (records.iter().map(split).collect(), MeasuredOn::LentPatients)
}

/// Fits the baseline and measures it.
///
/// `labels[study][label]`, `splits` and the rows of `features` stand in the same order. A feature
/// that is not a number is absent, and counts as average.
///
/// # Panics
/// When the lengths differ, or the studies have different numbers of labels.
#[must_use]
pub fn measure(features: Rows<'_>, labels: &[Vec<bool>], splits: &[Split]) -> LeakReport {
    assert_eq!((features.len(), features.len()), (labels.len(), splits.len()), "one row a study");
    let count = labels.first().map_or(0, Vec::len);
    assert!(labels.iter().all(|row| row.len() == count), "{count} labels a study");
    let of = |split: Split| -> Vec<usize> {
        (0..splits.len()).filter(|study| splits[*study] == split).collect()
    };
    let (train, validation, test) = (of(Split::Train), of(Split::Validation), of(Split::Test));
    let standard = Standard::of(features, &train);
    let [train, validation, test] =
        [train, validation, test].map(|studies| Part::new(features, labels, &standard, &studies));

    let penalties: &[f64] =
        if validation.labels.is_empty() { &[DEFAULT_PENALTY] } else { &PENALTIES };
    // Weak penalties start from the fit of the stronger one.
    let per_label: Vec<Vec<[Option<Auroc>; 2]>> = (0..count)
        .into_par_iter()
        .map(|label| {
            let wanted = train.label(label);
            let mut model = vec![0.0; features.width() + 1];
            let both = wanted.contains(&true) && wanted.contains(&false);
            let areas = penalties.iter().map(|penalty| {
                if !both {
                    return [None; 2];
                }
                fit(train.rows(), &wanted, *penalty, &mut model);
                [&validation, &test].map(|part| part.auroc(&model, label))
            });
            areas.collect()
        })
        .collect();
    let column = |choice: usize, part: usize| -> Vec<Option<Auroc>> {
        per_label.iter().map(|areas| areas[choice][part]).collect()
    };
    let best = (0..penalties.len())
        .reduce(|a, b| if mean_area(&column(b, 0)) > mean_area(&column(a, 0)) { b } else { a });
    let best = best.unwrap_or(0);
    let auroc = column(best, 1);
    LeakReport { mean: mean_area(&auroc), auroc, penalty: penalties[best] }
}

fn mean_area(areas: &[Option<Auroc>]) -> Option<f64> {
    let values: Vec<f64> = areas.iter().flatten().map(|area| area.value).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The studies of one split.
struct Part<'a> {
    values: Vec<f32>,
    width: usize,
    labels: Vec<&'a [bool]>,
}

impl<'a> Part<'a> {
    fn new(
        features: Rows<'_>,
        labels: &'a [Vec<bool>],
        standard: &Standard,
        studies: &[usize],
    ) -> Self {
        let values = studies.iter().flat_map(|study| standard.apply(features.row(*study)));
        Self {
            values: values.collect(),
            width: features.width(),
            labels: studies.iter().map(|study| labels[*study].as_slice()).collect(),
        }
    }

    fn rows(&self) -> Rows<'_> {
        Rows::new(&self.values, self.width)
    }

    fn label(&self, label: usize) -> Vec<bool> {
        self.labels.iter().map(|row| row[label]).collect()
    }

    fn auroc(&self, model: &[f64], label: usize) -> Option<Auroc> {
        let scores: Vec<f64> = self.rows().iter().map(|row| score(model, row)).collect();
        auroc(&scores, &self.label(label))
    }
}

#[cfg(test)]
mod tests;
