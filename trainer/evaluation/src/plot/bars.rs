//! Grouped bars.

use super::{Axis, Group, Head, Picture, Row};

/// Bars side by side: performance with modalities left out, normalised positive rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// Title, n and command.
    pub head: Head,
    /// Axis of the lengths.
    pub x: Axis,
    /// Where bars begin, such as 1 on an axis of ratios; without it, at 0 or the low edge.
    pub base: Option<f64>,
    /// Names of the bars of a row, such as models; one at least.
    pub series: Vec<String>,
    /// The rows, from the top.
    pub groups: Vec<Group<Row>>,
}

impl Bars {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> Picture {
        Picture::blank(&self.head)
    }
}
