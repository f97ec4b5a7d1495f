//! Connections: accepted one by one, counted before anything is read, never fatal.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dicom_ul::pdu::{AssociationRQ, Pdu, read_pdu, write_pdu};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::access::Rejection;
use super::association::Association;
use super::negotiation::agree;
use super::pdu::{self, AbortReason, Duplex, Ended, MAX_ASSOCIATE, Socket, Wire};
use super::{Limits, ScpError, Shared, lock, tls};
use crate::fault::chain;
use crate::store::Store;
use crate::store::events::Level;

/// Connections that wait in the kernel.
const BACKLOG: u32 = 1024;
/// Pauses after an accept that failed: mostly for want of file descriptors.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Connections at a time that are told why they are rejected. Further ones are dropped, so that
/// sockets never use up the file descriptors, and a peer in good standing never waits for them.
const REJECTING: usize = 16;
/// Time for a rejected peer to say what it wants, which it must before it can be told no.
const REJECT_WITHIN: Duration = Duration::from_secs(2);
/// The same happening of the same peer is noted this often.
const NOTE_AGAIN: Duration = Duration::from_secs(60);
/// Happenings noted in that time.
const MAX_NOTES: usize = 64;

/// Listens on IPv6 and IPv4 at once, or on IPv4 alone where the kernel has no IPv6.
pub(super) fn bind(
    address: Option<IpAddr>,
    port: u16,
) -> Result<(TcpListener, SocketAddr), ScpError> {
    let listen = |address: IpAddr| {
        let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
        if address.is_ipv6() {
            rustix::net::sockopt::set_ipv6_v6only(&socket, false)?;
        }
        // A restart must not wait for the connections of the last run.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(address, port))?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        std::io::Result::Ok((listener, address))
    };
    let listening = match address {
        Some(address) => listen(address),
        None => {
            listen(Ipv6Addr::UNSPECIFIED.into()).or_else(|_| listen(Ipv4Addr::UNSPECIFIED.into()))
        }
    };
    listening.map_err(|source| ScpError::Listen { port, source })
}

/// Accepts until the receiver closes.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    let mut pause = BACK_OFF.0;
    loop {
        let accepted = tokio::select! {
            () = shared.closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = BACK_OFF.0;
                admit(&shared, stream, peer.ip().to_canonical(), tls.clone());
            }
            Err(error) => {
                let text = format!("a connection could not be accepted: {error}");
                shared.notes.say(&shared.store, ("", "accept"), Level::Error, &text);
                sleep(pause).await;
                pause = (pause * 2).min(BACK_OFF.1);
            }
        }
    }
}

fn admit(shared: &Arc<Shared>, stream: TcpStream, ip: IpAddr, tls: Option<TlsAcceptor>) {
    let ticket = if shared.config.access.admits(ip) {
        shared.admission.admit(ip).ok_or(Rejection::LimitExceeded)
    } else {
        Err(Rejection::Network)
    };
    let admitted = match ticket {
        Ok(ticket) => Ok(ticket),
        Err(rejection) => match Arc::clone(&shared.admission.rejecting).try_acquire_owned() {
            Ok(permit) => Err((rejection, permit)),
            Err(_) => {
                shared.count(|totals| totals.rejected += 1);
                let ip = ip.to_string();
                let text = format!("connections of {ip} are dropped: too many are open");
                shared.notes.say(&shared.store, (&ip, "dropped"), Level::Warning, &text);
                return;
            }
        },
    };
    let session = Session { shared: Arc::clone(shared), ip };
    // A panic ends this task alone.
    shared.tasks.spawn(async move { session.run(stream, tls, admitted).await });
}

/// Counts what is open.
pub(super) struct Admission {
    all: Arc<Semaphore>,
    rejecting: Arc<Semaphore>,
    per_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most: usize,
    most_per_address: usize,
}

/// The right to one association.
struct Ticket {
    _all: OwnedSemaphorePermit,
    per_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    ip: IpAddr,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.associations)),
            rejecting: Arc::new(Semaphore::new(REJECTING)),
            per_address: Arc::default(),
            most: limits.associations,
            most_per_address: limits.associations_per_address,
        }
    }

    pub(super) fn open(&self) -> usize {
        self.most - self.all.available_permits()
    }

    fn admit(&self, ip: IpAddr) -> Option<Ticket> {
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let mut open = lock(&self.per_address);
        let count = open.entry(ip).or_default();
        if *count >= self.most_per_address {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Ticket { _all: all, per_address: Arc::clone(&self.per_address), ip })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut open = lock(&self.per_address);
        if let Some(count) = open.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.ip);
            }
        }
    }
}

/// Events about peers, not more than one a minute for each peer and happening.
#[derive(Default)]
pub(super) struct Notes(Mutex<HashMap<(String, &'static str), Instant>>);

impl Notes {
    pub(super) fn say(
        &self,
        store: &Store,
        (who, what): (&str, &'static str),
        level: Level,
        text: &str,
    ) {
        let mut noted = lock(&self.0);
        noted.retain(|_, at| at.elapsed() < NOTE_AGAIN);
        let key = (who.to_owned(), what);
        if noted.len() >= MAX_NOTES || noted.contains_key(&key) {
            return;
        }
        noted.insert(key, Instant::now());
        drop(noted);
        // A database that takes no events fails in a place where it matters.
        block_in_place(|| store.note(level, "receive", text)).unwrap_or_default();
    }
}

/// One connection.
struct Session {
    shared: Arc<Shared>,
    ip: IpAddr,
}

impl Session {
    async fn run(
        self,
        stream: TcpStream,
        tls: Option<TlsAcceptor>,
        admitted: Result<Ticket, (Rejection, OwnedSemaphorePermit)>,
    ) {
        let within = match &admitted {
            Ok(_) => self.shared.config.limits.handshake,
            Err(_) => REJECT_WITHIN,
        };
        let opened = tokio::select! {
            opened = timeout(within, self.open(stream, tls)) => opened,
            () = self.shared.aborting.cancelled() => return,
        };
        let (wire, request, certified) = match opened {
            Ok(Ok(opened)) => opened,
            // Load balancers, port scans and our own watchdog connect and close; that is no news.
            Ok(Err(Ended::Closed)) => return,
            _ if admitted.is_err() => return self.shared.count(|totals| totals.rejected += 1),
            Ok(Err(error)) => return self.note_broken(None, &error),
            // PS3.8 9.2: when ARTIM expires the connection is closed without a word.
            Err(_) => return self.note_broken(None, &Ended::Idle(within)),
        };
        let refused = match &admitted {
            Err((rejection, _)) => Err(*rejection),
            Ok(_) if self.shared.closing.is_cancelled() => Err(Rejection::Stopping),
            Ok(_) if !certified => Err(Rejection::Certificate),
            Ok(_) => self.shared.config.access.check(&request),
        };
        match refused {
            Ok(()) => self.associate(wire, &request).await,
            Err(rejection) => self.reject(wire, rejection, &request).await,
        }
    }

    /// Reads the association request. True with it when the peer's certificate is allowed.
    async fn open(
        &self,
        stream: TcpStream,
        acceptor: Option<TlsAcceptor>,
    ) -> Result<(Wire, AssociationRQ, bool), Ended> {
        let socket = Socket::new(stream);
        let mut certified = true;
        let stream: Box<dyn Duplex> = match acceptor {
            None => Box::new(socket),
            Some(acceptor) => {
                let stream = acceptor.accept(socket).await.map_err(|error| match error.kind() {
                    ErrorKind::UnexpectedEof => Ended::Closed,
                    _ => Ended::Lost(error),
                })?;
                if let Some(tls) = &self.shared.config.tls {
                    certified = tls::is_allowed(tls, stream.get_ref().1.peer_certificates());
                }
                Box::new(stream)
            }
        };
        let limits = &self.shared.config.limits;
        let mut wire = Wire::new(stream, limits.pdu);
        let asked = read_request(&mut wire, limits.handshake).await;
        match asked {
            Ok(request) => Ok((wire, request, certified)),
            Err(error) => {
                if let Some(reason) = error.abort_reason() {
                    wire.close(&pdu::abort(reason)).await;
                }
                Err(error)
            }
        }
    }

    async fn reject(&self, wire: Wire, rejection: Rejection, request: &AssociationRQ) {
        self.shared.count(|totals| totals.rejected += 1);
        let text = format!(
            "an association of {:?} ({}) to {:?} was rejected: {rejection}",
            request.calling_ae_title, self.ip, request.called_ae_title
        );
        self.note("rejected", Level::Warning, &text);
        let mut answer = Vec::new();
        if write_pdu(&mut answer, &Pdu::AssociationRJ(rejection.pdu())).is_ok() {
            wire.close(&answer).await;
        }
    }

    async fn associate(&self, mut wire: Wire, request: &AssociationRQ) {
        let shared = &*self.shared;
        let queries = shared.config.may_query(&request.calling_ae_title);
        let agreement = agree(request, &shared.config.private_classes, queries);
        let mut answer = Vec::new();
        if write_pdu(&mut answer, &Pdu::AssociationAC(agreement.answer)).is_err() {
            // What does not fit into an answer did not come in a legal request.
            return wire.close(&pdu::abort(AbortReason::InvalidParameter)).await;
        }
        shared.count(|totals| totals.accepted += 1);
        let mut association = Association::new(
            shared,
            self.ip,
            (&request.calling_ae_title, &request.called_ae_title),
            (agreement.contexts, agreement.max_pdu),
        );
        let oldest = shared.config.limits.association;
        let ended = tokio::select! {
            ended = association.run(&mut wire, &answer) => ended,
            () = shared.aborting.cancelled() => Err(Ended::Stopping),
            () = sleep(oldest) => Err(Ended::Old(oldest)),
        };
        // From here on nothing of this association is written any more.
        association.end(ended.is_ok());
        match ended {
            Ok(()) => wire.close(&pdu::release(pdu::RELEASE_RP)).await,
            Err(error) => {
                self.note_broken(Some(&request.calling_ae_title), &error);
                if let Some(reason) = error.abort_reason() {
                    wire.close(&pdu::abort(reason)).await;
                }
            }
        }
    }

    fn note_broken(&self, calling: Option<&str>, error: &Ended) {
        let who = match (calling, error) {
            (Some(calling), _) => format!("an association of {calling:?} ({})", self.ip),
            (None, _) => format!("a connection of {}", self.ip),
        };
        self.shared.count(|totals| totals.broken += 1);
        self.note("broken", Level::Warning, &format!("{who} broke: {}", chain(error)));
    }

    fn note(&self, what: &'static str, level: Level, text: &str) {
        self.shared.notes.say(&self.shared.store, (&self.ip.to_string(), what), level, text);
    }
}

async fn read_request(wire: &mut Wire, within: Duration) -> Result<AssociationRQ, Ended> {
    let (kind, payload) = wire.read(within).await?;
    if kind != pdu::ASSOCIATE_RQ {
        let what = format!("PDU of type {kind} before an association");
        return Err(Ended::protocol(AbortReason::UnexpectedPdu, what));
    }
    match read_pdu(&payload.pdu(kind)[..], MAX_ASSOCIATE, true) {
        Ok(Some(Pdu::AssociationRQ(request))) => Ok(request),
        _ => {
            let what = "an association request that cannot be read";
            Err(Ended::protocol(AbortReason::InvalidParameter, what))
        }
    }
}
