//! Files of rows: named, read in pieces, and missed.

use std::fs;

use exchange::row::Kind;
use exchange::wire::Outcome;

use super::*;
use crate::clock::ManualClock;
use crate::store::instances::{Arrival, SeriesFacts, StudyFacts};
use crate::store::outbox::{HubProfile, Identity, SeriesSent};

const ALL: Terms =
    Terms { lowest: Priority::Telemetry, rows: 100, bytes: 1 << 20, telemetry_first: false };

struct Fixture {
    folder: tempfile::TempDir,
    outbox: StoreOutbox,
}

impl Fixture {
    /// A study with two images whose series is to be sent.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_800_000_000_000));
        let store = Store::open(&folder.path().join("test.sqlite"), clock).unwrap();
        store.begin_run().unwrap();
        let profile = HubProfile { identity: Identity::Full, series: SeriesSent::Referred };
        store.set_hub(Some(&profile)).unwrap();
        for image in 1..=2 {
            let path = format!("{image}.dcm");
            fs::write(folder.path().join(&path), format!("image {image}")).unwrap();
            let arrival = Arrival {
                study: StudyFacts { uid: "1.2".to_owned(), ..Default::default() },
                series: SeriesFacts {
                    uid: "1.2.1".to_owned(),
                    description: "AX T1".to_owned(),
                    ..Default::default()
                },
                sop_uid: format!("1.2.1.{image}"),
                sop_class: "1.3".to_owned(),
                path,
                ..Default::default()
            };
            store.index(arrival).unwrap();
        }
        store.sql(
            "INSERT INTO outbox (kind, priority, study_id, study, part, images, created_at, at)
             VALUES ('series', 2, 1, '1.2', '1.2.1', 2, 7, 7)",
        );
        let archive = folder.path().to_owned();
        let objects = Objects { folder: archive.join("results"), archive };
        let outbox = StoreOutbox { store: Arc::new(store), objects, offers: None };
        Self { folder, outbox }
    }

    fn blob(&mut self) -> Blob {
        match self.outbox.next(&ALL).unwrap() {
            Next::Blob(blob) => blob,
            other => panic!("{other:?}"),
        }
    }

    fn gives_up(&mut self, why: &str) {
        assert_eq!(self.outbox.next(&ALL).unwrap(), Next::Nothing(None));
        let dead = self.outbox.store.dead_rows(9).unwrap();
        assert!(dead.len() == 1 && dead[0].last_error.contains(why), "{dead:?}");
    }
}

#[test]
fn files_go_before_the_row_that_names_them() {
    let mut f = Fixture::new();
    let first = f.blob();
    let digest = hex::lower(&Sha256::digest("image 1"));
    assert_eq!((first.sha256.as_str(), first.bytes, &first.place), (digest.as_str(), 7, &None));
    f.outbox.placed(&first, Some("/v1/blobs/x")).unwrap();
    assert_eq!(f.blob().place.as_deref(), Some("/v1/blobs/x"));
    assert_eq!(f.outbox.read(&first, 2, 3).unwrap().unwrap(), b"age");
    assert_eq!(f.outbox.read(&first, 7, 3).unwrap().unwrap(), b"");
    f.outbox.arrived(&first).unwrap();
    let second = f.blob();
    assert_ne!(second.sha256, first.sha256);
    f.outbox.arrived(&second).unwrap();
    let Next::Rows(rows) = f.outbox.next(&ALL).unwrap() else { panic!() };
    assert_eq!((rows[0].kind, rows[0].is_intact()), (Kind::Series, true));
    let manifest: Manifest = serde_json::from_str(&rows[0].body).unwrap();
    assert_eq!((manifest.series.as_str(), manifest.title.as_str()), ("1.2.1", "AX T1"));
    assert_eq!(manifest.objects[1].sop_instance, "1.2.1.2");
    let answer = Answered { key: rows[0].key.clone(), outcome: Outcome::Stored };
    f.outbox.settle(&[answer], Duration::ZERO).unwrap();
    assert_eq!(f.outbox.next(&ALL).unwrap(), Next::Nothing(None));
    assert_eq!(f.outbox.store.rows("outbox_blob"), 0);
}

#[test]
fn a_row_whose_files_are_gone_is_given_up() {
    let mut f = Fixture::new();
    fs::remove_file(f.folder.path().join("2.dcm")).unwrap();
    f.gives_up("an image of the series cannot be read");
    let mut f = Fixture::new();
    f.outbox.store.sql("DELETE FROM instance; DELETE FROM series");
    f.gives_up("the images of the series are no longer on this box");
}

#[test]
fn a_file_that_has_changed_is_not_sent() {
    let mut f = Fixture::new();
    let blob = f.blob();
    fs::write(f.folder.path().join("1.dcm"), "shorter").unwrap();
    assert!(f.outbox.read(&blob, 0, 9).unwrap().is_some(), "only the hub can tell");
    fs::write(f.folder.path().join("1.dcm"), "short").unwrap();
    assert_eq!(f.outbox.read(&blob, 0, 9).unwrap(), None);
    f.gives_up("it has 5 bytes, expected 7");
}

#[test]
fn a_row_whose_object_cannot_be_made_is_given_up() {
    let mut f = Fixture::new();
    f.outbox.store.sql(
        "DELETE FROM outbox;
         INSERT INTO inference (study_id, generation, model_digest, mode, outcome, partial,
           finished_at) VALUES (1, 1, '', 'assist', 'analysed', 0, 1);
         INSERT INTO outbox (kind, priority, study_id, study, inference_id, part, created_at, at)
         VALUES ('objects', 1, 1, '1.2', 1, 'report', 7, 7)",
    );
    f.gives_up("the object of the result cannot be made");
}
