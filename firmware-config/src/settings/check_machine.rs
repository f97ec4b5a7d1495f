//! What the settings of the machine must be, in the types that files are rendered from.

use std::net::IpAddr;
use std::path::{Component, Path};

use ipnet::IpNet;

use super::SettingsError;
use super::check::{Refuse, networks};
use super::model::Settings;

/// The settings of the machine that needed a type of their own.
#[derive(Clone, Debug)]
pub struct Machine {
    /// `network.address`; `None` asks DHCP for one.
    pub address: Option<IpNet>,
    /// `network.gateway`.
    pub gateway: Option<IpAddr>,
    /// `network.name_servers`.
    pub name_servers: Vec<IpAddr>,
    /// `firewall.page_networks`.
    pub page_networks: Vec<IpNet>,
    /// `firewall.ssh_networks`.
    pub ssh_networks: Vec<IpNet>,
    /// `clock.serve_networks`.
    pub serve_networks: Vec<IpNet>,
}

impl Settings {
    /// The tables from `[network]` on, and the time zone.
    pub(super) fn check_machine(&self, refuse: &Refuse<'_>) -> Result<Machine, SettingsError> {
        self.check_words(refuse)?;
        self.check_paths(refuse)?;
        let network = &self.network;
        let address = one(&network.address, |text| {
            text.parse::<IpNet>().ok().filter(|found| found.prefix_len() > 0)
        });
        let expected = "an address with its prefix such as 192.168.10.5/24, or \"\" for DHCP";
        let found = format!("{:?}", network.address);
        let address = address.ok_or_else(|| refuse("network.address", &found, expected))?;
        let gateway = one(&network.gateway, |text| text.parse().ok());
        let found = format!("{:?}", network.gateway);
        let gateway = gateway
            .ok_or_else(|| refuse("network.gateway", &found, "an address, or \"\" for none"))?;
        let name_servers = network.name_servers.iter().map(|text| {
            let expected = "addresses of name servers";
            text.parse().map_err(|_| refuse("network.name_servers", &format!("{text:?}"), expected))
        });
        Ok(Machine {
            address,
            gateway,
            name_servers: name_servers.collect::<Result<_, _>>()?,
            page_networks: networks(
                "firewall.page_networks",
                &self.firewall.page_networks,
                refuse,
            )?,
            ssh_networks: networks("firewall.ssh_networks", &self.firewall.ssh_networks, refuse)?,
            serve_networks: networks("clock.serve_networks", &self.clock.serve_networks, refuse)?,
        })
    }

    /// What ends up in files as it is written.
    fn check_words(&self, refuse: &Refuse<'_>) -> Result<(), SettingsError> {
        let network = &self.network;
        let plain = |text: &str, more: &str| {
            text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if jiff::tz::TimeZone::get(&self.site.time_zone).is_err() {
            let expected = "a time zone such as Africa/Nairobi or UTC";
            return Err(refuse("site.time_zone", &format!("{:?}", self.site.time_zone), expected));
        }
        if !plain(&network.interface, "-_.*") || network.interface.len() > 15 {
            let expected = "the name of a network interface such as eth0, or \"\"";
            return Err(refuse("network.interface", &format!("{:?}", network.interface), expected));
        }
        let none = network.interface.is_empty();
        if none && !(network.address.is_empty() && network.gateway.is_empty()) {
            let expected = "the interface that network.address is for";
            return Err(refuse("network.interface", &"\"\"", expected));
        }
        for (key, names) in [("clock.servers", &self.clock.servers)] {
            for name in names {
                if name.is_empty() || !plain(name, "-.:") {
                    let expected = "names or addresses of time servers";
                    return Err(refuse(key, &format!("{name:?}"), expected));
                }
            }
        }
        let ups = [("ups.driver", &self.ups.driver, "-_"), ("ups.port", &self.ups.port, "-_./:@")];
        for (key, text, more) in ups {
            if !plain(text, more) {
                let expected = "a word as ups.conf(5) has it, such as usbhid-ups and auto";
                return Err(refuse(key, &format!("{text:?}"), expected));
            }
        }
        if self.update.compatible.is_empty() || !plain(&self.update.compatible, "-_.") {
            let found = format!("{:?}", self.update.compatible);
            let expected = "letters, digits, -, _ and ., as the image was built with";
            return Err(refuse("update.compatible", &found, expected));
        }
        if network.interface.contains('*') && !network.address.is_empty() {
            let expected = "the name of one interface, because network.address is set";
            return Err(refuse("network.interface", &format!("{:?}", network.interface), expected));
        }
        Ok(())
    }

    /// Paths, and that the data has a folder of its own.
    fn check_paths(&self, refuse: &Refuse<'_>) -> Result<(), SettingsError> {
        let update = &self.update.keyring_file;
        let import = &self.import;
        let paths = [("data.folder", &self.data.folder), ("update.keyring_file", update)];
        let paths = paths.into_iter().chain([("import.watch_folder", &import.watch_folder)]);
        let media = import.media_folders.iter().map(|path| ("import.media_folders", path));
        for (key, path) in paths.chain(media) {
            let text = path.to_string_lossy();
            if text.chars().any(char::is_control) || text.trim() != text {
                let expected = "a path of printable characters without spaces at its ends";
                return Err(refuse(key, &format!("{text:?}"), expected));
            }
        }
        let folder = Path::new("/var/lib/prima").join(&self.data.folder);
        let own = Path::new("/var/lib/prima/settings");
        let plain_path = folder.components().all(|part| !matches!(part, Component::ParentDir));
        if own.starts_with(&folder)
            || folder.starts_with(own)
            || folder.components().count() < 3
            || !plain_path
        {
            let expected = "a folder of its own for the data, such as /var/lib/prima/data";
            return Err(refuse("data.folder", &format!("{:?}", self.data.folder), expected));
        }
        Ok(())
    }
}

/// `Some(None)` for an empty text, `None` for one that cannot be understood.
fn one<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if text.is_empty() { Some(None) } else { parse(text).map(Some) }
}
