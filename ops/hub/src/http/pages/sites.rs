//! The clinics: when their boxes spoke last, what waits there, and whether their findings drift.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use exchange::offer::Stage;
use serde::Deserialize;
use serde_json::json;

use super::who::Who;
use super::words::{Moment, percent, percent_encoded, span};
use super::{Error, Frame, Web, html};
use crate::store::audit::Entry;
use crate::store::quality::{Drift, Health, SAMPLE};
use crate::store::sites::{Site, SiteError};

/// A box that says nothing for so long is marked. Links that are open once a day are usual.
const SILENT_MS: i64 = 36 * 3_600_000;
/// A clock that is off by so much is marked: times in reports are wrong then.
const OFF_MS: i64 = 60_000;
/// Longest reason for a kill switch, in characters.
const MAX_REASON: usize = 200;

#[derive(Template)]
#[template(path = "sites.html")]
struct Page {
    frame: Frame,
    sites: Vec<SiteView>,
    sample: i64,
    max_reason: usize,
}

struct SiteView {
    id: String,
    /// For addresses.
    link: String,
    name: String,
    revoked: Option<Moment>,
    enrolled: bool,
    contact: Option<Moment>,
    silent: bool,
    clock: String,
    clock_off: bool,
    software: String,
    model: String,
    killed: bool,
    /// Alarms of the watch on its scanners.
    alarms: u32,
    backlog: [i64; 4],
    dead: i64,
    /// Rows that contradict others.
    forks: i64,
    offer: Option<OfferView>,
    /// What the box said of itself last.
    told: Option<ToldView>,
}

/// A model that the site is offered.
struct OfferView {
    name: String,
    said: String,
    refused: bool,
    at: Moment,
}

struct ToldView {
    at: Moment,
    clock: String,
    disk_percent: u32,
    studies: i64,
    drift: Vec<DriftView>,
    drifted: usize,
}

struct DriftView {
    label: String,
    first: String,
    now: String,
    marked: bool,
}

/// Shows all sites.
pub(super) async fn page(State(web): State<Web>, who: Who) -> Result<Response, Error> {
    let frame = Frame::new(&web, &who, "sites");
    web.blocking(move |web| {
        let (now_ms, mut health) = (web.now_ms(), web.store().health()?);
        let (sites, mut offers) = (web.store().sites()?.into_iter(), web.store().offers()?);
        let sites = sites.map(|site| {
            let health = health.remove(&site.id);
            let offer = offers.remove(&site.id).map(|offer| OfferView {
                said: offer.said(),
                refused: offer.progress.stage == Stage::Refused && !offer.withdrawn,
                at: Moment::new(offer.at_ms, now_ms),
                name: offer.progress.name,
            });
            SiteView { offer, ..view(site, health, now_ms) }
        });
        html(&Page { frame, sites: sites.collect(), sample: SAMPLE, max_reason: MAX_REASON })
    })
    .await
}

fn view(site: Site, health: Option<Health>, now_ms: i64) -> SiteView {
    let offset_ms = site.offset_ms.unwrap_or(0);
    let off = offset_ms.unsigned_abs() > OFF_MS.unsigned_abs();
    let silent = site.contact_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) > SILENT_MS);
    SiteView {
        link: percent_encoded(&site.id),
        id: site.id,
        name: site.name,
        revoked: site.revoked_ms.map(|at_ms| Moment::new(at_ms, now_ms)),
        enrolled: site.enrolled,
        contact: site.contact_ms.map(|at_ms| Moment::new(at_ms, now_ms)),
        silent,
        clock: match site.offset_ms {
            None => String::new(),
            Some(_) if !off => "right to the minute".to_owned(),
            Some(ahead_ms @ 1..) => format!("{} ahead", span(ahead_ms)),
            Some(behind_ms) => format!("{} behind", span(behind_ms.saturating_neg())),
        },
        clock_off: off,
        software: site.software,
        model: site.model,
        killed: health.as_ref().is_some_and(|health| health.telemetry.killed),
        alarms: health.as_ref().map_or(0, |health| health.telemetry.quality_alarms),
        backlog: site.backlog,
        dead: site.dead,
        forks: site.forks,
        offer: None,
        told: health.map(|health| told(&health, now_ms)),
    }
}

fn told(health: &Health, now_ms: i64) -> ToldView {
    let drift = |drift: &Drift| DriftView {
        label: drift.label.clone(),
        first: percent(drift.first),
        now: percent(drift.now),
        marked: drift.marked,
    };
    ToldView {
        at: Moment::new(health.at_ms, now_ms),
        clock: health.telemetry.clock.clone(),
        disk_percent: health.telemetry.disk_percent,
        studies: health.studies,
        drift: health.drift.iter().map(drift).collect(),
        drifted: health.drift.iter().filter(|drift| drift.marked).count(),
    }
}

/// A command as typed.
#[derive(Deserialize)]
pub(super) struct Typed {
    action: String,
    #[serde(default)]
    reason: String,
}

/// Commands a box, or shuts its site out.
pub(super) async fn command(
    State(web): State<Web>,
    who: Who,
    Path(id): Path<String>,
    form: Result<Form<Typed>, FormRejection>,
) -> Result<Response, Error> {
    let Form(Typed { action, reason }) = form?;
    let reason = reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > MAX_REASON {
        let words = format!("give a reason of at most {MAX_REASON} characters");
        return Err(Error::Refused(words));
    }
    web.blocking(move |web| {
        let store = web.store();
        if !store.sites()?.iter().any(|site| site.id == id) {
            return Err(SiteError::Unknown(id).into());
        }
        match action.as_str() {
            "kill" | "release" => {
                store.kill_switch(&id, action == "kill", &reason, who.name())?;
            }
            "revoke" => {
                store.audit(&Entry {
                    actor: who.name(),
                    action: "site.revoke",
                    object: &format!("site {id}"),
                    detail: &json!({"reason": reason}),
                })?;
                store.revoke_site(&id)?;
            }
            other => return Err(Error::Request(format!("{other:?} is no command"))),
        }
        Ok(Redirect::to("/sites").into_response())
    })
    .await
}
