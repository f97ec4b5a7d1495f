//! How two measurements of the same studies go together.

use serde::{Deserialize, Serialize};

use crate::distribution::{Z95, beta_below};
use crate::sample::{mean, midranks};

/// A correlation with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correlation {
    /// From -1 to 1.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
    /// Two-sided probability of a correlation at least as strong between unrelated measurements.
    pub p_value: f64,
    /// Number of studies.
    pub studies: usize,
}

/// Pearson's correlation.
///
/// # Panics
/// When the lists differ in length.
#[must_use]
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "one value of each per study");
    if x.iter().chain(y).any(|value| !value.is_finite()) {
        return None;
    }
    let (mean_x, mean_y) = (mean(x), mean(y));
    let product = |a: &[f64], mean_a: f64, b: &[f64], mean_b: f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum()
    };
    let spread = product(x, mean_x, x, mean_x) * product(y, mean_y, y, mean_y);
    (spread > 0.0).then(|| product(x, mean_x, y, mean_y) / spread.sqrt())
}

/// Spearman's rank correlation; ties share their mean rank.
///
/// # Panics
/// When the lists differ in length.
#[must_use]
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.iter().chain(y).any(|value| value.is_nan()) {
        return None;
    }
    pearson(&midranks(x), &midranks(y))
}

/// Pearson's correlation with the interval by Fisher's z (Metron 1921), and the probability by
/// Student's t. `None` also for fewer than four studies.
///
/// # Panics
/// When the lists differ in length.
#[must_use]
pub fn pearson_test(x: &[f64], y: &[f64]) -> Option<Correlation> {
    inference(pearson(x, y)?, x.len(), |_| 1.0)
}

/// Spearman's rank correlation with the interval by Fisher's z and the standard error of Bonett
/// and Wright (Psychometrika 2000), and the probability by Student's t. `None` also for fewer than
/// four studies.
///
/// # Panics
/// When the lists differ in length.
#[must_use]
pub fn spearman_test(x: &[f64], y: &[f64]) -> Option<Correlation> {
    inference(spearman(x, y)?, x.len(), |r| 1.0 + r * r / 2.0)
}

/// `variance` is that of z times the number of studies less three.
fn inference(r: f64, studies: usize, variance: impl Fn(f64) -> f64) -> Option<Correlation> {
    let value = r.clamp(-1.0, 1.0);
    let freedom = studies.checked_sub(3).filter(|freedom| *freedom > 0)? as f64;
    let margin = Z95 * (variance(value) / freedom).sqrt();
    let z = value.atanh();
    // The square of t over itself and its degrees of freedom is that of the correlation.
    let unexplained = (1.0 - value) * (1.0 + value);
    Some(Correlation {
        value,
        lower: (z - margin).tanh(),
        upper: (z + margin).tanh(),
        p_value: beta_below((freedom + 1.0) / 2.0, 0.5, unexplained, value * value),
        studies,
    })
}
