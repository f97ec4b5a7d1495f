//! Indication, technique, comparison: everything that stands before the findings.

use models::labels::DIAGNOSES;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::grammar::{Slots, capital, say};
use super::phrases::{Clinic, Complaint};
use super::{Acquired, Contrast, Examination};
use crate::cohort::record::Sex;

/// Share of abnormal studies whose symptoms come from the list of one of their diagnoses.
const INFORMATIVE: f64 = 0.5;
/// Share of the others whose symptoms fit anything.
const UNSPECIFIC: f64 = 0.6;
/// Share of indications with a piece of history that the images do not show.
const HISTORY: f64 = 0.15;

/// Why the study was asked for.
pub(super) fn indication(
    clinic: &Clinic,
    examination: &Examination<'_>,
    removed: Option<&str>,
    rng: &mut ChaCha8Rng,
) -> String {
    let symptom = symptom(clinic, examination, rng).to_lowercase_first();
    let patient = examination.patient;
    let follow_up = ["follow", "post", "surveillance"].iter().any(|s| symptom.starts_with(s));
    let mut text = match rng.random_range(0..5) {
        _ if follow_up => capital(&symptom),
        0 | 1 => format!("{} with {symptom}", person(patient.age_years, patient.sex)),
        2 => format!("Evaluate for cause of {symptom}"),
        _ => capital(&symptom),
    };
    if let Some(lesion) = removed {
        text.push_str(&format!(", history of resected {lesion}"));
    } else if !patient.child() && rng.random_bool(HISTORY) {
        let history = say(&clinic.generic.history, &Slots::new(), 1.0, rng).to_lowercase_first();
        text.push_str(&format!(", {history}"));
    }
    text + "."
}

/// From the diagnosis, from nowhere, or from another diagnosis.
fn symptom(clinic: &Clinic, examination: &Examination<'_>, rng: &mut ChaCha8Rng) -> String {
    let age = examination.patient.age_years;
    let fits = |complaint: &&Complaint| (complaint.ages[0]..=complaint.ages[1]).contains(&age);
    let about = |complaint: &Complaint| {
        examination.findings.iter().any(|finding| {
            let label = DIAGNOSES[finding.diagnosis];
            finding.cause.is_none() && complaint.labels.iter().any(|start| label.starts_with(start))
        })
    };
    let own: Vec<&Complaint> = clinic.complaint.iter().filter(fits).filter(|c| about(c)).collect();
    // Nobody comes for follow-up of an operation that did not take place.
    let surgical =
        |complaint: &Complaint| complaint.labels.iter().any(|l| l.starts_with("surgical"));
    let any: Vec<&Complaint> =
        clinic.complaint.iter().filter(fits).filter(|c| !surgical(c)).collect();
    let list = if !own.is_empty() && rng.random_bool(INFORMATIVE) {
        &own[rng.random_range(0..own.len())].says
    } else if any.is_empty() || rng.random_bool(UNSPECIFIC) {
        &clinic.generic.says
    } else {
        &any[rng.random_range(0..any.len())].says
    };
    say(list, &Slots::new(), 1.0, rng)
}

fn person(age_years: f32, sex: Sex) -> String {
    let noun = match (sex, age_years < 13.0) {
        (Sex::Female, true) => "girl",
        (Sex::Male, true) => "boy",
        (Sex::Female, false) => "female",
        (Sex::Male, false) => "male",
        (Sex::Other, _) => "patient",
    };
    match age_years {
        age if age >= super::patient::AGE_CAP_YEARS => format!("Over 89-year-old {noun}"),
        age => format!("{:.0}-year-old {noun}", age.floor()),
    }
}

/// Sequences and contrast agent.
pub(super) fn technique(
    clinic: &Clinic,
    examination: &Examination<'_>,
    keep: f64,
    rng: &mut ChaCha8Rng,
) -> String {
    let contrast = examination.has(Contrast::T1Enhanced);
    let list = if contrast { &clinic.technique.with } else { &clinic.technique.without };
    let with = say(list, &Slots::new(), keep, rng).to_lowercase_first();
    let sequences = sequences(examination.series);
    let slots = Slots::from([("with", with), ("sequences", sequences)]);
    let mut text = say(&clinic.technique.lead, &slots, keep, rng);
    if rng.random_bool(keep / 2.0) {
        text.push_str(&format!(" Field strength {} T.", examination.field_t));
    }
    text
}

/// "sagittal T1, axial T2 and axial FLAIR", each once.
fn sequences(series: &[Acquired]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for acquired in series {
        if !names.contains(&acquired.words.as_str()) {
            names.push(&acquired.words);
        }
    }
    match names.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => names.concat(),
    }
}

/// What it is compared with, and whether that is anything.
pub(super) fn comparison(clinic: &Clinic, rng: &mut ChaCha8Rng) -> (String, bool) {
    let lists = &clinic.comparison;
    if rng.random_bool(0.5) {
        return (say(&lists.none, &Slots::new(), 1.0, rng), false);
    }
    let ago = say(&lists.ago, &Slots::new(), 1.0, rng).to_lowercase_first();
    (say(&lists.prior, &Slots::from([("ago", ago)]), 1.0, rng), true)
}

/// What was removed, as it stands in an indication: of the things that are not there any more.
pub(super) fn removed<'a>(
    clinic: &'a Clinic,
    present: &[bool],
    rng: &mut ChaCha8Rng,
) -> Option<&'a str> {
    let gone: Vec<&str> = clinic
        .generic
        .removed
        .iter()
        .filter(|[label, _]| DIAGNOSES.iter().zip(present).any(|(d, there)| d == label && !there))
        .map(|[_, words]| words.as_str())
        .collect();
    (!gone.is_empty() && rng.random_bool(0.35)).then(|| gone[rng.random_range(0..gone.len())])
}

/// Undoes the capital that a template gets, where its text goes into a sentence.
trait LowercaseFirst {
    fn to_lowercase_first(&self) -> String;
}

impl LowercaseFirst for String {
    fn to_lowercase_first(&self) -> String {
        let mut characters = self.chars();
        let second = self.chars().nth(1);
        match characters.next() {
            // "GCS", "EEG" and "T1" keep theirs.
            Some(first) if second.is_none_or(|c| !c.is_uppercase() && !c.is_ascii_digit()) => {
                first.to_lowercase().collect::<String>() + characters.as_str()
            }
            _ => self.clone(),
        }
    }
}
