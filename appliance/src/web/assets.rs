//! Files that pages refer to, built into the program; and NiiVue, which a site brings along.

use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use super::{Error, Web};
use crate::hex;

const STYLE: &str = include_str!("assets/style.css");
const LIVE: &str = include_str!("assets/live.js");
const SLICES: &str = include_str!("assets/slices.js");
const VOLUME: &str = include_str!("assets/volume.js");
const ICON: &str = include_str!("assets/icon.svg");

const SCRIPT: &str = "text/javascript; charset=utf-8";
/// For a file whose name changes with its content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Largest script that a site may bring: three times what NiiVue has.
const MOST_BYTES: u64 = 8 << 20;

/// Why NiiVue is not there.
#[derive(Debug, thiserror::Error)]
pub enum NiivueError {
    /// The file cannot be read.
    #[error(
        "web.niivue_file is {}, which cannot be read; give the file dist/niivue.umd.js of the npm \
         package @niivue/niivue, or \"\" for none",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another file is meant.
    #[error(
        "web.niivue_file is {}, which has {bytes} bytes; at most {MOST_BYTES} are taken, and the file \
         dist/niivue.umd.js of the npm package @niivue/niivue has fewer",
        path.display()
    )]
    Large {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
}

/// The script that draws volumes.
#[derive(Debug)]
pub struct Niivue {
    script: Bytes,
    /// Among the assets.
    name: String,
}

impl Niivue {
    /// Reads the script; none when no file is named.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is too large to be it.
    pub fn read(path: &FilePath) -> Result<Option<Arc<Self>>, NiivueError> {
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        let read = |source| NiivueError::Read { path: path.to_owned(), source };
        let bytes = std::fs::metadata(path).map_err(read)?.len();
        if bytes > MOST_BYTES {
            return Err(NiivueError::Large { path: path.to_owned(), bytes });
        }
        Ok(Some(Arc::new(Self::new(std::fs::read(path).map_err(read)?))))
    }

    pub(super) fn new(script: Vec<u8>) -> Self {
        let digest = hex::lower(&Sha256::digest(&script)[..8]);
        Self { script: script.into(), name: format!("niivue-{digest}.js") }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// One of the files. They change with the program only, but a browser that keeps an old style
/// sheet after an update shows a broken page, and they are small: they are not cached either.
pub(super) async fn file(
    State(web): State<Web>,
    Path(name): Path<String>,
) -> Result<Response, Error> {
    let (kind, text) = match name.as_str() {
        "style.css" => ("text/css; charset=utf-8", STYLE),
        "live.js" => (SCRIPT, LIVE),
        "slices.js" => (SCRIPT, SLICES),
        "volume.js" => (SCRIPT, VOLUME),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => {
            let niivue = web.niivue.filter(|niivue| niivue.name == name);
            let niivue = niivue.ok_or_else(|| Error::NoPage(format!("/assets/{name}")))?;
            let headers = [(CONTENT_TYPE, SCRIPT), (CACHE_CONTROL, FOR_EVER)];
            return Ok((headers, niivue.script.clone()).into_response());
        }
    };
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_cannot_be_had_is_refused_in_words() {
        assert!(Niivue::read(FilePath::new("")).unwrap().is_none());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("niivue.js");
        let refused = || Niivue::read(&path).unwrap_err().to_string();
        let begins = format!("web.niivue_file is {}, which ", path.display());
        assert!(refused().starts_with(&format!("{begins}cannot be read; give the file dist/")));
        std::fs::File::create(&path).unwrap().set_len(MOST_BYTES + 1).unwrap();
        assert!(refused().starts_with(&format!("{begins}has 8388609 bytes; at most 8388608 are")));
        std::fs::write(&path, "x").unwrap();
        assert_eq!(Niivue::read(&path).unwrap().unwrap().name, "niivue-2d711642b726b044.js");
    }
}
