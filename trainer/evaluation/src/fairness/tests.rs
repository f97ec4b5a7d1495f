//! Cohorts of which it is known whom the model treats worse.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use statistics::metrics::auroc;
use statistics::sample::mean;

use super::groups::Group;
use super::resampled::resample;
use super::*;
use crate::set::tests::set;

/// Mean logit of a study with each of six diagnoses; without it, the mean is [`ABSENT`].
const THERE: [f64; 6] = [0.2, 0.6, 1.0, 1.4, 1.8, 2.2];
const ABSENT: f64 = -1.6;
/// Standard deviation of what the logits of a patient share.
const SHARED: f64 = 0.5;
const COUNTIES: [&str; 4] = ["rural", "suburban", "urban", "urban"];

/// What a model adds to a logit: of whom (county, sex), of which diagnosis, whether it is there.
type Bias = fn([&str; 2], usize, bool) -> f64;

/// Patients with one to three studies. What is hard to see is commoner in the country.
fn cohort(seed: u64, patients: usize, bias: Bias) -> Set {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut cohort = set(3 * patients, 6, |_| Vec::new());
    let mut studies = cohort.studies.iter_mut();
    for patient in 0..patients {
        let county = *COUNTIES.choose(&mut rng).unwrap();
        let sex = *["female", "male"].choose(&mut rng).unwrap();
        let shared: f64 = StandardNormal.sample(&mut rng);
        let count = rng.random_range(1..=3);
        for study in studies.by_ref().take(count) {
            study.patient = format!("p{patient}");
            study.groups = [("county", county), ("sex", sex)]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into();
            for (d, present) in THERE.into_iter().enumerate() {
                let there = rng.random_bool(if county == "rural" && d < 3 { 0.35 } else { 0.2 });
                let own: f64 = StandardNormal.sample(&mut rng);
                let mean = if there { present } else { ABSENT } + bias([county, sex], d, there);
                study.scores.diagnosis[d] = (mean + SHARED * shared + own) as f32;
                if there {
                    study.truth.diagnoses.push(d);
                }
            }
        }
    }
    cohort.studies.retain(|study| !study.groups.is_empty());
    cohort
}

fn judged(set: &Set) -> Fairness {
    Fairness::of(set, Settings::of(set))
}

/// Of a hundred fair models one or two at most are called unfair, and intervals cover 0 as often
/// as they say. The paper's test finds fault with groups of the same models in a sixth of cases.
#[test]
fn a_fair_model_is_reported_fair() {
    let (mut alarms, mut covered, mut papers, mut all) = (0, 0, 0, 0);
    for seed in 0..100 {
        let found = judged(&cohort(seed, 600, |_, _, _| 0.0));
        alarms += usize::from(found.verdict == Verdict::Unfair);
        for one in &found.disparities {
            covered += usize::from(one.lower <= 0.0 && 0.0 <= one.upper);
            papers += usize::from(one.resampled.p < 0.05);
            all += 1;
        }
    }
    let share = |count: usize| count as f64 / f64::from(all);
    assert!(alarms <= 5, "{alarms} of 100");
    assert!((0.93..0.97).contains(&share(covered)), "{}", share(covered));
    assert!((0.12..0.25).contains(&share(papers)), "{}", share(papers));
    // Of enough patients it is known that the model is fair.
    assert_eq!(judged(&cohort(0, 3000, |_, _, _| 0.0)).verdict, Verdict::Fair);
}

#[test]
fn who_is_treated_worse_is_found() {
    let positive = Rate::TruePositive;
    type Case = (Bias, Rate, &'static str, fn(&Group) -> bool);
    let cases: [Case; 4] = [
        (
            |[county, _], _, there| if there && county == "rural" { -1.2 } else { 0.0 },
            positive,
            "all diagnoses",
            |group| group.of["county"] == "rural",
        ),
        (
            |of, _, there| if there && of == ["rural", "female"] { -1.5 } else { 0.0 },
            positive,
            "all diagnoses",
            |group| group.title() == "rural, female",
        ),
        (
            |[_, sex], _, there| if !there && sex == "male" { 1.0 } else { 0.0 },
            Rate::FalsePositive,
            "all diagnoses",
            |group| group.of["sex"] == "male",
        ),
        (
            |[county, _], d, there| {
                if there && d % 2 == 0 && county == "suburban" { -1.2 } else { 0.0 }
            },
            positive,
            "even",
            |group| group.title() == "suburban",
        ),
    ];
    for (place, (bias, rate, scope, who)) in cases.into_iter().enumerate() {
        let found = judged(&cohort(1, 1500, bias));
        assert_eq!(found.verdict, Verdict::Unfair, "{place}");
        let harm = |one: &Disparity| match one.rate {
            Rate::TruePositive => -one.disparity,
            Rate::FalsePositive => one.disparity,
        };
        let worst = found.disparities.iter().max_by(|a, b| harm(a).total_cmp(&harm(b))).unwrap();
        assert_eq!((worst.rate, worst.scope.as_str()), (rate, scope), "{place}");
        assert!(who(&worst.group) && worst.verdict == Verdict::Unfair, "{place}: {worst:?}");
        for one in found.disparities.iter().filter(|one| one.verdict == Verdict::Unfair) {
            let innocent = one.rate != rate || (scope == "even" && one.scope == "odd");
            assert!(!innocent, "{place}: {one:?}");
        }
    }
}

#[test]
fn the_papers_experiment_estimates_the_disparity() {
    let set =
        cohort(2, 300, |[county, _], _, there| if there && county == "rural" { -1.0 } else { 0.0 });
    let decisions = Decisions::of(&set);
    let scope = ("even".to_owned(), vec![0, 2, 4]);
    let how = Resampling { draws: 200, iterations: 4000, seed: 5, keep_draws: true };
    for rate in [Rate::TruePositive, Rate::FalsePositive] {
        let pairs = Pairs::of(&decisions, rate, &scope);
        let members = &divide(&set, &["county".to_owned()])[0];
        let found = resample(&pairs, members, how, 0);
        let difference = mean(&found.in_group) - mean(&found.in_all);
        let expected = disparity::Estimate::of(&pairs, members).disparity;
        // Four standard errors of 4000 differences of two shares of 200.
        assert!((difference - expected).abs() < 4.0 * (0.5_f64 / 200.0 / 4000.0).sqrt());

        let there = rate == Rate::TruePositive;
        let counts = |[study, d]: &[usize; 2]| {
            scope.1.contains(d) && set.studies[*study].truth.diagnoses.contains(d) == there
        };
        let mut left_the_group = false;
        for drawn in &found.drawn[..20] {
            assert!(drawn.group.iter().chain(&drawn.all).all(counts));
            assert!(drawn.group.iter().all(|[study, _]| members.studies.contains(study)));
            assert!(drawn.group.iter().zip(&drawn.all).all(|(own, all)| own[1] == all[1]));
            left_the_group |= drawn.all.iter().any(|[study, _]| !members.studies.contains(study));
        }
        assert!(left_the_group, "matches come from everyone");
        assert_eq!(resample(&pairs, members, how, 0), found);
        assert_ne!(resample(&pairs, members, how, 1), found);
    }
}

#[test]
fn areas_are_means_over_what_a_group_has() {
    let mut set = cohort(3, 60, |_, _, _| 0.0);
    for study in set.studies.iter_mut().filter(|study| study.groups["county"] == "rural") {
        study.truth.diagnoses.retain(|d| *d != 4);
    }
    let found = judged(&set);
    for area in found.areas.iter().filter(|area| area.group.of.len() == 1) {
        let inside =
            |study: &crate::set::Study| area.group.of.iter().all(|(k, v)| study.groups[k] == *v);
        let of = |d: usize, everyone: bool| {
            let studies = set.studies.iter().filter(|study| everyone || inside(study));
            let (scores, truth): (Vec<f64>, Vec<bool>) = studies
                .map(|s| (f64::from(s.scores.diagnosis[d]), s.truth.diagnoses.contains(&d)))
                .unzip();
            auroc(&scores, &truth).map(|area| area.value)
        };
        let diagnoses: Vec<usize> = (0..6).filter(|d| of(*d, false).is_some()).collect();
        let mean_of = |everyone| {
            mean(&diagnoses.iter().map(|d| of(*d, everyone).unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(area.diagnoses, if area.group.title() == "rural" { 5 } else { 6 });
        assert!((area.mean_auroc.unwrap() - mean_of(false)).abs() < 1e-12);
        assert!((area.mean_auroc_population.unwrap() - mean_of(true)).abs() < 1e-12);
    }
}

#[test]
fn what_cannot_be_answered_is_said() {
    let mut set = cohort(4, 20, |_, _, _| 0.0);
    let found = judged(&set);
    assert_eq!(found.verdict, Verdict::Undecided);
    let has = |found: &Fairness, words: &str| found.left_out.iter().any(|why| why.contains(words));
    assert!(has(&found, "a judgement needs 30"), "{:?}", found.left_out);
    assert!(has(&found, "delays by county: "), "{:?}", found.left_out);
    set.studies.iter_mut().for_each(|study| study.groups.clear());
    let found = judged(&set);
    assert_eq!((found.verdict, found.disparities.len()), (Verdict::Undecided, 0));
}
