//! One study: what arrived, what the model says and how often it was right here, what readers
//! decided, and the forms to decide.

mod explanation;
mod forms;
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
pub(super) use result::stored_json;
use result::{LeftOutView, Scores, SeriesUsed};

use super::who::Who;
use super::words::{self, Badge};
use super::worklist::{self, Moment, RowView};
use super::{Error, Frame, Web, html};
use crate::store::audit;
use crate::store::decisions::{DecisionRow, FindingStatistics, MAX_REASON};
use crate::store::deliveries::DeliveryView;
use crate::store::views::{Prior, ResultView, SeriesView, StudyView};
use crate::store::worklist::Row;
use crate::triage::{Acuity, Assessment};

/// Reasons to disagree that take one tap.
const REASONS: [&str; 5] =
    ["not there", "known already", "artefact or motion", "normal variant", "explained otherwise"];

/// Prior studies shown.
pub(super) const PRIORS: usize = 20;

#[derive(Template)]
#[template(path = "study.html")]
struct Page {
    frame: Frame,
    row: RowView,
    queue: &'static str,
    is_done: bool,
    /// Label and value, without those that are absent.
    facts: Vec<(&'static str, String)>,
    scores: Scores,
    acuity_from: Vec<String>,
    findings: Vec<FindingView>,
    explanation: Option<Explanation>,
    referrals: Vec<(String, String, String)>,
    rules: String,
    decisions: Vec<DecisionView>,
    acuities: [(&'static str, Badge); 4],
    reasons: [&'static str; 5],
    max_reason: usize,
    context: String,
    context_from: &'static str,
    max_context: usize,
    series_used: Vec<SeriesUsed>,
    left_out: Vec<LeftOutView>,
    arrived: Vec<SeriesView>,
    evicted: bool,
    priors: Vec<PriorView>,
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
    id: Result<Path<i64>, PathRejection>,
) -> Result<Response, Error> {
    let Path(id) = id?;
    let frame = Frame::new(&web, &who, &uri, "");
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
    let now = web.now();
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
    let scores = Scores::of(&result, digest);
    Ok(Page {
        queue: worklist::name(row.queue),
        is_done: row.done_at.is_some(),
        facts: facts(&row, &view),
        acuity_from: assessment
            .iter()
            .flat_map(|a| a.acuity_from.iter().map(|reason| reason.text.clone()))
            .collect(),
        findings: findings(&row, &scores, &statistics, &decisions, now),
        explanation: explanation::shown(web, id, row.inference_id)?.map(Explanation::of),
        referrals: row
            .referrals
            .iter()
            .map(|r| (r.service.clone(), r.urgency.to_string(), r.reason.clone()))
            .collect(),
        rules: assessment.as_ref().map(rules).unwrap_or_default(),
        acuities: [Acuity::High, Acuity::Medium, Acuity::Low, Acuity::None]
            .map(|acuity| (acuity.word(), words::badge(Some(acuity)))),
        reasons: REASONS,
        max_reason: MAX_REASON,
        context: view.context(),
        context_from: match view.typed_context {
            Some(_) => "typed here",
            None if view.context().is_empty() => "none was sent",
            None => "sent by the scanner",
        },
        max_context: forms::MAX_CONTEXT,
        series_used: result::series_used(&result, &view.series),
        left_out: result::left_out(&result),
        timeline: timeline(&row, &view, &decisions, &web.store.study_deliveries(id)?, now),
        results: view.results.iter().rev().map(|r| result_line(r, &row, now)).collect(),
        shown: stored.as_ref().map(|s| s.view.id),
        decisions: decisions.iter().rev().map(|d| decision_view(d, now)).collect(),
        evicted: view.evicted_at.is_some(),
        arrived: view.series,
        priors: web.store.priors(id, PRIORS)?.iter().map(prior_view).collect(),
        row: RowView::new(&row, now),
        scores,
        frame,
        changed,
    })
}

fn facts(row: &Row, view: &StudyView) -> Vec<(&'static str, String)> {
    let when = format!("{} {}", words::date(&row.study_date), words::clock(&view.study_time));
    let field = view.field_strength_t.map(|t| format!("{t} T")).unwrap_or_default();
    let scanner = [&view.manufacturer, &field, &view.station].map(|s| s.trim());
    let facts = [
        ("Patient ID", row.patient_id.clone()),
        ("Born", words::date(&row.birth_date)),
        ("Accession", row.accession.clone()),
        ("Study date", when.trim().to_owned()),
        ("Body part", view.body_part.clone()),
        ("Scanner", scanner.into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(", ")),
        ("Institution", view.institution.clone()),
        ("Referred by", words::person_or_nothing(&view.referring_physician)),
        ("Study UID", row.uid.clone()),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn findings(
    row: &Row,
    scores: &Scores,
    statistics: &[FindingStatistics],
    decisions: &[DecisionRow],
    now: i64,
) -> Vec<FindingView> {
    let statistics: BTreeMap<&str, _> = statistics.iter().map(|s| (s.label.as_str(), s)).collect();
    row.findings
        .iter()
        .map(|finding| {
            let label = finding.label.as_str();
            let mine = |d: &&DecisionRow| d.finding == label && d.undone_at.is_none();
            FindingView {
                label: label.to_owned(),
                name: finding.name.clone(),
                badge: words::badge(Some(finding.acuity)),
                score: scores.explain(label, finding.margin),
                probability: finding.probability.map(|p| words::percent(p.into())),
                site: site(statistics.get(label).copied()),
                verdict: decisions.iter().rev().find(mine).map(|d| decision_view(d, now)),
            }
        })
        .collect()
}

/// How the finding did at this site.
fn site(statistics: Option<&FindingStatistics>) -> String {
    let Some(s) = statistics else { return "not judged here yet".to_owned() };
    let judged = s.agreed + s.disagreed;
    let mut text = match (s.ppv, s.ppv_interval) {
        (Some(ppv), Some([low, high])) => format!(
            "right {} of {judged} times here: PPV {} (95 % interval {:.0} to {})",
            s.agreed,
            words::percent(ppv),
            100.0 * low,
            words::percent(high)
        ),
        _ => "not judged here yet".to_owned(),
    };
    if let Some(rate) = s.override_rate {
        text.push_str(&format!("; overridden in {} of {}", words::percent(rate), s.reviewed));
        text.push_str(" reviewed");
    }
    text
}

fn rules(assessment: &Assessment) -> String {
    let approved = match assessment.rules_approver.as_str() {
        "" => "approved by nobody at this site".to_owned(),
        name => format!("approved by {name}"),
    };
    let digest = words::cut(&assessment.rules_sha256, 12);
    format!("Rules {} ({digest}), {approved}.", assessment.rules_version)
}

fn decision_view(decision: &DecisionRow, now: i64) -> DecisionView {
    DecisionView {
        id: decision.id,
        what: decided(decision),
        actor: decision.actor.clone(),
        at: Moment::new(decision.at, now),
        undone: decision.undone_at.map(|at| {
            let by = decision.undone_by.as_deref().unwrap_or_default();
            format!("taken back {} by {by}", words::ago(at, now))
        }),
    }
}

fn decided(decision: &DecisionRow) -> String {
    let finding = models::labels::display_name(&decision.finding);
    let what = match decision.kind.as_str() {
        "agree" => format!("agreed with {finding}"),
        "disagree" => format!("disagreed with {finding}"),
        "reprioritise" => format!("set acuity {}", words::badge(decision.acuity).word),
        "done" => "marked as done".to_owned(),
        _ => "opened again".to_owned(),
    };
    if decision.reason.is_empty() { what } else { format!("{what}: {}", decision.reason) }
}

/// Everything that happened, oldest first.
fn timeline(
    row: &Row,
    view: &StudyView,
    decisions: &[DecisionRow],
    deliveries: &[DeliveryView],
    now: i64,
) -> Vec<Entry> {
    let images = words::counted(row.instances, "image");
    let mut entries = vec![
        (row.first_at, "first image arrived".to_owned()),
        (row.last_at, format!("latest image arrived, {images} in all")),
    ];
    if let Some(at) = row.complete_at {
        let again = match row.generation {
            ..=1 => String::new(),
            times => format!(" for the {times}. time"),
        };
        let partial = if row.partial { ", with announced images missing" } else { "" };
        entries.push((at, format!("complete{again}{partial}")));
    }
    entries.extend(view.results.iter().map(|r| (r.finished_at, result_text(r))));
    for d in decisions {
        entries.push((d.at, format!("{}, by {}", decided(d), d.actor)));
        if let Some(at) = d.undone_at {
            let by = d.undone_by.as_deref().unwrap_or_default();
            entries.push((at, format!("taken back by {by}: {}", decided(d))));
        }
    }
    entries.extend(deliveries.iter().filter_map(|d| Some((d.at, delivered(d)?))));
    if let Some(at) = view.evicted_at {
        entries.push((at, "images deleted to make room; results are kept".to_owned()));
    }
    entries.sort_by_key(|(at, _)| *at);
    entries.into_iter().map(|(at, text)| Entry { at: Moment::new(at, now), text }).collect()
}

fn prior_view(prior: &Prior) -> PriorView {
    let date = words::date(&prior.study_date);
    let name = words::person_or_nothing(&prior.patient_name);
    let state = match (prior.done, prior.evicted) {
        (_, true) => "read; its images were deleted",
        (true, false) => "read",
        (false, false) => "not read yet",
    };
    let parts = [date.as_str(), &prior.description, &name, state];
    PriorView {
        id: prior.id,
        badge: words::badge(prior.acuity),
        text: parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", "),
    }
}

/// Where a result went; a result that waits has not happened yet.
fn delivered(delivery: &DeliveryView) -> Option<String> {
    let DeliveryView { destination, kind, state, last_error, committed_at, .. } = delivery;
    match state.as_str() {
        "sent" if committed_at.is_some() => {
            Some(format!("{kind} sent to {destination}, which has committed to keep it"))
        }
        "sent" => Some(format!("{kind} sent to {destination}")),
        "dead" => Some(format!("{kind} not taken by {destination}: {last_error}")),
        _ => None,
    }
}

fn result_text(result: &ResultView) -> String {
    let model = match (result.model_name.as_str(), result.model_digest.as_str()) {
        ("", "") => String::new(),
        ("", digest) => format!(" by model {}", words::cut(digest, 12)),
        (name, _) => format!(" by {name}"),
    };
    if result.hidden {
        return format!("looked at{model}, which is switched off: its result is not shown");
    }
    let on = match result.device.as_str() {
        "" => String::new(),
        device => format!(" on {device} in {:.1} s", result.seconds),
    };
    let with = if result.context.is_empty() { "" } else { ", with clinical context" };
    let partial = if result.partial { ", on a partial study" } else { "" };
    if result.outcome == "analysed" {
        format!("analysed{model}{on}{with}{partial}")
    } else {
        format!("not analysed{model}: {}", result.reason)
    }
}

fn result_line(result: &ResultView, row: &Row, now: i64) -> ResultLine {
    ResultLine {
        id: result.id,
        shown: row.inference_id == Some(result.id),
        hidden: result.hidden,
        badge: words::badge(result.acuity),
        at: Moment::new(result.finished_at, now),
        text: format!("Completion {}: {}", result.generation, result_text(result)),
    }
}
