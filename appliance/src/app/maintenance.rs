//! What is done to an appliance's data while it does not run, or beside it.

use std::path::Path;
use std::sync::Arc;

use super::{AppError, archive_config};
use crate::archive::{self, Archive, ArchiveError};
use crate::audit::message::Origin;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::health::words;
use crate::store::{Store, backup};
use crate::triage::{Rules, RulesError};

/// The database file in the data folder.
pub(super) const DATABASE: &str = "appliance.sqlite";

/// The database of the settings' data folder.
///
/// # Errors
///
/// When the folder cannot be made or the database not be opened.
pub fn open_store(config: &Config) -> Result<Arc<Store>, AppError> {
    let path = config.settings.data.folder.clone();
    std::fs::create_dir_all(&path).map_err(|source| AppError::Folder { path, source })?;
    let clock = Arc::new(SystemClock::new());
    let store = Store::open(&config.settings.data.folder.join(DATABASE), clock.clone())?;
    clock.resume(store.last_seen()?);
    Ok(Arc::new(store))
}

/// The archive of the settings' data folder.
///
/// # Errors
///
/// When its folders cannot be made.
pub fn open_archive(config: &Config, store: Arc<Store>) -> Result<Archive, ArchiveError> {
    let folder = config.settings.data.folder.join("archive");
    Archive::open(&folder, store, archive_config(config))
}

/// The site's rules, or the built-in ones.
///
/// # Errors
///
/// When the file cannot be used.
pub fn rules(config: &Config) -> Result<Rules, RulesError> {
    let path = &config.settings.analysis.referral_rules_file;
    if path.as_os_str().is_empty() { Rules::built_in() } else { Rules::load(path) }
}

/// Who speaks in exported audit messages.
#[must_use]
pub fn origin(config: &Config) -> Origin {
    Origin {
        source: config.settings.dicom.ae_title.clone(),
        site: config.settings.site.name.clone(),
    }
}

/// Puts a copy of the database back and indexes what arrived since; says what was done.
///
/// # Errors
///
/// When the copy is refused, or the archive cannot be read.
pub fn restore(config: &Config, copy: &Path) -> Result<String, AppError> {
    let database = config.settings.data.folder.join(DATABASE);
    let restored = backup::restore(copy, &database, "command line", &SystemClock::new())?;
    let store = open_store(config)?;
    let archive = open_archive(config, store)?;
    let found = archive::rebuild_index(&archive)?;
    Ok(format!("{}\n{}", restored.said, render(&found)))
}

/// Indexes every file of the archive that has no row; says what was done.
///
/// # Errors
///
/// When the database or the archive cannot be read.
pub fn rebuild_index(config: &Config) -> Result<String, AppError> {
    let archive = open_archive(config, open_store(config)?)?;
    Ok(render(&archive::rebuild_index(&archive)?))
}

fn render(found: &archive::Reconciled) -> String {
    let images = words::count(found.indexed as u64, "image", "images");
    let mut text = format!("{images} indexed from the archive\n");
    for path in &found.missing {
        text += &format!("missing: {path}\n");
    }
    for (path, why) in &found.unreadable {
        text += &format!("not indexed: {path}: {why}\n");
    }
    text
}

/// Digests of all files, the database, and the audit log; true when all is well.
///
/// # Errors
///
/// When the database or the archive cannot be read at all.
pub fn verify(config: &Config) -> Result<(bool, String), AppError> {
    let store = open_store(config)?;
    let mut findings: Vec<String> =
        store.integrity_check()?.into_iter().map(|f| format!("database: {f}")).collect();
    let audit = store.verify_audit()?;
    if let Some(row) = audit.first_bad {
        findings.push(format!("audit log: row {row} is missing or was changed"));
    }
    let archive = open_archive(config, store)?;
    let bad = archive::verify(&archive, || false)?;
    findings.extend(bad.iter().map(|bad| format!("{}: {}", bad.path, bad.why)));
    if findings.is_empty() {
        let rows = words::count(u64::try_from(audit.rows).unwrap_or(0), "row", "rows");
        return Ok((true, format!("database, all files and {rows} of audit log are in order\n")));
    }
    Ok((false, findings.join("\n") + "\n"))
}
