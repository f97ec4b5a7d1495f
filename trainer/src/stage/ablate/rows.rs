//! What each ablation of the paper changes.

use serde::{Deserialize, Serialize};

use crate::stage::clip::{Architecture, ClipRun, ImagesConfig, ReportText, Variant};

/// An ablation of the paper ("Model Design Ablations").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ablation {
    /// The reference.
    #[serde(rename = "prima")]
    Prima,
    /// Every series is called `unk`.
    #[serde(rename = "no_series_names")]
    NoSeriesNames,
    /// No token for the study's description.
    #[serde(rename = "no_study_description")]
    NoStudyDescription,
    /// One ViT over the tokens of all series.
    #[serde(rename = "flat_vit")]
    FlatVit,
    /// Slices by a residual network in place of the volume tokenizer.
    #[serde(rename = "cnn_2d")]
    Cnn2d,
    /// Volumes by a residual network in place of tokenizer and sequence ViT.
    #[serde(rename = "cnn_3d")]
    Cnn3d,
    /// Reports as they were dictated.
    #[serde(rename = "long_reports")]
    LongReports,
    /// Series of a study are not pulled together.
    #[serde(rename = "no_patient_discrimination")]
    NoPatientDiscrimination,
    /// The flat ViT without names, description, patient discrimination, and dropout of series and
    /// tokens (paper: "Simple ViT").
    #[serde(rename = "plain_vit")]
    PlainVit,
}

impl Ablation {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![
            Self::Prima,
            Self::NoSeriesNames,
            Self::NoStudyDescription,
            Self::FlatVit,
            Self::Cnn2d,
            Self::Cnn3d,
            Self::LongReports,
            Self::NoPatientDiscrimination,
            Self::PlainVit,
        ]
    }

    /// Name of the row, and the same for people.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Prima => ("prima", "Prima"),
            Self::NoSeriesNames => ("no_series_names", "without series names"),
            Self::NoStudyDescription => ("no_study_description", "without study description"),
            Self::FlatVit => ("flat_vit", "flat ViT"),
            Self::Cnn2d => ("cnn_2d", "2-D CNN"),
            Self::Cnn3d => ("cnn_3d", "3-D CNN"),
            Self::LongReports => ("long_reports", "long reports"),
            Self::NoPatientDiscrimination => {
                ("no_patient_discrimination", "without patient discrimination")
            }
            Self::PlainVit => ("plain_vit", "plain ViT"),
        }
    }

    /// Makes the change in a run of the reference.
    pub(super) fn change(self, run: &mut ClipRun, images: &ImagesConfig) {
        let variant = &mut run.variant;
        match self {
            Self::Prima => {}
            Self::NoSeriesNames => variant.series_names = false,
            Self::NoStudyDescription => variant.study_description = false,
            Self::FlatVit => variant.architecture = Architecture::FlatVit,
            Self::Cnn2d => {
                (variant.architecture, variant.images) = (Architecture::Cnn2d, images.clone());
            }
            Self::Cnn3d => {
                (variant.architecture, variant.images) = (Architecture::Cnn3d, images.clone());
            }
            Self::LongReports => variant.report = ReportText::Long,
            Self::NoPatientDiscrimination => run.objective.patient_discrimination = 0.0,
            Self::PlainVit => {
                *variant = Variant {
                    architecture: Architecture::PlainVit,
                    series_names: false,
                    study_description: false,
                    ..Variant::default()
                };
                run.objective.patient_discrimination = 0.0;
                run.augmentation.series_dropout = 0.0;
                run.augmentation.token_dropout = 0.0;
            }
        }
    }
}
