//! Transformer with registers: the form of both the sequence ViT (paper: `ViT_seq`) and the
//! study ViT (paper: `ViT_st`). Source: paper, Methods; specification §8, §9.

mod slices;

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::Compute;
use super::config::VitConfig;
use super::parameters::{ParameterError, Parameters};
use super::peaks::Peaks;
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
    peaks: Option<Peaks<B>>,
}

/// What is read after the last block.
#[derive(Clone, Debug)]
pub struct RegisterOutput {
    /// Registers after layer norm, joined, and the peaks where there are any: `[S, R * D + P]`.
    pub pooled: Tensor<Compute, 2>,
    /// The linear output over them: `[S, output]`.
    pub output: Tensor<Compute, 2>,
    /// Features of every token, registers and prefixes left out: `[T, P]`; where the sizes have
    /// peaks.
    pub tokens: Option<Tensor<Compute, 2>>,
}

/// Packed input sequences.
#[derive(Clone, Debug)]
pub struct Packed {
    /// `[T, D]`, sequences one after another.
    pub x: Tensor<Compute, 2>,
    /// Length of each sequence.
    pub lengths: Vec<usize>,
    /// Rows between registers and tokens: the prefix, where there is one.
    pub prefixes: usize,
}

impl RegisterVit<Compute> {
    /// Reads `cls_token`, `transformer.*`, `layernorm.*`, `mlp_head.0.*` and `peaks.*`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, config: &VitConfig) -> Result<Self, ParameterError> {
        let VitConfig { transformer, registers, output, peaks } = config;
        let dim = transformer.dim;
        let cls_token = at.tensor("cls_token", [1, *registers, dim])?;
        Ok(Self {
            registers: Param::from_tensor(cls_token.reshape([*registers, dim])),
            transformer: Transformer::load(&at.at("transformer"), transformer)?,
            norm: at.at("layernorm").layer_norm(dim)?,
            output: at.at("mlp_head.0").linear(config.pooled(), *output, true)?,
            peaks: peaks.map(|peaks| Peaks::load(&at.at("peaks"), dim, peaks)).transpose()?,
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
        self.arrange(Some(prefixes), tokens)
    }

    /// Builds `[registers][tokens]`, for networks that are trained without a prefix. Shapes as in
    /// [`Self::pack`].
    #[must_use]
    pub fn pack_without_prefix(&self, tokens: Vec<Tensor<Compute, 2>>) -> Packed {
        self.arrange(None, tokens)
    }

    fn arrange(
        &self,
        prefixes: Option<&Tensor<Compute, 2>>,
        tokens: Vec<Tensor<Compute, 2>>,
    ) -> Packed {
        let registers = self.registers();
        let counts: Vec<usize> = tokens.iter().map(|t| t.dims()[0]).collect();
        let mut tokens = Tensor::cat(tokens, 0);
        if let Some(peaks) = &self.peaks {
            tokens = peaks.judge(prefixes, tokens, &counts);
        }
        let each = usize::from(prefixes.is_some());
        let first_token = registers + each * counts.len();
        let parts = [Some(self.registers.val()), prefixes.cloned(), Some(tokens)];
        let parts = Tensor::cat(parts.into_iter().flatten().collect(), 0);
        let starts = counts.iter().scan(first_token, |next, count| {
            *next += count;
            Some(*next - count..*next)
        });
        let order = starts.enumerate().flat_map(|(i, tokens)| {
            (0..registers).chain(std::iter::repeat_n(registers + i, each)).chain(tokens)
        });
        let lengths = counts.iter().map(|count| registers + each + count).collect();
        Packed { x: rows(parts, order), lengths, prefixes: each }
    }

    /// Runs the blocks and reads every sequence.
    #[must_use]
    pub fn forward(&self, input: Packed) -> RegisterOutput {
        let Packed { x, lengths, prefixes } = input;
        self.read(self.transformer.forward(x, &lengths), &lengths, prefixes)
    }

    /// Reads every sequence after the last block.
    fn read(&self, x: Tensor<Compute, 2>, lengths: &[usize], prefixes: usize) -> RegisterOutput {
        let [n_registers, dim] = self.registers.dims();
        let before_tokens = n_registers + prefixes;
        let states = self.norm.forward(x);
        let starts: Vec<usize> = lengths
            .iter()
            .scan(0, |next, length| {
                *next += length;
                Some(*next - length)
            })
            .collect();
        let registers = starts.iter().flat_map(|start| *start..start + n_registers);
        let pooled = rows(states.clone(), registers).reshape([lengths.len(), n_registers * dim]); // [S, R * D]
        let Some(peaks) = &self.peaks else {
            return self.conclude(pooled, None, &[]);
        };
        let tokens = starts
            .iter()
            .zip(lengths)
            .flat_map(|(&start, &length)| start + before_tokens..start + length);
        let tokens = peaks.features(rows(states, tokens)); // [T, P]
        let counts: Vec<usize> = lengths.iter().map(|length| length - before_tokens).collect();
        self.conclude(pooled, Some(tokens), &counts)
    }

    /// From the registers of every sequence, `[S, R * D]`, and the features of its tokens,
    /// `[T, P]`.
    fn conclude(
        &self,
        registers: Tensor<Compute, 2>,
        tokens: Option<Tensor<Compute, 2>>,
        counts: &[usize],
    ) -> RegisterOutput {
        let pooled = match &tokens {
            Some(tokens) => Tensor::cat(vec![registers, Peaks::largest(tokens, counts)], 1),
            None => registers,
        };
        RegisterOutput { output: self.output.forward(pooled.clone()), pooled, tokens }
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
