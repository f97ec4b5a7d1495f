//! Siemens mosaics. How many slices an image holds, and which way they are stacked, stands only
//! in the CSA header, which holds the whole protocol and may name the patient. A header with
//! those two entries alone is written in its place.

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use models::dicom::parse::DataSet;

const CREATOR: Tag = Tag(0x0029, 0x0010);
const IMAGE_HEADER: Tag = Tag(0x0029, 0x1010);
const MR_CREATOR: Tag = Tag(0x0019, 0x0010);
const IMAGES_IN_MOSAIC: Tag = Tag(0x0019, 0x100A);
/// Entries that stay.
const KEPT: [&str; 2] = ["NumberOfImagesInMosaic", "SliceNormalVector"];
/// Length of an entry's name.
const NAME: usize = 64;

/// Copies what cuts a mosaic up; nothing for other images.
pub(super) fn copy(from: &DataSet, to: &mut InMemDicomObject) {
    if !from.texts(tags::IMAGE_TYPE).iter().any(|value| value == "MOSAIC") {
        return;
    }
    if let Some(count) = from.int(IMAGES_IN_MOSAIC).and_then(|count| u16::try_from(count).ok()) {
        to.put(DataElement::new(MR_CREATOR, VR::LO, PrimitiveValue::from("SIEMENS MR HEADER")));
        to.put(DataElement::new(IMAGES_IN_MOSAIC, VR::US, PrimitiveValue::from(count)));
    }
    let csa = from.bytes(IMAGE_HEADER).unwrap_or_default();
    let entries: Vec<(&str, Vec<f64>)> =
        KEPT.into_iter().map(|name| (name, numbers(csa, name))).collect();
    if entries.iter().any(|(_, values)| !values.is_empty()) {
        to.put(DataElement::new(CREATOR, VR::LO, PrimitiveValue::from("SIEMENS CSA HEADER")));
        to.put(DataElement::new(IMAGE_HEADER, VR::OB, PrimitiveValue::from(header(&entries))));
    }
}

/// Values of an entry of a header of the "SV10" kind: after the magic and a mark, the number of
/// entries and a check word; an entry is its name, four words of which the last is the number of
/// items, a check word, and the items: four words, the second the length, then padded text.
fn numbers(csa: &[u8], name: &str) -> Vec<f64> {
    let word = |at: usize| {
        let bytes = csa.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let read = || {
        csa.starts_with(b"SV10").then_some(())?;
        let entries = word(8)?.min(1024);
        let mut at: usize = 16;
        for _ in 0..entries {
            let found = until_nul(csa.get(at..at.checked_add(NAME)?)?) == name.as_bytes();
            let items = word(at + NAME + 12)?;
            at += NAME + 20;
            let mut values = Vec::new();
            for _ in 0..items {
                let length = word(at + 4)?;
                let text = until_nul(csa.get(at + 16..(at + 16).checked_add(length)?)?);
                let number =
                    std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
                values.extend(number.filter(|value: &f64| value.is_finite()));
                at += 16 + length.next_multiple_of(4);
            }
            if found {
                return Some(values);
            }
        }
        None
    };
    read().unwrap_or_default()
}

fn header(entries: &[(&str, Vec<f64>)]) -> Vec<u8> {
    /// What Siemens writes as check word.
    const CHECK: u32 = 77;
    let mut out = b"SV10\x04\x03\x02\x01".to_vec();
    let word = |out: &mut Vec<u8>, value: usize| {
        out.extend(u32::try_from(value).unwrap_or(0).to_le_bytes());
    };
    word(&mut out, entries.len());
    out.extend(CHECK.to_le_bytes());
    for (name, values) in entries {
        let end = out.len() + NAME;
        out.extend(name.as_bytes());
        out.resize(end, 0);
        word(&mut out, values.len());
        out.extend(b"FD\0\0");
        word(&mut out, 4);
        word(&mut out, values.len());
        out.extend(CHECK.to_le_bytes());
        for value in values {
            let text = format!("{value}\0");
            for value in [text.len(), text.len(), 77, text.len()] {
                word(&mut out, value);
            }
            out.extend(text.as_bytes());
            out.resize(out.len().next_multiple_of(4), 0);
        }
    }
    out
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{header, numbers};

    #[test]
    fn a_header_reads_back_and_a_cut_one_does_not() {
        let entries =
            [("NumberOfImagesInMosaic", vec![25.0]), ("SliceNormalVector", vec![0.0, -0.5, 1.0])];
        let bytes = header(&entries);
        for (name, values) in &entries {
            assert_eq!(&numbers(&bytes, name), values);
        }
        assert_eq!(numbers(&bytes[..bytes.len() - 8], "SliceNormalVector"), Vec::<f64>::new());
        assert_eq!(numbers(&bytes, "PatientName"), Vec::<f64>::new());
    }
}
