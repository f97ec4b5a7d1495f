//! Messages between the two processes: length of a JSON header (u32, little endian), the header,
//! and as many bytes as the header's `payload` says.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::dicom::pixels::PixelLayout;

/// Longest JSON header accepted.
const MAX_HEADER_BYTES: u32 = 64 << 10;

/// First message of the parent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) memory_bytes: u64,
}

/// One compressed frame, in the payload, and what it should hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::dicom) struct FrameRequest {
    pub(super) transfer_syntax: String,
    pub(super) photometric: String,
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) samples_per_pixel: u32,
    pub(super) bits_allocated: u32,
    pub(super) signed: bool,
    pub(super) payload: usize,
}

impl FrameRequest {
    pub(in crate::dicom) fn new(transfer_syntax: &str, layout: &PixelLayout) -> Self {
        Self {
            transfer_syntax: transfer_syntax.to_owned(),
            photometric: layout.photometric.clone(),
            rows: layout.rows,
            columns: layout.columns,
            samples_per_pixel: layout.samples_per_pixel,
            bits_allocated: layout.bits_allocated,
            signed: layout.signed,
            payload: 0,
        }
    }

    pub(super) fn frame_samples(&self) -> usize {
        self.rows as usize * self.columns as usize * self.samples_per_pixel as usize
    }

    pub(super) fn frame_bytes(&self) -> usize {
        self.frame_samples() * self.container_bytes()
    }

    pub(super) fn container_bytes(&self) -> usize {
        (self.bits_allocated as usize).div_ceil(8)
    }
}

/// The child's answer: pixels in the payload, or the reason why there are none.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) error: Option<String>,
    pub(super) payload: usize,
}

pub(super) fn write(
    output: &mut impl Write,
    header: &impl Serialize,
    payload: &[u8],
) -> io::Result<()> {
    let header = serde_json::to_vec(header)?;
    let length = u32::try_from(header.len()).map_err(io::Error::other)?;
    output.write_all(&length.to_le_bytes())?;
    output.write_all(&header)?;
    output.write_all(payload)?;
    output.flush()
}

/// Reads a header; `None` when the other side has closed the pipe between two messages.
pub(super) fn read_header<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    if input.read(&mut length[..1])? == 0 {
        return Ok(None);
    }
    input.read_exact(&mut length[1..])?;
    let length = u32::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        return Err(io::Error::other(format!("a header of {length} bytes is no header")));
    }
    let header = read_payload(input, length as usize)?;
    serde_json::from_slice(&header).map(Some).map_err(io::Error::other)
}

pub(super) fn read_payload(input: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    input.take(length as u64).read_to_end(&mut payload)?;
    if payload.len() == length {
        Ok(payload)
    } else {
        Err(io::Error::from(io::ErrorKind::UnexpectedEof))
    }
}
