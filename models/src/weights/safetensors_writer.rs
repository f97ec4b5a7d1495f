//! Writes a safetensors file tensor by tensor, hashing on the way.
//!
//! The `safetensors` crate serialises from memory; the published heads alone are larger than the
//! memory an import may use.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// One tensor of a file that is going to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name.
    pub name: String,
    /// Number type.
    pub dtype: Dtype,
    /// Sizes of the axes.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// Size of the values in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let elements: usize = self.shape.iter().product();
        (elements * self.dtype.bitsize() / 8) as u64
    }
}

/// A finished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenFile {
    /// Size.
    pub bytes: u64,
    /// SHA-256 of the content, lower-case hexadecimal.
    pub sha256: String,
}

/// A file that was not written.
#[derive(Debug, thiserror::Error)]
pub enum SafetensorsWriteError {
    /// The operating system refused.
    #[error("cannot write {path}; is the disk full?")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another number of bytes than the tensor has.
    #[error("{path}: tensor {name} got {found} bytes, its shape needs {expected}")]
    Length {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Bytes given.
        found: u64,
        /// Bytes of the shape.
        expected: u64,
    },
}

/// Takes the values of one tensor.
pub struct TensorSink<'a> {
    output: &'a mut BufWriter<File>,
    digest: &'a mut Sha256,
    path: &'a Path,
    written: u64,
}

impl TensorSink<'_> {
    /// Appends little-endian values.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SafetensorsWriteError> {
        self.digest.update(bytes);
        self.written += bytes.len() as u64;
        self.output.write_all(bytes).map_err(|source| write_error(self.path, source))
    }
}

/// Writes `path` with `tensors`, whose values `fill` gives one tensor at a time.
///
/// The file appears under its name only when it is complete. Tensors of wide number types come
/// first, so that every tensor is aligned for the map it is read from.
///
/// # Errors
///
/// Those of `fill`, and when a tensor gets too few or too many values or the disk is full.
pub fn write_safetensors<E: From<SafetensorsWriteError>>(
    path: &Path,
    tensors: &[TensorSpec],
    fill: &mut dyn FnMut(&TensorSpec, &mut TensorSink<'_>) -> Result<(), E>,
) -> Result<WrittenFile, E> {
    let temporary = path.with_extension("safetensors.partial");
    let written = write_temporary(&temporary, tensors, fill);
    if written.is_err() {
        // The first error is the one to report; a partial file left behind does no harm.
        drop(fs::remove_file(&temporary));
    }
    let written = written?;
    fs::rename(&temporary, path).map_err(|source| write_error(path, source))?;
    Ok(written)
}

fn write_temporary<E: From<SafetensorsWriteError>>(
    path: &Path,
    tensors: &[TensorSpec],
    fill: &mut dyn FnMut(&TensorSpec, &mut TensorSink<'_>) -> Result<(), E>,
) -> Result<WrittenFile, E> {
    let mut order: Vec<&TensorSpec> = tensors.iter().collect();
    order.sort_by(|a, b| b.dtype.bitsize().cmp(&a.dtype.bitsize()).then(a.name.cmp(&b.name)));
    let head = header(&order);
    let file = File::create(path).map_err(|source| write_error(path, source))?;
    let (mut output, mut digest) = (BufWriter::new(file), Sha256::new());
    let mut bytes = head.len() as u64;
    TensorSink { output: &mut output, digest: &mut digest, path, written: 0 }.write(&head)?;
    for tensor in order {
        let mut sink = TensorSink { output: &mut output, digest: &mut digest, path, written: 0 };
        fill(tensor, &mut sink)?;
        let (found, expected) = (sink.written, tensor.bytes());
        if found != expected {
            let (path, name) = (path.to_owned(), tensor.name.clone());
            return Err(SafetensorsWriteError::Length { path, name, found, expected }.into());
        }
        bytes += found;
    }
    let file = output.into_inner().map_err(|e| write_error(path, e.into_error()))?;
    file.sync_all().map_err(|source| write_error(path, source))?;
    let sha256 = digest.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(WrittenFile { bytes, sha256 })
}

/// Length and JSON header, padded with spaces so that the values begin at a multiple of eight.
fn header(order: &[&TensorSpec]) -> Vec<u8> {
    let mut fields = Map::new();
    let mut start = 0;
    for tensor in order {
        let end = start + tensor.bytes();
        let dtype = json!(tensor.dtype);
        let entry = json!({"dtype": dtype, "shape": tensor.shape, "data_offsets": [start, end]});
        fields.insert(tensor.name.clone(), entry);
        start = end;
    }
    let mut text = Value::Object(fields).to_string();
    text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.into_bytes());
    bytes
}

fn write_error(path: &Path, source: io::Error) -> SafetensorsWriteError {
    SafetensorsWriteError::Write { path: path.to_owned(), source }
}
