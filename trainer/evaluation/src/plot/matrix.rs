//! What charts of cells share: the names of rows and columns, and cells by colour.

use std::collections::BTreeMap;

use super::canvas::{Anchor, Canvas, EDGE, Words, short};
use super::style::{GREY, hex};
use super::text::{SIZE, SMALL, width, wrap};

/// Longest names.
const NAME: f64 = 220.0;
/// Height of a line of what rows and columns are.
const LINE: f64 = 16.0;
const MOST_LINES: usize = 2;
/// Least room for what rows and columns are.
const TITLE: f64 = 160.0;
/// Room between names and cells.
const GAP: f64 = 5.0;

/// Names along one side.
pub(super) struct Side<'a> {
    /// What they are.
    pub(super) title: &'a str,
    pub(super) names: &'a [String],
    /// Size of a cell along this side.
    pub(super) cell: f64,
}

impl Side<'_> {
    pub(super) fn length(&self) -> f64 {
        self.cell * self.names.len().max(1) as f64
    }

    /// Size of the letters of the names.
    fn size(&self) -> f64 {
        SMALL.min(self.cell - 0.5)
    }

    /// Width of the longest name.
    fn widest(&self) -> f64 {
        let widths = self.names.iter().map(|name| width(name, self.size()));
        widths.fold(0.0, f64::max).min(NAME)
    }

    /// The names stand across the columns.
    fn is_level(&self) -> bool {
        self.names.iter().all(|name| width(name, self.size()) <= self.cell - 4.0)
    }

    /// Room for the title, which may be longer than few cells.
    fn room(&self) -> f64 {
        self.length().max(TITLE)
    }

    fn lines(&self) -> Vec<String> {
        wrap(self.title, SIZE, self.room(), MOST_LINES)
    }
}

/// Where the cells stand.
pub(super) struct Grid {
    pub(super) left: f64,
    pub(super) top: f64,
    /// Width and height of a cell.
    pub(super) cell: [f64; 2],
    /// Width and height of all cells.
    size: [f64; 2],
    /// Right and lower end of the drawing.
    pub(super) end: [f64; 2],
}

impl Grid {
    /// Writes the names; the cells begin below `top`.
    pub(super) fn open(canvas: &mut Canvas, [rows, columns]: [&Side<'_>; 2], top: f64) -> Self {
        let titles = rows.lines();
        let left = EDGE + titles.len() as f64 * LINE + rows.widest() + 2.0 * GAP;
        let middle = top + rows.room() / 2.0;
        for (index, line) in titles.iter().enumerate() {
            let at = [EDGE + SIZE + index as f64 * LINE, middle];
            canvas.text(&Words::new(line, at).anchor(Anchor::Middle).turned());
        }
        for (index, name) in rows.names.iter().enumerate() {
            let base = top + (index as f64 + 0.5) * rows.cell + rows.size() * 0.36;
            let words = Words::new(name, [left - GAP, base]).anchor(Anchor::End);
            canvas.text(&words.size(rows.size()).room(NAME));
        }
        let mut bottom = top + rows.length() + GAP;
        let is_level = columns.is_level();
        for (index, name) in columns.names.iter().enumerate() {
            let middle = left + (index as f64 + 0.5) * columns.cell;
            let words = if is_level {
                Words::new(name, [middle, bottom + 12.0]).anchor(Anchor::Middle)
            } else {
                let at = [middle + columns.size() * 0.36, bottom];
                Words::new(name, at).anchor(Anchor::End).turned()
            };
            canvas.text(&words.size(columns.size()).room(NAME));
        }
        bottom += if is_level { LINE } else { columns.widest() + GAP };
        for line in columns.lines() {
            bottom += LINE;
            let middle = left + columns.room() / 2.0;
            canvas.text(&Words::new(&line, [middle, bottom]).anchor(Anchor::Middle));
        }
        let cell = [columns.cell, rows.cell];
        let size = [columns.length(), rows.length()];
        let end = [left + columns.room() + EDGE, bottom.max(top + rows.room()) + EDGE];
        Self { left, top, cell, size, end }
    }

    /// Left upper corner of a cell.
    pub(super) fn corner(&self, row: usize, column: usize) -> [f64; 2] {
        [self.left + column as f64 * self.cell[0], self.top + row as f64 * self.cell[1]]
    }

    /// Fills cells, those of one colour as one path.
    pub(super) fn fill(
        &self,
        canvas: &mut Canvas,
        cells: impl IntoIterator<Item = ([usize; 2], [u8; 3])>,
    ) {
        let [wide, high] = self.cell.map(short);
        let mut paths: BTreeMap<[u8; 3], String> = BTreeMap::new();
        for ([row, column], colour) in cells {
            let [x, y] = self.corner(row, column).map(short);
            *paths.entry(colour).or_default() += &format!("M{x} {y}h{wide}v{high}h-{wide}z");
        }
        for (colour, path) in paths {
            let fill = hex(colour);
            canvas.add(format_args!(
                r#"<path d="{path}" fill="{fill}" shape-rendering="crispEdges"/>"#
            ));
        }
    }

    /// A line around the cells, or left of and below those under the diagonal.
    pub(super) fn border(&self, canvas: &mut Canvas, is_triangle: bool) {
        let [right, bottom] = [self.left + self.size[0], self.top + self.size[1]];
        let corner = [self.left, bottom];
        let mut points = vec![[self.left, self.top], corner, [right, bottom]];
        if !is_triangle {
            points.extend([[right, self.top], [self.left, self.top]]);
        }
        canvas.polyline(&points, GREY, 0.7, "");
    }
}
