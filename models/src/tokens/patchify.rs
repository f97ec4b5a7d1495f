//! Cuts a volume into 32 x 32 x 4 patches and keeps the ones with foreground
//! (specification §2, §4).

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
            // The next index; every patch counted so far has one.
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
    along(0)
        .flat_map(|z| along(1).flat_map(move |y| along(2).map(move |x| [z, y, x])))
        .collect()
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
                        *count += voxels[x.clone()].iter().map(|&v| u32::from(v > threshold)).sum::<u32>();
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
    use safetensors::SafeTensors;
    use serde_json::Value;

    use super::*;
    use crate::study::{Samples, Stack};
    use crate::tokens::golden::{doubles, floats, folder, integers, read};
    use crate::volume::{preprocess, untruncated};

    fn numbers<const N: usize>(value: &Value) -> [f64; N] {
        std::array::from_fn(|i| value[i].as_f64().unwrap())
    }

    /// The stack of a golden series. The generator wrote Pixel Data last and uncompressed, and
    /// the metadata hold the geometry, so no DICOM reader is needed here.
    fn golden_stack(meta: &Value) -> Stack {
        let original = &meta["original"];
        let size_vox = numbers::<3>(&original["OriginalSize"]).map(|n| n as usize);
        let slice_bytes = size_vox[0] * size_vox[1] * 2;
        let mut words: Vec<[u8; 2]> = Vec::new();
        for file in meta["files_in_order"].as_array().unwrap() {
            let (series, file) = (meta["dir"].as_str().unwrap(), file.as_str().unwrap());
            let bytes = std::fs::read(format!("{}study/{series}/{file}", folder())).unwrap();
            words.extend_from_slice(bytes[bytes.len() - slice_bytes..].as_chunks().0);
        }
        let signed = || words.iter().map(|&w| i16::from_le_bytes(w));
        let samples = match meta["native_dtype"].as_str().unwrap() {
            "int16" => Samples::I16(signed().collect()),
            "uint16" => Samples::U16(words.iter().map(|&w| u16::from_le_bytes(w)).collect()),
            // The only fractional Rescale Slope in the golden study.
            "float64" => Samples::F64(signed().map(|v| f64::from(v) * 0.37).collect()),
            other => panic!("{other}"),
        };
        let cosines: [f64; 9] = numbers(&original["OriginalDirection"]);
        Stack {
            samples,
            size_vox,
            spacing_mm: numbers(&original["OriginalSpacing"]),
            origin_mm: numbers(&original["OriginalOrigin"]),
            direction: std::array::from_fn(|a| std::array::from_fn(|r| cosines[3 * r + a])),
        }
    }

    fn assert_close(found: &[f64], expected: &[f64], what: &str) {
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 1e-9, "{what}: {found:?} is not {expected:?}");
        }
    }

    #[test]
    fn published_preprocessing_is_reproduced() {
        let meta: Value = serde_json::from_slice(&read("preprocess_meta.json")).unwrap();
        let bytes = read("preprocess.safetensors");
        let golden = SafeTensors::deserialize(&bytes).unwrap();
        for (i, meta) in meta.as_array().unwrap().iter().enumerate() {
            let stack = golden_stack(meta);
            let volume = preprocess(&stack, Preprocessing::Published).unwrap();
            check_volume(&volume, &stack, &golden, i);
            let reoriented = |key: &str| &meta["original"][key];
            assert_close(&volume.spacing_mm, &numbers::<3>(reoriented("ReorientSpacing")), "spacing");
            assert_close(&volume.origin_mm, &numbers::<3>(reoriented("ReorientOrigin")), "origin");
            let cosines: [f64; 9] = numbers(reoriented("ReorientDirection"));
            for (a, axis) in volume.direction.iter().enumerate() {
                assert_close(axis, &[cosines[a], cosines[3 + a], cosines[6 + a]], "direction");
            }
            assert_eq!(volume.thin_axis as u64, meta["thin_axis"].as_u64().unwrap());
            check_patches(&volume, meta, &golden, i);
        }
    }

    /// One raw unit is allowed where the exact value is an integer up to rounding
    /// (specification §1a), nothing elsewhere.
    fn check_volume(volume: &Volume, stack: &Stack, golden: &SafeTensors<'_>, i: usize) {
        let name = format!("s{i}.volume");
        assert_eq!(golden.tensor(&name).unwrap().shape(), volume.size_vox);
        if let Samples::F64(_) = stack.samples {
            for (found, expected) in volume.voxels.iter().zip(floats(golden, &name)) {
                assert!((found - expected).abs() <= 2e-5, "{name}: {found} {expected}");
            }
            return;
        }
        let exact = untruncated(stack).unwrap();
        let mut one_off = 0;
        for ((&found, expected), exact) in volume.voxels.iter().zip(integers(golden, &name)).zip(exact) {
            let allowed = if (exact - exact.round()).abs() < 1e-6 { 1 } else { 0 };
            let difference = (found as i64 - expected).abs();
            assert!(difference <= allowed, "{name}: {found} instead of {expected}, exactly {exact}");
            one_off += difference;
        }
        println!("{name}: {one_off} of {} differ by one", volume.voxels.len());
    }

    fn check_patches(volume: &Volume, meta: &Value, golden: &SafeTensors<'_>, i: usize) {
        let patches = Patches::measure(volume, Preprocessing::Published).unwrap();
        assert!((f64::from(patches.scale_max) - meta["scale_max"].as_f64().unwrap()).abs() < 2e-5);
        assert_eq!(patches.kept.percent_used as u64, meta["percent_used"].as_u64().unwrap());
        assert_eq!(patches.kept.infill as u64, meta["infill"].as_u64().unwrap());
        let coordinates: Vec<i64> =
            patches.coordinates.iter().flatten().map(|&c| i64::from(c)).collect();
        assert_eq!(coordinates, integers(golden, &format!("s{i}.coords")));
        assert_eq!(patches.percent, doubles(golden, &format!("s{i}.percent")));
        let kept: Vec<i64> = patches.kept.ids.iter().map(|&id| id.into()).collect();
        assert_eq!(kept, integers(golden, &format!("s{i}.kept_ids")));

        let tokens = floats(golden, &format!("s{i}.tokens"));
        let (mut patch, mut thick) = ([0.0; PATCH_VOX], [0.0; PATCH_VOX * THIN_REPEAT]);
        let ids = integers(golden, &format!("s{i}.token_ids"));
        for (id, expected) in ids.iter().zip(tokens.chunks_exact(thick.len())) {
            patches.copy_scaled(u32::try_from(*id).unwrap(), &mut patch);
            write_repeated(&patch, volume.thin_axis, &mut thick);
            let error = thick.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // A voxel one raw unit off moves a token by less than the stage's tolerance allows.
            assert!(error <= 2e-5f32.max(1.0 / patches.scale_max), "s{i} token {id}: {error}");
            println!("s{i} token {id}: {error}");
        }
    }
}
