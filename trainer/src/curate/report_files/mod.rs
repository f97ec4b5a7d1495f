//! Reports from what hospitals export: tables, HL7 v2 messages, FHIR resources. Each reader turns
//! a file into [`SourceReport`]s and complaints; [`join`] finds the report of a study.

mod base64;
mod csv_table;
mod fhir;
mod hl7;
mod html;
pub(super) mod join;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::CurateError;
use super::config::{Config, Reports};
use crate::cohort::record::{Density, Insurance, Setting};

/// A report as exported, with everything that may join it to a study.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SourceReport {
    /// The whole text; sections are introduced by headings.
    pub(super) text: String,
    /// Accession numbers under which the report may be filed.
    pub(super) accessions: Vec<String>,
    /// Study Instance UIDs that it names.
    pub(super) study_uids: Vec<String>,
    /// Identifiers of the patient.
    pub(super) patient_ids: Vec<String>,
    /// Day of the study.
    pub(super) date: Option<Date>,
    /// When the report was final.
    pub(super) finalised: Option<DateTime>,
    /// Of several reports of one study the one with the highest rank is taken.
    pub(super) rank: Status,
    /// Names of persons: patient and physicians.
    pub(super) names: Vec<String>,
    /// Other identifiers: birth date, address, telephone, account.
    pub(super) identifiers: Vec<String>,
    /// Where the patient came from.
    pub(super) setting: Option<Setting>,
    /// Who pays.
    pub(super) insurance: Option<Insurance>,
    /// How densely the county is settled.
    pub(super) county_density: Option<Density>,
}

/// How final a report is, least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    /// Preliminary, or not known.
    #[default]
    Preliminary,
    /// Final.
    Final,
    /// Final and corrected or amended later.
    Corrected,
}

/// A file, or a part of one, that yields no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadReport {
    pub(super) path: PathBuf,
    /// Line, row or message, counted from 1; the file as a whole when `None`.
    pub(super) place: Option<String>,
    pub(super) what: String,
}

/// What one file holds.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) reports: Vec<SourceReport>,
    /// Place and reason of each part that could not be read.
    pub(super) bad: Vec<(Option<String>, String)>,
}

impl Parsed {
    fn fail(place: impl Into<Option<String>>, what: impl Into<String>) -> Self {
        Self { reports: Vec::new(), bad: vec![(place.into(), what.into())] }
    }
}

/// Everything read.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) reports: Vec<SourceReport>,
    pub(super) bad: Vec<BadReport>,
}

/// Largest file of messages or resources read.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Reads all sources.
pub(super) fn load(config: &Config) -> Result<Loaded, CurateError> {
    let sources = &config.reports;
    let zone = zone(sources);
    let mut loaded = Loaded::default();
    for table in &sources.csv {
        let parsed = csv_table::read(table, zone.as_ref())?;
        loaded.take(&table.path, parsed, "expected a header line and one report a row")?;
    }
    let readers: [(&[PathBuf], Reader, &str); 2] = [
        (&sources.hl7, hl7::parse, "expected HL7 v2 ORU^R01 messages that begin with MSH"),
        (&sources.fhir, fhir::parse, "expected FHIR R4 DiagnosticReport resources as JSON"),
    ];
    for (paths, reader, expected) in readers {
        for path in paths {
            loaded.take_files(path, reader, zone.as_ref(), expected)?;
        }
    }
    Ok(loaded)
}

/// Turns the bytes of one file into reports.
type Reader = fn(&[u8], Option<&TimeZone>) -> Parsed;

fn zone(sources: &Reports) -> Option<TimeZone> {
    sources.time_zone.as_ref().and_then(|name| TimeZone::get(name).ok())
}

impl Loaded {
    fn take(&mut self, path: &Path, parsed: Parsed, expected: &str) -> Result<(), CurateError> {
        if parsed.reports.is_empty() {
            let what = match parsed.bad.first() {
                Some((place, what)) => located(place.as_deref(), what),
                None => expected.to_owned(),
            };
            return Err(CurateError::NoReports { path: path.into(), what });
        }
        self.add(path, parsed);
        Ok(())
    }

    fn add(&mut self, path: &Path, parsed: Parsed) {
        self.reports.extend(parsed.reports);
        let bad = parsed.bad.into_iter();
        self.bad.extend(bad.map(|(place, what)| BadReport { path: path.into(), place, what }));
    }

    /// Every file under `root`; only a source without any report is an error.
    fn take_files(
        &mut self,
        root: &Path,
        reader: Reader,
        zone: Option<&TimeZone>,
        expected: &str,
    ) -> Result<(), CurateError> {
        let fails = |source| CurateError::Read { what: "report source", path: root.into(), source };
        let found = files_under(root).map_err(fails)?;
        let unreadable = found.unreadable.first();
        let mut first = unreadable.map(|(path, what)| format!("{} {what}", path.display()));
        let missed = found.unreadable.into_iter();
        self.bad.extend(missed.map(|(path, what)| BadReport { path, place: None, what }));
        let before = self.reports.len();
        for path in found.files {
            let parsed = match read_limited(&path) {
                Ok(bytes) => reader(&bytes, zone),
                Err(error) => Parsed::fail(None, format!("cannot be read ({error})")),
            };
            if let (None, Some((place, what))) = (&first, parsed.bad.first()) {
                first = Some(located(place.as_deref(), what));
            }
            self.add(&path, parsed);
        }
        if self.reports.len() == before {
            let what = first.unwrap_or_else(|| expected.to_owned());
            return Err(CurateError::NoReports { path: root.into(), what });
        }
        Ok(())
    }
}

fn located(place: Option<&str>, what: &str) -> String {
    place.map_or_else(|| what.to_owned(), |place| format!("{place}: {what}"))
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let length = fs::metadata(path)?.len();
    if length > MAX_FILE_BYTES {
        let what = format!("{length} bytes, at most {MAX_FILE_BYTES} are accepted; split the file");
        return Err(io::Error::other(what));
    }
    fs::read(path)
}

/// What lies under a folder, in order of the paths.
#[derive(Debug, Default)]
pub(super) struct Under {
    pub(super) files: Vec<PathBuf>,
    /// What cannot be looked at below the folder, mostly folders, and why.
    pub(super) unreadable: Vec<(PathBuf, String)>,
}

/// A file, or the files under a folder; links are not followed. Only a `root` that cannot be read
/// is an error.
pub(super) fn files_under(root: &Path) -> io::Result<Under> {
    walk(root, entries)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

fn walk(root: &Path, entries: impl Fn(&Path) -> io::Result<Vec<PathBuf>>) -> io::Result<Under> {
    let mut under = Under::default();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let meta = if path == root { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
        if meta.as_ref().is_ok_and(fs::Metadata::is_file) {
            under.files.push(path);
            continue;
        }
        let inside =
            meta.and_then(|meta| if meta.is_dir() { entries(&path) } else { Ok(Vec::new()) });
        match inside {
            Ok(paths) => open.extend(paths),
            Err(error) if path == root => return Err(error),
            Err(error) => {
                let what = format!("cannot be read ({error}), nor anything below it");
                under.unreadable.push((path, what));
            }
        }
    }
    under.files.sort();
    under.unreadable.sort();
    Ok(under)
}

/// Bytes as UTF-8 where they are, else as ISO 8859-1, so that no text is lost.
fn decode(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// Adds a value that says something, once.
fn push(list: &mut Vec<String>, value: &str) {
    let value = value.trim();
    if value.contains(char::is_alphanumeric) && !list.iter().any(|known| known == value) {
        list.push(value.to_owned());
    }
}

/// A point of time with an offset, in the hospital's zone; as it is written where no zone is
/// configured.
fn local(instant: &jiff::ZonedDateTime, zone: Option<&TimeZone>) -> DateTime {
    match zone {
        Some(zone) => instant.with_time_zone(zone.clone()).datetime(),
        None => instant.datetime(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
    use std::path::Path;

    use super::{entries, walk};

    #[test]
    fn a_folder_that_cannot_be_read_is_listed_and_the_others_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for folder in ["a", "locked", "z"] {
            fs::create_dir(path(folder)).unwrap();
            fs::write(path(folder).join("file"), "").unwrap();
        }
        let locked = path("locked");
        // Permissions do not stop root, so the refusal is made here.
        let refuse = |folder: &Path| {
            if folder == locked.as_path() {
                Err(io::Error::from(io::ErrorKind::PermissionDenied))
            } else {
                entries(folder)
            }
        };
        let under = walk(dir.path(), refuse).unwrap();
        assert_eq!(under.files, [path("a/file"), path("z/file")]);
        let what = "cannot be read (permission denied), nor anything below it".to_owned();
        assert_eq!(under.unreadable, [(locked.clone(), what)]);
        assert!(walk(&locked, refuse).is_err());
    }
}
