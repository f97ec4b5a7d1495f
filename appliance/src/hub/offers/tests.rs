//! The model that ships, signed by somebody, as a hub would hand it out.

use std::fs;
use std::io::Cursor;

use exchange::command::{Command, Numbered};
use minisign::KeyPair;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::clock::ManualClock;
use crate::hex;
use crate::store::models::{Mode, Model};
use crate::store::outbox::{HubProfile, Identity, SeriesSent};

const BUNDLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/bundles/edge-simulated-2");
const PIECE: usize = 512 * 1024;

/// A box, and a hub that offers it the bundle with whatever was done to its manifest.
struct Road {
    folder: TempDir,
    store: Store,
    clock: Arc<ManualClock>,
    offers: Offers,
    manifest: String,
    sha256: String,
    fetched: u64,
}

impl Road {
    fn new() -> Self {
        Self::with(|manifest| manifest, true)
    }

    fn with(change: impl Fn(String) -> String, trusted: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_800_000_000_000));
        let store = Store::open(&folder.path().join("a.sqlite"), clock.clone()).unwrap();
        store.begin_run().unwrap();
        let profile = HubProfile { identity: Identity::Full, series: SeriesSent::None };
        store.set_hub(Some(&profile)).unwrap();
        let manifest = change(fs::read_to_string(Path::new(BUNDLE).join(MANIFEST)).unwrap());
        let [signer, other] = [(); 2].map(|()| KeyPair::generate_unencrypted_keypair().unwrap());
        let signed = minisign::sign(None, &signer.sk, Cursor::new(&manifest), None, None).unwrap();
        let sha256 = hex::lower(&Sha256::digest(&manifest));
        let offer = Command::ModelOffer {
            id: "edge".to_owned(),
            sha256: sha256.clone(),
            bytes: 6_100_000,
            note: String::new(),
            manifest_bytes: manifest.len() as u64,
            signature: signed.into_string(),
        };
        store.obey(&[Numbered { number: 1, command: offer }]).unwrap();
        let trusted = if trusted { signer } else { other };
        let offers = Offers {
            data: folder.path().to_owned(),
            tables: Arc::new(Tables::open([""; 3].map(Path::new)).unwrap()),
            keys: vec![trusted.pk.to_base64()],
            percent: 100,
            vetted: None,
        };
        Self { folder, store, clock, offers, manifest, sha256, fetched: 0 }
    }

    /// Fetches a piece; false when nothing is wanted now.
    fn fetch(&mut self, spoil: bool) -> bool {
        let Next::Fetch(wanted) = self.offers.next(&self.store).unwrap() else { return false };
        let mut content = match wanted.path.as_str() {
            MANIFEST => self.manifest.clone().into_bytes(),
            path => fs::read(Path::new(BUNDLE).join(path)).unwrap(),
        };
        if spoil {
            content.iter_mut().for_each(|byte| *byte ^= 1);
        }
        let from = usize::try_from(wanted.offset).unwrap();
        let piece = &content[from..content.len().min(from + PIECE)];
        self.fetched += piece.len() as u64;
        self.offers.keep(&self.store, &wanted, piece).unwrap();
        true
    }

    fn offer(&self) -> Offer {
        self.store.model_offer().unwrap().unwrap()
    }

    fn left(&self) -> u64 {
        Offers::shelf(self.folder.path(), &self.sha256).bytes()
    }

    /// Nothing but the manifest was fetched, and nothing is left of it.
    #[track_caller]
    fn refused_at_once(mut self, why: &str) {
        while self.fetch(false) {}
        let offer = self.offer();
        assert_eq!(offer.stage, Stage::Refused, "{}", offer.why);
        assert!(offer.why.contains(why), "{}", offer.why);
        assert_eq!((self.fetched, self.left()), (self.manifest.len() as u64, 0));
    }
}

#[test]
fn a_signed_bundle_comes_whole_and_no_piece_twice() {
    let mut road = Road::new();
    let mut before = 0;
    while road.fetch(false) {
        // As after a start.
        road.offers.vetted = None;
        let progress = road.offers.progress(&road.store).unwrap().unwrap();
        assert!(progress.here > before || progress.here == progress.bytes, "{progress:?}");
        before = progress.here;
        assert_eq!((progress.stage, progress.why.as_str()), (Stage::Coming, ""));
    }
    assert_eq!(road.offer().stage, Stage::Whole);
    let shelf = Offers::shelf(road.folder.path(), &road.sha256);
    let manifest = road.manifest.len() as u64;
    let signature = road.offer().signature.len() as u64;
    assert_eq!(road.fetched, shelf.bytes() - signature);
    let gates = (&*road.offers.tables, road.offers.keys.as_slice());
    let model = model_install::place(shelf.folder(), road.folder.path(), &road.store, gates);
    let model = model.unwrap();
    assert_eq!((model.digest.as_str(), model.mode), (road.sha256.as_str(), Mode::Off));
    assert!(road.store.models().unwrap().is_empty(), "nobody tried its golden study");
    assert!(road.fetched > 100 * manifest);
    // The offer is still that of the files, until they are installed.
    road.offers.tidy(&road.store).unwrap();
    assert!(road.left() > 0);
    road.store.install_model(&model, "hub").unwrap();
    road.offers.tidy(&road.store).unwrap();
    assert_eq!(road.left(), 0);
}

#[test]
fn what_would_be_refused_is_not_fetched() {
    Road::with(|text| text, false).refused_at_once("is not signed by any of analysis.model_keys");
    let newer = |text: String| text.replace("format_version = 1", "format_version = 9");
    Road::with(newer, true).refused_at_once("format_version is 9");
    let leaves = |text: String| text.replace("\"tokenizer.safetensors\"", "\"../x.safetensors\"");
    Road::with(leaves, true).refused_at_once("paths must stay inside the bundle");
}

#[test]
fn an_earlier_serial_is_not_fetched() {
    let road = Road::new();
    let newest = road.folder.path().join("models/newest");
    fs::create_dir_all(newest.join("heads")).unwrap();
    for folder in ["", "heads"] {
        for entry in fs::read_dir(Path::new(BUNDLE).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, newest.join(path.strip_prefix(BUNDLE).unwrap())).unwrap();
            }
        }
    }
    let higher = road.manifest.replace("\nserial = 2\n", "\nserial = 999\n");
    assert_ne!(higher, road.manifest);
    fs::write(newest.join(MANIFEST), higher).unwrap();
    let model = Model {
        digest: "9".repeat(64),
        name: "newest".to_owned(),
        folder: "models/newest".to_owned(),
        mode: Mode::Assist,
        installed_at: 0,
        promoted_at: None,
        killed_at: None,
        context_encoder: String::new(),
        self_test: None,
        provenance: String::new(),
    };
    road.store.install_model(&model, "Ada").unwrap();
    road.refused_at_once("newest with serial 999 is installed");
}

#[test]
fn without_keys_or_room_nothing_is_fetched_and_the_offer_stays() {
    let mut road = Road::new();
    let keys = std::mem::take(&mut road.offers.keys);
    assert!(!road.fetch(false));
    assert!(road.offer().why.starts_with("analysis.model_keys names nobody"));
    let waits = road.offers.next(&road.store).unwrap();
    assert_eq!(waits, Next::Nothing(Some(road.offer().next_at)));
    road.clock.advance(AGAIN);
    road.offers.keys = keys;
    road.offers.percent = 0;
    assert!(!road.fetch(false));
    assert!(road.offer().why.starts_with("it needs 13 MB on the data disk"), "{:?}", road.offer());
    assert_eq!((road.offer().stage, road.fetched), (Stage::Offered, 0));
    road.clock.advance(AGAIN);
    road.offers.percent = 100;
    assert!(road.fetch(false));
    assert_eq!((road.offer().stage, road.offer().why.as_str()), (Stage::Coming, ""));
}

#[test]
fn a_file_that_was_changed_at_the_hub_ends_the_offer_in_a_sentence() {
    let mut road = Road::new();
    assert!(road.fetch(false), "the manifest");
    while road.fetch(true) {}
    let offer = road.offer();
    assert_eq!(offer.stage, Stage::Refused);
    assert!(offer.why.contains("it was changed at the hub; tell the hospital"), "{}", offer.why);
    assert_eq!(road.left(), 0);
    assert_eq!(road.offers.progress(&road.store).unwrap().unwrap().here, 0);
}

#[test]
fn a_withdrawn_offer_leaves_nothing() {
    let mut road = Road::new();
    assert!(road.fetch(false) && road.fetch(false));
    assert!(road.left() > 0);
    let withdrawn = Command::ModelWithdrawn { sha256: road.sha256.clone() };
    road.store.obey(&[Numbered { number: 2, command: withdrawn }]).unwrap();
    assert!(!road.fetch(false));
    assert_eq!((road.left(), road.offers.progress(&road.store).unwrap()), (0, None));
}
