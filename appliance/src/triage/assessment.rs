//! What the rules make of one study's scores.

use std::cmp::Reverse;

use models::engine::{ClassScore, LabelScore, StudyScores};
use models::labels::display_name;
use models::table::Head;
use serde::{Deserialize, Serialize};

use super::rules::{Rules, RulesError};
use super::{Acuity, Tables, Urgency, Withheld};

/// The assessment of a study, as stored and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// The highest that anything gave.
    pub acuity: Acuity,
    /// Everything that gave this acuity; never empty.
    pub acuity_from: Vec<Reason>,
    /// Diagnoses at or above their thresholds that are not withheld: most acute first, then by
    /// margin.
    pub findings: Vec<Finding>,
    /// One per service, most urgent first.
    pub referrals: Vec<Referral>,
    /// Version of the rules.
    pub rules_version: String,
    /// Who approved the rules; empty for nobody.
    pub rules_approver: String,
    /// SHA-256 of the rules file, hexadecimal.
    pub rules_sha256: String,
    /// Diagnoses that are no finding whatever they scored.
    #[serde(default)]
    pub withheld: Vec<Withheld>,
    /// Which list of labels withholds them.
    #[serde(default)]
    pub labels: Head,
}

/// Something that gave the acuity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What kind of thing.
    pub source: ReasonSource,
    /// In words, without a full stop: `brain herniation`, `the model's priority: high`.
    pub text: String,
}

/// What gave the acuity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonSource {
    /// The model's priority head.
    PriorityHead,
    /// A diagnosis at or above its threshold.
    Finding,
    /// Several diagnoses together.
    Combination,
    /// No diagnosis reached its threshold.
    NoFinding,
}

/// A diagnosis at or above its threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// As the model spells it.
    pub label: String,
    /// For people.
    pub name: String,
    /// Diagnostic category of the published study.
    #[serde(default)]
    pub category: String,
    /// Logit minus threshold; no probability.
    pub margin: f32,
    /// Where the bundle carries a calibration.
    pub probability: Option<f32>,
    /// By its rule.
    pub acuity: Acuity,
}

/// A service that should see the patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referral {
    /// Such as `neurosurgery`.
    pub service: String,
    /// The highest that any rule gave.
    pub urgency: Urgency,
    /// One sentence per rule, the most urgent first.
    pub reason: String,
    /// Labels it rests on; empty when the model alone recommends it.
    pub findings: Vec<String>,
}

impl Tables {
    /// Applies the rules to the scores of a study. A label that is withheld is as if the model did
    /// not have it, in combinations too.
    ///
    /// # Errors
    ///
    /// When there is no rule for a label or class ([`Tables::check`] finds that when a bundle is
    /// loaded), or a score is not a finite number.
    pub fn assess(&self, scores: &StudyScores) -> Result<Assessment, RulesError> {
        let mut reasons: Vec<(Acuity, Reason)> = Vec::new();
        let mut referrals: Vec<Referral> = Vec::new();

        let rules = &self.referral;
        if let Some((class, acuity)) = rules.top_class(&scores.priority)? {
            let text = format!("the model's priority: {class}");
            reasons.push((acuity, Reason { source: ReasonSource::PriorityHead, text }));
        }
        let mut findings = Vec::new();
        for score in &scores.diagnosis {
            let (rule, label) = (rules.label(&score.name)?, self.labels.label(&score.name)?);
            if !is_positive(score)? || label.is_withheld() {
                continue;
            }
            let acuity = rule.acuity_at(score.margin);
            let name = display_name(&score.name);
            let source = ReasonSource::Finding;
            reasons.push((acuity, Reason { source, text: name.clone() }));
            let rests_on = [score.name.clone()];
            referrals.extend(rule.referral.iter().map(|r| r.refer(&rests_on)));
            findings.push(Finding {
                label: score.name.clone(),
                name,
                category: label.category().to_owned(),
                margin: score.margin,
                probability: score.probability,
                acuity,
            });
        }
        for rule in rules.combinations() {
            let labels = rule.labels.get_ref();
            if labels.iter().all(|label| findings.iter().any(|f| f.label == *label)) {
                let names: Vec<_> = labels.iter().map(|label| display_name(label)).collect();
                let source = ReasonSource::Combination;
                reasons.push((rule.acuity, Reason { source, text: names.join(" with ") }));
                referrals.push(rule.referral.refer(labels));
            }
        }
        for score in &scores.referral {
            if is_positive(score)? {
                referrals.push(rules.model_referral(&score.name));
            }
        }

        if reasons.is_empty() {
            let text = "no finding at or above its threshold".to_owned();
            reasons.push((Acuity::None, Reason { source: ReasonSource::NoFinding, text }));
        }
        let acuity = reasons.iter().map(|(acuity, _)| *acuity).max().unwrap_or(Acuity::None);
        reasons.retain(|(from, _)| *from == acuity);
        findings.sort_by(|a, b| b.acuity.cmp(&a.acuity).then(b.margin.total_cmp(&a.margin)));
        Ok(Assessment {
            acuity,
            acuity_from: reasons.into_iter().map(|(_, reason)| reason).collect(),
            findings,
            referrals: by_service(referrals),
            rules_version: rules.head().version.clone(),
            rules_approver: rules.head().approver.clone(),
            rules_sha256: rules.head().sha256.clone(),
            withheld: self.labels.withheld(),
            labels: self.labels.head().clone(),
        })
    }
}

impl Rules {
    /// The class with the highest logit; of equal ones that of the highest acuity.
    fn top_class<'a>(
        &self,
        classes: &'a [ClassScore],
    ) -> Result<Option<(&'a str, Acuity)>, RulesError> {
        let mut top: Option<(f32, Acuity, &str)> = None;
        for ClassScore { name, logit, .. } in classes {
            let acuity = self.class(name)?;
            finite(name, *logit)?;
            if top.is_none_or(|(best, a, _)| *logit > best || (*logit >= best && acuity > a)) {
                top = Some((*logit, acuity, name));
            }
        }
        Ok(top.map(|(_, acuity, name)| (name, acuity)))
    }
}

/// A NaN compares as negative, which would hide a finding without a word.
fn is_positive(score: &LabelScore) -> Result<bool, RulesError> {
    finite(&score.name, score.margin)?;
    Ok(score.is_positive())
}

fn finite(name: &str, value: f32) -> Result<(), RulesError> {
    if value.is_finite() { Ok(()) } else { Err(RulesError::NotFinite { name: name.to_owned() }) }
}

/// Merges referrals to the same service. The sort is stable, so that equal urgencies keep the
/// order of the model's labels, with combinations and the model's own recommendations after them.
fn by_service(mut drafts: Vec<Referral>) -> Vec<Referral> {
    drafts.sort_by_key(|draft| Reverse(draft.urgency));
    let mut referrals: Vec<Referral> = Vec::new();
    for draft in drafts {
        let Some(known) = referrals.iter_mut().find(|r| r.service == draft.service) else {
            referrals.push(draft);
            continue;
        };
        if !known.reason.contains(&draft.reason) {
            known.reason.push(' ');
            known.reason.push_str(&draft.reason);
        }
        for label in draft.findings {
            if !known.findings.contains(&label) {
                known.findings.push(label);
            }
        }
    }
    referrals
}
