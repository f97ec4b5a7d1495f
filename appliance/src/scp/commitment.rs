//! Storage Commitment Push Model (PS3.4 J.3), as SCP: the scanner asks whether its images are safe
//! here, and deletes them when they are. As SCU we ask an archive about our results
//! ([`action`]), and take its report on an association of its own ([`heed`]).
//!
//! The request is on the disk before it is answered, so that a power cut only delays the report.
//! The report says what the index holds when it is sent. It goes out on the requester's own
//! association if that stays open, else on one of ours to the address configured for its AE title.

use std::collections::BTreeMap;
use std::time::Duration;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_ul::pdu::{RequestorRoles, UserVariableItem};
use models::dicom::parse::DataSet;
use tokio::task::block_in_place;

use super::Shared;
use super::data_set::{self, push, push_item};
use super::dimse::{self, Command, Value, WITH_DATA_SET, element, field};
use super::negotiation::Context;
use super::pdu::{Ended, p_data};
use super::requestor::{OpenError, Proposal, Requestor};
use super::status::{self, Refusal};
use crate::fault::chain;
use crate::store::commitments::{Commitment, Held};
use crate::store::events::Level;
use crate::store::{Store, StoreError};

/// Request Storage Commitment (PS3.4 J.3.2.1.1).
const ACTION_REQUEST: u16 = 1;
/// Storage Commitment Request Successful (PS3.4 J.3.3.1).
const EVENT_SUCCESSFUL: u16 = 1;
/// Storage Commitment Request Complete - Failures Exist.
const EVENT_FAILURES: u16 = 2;
/// A new request waits so long for the requester's own association before ours is opened.
const FIRST: Duration = Duration::from_secs(30);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// A report is given up after this.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);

/// A request for commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    transaction_uid: String,
    /// SOP class and SOP instance UIDs.
    instances: Vec<(String, String)>,
}

/// Why an N-ACTION is refused before its data set is looked at.
pub(super) fn refuse(command: &Command, context: &Context) -> Option<Refusal> {
    let class = uids::STORAGE_COMMITMENT_PUSH_MODEL;
    let (status, comment) = if context.abstract_syntax != class || command.sop_class != class {
        (status::CLASS_NOT_SUPPORTED, "N-ACTION is for storage commitment only")
    } else if command.sop_instance != uids::STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE {
        (status::NO_SUCH_INSTANCE, "not the storage commitment instance")
    } else if command.action_type != ACTION_REQUEST {
        (status::NO_SUCH_ACTION, "the only action is 1, Request Storage Commitment")
    } else if !command.has_data {
        (status::INVALID_ARGUMENT, "no data set")
    } else {
        return None;
    };
    Some(Refusal::new(status, comment))
}

/// Reads the data set of a request.
pub(super) fn parse(data_set: &[u8], transfer_syntax: &str) -> Result<Request, Refusal> {
    data_set::read(data_set, transfer_syntax, request)
        .unwrap_or_else(|_| Err(invalid("the data set cannot be read")))
}

fn invalid(comment: &str) -> Refusal {
    Refusal::new(status::INVALID_ARGUMENT, comment)
}

fn request(data: &DataSet) -> Result<Request, Refusal> {
    let uid = |text: Option<String>| text.filter(|uid| uid.len() <= 64);
    let transaction_uid =
        uid(data.text(tags::TRANSACTION_UID)).ok_or_else(|| invalid("no Transaction UID"))?;
    let mut instances = Vec::new();
    for item in data.items(tags::REFERENCED_SOP_SEQUENCE) {
        let class = uid(item.text(tags::REFERENCED_SOP_CLASS_UID));
        let instance = uid(item.text(tags::REFERENCED_SOP_INSTANCE_UID));
        let (Some(class), Some(instance)) = (class, instance) else {
            return Err(invalid("a reference lacks its SOP class or instance UID"));
        };
        instances.push((class, instance));
    }
    if instances.is_empty() {
        return Err(invalid("no Referenced SOP Sequence"));
    }
    Ok(Request { transaction_uid, instances })
}

/// An N-ACTION-RQ with its data set, as SCU: is this safe there?
pub(super) fn action(
    message_id: u16,
    transaction_uid: &str,
    instances: &[(String, String)],
    explicit: bool,
) -> (Vec<u8>, Vec<u8>) {
    let mut items = Vec::new();
    for (class, instance) in instances {
        let mut item = Vec::new();
        let (class, instance) = (class.as_bytes(), instance.as_bytes());
        push(&mut item, explicit, tags::REFERENCED_SOP_CLASS_UID, VR::UI, class);
        push(&mut item, explicit, tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, instance);
        push_item(&mut items, &item);
    }
    let mut data_set = Vec::new();
    push(&mut data_set, explicit, tags::TRANSACTION_UID, VR::UI, transaction_uid.as_bytes());
    push(&mut data_set, explicit, tags::REFERENCED_SOP_SEQUENCE, VR::SQ, &items);
    let command = dimse::encode(&[
        (element::REQUESTED_CLASS, Value::Uid(uids::STORAGE_COMMITMENT_PUSH_MODEL)),
        (element::FIELD, Value::Number(field::N_ACTION_RQ)),
        (element::MESSAGE_ID, Value::Number(message_id)),
        (element::DATA_SET_TYPE, Value::Number(WITH_DATA_SET)),
        (element::REQUESTED_INSTANCE, Value::Uid(uids::STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE)),
        (element::ACTION_TYPE, Value::Number(ACTION_REQUEST)),
    ]);
    (command, data_set)
}

/// Why an N-EVENT-REPORT is refused before its data set is looked at.
pub(super) fn refuse_report(command: &Command, context: &Context) -> Option<Refusal> {
    let class = uids::STORAGE_COMMITMENT_PUSH_MODEL;
    if context.abstract_syntax != class || command.sop_class != class {
        let comment = "N-EVENT-REPORT is for storage commitment only";
        return Some(Refusal::new(status::CLASS_NOT_SUPPORTED, comment));
    }
    (!command.has_data).then(|| invalid("no data set"))
}

/// What the archive `who` reports on what we asked it. It has what it says that it has: what it does
/// not mention is asked about again.
pub(super) fn heed(
    store: &Store,
    who: &str,
    data_set: &[u8],
    transfer_syntax: &str,
) -> Result<(), Refusal> {
    let read = data_set::read(data_set, transfer_syntax, |data| {
        let instances = |sequence| -> Option<Vec<String>> {
            let items = data.items(sequence).iter();
            items.map(|item| item.text(tags::REFERENCED_SOP_INSTANCE_UID)).collect()
        };
        let kept = instances(tags::REFERENCED_SOP_SEQUENCE);
        (data.text(tags::TRANSACTION_UID), kept.zip(instances(tags::FAILED_SOP_SEQUENCE)))
    });
    let (transaction, instances) = read.map_err(|_| invalid("the data set cannot be read"))?;
    let transaction = transaction.ok_or_else(|| invalid("no Transaction UID"))?;
    let (kept, failed) =
        instances.ok_or_else(|| invalid("a reference lacks its SOP instance UID"))?;
    let known = store.delivery_committed(who, &transaction, &kept, &failed);
    match known {
        Ok(true) => Ok(()),
        Ok(false) => Err(invalid("no such transaction")),
        Err(error) => Err(Refusal {
            detail: chain(&error),
            ..Refusal::new(status::PROCESSING_FAILURE, "the report cannot be kept")
        }),
    }
}

/// Keeps a request of `who`: its AE title and address, and the title of ours that it called.
pub(super) fn accept(
    store: &Store,
    request: &Request,
    who: (&str, &str, &str),
) -> Result<i64, Refusal> {
    store.request_commitment(&request.transaction_uid, who, &request.instances, FIRST).map_err(
        |error| Refusal {
            detail: chain(&error),
            ..Refusal::new(status::PROCESSING_FAILURE, "the request cannot be kept")
        },
    )
}

/// A report as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    event: u16,
    data_set: Vec<u8>,
}

impl Report {
    /// What the index says now about a pending request; none when it was reported on.
    pub(super) fn of(
        store: &Store,
        id: i64,
        transfer_syntax: &str,
    ) -> Result<Option<Self>, StoreError> {
        let Some(asked) = store.pending_commitment(id)? else { return Ok(None) };
        let held = store.held(&asked.instances)?;
        let explicit = data_set::is_explicit(transfer_syntax);
        let (mut kept, mut failed) = (Vec::new(), Vec::new());
        for ((class, instance), held) in asked.instances.iter().zip(held) {
            let mut item = Vec::new();
            let (class, instance) = (class.as_bytes(), instance.as_bytes());
            push(&mut item, explicit, tags::REFERENCED_SOP_CLASS_UID, VR::UI, class);
            push(&mut item, explicit, tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, instance);
            let reason = match held {
                Held::Yes => {
                    push_item(&mut kept, &item);
                    continue;
                }
                Held::No => status::NO_SUCH_INSTANCE,
                Held::OtherClass => status::CLASS_CONFLICT,
            };
            push(&mut item, explicit, tags::FAILURE_REASON, VR::US, &reason.to_le_bytes());
            push_item(&mut failed, &item);
        }
        let mut data_set = Vec::new();
        let transaction = asked.transaction_uid.as_bytes();
        push(&mut data_set, explicit, tags::TRANSACTION_UID, VR::UI, transaction);
        if !failed.is_empty() {
            push(&mut data_set, explicit, tags::FAILED_SOP_SEQUENCE, VR::SQ, &failed);
        }
        if !kept.is_empty() {
            push(&mut data_set, explicit, tags::REFERENCED_SOP_SEQUENCE, VR::SQ, &kept);
        }
        let event = if failed.is_empty() { EVENT_SUCCESSFUL } else { EVENT_FAILURES };
        Ok(Some(Self { event, data_set }))
    }

    /// The N-EVENT-REPORT-RQ as P-DATA. Its message id is always 1: no two are ever under way.
    pub(super) fn message(&self, context: u8, max_pdu: usize) -> Vec<u8> {
        let command = dimse::encode(&[
            (element::AFFECTED_CLASS, Value::Uid(uids::STORAGE_COMMITMENT_PUSH_MODEL)),
            (element::FIELD, Value::Number(field::N_EVENT_REPORT_RQ)),
            (element::MESSAGE_ID, Value::Number(1)),
            (element::DATA_SET_TYPE, Value::Number(WITH_DATA_SET)),
            (element::AFFECTED_INSTANCE, Value::Uid(uids::STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE)),
            (element::EVENT_TYPE, Value::Number(self.event)),
        ]);
        let mut message = Vec::with_capacity(self.data_set.len() + 512);
        p_data(&mut message, context, true, &command, max_pdu);
        p_data(&mut message, context, false, &self.data_set, max_pdu);
        message
    }
}

/// Why a report was not delivered.
#[derive(Debug, thiserror::Error)]
enum Undelivered {
    #[error(
        "no address is known for AE title {0:?}; add it to the destinations in the settings, with \
         its host and port"
    )]
    Unknown(String),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the peer does not offer storage commitment as SCU")]
    NotOffered,
    #[error("the association failed")]
    Failed(#[source] Ended),
    #[error("it answered with status {0:04X}H")]
    Status(u16),
    #[error("the report cannot be put together")]
    Store(#[source] StoreError),
}

/// The requester answered a report with `status`.
pub(super) fn answered(store: &Store, id: i64, status: u16) -> Result<(), StoreError> {
    // Warnings (PS3.7 C.1.3): it has the report.
    let taken = matches!(status, status::SUCCESS | 0x0001 | 0x0107 | 0x0116 | 0xB000..=0xBFFF);
    if taken {
        return store.commitment_sent(id);
    }
    match store.pending_commitment(id)? {
        Some(asked) => failed(store, &asked, &Undelivered::Status(status)),
        None => Ok(()),
    }
}

/// Notes a failure and when to try again: after 30 s, twice that, up to an hour, for a day.
fn failed(store: &Store, asked: &Commitment, error: &Undelivered) -> Result<(), StoreError> {
    let age = store.clock().now().saturating_sub(asked.at);
    let given_up = u128::try_from(age).is_ok_and(|age| age >= GIVE_UP.as_millis());
    let pause = FIRST.saturating_mul(1 << asked.attempts.min(10)).min(LONGEST_PAUSE);
    store.commitment_failed(asked.id, &chain(error), (!given_up).then_some(pause))?;
    let requester = &asked.requester;
    if given_up {
        let text = format!(
            "the storage commitment that {requester:?} asked for was not delivered in 24 h and is \
             given up: {}",
            chain(error)
        );
        store.note(Level::Error, "receive", &text)?;
    } else if asked.attempts == 0 {
        let text = format!(
            "the storage commitment that {requester:?} asked for cannot be delivered yet: {}",
            chain(error)
        );
        store.note(Level::Warning, "receive", &text)?;
    }
    Ok(())
}

/// Sends the reports that are due, one after the other.
pub(super) async fn deliver_due(shared: &Shared) -> Result<(), StoreError> {
    let store = &shared.store;
    // A requester that does not answer costs its deadline once, not once for each report.
    let mut silent: BTreeMap<String, Undelivered> = BTreeMap::new();
    for id in block_in_place(|| store.commitments_due())? {
        let Some(asked) = block_in_place(|| store.pending_commitment(id))? else { continue };
        if let Some(error) = silent.get(&asked.requester) {
            block_in_place(|| failed(store, &asked, error))?;
            continue;
        }
        match deliver(shared, &asked).await {
            Ok(status) => block_in_place(|| answered(store, id, status))?,
            Err(error) => {
                block_in_place(|| failed(store, &asked, &error))?;
                silent.insert(asked.requester, error);
            }
        }
    }
    Ok(())
}

/// Sends one report on an association of ours: the status that the requester answered.
async fn deliver(shared: &Shared, asked: &Commitment) -> Result<u16, Undelivered> {
    let destination = shared
        .config
        .destinations
        .get(&asked.requester)
        .ok_or_else(|| Undelivered::Unknown(asked.requester.clone()))?;
    let class = uids::STORAGE_COMMITMENT_PUSH_MODEL;
    // The peer is SCU although we ask (PS3.4 J.3.3: roles are negotiated).
    let role = RequestorRoles { scu: false, scp: true };
    let proposal = Proposal {
        calling: &asked.called,
        called: &asked.requester,
        contexts: &[(class, &[uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN])],
        roles: vec![UserVariableItem::ScuScpRoleSelectionSubItem(class.to_owned(), role)],
    };
    let mut association = Requestor::open(shared, destination, proposal).await?;
    let Some(Some(context)) = association.contexts.first().cloned() else {
        association.release().await;
        return Err(Undelivered::NotOffered);
    };
    let report = block_in_place(|| Report::of(&shared.store, asked.id, &context.transfer_syntax))
        .map_err(Undelivered::Store)?;
    // None: the requester's own association was faster.
    let Some(report) = report else { return Ok(status::SUCCESS) };
    let message = report.message(context.id, association.max_pdu);
    let idle = shared.config.limits.idle;
    let answer = association.exchange(&message, field::N_EVENT_REPORT_RSP, idle).await;
    let status = answer.map_err(Undelivered::Failed)?.status;
    association.release().await;
    Ok(status)
}
