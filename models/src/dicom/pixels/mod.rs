//! From the pixel data element to stored values, one frame at a time.
//!
//! Native pixel data are sliced here; every compressed transfer syntax goes to the
//! [`Decoder`]'s child process. What comes out are stored values (PS3.3 C.7.6.3.1): bits outside
//! Bits Stored removed, sign extended, before any rescale, inversion or colour conversion.
mod bits;
mod error;
mod fragments;

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};

use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};

use super::decoder::{Decoder, FrameRequest};
use super::parse::{DicomFile, EXPLICIT_VR_BIG_ENDIAN, PixelElement};
use crate::study::Samples;
pub use bits::invert_monochrome1;
pub use error::PixelError;

/// Most rows or columns accepted.
pub const MAX_SIDE_PX: u32 = 8192;
/// Most frames accepted: above the 25,600 of a functional series in one Enhanced MR file.
pub const MAX_FRAMES: u32 = 65_536;
/// Most bytes of one decoded frame: 8192 x 8192 at 16 bit.
pub const MAX_FRAME_BYTES: u64 = 128 << 20;

/// How pixel data are laid out (PS3.3 C.7.6.3), checked against the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PixelLayout {
    /// Rows (0028,0010).
    pub rows: u32,
    /// Columns (0028,0011).
    pub columns: u32,
    /// Number of Frames (0028,0008), 1 when absent.
    pub frames: u32,
    /// Samples per Pixel (0028,0002): 1 or 3.
    pub samples_per_pixel: u32,
    /// Bits Allocated (0028,0100): 1, 8, 16 or 32.
    pub bits_allocated: u32,
    /// Bits Stored (0028,0101).
    pub bits_stored: u32,
    /// High Bit (0028,0102).
    pub high_bit: u32,
    /// Pixel Representation (0028,0103) is 1.
    pub signed: bool,
    /// Photometric Interpretation (0028,0004).
    pub photometric: String,
    /// Planar Configuration (0028,0006).
    pub planar_configuration: u32,
}

impl PixelLayout {
    /// Samples of one frame: rows x columns x samples per pixel.
    #[must_use]
    pub fn frame_samples(&self) -> usize {
        self.rows as usize * self.columns as usize * self.samples_per_pixel as usize
    }

    /// Whether neighbours in uncompressed data share their chroma (PS3.3 C.7.6.3.1.2).
    fn halves_chroma(&self) -> bool {
        self.photometric == "YBR_FULL_422"
            && self.samples_per_pixel == 3
            && self.columns.is_multiple_of(2)
    }

    /// Samples of one uncompressed frame as they stand in the file.
    fn native_samples(&self) -> usize {
        if self.halves_chroma() { self.frame_samples() / 3 * 2 } else { self.frame_samples() }
    }

    /// Bytes of one decoded frame, each sample in Bits Allocated.
    fn frame_bytes(&self) -> usize {
        (self.frame_samples() * self.bits_allocated as usize).div_ceil(8)
    }
}

/// Stored values of one frame, C-ordered `[row, column, sample]`, in an integer type as wide as
/// Bits Allocated.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub columns: u32,
    /// Interleaved samples: 1, or 3 for colour.
    pub samples_per_pixel: u32,
    /// The values.
    pub values: Samples,
}

/// Reads and checks the attributes that describe the pixel data.
///
/// # Errors
/// When there are no integer pixel data, or an attribute is missing or out of range.
pub fn layout(file: &DicomFile) -> Result<PixelLayout, PixelError> {
    pixel_data(file)?;
    let read = |name, tag, range| Attribute { file, name, tag, range };
    let rows = read("Rows", tags::ROWS, 1..=MAX_SIDE_PX).required()?;
    let columns = read("Columns", tags::COLUMNS, 1..=MAX_SIDE_PX).required()?;
    // Zero frames are written by some makers of single-frame images.
    let frames = read("Number of Frames", tags::NUMBER_OF_FRAMES, 0..=MAX_FRAMES).or(1)?.max(1);
    let samples = read("Samples per Pixel", tags::SAMPLES_PER_PIXEL, 1..=3).or(1)?;
    let allocated = read("Bits Allocated", tags::BITS_ALLOCATED, 1..=32).required()?;
    let stored = read("Bits Stored", tags::BITS_STORED, 1..=allocated).or(allocated)?;
    let high_bit = read("High Bit", tags::HIGH_BIT, 0..=u32::from(u16::MAX)).or(stored - 1)?;
    let planar = read("Planar Configuration", tags::PLANAR_CONFIGURATION, 0..=1).or(0)?;
    let one_of = |name, tag, found: u32, expected: &'static str| PixelError::Attribute {
        path: file.path.clone(),
        name,
        tag,
        found: found.to_string(),
        expected: expected.to_owned(),
    };
    if samples == 2 {
        return Err(one_of("Samples per Pixel", tags::SAMPLES_PER_PIXEL, samples, "1 or 3"));
    }
    if !matches!(allocated, 1 | 8 | 16 | 32) {
        return Err(one_of("Bits Allocated", tags::BITS_ALLOCATED, allocated, "1, 8, 16 or 32"));
    }
    let layout = PixelLayout {
        rows,
        columns,
        frames,
        samples_per_pixel: samples,
        bits_allocated: allocated,
        bits_stored: stored,
        // A high bit that leaves no room for the bits stored, or lies outside those allocated,
        // is a slip of the writer; the usual place is the best guess.
        high_bit: if (stored - 1..allocated).contains(&high_bit) { high_bit } else { stored - 1 },
        signed: file.data.int(tags::PIXEL_REPRESENTATION) == Some(1),
        photometric: file
            .data
            .text(tags::PHOTOMETRIC_INTERPRETATION)
            .unwrap_or_else(|| "MONOCHROME2".to_owned()),
        planar_configuration: planar,
    };
    let found = layout.frame_bytes() as u64;
    if found > MAX_FRAME_BYTES {
        let path = file.path.clone();
        return Err(PixelError::FrameTooLarge { path, found, limit: MAX_FRAME_BYTES });
    }
    Ok(layout)
}

/// Reads one frame, counted from 0. Planes of colour images are interleaved, chroma of native
/// 4:2:2 data is repeated; colours otherwise stay in the space that the codec delivers.
///
/// # Errors
/// When the layout is unusable, the data are cut off, or the decoder fails.
pub fn decode_frame(file: &DicomFile, frame: u32, decoder: &Decoder) -> Result<Frame, PixelError> {
    let layout = layout(file)?;
    check_number(file, &layout, frame)?;
    let pixels = pixel_data(file)?;
    let values = match pixels.length {
        Some(length) => native(file, &layout, pixels, length, frame)?,
        None => encapsulated(file, &layout, frame, decoder)?,
    };
    Ok(Frame {
        rows: layout.rows,
        columns: layout.columns,
        samples_per_pixel: layout.samples_per_pixel,
        values,
    })
}

/// Where the bytes of some frames lie in the file, each in pieces; frames are counted from 0.
/// Nothing is decoded: a compressed frame stays compressed. For uncompressed ones the header of the
/// file is enough.
///
/// # Errors
/// When the layout is unusable, there is no such frame, or the file does not hold it as
/// little-endian bytes of its own.
pub fn frame_ranges(
    file: &DicomFile,
    frames: &[u32],
) -> Result<Vec<Vec<Range<usize>>>, PixelError> {
    let layout = layout(file)?;
    frames.iter().try_for_each(|frame| check_number(file, &layout, *frame))?;
    let pixels = pixel_data(file)?;
    let Some(length) = pixels.length else {
        let frames = fragments::of_frames(file, layout.frames, frames)?;
        let ranges = frames.iter().map(|of| of.iter().map(|one| fragments::range(*one)).collect());
        return Ok(ranges.collect());
    };
    let bits = layout.native_samples() * layout.bits_allocated as usize;
    let in_place = matches!(
        file.transfer_syntax.as_str(),
        uids::IMPLICIT_VR_LITTLE_ENDIAN | uids::EXPLICIT_VR_LITTLE_ENDIAN
    );
    if !in_place || (layout.frames > 1 && !bits.is_multiple_of(8)) {
        let path = file.path.clone();
        return Err(PixelError::NotInPlace { path, uid: file.transfer_syntax.clone() });
    }
    let (bytes, length) = (bits.div_ceil(8), length as usize);
    let place = |frame: &u32| -> Result<Vec<Range<usize>>, PixelError> {
        let start = bytes * *frame as usize;
        if start + bytes > length {
            return Err(PixelError::Truncated {
                path: file.path.clone(),
                frame: *frame,
                found: length.saturating_sub(start),
                expected: bytes,
            });
        }
        let start = pixels.start + start;
        Ok(std::iter::once(start..start + bytes).collect())
    };
    frames.iter().map(place).collect()
}

fn check_number(file: &DicomFile, layout: &PixelLayout, frame: u32) -> Result<(), PixelError> {
    if frame < layout.frames {
        return Ok(());
    }
    let path = file.path.clone();
    Err(PixelError::NoSuchFrame { path, frame, frames: layout.frames })
}

fn pixel_data(file: &DicomFile) -> Result<PixelElement, PixelError> {
    file.pixels
        .filter(|pixels| pixels.tag == tags::PIXEL_DATA)
        .ok_or_else(|| PixelError::NoPixelData { path: file.path.clone() })
}

/// An integer attribute and the values accepted for it.
struct Attribute<'a> {
    file: &'a DicomFile,
    name: &'static str,
    tag: Tag,
    range: RangeInclusive<u32>,
}

impl Attribute<'_> {
    fn required(self) -> Result<u32, PixelError> {
        match self.file.data.int(self.tag) {
            Some(found) => self.check(found),
            None => Err(self.error("missing".to_owned())),
        }
    }

    fn or(self, absent: u32) -> Result<u32, PixelError> {
        self.file.data.int(self.tag).map_or(Ok(absent), |found| self.check(found))
    }

    fn check(self, found: i64) -> Result<u32, PixelError> {
        u32::try_from(found)
            .ok()
            .filter(|value| self.range.contains(value))
            .ok_or_else(|| self.error(found.to_string()))
    }

    fn error(self, found: String) -> PixelError {
        PixelError::Attribute {
            path: self.file.path.clone(),
            name: self.name,
            tag: self.tag,
            found,
            expected: format!("{} to {}", self.range.start(), self.range.end()),
        }
    }
}

/// One frame of uncompressed data.
fn native(
    file: &DicomFile,
    layout: &PixelLayout,
    pixels: PixelElement,
    length: u32,
    frame: u32,
) -> Result<Samples, PixelError> {
    let big_endian = match file.transfer_syntax.as_str() {
        EXPLICIT_VR_BIG_ENDIAN => true,
        uids::IMPLICIT_VR_LITTLE_ENDIAN
        | uids::EXPLICIT_VR_LITTLE_ENDIAN
        | uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => false,
        _ => return Err(wrong_syntax(file, "native")),
    };
    let value = file.bytes().get(pixels.start..).unwrap_or_default();
    let value = value.get(..length as usize).unwrap_or(value);
    let samples = layout.native_samples();
    let bits = samples * layout.bits_allocated as usize;
    let start = bits * frame as usize;
    let bytes = start / 8..(start + bits).div_ceil(8);
    let cut_off = || PixelError::Truncated {
        path: file.path.clone(),
        frame,
        found: value.len().saturating_sub(bytes.start),
        expected: bytes.len(),
    };
    // In big endian files, words of two 8 bit samples are swapped as a whole (PS3.5 annex D).
    let swapped = big_endian && layout.bits_allocated == 8 && pixels.vr == VR::OW;
    let raw = if swapped {
        (bytes.clone())
            .map(|at| value.get(at ^ 1).copied())
            .collect::<Option<Vec<u8>>>()
            .map(Cow::Owned)
    } else {
        value.get(bytes.clone()).map(Cow::Borrowed)
    };
    let raw = raw.ok_or_else(cut_off)?;
    if layout.bits_allocated == 1 {
        return Ok(Samples::U8(bits::unpack(&raw, start % 8, samples)));
    }
    let ordered = if layout.halves_chroma() {
        bits::rearranged(&raw, layout, |pixel, sample| match sample {
            0 => pixel / 2 * 4 + pixel % 2,
            chroma => pixel / 2 * 4 + 1 + chroma,
        })
    } else if layout.samples_per_pixel == 3 && layout.planar_configuration == 1 {
        let plane = samples / 3;
        bits::rearranged(&raw, layout, |pixel, sample| sample * plane + pixel)
    } else {
        raw
    };
    Ok(bits::samples(layout, layout.high_bit, &ordered, big_endian))
}

/// One frame of compressed data, by way of the decoder process.
fn encapsulated(
    file: &DicomFile,
    layout: &PixelLayout,
    frame: u32,
    decoder: &Decoder,
) -> Result<Samples, PixelError> {
    let stream = fragments::frame_stream(file, layout.frames, frame)?;
    let uid = file.transfer_syntax.as_str();
    // Only run-length coding stores whole containers, with the high bit where it was; the other
    // codecs deliver numbers.
    let (raw, high_bit) = match uid {
        uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN
            if stream.len() >= layout.frame_bytes() =>
        {
            (stream, layout.high_bit)
        }
        uids::IMPLICIT_VR_LITTLE_ENDIAN
        | uids::EXPLICIT_VR_LITTLE_ENDIAN
        | EXPLICIT_VR_BIG_ENDIAN
        | uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => {
            return Err(wrong_syntax(file, "encapsulated"));
        }
        _ => {
            let request = FrameRequest::new(uid, layout);
            let raw = decoder.decode(request, stream).map_err(|source| PixelError::Decode {
                path: file.path.clone(),
                frame,
                uid: uid.to_owned(),
                source,
            })?;
            let high_bit =
                if uid == uids::RLE_LOSSLESS { layout.high_bit } else { layout.bits_stored - 1 };
            (raw, high_bit)
        }
    };
    Ok(bits::samples(layout, high_bit, &raw, false))
}

fn wrong_syntax(file: &DicomFile, form: &'static str) -> PixelError {
    PixelError::TransferSyntax { path: file.path.clone(), uid: file.transfer_syntax.clone(), form }
}

#[cfg(test)]
mod tests;
