//! A study's tokens on disk, so that it can be scored again with another clinical context, or
//! explained, without encoding it again: a safetensors file with one `[T, 289]` tensor a series.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::types::{SeriesTokens, StudyInput, StudyTokens};
use crate::dims::TOKEN_FEATURES;

/// Metadata field that holds the texts as JSON.
const TEXTS: &str = "texts";

/// A token file that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum InputFileError {
    /// The file system failed.
    #[error("cannot use the token file {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another content than this program writes.
    #[error("{path} is not a token file of this program ({what}); the study must be encoded again")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// Writes what a study is scored from. The clinical context stays out: it is what changes.
///
/// # Errors
///
/// When the file cannot be written.
pub fn save(input: &StudyInput, path: &Path) -> Result<(), InputFileError> {
    let io = |source| InputFileError::Io { path: path.to_owned(), source };
    let content = |what: String| InputFileError::Content { path: path.to_owned(), what };
    let bytes: Vec<(String, Vec<u8>)> = (input.tokens.series.iter().enumerate())
        .map(|(i, series)| {
            let values = series.features.iter().flat_map(|value| value.to_le_bytes());
            (format!("series.{i:04}"), values.collect())
        })
        .collect();
    let views: Result<Vec<_>, _> = (bytes.iter().zip(&input.tokens.series))
        .map(|((name, bytes), series)| {
            let shape = vec![series.len(), TOKEN_FEATURES];
            Ok((name, TensorView::new(Dtype::F32, shape, bytes)?))
        })
        .collect();
    let views = views.map_err(|e: safetensors::SafeTensorError| content(e.to_string()))?;
    let texts = serde_json::to_string(&(&input.series_names, &input.study_description))
        .map_err(|e| content(e.to_string()))?;
    let metadata = HashMap::from([(TEXTS.to_owned(), texts)]);
    let file = safetensors::serialize(views, Some(metadata)).map_err(|e| content(e.to_string()))?;
    // A reader sees a whole file or none.
    let partial = path.with_extension("partial");
    fs::write(&partial, file).map_err(io)?;
    fs::rename(&partial, path).map_err(io)
}

/// Reads a file that [`save`] wrote.
///
/// # Errors
///
/// When it cannot be read or is something else.
pub fn load(path: &Path) -> Result<StudyInput, InputFileError> {
    let content = |what: String| InputFileError::Content { path: path.to_owned(), what };
    let bytes =
        fs::read(path).map_err(|source| InputFileError::Io { path: path.to_owned(), source })?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| content(e.to_string()))?;
    let texts = metadata.metadata().as_ref().and_then(|fields| fields.get(TEXTS));
    let texts = texts.ok_or_else(|| content("it has no texts".to_owned()))?;
    let (series_names, study_description): (Vec<String>, String) =
        serde_json::from_str(texts).map_err(|e| content(e.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| content(e.to_string()))?;
    let series = (0..series_names.len()).map(|i| {
        let view = file.tensor(&format!("series.{i:04}")).map_err(|e| content(e.to_string()))?;
        if view.dtype() != Dtype::F32 || view.shape().get(1) != Some(&TOKEN_FEATURES) {
            return Err(content(format!("series {i} has shape {:?}", view.shape())));
        }
        let values = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
        Ok(SeriesTokens { features: values.collect() })
    });
    let tokens = StudyTokens { series: series.collect::<Result<_, _>>()? };
    Ok(StudyInput { tokens, series_names, study_description, clinical_context: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> StudyInput {
        let series = |n: usize| SeriesTokens {
            features: (0u16..).take(n * TOKEN_FEATURES).map(|v| f32::from(v) / 7.0).collect(),
        };
        StudyInput {
            tokens: StudyTokens { series: vec![series(3), series(1)] },
            series_names: vec!["AX T1".to_owned(), "naïve \"name\"".to_owned()],
            study_description: "MRI BRAIN".to_owned(),
            clinical_context: None,
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.safetensors");
        save(&input(), &path).unwrap();
        assert_eq!(load(&path).unwrap(), input());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no partial file is left");
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.safetensors");
        save(&input(), &path).unwrap();
        let bytes = fs::read(&path).unwrap();
        for length in [0, 4, 40, bytes.len() - 1] {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(matches!(load(&path), Err(InputFileError::Content { .. })), "{length} bytes");
        }
    }
}
