//! Every setting, as written.

use std::path::PathBuf;

use exchange::push::Server;
use serde::{Deserialize, Serialize};

/// What an archive may be sent of a result.
pub const OBJECTS: [&str; 3] = ["report", "picture", "segmentation"];

/// The settings as written, all keys present.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Settings {
    pub format_version: i64,
    pub site: Site,
    pub data: Data,
    pub dicom: Dicom,
    pub assembly: Assembly,
    pub analysis: Analysis,
    pub worklist: Worklist,
    pub quality: Quality,
    pub results: Results,
    pub hub: Hub,
    pub priors: Priors,
    pub web: Web,
    pub disk: Disk,
    pub import: Import,
    pub backup: Backup,
    pub network: Network,
    pub firewall: Firewall,
    pub trial: Trial,
    pub clock: Clock,
    pub ups: Ups,
    pub thermal: Thermal,
    pub journal: Journal,
    pub watchdog: Watchdog,
    pub update: Update,
}

/// `[site]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Site {
    pub name: String,
    pub time_zone: String,
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
    pub model_keys: Vec<String>,
    pub referral_rules_file: PathBuf,
    pub labels_file: PathBuf,
    pub series_selection_file: PathBuf,
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

/// `[quality]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Quality {
    pub reference_studies: u32,
    pub recent_studies: u32,
    pub studies_per_false_alarm: u32,
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

/// `[network]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Network {
    pub interface: String,
    pub address: String,
    pub gateway: String,
    pub name_servers: Vec<String>,
}

/// `[firewall]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Firewall {
    pub page_networks: Vec<String>,
    pub ssh_networks: Vec<String>,
}

/// `[trial]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Trial {
    pub confirm_within_min: u64,
}

/// `[clock]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Clock {
    pub servers: Vec<String>,
    pub serve_networks: Vec<String>,
}

/// `[ups]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Ups {
    pub driver: String,
    pub port: String,
    pub drain_below_percent: u32,
    pub drain_below_min: u32,
}

/// `[thermal]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Thermal {
    pub gpu_slow_c: u32,
    pub gpu_pause_c: u32,
}

/// `[journal]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Journal {
    pub max_mib: u32,
    pub keep_days: u32,
}

/// `[watchdog]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Watchdog {
    pub daemon_s: u64,
    pub machine_s: u64,
    pub reboot_after_panic_s: u64,
}

/// `[update]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Update {
    pub compatible: String,
    pub keyring_file: PathBuf,
}

/// `[hub]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Hub {
    pub url: String,
    pub folder: PathBuf,
    pub identity: String,
    pub series: String,
    pub images_hours: String,
    pub images_mib_per_day: u64,
    pub poll_s: u64,
    pub outbox_only: bool,
}

/// `[results]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Results {
    pub refusals: u32,
    #[serde(default)]
    pub archives: Vec<Archive>,
    #[serde(default)]
    pub hl7: Vec<Hl7>,
    #[serde(default)]
    pub fhir: Vec<Server>,
    #[serde(default)]
    pub stow: Vec<Stow>,
}

/// `[[results.archives]]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Archive {
    pub ae_title: String,
    pub host: String,
    pub port: u16,
    #[serde(default)]
    pub tls: bool,
    #[serde(default = "every_kind")]
    pub objects: Vec<String>,
    #[serde(default)]
    pub commitment: bool,
}

fn every_kind() -> Vec<String> {
    OBJECTS.map(str::to_owned).to_vec()
}

impl Archive {
    /// Where it listens.
    #[must_use]
    pub fn peer(&self) -> Peer {
        let Self { ae_title, host, port, tls, .. } = self.clone();
        Peer { ae_title, host, port, tls }
    }
}

/// `[[results.hl7]]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Hl7 {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub host: String,
    #[serde(default)]
    pub port: u16,
    #[serde(default)]
    pub receiving_application: String,
    #[serde(default)]
    pub receiving_facility: String,
}

/// `[[results.stow]]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "firmware-config/settings.toml documents every key")]
pub struct Stow {
    pub name: String,
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    #[serde(default = "every_kind")]
    pub objects: Vec<String>,
}

impl Stow {
    /// Where it is.
    #[must_use]
    pub fn server(&self) -> Server {
        let Self { name, url, bearer_token_file, ca_file, .. } = self.clone();
        Server { name, url, bearer_token_file, ca_file }
    }
}
