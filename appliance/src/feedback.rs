//! Readers' corrections for whoever trains the model further: one JSON line a study, with the
//! embedding that the heads read in place of images, and nothing that names a patient.
//! `trainer heads` reads it.
//!
//! Only a study in which a reader judged every finding says something about all of them; what was
//! shown and not judged is neither right nor wrong.

use std::io::{self, Write};
use std::path::Path;

use models::engine::input_file::{self, InputFileError};
use models::engine::{Engine, EngineError};
use serde::Serialize;

use crate::store::feedback::ReadStudy;
use crate::store::models::Model;
use crate::store::{Store, StoreError};
use crate::triage::{Acuity, Assessment};

/// Why nothing, or not all, was exported.
#[derive(Debug, thiserror::Error)]
pub enum FeedbackError {
    /// The database failed.
    #[error("the decisions cannot be read")]
    Store(#[from] StoreError),
    /// The model failed.
    #[error("the model cannot be used")]
    Engine(#[from] EngineError),
    /// The lines cannot be written.
    #[error("the lines cannot be written")]
    Write(#[from] io::Error),
}

/// What became of the studies that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines written.
    pub written: usize,
    /// Studies with a finding that nobody judged.
    pub not_judged: usize,
    /// Studies without tokens, or with those of another program.
    pub without_tokens: usize,
}

/// A line, as `trainer::stage::feedback` reads it.
#[derive(Debug, Serialize)]
struct Line<'a> {
    model: &'a str,
    embedding: Vec<f32>,
    diagnoses: Vec<&'a str>,
    referrals: Vec<&'a str>,
    acuity: &'a str,
    /// Of these nobody was asked.
    withheld: Vec<&'a str>,
}

/// Writes a line for every study that was read with this model; `tokens` is the folder of kept
/// tokens.
///
/// # Errors
///
/// When the database or the model fails, or the lines cannot be written.
pub fn export(
    store: &Store,
    model: &Model,
    engine: &Engine,
    tokens: &Path,
    out: &mut impl Write,
) -> Result<Summary, FeedbackError> {
    let mut summary = Summary::default();
    for study in store.read_studies(&model.digest)? {
        let assessment: Option<Assessment> = serde_json::from_str(&study.assessment).ok();
        let judged = assessment.as_ref().is_some_and(|assessment| {
            assessment.findings.iter().all(|f| study.verdicts.contains_key(&f.label))
        });
        let Some(assessment) = assessment.filter(|_| judged) else {
            summary.not_judged += 1;
            continue;
        };
        let path = tokens.join(crate::inference::tokens_file(
            study.study_id,
            study.generation,
            &model.digest,
        ));
        let input = match input_file::load(&path) {
            Ok(input) => input,
            Err(InputFileError::Io { .. } | InputFileError::Content { .. }) => {
                summary.without_tokens += 1;
                continue;
            }
        };
        let embedding = engine.score(&input)?.embedding;
        let line = line(&model.digest, embedding, &study, &assessment);
        serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
        summary.written += 1;
    }
    out.flush()?;
    Ok(summary)
}

/// What the reader found: the findings agreed with, referrals that rest on one of them, and the
/// acuity given, else the highest of these findings.
fn line<'a>(
    model: &'a str,
    embedding: Vec<f32>,
    study: &'a ReadStudy,
    assessment: &'a Assessment,
) -> Line<'a> {
    let agreed = |label: &str| study.verdicts.get(label) == Some(&true);
    let found = || assessment.findings.iter().filter(|finding| agreed(&finding.label));
    let referred = assessment
        .referrals
        .iter()
        .filter(|referral| referral.findings.iter().any(|label| agreed(label)));
    let highest = found().map(|finding| finding.acuity).max().unwrap_or(Acuity::None);
    Line {
        model,
        embedding,
        diagnoses: found().map(|finding| finding.label.as_str()).collect(),
        referrals: referred.map(|referral| referral.service.as_str()).collect(),
        acuity: study.acuity.as_deref().unwrap_or_else(|| highest.word()),
        withheld: assessment.withheld.iter().map(|one| one.label.as_str()).collect(),
    }
}
