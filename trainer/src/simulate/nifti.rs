//! Component masks as compressed NIfTI-1 files.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use thiserror::Error;

use super::acquire::Series;

/// Why a mask was not written.
#[derive(Debug, Error)]
#[error(
    "the mask {path} cannot be written: {source}; check that its folder exists and that the disk has room"
)]
pub struct MaskError {
    path: PathBuf,
    source: std::io::Error,
}

/// Bytes of the header with its empty extension flag.
const OFFSET: u16 = 352;
/// Type code of unsigned bytes.
const UINT8: i16 = 2;
/// Code of scanner coordinates, and of millimetres.
const SCANNER: i16 = 1;
const MILLIMETRES: u8 = 2;

/// Writes the mask of a series: one byte a voxel, in the geometry of its images.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_mask(path: &Path, series: &Series) -> Result<(), MaskError> {
    let write = || {
        let file = std::fs::File::create(path)?;
        // No name and no time in the compressed file, so that equal masks are equal bytes.
        let mut out = GzBuilder::new().write(file, Compression::fast());
        out.write_all(&header(series))?;
        out.write_all(&series.mask)?;
        out.finish()?.flush()
    };
    write().map_err(|source| MaskError { path: path.to_owned(), source })
}

/// Header of NIfTI-1, little endian, with the affine in RAS.
fn header(series: &Series) -> Vec<u8> {
    let spacing = [series.spacing_mm[1], series.spacing_mm[0], series.sequence.spacing_mm()];
    let mut bytes = vec![0; usize::from(OFFSET)];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &348_i32.to_le_bytes());
    let sizes = [series.columns, series.rows, series.slices];
    put(40, &3_i16.to_le_bytes());
    for axis in 0..7 {
        let size = sizes.get(axis).map_or(1, |&n| u16::try_from(n).unwrap_or(u16::MAX));
        put(42 + 2 * axis, &size.to_le_bytes());
        let step = spacing.get(axis).copied().unwrap_or(1.0);
        put(80 + 4 * axis, &step.to_le_bytes());
    }
    put(70, &UINT8.to_le_bytes());
    put(72, &8_i16.to_le_bytes());
    put(76, &1.0_f32.to_le_bytes());
    put(108, &f32::from(OFFSET).to_le_bytes());
    put(112, &1.0_f32.to_le_bytes());
    put(123, &[MILLIMETRES]);
    put(254, &SCANNER.to_le_bytes());
    let directions = [series.row, series.column, series.normal];
    for (axis, origin) in series.origin_mm.iter().enumerate() {
        // Patient coordinates of DICOM grow to the left and to the back, those of NIfTI to the
        // right and to the front.
        let sign = if axis < 2 { -1.0 } else { 1.0 };
        let step = |k: usize| sign * directions[k][axis] * spacing[k];
        let row = [step(0), step(1), step(2), sign * origin];
        for (column, value) in row.iter().enumerate() {
            put(280 + 16 * axis + 4 * column, &value.to_le_bytes());
        }
    }
    put(344, b"n+1\0");
    bytes
}
