//! Outbox files that came on a stick: what is in them goes the way of any other link, and a receipt
//! goes back. A file may be imported twice, or after a link has carried the same.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use exchange::row::Row;
use exchange::stick::{self, FORMAT, Frame, Receipt, SIGNATURE, StickError};
use exchange::wire::{Answered, Outcome, ROWS};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::db::DbError;
use crate::receive::{self, Hub, Refusal};
use crate::store::audit::Entry;
use crate::store::rows::Taken;

/// End of the name of a receipt, behind that of its file.
const RECEIPT: &str = ".receipt";
/// Longest signature file; real ones have a few hundred bytes.
const SIGNATURE_BYTES: u64 = 16 * 1024;
/// Bytes of bodies that are stored in one transaction.
const BATCH_BYTES: usize = 1024 * 1024;
/// Bytes of a blob that are in memory.
const PIECE_BYTES: usize = 256 * 1024;

/// Why a file was not imported. What of it was stored stays, and it may be imported again.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file.
    #[error("cannot {doing} {path}")]
    File {
        /// Verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing says whose it is.
    #[error(
        "{path} is no signature of an outbox file; copy it from the box together with the file"
    )]
    Unsigned {
        /// The signature's file.
        path: PathBuf,
    },
    /// Nobody of this site is let in.
    #[error("the file is signed by site {site:?}, which is not enrolled here, or is revoked")]
    Site {
        /// As the signature says.
        site: String,
    },
    /// The file is not what it should be.
    #[error("{path} cannot be read")]
    Stick {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: StickError,
    },
    /// An object was not taken in.
    #[error("blob {sha256} of the file was refused")]
    Blob {
        /// Digest of the blob.
        sha256: String,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// The receipt was not made.
    #[error("no receipt was made")]
    Receipt(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] DbError),
}

/// What was in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Whose it is.
    pub site: String,
    /// Rows that were new.
    pub stored: usize,
    /// Rows that were here before.
    pub duplicates: usize,
    /// Rows that were rejected or put off.
    pub refused: usize,
    /// Where the receipt is, for the way back.
    pub receipt: PathBuf,
}

/// The hub's own keys.
pub struct Keys {
    /// Decrypts outbox files.
    pub secret: stick::Secret,
    /// Signs receipts, as minisign writes it.
    pub signing: String,
}

/// Imports a file whose signature lies beside it, and writes the receipt there; `folder` is where
/// the file is copied to first, because a stick may be pulled out, or changed while it is read.
///
/// # Errors
///
/// When the file is not what it should be, or something of it is refused.
pub fn import(hub: &Hub, path: &Path, keys: &Keys, folder: &Path) -> Result<Imported, ImportError> {
    let signature = read_signature(&beside(path, SIGNATURE))?;
    let unsigned = || ImportError::Unsigned { path: beside(path, SIGNATURE) };
    let site = stick::signer(&signature).ok_or_else(unsigned)?;
    let key = hub.store().minisign_key(&site)?;
    let key = key.ok_or_else(|| ImportError::Site { site: site.clone() })?;
    let copy = copied(path, folder)?;
    let unreadable = |source| ImportError::Stick { path: path.to_owned(), source };
    let mut reader =
        stick::open(copy.path(), &signature, &key, &keys.secret).map_err(unreadable)?;
    let mut intake = Intake::new(hub, &site, reader.header().cursor);
    let receipt_to = reader.header().receipt_to.clone();
    while let Some(frame) = reader.frame().map_err(unreadable)? {
        match frame {
            Frame::Blob(blob) => {
                let (sha256, bytes) = (blob.sha256.clone(), blob.bytes);
                intake.blob(&sha256, bytes, blob)?;
            }
            Frame::Row(row) => intake.row(row)?,
        }
    }
    let taken = intake.finish()?;
    let count = |wanted: fn(&Outcome) -> bool| {
        taken.answers.iter().filter(|answer| wanted(&answer.outcome)).count()
    };
    let stored = count(|outcome| *outcome == Outcome::Stored);
    let duplicates = count(|outcome| *outcome == Outcome::Duplicate);
    let refused = taken.answers.len() - stored - duplicates;
    let receipt = beside(path, RECEIPT);
    let Taken { answers, commands, .. } = taken;
    let wall_ms = hub.store().clock().now_ms();
    let content = Receipt { format: FORMAT, site: site.clone(), wall_ms, answers, commands };
    write_receipt(&receipt, &content, &receipt_to, &keys.signing)?;
    let detail = json!({ "stored": stored, "duplicates": duplicates, "refused": refused });
    let object = format!("file {}", path.display());
    hub.store().audit(&Entry {
        actor: &site,
        action: "stick.import",
        object: &object,
        detail: &detail,
    })?;
    Ok(Imported { site, stored, duplicates, refused, receipt })
}

/// What comes out of a file, on its way in.
struct Intake<'a> {
    hub: &'a Hub,
    site: &'a str,
    cursor: i64,
    rows: Vec<Row>,
    bytes: usize,
    answers: Vec<Answered>,
}

impl<'a> Intake<'a> {
    fn new(hub: &'a Hub, site: &'a str, cursor: i64) -> Self {
        Self { hub, site, cursor, rows: Vec::new(), bytes: 0, answers: Vec::new() }
    }

    fn row(&mut self, row: Row) -> Result<(), ImportError> {
        self.bytes += row.body.len();
        self.rows.push(row);
        if self.rows.len() >= ROWS || self.bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Stores the rows that wait.
    fn flush(&mut self) -> Result<Taken, ImportError> {
        let quota = self.hub.limits().row_bytes;
        let taken = self.hub.store().take_late(self.site, self.cursor, &self.rows, quota)?;
        let mut taken = taken.ok_or_else(|| ImportError::Site { site: self.site.to_owned() })?;
        self.answers.append(&mut taken.answers);
        self.rows.clear();
        self.bytes = 0;
        Ok(taken)
    }

    /// Stores the rest; returns all answers, and what the box is told.
    fn finish(mut self) -> Result<Taken, ImportError> {
        let last = self.flush()?;
        Ok(Taken { answers: self.answers, ..last })
    }

    /// Stores a blob, from where an earlier link left off.
    fn blob(
        &mut self,
        sha256: &str,
        bytes: u64,
        mut content: impl Read,
    ) -> Result<(), ImportError> {
        let refused = |source| ImportError::Blob { sha256: sha256.to_owned(), source };
        let broken = |source: io::Error| {
            refused(Refusal::new(400, format!("its content cannot be read: {source}")))
        };
        let upload = receive::announce(self.hub, self.site, sha256, bytes).map_err(refused)?;
        let mut offset = upload.offset;
        io::copy(&mut content.by_ref().take(offset), &mut io::sink()).map_err(broken)?;
        let mut piece = Vec::new();
        while offset < bytes {
            piece.clear();
            let most = (bytes - offset).min(PIECE_BYTES as u64);
            content.by_ref().take(most).read_to_end(&mut piece).map_err(broken)?;
            offset = receive::append_piece(self.hub, self.site, sha256, offset, &piece)
                .map_err(refused)?;
        }
        Ok(())
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ImportError {
    let path = path.to_owned();
    move |source| ImportError::File { doing, path, source }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn read_signature(path: &Path) -> Result<String, ImportError> {
    let mut text = String::new();
    let file = File::open(path).map_err(failed("open", path))?;
    file.take(SIGNATURE_BYTES).read_to_string(&mut text).map_err(failed("read", path))?;
    Ok(text)
}

fn copied(path: &Path, folder: &Path) -> Result<NamedTempFile, ImportError> {
    let mut copy = NamedTempFile::new_in(folder).map_err(failed("make a file in", folder))?;
    let mut file = File::open(path).map_err(failed("open", path))?;
    io::copy(&mut file, &mut copy).map_err(failed("copy", path))?;
    Ok(copy)
}

/// The signature last: without it the receipt is none.
fn write_receipt(
    path: &Path,
    receipt: &Receipt,
    recipient: &str,
    signing_key: &str,
) -> Result<(), ImportError> {
    let failed = |error: StickError| ImportError::Receipt(error.into());
    let bytes = receipt.write(recipient).map_err(failed)?;
    let signature = stick::sign(bytes.as_slice(), &receipt.site, signing_key).map_err(failed)?;
    write(path, &bytes)?;
    write(&beside(path, SIGNATURE), signature.as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ImportError> {
    fs::write(path, bytes)
        .and_then(|()| File::open(path)?.sync_all())
        .map_err(failed("write", path))
}

#[cfg(test)]
mod tests;
