//! Figures that tell a real image from an unlikely one.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bins are clamped before the cast; grey levels are single precision"
)]

use serde::{Deserialize, Serialize};

use super::ShownSeries;
use super::pixels::{percentile, sample};

/// Bins of [`Statistics::histogram`], from 0 to [`HISTOGRAM_END`].
pub(super) const BINS: usize = 64;
/// Right end of the histogram, in units of the 99th percentile.
const HISTOGRAM_END: f32 = 1.2;
/// Foreground begins at this share of the 99th percentile.
const FOREGROUND: f32 = 0.1;
/// Mean of a Rayleigh distribution of scale 1, which noise in air follows.
const RAYLEIGH_MEAN: f64 = 1.253_314_137_315_5;
/// Standard deviation of normal noise by the median of its magnitude.
const NORMAL_MEDIAN: f64 = 1.482_602_218_505_6;
/// Length of the difference's nine weights 1, -2, 1 x 1, -2, 1.
const WEIGHTS_LENGTH: f64 = 6.0;
/// Side of a corner in which air is expected, as a part of the image.
const CORNER: usize = 12;

/// Statistics of the middle three fifths of a stack, intensities in units of the 99th percentile
/// of its voxels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Share of the voxels above a tenth of the 99th percentile: the foreground.
    pub foreground: f32,
    /// Mean of the foreground.
    pub mean: f32,
    /// Its standard deviation.
    pub deviation: f32,
    /// Median, 90th and 99th percentile of the in-plane gradient in the foreground, per mm.
    pub edges: [f32; 3],
    /// Bits of the foreground's histogram of 64 bins.
    pub entropy: f32,
    /// Scale of the noise, from the quietest corner of each slice; 0 where air was blanked.
    pub noise_air: f32,
    /// Standard deviation of the noise in the foreground, from the median of the second
    /// difference along both axes, which is 0 on even and on linear tissue.
    pub noise_tissue: f32,
    /// Shares of the foreground in 64 bins from 0 to 1.2.
    pub histogram: Vec<f32>,
}

/// Measures a series.
#[must_use]
pub fn statistics(series: &ShownSeries) -> Statistics {
    let [columns, rows, slices] = series.size_vox;
    let length = columns * rows;
    let middle = slices / 5..slices - slices / 5;
    let voxels = &series.voxels[middle.start * length..middle.end * length];
    let scale = percentile(&ascending(voxels), 99.0);
    if scale <= 0.0 {
        return Statistics { histogram: vec![0.0; BINS], ..Statistics::default() };
    }
    let mut tissue = Tissue::default();
    let mut air = Vec::new();
    for slice in voxels.chunks_exact(length) {
        tissue.add(slice, series, scale);
        air.push(quietest_corner(slice, columns, rows) / f64::from(scale) / RAYLEIGH_MEAN);
    }
    air.sort_by(f64::total_cmp);
    let total = tissue.shares.len().max(1) as f64;
    let sum = |power: i32| tissue.shares.iter().map(|s| f64::from(*s).powi(power)).sum::<f64>();
    let mean = sum(1) / total;
    let mut counts = vec![0_u32; BINS];
    for share in &tissue.shares {
        counts[((share / HISTOGRAM_END * BINS as f32) as usize).min(BINS - 1)] += 1;
    }
    let shares = || counts.iter().map(|count| f64::from(*count) / total);
    let entropy: f64 = shares().filter(|share| *share > 0.0).map(|p| -p * p.log2()).sum();
    let edges = ascending(&tissue.edges);
    let roughness = f64::from(percentile(&ascending(&tissue.roughness), 50.0));
    Statistics {
        foreground: tissue.shares.len() as f32 / voxels.len() as f32,
        mean: mean as f32,
        deviation: (sum(2) / total - mean * mean).max(0.0).sqrt() as f32,
        edges: [50.0, 90.0, 99.0].map(|percent| percentile(&edges, percent)),
        entropy: entropy as f32,
        noise_air: air.get(air.len() / 2).copied().unwrap_or(0.0) as f32,
        noise_tissue: (NORMAL_MEDIAN * roughness / WEIGHTS_LENGTH) as f32,
        histogram: shares().map(|share| share as f32).collect(),
    }
}

fn ascending(values: &[f32]) -> Vec<f32> {
    let mut values = sample(values);
    values.sort_by(f32::total_cmp);
    values
}

/// What the foreground looks like.
#[derive(Default)]
struct Tissue {
    /// Intensities.
    shares: Vec<f32>,
    /// Gradients per mm.
    edges: Vec<f32>,
    /// Magnitudes of the second difference along both axes.
    roughness: Vec<f32>,
}

impl Tissue {
    fn add(&mut self, slice: &[f32], series: &ShownSeries, scale: f32) {
        let [columns, rows, _] = series.size_vox;
        for (index, value) in slice.iter().enumerate() {
            if value / scale < FOREGROUND {
                continue;
            }
            self.shares.push(value / scale);
            let (x, y) = (index % columns, index / columns);
            if x == 0 || y == 0 || x + 1 == columns || y + 1 == rows {
                continue;
            }
            let difference = |step: usize, spacing_mm: f64| {
                f64::from(slice[index + step] - slice[index - step]) / (2.0 * spacing_mm)
            };
            let along = difference(1, series.spacing_mm[0]);
            let across = difference(columns, series.spacing_mm[1]);
            self.edges.push((along.hypot(across) / f64::from(scale)) as f32);
            let bend = |at: usize| slice[at - 1] - 2.0 * slice[at] + slice[at + 1];
            let second = bend(index - columns) - 2.0 * bend(index) + bend(index + columns);
            self.roughness.push(second.abs() / scale);
        }
    }
}

fn quietest_corner(slice: &[f32], columns: usize, rows: usize) -> f64 {
    let (width, height) = ((columns / CORNER).max(1), (rows / CORNER).max(1));
    let corner = |left: usize, top: usize| {
        let line = |y: usize| slice[y * columns + left..][..width].iter().map(|v| f64::from(*v));
        (top..top + height).flat_map(line).sum::<f64>() / (width * height) as f64
    };
    let corners = [
        corner(0, 0),
        corner(columns - width, 0),
        corner(0, rows - height),
        corner(columns - width, rows - height),
    ];
    corners.into_iter().fold(f64::INFINITY, f64::min)
}
