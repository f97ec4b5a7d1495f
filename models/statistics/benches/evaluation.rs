//! A year's studies evaluated: 52 outputs on 30,000 studies, 1000 resamples, as a table.
//!
//! `cargo bench -p statistics --profile dev --bench evaluation`

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints its table")]

use std::hint::black_box;
use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use statistics::bootstrap::{Plan, Ranked, auroc_bootstrap};
use statistics::calibration::{reliability, sigmoid};
use statistics::contingency::Table;
use statistics::drift::cusum::Cusum;
use statistics::drift::kolmogorov_smirnov;
use statistics::metrics::{auroc, auroc_difference, average_precision, spearman_test};

const STUDIES: usize = 30_000;
const OUTPUTS: u32 = 52;
const RESAMPLES: usize = 1000;

fn main() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut output = |share: f64| -> (Vec<f64>, Vec<bool>) {
        let mut study = || {
            let label = rng.random_bool(share);
            (rng.random::<f64>() * 4.0 + f64::from(u8::from(label)), label)
        };
        (0..STUDIES).map(|_| study()).unzip()
    };
    let outputs: Vec<(Vec<f64>, Vec<bool>)> =
        (0..OUTPUTS).map(|index| output(0.001 + 0.005 * f64::from(index))).collect();
    println!("{STUDIES} studies, {OUTPUTS} outputs, {RESAMPLES} resamples");

    let timed = |name: &str, work: &dyn Fn() -> f64| {
        let start = Instant::now();
        black_box(work());
        println!("{name:<28} {:>8.3} s", start.elapsed().as_secs_f64());
    };
    let each = |name: &str, work: &(dyn Fn(&[f64], &[bool]) -> f64 + Sync)| {
        timed(name, &|| outputs.par_iter().map(|(scores, labels)| work(scores, labels)).sum());
    };
    let (other, _) = &outputs[0];
    each("areas with DeLong", &|s, l| auroc(s, l).unwrap().upper);
    each("average precision", &|s, l| average_precision(s, l).unwrap());
    each("paired differences", &|s, l| auroc_difference(s, other, l).unwrap().p_value);
    each("Spearman", &|s, _| spearman_test(s, other).unwrap().p_value);
    each("reliability", &|s, l| {
        let probabilities: Vec<f64> = s.iter().map(|score| sigmoid(*score)).collect();
        reliability(&probabilities, l, l, 10)[0].frequency
    });
    timed("bootstrap of all areas", &|| {
        let ranked: Vec<Ranked> =
            outputs.iter().map(|(scores, labels)| Ranked::new(scores, labels).unwrap()).collect();
        auroc_bootstrap(&ranked, &Plan::new(1, RESAMPLES, STUDIES))[0][0]
    });
    timed("Kolmogorov-Smirnov, 10,000", &|| {
        kolmogorov_smirnov(&outputs[0].0[..10_000], &outputs[1].0[..10_000]).unwrap().p_value
    });
    timed("odds ratio of millions", &|| {
        let table = Table {
            with: 1_000_000,
            without: 1_100_000,
            reference_with: 900_000,
            reference_without: 1_000_000,
        };
        table.fisher_exact() + table.conditional_odds_ratio().unwrap().upper
    });
    timed("design of a chart", &|| {
        f64::from(Cusum::design(0.005, 0.01, 100_000.0).unwrap().threshold)
    });
}
