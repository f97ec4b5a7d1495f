//! The hub's own certificate authority: it certifies boxes, and by default the hub itself.
//!
//! Certificates begin in 2020, because the clock of a box may have lost its battery, and outlive
//! the box; who is let in is decided by the database, at every request.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use exchange::row::hex;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

/// Certificate of the authority, in the hub's folder.
pub const CERTIFICATE: &str = "ca.pem";
/// Its key.
pub const KEY: &str = "ca.key";
/// First year of every certificate.
const FROM_YEAR: i32 = 2020;
/// Years that the authority and what it certifies are good for, at least.
const AUTHORITY_YEARS: i32 = 40;
const YEARS: i32 = 20;
/// Mean length of a year.
const YEAR_MS: i64 = 31_556_952_000;

/// Why nothing was certified.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file.
    #[error("cannot {doing} {path}")]
    File {
        /// Verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The files are not what they should be.
    #[error("{path} is no certificate or key of an authority; restore it from a backup")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nobody can be called this.
    #[error("{0:?} is no name of a host")]
    Host(String),
    /// What was sent is no request for a certificate.
    #[error("this is no request for a certificate (PKCS #10, PEM)")]
    Request(#[source] rcgen::Error),
    /// Signing failed.
    #[error("no certificate could be made")]
    Sign(#[source] rcgen::Error),
    /// The system has no random numbers.
    #[error("the operating system gives no random numbers")]
    Random(#[source] getrandom::Error),
}

/// A certificate that was made.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate, PEM.
    pub pem: String,
    /// Its serial number, hexadecimal.
    pub serial: String,
}

/// The authority with its key.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    fingerprint: String,
}

impl Authority {
    /// Makes one, in files of this folder.
    ///
    /// # Errors
    ///
    /// When it cannot be made or written; files that are there are not touched.
    pub fn create(folder: &Path, now_ms: i64) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::Sign)?;
        let (number, serial) = serial()?;
        let mut params = params(&format!("Prima hub {serial}"), now_ms, AUTHORITY_YEARS);
        params.serial_number = Some(number);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(AuthorityError::Sign)?;
        write_private(&folder.join(KEY), &key.serialize_pem())?;
        write_private(&folder.join(CERTIFICATE), &certificate.pem())?;
        Self::open(folder)
    }

    /// The one in this folder.
    ///
    /// # Errors
    ///
    /// When it is not there, or something else is.
    pub fn open(folder: &Path) -> Result<Self, AuthorityError> {
        let (path, key_path) = (folder.join(CERTIFICATE), folder.join(KEY));
        let pem = read(&path)?;
        let unusable =
            |path: &Path, source| AuthorityError::Unusable { path: path.to_owned(), source };
        let key = KeyPair::from_pem(&read(&key_path)?)
            .map_err(|error| unusable(&key_path, Box::new(error)))?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| unusable(&path, Box::new(error)))?;
        let issuer = Issuer::from_ca_cert_der(&der, key)
            .map_err(|error| unusable(&path, Box::new(error)))?;
        Ok(Self { issuer, fingerprint: hex(&Sha256::digest(&der)), pem })
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of its certificate, hexadecimal: what is read out over the telephone.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Certifies the key of a request (PKCS #10, PEM) as that of a site. What else the request says
    /// does not count.
    ///
    /// # Errors
    ///
    /// When it is no request.
    pub fn certify(
        &self,
        request: &str,
        site: &str,
        now_ms: i64,
    ) -> Result<Issued, AuthorityError> {
        let request =
            CertificateSigningRequestParams::from_pem(request).map_err(AuthorityError::Request)?;
        let mut params = params(site, now_ms, YEARS);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, &request.public_key)
    }

    /// A key and certificate for this hub under its names, as two texts in PEM.
    ///
    /// # Errors
    ///
    /// When a name is none.
    pub fn certify_hub(
        &self,
        hosts: &[String],
        now_ms: i64,
    ) -> Result<(String, String), AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::Sign)?;
        let mut params = params("Prima hub", now_ms, YEARS);
        for host in hosts {
            // One by one, to say which is wrong.
            let named = CertificateParams::new(vec![host.clone()]);
            let named = named.map_err(|_| AuthorityError::Host(host.clone()))?;
            params.subject_alt_names.extend(named.subject_alt_names);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issued = self.sign(params, &key)?;
        Ok((key.serialize_pem(), issued.pem))
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<Issued, AuthorityError> {
        let (number, serial) = serial()?;
        params.serial_number = Some(number);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let signed = params.signed_by(key, &self.issuer).map_err(AuthorityError::Sign)?;
        Ok(Issued { pem: signed.pem(), serial })
    }
}

fn params(name: &str, now_ms: i64, years: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // A clock that is out of its mind gets the years from 1970 on.
    let year = 1970 + i32::try_from(now_ms / YEAR_MS).unwrap_or(0).clamp(0, 1000);
    params.not_before = date_time_ymd(FROM_YEAR, 1, 1);
    params.not_after = date_time_ymd(year.max(FROM_YEAR) + years + 1, 1, 1);
    params
}

/// 126 random bits behind a first byte that needs no other before it, so that the number has the
/// same digits wherever it is written.
fn serial() -> Result<(SerialNumber, String), AuthorityError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(AuthorityError::Random)?;
    bytes[0] = (bytes[0] & 0x3f) | 0x40;
    Ok((SerialNumber::from_slice(&bytes), hex(&bytes)))
}

fn read(path: &Path) -> Result<String, AuthorityError> {
    fs::read_to_string(path).map_err(|source| AuthorityError::File {
        doing: "read",
        path: path.to_owned(),
        source,
    })
}

/// A new file that its owner alone may read.
///
/// # Errors
///
/// When it is there already, or cannot be written.
pub fn write_private(path: &Path, text: &str) -> Result<(), AuthorityError> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| AuthorityError::File { doing: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::store::testing::NOW_MS;

    fn request() -> String {
        let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "another-site");
        let key = KeyPair::generate().unwrap();
        params.serialize_request(&key).unwrap().pem().unwrap()
    }

    #[test]
    fn a_certificate_says_what_the_hub_says() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(folder.path(), NOW_MS).unwrap();
        let issued = authority.certify(&request(), "kilosa", NOW_MS).unwrap();
        let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        let names: Vec<_> = certificate.subject().iter_common_name().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(names[0].as_str().unwrap(), "kilosa");
        assert!(certificate.subject_alternative_name().unwrap().is_none());
        assert_eq!(hex(certificate.raw_serial()), issued.serial);
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth && !usage.any);
        assert!(certificate.validity().not_before.timestamp() < NOW_MS / 1000 - 5 * 365 * 86_400);
        assert!(certificate.validity().not_after.timestamp() > NOW_MS / 1000 + 10 * 365 * 86_400);
        let again = authority.certify(&request(), "kilosa", NOW_MS).unwrap();
        assert_ne!(again.serial, issued.serial);
        let nonsense = authority.certify("no request", "kilosa", NOW_MS).unwrap_err();
        assert!(matches!(nonsense, AuthorityError::Request(_)));
    }

    #[test]
    fn an_authority_is_made_once_and_kept_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(folder.path(), NOW_MS).unwrap();
        assert!(matches!(
            Authority::create(folder.path(), NOW_MS),
            Err(AuthorityError::File { doing: "write", .. })
        ));
        let mode = fs::metadata(folder.path().join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let reopened = Authority::open(folder.path()).unwrap();
        assert_eq!(reopened.fingerprint(), authority.fingerprint());
        fs::write(folder.path().join(KEY), "no key").unwrap();
        let broken = Authority::open(folder.path()).unwrap_err();
        assert!(matches!(broken, AuthorityError::Unusable { .. }), "{broken}");
    }

    #[test]
    fn a_hub_has_the_names_it_is_called_by() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(folder.path(), NOW_MS).unwrap();
        let hosts = ["hub.example.org".to_owned(), "10.0.0.7".to_owned()];
        let (_, pem) = authority.certify_hub(&hosts, NOW_MS).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        let names = certificate.subject_alternative_name().unwrap().unwrap().value;
        assert_eq!(names.general_names.len(), 2);
        let wrong = authority.certify_hub(&["ü".to_owned()], NOW_MS).unwrap_err();
        assert!(matches!(wrong, AuthorityError::Host(_)), "{wrong}");
    }
}
