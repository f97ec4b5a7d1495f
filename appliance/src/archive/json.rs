//! Stored files in the DICOM JSON model (PS3.18 F), without their pixels and without long values.
//!
//! Text is decoded on the way, so whatever Specific Character Set said before, it says UTF-8 now.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use models::dicom::parse::{DataSet, ParseError, read_header};
use serde_json::{Map, Number, Value, json};

/// Longest binary value that is given.
const LONGEST_BINARY: usize = 1 << 10;
/// Longest text, all its values together.
const LONGEST_TEXT: usize = 64 << 10;
/// UTF-8 (PS3.3 C.12.1.1.2).
const CHARACTER_SET: &str = "ISO_IR 192";

/// What a file says, bounded by the header's reader. `frames` is the address of its pixel data.
///
/// # Errors
///
/// When the file cannot be read.
pub(crate) fn metadata(path: &Path, frames: &str) -> Result<Map<String, Value>, ParseError> {
    let file = read_header(path)?;
    let mut object = data_set(&file.data);
    let character_set = json!({"vr": "CS", "Value": [CHARACTER_SET]});
    object.insert(key(tags::SPECIFIC_CHARACTER_SET), character_set);
    if let Some(pixels) = file.pixels.filter(|pixels| pixels.tag == tags::PIXEL_DATA) {
        let vr = pixels.vr.to_string();
        object.insert(key(pixels.tag), json!({"vr": vr, "BulkDataURI": frames}));
    }
    Ok(object)
}

fn key(tag: Tag) -> String {
    format!("{:04X}{:04X}", tag.group(), tag.element())
}

fn data_set(data: &DataSet) -> Map<String, Value> {
    let mut object = Map::new();
    // Group lengths have no place in the model (PS3.18 F.2.2).
    for tag in data.tags().filter(|tag| tag.element() != 0) {
        if let Some(element) = data.vr(tag).and_then(|vr| element(data, tag, vr)) {
            object.insert(key(tag), element);
        }
    }
    object
}

/// `None` for a value that is left out.
fn element(data: &DataSet, tag: Tag, vr: VR) -> Option<Value> {
    let bytes = data.bytes(tag).unwrap_or_default();
    let name = vr.to_string();
    if matches!(vr, VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::UN) {
        return binary(data, vr, bytes);
    }
    if vr != VR::SQ && bytes.len() > LONGEST_TEXT {
        return None;
    }
    if tag == tags::SPECIFIC_CHARACTER_SET {
        return Some(json!({"vr": name, "Value": [CHARACTER_SET]}));
    }
    let texts = || data.texts(tag).into_iter();
    let values: Vec<Value> = match vr {
        VR::SQ => data.items(tag).iter().map(|item| Value::Object(data_set(item))).collect(),
        VR::PN => texts().map(|name| person(&name)).collect(),
        VR::DS | VR::IS => texts().map(decimal).collect(),
        VR::AT => attribute_tags(data, bytes),
        VR::US => numbers(data, bytes, |b| u16::from_le_bytes(b).into()),
        VR::SS => numbers(data, bytes, |b| i16::from_le_bytes(b).into()),
        VR::UL => numbers(data, bytes, |b| u32::from_le_bytes(b).into()),
        VR::SL => numbers(data, bytes, |b| i32::from_le_bytes(b).into()),
        VR::UV => numbers(data, bytes, |b| u64::from_le_bytes(b).into()),
        VR::SV => numbers(data, bytes, |b| i64::from_le_bytes(b).into()),
        VR::FL => numbers(data, bytes, |b| float(f32::from_le_bytes(b).into())),
        VR::FD => numbers(data, bytes, |b| float(f64::from_le_bytes(b))),
        _ => texts().map(text).collect(),
    };
    let empty = values.iter().all(Value::is_null);
    Some(if empty { json!({"vr": name}) } else { json!({"vr": name, "Value": values}) })
}

/// Of values in big endian only bytes stand in the right order.
fn binary(data: &DataSet, vr: VR, bytes: &[u8]) -> Option<Value> {
    let swapped = data.big_endian() && !matches!(vr, VR::OB | VR::UN);
    if bytes.len() > LONGEST_BINARY || swapped {
        return None;
    }
    let name = vr.to_string();
    if bytes.is_empty() {
        return Some(json!({ "vr": name }));
    }
    Some(json!({"vr": name, "InlineBinary": BASE64_STANDARD.encode(bytes)}))
}

fn text(text: String) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

/// A number where it is one; what is none is handed on as it stands.
fn decimal(text: String) -> Value {
    if let Ok(integer) = text.parse::<i64>() {
        return integer.into();
    }
    let number = text.parse().ok().and_then(Number::from_f64);
    number.map_or_else(|| self::text(text), Value::Number)
}

/// What JSON has no number for is a text (PS3.18 F.2.3).
fn float(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
}

fn person(name: &str) -> Value {
    let groups = ["Alphabetic", "Ideographic", "Phonetic"].into_iter().zip(name.split('='));
    let groups = groups.filter(|(_, group)| !group.is_empty());
    let groups: Map<String, Value> =
        groups.map(|(kind, group)| (kind.to_owned(), group.into())).collect();
    if groups.is_empty() { Value::Null } else { groups.into() }
}

fn attribute_tags(data: &DataSet, bytes: &[u8]) -> Vec<Value> {
    let order = if data.big_endian() { u16::from_be_bytes } else { u16::from_le_bytes };
    let (values, _) = bytes.as_chunks::<4>();
    let tag = |&[a, b, c, d]: &[u8; 4]| Tag(order([a, b]), order([c, d]));
    values.iter().map(|bytes| key(tag(bytes)).into()).collect()
}

fn numbers<const N: usize>(
    data: &DataSet,
    bytes: &[u8],
    value: fn([u8; N]) -> Value,
) -> Vec<Value> {
    let (values, _) = bytes.as_chunks::<N>();
    let ordered = values.iter().map(|&(mut bytes)| {
        if data.big_endian() {
            bytes.reverse();
        }
        bytes
    });
    ordered.map(value).collect()
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::uids;

    use super::super::meta;
    use super::*;

    fn element(tag: Tag, vr: &str, value: &[u8]) -> Vec<u8> {
        let mut bytes = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
        bytes.extend(vr.as_bytes());
        let length = u32::try_from(value.len()).unwrap().to_le_bytes();
        if matches!(vr, "OB" | "OW" | "SQ" | "UN") {
            bytes.extend([0, 0]);
            bytes.extend(length);
        } else {
            bytes.extend(&length[..2]);
        }
        bytes.extend(value);
        bytes
    }

    fn read(data: &[u8]) -> Map<String, Value> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = meta::build("1.1", "1.2", uids::EXPLICIT_VR_LITTLE_ENDIAN, "");
        bytes.extend(data);
        std::fs::write(file.path(), bytes).unwrap();
        metadata(file.path(), "http://box/frames").unwrap()
    }

    #[test]
    fn values_are_written_by_their_representation() {
        let item = element(tags::SPECIFIC_CHARACTER_SET, "CS", b"ISO_IR 100");
        let item_header = [0xFE, 0xFF, 0, 0xE0, 18, 0, 0, 0];
        let data = [
            element(tags::SPECIFIC_CHARACTER_SET, "CS", b"ISO_IR 100"),
            element(tags::STUDY_DESCRIPTION, "LO", b"Sch\xE4del\\\\x"),
            element(tags::REFERENCED_IMAGE_SEQUENCE, "SQ", &[&item_header[..], &item].concat()),
            element(tags::PATIENT_NAME, "PN", b"Doe^J==x"),
            element(tags::PATIENT_ID, "LO", b""),
            element(Tag(0x0019, 0x1001), "FD", &f64::NAN.to_le_bytes()),
            element(Tag(0x0019, 0x1002), "OB", &[1, 2, 3, 4]),
            element(Tag(0x0019, 0x1003), "OB", &[0; 2000]),
            element(tags::SERIES_NUMBER, "IS", b"7 "),
            element(tags::IMAGE_POSITION_PATIENT, "DS", b"-1.50\\2\\x "),
            element(tags::FRAME_INCREMENT_POINTER, "AT", &[0x18, 0, 0x63, 0x10]),
            element(tags::ROWS, "US", &[1, 2]),
            element(tags::PIXEL_DATA, "OW", &[0; 8]),
        ];
        let expected = json!({
            "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
            "00081030": {"vr": "LO", "Value": ["Schädel", null, "x"]},
            "00081140": {"vr": "SQ", "Value": [
                {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^J", "Phonetic": "x"}]},
            "00100020": {"vr": "LO"},
            "00191001": {"vr": "FD", "Value": ["NaN"]},
            "00191002": {"vr": "OB", "InlineBinary": "AQIDBA=="},
            "00200011": {"vr": "IS", "Value": [7]},
            "00200032": {"vr": "DS", "Value": [-1.5, 2, "x"]},
            "00280009": {"vr": "AT", "Value": ["00181063"]},
            "00280010": {"vr": "US", "Value": [513]},
            "7FE00010": {"vr": "OW", "BulkDataURI": "http://box/frames"},
        });
        assert_eq!(Value::Object(read(&data.concat())), expected);
    }
}
