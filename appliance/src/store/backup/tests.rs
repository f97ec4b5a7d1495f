use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::clock::ManualClock;
use crate::fault;
use crate::store::STEPS;
use crate::store::events::Level;

const START: i64 = 1_800_000_000_000;

struct Place {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: Arc::new(ManualClock::new(START)) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> Store {
        Store::open(&self.path("a.sqlite"), self.clock.clone()).unwrap()
    }

    fn restore(&self, backup: &Path) -> Result<Restored, BackupError> {
        restore(backup, &self.path("a.sqlite"), "engineer", &*self.clock)
    }

    /// Names in a folder, sorted.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A whole message with its causes; the folder is called DIR.
    fn message<T: Debug>(&self, result: Result<T, BackupError>) -> String {
        let text = fault::chain(&result.unwrap_err());
        text.replace(&self.folder.path().display().to_string(), "DIR")
    }
}

fn flip_bytes(path: &Path, from: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes.iter_mut().skip(from).step_by(97).for_each(|byte| *byte ^= 0xff);
    std::fs::write(path, bytes).unwrap();
}

fn events_in(path: &Path) -> usize {
    let db = Connection::open(path).unwrap();
    let count: u32 = db.query_row("SELECT count(*) FROM event", [], |row| row.get(0)).unwrap();
    usize::try_from(count).unwrap()
}

#[test]
fn when_it_is_due() {
    let day = Duration::from_secs(86_400);
    let check = |now, last, expected| assert_eq!(due(now, last, day), expected, "{now} {last:?}");
    check(0, None, true);
    check(86_400_000, Some(0), true);
    check(86_399_999, Some(0), false);
    check(0, Some(5), false);
}

#[test]
fn a_backup_is_one_private_file_and_the_latest_seven_are_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let store = place.store();
    std::fs::create_dir(place.path("backup")).unwrap();
    std::fs::write(place.path("backup/appliance-1.sqlite.part"), "cut").unwrap();
    std::fs::write(place.path("backup/notes.txt"), "not ours").unwrap();
    for _ in 0..9 {
        store.backup(&place.path("backup")).unwrap();
        place.clock.advance(Duration::from_secs(86_400));
    }
    let names = place.names("backup");
    assert_eq!(names.len(), 8);
    assert_eq!(names[0], "appliance-20270117T080000Z.sqlite");
    assert_eq!(names[6], "appliance-20270123T080000Z.sqlite");
    assert_eq!(names[7], "notes.txt");
    let mode = std::fs::metadata(place.path("backup").join(&names[0])).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    assert_eq!(store.last_backup_at().unwrap(), Some(START + 8 * 86_400_000));
    let row = store.audit_rows(8, 1).unwrap().remove(0);
    assert_eq!((row.action.as_str(), &row.object), ("store.backup", &names[6]));
}

#[test]
fn a_backup_beside_a_writer_is_one_consistent_state() {
    let place = Place::new();
    let store = place.store();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                store.note(Level::Info, "test", &"x".repeat(2_000)).unwrap();
                written += 1;
            }
            written
        });
        let mut last = 0;
        while last < 50 {
            let before = store.events(10_000).unwrap().len();
            let path = store.backup(&place.path("backup")).unwrap();
            let after = store.events(10_000).unwrap().len();
            last = events_in(&path);
            assert!((before..=after).contains(&last), "{before} {last} {after}");
        }
        stop.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() >= last);
    });
    assert_eq!(store.full_check().unwrap(), [""; 0]);
    assert_eq!(store.last_full_check_at().unwrap(), Some(START));
}

#[test]
fn a_damaged_database_is_replaced_and_kept_aside() {
    let place = Place::new();
    let store = place.store();
    store.note(Level::Info, "test", "before the backup").unwrap();
    let backup = store.backup(&place.path("backup")).unwrap();
    let copy = std::fs::read(&backup).unwrap();
    store.note(Level::Info, "test", "after the backup").unwrap();
    store.write(|tx| set_property(tx, "epoch", "old")).unwrap();
    drop(store);
    flip_bytes(&place.path("a.sqlite"), 4096);
    let damaged = std::fs::read(place.path("a.sqlite")).unwrap();
    std::fs::write(place.path("a.sqlite-wal"), "log of the damaged database").unwrap();
    let opened = Store::open(&place.path("a.sqlite"), place.clock.clone());
    assert!(opened.is_err(), "the damage went unnoticed");
    std::fs::write(place.path("a.sqlite-wal"), "log of the damaged database").unwrap();

    let restored = place.restore(&backup).unwrap();
    assert_eq!(
        restored.said.replace(&place.folder.path().display().to_string(), "DIR"),
        "The database was restored from DIR/backup/appliance-20270115T080000Z.sqlite. Images that \
         arrived after it are indexed again at the next start and analysed again; decisions taken \
         after it are lost."
    );
    assert_eq!(std::fs::read(place.path("a.sqlite.damaged-1")).unwrap(), damaged);
    assert_eq!(
        std::fs::read_to_string(place.path("a.sqlite.damaged-1-wal")).unwrap(),
        "log of the damaged database"
    );
    assert_eq!(std::fs::read(&backup).unwrap(), copy, "the backup was changed");
    let store = place.store();
    let texts: Vec<_> = store.events(9).unwrap().into_iter().map(|event| event.text).collect();
    assert_eq!(texts, ["before the backup"]);
    let epoch = store.read(|db| property(db, "epoch")).unwrap().unwrap();
    assert_eq!((epoch.len(), epoch == "old"), (32, false));
    let audit = store.audit_rows(0, 9).unwrap();
    assert_eq!(audit.len(), 1);
    assert_eq!((audit[0].actor.as_str(), audit[0].action.as_str()), ("engineer", "store.restore"));
    assert_eq!(store.verify_audit().unwrap().first_bad, None);
    // A second time takes the next number and again another epoch.
    drop(store);
    let again = place.restore(&backup).unwrap();
    assert_eq!(again.aside.last(), Some(&place.path("a.sqlite.damaged-2")));
    let store = place.store();
    assert_ne!(store.read(|db| property(db, "epoch")).unwrap().unwrap(), epoch);
}

#[test]
fn an_interrupted_restore_is_finished() {
    let place = Place::new();
    let store = place.store();
    let backup = store.backup(&place.path("backup")).unwrap();
    drop(store);
    let database = place.path("a.sqlite");
    assert_eq!(finish_restore(&database).unwrap(), Vec::<PathBuf>::new());
    // Cut after each of the renames.
    for moved in 0..=3 {
        std::fs::write(&database, "old").unwrap();
        std::fs::write(place.path("a.sqlite-wal"), "old").unwrap();
        std::fs::write(place.path("a.sqlite-shm"), "old").unwrap();
        std::fs::copy(&backup, place.path("a.sqlite.restoring")).unwrap();
        let aside = format!("a.sqlite.damaged-{}", moved + 1);
        for suffix in ["-wal", "-shm", ""].iter().take(moved) {
            let to = place.path(&format!("{aside}{suffix}"));
            std::fs::rename(place.path(&format!("a.sqlite{suffix}")), to).unwrap();
        }
        assert_eq!(finish_restore(&database).unwrap().len(), 3 - moved);
        let old: Vec<_> =
            place.names(".").into_iter().filter(|name| name.starts_with(&aside)).collect();
        assert_eq!(old, [aside.clone(), format!("{aside}-shm"), format!("{aside}-wal")]);
        assert_eq!(std::fs::read(&database).unwrap(), std::fs::read(&backup).unwrap());
    }
}

#[test]
fn what_is_no_good_backup_is_refused() {
    let place = Place::new();
    let store = place.store();
    let backup = store.backup(&place.path("backup")).unwrap();
    let before = std::fs::read(place.path("a.sqlite")).unwrap();
    let check = |name: &str, make: &dyn Fn(&Path), expected: &str| {
        let path = place.path(name);
        make(&path);
        assert_eq!(place.message(place.restore(&path)), expected);
        assert_eq!(std::fs::read(place.path("a.sqlite")).unwrap(), before);
        assert!(!place.path("a.sqlite.restoring").exists());
    };
    let copy_and = |sql: &'static str| {
        let backup = backup.clone();
        move |path: &Path| {
            std::fs::copy(&backup, path).unwrap();
            Connection::open(path).unwrap().execute_batch(sql).unwrap();
        }
    };
    check(
        "none",
        &|_| {},
        "cannot open DIR/none\n  because: No such file or directory (os error 2)",
    );
    check(
        "text",
        &|path| std::fs::write(path, "x".repeat(5000)).unwrap(),
        "the backup DIR/text is damaged (Error code 26: file is not a database); use an older one",
    );
    check(
        "empty",
        &|path| std::fs::write(path, "").unwrap(),
        "DIR/empty is not a backup of this appliance's database",
    );
    check(
        "other",
        &copy_and("DROP TABLE audit"),
        "DIR/other is not a backup of this appliance's database",
    );
    check(
        "newer",
        &copy_and("PRAGMA user_version = 99"),
        &format!(
            "the backup DIR/newer has schema version 99, this program knows {}; install the \
             program that wrote it, or use an older backup",
            STEPS.len()
        ),
    );
    let flipped = |path: &Path| {
        std::fs::copy(&backup, path).unwrap();
        flip_bytes(path, 4096);
    };
    flipped(&place.path("flipped"));
    let text = place.message(place.restore(&place.path("flipped")));
    assert!(text.starts_with("the backup DIR/flipped is damaged ("), "{text}");
}

#[test]
fn a_backup_that_fails_leaves_nothing() {
    let place = Place::new();
    let store = place.store();
    std::fs::write(place.path("backup"), "a file").unwrap();
    assert_eq!(
        place.message(store.backup(&place.path("backup"))),
        "cannot make DIR/backup\n  because: File exists (os error 17)"
    );
    assert_eq!(store.last_backup_at().unwrap(), None);
    assert_eq!(store.audit_rows(0, 1).unwrap(), []);
}
