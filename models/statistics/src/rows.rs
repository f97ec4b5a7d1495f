//! A matrix by rows: one row a study.

/// Rows of equal width that lie one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    values: &'a [f32],
    width: usize,
}

impl<'a> Rows<'a> {
    /// Reads `values` as rows of `width`.
    ///
    /// # Panics
    /// When `width` is 0 or does not divide the number of values.
    #[must_use]
    pub fn new(values: &'a [f32], width: usize) -> Self {
        assert!(
            width > 0 && values.len().is_multiple_of(width),
            "{} values are no rows of {width}",
            values.len()
        );
        Self { values, width }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(self) -> usize {
        self.values.len() / self.width
    }

    /// True when there is no row.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.values.is_empty()
    }

    /// Values in a row.
    #[must_use]
    pub fn width(self) -> usize {
        self.width
    }

    /// One row.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn row(self, index: usize) -> &'a [f32] {
        &self.values[index * self.width..][..self.width]
    }

    /// Every row in order.
    pub fn iter(self) -> impl Iterator<Item = &'a [f32]> {
        self.values.chunks_exact(self.width)
    }
}
