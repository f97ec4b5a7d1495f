//! Reliability diagrams.

use super::{Estimate, Head, Picture};

/// Studies whose predictions are alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Mean predicted probability, from 0 to 1.
    pub predicted: f64,
    /// Share of positives with its interval, from 0 to 1.
    pub observed: Estimate,
    /// How many studies.
    pub count: u64,
}

/// A model of a [`Reliability`].
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Words for the legend, such as "after Platt's calibration, ECE 0.012".
    pub name: String,
    /// Its bins, ascending.
    pub bins: Vec<Bin>,
}

/// Observed against predicted, above a histogram of how many studies each point stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Reliability {
    /// Title, n and command.
    pub head: Head,
    /// The models.
    pub models: Vec<Calibration>,
}

impl Reliability {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> Picture {
        Picture::blank(&self.head)
    }
}
