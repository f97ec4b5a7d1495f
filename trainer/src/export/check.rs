//! Whether every engine gives the same answer: burn, tract and ONNX Runtime on the same studies.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fmt, fs};

use models::dims::{LATENT, PATCH_VOX, TOKEN_FEATURES};
use models::engine::{
    DeviceChoice, Engine, EngineError, Precision, StudyInput, StudyScores, StudyTokens,
};
use models::nn::mixer::write_thin_first;
use models::tokens::StudyPatches;
use models::tokens::text::char_ids;
use models::weights::bundle::{Bundle, BundleError};
use models::weights::manifest::{HeadEntry, Manifest};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::cohort::record::Split;
use crate::cohort::shard::{SeriesView, ShardError, Store, Values};
use crate::cohort::{Cohort, CohortError};

/// Studies that are compared, where nobody says how many.
pub const STUDIES: usize = 3;
/// Largest difference of a token, an embedding or a logit between two engines.
pub const TOLERANCE: f32 = 1e-4;
/// What runs the graphs in ONNX Runtime.
const SCRIPT: &str = include_str!("../../../ops/trainer/check_onnx.py");
/// Its exit code for a package that is not installed.
const MISSING: i32 = 3;

/// A study that engines are compared on.
#[derive(Clone, Debug)]
pub struct CheckStudy {
    /// Its patches.
    pub patches: StudyPatches,
    /// One name a series.
    pub series_names: Vec<String>,
    /// Study Description.
    pub description: String,
}

impl CheckStudy {
    /// What an engine reads of it, with the tokens of its patches.
    pub(crate) fn input(&self, tokens: StudyTokens) -> StudyInput {
        StudyInput {
            tokens,
            series_names: self.series_names.clone(),
            study_description: self.description.clone(),
            clinical_context: None,
        }
    }
}

/// Studies of a cohort to compare engines on, those of the test split first.
///
/// # Errors
///
/// When the cohort is refused or has no patches.
pub fn studies(folder: &Path, count: usize) -> Result<Vec<CheckStudy>, CheckError> {
    let store = Store::open(folder, Values::Patches)?;
    let cohort = Cohort::open(folder)?;
    let mut studies = Vec::new();
    let splits = [Split::Test, Split::Validation, Split::Train];
    for record in splits.into_iter().flat_map(|split| cohort.split(split)) {
        if studies.len() == count {
            break;
        }
        if !store.contains(&record.id) {
            continue;
        }
        let (description, views) = store.study(&record.id)?;
        if !views.is_empty() {
            studies.push(CheckStudy {
                patches: StudyPatches { series: views.iter().map(SeriesView::patches).collect() },
                series_names: views.iter().map(|v| v.name.to_owned()).collect(),
                description: description.to_owned(),
            });
        }
    }
    Ok(studies)
}

/// Largest absolute differences to burn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Differences {
    /// Of a latent value of a token.
    pub tokens: f32,
    /// Of a value of the study embedding.
    pub embedding: f32,
    /// Of a logit.
    pub logits: f32,
}

/// What ONNX Runtime said.
#[derive(Clone, Debug, PartialEq)]
pub enum Peer {
    /// It ran.
    Ran {
        /// Name and version.
        version: String,
        /// To burn.
        differences: Differences,
    },
    /// It is not installed here, so it was not asked.
    Absent {
        /// What is missing.
        reason: String,
    },
}

/// Outcome of a check that passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// How many studies were compared.
    pub studies: usize,
    /// tract to burn.
    pub tract: Differences,
    /// ONNX Runtime to burn.
    pub onnxruntime: Peer,
}

/// Engines that disagree, or a check that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The bundle is refused.
    #[error("cannot check the bundle")]
    Bundle(#[from] BundleError),
    /// An engine failed.
    #[error("an engine cannot score a study of the check")]
    Engine(#[from] EngineError),
    /// Nothing to compare.
    #[error("{path} has no ONNX parts for all of tokenizer, sequence and study; export them first")]
    NoParts {
        /// The bundle.
        path: PathBuf,
    },
    /// The cohort is refused.
    #[error("cannot take studies for the check from the cohort")]
    Cohort(#[from] CohortError),
    /// Its patches are missing or damaged.
    #[error("cannot take patches for the check from the cohort")]
    Patches(#[from] ShardError),
    /// No study.
    #[error("the check was given no study; give one or more")]
    NoStudies,
    /// Different answers.
    #[error(
        "{engine} and burn differ by {found:e} in {what} of study {study}, at most {TOLERANCE:e} \
         is accepted; the bundle must not be used"
    )]
    Differ {
        /// The other engine.
        engine: &'static str,
        /// Tokens, embedding or logits.
        what: &'static str,
        /// Number of the study, from 1.
        study: usize,
        /// Difference.
        found: f32,
    },
    /// The files between the programs.
    #[error("cannot exchange files with ONNX Runtime")]
    Exchange(#[from] io::Error),
    /// The script failed or gave something else.
    #[error("ONNX Runtime did not run the bundle's graphs: {reason}")]
    OnnxRuntime {
        /// Its last words.
        reason: String,
    },
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, d: &Differences| {
            let Differences { tokens, embedding, logits } = d;
            writeln!(
                f,
                "{name}: tokens {tokens:.1e}, embedding {embedding:.1e}, logits {logits:.1e}"
            )
        };
        writeln!(f, "Largest difference to burn over {} studies", self.studies)?;
        line(f, "tract", &self.tract)?;
        match &self.onnxruntime {
            Peer::Ran { version, differences } => line(f, version, differences),
            Peer::Absent { reason } => writeln!(f, "ONNX Runtime: NOT CHECKED, {reason}"),
        }
    }
}

/// Compares the engines on `studies`. `python` is the interpreter that has ONNX Runtime.
///
/// # Errors
///
/// When two engines differ by more than [`TOLERANCE`], or one fails. That ONNX Runtime is not
/// installed is no error: the outcome says so.
pub fn check(
    folder: &Path,
    studies: &[CheckStudy],
    python: &Path,
) -> Result<Agreement, CheckError> {
    let bundle = Bundle::open(folder)?;
    let manifest = bundle.manifest().clone();
    let parts = manifest.onnx.as_ref();
    if !parts.is_some_and(|p| p.tokenizer.is_some() && p.sequence.is_some() && p.study.is_some()) {
        return Err(CheckError::NoParts { path: folder.to_owned() });
    }
    if studies.is_empty() {
        return Err(CheckError::NoStudies);
    }
    let open = |bundle| Engine::open(bundle, DeviceChoice::Cpu, Precision::Full);
    let (tract, burn) = (open(bundle)?, open(Bundle::open(folder)?.without_onnx())?);
    let mut agreement = Agreement {
        studies: studies.len(),
        tract: Differences::default(),
        onnxruntime: Peer::Absent { reason: String::new() },
    };
    for (number, study) in (1..).zip(studies) {
        let tokens = burn.encode(&study.patches, |_| {})?;
        let found = latents(&tract.encode(&study.patches, |_| {})?);
        let input = study.input(tokens);
        let scores = burn.score(&input)?;
        let expected = Answer {
            latents: latents(&input.tokens),
            logits: rows(&manifest, &scores),
            embedding: scores.embedding,
        };
        let scores = tract.score(&input)?;
        let logits = rows(&manifest, &scores);
        let found = Answer { latents: found, logits, embedding: scores.embedding };
        agreement.tract.widen("tract", number, &found, &expected)?;
        // What is missing for the first study is missing for all.
        let asked = number == 1 || matches!(agreement.onnxruntime, Peer::Ran { .. });
        if !asked {
            continue;
        }
        match onnxruntime(folder, python, study, &input)? {
            Err(reason) => agreement.onnxruntime = Peer::Absent { reason },
            Ok((version, found)) => {
                let mut differences = match &agreement.onnxruntime {
                    Peer::Ran { differences, .. } => *differences,
                    Peer::Absent { .. } => Differences::default(),
                };
                differences.widen("ONNX Runtime", number, &found, &expected)?;
                agreement.onnxruntime = Peer::Ran { version, differences };
            }
        }
    }
    Ok(agreement)
}

/// What an engine made of a study.
struct Answer {
    latents: Vec<f32>,
    embedding: Vec<f32>,
    /// Rows of the shared head, where they are known.
    logits: Vec<Option<f32>>,
}

impl Differences {
    /// Takes the differences of one more study in, or refuses them.
    fn widen(
        &mut self,
        engine: &'static str,
        study: usize,
        found: &Answer,
        expected: &Answer,
    ) -> Result<(), CheckError> {
        let logits = found.logits.iter().zip(&expected.logits);
        let logits: Vec<(f32, f32)> = logits.filter_map(|(f, e)| Option::zip(*f, *e)).collect();
        let (found_logits, expected_logits): (Vec<f32>, Vec<f32>) = logits.into_iter().unzip();
        for (what, most, found, expected) in [
            ("the tokens", &mut self.tokens, &found.latents, &expected.latents),
            ("the embedding", &mut self.embedding, &found.embedding, &expected.embedding),
            ("the logits", &mut self.logits, &found_logits, &expected_logits),
        ] {
            let difference = largest(found, expected);
            if difference > TOLERANCE {
                return Err(CheckError::Differ { engine, what, study, found: difference });
            }
            *most = most.max(difference);
        }
        Ok(())
    }
}

/// Infinite when the lengths differ or a value is not finite.
fn largest(found: &[f32], expected: &[f32]) -> f32 {
    if found.len() != expected.len() || found.iter().any(|v| !v.is_finite()) {
        return f32::INFINITY;
    }
    found.iter().zip(expected).map(|(f, e)| (f - e).abs()).fold(0.0, f32::max)
}

fn latents(tokens: &StudyTokens) -> Vec<f32> {
    let tokens = tokens.series.iter().flat_map(|s| s.features.chunks_exact(TOKEN_FEATURES));
    tokens.flat_map(|token| &token[..LATENT]).copied().collect()
}

/// Logits by their row in the shared head; rows that no label names are unknown.
fn rows(manifest: &Manifest, scores: &StudyScores) -> Vec<Option<f32>> {
    let Some(shared) = manifest.shared_heads.first() else { return Vec::new() };
    let mut rows = vec![None; shared.outputs];
    let mut note = |head: &HeadEntry, logit: f32| {
        if head.file == shared.file {
            rows[head.output_index] = Some(logit);
        }
    };
    for (head, score) in manifest.diagnosis.iter().zip(&scores.diagnosis) {
        note(head, score.logit);
    }
    for (head, score) in manifest.referral.iter().zip(&scores.referral) {
        note(head, score.logit);
    }
    if let Some(head) = manifest.priority.as_ref().filter(|head| head.file == shared.file) {
        for (row, score) in rows[head.offset..].iter_mut().zip(&scores.priority) {
            *row = Some(score.logit);
        }
    }
    rows
}

/// Runs the graphs in ONNX Runtime: version and answer, or what is missing.
fn onnxruntime(
    folder: &Path,
    python: &Path,
    study: &CheckStudy,
    input: &StudyInput,
) -> Result<Result<(String, Answer), String>, CheckError> {
    let scratch = tempfile::tempdir()?;
    let place = |name: &str| scratch.path().join(name);
    fs::write(place("check_onnx.py"), SCRIPT)?;
    fs::write(place("inputs"), inputs(study, input)?)?;
    let mut command = Command::new(python);
    command.arg(place("check_onnx.py")).arg(folder).args([place("inputs"), place("outputs")]);
    let ran = match command.output() {
        Ok(ran) => ran,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Err(format!("{} is not there", python.display())));
        }
        Err(error) => return Err(error.into()),
    };
    let words = String::from_utf8_lossy(&ran.stderr);
    let last = words.lines().last().unwrap_or("no message").to_owned();
    match ran.status.code() {
        Some(0) => {}
        Some(MISSING) => return Ok(Err(last)),
        _ => return Err(CheckError::OnnxRuntime { reason: last }),
    }
    let bytes = fs::read(place("outputs"))?;
    let outputs = SafeTensors::deserialize(&bytes).map_err(strange)?;
    let read = |name: &str| {
        let tensor = outputs.tensor(name).map_err(strange)?;
        Ok::<_, CheckError>(floats(&tensor))
    };
    let logits = if outputs.names().contains(&"logits") {
        read("logits")?.into_iter().map(Some).collect()
    } else {
        Vec::new()
    };
    let patches = read("latents")?;
    let mut latents = Vec::new();
    let mut first = 0;
    for series in &study.patches.series {
        for &unique in &series.sequence {
            let at = (first + unique as usize) * LATENT;
            latents.extend_from_slice(patches.get(at..at + LATENT).unwrap_or_default());
        }
        first += series.coordinates.len();
    }
    let answer = Answer { latents, embedding: read("embedding")?, logits };
    Ok(Ok((String::from_utf8_lossy(&ran.stdout).trim().to_owned(), answer)))
}

fn strange(error: impl fmt::Display) -> CheckError {
    CheckError::OnnxRuntime { reason: format!("the exchanged file is damaged ({error})") }
}

fn floats(tensor: &TensorView<'_>) -> Vec<f32> {
    tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The study as the script reads it.
fn inputs(study: &CheckStudy, input: &StudyInput) -> Result<Vec<u8>, CheckError> {
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let mut patches = Vec::new();
    for series in &study.patches.series {
        for patch in series.voxels.chunks_exact(PATCH_VOX) {
            let mut thin_first = vec![0.0; PATCH_VOX];
            write_thin_first(patch, series.thin_axis, &mut thin_first);
            patches.extend(thin_first);
        }
    }
    let shape = vec![patches.len() / PATCH_VOX, PATCH_VOX];
    tensors.push(("patches".to_owned(), Dtype::F32, shape, bytes(&patches)));
    let ids = |name: String, text: &str| {
        let ids = char_ids(text).ids;
        let bytes = ids.iter().flat_map(|&id| i64::from(id).to_le_bytes()).collect();
        (name, Dtype::I64, vec![ids.len()], bytes)
    };
    tensors.push(ids("description_ids".to_owned(), &study.description));
    for (i, (series, name)) in input.tokens.series.iter().zip(&study.series_names).enumerate() {
        let shape = vec![series.len(), TOKEN_FEATURES];
        tensors.push((format!("tokens.{i}"), Dtype::F32, shape, bytes(&series.features)));
        tensors.push(ids(format!("name_ids.{i}"), name));
    }
    let views = tensors.iter().map(|(name, kind, shape, bytes)| {
        TensorView::new(*kind, shape.clone(), bytes).map(|view| (name, view)).map_err(strange)
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    safetensors::serialize(views, None).map_err(strange)
}
