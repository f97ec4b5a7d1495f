//! Names that stand for patients and studies. They follow from a secret of the box, so that the
//! same patient has the same one each time and nobody elsewhere can find out whose it is.

use sha2::{Digest as _, Sha256};

use super::Profile;
use crate::hex;

/// Bytes of a pseudonym; twice as many digits.
const BYTES: usize = 8;

impl Profile {
    /// Study Instance UID, or one that stands for it (PS3.5 B.2).
    pub(super) fn study_name(&self, uid: &str) -> String {
        if !self.pseudonym {
            return uid.to_owned();
        }
        let digest = self.digest("study", uid);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        // Version 8 (free form) and the variant of RFC 9562.
        bytes[6] = (bytes[6] & 0x0F) | 0x80;
        bytes[8] = (bytes[8] & 0x3F) | 0x80;
        format!("2.25.{}", u128::from_be_bytes(bytes))
    }

    /// Stands for a Patient ID; nothing for none, because that is no patient in particular.
    pub(super) fn patient_name(&self, id: &str) -> String {
        if id.is_empty() { String::new() } else { self.short("patient", id) }
    }

    /// Stands for a study where not even its UID or that of a flag may be known.
    pub(super) fn case(&self, uid: &str) -> String {
        self.short("case", uid)
    }

    fn short(&self, what: &str, value: &str) -> String {
        hex::lower(&self.digest(what, value)[..BYTES])
    }

    /// `what` keeps the names of a study apart from each other.
    fn digest(&self, what: &str, value: &str) -> [u8; 32] {
        Sha256::digest([self.salt.as_str(), what, value].join("\n")).into()
    }
}
