//! Points with a fitted line.

use super::{Axis, Head, Picture};

/// How y follows from x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// `intercept + slope · x`.
    Straight {
        /// Value at 0.
        intercept: f64,
        /// Rise per unit of x.
        slope: f64,
    },
    /// `floor + factor · x ^ exponent`, a scaling law.
    Power {
        /// What stays however large x is.
        floor: f64,
        /// Value above the floor at 1.
        factor: f64,
        /// Usually negative.
        exponent: f64,
    },
}

impl Law {
    /// y at an x.
    #[must_use]
    pub fn at(self, x: f64) -> f64 {
        match self {
            Self::Straight { intercept, slope } => intercept + slope * x,
            Self::Power { floor, factor, exponent } => floor + factor * x.powf(exponent),
        }
    }
}

/// A fitted line.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Words for the legend, such as "y = 4.1 + 0.93 x, r = 0.96".
    pub name: String,
    /// Its law.
    pub law: Law,
}

/// Points of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Cloud {
    /// Words for the legend.
    pub name: String,
    /// `(x, y)`.
    pub points: Vec<[f64; 2]>,
    /// Line through them.
    pub fit: Option<Fit>,
}

/// Brain age, scaling curves. A single cloud of very many points is drawn as hexagons that are
/// darker where there are more.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    /// Title, n and command.
    pub head: Head,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// The points.
    pub clouds: Vec<Cloud>,
    /// A dashed line where y equals x.
    pub identity: bool,
}

impl Scatter {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> Picture {
        Picture::blank(&self.head)
    }
}
