//! `lexicon.toml`: what stands for each diagnosis.

use std::collections::BTreeMap;
use std::ops::Range;

use models::labels::DIAGNOSES;
use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::{RulesError, index_of};

/// What stands for the diagnoses, in their order.
#[derive(Clone, Debug)]
pub(super) struct Lexicon {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    terms: Option<Regex>,
    near: Vec<Near>,
    except: Option<Regex>,
    implies: Vec<usize>,
    lasting: bool,
}

/// A term that needs company.
#[derive(Clone, Debug)]
struct Near {
    sentence: bool,
    term: Regex,
    with: Regex,
    also: Option<Regex>,
    without: Option<Regex>,
}

/// The file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    #[serde(default)]
    terms: Vec<String>,
    #[serde(default)]
    near: Vec<RawNear>,
    #[serde(default)]
    except: Vec<String>,
    #[serde(default)]
    implies: Vec<String>,
    #[serde(default)]
    lasting: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNear {
    #[serde(default)]
    sentence: bool,
    term: String,
    with: String,
    also: Option<String>,
    without: Option<String>,
}

/// A mention of a diagnosis in a normalised sentence.
pub(super) struct Mention {
    pub(super) diagnosis: usize,
    pub(super) at: Range<usize>,
}

impl Lexicon {
    pub(super) fn parse(text: &str, file: &str) -> Result<Self, RulesError> {
        let mut raw: BTreeMap<String, RawEntry> = toml::from_str(text).map_err(|error| {
            let message = error.to_string().trim_end().replace('\n', " ");
            RulesError::Format { file: file.to_owned(), message }
        })?;
        let entries = DIAGNOSES.iter().map(|name| {
            let entry = raw.remove(*name).ok_or_else(|| RulesError::Label {
                file: file.to_owned(),
                message: format!("there is no table [{name}]; add it with its terms"),
            })?;
            Entry::compile(name, &entry, file)
        });
        let entries = entries.collect::<Result<_, _>>()?;
        match raw.keys().next() {
            None => Ok(Self { entries }),
            Some(name) => Err(RulesError::Label {
                file: file.to_owned(),
                message: format!("[{name}] is none of the 52 diagnoses; correct or remove it"),
            }),
        }
    }

    pub(super) fn implied_by(&self, diagnosis: usize) -> &[usize] {
        self.entries.get(diagnosis).map_or(&[], |entry| &entry.implies)
    }

    pub(super) fn is_lasting(&self, diagnosis: usize) -> bool {
        self.entries.get(diagnosis).is_some_and(|entry| entry.lasting)
    }

    /// Mentions in a normalised sentence, by diagnosis; `breaks` end its phrases.
    pub(super) fn mentions(&self, text: &str, breaks: &[Range<usize>]) -> Vec<Mention> {
        let mut found = Vec::new();
        for (diagnosis, entry) in self.entries.iter().enumerate() {
            let mut spans: Vec<Range<usize>> =
                entry.terms.iter().flat_map(|t| t.find_iter(text)).map(|m| m.range()).collect();
            for near in &entry.near {
                spans.extend(near.find(text, breaks));
            }
            if spans.is_empty() {
                continue;
            }
            let except: Vec<_> =
                entry.except.iter().flat_map(|e| e.find_iter(text)).map(|m| m.range()).collect();
            spans.retain(|span| !except.iter().any(|e| overlap(e, span)));
            found.extend(spans.into_iter().map(|at| Mention { diagnosis, at }));
        }
        found
    }
}

impl Entry {
    fn compile(name: &str, raw: &RawEntry, file: &str) -> Result<Self, RulesError> {
        let wrong = |message: String| RulesError::Label { file: file.to_owned(), message };
        if raw.terms.is_empty() && raw.near.is_empty() {
            return Err(wrong(format!("[{name}] has neither terms nor near; add one")));
        }
        let implied = raw.implies.iter().map(|other| {
            index_of(other).ok_or_else(|| {
                wrong(format!("[{name}] implies {other:?}, which is no diagnosis; correct it"))
            })
        });
        let near = raw.near.iter().map(|near| {
            let one = |pattern: &String| compile_one(pattern, file, name);
            Ok(Near {
                sentence: near.sentence,
                term: one(&near.term)?,
                with: one(&near.with)?,
                also: near.also.as_ref().map(one).transpose()?,
                without: near.without.as_ref().map(one).transpose()?,
            })
        });
        Ok(Self {
            terms: compile_any(&raw.terms, file, &format!("[{name}] terms"))?,
            near: near.collect::<Result<_, RulesError>>()?,
            except: compile_any(&raw.except, file, &format!("[{name}] except"))?,
            implies: implied.collect::<Result<_, _>>()?,
            lasting: raw.lasting,
        })
    }
}

impl Near {
    fn find(&self, text: &str, breaks: &[Range<usize>]) -> Vec<Range<usize>> {
        let has = |phrase: &str, pattern: &Option<Regex>, absent: bool| {
            pattern.as_ref().map_or(absent, |p| p.is_match(phrase))
        };
        let near = self.term.find_iter(text).map(|m| m.range()).filter(|span| {
            let phrase = if self.sentence { text } else { phrase_around(text, span, breaks) };
            self.with.is_match(phrase)
                && has(phrase, &self.also, true)
                && !has(phrase, &self.without, false)
        });
        near.collect()
    }
}

/// The phrase that a span stands in: up to the nearest breaks.
pub(super) fn phrase_around<'a>(
    text: &'a str,
    span: &Range<usize>,
    breaks: &[Range<usize>],
) -> &'a str {
    let start = breaks.iter().filter(|b| b.end <= span.start).map(|b| b.end).max().unwrap_or(0);
    let end = breaks.iter().filter(|b| b.start >= span.end).map(|b| b.start).min();
    text.get(start..end.unwrap_or(text.len())).unwrap_or(text)
}

pub(super) fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// One pattern out of several, longest match of the first that fits; `None` for none.
pub(super) fn compile_any(
    patterns: &[String],
    file: &str,
    place: &str,
) -> Result<Option<Regex>, RulesError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    for pattern in patterns {
        compile_one(pattern, file, place)?;
    }
    compile_one(&patterns.join("|"), file, place).map(Some)
}

/// A pattern with word boundaries where it begins and ends with a word.
fn compile_one(pattern: &str, file: &str, place: &str) -> Result<Regex, RulesError> {
    RegexBuilder::new(&format!(r"\b(?:{pattern})\b")).unicode(false).build().map_err(|source| {
        RulesError::Pattern {
            file: file.to_owned(),
            place: place.to_owned(),
            pattern: pattern.to_owned(),
            source: Box::new(source),
        }
    })
}

/// Patterns that may begin with punctuation.
pub(super) fn compile_break(
    patterns: &[String],
    file: &str,
    place: &str,
) -> Result<Regex, RulesError> {
    let pattern = patterns.join("|");
    RegexBuilder::new(&pattern).unicode(false).build().map_err(|source| RulesError::Pattern {
        file: file.to_owned(),
        place: place.to_owned(),
        pattern,
        source: Box::new(source),
    })
}
