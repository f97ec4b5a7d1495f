//! Referrals that nobody answers, and what was done about it.

use std::collections::BTreeMap;

use super::Store;
use super::referrals::Urgency;
use crate::db::{DbError, Record, Transaction};

/// Longest outcome that is kept, in characters.
const OUTCOME_CHARS: usize = 400;

/// A referral that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Names the referral.
    pub id: String,
    /// Whose patient.
    pub site: String,
    /// Of its most urgent referral.
    pub urgency: Urgency,
    /// Since when.
    pub asked_ms: i64,
}

/// What was done when nobody had answered in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// When.
    pub at_ms: i64,
    /// The command did what it should; `None` while it runs, or when the hub was stopped meanwhile.
    pub good: Option<bool>,
    /// What came of it.
    pub outcome: String,
}

impl Store {
    /// Referrals that nobody has answered, the longest waits first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn waiting(&self) -> Result<Vec<Waiting>, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT id, site, urgency, asked_ms FROM referral
                 WHERE asked = 1 AND status = 'received' ORDER BY asked_ms, id",
                &[],
            )?;
            rows.iter().map(waiting).collect()
        })
    }

    /// Takes an escalation on; false when another process has, or it was done before.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn begin_escalation(&self, waiting: &Waiting) -> Result<bool, DbError> {
        let now_ms = self.clock().now_ms();
        self.write(|tx| {
            let begun = tx.execute(
                "INSERT INTO escalation (referral, asked_ms, at_ms, outcome)
                 VALUES ($1, $2, $3, 'started') ON CONFLICT (referral, asked_ms) DO NOTHING",
                &[waiting.id.as_str().into(), waiting.asked_ms.into(), now_ms.into()],
            )?;
            if begun > 0 {
                count(tx, "started", 1)?;
            }
            Ok(begun > 0)
        })
    }

    /// Notes what came of an escalation.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn end_escalation(
        &self,
        waiting: &Waiting,
        good: bool,
        outcome: &str,
    ) -> Result<(), DbError> {
        let outcome: String = outcome.chars().take(OUTCOME_CHARS).collect();
        self.write(|tx| {
            tx.execute(
                "UPDATE escalation SET good = $1, outcome = $2 WHERE referral = $3 AND asked_ms = $4",
                &[
                    good.into(),
                    outcome.as_str().into(),
                    waiting.id.as_str().into(),
                    waiting.asked_ms.into(),
                ],
            )?;
            count(tx, "started", -1)?;
            count(tx, if good { "good" } else { "failed" }, 1)
        })
    }

    /// Escalations of a referral, oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn escalations(&self, referral: &str) -> Result<Vec<Escalation>, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT at_ms, good, outcome FROM escalation WHERE referral = $1 ORDER BY at_ms",
                &[referral.into()],
            )?;
            rows.iter().map(escalation).collect()
        })
    }

    /// How many escalations there were: `good`, `failed` and `started`.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn escalation_counts(&self) -> Result<BTreeMap<String, i64>, DbError> {
        self.read(|tx| {
            let rows = tx.query("SELECT came, n FROM escalation_count", &[])?;
            rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.int(1)?))).collect()
        })
    }
}

/// Counted when it happens, because all of them are too many to count at every look.
fn count(tx: &mut dyn Transaction, came: &str, more: i64) -> Result<(), DbError> {
    tx.execute(
        "UPDATE escalation_count SET n = n + $1 WHERE came = $2",
        &[more.into(), came.into()],
    )
    .map(drop)
}

fn waiting(row: &Record) -> Result<Waiting, DbError> {
    Ok(Waiting {
        id: row.text(0)?.to_owned(),
        site: row.text(1)?.to_owned(),
        urgency: Urgency::of_number(row.int(2)?),
        asked_ms: row.int(3)?,
    })
}

fn escalation(row: &Record) -> Result<Escalation, DbError> {
    let good = row.maybe_int(1)?.map(|good| good != 0);
    Ok(Escalation { at_ms: row.int(0)?, good, outcome: row.text(2)?.to_owned() })
}
