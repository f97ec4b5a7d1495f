//! Who decides. There is no login yet: readers type their name once, and it is kept in a cookie of
//! their browser for a shift. It is written beside every decision, and nobody checks it.

use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{FromRequestParts, Query, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::{Error, Frame, Web, html};

/// Longest name, in characters.
const MAX_NAME: usize = 60;
/// Ten hours: a shift, so that the next reader at the same computer is asked again.
const MAX_AGE_S: u32 = 36_000;

/// The name the reader gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Who(String);

impl Who {
    /// From the cookie `name`, which holds the name's UTF-8 bytes in hexadecimal: a cookie cannot
    /// hold them as they are (RFC 6265 4.1.1).
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let cookies = headers.get_all(COOKIE).into_iter().filter_map(|c| c.to_str().ok());
        let value = cookies.flat_map(|c| c.split("; ")).find_map(|c| c.strip_prefix("name="));
        let bytes = value.and_then(from_hexadecimal).unwrap_or_default();
        Self::new(&String::from_utf8_lossy(&bytes))
    }

    fn new(typed: &str) -> Self {
        let clean: String = typed.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
        Self(clean.trim().to_owned())
    }

    /// Empty for none.
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// As written into the audit log.
    pub(super) fn actor(&self) -> String {
        if self.0.is_empty() { "web".to_owned() } else { format!("web: {}", self.0) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.headers))
    }
}

#[derive(Template)]
#[template(path = "who.html")]
struct WhoPage {
    frame: Frame,
    back: String,
}

/// Where to go on.
#[derive(Deserialize)]
pub(super) struct Back {
    #[serde(default)]
    back: String,
}

/// The form's fields.
#[derive(Deserialize)]
pub(super) struct Typed {
    name: String,
    #[serde(default)]
    back: String,
}

/// Asks for the name.
pub(super) async fn page(
    State(web): State<Web>,
    who: Who,
    uri: Uri,
    back: Result<Query<Back>, QueryRejection>,
) -> Result<Response, Error> {
    html(&WhoPage { frame: Frame::new(&web, &who, &uri, ""), back: local(back?.0.back) })
}

/// Keeps the name; an empty one forgets it.
pub(super) async fn set(form: Result<Form<Typed>, FormRejection>) -> Result<Response, Error> {
    let Form(typed) = form?;
    let value = Who::new(&typed.name).0.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    let age = if value.is_empty() { 0 } else { MAX_AGE_S };
    let cookie = format!("name={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict");
    Ok(([(SET_COOKIE, cookie)], Redirect::to(&local(typed.back))).into_response())
}

/// Only a path of ours: `//host` and `/\host` lead elsewhere, and a line break is another header.
fn local(back: String) -> String {
    let odd = |c: char| !(c.is_ascii_graphic()) || c == '\\';
    let ours = back.starts_with('/') && !back.starts_with("//") && !back.contains(odd);
    if ours { back } else { "/".to_owned() }
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).take(4 * MAX_NAME);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}
