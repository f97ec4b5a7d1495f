//! What a model loses without some of its series (paper, Extended Data Fig. 6d).

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use statistics::metrics::{auroc, mean};

use crate::set::{Dropped, Set};

/// Loss without one kind of series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dropping {
    /// What was left out.
    pub without: String,
    /// Studies that have such series and others; both areas are on these.
    pub studies: usize,
    /// Mean loss over the diagnoses.
    pub mean_loss: Option<f64>,
    /// Diagnoses from the largest loss.
    pub labels: Vec<Loss>,
}

/// Loss of one diagnosis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// As people say it.
    pub title: String,
    /// Studies that have it.
    pub positives: usize,
    /// Area with all series.
    pub whole: f64,
    /// Area without.
    pub dropped: f64,
}

/// Loss without each kind of series; studies that the set does not hold count for nothing.
#[must_use]
pub fn dropping(set: &Set, dropped: &[Dropped]) -> Vec<Dropping> {
    let places: HashMap<&str, usize> =
        set.studies.iter().enumerate().map(|(i, s)| (s.id.as_str(), i)).collect();
    let mut kinds: BTreeMap<&str, Vec<(usize, &Dropped)>> = BTreeMap::new();
    for one in dropped {
        if let Some(study) = places.get(one.id.as_str()) {
            kinds.entry(&one.without).or_default().push((*study, one));
        }
    }
    let measured = kinds.into_iter().map(|(without, rows)| {
        let outputs = set.header.diagnoses.iter().enumerate();
        let mut labels: Vec<Loss> = outputs
            .filter_map(|(d, output)| {
                let truth: Vec<bool> = rows
                    .iter()
                    .map(|(study, _)| set.studies[*study].truth.diagnoses.contains(&d))
                    .collect();
                let whole = rows.iter().map(|(s, _)| set.studies[*s].scores.diagnosis[d]);
                let left = rows.iter().map(|(_, one)| one.diagnosis.get(d).copied());
                let whole: Vec<f64> = whole.map(f64::from).collect();
                let left: Option<Vec<f64>> = left.map(|logit| logit.map(f64::from)).collect();
                let whole = auroc(&whole, &truth)?;
                let dropped = auroc(&left?, &truth)?.value;
                let positives = whole.positives;
                Some(Loss { title: output.title.clone(), positives, whole: whole.value, dropped })
            })
            .collect();
        labels.sort_by(|a, b| (b.whole - b.dropped).total_cmp(&(a.whole - a.dropped)));
        let losses: Vec<f64> = labels.iter().map(|loss| loss.whole - loss.dropped).collect();
        Dropping {
            without: without.to_owned(),
            studies: rows.len(),
            mean_loss: (!losses.is_empty()).then(|| mean(&losses)),
            labels,
        }
    });
    measured.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::tests::set;

    #[test]
    fn the_largest_loss_comes_first() {
        let mut set = set(6, 2, |i| if i < 3 { vec![0, 1] } else { vec![] });
        for (i, study) in set.studies.iter_mut().enumerate() {
            study.scores.diagnosis = vec![-(i as f32), -(i as f32)];
        }
        let dropped: Vec<Dropped> = (0..6)
            .map(|i| Dropped {
                id: format!("s{i}"),
                without: "T2".to_owned(),
                diagnosis: vec![-(i as f32), i as f32],
            })
            .collect();
        let [found] = &dropping(&set, &dropped)[..] else { panic!("one kind") };
        assert_eq!((found.without.as_str(), found.studies), ("T2", 6));
        assert_eq!(found.mean_loss, Some(0.5));
        let [first, second] = &found.labels[..] else { panic!("{found:?}") };
        assert_eq!((first.title.as_str(), first.whole, first.dropped), ("diagnosis 1", 1.0, 0.0));
        assert_eq!((second.dropped, second.positives), (1.0, 3));
    }
}
