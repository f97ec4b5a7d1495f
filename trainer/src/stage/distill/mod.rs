//! `distill`: what a teacher knows into the edge student.
//!
//! The teacher is any bundle that the engine opens; studies need no labels. In order:
//!
//! 1. the teacher reads every study once: tokens, series vectors, study embedding, logits;
//! 2. the student's tokenizer of matrix products imitates the teacher's tokens;
//! 3. the student's transformers, which begin with the teacher's weights wherever those have the
//!    same name and shape (Sanh et al., 2019), and its one shared head imitate series vectors and study
//!    embeddings by their mutual similarities (the widths differ; Park et al., 2019, "relational
//!    knowledge distillation"), every logit and the age;
//! 4. agreement with the teacher is measured on the validation and test studies, size and speed of
//!    both beside it.

mod agreement;
mod answers;
mod cost;
mod teacher;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::DispatchDevice;
use burn::module::{AutodiffModule, Module};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use models::dims::{LATENT, PATCH_VOX};
use models::engine::DeviceChoice;
use models::labels::DIAGNOSES;
use models::nn::Compute;
use models::nn::config::{MixerConfig, PrimaConfig, TokenizerConfig};
use models::nn::head::Head;
use models::nn::mixer::MixerEncoder;
use models::nn::parameters::{ParameterError, Parameters};
use models::nn::prima::Prima;
use models::weights::bundle::Bundle;
use models::weights::manifest::{Calibration, Manifest, NETWORK, TOKENIZER};
use rand::Rng;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::agreement::{Agreement, AgreementReport, OutputAgreement};
pub use self::answers::AgeUnit;
pub use self::cost::Cost;
use self::cost::costs;
pub use self::teacher::Reading;
use self::teacher::{Taught, listen, teacher_tokens};
use super::batch::{Augmentation, Example, example};
use super::clip::{embed, normalised};
use super::heads::{CalibrationMethod, decision};
use super::learner::{Learner, Metrics, OptimizerConfig, Schedule, Task};
use super::run::{Run, rng};
use super::tasks::Tasks;
use super::tokenizer::{TokensRun, tokens};
use super::weights::{Fresh, Names, WhereItFits, write};
use crate::cohort::record::Split;
use crate::cohort::shard::{Store, Values, unpack, unpack_latents};
use crate::cohort::{Cohort, CohortError};
use statistics::threshold::OperatingPoint;

/// Configuration of `trainer distill`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistillRun {
    /// Cohort folder with patch shards, or with the teacher's own tokens; labels are used where
    /// there are any.
    pub cohort: PathBuf,
    /// The teacher's bundle.
    pub teacher: PathBuf,
    /// Device.
    #[serde(default = "super::cpu")]
    pub device: DeviceChoice,
    /// Seed of weights and batches.
    #[serde(default)]
    pub seed: u64,
    /// The student's tokenizer.
    pub tokenizer: Phase,
    /// The student's transformers and head.
    pub network: Phase,
    /// The head by itself, on the finished transformers' embeddings.
    #[serde(default)]
    pub head: Option<Phase>,
    /// Leaves the reader of series names as the teacher's, as in `trainer clip`.
    #[serde(default)]
    pub fixed_names: bool,
    /// Steps between checkpoints.
    #[serde(default = "checkpoint_steps")]
    pub checkpoint_steps: u64,
    /// How studies are disturbed.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// Weights of the objectives.
    #[serde(default)]
    pub objective: Objective,
    /// Rule that picks thresholds on the validation split, where labels are known.
    pub operating_point: OperatingPoint,
    /// How logits become probabilities.
    #[serde(default)]
    pub calibration: CalibrationMethod,
    /// Sizes of the student; its tokenizer is a mixer.
    #[serde(deserialize_with = "super::sizes::read")]
    pub sizes: PrimaConfig,
}

/// Steps of one part of the student.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Number of steps.
    pub steps: u64,
    /// Patches or studies per step.
    pub batch: usize,
    /// How weights change.
    pub optimizer: OptimizerConfig,
}

/// Weights of the objectives of the student's network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// Similarities of series vectors.
    pub series: f64,
    /// Similarities of study embeddings.
    pub embedding: f64,
    /// The teacher's logits.
    pub logits: f64,
    /// Labels, where the cohort has them.
    pub labels: f64,
}

impl Default for Objective {
    fn default() -> Self {
        Self { series: 1.0, embedding: 1.0, logits: 1.0, labels: 0.0 }
    }
}

fn checkpoint_steps() -> u64 {
    200
}

/// The student's transformers and its head.
#[derive(Module, Debug)]
pub struct Student<B: Backend> {
    vision: Prima<B>,
    head: Head<B>,
}

impl Student<Compute> {
    /// Reads the published names of the vision side and `head.*`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(
        at: &Parameters<'_>,
        sizes: &PrimaConfig,
        outputs: usize,
    ) -> Result<Self, ParameterError> {
        let [first, second] = sizes.head_hidden;
        let widths = [sizes.embedding(), first, second, outputs];
        Ok(Self { vision: Prima::load(at, sizes)?, head: Head::load(&at.at("head"), widths)? })
    }
}

/// Trains a student; returns the run's folder.
///
/// # Errors
///
/// When inputs are refused, the disk is full, or training diverges.
pub fn train(
    config: &DistillRun,
    folder: &Path,
    resume: bool,
    stop_after: Option<u64>,
) -> anyhow::Result<PathBuf> {
    let TokenizerConfig::Mixer(mixer) = config.sizes.tokenizer else {
        anyhow::bail!("sizes.tokenizer.architecture: the edge student's tokenizer is \"mixer\"");
    };
    config.sizes.validate()?;
    config.augmentation.check("augmentation")?;
    let cohort = Cohort::open(&config.cohort)?;
    let inputs = [config.cohort.as_path(), config.teacher.as_path()];
    let mut run = Run::begin(folder, "distill", config, config.seed, &inputs, resume)?;
    let device = super::device(config.device)?;
    let teacher = Bundle::open(&config.teacher)?;
    let manifest = teacher.manifest().clone();
    let lessons = folder.join("teacher");
    if !lessons.join("taught.json").exists() {
        listen(teacher, config, &lessons, &run)?;
    }
    let taught: Vec<Taught> = serde_json::from_slice(&std::fs::read(lessons.join("taught.json"))?)?;
    let taught: HashMap<String, Taught> = taught.into_iter().map(|t| (t.id.clone(), t)).collect();
    let tokenizer = folder.join(TOKENIZER);
    let same = same_tokenizer(&manifest.sizes.tokenizer, &mixer);
    if !tokenizer.exists() {
        imitate_tokens(config, mixer, &cohort, &lessons, &mut run, &tokenizer)?;
    }
    let own = folder.join("tokens");
    if !same && !own.exists() {
        let written = TokensRun {
            cohort: config.cohort.clone(),
            tokenizer,
            sizes: config.sizes.tokenizer.clone(),
            device: config.device,
        };
        let partial = folder.join("tokens.partial");
        std::fs::create_dir_all(&partial)?;
        tokens(&written, &partial, |done, total| run.progress(done, total))?;
        std::fs::rename(&partial, &own)?;
    }
    // With the teacher's own tokenizer the tokens are the teacher's.
    let tokens = if same { teacher_tokens(&lessons, &config.cohort) } else { &own };
    let store = Store::open(tokens, Values::Latents)?;
    let services = Tasks::of(&cohort).services;
    let mut school = School { config, cohort, store, taught, manifest, services, age: None };
    school.age = school.age_unit();
    let mut student = school.imitate_network(&mut run, &device, stop_after)?;
    if let Some(phase) = config.head {
        student.head = school.imitate_answers(&student, phase, &mut run, &device)?;
    }
    school.graduate(&student, folder, &device, run.seconds())?;
    Ok(folder.to_owned())
}

/// True when the student takes the teacher's tokenizer over as it is.
fn same_tokenizer(teacher: &TokenizerConfig, student: &MixerConfig) -> bool {
    let network = |sizes: &MixerConfig| MixerConfig { codebook: 0, codebook_dim: 0, ..*sizes };
    matches!(teacher, TokenizerConfig::Mixer(teacher) if network(teacher) == network(student))
}

/// The student's tokenizer learns the teacher's tokens; one that is a mixer of the same sizes is
/// taken over as it is.
fn imitate_tokens(
    config: &DistillRun,
    sizes: MixerConfig,
    cohort: &Cohort,
    lessons: &Path,
    run: &mut Run,
    out: &Path,
) -> anyhow::Result<()> {
    let device = super::device(config.device)?;
    let trained = DispatchDevice::autodiff(device.clone());
    let load = |at: &Parameters<'_>| MixerEncoder::load(at, &sizes);
    let names = Names::of(&device, load)?;
    let teacher = Bundle::open(&config.teacher)?;
    if same_tokenizer(&teacher.manifest().sizes.tokenizer, &sizes) {
        let weights = teacher.open_file(TOKENIZER)?;
        let encoder = load(&Parameters::new(&weights, &device, DType::F32))?;
        write(out, &names.tensors(&encoder), false)?;
        return Ok(());
    }
    let patches = Store::open(&config.cohort, Values::Patches)?;
    let targets = Store::open(teacher_tokens(lessons, &config.cohort), Values::Latents)?;
    let ids: Vec<&str> = cohort
        .split(Split::Train)
        .map(|r| r.id.as_str())
        .filter(|id| targets.contains(id))
        .collect();
    anyhow::ensure!(!ids.is_empty(), "{}: no training study has patches", config.cohort.display());
    let fresh = Fresh { seed: config.seed, temperature: 0.0 };
    let encoder = load(&Parameters::new(&fresh, &trained, DType::F32))?;
    let mut learner = Learner::new(encoder, config.tokenizer.optimizer);
    let Phase { steps, batch, .. } = config.tokenizer;
    for step in 0..steps {
        let mut rng = rng(config.seed, (3 << 40) + step);
        let (mut x, mut y) = (Vec::new(), Vec::new());
        while x.len() < batch * PATCH_VOX {
            let id = ids[rng.random_range(0..ids.len())];
            let (_, views) = patches.study(id)?;
            let (_, latents) = targets.study(id)?;
            let k = rng.random_range(0..views.len());
            for _ in 0..8.min(batch - x.len() / PATCH_VOX) {
                let p = rng.random_range(0..views[k].coordinates.len());
                let patch = &views[k].values[p * PATCH_VOX..(p + 1) * PATCH_VOX];
                x.extend(patch.iter().map(|v| unpack(*v)));
                let mut latent = [0.0; LATENT];
                unpack_latents(
                    &latents[k].values[2 * p * LATENT..2 * (p + 1) * LATENT],
                    &mut latent,
                );
                y.extend(latent);
            }
        }
        let x = Tensor::<Compute, 2>::from_data(TensorData::new(x, [batch, PATCH_VOX]), &trained);
        let y = Tensor::<Compute, 2>::from_data(TensorData::new(y, [batch, LATENT]), &trained);
        let variance = y.clone().var(0).mean();
        // In units of the tokens' own variance, so that 1 is no better than their mean.
        let loss = (learner.model.forward(x) - y).powi_scalar(2).mean() / variance;
        let value = super::scalar(&loss);
        learner.accumulate(&loss);
        let norm = learner.update(step, steps)?;
        run.progress(step + 1, steps);
        if step % 10 == 0 || step + 1 == steps {
            run.log(step, &[("token_error", value), ("gradient_norm", norm)])?;
        }
    }
    write(out, &names.tensors(&learner.model.valid()), false)?;
    Ok(())
}

/// Everything the student's network learns from.
struct School<'a> {
    config: &'a DistillRun,
    cohort: Cohort,
    store: Store,
    taught: HashMap<String, Taught>,
    manifest: Manifest,
    /// Services that the cohort's labels know.
    services: Vec<String>,
    /// Of the last output, where the teacher tells ages.
    age: Option<AgeUnit>,
}

/// A batch of studies.
struct Lesson {
    ids: Vec<String>,
    examples: Vec<Example>,
}

impl School<'_> {
    fn outputs(&self) -> usize {
        self.binary() + self.classes() + usize::from(self.age.is_some())
    }

    /// Yes-or-no outputs.
    fn binary(&self) -> usize {
        self.manifest.diagnosis.len() + self.manifest.referral.len()
    }

    fn classes(&self) -> usize {
        self.manifest.priority.as_ref().map_or(0, |p| p.classes.len())
    }

    fn split(&self, split: Split) -> Vec<String> {
        let ids = self.cohort.split(split).map(|r| r.id.clone());
        ids.filter(|id| self.taught.contains_key(id)).collect()
    }

    fn lesson(
        &self,
        ids: &[String],
        augmentation: &Augmentation,
        seed: u64,
    ) -> anyhow::Result<Lesson> {
        let examples = ids.par_iter().enumerate().map(|(i, id)| {
            example(&self.store, id, augmentation, &mut rng(self.config.seed, seed + i as u64))
        });
        let examples = examples.collect::<Result<_, _>>()?;
        Ok(Lesson { ids: ids.to_vec(), examples })
    }

    fn imitate_network(
        &self,
        run: &mut Run,
        device: &DispatchDevice,
        stop_after: Option<u64>,
    ) -> anyhow::Result<Student<Compute>> {
        let config = self.config;
        let trained = DispatchDevice::autodiff(device.clone());
        let fresh = Fresh { seed: config.seed, temperature: 0.0 };
        let teacher = Bundle::open(&config.teacher)?.open_file(NETWORK)?;
        let start = WhereItFits { first: &teacher, then: &fresh };
        let at = Parameters::new(&start, &trained, DType::F32);
        let mut student = Student::load(&at, &config.sizes, self.outputs())?;
        if config.fixed_names {
            student.vision = student.vision.with_fixed_names();
        }
        let mut learner = Learner::new(student, config.network.optimizer);
        let ids = self.split(Split::Train);
        let Phase { steps, batch, .. } = config.network;
        anyhow::ensure!(
            ids.len() >= batch,
            "{}: {} training studies, network.batch is {batch}; lower it",
            config.cohort.display(),
            ids.len()
        );
        let schedule = Schedule {
            steps,
            log_steps: 10,
            checkpoint_steps: config.checkpoint_steps,
            stop_after,
        };
        learner.train(run, schedule, &mut Lessons { school: self, ids, device: trained })?;
        Ok(learner.model.valid())
    }

    fn loss(
        &self,
        student: &Student<Compute>,
        lesson: &Lesson,
        device: &DispatchDevice,
    ) -> anyhow::Result<(Tensor<Compute, 1>, [f64; 4])> {
        let objective = self.config.objective;
        let examples: Vec<&Example> = lesson.examples.iter().collect();
        let width = self.config.sizes.sequence_vit.transformer.dim;
        let out = embed(&student.vision, &examples, width, device);
        let found = student.head.forward(out.pooled.clone());
        let taught: Vec<&Taught> = lesson.ids.iter().map(|id| &self.taught[id]).collect();
        let matrix = |rows: Vec<&[f32]>| {
            let width = rows.first().map_or(0, |row| row.len());
            let data = TensorData::new(rows.concat(), [rows.len(), width]);
            Tensor::<Compute, 2>::from_data(data, device)
        };
        let vectors = lesson.examples.iter().zip(&taught);
        let vectors =
            vectors.flat_map(|(e, t)| e.series.iter().map(|s| t.series[s.index].as_slice()));
        let series = relational(out.vectors, matrix(vectors.collect()));
        let embedding =
            relational(out.pooled, matrix(taught.iter().map(|t| t.embedding.as_slice()).collect()));
        let mut values = [super::scalar(&series), super::scalar(&embedding), 0.0, 0.0];
        let (answers, [logits, labels]) = self.answers_loss(found, &lesson.ids, device)?;
        (values[2], values[3]) = (logits, labels);
        let loss = series * objective.series + embedding * objective.embedding + answers;
        Ok((loss, values))
    }

    /// What the cohort says of each yes-or-no output, by its name; `None` for one that the cohort
    /// does not know.
    fn targets(&self, id: &str) -> Result<Vec<Option<bool>>, CohortError> {
        let labels = self.cohort.labels(id)?;
        let of = |name: &String| {
            let diagnosis = DIAGNOSES.iter().position(|d| d == name);
            diagnosis
                .map(|d| labels.diagnoses[d])
                .or_else(|| self.services.contains(name).then(|| labels.referrals.contains(name)))
        };
        let heads = self.manifest.diagnosis.iter().chain(&self.manifest.referral);
        Ok(heads.map(|head| of(&head.name)).collect())
    }

    /// Logits and embeddings of the student for what an augmentation leaves of the studies.
    fn answers(
        &self,
        student: &Student<Compute>,
        ids: &[String],
        augmentation: &Augmentation,
        device: &DispatchDevice,
    ) -> anyhow::Result<(Vec<Vec<f64>>, Vec<f32>)> {
        let (mut logits, mut embeddings) = (Vec::new(), Vec::new());
        let width = self.config.sizes.sequence_vit.transformer.dim;
        for (number, part) in ids.chunks(8).enumerate() {
            let lesson = self.lesson(part, augmentation, (8 << 40) + 8 * number as u64)?;
            let examples: Vec<&Example> = lesson.examples.iter().collect();
            let out = embed(&student.vision, &examples, width, device);
            let values: Vec<f64> =
                student.head.forward(out.pooled.clone()).into_data().iter::<f64>().collect();
            logits.extend(values.chunks_exact(self.outputs()).map(<[f64]>::to_vec));
            embeddings.extend(out.pooled.into_data().iter::<f32>());
        }
        Ok((logits, embeddings))
    }

    /// Writes the student's weights, how it agrees with its teacher, and what both cost.
    fn graduate(
        &self,
        student: &Student<Compute>,
        folder: &Path,
        device: &DispatchDevice,
        seconds: f64,
    ) -> anyhow::Result<()> {
        let sizes = &self.config.sizes;
        let tensors =
            Names::of(device, |at| Student::load(at, sizes, self.outputs()))?.tensors(student);
        let (mut head, network): (Vec<_>, Vec<_>) =
            tensors.into_iter().partition(|t| t.name.starts_with("head."));
        for tensor in &mut head {
            tensor.name = tensor.name.trim_start_matches("head.").to_owned();
        }
        write(&folder.join("network.safetensors"), &network, false)?;
        write(&folder.join("heads.safetensors"), &head, false)?;
        std::fs::write(folder.join("sizes.toml"), toml::to_string_pretty(sizes)?)?;
        let validation = self.split(Split::Validation);
        let (own, _) = self.answers(student, &validation, &Augmentation::none(), device)?;
        let mut outputs = Vec::new();
        let heads = self.manifest.diagnosis.iter().chain(&self.manifest.referral);
        for (i, head) in heads.enumerate() {
            let scores: Vec<f64> = own.iter().map(|row| row[i]).collect();
            let labels: Vec<bool> = match self.truth(&validation, i) {
                Some(labels) => labels,
                // Without labels the teacher's decisions stand for them.
                None => {
                    let logit = |id: &String| self.taught[id].answers[i] >= head.threshold;
                    validation.iter().map(logit).collect()
                }
            };
            let (threshold, calibration) =
                decision(&scores, &labels, self.config.operating_point, self.config.calibration);
            outputs.push(Output { name: head.name.clone(), threshold, calibration });
        }
        let classes = self.manifest.priority.as_ref().map(|p| p.classes.clone());
        let student_heads = StudentHeads {
            diagnoses: self.manifest.diagnosis.len(),
            outputs,
            classes: classes.unwrap_or_default(),
            age: self.age,
        };
        std::fs::write(folder.join("outputs.toml"), toml::to_string_pretty(&student_heads)?)?;
        let mut splits = Vec::new();
        for split in [Split::Validation, Split::Test] {
            let ids = self.split(split);
            if ids.len() > 1 {
                splits.push(self.agreement(student, split, &ids, device)?);
            }
        }
        let reading = Reading::open(&folder.join("teacher"))?;
        let [teacher, student] = costs(self.config, folder)?;
        let report = AgreementReport { teacher, student, reading, seconds, splits };
        std::fs::write(folder.join("agreement.json"), serde_json::to_vec_pretty(&report)?)?;
        Ok(())
    }

    /// Labels of an output, where the cohort has them.
    fn truth(&self, ids: &[String], output: usize) -> Option<Vec<bool>> {
        ids.iter().map(|id| self.targets(id).ok()?[output]).collect()
    }
}

/// Batches of studies for the student's network.
struct Lessons<'a> {
    school: &'a School<'a>,
    ids: Vec<String>,
    device: DispatchDevice,
}

impl Task<Student<Compute>> for Lessons<'_> {
    fn step(
        &mut self,
        learner: &mut Learner<Student<Compute>>,
        step: u64,
    ) -> anyhow::Result<Metrics> {
        let config = self.school.config;
        let batch = config.network.batch;
        let per_epoch = (self.ids.len() / batch) as u64;
        let mut order = self.ids.clone();
        order.shuffle(&mut rng(config.seed, (4 << 40) + step / per_epoch));
        let at = usize::try_from(step % per_epoch)? * batch;
        let seed = (5 << 40) + step * 65_536;
        let augmentation = config.augmentation.of_step(&mut rng(config.seed, (6 << 40) + step));
        let lesson = self.school.lesson(&order[at..at + batch], &augmentation, seed)?;
        let (loss, values) = self.school.loss(&learner.model, &lesson, &self.device)?;
        learner.accumulate(&loss);
        Ok(["series", "embedding", "logits", "labels"].into_iter().zip(values).collect())
    }
}

/// Mean squared difference of the cosine similarities within a batch, and nothing else: the two
/// spaces may have any widths and bases.
fn relational(own: Tensor<Compute, 2>, teacher: Tensor<Compute, 2>) -> Tensor<Compute, 1> {
    let similarity = |x: Tensor<Compute, 2>| {
        let mean = x.clone().mean_dim(0);
        let x = normalised(x - mean);
        x.clone().matmul(x.transpose())
    };
    (similarity(own) - similarity(teacher)).powi_scalar(2).mean()
}

/// `outputs.toml`: the shared head's outputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudentHeads {
    /// How many of the outputs are diagnoses; the rest are referrals.
    pub diagnoses: usize,
    /// Acuity classes, the outputs after the yes-or-no ones.
    pub classes: Vec<String>,
    /// Age, the last output.
    #[serde(default)]
    pub age: Option<AgeUnit>,
    /// Yes-or-no outputs in order.
    pub outputs: Vec<Output>,
}

/// A yes-or-no output.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Label or service.
    pub name: String,
    /// Logit from which it is positive.
    pub threshold: f32,
    /// From logit to probability.
    pub calibration: Option<Calibration>,
}
