use serde_json::{Value, json};

use super::{supersede, transaction, verdict};
use crate::command::{Answer, Status};
use crate::flag::{Finding, Flag, Model, Patient, Reader, Referral, Study};
use crate::manifest::{Manifest, Object};
use crate::push::Verdict;

fn flag() -> Flag {
    let finding = |label: &str, margin, probability| Finding {
        label: label.into(),
        name: label.replace('_', " "),
        margin,
        probability,
        acuity: "high".into(),
    };
    let referral = |service: &str, urgency: &str, findings: &[&str]| Referral {
        service: service.into(),
        urgency: urgency.into(),
        reason: format!("{service} should see it."),
        findings: findings.iter().map(|label| (*label).into()).collect(),
    };
    Flag {
        asked: true,
        patient: Patient {
            id: "P1".into(),
            name: "Okello^Grace^Ann^Dr=オケロ".into(),
            sex: "F".into(),
            birth_date: "19800229".into(),
            ..Patient::default()
        },
        study: Study {
            uid: "1.2.3".into(),
            accession: "A7".into(),
            date: "20260131".into(),
            analysed_ms: 1_769_850_000_000,
            ..Study::default()
        },
        acuity: "high".into(),
        referrals: vec![
            referral("neurosurgery", "emergency", &["brain_herniation", "left_out"]),
            referral("stroke_team", "soon", &[]),
        ],
        findings: vec![
            finding("brain_herniation", 2.5, Some(0.82)),
            finding("intracranial_haemorrhage", 1.25, None),
        ],
        model: Model {
            id: "edge-1".into(),
            sha256: "ab".repeat(32),
            software: "0.1.0".into(),
            rules_version: "1".into(),
            ..Model::default()
        },
        ..Flag::default()
    }
}

fn objects() -> Vec<Manifest> {
    let object = |class: &str, instance: &str| Object {
        sop_class: class.into(),
        sop_instance: instance.into(),
        ..Object::default()
    };
    let report = vec![object("1.2.840.10008.5.1.4.1.1.88.34", "2.25.1")];
    let picture = vec![object("1.2.840.10008.5.1.4.1.1.7", "2.25.2")];
    let slices = vec![object("1.2.840.10008.5.1.4.1.1.4", "1.2.3.4.5"); 3];
    let manifest = |series: &str, title: &str, objects| Manifest {
        study: "1.2.3".into(),
        series: series.into(),
        title: title.into(),
        objects,
    };
    vec![
        manifest("", "report", report),
        manifest("", "picture", picture),
        manifest("1.2.3.4", "T2 axial", slices),
    ]
}

fn made(flag: &Flag, answer: Option<&Answer>) -> Value {
    transaction("kitgum", flag, &objects(), answer)
}

/// All resources of a type.
fn of<'a>(bundle: &'a Value, kind: &str) -> Vec<&'a Value> {
    let entries = bundle["entry"].as_array().unwrap().iter();
    entries.map(|entry| &entry["resource"]).filter(|r| r["resourceType"] == kind).collect()
}

/// All values under this key, however deep.
fn under<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| under(item, key, found)),
        Value::Object(fields) => {
            found.extend(fields.get(key));
            fields.values().for_each(|field| under(field, key, found));
        }
        _ => {}
    }
}

fn statuses(bundle: &Value, kind: &str) -> Vec<String> {
    of(bundle, kind).iter().map(|r| r["status"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_entry_is_a_put_under_its_own_id() {
    let bundle = made(&flag(), None);
    let mut urls = Vec::new();
    for entry in bundle["entry"].as_array().unwrap() {
        let (kind, id) = (&entry["resource"]["resourceType"], &entry["resource"]["id"]);
        let (kind, id) = (kind.as_str().unwrap(), id.as_str().unwrap());
        assert_eq!(entry["request"], json!({"method": "PUT", "url": format!("{kind}/{id}")}));
        assert_eq!(entry["fullUrl"], format!("urn:uuid:{id}"));
        assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 5);
        urls.push(format!("{kind}/{id}"));
    }
    // Patient, study, device, two findings, report, two requests with their tasks, provenance.
    assert_eq!(urls.len(), 11, "{urls:?}");
    let mut found = Vec::new();
    under(&bundle, "reference", &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        assert!(urls.iter().any(|url| reference == url), "{reference} of {urls:?}");
    }
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), 11);
}

#[test]
fn the_same_input_gives_the_same_bytes_and_another_site_or_study_other_ids() {
    let text = |bundle: &Value| serde_json::to_string(bundle).unwrap();
    assert_eq!(text(&made(&flag(), None)), text(&made(&flag(), None)));
    let id = |site: &str, flag: &Flag, kind: &str| {
        of(&transaction(site, flag, &[], None), kind)[0]["id"].clone()
    };
    let mut other = flag();
    other.study.uid = "1.2.4".into();
    for kind in ["Patient", "ImagingStudy", "Observation", "ServiceRequest", "Task"] {
        assert_ne!(id("kitgum", &flag(), kind), id("kitgum", &other, kind), "{kind}");
        assert_ne!(id("kitgum", &flag(), kind), id("gulu", &flag(), kind), "{kind}");
    }
    assert_eq!(id("kitgum", &flag(), "Device"), id("kitgum", &other, "Device"));
    let mut twice = flag();
    twice.findings.push(twice.findings[0].clone());
    assert_eq!(of(&made(&twice, None), "Observation").len(), 2);
}

#[test]
fn findings_carry_a_probability_where_there_is_one_and_a_margin_always() {
    let bundle = made(&flag(), None);
    let [calibrated, other] = of(&bundle, "Observation")[..] else { panic!("two findings") };
    let value = &calibrated["valueQuantity"];
    assert_eq!((&value["value"], &value["code"]), (&json!(0.82), &json!("{0:1}")));
    assert_eq!(other.get("valueQuantity"), None);
    assert_eq!(other["component"][0]["valueQuantity"]["value"], 1.25);
    assert_eq!(other["status"], "preliminary");
    let ai = json!("AIAST");
    for kind in ["Observation", "DiagnosticReport", "ServiceRequest"] {
        for resource in of(&bundle, kind) {
            assert_eq!(resource["meta"]["security"][0]["code"], ai, "{resource}");
        }
    }
    let report = of(&bundle, "DiagnosticReport")[0];
    assert_eq!(report["result"].as_array().unwrap().len(), 2);
    assert_eq!(report["identifier"][0]["value"], "urn:oid:2.25.1");
    assert_eq!(report["effectiveDateTime"], "2026-01-31");
    assert_eq!(report["issued"], "2026-01-31T09:00:00Z");
    let conclusion = report["conclusion"].as_str().unwrap();
    assert!(conclusion.contains("brain herniation, intracranial haemorrhage"), "{conclusion}");
}

#[test]
fn the_study_has_its_series_and_the_provenance_its_objects() {
    let bundle = made(&flag(), None);
    let study = of(&bundle, "ImagingStudy")[0];
    assert_eq!(study["series"].as_array().unwrap().len(), 1);
    let series = &study["series"][0];
    assert_eq!((&series["uid"], &series["numberOfInstances"]), (&json!("1.2.3.4"), &json!(3)));
    assert_eq!(study["identifier"][0]["value"], "urn:oid:1.2.3");
    let targets = &of(&bundle, "Provenance")[0]["target"];
    assert_eq!(targets.as_array().unwrap().len(), 7, "{targets}");
    assert_eq!(targets[6]["identifier"]["value"], "urn:oid:2.25.2");
}

#[test]
fn requests_keep_the_order_of_urgency_and_their_reasons() {
    let bundle = made(&flag(), None);
    let requests = of(&bundle, "ServiceRequest");
    let priorities: Vec<_> = requests.iter().map(|request| &request["priority"]).collect();
    assert_eq!(priorities, ["stat", "urgent"]);
    // The report and one finding; the other is not in the flag.
    assert_eq!(requests[0]["reasonReference"].as_array().unwrap().len(), 2);
    assert_eq!(requests[0]["reasonCode"][0]["text"], "neurosurgery should see it.");
    let task = of(&bundle, "Task")[1];
    assert_eq!(
        task["focus"]["reference"],
        format!("ServiceRequest/{}", requests[1]["id"].as_str().unwrap())
    );
}

#[test]
fn an_answer_is_the_state_of_the_tasks() {
    for (status, task, request) in [
        (Status::Received, "requested", "active"),
        (Status::Accepted, "accepted", "active"),
        (Status::Declined, "rejected", "active"),
        (Status::Completed, "completed", "completed"),
    ] {
        let answer = Answer {
            status,
            by: "Dr Amara, neurosurgery".into(),
            note: "Send her.".into(),
            actions: vec!["Head up".into()],
            at_ms: 1_769_853_600_000,
            ..Answer::default()
        };
        let bundle = made(&flag(), Some(&answer));
        assert_eq!(statuses(&bundle, "Task"), [task, task]);
        assert_eq!(statuses(&bundle, "ServiceRequest"), [request, request]);
        let one = of(&bundle, "Task")[0];
        assert_eq!(one["note"][0]["text"], "Send her.");
        assert_eq!(one["output"][0]["valueString"], "Head up");
        assert_eq!(one["lastModified"], "2026-01-31T10:00:00Z");
    }
    assert_eq!(of(&made(&flag(), None), "Task")[0].get("note"), None);
}

#[test]
fn a_withdrawn_referral_is_revoked() {
    let withdrawn = Flag { asked: false, ..flag() };
    let bundle = made(&withdrawn, None);
    assert_eq!(statuses(&bundle, "ServiceRequest"), ["revoked", "revoked"]);
    assert_eq!(statuses(&bundle, "Task"), ["cancelled", "cancelled"]);
}

#[test]
fn what_is_no_longer_said_is_taken_back() {
    let reader = Reader { name: "Dr Ojok".into(), ..Reader::default() };
    let mut later = Flag { reader: Some(reader), ..flag() };
    later.findings.remove(0);
    later.referrals.remove(0);
    let earlier = made(&flag(), None);
    let bundle = supersede(&earlier, made(&later, None));
    assert_eq!(statuses(&bundle, "Observation"), ["preliminary", "entered-in-error"]);
    assert_eq!(statuses(&bundle, "ServiceRequest"), ["active", "revoked"]);
    assert_eq!(statuses(&bundle, "Task"), ["requested", "cancelled"]);
    assert_eq!(bundle["entry"].as_array().unwrap().len(), 11);
    // Also what was taken back before, in case that did not arrive; and nothing of what is back.
    let again = supersede(&bundle, made(&later, None));
    assert_eq!(again, bundle);
    let back = supersede(&bundle, earlier.clone());
    assert_eq!(back, earlier);
}

#[test]
fn a_pseudonym_has_no_name_and_no_birthday() {
    let mut hidden = flag();
    hidden.patient.pseudonym = true;
    hidden.patient.age_years = Some(45);
    let bundle = made(&hidden, None);
    let patient = of(&bundle, "Patient")[0];
    assert_eq!((patient.get("name"), patient.get("birthDate")), (None, None));
    assert_eq!(patient["identifier"][0]["type"]["coding"][0]["code"], "ANON");
    assert_eq!(patient["meta"]["security"][0]["code"], "PSEUDED");
    assert!(!bundle.to_string().contains("Okello"));
    let open = made(&flag(), None);
    let patient = of(&open, "Patient")[0];
    let name = json!({"family": "Okello", "given": ["Grace", "Ann"], "prefix": ["Dr"]});
    assert_eq!(patient["name"], json!([name]));
    assert_eq!(
        (&patient["birthDate"], &patient["gender"]),
        (&json!("1980-02-29"), &json!("female"))
    );
    assert_eq!(patient["identifier"][0]["value"], "P1");
}

#[test]
fn nothing_is_empty_whatever_a_site_sends() {
    let odd = Flag {
        findings: vec![Finding {
            label: "a \n b".into(),
            name: "\u{1}".into(),
            margin: f32::NAN,
            ..Finding::default()
        }],
        ..Flag::default()
    };
    let bundle = transaction("", &odd, &[], None);
    fn check(value: &Value) {
        match value {
            Value::Null => panic!("null"),
            Value::String(text) => assert!(!text.is_empty()),
            Value::Array(items) => {
                assert!(!items.is_empty());
                items.iter().for_each(check);
            }
            Value::Object(fields) => {
                assert!(!fields.is_empty());
                fields.values().for_each(check);
            }
            _ => {}
        }
    }
    check(&bundle);
    let code = &of(&bundle, "Observation")[0]["code"]["coding"][0];
    assert_eq!((&code["code"], code.get("display")), (&json!("a b"), None));
}

#[test]
fn an_answer_is_a_success_when_every_entry_is() {
    let answered = |statuses: [&str; 2]| {
        let entries = statuses.map(|status| json!({"response": {"status": status}}));
        json!({"resourceType": "Bundle", "entry": entries}).to_string()
    };
    assert_eq!(verdict(200, &answered(["201 Created", "200"])), Verdict::Taken);
    let why = "it refused an entry with status 412";
    assert_eq!(verdict(200, &answered(["201", "412"])), Verdict::refused(why, ""));
    let outcome = json!({"issue": [{"details": {"text": "gender is a list"}}]}).to_string();
    let why = "it refused with status 400";
    assert_eq!(verdict(400, &outcome), Verdict::refused(why, "gender is a list"));
    assert!(matches!(verdict(503, ""), Verdict::Silent(_)));
}

#[test]
fn a_study_full_of_findings_is_a_transaction_that_servers_take() {
    let mut flag = flag();
    let finding = flag.findings[0].clone();
    flag.findings = (0..52)
        .map(|i| Finding { label: format!("l{i}"), name: format!("name {i}"), ..finding.clone() })
        .collect();
    let referral = flag.referrals[0].clone();
    flag.referrals =
        (0..14).map(|i| Referral { service: format!("s{i}"), ..referral.clone() }).collect();
    let bundle = transaction("kilosa", &flag, &objects(), None);
    let entries = bundle["entry"].as_array().unwrap();
    assert!(entries.len() <= 50, "{} writes", entries.len());
    let report =
        entries.iter().find(|entry| entry["resource"]["resourceType"] == "DiagnosticReport");
    let conclusion = report.unwrap()["resource"]["conclusion"].as_str().unwrap();
    assert!(conclusion.contains("name 51"), "{conclusion}");
}
