//! Becoming one of a hub's boxes: keys are made here and stay here, a code from the hospital gets
//! them certified.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use exchange::courier::Fault;
use exchange::enrolment::{AUTHORITY_PATH, Asked, Given, PATH};
use exchange::stick;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use ureq::Body;
use ureq::http::Response;
use ureq::tls::RootCerts;

use super::identity::{
    AUTHORITY, CERTIFICATE, HUB_KEY, KEY, RECEIPT_KEY, RECIPIENT, SIGNING_KEY, certificates_in,
    facts, fingerprint, owned,
};
use super::link::{self, Address};
use crate::clock::Clock;

/// Keys and request of an enrolment whose answer did not come.
const PENDING: &str = "enrolment.json";
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most that is read of an answer.
const ANSWER_BYTES: u64 = 64 * 1024;

/// Why this box was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// No address of a hub.
    #[error("{0:?} is no address of a hub, expected one such as https://hub.hospital.org:8443")]
    Address(String),
    /// The hub did not answer as it should.
    #[error(transparent)]
    Link(#[from] Fault),
    /// It said no.
    #[error("the hub refused (status {status}): {said}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words.
        said: String,
    },
    /// Another hub, or somebody in between.
    #[error(
        "the authority that answers at {host} has the fingerprint {found}, expected {expected}: \
         somebody may be in between; telephone the hospital"
    )]
    Fingerprint {
        /// Host and port.
        host: String,
        /// SHA-256 of what was shown.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// The person at the keyboard said no.
    #[error("nothing was enrolled; ask the hospital for the fingerprint of its hub's authority")]
    Declined,
    /// What the hub gave makes no sense.
    #[error("what the hub gave cannot be used: {what}: {reason}")]
    Given {
        /// Which part.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// No key could be made.
    #[error("no key could be made: {0}")]
    Key(String),
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The certificate of a hub's authority, before anybody trusts it.
#[derive(Clone, Debug)]
pub struct Authority {
    /// SHA-256, hexadecimal.
    pub sha256: String,
    pem: String,
}

/// Asks whoever answers for the certificate of the hub's authority. Its fingerprint is to be
/// compared with what the hospital says.
///
/// # Errors
///
/// When nobody answers, or no certificate.
pub fn authority(address: &Address, clock: &dyn Clock) -> Result<Authority, EnrolError> {
    let agent = link::agent(link::tls().disable_verification(true).build());
    let request = agent.get(address.of(AUTHORITY_PATH));
    let answer = request.config().timeout_global(Some(PATIENCE)).build().call();
    let pem = text(answer, address, clock)?;
    let reason = |reason| EnrolError::Given { what: "the authority's certificate", reason };
    let certificates = certificates_in(pem.as_bytes()).map_err(reason)?;
    Ok(Authority { sha256: fingerprint(&certificates[0]), pem })
}

impl Authority {
    /// Compares the fingerprint with one that a person gave, with or without colons.
    ///
    /// # Errors
    ///
    /// When it is another.
    pub fn must_be(&self, expected: &str, address: &Address) -> Result<(), EnrolError> {
        let digits = expected.chars().filter(char::is_ascii_hexdigit).collect::<String>();
        if digits.eq_ignore_ascii_case(&self.sha256) {
            return Ok(());
        }
        Err(EnrolError::Fingerprint {
            host: address.host.clone(),
            found: self.sha256.clone(),
            expected: expected.to_owned(),
        })
    }
}

/// Makes keys, has them certified and puts everything into `folder`; the name of the site comes
/// out.
///
/// # Errors
///
/// When the hub refuses, or the files cannot be written. The same code is good for another try.
pub fn enrol(
    address: &Address,
    code: &str,
    authority: &Authority,
    folder: &Path,
    clock: &dyn Clock,
) -> Result<String, EnrolError> {
    fs::create_dir_all(folder)
        .map_err(|source| EnrolError::Write { path: folder.to_owned(), source })?;
    let pending = Pending::of(address, code, folder)?;
    let given = ask(address, &pending.asked, authority, clock)?;
    check(&given, &pending, authority)?;
    // The certificate last: whoever waits for another enrolment looks at it.
    for (name, content) in [
        (AUTHORITY, &given.ca),
        (SIGNING_KEY, &pending.signing_key),
        (RECEIPT_KEY, &stick::Secret::generate().to_text()),
        (HUB_KEY, &given.minisign_key),
        (RECIPIENT, &given.age_recipient),
        (KEY, &pending.key),
        (CERTIFICATE, &given.certificate),
    ] {
        write(folder, name, content.as_bytes())?;
    }
    // It would only be asked for again.
    drop(fs::remove_file(folder.join(PENDING)));
    Ok(given.site)
}

/// Keys that were made for a code.
#[derive(Serialize, Deserialize)]
struct Pending {
    host: String,
    asked: Asked,
    /// PEM.
    key: String,
    /// As minisign writes it.
    signing_key: String,
}

impl Pending {
    /// That of an earlier try with the same code, because the hub may have used the code up for it;
    /// else a new one.
    fn of(address: &Address, code: &str, folder: &Path) -> Result<Self, EnrolError> {
        let known = fs::read(folder.join(PENDING)).ok();
        let known = known.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        if let Some(known) = known
            && known.host == address.host
            && known.asked.code == code
        {
            return Ok(known);
        }
        let new = Self::new(address, code)?;
        let json = serde_json::to_vec(&new).map_err(|error| EnrolError::Key(error.to_string()))?;
        write(folder, PENDING, &json)?;
        Ok(new)
    }

    fn new(address: &Address, code: &str) -> Result<Self, EnrolError> {
        let failed = |error: &dyn std::error::Error| EnrolError::Key(error.to_string());
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| failed(&error))?;
        let mut params = CertificateParams::new(Vec::new()).map_err(|error| failed(&error))?;
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(&key).and_then(|request| request.pem());
        let signing =
            minisign::KeyPair::generate_unencrypted_keypair().map_err(|error| failed(&error))?;
        let secret = signing.sk.to_box(None).map_err(|error| failed(&error))?;
        Ok(Self {
            host: address.host.clone(),
            asked: Asked {
                code: code.to_owned(),
                csr: csr.map_err(|error| failed(&error))?,
                minisign_key: signing.pk.to_base64(),
            },
            key: key.serialize_pem(),
            signing_key: secret.into_string(),
        })
    }
}

fn ask(
    address: &Address,
    asked: &Asked,
    authority: &Authority,
    clock: &dyn Clock,
) -> Result<Given, EnrolError> {
    let unusable = |what, reason| EnrolError::Given { what, reason };
    let what = "the authority's certificate";
    let roots = certificates_in(authority.pem.as_bytes()).map_err(|why| unusable(what, why))?;
    let tls = link::tls().root_certs(RootCerts::new_with_certs(&owned(&roots))).build();
    let body = serde_json::to_vec(asked).map_err(|error| EnrolError::Key(error.to_string()))?;
    let agent = link::agent(tls);
    let request = agent.post(address.of(PATH)).header("Content-Type", "application/json");
    let answer = request.config().timeout_global(Some(PATIENCE)).build().send(body.as_slice());
    let text = text(answer, address, clock)?;
    serde_json::from_str(&text).map_err(|error| unusable("the answer", error.to_string()))
}

/// The text of an answer that is one of success.
fn text(
    answer: Result<Response<Body>, ureq::Error>,
    address: &Address,
    clock: &dyn Clock,
) -> Result<String, EnrolError> {
    let fault = |error| link::fault(&error, &address.host, PATIENCE, clock.wall());
    let mut answer = answer.map_err(fault)?;
    if !answer.status().is_success() {
        let (status, said) = (answer.status().as_u16(), link::said(&mut answer));
        return Err(EnrolError::Refused { status, said });
    }
    let text = answer.body_mut().with_config().limit(ANSWER_BYTES).read_to_string();
    Ok(text.map_err(fault)?)
}

/// Everything that is given is used later, some of it where nobody looks.
fn check(given: &Given, pending: &Pending, authority: &Authority) -> Result<(), EnrolError> {
    let fails = |what, reason: String| EnrolError::Given { what, reason };
    let ca = certificates_in(given.ca.as_bytes());
    let ca = ca.map_err(|why| fails("the authority's certificate", why))?;
    if fingerprint(&ca[0]) != authority.sha256 {
        let reason = "it is not the one that was confirmed".to_owned();
        return Err(fails("the authority's certificate", reason));
    }
    let what = "this box's certificate";
    let chain = certificates_in(given.certificate.as_bytes()).map_err(|why| fails(what, why))?;
    let site = facts(&chain[0]).map_err(|why| fails(what, why))?.site;
    if site != given.site {
        return Err(fails(what, format!("it is for {site:?}, not for {:?}", given.site)));
    }
    let key = PrivateKeyDer::from_pem_slice(pending.key.as_bytes());
    let key = key.map_err(|error| fails("the key", error.to_string()))?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider)
        .map_err(|error| fails(what, error.to_string()))?;
    stick::check_recipient(&given.age_recipient)
        .map_err(|error| fails("the key for sticks", error.to_string()))?;
    stick::check_public_key(&given.minisign_key)
        .map_err(|error| fails("the key of receipts", error.to_string()))
}

/// Whole or not at all, and readable by this user alone.
fn write(folder: &Path, name: &str, content: &[u8]) -> Result<(), EnrolError> {
    let path = folder.join(name);
    let written = || -> io::Result<()> {
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(|source| EnrolError::Write { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Address {
        Address::parse("https://hub:8443").unwrap()
    }

    #[test]
    fn the_same_code_means_the_same_keys() {
        let folder = tempfile::tempdir().unwrap();
        let first = Pending::of(&address(), "a", folder.path()).unwrap();
        let again = Pending::of(&address(), "a", folder.path()).unwrap();
        assert_eq!((first.asked, first.key), (again.asked.clone(), again.key));
        let other = Pending::of(&address(), "b", folder.path()).unwrap();
        assert_ne!(again.asked.csr, other.asked.csr);
    }

    #[test]
    fn a_fingerprint_is_compared_digit_by_digit() {
        let authority = Authority { sha256: "ab01".to_owned(), pem: String::new() };
        authority.must_be("AB:01", &address()).unwrap();
        let error = authority.must_be("ab02", &address()).unwrap_err();
        assert!(error.to_string().contains("has the fingerprint ab01, expected ab02"), "{error}");
        assert!(authority.must_be("", &address()).is_err());
    }

    #[test]
    fn what_is_given_must_fit() {
        let folder = tempfile::tempdir().unwrap();
        let pending = Pending::of(&address(), "a", folder.path()).unwrap();
        let signed = |key: &KeyPair, name: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.self_signed(key).unwrap().pem()
        };
        let ca = signed(&KeyPair::generate().unwrap(), "ca");
        let own = KeyPair::from_pem(&pending.key).unwrap();
        let keys = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
        let sha256 = fingerprint(&certificates_in(ca.as_bytes()).unwrap()[0]);
        let authority = Authority { sha256, pem: ca.clone() };
        let given = Given {
            site: "clinic".to_owned(),
            certificate: signed(&own, "clinic"),
            ca,
            age_recipient: stick::Secret::generate().recipient(),
            minisign_key: keys.pk.to_base64(),
        };
        check(&given, &pending, &authority).unwrap();
        let fails = |change: fn(&mut Given), said: &str| {
            let mut given = given.clone();
            change(&mut given);
            let error = check(&given, &pending, &authority).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        };
        fails(|given| given.site = "other".to_owned(), "it is for \"clinic\", not for \"other\"");
        fails(|given| given.ca.clone_from(&given.certificate), "not the one that was confirmed");
        fails(|given| given.certificate.clone_from(&given.ca), "this box's certificate");
        fails(|given| given.age_recipient.clear(), "the key for sticks");
        fails(|given| given.minisign_key.clear(), "the key of receipts");
    }
}
