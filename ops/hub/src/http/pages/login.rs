//! Logging in and out, and one's own password.
//!
//! A session is a random secret in a cookie; the database has its digest. Each login makes a new
//! one, whatever cookie came with it, so that nobody can fix a session for somebody else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{ConnectInfo, FromRequestParts, Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::who::{COOKIE_NAME, Who, cookie};
use super::{Error, Frame, Web, home, html};
use crate::accounts::{self, Backoff, MAX_PASSWORD, MIN_PASSWORD};
use crate::store::audit::Entry;
use crate::store::users::{MAX_NAME, User};

/// Ten hours: a shift, so that the next one at the same computer logs in.
const LASTS_S: i64 = 36_000;
/// Passwords worked on at a time, each with 19 MiB.
const AT_A_TIME: usize = 2;
/// Where a proxy says whom it speaks for.
const FORWARDED: &str = "x-forwarded-for";

/// Who may try to log in, and how often. Each process counts for itself.
pub(super) struct Gate {
    names: Mutex<Backoff<String>>,
    addresses: Mutex<Backoff<IpAddr>>,
    working: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            names: Mutex::default(),
            addresses: Mutex::default(),
            working: Semaphore::new(AT_A_TIME),
        }
    }
}

impl Gate {
    /// A place to work on a guess, or the refusal of one that comes too soon after wrong ones.
    /// Whoever waited for the place is looked at again: what others guessed meanwhile counts.
    async fn enter(
        &self,
        web: &Web,
        name: &str,
        address: Address,
    ) -> Result<Option<SemaphorePermit<'_>>, Error> {
        self.look(name, address, web.now_ms())?;
        // The semaphore is never closed.
        let permit = self.working.acquire().await.ok();
        self.look(name, address, web.now_ms())?;
        Ok(permit)
    }

    fn look(&self, name: &str, address: Address, now_ms: i64) -> Result<(), Error> {
        let name = lock(&self.names).wait_ms(&name.to_owned(), now_ms);
        let address = lock(&self.addresses).wait_ms(&address.0, now_ms);
        let wait_ms = name.max(address);
        if wait_ms == 0 { Ok(()) } else { Err(Error::Wait { seconds: wait_ms / 1000 + 1 }) }
    }

    fn learn(&self, right: bool, name: &str, address: Address, now_ms: i64) {
        if right {
            lock(&self.names).right(&name.to_owned());
            lock(&self.addresses).right(&address.0);
        } else {
            lock(&self.names).wrong(name.to_owned(), now_ms);
            lock(&self.addresses).wrong(address.0, now_ms);
        }
    }
}

/// A panic while a lock was held left counts, which are still counts.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Address of the browser; of IPv6 the network.
#[derive(Clone, Copy)]
pub(super) struct Address(IpAddr);

impl FromRequestParts<Web> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map(|ConnectInfo(peer)| peer.ip().to_canonical());
        let behind_proxy = web.settings().behind_proxy;
        let named = behind_proxy.then(|| forwarded(&parts.headers)).flatten();
        Ok(Self(match named.or(peer) {
            None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            // One computer has as many addresses of its network as it likes (RFC 8981).
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            Some(address) => address,
        }))
    }
}

/// The last address in the header is what our proxy saw; those before it anybody may have written.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all(FORWARDED).iter().next_back()?.to_str().ok()?;
    let address: IpAddr = last.rsplit(',').next()?.trim().parse().ok()?;
    Some(address.to_canonical())
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    back: String,
    name: String,
    /// It did not work.
    refused: bool,
}

/// Where to go on.
#[derive(Deserialize)]
pub(super) struct Back {
    #[serde(default)]
    back: String,
}

/// Asks for name and password.
pub(super) async fn page(
    State(web): State<Web>,
    back: Result<Query<Back>, QueryRejection>,
) -> Result<Response, Error> {
    let back = local(back?.0.back);
    let frame = Frame::new(&web, &Who::default(), "");
    html(&LoginPage { frame, back, name: String::new(), refused: false })
}

/// Name and password.
#[derive(Deserialize)]
pub(super) struct Typed {
    name: String,
    password: String,
    #[serde(default)]
    back: String,
}

/// Opens a session.
pub(super) async fn log_in(
    State(web): State<Web>,
    address: Address,
    form: Result<Form<Typed>, FormRejection>,
) -> Result<Response, Error> {
    let Form(Typed { name, password, back }) = form?;
    let name: String = name.trim().chars().take(MAX_NAME).collect();
    let key = name.to_lowercase();
    let _permit = web.gate.enter(&web, &key, address).await?;
    web.blocking(move |web| {
        let account = web.store().account(&name)?;
        let hashed = account.as_ref().map(|(_, password)| password.as_str());
        let right = password.chars().count() <= MAX_PASSWORD && accounts::verify(&password, hashed);
        let user = account.map(|(user, _)| user).filter(|user| right && !user.removed);
        web.gate.learn(user.is_some(), &key, address, web.now_ms());
        let Some(user) = user else {
            note_failure(web, &name, address)?;
            let frame = Frame::new(web, &Who::default(), "");
            let page = html(&LoginPage { frame, back: local(back), name, refused: true })?;
            return Ok((StatusCode::UNAUTHORIZED, page).into_response());
        };
        let back = local(back);
        let to = match back.as_str() {
            _ if user.must_change => "/account",
            "/" => home(&user),
            back => back,
        };
        open(web, &user, to)
    })
    .await
}

/// A wrong guess is written down.
fn note_failure(web: &Web, name: &str, address: Address) -> Result<(), Error> {
    web.store().audit(&Entry {
        actor: "hub",
        action: "login.failure",
        object: &format!("user {name}"),
        detail: &json!({"address": address.0.to_string()}),
    })?;
    Ok(())
}

/// A new session, in a cookie that no script reads and that comes with no link from elsewhere.
fn open(web: &Web, user: &User, to: &str) -> Result<Response, Error> {
    let secret = accounts::secret()?;
    web.store().open_session(&user.name, &accounts::digest(&secret), LASTS_S * 1000)?;
    Ok(([(SET_COOKIE, set_cookie(web, &secret, LASTS_S))], Redirect::to(to)).into_response())
}

fn set_cookie(web: &Web, secret: &str, lasts_s: i64) -> String {
    let secure = if web.settings().secure { "; Secure" } else { "" };
    format!("{COOKIE_NAME}={secret}; Path=/; Max-Age={lasts_s}; HttpOnly; SameSite=Strict{secure}")
}

/// Ends the session.
pub(super) async fn log_out(State(web): State<Web>, headers: HeaderMap) -> Result<Response, Error> {
    if let Some(digest) = cookie(&headers).map(accounts::digest) {
        web.blocking(move |web| Ok(web.store().close_session(&digest)?)).await?;
    }
    Ok(([(SET_COOKIE, set_cookie(&web, "", 0))], Redirect::to("/login")).into_response())
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    user: User,
    min_password: usize,
}

/// One's own name, role and password.
pub(super) async fn account(State(web): State<Web>, who: Who) -> Result<Response, Error> {
    let user = who.user().ok_or(Error::LogIn)?.clone();
    html(&AccountPage { frame: Frame::new(&web, &who, ""), user, min_password: MIN_PASSWORD })
}

/// The present password and a new one, twice.
#[derive(Deserialize)]
pub(super) struct Passwords {
    present: String,
    new: String,
    again: String,
}

/// Changes one's own password, which ends all sessions but the new one that it opens.
pub(super) async fn change_password(
    State(web): State<Web>,
    who: Who,
    address: Address,
    form: Result<Form<Passwords>, FormRejection>,
) -> Result<Response, Error> {
    let user = who.user().ok_or(Error::LogIn)?.clone();
    let Form(Passwords { present, new, again }) = form?;
    let key = user.name.to_lowercase();
    let _permit = web.gate.enter(&web, &key, address).await?;
    web.blocking(move |web| {
        let (_, hashed) = web.store().account(&user.name)?.ok_or(Error::LogIn)?;
        let right = accounts::verify(&present, Some(&hashed));
        web.gate.learn(right, &key, address, web.now_ms());
        if !right {
            note_failure(web, &user.name, address)?;
            return Err(Error::Refused("the present password is another one".to_owned()));
        }
        if new != again {
            return Err(Error::Refused("the new password was typed in two ways".to_owned()));
        }
        if new == present {
            return Err(Error::Refused("the new password is the present one".to_owned()));
        }
        let hashed = accounts::hash_chosen(&user.name, &new)?;
        let user = web.store().set_password(&user.name, &hashed, false, &user.name)??;
        open(web, &user, home(&user))
    })
    .await
}

/// Only a path of ours: `//host` and `/\host` lead elsewhere, and a line break is another header.
fn local(back: String) -> String {
    let odd = |c: char| !c.is_ascii_graphic() || c == '\\';
    let ours = back.starts_with('/') && !back.starts_with("//") && !back.contains(odd);
    if ours { back } else { "/".to_owned() }
}
