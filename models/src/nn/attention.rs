//! Attention on a CPU, on slices, by products of its own: a head is 64 values wide, too narrow for
//! a general product to pay for laying out its operands anew.
//!
//! Queries lie side by side in vectors, so that maximum, exponential and sum of the softmax are
//! those of whole vectors; keys and values come one value at a time, in the order in which they are
//! needed. The scores of some queries stay in the second-level cache.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::elementary::exp;

/// Vectors of queries that share each value of keys and values.
const COLUMNS: usize = 3;

/// Widths of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub(super) heads: usize,
    /// Of all heads together.
    pub(super) inner: usize,
}

/// Attention inside sequences that lie one after another.
///
/// # Shapes
///
/// - `qkv`: `[T, 3 * H * D_h]`; `lengths` sum to `T`
/// - `apart`: room for as much as comes out, for each sequence `[H, t, D_h]`
/// - `joined`: `[T, H * D_h]`
pub(super) fn attend(
    qkv: &[f32],
    lengths: &[usize],
    Heads { heads, inner }: Heads,
    apart: &mut [f32],
    joined: &mut [f32],
) {
    let dim_head = inner / heads;
    let (mut left, mut first) = (&mut *apart, 0);
    let (mut sequences, mut tasks) = (Vec::new(), Vec::new());
    for &length in lengths {
        let sequence = &qkv[first * 3 * inner..(first + length) * 3 * inner];
        for head in 0..heads {
            let (out, rest) = left.split_at_mut(length * dim_head);
            tasks.push((sequence, head * dim_head, out));
            left = rest;
        }
        sequences.push(first * inner..(first + length) * inner);
        first += length;
    }
    let arch = Arch::new();
    tasks.into_par_iter().for_each_init(Vec::new, |room, (sequence, first, out)| {
        arch.dispatch(Head { sequence, inner, first, dim_head, room, out });
    });
    for sequence in sequences {
        let (apart, joined) = (&apart[sequence.clone()], &mut joined[sequence]);
        let length = joined.len() / inner;
        let tokens = joined.par_chunks_exact_mut(inner).with_min_len(64);
        tokens.enumerate().for_each(|(token, joined)| {
            for (head, joined) in joined.chunks_exact_mut(dim_head).enumerate() {
                let from = (head * length + token) * dim_head;
                joined.copy_from_slice(&apart[from..from + dim_head]);
            }
        });
    }
}

/// One head of one sequence.
struct Head<'a> {
    /// Queries, keys and values of all heads, `[t, 3 * inner]`.
    sequence: &'a [f32],
    inner: usize,
    /// Where the head's part of each begins.
    first: usize,
    dim_head: usize,
    room: &'a mut Vec<f32>,
    /// `[t, dim_head]`.
    out: &'a mut [f32],
}

impl WithSimd for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many sums as there are registers for.
        if S::F32_LANES == 16 { self.attend::<S, 8>(simd) } else { self.attend::<S, 4>(simd) }
    }
}

impl Head<'_> {
    #[inline(always)]
    fn attend<S: Simd, const ROWS: usize>(self, simd: S) {
        let Self { sequence, inner, first, dim_head, room, out } = self;
        let (width, length) = (3 * inner, out.len() / dim_head);
        let block = COLUMNS * S::F32_LANES;
        let [keys, dims] = [length, dim_head].map(|n| n.next_multiple_of(ROWS));
        let sizes = [keys * dim_head, length * dims, dim_head * block, keys * block, dims * block];
        // What pads them is never read, and may be of another head.
        room.resize(sizes.iter().sum::<usize>().max(room.len()), 0.0);
        let (keys, rest) = room.split_at_mut(sizes[0]);
        let (values, rest) = rest.split_at_mut(sizes[1]);
        let (queries, rest) = rest.split_at_mut(sizes[2]);
        let (scores, rest) = rest.split_at_mut(sizes[3]);
        let found = &mut rest[..sizes[4]];
        for (at, token) in sequence.chunks_exact(width).enumerate() {
            // Groups of keys, and in these their first values, their second, and so on; groups of
            // values' columns, and in these a row for each token.
            let group = keys[at / ROWS * ROWS * dim_head..].as_chunks_mut::<ROWS>().0;
            for (to, key) in group.iter_mut().zip(&token[inner + first..][..dim_head]) {
                to[at % ROWS] = *key;
            }
            for (group, part) in token[2 * inner + first..][..dim_head].chunks(ROWS).enumerate() {
                values[(group * length + at) * ROWS..][..part.len()].copy_from_slice(part);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a head is far narrower than 2^23")]
        let scale = (dim_head as f32).powf(-0.5);
        for (number, out) in out.chunks_mut(block * dim_head).enumerate() {
            let rows = sequence[number * block * width..].chunks_exact(width);
            for (query, row) in rows.take(out.len() / dim_head).enumerate() {
                for (dim, value) in row[first..first + dim_head].iter().enumerate() {
                    queries[dim * block + query] = value * scale;
                }
            }
            for (group, scores) in scores.chunks_exact_mut(ROWS * block).enumerate() {
                let keys = keys[group * ROWS * dim_head..].as_chunks::<ROWS>().0;
                store::<S, ROWS>(&product(simd, keys, queries), scores);
            }
            let shares = exponentials(simd, &mut scores[..length * block]);
            for (group, found) in found.chunks_exact_mut(ROWS * block).enumerate() {
                let values = &values[group * length * ROWS..][..length * ROWS];
                let mut sums = product(simd, values.as_chunks::<ROWS>().0, scores);
                for (sum, share) in sums.iter_mut().flat_map(|row| row.iter_mut().zip(&shares)) {
                    *sum = simd.mul_f32s(*sum, *share);
                }
                store::<S, ROWS>(&sums, found);
            }
            for (query, row) in out.chunks_exact_mut(dim_head).enumerate() {
                for (dim, value) in row.iter_mut().enumerate() {
                    *value = found[dim * block + query];
                }
            }
        }
    }
}

/// `left^T * right` of as many rows as `left` has: `[k, ROWS]`, `[k, COLUMNS vectors]`.
#[inline(always)]
fn product<S: Simd, const ROWS: usize>(
    simd: S,
    left: &[[f32; ROWS]],
    right: &[f32],
) -> [[S::f32s; COLUMNS]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); COLUMNS]; ROWS];
    for (left, right) in left.iter().zip(right.chunks_exact(COLUMNS * S::F32_LANES)) {
        let right = load::<S>(right);
        for (sums, left) in sums.iter_mut().zip(left) {
            let left = simd.splat_f32s(*left);
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = simd.mul_add_f32s(left, right, *sum);
            }
        }
    }
    sums
}

/// `exp(x - max x)` of every column in place; returns what one of a column's values is of their
/// sum.
#[inline(always)]
fn exponentials<S: Simd>(simd: S, scores: &mut [f32]) -> [S::f32s; COLUMNS] {
    let block = COLUMNS * S::F32_LANES;
    let mut largest = [simd.splat_f32s(f32::MIN); COLUMNS];
    for scores in scores.chunks_exact(block) {
        for (largest, x) in largest.iter_mut().zip(load::<S>(scores)) {
            *largest = simd.max_f32s(*largest, x);
        }
    }
    let mut sums = [simd.splat_f32s(0.0); COLUMNS];
    for scores in scores.chunks_exact_mut(block) {
        let mut x = load::<S>(scores);
        for ((sum, x), largest) in sums.iter_mut().zip(&mut x).zip(largest) {
            *x = simd.sub_f32s(*x, largest);
            let lanes: &mut [f32] = bytemuck::cast_slice_mut(std::slice::from_mut(x));
            lanes.iter_mut().for_each(|x| *x = exp(*x));
            *sum = simd.add_f32s(*sum, *x);
        }
        store::<S, 1>(&[x], scores);
    }
    let one = simd.splat_f32s(1.0);
    sums.map(
        #[inline(always)]
        |sum| simd.div_f32s(one, sum),
    )
}

#[inline(always)]
fn load<S: Simd>(values: &[f32]) -> [S::f32s; COLUMNS] {
    std::array::from_fn(
        #[inline(always)]
        |column| {
            let values = &values[column * S::F32_LANES..(column + 1) * S::F32_LANES];
            bytemuck::pod_read_unaligned(bytemuck::cast_slice(values))
        },
    )
}

#[inline(always)]
fn store<S: Simd, const ROWS: usize>(rows: &[[S::f32s; COLUMNS]; ROWS], values: &mut [f32]) {
    let vectors = rows.iter().flatten();
    for (vector, values) in vectors.zip(values.chunks_exact_mut(S::F32_LANES)) {
        values.copy_from_slice(bytemuck::cast_slice(std::slice::from_ref(vector)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequences of one token, of fewer than a vector, and of several blocks of queries, a head that
    /// is no multiple of anything, and room left over from a longer sequence.
    #[test]
    fn equals_the_formula() {
        let (heads, dim_head) = (3, 5);
        let inner = heads * dim_head;
        let lengths = [250, 1, 7];
        let tokens: usize = lengths.iter().sum();
        let value = |i: usize| ((i * 7919) % 1009) as f32 / 252.0 - 2.0;
        let qkv: Vec<f32> = (0..tokens * 3 * inner).map(value).collect();
        let [mut apart, mut found] = [(); 2].map(|()| vec![f32::NAN; tokens * inner]);
        attend(&qkv, &lengths, Heads { heads, inner }, &mut apart, &mut found);

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
