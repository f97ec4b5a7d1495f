//! The tokenizer's encoder on a CPU, with three times fewer multiplications.
//!
//! Nearly all of the encoder's arithmetic is 3 x 3 x 3 convolutions that keep the size. Winograd's
//! minimal filtering F(2, 3) along each axis computes a 2 x 2 x 2 tile of outputs from 4 x 4 x 4
//! transformed inputs with 64 multiplications instead of 216 (Lavin and Gray 2016). In the
//! transformed domain a convolution is 64 independent matrix products. Rounding grows a little;
//! parity judges this path like any other.

mod conv;

use aligned_vec::AVec;
use burn::DispatchDevice;
use burn::nn::conv::Conv3d;
use burn::tensor::{DType, Tensor, TensorData};
use rayon::prelude::*;

use super::Compute;
use super::config::VqVaeConfig;
use super::vqvae::Encoder;
use conv::{Before, DownConv, SameConv, Scratch};

/// Patches that one thread takes through all levels.
const PATCHES: usize = 8;

/// [`Encoder`] with its residual units in Winograd's form; single precision.
#[derive(Debug)]
pub struct CpuEncoder {
    encoder: Encoder<Compute>,
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    down: DownConv,
    /// Both convolutions of every residual unit.
    units: Vec<[SameConv; 2]>,
}

impl CpuEncoder {
    /// Transforms the filters of an encoder on the CPU.
    #[must_use]
    pub fn new(encoder: Encoder<Compute>, sizes: &VqVaeConfig) -> Self {
        let same = |conv| {
            let (taps, bias) = weights(conv);
            SameConv::new(&taps, bias)
        };
        let levels = sizes.downsample.iter().enumerate().map(|(level, shape)| {
            let (taps, bias) = weights(encoder.down(level));
            let units = encoder.units(level).map(|unit| unit.map(same)).collect();
            Level { down: DownConv::new(&taps, bias, *shape), units }
        });
        Self { levels: levels.collect(), encoder }
    }

    /// As [`Encoder::forward`].
    #[must_use]
    pub fn forward(&self, patches: Tensor<Compute, 5>) -> Tensor<Compute, 5> {
        let ([batch, _, z, y, x], device) = (patches.dims(), patches.device());
        let patches = values(patches); // one channel: first is last
        // No more than leaves every thread some.
        let group = batch.div_ceil(rayon::current_num_threads()).clamp(1, PATCHES);
        let encoded: Vec<_> = patches
            .par_chunks(group * z * y * x)
            .map(|patches| self.encode(patches, [z, y, x], &device))
            .collect();
        let size = encoded.first().map_or([z, y, x], |(_, size)| *size);
        let voxels: Vec<&[f32]> = encoded.iter().map(|(voxels, _)| voxels.as_slice()).collect();
        self.encoder.output(first_channels(voxels.concat(), batch, size, &device))
    }

    /// All levels on some patches: `[n, z, y, x, C]` and `[z, y, x]`.
    fn encode(
        &self,
        patches: &[f32],
        mut size: [usize; 3],
        device: &DispatchDevice,
    ) -> (AVec<f32>, [usize; 3]) {
        let count = patches.len() / size.iter().product::<usize>();
        let (mut scratch, mut hidden) = (Scratch::new(), AVec::<f32>::new(0));
        let mut voxels = AVec::<f32>::from_slice(0, patches);
        for (level, Level { down, units }) in self.levels.iter().enumerate() {
            (voxels, size) = down.forward(&voxels, size);
            if size.iter().any(|edge| edge % 2 == 1) {
                // Tiles are two voxels wide.
                let x = first_channels(voxels.to_vec(), count, size, device);
                let x = values(self.encoder.residual(level, x).permute([0, 2, 3, 4, 1]));
                voxels = AVec::from_slice(0, &x);
                continue;
            }
            for [first, second] in units {
                hidden.resize(voxels.len() / second.output() * first.output(), 0.0);
                first.forward(&voxels, &mut hidden, Before::Replaced, size, &mut scratch);
                second.forward(&hidden, &mut voxels, Before::Added, size, &mut scratch);
            }
        }
        (voxels, size)
    }
}

/// `[n, C, z, y, x]` from `[n, z, y, x, C]`.
fn first_channels(
    voxels: Vec<f32>,
    patches: usize,
    [z, y, x]: [usize; 3],
    device: &DispatchDevice,
) -> Tensor<Compute, 5> {
    let channels = voxels.len() / (patches * z * y * x);
    let shape = [patches, z, y, x, channels];
    let voxels = Tensor::from_data(TensorData::new(voxels, shape), (device, DType::F32));
    voxels.permute([0, 4, 1, 2, 3])
}

/// Filter and bias of a convolution of burn.
fn weights(conv: &Conv3d<Compute>) -> (Vec<f32>, Vec<f32>) {
    let [output, ..] = conv.weight.val().dims();
    let bias = conv.bias.as_ref().map_or_else(|| vec![0.0; output], |b| values(b.val()));
    (values(conv.weight.val()), bias)
}

/// A tensor's values.
fn values<const N: usize>(tensor: Tensor<Compute, N>) -> Vec<f32> {
    tensor.into_data().into_vec().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let fast = CpuEncoder::new(encoder.clone(), &config);
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
