//! DIMSE status codes, and which of them an instance is refused with.

use crate::archive::ArchiveError;
use crate::fault::chain;

/// Success (PS3.7 C.1.1).
pub(super) const SUCCESS: u16 = 0x0000;
/// Invalid argument value (PS3.7 C.5.10).
pub(super) const INVALID_ARGUMENT: u16 = 0x0115;
/// No such object instance (PS3.7 C.4.2; a reason for failed commitment, PS3.3 C.14.1.1).
pub(super) const NO_SUCH_INSTANCE: u16 = 0x0112;
/// Class-instance conflict (PS3.7 C.5.7; PS3.3 C.14.1.1).
pub(super) const CLASS_CONFLICT: u16 = 0x0119;
/// SOP class not supported (PS3.7 C.5.6).
pub(super) const CLASS_NOT_SUPPORTED: u16 = 0x0122;
/// No such action (PS3.7 C.5.1).
pub(super) const NO_SUCH_ACTION: u16 = 0x0123;
/// Processing failure (PS3.7 C.5.12).
pub(super) const PROCESSING_FAILURE: u16 = 0x0110;
/// Unrecognized operation (PS3.7 C.5.24).
pub(super) const UNRECOGNIZED_OPERATION: u16 = 0x0211;
/// Resource limitation (PS3.7 C.5.19).
pub(super) const RESOURCE_LIMITATION: u16 = 0x0213;
/// C-STORE and C-FIND: out of resources (PS3.4 B.2.3, C.4.1.1.4).
pub(super) const OUT_OF_RESOURCES: u16 = 0xA700;
/// C-STORE: data set does not match SOP class (PS3.4 B.2.3).
pub(super) const DATA_SET_MISMATCH: u16 = 0xA900;
/// C-STORE: cannot understand (PS3.4 B.2.3).
pub(super) const CANNOT_UNDERSTAND: u16 = 0xC000;
/// Of some sub-operations nothing, or nothing without a warning, came (PS3.4 C.4.2.1.5).
pub(super) const SOME_FAILED: u16 = 0xB000;
/// Out of resources: the matches cannot be counted (PS3.4 C.4.2.1.5, C.4.3.1.4).
pub(super) const CANNOT_COUNT: u16 = 0xA701;
/// Out of resources: no sub-operation could be performed.
pub(super) const ALL_FAILED: u16 = 0xA702;
/// C-MOVE: move destination unknown.
pub(super) const DESTINATION_UNKNOWN: u16 = 0xA801;
/// Query and retrieve: the identifier does not match the SOP class (PS3.4 C.4.1.1.4).
pub(super) const IDENTIFIER_MISMATCH: u16 = 0xA900;
/// Query and retrieve: unable to process.
pub(super) const UNABLE_TO_PROCESS: u16 = 0xC001;
/// Ended by a C-CANCEL.
pub(super) const CANCELLED: u16 = 0xFE00;
/// More answers follow.
pub(super) const PENDING: u16 = 0xFF00;
/// More answers follow; a key was not supported for matching.
pub(super) const PENDING_UNMATCHED: u16 = 0xFF01;

/// Warnings of C-STORE (PS3.4 B.2.3): coerced, elements discarded, does not match; it is stored.
pub(super) fn is_warning(status: u16) -> bool {
    matches!(status, 0x0001 | 0xB000..=0xBFFF)
}

/// An operation that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Status (0000,0900).
    pub(super) status: u16,
    /// Error Comment (0000,0902): what the sender's log shows.
    pub(super) comment: String,
    /// What only those who look after this box need to know; may be empty.
    pub(super) detail: String,
}

impl Refusal {
    pub(super) fn new(status: u16, comment: impl Into<String>) -> Self {
        Self { status, comment: comment.into(), detail: String::new() }
    }
}

impl From<&ArchiveError> for Refusal {
    fn from(error: &ArchiveError) -> Self {
        match error {
            ArchiveError::Full => Self::new(OUT_OF_RESOURCES, "disk full, keep the images"),
            ArchiveError::TooLarge { limit } => {
                let comment = format!("larger than {} MiB", limit >> 20);
                Self::new(OUT_OF_RESOURCES, comment)
            }
            ArchiveError::Mismatch { field, .. } => {
                Self::new(DATA_SET_MISMATCH, format!("{field} differs in command and data set"))
            }
            ArchiveError::NotAUid { field, .. } => {
                Self::new(CANNOT_UNDERSTAND, format!("{field} is no UID"))
            }
            ArchiveError::Malformed { .. } => Self {
                detail: chain(error),
                ..Self::new(CANNOT_UNDERSTAND, "data set cut off or corrupt")
            },
            // The sender must keep what it has and try again.
            ArchiveError::Io { .. } | ArchiveError::Store(_) | ArchiveError::Misplaced { .. } => {
                Self {
                    detail: chain(error),
                    ..Self::new(OUT_OF_RESOURCES, "cannot write to disk, keep the images")
                }
            }
        }
    }
}
