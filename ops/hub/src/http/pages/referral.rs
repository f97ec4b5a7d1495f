//! One referral: who, why, what it rests on, what was said about it, and the answer.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Redirect, Response};
use exchange::flag::Flag;
use serde::Deserialize;
use serde_json::json;

use super::inbox::{RowView, site_names};
use super::picture;
use super::who::Who;
use super::words::{self, Badge, Moment};
use super::{Error, Frame, Web, html};
use crate::accounts::{Right, may};
use crate::store::answers::{self, Act, Given, Kept, MAX_NOTE};
use crate::store::audit::Entry;
use crate::store::escalations::Escalation;
use crate::store::referrals::{Referral, StudyObject, Urgency};

/// Secondary Capture Image Storage (PS3.4 B.5).
const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";
/// Pictures on the page.
const PICTURES: usize = 8;
/// Digits of a digest.
const DIGEST_DIGITS: usize = 64;

#[derive(Template)]
#[template(path = "referral.html")]
struct Page {
    frame: Frame,
    row: RowView,
    version: i64,
    flag: Flag,
    asks: Vec<AskView>,
    findings: Vec<FindingView>,
    facts: Vec<(&'static str, String)>,
    /// Digests of the pictures.
    pictures: Vec<String>,
    /// What else is here, and how often.
    others: Vec<String>,
    pacs_link: Option<String>,
    accept: bool,
    decline: bool,
    complete: bool,
    reassign: bool,
    people: Vec<String>,
    events: Vec<EventView>,
    max_note: usize,
}

/// A service that is asked for.
struct AskView {
    badge: Badge,
    service: String,
    reason: String,
    by_model: bool,
}

struct FindingView {
    name: String,
    label: String,
    margin: String,
    probability: Option<String>,
    badge: Badge,
}

/// Something that was said or done.
struct EventView {
    at_ms: i64,
    at: Moment,
    who: String,
    what: String,
    note: String,
    actions: Vec<String>,
    /// Whether the box has been told.
    told: Option<&'static str>,
}

/// Shows a referral. Who looked is written down.
pub(super) async fn page(
    State(web): State<Web>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let frame = Frame::new(&web, &who, "inbox");
    web.blocking(move |web| {
        let referral = web.store().referral(&id)?.ok_or(Error::NoReferral)?;
        web.store().audit(&Entry {
            actor: who.name(),
            action: "referral.view",
            object: &format!("referral {id}"),
            detail: &json!({"site": referral.site}),
        })?;
        show(web, frame, referral)
    })
    .await
}

fn show(web: &Web, frame: Frame, referral: Referral) -> Result<Response, Error> {
    let (store, now_ms) = (web.store(), web.now_ms());
    let sites = site_names(web)?;
    let row = RowView::new(&referral, &sites, now_ms, &web.settings().limits);
    let objects = store.result_objects(&referral.site, &referral.study)?;
    let (pictures, others): (Vec<_>, Vec<_>) = objects.into_iter().partition(is_picture);
    let may_follow = |act| answers::next(referral.status, referral.asked, act).is_some();
    let named = !referral.flag.patient.pseudonym;
    let users = store.users()?;
    let answering =
        users.into_iter().filter(|user| !user.removed && may(user.role, Right::Referrals));
    html(&Page {
        frame,
        row,
        version: referral.version,
        asks: referral.flag.referrals.iter().map(ask).collect(),
        findings: referral.flag.findings.iter().map(finding).collect(),
        facts: facts(&referral),
        pictures: pictures.into_iter().take(PICTURES).map(|object| object.sha256).collect(),
        others: others.into_iter().map(|object| object.title).collect(),
        pacs_link: named.then(|| web.settings().pacs_link(&referral.study)).flatten(),
        accept: may_follow(Act::Accept),
        decline: may_follow(Act::Decline),
        complete: may_follow(Act::Complete),
        reassign: may_follow(Act::Reassign),
        people: answering.map(|user| user.name).collect(),
        events: events(web, &referral, now_ms)?,
        max_note: MAX_NOTE,
        flag: referral.flag,
    })
}

/// Named by the digest of its content, small enough, and of the kind that has a JPEG.
fn is_picture(object: &StudyObject) -> bool {
    let named = object.sha256.len() == DIGEST_DIGITS
        && object.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    let small = usize::try_from(object.bytes).is_ok_and(|bytes| bytes <= picture::FILE_BYTES);
    named && small && object.sop_class == SECONDARY_CAPTURE
}

fn ask(asked: &exchange::flag::Referral) -> AskView {
    AskView {
        badge: words::urgency(Urgency::of(&asked.urgency)),
        service: asked.service.clone(),
        reason: asked.reason.clone(),
        by_model: asked.findings.is_empty(),
    }
}

fn finding(found: &exchange::flag::Finding) -> FindingView {
    FindingView {
        name: found.name.clone(),
        label: found.label.clone(),
        margin: format!("{:+.2}", found.margin),
        probability: found.probability.map(|share| words::percent(f64::from(share))),
        badge: words::acuity(&found.acuity),
    }
}

fn facts(referral: &Referral) -> Vec<(&'static str, String)> {
    let Flag { patient, study, .. } = &referral.flag;
    let facts = [
        (if patient.pseudonym { "Pseudonym" } else { "Patient ID" }, patient.id.clone()),
        ("Born", patient.birth_date.clone()),
        ("Accession number", study.accession.clone()),
        ("Study date", study.date.clone()),
        ("Study", study.description.clone()),
        ("First image at the box", words::utc(study.arrived_ms)),
        ("Result at the box", words::utc(study.analysed_ms)),
        ("Flag at the hub", words::utc(referral.first_ms)),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// Flags, answers and escalations in the order of time.
fn events(web: &Web, referral: &Referral, now_ms: i64) -> Result<Vec<EventView>, Error> {
    let store = web.store();
    let told = store.acknowledged_command(&referral.site)?;
    let flags =
        store.flags(&referral.id)?.into_iter().map(|(at_ms, flag)| said(at_ms, &flag, now_ms));
    let answers = store.answers(&referral.id)?.into_iter().map(|kept| answered(kept, told, now_ms));
    let escalations = store
        .escalations(&referral.id)?
        .into_iter()
        .map(|escalation| escalated(&escalation, now_ms));
    let mut events: Vec<EventView> = flags.chain(answers).chain(escalations).collect();
    // Stable: a flag before its answer, when both are of the same moment.
    events.sort_by_key(|event| event.at_ms);
    Ok(events)
}

fn said(at_ms: i64, flag: &Flag, now_ms: i64) -> EventView {
    let asks: Vec<String> = flag
        .referrals
        .iter()
        .map(|asked| format!("{} ({})", asked.service, asked.urgency))
        .collect();
    let what = if flag.asked { "asks for" } else { "takes back its question for" };
    let reader = flag.reader.as_ref();
    EventView {
        at_ms,
        at: Moment::new(at_ms, now_ms),
        who: "the clinic".to_owned(),
        what: format!("{what} {}", asks.join(", ")),
        note: reader
            .map(|reader| format!("{}: {}", reader.name, reader.decision))
            .unwrap_or_default(),
        actions: Vec::new(),
        told: None,
    }
}

fn answered(kept: Kept, acknowledged: i64, now_ms: i64) -> EventView {
    let what = match Act::of(&kept.act) {
        Some(Act::Accept) => "accepted".to_owned(),
        Some(Act::Decline) => "declined".to_owned(),
        Some(Act::Complete) => "completed".to_owned(),
        Some(Act::Reassign) | None => format!("handed it to {}", kept.assignee),
    };
    let there = kept.command <= acknowledged;
    EventView {
        at_ms: kept.at_ms,
        at: Moment::new(kept.at_ms, now_ms),
        who: kept.by,
        what,
        note: kept.note,
        actions: kept.actions,
        told: Some(if there { "the clinic's box has it" } else { "not at the clinic's box yet" }),
    }
}

fn escalated(escalation: &Escalation, now_ms: i64) -> EventView {
    let what = match escalation.good {
        Some(true) => "escalated: nobody had answered in time",
        Some(false) => "could not escalate, though nobody had answered in time",
        None => "began to escalate, and nobody knows what came of it",
    };
    EventView {
        at_ms: escalation.at_ms,
        at: Moment::new(escalation.at_ms, now_ms),
        who: "this hub".to_owned(),
        what: what.to_owned(),
        note: escalation.outcome.clone(),
        actions: Vec::new(),
        told: None,
    }
}

/// An answer as typed.
#[derive(Deserialize)]
pub(super) struct Typed {
    act: String,
    version: i64,
    #[serde(default)]
    service: String,
    #[serde(default)]
    assignee: String,
    #[serde(default)]
    note: String,
    /// One a line.
    #[serde(default)]
    actions: String,
}

/// Takes an answer.
pub(super) async fn answer(
    State(web): State<Web>,
    who: Who,
    Path(id): Path<String>,
    form: Result<Form<Typed>, FormRejection>,
) -> Result<Response, Error> {
    let Form(typed) = form?;
    web.blocking(move |web| {
        let act = Act::of(&typed.act)
            .ok_or_else(|| Error::Request(format!("{:?} is no answer", typed.act)))?;
        let referral = web.store().referral(&id)?.ok_or(Error::NoReferral)?;
        // Only a service that the clinic asks for is repeated to it.
        let mut asked = referral.flag.referrals.iter().map(|asked| asked.service.as_str());
        let service = asked.find(|service| *service == typed.service).unwrap_or_default();
        let lines = typed.actions.lines().map(str::trim).filter(|line| !line.is_empty());
        let actions: Vec<String> = lines.map(str::to_owned).collect();
        // Browsers end lines with two characters.
        let note = typed.note.replace("\r\n", "\n");
        let given = Given {
            referral: &id,
            version: typed.version,
            act,
            by: who.name(),
            service,
            assignee: &typed.assignee,
            note: &note,
            actions: &actions,
        };
        web.store().answer(&given)??;
        Ok(Redirect::to(&format!("/referral/{id}")).into_response())
    })
    .await
}

/// A key image.
pub(super) async fn picture(
    State(web): State<Web>,
    Path((id, sha256)): Path<(String, String)>,
) -> Result<Response, Error> {
    web.blocking(move |web| {
        let referral = web.store().referral(&id)?.ok_or(Error::NoReferral)?;
        let objects = web.store().result_objects(&referral.site, &referral.study)?;
        let is_it = |object: &StudyObject| object.sha256 == sha256 && is_picture(object);
        if !objects.iter().any(is_it) {
            return Err(Error::NoPicture);
        }
        let file = (web.pages.blobs)(&referral.site, &sha256).map_err(Error::Blob)?;
        let file = file.ok_or(Error::NoPicture)?;
        let jpeg = picture::jpeg(&file)?.to_vec();
        Ok(([(CONTENT_TYPE, "image/jpeg")], jpeg).into_response())
    })
    .await
}
