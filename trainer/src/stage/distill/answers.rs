//! What the student answers: every logit of its shared head against the teacher's.

use burn::DispatchDevice;
use burn::module::AutodiffModule;
use burn::tensor::{DType, Tensor, TensorData, activation};
use models::nn::Compute;
use models::nn::head::Head;
use models::nn::loss::binary_cross_entropy;
use models::nn::parameters::Parameters;
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{Phase, School, Student};
use crate::cohort::record::Split;
use crate::stage::batch::{Augmentation, single_studies};
use crate::stage::heads::unit::Unit;
use crate::stage::learner::Learner;
use crate::stage::run::{Run, rng};
use crate::stage::scalar;
use crate::stage::weights::{Fresh, InMemory, Names};

/// Age as an output of the student: (years - `offset`) / `scale`, so that it weighs in the
/// objective what one label weighs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgeUnit {
    /// Standard deviation of what the teacher says about the training studies, in years.
    pub scale: f32,
    /// Mean of it, in years.
    pub offset: f32,
}

impl AgeUnit {
    /// Smallest scale: a teacher that says the same of all teaches nothing.
    const LEAST: f32 = 1.0;

    fn of(years: &[f32]) -> Self {
        let n = years.len().max(1) as f32;
        let offset = years.iter().sum::<f32>() / n;
        let variance = years.iter().map(|y| (y - offset).powi(2)).sum::<f32>() / n;
        Self { scale: variance.sqrt().max(Self::LEAST), offset }
    }
}

impl School<'_> {
    /// The unit of the student's age, where its teacher tells ages.
    pub(super) fn age_unit(&self) -> Option<AgeUnit> {
        self.manifest.age.as_ref()?;
        let ids = self.split(Split::Train);
        let years = ids.iter().filter_map(|id| self.taught[id].answers.last().copied());
        Some(AgeUnit::of(&years.collect::<Vec<_>>()))
    }

    /// A head that learns by itself on the student's embeddings: thousands of answers in the time
    /// that the transformers take for one.
    pub(super) fn imitate_answers(
        &self,
        student: &Student<Compute>,
        phase: Phase,
        run: &mut Run,
        device: &DispatchDevice,
    ) -> anyhow::Result<Head<Compute>> {
        let mut ids = self.split(Split::Train);
        let whole = Augmentation::none();
        let (_, mut features) = self.answers(student, &ids, &whole, device)?;
        let share = self.config.augmentation.single_series;
        let single = single_studies(&ids, share, &mut rng(self.config.seed, 9 << 40));
        let alone = Augmentation { single_series: 1.0, ..whole };
        features.extend(self.answers(student, &single, &alone, device)?.1);
        ids.extend(single);
        let sizes = &self.config.sizes;
        let width = sizes.embedding();
        let unit = Unit::of(&features, width);
        let rows: Vec<Vec<f32>> =
            features.chunks_exact(width).map(|row| unit.apply(row).collect()).collect();
        let [first, second] = sizes.head_hidden;
        let widths = [width, first, second, self.outputs()];
        let trained = DispatchDevice::autodiff(device.clone());
        let fresh = Fresh { seed: self.config.seed, temperature: 0.0 };
        let head = Head::load(&Parameters::new(&fresh, &trained, DType::F32), widths)?;
        let mut learner = Learner::new(head, phase.optimizer);
        for step in 0..phase.steps {
            let mut rng = rng(self.config.seed, (7 << 40) + step);
            let picked: Vec<usize> =
                (0..phase.batch).map(|_| rng.random_range(0..rows.len())).collect();
            let x: Vec<f32> = picked.iter().flat_map(|row| rows[*row].iter().copied()).collect();
            let x = TensorData::new(x, [picked.len(), width]);
            let found = learner.model.forward(Tensor::<Compute, 2>::from_data(x, &trained));
            let picked: Vec<String> = picked.iter().map(|row| ids[*row].clone()).collect();
            let (loss, [logits, labels]) = self.answers_loss(found, &picked, &trained)?;
            learner.accumulate(&loss);
            let norm = learner.update(step, phase.steps)?;
            run.progress(step + 1, phase.steps);
            if step % 100 == 0 || step + 1 == phase.steps {
                let values = [("head_logits", logits), ("head_labels", labels)];
                run.log(step, &[&values[..], &[("gradient_norm", norm)]].concat())?;
            }
        }
        let names = Names::of(device, |at| Head::load(at, widths))?;
        let tensors = unit.fold(names.tensors(&learner.model.valid()));
        let source = InMemory::new(&tensors);
        Ok(Head::load(&Parameters::new(&source, device, DType::F32), widths)?)
    }

    /// What answers cost, and of that what differs from the teacher and from the labels.
    pub(super) fn answers_loss(
        &self,
        found: Tensor<Compute, 2>,
        ids: &[String],
        device: &DispatchDevice,
    ) -> anyhow::Result<(Tensor<Compute, 1>, [f64; 2])> {
        let objective = self.config.objective;
        let (binary, classes) = (self.binary(), self.classes());
        let target: Vec<f32> =
            ids.iter().flat_map(|id| self.taught[id].answers.iter().copied()).collect();
        let target = TensorData::new(target, [ids.len(), self.outputs()]);
        let target = Tensor::<Compute, 2>::from_data(target, device);
        // What the teacher believes is the target, not its logit: far from the threshold a
        // difference of logits means nothing.
        let belief = activation::sigmoid(target.clone().narrow(1, 0, binary));
        let own = found.clone().narrow(1, 0, binary);
        let all = belief.clone().ones_like();
        let mut logits = masked_cross_entropy(own.clone(), belief, all);
        if classes > 0 {
            let belief = activation::softmax(target.clone().narrow(1, binary, classes), 1);
            let own = activation::log_softmax(found.clone().narrow(1, binary, classes), 1);
            logits = logits + (own * belief).sum().neg() / ids.len() as f64;
        }
        if let Some(AgeUnit { scale, offset }) = self.age {
            let taught = (target.narrow(1, binary + classes, 1) - offset) / scale;
            let own = found.narrow(1, binary + classes, 1);
            logits = logits + (own - taught).powi_scalar(2).sum() / ids.len() as f64;
        }
        let mut values = [scalar(&logits), 0.0];
        let mut loss = logits * objective.logits;
        if objective.labels > 0.0 {
            let targets = ids.iter().map(|id| self.targets(id));
            let targets = targets.collect::<Result<Vec<_>, _>>()?.concat();
            let known = targets.iter().map(|t| f32::from(u8::from(t.is_some()))).collect();
            let values_of = targets.iter().map(|t| f32::from(u8::from(*t == Some(true)))).collect();
            let tensor = |values: Vec<f32>| {
                let data = TensorData::new(values, [ids.len(), binary]);
                Tensor::<Compute, 2>::from_data(data, device)
            };
            let term = masked_cross_entropy(own, tensor(values_of), tensor(known));
            values[1] = scalar(&term);
            loss = loss + term * objective.labels;
        }
        Ok((loss, values))
    }
}

/// Binary cross entropy against probabilities, summed over the outputs whose mask is 1, averaged
/// over studies.
fn masked_cross_entropy(
    logits: Tensor<Compute, 2>,
    targets: Tensor<Compute, 2>,
    mask: Tensor<Compute, 2>,
) -> Tensor<Compute, 1> {
    let n = logits.dims()[0] as f64;
    (binary_cross_entropy(logits, targets) * mask).sum() / n
}
