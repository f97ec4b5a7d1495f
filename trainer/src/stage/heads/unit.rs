//! Embeddings in units of their own spread.

use crate::stage::weights::NamedTensor;

/// Mean and deviation of every feature. Most of an embedding is what all studies share; heads
/// learn on what is left, and carry the change of units in their first layer.
pub(in crate::stage) struct Unit {
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

impl Unit {
    /// Smallest deviation, as a share of the mean deviation, that is brought to one.
    const LEAST: f32 = 0.05;

    pub(in crate::stage) fn of(features: &[f32], width: usize) -> Self {
        let rows = || features.chunks_exact(width);
        let n = rows().len().max(1) as f32;
        let mut mean = vec![0.0; width];
        rows().for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / n));
        let mut deviation = vec![0.0; width];
        for row in rows() {
            let squares = row.iter().zip(&mean).map(|(v, m)| (v - m).powi(2) / n);
            deviation.iter_mut().zip(squares).for_each(|(d, square)| *d += square);
        }
        deviation.iter_mut().for_each(|d| *d = d.sqrt());
        let least = Self::LEAST * deviation.iter().sum::<f32>() / width as f32;
        deviation.iter_mut().for_each(|d| *d = d.max(least).max(f32::MIN_POSITIVE));
        Self { mean, deviation }
    }

    pub(in crate::stage) fn apply(&self, row: &[f32]) -> impl Iterator<Item = f32> {
        row.iter().zip(&self.mean).zip(&self.deviation).map(|((v, m), d)| (v - m) / d)
    }

    /// Layers for embeddings as they are, from layers for standardised ones.
    pub(in crate::stage) fn fold(&self, mut tensors: Vec<NamedTensor>) -> Vec<NamedTensor> {
        let width = self.mean.len();
        let mut shift = Vec::new();
        for tensor in tensors.iter_mut().filter(|t| t.name == "0.weight") {
            for row in tensor.values.chunks_exact_mut(width) {
                row.iter_mut().zip(&self.deviation).for_each(|(w, d)| *w /= d);
                shift.push(row.iter().zip(&self.mean).map(|(w, m)| w * m).sum::<f32>());
            }
        }
        for tensor in tensors.iter_mut().filter(|t| t.name == "0.bias") {
            tensor.values.iter_mut().zip(&shift).for_each(|(b, s)| *b -= s);
        }
        tensors
    }
}
