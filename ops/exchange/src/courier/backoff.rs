//! How long is waited after a failure.

use std::time::Duration;

/// Bounds of a pause after failures: the first doubles with each further one.
pub(super) const PAUSE: (Duration, Duration) =
    (Duration::from_secs(2), Duration::from_secs(15 * 60));

/// Pauses after failures, spread so that thousands of boxes do not come back in the same second.
#[derive(Clone, Debug)]
pub struct Backoff {
    /// State of the random numbers.
    random: u64,
    /// Since the last answer.
    failures: u32,
}

impl Backoff {
    /// Pauses depend on `seed` and on what happens.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: seed | 1, failures: 0 }
    }

    /// The hub answered.
    pub fn answered(&mut self) {
        self.failures = 0;
    }

    /// It did not; returns how long to wait.
    pub fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.pause()
    }

    /// It asked to be left alone for so long, and told all the others the same; returns how long to
    /// wait.
    pub fn busy(&mut self, asked: Duration) -> Duration {
        let pause = asked.min(PAUSE.1);
        pause + pause.mul_f64(self.share())
    }

    /// Full jitter: anything up to the bound, which doubles with every failure.
    pub(super) fn pause(&mut self) -> Duration {
        let bound = PAUSE.0.saturating_mul(1 << self.failures.min(16)).min(PAUSE.1);
        bound.mul_f64(self.share())
    }

    /// From 0 to 1: xorshift64* (Vigna 2016), for spread and not for secrecy.
    pub fn share(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let bits = self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40;
        f64::from(u32::try_from(bits).unwrap_or(0)) / f64::from(1 << 24)
    }
}
