//! How well a model does in groups of patients and scanners.

use std::collections::{BTreeMap, HashMap};

use models::engine::StudyScores;
use serde::{Deserialize, Serialize};

use crate::cohort::Cohort;
use crate::cohort::record::{Demographics, StudyLabels};
use statistics::metrics::auroc;

/// One group of studies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupMetrics {
    /// What divides the groups.
    pub attribute: String,
    /// Which group.
    pub group: String,
    /// Its studies.
    pub studies: usize,
    /// Mean over the diagnoses that have positives and negatives in the group.
    pub mean_auroc: Option<f64>,
}

/// What divides studies into groups.
const ATTRIBUTES: [&str; 6] =
    ["age", "sex", "county", "insurance", "manufacturer", "field strength"];

/// The group of a study in each of [`ATTRIBUTES`], where it is known.
fn groups_of(of: &Demographics) -> [Option<String>; ATTRIBUTES.len()] {
    let said = |value: String| value.to_lowercase();
    [
        of.age_years.map(|years| {
            let band = match years {
                ..18.0 => "below 18",
                ..40.0 => "18 to 39",
                ..65.0 => "40 to 64",
                _ => "65 and above",
            };
            band.to_owned()
        }),
        of.sex.map(|sex| said(format!("{sex:?}"))),
        of.county_density.map(|density| said(format!("{density:?}"))),
        of.insurance.map(|insurance| said(format!("{insurance:?}"))),
        of.manufacturer.clone(),
        of.field_t.map(|tesla| format!("{tesla} T")),
    ]
}

/// Mean AUROC in every group. `known` pairs outputs of the model with diagnoses of the labels.
pub(super) fn groups(
    cohort: &Cohort,
    scored: &[(&str, StudyScores)],
    labels: &[&StudyLabels],
    known: &[(usize, usize)],
) -> Vec<GroupMetrics> {
    let records: HashMap<&str, &Demographics> =
        cohort.records.iter().map(|r| (r.id.as_str(), &r.demographics)).collect();
    let mut members: BTreeMap<(usize, String), Vec<usize>> = BTreeMap::new();
    for (study, (id, _)) in scored.iter().enumerate() {
        let found = records.get(id).map(|of| groups_of(of)).unwrap_or_default();
        for (attribute, group) in found.into_iter().enumerate() {
            if let Some(group) = group {
                members.entry((attribute, group)).or_default().push(study);
            }
        }
    }
    let groups = members.into_iter().map(|((attribute, group), members)| {
        let areas: Vec<f64> = known
            .iter()
            .filter_map(|&(output, diagnosis)| {
                let logit = |study: &usize| f64::from(scored[*study].1.diagnosis[output].logit);
                let scores: Vec<f64> = members.iter().map(logit).collect();
                let truth: Vec<bool> =
                    members.iter().map(|study| labels[*study].diagnoses[diagnosis]).collect();
                Some(auroc(&scores, &truth)?.value)
            })
            .collect();
        let mean = areas.iter().sum::<f64>() / areas.len() as f64;
        GroupMetrics {
            attribute: ATTRIBUTES[attribute].to_owned(),
            group,
            studies: members.len(),
            mean_auroc: (!areas.is_empty()).then_some(mean),
        }
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_fall_into_bands_and_what_is_unknown_into_none() {
        let of = |age_years| groups_of(&Demographics { age_years, ..Demographics::default() });
        assert_eq!(of(Some(17.9))[0].as_deref(), Some("below 18"));
        assert_eq!(of(Some(18.0))[0].as_deref(), Some("18 to 39"));
        assert_eq!(of(Some(90.0))[0].as_deref(), Some("65 and above"));
        assert_eq!(of(None), <[Option<String>; ATTRIBUTES.len()]>::default());
    }
}
