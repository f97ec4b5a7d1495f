//! 95 % confidence intervals of a share.

use serde::{Deserialize, Serialize};

use crate::distribution::{Z95, beta_below, root};

/// Both ends of a confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// Probability beyond each end.
pub(crate) const TAIL: f64 = 0.025;

/// Wilson's score interval (Journal of the American Statistical Association 1927) of `count` out
/// of `of`; `None` out of nothing.
///
/// # Panics
/// When there are more than there are.
#[must_use]
pub fn wilson(count: usize, of: usize) -> Option<Interval> {
    assert!(count <= of, "{count} out of {of}");
    let n = of as f64;
    let (share, square) = (count as f64 / n, Z95 * Z95 / n);
    let centre = (share + square / 2.0) / (1.0 + square);
    let variance = share * (1.0 - share) / n + square / (4.0 * n);
    let margin = Z95 * variance.sqrt() / (1.0 + square);
    (of > 0).then_some(Interval {
        lower: if count == 0 { 0.0 } else { centre - margin },
        upper: if count == of { 1.0 } else { centre + margin },
    })
}

/// The exact interval of Clopper and Pearson (Biometrika 1934) of `count` out of `of`; `None` out
/// of nothing.
///
/// # Panics
/// When there are more than there are.
#[must_use]
pub fn clopper_pearson(count: usize, of: usize) -> Option<Interval> {
    assert!(count <= of, "{count} out of {of}");
    let (found, missed) = (count as f64, (of - count) as f64);
    // Where a beta distributed value has a share `below` of its distribution below it.
    let quantile = |a: f64, b: f64, below: f64| {
        root(0.0, 1.0, |share| beta_below(a, b, share, 1.0 - share) - below)
    };
    (of > 0).then(|| Interval {
        lower: if count == 0 { 0.0 } else { quantile(found, missed + 1.0, TAIL) },
        upper: if count == of { 1.0 } else { 1.0 - quantile(missed, found + 1.0, TAIL) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Clopper and Pearson's interval never covers less often than it says.
        #[test]
        fn exact_intervals_cover(of in 1_usize..60, share in 0.0_f64..1.0) {
            let mut probability = (1.0 - share).powi(of as i32);
            let mut covered = 0.0;
            for count in 0..=of {
                let exact = clopper_pearson(count, of).unwrap();
                if exact.lower <= share && share <= exact.upper {
                    covered += probability;
                }
                let wilson = wilson(count, of).unwrap();
                let point = count as f64 / of as f64;
                prop_assert!(exact.lower <= point && point <= exact.upper);
                prop_assert!(wilson.lower <= point && point <= wilson.upper);
                let odds = share / (1.0 - share);
                probability *= odds * (of - count) as f64 / (count + 1) as f64;
            }
            prop_assert!(covered >= 0.95 - 1e-9, "{covered}");
        }
    }

    #[test]
    fn nothing_has_no_share() {
        assert_eq!((wilson(0, 0), clopper_pearson(0, 0)), (None, None));
    }
}
