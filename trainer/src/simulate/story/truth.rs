//! What the simulator knows: labels and lesions.

use std::collections::BTreeMap;

use models::labels::DIAGNOSES;

use crate::cohort::record::{Acuity, LabelSource, LesionTruth, StudyLabels, StudyTruth};
use crate::simulate::disease::{Finding, Lesion};

/// Which of the diagnoses are present, in the order of [`DIAGNOSES`].
#[must_use]
pub fn present(findings: &[Finding]) -> Vec<bool> {
    let mut present = vec![false; DIAGNOSES.len()];
    for finding in findings {
        present[finding.diagnosis] = true;
    }
    present
}

/// The labels of a study. `triage` gives acuity and services of a set of diagnoses.
#[must_use]
pub fn labels(
    id: &str,
    findings: &[Finding],
    triage: impl FnOnce(&[bool]) -> (Acuity, Vec<String>),
) -> StudyLabels {
    let diagnoses = present(findings);
    let (acuity, referrals) = triage(&diagnoses);
    StudyLabels { id: id.to_owned(), source: LabelSource::Truth, diagnoses, acuity, referrals }
}

/// The lesions of a study. `contrast_to_noise` is by component and series folder. Findings
/// without a component, such as a shift of the midline, follow with component 0 and no volume.
#[must_use]
pub fn truth(
    id: &str,
    seed: u64,
    findings: &[Finding],
    lesions: &[Lesion],
    contrast_to_noise: &BTreeMap<u8, BTreeMap<String, f32>>,
) -> StudyTruth {
    let drawn = lesions.iter().map(|lesion| {
        let mut diagnoses: Vec<usize> = findings
            .iter()
            .filter(|finding| finding.component == Some(lesion.component))
            .map(|finding| finding.diagnosis)
            .chain([lesion.diagnosis])
            .collect();
        diagnoses.sort_unstable();
        diagnoses.dedup();
        LesionTruth {
            component: lesion.component,
            diagnoses,
            place: lesion.place.clone(),
            volume_ml: lesion.volume_ml,
            diameter_mm: lesion.diameter_mm,
            contrast_to_noise: contrast_to_noise
                .get(&lesion.component)
                .cloned()
                .unwrap_or_default(),
        }
    });
    let structural =
        findings.iter().filter(|finding| finding.component.is_none()).map(|finding| LesionTruth {
            component: 0,
            diagnoses: vec![finding.diagnosis],
            place: finding.places.first().map_or_else(String::new, |place| place.text()),
            volume_ml: 0.0,
            diameter_mm: finding.size_mm[0],
            contrast_to_noise: BTreeMap::new(),
        });
    StudyTruth { id: id.to_owned(), seed, lesions: drawn.chain(structural).collect() }
}
