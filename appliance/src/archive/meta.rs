//! The file meta group (PS3.10 7.1): written by us before every data set, and found in files that
//! others wrote.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

/// Identifies this program as a writer of files and in associations (PS3.7 D.3.3.2). Made from a
/// random UUID as PS3.5 B.2 lays down.
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.197467197710021350625347504654340715269";
/// The version that goes with it.
pub const IMPLEMENTATION_VERSION_NAME: &str = "PRIMA_01";

const PREAMBLE: usize = 128;
/// Longest value that is kept of a foreign meta group: UIDs are shorter.
const LONGEST_VALUE: usize = 256;

/// What the meta group of a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileMeta {
    /// Media Storage SOP Class UID, empty when absent.
    pub sop_class: String,
    /// Media Storage SOP Instance UID, empty when absent.
    pub sop_uid: String,
    /// Transfer Syntax UID, empty when absent.
    pub transfer_syntax: String,
    /// Where the data set begins.
    pub data_at: usize,
}

/// Preamble and meta group of one of our files. The texts must be UIDs, and the title short.
pub(super) fn build(
    sop_class: &str,
    sop_uid: &str,
    transfer_syntax: &str,
    source_ae: &str,
) -> Vec<u8> {
    let mut group = Vec::with_capacity(512);
    // File Meta Information Version: OB has a length of 32 bits after two reserved bytes.
    group.extend([2, 0, 1, 0, b'O', b'B', 0, 0, 2, 0, 0, 0, 0, 1]);
    for (tag, vr, value) in [
        (tags::MEDIA_STORAGE_SOP_CLASS_UID, b"UI", sop_class),
        (tags::MEDIA_STORAGE_SOP_INSTANCE_UID, b"UI", sop_uid),
        (tags::TRANSFER_SYNTAX_UID, b"UI", transfer_syntax),
        (tags::IMPLEMENTATION_CLASS_UID, b"UI", IMPLEMENTATION_CLASS_UID),
        (tags::IMPLEMENTATION_VERSION_NAME, b"SH", IMPLEMENTATION_VERSION_NAME),
        (tags::SOURCE_APPLICATION_ENTITY_TITLE, b"AE", source_ae),
    ] {
        if !value.is_empty() {
            push(&mut group, tag, vr, value);
        }
    }
    let mut file = vec![0; PREAMBLE];
    file.extend(b"DICM");
    file.extend([2, 0, 0, 0, b'U', b'L', 4, 0]);
    file.extend(u32::try_from(group.len()).unwrap_or_default().to_le_bytes());
    file.extend(group);
    file
}

/// Appends an element with a length of 16 bits. UIDs are padded with NUL, other texts with a
/// space (PS3.5 6.2).
pub(super) fn push(bytes: &mut Vec<u8>, tag: Tag, vr: &[u8; 2], value: &str) {
    let padded = value.len() + value.len() % 2;
    bytes.extend(tag.group().to_le_bytes());
    bytes.extend(tag.element().to_le_bytes());
    bytes.extend(vr);
    bytes.extend(u16::try_from(padded).unwrap_or_default().to_le_bytes());
    bytes.extend(value.as_bytes());
    if padded > value.len() {
        bytes.push(if vr == b"UI" { 0 } else { b' ' });
    }
}

/// Reads the meta group at the start of a file, if `bytes` begins like one. The declared group
/// length is not used, because writers get it wrong. `None` when neither a preamble nor a meta
/// group is there, or it does not end within `bytes`.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<FileMeta> {
    let start = if bytes.get(PREAMBLE..PREAMBLE + 4) == Some(b"DICM") {
        PREAMBLE + 4
    } else if bytes.starts_with(b"DICM") {
        4
    } else {
        0
    };
    let mut meta = FileMeta { data_at: start, ..FileMeta::default() };
    while meta.data_at < bytes.len() && bytes.get(meta.data_at..meta.data_at + 2)? == [2, 0] {
        let at = meta.data_at;
        let header = bytes.get(at..at + 8)?;
        let long = matches!(header.get(4..6)?, b"OB" | b"UN" | b"OW" | b"UT");
        let (value_at, length) = if long {
            let length = bytes.get(at + 8..at + 12)?.try_into().ok()?;
            (at + 12, usize::try_from(u32::from_le_bytes(length)).ok()?)
        } else {
            let length = header.get(6..8)?.try_into().ok()?;
            (at + 8, usize::from(u16::from_le_bytes(length)))
        };
        let value = bytes.get(value_at..value_at.checked_add(length)?)?;
        let text = || {
            let text = String::from_utf8_lossy(value.get(..LONGEST_VALUE).unwrap_or(value));
            text.trim_matches([' ', '\0']).to_owned()
        };
        match header.get(2..4)? {
            [2, 0] => meta.sop_class = text(),
            [3, 0] => meta.sop_uid = text(),
            [0x10, 0] => meta.transfer_syntax = text(),
            _ => {}
        }
        meta.data_at = value_at + length;
    }
    (meta.data_at > 0).then_some(meta)
}
