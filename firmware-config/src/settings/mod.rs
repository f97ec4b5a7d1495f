//! The settings: what is written in a file, over what is built in, checked.
//!
//! The built-in settings are `firmware-config/settings.toml` itself, so that the documentation
//! of a key and its default cannot differ. A site's file may leave out anything; a key that is
//! not in the built-in file is refused, because a misspelt limit is no limit.

mod check;
mod check_machine;
mod check_results;
mod hours;
mod migrate;
mod model;
mod overlay;
mod ranges;
mod table;
mod waits;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use toml::Table;

pub use check_machine::Machine;
pub use hours::Hours;
pub use migrate::{FORMAT, MigrateError, down, up};
pub use model::*;
pub use ranges::{RANGES, WORDS};
pub use table::markdown;
pub use waits::{AgeCaps, AgeCapsError};

/// The built-in settings.
pub const BUILT_IN: &str = include_str!("../../settings.toml");

/// Checked settings: what is written, and what of it needed a type of its own.
#[derive(Clone, Debug)]
pub struct Checked {
    /// As written.
    pub settings: Settings,
    /// `dicom.networks`.
    pub networks: Vec<IpNet>,
    /// `worklist.*`.
    pub age_caps: AgeCaps,
    /// `web.listen`.
    pub web_listen: SocketAddr,
    /// The settings of the machine.
    pub machine: Machine,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No TOML, or a value of the wrong kind inside a list.
    #[error("{file} cannot be understood as settings")]
    Syntax {
        /// The file.
        file: String,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A key that does not exist.
    #[error(
        "{file}: {key} is no setting{hint}; `appliance check-config` without a file prints all"
    )]
    Unknown {
        /// The file.
        file: String,
        /// The key with its table.
        key: String,
        /// The nearest key there is.
        hint: String,
    },
    /// A value of the wrong type or out of range.
    #[error("{file}: {key} is {found}, expected {expected}")]
    Value {
        /// The file.
        file: String,
        /// The key with its table.
        key: String,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// Waiting limits that contradict each other.
    #[error("{file}: worklist.max_wait_*_min contradict each other")]
    AgeCaps {
        /// The file.
        file: String,
        /// How.
        #[source]
        source: AgeCapsError,
    },
    /// Written by a later program.
    #[error(
        "{file} has format_version {found}, and this program knows up to {known}; use the program \
         that wrote it, or the copy that it left beside it for earlier ones"
    )]
    Version {
        /// The file.
        file: String,
        /// As written.
        found: i64,
        /// The latest that is known.
        known: i64,
    },
}

impl Checked {
    /// Settings from a file over the built-in ones; `None` for the built-in ones alone.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the first thing in it that makes no sense.
    pub fn load(path: Option<&Path>) -> Result<Self, SettingsError> {
        let Some(path) = path else { return Self::parse("", "the built-in settings") };
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Settings from the text of a file over the built-in ones; `file` is what errors call it.
    ///
    /// # Errors
    ///
    /// The first thing in it that makes no sense.
    pub fn parse(text: &str, file: &str) -> Result<Self, SettingsError> {
        let syntax =
            |source| SettingsError::Syntax { file: file.to_owned(), source: Box::new(source) };
        let own: Table = text.parse().map_err(syntax)?;
        let own = up(own).map_err(|MigrateError::Later(found)| SettingsError::Version {
            file: file.to_owned(),
            found,
            known: FORMAT,
        })?;
        let mut all: Table = BUILT_IN.parse().map_err(syntax)?;
        overlay::overlay(&mut all, own, "", file)?;
        if let Some((key, found, expected)) = ranges::first_outside(&all) {
            let (file, key) = (file.to_owned(), key.to_owned());
            return Err(SettingsError::Value { file, key, found, expected });
        }
        // What is left to refuse stands in lists of tables.
        let settings: Settings = all.try_into().map_err(syntax)?;
        settings.check(file)
    }
}

#[cfg(test)]
mod tests;
