//! Whether studies and reports are embedded alike: retrieval, CLIP score, and diagnoses by prompts
//! alone (paper, equations 10 and 11, Fig. 2b).
//!
//! `trainer align` writes one [`Pair`] a line and the embeddings of prompts.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use statistics::embedding::{Retrieval, retrieval};
use statistics::metrics::{Auroc, auroc, mean};
use statistics::rows::Rows;

use crate::set::Set;

/// Name of the file of [`Pair`]s.
pub const PAIRS: &str = "pairs.jsonl";
/// Name of the file of [`Prompt`]s.
pub const PROMPTS: &str = "prompts.jsonl";
/// Studies that one is told from, itself included.
pub const GROUP: usize = 100;

/// A study and its report in the space that both share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The study.
    pub id: String,
    /// Embedding of its images.
    pub images: Vec<f32>,
    /// Embedding of its report; empty where it has none.
    pub report: Vec<f32>,
}

/// A sentence that stands for a diagnosis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// Name of the diagnosis.
    pub diagnosis: String,
    /// The sentence.
    pub text: String,
    /// It says that the diagnosis is absent.
    #[serde(default)]
    pub negated: bool,
    /// Its embedding.
    pub embedding: Vec<f32>,
}

/// How well images and words agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alignment {
    /// Studies with a report.
    pub pairs: usize,
    /// Mean cosine of a study and its own report.
    pub clip_score: Option<f64>,
    /// Mean cosine of a study and another study's report.
    pub clip_score_others: Option<f64>,
    /// Within groups of [`GROUP`]; none with fewer pairs.
    pub retrieval: Option<Retrieval>,
    /// Diagnoses by prompts, where there are prompts.
    pub zero_shot: Vec<ZeroShot>,
    /// Mean area over the diagnoses of `zero_shot` that have one.
    pub zero_shot_mean: Option<f64>,
}

/// A diagnosis by prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ZeroShot {
    /// As people say it.
    pub title: String,
    /// Prompts for it.
    pub prompts: usize,
    /// Area of the cosine with the prompts that say so, less that with those that deny it, each
    /// the mean over prompts.
    pub auroc: Option<Auroc>,
}

/// Why pairs or prompts are refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlignmentError {
    /// Vectors that cannot be compared.
    #[error("{of}: an embedding of {found} values beside others of {expected}")]
    Width {
        /// Study or prompt.
        of: String,
        /// Its values.
        found: usize,
        /// Values of the first pair.
        expected: usize,
    },
    /// A prompt for a diagnosis that the model does not know.
    #[error("prompt {text:?}: the model has no diagnosis {diagnosis}")]
    Diagnosis {
        /// The prompt.
        text: String,
        /// What it names.
        diagnosis: String,
    },
}

/// Measures pairs and prompts; pairs of studies that the set does not hold count for nothing.
///
/// # Errors
///
/// When vectors differ in length, or a prompt names an unknown diagnosis.
pub fn alignment(
    set: &Set,
    pairs: &[Pair],
    prompts: &[Prompt],
) -> Result<Alignment, AlignmentError> {
    let places: HashMap<&str, usize> =
        set.studies.iter().enumerate().map(|(i, s)| (s.id.as_str(), i)).collect();
    let pairs: Vec<(usize, &Pair)> =
        pairs.iter().filter_map(|p| Some((*places.get(p.id.as_str())?, p))).collect();
    let width = pairs.first().map_or(0, |(_, pair)| pair.images.len());
    let check = |of: &str, vector: &[f32]| {
        let (found, expected) = (vector.len(), width);
        let width = || AlignmentError::Width { of: of.to_owned(), found, expected };
        (found == expected).then_some(()).ok_or_else(width)
    };
    for (_, pair) in &pairs {
        check(&pair.id, &pair.images)?;
        if !pair.report.is_empty() {
            check(&pair.id, &pair.report)?;
        }
    }
    for prompt in prompts {
        check(&prompt.text, &prompt.embedding)?;
        let known = set.header.diagnoses.iter().any(|d| d.name == prompt.diagnosis);
        if !known {
            let (text, diagnosis) = (prompt.text.clone(), prompt.diagnosis.clone());
            return Err(AlignmentError::Diagnosis { text, diagnosis });
        }
    }
    let told: Vec<&Pair> =
        pairs.iter().filter(|(_, p)| !p.report.is_empty()).map(|(_, pair)| *pair).collect();
    let own: Vec<f64> = told.iter().map(|p| cosine(&p.images, &p.report)).collect();
    let others: Vec<f64> = told
        .iter()
        .zip(told.iter().cycle().skip(1))
        .map(|(a, b)| cosine(&a.images, &b.report))
        .collect();
    let flat = |of: fn(&Pair) -> &Vec<f32>| -> Vec<f32> {
        told.iter().flat_map(|pair| of(pair).iter().copied()).collect()
    };
    let (images, reports) = (flat(|p| &p.images), flat(|p| &p.report));
    let retrieved = (!told.is_empty())
        .then(|| retrieval(Rows::new(&images, width), Rows::new(&reports, width), GROUP, &[1, 5]));
    let zero_shot = zero_shot(set, &pairs, prompts);
    let areas: Vec<f64> = zero_shot.iter().filter_map(|z| Some(z.auroc?.value)).collect();
    Ok(Alignment {
        pairs: told.len(),
        clip_score: (!own.is_empty()).then(|| mean(&own)),
        clip_score_others: (own.len() > 1).then(|| mean(&others)),
        retrieval: retrieved.flatten(),
        zero_shot_mean: (!areas.is_empty()).then(|| mean(&areas)),
        zero_shot,
    })
}

fn zero_shot(set: &Set, pairs: &[(usize, &Pair)], prompts: &[Prompt]) -> Vec<ZeroShot> {
    let outputs = set.header.diagnoses.iter().enumerate();
    let measured = outputs.filter_map(|(d, output)| {
        let own: Vec<&Prompt> = prompts.iter().filter(|p| p.diagnosis == output.name).collect();
        if own.is_empty() {
            return None;
        }
        let similarity = |images: &[f32], negated: bool| {
            let those = own.iter().filter(|prompt| prompt.negated == negated);
            let found: Vec<f64> = those.map(|p| cosine(images, &p.embedding)).collect();
            if found.is_empty() { 0.0 } else { mean(&found) }
        };
        let score = |(_, pair): &(usize, &Pair)| {
            similarity(&pair.images, false) - similarity(&pair.images, true)
        };
        let scores: Vec<f64> = pairs.iter().map(score).collect();
        let has = |(study, _): &(usize, &Pair)| set.studies[*study].truth.diagnoses.contains(&d);
        let labels: Vec<bool> = pairs.iter().map(has).collect();
        let auroc = auroc(&scores, &labels);
        Some(ZeroShot { title: output.title.clone(), prompts: own.len(), auroc })
    });
    measured.collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::tests::set;

    fn pair(i: usize, images: [f32; 2], report: [f32; 2]) -> Pair {
        Pair { id: format!("s{i}"), images: images.to_vec(), report: report.to_vec() }
    }

    #[test]
    fn prompts_find_what_the_embedding_shows() {
        let set = set(4, 2, |i| if i < 2 { vec![0] } else { vec![] });
        let pairs = [
            pair(0, [2.0, 0.0], [1.0, 0.0]),
            pair(1, [1.0, 1.0], [1.0, 1.0]),
            pair(2, [0.0, 1.0], [0.0, 3.0]),
            pair(3, [1.0, 1.5], [0.0, 1.0]),
            pair(9, [f32::NAN, 0.0], [0.0, 1.0]),
        ];
        let prompt = |negated, embedding: [f32; 2]| Prompt {
            diagnosis: "diagnosis_0".to_owned(),
            text: "a cyst".to_owned(),
            negated,
            embedding: embedding.to_vec(),
        };
        let prompts = [prompt(false, [1.0, 0.0]), prompt(true, [0.0, 1.0])];
        let found = alignment(&set, &pairs, &prompts).unwrap();
        assert_eq!((found.pairs, found.retrieval), (4, None));
        let expected = (3.0 + 1.5 / 3.25_f64.sqrt()) / 4.0;
        assert!((found.clip_score.unwrap() - expected).abs() < 1e-7);
        assert_eq!(found.zero_shot[0].auroc.unwrap().value, 1.0);
        assert_eq!(found.zero_shot.len(), 1, "no prompt, no row");

        let long = Pair { images: vec![0.0; 3], ..pair(0, [0.0; 2], [0.0; 2]) };
        let found = alignment(&set, &[pairs[1].clone(), long], &[]).unwrap_err().to_string();
        assert_eq!(found, "s0: an embedding of 3 values beside others of 2");
        let unknown = Prompt { diagnosis: "gout".to_owned(), ..prompt(false, [0.0; 2]) };
        let found = alignment(&set, &pairs[..1], &[unknown]).unwrap_err().to_string();
        assert_eq!(found, "prompt \"a cyst\": the model has no diagnosis gout");
    }
}
