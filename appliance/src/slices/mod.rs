//! Slices as pictures: grey values through a window, pixels square in millimetres, hung as a
//! radiologist expects them, with letters, and on demand with the places that a finding rests on.
//! And a series as one volume, for viewers that draw in three dimensions.
//!
//! Nothing is made ahead and nothing lies on the disk: a slice is read, shown and forgotten. Kept
//! for a while are the order of a series and files of many frames, which are long to read. This
//! process takes stored values out of files and scales them; compressed frames are decoded in
//! child processes.

mod hang;
mod nifti;
mod picture;
mod recent;
#[cfg(test)]
pub(crate) mod tests;
mod volume;

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use jpeg_encoder::EncodingError;
use models::dicom::decoder::Decoder;
use models::dicom::parse::DicomFile;
use models::dicom::slices::{
    ListedSlice, Listing, SlicePixels, Values, VoiFunction, Window, list, open, read,
};
use models::study::LeftOutReason;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

pub use hang::place;
pub use volume::{MOST_VOX, VolumeError, explained};

use crate::inference::explain::TokenInfo;
use hang::Hang;
use picture::{Image, Sheet, spread, square_px};
use recent::Recent;

/// Pictures made at the same time, each with a decoder process at most: the analysis goes on.
const AT_ONCE: usize = 4;
static ROOM: Semaphore = Semaphore::const_new(AT_ONCE);
/// For work that needs much memory.
static LARGE: Semaphore = Semaphore::const_new(1);

/// Bytes of files kept.
const FILES_BYTES: u64 = 256 << 20;
/// Series whose order is kept: those of a study and its prior.
const SERIES: u64 = 40;
/// Shortest and longest side of a slice's picture; one within shows every pixel that was acquired.
const LEAST_PX: u32 = 512;
const MOST_PX: u32 = 1024;
/// Side of a thumbnail.
pub const THUMBNAIL_PX: u32 = 128;

/// Why there is no picture of a slice.
#[derive(Debug, thiserror::Error)]
pub enum SliceError {
    /// The file, or this frame of it, cannot be shown.
    #[error("this slice cannot be shown: {0}")]
    Unreadable(LeftOutReason),
    /// The picture cannot be compressed.
    #[error("the picture cannot be compressed")]
    Encode(#[from] EncodingError),
    /// Making it panicked.
    #[error("a picture was not finished")]
    Panic(#[source] JoinError),
}

/// Does the work of pictures where it does not hold up the network, a few at a time.
///
/// # Errors
///
/// When the work panics.
pub async fn at_once<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    // Never closed, so a permit always comes; work goes on when its request is gone.
    let permit = ROOM.acquire().await;
    spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    })
    .await
}

/// As [`at_once`], for work that needs much memory: one such work at a time.
///
/// # Errors
///
/// When the work panics.
pub async fn alone<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let permit = LARGE.acquire().await;
    at_once(move || {
        let done = work();
        drop(permit);
        done
    })
    .await
}

/// One frame of one file, counted from 0, as JPEG: plain, as it is stored, in square pixels, its
/// longest side at most `most_px`. `window` is centre and width; without one the file's counts,
/// without that the 1st to the 99th percentile.
///
/// # Errors
///
/// When the frame is not there or cannot be decoded.
pub async fn rendered(
    decoder: &Arc<Decoder>,
    path: &Path,
    frame: usize,
    window: Option<(f64, f64)>,
    most_px: u32,
) -> Result<Vec<u8>, SliceError> {
    let (decoder, path) = (Arc::clone(decoder), path.to_owned());
    let work = move || -> Result<Vec<u8>, SliceError> {
        let file = open(&path).map_err(SliceError::Unreadable)?;
        let frame = u32::try_from(frame).unwrap_or(u32::MAX);
        let pixels = read(&file, frame, false, &decoder).map_err(SliceError::Unreadable)?;
        let wanted = window
            .map_or(WindowChoice::Stored, |(centre, width)| WindowChoice::Fixed { centre, width });
        let window = wanted.of(&pixels, || usual([&pixels]));
        let size_px = square_px(pixels.size_px, pixels.spacing_mm, 1, most_px);
        Ok(Image::new(&pixels, &window).resized(size_px).jpeg()?)
    };
    at_once(work).await.map_err(SliceError::Panic)?
}

/// Which values are black and which white.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum WindowChoice {
    /// As the file says; without a word from it, one window for the whole series.
    #[default]
    Stored,
    /// The 1st to the 99th percentile of the slice.
    Slice,
    /// As asked for.
    Fixed {
        /// Window Center.
        centre: f64,
        /// Window Width.
        width: f64,
    },
}

impl WindowChoice {
    fn of(self, pixels: &SlicePixels, otherwise: impl FnOnce() -> Window) -> Window {
        match (self, &pixels.values) {
            (Self::Fixed { centre, width }, _) => {
                Window { centre, width, function: VoiFunction::Linear }
            }
            (Self::Stored, Values::Grey(grey)) => grey.window.unwrap_or_else(otherwise),
            (Self::Slice, Values::Grey(grey)) => spread(&grey.values),
            (_, Values::Colour(_)) => spread(&[]),
        }
    }
}

impl FromStr for WindowChoice {
    type Err = String;

    /// `stored`, `slice`, or centre and width with a comma between them.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" | "stored" => return Ok(Self::Stored),
            "slice" => return Ok(Self::Slice),
            _ => {}
        }
        let numbers = text.split_once(',').and_then(|(centre, width)| {
            let (centre, width): (f64, f64) = (centre.parse().ok()?, width.parse().ok()?);
            (centre.is_finite() && width.is_finite() && width > 0.0)
                .then_some(Self::Fixed { centre, width })
        });
        numbers.ok_or_else(|| {
            format!(
                "there is no window {text:?}; there are stored, slice, or centre and a width \
                 above 0, such as 450,900"
            )
        })
    }
}

impl std::fmt::Display for WindowChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stored => f.write_str("stored"),
            Self::Slice => f.write_str("slice"),
            Self::Fixed { centre, width } => write!(f, "{centre},{width}"),
        }
    }
}

/// A series in the order in which people scroll through it.
#[derive(Debug)]
pub struct Series {
    /// Its images.
    pub listing: Listing,
    usual: OnceLock<Window>,
}

/// How a slice is to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Its window.
    pub window: WindowChoice,
    /// What to tint; the picture then says that a model had a part in it.
    pub tokens: Option<&'a [TokenInfo]>,
}

/// A picture of a slice.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// The file.
    pub jpeg: Vec<u8>,
    /// Centre and width of its window; none in colour.
    pub window: Option<(f64, f64)>,
}

/// Reads slices, and keeps for a while what the next ones need too.
#[derive(Debug)]
pub struct Slices {
    series: Recent<Vec<PathBuf>, Arc<Series>>,
    files: Recent<PathBuf, Result<Arc<DicomFile>, LeftOutReason>>,
}

impl Default for Slices {
    fn default() -> Self {
        Self { series: Recent::new(SERIES), files: Recent::new(FILES_BYTES) }
    }
}

impl Slices {
    /// The images of a series. Blocks.
    pub fn series(&self, paths: &[PathBuf]) -> Arc<Series> {
        let paths = paths.to_vec();
        let series = self.series.get(&paths, 1, |paths| {
            Arc::new(Series { listing: list(paths), usual: OnceLock::new() })
        });
        if !series.listing.unreadable.is_empty() {
            // The disk may do better the next time.
            self.series.forget(&paths);
        }
        series
    }

    /// A picture of a slice, at least 512 pixels wide and high. Blocks.
    ///
    /// # Errors
    ///
    /// When the slice cannot be decoded.
    pub fn picture(
        &self,
        decoder: &Decoder,
        series: &Series,
        slice: &ListedSlice,
        look: Look<'_>,
    ) -> Result<Picture, SliceError> {
        let (sheet, window) = self.sheet(decoder, series, slice, look)?;
        Ok(Picture { jpeg: sheet.jpeg()?, window })
    }

    fn sheet(
        &self,
        decoder: &Decoder,
        series: &Series,
        slice: &ListedSlice,
        look: Look<'_>,
    ) -> Result<(Sheet, Option<(f64, f64)>), SliceError> {
        let pixels = self.pixels(decoder, slice)?;
        let window = look.window.of(&pixels, || self.usual(decoder, series));
        let hang = Hang::of(slice.axes);
        let image = hung(&pixels, &window, &hang, LEAST_PX, MOST_PX);
        let side_px = image.size_px[0].max(image.size_px[1]);
        let mut sheet = Sheet::new(&image, side_px);
        sheet.letters(&hang);
        if let Some(tokens) = look.tokens {
            sheet.tint(slice, &hang, tokens);
        }
        let grey = matches!(pixels.values, Values::Grey(_));
        Ok((sheet, grey.then_some((window.centre, window.width))))
    }

    /// The window that a slice is shown through; none in colour. Blocks.
    ///
    /// # Errors
    ///
    /// When the slice cannot be decoded.
    pub fn window(
        &self,
        decoder: &Decoder,
        series: &Series,
        slice: &ListedSlice,
        choice: WindowChoice,
    ) -> Result<Option<(f64, f64)>, SliceError> {
        let pixels = self.pixels(decoder, slice)?;
        let window = choice.of(&pixels, || self.usual(decoder, series));
        let grey = matches!(pixels.values, Values::Grey(_));
        Ok(grey.then_some((window.centre, window.width)))
    }

    /// A small picture of a slice, without letters. Blocks.
    ///
    /// # Errors
    ///
    /// When the slice cannot be decoded.
    pub fn thumbnail(
        &self,
        decoder: &Decoder,
        series: &Series,
        slice: &ListedSlice,
    ) -> Result<Vec<u8>, SliceError> {
        let pixels = self.pixels(decoder, slice)?;
        let window = WindowChoice::Stored.of(&pixels, || self.usual(decoder, series));
        let image = hung(&pixels, &window, &Hang::of(slice.axes), THUMBNAIL_PX, THUMBNAIL_PX);
        Ok(image.jpeg()?)
    }

    fn pixels(&self, decoder: &Decoder, slice: &ListedSlice) -> Result<SlicePixels, SliceError> {
        let path = &slice.source.path;
        let bytes = fs::metadata(path).map_or(0, |meta| meta.len());
        let file = self.files.get(path, bytes, |path| open(path).map(Arc::new));
        if file.is_err() {
            // The disk may do better the next time.
            self.files.forget(path);
        }
        let file = file.map_err(SliceError::Unreadable)?;
        read(&file, slice.source.frame, true, decoder).map_err(SliceError::Unreadable)
    }

    /// One window for a series whose files have none: by its first, second and third quarter, so
    /// that brightness does not change from slice to slice.
    fn usual(&self, decoder: &Decoder, series: &Series) -> Window {
        *series.usual.get_or_init(|| {
            let slices = &series.listing.slices;
            let quarters = [1, 2, 3].map(|quarter| slices.get(slices.len() * quarter / 4));
            let pixels = quarters.into_iter().flatten().map(|slice| self.pixels(decoder, slice));
            let pixels: Vec<SlicePixels> = pixels.filter_map(Result::ok).collect();
            usual(&pixels)
        })
    }
}

fn usual<'a>(pixels: impl IntoIterator<Item = &'a SlicePixels>) -> Window {
    let grey = pixels.into_iter().filter_map(|pixels| match &pixels.values {
        Values::Grey(grey) => Some(&grey.values),
        Values::Colour(_) => None,
    });
    spread(&grey.flatten().copied().collect::<Vec<f64>>())
}

fn hung(pixels: &SlicePixels, window: &Window, hang: &Hang, least_px: u32, most_px: u32) -> Image {
    let image = Image::new(pixels, window).hung(hang);
    let spacing_mm = pixels.spacing_mm.map(|spacing| hang.pair(spacing));
    let size_px = square_px(image.size_px, spacing_mm, least_px, most_px);
    image.resized(size_px)
}
