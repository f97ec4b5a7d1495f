//! Values with intervals, one row each, grouped by category.

use super::{Axis, Group, Head, Picture, Row};

/// What stands at a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A dot, as for areas under a curve.
    Dot,
    /// A diamond, as for odds ratios.
    Diamond,
}

/// Points with whiskers: AUROC of every label, odds ratios (paper, Fig. 4).
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    /// Title, n and command.
    pub head: Head,
    /// Axis of the values.
    pub x: Axis,
    /// What stands at a value.
    pub mark: Mark,
    /// Dashed line, such as chance or an odds ratio of 1.
    pub reference: Option<f64>,
    /// Names of the estimates of a row, such as models; one at least.
    pub series: Vec<String>,
    /// Heading of the column of notes; without it the column is left out.
    pub note: Option<String>,
    /// The rows, from the top.
    pub groups: Vec<Group<Row>>,
}

impl Forest {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> Picture {
        Picture::blank(&self.head)
    }
}
