//! Tokens judged one by one: an edge addition around the blocks of a
//! [`RegisterVit`](super::register_vit::RegisterVit).
//!
//! A lesion is seen in a few of some thousand tokens, and registers have to learn to look there.
//! With peaks, every token first passes a perceptron that is told the prefix, because brightness
//! means nothing without the contrast; after the blocks a linear layer gives each token its
//! features, and the largest of each over all tokens stands beside the registers (Qi et al., 2017,
//! "`PointNet`"). Where a cohort knows lesions, the first features are what tokens are supervised
//! by.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::config::PeaksConfig;
use super::cpu::Layer;
use super::cut::Register;
use super::gradient::{LayerGradient, Perceptron, PerceptronGradient};
use super::parameters::{ParameterError, Parameters};
use super::transformer::rows;
use super::{Compute, elementary};

/// Perceptron before the blocks, features after them.
#[derive(Module, Debug)]
pub struct Peaks<B: Backend> {
    token: Linear<B>,
    prefix: Linear<B>,
    output: Linear<B>,
    features: Linear<B>,
}

impl Peaks<Compute> {
    /// Reads `token`, `prefix`, `output` and `features`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(
        at: &Parameters<'_>,
        dim: usize,
        config: PeaksConfig,
    ) -> Result<Self, ParameterError> {
        let PeaksConfig { hidden, features } = config;
        Ok(Self {
            token: at.at("token").linear(dim, hidden, true)?,
            prefix: at.at("prefix").linear(dim, hidden, true)?,
            output: at.at("output").linear(hidden, dim, true)?,
            features: at.at("features").linear(dim, features, true)?,
        })
    }

    /// What every token says by itself, added to it.
    ///
    /// # Shapes
    ///
    /// - `prefixes`: `[S, D]`, where there are any
    /// - `tokens`: `[T, D]`, one sequence after another
    /// - `lengths`: tokens of each sequence, summing to `T`
    pub(super) fn judge(
        &self,
        prefixes: Option<&Tensor<Compute, 2>>,
        tokens: Tensor<Compute, 2>,
        lengths: &[usize],
    ) -> Tensor<Compute, 2> {
        let mut hidden = self.token.forward(tokens.clone());
        if let Some(prefixes) = prefixes {
            let own = lengths.iter().enumerate().flat_map(|(i, &n)| std::iter::repeat_n(i, n));
            hidden = hidden + rows(self.prefix.forward(prefixes.clone()), own);
        }
        tokens + self.output.forward(elementary::gelu(hidden))
    }

    /// The perceptron on slices.
    pub(super) fn on_cpu(&self) -> Perceptron {
        let [token, prefix, output] = [&self.token, &self.prefix, &self.output].map(Layer::new);
        Perceptron { token, prefix, output }
    }

    /// The last layer on slices.
    pub(super) fn features_on_cpu(&self) -> Layer {
        Layer::new(&self.features)
    }

    /// Notes the derivatives of the weights under their names.
    pub(super) fn register(
        &self,
        perceptron: PerceptronGradient,
        features: LayerGradient,
        to: &mut Register<'_>,
    ) {
        let PerceptronGradient { token, prefix, output } = perceptron;
        to.layer(&self.token, token);
        to.layer(&self.prefix, prefix);
        to.layer(&self.output, output);
        to.layer(&self.features, features);
    }

    /// Features of tokens: `[T, D]` to `[T, P]`.
    pub(super) fn features(&self, states: Tensor<Compute, 2>) -> Tensor<Compute, 2> {
        self.features.forward(states)
    }

    /// The largest of each feature over the tokens of each sequence: `[T, P]` to `[S, P]`.
    ///
    /// # Panics
    ///
    /// When a sequence has no token.
    #[must_use]
    pub fn largest(features: &Tensor<Compute, 2>, lengths: &[usize]) -> Tensor<Compute, 2> {
        let width = features.dims()[1];
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let starts = lengths.iter().scan(0, |next, length| {
            *next += length;
            Some(*next - length)
        });
        // Padding repeats the last token, which changes no maximum.
        let padded = starts.zip(lengths).flat_map(|(start, &length)| {
            assert!(length > 0, "a sequence without tokens has no peak");
            (0..longest).map(move |i| start + i.min(length - 1))
        });
        let padded = rows(features.clone(), padded).reshape([lengths.len(), longest, width]);
        padded.max_dim(1).reshape([lengths.len(), width])
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::engine::{DeviceChoice, device};

    #[test]
    fn sequences_of_different_length_do_not_mix() {
        let device = device(DeviceChoice::Cpu).unwrap();
        let values: Vec<f32> = vec![1.0, -9.0, 2.0, -8.0, -3.0, -1.0, 0.5, -7.0];
        let features = Tensor::from_data(TensorData::new(values, [4, 2]), &device);
        let largest = Peaks::largest(&features, &[1, 2, 1]);
        let largest: Vec<f32> = largest.into_data().iter().collect();
        assert_eq!(largest, [1.0, -9.0, 2.0, -1.0, 0.5, -7.0]);
    }
}
