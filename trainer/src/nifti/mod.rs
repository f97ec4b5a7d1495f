//! NIfTI-1 images, which research data sets are made of, as the reader of DICOM files would have
//! them: one volume a file, in patient space.
//!
//! Hospitals send DICOM, so that serving has no use for this, and the rule that nothing in `models`
//! but `dicom` reads a study stays. The reader is ours because the format is 348 bytes, of which
//! eleven fields matter here, and because a size has to be looked at before room is made for it.

mod header;
mod study;

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use models::dicom::read::Limits;
use models::study::{Samples, Stack};

use self::header::{HEADER, Header, Kind, length};
pub use self::study::{images, prepare};

/// First bytes of a compressed file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why an image is refused.
#[derive(Debug, thiserror::Error)]
pub enum NiftiError {
    /// It cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is something else than a volume with a place.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file or folder.
        path: PathBuf,
        /// Found, expected, and what to do.
        what: String,
    },
}

/// Runs an expression on the values of samples, whatever their type.
macro_rules! of_any_type {
    ($samples:expr, $values:ident => $of:expr) => {
        match $samples {
            Samples::I8($values) => $of,
            Samples::U8($values) => $of,
            Samples::I16($values) => $of,
            Samples::U16($values) => $of,
            Samples::I32($values) => $of,
            Samples::U32($values) => $of,
            Samples::F64($values) => $of,
        }
    };
}
use of_any_type;

/// Reads a volume. Values are rescaled, and keep their type where nothing rescales them and
/// [`Samples`] has it. The axis of the slices comes last: the one that the header names, or the
/// coarsest.
///
/// # Errors
///
/// When the file cannot be read, is no NIfTI-1 volume of one number a voxel, is larger than
/// [`Limits`] allows, ends early, does not say where its voxels lie, or holds what is no number.
pub fn read(path: &Path) -> Result<Stack, NiftiError> {
    let failed = |source| NiftiError::Read { path: path.to_owned(), source };
    let refused = |what| NiftiError::Content { path: path.to_owned(), what };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let packed = file.fill_buf().map_err(failed)?.starts_with(&GZIP);
    let mut source: Box<dyn Read> =
        if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let bytes = take(&mut source, HEADER as u64).map_err(failed)?;
    let bytes: &[u8; HEADER] = bytes
        .first_chunk()
        .ok_or_else(|| refused("too short for a NIfTI-1 header; copy the file again".to_owned()))?;
    let header = Header::parse(bytes, Limits::default().stack_vox).map_err(refused)?;
    take(&mut source, header.gap).map_err(failed)?;
    let expected = header.size_vox.iter().product::<usize>() * header.width;
    let voxels = take(&mut source, expected as u64).map_err(failed)?;
    if voxels.len() < expected {
        return Err(refused(format!(
            "its header promises {expected} bytes of voxels, the file ends before; copy it again"
        )));
    }
    header.stack(&voxels).map_err(refused)
}

/// The next so many bytes, or those that are there.
fn take(source: &mut impl Read, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match source.take(count).read_to_end(&mut bytes) {
        // A compressed file that was cut off.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(bytes),
        Err(error) => Err(error),
        Ok(_) => Ok(bytes),
    }
}

impl Header {
    fn stack(&self, voxels: &[u8]) -> Result<Stack, String> {
        let mut axes = [0, 1, 2];
        axes[self.slice_axis..].rotate_left(1);
        let turned;
        let voxels = if self.slice_axis == 2 {
            voxels
        } else {
            turned = self.turned(voxels, axes);
            &turned
        };
        let samples = self.samples(voxels);
        if let Samples::F64(values) = &samples
            && let Some(odd) = values.iter().find(|value| !value.is_finite())
        {
            return Err(format!("a voxel is {odd}; write a number there, 0 outside of the head"));
        }
        let steps = axes.map(|axis| self.step_mm[axis]);
        Ok(Stack {
            samples,
            size_vox: axes.map(|axis| self.size_vox[axis]),
            spacing_mm: steps.map(length),
            origin_mm: self.origin_mm,
            direction: steps.map(|step| step.map(|part| part / length(step))),
        })
    }

    /// Voxels in the order of other axes, the first fastest.
    fn turned(&self, voxels: &[u8], axes: [usize; 3]) -> Vec<u8> {
        let [x, y, _] = self.size_vox;
        let stride = [1, x, x * y];
        let [a, b, c] = axes.map(|axis| (self.size_vox[axis], stride[axis] * self.width));
        let mut turned = Vec::with_capacity(voxels.len());
        for k in 0..c.0 {
            for j in 0..b.0 {
                for i in 0..a.0 {
                    let at = i * a.1 + j * b.1 + k * c.1;
                    turned.extend_from_slice(&voxels[at..at + self.width]);
                }
            }
        }
        turned
    }

    #[expect(clippy::cast_precision_loss, reason = "samples have no type for 64 bits")]
    fn samples(&self, bytes: &[u8]) -> Samples {
        let big = self.big_endian;
        let stored = match self.kind {
            Kind::I8 => Samples::I8(each(bytes, big, i8::from_le_bytes)),
            Kind::U8 => Samples::U8(each(bytes, big, u8::from_le_bytes)),
            Kind::I16 => Samples::I16(each(bytes, big, i16::from_le_bytes)),
            Kind::U16 => Samples::U16(each(bytes, big, u16::from_le_bytes)),
            Kind::I32 => Samples::I32(each(bytes, big, i32::from_le_bytes)),
            Kind::U32 => Samples::U32(each(bytes, big, u32::from_le_bytes)),
            Kind::F32 => Samples::F64(each(bytes, big, |b| f64::from(f32::from_le_bytes(b)))),
            Kind::F64 => Samples::F64(each(bytes, big, f64::from_le_bytes)),
            Kind::I64 => Samples::F64(each(bytes, big, |b| i64::from_le_bytes(b) as f64)),
            Kind::U64 => Samples::F64(each(bytes, big, |b| u64::from_le_bytes(b) as f64)),
        };
        let Some([slope, intercept]) = self.rescale else { return stored };
        let rescaled = of_any_type!(&stored, values => {
            values.iter().map(|value| f64::from(*value) * slope + intercept).collect()
        });
        Samples::F64(rescaled)
    }
}

fn each<T, const N: usize>(bytes: &[u8], big_endian: bool, of: fn([u8; N]) -> T) -> Vec<T> {
    let value = |chunk: &[u8; N]| {
        let mut chunk = *chunk;
        if big_endian {
            chunk.reverse();
        }
        of(chunk)
    };
    bytes.as_chunks().0.iter().map(value).collect()
}

#[cfg(test)]
mod tests;
