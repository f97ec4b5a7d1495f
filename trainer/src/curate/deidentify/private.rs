//! The private elements that stay: b-values, gradient directions and image kinds, which some
//! scanners write nowhere else. All are numbers, and among those that the Retain Safe Private
//! Option allows (PS3.15 E.3.10). They are written anew from their number.

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_object::InMemDicomObject;
use models::dicom::parse::DataSet;

/// Group, element within block 10, creator, representation, numbers kept.
const SAFE: [(u16, u16, &str, VR); 4] = [
    (0x0019, 0x0C, "SIEMENS MR HEADER", VR::IS),
    (0x0043, 0x2F, "GEMS_PARM_01", VR::SS),
    (0x0043, 0x39, "GEMS_PARM_01", VR::IS),
    (0x2001, 0x03, "Philips Imaging DD 001", VR::FL),
];

/// Copies the safe elements, each with its creator.
pub(super) fn copy(from: &DataSet, to: &mut InMemDicomObject) {
    for (group, element, creator, vr) in SAFE {
        let owner = Tag(group, 0x0010);
        if !from.text(owner).is_some_and(|text| text.starts_with(creator)) {
            continue;
        }
        let Some(number) = number(from, Tag(group, 0x1000 | element)) else { continue };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "small numbers, checked to be in range"
        )]
        let value = match vr {
            VR::SS => PrimitiveValue::from(number as i16),
            VR::FL => PrimitiveValue::from(number as f32),
            _ => PrimitiveValue::from((number as i64).to_string()),
        };
        to.put(DataElement::new(owner, VR::LO, PrimitiveValue::from(creator)));
        to.put(DataElement::new(Tag(group, 0x1000 | element), vr, value));
    }
}

/// The first number of an element. Through implicit VR its representation is not known: text, or
/// the two or four bytes of a binary number.
fn number(from: &DataSet, tag: Tag) -> Option<f64> {
    let binary = || match from.bytes(tag)? {
        [a, b] => Some(f64::from(i16::from_le_bytes([*a, *b]))),
        [a, b, c, d] => Some(f64::from(f32::from_le_bytes([*a, *b, *c, *d]))),
        _ => None,
    };
    // GE adds a billion to mark b-values that differ from the prescription.
    let known = from.f64s(tag).first().copied().or_else(binary);
    known.map(|value| value % 1e9).filter(|value| (0.0..1e5).contains(value))
}
