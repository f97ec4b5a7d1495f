//! The `hub user` commands, which work beside a hub that runs.

use crate::accounts::{self, AccountError, Role};
use crate::db::DbError;
use crate::store::Store;
use crate::store::users::{User, UserError};

/// Who changes users from the command line, for the audit log.
const ACTOR: &str = "command line";

/// Why users were not changed or listed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No such role.
    #[error("{0:?} is no role; choose coordinator, specialist or admin")]
    Role(String),
    /// See there.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// See there.
    #[error(transparent)]
    User(#[from] UserError),
    /// See there.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// Adds a user, or lets a removed one in again; says the password for the first login.
///
/// # Errors
///
/// When there is no such role, the name is taken, or the system fails.
pub fn add(store: &Store, name: &str, role: &str) -> Result<String, CommandError> {
    let role = Role::of(role).ok_or_else(|| CommandError::Role(role.to_owned()))?;
    let password = accounts::one_time_password()?;
    store.add_account(name, role, &accounts::hash(&password)?, ACTOR)??;
    Ok(format!("{} {}\npassword for the first login: {password}\n", role.word(), name.trim()))
}

/// Lists the users, one a line.
///
/// # Errors
///
/// When the database fails.
pub fn list(store: &Store) -> Result<String, CommandError> {
    let users = store.users()?;
    if users.is_empty() {
        return Ok("there is no user; see `hub user add --help`\n".to_owned());
    }
    Ok(users.iter().map(line).collect())
}

/// Lets a user in no more.
///
/// # Errors
///
/// When there is no such user, or nobody could add users any more.
pub fn remove(store: &Store, name: &str) -> Result<String, CommandError> {
    store.remove_account(name, ACTOR)??;
    Ok(format!("{} cannot log in any more\n", name.trim()))
}

fn line(user: &User) -> String {
    let removed = if user.removed { ", removed" } else { "" };
    format!("{:<12} {}{removed}\n", user.role.word(), user.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::store;

    #[test]
    fn users_are_added_listed_and_removed() {
        let (store, _) = store();
        assert!(list(&store).unwrap().starts_with("there is no user"));
        let said = add(&store, "Ada", "admin").unwrap();
        let password = said.trim().rsplit(' ').next().unwrap();
        let (_, hashed) = store.account("ada").unwrap().unwrap();
        assert!(accounts::verify(password, Some(&hashed)), "{said}");
        add(&store, "Bob", "specialist").unwrap();
        remove(&store, "bob").unwrap();
        assert_eq!(list(&store).unwrap(), "admin        Ada\nspecialist   Bob, removed\n");
        let refused = add(&store, "Cy", "nurse").unwrap_err().to_string();
        assert_eq!(refused, "\"nurse\" is no role; choose coordinator, specialist or admin");
    }
}
