//! What the hub tells a box. Commands are numbered by the hub for each site; the box says with its
//! next batch up to which number it has them on its disk.

use serde::{Deserialize, Serialize};

/// A numbered command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// Rising from 1 for each site, without gaps.
    pub number: i64,
    /// What is to be done or known.
    pub command: Command,
}

/// What the hub says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Command {
    /// How a referral stands.
    Referral(Answer),
    /// Switches the model off, or on again.
    KillSwitch {
        /// Off.
        on: bool,
        /// Why, for people.
        reason: String,
    },
    /// A model bundle can be had.
    ModelOffer {
        /// Name of the bundle.
        id: String,
        /// SHA-256 of its manifest, hexadecimal.
        sha256: String,
        /// Its length in bytes.
        bytes: u64,
        /// What is new, for people.
        note: String,
        /// Length of its manifest; 0 from a hub that has no files to fetch.
        #[serde(default)]
        manifest_bytes: u64,
        /// Signature of its manifest (minisign).
        #[serde(default)]
        signature: String,
    },
    /// It can be had no more; what is installed stays.
    ModelWithdrawn {
        /// SHA-256 of its manifest, hexadecimal.
        sha256: String,
    },
}

/// The hospital's answer to a flag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// As in the flag.
    pub study: String,
    /// How it stands.
    pub status: Status,
    /// Who answers, and for which service.
    pub by: String,
    /// What the specialist writes; may be empty.
    pub note: String,
    /// What the clinic is asked to do.
    pub actions: Vec<String>,
    /// When, by the hub's clock, milliseconds since 1970.
    pub at_ms: i64,
}

/// Of a FHIR Task, as far as a referral goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The hub has it; nobody has looked.
    #[default]
    Received,
    /// Somebody will see to it.
    Accepted,
    /// Nobody will; the note says why.
    Declined,
    /// It is done; the note says what was decided.
    Completed,
}

impl Status {
    /// As stored and sent.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Completed => "completed",
        }
    }

    /// The status of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let all = [Self::Received, Self::Accepted, Self::Declined, Self::Completed];
        all.into_iter().find(|status| status.word() == word)
    }
}
