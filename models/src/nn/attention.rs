//! Attention on a CPU, on slices: a few queries of all heads at a time, so that scores never leave
//! the cache, and a softmax in the widest instructions there are.

use burn::tensor::{DType, Tensor, TensorData};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::Compute;
use super::elementary::exp;
use super::product::{Matrix, product};

/// Queries at a time: keys are laid out anew for each such block, and with 2,500 tokens the scores of
/// one head take 1.9 MB, a core's second-level cache.
const QUERIES: usize = 192;

/// Attention inside sequences that lie one after another, of a tensor that
/// [is at home](super::elementary::is_at_home).
///
/// # Shapes
///
/// - `qkv`: `[T, 3 * H * D_h]`; `lengths` sum to `T`
/// - output: `[T, H * D_h]`
pub(super) fn attend(
    qkv: Tensor<Compute, 2>,
    heads: usize,
    lengths: &[usize],
) -> Tensor<Compute, 2> {
    let ([tokens, width], device) = (qkv.dims(), qkv.device());
    let inner = width / 3;
    let qkv = qkv.into_data().into_vec::<f32>().unwrap_or_default();
    let mut attended = vec![0.0; tokens * inner];
    let (mut left, mut first, mut tasks) = (attended.as_mut_slice(), 0, Vec::new());
    for &length in lengths {
        let sequence = &qkv[first * width..(first + length) * width];
        for query in (0..length).step_by(QUERIES) {
            let queries = QUERIES.min(length - query);
            let (out, rest) = left.split_at_mut(queries * inner);
            tasks.push((sequence, query, out));
            left = rest;
        }
        first += length;
    }
    let arch = Arch::new();
    tasks.into_par_iter().for_each_init(Vec::new, |scores, (sequence, query, out)| {
        let of_queries = &sequence[query * width..];
        some_queries(arch, of_queries, sequence, out, Heads { heads, inner }, scores);
    });
    Tensor::from_data(TensorData::new(attended, [tokens, inner]), (&device, DType::F32))
}

#[derive(Clone, Copy)]
struct Heads {
    heads: usize,
    /// Width of all heads.
    inner: usize,
}

/// All heads of the queries that `out` has rows for; keys and values are those of `sequence`.
fn some_queries(
    arch: Arch,
    queries: &[f32],
    sequence: &[f32],
    out: &mut [f32],
    Heads { heads, inner }: Heads,
    scores: &mut Vec<f32>,
) {
    let (width, dim_head) = (3 * inner, inner / heads);
    let (rows, length) = (out.len() / inner, sequence.len() / width);
    #[expect(clippy::cast_precision_loss, reason = "a head is far narrower than 2^23")]
    let scale = (dim_head as f32).powf(-0.5);
    scores.resize(rows * length, 0.0);
    let mut sums = [0.0; QUERIES];
    for head in (0..inner).step_by(dim_head) {
        let query = Matrix::part(&queries[head..], rows, dim_head, width);
        let part =
            |part: usize| Matrix::part(&sequence[part * inner + head..], length, dim_head, width);
        product(scores, length, query, part(1).transposed());
        arch.dispatch(Exponentials { scores, length, scale, sums: &mut sums });
        product(&mut out[head..], inner, Matrix::new(scores, length), part(2));
        for (row, sum) in out.chunks_exact_mut(inner).zip(&sums) {
            row[head..head + dim_head].iter_mut().for_each(|value| *value /= sum);
        }
    }
}

/// `exp(scale * (x - max x))` of every row in place, and the sums of rows.
struct Exponentials<'a> {
    scores: &'a mut [f32],
    length: usize,
    scale: f32,
    sums: &'a mut [f32],
}

impl WithSimd for Exponentials<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        /// Values side by side.
        const LANES: usize = 16;
        let Self { scores, length, scale, sums } = self;
        for (x, sum) in scores.chunks_exact_mut(length).zip(sums) {
            let (chunks, rest) = x.as_chunks::<LANES>();
            let mut largest = [f32::MIN; LANES];
            for chunk in chunks {
                for (largest, x) in largest.iter_mut().zip(chunk) {
                    *largest = if *x > *largest { *x } else { *largest };
                }
            }
            let largest = largest.iter().chain(rest).fold(f32::MIN, |a, b| a.max(*b));
            let (chunks, rest) = x.as_chunks_mut::<LANES>();
            let mut lanes = [0.0; LANES];
            for chunk in chunks {
                for (sum, x) in lanes.iter_mut().zip(chunk) {
                    *x = exp(scale * (*x - largest));
                    *sum += *x;
                }
            }
            for (sum, x) in lanes.iter_mut().zip(rest) {
                *x = exp(scale * (*x - largest));
                *sum += *x;
            }
            *sum = lanes.iter().sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::DispatchDevice;

    use super::*;
    use crate::nn::elementary::is_at_home;

    /// A sequence of one token, of fewer queries than are computed at a time, and of more.
    #[test]
    fn equals_the_formula() {
        let (heads, dim_head) = (3, 5);
        let inner = heads * dim_head;
        let lengths = [1, 7, 250];
        let tokens: usize = lengths.iter().sum();
        let value = |i: usize| ((i * 7919) % 1009) as f32 / 252.0 - 2.0;
        let qkv: Vec<f32> = (0..tokens * 3 * inner).map(value).collect();
        let device = DispatchDevice::Flex(Default::default());
        let tensor = TensorData::new(qkv.clone(), [tokens, 3 * inner]);
        let tensor = Tensor::from_data(tensor, (&device, DType::F32));
        assert!(is_at_home(&tensor));
        let found = attend(tensor, heads, &lengths).into_data().into_vec::<f32>().unwrap();

        let at = |token: usize, part: usize, channel: usize| {
            f64::from(qkv[token * 3 * inner + part * inner + channel])
        };
        let mut first = 0;
        for length in lengths {
            for (query, channel) in (0..length * inner).map(|i| (i / inner, i % inner)) {
                let head = channel / dim_head * dim_head;
                let weights = (0..length).map(|key| {
                    let products = (head..head + dim_head)
                        .map(|c| at(first + query, 0, c) * at(first + key, 1, c));
                    (products.sum::<f64>() / (dim_head as f64).sqrt()).exp()
                });
                let weights: Vec<f64> = weights.collect();
                let values =
                    weights.iter().enumerate().map(|(key, w)| w * at(first + key, 2, channel));
                let expected = values.sum::<f64>() / weights.iter().sum::<f64>();
                let found = f64::from(found[(first + query) * inner + channel]);
                assert!((found - expected).abs() < 1e-5, "{length} {query} {channel}");
            }
            first += length;
        }
    }
}
