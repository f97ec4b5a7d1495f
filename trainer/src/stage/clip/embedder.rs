//! Study embeddings of a finished run, whatever its network: what heads read.

use std::path::Path;

use burn::DispatchDevice;
use burn::tensor::DType;
use models::nn::Compute;
use models::nn::parameters::Parameters;
use models::nn::prima::Prima;
use models::weights::mapped::WeightFile;

use super::data::Data;
use super::embed;
use super::start::{NETWORK, sizes};
use super::variant::{Architecture, Variant, VariantVision, width};
use crate::stage::batch::{Augmentation, Example};
use crate::stage::run::rng;
use crate::stage::slices::SliceEmbeddings;

/// A finished run of `trainer clip` or `trainer slices`.
pub(in crate::stage) struct Embedder {
    network: Network,
    variant: Variant,
    width: usize,
    device: DispatchDevice,
}

enum Network {
    /// With the width of its tokens.
    Prima(Box<Prima<Compute>>, usize),
    Variant(Box<VariantVision<Compute>>),
    Slices(SliceEmbeddings),
}

impl Embedder {
    /// Opens the run in a folder.
    ///
    /// # Errors
    ///
    /// When it did not end, or its weights do not fit its sizes.
    pub(in crate::stage) fn open(run: &Path, device: &DispatchDevice) -> anyhow::Result<Self> {
        let device = device.clone();
        if let Some(embeddings) = SliceEmbeddings::open(run)? {
            let (width, variant) = (embeddings.width(), Variant::default());
            return Ok(Self { network: Network::Slices(embeddings), variant, width, device });
        }
        let (sizes, variant) = (sizes(run)?, Variant::of(run)?);
        let weights = WeightFile::open(&run.join(NETWORK))?;
        let at = Parameters::new(&weights, &device, DType::F32);
        let network = match variant.architecture {
            Architecture::Prima => Network::Prima(
                Box::new(Prima::load(&at, &sizes)?),
                sizes.sequence_vit.transformer.dim,
            ),
            _ => Network::Variant(Box::new(VariantVision::load(&at, &sizes, &variant)?)),
        };
        let width = width(&sizes, variant.architecture);
        Ok(Self { network, variant, width, device })
    }

    /// What the network reads.
    pub(in crate::stage) fn variant(&self) -> &Variant {
        &self.variant
    }

    /// Values of an embedding.
    pub(in crate::stage) fn width(&self) -> usize {
        self.width
    }

    /// Study embeddings, one row for each id, of what an augmentation leaves of the studies.
    ///
    /// # Errors
    ///
    /// When a study cannot be read, or only its finished embedding is there and an augmentation
    /// is asked for.
    pub(in crate::stage) fn rows(
        &self,
        data: &Data,
        ids: &[String],
        augmentation: &Augmentation,
    ) -> anyhow::Result<Vec<f32>> {
        const PART: usize = 8;
        let mut rows = Vec::with_capacity(ids.len() * self.width);
        if let Network::Slices(embeddings) = &self.network {
            anyhow::ensure!(
                ids.is_empty() || *augmentation == Augmentation::none(),
                "`trainer slices` embeds whole studies; set single_series to 0"
            );
            ids.iter().try_for_each(|id| embeddings.read(id, &mut rows))?;
            return Ok(rows);
        }
        for (number, part) in ids.chunks(PART).enumerate() {
            let mut rng = rng(0, number as u64);
            let examples = part.iter().map(|id| data.example(id, augmentation, &mut rng));
            let examples: Vec<Example> = examples.collect::<Result<_, _>>()?;
            let examples: Vec<&Example> = examples.iter().collect();
            let pooled = match &self.network {
                Network::Prima(vision, width) => {
                    embed(vision, &examples, *width, &self.device).pooled
                }
                Network::Variant(vision) => vision.see(&examples, &self.device).pooled,
                Network::Slices(_) => unreachable!("read before"),
            };
            rows.extend(pooled.into_data().iter::<f32>());
        }
        Ok(rows)
    }
}
