//! One series to scroll through, slice by slice.

use std::path::PathBuf;
use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::Uri;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, VARY};
use axum::response::{IntoResponse as _, Response};
use models::dicom::slices::ListedSlice;
use serde::Deserialize;

use super::error::sentence;
use super::language::{Language, Sentence};
use super::study::{Places, note_view, places};
use super::who::Who;
use super::worklist::RowView;
use super::{Error, Frame, Web, html};
use crate::slices::{Look, Series, SliceError, WindowChoice, at_once, place};
use crate::store::files::SeriesFiles;

/// A browser may keep pictures for itself while somebody scrolls up and down: a decision against
/// "no cache", because over a slow network each slice would be fetched again at every turn. Shared
/// caches keep none, and ten minutes later, or when the browser ends, it is over. Whoever has
/// another session, or none after a logout, asks anew ([`VARY`]).
pub(super) const KEEP: &str = "private, max-age=600";
/// Centre and width of a picture's window, for the script.
const WINDOW: HeaderName = HeaderName::from_static("slice-window");
/// What [`step`] does, as messages: shares of the width that are added to the centre, and what the
/// width is multiplied by.
const STEPS: [(&str, f64, f64); 4] = [
    ("window-brighter", -0.125, 1.0),
    ("window-darker", 0.125, 1.0),
    ("window-more-contrast", 0.0, 0.8),
    ("window-less-contrast", 0.0, 1.25),
];

/// How a series or a slice is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// Counted from 1; the middle one when absent.
    slice: Option<usize>,
    window: String,
    /// `on` or something else.
    overlay: String,
    /// Slices that the asking page knows of.
    of: Option<usize>,
}

#[derive(Template)]
#[template(path = "slices.html")]
struct Page {
    frame: Frame,
    study_id: i64,
    patient: String,
    title: String,
    /// Why no slice is shown, empty when one is.
    nothing: String,
    /// Files that hold no slice, empty for none.
    unreadable: String,
    /// Address of the series in three dimensions, empty where that is not drawn.
    volume: String,
    view: Option<View>,
}

/// A slice and the ways from it.
struct View {
    /// Of the pictures, without their numbers.
    base: String,
    number: usize,
    count: usize,
    /// `slice 12 of 40, 35.2 mm superior`.
    text: String,
    /// The same of all slices, with `|` between them.
    texts: String,
    /// Address of the picture, empty when there is none.
    src: String,
    /// Why there is none.
    failed: String,
    /// First, previous, next, last: name, key for the script, address.
    ways: [Way; 4],
    choices: Vec<Choice>,
    /// `450,900`, empty in colour.
    window_now: String,
    window_asked: String,
    oriented: bool,
    overlay: Option<Overlay>,
    overlay_on: bool,
}

struct Way {
    name: Sentence,
    go: &'static str,
    url: Option<String>,
}

struct Choice {
    name: Sentence,
    /// `stored`, `slice`, or what the script adds to the centre and multiplies the width by.
    window: String,
    url: String,
    current: bool,
}

struct Overlay {
    finding: String,
    /// Turns it on or off.
    url: String,
}

/// `GET /study/{id}/series/{series}`.
pub(super) async fn page(
    State(web): State<Web>,
    who: Who,
    uri: Uri,
    words: Language,
    path: Result<Path<(i64, i64)>, PathRejection>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Error> {
    let (Path(ids), Query(asked)) = (path?, query?);
    let frame = Frame::new(&web, &who, &uri, words, "");
    work(web, move |web| {
        let page = read(web, frame, ids, &asked)?;
        note_view(web, ids.0, &who)?;
        html(&page)
    })
    .await
}

/// `GET /study/{id}/series/{series}/slice/{n}.jpg`.
pub(super) async fn picture(
    State(web): State<Web>,
    path: Result<Path<(i64, i64, String)>, PathRejection>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Error> {
    let (Path((study_id, series_id, name)), Query(asked)) = (path?, query?);
    let number = name.strip_suffix(".jpg").and_then(|number| number.parse::<usize>().ok());
    let number = number.ok_or_else(|| {
        Error::NoPage(format!("/study/{study_id}/series/{series_id}/slice/{name}"))
    })?;
    let picture = work(web, move |web| {
        let window: WindowChoice = asked.window.parse().map_err(Error::Request)?;
        let files = images(web, (study_id, series_id))?;
        let series = open(web, &files);
        if asked.of.is_some_and(|of| of != series.listing.slices.len()) {
            return Err(Error::SeriesChanged);
        }
        let slice = find(&series, number)?;
        let places = if asked.overlay == "on" { places(web, study_id)? } else { None };
        let places = places.filter(|places| lie_in(places, &files, &series, slice));
        let look = Look { window, tokens: places.as_ref().map(|places| &places.tokens[..]) };
        Ok(web.slices.picture(&web.decoder, &series, slice, look)?)
    });
    let picture = picture.await?;
    let mut response = jpeg(picture.jpeg);
    let window = picture.window.and_then(|window| HeaderValue::from_str(&numbers(window)).ok());
    if let Some(window) = window {
        response.headers_mut().insert(WINDOW, window);
    }
    Ok(response)
}

/// `GET /study/{id}/series/{series}/thumbnail.jpg`: its middle slice.
pub(super) async fn thumbnail(
    State(web): State<Web>,
    path: Result<Path<(i64, i64)>, PathRejection>,
) -> Result<Response, Error> {
    let Path(ids) = path?;
    let picture = work(web, move |web| {
        let series = open(web, &images(web, ids)?);
        let slice = find(&series, middle(&series))?;
        Ok(web.slices.thumbnail(&web.decoder, &series, slice)?)
    });
    Ok(jpeg(picture.await?))
}

pub(super) async fn work<T: Send + 'static>(
    web: Web,
    work: impl FnOnce(&Web) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    at_once(move || work(&web)).await.map_err(Error::Panic)?
}

fn jpeg(bytes: Vec<u8>) -> Response {
    let headers = [(CONTENT_TYPE, "image/jpeg"), (CACHE_CONTROL, KEEP), (VARY, "Cookie")];
    (headers, bytes).into_response()
}

pub(super) fn known(web: &Web, (study_id, series_id): (i64, i64)) -> Result<SeriesFiles, Error> {
    if let Some(files) = web.store.series_files(study_id, series_id)? {
        return Ok(files);
    }
    Err(match web.store.worklist_row(study_id, &web.caps)? {
        Some(_) => Error::NoSeries { study_id, series_id },
        None => Error::NoStudy(study_id),
    })
}

/// A series whose images are there.
pub(super) fn images(web: &Web, ids: (i64, i64)) -> Result<SeriesFiles, Error> {
    let files = known(web, ids)?;
    if files.evicted { Err(Error::Evicted(ids.0)) } else { Ok(files) }
}

pub(super) fn open(web: &Web, files: &SeriesFiles) -> Arc<Series> {
    let paths: Vec<PathBuf> = files.paths.iter().map(|p| web.archive.root().join(p)).collect();
    web.slices.series(&paths)
}

fn middle(series: &Series) -> usize {
    series.listing.slices.len() / 2 + 1
}

/// A slice by its number, counted from 1.
fn find(series: &Series, number: usize) -> Result<&ListedSlice, Error> {
    let slices = &series.listing.slices;
    let place = number.checked_sub(1);
    place
        .and_then(|place| slices.get(place))
        .ok_or(Error::NoSlice { slice: number, count: slices.len() })
}

/// Whether a slice belongs to the volume that was explained. Where no volume of the series has its
/// name, because images arrived or the model was shown fewer, all do.
pub(super) fn lie_in(
    places: &Places,
    files: &SeriesFiles,
    series: &Series,
    slice: &ListedSlice,
) -> bool {
    let named = series.listing.slices.iter().any(|slice| slice.volume == places.volume);
    places.series_uid == files.uid && (slice.volume == places.volume || !named)
}

fn read(web: &Web, frame: Frame, ids: (i64, i64), asked: &Asked) -> Result<Page, Error> {
    let ((study_id, series_id), words) = (ids, frame.words);
    let files = known(web, ids)?;
    let row = web.store.worklist_row(study_id, &web.caps)?.ok_or(Error::NoStudy(study_id))?;
    let mut page = Page {
        frame,
        study_id,
        patient: RowView::new(&row, web.now(), words).name,
        title: title(&files, words),
        nothing: String::new(),
        unreadable: String::new(),
        volume: String::new(),
        view: None,
    };
    if files.evicted {
        page.nothing = words.say("series-deleted").to_string();
        return Ok(page);
    }
    let series = open(web, &files);
    if let Some(first) = series.listing.unreadable.first() {
        let files = words.say("count-files").n(series.listing.unreadable.len());
        let said = words.say("slices-unreadable").with("files", files).with("first", first);
        page.unreadable = said.to_string();
    }
    if series.listing.slices.is_empty() {
        page.nothing = words.say("slices-none").to_string();
        return Ok(page);
    }
    let number = asked.slice.unwrap_or_else(|| middle(&series));
    let places = places(web, study_id)?;
    let places = places.filter(|places| places.series_uid == files.uid);
    if web.niivue.is_some() {
        page.volume = format!("/study/{study_id}/series/{series_id}/volume");
    }
    let base = format!("/study/{study_id}/series/{series_id}/slice/");
    page.view = Some(view(web, &series, number, places.as_ref(), base, asked, words)?);
    Ok(page)
}

fn view(
    web: &Web,
    series: &Series,
    number: usize,
    places: Option<&Places>,
    base: String,
    asked: &Asked,
    words: Language,
) -> Result<View, Error> {
    let slice = find(series, number)?;
    let asked_window: WindowChoice = asked.window.parse().map_err(Error::Request)?;
    let count = series.listing.slices.len();
    let overlay_on = asked.overlay == "on" && places.is_some();
    let look = |window: WindowChoice, overlay: bool| {
        format!("window={window}{}", if overlay { "&overlay=on" } else { "" })
    };
    let at = |number| format!("?slice={number}&{}", look(asked_window, overlay_on));
    let way = |key: &'static str, go, number: usize| Way {
        name: words.say(key),
        go,
        url: (1..=count).contains(&number).then(|| at(number)),
    };
    let (window, failed) = match web.slices.window(&web.decoder, series, slice, asked_window) {
        Ok(window) => (window, String::new()),
        Err(error @ SliceError::Unreadable(_)) => (None, sentence(&Error::from(error).said(words))),
        Err(error) => return Err(error.into()),
    };
    let texts = series.listing.slices.iter().enumerate();
    let texts: Vec<String> = texts.map(|(i, slice)| text(i + 1, count, slice, words)).collect();
    let with = |window| format!("?slice={number}&{}", look(window, overlay_on));
    Ok(View {
        src: if failed.is_empty() {
            format!("{base}{number}.jpg?{}&of={count}", look(asked_window, overlay_on))
        } else {
            String::new()
        },
        ways: [
            way("way-first", "first", if number > 1 { 1 } else { 0 }),
            way("way-previous", "previous", number - 1),
            way("way-next", "next", number + 1),
            way("way-last", "last", if number < count { count } else { 0 }),
        ],
        choices: window.map_or_else(Vec::new, |window| choices(window, asked_window, with, words)),
        window_now: window.map(numbers).unwrap_or_default(),
        window_asked: asked_window.to_string(),
        oriented: slice.axes.is_some(),
        overlay: places.map(|places| Overlay {
            finding: words.diagnosis(&places.finding),
            url: format!("?slice={number}&{}", look(asked_window, !overlay_on)),
        }),
        overlay_on,
        text: text(number, count, slice, words),
        texts: texts.join("|"),
        base,
        number,
        count,
        failed,
    })
}

/// Windows to choose from: those that need no number, and steps from the one that is shown.
fn choices(
    now: (f64, f64),
    asked: WindowChoice,
    url: impl Fn(WindowChoice) -> String,
    words: Language,
) -> Vec<Choice> {
    let fixed = [("window-stored", WindowChoice::Stored), ("window-slice", WindowChoice::Slice)];
    let fixed = fixed.map(|(key, window)| Choice {
        name: words.say(key),
        window: window.to_string(),
        url: url(window),
        current: window == asked,
    });
    let steps = STEPS.map(|(key, shift, factor)| Choice {
        name: words.say(key),
        window: format!("{shift},{factor}"),
        url: url(step(now, shift, factor)),
        current: false,
    });
    fixed.into_iter().chain(steps).collect()
}

fn step((centre, width): (f64, f64), shift: f64, factor: f64) -> WindowChoice {
    WindowChoice::Fixed { centre: short(centre + shift * width), width: short(width * factor) }
}

/// Four digits are enough for grey values, and are read at a glance.
fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

fn numbers((centre, width): (f64, f64)) -> String {
    format!("{},{}", short(centre), short(width))
}

pub(super) fn title(files: &SeriesFiles, words: Language) -> String {
    let description = match files.description.as_str() {
        "" => words.say("study-no-description").to_string(),
        description => description.to_owned(),
    };
    match files.number {
        Some(number) => format!("{number}. {description}"),
        None => description,
    }
}

fn text(number: usize, count: usize, slice: &ListedSlice, words: Language) -> String {
    // The script divides texts at this letter.
    let volume = slice.volume.replace('|', " ");
    let place = place(slice).unwrap_or_default();
    let place = match place.split_once(" mm ") {
        Some((mm, towards)) => {
            let key = match towards {
                "right" => "place-right",
                "left" => "place-left",
                "anterior" => "place-anterior",
                "posterior" => "place-posterior",
                "inferior" => "place-inferior",
                _ => "place-superior",
            };
            words.say(key).with("mm", mm).to_string()
        }
        None => place,
    };
    let slice = words.say("slices-place").with("number", number).with("count", count);
    let parts = [slice.to_string(), volume, place];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}
