//! Distance from a tissue, on a coarse lattice.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "lattice indices are clamped to their range first"
)]

use super::vector::Vec3;
use crate::simulate::head::{Grid, Head, TISSUES};

/// Distance of a node not reached yet.
const UNKNOWN: f32 = 1e4;
/// Voxels between two nodes of the lattice.
const STEP: usize = 2;

/// Distance in millimetres of every second voxel from the nearest voxel of a kind.
pub(super) struct Distance {
    grid: Grid,
    distance_mm: Vec<f32>,
}

impl Distance {
    /// Nodes where `seed` (0..1) is high are at distance 0; [`Self::spread`] fills the others.
    pub(super) fn from(head: &Head, seed: impl Fn(&[u8; TISSUES], u8) -> f32) -> Self {
        let size = head.grid.size.map(|n| n.div_ceil(STEP));
        let spacing_mm = head.grid.spacing_mm * STEP as f32;
        // Nodes lie in the middle of a cube of voxels.
        let origin_mm = head.grid.origin_mm.map(|v| v + head.grid.spacing_mm * 0.5);
        let grid = Grid { size, spacing_mm, origin_mm };
        let mut distance_mm = Vec::with_capacity(grid.len());
        for z in 0..size[2] {
            for y in 0..size[1] {
                for x in 0..size[0] {
                    let mut sum = 0.0;
                    for corner in 0..8 {
                        let voxel = [
                            (x * STEP + (corner & 1)).min(head.grid.size[0] - 1),
                            (y * STEP + (corner >> 1 & 1)).min(head.grid.size[1] - 1),
                            (z * STEP + (corner >> 2)).min(head.grid.size[2] - 1),
                        ];
                        let i = head.grid.index(voxel);
                        sum += seed(&head.fractions[i], head.region[i]);
                    }
                    let part = sum / 8.0;
                    distance_mm.push(if part > 0.3 { (0.5 - part) * spacing_mm } else { UNKNOWN });
                }
            }
        }
        Self { grid, distance_mm }
    }

    /// Forgets what is not connected with the border of the head's grid: specks inside the skull.
    pub(super) fn outside_only(mut self) -> Self {
        let [nx, ny, nz] = self.grid.size;
        let mut reached = vec![false; self.grid.len()];
        let mut open: Vec<usize> = Vec::new();
        let strides = [1, nx, nx * ny];
        for (i, reached) in reached.iter_mut().enumerate() {
            let at = [i % nx, i / nx % ny, i / (nx * ny)];
            let border = at.iter().zip([nx, ny, nz]).any(|(&v, n)| v == 0 || v + 1 == n);
            if border && self.distance_mm[i] < UNKNOWN {
                *reached = true;
                open.push(i);
            }
        }
        while let Some(i) = open.pop() {
            let at = [i % nx, i / nx % ny, i / (nx * ny)];
            for (axis, n) in [nx, ny, nz].into_iter().enumerate() {
                let below = (at[axis] > 0).then(|| i - strides[axis]);
                let above = (at[axis] + 1 < n).then(|| i + strides[axis]);
                for j in below.into_iter().chain(above) {
                    if !reached[j] && self.distance_mm[j] < UNKNOWN {
                        reached[j] = true;
                        open.push(j);
                    }
                }
            }
        }
        for (distance, reached) in self.distance_mm.iter_mut().zip(reached) {
            if !reached {
                *distance = UNKNOWN;
            }
        }
        self
    }

    /// Spreads the distance: chamfer sweeps forwards and backwards.
    pub(super) fn spread(mut self) -> Self {
        let [nx, ny, nz] = self.grid.size;
        let step = self.grid.spacing_mm;
        let before: Vec<([isize; 3], f32)> = (0..13)
            .map(|i| {
                let offset = [i % 3 - 1, i / 3 % 3 - 1, i / 9 - 1];
                let squares: isize = offset.iter().map(|o| o * o).sum();
                (offset, (squares as f32).sqrt() * step)
            })
            .collect();
        for forwards in [true, false] {
            for n in 0..self.grid.len() {
                let i = if forwards { n } else { self.grid.len() - 1 - n };
                if self.distance_mm[i] <= 0.0 {
                    continue;
                }
                let at = [i % nx, i / nx % ny, i / (nx * ny)];
                let mut best = self.distance_mm[i];
                for &(offset, cost) in &before {
                    let sign = if forwards { 1 } else { -1 };
                    let to: [Option<usize>; 3] =
                        std::array::from_fn(|a| at[a].checked_add_signed(offset[a] * sign));
                    if let [Some(x), Some(y), Some(z)] = to
                        && x < nx
                        && y < ny
                        && z < nz
                    {
                        best = best.min(self.distance_mm[(z * ny + y) * nx + x] + cost);
                    }
                }
                self.distance_mm[i] = best;
            }
        }
        self
    }

    /// Distance of the nearest node, to rule positions out.
    pub(super) fn near(&self, position_mm: Vec3) -> f32 {
        let v = self.grid.voxel(position_mm);
        let node =
            std::array::from_fn(|a| ((v[a] + 0.5).max(0.0) as usize).min(self.grid.size[a] - 1));
        self.distance_mm[self.grid.index(node)]
    }

    /// Distance at a head position, interpolated.
    pub(super) fn at(&self, position_mm: Vec3) -> f32 {
        let v = self.grid.voxel(position_mm);
        let base: [usize; 3] =
            std::array::from_fn(|a| (v[a].max(0.0) as usize).min(self.grid.size[a] - 2));
        let t: Vec3 = std::array::from_fn(|a| (v[a] - base[a] as f32).clamp(0.0, 1.0));
        let mut sum = 0.0;
        for corner in 0..8_usize {
            let bit = [corner & 1, (corner >> 1) & 1, corner >> 2];
            let weight: f32 = (0..3).map(|a| if bit[a] == 1 { t[a] } else { 1.0 - t[a] }).product();
            let i = self.grid.index(std::array::from_fn(|a| base[a] + bit[a]));
            sum += weight * self.distance_mm[i];
        }
        sum
    }

    /// Box of what the distance is measured from; `None` when there is nothing.
    pub(super) fn bounds(&self) -> Option<(Vec3, Vec3)> {
        let [nx, ny, _] = self.grid.size;
        let mut low = [f32::MAX; 3];
        let mut high = [f32::MIN; 3];
        for (i, &d) in self.distance_mm.iter().enumerate() {
            if d < self.grid.spacing_mm {
                let p = self.grid.position_mm([i % nx, i / nx % ny, i / (nx * ny)]);
                low = std::array::from_fn(|a| low[a].min(p[a]));
                high = std::array::from_fn(|a| high[a].max(p[a]));
            }
        }
        (low[0] <= high[0]).then_some((low, high))
    }
}
