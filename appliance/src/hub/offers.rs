//! Fetches the model that the hub offers, behind everything that is to be sent: first the manifest,
//! then, if the box would take that bundle, file after file. What the hub says is believed of
//! nothing; the signature is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use exchange::courier::Next;
use exchange::offer::{
    MANIFEST, MANIFEST_BYTES, Part, Progress, Shelf, ShelfError, Stage, Wanted, sweep,
};

use crate::fault::chain;
use crate::model_install::{self, InstallError};
use crate::store::offers::Offer;
use crate::store::{Store, StoreError};
use crate::triage::Tables;

/// Folder of bundles on their way, below the data folder.
const FOLDER: &str = "offered";
/// Pause when somebody has to do something, or a file to go.
const AGAIN: Duration = Duration::from_secs(15 * 60);
/// A bundle lies here and, copied, among the models.
const COPIES: u64 = 2;

/// What a box needs to take a model from its hub.
#[derive(Clone, Debug)]
pub struct Offers {
    /// The data folder.
    pub data: PathBuf,
    /// The site's clinical tables, which must cover a model.
    pub tables: Arc<Tables>,
    /// Who may sign models; without any nothing is fetched.
    pub keys: Vec<String>,
    /// How full the disk may get, percent.
    pub percent: u32,
    /// The bundle whose manifest was found good, and its other files.
    pub vetted: Option<(String, Vec<Part>)>,
}

/// Why nothing is fetched.
enum Hindrance {
    /// It may be over later.
    Now(String),
    /// The box does not want this bundle.
    Ever(String),
    Store(StoreError),
}

impl From<ShelfError> for Hindrance {
    fn from(error: ShelfError) -> Self {
        match error {
            ShelfError::File { .. } => Self::Now(chain(&error)),
            ShelfError::Path(_) | ShelfError::Content { .. } => Self::Ever(chain(&error)),
        }
    }
}

impl From<InstallError> for Hindrance {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Store(error) => Self::Store(error),
            error => Self::Ever(chain(&error)),
        }
    }
}

impl Offers {
    /// Where a bundle lies until it is installed.
    #[must_use]
    pub fn shelf(data: &Path, sha256: &str) -> Shelf {
        Shelf::new(&data.join(FOLDER), sha256)
    }

    /// What is to be fetched next, or when to look again.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn next(&mut self, store: &Store) -> Result<Next, StoreError> {
        let offer = store.model_offer()?;
        let Some(offer) = offer.filter(|o| matches!(o.stage, Stage::Offered | Stage::Coming))
        else {
            self.tidy(store)?;
            return Ok(Next::Nothing(None));
        };
        if offer.next_at > store.clock().now() {
            return Ok(Next::Nothing(Some(offer.next_at)));
        }
        match self.wanted(store, &offer) {
            Ok(Some(wanted)) => {
                store.offer_goes_on(&offer)?;
                Ok(Next::Fetch(wanted))
            }
            Ok(None) => {
                store.offer_came_to(&offer, Stage::Whole, "")?;
                Ok(Next::Nothing(None))
            }
            Err(hindrance) => {
                self.hindered(store, &offer, hindrance)?;
                Ok(Next::Nothing(None))
            }
        }
    }

    /// Keeps a piece.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn keep(&mut self, store: &Store, wanted: &Wanted, piece: &[u8]) -> Result<(), StoreError> {
        let kept = Self::shelf(&self.data, &wanted.bundle).keep(wanted, piece);
        let Err(error) = kept else { return Ok(()) };
        let offer = store.model_offer()?.filter(|offer| offer.sha256 == wanted.bundle);
        offer.map_or(Ok(()), |offer| self.hindered(store, &offer, error.into()))
    }

    /// Throws away what lies here of bundles that are not wanted any more.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn tidy(&self, store: &Store) -> Result<(), StoreError> {
        let on_its_way =
            |o: &Offer| matches!(o.stage, Stage::Offered | Stage::Coming | Stage::Whole);
        let offer = store.model_offer()?.filter(on_its_way);
        if let Err(error) = sweep(&self.data.join(FOLDER), offer.as_ref().map(|o| &*o.sha256)) {
            tracing::error!(error = %chain(&error), "what is left of offers is not deleted");
        }
        Ok(())
    }

    /// How far the offer has come, for the hub and for pages.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn progress(&self, store: &Store) -> Result<Option<Progress>, StoreError> {
        let Some(offer) = store.model_offer()? else { return Ok(None) };
        let Offer { sha256, name, bytes, stage, why, .. } = offer;
        let here = match stage {
            Stage::Offered | Stage::Refused => 0,
            Stage::Coming | Stage::Whole => Self::shelf(&self.data, &sha256).bytes().min(bytes),
            Stage::Installed => bytes,
        };
        Ok(Some(Progress { sha256, name, stage, here, bytes, why }))
    }

    fn wanted(&mut self, store: &Store, offer: &Offer) -> Result<Option<Wanted>, Hindrance> {
        let wait = |why: &str| Err(Hindrance::Now(why.to_owned()));
        if self.keys.is_empty() {
            return wait(
                "analysis.model_keys names nobody: this box fetches no model before it is told who \
                 may sign one",
            );
        }
        if offer.manifest_bytes == 0 || offer.signature.is_empty() {
            return wait("the hub has no files of it to fetch: it comes on a stick");
        }
        let longest = MANIFEST_BYTES;
        if offer.manifest_bytes > longest {
            let found = offer.manifest_bytes;
            let why = format!("its manifest has {found} bytes, at most {longest} are taken");
            return Err(Hindrance::Ever(why));
        }
        let shelf = Self::shelf(&self.data, &offer.sha256);
        let manifest = Part {
            path: MANIFEST.to_owned(),
            sha256: offer.sha256.clone(),
            bytes: offer.manifest_bytes,
        };
        if let Some(wanted) = shelf.wanted(&manifest)? {
            self.room(offer.bytes, 0)?;
            return Ok(Some(wanted));
        }
        self.vet(store, offer, &shelf)?;
        let parts = self.vetted.as_ref().map_or(&[][..], |(_, parts)| parts);
        for part in parts {
            if let Some(wanted) = shelf.wanted(part)? {
                let bytes = parts.iter().map(|part| part.bytes).fold(0, u64::saturating_add);
                self.room(bytes, shelf.bytes())?;
                return Ok(Some(wanted));
            }
        }
        Ok(None)
    }

    /// Signature, serial and rules, before anything large is fetched.
    fn vet(&mut self, store: &Store, offer: &Offer, shelf: &Shelf) -> Result<(), Hindrance> {
        if self.vetted.as_ref().is_some_and(|(sha256, _)| *sha256 == offer.sha256) {
            return Ok(());
        }
        shelf.sign(&offer.signature)?;
        let gates = (&*self.tables, self.keys.as_slice());
        let manifest = model_install::vet(shelf.folder(), &self.data, store, gates)?;
        let parts = manifest.files.into_iter();
        let parts =
            parts.map(|file| Part { path: file.path, sha256: file.sha256, bytes: file.bytes });
        self.vetted = Some((offer.sha256.clone(), parts.collect()));
        Ok(())
    }

    /// Whether a bundle of which so much is here has room.
    fn room(&self, bytes: u64, here: u64) -> Result<(), Hindrance> {
        let disk = rustix::fs::statvfs(&self.data)
            .map_err(|error| Hindrance::Now(format!("the data disk does not answer: {error}")))?;
        let (all, free) = (disk.f_blocks, disk.f_bavail);
        let [all, free] = [all, free].map(|blocks| blocks.saturating_mul(disk.f_frsize));
        let kept_free = all / 100 * u64::from(100 - self.percent.min(100));
        let needed = bytes.saturating_mul(COPIES).saturating_sub(here);
        if needed.saturating_add(kept_free) <= free {
            return Ok(());
        }
        let [needed, free] =
            [needed, free.saturating_sub(kept_free)].map(|bytes| bytes.div_ceil(1_000_000));
        Err(Hindrance::Now(format!(
            "it needs {needed} MB on the data disk, and {free} MB are free below disk.evict_percent"
        )))
    }

    fn hindered(
        &mut self,
        store: &Store,
        offer: &Offer,
        hindrance: Hindrance,
    ) -> Result<(), StoreError> {
        match hindrance {
            Hindrance::Now(why) => store.offer_waits(&offer.sha256, &why, AGAIN),
            Hindrance::Ever(why) => {
                self.vetted = None;
                store.offer_came_to(offer, Stage::Refused, &why)?;
                self.tidy(store)
            }
            Hindrance::Store(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
