//! Can the wall clock be believed? Nothing waits or expires by it, but people read it.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::words;

/// The program cannot run before this: 2026-01-01, in milliseconds since 1970.
const EARLIEST: i64 = 1_767_225_600_000;
/// Differences up to this are a time server at work.
const TOLERATED: Duration = Duration::from_secs(300);

/// How far the wall clock can be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockQuality {
    /// It agrees with the box's own time.
    #[default]
    Good,
    /// It shows a time before this program was written: a dead battery, usually.
    NotSet,
    /// It is behind the box's own time, which never runs backwards.
    Behind(Duration),
    /// It is ahead of the box's own time.
    Ahead(Duration),
}

/// Compares the wall clock with the box's own time, both in milliseconds.
#[must_use]
pub fn quality(wall: i64, own: i64) -> ClockQuality {
    let off = words::between(wall, own);
    if wall < EARLIEST {
        ClockQuality::NotSet
    } else if off <= TOLERATED {
        ClockQuality::Good
    } else if wall < own {
        ClockQuality::Behind(off)
    } else {
        ClockQuality::Ahead(off)
    }
}

impl fmt::Display for ClockQuality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("the clock agrees with the box's own time"),
            Self::NotSet => f.write_str("the clock is not set: it shows a time before 2026"),
            Self::Behind(off) => {
                write!(f, "the clock is {} behind the box's own time", words::span(*off))
            }
            Self::Ahead(off) => {
                write!(f, "the clock is {} ahead of the box's own time", words::span(*off))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_in_words() {
        const DAY: i64 = 86_400_000;
        let own = EARLIEST + 300 * DAY;
        let check = |wall: i64, expected: &str| {
            assert_eq!(quality(wall, own).to_string(), expected);
        };
        check(own, "the clock agrees with the box's own time");
        check(own + 300_000, "the clock agrees with the box's own time");
        check(own - 300_000, "the clock agrees with the box's own time");
        check(own + 301_000, "the clock is 5 minutes ahead of the box's own time");
        check(own - 3 * DAY, "the clock is 3 days behind the box's own time");
        check(own + 3650 * DAY, "the clock is 3650 days ahead of the box's own time");
        check(0, "the clock is not set: it shows a time before 2026");
        check(EARLIEST - 1, "the clock is not set: it shows a time before 2026");
        check(EARLIEST, "the clock is 300 days behind the box's own time");
        check(i64::MIN, "the clock is not set: it shows a time before 2026");
    }
}
