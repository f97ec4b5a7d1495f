//! Received files on the disk, durably, under names of our own.
//!
//! The contract: when [`Incoming::finish`] returns [`Stored`], the file and its rows survive a
//! power cut. Its order is fixed: fsync of the file, rename to a name that was free, fsync of the
//! folder, COMMIT. A crash between two of these leaves a file without a row at worst, which was
//! never acknowledged; the next delivery of the same content adopts it, and
//! [`reconcile`] indexes it at the next start.
//!
//! ```text
//! studies/<32 hex of SHA-256 of the study UID>/<32 hex of SHA-256 of the instance UID>.dcm
//! incoming/<random>.part
//! quarantine/<SHA-256 of the data set>.dcm
//! ```
//!
//! Each file is a preamble, our own meta group, and the data set exactly as it was sent. Digests
//! are over the data set alone, so that the way by which an image came makes no difference.

pub(crate) mod frames;
pub(crate) mod header;
mod incoming;
pub(crate) mod json;
mod layout;
pub mod meta;
mod rebuild;
mod stored;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use models::dicom::parse::ParseError;

pub use incoming::Incoming;
use layout::Layout;
pub(crate) use layout::folder_name;
pub use meta::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
pub use rebuild::{Bad, Reconciled, rebuild_index, reconcile, verify};
pub(crate) use stored::StoredDataSet;

use crate::store::events::Level;
use crate::store::{Store, StoreError};

/// Locks of instances being finished; two with the same UID always share one.
const STRIPES: usize = 64;
/// The same happening from the same source is noted this often, in ms.
const NOTE_AGAIN: i64 = 60_000;
/// Happenings remembered for that.
const NOTED: usize = 256;

/// Limits of the archive.
#[derive(Clone, Debug)]
pub struct Config {
    /// Largest data set accepted, in bytes.
    pub max_instance_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_instance_bytes: 512 << 20 }
    }
}

/// What a peer announces before it sends a data set.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Affected SOP Class UID.
    pub sop_class: String,
    /// Affected SOP Instance UID.
    pub sop_uid: String,
    /// Transfer syntax of the data set.
    pub transfer_syntax: String,
    /// Where it comes from, for the index: `scp SCANNER1`, `import`.
    pub source: String,
    /// AE title of the sender for the file's meta group; may be empty.
    pub source_ae: String,
}

/// An instance that is kept, durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Row of its study; none for a quarantined one.
    pub study_id: Option<i64>,
    /// What was done with it.
    pub outcome: Outcome,
}

/// What became of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the index now.
    New,
    /// The same content was there already.
    Duplicate,
    /// Other content was there under its UID: this one is kept aside.
    Quarantined,
}

/// Why an instance was not kept.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// No room, by the disk or by the watermark.
    #[error("the disk is full; the sender has to keep its images until there is room again")]
    Full,
    /// More bytes than are accepted.
    #[error("the data set is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The command announced something else.
    #[error("the data set's {field} is {data_set:?}, but {command:?} was announced")]
    Mismatch {
        /// Attribute that differs.
        field: &'static str,
        /// As announced.
        command: String,
        /// As found in the data set.
        data_set: String,
    },
    /// An identifier is missing, or no UID (PS3.5 9.1).
    #[error("{field} is {found:?}, which is not a UID; the image cannot be filed")]
    NotAUid {
        /// Attribute in question.
        field: &'static str,
        /// As found; empty when it is missing.
        found: String,
    },
    /// The data set contradicts itself.
    #[error("the data set cannot be read")]
    Malformed {
        /// What is wrong.
        #[source]
        source: ParseError,
    },
    /// A file of the archive lies where its contents do not belong.
    #[error("{} holds an image that belongs to {expected}", path.display())]
    Misplaced {
        /// The file.
        path: PathBuf,
        /// Where it belongs, below the archive's folder.
        expected: String,
    },
    /// The file system refused.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The index refused.
    #[error("the index of images cannot be used")]
    Store(#[source] StoreError),
}

impl ArchiveError {
    fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io { path: path.to_owned(), source },
        }
    }
}

impl From<StoreError> for ArchiveError {
    fn from(error: StoreError) -> Self {
        if error.is_full() { Self::Full } else { Self::Store(error) }
    }
}

/// The archive. Clones are the same archive.
#[derive(Clone, Debug)]
pub struct Archive(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: Config,
    layout: Layout,
    store: Arc<Store>,
    full: AtomicBool,
    stripes: [Mutex<()>; STRIPES],
    /// Names of parts: a random start for this process, and a number.
    name: String,
    number: AtomicU64,
    noted: Mutex<HashMap<(&'static str, String), i64>>,
}

impl Archive {
    /// Opens the archive below `dir`, makes its folders, and deletes parts that a crash left.
    ///
    /// # Errors
    ///
    /// When a folder cannot be made or read.
    pub fn open(dir: &Path, store: Arc<Store>, config: Config) -> Result<Self, ArchiveError> {
        Ok(Self(Arc::new(Shared {
            config,
            layout: Layout::open(dir)?,
            store,
            full: AtomicBool::new(false),
            stripes: std::array::from_fn(|_| Mutex::default()),
            name: uuid::Uuid::new_v4().simple().to_string(),
            number: AtomicU64::new(0),
            noted: Mutex::default(),
        })))
    }

    /// Says that nothing more may be received, or that it may again.
    pub fn set_full(&self, full: bool) {
        self.0.full.store(full, Ordering::Relaxed);
    }

    /// Begins to receive an instance.
    ///
    /// # Errors
    ///
    /// When there is no room, an identifier is no UID, or no file can be made.
    pub fn begin(&self, offer: Offer) -> Result<Incoming, ArchiveError> {
        if self.0.full.load(Ordering::Relaxed) {
            return Err(ArchiveError::Full);
        }
        check_uid("Affected SOP Class UID", &offer.sop_class)?;
        check_uid("Affected SOP Instance UID", &offer.sop_uid)?;
        check_uid("Transfer Syntax UID", &offer.transfer_syntax)?;
        let number = self.0.number.fetch_add(1, Ordering::Relaxed);
        Incoming::create(self.clone(), offer, format!("{}-{number}.part", self.0.name))
    }

    /// The folder that paths in the index are relative to.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0.layout.root
    }

    /// The index.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Keeps others from finishing an instance of this UID meanwhile.
    fn alone(&self, sop_uid: &str) -> MutexGuard<'_, ()> {
        let sum = sop_uid
            .bytes()
            .fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        self.0.stripes[sum % STRIPES].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an event, but not one for each image of a whole study.
    fn note(&self, what: &'static str, level: Level, source: &str, text: &str) {
        let now = self.store().clock().now();
        let mut noted = self.0.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let last = noted.get(&(what, source.to_owned()));
        if last.is_some_and(|last| now - last < NOTE_AGAIN) {
            return;
        }
        if noted.len() >= NOTED {
            noted.clear();
        }
        noted.insert((what, source.to_owned()), now);
        drop(noted);
        // The image is safe; an event that cannot be noted must not refuse it.
        self.store().note(level, "receive", text).ok();
    }
}

/// True for what may stand in a UID: digits and dots, 64 of them at most (PS3.5 9.1). Components
/// with leading zeros are against the rules, but in use; dots alone are a path, not a UID.
fn is_uid(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b == b'.' || b.is_ascii_digit())
        && text.bytes().any(|b| b.is_ascii_digit())
}

fn check_uid(field: &'static str, found: &str) -> Result<(), ArchiveError> {
    if is_uid(found) {
        return Ok(());
    }
    // What stands in place of a UID can be anything, and long.
    let found = found.chars().filter(|c| !c.is_control()).take(64).collect();
    Err(ArchiveError::NotAUid { field, found })
}

#[cfg(test)]
mod tests;
