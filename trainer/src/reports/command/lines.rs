//! JSON lines, with errors that name the line.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a file of JSON lines cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// The file.
    #[error("cannot read or write {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line.
    #[error("{path}, line {line}: {message}")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

pub(super) fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, LinesError> {
    let failed = |source| LinesError::File { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(failed)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let values = lines.map(|(index, line)| {
        serde_json::from_str(line).map_err(|error| LinesError::Line {
            path: path.to_owned(),
            line: index + 1,
            message: error.to_string(),
        })
    });
    values.collect()
}

/// Writes a file whole or not at all.
pub(super) fn write_lines<T: Serialize>(
    path: &Path,
    values: impl Iterator<Item = T>,
) -> Result<(), LinesError> {
    let folder = path.parent().unwrap_or(path);
    let write = || {
        let mut file = BufWriter::new(tempfile::NamedTempFile::new_in(folder)?);
        for value in values {
            serde_json::to_writer(&mut file, &value)?;
            file.write_all(b"\n")?;
        }
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.persist(path)?;
        Ok::<_, std::io::Error>(())
    };
    write().map_err(|source| LinesError::File { path: path.to_owned(), source })
}
