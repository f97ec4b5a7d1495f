//! Who this box is at the hub: the files that an enrolment left, as they are used.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts};

use crate::hex;

/// Certificate of the hub's own authority, PEM.
pub(super) const AUTHORITY: &str = "ca.pem";
/// This box's certificate, PEM.
pub(super) const CERTIFICATE: &str = "certificate.pem";
/// Its key, PEM.
pub(super) const KEY: &str = "key.pem";

/// Secret key of outbox files for sticks (minisign).
pub(super) const SIGNING_KEY: &str = "sign.key";
/// Key that decrypts receipts from sticks (age).
pub(super) const RECEIPT_KEY: &str = "receipt.key";
/// Public key of the hub's receipts (minisign).
pub(super) const HUB_KEY: &str = "hub.pub";
/// Whom outbox files are encrypted to (age).
pub(super) const RECIPIENT: &str = "recipient.txt";

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There are none.
    #[error(
        "this box is not enrolled at a hub ({path} is not there); ask the hospital that runs the \
         hub for a code, then run `appliance enrol --hub URL --code CODE`"
    )]
    NotEnrolled {
        /// The first file that is missing.
        path: PathBuf,
    },
    /// One cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// One is not what it should be.
    #[error("{path} cannot be used ({reason}); enrol this box again with `appliance enrol`")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// This box at its hub.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name of the site in the certificate.
    pub site: String,
    /// First and last second of the certificate, since 1970.
    pub valid_s: (i64, i64),
    /// SHA-256 of the certificate of the hub's authority, hexadecimal.
    pub authority: String,
    pub(super) credentials: ClientCert,
    pub(super) roots: RootCerts,
}

impl Identity {
    /// Reads the files in `folder`.
    ///
    /// # Errors
    ///
    /// The first file that is missing or cannot be used.
    pub fn load(folder: &Path) -> Result<Self, IdentityError> {
        let authorities = certificates(&folder.join(AUTHORITY))?;
        let path = folder.join(CERTIFICATE);
        let chain = certificates(&path)?;
        let unusable =
            |path: &Path, reason: String| IdentityError::Unusable { path: path.to_owned(), reason };
        let facts = facts(&chain[0]).map_err(|reason| unusable(&path, reason))?;
        let path = folder.join(KEY);
        let pem = read(&path)?;
        let refused = |error: &dyn std::error::Error| unusable(&path, error.to_string());
        let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| refused(&error))?;
        // Below, a key of another certificate would be a panic.
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(chain.clone(), der, &provider).map_err(|error| refused(&error))?;
        let key = PrivateKey::from_pem(&pem).map_err(|error| refused(&error))?;
        Ok(Self {
            site: facts.site,
            valid_s: facts.valid_s,
            authority: fingerprint(&authorities[0]),
            credentials: ClientCert::new_with_certs(&owned(&chain), key),
            roots: RootCerts::new_with_certs(&owned(&authorities)),
        })
    }
}

/// What a certificate says.
pub(super) struct Facts {
    /// Common name of its subject.
    pub(super) site: String,
    /// First and last second, since 1970.
    pub(super) valid_s: (i64, i64),
}

/// What a certificate says, or why it cannot be read.
pub(super) fn facts(certificate: &CertificateDer<'_>) -> Result<Facts, String> {
    let (_, certificate) =
        x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    let validity = certificate.validity();
    let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    Ok(Facts {
        site: name.ok_or("it names no site")?.to_owned(),
        valid_s: (validity.not_before.timestamp(), validity.not_after.timestamp()),
    })
}

/// SHA-256 of a certificate, hexadecimal.
pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    hex::lower(&Sha256::digest(certificate))
}

/// For the library that speaks HTTP.
pub(super) fn owned(certificates: &[CertificateDer<'_>]) -> Vec<Certificate<'static>> {
    certificates.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
}

/// All certificates of a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let unusable = |reason| IdentityError::Unusable { path: path.to_owned(), reason };
    certificates_in(&read(path)?).map_err(unusable)
}

/// All certificates of a PEM text, at least one.
pub(super) fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err("it holds no certificate".to_owned()),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => IdentityError::NotEnrolled { path: path.to_owned() },
        _ => IdentityError::Read { path: path.to_owned(), source },
    })
}
