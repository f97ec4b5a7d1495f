//! What a result asks for, as other systems are told it.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use exchange::flag::{self, Flag, Model, Patient, Study};
use models::dicom::parse::DataSet;

use crate::inference::TriageResult;
use crate::store::deliveries::ResultToSend;
use crate::triage::{Assessment, Finding, Referral};

/// A result as it was shown first: what readers decide on it stays on the box.
pub(super) fn flag(
    found: &ResultToSend,
    identity: &DataSet,
    result: &TriageResult,
    assessment: &Assessment,
) -> Flag {
    let text = |tag: Tag| identity.text(tag).unwrap_or_default();
    Flag {
        asked: true,
        patient: Patient {
            id: text(tags::PATIENT_ID),
            name: text(tags::PATIENT_NAME),
            sex: text(tags::PATIENT_SEX),
            birth_date: text(tags::PATIENT_BIRTH_DATE),
            age_years: None,
            pseudonym: false,
        },
        study: Study {
            uid: found.study_uid.clone(),
            accession: text(tags::ACCESSION_NUMBER),
            date: text(tags::STUDY_DATE),
            description: text(tags::STUDY_DESCRIPTION),
            arrived_ms: 0,
            analysed_ms: found.finished_at,
        },
        acuity: assessment.acuity.word().to_owned(),
        referrals: assessment.referrals.iter().map(referral).collect(),
        findings: assessment.findings.iter().map(finding).collect(),
        model: Model {
            id: result.model.id.clone(),
            sha256: found.model_digest.clone(),
            software: env!("CARGO_PKG_VERSION").to_owned(),
            rules_version: assessment.rules_version.clone(),
            rules_approver: assessment.rules_approver.clone(),
            intended_use: result.model.intended_use.clone(),
        },
        reader: None,
        partial: found.partial,
    }
}

fn referral(referral: &Referral) -> flag::Referral {
    flag::Referral {
        service: referral.service.clone(),
        urgency: referral.urgency.word().to_owned(),
        reason: referral.reason.clone(),
        findings: referral.findings.clone(),
    }
}

fn finding(finding: &Finding) -> flag::Finding {
    flag::Finding {
        label: finding.label.clone(),
        name: finding.name.clone(),
        margin: finding.margin,
        probability: finding.probability,
        acuity: finding.acuity.word().to_owned(),
    }
}
