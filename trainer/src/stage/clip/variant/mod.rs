//! Networks that Prima is compared with (paper, "Model Design Ablations"): the same objectives,
//! data and report encoder, with one thing changed. They are trained and measured, never served.
//!
//! | architecture | images | transformer |
//! |---|---|---|
//! | `prima` | tokens of the volume tokenizer | sequence ViT, study ViT |
//! | `flat_vit` | the same tokens | one ViT over all series (module `flat`) |
//! | `plain_vit` | the same tokens | the same, and nothing but tokens to read |
//! | `cnn_2d` | slices by a residual network | sequence ViT, study ViT (module `cnn`) |
//! | `cnn_3d` | volumes by a residual network | study ViT (module `cnn`) |
//!
//! What the paper leaves open was chosen here: in a flat ViT the place of a series is told by ten
//! sine and cosine values behind each token, the registers are as many as the sequence ViT's, and
//! patient discrimination reads the states of the series names; the residual networks have no
//! normalisation, because statistics of a batch would differ between the parts that it is
//! computed in.

mod cnn;
mod flat;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::Context;
use burn::DispatchDevice;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use models::dims::PATCH_IN_PLANE_VOX;
use models::labels::DIAGNOSES;
use models::nn::Compute;
use models::nn::config::{PrimaConfig, VitConfig};
use models::nn::parameters::{ParameterError, Parameters};
use models::nn::report::ReportEncoder;
use serde::{Deserialize, Serialize};

pub(in crate::stage) use self::cnn::KERNEL;
use self::cnn::{SliceVit, VolumeVit};
use self::flat::FlatVit;
use super::data::Pair;
use super::{ClipRun, Contrastive, Forward, normalised, reports, text};
use crate::stage::batch::Example;

/// How a network differs from Prima, and what it reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Variant {
    /// Which network.
    pub architecture: Architecture,
    /// The names of series; without them every series is called `unk`.
    pub series_names: bool,
    /// The study's description; without it the study ViT has no such token.
    pub study_description: bool,
    /// Which text a study is compared with.
    pub report: ReportText,
    /// What the CNNs read.
    pub images: ImagesConfig,
}

/// A network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// The hierarchical ViT.
    #[default]
    #[serde(rename = "prima")]
    Prima,
    /// One ViT over the tokens of all series.
    #[serde(rename = "flat_vit")]
    FlatVit,
    /// The flat ViT, told neither names nor description (paper: "Simple ViT").
    #[serde(rename = "plain_vit")]
    PlainVit,
    /// Slices by a 2-D network, as tokens of the hierarchical ViT.
    #[serde(rename = "cnn_2d")]
    Cnn2d,
    /// Series by a 3-D network, as series of the study ViT.
    #[serde(rename = "cnn_3d")]
    Cnn3d,
}

impl Architecture {
    /// True for the networks that read voxels instead of tokens.
    #[must_use]
    pub fn reads_images(self) -> bool {
        matches!(self, Self::Cnn2d | Self::Cnn3d)
    }

    fn is_flat(self) -> bool {
        matches!(self, Self::FlatVit | Self::PlainVit)
    }
}

/// Which text a study is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportText {
    /// The summary.
    #[default]
    Summary,
    /// Findings and impression as they were dictated, cut to what the report encoder takes.
    Long,
}

/// What the CNNs read, and their size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImagesConfig {
    /// So many voxels along each edge of a slice of 256 become one; divides 32.
    pub shrink: usize,
    /// Most slices of a series, evenly spread; 0 takes all.
    pub most_slices: usize,
    /// Channels of the levels, each of which halves the edge of a slice.
    pub channels: Vec<usize>,
}

impl Default for ImagesConfig {
    fn default() -> Self {
        Self { shrink: 4, most_slices: 32, channels: vec![16, 32, 64] }
    }
}

impl Default for Variant {
    /// Prima.
    fn default() -> Self {
        Self {
            architecture: Architecture::Prima,
            series_names: true,
            study_description: true,
            report: ReportText::Summary,
            images: ImagesConfig::default(),
        }
    }
}

/// How a run's folder says that its network is not Prima.
const FILE: &str = "variant.toml";

impl Variant {
    /// True for Prima. Such a value is not written, so that runs which were begun before there
    /// were variants go on.
    #[must_use]
    pub fn is_prima(&self) -> bool {
        *self == Self::default()
    }

    /// The variant of a finished run of `trainer clip`.
    ///
    /// # Errors
    ///
    /// When its file is damaged.
    pub fn of(run: &Path) -> anyhow::Result<Self> {
        let path = run.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} holds no variant", path.display()))
    }

    /// Notes the variant in a run's folder, where it is not Prima.
    pub(super) fn write(&self, run: &Path) -> anyhow::Result<()> {
        if !self.is_prima() {
            std::fs::write(run.join(FILE), toml::to_string_pretty(self)?)?;
        }
        Ok(())
    }

    /// Refuses what a network cannot do.
    pub(in crate::stage) fn check(&self, config: &ClipRun) -> anyhow::Result<()> {
        let ImagesConfig { shrink, channels, .. } = &self.images;
        anyhow::ensure!(
            *shrink > 0 && PATCH_IN_PLANE_VOX.is_multiple_of(*shrink),
            "variant.images.shrink is {shrink}: give 1, 2, 4, 8, 16 or 32"
        );
        anyhow::ensure!(
            !channels.is_empty() && !channels.contains(&0),
            "variant.images.channels is {channels:?}: give at least one level, each with at least one channel"
        );
        let objective = &config.objective;
        anyhow::ensure!(
            self.architecture == Architecture::Prima
                || objective.lesions.max(objective.series) <= 0.0,
            "objective.lesions is {} and objective.series {}, but only variant.architecture = \"prima\" judges tokens and series one by one; set both to 0",
            objective.lesions,
            objective.series
        );
        anyhow::ensure!(
            self.architecture != Architecture::PlainVit
                || !(self.series_names
                    || self.study_description
                    || objective.patient_discrimination > 0.0),
            "variant.architecture is \"plain_vit\", which knows no names and no series; set variant.series_names and variant.study_description to false and objective.patient_discrimination to 0"
        );
        anyhow::ensure!(
            !self.architecture.is_flat() || config.depth != Some(0),
            "depth is 0, but the registers of a flat ViT see tokens by its blocks alone; give at least 1"
        );
        Ok(())
    }
}

/// What a vision side makes of studies.
pub(super) struct Seen {
    /// What heads read, `[B, width]`.
    pub(super) pooled: Tensor<Compute, 2>,
    /// `[B, projection]`.
    projected: Tensor<Compute, 2>,
    /// Patient-discrimination features of every series, `[S, output]`.
    patient: Option<Tensor<Compute, 2>>,
}

/// The vision side of a variant: one of the three.
#[derive(Module, Debug)]
pub(super) struct VariantVision<B: Backend> {
    flat: Option<FlatVit<B>>,
    slices: Option<SliceVit<B>>,
    volumes: Option<VolumeVit<B>>,
}

impl VariantVision<Compute> {
    /// Reads `visual_model.*`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub(super) fn load(
        at: &Parameters<'_>,
        sizes: &PrimaConfig,
        variant: &Variant,
    ) -> Result<Self, ParameterError> {
        let mut vision = Self { flat: None, slices: None, volumes: None };
        match variant.architecture {
            Architecture::Cnn2d => {
                vision.slices = Some(SliceVit::load(at, sizes, &variant.images)?);
            }
            Architecture::Cnn3d => {
                vision.volumes = Some(VolumeVit::load(at, sizes, &variant.images)?);
            }
            Architecture::FlatVit | Architecture::PlainVit => {
                vision.flat = Some(FlatVit::load(at, sizes)?);
            }
            Architecture::Prima => unreachable!("has a network of its own"),
        }
        Ok(vision)
    }

    /// Looks at studies.
    pub(super) fn see(&self, examples: &[&Example], device: &DispatchDevice) -> Seen {
        match (&self.flat, &self.slices, &self.volumes) {
            (Some(network), _, _) => network.see(examples, device),
            (_, Some(network), _) => network.see(examples, device),
            (_, _, Some(network)) => network.see(examples, device),
            (None, None, None) => unreachable!("built with one of the three"),
        }
    }

    fn with_fixed_names(self) -> Self {
        Self {
            flat: self.flat.map(FlatVit::with_fixed_names),
            slices: self.slices.map(SliceVit::with_fixed_names),
            volumes: self.volumes.map(VolumeVit::with_fixed_names),
        }
    }
}

/// Values of a study embedding.
pub(super) fn width(sizes: &PrimaConfig, architecture: Architecture) -> usize {
    if architecture.is_flat() { flat_sizes(sizes).pooled() } else { sizes.embedding() }
}

/// Sizes of the one ViT that stands for both: the sequence ViT with wider tokens, read as the
/// study ViT is.
pub(in crate::stage) fn flat_sizes(sizes: &PrimaConfig) -> VitConfig {
    let mut vit = VitConfig { output: sizes.projection, peaks: None, ..sizes.sequence_vit };
    vit.transformer.dim += flat::PLACE;
    vit
}

/// Everything that is trained where the network is not Prima.
#[derive(Module, Debug)]
pub(super) struct VariantModel<B: Backend> {
    vision: VariantVision<B>,
    report: ReportEncoder<B>,
    temperature: Param<Tensor<B, 1>>,
    patient_temperature: Param<Tensor<B, 1>>,
    labels: Linear<B>,
}

impl Contrastive for VariantModel<Compute> {
    fn build(
        at: &Parameters<'_>,
        sizes: &PrimaConfig,
        variant: &Variant,
    ) -> Result<Self, ParameterError> {
        let report = sizes.report.unwrap_or_else(|| unreachable!("resolved before"));
        let labels = at.at("probe.labels");
        Ok(Self {
            vision: VariantVision::load(at, sizes, variant)?,
            report: ReportEncoder::load(at, &report, sizes.projection)?,
            temperature: Param::from_tensor(at.tensor("temperature", [1])?),
            patient_temperature: Param::from_tensor(at.tensor("patdistemperature", [1])?),
            labels: labels.linear(width(sizes, variant.architecture), DIAGNOSES.len(), true)?,
        })
    }

    fn forward(
        &self,
        pairs: &[Pair],
        with_reports: bool,
        _width: usize,
        device: &DispatchDevice,
    ) -> Forward {
        let examples: Vec<&Example> = pairs.iter().map(|p| &p.example).collect();
        let seen = self.vision.see(&examples, device);
        Forward {
            image: normalised(seen.projected),
            text: with_reports.then(|| normalised(text(&self.report, &reports(pairs)))),
            patient: seen.patient.map(normalised),
            labels: self.labels.forward(seen.pooled),
            series: None,
            lesions: None,
            cuts: Vec::new(),
        }
    }

    fn report(&self) -> &ReportEncoder<Compute> {
        &self.report
    }

    fn temperatures(&self) -> [Tensor<Compute, 1>; 2] {
        [self.temperature.val(), self.patient_temperature.val()]
    }

    fn with_fixed_names(mut self) -> Self {
        self.vision = self.vision.with_fixed_names();
        self
    }

    fn with_fixed_reports(mut self) -> Self {
        self.report = self.report.no_grad();
        self.temperature = self.temperature.no_grad();
        self
    }
}
