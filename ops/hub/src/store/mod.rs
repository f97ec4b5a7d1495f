//! All that the hub remembers, one file a subject, and all the SQL there is.

pub mod answers;
pub mod audit;
pub mod blobs;
pub mod commands;
mod effects;
pub mod escalations;
pub mod inbox;
pub mod offers;
pub mod outbound;
pub mod quality;
pub mod referrals;
pub mod rows;
pub mod sites;
#[cfg(test)]
pub(crate) mod testing;
pub mod users;

use std::borrow::Cow;
use std::sync::Arc;

use exchange::row::hex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::clock::Clock;
use crate::db::{Database, DbError, Transaction};

/// The schema's history, oldest first; a step that was released is never changed.
const STEPS: &[Step] = &[
    Step::Both(include_str!("../schema/01_sites.sql")),
    Step::Both(include_str!("../schema/02_rows.sql")),
    Step::Both(include_str!("../schema/03_blobs.sql")),
    Step::Both(include_str!("../schema/04_referrals.sql")),
    Step::Both(include_str!("../schema/05_users.sql")),
    Step::Both(include_str!("../schema/06_outbound.sql")),
    Step::Both(include_str!("../schema/07_quality.sql")),
    Step::Both(include_str!("../schema/08_models.sql")),
    Step::Both(include_str!("../schema/09_depth.sql")),
    Step::Partitions(include_str!("../schema/10_partitions.sql")),
];

/// One step of the schema.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// What both databases understand.
    Both(&'static str),
    /// For a database that has partitions; the other one counts the step and does nothing.
    Partitions(&'static str),
}

/// A transaction that succeeded has run its work, so that nobody sees this.
const NO_VALUE: DbError =
    DbError::Column { column: 0, found: None, expected: "a transaction's value" };

/// What the hub remembers.
#[derive(Clone, Debug)]
pub struct Store {
    database: Arc<dyn Database>,
    clock: Arc<dyn Clock>,
}

impl Store {
    /// A database with this program's schema.
    ///
    /// # Errors
    ///
    /// When the database fails, or is of a newer program.
    pub fn open(database: Arc<dyn Database>, clock: Arc<dyn Clock>) -> Result<Self, DbError> {
        Self::open_with(STEPS, database, clock)
    }

    fn open_with(
        steps: &[Step],
        database: Arc<dyn Database>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, DbError> {
        database.script("CREATE TABLE IF NOT EXISTS schema_version (step BIGINT PRIMARY KEY)")?;
        let store = Self { database, clock };
        let known = steps.len() as i64;
        loop {
            let found = store.schema()?;
            if found > known {
                return Err(DbError::Newer { found, known });
            }
            let step = usize::try_from(found).ok().and_then(|found| steps.get(found));
            let sql = match step {
                None => return Ok(store),
                Some(Step::Partitions(_)) if !store.database.has_partitions() => "",
                Some(Step::Both(sql) | Step::Partitions(sql)) => sql,
            };
            let number = found + 1;
            let whole = format!("INSERT INTO schema_version (step) VALUES ({number});\n{sql}");
            if let Err(error) = store.database.script(&whole) {
                // Another process that starts beside this one may have been first.
                if store.schema()? == found {
                    return Err(error);
                }
            }
        }
    }

    fn schema(&self) -> Result<i64, DbError> {
        self.read(|tx| {
            let rows = tx.query("SELECT coalesce(max(step), 0) FROM schema_version", &[])?;
            rows.first().map_or(Ok(0), |row| row.int(0))
        })
    }

    /// The clock whose times are stored.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// One transaction.
    fn write<T>(
        &self,
        mut work: impl FnMut(&mut dyn Transaction) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let mut value = None;
        self.database.transaction(&mut |tx| {
            value = Some(work(tx)?);
            Ok(())
        })?;
        value.ok_or(NO_VALUE)
    }

    /// One state of the database, without a wait for writers.
    fn read<T>(
        &self,
        mut work: impl FnMut(&mut dyn Transaction) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let mut value = None;
        self.database.read(&mut |tx| {
            value = Some(work(tx)?);
            Ok(())
        })?;
        value.ok_or(NO_VALUE)
    }
}

/// Longest text that stands in a key: PostgreSQL has no room for more than 2,704 bytes there.
const KEY_BYTES: usize = 200;

/// A text of a site as it stands in keys: its digest when it is longer than anybody honest needs.
fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= KEY_BYTES {
        return text.into();
    }
    hex(&Sha256::digest(text.as_bytes())).into()
}

/// A row that must be there is not.
fn expected(what: &'static str) -> DbError {
    DbError::Column { column: 0, found: None, expected: what }
}

/// What the hub itself wrote as JSON.
fn from_json<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T, DbError> {
    serde_json::from_str(text).map_err(|_| DbError::Column {
        column: 0,
        found: Some(text.into()),
        expected: what,
    })
}

/// JSON of plain data, which cannot fail but for numbers that JSON does not have.
fn to_json(value: &impl Serialize) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|error| DbError::Backend(Box::new(error)))
}

#[cfg(test)]
mod tests;
