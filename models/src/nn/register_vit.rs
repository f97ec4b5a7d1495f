//! Transformer with registers: the form of both the sequence ViT (paper: `ViT_seq`) and the
//! study ViT (paper: `ViT_st`). Source: paper, Methods; specification §8, §9.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::Compute;
use super::config::VitConfig;
use super::parameters::{ParameterError, Parameters};
use super::transformer::{Transformer, rows};

/// Transformer over `[registers][prefix][tokens]` whose output is read from the registers.
///
/// The sequence ViT reads `[registers][series name][volume tokens]`, the study ViT
/// `[registers][study description][series vectors]`.
#[doc(alias = "ViT_seq")]
#[doc(alias = "ViT_st")]
#[doc(alias = "innerViT")]
#[doc(alias = "outerViT")]
#[derive(Module, Debug)]
pub struct RegisterVit<B: Backend> {
    registers: Param<Tensor<B, 2>>,
    transformer: Transformer<B>,
    norm: LayerNorm<B>,
    output: Linear<B>,
}

/// What the registers hold after the last block.
#[derive(Clone, Debug)]
pub struct RegisterOutput {
    /// Registers after layer norm, joined: `[S, R * D]`.
    pub pooled: Tensor<Compute, 2>,
    /// The linear output over them: `[S, output]`.
    pub output: Tensor<Compute, 2>,
}

/// Packed input sequences.
#[derive(Clone, Debug)]
pub struct Packed {
    /// `[T, D]`, sequences one after another.
    pub x: Tensor<Compute, 2>,
    /// Length of each sequence.
    pub lengths: Vec<usize>,
}

impl RegisterVit<Compute> {
    /// Reads `cls_token`, `transformer.*`, `layernorm.*` and `mlp_head.0.*`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, config: &VitConfig) -> Result<Self, ParameterError> {
        let VitConfig { transformer, registers, output } = config;
        let dim = transformer.dim;
        let cls_token = at.tensor("cls_token", [1, *registers, dim])?;
        Ok(Self {
            registers: Param::from_tensor(cls_token.reshape([*registers, dim])),
            transformer: Transformer::load(&at.at("transformer"), transformer)?,
            norm: at.at("layernorm").layer_norm(dim)?,
            output: at.at("mlp_head.0").linear(registers * dim, *output, true)?,
        })
    }

    /// Builds `[registers][prefix][tokens]` for every sequence.
    ///
    /// # Shapes
    ///
    /// - `prefixes`: `[S, D]`
    /// - `tokens`: `S` tensors `[t, D]`
    ///
    /// # Panics
    ///
    /// When the counts differ.
    #[must_use]
    pub fn pack(&self, prefixes: &Tensor<Compute, 2>, tokens: Vec<Tensor<Compute, 2>>) -> Packed {
        assert_eq!(prefixes.dims()[0], tokens.len(), "one prefix per sequence");
        let registers = self.registers.val();
        let lengths = tokens.iter().map(|t| registers.dims()[0] + 1 + t.dims()[0]).collect();
        let parts = tokens
            .into_iter()
            .enumerate()
            .flat_map(|(i, tokens)| [registers.clone(), prefixes.clone().narrow(0, i, 1), tokens])
            .collect();
        Packed { x: Tensor::cat(parts, 0), lengths }
    }

    /// Runs the blocks and reads the registers of every sequence.
    #[must_use]
    pub fn forward(&self, input: Packed) -> RegisterOutput {
        self.forward_states(input).0
    }

    /// As [`Self::forward`], with the normalised states of all positions after the last block,
    /// `[T, D]`: registers, prefix and tokens of one sequence after another.
    #[must_use]
    pub fn forward_states(&self, input: Packed) -> (RegisterOutput, Tensor<Compute, 2>) {
        let Packed { x, lengths } = input;
        let [n_registers, dim] = self.registers.dims();
        let states = self.norm.forward(self.transformer.forward(x, &lengths));
        let starts = lengths.iter().scan(0, |next, length| {
            *next += length;
            Some(*next - length)
        });
        let registers = starts.flat_map(|start| start..start + n_registers);
        let pooled = rows(states.clone(), registers).reshape([lengths.len(), n_registers * dim]); // [S, R * D]
        (RegisterOutput { output: self.output.forward(pooled.clone()), pooled }, states)
    }

    /// Number of registers, `R`.
    #[must_use]
    pub fn registers(&self) -> usize {
        self.registers.dims()[0]
    }

    /// The blocks, for comparison stage by stage.
    #[must_use]
    pub fn transformer(&self) -> &Transformer<Compute> {
        &self.transformer
    }
}
