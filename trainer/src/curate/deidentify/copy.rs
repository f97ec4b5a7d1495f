//! One DICOM file without what names the patient.

use std::path::Path;

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use models::dicom::parse::{self, DataSet, DicomFile};

use super::attributes::{Action, KEPT, is_code};
use super::text::scrub_description;
use super::{Identifiers, Key, mosaic, pixels, private};

/// Why a file is not in the cohort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::curate) enum NotCopied {
    /// It cannot be read, or not all of it.
    Unreadable(String),
    /// Text is burned into its pixels, or may be.
    BurnedIn,
    /// Something that names the patient is still in what would be written.
    Residual(&'static str),
    /// The cohort folder is full or not writable.
    Write(String),
}

/// Who the file is about, and what stands for them.
pub(in crate::curate) struct Subject<'a> {
    pub(in crate::curate) key: &'a Key,
    pub(in crate::curate) identifiers: &'a Identifiers,
    /// Pseudonym of the patient.
    pub(in crate::curate) patient: &'a str,
}

/// Writes the image at `from` to `to`, de-identified.
pub(in crate::curate) fn copy(
    from: &Path,
    to: &Path,
    subject: &Subject<'_>,
) -> Result<(), NotCopied> {
    let file = parse::read_header(from).map_err(|error| NotCopied::Unreadable(fault(&error)))?;
    if burned_in(&file.data) {
        return Err(NotCopied::BurnedIn);
    }
    let element = pixels::read(&file).map_err(|what| NotCopied::Unreadable(what.into()))?;
    let mut object = header(&file, subject)?;
    let transfer_syntax = match element.value().fragments() {
        Some(_) => file.transfer_syntax.clone(),
        None => uids::EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
    };
    object.put(element);
    let text = |tag| file.data.text(tag).unwrap_or_default();
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(transfer_syntax)
        .media_storage_sop_class_uid(text(tags::SOP_CLASS_UID))
        .media_storage_sop_instance_uid(subject.key.uid(&text(tags::SOP_INSTANCE_UID)));
    let object = object.with_meta(meta).map_err(|error| NotCopied::Write(error.to_string()))?;
    object.write_to_file(to).map_err(|error| NotCopied::Write(error.to_string()))
}

/// What is wrong with a file, without its path, which may name the patient.
pub(in crate::curate) fn fault(error: &parse::ParseError) -> String {
    match error {
        parse::ParseError::Read { .. } => "cannot be read".into(),
        parse::ParseError::NotDicom { .. } => "not DICOM".into(),
        parse::ParseError::TooLarge { what, limit, .. } => {
            format!("{what} exceeds the limit of {limit} bytes")
        }
        parse::ParseError::Inflate { .. } => "the deflated data set cannot be inflated".into(),
        parse::ParseError::Malformed { tag, offset, fault, .. } => {
            format!("element {tag} at byte {offset}: {fault}")
        }
    }
}

/// Secondary captures show a screen, which as a rule shows a name.
fn burned_in(data: &DataSet) -> bool {
    let says = data.text(tags::BURNED_IN_ANNOTATION).is_some_and(|text| text == "YES");
    let class = data.text(tags::SOP_CLASS_UID).unwrap_or_default();
    let screen = data.texts(tags::IMAGE_TYPE).iter().any(|value| value.starts_with("SCREEN"));
    says || screen || class.starts_with(uids::SECONDARY_CAPTURE_IMAGE_STORAGE)
}

/// All attributes but the pixels.
fn header(file: &DicomFile, subject: &Subject<'_>) -> Result<InMemDicomObject, NotCopied> {
    let mut object = copy_set(&file.data, subject)?;
    private::copy(&file.data, &mut object);
    mosaic::copy(&file.data, &mut object);
    // Type 2 attributes stay without a value.
    for (tag, vr) in [
        (tags::STUDY_DATE, VR::DA),
        (tags::STUDY_TIME, VR::TM),
        (tags::ACCESSION_NUMBER, VR::SH),
        (tags::REFERRING_PHYSICIAN_NAME, VR::PN),
        (tags::PATIENT_BIRTH_DATE, VR::DA),
        (tags::PATIENT_SEX, VR::CS),
        (tags::STUDY_ID, VR::SH),
    ] {
        object.put(DataElement::empty(tag, vr));
    }
    for (tag, vr, value) in [
        (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
        (tags::PATIENT_ID, VR::LO, subject.patient),
        (tags::PATIENT_NAME, VR::PN, subject.patient),
        (tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES"),
        (tags::DEIDENTIFICATION_METHOD, VR::LO, "Prima trainer: allow list, PS3.15 E.1"),
        (tags::LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED, VR::CS, "REMOVED"),
    ] {
        object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
    }
    Ok(object)
}

/// The allowed attributes of a data set or item.
fn copy_set(from: &DataSet, subject: &Subject<'_>) -> Result<InMemDicomObject, NotCopied> {
    let mut object = InMemDicomObject::new_empty();
    for (tag, action) in KEPT.iter().filter(|(tag, _)| from.contains(*tag)) {
        if let Some(element) = element(from, *tag, *action, subject)? {
            object.put(element);
        }
    }
    Ok(object)
}

fn element(
    from: &DataSet,
    tag: Tag,
    action: Action,
    subject: &Subject<'_>,
) -> Result<Option<DataElement<InMemDicomObject>>, NotCopied> {
    let text = |vr: VR, value: String| Some(DataElement::new(tag, vr, PrimitiveValue::from(value)));
    Ok(match action {
        Action::Number(vr) => numbers(from, tag, vr).map(|value| DataElement::new(tag, vr, value)),
        Action::Code => {
            let values = from.texts(tag);
            let safe = values.iter().all(|value| is_code(value));
            let joined = values.join("\\");
            check(subject, &joined, "a code string")?;
            if safe { text(VR::CS, joined) } else { None }
        }
        Action::Clean(vr) => {
            let cleaned = clean(from, tag, subject.identifiers);
            check(subject, &cleaned, "a description")?;
            text(vr, cleaned)
        }
        Action::StandardUid => {
            let uid = from.text(tag).filter(|uid| uid.starts_with("1.2.840.10008."));
            uid.and_then(|uid| text(VR::UI, uid))
        }
        Action::Uid => from.text(tag).and_then(|uid| text(VR::UI, subject.key.uid(&uid))),
        Action::Sequence => {
            let items = from.items(tag).iter().map(|item| copy_set(item, subject));
            let items = items.collect::<Result<Vec<_>, _>>()?;
            Some(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)))
        }
    })
}

/// The residual check on one value.
fn check(subject: &Subject<'_>, value: &str, what: &'static str) -> Result<(), NotCopied> {
    if subject.identifiers.occur_in(value) { Err(NotCopied::Residual(what)) } else { Ok(()) }
}

/// A scrubbed text. Leading blanks stay: the names of series show them as underscores.
fn clean(from: &DataSet, tag: Tag, identifiers: &Identifiers) -> String {
    let text = from.texts(tag).join("\\");
    let padding = from.bytes(tag).unwrap_or_default();
    let blanks = padding.iter().take_while(|&&byte| byte == b' ').count();
    let cleaned = scrub_description(&text, identifiers);
    // LO holds 64 characters, but scanners that write more give series their names with them.
    format!("{}{cleaned}", " ".repeat(blanks.min(16))).chars().take(1024).collect()
}

/// Numbers in the representation of the standard. Decimal strings keep their digits, because the
/// last of them decides how an image is resampled.
fn numbers(from: &DataSet, tag: Tag, vr: VR) -> Option<PrimitiveValue> {
    let values = from.f64s(tag);
    if values.is_empty() {
        return None;
    }
    let written = from.texts(tag);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "float casts saturate, and a value out of range is no use either way"
    )]
    Some(match vr {
        VR::DS | VR::IS if written.len() == values.len() => written.join("\\").into(),
        VR::IS => joined(values.iter().map(|value| format!("{}", *value as i64))),
        VR::DS => joined(values.iter().map(|value| format!("{value}").chars().take(16).collect())),
        VR::US => PrimitiveValue::U16(values.iter().map(|value| *value as u16).collect()),
        VR::UL => PrimitiveValue::U32(values.iter().map(|value| *value as u32).collect()),
        _ => PrimitiveValue::F64(values.into_iter().collect()),
    })
}

fn joined(values: impl Iterator<Item = String>) -> PrimitiveValue {
    values.collect::<Vec<_>>().join("\\").into()
}
