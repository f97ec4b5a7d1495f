//! PDUs on the wire: read whole, with a cap that depends on the state, under deadlines.
//!
//! `dicom-ul` codes the association PDUs, of which a peer sends one; P-DATA is taken apart here,
//! because an instance passes through in slices and is never held as a whole (PS3.8 9.3).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
    ReadBuf,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// PDU types (PS3.8 9.3.1).
pub(super) const ASSOCIATE_RQ: u8 = 1;
pub(super) const ASSOCIATE_AC: u8 = 2;
pub(super) const P_DATA: u8 = 4;
pub(super) const RELEASE_RQ: u8 = 5;
pub(super) const RELEASE_RP: u8 = 6;
pub(super) const ABORT: u8 = 7;

/// Longest P-DATA that we announce and accept, in bytes after the header.
pub(super) const MAX_PDU: u32 = 128 << 10;
/// Longest association PDU: 128 presentation contexts of 30 transfer syntaxes are 120 KiB, and
/// user identities (SAML, Kerberos) come on top.
pub(super) const MAX_ASSOCIATE: u32 = 512 << 10;
/// A control PDU has four bytes; more would be a peer with padding.
const MAX_CONTROL: u32 = 1 << 10;
/// Read ahead of a header; what is longer goes straight to where it belongs.
const READ_AHEAD: usize = 16 << 10;
/// A closing connection is drained at most so long, so that the peer gets our last PDU before
/// the reset that unread bytes would cause.
const LINGER: Duration = Duration::from_secs(2);

/// Why we abort (PS3.8 9.3.8): reason of the service provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AbortReason {
    /// Anything that is no fault in a PDU.
    NotSpecified = 0,
    /// Unrecognized PDU.
    UnrecognizedPdu = 1,
    /// Unexpected PDU.
    UnexpectedPdu = 2,
    /// Unexpected PDU parameter.
    UnexpectedParameter = 5,
    /// Invalid PDU parameter value.
    InvalidParameter = 6,
}

/// Why an association ended other than by release.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// The network failed.
    #[error("the connection broke")]
    Lost(#[source] io::Error),
    /// End of file where a PDU was due.
    #[error("the peer closed the connection without a release")]
    Closed,
    /// A-ABORT received.
    #[error("the peer aborted")]
    Aborted,
    /// A stored image broke off in the middle of being sent.
    #[error("a stored image cannot be read")]
    Unreadable(#[source] io::Error),
    /// Nothing came for too long.
    #[error("nothing was received for {} s", .0.as_secs())]
    Idle(Duration),
    /// A PDU was begun and not finished, or ours was not taken.
    #[error("a PDU took longer than {} s", .0.as_secs())]
    Slow(Duration),
    /// The association is older than any transfer takes.
    #[error("the association was open for {} h", .0.as_secs() / 3600)]
    Old(Duration),
    /// We stop.
    #[error("the appliance stops")]
    Stopping,
    /// The peer broke the protocol.
    #[error("protocol error: {what}")]
    Protocol {
        /// For the A-ABORT.
        reason: AbortReason,
        /// What it did.
        what: String,
    },
}

impl Ended {
    pub(super) fn protocol(reason: AbortReason, what: impl Into<String>) -> Self {
        Self::Protocol { reason, what: what.into() }
    }

    /// The reason for an A-ABORT; none when nobody is there to read it.
    pub(super) fn abort_reason(&self) -> Option<AbortReason> {
        match self {
            Self::Lost(_) | Self::Closed | Self::Aborted => None,
            Self::Protocol { reason, .. } => Some(*reason),
            Self::Unreadable(_) | Self::Idle(_) | Self::Slow(_) | Self::Old(_) | Self::Stopping => {
                Some(AbortReason::NotSpecified)
            }
        }
    }
}

/// A plain or TLS connection.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A TCP socket that acknowledges at once.
///
/// A sender with Nagle's algorithm on holds back the last piece of each image until the one
/// before is acknowledged, which Linux delays by 40 ms. The kernel leaves quick mode by itself,
/// so it is switched on again after each read.
#[derive(Debug)]
pub(super) struct Socket(TcpStream);

impl Socket {
    /// Sets the socket up. Failing options are no reason to refuse a peer.
    pub(super) fn new(stream: TcpStream) -> Self {
        use rustix::net::sockopt;
        stream.set_nodelay(true).unwrap_or_default();
        // A peer that lost its power is noticed after 60 + 3 * 20 seconds.
        sockopt::set_socket_keepalive(&stream, true).unwrap_or_default();
        sockopt::set_tcp_keepidle(&stream, Duration::from_secs(60)).unwrap_or_default();
        sockopt::set_tcp_keepintvl(&stream, Duration::from_secs(20)).unwrap_or_default();
        sockopt::set_tcp_keepcnt(&stream, 3).unwrap_or_default();
        sockopt::set_tcp_quickack(&stream, true).unwrap_or_default();
        Self(stream)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.0).poll_read(context, buffer);
        if outcome.is_ready() {
            rustix::net::sockopt::set_tcp_quickack(&self.0, true).unwrap_or_default();
        }
        outcome
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// A connection that speaks PDUs.
pub(super) struct Wire {
    stream: BufReader<Box<dyn Duplex>>,
    /// Each PDU must be complete, and each of ours taken, in this time.
    pdu: Duration,
    payload: Vec<u8>,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Duplex>, pdu: Duration) -> Self {
        Self { stream: BufReader::with_capacity(READ_AHEAD, stream), pdu, payload: Vec::new() }
    }

    /// Waits until bytes are there; false when none came in this time.
    pub(super) async fn ready(&mut self, within: Duration) -> Result<bool, Ended> {
        match timeout(within, self.stream.fill_buf()).await {
            Ok(Ok([])) => Err(Ended::Closed),
            Ok(Ok(_)) => Ok(true),
            Ok(Err(error)) => Err(Ended::Lost(error)),
            Err(_) => Ok(false),
        }
    }

    /// Reads a PDU: its type and what follows the header.
    pub(super) async fn read(&mut self, idle: Duration) -> Result<(u8, Payload), Ended> {
        if !self.ready(idle).await? {
            return Err(Ended::Idle(idle));
        }
        let pdu = self.pdu;
        match timeout(pdu, self.read_now()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Ended::Slow(pdu)),
        }
    }

    async fn read_now(&mut self) -> Result<(u8, Payload), Ended> {
        let mut header = [0; 6];
        self.stream.read_exact(&mut header).await.map_err(Ended::Lost)?;
        let [kind, _, a, b, c, d] = header;
        let length = u32::from_be_bytes([a, b, c, d]);
        let limit = match kind {
            ASSOCIATE_RQ | ASSOCIATE_AC => MAX_ASSOCIATE,
            P_DATA => MAX_PDU,
            _ => MAX_CONTROL,
        };
        if length > limit {
            let what = format!("PDU of type {kind} with {length} bytes, the limit is {limit}");
            return Err(Ended::protocol(AbortReason::InvalidParameter, what));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        // The buffer keeps its length, because clearing 128 KiB for each PDU would cost as much
        // as copying them.
        let mut payload = std::mem::take(&mut self.payload);
        if payload.len() < length {
            payload.resize(length, 0);
        }
        let outcome = self.stream.read_exact(payload.get_mut(..length).unwrap_or_default()).await;
        outcome.map_err(Ended::Lost)?;
        Ok((kind, Payload { buffer: payload, length }))
    }

    /// Gives a payload's memory back for the next PDU.
    pub(super) fn recycle(&mut self, payload: Payload) {
        self.payload = payload.buffer;
    }

    /// Sends whole PDUs.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let sending = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout(self.pdu, sending).await {
            Ok(outcome) => outcome.map_err(Ended::Lost),
            Err(_) => Err(Ended::Slow(self.pdu)),
        }
    }

    /// Sends a last PDU and waits a little for the peer to close (PS3.8 9.2, Sta13).
    pub(super) async fn close(mut self, last: &[u8]) {
        let closing = async {
            self.stream.write_all(last).await?;
            self.stream.shutdown().await?;
            while !self.stream.fill_buf().await?.is_empty() {
                let seen = self.stream.buffer().len();
                self.stream.consume(seen);
            }
            io::Result::Ok(())
        };
        // However this goes, the connection is over.
        drop(timeout(LINGER, closing).await);
    }
}

/// What follows a PDU's header.
pub(super) struct Payload {
    buffer: Vec<u8>,
    length: usize,
}

impl Payload {
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }

    /// The whole PDU again, for a codec that wants its header.
    pub(super) fn pdu(&self, kind: u8) -> Vec<u8> {
        let mut whole = vec![kind, 0];
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_ASSOCIATE")]
        whole.extend((self.length as u32).to_be_bytes());
        whole.extend(self.bytes());
        whole
    }
}

/// A-ABORT by the service provider (PS3.8 9.3.8).
pub(super) fn abort(reason: AbortReason) -> [u8; 10] {
    [ABORT, 0, 0, 0, 0, 4, 0, 0, 2, reason as u8]
}

/// A-RELEASE-RQ or A-RELEASE-RP.
pub(super) fn release(kind: u8) -> [u8; 10] {
    [kind, 0, 0, 0, 0, 4, 0, 0, 0, 0]
}

/// A presentation data value: a fragment of a command or of a data set (PS3.8 9.3.5.1, E.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pdv<'a> {
    pub(super) context: u8,
    pub(super) command: bool,
    pub(super) last: bool,
    pub(super) data: &'a [u8],
}

/// Takes the first presentation data value off a P-DATA PDU.
pub(super) fn split_pdv(payload: &[u8]) -> Result<(Pdv<'_>, &[u8]), Ended> {
    let wrong = || {
        let what = "a presentation data value does not fit its P-DATA PDU";
        Ended::protocol(AbortReason::InvalidParameter, what)
    };
    let (length, rest) = payload.split_first_chunk().ok_or_else(wrong)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    let (value, rest) = rest.split_at_checked(length).ok_or_else(wrong)?;
    let Some((&[context, control], data)) = value.split_first_chunk() else {
        return Err(wrong());
    };
    Ok((Pdv { context, command: control & 1 != 0, last: control & 2 != 0, data }, rest))
}

/// Writes a command or a data set as P-DATA PDUs that the peer accepts.
pub(super) fn p_data(out: &mut Vec<u8>, context: u8, command: bool, bytes: &[u8], max_pdu: usize) {
    p_data_part(out, context, command, (bytes, true), max_pdu);
}

/// Writes a part of a command or of a data set, and whether that ends with it.
pub(super) fn p_data_part(
    out: &mut Vec<u8>,
    context: u8,
    command: bool,
    (bytes, ends): (&[u8], bool),
    max_pdu: usize,
) {
    // A length, a context and a control byte precede each fragment.
    let most = max_pdu.saturating_sub(6).max(1);
    let mut left = bytes;
    loop {
        let (fragment, rest) = left.split_at(left.len().min(most));
        let last = rest.is_empty() && ends;
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_PDU")]
        let length = fragment.len() as u32 + 2;
        out.extend([P_DATA, 0]);
        out.extend((length + 4).to_be_bytes());
        out.extend(length.to_be_bytes());
        out.extend([context, u8::from(command) | u8::from(last) << 1]);
        out.extend(fragment);
        if rest.is_empty() {
            return;
        }
        left = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_fit_the_peer() {
        #[track_caller]
        fn check(bytes: &[u8], max_pdu: usize, fragments: &[&[u8]]) {
            let mut out = Vec::new();
            p_data(&mut out, 3, true, bytes, max_pdu);
            let mut left = &out[..];
            for (at, expected) in fragments.iter().enumerate() {
                let length = u32::from_be_bytes(left[2..6].try_into().unwrap()) as usize;
                assert!(left[0] == P_DATA && length <= max_pdu);
                let (pdv, rest) = split_pdv(&left[6..6 + length]).unwrap();
                let last = at + 1 == fragments.len();
                assert_eq!(pdv, Pdv { context: 3, command: true, last, data: expected });
                assert!(rest.is_empty());
                left = &left[6 + length..];
            }
            assert!(left.is_empty());
        }
        check(b"", 100, &[b""]);
        check(b"abcdef", 100, &[b"abcdef"]);
        check(b"abcdef", 12, &[b"abcdef"]);
        check(b"abcdef", 10, &[b"abcd", b"ef"]);
    }

    #[test]
    fn only_the_last_part_ends_a_message() {
        let mut out = Vec::new();
        p_data_part(&mut out, 3, false, (b"abcdef", false), 10);
        p_data_part(&mut out, 3, false, (b"gh", true), 10);
        let mut controls = Vec::new();
        let mut left = &out[..];
        while !left.is_empty() {
            let length = u32::from_be_bytes(left[2..6].try_into().unwrap()) as usize;
            let (pdv, _) = split_pdv(&left[6..6 + length]).unwrap();
            controls.push((pdv.data, pdv.last));
            left = &left[6 + length..];
        }
        assert_eq!(controls, [(&b"abcd"[..], false), (&b"ef"[..], false), (&b"gh"[..], true)]);
    }

    #[test]
    fn broken_data_values() {
        #[track_caller]
        fn check(payload: &[u8]) {
            let error = split_pdv(payload).unwrap_err().to_string();
            let expected = "protocol error: a presentation data value does not fit its P-DATA PDU";
            assert_eq!(error, expected);
        }
        check(&[]);
        check(&[0, 0, 0]);
        check(&[0, 0, 0, 0]);
        check(&[0, 0, 0, 1, 1]);
        check(&[0, 0, 0, 3, 1, 3]);
        check(&[255, 255, 255, 255, 1, 3, 0]);
    }
}
