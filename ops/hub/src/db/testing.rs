//! A PostgreSQL for tests, where `PRIMA_POSTGRES` is the URL of one, as `ops/test` has it.

use std::sync::atomic::{AtomicU32, Ordering};

use super::Database as _;
use super::postgres::Postgres;

static SCHEMAS: AtomicU32 = AtomicU32::new(0);

/// A database of its own: a new schema. It is left to whoever throws the server away.
#[expect(clippy::disallowed_methods, reason = "ops/test says by it that PostgreSQL is there")]
pub(crate) fn postgres(connections: usize) -> Option<Postgres> {
    let url = std::env::var("PRIMA_POSTGRES").ok()?;
    let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
    let schema = format!("test_{}_{number}", std::process::id());
    let owner = Postgres::connect(&url, 1).unwrap();
    // A process of an earlier run may have had our number.
    owner
        .script(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"))
        .unwrap();
    let joint = if url.contains('?') { '&' } else { '?' };
    let inside = format!("{url}{joint}options=-csearch_path%3D{schema}");
    Some(Postgres::connect(&inside, connections).unwrap())
}
