//! Words for what a finding measures.
#![expect(clippy::cast_possible_truncation, reason = "sizes are tens of millimetres")]

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::grammar::{Slots, say};
use super::phrases::{Descriptors, Diagnosis};
use super::voice::Voice;
use crate::simulate::disease::{Finding, Intensity, Place, Severity, Side, Stage};

/// Most places that a sentence names.
const PLACES: usize = 3;

/// The slots of a finding. Synonyms are drawn, so two calls differ.
pub(super) fn slots(
    finding: &Finding,
    diagnosis: &Diagnosis,
    descriptors: &Descriptors,
    voice: &Voice,
    rng: &mut ChaCha8Rng,
) -> Slots {
    let single = single(finding, diagnosis);
    let or = |one: &str, many: &str| if single { one.to_owned() } else { many.to_owned() };
    let one_place = finding.places.len() <= 1
        && finding.places.first().is_none_or(|place| place.side != Some(Side::Bilateral));
    let hedge = say(&descriptors.hedges, &Slots::new(), 1.0, rng).to_lowercase();
    let it = &diagnosis.it;
    let side = finding.places.first().and_then(|place| place.side);
    let [adjective, adverb] = severity(finding.severity, rng);
    let mut slots = Slots::from([
        ("a", number(finding.count, diagnosis.many, rng).to_owned()),
        ("count", if finding.count > 5 { finding.count.to_string() } else { String::new() }),
        ("s", or("", "s")),
        ("es", or("", "es")),
        ("y", or("y", "ies")),
        ("y3", or("ies", "y")),
        ("ses", or("sis", "ses")),
        ("v", or("s", "")),
        ("is", or("is", "are")),
        ("do", or("does", "do")),
        ("pv", if one_place { "s" } else { "" }.to_owned()),
        ("pis", if one_place { "is" } else { "are" }.to_owned()),
        ("place", places(&finding.places, rng)),
        ("side", side.map_or("", Side::word).to_owned()),
        ("site", finding.places.first().map_or_else(String::new, Place::text)),
        ("size", size(finding, diagnosis.thickness, voice, rng)),
        (
            "mm",
            if finding.size_mm[0] >= 1.0 {
                format!("{:.0} mm", finding.size_mm[0])
            } else {
                String::new()
            },
        ),
        ("toward", toward(finding)),
        ("severity", adjective.to_owned()),
        ("severely", adverb.to_owned()),
        ("stage", stage(finding.stage).to_owned()),
        ("hedge", hedge),
    ]);
    let ending = match (single || diagnosis.many, it.ends_with('s')) {
        (true, _) => "",
        (false, true) => "es",
        (false, false) => "s",
    };
    slots.insert("it", format!("the {it}{ending}"));
    slots
}

/// The sentence is about one thing, because it is one or because no phrase speaks of several.
fn single(finding: &Finding, diagnosis: &Diagnosis) -> bool {
    let countable = diagnosis.findings.iter().any(|t| t.names("s") || t.names("es"));
    !diagnosis.many && (finding.count <= 1 || !countable)
}

/// "a", "two", "several"; processes that are plural by nature count loosely.
fn number(count: u32, many: bool, rng: &mut ChaCha8Rng) -> &'static str {
    let choices: &[&str] = match count {
        0 | 1 if many => &["multiple", "scattered"],
        0 | 1 => &["a"],
        2 => &["two"],
        3 => &["three", "a few"],
        4 => &["four", "several", "a few"],
        5..=9 => &["multiple", "several"],
        _ => &["numerous", "multiple", "innumerable"],
    };
    choices[rng.random_range(0..choices.len())]
}

/// "the left frontal lobe, both thalami and the pons"; "the brain" where no place is known.
pub(super) fn places(places: &[Place], rng: &mut ChaCha8Rng) -> String {
    let names: Vec<String> =
        places.iter().take(PLACES).map(|place| place_name(place, rng)).collect();
    match names.as_slice() {
        [] => "the brain".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn place_name(place: &Place, rng: &mut ChaCha8Rng) -> String {
    match place.side {
        None => format!("the {}", place.words),
        Some(Side::Left | Side::Right) => format!("the {}", place.text()),
        Some(Side::Bilateral) => match plural(place.words) {
            Some(words) if rng.random_bool(0.5) => format!("both {words}"),
            Some(words) => format!("the bilateral {words}"),
            None => format!("the bilateral {}", place.words),
        },
    }
}

/// The plural of a paired structure; `None` where there is none.
fn plural(words: &str) -> Option<String> {
    const IRREGULAR: [(&str, &str); 10] = [
        ("thalamus", "thalami"),
        ("hippocampus", "hippocampi"),
        ("putamen", "putamina"),
        ("insula", "insulae"),
        ("globus pallidus", "globi pallidi"),
        ("nucleus", "nuclei"),
        ("gyrus", "gyri"),
        ("sinus", "sinuses"),
        ("cortex", "cortices"),
        ("y", "ies"),
    ];
    let countless = ["matter", "ganglia", "territory", "division"];
    if words.contains(" of ")
        || countless.iter().any(|end| words.ends_with(end))
        || words.ends_with('s') && !words.ends_with("us")
    {
        return None;
    }
    let irregular = IRREGULAR
        .iter()
        .find_map(|(one, many)| words.strip_suffix(one).map(|start| format!("{start}{many}")));
    Some(irregular.unwrap_or_else(|| format!("{words}s")))
}

/// The side that the midline is shifted to, where that is what the place says.
fn toward(finding: &Finding) -> String {
    match finding.places.as_slice() {
        [Place { words: "midline", side: Some(side) }] => format!("to the {}", side.word()),
        _ => String::new(),
    }
}

/// Size as the voice measures: one axis or all, millimetres or centimetres; empty when unknown.
fn size(finding: &Finding, thickness: bool, voice: &Voice, rng: &mut ChaCha8Rng) -> String {
    let mut axes: Vec<f32> = finding.size_mm.into_iter().filter(|&axis| axis >= 1.0).collect();
    axes.sort_by(|a, b| b.total_cmp(a));
    if thickness {
        axes = axes.last().copied().into_iter().collect();
    }
    let Some(&longest) = axes.first() else { return String::new() };
    if axes.len() < 2 || finding.count > 1 || rng.random_bool(0.6) {
        axes = vec![longest];
    }
    let centimetres = voice.centimetres && longest >= 10.0;
    let numbers: Vec<String> = axes
        .iter()
        .map(|&axis| match centimetres {
            true => format!("{:.1}", axis / 10.0),
            false => format!("{}", axis.round() as i32),
        })
        .collect();
    format!("{} {}", numbers.join(" x "), if centimetres { "cm" } else { "mm" })
}

/// As an adjective and as an adverb.
fn severity(severity: Severity, rng: &mut ChaCha8Rng) -> [&'static str; 2] {
    match severity {
        Severity::None => ["", ""],
        Severity::Mild => ["mild", "mildly"],
        Severity::Moderate => ["moderate", "moderately"],
        Severity::Severe if rng.random_bool(0.5) => ["severe", "severely"],
        Severity::Severe => ["marked", "markedly"],
    }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::None | Stage::Mixed => "",
        Stage::Acute => "acute",
        Stage::Subacute => "subacute",
        Stage::Chronic => "chronic",
    }
}

/// Signal on the contrasts that were acquired: as adjectives and as nouns. `None` when there is
/// nothing to say.
pub(super) fn signal(finding: &Finding, acquired: [bool; 3]) -> Option<[String; 2]> {
    let values = [("T1", finding.t1), ("T2", finding.t2), ("FLAIR", finding.flair)];
    let mut said: Vec<(String, Intensity)> = Vec::new();
    for ((name, value), seen) in values.into_iter().zip(acquired) {
        if !seen || value == Intensity::Unremarkable {
            continue;
        }
        match said.last_mut() {
            Some((last, same)) if *same == value && last == "T2" => *last = "T2/FLAIR".to_owned(),
            _ => said.push((name.to_owned(), value)),
        }
    }
    if said.is_empty() {
        return None;
    }
    let join = |word: fn(Intensity) -> &'static str| {
        let parts: Vec<String> =
            said.iter().map(|(name, value)| format!("{name} {}", word(*value))).collect();
        match parts.as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
            _ => parts.concat(),
        }
    };
    Some([join(adjective), join(noun)])
}

fn adjective(intensity: Intensity) -> &'static str {
    match intensity {
        Intensity::Unremarkable => "unremarkable",
        Intensity::Dark => "hypointense",
        Intensity::Iso => "isointense",
        Intensity::Bright => "hyperintense",
        Intensity::Mixed => "heterogeneous",
        Intensity::Csf => "isointense to CSF",
    }
}

fn noun(intensity: Intensity) -> &'static str {
    match intensity {
        Intensity::Unremarkable => "normal signal",
        Intensity::Dark => "hypointensity",
        Intensity::Iso => "isointensity",
        Intensity::Bright => "hyperintensity",
        Intensity::Mixed => "heterogeneity",
        Intensity::Csf => "CSF signal",
    }
}
