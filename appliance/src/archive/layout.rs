//! Where files lie. Every name is made here from a digest; nothing a peer says becomes part of a
//! path.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use sha2::{Digest as _, Sha256};

use super::ArchiveError;
use crate::hex;

/// Folders remembered as durable; beyond it they are simply made sure of again. Images come for few
/// studies at a time.
const REMEMBERED: usize = 1024;
const FOLDER_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A folder that is held open, and its path for messages.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) fd: OwnedFd,
    pub(super) path: PathBuf,
}

/// The archive's folders.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) root: PathBuf,
    pub(super) studies: Folder,
    pub(super) incoming: Folder,
    pub(super) quarantine: Folder,
    /// Study folders whose entry in `studies` is on the disk.
    durable: Mutex<HashMap<String, Arc<SharedSync>>>,
}

/// One fsync of a folder for all who wait for one: what was renamed before it began is durable
/// when it ends.
#[derive(Debug, Default)]
struct SharedSync {
    asked: AtomicU64,
    /// Requests that a finished fsync covers.
    covered: Mutex<u64>,
}

impl SharedSync {
    fn sync(&self, folder: &Folder) -> Result<(), ArchiveError> {
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut covered = self.covered.lock().unwrap_or_else(PoisonError::into_inner);
        if *covered >= ticket {
            return Ok(());
        }
        let begins_after = self.asked.load(Ordering::SeqCst);
        folder.sync()?;
        *covered = begins_after;
        Ok(())
    }
}

impl Layout {
    /// Opens the folders, makes those that are missing, and deletes what a crash left half
    /// received. A part that another process holds is not touched: `appliance import` may run
    /// beside the daemon.
    pub(super) fn open(root: &Path) -> Result<Self, ArchiveError> {
        std::fs::create_dir_all(root).map_err(|e| ArchiveError::io(root, e))?;
        let parent = Folder::open_at(rustix::fs::CWD, root, root.to_owned())?;
        let child = |name: &str| {
            make_folder(&parent, name)?;
            Folder::open_at(&parent.fd, Path::new(name), root.join(name))
        };
        let layout = Self {
            root: root.to_owned(),
            studies: child("studies")?,
            incoming: child("incoming")?,
            quarantine: child("quarantine")?,
            durable: Mutex::default(),
        };
        parent.sync()?;
        layout.clear_incoming()?;
        Ok(layout)
    }

    fn clear_incoming(&self) -> Result<(), ArchiveError> {
        for name in self.incoming.names()? {
            if Path::new(&name).extension().is_some_and(|extension| extension == "part")
                && let Ok(file) = self.incoming.open_file(&name)
                && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            {
                self.incoming.remove(&name)?;
            }
        }
        Ok(())
    }

    /// A file as the index names it: below the archive's folder.
    pub(super) fn relative(&self, folder: &Folder, name: &str) -> String {
        let folder = folder.path.strip_prefix(&self.root).unwrap_or(&folder.path);
        format!("{}/{name}", folder.display())
    }

    /// The folder of a study. A new one is in its parent durably before this returns: fsync of a
    /// file's own folder says nothing about the folders above it.
    pub(super) fn study(&self, name: &str) -> Result<Folder, ArchiveError> {
        if self.durable().contains_key(name)
            && let Ok(folder) = self.existing_study(name)
        {
            return Ok(folder);
        }
        make_folder(&self.studies, name)?;
        self.studies.sync()?;
        let mut durable = self.durable();
        if durable.len() >= REMEMBERED {
            durable.clear();
        }
        durable.insert(name.to_owned(), Arc::default());
        drop(durable);
        self.existing_study(name)
    }

    /// Makes renames into a study's folder durable, together with others who ask for the same.
    pub(super) fn sync_study(&self, name: &str, folder: &Folder) -> Result<(), ArchiveError> {
        let shared = self.durable().get(name).cloned();
        shared.map_or_else(|| folder.sync(), |shared| shared.sync(folder))
    }

    fn durable(&self) -> MutexGuard<'_, HashMap<String, Arc<SharedSync>>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of a study, to look into.
    pub(super) fn existing_study(&self, name: &str) -> Result<Folder, ArchiveError> {
        Folder::open_at(&self.studies.fd, Path::new(name), self.studies.path.join(name))
    }
}

impl Folder {
    pub(super) fn open_at(
        parent: impl std::os::fd::AsFd,
        name: &Path,
        path: PathBuf,
    ) -> Result<Self, ArchiveError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path }),
            Err(e) => Err(ArchiveError::io(&path, e.into())),
        }
    }

    /// Makes a file that was not there, for reading and writing, and locks it so that no other
    /// process takes it for a remnant.
    pub(super) fn create_file(&self, name: &str) -> Result<File, ArchiveError> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || -> io::Result<File> {
            let fd = rustix::fs::openat(&self.fd, name, flags, FILE_MODE)?;
            rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive)?;
            Ok(fd.into())
        };
        create().map_err(|e| ArchiveError::io(&self.path.join(name), e))
    }

    pub(super) fn open_file(&self, name: &str) -> Result<File, ArchiveError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(fd.into()),
            Err(e) => Err(ArchiveError::io(&self.path.join(name), e.into())),
        }
    }

    /// Moves a file to another folder unless its new name is taken, which is said by `false`.
    pub(super) fn move_file(
        &self,
        name: &str,
        to: &Self,
        new_name: &str,
    ) -> Result<bool, ArchiveError> {
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&self.fd, name, &to.fd, new_name, flags) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::EXIST) => Ok(false),
            Err(e) => Err(ArchiveError::io(&to.path.join(new_name), e.into())),
        }
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), ArchiveError> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())
            .map_err(|e| ArchiveError::io(&self.path.join(name), e.into()))
    }

    /// Makes renames into and out of this folder durable.
    pub(super) fn sync(&self) -> Result<(), ArchiveError> {
        rustix::fs::fsync(&self.fd).map_err(|e| ArchiveError::io(&self.path, e.into()))
    }

    /// What is in it, sorted.
    pub(super) fn names(&self) -> Result<Vec<String>, ArchiveError> {
        let fails = |e: io::Error| ArchiveError::io(&self.path, e);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(fails)? {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry.map_err(fails)?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }
}

fn make_folder(parent: &Folder, name: &str) -> Result<(), ArchiveError> {
    match rustix::fs::mkdirat(&parent.fd, name, FOLDER_MODE) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(e) => Err(ArchiveError::io(&parent.path.join(name), e.into())),
    }
}

/// The name of a study's folder.
pub(crate) fn folder_name(study_uid: &str) -> String {
    hex::lower(&Sha256::digest(study_uid)[..16])
}

/// The name of an instance's file.
pub(super) fn file_name(sop_uid: &str) -> String {
    format!("{}.dcm", folder_name(sop_uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_folders_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::open(folder.path()).unwrap();
        let names = (0..REMEMBERED).map(|number| (number.to_string(), Arc::default()));
        layout.durable().extend(names);
        let study = layout.study("next").unwrap();
        layout.sync_study("next", &study).unwrap();
        assert_eq!(layout.durable().len(), 1);
        // One that was forgotten is made sure of again, and one that is not there is made.
        layout.study("7").unwrap();
        assert_eq!(layout.durable().len(), 2);
        assert!(layout.existing_study("7").is_ok());
    }
}
