//! Every figure of fairness beside an independent one: `fairness.py` computes them with NumPy,
//! `SciPy`, scikit-learn and statsmodels.
//!
//! `PRIMA_PEERS_PYTHON` names the Python that has them. Without them the test is skipped with a
//! line that says so; `PRIMA_PEERS=1`, which `ops/test` sets, makes that a failure.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, says what it skips, and reads where its peer is from the environment"
)]

use std::fs::File;
use std::process::{Command, Stdio};

use evaluation::fairness::{Fairness, Settings};
use evaluation::made_up;
use serde_json::Value;

/// Newton's method and the inverses of tails are iterative.
const TOLERANCE: f64 = 1e-8;

#[test]
fn figures_equal_those_of_statsmodels() {
    let python = std::env::var("PRIMA_PEERS_PYTHON").unwrap_or_else(|_| "python3".into());
    let imports = "import numpy, scipy, sklearn, statsmodels";
    let probe = Command::new(&python).args(["-c", imports]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        let required = std::env::var_os("PRIMA_PEERS").is_some_and(|value| value == "1");
        assert!(!required, "{python} cannot {imports}, and PRIMA_PEERS=1 asks for it");
        println!("SKIPPED: {python} cannot {imports}");
        return;
    }
    let set = made_up::set(1500, 3);
    let mut settings = Settings::of(&set);
    settings.resampling.keep_draws = true;
    let found = Fairness::of(&set, settings);
    assert!(found.delays.iter().all(|delay| delay.adjusted.is_some()), "{:?}", found.delays);
    assert!(found.disparities.len() > 100 && !found.left_out.is_empty());

    let folder = tempfile::tempdir().unwrap();
    set.write(folder.path()).unwrap();
    let path = folder.path().join("fairness.json");
    serde_json::to_writer(File::create(&path).unwrap(), &found).unwrap();
    let output = Command::new(&python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fairness.py"))
        .arg(folder.path())
        .stdin(File::open(&path).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "fairness.py failed");
    let expected: Value = serde_json::from_slice(&output.stdout).unwrap();
    let compared = compare("", &serde_json::to_value(&found).unwrap(), &expected);
    assert!(compared > 5000, "{compared} figures were compared");
}

/// Every value that the peer has is ours as well; returns how many those are.
fn compare(path: &str, found: &Value, expected: &Value) -> usize {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            let one = |(key, value)| compare(&format!("{path}/{key}"), &found[key], value);
            expected.iter().map(one).sum()
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{path}");
            let pairs = found.iter().zip(expected).enumerate();
            pairs.map(|(i, (found, value))| compare(&format!("{path}/{i}"), found, value)).sum()
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            let close = (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1e-6);
            assert!(close, "{path}: {a}, the peer finds {b}");
            1
        }
        _ => {
            assert_eq!(found, expected, "{path}");
            1
        }
    }
}
