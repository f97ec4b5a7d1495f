//! From what is written to what the parts take.

use std::path::Path;

use firmware_config::settings::{OBJECTS, WORDS};
use models::engine::DeviceChoice;

use super::*;
use crate::store::deliveries::{Kind, Recipient};
use crate::store::outbox::{HubProfile, Identity, SeriesSent};

fn config(text: &str) -> Config {
    Checked::parse(text, "site.toml").unwrap().into()
}

#[test]
fn every_word_of_the_settings_means_something_here() {
    for (key, words) in WORDS {
        for word in *words {
            let known = match *key {
                "analysis.device" => *word == "auto" || word.parse::<DeviceChoice>().is_ok(),
                "hub.identity" => Identity::of(word).is_some(),
                "hub.series" => SeriesSent::of(word).is_some(),
                key => panic!("{key} is read by nobody here"),
            };
            assert!(known, "{key}: {word}");
        }
    }
    assert_eq!(Kind::ALL.map(Kind::word), OBJECTS);
}

#[test]
fn an_archive_is_sent_what_it_wants() {
    let objects = "[[results.archives]]\nae_title='P'\nhost='h'\nport=1\nobjects=['report']";
    let expected = Recipient { name: "P".to_owned(), kinds: vec![Kind::Report] };
    assert_eq!(config(objects).recipients(), [expected]);
}

#[test]
fn what_a_hub_is_sent() {
    assert_eq!(config("").hub_profile(), None);
    assert_eq!(config("").hub_address(), None);
    assert_eq!(config("data.folder = 'd'").hub_folder(), Path::new("d/hub"));
    let profile = config("[hub]\noutbox_only = true\nidentity = 'pseudonym'").hub_profile();
    let expected = HubProfile { identity: Identity::Pseudonym, series: SeriesSent::None };
    assert_eq!(profile, Some(expected));
    let windows = config("hub.images_mib_per_day = 3").hub_windows();
    assert_eq!(windows.bytes_per_day, Some(3 << 20));
    assert!(windows.are_open(12, 0) && !windows.are_open(12, 3 << 20));
}
