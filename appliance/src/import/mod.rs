//! Images that come without a network: a folder, a ZIP, an ISO image of a CD, a USB stick.
//!
//! Every file takes the way of a received image through [`Archive::begin`], with its data set bit
//! for bit, so that the same image from the stick and from the scanner is one instance. What is
//! no image is listed with the reason and costs nothing else.

mod folder;
mod iso9660;
pub mod watch;
mod zip;

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::{Path, PathBuf};

use dicom_dictionary_std::uids;
use rustix::fs::{Mode, OFlags};

pub use watch::{WatchConfig, WatchState, scan_once};

use crate::archive::header::{self, HeaderError};
use crate::archive::{Archive, ArchiveError, Offer, Outcome, meta};
use crate::fault::chain;

/// How the index names this source.
const SOURCE: &str = "import";
/// Bytes read to find out what a file is: identity stands at the front of a data set.
pub(crate) const START: usize = 64 << 10;
const CHUNK: usize = 256 << 10;
/// Skipped files that are listed; beyond, they are counted.
const LISTED: usize = 10_000;
/// Explicit VR Big Endian: retired, and still on old disks.
const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// What became of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// New images.
    pub stored: usize,
    /// Images that were there already.
    pub duplicate: usize,
    /// Images kept aside, because other content is known under their UID.
    pub quarantined: usize,
    /// Files that are no images, or cannot be read: name and reason.
    pub skipped: Vec<(String, String)>,
    /// Skipped files beyond those listed.
    pub skipped_unlisted: usize,
}

impl Report {
    /// Images that are safe now.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.stored + self.duplicate + self.quarantined
    }

    fn skip(&mut self, name: &str, why: impl Into<String>) {
        if self.skipped.len() < LISTED {
            self.skipped.push((visible(name), why.into()));
        } else {
            self.skipped_unlisted += 1;
        }
    }

    fn add(&mut self, other: Self) {
        self.stored += other.stored;
        self.duplicate += other.duplicate;
        self.quarantined += other.quarantined;
        self.skipped_unlisted += other.skipped_unlisted;
        for (name, why) in other.skipped {
            self.skip(&name, why);
        }
    }
}

/// Why an import stopped. What was kept until then stays kept, and importing again continues.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Nothing can be read there.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Neither a folder nor one of the files that hold images.
    #[error("{} is neither a folder, a DICOM file, a ZIP nor an ISO 9660 image", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// The ZIP or ISO image is broken, or beyond what is accepted.
    #[error("{}: {why}", path.display())]
    Container {
        /// The file.
        path: PathBuf,
        /// What is wrong, in words.
        why: String,
    },
    /// The archive takes nothing more.
    #[error("importing stopped")]
    Archive(#[source] ArchiveError),
}

/// Imports a folder with all that is below it, a ZIP, an ISO 9660 image, or a single file.
/// `progress` is called after every file.
///
/// # Errors
///
/// When the source as a whole cannot be read, or the archive fails or is full. A file that cannot
/// be read is listed in the report.
pub fn run(
    path: &Path,
    archive: &Archive,
    mut progress: impl FnMut(&Report),
) -> Result<Report, ImportError> {
    let fails = |source| ImportError::Read { path: path.to_owned(), source };
    let mut import = Import { archive, report: Report::default(), progress: &mut progress };
    if std::fs::metadata(path).map_err(fails)?.is_dir() {
        import.folder(path)?;
        return Ok(import.report);
    }
    let mut file = File::open(path).map_err(fails)?;
    match kind(&mut file).map_err(fails)? {
        Some(Container::Zip) => import.zip(path, file)?,
        Some(Container::Iso) => import.iso(path, &file)?,
        None => {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
            import.file(&name, &mut file)?;
            if import.report.kept() == 0 {
                let why = import.report.skipped.pop().map_or(String::new(), |(_, why)| why);
                return match why.as_str() {
                    NOT_DICOM => Err(ImportError::Unknown { path: path.to_owned() }),
                    _ => Err(ImportError::Container { path: path.to_owned(), why }),
                };
            }
        }
    }
    Ok(import.report)
}

const NOT_DICOM: &str = "it is not a DICOM file";

/// Files that hold files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Zip,
    Iso,
}

/// Tells containers by their contents; names lie.
fn kind(file: &mut File) -> io::Result<Option<Container>> {
    let mut start = Vec::new();
    file.by_ref().take(iso9660::IDENTIFIED).read_to_end(&mut start)?;
    file.rewind()?;
    Ok(if zip::is_zip(&start) {
        Some(Container::Zip)
    } else if iso9660::is_iso(&start) {
        Some(Container::Iso)
    } else {
        None
    })
}

/// Opens a regular file and nothing else: no link, and no pipe that never ends.
fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

struct Import<'a> {
    archive: &'a Archive,
    report: Report,
    progress: &'a mut dyn FnMut(&Report),
}

impl Import<'_> {
    /// Imports one file, which its reader gives from the beginning.
    fn file(&mut self, name: &str, data: &mut dyn Read) -> Result<(), ImportError> {
        match self.store(data) {
            Ok(Outcome::New) => self.report.stored += 1,
            Ok(Outcome::Duplicate) => self.report.duplicate += 1,
            Ok(Outcome::Quarantined) => self.report.quarantined += 1,
            Err(Skip::Because(why)) => self.report.skip(name, why),
            Err(Skip::Stop(error)) => return Err(ImportError::Archive(error)),
        }
        (self.progress)(&self.report);
        Ok(())
    }

    fn store(&self, data: &mut dyn Read) -> Result<Outcome, Skip> {
        let mut start = Vec::new();
        Read::take(&mut *data, START as u64).read_to_end(&mut start)?;
        let identity = identify(&start, SOURCE)?;
        let mut incoming = self.archive.begin(identity.offer)?;
        incoming.write(start.get(identity.data_at..).unwrap_or_default())?;
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = match data.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                return Ok(incoming.finish()?.outcome);
            }
            incoming.write(&chunk[..read])?;
        }
    }
}

/// Why a file was not imported.
#[derive(Debug)]
pub(crate) enum Skip {
    /// It is the file's own fault.
    Because(String),
    /// The archive fails, and would for the next one.
    Stop(ArchiveError),
}

impl From<ArchiveError> for Skip {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::TooLarge { .. }
            | ArchiveError::Mismatch { .. }
            | ArchiveError::NotAUid { .. }
            | ArchiveError::Malformed { .. } => Self::Because(chain(&error)),
            _ => Self::Stop(error),
        }
    }
}

impl From<io::Error> for Skip {
    fn from(error: io::Error) -> Self {
        Self::Because(format!("it cannot be read: {error}"))
    }
}

/// What a file says it is.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) offer: Offer,
    /// Study Instance UID; empty when it is missing.
    pub(crate) study_uid: String,
    /// Series Instance UID; likewise.
    pub(crate) series_uid: String,
    /// Where the data set begins.
    pub(crate) data_at: usize,
}

/// What the first bytes of a file from `source` say it is. The identity is the data set's own:
/// programs that make data anonymous leave old UIDs in the meta group.
pub(crate) fn identify(start: &[u8], source: &str) -> Result<Identity, Skip> {
    let skip = |why: &str| Skip::Because(why.to_owned());
    if start.is_empty() {
        return Err(skip("it is empty"));
    }
    if zip::is_zip(start) {
        return Err(skip("it is a ZIP inside; unpack it and import its contents"));
    }
    let meta = meta::read(start).unwrap_or_default();
    let data = start.get(meta.data_at..).unwrap_or_default();
    if meta.sop_class == uids::MEDIA_STORAGE_DIRECTORY_STORAGE {
        return Err(skip("it is the list of a medium's files, not an image"));
    }
    let transfer_syntax = match meta.transfer_syntax.as_str() {
        "" => guess(data).ok_or_else(|| skip(NOT_DICOM))?.to_owned(),
        _ => meta.transfer_syntax,
    };
    let header = match header::read(&transfer_syntax, data.len() as u64, || Ok(data)) {
        Ok(header) => header,
        Err(HeaderError::Read(error)) => return Err(error.into()),
        Err(HeaderError::Scan(source)) => return Err(ArchiveError::Malformed { source }.into()),
    };
    let offer = Offer {
        sop_class: header.sop_class,
        sop_uid: header.sop_uid,
        transfer_syntax,
        source: source.to_owned(),
        source_ae: String::new(),
    };
    Ok(Identity {
        offer,
        study_uid: header.study.uid,
        series_uid: header.series.uid,
        data_at: meta.data_at,
    })
}

/// The native transfer syntax of a data set that begins with group 0008, as all do.
fn guess(data: &[u8]) -> Option<&'static str> {
    let explicit = data.get(4..6)?.iter().all(u8::is_ascii_uppercase);
    match data.get(..4)? {
        [8, 0, _, 0..=0x40] if explicit => Some(uids::EXPLICIT_VR_LITTLE_ENDIAN),
        [8, 0, _, 0..=0x40] => Some(uids::IMPLICIT_VR_LITTLE_ENDIAN),
        [0, 8, 0..=0x40, _] if explicit => Some(EXPLICIT_VR_BIG_ENDIAN),
        _ => None,
    }
}

/// A name as it may be shown: those in containers can hold anything.
fn visible(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).take(512).collect()
}

#[cfg(test)]
mod tests;
