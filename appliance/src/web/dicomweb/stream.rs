//! Answers that are made while they are sent, so that none is in memory as a whole.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;

use crate::fault::chain;

/// Bytes handed over at a time.
pub(super) const CHUNK: usize = 128 << 10;
/// Chunks made before the client has taken the first.
const AHEAD: usize = 4;

/// Where an answer is written to. It waits for a slow client.
pub(super) struct Output(mpsc::Sender<io::Result<Bytes>>);

impl Output {
    /// Sends bytes.
    ///
    /// # Errors
    ///
    /// When the client is gone.
    pub(super) fn send(&self, bytes: impl Into<Bytes>) -> io::Result<()> {
        let bytes = bytes.into();
        // Nothing is what ends a stream.
        if bytes.is_empty() { Ok(()) } else { self.pass(Ok(bytes)) }
    }

    fn pass(&self, chunk: io::Result<Bytes>) -> io::Result<()> {
        self.0.blocking_send(chunk).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A body that `work` writes, in a thread of its own. When it fails, the connection breaks off: it
/// is too late for a status, and half an answer must not look like a whole one.
pub(super) fn body(work: impl FnOnce(&Output) -> io::Result<()> + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(AHEAD);
    drop(tokio::task::spawn_blocking(move || {
        let output = Output(sender);
        let worked = work(&output);
        if let Err(error) = &worked
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            tracing::error!(error = chain(error), "an answer to a DICOMweb request broke off");
        }
        // A client that is gone needs no end.
        output.pass(worked.map(|()| Bytes::new())).ok();
    }));
    let chunks = Chunks { receiver, rest: Bytes::new() };
    Body::from_stream(ReaderStream::with_capacity(chunks, CHUNK))
}

/// What was sent, as a reader; it fails when the sender is gone without saying that this was all.
struct Chunks {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl AsyncRead for Chunks {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            let chunk = ready!(self.receiver.poll_recv(context));
            self.rest = chunk.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))?;
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(length));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn read(
        work: impl FnOnce(&Output) -> io::Result<()> + Send + 'static,
    ) -> Result<Bytes, axum::Error> {
        to_bytes(body(work), 1 << 20).await
    }

    #[tokio::test]
    async fn half_an_answer_is_an_error() {
        let whole = read(|output| (0..20).try_for_each(|_| output.send(vec![b'x'; 1000]))).await;
        assert_eq!(whole.unwrap(), vec![b'x'; 20_000]);
        let failed = read(|output| {
            output.send("half")?;
            Err(io::ErrorKind::NotFound.into())
        });
        assert!(failed.await.is_err());
        assert!(read(|output| output.send("half").map(|()| panic!("on purpose"))).await.is_err());
    }
}
