//! How a clinic's box becomes one of this hub's: a code, once, for a certificate.

use std::net::IpAddr;

use exchange::enrolment::{Asked, Given};
use exchange::row::hex;
use exchange::stick;
use sha2::{Digest as _, Sha256};

use crate::authority::{Authority, AuthorityError};
use crate::fault::chain;
use crate::receive::{Pace, Refusal};
use crate::store::Store;
use crate::store::sites::EnrolError;

/// Codes that one address may try in a minute, and in a row. A code has 100 bits.
const TRIES_PER_MINUTE: u32 = 6;
const TRIES_IN_A_ROW: u32 = 10;

/// What enrolment needs beside the database.
#[derive(Debug)]
pub struct Enrolment {
    authority: Authority,
    age_recipient: String,
    minisign_key: String,
    pace: Pace,
}

impl Enrolment {
    /// From the authority, and the public keys of outbox files and receipts.
    #[must_use]
    pub fn new(authority: Authority, age_recipient: String, minisign_key: String) -> Self {
        let pace = Pace::new(TRIES_PER_MINUTE, TRIES_IN_A_ROW);
        Self { authority, age_recipient, minisign_key, pace }
    }

    /// Who certifies.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Certifies a box that knows a code.
    ///
    /// # Errors
    ///
    /// When the code is wrong, used or old, or the request makes no sense.
    pub fn enrol(&self, store: &Store, from: IpAddr, asked: &Asked) -> Result<Given, Refusal> {
        let now_ms = store.clock().now_ms();
        self.pace.take(&from.to_string(), now_ms).map_err(|wait| Refusal {
            status: 429,
            said: "too many tries; wait and try again".to_owned(),
            retry_after: Some(wait),
        })?;
        stick::check_public_key(&asked.minisign_key).map_err(|error| {
            Refusal::new(400, format!("minisign_key is no public key of minisign: {error}"))
        })?;
        let request = hex(&Sha256::digest(&asked.csr));
        let site = store.site_of_code(&asked.code, &request).map_err(refused)?;
        let issued = match self.authority.certify(&asked.csr, &site, now_ms) {
            Ok(issued) => issued,
            Err(error @ AuthorityError::Request(_)) => {
                return Err(Refusal::new(400, chain(&error)));
            }
            Err(error) => return Err(Refusal::failed(&error)),
        };
        store
            .enrol(&asked.code, &request, &site, &issued.serial, &asked.minisign_key)
            .map_err(refused)?;
        Ok(Given {
            site,
            certificate: issued.pem,
            ca: self.authority.pem().to_owned(),
            age_recipient: self.age_recipient.clone(),
            minisign_key: self.minisign_key.clone(),
        })
    }
}

fn refused(error: EnrolError) -> Refusal {
    match error {
        EnrolError::Code => Refusal::new(403, error.to_string()),
        EnrolError::Database(error) => error.into(),
    }
}
