//! Whether what comes in now looks like what came in before.
//!
//! [`Reference`] keeps a histogram of a quantity as it was, and [`Reference::stability`] compares
//! the present with it; [`kolmogorov_smirnov`] compares two samples without bins; [`cusum`]
//! watches the rate of an event, study by study, with a stated average time to a false alarm.

pub mod cusum;

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::distribution::chi_squared_above;
use crate::sample::sorted;

/// Added to the count of every bin: Jeffreys' prior for shares. A bin that one side leaves empty
/// would make the index infinite; half a study is the least informative remedy, and unlike a
/// fixed share (0.0001 is usual) it weighs less the more studies there are.
const PRIOR: f64 = 0.5;

/// Samples up to this size are compared exactly, as `SciPy` does by default.
const MOST_EXACT: usize = 10_000;

/// Histogram of a quantity as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Ascending ends of all bins but the last; a value on an end belongs to the bin below.
    pub edges: Vec<f64>,
    /// Values in each bin, one bin more than there are edges.
    pub counts: Vec<usize>,
}

/// How far the present is from a [`Reference`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// Population stability index: 0 when every bin has the share that it had.
    pub index: f64,
    /// Probability of an index at least as large when nothing has changed.
    pub p_value: f64,
}

impl Reference {
    /// `bins` bins, or fewer, of equal shares of these values. Their edges are values, the last one
    /// none, so that no bin is empty and a value which many studies share fills its own. `None`
    /// without values, or when one is not finite.
    #[must_use]
    pub fn by_quantiles(values: &[f64], bins: usize) -> Option<Self> {
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let ascending = sorted(values);
        let edge = |bin: usize| ascending[(bin * values.len()).div_ceil(bins) - 1];
        let mut edges: Vec<f64> = (1..bins).map(edge).collect();
        edges.dedup();
        edges.pop_if(|edge| ascending.last() == Some(edge));
        let mut reference = Self { counts: vec![0; edges.len() + 1], edges };
        reference.counts = reference.count(values);
        Some(reference)
    }

    /// How many values fall into each bin; what is not a number falls into none.
    #[must_use]
    pub fn count(&self, values: &[f64]) -> Vec<usize> {
        let mut counts = vec![0; self.edges.len() + 1];
        for value in values.iter().filter(|value| !value.is_nan()) {
            counts[self.edges.partition_point(|edge| edge < value)] += 1;
        }
        counts
    }

    /// Compares `counts` of the same bins, from [`Self::count`], with the reference: the sum over
    /// bins of the difference of shares times the difference of their logarithms.
    ///
    /// Divided by 1/n + 1/m it is distributed like chi-squared with one degree of freedom less
    /// than there are bins when nothing has changed (Yurdakul and Naranjo, Journal of Risk Model
    /// Validation 2020); the usual limits 0.1 and 0.25 ignore how many studies there are. `None`
    /// without studies, or with a single bin.
    ///
    /// # Panics
    /// When there is not one count a bin.
    #[must_use]
    pub fn stability(&self, counts: &[usize]) -> Option<Stability> {
        assert_eq!(counts.len(), self.counts.len(), "one count a bin");
        let size = |counts: &[usize]| counts.iter().sum::<usize>() as f64;
        let (n, m) = (size(&self.counts), size(counts));
        if counts.len() < 2 || n == 0.0 || m == 0.0 {
            return None;
        }
        let prior = PRIOR * counts.len() as f64;
        let terms = self.counts.iter().zip(counts).map(|(before, now)| {
            let before = (*before as f64 + PRIOR) / (n + prior);
            let now = (*now as f64 + PRIOR) / (m + prior);
            (now - before) * (now / before).ln()
        });
        let index: f64 = terms.sum();
        let scaled = index / (n.recip() + m.recip());
        Some(Stability { index, p_value: chi_squared_above(scaled, (counts.len() - 1) as f64) })
    }
}

/// Whether two samples have one distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct KolmogorovSmirnov {
    /// Largest distance of the two empirical distribution functions.
    pub statistic: f64,
    /// Probability of a distance at least as large when they have.
    pub p_value: f64,
    /// The probability counts orders of the pooled sample; else it is the limit for many studies.
    pub exact: bool,
}

/// The two-sided test of Kolmogorov and Smirnov. Up to 10,000 values a sample the
/// probability is exact for continuous quantities, and too large with ties; beyond, it is
/// Kolmogorov's limit. `None` when a sample is empty or holds a value that is not a number.
#[must_use]
pub fn kolmogorov_smirnov(x: &[f64], y: &[f64]) -> Option<KolmogorovSmirnov> {
    if x.is_empty() || y.is_empty() || x.iter().chain(y).any(|value| value.is_nan()) {
        return None;
    }
    let (x, y) = (sorted(x), sorted(y));
    let (n, m) = (x.len(), y.len());
    // In units of 1 / (n m), so that distances are whole numbers.
    let (mut i, mut j, mut distance) = (0, 0, 0);
    while i < n && j < m {
        let value = x[i].min(y[j]);
        i += x[i..].iter().take_while(|x| **x <= value).count();
        j += y[j..].iter().take_while(|y| **y <= value).count();
        distance = distance.max((i * m).abs_diff(j * n));
    }
    let statistic = distance as f64 / (n as f64 * m as f64);
    let exact = n.max(m) <= MOST_EXACT;
    let p_value = if exact {
        share_beyond(n, m, distance)
    } else {
        let effective = n as f64 / (n + m) as f64 * m as f64;
        kolmogorov_above(statistic * effective.sqrt())
    };
    Some(KolmogorovSmirnov { statistic, p_value, exact })
}

/// Share of the orders of `n` and `m` values whose distribution functions are `distance` apart
/// somewhere, in units of 1 / (n m). An order is a path over a grid; the last step to a point came
/// from the left with the probability `i / (i + j)`, so the share that has been outside the band
/// is a mean of two neighbours' shares (Hodges 1957), without a subtraction.
fn share_beyond(n: usize, m: usize, distance: usize) -> f64 {
    // Points outside the band keep their 1.
    let mut shares = vec![1.0; m + 1];
    let mut left = 0;
    for i in 0..=n {
        // Inside: |i m - j n| < distance.
        let first = (i * m + 1).saturating_sub(distance).div_ceil(n).min(m + 1);
        let end = (i * m + distance).div_ceil(n).min(m + 1);
        shares[left..first].fill(1.0);
        left = first;
        for j in first..end {
            shares[j] = match (i, j) {
                (0, 0) => 0.0,
                (0, _) => shares[j - 1],
                (_, 0) => shares[0],
                _ => (i as f64 * shares[j] + j as f64 * shares[j - 1]) / (i + j) as f64,
            };
        }
    }
    shares[m]
}

/// Probability that Kolmogorov's limit lies above `x`: the series that converges faster of the
/// two (Feller 1948).
fn kolmogorov_above(x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    if x < 1.0 {
        let terms = (1..20).map(|k| (-f64::from(2 * k - 1).powi(2) * (PI / x).powi(2) / 8.0).exp());
        return 1.0 - (2.0 * PI).sqrt() / x * terms.sum::<f64>();
    }
    let term = |k: i32| f64::from(1 - k % 2 * 2) * (-2.0 * (f64::from(k) * x).powi(2)).exp();
    -2.0 * (1..20).map(term).sum::<f64>()
}

#[cfg(test)]
mod tests;
