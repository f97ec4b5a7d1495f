//! Names as the character ids the name encoders read (specification §6).

use crate::dims::MAX_NAME_CHARS;

/// Characters with an id of their own, from 1.
const VOCABULARY: &str = "abcdefghijklmnopqrstuvwxyz_+-0123456789.*(),";
/// Every other character, the space included.
const UNKNOWN: u8 = 45;
/// Ends each name; the encoder's output is read at this place.
const END: u8 = 46;

/// A name as ids, ending in 46.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CharIds {
    /// At most 200 ids: the encoder's position table has no more rows.
    pub ids: Vec<u8>,
    /// True when the name was longer and lost its end; the published code crashes there.
    pub cut: bool,
}

/// Ids of `text` in lower case.
///
/// Lower case is Unicode's full mapping, as in Python's `str.lower`: `İ` becomes an `i` and a
/// combining dot. Python's final form of the Greek sigma is left out, since no sigma has an id.
#[must_use]
pub fn char_ids(text: &str) -> CharIds {
    let mut lower = text.chars().flat_map(char::to_lowercase);
    let mut ids: Vec<u8> = lower.by_ref().take(MAX_NAME_CHARS).map(id).collect();
    ids.push(END);
    CharIds { ids, cut: lower.next().is_some() }
}

fn id(character: char) -> u8 {
    (1..).zip(VOCABULARY.chars()).find(|&(_, c)| c == character).map_or(UNKNOWN, |(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_published_code() {
        let cases: Vec<serde_json::Value> = serde_json::from_str(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/golden/prima/char_tokens.json"
        )))
        .unwrap();
        assert!(cases.len() > 5, "the golden file has cases");
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let expected: Vec<u8> = serde_json::from_value(case["ids"].clone()).unwrap();
            assert_eq!(char_ids(text), CharIds { ids: expected, cut: false }, "{text}");
        }
    }

    #[test]
    fn lower_case_is_pythons() {
        // 'İ'.lower() is "i" and U+0307; the Kelvin sign is "k".
        assert_eq!(char_ids("\u{130}\u{212A}Σ").ids, [9, 45, 11, 45, 46]);
    }

    #[test]
    fn only_what_does_not_fit_is_cut() {
        let fits = char_ids(&"a".repeat(199));
        assert_eq!((fits.ids.len(), fits.cut), (200, false));
        let cut = char_ids(&"a".repeat(200));
        assert_eq!((cut.ids.len(), cut.ids.last(), cut.cut), (200, Some(&END), true));
    }
}
