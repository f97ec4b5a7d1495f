//! A scanner: a C-STORE client over plain sockets that remembers what was answered with success.
//!
//! Its PDUs and data sets are put together here byte by byte (PS3.8 9.3, PS3.7 9.3.1), so that an
//! error in the library that the receiver uses cannot hide on both sides.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// Verification SOP Class.
pub const VERIFICATION: &str = "1.2.840.10008.1.1";
/// MR Image Storage.
pub const MR_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.4";
/// Implicit VR Little Endian.
pub const IMPLICIT_LE: &str = "1.2.840.10008.1.2";
/// Explicit VR Little Endian.
pub const EXPLICIT_LE: &str = "1.2.840.10008.1.2.1";

/// The status of a success (PS3.7 C).
pub const SUCCESS: u16 = 0x0000;

/// splitmix64: the same numbers for the same seed on every machine.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Evenly distributed enough for tests.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.bits() % (high - low)
    }
}

/// An object to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// SOP Class UID.
    pub sop_class: String,
    /// SOP Instance UID.
    pub sop_uid: String,
    /// Transfer syntax UID of `data_set`.
    pub transfer_syntax: String,
    /// The encoded data set.
    pub data_set: Vec<u8>,
}

impl Slice {
    /// SHA-256 of the data set.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.data_set).into()
    }
}

/// An MR slice of `side` × `side` pixels of 16 bits. UIDs and pixels follow from the numbers.
#[must_use]
pub fn slice(seed: u64, study: u64, series: u64, number: u64, side: u16) -> Slice {
    let study_uid = format!("2.25.{seed}.{study}");
    let series_uid = format!("{study_uid}.{series}");
    let sop_uid = format!("{series_uid}.{number}");
    let mut random = Random(seed ^ (study << 40) ^ (series << 20) ^ number);
    let words = usize::from(side) * usize::from(side) / 4;
    let pixels: Vec<u8> = (0..words).flat_map(|_| random.bits().to_le_bytes()).collect();

    let mut set = Vec::with_capacity(pixels.len() + 1024);
    text(&mut set, 0x0008, 0x0016, "UI", MR_IMAGE);
    text(&mut set, 0x0008, 0x0018, "UI", &sop_uid);
    text(&mut set, 0x0008, 0x0020, "DA", "20260101");
    text(&mut set, 0x0008, 0x0030, "TM", "120000");
    text(&mut set, 0x0008, 0x0060, "CS", "MR");
    text(&mut set, 0x0008, 0x0070, "LO", "Phantom Works");
    text(&mut set, 0x0008, 0x103E, "LO", &format!("series {series}"));
    text(&mut set, 0x0010, 0x0010, "PN", &format!("Phantom^{study}"));
    text(&mut set, 0x0010, 0x0020, "LO", &format!("P{study}"));
    text(&mut set, 0x0018, 0x0015, "CS", "BRAIN");
    text(&mut set, 0x0018, 0x0050, "DS", "5");
    text(&mut set, 0x0018, 0x0087, "DS", "1.5");
    text(&mut set, 0x0020, 0x000D, "UI", &study_uid);
    text(&mut set, 0x0020, 0x000E, "UI", &series_uid);
    text(&mut set, 0x0020, 0x0011, "IS", &series.to_string());
    text(&mut set, 0x0020, 0x0013, "IS", &number.to_string());
    text(&mut set, 0x0020, 0x0032, "DS", &format!("-100\\-100\\{}", 5 * number));
    text(&mut set, 0x0020, 0x0037, "DS", "1\\0\\0\\0\\1\\0");
    unsigned(&mut set, 0x0028, 0x0002, 1);
    text(&mut set, 0x0028, 0x0004, "CS", "MONOCHROME2");
    unsigned(&mut set, 0x0028, 0x0010, side);
    unsigned(&mut set, 0x0028, 0x0011, side);
    text(&mut set, 0x0028, 0x0030, "DS", "1\\1");
    unsigned(&mut set, 0x0028, 0x0100, 16);
    unsigned(&mut set, 0x0028, 0x0101, 16);
    unsigned(&mut set, 0x0028, 0x0102, 15);
    unsigned(&mut set, 0x0028, 0x0103, 0);
    set.extend(b"\xE0\x7F\x10\x00OW\0\0");
    set.extend(length32(pixels.len()).to_le_bytes());
    set.extend(pixels);

    let (sop_class, transfer_syntax) = (MR_IMAGE.to_owned(), EXPLICIT_LE.to_owned());
    Slice { sop_class, sop_uid, transfer_syntax, data_set: set }
}

/// Appends an element of text in Explicit VR Little Endian, padded to an even length as its VR
/// asks: UI with a zero byte, all others with a space (PS3.5 6.2).
pub fn text(set: &mut Vec<u8>, group: u16, element: u16, vr: &str, value: &str) {
    let mut value = value.as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(if vr == "UI" { 0 } else { b' ' });
    }
    set.extend(group.to_le_bytes());
    set.extend(element.to_le_bytes());
    set.extend(vr.as_bytes());
    set.extend(length16(value.len()).to_le_bytes());
    set.extend(value);
}

/// Appends an element of one unsigned 16 bit number in Explicit VR Little Endian.
pub fn unsigned(set: &mut Vec<u8>, group: u16, element: u16, value: u16) {
    set.extend(group.to_le_bytes());
    set.extend(element.to_le_bytes());
    set.extend(b"US\x02\x00");
    set.extend(value.to_le_bytes());
}

/// Whom to call, and how.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Our AE title.
    pub calling: String,
    /// Its AE title.
    pub called: String,
    /// Abstract and transfer syntaxes proposed, one context for each pair.
    pub contexts: Vec<(String, String)>,
    /// False leaves Nagle's algorithm on, as many a scanner does.
    pub nodelay: bool,
    /// How long an answer may take.
    pub patience: Duration,
}

impl Peer {
    /// Proposes what [`slice()`] makes, and C-ECHO.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let context = |class: &str, syntax: &str| (class.to_owned(), syntax.to_owned());
        Self {
            address,
            calling: "SCANNER".into(),
            called: "PRIMA".into(),
            contexts: vec![context(MR_IMAGE, EXPLICIT_LE), context(VERIFICATION, IMPLICIT_LE)],
            nodelay: true,
            patience: Duration::from_secs(30),
        }
    }
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status (0000,0900).
    pub status: u16,
    /// Error Comment (0000,0902), empty when absent.
    pub comment: String,
}

/// An association that we opened.
#[derive(Debug)]
pub struct Association {
    stream: TcpStream,
    contexts: Vec<Context>,
    longest_pdu: usize,
    messages: u16,
}

#[derive(Debug)]
struct Context {
    id: u8,
    class: String,
    syntax: String,
}

impl Association {
    /// Connects and negotiates (PS3.8 9.3.2).
    ///
    /// # Errors
    ///
    /// When there is no connection, or the peer refuses or breaks off.
    pub fn open(peer: &Peer) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&peer.address, peer.patience)?;
        stream.set_nodelay(peer.nodelay)?;
        stream.set_read_timeout(Some(peer.patience))?;
        stream.set_write_timeout(Some(peer.patience))?;
        stream.write_all(&request(peer))?;
        let (kind, body) = read_pdu(&mut stream)?;
        if kind != 2 {
            return Err(ended(kind, &body));
        }
        let mut association = Self { stream, contexts: Vec::new(), longest_pdu: 0, messages: 0 };
        for (kind, item) in items(body.get(68..).unwrap_or_default()) {
            match (kind, item) {
                // Result 0 is acceptance.
                (0x21, [id, _, 0, ..]) => {
                    let proposed = peer.contexts.get(usize::from(id / 2));
                    let (class, syntax) =
                        proposed.cloned().ok_or_else(|| broken(format!("context {id}")))?;
                    association.contexts.push(Context { id: *id, class, syntax });
                }
                (0x50, item) => {
                    for (kind, value) in items(item) {
                        if let (0x51, Ok(longest)) = (kind, value.try_into()) {
                            association.longest_pdu = u32::from_be_bytes(longest) as usize;
                        }
                    }
                }
                _ => {}
            }
        }
        // Zero is "no limit" (PS3.8 D.1).
        if association.longest_pdu == 0 {
            association.longest_pdu = 1 << 20;
        }
        Ok(association)
    }

    /// Our port, by which a trace of the receiver's system calls names this connection.
    ///
    /// # Errors
    ///
    /// When the socket is no longer one.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.stream.local_addr()?.port())
    }

    /// C-ECHO (PS3.7 9.3.5).
    ///
    /// # Errors
    ///
    /// When the connection breaks, or what comes back is not the answer.
    pub fn echo(&mut self) -> io::Result<Answer> {
        let context = self.context(VERIFICATION, None)?;
        let message = self.next_message();
        let command = command(&[
            (0x0002, &even(VERIFICATION)),
            (0x0100, &0x0030_u16.to_le_bytes()),
            (0x0110, &message.to_le_bytes()),
            (0x0800, &0x0101_u16.to_le_bytes()),
        ]);
        self.send(context, 0x03, &command)?;
        self.answer(message)
    }

    /// C-STORE (PS3.7 9.3.1): command and data set in PDUs of their own, each written at once,
    /// which with Nagle's algorithm on is the pattern that crawls.
    ///
    /// # Errors
    ///
    /// When no context fits, the connection breaks, or what comes back is not the answer.
    pub fn store(&mut self, slice: &Slice) -> io::Result<Answer> {
        let context = self.context(&slice.sop_class, Some(&slice.transfer_syntax))?;
        let message = self.next_message();
        let command = command(&[
            (0x0002, &even(&slice.sop_class)),
            (0x0100, &0x0001_u16.to_le_bytes()),
            (0x0110, &message.to_le_bytes()),
            (0x0700, &0_u16.to_le_bytes()),
            (0x0800, &0x0001_u16.to_le_bytes()),
            (0x1000, &even(&slice.sop_uid)),
        ]);
        self.send(context, 0x03, &command)?;
        let most = self.longest_pdu - 6;
        let mut fragments = slice.data_set.chunks(most).peekable();
        while let Some(fragment) = fragments.next() {
            let last = if fragments.peek().is_none() { 0x02 } else { 0x00 };
            self.send(context, last, fragment)?;
        }
        self.answer(message)
    }

    /// Orderly end (PS3.8 9.3.6).
    ///
    /// # Errors
    ///
    /// When the peer does not answer it.
    pub fn release(mut self) -> io::Result<()> {
        self.stream.write_all(&pdu(5, &[0; 4]))?;
        match read_pdu(&mut self.stream)? {
            (6, _) => Ok(()),
            (kind, body) => Err(ended(kind, &body)),
        }
    }

    fn context(&self, class: &str, syntax: Option<&str>) -> io::Result<u8> {
        let fits =
            |c: &&Context| c.class == class && syntax.is_none_or(|syntax| c.syntax == syntax);
        let found = self.contexts.iter().find(fits);
        found.map(|context| context.id).ok_or_else(|| broken(format!("no context for {class}")))
    }

    fn next_message(&mut self) -> u16 {
        self.messages = self.messages.wrapping_add(1);
        self.messages
    }

    fn send(&mut self, context: u8, control: u8, fragment: &[u8]) -> io::Result<()> {
        let mut body = length32(fragment.len() + 2).to_be_bytes().to_vec();
        body.extend([context, control]);
        body.extend(fragment);
        self.stream.write_all(&pdu(4, &body))
    }

    fn answer(&mut self, message: u16) -> io::Result<Answer> {
        let mut command = Vec::new();
        let mut last = false;
        while !last {
            let (kind, body) = read_pdu(&mut self.stream)?;
            if kind != 4 {
                return Err(ended(kind, &body));
            }
            let mut rest = body.as_slice();
            while let Some((length, after)) = rest.split_first_chunk() {
                let length = u32::from_be_bytes(*length) as usize;
                let value = after.get(..length).filter(|value| value.len() >= 2);
                let value = value.ok_or_else(|| broken(format!("a PDV of {length} bytes")))?;
                command.extend(&value[2..]);
                last = value[1] & 0x03 == 0x03;
                rest = &after[length..];
            }
        }
        let number = |element| {
            let value = find(&command, element)?;
            Some(u16::from_le_bytes(value.try_into().ok()?))
        };
        if number(0x0120) != Some(message) {
            return Err(broken(format!("message {:?} answers {message}", number(0x0120))));
        }
        let status = number(0x0900).ok_or_else(|| broken("an answer without status".into()))?;
        let comment = find(&command, 0x0902).unwrap_or_default();
        let comment = String::from_utf8_lossy(comment).trim().to_owned();
        Ok(Answer { status, comment })
    }
}

/// A PDU of any type.
#[must_use]
pub fn pdu(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut pdu = vec![kind, 0];
    pdu.extend(length32(body.len()).to_be_bytes());
    pdu.extend(body);
    pdu
}

/// A-ASSOCIATE-RQ (PS3.8 9.3.2).
#[must_use]
pub fn request(peer: &Peer) -> Vec<u8> {
    let mut body = vec![0, 1, 0, 0];
    body.extend(format!("{:16}{:16}", peer.called, peer.calling).bytes());
    body.extend([0; 32]);
    body.extend(item(0x10, b"1.2.840.10008.3.1.1.1"));
    for (id, (class, syntax)) in (1..).step_by(2).zip(&peer.contexts) {
        let mut context = vec![id, 0, 0, 0];
        context.extend(item(0x30, class.as_bytes()));
        context.extend(item(0x40, syntax.as_bytes()));
        body.extend(item(0x20, &context));
    }
    let mut user = item(0x51, &(1_u32 << 16).to_be_bytes());
    user.extend(item(0x52, b"2.25.1"));
    body.extend(item(0x50, &user));
    pdu(1, &body)
}

/// A command set in Implicit VR Little Endian, its group length in front (PS3.7 6.3.1). The
/// elements are numbers and values of group 0000, in order.
#[must_use]
pub fn command(elements: &[(u16, &[u8])]) -> Vec<u8> {
    let mut set = Vec::new();
    for (number, value) in elements {
        set.extend(element(*number, value));
    }
    let mut whole = element(0x0000, &length32(set.len()).to_le_bytes());
    whole.extend(set);
    whole
}

fn element(number: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend(number.to_le_bytes());
    bytes.extend(length32(value.len()).to_le_bytes());
    bytes.extend(value);
    bytes
}

/// A UID as bytes of even length.
#[must_use]
pub fn even(uid: &str) -> Vec<u8> {
    let mut value = uid.as_bytes().to_vec();
    value.resize(value.len().next_multiple_of(2), 0);
    value
}

fn item(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut item = vec![kind, 0];
    item.extend(length16(value.len()).to_be_bytes());
    item.extend(value);
    item
}

/// The items in `bytes`: type and value.
fn items(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let ([kind, _, high, low], rest) = bytes.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = rest.get(..length)?;
        bytes = &rest[length..];
        Some((*kind, value))
    })
}

/// The value of an element in a command set.
fn find(mut set: &[u8], number: u16) -> Option<&[u8]> {
    loop {
        let (head, rest) = set.split_first_chunk::<8>()?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let value = rest.get(..length)?;
        if head[2..4] == number.to_le_bytes() {
            return Some(value);
        }
        set = &rest[length..];
    }
}

fn read_pdu(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 6];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
    if length > 1 << 20 {
        return Err(broken(format!("a PDU of {length} bytes")));
    }
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body)?;
    Ok((head[0], body))
}

/// What the peer sent instead of what was due.
fn ended(kind: u8, body: &[u8]) -> io::Error {
    let name = match kind {
        3 => "refused",
        5 => "released by the peer",
        7 => "aborted",
        _ => "an unexpected PDU",
    };
    io::Error::new(io::ErrorKind::ConnectionAborted, format!("{name}: {kind} {body:?}"))
}

fn broken(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn length16(length: usize) -> u16 {
    u16::try_from(length).expect("a short value")
}

fn length32(length: usize) -> u32 {
    u32::try_from(length).expect("less than 4 GiB")
}
