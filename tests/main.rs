//! The workspace's integration tests: one binary, so that burn is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, says what it skips, and reads where its data lie from the environment"
)]

mod ablation;
mod browser;
mod bundle;
mod crash;
mod decode_worker;
mod engine;
mod explain;
mod flow;
mod firmware;
mod fuzz_checkpoint;
mod fuzz_dicom;
mod hostile;
mod interop;
mod large_checkpoint;
mod link;
mod parity;
mod programs;
mod pydicom;
mod student;
mod tidy;
mod training;
mod transfer;
mod triage;

pub(crate) use tests::decode_worker;
