//! What names the patient and the staff of one study: gathered from its headers and its report's
//! envelope, removed from text, and looked for in everything that is written.

use std::collections::BTreeSet;

/// Identifiers of one study.
#[derive(Clone, Debug, Default)]
pub(in crate::curate) struct Identifiers {
    /// Parts of persons' names, in lower case.
    names: BTreeSet<String>,
    /// Names that are also words of radiology or of everyday language: they count as names only
    /// beside another part of a name.
    ambiguous: BTreeSet<String>,
    /// Numbers, accession numbers, addresses, in lower case.
    codes: BTreeSet<String>,
}

/// Words and eponyms that are names too (`white`, `Dandy-Walker`). Taken out blindly they would
/// tear holes into reports.
const AMBIGUOUS: &[&str] = &[
    "able",
    "angle",
    "arch",
    "ash",
    "atlas",
    "august",
    "bank",
    "bell",
    "best",
    "black",
    "blue",
    "body",
    "bone",
    "born",
    "brain",
    "bright",
    "brown",
    "bush",
    "case",
    "cell",
    "central",
    "change",
    "chance",
    "clear",
    "close",
    "cold",
    "cord",
    "cross",
    "day",
    "dark",
    "dense",
    "drew",
    "early",
    "east",
    "edge",
    "face",
    "fair",
    "field",
    "fine",
    "fisher",
    "flow",
    "foot",
    "force",
    "frank",
    "free",
    "gadd",
    "good",
    "gray",
    "green",
    "grey",
    "grant",
    "hand",
    "hall",
    "hard",
    "head",
    "heart",
    "high",
    "hill",
    "horn",
    "ice",
    "june",
    "just",
    "king",
    "knife",
    "lake",
    "land",
    "large",
    "lateral",
    "lane",
    "left",
    "light",
    "like",
    "line",
    "lobe",
    "long",
    "love",
    "low",
    "major",
    "mark",
    "marks",
    "mass",
    "may",
    "minor",
    "moore",
    "more",
    "neck",
    "new",
    "noble",
    "north",
    "old",
    "page",
    "park",
    "peak",
    "pillar",
    "pole",
    "pool",
    "post",
    "power",
    "price",
    "prior",
    "quick",
    "rich",
    "right",
    "ring",
    "rose",
    "sharp",
    "short",
    "small",
    "south",
    "spring",
    "stalk",
    "stark",
    "still",
    "stone",
    "strong",
    "summer",
    "tall",
    "temple",
    "thick",
    "thin",
    "tract",
    "valley",
    "wall",
    "water",
    "waters",
    "way",
    "weak",
    "weeks",
    "well",
    "wells",
    "west",
    "white",
    "will",
    "winter",
    "wise",
    "wood",
    "woods",
    "young",
    "circle",
    "willis",
    "chiari",
    "sylvian",
    "galen",
    "monro",
    "virchow",
    "robin",
    "luschka",
    "meckel",
    "rathke",
    "the",
    "and",
    "for",
    "with",
    "from",
    "not",
    "patient",
    "anonymous",
    "unknown",
    "test",
    "none",
    "phantom",
    "doctor",
    "hospital",
    "medical",
    "center",
    "centre",
    "clinic",
    "university",
    "radiology",
    "department",
    "health",
    "system",
    "imaging",
    "general",
    "institute",
    "mri",
    "mr",
    "md",
    "phd",
    "dr",
    "mrs",
    "ms",
    "prof",
    "jr",
    "sr",
    "rn",
    "do",
    "scanner",
    "street",
    "avenue",
    "road",
    "iris",
    "hope",
    "faith",
    "grace",
    "gene",
    "ray",
    "art",
    "max",
    "berry",
    "root",
    "stem",
    "rice",
    "fields",
    "person",
    "barr",
    "bloom",
    "parent",
    "guy",
    "angel",
    "bill",
    "pat",
    "sue",
    "rob",
    "miles",
    "normal",
    "parkinson",
    "alzheimer",
    "hodgkin",
    "whipple",
    "down",
    "turner",
    "sturge",
    "weber",
    "lindau",
    "hippel",
    "wilson",
    "huntington",
    "wernicke",
    "leigh",
    "horner",
    "dandy",
    "walker",
    "arnold",
    "foster",
    "kennedy",
    "cushing",
    "addison",
    "rasmussen",
    "hunt",
    "jefferson",
    "broca",
    "paget",
    "chester",
    "burr",
    "study",
    "name",
    "date",
    "time",
    "place",
    "contact",
    "address",
    "phone",
];

/// Shortest part of a name that is looked for alone.
const MIN_NAME: usize = 3;
/// Shortest code that is looked for, and shortest of digits alone; shorter ones are measurements
/// (`b 1000`) more often than identifiers.
const MIN_CODE: [usize; 2] = [4, 5];

impl Identifiers {
    /// Adds a person's name in any writing (`Family^Given`, `Dr. G. Family`).
    pub(in crate::curate) fn add_name(&mut self, name: &str) {
        let parts = name.split(|c: char| !(c.is_alphabetic() || c == '\'' || c == '-'));
        for part in parts {
            let part = part.trim_matches(['\'', '-']).to_lowercase();
            if AMBIGUOUS.contains(&part.as_str()) {
                self.ambiguous.insert(part);
            } else if part.chars().count() >= MIN_NAME {
                self.names.insert(part);
            }
        }
    }

    /// Adds a number or code: patient id, accession number, telephone, street.
    pub(in crate::curate) fn add_code(&mut self, code: &str) {
        let code = code.trim().to_lowercase();
        let said = code.chars().filter(|c| c.is_alphanumeric()).count();
        let digits = code.chars().any(|c| c.is_ascii_digit());
        let letters = code.chars().any(char::is_alphabetic);
        let word = AMBIGUOUS.contains(&code.as_str());
        if said >= MIN_CODE[usize::from(!letters)] && !word {
            // A place's name without a number is taken out like a person's.
            if digits {
                self.codes.insert(code);
            } else {
                self.names.insert(code);
            }
        }
    }

    /// Adds a day in the ways it is commonly written.
    pub(in crate::curate) fn add_date(&mut self, date: jiff::civil::Date) {
        for format in ["%Y%m%d", "%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%-m/%-d/%Y"] {
            self.codes.insert(date.strftime(format).to_string());
        }
    }

    /// Ranges of `text` that hold an identifier, in order, not overlapping.
    pub(in crate::curate) fn find(&self, text: &str) -> Vec<(std::ops::Range<usize>, Kind)> {
        let words = words(text);
        let is_name = |word: &Word| self.names.contains(&word.lower);
        let may_be = |word: &Word| self.ambiguous.contains(&word.lower);
        let mut found = Vec::new();
        for (index, word) in words.iter().enumerate() {
            let neighbour = |other: Option<&Word>, before: bool| {
                other.is_some_and(|other| {
                    let close =
                        if before { other.next_to(word, text) } else { word.next_to(other, text) };
                    close && (is_name(other) || may_be(other) && other.lower != word.lower)
                })
            };
            let beside = || {
                neighbour(index.checked_sub(1).and_then(|at| words.get(at)), true)
                    || neighbour(words.get(index + 1), false)
            };
            // Parts of a double name count alone, too.
            let part = || word.lower.split(['-', '\'']).any(|part| self.names.contains(part));
            if is_name(word) || part() || (may_be(word) && word.capital && beside()) {
                found.push((word.range.clone(), Kind::Name));
            }
        }
        let lower = lower_same_length(text);
        for code in self.codes.iter().chain(self.names.iter().filter(|name| name.contains(' '))) {
            for (at, hit) in lower.match_indices(code.as_str()) {
                let range = at..at + hit.len();
                if bounded(&lower, &range) {
                    found.push((range, Kind::Code));
                }
            }
        }
        found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut end = 0;
        found.retain(|(range, _)| {
            let keep = range.start >= end;
            end = end.max(range.end);
            keep
        });
        found
    }

    /// True when `text` names somebody.
    pub(in crate::curate) fn occur_in(&self, text: &str) -> bool {
        !self.find(text).is_empty()
    }
}

/// What an identifier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::curate) enum Kind {
    Name,
    Code,
}

struct Word {
    range: std::ops::Range<usize>,
    lower: String,
    capital: bool,
}

impl Word {
    /// True when only blanks, a comma or a caret lie between this word and the next.
    fn next_to(&self, next: &Self, text: &str) -> bool {
        text.get(self.range.end..next.range.start)
            .is_some_and(|gap| gap.len() <= 3 && gap.chars().all(|c| " ,^._".contains(c)))
    }
}

/// Words with inner hyphens and apostrophes; a possessive `'s` is not part of them.
fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut start = None;
    let ends = text.char_indices().chain([(text.len(), ' ')]);
    for (at, c) in ends {
        if c.is_alphabetic() || ((c == '-' || c == '\'') && start.is_some()) {
            start.get_or_insert(at);
        } else if let Some(from) = start.take() {
            let raw = text.get(from..at).unwrap_or_default().trim_end_matches(['-', '\'']);
            let word = raw.strip_suffix("'s").unwrap_or(raw);
            words.push(Word {
                range: from..from + word.len(),
                lower: word.to_lowercase(),
                capital: word.starts_with(char::is_uppercase),
            });
        }
    }
    words
}

/// Lower case where that does not change a character's length, so that places stay the same.
fn lower_same_length(text: &str) -> String {
    text.chars()
        .map(|c| {
            let mut lower = c.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(single), None) if single.len_utf8() == c.len_utf8() => single,
                _ => c,
            }
        })
        .collect()
}

/// True when no letter or digit goes on at either end.
fn bounded(text: &str, range: &std::ops::Range<usize>) -> bool {
    let goes_on = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let before = text.get(..range.start).and_then(|head| head.chars().next_back());
    let after = text.get(range.end..).and_then(|tail| tail.chars().next());
    !goes_on(before) && !goes_on(after)
}

#[cfg(test)]
mod tests {
    use super::Identifiers;

    #[test]
    fn names_are_found_and_ordinary_words_are_not() {
        let mut ids = Identifiers::default();
        ids.add_name("White^Ada^M");
        ids.add_name("Dr. José Núñez-O'Hara");
        ids.add_code("AB12345");
        ids.add_code("12");
        ids.add_code("12 Elm St");
        for (text, found) in [
            ("White matter disease, white matter intact.", &[][..]),
            ("Ms. Ada White was seen", &["Ada", "White"]),
            ("WHITE, ADA: 12 mm", &["WHITE", "ADA"]),
            ("Ada's scan", &["Ada"]),
            ("read by núñez-o'hara", &["núñez-o'hara"]),
            ("acc ab12345, not AB123456", &["ab12345"]),
            ("lives at 12 Elm St, ward 12", &["12 Elm St"]),
            ("Canada", &[]),
        ] {
            let hits: Vec<&str> =
                ids.find(text).into_iter().map(|(range, _)| text.get(range).unwrap()).collect();
            assert_eq!(hits, found, "{text}");
        }
    }
}
