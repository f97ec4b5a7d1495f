//! Slices to pixels: grey window, size, outlines of masks.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "picture coordinates are small, and are clamped to the slice before the cast"
)]

use models::explain::canvas::{Canvas, Colour};

use super::ShownSeries;

/// Grey values between which a series is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) low: f32,
    pub(super) high: f32,
}

impl Window {
    /// From the first percentile to a little above the 99th; vessels and scalp may saturate.
    pub(super) fn of(series: &ShownSeries) -> Self {
        let mut sorted = sample(&series.voxels);
        sorted.sort_by(f32::total_cmp);
        let (low, high) = (percentile(&sorted, 1.0), 1.1 * percentile(&sorted, 99.0));
        if high > low { Self { low, high } } else { Self { low, high: low + 1.0 } }
    }

    /// Width and level, as a viewer names them.
    pub(super) fn caption(self) -> String {
        format!("W {:.0} L {:.0}", self.high - self.low, f32::midpoint(self.low, self.high))
    }
}

/// At most about a quarter million values, evenly spread.
pub(super) fn sample(values: &[f32]) -> Vec<f32> {
    let step = (values.len() >> 18).max(1);
    // Steps that divide rows would meet the same columns only.
    values.iter().copied().step_by(step | 1).filter(|value| value.is_finite()).collect()
}

/// Value at a percentile of ascending values; 0 without any.
pub(super) fn percentile(sorted: &[f32], percent: f64) -> f32 {
    let place = percent / 100.0 * sorted.len().saturating_sub(1) as f64;
    sorted.get(place.round() as usize).copied().unwrap_or(0.0)
}

/// A square of the picture that a slice is fitted into.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) side: usize,
}

/// Colours of mask components, told apart by most eyes.
const COMPONENTS: [Colour; 6] = [
    [255, 99, 71],
    [64, 196, 255],
    [255, 202, 40],
    [174, 234, 0],
    [224, 130, 255],
    [255, 255, 255],
];

impl Tile {
    /// Draws a slice, centred, with square millimetres, and the outline of its mask.
    pub(super) fn draw(
        self,
        canvas: &mut Canvas,
        series: &ShownSeries,
        slice: usize,
        window: Window,
    ) {
        let [columns, rows, _] = series.size_vox;
        let [column_mm, row_mm, _] = series.spacing_mm;
        let (width_mm, height_mm) = (columns as f64 * column_mm, rows as f64 * row_mm);
        let mm_per_px = width_mm.max(height_mm) / self.side as f64;
        let size_px = [width_mm, height_mm].map(|mm| ((mm / mm_per_px) as usize).min(self.side));
        let offset =
            [self.left + (self.side - size_px[0]) / 2, self.top + (self.side - size_px[1]) / 2];
        let length = columns * rows;
        let plane = Plane {
            values: &series.voxels[slice * length..][..length],
            columns,
            rows,
            step: [columns as f64 / size_px[0] as f64, rows as f64 / size_px[1] as f64],
        };
        let mask = series.mask.get(slice * length..(slice + 1) * length).unwrap_or_default();
        for y in 0..size_px[1] {
            for x in 0..size_px[0] {
                let shade = (plane.mean(x, y) - window.low) / (window.high - window.low);
                let grey = (shade.clamp(0.0, 1.0) * 255.0).round() as u8;
                canvas.blend(offset[0] + x, offset[1] + y, [grey; 3], 1.0);
            }
        }
        if mask.is_empty() {
            return;
        }
        for y in 0..size_px[1] {
            for x in 0..size_px[0] {
                let here = plane.nearest(mask, x, y);
                let edge = [(1, 0), (0, 1)].iter().any(|(dx, dy)| {
                    plane.nearest(mask, x + dx, y + dy) != here
                        || plane.nearest(mask, x.saturating_sub(*dx), y.saturating_sub(*dy)) != here
                });
                if here > 0 && edge {
                    let colour = COMPONENTS[(usize::from(here) - 1) % COMPONENTS.len()];
                    canvas.blend(offset[0] + x, offset[1] + y, colour, 0.9);
                }
            }
        }
    }
}

/// A slice and the number of its voxels along a pixel.
struct Plane<'a> {
    values: &'a [f32],
    columns: usize,
    rows: usize,
    step: [f64; 2],
}

impl Plane<'_> {
    /// Mean of a pixel's area, interpolated between voxel centres.
    fn mean(&self, x: usize, y: usize) -> f32 {
        let parts = self.step.map(|step| step.ceil().clamp(1.0, 8.0) as usize);
        let mut sum = 0.0;
        for v in 0..parts[1] {
            for u in 0..parts[0] {
                let at = |pixel: usize, part: usize, axis: usize| {
                    let inside = (part as f64 + 0.5) / parts[axis] as f64;
                    (pixel as f64 + inside) * self.step[axis] - 0.5
                };
                sum += self.interpolate(at(x, u, 0), at(y, v, 1));
            }
        }
        (sum / (parts[0] * parts[1]) as f64) as f32
    }

    fn interpolate(&self, x: f64, y: f64) -> f64 {
        let (x, y) =
            (x.clamp(0.0, (self.columns - 1) as f64), y.clamp(0.0, (self.rows - 1) as f64));
        let (left, top) = (x as usize, y as usize);
        let (right, bottom) = ((left + 1).min(self.columns - 1), (top + 1).min(self.rows - 1));
        let value = |column: usize, row: usize| f64::from(self.values[row * self.columns + column]);
        let (u, v) = (x - left as f64, y - top as f64);
        let upper = value(left, top) * (1.0 - u) + value(right, top) * u;
        let lower = value(left, bottom) * (1.0 - u) + value(right, bottom) * u;
        upper * (1.0 - v) + lower * v
    }

    fn nearest(&self, mask: &[u8], x: usize, y: usize) -> u8 {
        let at = |pixel: usize, axis: usize, size: usize| {
            (((pixel as f64 + 0.5) * self.step[axis]) as usize).min(size - 1)
        };
        mask[at(y, 1, self.rows) * self.columns + at(x, 0, self.columns)]
    }
}
