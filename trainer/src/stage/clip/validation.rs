//! What the network has learned, on the validation studies.

use burn::tensor::Tensor;
use models::labels::DIAGNOSES;
use models::nn::Compute;
use models::nn::peaks::Peaks;

use super::retrieval::Embeddings;
use super::supervision::{lesion_targets, series_targets};
use super::{Contrastive, Pairs};
use crate::cohort::record::Split;
use crate::stage::batch::SeriesExample;
use crate::stage::learner::Metrics;
use statistics::metrics::auroc;

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
/// of every objective that has labels: of studies, of series, of tokens, and of studies by the
/// largest of what their tokens say.
pub(super) fn validate<M: Contrastive>(model: &M, pairs: &Pairs<'_>) -> anyhow::Result<Metrics> {
    let Pairs { data, vocabulary, sizes, config, device, .. } = pairs;
    let model = model.valid();
    let width = sizes.sequence_vit.transformer.dim;
    let mut embeddings = Embeddings::default();
    let [mut studies, mut series, mut tokens, mut peaks] = [(); 4].map(|()| Judged::default());
    for pairs in data.parts(Split::Validation, vocabulary) {
        let pairs = pairs?;
        let out = model.forward(&pairs, config.objective.clip > 0.0, width, device);
        embeddings.add(out.image, out.text);
        if config.objective.labels > 0.0 {
            studies.add(out.labels, pairs.iter().flat_map(|p| p.labels.clone()));
        }
        if let Some(found) = out.series.filter(|_| config.objective.series > 0.0) {
            series.add(found, series_targets(&pairs));
        }
        if let Some(found) = out.lesions.filter(|_| config.objective.lesions > 0.0) {
            let counts =
                pairs.iter().map(|p| p.example.series.iter().map(SeriesExample::tokens).sum());
            let largest = Peaks::largest(&found, &counts.collect::<Vec<usize>>());
            peaks.add(largest, pairs.iter().flat_map(|p| p.labels.clone()));
            tokens.add(found, lesion_targets(&pairs));
        }
    }
    let mut metrics = Vec::new();
    let group = GROUP.min(data.split(Split::Validation).len());
    if let Some(found) = embeddings.retrieval(sizes.projection, group) {
        let shares = found.image_to_text;
        let share = |k: usize| shares.iter().find(|(at, _)| *at == k).map_or(f64::NAN, |(_, s)| *s);
        metrics.extend([("retrieval_top1", share(1)), ("retrieval_top5", share(5))]);
    }
    let named = [
        ("auroc_studies", studies),
        ("auroc_series", series),
        ("auroc_tokens", tokens),
        ("auroc_peaks", peaks),
    ];
    metrics.extend(named.into_iter().filter_map(|(name, judged)| Some((name, judged.auroc()?))));
    Ok(metrics)
}
