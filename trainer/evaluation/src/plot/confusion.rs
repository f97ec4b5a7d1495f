//! Confusion matrices.

use super::canvas::{Anchor, Canvas, EDGE, Words};
use super::legend::{BAR, colour_bar};
use super::matrix::{Grid, Side};
use super::style::{ink_on, sequential};
use super::text::{BOLD, SIZE, SMALL, count, decimal, width};
use super::{Axis, Head, Picture};

/// Length of the sides, where classes are many.
const LENGTHS: [f64; 2] = [520.0, 400.0];
/// Smallest and largest width and height of a cell.
const WIDTHS: [f64; 2] = [12.0, 112.0];
const HEIGHTS: [f64; 2] = [12.0, 56.0];

/// Counts of truth against prediction; a cell also says which share of its row it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Confusion {
    /// Title, n and command.
    pub head: Head,
    /// What the rows are, such as "acuity by the report".
    pub truth: String,
    /// What the columns are, such as "acuity by the model".
    pub predicted: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// A row for each class of the truth.
    pub counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// Draws it. Cells too small for words have their colour alone.
    #[must_use]
    pub fn draw(&self) -> Picture {
        let mut canvas = Canvas::default();
        let classes = self.classes.len();
        let cell = |length: f64, [least, most]: [f64; 2]| {
            (length / classes.max(1) as f64).clamp(least, most).floor()
        };
        let names = self.classes.as_slice();
        let rows = Side { title: &self.truth, names, cell: cell(LENGTHS[1], HEIGHTS) };
        let columns = Side { title: &self.predicted, names, cell: cell(LENGTHS[0], WIDTHS) };
        let key = Axis::linear("share of the row, %").from_to(0.0, 100.0);
        let height = colour_bar(&mut canvas, &key, [EDGE, EDGE], sequential);
        let grid = Grid::open(&mut canvas, [&rows, &columns], height + 2.0 * EDGE);

        let places = (0..classes).flat_map(|row| (0..classes).map(move |column| [row, column]));
        let cells: Vec<([usize; 2], f64)> =
            places.map(|[row, column]| ([row, column], self.share(row, column))).collect();
        let colour = |share: f64| sequential(if share.is_nan() { 0.0 } else { share });
        grid.fill(&mut canvas, cells.iter().map(|(place, share)| (*place, colour(*share))));
        for ([row, column], share) in cells {
            let [x, y] = grid.corner(row, column);
            let [wide, high] = grid.cell;
            let ink = ink_on(colour(share));
            let number = count(self.count(row, column));
            let part = match share.is_nan() {
                true => "n/a".to_owned(),
                false => format!("{} %", decimal(100.0 * share, 1)),
            };
            let fits = |words: &str, size: f64| width(words, size) <= wide - 6.0;
            let has_both = high >= 34.0 && fits(&number, SIZE * BOLD) && fits(&part, SMALL);
            let middle = [x + wide / 2.0, y + high / 2.0];
            if has_both {
                let words = Words::new(&number, [middle[0], middle[1] - 2.0]).fill(ink).bold();
                canvas.text(&words.anchor(Anchor::Middle));
                let words = Words::new(&part, [middle[0], middle[1] + 13.0]).fill(ink);
                canvas.text(&words.anchor(Anchor::Middle).size(SMALL));
            } else if high >= 16.0 && fits(&number, SMALL) {
                let words = Words::new(&number, [middle[0], middle[1] + 4.0]).fill(ink);
                canvas.text(&words.anchor(Anchor::Middle).size(SMALL));
            }
        }
        let about = format!(
            "Confusion matrix of {classes} classes: rows are {}, columns {}.",
            self.truth, self.predicted
        );
        let width = grid.end[0].max(BAR + 3.0 * EDGE);
        Picture::new(&self.head, about, [width, grid.end[1]], canvas)
    }

    fn count(&self, row: usize, column: usize) -> u64 {
        self.counts.get(row).and_then(|row| row.get(column)).copied().unwrap_or(0)
    }

    /// Share of its row that a cell holds; NaN in an empty row.
    fn share(&self, row: usize, column: usize) -> f64 {
        let total: f64 = (0..self.classes.len()).map(|other| self.count(row, other) as f64).sum();
        self.count(row, column) as f64 / total
    }
}
