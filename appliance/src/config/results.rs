//! `[results]`: where results go, and what of them.

use std::fmt::Display;
use std::path::PathBuf;

use exchange::push::Server;
use serde::{Deserialize, Serialize};

use super::{Config, ConfigError, Peer, Settings};
use crate::results::oru::Parties;
use crate::store::deliveries::{Kind, Recipient};

/// Longest name of a receiver.
const LONGEST_NAME: usize = 32;
/// Longest name that a receiver gives itself in messages.
const LONGEST_PARTY: usize = 64;

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
    Kind::ALL.map(|kind| kind.word().to_owned()).to_vec()
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

impl Config {
    /// Where results go, and what of them.
    #[must_use]
    pub fn recipients(&self) -> Vec<Recipient> {
        let Results { archives, hl7, fhir, stow, .. } = &self.settings.results;
        let kinds = |words: &[String]| -> Vec<Kind> {
            words.iter().filter_map(|word| Kind::of(word)).collect()
        };
        let archives = archives.iter().map(|one| (&one.ae_title, kinds(&one.objects)));
        let services = stow.iter().map(|one| (&one.name, kinds(&one.objects)));
        let receivers = hl7.iter().map(|one| &one.name).chain(fhir.iter().map(|one| &one.name));
        let receivers = receivers.map(|name| (name, vec![Kind::Report]));
        let all = archives.chain(receivers).chain(services);
        all.map(|(name, kinds)| Recipient { name: name.clone(), kinds }).collect()
    }

    /// Who writes to whom in messages to a receiver.
    #[must_use]
    pub fn parties(&self, receiver: &Hl7) -> Parties {
        Parties {
            sending_application: self.settings.dicom.ae_title.clone(),
            sending_facility: self.settings.site.name.clone(),
            receiving_application: receiver.receiving_application.clone(),
            receiving_facility: receiver.receiving_facility.clone(),
        }
    }
}

impl Settings {
    /// `[results]`; where archives listen is checked with the other peers.
    pub(super) fn check_results(
        &self,
        refuse: &impl Fn(&str, &dyn Display, &str) -> ConfigError,
    ) -> Result<(), ConfigError> {
        let Results { archives, hl7, fhir, stow, .. } = &self.results;
        let of_archives = archives.iter().map(|one| ("results.archives.objects", &one.objects));
        let of_services = stow.iter().map(|one| ("results.stow.objects", &one.objects));
        for (key, objects) in of_archives.chain(of_services) {
            if objects.is_empty() || objects.iter().any(|word| Kind::of(word).is_none()) {
                let expected = "some of report, picture, segmentation";
                return Err(refuse(key, &format!("{objects:?}"), expected));
            }
        }
        let text = |key: &str, text: &str, shortest: usize, longest: usize| {
            let fits = (shortest..=longest).contains(&text.chars().count())
                && text.trim() == text
                && !text.chars().any(char::is_control);
            let expected = format!("{shortest} to {longest} printable characters");
            let found = format!("{text:?}");
            if fits { Ok(()) } else { Err(refuse(key, &found, &expected)) }
        };
        for receiver in hl7 {
            text("results.hl7.name", &receiver.name, 1, LONGEST_NAME)?;
            for (key, party) in [
                ("results.hl7.receiving_application", &receiver.receiving_application),
                ("results.hl7.receiving_facility", &receiver.receiving_facility),
            ] {
                text(key, party, 0, LONGEST_PARTY)?;
            }
            let Hl7 { name, host, port, .. } = receiver;
            for (missing, key, expected) in [
                (host.is_empty(), "host", "the name or address of the receiver"),
                (*port == 0, "port", "the port that the receiver listens on"),
            ] {
                if missing {
                    let key = format!("results.hl7.{key} of {name:?}");
                    return Err(refuse(&key, &"missing", expected));
                }
            }
        }
        for (key, server) in servers(fhir, stow) {
            text(&format!("results.{key}.name"), &server.name, 1, LONGEST_NAME)?;
            if !server.has_address() {
                let found = format!("{:?}", server.url);
                let expected = "the address of a service, such as https://pacs/dicom-web";
                return Err(refuse(&format!("results.{key}.url"), &found, expected));
            }
        }
        let titles = archives.iter().map(|archive| ("archives.ae_title", &archive.ae_title));
        let names = hl7.iter().map(|receiver| ("hl7.name", &receiver.name));
        let names = names.chain(fhir.iter().map(|server| ("fhir.name", &server.name)));
        let names = names.chain(stow.iter().map(|server| ("stow.name", &server.name)));
        let mut seen: Vec<&String> = Vec::new();
        for (key, name) in titles.chain(names) {
            if seen.contains(&name) {
                let expected = "a name for each archive and receiver, none twice";
                return Err(refuse(&format!("results.{key}"), &format!("{name:?}"), expected));
            }
            seen.push(name);
        }
        Ok(())
    }
}

fn servers<'a>(
    fhir: &'a [Server],
    stow: &'a [Stow],
) -> impl Iterator<Item = (&'static str, Server)> + 'a {
    let fhir = fhir.iter().map(|server| ("fhir", server.clone()));
    fhir.chain(stow.iter().map(|server| ("stow", server.server())))
}
