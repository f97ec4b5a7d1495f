//! `context.toml`: whether a mention is affirmed.

use std::ops::Range;

use regex::Regex;
use serde::Deserialize;

use super::lexicon::{compile_any, compile_break, overlap, phrase_around};
use super::{RulesError, Verdict};

/// What ends a phrase besides the terminators, for the rules that look at one.
const PHRASE_BREAKS: [&str; 2] = [",", " (?:with|without|and|or|on a background of)\\b"];

/// The compiled file.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pseudo: Option<Regex>,
    terminators: Option<Regex>,
    breaks: Regex,
    phrase_breaks: Regex,
    other_person: Option<Regex>,
    negated: Cues,
    narrow: Option<Regex>,
    historical: Cues,
    present_again: Option<Regex>,
    uncertain: Cues,
    committed: Option<Regex>,
    lists: Regex,
}

/// Cues of one kind.
#[derive(Clone, Debug)]
struct Cues {
    before: Option<Regex>,
    after: Option<Regex>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    pseudo: Vec<String>,
    terminators: Vec<String>,
    breaks: Vec<String>,
    other_person: Vec<String>,
    negated: RawCues,
    historical: RawCues,
    uncertain: RawCues,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCues {
    before: Vec<String>,
    after: Vec<String>,
    #[serde(default)]
    narrow: Vec<String>,
    #[serde(default)]
    present_again: Vec<String>,
    #[serde(default)]
    committed: Vec<String>,
}

/// What the context rules see in one normalised sentence.
pub(super) struct Sentence<'a> {
    text: &'a str,
    pseudo: Vec<Range<usize>>,
    /// Where cues stop.
    terminators: Vec<Range<usize>>,
    /// Where phrases stop: the terminators and more.
    pub(super) breaks: Vec<Range<usize>>,
}

impl Context {
    pub(super) fn parse(text: &str, file: &str) -> Result<Self, RulesError> {
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let message = error.to_string().trim_end().replace('\n', " ");
            RulesError::Format { file: file.to_owned(), message }
        })?;
        let any = |patterns: &[String], place: &str| compile_any(patterns, file, place);
        let cues = |raw: &RawCues, place: &str| {
            Ok::<_, RulesError>(Cues {
                before: any(&raw.before, &format!("{place}.before"))?,
                after: any(&raw.after, &format!("{place}.after"))?,
            })
        };
        let phrase_breaks = PHRASE_BREAKS.map(str::to_owned);
        Ok(Self {
            pseudo: any(&raw.pseudo, "pseudo")?,
            terminators: any(&raw.terminators, "terminators")?,
            breaks: compile_break(&raw.breaks, file, "breaks")?,
            phrase_breaks: compile_break(&phrase_breaks, file, "breaks")?,
            other_person: any(&raw.other_person, "other_person")?,
            narrow: any(&raw.negated.narrow, "negated.narrow")?,
            present_again: any(&raw.historical.present_again, "historical.present_again")?,
            committed: any(&raw.uncertain.committed, "uncertain.committed")?,
            negated: cues(&raw.negated, "negated")?,
            historical: cues(&raw.historical, "historical")?,
            uncertain: cues(&raw.uncertain, "uncertain")?,
            lists: compile_break(&[" n?or ".to_owned()], file, "breaks")?,
        })
    }

    /// Finds what ends phrases and hides cues in a sentence.
    pub(super) fn of<'a>(&self, text: &'a str) -> Sentence<'a> {
        let mut terminators = spans(self.terminators.as_ref(), text);
        terminators.extend(self.breaks.find_iter(text).map(|m| m.range()));
        let mut breaks = terminators.clone();
        breaks.extend(self.phrase_breaks.find_iter(text).map(|m| m.range()));
        Sentence { text, pseudo: spans(self.pseudo.as_ref(), text), terminators, breaks }
    }

    /// What a mention comes to; `lasting` diagnoses have no history.
    pub(super) fn judge(
        &self,
        sentence: &Sentence<'_>,
        mention: &Range<usize>,
        lasting: bool,
    ) -> Verdict {
        let text = sentence.text;
        if let Some(person) = spans(self.other_person.as_ref(), text).first() {
            return Verdict::OtherPerson(words(text, person));
        }
        if let Some(cue) = self.reaching(&self.negated, sentence, mention, Reach::Negation) {
            return Verdict::Negated(cue);
        }
        let phrase = phrase_around(text, mention, &sentence.breaks);
        let again = self.present_again.as_ref().is_some_and(|p| p.is_match(phrase));
        if !lasting
            && !again
            && let Some(cue) = self.reaching(&self.historical, sentence, mention, Reach::History)
        {
            return Verdict::Historical(cue);
        }
        let committed = self.committed.as_ref().is_some_and(|p| p.is_match(phrase));
        match self.reaching(&self.uncertain, sentence, mention, Reach::Uncertainty) {
            Some(cue) if !committed => Verdict::Uncertain(cue),
            _ => Verdict::Affirmed,
        }
    }

    /// The words of the cue that rules a mention.
    fn reaching(
        &self,
        cues: &Cues,
        sentence: &Sentence<'_>,
        mention: &Range<usize>,
        reach: Reach,
    ) -> Option<String> {
        let text = sentence.text;
        let usable = |cue: &Range<usize>| !sentence.pseudo.iter().any(|p| overlap(p, cue));
        let mut before: Vec<_> = spans(cues.before.as_ref(), text);
        before.retain(|cue| {
            // "ventricles are not enlarged": the cue stands inside the mention. One that begins it
            // ("absence of the corpus callosum") is part of it.
            let inside = cue.start > mention.start && cue.end <= mention.end;
            let ahead = cue.end <= mention.start;
            let reaches = || self.reaches_forward(sentence, cue, mention, reach);
            usable(cue) && (inside || ahead && reaches())
        });
        let mut after: Vec<_> = spans(cues.after.as_ref(), text);
        after.retain(|cue| {
            usable(cue) && cue.start >= mention.end && self.reaches_back(sentence, mention, cue)
        });
        before.last().or(after.first()).map(|cue| words(text, cue))
    }

    fn reaches_forward(
        &self,
        sentence: &Sentence<'_>,
        cue: &Range<usize>,
        mention: &Range<usize>,
        reach: Reach,
    ) -> bool {
        let gap = cue.end..mention.start;
        if is_cut(&sentence.terminators, &gap) {
            return false;
        }
        let between = sentence.text.get(gap).unwrap_or_default();
        let narrow = reach == Reach::Negation
            && self
                .narrow
                .as_ref()
                .is_some_and(|n| sentence.text.get(cue.clone()).is_some_and(|cue| n.is_match(cue)));
        match reach {
            Reach::History => !between.contains(',') && !between.contains(" with"),
            _ if narrow && between.contains(',') => {
                let tail = sentence.text.get(cue.end..).unwrap_or_default();
                self.lists.is_match(tail)
            }
            _ => true,
        }
    }

    /// A cue behind the mention reaches back over "and" and lists with "or".
    fn reaches_back(
        &self,
        sentence: &Sentence<'_>,
        mention: &Range<usize>,
        cue: &Range<usize>,
    ) -> bool {
        let gap = mention.end..cue.start;
        let between = sentence.text.get(gap.clone()).unwrap_or_default();
        let bare = between.trim_end().trim_end_matches(',');
        !is_cut(&sentence.terminators, &gap)
            && (!bare.contains(',') || self.lists.is_match(between))
            && !bare.contains(" with")
    }
}

/// How far a cue reaches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Negation,
    History,
    Uncertainty,
}

fn is_cut(terminators: &[Range<usize>], gap: &Range<usize>) -> bool {
    terminators.iter().any(|t| t.start >= gap.start && t.end <= gap.end)
}

fn spans(pattern: Option<&Regex>, text: &str) -> Vec<Range<usize>> {
    pattern.into_iter().flat_map(|p| p.find_iter(text)).map(|m| m.range()).collect()
}

fn words(text: &str, span: &Range<usize>) -> String {
    text.get(span.clone()).unwrap_or_default().to_owned()
}
