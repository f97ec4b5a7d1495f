//! Series as slices again: the patches of a shard put back where they were cut.
//!
//! Shards hold no patches of air, so slices are black there; voxels are shares of the volume's
//! maximum. Nothing is decoded a second time, and cohorts whose DICOM files are gone have slices
//! too.

use std::collections::BTreeMap;

use models::dims::{IN_PLANE_VOX, PATCH_IN_PLANE_VOX, PATCH_THIN_VOX, PATCH_VOX};

use super::shard::{SeriesView, unpack};

/// Voxels of a patch's slice.
const PATCH_SLICE_VOX: usize = PATCH_IN_PLANE_VOX * PATCH_IN_PLANE_VOX;

/// Slices of one series, thin axis first; rows and columns are the other two axes of z, y, x,
/// after z has changed places with the thin axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slices {
    /// Thin axis of the series: 0 axial, 1 coronal, 2 sagittal.
    pub thin_axis: usize,
    /// Edge of a slice in voxels.
    pub edge: usize,
    /// Number of each slice in the padded volume.
    pub positions: Vec<usize>,
    /// `[positions, edge, edge]`, C-ordered, 0 to 1.
    pub values: Vec<f32>,
}

impl Slices {
    /// Leaves out the slices that `wanted` refuses, but never all of them.
    pub fn retain(&mut self, mut wanted: impl FnMut() -> bool) {
        let kept: Vec<usize> = (0..self.positions.len()).filter(|_| wanted()).collect();
        if kept.is_empty() || kept.len() == self.positions.len() {
            return;
        }
        let size = self.edge * self.edge;
        let values = kept.iter().flat_map(|i| &self.values[i * size..(i + 1) * size]);
        self.values = values.copied().collect();
        self.positions = kept.iter().map(|i| self.positions[*i]).collect();
    }
}

impl SeriesView<'_> {
    /// Slices that show anything, of a series of patches; at most `most` of them, evenly spread
    /// (0 takes all). `shrink` by `shrink` voxels become their mean.
    ///
    /// # Panics
    ///
    /// When `shrink` does not divide 32, the edge of a patch.
    #[must_use]
    pub fn slices(&self, shrink: usize, most: usize) -> Slices {
        assert!(
            shrink > 0 && PATCH_IN_PLANE_VOX.is_multiple_of(shrink),
            "a patch of {PATCH_IN_PLANE_VOX} voxels cannot be divided by {shrink}"
        );
        let starts: Vec<[usize; 3]> = self.coordinates.iter().map(|c| self.turned(*c)).collect();
        let patches = || starts.iter().zip(self.values.chunks_exact(PATCH_VOX));
        let mut shown: BTreeMap<usize, bool> = BTreeMap::new();
        for (start, patch) in patches() {
            for (thin, slice) in patch.chunks_exact(PATCH_SLICE_VOX).enumerate() {
                *shown.entry(start[0] + thin).or_default() |= slice.iter().any(|v| *v > 0);
            }
        }
        let positions: Vec<usize> =
            shown.into_iter().filter(|(_, any)| *any).map(|s| s.0).collect();
        let positions = spread(positions, most);
        let edge = IN_PLANE_VOX / shrink;
        let mut values = vec![0.0; positions.len() * edge * edge];
        let share = 1.0 / (shrink * shrink) as f32;
        for (start, patch) in patches() {
            for (thin, slice) in patch.chunks_exact(PATCH_SLICE_VOX).enumerate() {
                let Ok(at) = positions.binary_search(&(start[0] + thin)) else { continue };
                for (row, voxels) in slice.chunks_exact(PATCH_IN_PLANE_VOX).enumerate() {
                    let to = (at * edge + (start[1] + row) / shrink) * edge + start[2] / shrink;
                    let to = &mut values[to..to + PATCH_IN_PLANE_VOX / shrink];
                    for (column, voxel) in voxels.iter().enumerate() {
                        to[column / shrink] += unpack(*voxel) * share;
                    }
                }
            }
        }
        Slices { thin_axis: self.thin_axis, edge, positions, values }
    }

    /// A patch's start with the thin axis first.
    fn turned(&self, start: [u16; 3]) -> [usize; 3] {
        let mut start = start.map(usize::from);
        start.swap(0, self.thin_axis);
        start
    }
}

/// At most `most` of the items, from the middles of as many equal stretches.
fn spread(items: Vec<usize>, most: usize) -> Vec<usize> {
    if most == 0 || items.len() <= most {
        return items;
    }
    (0..most).map(|i| items[(2 * i + 1) * items.len() / (2 * most)]).collect()
}

const _: () = assert!(PATCH_THIN_VOX * PATCH_SLICE_VOX == PATCH_VOX);

#[cfg(test)]
mod tests {
    use models::nn::mixer::write_thin_first;
    use models::tokens::SeriesPatches;
    use models::tokens::patchify::patchify;
    use models::volume::{Preprocessing, Volume};

    use super::super::shard::pack;
    use super::*;

    /// Voxels of a head-like ball whose brightness tells every axis from the others.
    fn volume(thin_axis: usize, slices: usize) -> Volume {
        let mut size_vox = [IN_PLANE_VOX; 3];
        size_vox[thin_axis] = slices;
        let [depth, rows, columns] = size_vox;
        let mut voxels = Vec::with_capacity(depth * rows * columns);
        for z in 0..depth {
            for y in 0..rows {
                for x in 0..columns {
                    let mut at = [z, y, x].map(|v| v as f32);
                    at[thin_axis] *= 256.0 / slices as f32;
                    let far = at.map(|v| (v - 128.0).powi(2)).iter().sum::<f32>().sqrt();
                    let value = 100.0 + at[0] + 0.5 * at[1] + 0.25 * at[2];
                    voxels.push(if far < 120.0 { value } else { 0.0 });
                }
            }
        }
        Volume {
            voxels,
            size_vox,
            thin_axis,
            spacing_mm: [1.0; 3],
            origin_mm: [0.0; 3],
            direction: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        }
    }

    /// As a shard stores patches.
    fn stored(patches: &SeriesPatches) -> (Vec<u8>, Vec<[u16; 3]>) {
        let mut turned = vec![0.0; PATCH_VOX];
        let values = patches.voxels.chunks_exact(PATCH_VOX).flat_map(|patch| {
            write_thin_first(patch, patches.thin_axis, &mut turned);
            turned.iter().map(|v| pack(*v)).collect::<Vec<u8>>()
        });
        let starts = patches.coordinates.iter().map(|c| c.map(|v| v as u16));
        (values.collect(), starts.collect())
    }

    #[test]
    fn slices_are_those_of_the_volume() {
        for thin_axis in 0..3 {
            // Ten slices are padded to twelve, one black slice at either end.
            let volume = volume(thin_axis, 10);
            let patches = patchify(&volume, Preprocessing::V1).unwrap();
            let (values, coordinates) = stored(&patches);
            let zeros = vec![0; coordinates.len()];
            let components = vec![0; coordinates.len()];
            let view = SeriesView {
                name: "t1",
                thin_axis,
                values: &values,
                coordinates: &coordinates,
                foreground: &zeros,
                components: &components,
                sequence: &[],
            };
            let largest = volume.voxels.iter().copied().fold(0.0, f32::max);
            let [_, rows, columns] = volume.size_vox;
            let found = view.slices(1, 0);
            assert_eq!(found.edge, 256);
            assert!(found.positions.iter().all(|p| (1..11).contains(p)), "{:?}", found.positions);
            assert!(found.positions.len() > 6, "{:?}", found.positions);
            let (mut worst, mut seen) = (0.0f32, 0);
            for (i, value) in found.values.iter().enumerate() {
                let mut at = [found.positions[i >> 16] - 1, i >> 8 & 255, i & 255];
                at.swap(0, thin_axis);
                let expected = volume.voxels[(at[0] * rows + at[1]) * columns + at[2]] / largest;
                // What lies in a patch of air is black.
                if *value > 0.0 || expected == 0.0 {
                    worst = worst.max((value - expected).abs());
                }
                seen += usize::from(*value > 0.0);
            }
            assert!(worst < 0.004, "axis {thin_axis}: {worst}");
            let inside = volume.voxels.iter().filter(|v| **v > 0.0).count();
            assert!(seen * 20 > inside * 19, "{seen} of {inside} voxels");

            let small = view.slices(8, 4);
            assert_eq!((small.edge, small.positions.len()), (32, 4));
            let at = found.positions.binary_search(&small.positions[2]).unwrap();
            let block = (0..64).map(|k| found.values[(at << 16) + (64 + k / 8) * 256 + 96 + k % 8]);
            let mean = block.sum::<f32>() / 64.0;
            assert!((small.values[(2 * 32 + 8) * 32 + 12] - mean).abs() < 1e-5);
        }
    }

    #[test]
    fn slices_are_left_out_but_never_all() {
        let slices = || Slices {
            thin_axis: 0,
            edge: 1,
            positions: vec![2, 5, 9],
            values: vec![0.2, 0.5, 0.9],
        };
        let mut turn = 0;
        let mut some = slices();
        some.retain(|| {
            turn += 1;
            turn != 2
        });
        assert_eq!((some.positions, some.values), (vec![2, 9], vec![0.2, 0.9]));
        let mut none = slices();
        none.retain(|| false);
        assert_eq!(none, slices());
    }
}
