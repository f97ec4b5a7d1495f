//! Summaries and labels by a language model inside the hospital.
//!
//! The steps are the paper's: a summary as an enumerated list of positive findings; labels by a
//! keyword prefilter (the lexicon of the rules) and one yes-or-no question per diagnosis that is
//! left. The prompts are our own. Answers are cached by the content of their question, so that a
//! run that was cut off goes on where it stopped, and asks nothing twice.

mod client;
mod host;
#[cfg(test)]
pub(super) mod tests;

use models::labels::{DIAGNOSES, display_name};

pub use client::{LanguageModelConfig, LlmError};

use self::client::Chat;
use super::rules::Rules;
use super::summarize::NORMAL;
use crate::cohort::record::Report;

const SUMMARY_PROMPT: &str = "You condense brain MRI reports for a research database. \
Write a numbered list of the abnormal findings that the reader affirms, most important first, one \
short phrase a line with its place and size. Leave out normal structures, everything that is \
denied, comparisons with earlier studies (stable, new, larger, previously), the technique, the \
indication, names, dates and recommendations. Do not add or interpret anything. If there is no \
abnormal finding, write exactly: 1. No abnormal finding.";

const LABEL_PROMPT: &str = "You read brain MRI reports for a research database and answer one \
question about each with a single word, yes or no. Answer yes only if the reader of the report \
states that the diagnosis is present now, or is the probable or leading one. Answer no if it is \
denied, merely possible, one of several differential diagnoses, asked for in the indication, only \
in the patient's or family's history, or resolved or removed without a remainder.";

/// Lines at most in a summary that is accepted.
const MAX_SUMMARY_LINES: usize = 40;

/// A language model behind an OpenAI-compatible endpoint.
#[derive(Debug)]
pub struct LanguageModel {
    chat: Chat,
}

impl LanguageModel {
    /// Prepares a model; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When the address is no address, or a public one without `allow_public`; when the key or
    /// certificate file cannot be read.
    pub fn new(config: &LanguageModelConfig) -> Result<Self, LlmError> {
        Ok(Self { chat: Chat::new(config)? })
    }

    /// An enumerated list of the positive findings of a report.
    ///
    /// # Errors
    ///
    /// When the endpoint does not answer, or not with a numbered list.
    pub fn summarize(&self, report: &Report) -> Result<String, LlmError> {
        let question = format!("Report:\n{}", text_of(report));
        self.chat.ask(SUMMARY_PROMPT, &question, "a numbered list", numbered_list)
    }

    /// The 52 labels of a report, in the order of [`DIAGNOSES`]. Diagnoses that the lexicon of
    /// `rules` does not find in the text, affirmed or not, are no without a question.
    ///
    /// # Errors
    ///
    /// When the endpoint does not answer, or neither with yes nor with no.
    pub fn label(&self, report: &Report, rules: &Rules) -> Result<Vec<bool>, LlmError> {
        let text = text_of(report);
        let mentioned = rules.mentioned(report);
        let answers = DIAGNOSES.iter().zip(mentioned).map(|(name, mentioned)| {
            if !mentioned {
                return Ok(false);
            }
            let words = display_name(name);
            let question =
                format!("Report:\n{text}\n\nDoes this patient have: {words}? Answer yes or no.");
            self.chat.ask(LABEL_PROMPT, &question, "yes or no", yes_or_no)
        });
        answers.collect()
    }
}

/// What the model gets to see: findings and impression.
fn text_of(report: &Report) -> String {
    format!("FINDINGS: {}\nIMPRESSION: {}", report.findings.trim(), report.impression.trim())
}

/// A strict reading of an answer: the one word, whatever stands around it as decoration.
fn yes_or_no(answer: &str) -> Option<bool> {
    let word = answer.trim_matches(|c: char| !c.is_alphabetic());
    if word.eq_ignore_ascii_case("yes") {
        Some(true)
    } else if word.eq_ignore_ascii_case("no") {
        Some(false)
    } else {
        None
    }
}

/// Lines that begin with their number, renumbered; anything else is refused.
fn numbered_list(answer: &str) -> Option<String> {
    let lines: Vec<_> = answer.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() || lines.len() > MAX_SUMMARY_LINES {
        return None;
    }
    let items = lines.iter().map(|line| {
        let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let item = rest.strip_prefix(['.', ')'])?.trim();
        (rest.len() < line.len() && !item.is_empty()).then_some(item)
    });
    let items = items.collect::<Option<Vec<_>>>()?;
    let list = items.iter().enumerate().map(|(i, item)| format!("{}. {item}", i + 1));
    let list = list.collect::<Vec<_>>().join("\n");
    if list.trim_end_matches('.') == NORMAL.trim_end_matches('.') {
        return Some(NORMAL.to_owned());
    }
    Some(list)
}
