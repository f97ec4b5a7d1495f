//! RLE Lossless (PS3.5 annex G), for any number of bytes per sample; `dicom-rs` stops at two.

use super::protocol::FrameRequest;

const HEADER_BYTES: usize = 64;
const MAX_SEGMENTS: usize = 15;

/// Decodes one frame to little-endian containers, samples interleaved.
pub(super) fn decode(request: &FrameRequest, stream: &[u8]) -> Result<Vec<u8>, String> {
    let container = request.container_bytes();
    let samples = request.samples_per_pixel as usize;
    let pixels = request.frame_samples() / samples;
    let offsets = segment_offsets(stream)?;
    if offsets.len() != samples * container {
        return Err(format!(
            "RLE header: {} segments, expected {}",
            offsets.len(),
            samples * container
        ));
    }
    let mut frame = vec![0; request.frame_bytes()];
    for (index, &start) in offsets.iter().enumerate() {
        let end = offsets.get(index + 1).copied().unwrap_or(stream.len());
        let segment = stream
            .get(start..end)
            .ok_or_else(|| format!("RLE segment {index}: bytes {start} to {end} are not there"))?;
        // Segments of a sample come most significant byte first.
        let place = index / container * container + (container - 1 - index % container);
        let plane = frame.iter_mut().skip(place).step_by(samples * container);
        let written = unpack(segment, plane);
        if written != pixels {
            return Err(format!("RLE segment {index}: {written} bytes, expected {pixels}"));
        }
    }
    Ok(frame)
}

/// The header: number of segments, then where each begins.
fn segment_offsets(stream: &[u8]) -> Result<Vec<usize>, String> {
    let (words, _) = stream.get(..HEADER_BYTES).ok_or("RLE header: cut off")?.as_chunks::<4>();
    let mut words = words.iter().map(|word| u32::from_le_bytes(*word) as usize);
    match words.next() {
        Some(count @ 1..=MAX_SEGMENTS) => Ok(words.take(count).collect()),
        count => Err(format!("RLE header: {} segments, expected 1 to 15", count.unwrap_or(0))),
    }
}

/// Unpacks bytes into `plane` until either ends; returns how many were written.
fn unpack<'a>(segment: &[u8], mut plane: impl Iterator<Item = &'a mut u8>) -> usize {
    let mut written = 0;
    let mut rest = segment;
    while let [control, tail @ ..] = rest {
        let count = usize::from(*control);
        let (bytes, used) = match count {
            0..=127 => (tail.get(..=count).unwrap_or(tail), count + 1),
            128 => (&tail[..0], 0),
            _ => (tail.get(..1).unwrap_or(tail), 1),
        };
        let repeat = if count > 128 { 257 - count } else { bytes.len() };
        for byte in bytes.iter().cycle().take(repeat) {
            let Some(slot) = plane.next() else { return written };
            *slot = *byte;
            written += 1;
        }
        rest = tail.get(used..).unwrap_or_default();
    }
    written
}
