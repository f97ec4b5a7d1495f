//! What a cohort says about its studies: one JSON line each. No patient data: ids are pseudonyms,
//! dates are day numbers, ages of 90 and more are written as 90.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

/// One study, a line of `cohort.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyRecord {
    /// Pseudonym of the study, also its folder below `studies/`.
    pub id: String,
    /// Pseudonym of the patient; a patient is in one split only.
    pub patient: String,
    /// What the study is used for.
    pub split: Split,
    /// Day of acquisition since the cohort's first day.
    pub day: u32,
    /// Study Description (0008,1030).
    pub description: String,
    /// The radiologist's report, de-identified.
    pub report: Report,
    /// Who was examined where, as far as it is known.
    pub demographics: Demographics,
}

/// What a study is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Weights are fitted on it.
    Train,
    /// Checkpoints, thresholds and calibration are chosen on it.
    Validation,
    /// Results are reported on it.
    Test,
}

/// Sections of a radiology report, plain text; an absent section is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Why the study was asked for.
    pub indication: String,
    /// Sequences and contrast agent.
    pub technique: String,
    /// Earlier studies it was compared with.
    pub comparison: String,
    /// What was seen.
    pub findings: String,
    /// What it means.
    pub impression: String,
}

/// Who was examined where. Fields that a hospital does not export are `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Demographics {
    /// Age at the study, at most 90.
    pub age_years: Option<f32>,
    /// Sex as recorded.
    pub sex: Option<Sex>,
    /// How densely the patient's county is settled.
    pub county_density: Option<Density>,
    /// Who pays.
    pub insurance: Option<Insurance>,
    /// Where the patient came from.
    pub setting: Option<Setting>,
    /// Day of the week, Monday is 0.
    pub weekday: Option<u8>,
    /// Maker of the scanner.
    pub manufacturer: Option<String>,
    /// Its model name.
    pub model: Option<String>,
    /// Its field strength in tesla.
    pub field_t: Option<f32>,
    /// Hours from acquisition to the final report.
    pub turnaround_h: Option<f32>,
}

/// Sex as recorded (0010,0040).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sex {
    /// F
    Female,
    /// M
    Male,
    /// O
    Other,
}

/// How densely a county is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Density {
    /// Countryside.
    Rural,
    /// Between.
    Suburban,
    /// City.
    Urban,
}

/// Who pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Insurance {
    /// Paid by the state.
    Government,
    /// Private.
    Private,
    /// None.
    Uninsured,
}

/// Where a patient came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// From a ward.
    Inpatient,
    /// From home.
    Outpatient,
    /// From the emergency department.
    Emergency,
}

/// Labels of a study, a line of `labels.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyLabels {
    /// The study.
    pub id: String,
    /// Who says so.
    pub source: LabelSource,
    /// One per entry of [`models::labels::DIAGNOSES`], in its order.
    pub diagnoses: Vec<bool>,
    /// How urgent.
    pub acuity: Acuity,
    /// Services of the referral table that should see the patient.
    pub referrals: Vec<String>,
}

/// Who labelled a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelSource {
    /// The simulator, which knows.
    Truth,
    /// The rules on the report.
    Rules,
    /// A language model on the report.
    LanguageModel,
    /// A reader's decision on the appliance.
    Reader,
}

/// Acuity of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acuity {
    /// Nothing to act on.
    None,
    /// Routine.
    Low,
    /// Soon.
    Medium,
    /// Now.
    High,
}

/// What a simulated study shows, a line of `truth.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyTruth {
    /// The study.
    pub id: String,
    /// Seed that makes the study again.
    pub seed: u64,
    /// Every lesion with its place in the masks.
    pub lesions: Vec<LesionTruth>,
}

impl StudyTruth {
    /// Diagnoses of every lesion that is in the masks, by its value there.
    #[must_use]
    pub fn by_component(&self) -> HashMap<u8, Vec<usize>> {
        let mut by_component: HashMap<u8, Vec<usize>> = HashMap::new();
        for lesion in self.lesions.iter().filter(|l| l.component > 0) {
            by_component.entry(lesion.component).or_default().extend(&lesion.diagnoses);
        }
        by_component
    }
}

/// Diagnoses of the lesions in a token, whose bit `c - 1` says that component `c` is in it.
pub fn in_token(
    bits: u16,
    by_component: &HashMap<u8, Vec<usize>>,
) -> impl Iterator<Item = usize> + '_ {
    let there = (1..=16u8).filter(move |c| bits >> (c - 1) & 1 == 1);
    there.flat_map(|c| by_component.get(&c).into_iter().flatten().copied())
}

/// One simulated lesion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LesionTruth {
    /// Its value in the masks; 0 when it has none (a displacement, for example).
    pub component: u8,
    /// Every diagnosis it stands for: an index of [`models::labels::DIAGNOSES`].
    pub diagnoses: Vec<usize>,
    /// Where, in a report's words.
    pub place: String,
    /// Volume.
    pub volume_ml: f32,
    /// Diameter of a ball of that volume.
    pub diameter_mm: f32,
    /// Contrast to noise against the tissue around it, by series folder.
    pub contrast_to_noise: BTreeMap<String, f32>,
}
