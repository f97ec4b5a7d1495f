//! Matrix products on slices, for what a CPU computes without burn.

use gemm::Parallelism;

/// A matrix in a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// Values from one row to the next, and from one column to the next.
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Row by row.
    pub(super) fn new(values: &'a [f32], columns: usize) -> Self {
        Self { values, rows: values.len() / columns, columns, strides: [columns, 1] }
    }

    /// Rows for columns.
    pub(super) fn transposed(self) -> Self {
        let [row, column] = self.strides;
        Self { rows: self.columns, columns: self.rows, strides: [column, row], ..self }
    }
}

/// `left * right` into the beginning of `out`, row by row; on this thread.
pub(super) fn product(out: &mut [f32], left: Matrix<'_>, right: Matrix<'_>) {
    write_product(out, left, right, false);
}

/// The same added to what is there.
pub(super) fn add_product(out: &mut [f32], left: Matrix<'_>, right: Matrix<'_>) {
    write_product(out, left, right, true);
}

fn write_product(out: &mut [f32], left: Matrix<'_>, right: Matrix<'_>, added: bool) {
    assert_eq!(left.columns, right.rows, "matrices that fit");
    assert!(left.rows * right.columns <= out.len(), "room for the product");
    let signed = |stride: usize| isize::try_from(stride).unwrap_or(isize::MAX);
    #[expect(unsafe_code, reason = "gemm takes pointers")]
    // SAFETY: `Matrix` holds only matrices that lie in their slices, rows and columns exchanged or
    // not; the product lies in `out` by the check above, and `out` is borrowed by nobody else.
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            out.as_mut_ptr(),
            1,
            signed(right.columns),
            added,
            left.values.as_ptr(),
            signed(left.strides[1]),
            signed(left.strides[0]),
            right.values.as_ptr(),
            signed(right.strides[1]),
            signed(right.strides[0]),
            if added { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_matrices_and_transposed_ones() {
        let (left, right) = ([1.0, 2.0, 3.0, 5.0, 6.0, 7.0], [1.0, 0.0, 2.0, 0.0, 1.0, 3.0]);
        let mut out = [9.0; 5];
        let [left, right] = [Matrix::new(&left, 3), Matrix::new(&right, 3)];
        product(&mut out, left, right.transposed());
        assert_eq!(out, [7.0, 11.0, 19.0, 27.0, 9.0]);
        add_product(&mut out, left, right.transposed());
        assert_eq!(out, [14.0, 22.0, 38.0, 54.0, 9.0]);
    }

    #[test]
    #[should_panic(expected = "room for the product")]
    fn no_product_beyond_its_slice() {
        let matrix = Matrix::new(&[0.0; 4], 2);
        product(&mut [0.0; 3], matrix, matrix);
    }
}
