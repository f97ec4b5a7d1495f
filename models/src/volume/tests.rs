#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "voxel values here are small whole numbers, or arbitrary bits"
)]

use proptest::prelude::*;

use super::inverse::inverse;
use super::orient::{Grid, Orientation};
use super::*;
use crate::study::{Samples, Stack};

fn stack(size_vox: [usize; 3], value: impl Fn(usize) -> i16) -> Stack {
    Stack {
        samples: Samples::I16((0..size_vox.iter().product()).map(value).collect()),
        size_vox,
        spacing_mm: [0.9, 0.8, 5.0],
        origin_mm: [-100.0, -90.0, -60.0],
        direction: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    }
}

/// Columns of a rotation by three angles.
fn rotation(angles: [f64; 3]) -> [[f64; 3]; 3] {
    let mut axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    for (around, angle) in angles.into_iter().enumerate() {
        let (i, j) = ((around + 1) % 3, (around + 2) % 3);
        let (sin, cos) = angle.sin_cos();
        for axis in &mut axes {
            (axis[i], axis[j]) = (cos * axis[i] - sin * axis[j], sin * axis[i] + cos * axis[j]);
        }
    }
    axes
}

fn place(origin: [f64; 3], axes: [[f64; 3]; 3], step: [f64; 3], index: [usize; 3]) -> [f64; 3] {
    std::array::from_fn(|r| {
        origin[r] + (0..3).map(|a| axes[a][r] * step[a] * index[a] as f64).sum::<f64>()
    })
}

proptest! {
    #[test]
    fn reordered_voxels_stay_where_they_were(
        angles in proptest::array::uniform3(-4.0..4.0f64),
        left_handed in any::<bool>(),
    ) {
        let mut direction = rotation(angles);
        if left_handed {
            direction[2] = direction[2].map(|v| -v);
        }
        let grid = Grid {
            size_vox: [5, 34, 3],
            spacing_mm: [2.0, 3.0, 7.0],
            origin_mm: [10.0, -20.0, 30.0],
            direction,
        };
        let voxels: Vec<f32> = (0..5u16 * 34 * 3).map(f32::from).collect();
        let volume = Orientation::nearest_lps(&grid.direction).volume(voxels, &grid);
        for (axis, direction) in volume.direction.iter().enumerate() {
            prop_assert!(direction[axis] > 0.0, "{:?}", volume.direction);
        }
        prop_assert_eq!(volume.size_vox[volume.thin_axis], 3);
        let [_, rows, columns] = volume.size_vox;
        for (at, &value) in volume.voxels.iter().enumerate() {
            let xyz = [at % columns, at / columns % rows, at / columns / rows];
            let found = place(volume.origin_mm, volume.direction, volume.spacing_mm, xyz);
            let was = value as usize;
            let index = [was % 5, was / 5 % 34, was / 5 / 34];
            let expected = place(grid.origin_mm, grid.direction, grid.spacing_mm, index);
            for (f, e) in found.iter().zip(expected) {
                prop_assert!((f - e).abs() < 1e-9, "{:?} is not {:?}", found, expected);
            }
        }
    }

    #[test]
    fn inverse_undoes_the_matrix(
        angles in proptest::array::uniform3(-4.0..4.0f64),
        spacing in proptest::array::uniform3(0.1..10.0f64),
    ) {
        let axes = rotation(angles);
        let columns: [[f64; 3]; 3] = std::array::from_fn(|a| axes[a].map(|v| v * spacing[a]));
        for (row, inverse) in inverse(columns).iter().enumerate() {
            for (column, of) in columns.iter().enumerate() {
                let product: f64 = inverse.iter().zip(of).map(|(a, b)| a * b).sum();
                prop_assert!((product - f64::from(u8::from(row == column))).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn v1_shows_the_published_positions(
        columns in 1usize..400, rows in 1usize..400, values in any::<u64>(),
    ) {
        let size = [columns, rows, 2];
        let stack = stack(size, |i| ((i as u64).wrapping_mul(values | 1) >> 7) as i16 / 8);
        let exact = untruncated(&stack).unwrap();
        let volume = preprocess(&stack, Preprocessing::V1).unwrap();
        for (at, (found, exact)) in volume.voxels.iter().zip(exact).enumerate() {
            // The last half voxel is outside for ITK; V1 repeats the edge there.
            let outside = |at: usize, n: usize| (256 - at) * n <= 129;
            if !outside(at % 256, columns) && !outside(at / 256 % 256, rows) {
                prop_assert!((f64::from(*found) - exact).abs() < 0.01, "{}: {} {}", at, found, exact);
            }
        }
    }
}

#[test]
fn equal_components_are_paired_as_itk_pairs_them() {
    let h = 0.5f64.sqrt();
    let grid = |direction| Grid {
        size_vox: [1, 2, 3],
        spacing_mm: [1.0; 3],
        origin_mm: [0.0; 3],
        direction,
    };
    // 45 degrees between patient x and y: y takes the later of the two stack axes.
    let grid = grid([[h, h, 0.0], [-h, h, 0.0], [0.0, 0.0, 1.0]]);
    let volume = Orientation::nearest_lps(&grid.direction).volume(vec![0.0; 6], &grid);
    assert_eq!(volume.size_vox, [3, 2, 1]);
}

#[test]
fn a_volume_of_256_slices_keeps_its_stacking_axis() {
    let mut stack = stack([4, 4, 256], |_| 1);
    // Columns to posterior, rows to inferior, slices to the left: sagittal.
    stack.direction = [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]];
    for mode in [Preprocessing::Published, Preprocessing::V1] {
        let volume = preprocess(&stack, mode).unwrap();
        assert_eq!((volume.size_vox, volume.thin_axis), ([256; 3], 2));
    }
}

#[test]
fn the_edge_is_repeated_in_v1_and_the_pixel_id_in_published() {
    let stack = stack([64, 64, 1], |_| 700);
    let last = |mode| preprocess(&stack, mode).unwrap().voxels[255];
    assert_eq!(last(Preprocessing::V1), 700.0);
    assert_eq!(last(Preprocessing::Published), 2.0);
}

#[test]
fn unusable_stacks_are_refused_with_what_was_found() {
    fn check(change: impl FnOnce(&mut Stack), expected: &str) {
        let mut stack = stack([2, 2, 2], |_| 1);
        change(&mut stack);
        for mode in [Preprocessing::Published, Preprocessing::V1] {
            assert_eq!(preprocess(&stack, mode).unwrap_err().to_string(), expected);
        }
    }
    check(
        |s| s.size_vox = [2, 2, 3],
        "a stack of 2 x 2 x 3 voxels came with 8 samples; the reader must deliver one sample per \
         voxel and at least one voxel",
    );
    let geometry = |what: &str| {
        format!(
            "the geometry does not place voxels in the patient: {what}; check Pixel Spacing, \
             Image Position and Image Orientation (Patient)"
        )
    };
    check(|s| s.spacing_mm[1] = 0.0, &geometry("voxel distances are [0.9, 0.0, 5.0] mm"));
    check(
        |s| s.origin_mm[0] = f64::INFINITY,
        &geometry("the first voxel lies at [inf, -90.0, -60.0] mm"),
    );
    check(
        |s| s.direction[2] = s.direction[0],
        &geometry("the axes [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]] lie in one plane"),
    );
    check(
        |s| s.samples = Samples::F64(vec![f64::NAN; 8]),
        "sample 0 is NaN after rescaling; check Rescale Slope and Intercept",
    );
}

#[test]
fn acquired_voxels_of_a_box_are_those_that_lie_in_it() {
    let axial = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let sagittal = [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]];
    for direction in [axial, sagittal, rotation([0.3, -0.2, 0.4])] {
        for size_vox in [[300, 200, 9], [512, 256, 6]] {
            let stack = Stack { direction, ..stack(size_vox, |_| 1) };
            let volume = preprocess(&stack, Preprocessing::V1).unwrap();
            let (mut first_vox, mut end_vox) = ([32, 64, 128], [64, 96, 160]);
            (first_vox[volume.thin_axis], end_vox[volume.thin_axis]) = (4, 6);
            let found = AcquiredGrid::of(&stack).acquired(first_vox, end_vox);
            for axis in 0..3 {
                for index in 0..size_vox[axis] {
                    let mut at = found.each_ref().map(|r| usize::midpoint(r.start, r.end));
                    at[axis] = index;
                    let point = place(stack.origin_mm, stack.direction, stack.spacing_mm, at);
                    let depth = depth_vox(&volume, point, first_vox, end_vox);
                    let inside = found[axis].contains(&index);
                    // On a face either will do.
                    assert!(depth.abs() < 1e-6 || inside == (depth > 0.0), "{axis} {index}");
                }
            }
        }
    }
}

/// How deep a point lies in a box of voxels; negative outside.
fn depth_vox(volume: &Volume, point: [f64; 3], first: [usize; 3], end: [usize; 3]) -> f64 {
    let depth = |patient: usize| {
        let way: f64 =
            (0..3).map(|r| (point[r] - volume.origin_mm[r]) * volume.direction[patient][r]).sum();
        let at = way / volume.spacing_mm[patient];
        let [low, high] = [first, end].map(|voxel| voxel[2 - patient] as f64 - 0.5);
        (at - low).min(high - at)
    };
    (0..3).map(depth).fold(f64::INFINITY, f64::min)
}
