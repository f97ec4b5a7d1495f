//! How long a study may wait, by acuity.

use std::time::Duration;

/// The longest a study may wait from its first image until it goes to the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgeCaps {
    /// With acuity high.
    pub high: Duration,
    /// With acuity medium.
    pub medium: Duration,
    /// With acuity low.
    pub low: Duration,
    /// With acuity none.
    pub none: Duration,
    /// Without an acuity: not analysed, or not yet.
    pub not_analysed: Duration,
}

/// Limits under which a study could stand behind a younger and less acute one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgeCapsError {
    /// Everything would be overdue on arrival.
    #[error("the waiting limit of acuity high is 0; it must be longer")]
    Zero,
    /// A limit that is longer than that of something less urgent.
    #[error(
        "the waiting limit of {longer} is longer than that of {shorter}; it must be the same or \
         shorter"
    )]
    Crossed {
        /// Has the longer limit.
        longer: &'static str,
        /// Has the shorter limit, and is less urgent.
        shorter: &'static str,
    },
}

impl Default for AgeCaps {
    /// 1, 4, 12 and 24 hours; 4 hours without an acuity. Proposed by engineers; a site sets its
    /// own.
    fn default() -> Self {
        let hours = |h: u64| Duration::from_secs(h * 3600);
        let [high, medium, low, none, not_analysed] = [1, 4, 12, 24, 4].map(hours);
        Self { high, medium, low, none, not_analysed }
    }
}

impl AgeCaps {
    /// No limits: acuity alone decides. Only for comparison in the simulator.
    pub const NEVER: Self = Self {
        high: Duration::MAX,
        medium: Duration::MAX,
        low: Duration::MAX,
        none: Duration::MAX,
        not_analysed: Duration::MAX,
    };

    /// Limits must rise as acuity falls; that without an acuity must not exceed that of low.
    ///
    /// # Errors
    ///
    /// The first pair that is the wrong way round.
    pub fn check(&self) -> Result<(), AgeCapsError> {
        let pairs = [
            (("high", self.high), ("medium", self.medium)),
            (("medium", self.medium), ("low", self.low)),
            (("low", self.low), ("none", self.none)),
            (("high", self.high), ("not_analysed", self.not_analysed)),
            (("not_analysed", self.not_analysed), ("low", self.low)),
        ];
        if self.high.is_zero() {
            return Err(AgeCapsError::Zero);
        }
        match pairs.into_iter().find(|((_, more), (_, less))| more > less) {
            None => Ok(()),
            Some(((longer, _), (shorter, _))) => Err(AgeCapsError::Crossed { longer, shorter }),
        }
    }
}
