//! The paper's experiment (Methods, "Equalized opportunity experiment design"): 200 patients drawn
//! with replacement from a group, 200 from all studies matched by diagnosis, the rate of each, 20
//! times, and a one-sided Mann–Whitney test over the 20 rates of either.
//!
//! **What is drawn.** Studies show several diagnoses, and few share the same ones. So a draw is a
//! pair of a study and a diagnosis that counts for the rate, each pair of the group with the same
//! probability; its match is any pair of the same diagnosis, of the group or not.
//!
//! **What the p-value does not say.** It asks whether two simulations differ, and the simulations
//! can be repeated at will: it falls towards 0 with the number of iterations for any difference
//! between the samples at hand, however few patients stand behind it. A group of 30 patients has a
//! true positive rate that is off by several hundredths by chance alone, and 20 means of 200 draws
//! resolve that. `the_papers_test_finds_fault_with_fair_models` counts how often. The p-value is
//! reported because the paper reports it; the verdict rests on [`super::disparity`].

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use statistics::rank_test::{Alternative, mann_whitney};

use super::groups::Members;
use super::pairs::{Pairs, Rate};

/// How the paper resamples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resampling {
    /// Draws from the group, and from all studies, in an iteration.
    pub draws: usize,
    /// Iterations.
    pub iterations: usize,
    /// Where the draws come from.
    pub seed: u64,
    /// Write down what was drawn, for another program to count again.
    pub keep_draws: bool,
}

/// Rates of the resampled group and of its matches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resampled {
    /// Rate of the group in each iteration.
    pub in_group: Vec<f64>,
    /// Rate of the matches in each iteration; a box plot shows the differences of the two.
    pub in_all: Vec<f64>,
    /// One-sided p of the Mann–Whitney test that harm is no commoner in the group: that its true
    /// positive rate is not lower, or its false positive rate not higher.
    pub p: f64,
    /// The same after Holm's correction.
    pub p_holm: f64,
    /// Study and diagnosis of every draw, where they are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drawn: Vec<Drawn>,
}

/// The draws of an iteration: indices of study and diagnosis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    /// From the group.
    pub group: Vec<[usize; 2]>,
    /// From all studies, in the order of the draws that they match.
    pub all: Vec<[usize; 2]>,
}

/// Resamples a group that has pairs. Every `stream` has draws of its own, whatever is drawn beside
/// it.
pub(super) fn resample(
    pairs: &Pairs<'_>,
    members: &Members,
    how: Resampling,
    stream: u64,
) -> Resampled {
    let mut rng = ChaCha8Rng::seed_from_u64(how.seed);
    rng.set_stream(stream);
    let own: Vec<[usize; 2]> = members
        .studies
        .iter()
        .flat_map(|study| pairs.in_study(*study).map(|(diagnosis, _)| [*study, diagnosis]))
        .collect();
    let mut resampled = Resampled {
        in_group: Vec::new(),
        in_all: Vec::new(),
        p: 1.0,
        p_holm: 1.0,
        drawn: Vec::new(),
    };
    let rate = |drawn: &[[usize; 2]]| {
        let called = drawn.iter().filter(|[study, diagnosis]| pairs.is_called(*study, *diagnosis));
        called.count() as f64 / drawn.len() as f64
    };
    for _ in 0..how.iterations {
        let mut drawn = Drawn::default();
        for _ in 0..how.draws {
            let pair = own[rng.random_range(0..own.len())];
            let matches = &pairs.studies[pair[1]];
            drawn.group.push(pair);
            drawn.all.push([matches[rng.random_range(0..matches.len())], pair[1]]);
        }
        resampled.in_group.push(rate(&drawn.group));
        resampled.in_all.push(rate(&drawn.all));
        if how.keep_draws {
            resampled.drawn.push(drawn);
        }
    }
    let [own, all] = [&resampled.in_group, &resampled.in_all];
    let harm = match pairs.rate {
        Rate::TruePositive => Alternative::Less,
        Rate::FalsePositive => Alternative::Greater,
    };
    // Without iterations there is no test.
    resampled.p = mann_whitney(own, all, harm).map_or(1.0, |test| test.p_value);
    resampled
}
