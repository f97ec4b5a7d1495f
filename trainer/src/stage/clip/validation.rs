//! What the network has learned, on the validation studies.

use burn::DispatchDevice;
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use models::labels::DIAGNOSES;
use models::nn::Compute;

use super::data::Pair;
use super::supervision::{lesion_targets, series_targets};
use super::{ClipModel, Pairs, forward};
use crate::cohort::record::Split;
use crate::evaluate::embedding;
use crate::evaluate::metrics::auroc;
use crate::evaluate::rows::Rows;
use crate::stage::batch::Augmentation;
use crate::stage::learner::Metrics;
use crate::stage::run::rng;

/// Studies of a retrieval.
const GROUP: usize = 100;

/// Logits and targets of some objective, `[n, 52]`.
#[derive(Default)]
struct Judged {
    logits: Vec<f32>,
    targets: Vec<f32>,
}

impl Judged {
    fn add(&mut self, logits: Tensor<Compute, 2>, targets: impl IntoIterator<Item = f32>) {
        self.logits.extend(logits.into_data().iter::<f32>());
        self.targets.extend(targets);
    }

    /// Only entries that weigh something: registers and names are no tokens.
    fn add_weighed(&mut self, logits: Tensor<Compute, 2>, targets: &[f32], weights: &[f32]) {
        let logits: Vec<f32> = logits.into_data().iter().collect();
        for (i, _) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            self.logits.push(logits[i]);
            self.targets.push(targets[i]);
        }
    }

    /// Mean AUROC over the labels that have both kinds of rows.
    fn auroc(&self) -> Option<f64> {
        let found: Vec<f64> = (0..DIAGNOSES.len())
            .filter_map(|label| {
                let column = |values: &[f32]| -> Vec<f32> {
                    values.iter().skip(label).step_by(DIAGNOSES.len()).copied().collect()
                };
                let scores: Vec<f64> = column(&self.logits).into_iter().map(f64::from).collect();
                let labels: Vec<bool> = column(&self.targets).iter().map(|y| *y > 0.5).collect();
                auroc(&scores, &labels).map(|found| found.value)
            })
            .collect();
        (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
    }
}

/// Top-1 and top-5 image-to-report retrieval in groups of at most 100 studies, and the mean AUROC
/// of every objective that has labels: of studies, of series, of tokens.
pub(super) fn validate(
    model: &ClipModel<Compute>,
    pairs: &Pairs<'_>,
    device: &DispatchDevice,
) -> anyhow::Result<Metrics> {
    let Pairs { data, vocabulary, sizes, config, .. } = pairs;
    let model = model.valid();
    let width = sizes.sequence_vit.transformer.dim;
    let ids = data.split(Split::Validation);
    let (mut images, mut texts) = (Vec::new(), Vec::new());
    let [mut studies, mut series, mut tokens] = [(); 3].map(|()| Judged::default());
    for part in ids.chunks(8) {
        let mut rng = rng(0, 0);
        let pairs =
            part.iter().map(|id| data.pair(id, vocabulary, &Augmentation::none(), &mut rng));
        let pairs: Vec<Pair> = pairs.collect::<anyhow::Result<_>>()?;
        let out = forward(&model, &pairs, width, device);
        images.extend(out.image.into_data().iter::<f32>());
        texts.extend(out.text.into_data().iter::<f32>());
        if config.objective.labels > 0.0 {
            studies.add(out.labels, pairs.iter().flat_map(|p| p.labels.clone()));
        }
        if config.objective.series > 0.0 {
            series.add(out.series, series_targets(&pairs));
        }
        if config.objective.lesions > 0.0 {
            let (targets, weights) = lesion_targets(&pairs, &out.lengths);
            tokens.add_weighed(out.lesions, &targets, &weights);
        }
    }
    let rows = |values| Rows::new(values, sizes.projection);
    let group = GROUP.min(ids.len());
    let found = embedding::retrieval(rows(&images), rows(&texts), group, &[1, 5]);
    let shares = found.map(|found| found.image_to_text).unwrap_or_default();
    let share = |k: usize| shares.iter().find(|(at, _)| *at == k).map_or(f64::NAN, |(_, s)| *s);
    let mut metrics = vec![("retrieval_top1", share(1)), ("retrieval_top5", share(5))];
    let named = [("auroc_studies", studies), ("auroc_series", series), ("auroc_tokens", tokens)];
    metrics.extend(named.into_iter().filter_map(|(name, judged)| Some((name, judged.auroc()?))));
    Ok(metrics)
}
