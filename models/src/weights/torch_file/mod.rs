//! Files written by `torch.save`: the pickled value, and tensors that stay in the file.
//!
//! The container is a zip archive with `<name>/data.pkl` (the pickle), `<name>/data/<key>` (one
//! entry per storage, uncompressed) and `<name>/byteorder`. Only the zip directory and the pickle
//! are held in memory. A tensor in the pickle is a call of `torch._utils._rebuild_tensor_v2` or
//! one of its relatives with a storage, an offset, a shape and strides.

mod archive;
mod tensor;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::Dtype;

use self::archive::Extent;
pub use self::archive::{ArchiveError, SourceFile};
use self::tensor::element_bytes;
pub use self::tensor::{StoredTensor, TensorReadError, TensorReader, widen};
use super::pickle::{Node, NodeId, Pickle, PickleError};

/// The published file's pickle has about two megabytes.
const MAX_PICKLE_BYTES: u64 = 64 << 20;
/// Calls around a tensor: parameter, subclass, tensor.
const MAX_WRAPPERS: usize = 8;
/// Axes of a tensor; PyTorch's own limit.
const MAX_AXES: usize = 64;

/// An opened file.
#[derive(Debug)]
pub struct TorchFile {
    file: Arc<SourceFile>,
    pickle: Pickle,
    /// Storages by key.
    storages: BTreeMap<String, Extent>,
}

/// A file that cannot be opened as one of `torch.save`.
#[derive(Debug, thiserror::Error)]
pub enum TorchFileError {
    /// Not readable.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The format of PyTorch before 1.6.
    #[error(
        "{path} is in the format of PyTorch before 1.6; load it in PyTorch once and save it again \
         with torch.save, which writes a zip file"
    )]
    Legacy {
        /// The file.
        path: PathBuf,
    },
    /// Something else.
    #[error("{path} is no file of torch.save: it begins with {found}, not with a zip header")]
    NotTorch {
        /// The file.
        path: PathBuf,
        /// The first bytes.
        found: String,
    },
    /// A damaged container.
    #[error("{path} is a damaged torch file; copy it again")]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is damaged.
        #[source]
        source: ArchiveError,
    },
    /// A zip file of another kind.
    #[error("{path}: {field} is {found}, expected {expected}")]
    Content {
        /// The file.
        path: PathBuf,
        /// Entry of the archive.
        field: &'static str,
        /// What is there.
        found: String,
        /// What would be right, and what to do.
        expected: &'static str,
    },
    /// A damaged pickle.
    #[error("{path}: its data.pkl cannot be read; copy the file again")]
    Pickle {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: PickleError,
    },
}

/// A value of the pickle that is not a tensor of this file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found}, expected {expected}")]
pub struct TensorError {
    /// What is there.
    pub found: String,
    /// What a tensor needs.
    pub expected: String,
}

impl TorchFile {
    /// Opens a file and reads its pickle.
    ///
    /// # Errors
    ///
    /// When it is not a file of `torch.save`, is damaged, or has big-endian values.
    pub fn open(path: &Path) -> Result<Self, TorchFileError> {
        let fail = |source| TorchFileError::Read { path: path.to_owned(), source };
        let file = SourceFile::open(path).map_err(fail)?;
        check_magic(&file)?;
        let archive = |source| TorchFileError::Archive { path: path.to_owned(), source };
        let entries = archive::entries(&file).map_err(archive)?;
        let content = |field, found, expected| {
            Err(TorchFileError::Content { path: path.to_owned(), field, found, expected })
        };
        let is_folder = |name: &&str| name.is_empty() || name.ends_with('/');
        let mut folders = entries.keys().filter_map(|name| name.strip_suffix("data.pkl"));
        let folder = folders.find(is_folder);
        let Some(folder) = folder else {
            let found = format!("missing among {} entries", entries.len());
            return content("data.pkl", found, "a file written by torch.save");
        };
        if let Some(entry) = entries.get(&format!("{folder}byteorder")) {
            let order = file.read_vec(entry.start, entry.length.min(16)).map_err(fail)?;
            if order != b"little" {
                let found = format!("{:?}", String::from_utf8_lossy(&order));
                return content("byteorder", found, "\"little\"; save it on such a machine");
            }
        }
        let entry = entries[&format!("{folder}data.pkl")];
        if entry.length > MAX_PICKLE_BYTES {
            let found = format!("{} bytes", entry.length);
            return content("data.pkl", found, "at most 64 MiB: a module of tensors, not of lists");
        }
        let bytes = file.read_vec(entry.start, entry.length).map_err(fail)?;
        let pickle = Pickle::parse(&bytes)
            .map_err(|source| TorchFileError::Pickle { path: path.to_owned(), source })?;
        let data = format!("{folder}data/");
        let storages = entries
            .iter()
            .filter_map(|(name, entry)| Some((name.strip_prefix(&data)?.to_owned(), *entry)))
            .collect();
        Ok(Self { file: Arc::new(file), pickle, storages })
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The pickled value.
    #[must_use]
    pub fn pickle(&self) -> &Pickle {
        &self.pickle
    }

    /// True when a value would be a tensor or parameter.
    #[must_use]
    pub fn is_tensor(&self, id: NodeId) -> bool {
        matches!(self.pickle.node(id), Node::Object(object)
            if self.pickle.global(object.callable).is_some_and(|(_, name)| is_rebuild(name)))
    }

    /// The tensor that a value of the pickle describes.
    ///
    /// # Errors
    ///
    /// When the value is no tensor, or one that reaches beyond its storage.
    pub fn tensor(&self, id: NodeId) -> Result<StoredTensor, TensorError> {
        let (function, args) = self.unwrap(id)?;
        let arg = |i: usize, what| {
            let missing = || self.unexpected(id, &format!("{what} as argument {i}"));
            args.get(i).copied().ok_or_else(missing)
        };
        let storage = self.storage(arg(0, "a storage")?)?;
        let counts = |id: NodeId| -> Option<Vec<usize>> {
            let items = self.pickle.items(id).filter(|items| items.len() <= MAX_AXES)?;
            items.iter().map(|&item| self.pickle.count(item)).collect()
        };
        let shape_id = arg(2, "a shape")?;
        let shape = counts(shape_id).ok_or_else(|| self.unexpected(shape_id, "a shape"))?;
        let strides_id = arg(3, "strides")?;
        let mut strides = counts(strides_id)
            .filter(|strides| strides.len() == shape.len())
            .ok_or_else(|| self.unexpected(strides_id, "one stride per axis"))?;
        let offset_id = arg(1, "an offset")?;
        let offset = self.pickle.count(offset_id);
        let offset = offset.ok_or_else(|| self.unexpected(offset_id, "an offset"))?;
        let dtype = match function {
            // An untyped storage is told its number type by the tensor.
            "_rebuild_tensor_v3" => {
                let id = arg(6, "a number type")?;
                let name = self.pickle.global(id).and_then(|(_, name)| dtype(name));
                name.ok_or_else(|| self.unexpected(id, "a number type"))?
            }
            _ => storage.dtype,
        };
        let capacity = storage.bytes / element_bytes(dtype);
        if !fits(offset, &shape, &strides, capacity) {
            return Err(TensorError {
                found: format!("shape {shape:?}, strides {strides:?}, offset {offset}"),
                expected: format!("a view of at most the {capacity} elements of its storage"),
            });
        }
        if shape.contains(&0) {
            // Strides of an empty tensor mean nothing, so they may be anything.
            strides.fill(0);
        }
        let start = storage.start + offset as u64 * element_bytes(dtype);
        Ok(StoredTensor::new(Arc::clone(&self.file), dtype, shape, strides, start))
    }

    /// Goes through parameters and subclasses to the call that makes the tensor itself.
    fn unwrap(&self, id: NodeId) -> Result<(&str, &[NodeId]), TensorError> {
        let mut call = (id, None);
        for _ in 0..MAX_WRAPPERS {
            let (at, named) = call;
            let wrong = || self.unexpected(at, "a tensor");
            let (function, args) = match (named, self.pickle.node(at)) {
                (Some(function), _) => (function, at),
                (None, Node::Object(object)) => (object.callable, object.args),
                _ => return Err(wrong()),
            };
            let name = self.pickle.global(function).map(|(_, name)| name).ok_or_else(wrong)?;
            let args = self.pickle.items(args).ok_or_else(wrong)?;
            call = match (name, args) {
                ("_rebuild_parameter" | "_rebuild_parameter_with_state", [data, ..]) => {
                    (*data, None)
                }
                ("_rebuild_from_type_v2", [function, _, args, ..]) => (*args, Some(*function)),
                ("_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3", _) => {
                    return Ok((name, args));
                }
                _ => return Err(wrong()),
            };
        }
        Err(self.unexpected(id, "a tensor"))
    }

    /// The storage behind a persistent id: `('storage', class, key, device, elements)`.
    fn storage(&self, id: NodeId) -> Result<Storage, TensorError> {
        let wrong = || self.unexpected(id, "a storage of this file");
        let Node::Persistent(tuple) = self.pickle.node(id) else { return Err(wrong()) };
        let parts = self.pickle.items(*tuple).ok_or_else(wrong)?;
        let &[tag, class, key, _device, count] = parts else { return Err(wrong()) };
        if self.pickle.text(tag) != Some("storage") {
            return Err(wrong());
        }
        let class_name = self.pickle.global(class).map(|(_, name)| name).ok_or_else(wrong)?;
        let dtype = storage_dtype(class_name).ok_or_else(|| {
            self.unexpected(class, "a storage of f16, bf16, f32, f64, integers or bool")
        })?;
        let key = match (self.pickle.text(key), self.pickle.count(key)) {
            (Some(text), _) => text.to_owned(),
            (None, Some(number)) => number.to_string(),
            (None, None) => return Err(wrong()),
        };
        let extent = self.storages.get(&key).ok_or_else(|| TensorError {
            found: format!("storage {key:?}, which the file does not hold"),
            expected: "the entry data/ of that name; copy the file again".to_owned(),
        })?;
        let count = self.pickle.count(count).ok_or_else(wrong)? as u64;
        match count.checked_mul(element_bytes(dtype)) {
            Some(bytes) if bytes <= extent.length => {
                Ok(Storage { dtype, start: extent.start, bytes })
            }
            _ => Err(TensorError {
                found: format!("storage {key:?} of {count} elements"),
                expected: format!("at most the {} bytes of its entry", extent.length),
            }),
        }
    }

    fn unexpected(&self, id: NodeId, expected: &str) -> TensorError {
        TensorError { found: self.pickle.describe(id), expected: expected.to_owned() }
    }
}

struct Storage {
    dtype: Dtype,
    start: u64,
    bytes: u64,
}

fn is_rebuild(function: &str) -> bool {
    function.starts_with("_rebuild_tensor")
        || function.starts_with("_rebuild_parameter")
        || function == "_rebuild_from_type_v2"
}

/// True when a view stays inside its storage and repeats none of it: an expanded tensor could
/// otherwise claim any size.
fn fits(offset: usize, shape: &[usize], strides: &[usize], capacity: u64) -> bool {
    let elements = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    let last = shape.iter().zip(strides).try_fold(offset, |last, (&size, &stride)| {
        last.checked_add(size.saturating_sub(1).checked_mul(stride)?)
    });
    match (elements, last) {
        (Some(0), _) => offset as u64 <= capacity,
        (Some(elements), Some(last)) => elements as u64 <= capacity && (last as u64) < capacity,
        _ => false,
    }
}

/// Number type of a storage class; untyped storages count bytes.
fn storage_dtype(class: &str) -> Option<Dtype> {
    Some(match class {
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "FloatStorage" => Dtype::F32,
        "DoubleStorage" => Dtype::F64,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" | "UntypedStorage" => Dtype::U8,
        "BoolStorage" => Dtype::BOOL,
        _ => return None,
    })
}

/// Number type by its name in `torch`.
fn dtype(name: &str) -> Option<Dtype> {
    Some(match name {
        "float16" => Dtype::F16,
        "bfloat16" => Dtype::BF16,
        "float32" => Dtype::F32,
        "float64" => Dtype::F64,
        "int64" => Dtype::I64,
        "int32" => Dtype::I32,
        "int16" => Dtype::I16,
        "int8" => Dtype::I8,
        "uint8" => Dtype::U8,
        "bool" => Dtype::BOOL,
        _ => return None,
    })
}

/// Tells the formats of `torch.save` apart by their first bytes.
fn check_magic(file: &SourceFile) -> Result<(), TorchFileError> {
    let path = || file.path().to_owned();
    let length = file.length().min(262);
    let head =
        file.read_vec(0, length).map_err(|source| TorchFileError::Read { path: path(), source })?;
    if head.starts_with(b"PK\x03\x04") {
        return Ok(());
    }
    // Before 1.6 a file was a sequence of pickles that begins with a magic number, and before
    // that a tar archive.
    let is_pickle = matches!(head.as_slice(), [0x80, 1..=5, ..]);
    if is_pickle || head.get(257..262) == Some(b"ustar") {
        return Err(TorchFileError::Legacy { path: path() });
    }
    let found = format!("{:02x?}", &head[..head.len().min(4)]);
    Err(TorchFileError::NotTorch { path: path(), found })
}
