//! All that the hub remembers, one file a subject, and all the SQL there is.

pub mod outbound;

use std::sync::Arc;

use crate::clock::Clock;
use crate::db::{Database, DbError, Transaction};

/// The schema's history, oldest first; a step that was released is never changed.
const STEPS: &[&str] = &[include_str!("../schema/06_outbound.sql")];

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
        database.script("CREATE TABLE IF NOT EXISTS schema_version (step BIGINT NOT NULL)")?;
        let store = Self { database, clock };
        let known = STEPS.len() as i64;
        let found = store.write(|tx| {
            let rows = tx.query("SELECT coalesce(max(step), 0) FROM schema_version", &[])?;
            rows.first().map_or(Ok(0), |row| row.int(0))
        })?;
        if found > known {
            return Err(DbError::Newer { found, known });
        }
        for (step, sql) in (1..).zip(STEPS).filter(|(step, _)| *step > found) {
            let number = format!("INSERT INTO schema_version (step) VALUES ({step})");
            store.database.script(&format!("{sql};\n{number}"))?;
        }
        Ok(store)
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
        // A transaction that succeeded has run its work.
        value.ok_or(DbError::Column { column: 0, found: None, expected: "a transaction's value" })
    }
}
