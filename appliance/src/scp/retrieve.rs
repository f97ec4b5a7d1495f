//! C-GET and C-MOVE: instances go out as they are stored, one C-STORE each, on the requester's own
//! association or on one of ours to the move destination (PS3.4 C.4.2, C.4.3).
//!
//! Nothing is transcoded: where no presentation context has the transfer syntax of an instance,
//! its sub-operation fails.

use std::collections::{BTreeMap, BTreeSet};

use dicom_core::VR;
use dicom_dictionary_std::tags;
use tokio::task::block_in_place;

use super::data_set::{self, MAX_SHORT};
use super::dialogue::Dialogue;
use super::dimse::{self, Command, Value, WITH_DATA_SET, element, field};
use super::find::failed;
use super::identifier::Identifier;
use super::negotiation::Context;
use super::pdu::{Ended, Wire, p_data, p_data_part};
use super::requestor::{OpenError, Proposal, Requestor};
use super::send::MEDIUM;
use super::status::{self, Refusal};
use super::trail::Trail;
use super::{Destination, Shared};
use crate::archive::StoredDataSet;
use crate::fault::chain;
use crate::store::Store;
use crate::store::catalogue::{InstanceEntry, Window};
use crate::store::events::Level;

/// Most instances of one retrieval: the counts have 16 bits, and all entries are held at once.
const MAX_INSTANCES: usize = 20_000;
/// Bytes that are read and sent at once; as a PDU they must be taken within its deadline.
const PIECE: usize = 128 << 10;
/// Presentation contexts of an association (PS3.8 9.3.2.2: odd ids of one byte).
const MAX_CONTEXTS: usize = 128;

/// Who retrieves: its AE title, our title that it called, and its message.
#[derive(Clone, Copy)]
pub(super) struct Originator<'a> {
    pub(super) calling: &'a str,
    pub(super) called: &'a str,
    pub(super) message_id: u16,
}

/// Where instances go.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// To the requester, on the contexts of its association.
    Requester(&'a BTreeMap<u8, Context>),
    /// To another application entity.
    Destination(&'a str, &'a Destination),
}

/// An instance that is to go out.
struct Instance {
    study_id: i64,
    sop_uid: String,
    sop_class: String,
    transfer_syntax: String,
    path: String,
}

impl From<InstanceEntry> for Instance {
    fn from(entry: InstanceEntry) -> Self {
        Self {
            study_id: entry.series.study.id,
            sop_uid: entry.sop_uid,
            sop_class: entry.sop_class,
            transfer_syntax: entry.transfer_syntax,
            path: entry.path,
        }
    }
}

/// What became of a retrieval.
#[derive(Debug, Default)]
struct Retrieved {
    /// Instances sent, by row of their study.
    sent: BTreeMap<i64, u16>,
    remaining: u16,
    completed: u16,
    warnings: u16,
    failed: Vec<String>,
}

/// How a sub-operation ended.
enum Outcome {
    Stored,
    Warning,
    Failed,
}

impl Retrieved {
    fn count(&mut self, instance: &Instance, outcome: &Outcome) {
        self.remaining = self.remaining.saturating_sub(1);
        match outcome {
            Outcome::Stored => self.completed += 1,
            Outcome::Warning => self.warnings += 1,
            Outcome::Failed => return self.failed.push(instance.sop_uid.clone()),
        }
        *self.sent.entry(instance.study_id).or_default() += 1;
    }

    /// The counts of an answer; those of the last one say what remains only after a C-CANCEL.
    fn counts(&self, status: u16) -> Vec<(u16, Value<'static>)> {
        let failed = u16::try_from(self.failed.len()).unwrap_or(u16::MAX);
        let mut counts = Vec::new();
        if matches!(status, status::PENDING | status::CANCELLED) {
            counts.push((element::REMAINING, Value::Number(self.remaining)));
        }
        counts.push((element::COMPLETED, Value::Number(self.completed)));
        counts.push((element::FAILED, Value::Number(failed)));
        counts.push((element::WARNING, Value::Number(self.warnings)));
        counts
    }

    fn last_status(&self, cancelled: bool) -> u16 {
        match (self.failed.is_empty(), self.completed + self.warnings) {
            _ if cancelled => status::CANCELLED,
            (true, _) if self.warnings == 0 => status::SUCCESS,
            (false, 0) => status::ALL_FAILED,
            _ => status::SOME_FAILED,
        }
    }

    /// Failed SOP Instance UID List (0008,0058), as many as the length of an element allows.
    fn failed_list(&self, transfer_syntax: &str) -> Option<Vec<u8>> {
        if self.failed.is_empty() {
            return None;
        }
        let mut list = String::new();
        for uid in &self.failed {
            if list.len() + 1 + uid.len() > MAX_SHORT {
                break;
            }
            if !list.is_empty() {
                list.push('\\');
            }
            list.push_str(uid);
        }
        let explicit = data_set::is_explicit(transfer_syntax);
        let mut bytes = Vec::new();
        let tag = tags::FAILED_SOP_INSTANCE_UID_LIST;
        data_set::push(&mut bytes, explicit, tag, VR::UI, list.as_bytes());
        Some(bytes)
    }
}

/// Sends what is asked for and gives all answers, except to what is refused as a whole.
pub(super) async fn retrieve(
    shared: &Shared,
    dialogue: &mut Dialogue<'_>,
    (asked, transfer_syntax): (&Identifier, &str),
    (target, originator): (Target<'_>, Originator<'_>),
    trail: Trail<'_>,
) -> Result<Result<(), Refusal>, Ended> {
    let instances = match block_in_place(|| instances(&shared.store, asked)) {
        Ok(instances) => instances,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let destination = match target {
        Target::Requester(_) => originator.calling,
        Target::Destination(title, _) => title,
    };
    let mut studies = BTreeMap::<i64, u16>::new();
    for instance in &instances {
        *studies.entry(instance.study_id).or_default() += 1;
    }
    if let Err(refusal) = trail.begins(destination, &studies) {
        return Ok(Err(refusal));
    }
    let mut route = Route::open(shared, target, originator, &instances).await;
    let mut retrieved = Retrieved {
        remaining: u16::try_from(instances.len()).unwrap_or(u16::MAX),
        ..Retrieved::default()
    };
    let mut sending = Sending { shared, dialogue, originator };
    let sent = sending.all(&mut route, &instances, &mut retrieved).await;
    trail.sent(destination, &retrieved.sent);
    route.close().await;
    let status = retrieved.last_status(sent?);
    let failed = retrieved.failed_list(transfer_syntax);
    dialogue.answer(status, &retrieved.counts(status), failed.as_deref()).await.map(Ok)
}

/// What the sub-operations of a retrieval share.
struct Sending<'a, 'b> {
    shared: &'a Shared,
    dialogue: &'a mut Dialogue<'b>,
    originator: Originator<'a>,
}

impl Sending<'_, '_> {
    /// Sends one after the other; true when the requester cancelled.
    async fn all(
        &mut self,
        route: &mut Route<'_>,
        instances: &[Instance],
        retrieved: &mut Retrieved,
    ) -> Result<bool, Ended> {
        for instance in instances {
            if self.dialogue.is_cancelled().await? {
                return Ok(true);
            }
            let outcome = self.one(route, instance).await?;
            retrieved.count(instance, &outcome);
            if retrieved.remaining > 0 {
                let counts = retrieved.counts(status::PENDING);
                self.dialogue.answer(status::PENDING, &counts, None).await?;
            }
        }
        Ok(false)
    }

    /// Sends one instance. Only what happens to the requester's association is an error.
    async fn one(&mut self, route: &mut Route<'_>, instance: &Instance) -> Result<Outcome, Ended> {
        let Some(context) = route.context(instance) else { return Ok(Outcome::Failed) };
        let shared = self.shared;
        let mut data_set = match block_in_place(|| shared.archive.open_data_set(&instance.path)) {
            Ok(data_set) => data_set,
            Err(error) => {
                note(shared, self.originator.calling, &chain(&error));
                return Ok(Outcome::Failed);
            }
        };
        let idle = shared.config.limits.idle;
        let answer = match route {
            Route::Here(_) => {
                let command = request(instance, None);
                self.dialogue.store(context, &command, &mut data_set, idle).await?
            }
            Route::There(requestor) => {
                let command = request(instance, Some(self.originator));
                match requestor.store(context, &command, &mut data_set, idle).await {
                    Ok(answer) => answer,
                    Err(error) => {
                        note(shared, self.originator.calling, &chain(&error));
                        *route = Route::Closed;
                        return Ok(Outcome::Failed);
                    }
                }
            }
            Route::Closed => return Ok(Outcome::Failed),
        };
        Ok(outcome(&answer))
    }
}

fn instances(store: &Store, asked: &Identifier) -> Result<Vec<Instance>, Refusal> {
    let window = Window { offset: 0, limit: MAX_INSTANCES + 1 };
    let found = store.find_instances(&asked.keys, window).map_err(|error| failed(&error))?;
    if found.len() > MAX_INSTANCES {
        let comment = format!("more than {MAX_INSTANCES} images, retrieve in parts");
        return Err(Refusal::new(status::CANNOT_COUNT, comment));
    }
    Ok(found.into_iter().map(Instance::from).collect())
}

/// The way on which instances go.
enum Route<'a> {
    Here(&'a BTreeMap<u8, Context>),
    There(Box<Requestor>),
    /// There is no association with the move destination, or no longer.
    Closed,
}

impl<'a> Route<'a> {
    async fn open(
        shared: &Shared,
        target: Target<'a>,
        originator: Originator<'_>,
        instances: &[Instance],
    ) -> Self {
        let (title, destination) = match target {
            Target::Requester(contexts) => return Self::Here(contexts),
            Target::Destination(..) if instances.is_empty() => return Self::Closed,
            Target::Destination(title, destination) => (title, destination),
        };
        match connect(shared, (title, destination), originator, instances).await {
            Ok(requestor) => Self::There(Box::new(requestor)),
            Err(error) => {
                note(shared, title, &chain(&error));
                Self::Closed
            }
        }
    }

    /// The presentation context that fits an instance.
    fn context(&self, instance: &Instance) -> Option<u8> {
        match self {
            Self::Here(contexts) => contexts
                .iter()
                .find(|(_, context)| {
                    context.peer_stores
                        && context.abstract_syntax == instance.sop_class
                        && context.transfer_syntax == instance.transfer_syntax
                })
                .map(|(id, _)| *id),
            Self::There(requestor) => requestor
                .contexts
                .iter()
                .flatten()
                .find(|context| {
                    context.class == instance.sop_class
                        && context.transfer_syntax == instance.transfer_syntax
                })
                .map(|context| context.id),
            Self::Closed => None,
        }
    }

    async fn close(self) {
        if let Self::There(requestor) = self {
            requestor.release().await;
        }
    }
}

fn outcome(answer: &Command) -> Outcome {
    match answer.status {
        status::SUCCESS => Outcome::Stored,
        code if status::is_warning(code) => Outcome::Warning,
        _ => Outcome::Failed,
    }
}

/// The association with a move destination: a presentation context for each class and transfer
/// syntax among the instances.
async fn connect(
    shared: &Shared,
    (title, destination): (&str, &Destination),
    originator: Originator<'_>,
    instances: &[Instance],
) -> Result<Requestor, OpenError> {
    let pairs: BTreeSet<(&str, [&str; 1])> = instances
        .iter()
        .map(|instance| (instance.sop_class.as_str(), [instance.transfer_syntax.as_str()]))
        .collect();
    let contexts: Vec<(&str, &[&str])> =
        pairs.iter().map(|(class, syntax)| (*class, &syntax[..])).take(MAX_CONTEXTS).collect();
    let proposal = Proposal {
        calling: originator.called,
        called: title,
        contexts: &contexts,
        roles: Vec::new(),
    };
    Requestor::open(shared, destination, proposal).await
}

/// C-STORE-RQ. Each waits for its answer, so that all may have the same message id.
fn request(instance: &Instance, originator: Option<Originator<'_>>) -> Vec<u8> {
    let mut elements = vec![
        (element::AFFECTED_CLASS, Value::Uid(&instance.sop_class)),
        (element::FIELD, Value::Number(field::C_STORE_RQ)),
        (element::MESSAGE_ID, Value::Number(1)),
        (element::PRIORITY, Value::Number(MEDIUM)),
        (element::DATA_SET_TYPE, Value::Number(WITH_DATA_SET)),
        (element::AFFECTED_INSTANCE, Value::Uid(&instance.sop_uid)),
    ];
    if let Some(Originator { calling, message_id, .. }) = originator {
        elements.push((element::ORIGINATOR, Value::Text(calling)));
        elements.push((element::ORIGINATOR_MESSAGE, Value::Number(message_id)));
    }
    dimse::encode(&elements)
}

/// Sends a C-STORE-RQ and its data set, of which there is a piece in memory at a time.
pub(super) async fn stream(
    wire: &mut Wire,
    (context, max_pdu): (u8, usize),
    command: &[u8],
    data_set: &mut StoredDataSet,
) -> Result<(), Ended> {
    let mut message = Vec::with_capacity(PIECE + 1024);
    p_data(&mut message, context, true, command, max_pdu);
    let mut piece = vec![0; PIECE];
    loop {
        block_in_place(|| data_set.read(&mut piece)).map_err(Ended::Unreadable)?;
        let ends = data_set.is_done();
        p_data_part(&mut message, context, false, (&piece, ends), max_pdu);
        wire.send(&message).await?;
        if ends {
            return Ok(());
        }
        message.clear();
        piece.resize(PIECE, 0);
    }
}

fn note(shared: &Shared, who: &str, why: &str) {
    let text = format!("images that {who:?} should get cannot be sent: {why}");
    shared.notes.say(&shared.store, (who, "retrieve"), Level::Warning, &text);
}
