//! Pre-norm transformer blocks over packed sequences (specification §7).
//!
//! Sequences of different length lie one after another in one `[T, D]` tensor. Normalisation and
//! linear layers see all of them at once; attention sees one sequence at a time. There is no
//! padding, so nothing has to be masked and no product is spent on it.

use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData, activation};

use super::config::TransformerConfig;
use super::cpu::{self, Layer, Norm, Workspace};
use super::cut::{Cut, Register, leaf};
use super::gradient::{BlockGradient, Trace};
use super::parameters::{ParameterError, Parameters};
use super::{Compute, elementary};

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
        if !elementary::is_at_home(&x) {
            return self.blocks.iter().fold(x, |x, block| block.forward(x, lengths));
        }
        let mut workspace = Workspace::default();
        cpu::on_values(x, |x| {
            for block in &self.blocks {
                let block = block.on_cpu();
                block.attend(x, lengths, &mut workspace);
                block.feed_forward(x, &mut workspace);
            }
        })
    }

    /// [`Self::forward`] for training on a CPU: the graph is [cut](Cut) at the blocks, which have
    /// derivatives of their own. Elsewhere the same as there, and no cut.
    #[must_use]
    pub fn forward_cut(
        &self,
        x: Tensor<Compute, 2>,
        lengths: &[usize],
    ) -> (Tensor<Compute, 2>, Option<Cut>) {
        if !elementary::is_trained_at_home(&x) {
            return (self.forward(x, lengths), None);
        }
        let mut values = cpu::values(x.clone().inner());
        let traced = self.traced(&mut values, lengths);
        let output = leaf(values, x.dims(), &x);
        let cut = Cut::new(vec![x], vec![output.clone()], |mut derivatives, register| {
            if let Some(dx) = derivatives.first_mut() {
                traced.derive(dx, register);
            }
            derivatives
        });
        (output, Some(cut))
    }

    /// [`Self::forward`] on slices, in place, with what derivatives need.
    pub(super) fn traced(&self, x: &mut [f32], lengths: &[usize]) -> Traced {
        let mut workspace = Workspace::default();
        let blocks = self.blocks.iter().map(|block| {
            let on_cpu = block.on_cpu();
            let trace = on_cpu.traced(x, lengths, &mut workspace);
            (block.clone(), on_cpu, trace)
        });
        Traced { blocks: blocks.collect(), lengths: lengths.to_vec() }
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
        if elementary::is_at_home(&x) {
            let mut workspace = Workspace::default();
            return cpu::on_values(x, |x| self.on_cpu().feed_forward(x, &mut workspace));
        }
        let hidden = elementary::gelu(self.mlp_in.forward(self.mlp_norm.forward(x.clone())));
        x + self.mlp_out.forward(hidden)
    }

    /// The first half: attention and its residual. Shapes as in [`Transformer::forward`].
    #[must_use]
    pub fn attend(&self, x: Tensor<Compute, 2>, lengths: &[usize]) -> Tensor<Compute, 2> {
        if elementary::is_at_home(&x) {
            let mut workspace = Workspace::default();
            return cpu::on_values(x, |x| self.on_cpu().attend(x, lengths, &mut workspace));
        }
        let normed = self.attention_norm.forward(x.clone());
        x + self.attention.forward(normed, lengths)
    }

    /// Notes the derivatives of a block's weights under their names.
    fn register(&self, found: BlockGradient, to: &mut Register<'_>) {
        let BlockGradient { attention_norm, qkv, output, mlp_norm, mlp_in, mlp_out } = found;
        to.norm(&self.attention_norm, attention_norm);
        to.layer(&self.attention.qkv, qkv);
        if let Some((layer, found)) = self.attention.output.as_ref().zip(output) {
            to.layer(layer, found);
        }
        to.norm(&self.mlp_norm, mlp_norm);
        to.layer(&self.mlp_in, mlp_in);
        to.layer(&self.mlp_out, mlp_out);
    }

    /// The same weights on slices.
    fn on_cpu(&self) -> cpu::Block {
        cpu::Block {
            attention_norm: Norm::new(&self.attention_norm),
            qkv: Layer::new(&self.attention.qkv),
            output: self.attention.output.as_ref().map(Layer::new),
            heads: self.attention.heads,
            mlp_norm: Norm::new(&self.mlp_norm),
            mlp_in: Layer::new(&self.mlp_in),
            mlp_out: Layer::new(&self.mlp_out),
        }
    }
}

/// Blocks as a pass went through them.
pub(super) struct Traced {
    blocks: Vec<(Block<Compute>, cpu::Block, Trace)>,
    lengths: Vec<usize>,
}

impl Traced {
    /// From the derivative by what came out to that by what went in, in place.
    pub(super) fn derive(self, dx: &mut [f32], register: &mut Register<'_>) {
        for (block, on_cpu, trace) in self.blocks.into_iter().rev() {
            block.register(on_cpu.derive(trace, &self.lengths, dx), register);
        }
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
        let joined = if nearly_equal(lengths) {
            self.attend_together(x, lengths)
        } else {
            let qkv = self.qkv.forward(x); // [T, 3 * H * D_h]
            let mut start = 0;
            let attended = lengths.iter().map(|&length| {
                let sequence = qkv.clone().narrow(0, start, length);
                start += length;
                attend(&sequence, self.heads)
            });
            Tensor::cat(attended.collect(), 0)
        }; // [T, H * D_h]
        match &self.output {
            Some(output) => output.forward(joined),
            None => joined,
        }
    }

    /// Attention inside sequences of nearly equal length, padded to the longest and computed as one
    /// batch, which is how training runs: `[T, D]` to `[T, H * D_h]`. Queries, keys and values are
    /// products of their own, so that no derivative is put together from three parts.
    fn attend_together(&self, x: Tensor<Compute, 2>, lengths: &[usize]) -> Tensor<Compute, 2> {
        let (count, longest) = (lengths.len(), lengths.iter().copied().max().unwrap_or(0));
        let inner = self.qkv.weight.dims()[1] / 3;
        let dim_head = inner / self.heads;
        let equal = lengths.iter().all(|length| *length == longest);
        let starts: Vec<usize> = lengths
            .iter()
            .scan(0, |next, length| {
                *next += length;
                Some(*next - length)
            })
            .collect();
        // Padding repeats a sequence's first row; nobody attends to it, and its result is dropped.
        let padded = starts.iter().zip(lengths).flat_map(|(&start, &length)| {
            (0..longest).map(move |i| if i < length { start + i } else { start })
        });
        let x = if equal { x } else { rows(x, padded) };
        let part = |part: usize| {
            let weight = self.qkv.weight.val().narrow(1, part * inner, inner);
            let shape = [count, longest, self.heads, dim_head];
            x.clone().matmul(weight).reshape(shape).swap_dims(1, 2) // [S, H, L, D_h]
        };
        #[expect(clippy::cast_precision_loss, reason = "a head is far narrower than 2^52")]
        let scale = (dim_head as f64).powf(-0.5);
        let mut scores = (part(0) * scale).matmul(part(1).transpose()); // [S, H, L, L]
        if !equal {
            let absent = lengths.iter().flat_map(|&length| {
                (0..longest).map(move |i| if i < length { 0.0 } else { f32::MIN / 2.0 })
            });
            let absent = TensorData::new(absent.collect::<Vec<f32>>(), [count, 1, 1, longest]);
            let absent = Tensor::<Compute, 4>::from_data(absent, &x.device());
            scores = scores.clone() + absent.cast(scores.dtype());
        }
        let attended = activation::softmax(scores, 3).matmul(part(2)); // [S, H, L, D_h]
        let attended = attended.swap_dims(1, 2).reshape([count * longest, inner]);
        let there =
            lengths.iter().enumerate().flat_map(|(i, &length)| i * longest..i * longest + length);
        if equal { attended } else { rows(attended, there) }
    }
}

/// Rows of a matrix by their numbers. One operation, whose derivative touches every row once; a
/// slice for each sequence would write a matrix of zeros for each.
#[must_use]
pub fn rows(x: Tensor<Compute, 2>, numbers: impl IntoIterator<Item = usize>) -> Tensor<Compute, 2> {
    let numbers = numbers.into_iter().map(|row| i64::try_from(row).unwrap_or(i64::MAX));
    let numbers: Vec<i64> = numbers.collect();
    let count = numbers.len();
    let device = x.device();
    let numbers = Tensor::<Compute, 1, Int>::from_data(TensorData::new(numbers, [count]), &device);
    x.select(0, numbers)
}

/// Longest sequence that is computed together with others: its scores are small.
const TOGETHER: usize = 256;

/// True for several sequences whose padding to the longest costs less than they do.
fn nearly_equal(lengths: &[usize]) -> bool {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let total: usize = lengths.iter().sum();
    lengths.len() > 1 && longest <= TOGETHER && longest * lengths.len() <= 2 * total
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
