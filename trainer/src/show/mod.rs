//! Pictures of studies for people: everything a study holds on one page, and real and simulated
//! images side by side with statistics beside each.
//!
//! Slices are shown as they were acquired, with square millimetres; nothing is sharpened or
//! filtered.

mod mask;
mod mosaic;
mod pixels;
mod sheet;
mod statistics;

use std::path::{Path, PathBuf};

use models::dicom::decoder::Decoder;
use models::dicom::read::{Limits, ReadStudyError, read_study};
use models::dicom::select::Selection;
use models::dicom::series::read_stack;
use models::study::{LeftOut, Samples, Series, Stack};
use models::table::TableError;

pub use self::mask::MaskError;
pub use self::mosaic::{MosaicOptions, mosaic};
pub use self::sheet::{Sheet, SheetEntry, contact_sheet};
pub use self::statistics::{Statistics, statistics};

/// A study with its pixels.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Name of the study's folder.
    pub folder: String,
    /// Study Description (0008,1030).
    pub description: String,
    /// Series in the order of their numbers.
    pub series: Vec<ShownSeries>,
    /// What the reader had no use for.
    pub left_out: Vec<LeftOut>,
}

/// A series with its pixels.
#[derive(Clone, Debug)]
pub struct ShownSeries {
    /// Its name for the series-name encoder.
    pub name: String,
    /// Folder of its first file.
    pub folder: String,
    /// Axial, coronal or sagittal.
    pub plane: Plane,
    /// Columns, rows, slices.
    pub size_vox: [usize; 3],
    /// Distance between columns, rows, slices.
    pub spacing_mm: [f64; 3],
    /// C-ordered `[slice, row, column]`.
    pub voxels: Vec<f32>,
    /// Component of every voxel, 0 for none; empty without a mask.
    pub mask: Vec<u8>,
}

impl ShownSeries {
    /// The series description alone, where the name also holds the protocol.
    fn title(&self) -> &str {
        match self.name.split_once('-') {
            Some((description, protocol)) if protocol.ends_with("-Protocol") => description,
            _ => &self.name,
        }
    }
}

/// How slices lie in the patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plane {
    /// Normal along the body.
    Axial,
    /// Normal from front to back.
    Coronal,
    /// Normal from side to side.
    Sagittal,
}

impl std::fmt::Display for Plane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Axial => "axial",
            Self::Coronal => "coronal",
            Self::Sagittal => "sagittal",
        })
    }
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// The folder is no study.
    #[error(transparent)]
    Study(#[from] ReadStudyError),
    /// The rules for series that ship with this program.
    #[error("series cannot be selected")]
    Selection(#[from] TableError),
    /// A study without a usable series.
    #[error("no series of {} can be shown; the first was left out: {first}", path.display())]
    Empty {
        /// The study's folder.
        path: PathBuf,
        /// Why the first series was left out.
        first: String,
    },
    /// A mask that is no mask of its series.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// The picture could not be encoded.
    #[error("the picture could not be written as PNG")]
    Png(#[from] png::EncodingError),
}

/// Reads a study with all its pixels. `masks` is the folder that holds `<series folder>.nii.gz`
/// for the series that have a mask.
///
/// # Errors
/// When the folder is no study, nothing in it can be shown, or a mask does not fit.
pub fn read(study: &Path, masks: Option<&Path>, decoder: &Decoder) -> Result<Shown, ShowError> {
    let found = read_study(study, Limits::default(), &Selection::built_in()?)?;
    let mut shown = Shown {
        folder: last_name(study),
        description: found.description.unwrap_or_default(),
        series: Vec::new(),
        left_out: found.left_out,
    };
    for series in found.series {
        let (number, name, files) = (series.number, series.name.clone(), series.slices.len());
        match read_stack(&series, decoder) {
            Ok((stack, _)) => shown.series.push(shown_series(&series, stack, masks)?),
            Err(reason) => {
                shown.left_out.push(LeftOut { series_number: number, name, files, reason });
            }
        }
    }
    if shown.series.is_empty() {
        let first = shown.left_out.first().map_or_else(String::new, |l| l.reason.to_string());
        return Err(ShowError::Empty { path: study.into(), first });
    }
    Ok(shown)
}

fn shown_series(
    series: &Series,
    stack: Stack,
    masks: Option<&Path>,
) -> Result<ShownSeries, MaskError> {
    let file = series.slices.first().and_then(|slice| slice.path.parent());
    let folder = file.map(last_name).unwrap_or_default();
    let path = masks.map(|masks| masks.join(format!("{folder}.nii.gz")));
    let mask = match path.filter(|path| path.exists()) {
        Some(path) => mask::read(&path, stack.size_vox)?,
        None => Vec::new(),
    };
    let [x, y, z] = stack.direction[2].map(f64::abs);
    let plane = if z >= x && z >= y {
        Plane::Axial
    } else if y >= x {
        Plane::Coronal
    } else {
        Plane::Sagittal
    };
    Ok(ShownSeries {
        name: series.name.clone(),
        folder,
        plane,
        size_vox: stack.size_vox,
        spacing_mm: stack.spacing_mm,
        voxels: single_precision(stack.samples),
        mask,
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "grey levels for the eye"
)]
fn single_precision(samples: Samples) -> Vec<f32> {
    match samples {
        Samples::I8(v) => v.into_iter().map(f32::from).collect(),
        Samples::U8(v) => v.into_iter().map(f32::from).collect(),
        Samples::I16(v) => v.into_iter().map(f32::from).collect(),
        Samples::U16(v) => v.into_iter().map(f32::from).collect(),
        Samples::I32(v) => v.into_iter().map(|v| v as f32).collect(),
        Samples::U32(v) => v.into_iter().map(|v| v as f32).collect(),
        Samples::F64(v) => v.into_iter().map(|v| v as f32).collect(),
    }
}

/// The last part of a path, which names a folder without telling where studies are kept.
fn last_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
