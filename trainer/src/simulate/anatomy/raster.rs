//! Voxels of a patient's head: the atlas looked up through the inverse warp.

use super::atlas::Atlas;
use super::region::Region;
use super::warp::{Point, Warp, add};
use crate::simulate::head::{Grid, TISSUES, Tissue};

/// About how far apart the points are where the warp is computed.
const STEP_MM: f32 = 4.0;
const AIR: [u8; TISSUES] = [255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The warp sampled on a lattice over the head's grid: atlas positions, without and with pushes.
#[derive(Clone, Debug)]
pub(super) struct Lattice {
    grid: Grid,
    /// Voxels between nodes.
    step: usize,
    /// Before mass effect, then after.
    nodes: Vec<[f32; 6]>,
}

impl Lattice {
    pub(super) fn sample(warp: &Warp<'_>, head: &Grid) -> Self {
        let step = ((STEP_MM / head.spacing_mm).round() as usize).max(1);
        let grid = Grid {
            size: head.size.map(|n| (n - 1) / step + 2),
            spacing_mm: head.spacing_mm * step as f32,
            origin_mm: head.origin_mm,
        };
        let mut nodes = Vec::with_capacity(grid.len());
        for z in 0..grid.size[2] {
            for y in 0..grid.size[1] {
                for x in 0..grid.size[0] {
                    let q = warp.before_mass(grid.position_mm([x, y, z]));
                    let a = warp.source(q);
                    nodes.push([q[0], q[1], q[2], a[0], a[1], a[2]]);
                }
            }
        }
        Self { grid, step, nodes }
    }

    /// Atlas position of a position in the head; beyond the lattice, its border goes on linearly.
    pub(super) fn at(&self, head_mm: Point) -> Point {
        let v = self.grid.voxel(head_mm);
        let mut base = [0usize; 3];
        let mut t = [0f32; 3];
        for a in 0..3 {
            base[a] = v[a].clamp(0.0, (self.grid.size[a] - 2) as f32) as usize;
            t[a] = v[a] - base[a] as f32;
        }
        let mut sum = [0f32; 3];
        for corner in 0..8usize {
            let bit = [corner & 1, corner >> 1 & 1, corner >> 2];
            let w: f32 = (0..3).map(|a| if bit[a] == 1 { t[a] } else { 1.0 - t[a] }).product();
            let node = self.nodes[self.grid.index(std::array::from_fn(|a| base[a] + bit[a]))];
            for a in 0..3 {
                sum[a] += w * node[3 + a];
            }
        }
        sum
    }

    /// Rows of the derivative of [`Lattice::at`].
    pub(super) fn jacobian(&self, head_mm: Point) -> [Point; 3] {
        let h = 0.25 * self.grid.spacing_mm;
        let columns: [Point; 3] = std::array::from_fn(|a| {
            let (mut low, mut high) = (head_mm, head_mm);
            low[a] -= h;
            high[a] += h;
            add(self.at(high), self.at(low), -1.0).map(|v| v / (2.0 * h))
        });
        std::array::from_fn(|r| std::array::from_fn(|c| columns[c][r]))
    }

    /// Nodes of one row of voxels, interpolated across y and z.
    fn row(&self, y: usize, z: usize, out: &mut [[f32; 6]]) {
        let (j, k) = (y / self.step, z / self.step);
        let part = |v: usize| (v % self.step) as f32 / self.step as f32;
        let (ty, tz) = (part(y), part(z));
        let start = |j, k| self.grid.index([0, j, k]);
        let rows = [start(j, k), start(j + 1, k), start(j, k + 1), start(j + 1, k + 1)];
        let w = [(1.0 - ty) * (1.0 - tz), ty * (1.0 - tz), (1.0 - ty) * tz, ty * tz];
        for (i, node) in out.iter_mut().enumerate() {
            *node = [0.0; 6];
            for (row, weight) in rows.iter().zip(w) {
                for (sum, v) in node.iter_mut().zip(&self.nodes[row + i]) {
                    *sum += weight * v;
                }
            }
        }
    }
}

/// What replaces a voxel whatever the atlas says; `None` keeps the atlas.
pub(super) type Replace<'a> = &'a dyn Fn(Region, Point) -> Option<Tissue>;

/// Tissue fractions and regions of every voxel.
pub(super) fn fill(
    atlas: &Atlas,
    lattice: &Lattice,
    grid: &Grid,
    replace: Option<Replace<'_>>,
) -> (Vec<[u8; TISSUES]>, Vec<u8>) {
    let mut fractions = vec![AIR; grid.len()];
    let mut region = vec![0u8; grid.len()];
    let mut nodes = vec![[0f32; 6]; lattice.grid.size[0]];
    let intradural: [bool; 256] =
        std::array::from_fn(|b| u8::try_from(b).is_ok_and(|b| Region::of(b).is_intradural()));
    let occupied = Blocks::of(atlas);
    for z in 0..grid.size[2] {
        for y in 0..grid.size[1] {
            lattice.row(y, z, &mut nodes);
            let row = grid.index([0, y, z]);
            for (n, pair) in nodes.windows(2).enumerate() {
                let (from, to) = (pair[0], pair[1]);
                if !occupied.near([from[0], from[1], from[2]]) {
                    continue;
                }
                let first = n * lattice.step;
                for x in first..(first + lattice.step).min(grid.size[0]) {
                    let t = (x - first) as f32 / lattice.step as f32;
                    let p: [f32; 6] = std::array::from_fn(|a| from[a] + t * (to[a] - from[a]));
                    let (q, a) = ([p[0], p[1], p[2]], [p[3], p[4], p[5]]);
                    let Some(before) = atlas.nearest(q) else { continue };
                    let here = atlas.region[before];
                    let there = atlas.nearest(a).map_or(0, |v| atlas.region[v]);
                    // Bone stays where it is; where brain moved away from it, fluid follows.
                    let (parts, kind) = if !intradural[usize::from(here)] {
                        (blend(atlas, q), here)
                    } else if intradural[usize::from(there)] {
                        (blend(atlas, a), there)
                    } else {
                        (only(Tissue::Csf), here)
                    };
                    let new = replace.and_then(|replace| replace(Region::of(kind), a));
                    fractions[row + x] = new.map_or(parts, only);
                    region[row + x] = kind;
                }
            }
        }
    }
    (fractions, region)
}

/// Which parts of the atlas are worth looking at: blocks near anything but air.
struct Blocks {
    grid: Grid,
    occupied: Vec<bool>,
}

impl Blocks {
    const EDGE: usize = 8;

    fn of(atlas: &Atlas) -> Self {
        let fine = atlas.grid;
        let grid = Grid {
            size: fine.size.map(|n| n / Self::EDGE + 1),
            spacing_mm: fine.spacing_mm * Self::EDGE as f32,
            origin_mm: fine.origin_mm,
        };
        let mut occupied = vec![false; grid.len()];
        for (i, row) in atlas.codes.chunks_exact(fine.size[0]).enumerate() {
            let (y, z) = (i % fine.size[1], i / fine.size[1]);
            let start = grid.index([0, y / Self::EDGE, z / Self::EDGE]);
            for (slot, part) in occupied[start..].iter_mut().zip(row.chunks(Self::EDGE)) {
                *slot |= part.iter().any(|code| *code != 0);
            }
        }
        Self { grid, occupied }
    }

    /// True when a block next to this position holds tissue.
    fn near(&self, position_mm: Point) -> bool {
        let v = self.grid.voxel(position_mm);
        let low = v.map(|v| (v - 0.99).max(0.0) as usize);
        let high: [usize; 3] =
            std::array::from_fn(|a| ((v[a] + 0.99).max(0.0) as usize).min(self.grid.size[a] - 1));
        (low[2]..=high[2]).any(|z| {
            (low[1]..=high[1])
                .any(|y| (low[0]..=high[0]).any(|x| self.occupied[self.grid.index([x, y, z])]))
        })
    }
}

fn only(tissue: Tissue) -> [u8; TISSUES] {
    let mut row = [0; TISSUES];
    row[tissue as usize] = 255;
    row
}

/// Trilinear fractions at an atlas position; they sum to 255.
#[inline]
fn blend(atlas: &Atlas, position_mm: Point) -> [u8; TISSUES] {
    let size = atlas.grid.size;
    let mut lower = [0usize; 3];
    let mut t = [0u16; 3];
    for a in 0..3 {
        let v = position_mm[a] - atlas.grid.origin_mm[a];
        if v < 0.0 || v >= (size[a] - 1) as f32 {
            return AIR;
        }
        lower[a] = v as usize;
        t[a] = ((v - lower[a] as f32) * 32.0) as u16;
    }
    let base = (lower[2] * size[1] + lower[1]) * size[0] + lower[0];
    let (nx, nxy) = (size[0], size[0] * size[1]);
    let (near, far) = (&atlas.codes[base..], &atlas.codes[base + nxy..]);
    let codes = [near[0], near[1], near[nx], near[nx + 1], far[0], far[1], far[nx], far[nx + 1]];
    let same = codes.iter().fold(0, |differ, c| differ | (c ^ codes[0])) == 0;
    if same {
        return atlas.table[usize::from(codes[0])];
    }
    // Eight bits a weight: with eight-bit fractions the sum fills sixteen.
    let [tx, ty, tz] = t;
    let (ux, uy, uz) = (32 - tx, 32 - ty, 32 - tz);
    let plane = [ux * uy, tx * uy, ux * ty, tx * ty];
    let mut weights = [0u16; 8];
    for k in 0..4 {
        weights[k] = ((u32::from(plane[k]) * u32::from(uz)) >> 7) as u16;
        weights[k + 4] = ((u32::from(plane[k]) * u32::from(tz)) >> 7) as u16;
    }
    let corner = usize::from(tx >= 16) | usize::from(ty >= 16) << 1 | usize::from(tz >= 16) << 2;
    weights[corner] += 256 - weights.iter().fold(0, |sum: u16, w| sum.wrapping_add(*w));
    let mut sum = [0u16; TISSUES];
    for k in 0..8 {
        let (row, weight) = (&atlas.table[usize::from(codes[k])], weights[k]);
        for l in 0..TISSUES {
            // Wrapping only so that the loop stays free of checks: 255 * 256 fits.
            sum[l] = sum[l].wrapping_add(weight.wrapping_mul(u16::from(row[l])));
        }
    }
    let mut out = [0u8; TISSUES];
    let mut total = 0u16;
    for l in 0..TISSUES {
        out[l] = (sum[l] >> 8) as u8;
        total = total.wrapping_add(sum[l] >> 8);
    }
    // What rounding down lost goes to the main tissue of the nearest corner.
    let most = usize::from(codes[corner] >> 8);
    out[most] += (255 - total) as u8;
    out
}
