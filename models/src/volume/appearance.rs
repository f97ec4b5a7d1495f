//! What a volume looks like in a few numbers: they change when a scanner or its protocol does, and
//! tell nothing of a patient.

use serde::{Deserialize, Serialize};

use super::Volume;

/// Share of the brightest tissue from which on a voxel counts as foreground.
const FOREGROUND: f32 = 0.1;
/// Voxels that are looked at; of larger volumes every n-th, so that this costs milliseconds.
const LOOKED_AT: usize = 1 << 20;
/// Slices whose noise is measured.
const NOISE_SLICES: usize = 8;
/// Of a normal distribution, median of the absolute values over the standard deviation.
const MEDIAN_OF_NORMAL: f32 = 0.674_490;
/// Norm of the mask of [`noise`]: the root of the sum of its squares.
const MASK_NORM: f32 = 6.0;

/// What a volume looks like. Intensities are in the scanner's units, before they are divided by
/// the largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Appearance {
    /// First percentile of all voxels.
    pub p1: f32,
    /// 99th percentile of all voxels: the brightest tissue, without what sticks out.
    pub p99: f32,
    /// Share of voxels above a tenth of `p99`.
    pub foreground: f32,
    /// Mean of these.
    pub mean: f32,
    /// Standard deviation of these.
    pub sd: f32,
    /// Standard deviation of the noise, after resampling in plane.
    pub noise: f32,
}

/// Measures a volume. All is zero where it has no voxel.
#[must_use]
pub fn appearance(volume: &Volume) -> Appearance {
    let step = volume.voxels.len().div_ceil(LOOKED_AT).max(1);
    let mut voxels: Vec<f32> = volume.voxels.iter().copied().step_by(step).collect();
    let (p1, p99) = (quantile(&mut voxels, 1), quantile(&mut voxels, 99));
    let bright = || voxels.iter().copied().filter(|v| *v > FOREGROUND * p99).map(f64::from);
    let count = bright().count().max(1) as f64;
    let mean = bright().sum::<f64>() / count;
    let variance = bright().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    #[expect(clippy::cast_possible_truncation, reason = "means of single precision fit into it")]
    let narrow = |value: f64| value as f32;
    Appearance {
        p1,
        p99,
        foreground: narrow(bright().count() as f64 / voxels.len().max(1) as f64),
        mean: narrow(mean),
        sd: narrow(variance.sqrt()),
        noise: noise(volume),
    }
}

/// The value below which so many percent lie; sorts partly.
fn quantile(values: &mut [f32], percent: usize) -> f32 {
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    *values.select_nth_unstable_by(last * percent / 100, f32::total_cmp).1
}

/// Immerkær's estimate (Computer Vision and Image Understanding 64, 1996): the mask
/// `1 -2 1, -2 4 -2, 1 -2 1` takes everything that is smooth away. The median instead of his mean
/// keeps edges out, and only slices of the acquisition are looked at, where the head is.
fn noise(volume: &Volume) -> f32 {
    let thin = volume.thin_axis;
    let [down, across] = match thin {
        0 => [1, 2],
        1 => [0, 2],
        _ => [0, 1],
    };
    let strides = [volume.size_vox[1] * volume.size_vox[2], volume.size_vox[2], 1];
    let (slices, rows, columns) =
        (volume.size_vox[thin], volume.size_vox[down], volume.size_vox[across]);
    let mut residues = Vec::new();
    // From the middle half, evenly.
    for slice in (slices / 4..slices - slices / 4).step_by((slices / 2 / NOISE_SLICES).max(1)) {
        for row in 1..rows.saturating_sub(1) {
            for column in 1..columns.saturating_sub(1) {
                let centre = slice * strides[thin] + row * strides[down] + column * strides[across];
                let at = |row: usize, column: usize| {
                    let start = centre - strides[down] - strides[across];
                    volume.voxels[start + row * strides[down] + column * strides[across]]
                };
                let corners = at(0, 0) + at(0, 2) + at(2, 0) + at(2, 2);
                let edges = at(0, 1) + at(1, 0) + at(1, 2) + at(2, 1);
                residues.push((corners - 2.0 * edges + 4.0 * at(1, 1)).abs());
            }
        }
    }
    // Air that a scanner masked to zero has no noise.
    residues.retain(|residue| *residue > 0.0);
    quantile(&mut residues, 50) / (MEDIAN_OF_NORMAL * MASK_NORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reproducible noise of standard deviation 1: twelve uniform numbers (Irwin–Hall).
    fn normal(state: &mut u64) -> f32 {
        let mut uniform = || {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((*state >> 40) as f32) / (1u32 << 24) as f32
        };
        (0..12).map(|_| uniform()).sum::<f32>() - 6.0
    }

    /// A ball of brightness 800 in air of 20, each voxel with noise of so much, brought to so many
    /// times its brightness.
    fn ball(thin_axis: usize, noise: f32, scale: f32) -> Volume {
        let mut size_vox = [64; 3];
        size_vox[thin_axis] = 16;
        let mut state = 7;
        let mut voxels = Vec::new();
        for z in 0..size_vox[0] {
            for y in 0..size_vox[1] {
                for x in 0..size_vox[2] {
                    let off = |at: usize, a: usize| (2 * at + 1) as f32 / size_vox[a] as f32 - 1.0;
                    let inside = off(z, 0).powi(2) + off(y, 1).powi(2) + off(x, 2).powi(2) < 0.64;
                    let tissue = if inside { 800.0 } else { 20.0 };
                    voxels.push(scale * (tissue + noise * normal(&mut state)));
                }
            }
        }
        let [spacing_mm, origin_mm] = [[1.0; 3], [0.0; 3]];
        let direction = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        Volume { voxels, size_vox, thin_axis, spacing_mm, origin_mm, direction }
    }

    #[test]
    fn a_ball_looks_as_it_was_made() {
        for thin_axis in 0..3 {
            for noise in [4.0, 12.0] {
                let found = appearance(&ball(thin_axis, noise, 1.0));
                let near = |value: f32, expected: f32, off: f32, what: &str| {
                    assert!((value - expected).abs() < off, "{what}: {value}, not {expected}");
                };
                near(found.p99, 800.0, 3.0 * noise, "p99");
                near(found.p1, 20.0, 3.0 * noise, "p1");
                // A ball of 0.8 in a cube of edge 2.
                near(found.foreground, 0.268, 0.005, "foreground");
                near(found.mean, 800.0, 1.0, "mean");
                near(found.sd, noise, 0.1 * noise, "sd");
                // The edge of the ball adds a little.
                near(found.noise, noise, 0.15 * noise, "noise");
            }
        }
    }

    #[test]
    fn a_brighter_scanner_changes_the_scale_and_nothing_else() {
        let [before, after] = [1.0, 1.5].map(|scale| appearance(&ball(0, 8.0, scale)));
        assert!((after.p99 / before.p99 - 1.5).abs() < 1e-4);
        assert!((after.noise / before.noise - 1.5).abs() < 1e-4);
        assert!((after.foreground - before.foreground).abs() < 1e-6);
        assert!((after.sd / after.mean - before.sd / before.mean).abs() < 1e-5);
    }

    #[test]
    fn nothing_looks_like_nothing() {
        let empty = Volume { voxels: Vec::new(), size_vox: [0, 256, 256], ..ball(0, 1.0, 1.0) };
        assert_eq!(appearance(&empty), Appearance::default());
        let mut flat = ball(0, 0.0, 1.0);
        flat.voxels.fill(5.0);
        assert_eq!(appearance(&flat).noise, 0.0, "no residue, no noise");
    }
}
