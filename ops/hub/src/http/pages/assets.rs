//! Files that pages refer to, built into the program.

use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use super::Error;

const STYLE: &str = include_str!("assets/style.css");
const REFRESH: &str = include_str!("assets/refresh.js");
const ICON: &str = include_str!("assets/icon.svg");

/// One of the files. They are small, and a browser that keeps an old style sheet after an update
/// shows a broken page: they are not cached.
pub(super) async fn file(Path(name): Path<String>) -> Result<Response, Error> {
    let (kind, text) = match name.as_str() {
        "style.css" => ("text/css; charset=utf-8", STYLE),
        "refresh.js" => ("text/javascript; charset=utf-8", REFRESH),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return Err(Error::NoPage),
    };
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}
