//! The appliance's settings in the types that its parts take.
//!
//! What may be written, the defaults and all checks are in the crate `firmware_config`.

mod hub;
mod results;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use firmware_config::settings::{AgeCaps, Checked};
use ipnet::IpNet;

use crate::inference::task::Device;
use crate::{assembly, fault, quality};

pub use firmware_config::settings::{Peer, Settings, SettingsError};

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
    pub web_listen: SocketAddr,
}

impl From<Checked> for Config {
    fn from(checked: Checked) -> Self {
        let Checked { settings, networks, age_caps, web_listen, .. } = checked;
        // Of the words that the settings accept only `auto` is no device.
        let device = settings.analysis.device.parse().map_or(Device::Auto, Device::Only);
        Self { settings, networks, device, age_caps, web_listen }
    }
}

impl Config {
    /// Settings from a file over the built-in ones; `None` for the built-in ones alone.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the first thing in it that makes no sense.
    pub fn load(path: Option<&Path>) -> Result<Self, SettingsError> {
        Ok(Checked::load(path)?.into())
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

    /// How scanners are watched.
    #[must_use]
    pub fn quality(&self) -> quality::Config {
        let settings = &self.settings.quality;
        quality::Config {
            reference: settings.reference_studies as usize,
            recent: settings.recent_studies as usize,
            studies_per_false_alarm: settings.studies_per_false_alarm as usize,
        }
    }
}

#[cfg(test)]
mod tests;
