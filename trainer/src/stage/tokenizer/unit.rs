//! Latent values in units of their own.
//!
//! The encoder chooses the scale and offset of its latent values, and most of a token is then
//! what all tokens share. A transformer whose registers begin near zero reads tokens best when
//! both latent channels are zero on average with a deviation of one, so the change of units is
//! carried into the encoder's last layer, the decoder's first and the codebook. Reconstructions
//! stay what they were.

use models::nn::config::MixerConfig;

use crate::stage::weights::NamedTensor;

/// Latent channels of a token.
const CHANNELS: usize = 2;

/// Mean and deviation of both latent channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    mean: [f32; CHANNELS],
    deviation: [f32; CHANNELS],
}

impl Unit {
    /// Of latent values `[n, 2, 2, 8, 8]`, C-ordered.
    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    pub(super) fn of(latents: &[f32]) -> Self {
        let half = models::dims::LATENT / CHANNELS;
        let (mut mean, mut deviation) = ([0.0; CHANNELS], [1.0; CHANNELS]);
        for channel in 0..CHANNELS {
            let values = || latents.chunks_exact(half).skip(channel).step_by(CHANNELS).flatten();
            let n = values().count().max(1) as f64;
            let average = values().map(|v| f64::from(*v)).sum::<f64>() / n;
            let variance = values().map(|v| (f64::from(*v) - average).powi(2)).sum::<f64>() / n;
            mean[channel] = average as f32;
            // A channel that is constant stays as it is.
            deviation[channel] = if variance > 1e-12 { variance.sqrt() as f32 } else { 1.0 };
        }
        Self { mean, deviation }
    }

    /// Weights of a mixer tokenizer whose latent values are standardised.
    pub(super) fn fold(&self, tensors: &mut [NamedTensor], sizes: &MixerConfig) {
        let Self { mean, deviation } = self;
        // A cell's latent values: both channels, twice along the thin axis.
        let channel = |value: usize| value / 2;
        let mut shift = vec![0.0; sizes.width];
        for tensor in tensors.iter_mut() {
            let values = &mut tensor.values;
            match tensor.name.as_str() {
                "encoder.output.weight" => {
                    for (value, row) in values.chunks_exact_mut(sizes.width).enumerate() {
                        row.iter_mut().for_each(|w| *w /= deviation[channel(value)]);
                    }
                }
                "encoder.output.bias" => {
                    for (value, b) in values.iter_mut().enumerate() {
                        *b = (*b - mean[channel(value)]) / deviation[channel(value)];
                    }
                }
                "decoder.input.weight" => {
                    let rows = values.chunks_exact_mut(2 * CHANNELS);
                    for (row, shift) in rows.zip(&mut shift) {
                        for (value, w) in row.iter_mut().enumerate() {
                            *shift += *w * mean[channel(value)];
                            *w *= deviation[channel(value)];
                        }
                    }
                }
                name if name.ends_with("embedding.weight") => {
                    for (i, entry) in values.iter_mut().enumerate() {
                        *entry = (*entry - mean[i % CHANNELS]) / deviation[i % CHANNELS];
                    }
                }
                _ => {}
            }
        }
        let sizes_of_clusters = tensors.iter().find(|t| t.name.ends_with("ema_cluster_size"));
        let counts = sizes_of_clusters.map(|t| t.values.clone()).unwrap_or_default();
        for tensor in tensors {
            if tensor.name == "decoder.input.bias" {
                tensor.values.iter_mut().zip(&shift).for_each(|(b, s)| *b += s);
            } else if tensor.name.ends_with("ema_w") {
                // Sums over a cluster's members.
                for (sum, count) in tensor.values.chunks_exact_mut(CHANNELS).zip(&counts) {
                    for (c, sum) in sum.iter_mut().enumerate() {
                        *sum = (*sum - count * mean[c]) / deviation[c];
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::DispatchDevice;
    use burn::tensor::{DType, Tensor, TensorData};
    use models::dims::PATCH_VOX;
    use models::engine::DeviceChoice;
    use models::nn::Compute;
    use models::nn::config::{PrimaConfig, TokenizerConfig};
    use models::nn::parameters::Parameters;
    use models::nn::vqvae::{EmaConfig, Quantizer};

    use super::*;
    use crate::stage::tokenizer::{Coder, codebook_sizes};
    use crate::stage::weights::{Fresh, InMemory, Names};

    /// Latent values, reconstruction and codes of a few patches.
    fn run(
        tensors: &[NamedTensor],
        sizes: &TokenizerConfig,
        device: &DispatchDevice,
    ) -> [Vec<f32>; 3] {
        let source = InMemory::new(tensors);
        let at = Parameters::new(&source, device, DType::F32);
        let coder = Coder::load(&at, sizes).unwrap();
        let quantizer = Quantizer::load(&at, &codebook_sizes(sizes)).unwrap();
        let wave = |i: usize| ((i * i % 977) as f32 / 977.0).sin().abs();
        let x = TensorData::new((0..4 * PATCH_VOX).map(wave).collect::<Vec<f32>>(), [4, PATCH_VOX]);
        let latents = coder.encode(Tensor::<Compute, 2>::from_data(x, device), 0);
        let codes = quantizer.forward(latents.clone(), EmaConfig::default()).entries;
        let decoded = coder.decode(latents.clone(), 0);
        [
            latents.into_data().iter().collect(),
            decoded.into_data().iter().collect(),
            codes.into_data().iter().collect(),
        ]
    }

    #[test]
    fn only_the_unit_of_latent_values_changes() {
        let sizes = PrimaConfig::edge().tokenizer;
        let TokenizerConfig::Mixer(mixer) = &sizes else { unreachable!("edge is a mixer") };
        let device = crate::stage::device(DeviceChoice::Cpu).unwrap();
        let fresh = Fresh { seed: 5, temperature: 0.0 };
        let at = Parameters::new(&fresh, &device, DType::F32);
        let names = Names::of(&device, |at| Coder::load(at, &sizes)).unwrap();
        let mut tensors = names.tensors(&Coder::load(&at, &sizes).unwrap());
        let codebook = codebook_sizes(&sizes);
        let names = Names::of(&device, |at| Quantizer::load(at, &codebook)).unwrap();
        tensors.extend(names.tensors(&Quantizer::load(&at, &codebook).unwrap()));
        let bias = tensors.iter_mut().find(|t| t.name == "encoder.output.bias").unwrap();
        bias.values = vec![3.0, 2.5, -1.0, -1.5];

        let [before, decoded, codes] = run(&tensors, &sizes, &device);
        let unit = Unit::of(&before);
        unit.fold(&mut tensors, mixer);
        let [after, decoded_after, codes_after] = run(&tensors, &sizes, &device);
        let found = Unit::of(&after);
        let close = |a: &[f32], b: &[f32], most: f32| {
            a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < most, "{a} {b}"));
        };
        close(&found.mean, &[0.0; 2], 1e-4);
        close(&found.deviation, &[1.0; 2], 1e-4);
        close(&decoded, &decoded_after, 1e-3);
        // The codebook moved along with the values.
        let moved = |i: usize| {
            let c = i / (models::dims::LATENT / CHANNELS) % CHANNELS;
            (codes[i] - unit.mean[c]) / unit.deviation[c]
        };
        let moved: Vec<f32> = (0..codes.len()).map(moved).collect();
        let same = moved.iter().zip(&codes_after).filter(|(a, b)| (*a - *b).abs() < 1e-3);
        // Channels were scaled apart, so a few nearest entries are others.
        assert!(same.count() * 2 > codes.len(), "codes of most cells stay");
    }
}
