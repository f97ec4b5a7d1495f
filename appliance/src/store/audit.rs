//! The audit log: every row carries a hash over itself and the row before, so that a change or a
//! hole shows. Appended inside the transaction that does what it records.

use models::table::Head;
use rusqlite::{OptionalExtension as _, Transaction};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::properties::{property, set_property};
use super::{Store, StoreError};
use crate::clock::Clock;
use crate::hex;

/// Who did what to which object.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// A user, an AE title, or `appliance`.
    pub actor: &'a str,
    /// Verb, such as `study.done` or `model.promote`.
    pub action: &'a str,
    /// What it was done to, such as `study 12`.
    pub object: &'a str,
    /// More, as a JSON object.
    pub detail: &'a serde_json::Value,
}

/// Characters of a key's value that are noted.
const MAX_VALUE: usize = 256;
/// Characters of all keys of a query that are noted.
const MAX_KEYS: usize = 4096;

/// The keys of a query, names and values, as the log holds them: long values are cut, and of more
/// keys than have room only the number is given.
#[must_use]
pub fn noted_keys<'k>(keys: impl IntoIterator<Item = (&'k str, &'k str)>) -> serde_json::Value {
    let mut noted = serde_json::Map::new();
    let (mut length, mut left_out) = (0, 0_usize);
    for (name, value) in keys {
        let value: String = value.chars().take(MAX_VALUE).collect();
        length += name.chars().count() + value.chars().count();
        if length > MAX_KEYS {
            left_out += 1;
        } else {
            noted.insert(name.to_owned(), value.into());
        }
    }
    if left_out > 0 {
        noted.insert("left out".to_owned(), left_out.into());
    }
    noted.into()
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// 1, 2, 3 ... without holes.
    pub seq: i64,
    /// Box time in milliseconds.
    pub at: i64,
    /// Wall clock in milliseconds.
    pub wall_at: i64,
    /// See [`Entry::actor`].
    pub actor: String,
    /// See [`Entry::action`].
    pub action: String,
    /// See [`Entry::object`].
    pub object: String,
    /// See [`Entry::detail`].
    pub detail: String,
    /// Hash of the row before; zeros for the first.
    #[serde(skip)]
    pub prev: Vec<u8>,
    /// Hash of this row.
    #[serde(skip)]
    pub hash: Vec<u8>,
}

impl Record {
    /// SHA-256 over `prev` and the canonical row: the fields in order, each with its length in
    /// bytes as eight bytes, most significant first.
    #[must_use]
    pub fn computed_hash(&self) -> [u8; 32] {
        let numbers = [self.seq, self.at, self.wall_at].map(|n| n.to_string());
        let mut sha = Sha256::new();
        sha.update(&self.prev);
        let texts = [&self.actor, &self.action, &self.object, &self.detail];
        for field in numbers.iter().chain(texts) {
            sha.update((field.len() as u64).to_be_bytes());
            sha.update(field);
        }
        sha.finalize().into()
    }
}

/// Result of [`Store::verify_audit`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditCheck {
    /// Rows looked at.
    pub rows: i64,
    /// Hash of the last good row, hexadecimal; what a hub would have been sent.
    pub head: String,
    /// First row that is missing or changed.
    pub first_bad: Option<i64>,
}

impl Store {
    /// Appends one row in a transaction of its own.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn audit(&self, entry: &Entry<'_>) -> Result<(), StoreError> {
        self.write(|tx| append(tx, self.clock(), entry))
    }

    /// Notes the clinical tables that are in force from now on, each by its name: a row for every
    /// one that is not as it was when this was last called.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn note_tables(&self, tables: &[(&str, &Head)]) -> Result<(), StoreError> {
        self.write(|tx| {
            for (name, now) in tables {
                let kept = format!("table {name}");
                let before = property(tx, &kept)?;
                let before = before.and_then(|json| serde_json::from_str::<Head>(&json).ok());
                if before.as_ref().is_some_and(|before| before.sha256 == now.sha256) {
                    continue;
                }
                let detail = json!({"from": before, "to": now});
                let entry = Entry {
                    actor: "appliance",
                    action: "table.change",
                    object: name,
                    detail: &detail,
                };
                append(tx, self.clock(), &entry)?;
                set_property(tx, &kept, &json!(now).to_string())?;
            }
            Ok(())
        })
    }

    /// Rows from `after` on, oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn audit_rows(&self, after: i64, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT seq, at, wall_at, actor, action, object, detail, prev, hash
                 FROM audit WHERE seq > ? ORDER BY seq LIMIT ?",
            )?;
            let rows = query.query_map((after, limit.cast_signed()), |row| {
                Ok(Record {
                    seq: row.get(0)?,
                    at: row.get(1)?,
                    wall_at: row.get(2)?,
                    actor: row.get(3)?,
                    action: row.get(4)?,
                    object: row.get(5)?,
                    detail: row.get(6)?,
                    prev: row.get(7)?,
                    hash: row.get(8)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Follows the chain from its beginning.
    ///
    /// # Errors
    ///
    /// When the database fails; a broken chain is no error but [`AuditCheck::first_bad`].
    pub fn verify_audit(&self) -> Result<AuditCheck, StoreError> {
        let mut check = AuditCheck { rows: 0, head: String::new(), first_bad: None };
        let mut prev = vec![0; 32];
        loop {
            let rows = self.audit_rows(check.rows, 1000)?;
            if rows.is_empty() {
                return Ok(check);
            }
            for row in rows {
                let good = row.seq == check.rows + 1
                    && row.prev == prev
                    && row.hash == row.computed_hash();
                if !good {
                    check.first_bad = Some(check.rows + 1);
                    return Ok(check);
                }
                check.rows = row.seq;
                check.head = hex::lower(&row.hash);
                prev = row.hash;
            }
        }
    }
}

/// Appends inside the transaction of what is recorded.
pub(in crate::store) fn append(
    tx: &Transaction<'_>,
    clock: &dyn Clock,
    entry: &Entry<'_>,
) -> Result<(), StoreError> {
    let last: Option<(i64, Vec<u8>)> = tx
        .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (seq, prev) = last.unwrap_or_else(|| (0, vec![0; 32]));
    let mut row = Record {
        seq: seq + 1,
        at: clock.now(),
        wall_at: clock.wall(),
        actor: entry.actor.to_owned(),
        action: entry.action.to_owned(),
        object: entry.object.to_owned(),
        detail: entry.detail.to_string(),
        prev,
        hash: Vec::new(),
    };
    row.hash = row.computed_hash().to_vec();
    tx.prepare_cached(
        "INSERT INTO audit (seq, at, wall_at, actor, action, object, detail, prev, hash)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute((
        row.seq,
        row.at,
        row.wall_at,
        row.actor,
        row.action,
        row.object,
        row.detail,
        row.prev,
        row.hash,
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_query_are_bounded() {
        let long = "ü".repeat(5000);
        let names: Vec<String> = (0..40).map(|n| format!("{n:04}")).collect();
        let noted = noted_keys(names.iter().map(|name| (name.as_str(), long.as_str())));
        // 15 times 260 characters are 3900.
        assert_eq!(noted.as_object().unwrap().len(), 16);
        assert_eq!(noted["0014"], "ü".repeat(256));
        assert_eq!(noted["left out"], 25);
        assert_eq!(noted_keys([("a", "b")]), serde_json::json!({"a": "b"}));
    }
}
