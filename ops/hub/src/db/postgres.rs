//! PostgreSQL: a small pool of connections, each with its prepared statements.
//!
//! The connection is not encrypted: the database is on the same machine, in the same network, or
//! behind a tunnel.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ::postgres::error::{Severity, SqlState};
use ::postgres::types::private::BytesMut;
use ::postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use ::postgres::{Client, Config, IsolationLevel, NoTls, Row, Statement};

use super::{Database, DbError, Record, Transaction, Value, Work, backend, lock};

/// Longest wait for a connection that is free.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for the server to take a new connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How often work that met other work is begun again.
const ATTEMPTS: u32 = 10;
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 512;
/// Whoever changes the schema holds this advisory lock; any number that nobody else uses.
const SCHEMA_LOCK: i64 = 0x5052_494d_4120;

/// A database behind a URL.
pub struct Postgres {
    config: Config,
    size: usize,
    pool: Mutex<Pool>,
    freed: Condvar,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    /// Idle ones and those in use.
    open: usize,
}

struct Connection {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Postgres {
    /// The database at a URL such as `postgresql://hub@localhost/hub`, by at most `size`
    /// connections, the first of which is made now.
    ///
    /// # Errors
    ///
    /// When the URL makes no sense, or nobody answers there.
    pub fn connect(url: &str, size: usize) -> Result<Self, DbError> {
        let mut config: Config = url.parse().map_err(backend)?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        let database =
            Self { config, size: size.max(1), pool: Mutex::default(), freed: Condvar::new() };
        drop(database.lease()?);
        Ok(database)
    }

    fn lease(&self) -> Result<Lease<'_>, DbError> {
        let mut pool = lock(&self.pool);
        loop {
            if let Some(connection) = pool.idle.pop() {
                return Ok(Lease { owner: self, connection: Some(connection) });
            }
            if pool.open < self.size {
                pool.open += 1;
                drop(pool);
                let mut lease = Lease { owner: self, connection: None };
                let client = self.config.connect(NoTls).map_err(backend)?;
                lease.connection = Some(Connection { client, statements: HashMap::new() });
                return Ok(lease);
            }
            let (guard, waited) =
                self.freed.wait_timeout(pool, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            pool = guard;
            if waited.timed_out() && pool.idle.is_empty() {
                return Err(DbError::Busy);
            }
        }
    }

    /// Does work until it neither meets other work nor loses its connection before the commit.
    fn run(&self, reads: bool, work: &mut Work<'_>) -> Result<(), DbError> {
        let mut attempt = 1;
        loop {
            let mut lease = self.lease()?;
            let Some(connection) = &mut lease.connection else { return Err(DbError::Busy) };
            let failure = match connection.run(reads, work) {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            let broken = is_broken(&failure.error) || connection.client.is_closed();
            if broken {
                // What happened to it happened to those that wait beside it.
                lease.connection = None;
                let mut pool = lock(&self.pool);
                pool.open -= pool.idle.len();
                pool.idle.clear();
            }
            drop(lease);
            let again = is_met(&failure.error) || (broken && !failure.committing);
            if !again || attempt == ATTEMPTS {
                return Err(failure.error);
            }
            thread::sleep(Duration::from_millis(u64::from(attempt * attempt)));
            attempt += 1;
        }
    }
}

impl Database for Postgres {
    fn transaction(&self, work: &mut Work<'_>) -> Result<(), DbError> {
        self.run(false, work)
    }

    fn read(&self, work: &mut Work<'_>) -> Result<(), DbError> {
        self.run(true, work)
    }

    fn script(&self, sql: &str) -> Result<(), DbError> {
        let mut lease = self.lease()?;
        let Some(connection) = &mut lease.connection else { return Err(DbError::Busy) };
        let mut transaction = connection.client.transaction().map_err(backend)?;
        let alone = format!("SELECT pg_advisory_xact_lock({SCHEMA_LOCK})");
        transaction.batch_execute(&alone).map_err(backend)?;
        transaction.batch_execute(sql).map_err(backend)?;
        transaction.commit().map_err(backend)
    }

    fn has_partitions(&self) -> bool {
        true
    }
}

/// A connection in use. Without one its place is free for a new one.
struct Lease<'a> {
    owner: &'a Postgres,
    connection: Option<Connection>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut pool = lock(&self.owner.pool);
        match self.connection.take().filter(|connection| !connection.client.is_closed()) {
            Some(connection) => pool.idle.push(connection),
            None => pool.open -= 1,
        }
        drop(pool);
        self.owner.freed.notify_one();
    }
}

/// Why a transaction failed, and whether nobody knows that it did.
struct Failure {
    error: DbError,
    committing: bool,
}

impl Connection {
    fn run(&mut self, reads: bool, work: &mut Work<'_>) -> Result<(), Failure> {
        let before = |error| Failure { error, committing: false };
        let level =
            if reads { IsolationLevel::RepeatableRead } else { IsolationLevel::ReadCommitted };
        let mut transaction = (self.client.build_transaction())
            .isolation_level(level)
            .read_only(reads)
            .start()
            .map_err(|error| before(backend(error)))?;
        let mut statements =
            Statements { transaction: &mut transaction, prepared: &mut self.statements };
        work(&mut statements).map_err(before)?;
        transaction.commit().map_err(|error| Failure { error: backend(error), committing: true })
    }
}

fn server_error(error: &DbError) -> Option<&::postgres::Error> {
    match error {
        DbError::Backend(error) => error.downcast_ref(),
        _ => None,
    }
}

/// It met another transaction, and nothing of it happened, even when the commit says so.
fn is_met(error: &DbError) -> bool {
    let code = server_error(error).and_then(::postgres::Error::code);
    let met = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
    code.is_some_and(|code| met.contains(code))
}

/// The connection is of no use any more.
fn is_broken(error: &DbError) -> bool {
    let Some(error) = server_error(error) else { return false };
    let fatal = |severity| matches!(severity, Severity::Fatal | Severity::Panic);
    error.is_closed()
        || error.source().is_some_and(|source| source.is::<std::io::Error>())
        || error.as_db_error().and_then(|error| error.parsed_severity()).is_some_and(fatal)
}

struct Statements<'a, 'b> {
    transaction: &'a mut ::postgres::Transaction<'b>,
    prepared: &'a mut HashMap<String, Statement>,
}

impl Statements<'_, '_> {
    fn prepare(&mut self, sql: &str) -> Result<Statement, DbError> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.transaction.prepare(sql).map_err(backend)?;
        if self.prepared.len() >= STATEMENTS {
            self.prepared.clear();
        }
        self.prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Transaction for Statements<'_, '_> {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DbError> {
        let statement = self.prepare(sql)?;
        let bound: Vec<Bound<'_>> = values.iter().map(Bound).collect();
        self.transaction.execute(&statement, &parameters(&bound)).map_err(backend)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Record>, DbError> {
        let statement = self.prepare(sql)?;
        let bound: Vec<Bound<'_>> = values.iter().map(Bound).collect();
        let rows = self.transaction.query(&statement, &parameters(&bound)).map_err(backend)?;
        rows.iter().map(record).collect()
    }
}

fn parameters<'a>(bound: &'a [Bound<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    bound.iter().map(|value| -> &(dyn ToSql + Sync) { value }).collect()
}

/// A value as a parameter of whatever type the statement gives it.
#[derive(Debug)]
struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(number) if *kind == Type::INT4 => {
                i32::try_from(*number)?.to_sql_checked(kind, out)
            }
            Value::Int(number) => number.to_sql_checked(kind, out),
            Value::Text(text) => text.to_sql_checked(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn record(row: &Row) -> Result<Record, DbError> {
    (0..row.len()).map(|column| value(row, column)).collect::<Result<_, _>>().map(Record)
}

/// Whole numbers of any width count as BIGINT, and truth values as 0 and 1, as in SQLite.
fn value(row: &Row, column: usize) -> Result<Value, DbError> {
    let kind = row.columns().get(column).map(|column| column.type_().clone());
    let number = match kind {
        Some(Type::INT8) => row.try_get::<_, Option<i64>>(column).map_err(backend)?,
        Some(Type::INT4) => row.try_get::<_, Option<i32>>(column).map_err(backend)?.map(i64::from),
        Some(Type::BOOL) => row.try_get::<_, Option<bool>>(column).map_err(backend)?.map(i64::from),
        Some(Type::TEXT | Type::VARCHAR) => {
            return Ok(row.try_get::<_, Option<String>>(column).map_err(backend)?.into());
        }
        _ => {
            let expected = "a whole number or a text";
            return Err(DbError::Column { column, found: None, expected });
        }
    };
    Ok(number.into())
}
