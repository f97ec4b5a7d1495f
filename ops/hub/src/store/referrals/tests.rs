//! Later flags, stale ones and those that were taken back.

use exchange::command::Numbered;
use exchange::flag::{Finding, Patient, Referral as Asked, Study};
use exchange::manifest::Object;

use super::*;
use crate::clock::Clock as _;
use crate::store::answers::{Act, Given};
use crate::store::inbox::{Filter, State};
use crate::store::testing::{NOW_MS, store};

pub(in crate::store) fn flag(urgency: &str) -> Flag {
    let asked = |service: &str, urgency: &str| Asked {
        service: service.to_owned(),
        urgency: urgency.to_owned(),
        ..Asked::default()
    };
    Flag {
        asked: true,
        patient: Patient { sex: "F".into(), age_years: Some(40), ..Patient::default() },
        study: Study { uid: "1.2.3".into(), ..Study::default() },
        referrals: vec![asked("neurology", "routine"), asked("neurosurgery", urgency)],
        ..Flag::default()
    }
}

fn apply(store: &Store, flag: &Flag, epoch: &str, seq: i64) -> Referral {
    let now_ms = store.clock().now_ms();
    store.write(|tx| apply_flag(tx, "clinic", flag, (epoch, seq), now_ms)).unwrap();
    store.referral(&id("clinic", &flag.study.uid)).unwrap().unwrap()
}

fn commands(store: &Store) -> Vec<Numbered> {
    store.write(|tx| commands::after(tx, "clinic", 0)).unwrap().0
}

#[test]
fn a_later_flag_replaces_and_a_stale_one_changes_nothing() {
    let (store, clock) = store();
    let first = apply(&store, &flag("soon"), "e1", 5);
    assert_eq!((first.urgency, first.status, first.version), (Urgency::Soon, Status::Received, 1));
    assert_eq!((first.first_ms, first.asked_ms, first.flag_ms), (NOW_MS, NOW_MS, NOW_MS));
    clock.forward(1000);
    let later = apply(&store, &flag("emergency"), "e1", 7);
    assert_eq!((later.urgency, later.version), (Urgency::Emergency, 2));
    assert_eq!((later.first_ms, later.asked_ms), (NOW_MS, NOW_MS), "the wait goes on");
    assert_eq!(later.flag_ms, NOW_MS + 1000);
    assert_eq!(apply(&store, &flag("routine"), "e1", 6), later, "a stale flag");
    assert_eq!(apply(&store, &flag("emergency"), "e1", 7), later, "the same flag");
    assert_eq!(store.flags(&later.id).unwrap().len(), 3);
}

#[test]
fn a_restored_box_is_newer_and_its_old_epoch_is_not() {
    let (store, _) = store();
    apply(&store, &flag("soon"), "e1", 50);
    let restored = apply(&store, &flag("urgent"), "e2", 3);
    assert_eq!(restored.urgency, Urgency::Urgent);
    assert_eq!(apply(&store, &flag("routine"), "e1", 51), restored, "a stick that came late");
    assert_eq!(apply(&store, &flag("emergency"), "e2", 4).urgency, Urgency::Emergency);
}

#[test]
fn a_flag_that_is_taken_back_is_asked_again() {
    let (store, clock) = store();
    apply(&store, &flag("urgent"), "e", 1);
    let withdrawn = apply(&store, &Flag { asked: false, ..flag("urgent") }, "e", 2);
    assert!(!withdrawn.asked);
    let open = Filter::default();
    assert_eq!(store.inbox_count(&open, 9).unwrap(), 0);
    let all = Filter { state: State::Withdrawn, ..Filter::default() };
    assert_eq!(store.inbox(&all, 9, None).unwrap(), [withdrawn]);
    clock.forward(60_000);
    let again = apply(&store, &flag("urgent"), "e", 3);
    assert_eq!((again.first_ms, again.asked_ms), (NOW_MS, NOW_MS + 60_000));
    assert_eq!(store.inbox_count(&open, 9).unwrap(), 1);
    assert!(commands(&store).is_empty(), "nothing was answered");
}

#[test]
fn only_more_urgency_opens_what_was_answered() {
    let (store, clock) = store();
    let referral = apply(&store, &flag("soon"), "e", 1);
    let given = Given {
        referral: &referral.id,
        version: 1,
        act: Act::Decline,
        by: "ada",
        service: "",
        assignee: "",
        note: "no bed",
        actions: &[],
    };
    store.answer(&given).unwrap().unwrap();
    clock.forward(1000);
    let said = apply(&store, &flag("soon"), "e", 2);
    assert_eq!((said.status, said.asked_ms), (Status::Declined, NOW_MS));
    let opened = apply(&store, &flag("emergency"), "e", 3);
    assert_eq!((opened.status, opened.asked_ms), (Status::Received, NOW_MS + 1000));
    let told: Vec<_> = commands(&store).into_iter().map(|numbered| numbered.command).collect();
    let Command::Referral(last) = &told[1] else { panic!("{told:?}") };
    assert_eq!((last.study.as_str(), last.status), ("1.2.3", Status::Received));
}

#[test]
fn a_number_too_large_is_no_trap() {
    let (store, _) = store();
    let text = serde_json::to_string(&Flag {
        findings: vec![Finding { margin: 1.5, ..Finding::default() }],
        ..flag("soon")
    });
    let huge: Flag = serde_json::from_str(&text.unwrap().replace("1.5", "1e39")).unwrap();
    let referral = apply(&store, &huge, "e", 1);
    assert!(referral.flag.findings[0].margin >= f32::MAX);
}

#[test]
fn objects_are_replaced_by_their_instance() {
    let (store, clock) = store();
    let object = |instance: &str, sha256: &str| Object {
        sop_instance: instance.to_owned(),
        sha256: sha256.to_owned(),
        bytes: 7,
        ..Object::default()
    };
    let mut manifest = Manifest {
        study: "1.2.3".into(),
        title: "picture".into(),
        objects: vec![object("1", "aa"), object("2", "bb")],
        ..Manifest::default()
    };
    let apply = |manifest: &Manifest, kind| {
        store.write(|tx| apply_manifest(tx, "a", kind, manifest, clock.now_ms())).unwrap();
    };
    apply(&manifest, Kind::Objects);
    manifest.objects = vec![object("2", "cc")];
    apply(&manifest, Kind::Objects);
    manifest.objects = vec![object("3", "dd")];
    apply(&manifest, Kind::Series);
    let digests = |site| -> Vec<String> {
        let objects = store.result_objects(site, "1.2.3").unwrap();
        objects.into_iter().map(|object| object.sha256).collect()
    };
    assert_eq!(digests("a"), ["aa", "cc"]);
    assert!(digests("b").is_empty(), "another site's");
}
