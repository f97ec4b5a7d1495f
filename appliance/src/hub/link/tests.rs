//! Against a hub that does as a script says, over real TLS.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use exchange::wire::Head;
use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::*;
use crate::clock::ManualClock;
use crate::hub::identity::{AUTHORITY, CERTIFICATE, IdentityError, KEY};

/// 2026-11-24 00:31 UTC.
const NOW: i64 = 1_795_480_260_000;
const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(20);

/// An authority that signs certificates.
struct Authority {
    der: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "hub authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for `name` until the end of `year`, and its key.
    fn sign(&self, name: &str, year: i32) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// The box's files, with a certificate of `clients` and trust in `servers`.
fn enrolled(clients: &Authority, servers: &Authority) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = clients.sign("clinic-7", 2099);
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(AUTHORITY, &servers.pem);
    write(CERTIFICATE, &certificate.pem());
    write(KEY, &key.serialize_pem());
    folder
}

/// What the hub does with the next request.
enum Act {
    /// Answers and keeps the connection.
    Say(Vec<u8>),
    /// Answers so far and hangs up without a word.
    Cut(&'static str),
    /// Never answers.
    Nothing,
}

fn say(answer: &str) -> Act {
    Act::Say(answer.as_bytes().to_vec())
}

fn tls_config(servers: &Authority, clients: &Authority, year: i32) -> ServerConfig {
    let (certificate, key) = servers.sign("127.0.0.1", year);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.der.clone()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

/// A hub that plays the acts; its address, and for each request the number of its connection and
/// its head in lower case.
fn hub(config: ServerConfig, acts: Vec<Act>) -> (Address, Receiver<(usize, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let (requests, heard) = mpsc::channel();
    let config = Arc::new(config);
    thread::spawn(move || {
        let mut acts = VecDeque::from(acts);
        for (number, socket) in listener.incoming().enumerate() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, socket.unwrap());
            while let Some(head) = request(&mut stream) {
                drop(requests.send((number, head)));
                match acts.pop_front() {
                    Some(Act::Say(answer)) => stream.write_all(&answer).unwrap(),
                    Some(Act::Cut(answer)) => {
                        stream.write_all(answer.as_bytes()).unwrap();
                        break;
                    }
                    Some(Act::Nothing) | None => {}
                }
            }
            linger(stream.sock);
        }
    });
    (Address::parse(&url).unwrap(), heard)
}

/// Reads a request with its body.
fn request(stream: &mut StreamOwned<ServerConnection, TcpStream>) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |text| text.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    Some(head)
}

/// Closes without a reset, which could overtake what was sent.
fn linger(mut socket: TcpStream) {
    drop(socket.shutdown(Shutdown::Write));
    drop(socket.read_to_end(&mut Vec::new()));
}

fn link(address: Address, folder: &Path) -> HubLink {
    let identity = Identity::load(folder).unwrap();
    assert_eq!(identity.site, "clinic-7");
    HubLink::new(address, &identity, Arc::new(ManualClock::new(NOW)))
}

/// One authority, a hub that plays the acts, and a box that trusts it.
fn pair(acts: Vec<Act>) -> (HubLink, Receiver<(usize, String)>) {
    let authority = Authority::new();
    let folder = enrolled(&authority, &authority);
    let (address, heard) = hub(tls_config(&authority, &authority, 2099), acts);
    (link(address, folder.path()), heard)
}

fn reply() -> Act {
    let head = Head { wall_ms: NOW + 5000, more: false };
    let body = Reply { head, ..Reply::default() }.encode().unwrap();
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend(body);
    Act::Say(answer)
}

/// The sentence of a fault.
#[track_caller]
fn check(fault: &Fault, barred: bool, said: &str) {
    assert_eq!(matches!(fault, Fault::Barred(_)), barred, "{fault:?}");
    assert!(matches!(fault, Fault::Barred(_) | Fault::Silent(_)), "{fault:?}");
    let words = fault.to_string();
    assert!(words.contains(said), "{words}");
}

#[test]
fn one_connection_carries_batches_and_blobs() {
    let answers = [
        "HTTP/1.1 201 Created\r\nLocation: /v1/blobs/ab\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nUpload-Offset: 3\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nUpload-Offset: 7\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    ];
    let acts = [reply()].into_iter().chain(answers.map(say)).collect();
    let (mut link, heard) = pair(acts);
    let answer = link.exchange(b"batch", LONG).unwrap();
    assert_eq!(Reply::decode(&answer).unwrap().head.wall_ms, NOW + 5000);
    assert_eq!(link.contact(), Some(Contact { at: NOW, clock_offset_ms: 5000 }));
    let place = link.create("ab", 7).unwrap();
    assert_eq!(place, "/v1/blobs/ab");
    assert_eq!(link.offset(&place).unwrap(), Some(3));
    assert_eq!(link.append(&place, 3, b"data", LONG).unwrap(), 7);
    assert_eq!(link.offset(&place).unwrap(), None);
    let expected = [
        ("post /v1/exchange ", "content-type: application/x-ndjson+zstd\r\n"),
        // `YWI=` is `ab` in base64.
        ("post /v1/blobs ", "upload-metadata: sha256 ywi=\r\n"),
        ("head /v1/blobs/ab ", "tus-resumable: 1.0.0\r\n"),
        ("patch /v1/blobs/ab ", "upload-offset: 3\r\n"),
        ("head /v1/blobs/ab ", "tus-resumable: 1.0.0\r\n"),
    ];
    for (line, header) in expected {
        let (connection, head) = heard.recv().unwrap();
        assert_eq!(connection, 0);
        assert!(head.starts_with(line) && head.contains(header), "{head}");
    }
}

#[test]
fn a_piece_of_a_file_is_what_was_asked_for_as_far_as_it_came() {
    let answer = |range: &str, body: &str| {
        format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: {range}\r\nContent-Length: 4\r\n\r\n\
             {body}"
        )
    };
    let half: &'static str = answer("bytes 3-6/9", "ab").leak();
    let (mut link, heard) = pair(vec![
        say(&answer("bytes 3-6/9", "abcd")),
        Act::Cut(half),
        say(&answer("bytes 0-3/9", "abcd")),
        say(&answer("bytes 3-6/10", "abcd")),
        say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"),
        say("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"),
    ]);
    let wanted = Wanted {
        bundle: "b".to_owned(),
        path: "heads/a".to_owned(),
        sha256: "ab".to_owned(),
        bytes: 9,
        offset: 3,
    };
    assert_eq!(link.fetch(&wanted, 4, LONG).unwrap(), b"abcd");
    let (_, head) = heard.recv().unwrap();
    assert!(head.starts_with("get /v1/models/ab "), "{head}");
    assert!(head.contains("\r\nrange: bytes=3-6\r\n"), "{head}");
    assert_eq!(link.fetch(&wanted, 4, LONG).unwrap(), b"ab", "before the cut");
    for said in ["bytes 0-3/9", "bytes 3-6/10", "none", "gone"] {
        let fault = link.fetch(&wanted, 4, LONG).unwrap_err();
        assert!(matches!(fault, Fault::Refused { .. }), "{fault:?}");
        assert!(fault.to_string().contains(said), "{fault}");
    }
}

#[test]
fn what_breaks_off_is_silence() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    let (mut link, _) = pair(vec![Act::Cut(half), Act::Cut(""), reply()]);
    for _ in 0..2 {
        check(&link.exchange(b"", LONG).unwrap_err(), false, "was cut off");
    }
    link.exchange(b"", LONG).unwrap();

    let (mut link, _) = pair(vec![Act::Nothing]);
    check(&link.exchange(b"", SHORT).unwrap_err(), false, "no answer from 127.0.0.1:");
}

#[test]
fn hanging_up_ends_a_wait() {
    let (mut link, heard) = pair(vec![Act::Nothing]);
    let hang_up = link.hang_up();
    let waiting = thread::spawn(move || link.exchange(b"", LONG).unwrap_err());
    heard.recv().unwrap();
    hang_up.now();
    check(&waiting.join().unwrap(), false, "was cut off");
}

#[test]
fn nobody_there() {
    let authority = Authority::new();
    let folder = enrolled(&authority, &authority);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = Address::parse(&format!("https://{free}")).unwrap();
    let fault = link(address, folder.path()).exchange(b"", LONG).unwrap_err();
    check(&fault, false, "nothing listens at 127.0.0.1:");
}

#[test]
fn a_listener_without_tls() {
    let authority = Authority::new();
    let folder = enrolled(&authority, &authority);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(b"HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n").unwrap();
        linger(socket);
    });
    let fault = link(address, folder.path()).exchange(b"", LONG).unwrap_err();
    check(&fault, false, "does not speak TLS");
}

#[test]
fn certificates_that_do_not_hold() {
    let (own, other) = (Authority::new(), Authority::new());
    let folder = enrolled(&own, &own);
    let fault = |config| {
        let (address, _heard) = hub(config, vec![reply()]);
        link(address, folder.path()).exchange(b"", LONG).unwrap_err()
    };
    let expired = fault(tls_config(&own, &own, 2020));
    check(&expired, true, "has expired (2020-12-31 00:00 UTC)");
    check(&expired, true, "which reads 2026-11-24 00:31 UTC and may be wrong");
    check(
        &fault(tls_config(&other, &own, 2099)),
        true,
        "its certificate is from another authority",
    );
    check(&fault(tls_config(&own, &other, 2099)), true, "does not accept this box's certificate");
}

#[test]
fn statuses_say_what_the_courier_does_next() {
    let empty = "Content-Length: 0\r\n\r\n";
    let answer =
        |status: &str, headers: &str| say(&format!("HTTP/1.1 {status}\r\n{headers}{empty}"));
    let text = "Content-Length: 10\r\n\r\nno\x07 thanks";
    let (mut link, _) = pair(vec![
        answer("429 Slow", "Retry-After: 17\r\n"),
        answer("503 Away", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n"),
        answer("500 Oh", ""),
        answer("302 Found", "Location: https://127.0.0.1/login\r\n"),
        say(&format!("HTTP/1.1 413 Large\r\n{text}")),
        say(&format!("HTTP/1.1 403 Forbidden\r\n{text}")),
    ]);
    let mut fault = || link.exchange(b"", LONG).unwrap_err();
    assert_eq!(fault(), Fault::Busy(Some(Duration::from_secs(17))));
    assert_eq!(fault(), Fault::Busy(None));
    assert_eq!(fault(), Fault::Failed(500));
    assert_eq!(fault(), Fault::Failed(302));
    assert_eq!(fault(), Fault::Refused { status: 413, said: "no thanks".to_owned() });
    check(&fault(), true, "(status 403, \"no thanks\")");
}

#[test]
fn places_are_relative_or_absolute() {
    let check = |url: &str, location: &str, place: &str, resolved: &str| {
        let address = Address::parse(url).unwrap();
        assert_eq!(address.place(location), place, "{location}");
        assert_eq!(address.url_of_place(place), resolved, "{location}");
    };
    let hub = "https://hub:8443";
    check(hub, "/v1/blobs/a", "/v1/blobs/a", "https://hub:8443/v1/blobs/a");
    check(hub, "blobs/a", "/v1/blobs/a", "https://hub:8443/v1/blobs/a");
    check(hub, "https://hub:8443/v1/blobs/a", "/v1/blobs/a", "https://hub:8443/v1/blobs/a");
    check(hub, "https://hub:84430/a", "https://hub:84430/a", "https://hub:84430/a");
    check(hub, "//other/a", "https://other/a", "https://other/a");
    check("https://hub/prima/", "blobs/a", "/prima/v1/blobs/a", "https://hub/prima/v1/blobs/a");
    for no_address in ["", "hub", "http://hub", "https://", "https://me@hub", "https://hub/?a=b"] {
        assert_eq!(Address::parse(no_address), None, "{no_address}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let folder = enrolled(&authority, &authority);
    let path = folder.path();
    let (_, other) = authority.sign("clinic-7", 2099);
    std::fs::write(path.join(KEY), other.serialize_pem()).unwrap();
    let error = Identity::load(path).unwrap_err();
    assert!(error.to_string().contains("key.pem cannot be used"), "{error}");
    std::fs::write(path.join(CERTIFICATE), "").unwrap();
    let error = Identity::load(path).unwrap_err();
    assert!(error.to_string().contains("it holds no certificate"), "{error}");
    std::fs::remove_file(path.join(AUTHORITY)).unwrap();
    assert!(matches!(Identity::load(path), Err(IdentityError::NotEnrolled { .. })));
}
