//! Users, and the sessions of their browsers and programs.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior};
use serde::Serialize;
use serde_json::json;

use super::audit::{self, Entry};
use super::{Store, StoreError};

/// Longest name of a user and of a program, in characters.
pub const MAX_NAME: usize = 40;
/// How exactly the time of the last request is kept: not every request is worth a write.
const SEEN_MS: i64 = 60_000;

/// What somebody is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the scanner.
    Tech,
    /// Reads studies.
    Reader,
    /// Looks after users and models, and may do all that others do.
    Admin,
    /// Repairs the box and sees no patient.
    Service,
}

impl Role {
    /// All.
    pub const ALL: [Self; 4] = [Self::Tech, Self::Reader, Self::Admin, Self::Service];

    /// As stored and typed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tech => "tech",
            Self::Reader => "reader",
            Self::Admin => "admin",
            Self::Service => "service",
        }
    }

    /// The role of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// Somebody who may use the box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// Row.
    pub id: i64,
    /// As shown and written into the audit log.
    pub name: String,
    /// What they may do follows from it.
    pub role: Role,
    /// The password was made by the box and opens nothing but the form for a new one.
    pub must_change: bool,
    /// Since when they may not log in.
    pub disabled_at: Option<i64>,
}

/// A user with what proves them.
#[derive(Clone, Debug)]
pub struct Account {
    /// Who.
    pub user: User,
    /// PHC string.
    pub password: String,
}

/// Who holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub user: User,
    /// What a token is for; empty for a browser.
    pub program: String,
}

/// A token of a program, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Whose rights it has.
    pub user: String,
    /// What it is for.
    pub program: String,
    /// Box time of its last use, to the minute.
    pub seen_at: i64,
}

/// Why users were not changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Not a name.
    #[error(
        "{name:?} cannot be a name; give 1 to {MAX_NAME} characters without `:` and control characters"
    )]
    Name {
        /// As typed.
        name: String,
    },
    /// Taken.
    #[error("there is a user {name} already")]
    Exists {
        /// As stored.
        name: String,
    },
    /// Nobody.
    #[error("there is no user {name:?}")]
    Unknown {
        /// As typed.
        name: String,
    },
    /// Nobody could add users any more.
    #[error("{name} is the only administrator; make another one first")]
    LastAdmin {
        /// Who.
        name: String,
    },
    /// Only an empty box makes its first user without one who is logged in.
    #[error("this box has users already; ask its administrator to add you")]
    NotFirst,
    /// A second token of the same name.
    #[error("{user} has a token for {program} already; revoke it first")]
    TokenExists {
        /// Whose.
        user: String,
        /// What for.
        program: String,
    },
    /// No such token.
    #[error("{user} has no token for {program:?}")]
    NoToken {
        /// Whose.
        user: String,
        /// What for.
        program: String,
    },
    /// The database failed.
    #[error("the users were not changed")]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for UserError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

const COLUMNS: &str = "user.id, user.name, user.role, user.must_change, user.disabled_at";

impl Store {
    /// True as long as nobody can log in.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn has_no_users(&self) -> Result<bool, StoreError> {
        self.read(|db| Ok(count_users(db)? == 0))
    }

    /// All users by name.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn users(&self) -> Result<Vec<User>, StoreError> {
        self.read(|db| {
            let sql = format!("SELECT {COLUMNS} FROM user ORDER BY name_key");
            let mut query = db.prepare_cached(&sql)?;
            let rows = query.query_map([], user)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The user of this name, whatever its case.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn account(&self, name: &str) -> Result<Option<Account>, StoreError> {
        self.read(|db| find(db, name))
    }

    /// Adds a user whose password is for once.
    ///
    /// # Errors
    ///
    /// When the name is none or taken, or the database fails.
    pub fn add_user(
        &self,
        name: &str,
        role: Role,
        password: &str,
        actor: &str,
    ) -> Result<User, UserError> {
        self.change_users(|tx| {
            let user = insert(tx, name, (role, password, true), self.clock().now())?;
            let detail = json!({"role": role});
            self.user_audit(tx, actor, ("user.add", &user.name), &detail)?;
            Ok(user)
        })
    }

    /// Adds the administrator of a box that has no user.
    ///
    /// # Errors
    ///
    /// When it has one, the name is none, or the database fails.
    pub fn add_first_user(&self, name: &str, password: &str) -> Result<User, UserError> {
        self.change_users(|tx| {
            if count_users(tx)? > 0 {
                return Err(UserError::NotFirst);
            }
            let user = insert(tx, name, (Role::Admin, password, false), self.clock().now())?;
            self.user_audit(tx, "setup", ("user.add", &user.name), &json!({"role": user.role}))?;
            Ok(user)
        })
    }

    /// Sets a password and ends all sessions, and with a password for once all tokens too: whoever
    /// held them may be why there is a new one.
    ///
    /// # Errors
    ///
    /// When there is no such user or the database fails.
    pub fn set_password(
        &self,
        name: &str,
        password: &str,
        for_once: bool,
        actor: &str,
    ) -> Result<User, UserError> {
        self.change_users(|tx| {
            let user = known(tx, name)?;
            tx.execute(
                "UPDATE user SET password = ?, must_change = ? WHERE id = ?",
                (password, for_once, user.id),
            )?;
            tx.execute(
                "DELETE FROM session WHERE user_id = ? AND (program = '' OR ?)",
                (user.id, for_once),
            )?;
            let detail = json!({"for_once": for_once});
            self.user_audit(tx, actor, ("user.password", &user.name), &detail)?;
            Ok(user)
        })
    }

    /// Gives a user another role.
    ///
    /// # Errors
    ///
    /// When there is no such user, no administrator would be left, or the database fails.
    pub fn set_role(&self, name: &str, role: Role, actor: &str) -> Result<User, UserError> {
        self.change_users(|tx| {
            let user = known(tx, name)?;
            tx.execute("UPDATE user SET role = ? WHERE id = ?", (role.word(), user.id))?;
            some_admin(tx, &user)?;
            self.user_audit(tx, actor, ("user.role", &user.name), &json!({"role": role}))?;
            Ok(User { role, ..user })
        })
    }

    /// Keeps a user out, sessions and tokens included, or lets them in again.
    ///
    /// # Errors
    ///
    /// When there is no such user, no administrator would be left, or the database fails.
    pub fn set_disabled(&self, name: &str, disabled: bool, actor: &str) -> Result<User, UserError> {
        self.change_users(|tx| {
            let user = known(tx, name)?;
            let disabled_at = disabled.then(|| self.clock().now());
            tx.execute("UPDATE user SET disabled_at = ? WHERE id = ?", (disabled_at, user.id))?;
            if disabled {
                tx.execute("DELETE FROM session WHERE user_id = ?", [user.id])?;
                some_admin(tx, &user)?;
            }
            let action = if disabled { "user.disable" } else { "user.enable" };
            self.user_audit(tx, actor, (action, &user.name), &json!({}))?;
            Ok(User { disabled_at, ..user })
        })
    }

    /// Opens a session of a browser, known by the digest of its secret.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn open_session(
        &self,
        user: &User,
        digest: &[u8; 32],
        lasts_ms: i64,
        actor: &str,
    ) -> Result<(), StoreError> {
        let now = self.clock().now();
        self.write(|tx| {
            tx.execute("DELETE FROM session WHERE expires_at <= ?", [now])?;
            tx.execute(
                "INSERT INTO session (digest, user_id, created_at, seen_at, expires_at)
                 VALUES (?, ?, ?3, ?3, ?)",
                rusqlite::params![&digest[..], user.id, now, now + lasts_ms],
            )?;
            self.user_audit(tx, actor, ("login.success", &user.name), &json!({}))
        })
    }

    /// Makes a token for a program, with the rights of a user, known by the digest of its secret.
    ///
    /// # Errors
    ///
    /// When there is no such user, it has one of this name, or the database fails.
    pub fn add_token(
        &self,
        name: &str,
        program: &str,
        digest: &[u8; 32],
        actor: &str,
    ) -> Result<(), UserError> {
        let program = clean(program)?;
        self.change_users(|tx| {
            let user = known(tx, name)?;
            let taken: bool = tx.query_row(
                "SELECT EXISTS (SELECT 1 FROM session WHERE user_id = ? AND program = ?)",
                (user.id, &program),
                |row| row.get(0),
            )?;
            if taken {
                return Err(UserError::TokenExists { user: user.name, program });
            }
            let now = self.clock().now();
            tx.execute(
                "INSERT INTO session (digest, user_id, program, created_at, seen_at)
                 VALUES (?, ?, ?, ?4, ?4)",
                rusqlite::params![&digest[..], user.id, program, now],
            )?;
            let detail = json!({"program": program});
            Ok(self.user_audit(tx, actor, ("user.token", &user.name), &detail)?)
        })
    }

    /// Ends a token.
    ///
    /// # Errors
    ///
    /// When there is no such user or token, or the database fails.
    pub fn revoke_token(&self, name: &str, program: &str, actor: &str) -> Result<(), UserError> {
        self.change_users(|tx| {
            let user = known(tx, name)?;
            let gone = tx.execute(
                "DELETE FROM session WHERE user_id = ? AND program = ? AND program <> ''",
                (user.id, program),
            )?;
            if gone == 0 {
                return Err(UserError::NoToken { user: user.name, program: program.to_owned() });
            }
            let detail = json!({"program": program});
            Ok(self.user_audit(tx, actor, ("user.revoke", &user.name), &detail)?)
        })
    }

    /// All tokens, by user and program.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT user.name, program, seen_at FROM session JOIN user ON user.id = user_id
                 WHERE program <> '' ORDER BY name_key, program",
            )?;
            let token = |row: &Row<'_>| {
                Ok(Token { user: row.get(0)?, program: row.get(1)?, seen_at: row.get(2)? })
            };
            let rows = query.query_map([], token)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Who holds the secret of this digest; `None` when it is unknown or its time is over, which
    /// for a browser is also when it asked nothing for `idle_ms`.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn session(&self, digest: &[u8; 32], idle_ms: i64) -> Result<Option<Session>, StoreError> {
        let now = self.clock().now();
        let found = self.read(|db| find_session(db, digest, now, idle_ms))?;
        let Some((session, seen_at)) = found else { return Ok(None) };
        if seen_at <= now - SEEN_MS {
            self.write(|tx| {
                tx.execute("UPDATE session SET seen_at = ? WHERE digest = ?", (now, &digest[..]))?;
                Ok(())
            })?;
        }
        Ok(Some(session))
    }

    /// [`Store::session`] for an answer that goes on: no request, so that it does not keep a
    /// browser logged in that asks nothing.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn session_still(
        &self,
        digest: &[u8; 32],
        idle_ms: i64,
    ) -> Result<Option<Session>, StoreError> {
        let now = self.clock().now();
        let found = self.read(|db| find_session(db, digest, now, idle_ms))?;
        Ok(found.map(|(session, _)| session))
    }

    /// Ends a session of a browser.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn close_session(&self, digest: &[u8; 32], actor: &str) -> Result<(), StoreError> {
        self.write(|tx| {
            let sql = "DELETE FROM session WHERE digest = ? AND program = ''";
            // Nobody who is not logged in gets a row of the audit log.
            if tx.execute(sql, [&digest[..]])? == 0 {
                return Ok(());
            }
            self.user_audit(tx, actor, ("login.out", ""), &json!({}))
        })
    }

    /// One transaction that a refusal leaves without effect.
    fn change_users<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, UserError>,
    ) -> Result<T, UserError> {
        let mut writer = self.writer();
        let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&tx)?;
        tx.commit()?;
        Ok(value)
    }

    fn user_audit(
        &self,
        tx: &Transaction<'_>,
        actor: &str,
        (action, name): (&str, &str),
        detail: &serde_json::Value,
    ) -> Result<(), StoreError> {
        let object = if name.is_empty() { String::new() } else { format!("user {name}") };
        audit::append(tx, self.clock(), &Entry { actor, action, object: &object, detail })
    }
}

/// A session that is not over, and when it asked last.
fn find_session(
    db: &Connection,
    digest: &[u8; 32],
    now: i64,
    idle_ms: i64,
) -> Result<Option<(Session, i64)>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, program, seen_at FROM session JOIN user ON user.id = user_id
         WHERE digest = ?1 AND disabled_at IS NULL
           AND (program <> '' OR expires_at > ?2 AND seen_at > ?2 - ?3)"
    );
    let mut query = db.prepare_cached(&sql)?;
    let found = query.query_row((&digest[..], now, idle_ms), |row| {
        Ok((Session { user: user(row)?, program: row.get(5)? }, row.get(6)?))
    });
    Ok(found.optional()?)
}

fn count_users(db: &Connection) -> Result<i64, StoreError> {
    Ok(db.query_row("SELECT count(*) FROM user", [], |row| row.get(0))?)
}

fn find(db: &Connection, name: &str) -> Result<Option<Account>, StoreError> {
    let sql = format!("SELECT {COLUMNS}, password FROM user WHERE name_key = ?");
    let mut query = db.prepare_cached(&sql)?;
    let found = query.query_row([name.trim().to_lowercase()], |row| {
        Ok(Account { user: user(row)?, password: row.get(5)? })
    });
    Ok(found.optional()?)
}

fn known(tx: &Transaction<'_>, name: &str) -> Result<User, UserError> {
    let account = find(tx, name)?;
    account.map(|a| a.user).ok_or_else(|| UserError::Unknown { name: name.to_owned() })
}

fn insert(
    tx: &Transaction<'_>,
    name: &str,
    (role, password, must_change): (Role, &str, bool),
    now: i64,
) -> Result<User, UserError> {
    let name = clean(name)?;
    if let Some(taken) = find(tx, &name)? {
        return Err(UserError::Exists { name: taken.user.name });
    }
    tx.execute(
        "INSERT INTO user (name, name_key, role, password, must_change, created_at)
         VALUES (?, ?, ?, ?, ?, ?)",
        (&name, name.to_lowercase(), role.word(), password, must_change, now),
    )?;
    Ok(User { id: tx.last_insert_rowid(), name, role, must_change, disabled_at: None })
}

/// A colon ends the name in HTTP Basic credentials (RFC 7617 2).
fn clean(name: &str) -> Result<String, UserError> {
    let trimmed = name.trim();
    let good = !trimmed.is_empty()
        && trimmed.chars().count() <= MAX_NAME
        && !trimmed.contains(|c: char| c.is_control() || c == ':');
    if good { Ok(trimmed.to_owned()) } else { Err(UserError::Name { name: name.to_owned() }) }
}

/// Refuses what leaves nobody who can add users.
fn some_admin(tx: &Transaction<'_>, changed: &User) -> Result<(), UserError> {
    let left: i64 = tx.query_row(
        "SELECT count(*) FROM user WHERE role = 'admin' AND disabled_at IS NULL",
        [],
        |row| row.get(0),
    )?;
    if left == 0 && changed.role == Role::Admin {
        return Err(UserError::LastAdmin { name: changed.name.clone() });
    }
    Ok(())
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    let role: String = row.get(2)?;
    Ok(User {
        id: row.get(0)?,
        name: row.get(1)?,
        // The schema knows no other words.
        role: Role::from_word(&role).unwrap_or(Role::Tech),
        must_change: row.get(3)?,
        disabled_at: row.get(4)?,
    })
}

#[cfg(test)]
mod tests;
