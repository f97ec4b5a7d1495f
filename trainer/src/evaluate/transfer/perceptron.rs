//! The probe that is trained: a perceptron on standardised embeddings. The paper takes two layers
//! for the labels of public data sets and three for ages; how wide it does not say.

use burn::DispatchDevice;
use burn::module::{AutodiffModule, Module};
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData, activation};
use evaluation::transfer::Task;
use evaluation::transfer::folds::Part;
use evaluation::transfer::labels::Values;
use models::engine::{DeviceChoice, DeviceError};
use models::nn::Compute;
use models::nn::loss::binary_cross_entropy;
use models::nn::parameters::{ParameterError, Parameters};
use rand::Rng;
use statistics::calibration::softplus;
use statistics::logistic::Standard;
use statistics::metrics::mean;
use statistics::rows::Rows;

use crate::stage::learner::{Learner, OptimizerConfig};
use crate::stage::run::rng;
use crate::stage::weights::Fresh;

/// Hidden layers for answers and classes, and for numbers.
const HIDDEN: [&[usize]; 2] = [&[512], &[512, 256]];
/// Passes over the studies, of which the best on a held-out fold is taken.
const EPOCHS: u64 = 60;
/// Studies of a step, drawn with replacement, and the fewest steps of a pass.
const BATCH: usize = 32;
const FEWEST_STEPS: usize = 8;
/// The fold of [`Part::inner`] that is held out.
const HELD_OUT: usize = 0;
/// Studies that are predicted together.
const TOGETHER: usize = 256;

/// How perceptrons are made.
pub(super) struct Perceptron {
    hidden: Vec<usize>,
    device: DispatchDevice,
}

/// Linear layers with rectifiers between them.
#[derive(Module, Debug)]
struct Layers<B: Backend> {
    layers: Vec<Linear<B>>,
}

impl Layers<Compute> {
    fn load(at: &Parameters<'_>, widths: &[usize]) -> Result<Self, ParameterError> {
        let layers = widths.windows(2).enumerate();
        let layers = layers.map(|(layer, io)| at.at(layer).linear(io[0], io[1], true));
        Ok(Self { layers: layers.collect::<Result<_, _>>()? })
    }

    /// `[B, input]` to `[B, output]`.
    fn forward(&self, x: Tensor<Compute, 2>) -> Tensor<Compute, 2> {
        let (last, hidden) = self.layers.split_last().unwrap_or_else(|| unreachable!());
        let x = hidden.iter().fold(x, |x, layer| activation::relu(layer.forward(x)));
        last.forward(x)
    }
}

impl Perceptron {
    /// With these hidden layers, or those of the paper's probes.
    ///
    /// # Errors
    ///
    /// When the device does not work.
    pub(super) fn new(hidden: &[usize], device: DeviceChoice) -> Result<Self, DeviceError> {
        Ok(Self { hidden: hidden.to_vec(), device: models::engine::device(device)? })
    }

    /// Outputs for the studies of a part that it was not trained on: the logit of yes, the
    /// logarithm of every class's probability, or the number.
    ///
    /// # Errors
    ///
    /// When training diverges.
    pub(super) fn predict(
        &self,
        rows: Rows<'_>,
        task: &Task,
        part: &Part,
        seed: u64,
    ) -> anyhow::Result<Vec<Vec<f64>>> {
        let (train, held_out) = part.without(HELD_OUT);
        let scaled = Scaled::new(rows, &task.values, &train);
        let trained = DispatchDevice::autodiff(self.device.clone());
        let fresh = Fresh { seed, temperature: 0.0 };
        let widths = self.widths(rows.width(), &task.values);
        let layers = Layers::load(&Parameters::new(&fresh, &trained, DType::F32), &widths)?;
        let mut learner = Learner::new(layers, optimizer());
        let steps = train.len().div_ceil(BATCH).max(FEWEST_STEPS) as u64;
        let stream = (((part.repeat as u64) << 16) + part.fold as u64) << 32;
        let mut best: Option<(f64, Vec<Vec<f64>>)> = None;
        for epoch in 0..EPOCHS {
            for step in epoch * steps..(epoch + 1) * steps {
                let mut rng = rng(seed, stream + step);
                let pick = |_| train[rng.random_range(0..train.len())];
                let batch: Vec<usize> = (0..BATCH.min(train.len())).map(pick).collect();
                let outputs = learner.model.forward(scaled.features(&batch, &trained));
                learner.accumulate(&scaled.loss(outputs, &batch, &trained));
                learner.update(step, EPOCHS * steps)?;
            }
            let model = learner.model.valid();
            let loss = scaled.mean_loss(&self.outputs(&model, &scaled, &held_out), &held_out);
            if held_out.is_empty() || best.as_ref().is_none_or(|(least, _)| loss < *least) {
                best = Some((loss, self.outputs(&model, &scaled, &part.test)));
            }
        }
        Ok(best.map(|(_, outputs)| outputs).unwrap_or_default())
    }

    fn widths(&self, input: usize, values: &Values) -> Vec<usize> {
        let usual = HIDDEN[usize::from(matches!(values, Values::Number { .. }))];
        let hidden = if self.hidden.is_empty() { usual } else { &self.hidden };
        [&[input], hidden, &[values.outputs()]].concat()
    }

    fn outputs(
        &self,
        model: &Layers<Compute>,
        scaled: &Scaled<'_>,
        studies: &[usize],
    ) -> Vec<Vec<f64>> {
        let mut outputs = Vec::new();
        for part in studies.chunks(TOGETHER) {
            let mut found = model.forward(scaled.features(part, &self.device));
            if matches!(scaled.values, Values::Class { .. }) {
                found = activation::log_softmax(found, 1);
            }
            let found: Vec<f64> = found.into_data().iter::<f64>().collect();
            let rows = found.chunks_exact(scaled.values.outputs());
            outputs.extend(rows.map(|row| scaled.unscaled(row)));
        }
        outputs
    }
}

fn optimizer() -> OptimizerConfig {
    OptimizerConfig {
        learning_rate: 1e-3,
        weight_decay: 0.05,
        warmup_steps: 10,
        cosine: true,
        ..OptimizerConfig::default()
    }
}

/// Embeddings and numbers in units of their spread over the studies that are trained on.
struct Scaled<'a> {
    rows: Rows<'a>,
    values: &'a Values,
    standard: Standard,
    /// Mean and deviation of the numbers.
    unit: [f64; 2],
}

impl<'a> Scaled<'a> {
    fn new(rows: Rows<'a>, values: &'a Values, train: &[usize]) -> Self {
        let unit = if matches!(values, Values::Number { .. }) {
            let known: Vec<f64> = train.iter().map(|study| values.target(*study, 0)).collect();
            let centre = mean(&known);
            let squares: Vec<f64> = known.iter().map(|v| (v - centre).powi(2)).collect();
            [centre, mean(&squares).sqrt().max(f64::MIN_POSITIVE)]
        } else {
            [0.0, 1.0]
        };
        Self { rows, values, standard: Standard::of(rows, train), unit }
    }

    /// `[B, D]`.
    fn features(&self, studies: &[usize], device: &DispatchDevice) -> Tensor<Compute, 2> {
        let rows = studies.iter().flat_map(|study| self.standard.apply(self.rows.row(*study)));
        let shape = [studies.len(), self.rows.width()];
        Tensor::from_data(TensorData::new(rows.collect::<Vec<f32>>(), shape), device)
    }

    fn target(&self, study: usize, output: usize) -> f64 {
        (self.values.target(study, output) - self.unit[0]) / self.unit[1]
    }

    fn unscaled(&self, outputs: &[f64]) -> Vec<f64> {
        outputs.iter().map(|output| output * self.unit[1] + self.unit[0]).collect()
    }

    /// Mean cross entropy of answers or classes, mean squared error of numbers.
    #[expect(clippy::cast_possible_truncation, reason = "networks compute in f32")]
    fn loss(
        &self,
        outputs: Tensor<Compute, 2>,
        studies: &[usize],
        device: &DispatchDevice,
    ) -> Tensor<Compute, 1> {
        let shape = outputs.dims();
        let targets = studies
            .iter()
            .flat_map(|study| (0..shape[1]).map(|output| self.target(*study, output) as f32));
        let targets = TensorData::new(targets.collect::<Vec<f32>>(), shape);
        let targets = Tensor::<Compute, 2>::from_data(targets, device);
        let loss = match self.values {
            Values::YesNo { .. } => binary_cross_entropy(outputs, targets),
            Values::Class { .. } => (activation::log_softmax(outputs, 1) * targets).neg(),
            Values::Number { .. } => (outputs - targets).powi_scalar(2),
        };
        loss.sum() / studies.len() as f64
    }

    /// The same of outputs as [`Perceptron::predict`] gives them.
    fn mean_loss(&self, outputs: &[Vec<f64>], studies: &[usize]) -> f64 {
        let losses = outputs.iter().zip(studies).map(|(outputs, study)| {
            let pairs = outputs.iter().enumerate();
            let losses = pairs.map(|(output, found)| {
                let target = self.values.target(*study, output);
                match self.values {
                    Values::YesNo { .. } => softplus(*found) - target * found,
                    Values::Class { .. } => -target * found,
                    Values::Number { .. } => (found - target).powi(2),
                }
            });
            losses.sum::<f64>()
        });
        mean(&losses.collect::<Vec<_>>())
    }
}
