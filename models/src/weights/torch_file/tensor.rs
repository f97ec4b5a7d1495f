//! A tensor that stays in its file until it is read, in chunks.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use half::{bf16, f16};
use safetensors::Dtype;

use super::SourceFile;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// Largest part of a file that is held in memory to gather a tensor that does not lie in order.
const MAX_SPAN_BYTES: u64 = 1 << 30;

/// A tensor inside a file: a view into a storage, as PyTorch describes it.
#[derive(Clone, Debug)]
pub struct StoredTensor {
    file: Arc<SourceFile>,
    dtype: Dtype,
    shape: Vec<usize>,
    /// In elements.
    strides: Vec<usize>,
    /// Position of the first element in the file.
    start: u64,
}

/// A tensor whose values cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {bytes} bytes at byte {start} of {path}")]
pub struct TensorReadError {
    /// The file.
    pub path: PathBuf,
    /// First byte of the part.
    pub start: u64,
    /// Length of the part.
    pub bytes: u64,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl StoredTensor {
    /// A view whose elements the caller has found to lie inside the file, and of which there are
    /// no more than the storage holds.
    pub(super) fn new(
        file: Arc<SourceFile>,
        dtype: Dtype,
        shape: Vec<usize>,
        strides: Vec<usize>,
        start: u64,
    ) -> Self {
        Self { file, dtype, shape, strides, start }
    }

    /// A tensor that lies in C order from `start` on; `None` when it would end behind the file.
    #[must_use]
    pub fn in_order(
        file: Arc<SourceFile>,
        dtype: Dtype,
        shape: Vec<usize>,
        start: u64,
    ) -> Option<Self> {
        let mut strides = vec![1; shape.len()];
        for i in (1..shape.len()).rev() {
            strides[i - 1] = shape[i].checked_mul(strides[i])?;
        }
        let elements = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size))?;
        let bytes = (elements as u64).checked_mul(element_bytes(dtype))?;
        let end = start.checked_add(bytes)?;
        (end <= file.length()).then(|| Self::new(file, dtype, shape, strides, start))
    }

    /// Number type.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// True for the number types weights have: f16, bf16, f32, f64.
    #[must_use]
    pub fn is_float(&self) -> bool {
        matches!(self.dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64)
    }

    /// Sizes of the axes.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Size of all elements.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.elements() as u64 * element_bytes(self.dtype)
    }

    /// The part of the tensor at one index of its first axis, which stays, with size 1. `None`
    /// beyond the axis.
    #[must_use]
    pub fn row(&self, index: usize) -> Option<Self> {
        if self.shape.first().is_none_or(|&rows| index >= rows) {
            return None;
        }
        let mut row = self.clone();
        row.shape[0] = 1;
        row.start += (index * self.strides[0]) as u64 * element_bytes(self.dtype);
        Some(row)
    }

    /// The same elements in order under another shape; `None` when their number differs.
    #[must_use]
    pub fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        if !self.is_in_order() || shape.iter().product::<usize>() != self.elements() {
            return None;
        }
        Self::in_order(Arc::clone(&self.file), self.dtype, shape.to_vec(), self.start)
    }

    /// Starts reading the elements in C order.
    ///
    /// # Errors
    ///
    /// When the tensor does not lie in order and cannot be gathered.
    pub fn reader(&self) -> Result<TensorReader<'_>, TensorReadError> {
        let gathered = if self.is_in_order() {
            None
        } else {
            let bytes = (self.last_offset() + 1) as u64 * element_bytes(self.dtype);
            let fail = |source| self.error(self.start, bytes, source);
            if bytes > MAX_SPAN_BYTES {
                return Err(fail(io::ErrorKind::FileTooLarge.into()));
            }
            Some(self.file.read_vec(self.start, bytes).map_err(fail)?)
        };
        Ok(TensorReader { tensor: self, gathered, element: 0, chunk: Vec::new() })
    }

    /// All values as f32.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn to_f32(&self) -> Result<Vec<f32>, TensorReadError> {
        let mut values = Vec::with_capacity(self.elements());
        let mut reader = self.reader()?;
        while let Some(chunk) = reader.next_chunk()? {
            widen(self.dtype, chunk, &mut values);
        }
        Ok(values)
    }

    /// True when the elements follow each other in C order; axes of size 1 may have any stride.
    fn is_in_order(&self) -> bool {
        let mut expected = 1;
        self.elements() == 0
            || self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
                let fits = size == 1 || stride == expected;
                expected *= size;
                fits
            })
    }

    /// Distance from the first to the last element of the storage that is used.
    fn last_offset(&self) -> usize {
        self.shape.iter().zip(&self.strides).map(|(&size, &stride)| (size - 1) * stride).sum()
    }

    fn error(&self, start: u64, bytes: u64, source: io::Error) -> TensorReadError {
        TensorReadError { path: self.file.path().to_owned(), start, bytes, source }
    }
}

/// Reads a tensor chunk by chunk.
#[derive(Debug)]
pub struct TensorReader<'a> {
    tensor: &'a StoredTensor,
    /// The used part of the storage, for a tensor that does not lie in order.
    gathered: Option<Vec<u8>>,
    element: usize,
    chunk: Vec<u8>,
}

impl TensorReader<'_> {
    /// The next elements as they are stored, little-endian; `None` at the end.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    #[expect(clippy::cast_possible_truncation, reason = "elements are at most 8 bytes wide")]
    pub fn next_chunk(&mut self) -> Result<Option<&[u8]>, TensorReadError> {
        let tensor = self.tensor;
        let width = element_bytes(tensor.dtype) as usize;
        let count = (tensor.elements() - self.element).min(CHUNK_BYTES / width);
        if count == 0 {
            return Ok(None);
        }
        self.chunk.resize(count * width, 0);
        match &self.gathered {
            None => {
                let start = tensor.start + (self.element * width) as u64;
                let read = tensor.file.read_at(&mut self.chunk, start);
                read.map_err(|e| tensor.error(start, self.chunk.len() as u64, e))?;
            }
            Some(span) => {
                for (i, target) in self.chunk.chunks_exact_mut(width).enumerate() {
                    let mut index = self.element + i;
                    let mut offset = 0;
                    for (&size, &stride) in tensor.shape.iter().zip(&tensor.strides).rev() {
                        offset += index % size * stride;
                        index /= size;
                    }
                    target.copy_from_slice(&span[offset * width..][..width]);
                }
            }
        }
        self.element += count;
        Ok(Some(&self.chunk))
    }
}

/// Bytes of one element of the number types that are read here.
pub(super) fn element_bytes(dtype: Dtype) -> u64 {
    match dtype {
        Dtype::F64 | Dtype::I64 => 8,
        Dtype::F32 | Dtype::I32 => 4,
        Dtype::F16 | Dtype::BF16 | Dtype::I16 => 2,
        _ => 1,
    }
}

/// Appends stored values as f32; types that are no floats are left out.
pub fn widen(dtype: Dtype, bytes: &[u8], values: &mut Vec<f32>) {
    match dtype {
        Dtype::F32 => values.extend(words(bytes).map(f32::from_le_bytes)),
        Dtype::F16 => values.extend(words(bytes).map(|w| f16::from_le_bytes(w).to_f32())),
        Dtype::BF16 => values.extend(words(bytes).map(|w| bf16::from_le_bytes(w).to_f32())),
        #[expect(clippy::cast_possible_truncation, reason = "networks compute in f32")]
        Dtype::F64 => values.extend(words(bytes).map(|w| f64::from_le_bytes(w) as f32)),
        _ => {}
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks().0.iter().copied()
}
