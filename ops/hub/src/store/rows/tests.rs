use exchange::flag::{Flag, Study};
use exchange::manifest::{Manifest, Object};
use exchange::row::{FLAG_BYTES, Kind};
use exchange::telemetry::{AuditHead, Outcome as Case};
use exchange::wire::Hello;

use std::time::Duration;

use super::*;
use crate::store::answers::{Act, Given};
use crate::store::outbound::Kind::{Fhir, Stow};
use crate::store::referrals::id;
use crate::store::sites::WORD_CHARS;
use crate::store::testing::{NOW_MS, store};

const QUOTA: u64 = 1 << 20;

fn row(seq: i64, kind: Kind, study: &str, body: &impl serde::Serialize) -> Row {
    let key = Key { epoch: "e".into(), seq };
    Row::seal(key, kind, study.into(), 1, serde_json::to_string(body).unwrap())
}

fn flag(seq: i64, study: &str) -> Row {
    let study_of_flag = Study { uid: study.into(), ..Study::default() };
    row(seq, Kind::Flag, study, &Flag { asked: true, study: study_of_flag, ..Flag::default() })
}

fn case(seq: i64) -> Row {
    row(seq, Kind::Outcome, "", &Case { case: seq.to_string(), ..Case::default() })
}

fn manifest(seq: i64, sha256: &str, bytes: u64) -> Row {
    let object = Object { sha256: sha256.into(), bytes, ..Object::default() };
    let manifest = Manifest { study: "1.2".into(), objects: vec![object], ..Manifest::default() };
    row(seq, Kind::Objects, "1.2", &manifest)
}

fn send(store: &Store, site: &str, rows: &[Row]) -> Vec<Outcome> {
    send_within(store, site, rows, QUOTA)
}

fn send_within(store: &Store, site: &str, rows: &[Row], quota: u64) -> Vec<Outcome> {
    let request = Request { hello: Hello::default(), rows: rows.to_vec() };
    let taken = store.take(site, &request, quota).unwrap().unwrap();
    assert!(taken.answers.iter().zip(rows).all(|(answer, row)| answer.key == row.key));
    taken.answers.into_iter().map(|answer| answer.outcome).collect()
}

fn code(outcome: &Outcome) -> Option<Rejection> {
    match outcome {
        Outcome::Rejected { code, .. } => Some(*code),
        _ => None,
    }
}

#[test]
fn a_row_is_stored_once_and_in_order() {
    let (store, _) = store();
    store.add_site("a", "A").unwrap();
    let rows = [flag(5, "1.2"), case(3), case(9)];
    assert_eq!(send(&store, "a", &rows), [Outcome::Stored, Outcome::Stored, Outcome::Stored]);
    let again = [case(9), case(10), flag(5, "1.2"), case(10)];
    let expected = [Outcome::Duplicate, Outcome::Stored, Outcome::Duplicate, Outcome::Duplicate];
    assert_eq!(send(&store, "a", &again), expected);
    let stored = store.stored_rows("a").unwrap();
    let order: Vec<_> = stored.iter().map(|row| (row.key.seq, row.ordinal)).collect();
    assert_eq!(order, [(5, 1), (3, 2), (9, 3), (10, 4)]);
    let restored = Row::seal(
        Key { epoch: "after-restore".into(), seq: 5 },
        Kind::Outcome,
        String::new(),
        1,
        serde_json::to_string(&Case::default()).unwrap(),
    );
    assert_eq!(send(&store, "a", &[restored]), [Outcome::Stored], "another epoch, another key");
}

#[test]
fn other_content_under_a_key_is_a_fork_and_alarms_once() {
    let (store, _) = store();
    store.add_site("a", "A").unwrap();
    store.add_site("b", "B").unwrap();
    send(&store, "a", &[case(1)]);
    let fork = row(1, Kind::Outcome, "", &Case { case: "other".into(), ..Case::default() });
    for _ in 0..2 {
        assert_eq!(code(&send(&store, "a", std::slice::from_ref(&fork))[0]), Some(Rejection::Fork));
    }
    assert_eq!(store.stored_rows("a").unwrap()[0].sha256, case(1).sha256);
    assert_eq!(store.sites().unwrap()[0].forks, 1);
    let alarms = store.audit_rows(0, 100).unwrap();
    assert_eq!(alarms.iter().filter(|entry| entry.action == "row.fork").count(), 1);
    assert_eq!(send(&store, "b", &[fork]), [Outcome::Stored], "keys are a site's own");
}

#[test]
fn an_audit_log_only_grows() {
    let (store, _) = store();
    store.add_site("a", "A").unwrap();
    let head = |at: i64, seq: i64, hash: &str| {
        row(at, Kind::AuditHead, "", &AuditHead { seq, hash: hash.into() })
    };
    let forks = || store.sites().unwrap()[0].forks;
    // A stick may be slower than the link.
    send(&store, "a", &[head(1, 10, "x"), head(9, 30, "z"), head(5, 20, "y"), head(6, 20, "y")]);
    assert_eq!(forks(), 0);
    let other = Key { epoch: "after-restore".into(), seq: 1 };
    let body = serde_json::to_string(&AuditHead { seq: 3, hash: "r".into() }).unwrap();
    send(&store, "a", &[Row::seal(other, Kind::AuditHead, String::new(), 1, body)]);
    assert_eq!(forks(), 0, "a restored backup has another epoch");
    for (shortened, alarms) in [(head(10, 29, "w"), 1), (head(4, 20, "changed"), 2)] {
        assert_eq!(send(&store, "a", &[shortened]), [Outcome::Stored]);
        assert_eq!(forks(), alarms);
    }
    let entries = store.audit_rows(0, 100).unwrap();
    assert_eq!(entries.iter().filter(|entry| entry.action == "row.audit").count(), 2);
}

#[test]
fn rows_that_are_not_what_they_say_are_rejected() {
    let (store, _) = store();
    store.add_site("a", "A").unwrap();
    let mut damaged = case(1);
    damaged.body.push(' ');
    let nonsense = row(2, Kind::Flag, "1.2", &"no flag");
    let of_another = row(3, Kind::Flag, "1.3", &Flag::default());
    let long = Flag { acuity: "x".repeat(FLAG_BYTES), ..Flag::default() };
    let long = row(4, Kind::Flag, "", &long);
    let long_key = row(5, Kind::Outcome, &"1".repeat(200), &Case::default());
    let rows = [damaged, nonsense, of_another, long, long_key, case(6)];
    let codes: Vec<_> = send(&store, "a", &rows).iter().map(code).collect();
    let body = Some(Rejection::Body);
    assert_eq!(codes, [Some(Rejection::Damaged), body, body, body, body, None]);
    assert_eq!(store.stored_rows("a").unwrap().len(), 1, "one bad row holds up nobody");
}

#[test]
fn a_manifest_waits_for_its_blobs() {
    let (store, _) = store();
    store.add_site("a", "A").unwrap();
    store.add_site("b", "B").unwrap();
    let blob = |outcomes: Vec<Outcome>| code(&outcomes[0]) == Some(Rejection::Blob);
    assert!(blob(send(&store, "a", &[manifest(1, "abc", 7)])), "never announced");
    store.announce("a", "abc", 7, 100).unwrap();
    assert!(blob(send(&store, "a", &[manifest(1, "abc", 7)])), "not complete");
    store.completed("a", "abc").unwrap();
    assert!(blob(send(&store, "a", &[manifest(1, "abc", 8)])), "another length");
    assert!(blob(send(&store, "b", &[manifest(1, "abc", 7)])), "of another site");
    assert_eq!(send(&store, "a", &[manifest(1, "abc", 7)]), [Outcome::Stored]);
}

#[test]
fn what_arrives_is_queued_for_the_hospitals_systems_at_once() {
    let (store, _) = store();
    store.add_site("a", "A").unwrap();
    store.set_outbound_destinations(&[("epic", Fhir), ("pacs", Stow)]).unwrap();
    let waits = || {
        let queues = store.outbound_queues().unwrap();
        [queues[0].waiting, queues[1].waiting]
    };
    let is_told = || {
        let job = store.begin_outbound("epic", Duration::from_secs(1)).unwrap().unwrap();
        store.outbound_sent(&job).unwrap();
    };
    store.announce("a", "abc", 7, 100).unwrap();
    store.completed("a", "abc").unwrap();
    send(&store, "a", &[manifest(1, "abc", 7)]);
    assert_eq!(waits(), [0, 1], "nobody has asked about the study");
    send(&store, "a", &[flag(2, "1.2")]);
    assert_eq!(waits(), [1, 1]);
    is_told();
    send(&store, "a", &[manifest(1, "abc", 7), flag(2, "1.2")]);
    assert_eq!(waits(), [0, 1], "nothing is new");
    send(&store, "a", &[manifest(3, "abc", 7)]);
    assert_eq!(waits(), [1, 1], "what is said of the study names its objects");
    is_told();
    let (referral, actions) = (id("a", "1.2"), ["Nil by mouth".to_owned()]);
    let version = store.referral(&referral).unwrap().unwrap().version;
    let given = Given {
        referral: &referral,
        version,
        act: Act::Accept,
        by: "achieng",
        service: "",
        assignee: "",
        note: "",
        actions: &actions,
    };
    store.answer(&given).unwrap().unwrap();
    assert_eq!(waits(), [1, 1], "the answer goes out as well");
}

#[test]
fn a_full_site_is_put_off_and_nothing_overtakes() {
    let (store, _) = store();
    store.add_site("a", "A").unwrap();
    store.add_site("b", "B").unwrap();
    let large = row(2, Kind::Outcome, "", &Case { reason: "x".repeat(5000), ..Case::default() });
    let outcomes = send_within(&store, "a", &[case(1), large.clone(), case(3)], 4000);
    assert_eq!(outcomes[0], Outcome::Stored);
    assert!(matches!(&outcomes[1], Outcome::Later { reason } if reason.contains("limits.row_mib")));
    assert!(matches!(outcomes[2], Outcome::Later { .. }), "{outcomes:?}");
    let again = send_within(&store, "a", &[large.clone(), case(1)], 4000);
    assert_eq!(again[1], Outcome::Duplicate, "what is there is acknowledged");
    assert_eq!(send_within(&store, "b", &[case(1)], 4000), [Outcome::Stored]);
    assert_eq!(send(&store, "a", &[large, case(3)]), [Outcome::Stored, Outcome::Stored]);
}

#[test]
fn a_contact_shows_how_the_box_is() {
    let (store, _) = store();
    store.add_site("a", "A").unwrap();
    let hello = Hello {
        wall_ms: NOW_MS - 90_000,
        software: "1.0\0".into(),
        model: "m".repeat(1000),
        backlog: [1, 2, 3, u64::MAX],
        dead: 4,
        cursor: 0,
        offer: None,
    };
    let request = Request { hello, rows: Vec::new() };
    let taken = store.take("a", &request, QUOTA).unwrap().unwrap();
    assert!(taken.answers.is_empty() && taken.commands.is_empty() && !taken.more);
    let site = store.sites().unwrap().remove(0);
    assert_eq!((site.contact_ms, site.offset_ms), (Some(NOW_MS), Some(-90_000)));
    assert_eq!((site.backlog, site.dead), ([1, 2, 3, i64::MAX], 4));
    assert_eq!((site.software.as_str(), site.model.len()), ("1.0\u{fffd}", WORD_CHARS));
    assert!(store.take("nobody", &request, QUOTA).unwrap().is_none());
}
