//! Signed distance to the border of a set of regions, on a coarse grid.

use crate::simulate::head::Grid;

/// Edge of the coarse voxels, in fine voxels.
const COARSE: usize = 2;
const FAR: f32 = 1e9;

/// Distance in mm to a border, negative inside; smoothed, so exact to about one coarse voxel.
#[derive(Clone, Debug)]
pub(super) struct SignedDistance {
    grid: Grid,
    values: Vec<f32>,
}

impl SignedDistance {
    /// Of the voxels whose byte is `inside`.
    pub(super) fn of(fine: &Grid, bytes: &[u8], inside: &[bool; 256]) -> Self {
        let size = fine.size.map(|n| n.div_ceil(COARSE));
        let half = (COARSE as f32 - 1.0) / 2.0 * fine.spacing_mm;
        let grid = Grid {
            size,
            spacing_mm: fine.spacing_mm * COARSE as f32,
            origin_mm: fine.origin_mm.map(|o| o + half),
        };
        let mut share = vec![0u8; grid.len()];
        let mut i = 0;
        for z in 0..fine.size[2] {
            for y in 0..fine.size[1] {
                let row = grid.index([0, y / COARSE, z / COARSE]);
                for x in 0..fine.size[0] {
                    share[row + x / COARSE] += u8::from(inside[usize::from(bytes[i])]);
                    i += 1;
                }
            }
        }
        let half_full = (COARSE * COARSE * COARSE / 2) as u8;
        let seed = |wanted: bool| -> Vec<f32> {
            share.iter().map(|&s| if (s >= half_full) == wanted { 0.0 } else { FAR }).collect()
        };
        let (mut outside, mut depth) = (seed(true), seed(false));
        squared_distance(&mut outside, size);
        squared_distance(&mut depth, size);
        let mut values: Vec<f32> = outside
            .iter()
            .zip(&depth)
            .map(|(o, d)| {
                let signed = if *d > 0.0 { 0.5 - d.sqrt() } else { o.sqrt() - 0.5 };
                signed * grid.spacing_mm
            })
            .collect();
        smooth(&mut values, size);
        Self { grid, values }
    }

    /// Trilinear value; positions outside of the grid take the border's.
    pub(super) fn at(&self, position_mm: [f32; 3]) -> f32 {
        let v = self.grid.voxel(position_mm);
        let mut lower = [0usize; 3];
        let mut t = [0f32; 3];
        for a in 0..3 {
            let c = v[a].clamp(0.0, (self.grid.size[a] - 2) as f32 + 0.999);
            lower[a] = c as usize;
            t[a] = c - lower[a] as f32;
        }
        let base = self.grid.index(lower);
        let (nx, nxy) = (self.grid.size[0], self.grid.size[0] * self.grid.size[1]);
        let row = |i: usize| self.values[i] * (1.0 - t[0]) + self.values[i + 1] * t[0];
        let plane = |i: usize| row(i) * (1.0 - t[1]) + row(i + nx) * t[1];
        plane(base) * (1.0 - t[2]) + plane(base + nxy) * t[2]
    }

    /// Direction in which the distance grows; shorter than 1 where borders compete.
    pub(super) fn gradient(&self, p: [f32; 3]) -> [f32; 3] {
        let h = self.grid.spacing_mm;
        std::array::from_fn(|a| {
            let (mut low, mut high) = (p, p);
            low[a] -= h;
            high[a] += h;
            (self.at(high) - self.at(low)) / (2.0 * h)
        })
    }

    /// Centres of the coarse voxels whose value is below a level.
    pub(super) fn positions_below(&self, level: f32) -> Vec<[f32; 3]> {
        let [nx, ny, _] = self.grid.size;
        let below = self.values.iter().enumerate().filter(|(_, v)| **v < level);
        below.map(|(i, _)| self.grid.position_mm([i % nx, i / nx % ny, i / nx / ny])).collect()
    }
}

/// Squared Euclidean distance transform in voxels, in place (Felzenszwalb and Huttenlocher 2012).
fn squared_distance(values: &mut [f32], size: [usize; 3]) {
    let strides = [1, size[0], size[0] * size[1]];
    for axis in 0..3 {
        let n = size[axis];
        let (mut line, mut hull) = (vec![0f32; n], Vec::with_capacity(n));
        for start in 0..values.len() {
            if !(start / strides[axis]).is_multiple_of(n) {
                continue;
            }
            for (k, slot) in line.iter_mut().enumerate() {
                *slot = values[start + k * strides[axis]];
            }
            lower_envelope(&line, &mut hull);
            let mut segment = 0;
            for k in 0..n {
                let q = k as f32;
                while segment + 1 < hull.len() && hull[segment + 1].1 <= q {
                    segment += 1;
                }
                let vertex: usize = hull[segment].0;
                let d = q - vertex as f32;
                values[start + k * strides[axis]] = d * d + line[vertex];
            }
        }
    }
}

/// Vertices of the parabolas that are lowest somewhere, each with where it begins to be.
fn lower_envelope(line: &[f32], hull: &mut Vec<(usize, f32)>) {
    hull.clear();
    for (k, &height) in line.iter().enumerate() {
        let q = k as f32;
        let mut begin = f32::NEG_INFINITY;
        while let Some(&(vertex, since)) = hull.last() {
            let v = vertex as f32;
            begin = (height + q * q - line[vertex] - v * v) / (2.0 * (q - v));
            if begin > since {
                break;
            }
            hull.pop();
            begin = f32::NEG_INFINITY;
        }
        hull.push((k, begin));
    }
}

/// One pass of (1, 2, 1) / 4 along every axis.
fn smooth(values: &mut [f32], size: [usize; 3]) {
    let strides = [1, size[0], size[0] * size[1]];
    for axis in 0..3 {
        let (n, s) = (size[axis], strides[axis]);
        let old = values.to_vec();
        for (i, v) in values.iter_mut().enumerate() {
            let k = i / s % n;
            let low = if k > 0 { old[i - s] } else { old[i] };
            let high = if k + 1 < n { old[i + s] } else { old[i] };
            *v = 0.25 * low + 0.5 * old[i] + 0.25 * high;
        }
    }
}
