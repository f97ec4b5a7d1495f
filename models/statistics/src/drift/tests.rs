use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::cusum::Cusum;
use super::*;

#[test]
fn a_value_that_many_share_has_its_own_bin() {
    let mut values = vec![0.0; 50];
    values.extend((1..=50).map(f64::from));
    let reference = Reference::by_quantiles(&values, 10).unwrap();
    assert_eq!(reference.edges, [0.0, 10.0, 20.0, 30.0, 40.0]);
    assert_eq!(reference.counts, [50, 10, 10, 10, 10, 10]);
    assert_eq!(reference.stability(&reference.counts).unwrap().index, 0.0);
    values.iter_mut().for_each(|value| *value = -*value);
    let reference = Reference::by_quantiles(&values, 10).unwrap();
    assert_eq!(reference.edges, [-41.0, -31.0, -21.0, -11.0, -1.0]);
    assert_eq!(reference.counts, [10, 10, 10, 10, 10, 50]);

    assert_eq!(Reference::by_quantiles(&[1.0, f64::NAN], 10), None);
    let constant = Reference::by_quantiles(&[1.0; 9], 10).unwrap();
    assert_eq!((constant.counts.len(), constant.stability(&[5])), (1, None));
}

/// The limit that comes with the index holds for few studies beside many.
#[test]
fn stability_alarms_as_often_as_it_says() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut draw = |n: usize| -> Vec<f64> { (0..n).map(|_| rng.random::<f64>()).collect() };
    let (mut alarms, trials) = (0, 2000);
    for _ in 0..trials {
        let reference = Reference::by_quantiles(&draw(1000), 10).unwrap();
        let stability = reference.stability(&reference.count(&draw(150))).unwrap();
        alarms += usize::from(stability.p_value < 0.05);
    }
    // 100 expected; three standard deviations are 29.
    assert!((70..=130).contains(&alarms), "{alarms} of {trials}");
}

/// Each order of two small samples, one by one.
#[test]
fn exact_probabilities_count_orders() {
    let (n, m) = (5, 7_usize);
    let orders: Vec<u32> = (0..1_u32 << (n + m)).filter(|o| o.count_ones() == n as u32).collect();
    let distance = |order: u32| {
        let (mut i, mut j) = (0, 0);
        let places = (0..n + m).map(|place| {
            if order >> place & 1 == 1 {
                i += 1;
            } else {
                j += 1;
            }
            (i * m).abs_diff(j * n)
        });
        places.max().unwrap()
    };
    for wanted in 0..=n * m {
        let count = orders.iter().filter(|order| distance(**order) >= wanted).count();
        let expected = count as f64 / orders.len() as f64;
        for found in [share_beyond(n, m, wanted), share_beyond(m, n, wanted)] {
            assert!((found - expected).abs() < 1e-14, "{wanted}: {found} {expected}");
        }
    }
}

proptest! {
    #[test]
    fn samples_of_one_value_or_far_apart(n in 1_usize..40, m in 1_usize..40) {
        let same = kolmogorov_smirnov(&vec![1.0; n], &vec![1.0; m]).unwrap();
        prop_assert_eq!((same.statistic, same.p_value), (0.0, 1.0));
        let apart = kolmogorov_smirnov(&vec![1.0; n], &vec![2.0; m]).unwrap();
        prop_assert_eq!(apart.statistic, 1.0);
        // Two of all orders are so far apart: one sample before the other.
        let ln_orders: f64 = (1..=n).map(|k| ((m + k) as f64 / k as f64).ln()).sum();
        prop_assert!((apart.p_value.ln() - (2.0_f64.ln() - ln_orders)).abs() < 1e-10);
    }

    #[test]
    fn a_chart_has_the_least_threshold(
        usual in 0.02_f64..0.5, shift in 0.3_f64..3.0, run_length in 10.0_f64..5000.0,
    ) {
        let shifted = usual * shift;
        prop_assume!(shifted < 0.9 && (shift - 1.0).abs() > 0.2);
        let chart = Cusum::design(usual, shifted, run_length).unwrap();
        prop_assert!(chart.run_length(usual) >= run_length);
        let lower = Cusum { threshold: chart.threshold - 1, ..chart };
        prop_assert!(lower.threshold == 0 || lower.run_length(usual) < run_length);
        prop_assert!(chart.run_length(shifted) < chart.run_length(usual));
    }
}

#[test]
fn simulated_run_lengths_are_the_stated_ones() {
    for (usual, shifted, wanted) in [(0.05, 0.1, 400.0), (0.3, 0.45, 300.0), (0.2, 0.1, 300.0)] {
        let chart = Cusum::design(usual, shifted, wanted).unwrap();
        for rate in [usual, shifted] {
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            let mut sum = 0;
            let lengths: Vec<f64> = (0..4000)
                .map(|_| {
                    let mut studies = 0;
                    while studies == 0 || !chart.alarms(sum) {
                        sum = chart.next(sum, rng.random_bool(rate));
                        studies += 1;
                    }
                    f64::from(studies)
                })
                .collect();
            let (mean, stated) = (crate::sample::mean(&lengths), chart.run_length(rate));
            let error = (crate::sample::variance(&lengths) / lengths.len() as f64).sqrt();
            assert!((mean - stated).abs() < 3.0 * error, "{chart:?} at {rate}: {mean} {stated}");
        }
    }
}

#[test]
fn a_chart_without_its_conditions_is_none() {
    for (usual, shifted, wanted) in
        [(0.0, 0.1, 100.0), (0.1, 1.0, 100.0), (0.1, 0.1, 100.0), (0.1, 0.2, f64::INFINITY)]
    {
        assert_eq!(Cusum::design(usual, shifted, wanted), None);
    }
    let chart = Cusum::design(0.1, 0.2, 100.0).unwrap();
    assert_eq!(chart.run_length(0.0), f64::INFINITY);
    assert_eq!(chart.next(chart.threshold, false), 0);
}
