//! Bits to integers: cutting stored values out of their containers.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "bit fields are cut and sign extended on purpose, within Bits Allocated"
)]

use std::borrow::Cow;

use super::PixelLayout;
use crate::study::Samples;

/// Mirrors stored values within the range of Bits Stored, so that larger means brighter. For
/// MONOCHROME1 only, before rescale; [`super::decode_frame`] leaves values as they are stored.
pub fn invert_monochrome1(layout: &PixelLayout, values: &mut Samples) {
    let span = (1_i64 << layout.bits_stored) - 1;
    // Lowest and highest value add up to this; each value changes places with its mirror image.
    let sum = if layout.signed { -1 } else { span };
    match values {
        Samples::I8(v) => v.iter_mut().for_each(|x| *x = (sum - i64::from(*x)) as i8),
        Samples::U8(v) => v.iter_mut().for_each(|x| *x = (sum - i64::from(*x)) as u8),
        Samples::I16(v) => v.iter_mut().for_each(|x| *x = (sum - i64::from(*x)) as i16),
        Samples::U16(v) => v.iter_mut().for_each(|x| *x = (sum - i64::from(*x)) as u16),
        Samples::I32(v) => v.iter_mut().for_each(|x| *x = (sum - i64::from(*x)) as i32),
        Samples::U32(v) => v.iter_mut().for_each(|x| *x = (sum - i64::from(*x)) as u32),
        // Frames are never floating point; a caller that has rescaled already is too late.
        Samples::F64(_) => {}
    }
}

/// Unpacks one-bit samples, first sample in the lowest bit (PS3.5 8.1.1); a frame may begin
/// within a byte.
pub(super) fn unpack(packed: &[u8], first_bit: usize, samples: usize) -> Vec<u8> {
    let bit = |at: usize| packed.get(at / 8).map_or(0, |byte| byte >> (at % 8) & 1);
    (first_bit..first_bit + samples).map(bit).collect()
}

/// Interleaves colour samples: `from(pixel, sample)` is where a sample stands in `raw`, counted
/// in samples.
pub(super) fn rearranged<'a>(
    raw: &[u8],
    layout: &PixelLayout,
    from: impl Fn(usize, usize) -> usize,
) -> Cow<'a, [u8]> {
    let size = layout.bits_allocated as usize / 8;
    let channels = layout.samples_per_pixel as usize;
    let mut out = Vec::with_capacity(layout.frame_samples() * size);
    for pixel in 0..layout.frame_samples() / channels {
        for sample in 0..channels {
            let at = from(pixel, sample) * size;
            out.extend_from_slice(&raw[at..at + size]);
        }
    }
    Cow::Owned(out)
}

/// Integers from containers of Bits Allocated, of which the Bits Stored up to `high_bit` count.
pub(super) fn samples(
    layout: &PixelLayout,
    high_bit: u32,
    raw: &[u8],
    big_endian: bool,
) -> Samples {
    let shift = high_bit + 1 - layout.bits_stored;
    let unused = 32 - layout.bits_stored;
    let unsigned = move |bits: u32| ((bits >> shift) << unused) >> unused;
    let signed = move |bits: u32| (((bits >> shift) << unused) as i32) >> unused;
    let bits8 = |[byte]: [u8; 1]| u32::from(byte);
    let bits16 = |bytes| u32::from(u16::from_le_bytes(bytes));
    match (layout.bits_allocated, layout.signed) {
        (8, false) => Samples::U8(collect(raw, big_endian, |b| unsigned(bits8(b)) as u8)),
        (8, true) => Samples::I8(collect(raw, big_endian, |b| signed(bits8(b)) as i8)),
        (16, false) => Samples::U16(collect(raw, big_endian, |b| unsigned(bits16(b)) as u16)),
        (16, true) => Samples::I16(collect(raw, big_endian, |b| signed(bits16(b)) as i16)),
        (_, false) => Samples::U32(collect(raw, big_endian, |b| unsigned(u32::from_le_bytes(b)))),
        (_, true) => Samples::I32(collect(raw, big_endian, |b| signed(u32::from_le_bytes(b)))),
    }
}

fn collect<const N: usize, T>(
    raw: &[u8],
    big_endian: bool,
    value: impl Fn([u8; N]) -> T,
) -> Vec<T> {
    let (containers, _) = raw.as_chunks::<N>();
    if big_endian {
        let swapped = containers.iter().map(|&(mut bytes)| {
            bytes.reverse();
            bytes
        });
        return swapped.map(value).collect();
    }
    containers.iter().map(|&bytes| value(bytes)).collect()
}
