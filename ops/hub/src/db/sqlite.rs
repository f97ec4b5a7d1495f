//! SQLite: one file, one writer, and readers that do not wait for it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::types::{Null, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags, TransactionBehavior};

use super::{Database, DbError, Record, Transaction, Value, Work, backend, lock};

/// Longest wait for another program that writes, such as `hub site add` beside a running hub.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pages that the writer keeps at hand, KiB: names of referrals are digests, so that any page of
/// their indexes may be next.
const WRITER_KIB: u32 = 128 * 1024;
/// Pages in the log, 64 MiB, before it is worked into the file.
const LOG_PAGES: u32 = 16_384;
/// Connections that are kept for reading.
const READERS: usize = 8;
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 256;

/// A database in a file, or in memory.
#[derive(Debug)]
pub struct Sqlite {
    /// None in memory, where there is one connection only.
    path: Option<PathBuf>,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

impl Sqlite {
    /// The database in this file, which is made where there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, DbError> {
        let writer = Connection::open(path).map_err(backend)?;
        prepare(&writer).map_err(backend)?;
        let durable = format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA journal_size_limit = 67108864; PRAGMA wal_autocheckpoint = {LOG_PAGES};
             PRAGMA cache_size = -{WRITER_KIB};"
        );
        writer.execute_batch(&durable).map_err(backend)?;
        Ok(Self {
            path: Some(path.to_owned()),
            writer: Mutex::new(writer),
            readers: Mutex::default(),
        })
    }

    /// A database in memory, for tests and simulations.
    ///
    /// # Errors
    ///
    /// When SQLite has no memory.
    pub fn memory() -> Result<Self, DbError> {
        let writer = Connection::open_in_memory().map_err(backend)?;
        prepare(&writer).map_err(backend)?;
        Ok(Self { path: None, writer: Mutex::new(writer), readers: Mutex::default() })
    }

    fn run(
        connection: &mut Connection,
        behavior: TransactionBehavior,
        work: &mut Work<'_>,
    ) -> Result<(), DbError> {
        let transaction = connection.transaction_with_behavior(behavior).map_err(backend)?;
        work(&mut Statements(&transaction))?;
        transaction.commit().map_err(backend)
    }
}

fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(
        "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;",
    )
}

impl Database for Sqlite {
    fn transaction(&self, work: &mut Work<'_>) -> Result<(), DbError> {
        Self::run(&mut lock(&self.writer), TransactionBehavior::Immediate, work)
    }

    fn read(&self, work: &mut Work<'_>) -> Result<(), DbError> {
        let Some(path) = &self.path else {
            return Self::run(&mut lock(&self.writer), TransactionBehavior::Deferred, work);
        };
        let kept = lock(&self.readers).pop();
        let mut reader = match kept {
            Some(reader) => reader,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let reader = Connection::open_with_flags(path, flags).map_err(backend)?;
                prepare(&reader).map_err(backend)?;
                reader
            }
        };
        let read = Self::run(&mut reader, TransactionBehavior::Deferred, work);
        let mut readers = lock(&self.readers);
        if readers.len() < READERS {
            readers.push(reader);
        }
        read
    }

    fn script(&self, sql: &str) -> Result<(), DbError> {
        let mut writer = lock(&self.writer);
        let transaction =
            writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(backend)?;
        transaction.execute_batch(sql).map_err(backend)?;
        transaction.commit().map_err(backend)
    }

    fn has_partitions(&self) -> bool {
        false
    }
}

struct Statements<'a>(&'a Connection);

impl Statements<'_> {
    /// The statement with its values in place.
    fn bound(&self, sql: &str, values: &[Value]) -> Result<CachedStatement<'_>, rusqlite::Error> {
        let mut statement = self.0.prepare_cached(sql)?;
        let expected = statement.parameter_count();
        if values.len() != expected {
            return Err(rusqlite::Error::InvalidParameterCount(values.len(), expected));
        }
        for (number, value) in (1..).zip(values) {
            let name = format!("${number}");
            match value {
                Value::Null => statement.raw_bind_parameter(name.as_str(), Null)?,
                Value::Int(number) => statement.raw_bind_parameter(name.as_str(), number)?,
                Value::Text(text) => statement.raw_bind_parameter(name.as_str(), text)?,
            }
        }
        Ok(statement)
    }
}

impl Transaction for Statements<'_> {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DbError> {
        let mut statement = self.bound(sql, values).map_err(backend)?;
        Ok(statement.raw_execute().map_err(backend)? as u64)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Record>, DbError> {
        let mut statement = self.bound(sql, values).map_err(backend)?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        let mut records = Vec::new();
        while let Some(row) = rows.next().map_err(backend)? {
            let values = (0..columns).map(|column| {
                let found = row.get_ref(column).map_err(backend)?;
                value(found, column)
            });
            records.push(Record(values.collect::<Result<_, _>>()?));
        }
        Ok(records)
    }
}

fn value(found: ValueRef<'_>, column: usize) -> Result<Value, DbError> {
    match found {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(number) => Ok(Value::Int(number)),
        ValueRef::Text(bytes) => {
            let text = str::from_utf8(bytes).map_err(backend)?;
            Ok(Value::Text(text.to_owned()))
        }
        ValueRef::Real(_) | ValueRef::Blob(_) => {
            Err(DbError::Column { column, found: None, expected: "a whole number or a text" })
        }
    }
}
