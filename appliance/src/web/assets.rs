//! Files that pages refer to, built into the program.

use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use super::Error;

const STYLE: &str = include_str!("assets/style.css");
const LIVE: &str = include_str!("assets/live.js");
const SLICES: &str = include_str!("assets/slices.js");
const ICON: &str = include_str!("assets/icon.svg");

/// One of the files. They change with the program only, but a browser that keeps an old style
/// sheet after an update shows a broken page, and they are small: they are not cached either.
pub(super) async fn file(Path(name): Path<String>) -> Result<Response, Error> {
    let (kind, text) = match name.as_str() {
        "style.css" => ("text/css; charset=utf-8", STYLE),
        "live.js" => ("text/javascript; charset=utf-8", LIVE),
        "slices.js" => ("text/javascript; charset=utf-8", SLICES),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return Err(Error::NoPage(format!("/assets/{name}"))),
    };
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}
