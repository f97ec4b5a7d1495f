//! `[[fhir]]` and `[[stow]]`: the systems that referrals and objects go on to.

use exchange::push::Server;

use crate::store::outbound::Kind;

/// All systems.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `[[fhir]]`.
    pub fhir: Vec<Server>,
    /// `[[stow]]`.
    pub stow: Vec<Server>,
}

impl Settings {
    /// All, with what they take.
    pub fn all(&self) -> impl Iterator<Item = (Kind, &Server)> {
        let fhir = self.fhir.iter().map(|server| (Kind::Fhir, server));
        fhir.chain(self.stow.iter().map(|server| (Kind::Stow, server)))
    }

    /// What is wrong with them, in a sentence.
    ///
    /// # Errors
    ///
    /// The first thing that is.
    pub fn check(&self) -> Result<(), String> {
        let mut names: Vec<&str> = Vec::new();
        for (kind, server) in self.all() {
            let (key, Server { name, url, .. }) = (kind.word(), server);
            if name.trim().is_empty() || names.contains(&name.as_str()) {
                return Err(format!(
                    "{key}.name is {name:?}, expected a name for each system, none twice"
                ));
            }
            if !server.has_address() {
                return Err(format!(
                    "{key}.url is {url:?}, expected the address of a service, such as \
                     https://pacs.hospital/dicom-web"
                ));
            }
            names.push(name);
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
        let check = |fhir: &[Server], stow: &[Server]| {
            Settings { fhir: fhir.into(), stow: stow.into() }.check()
        };
        let good = server("pacs", "https://pacs/dicom-web");
        assert_eq!(check(&[server("ehr", "http://ehr/fhir")], std::slice::from_ref(&good)), Ok(()));
        let twice = check(std::slice::from_ref(&good), std::slice::from_ref(&good));
        assert!(twice.unwrap_err().starts_with("stow.name is \"pacs\", expected a name"));
        let bare = check(&[server("ehr", "ehr.hospital")], &[]);
        assert!(bare.unwrap_err().starts_with("fhir.url is \"ehr.hospital\", expected"));
    }
}
