//! The edge tokenizer: matrix products only, so that a CPU runs it at its full rate.
//!
//! A patch is cut into 64 cells of 4 x 4 x 4 voxels; each becomes a vector by one linear layer,
//! the vectors exchange what they know across cells and across channels (the mixer of Tolstikhin
//! et al., 2021), and a linear layer gives the 2 x 2 latent values of the published tokenizer's
//! grid that lie over the cell. It either imitates a published tokenizer (distillation) or is
//! trained as the encoder of its own VQ-VAE, for which [`MixerDecoder`] is the mirror image.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, activation};

use super::Compute;
use super::config::MixerConfig;
use super::parameters::{ParameterError, Parameters};
use crate::dims::{LATENT, PATCH_THIN_VOX, PATCH_VOX};
use crate::tokens::patchify::patch_size_vox;

/// Edge of a cell in voxels along the in-plane axes.
const CELL: usize = 4;
/// Cells along an in-plane axis.
const EDGE: usize = 8;
/// Cells of a patch.
const CELLS: usize = EDGE * EDGE;
/// Voxels of a cell.
const CELL_VOX: usize = CELL * CELL * PATCH_THIN_VOX;
/// Latent values of a cell: two channels, two along the thin axis.
const CELL_LATENT: usize = LATENT / CELLS;

const _: () = assert!(CELLS * CELL_VOX == PATCH_VOX);

/// Patches to latent values.
#[derive(Module, Debug)]
pub struct MixerEncoder<B: Backend> {
    trunk: Mixer<B>,
}

/// Latent values to patches; training only.
#[derive(Module, Debug)]
pub struct MixerDecoder<B: Backend> {
    trunk: Mixer<B>,
}

/// Cells in, cells out.
#[derive(Module, Debug)]
struct Mixer<B: Backend> {
    input: Linear<B>,
    positions: Param<Tensor<B, 2>>,
    blocks: Vec<MixerBlock<B>>,
    norm: LayerNorm<B>,
    output: Linear<B>,
}

/// `x += across_cells(norm(x)); x += across_channels(norm(x))`.
#[derive(Module, Debug)]
struct MixerBlock<B: Backend> {
    cell_norm: LayerNorm<B>,
    cell_in: Linear<B>,
    cell_out: Linear<B>,
    norm: LayerNorm<B>,
    mlp_in: Linear<B>,
    mlp_out: Linear<B>,
}

impl MixerEncoder<Compute> {
    /// Reads `encoder.*`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, config: &MixerConfig) -> Result<Self, ParameterError> {
        Ok(Self { trunk: Mixer::load(&at.at("encoder"), config, CELL_VOX, CELL_LATENT)? })
    }

    /// # Shapes
    ///
    /// - `patches`: `[B, 4096]`, thin axis first: `[thin, row, column]`
    /// - output: `[B, 256]`, `[channel, thin, row, column]`, the order of a token's latent values
    #[must_use]
    pub fn forward(&self, patches: Tensor<Compute, 2>) -> Tensor<Compute, 2> {
        let batch = patches.dims()[0];
        let cells = patches
            .reshape([batch, PATCH_THIN_VOX, EDGE, CELL, EDGE, CELL])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([batch, CELLS, CELL_VOX]);
        let latents = self.trunk.forward(cells); // [B, 64, 4]
        latents.swap_dims(1, 2).reshape([batch, LATENT])
    }
}

impl MixerDecoder<Compute> {
    /// Reads `decoder.*`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, config: &MixerConfig) -> Result<Self, ParameterError> {
        Ok(Self { trunk: Mixer::load(&at.at("decoder"), config, CELL_LATENT, CELL_VOX)? })
    }

    /// The way back. Shapes as in [`MixerEncoder::forward`], exchanged.
    #[must_use]
    pub fn forward(&self, latents: Tensor<Compute, 2>) -> Tensor<Compute, 2> {
        let batch = latents.dims()[0];
        let cells = latents.reshape([batch, CELL_LATENT, CELLS]).swap_dims(1, 2);
        self.trunk
            .forward(cells)
            .reshape([batch, EDGE, EDGE, PATCH_THIN_VOX, CELL, CELL])
            .permute([0, 3, 1, 4, 2, 5])
            .reshape([batch, PATCH_VOX])
    }
}

impl Mixer<Compute> {
    fn load(
        at: &Parameters<'_>,
        config: &MixerConfig,
        input: usize,
        output: usize,
    ) -> Result<Self, ParameterError> {
        let width = config.width;
        let block = |i| MixerBlock::load(&at.at(format_args!("blocks.{i}")), config);
        Ok(Self {
            input: at.at("input").linear(input, width, true)?,
            positions: Param::from_tensor(at.tensor("positions", [CELLS, width])?),
            blocks: (0..config.depth).map(block).collect::<Result<_, _>>()?,
            norm: at.at("norm").layer_norm(width)?,
            output: at.at("output").linear(width, output, true)?,
        })
    }

    /// `[B, 64, input]` to `[B, 64, output]`. Cells of all patches lie one after another, so that
    /// every product is one of two large matrices.
    fn forward(&self, cells: Tensor<Compute, 3>) -> Tensor<Compute, 3> {
        let [batch, _, input] = cells.dims();
        let x = self.input.forward(cells.reshape([batch * CELLS, input]));
        let width = x.dims()[1];
        let x = add_to_each(x.reshape([batch, CELLS, width]), self.positions.val());
        let x = x.reshape([batch * CELLS, width]);
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        let output = self.output.forward(self.norm.forward(x));
        let width = output.dims()[1];
        output.reshape([batch, CELLS, width])
    }
}

impl MixerBlock<Compute> {
    fn load(at: &Parameters<'_>, config: &MixerConfig) -> Result<Self, ParameterError> {
        let MixerConfig { width, cell_hidden, hidden, .. } = *config;
        Ok(Self {
            cell_norm: at.at("cell_norm").layer_norm(width)?,
            cell_in: at.at("cell_in").linear(CELLS, cell_hidden, true)?,
            cell_out: at.at("cell_out").linear(cell_hidden, CELLS, true)?,
            norm: at.at("norm").layer_norm(width)?,
            mlp_in: at.at("mlp_in").linear(width, hidden, true)?,
            mlp_out: at.at("mlp_out").linear(hidden, width, true)?,
        })
    }

    /// `[B * 64, width]` to the same.
    fn forward(&self, x: Tensor<Compute, 2>) -> Tensor<Compute, 2> {
        let [rows, width] = x.dims();
        let cells = self.cell_norm.forward(x.clone()).reshape([rows / CELLS, CELLS, width]);
        let hidden = activation::relu(across_cells(&self.cell_in, cells));
        let x = x + across_cells(&self.cell_out, hidden).reshape([rows, width]);
        let hidden = activation::relu(self.mlp_in.forward(self.norm.forward(x.clone())));
        x + self.mlp_out.forward(hidden)
    }
}

/// A linear layer down the columns, `[B, cells, width]` to `[B, outputs, width]`: the same as
/// along the rows of the transpose, which nobody has to lay out.
fn across_cells(layer: &Linear<Compute>, x: Tensor<Compute, 3>) -> Tensor<Compute, 3> {
    let product = layer.weight.val().transpose().unsqueeze().matmul(x);
    let Some(bias) = &layer.bias else { return product };
    let [_, outputs, width] = product.dims();
    add_to_each(product, bias.val().reshape([outputs, 1]).expand([outputs, width]))
}

/// A matrix added to each of many, as one row to all rows: flex does that at full speed.
fn add_to_each(x: Tensor<Compute, 3>, matrix: Tensor<Compute, 2>) -> Tensor<Compute, 3> {
    let [batch, rows, columns] = x.dims();
    let all = rows * columns;
    (x.reshape([batch, all]) + matrix.reshape([1, all])).reshape([batch, rows, columns])
}

/// A patch with its thin axis first, `[thin, row, column]`: z changes places with the thin axis,
/// so that sagittal patches come out as x, y, z. The order of [`crate::tokens::position`].
///
/// # Shapes
///
/// `patch` and `out` `[4096]`.
///
/// # Panics
///
/// When `thin_axis` is above 2 or `patch` is shorter.
pub fn write_thin_first(patch: &[f32], thin_axis: usize, out: &mut [f32]) {
    let size = patch_size_vox(thin_axis);
    let mut stride = [size[1] * size[2], size[2], 1];
    stride.swap(0, thin_axis);
    let mut to = out.iter_mut();
    for thin in 0..PATCH_THIN_VOX {
        for row in 0..EDGE * CELL {
            let at = thin * stride[0] + row * stride[1];
            for column in 0..EDGE * CELL {
                if let Some(to) = to.next() {
                    *to = patch[at + column * stride[2]];
                }
            }
        }
    }
}
