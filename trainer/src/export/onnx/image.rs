//! Any ONNX image encoder, run by tract: one input `[N, channels, size, size]`, and the embedding
//! as its first output.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use models::nn::parameters::{ParameterError, ParameterSource};
use rayon::prelude::*;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, InferenceModelExt, IntoRunnable, IntoTValue, Tensor,
    TractResult, TypedRunnableModel, tvec,
};

use super::graph::{Axis, Graph, integer, integers};
use crate::stage::weights::Fresh;

/// Images of one run of the graph.
const BATCH: usize = 8;

/// An encoder that was refused, or images that it cannot embed.
#[derive(Debug, thiserror::Error)]
pub enum ImageEncoderError {
    /// The graph is something else.
    #[error(
        "{path} is no image encoder: {reason}; give an ONNX file with one input \
         [N, channels, size, size] in f32, whose first output is [N, D], and a .toml of the same \
         name beside it"
    )]
    Graph {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A run failed.
    #[error("the image encoder fails: {reason}")]
    Run {
        /// tract's own reason.
        reason: String,
    },
}

/// Images to vectors.
#[derive(Debug)]
pub struct ImageEncoder {
    plan: Arc<TypedRunnableModel>,
    /// Of a run's input.
    shape: [usize; 4],
    width: usize,
    parameters: u64,
}

impl ImageEncoder {
    /// Opens an encoder of images with so many channels and pixels along an edge.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is something else.
    pub fn open(path: &Path, channels: usize, size: usize) -> Result<Self, ImageEncoderError> {
        let shape = [BATCH, channels, size, size];
        let refused = |reason| ImageEncoderError::Graph { path: path.to_owned(), reason };
        let (plan, parameters) = plan(path, shape).map_err(|error| refused(said(&error)))?;
        let output = plan.model().output_fact(0).map_err(|error| refused(said(&error)))?;
        let sizes = output.shape.iter().map(|size| size.to_i64().ok());
        let sizes: Vec<usize> = sizes.filter_map(|size| usize::try_from(size?).ok()).collect();
        let first_output = || refused(format!("its first output is {output:?}"));
        let (first, rest) = sizes.split_first().ok_or_else(first_output)?;
        let width = rest.iter().product();
        let flat = *first == BATCH && sizes.len() == output.shape.len();
        if !flat || rest.is_empty() || width == 0 || output.datum_type != f32::datum_type() {
            return Err(first_output());
        }
        Ok(Self { plan, shape, width, parameters })
    }

    /// Values of an embedding.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Numbers in the graph's weights.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// Embeddings of images that lie one after another, on all cores.
    ///
    /// # Errors
    ///
    /// When the graph fails.
    pub fn embed(&self, images: &[f32]) -> Result<Vec<f32>, ImageEncoderError> {
        let image: usize = self.shape[1..].iter().product();
        let parts = images.par_chunks(BATCH * image).map(|part| {
            let mut input = part.to_vec();
            input.resize(BATCH * image, 0.0);
            let mut rows =
                self.run(&input).map_err(|e| ImageEncoderError::Run { reason: said(&e) })?;
            rows.truncate(part.len() / image * self.width);
            Ok(rows)
        });
        Ok(parts.collect::<Result<Vec<_>, ImageEncoderError>>()?.concat())
    }

    fn run(&self, input: &[f32]) -> TractResult<Vec<f32>> {
        let input = Tensor::from_shape(&self.shape, input)?;
        let output = self.plan.run(tvec![input.into_tvalue()])?;
        let view = output[0].to_plain_array_view::<f32>()?;
        Ok(view.iter().copied().collect())
    }
}

/// The optimised graph, and how many numbers its weights have.
fn plan(path: &Path, shape: [usize; 4]) -> TractResult<(Arc<TypedRunnableModel>, u64)> {
    let onnx = tract_onnx::onnx().with_ignore_value_info(true);
    let proto = onnx.proto_model_for_path(path)?;
    let weights = proto.graph.iter().flat_map(|graph| &graph.initializer);
    let weights = weights.filter(|tensor| tensor.data_type != DataType::Int64 as i32);
    let sizes = weights.map(|tensor| tensor.dims.iter().product::<i64>());
    let parameters = sizes.filter_map(|size| u64::try_from(size).ok()).sum();
    let folder = path.parent().and_then(Path::to_str);
    let mut model = onnx.parse(&proto, folder)?.model;
    let output = model.output_outlets()?.first().copied();
    model.select_output_outlets(output.as_slice())?;
    let fact = InferenceFact::dt_shape(f32::datum_type(), shape);
    let plan = model.with_input_fact(0, fact)?.into_optimized()?.into_runnable()?;
    Ok((plan, parameters))
}

/// The first line of tract's reason.
fn said(error: &impl std::fmt::Debug) -> String {
    format!("{error:?}").lines().next().unwrap_or_default().to_owned()
}

/// Channels of the levels of [`untrained`].
const CHANNELS: [usize; 3] = [16, 32, 64];
/// Edge of its images.
const SIZE: usize = 64;

/// A small convolutional encoder with random weights, as an ONNX file, and what stands beside it:
/// the floor for encoders that learnt something.
///
/// # Errors
///
/// Never: random weights have every shape.
pub fn untrained(seed: u64) -> Result<(Vec<u8>, String), ParameterError> {
    let weights = Fresh { seed, temperature: 0.0 };
    let mut graph = Graph::default();
    let shape = [Axis::Named("N"), Axis::Fixed(1), Axis::Fixed(SIZE), Axis::Fixed(SIZE)];
    let mut x = graph.input("image", DataType::Float, &shape);
    let mut input = 1;
    for (level, output) in CHANNELS.into_iter().enumerate() {
        let shape = [output, input, 3, 3];
        let kernel = graph.floats(&weights.read(&format!("{level}.weight"), &shape)?, &shape);
        let attributes = vec![integers("strides", &[2, 2]), integers("pads", &[1, 1, 1, 1])];
        x = graph.node("Conv", &[&x, &kernel], attributes);
        x = graph.node("Relu", &[&x], Vec::new());
        input = output;
    }
    x = graph.node("GlobalAveragePool", &[&x], Vec::new());
    x = graph.node("Flatten", &[&x], vec![integer("axis", 1)]);
    graph.output("embedding", &x, &[Axis::Named("N"), Axis::Fixed(input)]);
    let beside = format!("size = {SIZE}\nchannels = 1\nmean = [0.0]\nstd = [1.0]\n");
    Ok((graph.finish("untrained"), beside))
}

#[cfg(test)]
mod tests;
