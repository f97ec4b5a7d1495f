use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::row::hex;

/// A folder of shelves, which goes with the test.
struct Shelves(PathBuf);

impl Shelves {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("prima-offer-{}-{name}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        Self(root)
    }

    fn shelf(&self, bundle: &str) -> Shelf {
        Shelf::new(&self.0, bundle)
    }
}

impl Drop for Shelves {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn part(path: &str, content: &[u8]) -> Part {
    Part {
        path: path.to_owned(),
        sha256: hex(&Sha256::digest(content)),
        bytes: content.len() as u64,
    }
}

const BUNDLE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Power cuts at any byte leave a beginning; what a cut left is not fetched again.
    #[test]
    fn a_file_is_whole_or_goes_on_where_it_was(
        content in proptest::collection::vec(any::<u8>(), 0..5000),
        steps in proptest::collection::vec((1..900_usize, 0..4_u8), 1..40),
    ) {
        let shelves = Shelves::new("cuts");
        let part = part("heads/a.bin", &content);
        let (mut fetched, mut lost) = (0, 0);
        // One that gets through is among them, or a last byte is lost for ever.
        let mut steps = steps.into_iter().chain([(900, 3)]).cycle();
        loop {
            // Every time as if the program had just started.
            let shelf = shelves.shelf(BUNDLE);
            let Some(wanted) = shelf.wanted(&part).unwrap() else { break };
            let at = usize::try_from(wanted.offset).unwrap();
            let (length, fate) = steps.next().unwrap();
            let piece = &content[at..content.len().min(at + length)];
            let place = shelf.folder().join("heads/a.bin.part");
            if fate == 0 {
                // Only a beginning of the piece was synced.
                let torn = piece.len() / 2;
                fs::create_dir_all(place.parent().unwrap()).unwrap();
                fs::write(&place, &content[..at + torn]).unwrap();
                lost += piece.len() - torn;
            } else {
                shelf.keep(&wanted, piece).unwrap();
            }
            // A late answer to an earlier question.
            if fate == 1 && shelf.wanted(&part).unwrap().is_some() {
                shelf.keep(&wanted, piece).unwrap();
            }
            fetched += piece.len();
        }
        let shelf = shelves.shelf(BUNDLE);
        prop_assert_eq!(fs::read(shelf.folder().join("heads/a.bin")).unwrap(), content.clone());
        prop_assert!(!shelf.folder().join("heads/a.bin.part").exists());
        prop_assert_eq!(fetched - lost, content.len());
        prop_assert_eq!(shelf.bytes(), content.len() as u64);
    }
}

#[test]
fn what_is_not_what_was_promised_is_never_there() {
    let shelves = Shelves::new("changed");
    let (shelf, part) = (shelves.shelf(BUNDLE), part("network", b"the weights"));
    let wanted = shelf.wanted(&part).unwrap().unwrap();
    let refused = shelf.keep(&wanted, b"The weights").unwrap_err().to_string();
    let changed = hex(&Sha256::digest(b"The weights"));
    assert_eq!(
        refused,
        format!(
            "network came with SHA-256 {changed}, expected {}: it was changed at the hub; tell the \
             hospital, which may offer the bundle again",
            part.sha256
        )
    );
    assert_eq!((shelf.bytes(), shelf.wanted(&part).unwrap()), (0, Some(wanted)));
    // The power failed after the last byte.
    fs::write(shelf.folder().join("network.part"), b"The weights").unwrap();
    assert!(matches!(shelf.wanted(&part), Err(ShelfError::Content { .. })));
    fs::write(shelf.folder().join("network.part"), b"the weights").unwrap();
    assert_eq!(shelf.wanted(&part).unwrap(), None);
}

#[test]
fn a_bundle_stays_in_its_folder() {
    let shelves = Shelves::new("paths");
    for path in ["", "..", "../x", "/etc/passwd", "a/../../b", "./a"] {
        let refused = shelves.shelf(BUNDLE).wanted(&part(path, b"x")).unwrap_err();
        assert!(matches!(refused, ShelfError::Path(_)), "{path}");
    }
    let odd = shelves.shelf("../../..");
    assert_eq!(odd.folder(), shelves.0.join(""));
    assert!(!is_digest("../../..") && !is_digest(&BUNDLE.to_uppercase()) && is_digest(BUNDLE));
}

#[test]
fn a_replaced_offer_leaves_nothing() {
    let shelves = Shelves::new("swept");
    let (part, other) = (part("a", b"xy"), BUNDLE.replace('0', "9"));
    for bundle in [BUNDLE, &other] {
        let shelf = shelves.shelf(bundle);
        shelf.keep(&shelf.wanted(&part).unwrap().unwrap(), b"x").unwrap();
        shelf.sign("by somebody").unwrap();
    }
    sweep(&shelves.0, Some(&other)).unwrap();
    assert!(!shelves.shelf(BUNDLE).folder().exists());
    let kept = shelves.shelf(&other).wanted(&part).unwrap().unwrap();
    assert_eq!((kept.offset, kept.bundle.as_str()), (1, other.as_str()));
    // A piece that was asked for before is for nobody now.
    shelves.shelf(BUNDLE).keep(&kept, b"y").unwrap();
    assert!(!shelves.shelf(BUNDLE).folder().exists());
    sweep(&shelves.0, None).unwrap();
    assert_eq!(fs::read_dir(&shelves.0).unwrap().count(), 0);
    sweep(&shelves.0.join("none"), None).unwrap();
}

#[test]
fn every_stage_is_known_by_its_word() {
    for stage in [Stage::Offered, Stage::Coming, Stage::Whole, Stage::Installed, Stage::Refused] {
        assert_eq!(Stage::of(stage.word()), Some(stage));
        assert_eq!(serde_json::to_value(stage).unwrap(), stage.word());
    }
    let progress = Progress { here: 43, bytes: 100, ..Progress::default() };
    assert!((progress.share() - 0.43).abs() < 1e-9);
    assert!(Progress::default().share() < 1e-9);
}
