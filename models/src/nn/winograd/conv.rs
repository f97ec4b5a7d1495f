//! The encoder's convolutions on slices: 3 x 3 x 3 by minimal filtering F(2, 3) along each axis,
//! and those that make the volume smaller as one matrix product.
//!
//! Channels are last, so that a step of a transform is the same addition for many channels, and a
//! row of a matrix product is one tile. Products are made one point at a time by `gemm`, whose
//! kernels, as the transforms here, take the widest instructions there are. A vector of 64 bytes
//! that does not begin where a cache line does is read twice, hence the aligned memory.

use aligned_vec::{AVec, avec};
use pulp::{Arch, Simd, WithSimd};

use crate::nn::config::ConvConfig;
use crate::nn::product::{Matrix, product};

/// Transformed values of a tile: 4 along each axis.
const POINTS: usize = 64;
/// Voxels of a tile of outputs.
const OUTPUTS: usize = 8;
/// Tiles that share one set of products: enough to make up for reading the filters, few enough that
/// what lies between the steps stays in a cache.
const TILES: usize = 64;
/// Values between one point's matrix and the next: without them rows of all points would compete
/// for the same few places of a cache.
const PADDING: usize = 32 * 3;

/// What the convolutions of one thread share.
#[derive(Debug)]
pub(super) struct Scratch {
    /// `[64, tiles, input]`, with [`PADDING`] between points.
    transformed: AVec<f32>,
    /// `[64, tiles, output]`, likewise.
    products: AVec<f32>,
}

impl Scratch {
    /// Empty.
    pub(super) fn new() -> Self {
        Self { transformed: AVec::new(0), products: AVec::new(0) }
    }
}

/// A 3 x 3 x 3 convolution with padding 1 whose filter is transformed.
#[derive(Debug)]
pub(super) struct SameConv {
    input: usize,
    output: usize,
    /// `[64, input, output]`.
    filter: AVec<f32>,
    bias: Vec<f32>,
}

/// A convolution that makes the volume smaller: the voxels that it reads, side by side, times one
/// matrix.
#[derive(Debug)]
pub(super) struct DownConv {
    shape: ConvConfig,
    input: usize,
    /// `[kernel * kernel * kernel * input, output]`.
    filter: Vec<f32>,
    bias: Vec<f32>,
}

impl DownConv {
    /// From a filter `[output, input, kernel, kernel, kernel]` and a bias `[output]`.
    pub(super) fn new(taps: &[f32], bias: Vec<f32>, shape: ConvConfig) -> Self {
        let (places, output) = (shape.kernel.pow(3), bias.len());
        let input = taps.len() / (places * output);
        let mut filter = vec![0.0; taps.len()];
        for (at, value) in taps.iter().enumerate() {
            let (to, from, place) = (at / places / input, at / places % input, at % places);
            filter[(place * input + from) * output + to] = *value;
        }
        Self { shape, input, filter, bias }
    }

    /// `relu(conv(x))` and its size. Shapes as in [`SameConv::forward`].
    pub(super) fn forward(&self, x: &[f32], size: [usize; 3]) -> (AVec<f32>, [usize; 3]) {
        let ConvConfig { kernel, stride, padding } = self.shape;
        let smaller = size.map(|edge| (edge + 2 * padding - kernel) / stride + 1);
        let [outputs, inputs] = [smaller, size].map(|size| size.iter().product::<usize>());
        let (columns, channels) = (kernel.pow(3) * self.input, self.bias.len());
        let patches = x.len() / (inputs * self.input);
        let mut y = avec![0.0; patches * outputs * channels];
        let mut read = vec![0.0; outputs * columns];
        let at = |[_, ny, nx]: [usize; 3], [z, y, x]: [usize; 3]| (z * ny + y) * nx + x;
        let place = |size: [usize; 3], i: usize| {
            [i / size[1] / size[2], i / size[2] % size[1], i % size[2]]
        };
        let patches =
            x.chunks_exact(inputs * self.input).zip(y.chunks_exact_mut(outputs * channels));
        for (x, y) in patches {
            for (i, read) in read.chunks_exact_mut(self.input).enumerate() {
                let output = place(smaller, i / kernel.pow(3));
                let tap = place([kernel; 3], i % kernel.pow(3));
                // Beyond the padding.
                let from: [usize; 3] = std::array::from_fn(|a| output[a] * stride + tap[a]);
                if (0..3).all(|a| (padding..size[a] + padding).contains(&from[a])) {
                    let voxel = at(size, from.map(|a| a - padding));
                    read.copy_from_slice(&x[voxel * self.input..(voxel + 1) * self.input]);
                } else {
                    read.fill(0.0);
                }
            }
            product(y, Matrix::new(&read, columns), Matrix::new(&self.filter, channels));
            for y in y.chunks_exact_mut(channels) {
                y.iter_mut().zip(&self.bias).for_each(|(y, bias)| *y = (*y + bias).max(0.0));
            }
        }
        (y, smaller)
    }
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
        let mut filter = avec![0.0; POINTS * input * output];
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
        let arch = Arch::new();
        let Scratch { transformed, products } = scratch;
        for first in (0..voxels / OUTPUTS).step_by(TILES) {
            let tiles = Tiles { size, first, count: TILES.min(voxels / OUTPUTS - first) };
            transformed.resize(POINTS * tiles.stride(self.input), 0.0);
            products.resize(POINTS * tiles.stride(self.output), 0.0);
            arch.dispatch(TransformInput { tiles, x, channels: self.input, transformed });
            for point in 0..POINTS {
                let of = |columns: usize| {
                    let first = point * tiles.stride(columns);
                    first..first + tiles.count * columns
                };
                let filter = self.input * self.output;
                product(
                    &mut products[of(self.output)],
                    Matrix::new(&transformed[of(self.input)], self.input),
                    Matrix::new(&self.filter[point * filter..(point + 1) * filter], self.output),
                );
            }
            arch.dispatch(TransformOutput { tiles, products, bias: &self.bias, before, y });
        }
    }
}

/// Some of the 2 x 2 x 2 tiles of some patches.
#[derive(Clone, Copy)]
struct Tiles {
    /// Voxels of a patch.
    size: [usize; 3],
    /// The first of them.
    first: usize,
    count: usize,
}

impl Tiles {
    /// Values from one point to the next.
    fn stride(self, channels: usize) -> usize {
        self.count * channels + PADDING
    }

    /// First output of a tile along each axis, and its patch.
    fn origin(self, tile: usize) -> (usize, [usize; 3]) {
        let tile = self.first + tile;
        let [nz, ny, nx] = self.size.map(|n| n / 2);
        let (patch, tile) = (tile / (nz * ny * nx), tile % (nz * ny * nx));
        (patch, [2 * (tile / (ny * nx)), 2 * (tile / nx % ny), 2 * (tile % nx)])
    }

    /// Number of a voxel among those of all patches.
    fn voxel(self, patch: usize, [z, y, x]: [usize; 3]) -> usize {
        let [nz, ny, nx] = self.size;
        ((patch * nz + z) * ny + y) * nx + x
    }

    /// Voxels that a tile reads, none where it hangs over the patch's edge.
    fn inputs(self, tile: usize) -> [Option<usize>; POINTS] {
        let (patch, origin) = self.origin(tile);
        std::array::from_fn(|point| {
            let offset = [point / 16, point / 4 % 4, point % 4];
            // They begin one voxel before the outputs.
            let at: [usize; 3] = std::array::from_fn(|a| origin[a] + offset[a]);
            let inside = (0..3).all(|a| (1..=self.size[a]).contains(&at[a]));
            inside.then(|| self.voxel(patch, at.map(|a| a - 1)))
        })
    }

    /// Voxels that a tile writes.
    fn outputs(self, tile: usize) -> [usize; OUTPUTS] {
        let (patch, origin) = self.origin(tile);
        std::array::from_fn(|output| {
            let offset = [output / 4, output / 2 % 2, output % 2];
            self.voxel(patch, std::array::from_fn(|a| origin[a] + offset[a]))
        })
    }
}

/// `[64, tiles, channels]` from `[n, z, y, x, channels]`, as many channels at a time as there are
/// lanes.
struct TransformInput<'a> {
    tiles: Tiles,
    x: &'a [f32],
    channels: usize,
    transformed: &'a mut [f32],
}

impl WithSimd for TransformInput<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { tiles, x, channels, transformed } = self;
        let zero = simd.splat_f32s(0.0);
        for tile in 0..tiles.count {
            let inputs = tiles.inputs(tile);
            for first in (0..channels).step_by(S::F32_LANES) {
                let last = channels.min(first + S::F32_LANES);
                let mut block: [S::f32s; POINTS] = std::array::from_fn(
                    #[inline(always)]
                    |point| match inputs[point] {
                        Some(voxel) => {
                            load(simd, &x[voxel * channels + first..voxel * channels + last])
                        }
                        None => zero,
                    },
                );
                for stride in [16, 4, 1] {
                    for line in lines(stride) {
                        transform_line(simd, &mut block, line, stride);
                    }
                }
                for (point, values) in block.iter().enumerate() {
                    let to = point * tiles.stride(channels) + tile * channels;
                    store(simd, &mut transformed[to + first..to + last], *values);
                }
            }
        }
    }
}

/// `relu(.. + bias)` or `relu(y + .. + bias)` into `y`, `[n, z, y, x, channels]`, from
/// `[64, tiles, channels]`.
struct TransformOutput<'a> {
    tiles: Tiles,
    products: &'a [f32],
    bias: &'a [f32],
    before: Before,
    y: &'a mut [f32],
}

impl WithSimd for TransformOutput<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { tiles, products, bias, before, y } = self;
        let channels = bias.len();
        let zero = simd.splat_f32s(0.0);
        for tile in 0..tiles.count {
            let outputs = tiles.outputs(tile);
            for first in (0..channels).step_by(S::F32_LANES) {
                let last = channels.min(first + S::F32_LANES);
                let mut block: [S::f32s; POINTS] = std::array::from_fn(
                    #[inline(always)]
                    |point| {
                        let from = point * tiles.stride(channels) + tile * channels;
                        load(simd, &products[from + first..from + last])
                    },
                );
                // Of an axis that is done only the first two points of a line are still there.
                for line in 0..16 {
                    untransform_line(simd, &mut block, line, 16);
                }
                for line in 0..8 {
                    untransform_line(simd, &mut block, line / 4 * 16 + line % 4, 4);
                }
                for line in 0..4 {
                    untransform_line(simd, &mut block, line / 2 * 16 + line % 2 * 4, 1);
                }
                let bias = load(simd, &bias[first..last]);
                for (output, voxel) in outputs.iter().enumerate() {
                    let found = block[output / 4 * 16 + output / 2 % 2 * 4 + output % 2];
                    let y = &mut y[voxel * channels + first..voxel * channels + last];
                    let mut sum = simd.add_f32s(found, bias);
                    if before == Before::Added {
                        sum = simd.add_f32s(load(simd, y), sum);
                    }
                    store(simd, y, simd.max_f32s(sum, zero));
                }
            }
        }
    }
}

/// As many values as there are lanes, or the last few.
#[inline(always)]
fn load<S: Simd>(simd: S, values: &[f32]) -> S::f32s {
    // Whole vectors are the rule, and a call of a function each is not for them.
    if values.len() == S::F32_LANES {
        bytemuck::pod_read_unaligned(bytemuck::cast_slice(values))
    } else {
        simd.partial_load_f32s(values)
    }
}

/// The other way.
#[inline(always)]
fn store<S: Simd>(simd: S, values: &mut [f32], vector: S::f32s) {
    if values.len() == S::F32_LANES {
        values[..S::F32_LANES].copy_from_slice(bytemuck::cast_slice(&[vector]));
    } else {
        simd.partial_store_f32s(values, vector);
    }
}

/// One line of inputs to the transformed domain, which begins at the point `line` and has its
/// points `stride` apart.
#[inline(always)]
fn transform_line<S: Simd>(simd: S, block: &mut [S::f32s; POINTS], line: usize, stride: usize) {
    let [a, b, c, d] = [0, 1, 2, 3].map(|i| block[line + i * stride]);
    block[line] = simd.sub_f32s(a, c);
    block[line + stride] = simd.add_f32s(b, c);
    block[line + 2 * stride] = simd.sub_f32s(c, b);
    block[line + 3 * stride] = simd.sub_f32s(b, d);
}

/// One line of products to its two outputs.
#[inline(always)]
fn untransform_line<S: Simd>(simd: S, block: &mut [S::f32s; POINTS], line: usize, stride: usize) {
    let [a, b, c, d] = [0, 1, 2, 3].map(|i| block[line + i * stride]);
    block[line] = simd.add_f32s(simd.add_f32s(a, b), c);
    block[line + stride] = simd.sub_f32s(simd.sub_f32s(b, c), d);
}

/// First points of the 16 lines of four points that run with `stride`.
#[inline(always)]
fn lines(stride: usize) -> impl Iterator<Item = usize> {
    (0..POINTS / 4).map(move |line| line / stride * 4 * stride + line % stride)
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
