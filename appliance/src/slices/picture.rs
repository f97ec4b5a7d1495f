//! Values to pixels: window, square pixels, letters, tints, JPEG.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes of pictures are rounded and lie between 1 and the longest side"
)]

use jpeg_encoder::{ColorType, Encoder, EncodingError};
use models::dicom::slices::{ListedSlice, SlicePixels, Values, VoiFunction, Window};
use models::explain::canvas::{Canvas, text_width, to_byte};
use models::explain::overlay::{LEAST_SHARE, NOTICE, draw_letters, opacity, warm};
use models::explain::taps;

use super::hang::Hang;
use crate::inference::explain::TokenInfo;

/// Longest side of any picture.
const MOST_PX: u32 = 4096;
/// Of 100: no block is visible at the edges of the ventricles.
const QUALITY: u8 = 92;
const NOTICE_DOT_PX: usize = 2;
/// Distance of the notice from the lower edge: the letter below it stays free.
const NOTICE_PX: usize = 53;
const NOTICE_INK: [u8; 3] = [255, 214, 92];

/// An image as it is shown: one plane of grey or three of colour, 0 to 255.
pub(super) struct Image {
    pub(super) size_px: [usize; 2],
    pub(super) planes: Vec<Vec<f64>>,
}

impl Image {
    /// Through a window; padding is black, whatever black means in the file.
    pub(super) fn new(pixels: &SlicePixels, window: &Window) -> Self {
        let planes: Vec<Vec<f64>> = match &pixels.values {
            Values::Grey(grey) => {
                let shown = |value: &f64| match window.grey(*value) {
                    _ if value.is_nan() => 0.0,
                    share if grey.inverted => 255.0 * (1.0 - share),
                    share => 255.0 * share,
                };
                vec![grey.values.iter().map(shown).collect()]
            }
            Values::Colour(values) => {
                let channel = |first: usize| values.iter().skip(first).step_by(3).copied();
                (0..3).map(|first| channel(first).collect()).collect()
            }
        };
        Self { size_px: pixels.size_px, planes }
    }

    pub(super) fn hung(self, hang: &Hang) -> Self {
        let ([columns, _], size_px) = (self.size_px, hang.pair(self.size_px));
        let [width, height] = size_px;
        // A plane is given back as soon as it is turned: images may be large.
        let turn = |plane: Vec<f64>| -> Vec<f64> {
            let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
            let value = |(x, y)| {
                let [column, row] = hang.stored(size_px, x, y);
                plane[row * columns + column]
            };
            places.map(value).collect()
        };
        Self { size_px, planes: self.planes.into_iter().map(turn).collect() }
    }

    /// The same in another size. Far smaller ones are averaged first, so that no line is lost.
    pub(super) fn resized(mut self, [width, height]: [usize; 2]) -> Self {
        while self.size_px[0] >= 2 * width && self.size_px[1] >= 2 * height {
            self = self.halved();
        }
        let [columns, rows] = self.size_px;
        if [columns, rows] == [width, height] {
            return self;
        }
        let (across, down) = (taps(columns, width), taps(rows, height));
        let resize = |plane: &Vec<f64>| -> Vec<f64> {
            // Along the lines first; down the columns then reads finished lines.
            let along = |line: &[f64]| -> Vec<f64> {
                across.iter().map(|tap| tap.apply(|column| line[column])).collect()
            };
            let lines: Vec<Vec<f64>> = plane.chunks_exact(columns).map(along).collect();
            let mut out = Vec::with_capacity(width * height);
            for tap in &down {
                out.extend((0..width).map(|x| tap.apply(|row| lines[row][x])));
            }
            out
        };
        Self { size_px: [width, height], planes: self.planes.iter().map(resize).collect() }
    }

    fn halved(&self) -> Self {
        let [columns, _] = self.size_px;
        let size_px = self.size_px.map(|length| length / 2);
        let half = |plane: &Vec<f64>| {
            let mut out = Vec::with_capacity(size_px[0] * size_px[1]);
            for y in 0..size_px[1] {
                for x in 0..size_px[0] {
                    let first = 2 * y * columns + 2 * x;
                    let below = first + columns;
                    let sum = plane[first] + plane[first + 1] + plane[below] + plane[below + 1];
                    out.push(sum / 4.0);
                }
            }
            out
        };
        Self { size_px, planes: self.planes.iter().map(half).collect() }
    }

    fn colour(&self, at: usize) -> [u8; 3] {
        match &self.planes[..] {
            [red, green, blue] => [red, green, blue].map(|plane| to_byte(plane[at])),
            planes => [to_byte(planes[0][at]); 3],
        }
    }

    /// As JPEG, without anything in it that is not in the image.
    pub(super) fn jpeg(&self) -> Result<Vec<u8>, EncodingError> {
        if let [grey] = &self.planes[..] {
            let bytes: Vec<u8> = grey.iter().map(|value| to_byte(*value)).collect();
            return jpeg(&bytes, self.size_px, ColorType::Luma);
        }
        let pixels = self.size_px[0] * self.size_px[1];
        let bytes: Vec<u8> = (0..pixels).flat_map(|at| self.colour(at)).collect();
        jpeg(&bytes, self.size_px, ColorType::Rgb)
    }
}

/// Pixels of a picture of an image: square in millimetres, none of the image's lost, and its
/// longest side within bounds.
pub(super) fn square_px(
    size_px: [usize; 2],
    spacing_mm: Option<[f64; 2]>,
    least_px: u32,
    most_px: u32,
) -> [usize; 2] {
    let [x_mm, y_mm] = spacing_mm.unwrap_or([1.0, 1.0]);
    let finest_mm = x_mm.min(y_mm);
    let sides = [size_px[0] as f64 * x_mm / finest_mm, size_px[1] as f64 * y_mm / finest_mm];
    let longest = sides[0].max(sides[1]);
    let most = f64::from(most_px.clamp(1, MOST_PX));
    let wanted = longest.max(f64::from(least_px)).min(most);
    sides.map(|side| ((side * wanted / longest).round() as usize).max(1))
}

/// A square picture with a hung image in its middle, so that all pictures of a series have one
/// shape, and letters on its edges.
pub(super) struct Sheet {
    pub(super) canvas: Canvas,
    pub(super) side_px: usize,
    left: usize,
    top: usize,
    size_px: [usize; 2],
}

impl Sheet {
    pub(super) fn new(image: &Image, side_px: usize) -> Self {
        let mut canvas = Canvas::new(side_px, side_px, [0; 3]);
        let [width, height] = image.size_px;
        let (left, top) = (side_px.saturating_sub(width) / 2, side_px.saturating_sub(height) / 2);
        for y in 0..height {
            for x in 0..width {
                canvas.blend(left + x, top + y, image.colour(y * width + x), 1.0);
            }
        }
        Self { canvas, side_px, left, top, size_px: image.size_px }
    }

    pub(super) fn letters(&mut self, hang: &Hang) {
        if let Some(letters) = hang.letters() {
            draw_letters(&mut self.canvas, [self.side_px; 2], &letters);
        }
    }

    /// Tints the places of tokens, and says in the picture what it is then.
    pub(super) fn tint(&mut self, slice: &ListedSlice, hang: &Hang, tokens: &[TokenInfo]) {
        if let Some(patient) = Patient::new(slice, hang, self.size_px) {
            let shares = Shares::of(tokens);
            for y in 0..self.size_px[1] {
                for x in 0..self.size_px[0] {
                    let share = shares.at(patient.at(x, y));
                    if share > 0.0 {
                        let (x, y) = (self.left + x, self.top + y);
                        self.canvas.blend(x, y, warm(share), opacity(share));
                    }
                }
            }
        }
        let left = self.side_px.saturating_sub(text_width(NOTICE, NOTICE_DOT_PX)) / 2;
        let top = self.side_px.saturating_sub(NOTICE_PX);
        self.canvas.text_on_image(left, top, NOTICE, NOTICE_DOT_PX, NOTICE_INK);
    }

    pub(super) fn jpeg(&self) -> Result<Vec<u8>, EncodingError> {
        jpeg(self.canvas.rgb(), [self.side_px; 2], ColorType::Rgb)
    }
}

/// How much places count in an explanation, as shares of the one that counts most.
pub(super) struct Shares<'a>(Vec<(f64, &'a TokenInfo)>);

impl<'a> Shares<'a> {
    /// Shares that are too small to be shown are left out.
    pub(super) fn of(tokens: &'a [TokenInfo]) -> Self {
        let largest = tokens.iter().map(|token| token.weight).fold(0.0, f64::max);
        let shares = tokens.iter().map(|token| (token.weight / largest, token));
        Self(shares.filter(|(share, _)| *share >= LEAST_SHARE).collect())
    }

    /// From 0 to 1, at a place in LPS.
    pub(super) fn at(&self, at: [f64; 3]) -> f64 {
        let here = self.0.iter().filter(|(_, token)| holds(token, at));
        here.map(|(share, _)| *share).fold(0.0, f64::max)
    }
}

fn holds(token: &TokenInfo, at: [f64; 3]) -> bool {
    (0..3).all(|axis| (token.low_mm[axis]..token.high_mm[axis]).contains(&at[axis]))
}

/// Where pixels of a picture lie in the patient.
struct Patient {
    /// The picture's first pixel.
    first_mm: [f64; 3],
    /// From one pixel to the next, to the right and down.
    step_mm: [[f64; 3]; 2],
}

impl Patient {
    fn new(slice: &ListedSlice, hang: &Hang, picture_px: [usize; 2]) -> Option<Self> {
        let [row, column, _] = slice.axes?;
        let spacing_mm = slice.spacing_mm?;
        let hung_px = hang.pair(slice.size_px);
        let hung_mm = hang.pair(spacing_mm);
        let [first_column, first_row] = hang.stored(hung_px, 0, 0).map(|place| place as f64);
        let corner = slice.position_mm?;
        let towards = hang.towards()?;
        // Pixels of the image for one of the picture.
        let scale = [0, 1].map(|side| hung_px[side] as f64 / picture_px[side] as f64);
        let step_mm = [0, 1].map(|side| towards[side].map(|c| c * hung_mm[side] * scale[side]));
        let first_mm = std::array::from_fn(|i| {
            // Centres of pixels: a picture with finer ones begins nearer to the edge.
            let edge = |side: usize| towards[side][i] * hung_mm[side] * (scale[side] - 1.0) / 2.0;
            corner[i]
                + row[i] * spacing_mm[0] * first_column
                + column[i] * spacing_mm[1] * first_row
                + edge(0)
                + edge(1)
        });
        Some(Self { first_mm, step_mm })
    }

    fn at(&self, x: usize, y: usize) -> [f64; 3] {
        let [right, down] = self.step_mm;
        std::array::from_fn(|i| self.first_mm[i] + right[i] * x as f64 + down[i] * y as f64)
    }
}

/// The 1st to the 99th percentile of values.
pub(super) fn spread(values: &[f64]) -> Window {
    let mut known: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    known.sort_unstable_by(f64::total_cmp);
    let last = known.len().saturating_sub(1);
    let at = |percent: usize| known.get(last * percent / 100).copied().unwrap_or(0.0);
    let (low, high) = (at(1), at(99));
    let width = if high > low { high - low } else { 1.0 };
    Window { centre: f64::midpoint(low, high), width, function: VoiFunction::LinearExact }
}

fn jpeg(bytes: &[u8], size_px: [usize; 2], kind: ColorType) -> Result<Vec<u8>, EncodingError> {
    let [width, height] = size_px.map(|side| u16::try_from(side).unwrap_or(0));
    let mut file = Vec::new();
    Encoder::new(&mut file, QUALITY).encode(bytes, width, height, kind)?;
    Ok(file)
}
