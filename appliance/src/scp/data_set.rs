//! Small data sets of messages: read with the bounded parser, written element by element.

use std::path::Path;
use std::sync::Mutex;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};
use models::dicom::parse::{DataSet, ParseError, parse_bytes};

use super::lock;

/// An item of a sequence (PS3.5 7.5).
const ITEM: Tag = Tag(0xFFFE, 0xE000);
/// Longest value of an element whose length has 16 bits.
pub(super) const MAX_SHORT: usize = 0xFFFE;
/// Held while a data set is looked at, because 2 MiB of empty elements take 40 MiB in memory.
static READING: Mutex<()> = Mutex::new(());

/// Shows a data set that a peer sent to `work`.
pub(super) fn read<T>(
    bytes: &[u8],
    transfer_syntax: &str,
    work: impl FnOnce(&DataSet) -> T,
) -> Result<T, ParseError> {
    let _alone = lock(&READING);
    // The parser reads files, so the data set gets the one meta element that matters to it.
    let mut file = b"DICM".to_vec();
    push(&mut file, true, tags::TRANSFER_SYNTAX_UID, VR::UI, transfer_syntax.as_bytes());
    file.extend_from_slice(bytes);
    Ok(work(&parse_bytes(Path::new("data set"), file)?.data))
}

/// Whether elements name their representation.
pub(super) fn is_explicit(transfer_syntax: &str) -> bool {
    transfer_syntax != uids::IMPLICIT_VR_LITTLE_ENDIAN
}

/// Appends an element, its value padded to an even length (PS3.5 7.1, 6.2).
pub(super) fn push(out: &mut Vec<u8>, explicit: bool, tag: Tag, vr: VR, value: &[u8]) {
    let length = u32::try_from(value.len() + value.len() % 2).unwrap_or(u32::MAX);
    out.extend(tag.group().to_le_bytes());
    out.extend(tag.element().to_le_bytes());
    if explicit && !has_long_length(vr) {
        out.extend(vr.to_bytes());
        out.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
    } else {
        if explicit {
            out.extend(vr.to_bytes());
            out.extend([0, 0]);
        }
        out.extend(length.to_le_bytes());
    }
    out.extend(value);
    if value.len() % 2 == 1 {
        out.push(if matches!(vr, VR::UI | VR::OB | VR::UN) { 0 } else { b' ' });
    }
}

/// Appends an item of a sequence, which has no representation.
pub(super) fn push_item(out: &mut Vec<u8>, value: &[u8]) {
    push(out, false, ITEM, VR::SQ, value);
}

/// Representations whose length has 32 bits behind two bytes that are reserved (PS3.5 7.1.2).
fn has_long_length(vr: VR) -> bool {
    use VR::{OB, OD, OF, OL, OV, OW, SQ, SV, UC, UN, UR, UT, UV};
    matches!(vr, OB | OD | OF | OL | OV | OW | SQ | SV | UC | UN | UR | UT | UV)
}
