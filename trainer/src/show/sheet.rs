//! Real and simulated series side by side, with statistics beside each.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bar heights are small and not negative"
)]

use models::explain::canvas::{Canvas, Colour, Rectangle, advance, text_width};
use serde::{Deserialize, Serialize};

use super::mosaic::{BACKGROUND, BRIGHT, DIM, DOT, GAP_PX, LINE_PX, MARGIN_PX, cut, rule};
use super::pixels::{Tile, Window};
use super::statistics::{Statistics, statistics};
use super::{Shown, ShownSeries};
use crate::evaluate::leak::features::contrast;

const REAL: Colour = [77, 208, 190];
const SIMULATED: Colour = [255, 183, 77];
const TILE_PX: usize = 236;
/// Where in the stack the slices of an entry lie, in percent.
const PLACES: [usize; 3] = [36, 52, 68];
const PANEL_PX: usize = 286;
const BARS_PX: usize = 44;
const ENTRY_PX: usize = LINE_PX + GAP_PX + TILE_PX + 5 * GAP_PX;
const TITLE_PX: usize = 96;

/// A contact sheet.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// The picture, PNG.
    pub png: Vec<u8>,
    /// The figures on it, in its order: left column, then right.
    pub entries: Vec<SheetEntry>,
}

/// The figures of one series on a sheet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SheetEntry {
    /// Whether it is simulated.
    pub simulated: bool,
    /// Folder of the study.
    pub study: String,
    /// Name of the series.
    pub series: String,
    /// Its statistics.
    pub statistics: Statistics,
}

/// Draws every series of the real studies on the left, and beside each a simulated one of the
/// same kind of contrast and plane, as far as there is one; simulated series without a partner
/// follow below.
///
/// # Errors
/// What the encoder reports.
pub fn contact_sheet(real: &[Shown], simulated: &[Shown]) -> Result<Sheet, png::EncodingError> {
    let rows = pairs(&listed(real), listed(simulated));
    let column_px = PLACES.len() * (TILE_PX + GAP_PX) + PANEL_PX;
    let width = 4 * MARGIN_PX + 2 * column_px;
    let height = TITLE_PX + rows.len() * ENTRY_PX + MARGIN_PX;
    let mut canvas = Canvas::new(width, height, BACKGROUND);
    let columns = [("real", REAL, MARGIN_PX), ("simulated", SIMULATED, 3 * MARGIN_PX + column_px)];
    for (title, colour, left) in columns {
        canvas.text(left, MARGIN_PX, title, DOT + 1, colour);
        let note = "intensities in units of the 99th percentile";
        let note_left = left + text_width(title, DOT + 1) + MARGIN_PX;
        canvas.text(note_left, MARGIN_PX + 7, note, DOT, DIM);
    }
    let mut entries = [Vec::new(), Vec::new()];
    for (row, pair) in rows.into_iter().enumerate() {
        let top = TITLE_PX + row * ENTRY_PX;
        rule(&mut canvas, MARGIN_PX, width - MARGIN_PX, top - 2 * GAP_PX);
        for (side, entry) in pair.into_iter().enumerate() {
            let Some((study, series)) = entry else { continue };
            let (_, colour, left) = columns[side];
            let statistics = draw(&mut canvas, series, [left, top], column_px, colour);
            entries[side].push(SheetEntry {
                simulated: side == 1,
                study: study.folder.clone(),
                series: series.name.clone(),
                statistics,
            });
        }
    }
    Ok(Sheet { png: canvas.png()?, entries: entries.concat() })
}

type Entry<'a> = (&'a Shown, &'a ShownSeries);

fn listed(studies: &[Shown]) -> Vec<Entry<'_>> {
    studies
        .iter()
        .flat_map(|study| study.series.iter().map(move |series| (study, series)))
        .collect()
}

fn pairs<'a>(real: &[Entry<'a>], mut simulated: Vec<Entry<'a>>) -> Vec<[Option<Entry<'a>>; 2]> {
    let kind = |series: &ShownSeries| (contrast(&series.name), series.plane);
    let mut rows: Vec<[Option<Entry<'a>>; 2]> = Vec::new();
    for entry in real {
        let partner = simulated.iter().position(|(_, series)| kind(series) == kind(entry.1));
        rows.push([Some(*entry), partner.map(|index| simulated.remove(index))]);
    }
    // A real series without its like stands beside whatever is left.
    simulated.reverse();
    for row in rows.iter_mut().filter(|row| row[1].is_none()) {
        row[1] = simulated.pop();
    }
    rows.extend(simulated.into_iter().rev().map(|entry| [None, Some(entry)]));
    rows
}

fn draw(
    canvas: &mut Canvas,
    series: &ShownSeries,
    [left, top]: [usize; 2],
    width: usize,
    colour: Colour,
) -> Statistics {
    let [columns, rows, slices] = series.size_vox;
    let [column_mm, _, slice_mm] = series.spacing_mm;
    let geometry = format!(
        "{} {columns} x {rows} x {slices}, {column_mm:.2} / {slice_mm:.1} mm",
        series.plane
    );
    let geometry_px = text_width(&geometry, DOT);
    let name = cut(series.title(), width - geometry_px - MARGIN_PX);
    canvas.text(left, top, &name, DOT, BRIGHT);
    canvas.text(left + width - geometry_px, top, &geometry, DOT, DIM);

    let top = top + LINE_PX + GAP_PX;
    let window = Window::of(series);
    for (place, percent) in PLACES.into_iter().enumerate() {
        let slice = (slices * percent / 100).min(slices.saturating_sub(1));
        let tile = Tile { left: left + place * (TILE_PX + GAP_PX), top, side: TILE_PX };
        tile.draw(canvas, series, slice, window);
    }
    let statistics = statistics(series);
    let panel = left + PLACES.len() * (TILE_PX + GAP_PX) + 2 * GAP_PX;
    let right = left + width;
    bars(canvas, &statistics.histogram, [panel, top], right - panel, colour);
    let [median, high, highest] = statistics.edges;
    let mut y = top + BARS_PX + 2 * GAP_PX;
    for (label, value) in [
        ("foreground", format!("{:.2}", statistics.foreground)),
        ("mean", format!("{:.2}", statistics.mean)),
        ("sd", format!("{:.2}", statistics.deviation)),
        ("edge p50 /mm", format!("{median:.3}")),
        ("edge p90", format!("{high:.3}")),
        ("edge p99", format!("{highest:.3}")),
        ("entropy bit", format!("{:.2}", statistics.entropy)),
        ("noise in air", format!("{:.3}", statistics.noise_air)),
        ("noise in tissue", format!("{:.3}", statistics.noise_tissue)),
    ] {
        canvas.text(panel, y, label, DOT, DIM);
        let value_left = right.saturating_sub(value.chars().count() * advance(DOT));
        canvas.text(value_left, y, &value, DOT, BRIGHT);
        y += LINE_PX - 4;
    }
    statistics
}

/// The histogram, the highest bar as high as the panel.
fn bars(
    canvas: &mut Canvas,
    shares: &[f32],
    [left, top]: [usize; 2],
    width: usize,
    colour: Colour,
) {
    let highest = shares.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let edge = |bar: usize| left + bar * width / shares.len();
    let bottom = top + BARS_PX;
    for (bar, share) in shares.iter().enumerate() {
        let height = (share / highest * BARS_PX as f32).round() as usize;
        let right = edge(bar + 1).max(edge(bar) + 1);
        let area = Rectangle { left: edge(bar), top: bottom - height, right, bottom };
        canvas.fill(area, colour, 0.85);
    }
    rule(canvas, left, left + width, bottom);
}
