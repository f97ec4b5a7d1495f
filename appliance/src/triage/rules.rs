//! `referral.toml`: loading it, and refusing what makes no sense with the line it stands on.
//!
//! A table that is wrong must be found by whoever edits it, not by a patient; so every label of
//! the model must have a rule, every service must be in the list, and every message says what to
//! write instead.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use models::labels::{DIAGNOSES, display_name};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::Spanned;

use super::{Acuity, Referral, Urgency};

/// Format this build reads.
pub const FORMAT_VERSION: u32 = 1;

/// What a box uses that has no file of its own.
const DEFAULT: &str = include_str!("../../../firmware-config/referral.toml");
const DEFAULT_NAME: &str = "referral.toml (built in)";
/// Furthest that `raise.margin` may lie above a threshold, in logits: far beyond what heads give.
const MAX_MARGIN: f32 = 20.0;

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The file cannot be read.
    #[error("cannot read the referral rules {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something in the file is wrong.
    #[error("{file}, line {line}: {message}")]
    Line {
        /// The file.
        file: String,
        /// From 1.
        line: usize,
        /// What was found, and what to write instead.
        message: String,
    },
    /// The model knows a diagnosis that the rules do not.
    #[error("{file} has no rule for the diagnosis {name}; add [label.{name}]")]
    NoLabel {
        /// The label.
        name: String,
        /// The rules file.
        file: String,
    },
    /// The model has a priority class that the rules do not know.
    #[error("{file} has no acuity for the priority class {name:?}; add it to [priority]")]
    NoClass {
        /// The class.
        name: String,
        /// The rules file.
        file: String,
    },
    /// A score is NaN or infinite, so the study has no assessment.
    #[error("the score of {name:?} is not a finite number")]
    NotFinite {
        /// The label or class.
        name: String,
    },
}

/// The rules of a site, checked.
#[derive(Clone, Debug)]
pub struct Rules {
    file: String,
    sha256: String,
    raw: Raw,
}

/// The file as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format_version: Spanned<u32>,
    version: Spanned<String>,
    date: Spanned<String>,
    approver: String,
    services: Vec<Spanned<String>>,
    priority: BTreeMap<String, Acuity>,
    model_referral: ModelReferral,
    label: BTreeMap<Spanned<String>, LabelRule>,
    #[serde(default)]
    combination: Vec<Combination>,
}

/// How the model's own referral heads are passed on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelReferral {
    urgency: Urgency,
    reason: Spanned<String>,
    /// Service by the name of the head; a head that is not here is its own service.
    #[serde(default)]
    service: BTreeMap<String, Spanned<String>>,
}

/// What a diagnosis means when it is positive.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LabelRule {
    pub(super) acuity: Acuity,
    raise: Option<Spanned<Raise>>,
    pub(super) referral: Option<Referring>,
}

/// A higher acuity from some way above the threshold on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raise {
    /// Logits above the threshold.
    margin: f32,
    acuity: Acuity,
}

/// Diagnoses that mean more together than each by itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Combination {
    pub(super) labels: Spanned<Vec<String>>,
    pub(super) acuity: Acuity,
    pub(super) referral: Referring,
}

/// Who should see the patient, how soon and why.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Referring {
    service: Spanned<String>,
    urgency: Urgency,
    reason: Spanned<String>,
}

impl Rules {
    /// The rules that are built in. They were approved by nobody.
    ///
    /// # Errors
    ///
    /// Never in a build that passed its tests.
    pub fn built_in() -> Result<Self, RulesError> {
        Self::parse(DEFAULT, DEFAULT_NAME)
    }

    /// The rules of a site.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or something in it is wrong.
    pub fn load(path: &Path) -> Result<Self, RulesError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| RulesError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Rules from their text; `file` is what messages call it.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its line.
    pub fn parse(text: &str, file: &str) -> Result<Self, RulesError> {
        let wrong = |at: usize, message: String| {
            let line = text.bytes().take(at).filter(|b| *b == b'\n').count() + 1;
            RulesError::Line { file: file.to_owned(), line, message }
        };
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            wrong(at, error.message().replace('\n', " "))
        })?;
        raw.validate().map_err(|(at, message)| wrong(at, message))?;
        let digest = Sha256::digest(text.as_bytes());
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let rules = Self { file: file.to_owned(), sha256, raw };
        rules.check(&DIAGNOSES, &[])?;
        Ok(rules)
    }

    /// Whether there is a rule for everything a bundle's heads can say: names of its diagnoses,
    /// and of the classes of its priority head.
    ///
    /// # Errors
    ///
    /// The first label or class without a rule.
    pub fn check(&self, diagnoses: &[&str], classes: &[&str]) -> Result<(), RulesError> {
        diagnoses.iter().try_for_each(|name| self.label(name).map(drop))?;
        classes.iter().try_for_each(|name| self.class(name).map(drop))
    }

    /// Version of the rules, as their authors count.
    #[must_use]
    pub fn version(&self) -> &str {
        self.raw.version.get_ref()
    }

    /// Day of this version, YYYY-MM-DD.
    #[must_use]
    pub fn date(&self) -> &str {
        self.raw.date.get_ref()
    }

    /// Who approved them for this site; empty for nobody.
    #[must_use]
    pub fn approver(&self) -> &str {
        &self.raw.approver
    }

    /// SHA-256 of the file, hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    pub(super) fn label(&self, name: &str) -> Result<&LabelRule, RulesError> {
        self.raw
            .label
            .get(name)
            .ok_or_else(|| RulesError::NoLabel { name: name.to_owned(), file: self.file.clone() })
    }

    pub(super) fn class(&self, name: &str) -> Result<Acuity, RulesError> {
        self.raw
            .priority
            .get(name)
            .copied()
            .ok_or_else(|| RulesError::NoClass { name: name.to_owned(), file: self.file.clone() })
    }

    pub(super) fn combinations(&self) -> &[Combination] {
        &self.raw.combination
    }

    /// What a positive referral head of the model comes to.
    pub(super) fn model_referral(&self, head: &str) -> Referral {
        let ModelReferral { urgency, reason, service } = &self.raw.model_referral;
        Referral {
            service: service.get(head).map_or_else(|| display_name(head), |s| s.get_ref().clone()),
            urgency: *urgency,
            reason: reason.get_ref().clone(),
            findings: Vec::new(),
        }
    }
}

impl LabelRule {
    pub(super) fn acuity_at(&self, margin: f32) -> Acuity {
        match self.raise.as_ref().map(Spanned::get_ref) {
            Some(raise) if margin >= raise.margin => raise.acuity,
            _ => self.acuity,
        }
    }
}

impl Referring {
    pub(super) fn refer(&self, findings: &[String]) -> Referral {
        Referral {
            service: self.service.get_ref().clone(),
            urgency: self.urgency,
            reason: self.reason.get_ref().clone(),
            findings: findings.to_vec(),
        }
    }
}

/// What is wrong, and the byte of the file where it begins.
type Fault = (usize, String);

impl Raw {
    fn validate(&self) -> Result<(), Fault> {
        expect(
            &self.format_version,
            |v| *v == FORMAT_VERSION,
            |v| format!("format_version is {v}; this program reads {FORMAT_VERSION}"),
        )?;
        expect(
            &self.version,
            |v| !v.trim().is_empty(),
            |_| "version is empty; give these rules a number or a name".to_owned(),
        )?;
        expect(&self.date, |d| is_date(d), |d| format!("date is {d:?}; write YYYY-MM-DD"))?;
        for (i, service) in self.services.iter().enumerate() {
            expect(service, |s| !s.trim().is_empty(), |_| "a service has no name".to_owned())?;
            expect(
                service,
                |s| self.services[..i].iter().all(|t| t.get_ref() != s),
                |s| format!("the service {s:?} stands twice in services"),
            )?;
        }
        validate_sentence(&self.model_referral.reason)?;
        self.model_referral.service.values().try_for_each(|s| self.validate_service(s))?;
        for rule in self.label.values() {
            if let Some(raise) = &rule.raise {
                validate_raise(raise, rule.acuity)?;
            }
            rule.referral.iter().try_for_each(|r| self.validate_referring(r))?;
        }
        self.combination.iter().try_for_each(|c| self.validate_combination(c))
    }

    fn validate_combination(&self, combination: &Combination) -> Result<(), Fault> {
        let labels = &combination.labels;
        let distinct = |l: &Vec<String>| l.iter().collect::<BTreeSet<_>>().len();
        expect(
            labels,
            |l| l.len() >= 2 && distinct(l) == l.len(),
            |_| "a combination needs two or more labels, each once".to_owned(),
        )?;
        for label in labels.get_ref() {
            expect(
                labels,
                |_| self.label.contains_key(label.as_str()),
                |_| format!("the combination names {label:?}, but there is no [label.{label}]"),
            )?;
        }
        self.validate_referring(&combination.referral)
    }

    fn validate_referring(&self, referring: &Referring) -> Result<(), Fault> {
        self.validate_service(&referring.service)?;
        validate_sentence(&referring.reason)
    }

    fn validate_service(&self, service: &Spanned<String>) -> Result<(), Fault> {
        expect(
            service,
            |s| self.services.iter().any(|known| known.get_ref() == s),
            |s| format!("the service {s:?} is not in services; add it there or correct it"),
        )
    }
}

/// Reasons are strung together, so each must be a sentence.
fn validate_sentence(reason: &Spanned<String>) -> Result<(), Fault> {
    expect(
        reason,
        |r| r.len() > 1 && r.ends_with('.'),
        |r| format!("the reason {r:?} is no sentence; end it with a full stop"),
    )
}

fn validate_raise(raise: &Spanned<Raise>, below: Acuity) -> Result<(), Fault> {
    expect(
        raise,
        |r| r.margin > 0.0 && r.margin <= MAX_MARGIN,
        |r| format!("raise.margin is {}; it must be above 0 and at most {MAX_MARGIN}", r.margin),
    )?;
    expect(
        raise,
        |r| r.acuity > below,
        |r| format!("raise.acuity is {}; it must be above the label's own, {below}", r.acuity),
    )
}

fn expect<T>(
    value: &Spanned<T>,
    holds: impl FnOnce(&T) -> bool,
    message: impl FnOnce(&T) -> String,
) -> Result<(), Fault> {
    let inner = value.get_ref();
    if holds(inner) { Ok(()) } else { Err((value.span().start, message(inner))) }
}

fn is_date(text: &str) -> bool {
    let dashes =
        |(i, b): (usize, u8)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() };
    text.len() == 10 && text.bytes().enumerate().all(dashes)
}
