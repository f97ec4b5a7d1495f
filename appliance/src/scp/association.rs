//! One association: its PDUs taken apart into messages, and each message answered.
//!
//! What is sent out of turn ends the association with A-ABORT; what is only unwelcome gets a
//! status. There is one message at a time in each direction, because no asynchronous operations
//! are negotiated (PS3.7 D.3.3.3).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use tokio::task::block_in_place;

use super::commitment::{self, Report};
use super::dialogue::Dialogue;
use super::dimse::{self, Command, NO_DATA_SET, Value, element, field};
use super::find::find;
use super::identifier::{self, Identifier, MAX_IDENTIFIER, Model};
use super::negotiation::Context;
use super::pdu::{self, AbortReason, Ended, Pdv, Wire, p_data, split_pdv};
use super::retrieve::{Originator, Target, retrieve};
use super::status::{self, Refusal};
use super::storage::Reception;
use super::trail::Trail;
use super::{OpenAssociation, Shared};
use crate::store::events::Level;

/// Longest command set; ours and those of all peers known are below 1 KiB.
const MAX_COMMAND: usize = 64 << 10;
/// Longest data set of an N-ACTION: commitment of about 20,000 instances.
const MAX_ACTION: usize = 2 << 20;
/// A requester of storage commitment that keeps the association so long wants the report on it.
const REPORT_AFTER: Duration = Duration::from_secs(1);

/// An association that was accepted.
pub(super) struct Association<'a> {
    shared: &'a Shared,
    /// Its place among those open.
    number: u64,
    ip: IpAddr,
    calling: &'a str,
    called: &'a str,
    contexts: BTreeMap<u8, Context>,
    max_pdu: usize,
    message: Message,
    /// Bytes of the instance being received that are not written yet.
    buffer: Vec<u8>,
    /// Studies that images were received of.
    studies: BTreeSet<i64>,
    /// Reports of storage commitment to send, with the presentation context to use.
    reports: VecDeque<(u8, i64)>,
    /// A report was sent and is not answered yet.
    reporting: bool,
}

impl Drop for Association<'_> {
    fn drop(&mut self) {
        self.shared.count(|totals| drop(totals.associations.remove(&self.number)));
    }
}

/// What was received of a message.
enum Message {
    None,
    Command { context: u8, bytes: Vec<u8> },
    Data { context: u8, command: Command, body: Body },
}

/// What is done with a data set.
enum Body {
    Instance(Box<Reception>),
    Action(Vec<u8>),
    /// Of a query or retrieval.
    Identifier(Vec<u8>),
    /// Of an archive, on storage commitment.
    Report(Vec<u8>),
    /// Nobody wants it; what the answer will be.
    Ignored(Option<Refusal>),
}

impl<'a> Association<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        ip: IpAddr,
        (calling, called): (&'a str, &'a str),
        (contexts, max_pdu): (BTreeMap<u8, Context>, usize),
    ) -> Self {
        let since = shared.store.clock().now();
        let mut number = 0;
        shared.count(|totals| {
            number = totals.associations.last_key_value().map_or(0, |(last, _)| last + 1);
            let open = OpenAssociation { calling: calling.to_owned(), peer: ip, since, stored: 0 };
            totals.associations.insert(number, open);
        });
        Self {
            shared,
            number,
            ip,
            calling,
            called,
            contexts,
            max_pdu,
            message: Message::None,
            buffer: Vec::new(),
            studies: BTreeSet::new(),
            reports: VecDeque::new(),
            reporting: false,
        }
    }

    /// Sends the acceptance and serves until the peer asks for release.
    pub(super) async fn run(&mut self, wire: &mut Wire, acceptance: &[u8]) -> Result<(), Ended> {
        wire.send(acceptance).await?;
        let idle = self.shared.config.limits.idle;
        loop {
            let quiet = matches!(self.message, Message::None) && !self.reporting;
            if quiet && !self.reports.is_empty() && !wire.ready(REPORT_AFTER).await? {
                self.report(wire).await?;
            }
            let (kind, payload) = wire.read(idle).await?;
            match kind {
                pdu::P_DATA => {
                    let mut rest = payload.bytes();
                    // At least one value belongs into a PDU (PS3.8 9.3.5).
                    loop {
                        let (pdv, after) = split_pdv(rest)?;
                        self.fragment(wire, pdv).await?;
                        rest = after;
                        if rest.is_empty() {
                            break;
                        }
                    }
                }
                pdu::RELEASE_RQ if matches!(self.message, Message::None) => return Ok(()),
                pdu::ABORT => return Err(Ended::Aborted),
                pdu::ASSOCIATE_RQ..=pdu::RELEASE_RP => {
                    let what = format!("PDU of type {kind} in the middle of an association");
                    return Err(Ended::protocol(AbortReason::UnexpectedPdu, what));
                }
                _ => {
                    let what = format!("PDU of unknown type {kind}");
                    return Err(Ended::protocol(AbortReason::UnrecognizedPdu, what));
                }
            }
            wire.recycle(payload);
        }
    }

    /// Notes what the end means to others. An instance not finished is forgotten.
    pub(super) fn end(&mut self, released: bool) {
        self.message = Message::None;
        let studies: Vec<i64> = self.studies.iter().copied().collect();
        let store = &self.shared.store;
        block_in_place(|| {
            // Only a hint that the studies may be complete; without it the quiet period counts.
            if released && !studies.is_empty() {
                store.note_release(&studies).unwrap_or_default();
            }
            // Reports that could not be sent here are due on an association of ours.
            for (_, id) in &self.reports {
                store.commitment_due_now(*id).unwrap_or_default();
            }
        });
    }

    async fn fragment(&mut self, wire: &mut Wire, pdv: Pdv<'_>) -> Result<(), Ended> {
        if !self.contexts.contains_key(&pdv.context) {
            let what = format!("presentation context {} was not accepted", pdv.context);
            return Err(Ended::protocol(AbortReason::InvalidParameter, what));
        }
        if pdv.command { self.command(wire, pdv).await } else { self.data(wire, pdv).await }
    }

    async fn command(&mut self, wire: &mut Wire, pdv: Pdv<'_>) -> Result<(), Ended> {
        let mut bytes = match std::mem::replace(&mut self.message, Message::None) {
            Message::None => Vec::new(),
            Message::Command { context, bytes } if context == pdv.context => bytes,
            Message::Command { .. } => return Err(out_of_turn("a command changes its context")),
            Message::Data { .. } => return Err(out_of_turn("a command inside a data set")),
        };
        if bytes.len() + pdv.data.len() > MAX_COMMAND {
            return Err(Ended::protocol(AbortReason::InvalidParameter, "a command of over 64 KiB"));
        }
        bytes.extend_from_slice(pdv.data);
        if !pdv.last {
            self.message = Message::Command { context: pdv.context, bytes };
            return Ok(());
        }
        let command = dimse::parse(&bytes)
            .map_err(|e| Ended::protocol(AbortReason::InvalidParameter, e.to_string()))?;
        let body = self.body(pdv.context, &command);
        if command.has_data {
            self.message = Message::Data { context: pdv.context, command, body };
            return Ok(());
        }
        self.complete(wire, pdv.context, &command, body).await
    }

    async fn data(&mut self, wire: &mut Wire, pdv: Pdv<'_>) -> Result<(), Ended> {
        let Message::Data { context, body, .. } = &mut self.message else {
            return Err(out_of_turn("a data set without a command"));
        };
        if *context != pdv.context {
            return Err(out_of_turn("a data set on another context than its command"));
        }
        match body {
            Body::Instance(reception) => {
                reception.append(&self.shared.archive, &mut self.buffer, pdv.data)?;
            }
            Body::Action(bytes) | Body::Report(bytes)
                if bytes.len() + pdv.data.len() > MAX_ACTION =>
            {
                let comment = "more instances than can be committed at once";
                *body = Body::Ignored(Some(Refusal::new(status::RESOURCE_LIMITATION, comment)));
            }
            Body::Identifier(bytes) if bytes.len() + pdv.data.len() > MAX_IDENTIFIER => {
                let comment = "an identifier of over 1 MiB, ask in parts";
                *body = Body::Ignored(Some(Refusal::new(status::OUT_OF_RESOURCES, comment)));
            }
            Body::Action(bytes) | Body::Report(bytes) | Body::Identifier(bytes) => {
                bytes.extend_from_slice(pdv.data);
            }
            Body::Ignored(_) => {}
        }
        if !pdv.last {
            return Ok(());
        }
        match std::mem::replace(&mut self.message, Message::None) {
            Message::Data { context, command, body } => {
                self.complete(wire, context, &command, body).await
            }
            Message::None | Message::Command { .. } => Ok(()),
        }
    }

    /// What will be done with the data set of a command.
    fn body(&self, context: u8, command: &Command) -> Body {
        match (command.field, self.contexts.get(&context)) {
            (field::C_STORE_RQ, Some(context)) => {
                Body::Instance(Box::new(Reception::new(command, context, self.calling)))
            }
            (field::N_ACTION_RQ, Some(context)) => match commitment::refuse(command, context) {
                None => Body::Action(Vec::new()),
                refusal => Body::Ignored(refusal),
            },
            (field::N_EVENT_REPORT_RQ, Some(context)) => {
                match commitment::refuse_report(command, context) {
                    None => Body::Report(Vec::new()),
                    refusal => Body::Ignored(refusal),
                }
            }
            (operation, Some(context))
                if Model::of(&context.abstract_syntax)
                    .is_some_and(|model| model.operation == operation) =>
            {
                match identifier::refuse(command, context) {
                    None => Body::Identifier(Vec::new()),
                    refusal => Body::Ignored(refusal),
                }
            }
            (field::C_ECHO_RQ, _) => Body::Ignored(None),
            _ => Body::Ignored(Some(Refusal::new(
                status::UNRECOGNIZED_OPERATION,
                format!("operation {:04X}H is not offered", command.field),
            ))),
        }
    }

    /// A message is here as a whole.
    async fn complete(
        &mut self,
        wire: &mut Wire,
        context: u8,
        command: &Command,
        body: Body,
    ) -> Result<(), Ended> {
        match command.field {
            field::N_EVENT_REPORT_RSP => {
                self.reported(command);
                return Ok(());
            }
            // What could be cancelled has been answered, and nothing else was asked.
            field::C_CANCEL_RQ | field::RESPONSE.. => return Ok(()),
            _ => {}
        }
        let outcome = match body {
            Body::Instance(reception) => self.store(*reception),
            Body::Action(data_set) => self.commit(context, &data_set),
            Body::Identifier(bytes) => match self.query(wire, context, command, &bytes).await? {
                // All answers are given.
                Ok(()) => return Ok(()),
                refused => refused,
            },
            Body::Report(data_set) => self.heed(context, &data_set),
            Body::Ignored(None) => Ok(()),
            Body::Ignored(Some(refusal)) => Err(refusal),
        };
        if let Err(refusal) = &outcome {
            self.note_refusal(refusal);
        }
        let mut answer = Vec::new();
        p_data(&mut answer, context, true, &response(command, &outcome), self.max_pdu);
        wire.send(&answer).await
    }

    fn store(&mut self, reception: Reception) -> Result<(), Refusal> {
        let bytes = reception.bytes;
        let stored = reception.finish(&self.shared.archive, &mut self.buffer);
        self.shared.count_instance(self.calling, stored.is_ok().then_some(bytes));
        self.studies.extend(stored?.study_id);
        self.shared.count(|totals| {
            totals.associations.entry(self.number).and_modify(|open| open.stored += 1);
        });
        Ok(())
    }

    fn commit(&mut self, context: u8, data_set: &[u8]) -> Result<(), Refusal> {
        let syntax = self.contexts.get(&context).map(|c| c.transfer_syntax.as_str());
        let ip = self.ip.to_string();
        let id = block_in_place(|| {
            let request = commitment::parse(data_set, syntax.unwrap_or_default())?;
            commitment::accept(&self.shared.store, &request, (self.calling, &ip, self.called))
        })?;
        self.reports.push_back((context, id));
        Ok(())
    }

    /// Answers a query or retrieval, unless it is refused as a whole.
    async fn query(
        &mut self,
        wire: &mut Wire,
        context: u8,
        command: &Command,
        bytes: &[u8],
    ) -> Result<Result<(), Refusal>, Ended> {
        let Some(agreed) = self.contexts.get(&context) else { return Ok(Ok(())) };
        let asked = match block_in_place(|| Identifier::read(bytes, agreed)) {
            Ok(asked) => asked,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let syntax = agreed.transfer_syntax.as_str();
        let mut dialogue = Dialogue::new(wire, context, command, self.max_pdu);
        let trail = Trail { store: &self.shared.store, calling: self.calling, ip: self.ip };
        if command.field == field::C_FIND_RQ {
            if let Err(refusal) = trail.query(&asked) {
                return Ok(Err(refusal));
            }
            let to = (self.called, syntax);
            return find(&mut dialogue, &self.shared.store, &asked, to).await;
        }
        let target = match self.target(command) {
            Ok(target) => target,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (calling, called) = (self.calling, self.called);
        let originator = Originator { calling, called, message_id: command.message_id };
        let to = (target, originator);
        retrieve(self.shared, &mut dialogue, (&asked, syntax), to, trail).await
    }

    fn target(&self, command: &Command) -> Result<Target<'_>, Refusal> {
        if command.field == field::C_GET_RQ {
            return Ok(Target::Requester(&self.contexts));
        }
        let known = self.shared.config.destinations.get_key_value(&command.destination);
        known.map(|(title, destination)| Target::Destination(title, destination)).ok_or_else(|| {
            let comment = format!("no address is known for {:?}", command.destination);
            Refusal::new(status::DESTINATION_UNKNOWN, comment)
        })
    }

    /// An archive says what became of our results.
    fn heed(&self, context: u8, data_set: &[u8]) -> Result<(), Refusal> {
        let syntax = self.contexts.get(&context).map(|c| c.transfer_syntax.as_str());
        let store = &self.shared.store;
        block_in_place(|| {
            commitment::heed(store, self.calling, data_set, syntax.unwrap_or_default())
        })
    }

    /// Sends the first report of storage commitment.
    async fn report(&mut self, wire: &mut Wire) -> Result<(), Ended> {
        let Some(&(context, id)) = self.reports.front() else { return Ok(()) };
        let syntax = self.contexts.get(&context).map(|c| c.transfer_syntax.as_str());
        let store = &self.shared.store;
        let report = block_in_place(|| Report::of(store, id, syntax.unwrap_or_default()));
        let Ok(Some(report)) = report else {
            // Reported by another way, or not readable; the periodic task deals with the rest.
            self.reports.pop_front();
            return Ok(());
        };
        self.reporting = true;
        wire.send(&report.message(context, self.max_pdu)).await
    }

    /// The requester answered a report.
    fn reported(&mut self, answer: &Command) {
        if !std::mem::take(&mut self.reporting) {
            return;
        }
        let Some((_, id)) = self.reports.pop_front() else { return };
        let store = &self.shared.store;
        // When this cannot be written the report is sent once more, which does no harm.
        block_in_place(|| commitment::answered(store, id, answer.status)).unwrap_or_default();
    }

    fn note_refusal(&self, refusal: &Refusal) {
        let mut text = format!(
            "{:?} ({}) was refused with {:04X}H: {}",
            self.calling, self.ip, refusal.status, refusal.comment
        );
        if !refusal.detail.is_empty() {
            text = format!("{text}; {}", refusal.detail);
        }
        let key = format!("{} {:04X}", self.ip, refusal.status);
        self.shared.notes.say(&self.shared.store, (&key, "refused"), Level::Warning, &text);
    }
}

fn out_of_turn(what: &str) -> Ended {
    Ended::protocol(AbortReason::UnexpectedParameter, what)
}

/// The response to a command.
fn response(command: &Command, outcome: &Result<(), Refusal>) -> Vec<u8> {
    let mut elements = Vec::with_capacity(8);
    if !command.sop_class.is_empty() {
        elements.push((element::AFFECTED_CLASS, Value::Uid(&command.sop_class)));
    }
    let code = outcome.as_ref().err().map_or(status::SUCCESS, |refusal| refusal.status);
    elements.extend([
        (element::FIELD, Value::Number(command.field | field::RESPONSE)),
        (element::RESPONDED_TO, Value::Number(command.message_id)),
        (element::DATA_SET_TYPE, Value::Number(NO_DATA_SET)),
        (element::STATUS, Value::Number(code)),
    ]);
    if let Err(refusal) = outcome {
        elements.push((element::ERROR_COMMENT, Value::Text(&refusal.comment)));
    }
    if !command.sop_instance.is_empty() {
        elements.push((element::AFFECTED_INSTANCE, Value::Uid(&command.sop_instance)));
    }
    if command.field == field::N_ACTION_RQ {
        elements.push((element::ACTION_TYPE, Value::Number(command.action_type)));
    }
    dimse::encode(&elements)
}
