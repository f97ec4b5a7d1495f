//! The inbox: who waits for an answer, most urgent first.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use exchange::command::Status;
use serde::Deserialize;

use super::who::Who;
use super::words::{self, Badge, Moment, percent_encoded, span};
use super::{Error, Frame, Web, html};
use crate::escalation::{Limits, overdue};
use crate::store::inbox::{Filter, Place, State as Stand};
use crate::store::referrals::{Referral, Urgency};

/// Referrals on a page.
const PAGE: usize = 100;
/// More than so many are not counted.
const COUNTED: i64 = 1000;
/// Those over their limit that are named on top; all are counted.
const NAMED: usize = 20;
/// Findings in a row.
const FINDINGS: usize = 3;
/// A wall of referrals shows what is new by itself.
const REFRESH_S: u32 = 60;

#[derive(Template)]
#[template(path = "inbox.html")]
struct Page {
    frame: Frame,
    rows: Vec<RowView>,
    overdue: Vec<RowView>,
    overdue_count: usize,
    states: Vec<Choice>,
    sites: Vec<Choice>,
    services: Vec<Choice>,
    total: String,
    from: usize,
    first: Option<String>,
    next: Option<String>,
    now: String,
}

/// Something to choose in a filter.
struct Choice {
    value: String,
    name: String,
    chosen: bool,
}

/// A referral in a list.
pub(super) struct RowView {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) age_sex: String,
    pub(super) patient_id: String,
    pub(super) pseudonym: bool,
    pub(super) site: String,
    pub(super) badge: Badge,
    pub(super) services: String,
    pub(super) reason: String,
    pub(super) findings: Vec<String>,
    pub(super) more: usize,
    /// How it stands, in words.
    pub(super) stands: String,
    /// How long it waits, of how long it may.
    pub(super) waits: Option<String>,
    /// How far it is over its limit.
    pub(super) over: Option<String>,
    /// The clinic said something new after the answer.
    pub(super) changed: bool,
    pub(super) partial: bool,
    pub(super) arrived: Moment,
}

impl RowView {
    pub(super) fn new(
        referral: &Referral,
        sites: &BTreeMap<String, String>,
        now_ms: i64,
        limits: &Limits,
    ) -> Self {
        let flag = &referral.flag;
        let waits_ms = (referral.asked && referral.status == Status::Received)
            .then_some(now_ms.saturating_sub(referral.asked_ms));
        let limit_ms = limits.of_ms(referral.urgency);
        let over_ms = waits_ms.map(|waits_ms| waits_ms - limit_ms).filter(|over_ms| *over_ms > 0);
        let mut services: Vec<&str> =
            flag.referrals.iter().map(|referral| referral.service.as_str()).collect();
        services.dedup();
        let findings = flag.findings.iter().take(FINDINGS).map(|finding| finding.name.clone());
        let reason = flag.referrals.first().map(|referral| referral.reason.clone());
        let answered = |at_ms: i64| referral.flag_ms > at_ms;
        Self {
            id: referral.id.clone(),
            name: words::person(&flag.patient),
            age_sex: words::age_sex(&flag.patient),
            patient_id: flag.patient.id.clone(),
            pseudonym: flag.patient.pseudonym,
            site: sites.get(&referral.site).unwrap_or(&referral.site).clone(),
            badge: words::urgency(referral.urgency),
            services: services.join(", "),
            reason: reason.unwrap_or_default(),
            findings: findings.collect(),
            more: flag.findings.len().saturating_sub(FINDINGS),
            stands: stands(referral),
            waits: waits_ms
                .map(|waits_ms| format!("waits {} of {}", span(waits_ms), span(limit_ms))),
            over: over_ms.map(span),
            changed: referral.answered_ms.is_some_and(answered),
            partial: flag.partial,
            arrived: Moment::new(referral.first_ms, now_ms),
        }
    }
}

/// How a referral stands, in words.
fn stands(referral: &Referral) -> String {
    let by = match referral.assignee.as_str() {
        "" => String::new(),
        name => format!(", with {name}"),
    };
    match (referral.asked, referral.status) {
        (false, _) => "taken back by the clinic".to_owned(),
        (true, Status::Received) => format!("no answer yet{by}"),
        (true, status) => format!("{}{by}", status.word()),
    }
}

/// Names of the sites by their identifiers.
pub(super) fn site_names(web: &Web) -> Result<BTreeMap<String, String>, Error> {
    Ok(web.store().site_names()?)
}

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    state: String,
    site: String,
    service: String,
    /// Where the page before this one ended: urgency, time and name; empty for the first page.
    after: String,
    /// How many stand on the pages before this one.
    before: usize,
}

impl Wanted {
    fn filter(&self) -> Result<Filter, Error> {
        let state = match self.state.as_str() {
            "" => Stand::default(),
            word => {
                Stand::of(word).ok_or_else(|| Error::Request(format!("no referral is {word:?}")))?
            }
        };
        Ok(Filter { state, site: self.site.clone(), service: self.service.clone() })
    }

    /// Where the page begins.
    fn after(&self) -> Result<Option<Place>, Error> {
        let nowhere = || Error::Request(format!("no page ends at {:?}", self.after));
        match self.after.as_str() {
            "" => Ok(None),
            after => place(after).map(Some).ok_or_else(nowhere),
        }
    }

    /// The address of another page of the same.
    fn link(&self, last: Option<&Referral>) -> String {
        let [state, site, service] =
            [&self.state, &self.site, &self.service].map(|value| percent_encoded(value));
        let place = last.map_or(String::new(), |last| {
            let Referral { urgency, asked_ms, id, .. } = last;
            let before = self.before.saturating_add(PAGE);
            format!("&after={}.{asked_ms}.{id}&before={before}", urgency.word())
        });
        format!("/?state={state}&site={site}&service={service}{place}")
    }
}

/// As [`Wanted::link`] writes it.
fn place(after: &str) -> Option<Place> {
    let mut parts = after.splitn(3, '.');
    let urgency = Urgency::of(parts.next()?);
    let asked_ms = parts.next()?.parse().ok()?;
    Some(Place { urgency, asked_ms, id: parts.next()?.to_owned() })
}

/// Shows the inbox.
pub(super) async fn page(
    State(web): State<Web>,
    who: Who,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Error> {
    let Query(wanted) = wanted?;
    let mut frame = Frame::new(&web, &who, "inbox");
    frame.refresh_s = Some(REFRESH_S);
    web.blocking(move |web| show(web, frame, &wanted)).await
}

fn show(web: &Web, frame: Frame, wanted: &Wanted) -> Result<Response, Error> {
    let (store, now_ms, limits) = (web.store(), web.now_ms(), &web.settings().limits);
    let (filter, sites) = (wanted.filter()?, site_names(web)?);
    let total = match store.inbox_count(&filter, COUNTED)? {
        COUNTED => format!("{COUNTED} or more"),
        total => total.to_string(),
    };
    let view = |referral: &Referral| RowView::new(referral, &sites, now_ms, limits);
    let after = wanted.after()?;
    let mut found = store.inbox(&filter, PAGE + 1, after.as_ref())?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let rows = found.iter().map(view).collect();
    let over = overdue(&store.waiting()?, now_ms, limits);
    let mut named = Vec::new();
    for one in over.iter().take(NAMED) {
        // It may have been answered meanwhile.
        named.extend(store.referral(&one.id)?.as_ref().map(view).filter(|row| row.over.is_some()));
    }
    let states = Stand::ALL.map(|state| Choice {
        value: state.word().to_owned(),
        name: state.word().to_owned(),
        chosen: state == filter.state,
    });
    let site = |(id, name): (&String, &String)| Choice {
        value: id.clone(),
        name: name.clone(),
        chosen: *id == filter.site,
    };
    let service =
        |name: String| Choice { chosen: name == filter.service, value: name.clone(), name };
    html(&Page {
        frame,
        rows,
        overdue: named,
        overdue_count: over.len(),
        states: states.into(),
        sites: sites.iter().map(site).collect(),
        services: store.services()?.into_iter().map(service).collect(),
        total,
        from: wanted.before.saturating_add(1),
        first: after.map(|_| wanted.link(None)),
        next: found.last().filter(|_| more).map(|last| wanted.link(Some(last))),
        now: words::utc(now_ms),
    })
}
