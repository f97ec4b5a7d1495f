//! The triage result as data: what `--json` writes and later stages store and send.

use models::engine::{DeviceChoice, Engine, StudyScores};
use models::prepare::PreparedSeries;
use models::study::{LeftOut, Remark};
use models::table::Head;
use models::volume::{Appearance, Preprocessing};
use models::weights::manifest::ProvenanceKind;
use serde::{Deserialize, Serialize};

use super::explain::ExplanationInfo;

/// Version of the JSON. A reader must refuse a higher one; fields are only added within one.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything that is known about a triaged study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriageResult {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What computed it.
    pub model: ModelInfo,
    /// Which study.
    pub study: StudyInfo,
    /// Series that were looked at.
    pub series: Vec<SeriesInfo>,
    /// What was not looked at, with the reason.
    pub left_out: Vec<LeftOut>,
    /// The rules that decided between the two.
    #[serde(default)]
    pub selection: Option<Head>,
    /// Scores, or why there are none.
    pub outcome: Outcome,
    /// Seconds on the wall by stage.
    pub timings: Vec<Timing>,
    /// Which tokens one score rests on, where asked for.
    pub explanation: Option<ExplanationInfo>,
}

/// Scores, or why there are none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The model saw at least one series.
    Analysed {
        /// What it says.
        scores: StudyScores,
    },
    /// The model saw nothing: somebody must look at the study without its help.
    NotAnalysed {
        /// Why.
        reason: String,
    },
}

/// The model behind a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Name in the manifest.
    pub id: String,
    /// Origin of the weights in one word.
    pub provenance: ProvenanceKind,
    /// Origin of the weights in one sentence.
    pub statement: String,
    /// What the model is for.
    pub intended_use: String,
    /// Preprocessing used.
    pub preprocessing: Preprocessing,
    /// Device used.
    pub device: DeviceChoice,
}

/// Which study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyInfo {
    /// Study Instance UID.
    pub uid: String,
    /// Study Description.
    pub description: Option<String>,
}

/// A series that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeriesInfo {
    /// Series Instance UID.
    pub uid: String,
    /// Series Number.
    pub number: Option<i64>,
    /// Name given to the model.
    pub name: String,
    /// Part of the series, such as `b=1000`.
    pub part: Option<String>,
    /// `axial`, `coronal` or `sagittal`.
    pub plane: String,
    /// Columns, rows, slices as acquired.
    pub size_vox: [usize; 3],
    /// Patches of the whole volume.
    pub patches: usize,
    /// Tokens the model read.
    pub tokens: usize,
    /// Distance between columns, rows and slices as acquired; results from before have none.
    #[serde(default)]
    pub spacing_mm: Option<[f64; 3]>,
    /// What its volume looks like; results from before do not say.
    #[serde(default)]
    pub appearance: Option<Appearance>,
    /// Oddities.
    pub remarks: Vec<Remark>,
}

/// Seconds of one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Which stage.
    pub stage: String,
    /// On the wall.
    pub seconds: f64,
}

impl ModelInfo {
    pub(super) fn of(engine: &Engine) -> Self {
        let manifest = engine.bundle().manifest();
        Self {
            id: manifest.id.clone(),
            provenance: manifest.provenance.kind,
            statement: manifest.provenance.statement.clone(),
            intended_use: manifest.intended_use.clone(),
            preprocessing: manifest.preprocessing,
            device: engine.choice(),
        }
    }
}

impl SeriesInfo {
    pub(super) fn of(prepared: &PreparedSeries) -> Self {
        let series = &prepared.series;
        Self {
            uid: series.uid.clone(),
            number: series.number,
            name: series.name.clone(),
            part: series.part.clone(),
            plane: ["axial", "coronal", "sagittal"][prepared.thin_axis].to_owned(),
            size_vox: prepared.acquired_vox,
            patches: prepared.patches,
            tokens: prepared.tokens,
            spacing_mm: Some(prepared.spacing_mm),
            appearance: Some(prepared.appearance),
            remarks: series.remarks.clone(),
        }
    }
}
