use exchange::manifest::{Manifest, Object};
use exchange::row::{Key, Kind, Row, hex};
use exchange::telemetry::Outcome as Case;
use exchange::wire::{Hello, Outcome};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::blobs::Folder;
use crate::store::testing::{Hands, store};

const LIMITS: Limits = Limits {
    row_bytes: 1 << 20,
    blob_bytes: 1000,
    one_blob_bytes: 900,
    requests_per_minute: 6000,
    requests_in_a_row: 50,
};

struct Bench {
    hub: Hub,
    clock: Arc<Hands>,
    folder: TempDir,
}

fn bench() -> Bench {
    let (store, clock) = store();
    store.add_site("a", "A").unwrap();
    store.add_site("b", "B").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::new(store, Arc::new(Folder::new(folder.path())), LIMITS);
    Bench { hub, clock, folder }
}

impl Bench {
    /// The process died: what is on the disk is all there is.
    fn killed(self) -> Self {
        let store = self.hub.store.clone();
        let hub = Hub::new(store, Arc::new(Folder::new(self.folder.path())), LIMITS);
        Self { hub, ..self }
    }
}

fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

fn row(seq: i64) -> Row {
    let body = serde_json::to_string(&Case { case: seq.to_string(), ..Case::default() }).unwrap();
    Row::seal(Key { epoch: "e".into(), seq }, Kind::Outcome, String::new(), 1, body)
}

fn batch(rows: Vec<Row>) -> Vec<u8> {
    Request { hello: Hello::default(), rows }.encode().unwrap()
}

fn outcomes(reply: &[u8]) -> Vec<Outcome> {
    let reply = Reply::decode(reply).unwrap();
    reply.answers.into_iter().map(|answer| answer.outcome).collect()
}

fn status<T: std::fmt::Debug>(done: Result<T, Refusal>) -> u16 {
    done.unwrap_err().status
}

#[test]
fn a_batch_is_answered_and_a_repetition_changes_nothing() {
    let bench = bench();
    let hub = &bench.hub;
    let sent = batch(vec![row(1), row(2)]);
    let reply = exchange(hub, "a", &sent).unwrap();
    assert_eq!(outcomes(&reply), [Outcome::Stored, Outcome::Stored]);
    assert_eq!(Reply::decode(&reply).unwrap().head.wall_ms, hub.now_ms());
    let again = exchange(hub, "a", &sent).unwrap();
    assert_eq!(outcomes(&again), [Outcome::Duplicate, Outcome::Duplicate]);
    assert_eq!(hub.store.stored_rows("a").unwrap().len(), 2);
    assert!(hub.store.stored_rows("b").unwrap().is_empty());
    assert_eq!(status(exchange(hub, "c", &sent)), 403);
}

#[test]
fn bombs_and_nonsense_are_refused() {
    let bench = bench();
    let hub = &bench.hub;
    let bomb = {
        // One line of 64 MiB: a million times what it takes to send.
        let rows = vec![Row { body: "0".repeat(1 << 26), ..row(1) }];
        batch(rows)
    };
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    assert_eq!(status(exchange(hub, "a", &bomb)), 413);
    assert_eq!(status(exchange(hub, "a", &vec![0; REQUEST_BYTES + 1])), 413);
    assert_eq!(status(exchange(hub, "a", b"no batch")), 400);
    assert_eq!(status(exchange(hub, "a", b"")), 400);
    let many = batch(vec![row(1); exchange::wire::ROWS + 1]);
    assert_eq!(status(exchange(hub, "a", &many)), 413);
}

#[test]
fn a_site_that_asks_too_often_waits() {
    let bench = bench();
    let (hub, clock) = (&bench.hub, &bench.clock);
    let poll = batch(Vec::new());
    for _ in 0..LIMITS.requests_in_a_row {
        exchange(hub, "a", &poll).unwrap();
    }
    let refusal = exchange(hub, "a", &poll).unwrap_err();
    assert_eq!((refusal.status, refusal.retry_after), (429, Some(Duration::from_millis(10))));
    assert_eq!(status(create(hub, "a", &sha256(b"x"), 1)), 429);
    exchange(hub, "b", &poll).unwrap();
    clock.forward(10);
    exchange(hub, "a", &poll).unwrap();
}

#[test]
fn an_upload_survives_a_kill_at_any_place() {
    let content = b"0123456789";
    let name = sha256(content);
    let bench = bench();
    let made = create(&bench.hub, "a", &name, 10).unwrap();
    assert_eq!((made.offset, made.bytes), (0, 10));
    let bench = bench.killed();
    assert_eq!(append(&bench.hub, "a", &name, 0, b"0123").unwrap(), 4);
    // The answer never went out: the box asks where it is.
    let bench = bench.killed();
    assert_eq!(offset(&bench.hub, "a", &name).unwrap().offset, 4);
    assert_eq!(status(append(&bench.hub, "a", &name, 0, b"0123")), 409);
    // All bytes are there, and nobody has looked at them.
    bench.hub.blobs.append(&Name::new("a", &name).unwrap(), 4, b"456789").unwrap();
    let bench = bench.killed();
    let done = Upload { offset: 10, bytes: 10, expires_ms: None };
    assert_eq!(offset(&bench.hub, "a", &name).unwrap(), done);
    assert!(bench.hub.store.blob("a", &name).unwrap().unwrap().complete);
    assert_eq!(
        create(&bench.hub, "a", &name, 10).unwrap(),
        done,
        "a repetition costs one question"
    );
    assert_eq!(append(&bench.hub, "a", &name, 10, b"").unwrap(), 10);
    assert_eq!(status(append(&bench.hub, "a", &name, 4, b"456789")), 409);
}

#[test]
fn a_kill_between_the_place_and_the_database_loses_nothing() {
    let (content, bench) = (b"0123456789", bench());
    let name = sha256(content);
    create(&bench.hub, "a", &name, 10).unwrap();
    let place = Name::new("a", &name).unwrap();
    bench.hub.blobs.append(&place, 0, content).unwrap();
    bench.hub.blobs.finish(&place, 10).unwrap();
    let bench = bench.killed();
    assert!(!bench.hub.store.blob("a", &name).unwrap().unwrap().complete);
    assert_eq!(offset(&bench.hub, "a", &name).unwrap().offset, 10);
    assert!(bench.hub.store.blob("a", &name).unwrap().unwrap().complete);
}

#[test]
fn what_is_not_what_its_name_says_begins_anew() {
    let bench = bench();
    let hub = &bench.hub;
    let name = sha256(b"right");
    create(hub, "a", &name, 5).unwrap();
    assert_eq!(status(append(hub, "a", &name, 0, b"wrong")), 460);
    assert_eq!(offset(hub, "a", &name).unwrap().offset, 0);
    assert_eq!(status(append(hub, "a", &name, 0, b"too long")), 413);
    assert_eq!(append(hub, "a", &name, 0, b"right").unwrap(), 5);
}

#[test]
fn a_quota_holds_before_anything_is_written() {
    let bench = bench();
    let hub = &bench.hub;
    assert_eq!(status(create(hub, "a", &sha256(b"1"), 901)), 413);
    create(hub, "a", &sha256(b"2"), 900).unwrap();
    let full = create(hub, "a", &sha256(b"3"), 101).unwrap_err();
    assert!(full.status == 413 && full.said.contains("limits.blob_mib"), "{full}");
    create(hub, "b", &sha256(b"3"), 101).unwrap();
    assert_eq!(status(create(hub, "a", &sha256(b"2"), 899)), 409);
    assert_eq!(status(create(hub, "a", &sha256(b"4"), 0)), 400);
    assert_eq!(status(create(hub, "a", "../../b", 1)), 400);
    assert_eq!(std::fs::read_dir(bench.folder.path()).unwrap().count(), 0);
}

#[test]
fn a_site_neither_sees_nor_uses_what_another_has() {
    let bench = bench();
    let hub = &bench.hub;
    let content = b"of a";
    let name = sha256(content);
    create(hub, "a", &name, 4).unwrap();
    assert_eq!(status(offset(hub, "b", &name)), 404);
    assert_eq!(status(append(hub, "b", &name, 0, content)), 404);
    append(hub, "a", &name, 0, content).unwrap();
    // To have it, b must show that it has it.
    assert_eq!(create(hub, "b", &name, 4).unwrap().offset, 0);
    let object = Object { sha256: name, bytes: 4, ..Object::default() };
    let manifest = Manifest { study: "1.2".into(), objects: vec![object], ..Manifest::default() };
    let body = serde_json::to_string(&manifest).unwrap();
    let row = Row::seal(Key { epoch: "e".into(), seq: 1 }, Kind::Objects, "1.2".into(), 1, body);
    let refused = outcomes(&exchange(hub, "b", &batch(vec![row.clone()])).unwrap());
    assert!(matches!(refused[0], Outcome::Rejected { .. }), "{refused:?}");
    assert_eq!(outcomes(&exchange(hub, "a", &batch(vec![row])).unwrap()), [Outcome::Stored]);
}

#[test]
fn uploads_that_nobody_goes_on_with_are_thrown_away() {
    let bench = bench();
    let (hub, clock) = (&bench.hub, &bench.clock);
    let name = sha256(b"0123456789");
    create(hub, "a", &name, 10).unwrap();
    append(hub, "a", &name, 0, b"0123").unwrap();
    clock.forward(UPLOAD_MS);
    assert_eq!(hub.expire_uploads().unwrap(), 0);
    clock.forward(1);
    assert_eq!(hub.expire_uploads().unwrap(), 1);
    assert_eq!(status(offset(hub, "a", &name)), 404);
    assert_eq!(create(hub, "a", &name, 10).unwrap().offset, 0);
}
