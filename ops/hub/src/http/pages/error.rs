//! Why a request was not done, as the browser is told it. What failed inside goes to the log; the
//! page gets a sentence and no detail, because whoever reads it cannot repair it and may not be
//! meant to see it.

use std::any::Any;
use std::io;

use askama::Template;
use axum::body::Body;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, Response as HttpResponse, StatusCode};
use axum::response::{Html, IntoResponse, Response};

use super::Frame;
use super::picture::PictureError;
use crate::accounts::{AccountError, Right};
use crate::db::DbError;
use crate::fault;
use crate::store::answers::AnswerError;
use crate::store::sites::SiteError;
use crate::store::users::UserError;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("there is no such page")]
    NoPage,
    #[error("there is no such referral")]
    NoReferral,
    #[error("the referral has no such picture")]
    NoPicture,
    #[error("the picture cannot be shown: {0}")]
    Picture(#[from] PictureError),
    #[error("this address cannot be used in this way")]
    Method,
    #[error(
        "this hub is not known as {0:?}; open it by its proper name, or add the name to `host_names` \
         in its configuration"
    )]
    Host(String),
    #[error("this was not sent from a page of this hub; open the page again")]
    Origin,
    #[error("log in first")]
    LogIn,
    #[error("choose a password of your own first, on the page /account")]
    NewPassword,
    #[error(
        "your role here is {role}, which may not {}; ask the administrator of this hub",
        .right.words()
    )]
    Role { role: &'static str, right: Right },
    #[error("too many wrong guesses; wait {seconds} seconds and try again")]
    Wait { seconds: i64 },
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Site(#[from] SiteError),
    #[error("the request cannot be read: {0}")]
    Request(String),
    #[error("the database failed")]
    Database(#[from] DbError),
    #[error("a stored object cannot be read")]
    Blob(#[source] io::Error),
    #[error("the page could not be made")]
    Template(#[source] askama::Error),
    #[error("the work for this page ended too early")]
    Panic(#[source] tokio::task::JoinError),
}

impl Error {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoPage | Self::NoReferral | Self::NoPicture => StatusCode::NOT_FOUND,
            Self::Picture(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::LogIn => StatusCode::UNAUTHORIZED,
            Self::Origin | Self::NewPassword | Self::Role { .. } => StatusCode::FORBIDDEN,
            Self::Wait { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Answer(AnswerError::Unknown) | Self::Site(SiteError::Unknown(_)) => {
                StatusCode::NOT_FOUND
            }
            Self::Answer(AnswerError::Changed) => StatusCode::CONFLICT,
            Self::Request(_) => StatusCode::BAD_REQUEST,
            Self::Account(AccountError::System(_))
            | Self::Site(SiteError::Database(_) | SiteError::Random(_))
            | Self::Database(_)
            | Self::Blob(_)
            | Self::Template(_)
            | Self::Panic(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Refused(_)
            | Self::Answer(_)
            | Self::User(_)
            | Self::Account(_)
            | Self::Site(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

impl From<FormRejection> for Error {
    fn from(rejection: FormRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::Refused("this is too long".to_owned());
        }
        Self::Request(rejection.body_text())
    }
}

impl From<QueryRejection> for Error {
    fn from(rejection: QueryRejection) -> Self {
        Self::Request(rejection.body_text())
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    title: &'static str,
    message: String,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut message = self.to_string();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = fault::chain(&self), "a page failed");
            message = "the hub failed at this; its log says why".to_owned();
        }
        let mut response = page(status, &message);
        if let Self::Wait { seconds } = self
            && let Ok(value) = HeaderValue::from_str(&seconds.to_string())
        {
            response.headers_mut().insert(RETRY_AFTER, value);
        }
        response
    }
}

fn page(status: StatusCode, message: &str) -> Response {
    let frame = Frame {
        refresh_s: None,
        user: None,
        name: String::new(),
        section: "",
        version: env!("CARGO_PKG_VERSION"),
    };
    let page = ErrorPage { frame, title: title(status), message: sentence(message) };
    match page.render() {
        Ok(page) => (status, Html(page)).into_response(),
        Err(_) => status.into_response(),
    }
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "Not here",
        StatusCode::UNAUTHORIZED => "Log in",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::CONFLICT => "It has changed",
        StatusCode::TOO_MANY_REQUESTS => "Wait a little",
        status if status.is_server_error() => "That failed",
        _ => "That was not done",
    }
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(char::to_uppercase).into_iter().flatten();
    let mut sentence: String = first.chain(chars).collect();
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}

/// A handler panicked. The message went to the log through the panic hook.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> HttpResponse<Body> {
    page(StatusCode::INTERNAL_SERVER_ERROR, "the hub failed at this; its log says why")
}
