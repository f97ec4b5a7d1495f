//! ZIP files, streamed. Names in them are shown and never used as paths.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;

use zip::ZipArchive;

use super::{Import, ImportError};

/// Entries accepted: the list of all is held in memory.
const MOST: u64 = 200_000;
/// The end record and the longest comment behind it (APPNOTE 4.3.16).
const END: u64 = 22 + 0xFFFF;
/// Unpacked bytes for each byte of the file, and as a start: images compress two- to tenfold,
/// empty slices more, but not all of a study.
const RATIO: u64 = 100;
const START: u64 = 1 << 30;

/// True for the first bytes of a ZIP, an empty one too.
pub(super) fn is_zip(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06")
}

impl Import<'_> {
    pub(super) fn zip(&mut self, path: &Path, mut file: File) -> Result<(), ImportError> {
        let fails = |source| ImportError::Read { path: path.to_owned(), source };
        let broken = |why: String| ImportError::Container { path: path.to_owned(), why };
        let length = file.metadata().map_err(fails)?.len();
        let claimed = entries_claimed(&mut file, length)
            .map_err(fails)?
            .ok_or_else(|| broken("the ZIP is cut off or broken: it has no end record".into()))?;
        if claimed > MOST {
            return Err(broken(format!("the ZIP has {claimed} entries, {MOST} are accepted")));
        }
        let mut zip = ZipArchive::new(io::BufReader::new(file))
            .map_err(|error| broken(format!("the ZIP is broken: {error}")))?;
        let mut budget = length.saturating_mul(RATIO).saturating_add(START);
        for index in 0..zip.len() {
            let name = zip.name_for_index(index).unwrap_or_default().to_owned();
            let entry = match zip.by_index(index) {
                Ok(entry) if entry.is_dir() => continue,
                Ok(entry) => entry,
                Err(error) => {
                    self.report.skip(&name, format!("it cannot be unpacked: {error}"));
                    continue;
                }
            };
            if entry.is_symlink() {
                self.report.skip(&name, "it is a link, which is not followed");
                continue;
            }
            let mut entry = Counted { inner: entry, budget };
            self.file(&name, &mut entry)?;
            budget = entry.budget;
            if budget == 0 {
                return Err(broken(format!(
                    "the ZIP unpacks to more than {RATIO} times its size; the rest was not \
                     imported"
                )));
            }
        }
        Ok(())
    }
}

/// Counts down the bytes that may still be unpacked; at nothing it fails, so that an image is
/// not stored in part.
pub(super) struct Counted<R> {
    pub(super) inner: R,
    pub(super) budget: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.budget = self.budget.saturating_sub(read as u64);
        if self.budget == 0 { Err(io::ErrorKind::QuotaExceeded.into()) } else { Ok(read) }
    }
}

/// The number of entries that the end record claims; the reader of the list goes by it. `None`
/// when there is no end record right at the end, where it belongs.
fn entries_claimed(file: &mut File, length: u64) -> io::Result<Option<u64>> {
    let tail_at = length.saturating_sub(END);
    file.seek(SeekFrom::Start(tail_at))?;
    let mut tail = Vec::new();
    file.by_ref().take(END).read_to_end(&mut tail)?;
    let number = |at: usize| {
        let bytes = tail.get(at..at + 2)?;
        Some(u16::from_le_bytes(bytes.try_into().ok()?))
    };
    // The last signature counts, and its comment must reach the end of the file.
    let Some(at) = tail.windows(4).rposition(|window| window == b"PK\x05\x06") else {
        return Ok(None);
    };
    let ends = number(at + 20).is_some_and(|comment| at + 22 + usize::from(comment) == tail.len());
    match number(at + 10) {
        Some(0xFFFF) if ends => entries_claimed_64(file, tail_at + at as u64),
        Some(entries) if ends => Ok(Some(u64::from(entries))),
        _ => Ok(None),
    }
}

/// The same for a ZIP64, whose locator stands right before the end record (APPNOTE 4.3.14, 15).
fn entries_claimed_64(file: &mut File, end_at: u64) -> io::Result<Option<u64>> {
    let Some(locator_at) = end_at.checked_sub(20) else { return Ok(None) };
    let mut locator = [0; 20];
    file.seek(SeekFrom::Start(locator_at))?;
    file.read_exact(&mut locator)?;
    let Some(at) = locator.strip_prefix(b"PK\x06\x07").and_then(|rest| rest.get(4..12)) else {
        // Exactly 65,535 entries need no ZIP64.
        return Ok(Some(0xFFFF));
    };
    let mut end = [0; 40];
    file.seek(SeekFrom::Start(u64::from_le_bytes(at.try_into().unwrap_or_default())))?;
    if file.read_exact(&mut end).is_err() || !end.starts_with(b"PK\x06\x06") {
        return Ok(None);
    }
    let entries = end.get(32..40).and_then(|bytes| bytes.try_into().ok());
    Ok(entries.map(u64::from_le_bytes))
}
