//! Small things that several sections say.

use serde::{Deserialize, Serialize};
use statistics::interval::wilson;
use statistics::sample::{mean, quantile, sorted};

/// A share with Wilson's 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The share.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
    /// Of how many.
    pub of: usize,
}

impl Share {
    /// `count` of `of`; none of none.
    #[must_use]
    pub fn of(count: usize, of: usize) -> Option<Self> {
        let interval = wilson(count, of)?;
        let (lower, upper) = (interval.lower, interval.upper);
        Some(Self { value: count as f64 / of as f64, lower, upper, of })
    }
}

/// Values as a box plot shows them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many.
    pub count: usize,
    /// Smallest value within 1.5 interquartile ranges of the box.
    pub low: f64,
    /// First quartile.
    pub lower: f64,
    /// Median.
    pub median: f64,
    /// Third quartile.
    pub upper: f64,
    /// Largest value within 1.5 interquartile ranges of the box.
    pub high: f64,
    /// Mean.
    pub mean: f64,
}

impl Spread {
    /// Of finite values; none without any.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let sorted = sorted(&values.collect::<Vec<_>>());
        if sorted.is_empty() {
            return None;
        }
        let [lower, median, upper] = [0.25, 0.5, 0.75].map(|share| quantile(&sorted, share));
        let reach = 1.5 * (upper - lower);
        let inside = |value: &f64| *value >= lower - reach && *value <= upper + reach;
        Some(Self {
            count: sorted.len(),
            low: sorted.iter().copied().find(inside).unwrap_or(lower),
            lower,
            median,
            upper,
            high: sorted.iter().rev().copied().find(inside).unwrap_or(upper),
            mean: mean(&sorted),
        })
    }
}
