//! Which requests are let in, and the headers of every answer.
//!
//! The box is addressed without a name of its own in a network it does not control, so the usual
//! cross-site defences cannot lean on a domain: a page elsewhere must neither read this one by
//! pointing its own name at the box (DNS rebinding: the `Host` is checked), nor post to it (the
//! `Origin` is checked).

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::{Error, Web};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a page may load; pictures also from more sources.
macro_rules! policy {
    ($pictures:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:",
            $pictures,
            "; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        )
    };
}

/// Of the page that NiiVue draws on, which carries its letters and a light as `data:` pictures.
pub(super) const POLICY_WITH_DATA_IMAGES: &str = policy!(" data:");

/// Headers of every answer.
///
/// - Nothing but our own style sheet, script and pictures is loaded, and no page is framed. `blob:`
///   pictures are those that the script has fetched from here.
/// - Patient data stay in no cache, but for pictures of slices, which say so themselves.
/// - `same-origin`, not `no-referrer`: under the latter browsers send `Origin: null` with our own
///   forms (Fetch, "append a request Origin header"), and over plain HTTP to an IP address they
///   send no `Sec-Fetch-Site` that could stand in.
const HEADERS: [(&str, &str); 7] = [
    ("content-security-policy", policy!("")),
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Adds [`HEADERS`].
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Refuses what is not meant for us or does not come from us.
pub(super) async fn requests(State(web): State<Web>, request: Request, next: Next) -> Response {
    match check(&web.hosts, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn check(hosts: &[String], request: &Request) -> Result<(), Error> {
    let named = request.headers().get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
    let named = named.unwrap_or_default();
    let host = named.parse::<Authority>().ok().filter(|host| is_ours(hosts, host));
    let host = host.ok_or_else(|| Error::Host(named.into_owned()))?;
    let reads = request.method() == Method::GET || request.method() == Method::HEAD;
    if reads || same_origin(request.headers(), &host) { Ok(()) } else { Err(Error::Origin) }
}

/// A name that another site can point at us is not ours unless it was configured; an IP address
/// or `localhost` cannot be pointed anywhere.
fn is_ours(hosts: &[String], host: &Authority) -> bool {
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|ours| ours.eq_ignore_ascii_case(name))
}

/// `Origin` decides where it is present; browsers that leave it out say `Sec-Fetch-Site`. Who says
/// neither is a program, and comes with a token of its own, which no page elsewhere can send.
fn same_origin(headers: &HeaderMap, host: &Authority) -> bool {
    let Some(origin) = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()) else {
        return match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
            Some(site) => matches!(site, b"same-origin" | b"none"),
            None => headers.contains_key(AUTHORIZATION),
        };
    };
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host.as_str()))
}
