//! One study: what arrived, what the model says and how often it was right here, what readers
//! decided, and the forms to decide.

mod explanation;
mod forms;
mod hospital;
mod result;

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde_json::json;

use explanation::Explanation;
pub(super) use explanation::{Places, picture, places};
pub(super) use forms::{context, decide, set_context, undo};
use hospital::Hospital;
pub(super) use result::stored_json;
use result::{LeftOutView, Scores, SeriesUsed};

use super::language::{Language, Sentence};
use super::who::Who;
use super::words::{self, Badge};
use super::worklist::{self, Moment, RowView};
use super::{Error, Frame, Web, html};
use crate::store::audit;
use crate::store::decisions::{DecisionRow, FindingStatistics, MAX_REASON};
use crate::store::deliveries::DeliveryView;
use crate::store::priors::PriorElsewhere;
use crate::store::views::{Prior, ResultView, SeriesView, StudyView};
use crate::store::worklist::Row;
use crate::triage::{Acuity, Assessment, Reason, ReasonSource, Withheld};

/// Reasons to disagree that take one tap: as they are stored, and their messages.
const REASONS: [(&str, &str); 5] = [
    ("not there", "reason-not-there"),
    ("known already", "reason-known"),
    ("artefact or motion", "reason-artefact"),
    ("normal variant", "reason-variant"),
    ("explained otherwise", "reason-explained"),
];

/// Prior studies shown.
pub(super) const PRIORS: usize = 20;

#[derive(Template)]
#[template(path = "study.html")]
struct Page {
    frame: Frame,
    row: RowView,
    queue: Sentence,
    is_done: bool,
    /// Label and value, without those that are absent.
    facts: Vec<(Sentence, String)>,
    scores: Scores,
    /// Empty when nothing is known.
    acuity_from: String,
    findings: Vec<FindingView>,
    /// A sentence for each diagnosis that is none whatever it scored.
    withheld: Vec<Sentence>,
    explanation: Option<Explanation>,
    referrals: Vec<(String, String, String)>,
    rules: String,
    hospital: Option<Hospital>,
    decisions: Vec<DecisionView>,
    acuities: [(&'static str, Badge); 4],
    /// As stored and as shown.
    reasons: [(&'static str, Sentence); 5],
    max_reason: usize,
    context: String,
    context_from: Sentence,
    context_typed: bool,
    max_context: usize,
    series_used: Vec<SeriesUsed>,
    left_out: Vec<LeftOutView>,
    arrived: Vec<SeriesView>,
    evicted: bool,
    /// Series are also drawn in three dimensions.
    volumes: bool,
    priors: Vec<PriorView>,
    /// Those that an archive has, in words.
    priors_elsewhere: Vec<String>,
    timeline: Vec<Entry>,
    results: Vec<ResultLine>,
    shown: Option<i64>,
    /// Number of the latest change that the page shows.
    changed: i64,
}

struct FindingView {
    label: String,
    name: String,
    badge: Badge,
    score: String,
    probability: Option<String>,
    site: String,
    /// Of the latest decision in force on this finding.
    verdict: Option<DecisionView>,
}

struct DecisionView {
    id: i64,
    what: String,
    actor: String,
    at: Moment,
    undone: Option<String>,
}

/// Another study of the patient.
struct PriorView {
    id: i64,
    badge: Badge,
    text: String,
}

struct Entry {
    at: Moment,
    text: String,
}

struct ResultLine {
    id: i64,
    shown: bool,
    hidden: bool,
    badge: Badge,
    at: Moment,
    text: String,
}

/// Shows the page.
pub(super) async fn page(
    State(web): State<Web>,
    who: Who,
    uri: Uri,
    words: Language,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Response, Error> {
    let Path(id) = id?;
    let frame = Frame::new(&web, &who, &uri, words, "");
    web.store(move |web| {
        let page = read(web, frame, id)?;
        note_view(web, id, &who)?;
        html(&page)
    })
    .await
}

/// Who looked at a patient is written down.
pub(super) fn note_view(web: &Web, id: i64, who: &Who) -> Result<(), Error> {
    let (actor, object) = (who.actor(), format!("study {id}"));
    let entry =
        audit::Entry { actor: &actor, action: "study.view", object: &object, detail: &json!({}) };
    Ok(web.store.audit(&entry)?)
}

fn read(web: &Web, frame: Frame, id: i64) -> Result<Page, Error> {
    // Before the rest: what changes meanwhile is told again rather than never.
    let changed = web.store.latest_change()?;
    let (now, words) = (web.now(), frame.words);
    let row = web.store.worklist_row(id, &web.caps)?.ok_or(Error::NoStudy(id))?;
    let view = web.store.study_view(id)?.ok_or(Error::NoStudy(id))?;
    let decisions = web.store.decisions(id)?;
    let stored = match row.inference_id {
        Some(inference) => web.store.stored_result(id, inference)?,
        None => None,
    };
    let digest = stored.as_ref().map(|s| s.view.model_digest.as_str()).unwrap_or_default();
    let labels: Vec<&str> = row.findings.iter().map(|finding| finding.label.as_str()).collect();
    let statistics = web.store.finding_statistics(digest, &labels)?;
    let result = stored_json(stored.as_ref().and_then(|s| s.result.as_deref()))?;
    let assessment = stored.as_ref().and_then(|s| s.assessment.as_deref());
    // The row has said already that an assessment cannot be read.
    let assessment = assessment.and_then(|text| serde_json::from_str::<Assessment>(text).ok());
    let withheld = assessment.as_ref().map(|a| a.withheld.as_slice()).unwrap_or_default();
    let scores = Scores::of(&result, digest, withheld, words);
    Ok(Page {
        queue: words.say(worklist::name(row.queue)),
        is_done: row.done_at.is_some(),
        facts: facts(&row, &view, words),
        acuity_from: assessment.as_ref().map(|a| acuity_from(a, words)).unwrap_or_default(),
        findings: findings(&row, &scores, &statistics, &decisions, (now, words)),
        withheld: withheld.iter().map(|one| withheld_view(one, words)).collect(),
        explanation: explanation::shown(web, id, row.inference_id)?
            .map(|stored| Explanation::of(stored, words)),
        referrals: row
            .referrals
            .iter()
            .map(|r| (r.service.clone(), words::urgency(r.urgency, words), r.reason.clone()))
            .collect(),
        rules: assessment.as_ref().map(|a| rules(a, words)).unwrap_or_default(),
        hospital: row.hub.as_ref().map(|hub| Hospital::of(hub, now, words)),
        acuities: [Acuity::High, Acuity::Medium, Acuity::Low, Acuity::None]
            .map(|acuity| (acuity.word(), words::badge(Some(acuity), words))),
        reasons: REASONS.map(|(reason, key)| (reason, words.say(key))),
        max_reason: MAX_REASON,
        context: view.context(),
        context_from: words.say(match view.typed_context {
            Some(_) => "context-typed",
            None if view.context().is_empty() => "context-none",
            None => "context-sent",
        }),
        context_typed: view.typed_context.is_some(),
        max_context: forms::MAX_CONTEXT,
        series_used: result::series_used(&result, &view.series, words),
        left_out: result::left_out(&result, words),
        timeline: timeline(&row, &view, &decisions, &web.store.study_deliveries(id)?, (now, words)),
        results: view.results.iter().rev().map(|r| result_line(r, &row, now, words)).collect(),
        shown: stored.as_ref().map(|s| s.view.id),
        decisions: decisions.iter().rev().map(|d| decision_view(d, now, words)).collect(),
        evicted: view.evicted_at.is_some(),
        volumes: web.niivue.is_some(),
        arrived: view.series,
        priors: web.store.priors(id, PRIORS)?.iter().map(|p| prior_view(p, words)).collect(),
        priors_elsewhere: web
            .store
            .priors_elsewhere(id, PRIORS)?
            .iter()
            .map(|prior| prior_elsewhere(prior, words))
            .collect(),
        row: RowView::new(&row, now, words),
        scores,
        frame,
        changed,
    })
}

fn facts(row: &Row, view: &StudyView, words: Language) -> Vec<(Sentence, String)> {
    let when = format!("{} {}", words::date(&row.study_date), words::clock(&view.study_time));
    let field = view.field_strength_t.map(|t| format!("{t} T")).unwrap_or_default();
    let scanner = [&view.manufacturer, &field, &view.station].map(|s| s.trim());
    let facts = [
        ("fact-patient-id", row.patient_id.clone()),
        ("fact-born", words::date(&row.birth_date)),
        ("fact-accession", row.accession.clone()),
        ("fact-study-date", when.trim().to_owned()),
        ("fact-body-part", view.body_part.clone()),
        (
            "fact-scanner",
            scanner.into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(", "),
        ),
        ("fact-institution", view.institution.clone()),
        ("fact-referrer", words::person_or_nothing(&view.referring_physician, words)),
        ("fact-study-uid", row.uid.clone()),
    ];
    let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
    facts.map(|(key, value)| (words.say(key), value)).collect()
}

/// What gave the acuity. What the rules say stands in their own words.
fn acuity_from(assessment: &Assessment, words: Language) -> String {
    let say = |reason: &Reason| match reason.source {
        ReasonSource::Finding => {
            let finding = assessment.findings.iter().find(|f| f.name == reason.text);
            finding.map_or_else(|| reason.text.clone(), |f| words.diagnosis(&f.label))
        }
        ReasonSource::NoFinding => words.say("findings-no-finding").to_string(),
        ReasonSource::PriorityHead | ReasonSource::Combination => reason.text.clone(),
    };
    assessment.acuity_from.iter().map(say).collect::<Vec<_>>().join("; ")
}

fn findings(
    row: &Row,
    scores: &Scores,
    statistics: &[FindingStatistics],
    decisions: &[DecisionRow],
    (now, words): (i64, Language),
) -> Vec<FindingView> {
    let statistics: BTreeMap<&str, _> = statistics.iter().map(|s| (s.label.as_str(), s)).collect();
    row.findings
        .iter()
        .map(|finding| {
            let label = finding.label.as_str();
            let mine = |d: &&DecisionRow| d.finding == label && d.undone_at.is_none();
            FindingView {
                label: label.to_owned(),
                name: words.diagnosis(label),
                badge: words::badge(Some(finding.acuity), words),
                score: scores.explain(label, finding.margin, words),
                probability: finding.probability.map(|p| words::percent(p.into())),
                site: site(statistics.get(label).copied(), words),
                verdict: decisions.iter().rev().find(mine).map(|d| decision_view(d, now, words)),
            }
        })
        .collect()
}

fn withheld_view(withheld: &Withheld, words: Language) -> Sentence {
    let said = words.say("findings-withheld").with("finding", words.diagnosis(&withheld.label));
    said.with("reason", &withheld.reason)
}

/// How the finding did at this site.
fn site(statistics: Option<&FindingStatistics>, words: Language) -> String {
    let not_judged = || words.say("finding-not-judged").to_string();
    let Some(s) = statistics else { return not_judged() };
    let mut text = match (s.ppv, s.ppv_interval) {
        (Some(ppv), Some([low, high])) => {
            let said = words.say("finding-right").with("agreed", s.agreed);
            let said = said.with("judged", s.agreed + s.disagreed);
            let said = said.with("ppv", words::percent(ppv));
            let said = said.with("low", format!("{:.0}", 100.0 * low));
            said.with("high", words::percent(high)).to_string()
        }
        _ => not_judged(),
    };
    if let Some(rate) = s.override_rate {
        let said = words.say("finding-overridden").with("share", words::percent(rate));
        text.push_str(&format!("; {}", said.with("reviewed", s.reviewed)));
    }
    text
}

fn rules(assessment: &Assessment, words: Language) -> String {
    let approved = match assessment.rules_approver.as_str() {
        "" => words.say("referrals-not-approved"),
        name => words.say("referrals-approved").with("name", name),
    };
    let said = words.say("referrals-rules").with("version", &assessment.rules_version);
    let said = said.with("digest", words::cut(&assessment.rules_sha256, 12));
    said.with("approved", approved).to_string()
}

fn decision_view(decision: &DecisionRow, now: i64, words: Language) -> DecisionView {
    DecisionView {
        id: decision.id,
        what: decided(decision, words),
        actor: decision.actor.clone(),
        at: Moment::new(decision.at, now, words),
        undone: decision.undone_at.map(|at| {
            let by = decision.undone_by.as_deref().unwrap_or_default();
            let said = words.say("decision-undone").with("ago", words::ago(at, now, words));
            said.with("name", by).to_string()
        }),
    }
}

fn decided(decision: &DecisionRow, words: Language) -> String {
    let finding = words.diagnosis(&decision.finding);
    let what = match decision.kind.as_str() {
        "agree" => words.say("decision-agree").with("finding", finding),
        "disagree" => words.say("decision-disagree").with("finding", finding),
        "reprioritise" => {
            let acuity = words::badge(decision.acuity, words).word;
            words.say("decision-acuity").with("acuity", acuity)
        }
        "done" => words.say("decision-done"),
        _ => words.say("decision-reopened"),
    };
    match decision.reason.as_str() {
        "" => what.to_string(),
        reason => format!("{what}: {}", reason_given(reason, words)),
    }
}

/// A reason of those that are offered in the language of the page, what was typed as it is.
fn reason_given(reason: &str, words: Language) -> String {
    let (offered, typed) = match reason.split_once(": ") {
        Some((offered, typed)) => (offered, Some(typed)),
        None => (reason, None),
    };
    let Some((_, key)) = REASONS.into_iter().find(|(stored, _)| *stored == offered) else {
        return reason.to_owned();
    };
    let said = words.say(key);
    typed.map_or_else(|| said.to_string(), |typed| format!("{said}: {typed}"))
}

/// Everything that happened, oldest first.
fn timeline(
    row: &Row,
    view: &StudyView,
    decisions: &[DecisionRow],
    deliveries: &[DeliveryView],
    (now, words): (i64, Language),
) -> Vec<Entry> {
    let say = |key: &'static str| words.say(key);
    let images = words::images(row.instances, words);
    let mut entries = vec![
        (row.first_at, say("timeline-first").to_string()),
        (row.last_at, say("timeline-last").with("images", images).to_string()),
    ];
    if let Some(at) = row.complete_at {
        let complete = match row.generation {
            ..=1 => say("timeline-complete"),
            times => say("timeline-complete-again").with("n", times),
        };
        let partial = row.partial.then(|| format!(", {}", say("timeline-partial")));
        entries.push((at, format!("{complete}{}", partial.unwrap_or_default())));
    }
    entries.extend(view.results.iter().map(|r| (r.finished_at, result_text(r, words))));
    for d in decisions {
        let what = decided(d, words);
        let said = say("timeline-decided").with("what", &what).with("name", &d.actor);
        entries.push((d.at, said.to_string()));
        if let Some(at) = d.undone_at {
            let by = d.undone_by.as_deref().unwrap_or_default();
            let said = say("timeline-undone").with("name", by).with("what", what);
            entries.push((at, said.to_string()));
        }
    }
    entries.extend(deliveries.iter().filter_map(|d| Some((d.at, delivered(d, words)?))));
    if let Some(at) = view.evicted_at {
        entries.push((at, say("timeline-deleted").to_string()));
    }
    entries.sort_by_key(|(at, _)| *at);
    let entry = |(at, text)| Entry { at: Moment::new(at, now, words), text };
    entries.into_iter().map(entry).collect()
}

fn prior_view(prior: &Prior, words: Language) -> PriorView {
    let date = words::date(&prior.study_date);
    let name = words::person_or_nothing(&prior.patient_name, words);
    let state = words.say(match (prior.done, prior.evicted) {
        (_, true) => "priors-read-deleted",
        (true, false) => "priors-read",
        (false, false) => "priors-unread",
    });
    PriorView {
        id: prior.id,
        badge: words::badge(prior.acuity, words),
        text: joined([date, prior.description.clone(), name, state.to_string()]),
    }
}

fn prior_elsewhere(prior: &PriorElsewhere, words: Language) -> String {
    let accession = match prior.accession.as_str() {
        "" => String::new(),
        number => format!("{} {number}", words.say("fact-accession")),
    };
    let place = words.say("priors-elsewhere").with("archive", &prior.archive);
    let modalities = prior.modalities.join(" ");
    let date = words::date(&prior.study_date);
    joined([date, prior.description.clone(), modalities, accession, place.to_string()])
}

/// What is there, with commas between.
fn joined<const N: usize>(parts: [String; N]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Where a result went; a result that waits has not happened yet.
fn delivered(delivery: &DeliveryView, words: Language) -> Option<String> {
    let DeliveryView { destination, kind, state, last_error, said, committed_at, .. } = delivery;
    let quoted = if said.is_empty() { String::new() } else { format!(": {said}") };
    let said = match state.as_str() {
        "sent" if committed_at.is_some() => words.say("delivery-committed"),
        "sent" => words.say("delivery-sent"),
        "dead" => words.say("delivery-refused").with("why", format!("{last_error}{quoted}")),
        _ => return None,
    };
    let said = match kind.as_str() {
        "report" => said.message("kind", "delivery-report"),
        "picture" => said.message("kind", "delivery-picture"),
        "segmentation" => said.message("kind", "delivery-segmentation"),
        other => said.with("kind", other),
    };
    Some(said.with("archive", destination).to_string())
}

fn result_text(result: &ResultView, words: Language) -> String {
    let analysed = result.outcome == "analysed";
    let mut text = words
        .say(match (result.hidden, analysed) {
            (true, _) => "result-hidden",
            (false, true) => "result-analysed",
            (false, false) => "result-not-analysed",
        })
        .to_string();
    let by = match (result.model_name.as_str(), result.model_digest.as_str()) {
        ("", "") => None,
        ("", digest) => Some(words.say("result-by-digest").with("digest", words::cut(digest, 12))),
        (name, _) => Some(words.say("result-by").with("model", name)),
    };
    text.extend(by.map(|by| format!(" {by}")));
    if result.hidden {
        return format!("{text}, {}", words.say("result-hidden-why"));
    }
    if !analysed {
        return format!("{text}: {}", result.reason);
    }
    if !result.device.is_empty() {
        let on = words.say("result-on").with("device", &result.device);
        text.push_str(&format!(" {}", on.with("seconds", format!("{:.1}", result.seconds))));
    }
    let more = [
        (!result.context.is_empty()).then_some("result-context"),
        result.partial.then_some("result-partial"),
    ];
    text.extend(more.into_iter().flatten().map(|key| format!(", {}", words.say(key))));
    text
}

fn result_line(result: &ResultView, row: &Row, now: i64, words: Language) -> ResultLine {
    let text = words.say("results-line").with("n", result.generation);
    ResultLine {
        id: result.id,
        shown: row.inference_id == Some(result.id),
        hidden: result.hidden,
        badge: words::badge(result.acuity, words),
        at: Moment::new(result.finished_at, now, words),
        text: text.with("text", result_text(result, words)).to_string(),
    }
}
