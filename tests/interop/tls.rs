//! Encrypted associations by the BCP 195 profiles (PS3.15 B.12), with certificates made by
//! openssl as a hospital's engineer would make them.

use std::fs;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::{
    AE, Clinic, available, fail, free_port, have_dcmtk, pynetdicom, real_studies, succeed,
};

/// Two authorities, `ca` and `foreign_ca`, and who is certified by which.
const CERTIFIED: [(&str, &str); 4] =
    [("server", "ca"), ("client", "ca"), ("other", "ca"), ("stranger", "foreign_ca")];

pub(super) struct Keys(TempDir);

impl Keys {
    pub(super) fn make() -> Option<Self> {
        if !available("openssl", Command::new("openssl").arg("version")) {
            return None;
        }
        let keys = Self(TempDir::new().expect("a folder"));
        let settings = "[req]\ndistinguished_name = dn\n[dn]\n\
            [authority]\nbasicConstraints = critical,CA:TRUE\n\
            [leaf]\nbasicConstraints = CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";
        fs::write(keys.file("openssl.cnf"), settings).expect("a file");
        for authority in ["ca", "foreign_ca"] {
            keys.certify(authority, &["authority"]);
        }
        for (name, authority) in CERTIFIED {
            let [certificate, key] = keys.pair(authority);
            keys.certify(name, &["leaf", "-CA", &certificate, "-CAkey", &key]);
        }
        Some(keys)
    }

    fn certify(&self, name: &str, how: &[&str]) {
        let [certificate, key] = self.pair(name);
        let (config, subject) = (self.file("openssl.cnf"), format!("/CN={name}"));
        let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
        let files = ["-config", &config, "-subj", &subject, "-keyout", &key, "-out", &certificate];
        succeed("openssl", &[&request[..], &files, &["-extensions"], how].concat());
    }

    pub(super) fn file(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Certificate and key.
    pub(super) fn pair(&self, name: &str) -> [String; 2] {
        ["pem", "key"].map(|end| self.file(&format!("{name}.{end}")))
    }

    /// SHA-256 of a certificate, in hexadecimal.
    fn fingerprint(&self, name: &str) -> String {
        let [certificate, _] = self.pair(name);
        let printed =
            succeed("openssl", &["x509", "-in", &certificate, "-noout", "-fingerprint", "-sha256"]);
        let (_, digits) = printed.split_once('=').expect("a fingerprint");
        digits.trim().replace(':', "").to_lowercase()
    }

    /// A daemon with a TLS port, which is returned, beside the plain one.
    fn clinic(&self, more: &str) -> (Clinic, String) {
        let port = free_port();
        let [certificate, key] = self.pair("server");
        let clinic = Clinic::open(&format!(
            "dicom.tls.port = {port}\ndicom.tls.certificate_file = '{certificate}'\n\
             dicom.tls.key_file = '{key}'\n{more}"
        ));
        (clinic, port.to_string())
    }

    /// The settings that ask clients for a certificate of `ca`.
    fn mutual(&self) -> String {
        format!("dicom.tls.client_ca_file = '{}'\n", self.file("ca.pem"))
    }

    /// DCMTK's options for a client with this certificate and key that trusts `ca`.
    fn options(&self, name: &str) -> Vec<String> {
        let [certificate, key] = self.pair(name);
        ["+tls", &key, &certificate, "+cf", &self.file("ca.pem")].map(str::to_owned).to_vec()
    }
}

/// C-ECHO with options.
fn check(port: &str, options: &[String], accepted: bool) {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let arguments = [&options, &["-to", "5", "-aec", AE, "127.0.0.1", port][..]].concat();
    if accepted {
        succeed("echoscu", &arguments);
    } else {
        fail("echoscu", &arguments);
    }
}

#[test]
fn dcmtk_without_a_certificate() {
    let Some(keys) = Keys::make().filter(|_| have_dcmtk()) else { return };
    let (clinic, port) = keys.clinic("");
    let options = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (ca, foreign_ca) = (keys.file("ca.pem"), keys.file("foreign_ca.pem"));
    // Non-downgrading, plain and extended BCP 195 profile.
    for profile in ["+py", "+px", "+pz"] {
        check(&port, &options(&["+tla", profile, "+cf", &ca]), true);
    }
    check(&port, &options(&["+tla", "-ic"]), true);
    check(&port, &options(&["+tla", "+cf", &foreign_ca]), false);
    // Retired profiles have no cipher suite that is still allowed.
    check(&port, &options(&["+tla", "+pn", "+cf", &ca]), false);
    // Each port speaks one language, and gets over hearing the other.
    check(&port, &[], false);
    check(&clinic.port(), &options(&["+tla", "+cf", &ca]), false);
    check(&port, &options(&["+tla", "+cf", &ca]), true);
    check(&clinic.port(), &[], true);
}

#[test]
fn dcmtk_with_a_certificate() {
    let Some(keys) = Keys::make().filter(|_| have_dcmtk()) else { return };
    let (_clinic, port) = keys.clinic(&keys.mutual());
    check(&port, &keys.options("client"), true);
    check(&port, &keys.options("other"), true);
    check(&port, &keys.options("stranger"), false);
    check(&port, &["+tla".into(), "+cf".into(), keys.file("ca.pem")], false);
    check(&port, &keys.options("client"), true);

    let only = format!("dicom.tls.client_fingerprints = ['{}']\n", keys.fingerprint("client"));
    let (_clinic, port) = keys.clinic(&(keys.mutual() + &only));
    check(&port, &keys.options("client"), true);
    check(&port, &keys.options("other"), false);
}

/// The tap cannot read what is encrypted: the same files follow in the clear, and would be kept
/// aside if their bytes were others.
#[test]
fn dcmtk_sends_the_real_studies() {
    let Some(keys) = Keys::make().filter(|_| have_dcmtk()) else { return };
    let (clinic, port) = keys.clinic(&keys.mutual());
    let (folder, instances, studies) = real_studies();
    let folder = folder.to_str().expect("UTF-8");
    let client = keys.options("client");
    let client: Vec<&str> = client.iter().map(String::as_str).collect();
    let send = |options: &[&str], port: &str| {
        let whom = ["-R", "-aec", AE, "+sd", "+sp", "*.dcm", "+r", "127.0.0.1", port, folder];
        succeed("storescu", &[options, &whom].concat());
    };
    send(&client, &port);
    assert_eq!(super::stored_instances(&clinic.launch.data()).len(), instances);
    send(&[], &clinic.port());
    clinic.check_received(instances, studies);
}

#[test]
fn pynetdicom_over_both_versions() {
    let Some(keys) = Keys::make() else { return };
    let Some(python) = pynetdicom::python() else { return };
    let (_clinic, port) = keys.clinic(&keys.mutual());
    let [certificate, key] = keys.pair("client");
    for version in ["TLSv1_2", "TLSv1_3"] {
        let tls = ["--tls", &keys.file("ca.pem"), &certificate, &key, version];
        let report = pynetdicom::peer(
            &python,
            &[&[port.as_str()], &tls[..], &["commit", "0", "2.25.404"]].concat(),
        );
        let expected = json!({
            "status": 0, "same_transaction": true, "event_type": 2, "good": [],
            "failed": {"2.25.404": 0x0112},
        });
        assert_eq!(report, expected, "{version}");
    }
}
