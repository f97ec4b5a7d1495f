//! The pages as a browser gets them.

mod answers;
mod login;

use std::collections::HashMap;
use std::sync::Mutex;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use exchange::flag::{Finding, Flag, Model, Patient, Reader, Referral, Study};
use exchange::manifest::{Manifest, Object};
use exchange::offer::{MANIFEST, Part, Progress, Stage};
use exchange::row::Kind;
use exchange::telemetry::{Outcome, Telemetry};
use exchange::wire::{Hello, Request as Batch};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::accounts::{self, Role};
use crate::store::offers::Bundle;
use crate::store::outbound;
use crate::store::quality::{apply_outcome, apply_telemetry};
use crate::store::referrals::{apply_flag, apply_manifest, id};
use crate::store::testing::{self, Hands, NOW_MS};

const SCRIPT: &str = "<script>alert(1)</script>\" onload=\"x";
const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";

/// What a box sent as an object, by site and digest.
type Sent = Arc<Mutex<HashMap<(String, String), Vec<u8>>>>;

struct Hub {
    pages: Pages,
    clock: Arc<Hands>,
    sent: Sent,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Hub {
    /// With a user of each role, whose session's secret is the role's word.
    fn new() -> Self {
        let (store, clock) = testing::store();
        store.add_site("clinic", "Clinic by the lake").unwrap();
        for role in Role::ALL {
            store.add_account(role.word(), role, "no hash", "test").unwrap().unwrap();
            store.set_password(role.word(), "no hash", false, "test").unwrap().unwrap();
        }
        let sent = Sent::default();
        let blobs = Arc::clone(&sent);
        let hub = Self {
            pages: Pages {
                store,
                blobs: Arc::new(move |site: &str, sha256: &str| {
                    let key = (site.to_owned(), sha256.to_owned());
                    Ok(blobs.lock().unwrap().get(&key).cloned())
                }),
                clock: Arc::clone(&clock) as Arc<dyn Clock>,
                settings: Settings { host_names: vec!["hub.test".into()], ..Settings::default() },
            },
            clock,
            sent,
        };
        for role in Role::ALL {
            let digest = accounts::digest(role.word());
            hub.pages.store.open_session(role.word(), &digest, 1_000_000_000).unwrap();
        }
        hub
    }

    /// A system of the hospital refuses what is said of a study.
    fn refused_by(&self, destination: &str) {
        let store = &self.pages.store;
        store.set_outbound_destinations(&[(destination, outbound::Kind::Fhir)]).unwrap();
        store.write_for_tests(|tx| outbound::queue_flag(tx, "clinic", "1.2.3"));
        let job = store.begin_outbound(destination, Duration::ZERO).unwrap().unwrap();
        store.outbound_refused(&job, "it wants a birth date", "", None).unwrap();
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = pages_router(self.pages.clone()).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// A request from a page of ours, in the session of this secret.
    async fn ask(&self, method: &str, path: &str, secret: &str, form: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "hub.test")
            .header("origin", "https://hub.test")
            .header("cookie", format!("other=1; session={secret}"))
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    async fn page(&self, path: &str, role: Role) -> String {
        let answer = self.ask("GET", path, role.word(), "").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        answer.text()
    }

    fn flag(&self, flag: &Flag, seq: i64) -> String {
        let now_ms = self.clock.now_ms();
        self.pages.store.write_for_tests(|tx| apply_flag(tx, "clinic", flag, ("e", seq), now_ms));
        id("clinic", &flag.study.uid)
    }

    /// A manifest with one object, which is sent as well.
    fn object(&self, study: &str, title: &str, sha256: &str, file: Vec<u8>) {
        let object = Object {
            sop_class: SECONDARY_CAPTURE.into(),
            sop_instance: sha256.into(),
            sha256: sha256.into(),
            bytes: file.len() as u64,
        };
        let manifest = Manifest {
            study: study.into(),
            title: title.into(),
            objects: vec![object],
            ..Manifest::default()
        };
        self.pages
            .store
            .write_for_tests(|tx| apply_manifest(tx, "clinic", Kind::Objects, &manifest, NOW_MS));
        self.sent.lock().unwrap().insert(("clinic".into(), sha256.into()), file);
    }
}

fn flag(urgency: &str) -> Flag {
    Flag {
        asked: true,
        patient: Patient {
            id: "MRN-7".into(),
            name: "PHIRI^GRACE".into(),
            sex: "F".into(),
            age_years: Some(54),
            ..Patient::default()
        },
        study: Study { uid: "1.2.3".into(), ..Study::default() },
        acuity: "high".into(),
        referrals: vec![Referral {
            service: "neurosurgery".into(),
            urgency: urgency.into(),
            reason: "mass effect".into(),
            findings: vec!["glioma".into()],
        }],
        findings: vec![Finding {
            label: "glioma".into(),
            name: "Glioma".into(),
            margin: 1.25,
            probability: None,
            acuity: "high".into(),
        }],
        model: Model { id: "tiny".into(), ..Model::default() },
        reader: Some(Reader { name: "Dr B".into(), decision: "agrees".into(), at_ms: 1 }),
        partial: false,
    }
}

/// Replaces every text.
fn poison(value: &mut Value) {
    match value {
        Value::String(text) => SCRIPT.clone_into(text),
        Value::Array(values) => values.iter_mut().for_each(poison),
        Value::Object(fields) => fields.values_mut().for_each(poison),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[tokio::test]
async fn every_text_from_a_site_is_escaped() {
    let hub = Hub::new();
    let store = &hub.pages.store;
    store.add_site("clinic", SCRIPT).unwrap();
    let mut value = serde_json::to_value(flag("urgent")).unwrap();
    poison(&mut value);
    let id = hub.flag(&serde_json::from_value(value).unwrap(), 1);
    hub.object(SCRIPT, SCRIPT, SCRIPT, Vec::new());
    let telemetry = Telemetry {
        clock: SCRIPT.into(),
        model: SCRIPT.into(),
        finding_rates: [(SCRIPT.to_owned(), 0.5)].into(),
        ..Telemetry::default()
    };
    let outcome = |n: usize| Outcome {
        case: n.to_string(),
        outcome: "analysed".into(),
        vendor: SCRIPT.into(),
        ..Outcome::default()
    };
    store.write_for_tests(|tx| {
        apply_telemetry(tx, "clinic", &telemetry, NOW_MS)?;
        (0..9).try_for_each(|n| apply_outcome(tx, "clinic", &outcome(n), NOW_MS))
    });
    let metrics = hub.page("/metrics", Role::Admin).await;
    assert!(!metrics.contains("script"), "{metrics}");
    hub.refused_by(SCRIPT);
    let referral = format!("/referral/{id}");
    for (path, role) in [
        ("/", Role::Specialist),
        (referral.as_str(), Role::Specialist),
        ("/sites", Role::Admin),
        ("/quality", Role::Coordinator),
        ("/systems", Role::Admin),
    ] {
        let page = hub.page(path, role).await;
        let scripts: Vec<_> = page.match_indices("<script").collect();
        let ours = page.matches("<script src=\"/assets/refresh.js\"").count();
        assert_eq!(scripts.len(), ours, "{path}: {page}");
        assert!(!page.contains("\" onload"), "{path}: {page}");
        assert!(page.contains("alert(1)"), "{path} shows nothing of it: {page}");
    }
}

#[tokio::test]
async fn a_referral_says_what_it_rests_on() {
    let mut hub = Hub::new();
    hub.pages.settings.pacs_link = "https://pacs.test/viewer?study={study}".into();
    let id = hub.flag(&flag("emergency"), 1);
    let page = hub.page(&format!("/referral/{id}"), Role::Specialist).await;
    for text in [
        "PHIRI, GRACE",
        "54 y, female",
        "Clinic by the lake",
        "AI preview - not for diagnosis",
        "mass effect",
        "+1.25",
        "approved by nobody",
        "agrees",
        "href=\"https://pacs.test/viewer?study=1.2.3\"",
        "asks for neurosurgery (emergency)",
    ] {
        assert!(page.contains(text), "no {text:?} in {page}");
    }
    let looked = hub.pages.store.audit_rows(0, 99).unwrap().into_iter().next_back().unwrap();
    assert_eq!((looked.actor.as_str(), looked.action.as_str()), ("specialist", "referral.view"));
    let mut pseudonymous = flag("soon");
    pseudonymous.patient.pseudonym = true;
    hub.flag(&pseudonymous, 2);
    let page = hub.page(&format!("/referral/{id}"), Role::Specialist).await;
    assert!(!page.contains("pacs.test"), "its UID is none of the PACS's");
    let none = hub.ask("GET", "/referral/ab", "specialist", "").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_key_image_is_a_jpeg_or_nothing() {
    let hub = Hub::new();
    let id = hub.flag(&flag("soon"), 1);
    let [good, bad, gone, other] = ["a", "b", "c", "d"].map(|digit| digit.repeat(64));
    hub.object("1.2.3", "picture", &good, picture::tests::good());
    hub.object("1.2.3", "picture", &bad, b"<html>".to_vec());
    hub.object("1.2.3", "picture", &gone, vec![0]);
    hub.sent.lock().unwrap().remove(&("clinic".to_owned(), gone.clone()));
    hub.object("another study", "picture", &other, picture::tests::good());
    for (sha256, status) in [(&good, 200), (&bad, 415), (&gone, 404), (&other, 404)] {
        let path = format!("/referral/{id}/picture/{sha256}");
        let answer = hub.ask("GET", &path, "specialist", "").await;
        assert_eq!(answer.status.as_u16(), status, "{sha256}");
        if status == 200 {
            assert_eq!(answer.header("content-type"), "image/jpeg");
            assert!(answer.body.starts_with(&[0xFF, 0xD8, 0xFF]));
        }
    }
    let page = hub.page(&format!("/referral/{id}"), Role::Specialist).await;
    assert!(page.contains(&format!("src=\"/referral/{id}/picture/{good}\"")), "{page}");
    assert!(!page.contains(&other));
}

#[tokio::test]
async fn who_waits_too_long_stands_on_top_and_in_the_metrics() {
    let hub = Hub::new();
    hub.flag(&flag("emergency"), 1);
    hub.clock.forward(15 * 60_000);
    assert!(!hub.page("/", Role::Coordinator).await.contains("Overdue"));
    hub.clock.forward(8 * 60_000);
    let page = hub.page("/", Role::Coordinator).await;
    assert!(page.contains("1 without an answer beyond the limit"), "{page}");
    assert_eq!(page.matches("Overdue by 8 min").count(), 2, "on top and in its row");
    assert!(page.contains("waits 23 min of 15 min"), "{page}");
    let metrics = hub.page("/metrics", Role::Admin).await;
    for line in [
        "prima_hub_overdue_referrals{urgency=\"emergency\"} 1\n",
        "prima_hub_referrals{status=\"received\",urgency=\"emergency\"} 1\n",
        "prima_hub_backlog_rows{site=\"clinic\",priority=\"0\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(!metrics.contains("PHIRI") && !metrics.contains("1.2.3"), "{metrics}");
}

#[tokio::test]
async fn the_metrics_ask_for_their_token() {
    let mut hub = Hub::new();
    assert_eq!(hub.ask("GET", "/healthz", "", "").await.text(), "ok\n");
    hub.pages.settings.metrics_token = "a long word for once".into();
    assert_eq!(hub.ask("GET", "/metrics", "admin", "").await.status, StatusCode::UNAUTHORIZED);
    let with = |token: &str| {
        let request = Request::get("/metrics").header("host", "hub.test");
        let request = request.header("authorization", format!("Bearer {token}"));
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(hub.send(with("a long word")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(hub.send(with("a long word for once")).await.status, StatusCode::OK);
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let link = |link: &str| Settings { pacs_link: link.into(), ..Settings::default() };
    assert_eq!(link("").check(), Ok(()));
    assert_eq!(link("https://pacs/{study}").check(), Ok(()));
    for bad in ["javascript:alert({study})", "https://pacs/"] {
        assert_eq!(link(bad).check(), Err(SettingsError::PacsLink(bad.into())));
        assert_eq!(link(bad).pacs_link("1.2"), None);
    }
    let token = Settings { metrics_token: "short".into(), ..Settings::default() };
    assert_eq!(token.check(), Err(SettingsError::MetricsToken(5)));
}

#[tokio::test]
async fn what_a_system_refused_is_sent_again_when_the_administrator_says_so() {
    let hub = Hub::new();
    hub.refused_by("epic");
    let page = hub.page("/systems", Role::Coordinator).await;
    assert!(page.contains("it wants a birth date") && !page.contains("Send again"), "{page}");
    let form = "destination=epic";
    let refused = hub.ask("POST", "/systems", "coordinator", form).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let done = hub.ask("POST", "/systems", "admin", form).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    let page = hub.page("/systems", Role::Admin).await;
    assert!(!page.contains("it wants a birth date"), "{page}");
    let metrics = hub.page("/metrics", Role::Admin).await;
    for line in [
        "prima_hub_outbound_rows{destination=\"epic\",state=\"waiting\"} 1",
        "prima_hub_outbound_rows{destination=\"epic\",state=\"dead\"} 0",
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
}

#[tokio::test]
async fn the_fleet_page_says_how_far_an_offered_model_is_and_why_it_is_refused() {
    let hub = Hub::new();
    let store = &hub.pages.store;
    let bundle = Bundle {
        id: "edge-2".into(),
        sha256: "2".repeat(64),
        manifest_bytes: 1000,
        signature: String::new(),
        files: vec![Part { path: MANIFEST.into(), sha256: "2".repeat(64), bytes: 1000 }],
    };
    store.offer_model(&["clinic".into()], &bundle, "", "admin").unwrap();
    let says = |stage, here, why: &str| {
        let (sha256, why) = (bundle.sha256.clone(), why.to_owned());
        let offer = Some(Progress { sha256, stage, here, why, ..Progress::default() });
        let request = Batch { hello: Hello { offer, ..Hello::default() }, rows: Vec::new() };
        store.take("clinic", &request, 1000).unwrap().unwrap();
    };
    says(Stage::Coming, 430, "");
    let page = hub.page("/sites", Role::Coordinator).await;
    assert!(page.contains("<bdi>edge-2</bdi>: <bdi>43 % there</bdi>"), "{page}");
    let metrics = hub.page("/metrics", Role::Admin).await;
    let line = "prima_hub_offered_model_ratio{site=\"clinic\",stage=\"coming\"} 0.43\n";
    assert!(metrics.contains(line), "no {line} in {metrics}");
    assert!(!page.contains("Model refused"), "{page}");
    says(Stage::Refused, 0, &format!("not signed {SCRIPT}"));
    let page = hub.page("/sites", Role::Coordinator).await;
    assert!(page.contains("refused: not signed") && !page.contains(SCRIPT), "{page}");
    assert!(page.contains("Model refused"), "{page}");
}
