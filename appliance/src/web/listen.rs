//! Connections with limits, so that a peer that opens many or says nothing costs a little memory
//! and not the page; over TLS where the site has a certificate.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// Connections at a time: as many browsers as streams, each with the six that it opens.
const CONNECTIONS: usize = 384;
/// A connection that gives us nothing to answer for so long is closed: longer than a request may
/// take, and counted from the last answer, not from the last byte, so that a peer that sends one
/// byte now and then does not hold it.
const IDLE: Duration = Duration::from_secs(60);
/// Bytes received that begin the wait anew, as an answer does: the upload of a study takes longer.
const PROGRESS: usize = 64 << 10;
/// First byte of a handshake (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;
/// What a browser gets that speaks HTTP where TLS is expected.
const SPEAK_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
    Connection: close\r\n\r\nThis address is encrypted: open it with https:// in front.\n";

/// Accepts at most [`CONNECTIONS`]; the next ones wait in the system's queue.
pub(super) struct Listener {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    free: Arc<Semaphore>,
    idle: Duration,
}

impl Listener {
    pub(super) fn new(listener: TcpListener, tls: Option<TlsAcceptor>) -> Self {
        Self { listener, tls, free: Arc::new(Semaphore::new(CONNECTIONS)), idle: IDLE }
    }
}

/// Address of whoever connected, for handlers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed, so there is always a permit in the end.
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        // Axum's own accept: waits and tries again when the process is out of descriptors.
        let (stream, peer) = axum::serve::Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
        let deadline = Box::pin(sleep(self.idle));
        let idle = self.idle;
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            Some(tls) => Stream::New(stream, tls.clone()),
        };
        (Connection { stream, idle, deadline, received: 0, _permit: permit }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// What a connection speaks.
enum Stream {
    Plain(TcpStream),
    /// TLS, of which nothing was said yet.
    New(TcpStream, TlsAcceptor),
    Opening(Box<Accept<TcpStream>>),
    Encrypted(Box<TlsStream<TcpStream>>),
    /// It did not come to TLS.
    Failed,
}

impl Stream {
    /// Does what comes before requests. The peer may take its time: it has as much as for them.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::New(stream, _) = self {
            let mut first = [0];
            let peeked = ready!(stream.poll_peek(context, &mut ReadBuf::new(&mut first)))?;
            match std::mem::replace(self, Self::Failed) {
                Self::New(stream, tls) if peeked == 0 || first[0] == HANDSHAKE => {
                    *self = Self::Opening(Box::new(tls.accept(stream)));
                }
                Self::New(stream, _) => return Poll::Ready(Err(refuse_plain(&stream))),
                _ => {}
            }
        }
        if let Self::Opening(accept) = self {
            let opened = ready!(Pin::new(accept).poll(context));
            *self = Self::Failed;
            *self = Self::Encrypted(Box::new(opened?));
        }
        Poll::Ready(Ok(()))
    }

    fn open(&mut self) -> io::Result<Pin<&mut dyn Wire>> {
        match self {
            Self::Plain(stream) => Ok(Pin::new(stream)),
            Self::Encrypted(stream) => Ok(Pin::new(&mut **stream)),
            Self::New(..) | Self::Opening(_) | Self::Failed => {
                Err(io::ErrorKind::NotConnected.into())
            }
        }
    }
}

trait Wire: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire for T {}

/// Says in plain HTTP that this is no place for it. As much of the request as is there is read: what
/// is left unread would take the answer with it.
fn refuse_plain(stream: &TcpStream) -> io::Error {
    let mut request = [0; 4096];
    while stream.try_read(&mut request).is_ok_and(|read| read > 0) {}
    match stream.try_write(SPEAK_TLS) {
        Ok(_) => io::Error::other("HTTP without TLS"),
        Err(error) => error,
    }
}

/// A connection that ends when it is idle for too long.
pub(super) struct Connection {
    stream: Stream,
    idle: Duration,
    deadline: Pin<Box<Sleep>>,
    /// Bytes since the wait began anew.
    received: usize,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Works with the stream as soon as it is open.
    fn with_stream<T>(
        &mut self,
        context: &mut Context<'_>,
        work: impl FnOnce(Pin<&mut dyn Wire>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        ready!(self.stream.poll_open(context))?;
        work(self.stream.open()?, context)
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

    fn written(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if polled.is_ready() {
            self.wait_anew();
        }
        self.timed(context, polled)
    }

    fn wait_anew(&mut self) {
        let deadline = Instant::now() + self.idle;
        self.deadline.as_mut().reset(deadline);
        self.received = 0;
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.with_stream(context, |stream, context| stream.poll_read(context, buffer));
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
        let polled = self.with_stream(context, |stream, context| stream.poll_write(context, bytes));
        self.written(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.with_stream(context, |stream, context| stream.poll_flush(context));
        self.timed(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is to be said where TLS was never spoken.
        let polled = match self.stream.open() {
            Ok(stream) => stream.poll_shutdown(context),
            Err(_) => Poll::Ready(Ok(())),
        };
        self.timed(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled =
            self.with_stream(context, |stream, context| stream.poll_write_vectored(context, bytes));
        self.written(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio_util::io::ReaderStream;

    use super::*;
    use crate::tls::{Identity, acceptor, make};

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    /// One connection at a time.
    async fn server(idle_ms: u64, router: Router, tls: Option<TlsAcceptor>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Listener {
            free: Arc::new(Semaphore::new(1)),
            idle: Duration::from_millis(idle_ms),
            ..Listener::new(listener, tls)
        };
        tokio::spawn(axum::serve(listener, router).into_future());
        address
    }

    /// Of a certificate made for the purpose.
    fn encrypted() -> Option<TlsAcceptor> {
        let folder = tempfile::tempdir().unwrap();
        let made = make(&["127.0.0.1".to_owned()], folder.path(), 1_795_480_260_000).unwrap();
        let own = Identity { certificate: &made.certificate, key: &made.key };
        Some(acceptor(own, None).unwrap())
    }

    #[tokio::test]
    async fn peers_that_ask_nothing_do_not_keep_others_out() {
        let router = Router::new().route("/", get(|| async { "here" }));
        let address = server(200, router, None).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let (mut answer, mut trickling) =
            (String::new(), TcpStream::connect(address).await.unwrap());
        let mut next = TcpStream::connect(address).await.unwrap();
        next.write_all(REQUEST).await.unwrap();
        silent.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "");
        // A header that never ends, one byte at a time: whoever reads on as long as bytes come
        // never answers the next peer.
        let trickle = async {
            while trickling.write_all(b"G").await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = trickle => {}
            () = sleep(Duration::from_secs(5)) => {}
            read = next.read_to_string(&mut answer) => { read.unwrap(); }
        }
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.ends_with("here"), "{answer}");
    }

    #[tokio::test]
    async fn an_answer_that_goes_on_is_not_cut() {
        let slowly = || async {
            let (mut ours, theirs) = duplex(16);
            tokio::spawn(async move {
                for _ in 0..15 {
                    sleep(Duration::from_millis(100)).await;
                    ours.write_all(b".").await.unwrap();
                }
                ours.write_all(b"all").await.unwrap();
            });
            Body::from_stream(ReaderStream::new(theirs))
        };
        let address = server(1000, Router::new().route("/", get(slowly)), None).await;
        let (mut answer, mut peer) = (String::new(), TcpStream::connect(address).await.unwrap());
        peer.write_all(REQUEST).await.unwrap();
        peer.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("all"), "{answer}");
    }

    #[tokio::test]
    async fn a_handshake_that_never_ends_is_ended() {
        let address = server(200, Router::new(), encrypted()).await;
        // Nothing; and the beginning of a record that does not come.
        for begun in [&[][..], &[HANDSHAKE, 3, 1, 2, 0, 1][..]] {
            let (mut answer, mut peer) = (Vec::new(), TcpStream::connect(address).await.unwrap());
            peer.write_all(begun).await.unwrap();
            peer.read_to_end(&mut answer).await.unwrap();
            assert!(answer.is_empty(), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn plain_http_is_told_to_encrypt_and_gets_nothing_else() {
        let router = Router::new().route("/", get(|| async { "here" }));
        let address = server(1000, router, encrypted()).await;
        let (mut answer, mut peer) = (String::new(), TcpStream::connect(address).await.unwrap());
        peer.write_all(REQUEST).await.unwrap();
        peer.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.ends_with("open it with https:// in front.\n"), "{answer}");
    }
}
