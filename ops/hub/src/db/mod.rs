//! SQLite for one hospital, PostgreSQL for a fleet, behind one trait.
//!
//! Every statement is written once, in what both understand: parameters `$1`, `$2`, ..., columns
//! of type BIGINT and TEXT, `ON CONFLICT`, `RETURNING` (a query then), `CAST(sum(n) AS BIGINT)`.
//! Numbers that must rise without gaps come from `UPDATE ... SET n = n + 1 ... RETURNING n`, which
//! also makes writers of the same row wait for each other in either. PostgreSQL runs other writers
//! in between (READ COMMITTED): whoever decides by what was read updates a row first that all who
//! decide the same thing update.

pub mod postgres;
pub mod sqlite;

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A value of a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// NULL.
    Null,
    /// BIGINT; 0 and 1 for truth.
    Int(i64),
    /// TEXT.
    Text(String),
}

/// Why a database failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// A statement, the connection or the file.
    #[error("the database failed")]
    Backend(#[source] Box<dyn Error + Send + Sync>),
    /// Every connection is in use, and stays so.
    #[error("every connection to the database is busy")]
    Busy,
    /// A column does not have what the statement expects.
    #[error("column {column} of a row is {found:?}, expected {expected}")]
    Column {
        /// Counted from 0.
        column: usize,
        /// What is there; `None` where there is no such column.
        found: Option<Value>,
        /// What should be.
        expected: &'static str,
    },
    /// The file or schema was made by a newer program.
    #[error("the database has schema {found}, this program knows {known}: install the newer one")]
    Newer {
        /// Of the database.
        found: i64,
        /// Of the program.
        known: i64,
    },
}

/// A row that a statement returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record(pub Vec<Value>);

impl Record {
    /// A number.
    ///
    /// # Errors
    ///
    /// When the column is no number.
    pub fn int(&self, column: usize) -> Result<i64, DbError> {
        match self.0.get(column) {
            Some(Value::Int(number)) => Ok(*number),
            found => Err(DbError::Column { column, found: found.cloned(), expected: "a number" }),
        }
    }

    /// A number, or nothing.
    ///
    /// # Errors
    ///
    /// When the column is neither.
    pub fn maybe_int(&self, column: usize) -> Result<Option<i64>, DbError> {
        match self.0.get(column) {
            Some(Value::Null) => Ok(None),
            _ => self.int(column).map(Some),
        }
    }

    /// A text.
    ///
    /// # Errors
    ///
    /// When the column is no text.
    pub fn text(&self, column: usize) -> Result<&str, DbError> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(text),
            found => Err(DbError::Column { column, found: found.cloned(), expected: "a text" }),
        }
    }

    /// True for any number but 0.
    ///
    /// # Errors
    ///
    /// When the column is no number.
    pub fn flag(&self, column: usize) -> Result<bool, DbError> {
        Ok(self.int(column)? != 0)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Int(i64::from(truth))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// PostgreSQL has no place for U+0000, which a scanner may well put into a name.
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text })
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Statements inside one transaction.
pub trait Transaction {
    /// Runs a statement; returns how many rows it changed.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DbError>;

    /// Runs a statement and returns its rows.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Record>, DbError>;
}

/// What is done in a transaction.
pub type Work<'a> = dyn FnMut(&mut dyn Transaction) -> Result<(), DbError> + 'a;

/// A database.
pub trait Database: std::fmt::Debug + Send + Sync {
    /// Runs `work` in one transaction, which is durable on return, or nothing of it happened. Work
    /// that met another transaction is done again from its beginning, so it must change nothing
    /// else.
    ///
    /// # Errors
    ///
    /// When the database or the work fails.
    fn transaction(&self, work: &mut Work<'_>) -> Result<(), DbError>;

    /// Runs `work`, which only reads, on one state of the database; it waits for no writer.
    ///
    /// # Errors
    ///
    /// When the database or the work fails.
    fn read(&self, work: &mut Work<'_>) -> Result<(), DbError>;

    /// Runs several statements without values, for the schema.
    ///
    /// # Errors
    ///
    /// When one fails; none of them happened then.
    fn script(&self, sql: &str) -> Result<(), DbError>;

    /// True where a table can be kept in parts; statements do not notice.
    fn has_partitions(&self) -> bool;
}

fn backend(error: impl Error + Send + Sync + 'static) -> DbError {
    DbError::Backend(Box::new(error))
}

/// A panic while a lock was held leaves nothing half done: the transaction was rolled back.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
