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
use crate::store::referrals::{Filter, Referral, State as Stand};

/// Referrals on a page.
const PAGE: i64 = 100;
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
    total: i64,
    from: i64,
    back: Option<String>,
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
    let sites = web.store().sites()?;
    Ok(sites.into_iter().map(|site| (site.id, site.name)).collect())
}

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    state: String,
    site: String,
    service: String,
    /// Counted from 0.
    page: u32,
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

    /// The address of another page of the same.
    fn link(&self, page: u32) -> String {
        let [state, site, service] =
            [&self.state, &self.site, &self.service].map(|value| percent_encoded(value));
        format!("/?state={state}&site={site}&service={service}&page={page}")
    }
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
    let from = PAGE * i64::from(wanted.page);
    let total = store.inbox_count(&filter)?;
    let view = |referral: &Referral| RowView::new(referral, &sites, now_ms, limits);
    let rows: Vec<RowView> = store.inbox(&filter, PAGE, from)?.iter().map(view).collect();
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
        from: from + 1,
        back: wanted.page.checked_sub(1).map(|page| wanted.link(page)),
        next: (from + PAGE < total).then(|| wanted.link(wanted.page.saturating_add(1))),
        now: words::utc(now_ms),
    })
}
