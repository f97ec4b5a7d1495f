//! The files on disk against the index: what a crash or a restored backup left apart is brought
//! together again. Files are the truth about images, the index about everything else.

use std::collections::HashMap;
use std::io::{Seek as _, SeekFrom};

use super::header::{self, HeaderError};
use super::incoming::{digest_of, read_meta};
use super::layout::{Folder, file_name, folder_name};
use super::{Archive, ArchiveError, check_uid};
use crate::fault::chain;
use crate::store::events::Level;
use crate::store::files::StudyFolder;
use crate::store::instances::{Arrival, Indexed};

/// What [`reconcile`] or [`rebuild_index`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Files that got rows.
    pub indexed: usize,
    /// Rows whose file is not there, as paths below the archive's folder.
    pub missing: Vec<String>,
    /// Files that cannot be indexed: path and reason. They stay where they are.
    pub unreadable: Vec<(String, String)>,
}

/// A file that is not what the index says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Below the archive's folder.
    pub path: String,
    /// What is wrong, in words.
    pub why: String,
}

/// Indexes files that have no row, and reports rows that have no file. Files of evicted studies
/// are left alone: a crash while they were being deleted must not bring the study back.
///
/// # Errors
///
/// When a folder cannot be read or the database fails.
pub fn reconcile(archive: &Archive) -> Result<Reconciled, ArchiveError> {
    walk(archive, false)
}

/// Indexes every file that has no row, those of evicted studies too: for an empty or restored
/// database, which may not know that images came back.
///
/// # Errors
///
/// When a folder cannot be read or the database fails.
pub fn rebuild_index(archive: &Archive) -> Result<Reconciled, ArchiveError> {
    walk(archive, true)
}

fn walk(archive: &Archive, evicted_too: bool) -> Result<Reconciled, ArchiveError> {
    let studies = archive.store().study_folders()?;
    let mut known: HashMap<String, StudyFolder> =
        studies.into_iter().map(|study| (folder_name(&study.uid), study)).collect();
    let mut report = Reconciled::default();
    let layout = &archive.0.layout;
    for name in layout.studies.names()? {
        let study = known.remove(&name);
        if study.as_ref().is_some_and(|study| study.evicted) && !evicted_too {
            continue;
        }
        let Ok(folder) = layout.existing_study(&name) else {
            report.unreadable.push((format!("studies/{name}"), "it is not a folder".to_owned()));
            continue;
        };
        let mut rows = rows_of(archive, study.as_ref())?;
        for name in folder.names()? {
            let path = layout.relative(&folder, &name);
            if let Ok(at) = rows.binary_search(&path) {
                rows.remove(at);
                continue;
            }
            match adopt(archive, &folder, &name) {
                Ok(()) => report.indexed += 1,
                // These two are about the whole box, the others about this file.
                Err(e @ (ArchiveError::Store(_) | ArchiveError::Full)) => return Err(e),
                Err(e) => report.unreadable.push((path, chain(&e))),
            }
        }
        report.missing.append(&mut rows);
    }
    for study in known.values() {
        report.missing.append(&mut rows_of(archive, Some(study))?);
    }
    report.missing.sort_unstable();
    note(archive, &report)?;
    Ok(report)
}

/// Paths that the index holds of a study, sorted.
fn rows_of(archive: &Archive, study: Option<&StudyFolder>) -> Result<Vec<String>, ArchiveError> {
    let Some(study) = study else { return Ok(Vec::new()) };
    Ok(archive.store().indexed_files(study.id)?.into_iter().map(|file| file.path).collect())
}

fn note(archive: &Archive, report: &Reconciled) -> Result<(), ArchiveError> {
    let note = |level, text: String| archive.store().note(level, "store", &text);
    if report.indexed > 0 {
        note(Level::Info, format!("{} images on disk were added to the index.", report.indexed))?;
    }
    if !report.missing.is_empty() {
        let missing = report.missing.len();
        let text = format!(
            "{missing} images are in the index but their files are gone, the first is {}. Check \
             the disk, and send those studies again from the scanner.",
            report.missing[0]
        );
        note(Level::Error, text)?;
    }
    if let Some((path, why)) = report.unreadable.first() {
        let unreadable = report.unreadable.len();
        let text = format!(
            "{unreadable} files in the archive cannot be indexed, the first is {path}: {why}"
        );
        note(Level::Error, text)?;
    }
    Ok(())
}

/// Writes the rows of a file that has none. It may never have been made durable, so it is now.
fn adopt(archive: &Archive, folder: &Folder, name: &str) -> Result<(), ArchiveError> {
    let at = folder.path.join(name);
    let fails = |e| ArchiveError::io(&at, e);
    let mut file = folder.open_file(name)?;
    let meta = read_meta(&mut file).map_err(fails)?;
    let data_at = meta.data_at as u64;
    let bytes = file.metadata().map_err(fails)?.len().saturating_sub(data_at);
    let open = || {
        let mut file = &file;
        file.seek(SeekFrom::Start(data_at))?;
        Ok(file)
    };
    let header = match header::read(&meta.transfer_syntax, bytes, open) {
        Ok(header) => header,
        Err(HeaderError::Read(error)) => return Err(fails(error)),
        Err(HeaderError::Scan(source)) => return Err(ArchiveError::Malformed { source }),
    };
    check_uid("SOP Instance UID", &header.sop_uid)?;
    check_uid("Study Instance UID", &header.study.uid)?;
    check_uid("Series Instance UID", &header.series.uid)?;
    let (folder_name, file_name) = (folder_name(&header.study.uid), file_name(&header.sop_uid));
    let expected = format!("studies/{folder_name}/{file_name}");
    let path = archive.0.layout.relative(folder, name);
    if expected != path {
        return Err(ArchiveError::Misplaced { path: at, expected });
    }
    let (sha256, _) = digest_of(folder, name)?;
    file.sync_all().map_err(fails)?;
    archive.0.layout.study(&folder_name)?.sync()?;
    let indexed = archive.store().index(Arrival {
        study: header.study,
        series: header.series,
        sop_uid: header.sop_uid,
        sop_class: header.sop_class,
        transfer_syntax: meta.transfer_syntax,
        sha256,
        bytes,
        path,
        source: "rebuild".to_owned(),
    })?;
    match indexed {
        Indexed::New { .. } | Indexed::Duplicate { .. } => Ok(()),
        Indexed::Conflict => Err(ArchiveError::Misplaced { path: at, expected }),
    }
}

/// Reads every indexed file again and compares it with its digest. `stop` is asked before each
/// study, for a check that has only so much time.
///
/// # Errors
///
/// When the database fails.
pub fn verify(archive: &Archive, stop: impl Fn() -> bool) -> Result<Vec<Bad>, ArchiveError> {
    let mut bad = Vec::new();
    for study in archive.store().study_folders()? {
        let files = archive.store().indexed_files(study.id)?;
        if files.is_empty() {
            continue;
        }
        let layout = &archive.0.layout;
        let folder = layout.existing_study(&folder_name(&study.uid));
        for file in files {
            if stop() {
                return Ok(bad);
            }
            let name = file.path.rsplit('/').next().unwrap_or_default();
            let why = match folder.as_ref().map(|folder| digest_of(folder, name)) {
                Ok(Ok((sha256, _))) if sha256[..] == file.sha256 => continue,
                Ok(Ok((_, bytes))) => format!(
                    "its content is no longer what was received ({bytes} bytes of data set, {} \
                     were stored); send the study again",
                    file.bytes
                ),
                Ok(Err(error)) => chain(&error),
                Err(error) => chain(error),
            };
            bad.push(Bad { path: file.path, why });
        }
    }
    Ok(bad)
}
