//! Rows of an outbox: what identifies them, how urgent they are, and what their content is.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Longest body of a flag, in bytes.
pub const FLAG_BYTES: usize = 8 * 1024;
/// Longest body of any row, in bytes. The manifest of a series with 2,000 slices has 480 KiB.
pub const BODY_BYTES: usize = 1024 * 1024;

/// How soon a row has to cross. The number is what is stored and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
#[repr(u8)]
pub enum Priority {
    /// A referral flag, and a decision on it: at most [`FLAG_BYTES`], before everything else.
    Flag = 0,
    /// Structured report, key images, overlay.
    Result = 1,
    /// Whole series.
    Images = 2,
    /// Telemetry, outcomes without patients, audit heads.
    Telemetry = 3,
}

impl Priority {
    /// All of them, most urgent first.
    pub const ALL: [Self; 4] = [Self::Flag, Self::Result, Self::Images, Self::Telemetry];
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Flag => 0,
            Priority::Result => 1,
            Priority::Images => 2,
            Priority::Telemetry => 3,
        }
    }
}

impl TryFrom<u8> for Priority {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        (Self::ALL.into_iter().find(|priority| u8::from(*priority) == number))
            .ok_or_else(|| format!("{number} is no priority, expected 0 to 3"))
    }
}

/// What the body of a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// [`crate::flag::Flag`].
    Flag,
    /// [`crate::manifest::Manifest`] of objects made from a result.
    Objects,
    /// [`crate::manifest::Manifest`] of a series as the scanner sent it.
    Series,
    /// [`crate::telemetry::Telemetry`].
    Telemetry,
    /// [`crate::telemetry::Outcome`].
    Outcome,
    /// [`crate::telemetry::AuditHead`].
    AuditHead,
}

impl Kind {
    /// As stored and sent.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Objects => "objects",
            Self::Series => "series",
            Self::Telemetry => "telemetry",
            Self::Outcome => "outcome",
            Self::AuditHead => "audit_head",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let all = [
            Self::Flag,
            Self::Objects,
            Self::Series,
            Self::Telemetry,
            Self::Outcome,
            Self::AuditHead,
        ];
        all.into_iter().find(|kind| kind.word() == word)
    }

    /// How urgent rows of this kind are.
    #[must_use]
    pub fn priority(self) -> Priority {
        match self {
            Self::Flag => Priority::Flag,
            Self::Objects => Priority::Result,
            Self::Series => Priority::Images,
            Self::Telemetry | Self::Outcome | Self::AuditHead => Priority::Telemetry,
        }
    }
}

/// What identifies a row at one site; the site is whose certificate it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Identity of the database that the row was written in. A restored backup gets a new one, so
    /// that no number is used for two rows.
    pub epoch: String,
    /// Number in that database, rising.
    pub seq: i64,
}

/// A row as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What identifies it.
    #[serde(flatten)]
    pub key: Key,
    /// What it is.
    pub kind: Kind,
    /// Study Instance UID, or what stands for it; empty for rows that belong to no study. Rows of
    /// one study cross in order of their numbers, except that none waits for a less urgent one.
    pub study: String,
    /// When it was written, box time in milliseconds; nothing is ordered by it.
    pub created_ms: i64,
    /// SHA-256 of what it says, hexadecimal.
    pub sha256: String,
    /// JSON, as text, so that its bytes are the same everywhere.
    pub body: String,
}

impl Row {
    /// A row with its digest.
    #[must_use]
    pub fn seal(key: Key, kind: Kind, study: String, created_ms: i64, body: String) -> Self {
        let sha256 = digest(&key, kind, &study, created_ms, &body);
        Self { key, kind, study, created_ms, sha256, body }
    }

    /// True when the digest is that of the content.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.sha256 == digest(&self.key, self.kind, &self.study, self.created_ms, &self.body)
    }

    /// How urgent it is.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.kind.priority()
    }
}

/// Every field has its length before it, so that no two rows have the same bytes.
fn digest(key: &Key, kind: Kind, study: &str, created_ms: i64, body: &str) -> String {
    let mut hasher = Sha256::new();
    let numbers = format!("{} {created_ms}", key.seq);
    for field in [key.epoch.as_str(), &numbers, kind.word(), study, body] {
        hasher.update(field.len().to_be_bytes());
        hasher.update(field);
    }
    hex(&hasher.finalize())
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let key = Key { epoch: "e1".into(), seq: 7 };
        Row::seal(key, Kind::Flag, "1.2.3".into(), 5, "{}".into())
    }

    #[test]
    fn any_change_breaks_the_digest() {
        assert!(row().is_intact());
        for change in [
            |row: &mut Row| row.key.seq = 8,
            |row: &mut Row| row.key.epoch = "e".into(),
            |row: &mut Row| row.kind = Kind::Objects,
            |row: &mut Row| row.study = "1.2.34".into(),
            |row: &mut Row| row.created_ms = 6,
            |row: &mut Row| row.body = "{ }".into(),
        ] {
            let mut changed = row();
            change(&mut changed);
            assert!(!changed.is_intact(), "{changed:?}");
        }
    }

    #[test]
    fn a_row_survives_json() {
        let text = serde_json::to_string(&row()).unwrap();
        assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), row());
        assert!(text.starts_with(r#"{"epoch":"e1","seq":7,"kind":"flag""#), "{text}");
    }

    #[test]
    fn every_kind_is_known_by_its_word() {
        for kind in [Kind::Flag, Kind::Objects, Kind::Series, Kind::Outcome, Kind::AuditHead] {
            assert_eq!(Kind::of(kind.word()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
        assert_eq!(Kind::of("other"), None);
        assert!(serde_json::from_str::<Priority>("4").is_err());
    }
}
