//! Scores to a clinical assessment: acuity, findings and referrals, by rules in files.
//!
//! The model scores; this module decides what that means at this site. It is a pure function of
//! the scores, `labels.toml` and `referral.toml`, so that the same study gets the same answer on
//! every box that has the same bundle and the same files, and so that a clinician can read the
//! whole of it. [`Tables`] holds them together with the rules for series, which the model's process
//! applies.

mod assessment;
mod labels;
mod rules;
mod tables;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use assessment::{Assessment, Finding, Reason, ReasonSource, Referral};
pub use labels::{Labels, Withheld};
pub use rules::{Rules, RulesError};
pub use tables::Tables;

/// How badly somebody must look at a study, least first. What the model and the rules say, or a
/// reader instead of them; the place on the worklist follows from it and from the age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acuity {
    /// Nothing was found.
    None,
    /// Something that can wait for days.
    Low,
    /// Something for today.
    Medium,
    /// Something that may kill or cripple within hours.
    High,
}

impl Acuity {
    /// All of them, least first.
    pub const ALL: [Self; 4] = [Self::None, Self::Low, Self::Medium, Self::High];

    /// As stored and as written in files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// The acuity that has this [`word`](Self::word).
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|acuity| acuity.word() == word)
    }
}

impl fmt::Display for Acuity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// How soon a service should see the patient, least first. How many hours each means is for the
/// site to agree on with its services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// The next free appointment.
    Routine,
    /// Within days.
    Soon,
    /// Today.
    Urgent,
    /// Now, by telephone.
    Emergency,
}

impl Urgency {
    /// As stored and as written in files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Routine => "routine",
            Self::Soon => "soon",
            Self::Urgent => "urgent",
            Self::Emergency => "emergency",
        }
    }
}

impl fmt::Display for Urgency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
