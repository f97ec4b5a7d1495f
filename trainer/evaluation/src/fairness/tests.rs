//! Cohorts of which it is known whom the model treats worse.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use statistics::metrics::auroc;

use super::*;
use crate::set::{FORMAT_VERSION, Header, Output, Scores, Study, Truth};

/// Mean logit of a study with the diagnosis; without it, the mean is [`ABSENT`].
const THERE: [f64; 6] = [0.2, 0.6, 1.0, 1.4, 1.8, 2.2];
const ABSENT: f64 = -1.6;
/// Standard deviation of what the logits of a patient share.
const SHARED: f64 = 0.5;

/// What a model adds to a logit: of whom (sex, county), of which diagnosis, whether it is there.
type Bias = fn([&str; 2], usize, bool) -> f64;

fn fair(_: [&str; 2], _: usize, _: bool) -> f64 {
    0.0
}

/// Patients with one to three studies. Diagnoses are commoner, and others, in the country.
fn cohort(seed: u64, patients: usize, bias: Bias) -> Set {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut studies = Vec::new();
    for patient in 0..patients {
        let sex = *["female", "male"].choose(&mut rng).unwrap();
        let county = *["rural", "suburban", "urban", "urban"].choose(&mut rng).unwrap();
        let shared: f64 = StandardNormal.sample(&mut rng);
        for _ in 0..rng.random_range(1..=3) {
            let chance = |d: usize| match (county, d) {
                ("rural", 0..3) => 0.35,
                _ => 0.2,
            };
            let there: Vec<usize> = (0..6).filter(|d| rng.random_bool(chance(*d))).collect();
            let logit = |d: usize| {
                let is_there = there.contains(&d);
                let own: f64 = StandardNormal.sample(&mut rng);
                let mean = if is_there { THERE[d] } else { ABSENT };
                (mean + SHARED * shared + own + bias([sex, county], d, is_there)) as f32
            };
            let diagnosis = (0..6).map(logit).collect();
            let groups = [("sex", sex), ("county", county)];
            studies.push(Study {
                id: format!("s{}", studies.len()),
                patient: format!("p{patient}"),
                groups: groups.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
                age_years: None,
                turnaround_h: None,
                truth: Truth { diagnoses: there, ..Truth::default() },
                scores: Scores { diagnosis, ..Scores::default() },
                with_context: None,
                lesions: Vec::new(),
            });
        }
    }
    let output = |d: usize| Output {
        name: format!("diagnosis_{d}"),
        title: format!("diagnosis {d}"),
        category: if d < 3 { "hard" } else { "easy" }.to_owned(),
        threshold: 0.0,
        context_threshold: None,
    };
    let header = Header {
        format_version: FORMAT_VERSION,
        model: "model".to_owned(),
        cohort: "made up".to_owned(),
        split: "test".to_owned(),
        simulated: true,
        diagnoses: (0..6).map(output).collect(),
        services: Vec::new(),
        acuity: Vec::new(),
        embedding: 0,
    };
    Set { header, studies }
}

fn judged(set: &Set) -> Fairness {
    Fairness::of(set, Settings::of(set))
}

#[test]
fn a_fair_model_is_reported_fair() {
    let (mut covered, mut papers, mut comparisons, mut alarms) = (0, 0, 0, 0);
    let seeds = 200;
    for seed in 0..seeds {
        let found = judged(&cohort(seed, 700, fair));
        alarms += usize::from(found.verdict == Verdict::Unfair);
        for d in &found.disparities {
            comparisons += 1;
            covered += usize::from(d.lower <= 0.0 && 0.0 <= d.upper);
            papers += usize::from(d.resampled.p < 0.05);
        }
    }
    let share = |count: usize| count as f64 / comparisons as f64;
    println!("{comparisons} covered {} papers {} alarms {alarms}", share(covered), share(papers));
}

#[test]
fn who_is_treated_worse_is_found() {
    for bias in [
        (|[_, county], _, there| if there && county == "rural" { -1.2 } else { 0.0 }) as Bias,
        |of, _, there| if there && of == ["female", "rural"] { -1.5 } else { 0.0 },
        |[sex, _], _, there| if !there && sex == "male" { 1.0 } else { 0.0 },
        |[_, county], d, there| if there && d < 3 && county == "suburban" { -1.2 } else { 0.0 },
    ] {
        let found = judged(&cohort(1, 1500, bias));
        println!("---- {:?}", found.verdict);
        for d in &found.disparities {
            println!(
                "{} {:?} {} n={} {:.3} {:.3} d={:.3} [{:.3} {:.3}] p={:.2e} paper={:.1e} {:?}",
                d.scope, d.rate, d.group.title(), d.pairs, d.in_group, d.in_all_matched, d.disparity,
                d.lower, d.upper, d.p_holm, d.resampled.p_holm, d.verdict
            );
        }
    }
}
