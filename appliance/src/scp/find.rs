//! C-FIND: an answer for each match (PS3.4 C.4.1).

use std::collections::BTreeMap;

use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use tokio::task::block_in_place;

use super::data_set;
use super::dialogue::Dialogue;
use super::identifier::{Identifier, Level};
use super::pdu::Ended;
use super::status::{self, Refusal};
use crate::fault::chain;
use crate::store::catalogue::{InstanceEntry, PatientEntry, SeriesEntry, StudyEntry, Window};
use crate::store::{Store, StoreError};

/// Most answers to one query: all of them are held while they are sent.
const MAX_ANSWERS: usize = 10_000;

/// Answers a query, unless it is refused or has more matches than are sent.
pub(super) async fn find(
    dialogue: &mut Dialogue<'_>,
    store: &Store,
    asked: &Identifier,
    (title, transfer_syntax): (&str, &str),
) -> Result<Result<(), Refusal>, Ended> {
    let matches = match block_in_place(|| search(store, asked)) {
        Ok(matches) => matches,
        Err(error) => return Ok(Err(failed(&error))),
    };
    let pending = if asked.unmatched { status::PENDING_UNMATCHED } else { status::PENDING };
    for found in matches.iter().take(MAX_ANSWERS) {
        if dialogue.is_cancelled().await? {
            return dialogue.answer(status::CANCELLED, &[], None).await.map(Ok);
        }
        let data_set = answer(found, asked, title, transfer_syntax);
        dialogue.answer(pending, &[], Some(&data_set)).await?;
    }
    if matches.len() > MAX_ANSWERS {
        let comment = format!("more than {MAX_ANSWERS} matches, narrow the query");
        return Ok(Err(Refusal::new(status::OUT_OF_RESOURCES, comment)));
    }
    dialogue.answer(status::SUCCESS, &[], None).await.map(Ok)
}

pub(super) fn failed(error: &StoreError) -> Refusal {
    Refusal {
        detail: chain(error),
        ..Refusal::new(status::UNABLE_TO_PROCESS, "the index cannot be read")
    }
}

/// One match.
enum Match {
    Patient(PatientEntry),
    Study(StudyEntry),
    Series(SeriesEntry),
    Instance(InstanceEntry),
}

/// The matches, and one more than may be sent if there are so many.
fn search(store: &Store, asked: &Identifier) -> Result<Vec<Match>, StoreError> {
    let window = Window { offset: 0, limit: MAX_ANSWERS + 1 };
    let keys = &asked.keys;
    Ok(match asked.level {
        Level::Patient => {
            store.find_patients(keys, window)?.into_iter().map(Match::Patient).collect()
        }
        Level::Study => store.find_studies(keys, window)?.into_iter().map(Match::Study).collect(),
        Level::Series => store.find_series(keys, window)?.into_iter().map(Match::Series).collect(),
        Level::Image => {
            store.find_instances(keys, window)?.into_iter().map(Match::Instance).collect()
        }
    })
}

/// The identifier of an answer: what was asked for, empty where it is not known.
fn answer(found: &Match, asked: &Identifier, title: &str, transfer_syntax: &str) -> Vec<u8> {
    let known = |tag: &Tag| (*tag, value(found, *tag).unwrap_or_default());
    let mut elements: BTreeMap<Tag, String> = asked.attributes.iter().map(known).collect();
    elements.insert(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 192".to_owned());
    elements.insert(tags::QUERY_RETRIEVE_LEVEL, asked.level.word().to_owned());
    elements.insert(tags::RETRIEVE_AE_TITLE, title.to_owned());
    let explicit = data_set::is_explicit(transfer_syntax);
    let mut data_set = Vec::with_capacity(512);
    for (tag, value) in elements {
        let vr = StandardDataDictionary.by_tag(tag).map_or(VR::UN, |entry| entry.vr().relaxed());
        data_set::push(&mut data_set, explicit, tag, vr, value.as_bytes());
    }
    data_set
}

/// What a match says of an attribute of its own level or one above.
fn value(found: &Match, tag: Tag) -> Option<String> {
    if tag == tags::INSTANCE_AVAILABILITY {
        return Some("ONLINE".to_owned());
    }
    match found {
        Match::Patient(patient) => of_patient(patient, tag),
        Match::Study(study) => of_study(study, tag),
        Match::Series(series) => of_series(series, tag),
        Match::Instance(instance) => match tag {
            tags::SOP_INSTANCE_UID => Some(instance.sop_uid.clone()),
            tags::SOP_CLASS_UID => Some(instance.sop_class.clone()),
            _ => of_series(&instance.series, tag),
        },
    }
}

fn of_patient(patient: &PatientEntry, tag: Tag) -> Option<String> {
    Some(match tag {
        tags::PATIENT_ID => patient.patient_id.clone(),
        tags::PATIENT_NAME => patient.patient_name.clone(),
        tags::PATIENT_BIRTH_DATE => patient.birth_date.clone(),
        tags::PATIENT_SEX => patient.sex.clone(),
        tags::NUMBER_OF_PATIENT_RELATED_STUDIES => patient.n_studies.to_string(),
        _ => return None,
    })
}

fn of_study(study: &StudyEntry, tag: Tag) -> Option<String> {
    Some(match tag {
        tags::PATIENT_ID => study.patient_id.clone(),
        tags::PATIENT_NAME => study.patient_name.clone(),
        tags::PATIENT_BIRTH_DATE => study.birth_date.clone(),
        tags::PATIENT_SEX => study.sex.clone(),
        tags::STUDY_INSTANCE_UID => study.uid.clone(),
        tags::STUDY_DATE => study.study_date.clone(),
        tags::STUDY_TIME => study.study_time.clone(),
        tags::ACCESSION_NUMBER => study.accession.clone(),
        tags::STUDY_DESCRIPTION => study.description.clone(),
        tags::REFERRING_PHYSICIAN_NAME => study.referring_physician.clone(),
        tags::MODALITIES_IN_STUDY => study.modalities.join("\\"),
        tags::NUMBER_OF_STUDY_RELATED_SERIES => study.n_series.to_string(),
        tags::NUMBER_OF_STUDY_RELATED_INSTANCES => study.n_instances.to_string(),
        _ => return None,
    })
}

fn of_series(series: &SeriesEntry, tag: Tag) -> Option<String> {
    Some(match tag {
        tags::SERIES_INSTANCE_UID => series.uid.clone(),
        tags::SERIES_NUMBER => series.number.map_or_else(String::new, |n| n.to_string()),
        tags::SERIES_DESCRIPTION => series.description.clone(),
        tags::MODALITY => series.modality.clone(),
        tags::NUMBER_OF_SERIES_RELATED_INSTANCES => series.n_instances.to_string(),
        _ => return of_study(&series.study, tag),
    })
}
