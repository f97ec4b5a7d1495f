//! The codecs, run in the child process only.

use std::borrow::Cow;

use dicom_core::value::C;
use dicom_dictionary_std::uids;
use dicom_encoding::Codec;
use dicom_encoding::adapters::{PixelDataObject, RawPixelData};
use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use super::protocol::FrameRequest;
use super::rle;
use super::shape::{self, StreamShape};

const START_OF_IMAGE: [u8; 2] = [0xFF, 0xD8];
/// An APP14 segment that says "no colour transform". Without one the codec takes three
/// components for YCbCr, whatever the data set says; and it overlooks segments of this kind in
/// which the version number follows the name without the customary zero byte.
const ADOBE_RGB: [u8; 16] = *b"\xFF\xEE\x00\x0EAdobe\x00\x64\0\0\0\0\0";

/// Decodes one frame to little-endian containers of Bits Allocated, samples interleaved.
///
/// # Errors
/// The reason, in words.
pub(super) fn decode(request: &FrameRequest, stream: &[u8]) -> Result<Vec<u8>, String> {
    let pixels = match request.transfer_syntax.as_str() {
        uids::RLE_LOSSLESS => rle::decode(request, stream)?,
        uids::JPEG_BASELINE8_BIT
        | uids::JPEG_EXTENDED12_BIT
        | uids::JPEG_LOSSLESS
        | uids::JPEG_LOSSLESS_SV1
        | uids::JPEGLS_LOSSLESS
        | uids::JPEGLS_NEAR_LOSSLESS => {
            with_adapter(request, stream, shape::of_jpeg(stream).ok_or("no JPEG frame header")?)?
        }
        uids::JPEG2000_LOSSLESS
        | uids::JPEG2000
        | uids::HTJ2K_LOSSLESS
        | uids::HTJ2K_LOSSLESS_RPCL
        | uids::HTJ2K => {
            let shape = shape::of_jpeg2000(stream)
                .ok_or("no JPEG 2000 size segment, or components of different sizes")?;
            with_adapter(request, stream, shape)?
        }
        _ => return Err("no decoder for this transfer syntax".to_owned()),
    };
    if pixels.len() == request.frame_bytes() {
        Ok(pixels)
    } else {
        Err(format!("decoded {} bytes, expected {}", pixels.len(), request.frame_bytes()))
    }
}

/// Decodes with an adapter of `dicom-transfer-syntax-registry`, in the container that the
/// stream's own precision asks for, and fits the result into Bits Allocated.
fn with_adapter(
    request: &FrameRequest,
    stream: &[u8],
    shape: StreamShape,
) -> Result<Vec<u8>, String> {
    check(request, &shape)?;
    let native_bits: u16 = if shape.precision <= 8 { 8 } else { 16 };
    let marked;
    let stream = match stream.strip_prefix(&START_OF_IMAGE) {
        Some(rest) if is_lossy_rgb(request, &shape) => {
            marked = [&START_OF_IMAGE[..], &ADOBE_RGB, rest].concat();
            &marked
        }
        _ => stream,
    };
    let frame = EncapsulatedFrame { request, stream, bits_allocated: native_bits };
    let syntax = TransferSyntaxRegistry
        .get(&request.transfer_syntax)
        .ok_or("transfer syntax not registered")?;
    let Codec::EncapsulatedPixelData(Some(reader), _) = syntax.codec() else {
        return Err("no decoder for this transfer syntax".to_owned());
    };
    let mut decoded = Vec::new();
    reader.decode_frame(&frame, 0, &mut decoded).map_err(|error| chain(&error))?;
    Ok(fitted(request, &shape, &decoded, usize::from(native_bits / 8)))
}

/// Refuses streams that contradict their data set, or that the codecs are known not to manage.
fn check(request: &FrameRequest, shape: &StreamShape) -> Result<(), String> {
    let declared = (shape.rows, shape.columns, shape.components);
    let expected = (request.rows, request.columns, request.samples_per_pixel);
    if declared != expected {
        return Err(format!(
            "the stream has rows x columns x samples {declared:?}, the data set says {expected:?}"
        ));
    }
    if shape.precision > request.bits_allocated || shape.precision > 16 {
        return Err(format!(
            "samples of {} bits do not fit into {} bits allocated, or 16",
            shape.precision, request.bits_allocated
        ));
    }
    if matches!(shape.process, 0xC1 | 0xC2) && shape.precision != 8 {
        return Err(format!(
            "lossy JPEG of {} bits per sample is not supported, only 8",
            shape.precision
        ));
    }
    if is_lossy_rgb(request, shape) && shape.numbered {
        return Err("a lossy JPEG stream that declares RGB but would be read as YCbCr".to_owned());
    }
    if !shape.interleaved && shape.components > 1 {
        return Err("JPEG-LS colour planes one after the other are not supported".to_owned());
    }
    Ok(())
}

/// A lossy JPEG stream whose samples are red, green and blue by its data set.
fn is_lossy_rgb(request: &FrameRequest, shape: &StreamShape) -> bool {
    request.photometric == "RGB" && matches!(shape.process, 0xC0..=0xC2) && shape.components == 3
}

/// Widens samples to Bits Allocated. Signed data sets get their signs here, because neither JPEG
/// nor JPEG-LS can carry them, and JPEG 2000 writers mark them wrongly at times: the bit pattern
/// of `precision` bits is what was meant.
fn fitted(request: &FrameRequest, shape: &StreamShape, decoded: &[u8], native: usize) -> Vec<u8> {
    let container = request.container_bytes();
    let mut out = Vec::with_capacity(decoded.len() / native * container);
    for sample in decoded.chunks_exact(native) {
        let mut bytes = [0; 4];
        bytes[..native].copy_from_slice(sample);
        let unused = 32 - shape.precision;
        let pattern = u32::from_le_bytes(bytes) << unused;
        let value = if request.signed {
            (pattern.cast_signed() >> unused).cast_unsigned()
        } else {
            pattern >> unused
        };
        out.extend_from_slice(&value.to_le_bytes()[..container]);
    }
    out
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// A single frame in a single fragment, as the adapters like it.
struct EncapsulatedFrame<'a> {
    request: &'a FrameRequest,
    stream: &'a [u8],
    bits_allocated: u16,
}

impl PixelDataObject for EncapsulatedFrame<'_> {
    fn transfer_syntax_uid(&self) -> &str {
        &self.request.transfer_syntax
    }

    fn rows(&self) -> Option<u16> {
        self.request.rows.try_into().ok()
    }

    fn cols(&self) -> Option<u16> {
        self.request.columns.try_into().ok()
    }

    fn samples_per_pixel(&self) -> Option<u16> {
        self.request.samples_per_pixel.try_into().ok()
    }

    fn bits_allocated(&self) -> Option<u16> {
        Some(self.bits_allocated)
    }

    fn bits_stored(&self) -> Option<u16> {
        Some(self.bits_allocated)
    }

    fn photometric_interpretation(&self) -> Option<&str> {
        Some(&self.request.photometric)
    }

    fn number_of_frames(&self) -> Option<u32> {
        Some(1)
    }

    fn number_of_fragments(&self) -> Option<u32> {
        Some(1)
    }

    fn fragment(&self, fragment: usize) -> Option<Cow<'_, [u8]>> {
        (fragment == 0).then_some(Cow::Borrowed(self.stream))
    }

    fn offset_table(&self) -> Option<Cow<'_, [u32]>> {
        None
    }

    fn raw_pixel_data(&self) -> Option<RawPixelData> {
        let fragments = C::from_vec(vec![self.stream.to_vec()]);
        Some(RawPixelData { fragments, offset_table: C::new() })
    }
}
