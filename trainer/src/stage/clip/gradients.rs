//! Gradients of one step, part by part of the batch.

use burn::DispatchDevice;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use models::engine::DeviceChoice;
use models::labels::DIAGNOSES;
use models::nn::Compute;
use models::nn::loss::{PatientDiscrimination, clip_loss, patient_discrimination_loss};

use rayon::prelude::*;

use super::data::Pair;
use super::supervision::{lesion_targets, series_targets, weighted_bce};
use super::{Contrastive, Forward, Pairs};
use crate::stage::learner::Learner;
use crate::stage::scalar;

/// Values of the objectives.
#[derive(Default)]
pub(super) struct Losses {
    pub(super) clip: f64,
    pub(super) patient: f64,
    pub(super) lesions: f64,
    pub(super) series: f64,
    pub(super) labels: f64,
}

/// Derivative of the contrastive losses by the embeddings of all ranks.
struct Pull {
    derivative: Tensor<Compute, 2>,
    /// Row of the next embedding of this rank.
    next: usize,
}

impl Pull {
    /// What carries the derivative to the weights that made the next embeddings.
    fn surrogate(&mut self, found: Tensor<Compute, 2>) -> Tensor<Compute, 1> {
        let rows = found.dims()[0];
        let own = self.derivative.clone().narrow(0, self.next, rows);
        self.next += rows;
        (found * Tensor::from_inner(own)).sum()
    }
}

/// Studies of a part that are computed beside the others, on a network with a graph of its own.
struct Slice<'a, M> {
    pairs: &'a [Pair],
    model: M,
    out: Forward,
}

/// What is said of the studies of a part, and what it is compared with.
struct Judged<'a, M> {
    slice: Slice<'a, M>,
    /// Terms of the contrastive losses.
    pulled: Vec<Tensor<Compute, 1>>,
}

/// Divides studies evenly among the threads of a CPU: most of a step's operations on it run on one.
fn slices<'a, M: Contrastive>(
    model: &M,
    part: &'a [Pair],
    run: &Pairs<'_>,
    device: &DispatchDevice,
) -> Vec<Slice<'a, M>> {
    let Pairs { config, sizes, .. } = run;
    let (width, with_reports) = (sizes.sequence_vit.transformer.dim, config.objective.clip > 0.0);
    let slices = if config.device == DeviceChoice::Cpu { rayon::current_num_threads() } else { 1 };
    let slices = part.chunks(part.len().div_ceil(slices).max(1));
    let slices: Vec<_> = slices.map(|pairs| (pairs, model.clone())).collect();
    let forward = |(pairs, model): (&'a [Pair], M)| {
        let model = model.fork(device);
        let out = model.forward(pairs, with_reports, width, device);
        Slice { pairs, model, out }
    };
    slices.into_par_iter().map(forward).collect()
}

/// What the contrastive losses ask of the embeddings.
struct Contrast<'a, M> {
    /// Of images, reports and series.
    pulls: [Option<Pull>; 3],
    /// The graphs of a part that is the whole share.
    kept: Vec<Slice<'a, M>>,
}

/// Gradients of this rank's share of the batch into the learner; `first` is the batch's index of
/// the share's first study.
pub(super) fn gradients<M: Contrastive>(
    learner: &mut Learner<M>,
    pairs: &[Pair],
    first: usize,
    run: &Pairs<'_>,
) -> Losses {
    let Pairs { config, trained, .. } = run;
    let mut losses = Losses::default();
    let contrastive = config.objective.contrastive();
    let mut contrast = contrastive.then(|| contrast(learner, pairs, first, run, &mut losses));
    let labels = DIAGNOSES.len() as f32;
    let group = &learner.group;
    let total = |count: f32| group.gather(&[count]).0.iter().sum::<f32>() * labels;
    let entries = Entries {
        studies: config.batch as f32 * labels,
        series: total(series_of(pairs)),
        tokens: total(tokens_of(pairs)),
    };
    for part in pairs.chunks(config.part) {
        let kept = contrast.as_mut().map(|contrast| std::mem::take(&mut contrast.kept));
        let slices = kept
            .filter(|kept| !kept.is_empty())
            .unwrap_or_else(|| slices(&learner.model, part, run, trained));
        let judged = slices.into_iter().map(|slice| {
            let out = &slice.out;
            let found = [Some(&out.image), out.text.as_ref(), out.patient.as_ref()];
            let pulls = contrast.iter_mut().flat_map(|contrast| &mut contrast.pulls).zip(found);
            let pulls = pulls.filter_map(|(pull, found)| pull.as_mut().zip(found));
            let pulled = pulls.map(|(pull, found)| pull.surrogate(found.clone())).collect();
            Judged { slice, pulled }
        });
        let judged: Vec<Judged<'_, M>> = judged.collect();
        let derived = judged.into_par_iter().map(|judged| derive(judged, run, entries));
        for (gradients, of_slice) in derived.collect::<Vec<_>>() {
            gradients.into_iter().for_each(|found| learner.accumulate_parameters(found));
            losses.labels += of_slice.labels;
            losses.series += of_slice.series;
            losses.lesions += of_slice.lesions;
        }
    }
    losses
}

/// What the means are taken over, in the whole batch.
#[derive(Clone, Copy)]
struct Entries {
    studies: f32,
    series: f32,
    tokens: f32,
}

/// Gradients of a slice, and its share of the objectives that need no other study.
fn derive<M: Contrastive>(
    judged: Judged<'_, M>,
    run: &Pairs<'_>,
    entries: Entries,
) -> (Vec<GradientsParams>, Losses) {
    let Judged { slice: Slice { pairs, model, out }, pulled: mut terms } = judged;
    let (objective, weights) = (run.config.objective, &run.weights);
    let mut losses = Losses::default();
    if objective.labels > 0.0 {
        let targets: Vec<f32> = pairs.iter().flat_map(|p| p.labels.iter().copied()).collect();
        let of = weights.of_targets(&targets);
        let term = weighted_bce(out.labels, targets, of, entries.studies);
        losses.labels = scalar(&term);
        terms.push(term * objective.labels);
    }
    if let Some(found) = out.series.filter(|_| objective.series > 0.0) {
        let targets = series_targets(pairs);
        let of = weights.of_targets(&targets);
        let term = weighted_bce(found, targets, of, entries.series);
        losses.series = scalar(&term);
        terms.push(term * objective.series);
    }
    if let Some(found) = out.lesions.filter(|_| objective.lesions > 0.0) {
        let targets = lesion_targets(pairs);
        let of = vec![1.0; targets.len()];
        let term = weighted_bce(found, targets, of, entries.tokens);
        losses.lesions = scalar(&term);
        terms.push(term * objective.lesions);
    }
    let Some(sum) = terms.into_iter().reduce(|sum, term| sum + term) else {
        return (Vec::new(), losses);
    };
    let mut found = GradientsParams::new();
    let mut graphs = Vec::new();
    let mut gradients = sum.backward();
    for cut in out.cuts.into_iter().rev() {
        if let Some(before) = cut.derive(&gradients, &mut found) {
            graphs.push(std::mem::replace(&mut gradients, before.backward()));
        }
    }
    graphs.push(gradients);
    let graphs = graphs.into_iter().map(|graph| GradientsParams::from_grads(graph, &model));
    (graphs.chain([found]).collect(), losses)
}

/// Embeddings of all studies without a graph, and the derivative of the losses by them.
fn contrast<'a, M: Contrastive>(
    learner: &mut Learner<M>,
    pairs: &'a [Pair],
    first: usize,
    run: &Pairs<'_>,
    losses: &mut Losses,
) -> Contrast<'a, M> {
    let Pairs { config, device, trained, .. } = run;
    let objective = config.objective;
    // The graph of a part that is the whole share is kept.
    let fixed = (pairs.len() > config.part).then(|| learner.model.valid());
    let mut kept = Vec::new();
    let (mut images, mut texts, mut patients, mut studies) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut next = first;
    for part in pairs.chunks(config.part) {
        let (slices, keep) = match &fixed {
            Some(fixed) => (slices(fixed, part, run, device), false),
            None => (slices(&learner.model, part, run, trained), true),
        };
        let plain = |x: &Tensor<Compute, 2>| if keep { x.clone().inner() } else { x.clone() };
        for slice in slices {
            images.push(plain(&slice.out.image));
            texts.extend(slice.out.text.as_ref().map(plain));
            patients.extend(slice.out.patient.as_ref().map(plain));
            kept.extend(keep.then_some(slice));
        }
        for pair in part {
            #[expect(clippy::cast_precision_loss, reason = "a batch is far smaller than 2^24")]
            studies.extend(std::iter::repeat_n(next as f32, pair.example.series.len()));
            next += 1;
        }
    }
    // Embeddings of all ranks, which the losses are differentiated by.
    let group = &learner.group;
    let gathered = |parts: Vec<Tensor<Compute, 2>>| {
        let (all, first) = group.gather_rows(Tensor::cat(parts, 0));
        (Tensor::<Compute, 2>::from_inner(all).require_grad(), first)
    };
    let [temperature, patient_temperature] = learner.model.temperatures();
    let mut leaves = [None, None, None];
    let mut terms: Vec<Tensor<Compute, 1>> = Vec::new();
    if objective.clip > 0.0 {
        let (image, text) = (gathered(images), gathered(texts));
        let term = clip_loss(image.0.clone(), text.0.clone(), temperature) * objective.clip;
        losses.clip = scalar(&term);
        terms.push(term);
        leaves = [Some(image), Some(text), None];
    }
    if objective.patient_discrimination > 0.0 && !patients.is_empty() {
        let leaf = gathered(patients);
        #[expect(clippy::cast_possible_truncation, reason = "written from small whole numbers")]
        let studies: Vec<i64> = group.gather(&studies).0.into_iter().map(|id| id as i64).collect();
        let term = patient_discrimination_loss(
            leaf.0.clone(),
            &studies,
            patient_temperature,
            PatientDiscrimination::Code,
        );
        losses.patient = scalar(&term);
        terms.push(term * objective.patient_discrimination);
        leaves[2] = Some(leaf);
    }
    let Some(loss) = terms.into_iter().reduce(|sum, term| sum + term) else {
        return Contrast { pulls: [None, None, None], kept };
    };
    let derivatives = loss.backward();
    let pulls = leaves.map(|leaf| {
        leaf.map(|(leaf, next)| {
            let found = leaf.grad(&derivatives);
            Pull { derivative: found.unwrap_or_else(|| leaf.inner().zeros_like()), next }
        })
    });
    // What is left are the temperatures' own gradients, which every rank has whole.
    if group.rank() == 0 {
        learner.accumulate_gradients(derivatives);
    }
    Contrast { pulls, kept }
}

#[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^24 series")]
fn series_of(pairs: &[Pair]) -> f32 {
    pairs.iter().map(|p| p.example.series.len() as f32).sum()
}

#[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^24 tokens")]
fn tokens_of(pairs: &[Pair]) -> f32 {
    pairs.iter().flat_map(|p| &p.example.series).map(|s| s.tokens() as f32).sum()
}
