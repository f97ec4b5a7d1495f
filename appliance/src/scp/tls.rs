//! TLS as PS3.15 B.12 asks for (BCP 195: RFC 8996, RFC 9325): TLS 1.3 and 1.2, with forward
//! secrecy and authenticated encryption only, which is all that rustls has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The encrypted port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Port, 2762 by registration (PS3.8 9.1.1).
    pub port: u16,
    /// Our certificate and the chain to its authority, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Authorities that certify peers, PEM; with them a peer must show a certificate. Also used
    /// for the peers that we connect to.
    pub authorities: Option<PathBuf>,
    /// SHA-256 of the peers' own certificates that are allowed; empty for all that are certified.
    pub fingerprints: Vec<[u8; 32]>,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be used.
    #[error("{} has no {what} that can be read (PEM)", path.display())]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The file is PEM, but holds nothing of the kind.
    #[error("{} holds no certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Allowed certificates are listed, but none is asked for.
    #[error("fingerprints are listed without authorities; peers would not show a certificate")]
    NoAuthorities,
    /// Certificate and key do not fit, or are of a kind that is not supported.
    #[error("the certificate {} and its key cannot be used", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The authorities' certificates cannot be used.
    #[error("the authorities in {} cannot be used", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The server's side.
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, TlsError> {
    if tls.authorities.is_none() && !tls.fingerprints.is_empty() {
        return Err(TlsError::NoAuthorities);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |source| TlsError::Unusable { path: tls.certificate.clone(), source };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(unusable)?;
    let builder = match &tls.authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(authorities(path)?);
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots, provider).build().map_err(
                    |error| TlsError::Authorities { path: path.clone(), source: error.into() },
                )?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder
        .with_single_cert(certificates(&tls.certificate)?, key(&tls.key)?)
        .map_err(unusable)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The client's side, for results of storage commitment; none without authorities, because then
/// nobody could tell who answers.
pub(super) fn connector(tls: &Tls) -> Result<Option<TlsConnector>, TlsError> {
    let Some(path) = &tls.authorities else { return Ok(None) };
    let unusable = |source| TlsError::Unusable { path: tls.certificate.clone(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(unusable)?
        .with_root_certificates(authorities(path)?)
        .with_client_auth_cert(certificates(&tls.certificate)?, key(&tls.key)?)
        .map_err(unusable)?;
    Ok(Some(TlsConnector::from(Arc::new(config))))
}

/// Whether a peer's own certificate is among the allowed ones.
pub(super) fn is_allowed(tls: &Tls, chain: Option<&[CertificateDer<'_>]>) -> bool {
    if tls.fingerprints.is_empty() {
        return true;
    }
    let Some(own) = chain.and_then(<[_]>::first) else { return false };
    let fingerprint: [u8; 32] = Sha256::digest(own).into();
    tls.fingerprints.contains(&fingerprint)
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| TlsError::Authorities {
            path: path.to_owned(),
            source: error.into(),
        })?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fails = |source| TlsError::Pem { what: "certificate", path: path.to_owned(), source };
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(fails)?;
    if certificates.is_empty() {
        return Err(TlsError::Empty { path: path.to_owned() });
    }
    Ok(certificates)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsError::Pem {
        what: "private key",
        path: path.to_owned(),
        source,
    })
}
