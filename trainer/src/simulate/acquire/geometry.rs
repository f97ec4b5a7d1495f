//! Where slices lie: the patient in the scanner, the slices in the patient.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use crate::simulate::head::Grid;
use crate::simulate::protocol::Plane;

/// Columns are the images of the axes.
pub(super) type Matrix = [[f32; 3]; 3];

/// How the head lies in the scanner: `scanner = rotation (head - centre) + offset`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pose {
    rotation: Matrix,
    centre: [f32; 3],
    offset: [f32; 3],
}

impl Pose {
    pub(super) fn draw(centre: [f32; 3], rng: &mut ChaCha8Rng) -> Self {
        let angles = [normal(rng, 5.0), normal(rng, 2.0), normal(rng, 3.0)];
        let offset = [normal(rng, 3.0), normal(rng, 8.0), normal(rng, 8.0)];
        Self { rotation: rotation(angles), centre, offset }
    }

    /// A position in the scanner.
    pub(super) fn position(&self, head: [f32; 3]) -> [f32; 3] {
        let moved = self.direction(std::array::from_fn(|a| head[a] - self.centre[a]));
        std::array::from_fn(|a| moved[a] + self.offset[a])
    }

    /// A direction in the scanner.
    pub(super) fn direction(&self, head: [f32; 3]) -> [f32; 3] {
        apply(&self.rotation, head)
    }

    /// A direction of the scanner in the head.
    pub(super) fn back(&self, scanner: [f32; 3]) -> [f32; 3] {
        self.rotation.map(|column| dot(column, scanner))
    }
}

/// How a technologist of this study plans slices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habit {
    /// Slices are left straight in the scanner.
    straight: bool,
    /// Angle of axial slices against the line through both commissures.
    pitch: f32,
}

impl Habit {
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        let orbitomeatal = rng.random_bool(0.3);
        let pitch = if orbitomeatal { 12.0 } else { 0.0 } + normal(rng, 3.0);
        Self { straight: rng.random_bool(0.12), pitch }
    }

    /// Row direction, column direction and normal of the slices, in the head.
    pub(super) fn axes(&self, plane: Plane, pose: &Pose, rng: &mut ChaCha8Rng) -> Matrix {
        let upright = match plane {
            Plane::Axial => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            Plane::Coronal => [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]],
            Plane::Sagittal => [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]],
        };
        if self.straight {
            return upright.map(|axis| pose.back(axis));
        }
        let pitch = if plane == Plane::Sagittal { 0.0 } else { self.pitch };
        let planned = rotation([pitch + normal(rng, 1.0), normal(rng, 1.0), normal(rng, 1.0)]);
        upright.map(|axis| apply(&planned, axis))
    }
}

/// A stack of slices in continuous voxel coordinates of a grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stack {
    /// Centre of the first voxel.
    pub(super) first: [f32; 3],
    /// One column, one row, one slice on.
    pub(super) steps: Matrix,
    /// One millimetre along the normal.
    pub(super) normal: [f32; 3],
}

impl Stack {
    /// The same stack on another grid.
    pub(super) fn on(&self, from: &Grid, to: &Grid) -> Self {
        let scale = from.spacing_mm / to.spacing_mm;
        let first = std::array::from_fn(|a| {
            (from.origin_mm[a] + self.first[a] * from.spacing_mm - to.origin_mm[a]) / to.spacing_mm
        });
        Self {
            first,
            steps: self.steps.map(|step| step.map(|v| v * scale)),
            normal: self.normal.map(|v| v * scale),
        }
    }

    /// First voxel of a row of a slice, `offset_mm` along the normal.
    pub(super) fn row(&self, slice: f32, row: f32, offset_mm: f32) -> [f32; 3] {
        std::array::from_fn(|a| {
            self.first[a]
                + slice * self.steps[2][a]
                + row * self.steps[1][a]
                + offset_mm * self.normal[a]
        })
    }
}

/// Columns of a row that lie inside a box of voxel coordinates.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "columns are clamped to the row"
)]
pub(super) fn inside(
    start: [f32; 3],
    step: [f32; 3],
    columns: usize,
    [lower, upper]: [[f32; 3]; 2],
) -> std::ops::Range<usize> {
    let (mut from, mut to) = (0.0_f32, columns as f32);
    for a in 0..3 {
        if step[a].abs() < 1e-6 {
            if start[a] < lower[a] || start[a] > upper[a] {
                return 0..0;
            }
            continue;
        }
        let ends = [(lower[a] - start[a]) / step[a], (upper[a] - start[a]) / step[a]];
        from = from.max(ends[0].min(ends[1]).ceil());
        to = to.min(ends[0].max(ends[1]).floor() + 1.0);
    }
    if from >= to { 0..0 } else { from as usize..(to as usize).min(columns) }
}

/// A volume read between its voxels: trilinear values in a box, beyond it those of its faces.
#[derive(Clone, Copy)]
pub(super) struct Between<'a> {
    values: &'a [f32],
    size: [usize; 3],
    /// In continuous voxel coordinates.
    bounds: [[f32; 3]; 2],
}

/// Columns computed together.
const LANES: usize = 16;

impl<'a> Between<'a> {
    /// `bounds` leave one voxel to the upper faces.
    pub(super) fn new(values: &'a [f32], size: [usize; 3], bounds: [[f32; 3]; 2]) -> Self {
        Self { values, size, bounds }
    }

    /// The whole of a volume.
    pub(super) fn all(values: &'a [f32], size: [usize; 3]) -> Self {
        Self::new(values, size, [[0.0; 3], size.map(|n| (n as f32 - 1.0).next_down())])
    }

    /// Values of a row that begins at `start`, from column `first` on.
    ///
    /// Loops over lanes, which are vectors where the caller is compiled for wide registers; every
    /// value is that of narrow ones.
    #[inline(always)]
    pub(super) fn row(&self, start: [f32; 3], step: [f32; 3], first: usize, row: &mut [f32]) {
        for (block, out) in row.chunks_mut(LANES).enumerate() {
            let values = self.block(start, step, first + block * LANES);
            out.copy_from_slice(&values[..out.len()]);
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positions lie in the bounds"
    )]
    #[inline(always)]
    fn block(&self, start: [f32; 3], step: [f32; 3], first: usize) -> [f32; LANES] {
        let Self { values, size, bounds: [lower, upper] } = *self;
        let (line, plane) = (size[0], size[0] * size[1]);
        let mut parts = [[0.0; LANES]; 3];
        let mut index = [0_i32; LANES];
        let strides = [1, line as i32, plane as i32];
        for a in 0..3 {
            for lane in 0..LANES {
                let at = start[a] + (first + lane) as f32 * step[a];
                let at = at.max(lower[a]).min(upper[a]);
                let whole = at as i32;
                parts[a][lane] = at - whole as f32;
                index[lane] += whole * strides[a];
            }
        }
        let mut corners = [[0.0; LANES]; 8];
        for lane in 0..LANES {
            let index = index[lane] as usize;
            let Some(cube) = values.get(index..index + plane + line + 2) else { continue };
            let lines = [cube, &cube[line..], &cube[plane..], &cube[plane + line..]];
            for (pair, line) in lines.into_iter().enumerate() {
                (corners[2 * pair][lane], corners[2 * pair + 1][lane]) = (line[0], line[1]);
            }
        }
        let between = |t: f32, from: f32, to: f32| from + t * (to - from);
        std::array::from_fn(|lane| {
            let [u, v, w] = parts.each_ref().map(|part| part[lane]);
            let along =
                |pair: usize| between(u, corners[2 * pair][lane], corners[2 * pair + 1][lane]);
            between(w, between(v, along(0), along(1)), between(v, along(2), along(3)))
        })
    }
}

pub(super) fn normal(rng: &mut ChaCha8Rng, sd: f32) -> f32 {
    Normal::new(0.0, sd).map_or(0.0, |normal| normal.sample(rng))
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn apply(matrix: &Matrix, v: [f32; 3]) -> [f32; 3] {
    std::array::from_fn(|a| matrix[0][a] * v[0] + matrix[1][a] * v[1] + matrix[2][a] * v[2])
}

/// Rotation about x (nodding), y and z, in degrees.
fn rotation(degrees: [f32; 3]) -> Matrix {
    let [(sx, cx), (sy, cy), (sz, cz)] = degrees.map(|angle| angle.to_radians().sin_cos());
    [
        [cy * cz, cy * sz, -sy],
        [sx * sy * cz - cx * sz, sx * sy * sz + cx * cz, sx * cy],
        [cx * sy * cz + sx * sz, cx * sy * sz - sx * cz, cx * cy],
    ]
}
