//! A series as one volume, for viewers that draw in three dimensions.

use std::io;

use models::dicom::decoder::Decoder;
use models::dicom::slices::{ListedSlice, NEARLY, Values};
use models::explain::overlay::{LEAST_SHARE, NOTICE};

use super::nifti::{LONGEST_SIDE, Nifti, length};
use super::picture::Shares;
use super::{Series, SliceError, Slices, WindowChoice};
use crate::inference::explain::TokenInfo;

/// Most voxels of a volume: one of 320 x 320 x 320 has fewer. Each takes some ten bytes here and
/// more in the browser.
pub const MOST_VOX: u64 = 32 << 20;

/// Why there is no volume of a series.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The places of slices are unknown, or no common ones.
    #[error(
        "this series is no volume: its slices do not say where they lie, or they differ in size or \
         direction"
    )]
    Places,
    /// There is no next slice.
    #[error("this series is no volume: it has one slice")]
    OneSlice,
    /// A grid would put slices where they were not acquired.
    #[error("this series is no volume: a slice lies {off_mm} mm from where an even stack has it")]
    Uneven {
        /// Largest distance, with one digit.
        off_mm: String,
    },
    /// More than is sent to a browser.
    #[error("this series is too large for a volume: {size} voxels, and {MOST_VOX} are the most")]
    TooLarge {
        /// Columns, rows, slices.
        size: String,
    },
    /// It has no one value a voxel.
    #[error("this series is in colour, and volumes are made of grey values")]
    Colour,
    /// A slice cannot be read.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// It cannot be compressed.
    #[error("the volume cannot be compressed")]
    Compress(#[from] io::Error),
}

/// Where the voxels of a stack lie.
#[derive(Debug)]
struct Grid {
    /// Columns, rows, slices.
    size_vox: [usize; 3],
    /// Centre of the first voxel, in LPS.
    origin_mm: [f64; 3],
    /// From a voxel to the next along a row, along a column, through the slices.
    step_mm: [[f64; 3]; 3],
}

impl Grid {
    fn of(slices: &[&ListedSlice]) -> Result<Self, VolumeError> {
        let (Some(first), Some(last)) = (slices.first(), slices.last()) else {
            return Err(VolumeError::Places);
        };
        let (Some(axes), Some([column_mm, row_mm])) = (first.axes, first.spacing_mm) else {
            return Err(VolumeError::Places);
        };
        let size_vox = [first.size_px[0], first.size_px[1], slices.len()];
        let voxels = size_vox.iter().map(|side| *side as u64).product::<u64>();
        if voxels > MOST_VOX || size_vox.iter().any(|side| *side > LONGEST_SIDE) {
            let [columns, rows, slices] = size_vox;
            return Err(VolumeError::TooLarge { size: format!("{columns} × {rows} × {slices}") });
        }
        let positions: Option<Vec<[f64; 3]>> = slices.iter().map(|s| s.position_mm).collect();
        let positions = positions.filter(|_| slices.iter().all(|slice| alike(slice, first)));
        let positions = positions.ok_or(VolumeError::Places)?;
        let (Some(origin_mm), Some(end_mm)) = (first.position_mm, last.position_mm) else {
            return Err(VolumeError::Places);
        };
        if slices.len() < 2 {
            return Err(VolumeError::OneSlice);
        }
        let steps = (slices.len() - 1) as f64;
        let through: [f64; 3] = std::array::from_fn(|i| (end_mm[i] - origin_mm[i]) / steps);
        let grid = Self {
            size_vox,
            origin_mm,
            step_mm: [
                axes[0].map(|part| part * column_mm),
                axes[1].map(|part| part * row_mm),
                through,
            ],
        };
        let off = |(slice, position): (usize, &[f64; 3])| {
            let expected = grid.at([0, 0, slice]);
            length(std::array::from_fn(|i| position[i] - expected[i]))
        };
        let off_mm = positions.iter().enumerate().map(off).fold(0.0, f64::max);
        let step_mm = length(through);
        if step_mm <= 0.0 {
            return Err(VolumeError::Places);
        }
        // Nearer to another place of the grid than to its own.
        if off_mm > step_mm / 2.0 {
            return Err(VolumeError::Uneven { off_mm: format!("{off_mm:.1}") });
        }
        Ok(grid)
    }

    /// Centre of a voxel, in LPS.
    fn at(&self, voxel: [usize; 3]) -> [f64; 3] {
        let along = |axis: usize, i: usize| self.step_mm[axis][i] * voxel[axis] as f64;
        std::array::from_fn(|i| self.origin_mm[i] + along(0, i) + along(1, i) + along(2, i))
    }

    fn file(
        &self,
        voxels: &[f32],
        range: Option<[f64; 2]>,
        description: &str,
    ) -> Result<Vec<u8>, VolumeError> {
        let Self { size_vox, origin_mm, step_mm } = *self;
        Ok(Nifti { size_vox, origin_mm, step_mm, range, description, voxels }.file()?)
    }
}

/// Of one size, spacing and direction, but for rounding.
fn alike(slice: &ListedSlice, first: &ListedSlice) -> bool {
    let near = |a: &[f64], b: &[f64], far: f64| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= far);
    let axes = slice.axes.zip(first.axes);
    let spacing = slice.spacing_mm.zip(first.spacing_mm);
    slice.size_px == first.size_px
        && axes.is_some_and(|(a, b)| near(a.as_flattened(), b.as_flattened(), NEARLY))
        && spacing.is_some_and(|(a, b)| near(&a, &b, NEARLY * b[0]))
}

impl Slices {
    /// Slices of a series as compressed NIfTI-1, in scanner coordinates. Blocks.
    ///
    /// # Errors
    ///
    /// When they are no even stack, are too many, or one cannot be decoded.
    pub fn volume(
        &self,
        decoder: &Decoder,
        series: &Series,
        slices: &[&ListedSlice],
    ) -> Result<Vec<u8>, VolumeError> {
        let grid = Grid::of(slices)?;
        let mut voxels = Vec::with_capacity(grid.size_vox.iter().product());
        let mut inverted = false;
        for slice in slices {
            let pixels = self.pixels(decoder, slice)?;
            let Values::Grey(grey) = pixels.values else { return Err(VolumeError::Colour) };
            if pixels.size_px != slice.size_px {
                return Err(VolumeError::Places);
            }
            inverted |= grey.inverted;
            // What is shown bright is larger in the file.
            let sign = if grey.inverted { -1.0 } else { 1.0 };
            voxels.extend(grey.values.iter().map(|value| single(sign * value)));
        }
        let known = voxels.iter().copied().filter(|value| value.is_finite());
        let least = known.reduce(f32::min).unwrap_or(0.0);
        for value in &mut voxels {
            // Padding is black.
            *value = if value.is_finite() { *value } else { least };
        }
        let middle = slices.get(slices.len() / 2).filter(|_| !inverted);
        let window = middle.map(|s| self.window(decoder, series, s, WindowChoice::Stored));
        let range = window.transpose()?.flatten();
        let range = range.map(|(centre, width)| [centre - width / 2.0, centre + width / 2.0]);
        grid.file(&voxels, range, "")
    }
}

/// Places of an explanation on the grid of slices, as compressed NIfTI-1 that says what it is: from
/// 0 to 1, as in tinted pictures.
///
/// # Errors
///
/// When the slices are no even stack, or too many.
pub fn explained(slices: &[&ListedSlice], tokens: &[TokenInfo]) -> Result<Vec<u8>, VolumeError> {
    let grid = Grid::of(slices)?;
    let shares = Shares::of(tokens);
    let [columns, rows, count] = grid.size_vox;
    let mut voxels = Vec::with_capacity(columns * rows * count);
    for slice in 0..count {
        for row in 0..rows {
            voxels.extend(
                (0..columns).map(|column| single(shares.at(grid.at([column, row, slice])))),
            );
        }
    }
    grid.file(&voxels, Some([LEAST_SHARE / 2.0, 1.0]), NOTICE)
}

#[expect(clippy::cast_possible_truncation, reason = "viewers draw in single precision or less")]
fn single(value: f64) -> f32 {
    value as f32
}
