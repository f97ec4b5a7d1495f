//! Files of a bundle on their way: what was synced is there after any power cut, and nothing has its
//! name before its digest is right.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Part, SIGNATURE, Wanted};
use crate::row::hex;

/// End of the name of a file that is not whole; its length is the offset at which it goes on.
const PARTIAL: &str = ".part";
/// Digits of a bundle's digest that name its folder.
const DIGITS: usize = 16;
/// Read at a time for a digest.
const READ_BYTES: usize = 1 << 20;

/// Why a file is not on a shelf.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The disk.
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
    /// It leads out of the bundle.
    #[error("the bundle names a file {0:?}; paths must stay inside the bundle")]
    Path(String),
    /// All bytes are there, and they are others.
    #[error(
        "{path} came with SHA-256 {found}, expected {expected}: it was changed at the hub; tell the \
         hospital, which may offer the bundle again"
    )]
    Content {
        /// Below the bundle's folder.
        path: String,
        /// Of what came.
        found: String,
        /// As promised.
        expected: String,
    },
}

/// Where the files of one bundle lie until all are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf {
    bundle: String,
    folder: PathBuf,
}

impl Shelf {
    /// That of a bundle in the folder of all shelves; `bundle` is the SHA-256 of its manifest.
    #[must_use]
    pub fn new(root: &Path, bundle: &str) -> Self {
        Self { bundle: bundle.to_owned(), folder: root.join(name(bundle)) }
    }

    /// Its folder: a bundle, once all is there.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is to be fetched of a file; `None` once it is there and right.
    ///
    /// # Errors
    ///
    /// [`ShelfError::Content`] when all of it is there, and something else; then nothing of it is
    /// left. Else when the disk fails, or the path leads out of the bundle.
    pub fn wanted(&self, part: &Part) -> Result<Option<Wanted>, ShelfError> {
        let path = self.place(&part.path)?;
        if length(&path)? == Some(part.bytes) {
            return Ok(None);
        }
        let wanted = Wanted {
            bundle: self.bundle.clone(),
            path: part.path.clone(),
            sha256: part.sha256.clone(),
            bytes: part.bytes,
            offset: length(&partial(&path))?.unwrap_or(0),
        };
        if wanted.offset < part.bytes {
            return Ok(Some(wanted));
        }
        // A power cut came between the last byte and the name; or it has no bytes.
        self.finish(&wanted, &path)?;
        Ok(None)
    }

    /// Keeps a piece that begins where `wanted` said; one that begins elsewhere by now is dropped.
    ///
    /// # Errors
    ///
    /// As [`Self::wanted`].
    pub fn keep(&self, wanted: &Wanted, piece: &[u8]) -> Result<(), ShelfError> {
        let path = self.place(&wanted.path)?;
        if wanted.bundle != self.bundle || length(&partial(&path))?.unwrap_or(0) != wanted.offset {
            return Ok(());
        }
        self.append(&path, piece)?;
        if wanted.offset == 0 {
            self.sync_folder(&path)?;
        }
        if wanted.offset + piece.len() as u64 >= wanted.bytes {
            self.finish(wanted, &path)?;
        }
        Ok(())
    }

    /// Puts the manifest's signature beside it.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn sign(&self, signature: &str) -> Result<(), ShelfError> {
        let path = self.folder.join(SIGNATURE);
        fs::write(&path, signature).map_err(failed("write", &path))
    }

    /// Bytes that are here.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        bytes_in(&self.folder)
    }

    fn append(&self, path: &Path, piece: &[u8]) -> Result<(), ShelfError> {
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        let path = partial(path);
        let opened = File::options().append(true).create(true).open(&path);
        let mut file = opened.map_err(failed("open", &path))?;
        file.write_all(piece).map_err(failed("write", &path))?;
        file.sync_all().map_err(failed("sync", &path))
    }

    /// Gives a file its name, if it is what its digest says; else nothing of it is left.
    fn finish(&self, wanted: &Wanted, path: &Path) -> Result<(), ShelfError> {
        let part = partial(path);
        if wanted.bytes == 0 {
            self.append(path, &[])?;
        }
        let found = digest(&part).map_err(failed("read", &part))?;
        if found != wanted.sha256 {
            fs::remove_file(&part).map_err(failed("delete", &part))?;
            let (path, expected) = (wanted.path.clone(), wanted.sha256.clone());
            return Err(ShelfError::Content { path, found, expected });
        }
        fs::rename(&part, path).map_err(failed("rename", &part))?;
        self.sync_folder(path)
    }

    /// Makes the name of a file durable.
    fn sync_folder(&self, path: &Path) -> Result<(), ShelfError> {
        let folder = path.parent().unwrap_or(&self.folder);
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(failed("sync", folder))
    }

    fn place(&self, path: &str) -> Result<PathBuf, ShelfError> {
        let inside = |part: Component<'_>| matches!(part, Component::Normal(_));
        if path.is_empty() || !Path::new(path).components().all(inside) {
            return Err(ShelfError::Path(path.to_owned()));
        }
        Ok(self.folder.join(path))
    }
}

/// Throws away what lies on all shelves but that of `bundle`.
///
/// # Errors
///
/// When the disk fails.
pub fn sweep(root: &Path, bundle: Option<&str>) -> Result<(), ShelfError> {
    let kept = bundle.map(name);
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed("look into", root))?,
    };
    for entry in entries {
        let entry = entry.map_err(failed("look into", root))?;
        if kept.as_deref() != entry.file_name().to_str() {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(failed("delete", &path))?;
        }
    }
    Ok(())
}

/// A digest's first digits, and nothing else of what a hub says.
fn name(bundle: &str) -> String {
    bundle.chars().filter(char::is_ascii_hexdigit).take(DIGITS).collect()
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PARTIAL);
    name.into()
}

/// `None` without a file.
fn length(path: &Path) -> Result<Option<u64>, ShelfError> {
    match fs::metadata(path) {
        Ok(file) => Ok(Some(file.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

/// What cannot be looked at is not counted.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.filter_map(|entry| {
        let found = entry.metadata().ok()?;
        Some(if found.is_dir() { bytes_in(&entry.path()) } else { found.len() })
    });
    bytes.sum()
}

fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut sha) = (File::open(path)?, Sha256::new());
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = file.read(&mut buffer)?;
        let Some(read) = buffer.get(..read).filter(|read| !read.is_empty()) else {
            return Ok(hex(&sha.finalize()));
        };
        sha.update(read);
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ShelfError {
    let path = path.to_owned();
    move |source| ShelfError::File { doing, path, source }
}
