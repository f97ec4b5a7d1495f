//! Messages, letter by letter.

use std::path::Path;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use models::dicom::parse::parse_bytes;

use super::super::content::put;
use super::super::oru::{Message, Parties, control_id};
use super::report::{assessment, result};

fn written(attributes: &[(Tag, VR, &str)], findings: bool) -> String {
    message(attributes, findings, false)
}

fn message(attributes: &[(Tag, VR, &str)], findings: bool, partial: bool) -> String {
    let mut object = InMemDicomObject::new_empty();
    put(&mut object, tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
    put(&mut object, tags::SOP_CLASS_UID, VR::UI, uids::MR_IMAGE_STORAGE);
    put(&mut object, tags::SOP_INSTANCE_UID, VR::UI, "1.5.1.9");
    put(&mut object, tags::STUDY_INSTANCE_UID, VR::UI, "1.5");
    for (tag, vr, value) in attributes {
        put(&mut object, *tag, *vr, value);
    }
    let bytes = super::super::write(object, uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    let image = parse_bytes(Path::new("image"), bytes).unwrap();
    let message = Message {
        identity: &image.data,
        finished_at: 1_795_480_260_000,
        result: &result(),
        assessment: &assessment(findings),
        model_digest: "0123456789abcdef0123",
        partial,
        parties: &Parties {
            sending_application: "PRIMA".to_owned(),
            sending_facility: "Klinik & Praxis".to_owned(),
            receiving_application: "RIS".to_owned(),
            receiving_facility: String::new(),
        },
        control_id: "12345678901234567890",
    };
    message.write().replace('\r', "\n")
}

#[test]
fn a_message_says_what_the_report_says() {
    let said = written(
        &[
            (tags::PATIENT_NAME, VR::PN, "Ó|Neil^Ann^M^Dr^Jr=x=y"),
            (tags::PATIENT_ID, VR::LO, "MRN^7"),
            (tags::ISSUER_OF_PATIENT_ID, VR::LO, "CLINIC"),
            (tags::PATIENT_BIRTH_DATE, VR::DA, "19700203"),
            (tags::PATIENT_SEX, VR::CS, "F"),
            (tags::ACCESSION_NUMBER, VR::SH, "ACC1"),
            (tags::PLACER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST, VR::LO, "PL1"),
            (tags::REFERRING_PHYSICIAN_NAME, VR::PN, "Haus"),
            (tags::STUDY_DATE, VR::DA, "20261123"),
            (tags::STUDY_TIME, VR::TM, "221500.250"),
        ],
        true,
    );
    let expected = r"MSH|^~\&|PRIMA|Klinik \T\ Praxis|RIS||20261124003100+0000||ORU^R01^ORU_R01|12345678901234567890|P|2.5.1||||||UNICODE UTF-8
PID|1||MRN\S\7^^^CLINIC||Ó\F\Neil^Ann^M^Jr^Dr||19700203|F
PV1|1|U||||||^Haus
ORC|RE|PL1|ACC1
OBR|1|PL1|ACC1|24590-2^MR Brain^LN|||20261123221500|||||||||||ACC1||||20261124003100+0000||RAD|P
OBX|1|TX|121106^Comment^DCM||AI result - preliminary - not a diagnosis - not verified||||||P|||20261124003100+0000
OBX|2|ST|110180^Study Instance UID^DCM||1.5||||||P|||20261124003100+0000
OBX|3|NM|structural_mass_effect^structural mass effect^99PRIMA^122157^Probability^DCM|1|0.625000|1^no units^UCUM||A|||P|||20261124003100+0000|||edge-simulated-1^0123456789abcdef^99PRIMA
OBX|4|NM|hydrocephalus^hydrocephalus^99PRIMA^margin^Model output minus its threshold^99PRIMA|2|0.100000|1^no units^UCUM||A|||P|||20261124003100+0000|||edge-simulated-1^0123456789abcdef^99PRIMA
OBX|5|CE|priority^Triage priority^99PRIMA||high^high^99PRIMA||||||P|||20261124003100+0000
OBX|6|TX|priority_from^Reason of the priority^99PRIMA|1|mass effect||||||P|||20261124003100+0000
OBX|7|CE|referral^Referral recommended^99PRIMA|1|neurosurgery^neurosurgery^99PRIMA||||||P|||20261124003100+0000
OBX|8|TX|referral_reason^Reason of the referral^99PRIMA|1|neurosurgery, urgent: Mass effect.||||||P|||20261124003100+0000
OBX|9|TX|121106^Comment^DCM||Trained on simulated studies||||||P|||20261124003100+0000
";
    assert_eq!(said, expected);
}

#[test]
fn a_message_says_that_images_were_missing() {
    let said = message(&[], false, true);
    let expected = r"
OBX|1|TX|121106^Comment^DCM||AI result - preliminary - not a diagnosis - not verified||||||P|||20261124003100+0000
OBX|2|TX|121106^Comment^DCM||announced images were missing; the result is of the images that came||||||P|||20261124003100+0000
OBX|3|ST|110180^Study Instance UID^DCM||1.5||||||P|||20261124003100+0000
";
    assert!(said.contains(expected), "{said}");
    assert!(!written(&[], false).contains("announced"));
}

#[test]
fn what_is_not_known_is_left_out() {
    let said = written(&[(tags::PATIENT_SEX, VR::CS, "X")], false);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[1..4], ["PID|1|||||||U", "PV1|1|U", "ORC|RE||1.5"]);
    let order = "OBR|1||1.5|24590-2^MR Brain^LN||||||||||||||||||20261124003100+0000||RAD|P";
    assert_eq!(lines[4], order);
    assert!(!said.contains("|NM|"), "{said}");
}

#[test]
fn no_text_can_end_its_field() {
    let name = (tags::PATIENT_ID, VR::LO, "a|b^c&d~e\tf");
    let said = written(&[name], false);
    assert!(said.contains("\nPID|1||a\\F\\b\\S\\c\\T\\d\\R\\e f||"), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("PID|")).count(), 1);
}

#[test]
fn a_control_id_is_one_of_a_result_for_a_receiver() {
    let id = control_id("epoch", 1, "RIS");
    assert_eq!((id.len(), &id), (20, &control_id("epoch", 1, "RIS")));
    for other in [
        control_id("epoch", 2, "RIS"),
        control_id("epoch", 1, "PAS"),
        control_id("later", 1, "RIS"),
    ] {
        assert_ne!(id, other);
    }
}
