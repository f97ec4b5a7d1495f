//! What the pages show of the way to the hub and back.

use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;
use serde_json::json;

use super::telemetry::backlog;
use crate::store::audit::{self, Entry};
use crate::store::{Store, StoreError};

/// Where the flag of a study is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagState {
    /// On its way.
    Waiting,
    /// At the hub.
    There,
    /// Given up; a person may send it again.
    Dead,
}

/// What of a study is at the hub, and what the hospital says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AtHub {
    /// The latest flag.
    pub flag: FlagState,
    /// It asks for an answer; else it takes an earlier one back.
    pub asked: bool,
    /// It waits, is there, or was given up since then, in box time.
    pub since: i64,
    /// Why it was given up or waits, in our words.
    pub why: String,
    /// Rows of the study that were given up.
    pub dead: i64,
    /// The latest one.
    pub answer: Option<AnswerView>,
}

/// What the hospital answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AnswerView {
    /// `received`, `accepted`, `declined` or `completed`.
    pub status: String,
    /// Who answers.
    pub by: String,
    /// What the specialist writes; may be empty.
    pub note: String,
    /// What the clinic is asked to do.
    pub actions: Vec<String>,
    /// When it was here, in box time.
    pub at: i64,
}

/// A row that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutboxView {
    /// Its number.
    pub seq: i64,
    /// `flag`, `objects`, `series`, `outcome`, `telemetry` or `audit_head`.
    pub kind: String,
    /// Row of the study, where it is about one.
    pub study_id: Option<i64>,
    /// Times it was tried.
    pub attempts: i64,
    /// Why, in our words.
    pub last_error: String,
    /// When it came to this.
    pub at: i64,
}

/// How it stands with the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OutboxCounts {
    /// A hub is configured.
    pub active: bool,
    /// Rows that wait, by priority.
    pub waiting: [u64; 4],
    /// Rows that were given up.
    pub dead: u64,
    /// When the oldest flag that waits was written.
    pub oldest_flag_at: Option<i64>,
}

impl Store {
    /// How it stands with the outbox.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        self.read(|db| {
            let (waiting, dead) = backlog(db)?;
            let one = |sql: &str| -> Result<Option<i64>, StoreError> {
                Ok(db.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?)
            };
            let active = one("SELECT 1 FROM hub_profile WHERE active")?.is_some();
            let oldest_flag_at = one("SELECT created_at FROM outbox WHERE priority = 0
                   AND state IN ('pending', 'in_flight', 'retry') ORDER BY seq LIMIT 1")?;
            Ok(OutboxCounts { active, waiting, dead, oldest_flag_at })
        })
    }

    /// Rows that were given up, newest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn dead_rows(&self, limit: i64) -> Result<Vec<OutboxView>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT seq, kind, study_id, attempts, last_error, at FROM outbox
                 WHERE state = 'dead' ORDER BY seq DESC LIMIT ?",
            )?;
            let rows = query.query_map([limit], |row| {
                Ok(OutboxView {
                    seq: row.get(0)?,
                    kind: row.get(1)?,
                    study_id: row.get(2)?,
                    attempts: row.get(3)?,
                    last_error: row.get(4)?,
                    at: row.get(5)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// A person sends a row again that was given up, its files included; `false` when there is no
    /// such row.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn retry_row(&self, seq: i64, actor: &str) -> Result<bool, StoreError> {
        let now = self.clock.now();
        self.write(|tx| {
            let rows = tx
                .prepare_cached(
                    "UPDATE outbox SET state = 'pending', attempts = 0, next_at = 0, at = ?
                     WHERE seq = ? AND state = 'dead'",
                )?
                .execute((now, seq))?;
            if rows == 0 {
                return Ok(false);
            }
            tx.prepare_cached("UPDATE outbox_blob SET place = NULL, arrived = 0 WHERE seq = ?")?
                .execute([seq])?;
            let object = format!("row {seq}");
            let entry = Entry { actor, action: "hub.retry", object: &object, detail: &json!({}) };
            audit::append(tx, self.clock(), &entry)?;
            Ok(true)
        })
    }
}

/// What of a study is at the hub; `None` when it was never referred.
pub(in crate::store) fn at_hub(
    db: &Connection,
    study_id: i64,
) -> Result<Option<AtHub>, rusqlite::Error> {
    let mut query = db.prepare_cached(
        "SELECT o.state, CASE WHEN json_valid(o.body) THEN o.body ->> '$.asked' END IS 1,
                CASE o.state WHEN 'acknowledged' THEN o.at WHEN 'dead' THEN o.at
                             ELSE o.created_at END, o.last_error,
                (SELECT count(*) FROM outbox d WHERE d.study_id = o.study_id
                   AND d.state <> 'acknowledged' AND d.priority < 3 AND d.state = 'dead')
         FROM outbox o WHERE o.study_id = ? AND o.kind = 'flag' ORDER BY o.seq DESC LIMIT 1",
    )?;
    let found = query.query_row([study_id], |row| {
        Ok(AtHub {
            flag: match row.get::<_, String>(0)?.as_str() {
                "acknowledged" => FlagState::There,
                "dead" => FlagState::Dead,
                _ => FlagState::Waiting,
            },
            asked: row.get(1)?,
            since: row.get(2)?,
            why: row.get(3)?,
            dead: row.get(4)?,
            answer: None,
        })
    });
    let Some(mut found) = found.optional()? else { return Ok(None) };
    found.answer = answer(db, study_id)?;
    Ok(Some(found))
}

fn answer(db: &Connection, study_id: i64) -> Result<Option<AnswerView>, rusqlite::Error> {
    let mut query = db.prepare_cached(
        "SELECT status, answered_by, note, actions, at FROM referral_answer WHERE study_id = ?
         ORDER BY id DESC LIMIT 1",
    )?;
    let found = query.query_row([study_id], |row| {
        let actions: String = row.get(3)?;
        Ok(AnswerView {
            status: row.get(0)?,
            by: row.get(1)?,
            note: row.get(2)?,
            actions: serde_json::from_str(&actions).unwrap_or_default(),
            at: row.get(4)?,
        })
    });
    found.optional()
}
