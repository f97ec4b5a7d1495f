use dicom_core::{Tag, VR};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::io::Write;

use super::*;

const STUDY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/prima/study");

fn parse(bytes: Vec<u8>) -> Result<DicomFile, ParseError> {
    parse_bytes(Path::new("a.dcm"), bytes)
}

/// An element in explicit VR little endian.
fn element(tag: Tag, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
    bytes.extend(vr.as_bytes());
    if matches!(vr, "SQ" | "UN" | "OB" | "OW") {
        bytes.extend([0, 0]);
        bytes.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
    } else {
        bytes.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
    }
    bytes.extend(value);
    bytes
}

/// An element in implicit VR little endian.
fn implicit(tag: Tag, value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap().to_le_bytes();
    [&tag.0.to_le_bytes()[..], &tag.1.to_le_bytes(), &length, value].concat()
}

fn file(transfer_syntax: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM");
    bytes.extend(element(tags::TRANSFER_SYNTAX_UID, "UI", transfer_syntax.as_bytes()));
    bytes.extend(body);
    bytes
}

fn explicit_file(body: &[u8]) -> DataSet {
    parse(file(uids::EXPLICIT_VR_LITTLE_ENDIAN, body)).unwrap().data
}

fn fault(bytes: Vec<u8>) -> Fault {
    match parse(bytes) {
        Err(ParseError::Malformed { fault, .. }) => fault,
        other => panic!("expected a malformed file, found {other:?}"),
    }
}

#[test]
fn text_is_decoded_and_trimmed() {
    let check = |charset: &[u8], value: &[u8], expected: &[&str]| {
        let mut body = element(tags::SPECIFIC_CHARACTER_SET, "CS", charset);
        body.extend(element(tags::SERIES_DESCRIPTION, "LO", value));
        assert_eq!(explicit_file(&body).texts(tags::SERIES_DESCRIPTION), expected, "{charset:?}");
    };
    check(b"", b" t1 tse \0", &["t1 tse"]);
    check(b"", b"a\\b ", &["a", "b"]);
    check(b"", b"", &[]);
    check(b"ISO_IR 100", b"Sch\xE4del", &["Schädel"]);
    check(b"ISO_IR 192", "Schädel".as_bytes(), &["Schädel"]);
    check(b"GB18030", b"\xD0\xC2", &["新"]);
    check(b"nonsense", b"t\xE9te", &["téte"]);
    check(b"\\ISO 2022 IR 87", b"A\x1B$B;3ED\x1B(B^B", &["A山田^B"]);
    check(b"ISO 2022 IR 6\\ISO 2022 IR 149", b"\x1B$)C\xB1\xE8=x", &["김=x"]);
}

#[test]
fn numbers_come_from_text_and_binary() {
    let mut body = element(tags::SPACING_BETWEEN_SLICES, "DS", b"1.5 ");
    body.extend(element(tags::IMAGE_POSITION_PATIENT, "DS", b"-1e1\\ 2\\3.0"));
    body.extend(element(tags::IMAGE_ORIENTATION_PATIENT, "DS", b"1\\0\\x"));
    body.extend(element(tags::ROWS, "US", &[0x40, 1]));
    body.extend(element(tags::SMALLEST_IMAGE_PIXEL_VALUE, "SS", &[0xFF, 0xFF]));
    body.extend(element(tags::DIFFUSION_B_VALUE, "FD", &1000f64.to_le_bytes()));
    body.extend(element(tags::REAL_WORLD_VALUE_SLOPE, "FD", &f64::NAN.to_le_bytes()));
    let data = explicit_file(&body);
    assert_eq!(data.f64s(tags::SPACING_BETWEEN_SLICES), [1.5]);
    assert_eq!(data.f64s(tags::IMAGE_POSITION_PATIENT), [-10.0, 2.0, 3.0]);
    assert!(data.f64s(tags::IMAGE_ORIENTATION_PATIENT).is_empty());
    assert_eq!(data.int(tags::ROWS), Some(320));
    assert_eq!(data.int(tags::SMALLEST_IMAGE_PIXEL_VALUE), Some(-1));
    assert_eq!(data.int(tags::SPACING_BETWEEN_SLICES), None);
    assert_eq!(data.f64s(tags::DIFFUSION_B_VALUE), [1000.0]);
    assert!(data.f64s(tags::REAL_WORLD_VALUE_SLOPE).is_empty());
    assert!(data.contains(tags::ROWS) && !data.contains(tags::COLUMNS));
}

#[test]
fn files_without_preamble_meta_or_syntax_are_recognised() {
    let check = |bytes: Vec<u8>, syntax: &str| {
        let file = parse(bytes).unwrap();
        assert_eq!(file.transfer_syntax, syntax);
        assert_eq!(file.data.text(tags::MODALITY).as_deref(), Some("MR"));
    };
    let explicit = element(tags::MODALITY, "CS", b"MR");
    let implicit = implicit(tags::MODALITY, b"MR");
    let big: Vec<u8> = [&[0, 8, 0, 0x60][..], b"CS", &[0, 2], b"MR"].concat();
    check(explicit.clone(), uids::EXPLICIT_VR_LITTLE_ENDIAN);
    check(implicit.clone(), uids::IMPLICIT_VR_LITTLE_ENDIAN);
    check(big.clone(), EXPLICIT_VR_BIG_ENDIAN);
    check([&[b' '][..], &explicit].concat(), uids::EXPLICIT_VR_LITTLE_ENDIAN);
    check([b"DICM", &implicit[..]].concat(), uids::IMPLICIT_VR_LITTLE_ENDIAN);
    check(file(EXPLICIT_VR_BIG_ENDIAN, &big), EXPLICIT_VR_BIG_ENDIAN);
    // Named one way, written the other.
    check(file(uids::EXPLICIT_VR_LITTLE_ENDIAN, &implicit), uids::EXPLICIT_VR_LITTLE_ENDIAN);
    check(file(uids::IMPLICIT_VR_LITTLE_ENDIAN, &explicit), uids::IMPLICIT_VR_LITTLE_ENDIAN);
    for bytes in [&b""[..], b"This is a text file.", &[0; 200], b"\x89PNG\r\n\x1a\n"] {
        assert!(matches!(parse(bytes.to_vec()), Err(ParseError::NotDicom { .. })));
    }
}

/// A sequence around `item`, in each of the ways that occur.
fn sequences(item: &[u8]) -> Vec<Vec<u8>> {
    let tag = [0x40, 0, 0x75, 2];
    let [begin, end_item, end] =
        [[0xFE, 0xFF, 0, 0xE0], [0xFE, 0xFF, 0x0D, 0xE0], [0xFE, 0xFF, 0xDD, 0xE0]];
    let length = u32::try_from(item.len()).unwrap();
    let (defined, open, zero) = (length.to_le_bytes(), [0xFF; 4], [0; 4]);
    let outer = (length + 8).to_le_bytes();
    let sq = [&tag[..], b"SQ\0\0"].concat();
    let un = [&tag[..], b"UN\0\0"].concat();
    [
        [&sq[..], &outer, &begin, &defined, item].concat(),
        [&sq[..], &open, &begin, &defined, item, &end, &zero].concat(),
        [&sq[..], &open, &begin, &open, item, &end_item, &zero, &end, &zero].concat(),
        // The item's delimiter is missing.
        [&sq[..], &open, &begin, &open, item, &end, &zero].concat(),
        [&un[..], &outer, &begin, &defined, item].concat(),
        [&un[..], &open, &begin, &open, item, &end_item, &zero, &end, &zero].concat(),
    ]
    .to_vec()
}

#[test]
fn sequences_are_read_in_every_form() {
    let explicit = element(tags::SERIES_DESCRIPTION, "LO", b"inner");
    let implicit = implicit(tags::SERIES_DESCRIPTION, b"inner!");
    for item in [explicit, implicit] {
        for mut body in sequences(&item) {
            body.extend(element(tags::PATIENT_NAME, "PN", b"after"));
            let data = explicit_file(&body);
            let items = data.items(tags::REQUEST_ATTRIBUTES_SEQUENCE);
            assert_eq!(items.len(), 1, "{body:02x?}");
            assert!(items[0].text(tags::SERIES_DESCRIPTION).unwrap().starts_with("inner"));
            assert_eq!(data.text(tags::PATIENT_NAME).as_deref(), Some("after"), "{body:02x?}");
        }
    }
}

#[test]
fn unknown_sequences_are_little_endian_in_big_endian_files() {
    let item = implicit(tags::SERIES_DESCRIPTION, b"inner!");
    let length = u32::try_from(item.len()).unwrap().to_le_bytes();
    let item = [&[0xFE, 0xFF, 0, 0xE0][..], &length, &item].concat();
    let length = u32::try_from(item.len()).unwrap().to_be_bytes();
    let body = [&[0, 0x40, 2, 0x75][..], b"UN\0\0", &length, &item].concat();
    let data = parse(file(EXPLICIT_VR_BIG_ENDIAN, &body)).unwrap().data;
    let items = data.items(tags::REQUEST_ATTRIBUTES_SEQUENCE);
    assert_eq!(items[0].text(tags::SERIES_DESCRIPTION).as_deref(), Some("inner!"));
}

#[test]
fn broken_private_sequences_are_kept_as_bytes() {
    let private = element(Tag(0x0029, 0x1010), "SQ", b"garbage!garbage!");
    let data = explicit_file(&[private, element(tags::ROWS, "US", &[1, 0])].concat());
    assert!(data.items(Tag(0x0029, 0x1010)).is_empty());
    assert_eq!(data.bytes(Tag(0x0029, 0x1010)), Some(&b"garbage!garbage!"[..]));
    assert_eq!(data.int(tags::ROWS), Some(1));
    let standard = element(tags::REQUEST_ATTRIBUTES_SEQUENCE, "SQ", b"garbage!garbage!");
    let fault = fault(file(uids::EXPLICIT_VR_LITTLE_ENDIAN, &standard));
    assert_eq!(fault, Fault::NotAnItem { found: Tag(0x6167, 0x6272) });
}

#[test]
fn nesting_is_limited() {
    let nested = |levels: usize, group: u8| {
        let open =
            [&[group, 0, 0x75, 2][..], b"SQ\0\0", &[0xFF; 4], &[0xFE, 0xFF, 0, 0xE0], &[0xFF; 4]];
        let close = [0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0];
        let body = [open.concat().repeat(levels), close.repeat(levels)].concat();
        file(uids::EXPLICIT_VR_LITTLE_ENDIAN, &body)
    };
    assert!(parse(nested(64, 0x40)).is_ok());
    for (levels, group) in [(65, 0x40), (65, 0x41), (100_000, 0x40)] {
        assert_eq!(fault(nested(levels, group)), Fault::Depth { limit: 64 });
    }
}

#[test]
fn elements_are_limited() {
    let body = element(tags::MODALITY, "CS", b"").repeat(1_000_001);
    let fault = fault(file(uids::EXPLICIT_VR_LITTLE_ENDIAN, &body));
    assert_eq!(fault, Fault::Elements { limit: 1_000_000 });
}

#[test]
fn lengths_are_checked_and_errors_say_where() {
    let mut body = element(tags::MODALITY, "CS", b"MR");
    body.extend([0x10, 0, 0x10, 0, b'U', b'T', 0, 0, 0xF0, 0xFF, 0xFF, 0xFF, b'x']);
    let error = parse(file(uids::EXPLICIT_VR_LITTLE_ENDIAN, &body)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a.dcm: element (0010,0010) at byte 169: declares 4294967280 bytes, 1 remain; the file \
         is cut off or corrupt"
    );
    assert_eq!(
        parse(b"no".to_vec()).unwrap_err().to_string(),
        "a.dcm: not a DICOM file (no DICM at byte 128, and byte 0 begins no group 0002 or 0008)"
    );
}

#[test]
fn padding_ends_the_data_set() {
    let mut body = element(tags::MODALITY, "CS", b"MR");
    body.extend([0; 1000]);
    assert_eq!(explicit_file(&body).text(tags::MODALITY).as_deref(), Some("MR"));
    let mut body = element(tags::PIXEL_DATA, "OW", &[1, 2, 3, 4]);
    body.extend([0; 1001]);
    let file = parse(file(uids::EXPLICIT_VR_LITTLE_ENDIAN, &body)).unwrap();
    let pixels = file.pixels.unwrap();
    assert_eq!((pixels.vr, pixels.length), (VR::OW, Some(4)));
    assert_eq!(file.bytes()[pixels.start..][..4], [1, 2, 3, 4]);
}

#[test]
fn no_cut_makes_it_panic() {
    let item = element(tags::SERIES_DESCRIPTION, "LO", b"inner");
    let body = sequences(&item).concat();
    let bytes = file(uids::EXPLICIT_VR_LITTLE_ENDIAN, &body);
    for end in 0..bytes.len() {
        drop(parse(bytes[..end].to_vec()));
        drop(parse(bytes[end..].to_vec()));
    }
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    file(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, &encoder.finish().unwrap())
}

#[test]
fn deflated_data_sets_are_inflated_within_bounds() {
    let data = parse(deflated(&element(tags::MODALITY, "CS", b"MR"))).unwrap().data;
    assert_eq!(data.text(tags::MODALITY).as_deref(), Some("MR"));
    let bomb = deflated(&vec![0; (256 << 20) + 1]);
    assert!(bomb.len() < 2 << 20);
    assert!(matches!(parse(bomb), Err(ParseError::TooLarge { .. })));
    let broken = file(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, &[0xFF; 64]);
    assert!(matches!(parse(broken), Err(ParseError::Inflate { .. })));
}

#[test]
fn header_and_whole_file_agree() {
    let path = Path::new(STUDY).join("ser2_axial/IM1.dcm");
    let (header, whole) = (read_header(&path).unwrap(), read_file(&path).unwrap());
    assert_eq!(header.pixels, whole.pixels);
    assert_eq!(header.data.tags().collect::<Vec<_>>(), whole.data.tags().collect::<Vec<_>>());
    for tag in header.data.tags() {
        assert_eq!(header.data.bytes(tag), whole.data.bytes(tag));
    }
    assert!(header.bytes().len() < whole.bytes().len());
    let missing = read_header(Path::new("nowhere.dcm")).unwrap_err();
    assert_eq!(missing.to_string(), "nowhere.dcm: cannot be read");
}
