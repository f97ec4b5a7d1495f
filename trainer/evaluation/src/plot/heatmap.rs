//! Matrices as colours.

use super::{Head, Picture};

/// From values to colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Palette {
    /// From white at the first value to dark blue at the last.
    Sequential(f64, f64),
    /// White at the centre; blue below and red above, dark at this distance from it.
    Diverging {
        /// Value without colour.
        centre: f64,
        /// Distance of the darkest colours.
        reach: f64,
    },
}

/// A matrix with a name at every row and column: AUC of each logit for each label, correlations.
#[derive(Clone, Debug, PartialEq)]
pub struct Heatmap {
    /// Title, n and command.
    pub head: Head,
    /// What the colours show, with its unit.
    pub value: String,
    /// Colours.
    pub palette: Palette,
    /// What the rows are.
    pub row_name: String,
    /// What the columns are.
    pub column_name: String,
    /// Names of the rows, from the top.
    pub rows: Vec<String>,
    /// Names of the columns, from the left.
    pub columns: Vec<String>,
    /// One vector a row; NaN and missing values are hatched as "n/a".
    pub values: Vec<Vec<f64>>,
    /// Show nothing above the diagonal: the matrix is symmetric.
    pub lower_triangle: bool,
}

impl Heatmap {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> Picture {
        Picture::blank(&self.head)
    }
}
