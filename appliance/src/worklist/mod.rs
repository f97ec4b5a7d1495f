//! Which queue a study stands in, and its place in the one reading order.
//!
//! Both are pure functions of a few facts and the time, so that the database, the web pages and
//! the simulator cannot disagree about them.

mod order;
pub mod simulate;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::triage::Acuity;

pub use firmware_config::settings::{AgeCaps, AgeCapsError};
pub use order::{Facts, Place, due_at, place};

/// The four lists a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// Acuity high, by the rules or by a reader.
    Urgent,
    /// Every other study that waits for a reader, those still arriving or being analysed included.
    Review,
    /// Studies that the model could not judge and nobody has judged since.
    NotAnalysed,
    /// Studies a reader is finished with.
    Done,
}

impl Queue {
    /// All of them, in the order they are shown.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::Review, Self::NotAnalysed, Self::Done];

    /// The queue of a study: `acuity` is the one in force, `not_analysed` that the latest analysis
    /// gave no answer, `done` that a reader is finished with it.
    #[must_use]
    pub fn of(acuity: Option<Acuity>, not_analysed: bool, done: bool) -> Self {
        match (done, acuity) {
            (true, _) => Self::Done,
            (false, Some(Acuity::High)) => Self::Urgent,
            // A reader's acuity takes a study out of this queue: somebody has judged it.
            (false, None) if not_analysed => Self::NotAnalysed,
            (false, _) => Self::Review,
        }
    }

    /// As stored and as written in addresses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Review => "review",
            Self::NotAnalysed => "not_analysed",
            Self::Done => "done",
        }
    }

    /// The queue that has this [`word`](Self::word).
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.word() == word)
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
