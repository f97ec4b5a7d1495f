//! Which report belongs to which study?

use burn::DispatchDevice;
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use models::nn::Compute;
use models::nn::config::PrimaConfig;

use super::data::{Data, Pair};
use super::{ClipModel, forward};
use crate::cohort::record::Split;
use crate::stage::batch::Augmentation;
use crate::stage::run::rng;
use crate::stage::text::Vocabulary;

/// Top-1 and top-5 image-to-report retrieval in groups of at most 100 validation studies.
pub(super) fn retrieval(
    model: &ClipModel<Compute>,
    data: &Data,
    vocabulary: &Vocabulary,
    sizes: &PrimaConfig,
    device: &DispatchDevice,
) -> anyhow::Result<(f64, f64)> {
    const GROUP: usize = 100;
    let model = model.valid();
    let width = sizes.sequence_vit.transformer.dim;
    let (mut first, mut fifth, mut total) = (0usize, 0usize, 0usize);
    for group in data.split(Split::Validation).chunks(GROUP) {
        let (mut images, mut texts) = (Vec::new(), Vec::new());
        for part in group.chunks(8) {
            let mut rng = rng(0, 0);
            let pairs =
                part.iter().map(|id| data.pair(id, vocabulary, &Augmentation::none(), &mut rng));
            let pairs: Vec<Pair> = pairs.collect::<anyhow::Result<_>>()?;
            let out = forward(&model, &pairs, width, device);
            images.push(out.image);
            texts.push(out.text);
        }
        let similarity = Tensor::cat(images, 0).matmul(Tensor::cat(texts, 0).transpose());
        let n = group.len();
        let values: Vec<f32> = similarity.into_data().iter().collect();
        for (i, row) in values.chunks_exact(n).enumerate() {
            // Ties and values that are no numbers count against the network.
            let worse = row.iter().filter(|v| **v < row[i]).count();
            let better = n - 1 - worse;
            first += usize::from(better < 1);
            fifth += usize::from(better < 5);
            total += 1;
        }
    }
    let share = |n: usize| n as f64 / total.max(1) as f64;
    Ok((share(first), share(fifth)))
}
