//! The queue of each archive: what is in it, in which order, and what takes it out.

use std::sync::Arc;

use super::*;
use crate::clock::ManualClock;
use crate::store::instances::{Arrival, SeriesFacts, StudyFacts};

const SECOND: Duration = Duration::from_secs(1);

struct Fixture {
    _folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Store,
}

impl Fixture {
    /// Three settled studies with an image each, and archives A and B.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_800_000_000_000));
        let store = Store::open(&folder.path().join("test.sqlite"), clock.clone()).unwrap();
        let new = Self { _folder: folder, clock, store };
        for study in 1..=3 {
            let arrival = Arrival {
                study: StudyFacts { uid: format!("1.{study}"), ..Default::default() },
                series: SeriesFacts { uid: format!("1.{study}.1"), ..Default::default() },
                sop_uid: format!("1.9.{study}"),
                sop_class: "1.2".to_owned(),
                path: format!("{study}.dcm"),
                ..Default::default()
            };
            new.store.index(arrival).unwrap();
        }
        new.sql(
            "INSERT INTO model (digest, name, folder, mode, installed_at)
             VALUES ('m', 'm', '', 'assist', 0);
             UPDATE study SET state = 'settled'",
        );
        new.archives(&["A", "B"]);
        new
    }

    fn sql(&self, sql: &str) {
        self.store.write(|tx| Ok(tx.execute_batch(sql)?)).unwrap();
    }

    fn archives(&self, names: &[&str]) {
        let all: Vec<_> = names.iter().map(|&name| recipient(name, &Kind::ALL)).collect();
        self.store.set_destinations(&all).unwrap();
    }

    /// A second later a result is there.
    fn result(&self, study: i64, generation: i64, outcome: &str) {
        self.clock.advance(SECOND);
        let acuity = if outcome == "analysed" { "'low'" } else { "NULL" };
        self.sql(&format!(
            "INSERT INTO inference (study_id, generation, model_digest, mode, outcome, acuity,
               partial, finished_at, result, assessment)
             VALUES ({study}, {generation}, 'm', 'assist', '{outcome}', {acuity}, 0, {}, '{{}}',
               '{{}}')",
            self.store.clock().now()
        ));
        self.store.write(|tx| crate::store::decisions::recompute(tx, study, 0)).unwrap();
    }

    fn next(&self, archive: &str) -> Option<Delivery> {
        self.store.begin_delivery(archive).unwrap()
    }

    #[track_caller]
    fn states(&self, study: i64, expected: &[(&str, &str)]) {
        let all = self.store.study_deliveries(study).unwrap();
        let all: Vec<_> = all.iter().map(|d| (d.destination.as_str(), d.state.as_str())).collect();
        assert_eq!(all, expected);
    }
}

fn recipient(name: &str, kinds: &[Kind]) -> Recipient {
    Recipient { name: name.to_owned(), kinds: kinds.to_vec() }
}

#[test]
fn each_archive_gets_every_result_in_order() {
    let f = Fixture::new();
    for study in [2, 1, 3] {
        f.result(study, 1, "analysed");
    }
    f.result(3, 2, "not_analysed");
    let mut sent = Vec::new();
    while let Some(delivery) = f.next("A") {
        f.store.delivery_sent(&delivery, "A").unwrap();
        sent.push(delivery.study_id);
    }
    // Study 3 shows now that it was not analysed, which is no result for anybody else.
    assert_eq!(sent, [2, 1]);
    f.states(3, &[("A", "withdrawn"), ("B", "waiting")]);
    f.states(2, &[("A", "sent"), ("B", "waiting")]);
    let queues = f.store.delivery_queues().unwrap();
    let counts: Vec<_> = queues.iter().map(|q| (q.waiting, q.sent, q.dead)).collect();
    assert_eq!(counts, [(0, 2, 0), (3, 0, 0)]);
    assert_eq!(queues[1].oldest_at, Some(1_800_000_001_000));
}

#[test]
fn a_later_result_replaces_one_that_waits() {
    let f = Fixture::new();
    f.result(1, 1, "analysed");
    f.result(1, 2, "analysed");
    let delivery = f.next("A").unwrap();
    assert_eq!(delivery.inference_id, 2);
    let last = f.store.delivery_sent(&delivery, "A").unwrap();
    assert!(!last, "B waits");
    assert_eq!(f.next("A"), None);
    let delivery = f.next("B").unwrap();
    assert!(f.store.delivery_sent(&delivery, "B").unwrap());
}

#[test]
fn refused_three_times_and_sent_again_by_a_person() {
    let f = Fixture::new();
    f.result(1, 1, "analysed");
    f.result(2, 1, "analysed");
    let first = f.next("A").unwrap();
    f.store.delivery_refused(first.id, "no", "unknown: Ó", Some(SECOND)).unwrap();
    // What stands behind it is not held up.
    let second = f.next("A").unwrap();
    assert_eq!(second.study_id, 2);
    f.store.delivery_sent(&second, "A").unwrap();
    assert_eq!(f.next("A"), None);
    f.clock.advance(SECOND);
    let again = f.next("A").unwrap();
    assert_eq!((again.id, again.attempts), (first.id, 1));
    assert_eq!((again.last_error.as_str(), again.said.as_str()), ("no", "unknown: Ó"));
    f.store.delivery_refused(first.id, "no", "unknown: Ó", None).unwrap();
    f.clock.advance(SECOND * 100_000);
    assert_eq!(f.next("A"), None);
    let dead = f.store.dead_deliveries(10).unwrap();
    assert_eq!((dead.len(), dead[0].id, dead[0].last_error.as_str()), (1, first.id, "no"));
    // What the archive wrote is shown with the study only.
    assert_eq!(dead[0].said, "");
    assert_eq!(f.store.study_deliveries(1).unwrap()[0].said, "unknown: Ó");
    assert!(f.store.retry_delivery(first.id, "Asha").unwrap());
    assert!(!f.store.retry_delivery(first.id, "Asha").unwrap(), "once is enough");
    assert_eq!(f.next("A").map(|d| (d.id, d.attempts)), Some((first.id, 0)));
}

#[test]
fn what_a_start_finds() {
    let f = Fixture::new();
    f.result(1, 1, "analysed");
    // The power fails while it is sent.
    let sending = f.next("A").unwrap();
    f.states(1, &[("A", "sending"), ("B", "waiting")]);
    // B is no longer in the settings, C is new and gets what comes from now on.
    f.clock.advance(SECOND);
    f.archives(&["A", "C"]);
    f.states(1, &[("A", "waiting"), ("B", "withdrawn")]);
    assert_eq!(f.next("A").map(|d| d.id), Some(sending.id));
    assert_eq!(f.next("C"), None);
    f.result(2, 1, "analysed");
    assert_eq!(f.next("C").map(|d| d.study_id), Some(2));
}

#[test]
fn what_nobody_sends_any_more_waits_again() {
    let f = Fixture::new();
    f.result(1, 1, "analysed");
    let sending = f.next("A").unwrap();
    assert!(f.next("B").is_some());
    assert_eq!(f.next("A"), None);
    f.store.deliveries_interrupted("A").unwrap();
    f.states(1, &[("A", "waiting"), ("B", "sending")]);
    assert_eq!(f.next("A").map(|d| (d.id, d.attempts)), Some((sending.id, 0)));
}

#[test]
fn what_is_held_back() {
    let f = Fixture::new();
    f.result(1, 1, "analysed");
    // Images come in: another result is to be expected.
    f.sql("UPDATE study SET state = 'receiving' WHERE id = 1");
    assert_eq!(f.next("A"), None);
    f.sql("UPDATE study SET state = 'settled' WHERE id = 1; UPDATE model SET killed_at = 1");
    assert_eq!(f.next("A"), None);
    f.states(1, &[("A", "withdrawn"), ("B", "waiting")]);
    // Revived, its results are shown and sent again.
    f.sql("UPDATE model SET killed_at = NULL");
    f.store.write(|tx| crate::store::decisions::recompute(tx, 1, 0)).unwrap();
    assert!(f.next("A").is_some());
}

#[test]
fn what_a_report_is_made_from() {
    let f = Fixture::new();
    f.result(1, 1, "analysed");
    let found = f.store.result_to_send(1).unwrap();
    assert_eq!((found.study_uid.as_str(), found.image.as_deref()), ("1.1", Some("1.dcm")));
    assert_eq!(found.images, [["1.1.1", "1.2", "1.9.1"].map(str::to_owned)]);
    f.sql("UPDATE study SET evicted_at = 1 WHERE id = 1");
    assert_eq!(f.store.result_to_send(1).unwrap().image, None);
}

#[test]
fn a_picture_follows_its_report() {
    let f = Fixture::new();
    f.result(1, 1, "analysed");
    assert_eq!(f.store.next_explanation("m", None).unwrap(), None, "nothing was found");
    let finding = r#"'{"findings": [{"label": "stroke"}, {"label": "tumour"}]}'"#;
    f.sql(&format!("UPDATE inference SET assessment = {finding}"));
    let job = f.store.next_explanation("m", None).unwrap().unwrap();
    assert_eq!((job.inference_id, job.finding.as_str()), (1, "stroke"));
    assert_eq!(f.store.next_explanation("other", None).unwrap(), None, "another model's");
    let report = f.next("A").unwrap();
    f.store.explained(&job, Ok("{}".to_owned())).unwrap();
    assert_eq!(f.store.next_explanation("m", None).unwrap(), None, "once is enough");
    assert!(!f.store.delivery_sent(&report, "A").unwrap(), "B waits for the report");
    let picture = f.next("A").unwrap();
    assert_eq!((report.kind, picture.kind), (Kind::Report, Kind::Picture));
    f.store.delivery_sent(&picture, "A").unwrap();
    f.states(1, &[("A", "sent"), ("B", "waiting"), ("A", "sent"), ("B", "waiting")]);

    // What cannot be explained is not tried again, and has no picture.
    f.result(2, 1, "analysed");
    f.sql(&format!("UPDATE inference SET assessment = {finding}"));
    let job = f.store.next_explanation("m", None).unwrap().unwrap();
    f.store.explained(&job, Err("too few tokens".to_owned())).unwrap();
    assert_eq!(f.store.next_explanation("m", None).unwrap(), None);
    assert_eq!(f.store.explanation(2).unwrap().unwrap().failed, "too few tokens");
    f.states(2, &[("A", "waiting"), ("B", "waiting")]);
}

#[test]
fn each_gets_the_kinds_it_wants_in_their_order() {
    let f = Fixture::new();
    let (seg, report) = (Kind::Segmentation, Kind::Report);
    let wishes = [recipient("A", &[seg, Kind::Picture, report]), recipient("B", &[report])];
    f.store.set_destinations(&wishes).unwrap();
    f.result(1, 1, "analysed");
    f.sql(r#"UPDATE inference SET assessment = '{"findings": [{"label": "stroke"}]}'"#);
    let job = f.store.next_explanation("m", None).unwrap().unwrap();
    f.store.explained(&job, Ok(r#"{"region": [{}]}"#.to_owned())).unwrap();
    let mut kinds = Vec::new();
    while let Some(delivery) = f.next("A") {
        f.store.delivery_refused(delivery.id, "no", "", None).unwrap();
        kinds.push(delivery.kind);
    }
    assert_eq!(kinds, Kind::ALL);
    let delivery = f.next("B").unwrap();
    assert_eq!(delivery.kind, report);
    assert!(!f.store.delivery_sent(&delivery, "B").unwrap(), "A may want it again");
    assert_eq!(f.next("B"), None);

    // What waits and is no longer wanted is withdrawn; wanted again, it waits again.
    let ids = |state: &str| {
        let all = f.store.study_deliveries(1).unwrap();
        all.iter().filter(|d| d.state == state).map(|d| d.kind.clone()).collect::<Vec<_>>()
    };
    f.sql("UPDATE delivery SET state = 'waiting' WHERE state = 'dead'");
    f.store.set_destinations(&[recipient("A", &[seg])]).unwrap();
    assert_eq!((ids("waiting"), ids("withdrawn").len()), (vec!["segmentation".to_owned()], 2));
    f.store.set_destinations(&wishes).unwrap();
    f.store.write(|tx| crate::store::decisions::recompute(tx, 1, 0)).unwrap();
    assert_eq!(ids("waiting").len(), 3);
}

#[test]
fn what_an_archive_took_and_did_not_keep_is_sent_again() {
    let f = Fixture::new();
    for study in 1..=3 {
        f.result(study, 1, "analysed");
        let delivery = f.next("A").unwrap();
        f.store.delivery_sent(&delivery, "A").unwrap();
    }
    let asked = f.store.uncommitted("A", 1000 * SECOND).unwrap();
    assert_eq!(asked.iter().map(|d| d.study_id).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(f.store.uncommitted("B", SECOND).unwrap().is_empty(), "nothing was sent");
    let uids = ["2.25.1", "2.25.2", "2.25.3"];
    let rows: Vec<_> = asked.iter().map(|d| d.id).zip(uids).collect();
    f.store.commitment_asked("1.9", &rows).unwrap();
    assert!(f.store.uncommitted("A", 1000 * SECOND).unwrap().is_empty(), "asked just now");

    let [first, failed, third] = uids.map(|uid| [uid.to_owned()]);
    let report = |archive: &str, transaction: &str, kept: &[String], failed: &[String]| {
        f.store.delivery_committed(archive, transaction, kept, failed).unwrap()
    };
    assert!(!report("B", "1.9", &first, &failed), "B was not asked");
    assert!(!report("A", "", &first, &[]), "no transaction");
    assert!(report("A", "1.9", &[], &[]), "it was asked, and says nothing");
    assert!(report("A", "1.9", &first, &failed));
    let kept = |study: i64| f.store.study_deliveries(study).unwrap()[0].committed_at.is_some();
    assert_eq!([1, 2, 3].map(kept), [true, false, false], "of the third it says nothing");
    assert!(report("A", "1.9", &third, &[]));
    assert_eq!([1, 2, 3].map(kept), [true, false, true]);
    assert_eq!(f.next("A"), None, "not at once");
    f.clock.advance(LOST_PAUSE);
    let again = f.next("A").unwrap();
    assert_eq!((again.id, again.attempts), (rows[1].0, 1));
    assert_eq!(again.last_error, "it took the object and did not keep it");
    f.store.delivery_sent(&again, "A").unwrap();
    // No answer for a while: it is asked again.
    assert_eq!(f.store.uncommitted("A", 1000 * SECOND).unwrap().len(), 1);
    f.clock.advance(WEEK + SECOND);
    assert!(f.store.uncommitted("A", SECOND).unwrap().is_empty(), "too old to ask");
}

#[test]
fn deliveries_of_an_earlier_version_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.sqlite");
    let mut old = rusqlite::Connection::open(&path).unwrap();
    rusqlite_migration::Migrations::from_slice(&super::super::STEPS[..2])
        .to_latest(&mut old)
        .unwrap();
    old.execute_batch(
        "INSERT INTO study (uid, first_at, last_at, state) VALUES ('1.1', 1, 1, 'settled');
         INSERT INTO inference (study_id, generation, model_digest, mode, outcome, partial,
             finished_at) VALUES (1, 1, '', 'assist', 'not_analysed', 0, 1);
         INSERT INTO destination (name, since_at) VALUES ('A', 1);
         INSERT INTO delivery (id, destination, study_id, inference_id, kind, state, attempts,
             next_at, last_error, at)
             VALUES (7, 'A', 1, 1, 'report', 'dead', 8, 3, 'no', 4),
                    (9, 'A', 1, 1, 'picture', 'sent', 0, 0, '', 5),
                    (10, 'B', 1, 1, 'report', 'dead', 8, 3, 'it rejected the message (Ó (x))', 4);
         INSERT INTO event (at, level, area, text) VALUES
             (4, 'error', 'send', 'given up; see page System: it rejected the message (Ó (x))')",
    )
    .unwrap();
    drop(old);
    let store = Store::open(&path, Arc::new(ManualClock::new(6))).unwrap();
    let kept = store.study_deliveries(1).unwrap();
    let kept: Vec<_> = kept.iter().map(|d| (d.id, d.kind.as_str(), d.state.as_str())).collect();
    assert_eq!(kept, [(7, "report", "dead"), (9, "picture", "sent"), (10, "report", "dead")]);
    let dead = store.dead_deliveries(10).unwrap();
    assert_eq!((dead[1].attempts, dead[1].last_error.as_str(), dead[1].at), (8, "no", 4));
    // What a receiver wrote is taken out of our words.
    assert_eq!(dead[0].last_error, "it rejected the message");
    assert_eq!(store.study_deliveries(1).unwrap()[2].said, "Ó (x)");
    let events = store.events(10).unwrap();
    assert!(events.iter().any(|e| e.text.ends_with("System: it rejected the message")));
    assert!(!events.iter().any(|e| e.text.contains('Ó')));
    let sent = || store.delivery_queues().unwrap()[0].sent;
    assert_eq!(sent(), 1);
    store.sql("UPDATE delivery SET state = 'sent' WHERE id = 7");
    assert_eq!(sent(), 2);
    store.sql("UPDATE delivery SET state = 'waiting' WHERE id = 9");
    assert_eq!(sent(), 1);
    store.sql("DELETE FROM delivery WHERE id = 7");
    assert_eq!(sent(), 0);
}

#[test]
fn a_database_of_the_first_version_is_brought_along() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.sqlite");
    let mut old = rusqlite::Connection::open(&path).unwrap();
    rusqlite_migration::Migrations::from_slice(&super::super::STEPS[..1])
        .to_latest(&mut old)
        .unwrap();
    old.execute_batch(
        "INSERT INTO study (uid, first_at, last_at, state) VALUES ('1.1', 1, 1, 'settled');
         INSERT INTO model (digest, name, folder, mode, installed_at)
             VALUES ('m', 'm', '', 'assist', 0);
         INSERT INTO inference (study_id, generation, model_digest, mode, outcome, acuity, partial,
             finished_at) VALUES (1, 1, 'm', 'assist', 'analysed', 'low', 0, 1)",
    )
    .unwrap();
    drop(old);
    let store = Store::open(&path, Arc::new(ManualClock::new(2))).unwrap();
    store.set_destinations(&[recipient("A", &Kind::ALL)]).unwrap();
    store.write(|tx| crate::store::decisions::recompute(tx, 1, 0)).unwrap();
    // The result was there before the archive.
    assert_eq!(store.begin_delivery("A").unwrap(), None);
    assert_eq!(store.delivery_queues().unwrap()[0].waiting, 0);
}
