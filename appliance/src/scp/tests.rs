//! The receiver over real sockets, against peers that are written byte by byte.

mod admission;
mod ask;
mod commitment;
mod messages;
mod query;
mod send;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{AssociationRQ, Pdu, PresentationContextProposed, read_pdu, write_pdu};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::dimse::{Command, NO_DATA_SET, Value, WITH_DATA_SET, element, encode, field, parse};
use super::*;
use crate::archive;
use crate::clock::SystemClock;

const MR: &str = uids::MR_IMAGE_STORAGE;

/// A receiver with its store and archive.
struct Receiver {
    scp: Arc<Scp>,
    store: Arc<Store>,
    archive: Arc<Archive>,
    shutdown: CancellationToken,
    runtime: Option<Runtime>,
    folder: TempDir,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

/// Starts a receiver on a free port.
fn receiver(change: impl FnOnce(&mut Config)) -> Receiver {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Arc::new(Store::open(&path, Arc::new(SystemClock::new())).unwrap());
    let limits = archive::Config { max_instance_bytes: 4 << 20 };
    let archive = Archive::open(&folder.path().join("archive"), Arc::clone(&store), limits);
    let archive = Arc::new(archive.unwrap());
    let mut config =
        Config { address: Some(Ipv4Addr::LOCALHOST.into()), port: Some(0), ..Config::default() };
    change(&mut config);
    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    let scp = Scp::bind(config, Arc::clone(&archive), Arc::clone(&store)).unwrap();
    drop(guard);
    let scp = Arc::new(scp);
    let shutdown = CancellationToken::new();
    let (running, until) = (Arc::clone(&scp), shutdown.clone());
    runtime.spawn(async move { running.run(until).await });
    Receiver { scp, store, archive, shutdown, runtime: Some(runtime), folder }
}

impl Receiver {
    fn address(&self) -> SocketAddr {
        self.scp.addresses().plain.unwrap()
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(future)
    }

    /// An association with MR image storage (1), verification (3) and storage commitment (5).
    fn associate(&self) -> Peer {
        let mut peer = Peer::connect(self.address());
        peer.send(&request("SCANNER1", "PRIMA"));
        let (kind, bytes) = peer.pdu();
        assert_eq!(kind, pdu::ASSOCIATE_AC, "{bytes:?}");
        peer
    }

    /// Files in a folder of the archive, at any depth.
    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().join("archive").join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }

    /// The data set as stored, without the 132 bytes and the meta group before it.
    fn stored(&self, sop_uid: &str) -> Option<Vec<u8>> {
        let known = self.store.instance(sop_uid).unwrap()?;
        let file = std::fs::read(self.folder.path().join("archive").join(known.path)).unwrap();
        let meta = archive::meta::read(&file).unwrap();
        Some(file[meta.data_at..].to_vec())
    }

    fn events(&self) -> Vec<String> {
        self.store.events(50).unwrap().into_iter().map(|event| event.text).collect()
    }

    /// Waits for what the receiver does on its own after the peer has gone.
    fn eventually(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let begun = std::time::Instant::now();
        while !condition() {
            assert!(begun.elapsed() < Duration::from_secs(10), "{what}: {:?}", self.events());
            std::thread::yield_now();
        }
    }
}

/// A-ASSOCIATE-RQ.
fn request(calling: &str, called: &str) -> Vec<u8> {
    let context = |id, uid: &str| PresentationContextProposed {
        id,
        abstract_syntax: uid.to_owned(),
        transfer_syntaxes: vec![uids::EXPLICIT_VR_LITTLE_ENDIAN.to_owned()],
    };
    let request = Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: calling.to_owned(),
        called_ae_title: called.to_owned(),
        application_context_name: access::APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: vec![
            context(1, MR),
            context(3, uids::VERIFICATION),
            context(5, uids::STORAGE_COMMITMENT_PUSH_MODEL),
            context(7, "1.2.840.10008.5.1.4.1.2.2.1"),
        ],
        user_variables: Vec::new(),
    });
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &request).unwrap();
    bytes
}

/// The other side of a connection.
struct Peer(TcpStream);

impl Peer {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The next PDU: its type and what follows the header.
    fn pdu(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 6];
        self.0.read_exact(&mut header).unwrap();
        let length = u32::from_be_bytes(header[2..].try_into().unwrap()) as usize;
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap();
        (header[0], bytes)
    }

    /// The next command, of one fragment.
    fn command(&mut self) -> (u8, Command) {
        let (kind, bytes) = self.pdu();
        assert_eq!(kind, pdu::P_DATA, "{bytes:?}");
        let (pdv, rest) = pdu::split_pdv(&bytes).unwrap();
        assert!(pdv.command && pdv.last && rest.is_empty());
        (pdv.context, parse(pdv.data).unwrap())
    }

    /// The status of the next response.
    fn status(&mut self) -> u16 {
        self.command().1.status
    }

    /// Expects an A-ABORT by the service provider: its reason. Then the connection ends.
    fn aborted(&mut self) -> u8 {
        let (kind, bytes) = self.pdu();
        assert_eq!((kind, bytes[2]), (pdu::ABORT, 2));
        self.ended();
        bytes[3]
    }

    fn ended(&mut self) {
        self.0.shutdown(std::net::Shutdown::Write).ok();
        let mut rest = Vec::new();
        // A reset is an end, too.
        self.0.read_to_end(&mut rest).ok();
        assert!(rest.is_empty(), "{rest:?}");
    }

    fn release(mut self) {
        self.send(&pdu::release(pdu::RELEASE_RQ));
        assert_eq!(self.pdu().0, pdu::RELEASE_RP);
        self.ended();
    }

    /// Sends an image and returns the status.
    fn store(&mut self, sop_uid: &str, data_set: &[u8]) -> u16 {
        let mut bytes = p_data(&[(1, 3, &store_rq(1, MR, sop_uid))]);
        for fragment in fragments(data_set, 60_000) {
            bytes.extend(p_data(&[fragment]));
        }
        self.send(&bytes);
        self.status()
    }
}

/// A P-DATA PDU of (context, control, data).
fn p_data(values: &[(u8, u8, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (context, control, data) in values {
        body.extend((u32::try_from(data.len()).unwrap() + 2).to_be_bytes());
        body.extend([*context, *control]);
        body.extend(*data);
    }
    raw_pdu(pdu::P_DATA, &body)
}

fn raw_pdu(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0];
    bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A data set on context 1 in fragments of this size.
fn fragments(data_set: &[u8], size: usize) -> Vec<(u8, u8, &[u8])> {
    let last = data_set.len().div_ceil(size) - 1;
    let control = |at| if at == last { 2 } else { 0 };
    data_set.chunks(size).enumerate().map(|(at, chunk)| (1, control(at), chunk)).collect()
}

fn command(field: u16, id: u16, class: &str, instance: &str, data_set_type: u16) -> Vec<u8> {
    let mut elements = vec![
        (element::AFFECTED_CLASS, Value::Uid(class)),
        (element::FIELD, Value::Number(field)),
        (element::MESSAGE_ID, Value::Number(id)),
        (element::DATA_SET_TYPE, Value::Number(data_set_type)),
    ];
    if !instance.is_empty() {
        elements.push((element::AFFECTED_INSTANCE, Value::Uid(instance)));
    }
    if field == field::N_ACTION_RQ {
        elements.push((element::ACTION_TYPE, Value::Number(1)));
    }
    encode(&elements)
}

fn echo_rq(id: u16) -> Vec<u8> {
    command(field::C_ECHO_RQ, id, uids::VERIFICATION, "", NO_DATA_SET)
}

fn store_rq(id: u16, class: &str, instance: &str) -> Vec<u8> {
    command(field::C_STORE_RQ, id, class, instance, WITH_DATA_SET)
}

/// An MR image in Explicit VR Little Endian with this many bytes of pixels.
fn image(sop_uid: &str, pixels: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut text = |group: u16, number: u16, vr: &[u8; 2], value: &str| {
        let padding = if vr == b"UI" { "\0" } else { " " };
        let value = if value.len() % 2 == 1 { format!("{value}{padding}") } else { value.into() };
        bytes.extend([group.to_le_bytes(), number.to_le_bytes(), *vr].concat());
        bytes.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
        bytes.extend(value.as_bytes());
    };
    text(0x0008, 0x0016, b"UI", MR);
    text(0x0008, 0x0018, b"UI", sop_uid);
    text(0x0008, 0x0060, b"CS", "MR");
    text(0x0020, 0x000D, b"UI", "1.2.3");
    text(0x0020, 0x000E, b"UI", "1.2.3.4");
    bytes.extend(b"\xE0\x7F\x10\x00OW\0\0");
    bytes.extend(u32::try_from(pixels).unwrap().to_le_bytes());
    bytes.extend((0..pixels).map(|at| at.to_le_bytes()[at % 3]));
    bytes
}
