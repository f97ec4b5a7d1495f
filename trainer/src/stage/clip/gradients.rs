//! Gradients of one step, part by part of the batch.

use burn::tensor::Tensor;
use models::labels::DIAGNOSES;
use models::nn::Compute;
use models::nn::loss::{PatientDiscrimination, clip_loss, patient_discrimination_loss};

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

/// What the contrastive losses ask of the embeddings.
struct Contrast {
    /// Of images, reports and series.
    pulls: [Option<Pull>; 3],
    /// The graph of a part that is the whole share.
    kept: Option<Forward>,
}

/// Gradients of this rank's share of the batch into the learner; `first` is the batch's index of
/// the share's first study.
pub(super) fn gradients<M: Contrastive>(
    learner: &mut Learner<M>,
    pairs: &[Pair],
    first: usize,
    run: &Pairs<'_>,
) -> Losses {
    let Pairs { config, sizes, weights, trained, .. } = run;
    let objective = config.objective;
    let width = sizes.sequence_vit.transformer.dim;
    let mut losses = Losses::default();
    let mut contrast =
        objective.contrastive().then(|| contrast(learner, pairs, first, run, &mut losses));
    let labels = DIAGNOSES.len() as f32;
    let group = &learner.group;
    let total = |count: f32| group.gather(&[count]).0.iter().sum::<f32>() * labels;
    let entries = config.batch as f32 * labels;
    let (token_entries, series_entries) = (total(tokens_of(pairs)), total(series_of(pairs)));
    for part in pairs.chunks(config.part) {
        let kept = contrast.as_mut().and_then(|contrast| contrast.kept.take());
        let with_reports = objective.clip > 0.0;
        let out = kept.unwrap_or_else(|| learner.model.forward(part, with_reports, width, trained));
        let mut terms: Vec<Tensor<Compute, 1>> = Vec::new();
        if let Some(contrast) = &mut contrast {
            let found = [Some(out.image), out.text, out.patient];
            let pulled = contrast.pulls.iter_mut().zip(found);
            let pulled = pulled.filter_map(|(pull, found)| pull.as_mut().zip(found));
            terms.extend(pulled.map(|(pull, found)| pull.surrogate(found)));
        }
        if objective.labels > 0.0 {
            let targets: Vec<f32> = part.iter().flat_map(|p| p.labels.iter().copied()).collect();
            let of = weights.of_targets(&targets);
            let term = weighted_bce(out.labels, targets, of, entries);
            losses.labels += scalar(&term);
            terms.push(term * objective.labels);
        }
        if let Some(found) = out.series.filter(|_| objective.series > 0.0) {
            let targets = series_targets(part);
            let of = weights.of_targets(&targets);
            let term = weighted_bce(found, targets, of, series_entries);
            losses.series += scalar(&term);
            terms.push(term * objective.series);
        }
        if let Some(found) = out.lesions.filter(|_| objective.lesions > 0.0) {
            let targets = lesion_targets(part);
            let of = vec![1.0; targets.len()];
            let term = weighted_bce(found, targets, of, token_entries);
            losses.lesions += scalar(&term);
            terms.push(term * objective.lesions);
        }
        if let Some(sum) = terms.into_iter().reduce(|sum, term| sum + term) {
            learner.accumulate(&sum);
        }
    }
    losses
}

/// Embeddings of all studies without a graph, and the derivative of the losses by them.
fn contrast<M: Contrastive>(
    learner: &mut Learner<M>,
    pairs: &[Pair],
    first: usize,
    run: &Pairs<'_>,
    losses: &mut Losses,
) -> Contrast {
    let Pairs { config, sizes, device, trained, .. } = run;
    let objective = config.objective;
    let width = sizes.sequence_vit.transformer.dim;
    let with_reports = objective.clip > 0.0;
    // The graph of a part that is the whole share is kept.
    let fixed = (pairs.len() > config.part).then(|| learner.model.valid());
    let mut kept = None;
    let (mut images, mut texts, mut patients, mut studies) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut next = first;
    for part in pairs.chunks(config.part) {
        let out = if let Some(fixed) = &fixed {
            fixed.forward(part, with_reports, width, device)
        } else {
            let out = learner.model.forward(part, with_reports, width, trained);
            let plain = out.plain();
            kept = Some(out);
            plain
        };
        images.push(out.image);
        texts.extend(out.text);
        patients.extend(out.patient);
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
    if with_reports {
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
