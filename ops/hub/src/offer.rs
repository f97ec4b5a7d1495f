//! A model that boxes are told of: what it is called, and by which digest they know the right one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use exchange::command::Command;
use exchange::row::hex;
use sha2::{Digest as _, Sha256};

/// What names a bundle and everything in it.
const MANIFEST: &str = "manifest.toml";

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
    /// No manifest, or one without a name.
    #[error("{path} has no `id`: it is no manifest of a model bundle")]
    Manifest {
        /// The file.
        path: PathBuf,
    },
}

/// The offer of the bundle in a folder.
///
/// # Errors
///
/// When there is none.
pub fn of_bundle(folder: &Path, note: &str) -> Result<Command, OfferError> {
    let path = folder.join(MANIFEST);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OfferError::File { path, source }
    };
    let manifest = fs::read(&path).map_err(failed(&path))?;
    let id = String::from_utf8_lossy(&manifest).parse::<toml::Table>().ok();
    let id = id.and_then(|table| table.get("id")?.as_str().map(str::to_owned));
    let id = id.ok_or(OfferError::Manifest { path })?;
    Ok(Command::ModelOffer {
        id,
        sha256: hex(&Sha256::digest(&manifest)),
        bytes: length(folder).map_err(failed(folder))?,
        note: note.to_owned(),
    })
}

/// Bytes of all files in a folder and its folders.
fn length(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let (entry, path) = entry.map(|entry| (entry.metadata(), entry.path()))?;
        let entry = entry?;
        bytes += if entry.is_dir() { length(&path)? } else { entry.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::chain;

    #[test]
    fn a_bundle_is_offered_by_its_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let refused = chain(&of_bundle(folder.path(), "").unwrap_err());
        assert!(refused.contains("is this the folder of a model bundle?"), "{refused}");
        let manifest = folder.path().join(MANIFEST);
        fs::write(&manifest, "preset = 'edge'").unwrap();
        let refused = of_bundle(folder.path(), "").unwrap_err().to_string();
        assert!(refused.contains("has no `id`"), "{refused}");
        fs::write(&manifest, "id = 'edge-2'\n").unwrap();
        fs::create_dir(folder.path().join("heads")).unwrap();
        fs::write(folder.path().join("heads/a"), [0; 100]).unwrap();
        let Command::ModelOffer { id, sha256, bytes, note } =
            of_bundle(folder.path(), "better").unwrap()
        else {
            panic!("another command")
        };
        assert_eq!((id.as_str(), bytes, note.as_str()), ("edge-2", 114, "better"));
        assert_eq!(sha256, hex(&Sha256::digest("id = 'edge-2'\n")));
    }
}
