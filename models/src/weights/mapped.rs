//! A memory-mapped safetensors file.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensors};

use crate::nn::head::MatrixView;
use crate::nn::parameters::{ParameterError, ParameterSource};

/// Tensors of one file, read from the map when asked for.
///
/// Dropping the value unmaps the file, which gives its pages back.
#[derive(Debug)]
pub struct WeightFile {
    path: PathBuf,
    map: Mmap,
    data_start: usize,
    metadata: Metadata,
}

/// A weight file that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum WeightFileError {
    /// Not readable.
    #[error("cannot open {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not a safetensors file, or a damaged one.
    #[error("{path} is not a valid safetensors file; copy or export the bundle again")]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: safetensors::SafeTensorError,
    },
}

impl WeightFile {
    /// Maps a file and checks its header.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or its header contradicts its size.
    pub fn open(path: &Path) -> Result<Self, WeightFileError> {
        let open = |source| WeightFileError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(open)?;
        #[expect(
            unsafe_code,
            reason = "a map is sound as long as nobody truncates the file; bundles are written \
                      under a temporary name, renamed, and never changed afterwards"
        )]
        let map = unsafe { Mmap::map(&file) }.map_err(open)?;
        let (header, metadata) = SafeTensors::read_metadata(&map)
            .map_err(|source| WeightFileError::Format { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), map, data_start: header + 8, metadata })
    }

    /// The whole file, for hashing.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Names and shapes of all tensors.
    pub fn tensors(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        self.metadata.tensors().into_iter().map(|(name, info)| (name, info.shape.clone()))
    }

    /// A matrix in the precision it is stored in, without copying.
    ///
    /// # Errors
    ///
    /// When it is missing, has another shape, or is neither f32 nor f16.
    pub fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<MatrixView<'_>, ParameterError> {
        let (dtype, bytes) = self.locate(name, &shape)?;
        let view = match dtype {
            Dtype::F32 => bytemuck::try_cast_slice(bytes).ok().map(MatrixView::F32),
            Dtype::F16 => bytemuck::try_cast_slice(bytes).ok().map(MatrixView::F16),
            _ => None,
        };
        view.ok_or_else(|| {
            self.wrong_type(name, format!("{dtype:?} that is not aligned f32 or f16"))
        })
    }

    fn locate(&self, name: &str, shape: &[usize]) -> Result<(Dtype, &[u8]), ParameterError> {
        let info = self.metadata.info(name).ok_or_else(|| ParameterError::Missing {
            origin: self.path.display().to_string(),
            name: name.to_owned(),
            expected: shape.to_vec(),
        })?;
        if info.shape != shape {
            return Err(ParameterError::Shape {
                origin: self.path.display().to_string(),
                name: name.to_owned(),
                found: info.shape.clone(),
                expected: shape.to_vec(),
            });
        }
        let (start, end) = info.data_offsets;
        Ok((info.dtype, &self.map[self.data_start + start..self.data_start + end]))
    }

    fn wrong_type(&self, name: &str, found: String) -> ParameterError {
        let origin = self.path.display().to_string();
        ParameterError::Type { origin, name: name.to_owned(), found }
    }
}

impl ParameterSource for WeightFile {
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ParameterError> {
        let (dtype, bytes) = self.locate(name, shape)?;
        let values: Vec<f32> = match dtype {
            Dtype::F32 => words(bytes).map(f32::from_le_bytes).collect(),
            Dtype::F16 => words(bytes).map(|w| f16::from_le_bytes(w).to_f32()).collect(),
            Dtype::BF16 => words(bytes).map(|w| bf16::from_le_bytes(w).to_f32()).collect(),
            other => return Err(self.wrong_type(name, format!("{other:?}"))),
        };
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(values),
            Some(element) => Err(ParameterError::NotFinite {
                origin: self.path.display().to_string(),
                name: name.to_owned(),
                element,
            }),
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }
}

/// Notes which tensors of a file are read, so that one that nobody asked for shows.
#[derive(Debug)]
pub struct Tracked<'a> {
    file: &'a WeightFile,
    read: RefCell<HashSet<String>>,
}

impl<'a> Tracked<'a> {
    /// Nothing read yet.
    #[must_use]
    pub fn new(file: &'a WeightFile) -> Self {
        Self { file, read: RefCell::default() }
    }

    /// Every tensor was read, or begins with one of `others`.
    ///
    /// # Errors
    ///
    /// Names the first that the configuration does not promise.
    pub fn nothing_else(&self, others: &[&str]) -> Result<(), ParameterError> {
        let read = self.read.borrow();
        let mut names: Vec<String> = self.file.tensors().map(|(name, _)| name).collect();
        names.sort();
        let promised = |name: &String| {
            read.contains(name) || others.iter().any(|other| name.starts_with(other))
        };
        match names.into_iter().find(|name| !promised(name)) {
            None => Ok(()),
            Some(name) => Err(ParameterError::Unpromised {
                origin: self.file.path.display().to_string(),
                name,
            }),
        }
    }
}

impl ParameterSource for Tracked<'_> {
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ParameterError> {
        self.read.borrow_mut().insert(name.to_owned());
        self.file.read(name, shape)
    }

    fn contains(&self, name: &str) -> bool {
        self.file.contains(name)
    }
}

/// Little-endian words of `N` bytes.
fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}
