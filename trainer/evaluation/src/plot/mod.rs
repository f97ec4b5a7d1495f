//! Charts as self-contained SVG: deterministic text, no scripts, no ids, no fonts to fetch.
//!
//! A chart is a struct of numbers and words; `draw` makes a [`Picture`] of it, which is a file
//! of its own ([`Picture::svg`]) or a figure of a [`Page`](crate::page::Page).
//!
//! - [`Forest`] values with 95 % intervals by category, on a linear or logarithmic axis;
//! - [`Bars`] grouped bars, [`Boxes`] quartiles and whiskers;
//! - [`Radar`] one spoke a label, several models on top of each other;
//! - [`Curves`] ROC and precision–recall curves; [`Reliability`] calibration with counts;
//! - [`Scatter`] points with a fitted line or power law;
//! - [`Heatmap`] and [`Confusion`] matrices.
//!
//! What lies outside the range of its axis stands at the edge, a single value with an arrow; what
//! is not a number reads "n/a".
//! Colours are Okabe and Ito's (Color Universal Design, 2008), and never the only difference.

mod axis;
mod bars;
mod boxes;
mod canvas;
mod confusion;
mod curves;
mod forest;
mod frame;
mod heatmap;
mod legend;
mod matrix;
mod picture;
mod radar;
mod reliability;
mod rows;
mod scatter;
mod style;
mod text;
#[cfg(test)]
mod tests;

pub use bars::Bars;
pub use boxes::{BoxRow, Boxes, Summary};
pub use confusion::Confusion;
pub use curves::{Curves, Line};
pub use forest::{Forest, Mark};
pub use heatmap::{Heatmap, Palette};
pub use picture::Picture;
pub use radar::{Model, Radar};
pub use reliability::{Bin, Calibration, Reliability};
pub use scatter::{Cloud, Fit, Law, Scatter};
pub(crate) use text::{count, decimal};

/// What stands around every chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Heading, without a full stop.
    pub title: String,
    /// What was counted, such as "n = 30,000 studies of 24,118 patients".
    pub n: String,
    /// Command that makes the chart.
    pub command: String,
}

impl Head {
    /// All three.
    #[must_use]
    pub fn new(title: impl Into<String>, n: impl Into<String>, command: impl Into<String>) -> Self {
        Self { title: title.into(), n: n.into(), command: command.into() }
    }
}

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// By differences.
    Linear,
    /// By ratios; values of 0 and below stand at the low edge.
    Log,
}

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it shows, with its unit.
    pub name: String,
    /// Differences or ratios.
    pub scale: Scale,
    /// First and last value; without it, or where it is empty, all finite values of the chart.
    pub range: Option<[f64; 2]>,
}

impl Axis {
    /// By differences, over all values.
    #[must_use]
    pub fn linear(name: impl Into<String>) -> Self {
        Self { name: name.into(), scale: Scale::Linear, range: None }
    }

    /// By ratios, over all values.
    #[must_use]
    pub fn log(name: impl Into<String>) -> Self {
        Self { name: name.into(), scale: Scale::Log, range: None }
    }

    /// From one value to another.
    #[must_use]
    pub fn from_to(mut self, low: f64, high: f64) -> Self {
        self.range = Some([low, high]);
        self
    }
}

/// A value with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The value; NaN where there is none.
    pub value: f64,
    /// Low and high end of its interval, of 95 % unless the chart says otherwise.
    pub interval: Option<[f64; 2]>,
}

impl From<f64> for Estimate {
    fn from(value: f64) -> Self {
        Self { value, interval: None }
    }
}

impl Estimate {
    /// A value and its interval.
    #[must_use]
    pub fn new(value: f64, interval: [f64; 2]) -> Self {
        Self { value, interval: Some(interval) }
    }
}

/// Rows under a heading.
#[derive(Clone, Debug, PartialEq)]
pub struct Group<T> {
    /// The heading; empty for none.
    pub name: String,
    /// What stands below it.
    pub rows: Vec<T>,
}

/// A row of [`Forest`] or [`Bars`].
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Words beside it.
    pub name: String,
    /// What stands in the chart's column of notes, such as the number of positives.
    pub note: String,
    /// One estimate for each of the chart's `series`; missing ones read "n/a".
    pub estimates: Vec<Estimate>,
}

impl Row {
    /// So many estimates, NaN where there is none.
    fn estimates(&self, count: usize) -> impl Iterator<Item = Estimate> {
        let missing = Estimate::from(f64::NAN);
        (0..count).map(move |index| self.estimates.get(index).copied().unwrap_or(missing))
    }
}
