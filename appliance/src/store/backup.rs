//! Copies of the database, and the way back.
//!
//! A backup is a whole SQLite file without a write-ahead log beside it, complete and checked
//! before it gets its name. It holds patients' data as the database does. What arrived after it
//! is not lost with the database: the images are files, and the archive indexes them again.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use serde_json::json;

use super::audit::{self, Entry};
use super::properties::{property, set_property};
use super::{STEPS, Store, StoreError, connect};
use crate::clock::Clock;

/// Backups kept.
pub const KEPT: usize = 7;
/// Findings of a check that are told; the first says enough.
const FINDINGS: usize = 20;

/// Why a backup was not made or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database that is copied failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// SQLite failed on a copy.
    #[error("cannot {doing} {path}")]
    Sqlite {
        /// `write`, `check` ...
        doing: &'static str,
        /// The copy.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The file system failed.
    #[error("cannot {doing} {path}")]
    File {
        /// `write`, `rename` ...
        doing: &'static str,
        /// File or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A backup must not be what fills the disk.
    #[error(
        "a backup of {needed} bytes into {path} would take more than half of the {free} bytes \
             that are free there; delete or move files, then back up again"
    )]
    NoRoom {
        /// The folder.
        path: PathBuf,
        /// Size of the database.
        needed: u64,
        /// Free bytes.
        free: u64,
    },
    /// The check of a copy found damage.
    #[error("the backup {path} is damaged ({finding}); use an older one")]
    Damaged {
        /// The copy.
        path: PathBuf,
        /// First line of SQLite's answer.
        finding: String,
    },
    /// Written by a program that knows more than this one.
    #[error(
        "the backup {path} has schema version {found}, this program knows {known}; install \
             the program that wrote it, or use an older backup"
    )]
    Newer {
        /// The copy.
        path: PathBuf,
        /// Its `user_version`.
        found: usize,
        /// Of this program.
        known: usize,
    },
    /// Some other database.
    #[error("{path} is not a backup of this appliance's database")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
}

impl BackupError {
    fn sqlite(doing: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Sqlite { doing, path, source }
    }

    fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }
}

/// What [`restore`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The files that were in the way, under their new names. Nothing is deleted.
    pub aside: Vec<PathBuf>,
    /// What people must know.
    pub said: String,
}

/// True when `every` has passed since `last`, both moments in box time, or there was no last time.
#[must_use]
pub fn due(now: i64, last: Option<i64>, every: Duration) -> bool {
    let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
    last.is_none_or(|last| now.saturating_sub(last) >= every)
}

impl Store {
    /// Writes a checked copy of the database into `folder`, which is made, and deletes all but the
    /// latest [`KEPT`]. Nobody waits meanwhile, neither readers nor writers.
    ///
    /// # Errors
    ///
    /// When there is too little room, a file cannot be written, or the copy is damaged, which
    /// means that the database is. Older backups are then as before.
    pub fn backup(&self, folder: &Path) -> Result<PathBuf, BackupError> {
        let now = self.clock.now();
        std::fs::create_dir_all(folder).map_err(BackupError::file("make", folder))?;
        let source = connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        check_room(&source, folder)?;
        let name = format!("appliance-{}.sqlite", stamp(now));
        let (part, path) = (folder.join(format!("{name}.part")), folder.join(&name));
        let bytes = match copy(&source, &part) {
            Ok(bytes) => bytes,
            Err(error) => {
                // What is left of the copy is of no use; a part that stays is deleted next time.
                std::fs::remove_file(&part).unwrap_or_default();
                return Err(error);
            }
        };
        rename_durably(&part, &path)?;
        prune(folder)?;
        self.write(|tx| {
            set_property(tx, "backup_at", &now.to_string())?;
            let detail = &json!({ "bytes": bytes });
            let entry = Entry { actor: "appliance", action: "store.backup", object: &name, detail };
            audit::append(tx, self.clock(), &entry)
        })?;
        Ok(path)
    }

    /// When the latest backup was made, in box time.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn last_backup_at(&self) -> Result<Option<i64>, StoreError> {
        self.read(|db| moment(db, "backup_at"))
    }

    /// When the whole database was last checked, in box time.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn last_full_check_at(&self) -> Result<Option<i64>, StoreError> {
        self.read(|db| moment(db, "full_check_at"))
    }

    /// [`Store::integrity_check`], which takes minutes for a large database; when all is well, the
    /// time is remembered.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn full_check(&self) -> Result<Vec<String>, StoreError> {
        let now = self.clock.now();
        let findings = self.integrity_check()?;
        if findings.is_empty() {
            self.write(|tx| set_property(tx, "full_check_at", &now.to_string()))?;
        }
        Ok(findings)
    }

    /// Version of the SQLite that is linked, as its makers write it.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn sqlite_version(&self) -> Result<String, StoreError> {
        self.read(|db| Ok(db.query_row("SELECT sqlite_version()", [], |row| row.get(0))?))
    }
}

/// Puts a backup in the place of the database. The appliance must not be running.
///
/// The backup itself stays. Its copy gets a new `epoch`, so that numbers which the lost database
/// may have given out are never taken for its own, and a row in its audit log. A power cut leaves
/// either the old state or what [`finish_restore`] completes.
///
/// # Errors
///
/// When the backup is damaged, from a newer program or not ours, or a file cannot be written; the
/// database is then as before.
pub fn restore(
    backup: &Path,
    database: &Path,
    actor: &str,
    clock: &dyn Clock,
) -> Result<Restored, BackupError> {
    check_backup(backup)?;
    let part = beside(database, ".restoring-part");
    let next = beside(database, ".restoring");
    write_private(&part, backup)?;
    adopt(&part, backup, actor, clock)?;
    rename_durably(&part, &next)?;
    let aside = finish_restore(database)?;
    let said = format!(
        "The database was restored from {}. Images that arrived after it are indexed again at the \
         next start and analysed again; decisions taken after it are lost.",
        backup.display()
    );
    Ok(Restored { aside, said })
}

/// Completes a [`restore`] that a power cut interrupted; otherwise nothing happens. Must be called
/// before the store is opened: a write-ahead log of the old database would ruin the new one.
/// Returns the new names of the old files.
///
/// # Errors
///
/// When a file cannot be renamed. It can be called again.
pub fn finish_restore(database: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let next = beside(database, ".restoring");
    if !next.exists() {
        return Ok(Vec::new());
    }
    // The database goes last, so that a second call finds the same free number for all three.
    let free = (1..).map(|n: u32| format!(".damaged-{n}"));
    let aside = free.map(|suffix| beside(database, &suffix)).find(|aside| !aside.exists());
    let mut moved = Vec::new();
    for suffix in ["-wal", "-shm", ""] {
        let (from, Some(to)) = (beside(database, suffix), &aside) else { break };
        if from.exists() {
            let to = beside(to, suffix);
            std::fs::rename(&from, &to).map_err(BackupError::file("rename", &from))?;
            moved.push(to);
        }
    }
    rename_durably(&next, database)?;
    Ok(moved)
}

fn check_room(source: &Connection, folder: &Path) -> Result<(), BackupError> {
    let number = |pragma| -> Result<i64, StoreError> {
        Ok(source.pragma_query_value(None, pragma, |row| row.get(0))?)
    };
    let needed = (number("page_count")? * number("page_size")?).cast_unsigned();
    let stat = rustix::fs::statvfs(folder)
        .map_err(|error| BackupError::file("look at", folder)(error.into()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if needed > free / 2 {
        return Err(BackupError::NoRoom { path: folder.to_owned(), needed, free });
    }
    Ok(())
}

/// Copies and checks; returns the bytes of the copy, which is on the disk then.
fn copy(source: &Connection, part: &Path) -> Result<u64, BackupError> {
    // The file is made first, so that nobody else may read it.
    create_private(part)?;
    let write = || -> Result<(), rusqlite::Error> {
        let mut copy = Connection::open(part)?;
        // All pages in one step: one consistent state, which writers neither wait for nor change.
        Backup::new(source, &mut copy)?.run_to_completion(
            i32::MAX,
            Duration::from_millis(50),
            None,
        )?;
        // A copy with a write-ahead log would be more than one file.
        copy.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0))
            .map(drop)
    };
    write().map_err(BackupError::sqlite("write", part))?;
    check_copy(part)?;
    let file = File::open(part).map_err(BackupError::file("open", part))?;
    file.sync_all().map_err(BackupError::file("write", part))?;
    Ok(file.metadata().map_err(BackupError::file("look at", part))?.len())
}

/// Deletes all but the latest backups, and parts that a power cut left.
fn prune(folder: &Path) -> Result<(), BackupError> {
    let mut backups = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(BackupError::file("list", folder))? {
        let entry = entry.map_err(BackupError::file("list", folder))?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with("appliance-")) else {
            continue;
        };
        if name.ends_with(".sqlite") {
            backups.push(entry.path());
        } else if name.ends_with(".sqlite.part") {
            remove(&entry.path())?;
        }
    }
    // Box time in the name, so the order of names is that of time.
    backups.sort();
    let surplus = backups.len().saturating_sub(KEPT);
    backups.iter().take(surplus).try_for_each(|path| remove(path))
}

fn remove(path: &Path) -> Result<(), BackupError> {
    std::fs::remove_file(path).map_err(BackupError::file("delete", path))
}

fn check_backup(path: &Path) -> Result<(), BackupError> {
    // SQLite would take a missing or an empty file for an empty database.
    std::fs::metadata(path).map_err(BackupError::file("open", path))?;
    check_copy(path)?;
    let look = || -> Result<(usize, bool), rusqlite::Error> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let version = db.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))?;
        Ok((usize::try_from(version).unwrap_or(usize::MAX), db.table_exists(None, "audit")?))
    };
    let (found, ours) = look().map_err(BackupError::sqlite("read", path))?;
    let path = path.to_owned();
    match found {
        _ if !ours => Err(BackupError::Foreign { path }),
        found if found > STEPS.len() => Err(BackupError::Newer { path, found, known: STEPS.len() }),
        _ => Ok(()),
    }
}

fn check_copy(path: &Path) -> Result<(), BackupError> {
    let check = || -> Result<Vec<String>, rusqlite::Error> {
        integrity(&Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
    };
    let finding = match check() {
        Ok(findings) => findings.into_iter().next(),
        // A damaged page may make the check itself fail.
        Err(rusqlite::Error::SqliteFailure(error, _))
            if matches!(
                error.code,
                rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase
            ) =>
        {
            Some(error.to_string())
        }
        Err(error) => return Err(BackupError::sqlite("check", path)(error)),
    };
    match finding {
        None => Ok(()),
        Some(finding) => Err(BackupError::Damaged { path: path.to_owned(), finding }),
    }
}

/// What SQLite finds wrong; nothing when all is well.
fn integrity(db: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    let mut query = db.prepare(&format!("PRAGMA integrity_check({FINDINGS})"))?;
    let lines: Vec<String> = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(if lines == ["ok"] { Vec::new() } else { lines })
}

/// The copy becomes a database of its own.
fn adopt(part: &Path, backup: &Path, actor: &str, clock: &dyn Clock) -> Result<(), BackupError> {
    let write = || -> Result<(), StoreError> {
        let mut db = Connection::open(part)?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let epoch = uuid::Uuid::new_v4().simple().to_string();
        set_property(&tx, "epoch", &epoch)?;
        let object = backup.file_name().unwrap_or_default().to_string_lossy();
        let detail = &json!({ "epoch": epoch });
        let entry = Entry { actor, action: "store.restore", object: &object, detail };
        audit::append(&tx, clock, &entry)?;
        Ok(tx.commit()?)
    };
    Ok(write()?)
}

fn create_private(path: &Path) -> Result<File, BackupError> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true).mode(0o600);
    options.open(path).map_err(BackupError::file("write", path))
}

fn write_private(to: &Path, from: &Path) -> Result<(), BackupError> {
    let mut target = create_private(to)?;
    let mut source = File::open(from).map_err(BackupError::file("open", from))?;
    io::copy(&mut source, &mut target).map_err(BackupError::file("write", to))?;
    target.sync_all().map_err(BackupError::file("write", to))
}

/// The new name is on the disk when this returns, and the file before its name.
fn rename_durably(from: &Path, to: &Path) -> Result<(), BackupError> {
    let rename = || -> io::Result<()> {
        File::open(from)?.sync_all()?;
        std::fs::rename(from, to)?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    rename().map_err(BackupError::file("rename", from))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Box time for a file name, in UTC.
fn stamp(at: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn moment(db: &Connection, name: &str) -> Result<Option<i64>, StoreError> {
    Ok(property(db, name)?.and_then(|value| value.parse().ok()))
}

#[cfg(test)]
mod tests;
