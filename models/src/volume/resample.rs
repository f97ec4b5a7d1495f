//! In-plane resize to 256 x 256. Output index `i` of an axis with `n` samples shows the input at
//! `i * n / 256`: the grids share the centre of their first voxel, not their outer edge
//! (specification §1a).
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions are floored and clamped into the image before they become indices, and \
              linear() works in single precision by choice"
)]

use std::ops::Range;

use rayon::prelude::*;

use super::inverse::inverse;
use crate::dims::IN_PLANE_VOX;
use crate::study::{Samples, Stack};

const PLANE: usize = IN_PLANE_VOX * IN_PLANE_VOX;

/// Linear resize in `f32`, the edge repeated; `[slice, 256, 256]`.
pub(super) fn linear(stack: &Stack) -> Vec<f32> {
    let [columns, rows, slices] = stack.size_vox;
    let (across, down) = (taps(columns), taps(rows));
    let mut resized = vec![0.0; slices * PLANE];
    resized.par_chunks_mut(PLANE).enumerate().for_each_init(
        || (vec![0.0; columns * rows], vec![0.0; columns + 1]),
        |(slice, line), (index, plane)| {
            let first = index * columns * rows;
            read(&stack.samples, first..first + columns * rows, |i, v| slice[i] = v as f32);
            for (out, &(row, weight)) in plane.chunks_exact_mut(IN_PLANE_VOX).zip(&down) {
                let upper = &slice[row * columns..][..columns];
                let lower = &slice[(row + 1).min(rows - 1) * columns..][..columns];
                for ((mixed, a), b) in line.iter_mut().zip(upper).zip(lower) {
                    *mixed = a + (b - a) * weight;
                }
                // One repeated value gives the last column a neighbour.
                line[columns] = line[columns - 1];
                for (value, &(column, weight)) in out.iter_mut().zip(&across) {
                    *value = line[column] + (line[column + 1] - line[column]) * weight;
                }
            }
        },
    );
    resized
}

/// For each of the 256 outputs of an axis: the sample before it and the next one's weight.
fn taps(samples: usize) -> Vec<(usize, f32)> {
    (0..IN_PLANE_VOX)
        .map(|i| {
            let position = (i * samples) as f64 / IN_PLANE_VOX as f64;
            (position.floor() as usize, position.fract() as f32)
        })
        .collect()
}

/// The published resize in `f64`, before any truncation; `[slice, 256, 256]`.
///
/// ITK takes each scanline's two ends through patient space and interpolates between them, and
/// the rounding of that detour shows wherever the exact result is an integer. The same steps are
/// taken here in the same order.
pub(super) fn published(stack: &Stack) -> Vec<f64> {
    let [columns, rows, slices] = stack.size_vox;
    let outside = f64::from(stack.samples.pixel_id());
    let mut samples = vec![0.0; stack.samples.len()];
    read(&stack.samples, 0..samples.len(), |i, v| samples[i] = v);

    let mut spacing_out_mm = stack.spacing_mm;
    spacing_out_mm[0] = columns as f64 * stack.spacing_mm[0] / IN_PLANE_VOX as f64;
    spacing_out_mm[1] = rows as f64 * stack.spacing_mm[1] / IN_PLANE_VOX as f64;
    let to_index = inverse(steps_mm(&stack.direction, stack.spacing_mm));
    let steps = steps_mm(&stack.direction, spacing_out_mm);
    let input_index = |output: [f64; 3]| {
        let mut point = stack.origin_mm;
        for (step, i) in steps.iter().zip(output) {
            for (p, s) in point.iter_mut().zip(step) {
                *p += s * i;
            }
        }
        let offset: [f64; 3] = std::array::from_fn(|r| point[r] - stack.origin_mm[r]);
        to_index.map(|row| row[0] * offset[0] + row[1] * offset[1] + row[2] * offset[2])
    };

    let mut resized = vec![0.0; slices * PLANE];
    resized.par_chunks_mut(IN_PLANE_VOX).enumerate().for_each(|(line, out)| {
        let (z, y) = (line / IN_PLANE_VOX, line % IN_PLANE_VOX);
        let start = input_index([0.0, y as f64, z as f64]);
        let end = input_index([IN_PLANE_VOX as f64, y as f64, z as f64]);
        for (x, value) in out.iter_mut().enumerate() {
            let part = x as f64 / IN_PLANE_VOX as f64;
            let position = std::array::from_fn(|a| start[a] + part * (end[a] - start[a]));
            *value = interpolate(&samples, stack.size_vox, position).unwrap_or(outside);
        }
    });
    resized
}

/// Trilinear value, `None` more than half a voxel outside. Nested x, y, z; an axis without a
/// fraction is skipped, so that its neighbour's rounding cannot enter.
fn interpolate(samples: &[f64], size: [usize; 3], position: [f64; 3]) -> Option<f64> {
    let inside = position.iter().zip(size).all(|(&p, n)| p >= -0.5 && p < n as f64 - 0.5);
    if !inside {
        return None;
    }
    let base = position.map(|p| p.floor().max(0.0));
    let fraction: [f64; 3] = std::array::from_fn(|a| position[a] - base[a]);
    let low = base.map(|b| b as usize);
    let high: [usize; 3] = std::array::from_fn(|a| (low[a] + 1).min(size[a] - 1));

    let at = |x: usize, y: usize, z: usize| samples[(z * size[1] + y) * size[0] + x];
    let mix = |a: f64, next: &dyn Fn() -> f64, axis: usize| {
        if fraction[axis] <= 0.0 { a } else { a + (next() - a) * fraction[axis] }
    };
    let along_x = |y: usize, z: usize| mix(at(low[0], y, z), &|| at(high[0], y, z), 0);
    let along_y = |z: usize| mix(along_x(low[1], z), &|| along_x(high[1], z), 1);
    Some(mix(along_y(low[2]), &|| along_y(high[2]), 2))
}

/// Calls `sink` with each sample of `range` and its place in the range.
fn read(samples: &Samples, range: Range<usize>, mut sink: impl FnMut(usize, f64)) {
    fn each<T: Copy + Into<f64>>(values: &[T], sink: &mut impl FnMut(usize, f64)) {
        for (i, &v) in values.iter().enumerate() {
            sink(i, v.into());
        }
    }
    match samples {
        Samples::I8(v) => each(&v[range], &mut sink),
        Samples::U8(v) => each(&v[range], &mut sink),
        Samples::I16(v) => each(&v[range], &mut sink),
        Samples::U16(v) => each(&v[range], &mut sink),
        Samples::I32(v) => each(&v[range], &mut sink),
        Samples::U32(v) => each(&v[range], &mut sink),
        Samples::F64(v) => each(&v[range], &mut sink),
    }
}

/// One voxel's step along each grid axis.
fn steps_mm(direction: &[[f64; 3]; 3], spacing_mm: [f64; 3]) -> [[f64; 3]; 3] {
    std::array::from_fn(|a| direction[a].map(|d| d * spacing_mm[a]))
}
