//! What happened, in words: the list on the system page, for the telephone with support.

use rusqlite::Transaction;
use serde::Serialize;

use super::{Store, StoreError};

/// Events kept.
const KEPT: i64 = 5000;

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Something was refused or degraded.
    Warning,
    /// Somebody must act.
    Error,
}

impl Level {
    /// As stored.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One event as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Order of events.
    pub id: i64,
    /// Box time in milliseconds.
    pub at: i64,
    /// `info`, `warning` or `error`.
    pub level: String,
    /// Part of the appliance: `receive`, `store`, `model`, `disk` ...
    pub area: String,
    /// One sentence, without patient identifiers.
    pub text: String,
}

impl Store {
    /// Notes an event.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn note(&self, level: Level, area: &str, text: &str) -> Result<(), StoreError> {
        let at = self.clock.now();
        self.write(|tx| insert(tx, at, level, area, text))
    }

    /// The latest events, newest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn events(&self, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT id, at, level, area, text FROM event ORDER BY id DESC LIMIT ?",
            )?;
            let rows = query.query_map([limit.cast_signed()], |row| {
                Ok(Event {
                    id: row.get(0)?,
                    at: row.get(1)?,
                    level: row.get(2)?,
                    area: row.get(3)?,
                    text: row.get(4)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// For use inside another transaction.
pub(in crate::store) fn insert(
    tx: &Transaction<'_>,
    at: i64,
    level: Level,
    area: &str,
    text: &str,
) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT INTO event (at, level, area, text) VALUES (?, ?, ?, ?)")?
        .execute((at, level.word(), area, text))?;
    let newest = tx.last_insert_rowid();
    tx.prepare_cached("DELETE FROM event WHERE id <= ?")?.execute([newest - KEPT])?;
    Ok(())
}
