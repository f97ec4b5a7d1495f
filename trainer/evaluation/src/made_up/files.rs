//! The files that experiments put beside a set, made up too.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde::Serialize;
use statistics::rows::Rows;

use super::narrow;
use crate::alignment::{PAIRS, PROMPTS, Pair, Prompt};
use crate::comparison::{self, Comparison, Entry, Kind, Retrieved};
use crate::explanation::{EXPLAINED, Explained};
use crate::priority::{ACUITY_HEADS, AcuityHeads};
use crate::set::{DROPPED, Dropped, Set, SetError};
use crate::transfer::data_set::FOLDER;
use crate::transfer::labels::Values;
use crate::transfer::{
    self, FORMAT_VERSION, LabelResult, Plan, PositiveStudy, Positives, Refused, Study, Task,
    Transfer, linear,
};

/// Values of an embedding.
const WIDTH: usize = 8;
const PLAN: Plan = Plan { folds: 5, repeats: 2, seed: 1 };

/// Writes a set with every file that a section of the report is made of.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write(set: &Set, folder: &Path, seed: u64) -> Result<(), SetError> {
    set.write(folder)?;
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    lines(&folder.join(DROPPED), &dropped(set, rng))?;
    lines(&folder.join(EXPLAINED), &explained(set, rng))?;
    lines(&folder.join(ACUITY_HEADS), &heads(set, rng))?;
    let (pairs, prompts) = pairs(set, rng);
    lines(&folder.join(PAIRS), &pairs)?;
    lines(&folder.join(PROMPTS), &prompts)?;
    if let Some(found) = compared(set, rng) {
        whole(&folder.join(comparison::FILE), &found)?;
    }
    for (name, found) in [("cohort A", told(rng)), ("tumours B", positives(rng))] {
        let folder = folder.join(FOLDER).join(name);
        fs::create_dir_all(&folder)
            .map_err(|source| SetError::Write { path: folder.clone(), source })?;
        let found = Transfer { model: set.header.model.clone(), ..found };
        whole(&folder.join(transfer::FILE), &found)?;
    }
    Ok(())
}

fn lines<T: Serialize>(path: &Path, rows: &[T]) -> Result<(), SetError> {
    let json = rows.iter().map(|row| serde_json::to_string(row).map(|line| line + "\n"));
    let text: Result<String, _> = json.collect();
    text.map_err(std::io::Error::from)
        .and_then(|text| fs::write(path, text))
        .map_err(|source| SetError::Write { path: path.to_owned(), source })
}

fn whole<T: Serialize>(path: &Path, value: &T) -> Result<(), SetError> {
    serde_json::to_vec_pretty(value)
        .map_err(std::io::Error::from)
        .and_then(|text| fs::write(path, text))
        .map_err(|source| SetError::Write { path: path.to_owned(), source })
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    rng.sample(StandardNormal)
}

/// Logits with so much noise on them.
fn blurred(logits: &[f32], noise: f64, rng: &mut ChaCha8Rng) -> Vec<f32> {
    logits.iter().map(|logit| narrow(f64::from(*logit) + noise * normal(rng))).collect()
}

fn dropped(set: &Set, rng: &mut ChaCha8Rng) -> Vec<Dropped> {
    let of = |without: &str, noise: f64, rng: &mut ChaCha8Rng| -> Vec<Dropped> {
        let study = |study: &crate::set::Study| Dropped {
            id: study.id.clone(),
            without: without.to_owned(),
            diagnosis: blurred(&study.scores.diagnosis, noise, rng),
        };
        set.studies.iter().map(study).collect()
    };
    [of("T1", 0.3, rng), of("T2", 0.8, rng)].concat()
}

fn explained(set: &Set, rng: &mut ChaCha8Rng) -> Vec<Explained> {
    let shown = set.studies.iter().filter(|study| !study.truth.diagnoses.is_empty()).take(100);
    let one = |study: &crate::set::Study| {
        let mut hits = |share: f64| (0..5).map(|_| rng.random_bool(share)).collect();
        Explained {
            id: study.id.clone(),
            diagnosis: set.header.diagnoses[study.truth.diagnoses[0]].title.clone(),
            series: "AX_T2".to_owned(),
            tokens: 200,
            lesion_tokens: 9,
            hits: hits(0.7),
            other_hits: if study.truth.diagnoses.len() > 1 { hits(0.1) } else { Vec::new() },
        }
    };
    shown.map(one).collect()
}

fn heads(set: &Set, rng: &mut ChaCha8Rng) -> Vec<AcuityHeads> {
    let line = |study: &crate::set::Study| {
        let head = |(name, noise): (&str, f64)| {
            (name.to_owned(), blurred(&study.scores.acuity, noise, rng))
        };
        let heads = [("cross entropy", 0.2), ("ordinal metric", 0.5)].map(head);
        AcuityHeads { id: study.id.clone(), heads: heads.into() }
    };
    set.studies.iter().map(line).collect()
}

/// Images and reports that nearly agree, and a sentence for each of the first diagnoses.
fn pairs(set: &Set, rng: &mut ChaCha8Rng) -> (Vec<Pair>, Vec<Prompt>) {
    let mut vector = |near: &[f32], noise: f64| blurred(near, noise, rng);
    let sentences: Vec<Vec<f32>> = (0..5).map(|_| vector(&[0.0; WIDTH], 1.0)).collect();
    let pair = |study: &crate::set::Study| {
        let mut centre = [0.0; WIDTH];
        for sentence in study.truth.diagnoses.iter().filter_map(|d| sentences.get(*d)) {
            centre.iter_mut().zip(sentence).for_each(|(sum, value)| *sum += value);
        }
        let images = vector(&centre, 1.0);
        Pair { id: study.id.clone(), report: vector(&images, 0.5), images }
    };
    let pairs = set.studies.iter().map(pair).collect();
    let outputs = set.header.diagnoses.iter().zip(&sentences);
    let prompts = outputs.flat_map(|(output, sentence)| {
        let prompt = |text: String, negated: bool, embedding: Vec<f32>| Prompt {
            diagnosis: output.name.clone(),
            text,
            negated,
            embedding,
        };
        let denied = sentence.iter().map(|value| -value).collect();
        [
            prompt(format!("There is {}.", output.title), false, sentence.clone()),
            prompt(format!("There is no {}.", output.title), true, denied),
        ]
    });
    (pairs, prompts.collect())
}

/// Networks that are worse by more noise.
fn compared(set: &Set, rng: &mut ChaCha8Rng) -> Option<Comparison> {
    let mut network = |name: &str, kind: Kind, training_studies: usize, steps: u64, noise: f64| {
        let mut own = set.clone();
        for study in &mut own.studies {
            study.scores.diagnosis = blurred(&study.scores.diagnosis, noise, rng);
        }
        let steps = (kind != Kind::Baseline).then_some(steps);
        let entry = Entry {
            name: name.to_owned(),
            title: name.replace('_', " "),
            kind,
            parameters: 12_345_678,
            training_studies,
            steps,
            flops: steps.map(|steps| 3e12 * steps as f64),
            seconds: 3600.0,
            retrieval: steps.map(|_| Retrieved {
                group: 100,
                top1: 0.6 / (1.0 + noise),
                top5: 0.9 / (1.0 + noise),
            }),
        };
        (entry, own)
    };
    let networks = [
        network("prima", Kind::Ablation, 20_000, 4000, 0.0),
        network("no_series_names", Kind::Ablation, 20_000, 4000, 0.1),
        network("flat_vit", Kind::Ablation, 20_000, 4000, 0.5),
        network("image_encoder", Kind::Baseline, 20_000, 0, 2.0),
        network("patients_0.25", Kind::Scaling, 5000, 4000, 1.2),
        network("patients_0.5", Kind::Scaling, 10_000, 4000, 0.6),
        network("steps_1000", Kind::Scaling, 20_000, 1000, 1.4),
        network("steps_2000", Kind::Scaling, 20_000, 2000, 0.7),
    ];
    Comparison::of(&networks, "prima", 100, 1).ok()
}

/// Three labels that the first value of an embedding leads, told by the linear probe, and the same
/// with noise for a perceptron's.
fn told(rng: &mut ChaCha8Rng) -> Transfer {
    let embeddings: Vec<f32> = (0..240 * WIDTH).map(|_| narrow(normal(rng))).collect();
    let rows = Rows::new(&embeddings, WIDTH);
    let lead: Vec<f64> = rows.iter().map(|row| f64::from(row[0]) + 0.8 * normal(rng)).collect();
    let study = |i: usize| Study {
        id: format!("sub-{i:03}"),
        patient: format!("p{:03}", i / 6 * 5 + i % 6 % 5),
        site: Some(["Aachen", "Bergen", "Cork"][i % 3].to_owned()),
    };
    let studies: Vec<Study> = (0..240).map(study).collect();
    let classes = ["control", "impaired", "dementia"].map(str::to_owned).to_vec();
    let class = |x: &f64| usize::from(*x > -0.5) + usize::from(*x > 0.8);
    let labels = [
        ("autism", Values::YesNo { truth: lead.iter().map(|x| *x > 0.5).collect() }),
        ("stage", Values::Class { classes, truth: lead.iter().map(class).collect() }),
        ("age", Values::Number { truth: lead.iter().map(|x| 50.0 + 12.0 * x).collect() }),
    ];
    let label = |(name, values): (&str, Values)| -> LabelResult {
        let task = Task { name: name.to_owned(), studies: studies.clone(), values };
        let parts = task.parts(PLAN);
        let outputs: Vec<Vec<Vec<f64>>> =
            parts.par_iter().map(|part| linear::predict(rows, &task, part)).collect();
        let mut noisy = outputs.clone();
        noisy.iter_mut().flatten().flatten().for_each(|out| *out += 0.3 * normal(rng));
        task.result(&parts, vec![("linear", outputs), ("mlp", noisy)])
    };
    let refused = Refused { study: "sub-240".to_owned(), reason: "no series".to_owned() };
    Transfer {
        plan: Some(PLAN),
        patients_stated: true,
        refused: vec![refused],
        labels: labels.into_iter().map(label).collect(),
        ..empty()
    }
}

fn positives(rng: &mut ChaCha8Rng) -> Transfer {
    let subsets = ["all series", "flair alone", "t1 alone", "without flair", "without t1"];
    let study = |i: usize| {
        let logits = subsets.iter().zip([2.0, 1.0, 0.2, 0.3, 1.5]);
        let logits: BTreeMap<String, f32> = logits
            .map(|(name, centre)| ((*name).to_owned(), narrow(centre + normal(rng))))
            .collect();
        PositiveStudy { study: format!("BraTS-{i:03}"), logits }
    };
    let studies = (0..60).map(study).collect();
    Transfer { positives: Some(Positives::of("diagnosis_0", 0.0, studies)), ..empty() }
}

fn empty() -> Transfer {
    Transfer {
        format_version: FORMAT_VERSION,
        model: String::new(),
        plan: None,
        patients_stated: false,
        refused: Vec::new(),
        labels: Vec::new(),
        positives: None,
    }
}
