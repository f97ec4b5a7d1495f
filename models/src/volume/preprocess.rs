//! A stack becomes a volume: resize in plane first, on the acquisition's own columns and rows,
//! then turn the axes to LPS (specification §1a, §1b). In this order the stacking axis is never
//! resampled, whichever way the patient was cut.

use std::array::from_fn;
use std::ops::Range;

use super::orient::{Grid, Orientation};
use super::{Preprocessing, Volume, resample};
use crate::dims::IN_PLANE_VOX;
use crate::study::{Samples, Stack};

/// Axes whose unit vectors span less than this volume are treated as parallel. Acquired axes
/// are at right angles, which gives 1.
const SMALLEST_DETERMINANT: f64 = 1e-3;

/// Rescaled samples beyond this are an error of the file. Differences of smaller ones stay finite
/// in single precision.
const LARGEST_SAMPLE: f64 = 1e30;

/// Why a stack could not become a volume.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PreprocessError {
    /// Sizes and samples disagree, or a size is zero.
    #[error(
        "a stack of {columns} x {rows} x {slices} voxels came with {found} samples; the reader \
         must deliver one sample per voxel and at least one voxel"
    )]
    Samples {
        /// Columns of a slice.
        columns: usize,
        /// Rows of a slice.
        rows: usize,
        /// Slices.
        slices: usize,
        /// Samples delivered.
        found: usize,
    },
    /// Spacing, origin or direction do not place the voxels in the patient.
    #[error(
        "the geometry does not place voxels in the patient: {what}; check Pixel Spacing, Image \
         Position and Image Orientation (Patient)"
    )]
    Geometry {
        /// What is wrong, with the values found.
        what: String,
    },
    /// A sample is not a number, or too large for single precision, after rescaling. One such
    /// voxel would turn every score of the study into NaN (specification §16.13), so both
    /// preprocessings refuse it.
    #[error("sample {index} is {value} after rescaling; check Rescale Slope and Intercept")]
    SampleValue {
        /// Position in the stack's samples.
        index: usize,
        /// The sample.
        value: f64,
    },
}

/// Resizes every slice to 256 x 256 and orders the axes `[z, y, x]` in LPS.
///
/// `Published` is ITK bit by bit (compared on 120 stacks of every pixel type, aligned, oblique and
/// mirrored): computed in `f64` through patient coordinates, integers truncated toward zero, the
/// pixel id outside the image.
/// `V1` samples the same positions in `f32`, keeps fractions and repeats the edge.
///
/// # Errors
/// [`PreprocessError`] when samples or geometry of the stack are unusable.
pub fn preprocess(stack: &Stack, mode: Preprocessing) -> Result<Volume, PreprocessError> {
    check(stack)?;
    let voxels = match mode {
        Preprocessing::Published => {
            stored(resample::published(stack), matches!(stack.samples, Samples::F64(_)))
        }
        Preprocessing::V1 => resample::linear(stack),
    };
    let orientation = Orientation::nearest_lps(&stack.direction);
    Ok(orientation.volume(voxels, &resized_grid(stack)))
}

/// The published volume before integers are truncated, in the order of [`Volume::voxels`].
///
/// A parity check needs it where a stack's geometry is only known to some digits: the stored
/// volume may then differ by one raw unit, but only where the value here is an integer up to
/// rounding (specification §1a).
///
/// # Errors
/// As [`preprocess`].
pub fn untruncated(stack: &Stack) -> Result<Vec<f64>, PreprocessError> {
    check(stack)?;
    let orientation = Orientation::nearest_lps(&stack.direction);
    Ok(orientation.reorder(resample::published(stack), resized_grid(stack).size_vox))
}

/// What the published pipeline stores: integer images keep their type, so fractions are cut off.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the published pipeline narrows to single precision here (specification §2.1)"
)]
fn stored(exact: Vec<f64>, fractional: bool) -> Vec<f32> {
    exact.into_iter().map(|v| if fractional { v } else { v.trunc() } as f32).collect()
}

/// The stack's grid after the resize: same origin, the field of view spread over 256 voxels.
fn resized_grid(stack: &Stack) -> Grid {
    let mut grid = Grid {
        size_vox: stack.size_vox,
        spacing_mm: stack.spacing_mm,
        origin_mm: stack.origin_mm,
        direction: stack.direction,
    };
    for axis in 0..2 {
        grid.spacing_mm[axis] =
            stack.size_vox[axis] as f64 * stack.spacing_mm[axis] / IN_PLANE_VOX as f64;
        grid.size_vox[axis] = IN_PLANE_VOX;
    }
    grid
}

/// The grid that a volume was acquired on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AcquiredGrid {
    /// Columns, rows, slices.
    pub size_vox: [usize; 3],
    /// As in [`Stack::direction`].
    pub direction: [[f64; 3]; 3],
}

impl AcquiredGrid {
    /// The grid of a stack.
    #[must_use]
    pub fn of(stack: &Stack) -> Self {
        Self { size_vox: stack.size_vox, direction: stack.direction }
    }

    /// The columns, rows and slices whose centres lie in the box of voxels from `first_vox` to
    /// before `end_vox` (`[z, y, x]`) of the volume that [`preprocess`] makes.
    #[must_use]
    pub fn acquired(&self, first_vox: [usize; 3], end_vox: [usize; 3]) -> [Range<usize>; 3] {
        let orientation = Orientation::nearest_lps(&self.direction);
        from_fn(|axis| {
            let (place, mirrored) = orientation.volume_axis(axis);
            let acquired = self.size_vox[axis];
            let size = if axis == 2 { acquired } else { IN_PLANE_VOX };
            let (mut first, mut end) = (first_vox[place].min(size), end_vox[place].min(size));
            if mirrored {
                (first, end) = (size - end, size - first);
            }
            if axis == 2 {
                return first..end;
            }
            // The grids share the centre of their first voxel, and a voxel's face lies half a
            // voxel before its centre.
            let from = |voxel: usize| {
                let half_voxels = (2 * voxel).saturating_sub(1) * acquired;
                half_voxels.div_ceil(2 * IN_PLANE_VOX).min(acquired)
            };
            from(first)..from(end)
        })
    }
}

fn check(stack: &Stack) -> Result<(), PreprocessError> {
    let [columns, rows, slices] = stack.size_vox;
    let found = stack.samples.len();
    let expected = columns.checked_mul(rows).and_then(|n| n.checked_mul(slices));
    if found == 0 || expected != Some(found) {
        return Err(PreprocessError::Samples { columns, rows, slices, found });
    }
    let geometry = |what: String| Err(PreprocessError::Geometry { what });
    if !stack.spacing_mm.iter().all(|&s| s.is_finite() && s > 0.0) {
        return geometry(format!("voxel distances are {:?} mm", stack.spacing_mm));
    }
    if !stack.origin_mm.iter().all(|v| v.is_finite()) {
        return geometry(format!("the first voxel lies at {:?} mm", stack.origin_mm));
    }
    let volume = determinant(&stack.direction).abs();
    if !(volume > SMALLEST_DETERMINANT && volume.is_finite()) {
        return geometry(format!("the axes {:?} lie in one plane", stack.direction));
    }
    if let Samples::F64(values) = &stack.samples
        && let Some(index) = values.iter().position(|v| v.is_nan() || v.abs() > LARGEST_SAMPLE)
    {
        return Err(PreprocessError::SampleValue { index, value: values[index] });
    }
    Ok(())
}

fn determinant([a, b, c]: &[[f64; 3]; 3]) -> f64 {
    a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0])
        + a[2] * (b[0] * c[1] - b[1] * c[0])
}
