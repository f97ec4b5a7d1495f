//! A folder of files to a [`Study`]: what will be looked at, and what will not, with the reason.
//! Headers only; the pixels follow with [`super::series::read_stack`].

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::parse::{self, ParseError};
use super::select::Selection;
use super::series::header::{Instance, Slice};
use super::series::order::order;
use super::series::series_name;
use super::series::split::{Part, split};
use super::series::stack::{file_name, too_large, unreadable};
use crate::study::{LeftOut, LeftOutReason, Remark, Series, SliceSource, Study};

/// What a study may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files of any kind under the folder.
    pub files: usize,
    /// Voxels of one stack.
    pub stack_vox: u64,
}

impl Default for Limits {
    /// Ten times the largest studies of an MR scanner, and twice a 512 x 512 x 256 volume.
    fn default() -> Self {
        Self { files: 100_000, stack_vox: 1 << 27 }
    }
}

/// Why a folder yields no study.
#[derive(Debug, thiserror::Error)]
pub enum ReadStudyError {
    /// The folder cannot be listed.
    #[error("cannot list {}: give an existing folder of DICOM files", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// More files than [`Limits`] allows.
    #[error(
        "{} holds more than {limit} files: give the folder of one study",
        path.display()
    )]
    TooManyFiles {
        /// The folder.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// No DICOM file under the folder.
    #[error(
        "no DICOM file among the {files} file(s) under {}: give the folder of one study",
        path.display()
    )]
    NoDicom {
        /// The folder.
        path: PathBuf,
        /// Files found.
        files: usize,
    },
    /// Files of more than one study.
    #[error(
        "{} holds {} studies ({}): give a folder that holds one of them",
        path.display(), uids.len(), uids.join(", ")
    )]
    SeveralStudies {
        /// The folder.
        path: PathBuf,
        /// Study Instance UIDs.
        uids: Vec<String>,
    },
}

/// Reads all headers under `dir` and makes series of what can be used.
///
/// Sub-folders are read too, links are not followed. A file that is no DICOM or is broken, and a
/// series that triage has no use for by `selection`, are listed in [`Study::left_out`].
///
/// # Errors
/// When the folder cannot be listed, holds no DICOM file, too many files, or several studies.
pub fn read_study(
    dir: &Path,
    limits: Limits,
    selection: &Selection,
) -> Result<Study, ReadStudyError> {
    let mut files = Vec::new();
    list(dir, limits.files, &mut files)?;
    files.sort();
    let parsed: Vec<Result<Instance, ParseError>> = files
        .par_iter()
        .map(|path| parse::read_header(path).map(|file| Instance::new(&file, true)))
        .collect();
    let mut study = Study::default();
    let mut series: BTreeMap<String, Vec<Instance>> = BTreeMap::new();
    let mut not_dicom = 0;
    for (path, parsed) in files.iter().zip(parsed) {
        match parsed {
            Ok(instance) => series.entry(instance.series_uid.clone()).or_default().push(instance),
            Err(ParseError::NotDicom { .. }) => not_dicom += 1,
            Err(error) => study.left_out.push(LeftOut {
                series_number: None,
                name: file_name(path),
                files: 1,
                reason: unreadable(path, &error),
            }),
        }
    }
    if files.len() == not_dicom {
        return Err(ReadStudyError::NoDicom { path: dir.into(), files: files.len() });
    }
    if not_dicom > 0 {
        study.left_out.push(LeftOut {
            series_number: None,
            name: "other files".into(),
            files: not_dicom,
            reason: LeftOutReason::NotDicom,
        });
    }
    identify(dir, &series, &mut study)?;
    for instances in series.into_values() {
        add_series(instances, selection, &mut study);
    }
    study.series.sort_by_key(|series| series.number.unwrap_or(i64::MAX));
    study.left_out.sort_by_key(|left| left.series_number.unwrap_or(i64::MAX));
    Ok(study)
}

/// Lists files depth first.
fn list(dir: &Path, limit: usize, files: &mut Vec<PathBuf>) -> Result<(), ReadStudyError> {
    let fails = |source| ReadStudyError::List { path: dir.into(), source };
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(fails)? {
            let entry = entry.map_err(fails)?;
            let kind = entry.file_type().map_err(fails)?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
            if files.len() + folders.len() > limit {
                return Err(ReadStudyError::TooManyFiles { path: dir.into(), limit });
            }
        }
    }
    Ok(())
}

/// The study that all files belong to.
fn identify(
    dir: &Path,
    series: &BTreeMap<String, Vec<Instance>>,
    study: &mut Study,
) -> Result<(), ReadStudyError> {
    let instances = || series.values().flatten();
    let mut uids: Vec<String> = instances().filter_map(|i| i.study_uid.clone()).collect();
    uids.sort();
    uids.dedup();
    if uids.len() > 1 {
        return Err(ReadStudyError::SeveralStudies { path: dir.into(), uids });
    }
    study.uid = uids.pop().unwrap_or_default();
    study.description = instances().find_map(|i| i.study_description.clone());
    Ok(())
}

/// Sorts the files of one series into volumes and the rest.
fn add_series(instances: Vec<Instance>, selection: &Selection, study: &mut Study) {
    let mut usable = Vec::new();
    for instance in instances {
        match selection.file_reason(&instance) {
            Some(reason) => leave_out(study, &instance, 1, None, reason),
            None => usable.push(instance),
        }
    }
    usable.sort_by_key(|instance| instance.slices.first().map(|slice| slice.instance));
    let (readable, broken): (Vec<_>, Vec<_>) =
        usable.into_iter().partition(|instance| instance.layout.is_ok());
    let faults: Vec<Remark> = broken.iter().map(ignored).collect();
    let Some(first) = readable.first() else {
        for instance in &broken {
            leave_out(study, instance, 1, None, fault(instance));
        }
        return;
    };
    let slices: Vec<Slice> = readable.iter().flat_map(|i| i.slices.iter().cloned()).collect();
    let files = readable.len();
    let split = split(slices);
    if selection.is_localiser(first, &split) {
        return leave_out(study, first, files + broken.len(), None, LeftOutReason::Localiser);
    }
    for (part, what) in split.repeats {
        let reason = LeftOutReason::Repeated { what: what.into() };
        leave_out(study, first, count_files(&part.slices), None, reason);
    }
    for part in split.parts {
        let (files, label) = (count_files(&part.slices), label(&part));
        match volume(first, part, &faults, selection) {
            Ok(series) => study.series.push(series),
            Err(reason) => leave_out(study, first, files, label, reason),
        }
    }
}

/// One volume, ordered and checked.
fn volume(
    first: &Instance,
    part: Part,
    faults: &[Remark],
    selection: &Selection,
) -> Result<Series, LeftOutReason> {
    let label = label(&part);
    if let Some(reason) = selection.volume_reason(&part.slices) {
        return Err(reason);
    }
    let (slices, mut remarks) = order(part)?;
    if let Some(reason) = selection.volume_reason(&slices) {
        return Err(reason);
    }
    if let Some(slice) = slices.first() {
        too_large(u64::from(slice.columns) * u64::from(slice.rows), slices.len())?;
    }
    remarks.extend_from_slice(faults);
    Ok(Series { part: label, remarks, ..series(first, slices.iter().map(|s| s.source.clone())) })
}

/// The description of a series, from one of its files.
pub(super) fn series(first: &Instance, slices: impl Iterator<Item = SliceSource>) -> Series {
    let trimmed = |text: &Option<String>| text.as_ref().map(|text| text.trim().to_owned());
    Series {
        uid: first.series_uid.clone(),
        number: first.number,
        description: trimmed(&first.description),
        protocol: trimmed(&first.protocol),
        name: series_name(
            first.description.as_deref(),
            first.protocol.as_deref(),
            &first.series_uid,
        ),
        part: None,
        slices: slices.collect(),
        remarks: Vec::new(),
    }
}

fn label(part: &Part) -> Option<String> {
    (!part.labels.is_empty()).then(|| part.labels.join(", "))
}

fn count_files(slices: &[Slice]) -> usize {
    let mut paths: Vec<&Path> = slices.iter().map(|slice| slice.source.path.as_path()).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.len()
}

fn ignored(instance: &Instance) -> Remark {
    let what = instance.layout.as_ref().err().cloned().unwrap_or_default();
    Remark::FileIgnored { file: file_name(&instance.path), what }
}

fn fault(instance: &Instance) -> LeftOutReason {
    let what = instance.layout.as_ref().err().cloned().unwrap_or_default();
    LeftOutReason::Unreadable { file: file_name(&instance.path), what }
}

/// Adds files to what is left out, to an earlier entry of the same series, volume and reason.
fn leave_out(
    study: &mut Study,
    instance: &Instance,
    files: usize,
    label: Option<String>,
    reason: LeftOutReason,
) {
    let named = instance.description.as_ref().or(instance.protocol.as_ref());
    let mut name = named.map_or_else(|| file_name(&instance.path), |name| name.trim().to_owned());
    if let Some(label) = label {
        name = format!("{name} ({label})");
    }
    let same = |left: &&mut LeftOut| {
        left.series_number == instance.number && left.name == name && left.reason == reason
    };
    if let Some(left) = study.left_out.iter_mut().rev().find(same) {
        left.files += files;
    } else {
        study.left_out.push(LeftOut { series_number: instance.number, name, files, reason });
    }
}

#[cfg(test)]
mod tests;
