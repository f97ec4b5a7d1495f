//! How well the worklist would be ordered (paper, Fig. 2d, Extended Data Fig. 9a).

use crate::plain::Share;
use serde::{Deserialize, Serialize};
use statistics::agreement::ConfusionMatrix;
use statistics::metrics::{Correlation, pearson_test, spearman_test};

use crate::plain::Spread;
use crate::set::{Scores, Set, Study};

/// Acuity as the model sees it beside the true one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Priority {
    /// Classes from the least urgent.
    pub classes: Vec<String>,
    /// Studies with a true class and a score.
    pub studies: usize,
    /// Expected class against true class.
    pub pearson: Option<Correlation>,
    /// The same by ranks.
    pub spearman: Option<Correlation>,
    /// Expected class, 0 to 1, of the studies of each true class.
    pub spread: Vec<Option<Spread>>,
    /// `confusion[truth][predicted]`: studies by true class and most probable class.
    pub confusion: Vec<Vec<usize>>,
    /// Agreement weighted by the squared distance of the classes (Cohen 1968).
    pub quadratic_kappa: Option<f64>,
    /// Studies of the most urgent class taken for the least urgent one, or the other way round.
    pub opposite: Option<Share>,
}

/// Acuity of a set; none when the model has no classes or no study has a true one.
#[must_use]
pub fn priority(set: &Set) -> Option<Priority> {
    of(set, |study| &study.scores.acuity)
}

/// The same with the logits that `logits` gives, in the order of the classes.
fn of(set: &Set, logits: impl Fn(&Study) -> &Vec<f32>) -> Option<Priority> {
    let classes = &set.header.acuity;
    let k = classes.len();
    let told: Vec<(usize, &Vec<f32>)> = set
        .studies
        .iter()
        .filter_map(|study| Some((study.truth.acuity?, logits(study))))
        .filter(|(_, logits)| logits.len() == k && k > 1)
        .collect();
    if told.is_empty() {
        return None;
    }
    let top = (k - 1) as f64;
    let expected: Vec<f64> = told.iter().map(|(_, row)| expected_class(row) / top).collect();
    let truth: Vec<f64> = told.iter().map(|(class, _)| *class as f64 / top).collect();
    let mut confusion = vec![vec![0; k]; k];
    for (class, row) in &told {
        confusion[*class][most_probable(row)] += 1;
    }
    let spread = (0..k).map(|class| {
        let own = told.iter().zip(&expected).filter(|((c, _), _)| *c == class);
        Spread::of(own.map(|(_, value)| *value))
    });
    let ends = |class: usize| confusion[class].iter().sum::<usize>();
    let opposite = confusion[0][k - 1] + confusion[k - 1][0];
    Some(Priority {
        classes: classes.clone(),
        studies: told.len(),
        pearson: pearson_test(&expected, &truth),
        spearman: spearman_test(&expected, &truth),
        spread: spread.collect(),
        quadratic_kappa: ConfusionMatrix { counts: confusion.clone() }.quadratic_kappa(),
        opposite: Share::of(opposite, ends(0) + ends(k - 1)),
        confusion,
    })
}

/// Mean class number under the softmax of the logits.
#[must_use]
pub fn expected_class(logits: &[f32]) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: &f32| f64::from(logit - largest).exp();
    let sum: f64 = logits.iter().map(weight).sum();
    logits.iter().enumerate().map(|(class, logit)| class as f64 * weight(logit)).sum::<f64>() / sum
}

fn most_probable(logits: &[f32]) -> usize {
    let better =
        |best: usize, class: usize| if logits[class] > logits[best] { class } else { best };
    (0..logits.len()).reduce(better).unwrap_or(0)
}

/// Logits of acuity heads with other objectives, beside the bundle's: a line of
/// `acuity_heads.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcuityHeads {
    /// The study.
    pub id: String,
    /// Objective to logits.
    pub heads: std::collections::BTreeMap<String, Vec<f32>>,
}

/// Name of the file of [`AcuityHeads`].
pub const ACUITY_HEADS: &str = "acuity_heads.jsonl";

/// Every objective of the file, by its name.
#[must_use]
pub fn objectives(set: &Set, heads: &[AcuityHeads]) -> Vec<(String, Priority)> {
    let by_study: std::collections::HashMap<&str, &AcuityHeads> =
        heads.iter().map(|line| (line.id.as_str(), line)).collect();
    let mut names: Vec<&String> = heads.iter().flat_map(|line| line.heads.keys()).collect();
    names.sort();
    names.dedup();
    let none = Vec::new();
    let measured = names.into_iter().filter_map(|name| {
        let logits = |study: &Study| by_study.get(study.id.as_str())?.heads.get(name);
        let with = |study: &Study| -> Option<Study> {
            let acuity = logits(study).unwrap_or(&none).clone();
            let scores = Scores { acuity, ..Scores::default() };
            Some(Study { scores, with_context: None, lesions: Vec::new(), ..study.clone() })
        };
        let studies = set.studies.iter().filter_map(with).collect();
        let own = Set { header: set.header.clone(), studies };
        Some((name.clone(), priority(&own)?))
    });
    measured.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::tests::set;

    #[test]
    fn classes_are_expected_where_their_probability_is() {
        assert_eq!(expected_class(&[0.0, 0.0, 0.0]), 1.0);
        assert!((expected_class(&[0.0, 0.0, 3.0_f32.ln()]) - 7.0 / 5.0).abs() < 1e-6);
        assert_eq!(most_probable(&[1.0, 3.0, 3.0]), 1);
    }

    #[test]
    fn confusions_stand_by_true_class() {
        let mut set = set(4, 0, |_| vec![]);
        for (i, study) in set.studies.iter_mut().enumerate() {
            study.truth.acuity = Some(i);
            // Each is taken for the one below, and the least urgent for the most urgent.
            study.scores.acuity = vec![0.0; 4];
            study.scores.acuity[(i + 3) % 4] = 30.0;
        }
        let found = priority(&set).unwrap();
        assert_eq!(found.confusion[0], [0, 0, 0, 1]);
        assert_eq!(found.confusion[3], [0, 0, 1, 0]);
        assert_eq!(found.opposite.map(|share| (share.value, share.of)), Some((0.5, 2)));
        assert!((found.spread[1].unwrap().median - 0.0).abs() < 1e-9, "{found:?}");
        let expected = found.pearson.unwrap().value;
        // Ranks 4 1 2 3 against 1 2 3 4.
        assert!((expected + 0.2).abs() < 1e-6, "{expected}");
        set.studies.iter_mut().for_each(|study| study.truth.acuity = None);
        assert_eq!(priority(&set), None);
    }
}
