//! Which fragments of encapsulated pixel data make up a frame (PS3.5 A.4).

use std::cell::LazyCell;
use std::ops::Range;

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};

use super::PixelError;
use crate::dicom::parse::{DicomFile, Fragment};

/// Where the compressed bytes of some frames lie, in the order in which they are wanted.
pub(super) fn of_frames<'f>(
    file: &'f DicomFile,
    frames: u32,
    wanted: &[u32],
) -> Result<Vec<&'f [Fragment]>, PixelError> {
    let fragments = file.fragments.get(1..).unwrap_or_default();
    let ends = LazyCell::new(|| frame_ends(file, fragments));
    wanted.iter().map(|frame| of_frame(file, frames, *frame, || &ends)).collect()
}

/// Where those of one frame lie. Sources in order of trust: the extended offset table, the basic
/// offset table, one fragment to a frame, and last the JPEG end-of-image markers, `ends`.
fn of_frame<'f, 'e>(
    file: &'f DicomFile,
    frames: u32,
    frame: u32,
    ends: impl Fn() -> &'e [usize],
) -> Result<&'f [Fragment], PixelError> {
    let bytes = file.bytes();
    let Some((table, fragments)) = file.fragments.split_first() else {
        return Err(PixelError::Truncated {
            path: file.path.clone(),
            frame,
            found: 0,
            expected: 1,
        });
    };
    let (frames, index) = (frames as usize, frame as usize);
    let extended = || extended_table(file, fragments, frames, index);
    let basic = || basic_table(bytes.get(range(*table))?, fragments, frames, index);
    let counted = || (fragments.len() == frames).then_some(index..index + 1);
    let marked = || end_markers(ends(), frames, index);
    let chosen = if frames == 1 {
        Some(0..fragments.len())
    } else {
        extended().or_else(basic).or_else(counted).or_else(marked)
    };
    let chosen = chosen.and_then(|chosen| fragments.get(chosen)).filter(|c| !c.is_empty());
    chosen.ok_or_else(|| PixelError::Fragments {
        path: file.path.clone(),
        frame,
        fragments: fragments.len(),
        frames: u32::try_from(frames).unwrap_or(u32::MAX),
    })
}

/// The compressed bytes of one frame.
pub(super) fn frame_stream(
    file: &DicomFile,
    frames: u32,
    frame: u32,
) -> Result<Vec<u8>, PixelError> {
    let bytes = file.bytes();
    let mut stream = Vec::new();
    for fragment in of_frames(file, frames, &[frame])?.concat() {
        let there = bytes.get(fragment.start..).unwrap_or_default();
        let part = there.get(..fragment.length).ok_or_else(|| PixelError::Truncated {
            path: file.path.clone(),
            frame,
            found: there.len(),
            expected: fragment.length,
        })?;
        stream.extend_from_slice(part);
    }
    Ok(stream)
}

pub(super) fn range(fragment: Fragment) -> Range<usize> {
    fragment.start..fragment.start.saturating_add(fragment.length)
}

/// Extended Offset Table (7FE0,0001): 64 bit offsets, one fragment to a frame.
fn extended_table(
    file: &DicomFile,
    fragments: &[Fragment],
    frames: usize,
    index: usize,
) -> Option<Range<usize>> {
    const EXTENDED_OFFSET_TABLE: Tag = tags::EXTENDED_OFFSET_TABLE;
    let (offsets, _) = file.data.bytes(EXTENDED_OFFSET_TABLE)?.as_chunks::<8>();
    let offset = u64::from_le_bytes(*offsets.get(index).filter(|_| offsets.len() == frames)?);
    let first = fragment_at(fragments, usize::try_from(offset).ok()?)?;
    Some(first..first + 1)
}

/// Basic offset table: 32 bit offsets; a frame ends where the next one begins.
fn basic_table(
    table: &[u8],
    fragments: &[Fragment],
    frames: usize,
    index: usize,
) -> Option<Range<usize>> {
    let (offsets, _) = table.as_chunks::<4>();
    if offsets.len() != frames {
        return None;
    }
    let position = |frame: usize| match offsets.get(frame) {
        Some(offset) => fragment_at(fragments, u32::from_le_bytes(*offset) as usize),
        None => Some(fragments.len()),
    };
    Some(position(index)?..position(index + 1)?)
}

/// The fragment whose item begins `offset` bytes behind the first one's.
fn fragment_at(fragments: &[Fragment], offset: usize) -> Option<usize> {
    let item = fragments.first()?.item.checked_add(offset)?;
    fragments.binary_search_by_key(&item, |fragment| fragment.item).ok()
}

/// The fragments that frames end with, for want of a table: a frame of a JPEG family stream ends
/// with the fragment that holds an end-of-image marker in its last bytes; padding may follow it.
fn frame_ends(file: &DicomFile, fragments: &[Fragment]) -> Vec<usize> {
    const TAIL: usize = 10;
    if file.transfer_syntax == uids::RLE_LOSSLESS {
        return Vec::new();
    }
    let ends_frame = |fragment: &Fragment| {
        let bytes = file.bytes().get(range(*fragment)).unwrap_or_default();
        bytes[bytes.len().saturating_sub(TAIL)..].windows(2).any(|pair| pair == [0xFF, 0xD9])
    };
    (0..fragments.len()).filter(|&i| ends_frame(&fragments[i])).collect()
}

fn end_markers(ends: &[usize], frames: usize, index: usize) -> Option<Range<usize>> {
    if ends.len() != frames {
        return None;
    }
    let first = if index == 0 { 0 } else { ends[index - 1] + 1 };
    Some(first..ends[index] + 1)
}
