//! The clinical context as the heads read it: by hashed words ([`crate::tokens::context`]), or by
//! any sentence encoder that comes as an ONNX graph with the tokenizer it was trained with.
//!
//! A graph maps `input_ids`, and where it asks for them `attention_mask` and `token_type_ids`, all
//! `[1, T]`, to vectors of the tokens, `[1, T, D]`, its first output. These are pooled to one and
//! brought to length one. tract runs the graph on the CPU, whatever device the networks are on.

use tokenizers::Tokenizer;
use tract_onnx::prelude::{Datum, Framework, InferenceFact, InferenceModel, ToDim, tvec};

use super::onnx::{OnnxError, Plan, optimise, run, tensor};
use super::{Engine, EngineError};
use crate::tokens::context;
use crate::weights::bundle::Bundle;
use crate::weights::manifest::Pooling;

/// Longest text in tokens, where the tokenizer's own file says nothing shorter.
const LONGEST: usize = 256;

/// A sentence encoder that was refused, or a text that it cannot embed.
#[derive(Debug, thiserror::Error)]
pub enum SentenceError {
    /// The graph is something else.
    #[error(
        "{file} is no sentence encoder: {reason}; give an ONNX file that turns input_ids, \
         attention_mask and token_type_ids, or the first of these, into [B, T, D]"
    )]
    Graph {
        /// The graph.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The tokenizer is something else.
    #[error(
        "{file} is no tokenizer: {reason}; give the tokenizer.json that the sentence encoder was \
         trained with"
    )]
    Tokenizer {
        /// The tokenizer.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A text without an embedding.
    #[error("a clinical context cannot be embedded: {reason}")]
    Text {
        /// Why.
        reason: String,
    },
}

/// What a graph asks for.
#[derive(Clone, Copy, Debug)]
enum Input {
    Ids,
    Mask,
    Types,
}

/// A text to one vector of length one.
#[derive(Debug)]
pub struct SentenceEncoder {
    plan: Plan,
    inputs: Vec<Input>,
    dimension: usize,
    pooling: Pooling,
    tokenizer: Tokenizer,
}

impl SentenceEncoder {
    /// Takes a graph and its tokenizer, each given by its name, for messages, and its content.
    ///
    /// # Errors
    ///
    /// Says which of the two is refused, and why.
    pub fn new(
        graph: (&str, &[u8]),
        tokenizer: (&str, &[u8]),
        pooling: Pooling,
    ) -> Result<Self, SentenceError> {
        let refused = |reason| SentenceError::Graph { file: graph.0.to_owned(), reason };
        let (model, inputs) = parse(graph.1).map_err(refused)?;
        let plan = optimise(Ok(model)).map_err(|e| refused(e.to_string()))?;
        let dimension = dimension(&plan).map_err(refused)?;
        let refused = |reason| SentenceError::Tokenizer { file: tokenizer.0.to_owned(), reason };
        let tokenizer = read_tokenizer(tokenizer.1).map_err(|e| refused(e.to_string()))?;
        Ok(Self { plan, inputs, dimension, pooling, tokenizer })
    }

    /// Values of an embedding.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The embedding of a text, cut to the longest the encoder takes; `None` for an empty one.
    ///
    /// # Errors
    ///
    /// When the text has no tokens, the graph fails, or what it gives has no direction.
    pub fn embed(&self, text: &str) -> Result<Option<Vec<f32>>, SentenceError> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let refused = |reason: String| SentenceError::Text { reason };
        let words = self.tokenizer.encode(text, true).map_err(|e| refused(e.to_string()))?;
        if words.get_ids().is_empty() {
            return Err(refused("its tokenizer finds no token in it".to_owned()));
        }
        let inputs = self.inputs.iter().map(|input| {
            let values = match input {
                Input::Ids => words.get_ids(),
                Input::Mask => words.get_attention_mask(),
                Input::Types => words.get_type_ids(),
            };
            let values: Vec<i64> = values.iter().map(|value| i64::from(*value)).collect();
            tensor(&[1, values.len()], &values)
        });
        let inputs = inputs.collect::<Result<Vec<_>, OnnxError>>();
        let vectors = inputs.and_then(|inputs| run(&self.plan, inputs));
        let vectors = vectors.map_err(|e| refused(e.to_string()))?;
        let mut pooled = vec![0.0f32; self.dimension];
        let count = match self.pooling {
            Pooling::Mean => vectors.len() / self.dimension,
            Pooling::Cls => 1,
        };
        // The length becomes one, so that the sum is as good as the mean.
        for vector in vectors.chunks_exact(self.dimension).take(count) {
            pooled.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value);
        }
        let length = pooled.iter().map(|value| value * value).sum::<f32>().sqrt();
        if !(length > 0.0 && length.is_finite()) {
            return Err(refused(format!("its vector has the length {length}")));
        }
        Ok(Some(pooled.into_iter().map(|value| value / length).collect()))
    }

    /// The sentence encoder of a bundle that has one.
    pub(super) fn of(bundle: &Bundle) -> Result<Option<Self>, EngineError> {
        let Some(heads) = &bundle.manifest().context else { return Ok(None) };
        let Some(files) = &heads.sentences else { return Ok(None) };
        let graph = bundle.read_file(&files.graph)?;
        let tokenizer = bundle.read_file(&files.tokenizer)?;
        let graph = (files.graph.as_str(), graph.as_slice());
        let tokenizer = (files.tokenizer.as_str(), tokenizer.as_slice());
        let encoder = Self::new(graph, tokenizer, files.pooling)?;
        if encoder.dimension != heads.dimension {
            let (found, expected) = (encoder.dimension, heads.dimension);
            let reason = format!("its vectors have {found} values, the heads read {expected}");
            return Err(SentenceError::Graph { file: files.graph.clone(), reason }.into());
        }
        Ok(Some(encoder))
    }
}

/// The model with inputs of any number of tokens, and what it asks for in its order.
fn parse(bytes: &[u8]) -> Result<(InferenceModel, Vec<Input>), String> {
    let said = |error| OnnxError::new(error).to_string();
    let onnx = tract_onnx::onnx().with_ignore_value_info(true);
    let proto = onnx.proto_model_for_read(&mut &*bytes).map_err(said)?;
    let mut tensors = proto.graph.iter().flat_map(|graph| &graph.initializer);
    if tensors.any(|tensor| !tensor.external_data.is_empty()) {
        return Err("its weights lie in another file".to_owned());
    }
    let mut model = onnx.parse(&proto, None).map_err(said)?.model;
    let outlets = model.input_outlets().map_err(said)?.to_vec();
    let mut inputs = Vec::new();
    for outlet in outlets {
        inputs.push(match model.node(outlet.node).name.as_str() {
            "input_ids" => Input::Ids,
            "attention_mask" => Input::Mask,
            "token_type_ids" => Input::Types,
            other => return Err(format!("it asks for {other}")),
        });
    }
    if !inputs.iter().any(|input| matches!(input, Input::Ids)) {
        return Err("it does not ask for input_ids".to_owned());
    }
    let tokens = model.symbols.sym("tokens");
    for input in 0..inputs.len() {
        let shape = tvec![1.to_dim(), tokens.to_dim()];
        let fact = InferenceFact::dt_shape(i64::datum_type(), shape);
        model.set_input_fact(input, fact).map_err(said)?;
    }
    let outputs = model.output_outlets().map_err(said)?.to_vec();
    let first = outputs.first().ok_or("it has no output")?;
    model.select_output_outlets(&[*first]).map_err(said)?;
    Ok((model, inputs))
}

/// Values of each token's vector.
fn dimension(plan: &Plan) -> Result<usize, String> {
    let output = plan.model().output_fact(0).map_err(|e| OnnxError::new(e).to_string())?;
    let known = match &output.shape[..] {
        [_, _, last] => last.to_i64().ok().and_then(|last| usize::try_from(last).ok()),
        _ => None,
    };
    let known = known.filter(|known| *known > 0 && output.datum_type == f32::datum_type());
    known.ok_or_else(|| format!("its first output is {output:?}, and not [1, T, D] in f32"))
}

/// The tokenizer, cutting long texts and adding nothing to short ones.
fn read_tokenizer(bytes: &[u8]) -> tokenizers::Result<Tokenizer> {
    let mut tokenizer = Tokenizer::from_bytes(bytes)?;
    let mut cut = tokenizer.get_truncation().cloned().unwrap_or_default();
    cut.max_length = cut.max_length.min(LONGEST);
    tokenizer.with_truncation(Some(cut))?.with_padding(None);
    Ok(tokenizer)
}

impl Engine {
    /// A clinical context by the encoder that the bundle names; `None` when the text says
    /// nothing, the bundle has no heads for it, or this program does not have that encoder.
    ///
    /// # Errors
    ///
    /// When the bundle's sentence encoder cannot embed the text.
    pub fn clinical_context(&self, text: &str) -> Result<Option<Vec<f32>>, EngineError> {
        if let Some(encoder) = &self.sentences {
            return Ok(encoder.embed(text)?);
        }
        let heads = self.bundle.manifest().context.as_ref();
        let heads = heads.filter(|heads| heads.encoder == context::ENCODER);
        Ok(heads.and_then(|heads| context::embed(text, heads.dimension)))
    }
}
