//! The commands on a cohort of a few studies.

use super::*;
use crate::cohort::record::{Acuity, Demographics, Report, Split};
use crate::reports::llm::tests::{Reply, serve};

/// A cohort folder with one study per impression.
fn cohort(impressions: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let records = impressions.iter().enumerate().map(|(i, impression)| StudyRecord {
        id: format!("s{i}"),
        patient: format!("p{i}"),
        split: Split::Train,
        day: 0,
        description: "MRI BRAIN".to_owned(),
        report: Report { impression: (*impression).to_owned(), ..Report::default() },
        demographics: Demographics::default(),
    });
    write_lines(&folder.path().join("cohort.jsonl"), records).unwrap();
    folder
}

fn run(folder: &tempfile::TempDir) -> Result<LabelSummary, ReportsError> {
    label(folder.path(), &ReportsConfig::default(), &mut |_, _| ())
}

#[test]
fn a_cohort_is_labelled_and_compared_with_its_truth() {
    let folder = cohort(&["Left convexity meningioma.", "Normal.", "Possible cavernoma."]);
    let summary = run(&folder).unwrap();
    assert_eq!(summary.labels, folder.path().join("labels.jsonl"));
    assert_eq!(summary.against_truth, None);
    let labels: Vec<StudyLabels> = read_lines(&summary.labels).unwrap();
    let meningioma = DIAGNOSES.iter().position(|d| *d == "tumor_adult_meningioma").unwrap();
    assert_eq!(labels[0].diagnoses.iter().position(|d| *d), Some(meningioma));
    assert_eq!((labels[0].source, labels[0].acuity), (LabelSource::Rules, Acuity::Low));
    assert_eq!(labels[0].referrals, ["neurosurgical oncology"]);
    assert!(labels[1..].iter().all(|l| l.diagnoses == [false; 52] && l.referrals.is_empty()));
    let evidence = std::fs::read_to_string(&summary.evidence).unwrap();
    assert_eq!(
        evidence.lines().nth(2).unwrap(),
        r#"{"id":"s2","evidence":["vascular_malformation_cavernoma: uncertain by \"possible\" (\"cavernoma\" in \"Possible cavernoma.\")"]}"#
    );

    // The truth stays, and the labels go beside it.
    let cavernoma = DIAGNOSES.iter().position(|d| *d == "vascular_malformation_cavernoma").unwrap();
    let truth = labels.into_iter().map(|mut labels| {
        labels.source = LabelSource::Truth;
        labels.diagnoses[cavernoma] = labels.id == "s2";
        labels
    });
    let path = folder.path().join("labels.jsonl");
    write_lines(&path, truth.collect::<Vec<_>>().iter()).unwrap();
    let before = std::fs::read(&path).unwrap();
    let summary = run(&folder).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(summary.labels, folder.path().join("labels-rules.jsonl"));
    let agreement = summary.against_truth.clone().unwrap();
    assert_eq!(agreement.labels[meningioma], LabelScore { both: 1, extra: 0, missed: 0 });
    assert_eq!(agreement.labels[cavernoma], LabelScore { both: 0, extra: 0, missed: 1 });
    assert_eq!(agreement.mean_f1(), Some(0.5));
    let table = summary.to_string();
    assert!(table.ends_with("mean F1 0.500 on 3 studies\n"), "{table}");
}

#[test]
fn decisions_of_readers_stay_and_the_other_studies_are_labelled() {
    let folder = cohort(&["Left convexity meningioma.", "Normal.", "Cavernoma of the pons."]);
    let by_rules: Vec<StudyLabels> = read_lines(&run(&folder).unwrap().labels).unwrap();
    // A reader saw something in the second study; a line of old rules denies the first.
    let mut before = by_rules.clone();
    before[0].diagnoses = vec![false; 52];
    before[1].source = LabelSource::Reader;
    before[1].diagnoses[7] = true;
    let path = folder.path().join("labels.jsonl");
    write_lines(&path, before.iter()).unwrap();
    let summary = run(&folder).unwrap();
    assert_eq!(summary.labels, path);
    assert_eq!(summary.against_truth.unwrap().total(), LabelScore { both: 0, extra: 0, missed: 1 });
    let mut after: Vec<StudyLabels> = read_lines(&path).unwrap();
    after.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(after, [by_rules[0].clone(), before[1].clone(), by_rules[2].clone()]);
}

#[test]
fn a_language_model_is_compared_with_the_rules() {
    let folder = cohort(&["Left convexity meningioma.", "Possible cavernoma."]);
    let (url, peer) = serve(vec![Reply::Say("yes"), Reply::Say("yes")]);
    let text = format!("method = 'language_model'\n[language_model]\nurl = '{url}'\nmodel = 'm'");
    let config: ReportsConfig = toml::from_str(&text).unwrap();
    let summary = label(folder.path(), &config, &mut |_, _| ()).unwrap();
    peer.join().unwrap();
    assert_eq!(summary.against_rules.unwrap().total(), LabelScore { both: 1, extra: 1, missed: 0 });
    let disagreements = folder.path().join("labels-disagreements.jsonl");
    assert_eq!(
        std::fs::read_to_string(disagreements).unwrap(),
        "{\"id\":\"s1\",\"only_language_model\":[\"vascular_malformation_cavernoma\"],\
         \"only_rules\":[],\"evidence\":[\"vascular_malformation_cavernoma: uncertain by \
         \\\"possible\\\" (\\\"cavernoma\\\" in \\\"Possible cavernoma.\\\")\"]}\n"
    );
    let labels: Vec<StudyLabels> = read_lines(&summary.labels).unwrap();
    assert!(labels.iter().all(|l| l.source == LabelSource::LanguageModel));
}

#[test]
fn a_cohort_is_summarised() {
    let folder = cohort(&["There is a stable left convexity meningioma.", "Normal."]);
    let done = summarize(folder.path(), &ReportsConfig::default(), &mut |_, _| ()).unwrap();
    assert_eq!(done, 2);
    let lines: Vec<StudySummary> = read_lines(&folder.path().join("summaries.jsonl")).unwrap();
    let texts: Vec<_> = lines.iter().map(|line| line.summary.as_str()).collect();
    assert_eq!(texts, ["1. Left convexity meningioma.", "1. No abnormal finding."]);
}

#[test]
fn bad_cohorts_and_configurations_are_refused() {
    let empty = cohort(&[]);
    let path = empty.path().join("cohort.jsonl").display().to_string();
    let message = run(&empty).unwrap_err().to_string();
    assert_eq!(message, format!("{path} has no studies; curate or simulate a cohort first"));
    std::fs::write(&path, "\n{\"id\": 3}\n").unwrap();
    assert_eq!(
        run(&empty).unwrap_err().to_string(),
        format!("{path}, line 2: invalid type: integer `3`, expected a string at line 1 column 8")
    );
    let config: ReportsConfig = toml::from_str("method = 'language_model'").unwrap();
    assert_eq!(
        label(empty.path(), &config, &mut |_, _| ()).unwrap_err().to_string(),
        "method is language_model, but there is no [language_model]; add it with url and model"
    );
}
