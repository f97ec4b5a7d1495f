//! Which places the first finding rests on, in pictures.

use std::fs;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use super::super::language::Language;
use super::super::{Error, Web};
use super::stored_json;
use crate::inference::explain::{ExplanationInfo, TokenInfo};
use crate::store::explanations::StoredExplanation;

/// What the page shows.
pub(super) struct Explanation {
    /// The finding.
    pub(super) name: String,
    pub(super) series: String,
    /// How it was found, for those who want to know.
    pub(super) how: String,
    /// Places of the pictures in their list.
    pub(super) pictures: Vec<usize>,
    /// Why there are none; empty when there are.
    pub(super) failed: String,
}

impl Explanation {
    pub(super) fn of(stored: StoredExplanation, words: Language) -> Self {
        let info = info(&stored);
        let there = |info: &ExplanationInfo| {
            let pictures = info.pictures.iter().enumerate();
            pictures.filter(|(_, path)| path.exists()).map(|(place, _)| place).collect()
        };
        let pictures: Vec<usize> = info.as_ref().map(there).unwrap_or_default();
        Self {
            name: words.diagnosis(&stored.finding),
            failed: match &info {
                None if stored.failed.is_empty() => {
                    words.say("explanation-other-version").to_string()
                }
                Some(_) if pictures.is_empty() => words.say("explanation-deleted").to_string(),
                _ => stored.failed,
            },
            series: info.as_ref().map(|info| info.series.clone()).unwrap_or_default(),
            how: info.as_ref().map_or_else(String::new, |info| {
                let how = words.say("explanation-how").with("samples", info.samples);
                how.with("fit", format!("{:.2}", info.r2)).to_string()
            }),
            pictures,
        }
    }
}

fn info(stored: &StoredExplanation) -> Option<ExplanationInfo> {
    stored.info.as_deref().and_then(|json| serde_json::from_str(json).ok())
}

/// The explanation of the result that a study shows. What a killed model said is not shown.
pub(super) fn shown(
    web: &Web,
    study_id: i64,
    inference_id: Option<i64>,
) -> Result<Option<StoredExplanation>, Error> {
    let Some(inference_id) = inference_id else { return Ok(None) };
    if web.store.stored_result(study_id, inference_id)?.is_none() {
        return Ok(None);
    }
    Ok(web.store.explanation(inference_id)?)
}

/// Where the places lie that a finding rests on.
pub(in crate::web) struct Places {
    /// The finding, as the model spells it.
    pub(in crate::web) finding: String,
    /// Series Instance UID.
    pub(in crate::web) series_uid: String,
    /// What tells their volume from the others of the series; empty for the only one.
    pub(in crate::web) volume: String,
    pub(in crate::web) tokens: Vec<TokenInfo>,
}

/// The places of the explanation that a study shows.
pub(in crate::web) fn places(web: &Web, study_id: i64) -> Result<Option<Places>, Error> {
    let row = web.store.worklist_row(study_id, &web.caps)?.ok_or(Error::NoStudy(study_id))?;
    let Some(stored) = shown(web, study_id, row.inference_id)? else { return Ok(None) };
    let (Some(info), Some(inference_id)) = (info(&stored), row.inference_id) else {
        return Ok(None);
    };
    // The explanation counts series as the result does, which names them.
    let result = web.store.stored_result(study_id, inference_id)?;
    let result = stored_json(result.as_ref().and_then(|result| result.result.as_deref()))?;
    let series = &result["series"][info.series_index];
    Ok(Some(Places {
        series_uid: series["uid"].as_str().unwrap_or_default().to_owned(),
        volume: series["part"].as_str().unwrap_or_default().to_owned(),
        tokens: info.tokens,
        finding: stored.finding,
    }))
}

/// `GET /study/{id}/picture/{place}`: a PNG.
pub(in crate::web) async fn picture(
    State(web): State<Web>,
    path: Result<Path<(i64, usize)>, PathRejection>,
) -> Result<Response, Error> {
    let Path((study_id, place)) = path?;
    let bytes = web.store(move |web| {
        let row = web.store.worklist_row(study_id, &web.caps)?.ok_or(Error::NoStudy(study_id))?;
        let stored = shown(web, study_id, row.inference_id)?;
        let picture = stored.and_then(|stored| info(&stored)?.pictures.into_iter().nth(place));
        picture.and_then(|path| fs::read(path).ok()).ok_or(Error::NoPicture(study_id))
    });
    Ok(([(CONTENT_TYPE, "image/png")], bytes.await?).into_response())
}
