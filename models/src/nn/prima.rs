//! The vision side of Prima: tokens and names of a study to the embedding every head reads
//! (paper, Fig. 1; specification §8, §9).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, activation};

use super::Compute;
use super::config::{PatientDiscriminationConfig, PrimaConfig};
use super::name::NameEncoder;
use super::parameters::{ParameterError, Parameters};
use super::register_vit::{RegisterOutput, RegisterVit};

/// Hierarchical ViT with its two name encoders.
#[derive(Module, Debug)]
#[doc(alias = "HierViT")]
pub struct Prima<B: Backend> {
    series_name: NameEncoder<B>,
    study_name: NameEncoder<B>,
    sequence_vit: RegisterVit<B>,
    study_vit: RegisterVit<B>,
    patient_discrimination: Option<PatientDiscrimination<B>>,
}

/// Two-layer network on a series' pooled registers; training only (specification §11).
#[derive(Module, Debug)]
#[doc(alias = "patdisnet")]
pub struct PatientDiscrimination<B: Backend> {
    hidden: Linear<B>,
    output: Linear<B>,
}

impl Prima<Compute> {
    /// Reads `visual_model.*`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(at: &Parameters<'_>, config: &PrimaConfig) -> Result<Self, ParameterError> {
        let at = at.at("visual_model");
        let pooled = config.sequence_vit.pooled();
        let patient_discrimination = config
            .patient_discrimination
            .map(|c| PatientDiscrimination::load(&at.at("patdisnet"), pooled, c))
            .transpose()?;
        Ok(Self {
            series_name: NameEncoder::load(&at.at("serieencoder"), &config.series_name)?,
            study_name: NameEncoder::load(&at.at("studyencoder"), &config.study_name)?,
            sequence_vit: RegisterVit::load(&at.at("innerViT"), &config.sequence_vit)?,
            study_vit: RegisterVit::load(&at.at("outerViT"), &config.study_vit)?,
            patient_discrimination,
        })
    }

    /// Every series of one or more studies to its vector.
    ///
    /// # Shapes
    ///
    /// - `names`: `[S, D]`, see [`Self::series_names`]
    /// - `tokens`: `S` tensors `[t, D]`
    /// - output: pooled `[S, R * D + P]`, vectors `[S, study width]`
    #[must_use]
    pub fn series(
        &self,
        names: &Tensor<Compute, 2>,
        tokens: Vec<Tensor<Compute, 2>>,
    ) -> RegisterOutput {
        self.sequence_vit.forward(self.sequence_vit.pack(names, tokens))
    }

    /// Series vectors to study embeddings.
    ///
    /// # Shapes
    ///
    /// - `descriptions`: `[B, D]`, see [`Self::study_names`]
    /// - `series`: `B` tensors `[s, D]`
    /// - output: pooled `[B, R * D + P]` (what heads read), CLIP projection `[B, projection]`
    #[must_use]
    pub fn studies(
        &self,
        descriptions: &Tensor<Compute, 2>,
        series: Vec<Tensor<Compute, 2>>,
    ) -> RegisterOutput {
        self.study_vit.forward(self.study_vit.pack(descriptions, series))
    }

    /// Series names to vectors `[S, D]`.
    #[must_use]
    pub fn series_names(&self, ids: &[Vec<u8>]) -> Tensor<Compute, 2> {
        self.series_name.forward(ids)
    }

    /// Study descriptions to vectors `[B, D]`.
    #[must_use]
    pub fn study_names(&self, ids: &[Vec<u8>]) -> Tensor<Compute, 2> {
        self.study_name.forward(ids)
    }

    /// The sequence ViT, for what needs the states of tokens.
    #[must_use]
    pub fn sequence_vit(&self) -> &RegisterVit<Compute> {
        &self.sequence_vit
    }

    /// The study ViT, for what needs the states of series.
    #[must_use]
    pub fn study_vit(&self) -> &RegisterVit<Compute> {
        &self.study_vit
    }

    /// This network, its reader of series names no longer trained.
    #[must_use]
    pub fn with_fixed_names(mut self) -> Self {
        self.series_name = self.series_name.no_grad();
        self
    }

    /// Patient-discrimination features of pooled registers: `[S, R * D]` to `[S, output]`, before
    /// normalisation; `None` when the weights do not carry that network.
    #[must_use]
    pub fn patient_features(&self, pooled: Tensor<Compute, 2>) -> Option<Tensor<Compute, 2>> {
        self.patient_discrimination.as_ref().map(|network| network.forward(pooled))
    }
}

impl PatientDiscrimination<Compute> {
    /// Reads `0.*` and `2.*` for features of `input` values.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn load(
        at: &Parameters<'_>,
        input: usize,
        config: PatientDiscriminationConfig,
    ) -> Result<Self, ParameterError> {
        Ok(Self {
            hidden: at.at("0").linear(input, config.hidden, true)?,
            output: at.at("2").linear(config.hidden, config.output, true)?,
        })
    }

    /// `[S, input]` to `[S, output]`.
    #[must_use]
    pub fn forward(&self, pooled: Tensor<Compute, 2>) -> Tensor<Compute, 2> {
        self.output.forward(activation::relu(self.hidden.forward(pooled)))
    }
}
