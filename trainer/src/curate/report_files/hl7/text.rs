//! Delimiters and escape sequences (HL7 v2.5.1, chapter 2.5.4 and 2.7).

/// The characters that a message separates its parts with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delimiters {
    pub(super) field: char,
    pub(super) component: char,
    pub(super) repetition: char,
    pub(super) escape: char,
    pub(super) sub: char,
}

impl Delimiters {
    /// From MSH-1 and MSH-2; what a short MSH-2 leaves out is as usual.
    pub(super) fn of(header: &str) -> Result<Self, String> {
        let mut chars = header.chars().skip(3);
        let field = chars.next().filter(|c| !c.is_alphanumeric());
        let field = field.ok_or("declares no field separator (MSH-1)")?;
        let others: Vec<char> = chars.take_while(|c| *c != field).collect();
        if others.first().is_none_or(|c| c.is_alphanumeric()) {
            return Err("declares no encoding characters (MSH-2)".into());
        }
        let at = |index: usize, usual: char| others.get(index).copied().unwrap_or(usual);
        Ok(Self {
            field,
            component: at(0, '^'),
            repetition: at(1, '~'),
            escape: at(2, '\\'),
            sub: at(3, '&'),
        })
    }
}

/// Replaces escape sequences. What is none stays, because free text holds stray backslashes.
pub(super) fn unescape(text: &str, with: Delimiters) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(with.escape) {
        out.push_str(before);
        let known = after
            .split_once(with.escape)
            .and_then(|(code, tail)| Some((sequence(code, with)?, tail)));
        if let Some((meaning, tail)) = known {
            out.push_str(&meaning);
            rest = tail;
        } else {
            out.push(with.escape);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// Meaning of the code between two escape characters.
fn sequence(code: &str, with: Delimiters) -> Option<String> {
    let own = |c: char| Some(c.to_string());
    match code {
        "F" => return own(with.field),
        "S" => return own(with.component),
        "T" => return own(with.sub),
        "R" => return own(with.repetition),
        "E" => return own(with.escape),
        // Highlighting.
        "H" | "N" => return Some(String::new()),
        _ => {}
    }
    if let Some(hex) = code.strip_prefix('X') {
        return bytes(hex);
    }
    // Switches of the character set.
    if (code.starts_with('C') || code.starts_with('M')) && bytes(code.get(1..)?).is_some() {
        return Some(String::new());
    }
    let command = code.strip_prefix('.')?;
    let word: String = command.chars().take_while(char::is_ascii_alphabetic).collect();
    let count = || command.chars().skip(word.len()).collect::<String>().trim().parse().ok();
    match word.to_ascii_lowercase().as_str() {
        "br" | "ce" => Some("\n".into()),
        "sp" => Some("\n".repeat(count().unwrap_or(1usize).min(10))),
        "sk" => Some(" ".repeat(count().unwrap_or(1usize).min(80))),
        "in" | "ti" | "fi" | "nf" => Some(String::new()),
        _ => None,
    }
}

fn bytes(hex: &str) -> Option<String> {
    let digits: Vec<u8> = hex
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let bytes: Vec<u8> =
        digits.chunks(2).map(|pair| pair.iter().fold(0, |sum, digit| sum * 16 + digit)).collect();
    let text = super::decode(&bytes);
    Some(text.replace('\r', "\n"))
}
