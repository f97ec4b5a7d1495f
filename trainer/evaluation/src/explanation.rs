//! Whether explanations point at the lesion: LIME's top tokens against masks (paper, Extended Data
//! Fig. 9d: 98.0 % within the top 3 on `BraTS`), and against the mask of another diagnosis of the
//! same study (Extended Data Fig. 8b).
//!
//! `trainer explain` writes one [`Explained`] a line.

use std::collections::BTreeMap;

use crate::plain::Share;
use serde::{Deserialize, Serialize};

/// Name of the file of [`Explained`].
pub const EXPLAINED: &str = "explained.jsonl";
/// Numbers of tokens that are looked at.
pub const TOP: [usize; 3] = [1, 3, 5];

/// The explanation of one diagnosis on one series, a line of `explained.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explained {
    /// The study.
    pub id: String,
    /// Title of the diagnosis that was explained.
    pub diagnosis: String,
    /// Name of the series.
    pub series: String,
    /// Tokens of the series.
    pub tokens: usize,
    /// Of these, tokens with a voxel of the diagnosis' lesions.
    pub lesion_tokens: usize,
    /// For each of the first tokens in LIME's order, whether it has such a voxel.
    pub hits: Vec<bool>,
    /// The same for the lesions of the study's other diagnoses that share no token with these;
    /// empty where it has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_hits: Vec<bool>,
}

/// How often LIME points at the lesion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// All explanations.
    pub all: TopShares,
    /// By diagnosis.
    pub labels: BTreeMap<String, TopShares>,
    /// Explanations of studies with two lesions apart, and how often the first token lies in the
    /// explained one, and in the other one.
    pub two_lesions: Option<[Share; 2]>,
}

/// Shares of explanations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopShares {
    /// One of the first [`TOP`] tokens lies in the lesion.
    pub found: Vec<Share>,
    /// The same by chance: tokens drawn without replacement.
    pub chance: Vec<f64>,
}

/// Sums up explanations; none without any.
#[must_use]
pub fn explanation(explained: &[Explained]) -> Option<Explanation> {
    let mut labels: BTreeMap<String, Vec<&Explained>> = BTreeMap::new();
    for one in explained {
        labels.entry(one.diagnosis.clone()).or_default().push(one);
    }
    let two: Vec<&Explained> = explained.iter().filter(|e| !e.other_hits.is_empty()).collect();
    let first = |of: fn(&Explained) -> &Vec<bool>| {
        let hits = two.iter().filter(|e| of(e).first() == Some(&true)).count();
        Share::of(hits, two.len())
    };
    Some(Explanation {
        all: shares(&explained.iter().collect::<Vec<_>>())?,
        labels: labels
            .into_iter()
            .filter_map(|(title, those)| Some((title, shares(&those)?)))
            .collect(),
        two_lesions: first(|e| &e.hits).zip(first(|e| &e.other_hits)).map(|(a, b)| [a, b]),
    })
}

fn shares(explained: &[&Explained]) -> Option<TopShares> {
    let found = TOP.map(|k| {
        let hits = explained.iter().filter(|e| e.hits.iter().take(k).any(|hit| *hit)).count();
        Share::of(hits, explained.len())
    });
    let chance = TOP.map(|k| {
        let sum: f64 = explained.iter().map(|e| 1.0 - all_miss(e.tokens, e.lesion_tokens, k)).sum();
        sum / explained.len() as f64
    });
    Some(TopShares { found: found.into_iter().collect::<Option<_>>()?, chance: chance.to_vec() })
}

/// Probability that none of `k` tokens drawn from `tokens` is one of `lesion`.
fn all_miss(tokens: usize, lesion: usize, k: usize) -> f64 {
    let others = tokens.saturating_sub(lesion);
    (0..k.min(tokens)).map(|i| others.saturating_sub(i) as f64 / (tokens - i) as f64).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_counted_beside_chance() {
        let one = |diagnosis: &str, hits: [bool; 3], other: &[bool]| Explained {
            id: "s0".to_owned(),
            diagnosis: diagnosis.to_owned(),
            series: "AX_T2".to_owned(),
            tokens: 10,
            lesion_tokens: 2,
            hits: hits.to_vec(),
            other_hits: other.to_vec(),
        };
        let explained = [
            one("glioma", [true, false, true], &[]),
            one("glioma", [false, false, true], &[true, false, false]),
            one("cyst", [false; 3], &[false; 3]),
        ];
        let found = explanation(&explained).unwrap();
        let values: Vec<f64> = found.all.found.iter().map(|share| share.value).collect();
        assert_eq!(values, [1.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0]);
        // 1 - 8/10, and 1 - 8/10 * 7/9 * 6/8.
        assert!((found.all.chance[0] - 0.2).abs() < 1e-12, "{found:?}");
        assert!((found.all.chance[1] - (1.0 - 336.0 / 720.0)).abs() < 1e-12, "{found:?}");
        assert_eq!(found.labels["glioma"].found[1].value, 1.0);
        let [own, other] = found.two_lesions.unwrap();
        assert_eq!((own.value, other.value, own.of), (0.0, 0.5, 2));
        assert_eq!(explanation(&[]), None);
        assert_eq!(all_miss(3, 3, 5), 0.0);
    }
}
