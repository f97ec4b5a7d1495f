//! Voxel masks: one byte a voxel, NIfTI-1, compressed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

/// Bytes of a NIfTI-1 header.
const HEADER: usize = 348;
/// Data type code of unsigned bytes.
const UNSIGNED_BYTE: i16 = 2;

/// Why a mask cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum MaskError {
    /// The file cannot be read.
    #[error("cannot read the mask {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Not a little-endian NIfTI-1 file of bytes.
    #[error(
        "the mask {} is no little-endian NIfTI-1 file of unsigned bytes (data type {found}): \
         write it with data type 2",
        path.display()
    )]
    Kind {
        /// The file.
        path: PathBuf,
        /// Its data type code.
        found: i16,
    },
    /// A mask of another stack.
    #[error(
        "the mask {} has {found:?} voxels, its series has {expected:?}: give the folder of this \
         study's masks",
        path.display()
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Columns, rows, slices of the mask.
        found: [usize; 3],
        /// Columns, rows, slices of the series.
        expected: [usize; 3],
    },
}

/// Components `[slice, row, column]` of a stack of `size_vox` (columns, rows, slices).
pub(super) fn read(path: &Path, size_vox: [usize; 3]) -> Result<Vec<u8>, MaskError> {
    let fails = |source| MaskError::Read { path: path.into(), source };
    let voxels = size_vox.iter().product::<usize>();
    let mut bytes = Vec::new();
    // A little more than a mask of this series can have, whatever the file says.
    let limit = voxels as u64 + (1 << 16);
    GzDecoder::new(File::open(path).map_err(fails)?)
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(fails)?;
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Err(fails(io::Error::new(io::ErrorKind::UnexpectedEof, "no NIfTI-1 header")));
    };
    let short = |at: usize| i16::from_le_bytes([header[at], header[at + 1]]);
    let length = i32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let kind = short(70);
    if length != 348 || kind != UNSIGNED_BYTE {
        return Err(MaskError::Kind { path: path.into(), found: kind });
    }
    let found = [42, 44, 46].map(|at| usize::try_from(short(at)).unwrap_or(0));
    if found != size_vox {
        return Err(MaskError::Size { path: path.into(), found, expected: size_vox });
    }
    // Voxels end the file; extensions may stand before them.
    let Some(first) = bytes.len().checked_sub(voxels).filter(|first| *first >= HEADER) else {
        return Err(fails(io::Error::new(io::ErrorKind::UnexpectedEof, "voxels are missing")));
    };
    bytes.drain(..first);
    Ok(bytes)
}
