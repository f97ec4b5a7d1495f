//! Where results go, and what of them.

use firmware_config::settings::{Hl7, Results};

use super::Config;
use crate::results::oru::Parties;
use crate::store::deliveries::{Kind, Recipient};

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
