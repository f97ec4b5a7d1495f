//! `text`: a byte-level BPE vocabulary and a GPT-2 language model on reports (paper, Methods:
//! the text encoder is "pre-trained on radiology reports using an autoregressive next-word
//! prediction objective").

use std::path::{Path, PathBuf};

use burn::DispatchDevice;
use burn::module::AutodiffModule;
use burn::tensor::{DType, Int, Tensor, TensorData, activation};
use models::engine::DeviceChoice;
use models::nn::Compute;
use models::nn::config::ReportEncoderConfig;
use models::nn::parameters::Parameters;
use models::nn::report::ReportEncoder;
use rand::Rng;
use serde::{Deserialize, Serialize};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

use super::learner::{Learner, Metrics, OptimizerConfig, Schedule, Task};
use super::run::{Run, rng};
use super::weights::{Fresh, Names, write};
use crate::cohort::record::Split;
use crate::cohort::{Cohort, read_lines};
use crate::reports::command::StudySummary;

/// The token that ends a text.
const END: &str = "<|endoftext|>";

/// Configuration of `trainer text`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextRun {
    /// Cohort folder.
    pub cohort: PathBuf,
    /// Device.
    #[serde(default = "super::cpu")]
    pub device: DeviceChoice,
    /// Seed of weights and batches.
    #[serde(default)]
    pub seed: u64,
    /// Number of steps.
    pub steps: u64,
    /// Texts per step.
    pub batch: usize,
    /// Steps between checkpoints.
    #[serde(default = "checkpoint_steps")]
    pub checkpoint_steps: u64,
    /// How weights change.
    #[serde(default = "optimizer")]
    pub optimizer: OptimizerConfig,
    /// Sizes; `vocabulary` is the most that the vocabulary may have.
    pub sizes: ReportEncoderConfig,
    /// Width of the image-report space.
    pub projection: usize,
}

fn checkpoint_steps() -> u64 {
    500
}

fn optimizer() -> OptimizerConfig {
    OptimizerConfig { learning_rate: 5e-4, warmup_steps: 50, ..OptimizerConfig::default() }
}

/// A report tokenizer with the sizes of the encoder that belongs to it.
pub struct Vocabulary {
    tokenizer: Tokenizer,
    sizes: ReportEncoderConfig,
    end: u32,
}

/// A vocabulary that is refused.
#[derive(Debug, thiserror::Error)]
pub enum VocabularyError {
    /// A file is missing or something else.
    #[error("{path} cannot be used: {reason}; run `trainer text` first")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A text cannot be encoded.
    #[error("a report cannot be tokenized: {reason}")]
    Text {
        /// Why.
        reason: String,
    },
}

impl Vocabulary {
    /// Reads what a text run wrote.
    ///
    /// # Errors
    ///
    /// When a file is missing or something else.
    pub fn open(run: &Path) -> Result<Self, VocabularyError> {
        let path = run.join("vocabulary.json");
        let failed =
            |path: &Path, reason: String| VocabularyError::File { path: path.to_owned(), reason };
        let tokenizer = Tokenizer::from_file(&path).map_err(|e| failed(&path, e.to_string()))?;
        let path = run.join("sizes.toml");
        let text = std::fs::read_to_string(&path).map_err(|e| failed(&path, e.to_string()))?;
        let sizes = toml::from_str(&text).map_err(|e| failed(&path, e.to_string()))?;
        Self::of(tokenizer, sizes)
    }

    fn of(tokenizer: Tokenizer, sizes: ReportEncoderConfig) -> Result<Self, VocabularyError> {
        let end = tokenizer.token_to_id(END);
        let end = end.ok_or_else(|| VocabularyError::Text { reason: format!("no {END} in it") })?;
        Ok(Self { tokenizer, sizes, end })
    }

    /// Sizes of the encoder.
    #[must_use]
    pub fn sizes(&self) -> ReportEncoderConfig {
        self.sizes
    }

    /// A text as ids, cut to the longest the encoder takes; the last id is always the end token
    /// (specification §11).
    ///
    /// # Errors
    ///
    /// When the text cannot be tokenized.
    pub fn encode(&self, text: &str) -> Result<Vec<i64>, VocabularyError> {
        let encoded = self.tokenizer.encode(text, false);
        let encoded = encoded.map_err(|e| VocabularyError::Text { reason: e.to_string() })?;
        let most = self.sizes.positions - 1;
        let mut ids: Vec<i64> =
            encoded.get_ids().iter().take(most).map(|id| i64::from(*id)).collect();
        ids.push(self.end.into());
        Ok(ids)
    }
}

/// Byte-level BPE on texts.
fn vocabulary(texts: &[String], most: usize) -> anyhow::Result<Tokenizer> {
    let failed = |e: tokenizers::Error| anyhow::anyhow!("the vocabulary cannot be made: {e}");
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(ByteLevel::default()));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    let mut trainer: TrainerWrapper = BpeTrainerBuilder::new()
        .vocab_size(most)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(vec![AddedToken::from(END, true)])
        .build()
        .into();
    tokenizer.train(&mut trainer, texts.iter().map(String::as_str)).map_err(failed)?;
    Ok(tokenizer)
}

/// Trains vocabulary and language model; returns the run's folder.
///
/// # Errors
///
/// When the cohort is refused, the disk is full, or training diverges.
pub fn train(
    config: &TextRun,
    folder: &Path,
    resume: bool,
    stop_after: Option<u64>,
) -> anyhow::Result<PathBuf> {
    let cohort = Cohort::open(&config.cohort)?;
    let path = config.cohort.join("summaries.jsonl");
    let summaries: Vec<StudySummary> = if path.exists() { read_lines(&path)? } else { Vec::new() };
    let texts_of = |split| -> Vec<String> {
        let records: Vec<_> = cohort.split(split).collect();
        let ids: std::collections::HashSet<&str> = records.iter().map(|r| r.id.as_str()).collect();
        let reports =
            records.iter().map(|r| format!("{}\n{}", r.report.findings, r.report.impression));
        let short = summaries.iter().filter(|s| ids.contains(s.id.as_str()));
        reports.chain(short.map(|s| s.summary.clone())).collect()
    };
    let texts = texts_of(Split::Train);
    anyhow::ensure!(!texts.is_empty(), "{}: no training report", config.cohort.display());
    let mut run = Run::begin(folder, "text", config, config.seed, &[&config.cohort], resume)?;
    let path = folder.join("vocabulary.json");
    if !path.exists() {
        let made = vocabulary(&texts, config.sizes.vocabulary)?;
        made.save(&path, false)
            .map_err(|e| anyhow::anyhow!("cannot write {}: {e}", path.display()))?;
    }
    let tokenizer = Tokenizer::from_file(&path)
        .map_err(|e| anyhow::anyhow!("{} cannot be read: {e}", path.display()))?;
    let sizes = ReportEncoderConfig { vocabulary: tokenizer.get_vocab_size(true), ..config.sizes };
    std::fs::write(folder.join("sizes.toml"), toml::to_string_pretty(&sizes)?)?;
    let vocabulary = Vocabulary::of(tokenizer, sizes)?;
    let encode = |texts: &[String]| -> Result<Vec<Vec<i64>>, VocabularyError> {
        texts.iter().map(|text| vocabulary.encode(text)).collect()
    };
    let held_out = encode(&texts_of(Split::Validation))?;
    let texts = encode(&texts)?;
    let device = super::device(config.device)?;
    let trained = DispatchDevice::autodiff(device.clone());
    let fresh = Fresh { seed: config.seed, temperature: 0.0 };
    let load = |at: &Parameters<'_>| ReportEncoder::load(at, &sizes, config.projection);
    let model = load(&Parameters::new(&fresh, &trained, DType::F32))?;
    let mut learner = Learner::new(model, config.optimizer);
    let mut lines = Lines { config, texts, device: trained };
    let schedule = Schedule {
        steps: config.steps,
        log_steps: 10,
        checkpoint_steps: config.checkpoint_steps,
        stop_after,
    };
    learner.train(&mut run, schedule, &mut lines)?;
    let model = learner.model.valid();
    let shown: Vec<Vec<i64>> = held_out.into_iter().take(64).collect();
    if !shown.is_empty() {
        let parts =
            shown.chunks(8).map(|part| super::scalar(&next_word(&model, part.to_vec(), &device)));
        let losses: Vec<f64> = parts.collect();
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        run.log(config.steps, &[("validation_loss", mean), ("validation_perplexity", mean.exp())])?;
    }
    let tensors = Names::of(&device, load)?.tensors(&model);
    write(&folder.join("text.safetensors"), &tensors, false)?;
    Ok(folder.to_owned())
}

/// Random texts.
struct Lines<'a> {
    config: &'a TextRun,
    texts: Vec<Vec<i64>>,
    device: DispatchDevice,
}

impl Task<ReportEncoder<Compute>> for Lines<'_> {
    fn step(
        &mut self,
        learner: &mut Learner<ReportEncoder<Compute>>,
        step: u64,
    ) -> anyhow::Result<Metrics> {
        let mut rng = rng(self.config.seed, step);
        let pick = |_| self.texts[rng.random_range(0..self.texts.len())].clone();
        let batch = (0..self.config.batch).map(pick).collect();
        let loss = next_word(&learner.model, batch, &self.device);
        let value = super::scalar(&loss);
        learner.accumulate(&loss);
        Ok(vec![("loss", value), ("perplexity", value.exp())])
    }
}

/// Mean cross entropy of every next token; padding weighs nothing.
fn next_word(
    model: &ReportEncoder<Compute>,
    mut texts: Vec<Vec<i64>>,
    device: &DispatchDevice,
) -> Tensor<Compute, 1> {
    let longest = texts.iter().map(Vec::len).max().unwrap_or(2).max(2);
    let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
    for ids in &mut texts {
        ids.resize(longest, 0);
    }
    let batch = texts.len();
    let hidden = model.hidden(&texts).narrow(1, 0, longest - 1);
    let logits = model.next_token(hidden); // [B, T - 1, vocabulary]
    let targets: Vec<i64> = texts.iter().flat_map(|ids| ids[1..].iter().copied()).collect();
    let targets = TensorData::new(targets, [batch, longest - 1, 1]);
    let targets = Tensor::<Compute, 3, Int>::from_data(targets, device);
    let weights =
        lengths.iter().flat_map(|n| (1..longest).map(move |at| f32::from(u8::from(at < *n))));
    let weights: Vec<f32> = weights.collect();
    let total: f32 = weights.iter().sum();
    let weights = TensorData::new(weights, [batch, longest - 1, 1]);
    let weights = Tensor::<Compute, 3>::from_data(weights, device);
    let chosen = activation::log_softmax(logits, 2).gather(2, targets);
    (chosen * weights).sum().neg() / total
}
