//! Lines over two axes.

use super::{Axis, Head, Picture};

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
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> Picture {
        Picture::blank(&self.head)
    }
}
