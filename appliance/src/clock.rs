//! Time that never runs backwards.
//!
//! Clinic boxes have dead batteries and no time server, so the wall clock may be years off and
//! may jump. Everything that orders, waits or expires uses *box time*: milliseconds since 1970
//! that start from the wall clock, advance with the monotonic clock, and are carried over a
//! restart by the store. The wall clock is only shown, and noted in the audit log.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest power-off that is believed: a wall clock further ahead of the last known box time than
/// this is taken to be wrong.
const LONGEST_OFF: Duration = Duration::from_secs(400 * 24 * 3600);
/// The program cannot run before this: 2026-01-01.
const EARLIEST: i64 = 1_767_225_600_000;

/// What time it is. Milliseconds throughout.
pub trait Clock: std::fmt::Debug + Send + Sync {
    /// Box time: never runs backwards, not even over a restart.
    fn now(&self) -> i64;
    /// The wall clock as the operating system tells it, right or wrong.
    fn wall(&self) -> i64;
}

/// The real one.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    /// Box time at `started`.
    start: AtomicI64,
}

impl SystemClock {
    /// A clock that knows nothing of earlier runs; [`SystemClock::resume`] tells it.
    #[must_use]
    pub fn new() -> Self {
        let clock = Self { started: Instant::now(), start: AtomicI64::new(0) };
        clock.start.store(clock.wall().max(EARLIEST), Ordering::Relaxed);
        clock
    }

    /// Continues after `last`, the box time that the store last saw. A wall clock behind it, or
    /// unbelievably far ahead, is not followed. A new store has seen nothing yet.
    pub fn resume(&self, last: i64) {
        if last < EARLIEST {
            return;
        }
        self.start.store(believed(self.wall(), last) - self.elapsed(), Ordering::Relaxed);
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

/// Box time at a start, from the wall clock and the box time last seen.
fn believed(wall: i64, last: i64) -> i64 {
    let longest = i64::try_from(LONGEST_OFF.as_millis()).unwrap_or(i64::MAX);
    if (last..=last.saturating_add(longest)).contains(&wall) { wall } else { last }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        self.start.load(Ordering::Relaxed) + self.elapsed()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the wall clock"
    )]
    fn wall(&self) -> i64 {
        // A clock before 1970 counts as 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A clock that stands still until told otherwise, for tests.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Stands at `now`.
    #[must_use]
    pub fn new(now: i64) -> Self {
        Self(AtomicI64::new(now))
    }

    /// Moves on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn wall(&self) -> i64 {
        self.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3_600_000;

    /// Days by which the clock differs from the wall clock after it resumed.
    fn check(last_days: i64, expected: i64) {
        let clock = SystemClock::new();
        clock.resume(clock.wall() + last_days * DAY);
        let difference = clock.now() - clock.wall();
        let days = (difference + DAY / 2).div_euclid(DAY);
        assert_eq!(days, expected, "last seen {last_days} days from now");
    }

    #[test]
    fn a_restart_goes_on_from_the_last_box_time() {
        check(0, 0);
        check(-1, 0);
        check(-100, 0);
        // The battery died and the wall clock went back: box time does not.
        check(3650, 3650);
    }

    #[test]
    fn an_unbelievable_wall_clock_is_not_followed() {
        let now = EARLIEST + 5 * DAY;
        assert_eq!(believed(now + 10 * DAY, now), now + 10 * DAY);
        assert_eq!(believed(now + 401 * DAY, now), now);
        assert_eq!(believed(now - DAY, now), now);
    }

    #[test]
    fn a_new_store_has_seen_nothing() {
        let clock = SystemClock::new();
        clock.resume(0);
        assert!((clock.now() - clock.wall()).abs() < 10_000);
    }
}
