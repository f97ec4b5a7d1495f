//! The nearest entry of a codebook on a CPU, in the widest instructions there are: a training step
//! of the tokenizer compares millions of pairs of two values each, which no matrix product is made
//! for.

use burn::tensor::{Int, Tensor, TensorData};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::Compute;

/// Entries side by side.
const LANES: usize = 16;
/// Vectors that one thread takes at a time.
const PART: usize = 256;

/// Number of the nearest entry for every vector, the first of equals, of tensors that
/// [are at home](super::elementary::is_at_home).
///
/// # Shapes
///
/// - `vectors`: `[N, c]`
/// - `codebook`: `[K, c]`
/// - output: `[N]`
pub(super) fn nearest(
    vectors: Tensor<Compute, 2>,
    codebook: Tensor<Compute, 2>,
) -> Tensor<Compute, 1, Int> {
    let ([count, dim], device) = (vectors.dims(), vectors.device());
    let codebook = Codebook::new(&values(codebook), dim);
    let (vectors, arch) = (values(vectors), Arch::new());
    let mut found = vec![0i64; count];
    let parts = vectors.par_chunks(PART * dim).zip(found.par_chunks_mut(PART));
    parts.for_each(|(vectors, found)| {
        arch.dispatch(Search { vectors, codebook: &codebook, found });
    });
    Tensor::from_data(TensorData::new(found, [count]), &device)
}

fn values(tensor: Tensor<Compute, 2>) -> Vec<f32> {
    tensor.into_data().into_vec::<f32>().unwrap_or_default()
}

/// Entries in groups, what belongs to the same dimension side by side.
struct Codebook {
    dim: usize,
    /// Of each group, its squared lengths and then one row for each dimension.
    groups: Vec<[f32; LANES]>,
}

impl Codebook {
    fn new(entries: &[f32], dim: usize) -> Self {
        let mut groups = Vec::new();
        for group in entries.chunks(LANES * dim) {
            // An entry that is not there is infinitely far away.
            let mut lengths = [f32::INFINITY; LANES];
            let mut rows = vec![[0.0; LANES]; dim];
            for (lane, entry) in group.chunks_exact(dim).enumerate() {
                lengths[lane] = entry.iter().map(|value| value * value).sum();
                entry.iter().zip(&mut rows).for_each(|(value, row)| row[lane] = *value);
            }
            groups.push(lengths);
            groups.extend(rows);
        }
        Self { dim, groups }
    }
}

struct Search<'a> {
    vectors: &'a [f32],
    codebook: &'a Codebook,
    found: &'a mut [i64],
}

impl WithSimd for Search<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { vectors, codebook: Codebook { dim, groups }, found } = self;
        for (vector, found) in vectors.chunks_exact(*dim).zip(found) {
            let length: f32 = vector.iter().map(|value| value * value).sum();
            let (mut least, mut group_of) = ([f32::INFINITY; LANES], [0i32; LANES]);
            for (number, group) in (0..).zip(groups.chunks_exact(dim + 1)) {
                let mut product = [0.0; LANES];
                for (value, row) in vector.iter().zip(&group[1..]) {
                    for (sum, entry) in product.iter_mut().zip(row) {
                        *sum += value * entry;
                    }
                }
                for lane in 0..LANES {
                    let distance = length + group[0][lane] - 2.0 * product[lane];
                    let nearer = distance < least[lane];
                    least[lane] = if nearer { distance } else { least[lane] };
                    group_of[lane] = if nearer { number } else { group_of[lane] };
                }
            }
            let lanes = (0i64..).zip(least.into_iter().zip(group_of));
            let of_lanes = lanes.map(|(lane, (distance, group))| {
                (distance, i64::from(group) * LANES as i64 + lane)
            });
            let nearest = of_lanes.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            *found = nearest.map_or(0, |(_, entry)| entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::DispatchDevice;

    use super::*;

    /// Against all distances, for codebooks that do not fill their last group, and with an entry
    /// that stands in the book twice.
    #[test]
    fn equals_the_search_through_all() {
        let device = DispatchDevice::Flex(Default::default());
        let value = |i: usize| ((i * 7919) % 1009) as f32 / 504.0 - 1.0;
        for (dim, entries) in [(2, 512), (3, 37), (1, 5)] {
            let mut codebook: Vec<f32> = (0..entries * dim).map(|i| value(i + 5)).collect();
            codebook.copy_within(0..dim, (entries - 1) * dim);
            let mut vectors: Vec<f32> = (0..400 * dim).map(|i| value(i * 3)).collect();
            vectors[..dim].copy_from_slice(&codebook[..dim]);
            let tensor = |values: &[f32]| {
                let data = TensorData::new(values.to_vec(), [values.len() / dim, dim]);
                Tensor::<Compute, 2>::from_data(data, &device)
            };
            let found = nearest(tensor(&vectors), tensor(&codebook)).into_data();
            assert_eq!(found.iter::<i64>().next(), Some(0), "the first of equals");
            for (vector, found) in vectors.chunks(dim).zip(found.iter::<i64>()) {
                let distance = |entry: &[f32]| -> f32 {
                    entry.iter().zip(vector).map(|(a, b)| (a - b) * (a - b)).sum()
                };
                let all = codebook.chunks(dim).map(distance);
                let least = all.clone().fold(f32::INFINITY, f32::min);
                let at = usize::try_from(found).unwrap();
                assert!(all.clone().nth(at).unwrap() <= least + 1e-6, "{dim} {entries}");
            }
        }
    }
}
