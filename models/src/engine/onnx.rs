//! Parts of a bundle as ONNX graphs, served by tract on all cores.
//!
//! Plans are made once. Independent pieces of work (series, batches of patches, masks) run side by
//! side, each on one core: tract uses several cores only inside its matrix products, so a single
//! piece leaves them idle in between. Only a piece that is alone, or too
//! large to stand beside another one in memory, gets all of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use rayon::prelude::*;
use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable, IntoTValue,
    Tensor, TractResult, TypedRunnableModel, multithread, tvec,
};

use super::{EngineError, patch_shape};
use crate::dims::{LATENT, PATCH_VOX, TOKEN_FEATURES};
use crate::weights::bundle::Bundle;

pub(super) type Plan = Arc<TypedRunnableModel>;

/// Patches of one run of the mixer.
const MIXER_BATCH: usize = 32;

/// Tokens above which series are not run side by side: the attention scores of one take 4 bytes
/// for every pair of tokens, twice.
const LONG_SERIES: usize = 2048;

/// The convolutional tokenizer: one optimised plan per orientation of the patches, each for a
/// fixed number of patches.
#[derive(Debug)]
pub(super) struct OnnxEncoder {
    plans: [Plan; 3],
    batch: usize,
    executor: multithread::Executor,
}

/// The mixer tokenizer.
#[derive(Debug)]
pub(super) struct OnnxMixer {
    plan: Plan,
    threads: usize,
}

/// The transformers.
#[derive(Debug)]
pub(super) struct OnnxNetwork {
    sequence: Plan,
    study: Plan,
    executor: multithread::Executor,
}

/// tract's own reason.
#[derive(Debug, thiserror::Error)]
#[error("tract: {reason}")]
pub struct OnnxError {
    reason: String,
}

impl OnnxError {
    pub(super) fn new(error: impl std::fmt::Debug) -> Self {
        Self { reason: format!("{error:?}").lines().next().unwrap_or_default().to_owned() }
    }
}

/// Reads a graph after checking it and every file that its weights lie in against the manifest.
fn read(bundle: &Bundle, file: &str) -> Result<InferenceModel, EngineError> {
    let bytes = bundle.read_file(file)?;
    let onnx = tract_onnx::onnx();
    let proto = onnx.proto_model_for_read(&mut &*bytes).map_err(OnnxError::new)?;
    let tensors = proto.graph.iter().flat_map(|graph| &graph.initializer);
    let fields = tensors.flat_map(|tensor| &tensor.external_data);
    let locations: BTreeSet<_> =
        fields.filter(|field| field.key == "location").map(|field| &field.value).collect();
    for location in locations {
        bundle.open_file(location)?;
    }
    let folder = bundle.folder().to_str();
    Ok(onnx.parse(&proto, folder).map_err(OnnxError::new)?.model)
}

pub(super) fn optimise(model: TractResult<InferenceModel>) -> Result<Plan, OnnxError> {
    model
        .and_then(InferenceModelExt::into_optimized)
        .and_then(IntoRunnable::into_runnable)
        .map_err(OnnxError::new)
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The first output of a run.
pub(super) fn run(
    plan: &Plan,
    inputs: impl IntoIterator<Item = Tensor>,
) -> Result<Vec<f32>, OnnxError> {
    let inputs = inputs.into_iter().map(IntoTValue::into_tvalue).collect();
    let output = plan.run(inputs).map_err(OnnxError::new)?;
    let view = output[0].to_plain_array_view::<f32>().map_err(OnnxError::new)?;
    Ok(view.iter().copied().collect())
}

pub(super) fn tensor<T: Datum + Copy>(shape: &[usize], values: &[T]) -> Result<Tensor, OnnxError> {
    Tensor::from_shape(shape, values).map_err(OnnxError::new)
}

/// Character ids as the graphs read them.
fn ids(name: &[u8]) -> Result<Tensor, OnnxError> {
    let ids: Vec<i64> = name.iter().map(|&id| i64::from(id)).collect();
    tensor(&[ids.len()], &ids)
}

impl OnnxMixer {
    pub(super) fn load(bundle: &Bundle, file: &str) -> Result<Self, EngineError> {
        let fact = InferenceFact::dt_shape(f32::datum_type(), tvec![MIXER_BATCH, PATCH_VOX]);
        let plan = optimise(read(bundle, file)?.with_input_fact(0, fact))?;
        Ok(Self { plan, threads: threads() })
    }

    /// Patches that are worth handing over at once.
    pub(super) fn batch(&self) -> usize {
        4 * MIXER_BATCH * self.threads
    }

    /// Latent values of patches with the thin axis first.
    pub(super) fn run(&self, patches: &[f32]) -> Result<Vec<f32>, OnnxError> {
        let latents = patches.par_chunks(MIXER_BATCH * PATCH_VOX).map(|chunk| {
            let mut input = chunk.to_vec();
            input.resize(MIXER_BATCH * PATCH_VOX, 0.0);
            let mut latents = run(&self.plan, [tensor(&[MIXER_BATCH, PATCH_VOX], &input)?])?;
            expect(latents.len(), MIXER_BATCH * LATENT)?;
            latents.truncate(chunk.len() / PATCH_VOX * LATENT);
            Ok(latents)
        });
        Ok(latents.collect::<Result<Vec<_>, OnnxError>>()?.concat())
    }
}

impl OnnxNetwork {
    pub(super) fn load(bundle: &Bundle, sequence: &str, study: &str) -> Result<Self, EngineError> {
        let sequence = optimise(Ok(read(bundle, sequence)?))?;
        let study = read(bundle, study)?;
        let embedding = study.output_outlets().map_err(OnnxError::new)?[0];
        let mut study = study;
        study.select_output_outlets(&[embedding]).map_err(OnnxError::new)?;
        let study = optimise(Ok(study))?;
        Ok(Self { sequence, study, executor: multithread::Executor::multithread(threads()) })
    }

    /// One study embedding, `[R * D]`, from the tokens and the names of its series.
    pub(super) fn embed(
        &self,
        series: &[(&[f32], Vec<u8>)],
        description: &[u8],
    ) -> Result<Vec<f32>, OnnxError> {
        let vector = |(tokens, name): &(&[f32], Vec<u8>)| self.series(tokens, name);
        let longest = series.iter().map(|(tokens, _)| tokens.len()).max().unwrap_or(0);
        let vectors = if series.len() == 1 || longest > LONG_SERIES * TOKEN_FEATURES {
            multithread::multithread_tract_scope(self.executor.clone(), || {
                series.iter().map(vector).collect::<Result<Vec<_>, _>>()
            })?
        } else {
            series.par_iter().with_max_len(1).map(vector).collect::<Result<_, _>>()?
        };
        self.study(&vectors, description)
    }

    /// Study embeddings, one after another, of one series alone with the tokens that each mask
    /// keeps.
    pub(super) fn embed_masked(
        &self,
        tokens: &[f32],
        masks: &[&[bool]],
        name: &[u8],
        description: &[u8],
    ) -> Result<Vec<f32>, OnnxError> {
        let embeddings = masks.par_iter().with_max_len(1).map(|mask| {
            let tokens = tokens.chunks_exact(TOKEN_FEATURES).zip(*mask);
            let kept: Vec<f32> =
                tokens.filter(|(_, keep)| **keep).flat_map(|(token, _)| token).copied().collect();
            self.study(&[self.series(&kept, name)?], description)
        });
        Ok(embeddings.collect::<Result<Vec<_>, OnnxError>>()?.concat())
    }

    fn series(&self, tokens: &[f32], name: &[u8]) -> Result<Vec<f32>, OnnxError> {
        let count = tokens.len() / TOKEN_FEATURES;
        run(&self.sequence, [tensor(&[count, TOKEN_FEATURES], tokens)?, ids(name)?])
    }

    fn study(&self, series: &[Vec<f32>], description: &[u8]) -> Result<Vec<f32>, OnnxError> {
        let width = series.first().map_or(0, Vec::len);
        let series = tensor(&[series.len(), width], &series.concat())?;
        run(&self.study, [series, ids(description)?])
    }
}

fn expect(found: usize, expected: usize) -> Result<(), OnnxError> {
    if found == expected {
        return Ok(());
    }
    Err(OnnxError { reason: format!("the graph gives {found} values, expected {expected}") })
}

impl OnnxEncoder {
    /// Optimises the model for batches of `batch` patches in each orientation.
    pub(super) fn load(bundle: &Bundle, file: &str, batch: usize) -> Result<Self, EngineError> {
        let model = read(bundle, file)?;
        let plan = |thin_axis: usize| {
            let [z, y, x] = patch_shape(thin_axis);
            let fact = InferenceFact::dt_shape(f32::datum_type(), tvec![batch, 1, z, y, x]);
            optimise(model.clone().with_input_fact(0, fact))
        };
        let executor = multithread::Executor::multithread(threads());
        Ok(Self { plans: [plan(0)?, plan(1)?, plan(2)?], batch, executor })
    }

    /// `z_e` of `count` patches of one orientation, at most `batch`.
    pub(super) fn run(
        &self,
        mut input: Vec<f32>,
        thin_axis: usize,
        count: usize,
    ) -> Result<Vec<f32>, OnnxError> {
        let [z, y, x] = patch_shape(thin_axis);
        input.resize(self.batch * z * y * x, 0.0);
        let input = tensor(&[self.batch, 1, z, y, x], &input)?;
        let mut latents = multithread::multithread_tract_scope(self.executor.clone(), || {
            run(&self.plans[thin_axis], [input])
        })?;
        expect(latents.len(), self.batch * LATENT)?;
        latents.truncate(count * LATENT);
        Ok(latents)
    }
}
