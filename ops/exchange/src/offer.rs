//! A model bundle that a hub offers: its files are fetched one after the other, each in pieces, and
//! lie on a [`Shelf`] until all are there.
//!
//! The manifest comes first. It names every other file with its SHA-256, and the offer brings its
//! signature, so that a box can refuse a bundle before it fetches the weights.

mod shelf;

use serde::{Deserialize, Serialize};

pub use shelf::{Shelf, ShelfError, sweep};

/// Where a hub hands the files out, each below it under its SHA-256.
pub const PATH: &str = "/v1/models";
/// Most bytes that a hub hands out at once.
pub const PIECE_BYTES: usize = 1024 * 1024;
/// Longest manifest; one of 60 heads has 100 KiB.
pub const MANIFEST_BYTES: u64 = 1024 * 1024;
/// Name of the manifest in a bundle.
pub const MANIFEST: &str = "manifest.toml";
/// Name of its signature (minisign).
pub const SIGNATURE: &str = "manifest.toml.minisig";

/// How far an offer has come at a box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nothing of it was fetched yet.
    #[default]
    Offered,
    /// Some of it is there.
    Coming,
    /// All of it is there and right; it is being tried.
    Whole,
    /// It is installed, and not in use.
    Installed,
    /// The box does not want it.
    Refused,
}

impl Stage {
    /// As stored and sent.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Coming => "coming",
            Self::Whole => "whole",
            Self::Installed => "installed",
            Self::Refused => "refused",
        }
    }

    /// The stage of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let all = [Self::Offered, Self::Coming, Self::Whole, Self::Installed, Self::Refused];
        all.into_iter().find(|stage| stage.word() == word)
    }
}

/// What a box says of an offer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// SHA-256 of the manifest, hexadecimal.
    pub sha256: String,
    /// Name of the bundle.
    pub name: String,
    /// How far it has come.
    pub stage: Stage,
    /// Bytes that are there.
    pub here: u64,
    /// All bytes.
    pub bytes: u64,
    /// Why it was refused, or does not go on; may be empty.
    pub why: String,
}

impl Progress {
    /// Share that is there, from 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub fn share(&self) -> f64 {
        (self.here as f64 / self.bytes.max(1) as f64).min(1.0)
    }
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Below the bundle's folder, with forward slashes.
    pub path: String,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// What is fetched next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// SHA-256 of the bundle's manifest.
    pub bundle: String,
    /// Below the bundle's folder.
    pub path: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// How much of it is here; less than all.
    pub offset: u64,
}

/// True for a SHA-256 in lower-case hexadecimal: it may name a file.
#[must_use]
pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests;
