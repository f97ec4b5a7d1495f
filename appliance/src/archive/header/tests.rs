use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::*;

const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;

/// An element in explicit VR little endian, with a declared length that may be a lie.
fn declared(tag: Tag, vr: &str, value: &[u8], length: u32) -> Vec<u8> {
    let mut bytes = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
    bytes.extend(vr.as_bytes());
    if matches!(vr, "OB" | "OW" | "UN" | "SQ" | "UT") {
        bytes.extend([0, 0]);
        bytes.extend(length.to_le_bytes());
    } else {
        bytes.extend(u16::try_from(length).unwrap().to_le_bytes());
    }
    bytes.extend(value);
    bytes
}

fn element(tag: Tag, vr: &str, value: &[u8]) -> Vec<u8> {
    declared(tag, vr, value, u32::try_from(value.len()).unwrap())
}

fn look_at(transfer_syntax: &str, data: &[u8]) -> Result<Header, HeaderError> {
    read(transfer_syntax, data.len() as u64, || Ok(data))
}

fn header(data: &[u8]) -> Header {
    look_at(EXPLICIT, data).unwrap()
}

/// Identity at the front and behind `middle`.
fn around(middle: &[u8]) -> Vec<u8> {
    [
        element(tags::SOP_CLASS_UID, "UI", b"1.1\0"),
        element(tags::SOP_INSTANCE_UID, "UI", b"1.2\0"),
        middle.to_vec(),
        element(tags::STUDY_INSTANCE_UID, "UI", b"1.3\0"),
        element(tags::SERIES_INSTANCE_UID, "UI", b"1.4\0"),
        element(tags::PIXEL_DATA, "OW", &[0; 100]),
    ]
    .concat()
}

#[test]
fn facts_are_read() {
    let data = [
        element(tags::SPECIFIC_CHARACTER_SET, "CS", b"ISO_IR 192"),
        element(tags::SOP_CLASS_UID, "UI", b"1.1\0"),
        element(tags::STUDY_DATE, "DA", b"20260102"),
        element(tags::MODALITY, "CS", b"MR"),
        element(tags::MANUFACTURER, "LO", b"ACME"),
        element(tags::STUDY_DESCRIPTION, "LO", "Sch\u{e4}del\u{7}x ".as_bytes()),
        element(tags::ADMITTING_DIAGNOSES_DESCRIPTION, "LO", b"headache\\fall "),
        element(tags::MANUFACTURER_MODEL_NAME, "LO", b"Scanner 3"),
        element(tags::PATIENT_NAME, "PN", "Yamada^Tarou^^=山田^太郎 ".as_bytes()),
        element(tags::MAGNETIC_FIELD_STRENGTH, "DS", b"15000 "),
        element(tags::DEVICE_SERIAL_NUMBER, "LO", b"0815"),
        element(tags::SOFTWARE_VERSIONS, "LO", b"syngo MR E11\\N4_VE11C "),
        element(tags::STUDY_INSTANCE_UID, "UI", b"1.3\0"),
        element(tags::SERIES_NUMBER, "IS", b"7 "),
        element(tags::NUMBER_OF_STUDY_RELATED_INSTANCES, "IS", b"120 "),
        element(tags::NUMBER_OF_SERIES_RELATED_INSTANCES, "IS", b"0 "),
        element(
            tags::REQUEST_ATTRIBUTES_SEQUENCE,
            "SQ",
            &[
                &[0xFE, 0xFF, 0, 0xE0, 20, 0, 0, 0][..],
                &element(tags::REASON_FOR_THE_REQUESTED_PROCEDURE, "LO", b"first fit   "),
            ]
            .concat(),
        ),
    ]
    .concat();
    let Header { study, series, .. } = header(&data);
    assert_eq!(study.study_date, "20260102");
    assert_eq!(study.manufacturer, "ACME Scanner 3");
    assert_eq!(study.device_serial, "0815");
    assert_eq!(study.software, "syngo MR E11\\N4_VE11C");
    assert_eq!(study.description, "Schädel x");
    assert_eq!(study.admitting, "headache; fall");
    assert_eq!(study.patient_name, "Yamada^Tarou");
    assert_eq!(study.field_strength_t, Some(1.5));
    assert_eq!(study.reason, "first fit");
    assert_eq!(study.expected_instances, Some(120));
    assert_eq!((series.number, series.expected_instances), (Some(7), None));
}

#[test]
fn texts_are_tamed() {
    for (text, expected) in [("a\r\nb", "a  b"), (" \u{1b}[31mred", "[31mred"), ("", "")] {
        assert_eq!(clean(text), expected);
    }
    assert_eq!(clean(&"é".repeat(2000)).chars().count(), 1024);
    for (name, expected) in
        [("Doe^Jane^^", "Doe^Jane"), ("=山田^太郎", "山田^太郎"), ("=", ""), ("Doe=x=y", "Doe")]
    {
        assert_eq!(person(name), expected);
    }
}

#[test]
fn large_headers_are_read_in_a_larger_window() {
    let private = |bytes: usize| element(Tag(0x0019, 0x1010), "OB", &vec![1; bytes]);
    for bytes in [0, 1000, 65_000, 70_000, 1 << 20] {
        let header = header(&around(&private(bytes)));
        assert_eq!((&*header.study.uid, header.cut_off), ("1.3", false), "{bytes}");
    }
    // The bound: identity that lies behind 2 MiB is not found.
    assert_eq!(header(&around(&private(2 << 20))).study.uid, "");
}

#[test]
fn what_lies_behind_the_facts_is_not_waited_for() {
    let data = [
        around(&[])[..48].to_vec(),
        element(Tag(0x0041, 0x1010), "OB", &vec![0; 100 << 10]),
        // Broken, and never looked at.
        vec![0xFF; 1000],
    ]
    .concat();
    assert_eq!(header(&data).series.uid, "1.4");
}

#[test]
fn data_sets_that_are_cut_off_are_read_as_far_as_they_go() {
    let data = around(&[]);
    // Behind the identity, an element that claims 4 GiB.
    let lie = |tag| declared(tag, "OW", &[0; 10], u32::MAX - 1);
    for (data, study, cut_off) in [
        (data.clone(), "1.3", false),
        (data[..data.len() - 1].to_vec(), "1.3", true),
        ([&data[..48], &lie(tags::PIXEL_DATA)].concat(), "1.3", true),
        ([&data[..48], &lie(Tag(0x0029, 0x1010))].concat(), "1.3", true),
        ([&data[..24], &lie(Tag(0x0009, 0x1010))].concat(), "", true),
    ] {
        let header = header(&data);
        assert_eq!((&*header.study.uid, header.cut_off), (study, cut_off));
        assert_eq!(header.sop_class, "1.1");
    }
}

#[test]
fn contradictions_are_errors() {
    let inner = declared(tags::SERIES_DESCRIPTION, "LO", b"x", 4000);
    let item = [&[0xFE, 0xFF, 0, 0xE0, 9, 0, 0, 0][..], &inner].concat();
    let data = around(&element(Tag(0x0008, 0x1140), "SQ", &item));
    let Err(HeaderError::Scan(error)) = look_at(EXPLICIT, &data) else { panic!("was read") };
    assert_eq!(
        error.to_string(),
        "data set: element (0008,103E) at byte 76: declares 4000 bytes, 1 remain; the file is cut \
         off or corrupt"
    );
}

#[test]
fn deflated_data_sets_are_inflated_within_the_window() {
    let deflate = |data: &[u8]| {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    };
    let deflated = |data: &[u8]| look_at(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, data);
    let data = deflate(&around(&element(Tag(0x0019, 0x1010), "OB", &vec![1; 100_000])));
    assert_eq!(deflated(&data).unwrap().study.uid, "1.3");
    assert_eq!(deflated(&data[..data.len() / 2]).unwrap().sop_class, "1.1");
    // Zeros inflate to a thousand times their size, of which 2 MiB are looked at.
    assert_eq!(deflated(&deflate(&vec![0; 300 << 20])).unwrap(), Header::default());
    let Err(HeaderError::Scan(error)) = deflated(&[0xFF; 64]) else { panic!("inflated") };
    assert_eq!(error.to_string(), "data set: the deflated data set at byte 0 cannot be inflated");
}

#[test]
fn no_damage_makes_it_panic() {
    let item = [&[0xFE, 0xFF, 0, 0xE0, 11, 0, 0, 0][..], &element(tags::MODALITY, "CS", b"MR ")];
    let data = around(&element(Tag(0x0008, 0x1140), "SQ", &item.concat().repeat(3)));
    let mut seed = 1_u64;
    let mut random = |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % limit
    };
    let mut read = 0;
    for _ in 0..20_000 {
        let mut broken = data.clone();
        for _ in 0..=random(4) {
            let at = random(broken.len());
            broken[at] = u8::try_from(random(256)).unwrap();
        }
        broken.truncate(broken.len() - random(40));
        read += usize::from(look_at(EXPLICIT, &broken).is_ok());
    }
    assert!((1000..20_000).contains(&read), "{read}");
}
