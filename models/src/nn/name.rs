//! Character transformer for series and study names (paper: `E_sn`; specification §6).

use std::collections::HashMap;

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use super::Compute;
use super::config::{NAME_POSITION, NameEncoderConfig};
use super::cut::Cut;
use super::elementary::is_trained_at_home;
use super::parameters::{ParameterError, Parameters};
use super::transformer::{Transformer, rows};
use crate::dims::MAX_NAME_CHARS;
use crate::tokens::position::character_position;

/// Characters the embedding knows: padding, 44 of the vocabulary, unknown, end.
const VOCABULARY: usize = 47;

/// A name's characters to one vector.
#[derive(Module, Debug)]
#[doc(alias = "SerieTransformerEncoder")]
pub struct NameEncoder<B: Backend> {
    embedding: Param<Tensor<B, 2>>,
    positions: Param<Tensor<B, 2>>,
    transformer: Transformer<B>,
    output: Linear<B>,
}

impl NameEncoder<Compute> {
    /// Reads the encoder at `at`, or, when `config.adapter` says so, the pre-trained pair
    /// `at.0` (encoder whose own linear layer is unused) and `at.1` (the adapter).
    ///
    /// A stored position table `p_enc` is preferred to the computed one.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, config: &NameEncoderConfig) -> Result<Self, ParameterError> {
        let dim = config.transformer.dim;
        let (encoder, output) = match config.adapter {
            Some(width) => (at.at("0"), at.at("1").linear(dim, width, true)?),
            None => (at.clone(), at.at("linear").linear(dim, config.output, true)?),
        };
        let shape = [MAX_NAME_CHARS + 1, NAME_POSITION];
        let positions = if encoder.contains("p_enc") {
            encoder.tensor("p_enc", shape)?
        } else {
            let table = (0..shape[0]).flat_map(character_position).collect();
            encoder.constant(table, shape)
        };
        Ok(Self {
            embedding: Param::from_tensor(
                encoder.at("embed").tensor("weight", [VOCABULARY, config.embedding])?,
            ),
            // A table, not a weight (specification §6).
            positions: Param::from_tensor(positions).set_require_grad(false),
            transformer: Transformer::load(&encoder.at("transformer"), &config.transformer)?,
            output,
        })
    }

    /// Encodes names given as character ids that end with the end token.
    ///
    /// # Shapes
    ///
    /// - `names`: `S` id sequences of at most 200 ids
    /// - output: `[S, output]`
    #[must_use]
    pub fn forward(&self, names: &[Vec<u8>]) -> Tensor<Compute, 2> {
        self.read(names, |x, lengths| self.transformer.forward(x, lengths))
    }

    /// The same for training on a CPU, with a [cut](Transformer::forward_cut) at the blocks where
    /// they are trained.
    #[must_use]
    pub fn forward_cut(&self, names: &[Vec<u8>]) -> (Tensor<Compute, 2>, Option<Cut>) {
        let mut cut = None;
        let output = self.read(names, |x, lengths| {
            if is_trained_at_home(&x) && !self.embedding.is_require_grad() {
                return Tensor::from_inner(self.transformer.forward(x.inner(), lengths));
            }
            let (x, at) = self.transformer.forward_cut(x, lengths);
            cut = at;
            x
        });
        (output, cut)
    }

    fn read(
        &self,
        names: &[Vec<u8>],
        blocks: impl FnOnce(Tensor<Compute, 2>, &[usize]) -> Tensor<Compute, 2>,
    ) -> Tensor<Compute, 2> {
        let device = self.embedding.device();
        // Series of a study and studies of a batch share names: each is read once.
        let mut unique: Vec<&Vec<u8>> = Vec::new();
        let mut index: HashMap<&Vec<u8>, usize> = HashMap::new();
        let number = |name| {
            *index.entry(name).or_insert_with(|| {
                unique.push(name);
                unique.len() - 1
            })
        };
        let numbers: Vec<usize> = names.iter().map(number).collect();
        let lengths: Vec<usize> = unique.iter().map(|name| name.len()).collect();
        let ids: Vec<i64> = unique.iter().copied().flatten().map(|&id| i64::from(id)).collect();
        let ids = TensorData::new(ids, [lengths.iter().sum::<usize>()]);
        let ids = Tensor::<Compute, 1, Int>::from_data(ids, &device);
        let embedded = self.embedding.val().select(0, ids); // [T, embedding]
        let table = self.positions.val();
        let positions = lengths.iter().map(|&n| table.clone().narrow(0, 0, n)).collect();
        let x = Tensor::cat(vec![embedded, Tensor::cat(positions, 0)], 1); // [T, D]
        let x = blocks(x, &lengths);
        let last = lengths.iter().scan(0, |end, length| {
            *end += length;
            Some(*end - 1)
        });
        rows(self.output.forward(rows(x, last)), numbers) // [S, output]
    }
}
