//! `tokenizer`: a VQ-VAE on patches, and the tokens it gives (paper, Methods, "MRI volume
//! tokenization", Algorithm 1; specification §3).
//!
//! Loss: L1 of the reconstruction plus the commitment term; the codebook follows the encoder by
//! moving averages. Every batch has its axes permuted at random, so that the encoder does not
//! depend on the imaging plane.

mod tokens;
mod unit;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::DispatchDevice;
use burn::module::{AutodiffModule, Module};
use burn::nn::Linear;
use burn::optim::GradientsParams;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData, activation};
use models::dims::{LATENT, PATCH_IN_PLANE_VOX, PATCH_THIN_VOX, PATCH_VOX, THIN_REPEAT};
use models::engine::DeviceChoice;
use models::labels::DIAGNOSES;
use models::nn::Compute;
use models::nn::config::{MixerConfig, TokenizerConfig, VqVaeConfig};
use models::nn::mixer::{MixerDecoder, MixerEncoder};
use models::nn::parameters::{ParameterError, Parameters};
use models::nn::vqvae::{Decoder, EmaConfig, Encoder, Quantizer};
use models::weights::mapped::WeightFile;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::tokens::{PatchCoder, TokenEncoder, TokensRun, encode, encoder, tokens};
use self::unit::Unit;
use super::clip::weighted_bce;
use super::learner::{Learner, Metrics, OptimizerConfig, Schedule, Task};
use super::run::{Run, rng};
use super::weights::{Fresh, Names, write};
use crate::cohort::Cohort;
use crate::cohort::record::{Split, StudyTruth, in_token};
use crate::cohort::shard::{Store, Values, unpack};
use crate::picture::Picture;

/// Configuration of `trainer tokenizer`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerRun {
    /// Cohort folder with patch shards.
    pub cohort: PathBuf,
    /// Device.
    #[serde(default = "super::cpu")]
    pub device: DeviceChoice,
    /// Seed of weights and batches.
    #[serde(default)]
    pub seed: u64,
    /// Number of steps.
    pub steps: u64,
    /// Patches per step.
    pub batch: usize,
    /// Patches computed at a time; parts of a batch run beside each other on the CPU. 0 takes the
    /// whole batch.
    #[serde(default)]
    pub part: usize,
    /// Simulated cohorts: weight of telling from a patch's latent values which lesions are in it,
    /// with half of the patches drawn from lesions. Real cohorts know no lesions: 0.
    #[serde(default)]
    pub lesions: f64,
    /// Steps between checkpoints and pictures.
    #[serde(default = "checkpoint_steps")]
    pub checkpoint_steps: u64,
    /// How weights change.
    #[serde(default = "optimizer")]
    pub optimizer: OptimizerConfig,
    /// Sizes.
    #[serde(deserialize_with = "super::sizes::tokenizer")]
    pub sizes: TokenizerConfig,
}

fn checkpoint_steps() -> u64 {
    500
}

/// The published optimiser of the tokenizer: Adam at 1e-4.
fn optimizer() -> OptimizerConfig {
    OptimizerConfig {
        learning_rate: 1e-4,
        weight_decay: 0.0,
        warmup_steps: 0,
        ..OptimizerConfig::default()
    }
}

/// Encoder and decoder of either architecture, and what says which lesions are in a patch.
#[derive(Module, Debug)]
pub struct Coder<B: Backend> {
    conv: Option<(Encoder<B>, Decoder<B>)>,
    mixer: Option<(MixerEncoder<B>, MixerDecoder<B>)>,
    /// Lesions from latent values; thrown away after training.
    probe: (Linear<B>, Linear<B>),
}

/// Hidden values of the probe.
const PROBE: usize = 256;

impl Coder<Compute> {
    /// Reads `encoder.*`, `decoder.*` and `probe.*`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, sizes: &TokenizerConfig) -> Result<Self, ParameterError> {
        let (conv, mixer) = match sizes {
            TokenizerConfig::Conv3d(sizes) => {
                (Some((Encoder::load(at, sizes)?, Decoder::load(at, sizes)?)), None)
            }
            TokenizerConfig::Mixer(sizes) => {
                (None, Some((MixerEncoder::load(at, sizes)?, MixerDecoder::load(at, sizes)?)))
            }
        };
        let probe = at.at("probe");
        let probe = (
            probe.at("0").linear(LATENT, PROBE, true)?,
            probe.at("1").linear(PROBE, DIAGNOSES.len(), true)?,
        );
        Ok(Self { conv, mixer, probe })
    }

    /// Logits of the lesions in patches, `[B, 52]`, from their latent values.
    fn lesions(&self, latents: Tensor<Compute, 5>) -> Tensor<Compute, 2> {
        let batch = latents.dims()[0];
        let hidden = self.probe.0.forward(latents.reshape([batch, LATENT]));
        self.probe.1.forward(activation::relu(hidden))
    }

    /// Patches to latent values, `[B, 4096]` thin axis first to `[B, 2, 2, 8, 8]`. A convolution
    /// sees the thin axis as axis `thin` of three, as in serving; a mixer always as the first.
    ///
    /// # Panics
    ///
    /// Never: one of the two is there.
    #[must_use]
    pub fn encode(&self, patches: Tensor<Compute, 2>, thin: usize) -> Tensor<Compute, 5> {
        let batch = patches.dims()[0];
        match (&self.conv, &self.mixer) {
            (Some((encoder, _)), _) => {
                encoder.forward(volume(patches).swap_dims(2, 2 + thin)).swap_dims(2, 2 + thin)
            }
            (None, Some((encoder, _))) => encoder.forward(patches).reshape([batch, 2, 2, 8, 8]),
            (None, None) => unreachable!("built with one of the two"),
        }
    }

    /// The way back, to `[B, 4096]`.
    ///
    /// # Panics
    ///
    /// Never: one of the two is there.
    #[must_use]
    pub fn decode(&self, latents: Tensor<Compute, 5>, thin: usize) -> Tensor<Compute, 2> {
        let batch = latents.dims()[0];
        match (&self.conv, &self.mixer) {
            (Some((_, decoder)), _) => {
                let edge = PATCH_IN_PLANE_VOX;
                // The two copies of a slice are averaged.
                decoder
                    .forward(latents.swap_dims(2, 2 + thin))
                    .swap_dims(2, 2 + thin)
                    .reshape([batch, PATCH_THIN_VOX, THIN_REPEAT, edge * edge])
                    .mean_dim(2)
                    .reshape([batch, PATCH_VOX])
            }
            (None, Some((_, decoder))) => decoder.forward(latents.reshape([batch, LATENT])),
            (None, None) => unreachable!("built with one of the two"),
        }
    }
}

/// `[B, 4096]` thin axis first to `[B, 1, 8, 32, 32]`, every slice twice (specification §2.7).
fn volume(patches: Tensor<Compute, 2>) -> Tensor<Compute, 5> {
    let batch = patches.dims()[0];
    let edge = PATCH_IN_PLANE_VOX;
    patches.reshape([batch, PATCH_THIN_VOX, 1, edge, edge]).repeat_dim(2, THIN_REPEAT).reshape([
        batch,
        1,
        PATCH_THIN_VOX * THIN_REPEAT,
        edge,
        edge,
    ])
}

/// What one part of a batch gave.
struct Outcome {
    gradients: GradientsParams,
    /// Latent values, `[b, 2, 2, 8, 8]`.
    latents: Tensor<Compute, 5>,
    codes: Vec<i64>,
    l1: f64,
    commitment: f64,
    lesions: f64,
}

/// Trains a tokenizer; returns the path of its weights.
///
/// # Errors
///
/// When the cohort or configuration is refused, the disk is full, or training diverges.
pub fn train(
    config: &TokenizerRun,
    folder: &Path,
    resume: bool,
    stop_after: Option<u64>,
) -> anyhow::Result<PathBuf> {
    let cohort = Cohort::open(&config.cohort)?;
    let store = Store::open(&config.cohort, Values::Patches)?;
    let ids: Vec<String> =
        cohort.split(Split::Train).map(|r| r.id.clone()).filter(|id| store.contains(id)).collect();
    anyhow::ensure!(!ids.is_empty(), "{}: no training study has patches", config.cohort.display());
    anyhow::ensure!(
        config.lesions <= 0.0 || !cohort.truth.is_empty(),
        "lesions is {}, but {} has no truth.jsonl: only a simulated cohort knows which patch a lesion is in; set it to 0",
        config.lesions,
        config.cohort.display()
    );
    let mut run = Run::begin(folder, "tokenizer", config, config.seed, &[&config.cohort], resume)?;
    let device = super::device(config.device)?;
    let trained = DispatchDevice::autodiff(device.clone());
    let fresh = Fresh { seed: config.seed, temperature: 0.0 };
    let coder = Coder::load(&Parameters::new(&fresh, &trained, DType::F32), &config.sizes)?;
    let mut learner = Learner::new(coder, config.optimizer);
    let codebook = codebook_sizes(&config.sizes);
    let at = Parameters::new(&fresh, &device, DType::F32);
    let quantizer = Some(Quantizer::load(&at, &codebook)?);
    let truth = cohort.truth;
    let mut patches = Patches {
        config,
        store,
        ids,
        truth,
        quantizer,
        codebook,
        device,
        trained,
        shown: None,
        folder,
    };
    let schedule = Schedule {
        steps: config.steps,
        log_steps: 10,
        checkpoint_steps: config.checkpoint_steps,
        stop_after,
    };
    learner.train(&mut run, schedule, &mut patches)?;
    let mixer = match &config.sizes {
        TokenizerConfig::Conv3d(_) => None,
        TokenizerConfig::Mixer(sizes) => Some((sizes, patches.unit(&learner.model.valid())?)),
    };
    let Patches { quantizer, codebook, device, .. } = patches;
    let mut tensors =
        Names::of(&device, |at| Coder::load(at, &config.sizes))?.tensors(&learner.model.valid());
    tensors.retain(|t| !t.name.starts_with("probe."));
    let names = Names::of(&device, |at| Quantizer::load(at, &codebook))?;
    tensors.extend(quantizer.iter().flat_map(|quantizer| names.tensors(quantizer)));
    if let Some((sizes, unit)) = mixer {
        unit.fold(&mut tensors, sizes);
    }
    let path = folder.join("tokenizer.safetensors");
    write(&path, &tensors, false)?;
    Ok(path)
}

/// The quantiser reads only its own sizes.
fn codebook_sizes(sizes: &TokenizerConfig) -> VqVaeConfig {
    match sizes {
        TokenizerConfig::Conv3d(sizes) => sizes.clone(),
        TokenizerConfig::Mixer(MixerConfig { codebook, codebook_dim, .. }) => {
            VqVaeConfig { codebook: *codebook, codebook_dim: *codebook_dim, ..VqVaeConfig::prima() }
        }
    }
}

/// Random patches, and the codebook, which no gradient moves.
struct Patches<'a> {
    config: &'a TokenizerRun,
    store: Store,
    ids: Vec<String>,
    /// Simulated cohorts.
    truth: HashMap<String, StudyTruth>,
    /// There but for the moment in which a step replaces it.
    quantizer: Option<Quantizer<Compute>>,
    codebook: VqVaeConfig,
    device: DispatchDevice,
    trained: DispatchDevice,
    /// The latest batch, for the picture.
    shown: Option<Tensor<Compute, 2>>,
    folder: &'a Path,
}

impl Task<Coder<Compute>> for Patches<'_> {
    fn step(
        &mut self,
        learner: &mut Learner<Coder<Compute>>,
        step: u64,
    ) -> anyhow::Result<Metrics> {
        let mut rng = rng(self.config.seed, step);
        let TokenizerRun { batch, part, lesions, .. } = *self.config;
        let part = if part == 0 { batch } else { part };
        let samples = self.sample(lesions > 0.0, &mut rng)?;
        let swap = rng.random_bool(0.5);
        let thin = rng.random_range(0..3);
        let Some(quantizer) = self.quantizer.take() else { return Ok(Vec::new()) };
        let tensor = |samples: &[Sample]| {
            let patches: Vec<f32> = samples.iter().flat_map(|s| s.patch.iter().copied()).collect();
            let x = TensorData::new(patches, [samples.len(), PATCH_VOX]);
            permuted(Tensor::<Compute, 2>::from_data(x, &self.trained), swap)
        };
        let outcomes: Vec<Outcome> = samples
            .par_chunks(part)
            .map(|samples| {
                // A graph of its own: parts of the batch do not wait for each other.
                let model = learner.model.clone().fork(&self.trained);
                forward(&model, &quantizer, &tensor(samples), samples, thin, lesions, batch)
            })
            .collect();
        self.shown = Some(tensor(&samples[..samples.len().min(SHOWN)]));
        let sum = |value: fn(&Outcome) -> f64| outcomes.iter().map(value).sum::<f64>();
        let (l1, commitment) = (sum(|o| o.l1), sum(|o| o.commitment));
        let lesions = sum(|o| o.lesions);
        let codes: Vec<i64> = outcomes.iter().flat_map(|o| o.codes.iter().copied()).collect();
        let (used, perplexity) = usage(codes.iter().copied(), self.codebook.codebook);
        let mut latents = Vec::new();
        for outcome in outcomes {
            learner.accumulate_parameters(outcome.gradients);
            latents.push(outcome.latents);
        }
        // Averages would keep a value that is no number for ever.
        self.quantizer = Some(if (l1 + commitment).is_finite() {
            let codes = TensorData::from(codes.as_slice());
            let codes = Tensor::from_data(codes, &self.device);
            quantizer.ema_step(Tensor::cat(latents, 0), codes, EmaConfig::default())
        } else {
            quantizer
        });
        Ok(vec![
            ("l1", l1),
            ("commitment", commitment),
            ("lesions", lesions),
            ("codes_used", used as f64),
            ("perplexity", perplexity),
        ])
    }

    fn save(&mut self, learner: &Learner<Coder<Compute>>, folder: &Path) -> anyhow::Result<()> {
        if let Some(x) = &self.shown {
            let picture = reconstruction(&learner.model, x);
            picture.write(&self.folder.join("reconstruction.png"))?;
        }
        let names = Names::of(&self.device, |at| Quantizer::load(at, &self.codebook))?;
        let tensors = self.quantizer.iter().flat_map(|quantizer| names.tensors(quantizer));
        write(&folder.join(QUANTIZER), &tensors.collect::<Vec<_>>(), false)?;
        Ok(())
    }

    fn restore(&mut self, folder: &Path) -> anyhow::Result<()> {
        let stored = WeightFile::open(&folder.join(QUANTIZER))?;
        let at = Parameters::new(&stored, &self.device, DType::F32);
        self.quantizer = Some(Quantizer::load(&at, &self.codebook)?);
        Ok(())
    }
}

/// The codebook in a checkpoint.
const QUANTIZER: &str = "quantizer.safetensors";

/// One part of a batch of `batch` patches, with its share of the gradients.
fn forward(
    coder: &Coder<Compute>,
    quantizer: &Quantizer<Compute>,
    x: &Tensor<Compute, 2>,
    samples: &[Sample],
    thin: usize,
    lesions: f64,
    batch: usize,
) -> Outcome {
    let ema = EmaConfig::default();
    let share = samples.len() as f64 / batch as f64;
    let z_e = coder.encode(x.clone(), thin);
    // The codebook is no parameter: it is moved by averages, outside the graph.
    let fixed = z_e.clone().inner();
    let quantized = quantizer.forward(fixed.clone(), ema);
    let difference = Tensor::<Compute, 5>::from_inner(quantized.entries) - z_e.clone();
    let commitment = difference.clone().powi_scalar(2).mean() * (ema.commitment * share);
    let reconstruction = coder.decode(z_e.clone() + difference.detach(), thin);
    let l1 = (reconstruction - x.clone()).abs().mean() * share;
    let mut outcome = Outcome {
        gradients: GradientsParams::new(),
        latents: fixed,
        codes: quantized.indices.into_data().iter::<i64>().collect(),
        l1: super::scalar(&l1),
        commitment: super::scalar(&commitment),
        lesions: 0.0,
    };
    let mut loss = l1 + commitment;
    if lesions > 0.0 {
        let mut targets = vec![0.0; samples.len() * DIAGNOSES.len()];
        for (sample, row) in samples.iter().zip(targets.chunks_exact_mut(DIAGNOSES.len())) {
            sample.diagnoses.iter().for_each(|d| row[*d] = 1.0);
        }
        let weights = vec![1.0; targets.len()];
        let entries = (batch * DIAGNOSES.len()) as f32;
        let term = weighted_bce(coder.lesions(z_e), targets, weights, entries);
        outcome.lesions = super::scalar(&term);
        loss = loss + term * lesions;
    }
    outcome.gradients = GradientsParams::from_grads(loss.backward(), coder);
    outcome
}

/// How many codes were used, and their perplexity.
fn usage(codes: impl Iterator<Item = i64>, codebook: usize) -> (usize, f64) {
    let mut counts = vec![0.0f64; codebook];
    for code in codes {
        if let Some(count) = usize::try_from(code).ok().and_then(|code| counts.get_mut(code)) {
            *count += 1.0;
        }
    }
    let total: f64 = counts.iter().sum();
    let used = counts.iter().filter(|c| **c > 0.0);
    let entropy = used.clone().map(|c| -(c / total) * (c / total).ln());
    (used.count(), entropy.sum::<f64>().exp())
}

/// A patch, thin axis first, with the lesions in it.
struct Sample {
    patch: Vec<f32>,
    diagnoses: Vec<usize>,
}

impl Patches<'_> {
    /// Scale and offset of the latent values of random patches.
    fn unit(&self, coder: &Coder<Compute>) -> anyhow::Result<Unit> {
        /// Batches that are looked at.
        const BATCHES: u64 = 16;
        let mut latents = Vec::new();
        for batch in 0..BATCHES {
            // Lesions are drawn no more often than they are found.
            let samples = self.sample(false, &mut rng(self.config.seed, (1 << 40) + batch))?;
            let patches: Vec<f32> = samples.into_iter().flat_map(|s| s.patch).collect();
            let x = TensorData::new(patches, [self.config.batch, PATCH_VOX]);
            let x = Tensor::<Compute, 2>::from_data(x, &self.device);
            latents.extend(coder.encode(x, 0).into_data().iter::<f32>());
        }
        Ok(Unit::of(&latents))
    }

    /// Patches of random series of random studies; with `from_lesions`, half of them from lesions.
    fn sample(&self, from_lesions: bool, rng: &mut ChaCha8Rng) -> anyhow::Result<Vec<Sample>> {
        /// Patches taken from one series.
        const EACH: usize = 8;
        let batch = self.config.batch;
        let mut samples = Vec::with_capacity(batch);
        while samples.len() < batch {
            let id = &self.ids[rng.random_range(0..self.ids.len())];
            let (_, series) = self.store.study(id)?;
            let Some(series) = series.get(rng.random_range(0..series.len().max(1))) else {
                continue;
            };
            let n = series.coordinates.len();
            let diagnoses = self.truth.get(id).map(StudyTruth::by_component).unwrap_or_default();
            let lesions: Vec<usize> = (0..n).filter(|p| series.components[*p] != 0).collect();
            for i in 0..EACH.min(batch - samples.len()) {
                let at = if from_lesions && i % 2 == 0 && !lesions.is_empty() {
                    lesions[rng.random_range(0..lesions.len())]
                } else {
                    rng.random_range(0..n)
                };
                let values = &series.values[at * PATCH_VOX..(at + 1) * PATCH_VOX];
                samples.push(Sample {
                    patch: values.iter().map(|v| unpack(*v)).collect(),
                    diagnoses: in_token(series.components[at], &diagnoses).collect(),
                });
            }
        }
        Ok(samples)
    }
}

/// Algorithm 1, first half: which in-plane axis comes first. Where the thin axis lies is drawn
/// for the coder, which alone can tell.
fn permuted(x: Tensor<Compute, 2>, swap: bool) -> Tensor<Compute, 2> {
    let batch = x.dims()[0];
    let edge = PATCH_IN_PLANE_VOX;
    if swap {
        x.reshape([batch, PATCH_THIN_VOX, edge, edge]).swap_dims(2, 3).reshape([batch, PATCH_VOX])
    } else {
        x
    }
}

/// Patches of a picture.
const SHOWN: usize = 12;

/// Originals above their reconstructions, second slice of each.
fn reconstruction(coder: &Coder<Compute>, x: &Tensor<Compute, 2>) -> Picture {
    let n = SHOWN.min(x.dims()[0]);
    let original = x.clone().narrow(0, 0, n);
    let decoded = coder.decode(coder.encode(original.clone(), 0), 0);
    let edge = PATCH_IN_PLANE_VOX;
    let mut picture = Picture::new(n * (edge + 2), 2 * (edge + 2));
    for (row, tensor) in [original, decoded].into_iter().enumerate() {
        let values: Vec<f32> = tensor.into_data().iter().collect();
        for (i, patch) in values.chunks_exact(PATCH_VOX).enumerate() {
            let slice = &patch[edge * edge..2 * edge * edge];
            picture.paste(i * (edge + 2), row * (edge + 2), edge, slice, 0.6);
        }
    }
    picture
}
