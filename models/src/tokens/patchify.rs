//! Cuts a volume into 32 x 32 x 4 patches and keeps the ones with foreground
//! (specification §2, §4).
#![expect(
    clippy::cast_possible_truncation,
    reason = "a series has at most 5000 patches, and coordinates below 512 voxels"
)]

use std::ops::Range;

use rayon::prelude::*;

use super::SeriesPatches;
use super::foreground::{Kept, foreground};
use crate::dims::{
    IN_PLANE_VOX, MAX_TOKENS_PER_SERIES, PATCH_IN_PLANE_VOX, PATCH_THIN_VOX, PATCH_VOX, THIN_REPEAT,
};
use crate::study::LeftOutReason;
use crate::volume::{Preprocessing, Volume};

/// Published foreground threshold, in raw intensity units.
const THRESHOLD: f32 = 50.0;
/// Published threshold of a volume whose maximum is below [`LOW_MAXIMUM`].
const LOW_THRESHOLD: f32 = 0.5;
/// Below this maximum intensities count as rescaled to about 0–1.
const LOW_MAXIMUM: f32 = 5.0;

/// Cuts `volume` into patches, keeps those the foreground filter wants, and divides them by the
/// volume's maximum. `V1` shows each patch once; `Published` repeats what the filter repeats.
///
/// # Errors
/// As [`Patches::measure`].
pub fn patchify(volume: &Volume, mode: Preprocessing) -> Result<SeriesPatches, LeftOutReason> {
    let patches = Patches::measure(volume, mode)?;
    let mut unique = Vec::new();
    let mut sequence = Vec::new();
    let mut place = vec![None; patches.coordinates.len()];
    for &id in &patches.kept.ids {
        let seen = &mut place[id as usize];
        if seen.is_some() && mode == Preprocessing::V1 {
            continue;
        }
        sequence.push(*seen.get_or_insert_with(|| {
            unique.push(id);
            (unique.len() - 1) as u32
        }));
    }
    let mut voxels = vec![0.0; unique.len() * PATCH_VOX];
    voxels.par_chunks_exact_mut(PATCH_VOX).zip(&unique).for_each(|(out, &id)| {
        patches.copy_scaled(id, out);
    });
    Ok(SeriesPatches {
        thin_axis: volume.thin_axis,
        voxels,
        coordinates: unique.iter().map(|&id| patches.coordinates[id as usize]).collect(),
        sequence,
    })
}

/// Number of patches, before any is dropped, of a series of `slices` slices. Callers may ask
/// before they read a pixel.
///
/// # Errors
/// [`LeftOutReason::TooManyTokens`] above 5000 patches, which are 312 slices.
pub fn patch_count(slices: usize) -> Result<usize, LeftOutReason> {
    let per_slab = (IN_PLANE_VOX / PATCH_IN_PLANE_VOX).pow(2);
    let found = slices.div_ceil(PATCH_THIN_VOX).saturating_mul(per_slab);
    if found > MAX_TOKENS_PER_SERIES {
        return Err(LeftOutReason::TooManyTokens { found, limit: MAX_TOKENS_PER_SERIES });
    }
    Ok(found)
}

/// Writes a patch as the tokenizer's encoder sees it: each slice twice along the thin axis, so
/// 8 x 32 x 32, 32 x 8 x 32 or 32 x 32 x 8 (specification §2.7).
///
/// # Shapes
/// `patch` `[4096]`, `out` `[8192]`, both C-ordered `[z, y, x]`.
///
/// # Panics
/// On other lengths, or a thin axis above 2.
pub fn write_repeated(patch: &[f32], thin_axis: usize, out: &mut [f32]) {
    assert_eq!(
        (patch.len(), out.len()),
        (PATCH_VOX, PATCH_VOX * THIN_REPEAT),
        "a patch is repeated {THIN_REPEAT} times"
    );
    let slice = [PATCH_IN_PLANE_VOX * PATCH_IN_PLANE_VOX, PATCH_IN_PLANE_VOX, 1][thin_axis];
    for (from, to) in patch.chunks_exact(slice).zip(out.chunks_exact_mut(slice * THIN_REPEAT)) {
        for copy in to.chunks_exact_mut(slice) {
            copy.copy_from_slice(from);
        }
    }
}

/// Edge lengths of a patch along z, y, x.
///
/// # Panics
/// When `thin_axis` is above 2.
#[must_use]
pub fn patch_size_vox(thin_axis: usize) -> [usize; 3] {
    let mut size = [PATCH_IN_PLANE_VOX; 3];
    size[thin_axis] = PATCH_THIN_VOX;
    size
}

/// All patches of a volume, how much foreground each has, and which the filter keeps.
pub struct Patches<'a> {
    volume: &'a Volume,
    /// Voxels each patch covers of the unpadded volume, by axis and index along it.
    spans: [Vec<Range<usize>>; 3],
    /// Padding before the first voxel, by axis.
    before_vox: [usize; 3],
    /// Size of the volume after zero padding to whole patches.
    pub padded_vox: [usize; 3],
    /// Size of a patch.
    pub patch_vox: [usize; 3],
    /// Start of every patch in the padded volume, `[z, y, x]`, in C order.
    pub coordinates: Vec<[u32; 3]>,
    /// Percentage of voxels above the foreground threshold, for every patch.
    pub percent: Vec<f64>,
    /// Largest voxel, which intensities are divided by where it is positive.
    pub scale_max: f32,
    /// What the foreground filter keeps.
    pub kept: Kept,
}

impl<'a> Patches<'a> {
    /// Measures every patch of `volume` and filters them.
    ///
    /// # Errors
    /// [`LeftOutReason::TooManyTokens`] above 5000 patches; in `V1` also
    /// [`LeftOutReason::NoSignal`] when the volume is constant or has no positive voxel, for
    /// which the published pipeline would use every patch (specification §16.13).
    pub fn measure(volume: &'a Volume, mode: Preprocessing) -> Result<Self, LeftOutReason> {
        patch_count(volume.size_vox[volume.thin_axis])?;
        let scale_max = maximum(&volume.voxels);
        if mode == Preprocessing::V1 {
            let first = volume.voxels.first().copied().unwrap_or_default();
            if scale_max <= 0.0 || volume.voxels.iter().all(|&v| v.total_cmp(&first).is_eq()) {
                return Err(LeftOutReason::NoSignal { value: scale_max.into() });
            }
        }
        let patch_vox = patch_size_vox(volume.thin_axis);
        let padded_vox: [usize; 3] =
            std::array::from_fn(|a| volume.size_vox[a].next_multiple_of(patch_vox[a]));
        // The smaller half of the padding stands in front (specification §2.2).
        let before_vox = std::array::from_fn(|a| (padded_vox[a] - volume.size_vox[a]) / 2);
        let spans = std::array::from_fn(|a| {
            let unpadded = |at: usize| at.saturating_sub(before_vox[a]).min(volume.size_vox[a]);
            (0..padded_vox[a])
                .step_by(patch_vox[a])
                .map(|start| unpadded(start)..unpadded(start + patch_vox[a]))
                .collect()
        });
        let coordinates = starts(padded_vox, patch_vox);
        let percent = foreground_percent(volume, &spans, threshold(scale_max, mode));
        let kept = foreground(&percent, &coordinates, padded_vox, patch_vox);
        Ok(Self {
            volume,
            spans,
            before_vox,
            padded_vox,
            patch_vox,
            coordinates,
            percent,
            scale_max,
            kept,
        })
    }

    /// Writes patch `id`, zero where it reaches into the padding, divided by the maximum.
    ///
    /// # Shapes
    /// `out` `[4096]`, C-ordered `[z, y, x]`.
    ///
    /// # Panics
    /// On another length, or an id that is not one of [`Patches::coordinates`].
    pub fn copy_scaled(&self, id: u32, out: &mut [f32]) {
        assert_eq!(out.len(), PATCH_VOX, "patch of {:?}", self.patch_vox);
        let start = self.coordinates[id as usize].map(|at| at as usize);
        let [z, y, x]: [Range<usize>; 3] =
            std::array::from_fn(|a| self.spans[a][start[a] / self.patch_vox[a]].clone());
        let inside = |axis: usize, voxel: usize| voxel + self.before_vox[axis] - start[axis];
        // A volume without positive voxels stays as it is (specification §2.4).
        let divisor = if self.scale_max > 0.0 { self.scale_max } else { 1.0 };
        out.fill(0.0);
        for z in z {
            for y in y.clone() {
                let row = (inside(0, z) * self.patch_vox[1] + inside(1, y)) * self.patch_vox[2]
                    + inside(2, x.start);
                let from = row_of(self.volume, z, y);
                for (to, v) in out[row..].iter_mut().zip(&from[x.clone()]) {
                    *to = v / divisor;
                }
            }
        }
    }
}

/// Voxels above this are foreground.
///
/// The published rule, 50 raw units, or 0.5 where the maximum is below 5, finds no foreground at
/// all when the maximum lies between 5 and 50, as it does on scanners that store small numbers
/// (specification §16.5). `V1` takes a tenth of the maximum but never more than 50: the same as
/// the published rule from a maximum of 500 upward and at 5, without the gap in between.
fn threshold(maximum: f32, mode: Preprocessing) -> f32 {
    match mode {
        Preprocessing::Published if maximum < LOW_MAXIMUM => LOW_THRESHOLD,
        Preprocessing::Published => THRESHOLD,
        Preprocessing::V1 => (maximum / 10.0).min(THRESHOLD),
    }
}

fn maximum(voxels: &[f32]) -> f32 {
    voxels
        .par_chunks(1 << 16)
        .map(|part| part.iter().copied().fold(f32::NEG_INFINITY, f32::max))
        .reduce(|| f32::NEG_INFINITY, f32::max)
}

fn starts(padded_vox: [usize; 3], patch_vox: [usize; 3]) -> Vec<[u32; 3]> {
    let along = |a: usize| (0..padded_vox[a] as u32).step_by(patch_vox[a]);
    along(0).flat_map(|z| along(1).flat_map(move |y| along(2).map(move |x| [z, y, x]))).collect()
}

fn row_of(volume: &Volume, z: usize, y: usize) -> &[f32] {
    let [_, rows, columns] = volume.size_vox;
    &volume.voxels[(z * rows + y) * columns..][..columns]
}

/// Percentage of voxels above `threshold` of every patch, in C order. Padding counts as
/// background.
fn foreground_percent(
    volume: &Volume,
    [slabs, rows, columns]: &[Vec<Range<usize>>; 3],
    threshold: f32,
) -> Vec<f64> {
    let mut counts = vec![0u32; slabs.len() * rows.len() * columns.len()];
    counts.par_chunks_exact_mut(rows.len() * columns.len()).zip(slabs).for_each(|(slab, z)| {
        for z in z.clone() {
            for (row, y) in slab.chunks_exact_mut(columns.len()).zip(rows) {
                for y in y.clone() {
                    let voxels = row_of(volume, z, y);
                    for (count, x) in row.iter_mut().zip(columns) {
                        *count += voxels[x.clone()]
                            .iter()
                            .map(|&v| u32::from(v > threshold))
                            .sum::<u32>();
                    }
                }
            }
        }
    });
    counts.into_iter().map(|n| 100.0 * f64::from(n) / PATCH_VOX as f64).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn volume(size_vox: [usize; 3], thin_axis: usize, value: impl Fn(usize) -> f32) -> Volume {
        Volume {
            voxels: (0..size_vox.iter().product()).map(value).collect(),
            size_vox,
            thin_axis,
            spacing_mm: [1.0; 3],
            origin_mm: [0.0; 3],
            direction: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        }
    }

    proptest! {
        #[test]
        fn patches_put_back_are_the_volume(
            thin_axis in 0usize..3, slices in 1usize..10, seed in any::<u32>(),
        ) {
            let mut size = [64, 96, 32];
            size[thin_axis] = slices;
            let voxel = |i: usize| ((i as u32).wrapping_mul(seed | 1) >> 9) as f32 - 1e6;
            let volume = volume(size, thin_axis, voxel);
            let patches = Patches::measure(&volume, Preprocessing::Published).unwrap();
            let pad = (size[thin_axis].next_multiple_of(4) - slices) / 2;
            let patch_vox = patch_size_vox(thin_axis);
            let mut back = vec![f32::NAN; volume.voxels.len()];
            let mut patch = vec![0.0; PATCH_VOX];
            for (id, start) in (0..).zip(&patches.coordinates) {
                patches.copy_scaled(id, &mut patch);
                for (i, &value) in patch.iter().enumerate() {
                    let (row, x) = (i / patch_vox[2], i % patch_vox[2]);
                    let mut at = [row / patch_vox[1], row % patch_vox[1], x];
                    (0..3).for_each(|a| at[a] += start[a] as usize);
                    match at[thin_axis].checked_sub(pad) {
                        Some(slice) if slice < slices => {
                            at[thin_axis] = slice;
                            back[(at[0] * size[1] + at[1]) * size[2] + at[2]] = value;
                        }
                        _ => prop_assert_eq!(value, 0.0),
                    }
                }
            }
            let divisor = if patches.scale_max > 0.0 { patches.scale_max } else { 1.0 };
            let expected: Vec<f32> = volume.voxels.iter().map(|v| v / divisor).collect();
            prop_assert_eq!(back, expected);
        }
    }

    #[test]
    fn a_patch_kept_twice_is_stored_once_and_shown_once_in_v1() {
        // A shell of patches with 7 % foreground around one with 30 %: the middle is kept for its
        // own share and as the hole of the shell.
        let share = |voxel: usize| {
            let [z, y, x] = [voxel >> 16, voxel >> 8 & 255, voxel & 255];
            let patch = [z / 4, y / 32, x / 32];
            let shell = patch[1..].iter().all(|p| (1..4).contains(p));
            let filled = if patch == [1, 2, 2] { 1230 } else { 290 };
            shell && (z % 4) * 1024 + (y % 32) * 32 + x % 32 < filled
        };
        let volume = volume([12, 256, 256], 0, |i| if share(i) { 1000.0 } else { 1.0 });
        let published = patchify(&volume, Preprocessing::Published).unwrap();
        let v1 = patchify(&volume, Preprocessing::V1).unwrap();
        assert_eq!((published.coordinates.len(), published.sequence.len()), (27, 28));
        assert_eq!(published.coordinates[26], [4, 64, 64]);
        assert_eq!(published.sequence[25..], [25, 26, 26]);
        assert_eq!(v1.sequence, (0..27).collect::<Vec<u32>>());
        assert_eq!((v1.voxels, v1.coordinates), (published.voxels, published.coordinates));
    }

    #[test]
    fn thresholds_agree_where_the_published_one_works() {
        let both = |max| [Preprocessing::Published, Preprocessing::V1].map(|m| threshold(max, m));
        assert_eq!(both(1.0), [0.5, 0.1]);
        assert_eq!(both(5.0), [50.0, 0.5]);
        assert_eq!(both(40.0), [50.0, 4.0]);
        assert_eq!(both(500.0), [50.0, 50.0]);
        assert_eq!(both(4000.0), [50.0, 50.0]);
    }

    #[test]
    fn volumes_without_signal_or_with_too_many_patches_are_left_out() {
        let reason = |size, value, mode| patchify(&volume(size, 0, |_| value), mode).err();
        let slab = [4, 32, 32];
        for value in [7.0, -1.0] {
            let expected = Some(LeftOutReason::NoSignal { value: value.into() });
            assert_eq!(reason(slab, value, Preprocessing::V1), expected);
        }
        assert_eq!(reason(slab, 0.0, Preprocessing::Published), None);
        let too_many = LeftOutReason::TooManyTokens { found: 5056, limit: 5000 };
        assert_eq!(reason([313, 1, 1], 1.0, Preprocessing::V1), Some(too_many.clone()));
        assert_eq!(patch_count(313), Err(too_many));
        assert_eq!(patch_count(312), Ok(4992));
        assert!(patch_count(usize::MAX).is_err());
    }

    #[test]
    fn each_slice_is_repeated_along_the_thin_axis() {
        let patch: Vec<f32> = (0..4096u16).map(f32::from).collect();
        for thin_axis in 0..3 {
            let size = patch_size_vox(thin_axis);
            let mut thick = size;
            thick[thin_axis] *= 2;
            let mut out = vec![0.0; 2 * PATCH_VOX];
            write_repeated(&patch, thin_axis, &mut out);
            for (i, &value) in out.iter().enumerate() {
                let row = i / thick[2];
                let mut at = [row / thick[1], row % thick[1], i % thick[2]];
                at[thin_axis] /= 2;
                assert_eq!(value, patch[(at[0] * size[1] + at[1]) * size[2] + at[2]]);
            }
        }
    }
}
