//! Clinical tables: the files of `firmware-config` that somebody answers for. They say different
//! things and are alike in their head (format, version, day, approver) and in how a mistake is
//! refused, with the line it stands on: a table that is wrong must be found by whoever edits it,
//! not by a patient.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toml::Spanned;

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be read.
    #[error("cannot read the {what} {path}")]
    Read {
        /// What people call the table.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something in the file is wrong.
    #[error("{file}, line {line}: {message}")]
    Line {
        /// The file.
        file: String,
        /// From 1.
        line: usize,
        /// What was found, and what to write instead.
        message: String,
    },
}

/// Which version of a table, and who answers for it: what results and the audit log carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// As its authors count.
    pub version: String,
    /// Day of this version, YYYY-MM-DD.
    pub date: String,
    /// Who approved it for this site; empty for nobody.
    pub approver: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

/// What is wrong, and the byte of the file where it begins.
pub type Fault = (usize, String);

/// What one kind of table says.
pub trait Content: DeserializeOwned {
    /// Name of the shipped file.
    const FILE: &'static str;
    /// What people call the table.
    const WHAT: &'static str;
    /// The shipped file: what a box uses that has no file of its own.
    const BUILT_IN: &'static str;
    /// Format this build reads.
    const FORMAT_VERSION: u32;

    /// The head as written.
    fn written(&self) -> Written<'_>;

    /// Checks what types and the head leave open.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    fn validate(&self) -> Result<(), Fault>;
}

/// The head of a table as written.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// [`Content::FORMAT_VERSION`].
    pub format_version: &'a Spanned<u32>,
    /// See [`Head::version`].
    pub version: &'a Spanned<String>,
    /// See [`Head::date`].
    pub date: &'a Spanned<String>,
    /// See [`Head::approver`].
    pub approver: &'a str,
}

/// A table, checked.
#[derive(Clone, Debug)]
pub struct ClinicalTable<C> {
    file: String,
    text: String,
    head: Head,
    content: C,
}

impl<C: Content> ClinicalTable<C> {
    /// The table that ships. It was approved by nobody.
    ///
    /// # Errors
    ///
    /// Never in a build that passed its tests.
    pub fn built_in() -> Result<Self, TableError> {
        Self::parse(C::BUILT_IN, &format!("{} (built in)", C::FILE))
    }

    /// The table of a site; an empty path stands for the one that ships.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or something in it is wrong.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        if path.as_os_str().is_empty() {
            return Self::built_in();
        }
        let text = fs::read_to_string(path).map_err(|source| TableError::Read {
            what: C::WHAT,
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// A table from its text; `file` is what messages call it.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its line.
    pub fn parse(text: &str, file: &str) -> Result<Self, TableError> {
        let content: C = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            wrong(text, file, at, error.message().replace('\n', " "))
        })?;
        let written = content.written();
        let checked = written.validate(C::FORMAT_VERSION).and_then(|()| content.validate());
        checked.map_err(|(at, message)| wrong(text, file, at, message))?;
        let head = Head {
            version: written.version.get_ref().clone(),
            date: written.date.get_ref().clone(),
            approver: written.approver.to_owned(),
            sha256: sha256(text.as_bytes()),
        };
        Ok(Self { file: file.to_owned(), text: text.to_owned(), head, content })
    }
}

impl<C> ClinicalTable<C> {
    /// What messages call it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// All of the file, to be parsed again elsewhere.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Version and approver.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What it says.
    #[must_use]
    pub fn content(&self) -> &C {
        &self.content
    }

    /// What is wrong at a byte of the file, found after it was read.
    #[must_use]
    pub fn wrong(&self, at: usize, message: String) -> TableError {
        wrong(&self.text, &self.file, at, message)
    }
}

impl Written<'_> {
    fn validate(&self, format: u32) -> Result<(), Fault> {
        expect(
            self.format_version,
            |v| *v == format,
            |v| format!("format_version is {v}; this program reads {format}"),
        )?;
        expect(
            self.version,
            |v| !v.trim().is_empty(),
            |_| "version is empty; give this table a number or a name".to_owned(),
        )?;
        expect(self.date, |d| is_date(d), |d| format!("date is {d:?}; write YYYY-MM-DD"))
    }
}

fn wrong(text: &str, file: &str, at: usize, message: String) -> TableError {
    let line = text.bytes().take(at).filter(|b| *b == b'\n').count() + 1;
    TableError::Line { file: file.to_owned(), line, message }
}

/// Refuses a value that does not hold, at its place.
///
/// # Errors
///
/// When it does not hold.
pub fn expect<T>(
    value: &Spanned<T>,
    holds: impl FnOnce(&T) -> bool,
    message: impl FnOnce(&T) -> String,
) -> Result<(), Fault> {
    let inner = value.get_ref();
    if holds(inner) { Ok(()) } else { Err((value.span().start, message(inner))) }
}

/// Refuses a reason that is no sentence: reasons are strung together.
///
/// # Errors
///
/// When it does not end with a full stop.
pub fn expect_sentence(reason: &Spanned<String>) -> Result<(), Fault> {
    expect(
        reason,
        |r| r.len() > 1 && r.ends_with('.'),
        |r| format!("the reason {r:?} is no sentence; end it with a full stop"),
    )
}

fn is_date(text: &str) -> bool {
    let dashes =
        |(i, b): (usize, u8)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() };
    text.len() == 10 && text.bytes().enumerate().all(dashes)
}

/// Hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
