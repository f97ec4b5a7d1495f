//! `tokens`: every patch of a cohort to its latent values.

use std::path::{Path, PathBuf};

use anyhow::Context;
use burn::DispatchDevice;
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use models::dims::{LATENT, PATCH_VOX};
use models::engine::DeviceChoice;
use models::nn::Compute;
use models::nn::config::TokenizerConfig;
use models::nn::mixer::MixerEncoder;
use models::nn::parameters::{ParameterError, ParameterSource, Parameters};
use models::nn::vqvae::Encoder;
use models::weights::mapped::WeightFile;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::volume;
use crate::cohort::shard::{ShardStudy, Store, Values, pack_latents, unpack, write_shard};

/// Configuration of `trainer tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokensRun {
    /// Cohort folder with patch shards.
    pub cohort: PathBuf,
    /// Weights of the tokenizer.
    pub tokenizer: PathBuf,
    /// Its sizes.
    #[serde(deserialize_with = "crate::stage::sizes::tokenizer")]
    pub sizes: TokenizerConfig,
    /// Device.
    #[serde(default = "crate::stage::cpu")]
    pub device: DeviceChoice,
}

/// Turns every patch of a cohort into its latent values, in shards below `out`; returns how many.
///
/// # Errors
///
/// When the cohort or the weights are refused, or the disk is full.
pub fn tokens(
    config: &TokensRun,
    out: &Path,
    progress: impl Fn(u64, u64),
) -> anyhow::Result<usize> {
    const STUDIES_PER_SHARD: usize = 64;
    let store = Store::open(&config.cohort, Values::Patches)?;
    let coder = PatchCoder::open(&config.tokenizer, &config.sizes, config.device)?;
    let ids: Vec<&str> = store.ids().collect();
    let mut count = 0;
    for (number, ids) in ids.chunks(STUDIES_PER_SHARD).enumerate() {
        let studies: Vec<ShardStudy> = ids
            .par_iter()
            .map(|id| {
                let (description, series) = store.study(id)?;
                let series = series.iter().map(|series| {
                    series.with_values(coder.latents(series.values, series.thin_axis))
                });
                let (id, description) = ((*id).to_owned(), description.to_owned());
                Ok(ShardStudy { id, description, series: series.collect() })
            })
            .collect::<anyhow::Result<_>>()?;
        let series = studies.iter().flat_map(|study| &study.series);
        count += series.map(|series| series.coordinates.len()).sum::<usize>();
        let path = out.join(format!("tokens-{number:04}.safetensors"));
        write_shard(&path, Values::Latents, &studies)?;
        let done = (number * STUDIES_PER_SHARD + studies.len()) as u64;
        progress(done, store.ids().count() as u64);
    }
    Ok(count)
}

/// A tokenizer's encoder on a device.
pub struct PatchCoder {
    encoder: TokenEncoder<Compute>,
    device: DispatchDevice,
}

impl PatchCoder {
    /// Opens the weights of a tokenizer of these sizes.
    ///
    /// # Errors
    ///
    /// When they are refused, or the device is not there.
    pub fn open(
        weights: &Path,
        sizes: &TokenizerConfig,
        device: DeviceChoice,
    ) -> anyhow::Result<Self> {
        let device = crate::stage::device(device)?;
        let weights = WeightFile::open(weights).context(
            "the weights of the tokenizer cannot be read; `trainer tokenizer` makes them",
        )?;
        let encoder = encoder(&weights, sizes, &device)?;
        Ok(Self { encoder, device })
    }

    /// Latent values of stored patches, as they are stored.
    #[must_use]
    pub fn latents(&self, patches: &[u8], thin_axis: usize) -> Vec<u8> {
        let patches: Vec<f32> = patches.iter().map(|v| unpack(*v)).collect();
        pack_latents(&encode(&self.encoder, &patches, thin_axis, &self.device))
    }
}

/// Only the encoder of either architecture, from weights that need not hold a decoder.
#[derive(Module, Debug)]
pub struct TokenEncoder<B: Backend> {
    conv: Option<Encoder<B>>,
    mixer: Option<MixerEncoder<B>>,
}

/// Reads `encoder.*`.
///
/// # Errors
///
/// When a tensor is missing or has another shape.
pub fn encoder(
    source: &dyn ParameterSource,
    sizes: &TokenizerConfig,
    device: &DispatchDevice,
) -> Result<TokenEncoder<Compute>, ParameterError> {
    let at = Parameters::new(source, device, DType::F32);
    Ok(match sizes {
        TokenizerConfig::Conv3d(sizes) => {
            TokenEncoder { conv: Some(Encoder::load(&at, sizes)?), mixer: None }
        }
        TokenizerConfig::Mixer(sizes) => {
            TokenEncoder { conv: None, mixer: Some(MixerEncoder::load(&at, sizes)?) }
        }
    })
}

/// Latent values of patches that lie thin axis first: `[n, 4096]` to `[n, 256]`, C-ordered.
#[must_use]
pub fn encode(
    encoder: &TokenEncoder<Compute>,
    patches: &[f32],
    thin_axis: usize,
    device: &DispatchDevice,
) -> Vec<f32> {
    const BATCH: usize = 128;
    let batches = patches.chunks(BATCH * PATCH_VOX).flat_map(|batch| {
        let n = batch.len() / PATCH_VOX;
        let x = TensorData::new(batch.to_vec(), [n, PATCH_VOX]);
        let x = Tensor::<Compute, 2>::from_data(x, device);
        let latents = match (&encoder.conv, &encoder.mixer) {
            (Some(encoder), _) => {
                let x = volume(x).swap_dims(2, 2 + thin_axis);
                encoder.forward(x).swap_dims(2, 2 + thin_axis).reshape([n, LATENT])
            }
            (None, Some(encoder)) => encoder.forward(x),
            (None, None) => unreachable!("built with one of the two"),
        };
        latents.into_data().iter::<f32>().collect::<Vec<_>>()
    });
    batches.collect()
}
