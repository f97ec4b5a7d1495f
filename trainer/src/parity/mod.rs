//! `trainer parity DIR`: every stage of this implementation against recorded inputs and outputs
//! of the published code.
//!
//! The folder is laid out like `tests/golden/prima` (its README lists the files); every size and
//! name comes from the folder itself. Tolerances are those of the recording: 2e-5 absolute on
//! stage tensors, 1e-4 relative more on gradients, exact ids, coordinates and kept sets.

mod bundle;
mod input;
mod losses;
mod network;
mod preprocess;
mod report;
mod tokenizer;

use std::path::Path;

use anyhow::Result;
use models::dicom::decoder::Decoder;
use models::engine::{DeviceChoice, Precision, device};

pub use report::{Report, Row, Verdict};

/// Absolute tolerance on stage tensors in single precision.
pub const ABSOLUTE: f64 = 2e-5;
/// Relative tolerance that gradients get on top.
pub const GRADIENT_RELATIVE: f64 = 1e-4;

/// Compares every stage on one device.
///
/// # Errors
///
/// When the folder is incomplete or the device does not work. A stage that misses its tolerance
/// is a row of the report, not an error.
pub fn run(folder: &Path, choice: DeviceChoice, decoder: &Decoder) -> Result<Report> {
    let input = input::Folder::open(folder)?;
    let device = device(choice)?;
    let mut report = Report::new(choice);
    input.text_and_positions(&mut report)?;
    preprocess::compare(&input, decoder, &mut report)?;
    tokenizer::compare(&input, choice, &device, &mut report)?;
    network::compare(&input, &device, Precision::Full, &mut report)?;
    losses::compare(&input, &device, &mut report)?;
    bundle::compare(&input, choice, decoder, &mut report)?;
    // Not every GPU driver that wgpu reaches computes in half precision.
    if choice != DeviceChoice::Wgpu {
        tokenizer::compare_half(&input, &device, &mut report)?;
        network::compare(&input, &device, Precision::Half, &mut report)?;
    }
    Ok(report)
}
