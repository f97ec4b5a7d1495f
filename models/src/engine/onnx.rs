//! The tokenizer as an ONNX part, served by tract on all cores.

use std::sync::Arc;

use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, InferenceModelExt, IntoRunnable, IntoTValue, Tensor,
    TypedRunnableModel, multithread, tvec,
};

use super::patch_shape;
use crate::dims::LATENT;

/// One optimised plan per orientation of the patches, each for a fixed number of patches.
#[derive(Debug)]
pub(super) struct OnnxEncoder {
    plans: [Arc<TypedRunnableModel>; 3],
    batch: usize,
    executor: multithread::Executor,
}

/// tract's own reason.
#[derive(Debug, thiserror::Error)]
#[error("tract: {reason}")]
pub struct OnnxError {
    reason: String,
}

impl OnnxError {
    fn new(error: impl std::fmt::Debug) -> Self {
        Self { reason: format!("{error:?}").lines().next().unwrap_or_default().to_owned() }
    }
}

impl OnnxEncoder {
    /// Optimises the model for batches of `batch` patches in each orientation.
    pub(super) fn load(bytes: &[u8], batch: usize) -> Result<Self, OnnxError> {
        let model = tract_onnx::onnx().model_for_read(&mut &*bytes).map_err(OnnxError::new)?;
        let plan = |thin_axis: usize| {
            let [z, y, x] = patch_shape(thin_axis);
            let fact = InferenceFact::dt_shape(f32::datum_type(), tvec![batch, 1, z, y, x]);
            model
                .clone()
                .with_input_fact(0, fact)
                .and_then(InferenceModelExt::into_optimized)
                .and_then(IntoRunnable::into_runnable)
                .map_err(OnnxError::new)
        };
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let executor = multithread::Executor::multithread(threads);
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
        let input =
            Tensor::from_shape(&[self.batch, 1, z, y, x], &input).map_err(OnnxError::new)?;
        let plan = &self.plans[thin_axis];
        let output = multithread::multithread_tract_scope(self.executor.clone(), || {
            plan.run(tvec![input.into_tvalue()])
        });
        let output = output.map_err(OnnxError::new)?;
        let view = output[0].to_plain_array_view::<f32>().map_err(OnnxError::new)?;
        if view.len() != self.batch * LATENT {
            let reason = format!(
                "{} values for {} patches, expected {LATENT} a patch",
                view.len(),
                self.batch
            );
            return Err(OnnxError { reason });
        }
        Ok(view.iter().copied().take(count * LATENT).collect())
    }
}
