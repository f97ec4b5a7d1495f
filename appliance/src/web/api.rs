//! The pages as JSON, for programs: `/api/v1`, described in `assets/openapi.json`. Errors are
//! `{"error": {"code", "message"}}`. Times are box time in milliseconds.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::who::Who;
use super::worklist::Wanted;
use super::{Error, Web, quality, study, system};
use crate::accounts::Right;
use crate::store::decisions::Decision;
use crate::store::models::Mode;
use crate::store::worklist::Listed;
use crate::worklist::Queue;

/// Most rows of one answer.
const MOST: usize = 500;

/// The description of all this (`OpenAPI` 3.1).
const OPENAPI: &str = include_str!("assets/openapi.json");

/// What each address needs, and who answers.
pub(super) fn routes() -> [(Right, &'static str, MethodRouter<Web>); 11] {
    use Right::{Decide, Operate, Patients};
    [
        (Patients, "/api/v1/worklist", get(worklist)),
        (Patients, "/api/v1/studies/{id}", get(study)),
        (Patients, "/api/v1/studies/{id}/results/{inference}", get(result)),
        (Patients, "/api/v1/studies/{id}/context", post(context)),
        (Decide, "/api/v1/studies/{id}/decisions", post(decide)),
        (Decide, "/api/v1/decisions/{id}/undo", post(undo)),
        (Operate, "/api/v1/deliveries/{id}/retry", post(retry)),
        (Operate, "/api/v1/system", get(system)),
        (Operate, "/api/v1/quality", get(quality)),
        (Operate, "/api/v1/openapi.json", get(openapi)),
        (Operate, "/api/v1/models/{digest}/mode", post(model_mode)),
    ]
}

/// `GET /openapi.json`.
async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// `GET /worklist?queue=&search=&offset=&limit=`.
async fn worklist(
    State(web): State<Web>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Value>, Error> {
    let query = wanted?.0.query(MOST)?;
    web.store(move |web| {
        let Listed { counts, rows } = web.store.worklist(&query, &web.caps)?;
        Ok(Json(json!({
            "now": web.now(),
            "counts": counts,
            "queue": query.queue.map(Queue::word),
            "offset": query.offset,
            "rows": rows,
        })))
    })
    .await
}

/// `GET /studies/{id}`.
async fn study(
    State(web): State<Web>,
    who: Who,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Value>, Error> {
    let Path(id) = id?;
    web.store(move |web| {
        let row = web.store.worklist_row(id, &web.caps)?.ok_or(Error::NoStudy(id))?;
        let view = web.store.study_view(id)?.ok_or(Error::NoStudy(id))?;
        study::note_view(web, id, &who)?;
        Ok(Json(json!({
            "row": row,
            "study": view,
            "decisions": web.store.decisions(id)?,
            "deliveries": web.store.study_deliveries(id)?,
            "priors": web.store.priors(id, study::PRIORS)?,
            "priors_elsewhere": web.store.priors_elsewhere(id, study::PRIORS)?,
        })))
    })
    .await
}

/// `GET /studies/{id}/results/{inference}`: scores and assessment.
async fn result(
    State(web): State<Web>,
    who: Who,
    ids: Result<Path<(i64, i64)>, PathRejection>,
) -> Result<Json<Value>, Error> {
    let Path((study_id, inference_id)) = ids?;
    web.store(move |web| {
        let stored = web.store.stored_result(study_id, inference_id)?;
        let stored = stored.ok_or(Error::NoResult { study_id, inference_id })?;
        study::note_view(web, study_id, &who)?;
        Ok(Json(json!({
            "run": stored.view,
            "result": study::stored_json(stored.result.as_deref())?,
            "assessment": study::stored_json(stored.assessment.as_deref())?,
        })))
    })
    .await
}

/// `POST /studies/{id}/decisions` with a [`Decision`].
async fn decide(
    State(web): State<Web>,
    who: Who,
    id: Result<Path<i64>, PathRejection>,
    decision: Result<Json<Decision>, JsonRejection>,
) -> Result<Json<Value>, Error> {
    let (Path(id), Json(decision)) = (id?, decision?);
    web.store(move |web| {
        let decision = web.store.decide(id, &decision, &who.actor())?;
        Ok(Json(json!({"decision": decision})))
    })
    .await
}

/// `POST /decisions/{id}/undo`.
async fn undo(
    State(web): State<Web>,
    who: Who,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Value>, Error> {
    let Path(id) = id?;
    web.store(move |web| Ok(Json(json!({"study": web.store.undo(id, &who.actor())?})))).await
}

/// `POST /deliveries/{id}/retry`.
async fn retry(
    State(web): State<Web>,
    who: Who,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Value>, Error> {
    let Path(id) = id?;
    web.store(move |web| system::retry_delivery(web, id, &who)).await?;
    Ok(Json(json!({})))
}

/// A clinical context; `null` goes back to the scanner's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Context {
    context: Option<String>,
}

/// `POST /studies/{id}/context`.
async fn context(
    State(web): State<Web>,
    who: Who,
    id: Result<Path<i64>, PathRejection>,
    context: Result<Json<Context>, JsonRejection>,
) -> Result<Json<Value>, Error> {
    let (Path(id), Json(Context { context })) = (id?, context?);
    study::set_context(&web, id, context, &who).await?;
    Ok(Json(json!({})))
}

/// `GET /system`.
async fn system(State(web): State<Web>) -> Result<Json<Value>, Error> {
    web.store(|web| Ok(Json(system::data(web)?))).await
}

/// `GET /quality`.
async fn quality(State(web): State<Web>) -> Result<Json<Value>, Error> {
    web.store(|web| Ok(Json(quality::data(web)?))).await
}

/// What a model is used for from now on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Switch {
    mode: String,
}

/// `POST /models/{digest}/mode`: `off`, `shadow`, `assist`, or `killed` and `revived` for the kill
/// switch, which leaves the mode as it is.
async fn model_mode(
    State(web): State<Web>,
    who: Who,
    digest: Result<Path<String>, PathRejection>,
    switch: Result<Json<Switch>, JsonRejection>,
) -> Result<Json<Value>, Error> {
    let not_text = |_| Error::Request("the digest in the address is not a text".to_owned());
    let (Path(digest), Json(Switch { mode })) = (digest.map_err(not_text)?, switch?);
    // The kill switch is for anybody.
    if mode != "killed" {
        who.must(Right::Models)?;
    }
    let model = web
        .store(move |web| {
            let actor = who.actor();
            let set = |mode| web.store.set_model_mode(&digest, mode, &actor);
            Ok(match mode.as_str() {
                "off" => set(Mode::Off)?,
                "shadow" => set(Mode::Shadow)?,
                "assist" => set(Mode::Assist)?,
                "killed" => web.store.kill_model(&digest, true, &actor)?,
                "revived" => web.store.kill_model(&digest, false, &actor)?,
                other => {
                    return Err(Error::Request(format!(
                        "there is no mode {other:?}; there are off, shadow, assist, killed, revived"
                    )));
                }
            })
        })
        .await?;
    web.poke();
    Ok(Json(json!({"model": model})))
}
