//! Lines over two axes.

use super::frame::{Frame, runs};
use super::legend::{Entry, Sample};
use super::style::{GREY, style};
use super::{Axis, Head, Picture};

/// Lines of at most so many points have marks at them.
const MARKED: usize = 30;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Words for the legend, such as "glioma, AUROC 0.94".
    pub name: String,
    /// `(x, y)` in drawing order; points that are not finite break the line.
    pub points: Vec<[f64; 2]>,
}

/// ROC curves, precision–recall curves, learning curves.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// Title, n and command.
    pub head: Head,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// The lines.
    pub lines: Vec<Line>,
    /// A dashed line from corner to corner: chance on a ROC curve.
    pub diagonal: bool,
}

impl Curves {
    /// Draws it. Points outside the axes run along their ends.
    #[must_use]
    pub fn draw(&self) -> Picture {
        let is_square = self.diagonal || (self.x.range.is_some() && self.x.range == self.y.range);
        let points = self.lines.iter().flat_map(|line| &line.points);
        let mut frame = Frame::open([&self.x, &self.y], points, is_square, &self.entries());
        let Frame { canvas, x, y, .. } = &mut frame;
        if self.diagonal {
            canvas.dashed([x.from, y.from, x.to, y.to], GREY, 1.0, "5 3");
        }
        for (index, line) in self.lines.iter().enumerate() {
            let style = style(index);
            for run in runs(&line.points, x, y) {
                canvas.polyline(&run, style.colour, 1.8, style.dashes);
                for place in run.iter().filter(|_| line.points.len() <= MARKED) {
                    canvas.mark(*place, style.shape, 3.4, style.colour);
                }
            }
        }
        let count = self.lines.len();
        let about = format!("{count} lines: {} against {}.", self.y.name, self.x.name);
        frame.close(&self.head, about)
    }

    fn entries(&self) -> Vec<Entry<'_>> {
        let sample = |line: &Line| match line.points.len() <= MARKED {
            true => Sample::Both,
            false => Sample::Line,
        };
        let lines = self.lines.iter().enumerate();
        lines
            .map(|(index, line)| Entry {
                name: &line.name,
                style: style(index),
                sample: sample(line),
            })
            .collect()
    }
}
