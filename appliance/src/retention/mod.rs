//! Making room on a disk that fills up, without ever deleting what somebody still needs.
//!
//! Only images of studies that are settled, read, answered for and synced are deleted, those read
//! longest ago first, and with them their tokens and pictures; results, decisions and the audit
//! log stay. Everything else is kept even
//! when the disk is full: then the archive refuses new images and the scanner keeps them.

mod derived;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use crate::archive::folder_name;
use crate::fault;
use crate::health::disk::Excess;
use crate::health::words;
use crate::store::events::Level;
use crate::store::retention::{EvictError, Evicted, Standing};
use crate::store::{Store, StoreError};
pub use derived::forget_derived;

/// Pause after a study was deleted, at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// What is deleted when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Kept at least this long after a reader was done, so that a slip of the finger can be undone
    /// and compared with the images.
    pub grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { grace: Duration::from_secs(24 * 3600) }
    }
}

/// Why the images of a study are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Images may still come, or it waits for analysis.
    Unsettled,
    /// No reader was done with it.
    Unread,
    /// The scanner asked whether its images are safe and has no answer yet.
    Uncommitted,
    /// An archive does not have its result yet.
    Unsent,
    /// The hub does not have it yet.
    Unsynced,
    /// A reader was done with it a moment ago.
    Recent,
}

/// Whether the images of a study must stay, and why; `None` when they may be deleted.
#[must_use]
pub fn keep(standing: &Standing, now: i64, config: &Config) -> Option<Keep> {
    let grace = i64::try_from(config.grace.as_millis()).unwrap_or(i64::MAX);
    match standing.done_at {
        _ if !standing.settled => Some(Keep::Unsettled),
        None => Some(Keep::Unread),
        _ if standing.committing => Some(Keep::Uncommitted),
        _ if standing.sending => Some(Keep::Unsent),
        _ if standing.syncing => Some(Keep::Unsynced),
        Some(done_at) if now.saturating_sub(done_at) < grace => Some(Keep::Recent),
        Some(_) => None,
    }
}

/// What one call of [`make_room`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pass {
    /// Studies whose images were deleted.
    pub studies: u64,
    /// Files deleted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Room enough was made; false when nothing more may be deleted, or it was told to stop.
    pub enough: bool,
    /// Studies that could not be deleted, in words.
    pub failed: Vec<String>,
}

impl Pass {
    fn add(&mut self, evicted: Evicted) {
        self.studies += 1;
        self.files += evicted.files;
        self.bytes += evicted.bytes;
    }

    fn made(&self, room: Excess) -> bool {
        self.bytes >= room.bytes && self.files >= room.files
    }
}

/// Deletes images below `archive` until `excess` is gone or nothing more may be deleted, while
/// `go_on` says so. Whatever an earlier call left half done is finished first.
///
/// # Errors
///
/// When the database fails. A file that cannot be deleted is in [`Pass::failed`].
pub fn make_room(
    config: &Config,
    store: &Store,
    archive: &Path,
    excess: Excess,
    go_on: &dyn Fn() -> bool,
) -> Result<Pass, StoreError> {
    let mut pass = Pass::default();
    let may = |standing: &Standing| keep(standing, store.clock().now(), config).is_none();
    for study in store.half_evicted()? {
        finish(store, archive, study, &mut pass)?;
    }
    for standing in store.standings()?.iter().filter(|standing| may(standing)) {
        if pass.made(excess) || !go_on() {
            break;
        }
        let started = Instant::now();
        if store.begin_eviction(standing.study_id, may)? {
            finish(store, archive, standing.study_id, &mut pass)?;
            // Receiving waits while files are deleted, and a lock gives nobody a turn by itself.
            std::thread::sleep(started.elapsed().min(LONGEST_PAUSE));
        }
    }
    pass.enough = pass.made(excess);
    note(store, &pass)?;
    Ok(pass)
}

fn finish(store: &Store, archive: &Path, study_id: i64, pass: &mut Pass) -> Result<(), StoreError> {
    match store.finish_eviction(study_id, |path| fs::remove_file(archive.join(path))) {
        Ok(Some(evicted)) => pass.add(evicted),
        // A new image came, and the study stays.
        Ok(None) => {}
        Err(EvictError::Store(error)) => return Err(error),
        Err(error) => pass.failed.push(format!("study {study_id}: {}", fault::chain(&error))),
    }
    Ok(())
}

fn note(store: &Store, pass: &Pass) -> Result<(), StoreError> {
    if pass.studies > 0 {
        let text = format!(
            "the disk was nearly full: the images of {} that were read longest ago were deleted, \
             {}; their results are kept",
            words::count(pass.studies, "study", "studies"),
            words::size(pass.bytes)
        );
        store.note(Level::Info, "disk", &text)?;
    }
    pass.failed.iter().try_for_each(|text| store.note(Level::Error, "disk", text))
}

/// Finishes what a power cut interrupted. Called at start, after the store is open and before the
/// archive is reconciled or receives: files of evicted studies must not be indexed again.
/// Returns how many files were deleted.
///
/// # Errors
///
/// When the database fails or a file cannot be deleted.
pub fn recover(store: &Store, archive: &Path) -> Result<u64, EvictError> {
    let delete = |path: &str| fs::remove_file(archive.join(path));
    let mut files = 0;
    for study in store.half_evicted()? {
        files += store.finish_eviction(study, delete)?.unwrap_or_default().files;
    }
    for uid in store.evicted_studies()? {
        let folder = format!("studies/{}", folder_name(&uid));
        files += remove_folder(&archive.join(&folder))
            .map_err(|source| EvictError::File { path: folder, source })?;
    }
    Ok(files)
}

/// Deletes a folder of files; nothing happens when there is none. A file that somebody holds
/// locked stays, and its folder: an import beside the daemon is about to index it.
fn remove_folder(folder: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let (mut files, mut locked) = (0, false);
    for entry in entries {
        let path = entry?.path();
        if flock(File::open(&path)?, FlockOperation::NonBlockingLockExclusive).is_err() {
            locked = true;
            continue;
        }
        fs::remove_file(path)?;
        files += 1;
    }
    if !locked {
        fs::remove_dir(folder)?;
    }
    Ok(files)
}

/// What stays on the disk although it is nearly full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Studies and their bytes for each reason, in the order of [`Keep`].
    pub studies: BTreeMap<Keep, (u64, u64)>,
    /// Files in quarantine and their bytes.
    pub quarantine: (u64, u64),
}

/// Adds up what may not be deleted. Reads the size of every image: seconds for a full disk, so not
/// for each look at the system page.
///
/// # Errors
///
/// When the database fails.
pub fn held(config: &Config, store: &Store) -> Result<Held, StoreError> {
    let now = store.clock().now();
    let mut kept: BTreeMap<Keep, Vec<i64>> = BTreeMap::new();
    for standing in store.standings()? {
        if let Some(why) = keep(&standing, now, config) {
            kept.entry(why).or_default().push(standing.study_id);
        }
    }
    let mut studies = BTreeMap::new();
    for (why, ids) in kept {
        studies.insert(why, (ids.len() as u64, store.bytes_of_studies(&ids)?));
    }
    Ok(Held { studies, quarantine: store.quarantine_size()? })
}

/// For example `812 studies are unread, 40 GB`; the largest first.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let studies = self.studies.iter().map(|(why, &(count, bytes))| {
            let verb = if count == 1 { "is" } else { "are" };
            let why = match why {
                Keep::Unsettled => "still arriving or not analysed yet",
                Keep::Unread => "unread",
                Keep::Uncommitted => "waiting for a storage commitment to be answered",
                Keep::Unsent => "with a result that an archive does not have yet",
                Keep::Unsynced => "not yet sent to the hub",
                Keep::Recent => "read only just now",
            };
            (bytes, format!("{} {verb} {why}", words::count(count, "study", "studies")))
        });
        let (files, bytes) = self.quarantine;
        let verb = if files == 1 { "is" } else { "are" };
        let files = (files > 0).then(|| {
            (bytes, format!("{} {verb} in quarantine", words::count(files, "file", "files")))
        });
        let mut lines: Vec<_> = studies.chain(files).collect();
        lines.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let lines: Vec<_> =
            lines.iter().map(|(bytes, text)| format!("{text}, {}", words::size(*bytes))).collect();
        f.write_str(&lines.join("; "))
    }
}

#[cfg(test)]
mod tests;
