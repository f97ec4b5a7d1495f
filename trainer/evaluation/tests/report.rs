//! A set of made-up predictions on disk, to numbers, to a report.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

use std::fs;
use std::path::Path;

use evaluation::explanation::{EXPLAINED, Explained};
use evaluation::report::page;
use evaluation::set::Set;
use evaluation::transfer::measure::Measure;
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
    assert!(html.contains("needs 22,338 studies"), "the paper's trial");
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

/// Everything that a section is made of, and what transfer results are refused for.
#[test]
fn every_experiment_reaches_the_report() {
    let folder = tempfile::tempdir().unwrap();
    made_up::write(&made_up::set(300, 3), folder.path(), 4).unwrap();
    let run = || evaluate(folder.path(), None, &options(), "evaluate SET");
    let found = run().unwrap();
    let html = page(&found).html();
    for id in ["explanations", "alignment", "dropping", "comparison", "transfer"] {
        assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
    }
    let read: Evaluation = serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
    assert_eq!(page(&read).html(), html, "what is not in metrics.json is not in the report");
    let hyphens = |html: &str| {
        let words = html.split('<').filter_map(|piece| piece.split_once('>'));
        let words: String = words.flat_map(|(_, words)| [" ", words]).collect();
        let is_minus =
            |at: &&[u8]| b" (".contains(&at[0]) && at[1] == b'-' && at[2].is_ascii_digit();
        words.as_bytes().windows(3).filter(is_minus).count()
    };
    assert_eq!(hyphens("<td>-0.1 (-0.2 to -0.1)</td>"), 3);
    assert!(hyphens(&html) == 0 && html.contains("−0."), "a minus sign is U+2212 everywhere");
    let comparison = found.comparison.unwrap();
    assert_eq!((comparison.rows.len(), comparison.laws.len()), (8, 4));

    let [cohort, tumours] = &found.transfer[..] else { panic!("{:?}", found.transfer) };
    assert_eq!((cohort.refused, cohort.probes.len(), tumours.subsets.len()), (1, 6, 5));
    let Measure::Number { mean_absolute_error: Some(error), .. } = cohort.probes[4].measure else {
        panic!("{:?}", cohort.probes[4])
    };
    assert!(error.upper < cohort.probes[4].guess.unwrap(), "an age is told: {error:?}");
    let json = fs::read_to_string(folder.path().join("transfer/cohort A/transfer.json")).unwrap();
    assert!(json.contains("sub-007") && !html.contains("sub-007"), "studies are not named");
    assert!(!serde_json::to_string(&found.transfer).unwrap().contains("sub-007"));

    let refused = |text: &str| {
        fs::write(folder.path().join("transfer/cohort A/transfer.json"), text).unwrap();
        run().unwrap_err().to_string()
    };
    for (text, expected) in [
        (
            json.replace("\"made-up\"", "\"other\""),
            "asked of other, the set is of made-up; ask one bundle",
        ),
        (
            json.replacen("\"format_version\": 2", "\"format_version\": 1", 1),
            "format version 1; this program reads 2",
        ),
        (json.replacen("\"labels\"", "\"label\"", 1), "unknown field `label`"),
    ] {
        let found = refused(&text);
        assert!(found.contains("transfer.json") && found.contains(expected), "{found}");
    }
    fs::create_dir(folder.path().join("transfer/begun")).unwrap();
    let found = run().unwrap_err().to_string();
    assert!(
        found.contains("begun") && found.contains("is not there; `trainer transfer`"),
        "{found}"
    );
}

/// A hospital's engineer has the document and no sources.
#[test]
fn the_example_of_the_document_is_a_set() {
    let document = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops/docs/EVALUATION.md"),
    );
    let document = document.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut blocks = document.split("\n```");
    let mut name = String::new();
    let mut written = Vec::new();
    while let (Some(words), Some(block)) = (blocks.next(), blocks.next()) {
        let last = words.lines().last().unwrap_or_default();
        name.clear();
        name.extend(last.split('`').nth(1));
        if let Some(text) = block.strip_prefix("json\n").or_else(|| block.strip_prefix("toml\n")) {
            fs::write(folder.path().join(&name), text).unwrap();
            written.push(name.clone());
        }
    }
    assert_eq!(written.len(), 8, "{written:?}");
    let options = fs::read_to_string(folder.path().join("options.toml")).unwrap();
    let options: Options = toml::from_str(&options).unwrap();
    let found = evaluate(folder.path(), None, &options, "evaluate SET").unwrap();
    assert_eq!((found.studies, found.patients), (3, 2));
    assert!(found.explanation.is_some() && found.alignment.is_some());
    assert_eq!((found.dropping.len(), found.objectives.len()), (1, 1));
    let html = page(&found).html();
    for title in ["glioma", "acute infarct", "neurosurgery"] {
        assert!(html.contains(title), "{title}");
    }
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
