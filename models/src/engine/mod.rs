//! From patches to tokens to scores, on the device picked at run time.
//!
//! [`Engine`] takes and returns plain data; burn's types stay inside this crate.
//!
//! - [`Engine::encode`] runs the volume tokenizer over the patches that survived the foreground
//!   filter, batched across series;
//! - [`Engine::score`] runs the transformers and streams the heads from disk one at a time, a
//!   shared head once; [`Engine::embedding`] stops before the heads;
//! - [`Engine::masked_scorer`] re-runs the transformers on subsets of one series' tokens (LIME);
//! - [`Engine::clinical_context`] embeds the words that the heads with context read;
//! - [`golden`] asks a model about a phantom whose answer it carries; [`input_file`] keeps tokens.

mod context;
mod device;
pub mod golden;
pub mod input_file;
mod onnx;
mod score;
mod types;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use burn::DispatchDevice;
use burn::tensor::{DType, Tensor, TensorData};

pub use context::{SentenceEncoder, SentenceError};
pub use device::{DeviceChoice, DeviceError, DeviceReport, Precision, device, probe};
pub use onnx::OnnxError;
pub use score::MaskedScorer;
pub use types::{
    ClassScore, LabelScore, SeriesTokens, StudyInput, StudyScores, StudyTokens, Target,
};

use crate::dims::{
    LATENT, PATCH_IN_PLANE_VOX, PATCH_THIN_VOX, PATCH_VOX, THIN_REPEAT, TOKEN_FEATURES,
};
use crate::nn::Compute;
use crate::nn::config::TokenizerConfig;
use crate::nn::mixer::{MixerEncoder, write_thin_first};
use crate::nn::parameters::{ParameterError, Parameters};
use crate::nn::prima::Prima;
use crate::nn::vqvae::Encoder;
use crate::nn::winograd::CpuEncoder;
use crate::tokens::patchify::write_repeated;
use crate::tokens::position::{assemble_thin_first, thin_first};
use crate::tokens::{SeriesPatches, StudyPatches};
use crate::weights::bundle::{Bundle, BundleError, head_weights};
use crate::weights::manifest::{NETWORK, TOKENIZER};
use crate::weights::mapped::{Tracked, WeightFile};
use onnx::{OnnxEncoder, OnnxMixer, OnnxNetwork};

/// Patches per tokenizer call on a CPU: a few tens of megabytes of activations.
const CPU_BATCH: usize = 16;
/// Beginnings of the names of tensors that only training uses, in the network's file.
const TRAINING_ONLY_NETWORK: [&str; 7] = [
    "text_model.",
    "temperature",
    "patdistemperature",
    "visual_model.dummy_param",
    "visual_model.patdisnet.",
    // Of a pre-trained series encoder, whose own linear layer the adapter replaces.
    "visual_model.serieencoder.0.linear.",
    "visual_model.serieencoder.linear.",
];
/// The same in the tokenizer's file.
const TRAINING_ONLY_TOKENIZER: [&str; 2] = ["decoder.", "quantizer."];
/// Patches per tokenizer call on a GPU.
const GPU_BATCH: usize = 128;

/// A loaded model on one device.
#[derive(Debug)]
pub struct Engine {
    bundle: Bundle,
    device: DispatchDevice,
    choice: DeviceChoice,
    dtype: DType,
    tokenizer: Tokenizer,
    network: Network,
    sentences: Option<SentenceEncoder>,
    verified: Mutex<HashSet<String>>,
}

/// What runs the volume tokenizer.
#[derive(Debug)]
enum Tokenizer {
    Burn(Box<Encoder<Compute>>),
    Cpu(Box<CpuEncoder>),
    Mixer(Box<MixerEncoder<Compute>>),
    Onnx(OnnxEncoder),
    OnnxMixer(OnnxMixer),
}

/// What runs the transformers.
#[derive(Debug)]
enum Network {
    Burn(Box<Prima<Compute>>),
    Onnx(OnnxNetwork),
}

/// Something the engine could not do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The device is not there.
    #[error("cannot use the device asked for")]
    Device(#[from] DeviceError),
    /// The bundle is refused.
    #[error("cannot use the model bundle")]
    Bundle(#[from] BundleError),
    /// A tensor does not fit.
    #[error("a tensor of the model does not fit its manifest")]
    Parameter(#[from] ParameterError),
    /// The ONNX part does not run.
    #[error("cannot run an ONNX part of the bundle")]
    Onnx(#[from] OnnxError),
    /// The clinical context's encoder is refused, or cannot embed a text.
    #[error("cannot use the encoder of the clinical context")]
    Sentences(#[from] SentenceError),
    /// A value that is not finite.
    #[error("{what} of the study holds a value that is not finite; the study cannot be scored")]
    NotFinite {
        /// Which stage's output.
        what: String,
    },
    /// A head gives no number.
    #[error("{path} gives a value that is not finite; export the bundle again")]
    Head {
        /// The head's file.
        path: PathBuf,
    },
    /// The parts of the input do not belong together.
    #[error("the study input has {found} {what}, expected {expected}")]
    Input {
        /// What is counted.
        what: &'static str,
        /// Found.
        found: usize,
        /// Expected.
        expected: usize,
    },
    /// A label or class the model does not have.
    #[error("the model has no output {name:?}; it has: {known}")]
    Target {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

impl Engine {
    /// Loads a bundle's tokenizer and transformers onto a device. Heads stay on disk.
    ///
    /// # Errors
    ///
    /// When the device is missing or the bundle is not what its manifest promises.
    pub fn open(
        bundle: Bundle,
        choice: DeviceChoice,
        precision: Precision,
    ) -> Result<Self, EngineError> {
        let device = device(choice)?;
        let dtype = precision.dtype();
        let sizes = &bundle.manifest().sizes;
        let onnx = bundle.manifest().onnx.as_ref().filter(|_| choice == DeviceChoice::Cpu);
        let network = match onnx.and_then(|o| o.sequence.as_deref().zip(o.study.as_deref())) {
            Some((sequence, study)) => Network::Onnx(OnnxNetwork::load(&bundle, sequence, study)?),
            None => {
                let network = bundle.open_file(NETWORK)?;
                let tracked = Tracked::new(&network);
                let prima = Prima::load(&Parameters::new(&tracked, &device, dtype), sizes)?;
                tracked.nothing_else(&TRAINING_ONLY_NETWORK)?;
                Network::Burn(Box::new(prima))
            }
        };
        let tokenizer = match (onnx.and_then(|o| o.tokenizer.as_deref()), &sizes.tokenizer) {
            (Some(file), TokenizerConfig::Mixer(_)) => {
                Tokenizer::OnnxMixer(OnnxMixer::load(&bundle, file)?)
            }
            (Some(file), TokenizerConfig::Conv3d(_)) => {
                Tokenizer::Onnx(OnnxEncoder::load(&bundle, file, CPU_BATCH)?)
            }
            (None, tokenizer) => {
                let weights = bundle.open_file(TOKENIZER)?;
                let tracked = Tracked::new(&weights);
                let at = Parameters::new(&tracked, &device, dtype);
                let tokenizer = match tokenizer {
                    TokenizerConfig::Mixer(sizes) => {
                        Tokenizer::Mixer(Box::new(MixerEncoder::load(&at, sizes)?))
                    }
                    TokenizerConfig::Conv3d(sizes) => {
                        let encoder = Encoder::load(&at, sizes)?;
                        // Minimal filtering pays where multiplications are the limit; GPUs have
                        // their own.
                        if choice == DeviceChoice::Cpu && precision == Precision::Full {
                            Tokenizer::Cpu(Box::new(CpuEncoder::new(encoder, sizes)))
                        } else {
                            Tokenizer::Burn(Box::new(encoder))
                        }
                    }
                };
                tracked.nothing_else(&TRAINING_ONLY_TOKENIZER)?;
                tokenizer
            }
        };
        let sentences = SentenceEncoder::of(&bundle)?;
        let verified = Mutex::new(HashSet::new());
        let engine =
            Self { bundle, device, choice, dtype, tokenizer, network, sentences, verified };
        engine.check_heads()?;
        Ok(engine)
    }

    /// The bundle that was loaded.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The device it was loaded onto.
    #[must_use]
    pub fn choice(&self) -> DeviceChoice {
        self.choice
    }

    /// Turns every kept patch into a token: the tokenizer's latent values, position and
    /// orientation. `progress` is told how many patches are done.
    ///
    /// # Errors
    ///
    /// When a patch or a token is not finite.
    pub fn encode(
        &self,
        study: &StudyPatches,
        mut progress: impl FnMut(usize),
    ) -> Result<StudyTokens, EngineError> {
        // The tokenizer's rectifiers would turn a NaN into a zero, and so hide it.
        let bad = |s: &SeriesPatches| s.voxels.iter().any(|v| !v.is_finite());
        if let Some(i) = study.series.iter().position(bad) {
            return Err(EngineError::NotFinite { what: format!("a patch of series {}", i + 1) });
        }
        let mut latents: Vec<Vec<f32>> =
            study.series.iter().map(|s| Vec::with_capacity(s.coordinates.len() * LATENT)).collect();
        let mut done = 0;
        for thin_axis in 0..3 {
            // Patches of one orientation have one shape, so they share batches across series.
            let queue: Vec<(usize, usize)> = (study.series.iter().enumerate())
                .filter(|(_, series)| series.thin_axis == thin_axis)
                .flat_map(|(s, series)| (0..series.coordinates.len()).map(move |p| (s, p)))
                .collect();
            for batch in queue.chunks(self.batch()) {
                let output = self.latents(study, batch, thin_axis)?;
                for (&(series, _), latent) in batch.iter().zip(output.chunks_exact(LATENT)) {
                    latents[series].extend_from_slice(latent);
                }
                done += batch.len();
                progress(done);
            }
        }
        let series = study.series.iter().zip(&latents);
        let series = series.map(|(patches, latents)| SeriesTokens::assemble(patches, latents));
        StudyTokens { series: series.collect() }.finite()
    }

    fn batch(&self) -> usize {
        match (&self.tokenizer, self.choice) {
            (Tokenizer::OnnxMixer(mixer), _) => mixer.batch(),
            (_, DeviceChoice::Cpu) => CPU_BATCH,
            _ => GPU_BATCH,
        }
    }

    /// Latent values of a batch of patches of one orientation, thin axis second.
    fn latents(
        &self,
        study: &StudyPatches,
        batch: &[(usize, usize)],
        thin_axis: usize,
    ) -> Result<Vec<f32>, EngineError> {
        let count = batch.len();
        if matches!(self.tokenizer, Tokenizer::Mixer(_) | Tokenizer::OnnxMixer(_)) {
            let mut input = vec![0.0; count * PATCH_VOX];
            for (&at, out) in batch.iter().zip(input.chunks_exact_mut(PATCH_VOX)) {
                write_thin_first(patch(study, at), thin_axis, out);
            }
            return Ok(match &self.tokenizer {
                Tokenizer::OnnxMixer(encoder) => encoder.run(&input)?,
                Tokenizer::Mixer(encoder) => {
                    values(encoder.forward(self.tensor(input, [count, PATCH_VOX])))
                }
                _ => unreachable!("one of the two above"),
            });
        }
        let mut input = vec![0.0; count * PATCH_VOX * THIN_REPEAT];
        for (&at, out) in batch.iter().zip(input.chunks_exact_mut(PATCH_VOX * THIN_REPEAT)) {
            write_repeated(patch(study, at), thin_axis, out);
        }
        let [z, y, x] = patch_shape(thin_axis);
        let tensor = |input| self.tensor(input, [count, 1, z, y, x]);
        let latents = match &self.tokenizer {
            Tokenizer::Onnx(encoder) => encoder.run(input, thin_axis, count)?,
            Tokenizer::Burn(encoder) => values(encoder.forward(tensor(input))),
            Tokenizer::Cpu(encoder) => values(encoder.forward(tensor(input))),
            Tokenizer::Mixer(_) | Tokenizer::OnnxMixer(_) => unreachable!("returned above"),
        };
        Ok(latents.chunks_exact(LATENT).flat_map(|z_e| thin_first(z_e, thin_axis)).collect())
    }

    /// A tensor of the engine's number type on its device.
    fn tensor<const N: usize>(&self, values: Vec<f32>, shape: [usize; N]) -> Tensor<Compute, N> {
        let tensor = Tensor::from_data(TensorData::new(values, shape), (&self.device, DType::F32));
        if self.dtype == DType::F32 { tensor } else { tensor.cast(self.dtype) }
    }

    /// Maps a head's file; its content is hashed when this process first uses it.
    fn head_file(&self, file: &str) -> Result<WeightFile, BundleError> {
        let verified = || self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified().contains(file) {
            return self.bundle.reopen_file(file);
        }
        let weights = self.bundle.open_file(file)?;
        verified().insert(file.to_owned());
        Ok(weights)
    }

    /// Every head has the tensors and shapes that the sizes promise. Headers only: contents are
    /// hashed when a head is first used.
    fn check_heads(&self) -> Result<(), EngineError> {
        let manifest = self.bundle.manifest();
        let embedding = manifest.sizes.embedding();
        let labels = manifest.diagnosis.iter().chain(&manifest.referral);
        let mut heads: Vec<_> = labels.map(|head| (&head.file, embedding, 1)).collect();
        if let Some(context) = &manifest.context {
            let input = embedding + context.dimension;
            heads.extend(context.diagnosis.iter().map(|head| (&head.file, input, 1)));
        }
        heads.extend(manifest.priority.iter().map(|p| (&p.file, embedding, p.classes.len())));
        heads.extend(manifest.age.iter().map(|age| (&age.file, embedding, 1)));
        let mut shared_with = HashMap::new();
        for (file, input, outputs) in heads {
            let shared = manifest.shared_head(file);
            if shared.is_some() && shared_with.insert(file, input) == Some(input) {
                continue;
            }
            let outputs = shared.map_or(outputs, |shared| shared.outputs);
            let weights = self.bundle.reopen_file(file)?;
            head_weights(&weights, self.head_widths(input, outputs))?;
        }
        Ok(())
    }
}

/// Shape of a tokenizer input patch: 8 along the repeated thin axis, 32 along the others.
fn patch_shape(thin_axis: usize) -> [usize; 3] {
    let mut shape = [PATCH_IN_PLANE_VOX; 3];
    shape[thin_axis] = PATCH_THIN_VOX * THIN_REPEAT;
    shape
}

/// The voxels of a patch, given as series and index.
fn patch(study: &StudyPatches, (series, patch): (usize, usize)) -> &[f32] {
    &study.series[series].voxels[patch * PATCH_VOX..(patch + 1) * PATCH_VOX]
}

/// A tensor's values as f32; waits for the device.
fn values<const N: usize>(tensor: Tensor<Compute, N>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

impl SeriesTokens {
    /// Tokens of a series in its sequence order from the latents of its unique patches.
    fn assemble(patches: &SeriesPatches, latents: &[f32]) -> Self {
        let mut features = vec![0.0; patches.sequence.len() * TOKEN_FEATURES];
        let tokens = features.as_chunks_mut::<TOKEN_FEATURES>().0;
        for (&unique, out) in patches.sequence.iter().zip(tokens) {
            let unique = unique as usize;
            let latent = &latents[unique * LATENT..(unique + 1) * LATENT];
            assemble_thin_first(latent, patches.thin_axis, patches.coordinates[unique], out);
        }
        Self { features }
    }
}

// One engine serves the triage worker and whoever asks for an explanation.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Engine>();
};
