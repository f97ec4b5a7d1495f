//! Who asks: the session of a browser, or the token of a program.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Error, Web};
use crate::accounts::{self, Right};
use crate::fault::chain;
use crate::store::users::{Role, Session, User};
use crate::store::{Store, StoreError};

/// Name of the cookie.
pub(super) const COOKIE_NAME: &str = "session";
/// A browser that asks for nothing is logged out after so long. The worklist asks by itself, so
/// that a screen on the wall stays.
const IDLE_MS: i64 = 3_600_000;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Who(Option<Session>);

impl Who {
    pub(super) fn user(&self) -> Option<&User> {
        self.0.as_ref().map(|session| &session.user)
    }

    /// Empty for nobody.
    pub(super) fn name(&self) -> &str {
        self.user().map_or("", |user| &user.name)
    }

    pub(super) fn role(&self) -> Option<Role> {
        self.user().map(|user| user.role)
    }

    pub(super) fn may(&self, right: Right) -> bool {
        self.role().is_some_and(|role| accounts::may(role, right))
    }

    /// Refuses those who have not a right.
    pub(super) fn must(&self, right: Right) -> Result<(), Error> {
        let Session { user, program } = self.0.as_ref().ok_or(Error::LogIn)?;
        // A token was made by somebody who had logged in.
        if user.must_change && program.is_empty() {
            return Err(Error::NewPassword);
        }
        let role = user.role.word();
        self.may(right).then_some(()).ok_or(Error::Role { role, right })
    }

    /// As written into the audit log.
    pub(super) fn actor(&self) -> String {
        match &self.0 {
            None => "web".to_owned(),
            Some(Session { user, program }) if program.is_empty() => format!("web: {}", user.name),
            Some(Session { user, program }) => format!("api: {} ({program})", user.name),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

/// Puts [`Who`] into the request.
pub(super) async fn identify(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let who = match presented(request.headers()) {
        None => Who::default(),
        Some(secret) => secret.holder(&web, Store::session).await,
    };
    request.extensions_mut().insert(who);
    next.run(request).await
}

/// Lets in only those who have a right.
pub(super) async fn needs(right: Right, who: Who, request: Request, next: Next) -> Response {
    match who.must(right) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Looks up who holds the secret of a digest.
type Find = fn(&Store, &[u8; 32], i64) -> Result<Option<Session>, StoreError>;

/// The secret a request presents, and how.
pub(super) struct Presented {
    text: String,
    /// Presented by a program, as opposed to a browser's cookie.
    token: bool,
    /// Name beside the token (RFC 7617).
    name: Option<String>,
}

impl Presented {
    /// Whose it is now, for an answer that goes on.
    pub(super) async fn holder_still(&self, web: &Web) -> Who {
        self.holder(web, Store::session_still).await
    }

    /// Whose it is. A database that fails knows nobody.
    async fn holder(&self, web: &Web, find: Find) -> Who {
        let digest = accounts::digest(&self.text);
        let found = web.store(move |web| Ok(find(&web.store, &digest, IDLE_MS)?)).await;
        let found = found.unwrap_or_else(|error| {
            tracing::error!(error = chain(&error), "who asks is not known");
            None
        });
        Who(found.filter(|session| self.fits(session)))
    }

    /// A cookie is no token and a token no cookie, and a name that is given must be right.
    fn fits(&self, session: &Session) -> bool {
        self.token != session.program.is_empty()
            && self
                .name
                .as_ref()
                .is_none_or(|name| name.to_lowercase() == session.user.name.to_lowercase())
    }
}

/// `Authorization: Bearer TOKEN`, or for programs that know nothing else `Basic NAME:TOKEN`; else
/// the cookie.
pub(super) fn presented(headers: &HeaderMap) -> Option<Presented> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Presented { text: rest.trim().to_owned(), token: true, name: None });
        }
        let pair = String::from_utf8(BASE64_STANDARD.decode(rest.trim()).ok()?).ok()?;
        let (name, token) =
            pair.split_once(':').filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let name = Some(name.to_owned());
        return Some(Presented { text: token.to_owned(), token: true, name });
    }
    let text = cookie(headers, COOKIE_NAME)?.to_owned();
    Some(Presented { text, token: false, name: None })
}

/// The value of a cookie.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|cookie| cookie.to_str().ok());
    let mut pairs = cookies.flat_map(|cookie| cookie.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}
