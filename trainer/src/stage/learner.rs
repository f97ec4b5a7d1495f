//! A network with its optimiser, and the loop that every stage trains in.

use std::path::{Path, PathBuf};

use burn::grad_clipping::GradientClippingConfig;
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{AdamW, AdamWConfig, GradientsAccumulator, GradientsParams, Optimizer};
use burn::record::{BinFileRecorder, FullPrecisionSettings, Recorder};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use models::nn::Compute;
use serde::{Deserialize, Serialize};

use super::group::Group;
use super::run::{Run, RunError};
use super::weights::NamedTensor;

/// Steps in a row without a finite gradient after which training stops.
const GIVE_UP: usize = 10;

/// How weights are changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Largest learning rate.
    pub learning_rate: f64,
    /// Decay of weights per step, relative to the learning rate.
    pub weight_decay: f32,
    /// Steps over which the learning rate rises from zero.
    pub warmup_steps: u64,
    /// After the rise: constant, or half a cosine down to a hundredth.
    pub cosine: bool,
    /// Largest norm of one parameter's gradient.
    pub clip_norm: f32,
}

impl Default for OptimizerConfig {
    /// The published CLIP training (specification §11).
    fn default() -> Self {
        Self {
            learning_rate: 2e-6,
            weight_decay: 1e-4,
            warmup_steps: 200,
            cosine: false,
            clip_norm: 1.0,
        }
    }
}

impl OptimizerConfig {
    /// Learning rate of a step of a run of `total` steps.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^52 steps")]
    pub fn rate(&self, step: u64, total: u64) -> f64 {
        if step < self.warmup_steps {
            return self.learning_rate * (step + 1) as f64 / self.warmup_steps as f64;
        }
        if !self.cosine {
            return self.learning_rate;
        }
        let span = total.saturating_sub(self.warmup_steps).max(1) as f64;
        let at = ((step - self.warmup_steps) as f64 / span).min(1.0);
        self.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * at).cos()))
    }
}

/// Training that cannot go on.
#[derive(Debug, thiserror::Error)]
#[error(
    "{GIVE_UP} steps in a row, the last one {step}, gave gradients that are not finite; lower learning_rate, or look for damaged inputs in metrics.jsonl"
)]
pub struct Diverged {
    step: u64,
}

/// A network being trained.
pub struct Learner<M: AutodiffModule<Compute>> {
    /// The network.
    pub model: M,
    /// The processes that train it.
    pub group: Group,
    /// Where the gradients of the next step are written, for comparison.
    pub record: Option<PathBuf>,
    optimizer: OptimizerAdaptor<AdamW, M, Compute>,
    accumulator: GradientsAccumulator<M>,
    config: OptimizerConfig,
    refused: usize,
}

impl<M: AutodiffModule<Compute>> Learner<M> {
    /// A network before its first step.
    #[must_use]
    pub fn new(model: M, config: OptimizerConfig) -> Self {
        let optimizer = AdamWConfig::new()
            .with_weight_decay(config.weight_decay)
            // burn's own 1e-5 is above many gradients, whose steps would shrink.
            .with_epsilon(1e-8)
            .with_grad_clipping(Some(GradientClippingConfig::Norm(config.clip_norm)))
            .init();
        Self {
            model,
            group: Group::alone(),
            record: None,
            optimizer,
            accumulator: GradientsAccumulator::new(),
            config,
            refused: 0,
        }
    }

    /// Adds the gradients of a loss to those of this step.
    pub fn accumulate(&mut self, loss: &Tensor<Compute, 1>) {
        self.accumulate_gradients(loss.backward());
    }

    /// Adds gradients that were taken elsewhere.
    pub fn accumulate_gradients(&mut self, gradients: <Compute as AutodiffBackend>::Gradients) {
        self.accumulate_parameters(GradientsParams::from_grads(gradients, &self.model));
    }

    /// Adds gradients of a copy of the network.
    pub fn accumulate_parameters(&mut self, gradients: GradientsParams) {
        self.accumulator.accumulate(&self.model, gradients);
    }

    /// Takes one step with the gradients that were added, on all ranks. Those that are not finite change
    /// nothing; returns the norm over all gradients.
    ///
    /// # Errors
    ///
    /// When no gradient was finite for ten steps in a row.
    pub fn update(&mut self, step: u64, total: u64) -> anyhow::Result<f64> {
        let gradients = self.group.sum(&self.model, self.accumulator.grads());
        if let Some(path) = self.record.take().filter(|_| self.group.rank() == 0) {
            write_gradients(&self.model, &gradients, &path)?;
        }
        let norm = norm(&self.model, &gradients);
        if norm.is_finite() {
            self.refused = 0;
            let rate = self.config.rate(step, total);
            self.model = self.optimizer.step(rate, self.model.clone(), gradients);
        } else {
            self.refused += 1;
            if self.refused >= GIVE_UP {
                return Err(Diverged { step }.into());
            }
        }
        Ok(norm)
    }

    /// Writes network and optimiser into a checkpoint's folder.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), RunError> {
        let recorder = BinFileRecorder::<FullPrecisionSettings>::new();
        let failed = |reason: String| RunError::Checkpoint { path: folder.to_owned(), reason };
        let model = self.model.clone();
        model.save_file(folder.join("model"), &recorder).map_err(|e| failed(e.to_string()))?;
        Recorder::<Compute>::record(&recorder, self.optimizer.to_record(), folder.join("optimizer"))
            .map_err(|e| failed(e.to_string()))
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    ///
    /// When a file is missing or does not fit.
    pub fn restore(&mut self, folder: &Path) -> Result<(), RunError> {
        let recorder = BinFileRecorder::<FullPrecisionSettings>::new();
        let failed = |reason: String| RunError::Checkpoint { path: folder.to_owned(), reason };
        let device = self.model.devices().into_iter().next().unwrap_or_default();
        self.model = self
            .model
            .clone()
            .load_file(folder.join("model"), &recorder, &device)
            .map_err(|e| failed(e.to_string()))?;
        // Moments are no part of the graph: they live on the device below it.
        let plain = self.model.valid().devices().into_iter().next().unwrap_or_default();
        let record = Recorder::<Compute>::load(&recorder, folder.join("optimizer"), &plain)
            .map_err(|e| failed(e.to_string()))?;
        self.optimizer = self.optimizer.clone().load_record(record);
        Ok(())
    }

    /// Runs the steps of a stage, or those that are left: each adds its gradients, one update
    /// follows; metrics and checkpoints are written as the schedule says.
    ///
    /// # Errors
    ///
    /// Those of the task; when training diverges, the disk is full, or it was asked to stop.
    pub fn train(
        &mut self,
        run: &mut Run,
        schedule: Schedule,
        task: &mut impl Task<M>,
    ) -> anyhow::Result<()> {
        let Schedule { steps, log_steps, checkpoint_steps, stop_after } = schedule;
        let mut first = 0;
        if let Some((step, folder)) = run.resume()? {
            self.restore(&folder)?;
            task.restore(&folder)?;
            first = step;
        }
        for step in first..steps {
            let mut values = task.step(self, step)?;
            values.push(("gradient_norm", self.update(step, steps)?));
            let done = step + 1;
            run.progress(done, steps);
            if step % log_steps == 0 || done == steps {
                run.log(step, &values)?;
            }
            let after = task.after(self, done)?;
            if !after.is_empty() {
                run.log(done, &after)?;
            }
            let stop = stop_after == Some(done);
            if done % checkpoint_steps == 0 || done == steps || stop {
                run.checkpoint(done, |folder| -> anyhow::Result<()> {
                    self.save(folder)?;
                    task.save(self, folder)
                })?;
            }
            anyhow::ensure!(!stop, "stopped after step {done}, as asked");
        }
        Ok(())
    }
}

/// Named values of a step.
pub type Metrics = Vec<(&'static str, f64)>;

/// What a stage does in each step.
pub trait Task<M: AutodiffModule<Compute>> {
    /// Adds the gradients of one step to the learner's.
    ///
    /// # Errors
    ///
    /// When data cannot be read.
    fn step(&mut self, learner: &mut Learner<M>, step: u64) -> anyhow::Result<Metrics>;

    /// Looks at the network after `done` steps.
    ///
    /// # Errors
    ///
    /// When data cannot be read.
    fn after(&mut self, _learner: &Learner<M>, _done: u64) -> anyhow::Result<Metrics> {
        Ok(Vec::new())
    }

    /// Adds to a checkpoint what the learner does not hold.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    fn save(&mut self, _learner: &Learner<M>, _folder: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    /// Reads it back.
    ///
    /// # Errors
    ///
    /// When a file is missing or does not fit.
    fn restore(&mut self, _folder: &Path) -> anyhow::Result<()> {
        Ok(())
    }
}

/// How long a stage trains, and how often it writes.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Number of steps.
    pub steps: u64,
    /// Steps between lines of metrics.
    pub log_steps: u64,
    /// Steps between checkpoints.
    pub checkpoint_steps: u64,
    /// Stop after this step, with a checkpoint.
    pub stop_after: Option<u64>,
}

/// Backend of gradients.
type Inner = <Compute as AutodiffBackend>::InnerBackend;

/// Writes gradients in the order in which burn visits parameters.
fn write_gradients<M: AutodiffModule<Compute>>(
    model: &M,
    gradients: &GradientsParams,
    path: &Path,
) -> anyhow::Result<()> {
    struct Collected<'a>(&'a GradientsParams, Vec<NamedTensor>);
    impl ModuleVisitor<Compute> for Collected<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Compute, D>>) {
            if let Some(gradient) = self.0.get::<Inner, D>(param.id) {
                self.1.push(NamedTensor {
                    name: format!("{:04}", self.1.len()),
                    shape: gradient.dims().to_vec(),
                    values: gradient.into_data().iter().collect(),
                });
            }
        }
    }
    let mut collected = Collected(gradients, Vec::new());
    model.visit(&mut collected);
    super::weights::write(path, &collected.1, false)?;
    Ok(())
}

/// Euclidean norm over all gradients of a network.
fn norm<M: AutodiffModule<Compute>>(model: &M, gradients: &GradientsParams) -> f64 {
    struct Squares<'a>(&'a GradientsParams, f64);
    impl ModuleVisitor<Compute> for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Compute, D>>) {
            if let Some(gradient) = self.0.get::<Inner, D>(param.id) {
                let sum = gradient.powi_scalar(2).sum().into_data();
                self.1 += sum.iter::<f64>().sum::<f64>();
            }
        }
    }
    let mut squares = Squares(gradients, 0.0);
    model.visit(&mut squares);
    squares.1.sqrt()
}
