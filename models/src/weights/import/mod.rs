//! Import of the published checkpoints into a bundle, without Python and without executing
//! anything (specification §14).
//!
//! 1. `checkpoint` what a checkpoint holds, from the pickled files or from safetensors and JSON;
//!    both give the same description, so that one can be tested against the other.
//! 2. `modules` walks the pickled tree of modules as `state_dict()` would.
//! 3. `sizes` reads every size of the networks from the tensors' shapes.
//! 4. `bundle` writes the bundle, tensor by tensor: a chunk of a megabyte is the largest part of
//!    the file that is in memory.

mod bundle;
mod checkpoint;
mod modules;
mod sizes;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

pub use self::checkpoint::{Attention, Checkpoint, HeadSource, TokenizerCheckpoint};
use super::manifest::Manifest;
use super::safetensors_writer::SafetensorsWriteError;
use super::torch_file::{TensorReadError, TorchFileError};
use crate::nn::config::{ConfigError, PrimaConfig};

/// How far an import is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportProgress {
    /// What is being done: reading a source for its digest, or writing a file of the bundle.
    pub file: String,
    /// Bytes done, of all files.
    pub done: u64,
    /// Bytes to do.
    pub total: u64,
}

/// In which precision the heads' weights are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeadPrecision {
    /// Half precision where the source has it, and for heads of the published size, whose f32
    /// weights would fill 9 GB; otherwise single precision.
    #[default]
    Automatic,
    /// Half precision.
    Half,
    /// Half precision where the source has it, otherwise single precision.
    AsStored,
}

/// What an import wrote.
#[derive(Clone, Debug)]
pub struct ImportSummary {
    /// The bundle's manifest.
    pub manifest: Manifest,
    /// Size of all weight files.
    pub bytes: u64,
    /// Tensors of the checkpoint that have no place in a bundle (attention masks and the like).
    pub skipped: Vec<String>,
}

/// A checkpoint that is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A torch file cannot be opened.
    #[error("cannot open the checkpoint")]
    Torch(#[from] TorchFileError),
    /// Another file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A part of the checkpoint is not what the published layout has.
    #[error("{path}: {field} is {found}, expected {expected}")]
    Field {
        /// The file.
        path: PathBuf,
        /// Module path, attribute or key.
        field: String,
        /// What is there.
        found: String,
        /// What would be right, and what to do.
        expected: String,
    },
    /// The sizes contradict each other.
    #[error("{path}: the sizes of its modules contradict each other")]
    Sizes {
        /// The file.
        path: PathBuf,
        /// Which.
        #[source]
        source: ConfigError,
    },
    /// A value that would make every result NaN.
    #[error("{path}: {field} holds {found} at element {element}; {advice}")]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        field: String,
        /// The value.
        found: f32,
        /// Its index in C order.
        element: usize,
        /// What to do.
        advice: &'static str,
    },
    /// A tensor's values cannot be read.
    #[error("cannot read a tensor of the checkpoint")]
    Tensor(#[from] TensorReadError),
    /// The bundle's folder cannot be made.
    #[error("cannot make the bundle {path}; choose a new folder in a place that can be written")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A weight file cannot be written.
    #[error("cannot write a file of the bundle")]
    Write(#[from] SafetensorsWriteError),
    /// The manifest cannot be put into words.
    #[error("cannot write the manifest")]
    Manifest(#[from] toml::ser::Error),
}

impl ImportError {
    fn field(
        path: &Path,
        field: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        let (field, found, expected) = (field.into(), found.into(), expected.into());
        Self::Field { path: path.to_owned(), field, found, expected }
    }
}

/// Turns the published checkpoints into a bundle: `full` is the pickled model
/// (`primafullmodel*.pt`), `vqvae` the tokenizer's state (`vqvae_model_step*.pth`).
///
/// The folder `out` must not exist; it appears when the bundle is complete.
///
/// # Errors
///
/// Names the file and the field that is not as published, and what to do.
pub fn import_prima(
    full: &Path,
    vqvae: &Path,
    out: &Path,
    precision: HeadPrecision,
    progress: &mut dyn FnMut(ImportProgress),
) -> Result<ImportSummary, ImportError> {
    let model = Checkpoint::from_pickle(full)?;
    let tokenizer = TokenizerCheckpoint::from_pickle(vqvae)?;
    bundle::write(&model, &tokenizer, &[full, vqvae], out, precision, progress)
}

/// Every size of the networks in a pair of checkpoints.
///
/// # Errors
///
/// Names the tensor that is missing or does not fit.
pub fn sizes_of(
    model: &Checkpoint,
    tokenizer: &TokenizerCheckpoint,
) -> Result<PrimaConfig, ImportError> {
    sizes::sizes(model, tokenizer)
}
