//! The appliance's settings: what is written in a file, over what is built in, checked.
//!
//! The built-in settings are `firmware-config/settings.toml` itself, so that the documentation
//! of a key and its default cannot differ. A site's file may leave out anything; a key that is
//! not in the built-in file is refused, because a misspelt limit is no limit.

mod hub;
mod results;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use models::engine::DeviceChoice;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::inference::task::Device;
use crate::worklist::{AgeCaps, AgeCapsError};
use crate::{assembly, fault};

pub use hub::Hub;
pub use results::{Archive, Hl7, Results};

/// The built-in settings.
pub const BUILT_IN: &str = include_str!("../../firmware-config/settings.toml");

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
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
}

/// The settings as written, all keys present.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Settings {
    pub site: Site,
    pub data: Data,
    pub dicom: Dicom,
    pub assembly: Assembly,
    pub analysis: Analysis,
    pub worklist: Worklist,
    pub results: Results,
    pub hub: Hub,
    pub priors: Priors,
    pub web: Web,
    pub disk: Disk,
    pub import: Import,
    pub backup: Backup,
}

/// `[site]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Site {
    pub name: String,
}

/// `[data]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Data {
    pub folder: PathBuf,
}

/// `[dicom]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Dicom {
    pub ae_title: String,
    pub port: u16,
    pub called_ae_titles: Vec<String>,
    pub calling_ae_titles: Vec<String>,
    pub query_retrieve_ae_titles: Vec<String>,
    pub networks: Vec<String>,
    pub max_associations: usize,
    pub max_associations_per_peer: usize,
    pub handshake_limit_s: u64,
    pub idle_limit_s: u64,
    pub association_limit_s: u64,
    pub max_instance_mib: u64,
    pub private_storage_classes: Vec<String>,
    pub tls: Tls,
    #[serde(default)]
    pub peers: Vec<Peer>,
}

/// `[dicom.tls]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Tls {
    pub port: u16,
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    pub client_ca_file: PathBuf,
    pub client_fingerprints: Vec<String>,
}

/// `[[dicom.peers]]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Peer {
    pub ae_title: String,
    pub host: String,
    pub port: u16,
    #[serde(default)]
    pub tls: bool,
}

/// `[assembly]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Assembly {
    pub quiet_s: u64,
    pub quiet_after_release_s: u64,
    pub quiet_when_all_announced_s: u64,
    pub partial_after_s: u64,
}

/// `[analysis]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Analysis {
    pub device: String,
    pub start_limit_s: u64,
    pub study_limit_s: u64,
    pub lime_samples: u32,
    pub deaths: u32,
    pub gpu_pause_s: u64,
    pub gpu_slow_c: u32,
    pub gpu_pause_c: u32,
    pub referral_rules_file: PathBuf,
}

/// `[worklist]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Worklist {
    pub max_wait_high_min: u64,
    pub max_wait_medium_min: u64,
    pub max_wait_low_min: u64,
    pub max_wait_none_min: u64,
    pub max_wait_not_analysed_min: u64,
}

/// `[priors]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Priors {
    pub archive: String,
}

/// `[web]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Web {
    pub listen: String,
    pub host_names: Vec<String>,
    pub niivue_file: PathBuf,
    pub tls: WebTls,
}

/// `[web.tls]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct WebTls {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

/// `[disk]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Disk {
    pub tight_percent: u32,
    pub evict_percent: u32,
    pub full_percent: u32,
    pub evict_read_studies: bool,
}

/// `[import]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Import {
    pub watch_folder: PathBuf,
    pub media_folders: Vec<PathBuf>,
    pub poll_s: u64,
}

/// `[backup]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Backup {
    pub every_h: u64,
}

/// Checked settings: what is written, and what of it needed a type of its own.
#[derive(Clone, Debug)]
pub struct Config {
    /// As written.
    pub settings: Settings,
    /// `dicom.networks`.
    pub networks: Vec<IpNet>,
    /// `analysis.device`.
    pub device: Device,
    /// `worklist.*`.
    pub age_caps: AgeCaps,
    /// `web.listen`.
    pub web_listen: std::net::SocketAddr,
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
        overlay(&mut all, own, "", file)?;
        // What is left to refuse stands in lists of tables, or is a number out of its type's range.
        let settings: Settings = all.try_into().map_err(syntax)?;
        settings.check(file)
    }

    /// The effective settings as TOML.
    #[must_use]
    pub fn render(&self) -> String {
        toml::to_string_pretty(&self.settings).unwrap_or_else(|error| fault::chain(&error))
    }

    /// When studies are complete.
    #[must_use]
    pub fn assembly(&self) -> assembly::Config {
        let settings = &self.settings.assembly;
        assembly::Config {
            quiet: Duration::from_secs(settings.quiet_s),
            quiet_after_release: Duration::from_secs(settings.quiet_after_release_s),
            quiet_when_all_announced: Duration::from_secs(settings.quiet_when_all_announced_s),
            partial: Duration::from_secs(settings.partial_after_s),
        }
    }
}

/// Puts `own` over `all`, which knows every key and its type.
fn overlay(all: &mut Table, own: Table, table: &str, file: &str) -> Result<(), ConfigError> {
    for (key, value) in own {
        let name = if table.is_empty() { key.clone() } else { format!("{table}.{key}") };
        // The lists of tables, which the built-in file shows as comments.
        let lists =
            ["dicom.peers", "results.archives", "results.hl7", "results.fhir", "results.stow"];
        if lists.contains(&name.as_str()) && value.is_array() {
            all.insert(key, value);
            continue;
        }
        let Some(known) = all.get_mut(&key) else {
            let hint = nearest(&key, all.keys());
            return Err(ConfigError::Unknown { file: file.to_owned(), key: name, hint });
        };
        match (known, value) {
            (Value::Table(known), Value::Table(value)) => overlay(known, value, &name, file)?,
            (known, value) if known.same_type(&value) => *known = value,
            (known, value) => {
                let expected = format!("{}, such as {known}", article(known));
                let found = format!("{} ({value})", article(&value));
                return Err(ConfigError::Value {
                    file: file.to_owned(),
                    key: name,
                    found,
                    expected,
                });
            }
        }
    }
    Ok(())
}

fn article(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// A key that differs by a few letters, as a question.
fn nearest<'a>(key: &str, keys: impl Iterator<Item = &'a String>) -> String {
    let closest = keys.map(|known| (distance(key, known), known)).min();
    match closest {
        Some((differences, known)) if differences <= 3 => format!(", did you mean {known}"),
        _ => String::new(),
    }
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

impl Settings {
    /// Where the archive listens that is asked for prior studies.
    pub(crate) fn priors_peer(&self) -> Option<&Peer> {
        self.dicom.peers.iter().find(|peer| peer.ae_title == self.priors.archive)
    }

    fn check(self, file: &str) -> Result<Config, ConfigError> {
        let refuse =
            |key: &str, found: &dyn std::fmt::Display, expected: &str| ConfigError::Value {
                file: file.to_owned(),
                key: key.to_owned(),
                found: found.to_string(),
                expected: expected.to_owned(),
            };
        let within = |key: &str, value: u64, low: u64, high: u64| {
            let expected = format!("a number from {low} to {high}");
            if (low..=high).contains(&value) { Ok(()) } else { Err(refuse(key, &value, &expected)) }
        };
        self.check_dicom(&refuse, &within)?;
        self.check_results(&refuse)?;
        self.check_hub(&refuse, &within)?;
        self.check_priors(&refuse)?;
        self.check_web_tls(&refuse)?;
        within("assembly.quiet_s", self.assembly.quiet_s, 1, 3600)?;
        within("assembly.partial_after_s", self.assembly.partial_after_s, 1, 7 * 24 * 3600)?;
        within("analysis.start_limit_s", self.analysis.start_limit_s, 5, 3600)?;
        within("analysis.study_limit_s", self.analysis.study_limit_s, 5, 24 * 3600)?;
        within("analysis.lime_samples", u64::from(self.analysis.lime_samples), 0, 100_000)?;
        within("analysis.deaths", u64::from(self.analysis.deaths), 1, 20)?;
        within("results.refusals", u64::from(self.results.refusals), 1, 100)?;
        within("import.poll_s", self.import.poll_s, 1, 3600)?;
        within("backup.every_h", self.backup.every_h, 1, 24 * 30)?;
        if self.analysis.gpu_slow_c >= self.analysis.gpu_pause_c {
            let expected = "less than analysis.gpu_pause_c";
            return Err(refuse("analysis.gpu_slow_c", &self.analysis.gpu_slow_c, expected));
        }
        if self.data.folder.as_os_str().is_empty() {
            return Err(refuse("data.folder", &"\"\"", "the name of a folder"));
        }
        let disk = &self.disk;
        let marks = [disk.tight_percent, disk.evict_percent, disk.full_percent];
        if !(marks.is_sorted_by(|a, b| a < b) && marks[0] >= 10 && marks[2] <= 99) {
            let expected = "rising marks from 10 to 99: tight, evict, full";
            return Err(refuse("disk.*_percent", &format!("{marks:?}"), expected));
        }
        let networks: Result<Vec<IpNet>, _> = (self.dicom.networks.iter())
            .map(|text| {
                let one = text.parse().map(|ip: std::net::IpAddr| ip.into());
                text.parse().or(one).map_err(|_| {
                    let expected = "a network such as 192.168.10.0/24, or an address";
                    refuse("dicom.networks", &format!("{text:?}"), expected)
                })
            })
            .collect();
        let networks = networks?;
        let device = match self.analysis.device.as_str() {
            "auto" => Device::Auto,
            name => Device::Only(name.parse::<DeviceChoice>().map_err(|_| {
                refuse("analysis.device", &format!("{name:?}"), "auto, cpu, wgpu or cuda")
            })?),
        };
        let web_listen = self.web.listen.parse().map_err(|_| {
            let expected = "an address and a port, such as 127.0.0.1:8042 or [::]:8042";
            refuse("web.listen", &format!("{:?}", self.web.listen), expected)
        })?;
        let minutes = |m: u64| Duration::from_secs(60 * m);
        let age_caps = AgeCaps {
            high: minutes(self.worklist.max_wait_high_min),
            medium: minutes(self.worklist.max_wait_medium_min),
            low: minutes(self.worklist.max_wait_low_min),
            none: minutes(self.worklist.max_wait_none_min),
            not_analysed: minutes(self.worklist.max_wait_not_analysed_min),
        };
        age_caps
            .check()
            .map_err(|source| ConfigError::AgeCaps { file: file.to_owned(), source })?;
        Ok(Config { settings: self, networks, device, age_caps, web_listen })
    }

    /// `[priors]`.
    fn check_priors(
        &self,
        refuse: &impl Fn(&str, &dyn std::fmt::Display, &str) -> ConfigError,
    ) -> Result<(), ConfigError> {
        let archive = &self.priors.archive;
        if archive.is_empty() || self.priors_peer().is_some() {
            return Ok(());
        }
        let expected = "the AE title of one of [[dicom.peers]], or \"\" to ask nobody";
        Err(refuse("priors.archive", &format!("{archive:?}"), expected))
    }

    /// `[web.tls]`.
    fn check_web_tls(
        &self,
        refuse: &impl Fn(&str, &dyn std::fmt::Display, &str) -> ConfigError,
    ) -> Result<(), ConfigError> {
        let tls = &self.web.tls;
        let missing = |path: &Path| path.as_os_str().is_empty();
        let (key, other) = match (missing(&tls.certificate_file), missing(&tls.key_file)) {
            (true, false) => ("certificate_file", "key_file"),
            (false, true) => ("key_file", "certificate_file"),
            _ => return Ok(()),
        };
        let expected = format!("a PEM file, because web.tls.{other} is set");
        Err(refuse(&format!("web.tls.{key}"), &"\"\"", &expected))
    }

    /// `[dicom]` and where archives listen, and what of it would otherwise show only when the daemon
    /// starts.
    fn check_dicom(
        &self,
        refuse: &impl Fn(&str, &dyn std::fmt::Display, &str) -> ConfigError,
        within: &impl Fn(&str, u64, u64, u64) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let ae = |key: &str, title: &str| {
            let fits = !title.trim().is_empty()
                && title.len() <= 16
                && title.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'\\');
            let expected = "1 to 16 ASCII characters without a backslash";
            if fits { Ok(()) } else { Err(refuse(key, &format!("{title:?}"), expected)) }
        };
        let dicom = &self.dicom;
        ae("dicom.ae_title", &dicom.ae_title)?;
        for (key, titles) in [
            ("dicom.called_ae_titles", &dicom.called_ae_titles),
            ("dicom.calling_ae_titles", &dicom.calling_ae_titles),
        ] {
            titles.iter().filter(|t| *t != "*").try_for_each(|title| ae(key, title))?;
        }
        for title in &dicom.query_retrieve_ae_titles {
            let key = "dicom.query_retrieve_ae_titles";
            ae(key, title)?;
            if title == "*" {
                return Err(refuse(key, &"\"*\"", "AE titles, each by its name"));
            }
        }
        let archives: Vec<Peer> = self.results.archives.iter().map(Archive::peer).collect();
        let peers = || {
            let archives = archives.iter().map(|peer| ("results.archives", peer));
            dicom.peers.iter().map(|peer| ("dicom.peers", peer)).chain(archives)
        };
        for (list, peer) in peers() {
            ae(&format!("{list}.ae_title"), &peer.ae_title)?;
        }
        within("dicom.max_associations", dicom.max_associations as u64, 1, 1000)?;
        let per_peer = dicom.max_associations_per_peer as u64;
        within("dicom.max_associations_per_peer", per_peer, 1, 1000)?;
        within("dicom.handshake_limit_s", dicom.handshake_limit_s, 1, 600)?;
        within("dicom.idle_limit_s", dicom.idle_limit_s, 1, 3600)?;
        within("dicom.association_limit_s", dicom.association_limit_s, 10, 7 * 24 * 3600)?;
        within("dicom.max_instance_mib", dicom.max_instance_mib, 1, 4095)?;
        let tls = &dicom.tls;
        for (key, path) in [
            ("dicom.tls.certificate_file", &tls.certificate_file),
            ("dicom.tls.key_file", &tls.key_file),
        ] {
            if tls.port != 0 && path.as_os_str().is_empty() {
                return Err(refuse(key, &"\"\"", "a PEM file, because dicom.tls.port is set"));
            }
        }
        if dicom.port == tls.port {
            let expected = "a port that is not dicom.port; 0 in only one of them";
            return Err(refuse("dicom.tls.port", &tls.port, expected));
        }
        for (list, peer) in peers() {
            if peer.host.is_empty() || peer.port == 0 {
                let found = format!("{:?}, port {}", peer.host, peer.port);
                return Err(refuse(&format!("{list}.host"), &found, "a host and its port"));
            }
            if peer.tls && tls.client_ca_file.as_os_str().is_empty() {
                let expected = "false, or an authority in dicom.tls.client_ca_file";
                return Err(refuse(&format!("{list}.tls"), &true, expected));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
