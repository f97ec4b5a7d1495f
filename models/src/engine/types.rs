//! What goes into the engine and what comes out: plain data.

use serde::{Deserialize, Serialize};

use super::EngineError;
use crate::dims::TOKEN_FEATURES;
use crate::weights::manifest::Manifest;

/// Tokens of one series: `[T, 289]`, latent values, position, orientation.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SeriesTokens {
    /// C-ordered.
    pub features: Vec<f32>,
}

impl SeriesTokens {
    /// Number of tokens, `T`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.features.len() / TOKEN_FEATURES
    }

    /// True when there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// One token.
    #[must_use]
    pub fn token(&self, index: usize) -> &[f32] {
        &self.features[index * TOKEN_FEATURES..(index + 1) * TOKEN_FEATURES]
    }
}

/// Tokens of every series of a study.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct StudyTokens {
    /// In the order of the study's series.
    pub series: Vec<SeriesTokens>,
}

impl StudyTokens {
    /// Refuses tokens that are not finite: one would make every output of the study NaN.
    pub(super) fn finite(self) -> Result<Self, EngineError> {
        let bad = |s: &SeriesTokens| s.features.iter().any(|v| !v.is_finite());
        match self.series.iter().position(bad) {
            None => Ok(self),
            Some(i) => Err(EngineError::NotFinite { what: format!("a token of series {}", i + 1) }),
        }
    }
}

/// Everything a study is scored from.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct StudyInput {
    /// Tokens of the usable series, at least one.
    pub tokens: StudyTokens,
    /// Series names (specification §1c), one per series.
    pub series_names: Vec<String>,
    /// Study Description (0008,1030), empty when unknown.
    pub study_description: String,
    /// Embedding of the clinical context by the encoder the bundle names. Its absence selects
    /// the heads that read images only.
    pub clinical_context: Option<Vec<f32>>,
}

/// What the model says about a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyScores {
    /// Diagnoses in the bundle's order.
    pub diagnosis: Vec<LabelScore>,
    /// Referrals in the bundle's order.
    pub referral: Vec<LabelScore>,
    /// Classes of the priority head in its order.
    pub priority: Vec<ClassScore>,
    /// Age in years that the images look like, where the model has a head for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_years: Option<f32>,
    /// True when heads that read the clinical context were used.
    pub with_context: bool,
    /// The study embedding every head read.
    #[serde(skip)]
    pub embedding: Vec<f32>,
}

/// One label's score. `logit` and `margin` are never probabilities; `probability` is there only
/// when the bundle carries a calibration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelScore {
    /// Label.
    pub name: String,
    /// Output of the head.
    pub logit: f32,
    /// Logit minus the fitted threshold: positive when >= 0. The published pipeline's value.
    pub margin: f32,
    /// Calibrated probability.
    pub probability: Option<f32>,
}

/// One class of the priority head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// Class.
    pub name: String,
    /// Output of the head.
    pub logit: f32,
    /// Calibrated probability.
    pub probability: Option<f32>,
}

impl LabelScore {
    /// At or above the fitted threshold.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.margin >= 0.0
    }
}

/// An output that can be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A diagnosis by name.
    Diagnosis(String),
    /// A referral by name.
    Referral(String),
    /// A priority class by name.
    Priority(String),
}

impl Target {
    /// The output of a model that has this name.
    ///
    /// # Errors
    ///
    /// When there is none; lists those there are.
    pub fn find(manifest: &Manifest, name: &str) -> Result<Self, EngineError> {
        let owned = name.to_owned();
        if manifest.diagnosis.iter().any(|head| head.name == name) {
            Ok(Self::Diagnosis(owned))
        } else if manifest.referral.iter().any(|head| head.name == name) {
            Ok(Self::Referral(owned))
        } else if manifest.priority.iter().any(|head| head.classes.contains(&owned)) {
            Ok(Self::Priority(owned))
        } else {
            Err(Self::unknown(manifest, name))
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Diagnosis(name) | Self::Referral(name) | Self::Priority(name) => name,
        }
    }

    pub(super) fn unknown(manifest: &Manifest, name: &str) -> EngineError {
        let heads = manifest.diagnosis.iter().chain(&manifest.referral).map(|head| &head.name);
        let classes = manifest.priority.iter().flat_map(|head| &head.classes);
        let known = heads.chain(classes).map(String::as_str).collect::<Vec<_>>().join(", ");
        EngineError::Target { name: name.to_owned(), known }
    }
}
