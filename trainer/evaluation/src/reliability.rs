//! Whether probabilities are frequencies (paper, Extended Data Fig. 6e).

use serde::{Deserialize, Serialize};
use statistics::calibration::{Bin, brier, expected_calibration_error, reliability};

use crate::set::Set;

/// Bins of a diagram.
pub const BINS: usize = 10;

/// Calibration of a set: all diagnoses together, and each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// Pairs of study and diagnosis.
    pub pairs: usize,
    /// Bins of the diagram over all pairs.
    pub bins: Vec<Bin>,
    /// Mean distance of probability and frequency over the bins.
    pub expected_calibration_error: f64,
    /// Mean squared distance of probability and outcome.
    pub brier: f64,
    /// The same of every diagnosis, in the order of the outputs.
    pub labels: Vec<LabelReliability>,
}

/// Calibration of one diagnosis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelReliability {
    /// As people say it.
    pub title: String,
    /// Studies that have it.
    pub positives: usize,
    /// See [`Reliability::expected_calibration_error`].
    pub expected_calibration_error: f64,
    /// See [`Reliability::brier`].
    pub brier: f64,
}

/// Calibration of a set; none when a study has no probabilities.
#[must_use]
pub fn of(set: &Set) -> Option<Reliability> {
    let outputs = &set.header.diagnoses;
    let told = |study: &crate::set::Study| study.scores.probability.len() == outputs.len();
    if outputs.is_empty() || set.studies.is_empty() || !set.studies.iter().all(told) {
        return None;
    }
    let (mut all, mut all_labels, mut called) = (Vec::new(), Vec::new(), Vec::new());
    let labels = outputs.iter().enumerate().map(|(d, output)| {
        let found: Vec<f64> =
            set.studies.iter().map(|s| f64::from(s.scores.probability[d])).collect();
        let labels = set.has(d);
        let measured = LabelReliability {
            title: output.title.clone(),
            positives: labels.iter().filter(|label| **label).count(),
            expected_calibration_error: expected_calibration_error(&found, &labels, BINS),
            brier: brier(&found, &labels),
        };
        called.extend(set.logits(d).iter().map(|logit| *logit >= f64::from(output.threshold)));
        all.extend(found);
        all_labels.extend(labels);
        measured
    });
    let labels = labels.collect();
    Some(Reliability {
        pairs: all.len(),
        bins: reliability(&all, &called, &all_labels, BINS),
        expected_calibration_error: expected_calibration_error(&all, &all_labels, BINS),
        brier: brier(&all, &all_labels),
        labels,
    })
}
