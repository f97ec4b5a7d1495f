//! P3: how the box is, and what became of its studies. Nothing here names a patient.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How the box is, once an hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// Version of the program.
    pub software: String,
    /// Model that is in force: name and SHA-256; empty without one.
    pub model: String,
    /// SHA-256 of its manifest.
    pub model_sha256: String,
    /// The model is switched off.
    pub killed: bool,
    /// `synchronised`, `unsynchronised`, or what the box says of its clock.
    pub clock: String,
    /// Of the fullest disk, percent.
    pub disk_percent: u32,
    /// Hottest graphics processor, degrees Celsius.
    pub gpu_c: Option<u32>,
    /// Studies received since the last row of this kind.
    pub studies: u32,
    /// Rows of the outbox that wait, by priority.
    pub backlog: [u64; 4],
    /// Rows that were given up.
    pub dead: u64,
    /// For each label the share of studies with that finding, of the last 200 studies; with what
    /// the bundle's own validation had, drift is seen.
    pub finding_rates: BTreeMap<String, f32>,
    /// Alarms of the watch on scanners that are open there, whether or not somebody has
    /// acknowledged them. Left out where there is none, so that a hub that does not know the field
    /// takes the row.
    #[serde(default, skip_serializing_if = "is_none")]
    pub quality_alarms: u32,
}

fn is_none(alarms: &u32) -> bool {
    *alarms == 0
}

/// What became of one study.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Stands for the study, so that a later outcome replaces an earlier one; says nothing else.
    pub case: String,
    /// `analysed`, `not_analysed`.
    pub outcome: String,
    /// Word of the reason, when not analysed.
    pub reason: String,
    /// `none` to `high`; empty without a result.
    pub acuity: String,
    /// `M`, `F`, `O`, or empty.
    pub sex: String,
    /// `0-17`, `18-39`, `40-64`, `65+`, or empty.
    pub age_band: String,
    /// Manufacturer of the scanner.
    pub vendor: String,
    /// From the first image to the result, seconds.
    pub result_s: Option<i64>,
    /// From the first image to the reader's decision, seconds.
    pub decision_s: Option<i64>,
    /// The reader's word on the findings: `agreed`, `disagreed`, or empty.
    pub verdict: String,
    /// Findings that the reader confirmed, and all of them: for the positive predictive value.
    pub confirmed: u32,
    /// All findings that the reader has judged.
    pub judged: u32,
    /// The reader changed acuity or findings.
    pub overridden: bool,
}

/// The last entry of the box's audit chain: a chain that is cut short later is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditHead {
    /// Number of the entry.
    pub seq: i64,
    /// Its hash, hexadecimal.
    pub hash: String,
}
