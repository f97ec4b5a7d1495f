//! A stick in a truck: what waits goes into files that the hub reads, and its receipts come back.
//! Rows stay where they are until a receipt, or a link, says that the hub has them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use exchange::courier::{Blob, Outbox as _};
use exchange::row::Row;
use exchange::stick::{
    self, FORMAT, Header, RECEIPT_BYTES, Receipt, SIGNATURE, StickError, Writer,
};
use exchange::wire::Outcome;
use serde_json::json;
use tempfile::NamedTempFile;

use super::identity::{
    self, HUB_KEY, Identity, IdentityError, RECEIPT_KEY, RECIPIENT, SIGNING_KEY,
};
use super::outbox::StoreOutbox;
use crate::store::StoreError;
use crate::store::audit::Entry;
use crate::store::outbox::Waiting;

/// Longest file: sticks are mostly FAT, which has none of 4 GiB.
const FILE_BYTES: u64 = 3 << 30;
/// Left free on the stick, for signatures and the file system's own.
const RESERVE: u64 = 16 << 20;
/// Read at a time.
const PIECE: usize = 1 << 20;

/// Why nothing was carried.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// This box is nobody at a hub.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The file, or a key.
    #[error(transparent)]
    Stick(#[from] StickError),
    /// The database failed.
    #[error("the outbox cannot be read")]
    Store(#[from] StoreError),
    /// The stick is full, removed or write-protected.
    #[error("cannot write into {path}; is the stick mounted, and not write-protected?")]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not even the first message fits.
    #[error("{path} has {free} free, and the first message needs {needed}; use another stick")]
    Space {
        /// The folder.
        path: PathBuf,
        /// Room that there is.
        free: String,
        /// Room that it takes.
        needed: String,
    },
    /// A receipt that cannot be used.
    #[error("{path} {what}")]
    Receipt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Rows in them.
    pub rows: usize,
    /// Rows for which there was no room.
    pub left: usize,
}

/// What came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Rows that the hub has.
    pub rows: usize,
    /// What it says.
    pub commands: usize,
}

/// Writes what waits into files in `folder`, the most urgent first and as far as there is room.
///
/// # Errors
///
/// When this box is not enrolled, the database fails, or nothing can be written.
pub fn export(
    outbox: &mut StoreOutbox,
    identity: &Path,
    folder: &Path,
) -> Result<Exported, CarryError> {
    let keys = Keys::load(identity)?;
    while let Some(row) = outbox.store.unsealed_row()? {
        outbox.seal(&row)?;
    }
    let waiting = outbox.store.waiting_rows()?;
    let free = free(folder)?.saturating_sub(RESERVE);
    let fitting = fitting(&waiting, free);
    if let (0, Some(first)) = (fitting, waiting.first()) {
        let (free, needed) = (size(free), size(cost(*first)));
        return Err(CarryError::Space { path: folder.to_owned(), free, needed });
    }
    let mut exported = Exported { left: waiting.len() - fitting, ..Exported::default() };
    let mut rest = waiting.get(..fitting).unwrap_or_default();
    while !rest.is_empty() {
        // At least one, however long it is.
        let (these, others) = rest.split_at(fitting_one_file(rest));
        rest = others;
        if let Some((rows, path)) = write(outbox, &keys, folder, these)? {
            exported.rows += rows;
            exported.files.push(path);
        }
    }
    outbox.store.audit(&Entry {
        actor: "command line",
        action: "hub.export",
        object: &folder.display().to_string(),
        detail: &json!({ "rows": exported.rows, "left": exported.left }),
    })?;
    Ok(exported)
}

/// Takes a receipt in: rows that the hub has are acknowledged, and what it says is carried out. A
/// receipt may be taken in twice.
///
/// # Errors
///
/// When it is not from this box's hub, not for this box, or the database fails.
pub fn import_receipt(
    outbox: &mut StoreOutbox,
    identity: &Path,
    path: &Path,
) -> Result<Taken, CarryError> {
    let site = Identity::load(identity)?.site;
    let refused = |what: String| CarryError::Receipt { path: path.to_owned(), what };
    let unreadable = |error: io::Error| refused(format!("cannot be read: {error}"));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(RECEIPT_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > RECEIPT_BYTES {
        return Err(refused(format!("is longer than {}", size(RECEIPT_BYTES))));
    }
    let signature = fs::read_to_string(beside(path));
    let signature = signature.map_err(|error| {
        refused(format!("has no signature beside it ({}): {error}", beside(path).display()))
    })?;
    let secret = stick::Secret::parse(&text(identity, RECEIPT_KEY)?)?;
    let receipt = Receipt::read(&bytes, &signature, &text(identity, HUB_KEY)?, &secret)?;
    if receipt.site != site {
        return Err(refused(format!("is for site {:?}, this box is {site:?}", receipt.site)));
    }
    let Receipt { mut answers, commands, .. } = receipt;
    // Whether a row is sent again is decided here.
    answers.retain(|answer| !matches!(answer.outcome, Outcome::Later { .. }));
    outbox.settle(&answers, Duration::ZERO)?;
    outbox.obey(&commands)?;
    let there = |outcome: &Outcome| matches!(outcome, Outcome::Stored | Outcome::Duplicate);
    let rows = answers.iter().filter(|answer| there(&answer.outcome)).count();
    let taken = Taken { rows, commands: commands.len() };
    outbox.store.audit(&Entry {
        actor: "command line",
        action: "hub.receipt",
        object: &path.display().to_string(),
        detail: &json!({ "rows": taken.rows, "commands": taken.commands }),
    })?;
    Ok(taken)
}

/// Who writes, and for whom.
struct Keys {
    site: String,
    recipient: String,
    /// Whom a receipt is to be encrypted to.
    receipt_to: String,
    signing: String,
}

impl Keys {
    fn load(folder: &Path) -> Result<Self, CarryError> {
        Ok(Self {
            site: Identity::load(folder)?.site,
            recipient: text(folder, RECIPIENT)?,
            receipt_to: stick::Secret::parse(&text(folder, RECEIPT_KEY)?)?.recipient(),
            signing: text(folder, SIGNING_KEY)?,
        })
    }
}

fn text(folder: &Path, name: &str) -> Result<String, IdentityError> {
    let path = folder.join(name);
    let bytes = identity::read(&path)?;
    String::from_utf8(bytes)
        .map_err(|error| IdentityError::Unusable { path, reason: error.to_string() })
}

/// Name of a signature.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SIGNATURE);
    name.into()
}

/// Bytes that can be written into a folder.
fn free(folder: &Path) -> Result<u64, CarryError> {
    let space = rustix::fs::statvfs(folder)
        .map_err(|error| CarryError::Write { path: folder.to_owned(), source: error.into() })?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

fn size(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}

/// Room that a row takes at most: what does not compress grows by little.
fn cost(row: Waiting) -> u64 {
    row.bytes.saturating_add(row.bytes / 64).saturating_add(4096)
}

/// How many rows have room.
fn fitting(rows: &[Waiting], room: u64) -> usize {
    let mut left = room;
    let fits = |row: &&Waiting| {
        let rest = left.checked_sub(cost(**row));
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    rows.iter().take_while(fits).count()
}

fn fitting_one_file(rows: &[Waiting]) -> usize {
    fitting(rows, FILE_BYTES).max(1).min(rows.len())
}

/// One file and its signature; `None` when none of the rows waits any more.
fn write(
    outbox: &mut StoreOutbox,
    keys: &Keys,
    folder: &Path,
    rows: &[Waiting],
) -> Result<Option<(usize, PathBuf)>, CarryError> {
    let fails = |source| CarryError::Write { path: folder.to_owned(), source };
    let header = Header {
        format: FORMAT,
        site: keys.site.clone(),
        epoch: outbox.store.epoch()?,
        created_ms: outbox.store.clock().now(),
        cursor: outbox.hello()?.cursor,
        receipt_to: keys.receipt_to.clone(),
    };
    let file = NamedTempFile::new_in(folder).map_err(fails)?;
    let mut writer = Writer::new(BufWriter::new(file.as_file()), &keys.recipient, &header)?;
    let mut written: Vec<i64> = Vec::new();
    for waiting in rows {
        if let Some((row, blobs)) = outbox.store.waiting_row(waiting.seq)?
            && put(outbox, &mut writer, &row, &blobs)?
        {
            written.push(row.key.seq);
        }
    }
    writer.finish()?.flush().map_err(fails)?;
    let (Some(first), Some(last)) = (written.iter().min(), written.iter().max()) else {
        return Ok(None);
    };
    file.as_file().sync_all().map_err(fails)?;
    let again = File::open(file.path()).map_err(fails)?;
    let signature = stick::sign(again, &keys.site, &keys.signing)?;
    let path = folder.join(stick::file_name(&header.epoch, *first, *last));
    // The signature first, so that a file is never without.
    let mut beside_it = NamedTempFile::new_in(folder).map_err(fails)?;
    beside_it.write_all(signature.as_bytes()).map_err(fails)?;
    beside_it.as_file().sync_all().map_err(fails)?;
    beside_it.persist(beside(&path)).map_err(|error| fails(error.error))?;
    file.persist(&path).map_err(|error| fails(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(fails)?;
    Ok(Some((written.len(), path)))
}

/// A row behind its blobs; `false` when one of them is gone, which is noted at the row.
fn put(
    outbox: &mut StoreOutbox,
    writer: &mut Writer<BufWriter<&File>>,
    row: &Row,
    blobs: &[Blob],
) -> Result<bool, CarryError> {
    for blob in blobs {
        if outbox.read(blob, 0, 0)?.is_none() {
            return Ok(false);
        }
    }
    for blob in blobs {
        let mut content =
            Content { outbox: &mut *outbox, blob, offset: 0, piece: io::Cursor::default() };
        writer.blob(&blob.sha256, blob.bytes, &mut content)?;
    }
    writer.row(row)?;
    Ok(true)
}

/// A blob as it lies in the outbox.
struct Content<'a> {
    outbox: &'a mut StoreOutbox,
    blob: &'a Blob,
    offset: u64,
    piece: io::Cursor<Vec<u8>>,
}

impl Read for Content<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.piece.read(into)?;
        if read > 0 || into.is_empty() || self.offset >= self.blob.bytes {
            return Ok(read);
        }
        let piece = self.outbox.read(self.blob, self.offset, PIECE).map_err(io::Error::other)?;
        let piece = piece.ok_or(io::ErrorKind::NotFound)?;
        self.offset += piece.len() as u64;
        self.piece = io::Cursor::new(piece);
        self.piece.read(into)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exchange::command::{Answer, Command, Numbered};
    use exchange::stick::{Frame, Secret};
    use exchange::telemetry::Telemetry;
    use exchange::wire::Answered;
    use rcgen::{CertificateParams, DnType, KeyPair};
    use tempfile::TempDir;

    use super::*;
    use crate::clock::ManualClock;
    use crate::hub::identity::{AUTHORITY, CERTIFICATE, KEY};
    use crate::results::Objects;
    use crate::store::Store;
    use crate::store::outbox::{HubProfile, Identity as Profile, SeriesSent};

    /// A box that is enrolled, a stick, and the hub's keys.
    struct Clinic {
        folder: TempDir,
        outbox: StoreOutbox,
        hub: Secret,
        receipt_to: String,
        hub_signing: String,
        /// Of the box.
        public: String,
    }

    impl Clinic {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path();
            let database = path.join("a.sqlite");
            let store = Store::open(&database, Arc::new(ManualClock::new(1_800_000_000_000)));
            let store = Arc::new(store.unwrap());
            store.begin_run().unwrap();
            let profile = HubProfile { identity: Profile::Full, series: SeriesSent::None };
            store.set_hub(Some(&profile)).unwrap();
            let objects = Objects { folder: path.join("results"), archive: path.join("archive") };
            let [own, hubs] =
                [(); 2].map(|()| minisign::KeyPair::generate_unencrypted_keypair().unwrap());
            let secret = |pair: &minisign::KeyPair| pair.sk.to_box(None).unwrap().into_string();
            let (hub, receipt) = (Secret::generate(), Secret::generate());
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name.push(DnType::CommonName, "kilosa");
            let certificate = params.self_signed(&key).unwrap().pem();
            fs::create_dir(path.join("hub")).unwrap();
            fs::create_dir(path.join("stick")).unwrap();
            for (name, text) in [
                (AUTHORITY, certificate.clone()),
                (CERTIFICATE, certificate),
                (KEY, key.serialize_pem()),
                (SIGNING_KEY, secret(&own)),
                (RECEIPT_KEY, receipt.to_text()),
                (HUB_KEY, hubs.pk.to_base64()),
                (RECIPIENT, hub.recipient()),
            ] {
                fs::write(path.join("hub").join(name), text).unwrap();
            }
            Self {
                outbox: StoreOutbox { store, objects, offers: None },
                hub,
                receipt_to: receipt.recipient(),
                hub_signing: secret(&hubs),
                public: own.pk.to_base64(),
                folder,
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn export(&mut self) -> Exported {
            let (identity, stick) = (self.path("hub"), self.path("stick"));
            export(&mut self.outbox, &identity, &stick).unwrap()
        }

        fn waiting(&self) -> u64 {
            self.outbox.store.outbox_counts().unwrap().waiting.iter().sum()
        }

        /// Rows of a file, as the hub reads it.
        fn rows(&self, path: &Path) -> Vec<Row> {
            let signature = fs::read_to_string(beside(path)).unwrap();
            let mut reader = stick::open(path, &signature, &self.public, &self.hub).unwrap();
            assert_eq!(reader.header().site, "kilosa");
            let mut rows = Vec::new();
            while let Some(frame) = reader.frame().unwrap() {
                match frame {
                    Frame::Row(row) => rows.push(row),
                    Frame::Blob(blob) => panic!("{}", blob.sha256),
                }
            }
            rows
        }

        fn receipt(&self, site: &str, rows: &[Row]) -> PathBuf {
            let answer = |row: &Row| Answered { key: row.key.clone(), outcome: Outcome::Stored };
            let receipt = Receipt {
                format: FORMAT,
                site: site.to_owned(),
                wall_ms: 1,
                answers: rows.iter().map(answer).collect(),
                commands: vec![Numbered {
                    number: 1,
                    command: Command::Referral(Answer::default()),
                }],
            };
            let path = self.path("receipt");
            let bytes = receipt.write(&self.receipt_to).unwrap();
            let signature = stick::sign(bytes.as_slice(), site, &self.hub_signing).unwrap();
            fs::write(&path, bytes).unwrap();
            fs::write(beside(&path), signature).unwrap();
            path
        }

        fn import(&mut self, path: &Path) -> Result<Taken, CarryError> {
            let identity = self.path("hub");
            import_receipt(&mut self.outbox, &identity, path)
        }
    }

    #[test]
    fn what_a_receipt_names_waits_no_longer() {
        let mut clinic = Clinic::new();
        assert_eq!(clinic.export(), Exported::default());
        clinic.outbox.store.write_telemetry(&Telemetry::default()).unwrap();
        let waiting = clinic.waiting();
        let exported = clinic.export();
        assert_eq!((exported.files.len(), exported.rows as u64), (1, waiting));
        let rows = clinic.rows(&exported.files[0]);
        assert!(rows.iter().all(Row::is_intact));
        assert_eq!(rows.len(), exported.rows);
        // Nothing is known yet: the next stick carries the same.
        assert_eq!(clinic.waiting(), waiting);
        assert_eq!(clinic.export(), exported);

        clinic.outbox.store.write_telemetry(&Telemetry::default()).unwrap();
        let more = clinic.waiting() - waiting;
        let receipt = clinic.receipt("kilosa", &rows);
        let taken = Taken { rows: rows.len(), commands: 1 };
        for _ in 0..2 {
            assert_eq!(clinic.import(&receipt).unwrap(), taken);
            assert_eq!(clinic.waiting(), more);
        }
        assert_eq!(clinic.outbox.hello().unwrap().cursor, 1);
    }

    #[test]
    fn receipts_of_others_are_refused() {
        let mut clinic = Clinic::new();
        let receipt = clinic.receipt("ifakara", &[]);
        let error = clinic.import(&receipt).unwrap_err().to_string();
        assert!(error.ends_with("is for site \"ifakara\", this box is \"kilosa\""), "{error}");
        let receipt = clinic.receipt("kilosa", &[]);
        fs::write(&receipt, b"{}").unwrap();
        assert!(matches!(
            clinic.import(&receipt),
            Err(CarryError::Stick(StickError::Signature { .. }))
        ));
        fs::remove_file(beside(&receipt)).unwrap();
        let error = clinic.import(&receipt).unwrap_err().to_string();
        assert!(error.contains("has no signature beside it"), "{error}");
        // Another hub's box may have the same name.
        let receipt = clinic.receipt("kilosa", &[]);
        let other = Clinic::new();
        fs::copy(other.path("hub").join(HUB_KEY), clinic.path("hub").join(HUB_KEY)).unwrap();
        assert!(clinic.import(&receipt).is_err());
    }

    #[test]
    fn rows_go_as_far_as_there_is_room() {
        let rows = [5, 7, 0].map(|seq| Waiting { seq, bytes: 64_000 });
        let one = cost(rows[0]);
        assert_eq!(one, 64_000 + 1000 + 4096);
        assert_eq!(fitting(&rows, 0), 0);
        assert_eq!(fitting(&rows, 2 * one), 2);
        assert_eq!(fitting(&rows, u64::MAX), 3);
        let long = [Waiting { seq: 1, bytes: u64::MAX }];
        assert_eq!(fitting_one_file(&long), 1);
    }
}
