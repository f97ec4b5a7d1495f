//! Diagnosis, referral and priority heads: `Linear ReLU Linear ReLU Linear` on the study
//! embedding (specification §10).
//!
//! The published model has 52 diagnosis heads of 45 million parameters each. They are read once
//! per study, so [`HeadWeights::evaluate`] multiplies straight from the bytes of a weight file,
//! in the precision they are stored in, on all cores, with f32 sums. [`Head`] holds one head as
//! burn layers, for batches (LIME) and for training.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, activation};
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use super::Compute;
use super::parameters::{ParameterError, Parameters};

/// The three layers of a head in a weight file, by the published names.
pub const LAYERS: [&str; 3] = ["0", "2", "4"];

/// One head as burn layers.
#[derive(Module, Debug)]
pub struct Head<B: Backend> {
    layers: Vec<Linear<B>>,
}

impl Head<Compute> {
    /// Reads `0.*`, `2.*` and `4.*` for layers of `widths` (input, two hidden, output).
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, widths: [usize; 4]) -> Result<Self, ParameterError> {
        let layers = LAYERS
            .iter()
            .zip(widths.windows(2))
            .map(|(name, io)| at.at(name).linear(io[0], io[1], true))
            .collect::<Result<_, _>>()?;
        Ok(Self { layers })
    }

    /// Logits of a batch: `[B, input]` to `[B, output]`.
    #[must_use]
    pub fn forward(&self, embeddings: Tensor<Compute, 2>) -> Tensor<Compute, 2> {
        let (last, hidden) = self.layers.split_last().unwrap_or_else(|| unreachable!());
        let x = hidden.iter().fold(embeddings, |x, layer| activation::relu(layer.forward(x)));
        last.forward(x)
    }
}

/// A weight matrix `[output, input]` as it lies in a file.
#[derive(Clone, Copy, Debug)]
pub enum MatrixView<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Half precision.
    F16(&'a [f16]),
}

/// The layers of one head as views into a weight file.
#[derive(Clone, Debug)]
pub struct HeadWeights<'a> {
    /// Weights and biases in order.
    pub layers: [(MatrixView<'a>, Vec<f32>); 3],
}

impl HeadWeights<'_> {
    /// Logits of one study; all NaN when a hidden value is not finite, which the rectifier would
    /// otherwise hide.
    ///
    /// # Panics
    ///
    /// When a layer's size does not fit its input: views are made only after the shapes were
    /// checked.
    #[must_use]
    pub fn evaluate(&self, embedding: &[f32]) -> Vec<f32> {
        let mut x = embedding.to_vec();
        for (i, (weight, bias)) in self.layers.iter().enumerate() {
            x = affine(*weight, bias, &x);
            if x.iter().any(|v| !v.is_finite()) {
                return vec![f32::NAN; self.layers[2].1.len()];
            }
            if i + 1 < self.layers.len() {
                x.iter_mut().for_each(|v| *v = v.max(0.0));
            }
        }
        x
    }
}

/// `weight * x + bias`.
fn affine(weight: MatrixView<'_>, bias: &[f32], x: &[f32]) -> Vec<f32> {
    let inputs = x.len();
    match weight {
        MatrixView::F32(w) => {
            assert_eq!(w.len(), bias.len() * inputs, "weight size");
            w.par_chunks_exact(inputs).zip(bias).map(|(row, b)| dot(row, x) + b).collect()
        }
        MatrixView::F16(w) => {
            assert_eq!(w.len(), bias.len() * inputs, "weight size");
            w.par_chunks_exact(inputs)
                .zip(bias)
                .map_init(
                    || vec![0.0; inputs],
                    |wide, (row, b)| {
                        row.convert_to_f32_slice(wide);
                        dot(wide, x) + b
                    },
                )
                .collect()
        }
    }
}

/// Sum of products in sixteen partial sums, which the compiler turns into vector code and which
/// also keeps rounding errors small.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    let tail: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for i in 0..16 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streamed_layers_agree_with_a_plain_sum() {
        let x: Vec<f32> = (0..37u8).map(|i| f32::from(i) / 37.0 - 0.4).collect();
        let w: Vec<f32> = (0..37 * 3u8).map(|i| f32::from(i % 11) / 8.0 - 0.5).collect();
        let expected: Vec<f32> =
            (0..3).map(|r| 0.25 + (0..37).map(|c| w[r * 37 + c] * x[c]).sum::<f32>()).collect();
        let halves: Vec<f16> = w.iter().copied().map(f16::from_f32).collect();
        for view in [MatrixView::F32(&w), MatrixView::F16(&halves)] {
            let found = affine(view, &[0.25; 3], &x);
            for (f, e) in found.iter().zip(&expected) {
                assert!((f - e).abs() < 1e-5, "{f} {e}");
            }
        }
    }
}
