//! Every statistic beside an independent one: `oracle.py` computes the same cases with NumPy,
//! `SciPy`, scikit-learn and statsmodels, or by definition where none of them has it.
//!
//! `PRIMA_PEERS_PYTHON` names the Python that has them. Without them the test is skipped with a
//! line that says so; `PRIMA_PEERS=1`, which `ops/test` sets, makes that a failure.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a test fails by panicking, says what it skips, and reads where its peer is from the environment"
)]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use statistics::agreement::ConfusionMatrix;
use statistics::bootstrap::{Plan, Ranked, auroc_bootstrap, bca, percentile};
use statistics::calibration::{brier, expected_calibration_error, reliability};
use statistics::contingency::Table;
use statistics::drift::cusum::Cusum;
use statistics::drift::{Reference, kolmogorov_smirnov};
use statistics::interval::{clopper_pearson, wilson};
use statistics::metrics::{self, Confusion};
use statistics::power_law::PowerLaw;
use statistics::rank_test::{Alternative, mann_whitney};
use statistics::sample_size::Superiority;
use statistics::{cluster, multiple, sample};

/// Of results that a formula gives, relative.
const EXACT: f64 = 1e-9;
/// Of results that an iteration comes near to.
const ITERATED: f64 = 1e-6;
/// What rounding leaves of a difference of numbers of size 1.
const ROUNDING: f64 = 1e-14;

/// Calls of functions of `oracle.py`, and what ours found.
#[derive(Default)]
struct Cases {
    calls: Vec<Value>,
    found: Vec<(Value, f64)>,
}

impl Cases {
    fn add(&mut self, function: &str, arguments: Value, found: Value, tolerance: f64) {
        let call = [("function", Value::from(function)), ("arguments", arguments)];
        self.calls.push(Value::from_iter(call));
        self.found.push((found, tolerance));
    }
}

#[test]
fn statistics_are_those_of_others() {
    let python = std::env::var("PRIMA_PEERS_PYTHON").unwrap_or_else(|_| "python3".into());
    let imports = "import numpy, scipy, sklearn, statsmodels";
    let probe = Command::new(&python).args(["-c", imports]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        let required = std::env::var_os("PRIMA_PEERS").is_some_and(|value| value == "1");
        assert!(!required, "{python} cannot {imports}, and PRIMA_PEERS=1 asks for it");
        println!("SKIPPED: {python} cannot {imports}");
        return;
    }
    let mut cases = Cases::default();
    for seed in 0..4 {
        let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed));
        scores(&mut cases, &mut draw);
        probabilities(&mut cases, &mut draw);
        two_samples(&mut cases, &mut draw);
        resamples(&mut cases, &mut draw, seed);
        curves(&mut cases, &mut draw);
        clusters(&mut cases, &mut draw, seed);
    }
    tables(&mut cases, &mut Draw(ChaCha8Rng::seed_from_u64(9)));
    shares_and_trials(&mut cases);
    charts(&mut cases);

    let expected = ask(&python, &cases.calls);
    assert_eq!(expected.len(), cases.found.len());
    let mut wrong = Vec::new();
    for ((call, (found, tolerance)), expected) in
        cases.calls.iter().zip(&cases.found).zip(&expected)
    {
        let name = call["function"].as_str().unwrap();
        compare(name, found, expected, *tolerance, &mut wrong);
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    println!("{} cases agree", cases.found.len());
}

fn ask(python: &str, calls: &[Value]) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle.py");
    let mut command = Command::new(python);
    command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let text = serde_json::to_string(calls).unwrap();
    let writer = thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = process.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{script} failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn compare(place: &str, found: &Value, expected: &Value, tolerance: f64, wrong: &mut Vec<String>) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            let keys = |object: &Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(found), keys(expected), "{place}");
            for (key, expected) in expected {
                compare(&format!("{place}.{key}"), &found[key], expected, tolerance, wrong);
            }
        }
        (Value::Array(found), Value::Array(expected)) if found.len() == expected.len() => {
            for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
                compare(&format!("{place}[{index}]"), found, expected, tolerance, wrong);
            }
        }
        _ => {
            let close = match (found.as_f64(), expected.as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() <= tolerance * a.abs().max(b.abs()),
                _ => found == expected,
            };
            // Probabilities are compared down to their last digits, differences are not.
            let rounded = !place.ends_with("p_value")
                && found
                    .as_f64()
                    .zip(expected.as_f64())
                    .is_some_and(|(a, b)| (a - b).abs() < ROUNDING);
            if !close && !rounded {
                wrong.push(format!("{place}: {found} instead of {expected}"));
            }
        }
    }
}

/// Random studies.
struct Draw(ChaCha8Rng);

impl Draw {
    fn share(&mut self) -> f64 {
        self.0.random()
    }

    /// Roughly normal.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }

    fn normals(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.normal()).collect()
    }

    /// At least two of either class.
    fn labels(&mut self, n: usize, share: f64) -> Vec<bool> {
        let mut labels: Vec<bool> = (0..n).map(|_| self.0.random_bool(share)).collect();
        labels[..4].copy_from_slice(&[true, false, true, false]);
        labels
    }

    /// Higher by `shift` with the label; rounded where `ties`.
    fn scores(&mut self, labels: &[bool], shift: f64, ties: bool) -> Vec<f64> {
        labels
            .iter()
            .map(|label| {
                let score = self.normal() + if *label { shift } else { 0.0 };
                if ties { (2.0 * score).round() / 2.0 } else { score }
            })
            .collect()
    }
}

fn scores(cases: &mut Cases, draw: &mut Draw) {
    for (n, share, ties) in
        [(8, 0.5, false), (60, 0.3, true), (300, 0.02, false), (900, 0.4, true), (2000, 0.1, false)]
    {
        let labels = draw.labels(n, share);
        let shift = 2.5 * draw.share();
        let [first, second] = [shift, 1.0].map(|shift| draw.scores(&labels, shift, ties));
        let found = json!({
            "auroc": metrics::auroc(&first, &labels),
            "roc": metrics::roc(&first, &labels),
            "precision": metrics::average_precision(&first, &labels),
        });
        cases.add("areas", json!({"scores": first, "labels": labels}), found, EXACT);
        cases.add(
            "area_difference",
            json!({"first": first, "second": second, "labels": labels}),
            json!(metrics::auroc_difference(&first, &second, &labels)),
            EXACT,
        );
        let called: Vec<bool> = second.iter().map(|score| *score >= 0.5).collect();
        for called in [called, vec![true; n]] {
            let counts = Confusion::of(called.iter().copied().zip(labels.iter().copied()));
            let found = json!([
                counts.sensitivity(),
                counts.specificity(),
                counts.precision(),
                counts.negative_predictive_value(),
                counts.f1(),
                counts.accuracy(),
                counts.balanced_accuracy(),
            ]);
            cases.add("decisions", json!({"called": called, "labels": labels}), found, EXACT);
        }
        let related: Vec<f64> = first.iter().map(|x| shift * x + draw.normal()).collect();
        for y in [second, related] {
            let found =
                json!([metrics::pearson_test(&first, &y), metrics::spearman_test(&first, &y)]);
            cases.add("correlations", json!({"x": first, "y": y}), found, EXACT);
        }
        let shares = [0.0, 0.025, 0.3, 0.5, 0.975, 1.0];
        let ascending = sample::sorted(&first);
        let found = json!({
            "mean": sample::mean(&first),
            "variance": sample::variance(&first),
            "quantiles": shares.map(|share| sample::quantile(&ascending, share)),
        });
        cases.add("sample", json!({"values": first, "shares": shares}), found, EXACT);
    }
}

fn probabilities(cases: &mut Cases, draw: &mut Draw) {
    for (n, bins) in [(50, 10), (700, 10), (3000, 15)] {
        let labels = draw.labels(n, 0.3);
        let logits = draw.scores(&labels, 1.5, false);
        let values: Vec<f64> =
            logits.iter().map(|logit| statistics::calibration::sigmoid(*logit)).collect();
        // Every study has a threshold of its own, as outputs of several heads have.
        let called: Vec<bool> = values.iter().map(|p| *p > draw.share()).collect();
        let found = json!({
            "bins": reliability(&values, &called, &labels, bins),
            "error": expected_calibration_error(&values, &labels, bins),
            "brier": brier(&values, &labels),
        });
        let arguments =
            json!({"probabilities": values, "called": called, "labels": labels, "bins": bins});
        cases.add("reliability", arguments, found, EXACT);
    }
    for (n, number) in [(10, 2), (400, 3), (3000, 5)] {
        let truth: Vec<usize> = (0..n).map(|_| draw.0.random_range(0..number)).collect();
        let near = |class: &usize| (class + usize::from(draw.0.random_bool(0.3))).min(number - 1);
        let called: Vec<usize> = truth.iter().map(near).collect();
        let matrix = ConfusionMatrix::of(&truth, &called, number);
        let found = json!({
            "matrix": matrix,
            "accuracy": matrix.accuracy(),
            "kappa": matrix.kappa(),
            "quadratic": matrix.quadratic_kappa(),
        });
        let arguments = json!({"truth": truth, "called": called, "number": number});
        cases.add("classes", arguments, found, EXACT);
    }
    for n in [1, 2, 7, 80] {
        let mut p_values: Vec<f64> = (0..n).map(|_| draw.share().powi(4)).collect();
        p_values.extend([1e-300, 0.5, 0.5, 1.0]);
        let found = json!([
            multiple::bonferroni(&p_values),
            multiple::holm(&p_values),
            multiple::benjamini_hochberg(&p_values),
        ]);
        cases.add("adjusted", json!({"p_values": p_values}), found, EXACT);
    }
}

fn two_samples(cases: &mut Cases, draw: &mut Draw) {
    let sides = [Alternative::TwoSided, Alternative::Less, Alternative::Greater];
    for (n, m, shift) in [(3, 4, 0.0), (8, 50, 1.0), (1, 500, 0.5), (20, 20, -0.7), (300, 90, 3.0)]
    {
        for ties in [false, true] {
            let x = draw.scores(&vec![true; n], shift, ties);
            let y = draw.scores(&vec![false; m], 0.0, ties);
            let found = sides.map(|side| {
                let found = mann_whitney(&x, &y, side).unwrap();
                json!({"u": found.u, "p_value": found.p_value})
            });
            cases.add("mann_whitney", json!({"x": x, "y": y}), json!(found), EXACT);
        }
    }
    for (n, m, shift, ties) in [
        (1, 1, 0.0, false),
        (10, 7, 0.5, false),
        (60, 60, 0.2, true),
        (150, 40, 1.0, false),
        (333, 77, 0.0, true),
        (10_500, 900, 0.05, false),
        (300, 11_000, 0.0, true),
    ] {
        let x = draw.scores(&vec![true; n], shift, ties);
        let y = draw.scores(&vec![false; m], 0.0, ties);
        let found = json!(kolmogorov_smirnov(&x, &y));
        cases.add("kolmogorov_smirnov", json!({"x": x, "y": y}), found, EXACT);
        let reference = Reference::by_quantiles(&x, 10).unwrap();
        if reference.counts.len() > 1 {
            let stability = reference.stability(&reference.count(&y));
            let arguments = json!({"before": x, "now": y, "bins": 10});
            let found = json!({"reference": reference, "stability": stability});
            cases.add("stability", arguments, found, EXACT);
        }
    }
}

fn resamples(cases: &mut Cases, draw: &mut Draw, seed: u64) {
    for (n, ties) in [(30, true), (100, false)] {
        let labels = draw.labels(n, 0.3);
        let scores = draw.scores(&labels, 1.0, ties);
        for plan in [Plan::new(seed, 100, n), Plan::by_class(seed, 100, &labels)] {
            let ranked = [Ranked::new(&scores, &labels).unwrap()];
            let figures: Vec<f64> = auroc_bootstrap(&ranked, &plan).concat();
            let value = ranked[0].auroc(&vec![1; n]);
            let without = metrics::auroc_without_each(&scores, &labels).unwrap();
            let found = json!({
                "figures": figures,
                "percentile": percentile(&figures),
                "bca": bca(value, &figures, &without),
            });
            let drawn = plan.map(<[usize]>::to_vec);
            let arguments = json!({"scores": scores, "labels": labels, "drawn": drawn});
            cases.add("resampled", arguments, found, EXACT);
        }
    }
}

fn curves(cases: &mut Cases, draw: &mut Draw) {
    for (scale, exponent, offset) in [(40.0, -0.5, 0.4), (-30.0, -0.35, 0.93), (0.01, 0.6, 0.0)] {
        let x = [1e2, 3e2, 1e3, 3e3, 1e4, 3e4, 1e5];
        let curve = |x: f64| scale * x.powf(exponent);
        let y = x.map(|x| curve(x) * (1.0 + 0.01 * draw.normal()) + offset);
        let summary = |law: PowerLaw| {
            let PowerLaw { exponent, lower, upper, .. } = law;
            let at = x.map(|x| law.at(x));
            json!({"exponent": exponent, "lower": lower, "upper": upper, "at": at})
        };
        let free = PowerLaw::fit(&x, &y).unwrap();
        let fixed = PowerLaw::with_offset(&x, &y, offset).unwrap();
        let arguments =
            json!({"x": x, "y": y, "offset": offset, "start": [scale, exponent, offset]});
        cases.add("power_laws", arguments, json!([summary(free), summary(fixed)]), ITERATED);
    }
}

fn clusters(cases: &mut Cases, draw: &mut Draw, seed: u64) {
    for (items, ties) in [(2, false), (13, false), (13, true), (52, false), (52, true)] {
        let mut distances = vec![0.0; items * items];
        for (i, j) in (0..items).flat_map(|i| (0..i).map(move |j| (i, j))) {
            let distance =
                if ties { f64::from(draw.0.random_range(1..5_u8)) } else { draw.share() };
            distances[i * items + j] = distance;
            distances[j * items + i] = distance;
        }
        let merges = cluster::average_linkage(&distances, items);
        let order = cluster::optimal_order(&merges, &distances);
        let length: f64 = order.windows(2).map(|pair| distances[pair[0] * items + pair[1]]).sum();
        let length = (items <= 13).then_some(length);
        let found = json!({"leaves": cluster::leaves(&merges), "length": length, "merges": merges});
        cases.add("linkage", json!({"distances": distances}), found, EXACT);
    }
    let (items, studies, groups) = (9, 40, 3);
    let values: Vec<Vec<f64>> = (0..studies)
        .map(|_| {
            let own = draw.normals(groups);
            (0..items).map(|item| own[item % groups] + 1.5 * draw.normal()).collect()
        })
        .collect();
    let plan = Plan::new(seed, 60, studies);
    let found = cluster::consensus(items, groups, &plan, |counts| {
        let between = |i: usize, j: usize| {
            let apart =
                values.iter().zip(counts).map(|(row, n)| (row[i] - row[j]).abs() * f64::from(*n));
            apart.sum::<f64>()
        };
        (0..items * items).map(|pair| between(pair / items, pair % items)).collect()
    });
    let heights: Vec<f64> = found.merges.iter().map(|merge| merge.height).collect();
    let drawn = plan.map(<[usize]>::to_vec);
    cases.add(
        "consensus",
        json!({"values": values, "clusters": groups, "drawn": drawn}),
        json!({"together": found.together, "heights": heights}),
        EXACT,
    );
}

fn tables(cases: &mut Cases, draw: &mut Draw) {
    let mut tables = vec![
        [0, 5, 3, 9],
        [5, 0, 0, 7],
        [1, 0, 0, 1],
        [12, 12, 12, 12],
        [300, 41, 280, 12],
        [1000, 999, 998, 1003],
        [12_000, 250_000, 11_500, 260_000],
        [999_000, 1_000_000, 1_000_000, 998_000],
        [1_000_000, 1, 999_999, 14],
        [3, 1_000_000, 900, 1_000_000],
        [40_000, 1_000_000, 50_000, 1_000_000],
    ];
    for size in [6, 20, 60, 500] {
        tables.extend((0..6).map(|_| [(); 4].map(|()| draw.0.random_range(1..size))));
    }
    for [with, without, reference_with, reference_without] in tables {
        let table = Table { with, without, reference_with, reference_without };
        let arguments = json!({"table": [[with, without], [reference_with, reference_without]]});
        let found = json!({"odds": table.odds_ratio(), "chi_squared": table.chi_squared()});
        cases.add("odds", arguments.clone(), found, EXACT);
        cases.add("fisher", arguments.clone(), json!(table.fisher_exact()), EXACT);
        let studies = with + without + reference_with + reference_without;
        if studies < 2000 {
            cases.add("fisher_scipy", arguments.clone(), json!(table.fisher_exact()), EXACT);
            let found = json!(table.conditional_odds_ratio());
            cases.add("conditional_odds", arguments, found, ITERATED);
        }
    }
}

fn shares_and_trials(cases: &mut Cases) {
    for (count, of) in [
        (0, 1),
        (1, 1),
        (0, 30),
        (30, 30),
        (1, 20),
        (7, 12),
        (98, 100),
        (3, 29_435),
        (500_000, 1_000_000),
    ] {
        let found = json!([wilson(count, of), clopper_pearson(count, of)]);
        cases.add("intervals", json!({"count": count, "of": of}), found, EXACT);
    }
    for (treatment, control, margin, alpha, ratio, power) in [
        (0.78, 0.78, 0.02, 0.01, 1.0, 0.9),
        (0.6, 0.5, 0.02, 0.025, 1.0, 0.8),
        (0.92, 0.88, 0.0, 0.05, 2.0, 0.95),
    ] {
        let trial = Superiority { treatment, control, margin, alpha, ratio };
        let size = trial.size(power).unwrap();
        let arguments = json!({
            "treatment": treatment, "control": control, "margin": margin, "alpha": alpha,
            "ratio": ratio, "power": power,
        });
        let found = json!({"size": size, "power": trial.power(size)});
        cases.add("trial", arguments, found, EXACT);
    }
}

fn charts(cases: &mut Cases) {
    for (usual, shifted, wanted) in [
        (0.01, 0.02, 2000.0),
        (0.05, 0.15, 500.0),
        (0.2, 0.3, 10_000.0),
        (0.4, 0.25, 1000.0),
        (0.5, 0.9, 100.0),
    ] {
        let chart = Cusum::design(usual, shifted, wanted).unwrap();
        for rate in [usual, shifted, 0.5 * usual] {
            let arguments = json!({
                "event_step": chart.event_step, "other_step": chart.other_step,
                "threshold": chart.threshold, "rate": rate,
            });
            cases.add("run_length", arguments, json!(chart.run_length(rate)), ITERATED);
        }
    }
}
