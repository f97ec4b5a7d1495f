//! The reading order: the worst first, but nobody waits for ever.
//!
//! 1. Studies past the waiting limit of their acuity are *overdue* and come first, the longest
//!    overdue at the front. Without this, a sick patient whom the model takes for healthy waits
//!    longer than with no model at all (PMC8128725: mean down, maximum up).
//! 2. Then by acuity, and within one acuity by age.
//! 3. Studies that are done come last, the latest done first.
//!
//! A study without an acuity (not analysed, or not yet) may be anything. It ranks with `medium`
//! and among those by age: behind what is known to be urgent, before everything that a model took
//! for harmless. Its own limit applies, so that a box without a working model reads by age.
//!
//! Two things follow, and are tested as properties. A study that is overdue can only be passed by
//! studies that were due before it, of which no new ones arrive: it is read. And with limits that
//! [`AgeCaps::check`] accepts, a study never stands behind a younger one of lower rank.

use std::cmp::Reverse;
use std::time::Duration;

use firmware_config::settings::AgeCaps;

use crate::triage::Acuity;

/// The limit of a study with this acuity.
pub(super) fn limit(caps: &AgeCaps, acuity: Option<Acuity>) -> Duration {
    match acuity {
        Some(Acuity::High) => caps.high,
        Some(Acuity::Medium) => caps.medium,
        Some(Acuity::Low) => caps.low,
        Some(Acuity::None) => caps.none,
        None => caps.not_analysed,
    }
}

/// What the place of a study depends on. Times are box time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Grows with arrival; decides between studies of the same millisecond.
    pub id: i64,
    /// In force, after overrides; `None` when nobody knows.
    pub acuity: Option<Acuity>,
    /// First image arrived.
    pub first_at: i64,
    /// A reader finished with it.
    pub done_at: Option<i64>,
}

/// A place in the reading order; the smallest is read first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Waited longer than it may.
    Overdue {
        /// Since when.
        due_at: i64,
        /// As in [`Place::Open`].
        rank: u8,
        /// See [`Facts::id`].
        id: i64,
    },
    /// Waits.
    Open {
        /// 0 for the highest acuity.
        rank: u8,
        /// See [`Facts::first_at`].
        first_at: i64,
        /// See [`Facts::id`].
        id: i64,
    },
    /// Is read.
    Done {
        /// See [`Facts::done_at`].
        done_at: Reverse<i64>,
        /// See [`Facts::id`].
        id: Reverse<i64>,
    },
}

/// When a study becomes overdue, in box time.
#[must_use]
pub fn due_at(facts: &Facts, caps: &AgeCaps) -> i64 {
    facts.first_at.saturating_add(milliseconds(limit(caps, facts.acuity)))
}

/// The place of a study at box time `now`.
#[must_use]
pub fn place(facts: &Facts, caps: &AgeCaps, now: i64) -> Place {
    let &Facts { id, first_at, .. } = facts;
    if let Some(done_at) = facts.done_at {
        return Place::Done { done_at: Reverse(done_at), id: Reverse(id) };
    }
    let rank = match facts.acuity {
        Some(Acuity::High) => 0,
        Some(Acuity::Medium) | None => 1,
        Some(Acuity::Low) => 2,
        Some(Acuity::None) => 3,
    };
    match due_at(facts, caps) {
        due_at if due_at <= now => Place::Overdue { due_at, rank, id },
        _ => Place::Open { rank, first_at, id },
    }
}

/// Saturating, because `Duration::MAX` stands for no limit.
fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
