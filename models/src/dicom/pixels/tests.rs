use std::path::Path;

use super::fragments::frame_stream;
use super::*;
use crate::dicom::decoder::DecoderLimits;
use crate::dicom::parse::parse_bytes;

/// A decoder that cannot be started: native data must not need one.
fn no_decoder() -> Decoder {
    Decoder::new("no-such-program".into(), Vec::new(), DecoderLimits::default())
}

fn element(tag: Tag, vr: &str, value: &[u8], big_endian: bool) -> Vec<u8> {
    let order = |mut bytes: Vec<u8>| {
        if big_endian {
            bytes.reverse();
        }
        bytes
    };
    let mut bytes = order(tag.0.to_le_bytes().to_vec());
    bytes.extend(order(tag.1.to_le_bytes().to_vec()));
    bytes.extend(vr.as_bytes());
    if matches!(vr, "OB" | "OW" | "OV") {
        bytes.extend([0, 0]);
        bytes.extend(order(u32::try_from(value.len()).unwrap().to_le_bytes().to_vec()));
    } else {
        bytes.extend(order(u16::try_from(value.len()).unwrap().to_le_bytes().to_vec()));
    }
    bytes.extend(if vr == "US" { order(value.to_vec()) } else { value.to_vec() });
    bytes
}

#[derive(Clone)]
struct Image {
    syntax: &'static str,
    rows: u16,
    columns: u16,
    frames: &'static str,
    samples: u16,
    allocated: u16,
    stored: u16,
    high_bit: u16,
    signed: u16,
    photometric: &'static str,
    planar: u16,
    vr: &'static str,
    pixels: Vec<u8>,
}

impl Image {
    fn new(rows: u16, columns: u16, allocated: u16, pixels: &[u8]) -> Self {
        Self {
            syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
            rows,
            columns,
            frames: "1",
            samples: 1,
            allocated,
            stored: allocated,
            high_bit: allocated - 1,
            signed: 0,
            photometric: "MONOCHROME2",
            planar: 0,
            vr: "OW",
            pixels: pixels.to_vec(),
        }
    }

    fn header(&self) -> Vec<u8> {
        let mut bytes = vec![0; 128];
        bytes.extend(b"DICM");
        bytes.extend(element(tags::TRANSFER_SYNTAX_UID, "UI", self.syntax.as_bytes(), false));
        let big = self.syntax == EXPLICIT_VR_BIG_ENDIAN;
        let us = |tag, value: u16| element(tag, "US", &value.to_le_bytes(), big);
        bytes.extend(us(tags::SAMPLES_PER_PIXEL, self.samples));
        let photometric = self.photometric.as_bytes();
        bytes.extend(element(tags::PHOTOMETRIC_INTERPRETATION, "CS", photometric, big));
        bytes.extend(us(tags::PLANAR_CONFIGURATION, self.planar));
        bytes.extend(element(tags::NUMBER_OF_FRAMES, "IS", self.frames.as_bytes(), big));
        bytes.extend(us(tags::ROWS, self.rows));
        bytes.extend(us(tags::COLUMNS, self.columns));
        bytes.extend(us(tags::BITS_ALLOCATED, self.allocated));
        bytes.extend(us(tags::BITS_STORED, self.stored));
        bytes.extend(us(tags::HIGH_BIT, self.high_bit));
        bytes.extend(us(tags::PIXEL_REPRESENTATION, self.signed));
        bytes
    }

    fn file(&self) -> DicomFile {
        let big = self.syntax == EXPLICIT_VR_BIG_ENDIAN;
        let pixels = element(tags::PIXEL_DATA, self.vr, &self.pixels, big);
        parse_bytes(Path::new("a.dcm"), [self.header(), pixels].concat()).unwrap()
    }

    fn frame(&self, frame: u32) -> Result<Samples, PixelError> {
        decode_frame(&self.file(), frame, &no_decoder()).map(|frame| frame.values)
    }
}

#[test]
fn stored_bits_are_cut_out_and_extended() {
    let check = |stored, high_bit, signed, expected: Samples| {
        // 0xF123 and 0x0FFE: the top four bits are an overlay's when 12 bits are stored.
        let image = Image::new(1, 2, 16, &[0x23, 0xF1, 0xFE, 0x0F]);
        let image = Image { stored, high_bit, signed, ..image };
        assert_eq!(image.frame(0).unwrap(), expected, "{stored} {high_bit} {signed}");
    };
    check(16, 15, 0, Samples::U16(vec![0xF123, 0x0FFE]));
    check(16, 15, 1, Samples::I16(vec![-3805, 0x0FFE]));
    check(12, 11, 0, Samples::U16(vec![0x0123, 0x0FFE]));
    check(12, 11, 1, Samples::I16(vec![0x0123, -2]));
    check(12, 15, 0, Samples::U16(vec![0x0F12, 0x00FF]));
    check(12, 15, 1, Samples::I16(vec![-238, 255]));
    // A high bit that cannot be is not believed.
    check(12, 3, 0, Samples::U16(vec![0x0123, 0x0FFE]));
    check(1, 0, 0, Samples::U16(vec![1, 0]));
}

#[test]
fn every_width_and_byte_order() {
    let bytes = [0x01, 0x02, 0x03, 0xFC];
    let check = |image: Image, expected: Samples| assert_eq!(image.frame(0).unwrap(), expected);
    let big = |image: Image| Image { syntax: EXPLICIT_VR_BIG_ENDIAN, ..image };
    let signed = |image: Image| Image { signed: 1, ..image };
    check(Image::new(2, 2, 8, &bytes), Samples::U8(bytes.to_vec()));
    check(signed(Image::new(2, 2, 8, &bytes)), Samples::I8(vec![1, 2, 3, -4]));
    check(big(Image::new(2, 2, 8, &bytes)), Samples::U8(vec![2, 1, 0xFC, 3]));
    check(big(Image { vr: "OB", ..Image::new(2, 2, 8, &bytes) }), Samples::U8(bytes.to_vec()));
    check(big(Image::new(1, 2, 16, &bytes)), Samples::U16(vec![0x0102, 0x03FC]));
    check(Image::new(1, 1, 32, &bytes), Samples::U32(vec![0xFC03_0201]));
    check(signed(Image::new(1, 1, 32, &bytes)), Samples::I32(vec![-66_911_743]));
    check(signed(big(Image::new(1, 1, 32, &bytes))), Samples::I32(vec![0x0102_03FC]));
    let bits = Image { frames: "2", ..Image::new(1, 3, 1, &[0b0001_1101, 0]) };
    assert_eq!(bits.frame(0).unwrap(), Samples::U8(vec![1, 0, 1]));
    assert_eq!(bits.frame(1).unwrap(), Samples::U8(vec![1, 1, 0]));
}

#[test]
fn colour_is_interleaved() {
    let rgb = Image { samples: 3, photometric: "RGB", ..Image::new(1, 2, 8, &[1, 2, 3, 4, 5, 6]) };
    assert_eq!(rgb.frame(0).unwrap(), Samples::U8(vec![1, 2, 3, 4, 5, 6]));
    let planar = Image { planar: 1, ..rgb.clone() };
    assert_eq!(planar.frame(0).unwrap(), Samples::U8(vec![1, 3, 5, 2, 4, 6]));
    let halved = Image { photometric: "YBR_FULL_422", pixels: vec![1, 2, 3, 4], ..rgb };
    assert_eq!(halved.frame(0).unwrap(), Samples::U8(vec![1, 3, 4, 2, 3, 4]));
}

#[test]
fn frames_are_found_and_cut_off_ones_named() {
    let image = Image { frames: "3", ..Image::new(1, 2, 16, &[1, 0, 2, 0, 3, 0, 4, 0, 5, 0]) };
    assert_eq!(image.frame(1).unwrap(), Samples::U16(vec![3, 4]));
    assert_eq!(
        image.frame(2).unwrap_err().to_string(),
        "a.dcm: pixel data of frame 2 are cut off: 2 bytes, expected 4"
    );
    assert_eq!(
        image.frame(3).unwrap_err().to_string(),
        "a.dcm: there is no frame 3, the file has 3 (counted from 0)"
    );
}

#[test]
fn impossible_layouts_are_refused() {
    let check = |image: Image, expected: &str| {
        assert_eq!(layout(&image.file()).unwrap_err().to_string(), expected);
    };
    let image = Image::new(1, 1, 16, &[0, 0]);
    check(Image { rows: 0, ..image.clone() }, "a.dcm: Rows (0028,0010) is 0, expected 1 to 8192");
    check(
        Image { frames: "99999999", ..image.clone() },
        "a.dcm: Number of Frames (0028,0008) is 99999999, expected 0 to 65536",
    );
    check(
        Image { allocated: 12, stored: 12, ..image.clone() },
        "a.dcm: Bits Allocated (0028,0100) is 12, expected 1, 8, 16 or 32",
    );
    check(
        Image { stored: 17, ..image.clone() },
        "a.dcm: Bits Stored (0028,0101) is 17, expected 1 to 16",
    );
    check(
        Image { rows: 8192, columns: 8192, allocated: 32, ..image },
        "a.dcm: a frame of 268435456 bytes, at most 134217728 are accepted",
    );
}

#[test]
fn inversion_mirrors_the_stored_range() {
    let check = |signed, stored, mut values: Samples, expected: Samples| {
        let image = Image { stored, high_bit: stored - 1, signed, ..Image::new(1, 1, 16, &[0, 0]) };
        let layout = layout(&image.file()).unwrap();
        let original = values.clone();
        invert_monochrome1(&layout, &mut values);
        assert_eq!(values, expected);
        invert_monochrome1(&layout, &mut values);
        assert_eq!(values, original);
    };
    check(0, 12, Samples::U16(vec![0, 1, 4095]), Samples::U16(vec![4095, 4094, 0]));
    check(0, 16, Samples::U16(vec![0, 65535]), Samples::U16(vec![65535, 0]));
    check(1, 12, Samples::I16(vec![-2048, 0, 2047]), Samples::I16(vec![2047, -1, -2048]));
}

/// Encapsulated pixel data: the table's bytes, then the fragments.
fn encapsulated(
    frames: &'static str,
    extended: &[u64],
    table: &[u32],
    fragments: &[&[u8]],
) -> DicomFile {
    let image = Image { syntax: uids::JPEG2000, frames, ..Image::new(1, 1, 16, &[]) };
    let mut bytes = image.header();
    if !extended.is_empty() {
        let offsets: Vec<u8> = extended.iter().flat_map(|offset| offset.to_le_bytes()).collect();
        bytes.extend(element(tags::EXTENDED_OFFSET_TABLE, "OV", &offsets, false));
    }
    bytes.extend([0xE0, 0x7F, 0x10, 0, b'O', b'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
    let table: Vec<u8> = table.iter().flat_map(|offset| offset.to_le_bytes()).collect();
    for item in std::iter::once(&table[..]).chain(fragments.iter().copied()) {
        bytes.extend([0xFE, 0xFF, 0, 0xE0]);
        bytes.extend(u32::try_from(item.len()).unwrap().to_le_bytes());
        bytes.extend(item);
    }
    parse_bytes(Path::new("a.dcm"), bytes).unwrap()
}

#[test]
fn fragments_are_grouped_into_frames() {
    let check = |file: &DicomFile, frames: u32, expected: &[&[u8]]| {
        for (frame, expected) in expected.iter().enumerate() {
            let stream = frame_stream(file, frames, u32::try_from(frame).unwrap());
            assert_eq!(stream.unwrap(), *expected);
        }
    };
    let parts: [&[u8]; 3] = [b"ab", b"cd", b"ef"];
    check(&encapsulated("1", &[], &[], &parts), 1, &[b"abcdef"]);
    check(&encapsulated("3", &[], &[], &parts), 3, &[b"ab", b"cd", b"ef"]);
    check(&encapsulated("2", &[], &[0, 20], &parts), 2, &[b"abcd", b"ef"]);
    check(&encapsulated("2", &[10, 20], &[], &parts), 2, &[b"cd", b"ef"]);
    // A table that points between fragments is not believed.
    check(&encapsulated("3", &[], &[0, 11, 20], &parts), 3, &[b"ab", b"cd", b"ef"]);
    let marked: [&[u8]; 3] = [b"ab", b"c\xFF\xD9\0", b"e\xFF\xD9\0"];
    check(&encapsulated("2", &[], &[], &marked), 2, &[b"abc\xFF\xD9\0", b"e\xFF\xD9\0"]);
    assert_eq!(
        frame_stream(&encapsulated("2", &[], &[], &parts), 2, 0).unwrap_err().to_string(),
        "a.dcm: cannot find frame 0: 3 fragments for 2 frames and no usable offset table"
    );
}

#[test]
fn frames_are_found_in_the_file() {
    let bytes = |file: &DicomFile, frame| -> Result<Vec<u8>, String> {
        let ranges = frame_ranges(file, &[frame]).map_err(|error| error.to_string())?;
        Ok(ranges.into_iter().flatten().flat_map(|range| file.bytes()[range].to_vec()).collect())
    };
    let native = Image { frames: "3", ..Image::new(1, 2, 16, &[1, 0, 2, 0, 3, 0, 4, 0, 5, 0]) };
    assert_eq!(bytes(&native.file(), 1), Ok(vec![3, 0, 4, 0]));
    let fails = |file: &DicomFile, frame, expected: &str| {
        assert_eq!(bytes(file, frame), Err(format!("a.dcm: {expected}")));
    };
    let cut_off = "pixel data of frame 2 are cut off: 2 bytes, expected 4";
    fails(&native.file(), 2, cut_off);
    fails(&native.file(), 3, "there is no frame 3, the file has 3 (counted from 0)");
    let swapped = Image { syntax: EXPLICIT_VR_BIG_ENDIAN, ..native };
    let in_place = "its frames do not lie one by one in the file as little-endian bytes (transfer \
                    syntax 1.2.840.10008.1.2.2)";
    fails(&swapped.file(), 0, in_place);
    let parts: [&[u8]; 3] = [b"ab", b"cd", b"ef"];
    let file = encapsulated("2", &[], &[0, 20], &parts);
    assert_eq!(bytes(&file, 0), Ok(b"abcd".to_vec()));
    assert_eq!(bytes(&file, 1), Ok(b"ef".to_vec()));
    let [first, second] = [0, 1].map(|frame| frame_ranges(&file, &[frame]).unwrap().concat());
    assert_eq!(frame_ranges(&file, &[1, 0]).unwrap(), [second, first]);
}

#[test]
fn form_and_transfer_syntax_must_agree() {
    let native = Image { syntax: uids::JPEG2000, ..Image::new(1, 1, 16, &[0, 0]) };
    assert!(matches!(native.frame(0), Err(PixelError::TransferSyntax { form: "native", .. })));
    let file = encapsulated("1", &[], &[], &[b"ab"]);
    let error = decode_frame(&file, 0, &no_decoder()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a.dcm: frame 0 (transfer syntax 1.2.840.10008.1.2.4.91) cannot be decoded"
    );
}
