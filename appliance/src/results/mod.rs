//! What a result is outside this box: DICOM objects in the patient's study, sent to the archives
//! of the settings (IHE RAD AI Results; PS3.3 A.35.13, PS3.16 TID 1500).
//!
//! An object is built once, from the stored result and the header of an image of the study, and
//! kept as a file until it is sent, so that an object that is sent twice is twice the same: its
//! UID follows from the identity of the database and the result's row.

mod content;
pub mod delivery;
mod identity;
pub mod report;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use models::dicom::parse::{ParseError, read_header};
use sha2::{Digest as _, Sha256};

use crate::archive::{folder_name, meta};
use crate::inference::TriageResult;
use crate::scp::Outgoing;
use crate::store::deliveries::ResultToSend;
use crate::store::{Store, StoreError};
use crate::triage::Assessment;
use report::{Report, ReportError};

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
    #[error("the structured report cannot be written")]
    Report(#[from] ReportError),
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

/// Where objects are made and kept.
#[derive(Clone, Debug)]
pub struct Objects {
    /// Folder of the files; is made.
    pub folder: PathBuf,
    /// The archive's folder.
    pub archive: PathBuf,
}

impl Objects {
    /// The structured report of a result: from its file, or made now.
    ///
    /// # Errors
    ///
    /// When it can be neither read nor made.
    pub fn report(&self, store: &Store, inference_id: i64) -> Result<Outgoing, ObjectError> {
        let epoch = store.epoch()?;
        let sop_instance = uid(&[&epoch, "report", &inference_id.to_string()]);
        let path = self.folder.join(format!("{}.dcm", folder_name(&sop_instance)));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(_) => {
                let found = store.result_to_send(inference_id)?;
                let series = uid(&[&epoch, "report series", &found.study_uid]);
                let bytes = self.build(&found, [&epoch, &series, &sop_instance], inference_id)?;
                keep(&path, &bytes).map_err(|source| ObjectError::File { path, source })?;
                bytes
            }
        };
        let data_at = meta::read(&bytes).map_or(0, |meta| meta.data_at);
        Ok(Outgoing {
            sop_class: report::SOP_CLASS.to_owned(),
            sop_instance,
            data_set: bytes.get(data_at..).unwrap_or_default().to_vec(),
        })
    }

    /// Forgets the file of an object that every archive has.
    pub fn forget(&self, object: &Outgoing) {
        let path = self.folder.join(format!("{}.dcm", folder_name(&object.sop_instance)));
        // A file that stays takes a few kilobytes and is used when it is asked for again.
        drop(fs::remove_file(path));
    }

    fn build(
        &self,
        found: &ResultToSend,
        [epoch, series_uid, sop_uid]: [&str; 3],
        inference_id: i64,
    ) -> Result<Vec<u8>, ObjectError> {
        let stored = |what| move |source| ObjectError::Stored { what, source };
        let result: TriageResult = serde_json::from_str(&found.result).map_err(stored("result"))?;
        let assessment: Assessment =
            serde_json::from_str(&found.assessment).map_err(stored("assessment"))?;
        let image = found.image.as_ref().ok_or(ObjectError::NoImage)?;
        let image = read_header(&self.archive.join(image))?;
        if identity::study_uid(&image.data) != found.study_uid {
            return Err(ObjectError::OtherStudy);
        }
        let report = Report {
            identity: &image.data,
            result: &result,
            assessment: &assessment,
            model_digest: &found.model_digest,
            partial: found.partial,
            finished_at: found.finished_at,
            images: &found.images,
            device_uid: &uid(&[epoch, "device"]),
            series_uid,
            sop_uid,
            number: inference_id,
        };
        Ok(report.write()?)
    }
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
