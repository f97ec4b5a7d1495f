use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use statistics::metrics::auroc;
use statistics::sample::{quantile, sorted};

use super::*;
use crate::set::tests::set as blank;

const DIAGNOSES: usize = 4;

/// 90 studies of 60 patients; scores follow the truth as far as `skill` goes. The last diagnosis
/// is nobody's.
fn set(seed: u64, skill: f32) -> Set {
    // Truth is the same for every network.
    let has = |study: usize| {
        let mut truth = ChaCha8Rng::seed_from_u64(study as u64);
        (0..DIAGNOSES - 1).filter(|_| truth.random_bool(0.3)).collect()
    };
    let mut set = blank(90, DIAGNOSES, has);
    let mut noise = ChaCha8Rng::seed_from_u64(seed);
    for (i, study) in set.studies.iter_mut().enumerate() {
        study.patient = format!("p{}", i % 60);
        let score = |d: usize| {
            let signal = if study.truth.diagnoses.contains(&d) { skill } else { 0.0 };
            // Whole numbers, so that there are ties.
            (signal + noise.random_range(0.0..10.0f32)).round()
        };
        study.scores.diagnosis = (0..DIAGNOSES).map(score).collect();
    }
    set
}

fn entry(name: &str, kind: Kind, training_studies: usize, steps: u64) -> Entry {
    Entry {
        name: name.to_owned(),
        title: format!("the {name}"),
        kind,
        parameters: 1000,
        training_studies,
        steps: Some(steps),
        flops: Some(1e9 * steps as f64),
        seconds: 1.5,
        retrieval: Some(Retrieved { group: 90, top1: 0.2, top5: 0.5 }),
    }
}

fn networks() -> Vec<(Entry, Set)> {
    vec![
        (entry("whole", Kind::Ablation, 800, 100), set(2, 6.0)),
        (entry("twin", Kind::Ablation, 800, 100), set(2, 6.0)),
        (entry("blind", Kind::Baseline, 800, 100), set(3, 0.0)),
        (entry("half", Kind::Scaling, 400, 100), set(4, 4.0)),
        (entry("quarter", Kind::Scaling, 200, 100), set(5, 2.5)),
        (entry("short", Kind::Scaling, 800, 50), set(6, 3.0)),
    ]
}

/// Every resample as a list of studies, every area by the slow way.
#[test]
fn differences_are_those_of_whole_patients_drawn_again() {
    let networks = networks();
    let found = Comparison::of(&networks, "whole", 40, 9).unwrap();
    assert_eq!((found.studies, found.patients), (90, 60));
    let drawn = Resamples::of(&networks[0].1, 40, 9).map(|counts| {
        let each = counts.iter().enumerate();
        each.flat_map(|(i, count)| std::iter::repeat_n(i, *count as usize)).collect()
    });
    let drawn: Vec<Vec<usize>> = drawn;
    let mean_area = |set: &Set, studies: &[usize]| {
        let area = |d: usize| {
            let (scores, labels) = (set.logits(d), set.has(d));
            let scores: Vec<f64> = studies.iter().map(|s| scores[*s]).collect();
            let labels: Vec<bool> = studies.iter().map(|s| labels[*s]).collect();
            auroc(&scores, &labels).map(|area| area.value)
        };
        mean(&(0..DIAGNOSES).filter_map(area).collect::<Vec<f64>>())
    };
    for (row, (_, set)) in found.rows.iter().zip(&networks) {
        let once: Vec<usize> = (0..90).collect();
        let value = mean_area(set, &once) - mean_area(&networks[0].1, &once);
        let differences: Vec<f64> = drawn
            .iter()
            .map(|studies| mean_area(set, studies) - mean_area(&networks[0].1, studies))
            .collect();
        let ascending = sorted(&differences);
        let expected = [value, quantile(&ascending, 0.025), quantile(&ascending, 0.975)];
        let Difference { value, lower, upper } = row.difference.unwrap();
        for (found, expected) in [value, lower, upper].into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{}: {found} {expected}", row.entry.name);
        }
        assert_eq!(row.labels[3].auroc, None, "nobody has it");
    }
    let difference = |name: &str| {
        let row = found.rows.iter().find(|row| row.entry.name == name);
        row.unwrap().difference.unwrap()
    };
    assert_eq!(difference("twin"), Difference { value: 0.0, lower: 0.0, upper: 0.0 });
    assert!(difference("blind").upper < 0.0, "{:?}", difference("blind"));
}

#[test]
fn laws_go_through_the_rows_that_differ_in_one_thing() {
    let found = Comparison::of(&networks(), "whole", 10, 0).unwrap();
    let law = |x: Axis, y: Error| found.laws.iter().find(|law| law.x == x && law.y == y).unwrap();
    let data = law(Axis::TrainingStudies, Error::Auroc);
    let abscissas: Vec<f64> = data.points.iter().map(|point| point[0]).collect();
    assert_eq!(abscissas, [200.0, 400.0, 800.0]);
    let fit = data.fit.unwrap();
    assert!(fit.exponent < 0.0, "the error falls with data: {fit:?}");
    for point in &data.points {
        assert!((fit.at(point[0]) / point[1] - 1.0).abs() < 0.5, "{point:?} {fit:?}");
    }
    let training = law(Axis::Flops, Error::Auroc);
    assert_eq!(training.points.len(), 2);
    assert_eq!(training.fit, None, "two points are no law");
}

#[test]
fn networks_of_other_studies_are_refused() {
    let refusal =
        |networks: Vec<_>| Comparison::of(&networks, "whole", 10, 0).unwrap_err().to_string();
    let mut other = networks();
    other[2].1.studies[5].truth.diagnoses = vec![3];
    assert!(refusal(other).starts_with("row blind was measured on other studies than whole"));
    let mut twice = networks();
    twice[1].0.name = "half".to_owned();
    assert_eq!(refusal(twice), "two rows are called half; call one of them something else");
    let none = networks().split_off(1);
    assert_eq!(refusal(none), "no row is called whole, which the others are compared with");
}

#[test]
fn the_file_and_the_table_hold_every_row() {
    let found = Comparison::of(&networks(), "whole", 10, 0).unwrap();
    let text = serde_json::to_string(&found).unwrap();
    let back: Comparison = serde_json::from_str(&text).unwrap();
    assert!(back.rows.iter().map(|row| &row.entry).eq(found.rows.iter().map(|row| &row.entry)));
    assert_eq!(back.to_string(), found.to_string());
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["rows"][2]["kind"], "baseline");
    assert_eq!(value["rows"][2]["name"], "blind");
    let table = found.to_string();
    for name in ["whole", "twin", "blind", "half", "quarter", "short"] {
        let line = table.lines().find(|line| line.starts_with(&format!("the {name} ")));
        assert!(line.is_some_and(|line| line.contains("0.200")), "{table}");
    }
    assert!(table.contains("1 - mean AUROC over training studies, 3 points: power -"), "{table}");
    assert!(table.contains("over FLOPs, 2 points: too few for a law"), "{table}");
}
