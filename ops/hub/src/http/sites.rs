//! What boxes ask for: the exchange of rows and commands, uploads by tus 1.0, pieces of models that
//! they are offered, enrolment.
//!
//! Handlers read headers and bodies and pass them on to [`crate::receive`], on a thread that may
//! wait for disks.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::{ConnectInfo, Extension, Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, head, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use exchange::enrolment::{self, Asked, Given};
use exchange::{offer, wire};
use jiff::Timestamp;
use tower_http::catch_panic::CatchPanicLayer;

use super::tls::{Certificate, Peer};
use crate::enrolment::Enrolment;
use crate::receive::{self, BLOBS, Hub, Refusal, Upload};
use crate::store::sites::Admission;

/// Of tus, the only one there is.
const TUS: HeaderValue = HeaderValue::from_static("1.0.0");
const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// Media type of a piece.
const PIECE_TYPE: &str = "application/offset+octet-stream";
/// Bytes of a piece that are gathered before they go to the disk.
const PIECE_BYTES: usize = 256 * 1024;
/// Longest request for enrolment.
const ENROL_BYTES: usize = 64 * 1024;

#[derive(Clone)]
struct Sites {
    hub: Arc<Hub>,
    enrolment: Arc<Enrolment>,
}

/// Whose certificate the request came with.
#[derive(Clone)]
struct Site(Arc<str>);

/// All that boxes ask for. Requests carry a [`ConnectInfo`] of [`Peer`].
pub fn make_router(hub: Arc<Hub>, enrolment: Arc<Enrolment>) -> Router {
    let sites = Sites { hub, enrolment };
    let uploads = Router::new()
        .route(BLOBS, post(create).options(options))
        .route(&format!("{BLOBS}/{{sha256}}"), head(offset).patch(append).options(options))
        .layer(middleware::from_fn(speaks_tus));
    let certified = Router::new()
        .route(wire::PATH, post(exchange_rows))
        .route(&format!("{}/{{sha256}}", offer::PATH), get(offered))
        .merge(uploads)
        .layer(middleware::from_fn_with_state(sites.clone(), admitted));
    Router::new()
        .route(enrolment::AUTHORITY_PATH, get(authority))
        .route(enrolment::PATH, post(enrol))
        .merge(certified)
        .fallback(|| async { Refusal::new(404, "there is nothing at this address") })
        .layer(CatchPanicLayer::new())
        .with_state(sites)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.said).into_response();
        if let Some(wait) = self.retry_after {
            // Whole seconds, and never before the time.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Runs what may wait for a disk or a database.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => Err(Refusal::failed(&panic)),
    }
}

/// Lets in whose certificate is the site's, now.
async fn admitted(State(sites): State<Sites>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    let shown = peer.and_then(|ConnectInfo(peer)| peer.certificate.clone());
    match site_of(sites.hub, shown).await {
        Ok(site) => {
            request.extensions_mut().insert(site);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn site_of(hub: Arc<Hub>, shown: Option<Certificate>) -> Result<Site, Refusal> {
    let Some(shown) = shown else {
        let said = "this needs the certificate of a box; enrol it with `appliance enrol`";
        return Err(Refusal::new(401, said));
    };
    blocking(move || match hub.store().admission(&shown.site, &shown.serial)? {
        Admission::Admitted => Ok(Site(shown.site.into())),
        Admission::Revoked => Err(Refusal::new(
            403,
            format!(
                "the certificate of {} is revoked; ask the hospital for a new code and enrol again",
                shown.site
            ),
        )),
        Admission::Unknown => Err(Refusal::new(
            403,
            format!(
                "this hub does not know the certificate {} of {}; ask the hospital for a code and \
                 enrol again",
                shown.serial, shown.site
            ),
        )),
    })
    .await
}

async fn exchange_rows(
    State(sites): State<Sites>,
    Extension(Site(site)): Extension<Site>,
    body: Body,
) -> Result<Response, Refusal> {
    let batch = gather(body, wire::REQUEST_BYTES).await?;
    let reply = blocking(move || receive::exchange(&sites.hub, &site, &batch)).await?;
    Ok(([(CONTENT_TYPE, wire::MEDIA_TYPE)], reply).into_response())
}

/// A range of a file (RFC 9110 14.2); less than was asked for where that is much.
async fn offered(
    State(sites): State<Sites>,
    Extension(Site(site)): Extension<Site>,
    Path(sha256): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let range = range(&headers).ok_or_else(|| {
        Refusal::new(400, "files are handed out in pieces: `Range: bytes=FIRST-LAST`")
    })?;
    let piece = blocking(move || receive::offered(&sites.hub, &site, &sha256, range)).await?;
    let last = piece.first + (piece.bytes.len() as u64).saturating_sub(1);
    let content = format!("bytes {}-{last}/{}", piece.first, piece.total);
    let headers = [(CONTENT_RANGE, content), (CONTENT_TYPE, "application/octet-stream".to_owned())];
    Ok((StatusCode::PARTIAL_CONTENT, headers, piece.bytes).into_response())
}

fn range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let text = headers.get(RANGE)?.to_str().ok()?;
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

async fn gather(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let long = format!("the request has more than {limit} bytes, or was cut off");
    to_bytes(body, limit).await.map_err(|_| Refusal::new(413, long))
}

async fn authority(State(sites): State<Sites>) -> Response {
    let pem = sites.enrolment.authority().pem().to_owned();
    ([(CONTENT_TYPE, "application/x-pem-file")], pem).into_response()
}

async fn enrol(
    State(sites): State<Sites>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: Body,
) -> Result<Json<Given>, Refusal> {
    let body = gather(body, ENROL_BYTES).await?;
    let asked: Asked = serde_json::from_slice(&body)
        .map_err(|error| Refusal::new(400, format!("this is no request to enrol: {error}")))?;
    let enrolled =
        blocking(move || sites.enrolment.enrol(sites.hub.store(), peer.address.ip(), &asked));
    enrolled.await.map(Json)
}

/// Every request but OPTIONS says which tus it speaks, and every answer.
async fn speaks_tus(request: Request, next: Next) -> Response {
    let speaks = request.method() == Method::OPTIONS
        || request.headers().get(TUS_RESUMABLE).is_some_and(|version| *version == TUS);
    let mut response = if speaks {
        next.run(request).await
    } else {
        let said = "uploads need the header `Tus-Resumable: 1.0.0`";
        let mut refused = Refusal::new(412, said).into_response();
        refused.headers_mut().insert(TUS_VERSION, TUS);
        refused
    };
    response.headers_mut().insert(TUS_RESUMABLE, TUS);
    response
}

async fn options(State(sites): State<Sites>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(TUS_VERSION, TUS);
    headers.insert(TUS_EXTENSION, HeaderValue::from_static("creation,expiration"));
    headers.insert(TUS_MAX_SIZE, sites.hub.limits().one_blob_bytes.into());
    response
}

async fn create(
    State(sites): State<Sites>,
    Extension(Site(site)): Extension<Site>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let bytes = number(&headers, &UPLOAD_LENGTH)?;
    let sha256 = sha256_of(&headers)?;
    let place = format!("{BLOBS}/{sha256}");
    let upload = blocking(move || receive::create(&sites.hub, &site, &sha256, bytes)).await?;
    let mut response = (StatusCode::CREATED, [(LOCATION, place)]).into_response();
    describe(&mut response, &upload);
    Ok(response)
}

async fn offset(
    State(sites): State<Sites>,
    Extension(Site(site)): Extension<Site>,
    Path(sha256): Path<String>,
) -> Result<Response, Refusal> {
    let upload = blocking(move || receive::offset(&sites.hub, &site, &sha256)).await?;
    let mut response = [(CACHE_CONTROL, "no-store")].into_response();
    response.headers_mut().insert(UPLOAD_LENGTH, upload.bytes.into());
    describe(&mut response, &upload);
    Ok(response)
}

/// Takes a body of any length in, piece by piece; what came before a cut stays.
async fn append(
    State(sites): State<Sites>,
    Extension(Site(site)): Extension<Site>,
    Path(sha256): Path<String>,
    headers: HeaderMap,
    mut body: Body,
) -> Result<Response, Refusal> {
    if headers.get(CONTENT_TYPE).is_none_or(|kind| kind != PIECE_TYPE) {
        return Err(Refusal::new(415, format!("a piece has the Content-Type {PIECE_TYPE}")));
    }
    let mut offset = number(&headers, &UPLOAD_OFFSET)?;
    let (mut piece, mut first) = (Vec::new(), true);
    loop {
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let over = !matches!(frame, Some(Ok(_)));
        if let Some(Ok(frame)) = frame
            && let Ok(bytes) = frame.into_data()
        {
            piece.extend_from_slice(&bytes);
        }
        if piece.len() >= PIECE_BYTES || (over && (first || !piece.is_empty())) {
            let whole = std::mem::take(&mut piece);
            let (hub, site, sha256) = (Arc::clone(&sites.hub), Arc::clone(&site), sha256.clone());
            // The request counts once, however long it is.
            let append = if first { receive::append } else { receive::append_piece };
            offset = blocking(move || append(&hub, &site, &sha256, offset, &whole)).await?;
            first = false;
        }
        if over {
            break;
        }
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(UPLOAD_OFFSET, offset.into());
    Ok(response)
}

fn describe(response: &mut Response, upload: &Upload) {
    response.headers_mut().insert(UPLOAD_OFFSET, upload.offset.into());
    let expires = upload.expires_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let Some(expires) = expires else { return };
    let date = expires.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(UPLOAD_EXPIRES, date);
    }
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<u64, Refusal> {
    let number = headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
    number.ok_or_else(|| Refusal::new(400, format!("the header {name} is no number of bytes")))
}

/// `Upload-Metadata: sha256 <base64 of 64 hexadecimal digits>`, among others perhaps.
fn sha256_of(headers: &HeaderMap) -> Result<String, Refusal> {
    let text = headers.get(UPLOAD_METADATA).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut pairs = text.split(',').filter_map(|pair| pair.trim().split_once(' '));
    pairs
        .find(|(key, _)| *key == "sha256")
        .and_then(|(_, value)| BASE64_STANDARD.decode(value.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            let said = "Upload-Metadata must hold `sha256` with the digest of the whole: 64 \
                        hexadecimal digits, in base64";
            Refusal::new(400, said)
        })
}

#[cfg(test)]
mod tests;
