//! The `user` commands, which work beside a daemon that runs.

use appliance::accounts;
use appliance::app::open_store;
use appliance::store::Store;
use appliance::store::users::User;

use crate::arguments::{Place, UserCommand};
use crate::failure::Failure;
use crate::operate::ACTOR;
use crate::print;

/// Changes users, or lists them.
pub(crate) fn user(command: &UserCommand, place: &Place) -> Result<(), Failure> {
    let store = open_store(&place.load()?)?;
    let said = match command {
        UserCommand::List => list(&store)?,
        UserCommand::Add { name, role } => {
            let password = accounts::one_time_password()?;
            let user = store.add_user(name, *role, &accounts::hash(&password)?, ACTOR)?;
            format!("{}password for the first login: {password}\n", line(&user))
        }
        UserCommand::Reset { name } => {
            let password = accounts::one_time_password()?;
            let user = store.set_password(name, &accounts::hash(&password)?, true, ACTOR)?;
            format!("{}password for the next login: {password}\n", line(&user))
        }
        UserCommand::Role { name, role } => line(&store.set_role(name, *role, ACTOR)?),
        UserCommand::Disable { name } => line(&store.set_disabled(name, true, ACTOR)?),
        UserCommand::Enable { name } => line(&store.set_disabled(name, false, ACTOR)?),
        UserCommand::Token { name, program } => {
            let secret = accounts::secret()?;
            store.add_token(name, program, &accounts::digest(&secret), ACTOR)?;
            format!("{secret}\n")
        }
        UserCommand::Revoke { name, program } => {
            store.revoke_token(name, program, ACTOR)?;
            format!("the token of {program} for {name} is void\n")
        }
    };
    print(&said)
}

fn list(store: &Store) -> Result<String, Failure> {
    let (users, tokens) = (store.users()?, store.tokens()?);
    if users.is_empty() {
        return Ok("there is no user; see `appliance user add --help`\n".to_owned());
    }
    let tokens = tokens.iter().map(|t| format!("token    {} for {}\n", t.program, t.user));
    Ok(users.iter().map(line).chain(tokens).collect())
}

fn line(user: &User) -> String {
    let kept_out = if user.disabled_at.is_some() { ", kept out" } else { "" };
    format!("{:<8} {}{kept_out}\n", user.role.word(), user.name)
}
