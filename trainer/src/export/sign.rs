//! A bundle's signature (minisign): it covers the manifest, which pins every other file by its
//! SHA-256. Whoever trusts a public key can tell the bundle of its owner from any other.
//!
//! The operator makes the key pair once with [`generate_keys`], keeps the secret key away from the
//! repository and from every appliance, and hands out the public key. The files are those of the
//! `minisign` program, which can do all of this as well.

use std::fs::{self, OpenOptions};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use minisign::{KeyPair, PublicKey, PublicKeyBox, SecretKeyBox, SignatureBox};
use models::weights::bundle::{Bundle, BundleError};
use models::weights::manifest::MANIFEST;

/// File name of the signature inside a bundle.
pub const SIGNATURE: &str = "manifest.toml.minisig";

/// A signature that was not made or does not hold.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A file is missing or unreadable.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file was not written.
    #[error("cannot write {path}; choose a place where no such file is")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bundle is refused.
    #[error("the bundle is not signed, because it is not whole")]
    Bundle(#[from] BundleError),
    /// The secret key cannot be used.
    #[error("{path} is not a secret key that this password opens: {reason}")]
    SecretKey {
        /// The file.
        path: PathBuf,
        /// minisign's words.
        reason: String,
    },
    /// The public key cannot be used.
    #[error("{path} is not a minisign public key: {reason}")]
    PublicKey {
        /// The file.
        path: PathBuf,
        /// minisign's words.
        reason: String,
    },
    /// The signature does not hold.
    #[error("{path} does not hold for this public key ({reason}); do not use the bundle")]
    Signature {
        /// The signature.
        path: PathBuf,
        /// minisign's words.
        reason: String,
    },
    /// Keys or a signature could not be made.
    #[error("minisign failed: {reason}")]
    Minisign {
        /// minisign's words.
        reason: String,
    },
}

fn failed(error: impl std::fmt::Display) -> SignError {
    SignError::Minisign { reason: error.to_string() }
}

/// Makes a key pair: `<name>.key`, encrypted with the password and readable by its owner alone,
/// and `<name>.pub`.
///
/// # Errors
///
/// When one of the files is there already or cannot be written.
pub fn generate_keys(folder: &Path, name: &str, password: &str) -> Result<[PathBuf; 2], SignError> {
    let KeyPair { pk, sk } =
        KeyPair::generate_encrypted_keypair(Some(password.to_owned())).map_err(failed)?;
    let [secret, public] = ["key", "pub"].map(|end| folder.join(format!("{name}.{end}")));
    let secret_box = sk.to_box(Some("Prima bundle secret key")).map_err(failed)?;
    write_new(&secret, secret_box.into_string().as_bytes(), true)?;
    let public_box = pk.to_box().map_err(failed)?;
    write_new(&public, public_box.into_string().as_bytes(), false)?;
    Ok([secret, public])
}

/// Signs the manifest of a whole bundle, every file of which is compared with its digest first.
///
/// # Errors
///
/// When the bundle or the key is refused, or the signature cannot be written.
pub fn sign(folder: &Path, secret_key: &Path, password: &str) -> Result<(), SignError> {
    let bundle = Bundle::open(folder)?;
    for file in &bundle.manifest().files {
        drop(bundle.read_file(&file.path)?);
    }
    let refused = |error: minisign::PError| SignError::SecretKey {
        path: secret_key.to_owned(),
        reason: error.to_string(),
    };
    let secret = SecretKeyBox::from_string(&read(secret_key)?).map_err(refused)?;
    let secret = secret.into_secret_key(Some(password.to_owned())).map_err(refused)?;
    let public = PublicKey::from_secret_key(&secret).map_err(failed)?;
    let manifest = read(&folder.join(MANIFEST))?;
    // The time would make two signatures of one bundle differ in what they say.
    let trusted = format!("file:{MANIFEST} model:{}", bundle.manifest().id);
    let signature = minisign::sign(
        Some(&public),
        &secret,
        Cursor::new(manifest),
        Some(&trusted),
        Some("signature of a Prima model bundle"),
    )
    .map_err(failed)?;
    let path = folder.join(SIGNATURE);
    fs::write(&path, signature.into_string()).map_err(|source| SignError::Write { path, source })
}

/// The manifest is the one that the owner of the public key signed. The files behind it are
/// compared with it when the bundle is opened and used.
///
/// # Errors
///
/// When a file is missing or the signature is of another manifest or another key.
pub fn verify(folder: &Path, public_key: &Path) -> Result<(), SignError> {
    let refused = |error: minisign::PError| SignError::PublicKey {
        path: public_key.to_owned(),
        reason: error.to_string(),
    };
    let public = PublicKeyBox::from_string(&read(public_key)?).map_err(refused)?;
    let public = public.into_public_key().map_err(refused)?;
    let path = folder.join(SIGNATURE);
    let text = read(&path)?;
    let manifest = read(&folder.join(MANIFEST))?;
    let wrong = |error: minisign::PError| SignError::Signature { path, reason: error.to_string() };
    SignatureBox::from_string(&text)
        .and_then(|signature| {
            minisign::verify(&public, &signature, Cursor::new(manifest), true, false, false)
        })
        .map_err(wrong)
}

fn read(path: &Path) -> Result<String, SignError> {
    fs::read_to_string(path).map_err(|source| SignError::Read { path: path.to_owned(), source })
}

/// A file that was not there before.
fn write_new(path: &Path, bytes: &[u8], secret: bool) -> Result<(), SignError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if secret { 0o600 } else { 0o644 });
    }
    let written = options.open(path).and_then(|mut file| file.write_all(bytes));
    written.map_err(|source| SignError::Write { path: path.to_owned(), source })
}
