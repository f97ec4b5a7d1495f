//! What a network's training computes, from its sizes: an estimate.
//!
//! Matrix products, attention and convolutions are counted, a multiplication with its addition as
//! two operations, the backward pass as twice the forward pass (Kaplan et al., 2020, "Scaling laws
//! for neural language models"), and one more forward pass where the batch is computed in parts.
//! Norms, activations and losses are left out, and so is that equal names are read once.

use models::dims::LATENT;
use models::nn::config::{PrimaConfig, ReportEncoderConfig};
use models::nn::cost::{name, vit};

use crate::cohort::record::Split;
use crate::cohort::slices::Slices;
use crate::stage::clip::{Architecture, ClipRun, Data, ImagesConfig, KERNEL, Variant, flat_sizes};
use crate::stage::run::rng;
use crate::stage::text::Vocabulary;

/// Training studies that are counted.
const STUDIES: usize = 64;

/// Operations of a whole run.
///
/// # Errors
///
/// When a study cannot be read.
pub(super) fn flops(
    run: &ClipRun,
    sizes: &PrimaConfig,
    data: &Data,
    vocabulary: &Vocabulary,
) -> anyhow::Result<f64> {
    let ids = data.split(Split::Train);
    let each = ids.len().div_ceil(STUDIES).max(1);
    let (mut sum, mut count) = (0.0, 0.0);
    for (i, id) in ids.iter().step_by(each).enumerate() {
        let mut rng = rng(run.seed, i as u64);
        let pair = data.pair(id, vocabulary, &run.augmentation, &mut rng)?;
        let series: Vec<Series<'_>> = pair
            .example
            .series
            .iter()
            .map(|s| Series { name: s.name.len(), tokens: s.tokens(), slices: &s.slices })
            .collect();
        let description = pair.example.description.len();
        sum += vision(sizes, &run.variant, &series, description);
        if run.objective.clip > 0.0 {
            let report = sizes.report.map_or(0.0, |report| text(&report, pair.report.len()));
            sum += report;
        }
        count += 1.0;
    }
    let passes = if run.batch > run.part { 4.0 } else { 3.0 };
    Ok(2.0 * passes * run.steps as f64 * run.batch as f64 * sum / f64::max(count, 1.0))
}

/// What counts of a series.
struct Series<'a> {
    /// Characters.
    name: usize,
    tokens: usize,
    slices: &'a Slices,
}

/// Multiplications of the vision side on a study.
fn vision(sizes: &PrimaConfig, variant: &Variant, series: &[Series<'_>], words: usize) -> f64 {
    let names: u64 = series.iter().map(|s| name(&sizes.series_name, s.name)).sum();
    let description = name(&sizes.study_name, words);
    let study = || vit(&sizes.study_vit, series.len() + usize::from(words > 0)) as f64;
    let sequences = |tokens: fn(&Series<'_>) -> usize| {
        series.iter().map(|s| vit(&sizes.sequence_vit, 1 + tokens(s))).sum::<u64>() as f64
    };
    let images =
        |depth| -> f64 { series.iter().map(|s| cnn(&variant.images, s.slices, depth)).sum() };
    let inner = match variant.architecture {
        Architecture::Prima => study() + sequences(|s| s.tokens),
        Architecture::Cnn2d => study() + images(1) + sequences(|s| s.slices.positions.len()),
        Architecture::Cnn3d => {
            let both = LATENT + sizes.sequence_vit.transformer.dim;
            study()
                + images(KERNEL)
                + (series.len() * both * sizes.study_vit.transformer.dim) as f64
        }
        Architecture::FlatVit | Architecture::PlainVit => {
            let named = series.iter().filter(|s| s.name > 0).count();
            let tokens: usize = series.iter().map(|s| s.tokens).sum();
            vit(&flat_sizes(sizes), tokens + named + usize::from(words > 0)) as f64
        }
    };
    (names + description) as f64 + inner
}

/// GPT-2 on a report, its projection left out.
fn text(sizes: &ReportEncoderConfig, length: usize) -> f64 {
    let ReportEncoderConfig { dim, depth, .. } = *sizes;
    (depth * length * (12 * dim * dim + 2 * length * dim)) as f64
}

/// A residual network on the slices of a series.
fn cnn(images: &ImagesConfig, slices: &Slices, depth: usize) -> f64 {
    let (mut edge, mut count, mut input, mut sum) = (slices.edge, slices.positions.len(), 1, 0);
    for &channels in &images.channels {
        edge = edge.div_ceil(2);
        count = if depth > 1 { count.div_ceil(2) } else { count };
        let taps = depth * KERNEL * KERNEL;
        sum += count * edge * edge * taps * channels * (input + 2 * channels);
        input = channels;
    }
    let vectors = if depth > 1 { 1 } else { count };
    sum as f64 + (vectors * input * LATENT) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written out by hand.
    #[test]
    fn convolutions_are_counted() {
        let images = ImagesConfig { shrink: 4, most_slices: 0, channels: vec![2, 3] };
        let slices = Slices { edge: 8, positions: vec![0; 5], ..Slices::default() };
        // 4 x 4 pixels from 1 to 2 channels and twice from 2 to 2, then 2 x 2 pixels.
        let flat = 5 * (16 * 9 * (2 + 4 + 4) + 4 * 9 * (6 + 9 + 9)) + 5 * 3 * 256;
        assert!((cnn(&images, &slices, 1) - f64::from(flat)).abs() < 0.5);
        // Five slices become three, then two.
        let deep = 3 * 16 * 27 * (2 + 4 + 4) + 2 * 4 * 27 * (6 + 9 + 9) + 3 * 256;
        assert!((cnn(&images, &slices, 3) - f64::from(deep)).abs() < 0.5);
    }
}
