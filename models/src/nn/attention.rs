//! Attention on a CPU, on slices: a few queries of all heads at a time, so that scores never leave
//! the cache, and a softmax in the widest instructions there are.

use burn::DispatchDevice;
use burn::tensor::{DType, Tensor, TensorData};
use pulp::Arch;
use rayon::prelude::*;

use super::Compute;
use super::product::{Matrix, product};

/// Queries at a time: with 5,000 tokens their scores of one head take 1.3 MB.
const QUERIES: usize = 64;

/// True where [`attend`] stands in for burn's operations: single precision on a CPU, without a
/// derivative.
pub(super) fn is_at_home(qkv: &Tensor<Compute, 2>) -> bool {
    qkv.dtype() == DType::F32 && matches!(qkv.device(), DispatchDevice::Flex(_))
}

/// Attention inside sequences that lie one after another.
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
        arch.dispatch(
            #[inline(always)]
            || {
                for (scores, sum) in scores.chunks_exact_mut(length).zip(&mut sums) {
                    *sum = exponentials(scores, scale);
                }
            },
        );
        product(&mut out[head..], inner, Matrix::new(scores, length), part(2));
        for (row, sum) in out.chunks_exact_mut(inner).zip(&sums) {
            row[head..head + dim_head].iter_mut().for_each(|value| *value /= sum);
        }
    }
}

/// `exp(scale * (x - max x))` in place, and the sum of it.
#[inline(always)]
fn exponentials(x: &mut [f32], scale: f32) -> f32 {
    /// Sums that go on beside each other.
    const LANES: usize = 16;
    let (mut largest, mut sum) = ([f32::MIN; LANES], [0.0; LANES]);
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (largest, x) in largest.iter_mut().zip(chunk) {
            *largest = if *x > *largest { *x } else { *largest };
        }
    }
    let largest = largest.iter().chain(rest).fold(f32::MIN, |a, b| a.max(*b));
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (sum, x) in sum.iter_mut().zip(chunk) {
            *x = exp(scale * (*x - largest));
            *sum += *x;
        }
    }
    for (sum, x) in sum.iter_mut().zip(rest) {
        *x = exp(scale * (*x - largest));
        *sum += *x;
    }
    sum.iter().sum()
}

/// `e^x` for `x <= 0`, to 2e-7 of its value; below -87, where single precision ends, 1e-38.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`, so `e^x = 2^n e^r`; `ln 2` is split in two, of which
/// the first has so few digits that its products with `n` are exact (Cody and Waite 1980), and
/// `e^r` is a Taylor polynomial of degree 7, whose error is below 2^-27.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "n lies between -126 and 0")]
#[expect(clippy::cast_sign_loss, reason = "the exponent of a normal number is positive")]
fn exp(x: f32) -> f32 {
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    // A NaN passes: both comparisons with it are false.
    let x = if x < -87.0 { -87.0 } else { x };
    let n = (x * std::f32::consts::LOG2_E).round_ties_even();
    let r = (x - n * HIGH) - n * LOW;
    let mut sum = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = sum * r + coefficient;
    }
    sum * f32::from_bits(((n as i32 + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_of_everything_below_zero() {
        let worst = (0..870_000).map(|i| -(i as f32) * 1e-4).map(|x| {
            let expected = f64::from(x).exp();
            ((f64::from(exp(x)) - expected) / expected).abs()
        });
        let worst = worst.fold(0.0, f64::max);
        assert!(worst < 2e-7, "{worst:e}");
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1e30) < 1e-37 && exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(f32::NAN).is_nan());
    }

    /// A sequence of one token, of fewer queries than are computed at a time, and of more.
    #[test]
    fn equals_the_formula() {
        let (heads, dim_head) = (3, 5);
        let inner = heads * dim_head;
        let lengths = [1, 7, 150];
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
