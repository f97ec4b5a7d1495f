//! `acuity`: the same acuity head under every objective, on embeddings of evaluation sets (paper,
//! Extended Data Fig. 9a).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use burn::tensor::DType;
use evaluation::priority::{ACUITY_HEADS, AcuityHeads};
use evaluation::set::{EMBEDDINGS, Set};
use models::engine::DeviceChoice;
use models::nn::head::Head;
use models::nn::parameters::Parameters;
use serde::{Deserialize, Serialize};
use statistics::threshold::OperatingPoint;

use super::{
    AcuityObjective, CalibrationMethod, ContextConfig, HeadsRun, Kind, Table, fit, logits,
};
use crate::cohort::write_lines;
use crate::stage::run::Run;
use crate::stage::subset::TrainingShare;
use crate::stage::tasks::{CLASSES, Targets};
use crate::stage::weights::InMemory;

/// Configuration of `trainer acuity`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectivesRun {
    /// Folder of the evaluation set to fit on.
    pub train: PathBuf,
    /// Folder of the set on which the best epoch is chosen.
    pub validation: PathBuf,
    /// Folder of the set that is scored.
    pub test: PathBuf,
    /// Device.
    #[serde(default = "super::super::cpu")]
    pub device: DeviceChoice,
    /// Seed of weights and batches.
    #[serde(default)]
    pub seed: u64,
    /// Passes over the training studies.
    pub epochs: u64,
    /// Studies per step.
    pub batch: usize,
    /// Hidden widths.
    pub hidden: [usize; 2],
}

/// Fits a head under every objective and writes what each says of the test studies beside them.
///
/// # Errors
///
/// When a set is refused or has no embeddings or acuity, or training diverges.
pub fn compare(config: &ObjectivesRun, folder: &Path, resume: bool) -> anyhow::Result<PathBuf> {
    let sets = [&config.train, &config.validation, &config.test].map(|folder| table(folder));
    let [train, validation, test] = sets;
    let ((_, train), (_, validation), (ids, test)) = (train?, validation?, test?);
    let widths = [&train, &validation, &test].map(|table| table.width);
    ensure!(
        widths.iter().all(|width| *width == train.width),
        "the sets have embeddings of {widths:?} values; score all three with one bundle"
    );
    let inputs = [&config.train, &config.validation, &config.test].map(PathBuf::as_path);
    let mut run = Run::begin(folder, "acuity", config, config.seed, &inputs, resume)?;
    run.begin_anew()?;
    let device = crate::stage::device(config.device)?;
    let heads = heads_run(config);
    let mut lines: Vec<AcuityHeads> =
        ids.into_iter().map(|id| AcuityHeads { id, ..AcuityHeads::default() }).collect();
    for (name, objective) in [
        ("cross entropy", AcuityObjective::CrossEntropy),
        ("ordinal metric", AcuityObjective::OrdinalMetric),
        ("binary ordinal", AcuityObjective::Ordinal),
    ] {
        let kind = Kind::Acuity(objective);
        let key = name.replace(' ', "_");
        let fitted = fit(&heads, &key, kind, &train, &validation, &device, &mut run)?;
        let head = fitted.first().context("no head was fitted; give one epoch at least")?;
        let widths = [train.width, config.hidden[0], config.hidden[1], CLASSES.len()];
        let source = InMemory::new(&head.tensors);
        let head = Head::load(&Parameters::new(&source, &device, DType::F32), widths)?;
        for (line, row) in lines.iter_mut().zip(logits(&head, &test, &device)) {
            #[expect(clippy::cast_possible_truncation, reason = "they were f32")]
            let row = row.into_iter().map(|value| value as f32).collect();
            line.heads.insert(name.to_owned(), row);
        }
    }
    let path = config.test.join(ACUITY_HEADS);
    write_lines(&path, &lines)?;
    Ok(path)
}

/// Studies of a set that have an acuity: their ids, embeddings and classes.
fn table(folder: &Path) -> anyhow::Result<(Vec<String>, Table)> {
    let set = Set::open(folder)?;
    let path = folder.join(EMBEDDINGS);
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
    let width = set.header.embedding;
    ensure!(
        width > 0 && values.len() == width * set.studies.len(),
        "{}: {} values; {width} for each of {} studies are expected",
        path.display(),
        values.len(),
        set.studies.len()
    );
    ensure!(
        set.header.acuity.iter().map(String::as_str).eq(CLASSES),
        "{}: acuity classes {:?}; the objectives are compared on {CLASSES:?}",
        folder.display(),
        set.header.acuity
    );
    let (mut ids, mut features, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for (study, row) in set.studies.iter().zip(values.chunks_exact(width)) {
        if let Some(class) = study.truth.acuity {
            ids.push(study.id.clone());
            features.extend_from_slice(row);
            targets.push(Targets { binary: Vec::new(), class, age: None });
        }
    }
    Ok((ids, Table { features, width, targets }))
}

fn heads_run(config: &ObjectivesRun) -> HeadsRun {
    HeadsRun {
        cohort: config.train.clone(),
        clip: PathBuf::new(),
        device: config.device,
        seed: config.seed,
        epochs: config.epochs,
        batch: config.batch,
        hidden: config.hidden,
        noise: super::noise(),
        single_series: 0.0,
        optimizer: super::optimizer(),
        acuity: AcuityObjective::default(),
        operating_point: OperatingPoint::Youden,
        calibration: CalibrationMethod::default(),
        context: ContextConfig::default(),
        feedback: None,
        training: TrainingShare::default(),
    }
}
