//! Matrix products on slices, for what a CPU computes without burn.

use gemm::Parallelism;

/// A matrix somewhere in a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// Values from one row to the next, and from one column to the next.
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Row by row, without gaps.
    pub(super) fn new(values: &'a [f32], columns: usize) -> Self {
        Self::part(values, values.len() / columns, columns, columns)
    }

    /// `rows` x `columns` from the beginning of `values`, whose rows are `stride` apart.
    pub(super) fn part(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(
            columns <= stride && last(rows, columns, stride) <= values.len(),
            "{rows} x {columns} values, {stride} apart, of {}",
            values.len()
        );
        Self { values, rows, columns, strides: [stride, 1] }
    }

    /// Rows for columns.
    pub(super) fn transposed(self) -> Self {
        let [row, column] = self.strides;
        Self { rows: self.columns, columns: self.rows, strides: [column, row], ..self }
    }
}

/// One past the last value.
fn last(rows: usize, columns: usize, stride: usize) -> usize {
    if rows == 0 { 0 } else { (rows - 1) * stride + columns }
}

/// `left * right` into the beginning of `out`, whose rows are `stride` apart; on this thread.
pub(super) fn product(out: &mut [f32], stride: usize, left: Matrix<'_>, right: Matrix<'_>) {
    write_product(out, stride, left, right, false);
}

/// The same added to what is there.
pub(super) fn add_product(out: &mut [f32], stride: usize, left: Matrix<'_>, right: Matrix<'_>) {
    write_product(out, stride, left, right, true);
}

fn write_product(out: &mut [f32], stride: usize, left: Matrix<'_>, right: Matrix<'_>, added: bool) {
    assert_eq!(left.columns, right.rows, "matrices that fit");
    assert!(
        right.columns <= stride && last(left.rows, right.columns, stride) <= out.len(),
        "room for the product"
    );
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
            signed(stride),
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
    fn parts_and_transposed_matrices() {
        // Rows 4 apart: [1 2 3], [5 6 7].
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        let part = Matrix::part(&values, 2, 3, 4);
        let mut out = [9.0; 6];
        product(&mut out, 3, part, part.transposed());
        assert_eq!(out, [14.0, 38.0, 9.0, 38.0, 110.0, 9.0]);
        add_product(&mut out, 3, part, part.transposed());
        assert_eq!(out, [28.0, 76.0, 9.0, 76.0, 220.0, 9.0]);
    }

    #[test]
    #[should_panic(expected = "2 x 3 values, 4 apart, of 6")]
    fn no_matrix_beyond_its_slice() {
        let _ = Matrix::part(&[0.0; 6], 2, 3, 4);
    }
}
