//! An odds ratio that is adjusted for what else differs between two groups.
//!
//! **Estimand**: the odds of being late if all studies of both groups had been examined in the
//! first group, over the odds if all had been in the second, with everything that is adjusted for
//! left as it is. This standardised ratio is comparable with the crude one, needs no model to have
//! a meaning, and equals it where nothing differs. It is not the ratio `exp(beta)` of a logistic
//! regression, which holds within strata and changes with every covariate that is added, even
//! one that differs between no groups (Greenland, Robins and Pearl, Statistical Science 1999).
//!
//! **Estimator**: augmented inverse probability weighting (Robins, Rotnitzky and Zhao, JASA 1994;
//! Glynn and Quinn, Political Analysis 2010). One logistic regression tells lateness from group
//! and strata, another the group from the strata; the result is right in large cohorts when
//! either is. Its variance is that of the influence function, summed by patient, so that studies
//! of one patient need not be independent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use statistics::calibration::{sigmoid, softplus};
use statistics::distribution::{Z95, normal_two_sided};

/// Fewest late, and fewest timely, studies of either group: with less the normal approximation
/// does not hold.
pub const LEAST_EVENTS: usize = 10;
const MOST_ITERATIONS: usize = 100;
/// Change of the deviance, relative to itself, at which a fit has ended. Where a stratum has no
/// late study, its coefficient grows without end while its fitted probability comes to rest.
const TOLERANCE: f64 = 1e-12;
/// Added to the diagonal of the information, relative to it: strata that say the same share
/// their coefficient. The fitted probabilities do not depend on it.
const DAMPING: f64 = 1e-9;

/// An adjusted odds ratio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standardised {
    /// Odds ratio.
    pub odds_ratio: f64,
    /// Lower end of the 95 % interval.
    pub lower: f64,
    /// Upper end of the 95 % interval.
    pub upper: f64,
    /// Two-sided p of no difference.
    pub p: f64,
    /// Share that would be late in the first and in the second group.
    pub late: [f64; 2],
    /// Studies of both groups of which everything adjusted for is known.
    pub studies: usize,
    /// Their patients.
    pub patients: usize,
    /// Different strata among them.
    pub strata: usize,
    /// Smallest estimated probability of the group that a study is in. Below about 0.01 the
    /// groups hardly overlap, and the estimate hangs on a few studies.
    pub least_propensity: f64,
}

/// A study of one of two groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Number of the patient.
    pub patient: usize,
    /// In the first group, not in the second.
    pub first: bool,
    /// Its report was late.
    pub late: bool,
    /// The level of each covariate.
    pub stratum: Vec<usize>,
}

/// Studies that are alike in everything that is adjusted for.
#[derive(Clone, Debug, Default)]
struct Stratum {
    /// Its columns that are 1 in the regressions.
    row: Vec<usize>,
    /// Studies of the second and of the first group.
    studies: [f64; 2],
    /// The late ones.
    late: [f64; 2],
    /// Fitted probability of being late in the second and in the first group.
    fitted: [f64; 2],
    /// Fitted probability of the second and of the first group.
    propensity: [f64; 2],
}

impl Standardised {
    /// The first group against the second. `None` where one of them has fewer than
    /// [`LEAST_EVENTS`] late or timely studies.
    #[must_use]
    pub fn of(cases: &[Case]) -> Option<Self> {
        let cells = [(false, false), (false, true), (true, false), (true, true)];
        let studies_in = |cell| cases.iter().filter(|c| (c.first, c.late) == cell).count();
        if cells.into_iter().any(|cell| studies_in(cell) < LEAST_EVENTS) {
            return None;
        }
        let (strata, places) = fitted(cases);
        let n = cases.len() as f64;
        let says = |arm: usize| {
            let mean =
                (cases.iter().zip(&places)).map(|(c, at)| strata[*at].says(c, arm)).sum::<f64>()
                    / n;
            (mean > 0.0 && mean < 1.0).then_some(mean)
        };
        let late = [says(1)?, says(0)?];
        let slope = late.map(|late| 1.0 / (late * (1.0 - late)));
        let mut influence: BTreeMap<usize, f64> = BTreeMap::new();
        let mut least_propensity = 1.0_f64;
        for (case, at) in cases.iter().zip(&places) {
            let stratum = &strata[*at];
            *influence.entry(case.patient).or_default() += slope[0]
                * (stratum.says(case, 1) - late[0])
                - slope[1] * (stratum.says(case, 0) - late[1]);
            least_propensity = least_propensity.min(stratum.propensity[usize::from(case.first)]);
        }
        let patients = influence.len() as f64;
        let squares: f64 = influence.values().map(|sum| (sum / n).powi(2)).sum();
        let error = (squares * patients / (patients - 1.0)).sqrt();
        let [first, second] = late.map(|late| (late / (1.0 - late)).ln());
        let log = first - second;
        Some(Self {
            odds_ratio: log.exp(),
            lower: (log - Z95 * error).exp(),
            upper: (log + Z95 * error).exp(),
            p: normal_two_sided(log / error),
            late,
            studies: cases.len(),
            patients: influence.len(),
            strata: strata.len(),
            least_propensity,
        })
    }
}

impl Stratum {
    /// What a study of this stratum says about lateness in a group: what the model says, corrected
    /// by the study's own lateness where it is of that group.
    fn says(&self, case: &Case, arm: usize) -> f64 {
        let fitted = self.fitted[arm];
        if usize::from(case.first) == arm {
            fitted + (f64::from(u8::from(case.late)) - fitted) / self.propensity[arm]
        } else {
            fitted
        }
    }
}

/// The strata with both regressions fitted, and the stratum of every study.
fn fitted(cases: &[Case]) -> (Vec<Stratum>, Vec<usize>) {
    let levels = |covariate: usize| cases.iter().map(|case| case.stratum[covariate]).max();
    // The intercept, every level but each covariate's first, the group.
    let mut columns = vec![1];
    for covariate in 0..cases[0].stratum.len() {
        columns.push(columns[covariate] + levels(covariate).unwrap_or(0));
    }
    let group = columns[columns.len() - 1];
    let mut strata: Vec<Stratum> = Vec::new();
    let mut numbers: BTreeMap<&[usize], usize> = BTreeMap::new();
    let mut places = Vec::with_capacity(cases.len());
    for case in cases {
        let at = *numbers.entry(&case.stratum).or_insert(strata.len());
        if at == strata.len() {
            let present = case.stratum.iter().zip(&columns).filter(|(level, _)| **level > 0);
            let present = present.map(|(level, first)| first + level - 1);
            let row = [0].into_iter().chain(present).collect();
            strata.push(Stratum { row, ..Stratum::default() });
        }
        let arm = usize::from(case.first);
        strata[at].studies[arm] += 1.0;
        strata[at].late[arm] += f64::from(u8::from(case.late));
        places.push(at);
    }
    let of_arm = |stratum: &Stratum, arm: usize| [&stratum.row, &[group][..arm]].concat();
    let lateness = strata.iter().flat_map(|stratum| {
        [0, 1].map(|arm| Cell {
            row: of_arm(stratum, arm),
            trials: stratum.studies[arm],
            successes: stratum.late[arm],
        })
    });
    let lateness = regress(&lateness.collect::<Vec<_>>(), group + 1);
    let grouping = strata.iter().map(|stratum| Cell {
        row: stratum.row.clone(),
        trials: stratum.studies[0] + stratum.studies[1],
        successes: stratum.studies[1],
    });
    let grouping = regress(&grouping.collect::<Vec<_>>(), group);
    for stratum in &mut strata {
        stratum.fitted = [0, 1].map(|arm| sigmoid(logit(&of_arm(stratum, arm), &lateness)));
        let first = sigmoid(logit(&stratum.row, &grouping));
        stratum.propensity = [1.0 - first, first];
    }
    (strata, places)
}

/// Studies with the same predictors.
struct Cell {
    /// Columns that are 1; the others are 0.
    row: Vec<usize>,
    trials: f64,
    successes: f64,
}

/// Coefficients of the logistic regression without penalty, by Newton's method.
fn regress(cells: &[Cell], columns: usize) -> Vec<f64> {
    let loss = |model: &[f64]| -> f64 {
        let one = |cell: &Cell| {
            let logit = logit(&cell.row, model);
            cell.trials * softplus(logit) - cell.successes * logit
        };
        cells.iter().map(one).sum()
    };
    let mut model = vec![0.0; columns];
    let mut best = loss(&model);
    for _ in 0..MOST_ITERATIONS {
        let mut information = vec![vec![0.0; columns]; columns];
        let mut score = vec![0.0; columns];
        for cell in cells {
            let share = sigmoid(logit(&cell.row, &model));
            let weight = cell.trials * share * (1.0 - share);
            for i in &cell.row {
                score[*i] += cell.successes - cell.trials * share;
                cell.row.iter().for_each(|j| information[*i][*j] += weight);
            }
        }
        let step = solve(information, score);
        // Half the step for as long as a whole one leads away.
        let next = (0..30).map(|halves| 0.5_f64.powi(halves)).find_map(|share| {
            let next: Vec<f64> = model.iter().zip(&step).map(|(m, s)| m + share * s).collect();
            let found = loss(&next);
            (found <= best).then_some((next, found))
        });
        let Some((next, found)) = next else { break };
        let gained = best - found;
        (model, best) = (next, found);
        if gained <= TOLERANCE * best {
            break;
        }
    }
    model
}

fn logit(row: &[usize], model: &[f64]) -> f64 {
    row.iter().map(|column| model[*column]).sum()
}

/// Solves a positive definite system, by elimination.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let width = right.len();
    for (pivot, line) in matrix.iter_mut().enumerate() {
        line[pivot] = line[pivot] * (1.0 + DAMPING) + f64::MIN_POSITIVE;
    }
    for pivot in 0..width {
        let (done, below) = matrix.split_at_mut(pivot + 1);
        let line = &done[pivot];
        for (offset, row) in below.iter_mut().enumerate() {
            let factor = row[pivot] / line[pivot];
            row.iter_mut()
                .zip(line)
                .skip(pivot)
                .for_each(|(value, above)| *value -= factor * above);
            right[pivot + 1 + offset] -= factor * right[pivot];
        }
    }
    for at in (0..width).rev() {
        let known: f64 = (at + 1..width).map(|other| matrix[at][other] * right[other]).sum();
        right[at] = (right[at] - known) / matrix[at][at];
    }
    right
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Studies of one patient each in every cell of group, lateness and stratum.
    fn cases(counts: &[[[usize; 2]; 2]]) -> Vec<Case> {
        let mut cases = Vec::new();
        for (stratum, arms) in counts.iter().enumerate() {
            for (first, outcomes) in [false, true].into_iter().zip(arms) {
                for (late, count) in [false, true].into_iter().zip(outcomes) {
                    for _ in 0..*count {
                        let patient = cases.len();
                        cases.push(Case { patient, first, late, stratum: vec![stratum] });
                    }
                }
            }
        }
        cases
    }

    proptest! {
        /// With one covariate the estimate is the weighted mean of what the strata have, whatever
        /// the regression of lateness says; studies that are there twice say nothing new.
        #[test]
        fn one_covariate_is_a_weighted_mean(
            counts in prop::array::uniform3(prop::array::uniform2(prop::array::uniform2(10_usize..40))),
        ) {
            let once = cases(&counts);
            let found = Standardised::of(&once).unwrap();
            let n = once.len() as f64;
            let late = [1, 0].map(|arm| {
                let of = |arms: &[[usize; 2]; 2]| {
                    let [timely, late] = arms[arm];
                    arms.iter().flatten().sum::<usize>() as f64 * late as f64 / (timely + late) as f64
                };
                counts.iter().map(of).sum::<f64>() / n
            });
            let odds = late.map(|late| late / (1.0 - late));
            prop_assert!((found.odds_ratio / (odds[0] / odds[1]) - 1.0).abs() < 1e-8);

            let twice = Standardised::of(&[&once[..], &once].concat()).unwrap();
            prop_assert!((twice.lower / found.lower - 1.0).abs() < 1e-8);
            prop_assert_eq!((twice.studies, twice.patients), (2 * once.len(), once.len()));
        }

        /// Without covariates it is the crude ratio, with Woolf's interval but for a factor of
        /// n / (n - 1) in the variance.
        #[test]
        fn nothing_held_fixed_is_the_crude_ratio(
            counts in prop::array::uniform2(prop::array::uniform2(10_usize..90)),
        ) {
            let mut cases = cases(&[counts]);
            cases.iter_mut().for_each(|case| case.stratum.clear());
            let found = Standardised::of(&cases).unwrap();
            let [[d, c], [b, a]] = counts.map(|arm| arm.map(|count| count as f64));
            let n = a + b + c + d;
            let error = ((1.0 / a + 1.0 / b + 1.0 / c + 1.0 / d) * n / (n - 1.0)).sqrt();
            prop_assert!((found.odds_ratio / (a * d / (b * c)) - 1.0).abs() < 1e-8);
            prop_assert!(((found.upper / found.odds_ratio).ln() / error - Z95).abs() < 1e-6);
        }
    }

    #[test]
    fn strata_without_an_event_or_said_twice_are_no_trouble() {
        let mut cases = cases(&[[[50, 0], [40, 0]], [[30, 20], [20, 30]]]);
        let plain = Standardised::of(&cases).unwrap();
        for case in &mut cases {
            case.stratum = vec![case.stratum[0], 1 - case.stratum[0]];
        }
        let doubled = Standardised::of(&cases).unwrap();
        assert!((doubled.lower / plain.lower - 1.0).abs() < 1e-6, "{plain:?} {doubled:?}");
        assert!(plain.late[0] > plain.late[1] && plain.lower.is_finite(), "{plain:?}");
        cases.retain(|case| !case.late || case.patient % 3 == 0);
        assert_eq!(Standardised::of(&cases), None, "too few late ones");
    }
}
