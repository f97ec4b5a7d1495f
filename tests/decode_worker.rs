//! The decoder process in earnest: many threads at once, and a frame that its memory limit
//! forbids.

use std::path::Path;

use models::dicom::decoder::{Decoder, DecoderError, DecoderLimits};
use models::dicom::{parse, pixels};
use models::study::Samples;

/// A file of one 8 bit frame in RLE Lossless, every sample equal to `value`.
fn rle_file(side: u16, value: u8) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.5\0");
    let mut unsigned = |element: u8, number: u16| {
        bytes.extend([0x28, 0, element, u8::from(element < 0x02), b'U', b'S', 2, 0]);
        bytes.extend(number.to_le_bytes());
    };
    unsigned(0x10, side);
    unsigned(0x11, side);
    unsigned(0x00, 8);
    bytes.extend(b"\xE0\x7F\x10\x00OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\0\0\0\0");
    let samples = usize::from(side) * usize::from(side);
    // A run of 128 equal bytes takes two.
    let runs = [0x81, value].repeat(samples.div_ceil(128));
    let mut frame = vec![1, 0, 0, 0, 64, 0, 0, 0];
    frame.resize(64, 0);
    frame.extend(runs);
    bytes.extend(b"\xFE\xFF\x00\xE0");
    bytes.extend(u32::try_from(frame.len()).expect("a small frame").to_le_bytes());
    bytes.extend(frame);
    bytes
}

fn decode(side: u16, value: u8, decoder: &Decoder) -> Result<Samples, pixels::PixelError> {
    let file = parse::parse_bytes(Path::new("a.dcm"), rle_file(side, value)).expect("a good file");
    pixels::decode_frame(&file, 0, decoder).map(|frame| frame.values)
}

fn decoder(memory_bytes: u64) -> Decoder {
    let limits = DecoderLimits { memory_bytes, ..DecoderLimits::default() };
    Decoder::new(crate::decode_worker(), vec!["decode-worker".into()], limits)
}

/// Answers never cross between threads.
#[test]
fn threads_share_a_decoder() {
    let decoder = decoder(1 << 30);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let decoder = &decoder;
            scope.spawn(move || {
                for value in (0..32).map(|frame| thread * 32 + frame) {
                    let values = decode(64, value, decoder).expect("a decoded frame");
                    assert_eq!(values, Samples::U8(vec![value; 64 * 64]));
                }
            });
        }
    });
}

/// 64 MiB of pixels from 1 MiB of runs, in a child that may have 16 MiB: it ends, the frame is
/// lost with a reason, and the next frame gets a new child.
#[test]
fn memory_is_limited_in_the_child() {
    let decoder = decoder(16 << 20);
    match decode(8192, 1, &decoder) {
        Err(pixels::PixelError::Decode {
            source: DecoderError::BrokeOff { status, .. }, ..
        }) => {
            assert!(status.contains("signal"), "{status}");
        }
        other => panic!("expected a child that broke off, found {:?}", other.map(|v| v.len())),
    }
    assert_eq!(decode(8, 2, &decoder).expect("a small frame"), Samples::U8(vec![2; 64]));
    let enough = decode(8192, 3, &self::decoder(1 << 30)).expect("enough memory");
    assert_eq!(enough.len(), 8192 * 8192);
}
