//! ISO 9660 (ECMA-119), as far as a CD with images needs it: directories, Joliet names, files in
//! several extents. Nothing in the image is trusted: every extent is checked against the image's
//! length, directories are visited once, and their number, size and depth are limited.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::{Import, ImportError};

/// Volume descriptors are in sectors of this size from the sixteenth on (ECMA-119 6.2.1).
const SECTOR: u64 = 2048;
const FIRST_DESCRIPTOR: u64 = 16;
const MOST_DESCRIPTORS: u64 = 64;
/// Bytes needed to tell an image.
pub(super) const IDENTIFIED: u64 = FIRST_DESCRIPTOR * SECTOR + 6;
/// ECMA-119 6.8.2.1 allows eight levels; writers of CDs do not all keep to that.
const DEEPEST: usize = 32;
/// Files and folders together.
const MOST_FILES: usize = 200_000;
/// Bytes of all directories. They may overlap in a hostile image, so each reading counts.
const LARGEST_DIRECTORIES: u64 = 64 << 20;
/// Characters of a folder's path that are shown.
const LONGEST_PATH: usize = 255;
const MOST_EXTENTS: usize = 1024;

/// True for the first bytes of an image.
pub(super) fn is_iso(start: &[u8]) -> bool {
    start.ends_with(b"CD001") && start.len() as u64 == IDENTIFIED
}

/// A run of bytes in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    at: u64,
    length: u64,
}

/// A file in the image, or what stands in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    name: String,
    extents: Vec<Extent>,
    /// Why it cannot be read, if so.
    fault: Option<&'static str>,
}

impl Import<'_> {
    pub(super) fn iso(&mut self, path: &Path, file: &File) -> Result<(), ImportError> {
        let fails = |source| ImportError::Read { path: path.to_owned(), source };
        let mut image = Image::open(file).map_err(fails)?.ok_or_else(|| {
            let why = "the image has no ISO 9660 directory".to_owned();
            ImportError::Container { path: path.to_owned(), why }
        })?;
        image.walk();
        for entry in image.files {
            match entry.fault {
                Some(fault) => self.report.skip(&entry.name, fault),
                None => self.file(
                    &entry.name,
                    &mut Extents { file, extents: entry.extents.into_iter(), now: None },
                )?,
            }
        }
        Ok(())
    }
}

/// Reads one extent after the other.
struct Extents<'a> {
    file: &'a File,
    extents: std::vec::IntoIter<Extent>,
    now: Option<Extent>,
}

impl Read for Extents<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(now) = self.now.as_mut().filter(|extent| extent.length > 0) else {
                self.now = self.extents.next();
                if self.now.is_none() {
                    return Ok(0);
                }
                continue;
            };
            let most = usize::try_from(now.length).unwrap_or(usize::MAX).min(buffer.len());
            let read = self.file.read_at(&mut buffer[..most], now.at)?;
            if read == 0 && most > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            now.at += read as u64;
            now.length -= read as u64;
            return Ok(read);
        }
    }
}

struct Image<'a> {
    file: &'a File,
    length: u64,
    /// Bytes of a logical block.
    block: u64,
    /// Names are UCS-2 (Joliet).
    joliet: bool,
    root: Extent,
    /// Bytes of directories that may still be read.
    budget: u64,
    files: Vec<Entry>,
}

impl<'a> Image<'a> {
    /// Finds the root directory; Joliet's, where there is one, because its names are the real
    /// ones.
    fn open(file: &'a File) -> io::Result<Option<Self>> {
        let length = file.metadata()?.len();
        let mut found = None;
        for sector in FIRST_DESCRIPTOR..FIRST_DESCRIPTOR + MOST_DESCRIPTORS {
            let mut descriptor = [0; 2048];
            if file.read_exact_at(&mut descriptor, sector * SECTOR).is_err()
                || &descriptor[1..6] != b"CD001"
            {
                break;
            }
            let joliet = matches!(&descriptor[88..91], b"%/@" | b"%/C" | b"%/E");
            let usable = match descriptor[0] {
                1 => found.is_none(),
                2 => joliet,
                255 => break,
                _ => false,
            };
            let block = u64::from(u16_at(&descriptor, 128));
            if !usable || !matches!(block, 512 | 1024 | 2048) {
                continue;
            }
            let joliet = descriptor[0] == 2;
            let (root, budget) = (Extent { at: 0, length: 0 }, LARGEST_DIRECTORIES);
            let image = Self { file, length, block, joliet, root, budget, files: Vec::new() };
            if let Some(root) = image.extent(&descriptor[156..190]) {
                found = Some(Self { root, ..image });
            }
        }
        Ok(found)
    }

    /// Collects the files of all directories, each directory once.
    fn walk(&mut self) {
        let mut seen = HashSet::from([self.root.at]);
        let mut open = vec![(String::new(), self.root, 0)];
        while let Some((path, extent, depth)) = open.pop() {
            let Some(bytes) = self.directory(extent) else {
                self.fault(path, "the folder lies outside the image or is too large");
                continue;
            };
            for record in records(&bytes) {
                if self.files.len() + seen.len() >= MOST_FILES {
                    self.fault(path, "more files than are accepted; the rest was not looked at");
                    return;
                }
                // The directory itself and its parent (ECMA-119 7.6.2).
                if matches!(record.name, [0 | 1]) {
                    continue;
                }
                let name = join(&path, &self.name(record.name));
                match self.extent(record.bytes) {
                    Some(extent) if record.is_directory() => {
                        if depth >= DEEPEST {
                            self.fault(name, "it lies too deep in folders");
                        } else if seen.insert(extent.at) {
                            open.push((name, extent, depth + 1));
                        } else {
                            self.fault(name, "it is the same folder as one before");
                        }
                    }
                    extent => self.add(name, &record, extent),
                }
            }
        }
    }

    /// Adds a file, or a further extent of the one before (ECMA-119 6.5.1).
    fn add(&mut self, name: String, record: &Record<'_>, extent: Option<Extent>) {
        let follows = self
            .files
            .last()
            .is_some_and(|file| file.name == name && file.fault == Some(UNFINISHED));
        if !follows {
            self.files.push(Entry { name, ..Entry::default() });
        }
        let Some(file) = self.files.last_mut() else { return };
        file.extents.extend(extent);
        file.fault = match extent {
            None => Some("it lies outside the image, which is cut off or broken"),
            // File unit size and interleave gap.
            _ if record.bytes[26] != 0 || record.bytes[27] != 0 => {
                Some("it is interleaved, which no medium with images is")
            }
            _ if file.extents.len() > MOST_EXTENTS => Some("it is in too many pieces"),
            _ if record.bytes[25] & 0x80 != 0 => Some(UNFINISHED),
            _ => None,
        };
    }

    fn fault(&mut self, name: String, fault: &'static str) {
        self.files.push(Entry { name, extents: Vec::new(), fault: Some(fault) });
    }

    /// Where a directory record says its file lies, if that is inside the image.
    fn extent(&self, record: &[u8]) -> Option<Extent> {
        // An extended attribute record stands before the file, in blocks.
        let block = u64::from(u32_at(record, 2)) + u64::from(*record.get(1)?);
        let (at, length) = (block * self.block, u64::from(u32_at(record, 10)));
        (at + length <= self.length).then_some(Extent { at, length })
    }

    fn directory(&mut self, extent: Extent) -> Option<Vec<u8>> {
        self.budget = self.budget.checked_sub(extent.length)?;
        let mut bytes = vec![0; usize::try_from(extent.length).ok()?];
        self.file.read_exact_at(&mut bytes, extent.at).ok()?;
        Some(bytes)
    }

    /// A name without its version number.
    fn name(&self, bytes: &[u8]) -> String {
        let name = if self.joliet {
            let (units, _) = bytes.as_chunks::<2>();
            let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
            char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect()
        } else {
            String::from_utf8_lossy(bytes).into_owned()
        };
        name.split(';').next().unwrap_or_default().trim_end_matches('.').to_owned()
    }
}

const UNFINISHED: &str = "its last piece is missing";

fn join(folder: &str, name: &str) -> String {
    match folder.len() {
        0 => name.to_owned(),
        1..=LONGEST_PATH => format!("{folder}/{name}"),
        _ => format!(".../{name}"),
    }
}

/// One directory record (ECMA-119 9.1).
struct Record<'a> {
    bytes: &'a [u8],
    name: &'a [u8],
}

impl Record<'_> {
    fn is_directory(&self) -> bool {
        self.bytes[25] & 2 != 0
    }
}

/// The records of a directory. None crosses a sector: a length of zero means that the next one
/// is in the next sector (ECMA-119 6.8.1.1).
struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

fn records(bytes: &[u8]) -> Records<'_> {
    Records { bytes, at: 0 }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        const SECTOR: usize = 2048;
        while let Some(&length) = self.bytes.get(self.at) {
            let next_sector = (self.at / SECTOR + 1) * SECTOR;
            let record = self.bytes.get(self.at..self.at + usize::from(length));
            let name = record.and_then(|record| record.get(33..33 + usize::from(*record.get(32)?)));
            if let (Some(bytes), Some(name)) = (record, name) {
                self.at += usize::from(length);
                return Some(Record { bytes, name });
            }
            self.at = next_sector;
        }
        None
    }
}

/// A little endian number; the big endian copy behind it is not looked at (ECMA-119 7.3.3).
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    u32::from_le_bytes(bytes.unwrap_or_default())
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let bytes = bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
    u16::from_le_bytes(bytes.unwrap_or_default())
}

#[cfg(test)]
mod tests;
