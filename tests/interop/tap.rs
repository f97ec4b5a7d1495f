//! A relay on the way to the daemon that keeps all that a peer sends, and takes the data sets of
//! its C-STOREs out of that.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::Instances;

/// What was sent, one list of bytes for each connection.
type Wires = Arc<Mutex<Vec<Arc<Mutex<Vec<u8>>>>>>;

pub(super) struct Tap {
    /// Where peers connect to.
    pub(super) address: SocketAddr,
    wires: Wires,
}

impl Tap {
    /// Relays to the daemon, until the test ends.
    pub(super) fn open(daemon: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let wires = Wires::default();
        let kept = Arc::clone(&wires);
        thread::spawn(move || {
            for peer in listener.incoming().flatten() {
                let wire = Arc::default();
                kept.lock().expect("no panic").push(Arc::clone(&wire));
                thread::spawn(move || relay(&peer, daemon, &wire));
            }
        });
        Self { address, wires }
    }

    /// The data sets of all C-STOREs that were sent whole. Of a UID sent again the first counts,
    /// as in the archive.
    pub(super) fn sent(&self) -> Instances {
        let mut instances = Instances::new();
        for wire in self.wires.lock().expect("no panic").iter() {
            for (uid, digest) in stored(&wire.lock().expect("no panic")) {
                instances.entry(uid).or_insert(digest);
            }
        }
        instances
    }
}

fn relay(peer: &TcpStream, daemon: SocketAddr, wire: &Mutex<Vec<u8>>) -> io::Result<()> {
    let server = TcpStream::connect(daemon)?;
    server.set_nodelay(true)?;
    peer.set_nodelay(true)?;
    let (mut from, mut to) = (peer.try_clone()?, server.try_clone()?);
    thread::scope(|scope| {
        scope.spawn(|| {
            let answers = io::copy(&mut &server, &mut &*peer);
            // Whoever is gone, the other side shall see it.
            drop((answers, peer.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both)));
        });
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            wire.lock().expect("no panic").extend(&buffer[..count]);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        to.shutdown(Shutdown::Write)
    })
}

/// The C-STOREs among the PDUs: P-DATA-TF is type 4 (PS3.8 9.3.5), the lowest bit of a message
/// control header says command, the next says last (PS3.8 E.2).
fn stored(mut wire: &[u8]) -> Vec<(String, [u8; 32])> {
    let (mut command, mut data) = (Vec::new(), Vec::new());
    let mut instances = Vec::new();
    while let Some((pdu, rest)) = take(wire.get(2..).unwrap_or_default()) {
        let kind = wire[0];
        wire = rest;
        let mut items = if kind == 4 { pdu } else { &[] };
        while let Some((item, rest)) = take(items) {
            items = rest;
            let (control, fragment) = (item[1], &item[2..]);
            match control & 3 {
                0 => data.extend(fragment),
                1 => command.extend(fragment),
                2 => {
                    data.extend(fragment);
                    let digest = Sha256::digest(&data).into();
                    instances.extend(stored_uid(&command).map(|uid| (uid, digest)));
                    data.clear();
                    command.clear();
                }
                // A new command: the one before had no data set.
                _ => {
                    command.extend(fragment);
                    if element(&command, 0x0800) == Some(&[0x01, 0x01]) {
                        command.clear();
                    }
                }
            }
        }
    }
    instances
}

/// A length of 32 bits, big-endian, and so many bytes; and what follows them.
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// Affected SOP Instance UID of a C-STORE-RQ.
fn stored_uid(command: &[u8]) -> Option<String> {
    let is_store = element(command, 0x0100) == Some(&[0x01, 0x00]);
    let uid = element(command, 0x1000).filter(|_| is_store)?;
    Some(String::from_utf8_lossy(uid).trim_end_matches('\0').to_owned())
}

/// An element of a command set: Implicit VR Little Endian, flat (PS3.7 6.3.1).
fn element(mut command: &[u8], number: u16) -> Option<&[u8]> {
    loop {
        let (head, rest) = command.split_first_chunk::<8>()?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let (value, rest) = rest.split_at_checked(length)?;
        if head[2..4] == number.to_le_bytes() {
            return Some(value);
        }
        command = rest;
    }
}
