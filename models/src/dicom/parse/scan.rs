//! The element scanner: walks a data set and believes no length in it.
//!
//! Nothing is allocated from a declared length: a value is only a range of the file's bytes, and
//! each element kept has cost at least eight of them. Depth and number of elements are limited.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};

use super::data_set::{DataSet, Element, Source};
use super::error::Fault;
use super::text::Charset;

/// Levels of sequences; DCMTK settled on the same number after its stack overflows.
pub(super) const MAX_DEPTH: usize = 64;
/// Elements and items of a file together.
pub(super) const MAX_ELEMENTS: usize = 1_000_000;

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
const UNDEFINED: u32 = u32::MAX;

/// The first top-level element with pixel values. Whatever follows it is not read: only padding
/// and signatures may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelElement {
    /// Pixel Data (7FE0,0010), or its floating-point siblings.
    pub tag: Tag,
    /// OB or OW.
    pub vr: VR,
    /// Where its value begins in the bytes of the file.
    pub start: usize,
    /// Declared length; `None` when undefined, that is, encapsulated in fragments.
    pub length: Option<u32>,
}

/// One fragment of encapsulated pixel data. The file may end before it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dicom) struct Fragment {
    /// Where its item begins; offset tables count from the first of these.
    pub(in crate::dicom) item: usize,
    /// Where its bytes begin.
    pub(in crate::dicom) start: usize,
    /// Declared number of bytes.
    pub(in crate::dicom) length: usize,
}

/// How elements are written (PS3.5 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) explicit: bool,
    pub(super) big_endian: bool,
}

impl Encoding {
    pub(super) const IMPLICIT: Self = Self { explicit: false, big_endian: false };
    pub(super) const EXPLICIT: Self = Self { explicit: true, big_endian: false };
    pub(super) const BIG_ENDIAN: Self = Self { explicit: true, big_endian: true };
}

/// Where and why scanning stopped.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScanError {
    pub(super) tag: Tag,
    pub(super) offset: usize,
    pub(super) fault: Fault,
}

type Scan<T> = Result<T, ScanError>;

#[derive(Clone, Copy)]
struct Header {
    tag: Tag,
    vr: VR,
    /// Where the element begins.
    offset: usize,
    length: u32,
    /// How the items of a sequence are written.
    inner: Encoding,
}

impl Header {
    fn fails(&self, fault: Fault) -> ScanError {
        ScanError { tag: self.tag, offset: self.offset, fault }
    }
}

/// What surrounds the element being read.
#[derive(Clone, Copy)]
struct Around<'a> {
    end: usize,
    encoding: Encoding,
    charset: &'a Charset,
    depth: usize,
}

pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    source: Source,
    at: usize,
    elements: usize,
    pixels: Option<PixelElement>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8], source: Source, at: usize) -> Self {
        Self { bytes, source, at, elements: 0, pixels: None }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn pixels(&self) -> Option<PixelElement> {
        self.pixels
    }

    /// Reads elements while they belong to group 0002 (PS3.10 7.1). Its declared length is not
    /// used: it is missing or wrong often enough.
    pub(super) fn file_meta(&mut self) -> Scan<DataSet> {
        let charset = Charset::default();
        let around = Around {
            end: self.bytes.len(),
            encoding: Encoding::EXPLICIT,
            charset: &charset,
            depth: 0,
        };
        let mut elements = Vec::new();
        while self.peek_u16(self.at, false) == Some(0x0002) {
            let header = self.header(around)?;
            elements.push(self.element(header, around)?);
        }
        Ok(DataSet::new(elements, self.source.clone(), charset, false))
    }

    /// Reads the top-level data set up to its pixel data or its end.
    pub(super) fn top_level(&mut self, declared: Encoding) -> Scan<DataSet> {
        let encoding = self.actual_encoding(declared);
        self.data_set(self.bytes.len(), encoding, &Charset::default(), 0)
    }

    /// Reads the fragments of encapsulated pixel data, the offset table first (PS3.5 A.4). Ends
    /// without complaint where the file does: whether a frame is whole is for its reader to say.
    pub(super) fn fragments(&mut self) -> Vec<Fragment> {
        let mut fragments = Vec::new();
        while let Ok(header) = self.item_header(Encoding::EXPLICIT, self.bytes.len()) {
            let Ok(length) = usize::try_from(header.length) else { break };
            if header.tag != ITEM || self.count(header).is_err() {
                break;
            }
            fragments.push(Fragment { item: header.offset, start: self.at, length });
            self.at = self.at.saturating_add(length).min(self.bytes.len());
        }
        fragments
    }

    /// Explicit or implicit VR by what the next element looks like, because some writers name
    /// one transfer syntax and use another.
    fn actual_encoding(&self, declared: Encoding) -> Encoding {
        let written = self.bytes.get(self.at + 4..self.at + 6).unwrap_or_default();
        let explicit = written.try_into().ok().and_then(VR::from_binary).is_some();
        if declared.big_endian { declared } else { Encoding { explicit, ..declared } }
    }

    fn data_set(
        &mut self,
        end: usize,
        encoding: Encoding,
        inherited: &Charset,
        depth: usize,
    ) -> Scan<DataSet> {
        let mut charset = inherited.clone();
        let mut elements = Vec::new();
        while self.at + 8 <= end {
            let around = Around { end, encoding, charset: &charset, depth };
            let header = self.header(around)?;
            match header.tag {
                ITEM_END => break,
                // The delimiter of this item is missing; the sequence wants to see its own.
                SEQUENCE_END if depth > 0 => {
                    self.at = header.offset;
                    break;
                }
                // Zero padding after the last element: no element has this tag.
                Tag(0, 0) => break,
                tags::PIXEL_DATA | tags::FLOAT_PIXEL_DATA | tags::DOUBLE_FLOAT_PIXEL_DATA
                    if depth == 0 =>
                {
                    let length = (header.length != UNDEFINED).then_some(header.length);
                    self.pixels = Some(PixelElement {
                        tag: header.tag,
                        vr: header.vr,
                        start: self.at,
                        length,
                    });
                    break;
                }
                _ => {}
            }
            let element = self.element(header, around)?;
            if element.tag == tags::SPECIFIC_CHARACTER_SET {
                charset = Charset::new(
                    self.bytes
                        .get(element.start..element.start + element.length)
                        .unwrap_or_default(),
                );
            }
            elements.push(element);
        }
        Ok(DataSet::new(elements, self.source.clone(), charset, encoding.big_endian))
    }

    /// Reads the value that belongs to `header`.
    fn element(&mut self, header: Header, around: Around<'_>) -> Scan<Element> {
        let Header { tag, vr, length, .. } = header;
        self.count(header)?;
        let start = self.at;
        let mut items = Vec::new();
        if length == UNDEFINED {
            match vr {
                VR::SQ => items = self.items(header, None, around)?,
                VR::OB | VR::OW => self.skip_fragments(header, around)?,
                _ => return Err(header.fails(Fault::UndefinedLength)),
            }
        } else {
            let end = self.end_of(header, around.end)?;
            if vr == VR::SQ {
                match self.items(header, Some(end), around) {
                    Ok(read) => items = read,
                    // Vendors' private sequences are written by no rules at times, and nothing
                    // here depends on them; limits hold all the same.
                    Err(error) if tag.group() % 2 == 1 && !is_limit(error.fault) => {}
                    Err(error) => return Err(error),
                }
            }
            self.at = end;
        }
        Ok(Element { tag, vr, start, length: self.at - start, items })
    }

    /// Reads the items of a sequence up to `end`, or up to its delimiter.
    fn items(
        &mut self,
        sequence: Header,
        end: Option<usize>,
        around: Around<'_>,
    ) -> Scan<Vec<DataSet>> {
        let unknown = sequence.inner != around.encoding;
        let depth = around.depth + 1;
        if depth > MAX_DEPTH {
            return Err(sequence.fails(Fault::Depth { limit: MAX_DEPTH }));
        }
        let limit = end.unwrap_or(around.end);
        let mut items = Vec::new();
        while self.at < limit {
            let header = self.item_header(sequence.inner, limit)?;
            match header.tag {
                ITEM => {}
                SEQUENCE_END => break,
                // The end of the item around a sequence whose delimiter is missing.
                ITEM_END if end.is_none() => {
                    self.at = header.offset;
                    break;
                }
                found => return Err(header.fails(Fault::NotAnItem { found })),
            }
            self.count(header)?;
            let item_end = match header.length {
                UNDEFINED => limit,
                _ => self.end_of(header, limit)?,
            };
            let encoding =
                if unknown { self.actual_encoding(sequence.inner) } else { sequence.inner };
            items.push(self.data_set(item_end, encoding, around.charset, depth)?);
            if header.length != UNDEFINED {
                self.at = item_end;
            }
        }
        Ok(items)
    }

    /// Steps over encapsulated data that is not this file's own, such as an icon's.
    fn skip_fragments(&mut self, value: Header, around: Around<'_>) -> Scan<()> {
        loop {
            let header = self.item_header(around.encoding, around.end)?;
            match header.tag {
                SEQUENCE_END => return Ok(()),
                ITEM if header.length != UNDEFINED => {
                    self.count(value)?;
                    self.at = self.end_of(header, around.end)?;
                }
                found => return Err(header.fails(Fault::NotAnItem { found })),
            }
        }
    }

    fn count(&mut self, header: Header) -> Scan<()> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(header.fails(Fault::Elements { limit: MAX_ELEMENTS }));
        }
        Ok(())
    }

    /// Where the value of `header` ends, if that is within `limit`.
    fn end_of(&self, header: Header, limit: usize) -> Scan<usize> {
        let remaining = limit.saturating_sub(self.at);
        match usize::try_from(header.length) {
            Ok(length) if length <= remaining => Ok(self.at + length),
            _ => Err(header.fails(Fault::Length {
                declared: u64::from(header.length),
                remaining: remaining as u64,
            })),
        }
    }

    /// Reads tag, representation and length, and moves behind them.
    fn header(&mut self, around: Around<'_>) -> Scan<Header> {
        let mut header = self.item_header(around.encoding, around.end)?;
        if header.tag.group() == 0xFFFE {
            return Ok(header);
        }
        let big_endian = around.encoding.big_endian;
        let written = self.bytes.get(header.offset + 4..header.offset + 6).unwrap_or_default();
        // Two capital letters are a representation; anything else is an element in implicit VR,
        // which some writers use inside explicit data sets.
        if around.encoding.explicit && written.iter().all(u8::is_ascii_uppercase) {
            let vr = written.try_into().ok().and_then(VR::from_binary);
            if vr.is_some_and(has_long_length) {
                header.length = self
                    .peek_u32(self.at, big_endian)
                    .filter(|_| self.at + 4 <= around.end)
                    .ok_or_else(|| header.fails(Fault::CutOff))?;
                self.at += 4;
            } else {
                let length = self.peek_u16(self.at - 2, big_endian);
                header.length = u32::from(length.unwrap_or_default());
            }
            header.vr = vr.unwrap_or(VR::UN);
        } else {
            header.vr = VR::UN;
        }
        if header.vr == VR::UN {
            header.vr = dictionary_vr(header);
            // What was written as unknown is in implicit little endian (PS3.5 6.2.2 note 2).
            header.inner = Encoding::IMPLICIT;
        }
        Ok(header)
    }

    /// Reads a tag and a 32 bit length, the header of items and of implicit elements.
    fn item_header(&mut self, encoding: Encoding, limit: usize) -> Scan<Header> {
        let offset = self.at;
        let big_endian = encoding.big_endian;
        let words = (
            self.peek_u16(offset, big_endian),
            self.peek_u16(offset + 2, big_endian),
            self.peek_u32(offset + 4, big_endian),
        );
        let (Some(group), Some(element), Some(length)) = words else {
            return Err(ScanError { tag: Tag(0, 0), offset, fault: Fault::CutOff });
        };
        let tag = Tag(group, element);
        if offset + 8 > limit {
            return Err(ScanError { tag, offset, fault: Fault::CutOff });
        }
        self.at += 8;
        Ok(Header { tag, vr: VR::UN, offset, length, inner: encoding })
    }

    pub(super) fn peek_u16(&self, at: usize, big_endian: bool) -> Option<u16> {
        let bytes = self.bytes.get(at..at + 2)?.try_into().ok()?;
        Some(if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn peek_u32(&self, at: usize, big_endian: bool) -> Option<u32> {
        let bytes = self.bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }
}

fn is_limit(fault: Fault) -> bool {
    matches!(fault, Fault::Depth { .. } | Fault::Elements { .. })
}

/// Representations with a 32 bit length in explicit VR (PS3.5 7.1.2).
fn has_long_length(vr: VR) -> bool {
    use VR::{OB, OD, OF, OL, OV, OW, SQ, SV, UC, UN, UR, UT, UV};
    matches!(vr, OB | OD | OF | OL | OV | OW | SQ | SV | UC | UN | UR | UT | UV)
}

/// The representation of an element that does not say it, or says unknown. An undefined length
/// outside pixel data can only be a sequence.
fn dictionary_vr(header: Header) -> VR {
    let known =
        StandardDataDictionary.by_tag(header.tag).map_or(VR::UN, |entry| entry.vr().relaxed());
    match known {
        VR::OB | VR::OW => known,
        _ if header.length == UNDEFINED => VR::SQ,
        _ => known,
    }
}
