//! What the referral hospital sees: the inbox, the clinics, the figures.
//!
//! Everything is rendered here and works without JavaScript; a script of ours loads the inbox again
//! every minute. Nothing is loaded from elsewhere. Every page but those of logging in belongs to a [`Right`], which the router asks for.
//! All that comes from a box is text that somebody else wrote: templates escape it.

mod assets;
mod error;
mod guard;
mod inbox;
mod login;
mod metrics;
pub mod picture;
mod quality;
mod referral;
mod sites;
mod systems;
#[cfg(test)]
mod tests;
mod users;
mod who;
mod words;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use self::error::Error;
use self::login::Gate;
use self::who::Who;
use crate::accounts::{Right, may};
use crate::clock::Clock;
use crate::escalation::{self, Limits};
use crate::fault;
use crate::store::Store;
use crate::store::users::User;

/// Largest request body. The largest sensible one is a note with its actions.
const BODY_LIMIT: usize = 64 * 1024;
/// Longest time one request may take, its body included.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks for referrals that nobody answers.
const ROUND: Duration = Duration::from_secs(30);
/// What of a study's link is replaced.
const STUDY: &str = "{study}";

/// Reads a blob of a site by its digest; `None` where there is no such blob.
pub type Blobs = Arc<dyn Fn(&str, &str) -> io::Result<Option<Vec<u8>>> + Send + Sync>;

/// What the pages are made from.
#[derive(Clone)]
pub struct Pages {
    /// The database.
    pub store: Store,
    /// The objects that boxes sent.
    pub blobs: Blobs,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Section `[pages]` of the configuration.
    pub settings: Settings,
}

/// How the pages are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address and port on which browsers are answered.
    pub listen: String,
    /// Name of the hospital, on every page.
    pub name: String,
    /// Names by which browsers may address the pages, beside IP addresses and `localhost`.
    pub host_names: Vec<String>,
    /// Where the PACS shows a study, with `{study}` in place of its UID; empty for no link.
    pub pacs_link: String,
    /// Browsers come by HTTPS only, as they should: the cookie is for nothing else.
    pub secure: bool,
    /// Everybody comes through a proxy that appends to `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// What `/metrics` is asked with (`Authorization: Bearer ...`); empty for anybody.
    pub metrics_token: String,
    /// Program and arguments that are run when nobody has answered; empty for none.
    pub escalation_command: Vec<String>,
    /// How long an answer may take.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8043".to_owned(),
            name: "Referral hub".to_owned(),
            host_names: Vec::new(),
            pacs_link: String::new(),
            secure: true,
            behind_proxy: false,
            metrics_token: String::new(),
            escalation_command: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// What is wrong with [`Settings`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No link, or one that leads to the same place for every study.
    #[error(
        "`pacs_link` is {0:?}, expected an address of http or https with {STUDY} where the Study \
         Instance UID stands"
    )]
    PacsLink(String),
    /// Guessed soon.
    #[error("`metrics_token` has {0} characters, expected none or at least 16")]
    MetricsToken(usize),
}

impl Settings {
    /// Looks at what can be wrong with them.
    ///
    /// # Errors
    ///
    /// The first thing that is.
    pub fn check(&self) -> Result<(), SettingsError> {
        let link = &self.pacs_link;
        let is_web = link.starts_with("https://") || link.starts_with("http://");
        if !(link.is_empty() || is_web && link.contains(STUDY)) {
            return Err(SettingsError::PacsLink(link.clone()));
        }
        match self.metrics_token.len() {
            length @ 1..16 => Err(SettingsError::MetricsToken(length)),
            _ => Ok(()),
        }
    }

    /// Where the PACS shows a study.
    fn pacs_link(&self, study: &str) -> Option<String> {
        let there = !self.pacs_link.is_empty() && self.check().is_ok();
        there.then(|| self.pacs_link.replace(STUDY, &words::percent_encoded(study)))
    }
}

/// What handlers share.
#[derive(Clone)]
struct Web {
    pages: Pages,
    gate: Arc<Gate>,
}

impl Web {
    /// Runs work with the database where it does not hold up the network.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let web = self.clone();
        tokio::task::spawn_blocking(move || work(&web)).await.map_err(Error::Panic)?
    }

    fn store(&self) -> &Store {
        &self.pages.store
    }

    fn settings(&self) -> &Settings {
        &self.pages.settings
    }

    fn now_ms(&self) -> i64 {
        self.pages.clock.now_ms()
    }
}

/// Every route that asks for a right.
fn routes() -> Vec<(Right, &'static str, MethodRouter<Web>)> {
    vec![
        (Right::Referrals, "/", get(inbox::page)),
        (Right::Referrals, "/referral/{id}", get(referral::page)),
        (Right::Referrals, "/referral/{id}/answer", post(referral::answer)),
        (Right::Referrals, "/referral/{id}/picture/{sha256}", get(referral::picture)),
        (Right::Fleet, "/sites", get(sites::page)),
        (Right::Command, "/sites/{id}", post(sites::command)),
        (Right::Fleet, "/quality", get(quality::page)),
        (Right::Fleet, "/quality.csv", get(quality::csv)),
        (Right::Fleet, "/systems", get(systems::page)),
        (Right::Command, "/systems", post(systems::retry)),
        (Right::Users, "/users", get(users::page).post(users::change)),
        (Right::Own, "/account", get(login::account).post(login::change_password)),
    ]
}

/// All pages. Where the address of the peer is to count, whoever serves them adds
/// `ConnectInfo<SocketAddr>` to the requests.
pub fn pages_router(pages: Pages) -> Router {
    let web = Web { pages, gate: Arc::default() };
    routes()
        .into_iter()
        .fold(Router::<Web>::new(), |router, (right, path, answer)| {
            router.merge(only(right, Router::new().route(path, answer)))
        })
        .route("/login", get(login::page).post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/metrics", get(metrics::page))
        .route("/healthz", get(metrics::healthz))
        .route("/assets/{name}", get(assets::file))
        .fallback(|| async { Error::NoPage })
        .method_not_allowed_fallback(|| async { Error::Method })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_LIMIT))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn_with_state(web.clone(), guard::requests))
        .layer(from_fn_with_state(web.clone(), who::identify))
        // Outside everything, so that every answer has them.
        .layer(from_fn(guard::headers))
        .with_state(web)
}

/// Answers browsers until `stop` is ready, and looks for referrals that nobody answers meanwhile.
///
/// # Errors
///
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    pages: Pages,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let looking = tokio::spawn(escalate(pages.store.clone(), pages.settings.clone()));
    let service = pages_router(pages).into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service).with_graceful_shutdown(stop).await;
    looking.abort();
    served
}

async fn escalate(store: Store, settings: Settings) {
    let mut rounds = tokio::time::interval(ROUND);
    loop {
        rounds.tick().await;
        let (store, settings) = (store.clone(), settings.clone());
        let round =
            move || escalation::round(&store, &settings.limits, &settings.escalation_command);
        match tokio::task::spawn_blocking(round).await {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => tracing::warn!(count, "referrals without an answer were escalated"),
            Ok(Err(failed)) => {
                tracing::error!(error = fault::chain(&failed), "nobody looks for late answers");
            }
            Err(failed) => {
                tracing::error!(error = fault::chain(&failed), "nobody looks for late answers");
            }
        }
    }
}

/// Routes for those who have a right.
fn only(right: Right, routes: Router<Web>) -> Router<Web> {
    routes.route_layer(from_fn(move |who: Who, request: Request, next: Next| {
        who::needs(right, who, request, next)
    }))
}

/// What the frame around every page needs.
struct Frame {
    /// Seconds after which the browser loads the page again.
    refresh_s: Option<u32>,
    user: Option<User>,
    /// Name of the hospital.
    name: String,
    /// `inbox`, `sites`, `quality`, `systems`, `users` or none.
    section: &'static str,
    version: &'static str,
}

impl Frame {
    fn new(web: &Web, who: &Who, section: &'static str) -> Self {
        let (user, name) = (who.user().cloned(), web.settings().name.clone());
        Self { refresh_s: None, user, name, section, version: env!("CARGO_PKG_VERSION") }
    }

    fn may(&self, right: Right) -> bool {
        self.user.as_ref().is_some_and(|user| may(user.role, right))
    }

    fn sees_referrals(&self) -> bool {
        self.may(Right::Referrals)
    }

    fn sees_fleet(&self) -> bool {
        self.may(Right::Fleet)
    }

    fn commands(&self) -> bool {
        self.may(Right::Command)
    }

    fn changes_users(&self) -> bool {
        self.may(Right::Users)
    }
}

fn html(template: &impl Template) -> Result<Response, Error> {
    Ok(Html(template.render().map_err(Error::Template)?).into_response())
}

/// Where somebody begins who has logged in.
fn home(user: &User) -> &'static str {
    if may(user.role, Right::Referrals) { "/" } else { "/sites" }
}

/// What was asked for, to come back to.
fn path_of(uri: &Uri) -> String {
    uri.path_and_query().map_or("/", |here| here.as_str()).to_owned()
}
