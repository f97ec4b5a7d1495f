mod hospital;
mod live;
mod login;
mod openapi;
mod quality;
mod slices;
mod trial;

use std::fmt::Write as _;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::accounts;
use crate::archive;
use crate::clock::ManualClock;
use crate::slices::tests::no_decoder;
use crate::store::assembly::Periods;
use crate::store::changes::Changes;
use crate::store::deliveries::{Kind, Recipient};
use crate::store::instances::{Arrival, SeriesFacts, StudyFacts};
use crate::store::jobs::Finished;
use crate::store::models::{Mode, Model};
use crate::store::priors::PriorElsewhere;

/// 2026-11-24 00:31 UTC.
const NOW: i64 = 1_795_480_260_000;
const FINDING: &str = "structural_mass_effect";
/// Secret of the session of Dr Ó, an administrator.
const ADMIN: &str = "secret of an administrator";

struct Site {
    web: Web,
    clock: Arc<ManualClock>,
    status: watch::Sender<Status>,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

impl Answer {
    fn location(&self) -> &str {
        self.headers.get("location").map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let store = Store::open(&folder.path().join("a.sqlite"), clock.clone()).unwrap();
        let store = Arc::new(store);
        let config = archive::Config::default();
        let archive = Archive::open(&folder.path().join("archive"), Arc::clone(&store), config);
        let receive = Receive {
            ae_title: "PRIMA".to_owned(),
            addresses: vec!["192.168.1.20".to_owned()],
            port: 11112,
            ..Receive::default()
        };
        let (status, receiver) =
            watch::channel(Status { at: NOW, started_at: NOW, receive, ..Status::default() });
        let web = Web {
            store,
            archive: Arc::new(archive.unwrap()),
            decoder: Arc::new(no_decoder()),
            slices: Arc::default(),
            status: receiver,
            poke: Arc::default(),
            caps: AgeCaps::default(),
            hosts: Arc::from(["triage.clinic".to_owned()]),
            settings: Arc::from("[site]\nname = \"<Clinic>\"\n"),
            gate: Gate::new(Some("1234-5678".to_owned())),
            live: Live::new(watch::channel(Changes::default()).1),
            niivue: None,
            encrypted: false,
            place: Place { root: folder.path().to_owned() },
        };
        let appliance = Self { web, clock, status, _folder: folder };
        appliance.web.store.add_first_user("Dr Ó", "no hash").unwrap();
        appliance.log_in_again();
        appliance
    }

    fn log_in_again(&self) {
        let (store, digest) = (&self.web.store, accounts::digest(ADMIN));
        let user = store.account("Dr Ó").unwrap().unwrap().user;
        store.close_session(&digest, "test").unwrap();
        store.open_session(&user, &digest, 36_000_000, "test").unwrap();
    }

    /// A study with one image, complete and due for analysis unless it is `receiving`.
    fn study(&self, name: &str, receiving: bool) -> i64 {
        let uid = format!("1.2.{name}");
        let arrival = Arrival {
            study: StudyFacts {
                uid: uid.clone(),
                patient_id: "MRN-7".to_owned(),
                patient_name: name.to_owned(),
                reason: "sudden headache".to_owned(),
                ..StudyFacts::default()
            },
            series: SeriesFacts { uid: format!("{uid}.1"), ..SeriesFacts::default() },
            sop_uid: format!("{uid}.1.1"),
            source: "scp SCANNER1".to_owned(),
            path: format!("{name}/1.dcm"),
            ..Arrival::default()
        };
        self.web.store.index(arrival).unwrap();
        if !receiving {
            let now = Periods { quiet: 0, after_release: 0, all_announced: 0, partial: 0 };
            self.web.store.complete_due(now).unwrap();
        }
        self.web.store.latest_studies(1).unwrap()[0]
    }

    /// Results go to archive PACS from now on.
    fn send_to_pacs(&self) {
        let pacs = Recipient { name: "PACS".to_owned(), kinds: Kind::ALL.to_vec() };
        self.web.store.set_destinations(&[pacs]).unwrap();
    }

    fn model(&self) -> Model {
        let model = Model {
            digest: "ab".repeat(32),
            name: "tiny".to_owned(),
            folder: "models/tiny".to_owned(),
            mode: Mode::Assist,
            installed_at: NOW,
            promoted_at: None,
            killed_at: None,
            context_encoder: "words".to_owned(),
            self_test: None,
            provenance: "random numbers".to_owned(),
        };
        self.web.store.install_model(&model, "test").unwrap();
        self.web.store.set_model_mode("tiny", Mode::Assist, "test").unwrap()
    }

    /// Analyses every study that is due; with mass effect, or with a reason against it.
    fn analyse(&self, not_analysed: Option<&str>) {
        let model = self.model();
        let assessment = serde_json::json!({
            "acuity": "high", "acuity_from": [{"source": "finding", "text": "mass effect"}],
            "findings": [{"label": FINDING, "name": "mass effect", "margin": 0.28,
                          "probability": null, "acuity": "high"}],
            "referrals": [{"service": "neurosurgery", "urgency": "emergency",
                           "reason": "Mass effect can lead to herniation.", "findings": [FINDING]}],
            "rules_version": "1", "rules_approver": "", "rules_sha256": "00",
            "withheld": [{"label": "structural_edema", "name": "edema",
                          "reason": "Too many false alarms here."}],
            "labels": {"version": "2", "date": "2026-11-29", "approver": "Dr Ó", "sha256": "01"},
        });
        let result = serde_json::json!({
            "schema_version": 1,
            "model": {"id": "tiny", "provenance": "untrained", "statement": "random numbers",
                      "intended_use": "Research use only.", "device": "cpu"},
            "series": [{"uid": "1.2.A.1", "number": 3, "name": "AX T1", "part": "b=1000", "plane": "axial",
                        "size_vox": [256, 256, 25], "patches": 448, "tokens": 334,
                        "remarks": [{"kind": "duplicate_slices", "count": 3}, {"kind": "from_later"}]}],
            "left_out": [
                {"series_number": 9, "name": "LOC", "files": 9, "reason": {"kind": "localiser"}},
                {"series_number": null, "name": "X", "files": 1, "reason": {"kind": "of_a_later_program"}}],
            "outcome": {"kind": "analysed", "scores": {"with_context": true, "diagnosis": [
                {"name": FINDING, "logit": 1.18, "margin": 0.28, "probability": null},
                {"name": "structural_edema", "logit": 9.0, "margin": 8.1, "probability": null},
                {"name": "spine_syrinx", "logit": 0.1, "margin": -0.8, "probability": null}]}},
        });
        while let Some(job) = self.web.store.next_job(Some(&model), None).unwrap() {
            let finished = Finished {
                not_analysed: not_analysed.map(str::to_owned),
                acuity: not_analysed.is_none().then_some("high"),
                device: "cpu".to_owned(),
                seconds: 3.2,
                result: not_analysed.is_none().then(|| result.to_string()),
                assessment: not_analysed.is_none().then(|| assessment.to_string()),
                measured: None,
            };
            self.web.store.finish_job(&job, Some(&model), &finished).unwrap();
        }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = router(self.web.clone()).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let text = String::from_utf8(to_bytes(body, 1 << 22).await.unwrap().to_vec()).unwrap();
        Answer { status: head.status, headers: head.headers, text }
    }

    async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).header("host", "192.168.1.20:8042");
        let request = request.header("cookie", format!("other=1; session={ADMIN}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, kind: &str, body: &str) -> Answer {
        let request = Request::post(path)
            .header("host", "192.168.1.20:8042")
            .header("origin", "http://192.168.1.20:8042")
            .header("cookie", format!("session={ADMIN}"))
            .header("content-type", kind);
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn form(&self, path: &str, body: &str) -> Answer {
        self.post(path, "application/x-www-form-urlencoded", body).await
    }

    async fn json(&self, path: &str, body: &str) -> Answer {
        self.post(path, "application/json", body).await
    }

    fn audit(&self) -> Vec<(String, String)> {
        let rows = self.web.store.audit_rows(0, 100).unwrap().into_iter();
        let coming = |action: &str| action.starts_with("user.") || action.starts_with("login.");
        rows.filter(|row| !coming(&row.action) && row.action != "study.view")
            .map(|row| (row.actor, row.action))
            .collect()
    }
}

/// What a person reads: no tags, single spaces.
fn read(html: &str) -> String {
    let body = html.split_once("<main").unwrap().1.split_once('>').unwrap().1;
    let body = body.split_once("</main>").unwrap().0;
    let mut text = String::new();
    let mut inside = false;
    for c in body.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                text.push(' ');
            }
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn check(answer: &Answer, status: u16, expected: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    let text = if answer.text.starts_with('{') { answer.text.clone() } else { read(&answer.text) };
    assert!(text.contains(expected), "expected {expected:?} in:\n{text}");
}

/// The message of an error page or of a JSON error.
fn refused(answer: &Answer, status: u16, expected: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    let message = if answer.text.starts_with('{') {
        answer.json()["error"]["message"].as_str().unwrap().to_owned()
    } else {
        answer.text.split_once("<p>").unwrap().1.split_once("</p>").unwrap().0.to_owned()
    };
    // In the page the first paragraph is that of the frame's header, which has a class.
    assert_eq!(message, expected);
}

#[tokio::test]
async fn an_empty_box_says_what_to_type_into_the_scanner() {
    let answer = Site::new().get("/").await;
    check(&answer, 200, "AE title PRIMA Address 192.168.1.20 Port 11112");
    assert!(answer.text.contains(r#"<meta http-equiv="refresh" content="20">"#));
    assert!(answer.text.contains("No model is in use"));
}

#[tokio::test]
async fn a_study_is_on_the_list_from_its_first_image() {
    let appliance = Site::new();
    appliance.study("Otieno^Grace", true);
    appliance.clock.advance(Duration::from_secs(300));
    let arriving = "… Acuity NOT YET Otieno, Grace receiving: 1 image so far 5 min ago";
    let answer = appliance.get("/").await;
    check(&answer, 200, arriving);
    check(&answer, 200, "All open 1 Urgent 0 Review 1 Not analysed 0 Done 0 Search");
    check(
        &answer,
        200,
        "Otieno, Grace age and sex unknown MRN-7 (no description) receiving: 1 image so far 5 min \
         ago 2026-11-24 00:31 UTC",
    );
    check(&appliance.get("/?queue=urgent").await, 200, "No urgent study is waiting.");
}

#[tokio::test]
async fn an_urgent_study_shows_what_it_is_and_where_it_should_go() {
    let appliance = Site::new();
    appliance.study("Otieno^Grace", false);
    appliance.analyse(None);
    appliance.clock.advance(Duration::from_secs(2 * 3600));
    appliance.log_in_again();
    let row = "▲ Acuity HIGH Otieno, Grace age and sex unknown MRN-7 (no description) analysed (1 \
               image) OVERDUE mass effect → neurosurgery: emergency 2 h ago";
    check(&appliance.get("/?queue=urgent").await, 200, row);
}

#[tokio::test]
async fn a_study_that_was_not_analysed_says_why() {
    let appliance = Site::new();
    appliance.study("A", false);
    appliance.analyse(Some("it shows KNEE"));
    let answer = appliance.get("/?queue=not_analysed").await;
    check(&answer, 200, "? Acuity UNKNOWN A age and sex unknown");
    check(&answer, 200, "not analysed (1 image) Not analysed: it shows KNEE");
    let answer = appliance.get("/study/1").await;
    check(&answer, 200, "Not analysed: it shows KNEE. Read this study without help of the model.");
}

#[tokio::test]
async fn the_study_page_explains_the_result() {
    let appliance = Site::new();
    appliance.study("Otieno^Grace", false);
    appliance.analyse(None);
    let answer = appliance.get("/study/1").await;
    for expected in [
        "This result is of an untrained model: the numbers are random and mean nothing.",
        "The model's acuity comes from: mass effect.",
        "score 1.18, threshold 0.90, margin +0.28. not judged here yet.",
        "syrinx: score 0.10, threshold 0.90, margin -0.80",
        "neurosurgery: emergency Mass effect can lead to herniation. Rules 1 (00), approved by \
         nobody at this site.",
        "Clinical context sent by the scanner",
        "The result shown has read a clinical context.",
        "3. AX T1 b=1000, axial, 256 × 256 × 25, 334 of 448 patches used 3 duplicate slice(s) \
         ignored from later",
        "9. LOC : localiser or calibration scan 9 files X : of a later program 1 file",
        "analysed by tiny on cpu in 3.2 s, with clinical context",
        "Model tiny (abababababab...) on cpu: random numbers. Research use only.",
        "Not reported at this site: edema. Too many false alarms here. All 2 scores",
    ] {
        check(&answer, 200, expected);
    }
    assert!(!answer.text.contains("edema: score"), "{}", answer.text);
}

#[tokio::test]
async fn decisions_are_taken_shown_audited_and_taken_back() {
    let appliance = Site::new();
    appliance.study("A", false);
    appliance.analyse(None);
    let answer = appliance.form("/study/1/decide", &format!("kind=agree&finding={FINDING}")).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/study/1"));
    let page = appliance.get("/study/1").await;
    check(&page, 200, "right 1 of 1 times here: PPV 100 % (95 % interval 21 to 100 %)");
    check(&page, 200, "web: Dr Ó agreed with mass effect, just now Take back");

    let undone = appliance.form("/study/1/undo", "decision=1").await;
    assert_eq!(undone.location(), "/study/1");
    let body = format!("kind=disagree&finding={FINDING}&choice=not+there&text=artefact");
    appliance.form("/study/1/decide", &body).await;
    appliance.form("/study/1/decide", "kind=reprioritise&acuity=low&text=stable").await;
    appliance.form("/study/1/decide", "kind=done").await;
    let page = appliance.get("/study/1").await;
    for expected in [
        "disagreed with mass effect: not there: artefact, by web: Dr Ó",
        "set acuity LOW: stable, by web: Dr Ó",
        "taken back by web: Dr Ó: agreed with mass effect",
        "Open again",
    ] {
        check(&page, 200, expected);
    }
    check(&appliance.get("/?queue=done").await, 200, "SET BY READER");
    let actions: Vec<_> = appliance.audit().into_iter().skip(2).collect();
    let by = |action: &str| ("web: Dr Ó".to_owned(), action.to_owned());
    assert_eq!(
        actions,
        [
            "decision.agree",
            "decision.undo",
            "decision.disagree",
            "decision.reprioritise",
            "study.done"
        ]
        .map(by)
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let appliance = Site::new();
    appliance.study("A", false);
    appliance.analyse(None);
    let get = async |path: &str, status: u16, expected: &str| {
        refused(&appliance.get(path).await, status, expected);
    };
    get("/nope", 404, "There is no page /nope.").await;
    get("/assets/x.js", 404, "There is no page /assets/x.js.").await;
    get("/study/99", 404, "There is no study 99.").await;
    get("/study/x", 400, "The number in the address is not a number.").await;
    get(
        "/?queue=x",
        400,
        "There is no queue &#34;x&#34;; there are urgent, review, not_analysed, done.",
    )
    .await;
    get("/api/v1/nope", 404, "there is no page /api/v1/nope").await;
    get("/api/v1/studies/99", 404, "there is no study 99").await;
    get("/api/v1/studies/1/results/9", 404, "study 1 has no result 9 that can be shown").await;
    get("/study/1/decide", 405, "This address cannot be used in this way.").await;
    let form = async |path: &str, body: &str, status: u16, expected: &str| {
        refused(&appliance.form(path, body).await, status, expected);
    };
    form("/study/99/decide", "kind=done", 404, "There is no study 99.").await;
    form("/study/1/decide", "kind=x", 400, "There is no decision &#34;x&#34;.").await;
    form("/study/1/decide", "kind=reprioritise&acuity=x&text=y", 400, "Choose an acuity.").await;
    let disagree = format!("kind=disagree&finding={FINDING}");
    form("/study/1/decide", &disagree, 400, "Give a reason in one or a few words.").await;
    form("/study/1/undo", "decision=7", 404, "There is no decision 7.").await;
    form("/study/99/context", "context=x", 404, "There is no study 99.").await;
    let long = format!("context={}", "x".repeat(4001));
    form("/study/1/context", &long, 400, "The context has 4001 characters; 4000 are the most.")
        .await;
    let huge = format!("context={}", "x".repeat(BODY_LIMIT));
    form("/study/1/context", &huge, 400, "The text is too long; 64 KiB are the most.").await;
    let json = async |path: &str, body: &str, status: u16, expected: &str| {
        refused(&appliance.json(path, body).await, status, expected);
    };
    json(
        "/api/v1/models/abababab/mode",
        r#"{"mode": "on"}"#,
        400,
        "there is no mode \"on\"; there are off, shadow, assist, killed, revived",
    )
    .await;
    json("/api/v1/decisions/7/undo", "", 404, "there is no decision 7").await;
}

#[tokio::test]
async fn foreign_names_and_foreign_pages_are_refused() {
    let appliance = Site::new();
    appliance.study("A", true);
    let send = async |host: &str, headers: &[(&str, &str)]| {
        let mut request = Request::post("/study/1/decide")
            .header("cookie", format!("session={ADMIN}"))
            .header("content-type", "application/x-www-form-urlencoded");
        if !host.is_empty() {
            request = request.header("host", host);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        appliance.send(request.body(Body::from("kind=done")).unwrap()).await
    };
    let foreign = "This was not sent from a page of this box; open the page again, or, from a \
                   program, send the header `Authorization: Bearer TOKEN`.";
    let ip = "192.168.1.20:8042";
    refused(&send(ip, &[]).await, 403, foreign);
    for origin in ["http://evil.example", "null", "http://192.168.1.20", "ftp://192.168.1.20:8042"]
    {
        refused(&send(ip, &[("origin", origin)]).await, 403, foreign);
        let both = [("origin", origin), ("sec-fetch-site", "same-origin")];
        refused(&send(ip, &both).await, 403, foreign);
    }
    refused(&send(ip, &[("sec-fetch-site", "cross-site")]).await, 403, foreign);
    refused(&send(ip, &[("sec-fetch-site", "same-site")]).await, 403, foreign);
    for host in ["evil.example", "", "triage.clinic.evil.example", "192.168.1.20.evil.example"] {
        let expected = format!(
            "This box is not known as &#34;{host}&#34;; open it by its IP address, or add the name \
             to `web.host_names` in its configuration."
        );
        let origin = format!("http://{host}");
        refused(&send(host, &[("origin", &origin)]).await, 421, &expected);
    }
    assert_eq!(appliance.audit(), []);
    for host in [ip, "[fe80::1]:8042", "localhost:8042", "Triage.Clinic", "127.0.0.1"] {
        let origin = format!("http://{host}");
        assert_eq!(send(host, &[("origin", &origin)]).await.status.as_u16(), 303, "{host}");
    }
    assert_eq!(send(ip, &[("sec-fetch-site", "same-origin")]).await.status.as_u16(), 303);
}

#[tokio::test]
async fn hostile_texts_are_only_texts() {
    let appliance = Site::new();
    let hostile = "<script>alert(1)</script>^\"'><img src=x>";
    appliance.study(hostile, false);
    appliance.analyse(Some("<b>why</b>"));
    appliance.form("/study/1/decide", "kind=reopen&text=<i>now</i>").await;
    appliance.web.store.note(crate::store::events::Level::Error, "receive", "<u>AE</u>").unwrap();
    let search = "/?search=%3Cscript%3E%22";
    for path in
        ["/", "/study/1", "/system", search, "/%3Cscript%3E", "/login?back=%22%3E%3Cscript%3E"]
    {
        let page = appliance.get(path).await.text;
        for tag in ["<script>", "<img src=x", "<b>", "<i>", "<u>"] {
            assert!(!page.contains(tag), "{tag} in {path}");
        }
    }
    let page = appliance.get("/study/1").await.text;
    assert!(page.contains("&#60;script&#62;alert(1)&#60;/script&#62;, &#34;&#39;&#62;"));
}

#[tokio::test]
async fn every_answer_has_the_headers() {
    let appliance = Site::new();
    for path in ["/", "/nope", "/assets/style.css", "/api/v1/system", "/healthz"] {
        let headers = appliance.get(path).await.headers;
        let mut text = String::new();
        for name in ["content-security-policy", "cache-control", "referrer-policy"] {
            writeln!(text, "{}", headers[name].to_str().unwrap()).unwrap();
        }
        assert_eq!(
            text,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
             connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri \
             'none'\nno-store\nsame-origin\n",
            "{path}"
        );
    }
    let style = appliance.get("/assets/style.css").await;
    assert_eq!(style.headers["content-type"], "text/css; charset=utf-8");
}

#[tokio::test]
async fn the_list_is_paged_and_searched() {
    let appliance = Site::new();
    for i in 0..120 {
        appliance.study(&format!("Name{i:03}"), true);
        appliance.clock.advance(Duration::from_secs(1));
    }
    let first = appliance.get("/").await;
    check(&first, 200, "1 to 50 of 120 Further down the list");
    check(&first, 200, "Latest arrivals");
    let last = appliance.get("/?queue=review&offset=100").await;
    check(&last, 200, "101 to 120 of 120 Earlier in the list");
    assert!(last.text.contains(r#"href="/?queue=review&#38;offset=50""#), "{}", last.text);
    check(&appliance.get("/?offset=500").await, 200, "All open 120");
    let found = appliance.get("/?search=name01").await;
    check(&found, 200, "1 to 10 of 10");
    assert!(!found.text.contains("http-equiv"));
    assert!(!found.text.contains("Latest arrivals"));
    check(&appliance.get("/?search=nobody").await, 200, "No study fits");
    let api = appliance.get("/api/v1/worklist?queue=review&offset=7&limit=2").await.json();
    let names: Vec<_> =
        api["rows"].as_array().unwrap().iter().map(|r| &r["patient_name"]).collect();
    assert_eq!(names, ["Name007", "Name008"]);
    assert_eq!(api["counts"]["review"], 120);
}

#[tokio::test]
async fn a_context_is_kept_and_scored_again() {
    let appliance = Site::new();
    appliance.study("A", false);
    appliance.analyse(None);
    let model = appliance.web.store.find_model("tiny").unwrap();
    assert_eq!(appliance.web.store.next_job(Some(&model), None).unwrap(), None);
    let answer = appliance.form("/study/1/context", "context=+fell%0D%0Afrom+a+tree+").await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/study/1#context"));
    let job = appliance.web.store.next_job(Some(&model), None).unwrap().unwrap();
    assert_eq!(job.context, "fell\nfrom a tree");
    // The analysis task was woken.
    appliance.web.poke.notified().await;
    check(&appliance.get("/study/1").await, 200, "Clinical context typed here");
    appliance.form("/study/1/context", "from_scanner=true").await;
    check(&appliance.get("/study/1").await, 200, "Clinical context sent by the scanner");
    assert_eq!(appliance.web.store.next_job(Some(&model), None).unwrap(), None);
}

#[tokio::test]
async fn a_killed_model_says_nothing() {
    let appliance = Site::new();
    appliance.study("A", false);
    appliance.analyse(None);
    let digest = "ab".repeat(32);
    let answer = appliance.form(&format!("/system/models/{digest}"), "kill=true").await;
    assert_eq!(answer.location(), "/system#models");
    check(&appliance.get("/system").await, 200, "assist, switched off since 2026-11-24 00:31 UTC");
    let page = appliance.get("/study/1").await;
    check(&page, 200, "looked at by tiny, which is switched off: its result is not shown");
    assert!(!read(&page.text).contains("score 1.18"));
    let hidden = "study 1 has no result 1 that can be shown";
    refused(&appliance.get("/api/v1/studies/1/results/1").await, 404, hidden);
    let path = format!("/api/v1/models/{digest}/mode");
    let revived = appliance.json(&path, r#"{"mode": "revived"}"#).await.json();
    assert_eq!(revived["model"]["killed_at"], Value::Null);
    check(&appliance.get("/study/1").await, 200, "score 1.18");
}

#[tokio::test]
async fn a_result_that_an_archive_refused_is_sent_again() {
    let appliance = Site::new();
    check(&appliance.get("/system").await, 200, "No archive or HL7 receiver is configured");
    appliance.send_to_pacs();
    appliance.study("A", false);
    appliance.analyse(None);
    check(&appliance.get("/system").await, 200, "PACS 0 sent, 1 waiting (oldest just now)");
    refused(
        &appliance.form("/system/deliveries/1", "").await,
        404,
        "No delivery 1 was given up; it may have been sent again already.",
    );
    let delivery = appliance.web.store.begin_delivery("PACS").unwrap().unwrap();
    let store = &appliance.web.store;
    store.delivery_refused(delivery.id, "it said no", "MRN7 is unknown", None).unwrap();
    check(&appliance.get("/system").await, 200, "Not taken 1 Study 1 for PACS : it said no");
    let said = "report not taken by PACS: it said no: MRN7 is unknown";
    check(&appliance.get("/study/1").await, 200, said);
    // What an archive writes may quote the patient, whom not everybody may see who sees the system.
    for path in ["/system", "/api/v1/system"] {
        assert!(!appliance.get(path).await.text.contains("MRN7"), "{path}");
    }
    let study = appliance.get("/api/v1/studies/1").await.json();
    assert_eq!(study["deliveries"][0]["said"], "MRN7 is unknown");
    let answer = appliance.form("/system/deliveries/1", "").await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/system#archives"));
    let again = appliance.json("/api/v1/deliveries/1/retry", "").await;
    assert_eq!(again.status.as_u16(), 404, "once is enough");
    let delivery = appliance.web.store.begin_delivery("PACS").unwrap().unwrap();
    appliance.web.store.delivery_sent(&delivery, "PACS").unwrap();
    check(&appliance.get("/study/1").await, 200, "report sent to PACS");
    let expected = [("web: Dr Ó", "result.retry"), ("PACS", "result.sent")];
    let expected = expected.map(|(actor, action)| (actor.to_owned(), action.to_owned()));
    assert!(appliance.audit().ends_with(&expected), "{:?}", appliance.audit());
}

#[tokio::test]
async fn prior_studies_of_the_patient_are_listed() {
    let appliance = Site::new();
    appliance.study("A", false);
    assert!(!appliance.get("/study/1").await.text.contains("Other studies"));
    appliance.study("B", false);
    appliance.analyse(None);
    check(&appliance.get("/study/2").await, 200, "Other studies with this patient ID");
    check(&appliance.get("/study/2").await, 200, "HIGH A, not read yet");
    appliance.form("/study/1/decide", "kind=done").await;
    check(&appliance.get("/study/2").await, 200, "HIGH A, read");
    let study = appliance.get("/api/v1/studies/2").await.json();
    assert_eq!(
        (&study["priors"][0]["id"], study["priors"].as_array().map(Vec::len)),
        (&Value::from(1), Some(1))
    );
    let prior = PriorElsewhere {
        uid: "1.9".to_owned(),
        study_date: "20250131".to_owned(),
        description: "Head".to_owned(),
        accession: "A9".to_owned(),
        modalities: vec!["CT".to_owned(), "SR".to_owned()],
        archive: "PACS".to_owned(),
        ..PriorElsewhere::default()
    };
    appliance.web.store.priors_found(2, &[prior]).unwrap();
    let said = "HIGH A, read 2025-01-31, Head, CT SR, Accession A9, in PACS";
    check(&appliance.get("/study/2").await, 200, said);
    let study = appliance.get("/api/v1/studies/2").await.json();
    assert_eq!(study["priors_elsewhere"][0]["uid"], "1.9");
}

#[tokio::test]
async fn programs_get_the_same() {
    let appliance = Site::new();
    appliance.study("A", false);
    appliance.analyse(None);
    let study = appliance.get("/api/v1/studies/1").await.json();
    assert_eq!(study["row"]["acuity"], "high");
    assert_eq!(study["study"]["results"][0]["model_name"], "tiny");
    let result = appliance.get("/api/v1/studies/1/results/1").await.json();
    assert_eq!(result["result"]["model"]["id"], "tiny");
    assert_eq!(result["assessment"]["referrals"][0]["service"], "neurosurgery");
    let body = format!(r#"{{"kind": "agree", "finding": "{FINDING}"}}"#);
    let decided = appliance.json("/api/v1/studies/1/decisions", &body).await;
    assert_eq!(decided.text, r#"{"decision":1}"#);
    let undone = appliance.json("/api/v1/decisions/1/undo", "").await;
    assert_eq!(undone.text, r#"{"study":1}"#);
    let again = appliance.json("/api/v1/decisions/1/undo", "").await;
    assert_eq!(
        (again.status.as_u16(), again.text.as_str()),
        (409, r#"{"error":{"code":"conflict","message":"decision 1 is undone already"}}"#)
    );
    let context = appliance.json("/api/v1/studies/1/context", r#"{"context": "fall"}"#).await;
    assert_eq!(context.text, "{}");
    let system = appliance.get("/api/v1/system").await.json();
    assert_eq!(system["status"]["receive"]["ae_title"], "PRIMA");
    assert_eq!(system["queues"]["urgent"], 1);
}

#[tokio::test]
async fn supervision_restarts_what_hangs_and_nothing_else() {
    let appliance = Site::new();
    let line =
        |name: &str, verdict| Check { name: name.to_owned(), verdict, said: "said so".to_owned() };
    let checks = vec![line("clock", Verdict::Good), line("disk", Verdict::Problem)];
    appliance.status.send_modify(|status| status.checks = checks);
    let healthy = appliance.get("/healthz").await;
    let body = r#"{"database":true,"healthy":true,"problems":["disk"],"tasks":true}"#;
    assert_eq!((healthy.status.as_u16(), healthy.text.as_str()), (200, body));
    let system = appliance.get("/system").await;
    check(&system, 200, "1 problem to deal with. Checks PROBLEM disk said so OK clock");
    appliance.clock.advance(Duration::from_secs(61));
    let hung = appliance.get("/healthz").await;
    let body = r#"{"database":true,"healthy":false,"problems":["disk"],"tasks":false}"#;
    assert_eq!((hung.status.as_u16(), hung.text.as_str()), (503, body));
    let said = "PROBLEM appliance the box has not looked at itself for 1 min; what stands below is \
                old. Restart it";
    check(&appliance.get("/system").await, 200, said);
}

#[tokio::test]
async fn settings_are_shown_as_text() {
    let answer = Site::new().get("/settings").await;
    check(&answer, 200, "Settings in force");
    assert!(answer.text.contains("name = &#34;&#60;Clinic&#62;&#34;"), "{}", answer.text);
}

#[tokio::test]
async fn prometheus_reads_what_the_page_says() {
    let appliance = Site::new();
    let check = Check {
        name: "a \"b\"\\c".to_owned(),
        verdict: Verdict::Problem,
        said: "said so".to_owned(),
    };
    let selection = SelectionNow {
        trained: "1".to_owned(),
        here: "our 7".to_owned(),
        difference: Some("otherwise".to_owned()),
    };
    appliance.status.send_modify(|status| {
        status.checks = vec![check];
        status.selection = Some(selection);
    });
    appliance.send_to_pacs();
    appliance.study("Patient", false);
    appliance.analyse(None);
    appliance.clock.advance(Duration::from_secs(90));
    let answer = appliance.get("/metrics").await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "# TYPE prima_worklist_studies gauge",
        "prima_worklist_studies{queue=\"urgent\"} 1",
        "prima_check{check=\"a \\\"b\\\"\\\\c\"} 2",
        "prima_deliveries{archive=\"PACS\",state=\"waiting\"} 1",
        "prima_oldest_delivery_seconds{archive=\"PACS\"} 90",
        "prima_running_seconds 90",
        "prima_status_age_seconds 90",
        "prima_models_killed 0",
        "prima_selection_differs{trained=\"1\",here=\"our 7\"} 1",
        "prima_last_image_age_seconds 90",
    ] {
        assert!(answer.text.lines().any(|said| said == line), "{line}:\n{}", answer.text);
    }
    assert!(!answer.text.contains("Patient") && !answer.text.contains("MRN"), "{}", answer.text);
}

#[tokio::test]
async fn a_panic_is_one_failed_page() {
    let failed = Router::new()
        .route("/api/panic", get(|| async { Err::<(), _>(panics()) }))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn_with_state(Site::new().web, error::render));
    let request = Request::get("/api/panic").body(Body::empty()).unwrap();
    let response = failed.oneshot(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 500);
    let body = to_bytes(response.into_body(), 4096).await.unwrap();
    let message = serde_json::from_slice::<Value>(&body).unwrap()["error"]["message"].clone();
    assert_eq!(message, error::INTERNAL);
}

fn panics() -> Error {
    panic!("on purpose")
}
