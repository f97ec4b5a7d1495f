//! Labels of a report by rules: deterministic, and able to say why.
//!
//! Only findings and impression count: an indication asks, a comparison tells what was. In every
//! sentence the lexicon (`lexicon.toml`) finds mentions of the 52 diagnoses, and the words around
//! a mention (`context.toml`) decide whether it is affirmed. A diagnosis is present when one
//! mention of it is affirmed. Where readers differ, these conventions hold:
//!
//! - "probable", "likely", "consistent with", "suspicious for" affirm; "possible", "may
//!   represent", "cannot be excluded", "differential includes" do not.
//! - "X versus Y" and "X rather than Y" affirm X alone.
//! - What was treated or is history is absent unless something of it is left; what surgery left
//!   (craniotomy, catheter, cavity) is present.
//! - A chronic infarct of a territory is encephalomalacia, an acute or subacute one a large-vessel
//!   stroke; a lacune counts at any age.
//! - A grade implies the glioma; tumours of the brainstem and pilocytic ones are labels of their
//!   own and no adult glioma.

mod context;
mod lexicon;
#[cfg(test)]
mod tests;

use std::path::Path;

use models::labels::DIAGNOSES;

use self::context::Context;
use self::lexicon::Lexicon;
use super::normal::{normalise, sentences};
use crate::cohort::record::Report;

const LEXICON: &str = include_str!("lexicon.toml");
const CONTEXT: &str = include_str!("context.toml");

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// A file cannot be read.
    #[error("cannot read the labelling rules {path}")]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is no TOML, or has unknown or missing keys.
    #[error("{file}: {message}")]
    Format {
        /// The file.
        file: String,
        /// What was found.
        message: String,
    },
    /// A table of the lexicon is no diagnosis, or a diagnosis has no table.
    #[error("{file}: {message}")]
    Label {
        /// The file.
        file: String,
        /// What was found, and what to do.
        message: String,
    },
    /// A pattern is no regular expression.
    #[error("{file}, {place}: the pattern {pattern:?} is no regular expression; correct it")]
    Pattern {
        /// The file.
        file: String,
        /// The table and key.
        place: String,
        /// As written.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: Box<regex::Error>,
    },
}

/// Lexicon and context rules, compiled.
#[derive(Clone, Debug)]
pub struct Rules {
    lexicon: Lexicon,
    context: Context,
}

/// What the rules make of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// One per entry of [`DIAGNOSES`], in its order.
    pub diagnoses: Vec<bool>,
    /// Every mention, in the order of the text, so that a person can check it.
    pub evidence: Vec<Evidence>,
}

/// One mention of a diagnosis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Index of [`DIAGNOSES`].
    pub diagnosis: usize,
    /// The sentence as written.
    pub sentence: String,
    /// What was taken for the mention, in the rules' spelling.
    pub mention: String,
    /// What it came to.
    pub verdict: Verdict,
}

/// What a mention comes to, with the words that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Present.
    Affirmed,
    /// Present because another diagnosis (index of [`DIAGNOSES`]) implies it.
    Implied(usize),
    /// Absent.
    Negated(String),
    /// Not committed to.
    Uncertain(String),
    /// Was there once.
    Historical(String),
    /// Somebody else's.
    OtherPerson(String),
}

impl Verdict {
    /// Whether the diagnosis is present by this mention.
    #[must_use]
    pub fn is_present(&self) -> bool {
        matches!(self, Self::Affirmed | Self::Implied(_))
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Affirmed => f.write_str("affirmed"),
            Self::Implied(by) => {
                write!(f, "implied by {}", DIAGNOSES.get(*by).copied().unwrap_or("?"))
            }
            Self::Negated(cue) => write!(f, "negated by {cue:?}"),
            Self::Uncertain(cue) => write!(f, "uncertain by {cue:?}"),
            Self::Historical(cue) => write!(f, "history by {cue:?}"),
            Self::OtherPerson(cue) => write!(f, "of somebody else by {cue:?}"),
        }
    }
}

impl std::fmt::Display for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = DIAGNOSES.get(self.diagnosis).copied().unwrap_or("?");
        write!(f, "{name}: {} ({:?} in {:?})", self.verdict, self.mention, self.sentence)
    }
}

impl Rules {
    /// The rules that are built in.
    ///
    /// # Errors
    ///
    /// Never in a build that passed its tests.
    pub fn built_in() -> Result<Self, RulesError> {
        Self::load_or_built_in(None, None)
    }

    /// Rules of a site, from files of the form of the built-in ones, which stand in for a file
    /// that is not given.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or something in it is wrong.
    pub fn load_or_built_in(
        lexicon: Option<&Path>,
        context: Option<&Path>,
    ) -> Result<Self, RulesError> {
        let lexicon = read(lexicon, LEXICON, "lexicon.toml (built in)")?;
        let context = read(context, CONTEXT, "context.toml (built in)")?;
        Self::parse((&lexicon.0, &lexicon.1), (&context.0, &context.1))
    }

    /// Rules from the texts of lexicon and context; the second of each pair is what messages
    /// call the file.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn parse(lexicon: (&str, &str), context: (&str, &str)) -> Result<Self, RulesError> {
        let lexicon = Lexicon::parse(lexicon.0, lexicon.1)?;
        Ok(Self { lexicon, context: Context::parse(context.0, context.1)? })
    }

    /// Reads findings and impression of a report.
    #[must_use]
    pub fn read(&self, report: &Report) -> Reading {
        let mut evidence = Vec::new();
        for section in [&report.findings, &report.impression] {
            for sentence in sentences(section) {
                self.read_sentence(&sentence, &mut evidence);
            }
        }
        let mut diagnoses = vec![false; DIAGNOSES.len()];
        for mention in evidence.iter().filter(|mention| mention.verdict.is_present()) {
            if let Some(diagnosis) = diagnoses.get_mut(mention.diagnosis) {
                *diagnosis = true;
            }
        }
        Reading { diagnoses, evidence }
    }

    /// Whether the words of each diagnosis, or of one that implies it, stand in a report, affirmed
    /// or not: the keyword prefilter of the paper.
    #[must_use]
    pub fn mentioned(&self, report: &Report) -> Vec<bool> {
        let mut mentioned = vec![false; DIAGNOSES.len()];
        for mention in self.read(report).evidence {
            let implied = self.lexicon.implied_by(mention.diagnosis).iter().copied();
            for diagnosis in implied.chain([mention.diagnosis]) {
                if let Some(mentioned) = mentioned.get_mut(diagnosis) {
                    *mentioned = true;
                }
            }
        }
        mentioned
    }

    /// Appends every mention of one sentence.
    pub(super) fn read_sentence(&self, sentence: &str, evidence: &mut Vec<Evidence>) {
        let text = normalise(sentence);
        let context = self.context.of(&text);
        for mention in self.lexicon.mentions(&text, &context.breaks) {
            let lasting = self.lexicon.is_lasting(mention.diagnosis);
            let verdict = self.context.judge(&context, &mention.at, lasting);
            let words = text.get(mention.at.clone()).unwrap_or_default().to_owned();
            let add = |diagnosis, verdict| Evidence {
                diagnosis,
                sentence: sentence.to_owned(),
                mention: words.clone(),
                verdict,
            };
            if verdict.is_present() {
                for implied in self.lexicon.implied_by(mention.diagnosis) {
                    evidence.push(add(*implied, Verdict::Implied(mention.diagnosis)));
                }
            }
            evidence.push(add(mention.diagnosis, verdict));
        }
    }
}

/// The text of a file and what messages call it.
fn read(path: Option<&Path>, built_in: &str, name: &str) -> Result<(String, String), RulesError> {
    let Some(path) = path else { return Ok((built_in.to_owned(), name.to_owned())) };
    let text = std::fs::read_to_string(path)
        .map_err(|source| RulesError::Read { path: path.to_owned(), source })?;
    Ok((text, path.display().to_string()))
}

/// The label with this name.
fn index_of(name: &str) -> Option<usize> {
    DIAGNOSES.iter().position(|diagnosis| *diagnosis == name)
}
