//! Multiplications of a forward pass, from the sizes of the layers.
//!
//! Matrix products, attention and convolutions are counted; norms, activations and heads' biases
//! are not. A multiplication and its addition are two operations.

use super::config::{
    ConvConfig, MixerConfig, NameEncoderConfig, TokenizerConfig, TransformerConfig, VitConfig,
    VqVaeConfig,
};
use crate::dims::{LATENT, PATCH_IN_PLANE_VOX, PATCH_THIN_VOX, PATCH_VOX, THIN_REPEAT};

/// Cells of a patch in the edge tokenizer.
const CELLS: usize = 64;
/// Of a 3 x 3 x 3 convolution in Winograd's form, for every 8 voxels of the result.
const WINOGRAD: (usize, usize) = (64, 8);

/// A tokenizer on one patch, convolutions computed directly.
#[must_use]
pub fn tokenizer(sizes: &TokenizerConfig) -> u64 {
    match sizes {
        TokenizerConfig::Mixer(sizes) => mixer(sizes),
        TokenizerConfig::Conv3d(sizes) => encoder(sizes, |_| (27, 1)),
    }
}

/// The same as the CPU computes it: convolutions that keep an even size in Winograd's form
/// ([`super::winograd`]).
#[must_use]
pub fn tokenizer_on_cpu(sizes: &TokenizerConfig) -> u64 {
    match sizes {
        TokenizerConfig::Mixer(sizes) => mixer(sizes),
        TokenizerConfig::Conv3d(sizes) => {
            encoder(
                sizes,
                |volume| {
                    if volume.iter().all(|edge| edge % 2 == 0) { WINOGRAD } else { (27, 1) }
                },
            )
        }
    }
}

fn mixer(sizes: &MixerConfig) -> u64 {
    let MixerConfig { width, depth, cell_hidden, hidden, .. } = *sizes;
    let block = 2 * CELLS * cell_hidden * width + 2 * CELLS * width * hidden;
    (PATCH_VOX * width + depth * block + LATENT * width) as u64
}

/// `same` says how many multiplications a residual unit's convolution needs for how many voxels
/// of the result and each pair of channels.
fn encoder(sizes: &VqVaeConfig, same: impl Fn([usize; 3]) -> (usize, usize)) -> u64 {
    let mut volume = [PATCH_THIN_VOX * THIN_REPEAT, PATCH_IN_PLANE_VOX, PATCH_IN_PLANE_VOX];
    let (mut sum, mut input) = (0, 1);
    let levels = sizes.downsample.iter().zip(&sizes.channels).zip(&sizes.residual_channels);
    for ((&ConvConfig { kernel, stride, padding }, &channels), &inner) in levels {
        volume = volume.map(|edge| (edge + 2 * padding).saturating_sub(kernel) / stride.max(1) + 1);
        let voxels: usize = volume.iter().product();
        let (count, of) = same(volume);
        sum += voxels * kernel.pow(3) * input * channels;
        sum += sizes.residual_units * 2 * voxels * count / of * channels * inner;
        input = channels;
    }
    (sum + volume.iter().product::<usize>() * 27 * input * sizes.codebook_dim) as u64
}

/// A transformer on a sequence of `length`.
#[must_use]
pub fn transformer(sizes: &TransformerConfig, length: usize) -> u64 {
    let TransformerConfig { dim, depth, heads, dim_head, mlp_dim } = *sizes;
    let inner = heads * dim_head;
    (depth * length * (4 * dim * inner + 2 * dim * mlp_dim + 2 * length * inner)) as u64
}

/// A ViT on so many prefixes and tokens, its registers beside them; peaks are left out.
#[must_use]
pub fn vit(sizes: &VitConfig, length: usize) -> u64 {
    let output = sizes.pooled() * sizes.output;
    transformer(&sizes.transformer, sizes.registers + length) + output as u64
}

/// A name of so many characters; none costs nothing.
#[must_use]
pub fn name(sizes: &NameEncoderConfig, characters: usize) -> u64 {
    let output = sizes.transformer.dim * sizes.adapter.unwrap_or(sizes.output);
    transformer(&sizes.transformer, characters) + if characters > 0 { output as u64 } else { 0 }
}

/// A head from the study's embedding to `outputs`.
#[must_use]
pub fn head(input: usize, [first, second]: [usize; 2], outputs: usize) -> u64 {
    (input * first + first * second + second * outputs) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written out by hand.
    #[test]
    fn products_are_counted() {
        let block = TransformerConfig { dim: 10, depth: 1, heads: 2, dim_head: 3, mlp_dim: 20 };
        // Queries, keys, values: 7 x 10 x 18. Scores and their use: 2 x 7 x 7 x 6. Output: 7 x 6 x
        // 10. Perceptron: 7 x (10 x 20 + 20 x 10).
        assert_eq!(transformer(&block, 7), 1260 + 588 + 420 + 2800);
        let sizes = TokenizerConfig::Conv3d(VqVaeConfig::prima());
        // From 1 channel to 256 at 4 x 16 x 16 voxels, four convolutions, from 256 to 256 at
        // 2 x 8 x 8 voxels, four convolutions, to 2 channels.
        let levels = |same: u64| {
            1024 * (64 * 256 + 4 * same * 65_536) + 128 * (8 * 65_536 + 4 * same * 65_536)
        };
        assert_eq!(tokenizer(&sizes), levels(27) + 128 * 27 * 512);
        assert_eq!(tokenizer_on_cpu(&sizes), levels(8) + 128 * 27 * 512);
    }
}
