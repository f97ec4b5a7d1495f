//! How a slice hangs: which of its edges is up, as a radiologist expects it.
//!
//! Axial slices are seen from the feet, with the front up; coronal ones from the front and
//! sagittal ones from the left, with the head up. So the patient's right is on the left of axial
//! and coronal pictures, and the front on the left of sagittal ones. Slices are turned by quarters
//! and mirrored to the nearest such position, never resampled.

use models::dicom::slices::{ListedSlice, NEARLY, nearest_axis};
use models::explain::letters;

/// How stored columns and rows become those of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hang {
    transposed: bool,
    mirrored: bool,
    upside_down: bool,
    /// Directions to the right and down in the picture, in LPS; `None` where the file does not
    /// say.
    towards: Option<[[f64; 3]; 2]>,
}

impl Hang {
    pub(super) fn of(axes: Option<[[f64; 3]; 3]>) -> Self {
        let Some([row, column, normal]) = axes else {
            return Self { transposed: false, mirrored: false, upside_down: false, towards: None };
        };
        let [left, back, up] = [0, 1, 2];
        // Axis and sign in LPS of what shall be right and what shall be down.
        let (right, down) = match nearest_axis(normal) {
            axis if axis == up => ((left, 1.0), (back, 1.0)),
            axis if axis == back => ((left, 1.0), (up, -1.0)),
            _ => ((back, 1.0), (up, -1.0)),
        };
        let along = |v: [f64; 3], (axis, sign): (usize, f64)| sign * v[axis];
        let straight = along(row, right).abs() + along(column, down).abs();
        let crossed = along(column, right).abs() + along(row, down).abs();
        let transposed = crossed > straight + NEARLY;
        let (x, y) = if transposed { (column, row) } else { (row, column) };
        let (mirrored, upside_down) = (along(x, right) < 0.0, along(y, down) < 0.0);
        let turned = |v: [f64; 3], turn: bool| if turn { v.map(|c| -c) } else { v };
        let towards = Some([turned(x, mirrored), turned(y, upside_down)]);
        Self { transposed, mirrored, upside_down, towards }
    }

    /// Size or spacing as it is in the picture.
    pub(super) fn pair<T: Copy>(&self, [column, row]: [T; 2]) -> [T; 2] {
        if self.transposed { [row, column] } else { [column, row] }
    }

    /// Stored column and row that a picture of `size` hung pixels shows at `(x, y)`.
    pub(super) fn stored(&self, [width, height]: [usize; 2], x: usize, y: usize) -> [usize; 2] {
        let x = if self.mirrored { width - 1 - x } else { x };
        let y = if self.upside_down { height - 1 - y } else { y };
        self.pair([x, y])
    }

    /// Letters for the left, right, top and bottom edge.
    pub(super) fn letters(&self) -> Option<[String; 4]> {
        let [right, down] = self.towards?;
        let against = |v: [f64; 3]| letters(v.map(|c| -c));
        Some([against(right), letters(right), against(down), letters(down)])
    }

    /// Directions to the right and down in the picture, in LPS.
    pub(super) fn towards(&self) -> Option<[[f64; 3]; 2]> {
        self.towards
    }
}

/// Where a slice lies along its stack, in words: `35.2 mm superior` of the scanner's origin.
#[must_use]
pub fn place(slice: &ListedSlice) -> Option<String> {
    let [_, _, normal] = slice.axes?;
    let along: f64 = slice.position_mm?.iter().zip(normal).map(|(p, n)| p * n).sum();
    let axis = nearest_axis(normal);
    let along = if normal[axis] < 0.0 { -along } else { along };
    let [less, more] =
        [["right", "left"], ["anterior", "posterior"], ["inferior", "superior"]][axis];
    Some(format!("{:.1} mm {}", along.abs(), if along < 0.0 { less } else { more }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Axes of an image by the directions of its rows and columns.
    fn axes(row: [f64; 3], column: [f64; 3]) -> [[f64; 3]; 3] {
        let [[a, b, c], [d, e, f]] = [row, column];
        [row, column, [b * f - c * e, c * d - a * f, a * e - b * d]]
    }

    const LEFT: [f64; 3] = [1.0, 0.0, 0.0];
    const RIGHT: [f64; 3] = [-1.0, 0.0, 0.0];
    const BACK: [f64; 3] = [0.0, 1.0, 0.0];
    const FRONT: [f64; 3] = [0.0, -1.0, 0.0];
    const UP: [f64; 3] = [0.0, 0.0, 1.0];
    const DOWN: [f64; 3] = [0.0, 0.0, -1.0];

    #[test]
    fn every_way_of_storing_a_plane_hangs_the_same() {
        let planes = [
            ([LEFT, BACK], ["R", "L", "A", "P"]),
            ([LEFT, DOWN], ["R", "L", "S", "I"]),
            ([BACK, DOWN], ["A", "P", "S", "I"]),
        ];
        for ([x, y], letters) in planes {
            let minus = |v: [f64; 3]| v.map(|c| -c);
            for (x, y) in [(x, y), (minus(x), y), (x, minus(y)), (minus(x), minus(y))] {
                for (row, column) in [(x, y), (y, x)] {
                    let hang = Hang::of(Some(axes(row, column)));
                    assert_eq!(hang.letters().unwrap(), letters, "{row:?} {column:?}");
                }
            }
        }
    }

    #[test]
    fn pixels_move_with_the_letters() {
        // An image of 4 columns and 3 rows; its first pixel is at the patient's left, at the back.
        let hang = Hang::of(Some(axes(RIGHT, FRONT)));
        assert_eq!(hang.stored([4, 3], 3, 2), [0, 0]);
        // Columns run down: the picture has 3 columns and 4 rows.
        let hang = Hang::of(Some(axes(UP, FRONT)));
        assert_eq!(hang.pair([4, 3]), [3, 4]);
        assert_eq!(hang.stored([3, 4], 2, 3), [0, 0], "the back and the feet");
        assert_eq!(hang.stored([3, 4], 0, 0), [3, 2], "the front and the head");
    }

    #[test]
    fn oblique_slices_get_two_letters_and_unknown_ones_none() {
        let (sine, cosine) = 30_f64.to_radians().sin_cos();
        let tilted = Hang::of(Some(axes(LEFT, [0.0, cosine, -sine])));
        assert_eq!(tilted.letters().unwrap(), ["R", "L", "AS", "PI"]);
        let unknown = Hang::of(None);
        assert_eq!((unknown.letters(), unknown.stored([4, 3], 1, 2)), (None, [1, 2]));
        // Between axial and coronal, whichever way the digits fall.
        for epsilon in [-1e-4, 1e-4] {
            let (sine, cosine) = (45_f64.to_radians() + epsilon).sin_cos();
            let between = Hang::of(Some(axes(LEFT, [0.0, cosine, sine])));
            assert!(between.letters().unwrap()[2].contains('A'));
        }
    }

    #[test]
    fn places_are_told_in_words() {
        let at = |row, column, position_mm| {
            place(&ListedSlice {
                source: models::study::SliceSource { path: "x".into(), frame: 0 },
                volume: String::new(),
                size_px: [1, 1],
                position_mm: Some(position_mm),
                axes: Some(axes(row, column)),
                spacing_mm: None,
            })
        };
        assert_eq!(at(LEFT, BACK, [9.0, 9.0, 35.24]).unwrap(), "35.2 mm superior");
        assert_eq!(at(RIGHT, BACK, [9.0, 9.0, 35.24]).unwrap(), "35.2 mm superior");
        assert_eq!(at(BACK, DOWN, [-7.0, 9.0, 9.0]).unwrap(), "7.0 mm right");
        assert_eq!(at(LEFT, DOWN, [9.0, -3.0, 9.0]).unwrap(), "3.0 mm anterior");
    }
}
