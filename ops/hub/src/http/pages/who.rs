//! Who asks: the session of a browser.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::words::percent_encoded;
use super::{Error, Web, path_of};
use crate::accounts::{self, Right, may};
use crate::fault;
use crate::store::users::User;

/// Name of the cookie.
pub(super) const COOKIE_NAME: &str = "session";
/// A browser that asks for nothing is logged out after so long. The inbox asks by itself, so that
/// a screen on the wall stays.
const IDLE_MS: i64 = 3_600_000;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Who(Option<User>);

impl Who {
    pub(super) fn user(&self) -> Option<&User> {
        self.0.as_ref()
    }

    /// As written into the audit log; empty for nobody.
    pub(super) fn name(&self) -> &str {
        self.user().map_or("", |user| &user.name)
    }

    /// Refuses those who have not a right.
    fn must(&self, right: Right) -> Result<(), Error> {
        let user = self.user().ok_or(Error::LogIn)?;
        if user.must_change && right != Right::Own {
            return Err(Error::NewPassword);
        }
        let role = user.role.word();
        if may(user.role, right) { Ok(()) } else { Err(Error::Role { role, right }) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

/// Puts [`Who`] into the request. A database that fails knows nobody.
pub(super) async fn identify(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let digest = cookie(request.headers()).map(accounts::digest);
    let who = match digest {
        None => Who::default(),
        Some(digest) => {
            let found = web.blocking(move |web| Ok(web.store().session(&digest, IDLE_MS)?)).await;
            Who(found.unwrap_or_else(|failed| {
                tracing::error!(error = fault::chain(&failed), "who asks is not known");
                None
            }))
        }
    };
    request.extensions_mut().insert(who);
    next.run(request).await
}

/// Lets in only those who have a right. Whoever opens a page without being logged in comes back to
/// it after that.
pub(super) async fn needs(right: Right, who: Who, request: Request, next: Next) -> Response {
    let opens = request.method() == Method::GET;
    match who.must(right) {
        Ok(()) => next.run(request).await,
        Err(Error::LogIn) if opens => {
            let here = percent_encoded(&path_of(request.uri()));
            Redirect::to(&format!("/login?back={here}")).into_response()
        }
        Err(Error::NewPassword) if opens => Redirect::to("/account").into_response(),
        Err(error) => error.into_response(),
    }
}

/// The secret of a session.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|cookie| cookie.to_str().ok());
    let mut pairs = cookies.flat_map(|cookie| cookie.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
}
