//! What a result asks for, as other systems are told it.

use std::collections::BTreeSet;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use exchange::flag::{Flag, Model, Patient, Study};
use models::dicom::parse::DataSet;

use crate::inference::TriageResult;
use crate::store::deliveries::ResultToSend;
use crate::store::outbox::{finding, referral};
use crate::triage::Assessment;

/// A result as it was shown first: what readers decide on it stays on the box.
pub(super) fn flag(
    found: &ResultToSend,
    identity: &DataSet,
    result: &TriageResult,
    assessment: &Assessment,
) -> Flag {
    let none = BTreeSet::new();
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
        referrals: assessment.referrals.iter().filter_map(|asked| referral(asked, &none)).collect(),
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
