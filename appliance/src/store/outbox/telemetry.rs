//! How the box is, for the hub.

use std::collections::BTreeMap;

use exchange::row::Kind;
use exchange::telemetry::{AuditHead, Telemetry};
use exchange::wire::Hello;
use rusqlite::{Connection, OptionalExtension as _, Transaction};

use super::{Of, insert, profile};
use crate::hex;
use crate::store::quality::alarms::alarm_counts;
use crate::store::{Store, StoreError};

/// Results whose findings are counted.
const RECENT: i64 = 200;

impl Store {
    /// Writes down for the hub how the box is, and the head of the audit log. What the database
    /// knows replaces what is given: model, studies, rows that wait, findings and alarms. Nothing
    /// happens without a hub.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn write_telemetry(&self, known: &Telemetry) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.write(|tx| {
            if profile(tx)?.is_none() {
                return Ok(());
            }
            let (model, model_sha256, killed) = assisting(tx)?;
            let (backlog, dead) = backlog(tx)?;
            let telemetry = Telemetry {
                software: env!("CARGO_PKG_VERSION").to_owned(),
                studies: studies(tx)?,
                finding_rates: finding_rates(tx, &model_sha256)?,
                quality_alarms: quality_alarms(tx)?,
                model,
                model_sha256,
                killed,
                backlog,
                dead,
                ..known.clone()
            };
            write(tx, Kind::Telemetry, &telemetry, now)?;
            if let Some(head) = audit_head(tx)? {
                write(tx, Kind::AuditHead, &head, now)?;
            }
            Ok(())
        })
    }

    /// How it stands with this box, for the first line of a batch.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn hub_hello(&self) -> Result<Hello, StoreError> {
        self.read(|db| {
            let cursor = db
                .prepare_cached("SELECT coalesce(max(cursor), 0) FROM hub_profile")?
                .query_row([], |row| row.get(0))?;
            let (backlog, dead) = backlog(db)?;
            Ok(Hello {
                cursor,
                wall_ms: self.clock.wall(),
                software: env!("CARGO_PKG_VERSION").to_owned(),
                model: assisting(db)?.0,
                backlog,
                dead,
                offer: None,
            })
        })
    }
}

fn write(
    tx: &Transaction<'_>,
    kind: Kind,
    content: &impl serde::Serialize,
    now: i64,
) -> Result<(), StoreError> {
    let stored = |source| StoreError::Stored { what: "telemetry", source };
    let body = serde_json::to_string(content).map_err(stored)?;
    insert(tx, kind, Of::default(), body, now)?;
    Ok(())
}

/// Name and digest of the model that assists, and whether it is killed.
fn assisting(db: &Connection) -> Result<(String, String, bool), StoreError> {
    let mut query = db.prepare_cached(
        "SELECT name, digest, killed_at IS NOT NULL FROM model WHERE mode = 'assist'",
    )?;
    let model = query.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    Ok(model.optional()?.unwrap_or_default())
}

/// Rows that wait, by priority, and rows that were given up.
pub(super) fn backlog(db: &Connection) -> Result<([u64; 4], u64), StoreError> {
    let mut backlog = [0; 4];
    let mut query = db.prepare_cached(
        "SELECT priority, count(*) FROM outbox WHERE state IN ('pending', 'in_flight', 'retry')
         GROUP BY priority",
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(count) = backlog.get_mut(usize::from(row.get::<_, u8>(0)?)) {
            *count = row.get::<_, i64>(1)?.cast_unsigned();
        }
    }
    let dead: i64 = db
        .prepare_cached("SELECT count(*) FROM outbox WHERE state = 'dead'")?
        .query_row([], |row| row.get(0))?;
    Ok((backlog, dead.cast_unsigned()))
}

/// Studies received since the last telemetry was written.
fn studies(db: &Connection) -> Result<u32, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT count(*) FROM study WHERE first_at >
           (SELECT coalesce(max(created_at), 0) FROM outbox
            WHERE study_id IS NULL AND kind = 'telemetry')",
    )?;
    Ok(query.query_row([], |row| row.get(0))?)
}

/// For each label the share of the latest results of a model that has it.
fn finding_rates(db: &Connection, digest: &str) -> Result<BTreeMap<String, f32>, StoreError> {
    let mut query = db.prepare_cached(
        "WITH latest AS MATERIALIZED (
           SELECT r.id FROM inference r JOIN study s ON s.id = r.study_id
           WHERE s.shown_inference = r.id AND r.outcome = 'analysed' AND r.model_digest = ?
           ORDER BY r.id DESC LIMIT ?)
         SELECT f.label, count(*) * 1.0 / (SELECT count(*) FROM latest)
         FROM latest JOIN finding f ON f.inference_id = latest.id GROUP BY f.label",
    )?;
    let rows = query.query_map((digest, RECENT), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Open alarms of the watch on scanners.
fn quality_alarms(db: &Connection) -> Result<u32, StoreError> {
    let open: i64 = alarm_counts(db)?.iter().sum();
    Ok(u32::try_from(open).unwrap_or(u32::MAX))
}

/// The last entry of the audit log, unless there is none.
fn audit_head(db: &Connection) -> Result<Option<AuditHead>, StoreError> {
    let mut query = db.prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?;
    let head = query.query_row([], |row| {
        Ok(AuditHead { seq: row.get(0)?, hash: hex::lower(&row.get::<_, Vec<u8>>(1)?) })
    });
    Ok(head.optional()?)
}
