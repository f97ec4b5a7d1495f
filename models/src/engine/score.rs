//! Tokens to scores: transformers on the device, heads streamed from disk.

use burn::tensor::{DType, Int, Tensor};

use super::types::{ClassScore, LabelScore, StudyInput, StudyScores, Target};
use super::{Engine, EngineError, values};
use crate::dims::TOKEN_FEATURES;
use crate::nn::Compute;
use crate::nn::head::Head;
use crate::nn::parameters::Parameters;
use crate::tokens::text::char_ids;
use crate::weights::bundle::{BundleError, head_weights};
use crate::weights::manifest::{HeadEntry, PriorityEntry};

/// Tokens after which a pack of sequences is closed: their activations take some 100 MB.
const TOKENS_PER_PACK: usize = 8192;

impl Engine {
    /// Scores a study. Heads are mapped one after another and unmapped after use.
    ///
    /// # Errors
    ///
    /// When the parts of the input do not belong together, a head is not what the manifest
    /// promises, or a value is not finite.
    pub fn score(&self, input: &StudyInput) -> Result<StudyScores, EngineError> {
        expect("series names", input.series_names.len(), input.tokens.series.len())?;
        expect("usable series", input.tokens.series.len().min(1), 1)?;
        let embedding = self.embed(input);
        finite("the embedding", &embedding)?;
        let manifest = self.bundle.manifest();
        let context = manifest.context.as_ref().zip(input.clinical_context.as_ref());
        let (heads, features) = match context {
            Some((heads, context)) => {
                expect("context values", context.len(), heads.dimension)?;
                finite("the clinical context", context)?;
                (&heads.diagnosis, [embedding.as_slice(), context].concat())
            }
            None => (&manifest.diagnosis, embedding.clone()),
        };
        let diagnosis = heads.iter().map(|head| self.label_score(head, &features));
        let diagnosis = diagnosis.collect::<Result<_, _>>()?;
        let referral = manifest.referral.iter().map(|head| self.label_score(head, &embedding));
        let referral = referral.collect::<Result<_, _>>()?;
        let priority = manifest.priority.as_ref().map(|head| self.class_scores(head, &embedding));
        Ok(StudyScores {
            diagnosis,
            referral,
            priority: priority.transpose()?.unwrap_or_default(),
            with_context: context.is_some(),
            embedding,
        })
    }

    /// Prepares the scoring of one output on subsets of one series' tokens, the other series left
    /// out (specification §12).
    ///
    /// # Errors
    ///
    /// When there is no such series or output.
    pub fn masked_scorer(
        &self,
        input: &StudyInput,
        series: usize,
        target: &Target,
    ) -> Result<MaskedScorer<'_>, EngineError> {
        let count = input.tokens.series.len();
        if series >= count {
            return Err(EngineError::Input { what: "series", found: count, expected: series + 1 });
        }
        let (head, output) = self.target_head(target)?;
        Ok(MaskedScorer {
            engine: self,
            name: self.prima.series_names(&[char_ids(&input.series_names[series]).ids]),
            description: self.prima.study_names(&[char_ids(&input.study_description).ids]),
            tokens: self.series_tensor(&input.tokens.series[series].features),
            head,
            output,
        })
    }

    /// Study embedding, `[R * D]` of the study ViT.
    fn embed(&self, input: &StudyInput) -> Vec<f32> {
        let names: Vec<_> = input.series_names.iter().map(|name| char_ids(name).ids).collect();
        let names = self.prima.series_names(&names);
        let tokens = input.tokens.series.iter().map(|s| self.series_tensor(&s.features)).collect();
        let vectors = self.series_vectors(&names, tokens);
        let description = self.prima.study_names(&[char_ids(&input.study_description).ids]);
        values(self.prima.studies(&description, vec![vectors]).pooled)
    }

    /// One vector per sequence, `[n, D]`, a bounded number of tokens at a time: sequences do not
    /// see each other, so only memory depends on how many are packed together.
    fn series_vectors(
        &self,
        names: &Tensor<Compute, 2>,
        sequences: Vec<Tensor<Compute, 2>>,
    ) -> Tensor<Compute, 2> {
        let mut vectors = Vec::new();
        let mut pack = Vec::new();
        let (mut first, mut packed) = (0, 0);
        let count = sequences.len();
        for (i, sequence) in sequences.into_iter().enumerate() {
            packed += sequence.dims()[0];
            pack.push(sequence);
            if packed >= TOKENS_PER_PACK || i + 1 == count {
                let names = names.clone().narrow(0, first, pack.len());
                vectors.push(self.prima.series(&names, std::mem::take(&mut pack)).output);
                (first, packed) = (i + 1, 0);
            }
        }
        Tensor::cat(vectors, 0)
    }

    /// Tokens on the device, zero-padded to the width of the sequence ViT (specification §8).
    fn series_tensor(&self, features: &[f32]) -> Tensor<Compute, 2> {
        let width = self.bundle.manifest().sizes.sequence_vit.transformer.dim;
        let count = features.len() / TOKEN_FEATURES;
        let mut padded = vec![0.0; count * width];
        for (token, out) in
            features.chunks_exact(TOKEN_FEATURES).zip(padded.chunks_exact_mut(width))
        {
            out[..TOKEN_FEATURES].copy_from_slice(token);
        }
        self.tensor(padded, [count, width])
    }

    fn label_score(&self, head: &HeadEntry, features: &[f32]) -> Result<LabelScore, EngineError> {
        let logit = self.logits(&head.file, features, 1)?[0];
        Ok(LabelScore {
            name: head.name.clone(),
            logit,
            margin: logit - head.threshold,
            probability: head.calibration.map(|c| c.probability(logit)),
        })
    }

    fn class_scores(
        &self,
        head: &PriorityEntry,
        features: &[f32],
    ) -> Result<Vec<ClassScore>, EngineError> {
        let logits = self.logits(&head.file, features, head.classes.len())?;
        let probabilities = head.temperature.map(|t| softmax(&logits, t));
        let classes = head.classes.iter().zip(&logits).enumerate();
        Ok(classes
            .map(|(i, (name, &logit))| ClassScore {
                name: name.clone(),
                logit,
                probability: probabilities.as_ref().map(|p| p[i]),
            })
            .collect())
    }

    /// Outputs of a head file; its content is hashed when the process first uses it.
    fn logits(
        &self,
        file: &str,
        features: &[f32],
        outputs: usize,
    ) -> Result<Vec<f32>, EngineError> {
        let weights = self.head_file(file)?;
        let views = head_weights(&weights, self.head_widths(features.len(), outputs))
            .map_err(BundleError::from)?;
        let logits = views.evaluate(features);
        if logits.iter().any(|v| !v.is_finite()) {
            return Err(EngineError::Head { path: self.bundle.folder().join(file) });
        }
        Ok(logits)
    }

    pub(super) fn head_widths(&self, input: usize, outputs: usize) -> [usize; 4] {
        let [first, second] = self.bundle.manifest().sizes.head_hidden;
        [input, first, second, outputs]
    }

    /// The head of a target as layers on the device, and the output to read.
    fn target_head(&self, target: &Target) -> Result<(Head<Compute>, usize), EngineError> {
        let manifest = self.bundle.manifest();
        let label = |heads: &[HeadEntry], name: &str| {
            heads.iter().find(|h| h.name == name).map(|h| (h.file.clone(), 1, 0))
        };
        let found = match target {
            Target::Diagnosis(name) => label(&manifest.diagnosis, name),
            Target::Referral(name) => label(&manifest.referral, name),
            Target::Priority(name) => manifest.priority.as_ref().and_then(|head| {
                let index = head.classes.iter().position(|class| class == name)?;
                Some((head.file.clone(), head.classes.len(), index))
            }),
        };
        let (file, outputs, output) =
            found.ok_or_else(|| Target::unknown(manifest, target.name()))?;
        let weights = self.head_file(&file)?;
        let at = Parameters::new(&weights, &self.device, DType::F32);
        let widths = self.head_widths(manifest.sizes.embedding(), outputs);
        Ok((Head::load(&at, widths)?, output))
    }
}

/// Scores one output on subsets of one series' tokens; made by [`Engine::masked_scorer`].
#[derive(Debug)]
pub struct MaskedScorer<'a> {
    engine: &'a Engine,
    name: Tensor<Compute, 2>,
    description: Tensor<Compute, 2>,
    tokens: Tensor<Compute, 2>,
    head: Head<Compute>,
    output: usize,
}

impl MaskedScorer<'_> {
    /// Logits, without threshold, of the tokens that each mask keeps.
    ///
    /// # Errors
    ///
    /// When a score is not finite.
    pub fn scores(&self, masks: &[&[bool]]) -> Result<Vec<f64>, EngineError> {
        let prima = &self.engine.prima;
        let kept = masks.iter().map(|mask| self.select(mask)).collect();
        let names = self.name.clone().repeat_dim(0, masks.len());
        let vectors = self.engine.series_vectors(&names, kept); // [n, D]
        let studies = (0..masks.len()).map(|i| vectors.clone().narrow(0, i, 1)).collect();
        let descriptions = self.description.clone().repeat_dim(0, masks.len());
        let embeddings = prima.studies(&descriptions, studies).pooled; // [n, R * D]
        let logits = self.head.forward(embeddings.cast(DType::F32)).narrow(1, self.output, 1);
        let logits = values(logits);
        finite("a masked score", &logits)?;
        Ok(logits.into_iter().map(f64::from).collect())
    }

    /// The tokens of a mask, `[t, D]`.
    fn select(&self, mask: &[bool]) -> Tensor<Compute, 2> {
        let kept: Vec<i64> =
            (0..).zip(mask).filter(|(_, keep)| **keep).map(|(index, _)| index).collect();
        let kept = Tensor::<Compute, 1, Int>::from_data(kept.as_slice(), &self.engine.device);
        self.tokens.clone().select(0, kept)
    }
}

fn expect(what: &'static str, found: usize, expected: usize) -> Result<(), EngineError> {
    if found == expected { Ok(()) } else { Err(EngineError::Input { what, found, expected }) }
}

fn finite(what: &str, values: &[f32]) -> Result<(), EngineError> {
    if values.iter().all(|v| v.is_finite()) {
        Ok(())
    } else {
        Err(EngineError::NotFinite { what: what.to_owned() })
    }
}

/// `softmax(logits / temperature)`.
fn softmax(logits: &[f32], temperature: f32) -> Vec<f32> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|l| ((l - top) / temperature).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}
