//! Encrypted associations (PS3.15 B.12).

use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::tls::{self, Identity, TlsError};

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

impl Tls {
    fn identity(&self) -> Identity<'_> {
        Identity { certificate: &self.certificate, key: &self.key }
    }
}

/// The server's side.
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, TlsError> {
    if tls.authorities.is_none() && !tls.fingerprints.is_empty() {
        return Err(TlsError::NoAuthorities);
    }
    tls::acceptor(tls.identity(), tls.authorities.as_deref())
}

/// The client's side, for results of storage commitment; none without authorities, because then
/// nobody could tell who answers.
pub(super) fn connector(tls: &Tls) -> Result<Option<TlsConnector>, TlsError> {
    let authorities = tls.authorities.as_deref();
    authorities.map(|authorities| tls::connector(tls.identity(), authorities)).transpose()
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
