//! Users, roles and tokens, for the administrator.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;

use super::language::{Language, Sentence};
use super::who::Who;
use super::worklist::Moment;
use super::{Error, Frame, Web, html};
use crate::accounts;
use crate::store::users::{MAX_NAME, Role, User};

#[derive(Template)]
#[template(path = "users.html")]
struct Page {
    frame: Frame,
    users: Vec<User>,
    tokens: Vec<TokenView>,
    roles: [Role; 4],
    max_name: usize,
    /// What was done, and a secret that is shown this once.
    done: Option<(Sentence, Option<String>)>,
}

struct TokenView {
    user: String,
    program: String,
    seen: Moment,
}

/// Shows all users and tokens.
pub(super) async fn page(
    State(web): State<Web>,
    who: Who,
    uri: Uri,
    words: Language,
) -> Result<Response, Error> {
    let frame = Frame::new(&web, &who, &uri, words, "users");
    web.store(move |web| show(web, frame, None)).await
}

fn show(
    web: &Web,
    frame: Frame,
    done: Option<(Sentence, Option<String>)>,
) -> Result<Response, Error> {
    let (now, words) = (web.now(), frame.words);
    let tokens = web.store.tokens()?.into_iter().map(|token| TokenView {
        user: token.user,
        program: token.program,
        seen: Moment::new(token.seen_at, now, words),
    });
    html(&Page {
        frame,
        tokens: tokens.collect(),
        users: web.store.users()?,
        roles: Role::ALL,
        max_name: MAX_NAME,
        done,
    })
}

/// Fields of every form of the page; each has some of them.
#[derive(Debug, Deserialize)]
pub(super) struct Typed {
    action: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    program: String,
}

impl Typed {
    fn role(&self) -> Result<Role, Error> {
        Role::from_word(&self.role).ok_or_else(|| {
            let known = Role::ALL.map(Role::word).join(", ");
            let said = Language::En.say("error-no-role").with("role", format!("{:?}", self.role));
            Error::Refused(said.with("known", known))
        })
    }
}

/// Changes a user or a token. Answers with the page, because a secret is shown once and stands in
/// no address.
pub(super) async fn change(
    State(web): State<Web>,
    who: Who,
    uri: Uri,
    words: Language,
    form: Result<Form<Typed>, FormRejection>,
) -> Result<Response, Error> {
    let Form(typed) = form?;
    let frame = Frame::new(&web, &who, &uri, words, "users");
    web.store(move |web| {
        let done = apply(web, &typed, &who.actor(), words)?;
        show(web, frame, Some(done))
    })
    .await
}

fn apply(
    web: &Web,
    typed: &Typed,
    actor: &str,
    words: Language,
) -> Result<(Sentence, Option<String>), Error> {
    let (store, name) = (&web.store, typed.name.as_str());
    let program = typed.program.trim();
    Ok(match typed.action.as_str() {
        "add" => {
            let password = accounts::one_time_password()?;
            let user = store.add_user(name, typed.role()?, &accounts::hash(&password)?, actor)?;
            (words.say("users-added").with("name", user.name), Some(password))
        }
        "reset" => {
            let password = accounts::one_time_password()?;
            let hashed = accounts::hash(&password)?;
            let user = store.set_password(name, &hashed, true, actor)?;
            (words.say("users-was-reset").with("name", user.name), Some(password))
        }
        "role" => {
            let user = store.set_role(name, typed.role()?, actor)?;
            let said = words.say("users-role-now").with("name", user.name);
            (said.with("role", user.role.word()), None)
        }
        "disable" => {
            let user = store.set_disabled(name, true, actor)?;
            (words.say("users-disabled").with("name", user.name), None)
        }
        "enable" => {
            let user = store.set_disabled(name, false, actor)?;
            (words.say("users-enabled").with("name", user.name), None)
        }
        "token" => {
            let secret = accounts::secret()?;
            store.add_token(name, &typed.program, &accounts::digest(&secret), actor)?;
            (words.say("tokens-added").with("program", program).with("name", name), Some(secret))
        }
        "revoke" => {
            store.revoke_token(name, &typed.program, actor)?;
            (words.say("tokens-revoked").with("program", program).with("name", name), None)
        }
        other => {
            let said = Language::En.say("error-no-action").with("action", format!("{other:?}"));
            return Err(Error::Refused(said));
        }
    })
}
