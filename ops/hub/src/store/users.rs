//! Who may use the pages, and the sessions of their browsers.

use serde_json::json;

use super::audit::{self, Entry};
use super::{Store, expected};
use crate::accounts::Role;
use crate::db::{DbError, Record, Transaction};

/// Longest name, in characters.
pub const MAX_NAME: usize = 40;
/// How exactly the time of the last request is kept: not every request is worth a write.
const SEEN_MS: i64 = 60_000;

/// Somebody who may use the pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// As shown and written into the audit log.
    pub name: String,
    /// What they may do follows from it.
    pub role: Role,
    /// The password was made by the hub and opens nothing but the form for a new one.
    pub must_change: bool,
    /// They may not log in any more.
    pub removed: bool,
}

/// Why users were not changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// Not a name.
    #[error("{0:?} cannot be a name; give 1 to {MAX_NAME} characters without control characters")]
    Name(String),
    /// Taken.
    #[error("there is a user {0} already")]
    Exists(String),
    /// Nobody.
    #[error("there is no user {0:?}")]
    Unknown(String),
    /// Nobody could add users any more.
    #[error("{0} is the only administrator; make another one first")]
    LastAdmin(String),
}

/// What changing users gives: outside a failure of the database, inside why it was not done.
pub type Changed<T> = Result<Result<T, UserError>, DbError>;

impl Store {
    /// All users by name, those who were removed last.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn users(&self) -> Result<Vec<User>, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT name, role, must_change, removed_ms FROM account
                 ORDER BY CASE WHEN removed_ms IS NULL THEN 0 ELSE 1 END, name_key",
                &[],
            )?;
            rows.iter().map(user).collect()
        })
    }

    /// The user of this name, whatever its case, with the hash of the password.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn account(&self, name: &str) -> Result<Option<(User, String)>, DbError> {
        self.read(|tx| find(tx, name))
    }

    /// Adds a user whose password is for once, or lets a removed one in again.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn add_account(&self, name: &str, role: Role, password: &str, actor: &str) -> Changed<()> {
        let name = name.trim();
        let length = name.chars().count();
        if !(1..=MAX_NAME).contains(&length) || name.contains(char::is_control) {
            return Ok(Err(UserError::Name(name.to_owned())));
        }
        let now_ms = self.clock().now_ms();
        self.write(|tx| {
            let added = tx.execute(
                "INSERT INTO account (name_key, name, role, password, must_change, created_ms)
                 VALUES ($1, $2, $3, $4, 1, $5)
                 ON CONFLICT (name_key) DO UPDATE SET role = excluded.role,
                 password = excluded.password, must_change = 1, removed_ms = NULL
                 WHERE account.removed_ms IS NOT NULL",
                &[
                    key(name).into(),
                    name.into(),
                    role.word().into(),
                    password.into(),
                    now_ms.into(),
                ],
            )?;
            if added == 0 {
                return Ok(Err(UserError::Exists(name.to_owned())));
            }
            note(tx, now_ms, actor, "user.add", name, role.word())?;
            Ok(Ok(()))
        })
    }

    /// Sets a password, which ends all sessions of the user; one that was made by the hub is for
    /// once.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn set_password(
        &self,
        name: &str,
        password: &str,
        must_change: bool,
        actor: &str,
    ) -> Changed<User> {
        let now_ms = self.clock().now_ms();
        self.write(|tx| {
            let changed = tx.execute(
                "UPDATE account SET password = $1, must_change = $2
                 WHERE name_key = $3 AND removed_ms IS NULL",
                &[password.into(), must_change.into(), key(name).into()],
            )?;
            if changed == 0 {
                return Ok(Err(UserError::Unknown(name.to_owned())));
            }
            end_sessions(tx, name)?;
            note(tx, now_ms, actor, "user.password", name, "")?;
            let (user, _) = find(tx, name)?.ok_or_else(|| expected("a user"))?;
            Ok(Ok(user))
        })
    }

    /// Gives a user another role.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn set_role(&self, name: &str, role: Role, actor: &str) -> Changed<()> {
        self.change(name, actor, ("user.role", role.word()), |tx, _| {
            tx.execute(
                "UPDATE account SET role = $1 WHERE name_key = $2",
                &[role.word().into(), key(name).into()],
            )
        })
    }

    /// Lets a user in no more, and ends their sessions.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn remove_account(&self, name: &str, actor: &str) -> Changed<()> {
        self.change(name, actor, ("user.remove", ""), |tx, now_ms| {
            end_sessions(tx, name)?;
            tx.execute(
                "UPDATE account SET removed_ms = $1 WHERE name_key = $2",
                &[now_ms.into(), key(name).into()],
            )
        })
    }

    /// A change of a user after which an administrator must be left.
    fn change(
        &self,
        name: &str,
        actor: &str,
        (action, detail): (&str, &str),
        mut work: impl FnMut(&mut dyn Transaction, i64) -> Result<u64, DbError>,
    ) -> Changed<()> {
        let now_ms = self.clock().now_ms();
        self.write(|tx| {
            // Locks the administrators, so that two do not remove each other.
            let admins = tx.query(
                "UPDATE account SET role = role WHERE role = 'admin' AND removed_ms IS NULL
                 RETURNING name_key",
                &[],
            )?;
            let Some((user, _)) = find(tx, name)?.filter(|(user, _)| !user.removed) else {
                return Ok(Err(UserError::Unknown(name.to_owned())));
            };
            let stays = action == "user.role" && detail == Role::Admin.word();
            if user.role == Role::Admin && admins.len() == 1 && !stays {
                return Ok(Err(UserError::LastAdmin(user.name)));
            }
            work(tx, now_ms)?;
            note(tx, now_ms, actor, action, &user.name, detail)?;
            Ok(Ok(()))
        })
    }

    /// Opens a session for whoever has the secret of this digest.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn open_session(&self, name: &str, digest: &str, lasts_ms: i64) -> Result<(), DbError> {
        let now_ms = self.clock().now_ms();
        self.write(|tx| {
            tx.execute("DELETE FROM session WHERE expires_ms < $1", &[now_ms.into()])?;
            tx.execute(
                "INSERT INTO session (digest, name_key, seen_ms, expires_ms)
                 VALUES ($1, $2, $3, $4)",
                &[digest.into(), key(name).into(), now_ms.into(), (now_ms + lasts_ms).into()],
            )?;
            note(tx, now_ms, name, "login", name, "")
        })
    }

    /// Who holds the secret of this digest, unless it was not used for too long.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn session(&self, digest: &str, idle_ms: i64) -> Result<Option<User>, DbError> {
        let now_ms = self.clock().now_ms();
        self.write(|tx| {
            let rows = tx.query(
                "SELECT account.name, account.role, account.must_change, account.removed_ms,
                 session.seen_ms
                 FROM session JOIN account ON account.name_key = session.name_key
                 WHERE session.digest = $1 AND session.expires_ms > $2 AND session.seen_ms > $3
                 AND account.removed_ms IS NULL",
                &[digest.into(), now_ms.into(), (now_ms - idle_ms).into()],
            )?;
            let Some(row) = rows.first() else { return Ok(None) };
            if row.int(4)? + SEEN_MS < now_ms {
                tx.execute(
                    "UPDATE session SET seen_ms = $1 WHERE digest = $2",
                    &[now_ms.into(), digest.into()],
                )?;
            }
            user(row).map(Some)
        })
    }

    /// Ends a session.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn close_session(&self, digest: &str) -> Result<(), DbError> {
        self.write(|tx| {
            tx.execute("DELETE FROM session WHERE digest = $1", &[digest.into()])?;
            Ok(())
        })
    }
}

/// Two names differ in more than their case.
fn key(name: &str) -> String {
    name.trim().to_lowercase()
}

fn user(row: &Record) -> Result<User, DbError> {
    Ok(User {
        name: row.text(0)?.to_owned(),
        role: Role::of(row.text(1)?).ok_or_else(|| expected("a role"))?,
        must_change: row.flag(2)?,
        removed: row.maybe_int(3)?.is_some(),
    })
}

fn find(tx: &mut dyn Transaction, name: &str) -> Result<Option<(User, String)>, DbError> {
    let rows = tx.query(
        "SELECT name, role, must_change, removed_ms, password FROM account WHERE name_key = $1",
        &[key(name).into()],
    )?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some((user(row)?, row.text(4)?.to_owned())))
}

fn end_sessions(tx: &mut dyn Transaction, name: &str) -> Result<(), DbError> {
    tx.execute("DELETE FROM session WHERE name_key = $1", &[key(name).into()])?;
    Ok(())
}

fn note(
    tx: &mut dyn Transaction,
    now_ms: i64,
    actor: &str,
    action: &str,
    name: &str,
    detail: &str,
) -> Result<(), DbError> {
    let detail = if detail.is_empty() { json!({}) } else { json!({"role": detail}) };
    let entry = Entry { actor, action, object: &format!("user {name}"), detail: &detail };
    audit::append(tx, now_ms, &entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::store;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn a_user_is_added_removed_and_let_in_again() {
        let (store, _) = store();
        let add = |name: &str, role| store.add_account(name, role, "h", "test").unwrap();
        add("Ada", Role::Admin).unwrap();
        add("Bob", Role::Specialist).unwrap();
        assert_eq!(add(" bob ", Role::Admin), Err(UserError::Exists("bob".into())));
        assert_eq!(add("a\nb", Role::Admin), Err(UserError::Name("a\nb".into())));
        store.remove_account("BOB", "test").unwrap().unwrap();
        let unknown = store.remove_account("bob", "test").unwrap();
        assert_eq!(unknown, Err(UserError::Unknown("bob".into())));
        assert!(store.users().unwrap()[1].removed);
        add("bob", Role::Coordinator).unwrap();
        let (bob, _) = store.account("bob").unwrap().unwrap();
        assert_eq!((bob.name.as_str(), bob.role, bob.removed), ("Bob", Role::Coordinator, false));
    }

    #[test]
    fn an_administrator_is_left() {
        let (store, _) = store();
        store.add_account("Ada", Role::Admin, "h", "test").unwrap().unwrap();
        let last = Err(UserError::LastAdmin("Ada".into()));
        assert_eq!(store.remove_account("ada", "test").unwrap(), last);
        assert_eq!(store.set_role("ada", Role::Specialist, "test").unwrap(), last);
        assert_eq!(store.set_role("ada", Role::Admin, "test").unwrap(), Ok(()));
        store.add_account("Bob", Role::Admin, "h", "test").unwrap().unwrap();
        assert_eq!(store.remove_account("ada", "test").unwrap(), Ok(()));
    }

    #[test]
    fn a_session_ends_by_age_idleness_removal_and_a_new_password() {
        let (store, clock) = store();
        store.add_account("Ada", Role::Specialist, "h", "test").unwrap().unwrap();
        let open = |digest: &str| store.open_session("ada", digest, 3 * HOUR_MS).unwrap();
        let holder = |digest: &str| store.session(digest, HOUR_MS).unwrap().map(|user| user.name);
        open("d1");
        assert_eq!(holder("d1"), Some("Ada".into()));
        assert_eq!(holder("d2"), None);
        for _ in 0..5 {
            clock.forward(HOUR_MS / 2);
            assert!(holder("d1").is_some());
        }
        clock.forward(HOUR_MS / 2);
        assert_eq!(holder("d1"), None, "too old");
        open("d3");
        clock.forward(HOUR_MS);
        assert_eq!(holder("d3"), None, "idle");
        open("d4");
        store.set_password("ada", "h2", false, "ada").unwrap().unwrap();
        assert_eq!(holder("d4"), None, "another password");
        open("d5");
        store.close_session("d5").unwrap();
        assert_eq!(holder("d5"), None, "closed");
        open("d6");
        store.add_account("Bob", Role::Admin, "h", "test").unwrap().unwrap();
        store.remove_account("ada", "test").unwrap().unwrap();
        assert_eq!(holder("d6"), None, "removed");
    }
}
