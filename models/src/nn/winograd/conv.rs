//! A 3 x 3 x 3 convolution by minimal filtering F(2, 3) along each axis, on slices.
//!
//! Channels are last, so that a step of a transform is the same addition for many channels, and a
//! row of a matrix product is one tile. Products of a group of patches are made one point at a
//! time by `gemm`, whose kernels, as the transforms here, take the widest instructions there are.

use std::ops::Range;

use pulp::Arch;

use crate::nn::product::{Matrix, product};

/// Transformed values of a tile: 4 along each axis.
const POINTS: usize = 64;
/// Voxels of a tile of outputs.
const OUTPUTS: usize = 8;
/// Channels transformed at a time: 64 points of them stay in the first-level cache.
const CHANNELS: usize = 64;
/// Values between one point's matrix and the next: without them rows of all points would compete
/// for the same few places of a cache.
const PADDING: usize = 80;

type Block = [[f32; CHANNELS]; POINTS];

/// What the convolutions of one thread share.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// `[64, tiles, input]`, with [`PADDING`] between points.
    transformed: Vec<f32>,
    /// `[64, tiles, output]`, likewise.
    products: Vec<f32>,
}

/// A 3 x 3 x 3 convolution with padding 1 whose filter is transformed.
#[derive(Debug)]
pub(super) struct SameConv {
    input: usize,
    output: usize,
    /// `[64, input, output]`.
    filter: Vec<f32>,
    bias: Vec<f32>,
}

/// What becomes of the values that stand where the results go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// They are replaced.
    Replaced,
    /// They are added to: the way around a residual unit.
    Added,
}

impl SameConv {
    /// From a filter `[output, input, 3, 3, 3]` and a bias `[output]`.
    pub(super) fn new(taps: &[f32], bias: Vec<f32>) -> Self {
        let output = bias.len();
        let input = taps.len() / (27 * output);
        let mut filter = vec![0.0; POINTS * input * output];
        for (at, taps) in taps.as_chunks::<27>().0.iter().enumerate() {
            let (to, from) = (at / input, at % input);
            for (point, value) in transform_filter(taps).into_iter().enumerate() {
                filter[(point * input + from) * output + to] = value;
            }
        }
        Self { input, output, filter, bias }
    }

    /// Channels of the results.
    pub(super) fn output(&self) -> usize {
        self.output
    }

    /// `relu(conv(x))`, or `relu(y + conv(x))`, into `y`.
    ///
    /// # Shapes
    ///
    /// - `x`: `[patches, z, y, x, input]` of voxels `size` = `[z, y, x]`, all even
    /// - `y`: `[patches, z, y, x, output]`
    pub(super) fn forward(
        &self,
        x: &[f32],
        y: &mut [f32],
        before: Before,
        size: [usize; 3],
        scratch: &mut Scratch,
    ) {
        let voxels = x.len() / self.input;
        assert_eq!((voxels * self.input, voxels * self.output), (x.len(), y.len()), "one size");
        let tiles = Tiles { size, count: voxels / OUTPUTS };
        let arch = Arch::new();
        scratch.transformed.resize(POINTS * tiles.stride(self.input), 0.0);
        scratch.products.resize(POINTS * tiles.stride(self.output), 0.0);
        let Scratch { transformed, products } = scratch;
        arch.dispatch(
            #[inline(always)]
            || tiles.transform_input(x, self.input, transformed),
        );
        for point in 0..POINTS {
            let of = |columns: usize| {
                let first = point * tiles.stride(columns);
                first..first + tiles.count * columns
            };
            let filter = self.input * self.output;
            product(
                &mut products[of(self.output)],
                self.output,
                Matrix::new(&transformed[of(self.input)], self.input),
                Matrix::new(&self.filter[point * filter..(point + 1) * filter], self.output),
            );
        }
        arch.dispatch(
            #[inline(always)]
            || tiles.transform_output(products, &self.bias, before, y),
        );
    }
}

/// The 2 x 2 x 2 tiles of some patches.
#[derive(Clone, Copy)]
struct Tiles {
    /// Voxels of a patch.
    size: [usize; 3],
    /// Tiles of all patches.
    count: usize,
}

impl Tiles {
    /// Values from one point to the next.
    fn stride(self, channels: usize) -> usize {
        self.count * channels + PADDING
    }

    /// First voxel of a tile along each axis, and the index of its patch's first voxel.
    fn origin(self, tile: usize) -> (usize, [usize; 3]) {
        let [nz, ny, nx] = self.size.map(|n| n / 2);
        let (patch, tile) = (tile / (nz * ny * nx), tile % (nz * ny * nx));
        let first = patch * self.size.iter().product::<usize>();
        (first, [2 * (tile / (ny * nx)), 2 * (tile / nx % ny), 2 * (tile % nx)])
    }

    /// Position of a voxel in its patch.
    fn voxel(self, [z, y, x]: [usize; 3]) -> usize {
        let [_, ny, nx] = self.size;
        (z * ny + y) * nx + x
    }

    /// `[64, tiles, channels]` from `[n, z, y, x, channels]`.
    #[inline(always)]
    fn transform_input(self, x: &[f32], channels: usize, transformed: &mut [f32]) {
        let mut block: Block = [[0.0; CHANNELS]; POINTS];
        for tile in 0..self.count {
            let (patch, origin) = self.origin(tile);
            for of in blocks(channels) {
                for (point, values) in block.iter_mut().enumerate() {
                    let offset = [point / 16, point / 4 % 4, point % 4];
                    // The tile's inputs begin one voxel before its outputs.
                    let at: [usize; 3] = std::array::from_fn(|a| origin[a] + offset[a]);
                    if (0..3).all(|a| (1..=self.size[a]).contains(&at[a])) {
                        let from = (patch + self.voxel(at.map(|a| a - 1))) * channels;
                        copy(&mut values[..of.len()], &x[from + of.start..from + of.end]);
                    } else {
                        values.fill(0.0);
                    }
                }
                for stride in [16, 4, 1] {
                    for line in lines(stride) {
                        transform_line(&mut block, line, stride);
                    }
                }
                for (point, values) in block.iter().enumerate() {
                    let to = point * self.stride(channels) + tile * channels;
                    copy(&mut transformed[to + of.start..to + of.end], &values[..of.len()]);
                }
            }
        }
    }

    /// `relu(.. + bias)` or `relu(y + .. + bias)` into `y`, `[n, z, y, x, channels]`, from
    /// `[64, tiles, channels]`.
    #[inline(always)]
    fn transform_output(self, products: &[f32], bias: &[f32], before: Before, y: &mut [f32]) {
        let channels = bias.len();
        let mut block: Block = [[0.0; CHANNELS]; POINTS];
        for tile in 0..self.count {
            let (patch, origin) = self.origin(tile);
            for of in blocks(channels) {
                for (point, values) in block.iter_mut().enumerate() {
                    let from = point * self.stride(channels) + tile * channels;
                    copy(&mut values[..of.len()], &products[from + of.start..from + of.end]);
                }
                // Of an axis that is done only the first two lines are still of interest.
                for (stride, wanted) in [(16, 16), (4, 8), (1, 4)] {
                    let of_interest = |line: &usize| {
                        (stride == 16 || line / 16 < 2) && (stride != 1 || line / 4 % 4 < 2)
                    };
                    debug_assert_eq!(lines(stride).filter(of_interest).count(), wanted);
                    for line in lines(stride).filter(of_interest) {
                        untransform_line(&mut block, line, stride);
                    }
                }
                for output in 0..OUTPUTS {
                    let offset = [output / 4, output / 2 % 2, output % 2];
                    let at = self.voxel(std::array::from_fn(|a| origin[a] + offset[a]));
                    let to = (patch + at) * channels;
                    let found = &block[offset[0] * 16 + offset[1] * 4 + offset[2]][..of.len()];
                    let y = &mut y[to + of.start..to + of.end];
                    let values = y.iter_mut().zip(found).zip(&bias[of.clone()]);
                    match before {
                        Before::Replaced => values.for_each(|((y, f), b)| *y = (f + b).max(0.0)),
                        Before::Added => values.for_each(|((y, f), b)| *y = (*y + f + b).max(0.0)),
                    }
                }
            }
        }
    }
}

/// Channels in blocks.
#[inline(always)]
fn blocks(channels: usize) -> impl Iterator<Item = Range<usize>> {
    (0..channels).step_by(CHANNELS).map(move |first| first..channels.min(first + CHANNELS))
}

/// As `copy_from_slice`, without a call for a whole block.
#[inline(always)]
fn copy(to: &mut [f32], from: &[f32]) {
    match (to.as_chunks_mut::<CHANNELS>(), from.as_chunks::<CHANNELS>()) {
        (([to], []), ([from], [])) => *to = *from,
        _ => to.copy_from_slice(from),
    }
}

/// First points of the 16 lines of four points that run with `stride`.
#[inline(always)]
fn lines(stride: usize) -> impl Iterator<Item = usize> {
    (0..POINTS).filter(move |point| (point / stride).is_multiple_of(4))
}

/// One line of inputs to the transformed domain, for all channels of the block.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "four rows of one block move together")]
fn transform_line(block: &mut Block, line: usize, stride: usize) {
    for c in 0..CHANNELS {
        let d: [f32; 4] = std::array::from_fn(|i| block[line + i * stride][c]);
        let t = [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]];
        for (i, t) in t.into_iter().enumerate() {
            block[line + i * stride][c] = t;
        }
    }
}

/// One line of products to its two outputs.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "four rows of one block move together")]
fn untransform_line(block: &mut Block, line: usize, stride: usize) {
    for c in 0..CHANNELS {
        let m: [f32; 4] = std::array::from_fn(|i| block[line + i * stride][c]);
        block[line][c] = m[0] + m[1] + m[2];
        block[line + stride][c] = m[1] - m[2] - m[3];
    }
}

/// A filter's 27 taps to its 64 points, in f64.
#[expect(clippy::cast_possible_truncation, reason = "points are used in single precision")]
fn transform_filter(taps: &[f32; 27]) -> [f32; POINTS] {
    let mut points = [0.0f64; POINTS];
    for (tap, value) in taps.iter().enumerate() {
        points[tap / 9 * 16 + tap / 3 % 3 * 4 + tap % 3] = f64::from(*value);
    }
    for stride in [16, 4, 1] {
        for line in lines(stride) {
            let [a, b, c] = [0, 1, 2].map(|i| points[line + i * stride]);
            let t = [a, (a + b + c) / 2.0, (a - b + c) / 2.0, c];
            for (i, t) in t.into_iter().enumerate() {
                points[line + i * stride] = t;
            }
        }
    }
    points.map(|p| p as f32)
}
