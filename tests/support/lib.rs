//! What the integration tests share: phantoms, a scanner, the running daemon, and where things are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's own preparation fails by panicking"
)]

pub mod api;
pub mod chaos;
pub mod daemon;
pub mod hub;
pub mod phantom;
pub mod sender;
pub mod site;

use std::path::PathBuf;

/// The repository's root.
///
/// # Panics
///
/// When the workspace was moved after it was built.
#[must_use]
pub fn repository() -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    std::fs::canonicalize(root).expect("the repository's root exists")
}

/// A program of the workspace, built beside the running test.
///
/// # Panics
///
/// When it was not built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a file");
    let path = test.parent().and_then(|deps| deps.parent()).expect("target folder").join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build --workspace --all-targets`",
        path.display()
    );
    path
}

/// A program whose `decode-worker` argument decodes compressed pixel data.
#[must_use]
pub fn decode_worker() -> PathBuf {
    program("appliance")
}
