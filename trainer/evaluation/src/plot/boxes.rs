//! Box-and-whisker plots.

use super::{Axis, Group, Head, Picture};

/// A distribution in a few numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Finite values.
    pub n: usize,
    /// Lower quartile, median, upper quartile.
    pub quartiles: [f64; 3],
    /// The farthest values within 1.5 interquartile ranges of the box.
    pub whiskers: [f64; 2],
    /// Arithmetic mean.
    pub mean: f64,
    /// Values beyond the whiskers, ascending.
    pub outliers: Vec<f64>,
}

impl Summary {
    /// Of the finite values; quartiles are interpolated linearly (Hyndman and Fan 1996, type 7).
    /// `None` when there is no finite value.
    #[must_use]
    pub fn of(_values: &[f64]) -> Option<Self> {
        None
    }
}

/// A row of [`Boxes`].
#[derive(Clone, Debug, PartialEq)]
pub struct BoxRow {
    /// Words beside it.
    pub name: String,
    /// What was found; "n/a" without it.
    pub summary: Option<Summary>,
}

/// Boxes from quartile to quartile, one row each (paper, Fig. 2d and Fig. 4).
#[derive(Clone, Debug, PartialEq)]
pub struct Boxes {
    /// Title, n and command.
    pub head: Head,
    /// Axis of the values.
    pub x: Axis,
    /// Dashed lines, such as −0.1 and 0.1 for differences of rates.
    pub references: Vec<f64>,
    /// The rows, from the top.
    pub groups: Vec<Group<BoxRow>>,
}

impl Boxes {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> Picture {
        Picture::blank(&self.head)
    }
}
