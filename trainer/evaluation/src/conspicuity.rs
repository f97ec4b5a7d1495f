//! How large and how plain a simulated lesion must be to be found.

use serde::{Deserialize, Serialize};
use statistics::metrics::{auroc, mean};

use crate::set::{Lesion, Set, Study};

/// Diameters in millimetres at which bins begin.
const DIAMETERS_MM: [f64; 4] = [0.0, 8.0, 15.0, 30.0];
/// Contrasts to noise at which bins begin.
const CONTRASTS: [f64; 4] = [0.0, 2.0, 5.0, 10.0];

/// Areas by the most conspicuous lesion of a diagnosis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conspicuity {
    /// By its diameter in millimetres.
    pub diameter_mm: Vec<Bin>,
    /// By its largest contrast to noise in any series.
    pub contrast_to_noise: Vec<Bin>,
}

/// Studies whose lesion lies in a bin, against studies without the diagnosis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Where the bin begins.
    pub from: f64,
    /// Where it ends; none for the last.
    pub to: Option<f64>,
    /// Pairs of study and diagnosis in it.
    pub positives: usize,
    /// Mean area over the diagnoses that have any.
    pub mean_auroc: Option<f64>,
}

impl Bin {
    /// Its ends, for people.
    #[must_use]
    pub fn name(&self) -> String {
        match self.to {
            Some(to) => format!("{} to {to}", self.from),
            None => format!("{} and more", self.from),
        }
    }
}

/// Bins of a set; none when no study has lesions.
#[must_use]
pub fn conspicuity(set: &Set) -> Option<Conspicuity> {
    set.studies.iter().any(|study| !study.lesions.is_empty()).then(|| Conspicuity {
        diameter_mm: bins(set, &DIAMETERS_MM, |lesion| lesion.diameter_mm),
        contrast_to_noise: bins(set, &CONTRASTS, |lesion| lesion.contrast_to_noise),
    })
}

fn bins(set: &Set, edges: &[f64], of: fn(&Lesion) -> f64) -> Vec<Bin> {
    let largest = |study: &Study, diagnosis: usize| {
        let own = study.lesions.iter().filter(|l| l.diagnoses.contains(&diagnosis));
        own.map(of).reduce(f64::max)
    };
    let bin = |(i, from): (usize, &f64)| {
        let to = edges.get(i + 1).copied();
        let (mut positives, mut areas) = (0, Vec::new());
        for diagnosis in 0..set.header.diagnoses.len() {
            let (mut scores, mut truth) = (Vec::new(), Vec::new());
            for study in &set.studies {
                let positive = study.truth.diagnoses.contains(&diagnosis);
                let inside = || {
                    largest(study, diagnosis)
                        .is_some_and(|value| value >= *from && to.is_none_or(|to| value < to))
                };
                if !positive || inside() {
                    scores.push(f64::from(study.scores.diagnosis[diagnosis]));
                    truth.push(positive);
                }
            }
            if let Some(area) = auroc(&scores, &truth) {
                positives += area.positives;
                areas.push(area.value);
            }
        }
        let mean_auroc = (!areas.is_empty()).then(|| mean(&areas));
        Bin { from: *from, to, positives, mean_auroc }
    };
    edges.iter().enumerate().map(bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::tests::set;

    #[test]
    fn a_lesion_counts_in_the_bin_of_its_size() {
        let mut set = set(6, 1, |i| if i < 2 { vec![0] } else { vec![] });
        assert_eq!(conspicuity(&set), None);
        // The large one scores highest, the small one lowest.
        for (i, diameter_mm) in [(0, 20.0), (1, 3.0)] {
            set.studies[i].lesions =
                vec![Lesion { diagnoses: vec![0], diameter_mm, contrast_to_noise: 4.0 }];
        }
        set.studies[0].scores.diagnosis = vec![1.0];
        set.studies[1].scores.diagnosis = vec![-1.0];
        let found = conspicuity(&set).unwrap();
        let shown: Vec<_> = found
            .diameter_mm
            .iter()
            .map(|bin| (bin.name(), bin.positives, bin.mean_auroc))
            .collect();
        assert_eq!(shown[0], ("0 to 8".to_owned(), 1, Some(0.0)));
        assert_eq!(shown[1], ("8 to 15".to_owned(), 0, None));
        assert_eq!(shown[2], ("15 to 30".to_owned(), 1, Some(1.0)));
        assert_eq!(found.contrast_to_noise[1].mean_auroc, Some(0.5));
    }
}
