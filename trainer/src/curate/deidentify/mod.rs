//! De-identification: pseudonyms by keyed hash ([`Key`]), free text ([`text`]), DICOM files
//! ([`copy`]), and the check that nothing which names the patient is left ([`Identifiers`]).
//!
//! Images are copied by an allow list, in the spirit of the Basic Application Level
//! Confidentiality Profile (PS3.15 E.1). Pixels are not touched: a head MRI shows a face, so a
//! cohort stays inside the hospital all the same.

pub(super) mod attributes;
pub(super) mod copy;
mod identifiers;
mod mosaic;
mod pixels;
mod private;
pub(super) mod text;

pub(super) use identifiers::Identifiers;

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use rand::Rng;
use sha2::{Digest, Sha256};

use super::CurateError;

/// The secret that pseudonyms are made with. Who has it can link a cohort to its patients.
#[derive(Clone)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// Reads the key of the private folder; makes one at the first run.
    pub(super) fn load_or_create(path: &Path) -> Result<Self, CurateError> {
        match fs::read_to_string(path) {
            Ok(text) => {
                let text = text.trim();
                let key = parse_hex(text);
                key.map(Self)
                    .ok_or_else(|| CurateError::Key { path: path.into(), found: text.len() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self(rand::rng().random());
                let written =
                    create_private(path).and_then(|mut file| writeln!(file, "{}", hex(&key.0)));
                written.map_err(|source| CurateError::Write { path: path.into(), source })?;
                Ok(key)
            }
            Err(source) => {
                Err(CurateError::Read { what: "pseudonym key", path: path.into(), source })
            }
        }
    }

    /// HMAC-SHA256 (RFC 2104) of a domain and a value; the domain keeps equal values of different
    /// meaning apart.
    fn hash(&self, domain: &str, value: &str) -> [u8; 32] {
        let mut pad = [0; 64];
        pad.iter_mut().zip(self.0).for_each(|(pad, key)| *pad = key);
        let inner = Sha256::new()
            .chain_update(pad.map(|byte| byte ^ 0x36))
            .chain_update(domain)
            .chain_update([0])
            .chain_update(value)
            .finalize();
        Sha256::new()
            .chain_update(pad.map(|byte| byte ^ 0x5C))
            .chain_update(inner)
            .finalize()
            .into()
    }

    /// A letter and 16 hexadecimal digits: of 300,000 studies two are alike once in 400 million
    /// hospitals.
    fn pseudonym(&self, letter: char, domain: &str, value: &str) -> String {
        let digits: String = hex(&self.hash(domain, value)).chars().take(16).collect();
        format!("{letter}{digits}")
    }

    /// Pseudonym of a study, from its Study Instance UID.
    pub(super) fn study(&self, uid: &str) -> String {
        self.pseudonym('s', "study", uid)
    }

    /// Pseudonym of a patient, from the patient id.
    pub(super) fn patient(&self, id: &str) -> String {
        self.pseudonym('p', "patient", id)
    }

    /// What stands for a file's path where it is listed.
    pub(super) fn file(&self, path: &Path) -> String {
        self.pseudonym('f', "file", &path.to_string_lossy())
    }

    /// A UID instead of `uid`: below 2.25 stands a 128-bit number (PS3.5 B.2).
    pub(super) fn uid(&self, uid: &str) -> String {
        let hash = self.hash("uid", uid);
        let number = hash.iter().take(16).fold(0u128, |sum, byte| (sum << 8) | u128::from(*byte));
        format!("2.25.{number}")
    }
}

/// Creates a file that only its owner may read.
pub(super) fn create_private(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let bytes: Vec<u8> = digits?
        .chunks(2)
        .filter_map(|pair| u8::try_from(pair.iter().fold(0, |sum, digit| sum * 16 + digit)).ok())
        .collect();
    if text.len() == 64 { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::{Key, hex};

    #[test]
    fn keyed_hash_is_hmac_sha256() {
        // RFC 4231, case 1 has a key of 20 bytes 0x0b and the data "Hi There"; the domain and the
        // zero byte after it are part of our data, so the value is from Python's hmac:
        // hmac.new(b"\x0b" * 32, b"study\0Hi There", "sha256").hexdigest()
        let key = Key([0x0B; 32]);
        assert_eq!(hex(&key.hash("study", "Hi There")), HMAC);
        assert_eq!(key.study("Hi There"), format!("s{}", HMAC.get(..16).unwrap()));
        assert_ne!(key.uid("1.2"), key.uid("1.3"));
        assert!(key.uid("1.2").len() <= 64);
    }

    const HMAC: &str = "e55651044f1e02f0a78cf6131b0988d10b5718af4ff9ed40efda9258fd27efad";

    #[test]
    fn a_key_is_made_once_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pseudonym.key");
        let made = Key::load_or_create(&path).unwrap();
        assert_eq!(made.0, Key::load_or_create(&path).unwrap().0);
        std::fs::write(&path, "secret").unwrap();
        let error = Key::load_or_create(&path).err().unwrap().to_string();
        let expected = "pseudonym.key is no pseudonym key: expected 64 hexadecimal digits, found 6 \
                        character(s); restore it from its backup, or remove it to begin with new \
                        pseudonyms";
        assert!(error.ends_with(expected), "{error}");
    }
}
