//! Expected values from scikit-learn 1.x, `SciPy`, and `DeLong`'s variance by its definition over
//! all pairs in NumPy.

use super::*;

const TOLERANCE: f64 = 1e-12;

/// Sixty studies, 43 with the label; scores in tenths, so that some are equal.
pub(crate) fn example() -> (Vec<f64>, Vec<bool>) {
    (0..60_u32)
        .map(|i| {
            let label = i * i % 7 < 3;
            let score = (1.3 * f64::from(i)).sin() + if label { 0.7 } else { 0.0 };
            ((10.0 * score).floor() / 10.0, label)
        })
        .unzip()
}

#[test]
fn areas_equal_scikit_learn_and_delong() {
    let (scores, labels) = example();
    let found = auroc(&scores, &labels).unwrap();
    assert_eq!((found.positives, found.negatives), (43, 17));
    for (name, found, expected) in [
        ("area", found.value, 0.727_086_183_310_533_5),
        ("lower", found.lower, 0.585_202_383_900_303_1),
        ("upper", found.upper, 0.868_969_982_720_764),
        ("precision", average_precision(&scores, &labels).unwrap(), 0.882_206_011_795_405_6),
    ] {
        assert!((found - expected).abs() < TOLERANCE, "{name}: {found} {expected}");
    }
    let curve = roc(&scores, &labels).unwrap();
    let under: f64 = curve
        .windows(2)
        .map(|pair| (pair[1][0] - pair[0][0]) * f64::midpoint(pair[0][1], pair[1][1]))
        .sum();
    assert!((under - found.value).abs() < TOLERANCE);
    assert_eq!((curve[0], curve[curve.len() - 1]), ([0.0, 0.0], [1.0, 1.0]));
}

#[test]
fn areas_at_their_ends() {
    let labels = [true, true, false, false];
    for (scores, expected) in [
        ([2.0, 2.0, 1.0, 0.0], Some(1.0)),
        ([0.0, 0.0, 1.0, 1.0], Some(0.0)),
        ([5.0; 4], Some(0.5)),
        ([f64::NAN, 0.0, 0.0, 0.0], None),
    ] {
        assert_eq!(auroc(&scores, &labels).map(|found| found.value), expected, "{scores:?}");
    }
    assert_eq!(auroc(&[1.0, 2.0], &[true, true]), None);
    assert_eq!(average_precision(&[1.0, 2.0], &[false, false]), None);
}

#[test]
fn differences_of_areas_at_their_ends() {
    let (scores, labels) = example();
    let same = auroc_difference(&scores, &scores, &labels).unwrap();
    assert_eq!([same.value, same.lower, same.upper, same.p_value], [0.0, 0.0, 0.0, 1.0]);
    let opposite: Vec<f64> = scores.iter().map(|score| -score).collect();
    let (there, back) = (
        auroc_difference(&scores, &opposite, &labels).unwrap(),
        auroc_difference(&opposite, &scores, &labels).unwrap(),
    );
    let area = auroc(&scores, &labels).unwrap().value;
    assert!((there.value - (2.0 * area - 1.0)).abs() < TOLERANCE);
    assert!((there.value + back.value).abs() < TOLERANCE);
    assert!((there.lower + back.upper).abs() < TOLERANCE);
    let (truth, lie) = ([1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]);
    let sure = auroc_difference(&truth, &lie, &[true, true, false, false]).unwrap();
    assert_eq!((sure.value, sure.p_value), (1.0, 0.0));
}

#[test]
fn correlations_equal_scipy() {
    let (scores, _) = example();
    let other: Vec<f64> =
        (0_u32..).zip(&scores).map(|(i, s)| (0.7 * f64::from(i)).cos() + 0.3 * s).collect();
    let found = [pearson(&scores, &other).unwrap(), spearman(&scores, &other).unwrap()];
    for (found, expected) in found.into_iter().zip([0.326_620_606_777_451_3, 0.349_894_753_895_066])
    {
        assert!((found - expected).abs() < TOLERANCE, "{found} {expected}");
    }
    let line: Vec<f64> = scores.iter().map(|score| 3.0 - 2.0 * score).collect();
    let found = pearson_test(&scores, &line).unwrap();
    assert!((found.value + 1.0).abs() < TOLERANCE && found.p_value < 1e-100, "{found:?}");
    assert!(found.lower <= found.value && found.upper < -0.99, "{found:?}");
    assert_eq!(spearman_test(&scores[..3], &line[..3]), None);
    assert_eq!(pearson(&[1.0, 1.0], &[1.0, 2.0]), None);
    assert_eq!(spearman(&[1.0, f64::NAN], &[1.0, 2.0]), None);
}

#[test]
fn decisions_equal_scikit_learn() {
    let (scores, labels) = example();
    let found = Confusion::at(0.3, &scores, &labels);
    for (name, found, expected) in [
        ("f1", found.f1(), 0.701_298_701_298_701_3),
        ("sensitivity", found.sensitivity(), 0.627_906_976_744_186),
        ("specificity", found.specificity(), 0.588_235_294_117_647_1),
        ("precision", found.precision(), 0.794_117_647_058_823_5),
        ("accuracy", found.accuracy(), 37.0 / 60.0),
        ("negative predictive value", found.negative_predictive_value(), 10.0 / 26.0),
        ("balanced accuracy", found.balanced_accuracy(), 0.608_071_135_430_916_5),
    ] {
        assert!((found.unwrap() - expected).abs() < TOLERANCE, "{name}: {found:?} {expected}");
    }
    assert_eq!(Confusion::default().f1(), None);
}
