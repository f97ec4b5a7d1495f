//! `manifest.toml`: everything a bundle promises.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dicom::select::Selection;
use crate::nn::config::PrimaConfig;
use crate::tokens::context::SENTENCES;
use crate::volume::Preprocessing;

/// Format this build reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// File name of the manifest inside a bundle.
pub const MANIFEST: &str = "manifest.toml";
/// File name of the volume tokenizer's weights.
pub const TOKENIZER: &str = "tokenizer.safetensors";
/// File name of the transformers' weights.
pub const NETWORK: &str = "network.safetensors";

/// Text every bundle carries unless its maker writes another one.
pub const INTENDED_USE: &str = "Research use only; not a medical device. Orders a worklist so that \
    a radiologist sees likely urgent studies first; it never replaces a reading.";

/// What a bundle is made of and what it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Name of the model, shown with every result.
    pub id: String,
    /// Rises with every bundle that its owner signs, so that an old one is not taken for news; a
    /// clock would not do, since boxes' are wrong.
    #[serde(default)]
    pub serial: u64,
    /// Name of the preset the sizes follow (`prima`, `tiny`), or `custom`.
    pub preset: String,
    /// Preprocessing that inputs must go through.
    pub preprocessing: Preprocessing,
    /// What the model is for, and what it is not for.
    pub intended_use: String,
    /// Where the weights come from.
    pub provenance: Provenance,
    /// Every size of the networks.
    pub sizes: PrimaConfig,
    /// Diagnosis heads in the order of the labels.
    pub diagnosis: Vec<HeadEntry>,
    /// Referral heads.
    pub referral: Vec<HeadEntry>,
    /// Priority head.
    pub priority: Option<PriorityEntry>,
    /// Age head.
    pub age: Option<AgeEntry>,
    /// Files with several heads in one: their outputs share the hidden layers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_heads: Vec<SharedHead>,
    /// Diagnosis heads that also read an embedding of the clinical context.
    pub context: Option<ContextHeads>,
    /// Parts that `tract` serves on the CPU instead of burn.
    pub onnx: Option<OnnxParts>,
    /// Studies the model was made for; without it every MR study is taken.
    pub envelope: Option<Envelope>,
    /// By which rules the series that training saw were selected; `None` where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionSeen>,
    /// What the model must say about the golden study ([`crate::engine::golden`]).
    pub golden: Option<Golden>,
    /// Every other file of the bundle.
    pub files: Vec<FileEntry>,
}

/// Where weights come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// In one word.
    pub kind: ProvenanceKind,
    /// In one sentence, shown with every result.
    pub statement: String,
    /// Files or runs the weights were made from, with their digests.
    pub sources: Vec<String>,
}

/// Origin of weights in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProvenanceKind {
    /// Random numbers: results mean nothing.
    Untrained,
    /// A published checkpoint.
    Imported,
    /// Trained on simulated studies.
    TrainedOnSimulatedData,
    /// Trained on a hospital's own studies.
    TrainedOnClinicalData,
}

/// One head of which one output is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadEntry {
    /// Label, as the published model spells it.
    pub name: String,
    /// Row of the source's last layer that was kept, or, in a shared head, the row to read.
    pub output_index: usize,
    /// Logit from which the label counts as positive.
    pub threshold: f32,
    /// File below the bundle's folder.
    pub file: String,
    /// From logit to probability, where one was fitted.
    pub calibration: Option<Calibration>,
}

/// From a logit to a probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Calibration {
    /// Platt scaling, or with `offset` 0 a temperature: sigmoid(`scale` * logit + `offset`).
    Sigmoid {
        /// Factor.
        scale: f32,
        /// Summand.
        offset: f32,
    },
    /// Isotonic regression: a rising polyline, constant before its first and after its last knot.
    Isotonic {
        /// Logit and probability, logits ascending.
        knots: Vec<[f32; 2]>,
    },
}

impl Calibration {
    /// Calibrated probability of a logit.
    #[must_use]
    pub fn probability(&self, logit: f32) -> f32 {
        match self {
            Self::Sigmoid { scale, offset } => 1.0 / (1.0 + (-(scale * logit + offset)).exp()),
            Self::Isotonic { knots } => {
                let after = knots.partition_point(|knot| knot[0] < logit);
                let before = after.checked_sub(1).and_then(|before| knots.get(before));
                match (before, knots.get(after)) {
                    (Some(&[x0, y0]), Some(&[x1, y1])) => y0 + (y1 - y0) * (logit - x0) / (x1 - x0),
                    (Some(&[_, y]), None) | (None, Some(&[_, y])) => y,
                    (None, None) => f32::NAN,
                }
            }
        }
    }

    /// The first value that makes no sense; `at` is where the calibration stands.
    fn validate(&self, at: &str) -> Result<(), ManifestFault> {
        let knots = match self {
            Self::Sigmoid { scale, offset } => {
                check_finite(|| format!("{at}.scale"), *scale)?;
                if *scale < 0.0 {
                    return Err(ManifestFault {
                        field: format!("{at}.scale"),
                        found: scale.to_string(),
                        expected: "0 or more: a probability does not fall as its score rises",
                    });
                }
                return check_finite(|| format!("{at}.offset"), *offset);
            }
            Self::Isotonic { knots } => knots,
        };
        let rising =
            knots.windows(2).all(|pair| pair[0][0] < pair[1][0] && pair[0][1] <= pair[1][1]);
        let finite = knots.iter().all(|[x, p]| x.is_finite() && (0.0..=1.0).contains(p));
        if rising && finite && !knots.is_empty() {
            return Ok(());
        }
        Err(ManifestFault {
            field: format!("{at}.knots"),
            found: format!("{knots:?}"),
            expected: "logits that rise, with probabilities that do not fall",
        })
    }
}

/// A file whose outputs several heads name: hidden layers and outputs of one network. It is
/// evaluated once a study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedHead {
    /// File below the bundle's folder.
    pub file: String,
    /// Rows of its last layer.
    pub outputs: usize,
}

/// The priority head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorityEntry {
    /// Class names in the order of the outputs.
    pub classes: Vec<String>,
    /// File below the bundle's folder.
    pub file: String,
    /// Row of the first class in a shared head; 0 when the file holds this head alone.
    #[serde(default)]
    pub offset: usize,
    /// Softmax temperature, where one was fitted: probabilities = softmax(logits / it).
    pub temperature: Option<f32>,
}

/// The age head: years = `scale` * output + `offset`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgeEntry {
    /// File below the bundle's folder.
    pub file: String,
    /// Row to read in a shared head; 0 when the file holds this head alone.
    #[serde(default)]
    pub output_index: usize,
    /// Years of one unit of the output.
    pub scale: f32,
    /// Years at an output of 0.
    pub offset: f32,
}

impl AgeEntry {
    /// The age that an output stands for.
    #[must_use]
    pub fn years(&self, output: f32) -> f32 {
        self.scale * output + self.offset
    }
}

/// Diagnosis heads that read study embedding and context embedding, joined (paper, Methods,
/// "Prima with clinical context").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextHeads {
    /// Length of the context embedding.
    pub dimension: usize,
    /// What makes the embedding, so that a caller can refuse another one.
    pub encoder: String,
    /// The encoder itself, where it is a sentence encoder ([`SENTENCES`]).
    pub sentences: Option<SentenceFiles>,
    /// One head per diagnosis, in the order of [`Manifest::diagnosis`].
    pub diagnosis: Vec<HeadEntry>,
}

/// A sentence encoder as it lies in a bundle ([`crate::engine::SentenceEncoder`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentenceFiles {
    /// ONNX graph below the bundle's folder.
    pub graph: String,
    /// Its `tokenizer.json`.
    pub tokenizer: String,
    /// From the vectors of a text's tokens to one.
    pub pooling: Pooling,
}

/// From the vectors of a text's tokens to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Their mean.
    #[default]
    Mean,
    /// The first token's, which BERT trains for it.
    Cls,
}

/// The input envelope: what a study must be like for the model's output to mean anything. What a
/// study does not say about itself is not held against it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Body Part Examined, upper case; empty for any.
    #[serde(default)]
    pub body_parts: Vec<String>,
    /// Lowest and highest magnetic field strength in tesla.
    pub field_strength_t: Option<[f64; 2]>,
    /// Youngest and oldest patient in years.
    pub age_years: Option<[f64; 2]>,
    /// Groups of words; of each group one must occur in the name of a usable series, in any case.
    #[serde(default)]
    pub sequences: Vec<Vec<String>>,
    /// Fewest usable series.
    #[serde(default)]
    pub min_series: usize,
}

/// The series that training saw, by the rules that selected them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectionSeen {
    /// Version of the table.
    pub version: String,
    /// SHA-256 of its rules alone ([`Selection::rules_sha256`]).
    pub sha256: String,
}

impl SelectionSeen {
    /// What training by this table sees.
    #[must_use]
    pub fn of(selection: &Selection) -> Self {
        Self { version: selection.head().version.clone(), sha256: selection.rules_sha256() }
    }

    /// How another table selects otherwise, in words; `None` when its rules are the same.
    #[must_use]
    pub fn difference(&self, here: &Selection) -> Option<String> {
        let here = Self::of(here);
        (self.sha256 != here.sha256)
            .then(|| format!("training saw series selected by {self}, this box selects by {here}"))
    }
}

impl fmt::Display for SelectionSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = self.sha256.get(..8).unwrap_or(&self.sha256);
        write!(f, "version {} ({digest})", self.version)
    }
}

/// Logits of the golden study, computed on a CPU in single precision when the bundle was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Largest difference of a logit that is accepted, relative to 1 + its size.
    pub tolerance: f32,
    /// In the order of [`Manifest::diagnosis`].
    pub diagnosis: Vec<f32>,
    /// In the order of [`Manifest::referral`].
    pub referral: Vec<f32>,
    /// In the order of the priority head's classes.
    pub priority: Vec<f32>,
}

/// ONNX files of a bundle. Their weights may lie in the bundle's other files (ONNX external data).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnnxParts {
    /// Tokenizer encoder. Convolutions: input `[N, 1, z, y, x]` f32 with the thin axis repeated to
    /// 8, output `z_e`, all sizes dynamic. Mixer: input `[N, 4096]`, thin axis first, output
    /// `[N, 256]`.
    pub tokenizer: Option<String>,
    /// Tokens `[T, 289]` and name ids `[L]` of a series to its vector `[D]`.
    pub sequence: Option<String>,
    /// Series vectors `[S, D]` and description ids `[L]` to the study embedding `[R * D]`, the
    /// first output; others are not read.
    pub study: Option<String>,
}

impl OnnxParts {
    /// The files that are there.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        [&self.tokenizer, &self.sequence, &self.study].into_iter().flatten().map(String::as_str)
    }
}

/// One file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Path below the bundle's folder, with forward slashes.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the content, lower-case hexadecimal.
    pub sha256: String,
}

/// A value of the manifest that makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub struct ManifestFault {
    /// The field.
    pub field: String,
    /// Its value.
    pub found: String,
    /// What it may be.
    pub expected: &'static str,
}

impl Manifest {
    /// Checks names and numbers, which types cannot.
    ///
    /// # Errors
    ///
    /// The first field that makes no sense.
    pub fn validate(&self) -> Result<(), ManifestFault> {
        check_name("id", &self.id)?;
        let context = self.context.as_ref().map_or(&[][..], |context| &context.diagnosis);
        let sets = [
            ("diagnosis", self.diagnosis.as_slice()),
            ("referral", &self.referral),
            ("context.diagnosis", context),
        ];
        for (set, heads) in sets {
            check_unique(set, heads.iter().map(|head| head.name.as_str()))?;
            for (i, head) in heads.iter().enumerate() {
                check_finite(|| format!("{set}[{i}].threshold"), head.threshold)?;
                if let Some(calibration) = &head.calibration {
                    calibration.validate(&format!("{set}[{i}].calibration"))?;
                }
            }
        }
        self.validate_selection()?;
        self.validate_golden()?;
        self.validate_shared(&sets)?;
        self.validate_age()?;
        if let Some(ContextHeads { encoder, sentences, .. }) = &self.context
            && (encoder == SENTENCES) != sentences.is_some()
        {
            return Err(ManifestFault {
                field: "context.encoder".to_owned(),
                found: format!("{encoder:?}"),
                expected: "\"onnx_sentences_v1\" where context.sentences is, and only there",
            });
        }
        if let Some(onnx) = &self.onnx
            && onnx.sequence.is_some() != onnx.study.is_some()
        {
            return Err(ManifestFault {
                field: "onnx".to_owned(),
                found: "one of sequence and study".to_owned(),
                expected: "both or neither",
            });
        }
        let Some(priority) = &self.priority else { return Ok(()) };
        check_unique("priority.classes", priority.classes.iter().map(String::as_str))?;
        match priority.temperature {
            Some(temperature) if !(temperature > 0.0 && temperature.is_finite()) => {
                Err(ManifestFault {
                    field: "priority.temperature".to_owned(),
                    found: temperature.to_string(),
                    expected: "a number above 0",
                })
            }
            _ => Ok(()),
        }
    }

    fn validate_selection(&self) -> Result<(), ManifestFault> {
        let Some(SelectionSeen { sha256, .. }) = &self.selection else { return Ok(()) };
        if sha256.len() == 64 && sha256.bytes().all(|b| b"0123456789abcdef".contains(&b)) {
            return Ok(());
        }
        Err(ManifestFault {
            field: "selection.sha256".to_owned(),
            found: format!("{sha256:?}"),
            expected: "64 hexadecimal digits in lower case",
        })
    }

    fn validate_golden(&self) -> Result<(), ManifestFault> {
        let Some(golden) = &self.golden else { return Ok(()) };
        let classes = self.priority.as_ref().map_or(0, |priority| priority.classes.len());
        let lists = [
            ("golden.diagnosis", &golden.diagnosis, self.diagnosis.len()),
            ("golden.referral", &golden.referral, self.referral.len()),
            ("golden.priority", &golden.priority, classes),
        ];
        for (field, logits, outputs) in lists {
            if logits.len() != outputs {
                return Err(ManifestFault {
                    field: field.to_owned(),
                    found: format!("a list of {}", logits.len()),
                    expected: "one logit per output of the model",
                });
            }
        }
        check_finite(|| "golden.tolerance".to_owned(), golden.tolerance)
    }

    fn validate_age(&self) -> Result<(), ManifestFault> {
        let Some(age) = &self.age else { return Ok(()) };
        check_finite(|| "age.scale".to_owned(), age.scale)?;
        check_finite(|| "age.offset".to_owned(), age.offset)?;
        let outputs = self.shared_head(&age.file).map_or(1, |shared| shared.outputs);
        if age.output_index < outputs {
            return Ok(());
        }
        Err(ManifestFault {
            field: "age.output_index".to_owned(),
            found: age.output_index.to_string(),
            expected: "below the outputs of its head",
        })
    }

    /// Every shared head is used, and every head that names one reads rows that it has.
    fn validate_shared(&self, sets: &[(&str, &[HeadEntry])]) -> Result<(), ManifestFault> {
        let fault =
            |field: String, found: String, expected| Err(ManifestFault { field, found, expected });
        for (i, shared) in self.shared_heads.iter().enumerate() {
            let file = || format!("{:?}", shared.file);
            if shared.outputs == 0 {
                let field = format!("shared_heads[{i}].outputs");
                return fault(field, "0".to_owned(), "1 or more");
            }
            if self.shared_heads[..i].iter().any(|earlier| earlier.file == shared.file) {
                let expected = "a file that no earlier one of the list has";
                return fault(format!("shared_heads[{i}].file"), file(), expected);
            }
            if !self.head_files().any(|head| head == shared.file) {
                return fault(
                    format!("shared_heads[{i}].file"),
                    file(),
                    "a file that a head names",
                );
            }
        }
        for (set, heads) in sets {
            for (i, head) in heads.iter().enumerate() {
                let outputs = self.shared_head(&head.file).map(|shared| shared.outputs);
                if outputs.is_some_and(|outputs| head.output_index >= outputs) {
                    let field = format!("{set}[{i}].output_index");
                    let expected = "below the outputs of its shared head";
                    return fault(field, head.output_index.to_string(), expected);
                }
            }
        }
        let Some(PriorityEntry { classes, file, offset, .. }) = &self.priority else {
            return Ok(());
        };
        let (fits, expected) = match self.shared_head(file) {
            Some(shared) => (
                offset.checked_add(classes.len()).is_some_and(|end| end <= shared.outputs),
                "a row after which the shared head has one row per class",
            ),
            None => (*offset == 0, "0, since its file is no shared head"),
        };
        if fits {
            Ok(())
        } else {
            fault("priority.offset".to_owned(), offset.to_string(), expected)
        }
    }

    /// The shared head of a file; `None` when the file holds one head alone.
    #[must_use]
    pub fn shared_head(&self, file: &str) -> Option<&SharedHead> {
        self.shared_heads.iter().find(|shared| shared.file == file)
    }

    /// All files that heads name.
    pub fn head_files(&self) -> impl Iterator<Item = &str> {
        let context = self.context.iter().flat_map(|c| &c.diagnosis);
        let heads = self.diagnosis.iter().chain(&self.referral).chain(context);
        let files = heads.map(|h| h.file.as_str());
        let files = files.chain(self.priority.iter().map(|p| p.file.as_str()));
        files.chain(self.age.iter().map(|age| age.file.as_str()))
    }
}

/// Names become parts of file names and of messages.
fn check_name(field: &str, name: &str) -> Result<(), ManifestFault> {
    let allowed = |c: char| c.is_alphanumeric() || " _-.,()+".contains(c);
    if !name.is_empty() && name.chars().all(allowed) && !name.starts_with('.') {
        return Ok(());
    }
    let expected = "a name of letters, digits, spaces and _-.,()+ that does not begin with a dot";
    Err(ManifestFault { field: field.to_owned(), found: format!("{name:?}"), expected })
}

fn check_unique<'a>(set: &str, names: impl Iterator<Item = &'a str>) -> Result<(), ManifestFault> {
    let mut seen = BTreeSet::new();
    for (i, name) in names.enumerate() {
        let field = format!("{set}[{i}]");
        check_name(&field, name)?;
        if !seen.insert(name) {
            let expected = "a name that no earlier one of the list has";
            return Err(ManifestFault { field, found: format!("{name:?}"), expected });
        }
    }
    Ok(())
}

fn check_finite(field: impl FnOnce() -> String, value: f32) -> Result<(), ManifestFault> {
    if value.is_finite() {
        return Ok(());
    }
    Err(ManifestFault { field: field(), found: value.to_string(), expected: "a finite number" })
}
