//! The page of the watch on scanners.

use super::*;
use crate::quality::chart::Chart;
use crate::quality::drift::Stream;
use crate::quality::{Evidence, Found};
use crate::store::quality::alarms::{Alarm, Kind, Looked, Raised};
use crate::store::users::Role;
use crate::web::language::Language;
use crate::web::quality::said;

fn evidence(name: &str, before: f64, now: f64) -> Evidence {
    Evidence {
        name: name.to_owned(),
        others: 0,
        since: NOW - 86_400_000,
        after: 1,
        before,
        now,
        psi: Some(0.413),
        software: None,
    }
}

impl Site {
    /// A study of scanner MR2 with a result, and a look at the scanner that raised two alarms.
    pub(super) fn watched(&self) {
        let arrival = Arrival {
            study: StudyFacts {
                uid: "1.3".to_owned(),
                station: "MR2".to_owned(),
                ..StudyFacts::default()
            },
            series: SeriesFacts { uid: "1.3.1".to_owned(), ..SeriesFacts::default() },
            sop_uid: "1.3.1.1".to_owned(),
            path: "3/1.dcm".to_owned(),
            ..Arrival::default()
        };
        let store = &self.web.store;
        store.index(arrival).unwrap();
        let now = Periods { quiet: 0, after_release: 0, all_announced: 0, partial: 0 };
        store.complete_due(now).unwrap();
        self.analyse(None);
        let model = "ab".repeat(32);
        let scanners = store.monitored_scanners(&model).unwrap();
        let scanner = scanners.iter().find(|scanner| scanner.name == "MR2").unwrap();
        let stream = Stream {
            kind: Kind::Input,
            name: "brightness".to_owned(),
            psi: Some(0.413),
            p: 0.00001,
            before: 1.0,
            now: 1.23,
            drifted: true,
        };
        let chart = Chart {
            reference: 0.1,
            usual: 0.139,
            noticed: 0.244,
            run_length: 5011.0,
            delay: 51.0,
            sum: 7,
            threshold: 31,
            studies: 100,
            alarm: None,
        };
        let found = Found {
            studies: [400, 400],
            streams: vec![stream],
            no_result: None,
            overrides: Some(chart),
        };
        let images = Evidence {
            software: Some(["A".to_owned(), "B".to_owned()]),
            others: 1,
            ..evidence("brightness", 1.0, 1.23)
        };
        let overrides = Evidence { psi: None, ..evidence("", 0.1, 0.4) };
        let raised = [(Kind::Input, images), (Kind::Override, overrides)];
        let raised = raised.map(|(kind, evidence)| Raised {
            kind,
            evidence: serde_json::to_string(&evidence).unwrap(),
        });
        let look = Looked {
            model_digest: model,
            scanner_id: scanner.id,
            upto: scanner.latest,
            found: serde_json::to_string(&found).unwrap(),
            raised: raised.to_vec(),
            patience: 100,
        };
        store.looked(&look).unwrap();
    }
}

const IMAGES: &str = "Since 2026-11-23 images of MR2 are 23 % brighter than before (PSI 0.41, above \
                      0.25; software B instead of A; 1 other figure too).";

#[tokio::test]
async fn an_alarm_says_what_to_do_on_both_pages_until_somebody_knows() {
    let appliance = Site::new();
    check(&appliance.get("/quality").await, 200, "No alarm is open.");
    appliance.watched();
    let advice = "Results for its studies may be wrong: ask the radiologist to read the next ten \
                  without the list, and tell support.";
    for page in ["/quality", "/system"] {
        check(&appliance.get(page).await, 200, &format!("{IMAGES} {advice}"));
    }
    let page = appliance.get("/quality").await;
    check(
        &page,
        200,
        "Since 2026-11-23 readers change 40 % of the results for MR2 instead of 10 %.",
    );
    check(&page, 200, "MR2 Watched. Last look: just now");
    check(
        &page,
        200,
        "Results that readers changed 10 % in the reference; up to 13.9 % is taken for usual, 24.4 % \
         shall be noticed. Sum 7, alarm at 31. One false alarm in 5011 studies on average; a real \
         change is noticed after 51 on average.",
    );
    check(&page, 200, "brightness (ratio) 1.00 1.23 0.41 &#60; 0.0001 DRIFTED");

    let empty = appliance.form("/quality/alarms/1", "reason=+").await;
    refused(&empty, 400, "Give a reason in one or a few words.");
    let known = appliance.form("/quality/alarms/1", "reason=new+software,+list+was+right").await;
    assert_eq!((known.status.as_u16(), known.location()), (303, "/quality#alarms"));
    let said = "Acknowledged just now by web: Dr Ó : new software, list was right";
    check(&appliance.get("/quality").await, 200, said);
    refused(
        &appliance.form("/quality/alarms/9", "reason=x").await,
        404,
        "There is no open alarm 9.",
    );
    let metrics = appliance.get("/metrics").await.text;
    for line in
        ["prima_quality_alarms{state=\"open\"} 1", "prima_quality_alarms{state=\"acknowledged\"} 1"]
    {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn metrics_tell_of_the_latest_look_with_the_model_in_force() {
    let appliance = Site::new();
    appliance.watched();
    let model = ModelNow { digest: "ab".repeat(32), ..ModelNow::default() };
    appliance.status.send_modify(|status| status.model = Some(model));
    let metrics = appliance.get("/metrics").await.text;
    for line in [
        "prima_drift_psi{scanner=\"MR2\",kind=\"input\"} 0.413",
        "prima_cusum{scanner=\"MR2\",event=\"override\"} 7",
        "prima_cusum_threshold{scanner=\"MR2\",event=\"override\"} 31",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn a_new_normal_is_declared_by_administrators_and_on_record() {
    let appliance = Site::new();
    appliance.watched();
    let service = appliance.web.store.add_user("sven", Role::Service, "no hash", "test").unwrap();
    let store = &appliance.web.store;
    store.set_password("sven", "no hash", false, "test").unwrap();
    store.open_session(&service, &accounts::digest("s"), 36_000_000, "test").unwrap();
    let scanner = store.alarms(0).unwrap()[0].scanner_id;
    let path = format!("/quality/scanners/{scanner}");
    let request = Request::post(&path)
        .header("host", "192.168.1.20:8042")
        .header("origin", "http://192.168.1.20:8042")
        .header("cookie", "session=s")
        .header("content-type", "application/x-www-form-urlencoded");
    let refused_one = appliance.send(request.body(Body::from("reason=x")).unwrap()).await;
    refused(
        &refused_one,
        403,
        "Your role here is service, which may not declare a new normal; ask the administrator of \
         this box.",
    );
    let body = "reason=the+list+was+right+in+ten+studies";
    assert_eq!(appliance.form(&path, body).await.location(), "/quality#scanners");
    let page = appliance.get("/quality").await;
    check(&page, 200, "No alarm is open.");
    check(&page, 200, "This was declared normal just now.");
    let audit = appliance.audit();
    assert_eq!(audit.last().unwrap(), &("web: Dr Ó".to_owned(), "quality.baseline".to_owned()));
    assert!(store.monitored_scanners(&"ab".repeat(32)).unwrap().iter().any(|s| s.after == 1));
}

/// Kind, quantity, and values before and now that are more and less.
const ALL: [(Kind, &str, f64, f64); 22] = [
    (Kind::Input, "brightness", 1.0, 1.5),
    (Kind::Input, "brightness", 1.0, 0.5),
    (Kind::Input, "contrast", 1.0, 1.5),
    (Kind::Input, "contrast", 1.0, 0.5),
    (Kind::Input, "noise", 1.0, 1.5),
    (Kind::Input, "noise", 1.0, 0.5),
    (Kind::Input, "foreground", 1.0, 1.5),
    (Kind::Input, "foreground", 1.0, 0.5),
    (Kind::Input, "slices", 1.0, 1.5),
    (Kind::Input, "slices", 1.0, 0.5),
    (Kind::Input, "slice_distance", 1.0, 1.5),
    (Kind::Input, "slice_distance", 1.0, 0.5),
    (Kind::Input, "tokens", 1.0, 1.5),
    (Kind::Input, "tokens", 1.0, 0.5),
    (Kind::Input, "series", 5.0, 3.5),
    (Kind::Input, "left_out", 1.0, 2.5),
    (Kind::Scores, "priority", 1.0, 1.5),
    (Kind::Scores, "age", 60.0, 50.5),
    (Kind::Scores, FINDING, -2.0, -1.0),
    (Kind::Scores, FINDING, -2.0, -3.0),
    (Kind::NoResult, "", 0.01, 0.2),
    (Kind::Override, "", 0.1, 0.4),
];

#[test]
fn every_alarm_is_one_sentence_in_every_language() {
    let alarm = |kind, evidence: String| Alarm {
        id: 1,
        kind,
        scanner_id: 1,
        scanner: "<MR2>".to_owned(),
        evidence,
        opened_at: NOW,
        seen_at: NOW,
        acknowledged_at: None,
        acknowledged_by: String::new(),
        reason: String::new(),
        closed_at: None,
        closed_how: None,
    };
    for language in Language::OFFERED {
        let mut all = std::collections::BTreeSet::new();
        for (kind, name, before, now) in ALL {
            let evidence = serde_json::to_string(&evidence(name, before, now)).unwrap();
            let said = said(&alarm(kind, evidence), language);
            for part in ["2026-11-23", "<MR2>", "PSI 0.41"] {
                assert!(said.contains(part), "{part} in {said}");
            }
            assert!(said.ends_with(['.', '।']), "{said}");
            assert_eq!(said.matches(". ").count() + said.matches("। ").count(), 0, "{said}");
            assert!(all.insert(said.clone()), "twice: {said}");
        }
        let unreadable = said(&alarm(Kind::Input, "{}".to_owned()), language);
        assert!(unreadable.contains("<MR2>"), "{unreadable}");
    }
    let of = |kind, evidence: &Evidence| {
        said(&alarm(kind, serde_json::to_string(evidence).unwrap()), Language::En)
    };
    assert_eq!(
        of(Kind::Input, &evidence("series", 5.0, 3.5)),
        "Since 2026-11-23 studies of <MR2> have 3.5 usable series on average instead of 5.0 (PSI \
         0.41, above 0.25)."
    );
    assert_eq!(
        of(Kind::Scores, &Evidence { others: 7, ..evidence(FINDING, -2.0, -1.0) }),
        "Since 2026-11-23 studies of <MR2> score higher for mass effect than before: -1.00 on \
         average instead of -2.00 (PSI 0.41, above 0.25; 7 other figures too)."
    );
    assert_eq!(
        of(Kind::NoResult, &Evidence { psi: None, ..evidence("", 0.01, 0.2) }),
        "Since 2026-11-23 20 % of the studies of <MR2> get no result instead of 1 %."
    );
}
