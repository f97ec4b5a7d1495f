//! One series in three dimensions. The files are NIfTI-1, which other programs read as well; the
//! page draws them with NiiVue, which belongs to the site and not to this program (decision 0017).

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::Uri;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, VARY};
use axum::response::{IntoResponse as _, Response};
use models::dicom::slices::ListedSlice;
use serde::Deserialize;

use super::dicomweb::trail;
use super::guard::POLICY_WITH_DATA_IMAGES;
use super::language::Language;
use super::slices::{KEEP, images, known, lie_in, open, title, work};
use super::study::{Places, note_view, places};
use super::who::Who;
use super::worklist::RowView;
use super::{Error, Frame, Web, html};
use crate::slices::{Series, alone, explained};
use crate::store::files::SeriesFiles;

/// Which volume of the series.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// Counted from 1; the explained one, or else the first, when absent.
    volume: Option<usize>,
}

#[derive(Template)]
#[template(path = "volume.html")]
struct Page {
    frame: Frame,
    patient: String,
    title: String,
    /// Back to the slices.
    slices: String,
    /// Name of NiiVue among the assets.
    niivue: String,
    /// Why nothing can be drawn, empty when it can.
    nothing: String,
    /// Address of the voxels.
    voxels: String,
    overlay: Option<Overlay>,
    choices: Vec<Choice>,
}

/// Where a score comes from.
struct Overlay {
    finding: String,
    /// Address of the places.
    src: String,
}

/// One of several volumes.
struct Choice {
    name: String,
    url: String,
    current: bool,
}

/// The volumes of a series, and the places that lie in it.
struct Found {
    files: SeriesFiles,
    series: Arc<Series>,
    places: Option<Places>,
}

impl Found {
    fn new(web: &Web, ids: (i64, i64)) -> Result<Self, Error> {
        let files = images(web, ids)?;
        let series = open(web, &files);
        let places = places(web, ids.0)?.filter(|places| places.series_uid == files.uid);
        Ok(Self { files, series, places })
    }

    /// In the order of the slices.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.series.listing.slices.iter().map(|s| &*s.volume).collect();
        names.dedup();
        names
    }

    /// Number of the volume, counted from 1.
    fn number(&self, asked: &Asked) -> usize {
        let explained = self.places.as_ref().and_then(|places| {
            self.names().iter().position(|name| *name == places.volume).map(|place| place + 1)
        });
        asked.volume.or(explained).unwrap_or(1)
    }

    fn slices(&self, number: usize) -> Result<Vec<&ListedSlice>, Error> {
        let names = self.names();
        let name = number.checked_sub(1).and_then(|place| names.get(place));
        // A series without slices is told as such.
        if name.is_none() && !names.is_empty() {
            return Err(Error::NoVolume { volume: number, count: names.len() });
        }
        let slices = self.series.listing.slices.iter();
        Ok(slices.filter(|slice| Some(&&*slice.volume) == name).collect())
    }

    /// Those of the explanation, when they lie in these slices.
    fn places_in(&self, slices: &[&ListedSlice]) -> Option<&Places> {
        let within = |places: &&Places| {
            slices.iter().all(|slice| lie_in(places, &self.files, &self.series, slice))
        };
        self.places.as_ref().filter(within)
    }
}

/// `GET /study/{id}/series/{series}/volume`.
pub(super) async fn page(
    State(web): State<Web>,
    who: Who,
    uri: Uri,
    words: Language,
    path: Result<Path<(i64, i64)>, PathRejection>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Error> {
    let (Path(ids), Query(asked)) = (path?, query?);
    let Some(niivue) = web.niivue.clone() else {
        return Err(Error::NoPage(uri.path().to_owned()));
    };
    let frame = Frame::new(&web, &who, &uri, words, "");
    let response = work(web, move |web| {
        let page = read(web, frame, ids, &asked, niivue.name())?;
        note_view(web, ids.0, &who)?;
        html(&page)
    });
    let mut response = response.await?;
    let policy = HeaderValue::from_static(POLICY_WITH_DATA_IMAGES);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

fn read(
    web: &Web,
    frame: Frame,
    (study_id, series_id): (i64, i64),
    asked: &Asked,
    niivue: &str,
) -> Result<Page, Error> {
    let (ids, words) = ((study_id, series_id), frame.words);
    let row = web.store.worklist_row(study_id, &web.caps)?.ok_or(Error::NoStudy(study_id))?;
    let files = known(web, ids)?;
    let base = format!("/study/{study_id}/series/{series_id}");
    let mut page = Page {
        frame,
        patient: RowView::new(&row, web.now(), words).name,
        title: title(&files, words),
        slices: base.clone(),
        niivue: niivue.to_owned(),
        nothing: String::new(),
        voxels: String::new(),
        overlay: None,
        choices: Vec::new(),
    };
    if files.evicted {
        page.nothing = words.say("series-deleted").to_string();
        return Ok(page);
    }
    let found = Found::new(web, ids)?;
    let number = found.number(asked);
    let slices = found.slices(number)?;
    page.voxels = format!("{base}/volume.nii.gz?volume={number}");
    page.overlay = found.places_in(&slices).map(|places| Overlay {
        finding: words.diagnosis(&places.finding),
        src: format!("{base}/explanation.nii.gz?volume={number}"),
    });
    let names = found.names();
    if names.len() > 1 {
        let choice = |(place, name): (usize, &&str)| Choice {
            name: (*name).to_owned(),
            url: format!("?volume={}", place + 1),
            current: place + 1 == number,
        };
        page.choices = names.iter().enumerate().map(choice).collect();
    }
    Ok(page)
}

/// `GET /study/{id}/series/{series}/volume.nii.gz`: the voxels of one volume.
pub(super) async fn voxels(
    State(web): State<Web>,
    who: Who,
    path: Result<Path<(i64, i64)>, PathRejection>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Error> {
    send(web, who, path?.0, query?.0, "volume", |web, found, slices| {
        Ok(web.slices.volume(&web.decoder, &found.series, slices)?)
    })
    .await
}

/// `GET /study/{id}/series/{series}/explanation.nii.gz`: where the score of its first finding comes
/// from, on the grid of the volume.
pub(super) async fn explanation(
    State(web): State<Web>,
    who: Who,
    path: Result<Path<(i64, i64)>, PathRejection>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Error> {
    let Path(ids) = path?;
    send(web, who, ids, query?.0, "explanation", move |_, found, slices| {
        let places = found.places_in(slices).ok_or(Error::NoPicture(ids.0))?;
        Ok(explained(slices, &places.tokens)?)
    })
    .await
}

/// Makes a file, and hands it out when that is on record.
async fn send(
    web: Web,
    who: Who,
    ids: (i64, i64),
    asked: Asked,
    what: &'static str,
    make: impl FnOnce(&Web, &Found, &[&ListedSlice]) -> Result<Vec<u8>, Error> + Send + 'static,
) -> Result<Response, Error> {
    let working = web.clone();
    let made = alone(move || {
        let found = Found::new(&working, ids)?;
        let slices = found.slices(found.number(&asked))?;
        Ok::<_, Error>((make(&working, &found, &slices)?, slices.len()))
    });
    let (file, slices) = made.await.map_err(Error::Panic)??;
    trail::sent(&web, &who, what, BTreeMap::from([(ids.0, slices)])).await?;
    let headers = [(CONTENT_TYPE, "application/gzip"), (CACHE_CONTROL, KEEP), (VARY, "Cookie")];
    Ok((headers, file).into_response())
}
