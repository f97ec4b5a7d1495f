//! What scanner and physics do to an ideal slice before k-space: receive coil, dephasing of
//! gradient echoes, distortion of echo-planar images.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::geometry::normal;

/// Sensitivity of the receive coil over the head: a polynomial of second order, and what every
/// element adds near itself. There the scalp is the brightest of many images, whatever the brain
/// has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coil {
    centre: [f32; 3],
    linear: [f32; 3],
    square: [f32; 3],
    /// Position and gain of each element.
    elements: [([f32; 3], f32); ELEMENTS],
}

/// Distance at which the polynomial's terms are 1.
const RADIUS_MM: f32 = 90.0;
/// Elements of the array.
const ELEMENTS: usize = 8;
/// Distance of an element from the middle of the head.
const ELEMENT_MM: f32 = 115.0;
/// Distance at which an element has lost three quarters of its gain.
const REACH_MM: f32 = 35.0;

impl Coil {
    /// `normalised` images keep a remainder only. At 3 T the transmit field is strongest in the
    /// middle of the head.
    pub(super) fn draw(
        centre: [f32; 3],
        normalised: bool,
        high: bool,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let size = if normalised { 0.07 } else { 0.2 };
        let mut around = |middle: f32| middle + size * rng.random_range(-1.0..1.0_f32);
        let linear = [around(0.0) * 0.6, around(0.0), around(0.0)];
        // Array elements lie around the head: what is near them is brighter.
        let surface = if normalised { 0.0 } else { 0.22 } - if high { 0.12 } else { 0.0 };
        let square = [around(surface), around(surface), around(surface * 0.4 - 0.06)];
        let gain = if normalised { 0.05..0.3 } else { 0.4..1.1 };
        let elements = std::array::from_fn(|_| {
            let towards: [f32; 3] = std::array::from_fn(|_| normal(rng, 1.0));
            let length = towards.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-3);
            let place = std::array::from_fn(|a| centre[a] + ELEMENT_MM * towards[a] / length);
            (place, rng.random_range(gain.clone()))
        });
        Self { centre, linear, square, elements }
    }

    /// Factor on the signal at a position in the head.
    #[inline(always)]
    pub(super) fn at(&self, position_mm: [f32; 3]) -> f32 {
        let mut value = 1.0;
        for (a, position) in position_mm.iter().enumerate() {
            let u = (position - self.centre[a]) / RADIUS_MM;
            value += self.linear[a] * u + self.square[a] * u * u;
        }
        for (place, gain) in &self.elements {
            let square: f32 = (0..3).map(|a| (position_mm[a] - place[a]).powi(2)).sum();
            value += gain / (1.0 + square / (REACH_MM * REACH_MM)).powi(2);
        }
        value.max(0.25)
    }
}

/// What is left of a gradient echo whose frequency differs by `spread_hz` across the voxel.
pub(super) fn dephased(spread_hz: f32, te_ms: f32) -> f32 {
    let half = std::f32::consts::PI * spread_hz * te_ms / 1000.0;
    if half.abs() < 1e-3 { 1.0 } else { (half.sin() / half).abs() }
}

/// Moves the signal of every pixel by `shift(column, row)` rows, keeping its sum: where the field
/// compresses the image it piles up, where it stretches it fades.
pub(super) fn distort(slice: &mut [f32], columns: usize, shift: &[f32]) {
    let rows = slice.len() / columns;
    let mut moved = vec![0.0; slice.len()];
    for column in 0..columns {
        for row in 0..rows {
            let index = row * columns + column;
            let value = slice[index];
            if value <= 0.0 {
                continue;
            }
            let next = if row + 1 < rows { index + columns } else { index };
            // A pixel covers the way from its own new place to its neighbour's.
            let start = row as f32 + shift[index];
            let end = (row + 1) as f32 + shift[next];
            spread(&mut moved, [columns, rows, column], start.min(end), start.max(end), value);
        }
    }
    slice.copy_from_slice(&moved);
}

/// Adds `value` to a column of an image, shared out over the interval from `start` to `end`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rows are clamped to the image"
)]
fn spread(
    image: &mut [f32],
    [columns, rows, column]: [usize; 3],
    start: f32,
    end: f32,
    value: f32,
) {
    let length = (end - start).max(0.25);
    let centre = (start + end) / 2.0;
    let [low, high] = [centre - length / 2.0, centre + length / 2.0];
    let density = value / length;
    let first = low.floor().max(0.0) as usize;
    let last = (high.ceil().max(0.0) as usize).min(rows);
    for row in first..last {
        let overlap = high.min((row + 1) as f32) - low.max(row as f32);
        image[row * columns + column] += density * overlap.max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distortion_moves_signal_and_keeps_its_sum() {
        let mut slice = vec![0.0; 40];
        slice[20..30].fill(2.0);
        distort(&mut slice, 1, &[3.0; 40]);
        assert_eq!(slice[22..24], [0.0, 2.0]);
        assert_eq!(slice.iter().sum::<f32>(), 20.0);
        // A shift that falls along the column piles the signal up.
        let falling: Vec<f32> = (0..40).map(|row| -0.5 * row as f32).collect();
        distort(&mut slice, 1, &falling);
        let largest = slice.iter().copied().fold(0.0, f32::max);
        assert!((largest - 4.0).abs() < 0.1, "{largest}");
        assert!((slice.iter().sum::<f32>() - 20.0).abs() < 0.1);
    }

    #[test]
    fn echo_is_gone_after_a_full_turn_across_the_voxel() {
        assert_eq!(dephased(0.0, 20.0), 1.0);
        assert!((dephased(25.0, 20.0) - std::f32::consts::FRAC_2_PI).abs() < 1e-4);
        assert!(dephased(50.0, 20.0) < 1e-3);
    }
}
