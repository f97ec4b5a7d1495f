//! Which report belongs to which study?

use burn::DispatchDevice;
use burn::module::AutodiffModule;
use models::nn::Compute;
use models::nn::config::PrimaConfig;

use super::data::{Data, Pair};
use super::{ClipModel, forward};
use crate::cohort::record::Split;
use crate::evaluate::embedding;
use crate::evaluate::rows::Rows;
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
    let ids = data.split(Split::Validation);
    let (mut images, mut texts) = (Vec::new(), Vec::new());
    for part in ids.chunks(8) {
        let mut rng = rng(0, 0);
        let pairs =
            part.iter().map(|id| data.pair(id, vocabulary, &Augmentation::none(), &mut rng));
        let pairs: Vec<Pair> = pairs.collect::<anyhow::Result<_>>()?;
        let out = forward(&model, &pairs, width, device);
        images.extend(out.image.into_data().iter::<f32>());
        texts.extend(out.text.into_data().iter::<f32>());
    }
    let rows = |values| Rows::new(values, sizes.projection);
    let group = GROUP.min(ids.len());
    let found = embedding::retrieval(rows(&images), rows(&texts), group, &[1, 5]);
    let shares = found.map(|found| found.image_to_text).unwrap_or_default();
    let share = |k: usize| shares.iter().find(|(at, _)| *at == k).map_or(f64::NAN, |(_, s)| *s);
    Ok((share(1), share(5)))
}
