//! Derivatives of the blocks, and of the perceptron before them, on a CPU, on slices.
//!
//! A pass keeps of each block what its derivative needs; what is cheap is computed again: norms,
//! GELU, and the shares of attention. Everything runs on the thread that asks, because a part of a
//! batch is divided among the threads before.

use pulp::{Arch, Simd, WithSimd};

use super::attention::Heads;
use super::cpu::{Block, Layer, Norm, Workspace, moments, sum};
use super::elementary::{exp, gelu_and_slope, gelu_of};
use super::product::{Matrix, product};

/// What a pass keeps of a block.
#[derive(Debug)]
pub(super) struct Trace {
    /// What came in, and the same after attention, `[T, D]`.
    input: Vec<f32>,
    between: Vec<f32>,
    /// `[T, 3 * H * D_h]`.
    qkv: Vec<f32>,
    /// What attention found, `[T, H * D_h]`.
    joined: Vec<f32>,
    /// What GELU reads, `[T, M]`.
    hidden: Vec<f32>,
}

/// Derivatives by the weights of a block.
pub(super) struct BlockGradient {
    pub(super) attention_norm: NormGradient,
    pub(super) qkv: LayerGradient,
    pub(super) output: Option<LayerGradient>,
    pub(super) mlp_norm: NormGradient,
    pub(super) mlp_in: LayerGradient,
    pub(super) mlp_out: LayerGradient,
}

/// By the weights of a linear layer.
pub(super) struct LayerGradient {
    /// `[input, output]`, as burn keeps them.
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// By scale and offset of a norm.
pub(super) struct NormGradient {
    pub(super) scale: Vec<f32>,
    pub(super) offset: Vec<f32>,
}

impl Block {
    /// The whole block, in place.
    ///
    /// # Shapes
    ///
    /// - `x`: `[T, D]`, sequences one after another
    /// - `lengths`: tokens of each, summing to `T`
    pub(super) fn traced(
        &self,
        x: &mut [f32],
        lengths: &[usize],
        workspace: &mut Workspace,
    ) -> Trace {
        let input = x.to_vec();
        self.attend(x, lengths, workspace);
        let [qkv, joined] = workspace.take();
        let between = x.to_vec();
        let tokens = x.len() / self.mlp_in.input;
        let mut normed = vec![0.0; x.len()];
        let mut hidden = vec![0.0; tokens * self.mlp_in.output];
        self.mlp_norm.apply(x, &mut normed);
        self.mlp_in.apply(&normed, &mut hidden);
        let mut activated = hidden.clone();
        gelu_of(&mut activated);
        self.mlp_out.add(&activated, x);
        Trace { input, between, qkv, joined, hidden }
    }

    /// From the derivative by what came out to that by what went in, in place, and by the weights.
    pub(super) fn derive(&self, trace: Trace, lengths: &[usize], dx: &mut [f32]) -> BlockGradient {
        let Trace { input, between, qkv, joined, hidden } = trace;
        let (d_hidden, mlp_out) = self.mlp_out.derive_activated(hidden, dx);
        let mut normed = vec![0.0; dx.len()];
        self.mlp_norm.apply(&between, &mut normed);
        let mlp_in = self.mlp_in.gradient(&normed, &d_hidden);
        let mut d_normed = normed;
        self.mlp_in.pull(&d_hidden, &mut d_normed);
        let mlp_norm = self.mlp_norm.derive(&between, &d_normed, dx);

        let output = self.output.as_ref().map(|output| output.gradient(&joined, dx));
        let mut d_joined = vec![0.0; joined.len()];
        match &self.output {
            Some(output) => output.pull(dx, &mut d_joined),
            None => d_joined.copy_from_slice(dx),
        }
        let heads = Heads { heads: self.heads, inner: self.qkv.output / 3 };
        let mut d_qkv = vec![0.0; qkv.len()];
        derive_attention(&qkv, [&joined, &d_joined], lengths, heads, &mut d_qkv);
        let mut normed = d_normed;
        self.attention_norm.apply(&input, &mut normed);
        let qkv = self.qkv.gradient(&normed, &d_qkv);
        let mut d_normed = normed;
        self.qkv.pull(&d_qkv, &mut d_normed);
        let attention_norm = self.attention_norm.derive(&input, &d_normed, dx);
        BlockGradient { attention_norm, qkv, output, mlp_norm, mlp_in, mlp_out }
    }
}

/// The perceptron of [`Peaks`](super::peaks::Peaks).
pub(super) struct Perceptron {
    pub(super) token: Layer,
    pub(super) prefix: Layer,
    pub(super) output: Layer,
}

/// What a pass keeps of it.
pub(super) struct Judged {
    /// What came in, `[T, D]` and `[S, D]`.
    tokens: Vec<f32>,
    prefixes: Vec<f32>,
    /// What GELU reads, `[T, M]`.
    hidden: Vec<f32>,
}

/// Derivatives by its weights.
pub(super) struct PerceptronGradient {
    pub(super) token: LayerGradient,
    pub(super) prefix: LayerGradient,
    pub(super) output: LayerGradient,
}

impl Perceptron {
    /// Adds to every token what it says by itself.
    ///
    /// # Shapes
    ///
    /// - `prefixes`: `[S, D]`
    /// - `tokens`: `[T, D]`, one sequence after another
    /// - `lengths`: tokens of each, summing to `T`
    pub(super) fn traced(
        &self,
        prefixes: Vec<f32>,
        tokens: &mut [f32],
        lengths: &[usize],
    ) -> Judged {
        let before = tokens.to_vec();
        let width = self.token.output;
        let mut hidden = vec![0.0; tokens.len() / self.token.input * width];
        self.token.apply(&before, &mut hidden);
        let mut told = vec![0.0; lengths.len() * width];
        self.prefix.apply(&prefixes, &mut told);
        let told = told.chunks_exact(width).zip(lengths);
        let told = told.flat_map(|(told, &length)| std::iter::repeat_n(told, length));
        for (row, told) in hidden.chunks_exact_mut(width).zip(told) {
            row.iter_mut().zip(told).for_each(|(row, told)| *row += told);
        }
        let mut activated = hidden.clone();
        gelu_of(&mut activated);
        self.output.add(&activated, tokens);
        Judged { tokens: before, prefixes, hidden }
    }

    /// From the derivative by the tokens that came out, by the prefixes and by the weights. Tokens
    /// that went in are data.
    pub(super) fn derive(
        &self,
        judged: Judged,
        lengths: &[usize],
        d_tokens: &[f32],
    ) -> (Vec<f32>, PerceptronGradient) {
        let Judged { tokens, prefixes, hidden } = judged;
        let (d_hidden, output) = self.output.derive_activated(hidden, d_tokens);
        let token = self.token.gradient(&tokens, &d_hidden);
        let width = self.prefix.output;
        let mut d_told = vec![0.0; lengths.len() * width];
        let mut rows = d_hidden.chunks_exact(width);
        for (told, &length) in d_told.chunks_exact_mut(width).zip(lengths) {
            for row in rows.by_ref().take(length) {
                told.iter_mut().zip(row).for_each(|(told, d)| *told += d);
            }
        }
        let mut d_prefixes = vec![0.0; prefixes.len()];
        self.prefix.pull(&d_told, &mut d_prefixes);
        let prefix = self.prefix.gradient(&prefixes, &d_told);
        (d_prefixes, PerceptronGradient { token, prefix, output })
    }
}

impl Layer {
    /// Behind GELU: by what GELU reads, `[T, input]`, and by the weights.
    fn derive_activated(&self, hidden: Vec<f32>, dy: &[f32]) -> (Vec<f32>, LayerGradient) {
        let mut activated = hidden;
        let mut slopes = vec![0.0; activated.len()];
        gelu_and_slope(&mut activated, &mut slopes);
        let gradient = self.gradient(&activated, dy);
        let mut d_hidden = activated;
        self.pull(dy, &mut d_hidden);
        d_hidden.iter_mut().zip(&slopes).for_each(|(d, slope)| *d *= slope);
        (d_hidden, gradient)
    }

    /// By the weights, from `x` `[T, input]` and the derivative by the output.
    pub(super) fn gradient(&self, x: &[f32], dy: &[f32]) -> LayerGradient {
        let mut weight = vec![0.0; self.input * self.output];
        let [x, by] = [Matrix::new(x, self.input), Matrix::new(dy, self.output)];
        product(&mut weight, x.transposed(), by);
        let mut bias = vec![0.0; self.bias.len()];
        for row in dy.chunks_exact(self.output) {
            bias.iter_mut().zip(row).for_each(|(bias, dy)| *bias += dy);
        }
        LayerGradient { weight, bias }
    }

    /// By the input.
    pub(super) fn pull(&self, dy: &[f32], dx: &mut [f32]) {
        product(dx, Matrix::new(dy, self.output), Matrix::new(&self.weight, self.input));
    }
}

impl Norm {
    /// By the weights; adds that by the input `x` to `dx`.
    pub(super) fn derive(&self, x: &[f32], dy: &[f32], dx: &mut [f32]) -> NormGradient {
        let [scale, offset] = [(); 2].map(|()| vec![0.0; self.scale.len()]);
        let mut gradient = NormGradient { scale, offset };
        Arch::new().dispatch(Denormed { norm: self, x, dy, dx, gradient: &mut gradient });
        gradient
    }
}

struct Denormed<'a> {
    norm: &'a Norm,
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    gradient: &'a mut NormGradient,
}

impl WithSimd for Denormed<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { norm, x, dy, dx, gradient: NormGradient { scale, offset } } = self;
        let width = scale.len();
        let [mut units, mut pulled] = [(); 2].map(|()| vec![0.0; width]);
        #[expect(clippy::cast_precision_loss, reason = "a width is far below 2^23")]
        let share = 1.0 / width as f32;
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width));
        for ((x, dy), dx) in rows.zip(dx.chunks_exact_mut(width)) {
            let (mean, unit) = moments(x);
            for (to, x) in units.iter_mut().zip(x) {
                *to = (x - mean) * unit;
            }
            for (to, (dy, scale)) in pulled.iter_mut().zip(dy.iter().zip(&norm.scale)) {
                *to = dy * scale;
            }
            let weights = scale.iter_mut().zip(&mut *offset);
            for (((scale, offset), dy), x) in weights.zip(dy).zip(&units) {
                *scale += dy * x;
                *offset += dy;
            }
            // The parts of the derivative along a constant and along the unit values themselves
            // change nothing that comes out.
            let flat = sum(&pulled, |x| x) * share;
            let along = dot(&pulled, &units) * share;
            for (dx, (pulled, x)) in dx.iter_mut().zip(pulled.iter().zip(&units)) {
                *dx += unit * (pulled - flat - x * along);
            }
        }
    }
}

/// By queries, keys and values, from what attention found and the derivative by it.
fn derive_attention(
    qkv: &[f32],
    found: [&[f32]; 2],
    lengths: &[usize],
    Heads { heads, inner }: Heads,
    d_qkv: &mut [f32],
) {
    let dim_head = inner / heads;
    let arch = Arch::new();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let mut narrow = [(); 5].map(|()| vec![0.0; longest * dim_head]);
    let mut derived = [(); 3].map(|()| vec![0.0; longest * dim_head]);
    let [mut shares, mut pulled] = [(); 2].map(|()| vec![0.0; longest * longest]);
    #[expect(clippy::cast_precision_loss, reason = "a head is far narrower than 2^23")]
    let scale = (dim_head as f32).powf(-0.5);
    let mut first = 0;
    for &length in lengths {
        let width = 3 * inner;
        let tokens = &qkv[first * width..(first + length) * width];
        let of_tokens = &mut d_qkv[first * width..(first + length) * width];
        let found = found.map(|found| &found[first * inner..(first + length) * inner]);
        for head in 0..heads {
            let at = head * dim_head;
            let narrow = narrow.each_mut().map(|part| &mut part[..length * dim_head]);
            let [queries, keys, values, result, d_result] = narrow;
            for (part, to) in [&mut *queries, &mut *keys, &mut *values].into_iter().enumerate() {
                copy_columns(tokens, width, part * inner + at, dim_head, to);
            }
            queries.iter_mut().for_each(|q| *q *= scale);
            copy_columns(found[0], inner, at, dim_head, result);
            copy_columns(found[1], inner, at, dim_head, d_result);
            let square = length * length;
            let [shares, pulled] = [&mut shares[..square], &mut pulled[..square]];
            let matrix = |values| Matrix::new(values, dim_head);
            product(shares, matrix(&*queries), matrix(&*keys).transposed());
            product(pulled, matrix(&*d_result), matrix(&*values).transposed());
            arch.dispatch(Shares { length, dim_head, shares, pulled, result, d_result });
            let [d_queries, d_keys, d_values] =
                derived.each_mut().map(|part| &mut part[..length * dim_head]);
            let [shares, pulled] = [&*shares, &*pulled].map(|m| Matrix::new(m, length));
            product(d_values, shares.transposed(), matrix(&*d_result));
            product(d_queries, pulled, matrix(&*keys));
            product(d_keys, pulled.transposed(), matrix(&*queries));
            d_queries.iter_mut().for_each(|q| *q *= scale);
            for (part, from) in [&*d_queries, &*d_keys, &*d_values].into_iter().enumerate() {
                let rows = of_tokens.chunks_exact_mut(width);
                for (row, from) in rows.zip(from.chunks_exact(dim_head)) {
                    row[part * inner + at..][..dim_head].copy_from_slice(from);
                }
            }
        }
        first += length;
    }
}

/// Some columns of a matrix into one of their own.
fn copy_columns(matrix: &[f32], width: usize, first: usize, columns: usize, to: &mut [f32]) {
    for (row, to) in matrix.chunks_exact(width).zip(to.chunks_exact_mut(columns)) {
        to.copy_from_slice(&row[first..first + columns]);
    }
}

/// Scores to shares of attention, and the derivative by shares to that by scores.
struct Shares<'a> {
    length: usize,
    dim_head: usize,
    /// `[t, t]`, both.
    shares: &'a mut [f32],
    pulled: &'a mut [f32],
    /// `[t, D_h]`, both.
    result: &'a [f32],
    d_result: &'a [f32],
}

impl WithSimd for Shares<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { length, dim_head, shares, pulled, result, d_result } = self;
        let rows = shares.chunks_exact_mut(length).zip(pulled.chunks_exact_mut(length));
        let results = result.chunks_exact(dim_head).zip(d_result.chunks_exact(dim_head));
        for ((shares, pulled), (result, d_result)) in rows.zip(results) {
            let largest = largest(shares);
            for share in &mut *shares {
                *share = exp(*share - largest);
            }
            let whole = 1.0 / sum(shares, |x| x);
            // The mean of the derivative by shares, weighted by them.
            let mean = dot(result, d_result);
            for (share, pulled) in shares.iter_mut().zip(pulled) {
                *share *= whole;
                *pulled = *share * (*pulled - mean);
            }
        }
    }
}

/// Sum of products, in as many parts as a vector has lanes.
#[inline(always)]
fn dot(left: &[f32], right: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (left, right) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (left, right) in left.0.iter().zip(right.0) {
        for (sum, (left, right)) in sums.iter_mut().zip(left.iter().zip(right)) {
            *sum += left * right;
        }
    }
    for (sum, (left, right)) in sums.iter_mut().zip(left.1.iter().zip(right.1)) {
        *sum += left * right;
    }
    sums.iter().sum()
}

/// The largest value, by as many comparisons at a time as a vector has lanes.
#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut largest = [f32::MIN; LANES];
    for chunk in chunks.iter().map(|chunk| &chunk[..]).chain([rest]) {
        for (largest, value) in largest.iter_mut().zip(chunk) {
            *largest = if *value > *largest { *value } else { *largest };
        }
    }
    largest.into_iter().fold(f32::MIN, f32::max)
}
