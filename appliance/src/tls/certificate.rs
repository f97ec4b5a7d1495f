//! A certificate for a box in a network without an authority of its own.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::ServerName;
use sha2::{Digest as _, Sha256};

use crate::hex;

/// Safari takes no certificate of more than 825 days.
const LASTS_DAYS: i64 = 820;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// It is no name that a browser can ask for.
    #[error("{host:?} is no host; give a name such as triage.clinic.lan, or an IP address")]
    Host {
        /// As given.
        host: String,
    },
    /// PCs may trust the authority that is there.
    #[error("{} is there already; give a folder without a certificate", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The library failed.
    #[error("the certificate cannot be signed")]
    Sign(#[from] rcgen::Error),
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The authority's certificate, for the PCs.
    pub authority: PathBuf,
    /// SHA-256 of it.
    pub fingerprint: [u8; 32],
    /// The box's certificate with that of the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Last day of both, `2029-02-22`.
    pub until: String,
}

/// Makes an authority and one certificate of it, for these names and addresses, valid from the day
/// before `now` on. The authority's own key is forgotten: whoever trusts it trusts this certificate
/// and no other, ever.
///
/// # Errors
///
/// When a host is none, the folder has such files, or cannot be written to.
pub fn make(hosts: &[String], folder: &Path, now: i64) -> Result<Made, MakeError> {
    if let Some(host) = hosts.iter().find(|host| ServerName::try_from(host.as_str()).is_err()) {
        return Err(MakeError::Host { host: host.clone() });
    }
    let end = now + LASTS_DAYS * DAY_MS;
    let until = Timestamp::from_millisecond(end).unwrap_or_default();
    let until = until.strftime("%Y-%m-%d").to_string();
    let at = |ms: i64| {
        date_time_ymd(1970, 1, 1) + Duration::from_millis(u64::try_from(ms).unwrap_or_default())
    };
    let valid = |mut params: CertificateParams, name: String| {
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = at(now - DAY_MS);
        params.not_after = at(end);
        params
    };
    let first = hosts.first().map(String::as_str).unwrap_or_default();
    // Names in certificates have at most 64 letters.
    let first = first.get(..40).unwrap_or(first).to_owned();
    let authority_key = KeyPair::generate()?;
    // PCs mix up authorities of one name.
    let which = hex::lower(&Sha256::digest(authority_key.public_key_raw())[..4]);
    let mut authority = valid(CertificateParams::default(), format!("Triage box {first} {which}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_certificate = authority.self_signed(&authority_key)?;

    let mut server = valid(CertificateParams::new(hosts.to_vec())?, first);
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let server_key = KeyPair::generate()?;
    let issuer = Issuer::new(authority, authority_key);
    let server_certificate = server.signed_by(&server_key, &issuer)?;

    let made = Made {
        authority: folder.join("ca.crt"),
        fingerprint: Sha256::digest(authority_certificate.der()).into(),
        certificate: folder.join("server.crt"),
        key: folder.join("server.key"),
        until,
    };
    let chain = server_certificate.pem() + &authority_certificate.pem();
    std::fs::create_dir_all(folder)
        .map_err(|source| MakeError::Write { path: folder.to_owned(), source })?;
    write(&made.authority, &authority_certificate.pem())?;
    write(&made.certificate, &chain)?;
    write(&made.key, &server_key.serialize_pem())?;
    Ok(made)
}

fn write(path: &Path, text: &str) -> Result<(), MakeError> {
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => MakeError::Exists { path: path.to_owned() },
        _ => MakeError::Write { path: path.to_owned(), source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Identity, acceptor};

    /// 2026-11-24 00:31 UTC.
    const NOW: i64 = 1_795_480_260_000;

    #[test]
    fn what_was_made_can_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("tls");
        let hosts = ["triage.clinic.lan", "192.168.1.20"].map(str::to_owned);
        let made = make(&hosts, &folder, NOW).unwrap();
        assert_eq!(made.until, "2029-02-21");
        acceptor(Identity { certificate: &made.certificate, key: &made.key }, None).unwrap();
        let error = make(&hosts, &folder, NOW).unwrap_err().to_string();
        let expected = "ca.crt is there already; give a folder without a certificate";
        assert!(error.ends_with(expected), "{error}");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for host in ["http://triage.lan", "triage.lan:8042", "", "a b"] {
            let error = make(&[host.to_owned()], folder.path(), NOW).unwrap_err().to_string();
            let expected = format!(
                "{host:?} is no host; give a name such as triage.clinic.lan, or an IP address"
            );
            assert_eq!(error, expected);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
