//! What can be wrong with a file before its pixels are looked at.

use std::path::PathBuf;

use dicom_core::Tag;

/// Why a file could not be read as DICOM.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// The file system refused.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Neither a preamble nor a first element that a DICOM file could begin with.
    #[error(
        "{}: not a DICOM file (no DICM at byte 128, and byte 0 begins no group 0002 or 0008)",
        path.display()
    )]
    NotDicom {
        /// The file.
        path: PathBuf,
    },
    /// More bytes than this reader accepts.
    #[error("{}: {what} exceeds the limit of {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is too large: the file, or its inflated data set.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The deflated data set does not inflate.
    #[error("{}: the deflated data set at byte {offset} cannot be inflated", path.display())]
    Inflate {
        /// The file.
        path: PathBuf,
        /// Where the deflated bytes begin.
        offset: usize,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// An element contradicts the file it stands in.
    #[error("{}: element {tag} at byte {offset}: {fault}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The element at which reading stopped.
        tag: Tag,
        /// Where the element begins, counted in the inflated data set of a deflated file.
        offset: usize,
        /// What is wrong.
        fault: Fault,
    },
}

/// What is wrong with one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Declared length against what is there.
    #[error("declares {declared} bytes, {remaining} remain; the file is cut off or corrupt")]
    Length {
        /// Length that the element declares.
        declared: u64,
        /// Bytes left in the file, or in the item around the element.
        remaining: u64,
    },
    /// The file ends inside an element header or before a delimiter.
    #[error("the file ends inside it; it is cut off or corrupt")]
    CutOff,
    /// A sequence holds something that is neither an item nor its end.
    #[error("expected an item (FFFE,E000) or the end of the sequence, found {found}")]
    NotAnItem {
        /// The tag found.
        found: Tag,
    },
    /// Sequences in sequences.
    #[error("nested deeper than {limit} levels")]
    Depth {
        /// The limit.
        limit: usize,
    },
    /// Elements and items together.
    #[error("more than {limit} elements")]
    Elements {
        /// The limit.
        limit: usize,
    },
    /// A value of undefined length in a representation that cannot have one.
    #[error("undefined length, which only sequences and encapsulated data may have")]
    UndefinedLength,
}
