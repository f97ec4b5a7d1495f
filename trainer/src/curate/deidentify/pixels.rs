//! The pixel data element of a file as bytes: native values or compressed fragments, never
//! decoded. Only the byte order of big endian files changes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use dicom_core::VR;
use dicom_core::header::Length;
use dicom_core::value::{PixelFragmentSequence, PrimitiveValue, Value};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_object::mem::{InMemElement, InMemFragment};
use models::dicom::parse::{DicomFile, MAX_FILE_BYTES};

/// Reads the pixel data of `file`; the reason when there are none that can be copied.
pub(super) fn read(file: &DicomFile) -> Result<InMemElement, &'static str> {
    let element = file.pixels.ok_or("no pixel data")?;
    if element.tag != tags::PIXEL_DATA {
        return Err("pixel data are floating point");
    }
    if file.transfer_syntax == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN {
        return Err("deflated files are not copied: export with another transfer syntax");
    }
    let unreadable = |_| "cannot be read";
    let mut source = File::open(&file.path).map_err(unreadable)?;
    let start = u64::try_from(element.start).map_err(|_| "cannot be read")?;
    source.seek(SeekFrom::Start(start)).map_err(unreadable)?;
    let limit = element.length.map_or(MAX_FILE_BYTES, u64::from);
    let mut bytes = Vec::new();
    source.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    let Some(declared) = element.length else {
        let fragments = fragments(&bytes).ok_or("compressed pixel data are cut off")?;
        return Ok(InMemElement::new_with_len(
            tags::PIXEL_DATA,
            VR::OB,
            Length::UNDEFINED,
            Value::<InMemDicomObject, InMemFragment>::from(fragments),
        ));
    };
    if bytes.len() < usize::try_from(declared).unwrap_or(usize::MAX) {
        return Err("pixel data are cut off");
    }
    if file.data.big_endian() && element.vr == VR::OW {
        let width = if file.data.int(tags::BITS_ALLOCATED) == Some(32) { 4 } else { 2 };
        bytes.chunks_mut(width).for_each(<[u8]>::reverse);
    }
    let vr = if element.vr == VR::OB { VR::OB } else { VR::OW };
    Ok(InMemElement::new(tags::PIXEL_DATA, vr, PrimitiveValue::from(bytes)))
}

/// Offset table and fragments (PS3.5 A.4); `None` when they end before their delimiter.
fn fragments(bytes: &[u8]) -> Option<PixelFragmentSequence<InMemFragment>> {
    const ITEM: [u8; 4] = [0xFE, 0xFF, 0x00, 0xE0];
    const END: [u8; 4] = [0xFE, 0xFF, 0xDD, 0xE0];
    let mut items: Vec<Vec<u8>> = Vec::new();
    let mut rest = bytes;
    loop {
        let (head, tail) = rest.split_first_chunk::<8>()?;
        let [a, b, c, d, length @ ..] = *head;
        if [a, b, c, d] == END {
            break;
        }
        if [a, b, c, d] != ITEM {
            return None;
        }
        let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
        let (item, tail) = tail.split_at_checked(length)?;
        items.push(item.to_vec());
        rest = tail;
    }
    let mut items = items.into_iter();
    let table = items.next()?;
    let (offsets, _) = table.as_chunks::<4>();
    let offsets: Vec<u32> = offsets.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    Some(PixelFragmentSequence::new(offsets, items.collect::<Vec<_>>()))
}
