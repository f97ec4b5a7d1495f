//! The static field that the head's own susceptibility makes: the dipole convolution in k-space
//! (Salomir 2003), on a coarse grid, after the shim.

use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlannerScalar};

use super::geometry::{Between, Stack};
use super::volume::mix;
use crate::simulate::head::{Grid, Head, Material, TISSUES, Tissue};

/// Proton frequency in Hz per tesla and ppm.
const HZ: f32 = 42.577;
/// Spacing of the coarse grid in voxels of the head's.
const COARSE: usize = 2;

/// Frequency offset in Hz on a coarse grid.
pub(super) struct FieldMap {
    pub(super) grid: Grid,
    values: Vec<f32>,
}

impl FieldMap {
    pub(super) fn new(head: &Head, materials: &[Material; TISSUES], tesla: f32) -> Self {
        let chi = materials.each_ref().map(|material| material.chi_ppm / 255.0);
        let layers: Vec<f32> =
            head.layers.iter().map(|l| l.material[usize::from(tesla > 2.0)].chi_ppm).collect();
        let fine = mix(head, &chi, &layers);
        let size = head.grid.size.map(|n| n.div_ceil(COARSE));
        let grid = Grid {
            size,
            spacing_mm: head.grid.spacing_mm * COARSE as f32,
            origin_mm: head.grid.origin_mm.map(|v| v + 0.5 * head.grid.spacing_mm),
        };
        let padded = size.map(|n| (n * 5 / 4).div_ceil(16) * 16);
        let air = materials[Tissue::Air as usize].chi_ppm;
        let mut field = coarse(&fine, head.grid.size, size, padded, air);
        convolve(&mut field, padded);
        let mut values = Vec::with_capacity(grid.len());
        for z in 0..size[2] {
            for y in 0..size[1] {
                let row = (z * padded[1] + y) * padded[0];
                values.extend(field[row..row + size[0]].iter().map(|v| v.re * HZ * tesla));
            }
        }
        shim(&mut values, &grid, head);
        Self { grid, values }
    }

    /// Frequency offsets in coordinates of the map's grid.
    pub(super) fn between(&self) -> Between<'_> {
        Between::all(&self.values, self.grid.size)
    }

    /// The map in the coordinates of `stack`.
    pub(super) fn stack(&self, stack: &Stack, head: &Grid) -> Stack {
        stack.on(head, &self.grid)
    }
}

/// Susceptibility averaged over blocks, the neck continued below the grid, air around.
fn coarse(
    fine: &[f32],
    from: [usize; 3],
    size: [usize; 3],
    padded: [usize; 3],
    air: f32,
) -> Vec<Complex32> {
    let mut values = vec![Complex32::ZERO; padded.iter().product()];
    let margin = padded[2] - size[2];
    for z in 0..padded[2] {
        // Space above the head, then, as the transform is periodic, space below it.
        let source = match z {
            z if z < size[2] => z,
            z if z < size[2] + margin / 2 => continue,
            _ => 0,
        };
        for y in 0..size[1] {
            for x in 0..size[0] {
                let (mut sum, mut count) = (0.0, 0.0);
                for corner in 0..COARSE * COARSE * COARSE {
                    let at = [
                        x * COARSE + corner % COARSE,
                        y * COARSE + corner / COARSE % COARSE,
                        source * COARSE + corner / (COARSE * COARSE),
                    ];
                    if (0..3).all(|a| at[a] < from[a]) {
                        sum += fine[(at[2] * from[1] + at[1]) * from[0] + at[0]];
                        count += 1.0;
                    }
                }
                let mean = if count > 0.0 { sum / count } else { air };
                // Relative to air, so that the padding is zero.
                values[(z * padded[1] + y) * padded[0] + x].re = mean - air;
            }
        }
    }
    values
}

/// Multiplies the transform by 1/3 - kz²/k².
fn convolve(values: &mut [Complex32], size: [usize; 3]) {
    // Scalar, so that bytes do not depend on the machine.
    let mut planner = FftPlannerScalar::new();
    let forward = size.map(|n| planner.plan_fft_forward(n));
    let inverse = size.map(|n| planner.plan_fft_inverse(n));
    transform(values, size, [&*forward[0], &*forward[1], &*forward[2]]);
    let scale = 1.0 / values.len() as f32;
    let squares = size.map(|n| {
        let signed = move |i: usize| if 2 * i < n { i as f32 } else { i as f32 - n as f32 };
        (0..n).map(|i| (signed(i) / n as f32).powi(2)).collect::<Vec<f32>>()
    });
    for (row, line) in values.chunks_exact_mut(size[0]).enumerate() {
        let (y2, z2) = (squares[1][row % size[1]], squares[2][row / size[1]]);
        for (value, x2) in line.iter_mut().zip(&squares[0]) {
            let all = x2 + y2 + z2;
            let kernel = if all > 0.0 { 1.0 / 3.0 - z2 / all } else { 0.0 };
            *value *= kernel * scale;
        }
    }
    transform(values, size, [&*inverse[0], &*inverse[1], &*inverse[2]]);
}

fn transform(values: &mut [Complex32], [nx, ny, nz]: [usize; 3], plans: [&dyn Fft<f32>; 3]) {
    plans[0].process(values);
    let mut lines = vec![Complex32::ZERO; nx * ny.max(nz)];
    // One plane at a time, its columns made contiguous.
    let mut across = |values: &mut [Complex32], start: usize, stride: usize, n: usize, plan| {
        let plan: &dyn Fft<f32> = plan;
        for i in 0..n {
            for x in 0..nx {
                lines[x * n + i] = values[start + i * stride + x];
            }
        }
        plan.process(&mut lines[..nx * n]);
        for i in 0..n {
            for x in 0..nx {
                values[start + i * stride + x] = lines[x * n + i];
            }
        }
    };
    for z in 0..nz {
        across(values, z * nx * ny, nx, ny, plans[1]);
    }
    for y in 0..ny {
        across(values, y * nx, nx * ny, nz, plans[2]);
    }
}

/// Removes the constant and the linear part inside the brain, by least squares.
fn shim(values: &mut [f32], grid: &Grid, head: &Head) {
    let brain = [Tissue::GreyMatter as usize, Tissue::WhiteMatter as usize];
    let [nx, ny, _] = grid.size;
    let terms = |index: usize| {
        let at = [index % nx, index / nx % ny, index / (nx * ny)];
        let [x, y, z]: [f64; 3] = std::array::from_fn(|a| at[a] as f64 / grid.size[a] as f64 - 0.5);
        [1.0, x, y, z]
    };
    let mut normal = [[0.0_f64; 5]; 4];
    for (index, &value) in values.iter().enumerate().step_by(3) {
        let at = [index % nx, index / nx % ny, index / (nx * ny)].map(|v| v * COARSE);
        let fractions = head.fractions[head.grid.index(at)];
        if u16::from(fractions[brain[0]]) + u16::from(fractions[brain[1]]) < 200 {
            continue;
        }
        let basis = terms(index);
        for (row, a) in normal.iter_mut().zip(basis) {
            for (cell, b) in row.iter_mut().zip(basis) {
                *cell += a * b;
            }
            row[4] += a * f64::from(value);
        }
    }
    let fit = solve(normal);
    for (index, value) in values.iter_mut().enumerate() {
        let linear: f64 = terms(index).iter().zip(fit).map(|(a, b)| a * b).sum();
        #[expect(clippy::cast_possible_truncation, reason = "a frequency offset in Hz")]
        let linear = linear as f32;
        *value -= linear;
    }
}

/// Solution of a positive definite system; zero where it is singular, as for a head without brain.
fn solve(mut rows: [[f64; 5]; 4]) -> [f64; 4] {
    for pivot in 0..4 {
        let diagonal = rows[pivot][pivot];
        if diagonal < 1e-9 {
            return [0.0; 4];
        }
        let line = rows[pivot].map(|v| v / diagonal);
        for (index, row) in rows.iter_mut().enumerate() {
            let factor = row[pivot];
            if index == pivot {
                *row = line;
            } else {
                for (cell, value) in row.iter_mut().zip(line) {
                    *cell -= factor * value;
                }
            }
        }
    }
    rows.map(|row| row[4])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outside of a ball the field is that of a dipole: chi/3 (r/d)³ (3 cos² - 1).
    #[test]
    fn a_ball_makes_the_field_of_a_dipole() {
        let n = 64_usize;
        let radius = 6.0_f32;
        let at = |i: usize| [i % n, i / n % n, i / (n * n)].map(|v| v as f32 - 32.0);
        let mut values: Vec<Complex32> = (0..n * n * n)
            .map(|i| {
                let inside = at(i).iter().map(|v| v * v).sum::<f32>() < radius * radius;
                Complex32::new(if inside { 9.0 } else { 0.0 }, 0.0)
            })
            .collect();
        let volume = values.iter().map(|v| v.re / 9.0).sum::<f32>();
        convolve(&mut values, [n; 3]);
        let far =
            |position: [usize; 3]| values[(position[2] * n + position[1]) * n + position[0]].re;
        let expected = 9.0 * volume / (4.0 * std::f32::consts::PI * 12.0_f32.powi(3));
        let [pole, equator] = [far([32, 32, 44]), far([44, 32, 32])];
        assert!((pole / (2.0 * expected) - 1.0).abs() < 0.1, "{pole} {expected}");
        assert!((equator / -expected - 1.0).abs() < 0.1, "{equator} {expected}");
    }
}
