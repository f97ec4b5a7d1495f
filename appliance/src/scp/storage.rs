//! C-STORE: the fragments of a data set on their way to the archive (PS3.4 B).
//!
//! Disk work blocks, so it runs in `block_in_place`, once for each full buffer. A slice of MR fits
//! into one buffer: its file is made, written and committed in a single step, without a hop to
//! another thread in between.

use tokio::task::block_in_place;

use super::dimse::Command;
use super::negotiation::Context;
use super::pdu::{AbortReason, Ended};
use super::status::{CANNOT_UNDERSTAND, CLASS_NOT_SUPPORTED, Refusal};
use crate::archive::{Archive, ArchiveError, Incoming, Offer, Stored};

/// Bytes gathered before they are written.
const BUFFER: usize = 512 << 10;
/// Bytes of a refused data set that are read so that the association can go on.
const MAX_DISCARDED: u64 = 1 << 30;

/// An instance being received.
pub(super) struct Reception {
    offer: Offer,
    /// The open file. Dropping it deletes it.
    incoming: Option<Incoming>,
    refusal: Option<Refusal>,
    /// Bytes of the data set so far.
    pub(super) bytes: u64,
    discarded: u64,
}

impl Reception {
    /// Begins with what the command says; a refusal is answered after the data set.
    pub(super) fn new(command: &Command, context: &Context, calling: &str) -> Self {
        let refusal = if !command.has_data {
            Some(Refusal::new(CANNOT_UNDERSTAND, "C-STORE without a data set"))
        } else if !context.is_storage() {
            let comment = "the presentation context is not for storage";
            Some(Refusal::new(CLASS_NOT_SUPPORTED, comment))
        } else if command.sop_class != context.abstract_syntax {
            let comment = "SOP class is not that of the presentation context";
            Some(Refusal::new(CLASS_NOT_SUPPORTED, comment))
        } else {
            None
        };
        let offer = Offer {
            sop_class: command.sop_class.clone(),
            sop_uid: command.sop_instance.clone(),
            transfer_syntax: context.transfer_syntax.clone(),
            source: format!("scp {calling}"),
            source_ae: calling.to_owned(),
        };
        Self { offer, incoming: None, refusal, bytes: 0, discarded: 0 }
    }

    /// Takes a fragment; `buffer` holds what is not written yet.
    pub(super) fn append(
        &mut self,
        archive: &Archive,
        buffer: &mut Vec<u8>,
        fragment: &[u8],
    ) -> Result<(), Ended> {
        let length = fragment.len() as u64;
        self.bytes += length;
        if self.refusal.is_some() {
            self.discarded += length;
            if self.discarded > MAX_DISCARDED {
                let what = "a refused data set that does not end";
                return Err(Ended::protocol(AbortReason::NotSpecified, what));
            }
            return Ok(());
        }
        buffer.extend_from_slice(fragment);
        if buffer.len() >= BUFFER {
            block_in_place(|| self.flush(archive, buffer));
        }
        Ok(())
    }

    /// Keeps the instance durably, or says why not.
    pub(super) fn finish(
        mut self,
        archive: &Archive,
        buffer: &mut Vec<u8>,
    ) -> Result<Stored, Refusal> {
        block_in_place(|| {
            self.flush(archive, buffer);
            match (self.refusal, self.incoming) {
                (None, Some(incoming)) => incoming.finish().map_err(|e| Refusal::from(&e)),
                (refusal, _) => Err(refusal.unwrap_or_else(|| Refusal::from(&ArchiveError::Full))),
            }
        })
    }

    fn flush(&mut self, archive: &Archive, buffer: &mut Vec<u8>) {
        if self.refusal.is_none() {
            let begun = match self.incoming.take() {
                Some(incoming) => Ok(incoming),
                None => archive.begin(self.offer.clone()),
            };
            match begun.and_then(|mut incoming| incoming.write(buffer).map(|()| incoming)) {
                Ok(incoming) => self.incoming = Some(incoming),
                Err(error) => self.refusal = Some(Refusal::from(&error)),
            }
        }
        buffer.clear();
    }
}
