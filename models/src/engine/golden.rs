//! The golden study: a small phantom that every model is asked about when it is made and again
//! wherever it starts. A driver that computes wrong numbers, a damaged file or another program
//! version shows here and not in a patient's study.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{DeviceChoice, Engine, EngineError, Precision, StudyInput, StudyScores};
use crate::dims::{PATCH_IN_PLANE_VOX, PATCH_THIN_VOX, PATCH_VOX};
use crate::tokens::{SeriesPatches, StudyPatches};
use crate::weights::bundle::{Bundle, BundleError};
use crate::weights::manifest::{Golden, MANIFEST};

/// Accepted difference of a logit in single precision, relative to 1 + its size: a hundred times
/// what devices were seen to differ by.
const TOLERANCE: f32 = 1e-3;
/// Half precision keeps 11 bits of the 24.
const HALF_FACTOR: f32 = 50.0;
/// Patches of each series.
const PATCHES: usize = 3;

/// Outcome of a self-test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// The logits are those of the manifest, within its tolerance.
    pub passed: bool,
    /// Largest difference of a logit, relative to 1 + its size; `None` when the bundle carries
    /// no golden logits, so that only finite values could be asked for.
    pub worst: Option<f32>,
    /// What was accepted.
    pub tolerance: f32,
}

/// Why golden logits could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The bundle is refused.
    #[error("the new bundle cannot be opened")]
    Bundle(#[from] BundleError),
    /// The network failed.
    #[error("the golden study cannot be scored")]
    Engine(#[from] EngineError),
    /// The manifest cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The manifest.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The manifest is no TOML.
    #[error("the manifest cannot be written as TOML")]
    Manifest(#[from] toml::ser::Error),
}

/// The golden study: one series of each orientation, each of three patches of a bright ball.
#[must_use]
pub fn patches() -> StudyPatches {
    let series = (0..3).map(|thin_axis| SeriesPatches {
        thin_axis,
        voxels: (0..PATCHES).flat_map(|patch| ball(thin_axis, patch)).collect(),
        coordinates: (0u32..).map(|i| [8 * i, 32 * i, 64]).take(PATCHES).collect(),
        sequence: (0u32..).take(PATCHES).collect(),
    });
    StudyPatches { series: series.collect() }
}

/// A patch, C-ordered `[z, y, x]`. Whole numbers and one division, so that every machine gets the
/// same bits.
fn ball(thin_axis: usize, patch: usize) -> impl Iterator<Item = f32> {
    let mut shape = [PATCH_IN_PLANE_VOX; 3];
    shape[thin_axis] = PATCH_THIN_VOX;
    (0..PATCH_VOX).map(move |i| {
        let at = [i / (shape[1] * shape[2]), i / shape[2] % shape[1], i % shape[2]];
        let distance: usize = (0..3).map(|a| (2 * at[a] + 1).abs_diff(shape[a]).pow(2)).sum();
        let radius = 400 + 300 * patch;
        #[expect(clippy::cast_precision_loss, reason = "below 2^24")]
        let value = radius.saturating_sub(distance) as f32 / radius as f32;
        value
    })
}

impl Engine {
    /// Scores the golden study.
    fn score_golden(&self) -> Result<StudyScores, EngineError> {
        self.score(&StudyInput {
            tokens: self.encode(&patches(), |_| {})?,
            series_names: ["AX T1", "COR T2", "SAG FLAIR"].map(str::to_owned).to_vec(),
            study_description: "MRI BRAIN".to_owned(),
            clinical_context: None,
        })
    }

    /// Compares the golden study's logits with those of the manifest.
    ///
    /// # Errors
    ///
    /// When the model cannot score at all, or gives values that are not finite.
    pub fn self_test(&self) -> Result<SelfTest, EngineError> {
        let scores = self.score_golden()?;
        let Some(golden) = &self.bundle.manifest().golden else {
            return Ok(SelfTest { passed: true, worst: None, tolerance: TOLERANCE });
        };
        let found = logits(&scores);
        let expected = [&golden.diagnosis, &golden.referral, &golden.priority];
        let pairs = found.iter().flatten().zip(expected.into_iter().flatten());
        let worst = pairs.map(|(f, e)| (f - e).abs() / (1.0 + e.abs())).fold(0.0, f32::max);
        let half = self.dtype != Precision::Full.dtype();
        let tolerance = golden.tolerance * if half { HALF_FACTOR } else { 1.0 };
        Ok(SelfTest { passed: worst <= tolerance, worst: Some(worst), tolerance })
    }
}

/// Diagnosis, referral, priority.
fn logits(scores: &StudyScores) -> [Vec<f32>; 3] {
    [
        scores.diagnosis.iter().map(|score| score.logit).collect(),
        scores.referral.iter().map(|score| score.logit).collect(),
        scores.priority.iter().map(|score| score.logit).collect(),
    ]
}

/// Writes the golden logits into the manifest of a bundle that was just made.
///
/// # Errors
///
/// When the bundle does not open, cannot score, or its manifest cannot be written.
pub fn record(folder: &Path) -> Result<(), RecordError> {
    let engine = Engine::open(Bundle::open(folder)?, DeviceChoice::Cpu, Precision::Full)?;
    let [diagnosis, referral, priority] = logits(&engine.score_golden()?);
    let mut manifest = engine.bundle().manifest().clone();
    manifest.golden = Some(Golden { tolerance: TOLERANCE, diagnosis, referral, priority });
    let path = folder.join(MANIFEST);
    let text = toml::to_string_pretty(&manifest)?;
    fs::write(&path, text).map_err(|source| RecordError::Write { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_golden_study_is_the_same_everywhere() {
        let study = patches();
        assert_eq!(study.series.len(), 3);
        for series in &study.series {
            assert_eq!(series.voxels.len(), PATCHES * PATCH_VOX);
            assert!(series.voxels.iter().any(|v| *v > 0.9));
            assert!(series.voxels.iter().all(|v| (0.0..=1.0).contains(v)));
        }
        // Bits, not values: a sum of squares would hide a difference.
        let fold =
            |bits: u64, v: &f32| (bits ^ u64::from(v.to_bits())).wrapping_mul(0x100_0000_01b3);
        let voxels = study.series.iter().flat_map(|s| &s.voxels);
        assert_eq!(voxels.fold(0xcbf2_9ce4_8422_2325, fold), BITS);
    }

    const BITS: u64 = 11_384_739_802_004_359_133;
}
