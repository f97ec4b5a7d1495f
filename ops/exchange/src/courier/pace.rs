//! How fast the link is, and what that means for a piece.

use std::time::Duration;

use super::PAUSE;

/// How long one piece may hold up a flag, in seconds of measured goodput, beside the latency.
const PIECE_S: f64 = 4.0;
/// Smallest and largest piece, bytes.
const PIECE_BYTES: (f64, f64) = (16.0 * 1024.0, 512.0 * 1024.0);
/// Goodput before anything was measured, bytes a second: 64 kbit/s.
const FIRST_GOODPUT: f64 = 8000.0;
/// How much of an estimate a new measurement replaces.
const WEIGHT: f64 = 0.3;
/// Smaller calls say more of latency than of goodput.
const MEASURED_BYTES: usize = 4096;
/// How long an answer is waited for, before the time that the bytes need.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What was learnt from earlier calls.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Bytes a second while they are under way.
    goodput: f64,
    /// What a call takes without them.
    latency_s: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { goodput: FIRST_GOODPUT, latency_s: 0.0 }
    }
}

impl Pace {
    pub(super) fn goodput(&self) -> f64 {
        self.goodput
    }

    /// Bytes that take about [`PIECE_S`] seconds.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "has bounds")]
    pub(super) fn piece(&self) -> usize {
        (self.goodput * PIECE_S).clamp(PIECE_BYTES.0, PIECE_BYTES.1) as usize
    }

    /// How long the answer to so many bytes is waited for.
    pub(super) fn patience(&self, bytes: usize) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "a rough time")]
        let seconds = 4.0 * bytes as f64 / self.goodput;
        PATIENCE + Duration::from_secs_f64(seconds.min(PAUSE.1.as_secs_f64()))
    }

    /// Learns from a call: the latency from a small one, the goodput from others.
    #[expect(clippy::cast_precision_loss, reason = "estimates")]
    pub(super) fn measure(&mut self, bytes: usize, millis: i64) {
        let (carried, seconds) = (bytes as f64, millis.max(1) as f64 / 1000.0);
        if bytes < MEASURED_BYTES {
            let found = (seconds - carried / self.goodput).max(0.0);
            self.latency_s += WEIGHT * (found - self.latency_s);
            return;
        }
        // An answer that took long once must not make the link look fast.
        let under_way = (seconds - self.latency_s).max(seconds / 2.0);
        self.goodput += WEIGHT * (carried / under_way - self.goodput);
    }

    /// After a silence: a smaller piece has a better chance before the next cut.
    pub(super) fn halve(&mut self) {
        self.goodput = (self.goodput / 2.0).max(PIECE_BYTES.0 / PIECE_S);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_hub_makes_no_slow_link() {
        let mut pace = Pace::default();
        for _ in 0..100 {
            pace.measure(0, 600);
            // 64 kbit/s behind 600 ms.
            let bytes = pace.piece();
            pace.measure(bytes, 600 + i64::try_from(bytes / 8).unwrap());
        }
        assert!((pace.goodput() - 8000.0).abs() < 100.0, "{pace:?}");
    }

    #[test]
    fn one_late_answer_makes_no_fast_link() {
        let mut pace = Pace::default();
        pace.measure(0, 60_000);
        pace.measure(32_000, 4000);
        assert!(pace.goodput() <= 11_000.0, "{pace:?}");
    }
}
