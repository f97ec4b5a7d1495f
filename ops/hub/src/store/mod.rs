//! All that the hub remembers, one file a subject, and all the SQL there is.

pub mod blobs;
mod effects;
pub mod rows;
pub mod sites;
pub mod outbound;

use std::sync::Arc;

use crate::clock::Clock;
use crate::db::{Database, DbError, Transaction};

/// The schema's history, oldest first; a step that was released is never changed.
const STEPS: &[&str] = &[
    include_str!("../schema/01_sites.sql"),
    include_str!("../schema/02_rows.sql"),
    include_str!("../schema/03_blobs.sql"),
    include_str!("../schema/06_outbound.sql"),
];

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
        database.script("CREATE TABLE IF NOT EXISTS schema_version (step BIGINT PRIMARY KEY)")?;
        let store = Self { database, clock };
        let known = STEPS.len() as i64;
        loop {
            let found = store.schema()?;
            if found > known {
                return Err(DbError::Newer { found, known });
            }
            let step = usize::try_from(found).ok().and_then(|found| STEPS.get(found));
            let Some(sql) = step else { return Ok(store) };
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
