//! The sites' door: TLS in which a box shows the certificate that the hub's authority gave it.
//! Without one it may only enrol. Connections have limits, so that a peer that opens many or says
//! nothing costs a little memory and keeps nobody out.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use exchange::row::hex;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Connections at a time; the next ones wait in the system's queue.
const CONNECTIONS: usize = 8192;
/// Connections that may wait to be served.
const WAITING: usize = 64;
/// Longest handshake: five round trips over two satellites, with what gets lost.
const HANDSHAKE: Duration = Duration::from_secs(60);
/// A connection that gives us nothing to answer for so long is closed. Boxes poll more often.
const IDLE: Duration = Duration::from_secs(120);
/// Bytes received that begin the wait anew, as an answer does. At 16 kbit/s they take a second, and
/// a peer that sends one byte now and then has to hurry.
const PROGRESS: usize = 2048;

/// Why the door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be used.
    #[error("{path} has no {what} that can be read (PEM)")]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate, key and authority do not fit, or are of a kind that is not supported.
    #[error("the certificate {path}, its key and the authority cannot be used")]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Who a box is, by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Common name: the site.
    pub site: String,
    /// Serial number, hexadecimal.
    pub serial: String,
}

/// Whoever connected, for handlers.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Certified by our authority; `None` when it showed none.
    pub certificate: Option<Certificate>,
}

/// TLS with the hub's certificate (a chain) and key; boxes are certified by `authority` (PEM).
///
/// # Errors
///
/// When a file is not what it should be.
pub fn acceptor(certificate: &Path, key: &Path, authority: &str) -> Result<TlsAcceptor, TlsError> {
    let pem = |what, path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Pem { what, path, source }
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(pem("certificate", certificate))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(pem("private key", key))?;
    let unusable = |source: Box<dyn std::error::Error + Send + Sync>| TlsError::Unusable {
        path: certificate.to_owned(),
        source,
    };
    let authority = CertificateDer::from_pem_slice(authority.as_bytes())
        .map_err(|error| unusable(error.into()))?;
    let mut roots = RootCertStore::empty();
    roots.add(authority).map_err(|error| unusable(error.into()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|error| unusable(error.into()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| unusable(error.into()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| unusable(error.into()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Connections whose handshake is done.
pub struct Listener {
    ready: mpsc::Receiver<(Connection, SocketAddr)>,
    address: SocketAddr,
}

impl Listener {
    /// Accepts from now on, many at a time.
    ///
    /// # Errors
    ///
    /// When the socket has no address.
    pub fn new(listener: TcpListener, acceptor: TlsAcceptor) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(WAITING);
        tokio::spawn(accept_all(listener, acceptor, sender));
        Ok(Self { ready, address })
    }
}

async fn accept_all(
    mut listener: TcpListener,
    acceptor: TlsAcceptor,
    sender: mpsc::Sender<(Connection, SocketAddr)>,
) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(permit) = Arc::clone(&free).acquire_owned().await {
        let (stream, peer) = tokio::select! {
            // Axum's own accept: waits and tries again when the process is out of descriptors.
            accepted = axum::serve::Listener::accept(&mut listener) => accepted,
            () = sender.closed() => return,
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        tokio::spawn(async move {
            match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                // Nobody takes it any more when the hub stops.
                Ok(Ok(stream)) => drop(sender.send((Connection::new(stream, permit), peer)).await),
                Ok(Err(error)) => tracing::info!(%peer, %error, "no TLS with a peer"),
                Err(_) => tracing::info!(%peer, "a peer took too long for TLS"),
            }
        });
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The accepting task ends with the program only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        let certificate = stream.io().certificate.clone();
        Self { address: *stream.remote_addr(), certificate }
    }
}

/// A connection that ends when it is idle for too long.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    certificate: Option<Certificate>,
    deadline: Pin<Box<Sleep>>,
    /// Bytes since the wait began anew.
    received: usize,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TlsStream<TcpStream>, permit: OwnedSemaphorePermit) -> Self {
        let chain = stream.get_ref().1.peer_certificates();
        let certificate = chain.and_then(<[_]>::first).and_then(read_certificate);
        let deadline = Box::pin(sleep(IDLE));
        Self { stream, certificate, deadline, received: 0, _permit: permit }
    }

    /// Passes an outcome on; one that is still awaited fails when the time is up.
    fn timed<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            return polled;
        }
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn wait_anew(&mut self) {
        self.deadline.as_mut().reset(Instant::now() + IDLE);
        self.received = 0;
    }
}

/// Site and serial number; `None` when it names no site, which our authority does not do.
fn read_certificate(der: &CertificateDer<'_>) -> Option<Certificate> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let site = certificate.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
    Some(Certificate { site, serial: hex(certificate.raw_serial()) })
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.received += buffer.filled().len() - before;
        if self.received >= PROGRESS {
            self.wait_anew();
        }
        self.timed(context, polled)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if polled.is_ready() {
            self.wait_anew();
        }
        self.timed(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.timed(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.timed(context, polled)
    }
}

#[cfg(test)]
mod tests;
