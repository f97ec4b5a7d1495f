use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::store::instances::{Arrival, Indexed, SeriesFacts, StudyFacts};

const HOUR: Duration = Duration::from_secs(3600);

/// An archive folder with a store, and files of as many bytes as their rows say.
struct Box {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Store,
}

impl Box {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_800_000_000_000));
        let store = Store::open(&folder.path().join("s.sqlite"), clock.clone()).unwrap();
        Self { folder, clock, store }
    }

    fn archive(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    /// What the archive does with an image: file first, then its row.
    fn receive(&self, study: &str, image: &str, bytes: u64) -> i64 {
        let sop_uid = format!("{study}.{image}");
        let folder = format!("studies/{}", folder_name(study));
        let path = format!("{folder}/{image}.dcm");
        fs::create_dir_all(self.archive().join(folder)).unwrap();
        fs::write(self.archive().join(&path), vec![0; usize::try_from(bytes).unwrap()]).unwrap();
        let arrival = Arrival {
            study: StudyFacts { uid: study.to_owned(), ..StudyFacts::default() },
            series: SeriesFacts { uid: format!("{study}.0"), ..SeriesFacts::default() },
            sop_uid,
            bytes,
            path,
            source: "scp SCANNER1".to_owned(),
            ..Arrival::default()
        };
        let Indexed::New { study_id } = self.store.index(arrival).unwrap() else { panic!() };
        study_id
    }

    /// A study that was read now.
    fn read(&self, study: &str, bytes: u64) -> i64 {
        let id = self.receive(study, "1", bytes);
        let now = self.clock.now();
        self.sql(&format!(
            "UPDATE study SET state = 'settled', queue = 'done', done_at = {now} WHERE id = {id}"
        ));
        self.clock.advance(HOUR);
        id
    }

    fn sql(&self, sql: &str) {
        self.store.sql(sql);
    }

    fn make_room(&self, bytes: u64) -> Pass {
        let excess = Excess { bytes, files: 0 };
        make_room(&Config::default(), &self.store, &self.archive(), excess, &|| true).unwrap()
    }

    /// Names of the files in the archive.
    fn files(&self) -> BTreeSet<String> {
        let folders = fs::read_dir(self.archive().join("studies")).unwrap();
        folders
            .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
            .map(|file| file.unwrap().path().display().to_string())
            .collect()
    }

    fn rows(&self, table: &str) -> i64 {
        self.store.rows(table)
    }
}

#[test]
fn why_a_study_is_kept() {
    let config = Config { grace: HOUR };
    let read = Standing { study_id: 1, settled: true, done_at: Some(0), ..Standing::default() };
    let check = |standing: Standing, now, expected| {
        assert_eq!(keep(&standing, now, &config), expected, "{standing:?} {now}");
    };
    check(read.clone(), 3_600_000, None);
    check(read.clone(), 3_599_999, Some(Keep::Recent));
    check(Standing { syncing: true, ..read.clone() }, 3_600_000, Some(Keep::Unsynced));
    check(Standing { committing: true, ..read.clone() }, 3_600_000, Some(Keep::Uncommitted));
    check(Standing { sending: true, ..read.clone() }, 3_600_000, Some(Keep::Unsent));
    check(Standing { done_at: None, ..read.clone() }, 3_600_000, Some(Keep::Unread));
    check(Standing { settled: false, ..read.clone() }, 3_600_000, Some(Keep::Unsettled));
    check(Standing::default(), i64::MAX, Some(Keep::Unsettled));
}

#[test]
fn the_longest_read_go_first_and_only_as_many_as_needed() {
    let b = Box::new();
    let (first, _) = (b.read("1.1", 100), b.receive("1.1", "2", 50));
    b.sql("UPDATE study SET state = 'settled', queue = 'done', done_at = first_at");
    let second = b.read("1.2", 100);
    let third = b.read("1.3", 100);
    b.receive("1.4", "1", 100);
    b.clock.advance(48 * HOUR);
    let pass = b.make_room(200);
    assert_eq!(pass, Pass { studies: 2, files: 3, bytes: 250, enough: true, failed: Vec::new() });
    assert_eq!(b.files().len(), 2);
    let left: Vec<_> = b.store.standings().unwrap().iter().map(|s| s.study_id).collect();
    assert_eq!(left, [third, third + 1]);
    assert_eq!((b.rows("instance"), b.rows("series"), b.rows("study")), (2, 2, 4));
    let audit = b.store.audit_rows(0, 10).unwrap();
    let said: Vec<_> =
        audit.iter().map(|r| (r.action.as_str(), r.object.clone(), r.detail.as_str())).collect();
    assert_eq!(
        said,
        [
            ("retention.evict", format!("study {first}"), r#"{"bytes":150,"files":2}"#),
            ("retention.evict", format!("study {second}"), r#"{"bytes":100,"files":1}"#),
        ]
    );
    assert_eq!(
        b.store.events(1).unwrap()[0].text,
        "the disk was nearly full: the images of 2 studies that were read longest ago were \
         deleted, 250 bytes; their results are kept"
    );
    // Nothing more may go than the third, and that is said.
    let pass = b.make_room(10_000);
    assert_eq!((pass.studies, pass.enough), (1, false));
    assert_eq!(b.files().len(), 1);
}

#[test]
fn what_somebody_needs_is_never_deleted() {
    let b = Box::new();
    let asked = b.read("1.1", 10);
    b.read("1.2", 20);
    b.sql(&format!(
        "UPDATE study SET queue = 'review' WHERE id <> {asked};
         INSERT INTO commitment (transaction_uid, requester, peer, called, request, at, next_at)
         VALUES ('1', 'A', 'p', 'B', '[[\"1.2.840\",\"9.9\"],[\"1.2.840\",\"1.1.1\"]]', 0, 0)"
    ));
    b.receive("1.3", "1", 40);
    b.clock.advance(48 * HOUR);
    b.read("1.4", 80);
    assert_eq!(b.make_room(10_000).studies, 0);
    assert_eq!(b.files().len(), 4);
    b.sql(
        "INSERT INTO quarantine (kind, sop_uid, sha256, bytes, path, reason, source, at)
         VALUES ('conflict', '1', x'00', 5, 'q', '', '', 0)",
    );
    assert_eq!(
        held(&Config::default(), &b.store).unwrap().to_string(),
        "1 study is read only just now, 80 bytes; 1 study is still arriving or not analysed yet, \
         40 bytes; 1 study is unread, 20 bytes; 1 study is waiting for a storage commitment to be \
         answered, 10 bytes; 1 file is in quarantine, 5 bytes"
    );
    // The answer was sent, and the study may go.
    b.sql("UPDATE commitment SET state = 'sent'");
    assert_eq!(b.make_room(1).studies, 1);
}

#[test]
fn a_study_that_changes_meanwhile_stays() {
    let b = Box::new();
    let study = b.read("1.1", 10);
    assert!(!b.store.begin_eviction(study, |s| s.done_at.is_none()).unwrap());
    assert!(b.store.begin_eviction(study, |s| s.done_at.is_some()).unwrap());
    // It is no longer among those whose images are here.
    assert!(b.store.standings().unwrap().is_empty());
    assert!(!b.store.begin_eviction(study, |_| true).unwrap());
    b.receive("1.1", "2", 10);
    assert_eq!(b.store.finish_eviction(study, |_| panic!("deleted")).unwrap(), None);
    assert_eq!(b.files().len(), 2);
}

#[test]
fn a_power_cut_at_any_moment_is_recovered_from() {
    // After the mark.
    let b = Box::new();
    let study = b.read("1.1", 10);
    b.receive("1.2", "1", 10);
    b.store.begin_eviction(study, |_| true).unwrap();
    assert_eq!(recover(&b.store, &b.archive()).unwrap(), 1);
    assert_eq!((b.files().len(), b.rows("instance")), (1, 1));
    // After some of the files.
    let study = b.read("1.3", 10);
    b.receive("1.3", "2", 10);
    b.receive("1.3", "3", 10);
    b.sql("UPDATE study SET evicted_at = 1 WHERE uid = '1.3'");
    let mut deleted = 0;
    let cut = b.store.finish_eviction(study, |path| {
        deleted += 1;
        if deleted == 2 {
            return Err(io::Error::other("cut"));
        }
        fs::remove_file(b.archive().join(path))
    });
    let path = format!("studies/{}/2.dcm", folder_name("1.3"));
    assert_eq!(
        fault::chain(&cut.unwrap_err()),
        format!("the file {path} of an evicted study cannot be deleted\n  because: cut")
    );
    assert_eq!((b.files().len(), b.rows("instance")), (3, 4));
    assert_eq!(recover(&b.store, &b.archive()).unwrap(), 3);
    assert_eq!((b.files().len(), b.rows("instance")), (1, 1));
    // After the COMMIT, when the disk brings deleted files back.
    let folder = b.archive().join("studies").join(folder_name("1.3"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("1.dcm"), "back").unwrap();
    // An import that is about to index the file holds it locked.
    let held = File::open(folder.join("1.dcm")).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    assert_eq!(recover(&b.store, &b.archive()).unwrap(), 0);
    drop(held);
    assert_eq!(recover(&b.store, &b.archive()).unwrap(), 1);
    assert!(!folder.exists());
    assert_eq!(recover(&b.store, &b.archive()).unwrap(), 0);
}

#[test]
fn tokens_and_pictures_go_with_their_images() {
    let b = Box::new();
    let (gone, stays) = (b.read("1.1", 10), b.read("1.2", 10));
    b.clock.advance(48 * HOUR);
    for study in [gone, stays] {
        b.sql(&format!(
            "INSERT INTO inference (study_id, generation, model_digest, mode, outcome, partial,
               finished_at) VALUES ({study}, 7, 'm', 'assist', 'analysed', 0, 1)"
        ));
    }
    let data = b.archive().parent().unwrap().to_owned();
    assert_eq!(forget_derived(&b.store, &data).unwrap(), 0, "no folders yet");
    let names = [
        format!("tokens/{gone}-1-ab.safetensors"),
        format!("tokens/{stays}-1-ab.safetensors"),
        "tokens/other".to_owned(),
        "explanations/1/a.png".to_owned(),
        "explanations/2/a.png".to_owned(),
    ];
    for name in &names {
        fs::create_dir_all(data.join(name).parent().unwrap()).unwrap();
        fs::write(data.join(name), "x").unwrap();
    }
    assert_eq!(b.make_room(1).studies, 1);
    assert_eq!(forget_derived(&b.store, &data).unwrap(), 2);
    let left: Vec<bool> = names.iter().map(|name| data.join(name).exists()).collect();
    assert_eq!(left, [false, true, true, false, true]);
    assert!(!data.join("explanations/1").exists());
    assert_eq!(forget_derived(&b.store, &data).unwrap(), 0);
}

#[test]
fn images_sent_again_after_eviction_are_stored_again() {
    let b = Box::new();
    let study = b.read("1.1", 10);
    b.clock.advance(48 * HOUR);
    assert_eq!(b.make_room(1).files, 1);
    assert_eq!(b.receive("1.1", "1", 10), study);
    assert_eq!(recover(&b.store, &b.archive()).unwrap(), 0);
    assert_eq!((b.files().len(), b.rows("instance")), (1, 1));
    let standing = b.store.standings().unwrap();
    assert_eq!((standing[0].settled, standing[0].done_at), (false, None));
}

#[test]
fn a_file_that_cannot_be_deleted_is_said_and_the_others_go() {
    let b = Box::new();
    let bad = b.read("1.1", 10);
    b.read("1.2", 10);
    b.clock.advance(48 * HOUR);
    // A folder in the place of the file cannot be unlinked, even by root.
    let path = format!("studies/{}/1.dcm", folder_name("1.1"));
    fs::remove_file(b.archive().join(&path)).unwrap();
    fs::create_dir(b.archive().join(&path)).unwrap();
    let pass = b.make_room(15);
    assert_eq!((pass.studies, pass.enough), (1, false));
    assert_eq!(
        pass.failed,
        [format!(
            "study {bad}: the file {path} of an evicted study cannot be deleted\n  because: Is a \
             directory (os error 21)"
        )]
    );
    // It is tried again.
    fs::remove_dir(b.archive().join(&path)).unwrap();
    assert_eq!(b.make_room(0).studies, 1);
    assert_eq!(b.rows("instance"), 0);
}

#[test]
fn it_stops_when_told() {
    let b = Box::new();
    b.read("1.1", 10);
    b.clock.advance(48 * HOUR);
    let excess = Excess { bytes: 1, files: 0 };
    let pass = make_room(&Config::default(), &b.store, &b.archive(), excess, &|| false).unwrap();
    assert_eq!((pass.studies, pass.enough), (0, false));
}
