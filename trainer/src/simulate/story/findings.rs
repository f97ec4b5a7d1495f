//! The findings section: blocks of sentences, one block a lesion, and what is normal.

use std::collections::BTreeMap;

use models::labels::DIAGNOSES;
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::grammar::{Slots, capital, say};
use super::phrases::{Diagnosis, Phrases, Section};
use super::voice::{Layout, Voice};
use super::{Contrast, Examination, words};
use crate::simulate::disease::{
    Detail, Diffusion, Enhancement, Finding, IncidentalKind, Intensity, Stage,
};

/// Share of lesions compared with the prior study, where there is one.
const CHANGED: f64 = 0.35;
/// Share of incidental findings that are mentioned.
const INCIDENTAL: f64 = 0.8;

/// Sentences that belong together.
struct Block {
    section: Section,
    abnormal: bool,
    sentences: Vec<String>,
}

/// The finding says nothing that its cause does not say.
pub(super) fn silent(phrases: &Phrases, findings: &[Finding], finding: &Finding) -> bool {
    let implied_by = &phrases.diagnoses[finding.diagnosis].implied_by;
    findings.iter().any(|other| implied_by.iter().any(|l| l == DIAGNOSES[other.diagnosis]))
}

/// Indices of the findings that follow from `cause`, directly or not, in their order.
pub(super) fn consequences(findings: &[Finding], cause: usize) -> Vec<usize> {
    (0..findings.len()).filter(|&index| index != cause && root(findings, index) == cause).collect()
}

/// The finding that started it.
pub(super) fn root(findings: &[Finding], index: usize) -> usize {
    let mut at = index;
    // A chain of causes is at most as long as the list, whatever a plan says.
    for _ in 0..findings.len() {
        match findings[at].cause {
            Some(cause) if cause < findings.len() && cause != at => at = cause,
            _ => break,
        }
    }
    at
}

pub(super) fn write(
    phrases: &Phrases,
    examination: &Examination<'_>,
    voice: &Voice,
    compared: bool,
    removed: Option<&str>,
    rng: &mut ChaCha8Rng,
) -> String {
    let findings = examination.findings;
    let mut blocks = Vec::new();
    for index in 0..findings.len() {
        if root(findings, index) != index {
            continue;
        }
        let diagnosis = &phrases.diagnoses[findings[index].diagnosis];
        let mut sentences = Vec::new();
        for member in std::iter::once(index).chain(consequences(findings, index)) {
            if silent(phrases, findings, &findings[member]) {
                continue;
            }
            let compared = compared && member == index;
            describe(phrases, examination, &findings[member], voice, compared, rng, &mut sentences);
        }
        blocks.push(Block { section: diagnosis.section, abnormal: true, sentences });
    }
    if let Some(lesion) = removed.filter(|_| !residual(findings)) {
        let noun = if rng.random_bool(0.5) { "residual or recurrent" } else { "recurrent" };
        let sentences = vec![format!("No {noun} {lesion}.")];
        blocks.push(Block { section: Section::Parenchyma, abnormal: true, sentences });
    }
    blocks.extend(incidental(phrases, examination, rng));
    blocks.extend(normal(phrases, examination, voice, rng));
    lay_out(blocks, voice, rng)
}

fn residual(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.details.contains(&Detail::ResidualTumour))
}

/// The sentences of one finding.
fn describe(
    phrases: &Phrases,
    examination: &Examination<'_>,
    finding: &Finding,
    voice: &Voice,
    compared: bool,
    rng: &mut ChaCha8Rng,
    sentences: &mut Vec<String>,
) {
    let diagnosis = &phrases.diagnoses[finding.diagnosis];
    let descriptors = &phrases.descriptors;
    let mut slots = words::slots(finding, diagnosis, descriptors, voice, rng);
    sentences.push(say(&diagnosis.findings, &slots, voice.keep, rng));
    let repeats = finding.cause.and_then(|cause| examination.findings.get(cause));
    if repeats.is_some_and(|cause| diagnosis.plain || cause.component == finding.component) {
        // A consequence is named; its own signal is that of its cause.
        let details = finding.details.iter().take(1);
        let details = details.filter_map(|d| descriptors.detail.get(&format!("{d:?}")));
        sentences.extend(details.map(|templates| say(templates, &slots, voice.keep, rng)));
        return;
    }
    let mut more = Vec::new();
    if finding.blooming && examination.has(Contrast::Susceptibility) {
        more.push(&descriptors.blooming);
    }
    if finding.flow_voids && rng.random_bool(voice.keep) {
        more.push(&descriptors.flow_voids);
    }
    let hollow = ["cyst", "sac", "cavity", "malformation"].contains(&diagnosis.it.as_str());
    if finding.cystic && !hollow && rng.random_bool(voice.keep) {
        more.push(&descriptors.cystic);
    }
    if finding.count > 5
        && diagnosis.findings.iter().any(|t| t.names("s"))
        && rng.random_bool(voice.keep / 2.0)
    {
        more.push(&descriptors.large_count);
    }
    more.extend(diffusion(phrases, examination, finding, diagnosis, rng));
    more.extend(enhancement(phrases, examination, finding, diagnosis, rng));
    for detail in &finding.details {
        // The tables of details are keyed by the names of the variants.
        more.extend(descriptors.detail.get(&format!("{detail:?}")));
    }
    if rng.random_bool(0.3) {
        more.shuffle(rng);
    }
    let seen = [Contrast::T1, Contrast::T2, Contrast::Flair].map(|c| examination.has(c));
    let signal = words::signal(finding, seen).filter(|_| !diagnosis.plain);
    if let Some([adjectives, nouns]) = signal.filter(|_| rng.random_bool(voice.keep)) {
        let csf = finding.t2 == Intensity::Csf;
        slots.insert("signal", adjectives);
        slots.insert("signals", nouns);
        more.insert(0, if csf { &descriptors.csf_signal } else { &descriptors.signal });
    }
    sentences.extend(more.into_iter().map(|templates| say(templates, &slots, voice.keep, rng)));
    // What is days old was not there before; "unchanged" would be wrong.
    let old = !matches!(finding.stage, Stage::Acute | Stage::Subacute);
    if compared && old && rng.random_bool(CHANGED) {
        let changed = &phrases.clinic.comparison.changed;
        sentences.push(say(changed, &slots, voice.keep, rng));
    }
}

type Templates = Vec<super::grammar::Template>;

fn diffusion<'a>(
    phrases: &'a Phrases,
    examination: &Examination<'_>,
    finding: &Finding,
    diagnosis: &Diagnosis,
    rng: &mut ChaCha8Rng,
) -> Option<&'a Templates> {
    let worth = match finding.diffusion {
        Diffusion::Restricted | Diffusion::PartlyRestricted => true,
        Diffusion::Facilitated => rng.random_bool(0.5),
        Diffusion::Unremarkable => !diagnosis.plain && rng.random_bool(0.3),
    };
    let said = worth && examination.has(Contrast::Diffusion);
    said.then(|| phrases.descriptors.diffusion.get(&format!("{:?}", finding.diffusion)))?
}

fn enhancement<'a>(
    phrases: &'a Phrases,
    examination: &Examination<'_>,
    finding: &Finding,
    diagnosis: &Diagnosis,
    rng: &mut ChaCha8Rng,
) -> Option<&'a Templates> {
    let worth = match finding.enhancement {
        Enhancement::None => !diagnosis.plain && rng.random_bool(0.6),
        _ => true,
    };
    let said = worth && examination.has(Contrast::T1Enhanced);
    said.then(|| phrases.descriptors.enhancement.get(&format!("{:?}", finding.enhancement)))?
}

fn incidental(
    phrases: &Phrases,
    examination: &Examination<'_>,
    rng: &mut ChaCha8Rng,
) -> Vec<Block> {
    let mut blocks = Vec::new();
    for incidental in examination.incidentals {
        let templates = phrases.descriptors.incidental.get(&format!("{:?}", incidental.kind));
        let Some(templates) = templates.filter(|_| rng.random_bool(INCIDENTAL)) else { continue };
        if overshadowed(examination, incidental.kind) {
            continue;
        }
        let place = match incidental.place.as_slice() {
            [] => String::new(),
            places => words::places(places, rng),
        };
        let sentence = say(templates, &Slots::from([("place", place)]), 1.0, rng);
        let section = match incidental.kind {
            IncidentalKind::WhiteMatterSpots
            | IncidentalKind::VolumeLossForAge
            | IncidentalKind::PerivascularSpaces => Section::Parenchyma,
            IncidentalKind::AsymmetricVentricles | IncidentalKind::ChoroidCyst => {
                Section::Ventricles
            }
            IncidentalKind::PinealCyst => Section::Midline,
            IncidentalKind::MegaCisternaMagna | IncidentalKind::LowTonsils => Section::Posterior,
            IncidentalKind::ArachnoidGranulation | IncidentalKind::VenousAnomaly => {
                Section::Vessels
            }
            IncidentalKind::SinusMucosa
            | IncidentalKind::MastoidFluid
            | IncidentalKind::ScalpLesion => Section::Bones,
        };
        blocks.push(Block { section, abnormal: true, sentences: vec![sentence] });
    }
    blocks
}

/// A diagnosis of the same structure is present: a trifle beside it would contradict it.
pub(super) fn overshadowed(examination: &Examination<'_>, kind: IncidentalKind) -> bool {
    let starts: &[&str] = match kind {
        IncidentalKind::LowTonsils => &["structural_chiari", "structural_brain", "ventricular_i"],
        IncidentalKind::VolumeLossForAge => &["structural_cerebral", "ventricular_v"],
        IncidentalKind::MegaCisternaMagna => &["developmental_dandy", "cyst_arachnoid"],
        IncidentalKind::WhiteMatterSpots => &["vascular_ischemic_small", "inflammatory_multiple"],
        IncidentalKind::AsymmetricVentricles => &["ventricular_v", "structural_mi"],
        IncidentalKind::PinealCyst => &["tumor_adult_pineal", "tumor_pediatric_germ"],
        _ => &[],
    };
    examination.shows_any(starts)
}

/// What is normal, and what is not there.
fn normal(
    phrases: &Phrases,
    examination: &Examination<'_>,
    voice: &Voice,
    rng: &mut ChaCha8Rng,
) -> Vec<Block> {
    let share = if voice.layout == Layout::Terse { 0.4 } else { 0.85 };
    let kinds: Vec<String> =
        examination.incidentals.iter().map(|i| format!("{:?}", i.kind)).collect();
    let mut blocks = Vec::new();
    for normal in &phrases.normals.normal {
        let allowed = !examination.shows_any(&normal.unless)
            && normal.needs.is_none_or(|need| examination.meets(need))
            && !kinds.iter().any(|kind| normal.without.contains(kind));
        if allowed && rng.random_bool(share) {
            let sentences = vec![say(&normal.says, &Slots::new(), voice.keep, rng)];
            blocks.push(Block { section: normal.section, abnormal: false, sentences });
        }
    }
    let most = if voice.layout == Layout::Terse { 2 } else { 3 };
    if let Some(sentence) = negatives(phrases, examination, most, rng) {
        let section = Section::Parenchyma;
        blocks.push(Block { section, abnormal: false, sentences: vec![sentence] });
    }
    if rng.random_bool(0.12) {
        let sentences = vec![say(&phrases.normals.study.quality, &Slots::new(), 1.0, rng)];
        blocks.push(Block { section: Section::Bones, abnormal: false, sentences });
    }
    blocks
}

/// "No evidence of A, B or C.", of things that are not there.
pub(super) fn negatives(
    phrases: &Phrases,
    examination: &Examination<'_>,
    most: usize,
    rng: &mut ChaCha8Rng,
) -> Option<String> {
    let mut absent: Vec<&str> = phrases
        .normals
        .negative
        .iter()
        .filter(|negative| !examination.shows_any(&negative.unless))
        .filter_map(|negative| negative.words.choose(rng).map(String::as_str))
        .collect();
    absent.shuffle(rng);
    absent.truncate(rng.random_range(1..=most));
    let (last, first) = absent.split_last()?;
    let list = if first.is_empty() {
        (*last).to_owned()
    } else {
        format!("{} or {last}", first.join(", "))
    };
    let lead = ["No", "No evidence of", "There is no", "No evidence for", "Negative for"];
    Some(format!("{} {list}.", lead[rng.random_range(0..lead.len())]))
}

/// Headings of the sections, in the three manners of templates.
fn heading(section: Section, variant: usize) -> &'static str {
    let names = match section {
        Section::Parenchyma => ["BRAIN PARENCHYMA", "Brain", "PARENCHYMA"],
        Section::Ventricles => {
            ["VENTRICLES AND EXTRA-AXIAL SPACES", "CSF spaces", "VENTRICLES/EXTRA-AXIAL"]
        }
        Section::Midline => ["SELLA AND MIDLINE", "Midline structures", "SELLA/PINEAL"],
        Section::Posterior => {
            ["POSTERIOR FOSSA", "Posterior fossa and craniocervical junction", "POSTERIOR FOSSA"]
        }
        Section::Vessels => ["VASCULAR FLOW VOIDS", "Vessels", "VASCULAR"],
        Section::Bones => ["CALVARIUM, ORBITS AND SINUSES", "Bones, orbits, sinuses", "OTHER"],
    };
    names[variant % names.len()]
}

fn lay_out(mut blocks: Vec<Block>, voice: &Voice, rng: &mut ChaCha8Rng) -> String {
    for block in &mut blocks {
        for sentence in &mut block.sentences {
            *sentence = voice.sentence(sentence);
        }
    }
    let text = |block: &Block| block.sentences.join(" ");
    match voice.layout {
        Layout::Headings => {
            let mut sections: BTreeMap<Section, Vec<String>> = BTreeMap::new();
            for block in &blocks {
                sections.entry(block.section).or_default().push(text(block));
            }
            let line = |(section, texts): (Section, Vec<String>)| {
                format!("{}: {}", heading(section, voice.variant), texts.join(" "))
            };
            sections.into_iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Layout::Bullets => {
            let mark = ["- ", "* ", "• "][voice.variant % 3];
            blocks
                .iter()
                .map(|block| format!("{mark}{}", text(block)))
                .collect::<Vec<_>>()
                .join("\n")
        }
        Layout::Narrative => {
            let (abnormal, normal): (Vec<&Block>, Vec<&Block>) =
                blocks.iter().partition(|block| block.abnormal);
            let mut paragraphs: Vec<String> = abnormal.into_iter().map(text).collect();
            let rest = normal.into_iter().map(text).collect::<Vec<_>>().join(" ");
            if !rest.is_empty() {
                let at = if rng.random_bool(0.75) { paragraphs.len() } else { 0 };
                paragraphs.insert(at, rest);
            }
            paragraphs.join("\n\n")
        }
        Layout::Terse => {
            let mut sentences: Vec<String> = blocks.iter().map(text).collect();
            if blocks.iter().any(|block| block.abnormal) && rng.random_bool(0.4) {
                sentences.push(capital("otherwise unremarkable."));
            }
            sentences.join(" ")
        }
    }
}
