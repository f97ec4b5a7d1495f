//! The audit log for other systems and for people.
//!
//! The log itself is in the store, chained by hashes. [`export`] writes it as DICOM audit messages
//! for an audit repository; [`verdict`] says in words whether the chain is whole.

pub mod message;

use std::io::{self, Write};

use crate::store::audit::{AuditCheck, Record};
use crate::store::{Store, StoreError};
use message::{Origin, Subject};

/// Rows read at once.
const PAGE: usize = 1000;

/// How messages are framed, one a line either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The XML alone.
    Plain,
    /// With the header of RFC 5424, as an audit repository takes it (PS3.15 A.6).
    Syslog,
}

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The messages cannot be written.
    #[error("cannot write the audit messages")]
    Write(#[from] io::Error),
}

/// Writes all rows after `after` as messages, oldest first. Returns the last row written, which is
/// `after` when there is none: the place to go on from.
///
/// # Errors
///
/// When the log cannot be read or the messages cannot be written.
pub fn export(
    store: &Store,
    after: i64,
    origin: &Origin,
    framing: Framing,
    out: &mut dyn Write,
) -> Result<i64, ExportError> {
    let mut last = after;
    loop {
        let records = store.audit_rows(last, PAGE)?;
        if records.is_empty() {
            out.flush()?;
            return Ok(last);
        }
        for record in records {
            let subject = subject(store, &record)?;
            let message = message::message(&record, origin, subject.as_ref());
            match framing {
                Framing::Plain => writeln!(out, "{message}")?,
                Framing::Syslog => writeln!(out, "{}", syslog(&record, origin, &message))?,
            }
            last = record.seq;
        }
    }
}

/// The study a row speaks of, if its object is one.
fn subject(store: &Store, record: &Record) -> Result<Option<Subject>, StoreError> {
    let Some(study_id) = record.object.strip_prefix("study ").and_then(|id| id.parse().ok()) else {
        return Ok(None);
    };
    let identity = store.study_identity(study_id)?;
    Ok(identity.map(|(study_uid, patient_id)| Subject { study_uid, patient_id }))
}

/// Facility 10 (security), severity 5 (notice), and the message id that PS3.15 A.6 asks for.
fn syslog(record: &Record, origin: &Origin, message: &str) -> String {
    // A host name is printable ASCII without spaces, at most 255 (RFC 5424 6).
    let host: String = origin.source.chars().filter(char::is_ascii_graphic).take(255).collect();
    let host = if host.is_empty() { "-" } else { &host };
    let time = message::time(record.at);
    format!("<85>1 {time} {host} appliance - DICOM+RFC3881 - \u{feff}{message}")
}

/// What a check of the chain says.
#[must_use]
pub fn verdict(check: &AuditCheck) -> String {
    match (check.first_bad, check.rows) {
        (None, 0) => "the audit log is empty".to_owned(),
        (None, rows) => {
            format!("the audit log is whole: {rows} rows, the last has the hash {}", check.head)
        }
        (Some(bad), rows) => format!(
            "the audit log is damaged: row {bad} is missing or was changed, the {rows} rows before \
             it are whole; keep the database and its backups as they are, and compare with a \
             backup or with exported messages"
        ),
    }
}

#[cfg(test)]
mod tests;
