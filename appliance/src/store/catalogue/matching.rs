//! One value against one key (PS3.4 C.2.2.2).

/// How a text is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letter by letter.
    Identifier,
    /// Without regard to case.
    Description,
    /// Without regard to case, and to components that are empty at the end.
    Name,
}

/// A name has five components (PS3.5 6.2.1), and so this many `^` at most.
const MOST_CARETS: usize = 4;

/// A key that does not match everything.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    characters: Vec<char>,
    kind: Kind,
}

impl Pattern {
    /// `None` for a key that matches all, those without a value too (PS3.4 C.2.2.2.3, C.2.2.2.4).
    pub(super) fn new(key: &str, kind: Kind) -> Option<Self> {
        let key = match kind {
            Kind::Identifier | Kind::Description => key,
            // Of a name the first component group that is there is stored.
            Kind::Name => key
                .split('=')
                .find(|group| !group.is_empty())
                .unwrap_or_default()
                .trim_end_matches(['^', ' ']),
        };
        let characters = comparable(key.trim(), kind);
        let universal = characters.iter().all(|c| *c == '*');
        (!universal).then_some(Self { characters, kind })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let mut text = comparable(text, self.kind);
        if glob(&self.characters, &text) {
            return true;
        }
        if self.kind != Kind::Name {
            return false;
        }
        // `DOE` is `DOE^` as well, which `DOE^*` asks for.
        let carets = |characters: &[char]| characters.iter().filter(|c| **c == '^').count();
        let missing = carets(&self.characters).saturating_sub(carets(&text)).min(MOST_CARETS);
        text.resize(text.len() + missing, '^');
        missing > 0 && glob(&self.characters, &text)
    }
}

fn comparable(text: &str, kind: Kind) -> Vec<char> {
    match kind {
        Kind::Identifier => text.chars().collect(),
        Kind::Description | Kind::Name => text.chars().flat_map(char::to_lowercase).collect(),
    }
}

/// `*` stands for any characters, `?` for one.
fn glob(pattern: &[char], text: &[char]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where the last `*` stands, and up to where it reaches in the text.
    let mut star = None;
    while let Some(character) = text.get(read) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == character => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((place, reach)) = star else { return false };
                star = Some((place, reach + 1));
                at = place + 1;
                read = reach + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|c| *c == '*')
}

/// Digits of a time with all its components: HHMMSSFFFFFF.
const TIME_DIGITS: usize = 12;

/// Whether a time is in a range, bounds included. A time says as much as it says: `10` is
/// 10:00:00 where a range begins and the last moment before 11 where one ends.
pub(super) fn in_time_range(time: &str, [from, to]: &[String; 2]) -> bool {
    let digits = |text: &str, filler: char| -> String {
        let digits = text.chars().filter(char::is_ascii_digit);
        digits.chain(std::iter::repeat(filler)).take(TIME_DIGITS).collect()
    };
    if from.is_empty() && to.is_empty() {
        return true;
    }
    let moment = digits(time, '0');
    !time.is_empty() && digits(from, '0') <= moment && moment <= digits(to, '9')
}
