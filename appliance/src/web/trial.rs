//! New settings that change how the box is reached: said over every page, with a button that keeps
//! them. Whoever presses it has reached the box with them.

use std::time::Duration;

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::Redirect;
use firmware_config::trial::Door;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::language::Language;
use super::who::Who;
use super::{Error, Status, Trial, Web, words};
use crate::store::audit::Entry;

/// Longest wait for what becomes of them, until the next status says it.
const ANSWER: Duration = Duration::from_secs(15);

/// Settings that wait for somebody to keep them.
pub(super) struct OnTrial {
    pub(super) id: String,
    /// Time until those from before come back.
    pub(super) left: String,
}

impl OnTrial {
    /// `now` is box time in milliseconds.
    pub(super) fn of(trial: &Trial, now: i64, words: Language) -> Option<Self> {
        let Trial::Awaiting { id, until } = trial else { return None };
        (*until > now).then(|| Self { id: id.clone(), left: words::span(until - now, words) })
    }
}

/// Which trial is meant: a page that was left open must keep no later one.
#[derive(Deserialize)]
pub(super) struct Keep {
    trial: String,
}

/// Keeps the settings on trial.
pub(super) async fn keep(
    State(web): State<Web>,
    who: Who,
    form: Result<Form<Keep>, FormRejection>,
) -> Result<Redirect, Error> {
    let Form(Keep { trial }) = form?;
    let meant = trial.clone();
    web.store(move |web| {
        web.place.confirm(&meant, Door::Page)?;
        let entry = Entry {
            actor: &who.actor(),
            action: "settings.keep",
            object: "settings",
            detail: &json!({ "trial": meant }),
        };
        Ok(web.store.audit(&entry)?)
    })
    .await?;
    let decided = |status: &Status| match &status.trial {
        Some(Trial::Awaiting { id, .. }) => *id != trial,
        _ => true,
    };
    // Without an answer the page says how they stand.
    let mut status = web.status.clone();
    drop(timeout(ANSWER, status.wait_for(decided)).await);
    Ok(Redirect::to("/system"))
}
