//! What is written when, in which order it goes out, what holds it up, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use exchange::command::{Answer, Command, Numbered, Status};
use exchange::courier::Terms;
use exchange::flag::Flag;
use exchange::row::{FLAG_BYTES, Priority};
use exchange::telemetry::{Outcome as StudyOutcome, Telemetry};
use exchange::wire::{Answered, Outcome, Rejection};
use models::labels::DIAGNOSES;
use serde_json::{Value, json};

use super::*;
use crate::clock::ManualClock;
use crate::store::decisions::{Decision, recompute};
use crate::store::explanations::ExplanationJob;
use crate::store::instances::{Arrival, SeriesFacts, StudyFacts};
use crate::triage::Acuity;
use crate::worklist::AgeCaps;

const SECOND: Duration = Duration::from_secs(1);
const ALL: Terms =
    Terms { lowest: Priority::Telemetry, rows: 100, bytes: 1 << 20, telemetry_first: false };
const FULL: HubProfile = HubProfile { identity: Identity::Full, series: SeriesSent::Referred };
const PSEUDONYM: HubProfile =
    HubProfile { identity: Identity::Pseudonym, series: SeriesSent::Referred };
const FINDING: &str = "structural_mass_effect";

struct Fixture {
    _folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Store,
}

impl Fixture {
    /// Studies 1 and 2 with an image each, and a hub.
    fn new(profile: &HubProfile) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_800_000_000_000));
        let store = Store::open(&folder.path().join("test.sqlite"), clock.clone()).unwrap();
        store.begin_run().unwrap();
        store.set_hub(Some(profile)).unwrap();
        let new = Self { _folder: folder, clock, store };
        new.image(1, 1);
        new.image(2, 1);
        new.store.sql(
            "INSERT INTO model (digest, name, folder, mode, installed_at)
             VALUES ('m', 'm', '', 'assist', 0)",
        );
        new
    }

    fn image(&self, study: i64, image: i64) {
        let arrival = Arrival {
            study: StudyFacts {
                uid: format!("1.840.{study}"),
                patient_id: format!("MRN-7700{study}"),
                patient_name: "Otieno^Grace".to_owned(),
                birth_date: "19310212".to_owned(),
                sex: "F".to_owned(),
                age: "095Y".to_owned(),
                accession: "ACC-5541".to_owned(),
                study_date: "20260713".to_owned(),
                description: "MR head Otieno".to_owned(),
                manufacturer: "SIEMENS Aera".to_owned(),
                ..Default::default()
            },
            series: SeriesFacts { uid: format!("1.840.{study}.1"), ..Default::default() },
            sop_uid: format!("1.840.{study}.1.{image}"),
            sop_class: "1.2".to_owned(),
            path: format!("{study}/{image}.dcm"),
            ..Default::default()
        };
        self.store.index(arrival).unwrap();
        self.store.sql("UPDATE study SET state = 'settled'");
    }

    /// A second later a result is there.
    fn result(&self, study: i64, generation: i64, assessment: &Value) {
        self.clock.advance(SECOND);
        self.store.write(|tx| self.write_result(tx, study, generation, assessment)).unwrap();
    }

    fn write_result(
        &self,
        tx: &Transaction<'_>,
        study: i64,
        generation: i64,
        assessment: &Value,
    ) -> Result<(), StoreError> {
        let now = self.store.clock().now();
        tx.execute(
            "INSERT INTO inference (study_id, generation, model_digest, mode, outcome, acuity,
               partial, finished_at, result, assessment)
             VALUES (?, ?, 'm', 'assist', 'analysed', 'high', 0, ?, ?, ?)",
            (
                study,
                generation,
                now,
                r#"{"model": {"id": "tiny", "intended_use": "Research."}}"#,
                assessment.to_string(),
            ),
        )?;
        recompute(tx, study, now)
    }

    /// What is due now, which is in flight then.
    fn take(&self) -> Vec<Row> {
        match self.store.outbox_due(&ALL).unwrap() {
            Due::Rows(rows) => rows,
            other => panic!("{other:?}"),
        }
    }

    fn settle(&self, rows: &[Row], outcome: &Outcome) {
        let answer = |row: &Row| Answered { key: row.key.clone(), outcome: outcome.clone() };
        let answers: Vec<_> = rows.iter().map(answer).collect();
        self.store.settle_rows(&answers, SECOND).unwrap();
    }

    /// Kind and study of every row, in order of their numbers.
    fn written(&self) -> Vec<String> {
        self.select("SELECT kind || ' ' || coalesce(study_id, '-') || ' ' || part FROM outbox")
    }

    fn states(&self) -> Vec<String> {
        self.select("SELECT kind || ' ' || state FROM outbox WHERE study_id = 1")
    }

    fn select(&self, sql: &str) -> Vec<String> {
        self.store
            .read(|db| {
                let mut query = db.prepare(&format!("{sql} ORDER BY seq"))?;
                let rows = query.query_map([], |row| row.get::<_, String>(0))?;
                Ok(rows.map(|text| text.map(|t| t.trim().to_owned())).collect::<Result<_, _>>()?)
            })
            .unwrap()
    }

    fn flags(&self, study: i64) -> Vec<Flag> {
        let bodies = self
            .select(&format!("SELECT body FROM outbox WHERE kind = 'flag' AND study_id = {study}"));
        bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
    }

    fn outcomes(&self) -> Vec<StudyOutcome> {
        let bodies = self.select("SELECT body FROM outbox WHERE kind = 'outcome'");
        bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
    }

    fn at_hub(&self) -> Option<AtHub> {
        self.store.worklist_row(1, &AgeCaps::default()).unwrap().unwrap().hub
    }

    fn syncing(&self) -> bool {
        self.store.standings().unwrap().iter().any(|s| s.study_id == 1 && s.syncing)
    }
}

/// With one referral for a finding, and so many other findings.
fn assessment(others: &[&str]) -> Value {
    let finding = |label: &str| {
        json!({"label": label, "name": label.replace('_', " "), "margin": 0.3,
               "probability": 0.75, "acuity": "high"})
    };
    let findings: Vec<_> =
        std::iter::once(&FINDING).chain(others).map(|label| finding(label)).collect();
    json!({
        "acuity": "high", "acuity_from": [], "findings": findings,
        "referrals": [{"service": "neurosurgery", "urgency": "emergency",
                       "reason": "Mass effect can lead to herniation.", "findings": [FINDING]}],
        "rules_version": "1", "rules_approver": "", "rules_sha256": "00",
    })
}

fn unremarkable() -> Value {
    let mut assessment = assessment(&[]);
    assessment["referrals"] = json!([]);
    assessment
}

fn rejected(code: Rejection) -> Outcome {
    Outcome::Rejected { code, reason: "no".to_owned() }
}

#[test]
fn a_result_is_written_with_all_that_follows_from_it() {
    let f = Fixture::new(&FULL);
    f.result(1, 1, &assessment(&[]));
    f.result(2, 1, &unremarkable());
    let expected = ["flag 1", "objects 1 report", "series 1 1.840.1.1", "outcome 1", "outcome 2"];
    assert_eq!(f.written(), expected);
    let flag = f.flags(1).remove(0);
    assert!(flag.asked);
    assert_eq!((flag.patient.name.as_str(), flag.patient.age_years), ("Otieno^Grace", Some(95)));
    assert_eq!((flag.acuity.as_str(), flag.referrals[0].urgency.as_str()), ("high", "emergency"));
    assert_eq!((flag.model.id.as_str(), flag.model.sha256.as_str()), ("tiny", "m"));
    assert_eq!(flag.study.analysed_ms - flag.study.arrived_ms, 1000);
    // The same once more is no news.
    f.store.write(|tx| queue(tx, 1, 0)).unwrap();
    assert_eq!(f.written(), expected);
    // Its explanation is.
    let job = ExplanationJob {
        study_id: 1,
        inference_id: 1,
        folder: String::new(),
        context: String::new(),
        finding: FINDING.to_owned(),
    };
    f.store.explained(&job, Ok(r#"{"region": [1]}"#.to_owned())).unwrap();
    assert_eq!(f.written()[5..], ["objects 1 picture", "objects 1 segmentation"]);
}

#[test]
fn without_a_hub_nothing_is_written() {
    let f = Fixture::new(&FULL);
    f.store.set_hub(None).unwrap();
    f.result(1, 1, &assessment(&[]));
    // What was there before the hub is not sent.
    f.clock.advance(SECOND);
    f.store.set_hub(Some(&FULL)).unwrap();
    f.store.decide(1, &Decision::Agree { finding: FINDING.to_owned() }, "Ada").unwrap();
    f.store.set_hub(None).unwrap();
    f.store.write_telemetry(&Telemetry::default()).unwrap();
    assert_eq!(f.written(), [""; 0]);
    assert_eq!((f.at_hub(), f.store.outbox_counts().unwrap()), (None, OutboxCounts::default()));
}

#[test]
fn a_transaction_that_fails_leaves_neither_result_nor_rows() {
    let f = Fixture::new(&FULL);
    let failed = f.store.write(|tx| {
        f.write_result(tx, 1, 1, &assessment(&[]))?;
        Err::<(), _>(StoreError::NotOpened)
    });
    assert!(failed.is_err());
    assert_eq!((f.store.rows("inference"), f.store.rows("outbox")), (0, 0));
}

#[test]
fn a_reader_takes_a_referral_back_and_gives_it_again() {
    let f = Fixture::new(&FULL);
    f.result(1, 1, &assessment(&["vascular_avm"]));
    let no = Decision::Disagree { finding: FINDING.to_owned(), reason: "artefact".to_owned() };
    let decision = f.store.decide(1, &no, "Ada").unwrap();
    // What nobody has looked at need not cross any more.
    assert_eq!(f.states(), ["flag pending", "outcome pending", "flag pending", "outcome pending"]);
    let flag = f.flags(1).remove(1);
    assert!(!flag.asked && flag.referrals.is_empty());
    assert_eq!(flag.findings.len(), 1, "the other one stays");
    let reader = flag.reader.unwrap();
    assert_eq!(reader.decision, format!("disagrees: {FINDING} (artefact)"));
    f.store.undo(decision, "Ada").unwrap();
    assert_eq!(f.flags(1).iter().map(|flag| flag.asked).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(f.written()[5..], ["objects 1 report", "series 1 1.840.1.1", "outcome 1"]);
    let reason = "old".to_owned();
    f.store.decide(1, &Decision::Reprioritise { acuity: Acuity::Low, reason }, "Ada").unwrap();
    let flag = f.flags(1).pop().unwrap();
    assert_eq!((flag.asked, flag.acuity.as_str()), (true, "low"));
    let outcome = f.outcomes().pop().unwrap();
    assert!(outcome.overridden && outcome.decision_s.is_some());
    assert_eq!((outcome.age_band.as_str(), outcome.vendor.as_str()), ("65+", "Siemens"));
}

#[test]
fn later_images_change_the_referral_and_failed_analyses_do_not() {
    let f = Fixture::new(&FULL);
    f.result(1, 1, &assessment(&[]));
    f.image(1, 2);
    f.store.sql(
        "INSERT INTO inference (study_id, generation, model_digest, mode, outcome, reason, partial,
           finished_at) VALUES (1, 2, 'm', 'assist', 'not_analysed', 'it shows KNEE', 0, 1)",
    );
    f.store.write(|tx| recompute(tx, 1, 0)).unwrap();
    assert_eq!(f.flags(1).len(), 1, "nobody has said that the patient is well");
    f.result(1, 3, &unremarkable());
    assert!(!f.flags(1)[1].asked);
    f.result(1, 4, &assessment(&[]));
    assert!(f.flags(1)[2].asked);
    // The series is sent whole, and the report of the result that holds.
    let left = f.written();
    assert!(left.contains(&"series 1 1.840.1.1".to_owned()), "{left:?}");
    let images = "SELECT CAST(images AS TEXT) FROM outbox WHERE kind = 'series'";
    assert_eq!(f.select(images), ["2"]);
    let results = "SELECT CAST(inference_id AS TEXT) FROM outbox WHERE kind = 'objects'";
    assert_eq!(f.select(results), ["4"]);
}

#[test]
fn urgent_rows_go_first_and_a_study_waits_for_its_own() {
    let f = Fixture::new(&FULL);
    f.result(1, 1, &assessment(&[]));
    f.result(2, 1, &assessment(&[]));
    f.store.decide(1, &Decision::Agree { finding: FINDING.to_owned() }, "Ada").unwrap();
    let rows = f.take();
    let kinds: Vec<_> = rows.iter().map(|row| (row.kind, row.study.as_str())).collect();
    // The second flag and outcome of study 1 wait for the first.
    let outcome = (Kind::Outcome, "");
    assert_eq!(kinds, [(Kind::Flag, "1.840.1"), (Kind::Flag, "1.840.2"), outcome, outcome]);
    assert!(rows.iter().all(Row::is_intact));
    assert_eq!(f.store.outbox_due(&ALL).unwrap(), Due::Nothing(None));
    f.settle(&rows[..1], &Outcome::Stored);
    assert_eq!(f.take()[0].key.seq, 9, "the second flag of study 1");
    f.settle(&rows[1..2], &Outcome::Duplicate);
    let Due::Unsealed(row) = f.store.outbox_due(&ALL).unwrap() else { panic!() };
    let report = crate::store::deliveries::Kind::Report;
    assert_eq!(row.parcel, Parcel::Object { inference_id: 1, kind: report });
    // Without results telemetry does not go either.
    f.settle(&rows[2..], &Outcome::Stored);
    let flags = Terms { lowest: Priority::Flag, ..ALL };
    assert_eq!(f.store.outbox_due(&flags).unwrap(), Due::Nothing(None));
    let first = Terms { telemetry_first: true, ..ALL };
    let Due::Rows(rows) = f.store.outbox_due(&first).unwrap() else { panic!() };
    assert_eq!(rows[0].kind, Kind::Outcome);
}

#[test]
fn limits_of_a_batch_hold() {
    let f = Fixture::new(&FULL);
    f.result(1, 1, &assessment(&[]));
    f.result(2, 1, &assessment(&[]));
    let take = |terms: Terms| {
        let Due::Rows(rows) = f.store.outbox_due(&terms).unwrap() else { panic!() };
        f.store.rows_interrupted().unwrap();
        rows.len()
    };
    assert_eq!(take(Terms { rows: 1, ..ALL }), 1);
    assert_eq!(take(Terms { bytes: 1, ..ALL }), 1, "the first row may be longer");
    assert_eq!(take(ALL), 4);
}

#[test]
fn a_dead_row_holds_its_study_up_and_later_flags_pass() {
    let f = Fixture::new(&FULL);
    f.result(1, 1, &assessment(&[]));
    let rows = f.take();
    f.settle(&rows[..1], &rejected(Rejection::Fork));
    f.settle(&rows[1..], &Outcome::Stored);
    assert_eq!(f.store.outbox_due(&ALL).unwrap(), Due::Nothing(None));
    let hub = f.at_hub().unwrap();
    assert_eq!((hub.flag, hub.dead), (FlagState::Dead, 1));
    assert!(hub.why.contains("two boxes use one identity"), "{}", hub.why);
    assert!(f.store.events(1).unwrap()[0].text.contains("is given up"));
    f.store.decide(1, &Decision::Agree { finding: FINDING.to_owned() }, "Ada").unwrap();
    let later = f.take();
    assert_eq!(later[0].kind, Kind::Flag);
    f.settle(&later, &Outcome::Stored);
    assert_eq!(f.at_hub().unwrap().flag, FlagState::There);
    assert_eq!(f.store.outbox_due(&ALL).unwrap(), Due::Nothing(None), "the others wait");
    // A late answer changes nothing; a person does.
    f.settle(&rows[..1], &Outcome::Later { reason: String::new() });
    let dead = f.store.dead_rows(10).unwrap();
    assert_eq!((dead.len(), dead[0].seq, dead[0].study_id), (1, rows[0].key.seq, Some(1)));
    assert!(f.store.retry_row(rows[0].key.seq, "Ada").unwrap());
    assert!(!f.store.retry_row(rows[0].key.seq, "Ada").unwrap());
    assert_eq!(f.take(), rows[..1], "the same bytes");
}

#[test]
fn what_is_refused_for_now_waits() {
    let f = Fixture::new(&FULL);
    f.result(1, 1, &unremarkable());
    let rows = f.take();
    f.settle(&rows, &Outcome::Later { reason: "busy".to_owned() });
    let at = f.store.clock().now() + 1000;
    assert_eq!(f.store.outbox_due(&ALL).unwrap(), Due::Nothing(Some(at)));
    f.clock.advance(SECOND);
    assert_eq!(f.take(), rows);
    f.store.row_failed(rows[0].key.seq, "too large", None).unwrap();
    assert_eq!(f.states(), ["outcome dead"]);
}

#[test]
fn a_start_puts_back_what_was_in_flight() {
    let f = Fixture::new(&FULL);
    f.result(1, 1, &unremarkable());
    let rows = f.take();
    assert_eq!(f.states(), ["outcome in_flight"]);
    f.store.set_hub(Some(&FULL)).unwrap();
    assert_eq!(f.take(), rows);
    // A restored copy of the database is another one; what was sealed stays what it is.
    f.store.sql("UPDATE property SET value = 'other' WHERE name = 'epoch'");
    f.store.rows_interrupted().unwrap();
    assert_eq!(f.take(), rows);
    f.result(2, 1, &unremarkable());
    assert_eq!(f.take()[0].key.epoch, "other");
}

fn referral(number: i64, study: &str, status: Status) -> Numbered {
    let answer = Answer {
        study: study.to_owned(),
        status,
        by: "Dr Mwangi".to_owned(),
        note: "Send her today.".to_owned(),
        actions: vec!["dexamethasone".to_owned()],
        at_ms: 5,
    };
    Numbered { number, command: Command::Referral(answer) }
}

#[test]
fn commands_are_carried_out_once() {
    let f = Fixture::new(&FULL);
    f.result(1, 1, &assessment(&[]));
    let seen = f.store.latest_change().unwrap();
    let accepted = referral(1, "1.840.1", Status::Accepted);
    f.store.obey(std::slice::from_ref(&accepted)).unwrap();
    assert!(f.store.latest_change().unwrap() > seen, "pages that are open hear of it");
    let completed = referral(2, "1.840.1", Status::Completed);
    f.store.obey(&[accepted, completed, referral(3, "1.9", Status::Accepted)]).unwrap();
    assert_eq!((f.store.rows("referral_answer"), f.store.hub_hello().unwrap().cursor), (2, 3));
    let answer = f.at_hub().unwrap().answer.unwrap();
    assert_eq!((answer.status.as_str(), answer.by.as_str()), ("completed", "Dr Mwangi"));
    assert_eq!((answer.note.as_str(), answer.actions.len()), ("Send her today.", 1));
    let offer = Command::ModelOffer {
        id: "tiny 2".to_owned(),
        sha256: "ab".repeat(32),
        bytes: 9,
        note: String::new(),
        manifest_bytes: 0,
        signature: String::new(),
    };
    f.store.obey(&[Numbered { number: 4, command: offer }]).unwrap();
    assert!(f.store.events(1).unwrap()[0].text.contains("tiny 2"));
}

#[test]
fn the_hub_releases_only_what_it_switched_off() {
    let f = Fixture::new(&FULL);
    f.result(1, 1, &assessment(&[]));
    let switch = |number, on| {
        let command = Command::KillSwitch { on, reason: "drift".to_owned() };
        f.store.obey(&[Numbered { number, command }]).unwrap();
        f.store.models().unwrap()[0].killed_at.is_some()
    };
    assert!(switch(1, true));
    assert!(!f.flags(1).pop().unwrap().asked, "what a killed model said does not count");
    assert!(!switch(2, false));
    assert!(f.flags(1).pop().unwrap().asked);
    f.store.kill_model("m", true, "Ada").unwrap();
    assert!(switch(3, false));
    let actors: Vec<_> = f.store.audit_rows(0, 100).unwrap().into_iter().map(|r| r.actor).collect();
    assert_eq!(actors, ["hub", "hub", "Ada"]);
}

#[test]
fn a_pseudonym_tells_nothing_and_leads_back() {
    let f = Fixture::new(&PSEUDONYM);
    f.result(1, 1, &assessment(&[]));
    let reason = "Grace Otieno moved".to_owned();
    f.store.decide(1, &Decision::Disagree { finding: FINDING.to_owned(), reason }, "Ada").unwrap();
    // DICOM objects carry the patient's name.
    assert_eq!(f.written(), ["flag 1", "outcome 1", "flag 1", "outcome 1"]);
    let flag = f.flags(1).remove(0);
    // Random digits may be any; what they stand for is not among them.
    let case = f.outcomes().remove(0).case;
    let pseudonyms = [&flag.study.uid, &flag.patient.id, &case];
    for mut told in f.select("SELECT study || ' ' || body FROM outbox") {
        for pseudonym in pseudonyms {
            told = told.replace(pseudonym.as_str(), "");
        }
        for secret in
            ["1.840", "MRN", "7700", "Otieno", "Grace", "1931", "ACC", "5541", "202607", "95"]
        {
            assert!(!told.contains(secret), "{secret} in {told}");
        }
    }
    assert_eq!((flag.patient.id.len(), flag.patient.age_years), (16, Some(90)));
    assert!(flag.study.uid.starts_with("2.25.") && flag.study.uid.len() <= 64);
    f.store.obey(&[referral(1, &flag.study.uid, Status::Declined)]).unwrap();
    assert_eq!(f.at_hub().unwrap().answer.unwrap().status, "declined");
    // Under another profile what waits is written anew.
    f.store.set_hub(Some(&FULL)).unwrap();
    assert_eq!(f.flags(1).len(), 0, "nobody is asked, and the hub knows nothing of the study");
}

#[test]
fn a_flag_with_every_finding_is_short_enough() {
    let f = Fixture::new(&FULL);
    let others: Vec<&str> = DIAGNOSES.into_iter().filter(|label| *label != FINDING).collect();
    f.result(1, 1, &assessment(&others));
    let body = f.select("SELECT body FROM outbox WHERE kind = 'flag'").remove(0);
    assert!(body.len() <= FLAG_BYTES, "{}", body.len());
    let flag: Flag = serde_json::from_str(&body).unwrap();
    assert_eq!(flag.findings[0].label, FINDING, "the most acute stay");
}

#[test]
fn images_stay_until_the_hub_has_them_or_nobody_sends_them() {
    let f = Fixture::new(&FULL);
    assert!(!f.syncing());
    f.result(1, 1, &assessment(&[]));
    assert!(f.syncing());
    f.store.set_hub(None).unwrap();
    assert!(!f.syncing(), "there is no hub");
    f.store.set_hub(Some(&FULL)).unwrap();
    f.store.sql("UPDATE outbox SET state = 'acknowledged' WHERE kind = 'objects'");
    assert!(f.syncing());
    f.store.sql("UPDATE outbox SET state = 'dead' WHERE kind = 'series'");
    assert!(!f.syncing());
}

#[test]
fn telemetry_says_what_the_database_knows() {
    let f = Fixture::new(&FULL);
    f.store.kill_model("m", true, "Ada").unwrap();
    f.store.kill_model("m", false, "Ada").unwrap();
    f.result(1, 1, &assessment(&[]));
    f.store.write_telemetry(&Telemetry { disk_percent: 40, ..Telemetry::default() }).unwrap();
    let bodies = f.select("SELECT body FROM outbox WHERE study_id IS NULL");
    let telemetry: Telemetry = serde_json::from_str(&bodies[0]).unwrap();
    assert_eq!((telemetry.disk_percent, telemetry.studies), (40, 2));
    assert_eq!((telemetry.model.as_str(), telemetry.backlog), ("m", [1, 1, 1, 1]));
    assert_eq!(telemetry.finding_rates.get(FINDING), Some(&1.0));
    assert!(bodies[1].starts_with(r#"{"seq":2,"hash":""#), "{}", bodies[1]);
    f.store.write_telemetry(&Telemetry::default()).unwrap();
    let bodies = f.select("SELECT body FROM outbox WHERE study_id IS NULL");
    assert_eq!(serde_json::from_str::<Telemetry>(&bodies[2]).unwrap().studies, 0);
}

#[test]
fn looking_for_what_is_due_walks_past_nothing_that_was_sent() {
    let f = Fixture::new(&FULL);
    let plan = f.store.read(|db| {
        let mut query = db.prepare(&format!("EXPLAIN QUERY PLAN {}", sending::DUE))?;
        let rows = query.query_map((0, 0), |row| row.get::<_, String>(3))?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?.join("\n"))
    });
    let plan = plan.unwrap();
    for index in ["outbox_open (priority=?", "outbox_before (study_id=?"] {
        assert!(plan.contains(index), "{plan}");
    }
    assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
}
