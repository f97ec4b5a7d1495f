//! Single frames of stored files, as they lie there: nothing is decoded.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use dicom_dictionary_std::uids;
use models::dicom::parse::{ParseError, read_file, read_header};
use models::dicom::pixels::{self, PixelError};

/// Held while a whole file is in memory, to find the fragments in it: one in the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Why frames cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The file cannot be opened.
    #[error("a stored image cannot be opened")]
    Open(#[source] io::Error),
    /// The file cannot be read as DICOM.
    #[error("a stored image cannot be read")]
    Read(#[source] ParseError),
    /// It does not have these frames, or not in a form that can be handed out.
    #[error("the frames of a stored image cannot be found")]
    Pixels(#[source] PixelError),
}

/// Frames of a file and where they lie in it, in pieces.
#[derive(Debug)]
pub(crate) struct Frames {
    file: File,
    /// UID of the transfer syntax of each frame.
    pub(crate) transfer_syntax: String,
    /// One entry for each frame that was asked for, in the order in which they were.
    pub(crate) places: Vec<Vec<Range<usize>>>,
}

impl Frames {
    /// Finds the frames of these numbers, which begin at 1; `None` asks for all.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, lacks one of them, or has them in an encoding that would
    /// have to be changed first.
    pub(crate) fn find(path: &Path, numbers: Option<&[u32]>) -> Result<Self, FrameError> {
        let file = File::open(path).map_err(FrameError::Open)?;
        let bytes = file.metadata().map_err(FrameError::Open)?.len();
        let mut parsed = read_header(path).map_err(FrameError::Read)?;
        let compressed = parsed.pixels.is_some_and(|pixels| pixels.length.is_none());
        let alone = compressed.then(|| ALONE.lock().unwrap_or_else(PoisonError::into_inner));
        if compressed {
            parsed = read_file(path).map_err(FrameError::Read)?;
        }
        let frames: Vec<u32> = match numbers {
            Some(numbers) => numbers.iter().map(|n| n.checked_sub(1).unwrap_or(u32::MAX)).collect(),
            None => (0..pixels::layout(&parsed).map_err(FrameError::Pixels)?.frames).collect(),
        };
        let places = pixels::frame_ranges(&parsed, &frames).map_err(FrameError::Pixels)?;
        for (frame, ranges) in frames.iter().zip(&places) {
            check_end(path, *frame, ranges, bytes)?;
        }
        drop(alone);
        let transfer_syntax = if compressed {
            parsed.transfer_syntax
        } else {
            // Without compression a frame is the same in implicit and explicit representation.
            uids::EXPLICIT_VR_LITTLE_ENDIAN.to_owned()
        };
        Ok(Self { file, transfer_syntax, places })
    }

    /// Reads a piece of a frame, at most `buffer` of it; returns how much.
    ///
    /// # Errors
    ///
    /// When the file cannot be read any more.
    pub(crate) fn read(&self, piece: &Range<usize>, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = &self.file;
        let length = piece.len().min(buffer.len());
        file.seek(SeekFrom::Start(piece.start as u64))?;
        file.read_exact(buffer.get_mut(..length).unwrap_or_default())?;
        Ok(length)
    }
}

/// The header says where a frame should be; the file may end before.
fn check_end(
    path: &Path,
    frame: u32,
    ranges: &[Range<usize>],
    bytes: u64,
) -> Result<(), FrameError> {
    let Some(range) = ranges.iter().find(|range| range.end as u64 > bytes) else { return Ok(()) };
    let there = usize::try_from(bytes).unwrap_or(usize::MAX);
    let found = there.saturating_sub(range.start);
    let (path, expected) = (path.to_owned(), range.len());
    Err(FrameError::Pixels(PixelError::Truncated { path, frame, found, expected }))
}
