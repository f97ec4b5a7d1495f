//! Pictures of an explanation: a slice as a radiologist hangs it, with the tokens that raise the
//! score tinted, the first of them outlined and numbered.
//!
//! Slices are cut along the acquired stacking axis. Axial slices show anterior at the top,
//! coronal and sagittal ones superior at the top; the patient's right is on the left of axial and
//! coronal pictures, anterior on the left of sagittal ones. Pixels are square in millimetres.

use super::canvas::{Canvas, Colour, Rectangle, advance, text_width, to_byte};
use super::view::{View, taps, window};
use super::{TokenBox, token_box};
use crate::volume::Volume;

/// Tokens that get an outline and a number.
pub const OUTLINED: usize = 5;

/// Tokens below this share of the largest weight are not tinted: LIME's noise would cover the
/// anatomy.
pub const LEAST_SHARE: f64 = 0.1;
const LARGEST_OPACITY: f64 = 0.4;
const DOT_PX: usize = 2;
const MARGIN_PX: usize = 10;
const LINE_PX: usize = 22;
const PAPER: Colour = [18, 20, 24];
const INK: Colour = [226, 228, 232];
const FAINT_INK: Colour = [150, 156, 166];
const OUTLINE: Colour = [84, 214, 255];
/// Burnt into every picture that a model had a part in.
pub const NOTICE: &str = "AI preview - not for diagnosis";

/// One token with its place in the padded volume (`[z, y, x]`) and its LIME weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightedToken {
    /// Start in the padded volume, as in
    /// [`SeriesPatches::coordinates`](crate::tokens::SeriesPatches::coordinates).
    pub start_vox: [u32; 3],
    /// Weight in the linear model of LIME.
    pub weight: f64,
}

/// What the caption says.
#[derive(Clone, Copy, Debug)]
pub struct Caption<'a> {
    /// Name of the series.
    pub series: &'a str,
    /// The explained score, such as the name of a diagnosis.
    pub output: &'a str,
}

/// Why a picture cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// The volume contradicts itself.
    #[error("the volume cannot be shown: {what}")]
    Volume {
        /// What is wrong with it.
        what: String,
    },
    /// No such slice.
    #[error("slice {slice} asked for, the volume has {slices} (counted from 0)")]
    Slice {
        /// The slice asked for.
        slice: usize,
        /// Slices of the volume.
        slices: usize,
    },
    /// The PNG encoder failed.
    #[error("slice {slice} could not be written as PNG")]
    Png {
        /// The slice.
        slice: usize,
        /// The encoder's error.
        #[source]
        source: png::EncodingError,
    },
}

/// A token of the picture, the strongest first.
struct Shown {
    place: TokenBox,
    weight: f64,
}

/// An explanation laid over its volume; grey window and colour scale are the same for all slices.
pub struct Overlay<'a> {
    volume: &'a Volume,
    caption: Caption<'a>,
    tokens: Vec<Shown>,
    window: [f32; 2],
}

impl<'a> Overlay<'a> {
    /// Lays tokens over their volume. Tokens at the same place (the published filter repeats
    /// some) are added up.
    ///
    /// # Errors
    ///
    /// [`OverlayError::Volume`] when voxels, sizes and spacing do not belong together.
    pub fn new(
        volume: &'a Volume,
        tokens: &[WeightedToken],
        caption: Caption<'a>,
    ) -> Result<Self, OverlayError> {
        check(volume)?;
        let mut sorted = tokens.to_vec();
        sorted.sort_by_key(|token| token.start_vox);
        let mut shown: Vec<Shown> = sorted
            .chunk_by(|a, b| a.start_vox == b.start_vox)
            .map(|same| Shown {
                place: token_box(volume, same[0].start_vox),
                weight: same.iter().map(|token| token.weight).sum(),
            })
            .filter(|token| token.weight > 0.0)
            .collect();
        shown.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        Ok(Self { volume, caption, tokens: shown, window: window(&volume.voxels) })
    }

    /// Up to `count` slices that show the strongest tokens: the middle slice of the strongest
    /// token's slab, then of the next slab, so that the first picture always holds token 1.
    #[must_use]
    pub fn top_slices(&self, count: usize) -> Vec<usize> {
        let thin = self.volume.thin_axis;
        let mut slices = Vec::new();
        for Shown { place, .. } in &self.tokens {
            let middle = usize::midpoint(place.first_vox[thin], place.end_vox[thin] - 1);
            if slices.len() < count && !slices.contains(&middle) {
                slices.push(middle);
            }
        }
        slices
    }

    /// One slice, counted along the stacking axis of the volume from 0, as a PNG file.
    ///
    /// # Errors
    ///
    /// [`OverlayError::Slice`] for a slice the volume lacks, [`OverlayError::Png`] from the
    /// encoder.
    pub fn png(&self, slice: usize) -> Result<Vec<u8>, OverlayError> {
        let slices = self.volume.size_vox[self.volume.thin_axis];
        if slice >= slices {
            return Err(OverlayError::Slice { slice, slices });
        }
        let view = View::of(self.volume);
        let caption_px = 3 * LINE_PX + 2 * MARGIN_PX;
        let mut canvas = Canvas::new(view.width_px, view.height_px + caption_px, PAPER);
        self.draw_slice(&mut canvas, &view, slice);
        self.draw_tokens(&mut canvas, &view, slice);
        draw_letters(&mut canvas, [view.width_px, view.height_px], &view.letters());
        self.draw_caption(&mut canvas, &view, slice);
        canvas.png().map_err(|source| OverlayError::Png { slice, source })
    }

    fn draw_slice(&self, canvas: &mut Canvas, view: &View, slice: usize) {
        let [low, high] = self.window.map(f64::from);
        let columns = taps(view.columns(), view.width_px);
        // Interpolate along the rows first; the columns then read finished lines.
        let mut lines = Vec::with_capacity(view.rows() * view.width_px);
        for row in 0..view.rows() {
            let voxel = |column| f64::from(view.voxel(self.volume, slice, row, column));
            lines.extend(columns.iter().map(|tap| tap.apply(voxel)));
        }
        for (y, tap) in taps(view.rows(), view.height_px).iter().enumerate() {
            for x in 0..view.width_px {
                let value = tap.apply(|row| lines[row * view.width_px + x]);
                let grey = to_byte(255.0 * (value - low) / (high - low));
                canvas.blend(x, y, [grey; 3], 1.0);
            }
        }
    }

    fn draw_tokens(&self, canvas: &mut Canvas, view: &View, slice: usize) {
        let thin = self.volume.thin_axis;
        let here = |token: &Shown| {
            (token.place.first_vox[thin]..token.place.end_vox[thin]).contains(&slice)
        };
        let ranked: Vec<(usize, &Shown)> =
            (1..).zip(&self.tokens).filter(|(_, token)| here(token)).collect();
        for (_, token) in &ranked {
            let share = token.weight / self.tokens[0].weight;
            if share >= LEAST_SHARE {
                canvas.fill(view.area(&token.place), warm(share), opacity(share));
            }
        }
        for (rank, token) in ranked.iter().take_while(|(rank, _)| *rank <= OUTLINED) {
            let area = view.area(&token.place);
            canvas.outline(area, OUTLINE, 2);
            let tag = Rectangle {
                left: area.left,
                top: area.top,
                right: area.left + 5 * DOT_PX + 8,
                bottom: area.top + 7 * DOT_PX + 8,
            };
            canvas.fill(tag, OUTLINE, 1.0);
            canvas.text(area.left + 4, area.top + 4, &rank.to_string(), DOT_PX, [0; 3]);
        }
    }

    /// Series and slice; what is explained and the colour scale; the notice.
    fn draw_caption(&self, canvas: &mut Canvas, view: &View, slice: usize) {
        let right = view.width_px - MARGIN_PX;
        let line = |number: usize| view.height_px + MARGIN_PX + number * LINE_PX;
        let mut write = |number: usize, text: &str, note: &str, colour| {
            let note_left = right.saturating_sub(text_width(note, DOT_PX));
            let room = note_left.saturating_sub(2 * MARGIN_PX) / advance(DOT_PX);
            canvas.text(MARGIN_PX, line(number), &shortened(text, room), DOT_PX, colour);
            canvas.text(note_left, line(number), note, DOT_PX, FAINT_INK);
        };
        let slices = self.volume.size_vox[self.volume.thin_axis];
        let plane = ["axial", "coronal", "sagittal"][self.volume.thin_axis];
        write(0, self.caption.series, &format!("{plane} {}/{slices}", slice + 1), INK);
        let largest = self.tokens.first().map_or(0.0, |token| token.weight);
        let scale =
            if largest > 0.0 { format!("{largest:+.1e}") } else { "no token raises it".into() };
        let bar = if largest > 0.0 { " ".repeat(9) } else { String::new() };
        write(1, self.caption.output, &format!("LIME 0 {bar}{scale}"), INK);
        write(2, NOTICE, "", FAINT_INK);
        if largest > 0.0 {
            let end = right - text_width(&scale, DOT_PX) - advance(DOT_PX);
            let width = 8 * advance(DOT_PX);
            for x in 0..width {
                let share = x as f64 / width as f64;
                let left = end - width + x;
                let top = line(1);
                let area = Rectangle { left, top, right: left + 1, bottom: top + 7 * DOT_PX };
                // On mid grey, because that is how the tint looks over tissue.
                canvas.fill(area, [110; 3], 1.0);
                canvas.fill(area, warm(share), opacity(share));
            }
        }
    }
}

/// Writes the letters of the left, right, top and bottom edge into a picture of `[width, height]`
/// pixels.
pub fn draw_letters(canvas: &mut Canvas, [width, height]: [usize; 2], letters: &[String; 4]) {
    let dot = DOT_PX + 1;
    let (middle_x, middle_y) = (width / 2, height / 2 - 4 * dot);
    let [left, right, top, bottom] = letters;
    let mut write = |x: usize, y: usize, text: &str| canvas.text_on_image(x, y, text, dot, INK);
    write(MARGIN_PX, middle_y, left);
    write(width - MARGIN_PX - text_width(right, dot), middle_y, right);
    write(middle_x - text_width(top, dot) / 2, MARGIN_PX, top);
    write(middle_x - text_width(bottom, dot) / 2, height - MARGIN_PX - 7 * dot, bottom);
}

/// Colour of a token by its share of the largest weight: amber, orange, red.
#[must_use]
pub fn warm(share: f64) -> Colour {
    const STOPS: [[f64; 3]; 3] = [[255.0, 214.0, 92.0], [255.0, 132.0, 36.0], [226.0, 24.0, 28.0]];
    let position = share.clamp(0.0, 1.0) * 2.0;
    let lower = usize::from(position >= 1.0);
    let t = position - lower as f64;
    std::array::from_fn(|channel| {
        let (from, to) = (STOPS[lower][channel], STOPS[lower + 1][channel]);
        to_byte(from + (to - from) * t)
    })
}

/// How much of that colour covers the slice, from 0 to 1.
#[must_use]
pub fn opacity(share: f64) -> f64 {
    LARGEST_OPACITY * share.clamp(0.0, 1.0)
}

/// `text`, cut with three dots where it is longer than `room` letters.
fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(3)).chain("...".chars()).collect()
}

fn check(volume: &Volume) -> Result<(), OverlayError> {
    let refuse = |what: String| Err(OverlayError::Volume { what });
    let voxels: usize = volume.size_vox.iter().product();
    if voxels == 0 || volume.voxels.len() != voxels {
        let found = volume.voxels.len();
        return refuse(format!(
            "size {:?} asks for {voxels} voxels, it has {found}",
            volume.size_vox
        ));
    }
    if volume.thin_axis > 2 {
        return refuse(format!("stacking axis {} is none of 0, 1, 2", volume.thin_axis));
    }
    if volume.spacing_mm.iter().any(|mm| !(mm.is_finite() && *mm > 0.0)) {
        return refuse(format!("spacing {:?} mm is not positive", volume.spacing_mm));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
