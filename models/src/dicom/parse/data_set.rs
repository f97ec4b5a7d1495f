//! A parsed data set: where each element's value lies, and typed access to it.

use std::sync::{Arc, OnceLock};

use dicom_core::{Tag, VR};

use super::text::Charset;

/// The bytes that all data sets of a file point into. Filled when parsing is over and it is known
/// how much of the file is to be kept.
pub(super) type Source = Arc<OnceLock<Vec<u8>>>;

/// One element: where its value lies in the source, or the items of a sequence.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub(super) tag: Tag,
    pub(super) vr: VR,
    pub(super) start: usize,
    pub(super) length: usize,
    pub(super) items: Vec<DataSet>,
}

/// A data set, or an item of a sequence: elements in order of their tags.
///
/// Values are decoded when asked for. Of a tag that occurs twice the last value counts.
#[derive(Clone, Debug)]
pub struct DataSet {
    elements: Vec<Element>,
    source: Source,
    charset: Charset,
    big_endian: bool,
}

impl DataSet {
    pub(super) fn new(
        mut elements: Vec<Element>,
        source: Source,
        charset: Charset,
        big_endian: bool,
    ) -> Self {
        if !elements.is_sorted_by(|a, b| a.tag < b.tag) {
            elements.reverse();
            elements.sort_by_key(|e| e.tag);
            elements.dedup_by_key(|e| e.tag);
        }
        elements.shrink_to_fit();
        Self { elements, source, charset, big_endian }
    }

    /// The first value as text: decoded, without padding; `None` when absent or empty.
    #[must_use]
    pub fn text(&self, tag: Tag) -> Option<String> {
        self.texts(tag).into_iter().next().filter(|text| !text.is_empty())
    }

    /// All values as text, decoded and without padding; none for a binary representation.
    #[must_use]
    pub fn texts(&self, tag: Tag) -> Vec<String> {
        let Some(element) = self.element(tag) else { return Vec::new() };
        if !is_text(element.vr) {
            return Vec::new();
        }
        let text = self.charset.decode(self.value(element));
        // A NUL is no legal padding of text, but a common one.
        let trim = |value: &str| value.trim_matches([' ', '\0', '\t', '\r', '\n']).to_owned();
        match element.vr {
            VR::LT | VR::ST | VR::UT | VR::UR => vec![trim(&text)],
            _ if text.is_empty() => Vec::new(),
            _ => text.split('\\').map(trim).collect(),
        }
    }

    /// All values as numbers, from DS, IS and the binary number representations; empty when the
    /// element is absent or any of its values is not a finite number, because half a vector is
    /// worth nothing.
    #[must_use]
    pub fn f64s(&self, tag: Tag) -> Vec<f64> {
        self.element(tag)
            .and_then(|element| self.numbers(element))
            .filter(|numbers| numbers.iter().all(|n| n.is_finite()))
            .unwrap_or_default()
    }

    /// The first value as an integer; `None` when absent or not integral.
    #[must_use]
    pub fn int(&self, tag: Tag) -> Option<i64> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let number = *self.f64s(tag).first()?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "integral and within the range in which f64 is exact"
        )]
        let int = (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64);
        int
    }

    /// The items of a sequence; empty when it is absent or not a sequence.
    #[must_use]
    pub fn items(&self, tag: Tag) -> &[DataSet] {
        self.element(tag).map_or(&[], |element| &element.items)
    }

    /// True when the element is there, even without a value.
    #[must_use]
    pub fn contains(&self, tag: Tag) -> bool {
        self.element(tag).is_some()
    }

    /// The value as it stands in the file, for private elements whose representation only their
    /// maker knows; empty for a sequence.
    #[must_use]
    pub fn bytes(&self, tag: Tag) -> Option<&[u8]> {
        self.element(tag).map(|element| self.value(element))
    }

    /// The tags of this data set, in order.
    pub fn tags(&self) -> impl Iterator<Item = Tag> {
        self.elements.iter().map(|element| element.tag)
    }

    /// The value representation: as written, or by the dictionary where it is not.
    #[must_use]
    pub fn vr(&self, tag: Tag) -> Option<VR> {
        self.element(tag).map(|element| element.vr)
    }

    /// True when binary numbers in this data set have their most significant byte first.
    #[must_use]
    pub fn big_endian(&self) -> bool {
        self.big_endian
    }

    /// All bytes kept of the file (inflated, for a deflated one).
    pub(in crate::dicom) fn source(&self) -> &[u8] {
        self.source.get().map_or(&[], Vec::as_slice)
    }

    fn element(&self, tag: Tag) -> Option<&Element> {
        let index = self.elements.binary_search_by_key(&tag, |element| element.tag).ok()?;
        self.elements.get(index)
    }

    fn value(&self, element: &Element) -> &[u8] {
        self.source().get(element.start..element.start + element.length).unwrap_or_default()
    }

    fn numbers(&self, element: &Element) -> Option<Vec<f64>> {
        let value = self.value(element);
        match element.vr {
            VR::US => Some(self.binary(value, |b| f64::from(u16::from_le_bytes(b)))),
            VR::SS => Some(self.binary(value, |b| f64::from(i16::from_le_bytes(b)))),
            VR::UL => Some(self.binary(value, |b| f64::from(u32::from_le_bytes(b)))),
            VR::SL => Some(self.binary(value, |b| f64::from(i32::from_le_bytes(b)))),
            VR::FL | VR::OF => Some(self.binary(value, |b| f64::from(f32::from_le_bytes(b)))),
            VR::FD | VR::OD => Some(self.binary(value, f64::from_le_bytes)),
            vr if is_text(vr) => {
                let text = std::str::from_utf8(value).ok()?;
                let text = text.trim_matches([' ', '\0']);
                text.split('\\').map(|part| part.trim().parse().ok()).collect()
            }
            _ => None,
        }
    }

    fn binary<const N: usize>(&self, value: &[u8], number: fn([u8; N]) -> f64) -> Vec<f64> {
        let (values, _) = value.as_chunks::<N>();
        values
            .iter()
            .map(|&(mut bytes)| {
                if self.big_endian {
                    bytes.reverse();
                }
                number(bytes)
            })
            .collect()
    }
}

/// Representations that hold text. UN is among them because private text elements read through
/// implicit VR end up as UN.
fn is_text(vr: VR) -> bool {
    use VR::{AE, AS, CS, DA, DS, DT, IS, LO, LT, PN, SH, ST, TM, UC, UI, UN, UR, UT};
    matches!(
        vr,
        AE | AS | CS | DA | DS | DT | IS | LO | LT | PN | SH | ST | TM | UC | UI | UN | UR | UT
    )
}
