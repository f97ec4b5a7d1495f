//! A model that boxes are offered: its files go into the blob store, once, and each box is told by
//! which digest it knows the right ones.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};

use exchange::offer::{MANIFEST, MANIFEST_BYTES, Part, SIGNATURE};
use exchange::row::hex;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::blobs::{BlobError, BlobStore, Name};
use crate::store::offers::Bundle;

/// Bytes that are in memory.
const PIECE_BYTES: u64 = 256 * 1024;
/// Longest signature; real ones have a few hundred bytes.
const SIGNATURE_BYTES: u64 = 16 * 1024;

/// Why a folder cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// A file.
    #[error("cannot read {path}; is this the folder of a model bundle?")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No boxes would take it.
    #[error("cannot read {path}: sign the bundle with `trainer sign`; boxes fetch no other")]
    Unsigned {
        /// The signature.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No manifest, or one without a name.
    #[error("{path} has no `id`, or no list of files: it is no manifest of a model bundle")]
    Manifest {
        /// The file.
        path: PathBuf,
    },
    /// A file is not what the manifest promises.
    #[error("{path} {found}, the manifest promises {expected}; copy the bundle again")]
    Content {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// It was not kept.
    #[error("{path} was not put into the blob store")]
    Blob {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: BlobError,
    },
}

/// What of a manifest is read here.
#[derive(Deserialize)]
struct Manifest {
    id: String,
    files: Vec<FileEntry>,
}

#[derive(Deserialize)]
struct FileEntry {
    path: String,
    bytes: u64,
    sha256: String,
}

/// Puts the files of a bundle into the blob store, those that are not there; each may have
/// `one_blob_bytes`.
///
/// # Errors
///
/// When the folder is no signed bundle, a file is not what the manifest promises, or is not kept.
pub fn publish(
    blobs: &dyn BlobStore,
    folder: &Path,
    one_blob_bytes: u64,
) -> Result<Bundle, OfferError> {
    let path = folder.join(MANIFEST);
    let text = read(&path, MANIFEST_BYTES)
        .map_err(|source| OfferError::File { path: path.clone(), source })?;
    let parsed = toml::from_str(&text).ok();
    let Manifest { id, files } = parsed.ok_or(OfferError::Manifest { path })?;
    let path = folder.join(SIGNATURE);
    let signature =
        read(&path, SIGNATURE_BYTES).map_err(|source| OfferError::Unsigned { path, source })?;
    let own = Part {
        path: MANIFEST.to_owned(),
        sha256: hex(&Sha256::digest(&text)),
        bytes: text.len() as u64,
    };
    let promised = files.into_iter();
    let promised = promised.map(|FileEntry { path, bytes, sha256 }| Part { path, sha256, bytes });
    let bundle = Bundle {
        id,
        sha256: own.sha256.clone(),
        manifest_bytes: own.bytes,
        signature,
        files: [own].into_iter().chain(promised).collect(),
    };
    bundle.files.iter().try_for_each(|file| keep(blobs, folder, file, one_blob_bytes))?;
    Ok(bundle)
}

/// A text that is no longer than this.
fn read(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(text)
}

fn keep(blobs: &dyn BlobStore, folder: &Path, file: &Part, most: u64) -> Result<(), OfferError> {
    let path = folder.join(&file.path);
    let differs = |found: String, expected: String| OfferError::Content {
        path: path.clone(),
        found,
        expected,
    };
    // What a manifest names is handed out to boxes.
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_));
    let (true, Some(name)) =
        (Path::new(&file.path).components().all(inside), Name::offered(&file.sha256))
    else {
        let expected = "paths below the bundle, and digests".to_owned();
        return Err(differs("cannot be handed out".to_owned(), expected));
    };
    if file.bytes > most {
        let most = format!("more than limits.one_blob_mib ({} MiB) allows", most >> 20);
        return Err(differs("is too long for this hub".to_owned(), most));
    }
    let unread = |source| OfferError::File { path: path.clone(), source };
    let found = fs::metadata(&path).map_err(unread)?.len();
    if found != file.bytes {
        return Err(differs(format!("has {found} bytes"), file.bytes.to_string()));
    }
    let kept = upload(blobs, &path, &name, file.bytes);
    kept.map_err(|failed| match failed {
        Failed::Read(source) => unread(source),
        Failed::Blob(BlobError::Digest) => {
            differs("has another SHA-256".to_owned(), file.sha256.clone())
        }
        Failed::Blob(source) => OfferError::Blob { path: path.clone(), source },
    })
}

enum Failed {
    Read(io::Error),
    Blob(BlobError),
}

impl From<BlobError> for Failed {
    fn from(error: BlobError) -> Self {
        Self::Blob(error)
    }
}

/// As a box would upload it: goes on where an earlier try was cut off.
fn upload(blobs: &dyn BlobStore, path: &Path, name: &Name, bytes: u64) -> Result<(), Failed> {
    if blobs.is_whole(name, bytes)? {
        return Ok(());
    }
    let mut offset = blobs.length(name)?.min(bytes);
    let mut file = File::open(path).map_err(Failed::Read)?;
    file.seek(SeekFrom::Start(offset)).map_err(Failed::Read)?;
    loop {
        let mut piece = Vec::new();
        (&file).take(PIECE_BYTES).read_to_end(&mut piece).map_err(Failed::Read)?;
        // A file without bytes is appended once as well, so that it is there.
        if piece.is_empty() && offset > 0 {
            break;
        }
        let ended = piece.is_empty();
        offset = blobs.append(name, offset, &piece)?;
        if ended {
            break;
        }
    }
    Ok(blobs.finish(name, bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::Folder;
    use crate::fault::chain;

    fn entry(path: &str, content: &[u8]) -> String {
        let sha256 = hex(&Sha256::digest(content));
        let bytes = content.len();
        format!("[[files]]\npath = '{path}'\nbytes = {bytes}\nsha256 = '{sha256}'\n")
    }

    #[test]
    fn a_bundle_is_offered_by_its_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let (bundle, blobs) = (folder.path().join("bundle"), folder.path().join("blobs"));
        fs::create_dir_all(bundle.join("heads")).unwrap();
        let (manifest, weights) = (bundle.join(MANIFEST), bundle.join("heads/a"));
        let publish = || publish(&Folder::new(&blobs), &bundle, 1 << 20);
        let refused = || chain(&publish().unwrap_err());
        let says = |said: &str| assert!(refused().contains(said), "{}", refused());
        says("is this the folder of a model bundle?");
        fs::write(&manifest, "preset = 'edge'\nfiles = []").unwrap();
        says("has no `id`");
        let content = vec![7; 600_000];
        let text =
            format!("id = 'edge-2'\n{}{}", entry("heads/a", &content), entry("heads/b", b""));
        fs::write(&manifest, &text).unwrap();
        says("sign the bundle with `trainer sign`");
        fs::write(bundle.join(SIGNATURE), "by somebody").unwrap();
        says("heads/a; is this the folder");
        fs::write(&weights, &content[1..]).unwrap();
        says("heads/a has 599999 bytes, the manifest promises 600000; copy the bundle again");
        fs::write(&weights, vec![8; 600_000]).unwrap();
        says("heads/a has another SHA-256, the manifest promises ");
        fs::write(&weights, &content).unwrap();
        fs::write(bundle.join("heads/b"), "").unwrap();
        fs::write(bundle.join("README"), "not promised").unwrap();
        let offered = publish().unwrap();
        assert_eq!((offered.id.as_str(), offered.signature.as_str()), ("edge-2", "by somebody"));
        assert_eq!(offered.sha256, hex(&Sha256::digest(&text)));
        assert_eq!(offered.manifest_bytes, text.len() as u64);
        assert_eq!(offered.bytes(), (text.len() + content.len()) as u64);
        for file in &offered.files {
            let name = Name::offered(&file.sha256).unwrap();
            let kept = Folder::new(&blobs).read(&name, 0, 1 << 20).unwrap();
            assert_eq!(hex(&Sha256::digest(&kept)), file.sha256, "{}", file.path);
        }
        // The same again is there already, whatever lies in the folder by now.
        fs::write(&weights, vec![9; 600_000]).unwrap();
        assert_eq!(publish().unwrap(), offered);
    }

    #[test]
    fn a_manifest_hands_out_nothing_but_its_bundle() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("bundle");
        fs::create_dir(&bundle).unwrap();
        fs::write(folder.path().join("secret"), [b'k'; 1000]).unwrap();
        fs::write(bundle.join(SIGNATURE), "").unwrap();
        let blobs = Folder::new(&folder.path().join("blobs"));
        fs::write(bundle.join("long"), [b'k'; 1000]).unwrap();
        for (path, said) in [
            ("../secret", "../secret cannot be handed out"),
            ("/etc/hostname", "/etc/hostname cannot be handed out"),
            ("long", "is too long for this hub, the manifest promises more than limits"),
        ] {
            let text = format!("id = 'x'\n{}", entry(path, &[b'k'; 1000]));
            fs::write(bundle.join(MANIFEST), text).unwrap();
            let refused = publish(&blobs, &bundle, 999).unwrap_err().to_string();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
