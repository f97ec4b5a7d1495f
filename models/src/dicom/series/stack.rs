//! The pixels of a series: frames decoded, rescaled, and stacked in patient space.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::header::{GDCM_SKEW, Instance, Slice, dot};
use super::samples::SampleType;
use crate::dicom::decoder::Decoder;
use crate::dicom::parse::{self, DicomFile};
use crate::dicom::pixels::{self, Frame, PixelError};
use crate::dicom::read::Limits;
use crate::study::{LeftOutReason, Remark, Samples, Series, SliceSource, Stack};

/// A slice with the frame its pixels are in.
pub(in crate::dicom) struct Loaded {
    pub(in crate::dicom) slice: Slice,
    /// Index into the frames.
    pub(in crate::dicom) frame: usize,
}

/// The slices of a series in its order, the frames they need, and the slices that failed.
#[derive(Default)]
pub(in crate::dicom) struct Pixels {
    pub(in crate::dicom) slices: Vec<Loaded>,
    pub(in crate::dicom) frames: Vec<Frame>,
    pub(in crate::dicom) failed: Vec<(SliceSource, LeftOutReason)>,
}

/// Reads the pixels of a series that [`crate::dicom::read::read_study`] found.
///
/// Values are rescaled; MONOCHROME1 is turned over so that larger is brighter. The sample type is
/// the stored one where nothing is rescaled, the smallest that holds every possible value where
/// slopes and intercepts are whole numbers, else `F64` (specification §1.5). Slices that cannot be
/// decoded are remarked on and skipped while they are few.
///
/// # Errors
/// The reason to leave the series out: files that changed or vanished since they were listed, more
/// than a tenth of the slices undecodable, or a stack larger than [`Limits`] allows.
pub fn read_stack(
    series: &Series,
    decoder: &Decoder,
) -> Result<(Stack, Vec<Remark>), LeftOutReason> {
    let mut pixels = load(series, true, decoder)?;
    let listed = series.slices.len();
    let failed = std::mem::take(&mut pixels.failed);
    if failed.len() * 10 > listed {
        let unusable = failed.len();
        let first = failed.into_iter().map(|(_, reason)| reason.to_string()).next();
        let first = first.unwrap_or_default();
        return Err(LeftOutReason::TooManyUnreadable { unusable, of: listed, first });
    }
    let remarks = failed.iter().map(|(source, reason)| ignored(&source.path, reason)).collect();
    let kind = SampleType::of_slices(&pixels);
    let samples = kind.gather(&pixels);
    Ok((stack(&pixels, samples, true)?, remarks))
}

fn ignored(path: &Path, reason: &LeftOutReason) -> Remark {
    let what = match reason {
        LeftOutReason::Unreadable { what, .. } => what.clone(),
        other => other.to_string(),
    };
    Remark::FileIgnored { file: file_name(path), what }
}

/// The last part of a path, which names a file without telling where studies are kept.
pub(in crate::dicom) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Decodes every frame that the series needs, once.
pub(in crate::dicom) fn load(
    series: &Series,
    split_mosaics: bool,
    decoder: &Decoder,
) -> Result<Pixels, LeftOutReason> {
    let mut wanted: BTreeMap<&PathBuf, Vec<(usize, u32)>> = BTreeMap::new();
    for (order, source) in series.slices.iter().enumerate() {
        wanted.entry(&source.path).or_default().push((order, source.frame));
    }
    let files: Vec<FilePixels> = wanted
        .into_par_iter()
        .map(|(path, wanted)| file_pixels(path, &wanted, split_mosaics, decoder))
        .collect::<Result<_, _>>()?;
    let mut pixels = Pixels::default();
    let mut ordered: Vec<(usize, Loaded)> = Vec::with_capacity(series.slices.len());
    for file in files {
        let base = pixels.frames.len();
        pixels.frames.extend(file.frames);
        pixels.failed.extend(file.failed);
        ordered.extend(
            file.slices
                .into_iter()
                .map(|(order, slice, frame)| (order, Loaded { slice, frame: base + frame })),
        );
    }
    ordered.sort_by_key(|(order, _)| *order);
    pixels.slices = ordered.into_iter().map(|(_, loaded)| loaded).collect();
    Ok(pixels)
}

/// What one file contributes: slices with their place in the series and their frame.
#[derive(Default)]
struct FilePixels {
    slices: Vec<(usize, Slice, usize)>,
    frames: Vec<Frame>,
    failed: Vec<(SliceSource, LeftOutReason)>,
}

fn file_pixels(
    path: &Path,
    wanted: &[(usize, u32)],
    split_mosaics: bool,
    decoder: &Decoder,
) -> Result<FilePixels, LeftOutReason> {
    let mut out = FilePixels::default();
    let source = |number| SliceSource { path: path.to_owned(), frame: number };
    let file = match parse::read_file(path) {
        Ok(file) => file,
        Err(error) => {
            let reason = unreadable(path, &error);
            out.failed.extend(wanted.iter().map(|w| (source(w.1), reason.clone())));
            return Ok(out);
        }
    };
    let instance = Instance::new(&file, split_mosaics);
    check_size(&instance, wanted)?;
    // All tiles of a mosaic are cut from its one frame.
    let mosaic = instance.slices.iter().any(|slice| slice.tile.is_some());
    let frames = if mosaic { wanted.get(..1).unwrap_or_default() } else { wanted };
    let decoded: Vec<Result<Frame, LeftOutReason>> = frames
        .par_iter()
        .map(|&(_, number)| decode(&file, if mosaic { 0 } else { number }, decoder))
        .collect();
    let mut found = Vec::with_capacity(decoded.len());
    for frame in decoded {
        found.push(frame.map(|frame| {
            out.frames.push(frame);
            out.frames.len() - 1
        }));
    }
    for (&(order, number), frame) in wanted.iter().zip(found.iter().cycle()) {
        let slice = instance.slices.iter().find(|slice| slice.source.frame == number);
        match (slice, frame) {
            (Some(slice), Ok(frame)) => out.slices.push((order, slice.clone(), *frame)),
            (_, Err(reason)) => out.failed.push((source(number), reason.clone())),
            (None, Ok(_)) => out.failed.push((source(number), changed(path))),
        }
    }
    Ok(out)
}

fn changed(path: &Path) -> LeftOutReason {
    let what = "it changed since the study was listed".into();
    LeftOutReason::Unreadable { file: file_name(path), what }
}

/// Refuses a file before its frames are decoded when they alone exceed the limit.
fn check_size(instance: &Instance, wanted: &[(usize, u32)]) -> Result<(), LeftOutReason> {
    let Ok(layout) = &instance.layout else { return Ok(()) };
    too_large(u64::from(layout.columns) * u64::from(layout.rows), wanted.len())
}

/// The reason to leave out a stack of more voxels than [`Limits`] allows.
pub(in crate::dicom) fn too_large(slice_vox: u64, slices: usize) -> Result<(), LeftOutReason> {
    let limit = Limits::default().stack_vox;
    let found = slice_vox.saturating_mul(slices as u64);
    if found > limit {
        return Err(LeftOutReason::TooLarge { what: "number of voxels".into(), found, limit });
    }
    Ok(())
}

fn decode(file: &DicomFile, number: u32, decoder: &Decoder) -> Result<Frame, LeftOutReason> {
    let mut frame = pixels::decode_frame(file, number, decoder)
        .map_err(|error| undecodable(&file.path, &error))?;
    if frame.samples_per_pixel != 1 {
        return Err(LeftOutReason::ColourMap);
    }
    if let Ok(layout) = pixels::layout(file)
        && layout.photometric == "MONOCHROME1"
    {
        pixels::invert_monochrome1(&layout, &mut frame.values);
    }
    Ok(frame)
}

pub(in crate::dicom) fn undecodable(path: &Path, error: &PixelError) -> LeftOutReason {
    match error {
        PixelError::TransferSyntax { uid, .. } => {
            LeftOutReason::TransferSyntax { uid: uid.clone() }
        }
        other => unreadable(path, other),
    }
}

/// An error and its causes as one line, without the folder the file is in.
pub(in crate::dicom) fn unreadable(path: &Path, error: &dyn std::error::Error) -> LeftOutReason {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let mut what = error.to_string();
    for cause in causes {
        what = format!("{what}: {cause}");
    }
    let prefix = format!("{}: ", path.display());
    let what = what.strip_prefix(&prefix).unwrap_or(&what).to_owned();
    LeftOutReason::Unreadable { file: file_name(path), what }
}

/// Directions of an axial image.
const AXIAL: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// Geometry of slices in stacking order, around their samples.
///
/// With `as_stacked` the slice direction points from the first to the last slice; without, it is
/// row x column whichever way the slices run, as ITK has it (specification §1.4), and cosines that
/// GDCM does not believe are those of an axial image.
pub(in crate::dicom) fn stack(
    pixels: &Pixels,
    samples: Samples,
    as_stacked: bool,
) -> Result<Stack, LeftOutReason> {
    let slices = &pixels.slices;
    let (Some(first), Some(last)) = (slices.first(), slices.last()) else {
        return Err(LeftOutReason::TooFewSlices { found: 0, needed: 1 });
    };
    let (first, last) = (&first.slice, &last.slice);
    let believed = first.orientation.filter(|o| as_stacked || o.skew.abs() < GDCM_SKEW);
    let [row, column, normal] = believed.map_or(AXIAL, |o| o.axes);
    let zero = [0.0; 3];
    let from = first.position_mm.unwrap_or(zero);
    let to = last.position_mm.unwrap_or(zero);
    let way: [f64; 3] = std::array::from_fn(|axis| to[axis] - from[axis]);
    let length_mm = dot(way, way).sqrt();
    let steps = slices.len().saturating_sub(1).max(1) as f64;
    let slice_mm = match (length_mm > 0.0, as_stacked) {
        (true, _) => length_mm / steps,
        (false, true) => assumed_spacing(first, last, steps),
        (false, false) => published_spacing(first, slices.len()),
    };
    let against = as_stacked && dot(way, normal) < 0.0;
    let [column_mm, row_mm] = first.pixel_spacing_mm.unwrap_or([1.0, 1.0]);
    Ok(Stack {
        samples,
        size_vox: [first.columns as usize, first.rows as usize, slices.len()],
        spacing_mm: [column_mm, row_mm, slice_mm],
        origin_mm: from,
        direction: [row, column, if against { normal.map(|v| -v) } else { normal }],
    })
}

/// Slice distance without positions: from slice locations, else as declared, else 1 mm.
fn assumed_spacing(first: &Slice, last: &Slice, steps: f64) -> f64 {
    let between = first.location.zip(last.location).map(|(a, b)| (b - a).abs() / steps);
    between.filter(|mm| *mm > 0.0).or(first.slice_spacing_mm).unwrap_or(1.0)
}

/// ITK believes Spacing Between Slices for a single file only, and takes 1 mm elsewhere
/// [measured with `SimpleITK` 2.5.3].
fn published_spacing(first: &Slice, slices: usize) -> f64 {
    first.slice_spacing_mm.filter(|_| slices == 1).unwrap_or(1.0)
}
