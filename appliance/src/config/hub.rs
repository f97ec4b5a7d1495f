//! `[hub]`: the referral hospital's hub, and what it is sent.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Config, ConfigError, Settings};
use crate::hub::link::Address;
use crate::hub::windows::{Hours, Windows};
use crate::store::outbox::{HubProfile, Identity, SeriesSent};

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

impl Config {
    /// Address of the hub; `None` without a link to one.
    #[must_use]
    pub fn hub_address(&self) -> Option<Address> {
        Address::parse(&self.settings.hub.url)
    }

    /// Folder of the files that say who this box is at its hub.
    #[must_use]
    pub fn hub_folder(&self) -> PathBuf {
        let folder = &self.settings.hub.folder;
        if folder.as_os_str().is_empty() {
            return self.settings.data.folder.join("hub");
        }
        folder.clone()
    }

    /// What a hub is sent; `None` without one.
    #[must_use]
    pub fn hub_profile(&self) -> Option<HubProfile> {
        let hub = &self.settings.hub;
        if hub.url.is_empty() && !hub.outbox_only {
            return None;
        }
        let (identity, series) = (Identity::of(&hub.identity)?, SeriesSent::of(&hub.series)?);
        Some(HubProfile { identity, series })
    }

    /// When images may be sent.
    #[must_use]
    pub fn hub_windows(&self) -> Windows {
        let hub = &self.settings.hub;
        Windows {
            hours: Hours::parse(&hub.images_hours),
            bytes_per_day: (hub.images_mib_per_day > 0).then_some(hub.images_mib_per_day << 20),
        }
    }

    /// Time between two looks for what the hub has to say.
    #[must_use]
    pub fn hub_poll(&self) -> Duration {
        Duration::from_secs(self.settings.hub.poll_s)
    }
}

impl Settings {
    /// `[hub]`.
    pub(super) fn check_hub(
        &self,
        refuse: &impl Fn(&str, &dyn Display, &str) -> ConfigError,
        within: &impl Fn(&str, u64, u64, u64) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let hub = &self.hub;
        if !hub.url.is_empty() && Address::parse(&hub.url).is_none() {
            let expected = "an address such as https://hub.hospital.org:8443, or \"\" for no hub";
            return Err(refuse("hub.url", &format!("{:?}", hub.url), expected));
        }
        if !hub.url.is_empty() && hub.outbox_only {
            let expected = "false, because hub.url is set; sticks can be written all the same";
            return Err(refuse("hub.outbox_only", &true, expected));
        }
        if Identity::of(&hub.identity).is_none() {
            let expected = "full or pseudonym";
            return Err(refuse("hub.identity", &format!("{:?}", hub.identity), expected));
        }
        if SeriesSent::of(&hub.series).is_none() {
            let expected = "none or referred";
            return Err(refuse("hub.series", &format!("{:?}", hub.series), expected));
        }
        if !hub.images_hours.is_empty() && Hours::parse(&hub.images_hours).is_none() {
            let expected = "hours of the day such as 22-6, or \"\" for any time";
            return Err(refuse("hub.images_hours", &format!("{:?}", hub.images_hours), expected));
        }
        within("hub.images_mib_per_day", hub.images_mib_per_day, 0, 1 << 20)?;
        within("hub.poll_s", hub.poll_s, 1, 3600)
    }
}
