use std::time::Instant;

use dicom_dictionary_std::uids;

use super::shape::{StreamShape, of_jpeg, of_jpeg2000};
use super::*;

fn request(syntax: &str, rows: u32, columns: u32, samples: u32, allocated: u32) -> FrameRequest {
    FrameRequest {
        transfer_syntax: syntax.to_owned(),
        photometric: "MONOCHROME2".to_owned(),
        rows,
        columns,
        samples_per_pixel: samples,
        bits_allocated: allocated,
        signed: false,
        payload: 0,
    }
}

/// An RLE frame of the given segments.
fn rle_frame(segments: &[&[u8]]) -> Vec<u8> {
    let mut words = vec![u32::try_from(segments.len()).unwrap()];
    let mut offset = 64;
    for segment in segments {
        words.push(offset);
        offset += u32::try_from(segment.len()).unwrap();
    }
    words.resize(16, 0);
    let header: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    [&header, &segments.concat()[..]].concat()
}

#[test]
fn rle_segments_become_little_endian_samples() {
    let check = |samples, allocated, segments: &[&[u8]], expected: &[u8]| {
        let request = request(uids::RLE_LOSSLESS, 1, 2, samples, allocated);
        assert_eq!(rle::decode(&request, &rle_frame(segments)).unwrap(), expected);
    };
    check(1, 8, &[&[1, 7, 8]], &[7, 8]);
    check(1, 8, &[&[255, 7]], &[7, 7]);
    check(1, 8, &[&[128, 0, 7, 0, 8, 0]], &[7, 8]);
    check(1, 16, &[&[255, 1], &[1, 2, 3]], &[2, 1, 3, 1]);
    check(3, 8, &[&[1, 1, 2], &[1, 3, 4], &[1, 5, 6]], &[1, 3, 5, 2, 4, 6]);
    check(1, 32, &[&[255, 1], &[255, 2], &[255, 3], &[255, 4]], &[4, 3, 2, 1, 4, 3, 2, 1]);
}

#[test]
fn rle_faults_are_named() {
    let check = |stream: &[u8], expected: &str| {
        let request = request(uids::RLE_LOSSLESS, 1, 2, 1, 8);
        assert_eq!(rle::decode(&request, stream).unwrap_err(), expected);
    };
    check(&[0; 10], "RLE header: cut off");
    check(&[0; 64], "RLE header: 0 segments, expected 1 to 15");
    check(&rle_frame(&[&[0, 1], &[0, 1]]), "RLE header: 2 segments, expected 1");
    check(&rle_frame(&[&[0, 7]]), "RLE segment 0: 1 bytes, expected 2");
    let mut far = rle_frame(&[&[1, 7, 8]]);
    far[4] = 0xFF;
    check(&far, "RLE segment 0: bytes 255 to 67 are not there");
}

#[test]
fn streams_declare_their_shape() {
    let jpeg = b"\xFF\xD8\xFF\xE0\x00\x04ab\xFF\xC1\x00\x0B\x0C\x00\x02\x00\x03\x01\x01\x11\x00\
        \xFF\xDA\x00\x08\x01\x01\x00\x00\x3F\x00";
    let shape = StreamShape {
        rows: 2,
        columns: 3,
        components: 1,
        precision: 12,
        signed: false,
        process: 0xC1,
        interleaved: true,
        numbered: false,
    };
    assert_eq!(of_jpeg(jpeg), Some(shape));
    for end in 0..jpeg.len() - 8 {
        assert_eq!(of_jpeg(&jpeg[..end]), None);
    }
    let size = |word: u32| word.to_be_bytes();
    let mut siz = vec![0xFF, 0x4F, 0xFF, 0x51, 0, 41, 0, 0];
    for word in [13, 12, 10, 10, 13, 12, 0, 0] {
        siz.extend(size(word));
    }
    siz.extend([0, 1, 0x8B, 1, 1]);
    let shape = StreamShape { signed: true, process: 0x51, ..shape };
    assert_eq!(of_jpeg2000(&siz), Some(shape));
    for end in 0..siz.len() {
        assert_eq!(of_jpeg2000(&siz[..end]), None);
    }
}

#[test]
fn contradicting_streams_are_refused() {
    let jpeg = b"\xFF\xD8\xFF\xC1\x00\x0B\x0C\x00\x02\x00\x03\x01\x01\x11\x00\
        \xFF\xDA\x00\x08\x01\x01\x00\x00\x3F\x00";
    let check = |request: &FrameRequest, expected: &str| {
        assert_eq!(codec::decode(request, jpeg).unwrap_err(), expected);
    };
    check(
        &request(uids::JPEG_EXTENDED12_BIT, 2, 3, 1, 16),
        "lossy JPEG of 12 bits per sample is not supported, only 8",
    );
    check(
        &request(uids::JPEG_EXTENDED12_BIT, 2, 3, 1, 8),
        "samples of 12 bits do not fit into 8 bits allocated, or 16",
    );
    check(
        &request(uids::JPEG_EXTENDED12_BIT, 2, 4, 1, 16),
        "the stream has rows x columns x samples (2, 3, 1), the data set says (2, 4, 1)",
    );
    check(&request("1.2.3", 2, 3, 1, 16), "no decoder for this transfer syntax");
}

#[test]
fn the_child_answers_every_request() {
    let good = rle_frame(&[&[1, 7, 8]]);
    let mut input = Vec::new();
    for stream in [&good[..], b"bad", &good] {
        let mut request = request(uids::RLE_LOSSLESS, 1, 2, 1, 8);
        request.payload = stream.len();
        protocol::write(&mut input, &request, stream).unwrap();
    }
    let mut output = Vec::new();
    answer_frames(&mut &input[..], &mut output).unwrap();
    let mut output = &output[..];
    for expected in [Some(&[7, 8]), None, Some(&[7, 8])] {
        let answer: Answer = protocol::read_header(&mut output).unwrap().unwrap();
        assert_eq!(answer.error.is_none(), expected.is_some());
        let pixels = protocol::read_payload(&mut output, answer.payload).unwrap();
        assert_eq!(pixels, expected.map_or(&[][..], |pixels| pixels));
    }
    assert!(output.is_empty());
}

/// A child that is a shell script.
fn script(script: &str, limit_ms: u64) -> Decoder {
    let limits = DecoderLimits {
        time_per_frame: Duration::from_millis(limit_ms),
        ..DecoderLimits::default()
    };
    Decoder::new("/bin/sh".into(), vec!["-c".into(), script.into()], limits)
}

#[test]
fn bad_children_cost_one_frame_each() {
    let check = |script_text: &str, limit_ms, expected: &str| {
        let decoder = script(script_text, limit_ms);
        for _ in 0..2 {
            let started = Instant::now();
            // More than a pipe holds, so that a child that does not read blocks the writer.
            let request = request(uids::RLE_LOSSLESS, 1, 2, 1, 8);
            let error = decoder.decode(request, vec![0; 1 << 20]).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert!(started.elapsed() < Duration::from_secs(5));
        }
        assert!(decoder.idle.lock().unwrap().is_empty());
    };
    check("sleep 30", 200, "the decoder process was ended after 0.2 s on one frame");
    let broke_off = "the decoder process broke off (exit status: 3); the frame may need too \
                     much memory";
    check("exit 3", 5000, broke_off);
    check("cat >/dev/null & exec 1>&-; exit 3", 5000, broke_off);
    let nowhere = Decoder::new("no-such-program".into(), Vec::new(), DecoderLimits::default());
    let error = nowhere.decode(request(uids::RLE_LOSSLESS, 1, 2, 1, 8), Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "the decoder process no-such-program did not start");
}

#[test]
fn garbage_is_not_taken_for_pixels() {
    for answer in [r"garbage!garbage!", r"\026\000\000\000{\042error\042:null,\042payload\042:9}"] {
        let decoder = script(&format!("printf '{answer}'; cat >/dev/null; sleep 30"), 5000);
        let error = decoder.decode(request(uids::RLE_LOSSLESS, 1, 2, 1, 8), vec![0; 10]);
        assert!(matches!(error, Err(DecoderError::BrokeOff { .. })), "{answer}: {error:?}");
    }
}
