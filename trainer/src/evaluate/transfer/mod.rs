//! `transfer`: what a bundle's embeddings tell about labels that come with other data sets, and how
//! often it finds the diagnosis that all studies of a folder show (paper, Methods, "Prima on Public
//! Datasets"). Studies are DICOM or NIfTI files.
//!
//! 1. `studies` a folder to what the engine reads;
//! 2. `embeddings` every study embedded once;
//! 3. `perceptron` the probe that is trained; the linear one is in [`evaluation::transfer`], as
//!    are folds and figures;
//! 4. `positives` the diagnosis from all series, from each kind alone, and without each.

mod embeddings;
mod perceptron;
mod positives;
mod studies;

use std::path::{Path, PathBuf};

use anyhow::Context;
use evaluation::transfer::labels::Table;
use evaluation::transfer::{FILE, FORMAT_VERSION, LabelResult, Plan, Task, Transfer, linear};
use models::dicom::decoder::Decoder;
use models::engine::{DeviceChoice, Engine, Precision};
use models::weights::bundle::Bundle;
use rayon::prelude::*;
use statistics::rows::Rows;

use self::embeddings::Embeddings;
use self::perceptron::Perceptron;

/// What is asked.
#[derive(Clone, Debug)]
pub enum Question {
    /// What embeddings tell.
    Labels {
        /// Table of labels ([`Table`]).
        table: PathBuf,
        /// Folds, repeats and seed.
        plan: Plan,
        /// Widths of the perceptron's hidden layers, or none for those of the paper's probes.
        hidden: Vec<usize>,
    },
    /// How often a diagnosis is found that every study shows.
    Positives {
        /// The diagnosis, as the bundle names it.
        diagnosis: String,
    },
}

/// Answers a question about the studies below a folder and writes `transfer.json` into `out`, where
/// embeddings stay, so that another table of labels is answered at once.
///
/// `progress` is told what is done, how far, and of how many.
///
/// # Errors
///
/// When bundle, folder or labels are refused, or the disk is full.
pub fn measure(
    bundle: &Path,
    folder: &Path,
    question: &Question,
    device: DeviceChoice,
    decoder: &Decoder,
    out: &Path,
    progress: &dyn Fn(&'static str, usize, usize),
) -> anyhow::Result<Transfer> {
    let engine = Engine::open(Bundle::open(bundle)?, device, Precision::Full)?;
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut answer = Transfer {
        format_version: FORMAT_VERSION,
        model: engine.bundle().manifest().id.clone(),
        plan: None,
        patients_stated: false,
        refused: Vec::new(),
        labels: Vec::new(),
        positives: None,
    };
    match question {
        Question::Positives { diagnosis } => {
            let (found, refused) = positives::find(&engine, folder, diagnosis, decoder, progress)?;
            (answer.positives, answer.refused) = (Some(found), refused);
        }
        Question::Labels { table, plan, hidden } => {
            let table = Table::read(table)?;
            let mut embeddings = Embeddings::open(out, &engine)?;
            for (number, study) in table.studies.iter().enumerate() {
                embeddings.add(&engine, folder, study, decoder)?;
                progress("embed", number + 1, table.studies.len());
            }
            let probe = Perceptron::new(hidden, device)?;
            answer.plan = Some(*plan);
            answer.patients_stated = table.patients_stated;
            answer.refused = embeddings.refused(&table.studies);
            answer.labels = labels(&table, *plan, &embeddings, &probe, progress)?;
        }
    }
    std::fs::write(out.join(FILE), serde_json::to_vec_pretty(&answer)?)?;
    Ok(answer)
}

/// Every label of a table by both probes.
fn labels(
    table: &Table,
    plan: Plan,
    embeddings: &Embeddings,
    probe: &Perceptron,
    progress: &dyn Fn(&'static str, usize, usize),
) -> anyhow::Result<Vec<LabelResult>> {
    // All are looked at before the first is fitted.
    let usable = |row: usize| embeddings.row(&table.studies[row]).is_some();
    let tasks = table.labels.iter().map(|label| Task::new(table, label, plan, usable));
    let tasks: Vec<Task> = tasks.collect::<Result<_, _>>()?;
    let total = tasks.len() * plan.folds * plan.repeats;
    let mut done = 0;
    let results = tasks.into_iter().map(|task| {
        let rows = task.studies.iter().filter_map(|study| embeddings.row(&study.id));
        let rows: Vec<f32> = rows.flatten().copied().collect();
        let rows = Rows::new(&rows, embeddings.width());
        let parts = task.parts(plan);
        let linear: Vec<_> =
            parts.par_iter().map(|part| linear::predict(rows, &task, part)).collect();
        let mlp = parts.iter().map(|part| {
            let predicted = probe.predict(rows, &task, part, plan.seed);
            done += 1;
            progress("probe", done, total);
            predicted
        });
        let mlp = mlp.collect::<anyhow::Result<Vec<_>>>()?;
        anyhow::Ok(task.result(&parts, vec![("linear", linear), ("mlp", mlp)]))
    });
    results.collect()
}
