//! How a box becomes one of a hub's: a code that is good once, for a certificate.
//!
//! The box knows the hub's authority by its fingerprint, which a person reads to another; it is the
//! only thing that is fetched before anybody is trusted.

use serde::{Deserialize, Serialize};

/// `GET`: certificate of the hub's authority, PEM. Needs no certificate.
pub const AUTHORITY_PATH: &str = "/v1/authority";
/// `POST`: [`Asked`] as JSON, answered by [`Given`]. Needs no certificate. The same request may be
/// sent again with its code, because its answer may have been lost.
pub const PATH: &str = "/v1/enrol";

/// What a box asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// From the hospital; good once.
    pub code: String,
    /// PKCS #10, PEM. Only its key counts: the hub writes the names.
    pub csr: String,
    /// Public key that the box signs outbox files for sticks with: minisign, base64 in one line.
    pub minisign_key: String,
}

/// What it gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// What this box is called: the common name of its certificate.
    pub site: String,
    /// The box's certificate, PEM.
    pub certificate: String,
    /// That of the hub's authority, PEM.
    pub ca: String,
    /// Whom outbox files for sticks are encrypted to (age, X25519).
    pub age_recipient: String,
    /// Public key that the hub signs receipts with: minisign, base64 in one line.
    pub minisign_key: String,
}
