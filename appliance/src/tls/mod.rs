//! TLS for every port of the box, as PS3.15 B.12 asks for (BCP 195: RFC 8996, RFC 9325): TLS 1.3
//! and 1.2, with forward secrecy and authenticated encryption only, which is all that rustls has.

mod certificate;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub use certificate::{Made, MakeError, make};

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

/// A certificate with the chain to its authority, and its private key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    /// PEM.
    pub(crate) certificate: &'a Path,
    /// PEM.
    pub(crate) key: &'a Path,
}

/// The server's side. With authorities a peer must show a certificate of theirs.
pub(crate) fn acceptor(
    own: Identity<'_>,
    authorities: Option<&Path>,
) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |source| TlsError::Unusable { path: own.certificate.to_owned(), source };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(unusable)?;
    let builder = match authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(read_authorities(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            let verifier = verifier.map_err(|error| TlsError::Authorities {
                path: path.to_owned(),
                source: error.into(),
            })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder
        .with_single_cert(certificates(own.certificate)?, key(own.key)?)
        .map_err(unusable)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The client's side, for peers that these authorities certify.
pub(crate) fn connector(own: Identity<'_>, authorities: &Path) -> Result<TlsConnector, TlsError> {
    let unusable = |source| TlsError::Unusable { path: own.certificate.to_owned(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(unusable)?
        .with_root_certificates(read_authorities(authorities)?)
        .with_client_auth_cert(certificates(own.certificate)?, key(own.key)?)
        .map_err(unusable)?;
    Ok(TlsConnector::from(Arc::new(config)))
}

fn read_authorities(path: &Path) -> Result<RootCertStore, TlsError> {
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
