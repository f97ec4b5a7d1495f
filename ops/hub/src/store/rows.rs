//! Rows of the boxes' outboxes: each is stored once, whatever is sent again.

use exchange::command::Numbered;
use exchange::manifest::Manifest;
use exchange::row::{Key, Row};
use exchange::telemetry::AuditHead;
use exchange::wire::{Answered, Hello, Outcome, Rejection, Request};
use serde_json::json;

use super::effects::{self, Content, rejected};
use super::sites::{self, Held};
use super::{Store, audit, blobs, commands, from_json, offers};
use crate::db::{DbError, Record, Transaction, Value};

/// What a row takes on the disk beside its texts, roughly.
const OVERHEAD_BYTES: usize = 256;

/// What became of a request.
#[derive(Debug)]
pub struct Taken {
    /// An answer for each row.
    pub answers: Vec<Answered>,
    /// What the box is told.
    pub commands: Vec<Numbered>,
    /// There is more to tell.
    pub more: bool,
}

/// A row as it was stored, for whoever checks what arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// What identifies it at its site.
    pub key: Key,
    /// Word of its kind.
    pub kind: String,
    /// Its study; empty for none.
    pub study: String,
    /// Digest of its content.
    pub sha256: String,
    /// When the box wrote it, by its clock.
    pub created_ms: i64,
    /// When it was stored here.
    pub received_ms: i64,
    /// Rises with every row of the site that is stored.
    pub ordinal: i64,
}

impl Store {
    /// Takes a request in, all in one transaction; a site may keep `quota` bytes of rows here.
    /// `None` when there is no such site.
    ///
    /// # Errors
    ///
    /// When the database fails; nothing of the request happened then.
    pub fn take(
        &self,
        site: &str,
        request: &Request,
        quota: u64,
    ) -> Result<Option<Taken>, DbError> {
        let Request { hello, rows } = request;
        if rows.is_empty()
            && hello.offer.is_none()
            && let Some(taken) = self.read(|tx| quiet(tx, site, hello, self.clock().now_ms()))?
        {
            return Ok(Some(taken));
        }
        self.take_rows(site, hello.cursor, rows, quota, |tx, now_ms| {
            let held = sites::contact(tx, site, hello, now_ms)?;
            if let (Some(_), Some(said)) = (held, &hello.offer) {
                offers::progress(tx, site, said, now_ms)?;
            }
            Ok(held)
        })
    }

    /// As [`Self::take`], from a file that says how it stood with the box some days ago.
    ///
    /// # Errors
    ///
    /// When the database fails; nothing of it happened then.
    pub fn take_late(
        &self,
        site: &str,
        cursor: i64,
        rows: &[Row],
        quota: u64,
    ) -> Result<Option<Taken>, DbError> {
        self.take_rows(site, cursor, rows, quota, |tx, _| sites::hold(tx, site))
    }

    fn take_rows(
        &self,
        site: &str,
        cursor: i64,
        rows: &[Row],
        quota: u64,
        hold: impl Fn(&mut dyn Transaction, i64) -> Result<Option<Held>, DbError>,
    ) -> Result<Option<Taken>, DbError> {
        let now_ms = self.clock().now_ms();
        let quota = i64::try_from(quota).unwrap_or(i64::MAX);
        let contents: Vec<_> = rows.iter().map(effects::read).collect();
        self.write(|tx| {
            let Some(held) = hold(tx, now_ms)? else { return Ok(None) };
            commands::acknowledged(tx, site, cursor)?;
            let mut intake =
                Intake { tx: &mut *tx, site, now_ms, held, quota, later: false, new: false };
            let mut answers = Vec::with_capacity(rows.len());
            for (row, content) in rows.iter().zip(&contents) {
                let outcome = match content {
                    Ok(content) => intake.row(row, content)?,
                    Err(outcome) => outcome.clone(),
                };
                answers.push(Answered { key: row.key.clone(), outcome });
            }
            intake.finish()?;
            let (commands, more) = commands::after(tx, site, cursor)?;
            Ok(Some(Taken { answers, commands, more }))
        })
    }

    /// The rows of a site in the order in which they were stored.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn stored_rows(&self, site: &str) -> Result<Vec<StoredRow>, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT epoch, seq, kind, study, sha256, created_ms, received_ms, ordinal
                 FROM outbox_row WHERE site = $1 ORDER BY ordinal",
                &[site.into()],
            )?;
            rows.iter().map(stored).collect()
        })
    }
}

/// The answer to a look for commands of a box of which everything is written down: most requests
/// are such looks, and none of them waits for the disk. `None` when there is something to write.
fn quiet(
    tx: &mut dyn Transaction,
    site: &str,
    hello: &Hello,
    now_ms: i64,
) -> Result<Option<Taken>, DbError> {
    if !sites::is_as_said(tx, site, hello, now_ms)? {
        return Ok(None);
    }
    let (commands, more) = commands::after(tx, site, hello.cursor)?;
    Ok(Some(Taken { answers: Vec::new(), commands, more }))
}

fn stored(row: &Record) -> Result<StoredRow, DbError> {
    Ok(StoredRow {
        key: Key { epoch: row.text(0)?.to_owned(), seq: row.int(1)? },
        kind: row.text(2)?.to_owned(),
        study: row.text(3)?.to_owned(),
        sha256: row.text(4)?.to_owned(),
        created_ms: row.int(5)?,
        received_ms: row.int(6)?,
        ordinal: row.int(7)?,
    })
}

/// The rows of one request on their way in. The site's own row was updated, so that nobody else
/// stores anything of it meanwhile.
struct Intake<'a> {
    tx: &'a mut dyn Transaction,
    site: &'a str,
    now_ms: i64,
    held: Held,
    quota: i64,
    /// A row was put off; those behind it are as well, or they would overtake it.
    later: bool,
    new: bool,
}

impl Intake<'_> {
    fn row(&mut self, row: &Row, content: &Content) -> Result<Outcome, DbError> {
        if let Some(refusal) = self.refusal(row, content)? {
            let known = self.known(row)?;
            self.later |= known.is_none() && matches!(refusal, Outcome::Later { .. });
            return Ok(known.unwrap_or(refusal));
        }
        if !self.insert(row)? {
            let vanished = DbError::Column { column: 0, found: None, expected: "a row of its key" };
            return self.known(row)?.ok_or(vanished);
        }
        if let Content::AuditHead(head) = content {
            self.compare_audit(row, head)?;
        }
        effects::apply(self.tx, self.site, row, content, self.now_ms)?;
        Ok(Outcome::Stored)
    }

    /// Why a row would not be stored, if it is new.
    fn refusal(&mut self, row: &Row, content: &Content) -> Result<Option<Outcome>, DbError> {
        if self.later {
            let reason = "a row before it was put off".to_owned();
            return Ok(Some(Outcome::Later { reason }));
        }
        if self.held.row_bytes.saturating_add(cost(row)) > self.quota {
            let reason = format!(
                "the hub keeps at most {} bytes of rows of this site, and has them; ask the \
                 hospital to raise limits.row_mib",
                self.quota
            );
            return Ok(Some(Outcome::Later { reason }));
        }
        match content {
            Content::Manifest(manifest) => self.missing(manifest),
            _ => Ok(None),
        }
    }

    /// The first object of a manifest that is not here.
    fn missing(&mut self, manifest: &Manifest) -> Result<Option<Outcome>, DbError> {
        for object in &manifest.objects {
            let reason = match blobs::complete_bytes(self.tx, self.site, &object.sha256)? {
                Some(bytes) if u64::try_from(bytes) == Ok(object.bytes) => continue,
                Some(bytes) => format!("has {bytes} bytes, the manifest says {}", object.bytes),
                None => "is not here".to_owned(),
            };
            let reason = format!("blob {} {reason}", object.sha256);
            return Ok(Some(rejected(Rejection::Blob, reason)));
        }
        Ok(None)
    }

    /// What a row is that has the key of one that is there; `None` where there is none.
    fn known(&mut self, row: &Row) -> Result<Option<Outcome>, DbError> {
        let rows = self.tx.query(
            "SELECT sha256 FROM outbox_row WHERE site = $1 AND epoch = $2 AND seq = $3",
            &self.key(row),
        )?;
        let Some(found) = rows.first() else { return Ok(None) };
        if found.text(0)? == row.sha256 {
            return Ok(Some(Outcome::Duplicate));
        }
        self.alarm(row, "row.fork")?;
        let reason = "another row has this key: two boxes use one identity, or a disk was copied";
        Ok(Some(rejected(Rejection::Fork, reason)))
    }

    /// A box's audit log only grows: the heads before and behind this one have to fit to it.
    fn compare_audit(&mut self, row: &Row, head: &AuditHead) -> Result<(), DbError> {
        let key = self.key(row);
        // The kind stands in the statement, as it does in the index of these rows.
        let of_epoch = "SELECT body FROM outbox_row
                        WHERE site = $1 AND epoch = $2 AND kind = 'audit_head'";
        let before = format!("{of_epoch} AND seq < $3 ORDER BY seq DESC LIMIT 1");
        let behind = format!("{of_epoch} AND seq > $3 ORDER BY seq LIMIT 1");
        let grows =
            |earlier: &AuditHead, later: &AuditHead| earlier.seq < later.seq || earlier == later;
        let mut fits = true;
        if let Some(found) = self.tx.query(&before, &key)?.first() {
            fits &= grows(&from_json(found.text(0)?, "a head of an audit log")?, head);
        }
        if let Some(found) = self.tx.query(&behind, &key)?.first() {
            fits &= grows(head, &from_json(found.text(0)?, "a head of an audit log")?);
        }
        if fits { Ok(()) } else { self.alarm(row, "row.audit") }
    }

    /// Puts on record that a row contradicts another one, the first time.
    fn alarm(&mut self, row: &Row, action: &str) -> Result<(), DbError> {
        let [site, epoch, seq] = self.key(row);
        let new = self.tx.execute(
            "INSERT INTO outbox_fork (site, epoch, seq, sha256, at_ms)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (site, epoch, seq) DO NOTHING",
            &[site, epoch, seq, row.sha256.as_str().into(), self.now_ms.into()],
        )?;
        if new == 0 {
            return Ok(());
        }
        let detail = json!({ "epoch": row.key.epoch, "seq": row.key.seq, "sha256": row.sha256 });
        let object = format!("site {}", self.site);
        let entry = audit::Entry { actor: self.site, action, object: &object, detail: &detail };
        audit::append(self.tx, self.now_ms, &entry)
    }

    /// False when a row with its key is there.
    fn insert(&mut self, row: &Row) -> Result<bool, DbError> {
        let [site, epoch, seq] = self.key(row);
        let ordinal = self.held.ordinal + 1;
        let new = self.tx.execute(
            "INSERT INTO outbox_row
                 (site, epoch, seq, kind, study, sha256, body, created_ms, received_ms, ordinal)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (site, epoch, seq) DO NOTHING",
            &[
                site,
                epoch,
                seq,
                row.kind.word().into(),
                row.study.as_str().into(),
                row.sha256.as_str().into(),
                row.body.as_str().into(),
                row.created_ms.into(),
                self.now_ms.into(),
                ordinal.into(),
            ],
        )?;
        if new == 0 {
            return Ok(false);
        }
        self.held = Held { ordinal, row_bytes: self.held.row_bytes.saturating_add(cost(row)) };
        self.new = true;
        Ok(true)
    }

    fn finish(self) -> Result<(), DbError> {
        if self.new {
            let Held { ordinal, row_bytes } = self.held;
            self.tx.execute(
                "UPDATE site SET ordinal = $1, row_bytes = $2 WHERE id = $3",
                &[ordinal.into(), row_bytes.into(), self.site.into()],
            )?;
        }
        Ok(())
    }

    fn key(&self, row: &Row) -> [Value; 3] {
        [self.site.into(), row.key.epoch.as_str().into(), row.key.seq.into()]
    }
}

fn cost(row: &Row) -> i64 {
    i64::try_from(row.body.len() + row.study.len() + OVERHEAD_BYTES).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
