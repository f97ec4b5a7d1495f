//! Which label a logit tells from which: the paper's logit–label matrix (Extended Data Fig. 8a).

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statistics::cluster::{average_linkage, optimal_order};
use statistics::sample::midranks;

use crate::set::Set;

/// How every logit ranks every label, and how labels go together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MultiLabel {
    /// Outputs in an order that puts alike ones side by side; rows and columns of both matrices.
    pub order: Vec<usize>,
    /// `auroc[i][j]`: the area under the ROC curve of logit `i` against label `j`, by outputs;
    /// none where label `j` has no positives or no negatives.
    pub auroc: Vec<Vec<Option<f64>>>,
    /// Correlation (phi) of the labels; none where one of them never varies.
    pub correlation: Vec<Vec<Option<f64>>>,
}

/// Both matrices of a set.
#[must_use]
pub fn multilabel(set: &Set) -> MultiLabel {
    let count = set.header.diagnoses.len();
    let labels: Vec<Vec<usize>> = (0..count)
        .map(|d| {
            let studies = set.studies.iter().enumerate();
            studies.filter(|(_, s)| s.truth.diagnoses.contains(&d)).map(|(i, _)| i).collect()
        })
        .collect();
    let n = set.studies.len() as f64;
    let auroc: Vec<Vec<Option<f64>>> = (0..count)
        .into_par_iter()
        .map(|logit| {
            // One sorting serves every label: the area is a sum of the positives' ranks.
            let ranks = midranks(&set.logits(logit));
            let area = |positives: &Vec<usize>| {
                let m = positives.len() as f64;
                let sum: f64 = positives.iter().map(|study| ranks[*study]).sum();
                (m > 0.0 && m < n).then(|| (sum - m * (m + 1.0) / 2.0) / (m * (n - m)))
            };
            labels.iter().map(area).collect()
        })
        .collect();
    let correlation: Vec<Vec<Option<f64>>> =
        (0..count).map(|i| (0..count).map(|j| phi(&labels[i], &labels[j], n)).collect()).collect();
    MultiLabel { order: order(&auroc), auroc, correlation }
}

/// Correlation of two labels, each given by the studies that have it, in ascending order.
fn phi(a: &[usize], b: &[usize], n: f64) -> Option<f64> {
    let both = a.iter().filter(|study| b.binary_search(study).is_ok()).count() as f64;
    let (a, b) = (a.len() as f64, b.len() as f64);
    let spread = a * (n - a) * b * (n - b);
    (spread > 0.0).then(|| (n * both - a * b) / spread.sqrt())
}

/// Leaves of a tree over the outputs, whose distance is that of their rows.
fn order(auroc: &[Vec<Option<f64>>]) -> Vec<usize> {
    let chance = |value: &Option<f64>| value.unwrap_or(0.5);
    let distance = |i: usize, j: usize| -> f64 {
        let pairs = auroc[i].iter().zip(&auroc[j]);
        pairs.map(|(a, b)| (chance(a) - chance(b)).powi(2)).sum::<f64>().sqrt()
    };
    let count = auroc.len();
    let pairs = (0..count).flat_map(|i| (0..count).map(move |j| (i, j)));
    let distances: Vec<f64> = pairs.map(|(i, j)| distance(i, j)).collect();
    optimal_order(&average_linkage(&distances, count), &distances)
}
