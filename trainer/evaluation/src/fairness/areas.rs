//! Mean area under the ROC curve in every group: the radar plot (Extended Data Fig. 10a).

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statistics::bootstrap::Ranked;
use statistics::sample::mean;

use super::groups::{Group, Members};
use crate::set::Set;

/// How well the model ranks within a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupArea {
    /// Who.
    pub group: Group,
    /// Diagnoses with positive and negative studies in the group.
    pub diagnoses: usize,
    /// Mean over these diagnoses; `None` when there are none.
    pub mean_auroc: Option<f64>,
    /// The mean of all studies over the same diagnoses: a group without the hard ones is not
    /// better for that.
    pub mean_auroc_population: Option<f64>,
}

/// The groups in their order.
pub(super) fn areas(set: &Set, groups: &[Members]) -> Vec<GroupArea> {
    let everyone = vec![1; set.studies.len()];
    let counts = groups.iter().map(|members| {
        let mut counts = vec![0; set.studies.len()];
        members.studies.iter().for_each(|study| counts[*study] = 1);
        counts
    });
    let counts: Vec<Vec<u32>> = [everyone].into_iter().chain(counts).collect();
    // By diagnosis: everyone, then the groups; not a number where a class is missing.
    let by_diagnosis: Vec<Vec<f64>> = (0..set.header.diagnoses.len())
        .into_par_iter()
        .filter_map(|diagnosis| Ranked::new(&set.logits(diagnosis), &set.has(diagnosis)))
        .map(|ranked| counts.iter().map(|counts| ranked.auroc(counts)).collect())
        .collect();
    let of = |(place, members): (usize, &Members)| {
        let there = by_diagnosis.iter().filter(|areas| areas[place].is_finite());
        let (own, all): (Vec<f64>, Vec<f64>) = there.map(|areas| (areas[place], areas[0])).unzip();
        let some = |areas: &[f64]| (!areas.is_empty()).then(|| mean(areas));
        GroupArea {
            group: members.group.clone(),
            diagnoses: own.len(),
            mean_auroc: some(&own),
            mean_auroc_population: some(&all),
        }
    };
    (1..).zip(groups).map(of).collect()
}
