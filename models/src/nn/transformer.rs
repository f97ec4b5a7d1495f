//! Pre-norm transformer blocks over packed sequences (specification §7).
//!
//! Sequences of different length lie one after another in one `[T, D]` tensor. Normalisation and
//! linear layers see all of them at once; attention sees one sequence at a time. There is no
//! padding, so nothing has to be masked and no product is spent on it.

use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, activation};

use super::Compute;
use super::config::TransformerConfig;
use super::parameters::{ParameterError, Parameters};

/// A stack of pre-norm blocks without a final norm.
#[derive(Module, Debug)]
pub struct Transformer<B: Backend> {
    blocks: Vec<Block<B>>,
}

/// `x += attention(norm(x)); x += mlp(norm(x))`.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    attention_norm: LayerNorm<B>,
    attention: Attention<B>,
    mlp_norm: LayerNorm<B>,
    mlp_in: Linear<B>,
    mlp_out: Linear<B>,
}

/// Bidirectional multi-head self-attention; softmax scale `dim_head^-0.5`.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    qkv: Linear<B>,
    output: Option<Linear<B>>,
    heads: usize,
}

impl Transformer<Compute> {
    /// Reads `layers.<i>.*`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, config: &TransformerConfig) -> Result<Self, ParameterError> {
        let blocks = (0..config.depth)
            .map(|i| Block::load(&at.at(format_args!("layers.{i}")), config))
            .collect::<Result<_, _>>()?;
        Ok(Self { blocks })
    }

    /// Runs the blocks over packed sequences.
    ///
    /// # Shapes
    ///
    /// - `x`: `[T, D]`, sequences one after another
    /// - `lengths`: tokens of each sequence, summing to `T`
    /// - output: `[T, D]`
    #[must_use]
    pub fn forward(&self, x: Tensor<Compute, 2>, lengths: &[usize]) -> Tensor<Compute, 2> {
        self.blocks.iter().fold(x, |x, block| block.forward(x, lengths))
    }

    /// The blocks, for comparison stage by stage.
    #[must_use]
    pub fn blocks(&self) -> &[Block<Compute>] {
        &self.blocks
    }
}

impl Block<Compute> {
    fn load(at: &Parameters<'_>, config: &TransformerConfig) -> Result<Self, ParameterError> {
        let TransformerConfig { dim, mlp_dim, .. } = *config;
        Ok(Self {
            attention_norm: at.at("0.norm").layer_norm(dim)?,
            attention: Attention::load(&at.at("0.fn"), config)?,
            mlp_norm: at.at("1.norm").layer_norm(dim)?,
            mlp_in: at.at("1.fn.net.0").linear(dim, mlp_dim, true)?,
            mlp_out: at.at("1.fn.net.3").linear(mlp_dim, dim, true)?,
        })
    }

    /// The whole block. Shapes as in [`Transformer::forward`].
    #[must_use]
    pub fn forward(&self, x: Tensor<Compute, 2>, lengths: &[usize]) -> Tensor<Compute, 2> {
        let x = self.attend(x, lengths);
        let hidden = activation::gelu(self.mlp_in.forward(self.mlp_norm.forward(x.clone())));
        x + self.mlp_out.forward(hidden)
    }

    /// The first half: attention and its residual. Shapes as in [`Transformer::forward`].
    #[must_use]
    pub fn attend(&self, x: Tensor<Compute, 2>, lengths: &[usize]) -> Tensor<Compute, 2> {
        let normed = self.attention_norm.forward(x.clone());
        x + self.attention.forward(normed, lengths)
    }
}

impl Attention<Compute> {
    fn load(at: &Parameters<'_>, config: &TransformerConfig) -> Result<Self, ParameterError> {
        let TransformerConfig { dim, heads, dim_head, .. } = *config;
        let inner = heads * dim_head;
        // The published code has no output projection when one head spans the whole width.
        let output = if heads == 1 && dim_head == dim {
            None
        } else {
            Some(at.at("to_out.0").linear(inner, dim, true)?)
        };
        Ok(Self { qkv: at.at("to_qkv").linear(dim, 3 * inner, false)?, output, heads })
    }

    /// # Shapes
    ///
    /// As in [`Transformer::forward`].
    fn forward(&self, x: Tensor<Compute, 2>, lengths: &[usize]) -> Tensor<Compute, 2> {
        let qkv = self.qkv.forward(x); // [T, 3 * H * D_h]
        let mut start = 0;
        let attended = lengths
            .iter()
            .map(|&length| {
                let sequence = qkv.clone().narrow(0, start, length);
                start += length;
                attend(&sequence, self.heads)
            })
            .collect();
        let joined = Tensor::cat(attended, 0); // [T, H * D_h]
        match &self.output {
            Some(output) => output.forward(joined),
            None => joined,
        }
    }
}

/// Queries whose attention is computed at a time.
const QUERIES: usize = 512;

/// Attention inside one sequence: `[t, 3 * H * D_h]` to `[t, H * D_h]`.
fn attend(qkv: &Tensor<Compute, 2>, heads: usize) -> Tensor<Compute, 2> {
    let [length, width] = qkv.dims();
    let inner = width / 3;
    let dim_head = inner / heads;
    let split = |part: usize| {
        qkv.clone()
            .narrow(1, part * inner, inner)
            .reshape([length, heads, dim_head])
            .swap_dims(0, 1) // [H, t, D_h]
    };
    #[expect(clippy::cast_precision_loss, reason = "a head is far narrower than 2^52")]
    let scale = (dim_head as f64).powf(-0.5);
    let (q, k, v) = (split(0) * scale, split(1).transpose(), split(2));
    // A block of queries at a time: the scores of 5000 tokens would otherwise take 1.6 GB.
    let rows = (0..length)
        .step_by(QUERIES)
        .map(|start| {
            let queries = q.clone().narrow(1, start, QUERIES.min(length - start));
            activation::softmax(queries.matmul(k.clone()), 2).matmul(v.clone()) // [H, q, D_h]
        })
        .collect();
    Tensor::cat(rows, 1).swap_dims(0, 1).reshape([length, inner])
}
