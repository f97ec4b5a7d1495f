//! The way to an archive: C-STORE over one association as long as there is something to send, then
//! the question whether it is safe there.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::block_in_place;
use uuid::Uuid;

use super::delivery::{Answer, Refusal, Way};
use super::{COMMITMENT, CONTEXTS, ObjectError, Objects, class_of, fitting, sop_instance};
use crate::fault::chain;
use crate::scp::{Destination, Outgoing, Scp, SendError, Sender};
use crate::store::deliveries::Delivery;
use crate::store::{Store, StoreError};

/// An archive that has not said in this time whether it keeps an object is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(3600);

/// By DICOM, to an archive.
pub struct ByAssociation {
    /// Our AE title.
    pub calling: String,
    /// Its AE title.
    pub called: String,
    /// Where it listens.
    pub destination: Destination,
    /// It is asked whether it keeps what it took.
    pub commitment: bool,
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
        let mut contexts = CONTEXTS.to_vec();
        contexts.extend(self.commitment.then_some(COMMITMENT));
        let opened = self.scp.sender(&self.destination, titles, &contexts).await;
        opened.map_err(|error| chain(&error))
    }

    async fn send(&self, mut line: Sender, object: Outgoing) -> Answer<Sender> {
        let object = block_in_place(|| fitting(object, &line));
        match line.store(&object).await {
            Ok(()) => Answer::Taken(Some(line)),
            Err(error) => {
                let line = (!matches!(error, SendError::Broken(_))).then_some(line);
                let why = chain(&error);
                let said = match error {
                    SendError::Refused { comment, .. } => comment,
                    SendError::Broken(_) | SendError::NotOffered { .. } => String::new(),
                };
                Answer::Refused(line, Refusal { why, said })
            }
        }
    }

    async fn close(&self, mut line: Sender, store: &Store) -> Result<(), StoreError> {
        if self.commitment {
            self.ask(&mut line, store).await?;
        }
        line.release().await;
        Ok(())
    }
}

impl ByAssociation {
    async fn ask(&self, line: &mut Sender, store: &Store) -> Result<(), StoreError> {
        let epoch = block_in_place(|| store.epoch())?;
        let asked = block_in_place(|| store.uncommitted(&self.called, ASK_AGAIN))?;
        if asked.is_empty() {
            return Ok(());
        }
        let object = |delivery: &Delivery| {
            let (class, _) = class_of(delivery.kind);
            (class.to_owned(), sop_instance(&epoch, delivery.kind, delivery.inference_id))
        };
        let objects: Vec<(String, String)> = asked.iter().map(object).collect();
        let transaction = format!("2.25.{}", Uuid::new_v4().as_u128());
        // The report may be here before the answer.
        let uids = objects.iter().map(|(_, uid)| uid.as_str());
        let rows: Vec<(i64, &str)> = asked.iter().map(|delivery| delivery.id).zip(uids).collect();
        block_in_place(|| store.commitment_asked(&transaction, &rows))?;
        match line.ask_commitment(&transaction, &objects).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(archive = self.called, "it does not offer storage commitment");
            }
            Err(error) => {
                tracing::warn!(
                    archive = self.called,
                    error = %chain(&error),
                    "it was not told what to commit to"
                );
            }
        }
        Ok(())
    }
}
