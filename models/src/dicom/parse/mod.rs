//! One DICOM file, read without trust in it.
//!
//! `dicom-object` allocates what a length field asks for and recurses as deep as a file nests,
//! so it is kept for files this system wrote itself. This reader handles the three native
//! encodings and deflate, files without preamble or meta group, wrong or missing group lengths,
//! and trailing padding. It stops at the pixel data; [`super::pixels`] goes on from there.
//!
//! Everything is bounded: file and inflated size, nesting, number of elements, and each length
//! by the bytes that are there.

mod data_set;
mod error;
mod scan;
mod text;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use dicom_dictionary_std::{tags, uids};

pub use data_set::DataSet;
use data_set::Source;
pub use error::{Fault, ParseError};
pub(super) use scan::Fragment;
pub use scan::PixelElement;
use scan::{Encoding, ScanError, Scanner};

/// Explicit VR Big Endian: retired from the standard, but not from archives.
pub(super) const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// Largest file read, in bytes.
pub const MAX_FILE_BYTES: u64 = 512 << 20;
/// Largest inflated data set, in bytes: one frame of the largest size that
/// [`super::pixels`] accepts, and as much again.
pub const MAX_INFLATED_BYTES: u64 = 256 << 20;
/// First bite of [`read_header`]: more than the header of nearly every MR image.
const HEADER_BYTES: u64 = 64 << 10;

/// A parsed file: its data set, and where its pixel data lie.
#[derive(Clone, Debug)]
pub struct DicomFile {
    /// Where the file was read from; used in messages only.
    pub path: PathBuf,
    /// Transfer syntax UID (0002,0010), or the one that the bytes look like when it is missing.
    pub transfer_syntax: String,
    /// The data set up to its pixel data.
    pub data: DataSet,
    /// The pixel data element, if there is one.
    pub pixels: Option<PixelElement>,
    /// The fragments of encapsulated pixel data, the offset table first.
    pub(super) fragments: Vec<Fragment>,
}

impl DicomFile {
    /// The bytes kept of the file: all, or those before the pixel data after [`read_header`].
    pub(super) fn bytes(&self) -> &[u8] {
        self.data.source()
    }
}

/// Reads a whole file; its bytes stay in memory for [`super::pixels::decode_frame`].
///
/// # Errors
/// When the file cannot be read, is too large, is not DICOM, or contradicts itself.
pub fn read_file(path: &Path) -> Result<DicomFile, ParseError> {
    let mut bytes = Vec::new();
    read_up_to(path, MAX_FILE_BYTES + 1, &mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large(path, "the file", MAX_FILE_BYTES));
    }
    parse_bytes(path, bytes)
}

/// Reads the data set of a file and keeps nothing else: a whole study's headers fit in memory.
/// [`super::pixels::layout`] works on the result, [`super::pixels::decode_frame`] finds the
/// pixel data cut off.
///
/// # Errors
/// As [`read_file`].
pub fn read_header(path: &Path) -> Result<DicomFile, ParseError> {
    let mut bytes = Vec::new();
    read_up_to(path, HEADER_BYTES, &mut bytes)?;
    if bytes.len() as u64 == HEADER_BYTES {
        // The first bite is enough if it reaches the pixel data; any other outcome may be due
        // to the cut.
        if let Ok(file) = parse(path, bytes, Keep::Header)
            && file.pixels.is_some()
        {
            return Ok(file);
        }
        return read_file(path);
    }
    parse(path, bytes, Keep::Header)
}

/// Parses the bytes of a file; `path` is used in messages only.
///
/// # Errors
/// When the bytes are not DICOM or contradict themselves.
pub fn parse_bytes(path: &Path, bytes: Vec<u8>) -> Result<DicomFile, ParseError> {
    parse(path, bytes, Keep::All)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    All,
    Header,
}

fn parse(path: &Path, mut bytes: Vec<u8>, keep: Keep) -> Result<DicomFile, ParseError> {
    let start = data_start(&bytes).ok_or_else(|| ParseError::NotDicom { path: path.into() })?;
    let malformed = |error: ScanError| ParseError::Malformed {
        path: path.into(),
        tag: error.tag,
        offset: error.offset,
        fault: error.fault,
    };
    let meta_source: Source = Arc::default();
    let mut scanner = Scanner::new(&bytes, meta_source.clone(), start);
    let meta = scanner.file_meta().map_err(malformed)?;
    let mut at = scanner.at();
    let guess = guess_transfer_syntax(&bytes, at);
    // The getters of the meta group need its bytes, the data set goes on with the originals.
    meta_source.get_or_init(|| bytes.get(..at).unwrap_or_default().to_vec());
    let transfer_syntax = meta.text(tags::TRANSFER_SYNTAX_UID).unwrap_or_else(|| guess.to_owned());
    if is_deflated(&transfer_syntax) {
        bytes = inflate(path, &bytes, at)?;
        at = 0;
    }
    let source: Source = Arc::new(OnceLock::new());
    let mut scanner = Scanner::new(&bytes, source.clone(), at);
    let data = scanner.top_level(encoding(&transfer_syntax)).map_err(malformed)?;
    let (end, pixels) = (scanner.at(), scanner.pixels());
    let mut fragments = Vec::new();
    if keep == Keep::Header {
        bytes.truncate(end);
        bytes.shrink_to_fit();
    } else if pixels.is_some_and(|pixels| pixels.length.is_none()) {
        fragments = scanner.fragments();
    }
    source.get_or_init(|| bytes);
    Ok(DicomFile { path: path.into(), transfer_syntax, data, pixels, fragments })
}

/// Where the first element begins, if this looks like DICOM at all.
fn data_start(bytes: &[u8]) -> Option<usize> {
    if bytes.get(128..132) == Some(b"DICM") {
        return Some(132);
    }
    if bytes.starts_with(b"DICM") {
        return Some(4);
    }
    // Without a preamble the meta group or the identifying group come first, in either byte
    // order, and every element of theirs has a small number. Tools that cut off the front of a
    // file have been seen to leave one byte too many.
    (0..=1).find(|&start| {
        matches!(
            bytes.get(start..start + 4),
            Some([2 | 8, 0, _, 0..=0x40] | [0, 2 | 8, 0..=0x40, _])
        )
    })
}

/// The native transfer syntax that the element at `at` looks like. No group number in use is so
/// large that its bytes could be taken for the other order.
fn guess_transfer_syntax(bytes: &[u8], at: usize) -> &'static str {
    let header = bytes.get(at..at + 6).unwrap_or_default();
    let explicit = header.get(4..6).is_some_and(|vr| vr.iter().all(u8::is_ascii_uppercase));
    match header {
        [0, group, ..] if *group > 0 && explicit => EXPLICIT_VR_BIG_ENDIAN,
        _ if explicit => uids::EXPLICIT_VR_LITTLE_ENDIAN,
        _ => uids::IMPLICIT_VR_LITTLE_ENDIAN,
    }
}

fn encoding(transfer_syntax: &str) -> Encoding {
    match transfer_syntax {
        uids::IMPLICIT_VR_LITTLE_ENDIAN => Encoding::IMPLICIT,
        EXPLICIT_VR_BIG_ENDIAN => Encoding::BIG_ENDIAN,
        _ => Encoding::EXPLICIT,
    }
}

fn is_deflated(transfer_syntax: &str) -> bool {
    matches!(
        transfer_syntax,
        uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
            | uids::JPIP_REFERENCED_DEFLATE
            | uids::JPIPHTJ2K_REFERENCED_DEFLATE
    )
}

/// Inflates what follows the meta group (PS3.5 A.5). A stream without an end yields what is
/// there; the scanner will notice if that is too little.
fn inflate(path: &Path, bytes: &[u8], offset: usize) -> Result<Vec<u8>, ParseError> {
    let deflated = bytes.get(offset..).unwrap_or_default();
    let mut inflated = Vec::new();
    let outcome = flate2::read::DeflateDecoder::new(deflated)
        .take(MAX_INFLATED_BYTES + 1)
        .read_to_end(&mut inflated);
    match outcome {
        Err(source) if inflated.is_empty() => {
            Err(ParseError::Inflate { path: path.into(), offset, source })
        }
        _ if inflated.len() as u64 > MAX_INFLATED_BYTES => {
            Err(too_large(path, "the inflated data set", MAX_INFLATED_BYTES))
        }
        _ => Ok(inflated),
    }
}

fn read_up_to(path: &Path, limit: u64, bytes: &mut Vec<u8>) -> Result<(), ParseError> {
    let fails = |source| ParseError::Read { path: path.into(), source };
    let file = File::open(path).map_err(fails)?;
    // The size is a hint that saves reallocations; the limit holds for what is really there.
    let size = file.metadata().map_or(0, |meta| meta.len()).min(limit);
    bytes.reserve_exact(usize::try_from(size).unwrap_or(0));
    file.take(limit).read_to_end(bytes).map_err(fails)?;
    Ok(())
}

fn too_large(path: &Path, what: &'static str, limit: u64) -> ParseError {
    ParseError::TooLarge { path: path.into(), what, limit }
}

#[cfg(test)]
mod tests;
