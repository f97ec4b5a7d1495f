//! P0: what the hospital is told of a referral.

use std::collections::BTreeSet;

use exchange::flag::{self, Flag, Model, Patient, Reader, Study};

use super::Profile;
use super::study::{Analysed, Decided, StudyNow};
use crate::triage::{Acuity, Finding, Referral};

/// Highest age that a pseudonym has: the few who are older could be told by it.
const OLDEST: u32 = 90;

/// The referral as it stands. `basis` is the result that it rests on; without one nobody is asked.
pub(super) fn of(study: &StudyNow, basis: Option<&Analysed>, profile: &Profile) -> Flag {
    let mut flag = Flag {
        patient: patient(study, profile),
        study: examined(study, profile),
        acuity: study.acuity.clone().unwrap_or_else(|| Acuity::None.word().to_owned()),
        reader: reader(&study.decisions, profile),
        ..Flag::default()
    };
    let Some(basis) = basis else { return flag };
    let refuted = refuted(&study.decisions);
    let assessment = &basis.assessment;
    flag.study.analysed_ms = basis.finished_at;
    flag.partial = basis.partial;
    flag.referrals = assessment.referrals.iter().filter_map(|r| referral(r, &refuted)).collect();
    let findings = assessment.findings.iter().filter(|f| !refuted.contains(f.label.as_str()));
    flag.findings = findings.map(finding).collect();
    flag.model = Model {
        id: basis.model_id.clone(),
        sha256: basis.model_digest.clone(),
        software: env!("CARGO_PKG_VERSION").to_owned(),
        rules_version: assessment.rules_version.clone(),
        rules_approver: assessment.rules_approver.clone(),
        intended_use: basis.intended_use.clone(),
    };
    flag.asked = !flag.referrals.is_empty() && !dismissed(study);
    flag
}

/// Two bodies differ in nothing that the hospital has to hear: a new program alone is no news.
pub(super) fn says_the_same(one: &str, other: &str) -> bool {
    let read = |body: &str| {
        let mut flag: Flag = serde_json::from_str(body).ok()?;
        flag.model.software.clear();
        Some(flag)
    };
    match (read(one), read(other)) {
        // A reader who withdraws again what is withdrawn asks no more than before.
        (Some(one), Some(other)) => one == other || !(one.asked || other.asked),
        _ => false,
    }
}

fn patient(study: &StudyNow, profile: &Profile) -> Patient {
    let age = study.age_years();
    let sex = study.sex().to_owned();
    if profile.pseudonym {
        return Patient {
            id: profile.patient_name(&study.patient_id),
            sex,
            age_years: age.map(|age| age.min(OLDEST)),
            pseudonym: true,
            ..Patient::default()
        };
    }
    Patient {
        id: study.patient_id.clone(),
        name: study.patient_name.clone(),
        sex,
        birth_date: study.birth_date.clone(),
        age_years: age,
        pseudonym: false,
    }
}

/// Under a pseudonym also without description: people type names into it.
fn examined(study: &StudyNow, profile: &Profile) -> Study {
    let unless = |text: &String| if profile.pseudonym { String::new() } else { text.clone() };
    Study {
        uid: profile.study_name(&study.uid),
        accession: unless(&study.accession),
        date: unless(&study.study_date),
        description: unless(&study.description),
        arrived_ms: study.first_at,
        analysed_ms: 0,
    }
}

/// Labels that a reader disagrees with.
fn refuted(decisions: &[Decided]) -> BTreeSet<&str> {
    let refuted = decisions.iter().filter(|d| d.kind == "disagree");
    refuted.map(|d| d.finding.as_str()).collect()
}

/// The reader set that nothing was found.
fn dismissed(study: &StudyNow) -> bool {
    let none = Acuity::None.word();
    study.acuity.as_deref() == Some(none)
        && study.decisions.iter().any(|d| d.kind == "reprioritise" && d.value == none)
}

/// As the hospital is told of it; `None` when a reader disagrees with all that it rests on.
pub(crate) fn referral(referral: &Referral, refuted: &BTreeSet<&str>) -> Option<flag::Referral> {
    let left = referral.findings.iter().filter(|label| !refuted.contains(label.as_str()));
    let findings: Vec<String> = left.cloned().collect();
    if findings.is_empty() && !referral.findings.is_empty() {
        return None;
    }
    Some(flag::Referral {
        service: referral.service.clone(),
        urgency: referral.urgency.word().to_owned(),
        reason: referral.reason.clone(),
        findings,
    })
}

/// As the hospital is told of it.
pub(crate) fn finding(finding: &Finding) -> flag::Finding {
    flag::Finding {
        label: finding.label.clone(),
        name: finding.name.clone(),
        margin: finding.margin,
        probability: finding.probability,
        acuity: finding.acuity.word().to_owned(),
    }
}

/// What the clinic's reader decided, in words. A typed reason may name the patient; who reads there
/// is no secret of a patient, and the hospital calls them.
fn reader(decisions: &[Decided], profile: &Profile) -> Option<Reader> {
    let latest = decisions.last()?;
    let decision = |d: &Decided| {
        let said = match d.kind.as_str() {
            "agree" => format!("agrees: {}", d.finding),
            "disagree" => format!("disagrees: {}", d.finding),
            "reprioritise" => format!("acuity {}", d.value),
            _ => "has read the study".to_owned(),
        };
        let tell = !(profile.pseudonym || d.reason.is_empty());
        if tell { format!("{said} ({})", d.reason) } else { said }
    };
    Some(Reader {
        name: latest.actor.clone(),
        decision: decisions.iter().map(decision).collect::<Vec<_>>().join("; "),
        at_ms: latest.at,
    })
}
