//! What the settings must be together, beyond the type and range of each.

use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;

use super::model::{Archive, Peer, Settings};
use super::waits::AgeCaps;
use super::{Checked, SettingsError};

/// Makes the error about a key from what was found and what is expected.
pub(super) type Refuse<'a> = dyn Fn(&str, &dyn std::fmt::Display, &str) -> SettingsError + 'a;

impl Settings {
    /// Where the archive listens that is asked for prior studies.
    #[must_use]
    pub fn priors_peer(&self) -> Option<&Peer> {
        self.dicom.peers.iter().find(|peer| peer.ae_title == self.priors.archive)
    }

    /// Everything, the words of `file` in front of what is wrong.
    pub(super) fn check(self, file: &str) -> Result<Checked, SettingsError> {
        let refuse =
            |key: &str, found: &dyn std::fmt::Display, expected: &str| SettingsError::Value {
                file: file.to_owned(),
                key: key.to_owned(),
                found: found.to_string(),
                expected: expected.to_owned(),
            };
        self.check_dicom(&refuse)?;
        self.check_results(&refuse)?;
        self.check_hub(&refuse)?;
        self.check_priors(&refuse)?;
        self.check_web_tls(&refuse)?;
        let machine = self.check_machine(&refuse)?;
        if self.thermal.gpu_slow_c >= self.thermal.gpu_pause_c {
            let expected = "less than thermal.gpu_pause_c";
            return Err(refuse("thermal.gpu_slow_c", &self.thermal.gpu_slow_c, expected));
        }
        let disk = &self.disk;
        let marks = [disk.tight_percent, disk.evict_percent, disk.full_percent];
        if !marks.is_sorted_by(|a, b| a < b) {
            let expected = "rising marks from 10 to 99: tight, evict, full";
            return Err(refuse("disk.*_percent", &format!("{marks:?}"), expected));
        }
        for key in &self.analysis.model_keys {
            if key.len() != 56 || !key.starts_with("RW") {
                let expected = "the second line of a minisign public key, which begins with RW";
                return Err(refuse("analysis.model_keys", &format!("{key:?}"), expected));
            }
        }
        let networks = networks("dicom.networks", &self.dicom.networks, &refuse)?;
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
            .map_err(|source| SettingsError::AgeCaps { file: file.to_owned(), source })?;
        Ok(Checked { settings: self, networks, age_caps, web_listen, machine })
    }

    /// `[priors]`.
    fn check_priors(&self, refuse: &Refuse<'_>) -> Result<(), SettingsError> {
        let archive = &self.priors.archive;
        if archive.is_empty() || self.priors_peer().is_some() {
            return Ok(());
        }
        let expected = "the AE title of one of [[dicom.peers]], or \"\" to ask nobody";
        Err(refuse("priors.archive", &format!("{archive:?}"), expected))
    }

    /// `[web.tls]`.
    fn check_web_tls(&self, refuse: &Refuse<'_>) -> Result<(), SettingsError> {
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
    fn check_dicom(&self, refuse: &Refuse<'_>) -> Result<(), SettingsError> {
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

/// The networks of a key.
pub(super) fn networks(
    key: &str,
    texts: &[String],
    refuse: &Refuse<'_>,
) -> Result<Vec<IpNet>, SettingsError> {
    let network = |text: &String| {
        let one = text.parse().map(|ip: std::net::IpAddr| ip.into());
        text.parse().or(one).map_err(|_| {
            let expected = "a network such as 192.168.10.0/24, or an address";
            refuse(key, &format!("{text:?}"), expected)
        })
    };
    texts.iter().map(network).collect()
}
