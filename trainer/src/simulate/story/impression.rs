//! The impression: what it means, the most important first, and what to do.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::findings::{consequences, negatives, overshadowed, root, silent};
use super::grammar::{Slots, capital, say};
use super::phrases::{Diagnosis, Phrases};
use super::voice::{Layout, Voice};
use super::{Examination, words};
use crate::simulate::disease::Finding;

/// Share of items that weigh another diagnosis.
const RIVAL: f64 = 0.35;
/// Share of items with a recommendation.
const ADVICE: f64 = 0.4;
/// Share of abnormal studies whose impression also denies something.
const DENIAL: f64 = 0.4;

pub(super) fn write(
    phrases: &Phrases,
    examination: &Examination<'_>,
    voice: &Voice,
    rng: &mut ChaCha8Rng,
) -> String {
    let findings = examination.findings;
    let mut items = Vec::new();
    for index in 0..findings.len() {
        if root(findings, index) == index && !silent(phrases, findings, &findings[index]) {
            items.extend(item(phrases, examination, index, voice, rng));
        }
    }
    let normal = items.is_empty();
    if normal {
        items.push(say(&phrases.normals.study.normal, &Slots::new(), voice.keep, rng));
    }
    if rng.random_bool(DENIAL) {
        items.extend(negatives(phrases, examination, 2, rng));
    }
    if let Some(incidental) = examination.incidentals.choose(rng) {
        let templates = phrases.descriptors.incidental.get(&format!("{:?}", incidental.kind));
        let worth = !overshadowed(examination, incidental.kind) && rng.random_bool(0.25);
        if let Some(templates) = templates.filter(|_| worth) {
            let place = incidental.place.as_slice();
            let place = match place {
                [] => String::new(),
                places => words::places(places, rng),
            };
            items.push(say(templates, &Slots::from([("place", place)]), 1.0, rng));
        }
    }
    let items: Vec<String> = items.iter().map(|item| voice.sentence(item)).collect();
    number(&items, voice)
}

/// The item of a finding and of what follows from it; several where these do not join.
fn item(
    phrases: &Phrases,
    examination: &Examination<'_>,
    index: usize,
    voice: &Voice,
    rng: &mut ChaCha8Rng,
) -> Vec<String> {
    let findings = examination.findings;
    let (diagnosis, mut text) = conclude(phrases, &findings[index], voice, rng);
    let mut joined = Vec::new();
    let mut others = Vec::new();
    for member in consequences(findings, index) {
        let finding = &findings[member];
        if silent(phrases, findings, finding) {
            continue;
        }
        let effect = &phrases.diagnoses[finding.diagnosis];
        if effect.joined.is_empty() || joined.len() >= 4 || rng.random_bool(0.15) {
            others.push(conclude(phrases, finding, voice, rng).1);
        } else {
            let slots = words::slots(finding, effect, &phrases.descriptors, voice, rng);
            joined.push(uncapital(&say(&effect.joined, &slots, voice.keep, rng)));
        }
    }
    if let Some((last, first)) = joined.split_last() {
        let list = match first {
            [] => last.clone(),
            _ => format!("{} and {last}", first.join(", ")),
        };
        let with = ["with", "with associated", "causing", "with resultant"];
        let with = if list.contains("cavity")
            || list.contains("catheter")
            || list.contains("craniotomy")
        {
            "with"
        } else {
            with[rng.random_range(0..with.len())]
        };
        text = format!("{}, {with} {}.", text.trim_end_matches('.'), strip(&list, with));
    }
    if let Some(rival) = rival(phrases, examination, diagnosis, rng) {
        text.push(' ');
        text.push_str(&rival);
    }
    if rng.random_bool(ADVICE) {
        text.push(' ');
        text.push_str(&say(&diagnosis.advice, &Slots::new(), voice.keep, rng));
    }
    std::iter::once(text).chain(others).collect()
}

/// "associated surrounding oedema" says it twice.
fn strip<'a>(list: &'a str, with: &str) -> &'a str {
    let doubled = with.contains(' ');
    ["associated ", "resultant "]
        .iter()
        .find_map(|start| list.strip_prefix(start).filter(|_| doubled))
        .unwrap_or(list)
}

fn conclude<'a>(
    phrases: &'a Phrases,
    finding: &Finding,
    voice: &Voice,
    rng: &mut ChaCha8Rng,
) -> (&'a Diagnosis, String) {
    let diagnosis = &phrases.diagnoses[finding.diagnosis];
    let slots = words::slots(finding, diagnosis, &phrases.descriptors, voice, rng);
    (diagnosis, say(&diagnosis.impression, &slots, voice.keep, rng))
}

/// A diagnosis that was weighed and found wanting; never one that is present.
fn rival(
    phrases: &Phrases,
    examination: &Examination<'_>,
    diagnosis: &Diagnosis,
    rng: &mut ChaCha8Rng,
) -> Option<String> {
    if !rng.random_bool(RIVAL) {
        return None;
    }
    let absent: Vec<&Diagnosis> = diagnosis
        .rivals
        .iter()
        .filter_map(|label| phrases.named(label))
        .filter(|(index, _)| examination.findings.iter().all(|f| f.diagnosis != *index))
        .map(|(_, rival)| rival)
        .collect();
    let noun = absent.choose(rng)?.nouns.choose(rng)?;
    let unlikely =
        ["is less likely", "is considered unlikely", "is felt to be unlikely", "unlikely"];
    Some(capital(&format!("{noun} {}.", unlikely[rng.random_range(0..unlikely.len())])))
}

/// Without the capital that a template gets, unless the word is an abbreviation.
fn uncapital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().collect::<String>() + characters.as_str()
    })
}

fn number(items: &[String], voice: &Voice) -> String {
    let numbered = |mark: &dyn Fn(usize) -> String| {
        let lines: Vec<String> =
            items.iter().enumerate().map(|(i, item)| mark(i + 1) + item).collect();
        lines.join("\n")
    };
    match (voice.layout, voice.variant) {
        (_, _) if items.len() == 1 => items.concat(),
        (Layout::Terse, 0) => items.join(" "),
        (Layout::Bullets, 0 | 1) => numbered(&|_| "- ".to_owned()),
        (Layout::Narrative, 0) => items.join("\n"),
        (_, 2) => numbered(&|i| format!("{i}) ")),
        _ => numbered(&|i| format!("{i}. ")),
    }
}
