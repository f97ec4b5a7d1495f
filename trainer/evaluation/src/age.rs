//! How near the age that a model reads from the images comes to the patient's.

use serde::{Deserialize, Serialize};
use statistics::interval::Interval;
use statistics::metrics::{Correlation, pearson_test};
use statistics::sample::mean;

use crate::resample::Resamples;
use crate::set::Set;

/// Points of the figure that are kept at most.
const POINTS: usize = 2000;

/// Ages found against true ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Age {
    /// Studies whose age is known and told.
    pub studies: usize,
    /// Mean absolute error.
    pub mean_absolute_error_years: f64,
    /// Its 95 % interval: percentiles of a bootstrap over patients.
    pub interval_years: Option<Interval>,
    /// Correlation of the age found with the true one.
    pub pearson: Option<Correlation>,
    /// `(true, found)` in years; every n-th study where there are many.
    pub points: Vec<[f64; 2]>,
}

/// Ages of a set; none when no study has both.
#[must_use]
pub fn age(set: &Set, resamples: &Resamples) -> Option<Age> {
    let pairs: Vec<(usize, [f64; 2])> = set
        .studies
        .iter()
        .enumerate()
        .filter_map(|(i, study)| Some((i, [study.age_years?, study.scores.age_years?])))
        .collect();
    if pairs.is_empty() {
        return None;
    }
    let error = |[truth, found]: &[f64; 2]| (truth - found).abs();
    let errors: Vec<f64> = pairs.iter().map(|(_, pair)| error(pair)).collect();
    let resampled = resamples.map(|counts| {
        let (mut sum, mut count) = (0.0, 0.0);
        for ((study, _), error) in pairs.iter().zip(&errors) {
            sum += f64::from(counts[*study]) * error;
            count += f64::from(counts[*study]);
        }
        sum / count
    });
    let (truth, found): (Vec<f64>, Vec<f64>) = pairs.iter().map(|(_, [t, f])| (*t, *f)).unzip();
    let every = pairs.len().div_ceil(POINTS);
    Some(Age {
        studies: pairs.len(),
        mean_absolute_error_years: mean(&errors),
        interval_years: statistics::bootstrap::percentile(&resampled),
        pearson: pearson_test(&found, &truth),
        points: pairs.iter().step_by(every).map(|(_, pair)| *pair).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::tests::set;

    #[test]
    fn errors_and_their_interval() {
        // Wrong by 1 to 9 years, either way: the mean of |error| is 5, its standard error 0.26.
        let mut set = set(99, 0, |_| vec![]);
        for (i, study) in (0..99_u32).zip(&mut set.studies) {
            let error = f64::from(i % 9 + 1) * if i % 2 == 0 { 1.0 } else { -1.0 };
            let age = f64::from(20 + i % 60);
            (study.age_years, study.scores.age_years) = (Some(age), Some(age + error));
        }
        let resamples = Resamples::of(&set, 1000, 0);
        let found = age(&set, &resamples).unwrap();
        assert!((found.mean_absolute_error_years - 5.0).abs() < 1e-12);
        let Interval { lower, upper } = found.interval_years.unwrap();
        assert!((lower - 4.5).abs() < 0.2 && (upper - 5.5).abs() < 0.2, "{lower} {upper}");
        assert!(found.pearson.unwrap().value > 0.9);
        set.studies.iter_mut().for_each(|study| study.age_years = None);
        assert_eq!(age(&set, &resamples), None);
    }
}
