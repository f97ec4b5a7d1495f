//! Siemens mosaics: the slices of a volume as tiles of one square image. How many tiles there
//! are, and which way they are stacked, stands only in private headers.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::header::{self, Slice, dot};
use crate::dicom::parse::{DataSet, DicomFile};
use crate::dicom::pixels::PixelLayout;

/// Tiles of the largest mosaic this reader believes in (16 x 16).
const MAX_TILES: u32 = 256;
/// Image header of a "SIEMENS CSA HEADER" block.
const CSA_IMAGE_HEADER: Tag = Tag(0x0029, 0x1010);
/// Number Of Images In Mosaic of a "SIEMENS MR HEADER" block.
const IMAGES_IN_MOSAIC: Tag = Tag(0x0019, 0x100A);

/// Upper left corner of a slice in its frame, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dicom) struct Tile {
    pub(in crate::dicom) column: u32,
    pub(in crate::dicom) row: u32,
}

/// The slices of a mosaic; `None` when the file is none, or does not say enough to cut it up.
///
/// The position of a mosaic is the corner that an image of the whole mosaic's size would have
/// around the first slice, so the first tile lies half the difference of the sizes further in.
pub(super) fn slices(file: &DicomFile, layout: &PixelLayout) -> Option<Vec<Slice>> {
    let data = &file.data;
    if layout.frames != 1 || !data.texts(tags::IMAGE_TYPE).iter().any(|value| value == "MOSAIC") {
        return None;
    }
    let csa = data.bytes(CSA_IMAGE_HEADER).unwrap_or_default();
    // Some software versions write a zero into the plain element.
    let count =
        [data.int(IMAGES_IN_MOSAIC), number(csa, "NumberOfImagesInMosaic", 0).and_then(int)]
            .into_iter()
            .flatten()
            .filter_map(|count| u32::try_from(count).ok())
            .find(|count| (1..=MAX_TILES).contains(count))?;
    let side = (1..=count).find(|side| side * side >= count)?;
    if !layout.columns.is_multiple_of(side) || !layout.rows.is_multiple_of(side) {
        return None;
    }
    let (columns, rows) = (layout.columns / side, layout.rows / side);
    let whole = header::slice(file, layout, 0, None);
    let first_mm = first_position(&whole, [columns, rows]);
    let step_mm = step(data, csa, &whole);
    let tile = |index: u32| {
        let mut slice = whole.clone();
        slice.source.frame = index;
        slice.tile = Some(Tile { column: index % side * columns, row: index / side * rows });
        (slice.columns, slice.rows) = (columns, rows);
        slice.position_mm = first_mm.zip(step_mm).map(|(first, step)| {
            std::array::from_fn(|axis| first[axis] + step[axis] * f64::from(index))
        });
        slice.location = Some(f64::from(index));
        slice
    };
    Some((0..count).map(tile).collect())
}

fn first_position(whole: &Slice, tile_vox: [u32; 2]) -> Option<[f64; 3]> {
    let ([row, column, _], spacing) = (whole.orientation?.axes, whole.pixel_spacing_mm?);
    let right = f64::from(whole.columns - tile_vox[0]) / 2.0 * spacing[0];
    let down = f64::from(whole.rows - tile_vox[1]) / 2.0 * spacing[1];
    let corner = whole.position_mm?;
    Some(std::array::from_fn(|axis| corner[axis] + row[axis] * right + column[axis] * down))
}

/// From one slice to the next. The slice normal of the CSA header gives the sign; the length is
/// Spacing Between Slices, or the slice thickness where that is absent.
fn step(data: &DataSet, csa: &[u8], whole: &Slice) -> Option<[f64; 3]> {
    let normal = whole.normal()?;
    let acquired: Vec<f64> = (0..3).filter_map(|i| number(csa, "SliceNormalVector", i)).collect();
    let against = <[f64; 3]>::try_from(acquired).is_ok_and(|acquired| dot(acquired, normal) < 0.0);
    let thickness = || data.f64s(tags::SLICE_THICKNESS).first().copied().filter(|mm| *mm > 0.0);
    let distance = whole.slice_spacing_mm.or_else(thickness)?;
    Some(normal.map(|v| if against { -v * distance } else { v * distance }))
}

fn int(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "in range and integral")]
    let int = ((0.0..1e6).contains(&value) && value.fract() == 0.0).then_some(value as i64);
    int
}

/// Value `index` of the entry `name` in a CSA header of the "SV10" kind.
///
/// After magic and a four-byte mark come the number of entries and a check word; each entry is a
/// 64-byte name, multiplicity, representation, type, item count, check word; each item four words,
/// the second its length, and the text padded to four bytes. Every length is checked, and a
/// header that ends early is a header without the entry.
fn number(csa: &[u8], name: &str, index: usize) -> Option<f64> {
    const MAX_ENTRIES: u32 = 1024;
    let mut rest = Cursor(csa.strip_prefix(b"SV10")?);
    rest.take(4)?;
    let entries = rest.word()?;
    rest.word()?;
    for _ in 0..entries.min(MAX_ENTRIES) {
        let wanted = until_nul(rest.take(64)?) == name.as_bytes();
        rest.take(12)?;
        let items = rest.word()?;
        rest.word()?;
        for item in 0..items {
            rest.word()?;
            let length = usize::try_from(rest.word()?).ok()?;
            rest.take(8)?;
            let value = until_nul(rest.take(length)?);
            if wanted && usize::try_from(item) == Ok(index) {
                let number = std::str::from_utf8(value).ok()?.trim().parse().ok();
                return number.filter(|value: &f64| value.is_finite());
            }
            rest.take(length.next_multiple_of(4) - length)?;
        }
    }
    None
}

/// Bytes still to be read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    fn word(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::number;

    /// One entry "X" with the values 7 and -0.5.
    fn header() -> Vec<u8> {
        let words = |out: &mut Vec<u8>, values: &[u32]| {
            values.iter().for_each(|value| out.extend(value.to_le_bytes()));
        };
        let mut out = b"SV10\x04\x03\x02\x01".to_vec();
        words(&mut out, &[1, 77]);
        out.extend(b"X");
        out.resize(16 + 64, 0);
        words(&mut out, &[2, u32::from_le_bytes(*b"FD\0\0"), 4, 2, 77]);
        for text in ["7\0", "-0.5\0"] {
            let length = u32::try_from(text.len()).unwrap();
            words(&mut out, &[length, length, 77, length]);
            out.extend(text.as_bytes());
            out.resize(out.len().next_multiple_of(4), 0);
        }
        out
    }

    #[test]
    fn csa_entries_are_found_and_bounds_respected() {
        let csa = header();
        assert_eq!(number(&csa, "X", 0), Some(7.0));
        assert_eq!(number(&csa, "X", 1), Some(-0.5));
        assert_eq!(number(&csa, "X", 2), None);
        assert_eq!(number(&csa, "Y", 0), None);
        for end in 0..csa.len() - 8 {
            assert_eq!(number(&csa[..end], "X", 1), None, "cut at {end}");
        }
        let mut huge = csa;
        huge[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        huge[16 + 64 + 12..16 + 64 + 16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(number(&huge, "Y", 0), None);
    }
}
