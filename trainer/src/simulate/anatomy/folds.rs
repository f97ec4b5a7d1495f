//! Sulci that widen with atrophy or close with swelling, on the finished voxels.
//!
//! Fluid grows into cortex by a fraction of a voxel and cortex into white matter by as much, so
//! that the cortex keeps its thickness and the white matter pays; swelling does the reverse.

use super::region::Region;
use crate::simulate::head::{Grid, TISSUES, Tissue};

const CSF: usize = Tissue::Csf as usize;
const GREY: usize = Tissue::GreyMatter as usize;
const WHITE: usize = Tissue::WhiteMatter as usize;

/// How strongly folds change; 1 is one voxel on both banks of a sulcus.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Folds {
    /// Everywhere; negative closes.
    pub(super) all: f32,
    /// Added in the temporal lobe and hippocampus.
    pub(super) temporal: f32,
}

/// Widens or closes the folds in place.
pub(super) fn apply(fractions: &mut [[u8; TISSUES]], region: &[u8], grid: &Grid, folds: Folds) {
    let mut remaining = folds;
    for _ in 0..3 {
        let now = Folds {
            all: remaining.all.clamp(-1.0, 1.0),
            temporal: remaining.temporal.clamp(0.0, 1.0),
        };
        if now.all.abs() < 0.02 && now.temporal < 0.02 {
            return;
        }
        pass(fractions, region, grid, now);
        remaining.all -= now.all;
        remaining.temporal -= now.temporal;
    }
}

fn pass(fractions: &mut [[u8; TISSUES]], region: &[u8], grid: &Grid, folds: Folds) {
    let [nx, ny, _] = grid.size;
    let n = nx * ny;
    let strength: [i32; 256] = std::array::from_fn(|b| {
        let r = u8::try_from(b).map_or(Region::None, Region::of);
        let temporal = matches!(r, Region::Temporal | Region::Hippocampus | Region::Amygdala);
        let cerebellar = matches!(r, Region::CerebellarHemisphere | Region::Vermis);
        let k = if temporal { folds.all + folds.temporal } else { folds.all };
        let k = if cerebellar { 0.4 * k } else { k };
        if r.has_folds() { (k.clamp(-1.0, 1.0) * 256.0) as i32 } else { 0 }
    });
    let fluid: Vec<u8> = fractions.iter().map(|f| f[CSF]).collect();
    let grey: Vec<u8> = fractions.iter().map(|f| f[GREY]).collect();
    for i in n + nx + 1..fractions.len().saturating_sub(n + nx + 1) {
        let k = strength[usize::from(region[i])];
        if k == 0 {
            continue;
        }
        let around = [i - 1, i + 1, i - nx, i + nx, i - n, i + n];
        let f = &mut fractions[i];
        if k > 0 {
            let most = around.iter().map(|&j| fluid[j]).max().unwrap_or(0);
            let wanted =
                i32::from(fluid[i]) + (k * (i32::from(most) - i32::from(fluid[i]))).max(0) / 256;
            move_parts(f, CSF, wanted, [GREY, WHITE]);
            if f[WHITE] > 0 {
                let most = around.iter().map(|&j| grey[j]).max().unwrap_or(0);
                let wanted =
                    i32::from(f[GREY]) + (k * (i32::from(most) - i32::from(f[GREY]))).max(0) / 256;
                move_parts(f, GREY, wanted, [WHITE, WHITE]);
            }
        } else if fluid[i] > 0 {
            let least = around.iter().map(|&j| fluid[j]).min().unwrap_or(0);
            let lost = -k * (i32::from(fluid[i]) - i32::from(least)) / 256;
            let lost = lost.clamp(0, i32::from(f[CSF])) as u8;
            f[CSF] -= lost;
            f[GREY] += lost;
        }
    }
}

/// Raises one tissue to `wanted` at the cost of two others, in this order.
fn move_parts(f: &mut [u8; TISSUES], to: usize, wanted: i32, from: [usize; 2]) {
    for donor in from {
        let missing = wanted - i32::from(f[to]);
        let part = missing.clamp(0, i32::from(f[donor])) as u8;
        f[donor] -= part;
        f[to] += part;
    }
}
