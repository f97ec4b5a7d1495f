//! The diagnosis heads of a finished run on studies of any split.

use std::path::Path;

use anyhow::Context;
use burn::tensor::DType;
use models::labels::DIAGNOSES;
use models::nn::head::Head;
use models::nn::parameters::Parameters;
use models::weights::mapped::WeightFile;

use super::{HeadsRun, Summary, Table, logits};
use crate::cohort::record::Split;
use crate::stage::batch::Augmentation;
use crate::stage::clip::{Data, Embedder};

/// What heads say.
pub(in crate::stage) struct Predictions {
    /// The studies.
    pub(in crate::stage) ids: Vec<String>,
    /// Logits of every study, in the order of [`DIAGNOSES`].
    pub(in crate::stage) logits: Vec<Vec<f64>>,
    /// Logit of each diagnosis from which it is positive.
    pub(in crate::stage) thresholds: Vec<f32>,
}

/// Logits of the diagnoses on every labelled study of a split that has tokens.
///
/// # Errors
///
/// When the run did not end, or the split is empty.
pub(in crate::stage) fn predict(
    config: &HeadsRun,
    folder: &Path,
    split: Split,
) -> anyhow::Result<Predictions> {
    let path = folder.join("heads.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}; finish `trainer heads`", path.display()))?;
    let summary: Summary =
        toml::from_str(&text).with_context(|| format!("{} holds no heads", path.display()))?;
    let device = crate::stage::device(config.device)?;
    let embedder = Embedder::open(&config.clip, &device)?;
    let data = Data::open(&config.cohort)?.seen_by(embedder.variant())?;
    let ids = data.split(split).to_vec();
    anyhow::ensure!(
        !ids.is_empty(),
        "{}: no labelled {split:?} study has tokens; run `trainer label` and `trainer tokens`",
        config.cohort.display()
    );
    let features = embedder.rows(&data, &ids, &Augmentation::none())?;
    let table = Table { features, width: embedder.width(), targets: Vec::new() };
    let widths = [table.width, config.hidden[0], config.hidden[1], 1];
    let mut rows = vec![vec![0.0; DIAGNOSES.len()]; ids.len()];
    let mut thresholds = vec![0.0; DIAGNOSES.len()];
    for head in summary.heads.iter().filter(|head| head.kind == "diagnosis") {
        let weights = WeightFile::open(&folder.join(&head.file))?;
        let layers = Head::load(&Parameters::new(&weights, &device, DType::F32), widths)?;
        for (row, logit) in rows.iter_mut().zip(logits(&layers, &table, &device)) {
            row[head.output] = logit[0];
        }
        thresholds[head.output] = head.threshold;
    }
    Ok(Predictions { ids, logits: rows, thresholds })
}
