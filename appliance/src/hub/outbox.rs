//! The outbox of this box for [`exchange::courier`]: its rows are in the store, what they name lies
//! in the archive or is made from results. What the hub offers comes when nothing is to be sent.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use exchange::command::Numbered;
use exchange::courier::{Blob, Next, Outbox, Terms};
use exchange::manifest::{Manifest, Object};
use exchange::offer::Wanted;
use exchange::row::Priority;
use exchange::wire::{Answered, Hello};
use sha2::{Digest as _, Sha256};

use super::offers::Offers;
use crate::fault::chain;
use crate::hex;
use crate::results::{ObjectError, Objects};
use crate::store::outbox::{Due, ImageFile, Listed, Parcel, Unsealed};
use crate::store::{Store, StoreError};

/// Read at a time when a file's digest is taken.
const PIECE: usize = 1 << 20;

/// Rows and files of this box.
#[derive(Clone, Debug)]
pub struct StoreOutbox {
    /// The rows.
    pub store: Arc<Store>,
    /// The files: those of results, and the archive's folder.
    pub objects: Objects,
    /// What is fetched; `None` where there is no link.
    pub offers: Option<Offers>,
}

/// Why a row cannot name its files.
#[derive(Debug, thiserror::Error)]
enum ListError {
    #[error(transparent)]
    Store(StoreError),
    #[error("the object of the result cannot be made")]
    Object(#[source] ObjectError),
    #[error("the images of the series are no longer on this box")]
    NoImages,
    #[error("an image of the series cannot be read")]
    Image(#[source] io::Error),
}

impl Outbox for StoreOutbox {
    type Error = StoreError;

    fn next(&mut self, terms: &Terms) -> Result<Next, StoreError> {
        loop {
            match self.store.outbox_due(terms)? {
                Due::Rows(rows) => return Ok(Next::Rows(rows)),
                Due::Blob(blob) => return Ok(Next::Blob(blob)),
                Due::Nothing(at) => return self.fetched_next(terms, at),
                // Sealed or given up: each turn leaves one less.
                Due::Unsealed(row) => self.seal(&row)?,
            }
        }
    }

    fn hello(&mut self) -> Result<Hello, StoreError> {
        let mut hello = self.store.hub_hello()?;
        if let Some(offers) = &self.offers {
            hello.offer = offers.progress(&self.store)?;
        }
        Ok(hello)
    }

    fn read(
        &mut self,
        blob: &Blob,
        offset: u64,
        length: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((result, path)) = self.store.blob_path(blob)? else { return Ok(None) };
        let folder = if result { &self.objects.folder } else { &self.objects.archive };
        match piece(&folder.join(path), blob.bytes, offset, length) {
            Ok(piece) => Ok(Some(piece)),
            Err(error) => {
                let why = format!("a file that it names is not what it was ({})", chain(&error));
                self.store.row_failed(blob.seq, &why, None)?;
                Ok(None)
            }
        }
    }

    fn placed(&mut self, blob: &Blob, place: Option<&str>) -> Result<(), StoreError> {
        self.store.blob_placed(blob, place)
    }

    fn arrived(&mut self, blob: &Blob) -> Result<(), StoreError> {
        self.store.blob_arrived(blob)
    }

    fn settle(&mut self, answers: &[Answered], pause: Duration) -> Result<(), StoreError> {
        for (inference_id, kind) in self.store.settle_rows(answers, pause)? {
            self.objects.forget(&self.store, inference_id, kind)?;
        }
        Ok(())
    }

    fn interrupted(&mut self) -> Result<(), StoreError> {
        self.store.rows_interrupted()
    }

    fn failed(&mut self, seq: i64, why: &str, pause: Option<Duration>) -> Result<(), StoreError> {
        self.store.row_failed(seq, why, pause)
    }

    fn obey(&mut self, commands: &[Numbered]) -> Result<(), StoreError> {
        self.store.obey(commands)?;
        match &self.offers {
            Some(offers) if !commands.is_empty() => offers.tidy(&self.store),
            _ => Ok(()),
        }
    }

    fn keep(&mut self, wanted: &Wanted, piece: &[u8]) -> Result<(), StoreError> {
        match &mut self.offers {
            Some(offers) => offers.keep(&self.store, wanted, piece),
            None => Ok(()),
        }
    }

    fn withheld(&mut self, wanted: &Wanted, why: &str, pause: Duration) -> Result<(), StoreError> {
        self.store.offer_waits(&wanted.bundle, why, pause)
    }
}

impl StoreOutbox {
    /// With nothing to send now. A model counts like images, and comes after them.
    fn fetched_next(&mut self, terms: &Terms, at: Option<i64>) -> Result<Next, StoreError> {
        let Some(offers) = self.offers.as_mut().filter(|_| terms.lowest >= Priority::Images) else {
            return Ok(Next::Nothing(at));
        };
        Ok(match offers.next(&self.store)? {
            Next::Nothing(again) => Next::Nothing(at.into_iter().chain(again).min()),
            wanted => wanted,
        })
    }

    /// Has a row name its files, or gives it up.
    pub(super) fn seal(&self, row: &Unsealed) -> Result<(), StoreError> {
        match self.list(row) {
            Ok(listed) => self.store.seal_row(row.seq, &listed),
            Err(ListError::Store(error)) => Err(error),
            Err(error) => self.store.row_failed(row.seq, &chain(&error), None),
        }
    }

    /// Looks at the files that a row is to name.
    fn list(&self, row: &Unsealed) -> Result<Listed, ListError> {
        let mut manifest = Manifest { study: row.study.clone(), ..Manifest::default() };
        let mut paths = Vec::new();
        match &row.parcel {
            Parcel::Object { inference_id, kind } => {
                let file = self.objects.file(&self.store, *inference_id, *kind);
                let file = file.map_err(|error| match error {
                    ObjectError::Store(error) => ListError::Store(error),
                    error => ListError::Object(error),
                })?;
                kind.word().clone_into(&mut manifest.title);
                manifest.objects.push(Object {
                    sop_class: file.sop_class.to_owned(),
                    sop_instance: file.sop_instance,
                    sha256: hex::lower(&Sha256::digest(&file.bytes)),
                    bytes: file.bytes.len() as u64,
                });
                paths.push(file.name);
            }
            Parcel::Series { images, .. } if images.is_empty() => return Err(ListError::NoImages),
            Parcel::Series { uid, title, images } => {
                manifest.series.clone_from(uid);
                manifest.title.clone_from(title);
                for image in images {
                    manifest.objects.push(self.image(image).map_err(ListError::Image)?);
                    paths.push(image.path.clone());
                }
            }
        }
        Ok(Listed { manifest, paths })
    }

    fn image(&self, image: &ImageFile) -> io::Result<Object> {
        let path: PathBuf = self.objects.archive.join(&image.path);
        let mut file = File::open(path)?;
        let (mut sha, mut bytes, mut piece) = (Sha256::new(), 0_u64, vec![0; PIECE]);
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 {
                break;
            }
            sha.update(&piece[..read]);
            bytes += read as u64;
        }
        Ok(Object {
            sop_class: image.sop_class.clone(),
            sop_instance: image.sop_instance.clone(),
            sha256: hex::lower(&sha.finalize()),
            bytes,
        })
    }
}

/// Bytes of a file that must have `bytes` in all.
fn piece(path: &Path, bytes: u64, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let found = file.metadata()?.len();
    if found != bytes {
        let text = format!("it has {found} bytes, expected {bytes}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut piece = Vec::new();
    file.take(length as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

#[cfg(test)]
mod tests;
