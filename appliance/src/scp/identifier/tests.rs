//! What identifiers ask for, and which are refused.

use dicom_core::VR;

use super::super::data_set::{push, push_item};
use super::*;

const IMPLICIT: &str = uids::IMPLICIT_VR_LITTLE_ENDIAN;
const STUDY_FIND: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND;
const PATIENT_FIND: &str = uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND;
const STUDY_MOVE: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE;
const PATIENT_GET: &str = uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_GET;

/// Reads an identifier of these elements, which must be in ascending order.
fn read(model: &str, relational: bool, elements: &[(Tag, &[u8])]) -> Result<Identifier, Refusal> {
    let mut bytes = Vec::new();
    for (tag, value) in elements {
        push(&mut bytes, false, *tag, VR::UN, value);
    }
    let context = Context {
        abstract_syntax: model.to_owned(),
        transfer_syntax: IMPLICIT.to_owned(),
        peer_stores: false,
        relational,
    };
    Identifier::read(&bytes, &context)
}

const LEVEL: Tag = tags::QUERY_RETRIEVE_LEVEL;

#[test]
fn keys_of_a_study() {
    let asked = read(
        STUDY_FIND,
        false,
        &[
            (tags::SPECIFIC_CHARACTER_SET, b"ISO_IR 100"),
            (tags::STUDY_DATE, b"20260101-2026.02.01"),
            (tags::STUDY_TIME, b"10:30-"),
            (tags::ACCESSION_NUMBER, b""),
            (LEVEL, b"STUDY"),
            (tags::MODALITIES_IN_STUDY, b"MR\\CT"),
            (tags::PATIENT_NAME, b"M\xDCLLER*"),
            (tags::PATIENT_ID, b"*"),
            (tags::STUDY_INSTANCE_UID, b"1.2\\1.3\0"),
        ],
    )
    .unwrap();
    assert_eq!(asked.level, Level::Study);
    let keys = &asked.keys;
    assert_eq!(keys.study_date, Some(["20260101".to_owned(), "20260201".to_owned()]));
    assert_eq!(keys.study_time, Some(["1030".to_owned(), String::new()]));
    assert_eq!((keys.accession.as_str(), keys.patient_id.as_str()), ("", ""));
    assert_eq!(keys.modalities, ["MR", "CT"]);
    assert_eq!(keys.patient_name, "MÜLLER*");
    assert_eq!(keys.study_uids, ["1.2", "1.3"]);
    assert!(!asked.unmatched);
    assert_eq!(
        asked.attributes,
        [
            tags::STUDY_DATE,
            tags::STUDY_TIME,
            tags::ACCESSION_NUMBER,
            tags::MODALITIES_IN_STUDY,
            tags::PATIENT_NAME,
            tags::PATIENT_ID,
            tags::STUDY_INSTANCE_UID,
        ]
    );
    assert_eq!(asked.said[2], ("(0008,0061)".to_owned(), "MR\\CT".to_owned()));
}

#[test]
fn keys_that_are_not_matched() {
    #[track_caller]
    fn check(tag: Tag, value: &[u8], unmatched: bool) {
        let mut elements = [(LEVEL, &b"STUDY"[..]), (tag, value)];
        elements.sort_by_key(|(tag, _)| *tag);
        assert_eq!(read(STUDY_FIND, false, &elements).unwrap().unmatched, unmatched);
    }
    check(tags::STUDY_ID, b"", false);
    check(tags::STUDY_ID, b"*", false);
    check(tags::STUDY_ID, b"7", true);
    // Of a level below.
    check(tags::MODALITY, b"MR", true);
    check(tags::PATIENT_BIRTH_DATE, b"19700101", false);
    check(tags::PATIENT_BIRTH_DATE, b"19700101-", true);
    // A private attribute is neither matched nor answered.
    check(Tag(0x0009, 0x1001), b"x", false);
    let sequence = tags::REQUEST_ATTRIBUTES_SEQUENCE;
    check(sequence, b"", false);
    let mut item = Vec::new();
    push(&mut item, false, tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, b"1");
    let mut items = Vec::new();
    push_item(&mut items, &item);
    check(sequence, &items, true);
}

#[test]
fn what_does_not_fit_the_level() {
    #[track_caller]
    fn check(model: &str, relational: bool, elements: &[(Tag, &[u8])], expected: &str) {
        let said = read(model, relational, elements).map_err(|refusal| refusal.comment);
        assert_eq!(said.err().unwrap_or_default(), expected);
        let Err(refusal) = read(model, relational, elements) else { return };
        assert_eq!(refusal.status, status::IDENTIFIER_MISMATCH);
    }
    let study = |uids: &'static [u8]| (tags::STUDY_INSTANCE_UID, uids);
    let series = |uids: &'static [u8]| (tags::SERIES_INSTANCE_UID, uids);
    let sop = |uids: &'static [u8]| (tags::SOP_INSTANCE_UID, uids);
    let patient = |id: &'static [u8]| (tags::PATIENT_ID, id);
    check(STUDY_FIND, false, &[], "level \"\" is not in this model");
    let none = "level \"PATIENT\" is not in this model";
    check(STUDY_FIND, false, &[(LEVEL, b"PATIENT")], none);
    check(PATIENT_FIND, false, &[(LEVEL, b"PATIENT")], "");
    let needs_study = "level SERIES needs one Study Instance UID";
    check(STUDY_FIND, false, &[(LEVEL, b"SERIES")], needs_study);
    check(STUDY_FIND, false, &[(LEVEL, b"SERIES"), study(b"1.2\\1.3")], needs_study);
    check(STUDY_FIND, false, &[(LEVEL, b"SERIES"), study(b"1.*")], needs_study);
    check(STUDY_FIND, false, &[(LEVEL, b"SERIES"), study(b"1.2")], "");
    check(STUDY_FIND, true, &[(LEVEL, b"SERIES")], "");
    let needs_series = "level IMAGE needs one Series Instance UID";
    check(STUDY_FIND, false, &[(LEVEL, b"IMAGE"), study(b"1.2")], needs_series);
    let needs_patient = "level STUDY needs one Patient ID";
    check(PATIENT_FIND, false, &[(LEVEL, b"STUDY")], needs_patient);
    check(PATIENT_FIND, false, &[(LEVEL, b"STUDY"), patient(b"7")], "");
    // A retrieval names what it wants.
    check(STUDY_MOVE, false, &[(LEVEL, b"STUDY")], "level STUDY needs one Study Instance UID");
    check(STUDY_MOVE, false, &[(LEVEL, b"STUDY"), study(b"1.2\\1.3")], "");
    check(STUDY_MOVE, true, &[(LEVEL, b"SERIES"), series(b"1.2.3")], "");
    let whole = [(LEVEL, &b"IMAGE"[..]), study(b"1.2"), series(b"1.2.3"), sop(b"1.4\\1.5")];
    check(STUDY_MOVE, false, &whole, "");
    check(PATIENT_GET, false, &[(LEVEL, b"PATIENT"), patient(b"7")], "");
    let needs_patient = "level PATIENT needs one Patient ID";
    check(PATIENT_GET, true, &[(LEVEL, b"PATIENT"), patient(b"7*")], needs_patient);
    let one_id = "(0010,0020) takes one value";
    check(PATIENT_GET, true, &[(LEVEL, b"PATIENT"), patient(b"7\\8")], one_id);
    check(STUDY_FIND, true, &[(LEVEL, b"STUDY"), patient(b"7\\*")], one_id);
    // Below the level that is asked for nothing is looked at.
    check(STUDY_FIND, true, &[(LEVEL, b"STUDY"), (tags::MODALITY, b"MR\\CT")], "");
}

#[test]
fn retrievals_go_by_unique_keys_alone() {
    let asked = read(
        STUDY_MOVE,
        false,
        &[
            (LEVEL, b"STUDY"),
            (tags::MODALITY, b"MR"),
            (tags::PATIENT_NAME, b"DOE"),
            (tags::PATIENT_ID, b"7"),
            (tags::STUDY_INSTANCE_UID, b"1.2"),
        ],
    )
    .unwrap();
    let keys = asked.keys;
    assert_eq!((keys.modality, keys.patient_name, keys.patient_id), Default::default());
    assert_eq!(keys.study_uids, ["1.2"]);
}

#[test]
fn what_cannot_be_processed() {
    #[track_caller]
    fn check(tag: Tag, value: &[u8], expected: &str) {
        let mut elements = [(LEVEL, &b"STUDY"[..]), (tag, value)];
        elements.sort_by_key(|(tag, _)| *tag);
        let refusal = read(STUDY_FIND, false, &elements).unwrap_err();
        assert_eq!((refusal.status, refusal.comment.as_str()), (0xC001, expected));
    }
    check(tags::STUDY_DATE, b"2026", "Study Date is no value and no range");
    check(tags::STUDY_DATE, b"-", "Study Date is no value and no range");
    check(tags::STUDY_DATE, b"2026010a", "Study Date is no value and no range");
    check(tags::STUDY_TIME, b"1", "Study Time is no value and no range");
    let long = "(0010,0010) is longer than 1024 characters";
    check(tags::PATIENT_NAME, &[b'A'; 1025], long);
    let context = Context {
        abstract_syntax: STUDY_FIND.to_owned(),
        transfer_syntax: IMPLICIT.to_owned(),
        peer_stores: false,
        relational: false,
    };
    let cut = Identifier::read(b"\x08\0\x52\0\xff\xff\0\0", &context).unwrap_err();
    assert_eq!((cut.status, cut.comment.as_str()), (0xC001, "the identifier cannot be read"));
}
