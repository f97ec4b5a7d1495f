//! Volume tokenizer: the VQ-VAE that turns a 32 x 32 x 4 patch into 2 x 256 latent values
//! (paper, Methods and Algorithm 1; specification §3).
//!
//! The transformer reads the encoder's output *before* quantisation; codebook and decoder serve
//! training and comparison.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv3d, ConvTranspose3d};
use burn::tensor::backend::Backend;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, activation};

use super::Compute;
use super::config::{ConvConfig, VqVaeConfig};
use super::elementary::is_at_home;
use super::nearest::nearest;
use super::parameters::{ParameterError, Parameters};

/// A convolution that keeps the size: kernel 3, padding 1.
const SAME: ConvConfig = ConvConfig { kernel: 3, stride: 1, padding: 1 };

/// Encoder: strided convolutions with residual units between them.
#[derive(Module, Debug)]
pub struct Encoder<B: Backend> {
    levels: Vec<EncoderLevel<B>>,
    output: Conv3d<B>,
}

/// One level of the encoder.
#[derive(Module, Debug)]
pub struct EncoderLevel<B: Backend> {
    down: Conv3d<B>,
    units: Vec<ResidualUnit<B>>,
}

/// `relu(x + conv(relu(conv(x))))`.
#[derive(Module, Debug)]
pub struct ResidualUnit<B: Backend> {
    first: Conv3d<B>,
    second: Conv3d<B>,
}

/// Decoder: residual units with transposed convolutions between them; linear at its end.
#[derive(Module, Debug)]
pub struct Decoder<B: Backend> {
    input: Conv3d<B>,
    levels: Vec<DecoderLevel<B>>,
}

/// One level of the decoder.
#[derive(Module, Debug)]
pub struct DecoderLevel<B: Backend> {
    units: Vec<ResidualUnit<B>>,
    up: ConvTranspose3d<B>,
}

/// Codebook with the running statistics that its exponential moving average keeps.
#[derive(Module, Debug)]
pub struct Quantizer<B: Backend> {
    codebook: Param<Tensor<B, 2>>,
    cluster_size: Param<Tensor<B, 1>>,
    cluster_sum: Param<Tensor<B, 2>>,
}

/// What quantisation gives.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// Nearest entry of every latent vector, `[B * positions]` in `[B, z, y, x]` order.
    pub indices: Tensor<Compute, 1, Int>,
    /// The entries themselves, channels first like the input.
    pub entries: Tensor<Compute, 5>,
    /// Entries with the gradient of the input (straight-through).
    pub straight_through: Tensor<Compute, 5>,
    /// `commitment * mse(entries, z_e)`.
    pub loss: Tensor<Compute, 1>,
}

/// Constants of the quantizer's training step.
#[derive(Clone, Copy, Debug)]
pub struct EmaConfig {
    /// Share of the old statistics that is kept.
    pub decay: f64,
    /// Laplace smoothing of cluster sizes.
    pub epsilon: f64,
    /// Weight of the commitment loss.
    pub commitment: f64,
}

impl Default for EmaConfig {
    fn default() -> Self {
        Self { decay: 0.5, epsilon: 1e-5, commitment: 0.25 }
    }
}

impl Encoder<Compute> {
    /// Reads `encoder.blocks.*`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, config: &VqVaeConfig) -> Result<Self, ParameterError> {
        let at = at.at("encoder.blocks");
        let mut input = 1;
        let mut block = 0;
        let mut levels = Vec::new();
        for (level, &conv) in config.downsample.iter().enumerate() {
            let channels = config.channels[level];
            let down = at.at(block).at("conv").conv3d(input, channels, conv)?;
            let units = load_units(&at, block + 1, config, level)?;
            levels.push(EncoderLevel { down, units });
            block += 1 + config.residual_units;
            input = channels;
        }
        let output = at.at(block).at("conv").conv3d(input, config.codebook_dim, SAME)?;
        Ok(Self { levels, output })
    }

    /// # Shapes
    ///
    /// - `patches`: `[B, 1, z, y, x]` with the thin axis already repeated to 8
    /// - output: `z_e`, `[B, codebook_dim, z / 4, y / 4, x / 4]`
    #[must_use]
    pub fn forward(&self, patches: Tensor<Compute, 5>) -> Tensor<Compute, 5> {
        let x = self.levels.iter().fold(patches, |x, level| level.forward(x));
        self.output.forward(x)
    }

    /// The strided convolution of a level.
    pub(super) fn down(&self, level: usize) -> &Conv3d<Compute> {
        &self.levels[level].down
    }

    /// The residual units of a level.
    pub(super) fn residual(&self, level: usize, x: Tensor<Compute, 5>) -> Tensor<Compute, 5> {
        self.levels[level].units.iter().fold(x, |x, unit| unit.forward(x))
    }

    /// The convolutions of a level's residual units.
    pub(super) fn units(&self, level: usize) -> impl Iterator<Item = [&Conv3d<Compute>; 2]> {
        self.levels[level].units.iter().map(|unit| [&unit.first, &unit.second])
    }

    /// The last convolution.
    pub(super) fn output(&self, x: Tensor<Compute, 5>) -> Tensor<Compute, 5> {
        self.output.forward(x)
    }

    /// Outputs of every block in the published numbering, for comparison stage by stage.
    #[must_use]
    pub fn blocks(&self, patches: Tensor<Compute, 5>) -> Vec<Tensor<Compute, 5>> {
        let mut outputs = Vec::new();
        let mut x = patches;
        for level in &self.levels {
            x = activation::relu(level.down.forward(x));
            outputs.push(x.clone());
            for unit in &level.units {
                x = unit.forward(x);
                outputs.push(x.clone());
            }
        }
        outputs.push(self.output.forward(x));
        outputs
    }
}

impl EncoderLevel<Compute> {
    fn forward(&self, x: Tensor<Compute, 5>) -> Tensor<Compute, 5> {
        let x = activation::relu(self.down.forward(x));
        self.units.iter().fold(x, |x, unit| unit.forward(x))
    }
}

impl ResidualUnit<Compute> {
    fn load(at: &Parameters<'_>, outer: usize, inner: usize) -> Result<Self, ParameterError> {
        Ok(Self {
            first: at.at("conv1.conv").conv3d(outer, inner, SAME)?,
            second: at.at("conv2.conv").conv3d(inner, outer, SAME)?,
        })
    }

    fn forward(&self, x: Tensor<Compute, 5>) -> Tensor<Compute, 5> {
        let hidden = activation::relu(self.first.forward(x.clone()));
        activation::relu(x + self.second.forward(hidden))
    }
}

/// The residual units of `level`, whose first block is `block`.
fn load_units(
    at: &Parameters<'_>,
    block: usize,
    config: &VqVaeConfig,
    level: usize,
) -> Result<Vec<ResidualUnit<Compute>>, ParameterError> {
    let (outer, inner) = (config.channels[level], config.residual_channels[level]);
    (0..config.residual_units)
        .map(|i| ResidualUnit::load(&at.at(block + i), outer, inner))
        .collect()
}

impl Decoder<Compute> {
    /// Reads `decoder.blocks.*`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, config: &VqVaeConfig) -> Result<Self, ParameterError> {
        let at = at.at("decoder.blocks");
        let innermost = config.channels.len() - 1;
        let first = config.channels[innermost];
        let input = at.at("0.conv").conv3d(config.codebook_dim, first, SAME)?;
        let mut block = 1;
        let mut levels = Vec::new();
        for (i, &conv) in config.upsample.iter().enumerate() {
            let level = innermost - i;
            let units = load_units(&at, block, config, level)?;
            block += config.residual_units;
            let output = if level == 0 { 1 } else { config.channels[level - 1] };
            let up =
                at.at(block).at("conv").conv_transpose3d(config.channels[level], output, conv)?;
            levels.push(DecoderLevel { units, up });
            block += 1;
        }
        Ok(Self { input, levels })
    }

    /// # Shapes
    ///
    /// - `latents`: `[B, codebook_dim, z, y, x]`
    /// - output: `[B, 1, 4 * z, 4 * y, 4 * x]`
    #[must_use]
    pub fn forward(&self, latents: Tensor<Compute, 5>) -> Tensor<Compute, 5> {
        let last = self.levels.len() - 1;
        let x = self.input.forward(latents);
        self.levels.iter().enumerate().fold(x, |x, (i, level)| {
            let x = level.units.iter().fold(x, |x, unit| unit.forward(x));
            let x = level.up.forward(x);
            // The image itself is linear: no activation after the last level.
            if i == last { x } else { activation::relu(x) }
        })
    }
}

impl Quantizer<Compute> {
    /// Reads `quantizer.quantizer.*`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, config: &VqVaeConfig) -> Result<Self, ParameterError> {
        let at = at.at("quantizer.quantizer");
        let shape = [config.codebook, config.codebook_dim];
        Ok(Self {
            codebook: Param::from_tensor(at.at("embedding").tensor("weight", shape)?),
            cluster_size: Param::from_tensor(at.tensor("ema_cluster_size", [config.codebook])?),
            cluster_sum: Param::from_tensor(at.tensor("ema_w", shape)?),
        })
    }

    /// Replaces every latent vector by its nearest entry; the first of equals wins.
    ///
    /// # Shapes
    ///
    /// - `z_e`: `[B, codebook_dim, z, y, x]`
    #[must_use]
    pub fn forward(&self, z_e: Tensor<Compute, 5>, config: EmaConfig) -> Quantized {
        let shape = z_e.dims();
        let [b, c, z, y, x] = shape;
        let flat = channels_last(z_e.clone()); // [N, c]
        let codebook = self.codebook.val().detach(); // [K, c]
        let indices = if is_at_home(&flat) && is_at_home(&codebook) {
            nearest(flat, codebook.clone())
        } else {
            let distance = flat.clone().powi_scalar(2).sum_dim(1)
                + codebook.clone().powi_scalar(2).sum_dim(1).transpose()
                - flat.matmul(codebook.clone().transpose()) * 2.0; // [N, K]
            distance.neg().argmax(1).squeeze_dim::<1>(1)
        }; // [N]
        let entries =
            codebook.select(0, indices.clone()).reshape([b, z, y, x, c]).permute([0, 4, 1, 2, 3]); // [b, c, z, y, x]
        let difference = entries.clone() - z_e.clone();
        let loss = difference.clone().powi_scalar(2).mean() * config.commitment;
        let straight_through = z_e + difference.detach();
        Quantized { indices, entries, straight_through, loss }
    }

    /// The codebook after one training step on `z_e`, whose `indices` are those of the codebook
    /// before it: moving averages of cluster sizes and sums, then entries as smoothed means.
    #[must_use]
    pub fn ema_step(
        self,
        z_e: Tensor<Compute, 5>,
        indices: Tensor<Compute, 1, Int>,
        config: EmaConfig,
    ) -> Self {
        let EmaConfig { decay, epsilon, .. } = config;
        let [k, _] = self.codebook.dims();
        let flat = channels_last(z_e).detach(); // [N, c]
        let nothing = self.cluster_sum.val().zeros_like(); // [K, c]
        let add = IndexingUpdateOp::Add;
        let ones = flat.clone().narrow(1, 0, 1).ones_like().squeeze_dim::<1>(1); // [N]
        let count = self.cluster_size.val().zeros_like();
        let count = count.select_assign(0, indices.clone(), ones, add); // [K]
        let sum = nothing.select_assign(0, indices, flat, add); // [K, c]
        let cluster_size = self.cluster_size.val() * decay + count * (1.0 - decay);
        let cluster_sum = self.cluster_sum.val() * decay + sum * (1.0 - decay);
        let total = cluster_size.clone().sum();
        #[expect(clippy::cast_precision_loss, reason = "a codebook is far smaller than 2^52")]
        let smoothed =
            (cluster_size.clone() + epsilon) / (total.clone() + k as f64 * epsilon) * total;
        let codebook = cluster_sum.clone() / smoothed.unsqueeze_dim(1);
        Self {
            codebook: Param::from_tensor(codebook),
            cluster_size: Param::from_tensor(cluster_size),
            cluster_sum: Param::from_tensor(cluster_sum),
        }
    }

    /// Codebook `[K, c]`, cluster sizes `[K]` and cluster sums `[K, c]`.
    #[must_use]
    pub fn state(&self) -> (Tensor<Compute, 2>, Tensor<Compute, 1>, Tensor<Compute, 2>) {
        (self.codebook.val(), self.cluster_size.val(), self.cluster_sum.val())
    }
}

/// `[B, c, z, y, x]` to `[B * z * y * x, c]`.
fn channels_last(z_e: Tensor<Compute, 5>) -> Tensor<Compute, 2> {
    let [b, c, z, y, x] = z_e.dims();
    z_e.permute([0, 2, 3, 4, 1]).reshape([b * z * y * x, c])
}
