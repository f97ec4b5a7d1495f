//! Whose result it is: the patient and study modules of an image, copied so that an archive files
//! the result beside the images (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2).

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use models::dicom::parse::DataSet;

use super::content::{put, sequence};

/// Written even when they are empty (type 2), in the order of the modules.
const ALWAYS: &[(Tag, VR)] = &[
    (tags::PATIENT_NAME, VR::PN),
    (tags::PATIENT_ID, VR::LO),
    (tags::PATIENT_BIRTH_DATE, VR::DA),
    (tags::PATIENT_SEX, VR::CS),
    (tags::STUDY_INSTANCE_UID, VR::UI),
    (tags::STUDY_DATE, VR::DA),
    (tags::STUDY_TIME, VR::TM),
    (tags::REFERRING_PHYSICIAN_NAME, VR::PN),
    (tags::STUDY_ID, VR::SH),
    (tags::ACCESSION_NUMBER, VR::SH),
];
/// Written where the image has them (type 3).
const WHERE_KNOWN: &[(Tag, VR)] = &[
    (tags::ISSUER_OF_PATIENT_ID, VR::LO),
    (tags::PATIENT_BIRTH_TIME, VR::TM),
    (tags::PATIENT_IDENTITY_REMOVED, VR::CS),
    (tags::DEIDENTIFICATION_METHOD, VR::LO),
    (tags::STUDY_DESCRIPTION, VR::LO),
    (tags::PATIENT_AGE, VR::AS),
    (tags::PATIENT_SIZE, VR::DS),
    (tags::PATIENT_WEIGHT, VR::DS),
];

/// Study Instance UID.
pub(super) fn study_uid(image: &DataSet) -> String {
    image.text(tags::STUDY_INSTANCE_UID).unwrap_or_default()
}

/// Copies the modules; texts become UTF-8 whatever they were in.
pub(super) fn copy(image: &DataSet, object: &mut InMemDicomObject) {
    put(object, tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
    for (tag, vr) in ALWAYS {
        put(object, *tag, *vr, &image.texts(*tag).join("\\"));
    }
    for (tag, vr) in WHERE_KNOWN {
        let value = image.texts(*tag).join("\\");
        if !value.is_empty() {
            put(object, *tag, *vr, &value);
        }
    }
    let methods = image.items(tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE);
    if !methods.is_empty() {
        let methods = methods.iter().map(code).collect();
        sequence(object, tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE, methods);
    }
}

/// A code as it is (PS3.3 8.8).
fn code(of: &DataSet) -> InMemDicomObject {
    let mut item = InMemDicomObject::new_empty();
    for (tag, vr) in [
        (tags::CODE_VALUE, VR::SH),
        (tags::CODING_SCHEME_DESIGNATOR, VR::SH),
        (tags::CODING_SCHEME_VERSION, VR::SH),
        (tags::CODE_MEANING, VR::LO),
    ] {
        if let Some(value) = of.text(tag) {
            put(&mut item, tag, vr, &value);
        }
    }
    item
}
