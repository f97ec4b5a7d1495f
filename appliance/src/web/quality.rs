//! Whether scanners, scores, results and readers are as they were: alarms, each in one sentence, and
//! what they rest on.

use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::language::{Language, Sentence};
use super::who::Who;
use super::words;
use super::worklist::Moment;
use super::{Error, Frame, Web, html};
use crate::accounts::Right;
use crate::inference::measured::{AGE, PRIORITY};
use crate::quality::chart::Chart;
use crate::quality::drift::{LEFT_OUT, PSI_LIMIT, SERIES, Stream};
use crate::quality::judged::{self, By, Finding};
use crate::quality::{self, Evidence, Found};
use crate::store::decisions::MAX_REASON;
use crate::store::models::{Mode, Model};
use crate::store::quality::alarms::{Alarm, Kind};

/// Closed alarms that are listed.
const PAST: usize = 20;
/// Quantities of a scanner that are listed, the furthest from its reference first.
const STREAMS: usize = 12;

#[derive(Template)]
#[template(path = "quality.html")]
struct Page {
    frame: Frame,
    alarms: Vec<AlarmView>,
    past: Vec<AlarmView>,
    scanners: Vec<ScannerView>,
    findings: Vec<FindingView>,
    few: Option<Sentence>,
    least: usize,
    max_reason: usize,
}

/// An alarm in words.
pub(super) struct AlarmView {
    id: i64,
    pub(super) said: String,
    pub(super) advice: Sentence,
    opened: Moment,
    seen: Moment,
    /// By whom it was acknowledged, and what they found out.
    known: Option<(Sentence, String)>,
    closed: Option<Sentence>,
}

struct ScannerView {
    id: i64,
    name: String,
    looked: Option<Moment>,
    state: Sentence,
    charts: Vec<ChartView>,
    streams: Vec<StreamView>,
}

struct ChartView {
    title: Sentence,
    rate: Sentence,
    sum: Sentence,
    promise: Sentence,
}

struct StreamView {
    name: String,
    before: String,
    now: String,
    psi: String,
    p: String,
    drifted: bool,
}

struct FindingView {
    name: String,
    shares: Vec<ShareView>,
}

struct ShareView {
    group: Option<String>,
    share: Sentence,
    low: bool,
}

/// Shows the page.
pub(super) async fn page(
    State(web): State<Web>,
    who: Who,
    uri: Uri,
    words: Language,
) -> Result<Response, Error> {
    let frame = Frame::new(&web, &who, &uri, words, "quality");
    web.store(move |web| html(&read(web, frame)?)).await
}

fn read(web: &Web, frame: Frame) -> Result<Page, Error> {
    let (now, words) = (web.now(), frame.words);
    let all = web.store.alarms(PAST)?;
    let (open, past): (Vec<_>, Vec<_>) = all.iter().partition(|alarm| alarm.closed_at.is_none());
    let view = |alarm: &&Alarm| alarm_view(alarm, now, words);
    let model = assistant(web)?;
    let (findings, few) = match &model {
        Some(model) => judged::findings(&web.store.judged_findings(&model.digest)?),
        None => Default::default(),
    };
    Ok(Page {
        alarms: open.iter().map(view).collect(),
        past: past.iter().map(view).collect(),
        scanners: scanners(web, model.as_ref(), now, words)?,
        findings: findings.iter().map(|finding| finding_view(finding, words)).collect(),
        few: (few > 0).then(|| words.say("quality-few").n(few)),
        least: judged::LEAST,
        max_reason: MAX_REASON,
        frame,
    })
}

/// Open alarms in words, for the system page.
pub(super) fn open_alarms(web: &Web, words: Language) -> Result<Vec<AlarmView>, Error> {
    let now = web.now();
    Ok(web.store.alarms(0)?.iter().map(|alarm| alarm_view(alarm, now, words)).collect())
}

fn assistant(web: &Web) -> Result<Option<Model>, Error> {
    let models = web.store.models()?;
    Ok(models.into_iter().find(|model| model.mode == Mode::Assist && model.in_force()))
}

fn alarm_view(alarm: &Alarm, now: i64, words: Language) -> AlarmView {
    let moment = |at| Moment::new(at, now, words);
    let known = alarm.acknowledged_at.map(|at| {
        let said = words.say("quality-known").with("ago", words::ago(at, now, words));
        (said.bdi("name", &alarm.acknowledged_by), alarm.reason.clone())
    });
    let closed = alarm.closed_at.map(|at| {
        let how = match alarm.closed_how.as_deref() {
            Some("baseline") => "quality-closed-normal",
            Some("model") => "quality-closed-model",
            _ => "quality-closed-passed",
        };
        words.say(how).with("ago", words::ago(at, now, words))
    });
    AlarmView {
        id: alarm.id,
        said: said(alarm, words),
        advice: words.say(match alarm.kind {
            Kind::Input => "quality-advise-input",
            Kind::Scores => "quality-advise-scores",
            Kind::NoResult => "quality-advise-no-result",
            Kind::Override => "quality-advise-override",
        }),
        opened: moment(alarm.opened_at),
        seen: moment(alarm.seen_at),
        known,
        closed,
    }
}

/// An alarm in one sentence.
pub(super) fn said(alarm: &Alarm, words: Language) -> String {
    let Ok(evidence) = serde_json::from_str::<Evidence>(&alarm.evidence) else {
        return words.say("quality-other-version").with("scanner", &alarm.scanner).to_string();
    };
    let day = words::iso(evidence.since).chars().take(10).collect::<String>();
    let what = what(alarm, &evidence, words).with("scanner", &alarm.scanner);
    let mut rests_on = Vec::new();
    if let Some(psi) = evidence.psi {
        let said = words.say("quality-psi").with("psi", format!("{psi:.2}"));
        rests_on.push(said.with("limit", PSI_LIMIT));
    }
    if let Some([old, new]) = &evidence.software {
        rests_on.push(words.say("quality-software").with("old", old).with("new", new));
    }
    if evidence.others > 0 {
        rests_on.push(words.say("quality-others").n(evidence.others));
    }
    let rests_on = rests_on.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let key = if rests_on.is_empty() { "quality-since-bare" } else { "quality-since" };
    let said = words.say(key).with("when", day).with("what", what);
    if rests_on.is_empty() { said } else { said.with("why", rests_on) }.to_string()
}

/// What has changed, without the name of the scanner.
fn what(alarm: &Alarm, evidence: &Evidence, words: Language) -> Sentence {
    let up = evidence.now > evidence.before;
    let way = |more: &'static str, less: &'static str| words.say(if up { more } else { less });
    let share = |value: f64| words::percent(value);
    let number = |value: f64| format!("{value:.1}");
    // Of ratios: what was 1 before is so much more or less.
    let part = words::percent((evidence.now / evidence.before - 1.0).abs());
    match (alarm.kind, evidence.name.as_str()) {
        (Kind::NoResult, _) => words
            .say("quality-no-result")
            .with("before", share(evidence.before))
            .with("now", share(evidence.now)),
        (Kind::Override, _) => words
            .say("quality-override")
            .with("before", share(evidence.before))
            .with("now", share(evidence.now)),
        (Kind::Input, SERIES) => words
            .say("quality-series")
            .with("before", number(evidence.before))
            .with("now", number(evidence.now)),
        (Kind::Input, LEFT_OUT) => words
            .say("quality-left-out")
            .with("before", number(evidence.before))
            .with("now", number(evidence.now)),
        (Kind::Input, name) => match name {
            "brightness" => way("quality-brighter", "quality-darker"),
            "contrast" => way("quality-contrast-more", "quality-contrast-less"),
            "noise" => way("quality-noise-more", "quality-noise-less"),
            "foreground" => way("quality-head-more", "quality-head-less"),
            "slices" => way("quality-slices-more", "quality-slices-less"),
            "slice_distance" => way("quality-distance-more", "quality-distance-less"),
            _ => way("quality-tokens-more", "quality-tokens-less"),
        }
        .with("part", part),
        (Kind::Scores, PRIORITY) => way("quality-priority-more", "quality-priority-less"),
        (Kind::Scores, AGE) => way("quality-age-more", "quality-age-less"),
        (Kind::Scores, label) => way("quality-score-more", "quality-score-less")
            .with("finding", words.diagnosis(label))
            .with("before", format!("{:.2}", evidence.before))
            .with("now", format!("{:.2}", evidence.now)),
    }
}

/// The name of a quantity in a table.
fn quantity(stream: &Stream, words: Language) -> String {
    let key = match (stream.kind, stream.name.as_str()) {
        (Kind::Input, "brightness") => "quality-quantity-brightness",
        (Kind::Input, "contrast") => "quality-quantity-contrast",
        (Kind::Input, "noise") => "quality-quantity-noise",
        (Kind::Input, "foreground") => "quality-quantity-head",
        (Kind::Input, "slices") => "quality-quantity-slices",
        (Kind::Input, "slice_distance") => "quality-quantity-distance",
        (Kind::Input, "tokens") => "quality-quantity-tokens",
        (Kind::Input, SERIES) => "quality-quantity-series",
        (Kind::Input, LEFT_OUT) => "quality-quantity-left-out",
        (_, PRIORITY) => "quality-quantity-priority",
        (_, AGE) => "quality-quantity-age",
        (_, label) => {
            let finding = words.diagnosis(label);
            return words.say("quality-quantity-score").with("finding", finding).to_string();
        }
    };
    words.say(key).to_string()
}

fn scanners(
    web: &Web,
    model: Option<&Model>,
    now: i64,
    words: Language,
) -> Result<Vec<ScannerView>, Error> {
    let Some(model) = model else { return Ok(Vec::new()) };
    let looks = web.store.quality_looks(&model.digest)?;
    let scanners = web.store.monitored_scanners(&model.digest)?;
    let view = |scanner: crate::store::quality::Scanner| {
        let look = looks.iter().find(|look| look.scanner_id == scanner.id);
        let found = look.and_then(|look| serde_json::from_str(&look.found).ok());
        let found: Found = found.unwrap_or_default();
        let [have, need] = found.studies;
        ScannerView {
            id: scanner.id,
            name: scanner.name,
            looked: look.map(|look| Moment::new(look.at, now, words)),
            state: match look {
                None => words.say("quality-not-looked"),
                Some(_) if have < need => {
                    words.say("quality-learning").with("have", have).with("need", need)
                }
                Some(_) => words.say("quality-watched"),
            },
            charts: chart_views(&found, words),
            streams: found.streams.iter().take(STREAMS).map(|s| stream_view(s, words)).collect(),
        }
    };
    Ok(scanners.into_iter().map(view).collect())
}

fn chart_views(found: &Found, words: Language) -> Vec<ChartView> {
    let view = |title: &'static str, chart: &Chart| ChartView {
        title: words.say(title),
        rate: words
            .say("quality-chart-rate")
            .with("reference", words::percent(chart.reference))
            .with("usual", format!("{:.1} %", 100.0 * chart.usual))
            .with("noticed", format!("{:.1} %", 100.0 * chart.noticed)),
        sum: words.say("quality-chart-sum").with("sum", chart.sum).with("limit", chart.threshold),
        promise: words
            .say("quality-chart-promise")
            .with("studies", format!("{:.0}", chart.run_length))
            .with("delay", format!("{:.0}", chart.delay)),
    };
    let no_result = found.no_result.as_ref().map(|chart| view("quality-chart-no-result", chart));
    let overrides = found.overrides.as_ref().map(|chart| view("quality-chart-override", chart));
    no_result.into_iter().chain(overrides).collect()
}

fn stream_view(stream: &Stream, words: Language) -> StreamView {
    StreamView {
        name: quantity(stream, words),
        before: format!("{:.2}", stream.before),
        now: format!("{:.2}", stream.now),
        psi: stream.psi.map_or_else(|| "–".to_owned(), |psi| format!("{psi:.2}")),
        p: if stream.p < 0.0001 { "< 0.0001".to_owned() } else { format!("{:.4}", stream.p) },
        drifted: stream.drifted,
    }
}

fn finding_view(finding: &Finding, words: Language) -> FindingView {
    let shares = finding.shares.iter().map(|share| ShareView {
        group: match share.by {
            By::All => None,
            By::Sex if share.group == "O" => Some(words.say("sex-other").to_string()),
            By::Sex | By::Scanner => Some(share.group.clone()),
            By::Age => Some(words.say("quality-age").with("band", &share.group).to_string()),
        },
        share: words
            .say("quality-share")
            .with("agreed", share.agreed)
            .with("judged", share.judged)
            .with("ppv", words::percent(share.ppv))
            .with("low", words::percent(share.interval[0]))
            .with("high", words::percent(share.interval[1])),
        low: share.low,
    });
    FindingView { name: words.diagnosis(&finding.label), shares: shares.collect() }
}

/// What a form of the page sends.
#[derive(Deserialize)]
pub(super) struct Typed {
    #[serde(default)]
    reason: String,
}

/// Somebody knows of an alarm.
pub(super) async fn acknowledge(
    State(web): State<Web>,
    who: Who,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Typed>, FormRejection>,
) -> Result<Redirect, Error> {
    let (Path(id), Form(Typed { reason })) = (id?, form?);
    web.store(move |web| Ok(web.store.acknowledge_alarm(id, &reason, &who.actor())?)).await?;
    Ok(Redirect::to("/quality#alarms"))
}

/// What a scanner sends now is normal.
pub(super) async fn rebaseline(
    State(web): State<Web>,
    who: Who,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Typed>, FormRejection>,
) -> Result<Redirect, Error> {
    who.must(Right::Reference)?;
    let (Path(id), Form(Typed { reason })) = (id?, form?);
    web.store(move |web| Ok(quality::new_normal(&web.store, id, &reason, &who.actor())?)).await?;
    Ok(Redirect::to("/quality#scanners"))
}

/// The page as data.
pub(super) fn data(web: &Web) -> Result<Value, Error> {
    let stored = |json: &str| serde_json::from_str::<Value>(json).map_err(Error::Stored);
    let mut alarms = Vec::new();
    for alarm in web.store.alarms(PAST)? {
        alarms.push(json!({
            "alarm": alarm,
            "evidence": stored(&alarm.evidence)?,
            "said": said(&alarm, Language::En),
        }));
    }
    let (mut looks, mut findings, mut few) = (Vec::new(), Vec::new(), 0);
    if let Some(model) = assistant(web)? {
        for look in web.store.quality_looks(&model.digest)? {
            looks.push(json!({ "look": look, "found": stored(&look.found)? }));
        }
        (findings, few) = judged::findings(&web.store.judged_findings(&model.digest)?);
    }
    Ok(json!({
        "now": web.now(), "alarms": alarms, "scanners": looks, "findings": findings,
        "findings_rarely_judged": few,
    }))
}
