//! Confusion matrices.

use super::{Head, Picture};

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
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> Picture {
        Picture::blank(&self.head)
    }
}
