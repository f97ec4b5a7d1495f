//! Radar plots.

use super::{Axis, Group, Head, Picture};

/// A model of a [`Radar`].
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// A value for every spoke, in the order of the groups; missing ones read "n/a".
    pub values: Vec<f64>,
}

/// One spoke a label, one outline a model (paper, Fig. 2a).
#[derive(Clone, Debug, PartialEq)]
pub struct Radar {
    /// Title, n and command.
    pub head: Head,
    /// Axis from the centre outwards.
    pub value: Axis,
    /// Names of the spokes by category.
    pub groups: Vec<Group<String>>,
    /// Outlines.
    pub models: Vec<Model>,
}

impl Radar {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> Picture {
        Picture::blank(&self.head)
    }
}
