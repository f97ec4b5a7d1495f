//! One instance on its way from a peer to the disk.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::num::NonZero;

use rustix::fs::{Advice, fadvise};
use sha2::{Digest as _, Sha256};

use super::header::{self, Header, HeaderError};
use super::layout::{Folder, file_name, folder_name};
use super::{Archive, ArchiveError, Offer, Outcome, Stored, check_uid, meta};
use crate::hex;
use crate::store::events::Level;
use crate::store::instances::{Arrival, Indexed};
use crate::store::quarantine::{Aside, Kind};

/// Bytes read at a time where a file is digested.
const CHUNK: usize = 128 << 10;
/// Meta groups longer than this are none of ours.
const LONGEST_META: u64 = 64 << 10;
/// Longest AE title (PS3.5 6.2).
const LONGEST_TITLE: usize = 16;

/// An instance being received. Dropping it forgets it.
#[derive(Debug)]
pub struct Incoming {
    archive: Archive,
    offer: Offer,
    file: File,
    part: Part,
    digest: Sha256,
    /// Bytes in front of the data set.
    meta: u64,
    /// Bytes of the data set so far.
    bytes: u64,
}

/// The temporary file; it goes away with this value unless it was moved.
#[derive(Debug)]
struct Part {
    archive: Archive,
    name: String,
    moved: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.moved {
            // The next start removes what cannot be removed now.
            self.archive.0.layout.incoming.remove(&self.name).ok();
        }
    }
}

impl Part {
    /// Moves the file, unless the name is taken.
    fn move_to(&mut self, folder: &Folder, name: &str) -> Result<bool, ArchiveError> {
        self.moved = self.archive.0.layout.incoming.move_file(&self.name, folder, name)?;
        Ok(self.moved)
    }
}

impl Incoming {
    pub(super) fn create(
        archive: Archive,
        offer: Offer,
        name: String,
    ) -> Result<Self, ArchiveError> {
        let title: String =
            offer.source_ae.chars().filter(char::is_ascii_graphic).take(LONGEST_TITLE).collect();
        let meta = meta::build(&offer.sop_class, &offer.sop_uid, &offer.transfer_syntax, &title);
        let file = archive.0.layout.incoming.create_file(&name)?;
        let part = Part { archive: archive.clone(), name, moved: false };
        let mut incoming = Self {
            archive,
            offer,
            file,
            part,
            digest: Sha256::new(),
            meta: meta.len() as u64,
            bytes: 0,
        };
        incoming.append(&meta)?;
        Ok(incoming)
    }

    /// Appends bytes of the data set.
    ///
    /// # Errors
    ///
    /// When they are too many, or cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let limit = self.archive.0.config.max_instance_bytes;
        self.bytes += bytes.len() as u64;
        if self.bytes > limit {
            return Err(ArchiveError::TooLarge { limit });
        }
        self.append(bytes)?;
        // Linux begins to write what it is told not to keep, so that the disk works while the
        // digest is computed; fsync then has less to wait for. A hint only: its failure is none.
        let start = self.meta + self.bytes - bytes.len() as u64;
        let length = NonZero::new(bytes.len() as u64);
        fadvise(&self.file, start, length, Advice::DontNeed).ok();
        self.digest.update(bytes);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.file.write_all(bytes).map_err(|e| self.fails(e))
    }

    fn fails(&self, error: io::Error) -> ArchiveError {
        ArchiveError::io(&self.archive.0.layout.incoming.path.join(&self.part.name), error)
    }

    /// Checks the data set and keeps it. When this returns, it survives a power cut.
    ///
    /// # Errors
    ///
    /// When the data set cannot be scanned or filed, is not what was announced, or the disk or
    /// the index fails; then it is not kept.
    pub fn finish(mut self) -> Result<Stored, ArchiveError> {
        let header = self.header()?;
        let sha256: [u8; 32] = std::mem::take(&mut self.digest).finalize().into();
        let archive = self.archive.clone();
        let _alone = archive.alone(&header.sop_uid);
        let mut damaged = false;
        if let Some(known) = archive.store().instance(&header.sop_uid)? {
            if known.sha256 != sha256 {
                self.sync()?;
                let aside = self.aside(&header, sha256);
                archive.set_aside(&archive.0.layout.incoming, &self.part.name, aside)?;
                self.part.moved = true;
                return Ok(Stored { study_id: None, outcome: Outcome::Quarantined });
            }
            if self.is_whole(&header, sha256) {
                let study_id = Some(known.study_id);
                return Ok(Stored { study_id, outcome: Outcome::Duplicate });
            }
            damaged = true;
        }
        self.sync()?;
        let name = file_name(&header.sop_uid);
        let study = folder_name(&header.study.uid);
        let folder = archive.0.layout.study(&study)?;
        while !self.part.move_to(&folder, &name)? {
            let (found, bytes) = digest_of(&folder, &name)?;
            if found == sha256 {
                break;
            }
            let reason = if damaged {
                "its content changed on the disk, and it was sent again"
            } else {
                // A crash between rename and COMMIT left it, so it was never acknowledged.
                "it was left by a power cut before it was acknowledged, and other content came \
                 under its UID"
            };
            let reason = reason.to_owned();
            let aside = Aside { bytes, reason, ..self.aside(&header, found) };
            archive.set_aside(&folder, &name, aside)?;
        }
        archive.0.layout.sync_study(&study, &folder)?;
        if damaged {
            let source = &self.offer.source;
            let text = format!(
                "A stored image was missing or damaged on the disk; {source} sent it again and it \
                 is whole now. The disk may be failing: run `appliance doctor`."
            );
            archive.note("healed", Level::Error, source, &text);
        }
        self.index(header, sha256, &folder, &name)
    }

    /// A row says that a file was durable; it may have been lost or damaged since.
    fn is_whole(&self, header: &Header, sha256: [u8; 32]) -> bool {
        let layout = &self.archive.0.layout;
        let folder = layout.existing_study(&folder_name(&header.study.uid));
        let found = folder.and_then(|folder| digest_of(&folder, &file_name(&header.sop_uid)));
        found.is_ok_and(|(found, _)| found == sha256)
    }

    /// The rows. That the UID was free was seen before; another process may have been faster.
    fn index(
        mut self,
        header: Header,
        sha256: [u8; 32],
        folder: &Folder,
        name: &str,
    ) -> Result<Stored, ArchiveError> {
        let aside = self.aside(&header, sha256);
        let cut_off = header.cut_off;
        let indexed = self.archive.store().index(Arrival {
            study: header.study,
            series: header.series,
            sop_uid: header.sop_uid,
            sop_class: header.sop_class,
            transfer_syntax: std::mem::take(&mut self.offer.transfer_syntax),
            sha256,
            bytes: self.bytes,
            path: self.archive.0.layout.relative(folder, name),
            source: self.offer.source.clone(),
        })?;
        let (study_id, outcome) = match indexed {
            Indexed::New { study_id } => (Some(study_id), Outcome::New),
            Indexed::Duplicate { study_id } => (Some(study_id), Outcome::Duplicate),
            Indexed::Conflict => {
                self.archive.set_aside(folder, name, aside)?;
                (None, Outcome::Quarantined)
            }
        };
        if cut_off {
            let source = &self.offer.source;
            let text = format!(
                "An image from {source} is shorter than it says; it was stored as it was sent. \
                 If the images of this study look incomplete, send it again."
            );
            self.archive.note("cut off", Level::Warning, source, &text);
        }
        Ok(Stored { study_id, outcome })
    }

    /// What the quarantine says about this instance when its UID has other content.
    fn aside(&self, header: &Header, sha256: [u8; 32]) -> Aside {
        Aside {
            kind: Kind::Conflict,
            study_uid: header.study.uid.clone(),
            sop_uid: header.sop_uid.clone(),
            sha256,
            bytes: self.bytes,
            path: String::new(),
            reason: "other content is stored under the same UID".to_owned(),
            source: self.offer.source.clone(),
        }
    }

    fn header(&self) -> Result<Header, ArchiveError> {
        let open = || {
            let mut file = &self.file;
            file.seek(SeekFrom::Start(self.meta))?;
            Ok(file)
        };
        let header = match header::read(&self.offer.transfer_syntax, self.bytes, open) {
            Ok(header) => header,
            Err(HeaderError::Read(error)) => return Err(self.fails(error)),
            Err(HeaderError::Scan(source)) => return Err(ArchiveError::Malformed { source }),
        };
        for (field, data_set, command) in [
            ("SOP Class UID", &header.sop_class, &self.offer.sop_class),
            ("SOP Instance UID", &header.sop_uid, &self.offer.sop_uid),
        ] {
            check_uid(field, data_set)?;
            if data_set != command {
                let (command, data_set) = (command.clone(), data_set.clone());
                return Err(ArchiveError::Mismatch { field, command, data_set });
            }
        }
        check_uid("Study Instance UID", &header.study.uid)?;
        check_uid("Series Instance UID", &header.series.uid)?;
        Ok(header)
    }

    fn sync(&self) -> Result<(), ArchiveError> {
        self.file.sync_all().map_err(|e| self.fails(e))
    }
}

impl Archive {
    /// Moves a file to the quarantine, durably, and says why in the index and in words.
    fn set_aside(&self, from: &Folder, name: &str, mut aside: Aside) -> Result<(), ArchiveError> {
        let quarantine = &self.0.layout.quarantine;
        let new_name = format!("{}.dcm", hex::lower(&aside.sha256));
        if !from.move_file(name, quarantine, &new_name)? {
            // The same content was set aside before.
            from.remove(name)?;
        }
        quarantine.sync()?;
        from.sync()?;
        aside.path = format!("quarantine/{new_name}");
        self.store().set_aside(&aside)?;
        let text = format!(
            "An image from {} was kept aside: {}. The list is on the system page.",
            aside.source, aside.reason
        );
        self.note("set aside", Level::Warning, &aside.source, &text);
        Ok(())
    }
}

/// SHA-256 of the data set in one of our files, and its number of bytes.
pub(super) fn digest_of(folder: &Folder, name: &str) -> Result<([u8; 32], u64), ArchiveError> {
    let fails = |e| ArchiveError::io(&folder.path.join(name), e);
    let mut file = folder.open_file(name)?;
    let meta = read_meta(&mut file).map_err(fails)?;
    let mut digest = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; CHUNK];
    file.seek(SeekFrom::Start(meta.data_at as u64)).map_err(fails)?;
    loop {
        let read = file.read(&mut buffer).map_err(fails)?;
        if read == 0 {
            return Ok((digest.finalize().into(), bytes));
        }
        digest.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// The meta group of one of our files; a file that has none begins with its data set.
pub(super) fn read_meta(file: &mut File) -> io::Result<meta::FileMeta> {
    let mut start = Vec::new();
    file.take(LONGEST_META).read_to_end(&mut start)?;
    Ok(meta::read(&start).unwrap_or_default())
}
