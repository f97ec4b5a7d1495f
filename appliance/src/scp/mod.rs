//! Receives: C-ECHO, C-STORE and Storage Commitment Push Model as SCP (PS3.4 A, B, J); sends
//! results, C-STORE as SCU, over the same wire; hands out what the archive holds: C-FIND, C-GET and
//! C-MOVE as SCP (PS3.4 C); and asks an archive for prior studies, C-FIND as SCU.
//!
//! The way of an image: `listener` admits a connection, `negotiation` agrees on what it may
//! send, `association` takes its PDUs apart into messages, `storage` hands a data set's
//! fragments to the archive, and success is answered only when the archive says that the instance
//! survives a power cut.
//!
//! The way of a query: `identifier` says what is asked, `find` answers it, `retrieve` sends
//! instances; `dialogue` is the wire meanwhile. They serve only who is listed.
//!
//! The network is not trusted. Every length is capped before memory is taken, every wait has a
//! deadline, and connections are counted before anything is read from them.

mod access;
mod ask;
mod association;
mod commitment;
mod data_set;
mod dialogue;
mod dimse;
mod find;
mod identifier;
mod listener;
mod negotiation;
mod pdu;
mod requestor;
mod retrieve;
mod send;
mod status;
mod storage;
mod tls;
mod trail;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use access::Access;
pub use ask::AskError;
pub use requestor::OpenError;
pub use send::{Outgoing, SendError, Sender};
pub use tls::Tls;

use crate::archive::Archive;
use crate::store::{Store, StoreError};
use crate::tls::TlsError;
use listener::{Admission, Notes};

/// Time for aborted associations to end.
const ABORT_GRACE: Duration = Duration::from_secs(5);
/// AE titles whose counts are kept.
const MAX_SOURCES: usize = 256;

/// What the receiver needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on; `None` for all of IPv6 and IPv4.
    pub address: Option<IpAddr>,
    /// Port without encryption, 11112 by custom (PS3.8 9.1.1); `None` for none, 0 for any.
    pub port: Option<u16>,
    /// Port with encryption.
    pub tls: Option<Tls>,
    /// Who may associate.
    pub access: Access,
    /// Storage classes outside the standard that are accepted.
    pub private_classes: Vec<String>,
    /// AE titles that may query and retrieve; an empty list is nobody.
    pub query_retrieve: Vec<String>,
    /// Where results of storage commitment and images are sent, by AE title.
    pub destinations: BTreeMap<String, Destination>,
    /// Limits against slow, broken and hostile peers.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: None,
            port: Some(11112),
            tls: None,
            access: Access::default(),
            private_classes: Vec::new(),
            query_retrieve: Vec::new(),
            destinations: BTreeMap::new(),
            limits: Limits::default(),
        }
    }
}

impl Config {
    fn may_query(&self, calling: &str) -> bool {
        self.query_retrieve.iter().any(|title| title.trim() == calling)
    }
}

/// Where an application entity listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// With encryption; needs [`Config::tls`] with its authorities.
    pub tls: bool,
}

/// Limits against slow, broken and hostile peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the connection to the answer of the association request, TLS included (ARTIM).
    pub handshake: Duration,
    /// Longest silence between two PDUs.
    pub idle: Duration,
    /// A PDU of at most 128 KiB must be complete in this time, which sets a minimum rate.
    pub pdu: Duration,
    /// Longest association.
    pub association: Duration,
    /// Associations at a time.
    pub associations: usize,
    /// Associations at a time from one address.
    pub associations_per_address: usize,
    /// Time for open associations to end before the appliance stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            pdu: Duration::from_secs(30),
            association: Duration::from_secs(4 * 3600),
            associations: 32,
            associations_per_address: 8,
            drain: Duration::from_secs(30),
        }
    }
}

/// Why the receiver cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ScpError {
    /// A port cannot be had.
    #[error("cannot listen on port {port}; is another program, or another appliance, using it?")]
    Listen {
        /// The port.
        port: u16,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The TLS settings do not work.
    #[error("encryption cannot be set up")]
    Tls(#[source] TlsError),
    /// Storage commitments cannot be read.
    #[error("storage commitments cannot be read")]
    Store(#[source] StoreError),
}

/// Addresses that are listened on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Without encryption.
    pub plain: Option<SocketAddr>,
    /// With encryption.
    pub tls: Option<SocketAddr>,
}

/// Counts since the start, for the system page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Associations open now.
    pub open: usize,
    /// Associations accepted.
    pub accepted: u64,
    /// Associations rejected, connections dropped for their number included.
    pub rejected: u64,
    /// Associations that ended other than by release.
    pub broken: u64,
    /// Instances answered with success.
    pub stored: u64,
    /// Instances refused.
    pub refused: u64,
    /// Bytes of data sets answered with success.
    pub bytes: u64,
    /// By calling AE title.
    pub sources: BTreeMap<String, Source>,
    /// Accepted and not ended yet, oldest first.
    pub associations: BTreeMap<u64, OpenAssociation>,
}

/// An association that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAssociation {
    /// Calling AE title.
    pub calling: String,
    /// Address of the peer.
    pub peer: IpAddr,
    /// When it was accepted, box time in milliseconds.
    pub since: i64,
    /// Instances answered with success.
    pub stored: u64,
}

/// What came from one AE title since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Instances answered with success.
    pub stored: u64,
    /// Instances refused.
    pub refused: u64,
    /// The last C-STORE, box time in milliseconds.
    pub last_at: i64,
}

/// The receiver. Dropping it does not end its associations; [`Scp::drain`] does.
pub struct Scp {
    shared: Arc<Shared>,
    listeners: Mutex<Vec<(TcpListener, Option<TlsAcceptor>)>>,
    addresses: Addresses,
    delivering: tokio::sync::Mutex<()>,
}

/// What all associations share.
struct Shared {
    config: Config,
    archive: Arc<Archive>,
    store: Arc<Store>,
    connector: Option<TlsConnector>,
    admission: Admission,
    notes: Notes,
    totals: Mutex<Snapshot>,
    /// No new associations.
    closing: CancellationToken,
    /// No old ones either.
    aborting: CancellationToken,
    tasks: TaskTracker,
}

impl Shared {
    fn count(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut lock(&self.totals));
    }

    /// Counts an instance, answered with success when `bytes` are given.
    fn count_instance(&self, calling: &str, bytes: Option<u64>) {
        let now = self.store.clock().now();
        self.count(|totals| {
            let success = u64::from(bytes.is_some());
            totals.stored += success;
            totals.refused += 1 - success;
            totals.bytes += bytes.unwrap_or(0);
            if totals.sources.len() < MAX_SOURCES || totals.sources.contains_key(calling) {
                let source = totals.sources.entry(calling.to_owned()).or_default();
                source.stored += success;
                source.refused += 1 - success;
                source.last_at = now;
            }
        });
    }
}

impl Scp {
    /// Binds the ports. Connections wait until [`Scp::run`]. Must be called in a multi-threaded
    /// tokio runtime.
    ///
    /// # Errors
    ///
    /// When a port is taken, or a certificate or key cannot be used.
    pub fn bind(
        config: Config,
        archive: Arc<Archive>,
        store: Arc<Store>,
    ) -> Result<Self, ScpError> {
        let mut listeners = Vec::new();
        let mut addresses = Addresses::default();
        if let Some(port) = config.port {
            let (listener, address) = listener::bind(config.address, port)?;
            addresses.plain = Some(address);
            listeners.push((listener, None));
        }
        let mut connector = None;
        if let Some(tls) = &config.tls {
            let acceptor = tls::acceptor(tls).map_err(ScpError::Tls)?;
            connector = tls::connector(tls).map_err(ScpError::Tls)?;
            let (listener, address) = listener::bind(config.address, tls.port)?;
            addresses.tls = Some(address);
            listeners.push((listener, Some(acceptor)));
        }
        let admission = Admission::new(&config.limits);
        let shared = Arc::new(Shared {
            config,
            archive,
            store,
            connector,
            admission,
            notes: Notes::default(),
            totals: Mutex::default(),
            closing: CancellationToken::new(),
            aborting: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let delivering = tokio::sync::Mutex::default();
        Ok(Self { shared, listeners: Mutex::new(listeners), addresses, delivering })
    }

    /// The addresses bound.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Receives until `shutdown`, then drains; returns when the last association has ended.
    pub async fn run(&self, shutdown: CancellationToken) {
        let listeners = std::mem::take(&mut *lock(&self.listeners));
        for (listener, tls) in listeners {
            let shared = Arc::clone(&self.shared);
            self.shared.tasks.spawn(listener::accept(shared, listener, tls));
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.shared.closing.cancelled() => {}
        }
        self.drain(self.shared.config.limits.drain).await;
    }

    /// Stops accepting, lets open associations finish for `within`, and aborts the others.
    /// What was answered with success stays, whatever happens.
    pub async fn drain(&self, within: Duration) {
        // Listeners that were never run would keep their ports.
        drop(std::mem::take(&mut *lock(&self.listeners)));
        self.shared.closing.cancel();
        self.shared.tasks.close();
        if timeout(within, self.shared.tasks.wait()).await.is_err() {
            self.shared.aborting.cancel();
            // A disk that does not answer keeps its association; there is nothing left to wait for.
            timeout(ABORT_GRACE, self.shared.tasks.wait()).await.unwrap_or_default();
        }
    }

    /// Counts since the start.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { open: self.shared.admission.open(), ..lock(&self.shared.totals).clone() }
    }

    /// Sends the results of storage commitment that are due. Does nothing while another call is
    /// at it.
    ///
    /// # Errors
    ///
    /// When the database fails. Peers that cannot be reached are no error: they are tried again.
    pub async fn deliver_due(&self) -> Result<(), ScpError> {
        let Ok(_alone) = self.delivering.try_lock() else { return Ok(()) };
        commitment::deliver_due(&self.shared).await.map_err(ScpError::Store)
    }
}

/// A panic while a lock was held left counts, which are still counts.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
