//! Pages over TLS, with a certificate that the box makes: what a browser gets that trusts its
//! authority, and what others get.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use tests::daemon::Launch;
use tests::program;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::{Clinic, available, fail, succeed};

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// Makes a certificate for this machine; its folder, and what was said.
fn make(folder: &TempDir, name: &str) -> (PathBuf, String) {
    let out = folder.path().join(name);
    let path = text(&out);
    let hosts = ["--host", "127.0.0.1", "--host", "triage.test"];
    let arguments = [&["make-certificate"], &hosts[..], &["--out", &path]].concat();
    let said = succeed(program("appliance"), &arguments);
    (out, said)
}

fn settings(folder: &Path) -> String {
    let [certificate, key] = ["server.crt", "server.key"].map(|name| text(&folder.join(name)));
    format!("web.tls.certificate_file = '{certificate}'\nweb.tls.key_file = '{key}'\n")
}

/// A browser that trusts one authority.
fn browser(folder: &Path) -> Agent {
    let authority = fs::read(folder.join("ca.crt")).expect("the authority");
    let authority = Certificate::from_pem(&authority).expect("PEM");
    let tls = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(vec![authority])));
    let config = Agent::config_builder().tls_config(tls.build()).max_redirects(0).build();
    Agent::new_with_config(config)
}

#[test]
fn a_browser_that_trusts_the_box_works_over_tls() {
    let folder = TempDir::new().expect("a folder");
    let (own, _) = make(&folder, "own");
    let (other, _) = make(&folder, "other");
    let clinic = Clinic::open(&settings(&own));
    let url = format!("https://{}", clinic.daemon.web);
    let code = clinic.daemon.setup_code.as_ref().expect("a code for the first user");
    let first = browser(&own)
        .post(format!("{url}/setup"))
        .header("Origin", &url)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .send(format!("code={code}&name=Ada&password=four+words+in+a+row"))
        .expect("an answer");
    assert_eq!(first.status(), 303);
    let cookie = first.headers()["set-cookie"].to_str().expect("ASCII").to_owned();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
    let session = cookie.split(';').next().expect("a session").to_owned();
    let list = browser(&own).get(format!("{url}/")).header("Cookie", session).call();
    assert_eq!(list.expect("an answer").status(), 200);

    let why =
        browser(&other).get(format!("{url}/login")).call().expect_err("a stranger's authority");
    assert!(why.to_string().contains("UnknownIssuer"), "{why}");
    let plain = ureq::get(format!("http://{}/login", clinic.daemon.web)).call();
    assert!(matches!(plain, Err(ureq::Error::StatusCode(400))), "{plain:?}");
}

#[test]
fn openssl_takes_the_certificate_and_old_versions_are_refused() {
    if !available("openssl", Command::new("openssl").arg("version")) {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let (own, said) = make(&folder, "own");
    let [authority, certificate] = ["ca.crt", "server.crt"].map(|name| text(&own.join(name)));
    let checks = ["verify", "-CAfile", &authority, "-purpose", "sslserver", "-verify_hostname"];
    succeed("openssl", &[&checks[..], &["triage.test", &certificate]].concat());
    let printed =
        succeed("openssl", &["x509", "-in", &authority, "-noout", "-fingerprint", "-sha256"]);
    let (_, fingerprint) = printed.trim().split_once('=').expect("a fingerprint");
    assert!(said.contains(fingerprint), "{fingerprint} is not in {said}");
    let again = ["make-certificate", "--host", "127.0.0.1", "--out", &text(&own)];
    let refused = fail(program("appliance"), &again);
    assert!(refused.contains("ca.crt is there already"), "{refused}");

    let clinic = Clinic::open(&settings(&own));
    let speaks = |version: &str| {
        let address = clinic.daemon.web.to_string();
        let mut client = Command::new("openssl");
        client.args(["s_client", "-connect", &address, "-CAfile", &authority]);
        client.args(["-verify_return_error", "-cipher", "DEFAULT@SECLEVEL=0", version]);
        client.stdin(Stdio::null()).output().expect("openssl").status.success()
    };
    let spoken = ["-tls1_1", "-tls1_2", "-tls1_3"].map(speaks);
    assert_eq!(spoken, [false, true, true]);
}

#[test]
fn a_certificate_that_is_not_there_is_told_at_the_start() {
    let folder = TempDir::new().expect("a folder");
    let mut launch = Launch::new(folder.path());
    launch.settings = settings(Path::new("nowhere"));
    let why = launch.start().expect_err("no certificate").to_string();
    let expected = "the web pages cannot be encrypted; see web.tls in the settings\n  because: \
                    nowhere/server.crt has no certificate that can be read (PEM)";
    assert!(why.contains(expected), "{why}");
}
