//! Uploads by tus 1.0 between us and the tus project: our uploader into its server, its client into
//! any endpoint, over TLS with certificates on both sides.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use appliance::clock::SystemClock;
use appliance::hub::identity::Identity;
use appliance::hub::link::{Address, HubLink};
use exchange::courier::{Fault, Link as _};
use exchange::row::hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::node::{Script, node};
use super::tls::Keys;
use super::{repository, succeed};

const SERVER: [&str; 2] = ["@tus/server", "@tus/file-store"];
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes that do not repeat, and their SHA-256.
fn content(length: u32) -> (Vec<u8>, String) {
    let bytes: Vec<u8> =
        (0..length).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let sha256 = hex(&Sha256::digest(&bytes));
    (bytes, sha256)
}

/// The project's server with a certificate for this machine; its port.
fn server(keys: &Keys, folder: &Path) -> Option<(Script, String)> {
    let [certificate, key] = keys.pair("server");
    let folder = folder.to_str().expect("UTF-8");
    let arguments = [folder, &keys.file("ca.pem"), &certificate, &key];
    let mut script = Script::start("tus_peer.mjs", &SERVER, &arguments)?;
    let port = script.line();
    Some((script, port))
}

/// What the project's client makes of an endpoint: interrupted once, and then whole.
pub(crate) fn check_endpoint(url: &str, [ca, certificate, key]: [&str; 3]) {
    let Some((node, modules)) = node(&["tus-js-client"]) else { return };
    let folder = TempDir::new().expect("a folder");
    let (bytes, sha256) = content(1_000_003);
    let file = folder.path().join("file");
    fs::write(&file, &bytes).expect("a file");
    let script = repository().join("tests/interop/tus_client.mjs");
    let [script, modules, file] =
        [&script, &modules, &file].map(|path| path.to_str().expect("UTF-8"));
    let arguments = [script, modules, url, file, &sha256, ca, certificate, key];
    let printed = succeed(node, &arguments);
    let report: Value = serde_json::from_str(&printed).expect("JSON");
    // Eighths, so that four are half of it.
    let half = 4 * bytes.len().div_ceil(8);
    assert_eq!((&report["cut"], &report["resumed"]), (&json!(half), &json!(half)), "{report}");
    assert_eq!(report["whole"], 204, "{report}");
}

/// What fails against our hub and not here is ours.
#[test]
fn the_projects_client_and_server_understand_each_other() {
    let Some(keys) = Keys::make() else { return };
    let folder = TempDir::new().expect("a folder");
    let Some((mut script, port)) = server(&keys, folder.path()) else { return };
    let [certificate, key] = keys.pair("client");
    let url = format!("https://127.0.0.1:{port}/v1/blobs");
    check_endpoint(&url, [&keys.file("ca.pem"), &certificate, &key]);
    let (_, sha256) = content(1_000_003);
    assert_eq!(script.line(), format!("{sha256} {sha256}"));
}

/// A box that this certificate makes.
fn identity(keys: &Keys, name: &str) -> Identity {
    let folder = TempDir::new().expect("a folder");
    let [certificate, key] = keys.pair(name);
    for (from, to) in
        [(keys.file("ca.pem"), "ca.pem"), (certificate, "certificate.pem"), (key, "key.pem")]
    {
        fs::copy(from, folder.path().join(to)).expect("a copy");
    }
    Identity::load(folder.path()).expect("an identity")
}

#[test]
fn our_uploader_goes_on_where_the_projects_server_is() {
    let Some(keys) = Keys::make() else { return };
    let folder = TempDir::new().expect("a folder");
    let Some((mut script, port)) = server(&keys, folder.path()) else { return };
    let address = Address::parse(&format!("https://127.0.0.1:{port}")).expect("an address");
    let link = |name: &str| {
        HubLink::new(address.clone(), &identity(&keys, name), Arc::new(SystemClock::new()))
    };
    let (bytes, sha256) = content(300_001);
    let (first, rest) = bytes.split_at(100_000);
    let mut box_link = link("client");
    let place = box_link.create(&sha256, bytes.len() as u64).expect("a place");
    assert_eq!(box_link.offset(&place), Ok(Some(0)));
    assert_eq!(box_link.append(&place, 0, first, PATIENCE), Ok(100_000));
    // The answer was lost: the piece comes once more, and is in the way.
    let again = box_link.append(&place, 0, first, PATIENCE);
    assert!(matches!(again, Err(Fault::Refused { status: 409, .. })), "{again:?}");
    drop(box_link);
    let mut later = link("client");
    assert_eq!(later.offset(&place), Ok(Some(100_000)));
    let whole = later.append(&place, 100_000, rest, PATIENCE);
    assert_eq!(whole, Ok(bytes.len() as u64));
    assert_eq!(script.line(), format!("{sha256} {sha256}"));
    assert_eq!(later.offset("/v1/blobs/nothing"), Ok(None));
    let stranger = link("stranger").create(&sha256, 5);
    assert!(matches!(stranger, Err(Fault::Barred(_) | Fault::Silent(_))), "{stranger:?}");
}
