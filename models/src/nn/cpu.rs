//! Transformer blocks on a CPU, on slices: products without bias, norm and residual as operations
//! of their own, in buffers that all blocks of a network share. burn's operations would each write
//! a tensor of millions of values into fresh pages.

use burn::nn::{LayerNorm, Linear};
use burn::tensor::{DType, Tensor, TensorData};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::attention::{Heads, attend};
use super::product::{Matrix, add_product, product};
use super::{Compute, elementary};

/// One pre-norm block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) attention_norm: Norm,
    /// `[D, 3 * H * D_h]`, without bias.
    pub(super) qkv: Layer,
    pub(super) output: Option<Layer>,
    pub(super) heads: usize,
    pub(super) mlp_norm: Norm,
    pub(super) mlp_in: Layer,
    pub(super) mlp_out: Layer,
}

/// Buffers of a pass, which grow to what the largest block needs.
#[derive(Default)]
pub(super) struct Workspace {
    normed: Vec<f32>,
    wide: Vec<f32>,
    apart: Vec<f32>,
    joined: Vec<f32>,
}

impl Workspace {
    /// Queries, keys and values of the block that attended last, and what it found.
    pub(super) fn take(&mut self) -> [Vec<f32>; 2] {
        [&mut self.wide, &mut self.joined].map(std::mem::take)
    }
}

/// Weights as PyTorch keeps them, `[output, input]`.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) input: usize,
    pub(super) output: usize,
}

/// Scale and offset of every feature.
#[derive(Debug)]
pub(super) struct Norm {
    pub(super) scale: Vec<f32>,
    pub(super) offset: Vec<f32>,
}

impl Block {
    /// `x += attention(norm(x))`, `[T, D]`.
    pub(super) fn attend(&self, x: &mut [f32], lengths: &[usize], workspace: &mut Workspace) {
        let Self { attention_norm, qkv, output, heads, .. } = self;
        let (dim, width) = (qkv.input, qkv.output);
        let (tokens, inner) = (x.len() / dim, width / 3);
        let normed = grown(&mut workspace.normed, tokens * dim);
        let wide = grown(&mut workspace.wide, tokens * width);
        let apart = grown(&mut workspace.apart, tokens * inner);
        let joined = grown(&mut workspace.joined, tokens * inner);
        let rows = rows_of_a_thread(tokens);
        let parts = x.par_chunks(rows * dim).zip(normed.par_chunks_mut(rows * dim));
        parts.zip(wide.par_chunks_mut(rows * width)).for_each(|((x, normed), qkv)| {
            attention_norm.apply(x, normed);
            self.qkv.apply(normed, qkv);
        });
        attend(wide, lengths, Heads { heads: *heads, inner }, apart, joined);
        let parts = x.par_chunks_mut(rows * dim).zip(joined.par_chunks(rows * inner));
        parts.for_each(|(x, joined)| match output {
            Some(output) => output.add(joined, x),
            None => x.iter_mut().zip(joined).for_each(|(x, y)| *x += y),
        });
    }

    /// `x += mlp(norm(x))`, `[T, D]`.
    pub(super) fn feed_forward(&self, x: &mut [f32], workspace: &mut Workspace) {
        let Self { mlp_norm, mlp_in, mlp_out, .. } = self;
        let (dim, width) = (mlp_in.input, mlp_in.output);
        let tokens = x.len() / dim;
        let normed = grown(&mut workspace.normed, tokens * dim);
        let wide = grown(&mut workspace.wide, tokens * width);
        let rows = rows_of_a_thread(tokens);
        let parts = x.par_chunks_mut(rows * dim).zip(normed.par_chunks_mut(rows * dim));
        parts.zip(wide.par_chunks_mut(rows * width)).for_each(|((x, normed), hidden)| {
            mlp_norm.apply(x, normed);
            mlp_in.apply(normed, hidden);
            elementary::gelu_of(hidden);
            mlp_out.add(hidden, x);
        });
    }
}

impl Layer {
    pub(super) fn new(layer: &Linear<Compute>) -> Self {
        let [input, output] = layer.weight.dims();
        let weight = values(layer.weight.val().transpose());
        let bias = layer.bias.as_ref().map(|bias| values(bias.val())).unwrap_or_default();
        Self { weight, bias, input, output }
    }

    /// `[t, input]` to `[t, output]`.
    pub(super) fn apply(&self, x: &[f32], y: &mut [f32]) {
        let Self { weight, bias, input, output } = self;
        let (x, weight) = (Matrix::new(x, *input), Matrix::new(weight, *input).transposed());
        if bias.is_empty() {
            product(y, x, weight);
        } else {
            y.chunks_exact_mut(*output).for_each(|row| row.copy_from_slice(bias));
            add_product(y, x, weight);
        }
    }

    /// Adds what [`Self::apply`] gives to `y`.
    pub(super) fn add(&self, x: &[f32], y: &mut [f32]) {
        let Self { weight, bias, input, output } = self;
        for row in y.chunks_exact_mut(*output) {
            row.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
        }
        let (x, weight) = (Matrix::new(x, *input), Matrix::new(weight, *input).transposed());
        add_product(y, x, weight);
    }
}

impl Norm {
    /// That of `Parameters::layer_norm`.
    pub(super) fn new(norm: &LayerNorm<Compute>) -> Self {
        let offset = norm.beta.as_ref().map(|beta| values(beta.val()));
        let scale = values(norm.gamma.val());
        Self { offset: offset.unwrap_or_else(|| vec![0.0; scale.len()]), scale }
    }

    pub(super) fn apply(&self, x: &[f32], y: &mut [f32]) {
        Arch::new().dispatch(Normed { norm: self, x, y });
    }
}

struct Normed<'a> {
    norm: &'a Norm,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Normed<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { norm: Norm { scale, offset }, x, y } = self;
        let width = scale.len();
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
            let (mean, unit) = moments(x);
            let features = y.iter_mut().zip(x).zip(scale.iter().zip(offset));
            for ((y, x), (scale, offset)) in features {
                *y = (x - mean) * unit * scale + offset;
            }
        }
    }
}

/// Mean of a token, and one over its deviation.
#[inline(always)]
pub(super) fn moments(x: &[f32]) -> (f32, f32) {
    #[expect(clippy::cast_precision_loss, reason = "a width is far below 2^23")]
    let share = 1.0 / x.len() as f32;
    let mean = sum(x, |x| x) * share;
    let variance = sum(x, |x| (x - mean) * (x - mean)) * share;
    (mean, 1.0 / (variance + super::parameters::EPSILON).sqrt())
}

/// Sum of a function of every value, in as many parts as a vector has lanes.
#[inline(always)]
pub(super) fn sum(x: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    const LANES: usize = 16;
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += of(*x);
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += of(*x);
    }
    sums.iter().sum()
}

/// The beginning of a buffer, which only grows: what is in it is written before it is read.
fn grown(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    buffer.resize(length.max(buffer.len()), 0.0);
    &mut buffer[..length]
}

/// A product lays out its weights once for all of its rows.
fn rows_of_a_thread(rows: usize) -> usize {
    rows.div_ceil(rayon::current_num_threads()).max(16)
}

/// Runs something on the values of a tensor that
/// [is at home](super::elementary::is_at_home).
pub(super) fn on_values(
    x: Tensor<Compute, 2>,
    change: impl FnOnce(&mut [f32]),
) -> Tensor<Compute, 2> {
    let (shape, device) = (x.dims(), x.device());
    let mut x = values(x);
    change(&mut x);
    Tensor::from_data(TensorData::new(x, shape), (&device, DType::F32))
}

/// The values of a tensor, row by row.
pub(super) fn values<const D: usize>(tensor: Tensor<Compute, D>) -> Vec<f32> {
    tensor.into_data().into_vec::<f32>().unwrap_or_default()
}
