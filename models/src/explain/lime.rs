//! LIME over the volume tokens of one series: which tokens raise a score (Ribeiro et al. 2016;
//! paper, "Explainable and trustworthy predictions"; specification §12).
//!
//! A perturbed input is the series with a random half of its tokens removed. A ridge regression
//! from the masks to the scores gives every token a weight. The masks follow the published code
//! draw by draw, so that equal seeds give equal explanations.

use std::error::Error;

use serde::{Deserialize, Serialize};

use super::mt19937::Mt19937;
use super::ridge;

/// How much each perturbed input counts in the regression.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Weighting {
    /// All alike. The published code applies the kernel below to distances that are all zero.
    Published,
    /// `sqrt(exp(-d² / kernel_width²))` with `d` the cosine distance of a mask to the full series:
    /// the kernel of the LIME paper in the form the authors' package has it. Its width there
    /// is [`Weighting::LIME_WIDTH`].
    Locality {
        /// Width of the kernel; the smaller, the more the nearly complete inputs count.
        kernel_width: f64,
    },
}

impl Weighting {
    /// Kernel width that the LIME authors' package uses for images.
    pub const LIME_WIDTH: f64 = 0.25;

    /// Weight of a mask that keeps `kept` of `n_tokens` tokens.
    fn weight(self, kept: usize, n_tokens: usize) -> f64 {
        match self {
            Self::Published => 1.0,
            Self::Locality { kernel_width } => {
                // For 0/1 vectors the cosine to the all-ones vector is sqrt(kept / all).
                let distance = 1.0 - (kept as f64 / n_tokens as f64).sqrt();
                (-(distance / kernel_width).powi(2)).exp().sqrt()
            }
        }
    }
}

/// What to compute; [`LimeConfig::default`] is the paper's choice.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimeConfig {
    /// Perturbed inputs, the complete series included. The paper takes 3,000.
    pub samples: usize,
    /// Seed of the masks. The published code takes 0.
    pub seed: u32,
    /// Weight of each perturbed input.
    pub weighting: Weighting,
    /// Penalty on the squared weights.
    pub ridge_alpha: f64,
    /// Masks handed to the scorer at once; without effect on the result.
    pub batch: usize,
}

impl Default for LimeConfig {
    fn default() -> Self {
        Self {
            samples: 3000,
            seed: 0,
            weighting: Weighting::Published,
            ridge_alpha: 1.0,
            batch: 32,
        }
    }
}

/// Which tokens each perturbed input keeps: `true` keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masks {
    n_tokens: usize,
    keep: Vec<bool>,
}

impl Masks {
    /// Tokens of the series, the length of every row.
    #[must_use]
    pub fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    /// Number of rows.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.keep.len() / self.n_tokens
    }

    /// The mask of one perturbed input.
    ///
    /// # Panics
    ///
    /// When `sample` is not below [`Masks::samples`].
    #[must_use]
    pub fn row(&self, sample: usize) -> &[bool] {
        &self.keep[sample * self.n_tokens..][..self.n_tokens]
    }

    /// All masks in order.
    pub fn rows(&self) -> impl Iterator<Item = &[bool]> {
        self.keep.chunks_exact(self.n_tokens)
    }
}

/// Draws the masks as the published code does: one bit per token in row order, the first row
/// keeps everything, and a row that would keep nothing keeps everything instead.
///
/// # Panics
///
/// When `n_tokens` is zero.
#[must_use]
pub fn masks(n_tokens: usize, samples: usize, seed: u32) -> Masks {
    assert!(n_tokens > 0, "masks need at least one token");
    let mut generator = Mt19937::seeded(seed);
    // `randint(0, 2)` masks each 32-bit draw to one bit and so never rejects one.
    let mut keep: Vec<bool> =
        (0..n_tokens * samples).map(|_| generator.next_u32() & 1 == 1).collect();
    for (sample, row) in keep.chunks_exact_mut(n_tokens).enumerate() {
        if sample == 0 || !row.contains(&true) {
            row.fill(true);
        }
    }
    Masks { n_tokens, keep }
}

/// One token and what it adds to the score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenWeight {
    /// Place in the token sequence.
    pub token: usize,
    /// Regression weight: the rise of the score when the token is present.
    pub weight: f64,
}

/// The linear model that stands in for the network around one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// One weight per token, in sequence order, in units of the explained score.
    pub weights: Vec<f64>,
    /// Score the model expects without any token.
    pub intercept: f64,
    /// Share of the scores' weighted variance that the model explains, at most 1; 0 where the
    /// scores do not vary. A low value means: do not trust the weights.
    pub r2: f64,
    /// Score of the complete series.
    pub score: f64,
}

impl Explanation {
    /// Tokens by falling weight, equal weights in sequence order.
    #[must_use]
    pub fn ranked(&self) -> Vec<TokenWeight> {
        let tokens = self.weights.iter().enumerate();
        let mut ranked: Vec<_> =
            tokens.map(|(token, &weight)| TokenWeight { token, weight }).collect();
        ranked.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        ranked
    }
}

/// Why no explanation was computed; `E` is the scorer's error.
#[derive(Debug, thiserror::Error)]
pub enum LimeError<E: Error + 'static> {
    /// The series has no token.
    #[error("the series has no token to explain; choose another series")]
    NoTokens,
    /// A setting is out of its range.
    #[error("LIME setting {setting} is {found}, it must be {expected}")]
    Setting {
        /// Its name in [`LimeConfig`].
        setting: &'static str,
        /// Its value.
        found: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// The network failed on perturbed inputs.
    #[error("scoring perturbed inputs {first} to {last} failed")]
    Score {
        /// First input of the batch.
        first: usize,
        /// Last input of the batch.
        last: usize,
        /// The scorer's error.
        #[source]
        source: E,
    },
    /// The scorer broke its contract.
    #[error("{found} scores came back for {expected} perturbed inputs")]
    ScoreCount {
        /// Scores returned.
        found: usize,
        /// Masks given.
        expected: usize,
    },
    /// A score is not a number.
    #[error(
        "the score of perturbed input {sample} is {score}; the series or the weights hold values that are not finite"
    )]
    NotFinite {
        /// Which input.
        sample: usize,
        /// Its score.
        score: f64,
    },
}

/// Explains one score of one series of `n_tokens` tokens.
///
/// `score_batch` gets up to [`LimeConfig::batch`] masks (`true` keeps the token) and returns the
/// score of each, without a threshold subtracted; adding a constant to all scores changes only
/// the intercept. It is called for all masks in order, so it can also drive a progress bar.
///
/// # Errors
///
/// [`LimeError`] for an empty series, a setting out of range, and for what the scorer reports.
pub fn explain<E: Error + 'static>(
    config: &LimeConfig,
    n_tokens: usize,
    mut score_batch: impl FnMut(&[&[bool]]) -> Result<Vec<f64>, E>,
) -> Result<Explanation, LimeError<E>> {
    if n_tokens == 0 {
        return Err(LimeError::NoTokens);
    }
    check(config)?;
    let masks = masks(n_tokens, config.samples, config.seed);
    let rows: Vec<&[bool]> = masks.rows().collect();
    let mut scores = Vec::with_capacity(rows.len());
    for batch in rows.chunks(config.batch) {
        let (first, last) = (scores.len(), scores.len() + batch.len() - 1);
        let found =
            score_batch(batch).map_err(|source| LimeError::Score { first, last, source })?;
        if found.len() != batch.len() {
            return Err(LimeError::ScoreCount { found: found.len(), expected: batch.len() });
        }
        scores.extend(found);
    }
    if let Some(sample) = scores.iter().position(|score| !score.is_finite()) {
        return Err(LimeError::NotFinite { sample, score: scores[sample] });
    }
    Ok(regress(config, &masks, &scores))
}

/// The linear model of `scores` on `masks`.
fn regress(config: &LimeConfig, masks: &Masks, scores: &[f64]) -> Explanation {
    let kept = |row: &[bool]| row.iter().filter(|kept| **kept).count();
    let weights: Vec<f64> =
        masks.rows().map(|row| config.weighting.weight(kept(row), masks.n_tokens)).collect();
    let fit = ridge::fit(masks, scores, &weights, config.ridge_alpha);
    Explanation {
        weights: fit.coefficients,
        intercept: fit.intercept,
        r2: fit.r2,
        score: scores[0],
    }
}

/// Refuses settings that make the regression meaningless.
fn check<E: Error + 'static>(config: &LimeConfig) -> Result<(), LimeError<E>> {
    let refuse = |setting, found, expected| Err(LimeError::Setting { setting, found, expected });
    if config.samples < 2 {
        return refuse("samples", config.samples as f64, "at least 2");
    }
    if config.batch == 0 {
        return refuse("batch", 0.0, "at least 1");
    }
    let positive = |value: f64| value.is_finite() && value > 0.0;
    if !positive(config.ridge_alpha) {
        return refuse("ridge_alpha", config.ridge_alpha, "above 0");
    }
    if let Weighting::Locality { kernel_width } = config.weighting
        && !positive(kernel_width)
    {
        return refuse("kernel_width", kernel_width, "above 0");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use safetensors::SafeTensors;

    use super::*;

    fn golden<T>(name: &str, decode: impl Fn(&[u8]) -> T, width: usize) -> Vec<T> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/prima");
        let bytes = std::fs::read(format!("{folder}/model_io.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        file.tensor(name).unwrap().data().chunks_exact(width).map(decode).collect()
    }

    fn golden_f64(name: &str) -> Vec<f64> {
        golden(name, |bytes| f64::from_le_bytes(bytes.try_into().unwrap()), 8)
    }

    fn golden_f32(name: &str) -> f64 {
        golden(name, |bytes| f64::from(f32::from_le_bytes(bytes.try_into().unwrap())), 4)[0]
    }

    fn score(masks: &[&[bool]], weight: impl Fn(usize) -> f64) -> Vec<f64> {
        let one = |mask: &[bool]| (0..mask.len()).filter(|&i| mask[i]).map(&weight).sum();
        masks.iter().map(|mask| one(mask)).collect()
    }

    #[test]
    fn masks_are_those_of_the_published_code() {
        let expected = golden("lime.masks", |bytes| bytes[0] == 1, 1);
        assert_eq!(masks(14, 60, 0).keep, expected);
    }

    #[test]
    fn explanation_equals_the_published_code() {
        let logits = golden_f64("lime.logits");
        let config = LimeConfig { samples: 60, batch: 7, ..LimeConfig::default() };
        let mut given = 0;
        let explanation = explain(&config, 14, |masks| {
            given += masks.len();
            Ok::<_, Infallible>(logits[given - masks.len()..given].to_vec())
        })
        .unwrap();
        for (found, expected) in explanation.weights.iter().zip(golden_f64("lime.coef")) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        // These two are stored in 32 bits.
        assert!((explanation.intercept - golden_f32("lime.intercept")).abs() < 1e-7);
        assert!((explanation.r2 - golden_f32("lime.score")).abs() < 1e-6);
    }

    #[test]
    fn the_token_that_matters_ranks_first_under_both_weightings() {
        let locality = Weighting::Locality { kernel_width: Weighting::LIME_WIDTH };
        for weighting in [Weighting::Published, locality] {
            let config = LimeConfig { samples: 400, weighting, ..LimeConfig::default() };
            let weight = |token| if token == 17 { 3.0 } else { 0.01 * token as f64 };
            let explained =
                explain(&config, 40, |masks| Ok::<_, Infallible>(score(masks, weight))).unwrap();
            let top = explained.ranked()[0];
            assert_eq!(top.token, 17);
            assert!((top.weight - 3.0).abs() < 0.1 && explained.r2 > 0.99, "{explained:?}");
        }
    }

    #[test]
    fn locality_kernel_has_its_stated_values() {
        let locality = Weighting::Locality { kernel_width: 0.25 };
        for (kept, expected) in [(100, 1.0), (81, (-0.08_f64).exp()), (25, (-2.0_f64).exp())] {
            assert!((locality.weight(kept, 100) - expected).abs() < 1e-12, "{kept}");
        }
    }

    #[test]
    fn a_row_without_tokens_becomes_the_full_series() {
        let masks = masks(1, 50, 3);
        assert!(masks.rows().all(|row| row == [true]));
    }

    #[test]
    fn a_constant_score_explains_nothing() {
        let constant = |masks: &[&[bool]]| Ok::<_, Infallible>(vec![0.25; masks.len()]);
        let explained = explain(&LimeConfig::default(), 5, constant).unwrap();
        assert!(explained.weights.iter().all(|w| w.abs() < 1e-12), "{explained:?}");
        assert_eq!((explained.r2, explained.score), (0.0, 0.25));
    }

    #[test]
    fn mistakes_are_named() {
        let text = |config: LimeConfig, n_tokens, scores: &[f64]| {
            explain(&config, n_tokens, |_| Ok::<_, Infallible>(scores.to_vec()))
                .unwrap_err()
                .to_string()
        };
        let config = LimeConfig { samples: 2, ..LimeConfig::default() };
        assert_eq!(
            text(config, 0, &[]),
            "the series has no token to explain; choose another series"
        );
        assert_eq!(text(config, 3, &[1.0]), "1 scores came back for 2 perturbed inputs");
        assert!(text(config, 3, &[1.0, f64::NAN]).starts_with("the score of perturbed input 1 is"));
        let config = LimeConfig { ridge_alpha: 0.0, ..config };
        assert_eq!(text(config, 3, &[]), "LIME setting ridge_alpha is 0, it must be above 0");
    }
}
