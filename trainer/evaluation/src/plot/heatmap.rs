//! Matrices as colours.

use std::collections::BTreeMap;

use super::canvas::{Canvas, EDGE, Words, short};
use super::legend::{BAR, colour_bar};
use super::matrix::{Grid, Side};
use super::style::{GREY, INK, diverging, ink_on, sequential};
use super::text::{SIZE, SMALL, ratio};
use super::{Axis, Head, Picture};

/// Length of the longer side.
const LENGTH: f64 = 624.0;
/// Smallest and largest cells.
const CELLS: [f64; 2] = [10.0, 32.0];
/// Different colours from one end of the palette to the other.
const SHADES: f64 = 80.0;
/// Cells at least so far below the centre have a minus sign, which grey paper needs.
const MARKED: f64 = -0.2;
/// Where it says what signs in cells mean.
const SIGNS: f64 = EDGE + BAR + 24.0;

/// From values to colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Palette {
    /// From white at the first value to dark blue at the last.
    Sequential(f64, f64),
    /// White at the centre; blue below and red above, dark at this distance from it.
    Diverging {
        /// Value without colour.
        centre: f64,
        /// Distance of the darkest colours.
        reach: f64,
    },
}

impl Palette {
    /// Smallest and largest value with a colour of its own.
    fn range(self) -> [f64; 2] {
        match self {
            Self::Sequential(low, high) => [low, high],
            Self::Diverging { centre, reach } => [centre - reach, centre + reach],
        }
    }

    /// Where a value stands: from 0 to 1, or from −1 to 1 around the centre.
    fn share(self, value: f64) -> f64 {
        let share = match self {
            Self::Sequential(low, high) => ((value - low) / (high - low)).max(0.0),
            Self::Diverging { centre, reach } => ((value - centre) / reach).max(-1.0),
        };
        (share.min(1.0) * SHADES).round() / SHADES
    }

    fn colour(self, share: f64) -> [u8; 3] {
        match self {
            Self::Sequential(..) => sequential(share),
            Self::Diverging { .. } => diverging(share),
        }
    }
}

/// A matrix with a name at every row and column: AUC of each logit for each label, correlations.
#[derive(Clone, Debug, PartialEq)]
pub struct Heatmap {
    /// Title, n and command.
    pub head: Head,
    /// What the colours show, with its unit.
    pub value: String,
    /// Colours.
    pub palette: Palette,
    /// What the rows are.
    pub row_name: String,
    /// What the columns are.
    pub column_name: String,
    /// Names of the rows, from the top.
    pub rows: Vec<String>,
    /// Names of the columns, from the left.
    pub columns: Vec<String>,
    /// One vector a row; NaN and missing values are hatched as "n/a".
    pub values: Vec<Vec<f64>>,
    /// Show nothing above the diagonal: the matrix is symmetric.
    pub lower_triangle: bool,
}

impl Heatmap {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> Picture {
        let mut canvas = Canvas::default();
        let longest = self.rows.len().max(self.columns.len()).max(1);
        let cell = (LENGTH / longest as f64).clamp(CELLS[0], CELLS[1]).floor();
        let rows = Side { title: &self.row_name, names: &self.rows, cell };
        let columns = Side { title: &self.column_name, names: &self.columns, cell };
        let [low, high] = self.palette.range();
        let key = Axis::linear(self.value.as_str()).from_to(low, high);
        let height = colour_bar(&mut canvas, &key, [EDGE, EDGE], |share| match self.palette {
            Palette::Sequential(..) => self.palette.colour(share),
            Palette::Diverging { .. } => self.palette.colour(2.0 * share - 1.0),
        });
        let grid = Grid::open(&mut canvas, [&rows, &columns], height + 2.0 * EDGE);

        let value = |row: usize, column: usize| {
            self.values.get(row).and_then(|row| row.get(column)).copied().unwrap_or(f64::NAN)
        };
        let shown = (0..self.rows.len())
            .flat_map(|row| (0..self.columns.len()).map(move |column| [row, column]))
            .filter(|[row, column]| !self.lower_triangle || column <= row);
        let (missing, found): (Vec<_>, Vec<_>) =
            shown.partition(|[row, column]| value(*row, *column).is_nan());
        let cells: Vec<([usize; 2], f64)> = found
            .into_iter()
            .map(|[row, column]| ([row, column], self.palette.share(value(row, column))))
            .collect();
        let colours = cells.iter().map(|(place, share)| (*place, self.palette.colour(*share)));
        grid.fill(&mut canvas, colours);
        let is_below = |cell: &([usize; 2], f64)| cell.1 <= MARKED;
        self.signs(&mut canvas, &grid, cells.iter().filter(|cell| is_below(cell)));
        hatch(&mut canvas, &grid, &missing);
        grid.border(&mut canvas, self.lower_triangle);
        self.explain(&mut canvas, !missing.is_empty(), cells.iter().any(is_below));
        let about = format!(
            "Matrix of {} rows, {}, and {} columns, {}; colours show {}.",
            self.rows.len(),
            self.row_name,
            self.columns.len(),
            self.column_name,
            self.value
        );
        let width = grid.end[0].max(SIGNS + 160.0);
        Picture::new(&self.head, about, [width, grid.end[1]], canvas)
    }

    /// What strokes in cells say, right of the colours.
    fn explain(&self, canvas: &mut Canvas, has_missing: bool, has_signs: bool) {
        let mut base = EDGE + SIZE;
        let mut say = |stroke: &str, words: &str| {
            let [x, y] = [SIGNS, short(base - 8.0)];
            canvas.add(format_args!(r#"<path d="M{x} {y}{stroke}" stroke="{INK}"/>"#));
            canvas.text(&Words::new(words, [SIGNS + 18.0, base]).size(SMALL));
            base += 17.0;
        };
        if let (true, Palette::Diverging { centre, reach }) = (has_signs, self.palette) {
            say("m2 4h6", &format!("below {}", ratio(centre + MARKED * reach)));
        }
        if has_missing {
            say("m0 9l10 -10", "n/a");
        }
    }

    /// A minus sign in every cell.
    fn signs<'a>(
        &self,
        canvas: &mut Canvas,
        grid: &Grid,
        cells: impl Iterator<Item = &'a ([usize; 2], f64)>,
    ) {
        let [wide, high] = grid.cell;
        let half = wide / 5.0;
        let mut paths: BTreeMap<&str, String> = BTreeMap::new();
        for ([row, column], share) in cells {
            let [x, y] = grid.corner(*row, *column);
            let [x, y] = [x + wide / 2.0 - half, y + high / 2.0].map(short);
            let ink = ink_on(self.palette.colour(*share));
            *paths.entry(ink).or_default() += &format!("M{x} {y}h{}", short(2.0 * half));
        }
        for (ink, path) in paths {
            canvas.add(format_args!(r#"<path d="{path}" stroke="{ink}" stroke-width="1"/>"#));
        }
    }
}

/// A stroke from corner to corner of every cell.
fn hatch(canvas: &mut Canvas, grid: &Grid, cells: &[[usize; 2]]) {
    let [wide, high] = grid.cell.map(short);
    let stroke = |[row, column]: &[usize; 2]| {
        let [x, y] = grid.corner(*row, *column).map(short);
        format!("M{x} {}l{wide} -{high}", short(y + high))
    };
    let path: String = cells.iter().map(stroke).collect();
    if !path.is_empty() {
        canvas.add(format_args!(r#"<path d="{path}" stroke="{GREY}" stroke-width="0.7"/>"#));
    }
}
