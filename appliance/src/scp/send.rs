//! C-STORE as SCU (PS3.4 B): objects of ours to an archive, on one association, and the question
//! whether they are safe there (PS3.4 J).

use dicom_dictionary_std::uids;

use super::commitment;
use super::dimse::{self, Value, WITH_DATA_SET, element, field};
use super::pdu::p_data;
use super::requestor::{Accepted, OpenError, Proposal, Requestor};
use super::{Destination, Scp, status};
use crate::fault::chain;

/// Priority (0000,0700): medium (PS3.7 9.3.1.1). No archive is known that looks at it.
pub(super) const MEDIUM: u16 = 0;

/// An object that is to go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// SOP Class UID.
    pub sop_class: String,
    /// SOP Instance UID.
    pub sop_instance: String,
    /// Transfer Syntax UID.
    pub transfer_syntax: String,
    /// In this transfer syntax.
    pub data_set: Vec<u8>,
}

/// Why one object was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The association broke, so that nothing is known: the object may have arrived.
    #[error("the association failed while the object was sent: {0}")]
    Broken(String),
    /// The peer stores no such objects, or not in this transfer syntax.
    #[error("it does not store objects of class {class} in transfer syntax {syntax}")]
    NotOffered {
        /// SOP Class UID.
        class: String,
        /// Transfer Syntax UID.
        syntax: String,
    },
    /// The peer refused it.
    #[error("it refused the object with status {status:04X}H")]
    Refused {
        /// Status (0000,0900).
        status: u16,
        /// Error Comment (0000,0902), empty when there is none. It may quote the patient.
        comment: String,
    },
}

/// An association for storing.
pub struct Sender {
    association: Requestor,
    message_id: u16,
    idle: std::time::Duration,
}

impl Scp {
    /// Opens an association from `calling` to `called` for objects of these classes, each with
    /// its transfer syntaxes.
    ///
    /// # Errors
    ///
    /// When there is none to be had.
    pub async fn sender(
        &self,
        destination: &Destination,
        (calling, called): (&str, &str),
        contexts: &[(&str, &[&str])],
    ) -> Result<Sender, OpenError> {
        let proposal = Proposal { calling, called, contexts, roles: Vec::new() };
        let association = Requestor::open(&self.shared, destination, proposal).await?;
        Ok(Sender { association, message_id: 0, idle: self.shared.config.limits.idle })
    }
}

impl Sender {
    /// Sends one object and waits until it is stored there. After [`SendError::Broken`] the
    /// association is over.
    ///
    /// # Errors
    ///
    /// When the peer did not store it, or nothing is known.
    pub async fn store(&mut self, object: &Outgoing) -> Result<(), SendError> {
        let (class, syntax) = (&object.sop_class, &object.transfer_syntax);
        let id = self.context(class, syntax).map(|context| context.id).ok_or_else(|| {
            SendError::NotOffered { class: class.clone(), syntax: syntax.clone() }
        })?;
        self.message_id = self.message_id.wrapping_add(1);
        let command = dimse::encode(&[
            (element::AFFECTED_CLASS, Value::Uid(&object.sop_class)),
            (element::FIELD, Value::Number(field::C_STORE_RQ)),
            (element::MESSAGE_ID, Value::Number(self.message_id)),
            (element::PRIORITY, Value::Number(MEDIUM)),
            (element::DATA_SET_TYPE, Value::Number(WITH_DATA_SET)),
            (element::AFFECTED_INSTANCE, Value::Uid(&object.sop_instance)),
        ]);
        let max_pdu = self.association.max_pdu;
        let mut message = Vec::with_capacity(object.data_set.len() + 512);
        p_data(&mut message, id, true, &command, max_pdu);
        p_data(&mut message, id, false, &object.data_set, max_pdu);
        let answer = self.association.exchange(&message, field::C_STORE_RSP, self.idle).await;
        let answer = answer.map_err(|ended| SendError::Broken(chain(&ended)))?;
        if answer.status == status::SUCCESS || status::is_warning(answer.status) {
            return Ok(());
        }
        Err(SendError::Refused { status: answer.status, comment: answer.comment })
    }

    /// Asks whether objects, each with its SOP class, are safe there. The report comes on an
    /// association of the peer's own, because this one ends. `false` when the peer commits to
    /// nothing.
    ///
    /// # Errors
    ///
    /// When the peer refused to answer, or nothing is known.
    pub async fn ask_commitment(
        &mut self,
        transaction_uid: &str,
        objects: &[(String, String)],
    ) -> Result<bool, SendError> {
        let commits = |context: &&Accepted| context.class == uids::STORAGE_COMMITMENT_PUSH_MODEL;
        let contexts = &self.association.contexts;
        let Some(context) = contexts.iter().flatten().find(commits).cloned() else {
            return Ok(false);
        };
        self.message_id = self.message_id.wrapping_add(1);
        let explicit = context.transfer_syntax != uids::IMPLICIT_VR_LITTLE_ENDIAN;
        let (command, data_set) =
            commitment::action(self.message_id, transaction_uid, objects, explicit);
        let (mut message, max_pdu) = (Vec::new(), self.association.max_pdu);
        p_data(&mut message, context.id, true, &command, max_pdu);
        p_data(&mut message, context.id, false, &data_set, max_pdu);
        let answer = self.association.exchange(&message, field::N_ACTION_RSP, self.idle).await;
        let answer = answer.map_err(|ended| SendError::Broken(chain(&ended)))?;
        if answer.status == status::SUCCESS {
            return Ok(true);
        }
        Err(SendError::Refused { status: answer.status, comment: answer.comment })
    }

    /// The peer stores objects of this class in this transfer syntax.
    #[must_use]
    pub fn takes(&self, class: &str, transfer_syntax: &str) -> bool {
        self.context(class, transfer_syntax).is_some()
    }

    fn context(&self, class: &str, transfer_syntax: &str) -> Option<&Accepted> {
        let fits = |context: &&Accepted| {
            context.class == class && context.transfer_syntax == transfer_syntax
        };
        self.association.contexts.iter().flatten().find(fits)
    }

    /// Ends the association in good order.
    pub async fn release(self) {
        self.association.release().await;
    }
}
