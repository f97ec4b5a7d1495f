//! What a result is outside this box: DICOM objects in the patient's study, sent to the archives
//! of the settings (IHE RAD AI Results). [`report`] says what was found, [`picture`] shows where,
//! and [`segmentation`] marks it in the images. [`oru`] is the report for those who take no DICOM,
//! as is a FHIR transaction. [`delivery`] works through the queues, by [`association`], by [`mllp`]
//! or to a [`service`].
//!
//! An object is built once, from the stored result and the header of an image of the study, and
//! kept as a file until it is sent, so that an object that is sent twice is twice the same: its
//! UID follows from the identity of the database and the result's row.

pub mod association;
mod content;
pub mod delivery;
mod identity;
pub mod mllp;
pub mod oru;
pub mod picture;
mod referral;
pub mod report;
pub mod segmentation;
pub mod service;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use exchange::fhir;
use exchange::manifest::{Manifest, Object};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use jiff::Timestamp;
use models::dicom::parse::{DataSet, DicomFile, ParseError, read_header};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::archive::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, folder_name, meta};
use crate::inference::TriageResult;
use crate::inference::explain::ExplanationInfo;
use crate::scp::{Outgoing, Sender};
use crate::store::deliveries::{Kind, ResultToSend};
use crate::store::{Store, StoreError};
use content::put;
use oru::{Message, Parties};
use picture::{Picture, PictureError};
use report::Report;
use segmentation::{Segmentation, SegmentationError};

/// SOP class and transfer syntax of a report.
const REPORT: (&str, &str) = (uids::COMPREHENSIVE3_DSR_STORAGE, uids::EXPLICIT_VR_LITTLE_ENDIAN);
/// SOP class and transfer syntax of a picture.
const PICTURE: (&str, &str) = (uids::SECONDARY_CAPTURE_IMAGE_STORAGE, uids::JPEG_BASELINE8_BIT);
/// SOP class and transfer syntax of a segmentation. Most of its bits are zero.
const SEGMENTATION: (&str, &str) = (uids::SEGMENTATION_STORAGE, uids::EXPLICIT_VR_LITTLE_ENDIAN);
const DEFLATED: &str = uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
/// What is proposed to an archive. The two transfer syntaxes of a segmentation stand in contexts of
/// their own, so that the choice is ours.
const CONTEXTS: [(&str, &[&str]); 4] = [
    (REPORT.0, &[REPORT.1]),
    (PICTURE.0, &[PICTURE.1]),
    (SEGMENTATION.0, &[DEFLATED]),
    (SEGMENTATION.0, &[SEGMENTATION.1]),
];
/// What is proposed besides to an archive that is asked what it keeps.
const COMMITMENT: (&str, &[&str]) = (
    uids::STORAGE_COMMITMENT_PUSH_MODEL,
    &[uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN],
);

/// Why there is no object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The database failed.
    #[error("the result cannot be read")]
    Store(#[from] StoreError),
    /// A stored text is not what this program writes.
    #[error("the stored {what} is not one of this program's")]
    Stored {
        /// Result or assessment.
        what: &'static str,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// Without an image nobody can say whose result it is.
    #[error("the images of the study were deleted before its result was sent")]
    NoImage,
    /// The image cannot be read.
    #[error("the image that says whose result it is cannot be read")]
    Image(#[from] ParseError),
    /// The image is no longer what it was.
    #[error("the image that says whose result it is belongs to another study")]
    OtherStudy,
    /// The object cannot be written as DICOM.
    #[error("the object cannot be written")]
    Write(#[from] WriteError),
    /// The picture cannot be used.
    #[error("the picture of the explanation cannot be used")]
    Picture(#[from] PictureError),
    /// The places cannot be used.
    #[error("the places of the explanation cannot be used")]
    Segmentation(#[from] SegmentationError),
    /// The disk.
    #[error("the file {path} cannot be kept")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// An object as it lies on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFile {
    /// SOP Class UID.
    pub sop_class: &'static str,
    /// SOP Instance UID.
    pub sop_instance: String,
    /// File in [`Objects::folder`].
    pub name: String,
    /// All of it, the meta group too.
    pub bytes: Vec<u8>,
}

/// Where objects are made and kept.
#[derive(Clone, Debug)]
pub struct Objects {
    /// Folder of the files; is made.
    pub folder: PathBuf,
    /// The archive's folder.
    pub archive: PathBuf,
}

impl Objects {
    /// The object of this kind for a result: from its file, or made now.
    ///
    /// # Errors
    ///
    /// When it can be neither read nor made.
    pub fn of(
        &self,
        store: &Store,
        inference_id: i64,
        kind: Kind,
    ) -> Result<Outgoing, ObjectError> {
        let ObjectFile { sop_class, sop_instance, bytes, .. } =
            self.file(store, inference_id, kind)?;
        let data_at = meta::read(&bytes).map_or(0, |meta| meta.data_at);
        Ok(Outgoing {
            sop_class: sop_class.to_owned(),
            sop_instance,
            transfer_syntax: class_of(kind).1.to_owned(),
            data_set: bytes.get(data_at..).unwrap_or_default().to_vec(),
        })
    }

    /// The file of this object, made now if it is not there.
    ///
    /// # Errors
    ///
    /// When it can be neither read nor made.
    pub fn file(
        &self,
        store: &Store,
        inference_id: i64,
        kind: Kind,
    ) -> Result<ObjectFile, ObjectError> {
        let epoch = store.epoch()?;
        let sop_instance = sop_instance(&epoch, kind, inference_id);
        let path = self.path(&sop_instance);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(_) => {
                let found = store.result_to_send(inference_id)?;
                let series = uid(&[&epoch, kind.word(), "series", &found.study_uid]);
                let uids = [epoch.as_str(), &series, &sop_instance];
                let bytes = self.build(store, &found, kind, uids, inference_id)?;
                keep(&path, &bytes).map_err(|source| ObjectError::File { path, source })?;
                bytes
            }
        };
        let name = file_name(&sop_instance);
        Ok(ObjectFile { sop_class: class_of(kind).0, sop_instance, name, bytes })
    }

    fn path(&self, sop_instance: &str) -> PathBuf {
        self.folder.join(file_name(sop_instance))
    }

    /// Forgets the file of an object that nobody waits for any more.
    pub(crate) fn forget(
        &self,
        store: &Store,
        inference_id: i64,
        kind: Kind,
    ) -> Result<(), StoreError> {
        let object = sop_instance(&store.epoch()?, kind, inference_id);
        // A file that stays takes a few kilobytes and is used when it is asked for again.
        drop(fs::remove_file(self.path(&object)));
        Ok(())
    }

    /// The report of a result as an HL7 message.
    fn message(
        &self,
        store: &Store,
        inference_id: i64,
        parties: &Parties,
        control_id: &str,
    ) -> Result<String, ObjectError> {
        let found = store.result_to_send(inference_id)?;
        let image = self.image(&found)?;
        let message = Message {
            identity: &image.data,
            finished_at: found.finished_at,
            result: &from_json("result", &found.result)?,
            assessment: &from_json("assessment", &found.assessment)?,
            model_digest: &found.model_digest,
            partial: found.partial,
            parties,
            control_id,
        };
        Ok(message.write())
    }

    /// A result as a FHIR transaction, which names its report.
    fn transaction(
        &self,
        store: &Store,
        inference_id: i64,
        site: &str,
    ) -> Result<String, ObjectError> {
        let found = store.result_to_send(inference_id)?;
        let image = self.image(&found)?;
        let result = from_json("result", &found.result)?;
        let assessment = from_json("assessment", &found.assessment)?;
        let flag = referral::flag(&found, &image.data, &result, &assessment);
        let report = Object {
            sop_class: REPORT.0.to_owned(),
            sop_instance: sop_instance(&store.epoch()?, Kind::Report, inference_id),
            ..Object::default()
        };
        let manifest = Manifest {
            study: found.study_uid.clone(),
            title: Kind::Report.word().to_owned(),
            objects: vec![report],
            ..Manifest::default()
        };
        Ok(fhir::transaction(site, &flag, &[manifest], None).to_string())
    }

    /// Header of an image of the study.
    fn image(&self, found: &ResultToSend) -> Result<DicomFile, ObjectError> {
        let image = found.image.as_ref().ok_or(ObjectError::NoImage)?;
        let image = read_header(&self.archive.join(image))?;
        if identity::study_uid(&image.data) != found.study_uid {
            return Err(ObjectError::OtherStudy);
        }
        Ok(image)
    }

    fn build(
        &self,
        store: &Store,
        found: &ResultToSend,
        kind: Kind,
        [epoch, series_uid, sop_uid]: [&str; 3],
        number: i64,
    ) -> Result<Vec<u8>, ObjectError> {
        let image = self.image(found)?;
        let frame = Frame {
            identity: &image.data,
            finished_at: found.finished_at,
            series_uid,
            sop_uid,
            device_uid: &uid(&[epoch, "device"]),
            number,
        };
        let explanation = || -> Result<ExplanationInfo, ObjectError> {
            let stored = store.explanation(number)?.and_then(|stored| stored.info);
            from_json("explanation", &stored.unwrap_or_default())
        };
        if kind == Kind::Picture {
            return Ok(Picture { frame, info: &explanation()? }.write()?);
        }
        let result: TriageResult = from_json("result", &found.result)?;
        if kind == Kind::Segmentation {
            let info = explanation()?;
            let report_uid = sop_instance(epoch, Kind::Report, number);
            let segmentation = Segmentation {
                frame,
                info: &info,
                model: [&result.model.id, &found.model_digest],
                tracking_uid: &uid(&[&report_uid, &info.output]),
                folder: image.path.parent().unwrap_or(&self.archive),
            };
            return Ok(segmentation.write()?);
        }
        let report = Report {
            frame,
            result: &result,
            assessment: &from_json("assessment", &found.assessment)?,
            model_digest: &found.model_digest,
            partial: found.partial,
            images: &found.images,
        };
        Ok(report.write()?)
    }
}

fn file_name(sop_instance: &str) -> String {
    format!("{}.dcm", folder_name(sop_instance))
}

/// SOP class and transfer syntax.
fn class_of(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Report => REPORT,
        Kind::Picture => PICTURE,
        Kind::Segmentation => SEGMENTATION,
    }
}

/// SOP Instance UID of what becomes of a result.
fn sop_instance(epoch: &str, kind: Kind, inference_id: i64) -> String {
    uid(&[epoch, kind.word(), &inference_id.to_string()])
}

fn from_json<T: DeserializeOwned>(what: &'static str, json: &str) -> Result<T, ObjectError> {
    serde_json::from_str(json).map_err(|source| ObjectError::Stored { what, source })
}

/// What all objects say of themselves.
pub struct Frame<'a> {
    /// Header of an image of the study.
    pub identity: &'a DataSet,
    /// When the result was there, box time in milliseconds.
    pub finished_at: i64,
    /// Series Instance UID.
    pub series_uid: &'a str,
    /// SOP Instance UID.
    pub sop_uid: &'a str,
    /// UID of this box.
    pub device_uid: &'a str,
    /// Instance Number.
    pub number: i64,
}

/// The object as this archive takes it: a segmentation deflated, where it can be.
fn fitting(object: Outgoing, sender: &Sender) -> Outgoing {
    if object.sop_class == SEGMENTATION.0 && sender.takes(SEGMENTATION.0, DEFLATED) {
        return deflated(&object).unwrap_or(object);
    }
    object
}

/// The object with its data set deflated (PS3.5 A.5).
fn deflated(object: &Outgoing) -> io::Result<Outgoing> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&object.data_set)?;
    let mut data_set = encoder.finish()?;
    if data_set.len() % 2 == 1 {
        data_set.push(0);
    }
    Ok(Outgoing { transfer_syntax: DEFLATED.to_owned(), data_set, ..object.clone() })
}

/// Who made it, where DICOM asks for a manufacturer.
const MANUFACTURER: &str = "Prima";

impl Frame<'_> {
    /// Identity, series, equipment and time (PS3.3 C.7.3, C.7.5, C.12.1); `series` are its
    /// modality, number and description.
    fn fill(&self, object: &mut InMemDicomObject, sop_class: &str, series: [&str; 3]) {
        identity::copy(self.identity, object);
        let time = Timestamp::from_millisecond(self.finished_at).unwrap_or_default();
        let (date, time) =
            (time.strftime("%Y%m%d").to_string(), time.strftime("%H%M%S").to_string());
        let [modality, series_number, description] = series;
        for (tag, vr, value) in [
            (tags::SOP_CLASS_UID, VR::UI, sop_class),
            (tags::SOP_INSTANCE_UID, VR::UI, self.sop_uid),
            (tags::INSTANCE_CREATION_DATE, VR::DA, &date),
            (tags::INSTANCE_CREATION_TIME, VR::TM, &time),
            (tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, "+0000"),
            (tags::MODALITY, VR::CS, modality),
            (tags::SERIES_INSTANCE_UID, VR::UI, self.series_uid),
            (tags::SERIES_NUMBER, VR::IS, series_number),
            (tags::SERIES_DESCRIPTION, VR::LO, description),
            (tags::MANUFACTURER, VR::LO, MANUFACTURER),
            (tags::MANUFACTURER_MODEL_NAME, VR::LO, "Prima appliance"),
            (tags::DEVICE_SERIAL_NUMBER, VR::LO, self.device_uid),
            (tags::SOFTWARE_VERSIONS, VR::LO, env!("CARGO_PKG_VERSION")),
            (tags::INSTANCE_NUMBER, VR::IS, &self.number.to_string()),
            (tags::CONTENT_DATE, VR::DA, &date),
            (tags::CONTENT_TIME, VR::TM, &time),
        ] {
            put(object, tag, vr, value);
        }
    }
}

/// An object cannot be written as DICOM.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WriteError(String);

/// The object as a DICOM file.
fn write(object: InMemDicomObject, transfer_syntax: &str) -> Result<Vec<u8>, WriteError> {
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(transfer_syntax)
        .implementation_class_uid(IMPLEMENTATION_CLASS_UID)
        .implementation_version_name(IMPLEMENTATION_VERSION_NAME);
    let file = object.with_meta(meta).map_err(|error| WriteError(error.to_string()))?;
    let mut bytes = Vec::new();
    file.write_all(&mut bytes).map_err(|error| WriteError(error.to_string()))?;
    Ok(bytes)
}

/// A UID that follows from these words (PS3.5 B.2): the same words, the same UID.
fn uid(words: &[&str]) -> String {
    let digest = Sha256::digest(words.join("\n"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(digest.get(..16).unwrap_or(&[0; 16]));
    // Version 8 (free form) and the variant of RFC 9562.
    bytes[6] = (bytes[6] & 0x0F) | 0x80;
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    format!("2.25.{}", u128::from_be_bytes(bytes))
}

/// Writes a file that is whole or not there, also after a power cut.
fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
