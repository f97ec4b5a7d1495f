//! From a head to the images that a scanner makes of it.
//!
//! One [`Session`] is one patient on one scanner: tissue parameters, position, field map and coil
//! are drawn once and shared by the series. A series is then: signal of every voxel from the
//! equations of [`signal`], integrated over the slice profile, times the coil; echo-planar images
//! distorted and gradient echoes dephased by the field map; through k-space; scaled to stored
//! integers.
//!
//! [`signal`]: super::signal
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "stored values are clamped, sizes are small"
)]

mod effects;
mod field;
mod geometry;
mod kspace;
mod series;
mod volume;

use std::cell::OnceCell;
use std::rc::Rc;

use pulp::{Arch, NullaryFnOnce};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use self::effects::{Coil, dephased, distort};
use self::field::FieldMap;
use self::geometry::{Between, Habit, Pose, Stack, inside, normal};
use self::kspace::{Motion, Sampling, Scanning};
use self::volume::{Components, Contrast, Texture, View};
use super::head::{Grid, Head, Material, TISSUES, Tissue};
use super::protocol::{Kind, Plane, Scanner, Sequence, Target, Vendor};
use super::signal::{Weighting, signal};
use super::tissue::{Field, materials};

pub use series::Series;

/// Standard deviation of the texture of tissue, relative to its signal.
const TEXTURE: f32 = 0.022;

/// One patient on one scanner.
pub struct Session<'a> {
    head: &'a Head,
    scanner: &'a Scanner,
    materials: [Material; TISSUES],
    /// Middle of the brain.
    centre: [f32; 3],
    /// Box of what gives signal, in voxels, one voxel inside the grid.
    bounds: [[f32; 3]; 2],
    pose: Pose,
    habit: Habit,
    texture: Texture,
    components: Option<Components>,
    field: OnceCell<FieldMap>,
    /// How restless the patient is: amplitude of movement.
    restless_mm: f32,
    /// What fat suppression leaves of fat.
    fat_left: f32,
    /// Bandwidth of echo-planar images per line of k-space; its sign is that of the blips.
    hz_per_line: f32,
    planar: Option<Planar>,
}

/// The diffusion acquisition of a session.
struct Planar {
    /// Its geometry, without pixels.
    plan: Series,
    coil: Coil,
    /// By weighting.
    images: Vec<(f32, Rc<Images>)>,
}

/// Magnitude images of a stack, in units of the signal equations.
struct Images {
    /// `[slice][row][column]`
    values: Vec<f32>,
    /// Signal of brain.
    reference: f32,
    /// Standard deviation of the noise.
    noise_sd: f32,
}

impl<'a> Session<'a> {
    /// Puts `head` into `scanner`.
    pub fn new(head: &'a Head, scanner: &'a Scanner, age_years: f32, rng: &mut ChaCha8Rng) -> Self {
        let (centre, bounds) = extents(head);
        let restless = rng.random_bool(0.12);
        Self {
            head,
            scanner,
            materials: materials(scanner.field, age_years, rng),
            centre,
            bounds,
            pose: Pose::draw(centre, rng),
            habit: Habit::draw(rng),
            texture: Texture::new(&head.grid, rng),
            components: Components::new(head),
            field: OnceCell::new(),
            restless_mm: if restless { rng.random_range(0.4..1.6) } else { 0.0 },
            // Where the shim misses, the suppression does.
            fat_left: rng.random_range(0.05..0.5),
            hz_per_line: rng.random_range(20.0..34.0)
                * if rng.random_bool(0.5) { 1.0 } else { -1.0 },
            planar: None,
        }
    }

    /// Acquires one series. All diffusion series of a session come from one acquisition.
    #[must_use]
    pub fn acquire(&mut self, sequence: &Sequence, rng: &mut ChaCha8Rng) -> Series {
        let mut series = self.prescribe(sequence, rng);
        match sequence.weighting {
            Weighting::Adc { b, .. } => {
                let without = self.diffusion(&mut series, 0.0, rng);
                let with = self.diffusion(&mut series, b, rng);
                series.pixels = coefficients(&without, &with, b);
            }
            Weighting::Diffusion { b, .. } => {
                let images = self.diffusion(&mut series, b, rng);
                self.store(&images, &mut series, rng);
            }
            _ => {
                let coil = self.coil(rng);
                let images = self.images(sequence, &self.stack(&series), &coil, rng);
                self.store(&images, &mut series, rng);
            }
        }
        self.label(&mut series);
        series
    }

    /// Images of the session's diffusion acquisition with weighting `b`; `series` gets its
    /// geometry.
    fn diffusion(&mut self, series: &mut Series, b: f32, rng: &mut ChaCha8Rng) -> Rc<Images> {
        let (sequence, slope) = (series.sequence.clone(), series.slope);
        let same = |planar: &Planar| {
            let plan = &planar.plan.sequence;
            (plan.reconstructed, plan.slices) == (sequence.reconstructed, sequence.slices)
        };
        let mut planar = self.planar.take().filter(same).unwrap_or_else(|| Planar {
            plan: series.clone(),
            coil: self.coil(rng),
            images: Vec::new(),
        });
        *series = Series { sequence, slope, ..planar.plan.clone() };
        let known = planar.images.iter().find(|(weighting, _)| (weighting - b).abs() < 0.5);
        let images = if let Some((_, images)) = known {
            Rc::clone(images)
        } else {
            let [tr, te] = [series.sequence.weighting.tr(), series.sequence.weighting.te()];
            let weighting = Weighting::Diffusion { tr, te, b };
            let sequence = Sequence { weighting, ..series.sequence.clone() };
            let images = self.images(&sequence, &self.stack(series), &planar.coil, rng);
            let images = Rc::new(images);
            planar.images.push((b, Rc::clone(&images)));
            images
        };
        self.planar = Some(planar);
        images
    }

    fn coil(&self, rng: &mut ChaCha8Rng) -> Coil {
        let high = self.scanner.field == Field::Three;
        Coil::draw(self.centre, self.scanner.normalised, high, rng)
    }

    /// Scales images to stored values.
    fn store(&self, images: &Images, series: &mut Series, rng: &mut ChaCha8Rng) {
        let gain = self.gain(series.sequence.kind, rng) / images.reference;
        let most = if self.scanner.vendor == Vendor::Ge { 32767.0 } else { 4095.0 };
        let stored = |value: &f32| (value * gain).round().clamp(0.0, most) as u16;
        series.pixels = images.values.iter().map(stored).collect();
        series.noise_sd = images.noise_sd * gain;
    }

    /// Frequency offset in Hz that the head itself causes, computed when first needed.
    fn field(&self) -> &FieldMap {
        let tesla = self.scanner.field.tesla();
        self.field.get_or_init(|| FieldMap::new(self.head, &self.materials, tesla))
    }

    /// Geometry of a series; no pixels yet.
    fn prescribe(&self, sequence: &Sequence, rng: &mut ChaCha8Rng) -> Series {
        let axes = self.habit.axes(sequence.plane, &self.pose, rng);
        let middle = match sequence.target {
            Target::Brain => self.centre,
            Target::Slab(position) => position,
        };
        // Off-centre planning; one stack in twenty misses a part of the brain.
        let off = if rng.random_bool(0.05) { 14.0 } else { 2.5 };
        let middle: [f32; 3] = std::array::from_fn(|a| middle[a] + normal(rng, off));
        let n = sequence.reconstructed;
        let pixel = sequence.fov_mm / n as f32;
        let steps = [pixel, pixel, sequence.spacing_mm()];
        let counts = [n, n, sequence.slices];
        let first: [f32; 3] = std::array::from_fn(|a| {
            let back = |k: usize| axes[k][a] * steps[k] * (counts[k] as f32 - 1.0) / 2.0;
            middle[a] - back(0) - back(1) - back(2)
        });
        Series {
            sequence: sequence.clone(),
            columns: n,
            rows: n,
            slices: sequence.slices,
            spacing_mm: [pixel, pixel],
            origin_mm: self.pose.position(first),
            row: self.pose.direction(axes[0]),
            column: self.pose.direction(axes[1]),
            normal: self.pose.direction(axes[2]),
            head_origin_mm: first,
            head_axes: axes,
            pixels: Vec::new(),
            mask: Vec::new(),
            noise_sd: 0.0,
            slope: if self.scanner.vendor == Vendor::Philips && sequence.kind != Kind::Adc {
                (rng.random_range(0.6..1.6_f32) * 1000.0).round() / 1000.0
            } else {
                1.0
            },
            phase_down: match sequence.kind {
                Kind::Diffusion | Kind::DiffusionB0 | Kind::Adc => true,
                _ => sequence.plane != Plane::Axial,
            },
        }
    }

    fn stack(&self, series: &Series) -> Stack {
        let mm = self.head.grid.spacing_mm;
        let [row, column, normal] = series.head_axes;
        let steps = [
            row.map(|v| v * series.spacing_mm[1] / mm),
            column.map(|v| v * series.spacing_mm[0] / mm),
            normal.map(|v| v * series.sequence.spacing_mm() / mm),
        ];
        Stack {
            first: self.head.grid.voxel(series.head_origin_mm),
            steps,
            normal: normal.map(|v| v / mm),
        }
    }

    /// Magnitude images of all slices.
    fn images(
        &self,
        sequence: &Sequence,
        stack: &Stack,
        coil: &Coil,
        rng: &mut ChaCha8Rng,
    ) -> Images {
        let contrast = Contrast {
            weighting: &sequence.weighting,
            agent: sequence.contrast,
            fat: if sequence.fat_saturated { self.fat_left } else { 1.0 },
            field: self.scanner.field.index(),
        };
        let reference = self.reference(sequence);
        let volume = contrast.volume(self.head, &self.materials);
        let mut view =
            View { values: volume, size: self.head.grid.size, stack: *stack, bounds: self.bounds };
        if sequence.plane == Plane::Sagittal {
            view = view.turned();
        }
        let n = sequence.reconstructed;
        let mut scanning = Scanning::new(n, self.sampling(sequence, reference, rng));
        let mut images = vec![0.0; n * n * sequence.slices];
        let planar = matches!(sequence.weighting, Weighting::Diffusion { .. });
        let rows_per_hz = n as f32 / (self.hz_per_line * sequence.matrix[1] as f32);
        for (index, slice) in images.chunks_exact_mut(n * n).enumerate() {
            view.integrate(sequence, index as f32, slice);
            self.modulate(sequence, stack, coil, index as f32, slice);
            if planar {
                let shift = self.shifts(stack, index as f32, n, rows_per_hz);
                distort(slice, n, &shift);
            }
            scanning.image(slice, rng);
        }
        let noise_sd = reference / self.signal_to_noise(sequence);
        Images { values: images, reference, noise_sd }
    }

    /// Signal of brain: the mean of grey and white matter.
    fn reference(&self, sequence: &Sequence) -> f32 {
        let of = |tissue: Tissue| {
            signal(&sequence.weighting, &self.materials[tissue as usize], sequence.contrast)
        };
        f32::midpoint(of(Tissue::GreyMatter), of(Tissue::WhiteMatter))
    }

    fn signal_to_noise(&self, sequence: &Sequence) -> f32 {
        let at_three = match sequence.kind {
            Kind::T1 | Kind::GradientEcho => 50.0,
            Kind::T2 | Kind::ProtonDensity => 58.0,
            Kind::Flair => 44.0,
            Kind::T1Volume | Kind::Susceptibility | Kind::Angiography => 32.0,
            Kind::DiffusionB0 => 58.0,
            // Noise belongs to the coil; diffusion weighting takes signal, not noise.
            Kind::Diffusion | Kind::Adc => match sequence.weighting {
                Weighting::Diffusion { b, .. } => 58.0 * (-b * 0.00075).exp(),
                _ => 20.0,
            },
        };
        let field = if self.scanner.field == Field::Three { 1.0 } else { 0.72 };
        let voxel = (sequence.thickness_mm / if sequence.volume { 2.0 } else { 5.0 }).sqrt();
        at_three * field * voxel
    }

    fn sampling(&self, sequence: &Sequence, reference: f32, rng: &mut ChaCha8Rng) -> Sampling {
        let down = matches!(sequence.weighting, Weighting::Diffusion { .. })
            || sequence.plane != Plane::Axial;
        let [frequency, phase] = sequence.matrix;
        let pixel = sequence.fov_mm / sequence.reconstructed as f32;
        let moved = self.restless_mm / pixel;
        let still = matches!(sequence.weighting, Weighting::Diffusion { .. });
        let motion = (moved > 0.0 && !still && rng.random_bool(0.7)).then(|| Motion {
            amplitude: [moved * rng.random_range(0.1..0.7), moved * rng.random_range(0.2..1.0)],
            periods: rng.random_range(3.0..22.0),
        });
        Sampling {
            acquired: if down { [frequency, phase] } else { [phase, frequency] },
            phase_down: down,
            blur: self.head.grid.spacing_mm / pixel,
            damped: match self.scanner.vendor {
                Vendor::Siemens => 0.25,
                Vendor::Ge => 0.4,
                Vendor::Philips => 0.3,
                Vendor::Canon => 0.5,
            },
            noise_sd: reference / self.signal_to_noise(sequence),
            motion,
        }
    }

    /// Coil, texture and, for gradient echoes, dephasing across the slice.
    fn modulate(
        &self,
        sequence: &Sequence,
        stack: &Stack,
        coil: &Coil,
        index: f32,
        slice: &mut [f32],
    ) {
        let dephasing = match sequence.weighting {
            Weighting::Susceptibility { te, .. } => Some((te, self.field())),
            _ => None,
        };
        let session = self;
        let modulation = Modulation { session, sequence, stack, coil, dephasing, index, slice };
        Arch::new().dispatch(modulation);
    }

    /// Shift of every pixel of an echo-planar image along the rows.
    fn shifts(&self, stack: &Stack, index: f32, n: usize, rows_per_hz: f32) -> Vec<f32> {
        let field = self.field();
        let map = field.stack(stack, &self.head.grid);
        let mut shifts = vec![0.0; n * n];
        for (row, line) in shifts.chunks_exact_mut(n).enumerate() {
            field.between().row(map.row(index, row as f32, 0.0), map.steps[0], 0, line);
        }
        shifts.iter_mut().for_each(|hz| *hz = (*hz * rows_per_hz).clamp(-14.0, 14.0));
        shifts
    }

    /// Stored value of brain.
    fn gain(&self, kind: Kind, rng: &mut ChaCha8Rng) -> f32 {
        let (low, high) = match self.scanner.vendor {
            Vendor::Siemens => (240.0, 420.0),
            Vendor::Ge => (420.0, 1200.0),
            Vendor::Philips => (350.0, 800.0),
            Vendor::Canon => (500.0, 1300.0),
        };
        let level: f32 = rng.random_range(low..high);
        match kind {
            // Noise is a large part of the signal here and must stay small among stored values.
            Kind::Diffusion => level.min(600.0) * 0.4,
            Kind::Angiography | Kind::Susceptibility => level * 0.6,
            _ => level,
        }
    }

    /// Component of every voxel of the series.
    fn label(&self, series: &mut Series) {
        let stack = self.stack(series);
        series.mask = vec![0; series.pixels.len()];
        let Some(components) = &self.components else { return };
        let grid = &self.head.grid;
        let n = series.columns;
        let samples = series.sequence.profile();
        let mut votes = vec![[0_u8; 8]; n];
        for (line, labels) in series.mask.chunks_exact_mut(n).enumerate() {
            let [slice, row] = [line / series.rows, line % series.rows].map(|v| v as f32);
            let mut touched = n..0;
            for (sample, (offset_mm, _)) in samples.iter().enumerate().take(8) {
                let start = stack.row(slice, row, *offset_mm);
                let within = inside(start, stack.steps[0], n, components.bounds);
                for column in within.clone() {
                    let at: [usize; 3] = std::array::from_fn(|a| {
                        (start[a] + column as f32 * stack.steps[0][a]).round() as usize
                    });
                    votes[column][sample] = components.labels[grid.index(at)];
                }
                if !within.is_empty() {
                    touched = touched.start.min(within.start)..touched.end.max(within.end);
                }
            }
            for column in touched {
                labels[column] = elect(&std::mem::take(&mut votes[column]), samples.len().min(8));
            }
        }
    }
}

/// [`Session::modulate`], in the widest instructions of the processor.
struct Modulation<'a> {
    session: &'a Session<'a>,
    sequence: &'a Sequence,
    stack: &'a Stack,
    coil: &'a Coil,
    /// Echo time and field of gradient echoes.
    dephasing: Option<(f32, &'a FieldMap)>,
    index: f32,
    slice: &'a mut [f32],
}

impl NullaryFnOnce for Modulation<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { session, sequence, stack, coil, dephasing, index, slice } = self;
        let n = sequence.reconstructed;
        let grid = &session.head.grid;
        let texture = stack.on(grid, &session.texture.grid);
        let grain = Between::all(&session.texture.values, session.texture.grid.size);
        let sign = match sequence.kind {
            Kind::T1 | Kind::T1Volume => -TEXTURE,
            _ => TEXTURE,
        };
        let [mut varied, mut near, mut far] = [(); 3].map(|()| vec![0.0; n]);
        for (row, line) in slice.chunks_exact_mut(n).enumerate() {
            let start = stack.row(index, row as f32, 0.0);
            let columns = inside(start, stack.steps[0], n, session.bounds);
            let (first, line) = (columns.start, &mut line[columns]);
            let varied = &mut varied[..line.len()];
            grain.row(texture.row(index, row as f32, 0.0), texture.steps[0], first, varied);
            for (i, (value, varied)) in line.iter_mut().zip(varied).enumerate() {
                let along = (first + i) as f32;
                let position = std::array::from_fn(|a| {
                    let at = start[a] + along * stack.steps[0][a];
                    grid.origin_mm[a] + at * grid.spacing_mm
                });
                let gain = coil.at(position) * (1.0 + sign * *varied).max(0.5);
                *value = if *value < 1e-5 { *value } else { *value * gain };
            }
            let Some((te, field)) = dephasing else { continue };
            let map = field.stack(stack, grid);
            let half = sequence.thickness_mm / 2.0;
            for (offset, ends) in [(-half, &mut near), (half, &mut far)] {
                let start = map.row(index, row as f32, offset);
                field.between().row(start, map.steps[0], first, &mut ends[..line.len()]);
            }
            for (value, (near, far)) in line.iter_mut().zip(near.iter().zip(&far)) {
                if *value >= 1e-5 {
                    *value *= dephased(far - near, te);
                }
            }
        }
    }
}

/// The component that most samples show, if at least a third show any.
fn elect(votes: &[u8; 8], samples: usize) -> u8 {
    let count = |component: u8| votes.iter().filter(|vote| **vote == component).count();
    let winner = votes.iter().copied().filter(|vote| *vote > 0).max_by_key(|vote| count(*vote));
    let any = votes.iter().filter(|vote| **vote > 0).count();
    winner.filter(|_| any * 3 >= samples).unwrap_or(0)
}

/// Apparent diffusion coefficients in 10⁻⁶ mm²/s; 0 where there is no signal to measure one.
fn coefficients(without: &Images, with: &Images, b: f32) -> Vec<u16> {
    let pairs = without.values.iter().zip(&with.values);
    let coefficient = |(s0, s1): (&f32, &f32)| {
        if *s0 < 0.3 * without.reference {
            return 0;
        }
        ((s0 / s1.max(1e-6)).ln() / b * 1e6).round().clamp(0.0, 4000.0) as u16
    };
    pairs.map(coefficient).collect()
}

/// Middle of the brain, and the box of voxels that are not air.
fn extents(head: &Head) -> ([f32; 3], [[f32; 3]; 2]) {
    let grid: &Grid = &head.grid;
    let [nx, ny, nz] = grid.size;
    let empty = [[usize::MAX; 3], [0; 3]];
    let (mut brain, mut solid) = (empty, empty);
    let widen = |bounds: &mut [[usize; 3]; 2], at: [usize; 3]| {
        for a in 0..3 {
            bounds[0][a] = bounds[0][a].min(at[a]);
            bounds[1][a] = bounds[1][a].max(at[a]);
        }
    };
    for z in 0..nz {
        for y in 0..ny {
            for x in 0..nx {
                let fractions = &head.fractions[grid.index([x, y, z])];
                if fractions[Tissue::Air as usize] == 255 {
                    continue;
                }
                widen(&mut solid, [x, y, z]);
                let parts =
                    [Tissue::GreyMatter, Tissue::WhiteMatter].map(|t| fractions[t as usize]);
                if u16::from(parts[0]) + u16::from(parts[1]) > 150 {
                    widen(&mut brain, [x, y, z]);
                }
            }
        }
    }
    let centre = std::array::from_fn(|a| {
        let middle = if brain[0][a] > brain[1][a] {
            grid.size[a] as f32 / 2.0
        } else {
            (brain[0][a] + brain[1][a]) as f32 / 2.0
        };
        grid.origin_mm[a] + middle * grid.spacing_mm
    });
    let lower = solid[0].map(|v| v.clamp(1, 1 << 20) as f32 - 1.0);
    let upper =
        std::array::from_fn(|a| (solid[1][a] + 1).min(grid.size[a].saturating_sub(2)) as f32);
    (centre, [lower, upper])
}

#[cfg(test)]
pub(super) mod tests;
