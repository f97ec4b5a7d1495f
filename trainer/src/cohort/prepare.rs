//! A study's DICOM files to the patches of a shard, by the path that serving takes too.

use std::path::{Path, PathBuf};

use models::dicom::decoder::Decoder;
use models::dicom::read::ReadStudyError;
use models::dicom::select::Selection;
use models::dims::{PATCH_THIN_VOX, PATCH_VOX};
use models::nn::mixer::write_thin_first;
use models::prepare::{Prepared, prepare};
use models::study::{Samples, Stack};
use models::tokens::SeriesPatches;
use models::tokens::patchify::patch_size_vox;
use models::volume::{Preprocessing, Volume, preprocess};

use rayon::prelude::*;
use serde::Serialize;

use super::record::StudyRecord;
use super::shard::{ShardSeries, ShardStudy, Values, pack, write_shard};
use super::{Cohort, files, note_selection, write_lines};

/// Share of the maximum from which a voxel counts as foreground in a shard's statistics.
const FOREGROUND: f32 = 0.1;
/// Voxels of a patch that a lesion must fill to count as in it.
const TOUCHED_VOX: usize = 24;

/// Why a study did not become patches.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The folder is no study.
    #[error("{path} cannot be read as a study")]
    Study {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReadStudyError,
    },
}

/// Voxels of a lesion mask, as acquired: C-ordered `[slice, row, column]`.
#[derive(Clone, Debug)]
pub struct Mask {
    /// Component of each voxel, 0 for none.
    pub component: Vec<u8>,
    /// Columns, rows, slices.
    pub size_vox: [usize; 3],
    /// As of the stack the mask belongs to.
    pub spacing_mm: [f64; 3],
    /// As of the stack.
    pub origin_mm: [f64; 3],
    /// As of the stack.
    pub direction: [[f64; 3]; 3],
}

/// Reads a study and cuts it. `mask` finds the lesion mask of a series by its folder's name.
///
/// # Errors
///
/// When the folder cannot be read as one study.
pub fn patches(
    id: &str,
    folder: &Path,
    selection: &Selection,
    decoder: &Decoder,
    mask: impl Fn(&str) -> Option<Mask>,
) -> Result<ShardStudy, PrepareError> {
    let prepared = prepare(folder, Preprocessing::V1, selection, decoder, |_| {})
        .map_err(|source| PrepareError::Study { path: folder.to_owned(), source })?;
    Ok(shard_study(id, &prepared, mask))
}

/// Cuts every study of a cohort on disk; returns how many, and how many could not be read, which
/// are listed in `unreadable.jsonl`.
///
/// # Errors
///
/// When the cohort is refused or the disk is full.
pub fn cohort(
    folder: &Path,
    decoder: &Decoder,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> anyhow::Result<(usize, usize)> {
    const STUDIES_PER_SHARD: usize = 32;
    let cohort = Cohort::open(folder)?;
    let selection = Selection::built_in()?;
    let total = cohort.records.len();
    let (mut done, mut unreadable) = (0, Vec::new());
    for (number, part) in cohort.records.chunks(STUDIES_PER_SHARD).enumerate() {
        let read = |record: &StudyRecord| {
            let study = folder.join(files::STUDIES).join(&record.id);
            patches(&record.id, &study, &selection, decoder, |_| None)
        };
        let studies: Vec<_> = part.par_iter().map(read).collect();
        let mut shard = Vec::new();
        for (record, study) in part.iter().zip(studies) {
            match study {
                Ok(study) => shard.push(study),
                Err(error) => {
                    let reason = error.to_string();
                    unreadable.push(Unreadable { id: record.id.clone(), reason });
                }
            }
        }
        done += shard.len();
        let path = folder.join(format!("patches-{number:04}.safetensors"));
        write_shard(&path, Values::Patches, &shard)?;
        progress((number * STUDIES_PER_SHARD + part.len()) as u64, total as u64);
    }
    note_selection(folder, &selection)?;
    write_lines(&folder.join("unreadable.jsonl"), &unreadable)?;
    Ok((done, unreadable.len()))
}

/// A line of `unreadable.jsonl`.
#[derive(Serialize)]
struct Unreadable {
    id: String,
    reason: String,
}

/// A prepared study as a shard stores it.
pub fn shard_study(
    id: &str,
    prepared: &Prepared,
    mask: impl Fn(&str) -> Option<Mask>,
) -> ShardStudy {
    let series = prepared.series.iter().zip(&prepared.patches.series).map(|(series, patches)| {
        let folder = series.series.slices.first().and_then(|s| s.path.parent()?.file_name());
        let folder = folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut out = shard_series(&series.series.name, patches);
        if let Some(mask) = mask(&folder) {
            out.components = components(&mask, patches);
        }
        out
    });
    ShardStudy {
        id: id.to_owned(),
        description: prepared.description.clone().unwrap_or_default(),
        series: series.collect(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a volume has at most 5000 patches")]
fn shard_series(name: &str, patches: &SeriesPatches) -> ShardSeries {
    let n = patches.coordinates.len();
    let mut out = ShardSeries {
        name: name.to_owned(),
        thin_axis: patches.thin_axis,
        values: Vec::with_capacity(n * PATCH_VOX),
        coordinates: patches.coordinates.iter().map(|c| c.map(|v| v as u16)).collect(),
        foreground: Vec::with_capacity(n),
        components: vec![0; n],
        sequence: patches.sequence.iter().map(|&i| i as u16).collect(),
    };
    let mut turned = vec![0.0; PATCH_VOX];
    for patch in patches.voxels.chunks_exact(PATCH_VOX) {
        write_thin_first(patch, patches.thin_axis, &mut turned);
        out.values.extend(turned.iter().map(|&v| pack(v)));
        let bright = patch.iter().filter(|v| **v > FOREGROUND).count();
        out.foreground.push((100 * bright / PATCH_VOX) as u8);
    }
    out
}

/// Which components are in which patch: each goes through the same resampling as the image.
#[must_use]
pub fn components(mask: &Mask, patches: &SeriesPatches) -> Vec<u16> {
    let mut found = vec![0u16; patches.coordinates.len()];
    let mut present: Vec<u8> = mask.component.iter().copied().filter(|c| *c > 0).collect();
    present.sort_unstable();
    present.dedup();
    for component in present.into_iter().filter(|c| *c <= 16) {
        let samples = mask.component.iter().map(|c| if *c == component { 200 } else { 0 });
        let stack = Stack {
            samples: Samples::U8(samples.collect()),
            size_vox: mask.size_vox,
            spacing_mm: mask.spacing_mm,
            origin_mm: mask.origin_mm,
            direction: mask.direction,
        };
        let Ok(volume) = preprocess(&stack, Preprocessing::V1) else { continue };
        for (start, bits) in patches.coordinates.iter().zip(&mut found) {
            if filled(&volume, patches.thin_axis, *start) >= TOUCHED_VOX {
                *bits |= 1 << (component - 1);
            }
        }
    }
    found
}

/// Voxels of the patch at `start` (in the padded volume) that are at least half inside.
fn filled(volume: &Volume, thin_axis: usize, start: [u32; 3]) -> usize {
    let size = patch_size_vox(thin_axis);
    let mut pad = [0; 3];
    let slices = volume.size_vox[thin_axis];
    pad[thin_axis] = (slices.next_multiple_of(PATCH_THIN_VOX) - slices) / 2;
    let range = |axis: usize| {
        let from = (start[axis] as usize).saturating_sub(pad[axis]);
        let to = (start[axis] as usize + size[axis]).saturating_sub(pad[axis]);
        from..to.min(volume.size_vox[axis])
    };
    let [_, height, width] = volume.size_vox;
    range(0)
        .flat_map(|z| range(1).map(move |y| (z * height + y) * width))
        .map(|row| {
            let columns = range(2);
            let row = &volume.voxels[row + columns.start..row + columns.end];
            row.iter().filter(|v| **v >= 100.0).count()
        })
        .sum()
}
