//! Logging in and out, the first user of a box, and one's own password.
//!
//! A session is a random secret in a cookie; the database has its digest. Each login makes a new
//! one, whatever cookie came with it, so that nobody can fix a session for somebody else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{ConnectInfo, FromRequestParts, Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::language::Language;
use super::listen::Peer;
use super::who::{COOKIE_NAME, Who, cookie};
use super::{Error, Frame, Web, html};
use crate::accounts::{self, Backoff, MAX_PASSWORD, MIN_PASSWORD, Right};
use crate::store::audit::Entry;
use crate::store::users::{MAX_NAME, User};

/// Ten hours: a shift, so that the next reader at the same computer logs in.
const LASTS_S: i64 = 36_000;
/// Passwords worked on at a time, each with 19 MiB.
const AT_A_TIME: usize = 2;

/// What logging in needs beside the database.
#[derive(Debug)]
pub struct Gate {
    /// What the first visitor has to know; printed when the box starts without users.
    setup_code: Option<String>,
    names: Mutex<Backoff<String>>,
    addresses: Mutex<Backoff<IpAddr>>,
    working: Semaphore,
}

impl Gate {
    /// `setup_code` is that of a box without users.
    #[must_use]
    pub fn new(setup_code: Option<String>) -> Arc<Self> {
        Arc::new(Self {
            setup_code,
            names: Mutex::default(),
            addresses: Mutex::default(),
            working: Semaphore::new(AT_A_TIME),
        })
    }

    /// A place to work on a guess, or the refusal of one that comes too soon after wrong ones.
    /// Whoever waited for the place is looked at again: what others guessed meanwhile counts.
    async fn enter(
        &self,
        web: &Web,
        name: &str,
        address: Address,
    ) -> Result<Option<SemaphorePermit<'_>>, Error> {
        self.look(name, address, web.now())?;
        // The semaphore is never closed.
        let permit = self.working.acquire().await.ok();
        self.look(name, address, web.now())?;
        Ok(permit)
    }

    fn look(&self, name: &str, address: Address, now: i64) -> Result<(), Error> {
        let name = lock(&self.names).wait_ms(&name.to_owned(), now);
        let address = lock(&self.addresses).wait_ms(&address.0, now);
        let wait_ms = name.max(address);
        if wait_ms == 0 { Ok(()) } else { Err(Error::Wait { seconds: wait_ms / 1000 + 1 }) }
    }

    fn learn(&self, right: bool, name: &str, address: Address, now: i64) {
        if right {
            lock(&self.names).right(&name.to_owned());
            lock(&self.addresses).right(&address.0);
        } else {
            lock(&self.names).wrong(name.to_owned(), now);
            lock(&self.addresses).wrong(address.0, now);
        }
    }
}

/// A panic while a lock was held left counts, which are still counts.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Address of the peer; of IPv6 the network.
#[derive(Clone, Copy)]
pub(super) struct Address(IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>();
        Ok(Self(match peer.map(|ConnectInfo(peer)| peer.0.ip().to_canonical()) {
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

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    back: String,
    name: String,
    /// Why it did not work.
    refused: Option<String>,
}

/// Where to go on.
#[derive(Deserialize)]
pub(super) struct Back {
    #[serde(default)]
    back: String,
}

/// Asks for name and password, or on a new box for its first user.
pub(super) async fn page(
    State(web): State<Web>,
    uri: Uri,
    words: Language,
    back: Result<Query<Back>, QueryRejection>,
) -> Result<Response, Error> {
    let back = local(back?.0.back);
    let frame = Frame::new(&web, &Who::default(), &uri, words, "");
    web.store(move |web| {
        if web.store.has_no_users()? {
            return Ok(Redirect::to("/setup").into_response());
        }
        html(&LoginPage { frame, back, name: String::new(), refused: None })
    })
    .await
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
    uri: Uri,
    words: Language,
    form: Result<Form<Typed>, FormRejection>,
) -> Result<Response, Error> {
    let Form(Typed { name, password, back }) = form?;
    let key: String = name.trim().to_lowercase().chars().take(MAX_NAME).collect();
    let _permit = web.gate.enter(&web, &key, address).await?;
    let frame = Frame::new(&web, &Who::default(), &uri, words, "");
    web.store(move |web| {
        let account = web.store.account(&name)?;
        let hashed = account.as_ref().map(|account| account.password.as_str());
        let right = password.chars().count() <= MAX_PASSWORD && accounts::verify(&password, hashed);
        let user = account.map(|account| account.user).filter(|user| user.disabled_at.is_none());
        let user = user.filter(|_| right);
        web.gate.learn(user.is_some(), &key, address, web.now());
        let Some(user) = user else {
            note_failure(web, &name, address)?;
            let refused = Some(words.say("login-refused").to_string());
            let page = html(&LoginPage { frame, back: local(back), name, refused })?;
            return Ok((axum::http::StatusCode::UNAUTHORIZED, page).into_response());
        };
        let to = if user.must_change { "/account".to_owned() } else { local(back) };
        open(web, &user, &to)
    })
    .await
}

/// A wrong guess is written down, with the name as far as names go.
fn note_failure(web: &Web, name: &str, address: Address) -> Result<(), Error> {
    let name: String = name.chars().take(MAX_NAME).collect();
    web.store.audit(&Entry {
        actor: "web",
        action: "login.failure",
        object: &format!("user {name}"),
        detail: &json!({"address": address.0.to_string()}),
    })?;
    Ok(())
}

/// A new session, in a cookie that no script reads and that comes with no link from elsewhere.
fn open(web: &Web, user: &User, to: &str) -> Result<Response, Error> {
    // Service sees no worklist.
    let sees_patients = accounts::may(user.role, Right::Patients);
    let to = if to == "/" && !sees_patients { "/system" } else { to };
    let secret = accounts::secret()?;
    let actor = format!("web: {}", user.name);
    web.store.open_session(user, &accounts::digest(&secret), LASTS_S * 1000, &actor)?;
    Ok(([(SET_COOKIE, session_cookie(web, &secret, LASTS_S))], Redirect::to(to)).into_response())
}

/// A session that came over TLS is sent over nothing else.
fn session_cookie(web: &Web, secret: &str, lasts_s: i64) -> String {
    let secure = if web.encrypted { "; Secure" } else { "" };
    format!("{COOKIE_NAME}={secret}; Path=/; Max-Age={lasts_s}; HttpOnly; SameSite=Strict{secure}")
}

/// Ends the session.
pub(super) async fn log_out(
    State(web): State<Web>,
    who: Who,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let gone = session_cookie(&web, "", 0);
    if let Some(secret) = cookie(&headers, COOKIE_NAME) {
        let digest = accounts::digest(secret);
        web.store(move |web| Ok(web.store.close_session(&digest, &who.actor())?)).await?;
    }
    Ok(([(SET_COOKIE, gone)], Redirect::to("/login")).into_response())
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    frame: Frame,
    min_password: usize,
}

/// Asks for the first user.
pub(super) async fn setup_page(
    State(web): State<Web>,
    uri: Uri,
    words: Language,
) -> Result<Response, Error> {
    let frame = Frame::new(&web, &Who::default(), &uri, words, "");
    web.store(move |web| {
        if !web.store.has_no_users()? {
            return Ok(Redirect::to("/login").into_response());
        }
        html(&SetupPage { frame, min_password: MIN_PASSWORD })
    })
    .await
}

/// The first user.
#[derive(Deserialize)]
pub(super) struct First {
    code: String,
    name: String,
    password: String,
}

/// Makes the first user, an administrator, for whoever knows the code that the box printed.
pub(super) async fn set_up(
    State(web): State<Web>,
    address: Address,
    form: Result<Form<First>, FormRejection>,
) -> Result<Response, Error> {
    let Form(First { code, name, password }) = form?;
    let _permit = web.gate.enter(&web, "", address).await?;
    web.store(move |web| {
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let expected = web.gate.setup_code.as_deref().map(digits);
        let right = expected.is_some_and(|expected| digits(&code) == expected);
        web.gate.learn(right, "", address, web.now());
        if !right {
            note_failure(web, &name, address)?;
            return Err(Error::SetupCode);
        }
        let user = web.store.add_first_user(&name, &accounts::hash_chosen(&name, &password)?)?;
        open(web, &user, "/")
    })
    .await
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    role: &'static str,
    must_change: bool,
    min_password: usize,
}

/// One's own name, role and password.
pub(super) async fn account(
    State(web): State<Web>,
    who: Who,
    uri: Uri,
    words: Language,
) -> Result<Response, Error> {
    let user = who.user().ok_or(Error::LogIn)?;
    html(&AccountPage {
        frame: Frame::new(&web, &who, &uri, words, ""),
        role: user.role.word(),
        must_change: user.must_change,
        min_password: MIN_PASSWORD,
    })
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
    web.store(move |web| {
        let account = web.store.account(&user.name)?.ok_or(Error::LogIn)?;
        let right = accounts::verify(&present, Some(&account.password));
        web.gate.learn(right, &key, address, web.now());
        if !right {
            note_failure(web, &user.name, address)?;
            return Err(Error::Refused(Language::En.say("error-password-other")));
        }
        if new != again {
            return Err(Error::Refused(Language::En.say("error-password-twice")));
        }
        if new == present {
            return Err(Error::Refused(Language::En.say("error-password-same")));
        }
        let hashed = accounts::hash_chosen(&user.name, &new)?;
        let user = web.store.set_password(&user.name, &hashed, false, &who.actor())?;
        open(web, &user, "/")
    })
    .await
}

/// Only a path of ours: `//host` and `/\host` lead elsewhere, and a line break is another header.
pub(super) fn local(back: String) -> String {
    let odd = |c: char| !(c.is_ascii_graphic()) || c == '\\';
    let ours = back.starts_with('/') && !back.starts_with("//") && !back.contains(odd);
    if ours { back } else { "/".to_owned() }
}
