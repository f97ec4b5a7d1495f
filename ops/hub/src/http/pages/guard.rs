//! Which requests are let in, and the headers of every answer.
//!
//! A page elsewhere must neither read these pages by pointing its own name at the hub (DNS
//! rebinding: the `Host` is checked), nor post to them (the `Origin` is checked).

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::{Error, Web};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Headers of every answer: nothing but our own script, style sheet and pictures is loaded,
/// no page is framed, and patient data stay in no cache. `same-origin`, not `no-referrer`: under
/// the latter browsers send `Origin: null` with our own forms.
const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
    ),
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
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Refuses what is not meant for us or does not come from us.
pub(super) async fn requests(State(web): State<Web>, request: Request, next: Next) -> Response {
    match check(&web.settings().host_names, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn check(hosts: &[String], request: &Request) -> Result<(), Error> {
    let named = request.headers().get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
    // HTTP/2 names the host in the address.
    let named = match (named, request.uri().authority()) {
        (Some(named), _) => named.into_owned(),
        (None, Some(authority)) => authority.to_string(),
        (None, None) => String::new(),
    };
    let host = named.parse::<Authority>().ok().filter(|host| is_ours(hosts, host));
    let host = host.ok_or(Error::Host(named))?;
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
/// neither is no browser, and nobody else posts here.
fn same_origin(headers: &HeaderMap, host: &Authority) -> bool {
    let Some(origin) = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()) else {
        let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
        return site.is_some_and(|site| matches!(site, b"same-origin" | b"none"));
    };
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host.as_str()))
}
