//! Associations that we open: to report on storage commitments, to send results, to ask for prior
//! studies, and to send images where a C-MOVE asks for it (PS3.8 7.1).

use std::io;
use std::time::Duration;

use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, Pdu, PresentationContextProposed,
    PresentationContextResultReason, UserVariableItem, read_pdu, write_pdu,
};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::access::APPLICATION_CONTEXT;
use super::dimse::{self, Command, field};
use super::negotiation::peer_max_pdu;
use super::pdu::{
    self, AbortReason, Duplex, Ended, MAX_ASSOCIATE, MAX_PDU, Pdv, Socket, Wire, split_pdv,
};
use super::retrieve::stream;
use super::{Destination, Shared, status};
use crate::archive::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, StoredDataSet};

/// Wait for the answer to a release; whatever was sent has arrived by then.
const RELEASE: Duration = Duration::from_secs(5);

/// Why there is no association.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody listens there, or a cable is out.
    #[error("cannot connect to {host}:{port}")]
    Connect {
        /// Host as configured.
        host: String,
        /// Port.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Encryption without anybody to trust.
    #[error("encryption is asked for, but no authorities are set")]
    NoTls,
    /// The peer was silent.
    #[error("no answer in time")]
    TimedOut,
    /// The peer does not want it.
    #[error("the association was rejected ({0})")]
    Rejected(String),
    /// The peer broke off.
    #[error("the association failed: {0}")]
    Failed(String),
}

/// What is proposed.
pub(super) struct Proposal<'a> {
    pub(super) calling: &'a str,
    pub(super) called: &'a str,
    /// A context each: SOP class and transfer syntaxes.
    pub(super) contexts: &'a [(&'a str, &'a [&'a str])],
    /// Roles other than SCU.
    pub(super) roles: Vec<UserVariableItem>,
}

/// An accepted presentation context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) id: u8,
    pub(super) class: String,
    pub(super) transfer_syntax: String,
}

/// An open association of ours.
pub(super) struct Requestor {
    wire: Wire,
    /// In the order of the proposal; `None` was refused.
    pub(super) contexts: Vec<Option<Accepted>>,
    /// Longest P-DATA that the peer takes.
    pub(super) max_pdu: usize,
}

impl Requestor {
    pub(super) async fn open(
        shared: &Shared,
        destination: &Destination,
        proposal: Proposal<'_>,
    ) -> Result<Self, OpenError> {
        let limits = &shared.config.limits;
        let opening = async {
            let stream = connect(shared, destination).await?;
            associate(Wire::new(stream, limits.pdu), proposal, limits.handshake).await
        };
        timeout(limits.handshake, opening).await.map_err(|_| OpenError::TimedOut)?
    }

    /// Sends a message and waits for the response with this command field.
    pub(super) async fn exchange(
        &mut self,
        message: &[u8],
        response: u16,
        idle: Duration,
    ) -> Result<Command, Ended> {
        self.wire.send(message).await?;
        self.response(response, idle).await
    }

    /// Sends an instance as [`stream`] does, and waits for the response.
    pub(super) async fn store(
        &mut self,
        context: u8,
        command: &[u8],
        data_set: &mut StoredDataSet,
        idle: Duration,
    ) -> Result<Command, Ended> {
        stream(&mut self.wire, (context, self.max_pdu), command, data_set).await?;
        self.response(field::C_STORE_RSP, idle).await
    }

    async fn response(&mut self, response: u16, idle: Duration) -> Result<Command, Ended> {
        let mut bytes = Vec::new();
        self.fragments(idle, |pdv| {
            if !pdv.command || bytes.len() > usize::from(u16::MAX) {
                return Ok(None);
            }
            bytes.extend_from_slice(pdv.data);
            if !pdv.last {
                return Ok(None);
            }
            let command = dimse::parse(&std::mem::take(&mut bytes));
            let command = command.map_err(|error| broken(error.to_string()))?;
            Ok((command.field == response).then_some(command))
        })
        .await
    }

    /// Sends a query and shows each identifier of its answers, of at most `longest` bytes, to
    /// `take`; the answer that is the last one.
    pub(super) async fn answers(
        &mut self,
        message: &[u8],
        (request, longest): (u16, usize),
        idle: Duration,
        mut take: impl FnMut(&[u8]) + Send,
    ) -> Result<Command, Ended> {
        self.wire.send(message).await?;
        let (mut command, mut identifier) = (Vec::new(), Vec::new());
        self.fragments(idle, |pdv| {
            let bytes = if pdv.command { &mut command } else { &mut identifier };
            bytes.extend_from_slice(pdv.data);
            if bytes.len() > longest {
                return Err(broken(format!("an answer of more than {longest} bytes")));
            }
            if !pdv.last {
                return Ok(None);
            }
            if !pdv.command {
                take(&std::mem::take(&mut identifier));
                return Ok(None);
            }
            let answer = dimse::parse(&std::mem::take(&mut command));
            let answer = answer.map_err(|error| broken(error.to_string()))?;
            if answer.field != request | field::RESPONSE {
                return Err(broken(format!("command {:04X}H to a query", answer.field)));
            }
            let more = matches!(answer.status, status::PENDING | status::PENDING_UNMATCHED);
            Ok((!more).then_some(answer))
        })
        .await
    }

    /// Shows each fragment that comes to `each`, until that has its answer.
    async fn fragments<T>(
        &mut self,
        idle: Duration,
        mut each: impl FnMut(Pdv<'_>) -> Result<Option<T>, Ended> + Send,
    ) -> Result<T, Ended> {
        loop {
            let (kind, payload) = self.wire.read(idle).await?;
            if kind != pdu::P_DATA {
                return Err(Ended::Aborted);
            }
            let mut rest = payload.bytes();
            while !rest.is_empty() {
                let (pdv, after) = split_pdv(rest)?;
                rest = after;
                if let Some(answer) = each(pdv)? {
                    return Ok(answer);
                }
            }
            self.wire.recycle(payload);
        }
    }

    /// Ends it in good order. The release is answered or not: what was sent has arrived.
    pub(super) async fn release(mut self) {
        if self.wire.send(&pdu::release(pdu::RELEASE_RQ)).await.is_ok() {
            drop(self.wire.read(RELEASE).await);
        }
    }
}

fn broken(what: String) -> Ended {
    Ended::protocol(AbortReason::InvalidParameter, what)
}

async fn connect(shared: &Shared, destination: &Destination) -> Result<Box<dyn Duplex>, OpenError> {
    let Destination { host, port, tls } = destination;
    let fails = |source| OpenError::Connect { host: host.clone(), port: *port, source };
    let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(fails)?;
    let socket = Socket::new(stream);
    if !tls {
        return Ok(Box::new(socket));
    }
    let connector = shared.connector.as_ref().ok_or(OpenError::NoTls)?;
    let name = ServerName::try_from(host.clone())
        .map_err(|error| fails(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    Ok(Box::new(connector.connect(name, socket).await.map_err(fails)?))
}

async fn associate(
    mut wire: Wire,
    proposal: Proposal<'_>,
    within: Duration,
) -> Result<Requestor, OpenError> {
    let rejected = |why: String| OpenError::Rejected(why);
    // Context ids are odd (PS3.8 9.3.2.2).
    let ids = (1_u8..=u8::MAX).step_by(2);
    let contexts = proposal.contexts.iter().zip(ids.clone()).map(|(&(class, syntaxes), id)| {
        let transfer_syntaxes = syntaxes.iter().map(|&syntax| syntax.to_owned()).collect();
        PresentationContextProposed { id, abstract_syntax: class.to_owned(), transfer_syntaxes }
    });
    let mut user_variables = vec![
        UserVariableItem::MaxLength(MAX_PDU),
        UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
    ];
    user_variables.extend(proposal.roles);
    user_variables
        .push(UserVariableItem::ImplementationVersionName(IMPLEMENTATION_VERSION_NAME.to_owned()));
    let request = Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: proposal.calling.to_owned(),
        called_ae_title: proposal.called.to_owned(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: contexts.collect(),
        user_variables,
    });
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &request).map_err(|error| rejected(error.to_string()))?;
    let failed = |ended: Ended| OpenError::Failed(crate::fault::chain(&ended));
    wire.send(&bytes).await.map_err(failed)?;
    let (kind, payload) = wire.read(within).await.map_err(failed)?;
    let answer = match read_pdu(&payload.pdu(kind)[..], MAX_ASSOCIATE, true) {
        Ok(Some(Pdu::AssociationAC(answer))) => answer,
        Ok(Some(Pdu::AssociationRJ(rejection))) => {
            return Err(rejected(rejection.source.to_string()));
        }
        _ => return Err(rejected(format!("PDU of type {kind}"))),
    };
    let AssociationAC { presentation_contexts, user_variables, .. } = answer;
    let accepted = |(id, &(class, _)): (u8, &(&str, _))| {
        let context = presentation_contexts
            .iter()
            .find(|c| c.id == id && c.reason == PresentationContextResultReason::Acceptance)?;
        let transfer_syntax = context.transfer_syntax.trim_matches(['\0', ' ']).to_owned();
        Some(Accepted { id, class: class.to_owned(), transfer_syntax })
    };
    let contexts = ids.zip(proposal.contexts).map(accepted).collect();
    Ok(Requestor { wire, contexts, max_pdu: peer_max_pdu(&user_variables) })
}
