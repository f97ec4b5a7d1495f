//! What a cohort knows beyond its reports: labels of studies, and lesions of tokens.

use burn::tensor::{Tensor, TensorData};
use models::labels::DIAGNOSES;
use models::nn::Compute;
use models::nn::loss::binary_cross_entropy;

use super::data::Pair;
use crate::cohort::record::in_token;

/// Positive-weighted binary cross entropy (paper, equation 13), summed and divided by `total`:
/// the number of entries of the whole batch, of which these may be a part.
///
/// # Shapes
///
/// `logits`, `targets`, `weights`: `[N, L]`.
pub(in crate::stage) fn weighted_bce(
    logits: Tensor<Compute, 2>,
    targets: Vec<f32>,
    weights: Vec<f32>,
    total: f32,
) -> Tensor<Compute, 1> {
    let shape = logits.dims();
    let device = logits.device();
    let tensor = |values| Tensor::<Compute, 2>::from_data(TensorData::new(values, shape), &device);
    (binary_cross_entropy(logits, tensor(targets)) * tensor(weights)).sum() / total.max(1.0)
}

/// What the supervised objectives weigh.
pub(in crate::stage) struct Weights {
    /// Negatives per positive of each label, bounded.
    pub(in crate::stage) positive: Vec<f32>,
}

impl Weights {
    /// Largest weight of a positive: a label with three positives must not steer everything.
    const MOST: f32 = 30.0;

    pub(in crate::stage) fn of(labels: &[Vec<f32>]) -> Self {
        let total = labels.len() as f32;
        let positive = (0..DIAGNOSES.len()).map(|l| {
            let positives: f32 = labels.iter().map(|row| row[l]).sum();
            ((total - positives) / positives.max(1.0)).clamp(1.0, Self::MOST)
        });
        Self { positive: positive.collect() }
    }

    /// Weights of targets, `[N, 52]`.
    pub(super) fn of_targets(&self, targets: &[f32]) -> Vec<f32> {
        let weights = targets
            .iter()
            .enumerate()
            .map(|(i, y)| if *y > 0.5 { self.positive[i % DIAGNOSES.len()].sqrt() } else { 1.0 });
        weights.collect()
    }
}

/// Lesions that each token shows, `[T, 52]`.
pub(super) fn lesion_targets(pairs: &[Pair]) -> Vec<f32> {
    let series = pairs.iter().flat_map(|p| p.example.series.iter().map(move |s| (p, s)));
    let tokens =
        series.flat_map(|(pair, series)| series.components.iter().map(move |bits| (pair, bits)));
    tokens.flat_map(|(pair, bits)| row(pair, *bits)).collect()
}

/// Lesions that the tokens of each series show, `[S, 52]`.
pub(super) fn series_targets(pairs: &[Pair]) -> Vec<f32> {
    let series = pairs.iter().flat_map(|p| p.example.series.iter().map(move |s| (p, s)));
    let rows = series.flat_map(|(pair, series)| {
        row(pair, series.components.iter().fold(0, |all, bits| all | bits))
    });
    rows.collect()
}

/// Diagnoses of components, each a bit.
fn row(pair: &Pair, bits: u16) -> [f32; DIAGNOSES.len()] {
    let mut row = [0.0; DIAGNOSES.len()];
    in_token(bits, &pair.components).for_each(|diagnosis| row[diagnosis] = 1.0);
    row
}
