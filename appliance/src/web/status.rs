//! What the daemon says of itself, for the system page and for supervision.

use serde::Serialize;

use crate::hub::task::HubNow;

/// A snapshot; a new one is published every few seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// Box time of the snapshot, in milliseconds.
    pub at: i64,
    /// Box time the daemon started, in milliseconds.
    pub started_at: i64,
    /// Where images come in.
    pub receive: Receive,
    /// The assisting model; `None` when there is none.
    pub model: Option<ModelNow>,
    /// Which series its training saw, where its bundle says so.
    pub selection: Option<SelectionNow>,
    /// The link to the referral hospital's hub; `None` when there is none.
    pub hub: Option<HubNow>,
    /// New settings that change how the box is reached, when somebody has to know of them.
    pub trial: Option<Trial>,
    /// One line each for disk, memory, temperatures, analysis, database, backup, clock and what
    /// else there is to check.
    pub checks: Vec<Check>,
}

/// Where images come in: what has to be typed into the scanner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Receive {
    /// Our AE title.
    pub ae_title: String,
    /// IP addresses of the box, those that a scanner can reach first.
    pub addresses: Vec<String>,
    /// Port for plain DICOM.
    pub port: u16,
    /// Port for DICOM over TLS.
    pub tls_port: Option<u16>,
    /// Open associations.
    pub associations: Vec<Association>,
}

/// An open association.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Association {
    /// AE title of the peer.
    pub calling: String,
    /// Its address.
    pub peer: String,
    /// Box time it was opened, in milliseconds.
    pub since: i64,
    /// Images it brought.
    pub images: u64,
}

/// The assisting model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModelNow {
    /// Its id in the manifest.
    pub name: String,
    /// SHA-256 of its manifest, hexadecimal.
    pub digest: String,
    /// Its weights are random numbers.
    pub untrained: bool,
    /// They were learnt from simulated studies alone.
    pub simulated: bool,
    /// Origin of the weights in one sentence.
    pub statement: String,
    /// What it is for.
    pub intended_use: String,
}

/// New settings that change how the box is reached, which were tried last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Trial {
    /// They are in use, and lost unless somebody keeps them.
    Awaiting {
        /// Which trial.
        id: String,
        /// Box time until when, in milliseconds.
        until: i64,
    },
    /// Those from before are in force again.
    Undone {
        /// Why.
        why: String,
    },
}

/// The rules for series that the assisting model's training saw, beside those of this box.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SelectionNow {
    /// Version of those of its training.
    pub trained: String,
    /// Version of those of this box.
    pub here: String,
    /// How they differ, in words; `None` when they select the same.
    pub difference: Option<String>,
}

/// How a check went, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Worth knowing; work goes on.
    Notice,
    /// Somebody must act.
    Problem,
}

impl Verdict {
    /// The message that names it.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Good => "verdict-good",
            Self::Notice => "verdict-notice",
            Self::Problem => "verdict-problem",
        }
    }

    /// Name of its style.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Notice => "notice",
            Self::Problem => "problem",
        }
    }
}

/// One line of the system page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: `disk`, `graphics card`, `clock` ...
    pub name: String,
    /// How it went.
    pub verdict: Verdict,
    /// What was found and, where it is not good, what to do, in a sentence or two.
    pub said: String,
}
