//! The whole pipeline on one page: read, prepare, encode, score (paper, Fig. 1).
//!
//! In the daemon it runs in a process of its own: [`worker`] is that process, [`process`] what
//! the daemon holds of it, [`protocol`] what they say to each other, and [`task`] the loop that
//! finds work and stores results; `ahead` prepares the next study meanwhile. [`envelope`] says
//! which studies a model is not made for, and [`measured`] what of a result is kept to watch the
//! scanner by.

mod ahead;
pub mod envelope;
pub mod explain;
pub mod measured;
pub mod process;
pub mod protocol;
pub mod result;
pub mod task;
pub mod worker;

use std::path::Path;
use std::time::{Duration, Instant};

use models::dicom::decoder::Decoder;
use models::dicom::read::ReadStudyError;
use models::dicom::select::Selection;
use models::engine::{Engine, EngineError, StudyInput};
use models::prepare::{Prepared, prepare};
use models::table::TableError;
use models::volume::Preprocessing;

use result::{ModelInfo, SeriesInfo, StudyInfo, Timing};
pub use result::{Outcome, TriageResult};

/// Why a study could not be triaged. A study without a usable series is no error but
/// [`Outcome::NotAnalysed`].
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// The folder is no study.
    #[error("the study cannot be read")]
    Study(#[from] ReadStudyError),
    /// The rules for series are wrong.
    #[error("the series of the study cannot be selected")]
    Selection(#[from] TableError),
    /// The model failed.
    #[error("the study cannot be scored")]
    Engine(#[from] EngineError),
}

/// What a caller may show while a study is worked on.
pub enum Progress<'a> {
    /// The pixels of this series are being read.
    Series(&'a str),
    /// So many patches of so many are encoded.
    Patches {
        /// Done.
        done: usize,
        /// Of.
        total: usize,
    },
    /// The transformers and heads run.
    Scoring,
}

/// A triaged study: the result, and what an explanation needs.
#[derive(Debug)]
pub struct Triaged {
    /// What is printed, stored and sent.
    pub result: TriageResult,
    /// What the scores were computed from; `None` when the study was not analysed.
    pub input: Option<StudyInput>,
    /// The prepared series.
    pub prepared: Prepared,
}

/// Triages what `selection` has a use for of the study under `dir`, with the embedding of its
/// clinical context where there is one.
///
/// # Errors
///
/// When the folder cannot be read as one study or the model fails on it.
pub fn run(
    dir: &Path,
    engine: &Engine,
    selection: &Selection,
    decoder: &Decoder,
    clinical_context: Option<Vec<f32>>,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Triaged, InferenceError> {
    let version = engine.bundle().manifest().preprocessing;
    let prepared = prepare(dir, version, selection, decoder, |name| {
        progress(Progress::Series(name));
    })?;
    Ok(analyse(prepared, engine, selection, clinical_context, progress)?)
}

/// Triages a study that is prepared: the second half of [`run`].
///
/// # Errors
///
/// When the model fails on it.
pub fn analyse(
    mut prepared: Prepared,
    engine: &Engine,
    selection: &Selection,
    clinical_context: Option<Vec<f32>>,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Triaged, EngineError> {
    let timings = prepared.timings;
    let mut stages = vec![
        timing("read headers", timings.read),
        timing("decode pixels", timings.decode),
        timing("resample and orient", timings.volume),
        timing("cut and filter patches", timings.patches),
    ];
    if prepared.series.is_empty() {
        let reason = "no series of the study can be used".to_owned();
        let outcome = Outcome::NotAnalysed { reason };
        let result = result(engine, selection, &prepared, outcome, stages);
        return Ok(Triaged { result, input: None, prepared });
    }

    let started = Instant::now();
    let patches = std::mem::take(&mut prepared.patches);
    let total = patches.series.iter().map(|s| s.coordinates.len()).sum();
    let tokens = engine.encode(&patches, |done| progress(Progress::Patches { done, total }))?;
    drop(patches);
    stages.push(timing("encode patches", started.elapsed()));

    progress(Progress::Scoring);
    let started = Instant::now();
    let input = StudyInput {
        tokens,
        series_names: prepared.series.iter().map(|s| s.series.name.clone()).collect(),
        study_description: prepared.description.clone().unwrap_or_default(),
        clinical_context,
    };
    let scores = engine.score(&input)?;
    stages.push(timing("transformers and heads", started.elapsed()));
    let result = result(engine, selection, &prepared, Outcome::Analysed { scores }, stages);
    Ok(Triaged { result, input: Some(input), prepared })
}

/// Name of the file with a study's tokens: of this completion, by this model.
#[must_use]
pub fn tokens_file(study_id: i64, generation: i64, model_digest: &str) -> String {
    let short = model_digest.get(..16).unwrap_or(model_digest);
    format!("{study_id}-{generation}-{short}.safetensors")
}

fn timing(stage: &str, duration: Duration) -> Timing {
    Timing { stage: stage.to_owned(), seconds: duration.as_secs_f64() }
}

fn result(
    engine: &Engine,
    selection: &Selection,
    prepared: &Prepared,
    outcome: Outcome,
    timings: Vec<Timing>,
) -> TriageResult {
    let model = ModelInfo::of(engine);
    TriageResult {
        schema_version: result::SCHEMA_VERSION,
        // The published preprocessing selects nothing.
        selection: (model.preprocessing == Preprocessing::V1).then(|| selection.head().clone()),
        model,
        study: StudyInfo { uid: prepared.uid.clone(), description: prepared.description.clone() },
        series: prepared.series.iter().map(SeriesInfo::of).collect(),
        left_out: prepared.left_out.clone(),
        outcome,
        timings,
        explanation: None,
    }
}
