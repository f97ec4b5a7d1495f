//! A peer that may say anything: bytes go out as they are, and what comes back is told in a word.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use tests::sender::{self, MR_IMAGE, Peer, VERIFICATION, even};

/// The context of MR Image Storage in [`Wire::associate`].
pub(super) const IMAGE: u8 = 1;
/// The context of Verification.
pub(super) const ECHO: u8 = 3;

/// Message control headers (PS3.8 E.2).
pub(super) const COMMAND: u8 = 0x01;
pub(super) const LAST_COMMAND: u8 = 0x03;
pub(super) const DATA: u8 = 0x00;
pub(super) const LAST_DATA: u8 = 0x02;

/// What the daemon said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A-ASSOCIATE-AC, with the number of contexts accepted.
    Accepted(usize),
    /// A-ASSOCIATE-RJ: result, source, reason (PS3.8 9.3.4).
    Rejected([u8; 3]),
    /// A response, its command field, the message it answers, its status.
    Answer(u16, u16, u16),
    /// A-RELEASE-RP.
    Released,
    /// A-ABORT.
    Aborted,
    /// The end of the connection without an A-ABORT.
    Closed,
    /// Nothing within the time we wait.
    Silent,
}

impl Reply {
    /// The association is over by the daemon's will.
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Aborted | Self::Closed)
    }
}

/// A-ASSOCIATE-RJ for one association too many: transient, by the presentation provider, local
/// limit exceeded.
pub(super) const TOO_MANY: Reply = Reply::Rejected([2, 3, 2]);

pub(super) fn echoed(message: u16) -> Reply {
    Reply::Answer(0x8030, message, 0)
}

pub(super) fn stored(message: u16, status: u16) -> Reply {
    Reply::Answer(0x8001, message, status)
}

/// A connection without any manners.
pub(super) struct Wire(TcpStream);

impl Wire {
    pub(super) fn connect(address: SocketAddr) -> Self {
        Self::polite(TcpStream::connect(address).expect("a connection"))
    }

    /// A connection from another address of the loopback network, which is another peer.
    pub(super) fn connect_from(source: Ipv4Addr, address: SocketAddr) -> io::Result<Self> {
        let stream = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&stream, &SocketAddrV4::new(source, 0))?;
        connect(&stream, &address)?;
        Ok(Self::polite(stream.into()))
    }

    fn polite(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an open socket");
        Self(stream).patient(Duration::from_secs(5))
    }

    /// How long to wait for a reply, and for room to write.
    pub(super) fn patient(self, patience: Duration) -> Self {
        self.0.set_read_timeout(Some(patience)).expect("an open socket");
        self.0.set_write_timeout(Some(patience)).expect("an open socket");
        self
    }

    /// An association with the contexts [`IMAGE`] and [`ECHO`].
    pub(super) fn associate(address: SocketAddr) -> Self {
        let mut wire = Self::connect(address);
        wire.send(&sender::request(&Peer::new(address))).expect("room for a request");
        assert_eq!(wire.reply(), Reply::Accepted(2));
        wire
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Writes the same bytes until so many are written or the daemon takes no more; how many it
    /// took. The daemon may have answered meanwhile.
    pub(super) fn pour(&mut self, bytes: &[u8], total: usize) -> usize {
        (bytes.len()..=total)
            .step_by(bytes.len())
            .take_while(|_| self.send(bytes).is_ok())
            .last()
            .unwrap_or(0)
    }

    pub(super) fn half_close(&mut self) {
        // The daemon may already have closed its side, which is as good.
        drop(self.0.shutdown(Shutdown::Write));
    }

    pub(super) fn reply(&mut self) -> Reply {
        match self.read_pdu() {
            Ok((kind, body)) => meaning(kind, &body),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Reply::Silent,
                _ => Reply::Closed,
            },
        }
    }

    fn read_pdu(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 6];
        self.0.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[2], head[3], head[4], head[5]]) as usize;
        assert!(length < 1 << 20, "the daemon sends a PDU of {length} bytes");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok((head[0], body))
    }
}

fn meaning(kind: u8, body: &[u8]) -> Reply {
    match kind {
        2 => Reply::Accepted(accepted(&body[68..])),
        3 => Reply::Rejected([body[1], body[2], body[3]]),
        // One PDV of a whole command: its length, its context, its control header.
        4 => {
            assert_eq!(body[5], LAST_COMMAND, "a response in one piece");
            let number = |element: u16| {
                let head = [&[0, 0][..], &element.to_le_bytes(), &[2, 0, 0, 0]].concat();
                let place = body.windows(8).position(|window| window == head);
                let place = place.unwrap_or_else(|| panic!("no (0000,{element:04X}) in {body:?}"));
                u16::from_le_bytes([body[place + 8], body[place + 9]])
            };
            Reply::Answer(number(0x0100), number(0x0120), number(0x0900))
        }
        6 => Reply::Released,
        7 => Reply::Aborted,
        _ => panic!("the daemon sends a PDU of type {kind}"),
    }
}

/// How many presentation contexts have the result acceptance (PS3.8 9.3.3.2).
fn accepted(mut items: &[u8]) -> usize {
    let mut count = 0;
    while let [kind, _, high, low, rest @ ..] = items {
        count += usize::from(*kind == 0x21 && rest[2] == 0);
        items = &rest[usize::from(u16::from_be_bytes([*high, *low]))..];
    }
    count
}

/// P-DATA-TF of one PDV.
pub(super) fn data(context: u8, control: u8, fragment: &[u8]) -> Vec<u8> {
    sender::pdu(4, &pdv(context, control, fragment))
}

/// A presentation data value item (PS3.8 9.3.5.1).
pub(super) fn pdv(context: u8, control: u8, fragment: &[u8]) -> Vec<u8> {
    let length = u32::try_from(fragment.len() + 2).expect("a short fragment");
    [&length.to_be_bytes()[..], &[context, control], fragment].concat()
}

/// The command set of C-ECHO-RQ.
pub(super) fn echo_command(message: u16) -> Vec<u8> {
    request(0x0030, VERIFICATION, message, 0x0101, &[])
}

/// The command set of C-STORE-RQ for an MR image.
pub(super) fn store_command(message: u16, sop_uid: &[u8]) -> Vec<u8> {
    request(0x0001, MR_IMAGE, message, 0x0001, sop_uid)
}

/// Any request. Without an instance UID that element is left out.
pub(super) fn request(
    field: u16,
    class: &str,
    message: u16,
    data_set_type: u16,
    sop_uid: &[u8],
) -> Vec<u8> {
    let class = even(class);
    let mut uid = sop_uid.to_vec();
    uid.resize(uid.len().next_multiple_of(2), 0);
    let [field, message, data_set_type] = [field, message, data_set_type].map(u16::to_le_bytes);
    let mut elements: Vec<(u16, &[u8])> = vec![
        (0x0002, &class),
        (0x0100, &field),
        (0x0110, &message),
        (0x0700, &[0, 0]),
        (0x0800, &data_set_type),
        (0x1000, &uid),
    ];
    elements.truncate(if sop_uid.is_empty() { 5 } else { 6 });
    sender::command(&elements)
}

/// C-STORE of a data set: a command, and data fragments of which the last may be empty.
pub(super) fn store(message: u16, sop_uid: &str, data_set: &[u8]) -> Vec<u8> {
    let mut bytes = data(IMAGE, LAST_COMMAND, &store_command(message, sop_uid.as_bytes()));
    bytes.extend(data_set.chunks(16_000).flat_map(|fragment| data(IMAGE, DATA, fragment)));
    bytes.extend(data(IMAGE, LAST_DATA, &[]));
    bytes
}
