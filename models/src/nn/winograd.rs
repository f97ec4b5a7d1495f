//! The tokenizer's encoder on a CPU, with three times fewer multiplications.
//!
//! Nearly all of the encoder's arithmetic is 3 x 3 x 3 convolutions that keep the size. Winograd's
//! minimal filtering F(2, 3) along each axis computes a 2 x 2 x 2 tile of outputs from 4 x 4 x 4
//! transformed inputs with 64 multiplications instead of 216 (Lavin and Gray 2016). In the
//! transformed domain a convolution is 64 independent matrix products. Rounding grows a little;
//! parity judges this path like any other.

mod conv;

use burn::nn::conv::Conv3d;
use burn::tensor::{DType, Tensor, TensorData, activation};
use rayon::prelude::*;

use super::Compute;
use super::vqvae::Encoder;
use conv::{Before, SameConv, Scratch};

/// Tiles that share one set of matrix products: enough to make up for reading the filters, few
/// enough that what is between the steps stays in a shared cache.
const TILES: usize = 256;

/// [`Encoder`] with its residual units in Winograd's form; single precision.
#[derive(Debug)]
pub struct CpuEncoder {
    encoder: Encoder<Compute>,
    /// Both convolutions of every residual unit, level by level.
    units: Vec<Vec<[SameConv; 2]>>,
}

impl CpuEncoder {
    /// Transforms the filters of an encoder on the CPU.
    #[must_use]
    pub fn new(encoder: Encoder<Compute>) -> Self {
        let units = |level| {
            let units = encoder.units(level);
            units.map(|convolutions| convolutions.map(same_conv)).collect()
        };
        Self { units: (0..encoder.levels()).map(units).collect(), encoder }
    }

    /// As [`Encoder::forward`].
    #[must_use]
    pub fn forward(&self, patches: Tensor<Compute, 5>) -> Tensor<Compute, 5> {
        let mut x = patches;
        for (level, units) in self.units.iter().enumerate() {
            let down = activation::relu(self.encoder.down(level, x)); // [B, C, z, y, x]
            let [batch, channels, z, y, columns] = down.dims();
            if [z, y, columns].iter().any(|size| size % 2 == 1) {
                // Tiles are two voxels wide.
                x = self.encoder.residual(level, down);
                continue;
            }
            let device = down.device();
            let mut voxels = values(down.permute([0, 2, 3, 4, 1])); // [B, z, y, x, C]
            let size = [z, y, columns];
            let patch = z * y * columns * channels;
            // No more than leaves every thread a group.
            let group = (TILES * 8 / (z * y * columns)).min(batch / rayon::current_num_threads());
            voxels.par_chunks_mut(group.max(1) * patch).for_each_init(
                || (Scratch::default(), Vec::new()),
                |(scratch, hidden), voxels| {
                    for [first, second] in units {
                        hidden.resize(voxels.len() / channels * first.output(), 0.0);
                        first.forward(voxels, hidden, Before::Replaced, size, scratch);
                        second.forward(hidden, voxels, Before::Added, size, scratch);
                    }
                },
            );
            let shape = [batch, z, y, columns, channels];
            let unit = Tensor::from_data(TensorData::new(voxels, shape), (&device, DType::F32));
            x = unit.permute([0, 4, 1, 2, 3]);
        }
        self.encoder.output(x)
    }
}

/// A convolution of burn in Winograd's form.
fn same_conv(conv: &Conv3d<Compute>) -> SameConv {
    let [output, ..] = conv.weight.val().dims();
    let bias = conv.bias.as_ref().map_or_else(|| vec![0.0; output], |b| values(b.val()));
    SameConv::new(&values(conv.weight.val()), bias)
}

/// A tensor's values.
fn values<const N: usize>(tensor: Tensor<Compute, N>) -> Vec<f32> {
    tensor.into_data().into_vec().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use burn::DispatchDevice;

    use super::*;
    use crate::nn::config::VqVaeConfig;
    use crate::nn::parameters::Parameters;
    use crate::weights::init::Seeded;

    /// All three orientations, a batch that does not fill its last group, odd channel counts.
    #[test]
    fn agrees_with_direct_convolution() {
        let device = DispatchDevice::Flex(Default::default());
        let config = VqVaeConfig {
            channels: vec![40, 12],
            residual_channels: vec![24, 33],
            ..VqVaeConfig::prima()
        };
        let source = Seeded { seed: 5 };
        let encoder = Encoder::load(&Parameters::new(&source, &device, DType::F32), &config);
        let encoder = encoder.unwrap();
        let fast = CpuEncoder::new(encoder.clone());
        for shape in [[5, 1, 8, 32, 32], [5, 1, 32, 8, 32], [3, 1, 32, 32, 8]] {
            let count = shape.iter().product();
            let input: Vec<f32> = source.values("input", &[count]).collect();
            let input = TensorData::new(input, shape);
            let input = Tensor::<Compute, 5>::from_data(input, (&device, DType::F32));
            let (direct, fast) =
                (values(encoder.forward(input.clone())), values(fast.forward(input)));
            let error = direct.iter().zip(&fast).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert_eq!(direct.len(), fast.len());
            assert!(error < 2e-6, "{error:e}");
        }
    }
}
