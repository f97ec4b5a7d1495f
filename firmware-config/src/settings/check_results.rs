//! What the settings of results and of the hub must be.

use exchange::push::Server;

use super::SettingsError;
use super::check::Refuse;
use super::hours::Hours;
use super::model::{Hl7, OBJECTS, Results, Settings, Stow};

/// Longest name of a receiver.
const LONGEST_NAME: usize = 32;
/// Longest name that a receiver gives itself in messages.
const LONGEST_PARTY: usize = 64;

impl Settings {
    /// `[results]`; where archives listen is checked with the other peers.
    pub(super) fn check_results(&self, refuse: &Refuse<'_>) -> Result<(), SettingsError> {
        let Results { archives, hl7, fhir, stow, .. } = &self.results;
        let of_archives = archives.iter().map(|one| ("results.archives.objects", &one.objects));
        let of_services = stow.iter().map(|one| ("results.stow.objects", &one.objects));
        for (key, objects) in of_archives.chain(of_services) {
            if objects.is_empty() || objects.iter().any(|word| !OBJECTS.contains(&word.as_str())) {
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

impl Settings {
    /// `[hub]`.
    pub(super) fn check_hub(&self, refuse: &Refuse<'_>) -> Result<(), SettingsError> {
        let hub = &self.hub;
        if !hub.url.is_empty() && !is_https(&hub.url) {
            let expected = "an address such as https://hub.hospital.org:8443, or \"\" for no hub";
            return Err(refuse("hub.url", &format!("{:?}", hub.url), expected));
        }
        if !hub.url.is_empty() && hub.outbox_only {
            let expected = "false, because hub.url is set; sticks can be written all the same";
            return Err(refuse("hub.outbox_only", &true, expected));
        }
        if !hub.images_hours.is_empty() && Hours::parse(&hub.images_hours).is_none() {
            let expected = "hours of the day such as 22-6, or \"\" for any time";
            return Err(refuse("hub.images_hours", &format!("{:?}", hub.images_hours), expected));
        }
        Ok(())
    }
}

/// Whether this is the address of a hub, as people write it.
fn is_https(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://") else { return false };
    let host = rest.split('/').next().unwrap_or_default();
    !host.is_empty() && !host.contains('@') && !rest.contains(['?', '#', ' '])
}
