//! The hub's settings: what is written in a file, over what is built in, checked.
//!
//! The built-in settings are `hub.toml` itself, so that the documentation of a key and its default
//! cannot differ.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::http::pages;
use crate::outward::settings as outward;
use crate::receive::Limits;

/// The built-in settings.
pub const BUILT_IN: &str = include_str!("../hub.toml");
/// Name of the settings in a hub's folder.
pub const FILE: &str = "hub.toml";
const MIB: u64 = 1024 * 1024;

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the settings {path}; `hub init` makes a hub's folder")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No TOML, a key that does not exist, or a value of the wrong type.
    #[error(
        "{file} cannot be understood as settings; `hub check-config` without a file prints all"
    )]
    Syntax {
        /// The file.
        file: String,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value out of range.
    #[error("{file}: {key} is {found}, expected {expected}")]
    Value {
        /// The file.
        file: String,
        /// The key with its table.
        key: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// `[pages]`.
    #[error("{file}: [pages] cannot be used")]
    Pages {
        /// The file.
        file: String,
        /// What is wrong.
        #[source]
        source: pages::SettingsError,
    },
    /// `[[fhir]]` or `[[stow]]`.
    #[error("{file}: {said}")]
    Outward {
        /// The file.
        file: String,
        /// What is wrong.
        said: String,
    },
}

/// The settings as written, all keys present.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "hub.toml documents every key")]
pub struct Settings {
    pub sites: Sites,
    pub database: Database,
    pub blobs: Blobs,
    pub limits: SiteLimits,
    pub pages: pages::Settings,
    #[serde(default, skip_serializing)]
    pub fhir: Vec<exchange::push::Server>,
    #[serde(default, skip_serializing)]
    pub stow: Vec<exchange::push::Server>,
    #[serde(default, skip_serializing)]
    pub dicom: Vec<outward::Archive>,
}

/// `[sites]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "hub.toml documents every key")]
pub struct Sites {
    pub listen: String,
    pub url: String,
}

/// `[database]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "hub.toml documents every key")]
pub struct Database {
    pub url_file: PathBuf,
    pub connections: usize,
}

/// `[blobs]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "hub.toml documents every key")]
pub struct Blobs {
    pub s3_endpoint: String,
    pub s3_bucket: String,
    pub s3_region: String,
    pub s3_path_style: bool,
    pub s3_key_file: PathBuf,
}

/// `[limits]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "hub.toml documents every key")]
pub struct SiteLimits {
    pub row_mib: u64,
    pub blob_mib: u64,
    pub one_blob_mib: u64,
    pub requests_per_minute: u32,
    pub requests_in_a_row: u32,
}

/// Checked settings: what is written, and what of it needed a type of its own.
#[derive(Clone, Debug)]
pub struct Config {
    /// As written.
    pub settings: Settings,
    /// `sites.listen`.
    pub sites_listen: SocketAddr,
    /// `pages.listen`.
    pub pages_listen: SocketAddr,
    /// `[[fhir]]` and `[[stow]]`.
    pub outward: outward::Settings,
}

impl Config {
    /// Settings from a file over the built-in ones; `None` for the built-in ones alone.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the first thing in it that makes no sense.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Self::parse("", "the built-in settings") };
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        let syntax =
            |source| ConfigError::Syntax { file: file.to_owned(), source: Box::new(source) };
        let own: Table = text.parse().map_err(syntax)?;
        let mut all: Table = BUILT_IN.parse().map_err(syntax)?;
        overlay(&mut all, own);
        let settings: Settings = all.try_into().map_err(syntax)?;
        settings.check(file)
    }

    /// The effective settings as TOML.
    #[must_use]
    pub fn render(&self) -> String {
        toml::to_string_pretty(&self.settings).unwrap_or_else(|error| error.to_string())
    }

    /// What one site may take.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let limits = &self.settings.limits;
        Limits {
            row_bytes: limits.row_mib.saturating_mul(MIB),
            blob_bytes: limits.blob_mib.saturating_mul(MIB),
            one_blob_bytes: limits.one_blob_mib.saturating_mul(MIB),
            requests_per_minute: limits.requests_per_minute,
            requests_in_a_row: limits.requests_in_a_row,
        }
    }
}

/// Puts `own` over `all`; what does not belong there is refused with its type later.
fn overlay(all: &mut Table, own: Table) {
    for (key, value) in own {
        match (all.get_mut(&key), value) {
            (Some(Value::Table(known)), Value::Table(value)) => overlay(known, value),
            (_, value) => {
                all.insert(key, value);
            }
        }
    }
}

impl Settings {
    fn check(self, file: &str) -> Result<Config, ConfigError> {
        let refuse = |key, found: &dyn std::fmt::Debug, expected: &str| ConfigError::Value {
            file: file.to_owned(),
            key,
            found: format!("{found:?}"),
            expected: expected.to_owned(),
        };
        let within = |key, value: u64, low: u64, high: u64| {
            let expected = format!("a number from {low} to {high}");
            if (low..=high).contains(&value) { Ok(()) } else { Err(refuse(key, &value, &expected)) }
        };
        let limits = &self.limits;
        within("limits.row_mib", limits.row_mib, 1, 1 << 30)?;
        within("limits.blob_mib", limits.blob_mib, 1, 1 << 30)?;
        within("limits.one_blob_mib", limits.one_blob_mib, 1, 1 << 20)?;
        let per_minute = u64::from(limits.requests_per_minute);
        within("limits.requests_per_minute", per_minute, 10, 1_000_000)?;
        within("limits.requests_in_a_row", u64::from(limits.requests_in_a_row), 10, 1_000_000)?;
        within("database.connections", self.database.connections as u64, 1, 500)?;
        let address = |key, text: &String| {
            let expected = "an address and a port, such as 0.0.0.0:8443 or [::]:8443";
            text.parse::<SocketAddr>().map_err(|_| refuse(key, text, expected))
        };
        let sites_listen = address("sites.listen", &self.sites.listen)?;
        let pages_listen = address("pages.listen", &self.pages.listen)?;
        if !self.sites.url.starts_with("https://") {
            let expected = "how boxes reach the hub, such as https://hub.hospital.org:8443";
            return Err(refuse("sites.url", &self.sites.url, expected));
        }
        let blobs = &self.blobs;
        if !blobs.s3_endpoint.is_empty() {
            if blobs.s3_bucket.is_empty() {
                let expected = "the name of a bucket, because blobs.s3_endpoint is set";
                return Err(refuse("blobs.s3_bucket", &blobs.s3_bucket, expected));
            }
            if blobs.s3_key_file.as_os_str().is_empty() {
                let expected =
                    "a file with access key and secret, because blobs.s3_endpoint is set";
                return Err(refuse("blobs.s3_key_file", &blobs.s3_key_file, expected));
            }
        }
        let pages = |source| ConfigError::Pages { file: file.to_owned(), source };
        self.pages.check().map_err(pages)?;
        let outward = outward::Settings {
            fhir: self.fhir.clone(),
            stow: self.stow.clone(),
            dicom: self.dicom.clone(),
        };
        let said = |said| ConfigError::Outward { file: file.to_owned(), said };
        outward.check().map_err(said)?;
        Ok(Config { settings: self, sites_listen, pages_listen, outward })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::chain;

    fn refusal(text: &str) -> String {
        chain(&Config::parse(text, "hub.toml").unwrap_err())
    }

    #[test]
    fn the_built_in_settings_are_good_and_come_back() {
        let config = Config::load(None).unwrap();
        assert_eq!(config.limits().one_blob_bytes, 2048 * MIB);
        let again = Config::parse(&config.render(), "rendered").unwrap();
        assert_eq!(again.render(), config.render());
    }

    #[test]
    fn a_file_holds_only_what_differs() {
        let config = Config::parse("[limits]\nrow_mib = 7", "hub.toml").unwrap();
        assert_eq!(config.limits().row_bytes, 7 * MIB);
        assert_eq!(config.limits().blob_bytes, 204_800 * MIB);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_name() {
        for (text, said) in [
            ("[limits]\nrow_mb = 7", "row_mb"),
            ("[limit]\nrow_mib = 7", "limit"),
            ("[limits]\nrow_mib = \"7\"", "expected u64"),
            ("[limits]\nrow_mib = 0", "limits.row_mib is 0, expected a number from 1 to"),
            ("[sites]\nlisten = \"8443\"", "sites.listen is \"8443\", expected an address"),
            ("[sites]\nurl = \"http://hub\"", "sites.url"),
            ("[blobs]\ns3_endpoint = \"https://s3\"", "blobs.s3_bucket is \"\", expected the name"),
            ("[pages]\nlisten = \"8043\"", "pages.listen is \"8043\", expected an address"),
            ("[pages]\npacs_link = \"x\"", "[pages] cannot be used, because: `pacs_link` is \"x\""),
            ("[[stow]]\nname = \"pacs\"\nurl = \"pacs\"", "hub.toml: stow.url is \"pacs\""),
            ("limits", "cannot be understood"),
        ] {
            assert!(refusal(text).contains(said), "{}", refusal(text));
        }
        let absent = Config::load(Some(Path::new("nowhere/hub.toml"))).unwrap_err();
        assert!(matches!(absent, ConfigError::Read { .. }), "{absent}");
    }
}
