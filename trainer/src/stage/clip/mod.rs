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
//!
//! The same stage trains the networks that Prima is compared with (module `variant`).

mod data;
mod embedder;
mod gradients;
mod report_norm;
mod retrieval;
mod start;
mod supervision;
mod validation;
mod variant;

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
use models::nn::cut::Cut;
use models::nn::parameters::{ParameterError, Parameters};
use models::nn::prima::Prima;
use models::nn::register_vit::RegisterOutput;
use models::nn::report::ReportEncoder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub(super) use self::data::Data;
use self::data::Pair;
pub(super) use self::embedder::Embedder;
use self::gradients::gradients;
pub use self::retrieval::retrieve;
use self::start::{NETWORK, PROBES};
pub(super) use self::start::{SIZES, sizes};
use self::supervision::Weights;
pub(super) use self::supervision::weighted_bce;
use self::validation::validate;
use self::variant::VariantModel;
pub use self::variant::{Architecture, ImagesConfig, ReportText, Variant};
pub(super) use self::variant::{KERNEL, flat_sizes};
use super::batch::{Augmentation, Example};
use super::group::Group;
use super::learner::{Learner, Metrics, OptimizerConfig, Schedule, Task};
use super::run::{Run, rng};
use super::subset::TrainingShare;
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
    /// Leaves the reader of series names as it is: names of few studies are their fingerprints,
    /// and a network that may read them learns these by heart.
    #[serde(default)]
    pub fixed_names: bool,
    /// What this run begins with: the run folder of an earlier `trainer clip`, or a bundle, whose
    /// network is read wherever it fits.
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
    /// Blocks of both transformers, where they are not as many as the sizes say. With 0 every token is
    /// judged by itself: a run to begin a longer one with, for a tenth of its time.
    #[serde(default)]
    pub depth: Option<usize>,
    /// How the network differs from Prima, for comparison.
    #[serde(default, skip_serializing_if = "Variant::is_prima")]
    pub variant: Variant,
    /// Which training patients are learnt from.
    #[serde(default, skip_serializing_if = "TrainingShare::is_all")]
    pub training: TrainingShare,
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
    /// Simulated cohorts: which lesion each token is in, by the sequence ViT's peaks.
    pub lesions: f64,
    /// Simulated cohorts: which lesions each series shows, by the study ViT's peaks.
    pub series: f64,
    /// Labels from the study embedding by one linear layer.
    pub labels: f64,
}

impl Objective {
    /// True when studies of a batch are compared with one another.
    fn contrastive(&self) -> bool {
        self.clip > 0.0 || self.patient_discrimination > 0.0
    }
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
    /// Labels from study embeddings; no part of a bundle.
    labels: Linear<B>,
}

impl ClipModel<Compute> {
    /// Reads the published names, and `probe.labels`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, sizes: &PrimaConfig) -> Result<Self, ParameterError> {
        let report = sizes.report.unwrap_or_else(|| unreachable!("resolved before"));
        let labels = at.at("probe.labels");
        Ok(Self {
            vision: Prima::load(at, sizes)?,
            report: ReportEncoder::load(at, &report, sizes.projection)?,
            temperature: Param::from_tensor(at.tensor("temperature", [1])?),
            patient_temperature: Param::from_tensor(at.tensor("patdistemperature", [1])?),
            labels: labels.linear(sizes.embedding(), DIAGNOSES.len(), true)?,
        })
    }

    /// The vision side.
    #[must_use]
    pub fn vision(&self) -> &Prima<Compute> {
        &self.vision
    }
}

/// A network that this stage trains: a vision side, a report encoder, and what objectives read.
trait Contrastive: AutodiffModule<Compute, InnerModule = Self> {
    /// Builds it from named tensors.
    fn build(
        at: &Parameters<'_>,
        sizes: &PrimaConfig,
        variant: &Variant,
    ) -> Result<Self, ParameterError>;

    /// What it says about a part of the batch, its tokens padded to `width` where it reads any.
    fn forward(
        &self,
        pairs: &[Pair],
        with_reports: bool,
        width: usize,
        device: &DispatchDevice,
    ) -> Forward;

    /// Its encoder of reports.
    fn report(&self) -> &ReportEncoder<Compute>;

    /// Of images against reports, and of patient discrimination.
    fn temperatures(&self) -> [Tensor<Compute, 1>; 2];

    /// Its reader of series names no longer trained.
    fn with_fixed_names(self) -> Self;

    /// Report encoder and temperature no longer trained.
    fn with_fixed_reports(self) -> Self;
}

impl Contrastive for ClipModel<Compute> {
    fn build(
        at: &Parameters<'_>,
        sizes: &PrimaConfig,
        _variant: &Variant,
    ) -> Result<Self, ParameterError> {
        Self::load(at, sizes)
    }

    fn forward(
        &self,
        pairs: &[Pair],
        with_reports: bool,
        width: usize,
        device: &DispatchDevice,
    ) -> Forward {
        let examples: Vec<&Example> = pairs.iter().map(|p| &p.example).collect();
        let tokens = tokens_of(&examples, width, device);
        let mut cuts = Vec::new();
        let embedded = embed_tokens(&self.vision, &examples, tokens, |vision, names, tokens| {
            let (output, of_series) = vision.series_cut(names, tokens);
            cuts = of_series;
            output
        });
        let patient = self.vision.patient_features(embedded.pooled_series).map(normalised);
        Forward {
            image: normalised(embedded.projected),
            text: with_reports.then(|| normalised(text(&self.report, &reports(pairs)))),
            patient,
            labels: self.labels.forward(embedded.pooled),
            series: embedded.series,
            lesions: embedded.lesions,
            cuts,
        }
    }

    fn report(&self) -> &ReportEncoder<Compute> {
        &self.report
    }

    fn temperatures(&self) -> [Tensor<Compute, 1>; 2] {
        [self.temperature.val(), self.patient_temperature.val()]
    }

    fn with_fixed_names(mut self) -> Self {
        self.vision = self.vision.with_fixed_names();
        self
    }

    fn with_fixed_reports(mut self) -> Self {
        self.report = self.report.no_grad();
        self.temperature = self.temperature.no_grad();
        self
    }
}

/// What the network says about a part of the batch.
struct Forward {
    /// `[b, projection]`, unit length.
    image: Tensor<Compute, 2>,
    /// `[b, projection]`, unit length, where reports are an objective.
    text: Option<Tensor<Compute, 2>>,
    /// `[s, output]`, unit length, where the sizes have the network.
    patient: Option<Tensor<Compute, 2>>,
    /// `[b, 52]`.
    labels: Tensor<Compute, 2>,
    /// `[s, 52]`, where the study ViT has peaks.
    series: Option<Tensor<Compute, 2>>,
    /// `[t, 52]`, where the sequence ViT has peaks.
    lesions: Option<Tensor<Compute, 2>>,
    /// Where its graph is in parts, in the order of the pass.
    cuts: Vec<Cut>,
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
    embed_tokens(vision, examples, tokens_of(examples, width, device), read_series)
}

/// Names and tokens of series to their vectors, in one graph.
fn read_series(
    vision: &Prima<Compute>,
    names: &[Vec<u8>],
    tokens: Vec<Tensor<Compute, 2>>,
) -> RegisterOutput {
    vision.series(&vision.series_names(names), tokens)
}

/// The same from tokens of every series, `[t, D]` each, and by a way to read names and tokens.
/// Studies whose descriptions are empty are read without one.
fn embed_tokens(
    vision: &Prima<Compute>,
    examples: &[&Example],
    tokens: Vec<Tensor<Compute, 2>>,
    series: impl FnOnce(&Prima<Compute>, &[Vec<u8>], Vec<Tensor<Compute, 2>>) -> RegisterOutput,
) -> Embedded {
    let names = examples.iter().flat_map(|e| e.series.iter().map(|s| s.name.clone()));
    let output = series(vision, &names.collect::<Vec<Vec<u8>>>(), tokens);
    let mut first = 0;
    let of_study = examples.iter().map(|e| {
        let vectors = output.output.clone().narrow(0, first, e.series.len());
        first += e.series.len();
        vectors
    });
    let of_study = of_study.collect();
    let studies = if examples.iter().any(|e| e.description.is_empty()) {
        let vit = vision.study_vit();
        vit.forward(vit.pack_without_prefix(of_study))
    } else {
        let descriptions: Vec<Vec<u8>> = examples.iter().map(|e| e.description.clone()).collect();
        vision.studies(&vision.study_names(&descriptions), of_study)
    };
    let labels = |features: Tensor<Compute, 2>| {
        let known = DIAGNOSES.len().min(features.dims()[1]);
        features.narrow(1, 0, known)
    };
    Embedded {
        vectors: output.output,
        pooled_series: output.pooled,
        series: studies.tokens.map(labels),
        lesions: output.tokens.map(labels),
        pooled: studies.pooled,
        projected: studies.output,
    }
}

/// What the vision side gives.
pub(super) struct Embedded {
    /// `[S, study width]`.
    pub(super) vectors: Tensor<Compute, 2>,
    /// `[S, R * D + P]`.
    pooled_series: Tensor<Compute, 2>,
    /// What each series shows, `[S, 52]`: the first features of the study ViT's peaks.
    series: Option<Tensor<Compute, 2>>,
    /// What each token shows, `[T, 52]`: the first features of the sequence ViT's peaks.
    lesions: Option<Tensor<Compute, 2>>,
    /// `[B, R * D + P]`.
    pub(super) pooled: Tensor<Compute, 2>,
    /// `[B, projection]`.
    projected: Tensor<Compute, 2>,
}

/// Tokens of every series on the device, `[t, D]` each.
fn tokens_of(
    examples: &[&Example],
    width: usize,
    device: &DispatchDevice,
) -> Vec<Tensor<Compute, 2>> {
    let series = examples.iter().flat_map(|e| &e.series);
    series.map(|s| tokens(&s.features, width, device)).collect()
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

/// Reports of the pairs, as ids.
fn reports(pairs: &[Pair]) -> Vec<Vec<i64>> {
    pairs.iter().map(|pair| pair.report.clone()).collect()
}

/// Reports to the space they share with images, `[b, projection]`.
fn text(encoder: &ReportEncoder<Compute>, reports: &[Vec<i64>]) -> Tensor<Compute, 2> {
    let longest = reports.iter().map(Vec::len).max().unwrap_or(1);
    let lengths: Vec<usize> = reports.iter().map(Vec::len).collect();
    let padded: Vec<Vec<i64>> = reports
        .iter()
        .map(|report| {
            let mut ids = report.clone();
            ids.resize(longest, 0);
            ids
        })
        .collect();
    encoder.project(&encoder.hidden(&padded), &lengths)
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
    match config.variant.architecture {
        Architecture::Prima => train_network::<ClipModel<Compute>>(
            config, folder, resume, stop_after, group, gradients,
        ),
        _ => train_network::<VariantModel<Compute>>(
            config, folder, resume, stop_after, group, gradients,
        ),
    }
}

fn train_network<M: Contrastive>(
    config: &ClipRun,
    folder: &Path,
    resume: bool,
    stop_after: Option<u64>,
    group: Group,
    gradients: Option<PathBuf>,
) -> anyhow::Result<PathBuf> {
    config.augmentation.check("augmentation")?;
    config.variant.check(config)?;
    start::check(config)?;
    let data = Data::to_learn_from(&config.cohort)?.with_share(config.training)?;
    let data = data.seen_by(&config.variant)?;
    let vocabulary = Vocabulary::open(&config.text)?;
    let mut sizes = config.sizes.clone();
    sizes.report = Some(vocabulary.sizes());
    for vit in [&mut sizes.sequence_vit, &mut sizes.study_vit] {
        vit.transformer.depth = config.depth.unwrap_or(vit.transformer.depth);
    }
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
    check(config, &data, &sizes)?;
    let model: M = start::model(config, &data, &vocabulary, &sizes, [&device, &trained])?;
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
    let names = Names::of(&device, |at| M::build(at, &sizes, &config.variant))?;
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
    config.variant.write(folder)?;
    std::fs::write(folder.join(SIZES), toml::to_string_pretty(&sizes)?)?;
    Ok(path)
}

/// Refuses objectives for which the cohort or the sizes lack something.
fn check(config: &ClipRun, data: &Data, sizes: &PrimaConfig) -> anyhow::Result<()> {
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
    for (key, weight, vit) in [
        ("lesions", config.objective.lesions, sizes.sequence_vit),
        ("series", config.objective.series, sizes.study_vit),
    ] {
        let features = vit.peaks.map_or(0, |peaks| peaks.features);
        anyhow::ensure!(
            weight <= 0.0 || features >= DIAGNOSES.len(),
            "objective.{key} is {weight}, but the sizes have {features} peaks and the labels are {}: take sizes = \"edge\" or \"reduced\", or set it to 0",
            DIAGNOSES.len()
        );
    }
    Ok(())
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

impl<M: Contrastive> Task<M> for Pairs<'_> {
    fn step(&mut self, learner: &mut Learner<M>, step: u64) -> anyhow::Result<Metrics> {
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
        let losses = gradients(learner, &pairs, first, self);
        Ok(vec![
            ("clip", losses.clip),
            ("patient", losses.patient),
            ("lesions", losses.lesions),
            ("series", losses.series),
            ("labels", losses.labels),
        ])
    }

    fn after(&mut self, learner: &Learner<M>, done: u64) -> anyhow::Result<Metrics> {
        let due = done.is_multiple_of(self.config.validate_steps) || done == self.config.steps;
        if !due || learner.group.rank() > 0 {
            return Ok(Vec::new());
        }
        validate(&learner.model, self)
    }
}
