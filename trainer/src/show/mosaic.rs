//! All series of a study on one page.

use models::explain::canvas::{Canvas, Colour, Rectangle, advance, text_width};

use super::pixels::{Tile, Window};
use super::{Shown, ShownSeries};

pub(super) const BACKGROUND: Colour = [11, 13, 17];
pub(super) const BRIGHT: Colour = [232, 236, 241];
pub(super) const DIM: Colour = [139, 147, 158];
pub(super) const RULE: Colour = [38, 44, 53];
pub(super) const MARGIN_PX: usize = 28;
pub(super) const GAP_PX: usize = 6;
/// Pixels of a letter's dot in running text.
pub(super) const DOT: usize = 2;
/// From one line of running text to the next.
pub(super) const LINE_PX: usize = 24;

const CAPTION_PX: usize = 300;
const TITLE_PX: usize = 84;
/// Lines of left-out series that are named.
const MOST_LEFT_OUT: usize = 6;

/// How much a mosaic shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MosaicOptions {
    /// Slices a series.
    pub slices: usize,
    /// Pixels along a slice's longer side.
    pub tile_px: usize,
}

impl Default for MosaicOptions {
    fn default() -> Self {
        Self { slices: 6, tile_px: 216 }
    }
}

/// A PNG picture: a row for every series, with its name, geometry and window.
///
/// # Errors
/// What the encoder reports.
pub fn mosaic(study: &Shown, options: MosaicOptions) -> Result<Vec<u8>, png::EncodingError> {
    let step = options.tile_px + GAP_PX;
    let width = 2 * MARGIN_PX + CAPTION_PX + options.slices.max(1) * step - GAP_PX;
    let left_out = left_out_lines(study, width - 2 * MARGIN_PX);
    let row_px = options.tile_px + 4 * GAP_PX;
    let footer_px = if left_out.is_empty() { 0 } else { (left_out.len() + 1) * LINE_PX };
    let height = TITLE_PX + study.series.len() * row_px + footer_px + MARGIN_PX;
    let mut canvas = Canvas::new(width, height, BACKGROUND);

    canvas.text(MARGIN_PX, MARGIN_PX, &study.folder, DOT + 1, BRIGHT);
    let after = MARGIN_PX + text_width(&study.folder, DOT + 1) + 2 * MARGIN_PX;
    let about = format!("{}  {} series", study.description, study.series.len());
    canvas.text(after, MARGIN_PX + 7, &cut(&about, width.saturating_sub(after)), DOT, DIM);
    for (row, series) in study.series.iter().enumerate() {
        let top = TITLE_PX + row * row_px;
        rule(&mut canvas, MARGIN_PX, width - MARGIN_PX, top - 2 * GAP_PX);
        let window = Window::of(series);
        caption(&mut canvas, series, window, top);
        for (place, slice) in chosen(series, options.slices).into_iter().enumerate() {
            let left = MARGIN_PX + CAPTION_PX + place * step;
            let tile = Tile { left, top, side: options.tile_px };
            tile.draw(&mut canvas, series, slice, window);
            let number = (slice + 1).to_string();
            canvas.text_on_image(left + 4, top + 4, &number, 1, DIM);
        }
    }
    let mut top = TITLE_PX + study.series.len() * row_px;
    for line in left_out {
        canvas.text(MARGIN_PX, top, &line, DOT, DIM);
        top += LINE_PX;
    }
    canvas.png()
}

fn caption(canvas: &mut Canvas, series: &ShownSeries, window: Window, top: usize) {
    let [columns, rows, slices] = series.size_vox;
    let [column_mm, row_mm, slice_mm] = series.spacing_mm;
    let mut y = top + GAP_PX;
    for line in wrapped(series.title(), CAPTION_PX - MARGIN_PX, 3) {
        canvas.text(MARGIN_PX, y, &line, DOT, BRIGHT);
        y += LINE_PX;
    }
    y += GAP_PX;
    for line in [
        series.plane.to_string(),
        format!("{columns} x {rows} x {slices}"),
        format!("{column_mm:.2} x {row_mm:.2} x {slice_mm:.1} mm"),
        window.caption(),
    ] {
        canvas.text(MARGIN_PX, y, &line, DOT, DIM);
        y += LINE_PX;
    }
}

/// Slices spread over the stack without its ends, and the one with most of the mask.
pub(super) fn chosen(series: &ShownSeries, wanted: usize) -> Vec<usize> {
    let [columns, rows, slices] = series.size_vox;
    let count = wanted.clamp(1, slices.max(1));
    let (first, last) = (slices * 3 / 20, (slices * 17 / 20).max(1) - 1);
    let spread = last.saturating_sub(first);
    let at = |place: usize| first + (2 * place + 1) * spread / (2 * count);
    let mut slices: Vec<usize> = if count * 10 > slices * 7 {
        (0..count).map(|p| p * slices / count).collect()
    } else {
        (0..count).map(at).collect()
    };
    let marked = series.mask.chunks_exact((columns * rows).max(1)).enumerate();
    let area = |slice: &[u8]| slice.iter().filter(|component| **component > 0).count();
    let most = marked.map(|(index, slice)| (area(slice), index)).filter(|(area, _)| *area > 0);
    if let Some((_, index)) = most.max_by_key(|(area, index)| (*area, usize::MAX - index))
        && let Some(nearest) = slices.iter_mut().min_by_key(|slice| slice.abs_diff(index))
    {
        *nearest = index;
    }
    slices
}

fn left_out_lines(study: &Shown, width: usize) -> Vec<String> {
    let count = study.left_out.len();
    let line = |left: &models::study::LeftOut| {
        cut(&format!("not shown: {} ({} file(s)): {}", left.name, left.files, left.reason), width)
    };
    let mut lines: Vec<String> = study.left_out.iter().take(MOST_LEFT_OUT).map(line).collect();
    if count > MOST_LEFT_OUT {
        lines.push(format!("and {} more", count - MOST_LEFT_OUT));
    }
    lines
}

pub(super) fn rule(canvas: &mut Canvas, left: usize, right: usize, top: usize) {
    canvas.fill(Rectangle { left, top, right, bottom: top + 1 }, RULE, 1.0);
}

/// A text no wider than `width` pixels.
pub(super) fn cut(text: &str, width: usize) -> String {
    let most = width / advance(DOT);
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(2)).chain("..".chars()).collect()
}

/// Lines no wider than `width` pixels, at most `most` of them.
fn wrapped(text: &str, width: usize, most: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut lines: Vec<String> =
        letters.chunks((width / advance(DOT)).max(1)).map(|line| line.iter().collect()).collect();
    if lines.len() > most {
        let rest: String = lines.split_off(most - 1).concat();
        lines.push(cut(&rest, width));
    }
    lines
}
