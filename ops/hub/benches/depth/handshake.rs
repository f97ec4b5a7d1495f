//! What a new connection of a box costs the hub: its side of TLS 1.3 with both certificates,
//! without a network.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub::authority::{Authority, write_private};
use hub::clock::{Clock as _, SystemClock};
use hub::http::tls::acceptor;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use tempfile::TempDir;

const HOST: &str = "hub.test";

/// The hub's time for each of so many connections, none of which resumes another.
pub(crate) fn server_times(count: usize) -> Vec<Duration> {
    let folder = TempDir::new().unwrap();
    let now_ms = SystemClock.now_ms();
    let authority = Authority::create(folder.path(), now_ms).unwrap();
    let (key, certificate) = authority.certify_hub(&[HOST.to_owned()], now_ms).unwrap();
    let [key_file, certificate_file] = ["hub.key", "hub.pem"].map(|name| folder.path().join(name));
    write_private(&key_file, &key).unwrap();
    write_private(&certificate_file, &certificate).unwrap();
    let server = acceptor(&certificate_file, &key_file, authority.pem()).unwrap();
    let client = Arc::new(client(&authority, now_ms));
    (0..count).map(|_| handshake(server.config(), &client)).collect()
}

fn client(authority: &Authority, now_ms: i64) -> ClientConfig {
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap();
    let given = authority.certify(&request.pem().unwrap(), "clinic-1", now_ms).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let shown = vec![CertificateDer::from_pem_slice(given.pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(shown, key)
        .unwrap();
    config.resumption = rustls::client::Resumption::disabled();
    config
}

fn handshake(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Duration {
    let name = ServerName::try_from(HOST).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut spent = Duration::ZERO;
    let begun = Instant::now();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    spent += begun.elapsed();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        let begun = Instant::now();
        let mut answer = Vec::new();
        take(&wire, |bytes| server.read_tls(bytes));
        server.process_new_packets().unwrap();
        write(&mut answer, |bytes| server.write_tls(bytes));
        spent += begun.elapsed();
        take(&answer, |bytes| client.read_tls(bytes));
        client.process_new_packets().unwrap();
    }
    spent
}

fn take(mut wire: &[u8], mut read: impl FnMut(&mut dyn Read) -> std::io::Result<usize>) {
    while !wire.is_empty() {
        read(&mut wire).unwrap();
    }
}

fn write(wire: &mut Vec<u8>, mut write: impl FnMut(&mut dyn Write) -> std::io::Result<usize>) {
    while write(wire).unwrap() > 0 {}
}
