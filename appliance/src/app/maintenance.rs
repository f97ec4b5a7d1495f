//! What is done to an appliance's data while it does not run, or beside it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use models::engine::golden;
use models::weights::bundle::Bundle;
use serde_json::json;

use super::{AppError, archive_config};
use crate::archive::{self, Archive, ArchiveError};
use crate::audit::message::Origin;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Settings};
use crate::doctor::gather::Known;
use crate::doctor::{self, Sample, SelfTest};
use crate::fault::chain;
use crate::health::words;
use crate::hub::identity::Identity;
use crate::store::audit::Entry;
use crate::store::models::{Mode, Model};
use crate::store::{Store, StoreError, backup};
use crate::triage::{RulesError, Tables};

/// Files of the archive that the doctor reads.
const SAMPLE: usize = 200;
/// The database file in the data folder.
pub(super) const DATABASE: &str = "appliance.sqlite";

/// The database of the settings' data folder.
///
/// # Errors
///
/// When the folder cannot be made or the database not be opened.
pub fn open_store(config: &Config) -> Result<Arc<Store>, AppError> {
    let path = config.settings.data.folder.clone();
    std::fs::create_dir_all(&path)
        .map_err(|source| AppError::Folder { path: path.clone(), source })?;
    let clock = Arc::new(SystemClock::new());
    let database = path.join(DATABASE);
    backup::finish_restore(&database)?;
    let store = Store::open(&database, clock.clone())?;
    clock.resume(store.last_seen()?);
    Ok(Arc::new(store))
}

/// The database of the settings' data folder, which must be there.
///
/// # Errors
///
/// When there is none, or it cannot be opened.
pub fn open_existing_store(config: &Config) -> Result<Arc<Store>, AppError> {
    let path = &config.settings.data.folder;
    if !path.join(DATABASE).is_file() {
        return Err(AppError::NoDatabase { path: path.clone() });
    }
    open_store(config)
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

/// The site's clinical tables, each its own or the built-in one.
///
/// # Errors
///
/// When a file cannot be used.
pub fn tables(config: &Config) -> Result<Tables, RulesError> {
    let settings = &config.settings.analysis;
    Tables::open([
        &settings.labels_file,
        &settings.referral_rules_file,
        &settings.series_selection_file,
    ])
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
    let store = open_store(config)?;
    let archive = open_archive(config, Arc::clone(&store))?;
    let found = archive::rebuild_index(&archive)?;
    store.audit(&Entry {
        actor: "command line",
        action: "store.rebuild",
        object: "index",
        detail: &json!({ "indexed": found.indexed, "unreadable": found.unreadable.len() }),
    })?;
    Ok(render(&found))
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
    let store = open_existing_store(config)?;
    let mut findings: Vec<String> =
        store.integrity_check()?.into_iter().map(|f| format!("database: {f}")).collect();
    let audit = store.verify_audit()?;
    if let Some(row) = audit.first_bad {
        findings.push(format!("audit log: row {row} is missing or was changed"));
    }
    let archive = open_archive(config, store)?;
    let files = AtomicUsize::new(0);
    let count = || {
        files.fetch_add(1, Ordering::Relaxed);
        false
    };
    let bad = archive::verify(&archive, count)?;
    findings.extend(bad.iter().map(|bad| format!("{}: {}", bad.path, bad.why)));
    if findings.is_empty() {
        let rows = words::count(u64::try_from(audit.rows).unwrap_or(0), "row", "rows");
        let files = words::count(files.into_inner() as u64, "file", "files");
        return Ok((true, format!("database, {files} and {rows} of audit log are in order\n")));
    }
    Ok((false, findings.join("\n") + "\n"))
}

/// Looks at everything that may be wrong with this box; true when nothing is, and the page to read
/// aloud.
#[must_use]
pub fn doctor(config: &Config) -> (bool, String) {
    let opened = open_existing_store(config);
    let store = opened.as_ref().map(|store| &**store).map_err(|error| match error {
        AppError::Store(error) => error,
        // There is none, which is no error before the first start.
        _ => &StoreError::NotOpened,
    });
    let sample = || {
        let archive = match &opened {
            Ok(store) => open_archive(config, Arc::clone(store)).map_err(|e| chain(&e))?,
            Err(error) => return Err(chain(error)),
        };
        let looked = AtomicUsize::new(0);
        let enough = || looked.fetch_add(1, Ordering::Relaxed) >= SAMPLE;
        let bad = archive::verify(&archive, enough).map_err(|e| chain(&e))?;
        let bad = bad.iter().map(|bad| format!("{}: {}", bad.path, bad.why)).collect();
        Ok(Sample { files: looked.into_inner().min(SAMPLE), bad })
    };
    let settings = &config.settings;
    let ports = [
        ("DICOM", settings.dicom.port),
        ("DICOM over TLS", settings.dicom.tls.port),
        ("web pages", config.web_listen.port()),
    ];
    let known = Known {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        data: settings.data.folder.clone(),
        store,
        archive: Some(&sample),
        ports: (ports.into_iter().filter(|(_, port)| *port != 0))
            .map(|(name, port)| (name.to_owned(), port))
            .collect(),
        ae_title: settings.dicom.ae_title.clone(),
        model: store.ok().and_then(assistant),
        selects_otherwise: tables(config)
            .map(|tables| store.ok().and_then(|s| selects_otherwise(s, settings, &tables)))
            .map_err(|error| chain(&error)),
        hub: config.hub_profile().map(|_| {
            let host = config.hub_address().map_or_else(String::new, |address| address.host);
            let identity = Identity::load(&config.hub_folder());
            (host, identity.map(|own| own.valid_s.1).map_err(|error| chain(&error)))
        }),
    };
    let clock = SystemClock::new();
    let own: &dyn Clock = store.map_or(&clock, Store::clock);
    let checks = doctor::examine(&doctor::gather::gather(known, own));
    let good = checks.iter().all(|check| check.verdict != doctor::Verdict::Problem);
    (good, doctor::page(&checks))
}

/// The model that assists.
fn assisting(store: &Store) -> Option<Model> {
    let models = store.models().ok()?;
    models.into_iter().find(|model| model.mode == Mode::Assist && model.in_force())
}

/// How this box selects series otherwise than the training of the model that assists did.
fn selects_otherwise(store: &Store, settings: &Settings, tables: &Tables) -> Option<String> {
    let bundle = Bundle::open(&settings.data.folder.join(assisting(store)?.folder)).ok()?;
    bundle.manifest().selection.as_ref()?.difference(&tables.selection)
}

/// The model that assists, and how its latest self-test went.
fn assistant(store: &Store) -> Option<(String, SelfTest)> {
    let model = assisting(store)?;
    let test = model.self_test.and_then(|json| serde_json::from_str(&json).ok());
    let test = test.map_or(SelfTest::Never, |test: golden::SelfTest| {
        if test.passed {
            return SelfTest::Passed;
        }
        let worst = test.worst.unwrap_or(f32::INFINITY);
        SelfTest::Failed(format!("it differs by {worst:.4}, accepted is {:.4}", test.tolerance))
    });
    Some((model.name, test))
}
