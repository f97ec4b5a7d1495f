//! Slices for people to look at: every image of a series in an order to scroll through, and the
//! values of one with what its file says of pixel size and grey window. Nothing is left out because
//! triage has no use for it, and nothing is turned or stretched here.

use std::path::{Path, PathBuf};

use dicom_dictionary_std::{tags, uids};
use rayon::prelude::*;

use super::decoder::Decoder;
use super::parse::{self, DicomFile};
use super::pixels::{self, PixelError, PixelLayout};
use super::series::header::{Instance, Slice, View};
use super::series::split::split;
use super::series::stack::{undecodable, unreadable};
use crate::study::{LeftOutReason, Samples, SliceSource};

/// Most pixels of a frame that is shown, 4096 x 4096: several pictures are made at the same time,
/// and each needs many bytes a pixel.
const MAX_SHOWN_PX: u64 = 16 << 20;

/// Directions whose cosines differ by less are taken for as near to an axis, so that rounding
/// decides nothing.
pub const NEARLY: f64 = 0.01;

/// The images of a series.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Volume by volume, each from the patient's right, front or feet on.
    pub slices: Vec<ListedSlice>,
    /// Why files have no image that can be shown.
    pub unreadable: Vec<LeftOutReason>,
}

/// One image of a series, without its pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedSlice {
    /// Its file, and frame or tile.
    pub source: SliceSource,
    /// What tells its volume from the others of the series (`b=1000`); empty for the only one.
    pub volume: String,
    /// Columns, rows.
    pub size_px: [usize; 2],
    /// Centre of the first pixel, in LPS.
    pub position_mm: Option<[f64; 3]>,
    /// Unit vectors along a row, along a column, and their normal, in LPS.
    pub axes: Option<[[f64; 3]; 3]>,
    /// Distance between columns, between rows.
    pub spacing_mm: Option<[f64; 2]>,
}

/// The pixels of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct SlicePixels {
    /// Columns, rows.
    pub size_px: [usize; 2],
    /// Distance between columns, between rows.
    pub spacing_mm: Option<[f64; 2]>,
    /// The values.
    pub values: Values,
}

/// Values of an image, C-ordered `[row, column]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// One number a pixel.
    Grey(Grey),
    /// Red, green and blue, interleaved, about 0 to 255.
    Colour(Vec<f64>),
}

/// Values to be shown through a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Grey {
    /// Rescaled. Padding is not a number.
    pub values: Vec<f64>,
    /// The file's first window.
    pub window: Option<Window>,
    /// Low values are bright (MONOCHROME1).
    pub inverted: bool,
}

/// Which values are shown from black to white (PS3.3 C.11.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Window Center (0028,1050).
    pub centre: f64,
    /// Window Width (0028,1051).
    pub width: f64,
    /// VOI LUT Function (0028,1056).
    pub function: VoiFunction,
}

/// How grey rises in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoiFunction {
    /// As PS3.3 C.11.2.1.2.1 has it for whole numbers.
    Linear,
    /// From one edge to the other.
    LinearExact,
    /// In a curve without edges.
    Sigmoid,
}

impl Window {
    /// From 0, black, to 1, white.
    #[must_use]
    pub fn grey(&self, value: f64) -> f64 {
        let Self { centre, width, function } = *self;
        match function {
            // Linear windows narrower than 1 are not legal, but common with fractional slopes.
            VoiFunction::Linear if width >= 1.0 => {
                let (middle, half) = (centre - 0.5, (width - 1.0) / 2.0);
                if value <= middle - half {
                    0.0
                } else if value > middle + half {
                    1.0
                } else {
                    (value - middle) / (width - 1.0) + 0.5
                }
            }
            VoiFunction::Linear | VoiFunction::LinearExact => {
                ((value - centre) / width + 0.5).clamp(0.0, 1.0)
            }
            VoiFunction::Sigmoid => 1.0 / (1.0 + (-4.0 * (value - centre) / width).exp()),
        }
    }
}

/// Lists the images of a series from its files.
#[must_use]
pub fn list(paths: &[PathBuf]) -> Listing {
    let files: Vec<Result<Vec<Slice>, LeftOutReason>> =
        paths.par_iter().map(|path| slices_of(path)).collect();
    let mut listing = Listing::default();
    let mut slices = Vec::new();
    for file in files {
        match file {
            Ok(found) => slices.extend(found),
            Err(reason) => listing.unreadable.push(reason),
        }
    }
    let split = split(slices);
    let parts = split.parts.into_iter().map(|part| (part.labels.join(", "), part.slices));
    let repeats = split.repeats.into_iter().map(|(part, what)| {
        let which = part.labels.last().map(|label| label.trim()).unwrap_or_default();
        (format!("{what} {which}"), part.slices)
    });
    for (volume, slices) in parts.chain(repeats) {
        listing.slices.extend(in_order(slices).into_iter().map(|slice| listed(&volume, slice)));
    }
    listing
}

fn slices_of(path: &Path) -> Result<Vec<Slice>, LeftOutReason> {
    let file = parse::read_header(path).map_err(|error| unreadable(path, &error))?;
    pixels::layout(&file).map_err(|error| undecodable(path, &error))?;
    Ok(Instance::new(&file, true).slices)
}

fn listed(volume: &str, slice: Slice) -> ListedSlice {
    ListedSlice {
        volume: volume.to_owned(),
        size_px: [slice.columns as usize, slice.rows as usize],
        position_mm: slice.position_mm,
        axes: slice.orientation.map(|orientation| orientation.axes),
        spacing_mm: slice.pixel_spacing_mm,
        source: slice.source,
    }
}

/// Slices of one volume along its normal; without positions by slice location, without that by
/// instance number.
fn in_order(mut slices: Vec<Slice>) -> Vec<Slice> {
    let counted = |slice: &Slice| (slice.instance, slice.source.frame);
    let normal = slices.first().and_then(Slice::normal).map(upwards);
    let along = |slice: &Slice| normal.and_then(|normal| slice.along(normal));
    let places: Option<Vec<f64>> = slices.iter().map(along).collect();
    let places = places.or_else(|| slices.iter().map(|slice| slice.location).collect());
    let Some(places) = places else {
        slices.sort_by_key(counted);
        return slices;
    };
    let mut placed: Vec<(f64, Slice)> = places.into_iter().zip(slices).collect();
    placed.sort_by(|(a, s), (b, t)| a.total_cmp(b).then_with(|| counted(s).cmp(&counted(t))));
    placed.into_iter().map(|(_, slice)| slice).collect()
}

/// The normal turned so that it points to the left, to the back or up, whatever it is nearest to:
/// two series of one plane then run the same way.
#[must_use]
pub fn upwards(normal: [f64; 3]) -> [f64; 3] {
    if normal[nearest_axis(normal)] < 0.0 { normal.map(|v| -v) } else { normal }
}

/// The axis of LPS that a normal is nearest to; of those nearly as near the last, up before back
/// before left.
#[must_use]
pub fn nearest_axis(normal: [f64; 3]) -> usize {
    let [left, back, up] = normal.map(f64::abs);
    if up + NEARLY >= left.max(back) {
        2
    } else if back + NEARLY >= left {
        1
    } else {
        0
    }
}

/// Reads a file whose images are to be shown.
///
/// # Errors
///
/// When it cannot be read or is no DICOM.
pub fn open(path: &Path) -> Result<DicomFile, LeftOutReason> {
    parse::read_file(path).map_err(|error| unreadable(path, &error))
}

/// The pixels of one frame, counted from 0; with `split_mosaics` of one tile of a mosaic.
///
/// # Errors
///
/// When the frame is not there, is too large, cannot be decoded, or holds colours that cannot be
/// shown.
pub fn read(
    file: &DicomFile,
    frame: u32,
    split_mosaics: bool,
    decoder: &Decoder,
) -> Result<SlicePixels, LeftOutReason> {
    let refuse = |error: PixelError| undecodable(&file.path, &error);
    let layout = pixels::layout(file).map_err(refuse)?;
    let found = u64::from(layout.columns) * u64::from(layout.rows);
    if found > MAX_SHOWN_PX {
        let what = "number of pixels".to_owned();
        return Err(LeftOutReason::TooLarge { what, found, limit: MAX_SHOWN_PX });
    }
    let instance = Instance::new(file, split_mosaics);
    let slice = instance.slices.iter().find(|slice| slice.source.frame == frame);
    let slice = slice.ok_or_else(|| {
        let frames = u32::try_from(instance.slices.len()).unwrap_or(u32::MAX);
        refuse(PixelError::NoSuchFrame { path: file.path.clone(), frame, frames })
    })?;
    let stored = if slice.tile.is_some() { 0 } else { frame };
    let decoded = pixels::decode_frame(file, stored, decoder).map_err(refuse)?;
    let values = if layout.samples_per_pixel == 3 {
        Values::Colour(tile(colour(file, &layout, &decoded.values)?, &layout, slice))
    } else if layout.photometric.starts_with("MONOCHROME") {
        let values = tile(numbers(&decoded.values), &layout, slice);
        Values::Grey(grey(file, &layout, values, slice, stored))
    } else {
        return Err(LeftOutReason::ColourMap);
    };
    let size_px = [slice.columns as usize, slice.rows as usize];
    Ok(SlicePixels { size_px, spacing_mm: slice.pixel_spacing_mm, values })
}

fn grey(
    file: &DicomFile,
    layout: &PixelLayout,
    mut values: Vec<f64>,
    slice: &Slice,
    frame: u32,
) -> Grey {
    let padding = padding(file, layout);
    for value in &mut values {
        let stored = *value;
        let padded = padding.is_some_and(|(low, high)| (low..=high).contains(&stored));
        *value = if padded { f64::NAN } else { stored * slice.slope + slice.intercept };
    }
    Grey {
        values,
        window: window(&View::of_frame(file, frame)),
        inverted: layout.photometric == "MONOCHROME1",
    }
}

fn window(view: &View<'_>) -> Option<Window> {
    let sequence = tags::FRAME_VOILUT_SEQUENCE;
    let centre = view.number(sequence, tags::WINDOW_CENTER)?;
    let width = view.number(sequence, tags::WINDOW_WIDTH).filter(|width| *width > 0.0)?;
    let function = match view.texts(sequence, tags::VOILUT_FUNCTION).first().map(String::as_str) {
        Some("SIGMOID") => VoiFunction::Sigmoid,
        Some("LINEAR_EXACT") => VoiFunction::LinearExact,
        _ => VoiFunction::Linear,
    };
    Some(Window { centre, width, function })
}

/// The stored values, lowest and highest, that fill places without image. Implicit VR does not say
/// whether the attribute has a sign, so a value of the other kind is taken for the same bits.
fn padding(file: &DicomFile, layout: &PixelLayout) -> Option<(f64, f64)> {
    let span = 1_i64 << layout.bits_allocated;
    let stored = |tag| {
        let value = file.data.int(tag)?;
        Some(match value {
            _ if layout.signed && value >= span / 2 => value - span,
            _ if !layout.signed && value < 0 => value + span,
            _ => value,
        })
    };
    let value = stored(tags::PIXEL_PADDING_VALUE)?;
    let limit = stored(tags::PIXEL_PADDING_RANGE_LIMIT).unwrap_or(value);
    Some((value.min(limit) as f64, value.max(limit) as f64))
}

/// The part of a frame that a slice is.
fn tile(values: Vec<f64>, layout: &PixelLayout, slice: &Slice) -> Vec<f64> {
    let Some(tile) = slice.tile else { return values };
    let samples = |pixels: u32| pixels as usize * layout.samples_per_pixel as usize;
    let (width, left, taken) =
        (samples(layout.columns), samples(tile.column), samples(slice.columns));
    let lines = values.chunks_exact(width).skip(tile.row as usize).take(slice.rows as usize);
    lines.flat_map(|line| line.iter().skip(left).take(taken).copied()).collect()
}

/// Red, green and blue. Codecs of lossy streams deliver these already; what is stored without
/// compression or run-length coded may be in luminance and chroma (PS3.3 C.7.6.3.1.2).
fn colour(
    file: &DicomFile,
    layout: &PixelLayout,
    samples: &Samples,
) -> Result<Vec<f64>, LeftOutReason> {
    if !matches!(samples, Samples::U8(_)) {
        return Err(LeftOutReason::ColourMap);
    }
    let mut values = numbers(samples);
    let as_stored = file.pixels.is_some_and(|pixels| pixels.length.is_some())
        || file.transfer_syntax == uids::RLE_LOSSLESS;
    if as_stored && layout.photometric.starts_with("YBR_FULL") {
        for pixel in values.chunks_exact_mut(3) {
            let (y, blue, red) = (pixel[0], pixel[1] - 128.0, pixel[2] - 128.0);
            pixel[0] = y + 1.402 * red;
            pixel[1] = y - 0.344_136 * blue - 0.714_136 * red;
            pixel[2] = y + 1.772 * blue;
        }
    }
    Ok(values)
}

fn numbers(samples: &Samples) -> Vec<f64> {
    fn wide<T: Copy + Into<f64>>(values: &[T]) -> Vec<f64> {
        values.iter().map(|&value| value.into()).collect()
    }
    match samples {
        Samples::I8(values) => wide(values),
        Samples::U8(values) => wide(values),
        Samples::I16(values) => wide(values),
        Samples::U16(values) => wide(values),
        Samples::I32(values) => wide(values),
        Samples::U32(values) => wide(values),
        Samples::F64(values) => values.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::decoder::DecoderLimits;

    /// A mosaic of four tiles, 8 bit.
    fn image(size_px: [u16; 2], samples: u16, values: &[u8]) -> DicomFile {
        let kind = if samples == 3 { "RGB " } else { "MONOCHROME2 " };
        let mut out = Vec::new();
        let mut put = |tag: (u16, u16), vr: &str, value: &[u8]| {
            out.extend([tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat());
            out.extend(vr.as_bytes());
            let length = u16::try_from(value.len()).unwrap();
            if vr == "OB" {
                out.extend([0, 0]);
                out.extend(u32::from(length).to_le_bytes());
            } else {
                out.extend(length.to_le_bytes());
            }
            out.extend(value);
        };
        put((0x0008, 0x0008), "CS", b"ORIGINAL\\PRIMARY\\MOSAIC ");
        put((0x0008, 0x0016), "UI", b"1.2.840.10008.5.1.4.1.1.4\0");
        put((0x0019, 0x100a), "US", &4_u16.to_le_bytes());
        put((0x0028, 0x0002), "US", &samples.to_le_bytes());
        put((0x0028, 0x0004), "CS", kind.as_bytes());
        put((0x0028, 0x0010), "US", &size_px[1].to_le_bytes());
        put((0x0028, 0x0011), "US", &size_px[0].to_le_bytes());
        put((0x0028, 0x0100), "US", &8_u16.to_le_bytes());
        put((0x0028, 0x0101), "US", &8_u16.to_le_bytes());
        put((0x0028, 0x0102), "US", &7_u16.to_le_bytes());
        put((0x0028, 0x0103), "US", &0_u16.to_le_bytes());
        put((0x7fe0, 0x0010), "OB", values);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.dcm");
        std::fs::write(&path, out).unwrap();
        open(&path).unwrap()
    }

    fn shown(file: &DicomFile, frame: u32) -> Result<SlicePixels, LeftOutReason> {
        let decoder = Decoder::new("no-such-program".into(), Vec::new(), DecoderLimits::default());
        read(file, frame, true, &decoder)
    }

    #[test]
    fn tiles_are_cut_from_grey_and_from_colour() {
        let grey = shown(&image([4, 2], 1, &[0, 1, 2, 3, 4, 5, 6, 7]), 3).unwrap();
        let Values::Grey(values) = grey.values else { panic!("it is grey") };
        assert_eq!((grey.size_px, values.values), ([2, 1], vec![6.0, 7.0]));
        let colours: Vec<u8> = (0..24).collect();
        let colour = shown(&image([4, 2], 3, &colours), 1).unwrap();
        assert_eq!(colour.size_px, [2, 1]);
        assert_eq!(colour.values, Values::Colour(vec![6.0, 7.0, 8.0, 9.0, 10.0, 11.0]));
    }

    #[test]
    fn images_that_are_too_large_are_refused_before_they_are_decoded() {
        let error = shown(&image([4096, 4098], 1, &[0, 0]), 0).unwrap_err().to_string();
        assert_eq!(error, "number of pixels is 16785408, at most 16777216 is accepted");
        let error = shown(&image([4096, 4096], 1, &[0, 0]), 0).unwrap_err();
        assert!(!matches!(error, LeftOutReason::TooLarge { .. }), "{error}");
    }
}
