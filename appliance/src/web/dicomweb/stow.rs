//! STOW-RS: instances come in (PS3.18 10.5).
//!
//! Each part takes the way of a received image, and the answer is given after the COMMIT of the
//! last: what it calls stored survives a power cut. The body is read in a thread of its own, part
//! by part, and each goes to the disk as it comes.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::Pin;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use tokio::sync::mpsc;

use super::attributes::Attributes;
use super::media::{DICOM, MULTIPART, MediaType};
use super::multipart::{Multipart, MultipartError, Part};
use super::stream::CHUNK;
use super::{Ask, DicomError, Error, Web, json_answer, trail};
use crate::archive::{Archive, ArchiveError, Outcome};
use crate::fault::chain;
use crate::import::{self, Identity, Skip};
use crate::web::who::Who;

/// How the index names this source.
const SOURCE: &str = "dicomweb";
/// Chunks of the body that wait to be written.
const AHEAD: usize = 4;
/// Standard SOP classes begin with this, and those for storage of patients' objects with the other:
/// as for C-STORE.
const STANDARD: &str = "1.2.840.10008.";
const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";

/// Failure reasons (PS3.18 table 10.5.3-2; PS3.7 C).
const PROCESSING_FAILURE: i64 = 0x0110;
const CLASS_NOT_SUPPORTED: i64 = 0x0122;
const OUT_OF_RESOURCES: i64 = 0xA700;
const MISMATCH: i64 = 0xA900;
const CANNOT_UNDERSTAND: i64 = 0xC000;
/// Warning reason of our own: other content is stored under this UID, and this is kept aside.
const KEPT_ASIDE: i64 = 0xB111;

/// `POST /studies` and `POST /studies/{study}`.
pub(super) async fn store(
    State(web): State<Web>,
    who: Who,
    ask: Ask,
    request: Request,
) -> Result<Response, Error> {
    let media_type = ask.accept.json()?;
    let header = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = MediaType::parse(header.unwrap_or_default());
    let of_dicom = kind.parameter("type").is_none_or(|part| part.eq_ignore_ascii_case(DICOM));
    if kind.essence != MULTIPART || !of_dicom {
        return Err(DicomError::MediaType(header.unwrap_or_default().to_owned()).into());
    }
    let boundary = kind.parameter("boundary").unwrap_or_default();
    let (sender, receiver) = mpsc::channel(AHEAD);
    let parts = Multipart::new(Arriving { receiver, rest: Bytes::new() }, boundary)
        .map_err(DicomError::from)?;
    let (archive, actor) = (web.archive.clone(), who.actor());
    let study = ask.place.study.clone();
    let receiving =
        tokio::task::spawn_blocking(move || receive(&archive, &actor, study.as_deref(), parts));
    let mut body = request.into_body();
    while let Some(chunk) = next(&mut body).await {
        // Whoever does not read on has seen enough.
        if sender.send(chunk).await.is_err() {
            break;
        }
    }
    drop(sender);
    let received = receiving.await.map_err(Error::Panic)??;
    let answer = received.answer(&ask.root).into_value();
    Ok(json_answer(received.status(), media_type, &answer))
}

/// The next bytes of a body.
async fn next(body: &mut Body) -> Option<io::Result<Bytes>> {
    loop {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(data)) => return Some(Ok(data)),
            // Trailers.
            Ok(Err(_)) => {}
            Err(error) => return Some(Err(io::Error::other(error))),
        }
    }
}

/// The body on the side of the thread that writes it to the disk.
struct Arriving {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.rest = chunk?,
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(buffer.len());
        let taken = self.rest.split_to(length);
        if let Some(place) = buffer.get_mut(..length) {
            place.copy_from_slice(&taken);
        }
        Ok(length)
    }
}

/// An instance of the answer.
#[derive(Debug, Default)]
struct Item {
    sop_class: String,
    sop_uid: String,
    study_uid: String,
    series_uid: String,
    /// Failure or warning reason.
    reason: Option<i64>,
}

/// What became of the parts.
#[derive(Debug, Default)]
struct Received {
    stored: Vec<Item>,
    failed: Vec<Item>,
    /// Failure reasons of parts that do not say what they are.
    others: Vec<i64>,
    /// Rows of studies that something came for, and how many instances.
    studies: BTreeMap<i64, usize>,
}

/// Why a part was not kept.
enum Failure {
    /// For a reason of its own.
    Part(i64),
    /// The body cannot be read any further.
    Body(MultipartError),
}

impl From<MultipartError> for Failure {
    fn from(error: MultipartError) -> Self {
        Self::Body(error)
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        tracing::warn!(error = chain(&error), "an instance from DICOMweb was refused");
        Self::Part(match error {
            ArchiveError::Full | ArchiveError::TooLarge { .. } => OUT_OF_RESOURCES,
            ArchiveError::Mismatch { .. } => MISMATCH,
            ArchiveError::NotAUid { .. } | ArchiveError::Malformed { .. } => CANNOT_UNDERSTAND,
            ArchiveError::Misplaced { .. } | ArchiveError::Io { .. } | ArchiveError::Store(_) => {
                PROCESSING_FAILURE
            }
        })
    }
}

/// Stores the parts of a body, those of one study where one is named, and notes it here, because
/// nobody waits for the answer any more when the connection breaks.
fn receive(
    archive: &Archive,
    actor: &str,
    study: Option<&str>,
    mut parts: Multipart<Arriving>,
) -> Result<Received, Error> {
    let mut received = Received::default();
    let broken = loop {
        let taken = match parts.next() {
            Ok(Some(part)) => received.take(archive, study, part),
            Ok(None) => break None,
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            break Some(error);
        }
    };
    // The client will not send more of these now; an association that is released says the same.
    let studies: Vec<i64> = received.studies.keys().copied().collect();
    if let Err(error) = archive.store().note_release(&studies) {
        tracing::error!(error = chain(&error), "the end of a request is not written down");
    }
    trail::stored(archive.store(), actor, &received.studies)?;
    if received.is_empty() {
        return Err(broken.map_or(DicomError::Empty, DicomError::Multipart).into());
    }
    if let Some(error) = broken {
        // What was stored before is stored, and the answer has to say so.
        tracing::warn!(error = chain(&error), "a DICOMweb request broke off");
        received.others.push(CANNOT_UNDERSTAND);
    }
    Ok(received)
}

impl Received {
    fn is_empty(&self) -> bool {
        self.stored.is_empty() && self.failed.is_empty() && self.others.is_empty()
    }

    /// Stores a part. An error is one of the whole body.
    fn take(
        &mut self,
        archive: &Archive,
        study: Option<&str>,
        mut part: Part<'_, Arriving>,
    ) -> Result<(), MultipartError> {
        let kind = part.content_type.as_deref().map(MediaType::parse);
        if kind.is_some_and(|kind| kind.essence != DICOM) {
            self.others.push(CANNOT_UNDERSTAND);
            return Ok(());
        }
        let mut start = Vec::new();
        part.read(&mut start, import::START)?;
        let identity = match import::identify(&start, SOURCE) {
            Ok(identity) => identity,
            Err(Skip::Because(why)) => {
                tracing::warn!(why, "a part of a DICOMweb request is no instance");
                self.others.push(CANNOT_UNDERSTAND);
                return Ok(());
            }
            Err(Skip::Stop(error)) => {
                tracing::error!(error = chain(&error), "a part of a DICOMweb request is not read");
                self.others.push(PROCESSING_FAILURE);
                return Ok(());
            }
        };
        let mut item = Item {
            sop_class: identity.offer.sop_class.clone(),
            sop_uid: identity.offer.sop_uid.clone(),
            study_uid: identity.study_uid.clone(),
            series_uid: identity.series_uid.clone(),
            reason: None,
        };
        match self.keep(archive, study, identity, &start, &mut part) {
            Ok(reason) => {
                item.reason = reason;
                self.stored.push(item);
            }
            Err(Failure::Part(reason)) => {
                item.reason = Some(reason);
                self.failed.push(item);
            }
            Err(Failure::Body(error)) => return Err(error),
        }
        Ok(())
    }

    /// Keeps an instance whose first bytes are `start`; returns a warning reason.
    fn keep(
        &mut self,
        archive: &Archive,
        study: Option<&str>,
        identity: Identity,
        start: &[u8],
        part: &mut Part<'_, Arriving>,
    ) -> Result<Option<i64>, Failure> {
        if study.is_some_and(|study| study != identity.study_uid) {
            return Err(Failure::Part(MISMATCH));
        }
        let class = &identity.offer.sop_class;
        if class.starts_with(STANDARD) && !class.starts_with(STORAGE) {
            return Err(Failure::Part(CLASS_NOT_SUPPORTED));
        }
        let mut incoming = archive.begin(identity.offer)?;
        incoming.write(start.get(identity.data_at..).unwrap_or_default())?;
        let mut chunk = Vec::new();
        loop {
            chunk.clear();
            part.read(&mut chunk, CHUNK)?;
            if chunk.is_empty() {
                break;
            }
            incoming.write(&chunk)?;
        }
        let stored = incoming.finish()?;
        if let Some(study_id) = stored.study_id {
            *self.studies.entry(study_id).or_default() += 1;
        }
        Ok((stored.outcome == Outcome::Quarantined).then_some(KEPT_ASIDE))
    }

    fn status(&self) -> StatusCode {
        let failures = self.failed.len() + self.others.len();
        if self.stored.is_empty() {
            StatusCode::CONFLICT
        } else if failures > 0 || self.stored.iter().any(|item| item.reason.is_some()) {
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        }
    }

    /// The Store Instances Response Module (PS3.18 table 10.5.3-1).
    fn answer(&self, root: &str) -> Attributes {
        let mut answer = Attributes::default();
        let studies: BTreeSet<&str> =
            self.stored.iter().map(|item| item.study_uid.as_str()).collect();
        // One address is for one study.
        if let (Some(study), 1) = (studies.first(), studies.len()) {
            answer.text("00081190", "UR", &format!("{root}/studies/{study}"));
        }
        let failed = self.failed.iter().map(|item| item.reference("00081197")).collect();
        answer.sequence("00081198", failed);
        let stored = self.stored.iter().map(|item| {
            let mut reference = item.reference("00081196");
            let Item { study_uid, series_uid, sop_uid, .. } = item;
            let series = format!("{root}/studies/{study_uid}/series/{series_uid}");
            reference.text("00081190", "UR", &format!("{series}/instances/{sop_uid}"));
            reference
        });
        answer.sequence("00081199", stored.collect());
        let others = self.others.iter().map(|reason| {
            let mut other = Attributes::default();
            other.number("00081197", "US", *reason);
            other
        });
        answer.sequence("0008119A", others.collect());
        answer
    }
}

impl Item {
    /// What it is, and its reason under `tag`.
    fn reference(&self, tag: &str) -> Attributes {
        let mut reference = Attributes::default();
        reference.text("00081150", "UI", &self.sop_class);
        reference.text("00081155", "UI", &self.sop_uid);
        if let Some(reason) = self.reason {
            reference.number(tag, "US", reason);
        }
        reference
    }
}
