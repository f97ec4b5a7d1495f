//! Tokens to scores: transformers on the device, heads streamed from disk.

use burn::tensor::{DType, Int, Tensor, TensorData};

use super::onnx::OnnxNetwork;
use super::types::{ClassScore, LabelScore, StudyInput, StudyScores, Target};
use super::{Engine, EngineError, Network, values};
use crate::dims::TOKEN_FEATURES;
use crate::nn::Compute;
use crate::nn::head::Head;
use crate::nn::parameters::Parameters;
use crate::nn::prima::Prima;
use crate::tokens::text::char_ids;
use crate::weights::bundle::{BundleError, head_weights};
use crate::weights::manifest::{AgeEntry, HeadEntry, PriorityEntry};

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
        let embedding = self.embedding(input)?;
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
        let mut reader = HeadReader::new(self, &features);
        let diagnosis = heads.iter().map(|head| reader.label_score(head));
        let diagnosis = diagnosis.collect::<Result<_, _>>()?;
        if context.is_some() {
            reader = HeadReader::new(self, &embedding);
        }
        let referral = manifest.referral.iter().map(|head| reader.label_score(head));
        let referral = referral.collect::<Result<_, _>>()?;
        let priority = manifest.priority.as_ref().map(|head| reader.class_scores(head));
        let age = manifest.age.as_ref().map(|head| reader.age_years(head));
        Ok(StudyScores {
            diagnosis,
            referral,
            priority: priority.transpose()?.unwrap_or_default(),
            age_years: age.transpose()?,
            with_context: context.is_some(),
            embedding,
        })
    }

    /// The study embedding that every head reads, `[R * D]` of the study ViT, without any head.
    ///
    /// # Errors
    ///
    /// When the parts of the input do not belong together, or a value is not finite.
    pub fn embedding(&self, input: &StudyInput) -> Result<Vec<f32>, EngineError> {
        expect("series names", input.series_names.len(), input.tokens.series.len())?;
        expect("usable series", input.tokens.series.len().min(1), 1)?;
        let embedding = self.embed(input)?;
        finite("the embedding", &embedding)?;
        Ok(embedding)
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
        let name = char_ids(&input.series_names[series]).ids;
        let description = char_ids(&input.study_description).ids;
        let tokens = &input.tokens.series[series].features;
        let masked = match &self.network {
            Network::Burn(prima) => Masked::Burn(Box::new(BurnSeries {
                prima,
                name: prima.series_names(&[name]),
                description: prima.study_names(&[description]),
                tokens: self.series_tensor(tokens),
            })),
            Network::Onnx(network) => {
                Masked::Onnx { network, name, description, tokens: tokens.clone() }
            }
        };
        Ok(MaskedScorer { engine: self, masked, head, output })
    }

    fn embed(&self, input: &StudyInput) -> Result<Vec<f32>, EngineError> {
        let names = input.series_names.iter().map(|name| char_ids(name).ids);
        let description = char_ids(&input.study_description).ids;
        match &self.network {
            Network::Burn(prima) => {
                let names = prima.series_names(&names.collect::<Vec<_>>());
                let tokens = input.tokens.series.iter().map(|s| self.series_tensor(&s.features));
                let vectors = series_vectors(prima, &names, tokens.collect());
                let description = prima.study_names(&[description]);
                Ok(values(prima.studies(&description, vec![vectors]).pooled))
            }
            Network::Onnx(network) => {
                let tokens = input.tokens.series.iter().map(|s| s.features.as_slice());
                let series: Vec<_> = tokens.zip(names).collect();
                Ok(network.embed(&series, &description)?)
            }
        }
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
            let head = heads.iter().find(|head| head.name == name)?;
            let shared = manifest.shared_head(&head.file);
            let (outputs, output) = shared.map_or((1, 0), |s| (s.outputs, head.output_index));
            Some((head.file.clone(), outputs, output))
        };
        let found = match target {
            Target::Diagnosis(name) => label(&manifest.diagnosis, name),
            Target::Referral(name) => label(&manifest.referral, name),
            Target::Priority(name) => manifest.priority.as_ref().and_then(|head| {
                let index = head.classes.iter().position(|class| class == name)?;
                let shared = manifest.shared_head(&head.file);
                let outputs = shared.map_or(head.classes.len(), |shared| shared.outputs);
                Some((head.file.clone(), outputs, head.offset + index))
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

/// Evaluates heads on one embedding, a shared head once for all its outputs.
struct HeadReader<'a> {
    engine: &'a Engine,
    features: &'a [f32],
    shared: Vec<(&'a str, Vec<f32>)>,
}

impl<'a> HeadReader<'a> {
    fn new(engine: &'a Engine, features: &'a [f32]) -> Self {
        Self { engine, features, shared: Vec::new() }
    }

    fn label_score(&mut self, head: &'a HeadEntry) -> Result<LabelScore, EngineError> {
        let logit = self.logits(&head.file, head.output_index, 1)?[0];
        Ok(LabelScore {
            name: head.name.clone(),
            logit,
            margin: logit - head.threshold,
            probability: head.calibration.as_ref().map(|c| c.probability(logit)),
        })
    }

    fn class_scores(&mut self, head: &'a PriorityEntry) -> Result<Vec<ClassScore>, EngineError> {
        let logits = self.logits(&head.file, head.offset, head.classes.len())?;
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

    fn age_years(&mut self, head: &'a AgeEntry) -> Result<f32, EngineError> {
        Ok(head.years(self.logits(&head.file, head.output_index, 1)?[0]))
    }

    /// All `count` outputs of a file that holds one head, or rows of a shared head from `first`.
    fn logits(
        &mut self,
        file: &'a str,
        first: usize,
        count: usize,
    ) -> Result<Vec<f32>, EngineError> {
        let Some(shared) = self.engine.bundle.manifest().shared_head(file) else {
            return self.engine.logits(file, self.features, count);
        };
        let known = self.shared.iter().position(|(known, _)| *known == file);
        let at = match known {
            Some(at) => at,
            None => {
                let logits = self.engine.logits(file, self.features, shared.outputs)?;
                self.shared.push((file, logits));
                self.shared.len() - 1
            }
        };
        Ok(self.shared[at].1[first..first + count].to_vec())
    }
}

/// One vector per sequence, `[n, D]`, a bounded number of tokens at a time: sequences do not see
/// each other, so only memory depends on how many are packed together.
fn series_vectors(
    prima: &Prima<Compute>,
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
            vectors.push(prima.series(&names, std::mem::take(&mut pack)).output);
            (first, packed) = (i + 1, 0);
        }
    }
    Tensor::cat(vectors, 0)
}

/// Scores one output on subsets of one series' tokens; made by [`Engine::masked_scorer`].
#[derive(Debug)]
pub struct MaskedScorer<'a> {
    engine: &'a Engine,
    masked: Masked<'a>,
    head: Head<Compute>,
    output: usize,
}

/// The series whose tokens are masked, as the network reads it.
#[derive(Debug)]
enum Masked<'a> {
    Burn(Box<BurnSeries<'a>>),
    Onnx { network: &'a OnnxNetwork, name: Vec<u8>, description: Vec<u8>, tokens: Vec<f32> },
}

#[derive(Debug)]
struct BurnSeries<'a> {
    prima: &'a Prima<Compute>,
    name: Tensor<Compute, 2>,
    description: Tensor<Compute, 2>,
    tokens: Tensor<Compute, 2>,
}

impl MaskedScorer<'_> {
    /// Logits, without threshold, of the tokens that each mask keeps.
    ///
    /// # Errors
    ///
    /// When a score is not finite or an ONNX part does not run.
    pub fn scores(&self, masks: &[&[bool]]) -> Result<Vec<f64>, EngineError> {
        let embeddings = match &self.masked {
            Masked::Burn(series) => {
                let BurnSeries { prima, name, description, tokens } = series.as_ref();
                let kept = masks.iter().map(|mask| self.select(tokens, mask)).collect();
                let names = name.clone().repeat_dim(0, masks.len());
                let vectors = series_vectors(prima, &names, kept); // [n, D]
                let studies = (0..masks.len()).map(|i| vectors.clone().narrow(0, i, 1)).collect();
                let descriptions = description.clone().repeat_dim(0, masks.len());
                prima.studies(&descriptions, studies).pooled.cast(DType::F32)
            }
            Masked::Onnx { network, name, description, tokens } => {
                let embeddings = network.embed_masked(tokens, masks, name, description)?;
                let shape = [masks.len(), embeddings.len() / masks.len().max(1)];
                let embeddings = TensorData::new(embeddings, shape);
                Tensor::from_data(embeddings, (&self.engine.device, DType::F32))
            }
        }; // [n, R * D]
        let logits = values(self.head.forward(embeddings).narrow(1, self.output, 1));
        finite("a masked score", &logits)?;
        Ok(logits.into_iter().map(f64::from).collect())
    }

    /// The tokens of a mask, `[t, D]`.
    fn select(&self, tokens: &Tensor<Compute, 2>, mask: &[bool]) -> Tensor<Compute, 2> {
        let kept: Vec<i64> =
            (0..).zip(mask).filter(|(_, keep)| **keep).map(|(index, _)| index).collect();
        let kept = Tensor::<Compute, 1, Int>::from_data(kept.as_slice(), &self.engine.device);
        tokens.clone().select(0, kept)
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
