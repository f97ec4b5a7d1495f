//! The JPEG picture inside a DICOM file, found by as little reading as that takes.
//!
//! A box sends its pictures as Secondary Capture in one transfer syntax, JPEG baseline. Whatever is
//! not exactly that, in the order and within the lengths of the standard, is refused: the file comes
//! from elsewhere.

/// Longest file that is looked at. Key images have about 100 kB.
pub const FILE_BYTES: usize = 4 * 1024 * 1024;
/// Sequences within sequences.
const DEPTH: usize = 8;
/// Transfer Syntax UID of JPEG baseline (PS3.5 A.4.1).
const JPEG_BASELINE: &[u8] = b"1.2.840.10008.1.2.4.50";
/// Length that is not given.
const UNDEFINED: u32 = u32::MAX;

const TRANSFER_SYNTAX: (u16, u16) = (0x0002, 0x0010);
const PIXEL_DATA: (u16, u16) = (0x7FE0, 0x0010);
const ITEM: (u16, u16) = (0xFFFE, 0xE000);
const ITEM_END: (u16, u16) = (0xFFFE, 0xE00D);
const SEQUENCE_END: (u16, u16) = (0xFFFE, 0xE0DD);

/// Why there is no picture to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// Too large.
    #[error("the file is larger than {FILE_BYTES} bytes")]
    Large,
    /// No preamble, or a length that leads out of it.
    #[error("the file is not DICOM, or ends in the middle")]
    Damaged,
    /// Something that a picture of ours does not have.
    #[error("the file is not in JPEG baseline with explicit lengths of its elements")]
    Other,
    /// There is no pixel data, or it is no JPEG.
    #[error("the file has no JPEG picture")]
    NoPicture,
}

/// The first fragment of the pixel data.
///
/// # Errors
///
/// When the file is not one of the kind that boxes send.
pub fn jpeg(file: &[u8]) -> Result<&[u8], PictureError> {
    if file.len() > FILE_BYTES {
        return Err(PictureError::Large);
    }
    let mut reader = Reader { rest: file };
    reader.take(128)?;
    if reader.take(4)? != b"DICM" {
        return Err(PictureError::Damaged);
    }
    let (mut is_jpeg, mut depth) = (false, 0_usize);
    loop {
        if reader.rest.is_empty() {
            return Err(PictureError::NoPicture);
        }
        let tag = reader.tag()?;
        let length = match tag {
            ITEM | ITEM_END | SEQUENCE_END => reader.u32()?,
            _ => reader.length()?,
        };
        match (tag, length) {
            (PIXEL_DATA, UNDEFINED) if depth == 0 => {
                return if is_jpeg { fragment(reader) } else { Err(PictureError::Other) };
            }
            (ITEM_END | SEQUENCE_END, 0) => {
                depth = depth.checked_sub(1).ok_or(PictureError::Damaged)?;
            }
            (ITEM_END | SEQUENCE_END, _) => return Err(PictureError::Damaged),
            (_, UNDEFINED) if depth < DEPTH => depth += 1,
            (_, UNDEFINED) => return Err(PictureError::Other),
            (tag, length) => {
                let value = reader.take(length)?;
                if tag == TRANSFER_SYNTAX && depth == 0 {
                    is_jpeg = value.strip_suffix(b"\0").unwrap_or(value) == JPEG_BASELINE;
                }
            }
        }
    }
}

/// Behind the table of offsets, which is the first item, stands the picture in one piece.
fn fragment(mut reader: Reader<'_>) -> Result<&[u8], PictureError> {
    reader.item()?;
    let picture = reader.item()?;
    // A second fragment would be more of the picture, or another one.
    let ends = reader.tag()? == SEQUENCE_END;
    let is_jpeg = picture.starts_with(&[0xFF, 0xD8, 0xFF]);
    if ends && is_jpeg { Ok(picture) } else { Err(PictureError::NoPicture) }
}

/// What has not been read yet.
struct Reader<'f> {
    rest: &'f [u8],
}

impl<'f> Reader<'f> {
    fn take(&mut self, length: u32) -> Result<&'f [u8], PictureError> {
        let length = usize::try_from(length).map_err(|_| PictureError::Damaged)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(PictureError::Damaged)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PictureError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(PictureError::Damaged)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u16(&mut self) -> Result<u16, PictureError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, PictureError> {
        self.array().map(u32::from_le_bytes)
    }

    fn tag(&mut self) -> Result<(u16, u16), PictureError> {
        Ok((self.u16()?, self.u16()?))
    }

    /// Of an element with explicit value representation (PS3.5 7.1.2).
    fn length(&mut self) -> Result<u32, PictureError> {
        match &self.array::<2>()? {
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN"
            | b"UR" | b"UT" | b"UV" => {
                self.u16()?;
                self.u32()
            }
            vr if vr.iter().all(u8::is_ascii_uppercase) => self.u16().map(u32::from),
            _ => Err(PictureError::Other),
        }
    }

    /// The value of an item of the pixel data.
    fn item(&mut self) -> Result<&'f [u8], PictureError> {
        if self.tag()? != ITEM {
            return Err(PictureError::NoPicture);
        }
        let length = self.u32()?;
        self.take(length)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const PICTURE: &[u8] = b"\xFF\xD8\xFF\xE0 a picture\xFF\xD9";

    fn element(tag: (u16, u16), vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap().to_le_bytes();
        [&tag_bytes(tag)[..], vr, &length, value].concat()
    }

    /// An element or item whose length is not given.
    fn undefined(tag: (u16, u16), vr: &[u8]) -> Vec<u8> {
        let reserved: &[u8] = if vr.is_empty() { &[] } else { &[0, 0] };
        [&tag_bytes(tag)[..], vr, reserved, &UNDEFINED.to_le_bytes()].concat()
    }

    fn item(tag: (u16, u16), value: &[u8]) -> Vec<u8> {
        let length = u32::try_from(value.len()).unwrap().to_le_bytes();
        [&tag_bytes(tag)[..], &length, value].concat()
    }

    fn tag_bytes((group, element): (u16, u16)) -> [u8; 4] {
        let ([a, b], [c, d]) = (group.to_le_bytes(), element.to_le_bytes());
        [a, b, c, d]
    }

    /// A Secondary Capture with sequences before its picture.
    pub(in super::super) fn file(syntax: &[u8], picture: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 128];
        file.extend(b"DICM");
        for part in [
            element(TRANSFER_SYNTAX, b"UI", syntax),
            undefined((0x0008, 0x1140), b"SQ"),
            undefined(ITEM, b""),
            element((0x0008, 0x1155), b"UI", b"1.23"),
            item(ITEM_END, b""),
            item(ITEM, b"skipped!"),
            item(SEQUENCE_END, b""),
            element((0x0028, 0x0010), b"US", &[1, 0]),
            undefined(PIXEL_DATA, b"OB"),
            item(ITEM, b""),
            item(ITEM, picture),
            item(SEQUENCE_END, b""),
        ] {
            file.extend(part);
        }
        file
    }

    pub(in super::super) fn good() -> Vec<u8> {
        file(b"1.2.840.10008.1.2.4.50", PICTURE)
    }

    #[test]
    fn the_picture_is_found_behind_sequences() {
        assert_eq!(jpeg(&good()), Ok(PICTURE));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert_eq!(jpeg(b""), Err(PictureError::Damaged));
        assert_eq!(jpeg(PICTURE), Err(PictureError::Damaged));
        assert_eq!(jpeg(&vec![0; FILE_BYTES + 1]), Err(PictureError::Large));
        let text = file(b"1.2.840.10008.1.2.4.50", b"<script>alert(1)</script>!");
        assert_eq!(jpeg(&text), Err(PictureError::NoPicture));
        let lossless = file(b"1.2.840.10008.1.2.4.70", PICTURE);
        assert_eq!(jpeg(&lossless), Err(PictureError::Other));
    }

    #[test]
    fn a_file_that_is_cut_or_changed_anywhere_is_read_safely() {
        let good = good();
        for end in 0..good.len() - 8 {
            assert!(jpeg(&good[..end]).is_err(), "{end}");
        }
        for place in 0..good.len() {
            for value in [0, 0x7F, 0xFF] {
                let mut changed = good.clone();
                changed[place] = value;
                // Whatever comes out is a piece of the file that begins as a JPEG does.
                assert!(jpeg(&changed).is_ok_and(|p| p[0] == 0xFF) || jpeg(&changed).is_err());
            }
        }
    }

    #[test]
    fn sequences_in_sequences_end() {
        let mut file = vec![0; 128];
        file.extend(b"DICM");
        for _ in 0..100 {
            file.extend(undefined((0x0008, 0x1140), b"SQ"));
        }
        assert_eq!(jpeg(&file), Err(PictureError::Other));
    }
}
