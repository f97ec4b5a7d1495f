//! Which studies a probe is fitted on, chosen on and measured on.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Plan, Study};
use crate::transfer::labels::Values;

/// Folds of the studies that a probe is fitted on: its penalty or its length of training is chosen
/// by those that the fit leaves out.
pub const INNER_FOLDS: usize = 4;

/// One fold of one repeat. Studies are indices into those of the label.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Repeat, from 0.
    pub repeat: usize,
    /// Fold, from 0.
    pub fold: usize,
    /// Fitted on.
    pub train: Vec<usize>,
    /// Inner fold of each of these, below [`INNER_FOLDS`].
    pub inner: Vec<usize>,
    /// Predicted.
    pub test: Vec<usize>,
}

impl Part {
    /// Studies of `train` outside and inside of an inner fold.
    #[must_use]
    pub fn without(&self, inner: usize) -> (Vec<usize>, Vec<usize>) {
        let pairs = || self.train.iter().zip(&self.inner);
        let outside = pairs().filter(|(_, fold)| **fold != inner).map(|(study, _)| *study);
        let inside = pairs().filter(|(_, fold)| **fold == inner).map(|(study, _)| *study);
        (outside.collect(), inside.collect())
    }
}

/// All parts of a plan, the folds of a repeat one after another.
pub(super) fn parts(studies: &[Study], values: &Values, plan: Plan) -> Vec<Part> {
    let all: Vec<usize> = (0..studies.len()).collect();
    let mut parts = Vec::new();
    for repeat in 0..plan.repeats {
        let mut rng = rng(plan.seed, repeat as u64);
        let folds = folds(&all, studies, values, plan.folds, &mut rng);
        for fold in 0..plan.folds {
            let (test, train): (Vec<usize>, Vec<usize>) =
                all.iter().partition(|study| folds[**study] == fold);
            let inner = self::folds(&train, studies, values, INNER_FOLDS, &mut rng);
            parts.push(Part { repeat, fold, train, inner, test });
        }
    }
    parts
}

/// The fold of each of `chosen`. Patients stay whole; each fold has as many of a class as any
/// other, give or take a patient, and as many of low, middle and high numbers.
pub(super) fn folds(
    chosen: &[usize],
    studies: &[Study],
    values: &Values,
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<usize> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, study) in chosen.iter().enumerate() {
        by_name.entry(&studies[*study].patient).or_default().push(place);
    }
    let mut patients: Vec<Patient> = by_name
        .into_values()
        .map(|places| {
            let keys: Vec<f64> = places.iter().map(|place| values.key(chosen[*place])).collect();
            Patient { key: stratum(values, &keys), places }
        })
        .collect();
    // First in any order, so that equal ones are in any order afterwards.
    patients.shuffle(rng);
    patients.sort_by(|a, b| a.key.total_cmp(&b.key));
    let whole = matches!(values, Values::Number { .. });
    let mut folds = vec![0; chosen.len()];
    for stratum in patients.chunk_by(|a, b| whole || a.key.total_cmp(&b.key).is_eq()) {
        for block in stratum.chunks(count) {
            let mut order: Vec<usize> = (0..count).collect();
            order.shuffle(rng);
            for (patient, fold) in block.iter().zip(order) {
                patient.places.iter().for_each(|place| folds[*place] = fold);
            }
        }
    }
    folds
}

struct Patient {
    key: f64,
    /// Of their studies, in the list that is divided.
    places: Vec<usize>,
}

/// What a patient with these values counts as: the mean number, yes for one yes, the most frequent
/// class.
fn stratum(values: &Values, keys: &[f64]) -> f64 {
    let count = |key: f64| keys.iter().filter(|other| other.total_cmp(&key).is_eq()).count();
    match values {
        Values::Number { .. } => statistics::metrics::mean(keys),
        Values::YesNo { .. } => keys.iter().copied().fold(0.0, f64::max),
        Values::Class { .. } => keys
            .iter()
            .copied()
            .reduce(|a, b| if count(b) > count(a) { b } else { a })
            .unwrap_or(0.0),
    }
}

/// Random numbers that depend on seed and index only.
pub(super) fn rng(seed: u64, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    rng
}
