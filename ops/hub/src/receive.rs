//! What a site may ask for, as plain functions: handlers of HTTP, `hub import` and simulations all
//! come through here. The site is whose certificate it is; nothing that it sends names another.

mod pace;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use exchange::offer::PIECE_BYTES;
use exchange::wire::{Head, REQUEST_BYTES, Reply, Request, WireError};

use crate::blobs::{BlobError, BlobStore, Name};
use crate::db::DbError;
use crate::fault::chain;
use crate::store::Store;
use crate::store::blobs::{Announced, Blob};

pub use pace::Pace;

/// Where blobs are made (tus 1.0, creation); each is below, under its digest.
pub const BLOBS: &str = "/v1/blobs";
/// An upload that is not whole after so long is thrown away.
const UPLOAD_MS: i64 = 60 * 24 * 60 * 60 * 1000;
/// When a site may come back after the hub failed.
const PAUSE: Duration = Duration::from_secs(10);

/// What one site may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of rows.
    pub row_bytes: u64,
    /// Bytes of blobs, whole or announced.
    pub blob_bytes: u64,
    /// Bytes of one blob.
    pub one_blob_bytes: u64,
    /// Requests a minute in the long run, and in a row.
    pub requests_per_minute: u32,
    /// See there.
    pub requests_in_a_row: u32,
}

/// All that answers to sites.
#[derive(Debug)]
pub struct Hub {
    store: Store,
    blobs: Arc<dyn BlobStore>,
    limits: Limits,
    pace: Pace,
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{said}")]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Why, for people.
    pub said: String,
    /// When it may be tried again.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Not for now or ever, with a sentence.
    #[must_use]
    pub fn new(status: u16, said: impl Into<String>) -> Self {
        Self { status, said: said.into(), retry_after: None }
    }

    /// The hub failed; what happened goes to its log, not to the site.
    #[must_use]
    pub fn failed(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = chain(error), "a request of a site failed");
        let said = "something inside the hub failed, and nothing was changed; try again later";
        Self { status: 503, said: said.to_owned(), retry_after: Some(PAUSE) }
    }
}

impl From<DbError> for Refusal {
    fn from(error: DbError) -> Self {
        Self::failed(&error)
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Offset { .. } => Self::new(409, error.to_string()),
            BlobError::Digest => Self::new(460, error.to_string()),
            error if error.is_full() => {
                tracing::error!(error = chain(&error), "the disk for blobs is full");
                let said = "the hub's disk is full; the hospital has to make room".to_owned();
                Self { status: 507, said, retry_after: Some(PAUSE) }
            }
            error => Self::failed(&error),
        }
    }
}

/// How an upload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Bytes that are there.
    pub offset: u64,
    /// Bytes of the whole.
    pub bytes: u64,
    /// When it is thrown away; `None` for one that is whole.
    pub expires_ms: Option<i64>,
}

impl Hub {
    /// From its parts.
    #[must_use]
    pub fn new(store: Store, blobs: Arc<dyn BlobStore>, limits: Limits) -> Self {
        let pace = Pace::new(limits.requests_per_minute, limits.requests_in_a_row);
        Self { store, blobs, limits, pace }
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where large objects lie.
    #[must_use]
    pub fn blobs(&self) -> &Arc<dyn BlobStore> {
        &self.blobs
    }

    /// What one site may take.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    fn now_ms(&self) -> i64 {
        self.store.clock().now_ms()
    }

    fn paced(&self, site: &str) -> Result<(), Refusal> {
        self.pace.take(site, self.now_ms()).map_err(|wait| Refusal {
            status: 429,
            said: "too many requests; wait and try again".to_owned(),
            retry_after: Some(wait),
        })
    }

    /// Throws uploads away that were begun long ago and never became whole; returns how many.
    ///
    /// # Errors
    ///
    /// When database or disk fail.
    pub fn expire_uploads(&self) -> Result<usize, Refusal> {
        let before_ms = self.now_ms() - UPLOAD_MS;
        let stale = self.store.stale_blobs(before_ms)?;
        for (site, sha256) in &stale {
            // A kill in between leaves a row without bytes, which the next round takes.
            if let Some(name) = Name::new(site, sha256) {
                self.blobs.discard(&name)?;
            }
            self.store.forget_blob(site, sha256)?;
        }
        let before = Duration::from_millis(u64::try_from(before_ms).unwrap_or(0));
        self.blobs.sweep(SystemTime::UNIX_EPOCH + before)?;
        Ok(stale.len())
    }
}

/// Answers a batch ([`Request`]) with the bytes of a [`Reply`], once everything is committed.
///
/// # Errors
///
/// Why nothing of it was taken in.
pub fn exchange(hub: &Hub, site: &str, batch: &[u8]) -> Result<Vec<u8>, Refusal> {
    hub.paced(site)?;
    if batch.len() > REQUEST_BYTES {
        let said = format!("the batch has more than {REQUEST_BYTES} bytes; send fewer rows");
        return Err(Refusal::new(413, said));
    }
    let request = Request::decode(batch).map_err(|error| {
        let status =
            if matches!(error, WireError::Long { .. } | WireError::Rows) { 413 } else { 400 };
        Refusal::new(status, chain(&error))
    })?;
    let taken = hub.store.take(site, &request, hub.limits.row_bytes)?;
    let taken = taken.ok_or_else(|| unknown(site))?;
    let head = Head { wall_ms: hub.now_ms(), more: taken.more };
    let reply = Reply { head, answers: taken.answers, commands: taken.commands };
    reply.encode().map_err(|error| Refusal::failed(&error))
}

/// Makes a place for a blob, or finds the one that is there, whole or not.
///
/// # Errors
///
/// Why there is none.
pub fn create(hub: &Hub, site: &str, sha256: &str, bytes: u64) -> Result<Upload, Refusal> {
    hub.paced(site)?;
    announce(hub, site, sha256, bytes)
}

/// As [`create`], as often as one likes.
///
/// # Errors
///
/// Why there is none.
pub(crate) fn announce(hub: &Hub, site: &str, sha256: &str, bytes: u64) -> Result<Upload, Refusal> {
    let name = name(site, sha256)?;
    let most = hub.limits.one_blob_bytes;
    if bytes == 0 {
        return Err(Refusal::new(400, "a blob has at least one byte"));
    }
    if bytes > most {
        let said = format!("the blob has {bytes} bytes, expected at most {most}");
        return Err(Refusal::new(413, said));
    }
    let quota = hub.limits.blob_bytes;
    match hub.store.announce(site, sha256, bytes, quota)? {
        Announced::Placed(blob) if blob.bytes == bytes => upload(hub, &name, &blob),
        Announced::Placed(blob) => {
            let known = blob.bytes;
            let said =
                format!("the blob was announced with {known} bytes before, now with {bytes}");
            Err(Refusal::new(409, said))
        }
        Announced::Full { held } => {
            let said = format!(
                "the hub keeps at most {quota} bytes of blobs of this site and has {held}; ask the \
                 hospital to raise limits.blob_mib"
            );
            Err(Refusal::new(413, said))
        }
        Announced::Unknown => Err(unknown(site)),
    }
}

/// How an upload stands.
///
/// # Errors
///
/// With status 404 when there is none.
pub fn offset(hub: &Hub, site: &str, sha256: &str) -> Result<Upload, Refusal> {
    hub.paced(site)?;
    let (name, blob) = find(hub, site, sha256)?;
    upload(hub, &name, &blob)
}

/// Appends to an upload and returns its new length. The piece that completes it is answered once
/// the whole is what its digest says, and in its place.
///
/// # Errors
///
/// With status 404 when there is no such upload, 409 when it ends elsewhere, 460 when the whole is
/// something else.
pub fn append(
    hub: &Hub,
    site: &str,
    sha256: &str,
    offset: u64,
    piece: &[u8],
) -> Result<u64, Refusal> {
    hub.paced(site)?;
    append_piece(hub, site, sha256, offset, piece)
}

/// As [`append`], as often as one likes.
///
/// # Errors
///
/// As there.
pub(crate) fn append_piece(
    hub: &Hub,
    site: &str,
    sha256: &str,
    offset: u64,
    piece: &[u8],
) -> Result<u64, Refusal> {
    let (name, blob) = find(hub, site, sha256)?;
    let end = offset.saturating_add(piece.len() as u64);
    if end > blob.bytes {
        let said = format!("the piece ends at byte {end}, the blob at {}", blob.bytes);
        return Err(Refusal::new(413, said));
    }
    if blob.complete {
        let whole = BlobError::Offset { found: blob.bytes };
        return if offset == blob.bytes { Ok(offset) } else { Err(whole.into()) };
    }
    let length = hub.blobs.append(&name, offset, piece)?;
    if length == blob.bytes {
        hub.blobs.finish(&name, blob.bytes)?;
        hub.store.completed(site, sha256)?;
    }
    Ok(length)
}

/// How an upload stands; finishes what a kill left between its last byte and its place.
fn upload(hub: &Hub, name: &Name, blob: &Blob) -> Result<Upload, Refusal> {
    let bytes = blob.bytes;
    let whole = Upload { offset: bytes, bytes, expires_ms: None };
    if blob.complete {
        return Ok(whole);
    }
    let offset = hub.blobs.length(name)?;
    let expires_ms = Some(blob.created_ms + UPLOAD_MS);
    if offset == bytes {
        match hub.blobs.finish(name, bytes) {
            Ok(()) => {}
            Err(BlobError::Digest) => return Ok(Upload { offset: 0, bytes, expires_ms }),
            Err(error) => return Err(error.into()),
        }
    } else if offset > 0 || !hub.blobs.is_whole(name, bytes)? {
        return Ok(Upload { offset, bytes, expires_ms });
    }
    hub.store.completed(name.site(), name.sha256())?;
    Ok(whole)
}

/// A piece of a file that a site is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub bytes: Vec<u8>,
    /// Where it begins.
    pub first: u64,
    /// Bytes of the whole.
    pub total: u64,
}

/// Hands out bytes of a file that a site is offered, from `first` to `last`, or as far as one
/// request may go.
///
/// # Errors
///
/// With status 404 when the site is not offered it, 416 when it has no such bytes.
pub fn offered(
    hub: &Hub,
    site: &str,
    sha256: &str,
    (first, last): (u64, u64),
) -> Result<Piece, Refusal> {
    hub.paced(site)?;
    let gone = || Refusal::new(404, "this hub does not offer that file, or offers it no more");
    let name = Name::offered(sha256).ok_or_else(gone)?;
    let total = hub.store.offered_file(site, sha256)?.ok_or_else(gone)?;
    if first >= total || last < first {
        return Err(Refusal::new(416, format!("the file has {total} bytes")));
    }
    let length = (last - first).saturating_add(1).min(PIECE_BYTES as u64);
    match hub.blobs.read(&name, first, length) {
        Ok(bytes) => Ok(Piece { bytes, first, total }),
        Err(error @ BlobError::Missing(_)) => {
            tracing::error!(error = chain(&error), "an offered file is gone: offer it again");
            Err(gone())
        }
        Err(error) => Err(error.into()),
    }
}

fn find(hub: &Hub, site: &str, sha256: &str) -> Result<(Name, Blob), Refusal> {
    let name = name(site, sha256)?;
    match hub.store.blob(site, sha256)? {
        Some(blob) => Ok((name, blob)),
        None => Err(Refusal::new(404, "there is no such upload; create it")),
    }
}

fn name(site: &str, sha256: &str) -> Result<Name, Refusal> {
    let expected = "a blob is named by its SHA-256, 64 digits in lower-case hexadecimal";
    Name::new(site, sha256).ok_or_else(|| Refusal::new(400, expected))
}

fn unknown(site: &str) -> Refusal {
    Refusal::new(403, format!("this hub knows no site {site}; enrol the box again"))
}

#[cfg(test)]
mod tests;
