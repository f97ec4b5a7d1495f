//! A store, and a clock that tests turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::Store;
use crate::clock::Clock;
use crate::db::sqlite::Sqlite;
use crate::db::{self, Database, DbError, Transaction};

/// 2026-11-24 00:31 UTC.
pub(crate) const NOW_MS: i64 = 1_795_480_260_000;

/// A clock that stands until it is turned.
#[derive(Debug)]
pub(crate) struct Hands(AtomicI64);

impl Hands {
    pub(crate) fn forward(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A clock that stands.
pub(crate) fn hands() -> Arc<Hands> {
    Arc::new(Hands(AtomicI64::new(NOW_MS)))
}

/// An empty database: in memory, or on PostgreSQL where `PRIMA_HUB_DATABASE` says `postgres`, so
/// that the same tests run on both.
#[expect(clippy::disallowed_methods, reason = "ops/test says by it which database is meant")]
pub(crate) fn database() -> Arc<dyn Database> {
    match std::env::var("PRIMA_HUB_DATABASE").unwrap_or_default().as_str() {
        "postgres" => Arc::new(db::testing::postgres(4).expect("PRIMA_POSTGRES")),
        _ => Arc::new(Sqlite::memory().unwrap()),
    }
}

/// An empty store, and its clock.
pub(crate) fn store() -> (Store, Arc<Hands>) {
    let clock = hands();
    (Store::open(database(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap(), clock)
}

impl Store {
    /// One transaction, for tests elsewhere.
    pub(crate) fn write_for_tests<T>(
        &self,
        work: impl FnMut(&mut dyn Transaction) -> Result<T, DbError>,
    ) -> T {
        self.write(work).unwrap()
    }
}
