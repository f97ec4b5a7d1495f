//! C-FIND as SCU (PS3.4 C.4.1): which studies of a patient an archive has.
//!
//! Patient IDs with `*` or `?` are patterns to an archive, and some match without regard to case:
//! an answer counts when it has the very ID, and no birth date that contradicts.

use std::collections::BTreeMap;
use std::time::Duration;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use models::dicom::parse::DataSet;
use serde_json::json;
use tokio::task::block_in_place;
use tokio::time::timeout;

use super::data_set;
use super::dimse::{self, Value, WITH_DATA_SET, element, field};
use super::pdu::{Ended, p_data};
use super::requestor::{Accepted, OpenError, Proposal, Requestor};
use super::send::MEDIUM;
use super::{Destination, Scp, status};
use crate::fault::chain;
use crate::store::StoreError;
use crate::store::audit::Entry;
use crate::store::events::Level;
use crate::store::priors::{PriorElsewhere, PriorsDue};

const FIND: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND;
/// Studies of one patient that are kept, the newest.
const MAX_STUDIES: usize = 100;
/// Longest identifier of an answer; ten short values come.
const MAX_IDENTIFIER: usize = 64 << 10;
/// Longest text that is kept: VR LO and VR UI have 64 characters.
const MAX_TEXT: usize = 64;
/// Modalities of a study that are kept.
const MAX_MODALITIES: usize = 16;
/// Longest wait for all answers.
const LONGEST: Duration = Duration::from_secs(60);
/// Pause after a refusal.
const REFUSED: Duration = Duration::from_secs(600);

/// Why an archive cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no association.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It answers no queries, or not ours.
    #[error("it takes no queries from us (Study Root, C-FIND)")]
    NotOffered,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why one question has no answer.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("the association failed during the answers")]
    Broken(#[from] Ended),
    #[error("the answers took longer than {} s", LONGEST.as_secs())]
    TooLong,
    /// What it says besides may quote the patient.
    #[error("it refused the query with status {status:04X}H")]
    Refused { status: u16 },
}

impl Scp {
    /// Asks the archive `called` for the prior studies that are due; about how many studies it
    /// answered. What it refuses is asked again later.
    ///
    /// # Errors
    ///
    /// When it cannot be asked at all, or the database fails.
    pub async fn ask_for_priors(
        &self,
        destination: &Destination,
        (calling, called): (&str, &str),
    ) -> Result<usize, AskError> {
        let (store, idle) = (&self.shared.store, self.shared.config.limits.idle);
        let syntaxes = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
        let contexts: [(&str, &[&str]); 1] = [(FIND, &syntaxes)];
        let mut answered = 0;
        for due in block_in_place(|| store.priors_due())? {
            let proposal = Proposal { calling, called, contexts: &contexts, roles: Vec::new() };
            let mut association = Requestor::open(&self.shared, destination, proposal).await?;
            let Some(context) = association.contexts.first().cloned().flatten() else {
                association.release().await;
                return Err(AskError::NotOffered);
            };
            // Before the Patient ID leaves.
            let (object, detail) = (format!("study {}", due.study_id), json!({"to": called}));
            let actor = "appliance";
            let entry = Entry { actor, action: "query.sent", object: &object, detail: &detail };
            block_in_place(|| store.audit(&entry))?;
            let asking = ask(&mut association, &context, (&due, called), idle);
            let answer = timeout(LONGEST, asking).await.unwrap_or(Err(Unanswered::TooLong));
            match answer {
                Ok(found) => {
                    association.release().await;
                    block_in_place(|| store.priors_found(due.study_id, &found))?;
                    answered += 1;
                }
                Err(error) => block_in_place(|| self.unanswered(&due, called, &error))?,
            }
        }
        Ok(answered)
    }

    fn unanswered(
        &self,
        due: &PriorsDue,
        called: &str,
        error: &Unanswered,
    ) -> Result<(), StoreError> {
        self.shared.store.priors_refused(due.study_id, REFUSED)?;
        if due.refused {
            return Ok(());
        }
        let (study, error) = (due.study_id, chain(error));
        let text =
            format!("{called} did not say which prior studies of study {study} it has: {error}");
        self.shared.store.note(Level::Warning, "priors", &text)
    }
}

/// Asks one question and waits for all answers.
async fn ask(
    association: &mut Requestor,
    context: &Accepted,
    (due, archive): (&PriorsDue, &str),
    idle: Duration,
) -> Result<Vec<PriorElsewhere>, Unanswered> {
    let command = dimse::encode(&[
        (element::AFFECTED_CLASS, Value::Uid(FIND)),
        (element::FIELD, Value::Number(field::C_FIND_RQ)),
        (element::MESSAGE_ID, Value::Number(1)),
        (element::PRIORITY, Value::Number(MEDIUM)),
        (element::DATA_SET_TYPE, Value::Number(WITH_DATA_SET)),
    ]);
    let syntax = context.transfer_syntax.as_str();
    let identifier = identifier(&due.patient_id, data_set::is_explicit(syntax));
    let (mut message, max_pdu) = (Vec::new(), association.max_pdu);
    p_data(&mut message, context.id, true, &command, max_pdu);
    p_data(&mut message, context.id, false, &identifier, max_pdu);
    let mut found = BTreeMap::new();
    let take = |bytes: &[u8]| {
        // An answer that cannot be read says nothing; the others do.
        let read = data_set::read(bytes, syntax, |data| study(data, due, archive));
        if let Some(study) = read.ok().flatten() {
            let key = (study.study_date.clone(), study.study_time.clone(), study.uid.clone());
            found.insert(key, study);
        }
        if found.len() > MAX_STUDIES {
            found.pop_first();
        }
    };
    let last =
        association.answers(&message, (field::C_FIND_RQ, MAX_IDENTIFIER), idle, take).await?;
    if last.status != status::SUCCESS {
        return Err(Unanswered::Refused { status: last.status });
    }
    Ok(found.into_values().collect())
}

/// What is asked: all studies with this Patient ID, and what of them.
fn identifier(patient_id: &str, explicit: bool) -> Vec<u8> {
    let charset = if patient_id.is_ascii() { None } else { Some("ISO_IR 192") };
    let charset = charset.map(|name| (tags::SPECIFIC_CHARACTER_SET, VR::CS, name));
    let keys = [
        (tags::STUDY_DATE, VR::DA, ""),
        (tags::STUDY_TIME, VR::TM, ""),
        (tags::ACCESSION_NUMBER, VR::SH, ""),
        (tags::QUERY_RETRIEVE_LEVEL, VR::CS, "STUDY"),
        (tags::MODALITIES_IN_STUDY, VR::CS, ""),
        (tags::STUDY_DESCRIPTION, VR::LO, ""),
        (tags::PATIENT_ID, VR::LO, patient_id),
        (tags::PATIENT_BIRTH_DATE, VR::DA, ""),
        (tags::STUDY_INSTANCE_UID, VR::UI, ""),
    ];
    let mut bytes = Vec::with_capacity(256);
    for (tag, vr, value) in charset.into_iter().chain(keys) {
        data_set::push(&mut bytes, explicit, tag, vr, value.as_bytes());
    }
    bytes
}

/// A study of an answer; none when it is another patient's.
fn study(data: &DataSet, due: &PriorsDue, archive: &str) -> Option<PriorElsewhere> {
    let cut = |text: String| text.chars().take(MAX_TEXT).collect::<String>();
    let text = |tag| data.text(tag).unwrap_or_default();
    let (patient_id, birth_date) = (text(tags::PATIENT_ID), text(tags::PATIENT_BIRTH_DATE));
    let contradicts =
        !birth_date.is_empty() && !due.birth_date.is_empty() && birth_date != due.birth_date;
    let uid = cut(text(tags::STUDY_INSTANCE_UID));
    if patient_id != due.patient_id || contradicts || uid.is_empty() {
        return None;
    }
    let modalities = data.texts(tags::MODALITIES_IN_STUDY).into_iter().map(cut);
    Some(PriorElsewhere {
        uid,
        study_date: cut(text(tags::STUDY_DATE)),
        study_time: cut(text(tags::STUDY_TIME)),
        description: cut(text(tags::STUDY_DESCRIPTION)),
        accession: cut(text(tags::ACCESSION_NUMBER)),
        modalities: modalities.filter(|word| !word.is_empty()).take(MAX_MODALITIES).collect(),
        archive: archive.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the attributes come back from an answer in ISO 8859-1.
    #[track_caller]
    fn check(patient_id: &str, birth_date: &str, expected: Option<(&str, &[&str])>) {
        let due = PriorsDue {
            study_id: 1,
            patient_id: "P7*".to_owned(),
            birth_date: "19700101".to_owned(),
            refused: false,
        };
        let mut bytes = Vec::new();
        for (tag, vr, value) in [
            (tags::SPECIFIC_CHARACTER_SET, VR::CS, &b"ISO_IR 100"[..]),
            (tags::MODALITIES_IN_STUDY, VR::CS, &b"MR\\SR"[..]),
            (tags::STUDY_DESCRIPTION, VR::LO, &b"Sch\xE4del"[..]),
            (tags::PATIENT_ID, VR::LO, patient_id.as_bytes()),
            (tags::PATIENT_BIRTH_DATE, VR::DA, birth_date.as_bytes()),
            (tags::STUDY_INSTANCE_UID, VR::UI, &b"1.2.3"[..]),
        ] {
            data_set::push(&mut bytes, true, tag, vr, value);
        }
        let syntax = uids::EXPLICIT_VR_LITTLE_ENDIAN;
        let found = data_set::read(&bytes, syntax, |data| study(data, &due, "PACS")).unwrap();
        let found = found.map(|study| (study.description, study.modalities));
        let expected = expected.map(|(description, modalities)| {
            (
                description.to_owned(),
                modalities.iter().map(|&word| word.to_owned()).collect::<Vec<_>>(),
            )
        });
        assert_eq!(found, expected, "{patient_id} {birth_date}");
    }

    #[test]
    fn answers_about_others_do_not_count() {
        let whole = Some(("Sch\u{e4}del", &["MR", "SR"][..]));
        check("P7*", "19700101", whole);
        check("P7*", "", whole);
        check("P7*", "20100101", None);
        check("P71", "19700101", None);
        check("", "19700101", None);
    }
}
