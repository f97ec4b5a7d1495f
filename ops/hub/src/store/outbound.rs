//! What goes on to other systems of the hospital: a queue for each destination.
//!
//! Of a study there is one row for what is said of it, which is sent anew whenever that changes,
//! and one for each of its objects. Whoever sends a row leases it, so that several processes of one
//! hub send nothing twice at a time, and a process that dies holds nothing up for long.

use std::time::Duration;

use exchange::command::{Answer, Status};
use exchange::flag::Flag;
use exchange::manifest::{Manifest, Object};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Store;
use super::audit::{self, Entry};
use super::referrals::id;
use crate::db::{DbError, Record, Transaction, Value};

/// What a destination takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Transactions.
    Fhir,
    /// DICOM objects by STOW-RS.
    Stow,
    /// DICOM objects by C-STORE.
    Dicom,
}

impl Kind {
    /// As stored.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fhir => "fhir",
            Self::Stow => "stow",
            Self::Dicom => "dicom",
        }
    }
}

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Where to.
    pub destination: String,
    /// Whose study.
    pub site: String,
    /// Study Instance UID, or what stands for it.
    pub study: String,
    /// SHA-256 of a blob; empty for what is said of the study.
    pub object: String,
    /// What is sent now; a later version waits for its turn.
    pub version: i64,
    /// Refusals so far.
    pub attempts: u32,
    /// The latest transaction that may be there; empty for none.
    pub sent: String,
}

/// What is said of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The flag in force.
    pub flag: Flag,
    /// Objects that are here.
    pub objects: Vec<Manifest>,
    /// The answer in force.
    pub answer: Option<Answer>,
}

/// How it stands with one destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub destination: String,
    /// Rows that wait.
    pub waiting: i64,
    /// Since when the oldest of them does.
    pub oldest_ms: Option<i64>,
    /// Rows that it has taken so far; what was sent anew counts again.
    pub sent: i64,
    /// Rows that were given up.
    pub dead: i64,
    /// Since when it takes nothing.
    pub silent_ms: Option<i64>,
    /// What the latest try said.
    pub said: String,
}

/// A row that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    /// Where it should have gone.
    pub destination: String,
    /// Whose study.
    pub site: String,
    /// Which study.
    pub study: String,
    /// Which object; empty for what is said of the study.
    pub object: String,
    /// The latest refusal, in our words.
    pub last_error: String,
    /// When it was given up.
    pub at_ms: i64,
}

/// What is said of a study has changed: every FHIR destination gets it, in the transaction that
/// changes it.
///
/// # Errors
///
/// When the database fails.
pub fn queue_flag(tx: &mut dyn Transaction, site: &str, study: &str) -> Result<(), DbError> {
    let queue = format!(
        "{QUEUE}
         SELECT name, CAST($2 AS TEXT), CAST($3 AS TEXT), '', {FRESH}
         FROM outbound_destination WHERE kind = $1
         ON CONFLICT (destination, site, study, object) DO UPDATE SET state = 'waiting',
         version = outbound.version + 1, attempts = 0, next_ms = 0, queued_ms = 0,
         last_error = '', said = ''"
    );
    tx.execute(&queue, &[Kind::Fhir.word().into(), site.into(), study.into()])?;
    Ok(())
}

/// Objects of a study are here: every archive gets each once, in the transaction that notes them.
///
/// # Errors
///
/// When the database fails.
pub fn queue_objects(tx: &mut dyn Transaction, site: &str, study: &str) -> Result<(), DbError> {
    let queue = format!(
        "{QUEUE}
         SELECT d.name, o.site, o.study, o.sha256, {FRESH}
         FROM outbound_destination d, study_object o
         WHERE d.kind <> $1 AND o.site = $2 AND o.study = $3
         ON CONFLICT (destination, site, study, object) DO NOTHING"
    );
    tx.execute(&queue, &[Kind::Fhir.word().into(), site.into(), study.into()])?;
    Ok(())
}

const QUEUE: &str = "
    INSERT INTO outbound (destination, site, study, object, state, version, lease_ms, attempts,
                          next_ms, queued_ms, at_ms, last_error, said, sent)";

/// The columns from `state` on of a row that was never tried.
const FRESH: &str = "'waiting', 1, 0, 0, 0, 0, 0, '', '', ''";

/// `$1` destination, `$2` now.
const DUE: &str = "destination = $1 AND state = 'waiting' AND next_ms <= $2 AND lease_ms <= $2";

impl Store {
    /// Makes these the destinations from now on. What waits for any other is forgotten.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn set_outbound_destinations(&self, all: &[(&str, Kind)]) -> Result<(), DbError> {
        self.write(|tx| {
            for row in tx.query("SELECT name FROM outbound_destination", &[])? {
                let name = row.text(0)?;
                if !all.iter().any(|(wanted, _)| *wanted == name) {
                    let name: [Value; 1] = [name.into()];
                    tx.execute("DELETE FROM outbound WHERE destination = $1", &name)?;
                    tx.execute("DELETE FROM outbound_destination WHERE name = $1", &name)?;
                }
            }
            for (name, kind) in all {
                tx.execute(
                    "INSERT INTO outbound_destination (name, kind, silent_ms, said)
                     VALUES ($1, $2, NULL, '')
                     ON CONFLICT (name) DO UPDATE SET kind = excluded.kind",
                    &[(*name).into(), kind.word().into()],
                )?;
            }
            Ok(())
        })
    }

    /// What is to be sent next, leased for so long; `None` when nothing is due.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn begin_outbound(
        &self,
        destination: &str,
        lease: Duration,
    ) -> Result<Option<Job>, DbError> {
        let now = self.clock().now_ms();
        let until = now.saturating_add(ms(lease));
        self.write(|tx| {
            // Whoever queues has no clock; the order of arrival is that of the looks.
            tx.execute(
                "UPDATE outbound SET queued_ms = $1 WHERE destination = $2 AND queued_ms = 0",
                &[now.into(), destination.into()],
            )?;
            let rows = tx.query(
                &format!(
                    "UPDATE outbound SET lease_ms = $3 WHERE {DUE} AND (site, study, object) IN
                       (SELECT site, study, object FROM outbound WHERE {DUE}
                        ORDER BY queued_ms, site, study, object LIMIT 1)
                     RETURNING site, study, object, version, attempts, sent"
                ),
                &[destination.into(), now.into(), until.into()],
            )?;
            rows.first().map(|row| job(destination, row)).transpose()
        })
    }

    /// What is said of a study; `None` when nobody asks or asked for it.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn told(&self, site: &str, study: &str) -> Result<Option<Told>, DbError> {
        self.write(|tx| {
            let rows = tx.query(
                "SELECT id, flag, status FROM referral WHERE id = $1",
                &[id(site, study).into()],
            )?;
            let Some(row) = rows.first() else { return Ok(None) };
            Ok(Some(Told {
                flag: json(row, 1)?,
                objects: objects(tx, site, study)?,
                answer: answer(tx, study, row.text(0)?, row.text(2)?)?,
            }))
        })
    }

    /// Length of the object of a job; `None` when no manifest names it.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn outbound_object(&self, job: &Job) -> Result<Option<u64>, DbError> {
        let key = [&job.site, &job.study, &job.object];
        let key: [Value; 3] = key.map(|text| text.as_str().into());
        let rows = self.write(|tx| {
            tx.query(
                "SELECT bytes FROM study_object
                 WHERE site = $1 AND study = $2 AND sha256 = $3 LIMIT 1",
                &key,
            )
        })?;
        let bytes = rows.first().map(|row| row.int(0)).transpose()?;
        Ok(bytes.and_then(|bytes| u64::try_from(bytes).ok()))
    }

    /// A transaction is about to be sent, and may be there from now on.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn outbound_sending(&self, job: &Job, transaction: &str) -> Result<(), DbError> {
        self.write(|tx| settle(tx, job, "sent = $5", &[transaction.into()]).map(drop))
    }

    /// The destination has it.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn outbound_sent(&self, job: &Job) -> Result<(), DbError> {
        let set = "lease_ms = 0, at_ms = $6, last_error = '', said = '',
                   state = CASE WHEN version = $5 THEN 'sent' ELSE state END";
        let values: [Value; 2] = [job.version.into(), self.clock().now_ms().into()];
        self.write(|tx| {
            if settle(tx, job, set, &values)? == "sent" {
                tx.execute(
                    "UPDATE outbound_destination SET sent = sent + 1 WHERE name = $1",
                    &[job.destination.as_str().into()],
                )?;
            }
            Ok(())
        })
    }

    /// The destination refused it, with our words and its own; it is tried again after this long,
    /// or given up. What was queued meanwhile has not been refused.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn outbound_refused(
        &self,
        job: &Job,
        why: &str,
        said: &str,
        after: Option<Duration>,
    ) -> Result<(), DbError> {
        let now = self.clock().now_ms();
        let state = if after.is_some() { "waiting" } else { "dead" };
        let next = now.saturating_add(ms(after.unwrap_or_default()));
        let set = "lease_ms = 0, at_ms = $6,
                   state = CASE WHEN version = $5 THEN $7 ELSE state END,
                   next_ms = CASE WHEN version = $5 THEN $8 ELSE next_ms END,
                   attempts = CASE WHEN version = $5 THEN attempts + 1 ELSE attempts END,
                   last_error = CASE WHEN version = $5 THEN $9 ELSE last_error END,
                   said = CASE WHEN version = $5 THEN $10 ELSE said END";
        let values: [Value; 6] =
            [job.version.into(), now.into(), state.into(), next.into(), why.into(), said.into()];
        self.write(|tx| settle(tx, job, set, &values).map(drop))
    }

    /// The destination could not be reached: it waits, and that is no refusal.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn outbound_interrupted(&self, job: &Job) -> Result<(), DbError> {
        self.write(|tx| settle(tx, job, "lease_ms = $5", &[Value::Int(0)]).map(drop))
    }

    /// Notes that a destination takes nothing, with what the latest try said, or does again.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn outbound_silent(&self, destination: &str, said: Option<&str>) -> Result<(), DbError> {
        let now = self.clock().now_ms();
        self.write(|tx| {
            let changed = match said {
                Some(said) => tx.execute(
                    "UPDATE outbound_destination SET silent_ms = coalesce(silent_ms, $1), said = $2
                     WHERE name = $3",
                    &[now.into(), said.into(), destination.into()],
                ),
                None => tx.execute(
                    "UPDATE outbound_destination SET silent_ms = NULL, said = ''
                     WHERE name = $1 AND silent_ms IS NOT NULL",
                    &[destination.into()],
                ),
            };
            changed.map(drop)
        })
    }

    /// Sends again what this destination refused for good, and says how much that is.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn retry_outbound(&self, destination: &str, by: &str) -> Result<u64, DbError> {
        let now_ms = self.clock().now_ms();
        self.write(|tx| {
            let rows = tx.execute(
                "UPDATE outbound SET state = 'waiting', attempts = 0, next_ms = 0
                 WHERE destination = $1 AND state = 'dead'",
                &[destination.into()],
            )?;
            let entry = Entry {
                actor: by,
                action: "outbound.retry",
                object: &format!("destination {destination}"),
                detail: &json!({ "rows": rows }),
            };
            audit::append(tx, now_ms, &entry)?;
            Ok(rows)
        })
    }

    /// How it stands with each destination.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn outbound_queues(&self) -> Result<Vec<Queue>, DbError> {
        self.write(|tx| {
            let rows = tx.query(
                "SELECT d.name, d.silent_ms, d.said,
                   (SELECT count(*) FROM outbound o
                    WHERE o.destination = d.name AND o.state = 'waiting'),
                   (SELECT min(o.queued_ms) FROM outbound o
                    WHERE o.destination = d.name AND o.state = 'waiting' AND o.queued_ms > 0),
                   d.sent,
                   (SELECT count(*) FROM outbound o
                    WHERE o.destination = d.name AND o.state = 'dead')
                 FROM outbound_destination d ORDER BY d.name",
                &[],
            )?;
            rows.iter().map(queue).collect()
        })
    }

    /// What was given up, the latest first, in our words only: whoever looks after the hub may see
    /// no patients.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn dead_outbound(&self, limit: i64) -> Result<Vec<Dead>, DbError> {
        self.write(|tx| {
            let rows = tx.query(
                "SELECT destination, site, study, object, last_error, at_ms FROM outbound
                 WHERE state = 'dead' ORDER BY at_ms DESC, destination, site, study, object
                 LIMIT $1",
                &[limit.into()],
            )?;
            rows.iter().map(dead).collect()
        })
    }
}

/// Changes the row of a job; values of `set` begin with `$5`. Returns its state, which is empty for
/// a row that is gone.
fn settle(
    tx: &mut dyn Transaction,
    job: &Job,
    set: &str,
    values: &[Value],
) -> Result<String, DbError> {
    let key = [&job.destination, &job.site, &job.study, &job.object];
    let mut all: Vec<Value> = key.into_iter().map(|text| text.as_str().into()).collect();
    all.extend_from_slice(values);
    let sql = format!(
        "UPDATE outbound SET {set}
         WHERE destination = $1 AND site = $2 AND study = $3 AND object = $4 RETURNING state"
    );
    let rows = tx.query(&sql, &all)?;
    rows.first().map_or(Ok(String::new()), |row| row.text(0).map(str::to_owned))
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn job(destination: &str, row: &Record) -> Result<Job, DbError> {
    Ok(Job {
        destination: destination.to_owned(),
        site: row.text(0)?.to_owned(),
        study: row.text(1)?.to_owned(),
        object: row.text(2)?.to_owned(),
        version: row.int(3)?,
        attempts: u32::try_from(row.int(4)?).unwrap_or(u32::MAX),
        sent: row.text(5)?.to_owned(),
    })
}

fn queue(row: &Record) -> Result<Queue, DbError> {
    Ok(Queue {
        destination: row.text(0)?.to_owned(),
        waiting: row.int(3)?,
        oldest_ms: row.maybe_int(4)?,
        sent: row.int(5)?,
        dead: row.int(6)?,
        silent_ms: row.maybe_int(1)?,
        said: row.text(2)?.to_owned(),
    })
}

fn dead(row: &Record) -> Result<Dead, DbError> {
    Ok(Dead {
        destination: row.text(0)?.to_owned(),
        site: row.text(1)?.to_owned(),
        study: row.text(2)?.to_owned(),
        object: row.text(3)?.to_owned(),
        last_error: row.text(4)?.to_owned(),
        at_ms: row.int(5)?,
    })
}

/// What the hub itself wrote as JSON.
fn json<T: DeserializeOwned>(row: &Record, column: usize) -> Result<T, DbError> {
    let text = row.text(column)?;
    serde_json::from_str(text).map_err(|error| DbError::Backend(Box::new(error)))
}

/// The objects of a study, by series.
fn objects(tx: &mut dyn Transaction, site: &str, study: &str) -> Result<Vec<Manifest>, DbError> {
    let rows = tx.query(
        "SELECT series, title, sop_class, sop_instance, sha256, bytes FROM study_object
         WHERE site = $1 AND study = $2 ORDER BY series, title, place, sop_instance",
        &[site.into(), study.into()],
    )?;
    let mut manifests: Vec<Manifest> = Vec::new();
    for row in &rows {
        let (series, title) = (row.text(0)?, row.text(1)?);
        let object = Object {
            sop_class: row.text(2)?.to_owned(),
            sop_instance: row.text(3)?.to_owned(),
            sha256: row.text(4)?.to_owned(),
            bytes: u64::try_from(row.int(5)?).unwrap_or_default(),
        };
        match manifests.last_mut() {
            Some(last) if last.series == series && last.title == title => last.objects.push(object),
            _ => manifests.push(Manifest {
                study: study.to_owned(),
                series: series.to_owned(),
                title: title.to_owned(),
                objects: vec![object],
            }),
        }
    }
    Ok(manifests)
}

/// The latest answer, unless the clinic has asked again since.
fn answer(
    tx: &mut dyn Transaction,
    study: &str,
    referral: &str,
    status: &str,
) -> Result<Option<Answer>, DbError> {
    let rows = tx.query(
        "SELECT assignee, actor, note, actions, at_ms FROM referral_answer
         WHERE referral = $1 AND status = $2 ORDER BY version DESC LIMIT 1",
        &[referral.into(), status.into()],
    )?;
    let (Some(row), Some(status)) = (rows.first(), Status::of(status)) else { return Ok(None) };
    let assignee = row.text(0)?;
    let by = if assignee.is_empty() { row.text(1)? } else { assignee };
    Ok(Some(Answer {
        study: study.to_owned(),
        status,
        by: by.to_owned(),
        note: row.text(2)?.to_owned(),
        actions: json(row, 3)?,
        at_ms: row.int(4)?,
    }))
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
