//! Volumes on the grid of the head: signal, components, texture.

use pulp::{Arch, NullaryFnOnce};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::geometry::{Between, Stack, inside};
use crate::simulate::head::{Alpha, Grid, Head, Material, TISSUES, Tissue};
use crate::simulate::protocol::Sequence;
use crate::simulate::signal::{Weighting, is_fat, signal};

/// What a volume of signals is computed for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contrast<'a> {
    pub(super) weighting: &'a Weighting,
    pub(super) agent: bool,
    /// What is left of fat: 1 without suppression.
    pub(super) fat: f32,
    /// Index of the field strength.
    pub(super) field: usize,
}

impl Contrast<'_> {
    pub(super) fn of(&self, material: &Material) -> f32 {
        let left = if is_fat(material) { self.fat } else { 1.0 };
        signal(self.weighting, material, self.agent) * left
    }

    /// Signal of every voxel.
    pub(super) fn volume(&self, head: &Head, materials: &[Material; TISSUES]) -> Vec<f32> {
        let signals = materials.each_ref().map(|material| self.of(material) / 255.0);
        let layers: Vec<f32> =
            head.layers.iter().map(|layer| self.of(&layer.material[self.field])).collect();
        mix(head, &signals, &layers)
    }
}

/// A scalar per tissue and per layer, mixed by the fractions and the opacities.
pub(super) fn mix(head: &Head, tissues: &[f32; TISSUES], layers: &[f32]) -> Vec<f32> {
    let air = Tissue::Air as usize;
    let mut volume: Vec<f32> = head
        .fractions
        .iter()
        .map(|fractions| {
            if fractions[air] == 255 {
                return tissues[air] * 255.0;
            }
            // Four sums side by side, which the compiler turns into one vector.
            let mut sums = [0.0; 4];
            for (parts, values) in fractions.chunks_exact(4).zip(tissues.chunks_exact(4)) {
                for ((sum, &part), value) in sums.iter_mut().zip(parts).zip(values) {
                    *sum += f32::from(part) * value;
                }
            }
            (sums[0] + sums[1]) + (sums[2] + sums[3])
        })
        .collect();
    for (layer, value) in head.layers.iter().zip(layers) {
        each(head.grid, &layer.alpha, |index, part| {
            let alpha = f32::from(part) / 255.0;
            volume[index] += alpha * (value - volume[index]);
        });
    }
    volume
}

/// Calls `visit` with the index and the opacity of every voxel of a box that is not transparent.
fn each(grid: Grid, alpha: &Alpha, mut visit: impl FnMut(usize, u8)) {
    let [nx, ny, _] = alpha.size;
    for (row, parts) in alpha.parts.chunks_exact(nx.max(1)).enumerate() {
        let [x, y, z] = alpha.lower;
        let start = grid.index([x, y + row % ny, z + row / ny]);
        for (offset, &part) in parts.iter().enumerate().filter(|(_, part)| **part > 0) {
            visit(start + offset, part);
        }
    }
}

/// Component of every voxel, and the box that holds all of them.
pub(super) struct Components {
    pub(super) labels: Vec<u8>,
    /// The box in continuous coordinates, faces of the outermost voxels included.
    pub(super) bounds: [[f32; 3]; 2],
}

impl Components {
    /// The most opaque layer names a voxel, of equal ones the last, which lies on top. `None`
    /// where no layer belongs to a component.
    pub(super) fn new(head: &Head) -> Option<Self> {
        let layers = || head.layers.iter().filter_map(|layer| Some((layer, layer.component?)));
        layers().next()?;
        let mut labels = vec![0; head.grid.len()];
        let mut strongest = vec![128; head.grid.len()];
        let mut bounds = [[f32::MAX; 3], [f32::MIN; 3]];
        for (layer, component) in layers() {
            each(head.grid, &layer.alpha, |index, part| {
                if part >= strongest[index] {
                    (strongest[index], labels[index]) = (part, component);
                }
            });
            let Alpha { lower, size, .. } = &layer.alpha;
            let upper: [f32; 3] = std::array::from_fn(|a| (lower[a] + size[a]) as f32 - 0.501);
            let lower = lower.map(|v| v as f32 - 0.499);
            bounds = [
                std::array::from_fn(|a| bounds[0][a].min(lower[a])),
                std::array::from_fn(|a| bounds[1][a].max(upper[a])),
            ];
        }
        Some(Self { labels, bounds })
    }
}

/// A volume and the slices to be cut from it.
pub(super) struct View {
    pub(super) values: Vec<f32>,
    pub(super) size: [usize; 3],
    pub(super) stack: Stack,
    /// Where there is signal.
    pub(super) bounds: [[f32; 3]; 2],
}

impl View {
    /// The same with x and y exchanged. Sagittal rows run along y: memory is then read in order.
    pub(super) fn turned(self) -> Self {
        let [nx, ny, nz] = self.size;
        let mut values = Vec::with_capacity(self.values.len());
        for plane in self.values.chunks_exact(nx * ny).take(nz) {
            for x in 0..nx {
                values.extend(plane.iter().skip(x).step_by(nx));
            }
        }
        let swap = |[x, y, z]: [f32; 3]| [y, x, z];
        let Stack { first, steps, normal } = self.stack;
        let stack = Stack { first: swap(first), steps: steps.map(swap), normal: swap(normal) };
        Self { values, size: [ny, nx, nz], stack, bounds: self.bounds.map(swap) }
    }

    /// Adds the signal integrated over the profile of a slice.
    pub(super) fn integrate(&self, sequence: &Sequence, index: f32, slice: &mut [f32]) {
        Arch::new().dispatch(Integral { view: self, sequence, index, slice });
    }
}

/// One slice of a [`View`], in the widest instructions of the processor.
struct Integral<'a> {
    view: &'a View,
    sequence: &'a Sequence,
    index: f32,
    slice: &'a mut [f32],
}

impl NullaryFnOnce for Integral<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { view: View { values, size, stack, bounds }, sequence, index, slice } = self;
        let n = sequence.reconstructed;
        let voxels = Between::new(values, *size, *bounds);
        let mut between = vec![0.0; n];
        for (row, line) in slice.chunks_exact_mut(n).enumerate() {
            for (offset, weight) in sequence.profile() {
                let start = stack.row(index, row as f32, offset);
                let columns = inside(start, stack.steps[0], n, *bounds);
                let between = &mut between[..columns.len()];
                voxels.row(start, stack.steps[0], columns.start, between);
                for (sum, value) in line[columns].iter_mut().zip(between) {
                    *sum += weight * *value;
                }
            }
        }
    }
}

/// Smooth random variation of tissue, mean 0, standard deviation about 1: no tissue is uniform.
pub(super) struct Texture {
    pub(super) grid: Grid,
    pub(super) values: Vec<f32>,
}

impl Texture {
    pub(super) fn new(grid: &Grid, rng: &mut ChaCha8Rng) -> Self {
        let fine = Self::noise(grid, 3.0, rng);
        let coarse = Self::noise(grid, 11.0, rng);
        let mut values = fine.values;
        let ratio = fine.grid.spacing_mm / coarse.grid.spacing_mm;
        let [nx, ny, _] = fine.grid.size;
        let coarse = Between::all(&coarse.values, coarse.grid.size);
        let mut between = vec![0.0; nx];
        for (row, line) in values.chunks_exact_mut(nx).enumerate() {
            let start = [0.0, (row % ny) as f32 * ratio, (row / ny) as f32 * ratio];
            coarse.row(start, [ratio, 0.0, 0.0], 0, &mut between);
            for (value, coarse) in line.iter_mut().zip(&between) {
                *value = 0.7 * *value + 0.9 * coarse;
            }
        }
        Self { grid: fine.grid, values }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes are small and positive"
    )]
    fn noise(grid: &Grid, spacing_mm: f32, rng: &mut ChaCha8Rng) -> Self {
        let size = grid.size.map(|n| (n as f32 * grid.spacing_mm / spacing_mm).ceil() as usize + 3);
        let count = size.iter().product();
        let values = (0..count).map(|_| rng.sample::<f32, _>(StandardNormal)).collect();
        Self { grid: Grid { size, spacing_mm, origin_mm: grid.origin_mm }, values }
    }
}
