//! How near the age that a model reads from the images comes to the patient's.

use std::collections::HashMap;

use models::engine::StudyScores;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::cohort::Cohort;
use crate::stage::run::rng;
use statistics::metrics::{mean, pearson};

/// Resamplings of a bootstrap.
const RESAMPLES: u64 = 1000;

/// Age on a split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgeMetrics {
    /// Studies whose age is known.
    pub studies: usize,
    /// Mean absolute error in years.
    pub mean_absolute_error_years: Estimate,
    /// Correlation of the age found with the true one; `None` where either is the same for all.
    pub pearson: Option<Estimate>,
}

/// A value with its 95 % interval: percentiles of a bootstrap over studies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// On all studies.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
}

/// Age where the model tells it and the cohort knows it; `None` where no study has both.
pub(super) fn age(cohort: &Cohort, scored: &[(&str, StudyScores)]) -> Option<AgeMetrics> {
    let known: HashMap<&str, f32> = cohort
        .records
        .iter()
        .filter_map(|record| Some((record.id.as_str(), record.demographics.age_years?)))
        .collect();
    let pairs = scored.iter().filter_map(|(id, scores)| {
        Some([f64::from(scores.age_years?), f64::from(*known.get(id)?)])
    });
    of(&pairs.collect::<Vec<_>>())
}

/// Of ages found and true.
fn of(pairs: &[[f64; 2]]) -> Option<AgeMetrics> {
    let error = |pairs: &[[f64; 2]]| {
        let errors: Vec<f64> = pairs.iter().map(|[found, known]| (found - known).abs()).collect();
        (!errors.is_empty()).then(|| mean(&errors))
    };
    let correlation = |pairs: &[[f64; 2]]| {
        let (found, known): (Vec<f64>, Vec<f64>) = pairs.iter().map(|[f, k]| (*f, *k)).unzip();
        pearson(&found, &known)
    };
    Some(AgeMetrics {
        studies: pairs.len(),
        mean_absolute_error_years: estimate(pairs, error)?,
        pearson: estimate(pairs, correlation),
    })
}

/// A value on all pairs, and its interval; resamplings without the value do not count.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a thousand"
)]
fn estimate(pairs: &[[f64; 2]], of: impl Fn(&[[f64; 2]]) -> Option<f64>) -> Option<Estimate> {
    let value = of(pairs)?;
    let resampled = |index: u64| {
        let mut rng = rng(0, index);
        let drawn = (0..pairs.len()).map(|_| pairs[rng.random_range(0..pairs.len())]);
        of(&drawn.collect::<Vec<_>>())
    };
    let mut values: Vec<f64> = (0..RESAMPLES).filter_map(resampled).collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    let at = |share: f64| values.get((share * last).round() as usize).copied().unwrap_or(value);
    Some(Estimate { value, lower: at(0.025), upper: at(0.975) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_their_interval() {
        // Wrong by 1 to 9 years, either way: the mean of |error| is 5, its standard error 0.26.
        let pairs = |n: u32| -> Vec<[f64; 2]> {
            (0..n)
                .map(|i| {
                    let error = f64::from(i % 9 + 1) * if i % 2 == 0 { 1.0 } else { -1.0 };
                    let age = f64::from(20 + i % 60);
                    [age + error, age]
                })
                .collect()
        };
        let found = of(&pairs(99)).unwrap();
        assert_eq!(found.studies, 99);
        let Estimate { value, lower, upper } = found.mean_absolute_error_years;
        assert!((value - 5.0).abs() < 1e-12, "{value}");
        assert!((lower - 4.5).abs() < 0.2 && (upper - 5.5).abs() < 0.2, "{lower} {upper}");
        let correlation = found.pearson.unwrap();
        assert!(correlation.lower < correlation.value && correlation.value < correlation.upper);
        assert!(correlation.lower > 0.9 && correlation.upper < 1.0, "{correlation:?}");
        assert_eq!(of(&pairs(99)), Some(found), "the same numbers every time");
    }

    #[test]
    fn what_is_not_known_is_not_measured() {
        assert_eq!(of(&[]), None);
        let one = of(&[[40.0, 43.0]]).unwrap();
        assert_eq!(one.pearson, None);
        assert_eq!(one.mean_absolute_error_years, Estimate { value: 3.0, lower: 3.0, upper: 3.0 });
    }
}
