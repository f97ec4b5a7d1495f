use std::net::SocketAddr;

use axum::http::request::Builder;
use exchange::offer::Part;
use exchange::row::hex;
use exchange::stick;
use exchange::wire::{Hello, Reply, Request as Batch};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::*;
use crate::authority::Authority;
use crate::blobs::{Folder, Name};
use crate::receive::Limits;
use crate::store::offers::Bundle;
use crate::store::testing::{NOW_MS, store};

const LIMITS: Limits = Limits {
    row_bytes: 1 << 20,
    blob_bytes: 1 << 20,
    one_blob_bytes: 1 << 20,
    requests_per_minute: 6000,
    requests_in_a_row: 100,
};

struct Bench {
    router: Router,
    hub: Arc<Hub>,
    _folder: TempDir,
}

/// A hub with the sites `a` and `b`, whose boxes have the certificates 0a and 0b.
fn bench() -> Bench {
    let (store, _) = store();
    for site in ["a", "b"] {
        let code = store.add_site(site, site).unwrap();
        store.enrol(&code, "r", site, &format!("0{site}"), "key").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(folder.path(), NOW_MS).unwrap();
    let blobs = Arc::new(Folder::new(&folder.path().join("blobs")));
    let hub = Arc::new(Hub::new(store, blobs, LIMITS));
    let enrolment = Enrolment::new(authority, "age1".to_owned(), "hub-key".to_owned());
    let router = make_router(Arc::clone(&hub), Arc::new(enrolment));
    Bench { router, hub, _folder: folder }
}

fn peer(certificate: Option<(&str, &str)>) -> ConnectInfo<Peer> {
    let certificate = certificate
        .map(|(site, serial)| Certificate { site: site.to_owned(), serial: serial.to_owned() });
    ConnectInfo(Peer { address: SocketAddr::from(([10, 0, 0, 1], 1)), certificate })
}

/// Of the box at site `a`.
fn ask(method: &str, path: &str) -> Builder {
    axum::http::Request::builder().method(method).uri(path).extension(peer(Some(("a", "0a"))))
}

fn tus(method: &str, path: &str) -> Builder {
    ask(method, path).header("Tus-Resumable", "1.0.0")
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn said(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

async fn send(bench: &Bench, request: Builder, body: impl Into<Body>) -> Answer {
    let request = request.body(body.into()).unwrap();
    let response = bench.router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

fn poll() -> Vec<u8> {
    Batch { hello: Hello::default(), rows: Vec::new() }.encode().unwrap()
}

#[tokio::test]
async fn only_a_certificate_that_is_good_now_gets_in() {
    let bench = bench();
    let with = |certificate| {
        axum::http::Request::builder().method("POST").uri(wire::PATH).extension(peer(certificate))
    };
    let good = send(&bench, with(Some(("a", "0a"))), poll()).await;
    assert_eq!((good.status, good.header("content-type")), (200, wire::MEDIA_TYPE));
    assert_eq!(Reply::decode(&good.body).unwrap().head.wall_ms, NOW_MS);
    assert_eq!(send(&bench, with(None), poll()).await.status, 401);
    for (site, serial) in [("a", "0b"), ("a", "0c"), ("c", "0a")] {
        let unknown = send(&bench, with(Some((site, serial))), poll()).await;
        assert_eq!(unknown.status, 403, "{site} {serial}");
        assert!(unknown.said().contains("does not know the certificate"), "{}", unknown.said());
    }
    bench.hub.store().revoke_site("a").unwrap();
    let revoked = send(&bench, with(Some(("a", "0a"))), poll()).await;
    assert_eq!(revoked.status, 403);
    assert!(revoked.said().contains("is revoked"), "{}", revoked.said());
    assert_eq!(send(&bench, with(Some(("b", "0b"))), poll()).await.status, 200);
}

#[tokio::test]
async fn long_and_broken_requests_are_refused() {
    let bench = bench();
    let long = vec![0; wire::REQUEST_BYTES + 1];
    assert_eq!(send(&bench, ask("POST", wire::PATH), long).await.status, 413);
    assert_eq!(send(&bench, ask("POST", wire::PATH), "x").await.status, 400);
    assert_eq!(send(&bench, ask("GET", wire::PATH), "").await.status, 405);
    assert_eq!(send(&bench, ask("GET", "/v1/elsewhere"), "").await.status, 404);
}

#[tokio::test]
async fn a_site_that_asks_too_often_is_told_when_to_come_back() {
    let bench = bench();
    for _ in 0..LIMITS.requests_in_a_row {
        assert_eq!(send(&bench, ask("POST", wire::PATH), poll()).await.status, 200);
    }
    let refused = send(&bench, ask("POST", wire::PATH), poll()).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"));
}

#[tokio::test]
async fn an_upload_goes_through_in_pieces() {
    let bench = bench();
    let content: Vec<u8> = (0..700_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let sha256 = hex(&Sha256::digest(&content));
    let create = || {
        let metadata = format!("name eA==,sha256 {}", BASE64_STANDARD.encode(&sha256));
        tus("POST", BLOBS).header("Upload-Length", "700000").header("Upload-Metadata", metadata)
    };
    let made = send(&bench, create(), "").await;
    assert_eq!((made.status, made.header("upload-offset")), (201, "0"));
    assert_eq!(made.header("location"), format!("{BLOBS}/{sha256}"));
    assert!(made.header("upload-expires").ends_with(" GMT"), "{}", made.header("upload-expires"));
    let place = made.header("location").to_owned();
    let piece = |offset: usize| {
        tus("PATCH", &place)
            .header("Upload-Offset", offset.to_string())
            .header("Content-Type", PIECE_TYPE)
    };
    let first = send(&bench, piece(0), content[..1000].to_vec()).await;
    assert_eq!((first.status, first.header("upload-offset")), (204, "1000"));
    assert_eq!(send(&bench, piece(0), content[..1000].to_vec()).await.status, 409);
    let here = send(&bench, tus("HEAD", &place), "").await;
    assert_eq!((here.header("upload-offset"), here.header("upload-length")), ("1000", "700000"));
    assert_eq!((here.status, here.header("cache-control")), (200, "no-store"));
    // Longer than what is gathered in memory.
    let rest = send(&bench, piece(1000), content[1000..].to_vec()).await;
    assert_eq!((rest.status, rest.header("upload-offset")), (204, "700000"), "{}", rest.said());
    let again = send(&bench, create(), "").await;
    assert_eq!((again.status, again.header("upload-offset")), (201, "700000"));
    assert_eq!(again.header("upload-expires"), "");
    let other = tus("HEAD", &place).extension(peer(Some(("b", "0b"))));
    assert_eq!(send(&bench, other, "").await.status, 404);
}

#[tokio::test]
async fn tus_is_spoken_as_it_is_written() {
    let bench = bench();
    let options = send(&bench, ask("OPTIONS", BLOBS), "").await;
    assert_eq!((options.status, options.header("tus-version")), (204, "1.0.0"));
    assert_eq!(options.header("tus-extension"), "creation,expiration");
    assert_eq!(options.header("tus-max-size"), "1048576");
    let silent = send(&bench, ask("POST", BLOBS), "").await;
    assert_eq!((silent.status, silent.header("tus-version")), (412, "1.0.0"));
    assert_eq!(silent.header("tus-resumable"), "1.0.0");
    let place = format!("{BLOBS}/{}", "0".repeat(64));
    assert_eq!(send(&bench, tus("HEAD", &place), "").await.status, 404);
    let untyped = tus("PATCH", &place).header("Upload-Offset", "0");
    assert_eq!(send(&bench, untyped, "x").await.status, 415);
    let nowhere = tus("PATCH", &place).header("Content-Type", PIECE_TYPE);
    assert_eq!(send(&bench, nowhere, "x").await.status, 400);
    let nameless = tus("POST", BLOBS).header("Upload-Length", "5");
    assert_eq!(send(&bench, nameless, "").await.status, 400);
    let huge = tus("POST", BLOBS)
        .header("Upload-Length", "1048577")
        .header("Upload-Metadata", format!("sha256 {}", BASE64_STANDARD.encode("0".repeat(64))));
    assert_eq!(send(&bench, huge, "").await.status, 413);
}

#[tokio::test]
async fn a_model_is_handed_out_in_pieces_to_whom_it_is_offered() {
    let bench = bench();
    let content: Vec<u8> = (0..1_500_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let sha256 = hex(&Sha256::digest(&content));
    let name = Name::offered(&sha256).unwrap();
    bench.hub.blobs().append(&name, 0, &content).unwrap();
    bench.hub.blobs().finish(&name, 1_500_000).unwrap();
    let file = Part { path: "network".into(), sha256: sha256.clone(), bytes: 1_500_000 };
    let bundle = Bundle {
        id: "edge-2".into(),
        sha256: "2".repeat(64),
        manifest_bytes: 1,
        signature: String::new(),
        files: vec![file],
    };
    let path = format!("{}/{sha256}", offer::PATH);
    let range = |range: &str| ask("GET", &path).header("Range", range);
    assert_eq!(send(&bench, range("bytes=0-9"), "").await.status, 404, "nothing is offered");
    bench.hub.store().offer_model(&["a".into()], &bundle, "", "x").unwrap();
    let piece = send(&bench, range("bytes=1000-1999"), "").await;
    assert_eq!((piece.status, piece.header("content-range")), (206, "bytes 1000-1999/1500000"));
    assert!(piece.body == content[1000..2000]);
    let tail = send(&bench, range("bytes=1499990-9999999"), "").await;
    assert_eq!(tail.header("content-range"), "bytes 1499990-1499999/1500000");
    let most = send(&bench, range("bytes=7-1499999"), "").await;
    assert_eq!(most.header("content-range"), "bytes 7-1048582/1500000", "a MiB at once");
    for (range, status) in [
        ("bytes=1500000-", 400),
        ("bytes=1500000-1500001", 416),
        ("bytes=9-8", 416),
        ("bytes=0-18446744073709551615", 206),
        ("bytes=-5", 400),
        ("lines=0-9", 400),
    ] {
        let asked = ask("GET", &path).header("Range", range);
        assert_eq!(send(&bench, asked, "").await.status, status, "{range}");
    }
    assert_eq!(send(&bench, ask("GET", &path), "").await.status, 400, "never the whole");
    let other = range("bytes=0-9").extension(peer(Some(("b", "0b"))));
    assert_eq!(send(&bench, other, "").await.status, 404, "it is not offered to b");
    let nobody = range("bytes=0-9").extension(peer(None));
    assert_eq!(send(&bench, nobody, "").await.status, 401);
    let odd = ask("GET", &format!("{}/..%2Fhub.key", offer::PATH)).header("Range", "bytes=0-9");
    assert_eq!(send(&bench, odd, "").await.status, 404);
    bench.hub.store().withdraw_model(&["a".into()], "edge-2", "x").unwrap();
    let gone = send(&bench, range("bytes=0-9"), "").await;
    assert_eq!(gone.status, 404);
    assert!(gone.said().contains("offers it no more"), "{}", gone.said());
    bench.hub.store().offer_model(&["a".into()], &bundle, "", "x").unwrap();
    bench.hub.store().revoke_site("a").unwrap();
    assert_eq!(send(&bench, range("bytes=0-9"), "").await.status, 403);
}

fn asked(code: &str, key: &rcgen::KeyPair) -> Vec<u8> {
    let csr = rcgen::CertificateParams::default().serialize_request(key).unwrap();
    let minisign = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let asked = Asked {
        code: code.to_owned(),
        csr: csr.pem().unwrap(),
        minisign_key: minisign.pk.to_base64(),
    };
    stick::check_public_key(&asked.minisign_key).unwrap();
    serde_json::to_vec(&asked).unwrap()
}

#[tokio::test]
async fn a_box_enrols_with_a_code_and_is_let_in() {
    let bench = bench();
    let code = bench.hub.store().add_site("new", "New").unwrap();
    let path = enrolment::PATH;
    let enrol = || axum::http::Request::builder().method("POST").uri(path).extension(peer(None));
    let ca = send(&bench, axum::http::Request::builder().uri(enrolment::AUTHORITY_PATH), "").await;
    let key = rcgen::KeyPair::generate().unwrap();
    let request = asked(&code, &key);
    let given = send(&bench, enrol(), request.clone()).await;
    assert_eq!(given.status, 200, "{}", given.said());
    let given: Given = serde_json::from_slice(&given.body).unwrap();
    assert_eq!((given.site.as_str(), given.ca), ("new", ca.said()));
    let again = send(&bench, enrol(), request).await;
    assert_eq!(again.status, 200, "its answer may have been lost: {}", again.said());
    let thief = send(&bench, enrol(), asked(&code, &rcgen::KeyPair::generate().unwrap())).await;
    assert_eq!(thief.status, 403, "{}", thief.said());
    assert_eq!(send(&bench, enrol(), "{}").await.status, 400);
}

#[tokio::test]
async fn codes_cannot_be_guessed_at_speed() {
    let bench = bench();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut answers = Vec::new();
    for guess in 0..12 {
        let path = enrolment::PATH;
        let enrol = axum::http::Request::builder().method("POST").uri(path).extension(peer(None));
        answers.push(send(&bench, enrol, asked(&format!("guess-{guess}"), &key)).await.status);
    }
    assert_eq!(answers, [[403; 10].as_slice(), &[429; 2]].concat());
}
