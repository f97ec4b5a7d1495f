//! The pages people look at, and the same as JSON.
//!
//! Everything is rendered here and works without JavaScript, which only makes scrolling through
//! slices faster, shows what is new in place and draws volumes; nothing is loaded from elsewhere.
//! Pages read from [`Store`] and from [`Status`], which the daemon publishes; they compute nothing.
//! Every page but those of logging in belongs to a right ([`Right`]), which the router asks for.

mod api;
mod assets;
mod dicomweb;
mod error;
mod guard;
mod language;
mod listen;
mod live;
mod login;
mod metrics;
mod quality;
mod slices;
mod status;
mod study;
mod system;
#[cfg(test)]
mod tests;
mod trial;
mod users;
mod volume;
mod who;
mod words;
mod worklist;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use firmware_config::trial::Place;
use models::dicom::decoder::Decoder;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

pub use assets::{Niivue, NiivueError};
pub use dicomweb::DicomError;
pub use error::Error;
use language::Language;
pub use live::Live;
pub use login::Gate;
use trial::OnTrial;
use who::Who;

pub use status::{Association, Check, ModelNow, Receive, SelectionNow, Status, Trial, Verdict};

use crate::accounts::Right;
use crate::archive::Archive;
use crate::slices::Slices;
use crate::store::Store;
use crate::worklist::AgeCaps;

/// Largest request body. The largest sensible one is a clinical context.
const BODY_LIMIT: usize = 64 * 1024;
/// Longest time one request may take, its body included.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// What the pages are made from.
#[derive(Clone, Debug)]
pub struct Web {
    /// The database.
    pub store: Arc<Store>,
    /// The images.
    pub archive: Arc<Archive>,
    /// Decodes compressed ones.
    pub decoder: Arc<Decoder>,
    /// Makes pictures of them.
    pub slices: Arc<Slices>,
    /// What the daemon says of itself every few seconds.
    pub status: watch::Receiver<Status>,
    /// Wakes the analysis task when there is something to analyse again.
    pub poke: Arc<Notify>,
    /// Waiting limits of the worklist.
    pub caps: AgeCaps,
    /// Names by which browsers may address the box, beside its IP addresses and `localhost`.
    pub hosts: Arc<[String]>,
    /// All settings in force, as their file has them.
    pub settings: Arc<str>,
    /// Who may try to log in, and how often.
    pub gate: Arc<Gate>,
    /// Tells pages that are open of changes.
    pub live: Live,
    /// Draws volumes, where the site has it.
    pub niivue: Option<Arc<Niivue>>,
    /// Pages come over TLS, and sessions over nothing else.
    pub encrypted: bool,
    /// Where trials of settings are confirmed.
    pub place: Place,
}

impl Web {
    /// Runs database work where it does not hold up the network.
    async fn store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let web = self.clone();
        tokio::task::spawn_blocking(move || work(&web)).await.map_err(Error::Panic)?
    }

    fn now(&self) -> i64 {
        self.store.clock().now()
    }

    fn poke(&self) {
        self.poke.notify_one();
    }
}

/// All pages and the API.
pub fn router(web: Web) -> Router {
    Router::new()
        .merge(only(Right::Patients, patients()))
        .merge(only(Right::Decide, decisions()))
        .merge(only(Right::Operate, operation()))
        .merge(only(Right::Settings, Router::new().route("/system/trial", post(trial::keep))))
        .merge(program_interface())
        .merge(only(
            Right::Users,
            Router::new().route("/users", get(users::page).post(users::change)),
        ))
        .route("/login", get(login::page).post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/setup", get(login::setup_page).post(login::set_up))
        .route("/account", get(login::account).post(login::change_password))
        .route("/language", post(language::choose))
        .route("/healthz", get(system::healthz))
        .route("/assets/{name}", get(assets::file))
        .fallback(|uri: Uri| async move { Error::NoPage(uri.path().to_owned()) })
        .method_not_allowed_fallback(|| async { Error::Method })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_LIMIT))
        // Behind the limits: it has its own.
        .nest(dicomweb::ROOT, only(Right::Patients, dicomweb::router()))
        .layer(CatchPanicLayer::custom(error::panicked))
        // Outside everything that can fail, so that every answer is a page or JSON in words and
        // has the headers.
        .layer(from_fn_with_state(web.clone(), guard::requests))
        .layer(from_fn_with_state(web.clone(), error::render))
        .layer(from_fn_with_state(web.clone(), who::identify))
        .layer(from_fn(guard::headers))
        .with_state(web)
}

/// Routes for those who have a right.
fn only(right: Right, routes: Router<Web>) -> Router<Web> {
    routes.route_layer(from_fn(move |who: Who, request: Request, next: Next| {
        who::needs(right, who, request, next)
    }))
}

fn program_interface() -> Router<Web> {
    api::routes().into_iter().fold(Router::<Web>::new(), |router, (right, path, answer)| {
        router.merge(only(right, Router::new().route(path, answer)))
    })
}

fn patients() -> Router<Web> {
    Router::new()
        .route("/", get(worklist::page))
        .route("/events", get(live::events))
        .route("/study/{id}", get(study::page))
        .route("/study/{id}/picture/{place}", get(study::picture))
        .route("/study/{id}/series/{series}", get(slices::page))
        .route("/study/{id}/series/{series}/slice/{name}", get(slices::picture))
        .route("/study/{id}/series/{series}/thumbnail.jpg", get(slices::thumbnail))
        .route("/study/{id}/series/{series}/volume", get(volume::page))
        .route("/study/{id}/series/{series}/volume.nii.gz", get(volume::voxels))
        .route("/study/{id}/series/{series}/explanation.nii.gz", get(volume::explanation))
        .route("/study/{id}/context", post(study::context))
}

fn decisions() -> Router<Web> {
    Router::new()
        .route("/study/{id}/decide", post(study::decide))
        .route("/study/{id}/undo", post(study::undo))
}

fn operation() -> Router<Web> {
    Router::new()
        .route("/system", get(system::page))
        .route("/settings", get(system::settings))
        .route("/system/models/{digest}", post(system::model))
        .route("/system/deliveries/{id}", post(system::retry))
        .route("/system/outbox/{seq}", post(system::retry_row))
        .route("/metrics", get(metrics::page))
        .route("/quality", get(quality::page))
        .route("/quality/alarms/{id}", post(quality::acknowledge))
        .route("/quality/scanners/{id}", post(quality::rebaseline))
}

/// Answers until `shutdown` is ready, over TLS where that is given, then finishes the requests under
/// way.
///
/// # Errors
///
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let service = router.into_make_service_with_connect_info::<listen::Peer>();
    axum::serve(listen::Listener::new(listener, tls), service)
        .with_graceful_shutdown(shutdown)
        .await
}

/// What the frame around every page needs.
struct Frame {
    /// Seconds after which the browser loads the page again.
    refresh_s: Option<u32>,
    who: Who,
    /// What everything on the page is said in.
    words: Language,
    /// Where the reader is, to come back to.
    here: String,
    /// `worklist`, `quality`, `system`, `users` or none.
    section: &'static str,
    model: Option<ModelNow>,
    problems: usize,
    on_trial: Option<OnTrial>,
    version: &'static str,
}

impl Frame {
    fn new(web: &Web, who: &Who, uri: &Uri, words: Language, section: &'static str) -> Self {
        let status = web.status.borrow();
        Self {
            refresh_s: None,
            who: who.clone(),
            words,
            here: uri.path_and_query().map_or("/", |p| p.as_str()).to_owned(),
            section,
            model: status.model.clone(),
            problems: status.checks.iter().filter(|c| c.verdict == Verdict::Problem).count(),
            on_trial: status.trial.as_ref().and_then(|t| OnTrial::of(t, web.now(), words)),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    fn sees_patients(&self) -> bool {
        self.who.may(Right::Patients)
    }

    fn decides(&self) -> bool {
        self.who.may(Right::Decide)
    }

    fn chooses_models(&self) -> bool {
        self.who.may(Right::Models)
    }

    fn sets_references(&self) -> bool {
        self.who.may(Right::Reference)
    }

    fn changes_users(&self) -> bool {
        self.who.may(Right::Users)
    }

    fn keeps_settings(&self) -> bool {
        self.who.may(Right::Settings)
    }

    /// To choose from, and whether it is the one in use.
    fn languages(&self) -> Vec<(Language, bool)> {
        Language::OFFERED.map(|language| (language, language == self.words)).to_vec()
    }

    fn untrained(&self) -> Option<&ModelNow> {
        self.model.as_ref().filter(|model| model.untrained)
    }

    fn simulated(&self) -> Option<&ModelNow> {
        self.model.as_ref().filter(|model| model.simulated)
    }
}

fn html(template: &impl Template) -> Result<Response, Error> {
    Ok(Html(template.render().map_err(Error::Template)?).into_response())
}
