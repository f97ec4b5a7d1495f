//! The way to an archive: C-STORE over one association as long as there is something to send.

use std::sync::Arc;

use tokio::task::block_in_place;

use super::delivery::{Answer, Way};
use super::{CONTEXTS, ObjectError, Objects, fitting};
use crate::fault::chain;
use crate::scp::{Destination, Outgoing, Scp, SendError, Sender};
use crate::store::Store;
use crate::store::deliveries::Delivery;

/// By DICOM, to an archive.
pub struct ByAssociation {
    /// Our AE title.
    pub calling: String,
    /// Its AE title.
    pub called: String,
    /// Where it listens.
    pub destination: Destination,
    /// The way out.
    pub scp: Arc<Scp>,
}

impl Way for ByAssociation {
    type Parcel = Outgoing;
    type Line = Sender;

    fn parcel(
        &self,
        objects: &Objects,
        store: &Store,
        delivery: &Delivery,
    ) -> Result<Outgoing, ObjectError> {
        objects.of(store, delivery.inference_id, delivery.kind)
    }

    async fn open(&self) -> Result<Sender, String> {
        let titles = (self.calling.as_str(), self.called.as_str());
        let opened = self.scp.sender(&self.destination, titles, &CONTEXTS).await;
        opened.map_err(|error| chain(&error))
    }

    async fn send(&self, mut line: Sender, object: Outgoing) -> Answer<Sender> {
        let object = block_in_place(|| fitting(object, &line));
        match line.store(&object).await {
            Ok(()) => Answer::Taken(Some(line)),
            Err(error) => {
                let line = (!matches!(error, SendError::Broken(_))).then_some(line);
                Answer::Refused(line, chain(&error))
            }
        }
    }

    async fn close(&self, line: Sender) {
        line.release().await;
    }
}
