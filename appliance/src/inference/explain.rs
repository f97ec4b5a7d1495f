//! Which tokens one score rests on: LIME over the series that supports it most, with pictures and
//! the places in the images.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use models::dicom::decoder::Decoder;
use models::engine::{Engine, EngineError, StudyInput, Target};
use models::explain::lime::{LimeConfig, LimeError, Weighting, explain};
use models::explain::overlay::{Caption, Overlay, OverlayError, WeightedToken};
use models::explain::region::{RegionSlice, region};
use models::explain::{TokenBox, token_box};
use models::labels::display_name;
use models::prepare::volume;
use models::study::LeftOutReason;
use serde::{Deserialize, Serialize};

use super::Triaged;
use super::result::Outcome;

/// Pictures per explanation.
const PICTURES: usize = 3;
/// Tokens listed in the result.
const LISTED: usize = 10;

/// What to explain and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// An output of the model; `None` is the diagnosis with the highest margin.
    pub output: Option<Target>,
    /// Index into the used series; `None` picks the one that alone scores highest.
    pub series: Option<usize>,
    /// Settings of LIME.
    pub lime: LimeConfig,
    /// Folder for the pictures.
    pub out: PathBuf,
}

/// An explanation as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplanationInfo {
    /// Explained label.
    pub output: String,
    /// Name of the series.
    pub series: String,
    /// Index of the series in the result.
    pub series_index: usize,
    /// Perturbed inputs.
    pub samples: usize,
    /// How they were weighted.
    pub weighting: String,
    /// Fit of the linear model.
    pub r2: f64,
    /// Score of that series alone.
    pub score: f64,
    /// Most supporting tokens first.
    pub tokens: Vec<TokenInfo>,
    /// Those of them that raise the score, in the images as they were acquired.
    #[serde(default)]
    pub region: Vec<RegionSlice>,
    /// Pictures written.
    pub pictures: Vec<PathBuf>,
}

/// A token with its place in the patient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// Weight in LIME's linear model.
    pub weight: f64,
    /// Corner with the smallest x, y, z in LPS millimetres.
    pub low_mm: [f64; 3],
    /// Corner with the largest x, y, z.
    pub high_mm: [f64; 3],
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// Nothing was scored.
    #[error("the study was not analysed, so there is no score to explain")]
    NotAnalysed,
    /// No such series.
    #[error(
        "series {asked} cannot be explained: the study has {count} used series, counted from 1"
    )]
    Series {
        /// Counted from 1.
        asked: usize,
        /// Used series.
        count: usize,
    },
    /// The model failed.
    #[error("the score cannot be explained")]
    Engine(#[from] EngineError),
    /// LIME failed.
    #[error("the score cannot be explained")]
    Lime(#[from] LimeError<EngineError>),
    /// The series could be read for scoring but not again.
    #[error("the series cannot be read again for pictures")]
    Volume(#[from] LeftOutReason),
    /// A picture failed.
    #[error("a picture cannot be drawn")]
    Overlay(#[from] OverlayError),
    /// A picture cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Explains one score of a triaged study and writes pictures. `progress` is told how many
/// perturbed inputs are scored.
///
/// # Errors
///
/// When there is nothing to explain, the label or series does not exist, or a picture cannot be
/// written.
pub fn explain_score(
    triaged: &Triaged,
    engine: &Engine,
    decoder: &Decoder,
    request: &Request,
    mut progress: impl FnMut(usize),
) -> Result<ExplanationInfo, ExplainError> {
    let input = triaged.input.as_ref().ok_or(ExplainError::NotAnalysed)?;
    let target = request.output.clone().map_or_else(|| top(triaged), Ok)?;
    let count = input.tokens.series.len();
    let index = match request.series {
        Some(index) if index < count => index,
        Some(index) => return Err(ExplainError::Series { asked: index + 1, count }),
        None => strongest_series(engine, input, &target)?,
    };
    let scorer = engine.masked_scorer(input, index, &target)?;
    let mut done = 0;
    let explanation = explain(&request.lime, input.tokens.series[index].len(), |masks| {
        let scores = scorer.scores(masks);
        done += masks.len();
        progress(done);
        scores
    })?;

    let series = &triaged.prepared.series[index].series;
    let version = engine.bundle().manifest().preprocessing;
    let (volume, patches, grid) = volume(series, version, decoder)?;
    let place = |token: usize| patches.coordinates[patches.sequence[token] as usize];
    let weighted: Vec<WeightedToken> = explanation
        .ranked()
        .iter()
        .map(|t| WeightedToken { start_vox: place(t.token), weight: t.weight })
        .collect();
    let output = display_name(target.name());
    let overlay =
        Overlay::new(&volume, &weighted, Caption { series: &series.name, output: &output })?;
    let listed: Vec<(f64, TokenBox)> = weighted
        .iter()
        .take(LISTED)
        .map(|token| (token.weight, token_box(&volume, token.start_vox)))
        .collect();
    let raising: Vec<TokenBox> =
        listed.iter().filter(|(weight, _)| *weight > 0.0).map(|(_, place)| *place).collect();
    let tokens = listed.iter().map(|&(weight, place)| TokenInfo {
        weight,
        low_mm: place.low_mm,
        high_mm: place.high_mm,
    });
    Ok(ExplanationInfo {
        output: target.name().to_owned(),
        series: series.name.clone(),
        series_index: index,
        samples: request.lime.samples,
        weighting: match request.lime.weighting {
            Weighting::Published => "uniform (published code)".to_owned(),
            Weighting::Locality { kernel_width } => {
                format!("locality, kernel width {kernel_width}")
            }
        },
        r2: explanation.r2,
        score: explanation.score,
        tokens: tokens.collect(),
        region: region(series, &grid, &raising),
        pictures: write_pictures(&overlay, target.name(), index, &request.out)?,
    })
}

/// The diagnosis with the highest margin.
fn top(triaged: &Triaged) -> Result<Target, ExplainError> {
    let Outcome::Analysed { scores } = &triaged.result.outcome else {
        return Err(ExplainError::NotAnalysed);
    };
    let top = scores.diagnosis.iter().max_by(|a, b| a.margin.total_cmp(&b.margin));
    top.map(|top| Target::Diagnosis(top.name.clone())).ok_or(ExplainError::NotAnalysed)
}

/// The series that alone gives the score its highest value.
fn strongest_series(
    engine: &Engine,
    input: &StudyInput,
    target: &Target,
) -> Result<usize, ExplainError> {
    let mut best = (0, f64::NEG_INFINITY);
    for (index, series) in input.tokens.series.iter().enumerate() {
        let everything = vec![true; series.len()];
        let score = engine.masked_scorer(input, index, target)?.scores(&[&everything])?[0];
        if score > best.1 {
            best = (index, score);
        }
    }
    Ok(best.0)
}

fn write_pictures(
    overlay: &Overlay<'_>,
    output: &str,
    series: usize,
    out: &Path,
) -> Result<Vec<PathBuf>, ExplainError> {
    let write = |path: &Path| {
        let path = path.to_owned();
        move |source| ExplainError::Write { path, source }
    };
    fs::create_dir_all(out).map_err(write(out))?;
    let mut pictures = Vec::new();
    for (rank, slice) in overlay.top_slices(PICTURES).into_iter().enumerate() {
        let path = out.join(format!("{output}-series{}-{}.png", series + 1, rank + 1));
        fs::write(&path, overlay.png(slice)?).map_err(write(&path))?;
        pictures.push(path);
    }
    Ok(pictures)
}
