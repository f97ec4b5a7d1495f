//! Where the bytes of large objects lie: in a folder, or in an S3-compatible object store.
//!
//! What arrives is appended to a file in the staging folder, and its length is the offset at which
//! an upload goes on: what was acknowledged is on the disk, whatever is killed. When it is whole,
//! its digest is checked, and it moves to its place. Every name begins with the site, so that no
//! site meets what another has.

mod folder;
mod s3;
mod staging;

use std::fmt::Debug;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use exchange::offer::is_digest;

use crate::store::sites::is_id;

pub use folder::Folder;
pub use s3::{Place, S3};

/// In place of a site, for files that are handed out to several; no site can be called so.
const OFFERED: &str = "_offered";

/// Which blob of which site; safe as a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    site: String,
    sha256: String,
}

impl Name {
    /// `None` when the site is no identifier, or the digest no SHA-256 in lower-case hexadecimal.
    #[must_use]
    pub fn new(site: &str, sha256: &str) -> Option<Self> {
        (is_id(site) && is_digest(sha256))
            .then(|| Self { site: site.to_owned(), sha256: sha256.to_owned() })
    }

    /// A file that the hub offers; `None` when that is no digest.
    #[must_use]
    pub fn offered(sha256: &str) -> Option<Self> {
        is_digest(sha256).then(|| Self { site: OFFERED.to_owned(), sha256: sha256.to_owned() })
    }

    /// Whose it is.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// SHA-256 of its content.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// Why bytes were not kept or found.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// A file.
    #[error("cannot {doing} {path}")]
    File {
        /// Verb.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Bytes for another place than the end.
    #[error("the upload goes on at byte {found}")]
    Offset {
        /// Bytes that are there.
        found: u64,
    },
    /// The whole is not what its name says; it begins anew.
    #[error("the content is not that of its SHA-256; all of it has to be sent again")]
    Digest,
    /// Nothing of it is there.
    #[error("nothing is there of blob {0}")]
    Missing(String),
    /// The settings of the object store make no sense.
    #[error("the address of the object store cannot be used")]
    Address(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The object store failed.
    #[error("the object store did not {doing} blob {sha256}")]
    Remote {
        /// Verb.
        doing: &'static str,
        /// Digest of the blob.
        sha256: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The object store says it has something else than was put there.
    #[error("the object store has {found:?} bytes of blob {sha256}, expected {expected}")]
    Length {
        /// Digest of the blob.
        sha256: String,
        /// As the store says; `None` when it does not say.
        found: Option<u64>,
        /// As put.
        expected: u64,
    },
}

impl BlobError {
    /// The disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::File { source, .. } if full.contains(&source.kind()))
    }
}

/// Keeps bytes. Every change is durable when the call returns.
pub trait BlobStore: Debug + Send + Sync {
    /// Bytes that have arrived of a blob that is not in its place.
    ///
    /// # Errors
    ///
    /// When it cannot be known.
    fn length(&self, name: &Name) -> Result<u64, BlobError>;

    /// Appends and returns the new length.
    ///
    /// # Errors
    ///
    /// [`BlobError::Offset`] when that is not where it ends; else when the disk fails.
    fn append(&self, name: &Name, offset: u64, piece: &[u8]) -> Result<u64, BlobError>;

    /// Checks the digest of what has arrived and puts it in its place; does nothing when another
    /// call has just done so.
    ///
    /// # Errors
    ///
    /// [`BlobError::Digest`] when it is something else, and nothing of it is left then; else when
    /// disk or store fail.
    fn finish(&self, name: &Name, bytes: u64) -> Result<(), BlobError>;

    /// True when a blob of this length is in its place.
    ///
    /// # Errors
    ///
    /// When it cannot be known.
    fn is_whole(&self, name: &Name, bytes: u64) -> Result<bool, BlobError>;

    /// A blob that is in its place.
    ///
    /// # Errors
    ///
    /// When it is not, or cannot be had now.
    fn open(&self, name: &Name) -> Result<Box<dyn Read + Send>, BlobError>;

    /// Bytes of a blob that is in its place, from an offset on, at most `length`.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    fn read(&self, name: &Name, offset: u64, length: u64) -> Result<Vec<u8>, BlobError>;

    /// Throws away what has arrived of a blob that is not in its place.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    fn discard(&self, name: &Name) -> Result<(), BlobError>;

    /// Throws away what has arrived here and was not touched since: another of the hub's processes
    /// may have finished the blob from its own copy.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    fn sweep(&self, before: SystemTime) -> Result<(), BlobError>;
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BlobError {
    let path = path.to_owned();
    move |source| BlobError::File { doing, path, source }
}

#[cfg(test)]
mod tests;
