//! Where a hub's database lies: a file, or a new database of a PostgreSQL server.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use hub::db::Database;
use hub::db::postgres::Postgres;
use hub::db::sqlite::Sqlite;
use tempfile::TempDir;

/// Connections of a hub, as its settings have them.
const CONNECTIONS: usize = 16;

/// Goes when it is dropped.
pub(crate) struct Place {
    folder: TempDir,
    postgres: Option<Server>,
}

struct Server {
    /// Of the server's own database.
    url: String,
    name: String,
    whole: bool,
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self { folder: TempDir::new().unwrap(), postgres: None }
    }

    pub(crate) fn postgres(url: &str, whole: bool) -> Self {
        let name = format!("depth{}", UNIX_EPOCH.elapsed().unwrap().as_nanos());
        psql(url, &format!("CREATE DATABASE {name}"));
        let server = Server { url: url.to_owned(), name, whole };
        Self { folder: TempDir::new().unwrap(), postgres: Some(server) }
    }

    pub(crate) fn name(&self) -> &'static str {
        match &self.postgres {
            None => "SQLite",
            Some(Server { whole: false, .. }) => "PostgreSQL",
            Some(Server { whole: true, .. }) => "PostgreSQL without partitions",
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn open(&self) -> Arc<dyn Database> {
        match &self.postgres {
            None => Arc::new(Sqlite::open(&self.folder().join("hub.sqlite")).unwrap()),
            Some(server) => Arc::new(Postgres::connect(&server.address(), CONNECTIONS).unwrap()),
        }
    }

    /// Joins the partitions where that is wanted.
    pub(crate) fn prepare(&self) {
        if let Some(server) = &self.postgres
            && server.whole
        {
            let address = server.address();
            psql(&address, "CREATE TABLE one (LIKE outbox_row)");
            psql(&address, "DROP TABLE outbox_row");
            psql(&address, "ALTER TABLE one RENAME TO outbox_row");
            psql(&address, "ALTER TABLE outbox_row ADD PRIMARY KEY (site, epoch, seq)");
            psql(&address, "ALTER TABLE outbox_row ADD FOREIGN KEY (site) REFERENCES site (id)");
        }
    }

    /// What a server does by itself some minutes after a large load.
    pub(crate) fn settle(&self, database: &dyn Database) {
        if let Some(server) = &self.postgres {
            psql(&server.address(), "VACUUM ANALYZE");
            psql(&server.address(), "CHECKPOINT");
        } else {
            number(database, "SELECT 1");
        }
    }

    /// Of the whole database.
    pub(crate) fn bytes(&self, database: &dyn Database) -> u64 {
        let sql = match &self.postgres {
            None => "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
            Some(_) => "SELECT pg_database_size(current_database())",
        };
        number(database, sql)
    }

    /// The process of PostgreSQL that serves whoever asks alone.
    pub(crate) fn worker(&self, database: &dyn Database) -> Option<u64> {
        self.postgres.as_ref().map(|_| number(database, "SELECT pg_backend_pid()"))
    }

    /// Bytes that PostgreSQL has written to its log so far.
    pub(crate) fn logged(&self, database: &dyn Database) -> Option<u64> {
        let sql = "SELECT CAST(pg_current_wal_lsn() - '0/0' AS BIGINT)";
        self.postgres.as_ref().map(|_| number(database, sql))
    }
}

impl Server {
    fn address(&self) -> String {
        let (server, _) = self.url.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(Server { url, name, .. }) = &self.postgres {
            psql(url, &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

/// What this thread and a process have computed so far, as Linux counts it.
pub(crate) fn cpu(worker: Option<u64>) -> Duration {
    let of = |path: String| -> u64 {
        let text = std::fs::read_to_string(path).unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    };
    let thread = of("/proc/thread-self/schedstat".to_owned());
    let worker = worker.map_or(0, |process| of(format!("/proc/{process}/schedstat")));
    Duration::from_nanos(thread + worker)
}

fn number(database: &dyn Database, sql: &str) -> u64 {
    let mut found = 0;
    database
        .read(&mut |tx| {
            found = tx.query(sql, &[])?[0].int(0)?;
            Ok(())
        })
        .unwrap();
    found.try_into().unwrap()
}

fn psql(url: &str, sql: &str) {
    let done = Command::new("psql").args([url, "--quiet", "--command", sql]).status().unwrap();
    assert!(done.success(), "{sql}");
}
