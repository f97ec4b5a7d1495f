//! All state of the appliance: one SQLite file, one writer, and every power cut is a normal stop.
//!
//! `Store::write` runs one transaction and returns after it is on the disk
//! (`journal_mode=WAL`, `synchronous=FULL`). `Store::read` never waits for a writer. What is
//! stored is in the sub-modules, one per subject; they hold all the SQL there is.

pub mod assembly;
pub mod audit;
pub mod backup;
pub mod catalogue;
pub mod changes;
pub mod commitments;
pub mod contact;
pub mod decisions;
pub mod deliveries;
pub mod events;
pub mod explanations;
pub mod feedback;
pub mod files;
pub mod instances;
pub mod jobs;
pub mod models;
pub mod offers;
pub mod outbox;
pub mod priors;
pub mod properties;
pub mod quality;
pub mod quarantine;
pub mod retention;
pub mod users;
pub mod views;
pub mod worklist;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

use crate::clock::Clock;

/// First SQLite without the WAL-reset race that can corrupt a database (fixed in 3.51.3).
pub const OLDEST_SQLITE: i32 = 3_051_003;
/// Idle read connections kept.
const READERS: usize = 4;

/// The schema's history, oldest first; a step that was released is never changed.
const STEPS: &[M<'_>] = &[
    M::up(include_str!("migrations/0001_init.sql")),
    M::up(include_str!("migrations/0002_results_out.sql")),
    M::up(include_str!("migrations/0003_users.sql")),
    M::up(include_str!("migrations/0004_catalogue.sql")),
    M::up(include_str!("migrations/0005_segmentations.sql")),
    M::up(include_str!("migrations/0006_pages.sql")),
    M::up(include_str!("migrations/0007_priors.sql")),
    M::up(include_str!("migrations/0008_said.sql")),
    M::up(include_str!("migrations/0009_outbox.sql")),
    M::up(include_str!("migrations/0010_quality.sql")),
    M::up(include_str!("migrations/0011_offers.sql")),
    M::up(include_str!("migrations/0012_scale.sql")),
    M::up(include_str!("migrations/0013_modality.sql")),
];

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Linked against a SQLite that can corrupt its file.
    #[error("SQLite {found} is linked; {OLDEST_SQLITE} or newer is needed (WAL-reset race)")]
    OldSqlite {
        /// As in `sqlite3_libversion_number()`.
        found: i32,
    },
    /// The file cannot be opened or set up.
    #[error("cannot open the database {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The file was written by a newer program, or a migration failed.
    #[error(
        "the database {path} cannot be brought to this program's version; install the newer \
             program again, or restore a backup"
    )]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite_migration::Error,
    },
    /// `quick_check` found damage.
    #[error(
        "the database {path} is damaged ({finding}); restore the last backup with \
             `appliance restore`, or rebuild the index with `appliance rebuild-index`"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// First line of SQLite's answer.
        finding: String,
    },
    /// Nobody got so far.
    #[error("the database was not opened")]
    NotOpened,
    /// A statement failed.
    #[error("the database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored text is not what this program writes.
    #[error("a stored {what} cannot be read")]
    Stored {
        /// What it should be.
        what: &'static str,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
}

impl StoreError {
    /// True when the disk is full, which calls for other measures than a broken disk.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Sqlite(rusqlite::Error::SqliteFailure(error, _))
            if error.code == rusqlite::ErrorCode::DiskFull)
    }
}

/// The database.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    /// Before the writer, which closes last and then empties the write-ahead log.
    readers: Mutex<Vec<Connection>>,
    writer: Mutex<Connection>,
    arrivals: instances::Arrivals,
}

impl Store {
    /// Opens the file, or makes it, brings it to this program's schema and checks it.
    ///
    /// # Errors
    ///
    /// When SQLite is too old, the file cannot be opened, is newer than this program, or damaged.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let found = rusqlite::version_number();
        if found < OLDEST_SQLITE {
            return Err(StoreError::OldSqlite { found });
        }
        let mut writer =
            connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        quick_check(&writer, path)?;
        Migrations::from_slice(STEPS)
            .to_latest(&mut writer)
            .map_err(|source| StoreError::Migrate { path: path.to_owned(), source })?;
        let store = Self {
            path: path.to_owned(),
            clock,
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            arrivals: instances::Arrivals::default(),
        };
        Ok(store)
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The clock whose times are stored.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// One transaction; on return it is durable, or nothing of it happened.
    pub(in crate::store) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut writer = self.writer();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Reads a consistent state; never waits for a writer.
    pub(in crate::store) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = lock(&self.readers).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
        };
        // One transaction, so that several statements see the same state.
        let transaction = connection.transaction()?;
        let value = work(&transaction);
        drop(transaction);
        let mut readers = lock(&self.readers);
        if readers.len() < READERS {
            readers.push(connection);
        }
        value
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        lock(&self.writer)
    }

    /// How SQLite would do what a statement says, one step a line.
    #[cfg(test)]
    pub(in crate::store) fn plan(&self, sql: &str) -> Vec<String> {
        self.read(|db| {
            let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let unbound = vec![None::<i64>; explain.parameter_count()];
            let rows = explain.query_map(rusqlite::params_from_iter(unbound), |row| row.get(3))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .unwrap()
    }

    /// Hangs as a transaction that does not end would.
    #[cfg(test)]
    pub(crate) fn hold_for_tests(&self, meanwhile: impl FnOnce()) {
        let _writer = self.writer();
        meanwhile();
    }
}

/// A panic while a lock was held leaves a connection whose transaction was rolled back.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let open = || -> Result<Connection, rusqlite::Error> {
        let connection =
            Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(
            "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;
             PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;",
        )?;
        if flags.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
            connection.execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864;",
            )?;
        }
        Ok(connection)
    };
    open().map_err(|source| StoreError::Open { path: path.to_owned(), source })
}

fn quick_check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let finding: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
    if finding == "ok" {
        return Ok(());
    }
    Err(StoreError::Damaged { path: path.to_owned(), finding })
}
