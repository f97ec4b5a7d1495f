//! Which report belongs to an image: embeddings of both, and the finished network on studies of any
//! cohort.

use std::path::Path;

use anyhow::Context;
use burn::DispatchDevice;
use burn::tensor::{DType, Tensor};
use models::nn::Compute;
use models::nn::parameters::Parameters;
use models::weights::mapped::WeightFile;

use super::data::Data;
use super::start::{NETWORK, PROBES, sizes};
use super::variant::{Architecture, Variant, VariantModel};
use super::{ClipModel, Contrastive};
use crate::cohort::record::Split;
use crate::stage::text::Vocabulary;
use crate::stage::weights::Overlay;
use statistics::embedding::{self, Retrieval};
use statistics::rows::Rows;

/// What the network makes of studies and of their reports, one row each.
#[derive(Default)]
pub(super) struct Embeddings {
    images: Vec<f32>,
    texts: Vec<f32>,
}

impl Embeddings {
    pub(super) fn add(&mut self, image: Tensor<Compute, 2>, text: Option<Tensor<Compute, 2>>) {
        let values = |x: Tensor<Compute, 2>| x.into_data().iter::<f32>().collect::<Vec<_>>();
        self.images.extend(values(image));
        self.texts.extend(text.map(values).unwrap_or_default());
    }

    /// Among the first and the first five; `None` without reports or a whole group.
    pub(super) fn retrieval(&self, width: usize, group: usize) -> Option<Retrieval> {
        if self.texts.is_empty() {
            return None;
        }
        let rows = |values| Rows::new(values, width);
        embedding::retrieval(rows(&self.images), rows(&self.texts), group, &[1, 5])
    }
}

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
    let variant = Variant::of(run)?;
    let data = Data::open(cohort)?.seen_by(&variant)?;
    let vocabulary = Vocabulary::open(text)?;
    let device = crate::stage::device(crate::stage::cpu())?;
    let found = match variant.architecture {
        Architecture::Prima => {
            embeddings::<ClipModel<Compute>>(run, &variant, &data, &vocabulary, split, &device)?
        }
        _ => {
            embeddings::<VariantModel<Compute>>(run, &variant, &data, &vocabulary, split, &device)?
        }
    };
    found.retrieval(sizes(run)?.projection, group).with_context(|| {
        format!(
            "{}: {} studies of this split have tokens, fewer than a group of {group}; run `trainer tokens`, or give a smaller --group",
            cohort.display(),
            data.split(split).len()
        )
    })
}

/// What the network of a finished run makes of a split.
fn embeddings<M: Contrastive>(
    run: &Path,
    variant: &Variant,
    data: &Data,
    vocabulary: &Vocabulary,
    split: Split,
    device: &DispatchDevice,
) -> anyhow::Result<Embeddings> {
    let sizes = sizes(run)?;
    let [network, probes] = [NETWORK, PROBES].map(|file| WeightFile::open(&run.join(file)));
    let (network, probes) = (network?, probes?);
    let weights = Overlay { first: &network, then: &probes };
    let model = M::build(&Parameters::new(&weights, device, DType::F32), &sizes, variant)?;
    let width = sizes.sequence_vit.transformer.dim;
    let mut embeddings = Embeddings::default();
    for pairs in data.parts(split, vocabulary) {
        let out = model.forward(&pairs?, true, width, device);
        embeddings.add(out.image, out.text);
    }
    Ok(embeddings)
}
