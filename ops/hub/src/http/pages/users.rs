//! Users and roles, for the administrator.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::Response;
use serde::Deserialize;

use super::who::Who;
use super::{Error, Frame, Web, html};
use crate::accounts::{self, Role};
use crate::store::users::{MAX_NAME, User};

#[derive(Template)]
#[template(path = "users.html")]
struct Page {
    frame: Frame,
    users: Vec<User>,
    roles: [Role; 3],
    max_name: usize,
    done: Option<Done>,
}

/// What was done, and a password that is shown this once.
struct Done {
    said: String,
    password: Option<String>,
}

/// Shows all users.
pub(super) async fn page(State(web): State<Web>, who: Who) -> Result<Response, Error> {
    let frame = Frame::new(&web, &who, "users");
    web.blocking(move |web| show(web, frame, None)).await
}

fn show(web: &Web, frame: Frame, done: Option<Done>) -> Result<Response, Error> {
    let users = web.store().users()?;
    html(&Page { frame, users, roles: Role::ALL, max_name: MAX_NAME, done })
}

/// Fields of every form of the page; each has some of them.
#[derive(Deserialize)]
pub(super) struct Typed {
    action: String,
    name: String,
    #[serde(default)]
    role: String,
}

/// Changes a user. Answers with the page, because a password is shown once and stands in no
/// address.
pub(super) async fn change(
    State(web): State<Web>,
    who: Who,
    form: Result<Form<Typed>, FormRejection>,
) -> Result<Response, Error> {
    let Form(typed) = form?;
    let frame = Frame::new(&web, &who, "users");
    web.blocking(move |web| {
        let done = apply(web, &typed, who.name())?;
        show(web, frame, Some(done))
    })
    .await
}

fn apply(web: &Web, typed: &Typed, actor: &str) -> Result<Done, Error> {
    let (store, name) = (web.store(), typed.name.trim());
    let role = || {
        let none = || Error::Request(format!("{:?} is no role", typed.role));
        Role::of(&typed.role).ok_or_else(none)
    };
    let (said, password) = match typed.action.as_str() {
        "add" => {
            let password = accounts::one_time_password()?;
            store.add_account(name, role()?, &accounts::hash(&password)?, actor)??;
            (format!("{name} may log in with this password"), Some(password))
        }
        "reset" => {
            let password = accounts::one_time_password()?;
            store.set_password(name, &accounts::hash(&password)?, true, actor)??;
            (format!("{name} may log in with this new password"), Some(password))
        }
        "role" => {
            store.set_role(name, role()?, actor)??;
            (format!("{name} is {} now", typed.role), None)
        }
        "remove" => {
            store.remove_account(name, actor)??;
            (format!("{name} cannot log in any more"), None)
        }
        other => return Err(Error::Request(format!("{other:?} is nothing to do with a user"))),
    };
    Ok(Done { said, password })
}
