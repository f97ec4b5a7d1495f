//! Why a request was not done, as the browser is told it. What failed inside goes to the log; the
//! page gets a sentence and no detail, because whoever reads it cannot repair it and may not be
//! meant to see it.

use std::any::Any;

use askama::Template;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{FormRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, Response as HttpResponse, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use firmware_config::trial::ConfirmError;
use serde_json::json;

use super::dicomweb::{self, DicomError};
use super::language::{Language, Sentence};
use super::live::STREAMS;
use super::who::Who;
use super::worklist::percent_encoded;
use super::{Frame, Web};
use crate::accounts::{AccountError, Right};
use crate::fault::chain;
use crate::slices::{SliceError, VolumeError};
use crate::store::StoreError;
use crate::store::decisions::DecisionError;
use crate::store::models::ModelSwitchError;
use crate::store::quality::alarms::AlarmError;
use crate::store::users::UserError;

mod said;

/// The word for [`Error::LogIn`].
const LOGIN_REQUIRED: &str = "login_required";

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such address.
    #[error("there is no page {0}")]
    NoPage(String),
    /// No row has this id.
    #[error("there is no study {0}")]
    NoStudy(i64),
    /// Nothing was explained, or the file is gone.
    #[error("study {0} has no such picture")]
    NoPicture(i64),
    /// The study has no series with this id.
    #[error("study {study_id} has no series {series_id}")]
    NoSeries {
        /// Row of the study.
        study_id: i64,
        /// Row of the series.
        series_id: i64,
    },
    /// The series is shorter.
    #[error("there is no slice {slice}; the series has {count}, counted from 1")]
    NoSlice {
        /// As asked for.
        slice: usize,
        /// Slices of the series.
        count: usize,
    },
    /// The series has fewer volumes.
    #[error("there is no volume {volume}; the series has {count}, counted from 1")]
    NoVolume {
        /// As asked for.
        volume: usize,
        /// Volumes of the series.
        count: usize,
    },
    /// Images arrived or went since the page was made, so the number may mean another slice.
    #[error("the series has changed since the page was loaded; load it again")]
    SeriesChanged,
    /// Images were deleted to make room.
    #[error("the images of study {0} were deleted to make room; its results are kept")]
    Evicted(i64),
    /// There is no picture of a slice.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// There is no volume of a series.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// No result that was given up has this id.
    #[error("no delivery {0} was given up; it may have been sent again already")]
    NoDelivery(i64),
    /// No result of this study has this id, or its model is switched off.
    #[error("study {study_id} has no result {inference_id} that can be shown")]
    NoResult {
        /// Row of the study.
        study_id: i64,
        /// Row of the result.
        inference_id: i64,
    },
    /// GET where POST is needed, or the reverse.
    #[error("this address cannot be used in this way")]
    Method,
    /// Addressed by a name that is not ours: DNS rebinding, or a name nobody configured.
    #[error(
        "this box is not known as {0:?}; open it by its IP address, or add the name to `web.host_names` \
         in its configuration"
    )]
    Host(String),
    /// A form from another site, or a program that does not say where it comes from.
    #[error(
        "this was not sent from a page of this box; open the page again, or, from a program, send \
         the header `Authorization: Bearer TOKEN`"
    )]
    Origin,
    /// Nobody is logged in.
    #[error(
        "log in first; a program sends the header `Authorization: Bearer TOKEN` with a token that \
         the users page or `appliance user token` makes"
    )]
    LogIn,
    /// The password was made for once.
    #[error("choose a password of your own first, on the page /account")]
    NewPassword,
    /// The role does not include it.
    #[error(
        "your role here is {role}, which may not {}; ask the administrator of this box",
        .right.words()
    )]
    Role {
        /// Of whoever asked.
        role: &'static str,
        /// What it may not.
        right: Right,
    },
    /// Guesses come too fast.
    #[error("too many wrong guesses; wait {} and try again", in_words(*seconds))]
    Wait {
        /// Until the next one is looked at.
        seconds: i64,
    },
    /// Every open page may ask for one.
    #[error(
        "{STREAMS} pages are told of changes already, which are the most; ask for the page itself"
    )]
    Streams,
    /// The first visitor guessed.
    #[error(
        "this is not the code of this box; it was printed where `appliance serve` was started, \
         and each start without users makes a new one"
    )]
    SetupCode,
    /// The password cannot be used.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The users were not changed.
    #[error(transparent)]
    Users(#[from] UserError),
    /// The request does not make sense.
    #[error("{0}")]
    Refused(Sentence),
    /// As [`Refused`](Self::Refused), in words that come from elsewhere.
    #[error("{0}")]
    Request(String),
    /// The decision was refused.
    #[error(transparent)]
    Decision(#[from] DecisionError),
    /// The model was not switched.
    #[error(transparent)]
    Model(#[from] ModelSwitchError),
    /// New settings were not kept.
    #[error(transparent)]
    Confirm(#[from] ConfirmError),
    /// Nothing was done with an alarm.
    #[error(transparent)]
    Alarm(#[from] AlarmError),
    /// A viewer's request was not done.
    #[error(transparent)]
    Dicom(#[from] DicomError),
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// A stored text cannot be read.
    #[error("a stored result cannot be read")]
    Stored(#[source] serde_json::Error),
    /// A page cannot be rendered.
    #[error("a page cannot be rendered")]
    Template(#[source] askama::Error),
    /// A handler's blocking part panicked.
    #[error("a request panicked")]
    Panic(#[source] tokio::task::JoinError),
}

impl Error {
    /// HTTP status, and the word programs go by.
    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoPage(_)
            | Self::NoStudy(_)
            | Self::NoDelivery(_)
            | Self::NoPicture(_)
            | Self::NoSeries { .. }
            | Self::NoSlice { .. }
            | Self::NoVolume { .. }
            | Self::NoResult { .. }
            | Self::Decision(DecisionError::NoStudy(_) | DecisionError::NoDecision(_))
            | Self::Model(ModelSwitchError::Unknown { .. })
            | Self::Alarm(AlarmError::NoAlarm(_) | AlarmError::NoScanner(_))
            | Self::Users(UserError::Unknown { .. } | UserError::NoToken { .. }) => {
                (StatusCode::NOT_FOUND, "not_found")
            }
            Self::SeriesChanged => (StatusCode::CONFLICT, "conflict"),
            Self::Confirm(error) => of_confirmation(error),
            Self::Evicted(_) => (StatusCode::GONE, "gone"),
            Self::Slice(error) | Self::Volume(VolumeError::Slice(error)) => of_slice(error),
            Self::Volume(
                VolumeError::Places
                | VolumeError::OneSlice
                | VolumeError::Uneven { .. }
                | VolumeError::TooLarge { .. }
                | VolumeError::Colour,
            ) => (StatusCode::UNPROCESSABLE_ENTITY, "unreadable"),
            Self::Dicom(error) => error.status(),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Host(_) => (StatusCode::MISDIRECTED_REQUEST, "unknown_host"),
            Self::Origin => (StatusCode::FORBIDDEN, "foreign_origin"),
            Self::LogIn => (StatusCode::UNAUTHORIZED, LOGIN_REQUIRED),
            Self::NewPassword => (StatusCode::FORBIDDEN, "password_expired"),
            Self::Role { .. } | Self::SetupCode => (StatusCode::FORBIDDEN, "forbidden"),
            Self::Wait { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_guesses"),
            Self::Streams => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Refused(_)
            | Self::Request(_)
            | Self::Decision(DecisionError::NoReason | DecisionError::LongReason(_))
            | Self::Alarm(AlarmError::NoReason | AlarmError::LongReason(_))
            | Self::Account(AccountError::Short(_) | AccountError::Long(_) | AccountError::Name)
            | Self::Users(UserError::Name { .. }) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::Decision(DecisionError::AlreadyUndone(_) | DecisionError::NoFinding { .. })
            | Self::Model(
                ModelSwitchError::Ambiguous { .. }
                | ModelSwitchError::NoEarlier
                | ModelSwitchError::Killed { .. },
            )
            | Self::Users(
                UserError::Exists { .. }
                | UserError::LastAdmin { .. }
                | UserError::NotFirst
                | UserError::TokenExists { .. },
            ) => (StatusCode::CONFLICT, "conflict"),
            Self::Decision(DecisionError::Store(error))
            | Self::Model(ModelSwitchError::Store(error))
            | Self::Users(UserError::Store(error))
            | Self::Alarm(AlarmError::Store(error))
            | Self::Store(error)
                if error.is_full() =>
            {
                (StatusCode::INSUFFICIENT_STORAGE, "disk_full")
            }
            Self::Decision(DecisionError::Store(_))
            | Self::Model(ModelSwitchError::Store(_))
            | Self::Users(UserError::Store(_))
            | Self::Alarm(AlarmError::Store(_))
            | Self::Account(AccountError::System(_))
            | Self::Store(_)
            | Self::Stored(_)
            | Self::Template(_)
            | Self::Volume(VolumeError::Compress(_))
            | Self::Panic(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    /// As a page says it, still without a capital letter and a full stop.
    pub(super) fn said(&self, words: Language) -> String {
        let said = said::said(self).map(|said| said.translated(words).to_string());
        said.unwrap_or_else(|| self.to_string())
    }
}

fn in_words(seconds: i64) -> String {
    format!("{seconds} second{}", if seconds == 1 { "" } else { "s" })
}

fn of_slice(error: &SliceError) -> (StatusCode, &'static str) {
    match error {
        SliceError::Unreadable(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unreadable"),
        SliceError::Encode(_) | SliceError::Panic(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal")
        }
    }
}

fn of_confirmation(error: &ConfirmError) -> (StatusCode, &'static str) {
    match error {
        ConfirmError::Nothing | ConfirmError::Late { .. } => (StatusCode::CONFLICT, "conflict"),
        ConfirmError::Disk { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

/// What a failed response carries to [`render`].
#[derive(Clone, Debug)]
struct Refusal {
    code: &'static str,
    /// For programs, in English.
    message: String,
    /// For people; without it they get the message.
    said: Option<Sentence>,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code) = self.status();
        let refusal = match status {
            StatusCode::INTERNAL_SERVER_ERROR => {
                tracing::error!(error = chain(&self), "a web request failed");
                Refusal::of(code, Language::En.say("error-internal"))
            }
            StatusCode::INSUFFICIENT_STORAGE => {
                tracing::error!(error = chain(&self), "a web request failed");
                Refusal::of(code, Language::En.say("error-disk-full"))
            }
            _ => Refusal { code, message: self.to_string(), said: said::said(&self) },
        };
        let mut response = status.into_response();
        if let Self::Wait { seconds } = self {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(refusal);
        response
    }
}

impl Refusal {
    fn of(code: &'static str, said: Sentence) -> Self {
        Self { code, message: said.to_string(), said: Some(said) }
    }
}

/// What everything that fails inside is called in English.
#[cfg(test)]
pub(super) const INTERNAL: &str = "something inside the box failed, and nothing was changed; try again, and \
                        if it stays so, call support and open the system page";

impl From<PathRejection> for Error {
    fn from(_: PathRejection) -> Self {
        Self::Refused(Language::En.say("error-number"))
    }
}

impl From<QueryRejection> for Error {
    fn from(rejection: QueryRejection) -> Self {
        Self::Request(rejection.body_text())
    }
}

impl From<FormRejection> for Error {
    fn from(rejection: FormRejection) -> Self {
        Self::body(rejection.status(), rejection.body_text())
    }
}

impl From<JsonRejection> for Error {
    fn from(rejection: JsonRejection) -> Self {
        Self::body(rejection.status(), rejection.body_text())
    }
}

impl Error {
    fn body(status: StatusCode, text: String) -> Self {
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::Refused(Language::En.say("error-too-long"));
        }
        Self::Request(text)
    }
}

/// A handler panicked. The message went to the log through the panic hook.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> HttpResponse<Body> {
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    let refusal = Refusal::of("internal", Language::En.say("error-internal"));
    response.extensions_mut().insert(refusal);
    response
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    title: String,
    message: String,
}

/// Gives a failed response its body: JSON where programs ask, else a page. Whoever opens a page without
/// being logged in comes back to it after that.
pub(super) async fn render(
    State(web): State<Web>,
    who: Who,
    words: Language,
    request: Request,
    next: Next,
) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    let status = response.status();
    // An answer that says itself what is wrong, such as `/healthz`, has a type.
    let has_body = response.headers().contains_key(CONTENT_TYPE);
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let refusal = match response.extensions().get::<Refusal>() {
        Some(refusal) => refusal.clone(),
        None if has_body => return response,
        None => Refusal::of("busy", Language::En.say("error-busy")),
    };
    let Refusal { code, message, said } = refusal;
    if for_programs(&uri) {
        let body = Json(json!({"error": {"code": code, "message": message}}));
        let mut answer = (status, body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            // Programs that know no tokens know this.
            let basic = uri.path().starts_with(dicomweb::ROOT);
            let challenge = if basic { "Basic realm=\"appliance\"" } else { "Bearer" };
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        return with_headers(answer, response.headers());
    }
    if method == Method::GET && code == LOGIN_REQUIRED {
        return to_login(&uri).into_response();
    }
    let mut frame = Frame::new(&web, &who, &uri, words, "");
    if method != Method::GET {
        // There is no page at the address of a form.
        frame.here = "/".to_owned();
    }
    let message = said.map_or(message, |said| said.translated(words).to_string());
    let title = words.say(said::title(status)).to_string();
    let page = ErrorPage { frame, title, message: sentence(&message) };
    let answer = match page.render() {
        Ok(page) => (status, Html(page)).into_response(),
        Err(_) => status.into_response(),
    };
    with_headers(answer, response.headers())
}

/// Addresses that programs use.
fn for_programs(uri: &Uri) -> bool {
    ["/api/", dicomweb::ROOT, "/events", "/metrics"].iter().any(|root| uri.path().starts_with(root))
}

fn to_login(uri: &Uri) -> Redirect {
    let here = uri.path_and_query().map_or("/", |here| here.as_str());
    let to = if here == "/" { String::new() } else { format!("?back={}", percent_encoded(here)) };
    Redirect::to(&format!("/login{to}"))
}

/// What the refusal said in headers stays.
fn with_headers(mut answer: Response, said: &HeaderMap) -> Response {
    if let Some(value) = said.get(RETRY_AFTER) {
        answer.headers_mut().insert(RETRY_AFTER, value.clone());
    }
    answer
}

/// With a capital letter and a full stop, which is a danda in Hindi.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(char::to_uppercase).into_iter().flatten();
    let mut sentence: String = first.chain(chars).collect();
    if !sentence.ends_with(['.', '।']) {
        sentence.push('.');
    }
    sentence
}
