//! Whether values of one sample tend to be larger than those of another.
#![expect(clippy::float_cmp, reason = "ties are equal values, exactly")]

use serde::{Deserialize, Serialize};

use crate::distribution::normal_above;
use crate::sample::{midranks, sorted};

/// With more values in both samples the distribution of U is taken for normal, as `SciPy` does.
const MOST_EXACT: usize = 8;

/// What a test looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alternative {
    /// The samples differ.
    TwoSided,
    /// Values of the first sample are smaller.
    Less,
    /// Values of the first sample are larger.
    Greater,
}

/// The test of Mann and Whitney.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MannWhitney {
    /// Pairs of values in which the first sample's is larger; ties count one half.
    pub u: f64,
    /// Probability of a U at least as extreme when both samples have one distribution.
    pub p_value: f64,
    /// The probability counts orders of the pooled sample; else it is the normal limit.
    pub exact: bool,
}

/// Mann and Whitney's test (Annals of Mathematical Statistics 1947). The probability is exact
/// when one sample has eight values or fewer and no two values are equal; else normal, with the
/// variance that ties leave, corrected for continuity. `None` when a sample is empty or holds a
/// value that is not a number.
#[must_use]
pub fn mann_whitney(x: &[f64], y: &[f64], alternative: Alternative) -> Option<MannWhitney> {
    let pooled = [x, y].concat();
    if x.is_empty() || y.is_empty() || pooled.iter().any(|value| value.is_nan()) {
        return None;
    }
    let (n, m) = (x.len() as f64, y.len() as f64);
    let rank_sum: f64 = midranks(&pooled)[..x.len()].iter().sum();
    let u = rank_sum - n * (n + 1.0) / 2.0;
    let extreme = match alternative {
        Alternative::TwoSided => u.max(n * m - u),
        Alternative::Less => n * m - u,
        Alternative::Greater => u,
    };
    let ties: Vec<f64> =
        sorted(&pooled).chunk_by(|a, b| a == b).map(|tied| tied.len() as f64).collect();
    let untied = ties.len() == pooled.len() && x.len().min(y.len()) <= MOST_EXACT;
    let counted = if untied { share_above(x.len(), y.len(), extreme) } else { None };
    let above = counted.unwrap_or_else(|| {
        let tied: f64 = ties.iter().map(|t| t * t * t - t).sum();
        let all = n + m;
        let variance = n * m / 12.0 * (all + 1.0 - tied / (all * (all - 1.0)));
        normal_above((extreme - n * m / 2.0 - 0.5) / variance.max(0.0).sqrt())
    });
    let sides = if alternative == Alternative::TwoSided { 2.0 } else { 1.0 };
    Some(MannWhitney { u, p_value: (sides * above).min(1.0), exact: counted.is_some() })
}

/// Share of the orders of `n` and `m` values with at least this `u`; `None` when there are more
/// orders than can be counted.
///
/// The counts are the coefficients of a Gaussian binomial, a product of `1 - q^(m + i)` over
/// `1 - q^i`. What lies between may overflow and comes back, since the ring of 128 bits forgets
/// nothing below its size.
fn share_above(n: usize, m: usize, u: f64) -> Option<f64> {
    let (few, many) = (n.min(m), n.max(m));
    let mut orders: u128 = 1;
    for i in 1..=few as u128 {
        orders = orders.checked_mul(many as u128 + i)? / i;
    }
    let mut counts = vec![0_u128; few * many + 1];
    counts[0] = 1;
    for i in 1..=few {
        for place in (many + i..counts.len()).rev() {
            counts[place] = counts[place].wrapping_sub(counts[place - many - i]);
        }
        for place in i..counts.len() {
            counts[place] = counts[place].wrapping_add(counts[place - i]);
        }
    }
    // As many orders have at least this U as have at most what it leaves of all pairs.
    let opposite = (n * m) as f64 - u;
    let chosen = counts.iter().zip(0_u32..).take_while(|(_, place)| f64::from(*place) <= opposite);
    Some(chosen.map(|(count, _)| count).sum::<u128>() as f64 / orders as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_directions_see_the_same(
            x in prop::collection::vec(-5_i32..5, 1..30), y in prop::collection::vec(-5_i32..5, 1..30),
        ) {
            let values = |list: &[i32]| list.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            let (x, y) = (values(&x), values(&y));
            let there = mann_whitney(&x, &y, Alternative::Less).unwrap();
            let back = mann_whitney(&y, &x, Alternative::Greater).unwrap();
            prop_assert_eq!(there.u + back.u, (x.len() * y.len()) as f64);
            prop_assert!((there.p_value - back.p_value).abs() < 1e-12);
        }
    }

    #[test]
    fn equal_samples_show_nothing() {
        for alternative in [Alternative::TwoSided, Alternative::Less, Alternative::Greater] {
            let found = mann_whitney(&[1.0; 20], &[1.0; 20], alternative).unwrap();
            assert_eq!((found.u, found.p_value), (200.0, 1.0));
        }
        assert_eq!(mann_whitney(&[], &[1.0], Alternative::Less), None);
    }
}
