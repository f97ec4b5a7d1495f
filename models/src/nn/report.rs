//! Report encoder: GPT-2 and the projection into the image-report space (specification §11).
//! Used by training and by comparison with the published code, not by triage.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor, TensorData, activation};

use super::config::ReportEncoderConfig;
use super::parameters::{ParameterError, Parameters};
use super::transformer::rows;
use super::{Compute, elementary};

/// GPT-2 whose state at the end-of-text token is projected.
#[derive(Module, Debug)]
pub struct ReportEncoder<B: Backend> {
    tokens: Param<Tensor<B, 2>>,
    positions: Param<Tensor<B, 2>>,
    blocks: Vec<CausalBlock<B>>,
    final_norm: LayerNorm<B>,
    projection_in: LayerNorm<B>,
    projection: Linear<B>,
    projection_out: LayerNorm<B>,
}

/// One GPT-2 block: causal attention and an MLP with the tanh form of GELU.
#[derive(Module, Debug)]
pub struct CausalBlock<B: Backend> {
    attention_norm: LayerNorm<B>,
    qkv: Linear<B>,
    output: Linear<B>,
    mlp_norm: LayerNorm<B>,
    mlp_in: Linear<B>,
    mlp_out: Linear<B>,
    heads: usize,
}

impl ReportEncoder<Compute> {
    /// Reads `text_model.*`; `projection` is the width of the image-report space.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(
        at: &Parameters<'_>,
        config: &ReportEncoderConfig,
        projection: usize,
    ) -> Result<Self, ParameterError> {
        let ReportEncoderConfig { vocabulary, positions, dim, depth, heads } = *config;
        let (model, head) = (at.at("text_model.model"), at.at("text_model.mlp_head"));
        Ok(Self {
            tokens: Param::from_tensor(model.tensor("wte.weight", [vocabulary, dim])?),
            positions: Param::from_tensor(model.tensor("wpe.weight", [positions, dim])?),
            blocks: (0..depth)
                .map(|i| CausalBlock::load(&model.at(format_args!("h.{i}")), dim, heads))
                .collect::<Result<_, _>>()?,
            final_norm: model.at("ln_f").layer_norm(dim)?,
            projection_in: head.at("0").layer_norm(dim)?,
            projection: head.at("1").linear(dim, projection, true)?,
            projection_out: head.at("2").layer_norm(projection)?,
        })
    }

    /// Last hidden states of padded reports; padding comes after the text and, attention being
    /// causal, does not reach it.
    ///
    /// # Shapes
    ///
    /// - `ids`: `B` rows of equal length `T`
    /// - output: `[B, T, D]`
    #[must_use]
    pub fn hidden(&self, ids: &[Vec<i64>]) -> Tensor<Compute, 3> {
        let device = self.tokens.device();
        let (batch, length) = (ids.len(), ids.first().map_or(0, Vec::len));
        let flat = TensorData::new(ids.concat(), [batch * length]);
        let flat = Tensor::<Compute, 1, Int>::from_data(flat, &device);
        let [_, dim] = self.tokens.dims();
        let embedded = self.tokens.val().select(0, flat).reshape([batch, length, dim]);
        let positions = self.positions.val().narrow(0, 0, length).unsqueeze();
        let x = self.blocks.iter().fold(embedded + positions, |x, block| block.forward(x));
        self.final_norm.forward(x)
    }

    /// Logits of the next token at every position: the states against the token embeddings, as
    /// GPT-2 ties them. `[B, T, D]` to `[B, T, vocabulary]`.
    #[must_use]
    pub fn next_token(&self, hidden: Tensor<Compute, 3>) -> Tensor<Compute, 3> {
        hidden.matmul(self.tokens.val().transpose().unsqueeze())
    }

    /// Projects the state at the last token of each report: `[B, T, D]` to `[B, projection]`.
    #[must_use]
    pub fn project(&self, hidden: &Tensor<Compute, 3>, lengths: &[usize]) -> Tensor<Compute, 2> {
        let [batch, length, dim] = hidden.dims();
        let last = lengths.iter().enumerate().map(|(i, own)| i * length + own - 1);
        let last = rows(hidden.clone().reshape([batch * length, dim]), last);
        let x = self.projection_in.forward(last);
        self.projection_out.forward(self.projection.forward(x))
    }
}

impl CausalBlock<Compute> {
    fn load(at: &Parameters<'_>, dim: usize, heads: usize) -> Result<Self, ParameterError> {
        Ok(Self {
            attention_norm: at.at("ln_1").layer_norm(dim)?,
            qkv: at.at("attn.c_attn").linear_conv1d(dim, 3 * dim)?,
            output: at.at("attn.c_proj").linear_conv1d(dim, dim)?,
            mlp_norm: at.at("ln_2").layer_norm(dim)?,
            mlp_in: at.at("mlp.c_fc").linear_conv1d(dim, 4 * dim)?,
            mlp_out: at.at("mlp.c_proj").linear_conv1d(4 * dim, dim)?,
            heads,
        })
    }

    fn forward(&self, x: Tensor<Compute, 3>) -> Tensor<Compute, 3> {
        let x = x.clone() + self.attend(self.attention_norm.forward(x));
        let hidden = self.mlp_in.forward(self.mlp_norm.forward(x.clone()));
        x + self.mlp_out.forward(elementary::gelu_by_tanh(hidden))
    }

    fn attend(&self, x: Tensor<Compute, 3>) -> Tensor<Compute, 3> {
        let [batch, length, dim] = x.dims();
        let dim_head = dim / self.heads;
        let future = Tensor::<Compute, 2, Bool>::tril_mask([length, length], 0, &x.device());
        let qkv = self.qkv.forward(x);
        let split = |part: usize| {
            qkv.clone()
                .narrow(2, part * dim, dim)
                .reshape([batch, length, self.heads, dim_head])
                .swap_dims(1, 2) // [B, H, T, D_h]
        };
        #[expect(clippy::cast_precision_loss, reason = "a head is far narrower than 2^52")]
        let scale = (dim_head as f64).powf(-0.5);
        let scores = split(0).matmul(split(1).transpose()) * scale;
        let scores = scores.mask_fill(future.unsqueeze(), f32::NEG_INFINITY);
        let attended = activation::softmax(scores, 3)
            .matmul(split(2))
            .swap_dims(1, 2)
            .reshape([batch, length, dim]);
        self.output.forward(attended)
    }
}
