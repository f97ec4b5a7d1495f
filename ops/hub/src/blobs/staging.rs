//! Blobs that are not whole yet: one file each, whose length is what has arrived.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use exchange::row::hex;
use sha2::{Digest as _, Sha256};

use super::{BlobError, Name, failed};

/// Bytes that are read at a time for the digest.
const READ_BYTES: usize = 128 * 1024;

/// A folder of such files.
#[derive(Debug)]
pub(super) struct Staging(PathBuf);

impl Staging {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    pub(super) fn path(&self, name: &Name) -> PathBuf {
        self.0.join(&name.site).join(&name.sha256)
    }

    pub(super) fn length(&self, name: &Name) -> Result<u64, BlobError> {
        let path = self.path(name);
        match fs::metadata(&path) {
            Ok(found) => Ok(found.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(failed("look at", &path)(error)),
        }
    }

    pub(super) fn append(&self, name: &Name, offset: u64, piece: &[u8]) -> Result<u64, BlobError> {
        let path = self.path(name);
        make_parent(&path)?;
        let options = OpenOptions::new().append(true).create(true).mode(0o600).clone();
        let Some(mut file) = locked(&options, &path)? else {
            return Err(BlobError::Offset { found: 0 });
        };
        let found = file.metadata().map_err(failed("look at", &path))?.len();
        if found != offset {
            return Err(BlobError::Offset { found });
        }
        file.write_all(piece).map_err(failed("write", &path))?;
        file.sync_data().map_err(failed("sync", &path))?;
        if offset == 0 {
            sync_parent(&path)?;
        }
        Ok(offset + piece.len() as u64)
    }

    /// The file of a blob whose content is what its name says, read from its beginning and locked;
    /// `None` without a file. One that is something else is emptied.
    pub(super) fn verified(&self, name: &Name) -> Result<Option<File>, BlobError> {
        let path = self.path(name);
        let options = OpenOptions::new().read(true).append(true).clone();
        let Some(mut file) = locked(&options, &path)? else { return Ok(None) };
        if digest(&mut file).map_err(failed("read", &path))? != name.sha256 {
            file.set_len(0).map_err(failed("empty", &path))?;
            file.sync_all().map_err(failed("sync", &path))?;
            return Err(BlobError::Digest);
        }
        file.rewind().map_err(failed("read", &path))?;
        Ok(Some(file))
    }

    pub(super) fn discard(&self, name: &Name) -> Result<(), BlobError> {
        let path = self.path(name);
        let options = OpenOptions::new().append(true).clone();
        let Some(_locked) = locked(&options, &path)? else { return Ok(()) };
        self.remove(name)
    }

    pub(super) fn sweep(&self, before: SystemTime) -> Result<(), BlobError> {
        for folder in entries(&self.0)? {
            for path in entries(&folder)? {
                let options = OpenOptions::new().append(true).clone();
                let Some(file) = locked(&options, &path)? else { continue };
                let touched = file.metadata().and_then(|file| file.modified());
                if touched.map_err(failed("look at", &path))? < before {
                    fs::remove_file(&path).map_err(failed("delete", &path))?;
                }
            }
        }
        Ok(())
    }

    /// Deletes the file that the caller has locked.
    pub(super) fn remove(&self, name: &Name) -> Result<(), BlobError> {
        let path = self.path(name);
        fs::remove_file(&path).map_err(failed("delete", &path))?;
        sync_parent(&path)
    }
}

/// What is in a folder, which need not be there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, BlobError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("look into", folder)(error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<io::Result<_>>().map_err(failed("look into", folder))
}

/// The file, once nobody else has it: a half-open connection may still deliver what the box sends
/// anew over another one. `None` when it is not there, or was moved away meanwhile.
fn locked(options: &OpenOptions, path: &Path) -> Result<Option<File>, BlobError> {
    let absent = |error: io::Error, doing| match error.kind() {
        io::ErrorKind::NotFound => Ok(None),
        _ => Err(failed(doing, path)(error)),
    };
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) => return absent(error, "open"),
    };
    file.lock().map_err(failed("lock", path))?;
    let ours = file.metadata().map_err(failed("look at", path))?.ino();
    match fs::metadata(path) {
        Ok(found) => Ok((found.ino() == ours).then_some(file)),
        Err(error) => absent(error, "look at"),
    }
}

fn digest(file: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = file.read(&mut buffer)?;
        let Some(read) = buffer.get(..read).filter(|read| !read.is_empty()) else {
            return Ok(hex(&hasher.finalize()));
        };
        hasher.update(read);
    }
}

/// The folder of a file, readable by the hub alone, and durable.
pub(super) fn make_parent(path: &Path) -> Result<(), BlobError> {
    let Some(folder) = path.parent().filter(|folder| !folder.exists()) else { return Ok(()) };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(failed("make", folder))?;
    sync_parent(folder)
}

/// Makes the name of a file durable.
pub(super) fn sync_parent(path: &Path) -> Result<(), BlobError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
}
