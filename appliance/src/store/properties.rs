//! Facts about the database itself, and what a start needs to know of the run before.

use rusqlite::{Connection, OptionalExtension as _};

use super::{Store, StoreError};

/// Box time as last written down.
const BOX_TIME: &str = "box_time_at";
/// Present while the daemon runs; found at a start it means that the last stop was none.
const RUNNING: &str = "running";
/// Identity of this database file: a restored copy gets another.
const EPOCH: &str = "epoch";

impl Store {
    /// The latest box time that anything in the database carries, for
    /// [`crate::clock::SystemClock::resume`]; 0 in a new one.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn last_seen(&self) -> Result<i64, StoreError> {
        self.read(|db| {
            let noted = property(db, BOX_TIME)?.and_then(|text| text.parse().ok()).unwrap_or(0);
            let newest: i64 = db.query_row(
                "SELECT max(coalesce((SELECT received_at FROM instance ORDER BY id DESC LIMIT 1), 0),
                            coalesce((SELECT finished_at FROM inference ORDER BY id DESC LIMIT 1), 0),
                            coalesce((SELECT at FROM event ORDER BY id DESC LIMIT 1), 0),
                            coalesce((SELECT at FROM audit ORDER BY seq DESC LIMIT 1), 0))",
                [],
                |row| row.get(0),
            )?;
            Ok(newest.max(noted))
        })
    }

    /// Writes the box time down.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn note_time(&self) -> Result<(), StoreError> {
        let now = self.clock.now().to_string();
        self.write(|tx| set_property(tx, BOX_TIME, &now))
    }

    /// Marks the daemon as running; `true` when the run before did not stop in good order.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn begin_run(&self) -> Result<bool, StoreError> {
        self.write(|tx| {
            let unclean = property(tx, RUNNING)?.is_some();
            set_property(tx, RUNNING, "yes")?;
            if property(tx, EPOCH)?.is_none() {
                set_property(tx, EPOCH, &uuid::Uuid::new_v4().to_string())?;
            }
            Ok(unclean)
        })
    }

    /// Marks the daemon as stopped, and moves everything from the write-ahead log into the file.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn end_run(&self) -> Result<(), StoreError> {
        let now = self.clock.now().to_string();
        self.write(|tx| {
            set_property(tx, BOX_TIME, &now)?;
            tx.execute("DELETE FROM property WHERE name = ?", [RUNNING])?;
            Ok(())
        })?;
        self.writer().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// Identity of this database, random; empty before the first run.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn epoch(&self) -> Result<String, StoreError> {
        self.read(epoch)
    }

    /// Everything SQLite can find wrong with the file; empty when it is in order.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare("PRAGMA integrity_check")?;
            let rows = query.query_map([], |row| row.get(0))?;
            let mut findings: Vec<String> = rows.collect::<Result<_, _>>()?;
            findings.retain(|finding| finding != "ok");
            Ok(findings)
        })
    }
}

/// As [`Store::epoch`], inside another transaction.
pub(in crate::store) fn epoch(db: &Connection) -> Result<String, StoreError> {
    Ok(property(db, EPOCH)?.unwrap_or_default())
}

/// A row of the table `property`.
pub(in crate::store) fn property(
    db: &Connection,
    name: &str,
) -> Result<Option<String>, StoreError> {
    let mut query = db.prepare_cached("SELECT value FROM property WHERE name = ?")?;
    Ok(query.query_row([name], |row| row.get(0)).optional()?)
}

/// Sets a row of the table `property`.
pub(in crate::store) fn set_property(
    db: &Connection,
    name: &str,
    value: &str,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO property (name, value) VALUES (?, ?)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?
    .execute((name, value))?;
    Ok(())
}
