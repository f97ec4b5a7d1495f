//! `referral.toml`: what scores mean at a site. Every label of the model must have a rule, every
//! service must be in the list, and every message says what to write instead.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use models::labels::{DIAGNOSES, display_name};
use models::table::{
    ClinicalTable, Content, Fault, Head, TableError, Written, expect, expect_sentence,
};
use serde::Deserialize;
use toml::Spanned;

use super::{Acuity, Referral, Urgency};

/// Furthest that `raise.margin` may lie above a threshold, in logits: far beyond what heads give.
const MAX_MARGIN: f32 = 20.0;

/// Why the clinical tables cannot be used, or not with this model.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// A table is wrong.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The model knows a diagnosis that the rules do not.
    #[error("{file} has no rule for the diagnosis {name}; add [label.{name}]")]
    NoLabel {
        /// The label.
        name: String,
        /// The rules file.
        file: String,
    },
    /// The model knows a diagnosis that the list of labels does not.
    #[error("{file} does not list the diagnosis {name}; add it to [label], shown or withheld")]
    NotListed {
        /// The label.
        name: String,
        /// The list of labels.
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
pub struct Rules(ClinicalTable<Raw>);

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
    /// The rules of a site; an empty path stands for those that ship.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or something in it is wrong.
    pub fn open(path: &Path) -> Result<Self, RulesError> {
        Self::complete(ClinicalTable::open(path)?)
    }

    /// Rules from their text; `file` is what messages call it.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its line.
    pub fn parse(text: &str, file: &str) -> Result<Self, RulesError> {
        Self::complete(ClinicalTable::parse(text, file)?)
    }

    fn complete(table: ClinicalTable<Raw>) -> Result<Self, RulesError> {
        let rules = Self(table);
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

    /// Version and approver.
    #[must_use]
    pub fn head(&self) -> &Head {
        self.0.head()
    }

    pub(super) fn label(&self, name: &str) -> Result<&LabelRule, RulesError> {
        let file = || self.0.file().to_owned();
        let rule = self.0.content().label.get(name);
        rule.ok_or_else(|| RulesError::NoLabel { name: name.to_owned(), file: file() })
    }

    pub(super) fn class(&self, name: &str) -> Result<Acuity, RulesError> {
        let class = self.0.content().priority.get(name).copied();
        let file = || self.0.file().to_owned();
        class.ok_or_else(|| RulesError::NoClass { name: name.to_owned(), file: file() })
    }

    pub(super) fn combinations(&self) -> &[Combination] {
        &self.0.content().combination
    }

    /// What a positive referral head of the model comes to.
    pub(super) fn model_referral(&self, head: &str) -> Referral {
        let ModelReferral { urgency, reason, service } = &self.0.content().model_referral;
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

impl Content for Raw {
    const FILE: &'static str = "referral.toml";
    const WHAT: &'static str = "referral rules";
    const BUILT_IN: &'static str = include_str!("../../../firmware-config/referral.toml");
    const FORMAT_VERSION: u32 = 1;

    fn written(&self) -> Written<'_> {
        let Self { format_version, version, date, approver, .. } = self;
        Written { format_version, version, date, approver }
    }

    fn validate(&self) -> Result<(), Fault> {
        for (i, service) in self.services.iter().enumerate() {
            expect(service, |s| !s.trim().is_empty(), |_| "a service has no name".to_owned())?;
            expect(
                service,
                |s| self.services[..i].iter().all(|t| t.get_ref() != s),
                |s| format!("the service {s:?} stands twice in services"),
            )?;
        }
        expect_sentence(&self.model_referral.reason)?;
        self.model_referral.service.values().try_for_each(|s| self.validate_service(s))?;
        for rule in self.label.values() {
            if let Some(raise) = &rule.raise {
                validate_raise(raise, rule.acuity)?;
            }
            rule.referral.iter().try_for_each(|r| self.validate_referring(r))?;
        }
        self.combination.iter().try_for_each(|c| self.validate_combination(c))
    }
}

impl Raw {
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
        expect_sentence(&referring.reason)
    }

    fn validate_service(&self, service: &Spanned<String>) -> Result<(), Fault> {
        expect(
            service,
            |s| self.services.iter().any(|known| known.get_ref() == s),
            |s| format!("the service {s:?} is not in services; add it there or correct it"),
        )
    }
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
