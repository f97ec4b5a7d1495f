//! A watched folder, and media that are plugged in. Polled: a file is imported when two polls in
//! a row found it with the same size and time, that is, when nobody writes it any more.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Import, ImportError, Report, kind, open_regular, run};
use crate::archive::Archive;
use crate::fault::chain;
use crate::store::events::Level;

/// Where imported files go, below the watched folder.
const IMPORTED: &str = "imported";
/// Where the others go.
const REJECTED: &str = "rejected";
/// Levels of folders looked at below the watched one.
const DEEPEST: usize = 16;
/// Files of the watched folder looked at in one poll; the next poll sees the next ones.
const MOST: usize = 100_000;
/// Skipped files named in the text beside a rejected one.
const LISTED: usize = 100;

/// What is watched.
#[derive(Clone, Debug, Default)]
pub struct WatchConfig {
    /// Folder whose files are imported and then moved to `imported` or `rejected` in it.
    pub folder: Option<PathBuf>,
    /// Folders where the system mounts media, such as `/media`; empty: media are not imported.
    /// One that holds a file DICOMDIR is imported whole, of others a folder DICOM is.
    pub media: Vec<PathBuf>,
}

/// What earlier polls saw. It may be lost: images that are imported again are duplicates.
#[derive(Debug, Default)]
pub struct WatchState {
    seen: HashMap<PathBuf, Seen>,
    media: HashSet<(PathBuf, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    bytes: u64,
    modified: (i64, i64),
    /// It was imported, but cannot be moved away.
    done: bool,
}

/// Polls once: imports what has come to rest. What was done is also noted as an event.
///
/// # Errors
///
/// When the watched folder cannot be read, or the archive fails or is full; files stay where they
/// are then, and the next poll tries them again.
pub fn scan_once(
    config: &WatchConfig,
    state: &mut WatchState,
    archive: &Archive,
) -> Result<Report, ImportError> {
    let mut report = Report::default();
    if let Some(folder) = &config.folder {
        let imported = scan_folder(folder, state, archive);
        note(archive, "The watched folder", imported.as_ref())?;
        report.add(imported?);
    }
    let media = media(&config.media);
    state.media.retain(|known| media.contains(known));
    for (path, device) in media {
        if state.media.contains(&(path.clone(), device)) {
            continue;
        }
        let imported = run(&path, archive, |_| {});
        // Whatever else is wrong with a medium is still wrong at the next poll.
        if !matches!(imported, Err(ImportError::Archive(_))) {
            state.media.insert((path, device));
        }
        note(archive, "A medium", imported.as_ref())?;
        report.add(imported?);
    }
    Ok(report)
}

/// Says in words what was imported, without names: those of files may be those of patients.
fn note(
    archive: &Archive,
    what: &str,
    imported: Result<&Report, &ImportError>,
) -> Result<(), ImportError> {
    let (level, text) = match imported {
        Ok(report) if *report == Report::default() => return Ok(()),
        Ok(report) => {
            let skipped = report.skipped.len() + report.skipped_unlisted;
            let level = if report.kept() == 0 { Level::Warning } else { Level::Info };
            let text = format!(
                "{what} was imported: {} new images, {} known, {} kept aside, {skipped} files \
                 that are no images.",
                report.stored, report.duplicate, report.quarantined
            );
            (level, text)
        }
        Err(error) => (Level::Error, format!("{what} could not be imported: {}", chain(error))),
    };
    let noted = archive.store().note(level, "import", &text);
    noted.map_err(|error| ImportError::Archive(error.into()))
}

/// Media that hold images: their folders, and the devices they are on. Desktops mount below a
/// folder named for the user, so two levels are looked at.
fn media(roots: &[PathBuf]) -> HashSet<(PathBuf, u64)> {
    let below = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
    };
    let mut found = HashSet::new();
    for root in roots {
        for medium in below(root) {
            let medium_below = below(&medium);
            for path in std::iter::once(&medium).chain(&medium_below) {
                let images = images_of(path);
                let device = fs::metadata(path).map(|metadata| metadata.dev());
                if let (Some(images), Ok(device)) = (images, device) {
                    found.insert((images, device));
                }
            }
        }
    }
    found
}

/// What is to be imported of a medium, if anything.
fn images_of(medium: &Path) -> Option<PathBuf> {
    let mut images = None;
    for entry in fs::read_dir(medium).ok()?.flatten() {
        let (name, kind) = (entry.file_name(), entry.file_type().ok()?);
        if kind.is_file() && name.eq_ignore_ascii_case("DICOMDIR") {
            return Some(medium.to_owned());
        }
        if kind.is_dir() && name.eq_ignore_ascii_case("DICOM") {
            images = Some(entry.path());
        }
    }
    images
}

fn scan_folder(
    root: &Path,
    state: &mut WatchState,
    archive: &Archive,
) -> Result<Report, ImportError> {
    let mut files = HashMap::new();
    list(root, root, 0, &mut files)
        .map_err(|source| ImportError::Read { path: root.to_owned(), source })?;
    let seen = std::mem::take(&mut state.seen);
    let mut report = Report::default();
    let mut outcome = Ok(());
    for (path, now) in files {
        let before = seen.get(&path).copied();
        if before.is_some_and(|before| before.done && Seen { done: false, ..before } == now) {
            state.seen.insert(path, Seen { done: true, ..now });
            continue;
        }
        if before == Some(now) && outcome.is_ok() {
            match import(&path, archive) {
                Ok((imported, why)) => {
                    report.add(imported);
                    if put_away(root, &path, why.as_deref()).is_ok() {
                        continue;
                    }
                    // A medium that cannot be written to keeps its files.
                    state.seen.insert(path, Seen { done: true, ..now });
                    continue;
                }
                Err(error) => outcome = Err(error),
            }
        }
        state.seen.insert(path, now);
    }
    outcome.map(|()| report)
}

/// Imports one file of the watched folder. The text says why it is rejected, if it is.
fn import(path: &Path, archive: &Archive) -> Result<(Report, Option<String>), ImportError> {
    let imported = match open_regular(path).and_then(|mut file| kind(&mut file)) {
        Ok(Some(_)) => run(path, archive, |_| {}),
        Ok(None) => single(path, archive),
        Err(source) => Err(ImportError::Read { path: path.to_owned(), source }),
    };
    match imported {
        Err(error @ ImportError::Archive(_)) => Err(error),
        Err(error) => Ok((Report::default(), Some(chain(&error)))),
        Ok(report) => {
            let why = (report.kept() == 0).then(|| reasons(&report));
            Ok((report, why))
        }
    }
}

fn single(path: &Path, archive: &Archive) -> Result<Report, ImportError> {
    let fails = |source| ImportError::Read { path: path.to_owned(), source };
    let mut file: File = open_regular(path).map_err(fails)?;
    let mut import = Import { archive, report: Report::default(), progress: &mut |_| {} };
    import.file(&path.file_name().unwrap_or_default().to_string_lossy(), &mut file)?;
    Ok(import.report)
}

fn reasons(report: &Report) -> String {
    let mut text = String::from("No image in it was imported.\n");
    for (name, why) in report.skipped.iter().take(LISTED) {
        text.push_str(&format!("{name}: {why}\n"));
    }
    text
}

/// Moves a file to where it is out of the way, under a name that is free there.
fn put_away(root: &Path, path: &Path, rejected: Option<&str>) -> io::Result<()> {
    let place = if rejected.is_some() { REJECTED } else { IMPORTED };
    let relative = path.strip_prefix(root).unwrap_or(path);
    let wanted = root.join(place).join(relative);
    if let Some(folder) = wanted.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut free = wanted.clone();
    let mut number = 1;
    while free.symlink_metadata().is_ok() {
        number += 1;
        free = with_suffix(&wanted, &format!(".{number}"));
    }
    fs::rename(path, &free)?;
    match rejected {
        Some(why) => fs::write(with_suffix(&free, ".txt"), why),
        None => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Regular files below the watched folder, except those put away.
fn list(
    root: &Path,
    folder: &Path,
    depth: usize,
    files: &mut HashMap<PathBuf, Seen>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let put_away = folder == root && (path.ends_with(IMPORTED) || path.ends_with(REJECTED));
        if kind.is_dir() && !put_away && depth < DEEPEST {
            // A folder that goes away meanwhile, or may not be read, is looked at another time.
            list(root, &path, depth + 1, files).ok();
        } else if kind.is_file() && files.len() < MOST {
            let Ok(metadata) = entry.metadata() else { continue };
            let modified = (metadata.mtime(), metadata.mtime_nsec());
            files.insert(path, Seen { bytes: metadata.len(), modified, done: false });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
