//! Layer norms of the sequence ViT that begin centred on the cohort's tokens.
//!
//! Tokens enter the ViT as they are, and most of a token is what all tokens share: on simulated
//! studies the mean token is four times as long as the deviations from it. A layer norm that
//! begins as the identity hands that constant on, series look alike, and the contrastive loss
//! stays at chance for hundreds of steps. These begin with the scale and bias that make every
//! feature of a normalised token zero on average, with a deviation of one.

use models::dims::TOKEN_FEATURES;
use models::nn::config::PrimaConfig;
use rayon::prelude::*;

use super::Data;
use crate::cohort::record::Split;
use crate::stage::batch::{Augmentation, example};
use crate::stage::run::rng;
use crate::stage::weights::NamedTensor;

/// Training studies that are looked at, and tokens of each of their series.
const STUDIES: usize = 128;
const TOKENS: usize = 32;
/// Smallest deviation that is brought to one.
const LEAST: f64 = 0.05;
/// Of a layer norm.
const EPSILON: f64 = 1e-5;

/// Weights and biases of every layer norm of the sequence ViT.
///
/// # Errors
///
/// When a study cannot be read.
#[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
pub(super) fn norms(
    data: &Data,
    sizes: &PrimaConfig,
    seed: u64,
) -> anyhow::Result<Vec<NamedTensor>> {
    let dim = sizes.sequence_vit.transformer.dim;
    let augmentation = Augmentation { most_tokens: TOKENS, ..Augmentation::none() };
    let ids = data.split(Split::Train);
    let each = ids.len().div_ceil(STUDIES).max(1);
    let studies = ids.par_iter().step_by(each).enumerate().map(|(i, id)| {
        example(&data.store, id, &augmentation, &mut rng(seed, (6 << 40) + i as u64))
    });
    let studies: Vec<_> = studies.collect::<Result<_, _>>()?;
    let (mut count, mut sum, mut squares) = (0.0, vec![0.0; dim], vec![0.0; dim]);
    for token in studies
        .iter()
        .flat_map(|study| &study.series)
        .flat_map(|series| series.features.chunks_exact(TOKEN_FEATURES))
    {
        for (i, value) in normalised(token, dim).into_iter().enumerate() {
            sum[i] += value;
            squares[i] += value * value;
        }
        count += 1.0;
    }
    let count: f64 = f64::max(count, 1.0);
    let (mut weight, mut bias) = (Vec::new(), Vec::new());
    for (sum, square) in sum.iter().zip(&squares) {
        let mean = sum / count;
        let deviation = (square / count - mean * mean).max(0.0).sqrt().max(LEAST);
        weight.push((1.0 / deviation) as f32);
        bias.push((-mean / deviation) as f32);
    }
    let vit = "visual_model.innerViT";
    let norms = (0..sizes.sequence_vit.transformer.depth)
        .flat_map(|layer| {
            [0, 1].map(|half| format!("{vit}.transformer.layers.{layer}.{half}.norm"))
        })
        .chain([format!("{vit}.layernorm")]);
    let tensor =
        |name, values: &[f32]| NamedTensor { name, shape: vec![dim], values: values.to_vec() };
    Ok(norms
        .flat_map(|norm| {
            [tensor(format!("{norm}.weight"), &weight), tensor(format!("{norm}.bias"), &bias)]
        })
        .collect())
}

/// A token, padded with zeros, after a layer norm that is the identity.
#[expect(clippy::cast_precision_loss, reason = "a token is short")]
fn normalised(token: &[f32], dim: usize) -> Vec<f64> {
    let mut token: Vec<f64> = token.iter().map(|v| f64::from(*v)).collect();
    token.resize(dim, 0.0);
    let n = dim as f64;
    let mean = token.iter().sum::<f64>() / n;
    let variance = token.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let deviation = (variance + EPSILON).sqrt();
    token.iter().map(|v| (v - mean) / deviation).collect()
}
