//! A set of made-up predictions on disk, to numbers, to a report.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::fs;

use evaluation::explanation::{EXPLAINED, Explained};
use evaluation::report::page;
use evaluation::set::Set;
use evaluation::{Evaluation, Options, evaluate, made_up};

fn options() -> Options {
    Options { resamples: 50, ..Options::default() }
}

#[test]
fn the_report_is_drawn_from_its_numbers_alone() {
    let folder = tempfile::tempdir().unwrap();
    made_up::set(600, 7).write(folder.path()).unwrap();
    let found = evaluate(folder.path(), None, &options(), "evaluate SET").unwrap();
    let json = serde_json::to_string(&found).unwrap();
    let read: Evaluation = serde_json::from_str(&json).unwrap();
    let html = page(&found).html();
    assert_eq!(page(&read).html(), html, "what is not in metrics.json is not in the report");
    for (id, there) in [
        ("diagnoses", true),
        ("context", true),
        ("calibration", true),
        ("priority", true),
        ("referral", true),
        ("age", true),
        ("delays", true),
        ("fairness", true),
        ("sample-size", true),
        ("explanations", false),
        ("alignment", false),
        ("neighbours", false),
    ] {
        assert_eq!(html.contains(&format!("id=\"{id}\"")), there, "{id}");
    }
    assert!(html.contains("22338"), "the paper's trial");
    let links = html.split("href=\"").skip(1).all(|link| link.starts_with('#'));
    assert!(links && !html.contains("src="), "nothing is fetched");

    // What was planted: context helps, rural counties wait, nobody is treated unfairly.
    let context = found.context.unwrap();
    assert!(context.with_context.mean.auroc > context.images.mean.auroc);
    let rural = found.fairness.delays.iter().find(|delay| delay.group == "rural").unwrap();
    assert!(rural.crude.unwrap().lower > 1.0, "{rural:?}");
    let age = found.age.unwrap();
    assert!(
        (age.mean_absolute_error_years - 6.0 * (2.0 / std::f64::consts::PI).sqrt()).abs() < 0.6
    );
}

#[test]
fn a_section_is_there_when_its_file_is() {
    let folder = tempfile::tempdir().unwrap();
    made_up::set(80, 1).write(folder.path()).unwrap();
    let explained = Explained {
        id: "s000001".to_owned(),
        diagnosis: "glioma".to_owned(),
        series: "AX_T2".to_owned(),
        tokens: 40,
        lesion_tokens: 4,
        hits: vec![true, false, false, false, false],
        other_hits: Vec::new(),
    };
    let line = serde_json::to_string(&explained).unwrap();
    fs::write(folder.path().join(EXPLAINED), &line).unwrap();
    let found = evaluate(folder.path(), None, &options(), "evaluate SET").unwrap();
    assert!(page(&found).html().contains("id=\"explanations\""));
    fs::write(folder.path().join(EXPLAINED), format!("{line}\n{{}}")).unwrap();
    let refused = evaluate(folder.path(), None, &options(), "").unwrap_err().to_string();
    assert!(refused.contains("explained.jsonl, line 2: missing field `id`"), "{refused}");
}

#[test]
fn neighbours_need_the_same_model() {
    let [folder, earlier] = [1, 2].map(|seed| {
        let folder = tempfile::tempdir().unwrap();
        let mut set = made_up::set(60, seed);
        set.header.embedding = 3;
        set.write(folder.path()).unwrap();
        let rows: Vec<u8> = (0..180_u16).flat_map(|i| f32::from(i % 7).to_le_bytes()).collect();
        fs::write(folder.path().join(evaluation::set::EMBEDDINGS), rows).unwrap();
        folder
    });
    let run = || evaluate(folder.path(), Some(earlier.path()), &options(), "");
    assert_eq!(run().unwrap().neighbours.unwrap().retrospective, 60);
    let mut other = Set::open(earlier.path()).unwrap();
    other.header.model = "another".to_owned();
    other.write(earlier.path()).unwrap();
    let refused = run().unwrap_err().to_string();
    assert!(refused.contains("score both with one bundle"), "{refused}");
}
