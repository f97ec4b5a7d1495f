//! The audit log: every row carries a hash over itself and the row before, so that a change or a
//! hole shows. Appended inside the transaction that does what it records.

use exchange::row::hex;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::{Store, expected};
use crate::db::{DbError, Record, Transaction};

/// Hash before the first row.
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Rows verified at a time.
const PAGE: i64 = 1000;

/// Who did what to which object.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// A user, a site, or `hub`.
    pub actor: &'a str,
    /// Verb, such as `referral.accept`.
    pub action: &'a str,
    /// What it was done to, such as `site clinic-3`.
    pub object: &'a str,
    /// More, as a JSON object.
    pub detail: &'a Json,
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// 1, 2, 3 ... without holes.
    pub seq: i64,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// See [`Entry::actor`].
    pub actor: String,
    /// See [`Entry::action`].
    pub action: String,
    /// See [`Entry::object`].
    pub object: String,
    /// See [`Entry::detail`].
    pub detail: String,
    /// Hash of the row before; zeros for the first.
    pub prev: String,
    /// Hash of this row.
    pub hash: String,
}

impl Logged {
    /// As an object, `detail` as what it is.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let detail = serde_json::from_str(&self.detail).unwrap_or(Json::Null);
        json!({
            "seq": self.seq, "at_ms": self.at_ms, "actor": self.actor, "action": self.action,
            "object": self.object, "detail": detail, "prev": self.prev, "hash": self.hash,
        })
    }

    /// SHA-256 over the hash before and the fields in order, each with its length in bytes as eight
    /// bytes, most significant first.
    #[must_use]
    pub fn computed_hash(&self) -> String {
        let numbers = [self.seq, self.at_ms].map(|number| number.to_string());
        let mut sha = Sha256::new();
        sha.update(&self.prev);
        let texts = [&self.actor, &self.action, &self.object, &self.detail];
        for field in numbers.iter().chain(texts) {
            sha.update((field.len() as u64).to_be_bytes());
            sha.update(field);
        }
        hex(&sha.finalize())
    }
}

impl Store {
    /// Appends one row in a transaction of its own.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn audit(&self, entry: &Entry<'_>) -> Result<(), DbError> {
        let now_ms = self.clock().now_ms();
        self.write(|tx| append(tx, now_ms, entry))
    }

    /// Rows behind `after`, oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn audit_rows(&self, after: i64, limit: i64) -> Result<Vec<Logged>, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT seq, at_ms, actor, action, object, detail, prev, hash FROM audit
                 WHERE seq > $1 ORDER BY seq LIMIT $2",
                &[after.into(), limit.into()],
            )?;
            rows.iter().map(logged).collect()
        })
    }

    /// Follows the chain from its beginning; returns how many rows are good, and the first one that
    /// is missing or changed.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn verify_audit(&self) -> Result<(i64, Option<i64>), DbError> {
        let (mut good, mut prev) = (0, ZEROS.to_owned());
        loop {
            let rows = self.audit_rows(good, PAGE)?;
            if rows.is_empty() {
                return Ok((good, None));
            }
            for row in rows {
                let fits = row.seq == good + 1 && row.prev == prev;
                if !fits || row.hash != row.computed_hash() {
                    return Ok((good, Some(good + 1)));
                }
                (good, prev) = (row.seq, row.hash);
            }
        }
    }
}

fn logged(row: &Record) -> Result<Logged, DbError> {
    Ok(Logged {
        seq: row.int(0)?,
        at_ms: row.int(1)?,
        actor: row.text(2)?.to_owned(),
        action: row.text(3)?.to_owned(),
        object: row.text(4)?.to_owned(),
        detail: row.text(5)?.to_owned(),
        prev: row.text(6)?.to_owned(),
        hash: row.text(7)?.to_owned(),
    })
}

/// Appends inside the transaction of what is recorded.
///
/// # Errors
///
/// When the database fails.
pub fn append(tx: &mut dyn Transaction, now_ms: i64, entry: &Entry<'_>) -> Result<(), DbError> {
    // Whoever changes the head holds up other writers until the commit.
    let head = tx.query("UPDATE audit_head SET seq = seq + 1 RETURNING seq, hash", &[])?;
    let head = head.first().ok_or_else(|| expected("the head of the audit log"))?;
    let mut row = Logged {
        seq: head.int(0)?,
        at_ms: now_ms,
        actor: entry.actor.to_owned(),
        action: entry.action.to_owned(),
        object: entry.object.to_owned(),
        detail: entry.detail.to_string(),
        prev: head.text(1)?.to_owned(),
        hash: String::new(),
    };
    row.hash = row.computed_hash();
    tx.execute("UPDATE audit_head SET hash = $1", &[row.hash.as_str().into()])?;
    tx.execute(
        "INSERT INTO audit (seq, at_ms, actor, action, object, detail, prev, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        &[
            row.seq.into(),
            row.at_ms.into(),
            row.actor.into(),
            row.action.into(),
            row.object.into(),
            row.detail.into(),
            row.prev.into(),
            row.hash.into(),
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::store;

    #[test]
    fn a_change_and_a_hole_are_found() {
        let (store, _) = store();
        for n in 1..=4 {
            let detail = json!({ "n": n });
            let entry = Entry { actor: "ada", action: "test", object: "x", detail: &detail };
            store.audit(&entry).unwrap();
        }
        assert_eq!(store.verify_audit().unwrap(), (4, None));
        let change = |sql: &str| store.write(|tx| tx.execute(sql, &[])).unwrap();
        change("UPDATE audit SET actor = 'bob' WHERE seq = 3");
        assert_eq!(store.verify_audit().unwrap(), (2, Some(3)));
        change("UPDATE audit SET actor = 'ada' WHERE seq = 3");
        assert_eq!(store.verify_audit().unwrap(), (4, None));
        change("DELETE FROM audit WHERE seq = 2");
        assert_eq!(store.verify_audit().unwrap(), (1, Some(2)));
    }
}
