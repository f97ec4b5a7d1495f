//! The same head on another day: what changes between two acquisitions of one patient.

use models::study::{Samples, Stack};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::Serialize;

/// One disturbance, applied to the slices as acquired, before any preprocessing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Acquisition {
    /// Rotation in the plane of the slices.
    pub rotation_deg: f64,
    /// Displacement along columns and rows.
    pub shift_vox: [f64; 2],
    /// In-plane magnification.
    pub zoom: f64,
    /// Slices missing at the beginning and at the end.
    pub missing_slices: [usize; 2],
    /// Exponent on intensity over its 99th percentile: another weighting of the contrast.
    pub gamma: f64,
    /// Coil sensitivity: coefficients of x, y, z, x², y², z² with coordinates from -1 to 1.
    pub bias: [f64; 6],
    /// Standard deviation of the blur in the plane.
    pub blur_vox: f64,
    /// Standard deviation of the Rician noise, as a share of the 99th percentile.
    pub noise: f64,
    /// Of the noise.
    seed: u64,
}

impl Acquisition {
    /// The acquisition as it was.
    #[must_use]
    pub fn unchanged() -> Self {
        Self {
            rotation_deg: 0.0,
            shift_vox: [0.0; 2],
            zoom: 1.0,
            missing_slices: [0; 2],
            gamma: 1.0,
            bias: [0.0; 6],
            blur_vox: 0.0,
            noise: 0.0,
            seed: 0,
        }
    }

    /// A random one, of a size that is seen from one visit to the next.
    pub fn draw(rng: &mut ChaCha8Rng) -> Self {
        Self {
            rotation_deg: rng.random_range(-10.0..10.0),
            shift_vox: [(); 2].map(|()| rng.random_range(-10.0..10.0)),
            zoom: rng.random_range(0.92..1.08),
            missing_slices: [(); 2].map(|()| rng.random_range(0..=1)),
            gamma: rng.random_range(0.8..1.25),
            bias: [(); 6].map(|()| rng.random_range(-0.15..0.15)),
            blur_vox: rng.random_range(0.0..0.8),
            noise: rng.random_range(0.005..0.04),
            seed: rng.random(),
        }
    }

    /// The image under this acquisition.
    #[must_use]
    pub fn image(&self, stack: &Stack) -> Stack {
        let mut values = values(&stack.samples);
        let mut sorted = values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let high = sorted.get(sorted.len() * 99 / 100).copied().unwrap_or(1.0).max(1.0);
        let size = stack.size_vox;
        values.iter_mut().for_each(|v| *v = high * (v.max(0.0) / high).powf(self.gamma));
        let mut values = self.moved(&values, size, false);
        self.blur(&mut values, size);
        self.shade(&mut values, size);
        let mut rng = crate::stage::run::rng(self.seed, 0);
        let sd = self.noise * high;
        for value in values.iter_mut().filter(|_| sd > 0.0) {
            // Noise of the two channels, then the magnitude.
            let [re, im]: [f64; 2] = [(); 2].map(|()| rng.sample::<f64, _>(StandardNormal));
            *value = (*value + sd * re).hypot(sd * im);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let samples = values.iter().map(|v| v.round().clamp(0.0, 65_535.0) as u16).collect();
        self.cropped(stack, Samples::U16(samples))
    }

    /// A mask on the grid of the image: moved as the image is, by the nearest voxel.
    #[must_use]
    pub fn mask(&self, stack: &Stack) -> Stack {
        let moved = self.moved(&values(&stack.samples), stack.size_vox, true);
        let samples = moved.iter().map(|v| u8::from(*v > 0.5)).collect();
        self.cropped(stack, Samples::U8(samples))
    }

    /// Rotation, zoom and shift about the middle of the slices.
    fn moved(&self, values: &[f64], [columns, rows, _]: [usize; 3], nearest: bool) -> Vec<f64> {
        let (sin, cos) = self.rotation_deg.to_radians().sin_cos();
        let centre = [columns, rows].map(|n| (n as f64 - 1.0) / 2.0);
        let mut out = Vec::with_capacity(values.len());
        for slice in values.chunks_exact(columns * rows) {
            let at = |x: i64, y: i64| {
                let (x, y) = (usize::try_from(x).ok(), usize::try_from(y).ok());
                match (x.filter(|x| *x < columns), y.filter(|y| *y < rows)) {
                    (Some(x), Some(y)) => slice[y * columns + x],
                    _ => 0.0,
                }
            };
            for row in 0..rows {
                for column in 0..columns {
                    let x = column as f64 - centre[0] - self.shift_vox[0];
                    let y = row as f64 - centre[1] - self.shift_vox[1];
                    let from = [
                        (cos * x + sin * y) / self.zoom + centre[0],
                        (cos * y - sin * x) / self.zoom + centre[1],
                    ];
                    out.push(if nearest {
                        let [x, y] = from.map(|v| whole(v.round()));
                        at(x, y)
                    } else {
                        bilinear(from, at)
                    });
                }
            }
        }
        out
    }

    /// Gaussian in the plane, cut off after two voxels.
    fn blur(&self, values: &mut [f64], [columns, rows, _]: [usize; 3]) {
        if self.blur_vox < 0.1 {
            return;
        }
        let weight = |d: f64| (-0.5 * (d / self.blur_vox).powi(2)).exp();
        let kernel: [f64; 5] = [-2.0, -1.0, 0.0, 1.0, 2.0].map(weight);
        let total: f64 = kernel.iter().sum();
        for slice in values.chunks_exact_mut(columns * rows) {
            for (count, length, step, stride) in
                [(rows, columns, 1, columns), (columns, rows, columns, 1)]
            {
                for line in 0..count {
                    let old: Vec<f64> =
                        (0..length).map(|i| slice[line * stride + i * step]).collect();
                    for i in 0..length {
                        let near = |k: usize| old[(i + k).saturating_sub(2).min(length - 1)];
                        let sum: f64 = kernel.iter().enumerate().map(|(k, w)| w * near(k)).sum();
                        slice[line * stride + i * step] = sum / total;
                    }
                }
            }
        }
    }

    fn shade(&self, values: &mut [f64], [columns, rows, slices]: [usize; 3]) {
        let unit = |i: usize, n: usize| 2.0 * i as f64 / (n.max(2) - 1) as f64 - 1.0;
        for (i, value) in values.iter_mut().enumerate() {
            let x = unit(i % columns, columns);
            let y = unit(i / columns % rows, rows);
            let z = unit(i / (columns * rows), slices);
            let terms = [x, y, z, x * x, y * y, z * z];
            *value *= self.bias.iter().zip(terms).map(|(b, t)| b * t).sum::<f64>().exp();
        }
    }

    /// Without the missing slices.
    fn cropped(&self, stack: &Stack, samples: Samples) -> Stack {
        let [columns, rows, slices] = stack.size_vox;
        let [first, last] = self.missing_slices.map(|n| n.min(slices / 8));
        let range = first * columns * rows..(slices - last) * columns * rows;
        let samples = match samples {
            Samples::U16(values) => Samples::U16(values[range].to_vec()),
            Samples::U8(values) => Samples::U8(values[range].to_vec()),
            other => other,
        };
        let mut origin_mm = stack.origin_mm;
        for (axis, origin) in origin_mm.iter_mut().enumerate() {
            *origin += first as f64 * stack.spacing_mm[2] * stack.direction[2][axis];
        }
        Stack { samples, size_vox: [columns, rows, slices - first - last], origin_mm, ..*stack }
    }
}

fn bilinear([x, y]: [f64; 2], at: impl Fn(i64, i64) -> f64) -> f64 {
    let (left, top) = (x.floor(), y.floor());
    let (dx, dy) = (x - left, y - top);
    let (left, top) = (whole(left), whole(top));
    let above = at(left, top) * (1.0 - dx) + at(left + 1, top) * dx;
    let below = at(left, top + 1) * (1.0 - dx) + at(left + 1, top + 1) * dx;
    above * (1.0 - dy) + below * dy
}

/// Column or row of a whole number.
#[expect(clippy::cast_possible_truncation, reason = "a slice has fewer than 2^53 columns")]
fn whole(value: f64) -> i64 {
    value as i64
}

fn values(samples: &Samples) -> Vec<f64> {
    match samples {
        Samples::I8(v) => v.iter().map(|v| f64::from(*v)).collect(),
        Samples::U8(v) => v.iter().map(|v| f64::from(*v)).collect(),
        Samples::I16(v) => v.iter().map(|v| f64::from(*v)).collect(),
        Samples::U16(v) => v.iter().map(|v| f64::from(*v)).collect(),
        Samples::I32(v) => v.iter().map(|v| f64::from(*v)).collect(),
        Samples::U32(v) => v.iter().map(|v| f64::from(*v)).collect(),
        Samples::F64(v) => v.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 16 x 16 x 10 with a bright block right of the middle.
    fn stack() -> Stack {
        let bright = |i: usize| (i % 16 >= 10 && i % 16 < 14) && (6..10).contains(&(i / 16 % 16));
        Stack {
            samples: Samples::U16((0..2560).map(|i| if bright(i) { 1000 } else { 100 }).collect()),
            size_vox: [16, 16, 10],
            spacing_mm: [1.0, 1.0, 5.0],
            origin_mm: [0.0; 3],
            direction: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        }
    }

    fn centre(stack: &Stack) -> [f64; 2] {
        let values = values(&stack.samples);
        let mut sum = [0.0; 3];
        for (i, v) in values.iter().enumerate().filter(|(_, v)| **v > 0.5) {
            let weight = if *v > 500.0 || *v <= 1.0 { 1.0 } else { 0.0 };
            sum[0] += weight * (i % 16) as f64;
            sum[1] += weight * (i / 16 % 16) as f64;
            sum[2] += weight;
        }
        [sum[0] / sum[2], sum[1] / sum[2]]
    }

    #[test]
    fn unchanged_is_unchanged() {
        assert_eq!(Acquisition::unchanged().image(&stack()), stack());
    }

    #[test]
    fn mask_and_image_move_together() {
        let image = stack();
        let Samples::U16(values) = &image.samples else { unreachable!() };
        let mask = values.iter().map(|v| u8::from(*v > 500)).collect();
        let mask = Stack { samples: Samples::U8(mask), ..image.clone() };
        let moved = Acquisition {
            rotation_deg: 90.0,
            shift_vox: [1.0, -2.0],
            missing_slices: [1, 0],
            ..Acquisition::unchanged()
        };
        let (image, mask) = (moved.image(&image), moved.mask(&mask));
        // Right of the middle by 4 turns to below the middle by 4.
        assert_eq!(centre(&mask), [8.5, 9.5]);
        assert_eq!(centre(&image), centre(&mask));
        assert_eq!((image.size_vox, image.origin_mm), ([16, 16, 9], [0.0, 0.0, 5.0]));
    }

    #[test]
    fn equal_draws_give_equal_images_and_others_do_not() {
        let draw = |seed| Acquisition::draw(&mut crate::stage::run::rng(seed, 0));
        assert_eq!(draw(1).image(&stack()), draw(1).image(&stack()));
        assert_ne!(draw(1).image(&stack()), draw(2).image(&stack()));
    }
}
