//! A study as the published pipeline reads it, with every quirk (specification §1): a sub-folder
//! is a series, the slices are in the order of their file names, and nothing is selected. For
//! comparison with published results only; [`super::read`] is what the product uses.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::decoder::Decoder;
use super::parse;
use super::read::{ReadStudyError, series};
use super::series::header::{GDCM_SKEW, Instance, Slice};
use super::series::samples::SampleType;
use super::series::stack::{file_name, load, stack};
use crate::study::{LeftOut, LeftOutReason, Series, Stack, Study};

/// Lists the series of a study: its direct sub-folders in natural order of their names.
///
/// A folder that the published code drops is listed in [`Study::left_out`]. The study has no
/// description, because the published pipeline takes it from its configuration.
///
/// # Errors
/// When the folder cannot be listed or no series is left.
pub fn read_study_published(dir: &Path) -> Result<Study, ReadStudyError> {
    let fails = |source| ReadStudyError::List { path: dir.into(), source };
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dir).map_err(fails)? {
        let path = entry.map_err(fails)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort_by(|a, b| natural_order(&file_name(a), &file_name(b)));
    let mut study = Study::default();
    for folder in &folders {
        match folder_series(folder) {
            Ok((uid, series)) => {
                study.uid = if study.uid.is_empty() { uid } else { study.uid };
                study.series.push(series);
            }
            Err((files, reason)) => study.left_out.push(LeftOut {
                series_number: None,
                name: file_name(folder),
                files,
                reason,
            }),
        }
    }
    if study.series.is_empty() {
        let files = study.left_out.iter().map(|left| left.files).sum();
        return Err(ReadStudyError::NoDicom { path: dir.into(), files });
    }
    Ok(study)
}

/// Study Instance UID and series of a folder; else the number of files and why it is dropped.
fn folder_series(folder: &Path) -> Result<(String, Series), (usize, LeftOutReason)> {
    let drop = |files, what: &str| {
        let what = what.to_owned();
        (files, LeftOutReason::Unreadable { file: file_name(folder), what })
    };
    let Ok(files) = visible_files(folder) else { return Err(drop(0, "it cannot be listed")) };
    let instances: Vec<Instance> = files
        .par_iter()
        .filter_map(|path| Some(Instance::new(&parse::read_header(path).ok()?, false)))
        .collect();
    // GDCM keeps series in a map by their identifier; the pipeline reads the first only.
    let uid = instances.iter().map(|i| i.series_uid.clone()).min().unwrap_or_default();
    let of_series: Vec<Instance> = instances.into_iter().filter(|i| i.series_uid == uid).collect();
    let count = of_series.len();
    if let Some(error) = of_series.iter().find_map(|i| i.layout.as_ref().err()) {
        return Err(drop(count, error));
    }
    let mut kept = majority_size(of_series);
    kept.sort_by(|a, b| natural_order(&file_name(&a.path), &file_name(&b.path)));
    let Some(first) = kept.first() else { return Err(drop(files.len(), "it holds no DICOM file")) };
    let Ok(layout) = &first.layout else { return Err(drop(count, "it holds no image")) };
    if layout.samples_per_pixel != 1 || !layout.photometric.starts_with("MONOCHROME") {
        return Err((count, LeftOutReason::ColourMap));
    }
    if layout.frames > 1 {
        let what = "a multi-frame file, which the published pipeline cannot orient".into();
        return Err((count, LeftOutReason::Geometry { what }));
    }
    let sources = kept.iter().flat_map(|instance| &instance.slices).map(|s| s.source.clone());
    let mut series = series(first, sources);
    // Several values make the published name fail, and the folder's name takes its place.
    let several = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\\'));
    if several(&first.description) || several(&first.protocol) {
        series.name = file_name(folder);
    }
    Ok((first.study_uid.clone().unwrap_or_default(), series))
}

/// Files of a folder that GDCM looks at: not hidden, not in sub-folders.
fn visible_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() && !file_name(&path).starts_with('.') {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The largest group of images of one size. Of groups as large the one counts that GDCM lists
/// first, that is, whose first slice lies lowest along the normal.
fn majority_size(mut instances: Vec<Instance>) -> Vec<Instance> {
    let believed = |slice: &&Slice| slice.orientation.is_some_and(|o| o.skew.abs() < GDCM_SKEW);
    let first = instances.first().and_then(|i| i.slices.first());
    let normal = first.filter(believed).and_then(Slice::normal).or(Some([0.0, 0.0, 1.0]));
    let place = |instance: &Instance| {
        let slice = instance.slices.first();
        slice.zip(normal).and_then(|(slice, normal)| slice.along(normal)).unwrap_or(0.0)
    };
    instances.sort_by(|a, b| place(a).total_cmp(&place(b)));
    let mut groups: BTreeMap<[u32; 3], (usize, Vec<Instance>)> = BTreeMap::new();
    for (at, instance) in instances.into_iter().enumerate() {
        let Ok(layout) = &instance.layout else { continue };
        let size = [layout.columns, layout.rows, layout.frames];
        groups.entry(size).or_insert_with(|| (at, Vec::new())).1.push(instance);
    }
    let largest = groups
        .into_values()
        .max_by(|(at, a), (other, b)| a.len().cmp(&b.len()).then(other.cmp(at)));
    largest.map(|(_, instances)| instances).unwrap_or_default()
}

/// Reads the pixels of a series that [`read_study_published`] found.
///
/// The sample type is that of the first file, into which the others are converted; the direction
/// is row x column of the first file, whichever way the slices run (specification §1.4, §1.5).
///
/// # Errors
/// Whatever makes the published pipeline drop the series: one file that cannot be read or decoded
/// is enough.
pub fn read_stack_published(series: &Series, decoder: &Decoder) -> Result<Stack, LeftOutReason> {
    let mut pixels = load(series, false, decoder)?;
    if let Some((_, reason)) = pixels.failed.pop() {
        return Err(reason);
    }
    let mut kinds = Vec::with_capacity(pixels.slices.len());
    for loaded in &pixels.slices {
        let kind = pixels
            .frames
            .get(loaded.frame)
            .and_then(|frame| SampleType::of_image(&loaded.slice, frame));
        kinds.push(kind.ok_or_else(|| LeftOutReason::Unreadable {
            file: file_name(&loaded.slice.source.path),
            what: "its rescaled type is smaller than the stored one, which GDCM refuses".into(),
        })?);
    }
    let kind = kinds.first().copied().unwrap_or(SampleType::F64);
    let samples = kind.gather(&pixels);
    stack(&pixels, samples, false)
}

/// The order of Python's `natsort`: runs of digits compare as numbers, the rest by code point,
/// and a name that another begins with comes first.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    loop {
        let (a_text, b_text) = (take(&mut a_rest, false), take(&mut b_rest, false));
        let (a_digits, b_digits) = (take(&mut a_rest, true), take(&mut b_rest, true));
        let order = a_text.cmp(b_text).then_with(|| number_order(a_digits, b_digits));
        if order != Ordering::Equal {
            return order;
        }
        if a_rest.is_empty() || b_rest.is_empty() {
            // Equal but for leading zeros: any order will do, as long as it is always the same.
            return a_rest.len().cmp(&b_rest.len()).then_with(|| a.cmp(b));
        }
    }
}

/// Splits off the longest run of digits, or of anything else.
fn take<'a>(rest: &mut &'a str, digits: bool) -> &'a str {
    let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
    let (run, tail) = rest.split_at(end);
    *rest = tail;
    run
}

/// Compares runs of digits of any length; an absent number comes first.
fn number_order(a: &str, b: &str) -> Ordering {
    let significant = |text: &str| text.trim_start_matches('0').len();
    let tail = |text| str::trim_start_matches(text, '0');
    a.is_empty()
        .cmp(&b.is_empty())
        .reverse()
        .then_with(|| significant(a).cmp(&significant(b)))
        .then_with(|| tail(a).cmp(tail(b)))
}

#[cfg(test)]
mod tests;
