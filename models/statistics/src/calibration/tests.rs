//! Expected values from scikit-learn (isotonic regression), and from `SciPy`'s root finder on the
//! same losses' gradients.

use super::*;
use crate::metrics::tests::example;

fn logits() -> (Vec<f64>, Vec<bool>) {
    let (scores, labels) = example();
    (scores.iter().map(|score| 2.0 * score).collect(), labels)
}

#[test]
fn temperatures_are_where_the_slope_of_the_loss_is_zero() {
    let (logits, labels) = logits();
    let Calibration::Temperature { temperature } = Calibration::temperature(&logits, &labels)
    else {
        panic!("not a temperature");
    };
    assert!((temperature - 1.317_817_821_870_829).abs() < 1e-9, "{temperature}");

    let rows: Vec<f64> = (0..60_u32)
        .flat_map(|i| (0..4_u32).map(move |k| 2.0 * (f64::from(i) + 2.1 * f64::from(k)).sin()))
        .collect();
    let classes: Vec<usize> = (0..60)
        .map(|i| {
            let row = &rows[4 * i..][..4];
            let largest = (0..4).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
            if i % 3 == 0 { i / 3 % 4 } else { largest }
        })
        .collect();
    let temperature = softmax_temperature(&rows, 4, &classes);
    assert!((temperature - 1.486_261_727_732_857_8).abs() < 1e-9, "{temperature}");
}

#[test]
fn temperature_of_separated_or_reversed_classes_stays_finite() {
    for (labels, expected) in [([false, true], 0.01), ([true, false], 100.0)] {
        let found = Calibration::temperature(&[-1.0, 1.0], &labels);
        let Calibration::Temperature { temperature } = found else {
            panic!("not a temperature");
        };
        assert!((temperature / expected - 1.0).abs() < 1e-9, "{temperature}");
    }
}

#[test]
fn a_calibration_never_falls() {
    let logits = [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0];
    let labels = [true, true, false, false, false, false];
    let fits = [
        Calibration::platt(&logits, &labels),
        Calibration::temperature(&logits, &labels),
        Calibration::isotonic(&logits, &labels),
    ];
    for fit in fits {
        let found = logits.map(|logit| fit.probability(logit));
        assert!(found.is_sorted(), "{fit:?}: {found:?}");
    }
    // The mean of Platt's targets: two of 3/4, four of 1/6.
    let Calibration::Platt { slope, intercept } = Calibration::platt(&logits, &labels) else {
        panic!("Platt")
    };
    assert_eq!(slope, 0.0);
    let mean: f64 = (2.0 * 0.75 + 4.0 / 6.0) / 6.0;
    assert!((intercept - (mean / (1.0 - mean)).ln()).abs() < 1e-12);
}

#[test]
fn platt_equals_the_root_of_its_gradient() {
    let (logits, labels) = logits();
    let Calibration::Platt { slope, intercept } = Calibration::platt(&logits, &labels) else {
        panic!("not Platt's");
    };
    assert!((slope - 0.576_140_71).abs() < 1e-8, "{slope}");
    assert!((intercept - 0.535_863_4).abs() < 1e-8, "{intercept}");
}

#[test]
fn isotonic_equals_scikit_learn() {
    let (logits, labels) = logits();
    let found = Calibration::isotonic(&logits, &labels);
    for (logit, expected) in [
        (-9.0, 0.0),
        (-1.5, 0.0),
        (-0.7, 0.357_142_857_142_857),
        (0.0, 0.714_285_714_285_714_3),
        (0.9, 0.714_285_714_285_714_3),
        (2.1, 1.0),
        (9.0, 1.0),
    ] {
        let found = found.probability(logit);
        assert!((found - expected).abs() < 1e-12, "{logit}: {found} {expected}");
    }
}

#[test]
fn errors_equal_their_definitions() {
    let (logits, labels) = logits();
    let probabilities: Vec<f64> = logits.iter().map(|logit| sigmoid(*logit)).collect();
    let found = expected_calibration_error(&probabilities, &labels, 10);
    assert!((found - 0.233_389_343_926_926_26).abs() < 1e-12, "{found}");
    let found = brier(&probabilities, &labels);
    assert!((found - 0.192_606_947_903_391).abs() < 1e-12, "{found}");
    assert_eq!(expected_calibration_error(&[1.0, 0.0], &[true, false], 15), 0.0);
}

#[test]
fn a_bin_counts_what_lies_in_it() {
    let probabilities = [0.0, 0.1, 0.5, 0.75, 1.0];
    let labels = [false, true, true, false, true];
    let called = [false, false, true, true, true];
    let found = reliability(&probabilities, &called, &labels, 2);
    let ends: Vec<_> = found.iter().map(|bin| (bin.lower, bin.upper, bin.studies)).collect();
    assert_eq!(ends, [(0.0, 0.5, 2), (0.5, 1.0, 3)]);
    assert_eq!((found[0].confidence, found[0].frequency), (0.05, 0.5));
    assert_eq!((found[1].confidence, found[1].frequency), (0.75, 2.0 / 3.0));
    // Two of three with the label in this bin, and one of two without it.
    let balanced = found[1].balanced_frequency.unwrap();
    assert!((balanced - 4.0 / 7.0).abs() < 1e-12, "{balanced}");
    assert_eq!(found[1].balanced_accuracy, Some(0.5));
    assert_eq!(reliability(&[0.2], &[true], &[true], 10)[0].balanced_frequency, None);
    assert!(reliability(&[], &[], &[], 10).is_empty());
}
