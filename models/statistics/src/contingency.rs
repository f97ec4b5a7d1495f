//! Two groups and an outcome: odds ratios, Fisher's exact test, chi-squared.

use serde::{Deserialize, Serialize};

use crate::distribution::{Z95, normal_two_sided, root};
use crate::interval::TAIL;

/// Tables whose probabilities differ by less than this share count as equally probable. Those of
/// tables that are equally probable differ by rounding, some 1e-13 for millions of studies.
const EQUALLY_PROBABLE: f64 = 1e-10;
/// Logarithms of odds ratios beyond are not looked for.
const MOST_LN_ODDS: f64 = 100.0;
/// Relative probability of the most probable table: as large as its sums allow, so that very
/// improbable ones do not vanish.
const MODE: f64 = 1e290;

/// Studies of a group and of its reference, with and without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Studies of the group with the outcome.
    pub with: usize,
    /// Studies of the group without it.
    pub without: usize,
    /// Studies of the reference with the outcome.
    pub reference_with: usize,
    /// Studies of the reference without it.
    pub reference_without: usize,
}

/// How many times the reference's odds of the outcome a group has, with its 95 % confidence
/// interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OddsRatio {
    /// The ratio.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
}

/// Pearson's test that outcome and group are independent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChiSquared {
    /// Distributed like chi-squared with one degree of freedom.
    pub statistic: f64,
    /// Probability of a statistic at least as large.
    pub p_value: f64,
}

impl Table {
    /// Counts studies, each as whether it belongs to the group and whether it has the outcome.
    pub fn of(studies: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut table = Self { with: 0, without: 0, reference_with: 0, reference_without: 0 };
        for study in studies {
            let count = match study {
                (true, true) => &mut table.with,
                (true, false) => &mut table.without,
                (false, true) => &mut table.reference_with,
                (false, false) => &mut table.reference_without,
            };
            *count += 1;
        }
        table
    }

    /// The sample's odds ratio with Woolf's interval (Annals of Human Genetics 1955), normal in
    /// the logarithm. When a cell is empty, and only then, half a study is added to each of the
    /// four (Haldane 1956, Anscombe 1956). `None` when the table has an empty row or column.
    #[must_use]
    pub fn odds_ratio(&self) -> Option<OddsRatio> {
        let cells = self.cells().map(|count| count as f64);
        let added = if cells.contains(&0.0) { 0.5 } else { 0.0 };
        let [a, b, c, d] = cells.map(|count| count + added);
        let value = a / b / (c / d);
        let error = (a.recip() + b.recip() + c.recip() + d.recip()).sqrt();
        let factor = (Z95 * error).exp();
        self.is_full().then(|| OddsRatio { value, lower: value / factor, upper: value * factor })
    }

    /// The odds ratio that makes the table most probable among all of its margins, with the exact
    /// interval (Cornfield 1956): the ratios at which a table as extreme has a probability of
    /// 2.5 %. 0 or infinite, with such an end, when the table is at an end. `None` when the table
    /// has an empty row or column.
    #[must_use]
    pub fn conditional_odds_ratio(&self) -> Option<OddsRatio> {
        let (first, last) = self.support();
        let with = self.with;
        let solve = |rising: &dyn Fn(&Tables) -> f64| {
            let at = |ln_odds: f64| rising(&self.tables(ln_odds.exp()));
            root(-MOST_LN_ODDS, MOST_LN_ODDS, at).exp()
        };
        let at_least = |tables: &Tables| tables.share(|x, _| x >= with);
        let at_most = |tables: &Tables| tables.share(|x, _| x <= with);
        let value = match with {
            _ if with == first => 0.0,
            _ if with == last => f64::INFINITY,
            _ => solve(&|tables| tables.mean() - with as f64),
        };
        self.is_full().then(|| OddsRatio {
            value,
            lower: if with == first { 0.0 } else { solve(&|tables| at_least(tables) - TAIL) },
            upper: if with == last {
                f64::INFINITY
            } else {
                solve(&|tables| TAIL - at_most(tables))
            },
        })
    }

    /// Fisher's exact test, two-sided: the probability, when outcome and group are independent,
    /// of all tables with these margins that are not more probable than this one. 1 when the
    /// margins leave no choice.
    #[must_use]
    pub fn fisher_exact(&self) -> f64 {
        let tables = self.tables(1.0);
        let place = self.with.checked_sub(tables.first);
        let own = place.and_then(|place| tables.weights.get(place)).copied().unwrap_or(0.0);
        tables.share(|_, weight| weight <= own * (1.0 + EQUALLY_PROBABLE))
    }

    /// Pearson's chi-squared test without a correction for continuity. `None` when the table has
    /// an empty row or column.
    #[must_use]
    pub fn chi_squared(&self) -> Option<ChiSquared> {
        let [a, b, c, d] = self.cells().map(|count| count as f64);
        let margins = (a + b) * (c + d) * (a + c) * (b + d);
        let statistic = (a + b + c + d) * (a * d - b * c).powi(2) / margins;
        let p_value = normal_two_sided(statistic.sqrt());
        self.is_full().then_some(ChiSquared { statistic, p_value })
    }

    fn cells(&self) -> [usize; 4] {
        [self.with, self.without, self.reference_with, self.reference_without]
    }

    /// Whether no row or column is empty.
    fn is_full(&self) -> bool {
        let [a, b, c, d] = self.cells();
        a + b > 0 && c + d > 0 && a + c > 0 && b + d > 0
    }

    /// The least and the largest count of the first cell that the margins allow.
    fn support(&self) -> (usize, usize) {
        let [a, b, c, d] = self.cells();
        ((a + c).saturating_sub(c + d), (a + b).min(a + c))
    }

    /// The tables with these margins when the odds ratio is `odds`, from the most probable one
    /// outwards by the ratio of neighbours, as far as numbers go.
    fn tables(&self, odds: f64) -> Tables {
        let [a, b, c, d] = self.cells();
        let (group, outcome, rest) = (a + b, a + c, c + d);
        // How much more probable than a table the one with one more in the first cell is.
        let step = |x: usize| {
            let numerator = (group - x) as f64 * (outcome - x) as f64;
            odds * numerator / ((x + 1) as f64 * (x + 1 + rest - outcome) as f64)
        };
        let (first, last) = self.support();
        let (mut mode, mut end) = (first, last);
        while mode < end {
            let middle = usize::midpoint(mode, end);
            if step(middle) >= 1.0 { mode = middle + 1 } else { end = middle }
        }
        let fall = |weight: &mut f64, factor: f64| {
            *weight *= factor;
            weight.is_normal().then_some(*weight)
        };
        let down = (first..mode).rev().scan(MODE, |weight, x| fall(weight, step(x).recip()));
        let mut weights: Vec<f64> = down.collect();
        let lowest = mode - weights.len();
        weights.reverse();
        weights.push(MODE);
        weights.extend((mode..last).scan(MODE, |weight, x| fall(weight, step(x))));
        Tables { first: lowest, weights }
    }
}

/// Relative probabilities of tables with the same margins.
struct Tables {
    /// The first cell of the first of them.
    first: usize,
    weights: Vec<f64>,
}

impl Tables {
    /// Probability of the tables for whose first cell and weight something holds.
    fn share(&self, holds: impl Fn(usize, f64) -> bool) -> f64 {
        let chosen = (self.first..).zip(&self.weights).filter(|(x, weight)| holds(*x, **weight));
        chosen.map(|(_, weight)| weight).sum::<f64>() / self.weights.iter().sum::<f64>()
    }

    /// Mean of the first cell.
    fn mean(&self) -> f64 {
        let sum: f64 = (0_u32..).zip(&self.weights).map(|(x, weight)| f64::from(x) * weight).sum();
        self.first as f64 + sum / self.weights.iter().sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_depends_on_which_group_is_the_reference(
            cells in prop::array::uniform4(0_usize..60),
        ) {
            let [with, without, reference_with, reference_without] = cells;
            let table = Table { with, without, reference_with, reference_without };
            let other = Table {
                with: reference_with,
                without: reference_without,
                reference_with: with,
                reference_without: without,
            };
            let close = |a: f64, b: f64| a == b || (a - b).abs() < 1e-9 * a.abs().max(b.abs());
            prop_assert!(close(table.fisher_exact(), other.fisher_exact()));
            for (found, mirrored) in [
                (table.odds_ratio(), other.odds_ratio()),
                (table.conditional_odds_ratio(), other.conditional_odds_ratio()),
            ] {
                let (Some(found), Some(mirrored)) = (found, mirrored) else {
                    prop_assert_eq!(found.is_some(), mirrored.is_some());
                    continue;
                };
                prop_assert!(found.lower <= found.value && found.value <= found.upper);
                for (a, b) in [
                    (found.value, mirrored.value),
                    (found.lower, mirrored.upper),
                    (found.upper, mirrored.lower),
                ] {
                    prop_assert!(close(a, b.recip()), "{:?} {:?}", found, mirrored);
                }
            }
        }
    }

    #[test]
    fn tea_with_milk() {
        // Fisher 1935: four of eight cups, three of them right.
        let table = Table { with: 3, without: 1, reference_with: 1, reference_without: 3 };
        assert!((table.fisher_exact() - 34.0 / 70.0).abs() < 1e-15);
        let empty = Table { with: 0, without: 0, reference_with: 5, reference_without: 3 };
        assert_eq!(empty.fisher_exact(), 1.0);
        assert_eq!((empty.odds_ratio(), empty.chi_squared()), (None, None));
    }
}
