//! `trainer transfer` on phantoms: labels told from embeddings that are made once, and a diagnosis
//! counted as the appliance would call it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::phantom::{Plane, SeriesSpec};

use crate::programs::{Clinic, Run, run, series, trainer, write};

const PATIENTS: usize = 12;

/// Two series for each patient; in every other patient both lie otherwise.
fn write_studies(folder: &Path) {
    for patient in 0..PATIENTS {
        let plane = if patient % 2 == 0 { Plane::Axial } else { Plane::Coronal };
        for (number, name) in [(1, "T1 SE"), (2, "FLAIR")] {
            let seed = (10 * patient + number) as u64;
            let spec = SeriesSpec {
                study_uid: format!("2.25.7{patient}"),
                uid: format!("2.25.7{patient}.{number}"),
                seed,
                ..series(number as i64, name, plane)
            };
            write(&folder.join(format!("s{patient:02}")).join(name), &spec);
        }
    }
}

/// A table: whether slices lie coronally, a number that follows, and two studies too many.
fn write_labels(path: &Path) {
    let mut table = "study,patient,coronal,age:number\n".to_owned();
    for patient in 0..PATIENTS {
        let coronal = if patient % 2 == 0 { "no" } else { "yes" };
        let age = 30 + 40 * (patient % 2) + patient;
        table.push_str(&format!("s{patient:02},p{patient},{coronal},{age}\n"));
    }
    table.push_str("absent,p90,yes,50\nempty,p91,no,50\n");
    fs::write(path, table).unwrap();
}

struct Asked<'a> {
    clinic: &'a Clinic,
    bundle: PathBuf,
    out: PathBuf,
}

impl Asked<'_> {
    fn run(&self, arguments: &[&str]) -> Run {
        let mut transfer = trainer("transfer");
        transfer.arg("--bundle").arg(&self.bundle).arg("--out").arg(&self.out);
        transfer.arg("--studies").arg(self.clinic.path("studies"));
        run(transfer.current_dir(self.clinic.folder.path()).args(arguments))
    }

    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.out.join(name)).unwrap()
    }

    fn answer(&self) -> Value {
        serde_json::from_slice(&self.file("transfer.json")).unwrap()
    }
}

#[test]
fn labels_are_told_from_embeddings_that_are_made_once() {
    let clinic = Clinic::new();
    write_studies(&clinic.path("studies"));
    clinic.folder("studies/empty");
    write_labels(&clinic.path("labels.csv"));
    let asked = Asked { clinic: &clinic, bundle: clinic.model(), out: clinic.path("out") };
    let arguments = ["--labels", "labels.csv", "--folds", "3", "--hidden", "16"];
    let ran = asked.run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);

    let answer = asked.answer();
    let refused = answer["refused"].as_array().unwrap();
    let refused: Vec<&str> = refused.iter().map(|of| of["study"].as_str().unwrap()).collect();
    assert_eq!(refused, ["absent", "empty"]);
    let [coronal, age] = &answer["labels"].as_array().unwrap()[..] else { panic!("{answer}") };
    for label in [coronal, age] {
        let studies = label["studies"].as_array().unwrap();
        let patients: Vec<&str> =
            studies.iter().map(|of| of["patient"].as_str().unwrap()).collect();
        let expected: Vec<String> = (0..PATIENTS).map(|patient| format!("p{patient}")).collect();
        assert_eq!(patients, expected);
        let mut sizes: BTreeMap<u64, usize> = BTreeMap::new();
        for folds in label["folds"].as_array().unwrap() {
            *sizes.entry(folds[0].as_u64().unwrap()).or_default() += 1;
        }
        assert_eq!(sizes.values().collect::<Vec<_>>(), [&4, &4, &4]);
        let probes: Vec<&str> = label["probes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|probe| probe["probe"].as_str().unwrap())
            .collect();
        assert_eq!(probes, ["linear", "mlp"]);
    }
    // Even random weights see how slices lie.
    for probe in coronal["probes"].as_array().unwrap() {
        let area = probe["measure"]["auroc"]["value"].as_f64().unwrap();
        assert!(area > 0.9, "{}: {area}", probe["probe"]);
    }
    for probe in age["probes"].as_array().unwrap() {
        let error = probe["measure"]["mean_absolute_error"]["value"].as_f64().unwrap();
        // The mean of all ages is wrong by 20.
        assert!(error < 15.0, "{}: {error}", probe["probe"]);
        assert!(probe["bias"]["slope"].as_f64().unwrap() > 0.3, "{probe}");
    }

    // Again: nothing is embedded, and all is the same. Cut off in the line of the last patient: its
    // row is one too many, and is made again.
    let [rows, lines, before] =
        ["embeddings.f32", "embeddings.jsonl", "transfer.json"].map(|name| asked.file(name));
    let width = rows.len() / 4 / PATIENTS;
    assert_eq!(rows.len(), width * 4 * PATIENTS);
    assert_eq!(asked.run(&arguments).code, 0);
    assert!(asked.file("embeddings.jsonl") == lines && asked.file("transfer.json") == before);
    let last = lines[..lines.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    fs::write(asked.out.join("embeddings.jsonl"), &lines[..last - 5]).unwrap();
    assert_eq!(asked.run(&arguments).code, 0);
    assert!(asked.file("embeddings.f32") == rows && asked.file("embeddings.jsonl") == lines);
    assert!(asked.file("transfer.json") == before);

    // Embeddings by another model are none.
    let other = clinic.path("other");
    let mut init = trainer("init");
    init.args(["--preset", "tiny", "--seed", "2", "--out"]).arg(&other);
    assert_eq!(run(&mut init).code, 0);
    let other = Asked { bundle: other, ..asked };
    let ran = other.run(&arguments);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("holds embeddings by another bundle"), "{}", ran.stderr);
    assert!(ran.stderr.contains("give another --out"), "{}", ran.stderr);
}

#[test]
fn a_diagnosis_that_all_show_is_counted_as_the_appliance_calls_it() {
    let clinic = Clinic::new();
    write_studies(&clinic.path("studies"));
    let asked = Asked { clinic: &clinic, bundle: clinic.model(), out: clinic.path("out") };
    let name = "tumor_adult_glioma";
    let ran = asked.run(&["--positives", name]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let found = &asked.answer()["positives"];
    let subsets: Vec<&str> = found["subsets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|subset| subset["subset"].as_str().unwrap())
        .collect();
    assert_eq!(subsets, ["all series", "flair alone", "t1 alone", "without flair", "without t1"]);
    let study = &found["studies"][3];
    assert_eq!(study["study"], "s03");
    assert_eq!(study["logits"]["flair alone"], study["logits"]["without t1"]);
    let (_, result) = clinic.json(&clinic.path("studies/s03"));
    let scores = result["outcome"]["scores"]["diagnosis"].as_array().unwrap();
    let score = scores.iter().find(|score| score["name"] == name).unwrap();
    let [found_logit, logit] =
        [&study["logits"]["all series"], &score["logit"]].map(|value| value.as_f64().unwrap());
    assert!((found_logit - logit).abs() < 1e-5, "{found_logit} {logit}");
    let threshold = found["threshold"].as_f64().unwrap();
    let studies = found["studies"].as_array().unwrap();
    let called = studies
        .iter()
        .filter(|study| study["logits"]["all series"].as_f64().unwrap() >= threshold)
        .count();
    assert_eq!(found["subsets"][0]["called"], called);
    assert_eq!(found["subsets"][0]["studies"], PATIENTS);

    let ran = asked.run(&["--positives", "headache"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("the model has no output \"headache\""), "{}", ran.stderr);
    let ran = asked.run(&[]);
    assert_eq!(ran.code, 64, "{}", ran.stderr);
}
