//! The state of the box: one page that a technologist can read to support over the telephone.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Form, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::language::{Language, Sentence};
use super::quality::{AlarmView, open_alarms};
use super::who::Who;
use super::words;
use super::worklist::{self, Moment};
use super::{Check, Error, Frame, Status, Verdict, Web, html};
use crate::accounts::Right;
use crate::hub::task::{Doing, HubNow};
use crate::store::deliveries::{DeliveryView, Queue as Deliveries};
use crate::store::models::{Mode, Model};
use crate::store::outbox::OutboxView;
use crate::store::views::BoxView;
use crate::worklist::Queue;

/// Rows of the lists.
const ROWS: usize = 20;
/// Results that were given up; each waits for a person, so that more are shown of them.
const DEAD: i64 = 100;
/// A snapshot older than this means that the daemon's tasks hang. It is published every few
/// seconds.
const STALE_MS: i64 = 60_000;
/// A clock that differs from the hub's by a minute shows in the times of answers, milliseconds.
const CLOCKS_DIFFER: i64 = 60_000;

#[derive(Template)]
#[template(path = "system.html")]
struct Page {
    frame: Frame,
    verdict: Verdict,
    headline: Sentence,
    checks: Vec<Check>,
    receive: Receive,
    senders: Vec<Line>,
    queues: Vec<(Sentence, i64)>,
    alarms: Vec<AlarmView>,
    view: BoxView,
    models: Vec<ModelView>,
    quarantine: Vec<Line>,
    commitments: Vec<Line>,
    archives: Vec<Archive>,
    hub: Option<Hub>,
    undelivered: Vec<Undelivered>,
    unsent: Vec<Unsent>,
    events: Vec<Line>,
    now: String,
    running: String,
}

struct Receive {
    now: super::Receive,
    associations: Vec<Line>,
}

/// An archive or receiver that results are sent to.
struct Archive {
    queue: Deliveries,
    oldest: Option<Moment>,
}

/// The way to the referral hospital.
struct Hub {
    /// `None` where sticks are the only one.
    link: Option<Link>,
    counts: Sentence,
    oldest: Option<Moment>,
}

/// The link to the hub.
struct Link {
    host: String,
    site: String,
    state: Sentence,
    class: &'static str,
    why: String,
    since: Moment,
    contact: Option<Moment>,
    clock: Option<Sentence>,
    speed: Sentence,
    images: bool,
}

/// A result that was given up.
struct Undelivered {
    view: DeliveryView,
    at: Moment,
}

/// A message for the referral hospital that was given up.
struct Unsent {
    view: OutboxView,
    what: Sentence,
    at: Moment,
}

/// Something that happened.
struct Line {
    at: Moment,
    /// Name of its style.
    class: String,
    head: String,
    text: String,
}

struct ModelView {
    model: Model,
    mode: Sentence,
    installed: String,
    killed: Option<Moment>,
    self_test: Sentence,
}

/// Shows the page.
pub(super) async fn page(
    State(web): State<Web>,
    who: Who,
    uri: Uri,
    words: Language,
) -> Result<Response, Error> {
    let frame = Frame::new(&web, &who, &uri, words, "system");
    web.store(move |web| html(&read(web, frame)?)).await
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    settings: Arc<str>,
}

/// Shows the settings in force. They are changed in their file, which the page says.
pub(super) async fn settings(
    State(web): State<Web>,
    who: Who,
    uri: Uri,
    words: Language,
) -> Result<Response, Error> {
    let frame = Frame::new(&web, &who, &uri, words, "system");
    html(&SettingsPage { frame, settings: Arc::clone(&web.settings) })
}

#[expect(clippy::too_many_lines, reason = "one field of the page after the other")]
fn read(web: &Web, frame: Frame) -> Result<Page, Error> {
    let (now, words, status) = (web.now(), frame.words, web.status.borrow().clone());
    let (view, counts) = (web.store.box_view(ROWS)?, web.store.queue_counts()?);
    let line = |at, class: &str, head: String, text: String| Line {
        at: Moment::new(at, now, words),
        class: class.to_owned(),
        head,
        text,
    };
    let checks = checks(&status, now, words);
    let verdict = checks.iter().map(|c| c.verdict).max().unwrap_or(Verdict::Good);
    Ok(Page {
        headline: headline(&checks, words),
        verdict,
        senders: view
            .senders
            .iter()
            .map(|s| line(s.last_at, "", s.source.clone(), words::images(s.images, words)))
            .collect(),
        receive: Receive {
            associations: status
                .receive
                .associations
                .iter()
                .map(|a| {
                    let images = i64::try_from(a.images).unwrap_or(i64::MAX);
                    let head = words.say("system-peer").with("name", &a.calling);
                    let head = head.with("address", &a.peer).to_string();
                    line(a.since, "", head, words::images(images, words))
                })
                .collect(),
            now: status.receive,
        },
        queues: Queue::ALL.map(|q| (words.say(worklist::name(q)), counts.of(q))).to_vec(),
        alarms: open_alarms(web, words)?,
        models: models(web, now, words)?,
        quarantine: web
            .store
            .quarantined(ROWS)?
            .into_iter()
            .map(|q| line(q.at, "", q.kind, format!("{} ({}, {})", q.reason, q.source, q.path)))
            .collect(),
        commitments: view
            .commitments
            .iter()
            .map(|c| {
                let mut text = format!("{}, {}", words::images(c.images, words), c.state);
                if c.attempts > 0 {
                    text.push_str(&format!(", {}", words.say("count-attempts").n(c.attempts)));
                }
                if !c.last_error.is_empty() {
                    text.push_str(&format!(": {}", c.last_error));
                }
                line(c.at, "", c.requester.clone(), text)
            })
            .collect(),
        archives: archives(web, now, words)?,
        hub: hub(web, status.hub.as_ref(), now, words)?,
        undelivered: undelivered(web, now, words)?,
        unsent: unsent(web, now, words)?,
        events: web
            .store
            .events(ROWS)?
            .into_iter()
            .map(|e| line(e.at, &e.level, format!("{} {}", e.area, e.level), e.text))
            .collect(),
        view,
        checks,
        frame,
        now: words::utc(now, words),
        running: words::span(now - status.started_at, words),
    })
}

fn archives(web: &Web, now: i64, words: Language) -> Result<Vec<Archive>, Error> {
    let archive = |queue: Deliveries| Archive {
        oldest: queue.oldest_at.map(|at| Moment::new(at, now, words)),
        queue,
    };
    Ok(web.store.delivery_queues()?.into_iter().map(archive).collect())
}

fn hub(web: &Web, link: Option<&HubNow>, now: i64, words: Language) -> Result<Option<Hub>, Error> {
    let counts = web.store.outbox_counts()?;
    let [flags, results, series, other] = counts.waiting;
    let said = words.say("hub-counts").with("flags", flags).with("results", results);
    Ok(counts.active.then(|| Hub {
        link: link.map(|link| hub_link(link, now, words)),
        counts: said.with("series", series).with("other", other),
        oldest: counts.oldest_flag_at.map(|at| Moment::new(at, now, words)),
    }))
}

fn hub_link(link: &HubNow, now: i64, words: Language) -> Link {
    let (state, class) = match link.doing {
        Doing::Starting => ("hub-starting", "good"),
        Doing::Working => ("hub-working", "good"),
        Doing::Idle => ("hub-idle", "good"),
        Doing::Waiting => ("hub-waiting", "notice"),
        Doing::Barred => ("hub-barred", "problem"),
    };
    let offset = link.contact.map_or(0, |contact| contact.clock_offset_ms);
    let key = if offset > 0 { "hub-clock-behind" } else { "hub-clock-ahead" };
    let span = words::span(offset.saturating_abs(), words);
    Link {
        host: link.host.clone(),
        site: link.site.clone(),
        state: words.say(state),
        class,
        why: link.why.clone(),
        since: Moment::new(link.since, now, words),
        contact: link.contact.map(|contact| Moment::new(contact.at, now, words)),
        clock: (offset.saturating_abs() >= CLOCKS_DIFFER)
            .then(|| words.say(key).with("span", span)),
        speed: words.say("hub-speed").with("kbit", format!("{:.0}", link.goodput / 125.0)),
        images: link.images,
    }
}

fn undelivered(web: &Web, now: i64, words: Language) -> Result<Vec<Undelivered>, Error> {
    let dead = web.store.dead_deliveries(DEAD)?.into_iter();
    Ok(dead.map(|view| Undelivered { at: Moment::new(view.at, now, words), view }).collect())
}

fn unsent(web: &Web, now: i64, words: Language) -> Result<Vec<Unsent>, Error> {
    let row = |view: OutboxView| {
        let kind = match view.kind.as_str() {
            "flag" => "hospital-flag",
            "objects" => "hospital-objects",
            "series" => "hospital-series",
            _ => "hospital-other",
        };
        let of = |study| words.say("hospital-row-study").message("kind", kind).with("study", study);
        let what = view.study_id.map_or_else(|| words.say(kind), of);
        Unsent { what, at: Moment::new(view.at, now, words), view }
    };
    Ok(web.store.dead_rows(DEAD)?.into_iter().map(row).collect())
}

/// Worst first, and before all of them that the list itself is old.
fn checks(status: &Status, now: i64, words: Language) -> Vec<Check> {
    let mut checks = status.checks.clone();
    checks.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    if now - status.at > STALE_MS {
        let span = words::span(now - status.at, words);
        let said = words.say("system-stale").with("span", span).to_string();
        let check = Check { name: "appliance".to_owned(), verdict: Verdict::Problem, said };
        checks.insert(0, check);
    }
    checks
}

fn headline(checks: &[Check], words: Language) -> Sentence {
    let count = |verdict| checks.iter().filter(|c| c.verdict == verdict).count();
    match (count(Verdict::Problem), count(Verdict::Notice)) {
        (0, 0) => words.say("system-good"),
        (0, notices) => words.say("system-notices").n(notices),
        (problems, _) => words.say("system-problems").n(problems),
    }
}

fn models(web: &Web, now: i64, words: Language) -> Result<Vec<ModelView>, Error> {
    Ok(web.store.models()?.into_iter().map(|model| model_view(model, now, words)).collect())
}

fn model_view(model: Model, now: i64, words: Language) -> ModelView {
    let mode = match model.mode {
        Mode::Off => "model-mode-off",
        Mode::Shadow => "model-mode-shadow",
        Mode::Assist => "model-mode-assist",
    };
    ModelView {
        mode: words.say(mode),
        installed: words::utc(model.installed_at, words),
        killed: model.killed_at.map(|at| Moment::new(at, now, words)),
        self_test: self_test(model.self_test.as_deref(), words),
        model,
    }
}

/// In words; the JSON is that of `models::engine::golden::SelfTest`.
fn self_test(json: Option<&str>, words: Language) -> Sentence {
    let Some(json) = json else { return words.say("model-untested") };
    let test: Value = serde_json::from_str(json).unwrap_or_default();
    match (test["passed"].as_bool(), test["worst"].as_f64(), test["tolerance"].as_f64()) {
        (Some(true), Some(worst), Some(tolerance)) => {
            let said = words.say("model-passed").with("worst", format!("{worst:.1e}"));
            said.with("tolerance", format!("{tolerance:.1e}"))
        }
        (Some(true), ..) => words.say("model-passed-bare"),
        (Some(false), ..) => words.say("model-failed"),
        (None, ..) => words.say("model-unreadable"),
    }
}

/// The kill switch of one model.
#[derive(Deserialize)]
pub(super) struct Switch {
    kill: bool,
}

/// Throws it, which anybody may who looks after the box, or releases it.
pub(super) async fn model(
    State(web): State<Web>,
    who: Who,
    Path(digest): Path<String>,
    form: Result<Form<Switch>, FormRejection>,
) -> Result<Redirect, Error> {
    let Form(Switch { kill }) = form?;
    if !kill {
        who.must(Right::Models)?;
    }
    web.store(move |web| Ok(web.store.kill_model(&digest, kill, &who.actor())?)).await?;
    web.poke();
    Ok(Redirect::to("/system#models"))
}

/// Has a result sent again that was given up.
pub(super) async fn retry(
    State(web): State<Web>,
    who: Who,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Redirect, Error> {
    let Path(id) = id?;
    web.store(move |web| retry_delivery(web, id, &who)).await?;
    Ok(Redirect::to("/system#archives"))
}

pub(super) fn retry_delivery(web: &Web, id: i64, who: &Who) -> Result<(), Error> {
    let found = web.store.retry_delivery(id, &who.actor())?;
    found.then_some(()).ok_or(Error::NoDelivery(id))
}

/// Has a message for the referral hospital sent again that was given up.
pub(super) async fn retry_row(
    State(web): State<Web>,
    who: Who,
    seq: Result<Path<i64>, PathRejection>,
) -> Result<Redirect, Error> {
    let Path(seq) = seq?;
    let found = web.store(move |web| Ok(web.store.retry_row(seq, &who.actor())?)).await?;
    found.then(|| Redirect::to("/system#unsent")).ok_or(Error::NoDelivery(seq))
}

/// For supervision. 503 says what a restart may repair: the database does not answer, or the tasks
/// hang. A full disk or a hot card is no such thing; it is listed and answered with 200.
pub(super) async fn healthz(State(web): State<Web>) -> Response {
    let now = web.now();
    let (stale, problems) = {
        let status = web.status.borrow();
        let problems = status.checks.iter().filter(|c| c.verdict == Verdict::Problem);
        (now - status.at > STALE_MS, problems.map(|c| c.name.clone()).collect::<Vec<_>>())
    };
    let database = web.store(|web| Ok(web.store.latest_studies(1)?)).await.is_ok();
    let healthy = database && !stale;
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "healthy": healthy, "database": database, "tasks": !stale, "problems": problems,
    });
    (status, Json(body)).into_response()
}

/// The page as data.
pub(super) fn data(web: &Web) -> Result<Value, Error> {
    let now = web.now();
    let status = web.status.borrow().clone();
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now": now,
        "checks": checks(&status, now, Language::En),
        "status": status,
        "queues": web.store.queue_counts()?,
        "store": web.store.box_view(ROWS)?,
        "quarantine": web.store.quarantined(ROWS)?,
        "archives": web.store.delivery_queues()?,
        "undelivered": web.store.dead_deliveries(DEAD)?,
        "outbox": web.store.outbox_counts()?,
        "unsent": web.store.dead_rows(DEAD)?,
        "models": web.store.models()?,
        "events": web.store.events(ROWS)?,
    }))
}
