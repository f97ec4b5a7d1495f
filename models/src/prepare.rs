//! A study on disk to what the engine reads: patches and names. Training and serving both come
//! through here, so they cannot differ.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::dicom::decoder::Decoder;
use crate::dicom::published::{read_stack_published, read_study_published};
use crate::dicom::read::{Limits, ReadStudyError, read_study};
use crate::dicom::select::Selection;
use crate::dicom::series::read_stack;
use crate::dims::MAX_NAME_CHARS;
use crate::study::{LeftOut, LeftOutReason, Remark, Series, Stack, Study};
use crate::tokens::patchify::patchify;
use crate::tokens::text::char_ids;
use crate::tokens::{SeriesPatches, StudyPatches};
use crate::volume::{AcquiredGrid, Appearance, Preprocessing, Volume, appearance, preprocess};

/// A study ready for the engine.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// Study Instance UID.
    pub uid: String,
    /// Study Description (0008,1030).
    pub description: Option<String>,
    /// The series that are looked at.
    pub series: Vec<PreparedSeries>,
    /// Their patches, in the same order.
    pub patches: StudyPatches,
    /// Everything else, with the reason.
    pub left_out: Vec<LeftOut>,
    /// Where the time went.
    pub timings: PrepareTimings,
}

/// A usable series and what became of it.
#[derive(Clone, Debug)]
pub struct PreparedSeries {
    /// The series.
    pub series: Series,
    /// Acquired columns, rows, slices.
    pub acquired_vox: [usize; 3],
    /// Distance between acquired columns, rows and slices.
    pub spacing_mm: [f64; 3],
    /// Stacking axis in LPS order: 0 axial, 1 coronal, 2 sagittal.
    pub thin_axis: usize,
    /// Patches of the whole volume.
    pub patches: usize,
    /// Tokens in the sequence.
    pub tokens: usize,
    /// What its volume looks like.
    pub appearance: Appearance,
}

/// Seconds on the wall, by stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrepareTimings {
    /// Finding files and reading headers.
    pub read: Duration,
    /// Decoding pixels into stacks.
    pub decode: Duration,
    /// Resampling and orienting.
    pub volume: Duration,
    /// Cutting and filtering patches.
    pub patches: Duration,
}

/// Reads a study's headers in the manner of a preprocessing version; the published one selects
/// nothing.
///
/// # Errors
///
/// When the folder cannot be read as one study.
pub fn open_study(
    dir: &Path,
    version: Preprocessing,
    selection: &Selection,
) -> Result<Study, ReadStudyError> {
    match version {
        Preprocessing::Published => read_study_published(dir),
        Preprocessing::V1 => read_study(dir, Limits::default(), selection),
    }
}

/// Decodes, preprocesses and cuts every series of the study under `dir` that `selection` has a use
/// for, one at a time.
/// `progress` is told the name of each series before its pixels are read.
///
/// # Errors
///
/// When the folder cannot be read as one study. A series that cannot be used is not an error:
/// it is listed in [`Prepared::left_out`].
pub fn prepare(
    dir: &Path,
    version: Preprocessing,
    selection: &Selection,
    decoder: &Decoder,
    mut progress: impl FnMut(&str),
) -> Result<Prepared, ReadStudyError> {
    let started = Instant::now();
    let study = open_study(dir, version, selection)?;
    let mut prepared = Prepared {
        uid: study.uid,
        description: study.description,
        left_out: study.left_out,
        ..Prepared::default()
    };
    prepared.timings.read = started.elapsed();
    for series in study.series {
        progress(&series.name);
        let (number, name) = (series.number, series.name.clone());
        let files = series.slices.len();
        if let Err(reason) = prepared.add(series, version, decoder) {
            prepared.left_out.push(LeftOut { series_number: number, name, files, reason });
        }
    }
    Ok(prepared)
}

impl Prepared {
    fn add(
        &mut self,
        mut series: Series,
        version: Preprocessing,
        decoder: &Decoder,
    ) -> Result<(), LeftOutReason> {
        let started = Instant::now();
        let (stack, remarks) = decode(&series, version, decoder)?;
        series.remarks.extend(remarks);
        self.timings.decode += started.elapsed();
        self.add_stack(series, &stack, version)
    }

    /// Preprocesses and cuts a series whose pixels were read, from whatever files.
    ///
    /// # Errors
    ///
    /// The reason to leave the series out.
    pub fn add_stack(
        &mut self,
        mut series: Series,
        stack: &Stack,
        version: Preprocessing,
    ) -> Result<(), LeftOutReason> {
        let decoded = Instant::now();
        let volume = resample(stack, version)?;
        let resampled = Instant::now();
        self.timings.volume += resampled - decoded;
        let patches = patchify(&volume, version)?;
        let appearance = appearance(&volume);
        self.timings.patches += resampled.elapsed();
        if char_ids(&series.name).cut {
            series.remarks.push(Remark::NameCut { limit: MAX_NAME_CHARS });
        }
        self.series.push(PreparedSeries {
            acquired_vox: stack.size_vox,
            spacing_mm: stack.spacing_mm,
            thin_axis: volume.thin_axis,
            patches: crate::tokens::patchify::patch_count(stack.size_vox[2])?,
            tokens: patches.sequence.len(),
            appearance,
            series,
        });
        self.patches.series.push(patches);
        Ok(())
    }
}

/// The volume of one series, for pictures, and the grid it was acquired on.
///
/// # Errors
///
/// As when it was first read.
pub fn volume(
    series: &Series,
    version: Preprocessing,
    decoder: &Decoder,
) -> Result<(Volume, SeriesPatches, AcquiredGrid), LeftOutReason> {
    let (stack, _) = decode(series, version, decoder)?;
    let volume = resample(&stack, version)?;
    let patches = patchify(&volume, version)?;
    Ok((volume, patches, AcquiredGrid::of(&stack)))
}

fn decode(
    series: &Series,
    version: Preprocessing,
    decoder: &Decoder,
) -> Result<(Stack, Vec<Remark>), LeftOutReason> {
    match version {
        Preprocessing::Published => Ok((read_stack_published(series, decoder)?, Vec::new())),
        Preprocessing::V1 => read_stack(series, decoder),
    }
}

fn resample(stack: &Stack, version: Preprocessing) -> Result<Volume, LeftOutReason> {
    preprocess(stack, version).map_err(|error| LeftOutReason::Geometry { what: error.to_string() })
}
