//! Why a score is what it is: LIME over the volume tokens of a series, where the tokens lie in
//! the patient and in the images, and pictures of them.
//!
//! Nothing here knows a network: [`lime::explain`] asks its caller for scores.

pub mod lime;
pub mod overlay;
pub mod region;

pub mod canvas;
mod glyphs;
mod mt19937;
mod ridge;
mod view;

pub use view::{Tap, letters, taps};

use std::array::from_fn;

use serde::{Deserialize, Serialize};

use crate::tokens::patchify::patch_size_vox;
use crate::volume::Volume;

/// The part of a volume that one token shows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenBox {
    /// First voxel, `[z, y, x]`.
    pub first_vox: [usize; 3],
    /// One past the last voxel, `[z, y, x]`.
    pub end_vox: [usize; 3],
    /// Smallest patient coordinates of the box's corners, `[x, y, z]` in LPS.
    pub low_mm: [f64; 3],
    /// Largest patient coordinates of the box's corners, `[x, y, z]` in LPS.
    pub high_mm: [f64; 3],
}

/// The box of the token that starts at `start_vox` of the padded volume (`[z, y, x]`, as in
/// [`SeriesPatches::coordinates`](crate::tokens::SeriesPatches::coordinates)), cut to the voxels
/// that were acquired.
#[must_use]
pub fn token_box(volume: &Volume, start_vox: [u32; 3]) -> TokenBox {
    let patch_vox = patch_size_vox(volume.thin_axis);
    let edge = |axis: usize, padded: usize| {
        let size = volume.size_vox[axis];
        // The smaller half of the padding stands in front (specification §2.2).
        let before = (size.next_multiple_of(patch_vox[axis]) - size) / 2;
        padded.saturating_sub(before).min(size)
    };
    let start_vox = start_vox.map(|start| start as usize);
    let first_vox: [usize; 3] = from_fn(|axis| edge(axis, start_vox[axis]));
    let end_vox: [usize; 3] = from_fn(|axis| edge(axis, start_vox[axis] + patch_vox[axis]));

    let mut low_mm = [f64::INFINITY; 3];
    let mut high_mm = [f64::NEG_INFINITY; 3];
    for corner in 0..8 {
        // Voxel coordinates name centres, so the faces lie half a voxel outside.
        let face_vox = |axis: usize| {
            let voxel = if corner >> axis & 1 == 1 { end_vox[axis] } else { first_vox[axis] };
            voxel as f64 - 0.5
        };
        for component in 0..3 {
            let mut position = volume.origin_mm[component];
            for axis in 0..3 {
                let step = volume.direction[axis][component] * volume.spacing_mm[axis];
                position += step * face_vox(2 - axis);
            }
            low_mm[component] = low_mm[component].min(position);
            high_mm[component] = high_mm[component].max(position);
        }
    }
    TokenBox { first_vox, end_vox, low_mm, high_mm }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn box_of_a_padded_coronal_volume_lies_where_it_was_acquired() {
        // 10 slices are padded by one in front and one behind.
        let volume = Volume {
            voxels: Vec::new(),
            size_vox: [256, 10, 256],
            thin_axis: 1,
            spacing_mm: [0.5, 5.0, 1.0],
            origin_mm: [-60.0, -20.0, -100.0],
            direction: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        };
        let found = token_box(&volume, [32, 0, 64]);
        assert_eq!((found.first_vox, found.end_vox), ([32, 0, 64], [64, 3, 96]));
        assert_eq!(found.low_mm, [-28.25, -22.5, -68.5]);
        assert_eq!(found.high_mm, [-12.25, -7.5, -36.5]);
        let last = token_box(&volume, [224, 8, 224]);
        assert_eq!((last.first_vox[1], last.end_vox[1]), (7, 10));
    }

    #[test]
    fn box_of_an_oblique_volume_encloses_its_corners() {
        let (sine, cosine) = 0.5_f64.sin_cos();
        let volume = Volume {
            voxels: Vec::new(),
            size_vox: [4, 256, 256],
            thin_axis: 0,
            spacing_mm: [1.0, 1.0, 2.0],
            origin_mm: [0.0; 3],
            direction: [[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]],
        };
        let found = token_box(&volume, [0, 0, 0]);
        let size: Vec<f64> = (0..3).map(|i| found.high_mm[i] - found.low_mm[i]).collect();
        for (found, expected) in
            size.iter().zip([32.0 * (sine + cosine), 32.0 * (sine + cosine), 8.0])
        {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }
}
