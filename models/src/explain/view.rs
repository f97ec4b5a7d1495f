//! How a slice lies in a picture: axes, size in pixels, interpolation, grey window, and the
//! letters that say where the patient's right, anterior and superior are.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "picture coordinates are small, and are clamped to the volume before the cast"
)]

use super::TokenBox;
use super::canvas::Rectangle;
use crate::volume::Volume;

const SHORT_SIDE_PX: f64 = 640.0;
const LONGEST_SIDE_PX: f64 = 1600.0;
/// A caption fits above this; a slice more than three times as long as wide gives up square
/// pixels for it.
const LEAST_SIDE_PX: usize = 512;

/// How the slices of a volume lie in their pictures.
pub(super) struct View {
    /// Volume axes (`[z, y, x]` order) along the picture's rows and columns.
    row_axis: usize,
    column_axis: usize,
    thin_axis: usize,
    /// Superior is the last voxel of z but the first row of the picture.
    upside_down: bool,
    size_vox: [usize; 3],
    direction: [[f64; 3]; 3],
    pub(super) width_px: usize,
    pub(super) height_px: usize,
}

impl View {
    pub(super) fn of(volume: &Volume) -> Self {
        let [row_axis, column_axis] = [[1, 2], [0, 2], [0, 1]][volume.thin_axis];
        let extent = |axis: usize| volume.size_vox[axis] as f64 * volume.spacing_mm[2 - axis];
        let (height_mm, width_mm) = (extent(row_axis), extent(column_axis));
        let px_per_mm = (SHORT_SIDE_PX / height_mm.min(width_mm))
            .min(LONGEST_SIDE_PX / height_mm.max(width_mm));
        let side = |mm: f64| ((mm * px_per_mm).round() as usize).max(LEAST_SIDE_PX);
        Self {
            row_axis,
            column_axis,
            thin_axis: volume.thin_axis,
            upside_down: row_axis == 0,
            size_vox: volume.size_vox,
            direction: volume.direction,
            width_px: side(width_mm),
            height_px: side(height_mm),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.size_vox[self.row_axis]
    }

    pub(super) fn columns(&self) -> usize {
        self.size_vox[self.column_axis]
    }

    pub(super) fn voxel(&self, volume: &Volume, slice: usize, row: usize, column: usize) -> f32 {
        let mut place = [0; 3];
        place[self.thin_axis] = slice;
        place[self.row_axis] = if self.upside_down { self.rows() - 1 - row } else { row };
        place[self.column_axis] = column;
        let [_, height, width] = self.size_vox;
        volume.voxels[(place[0] * height + place[1]) * width + place[2]]
    }

    /// Pixels that a token covers.
    pub(super) fn area(&self, place: &TokenBox) -> Rectangle {
        let px = |vox: usize, size_vox: usize, size_px: usize| {
            (vox as f64 * size_px as f64 / size_vox as f64).round() as usize
        };
        let row = |vox| px(vox, self.rows(), self.height_px);
        let column = |vox| px(vox, self.columns(), self.width_px);
        let (mut first, mut end) = (place.first_vox[self.row_axis], place.end_vox[self.row_axis]);
        if self.upside_down {
            (first, end) = (self.rows() - end, self.rows() - first);
        }
        Rectangle {
            left: column(place.first_vox[self.column_axis]),
            top: row(first),
            right: column(place.end_vox[self.column_axis]),
            bottom: row(end),
        }
    }

    /// Letters for the left, right, top and bottom edge.
    pub(super) fn letters(&self) -> [String; 4] {
        let towards = |axis: usize, sign: f64| letters(self.direction[2 - axis].map(|c| sign * c));
        let down = if self.upside_down { -1.0 } else { 1.0 };
        [
            towards(self.column_axis, -1.0),
            towards(self.column_axis, 1.0),
            towards(self.row_axis, -down),
            towards(self.row_axis, down),
        ]
    }
}

/// The patient directions that a vector in LPS points to, the strongest first; a second letter
/// tells that the acquisition is oblique by more than about 15 degrees.
#[must_use]
pub fn letters(direction: [f64; 3]) -> String {
    let names = [['R', 'L'], ['A', 'P'], ['I', 'S']];
    let mut parts: Vec<(f64, char)> = direction
        .iter()
        .zip(names)
        .map(|(component, [minus, plus])| {
            (component.abs(), if *component > 0.0 { plus } else { minus })
        })
        .filter(|(size, _)| *size > 0.26)
        .collect();
    parts.sort_by(|a, b| b.0.total_cmp(&a.0));
    parts.into_iter().map(|(_, letter)| letter).collect()
}

/// Four neighbours of a picture coordinate and their weights (cubic convolution, Keys 1981).
pub struct Tap {
    places: [usize; 4],
    weights: [f64; 4],
}

impl Tap {
    /// The value between the neighbours.
    pub fn apply(&self, value: impl Fn(usize) -> f64) -> f64 {
        self.places.iter().zip(self.weights).map(|(&place, weight)| weight * value(place)).sum()
    }
}

/// One tap for each of `length_px` pixels over `length_vox` voxels; the edge repeats outside.
#[must_use]
pub fn taps(length_vox: usize, length_px: usize) -> Vec<Tap> {
    let last = length_vox as f64 - 1.0;
    let tap = |px: usize| {
        let centre = (px as f64 + 0.5) * length_vox as f64 / length_px as f64 - 0.5;
        let base = centre.floor();
        let t = centre - base;
        let place = |offset: f64| (base + offset).clamp(0.0, last) as usize;
        Tap {
            places: [place(-1.0), place(0.0), place(1.0), place(2.0)],
            weights: [
                t * (t * (1.0 - 0.5 * t) - 0.5),
                1.0 + t * t * (1.5 * t - 2.5),
                t * (0.5 + t * (2.0 - 1.5 * t)),
                0.5 * t * t * (t - 1.0),
            ],
        }
    };
    (0..length_px).map(tap).collect()
}

/// Grey values shown black and white: the 1st and the 98.5th centile, so that neither noise nor
/// subcutaneous fat and a few bright vessels decide the contrast.
pub(super) fn window(voxels: &[f32]) -> [f32; 2] {
    const SAMPLES: usize = 1 << 18;
    let step = (voxels.len() / SAMPLES).max(1);
    let mut values: Vec<f32> = voxels.iter().copied().step_by(step).collect();
    values.sort_unstable_by(f32::total_cmp);
    let centile = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
    let [low, high] = [centile(0.01), centile(0.985)];
    if high > low { [low, high] } else { [low, low + 1.0] }
}
