//! Turns brushes into layers of a built head.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "voxel indices and opacities are clamped to their range first"
)]

use std::cell::OnceCell;

use super::{
    brush::{Blob, Brush, Gate, Plane, Shape},
    distance::Distance,
    noise,
    vector::{Vec3, add, dot, length, sub, to_segment},
};
use crate::simulate::{
    anatomy::{Built, Region},
    head::{Alpha, Layer, TISSUES, Tissue},
};

/// Step of the lattice on which atlas coordinates are sampled.
const LATTICE_VOX: usize = 6;
/// Noise is mostly well below its bounds; this makes a roughness of 0.2 look like 20 %.
const RAGGED: f32 = 1.8;
/// Regions that are ventricles.
const VENTRICLES: [Region; 5] = [
    Region::LateralVentricle,
    Region::ThirdVentricle,
    Region::FourthVentricle,
    Region::Aqueduct,
    Region::ForamenOfMonro,
];

/// A built head, with what several brushes measure only once.
pub(super) struct Canvas<'a> {
    built: &'a Built,
    skull: OnceCell<Distance>,
    ventricles: OnceCell<Distance>,
}

/// A box of voxels, upper end exclusive.
#[derive(Clone, Copy)]
struct Span {
    lower: [usize; 3],
    upper: [usize; 3],
}

/// A brush ready for evaluation at head positions.
enum Local<'a> {
    Blob { blob: &'a Blob, centre: Vec3, limit: f32 },
    Tube { path: Vec<Vec3>, radius_mm: f32 },
    Sheet { centre: Vec3, thickness_mm: f32, spread_mm: f32, seed: u32, skull: &'a Distance },
    Halo { width_mm: f32, seed: u32, ragged: f32, ventricles: &'a Distance },
    Shell { centre: Vec3, radius_mm: f32, width_mm: f32 },
}

impl<'a> Canvas<'a> {
    pub(super) fn new(built: &'a Built) -> Self {
        Self { built, skull: OnceCell::new(), ventricles: OnceCell::new() }
    }

    fn skull(&self) -> &Distance {
        self.skull.get_or_init(|| {
            let inside = intradural();
            Distance::from(&self.built.head, |f, region| {
                if inside[usize::from(region)] { 1.0 - intracranial(f) } else { 1.0 }
            })
            .outside_only()
            .spread()
        })
    }

    fn ventricles(&self) -> &Distance {
        self.ventricles.get_or_init(|| {
            let lateral = Region::LateralVentricle as u8;
            Distance::from(&self.built.head, |f, region| {
                if region == lateral { f32::from(f[Tissue::Csf as usize]) / 255.0 } else { 0.0 }
            })
            .spread()
        })
    }

    /// The layer of a brush; `None` where it leaves nothing.
    pub(super) fn paint(&self, brush: &Brush) -> Option<Layer> {
        let (local, span) = self.localise(brush)?;
        let grid = &self.built.head.grid;
        let size: [usize; 3] = std::array::from_fn(|a| span.upper[a] - span.lower[a]);
        let sides = Sides::new(self.built, span, &brush.planes);
        let gate = GateTest::new(brush.gate);
        let mut parts = vec![0_u8; size.iter().product()];
        let mut total = 0_u64;
        let mut at = 0;
        for z in span.lower[2]..span.upper[2] {
            for y in span.lower[1]..span.upper[1] {
                let row = grid.index([span.lower[0], y, z]);
                let start = grid.position_mm([span.lower[0], y, z]);
                for i in 0..size[0] {
                    let voxel = row + i;
                    let p = [(i as f32).mul_add(grid.spacing_mm, start[0]), start[1], start[2]];
                    let mut alpha = local.alpha(p);
                    if alpha > 0.0 {
                        let head = &self.built.head;
                        alpha *= gate.open(&head.fractions[voxel], head.region[voxel]);
                        if alpha > 0.0 && !brush.planes.is_empty() {
                            alpha *= sides.alpha([span.lower[0] + i, y, z], p);
                        }
                        let part = (alpha * brush.opacity).mul_add(255.0, 0.5) as u8;
                        parts[at] = part;
                        total += u64::from(part);
                    }
                    at += 1;
                }
            }
        }
        if total < 40 {
            return None;
        }
        let alpha = Alpha { lower: span.lower, size, parts };
        Some(Layer { material: brush.material, alpha, component: None })
    }

    /// Moves a brush to the head; its box.
    fn localise<'b>(&'b self, brush: &'b Brush) -> Option<(Local<'b>, Span)> {
        let to_head = |p: Vec3| self.built.to_head(p);
        let (local, low, high) = match &brush.shape {
            Shape::Blob(blob) => {
                let centre = to_head(blob.centre);
                let widest = blob.radii_mm.iter().fold(0.0_f32, |a, &b| a.max(b));
                let narrow = blob.radii_mm.iter().fold(f32::MAX, |a, &b| a.min(b));
                let limit = 1.0 + RAGGED * blob.rough + blob.edge_mm / narrow.max(0.5);
                let reach = widest * limit + 1.0;
                let low = centre.map(|v| v - reach);
                (Local::Blob { blob, centre, limit }, low, centre.map(|v| v + reach))
            }
            Shape::Tube { path, radius_mm } => {
                let path: Vec<Vec3> = path.iter().map(|&p| to_head(p)).collect();
                let reach = radius_mm + 1.5;
                let ends = |f: fn(f32, f32) -> f32, from: f32| -> Vec3 {
                    std::array::from_fn(|a| path.iter().fold(from, |m, p| f(m, p[a])))
                };
                let low = ends(f32::min, f32::MAX).map(|v| v - reach);
                let high = ends(f32::max, f32::MIN).map(|v| v + reach);
                (Local::Tube { path, radius_mm: *radius_mm }, low, high)
            }
            &Shape::Sheet { centre, thickness_mm, spread_mm, seed } => {
                let centre = to_head(centre);
                let reach = spread_mm * 1.15;
                let skull = self.skull();
                (
                    Local::Sheet { centre, thickness_mm, spread_mm, seed, skull },
                    centre.map(|v| v - reach),
                    centre.map(|v| v + reach),
                )
            }
            &Shape::Halo { width_mm, seed, ragged } => {
                let ventricles = self.ventricles();
                let (low, high) = ventricles.bounds()?;
                let reach = width_mm * 2.0;
                (
                    Local::Halo { width_mm, seed, ragged, ventricles },
                    low.map(|v| v - reach),
                    high.map(|v| v + reach),
                )
            }
            &Shape::Shell { centre, radius_mm, width_mm } => {
                let centre = to_head(centre);
                let reach = radius_mm + width_mm;
                (
                    Local::Shell { centre, radius_mm, width_mm },
                    centre.map(|v| v - reach),
                    centre.map(|v| v + reach),
                )
            }
        };
        let grid = &self.built.head.grid;
        let lower = grid.voxel(low);
        let upper = grid.voxel(high);
        let span = Span {
            lower: std::array::from_fn(|a| (lower[a].floor().max(0.0) as usize).min(grid.size[a])),
            upper: std::array::from_fn(|a| {
                ((upper[a].ceil() + 1.0).max(0.0) as usize).min(grid.size[a])
            }),
        };
        (0..3).all(|a| span.lower[a] < span.upper[a]).then_some((local, span))
    }
}

impl Local<'_> {
    /// Opacity at a head position, before the gate.
    fn alpha(&self, p: Vec3) -> f32 {
        match self {
            Self::Blob { blob, centre, limit } => {
                let d = sub(p, *centre);
                let q: Vec3 = std::array::from_fn(|a| dot(d, blob.axes[a]) / blob.radii_mm[a]);
                let r = length(q);
                if r > *limit {
                    return 0.0;
                }
                let narrow = blob.radii_mm.iter().fold(f32::MAX, |a, &b| a.min(b)).max(0.3);
                let mut signed = (r - 1.0) * narrow;
                if blob.rough > 0.0 {
                    signed +=
                        RAGGED * blob.rough * narrow * noise::rough(blob.seed, p, blob.grain_mm);
                }
                let mut alpha = (0.5 - signed / blob.edge_mm).clamp(0.0, 1.0);
                if let Some((scale, threshold)) = blob.holes {
                    let n = noise::rough(blob.seed ^ 0x9e37, p, scale);
                    alpha *= ((n - threshold) * 4.0 + 0.5).clamp(0.0, 1.0);
                }
                alpha
            }
            Self::Tube { path, radius_mm } => {
                let d =
                    path.windows(2).map(|w| to_segment(p, w[0], w[1]).0).fold(f32::MAX, f32::min);
                (0.5 - (d - radius_mm)).clamp(0.0, 1.0) * (radius_mm * 2.0).min(1.0)
            }
            Self::Sheet { centre, thickness_mm, spread_mm, seed, skull } => {
                let away = length(sub(p, *centre)) / spread_mm;
                if away > 1.1 {
                    return 0.0;
                }
                // Well inside the skull, or in it.
                let near = skull.near(p);
                if near > 1.2 * thickness_mm + 4.0 || near < -0.98 {
                    return 0.0;
                }
                let depth = skull.at(p);
                let n = noise::smooth(*seed, p, 22.0);
                let swell = (1.0 - away * away).max(0.0).sqrt() + 0.12 * n;
                let limit = thickness_mm * swell;
                let inner = (0.5 - (depth - limit) / 1.2).clamp(0.0, 1.0);
                inner * (swell * 4.0).clamp(0.0, 1.0) * (depth + 0.7).clamp(0.0, 1.0)
            }
            Self::Halo { width_mm, seed, ragged, ventricles } => {
                let d = ventricles.at(p);
                if d > width_mm * 2.0 {
                    return 0.0;
                }
                let w = width_mm * (1.0 + ragged * noise::rough(*seed, p, 9.0));
                (0.5 - (d - w) / 2.0).clamp(0.0, 1.0)
            }
            Self::Shell { centre, radius_mm, width_mm } => {
                let d = (length(sub(p, *centre)) - radius_mm).abs();
                (0.5 - (d - width_mm * 0.5)).clamp(0.0, 1.0)
            }
        }
    }
}

/// Planes in atlas space, evaluated on a coarse lattice of head positions.
struct Sides<'a> {
    lower: [usize; 3],
    nodes: [usize; 3],
    atlas: Vec<Vec3>,
    planes: &'a [Plane],
}

impl<'a> Sides<'a> {
    fn new(built: &Built, span: Span, planes: &'a [Plane]) -> Self {
        let nodes: [usize; 3] =
            std::array::from_fn(|a| (span.upper[a] - span.lower[a]) / LATTICE_VOX + 2);
        let mut atlas = Vec::new();
        if !planes.is_empty() {
            for z in 0..nodes[2] {
                for y in 0..nodes[1] {
                    for x in 0..nodes[0] {
                        let voxel = [
                            span.lower[0] + x * LATTICE_VOX,
                            span.lower[1] + y * LATTICE_VOX,
                            span.lower[2] + z * LATTICE_VOX,
                        ];
                        atlas.push(built.to_atlas(built.head.grid.position_mm(voxel)));
                    }
                }
            }
        }
        Self { lower: span.lower, nodes, atlas, planes }
    }

    fn alpha(&self, voxel: [usize; 3], p: Vec3) -> f32 {
        let step = LATTICE_VOX as f32;
        let base: [usize; 3] = std::array::from_fn(|a| (voxel[a] - self.lower[a]) / LATTICE_VOX);
        let t: Vec3 =
            std::array::from_fn(|a| ((voxel[a] - self.lower[a]) % LATTICE_VOX) as f32 / step);
        let mut q = [0.0; 3];
        for corner in 0..8_usize {
            let bit = [corner & 1, (corner >> 1) & 1, (corner >> 2) & 1];
            let weight: f32 = (0..3).map(|a| if bit[a] == 1 { t[a] } else { 1.0 - t[a] }).product();
            let node = ((base[2] + bit[2]) * self.nodes[1] + base[1] + bit[1]) * self.nodes[0]
                + base[0]
                + bit[0];
            q = add(q, self.atlas[node], weight);
        }
        let mut alpha = 1.0_f32;
        for (i, plane) in (0_u32..).zip(self.planes) {
            let mut d = dot(plane.normal, q) - plane.offset;
            if plane.soft_mm > 2.0 {
                d += plane.soft_mm * noise::rough(77 + i, p, 11.0);
            }
            alpha = alpha.min((0.5 + d / plane.soft_mm).clamp(0.0, 1.0));
        }
        alpha
    }
}

/// A gate with its region numbers looked up.
struct GateTest {
    gate: Gate,
    ventricles: [u8; 5],
    intradural: [bool; 256],
}

impl GateTest {
    fn new(gate: Gate) -> Self {
        let mut intradural = intradural();
        for region in [Region::Sella, Region::CavernousSinus] {
            intradural[region as usize] = true;
        }
        Self { gate, ventricles: VENTRICLES.map(|r| r as u8), intradural }
    }

    /// Part of a voxel that may be replaced.
    fn open(&self, f: &[u8; TISSUES], region: u8) -> f32 {
        let part = |t: Tissue| f32::from(f[t as usize]);
        let grey = || part(Tissue::GreyMatter) + part(Tissue::DeepGrey) + part(Tissue::IronGrey);
        let brain = || grey() + part(Tissue::WhiteMatter) + part(Tissue::Brainstem);
        let parts = match self.gate {
            Gate::Any => 255.0,
            Gate::Intracranial if self.intradural[usize::from(region)] => return intracranial(f),
            Gate::Intracranial => 0.0,
            Gate::Brain => brain(),
            Gate::White => {
                let stem = 0.8 * part(Tissue::Brainstem) + 0.3 * part(Tissue::DeepGrey);
                (part(Tissue::WhiteMatter) + stem - 0.25 * part(Tissue::GreyMatter)).max(0.0)
            }
            Gate::Grey => grey() + 0.25 * part(Tissue::WhiteMatter),
            Gate::Subarachnoid if self.ventricles.contains(&region) => 0.0,
            Gate::Subarachnoid => part(Tissue::Csf),
            Gate::Ventricle if self.ventricles.contains(&region) => part(Tissue::Csf),
            Gate::Ventricle => 0.0,
            Gate::Pia if self.ventricles.contains(&region) => 0.0,
            Gate::Pia => 2.0 * part(Tissue::Csf).min(brain()),
            Gate::Bone => part(Tissue::Bone) + part(Tissue::Marrow),
            Gate::Scalp => part(Tissue::Fat) + part(Tissue::Muscle),
            Gate::Artery => part(Tissue::Artery),
            Gate::Cord => part(Tissue::Brainstem) + part(Tissue::Csf) * 0.2,
            Gate::Air => part(Tissue::Air),
        };
        (parts / 255.0).min(1.0)
    }
}

/// Which regions lie inside the dura; what has no region may, its tissue decides.
fn intradural() -> [bool; 256] {
    std::array::from_fn(|byte| {
        let region = Region::of(byte as u8);
        region.is_intradural() || region == Region::None
    })
}

/// Part of a voxel that is no bone, air or soft tissue of the face and neck.
fn intracranial(f: &[u8; TISSUES]) -> f32 {
    let outside =
        [Tissue::Air, Tissue::Bone, Tissue::Marrow, Tissue::Fat, Tissue::Muscle, Tissue::Vitreous];
    let sum: u16 = outside.iter().map(|&t| u16::from(f[t as usize])).sum();
    1.0 - f32::from(sum.min(255)) / 255.0
}
