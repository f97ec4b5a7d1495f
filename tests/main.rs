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

mod decode_worker;
mod fuzz_checkpoint;
mod fuzz_dicom;
mod large_checkpoint;
mod pydicom;
mod tidy;

pub(crate) use tests::decode_worker;
