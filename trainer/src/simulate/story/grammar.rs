//! Sentence templates.
//!
//! | written | stands for |
//! |---|---|
//! | `{size}` | a slot, filled from the finding |
//! | `<a\|b>` | one of the alternatives; an alternative may be empty |
//! | `[, {size}]` | left out when a slot within it is empty, and now and then by chance |
//!
//! They nest. Nothing else is special, so round brackets are text.

use std::collections::BTreeMap;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// Every slot that a template may name.
const SLOTS: [&str; 28] = [
    "a",
    "ago",
    "count",
    "do",
    "es",
    "hedge",
    "is",
    "it",
    "mm",
    "pis",
    "place",
    "pv",
    "s",
    "sequences",
    "ses",
    "severely",
    "severity",
    "side",
    "site",
    "signal",
    "signals",
    "size",
    "stage",
    "toward",
    "v",
    "with",
    "y",
    "y3",
];

/// What the slots hold; a slot that is not there is empty.
pub(super) type Slots = BTreeMap<&'static str, String>;

/// A parsed template.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Slot(&'static str),
    Choice(Vec<Template>),
    Optional(Template),
}

/// Why a template cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TemplateError {
    /// A bracket is not closed, or closed without being opened.
    #[error(
        "the template \"{template}\" has a bracket without its counterpart; close each [, < and {{"
    )]
    Unbalanced {
        /// As written.
        template: String,
    },
    /// No such slot.
    #[error(
        "the template \"{template}\" names the slot {{{slot}}}, which does not exist; grammar.rs lists the slots"
    )]
    UnknownSlot {
        /// As written.
        template: String,
        /// As written.
        slot: String,
    },
}

impl TryFrom<String> for Template {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        let mut characters = text.chars().peekable();
        let template = parse(&mut characters, &text)?;
        match characters.next() {
            None => Ok(template),
            Some(_) => Err(TemplateError::Unbalanced { template: text }),
        }
    }
}

/// Reads up to the end or to a closing character, which is left in place.
fn parse(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    whole: &str,
) -> Result<Template, TemplateError> {
    let unbalanced = || TemplateError::Unbalanced { template: whole.to_owned() };
    let mut parts = Vec::new();
    let mut text = String::new();
    while let Some(&character) = characters.peek() {
        if matches!(character, ']' | '>' | '|' | '}') {
            break;
        }
        characters.next();
        if !matches!(character, '[' | '<' | '{') {
            text.push(character);
            continue;
        }
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(match character {
            '{' => {
                let name: String =
                    std::iter::from_fn(|| characters.next_if(|&c| c != '}')).collect();
                characters.next_if_eq(&'}').ok_or_else(unbalanced)?;
                let slot = SLOTS.iter().find(|&&slot| slot == name).ok_or_else(|| {
                    TemplateError::UnknownSlot { template: whole.to_owned(), slot: name }
                })?;
                Part::Slot(slot)
            }
            '[' => {
                let inner = parse(characters, whole)?;
                characters.next_if_eq(&']').ok_or_else(unbalanced)?;
                Part::Optional(inner)
            }
            _ => {
                let mut alternatives = vec![parse(characters, whole)?];
                while characters.next_if_eq(&'|').is_some() {
                    alternatives.push(parse(characters, whole)?);
                }
                characters.next_if_eq(&'>').ok_or_else(unbalanced)?;
                Part::Choice(alternatives)
            }
        });
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(Template(parts))
}

impl Template {
    /// Writes it out. `keep` is the probability of an optional part whose slots are filled.
    pub(super) fn expand(&self, slots: &Slots, keep: f64, rng: &mut ChaCha8Rng) -> String {
        let mut out = String::new();
        self.write(slots, keep, rng, &mut out);
        tidy(&out)
    }

    fn write(&self, slots: &Slots, keep: f64, rng: &mut ChaCha8Rng, out: &mut String) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Slot(slot) => out.push_str(slots.get(slot).map_or("", String::as_str)),
                Part::Choice(alternatives) => {
                    let chosen = rng.random_range(0..alternatives.len());
                    alternatives[chosen].write(slots, keep, rng, out);
                }
                Part::Optional(inner) => {
                    if inner.filled(slots) && rng.random_bool(keep) {
                        inner.write(slots, keep, rng, out);
                    }
                }
            }
        }
    }

    /// True when the slot occurs anywhere in it.
    pub(super) fn names(&self, slot: &str) -> bool {
        self.0.iter().any(|part| match part {
            Part::Text(_) => false,
            Part::Slot(name) => *name == slot,
            Part::Choice(alternatives) => alternatives.iter().any(|t| t.names(slot)),
            Part::Optional(inner) => inner.names(slot),
        })
    }

    /// True when every slot directly within it has something to say.
    fn filled(&self, slots: &Slots) -> bool {
        self.0.iter().all(|part| match part {
            Part::Slot(slot) => slots.get(slot).is_some_and(|text| !text.is_empty()),
            Part::Text(_) | Part::Choice(_) | Part::Optional(_) => true,
        })
    }
}

/// One of the templates, written out.
pub(super) fn say(
    templates: &[Template],
    slots: &Slots,
    keep: f64,
    rng: &mut ChaCha8Rng,
) -> String {
    match templates.len() {
        0 => String::new(),
        count => templates[rng.random_range(0..count)].expand(slots, keep, rng),
    }
}

/// Single spaces, none before punctuation, "a" or "an" as the next word wants it, a capital first.
fn tidy(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let stray = word.chars().all(|c| matches!(c, '.' | ',' | ';' | ':' | ')'));
        match words.last_mut() {
            Some(last) if stray => last.push_str(word),
            _ => words.push(word.to_owned()),
        }
    }
    for index in 1..words.len() {
        let vowel = sounds_like_vowel(&words[index]);
        match words[index - 1].as_str() {
            "a" if vowel => "an".clone_into(&mut words[index - 1]),
            "A" if vowel => "An".clone_into(&mut words[index - 1]),
            "an" if !vowel => "a".clone_into(&mut words[index - 1]),
            "An" if !vowel => "A".clone_into(&mut words[index - 1]),
            _ => {}
        }
    }
    let text = words.join(" ").replace("..", ".").replace(",,", ",").replace(",.", ".");
    capital(&text)
}

/// The text with a capital first letter.
pub(super) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + characters.as_str()
    })
}

/// Whether "an" stands before the word when it is read aloud.
fn sounds_like_vowel(word: &str) -> bool {
    let word = word.trim_start_matches('(');
    let abbreviation = word.chars().take(2).filter(char::is_ascii_uppercase).count() == 2;
    if abbreviation {
        return word.starts_with(['A', 'E', 'F', 'H', 'I', 'L', 'M', 'N', 'O', 'R', 'S', 'X']);
    }
    let lower = word.to_lowercase();
    let digits: String = lower.chars().take_while(char::is_ascii_digit).collect();
    if !digits.is_empty() {
        return digits.starts_with('8') || digits == "11" || digits == "18";
    }
    lower.starts_with(['a', 'e', 'i', 'o', 'u'])
        && !["uni", "eu", "one", "us", "uti"].iter().any(|start| lower.starts_with(start))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn expand(template: &str, slots: &[(&'static str, &str)]) -> String {
        let slots = slots.iter().map(|&(k, v)| (k, v.to_owned())).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        Template::try_from(template.to_owned()).unwrap().expand(&slots, 1.0, &mut rng)
    }

    #[test]
    fn templates_expand() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);
        let cases: [Case; 6] = [
            ("there is a[ {size}] cyst.", &[], "There is a cyst."),
            ("there is a[ {size}] cyst.", &[("size", "8 mm")], "There is an 8 mm cyst."),
            ("a <oedema|oedema>[, {size}][, {stage}].", &[("stage", "old")], "An oedema, old."),
            ("an {stage} SDH", &[("stage", "")], "An SDH"),
            ("lesion [({size})] .", &[("size", "2 cm")], "Lesion (2 cm)."),
            ("a unilateral <|>a AVM", &[], "A unilateral an AVM"),
        ];
        for (template, slots, expected) in cases {
            assert_eq!(expand(template, slots), expected, "{template}");
        }
    }

    #[test]
    fn bad_templates_are_refused() {
        let cases = [
            (
                "a [b",
                "the template \"a [b\" has a bracket without its counterpart; close each [, < and {",
            ),
            (
                "a b>",
                "the template \"a b>\" has a bracket without its counterpart; close each [, < and {",
            ),
            (
                "{sise} mm",
                "the template \"{sise} mm\" names the slot {sise}, which does not exist; grammar.rs lists the slots",
            ),
        ];
        for (template, expected) in cases {
            let error = Template::try_from(template.to_owned()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
