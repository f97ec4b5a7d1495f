//! From an ideal slice to a magnitude image: finite k-space, noise and motion.
//!
//! The slice is transformed, what lies outside of the acquired samples is dropped (blur and
//! ringing), complex noise is added (which makes the magnitude Rician, Gudbjartsson 1995), motion
//! between the phase-encoding steps becomes a phase, and the zero-filled result is transformed
//! back.

use std::f32::consts::TAU;
use std::sync::Arc;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlannerScalar};

/// How k-space is sampled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampling {
    /// Acquired samples along the columns' and along the rows' direction.
    pub(super) acquired: [usize; 2],
    /// Phase is encoded from row to row rather than from column to column.
    pub(super) phase_down: bool,
    /// Share of k-space, from the edge, that the reconstruction's filter damps.
    pub(super) damped: f32,
    /// Standard deviation of the noise in the real and in the imaginary image.
    pub(super) noise_sd: f32,
    pub(super) motion: Option<Motion>,
    /// Width in pixels of the grid from which the slice was interpolated linearly, which blurs;
    /// that is undone as far as it can be.
    pub(super) blur: f32,
}

/// Movement to and fro while a slice is acquired.
#[derive(Clone, Copy, Debug)]
pub(super) struct Motion {
    /// Amplitude along columns and rows, in pixels.
    pub(super) amplitude: [f32; 2],
    /// Periods while k-space is filled.
    pub(super) periods: f32,
}

/// Transforms of one image size, planned once.
pub(super) struct Scanning {
    size: usize,
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
    sampling: Sampling,
    /// Weights of the acquired samples along both directions, by their frequency's index.
    weights: [Vec<f32>; 2],
    /// Gains that undo the blur, likewise.
    gains: Vec<f32>,
    /// Noise of one sample that gives `noise_sd` in the image.
    sample_sd: f32,
    image: Vec<Complex32>,
    columns: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

impl Scanning {
    pub(super) fn new(size: usize, sampling: Sampling) -> Self {
        // Not the planner that picks instructions by processor: bytes would depend on the machine.
        let mut planner = FftPlannerScalar::new();
        let [forward, inverse] = [planner.plan_fft_forward(size), planner.plan_fft_inverse(size)];
        let weights = sampling.acquired.map(|acquired| window(size, acquired, sampling.damped));
        let power = weights.each_ref().map(|w| w.iter().map(|v| v * v).sum::<f32>());
        let pixels = (size * size) as f32;
        let scratch = forward.get_inplace_scratch_len().max(inverse.get_inplace_scratch_len());
        Self {
            size,
            forward,
            inverse,
            sampling,
            weights,
            gains: (0..size).map(|k| sharpening(frequency(k, size), sampling.blur)).collect(),
            sample_sd: sampling.noise_sd * pixels / (power[0] * power[1]).sqrt(),
            image: vec![Complex32::ZERO; size * size],
            columns: vec![Complex32::ZERO; size * size],
            scratch: vec![Complex32::ZERO; scratch],
        }
    }

    /// Replaces an ideal slice by the image that the scanner makes of it.
    pub(super) fn image(&mut self, slice: &mut [f32], rng: &mut ChaCha8Rng) {
        let n = self.size;
        for (value, &ideal) in self.image.iter_mut().zip(slice.iter()) {
            *value = Complex32::new(ideal, 0.0);
        }
        self.forward.process_with_scratch(&mut self.image, &mut self.scratch);
        // Only the acquired columns of k-space go on, each contiguous for the second transform.
        let kept: Vec<usize> = (0..n).filter(|&k| self.weights[0][k] > 0.0).collect();
        for (column, &k) in self.columns.chunks_exact_mut(n).zip(&kept) {
            for (row, value) in column.iter_mut().enumerate() {
                *value = self.image[row * n + k];
            }
        }
        let used = kept.len() * n;
        self.forward.process_with_scratch(&mut self.columns[..used], &mut self.scratch);
        let phase: f32 = rng.random_range(0.0..TAU);
        for (column, &k) in self.columns.chunks_exact_mut(n).zip(&kept) {
            let [across, down] = &self.weights;
            sample(column, k, [across, down], &self.gains, self.sample_sd, rng);
            if let Some(motion) = self.sampling.motion {
                move_lines(column, k, &self.sampling, motion, phase);
            }
        }
        self.inverse.process_with_scratch(&mut self.columns[..used], &mut self.scratch);
        self.image.fill(Complex32::ZERO);
        for (column, &k) in self.columns.chunks_exact(n).zip(&kept) {
            for (row, &value) in column.iter().enumerate() {
                self.image[row * n + k] = value;
            }
        }
        self.inverse.process_with_scratch(&mut self.image, &mut self.scratch);
        let scale = 1.0 / (n * n) as f32;
        for (value, complex) in slice.iter_mut().zip(&self.image) {
            *value = complex.norm_sqr().sqrt() * scale;
        }
    }
}

/// Weighs one column of k-space and adds noise to what is acquired.
fn sample(
    column: &mut [Complex32],
    k: usize,
    [across, down]: [&[f32]; 2],
    gains: &[f32],
    sd: f32,
    rng: &mut ChaCha8Rng,
) {
    for ((value, weight), gain) in column.iter_mut().zip(down).zip(gains) {
        let weight = weight * across[k];
        if weight > 0.0 {
            let [re, im]: [f32; 2] = [rng.sample(StandardNormal), rng.sample(StandardNormal)];
            *value = (*value * (gain * gains[k]) + Complex32::new(re, im) * sd) * weight;
        } else {
            *value = Complex32::ZERO;
        }
    }
}

/// Inverse of the transfer function of linear interpolation, limited.
fn sharpening(frequency: f32, blur: f32) -> f32 {
    let half = std::f32::consts::PI * frequency * blur;
    let sinc = if half.abs() < 1e-3 { 1.0 } else { half.sin() / half };
    (1.0 / (sinc * sinc).max(1e-3)).min(1.5)
}

fn move_lines(column: &mut [Complex32], k: usize, sampling: &Sampling, motion: Motion, phase: f32) {
    let n = column.len();
    let horizontal = frequency(k, n);
    let across = motion.amplitude;
    for (row, value) in column.iter_mut().enumerate() {
        let vertical = frequency(row, n);
        let line = if sampling.phase_down { vertical } else { horizontal };
        let time = (TAU * motion.periods * line + phase).sin();
        let shift = time * (horizontal * across[0] + vertical * across[1]);
        *value *= Complex32::from_polar(1.0, -TAU * shift);
    }
}

/// Frequency of an index, in cycles per pixel.
fn frequency(index: usize, size: usize) -> f32 {
    let signed = if index * 2 < size { index as f32 } else { index as f32 - size as f32 };
    signed / size as f32
}

/// One inside the acquired samples, falling as a cosine to a third at their edge, zero outside.
fn window(size: usize, acquired: usize, damped: f32) -> Vec<f32> {
    let edge = acquired as f32 / size as f32 / 2.0;
    (0..size)
        .map(|index| {
            let distance = frequency(index, size).abs() / edge;
            if distance > 1.0 {
                0.0
            } else {
                let into = ((distance - 1.0 + damped) / damped.max(1e-3)).max(0.0);
                0.65 + 0.35 * (into * std::f32::consts::PI).cos()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn sampling(noise_sd: f32) -> Sampling {
        Sampling {
            acquired: [48, 32],
            phase_down: true,
            damped: 0.3,
            noise_sd,
            motion: None,
            blur: 0.0,
        }
    }

    /// Background of a magnitude image has the mean and the spread of a Rayleigh distribution.
    #[test]
    fn background_is_rayleigh_noise_of_the_stated_size() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut slice = vec![0.0; 64 * 64];
        let mut scanning = Scanning::new(64, sampling(2.0));
        let mut all = Vec::new();
        for _ in 0..20 {
            slice.fill(0.0);
            scanning.image(&mut slice, &mut rng);
            all.extend_from_slice(&slice);
        }
        let mean = all.iter().sum::<f32>() / all.len() as f32;
        assert!((mean / 2.0 - 1.2533).abs() < 0.03, "{mean}");
    }

    /// A flat image stays what it is: the transforms are scaled right and the window keeps k = 0.
    #[test]
    fn mean_survives_and_resolution_falls() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut slice: Vec<f32> =
            (0..64 * 64).map(|i| if i % 64 < 32 { 100.0 } else { 0.0 }).collect();
        Scanning::new(64, sampling(0.0)).image(&mut slice, &mut rng);
        let middle = slice[32 * 64 + 16];
        assert!((middle - 100.0).abs() < 8.0, "{middle}");
        let largest = slice.iter().copied().fold(0.0, f32::max);
        assert!(largest > 103.0, "an edge without ringing: {largest}");
    }
}
