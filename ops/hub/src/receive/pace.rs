//! How often somebody may ask: so often in a row, and then so often a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Askers that are remembered before those who are at rest are forgotten.
const REMEMBERED: usize = 10_000;

/// A token bucket for each asker, as the time at which it will be full again.
#[derive(Debug)]
pub struct Pace {
    interval_us: i64,
    burst: i64,
    full_us: Mutex<HashMap<String, i64>>,
}

impl Pace {
    /// At most `burst` in a row, and `per_minute` in the long run.
    #[must_use]
    pub fn new(per_minute: u32, burst: u32) -> Self {
        Self {
            interval_us: 60_000_000 / i64::from(per_minute.max(1)),
            burst: i64::from(burst.max(1)),
            full_us: Mutex::default(),
        }
    }

    /// Takes one token.
    ///
    /// # Errors
    ///
    /// How long to wait until there is one.
    pub fn take(&self, asker: &str, now_ms: i64) -> Result<(), Duration> {
        let now_us = now_ms.saturating_mul(1000);
        let whole_us = self.burst * self.interval_us;
        let mut all = self.full_us.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.retain(|_, full_us| *full_us > now_us);
        }
        let full_us = all.get(asker).copied().unwrap_or(now_us);
        // Further away than an empty bucket allows: the clock was set back.
        let full_us = if full_us - now_us > whole_us { now_us } else { full_us.max(now_us) };
        let next_us = full_us + self.interval_us;
        let wait_us = next_us - now_us - whole_us;
        if wait_us > 0 {
            return Err(Duration::from_micros(wait_us.unsigned_abs()));
        }
        all.insert(asker.to_owned(), next_us);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_so_many_a_minute() {
        let pace = Pace::new(60, 3);
        let taken = |now_ms| (0..10).filter(|_| pace.take("a", now_ms).is_ok()).count();
        assert_eq!(taken(0), 3);
        assert_eq!(pace.take("a", 0), Err(Duration::from_secs(1)));
        assert_eq!(taken(999), 0);
        assert_eq!(taken(1000), 1);
        assert_eq!(taken(60_000), 3, "no more than the burst is saved up");
        assert_eq!(pace.take("b", 60_000), Ok(()), "everybody has a bucket");
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_out() {
        let pace = Pace::new(60, 1);
        assert_eq!(pace.take("a", 86_400_000), Ok(()));
        assert_eq!(pace.take("a", 0), Ok(()));
    }

    #[test]
    fn those_at_rest_are_forgotten() {
        let pace = Pace::new(60, 1);
        for asker in 0..REMEMBERED {
            pace.take(&asker.to_string(), 0).unwrap();
        }
        pace.take("late", 2000).unwrap();
        assert_eq!(pace.full_us.lock().unwrap().len(), 1);
    }
}
