//! An outbox as a file: a stick in a truck is a link.
//!
//! A file is a sequence of frames, compressed with Zstandard, encrypted to the hub's key (age,
//! X25519) and signed by the box (minisign, beside it). A frame is its length in four bytes, most
//! significant first, a letter, and content: the [`Header`], then blobs and rows, each blob before
//! the rows that name it, then the trailer, which counts both. Rows are those of any other link, so
//! that a file may be read twice, or after a link has carried the same. A [`Receipt`] travels back,
//! encrypted to the box and signed by the hub.
//!
//! Whoever reads copies the file from the stick first: it is verified as a whole and then read
//! again.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, Write};
use std::iter;
use std::path::Path;

use age::stream::{StreamReader, StreamWriter};
use age::{Decryptor, Encryptor, x25519};
use minisign::{PublicKey, SecretKeyBox, SignatureBox};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::command::Numbered;
use crate::row::{BODY_BYTES, Row};
use crate::wire::Answered;

/// Version of the format.
pub const FORMAT: u32 = 1;
/// Longest receipt that is read, in bytes.
pub const RECEIPT_BYTES: u64 = 64 * 1024 * 1024;
/// End of the name of a signature, behind that of its file.
pub const SIGNATURE: &str = ".minisig";
/// Fast; images are compressed already or compress well at any level.
const LEVEL: i32 = 3;
/// Memory that a reader gives Zstandard, as a power of two.
const WINDOW_LOG: u32 = 24;
/// Longest header or trailer.
const FACTS_BYTES: u64 = 64 * 1024;
/// Longest row: its body is text in JSON again, where every character may need an escape.
const ROW_BYTES: u64 = 2 * BODY_BYTES as u64 + FACTS_BYTES;
/// Digits of a blob's name.
const NAME_BYTES: usize = 64;

const HEADER: u8 = b'h';
const ROW: u8 = b'r';
const BLOB: u8 = b'b';
const TRAILER: u8 = b't';

/// Why a file was not written or is not read.
#[derive(Debug, thiserror::Error)]
pub enum StickError {
    /// The disk, or a file that ends too early or was changed.
    #[error("the outbox file cannot be written or read to its end")]
    Io(#[from] io::Error),
    /// A key that is none.
    #[error("{what} cannot be used: {reason}")]
    Key {
        /// Which.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// Changed, or signed by somebody else.
    #[error("the signature does not hold ({reason}): the file was changed, or is of another box")]
    Signature {
        /// The library's words.
        reason: String,
    },
    /// Encrypted to somebody else, or no such file.
    #[error("the file cannot be decrypted ({reason}): it is for somebody else")]
    Encrypted {
        /// The library's words.
        reason: String,
    },
    /// A frame that does not belong where it stands.
    #[error("the outbox file has {found} where {expected} is expected")]
    Frame {
        /// What stands there.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// Content that is not what its letter says.
    #[error("{what} of the outbox file cannot be read")]
    Json {
        /// Header, row, trailer or receipt.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A newer program's.
    #[error("the outbox file has format {found}, this program reads {FORMAT}; update it")]
    Format {
        /// In the header.
        found: u32,
    },
    /// Header and signature speak of different sites.
    #[error("the outbox file says that it is of site {found:?}, its signature of {expected:?}")]
    Site {
        /// In the header.
        found: String,
        /// In the signature.
        expected: String,
    },
    /// A file changed while it was written.
    #[error("blob {sha256} has {found} bytes, expected {expected}")]
    Blob {
        /// Its name.
        sha256: String,
        /// Bytes that were read.
        found: u64,
        /// Bytes that were promised.
        expected: u64,
    },
}

/// First frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// What the box is called at the hub.
    pub site: String,
    /// Identity of its database.
    pub epoch: String,
    /// When it was written, box time in milliseconds.
    pub created_ms: i64,
    /// Number of the last command that is on the box's disk.
    pub cursor: i64,
    /// Whom the receipt is encrypted to: the box (age, X25519).
    pub receipt_to: String,
}

/// Last frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trailer {
    rows: u64,
    blobs: u64,
}

/// What a hub sends back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// [`FORMAT`].
    pub format: u32,
    /// For whom it is.
    pub site: String,
    /// The hub's clock, milliseconds since 1970.
    pub wall_ms: i64,
    /// What became of the rows.
    pub answers: Vec<Answered>,
    /// Commands behind the box's cursor, in order.
    pub commands: Vec<Numbered>,
}

impl Receipt {
    /// Encrypted to the box that it is for; the hub's signature is of these bytes.
    ///
    /// # Errors
    ///
    /// When the key is none.
    pub fn write(&self, recipient: &str) -> Result<Vec<u8>, StickError> {
        let what = "the receipt";
        let json = serde_json::to_vec(self).map_err(|source| StickError::Json { what, source })?;
        let mut out = encrypted(Vec::new(), recipient)?;
        out.write_all(&json)?;
        Ok(out.finish()?)
    }

    /// From what was written, if the hub's signature holds and it is for the owner of `secret`.
    ///
    /// # Errors
    ///
    /// When it does not, or for a receipt of another format.
    pub fn read(
        bytes: &[u8],
        signature: &str,
        public_key: &str,
        secret: &Secret,
    ) -> Result<Self, StickError> {
        verify(io::Cursor::new(bytes), signature, public_key)?;
        let receipt: Self = serde_json::from_reader(decrypted(bytes, secret)?)
            .map_err(|source| StickError::Json { what: "the receipt", source })?;
        match receipt.format {
            FORMAT => Ok(receipt),
            found => Err(StickError::Format { found }),
        }
    }
}

/// A key that decrypts: outbox files the hub's, receipts the box's.
#[derive(Clone)]
pub struct Secret(x25519::Identity);

impl Secret {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(x25519::Identity::generate())
    }

    /// From its text.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, StickError> {
        let key = text.trim().parse();
        key.map(Self).map_err(|reason: &str| unusable("the key for sticks", &reason))
    }

    /// As it is kept in a file of its own.
    #[must_use]
    pub fn to_text(&self) -> String {
        use age::secrecy::ExposeSecret as _;

        self.0.to_string().expose_secret().to_owned()
    }

    /// What others are given.
    #[must_use]
    pub fn recipient(&self) -> String {
        self.0.to_public().to_string()
    }
}

/// Whether files can be encrypted to this recipient.
///
/// # Errors
///
/// When they cannot.
pub fn check_recipient(text: &str) -> Result<(), StickError> {
    encrypted_to(text).map(|_| ())
}

/// Whether signatures can be verified with this key (minisign, base64).
///
/// # Errors
///
/// When they cannot.
pub fn check_public_key(text: &str) -> Result<(), StickError> {
    public(text).map(|_| ())
}

/// Name of an outbox file.
#[must_use]
pub fn file_name(epoch: &str, first: i64, last: i64) -> String {
    format!("outbox-{}-{first}-{last}.age", epoch.get(..8).unwrap_or(epoch))
}

/// Signs a file or receipt of a site with a secret key as minisign writes it.
///
/// # Errors
///
/// When the key cannot be used or the content not be read.
pub fn sign(content: impl Read, site: &str, secret_key: &str) -> Result<String, StickError> {
    let failed = |error: minisign::PError| unusable("the signing key", &error);
    let secret = SecretKeyBox::from_string(secret_key).map_err(failed)?;
    let secret = secret.into_unencrypted_secret_key().map_err(failed)?;
    let public = PublicKey::from_secret_key(&secret).map_err(failed)?;
    let (trusted, untrusted) = (format!("site:{site}"), "Prima outbox");
    let signature =
        minisign::sign(Some(&public), &secret, content, Some(&trusted), Some(untrusted));
    Ok(signature.map_err(failed)?.into_string())
}

/// The site that a signature says it is of: whose key it is to be verified with. Nothing more is
/// known of it before.
#[must_use]
pub fn signer(signature: &str) -> Option<String> {
    let signature = SignatureBox::from_string(signature).ok()?;
    let comment = signature.trusted_comment().ok()?;
    Some(comment.strip_prefix("site:")?.to_owned())
}

fn verify(content: impl Read + io::Seek, signature: &str, key: &str) -> Result<(), StickError> {
    let public = public(key)?;
    let failed = |error: minisign::PError| StickError::Signature { reason: error.to_string() };
    let signature = SignatureBox::from_string(signature).map_err(failed)?;
    minisign::verify(&public, &signature, content, true, false, false).map_err(failed)
}

fn public(text: &str) -> Result<PublicKey, StickError> {
    PublicKey::from_base64(text.trim()).map_err(|error| unusable("the public key", &error))
}

fn encrypted_to(text: &str) -> Result<x25519::Recipient, StickError> {
    text.trim().parse().map_err(|reason: &str| unusable("the public key for sticks", &reason))
}

fn encrypted<W: Write>(out: W, recipient: &str) -> Result<StreamWriter<W>, StickError> {
    let key = encrypted_to(recipient)?;
    let encryptor = Encryptor::with_recipients(iter::once(&key as &dyn age::Recipient))
        .map_err(|error| unusable("the public key for sticks", &error))?;
    Ok(encryptor.wrap_output(out)?)
}

fn decrypted<R: io::BufRead>(text: R, secret: &Secret) -> Result<StreamReader<R>, StickError> {
    Decryptor::new_buffered(text)
        .and_then(|decryptor| decryptor.decrypt(iter::once(&secret.0 as &dyn age::Identity)))
        .map_err(|error| StickError::Encrypted { reason: error.to_string() })
}

fn unusable(what: &'static str, reason: &dyn std::fmt::Display) -> StickError {
    StickError::Key { what, reason: reason.to_string() }
}

/// Writes an outbox file.
pub struct Writer<W: Write> {
    out: zstd::Encoder<'static, StreamWriter<W>>,
    written: Trailer,
}

impl<W: Write> Writer<W> {
    /// Begins a file for the owner of `recipient`.
    ///
    /// # Errors
    ///
    /// When the key is none, or nothing can be written.
    pub fn new(out: W, recipient: &str, header: &Header) -> Result<Self, StickError> {
        let out = zstd::Encoder::new(encrypted(out, recipient)?, LEVEL)?;
        let mut writer = Self { out, written: Trailer::default() };
        writer.json("the header", HEADER, header)?;
        Ok(writer)
    }

    /// A blob, before the rows that name it.
    ///
    /// # Errors
    ///
    /// When it is longer or shorter than it should be, or cannot be written.
    pub fn blob(
        &mut self,
        sha256: &str,
        bytes: u64,
        content: &mut impl Read,
    ) -> Result<(), StickError> {
        if !is_digest(sha256.as_bytes()) {
            return Err(StickError::Frame { found: sha256.to_owned(), expected: "a SHA-256" });
        }
        self.begin(BLOB, bytes.saturating_add(NAME_BYTES as u64))?;
        self.out.write_all(sha256.as_bytes())?;
        let found = io::copy(&mut content.take(bytes.saturating_add(1)), &mut self.out)?;
        if found != bytes {
            let sha256 = sha256.to_owned();
            return Err(StickError::Blob { sha256, found, expected: bytes });
        }
        self.written.blobs += 1;
        Ok(())
    }

    /// A row.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn row(&mut self, row: &Row) -> Result<(), StickError> {
        self.written.rows += 1;
        self.json("a row", ROW, row)
    }

    /// Ends the file.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<W, StickError> {
        let trailer = self.written;
        self.json("the trailer", TRAILER, &trailer)?;
        Ok(self.out.finish()?.finish()?)
    }

    fn json(
        &mut self,
        what: &'static str,
        letter: u8,
        content: &impl Serialize,
    ) -> Result<(), StickError> {
        let json =
            serde_json::to_vec(content).map_err(|source| StickError::Json { what, source })?;
        self.begin(letter, json.len() as u64)?;
        Ok(self.out.write_all(&json)?)
    }

    fn begin(&mut self, letter: u8, bytes: u64) -> Result<(), StickError> {
        let length = u32::try_from(bytes.saturating_add(1)).map_err(|_| StickError::Frame {
            found: format!("a frame of {bytes} bytes"),
            expected: "one of at most 4 GiB",
        })?;
        self.out.write_all(&length.to_be_bytes())?;
        Ok(self.out.write_all(&[letter])?)
    }
}

/// What a file holds.
pub enum Frame<'a> {
    /// To be stored before the rows that follow.
    Blob(Blob<'a>),
    /// As from any other link.
    Row(Row),
}

/// A blob; its content is read from it. Whether that is what its name says, whoever stores it has
/// to see.
pub struct Blob<'a> {
    /// What it is called.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    reader: &'a mut Reader,
}

impl Read for Blob<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.reader.rest).unwrap_or(usize::MAX).min(into.len());
        // Zstandard takes an empty buffer for a reader that is stuck.
        if most == 0 {
            return Ok(0);
        }
        let read = self.reader.text.read(&mut into[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.reader.rest -= read as u64;
        Ok(read)
    }
}

/// Reads an outbox file.
pub struct Reader {
    text: zstd::Decoder<'static, BufReader<StreamReader<BufReader<File>>>>,
    header: Header,
    /// Bytes of the latest blob that were not read.
    rest: u64,
    seen: Trailer,
    ended: bool,
}

/// Opens a file: its signature is verified before anything in it is looked at.
///
/// # Errors
///
/// When the signature does not hold, the file is not for `secret`, or its first frame is none.
pub fn open(
    path: &Path,
    signature: &str,
    public_key: &str,
    secret: &Secret,
) -> Result<Reader, StickError> {
    let mut file = File::open(path)?;
    verify(&mut file, signature, public_key)?;
    file.rewind()?;
    let mut text = zstd::Decoder::new(decrypted(BufReader::new(file), secret)?)?;
    text.window_log_max(WINDOW_LOG)?;
    let header: Header = match begin(&mut text)? {
        (HEADER, bytes) => json(&mut text, "the header", bytes, FACTS_BYTES)?,
        (letter, _) => return Err(misplaced(letter, "the header")),
    };
    if header.format != FORMAT {
        return Err(StickError::Format { found: header.format });
    }
    let expected = signer(signature).unwrap_or_default();
    if header.site != expected {
        return Err(StickError::Site { found: header.site, expected });
    }
    Ok(Reader { text, header, rest: 0, seen: Trailer::default(), ended: false })
}

impl Reader {
    /// Whose it is, and since when.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next frame; `None` behind the last, once it is known that all were there.
    ///
    /// # Errors
    ///
    /// When the file is cut off, or holds something else.
    pub fn frame(&mut self) -> Result<Option<Frame<'_>>, StickError> {
        self.skip()?;
        if self.ended {
            return Ok(None);
        }
        match begin(&mut self.text)? {
            (ROW, bytes) => {
                self.seen.rows += 1;
                Ok(Some(Frame::Row(json(&mut self.text, "a row", bytes, ROW_BYTES)?)))
            }
            (BLOB, bytes) => {
                let mut name = [0; NAME_BYTES];
                let bytes = bytes.checked_sub(NAME_BYTES as u64);
                self.text.read_exact(&mut name)?;
                let (Some(bytes), true) = (bytes, is_digest(&name)) else {
                    return Err(misplaced(BLOB, "a blob with its name"));
                };
                self.seen.blobs += 1;
                self.rest = bytes;
                let sha256 = String::from_utf8_lossy(&name).into_owned();
                Ok(Some(Frame::Blob(Blob { sha256, bytes, reader: self })))
            }
            (TRAILER, bytes) => self.end(bytes).map(|()| None),
            (letter, _) => Err(misplaced(letter, "a row, a blob or the trailer")),
        }
    }

    fn end(&mut self, bytes: u64) -> Result<(), StickError> {
        let trailer: Trailer = json(&mut self.text, "the trailer", bytes, FACTS_BYTES)?;
        if trailer != self.seen {
            let Trailer { rows, blobs } = self.seen;
            let found = format!("{rows} rows and {blobs} blobs");
            return Err(StickError::Frame { found, expected: "what its trailer counts" });
        }
        if self.text.read(&mut [0])? != 0 {
            let found = "something behind its trailer".to_owned();
            return Err(StickError::Frame { found, expected: "the end" });
        }
        self.ended = true;
        Ok(())
    }

    /// Passes over what nobody has read of a blob.
    fn skip(&mut self) -> Result<(), StickError> {
        let skipped = io::copy(&mut (&mut self.text).take(self.rest), &mut io::sink())?;
        if skipped < self.rest {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.rest = 0;
        Ok(())
    }
}

/// Letter of a frame and the length of its content.
fn begin(text: &mut impl Read) -> Result<(u8, u64), StickError> {
    let (mut length, mut letter) = ([0; 4], [0; 1]);
    text.read_exact(&mut length)?;
    let length = u64::from(u32::from_be_bytes(length));
    let Some(bytes) = length.checked_sub(1) else {
        return Err(StickError::Frame { found: "an empty frame".to_owned(), expected: "a letter" });
    };
    text.read_exact(&mut letter)?;
    Ok((letter[0], bytes))
}

/// Content of a frame that is held in memory: no more than `most`, whatever its length says.
fn json<T: DeserializeOwned>(
    text: &mut impl Read,
    what: &'static str,
    bytes: u64,
    most: u64,
) -> Result<T, StickError> {
    if bytes > most {
        let found = format!("{what} of {bytes} bytes");
        return Err(StickError::Frame { found, expected: "one that fits into memory" });
    }
    let mut content = Vec::new();
    text.take(bytes).read_to_end(&mut content)?;
    if (content.len() as u64) < bytes {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    serde_json::from_slice(&content).map_err(|source| StickError::Json { what, source })
}

fn misplaced(letter: u8, expected: &'static str) -> StickError {
    StickError::Frame { found: format!("{:?}", char::from(letter)), expected }
}

fn is_digest(name: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    name.len() == NAME_BYTES && name.iter().all(digit)
}

#[cfg(test)]
mod tests;
