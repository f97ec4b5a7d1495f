//! The zip container of `torch.save`: names and positions of its uncompressed entries.
//!
//! Own code rather than a zip library: entries are read in place, by position, and no count that
//! the file declares is used to allocate memory, so that an import survives any damage.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The published file needs about 200 kB.
const MAX_DIRECTORY_BYTES: u64 = 16 << 20;
/// End record, 22 bytes, with the longest comment.
const MAX_END_BYTES: u64 = 22 + 65_535;

/// A file that is read by position.
#[derive(Debug)]
pub struct SourceFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl SourceFile {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// As the operating system does.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, length })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Fills `buffer` from a position.
    ///
    /// # Errors
    ///
    /// As the operating system does, also when the file ends before.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    /// The bytes of a range whose length the caller has limited.
    pub(super) fn read_vec(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let end = offset.checked_add(length).filter(|&end| end <= self.length);
        let length = end.and_then(|_| usize::try_from(length).ok());
        let mut buffer = vec![0; length.ok_or(io::ErrorKind::UnexpectedEof)?];
        self.read_at(&mut buffer, offset)?;
        Ok(buffer)
    }
}

/// Where the bytes of an entry lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) length: u64,
}

/// What is wrong with a zip container.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not readable.
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
    /// No end record.
    #[error("it has no zip directory at its end; the file is cut short")]
    NoDirectory,
    /// A record that contradicts the file.
    #[error("{what} of the zip directory is damaged")]
    Damaged {
        /// Which record.
        what: &'static str,
    },
    /// A larger directory than any checkpoint has.
    #[error("its zip directory has {found} bytes, at most {MAX_DIRECTORY_BYTES} are accepted")]
    TooLarge {
        /// Its size.
        found: u64,
    },
    /// An entry that cannot be read in place.
    #[error(
        "its entry {name:?} is {problem}; PyTorch stores entries as they are: save it again with \
         torch.save"
    )]
    Entry {
        /// The entry.
        name: String,
        /// `compressed`, `encrypted` or `there twice`.
        problem: &'static str,
    },
}

const fn damaged(what: &'static str) -> ArchiveError {
    ArchiveError::Damaged { what }
}

/// Reads the directory: every entry with the position of its bytes.
pub(super) fn entries(file: &SourceFile) -> Result<BTreeMap<String, Extent>, ArchiveError> {
    let directory = directory(file)?;
    if directory.length > MAX_DIRECTORY_BYTES {
        return Err(ArchiveError::TooLarge { found: directory.length });
    }
    let bytes = file.read_vec(directory.start, directory.length)?;
    let mut rest = bytes.as_slice();
    let mut entries = BTreeMap::new();
    while !rest.is_empty() {
        let (name, extent) = entry(file, &mut rest)?;
        if entries.insert(name.clone(), extent).is_some() {
            return Err(ArchiveError::Entry { name, problem: "there twice" });
        }
    }
    Ok(entries)
}

/// Finds the directory through the end record, and the zip64 end record where there is one
/// (APPNOTE 4.3.14 to 4.3.16).
fn directory(file: &SourceFile) -> Result<Extent, ArchiveError> {
    let tail_length = file.length.min(MAX_END_BYTES);
    let tail_start = file.length - tail_length;
    let tail = file.read_vec(tail_start, tail_length)?;
    // The comment may hold the signature too, so the last record that fits the end counts.
    let end = (0..tail.len().saturating_sub(21)).rev().find(|&i| {
        tail[i..].starts_with(b"PK\x05\x06")
            && u16_at(&tail, i + 20).is_some_and(|n| i + 22 + usize::from(n) == tail.len())
    });
    let end = end.ok_or(ArchiveError::NoDirectory)?;
    let end_record = damaged("the end record");
    let (Some(length), Some(start)) = (u32_at(&tail, end + 12), u32_at(&tail, end + 16)) else {
        return Err(end_record);
    };
    let end_start = tail_start + end as u64;
    let mut extent = Extent { start: u64::from(start), length: u64::from(length) };
    let locator = end_start.checked_sub(20).map(|at| file.read_vec(at, 20)).transpose()?;
    if let Some(locator) = locator.filter(|l| l.starts_with(b"PK\x06\x07")) {
        let what = "the zip64 end record";
        let at = u64_at(&locator, 8).ok_or(damaged(what))?;
        let record = file.read_vec(at, 56)?;
        if !record.starts_with(b"PK\x06\x06") {
            return Err(damaged(what));
        }
        let field = |i| u64_at(&record, i).ok_or(damaged(what));
        extent = Extent { length: field(40)?, start: field(48)? };
    }
    match extent.start.checked_add(extent.length) {
        Some(end) if end <= end_start => Ok(extent),
        _ => Err(end_record),
    }
}

/// Takes one entry off the directory and looks up where its bytes begin.
fn entry(file: &SourceFile, rest: &mut &[u8]) -> Result<(String, Extent), ArchiveError> {
    let what = "an entry";
    let record = *rest;
    if !record.starts_with(b"PK\x01\x02") {
        return Err(damaged(what));
    }
    let short = |i| u16_at(record, i).ok_or(damaged(what));
    let (flags, method) = (short(8)?, short(10)?);
    let (name_length, extra_length) = (usize::from(short(28)?), usize::from(short(30)?));
    let extra_start = 46 + name_length;
    let end = extra_start + extra_length + usize::from(short(32)?);
    let name = record.get(46..extra_start).ok_or(damaged(what))?;
    let name = String::from_utf8(name.to_vec()).map_err(|_| damaged("an entry's name"))?;
    let extra = record.get(extra_start..extra_start + extra_length).ok_or(damaged(what))?;
    *rest = record.get(end..).ok_or(damaged(what))?;
    if flags & 1 != 0 {
        return Err(ArchiveError::Entry { name, problem: "encrypted" });
    }
    if method != 0 {
        return Err(ArchiveError::Entry { name, problem: "compressed" });
    }
    let mut sizes = [u32_at(record, 24), u32_at(record, 20), u32_at(record, 42)]
        .map(|size| u64::from(size.unwrap_or(0)));
    widen(&mut sizes, extra).ok_or(damaged("a zip64 field"))?;
    let [plain, stored, header] = sizes;
    if plain != stored {
        return Err(damaged("an entry's size"));
    }
    let start = data_start(file, header)?;
    match start.checked_add(stored) {
        Some(end) if end <= file.length => Ok((name, Extent { start, length: stored })),
        _ => Err(damaged("an entry's position")),
    }
}

/// Replaces sizes that did not fit 32 bits by those of the zip64 extra field, in its fixed order
/// (APPNOTE 4.5.3).
fn widen(sizes: &mut [u64; 3], mut extra: &[u8]) -> Option<()> {
    let is_wide = |size: &u64| *size == u64::from(u32::MAX);
    if !sizes.iter().any(is_wide) {
        return Some(());
    }
    loop {
        let length = usize::from(u16_at(extra, 2)?);
        let field = extra.get(4..4 + length)?;
        if u16_at(extra, 0)? == 1 {
            let mut values = field.as_chunks().0.iter().map(|&chunk| u64::from_le_bytes(chunk));
            for size in sizes.iter_mut().filter(|size| is_wide(size)) {
                *size = values.next()?;
            }
            return Some(());
        }
        extra = &extra[4 + length..];
    }
}

/// The local header repeats the name but has an extra field of its own: PyTorch pads with it so
/// that tensors are aligned.
fn data_start(file: &SourceFile, header: u64) -> Result<u64, ArchiveError> {
    let what = "an entry's header";
    if header > file.length.saturating_sub(30) {
        return Err(damaged(what));
    }
    let local = file.read_vec(header, 30)?;
    match (local.starts_with(b"PK\x03\x04"), u16_at(&local, 26), u16_at(&local, 28)) {
        (true, Some(name), Some(extra)) => Ok(header + 30 + u64::from(name) + u64::from(extra)),
        _ => Err(damaged(what)),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|&chunk| u16::from_le_bytes(chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|&chunk| u32::from_le_bytes(chunk))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|&chunk| u64::from_le_bytes(chunk))
}
