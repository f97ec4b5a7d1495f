//! Who the patient is, how long the report takes, what the radiologist writes, and what is true.
//!
//! [`Patient::draw`] comes first and knows of no disease. Once disease and series are there,
//! [`Writer::report`] writes the report, [`labels`] and [`truth`] say what it should be read as,
//! and [`turnaround::draw_h`] how long it took.
//!
//! A report affirms exactly the diagnoses that are present: each by a phrase of its table, hedged
//! at most by "consistent with", "suspicious for" and their like. What is absent may be denied,
//! weighed and found unlikely, or told as history, so that words alone do not give a label.

mod clinic;
mod findings;
mod grammar;
mod impression;
pub mod patient;
mod phrases;
mod truth;
pub mod turnaround;
mod voice;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use models::labels::DIAGNOSES;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

pub use patient::Patient;
pub use phrases::PhraseError;
pub use truth::{labels, present, truth};

use self::phrases::{Need, Phrases};
use self::voice::{Voice, slip};
use crate::cohort::record::Report;
use crate::simulate::disease::{Finding, Incidental};
use crate::simulate::protocol::{Kind, Sequence};

/// Share of reports with a slip of the keyboard.
const SLIPS: f64 = 0.2;

/// What a series can show, as far as a report speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contrast {
    /// T1-weighted, before contrast agent.
    T1,
    /// T1-weighted, after contrast agent.
    T1Enhanced,
    /// T2-weighted.
    T2,
    /// T2-weighted with suppressed fluid.
    Flair,
    /// Diffusion-weighted, or its ADC map.
    Diffusion,
    /// Gradient echo or susceptibility-weighted.
    Susceptibility,
    /// Anything else.
    Other,
}

/// A series of the study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquired {
    /// What it can show.
    pub contrast: Contrast,
    /// What a report calls it: "axial T1 postcontrast".
    pub words: String,
}

impl From<&Sequence> for Acquired {
    fn from(sequence: &Sequence) -> Self {
        let contrast = match sequence.kind {
            Kind::T1 | Kind::T1Volume if sequence.contrast => Contrast::T1Enhanced,
            Kind::T1 | Kind::T1Volume => Contrast::T1,
            Kind::T2 => Contrast::T2,
            Kind::Flair => Contrast::Flair,
            Kind::Diffusion | Kind::Adc => Contrast::Diffusion,
            Kind::Susceptibility | Kind::GradientEcho => Contrast::Susceptibility,
            Kind::ProtonDensity | Kind::DiffusionB0 | Kind::Angiography => Contrast::Other,
        };
        Self { contrast, words: sequence.words() }
    }
}

/// All that a radiologist is told and sees.
#[derive(Clone, Copy, Debug)]
pub struct Examination<'a> {
    /// Who is examined.
    pub patient: &'a Patient,
    /// What has a label.
    pub findings: &'a [Finding],
    /// What has none.
    pub incidentals: &'a [Incidental],
    /// Series in the order of acquisition.
    pub series: &'a [Acquired],
    /// Field strength of the scanner.
    pub field_t: f32,
}

impl Examination<'_> {
    /// True when a series of this contrast was acquired.
    fn has(&self, contrast: Contrast) -> bool {
        self.series.iter().any(|acquired| acquired.contrast == contrast)
    }

    /// True when the statement's series were acquired.
    fn meets(&self, need: Need) -> bool {
        self.has(match need {
            Need::Diffusion => Contrast::Diffusion,
            Need::Susceptibility => Contrast::Susceptibility,
            Need::Enhancement => Contrast::T1Enhanced,
        })
    }

    /// True when one of the names, or beginnings of names, is a diagnosis of this study.
    fn shows_any(&self, starts: &[impl AsRef<str>]) -> bool {
        self.findings.iter().any(|finding| {
            let label = DIAGNOSES[finding.diagnosis];
            starts.iter().any(|start| label.starts_with(start.as_ref()))
        })
    }
}

/// Writes reports.
#[derive(Clone, Debug)]
pub struct Writer {
    phrases: Phrases,
    /// Words that no slip of the keyboard touches, because labels hang on them.
    protected: BTreeSet<String>,
}

impl Writer {
    /// Reads the vocabulary.
    ///
    /// # Errors
    ///
    /// When a file of the vocabulary is malformed or incomplete; the message says which and where.
    pub fn load() -> Result<Self, PhraseError> {
        let phrases = Phrases::load()?;
        let mut protected: BTreeSet<String> = [
            "resected", "resolved", "unlikely", "without", "history", "evidence", "favour", "favor",
        ]
        .map(str::to_owned)
        .into();
        for diagnosis in &phrases.diagnoses {
            let words = diagnosis.terms.iter().chain(&diagnosis.nouns);
            let words = words.flat_map(|term| term.split([' ', '-'])).filter(|w| w.len() > 3);
            protected.extend(words.map(str::to_lowercase));
        }
        let american: Vec<String> = protected.iter().map(|word| voice::american(word)).collect();
        protected.extend(american);
        Ok(Self { phrases, protected })
    }

    /// Writes the report of a study, in the manner of one of many radiologists.
    #[must_use]
    pub fn report(&self, examination: &Examination<'_>, rng: &mut ChaCha8Rng) -> Report {
        let voice = Voice::draw(rng);
        let clinic = &self.phrases.clinic;
        let operated = examination.shows_any(&["surgical_resection", "surgical_craniotomy"]);
        let removed = if operated {
            clinic::removed(clinic, &present(examination.findings), rng)
        } else {
            None
        };
        let indication = clinic::indication(clinic, examination, removed, rng);
        let technique = clinic::technique(clinic, examination, voice.keep, rng);
        let (comparison, compared) = clinic::comparison(clinic, rng);
        let findings = findings::write(&self.phrases, examination, &voice, compared, removed, rng);
        let impression = impression::write(&self.phrases, examination, &voice, rng);
        let mut report = Report { indication, technique, comparison, findings, impression };
        for section in [
            &mut report.indication,
            &mut report.technique,
            &mut report.comparison,
            &mut report.findings,
            &mut report.impression,
        ] {
            *section = voice.finish(section, rng);
        }
        if rng.random_bool(SLIPS) {
            report.findings = slip(&report.findings, &self.protected, rng);
        }
        report
    }
}
