//! A box as a hub sees it, without the box: a certificate, a connection, and rows.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use exchange::enrolment::Asked;
use exchange::flag::{Finding, Flag, Model, Patient, Referral, Study};
use exchange::row::{Key, Kind, Row};
use exchange::telemetry::Outcome as Case;
use exchange::wire::{self, Hello, Outcome, Reply, Request};
use hub::setup::Home;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tests::sender::Random;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// A pause after a failure is at most this at first, and at most so long.
const PAUSES_MS: (u64, u64) = (1000, 60_000);

type Connection = BufReader<TlsStream<TcpStream>>;

/// One box.
pub(crate) struct Clinic {
    /// What the hub calls it.
    pub(crate) site: String,
    /// Deliveries that failed and were tried again.
    pub(crate) failures: usize,
    hub: SocketAddr,
    tls: Arc<ClientConfig>,
    connection: Option<Connection>,
    written: usize,
    noise: Random,
}

impl Clinic {
    /// Lets so many in at a hub.
    pub(crate) fn enrolled(home: &Home, hub: SocketAddr, count: usize) -> Vec<Self> {
        let (store, enrolment) = (home.store().unwrap(), home.enrolment().unwrap());
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(enrolment.authority().pem().as_bytes()).unwrap();
        roots.add(ca).unwrap();
        let roots = Arc::new(roots);
        let minisign_key = minisign_key(home);
        let clinic = |number: u32| {
            let site = format!("clinic-{number}");
            let code = store.add_site(&site, "").unwrap();
            let key = KeyPair::generate().unwrap();
            let csr = CertificateParams::default().serialize_request(&key).unwrap();
            let minisign_key = minisign_key.clone();
            let asked = Asked { code, csr: csr.pem().unwrap(), minisign_key };
            // Every clinic has an address of its own.
            let from = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number));
            let given = enrolment.enrol(&store, from, &asked).unwrap();
            let chain = vec![CertificateDer::from_pem_slice(given.certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
            let tls = ClientConfig::builder()
                .with_root_certificates(Arc::clone(&roots))
                .with_client_auth_cert(chain, key)
                .unwrap();
            Self {
                site,
                failures: 0,
                hub,
                tls: Arc::new(tls),
                connection: None,
                written: 0,
                noise: Random(number.into()),
            }
        };
        (0..u32::try_from(count).unwrap()).map(clinic).collect()
    }

    /// Rows written so far.
    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// New rows: of every four, a study's flag, its reader's decision, and what came of it twice.
    pub(crate) fn write(&mut self, count: usize) -> Vec<Row> {
        let rows = (self.written..self.written + count).map(|n| row(&self.site, n));
        self.written += count;
        rows.collect()
    }

    /// Sends rows until the hub has them, with pauses as a box makes them.
    pub(crate) async fn deliver(&mut self, rows: &[Row]) {
        let request = Request { hello: Hello::default(), rows: rows.to_vec() }.encode().unwrap();
        let mut limit_ms = PAUSES_MS.0;
        loop {
            let tried = tokio::time::timeout(PATIENCE, self.exchange(&request)).await;
            if let Ok(Ok(reply)) = tried {
                let taken =
                    |outcome: &Outcome| matches!(outcome, Outcome::Stored | Outcome::Duplicate);
                assert!(
                    reply.answers.len() == rows.len()
                        && reply.answers.iter().all(|answer| taken(&answer.outcome)),
                    "{:?}",
                    reply.answers
                );
                return;
            }
            self.failures += 1;
            self.connection = None;
            let pause = Duration::from_millis(self.noise.between(0, limit_ms));
            tokio::time::sleep(pause).await;
            limit_ms = (2 * limit_ms).min(PAUSES_MS.1);
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> std::io::Result<Reply> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(self.hub, &self.tls).await?),
        };
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
            wire::PATH,
            self.hub,
            wire::MEDIA_TYPE,
            request.len()
        );
        connection.write_all(&[head.as_bytes(), request].concat()).await?;
        connection.flush().await?;
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        let is_good = line.starts_with("HTTP/1.1 200");
        let mut length = 0;
        while line != "\r\n" {
            line.clear();
            if connection.read_line(&mut line).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body).await?;
        let refused = || std::io::Error::other("refused");
        if is_good { Reply::decode(&body).map_err(|_| refused()) } else { Err(refused()) }
    }
}

async fn connect(hub: SocketAddr, tls: &Arc<ClientConfig>) -> std::io::Result<Connection> {
    let stream = TcpStream::connect(hub).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::from(hub.ip());
    Ok(BufReader::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
}

/// A key that the hub takes; these boxes write no sticks.
fn minisign_key(home: &Home) -> String {
    let signing = home.keys().unwrap().signing;
    let signing = minisign::SecretKeyBox::from_string(&signing).unwrap();
    let signing = signing.into_unencrypted_secret_key().unwrap();
    minisign::PublicKey::from_secret_key(&signing).unwrap().to_base64()
}

fn row(site: &str, number: usize) -> Row {
    let key = Key { epoch: "bench".into(), seq: i64::try_from(number).unwrap() + 1 };
    let study = format!("2.25.{}.{}", site.len(), number / 4);
    let (kind, study, body) = match number % 4 {
        asked @ (0 | 1) => {
            let body = serde_json::to_string(&flag(&study, asked == 0)).unwrap();
            (Kind::Flag, study, body)
        }
        _ => {
            let case = Case {
                case: study,
                outcome: "analysed".into(),
                acuity: "high".into(),
                sex: "F".into(),
                age_band: "40-59".into(),
                vendor: "siemens".into(),
                result_s: Some(95),
                ..Case::default()
            };
            (Kind::Outcome, String::new(), serde_json::to_string(&case).unwrap())
        }
    };
    Row::seal(key, kind, study, 1, body)
}

/// A flag of the usual length, 2 KB.
fn flag(study: &str, asked: bool) -> Flag {
    let finding = |n: usize| Finding {
        label: format!("vascular_hemorrhagic_intracranial_hemorrhage_{n}"),
        name: "intracranial hemorrhage".into(),
        margin: 0.5,
        probability: Some(0.7),
        acuity: "high".into(),
    };
    let referral = |service: &str| Referral {
        service: service.into(),
        urgency: "emergency".into(),
        reason: "Intracranial haemorrhage can grow within hours.".into(),
        findings: vec!["vascular_hemorrhagic_intracranial_hemorrhage_1".into()],
    };
    Flag {
        asked,
        patient: Patient { id: "P1".into(), name: "PHIRI^GRACE".into(), ..Patient::default() },
        study: Study { uid: study.into(), ..Study::default() },
        acuity: "high".into(),
        referrals: ["neurosurgery", "neurology"].map(referral).to_vec(),
        findings: (0..8).map(finding).collect(),
        model: Model { id: "edge-simulated-2".into(), ..Model::default() },
        ..Flag::default()
    }
}
