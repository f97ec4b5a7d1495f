//! The hospital's own systems: what waits for each, and what it refused.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::who::Who;
use super::words::Moment;
use super::{Error, Frame, Web, html};
use crate::store::outbound::{Dead, Queue};

/// So many refusals are shown, the latest ones.
const SHOWN: i64 = 50;

#[derive(Template)]
#[template(path = "systems.html")]
struct Page {
    frame: Frame,
    systems: Vec<SystemView>,
    refusals: Vec<Refusal>,
    /// More refusals than are shown.
    more: bool,
}

struct SystemView {
    queue: Queue,
    oldest: Option<Moment>,
    silent: Option<Moment>,
}

struct Refusal {
    dead: Dead,
    at: Moment,
}

/// Shows all destinations.
pub(super) async fn page(State(web): State<Web>, who: Who) -> Result<Response, Error> {
    let frame = Frame::new(&web, &who, "systems");
    web.blocking(move |web| {
        let now_ms = web.now_ms();
        let system = |queue: Queue| SystemView {
            oldest: queue.oldest_ms.map(|at_ms| Moment::new(at_ms, now_ms)),
            silent: queue.silent_ms.map(|at_ms| Moment::new(at_ms, now_ms)),
            queue,
        };
        let queues = web.store().outbound_queues()?;
        let dead = web.store().dead_outbound(SHOWN)?;
        let count: i64 = queues.iter().map(|queue| queue.dead).sum();
        let refusal = |dead: Dead| Refusal { at: Moment::new(dead.at_ms, now_ms), dead };
        html(&Page {
            frame,
            systems: queues.into_iter().map(system).collect(),
            refusals: dead.into_iter().map(refusal).collect(),
            more: count > SHOWN,
        })
    })
    .await
}

/// Which destination gets again what it refused.
#[derive(Deserialize)]
pub(super) struct Typed {
    destination: String,
}

/// Sends again what a destination refused.
pub(super) async fn retry(
    State(web): State<Web>,
    who: Who,
    form: Result<Form<Typed>, FormRejection>,
) -> Result<Response, Error> {
    let Form(Typed { destination }) = form?;
    web.blocking(move |web| {
        web.store().retry_outbound(&destination, who.name())?;
        Ok(Redirect::to("/systems").into_response())
    })
    .await
}
