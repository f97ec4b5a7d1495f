//! The archive for viewers: DICOMweb (PS3.18) below `/dicomweb`.
//!
//! QIDO-RS finds ([`qido`]), WADO-RS hands out ([`wado`]), STOW-RS takes in ([`stow`]). What is
//! handed out is what was stored: nothing is converted, and no answer is in memory as a whole.

mod attributes;
mod media;
mod multipart;
mod qido;
mod stow;
mod stream;
#[cfg(test)]
mod tests;
pub(super) mod trail;
mod wado;

use std::fmt;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_http::timeout::TimeoutLayer;

use self::media::Accept;
use super::{Error, REQUEST_LIMIT, Web};
use crate::archive::frames::FrameError;
use crate::store::catalogue::Keys;
use multipart::MultipartError;

/// Where all this is.
pub(super) const ROOT: &str = "/dicomweb";

/// Why a DICOMweb request was not done.
#[derive(Debug, thiserror::Error)]
pub enum DicomError {
    /// No such resource.
    #[error(
        "there is nothing at {0}; there are /studies, /series and /instances below /dicomweb, as \
         PS3.18 10 lays down"
    )]
    NoResource(String),
    /// Nothing of that UID is here, or not any more.
    #[error("there is no {0} here")]
    Unknown(String),
    /// The client does not take what there is.
    #[error("this is given as {0}; ask for it in the header Accept")]
    NotAcceptable(String),
    /// The client sends what nobody takes.
    #[error("instances are taken as multipart/related; type=\"application/dicom\", found {0:?}")]
    MediaType(String),
    /// The query makes no sense.
    #[error("{0}")]
    Query(String),
    /// The body makes no sense.
    #[error(transparent)]
    Multipart(#[from] MultipartError),
    /// Nothing was in it.
    #[error("the body holds no instance")]
    Empty,
    /// Numbers of frames that are none.
    #[error("frames are asked for by their numbers from 1 on, with commas between, found {0:?}")]
    FrameNumbers(String),
    /// More frames than are given by number, or one twice.
    #[error(
        "at most {most} frames are given by their numbers, each once, found {found} of which \
         {different} are different; ask for all frames without numbers"
    )]
    FrameList {
        /// Numbers that are taken.
        most: usize,
        /// Numbers that were asked for.
        found: usize,
        /// Without those that came again.
        different: usize,
    },
    /// More than is held at once.
    #[error("{place} has more than {most} instances; retrieve it series by series")]
    TooMany {
        /// What was asked for.
        place: String,
        /// Instances that are given at once.
        most: usize,
    },
    /// The image has fewer frames.
    #[error("this instance has no such frame; it has {0}")]
    NoFrame(u32),
    /// There is no image.
    #[error("this instance has no pixel data")]
    NoPixels,
    /// Frames that would have to be converted.
    #[error(
        "the frames of this instance cannot be given one by one, because of its transfer syntax \
         {0}; retrieve the whole instance"
    )]
    NotInPlace(String),
    /// A file of the archive cannot be read.
    #[error("frames cannot be given")]
    Frames(#[source] FrameError),
}

impl DicomError {
    /// HTTP status, and the word programs go by.
    pub(super) fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoResource(_) | Self::Unknown(_) | Self::NoFrame(_) | Self::NoPixels => {
                (StatusCode::NOT_FOUND, "not_found")
            }
            Self::NotAcceptable(_) | Self::NotInPlace(_) => {
                (StatusCode::NOT_ACCEPTABLE, "not_acceptable")
            }
            Self::MediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::Query(_)
            | Self::Multipart(_)
            | Self::Empty
            | Self::FrameNumbers(_)
            | Self::FrameList { .. }
            | Self::TooMany { .. } => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::Frames(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

/// All of DICOMweb. Storing has no limit of time or size of its own: the archive limits each
/// instance, and a connection on which nothing moves is closed.
pub(super) fn router() -> Router<Web> {
    let instance = "/studies/{study}/series/{series}/instances/{instance}";
    Router::new()
        .route("/", get(resources))
        .route("/studies", get(qido::studies))
        .route("/series", get(qido::series))
        .route("/instances", get(qido::instances))
        .route("/studies/{study}", get(wado::instances))
        .route("/studies/{study}/metadata", get(wado::metadata))
        .route("/studies/{study}/series", get(qido::series))
        .route("/studies/{study}/instances", get(qido::instances))
        .route("/studies/{study}/series/{series}", get(wado::instances))
        .route("/studies/{study}/series/{series}/metadata", get(wado::metadata))
        .route("/studies/{study}/series/{series}/instances", get(qido::instances))
        .route(instance, get(wado::instances))
        .route(&format!("{instance}/metadata"), get(wado::metadata))
        .route(&format!("{instance}/rendered"), get(wado::rendered))
        .route(&format!("{instance}/frames"), get(wado::frames))
        .route(&format!("{instance}/frames/{{frames}}"), get(wado::frames))
        .route(&format!("{instance}/frames/{{frames}}/rendered"), get(wado::rendered))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_LIMIT))
        .route("/studies", post(stow::store))
        .route("/studies/{study}", post(stow::store))
        .fallback(|parts: Parts| async move { not_found(&parts) })
        .method_not_allowed_fallback(|| async { Error::Method })
}

fn not_found(parts: &Parts) -> Error {
    DicomError::NoResource(format!("{ROOT}{}", parts.uri.path())).into()
}

/// `GET /`: what there is.
async fn resources() -> Json<Value> {
    Json(json!({
        "standard": "DICOM PS3.18",
        "search": ["studies", "series", "instances"],
        "retrieve": ["instances", "metadata", "frames", "rendered"],
        "store": ["studies"],
    }))
}

/// Which study, series or instance a request is about.
#[derive(Clone, Debug, Default, Deserialize)]
struct Place {
    study: Option<String>,
    series: Option<String>,
    instance: Option<String>,
    frames: Option<String>,
}

impl Place {
    fn keys(&self) -> Keys {
        let list = |uid: Option<&String>| uid.into_iter().cloned().collect();
        Keys {
            study_uids: list(self.study.as_ref()),
            series_uids: list(self.series.as_ref()),
            sop_uids: list(self.instance.as_ref()),
            ..Keys::default()
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let levels = [
            ("instance", self.instance.as_deref()),
            ("series", self.series.as_deref()),
            ("study", self.study.as_deref()),
        ];
        let mut named = levels.into_iter().filter_map(|(level, uid)| Some((level, uid?)));
        if let Some((level, uid)) = named.next() {
            write!(f, "{level} {uid}")?;
        }
        named.try_for_each(|(level, uid)| write!(f, " of {level} {uid}"))
    }
}

/// What a request says beside its body.
struct Ask {
    place: Place,
    /// The query, as it stands: a name may occur several times.
    query: Vec<(String, String)>,
    accept: Accept,
    /// Address of `/dicomweb` as the client names this box.
    root: String,
}

impl FromRequestParts<Web> for Ask {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Error> {
        let place = Path::<Place>::from_request_parts(parts, web).await;
        let Path(place) = place.map_err(|_: PathRejection| not_found(parts))?;
        let query = Query::<Vec<_>>::from_request_parts(parts, web).await;
        let Query(query) = query.map_err(|why: QueryRejection| Error::from(why))?;
        // It was let in by this name, so there is one and it is fit for an address.
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let scheme = if web.encrypted { "https" } else { "http" };
        let root = format!("{scheme}://{host}{ROOT}");
        Ok(Self { place, query, accept: Accept::of(&parts.headers), root })
    }
}

impl Ask {
    /// The last value of a parameter.
    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().rev().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// An answer in DICOM JSON.
fn json_answer(status: StatusCode, media_type: &'static str, value: &Value) -> Response {
    (status, [(CONTENT_TYPE, media_type)], value.to_string()).into_response()
}
