//! Which report belongs to an image: the finished network on studies of any cohort.

use std::path::Path;

use anyhow::Context;
use burn::tensor::{DType, Tensor};
use models::nn::Compute;
use models::nn::config::PrimaConfig;
use models::nn::parameters::Parameters;
use models::weights::mapped::WeightFile;

use super::data::{Data, Pair};
use super::start::{NETWORK, PROBES};
use super::{ClipModel, forward};
use crate::cohort::record::Split;
use crate::evaluate::embedding::{self, Retrieval};
use crate::evaluate::rows::Rows;
use crate::stage::batch::Augmentation;
use crate::stage::run::rng;
use crate::stage::text::Vocabulary;
use crate::stage::weights::Overlay;

/// Retrieval in groups of `group` studies of a split that has tokens, by the weights of a finished
/// run of `trainer clip` and the vocabulary of its `text` run.
///
/// # Errors
///
/// When a run or the cohort cannot be read, or there are fewer studies than a group has.
pub fn retrieve(
    run: &Path,
    text: &Path,
    cohort: &Path,
    split: Split,
    group: usize,
) -> anyhow::Result<Retrieval> {
    let path = run.join("sizes.toml");
    let sizes = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "cannot read {}; name the folder of a finished run of `trainer clip`",
            path.display()
        )
    })?;
    let sizes: PrimaConfig = toml::from_str(&sizes)?;
    let (data, vocabulary) = (Data::open(cohort)?, Vocabulary::open(text)?);
    let device = crate::stage::device(crate::stage::cpu())?;
    let [network, probes] = [NETWORK, PROBES].map(|file| WeightFile::open(&run.join(file)));
    let (network, probes) = (network?, probes?);
    let weights = Overlay { first: &network, then: &probes };
    let model = ClipModel::load(&Parameters::new(&weights, &device, DType::F32), &sizes)?;
    let width = sizes.sequence_vit.transformer.dim;
    let (mut images, mut texts) = (Vec::new(), Vec::new());
    let values = |x: Tensor<Compute, 2>| x.into_data().iter::<f32>().collect::<Vec<_>>();
    let ids = data.split(split);
    for part in ids.chunks(8) {
        let mut rng = rng(0, 0);
        let pairs =
            part.iter().map(|id| data.pair(id, &vocabulary, &Augmentation::none(), &mut rng));
        let pairs: Vec<Pair> = pairs.collect::<anyhow::Result<_>>()?;
        let out = forward(&model, &pairs, true, width, &device);
        images.extend(values(out.image));
        texts.extend(out.text.map(values).unwrap_or_default());
    }
    let rows = |values| Rows::new(values, sizes.projection);
    embedding::retrieval(rows(&images), rows(&texts), group, &[1, 5]).with_context(|| {
        format!(
            "{}: {} studies of this split have tokens, fewer than a group of {group}; run `trainer tokens`, or give a smaller --group",
            cohort.display(),
            ids.len()
        )
    })
}
