//! `series-names`: the character transformer that reads series names, by CLIP against the
//! sequence ViT (paper, Methods: `E_sn` was "pre-trained with CLIP objective" between names and
//! sequences), or, for cohorts that are too small for that, by the kind of sequence that a name
//! speaks of.

use std::path::{Path, PathBuf};

use burn::DispatchDevice;
use burn::module::{AutodiffModule, Module, Param};
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData, activation};
use models::dims::TOKEN_FEATURES;
use models::engine::DeviceChoice;
use models::nn::Compute;
use models::nn::config::{NameEncoderConfig, PrimaConfig};
use models::nn::loss::clip_loss;
use models::nn::name::NameEncoder;
use models::nn::parameters::{ParameterError, Parameters};
use models::nn::register_vit::RegisterVit;
use models::study::kind::{self, KINDS};
use models::tokens::text::char_ids;
use rand::Rng;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

use super::batch::{Augmentation, SeriesExample, example};
use super::clip::{Data, normalised};
use super::learner::{Learner, Metrics, OptimizerConfig, Schedule, Task};
use super::run::{Run, rng};
use super::weights::{Fresh, Names, write};
use crate::cohort::record::Split;

/// Configuration of `trainer series-names`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesNamesRun {
    /// Cohort folder with token shards.
    pub cohort: PathBuf,
    /// Device.
    #[serde(default = "super::cpu")]
    pub device: DeviceChoice,
    /// Seed of weights and batches.
    #[serde(default)]
    pub seed: u64,
    /// Number of steps.
    pub steps: u64,
    /// Series per step, of different studies.
    pub batch: usize,
    /// Steps between checkpoints.
    #[serde(default = "checkpoint_steps")]
    pub checkpoint_steps: u64,
    /// How weights change.
    pub optimizer: OptimizerConfig,
    /// What names are compared with.
    #[serde(default)]
    pub pretext: Pretext,
    /// Most tokens of a series.
    pub most_tokens: usize,
    /// Sizes; the series-name encoder with its adapter and the sequence ViT are used.
    #[serde(deserialize_with = "super::sizes::read")]
    pub sizes: PrimaConfig,
}

/// What names are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pretext {
    /// The images of their series, as published.
    #[default]
    Images,
    /// Their kinds of sequence ([`kind`]): names of one kind become alike, and cease to be the
    /// fingerprint of the study they come from.
    Kinds,
}

fn checkpoint_steps() -> u64 {
    200
}

/// Name encoder and a sequence ViT that is thrown away.
#[derive(Module, Debug)]
pub struct NameModel<B: Backend> {
    names: NameEncoder<B>,
    vit: RegisterVit<B>,
    /// What stands where the name will stand later.
    blank: Param<Tensor<B, 2>>,
    project_names: Linear<B>,
    project_series: Linear<B>,
    kinds: Linear<B>,
    temperature: Param<Tensor<B, 1>>,
}

impl NameModel<Compute> {
    fn load(at: &Parameters<'_>, sizes: &PrimaConfig) -> Result<Self, ParameterError> {
        let vision = at.at("visual_model");
        let config = NameEncoderConfig { ..sizes.series_name };
        let width = sizes.sequence_vit.transformer.dim;
        let output = config.adapter.unwrap_or(config.output);
        Ok(Self {
            names: NameEncoder::load(&vision.at("serieencoder"), &config)?,
            vit: RegisterVit::load(&at.at("pretext"), &sizes.sequence_vit)?,
            blank: Param::from_tensor(at.at("pretext").tensor("embed", [1, width])?),
            project_names: at.at("pretext.names").linear(output, sizes.projection, true)?,
            project_series: at.at("pretext.series").linear(
                sizes.sequence_vit.output,
                sizes.projection,
                true,
            )?,
            kinds: at.at("pretext.kinds").linear(output, KINDS.len(), true)?,
            temperature: Param::from_tensor(at.tensor("temperature", [1])?),
        })
    }

    /// Cross entropy of the kinds of names, and the share that is right.
    fn kinds(&self, names: &[&str], device: &DispatchDevice) -> (Tensor<Compute, 1>, f64) {
        let ids: Vec<Vec<u8>> = names.iter().map(|name| char_ids(name).ids).collect();
        let said = activation::log_softmax(self.kinds.forward(self.names.forward(&ids)), 1);
        let truth: Vec<usize> = names.iter().map(|name| kind::of_name(name)).collect();
        let values: Vec<f32> = said.clone().into_data().iter().collect();
        let rows = values.chunks_exact(KINDS.len()).zip(&truth);
        let right = rows.filter(|(row, truth)| row.iter().all(|value| *value <= row[**truth]));
        let right = right.count() as f64 / names.len() as f64;
        let hot = truth
            .iter()
            .flat_map(|truth| (0..KINDS.len()).map(move |k| f32::from(u8::from(k == *truth))));
        let hot = TensorData::new(hot.collect::<Vec<f32>>(), [names.len(), KINDS.len()]);
        let hot = Tensor::<Compute, 2>::from_data(hot, device);
        ((said * hot).sum().neg() / names.len() as f64, right)
    }

    fn loss(&self, series: &[SeriesExample], device: &DispatchDevice) -> Tensor<Compute, 1> {
        let names: Vec<Vec<u8>> = series.iter().map(|s| s.name.clone()).collect();
        let names = normalised(self.project_names.forward(self.names.forward(&names)));
        let width = self.blank.dims()[1];
        let tokens = series.iter().map(|s| {
            let rows = s.features.chunks_exact(TOKEN_FEATURES);
            let padded: Vec<f32> = rows
                .flat_map(|row| {
                    row.iter().copied().chain(std::iter::repeat_n(0.0, width - TOKEN_FEATURES))
                })
                .collect();
            Tensor::from_data(TensorData::new(padded, [s.tokens(), width]), device)
        });
        let blank = self.blank.val().repeat_dim(0, series.len());
        let packed = self.vit.pack(&blank, tokens.collect());
        let images = normalised(self.project_series.forward(self.vit.forward(packed).output));
        clip_loss(images, names, self.temperature.val())
    }
}

/// Trains; returns the path of the weights of the name encoder.
///
/// # Errors
///
/// When inputs are refused, the disk is full, or training diverges.
pub fn train(
    config: &SeriesNamesRun,
    folder: &Path,
    resume: bool,
    stop_after: Option<u64>,
) -> anyhow::Result<PathBuf> {
    config.sizes.validate()?;
    let data = Data::to_learn_from(&config.cohort)?;
    let mut run =
        Run::begin(folder, "series-names", config, config.seed, &[&config.cohort], resume)?;
    let device = super::device(config.device)?;
    let trained = DispatchDevice::autodiff(device.clone());
    let fresh = Fresh { seed: config.seed, temperature: 2.0 };
    let model = NameModel::load(&Parameters::new(&fresh, &trained, DType::F32), &config.sizes)?;
    let mut learner = Learner::new(model, config.optimizer);
    let schedule = Schedule {
        steps: config.steps,
        log_steps: 10,
        checkpoint_steps: config.checkpoint_steps,
        stop_after,
    };
    learner.train(&mut run, schedule, &mut Batches { config, data: &data, device: trained })?;
    let names = Names::of(&device, |at| NameModel::load(at, &config.sizes))?;
    let mut tensors = names.tensors(&learner.model.valid());
    tensors.retain(|t| t.name.starts_with("visual_model."));
    let path = folder.join("series_names.safetensors");
    write(&path, &tensors, false)?;
    Ok(path)
}

/// Random series of random studies.
struct Batches<'a> {
    config: &'a SeriesNamesRun,
    data: &'a Data,
    device: DispatchDevice,
}

impl Batches<'_> {
    fn kinds(
        &self,
        learner: &mut Learner<NameModel<Compute>>,
        step: u64,
    ) -> anyhow::Result<Metrics> {
        let ids = self.data.split(Split::Train);
        let mut rng = rng(self.config.seed, step);
        let mut names: Vec<&str> = Vec::new();
        while names.len() < self.config.batch {
            let (_, views) = self.data.store.study(&ids[rng.random_range(0..ids.len())])?;
            names.extend(views.choose(&mut rng).map(|view| view.name));
        }
        let (loss, right) = learner.model.kinds(&names, &self.device);
        let value = super::scalar(&loss);
        learner.accumulate(&loss);
        Ok(vec![("kinds", value), ("right", right)])
    }
}

impl Task<NameModel<Compute>> for Batches<'_> {
    fn step(
        &mut self,
        learner: &mut Learner<NameModel<Compute>>,
        step: u64,
    ) -> anyhow::Result<Metrics> {
        let ids = self.data.split(Split::Train);
        if self.config.pretext == Pretext::Kinds {
            return self.kinds(learner, step);
        }
        let augmentation =
            Augmentation { most_tokens: self.config.most_tokens, ..Augmentation::none() };
        let mut rng = rng(self.config.seed, step);
        let mut batch: Vec<SeriesExample> = Vec::new();
        while batch.len() < self.config.batch {
            let id = &ids[rng.random_range(0..ids.len())];
            let mut study = example(&self.data.store, id, &augmentation, &mut rng)?.series;
            if !study.is_empty() {
                batch.push(study.swap_remove(rng.random_range(0..study.len())));
            }
        }
        let loss = learner.model.loss(&batch, &self.device);
        let value = super::scalar(&loss);
        learner.accumulate(&loss);
        Ok(vec![("clip", value)])
    }
}
