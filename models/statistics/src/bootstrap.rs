//! Intervals by resampling: studies are drawn with replacement, again and again, and a figure is
//! computed on what was drawn (Efron 1979).
//!
//! What is drawn depends on the seed and on the number of the resample alone, whatever the number
//! of threads, and [`Plan::draw`] says it. Figures that many outputs share are best taken from
//! [`Plan::map_counts`], which draws once for all of them: [`auroc_bootstrap`].
#![expect(clippy::float_cmp, reason = "ties are equal scores, exactly")]

use rand::SeedableRng;
use rand::distr::{Distribution, Uniform};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::distribution::{normal_above, normal_quantile};
use crate::interval::{Interval, TAIL};
use crate::sample::{mean, quantile, sorted};

/// What is drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Of the random numbers.
    pub seed: u64,
    /// How often studies are drawn.
    pub resamples: usize,
    /// Studies of each stratum, as many of which are drawn as there are; one stratum of all
    /// studies unless it matters how many of a class there are.
    pub strata: Vec<Vec<usize>>,
}

impl Plan {
    /// Draws from studies 0 to `studies`.
    #[must_use]
    pub fn new(seed: u64, resamples: usize, studies: usize) -> Self {
        Self { seed, resamples, strata: vec![(0..studies).collect()] }
    }

    /// Draws as many studies with the label, and without it, as there are.
    #[must_use]
    pub fn by_class(seed: u64, resamples: usize, labels: &[bool]) -> Self {
        let of = |class: bool| (0..labels.len()).filter(|study| labels[*study] == class).collect();
        Self { seed, resamples, strata: vec![of(true), of(false)] }
    }

    /// Studies that one resample holds, stratum by stratum.
    #[must_use]
    pub fn draw(&self, resample: usize) -> Vec<usize> {
        let mut drawn = Vec::new();
        self.each(resample, |study| drawn.push(study));
        drawn
    }

    /// A figure of every resample, from the studies drawn.
    pub fn map<T: Send>(&self, figure: impl Fn(&[usize]) -> T + Sync) -> Vec<T> {
        (0..self.resamples).into_par_iter().map(|resample| figure(&self.draw(resample))).collect()
    }

    /// A figure of every resample, from how often each study was drawn.
    pub fn map_counts<T: Send>(&self, figure: impl Fn(&[u32]) -> T + Sync) -> Vec<T> {
        let studies = self.strata.iter().flatten().map(|study| study + 1).max().unwrap_or(0);
        let one = |resample| {
            let mut counts = vec![0; studies];
            self.each(resample, |study| counts[study] += 1);
            figure(&counts)
        };
        (0..self.resamples).into_par_iter().map(one).collect()
    }

    fn each(&self, resample: usize, mut take: impl FnMut(usize)) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(resample as u64);
        for stratum in &self.strata {
            // Nothing can be drawn from nothing.
            let Ok(place) = Uniform::new(0, stratum.len()) else { continue };
            stratum.iter().for_each(|_| take(stratum[place.sample(&mut rng)]));
        }
    }
}

/// Ends between which the middle 95 % of the figures lie. Figures that are not numbers, such as
/// areas of resamples without a class, are left out; `None` when nothing else is left.
#[must_use]
pub fn percentile(figures: &[f64]) -> Option<Interval> {
    let ascending = numbers(figures);
    (!ascending.is_empty()).then(|| Interval {
        lower: quantile(&ascending, TAIL),
        upper: quantile(&ascending, 1.0 - TAIL),
    })
}

/// The interval that corrects for bias and skewness (`BCa`; Efron, Journal of the American
/// Statistical Association 1987). `value` is the figure of all studies, found in the same way so
/// that equal figures are equal; `without` is what it is when each in turn is left out. `None`
/// when no figure is left, or all lie on one side of the value.
#[must_use]
pub fn bca(value: f64, figures: &[f64], without: &[f64]) -> Option<Interval> {
    let ascending = numbers(figures);
    let below = ascending.partition_point(|figure| *figure < value);
    let up_to = ascending.partition_point(|figure| *figure <= value);
    let share = (below + up_to) as f64 / (2 * ascending.len()) as f64;
    let centre = mean(without);
    let sum = |power: i32| without.iter().map(|left| (centre - left).powi(power)).sum::<f64>();
    let (squares, cubes) = (sum(2), sum(3));
    let acceleration = if squares == 0.0 { 0.0 } else { cubes / (6.0 * squares.powf(1.5)) };
    let bias = normal_quantile(share);
    let end = |tail: f64| {
        let z = bias + normal_quantile(tail);
        quantile(&ascending, normal_above(-(bias + z / (1.0 - acceleration * z))))
    };
    (share > 0.0 && share < 1.0).then(|| Interval { lower: end(TAIL), upper: end(1.0 - TAIL) })
}

/// In ascending order, without those that are not.
fn numbers(figures: &[f64]) -> Vec<f64> {
    let mut ascending = sorted(figures);
    ascending.retain(|figure| !figure.is_nan());
    ascending
}

/// Scores of one output in ascending order, from which the area under the ROC curve of any
/// resample takes one pass.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// Study, whether it has the label, and whether the next score is another.
    entries: Vec<(u32, bool, bool)>,
}

impl Ranked {
    /// Sorts the scores; `None` when one is not a number.
    ///
    /// # Panics
    /// When there are not as many scores as labels.
    #[must_use]
    pub fn new(scores: &[f64], labels: &[bool]) -> Option<Self> {
        assert_eq!(scores.len(), labels.len(), "one score per label");
        let mut order: Vec<(u32, usize)> = (0..).zip(0..scores.len()).collect();
        order.sort_by(|(_, a), (_, b)| scores[*a].total_cmp(&scores[*b]));
        let entry = |(place, (number, study)): (usize, &(u32, usize))| {
            let next = order.get(place + 1);
            let last = next.is_none_or(|(_, next)| scores[*next] != scores[*study]);
            (*number, labels[*study], last)
        };
        let entries = order.iter().enumerate().map(entry).collect();
        (!scores.iter().any(|score| score.is_nan())).then_some(Self { entries })
    }

    /// The area when each study counts this often; not a number when a class is missing.
    ///
    /// # Panics
    /// When there are fewer counts than studies.
    #[must_use]
    pub fn auroc(&self, counts: &[u32]) -> f64 {
        // Pairs are counted twice, so that ties are whole numbers.
        let (mut pairs, mut positives, mut negatives) = (0_u64, 0_u64, 0_u64);
        let mut tied = [0_u64; 2];
        for &(study, label, last) in &self.entries {
            tied[usize::from(label)] += u64::from(counts[study as usize]);
            if last {
                let [negative, positive] = tied;
                pairs += positive * (2 * negatives + negative);
                negatives += negative;
                positives += positive;
                tied = [0; 2];
            }
        }
        pairs as f64 / (2 * positives * negatives) as f64
    }
}

/// Areas under the ROC curves of several outputs of the same studies in every resample, by
/// resample, then output. Not a number where a class is missing.
#[must_use]
pub fn auroc_bootstrap(outputs: &[Ranked], plan: &Plan) -> Vec<Vec<f64>> {
    plan.map_counts(|counts| outputs.iter().map(|output| output.auroc(counts)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::auroc;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counted_areas_are_those_of_the_studies_drawn(
            studies in prop::collection::vec((-4_i32..4, any::<bool>()), 2..40), seed: u64,
        ) {
            let (scores, labels): (Vec<f64>, Vec<bool>) =
                studies.iter().map(|(score, label)| (f64::from(*score), *label)).unzip();
            let ranked = Ranked::new(&scores, &labels).unwrap();
            for plan in [Plan::new(seed, 5, scores.len()), Plan::by_class(seed, 5, &labels)] {
                let found = auroc_bootstrap(std::slice::from_ref(&ranked), &plan);
                for (resample, found) in found.iter().enumerate() {
                    let drawn = plan.draw(resample);
                    let scores: Vec<f64> = drawn.iter().map(|study| scores[*study]).collect();
                    let labels: Vec<bool> = drawn.iter().map(|study| labels[*study]).collect();
                    match auroc(&scores, &labels) {
                        Some(expected) => prop_assert!((found[0] - expected.value).abs() < 1e-12),
                        None => prop_assert!(found[0].is_nan()),
                    }
                }
            }
        }
    }

    #[test]
    fn threads_do_not_show_and_classes_keep_their_size() {
        let labels: Vec<bool> = (0..97).map(|study| study % 5 == 0).collect();
        let plan = Plan::by_class(7, 40, &labels);
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let drawn = one.install(|| plan.map(<[usize]>::to_vec));
        assert_eq!(drawn, plan.map(<[usize]>::to_vec));
        assert_ne!(drawn[0], drawn[1]);
        for studies in &drawn {
            assert_eq!(studies.iter().filter(|study| labels[**study]).count(), 20);
            assert_eq!(studies.len(), 97);
        }
    }

    /// Percentile and `BCa` intervals of a skewed mean: both cover about as often as they say.
    #[test]
    fn intervals_cover() {
        let mut covered = [0, 0];
        for seed in 0..300 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let uniform = Uniform::new(0.0_f64, 1.0).unwrap();
            let values: Vec<f64> =
                (0..60).map(|_| -(1.0 - uniform.sample(&mut rng)).ln()).collect();
            let plan = Plan::new(seed, 500, values.len());
            let means = plan.map(|drawn| drawn.iter().map(|i| values[*i]).sum::<f64>() / 60.0);
            let total: f64 = values.iter().sum();
            let without: Vec<f64> = values.iter().map(|value| (total - value) / 59.0).collect();
            let intervals = [percentile(&means), bca(total / 60.0, &means, &without)];
            for (count, interval) in covered.iter_mut().zip(intervals) {
                let Interval { lower, upper } = interval.unwrap();
                *count += usize::from(lower <= 1.0 && 1.0 <= upper);
            }
        }
        // 285 expected of a perfect interval; resampled ones are a little short for 60 values.
        assert!(covered.iter().all(|count| (268..=295).contains(count)), "{covered:?}");
    }
}
