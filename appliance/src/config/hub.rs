//! The referral hospital's hub, and what it is sent.

use std::path::PathBuf;
use std::time::Duration;

use firmware_config::settings::Hours;

use super::Config;
use crate::hub::link::Address;
use crate::hub::windows::Windows;
use crate::store::outbox::{HubProfile, Identity, SeriesSent};

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
