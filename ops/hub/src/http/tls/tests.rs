use axum::extract::ConnectInfo;
use axum::{Router, routing};
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use super::*;
use crate::authority::{Authority, CERTIFICATE, write_private};
use crate::store::testing::NOW_MS;

async fn who(ConnectInfo(peer): ConnectInfo<Peer>) -> String {
    peer.certificate.map_or("nobody".to_owned(), |shown| format!("{} {}", shown.site, shown.serial))
}

/// A door behind which a handler says who came in.
async fn door() -> (SocketAddr, Authority, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(folder.path(), NOW_MS).unwrap();
    let (key, certificate) = authority.certify_hub(&["hub.test".to_owned()], NOW_MS).unwrap();
    let [key_file, certificate_file] = ["hub.key", "hub.pem"].map(|name| folder.path().join(name));
    write_private(&key_file, &key).unwrap();
    write_private(&certificate_file, &certificate).unwrap();
    let acceptor = acceptor(&certificate_file, &key_file, authority.pem()).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listener = Listener::new(tcp, acceptor).unwrap();
    let address = listener.address;
    let router = Router::new().route("/", routing::get(who));
    let service = router.into_make_service_with_connect_info::<Peer>();
    tokio::spawn(axum::serve(listener, service).into_future());
    (address, authority, folder)
}

/// What the door says to a client, or why it is not let in.
async fn knock(
    address: SocketAddr,
    authority: &Authority,
    shows: Option<(String, KeyPair)>,
) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let config = match shows {
        None => builder.with_no_client_auth(),
        Some((pem, key)) => {
            let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("hub.test").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: hub.test\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.rsplit("\r\n").next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_box_is_who_its_certificate_says() {
    let (address, authority, _folder) = door().await;
    assert_eq!(knock(address, &authority, None).await.unwrap(), "nobody");
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    let issued = authority.certify(&request, "kilosa", NOW_MS).unwrap();
    let said = knock(address, &authority, Some((issued.pem, key))).await.unwrap();
    assert_eq!(said, format!("kilosa {}", issued.serial));
}

#[tokio::test]
async fn what_another_authority_signed_opens_no_door() {
    let (address, authority, folder) = door().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Authority::create(elsewhere.path(), NOW_MS).unwrap();
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    let issued = other.certify(&request, "kilosa", NOW_MS).unwrap();
    assert!(knock(address, &authority, Some((issued.pem, key))).await.is_err());
    let own = KeyPair::generate().unwrap();
    let own_signed = CertificateParams::default().self_signed(&own).unwrap().pem();
    assert!(knock(address, &authority, Some((own_signed, own))).await.is_err());
    // A box that expects another hub does not talk to this one.
    assert!(knock(address, &other, None).await.is_err());
    let mismatch = acceptor(&folder.path().join(CERTIFICATE), &folder.path().join("hub.key"), "");
    assert!(mismatch.is_err());
}
