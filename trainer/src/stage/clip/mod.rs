//! `clip`: hierarchical ViT against the report encoder (paper, Methods, "Training objective on
//! MRI-report pairs"; Algorithm 2; specification §11).
//!
//! The contrastive batch may be far larger than what fits into memory at once: embeddings of all
//! studies are computed without a graph, the loss is differentiated with respect to them, and
//! every part of the batch is computed again with a graph to carry those derivatives to the
//! weights (Gao et al., 2021, "`GradCache`"). The gradients are those of the whole batch, and only
//! one part's activations are ever held.
//!
//! On simulated cohorts two further objectives can be switched on, because the simulator knows
//! more than a report says: which tokens a lesion is in, and the labels themselves.

mod data;
mod report_norm;
mod start;
mod supervision;
mod validation;

use std::path::{Path, PathBuf};

use burn::DispatchDevice;
use burn::module::{AutodiffModule, Module, Param};
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use models::dims::TOKEN_FEATURES;
use models::engine::DeviceChoice;
use models::labels::DIAGNOSES;
use models::nn::Compute;
use models::nn::config::PrimaConfig;
use models::nn::loss::{PatientDiscrimination, clip_loss, patient_discrimination_loss};
use models::nn::parameters::{ParameterError, Parameters};
use models::nn::prima::Prima;
use models::nn::report::ReportEncoder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub(super) use self::data::Data;
use self::data::Pair;
use self::start::{NETWORK, PROBES};
pub(super) use self::supervision::weighted_bce;
use self::supervision::{Weights, lesion_targets, series_targets};
use self::validation::validate;
use super::batch::{Augmentation, Example};
use super::group::Group;
use super::learner::{Learner, Metrics, OptimizerConfig, Schedule, Task};
use super::run::{Run, rng};
use super::text::Vocabulary;
use super::weights::{Names, write};
use crate::cohort::record::Split;

/// Configuration of `trainer clip`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipRun {
    /// Cohort folder with token shards.
    pub cohort: PathBuf,
    /// Run folder of `trainer text`.
    pub text: PathBuf,
    /// Weights of `trainer series-names`, where that stage ran.
    #[serde(default)]
    pub series_names: Option<PathBuf>,
    /// Run folder of an earlier `trainer clip` whose weights this one begins with.
    #[serde(default)]
    pub start: Option<PathBuf>,
    /// Device.
    #[serde(default = "super::cpu")]
    pub device: DeviceChoice,
    /// Seed of weights and batches.
    #[serde(default)]
    pub seed: u64,
    /// Number of steps.
    pub steps: u64,
    /// Studies of the contrastive batch, over all processes.
    pub batch: usize,
    /// Studies computed at a time.
    pub part: usize,
    /// Steps between checkpoints.
    #[serde(default = "checkpoint_steps")]
    pub checkpoint_steps: u64,
    /// Steps between looks at the validation studies.
    #[serde(default = "checkpoint_steps")]
    pub validate_steps: u64,
    /// How weights change.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// How studies are disturbed.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// Weights of the objectives.
    #[serde(default)]
    pub objective: Objective,
    /// Sizes; the report encoder's stand in the text run.
    #[serde(deserialize_with = "super::sizes::read")]
    pub sizes: PrimaConfig,
}

/// Weights of the objectives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// Image against report.
    pub clip: f64,
    /// Series of one study against the others (paper: lambda).
    pub patient_discrimination: f64,
    /// Initial temperature; similarities are multiplied by its exponential.
    pub temperature: f32,
    /// Simulated cohorts: which lesion each token is in.
    pub lesions: f64,
    /// Simulated cohorts: which lesions each series shows, from its registers.
    pub series: f64,
    /// Labels from the study embedding by one linear layer.
    pub labels: f64,
}

impl Default for Objective {
    /// The published training.
    fn default() -> Self {
        Self {
            clip: 1.0,
            patient_discrimination: 0.03,
            temperature: 0.07,
            lesions: 0.0,
            series: 0.0,
            labels: 0.0,
        }
    }
}

fn checkpoint_steps() -> u64 {
    200
}

/// Everything the stage trains.
#[derive(Module, Debug)]
pub struct ClipModel<B: Backend> {
    vision: Prima<B>,
    report: ReportEncoder<B>,
    temperature: Param<Tensor<B, 1>>,
    patient_temperature: Param<Tensor<B, 1>>,
    /// Lesions from token states; no part of a bundle.
    lesions: Linear<B>,
    /// Lesions from the registers of a series; no part of a bundle.
    series: Linear<B>,
    /// Labels from study embeddings; no part of a bundle.
    labels: Linear<B>,
}

impl ClipModel<Compute> {
    /// Reads the published names, and `probe.*`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, sizes: &PrimaConfig) -> Result<Self, ParameterError> {
        let report = sizes.report.unwrap_or_else(|| unreachable!("resolved before"));
        let width = sizes.sequence_vit.transformer.dim;
        let probe =
            |name: &str, input| at.at("probe").at(name).linear(input, DIAGNOSES.len(), true);
        Ok(Self {
            vision: Prima::load(at, sizes)?,
            report: ReportEncoder::load(at, &report, sizes.projection)?,
            temperature: Param::from_tensor(at.tensor("temperature", [1])?),
            patient_temperature: Param::from_tensor(at.tensor("patdistemperature", [1])?),
            lesions: probe("lesions", width)?,
            series: probe("series", sizes.sequence_vit.registers * width)?,
            labels: probe("labels", sizes.embedding())?,
        })
    }

    /// The vision side.
    #[must_use]
    pub fn vision(&self) -> &Prima<Compute> {
        &self.vision
    }
}

/// What the network says about a part of the batch.
struct Forward {
    /// `[b, projection]`, unit length.
    image: Tensor<Compute, 2>,
    /// `[b, projection]`, unit length.
    text: Tensor<Compute, 2>,
    /// `[s, output]`, unit length, where the sizes have the network.
    patient: Option<Tensor<Compute, 2>>,
    /// `[b, 52]`.
    labels: Tensor<Compute, 2>,
    /// `[s, 52]`.
    series: Tensor<Compute, 2>,
    /// `[t, 52]` with registers and names, which weigh nothing.
    lesions: Tensor<Compute, 2>,
    /// Positions of registers and name, then tokens, of each series.
    lengths: Vec<usize>,
}

impl Forward {
    /// The embeddings outside their graph.
    fn plain(&self) -> Self {
        let plain = |x: &Tensor<Compute, 2>| x.clone().inner();
        Self {
            image: plain(&self.image),
            text: plain(&self.text),
            patient: self.patient.as_ref().map(plain),
            labels: plain(&self.labels),
            series: plain(&self.series),
            lesions: plain(&self.lesions),
            lengths: self.lengths.clone(),
        }
    }
}

/// Unit-length rows.
pub(super) fn normalised(x: Tensor<Compute, 2>) -> Tensor<Compute, 2> {
    let norm = x.clone().powi_scalar(2).sum_dim(1).sqrt();
    x / norm
}

/// Series of studies to vectors, study embeddings and states.
pub(super) fn embed(
    vision: &Prima<Compute>,
    examples: &[&Example],
    width: usize,
    device: &DispatchDevice,
) -> Embedded {
    let series = || examples.iter().flat_map(|e| &e.series);
    let names: Vec<Vec<u8>> = series().map(|s| s.name.clone()).collect();
    let names = vision.series_names(&names);
    let tokens = series().map(|s| tokens(&s.features, width, device)).collect();
    let vit = vision.sequence_vit();
    let packed = vit.pack(&names, tokens);
    let lengths = packed.lengths.clone();
    let (output, states) = vit.forward_states(packed);
    let mut first = 0;
    let of_study = examples.iter().map(|e| {
        let vectors = output.output.clone().narrow(0, first, e.series.len());
        first += e.series.len();
        vectors
    });
    let of_study = of_study.collect();
    let descriptions: Vec<Vec<u8>> = examples.iter().map(|e| e.description.clone()).collect();
    let descriptions = vision.study_names(&descriptions);
    let studies = vision.studies(&descriptions, of_study);
    Embedded {
        vectors: output.output,
        pooled_series: output.pooled,
        states,
        lengths,
        pooled: studies.pooled,
        projected: studies.output,
    }
}

/// What the vision side gives.
pub(super) struct Embedded {
    /// `[S, study width]`.
    pub(super) vectors: Tensor<Compute, 2>,
    /// `[S, R * D]`.
    pub(super) pooled_series: Tensor<Compute, 2>,
    /// `[T, D]`.
    pub(super) states: Tensor<Compute, 2>,
    /// Positions of each series.
    pub(super) lengths: Vec<usize>,
    /// `[B, R * D]`.
    pub(super) pooled: Tensor<Compute, 2>,
    /// `[B, projection]`.
    pub(super) projected: Tensor<Compute, 2>,
}

/// Features on the device, zero-padded to the width of the sequence ViT.
fn tokens(features: &[f32], width: usize, device: &DispatchDevice) -> Tensor<Compute, 2> {
    let count = features.len() / TOKEN_FEATURES;
    let data = if width == TOKEN_FEATURES {
        features.to_vec()
    } else {
        let rows = features.chunks_exact(TOKEN_FEATURES);
        let pad = vec![0.0; width - TOKEN_FEATURES];
        rows.flat_map(|row| row.iter().chain(&pad).copied()).collect()
    };
    Tensor::from_data(TensorData::new(data, [count, width]), device)
}

fn forward(
    model: &ClipModel<Compute>,
    pairs: &[Pair],
    width: usize,
    device: &DispatchDevice,
) -> Forward {
    let examples: Vec<&Example> = pairs.iter().map(|p| &p.example).collect();
    let embedded = embed(&model.vision, &examples, width, device);
    let longest = pairs.iter().map(|p| p.report.len()).max().unwrap_or(1);
    let padded: Vec<Vec<i64>> = pairs
        .iter()
        .map(|p| {
            let mut ids = p.report.clone();
            ids.resize(longest, 0);
            ids
        })
        .collect();
    let lengths: Vec<usize> = pairs.iter().map(|p| p.report.len()).collect();
    let text = model.report.project(&model.report.hidden(&padded), &lengths);
    let series = model.series.forward(embedded.pooled_series.clone());
    let patient = model.vision.patient_features(embedded.pooled_series).map(normalised);
    Forward {
        image: normalised(embedded.projected),
        text: normalised(text),
        patient,
        labels: model.labels.forward(embedded.pooled),
        series,
        lesions: model.lesions.forward(embedded.states),
        lengths: embedded.lengths,
    }
}

/// Trains; returns the path of the weights.
///
/// # Errors
///
/// When inputs are refused, the disk is full, or training diverges.
pub fn train(
    config: &ClipRun,
    folder: &Path,
    resume: bool,
    stop_after: Option<u64>,
    group: Group,
    gradients: Option<PathBuf>,
) -> anyhow::Result<PathBuf> {
    config.augmentation.check("augmentation")?;
    start::check(config.start.as_deref())?;
    let data = Data::open(&config.cohort)?;
    let vocabulary = Vocabulary::open(&config.text)?;
    let mut sizes = config.sizes.clone();
    sizes.report = Some(vocabulary.sizes());
    sizes.validate()?;
    let mut inputs = vec![config.cohort.as_path(), config.text.as_path()];
    inputs.extend(config.series_names.as_deref().into_iter().chain(config.start.as_deref()));
    let mut run = if group.rank() == 0 {
        let run = Run::begin(folder, "clip", config, config.seed, &inputs, resume)?;
        group.wait();
        run
    } else {
        group.wait();
        Run::follow(folder, "clip", config.seed)
    };
    let device = super::device(config.device)?;
    let trained = DispatchDevice::autodiff(device.clone());
    anyhow::ensure!(
        config.objective.lesions.max(config.objective.series) <= 0.0
            || !data.cohort.truth.is_empty(),
        "objective.lesions is {} and objective.series {}, but {} has no truth.jsonl: only a simulated cohort knows where a lesion is; set both to 0",
        config.objective.lesions,
        config.objective.series,
        config.cohort.display()
    );
    anyhow::ensure!(
        config.objective.labels <= 0.0 || !data.labels.is_empty(),
        "objective.labels is {}, but {} has no labels.jsonl; run `trainer label`, or set it to 0",
        config.objective.labels,
        config.cohort.display()
    );
    let model = start::model(config, &data, &vocabulary, &sizes, [&device, &trained])?;
    let mut learner = Learner::new(model, config.optimizer);
    learner.group = group;
    learner.record = gradients;
    let labels: Vec<Vec<f32>> =
        data.split(Split::Train).iter().filter_map(|id| data.labels.get(id).cloned()).collect();
    let weights = Weights::of(&labels);
    let schedule = Schedule {
        steps: config.steps,
        log_steps: 5,
        checkpoint_steps: config.checkpoint_steps,
        stop_after,
    };
    let mut pairs =
        Pairs { config, data, vocabulary, sizes, weights, device: device.clone(), trained };
    learner.train(&mut run, schedule, &mut pairs)?;
    let sizes = pairs.sizes;
    let names = Names::of(&device, |at| ClipModel::load(at, &sizes))?;
    let path = folder.join(NETWORK);
    let rank = learner.group.rank();
    std::mem::replace(&mut learner.group, Group::alone()).finish();
    if rank > 0 {
        return Ok(path);
    }
    let tensors = names.tensors(&learner.model.valid());
    let (probes, network): (Vec<_>, Vec<_>) =
        tensors.into_iter().partition(|t| t.name.starts_with("probe."));
    write(&folder.join(PROBES), &probes, false)?;
    write(&path, &network, false)?;
    std::fs::write(folder.join("sizes.toml"), toml::to_string_pretty(&sizes)?)?;
    Ok(path)
}

/// Batches of studies with their reports.
struct Pairs<'a> {
    config: &'a ClipRun,
    data: Data,
    vocabulary: Vocabulary,
    sizes: PrimaConfig,
    weights: Weights,
    device: DispatchDevice,
    trained: DispatchDevice,
}

impl Task<ClipModel<Compute>> for Pairs<'_> {
    fn step(
        &mut self,
        learner: &mut Learner<ClipModel<Compute>>,
        step: u64,
    ) -> anyhow::Result<Metrics> {
        let ClipRun { seed, batch, augmentation, .. } = *self.config;
        let augmentation = augmentation.of_step(&mut rng(seed, (3 << 40) + step));
        let copies = augmentation.abnormal_copies;
        let per_epoch = (self.data.epoch(seed, 0, copies).len() / batch).max(1) as u64;
        let order = self.data.epoch(seed, step / per_epoch, copies);
        let start = usize::try_from(step % per_epoch)? * batch;
        let share = learner.group.share(batch, self.config.part)?;
        let first = share.start;
        let pairs: Vec<Pair> = share
            .into_par_iter()
            .map(|i| {
                let mut rng = rng(seed, (2 << 40) + step * 65_536 + i as u64);
                let id = order[(start + i) % order.len()];
                self.data.pair(id, &self.vocabulary, &augmentation, &mut rng)
            })
            .collect::<anyhow::Result<_>>()?;
        let devices = (&self.device, &self.trained);
        let losses =
            gradients(learner, &pairs, first, self.config, &self.sizes, &self.weights, devices);
        Ok(vec![
            ("clip", losses.clip),
            ("patient", losses.patient),
            ("lesions", losses.lesions),
            ("series", losses.series),
            ("labels", losses.labels),
        ])
    }

    fn after(
        &mut self,
        learner: &Learner<ClipModel<Compute>>,
        done: u64,
    ) -> anyhow::Result<Metrics> {
        let due = done.is_multiple_of(self.config.validate_steps) || done == self.config.steps;
        if !due || learner.group.rank() > 0 {
            return Ok(Vec::new());
        }
        validate(&learner.model, self, &self.device)
    }
}

/// Values of the objectives.
#[derive(Default)]
struct Losses {
    clip: f64,
    patient: f64,
    lesions: f64,
    series: f64,
    labels: f64,
}

/// Gradients of this rank's share of the batch into the learner, part by part; `first` is the
/// batch's index of the share's first study.
#[expect(clippy::too_many_lines, reason = "two passes over the same parts, told in order")]
fn gradients(
    learner: &mut Learner<ClipModel<Compute>>,
    pairs: &[Pair],
    first: usize,
    config: &ClipRun,
    sizes: &PrimaConfig,
    weights: &Weights,
    (plain, device): (&DispatchDevice, &DispatchDevice),
) -> Losses {
    let width = sizes.sequence_vit.transformer.dim;
    let parts: Vec<&[Pair]> = pairs.chunks(config.part).collect();
    let objective = config.objective;
    // First pass: embeddings only. The graph of a part that is the whole share is kept.
    let fixed = (parts.len() > 1).then(|| learner.model.valid());
    let mut kept = None;
    let (mut images, mut texts, mut patients, mut studies) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut next = first;
    for part in &parts {
        let out = match &fixed {
            Some(fixed) => forward(fixed, part, width, plain),
            None => {
                let out = forward(&learner.model, part, width, device);
                let plain = out.plain();
                kept = Some(out);
                plain
            }
        };
        images.push(out.image);
        texts.push(out.text);
        patients.extend(out.patient);
        for pair in *part {
            #[expect(clippy::cast_precision_loss, reason = "a batch is far smaller than 2^24")]
            studies.extend(std::iter::repeat_n(next as f32, pair.example.series.len()));
            next += 1;
        }
    }
    drop(fixed);
    // Embeddings of all ranks, which the loss is differentiated by.
    let group = &learner.group;
    let gathered = |parts: Vec<Tensor<Compute, 2>>| {
        let (all, first) = group.gather_rows(Tensor::cat(parts, 0));
        (Tensor::<Compute, 2>::from_inner(all).require_grad(), first)
    };
    let ((image, first), (text, _)) = (gathered(images), gathered(texts));
    let temperature = learner.model.temperature.val();
    let mut loss = clip_loss(image.clone(), text.clone(), temperature) * objective.clip;
    let mut losses = Losses { clip: super::scalar(&loss), ..Losses::default() };
    let mut patient = None;
    if objective.patient_discrimination > 0.0 && !patients.is_empty() {
        let (leaf, first) = gathered(patients);
        #[expect(clippy::cast_possible_truncation, reason = "written from small whole numbers")]
        let studies: Vec<i64> = group.gather(&studies).0.into_iter().map(|id| id as i64).collect();
        let term = patient_discrimination_loss(
            leaf.clone(),
            &studies,
            learner.model.patient_temperature.val(),
            PatientDiscrimination::Code,
        );
        losses.patient = super::scalar(&term);
        loss = loss + term * objective.patient_discrimination;
        patient = Some((leaf, first));
    }
    let labels = DIAGNOSES.len() as f32;
    let total = |count: f32| group.gather(&[count]).0.iter().sum::<f32>() * labels;
    let entries = config.batch as f32 * labels;
    let (token_entries, series_entries) = (total(tokens_of(pairs)), total(series_of(pairs)));
    let derivatives = loss.backward();
    let derivative = |leaf: &Tensor<Compute, 2>| {
        leaf.grad(&derivatives).unwrap_or_else(|| leaf.clone().inner().zeros_like())
    };
    let (image, text) = (derivative(&image), derivative(&text));
    let patient = patient.as_ref().map(|(leaf, first)| (derivative(leaf), *first));
    // What is left are the temperatures' own gradients, which every rank has whole.
    if group.rank() == 0 {
        learner.accumulate_gradients(derivatives);
    }
    // Second pass: the same part again, with a graph.
    let (mut row, mut series_row) = (first, patient.as_ref().map_or(0, |(_, first)| *first));
    for part in parts {
        let out = kept.take().unwrap_or_else(|| forward(&learner.model, part, width, device));
        let series = out.lengths.len();
        let pull = |found: Tensor<Compute, 2>, derivative: &Tensor<Compute, 2>, at: usize, n| {
            (found * Tensor::from_inner(derivative.clone().narrow(0, at, n))).sum()
        };
        let mut surrogate =
            pull(out.image, &image, row, part.len()) + pull(out.text, &text, row, part.len());
        if let (Some(found), Some((derivative, _))) = (out.patient, &patient) {
            surrogate = surrogate + pull(found, derivative, series_row, series);
        }
        if objective.labels > 0.0 {
            let targets: Vec<f32> = part.iter().flat_map(|p| p.labels.iter().copied()).collect();
            let of = weights.of_targets(&targets);
            let term = weighted_bce(out.labels, targets, of, entries);
            losses.labels += super::scalar(&term);
            surrogate = surrogate + term * objective.labels;
        }
        if objective.series > 0.0 {
            let targets = series_targets(part);
            let of = weights.of_targets(&targets);
            let term = weighted_bce(out.series, targets, of, series_entries);
            losses.series += super::scalar(&term);
            surrogate = surrogate + term * objective.series;
        }
        if objective.lesions > 0.0 {
            let (targets, of) = lesion_targets(part, &out.lengths);
            let term = weighted_bce(out.lesions, targets, of, token_entries);
            losses.lesions += super::scalar(&term);
            surrogate = surrogate + term * objective.lesions;
        }
        learner.accumulate(&surrogate);
        row += part.len();
        series_row += series;
    }
    losses
}

#[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^24 series")]
fn series_of(pairs: &[Pair]) -> f32 {
    pairs.iter().map(|p| p.example.series.len() as f32).sum()
}

/// Tokens of studies, registers and names not counted.
#[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^24 tokens")]
fn tokens_of(pairs: &[Pair]) -> f32 {
    pairs.iter().flat_map(|p| &p.example.series).map(|s| s.tokens() as f32).sum()
}
