//! WADO-RS: what is stored goes out as it lies there (PS3.18 10.4).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use models::dicom::pixels::PixelError;
use serde_json::Value;

use super::attributes::{Attributes, instance_url};
use super::media::{DICOM, JPEG, MULTIPART, OCTETS, Syntaxes};
use super::multipart::Writer;
use super::stream::{self, CHUNK, Output};
use super::{Ask, DicomError, Error, Place, Web, trail};
use crate::archive::frames::{FrameError, Frames};
use crate::archive::json;
use crate::fault::chain;
use crate::slices;
use crate::store::catalogue::{InstanceEntry, Window};
use crate::web::study;
use crate::web::who::Who;

/// Most instances of one answer, as for C-GET: all entries are held at once.
const MOST_INSTANCES: usize = 20_000;
/// Most frames that are asked for by their numbers.
const MOST_FRAMES: usize = 1000;
/// Longest side of a picture: without a wish, and at most.
const USUAL_PX: u32 = 1024;
const MOST_PX: u32 = 4096;

/// An instance that is handed out.
struct Found {
    entry: InstanceEntry,
    path: PathBuf,
}

/// All instances of a study, a series, or one.
async fn find(web: &Web, place: &Place) -> Result<Vec<Found>, Error> {
    let place = place.clone();
    web.store(move |web| {
        let keys = place.keys();
        let file = |entry: InstanceEntry| {
            let path = web.archive.root().join(&entry.path);
            Found { entry, path }
        };
        // One query: between two of them images may arrive, and each place would mean another one.
        let window = Window { offset: 0, limit: MOST_INSTANCES + 1 };
        let entries = web.store.find_instances(&keys, window)?;
        let place = place.to_string();
        match entries.len() {
            0 => Err(DicomError::Unknown(place).into()),
            1..=MOST_INSTANCES => Ok(entries.into_iter().map(file).collect()),
            _ => Err(DicomError::TooMany { place, most: MOST_INSTANCES }.into()),
        }
    })
    .await
}

/// How many instances of each study, by its row.
fn studies(found: &[Found]) -> BTreeMap<i64, usize> {
    let mut studies = BTreeMap::new();
    for found in found {
        *studies.entry(found.entry.series.study.id).or_default() += 1;
    }
    studies
}

impl Found {
    fn media_type(&self) -> String {
        format!("{DICOM}; transfer-syntax={}", self.entry.transfer_syntax)
    }

    /// Sends the file as it lies there.
    fn send(&self, output: &Output) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            Read::take(&mut file, CHUNK as u64).read_to_end(&mut chunk)?;
            if chunk.is_empty() {
                return Ok(());
            }
            output.send(chunk)?;
        }
    }

    /// What its file says; of one that cannot be read, what the index knows.
    fn metadata(&self, root: &str) -> Value {
        let frames = format!("{}/frames", instance_url(root, &self.entry));
        match json::metadata(&self.path, &frames) {
            Ok(object) => object.into(),
            Err(error) => {
                tracing::error!(error = chain(&error), "a stored image cannot be read");
                let mut known = Attributes::default();
                known.instance(&self.entry, root);
                known.into_value()
            }
        }
    }
}

/// `GET` of a study, a series or an instance: all files in it.
pub(super) async fn instances(
    State(web): State<Web>,
    who: Who,
    ask: Ask,
) -> Result<Response, Error> {
    let parts = ask.accept.parts(DICOM);
    // One instance may come alone.
    let alone = ask.place.instance.as_ref().and_then(|_| ask.accept.whole(DICOM));
    let several = parts.is_some();
    let Some(syntaxes) = parts.or(alone) else {
        return Err(DicomError::NotAcceptable(parts_of(DICOM, "*")).into());
    };
    let found = find(&web, &ask.place).await?;
    check_syntaxes(&found, &syntaxes)?;
    trail::sent(&web, &who, "instances", studies(&found)).await?;
    if several {
        return Ok(multipart(DICOM, move |output, writer| {
            found.iter().try_for_each(|found| {
                writer.part(&found.media_type())?;
                found.send(output)
            })
        }));
    }
    let media_type = found.first().map(Found::media_type).unwrap_or_default();
    let body = stream::body(move |output| found.iter().try_for_each(|found| found.send(output)));
    Ok(([(CONTENT_TYPE, media_type)], body).into_response())
}

/// `GET .../metadata`: the headers of all files, in DICOM JSON.
pub(super) async fn metadata(
    State(web): State<Web>,
    who: Who,
    ask: Ask,
) -> Result<Response, Error> {
    let media_type = ask.accept.json()?;
    let found = find(&web, &ask.place).await?;
    trail::sent(&web, &who, "metadata", studies(&found)).await?;
    let body = stream::body(move |output| {
        let mut before = "[";
        for found in &found {
            output.send(format!("{before}{}", found.metadata(&ask.root)))?;
            before = ",";
        }
        output.send("]")
    });
    Ok(([(CONTENT_TYPE, media_type)], body).into_response())
}

/// `GET .../frames/{frames}`, and without numbers all of them.
pub(super) async fn frames(State(web): State<Web>, who: Who, ask: Ask) -> Result<Response, Error> {
    let syntaxes = ask.accept.parts(OCTETS);
    let syntaxes = syntaxes.ok_or_else(|| DicomError::NotAcceptable(parts_of(OCTETS, "*")))?;
    let numbers = ask.place.frames.as_deref().map(frame_numbers).transpose()?;
    let found = find(&web, &ask.place).await?;
    let studies = studies(&found);
    let frames = web
        .store(move |_| {
            let Some(found) = found.first() else { return Err(DicomError::NoPixels.into()) };
            Ok(Frames::find(&found.path, numbers.as_deref()).map_err(DicomError::from)?)
        })
        .await?;
    if !syntaxes.include(&frames.transfer_syntax) {
        let offered = parts_of(OCTETS, &frames.transfer_syntax);
        return Err(DicomError::NotAcceptable(offered).into());
    }
    trail::sent(&web, &who, "frames", studies).await?;
    let media_type = format!("{OCTETS}; transfer-syntax={}", frames.transfer_syntax);
    Ok(multipart(OCTETS, move |output, writer| {
        for pieces in &frames.places {
            writer.part(&media_type)?;
            for piece in pieces {
                send_piece(&frames, piece.clone(), output)?;
            }
        }
        Ok(())
    }))
}

fn send_piece(frames: &Frames, mut piece: Range<usize>, output: &Output) -> io::Result<()> {
    while !piece.is_empty() {
        let mut chunk = vec![0; piece.len().min(CHUNK)];
        piece.start += frames.read(&piece, &mut chunk)?;
        output.send(chunk)?;
    }
    Ok(())
}

/// `GET .../rendered`, and `GET .../frames/{frame}/rendered`: a JPEG.
pub(super) async fn rendered(
    State(web): State<Web>,
    who: Who,
    ask: Ask,
) -> Result<Response, Error> {
    if !ask.accept.takes(JPEG) {
        return Err(DicomError::NotAcceptable(JPEG.to_owned()).into());
    }
    let frame = match ask.place.frames.as_deref() {
        None => 1,
        Some(text) => match frame_numbers(text)?.as_slice() {
            [frame] => *frame,
            _ => return Err(DicomError::FrameNumbers(text.to_owned()).into()),
        },
    };
    let window = ask.parameter("window").map(window).transpose()?;
    let most_px = ask.parameter("viewport").map_or(Ok(USUAL_PX), viewport)?;
    let found = find(&web, &ask.place).await?;
    let Some(Found { entry, path }) = found.into_iter().next() else {
        return Err(DicomError::NoPixels.into());
    };
    let index = usize::try_from(frame - 1).unwrap_or(usize::MAX);
    let picture = slices::rendered(&web.decoder, &path, index, window, most_px).await?;
    let study_id = entry.series.study.id;
    web.store(move |web| study::note_view(web, study_id, &who)).await?;
    Ok(([(CONTENT_TYPE, JPEG)], picture).into_response())
}

/// A multipart answer with parts of this type.
fn multipart(
    part: &'static str,
    work: impl FnOnce(&Output, &mut Writer<'_>) -> io::Result<()> + Send + 'static,
) -> Response {
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let media_type = format!("{MULTIPART}; type=\"{part}\"; boundary={boundary}");
    let body = stream::body(move |output| {
        let mut writer = Writer::new(output, &boundary);
        work(output, &mut writer)?;
        writer.end()
    });
    ([(CONTENT_TYPE, media_type)], body).into_response()
}

/// A media type as it stands in `Accept`.
fn parts_of(part: &str, transfer_syntax: &str) -> String {
    format!("{MULTIPART}; type=\"{part}\"; transfer-syntax={transfer_syntax}")
}

/// All or nothing: a study with some images missing must not look whole.
fn check_syntaxes(found: &[Found], syntaxes: &Syntaxes<'_>) -> Result<(), DicomError> {
    let other = found.iter().find(|found| !syntaxes.include(&found.entry.transfer_syntax));
    other.map_or(Ok(()), |found| {
        Err(DicomError::NotAcceptable(parts_of(DICOM, &found.entry.transfer_syntax)))
    })
}

fn frame_numbers(text: &str) -> Result<Vec<u32>, DicomError> {
    let numbers =
        text.split(',').map(|number| number.parse::<u32>().ok().filter(|number| *number > 0));
    let numbers: Option<Vec<u32>> = numbers.collect();
    let numbers = numbers.ok_or_else(|| DicomError::FrameNumbers(text.to_owned()))?;
    let (found, different) = (numbers.len(), numbers.iter().collect::<BTreeSet<_>>().len());
    if found > MOST_FRAMES || found > different {
        return Err(DicomError::FrameList { most: MOST_FRAMES, found, different });
    }
    Ok(numbers)
}

/// `window=centre,width,function` (PS3.18 8.3.5.1.4); the function is linear whatever is asked for.
fn window(text: &str) -> Result<(f64, f64), DicomError> {
    let mut numbers = text.split(',').map(|number| number.trim().parse::<f64>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(centre), Some(width)) if centre.is_finite() && width.is_finite() && width >= 1.0 => {
            Ok((centre, width))
        }
        _ => Err(DicomError::Query(format!(
            "window is {text:?}, expected a centre and a width of at least 1, with a comma between"
        ))),
    }
}

/// `viewport=width,height` (PS3.18 8.3.5.1.3): the longest side of the picture.
fn viewport(text: &str) -> Result<u32, DicomError> {
    let mut sides = text.split(',').map(|side| side.trim().parse::<u32>().ok());
    match (sides.next().flatten(), sides.next().flatten()) {
        (Some(width), Some(height)) if width > 0 && height > 0 => {
            Ok(width.max(height).min(MOST_PX))
        }
        _ => Err(DicomError::Query(format!(
            "viewport is {text:?}, expected width and height in pixels, with a comma between"
        ))),
    }
}

impl From<FrameError> for DicomError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Pixels(PixelError::NoPixelData { .. }) => Self::NoPixels,
            FrameError::Pixels(PixelError::NoSuchFrame { frames, .. }) => Self::NoFrame(frames),
            FrameError::Pixels(PixelError::NotInPlace { uid, .. }) => Self::NotInPlace(uid),
            error => Self::Frames(error),
        }
    }
}
