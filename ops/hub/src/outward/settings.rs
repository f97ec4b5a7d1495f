//! `[[fhir]]`, `[[stow]]` and `[[dicom]]`: the systems that referrals and objects go on to.

use exchange::push::{Http, Server};
use exchange::stow;
use serde::{Deserialize, Serialize};

use super::Door;
use crate::store::outbound::Kind;

/// Longest AE title (PS3.5 6.2).
const TITLE: usize = 16;

/// An archive that stores objects by C-STORE, as settings have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// For people.
    pub name: String,
    /// Its AE title.
    pub ae_title: String,
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// By which it knows the hub.
    pub calling_ae_title: String,
}

/// All systems.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `[[fhir]]`.
    pub fhir: Vec<Server>,
    /// `[[stow]]`.
    pub stow: Vec<Server>,
    /// `[[dicom]]`.
    pub dicom: Vec<Archive>,
}

impl Settings {
    /// All by name, with what they take.
    pub fn names(&self) -> impl Iterator<Item = (&str, Kind)> {
        let fhir = self.fhir.iter().map(|server| (server.name.as_str(), Kind::Fhir));
        let stow = self.stow.iter().map(|server| (server.name.as_str(), Kind::Stow));
        let dicom = self.dicom.iter().map(|archive| (archive.name.as_str(), Kind::Dicom));
        fhir.chain(stow).chain(dicom)
    }

    /// The way to a system.
    ///
    /// # Errors
    ///
    /// What is wrong with a file that its settings name, in a sentence.
    pub(super) fn door(&self, name: &str) -> Result<Box<dyn Door>, String> {
        if let Some(archive) = self.dicom.iter().find(|archive| archive.name == name) {
            return Ok(Box::new(archive.clone()));
        }
        let fhir = self.fhir.iter().map(|server| (server, ""));
        let stow = self.stow.iter().map(|server| (server, stow::PATH));
        match fhir.chain(stow).find(|(server, _)| server.name == name) {
            Some((server, path)) => Ok(Box::new(Http::new(server, path)?)),
            None => Err(format!("no system is called {name:?}")),
        }
    }

    /// What is wrong with them, in a sentence.
    ///
    /// # Errors
    ///
    /// The first thing that is.
    pub fn check(&self) -> Result<(), String> {
        let mut names: Vec<&str> = Vec::new();
        for (name, kind) in self.names() {
            if name.trim().is_empty() || names.contains(&name) {
                return Err(format!(
                    "{}.name is {name:?}, expected a name for each system, none twice",
                    kind.word()
                ));
            }
            names.push(name);
        }
        let webs = [(Kind::Fhir, &self.fhir), (Kind::Stow, &self.stow)];
        for (kind, server) in webs.iter().flat_map(|(kind, all)| all.iter().map(|one| (*kind, one)))
        {
            if !server.has_address() {
                return Err(format!(
                    "{}.url is {:?}, expected the address of a service, such as \
                     https://pacs.hospital/dicom-web",
                    kind.word(),
                    server.url
                ));
            }
        }
        for Archive { ae_title, calling_ae_title, .. } in &self.dicom {
            for (key, title) in [("ae_title", ae_title), ("calling_ae_title", calling_ae_title)] {
                if title.trim().is_empty() || title.len() > TITLE || !title.is_ascii() {
                    return Err(format!(
                        "dicom.{key} is {title:?}, expected an AE title of 1 to {TITLE} characters"
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_checked() {
        let server = |name: &str, url: &str| Server {
            name: name.into(),
            url: url.into(),
            bearer_token_file: None,
            ca_file: None,
        };
        let archive = |name: &str, title: &str| Archive {
            name: name.into(),
            ae_title: title.into(),
            host: "pacs".into(),
            port: 104,
            calling_ae_title: "HUB".into(),
        };
        let good = Settings {
            fhir: vec![server("ehr", "http://ehr/fhir")],
            stow: vec![server("cloud", "https://pacs/dicom-web")],
            dicom: vec![archive("pacs", "PACS")],
        };
        assert_eq!(good.check(), Ok(()));
        let twice = Settings { stow: vec![server("pacs", "https://pacs")], ..good.clone() };
        let twice = twice.check().unwrap_err();
        assert!(twice.starts_with("dicom.name is \"pacs\", expected a name"), "{twice}");
        let bare = Settings { fhir: vec![server("ehr", "ehr.hospital")], ..good.clone() };
        let bare = bare.check().unwrap_err();
        assert!(bare.starts_with("fhir.url is \"ehr.hospital\", expected"), "{bare}");
        let long = Settings { dicom: vec![archive("pacs", &"P".repeat(17))], ..good };
        let long = long.check().unwrap_err();
        assert!(long.ends_with("expected an AE title of 1 to 16 characters"), "{long}");
    }
}
