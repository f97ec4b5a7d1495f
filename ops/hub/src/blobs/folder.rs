//! Blobs in a folder: one site, one hospital, one disk.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::staging::{Staging, make_parent, sync_parent};
use super::{BlobError, BlobStore, Name, failed};

/// A folder with `staging/<site>/<sha256>` and `whole/<site>/<two digits>/<sha256>`, on one disk.
#[derive(Debug)]
pub struct Folder {
    staging: Staging,
    whole: PathBuf,
}

impl Folder {
    /// Makes what is not there when it is needed.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { staging: Staging::new(folder.join("staging")), whole: folder.join("whole") }
    }

    fn place(&self, name: &Name) -> PathBuf {
        let digits: String = name.sha256.chars().take(2).collect();
        self.whole.join(&name.site).join(digits).join(&name.sha256)
    }

    fn file(&self, name: &Name) -> Result<File, BlobError> {
        let path = self.place(name);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(BlobError::Missing(name.sha256.clone()))
            }
            opened => opened.map_err(failed("open", &path)),
        }
    }
}

impl BlobStore for Folder {
    fn length(&self, name: &Name) -> Result<u64, BlobError> {
        self.staging.length(name)
    }

    fn append(&self, name: &Name, offset: u64, piece: &[u8]) -> Result<u64, BlobError> {
        self.staging.append(name, offset, piece)
    }

    fn finish(&self, name: &Name, bytes: u64) -> Result<(), BlobError> {
        // The lock is held until the file is in its place.
        let Some(_locked) = self.staging.verified(name)? else {
            let whole = self.is_whole(name, bytes)?;
            return if whole { Ok(()) } else { Err(BlobError::Missing(name.sha256.clone())) };
        };
        let (from, to) = (self.staging.path(name), self.place(name));
        make_parent(&to)?;
        fs::rename(&from, &to).map_err(failed("move", &from))?;
        sync_parent(&to)?;
        sync_parent(&from)
    }

    fn is_whole(&self, name: &Name, bytes: u64) -> Result<bool, BlobError> {
        let path = self.place(name);
        match fs::metadata(&path) {
            Ok(found) => Ok(found.len() == bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("look at", &path)(error)),
        }
    }

    fn open(&self, name: &Name) -> Result<Box<dyn Read + Send>, BlobError> {
        Ok(Box::new(self.file(name)?))
    }

    fn read(&self, name: &Name, offset: u64, length: u64) -> Result<Vec<u8>, BlobError> {
        let (mut file, mut bytes) = (self.file(name)?, Vec::new());
        let read = file.seek(SeekFrom::Start(offset));
        let read = read.and_then(|_| file.take(length).read_to_end(&mut bytes));
        read.map_err(failed("read", &self.place(name)))?;
        Ok(bytes)
    }

    fn discard(&self, name: &Name) -> Result<(), BlobError> {
        self.staging.discard(name)
    }

    fn sweep(&self, before: SystemTime) -> Result<(), BlobError> {
        self.staging.sweep(before)
    }
}
