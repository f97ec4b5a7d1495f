//! The wire while one operation with several answers is under way: answers go out, and a C-CANCEL
//! may come in, or answers to C-STOREs of ours (PS3.7 9.3.2.3, 9.3.3.3, 9.3.4.3).

use std::time::Duration;

use super::dimse::{self, Command, NO_DATA_SET, Value, WITH_DATA_SET, element, field};
use super::pdu::{self, AbortReason, Ended, Wire, p_data, split_pdv};
use super::retrieve::stream;
use crate::archive::StoredDataSet;

/// Longest command that is read meanwhile.
const MAX_COMMAND: usize = 4 << 10;

/// An operation of the peer's, and the wire to answer it on.
pub(super) struct Dialogue<'a> {
    wire: &'a mut Wire,
    /// Presentation context of the operation.
    context: u8,
    request: &'a Command,
    /// Longest P-DATA that the peer takes.
    max_pdu: usize,
    /// What was received of a command.
    partial: Vec<u8>,
    cancelled: bool,
}

impl<'a> Dialogue<'a> {
    pub(super) fn new(
        wire: &'a mut Wire,
        context: u8,
        request: &'a Command,
        max_pdu: usize,
    ) -> Self {
        Self { wire, context, request, max_pdu, partial: Vec::new(), cancelled: false }
    }

    /// Answers with a status, with `more` elements that come after it, and with a data set.
    pub(super) async fn answer(
        &mut self,
        status: u16,
        more: &[(u16, Value<'_>)],
        data_set: Option<&[u8]>,
    ) -> Result<(), Ended> {
        let kind = if data_set.is_some() { WITH_DATA_SET } else { NO_DATA_SET };
        let mut elements = vec![
            (element::AFFECTED_CLASS, Value::Uid(&self.request.sop_class)),
            (element::FIELD, Value::Number(self.request.field | field::RESPONSE)),
            (element::RESPONDED_TO, Value::Number(self.request.message_id)),
            (element::DATA_SET_TYPE, Value::Number(kind)),
            (element::STATUS, Value::Number(status)),
        ];
        elements.extend_from_slice(more);
        let mut message = Vec::with_capacity(512 + data_set.map_or(0, <[u8]>::len));
        p_data(&mut message, self.context, true, &dimse::encode(&elements), self.max_pdu);
        if let Some(data_set) = data_set {
            p_data(&mut message, self.context, false, data_set, self.max_pdu);
        }
        self.wire.send(&message).await
    }

    /// Whether the peer has cancelled the operation by now.
    pub(super) async fn is_cancelled(&mut self) -> Result<bool, Ended> {
        while !self.cancelled && self.wire.ready(Duration::ZERO).await? {
            // Nothing is asked of the peer now, so an answer of its answers nothing.
            drop(self.read(Duration::ZERO).await?);
        }
        Ok(self.cancelled)
    }

    /// Sends an instance on this association and waits for the response.
    pub(super) async fn store(
        &mut self,
        context: u8,
        command: &[u8],
        data_set: &mut StoredDataSet,
        idle: Duration,
    ) -> Result<Command, Ended> {
        stream(self.wire, (context, self.max_pdu), command, data_set).await?;
        loop {
            if let Some(answer) = self.read(idle).await? {
                return Ok(answer);
            }
        }
    }

    /// Reads a PDU, and the response to a C-STORE that ends in it.
    async fn read(&mut self, idle: Duration) -> Result<Option<Command>, Ended> {
        let (kind, payload) = self.wire.read(idle).await?;
        match kind {
            pdu::P_DATA => {}
            pdu::ABORT => return Err(Ended::Aborted),
            _ => {
                let what = format!("PDU of type {kind} while an operation is under way");
                return Err(Ended::protocol(AbortReason::UnexpectedPdu, what));
            }
        }
        let mut answer = None;
        let mut rest = payload.bytes();
        while !rest.is_empty() {
            let (pdv, after) = split_pdv(rest)?;
            rest = after;
            if !pdv.command || self.partial.len() + pdv.data.len() > MAX_COMMAND {
                let what = "a message while an operation is under way";
                return Err(Ended::protocol(AbortReason::UnexpectedParameter, what));
            }
            self.partial.extend_from_slice(pdv.data);
            if !pdv.last {
                continue;
            }
            let command = dimse::parse(&std::mem::take(&mut self.partial))
                .map_err(|e| Ended::protocol(AbortReason::InvalidParameter, e.to_string()))?;
            match command.field {
                field::C_CANCEL_RQ => {
                    self.cancelled |= command.message_id == self.request.message_id;
                }
                field::C_STORE_RSP => answer = Some(command),
                field::RESPONSE.. => {}
                other => {
                    let what = format!("operation {other:04X}H while another is under way");
                    return Err(Ended::protocol(AbortReason::UnexpectedParameter, what));
                }
            }
        }
        self.wire.recycle(payload);
        Ok(answer)
    }
}
