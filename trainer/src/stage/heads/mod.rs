//! `heads`: diagnosis, referral, acuity and age on frozen study embeddings (paper, Methods,
//! "Evaluation protocol for diagnostic tasks" and "Referral, Acuity, and Age Prediction
//! Training"; specification §10).
//!
//! One network with many outputs is trained for each kind of task; for every output the epoch
//! with the best validation result is kept. Thresholds and calibrations are fitted on the
//! validation split.

mod context;
mod decision;
mod objectives;
mod predict;
pub(super) mod unit;

use std::path::{Path, PathBuf};

use burn::DispatchDevice;
use burn::module::AutodiffModule;
use burn::tensor::{DType, Tensor, TensorData, activation};
use models::engine::DeviceChoice;
use models::labels::DIAGNOSES;
use models::nn::Compute;
use models::nn::head::Head;
use models::nn::parameters::Parameters;
use models::weights::manifest::Calibration;
use rand::Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use self::context::Encoder;
pub(crate) use self::context::SENTENCE_FILES;
pub use self::context::{ContextConfig, ContextSummary, SentenceConfig};
pub use self::decision::CalibrationMethod;
pub(super) use self::decision::decision;
pub use self::objectives::{ObjectivesRun, compare};
pub(super) use self::predict::{Predictions, predict};
use self::unit::Unit;
use super::batch::{Augmentation, single_studies};
use super::clip::{Data, Embedder, weighted_bce};
use super::learner::{Learner, OptimizerConfig};
use super::run::{Run, rng};
use super::subset::TrainingShare;
use super::tasks::{CLASSES, Targets, Tasks};
use super::weights::{Fresh, InMemory, NamedTensor, Names, write};
use crate::cohort::record::Split;
use statistics::calibration::softmax_temperature;
use statistics::metrics::{auroc, pearson};
use statistics::threshold::OperatingPoint;

/// Configuration of `trainer heads`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadsRun {
    /// Cohort folder with token shards and labels.
    pub cohort: PathBuf,
    /// Run folder of `trainer clip`, or of `trainer slices`.
    pub clip: PathBuf,
    /// Device.
    #[serde(default = "super::cpu")]
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
    /// Standard deviation of the noise on embeddings, in units of their own.
    #[serde(default = "noise")]
    pub noise: f32,
    /// Share of training studies of which one random series alone is learnt from as well
    /// ([`Augmentation::single_series`]).
    #[serde(default)]
    pub single_series: f64,
    /// How weights change.
    #[serde(default = "optimizer")]
    pub optimizer: OptimizerConfig,
    /// Objective of the acuity classes.
    #[serde(default)]
    pub acuity: AcuityObjective,
    /// Rule that picks each threshold on the validation split.
    pub operating_point: OperatingPoint,
    /// How logits become probabilities, fitted on the validation split.
    #[serde(default)]
    pub calibration: CalibrationMethod,
    /// What embeds the clinical context for the heads that read one; none are trained without it.
    #[serde(default)]
    pub context: ContextConfig,
    /// Readers' corrections, lines of [`super::feedback::Feedback`].
    #[serde(default)]
    pub feedback: Option<PathBuf>,
    /// Which training patients are learnt from.
    #[serde(default, skip_serializing_if = "TrainingShare::is_all")]
    pub training: TrainingShare,
}

fn noise() -> f32 {
    0.01
}

fn optimizer() -> OptimizerConfig {
    OptimizerConfig { learning_rate: 3e-4, warmup_steps: 20, ..OptimizerConfig::default() }
}

/// Objective of the acuity classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AcuityObjective {
    /// Cross entropy of the classes.
    #[default]
    CrossEntropy,
    /// Binary cross entropy of "at least this class" on cumulated probabilities (the paper's
    /// binary ordinal objective).
    Ordinal,
    /// Cross entropy with targets that fall with the distance of the classes, `exp(-|c - y|)` (Díaz
    /// and Marathe, CVPR 2019): our choice for the paper's ordinal metric learning, which it only
    /// names.
    OrdinalMetric,
}

/// Which studies a head is fitted and chosen on.
#[derive(Clone, Debug)]
pub struct Table {
    /// Rows of `width` values.
    pub features: Vec<f32>,
    /// Values of a row.
    pub width: usize,
    /// One for each row.
    pub targets: Vec<Targets>,
}

impl Table {
    fn extend(&mut self, rows: Self) {
        self.features.extend(rows.features);
        self.targets.extend(rows.targets);
    }
}

/// A head with everything that a bundle says about it.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Layers `0`, `2` and `4`.
    pub tensors: Vec<NamedTensor>,
    /// Best validation result: AUROC of a yes-or-no output, Pearson of acuity or age.
    pub validation: Option<f64>,
    /// Logit from which the output is positive.
    pub threshold: f32,
    /// From logit to probability.
    pub calibration: Option<Calibration>,
}

/// Kind of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no, outputs from the first on.
    Binary {
        /// First output of [`Targets::binary`].
        first: usize,
        /// How many.
        count: usize,
    },
    /// Acuity classes.
    Acuity(AcuityObjective),
    /// Age in units of `YEARS`.
    Age,
}

/// Years of one unit of the age head's output.
pub(crate) const YEARS: f32 = 10.0;

impl Kind {
    fn outputs(self) -> usize {
        match self {
            Self::Binary { count, .. } => count,
            Self::Acuity(_) => CLASSES.len(),
            Self::Age => 1,
        }
    }
}

/// Trains all heads and writes them; returns the run's folder.
///
/// # Errors
///
/// When inputs are refused, the disk is full, or training diverges.
pub fn train(config: &HeadsRun, folder: &Path, resume: bool) -> anyhow::Result<PathBuf> {
    Augmentation { single_series: config.single_series, ..Augmentation::none() }.check("heads")?;
    let data = Data::to_learn_from(&config.cohort)?.with_share(config.training)?;
    let encoder = Encoder::open(&config.context)?;
    let tasks = Tasks::of(&data.cohort);
    let inputs = [config.cohort.as_path(), config.clip.as_path()];
    let mut run = Run::begin(folder, "heads", config, config.seed, &inputs, resume)?;
    // Heads are fitted in seconds: a run that goes on begins anew, with the same result.
    run.begin_anew()?;
    let device = super::device(config.device)?;
    let embedder = Embedder::open(&config.clip, &device)?;
    let data = data.seen_by(embedder.variant())?;
    let whole = Augmentation::none();
    let table = |ids: &[String], shown: &Augmentation| {
        let features = embedder.rows(&data, ids, shown)?;
        let targets = ids.iter().map(|id| tasks.targets(&data.cohort, id));
        let targets = targets.collect::<Result<_, _>>()?;
        anyhow::Ok(Table { features, width: embedder.width(), targets })
    };
    let mut studies = data.split(Split::Train).to_vec();
    let mut train = table(&studies, &whole)?;
    let mut rng = rng(config.seed, 1 << 60);
    let single = single_studies(&studies, config.single_series, &mut rng);
    train.extend(table(&single, &Augmentation { single_series: 1.0, ..whole })?);
    studies.extend(single);
    if let Some(path) = &config.feedback {
        train.extend(super::feedback::rows(path, &tasks, train.width)?);
    }
    let validation = table(data.split(Split::Validation), &whole)?;
    let (train, validation) = (&train, &validation);
    let diagnoses = Kind::Binary { first: 0, count: DIAGNOSES.len() };
    let services = Kind::Binary { first: DIAGNOSES.len(), count: tasks.services.len() };
    let mut kinds = vec![("diagnosis", diagnoses), ("acuity", Kind::Acuity(config.acuity))];
    if train.targets.iter().any(|target| target.age.is_some()) {
        kinds.push(("age", Kind::Age));
    }
    if !tasks.services.is_empty() {
        kinds.push(("referral", services));
    }
    let mut summary = Summary {
        priority_temperature: None,
        tasks: tasks.clone(),
        context: None,
        heads: Vec::new(),
    };
    for (name, kind) in kinds {
        let fitted = fit(config, name, kind, train, validation, &device, &mut run)?;
        summary.keep(folder, name, &fitted)?;
        if let (Kind::Acuity(_), Some(head)) = (kind, fitted.first()) {
            summary.priority_temperature = Some(temperature(head, validation, &device, config)?);
        }
    }
    if let Some(encoder) = encoder {
        let train = encoder.join(train, &data, &studies)?;
        let validation = encoder.join(validation, &data, data.split(Split::Validation))?;
        let fitted = fit(config, "context", diagnoses, &train, &validation, &device, &mut run)?;
        summary.keep(folder, "context", &fitted)?;
        summary.context = Some(encoder.keep(folder)?);
    }
    std::fs::write(folder.join("heads.toml"), toml::to_string_pretty(&summary)?)?;
    Ok(folder.to_owned())
}

/// `heads.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Softmax temperature of the acuity head.
    pub priority_temperature: Option<f32>,
    /// Outputs.
    pub tasks: Tasks,
    /// The context of the heads that read one.
    pub context: Option<ContextSummary>,
    /// Every head.
    pub heads: Vec<HeadSummary>,
}

impl Summary {
    /// Writes the weights of a kind's heads, and notes them.
    fn keep(&mut self, folder: &Path, kind: &str, fitted: &[Fitted]) -> anyhow::Result<()> {
        for (output, head) in fitted.iter().enumerate() {
            let file = format!("{kind}-{output:03}.safetensors");
            write(&folder.join(&file), &head.tensors, false)?;
            self.heads.push(HeadSummary {
                kind: kind.to_owned(),
                output,
                file,
                validation: head.validation,
                threshold: head.threshold,
                calibration: head.calibration.clone(),
            });
        }
        Ok(())
    }
}

/// One head of `heads.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadSummary {
    /// diagnosis, referral, acuity, age or context.
    pub kind: String,
    /// Output of its kind.
    pub output: usize,
    /// Its weights.
    pub file: String,
    /// Best validation result.
    pub validation: Option<f64>,
    /// Logit from which the output is positive.
    pub threshold: f32,
    /// From logit to probability.
    pub calibration: Option<Calibration>,
}

/// Trains one network and keeps the best epoch of every output.
fn fit(
    config: &HeadsRun,
    name: &str,
    kind: Kind,
    train: &Table,
    validation: &Table,
    device: &DispatchDevice,
    run: &mut Run,
) -> anyhow::Result<Vec<Fitted>> {
    let outputs = kind.outputs();
    let widths = [train.width, config.hidden[0], config.hidden[1], outputs];
    let trained = DispatchDevice::autodiff(device.clone());
    let fresh = Fresh { seed: config.seed, temperature: 0.0 };
    let head = Head::load(&Parameters::new(&fresh, &trained, DType::F32), widths)?;
    let names = Names::of(device, |at| Head::load(at, widths))?;
    let mut learner = Learner::new(head, config.optimizer);
    let rows = train.targets.len();
    anyhow::ensure!(rows > 0, "{}: no training study to fit heads on", config.cohort.display());
    let positive = positive_weights(kind, train);
    let unit = Unit::of(&train.features, train.width);
    let steps = (rows / config.batch).max(1) as u64;
    let mut best: Vec<Option<Fitted>> =
        vec![None; if matches!(kind, Kind::Binary { .. }) { outputs } else { 1 }];
    for epoch in 0..config.epochs {
        let mut total = 0.0;
        for step in 0..steps {
            let mut rng = rng(config.seed, (epoch << 20) + step);
            let picked: Vec<usize> = (0..config.batch).map(|_| rng.random_range(0..rows)).collect();
            let noisy = picked.iter().flat_map(|row| {
                let row = &train.features[row * train.width..(row + 1) * train.width];
                let noise = |v| v + config.noise * rng.sample::<f32, _>(StandardNormal);
                unit.apply(row).map(noise).collect::<Vec<_>>()
            });
            let x = TensorData::new(noisy.collect::<Vec<f32>>(), [picked.len(), train.width]);
            let x = Tensor::<Compute, 2>::from_data(x, &trained);
            let logits = learner.model.forward(x);
            let targets: Vec<&Targets> = picked.iter().map(|row| &train.targets[*row]).collect();
            let loss = loss(kind, logits, &targets, &positive);
            total += super::scalar(&loss);
            learner.accumulate(&loss);
            learner.update(epoch * steps + step, config.epochs * steps)?;
        }
        let tensors = unit.fold(names.tensors(&learner.model.valid()));
        let source = InMemory::new(&tensors);
        let model = Head::load(&Parameters::new(&source, device, DType::F32), widths)?;
        let logits = logits(&model, validation, device);
        let mut mean = Vec::new();
        for (output, kept) in best.iter_mut().enumerate() {
            let found = score(kind, output, &logits, validation);
            mean.extend(found);
            let better = match (&kept, found) {
                (None, _) => true,
                (Some(old), Some(found)) => old.validation.is_none_or(|old| found > old),
                // Without positives or negatives on the validation split the last epoch stays.
                (Some(old), None) => old.validation.is_none(),
            };
            if better {
                *kept = Some(fitted(kind, output, &tensors, &logits, validation, config, found));
            }
        }
        let mean = mean.iter().sum::<f64>() / mean.len().max(1) as f64;
        let [loss, validation] = ["loss", "validation"].map(|what| format!("{name}_{what}"));
        run.log(epoch, &[(&loss, total / steps as f64), (&validation, mean)])?;
        run.progress(epoch + 1, config.epochs);
    }
    Ok(best.into_iter().flatten().collect())
}

fn positive_weights(kind: Kind, train: &Table) -> Vec<f32> {
    let Kind::Binary { first, count } = kind else { return Vec::new() };
    let weight = |output: usize| {
        let known = train.targets.iter().map(|t| t.binary[first + output]);
        let known: Vec<f32> = known.filter(|target| !target.is_nan()).collect();
        let (total, positives) = (known.len() as f32, known.iter().sum::<f32>());
        // Equation 13 of the paper, bounded: three positives must not steer everything.
        ((total - positives) / positives.max(1.0)).clamp(1.0, 50.0)
    };
    (0..count).map(weight).collect()
}

fn loss(
    kind: Kind,
    logits: Tensor<Compute, 2>,
    targets: &[&Targets],
    positive: &[f32],
) -> Tensor<Compute, 1> {
    let device = logits.device();
    let [n, outputs] = logits.dims();
    let tensor = |values: Vec<f32>, width| {
        Tensor::<Compute, 2>::from_data(TensorData::new(values, [n, width]), &device)
    };
    match kind {
        Kind::Binary { first, count } => {
            let y: Vec<f32> =
                targets.iter().flat_map(|t| t.binary[first..first + count].to_vec()).collect();
            let weight = |(i, y): (usize, &f32)| {
                // What nobody knows has no weight, whatever stands there.
                let known = if *y > 0.5 { positive[i % count] } else { 1.0 };
                if y.is_nan() { 0.0 } else { known }
            };
            let weights = y.iter().enumerate().map(weight).collect();
            let known = y.iter().map(|y| if y.is_nan() { 0.0 } else { *y }).collect();
            weighted_bce(logits, known, weights, (n * count) as f32)
        }
        Kind::Acuity(AcuityObjective::CrossEntropy) => {
            let hot = targets
                .iter()
                .flat_map(|t| (0..outputs).map(|c| f32::from(u8::from(c == t.class))));
            let hot = tensor(hot.collect(), outputs);
            (activation::log_softmax(logits, 1) * hot).sum().neg() / n as f64
        }
        Kind::Acuity(AcuityObjective::OrdinalMetric) => {
            let near = |class: usize| {
                let weights: Vec<f32> =
                    (0..outputs).map(|c| (-(c.abs_diff(class) as f32)).exp()).collect();
                let sum: f32 = weights.iter().sum();
                weights.into_iter().map(move |weight| weight / sum)
            };
            let soft = tensor(targets.iter().flat_map(|t| near(t.class)).collect(), outputs);
            (activation::log_softmax(logits, 1) * soft).sum().neg() / n as f64
        }
        Kind::Acuity(AcuityObjective::Ordinal) => {
            // P(at least class c) is the sum of the classes from c on.
            let p = activation::softmax(logits, 1);
            let mut terms: Vec<Tensor<Compute, 1>> = Vec::new();
            for c in 1..outputs {
                let above = p.clone().narrow(1, c, outputs - c).sum_dim(1).clamp(1e-6, 1.0 - 1e-6);
                let y = targets.iter().map(|t| f32::from(u8::from(t.class >= c))).collect();
                let y = tensor(y, 1);
                let no = (above.clone().neg() + 1.0).log() * (y.clone().neg() + 1.0);
                terms.push((above.log() * y + no).sum().neg() / n as f64);
            }
            Tensor::cat(terms, 0).sum()
        }
        Kind::Age => {
            let known: Vec<f32> =
                targets.iter().map(|t| f32::from(u8::from(t.age.is_some()))).collect();
            let count: f32 = known.iter().sum();
            let ages = tensor(targets.iter().map(|t| t.age.unwrap_or(0.0) / YEARS).collect(), 1);
            ((logits - ages).powi_scalar(2) * tensor(known, 1)).sum() / count.max(1.0)
        }
    }
}

/// Logits of every row, `[N, outputs]`, C-ordered.
pub(super) fn logits(
    head: &Head<Compute>,
    table: &Table,
    device: &DispatchDevice,
) -> Vec<Vec<f64>> {
    let mut rows = Vec::new();
    for part in table.features.chunks(256 * table.width) {
        let n = part.len() / table.width;
        let x = Tensor::<Compute, 2>::from_data(
            TensorData::new(part.to_vec(), [n, table.width]),
            device,
        );
        let out = head.forward(x);
        let width = out.dims()[1];
        let values: Vec<f64> = out.into_data().iter::<f64>().collect();
        rows.extend(values.chunks_exact(width).map(<[f64]>::to_vec));
    }
    rows
}

/// Validation result of an output: AUROC, or Pearson correlation.
fn score(kind: Kind, output: usize, logits: &[Vec<f64>], table: &Table) -> Option<f64> {
    match kind {
        Kind::Binary { first, .. } => {
            let scores: Vec<f64> = logits.iter().map(|row| row[output]).collect();
            let labels: Vec<bool> =
                table.targets.iter().map(|t| t.binary[first + output] > 0.5).collect();
            auroc(&scores, &labels).map(|a| a.value)
        }
        Kind::Acuity(_) => {
            let expected: Vec<f64> = logits.iter().map(|row| expected_class(row)).collect();
            let classes: Vec<f64> = table.targets.iter().map(|t| t.class as f64).collect();
            pearson(&expected, &classes)
        }
        Kind::Age => {
            let known = logits.iter().zip(&table.targets);
            let (found, ages): (Vec<f64>, Vec<f64>) =
                known.filter_map(|(row, t)| Some((row[0], f64::from(t.age?)))).unzip();
            pearson(&found, &ages)
        }
    }
}

/// Expectation of the class index under the softmax.
#[must_use]
pub fn expected_class(logits: &[f64]) -> f64 {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|l| (l - most).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.iter().enumerate().map(|(c, p)| c as f64 * p / total).sum()
}

/// One output's layers with its threshold and calibration.
fn fitted(
    kind: Kind,
    output: usize,
    tensors: &[NamedTensor],
    logits: &[Vec<f64>],
    table: &Table,
    config: &HeadsRun,
    validation: Option<f64>,
) -> Fitted {
    let Kind::Binary { first, .. } = kind else {
        return Fitted { tensors: tensors.to_vec(), validation, threshold: 0.0, calibration: None };
    };
    let scores: Vec<f64> = logits.iter().map(|row| row[output]).collect();
    let labels: Vec<bool> = table.targets.iter().map(|t| t.binary[first + output] > 0.5).collect();
    let (threshold, calibration) =
        decision(&scores, &labels, config.operating_point, config.calibration);
    let rows =
        tensors.iter().map(|t| if t.name.starts_with("4.") { row(t, output) } else { t.clone() });
    Fitted { tensors: rows.collect(), validation, threshold, calibration }
}

/// One row of a last layer.
fn row(tensor: &NamedTensor, output: usize) -> NamedTensor {
    let width = tensor.values.len() / tensor.shape[0];
    let values = tensor.values[output * width..(output + 1) * width].to_vec();
    let mut shape = tensor.shape.clone();
    shape[0] = 1;
    NamedTensor { name: tensor.name.clone(), shape, values }
}

/// Softmax temperature of the acuity head on the validation split.
#[expect(clippy::cast_possible_truncation, reason = "bundles hold f32")]
fn temperature(
    head: &Fitted,
    table: &Table,
    device: &DispatchDevice,
    config: &HeadsRun,
) -> anyhow::Result<f32> {
    let source = InMemory::new(&head.tensors);
    let widths = [table.width, config.hidden[0], config.hidden[1], CLASSES.len()];
    let head = Head::load(&Parameters::new(&source, device, DType::F32), widths)?;
    let rows = logits(&head, table, device).concat();
    let classes: Vec<usize> = table.targets.iter().map(|t| t.class).collect();
    Ok(softmax_temperature(&rows, CLASSES.len(), &classes) as f32)
}
