//! What is wrong with a patient, planned in atlas space.

use std::sync::Arc;

use models::labels::DIAGNOSES;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::{
    brush::{Blob, Brush, Gate, Plane, Shape},
    finding::{Detail, Finding, Incidental, Lesion, Place, Severity, Side},
    noise::{chance, direction, log_uniform, pick, uniform},
    paint::Canvas,
    places::Places,
    table::{Entry, Part, Table, Variant},
    vector::{Vec3, add, cross, frame, length, sub, unit},
};
use crate::simulate::{
    anatomy::{Atlas, Built, Change, Region},
    head::{Layer, Material, Push, Tissue},
};

/// Smallest displacement that is reported as mass effect.
pub const MASS_EFFECT_MM: f32 = 4.0;
/// Smallest displacement of the septum that is reported as midline shift.
pub const MIDLINE_SHIFT_MM: f32 = 3.0;
/// Displacement of the septum from which the cingulate gyrus herniates below the falx.
pub const HERNIATION_SHIFT_MM: f32 = 5.5;
/// Smallest volume of oedema that is reported.
pub const OEDEMA_ML: f32 = 5.0;
/// Factor on the ventricles from which they are called enlarged.
pub const VENTRICULOMEGALY: f32 = 1.8;

/// What is planned for a patient: findings, and how to make them.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What has a label.
    pub findings: Vec<Finding>,
    /// What has none.
    pub incidentals: Vec<Incidental>,
    /// Mass effect and shrinkage.
    pub pushes: Vec<Push>,
    /// Changes of the anatomy itself.
    pub changes: Vec<Change>,
    /// Atrophy beyond that of the age, 0 to 1.
    pub atrophy: f32,
    /// The same, of the temporal lobes and hippocampi.
    pub temporal_atrophy: f32,
    /// Factor on the volume of the ventricles.
    pub ventricles: f32,
    /// Sulci squeezed by swelling, 0 to 1.
    pub sulci_effaced: f32,
    /// Painted first: oedema, white matter.
    pub(super) under: Vec<Brush>,
    /// Painted then.
    pub(super) over: Vec<Brush>,
}

/// Everything a planner needs.
pub(super) struct Planner<'a> {
    pub(super) atlas: &'a Atlas,
    pub(super) table: &'a Table,
    places: Arc<Places>,
    pub(super) rng: &'a mut ChaCha8Rng,
    pub(super) plan: Plan,
    /// Oedema: its brush in `under` and the finding it surrounds.
    pub(super) oedema: Vec<(usize, usize)>,
}

/// One diagnosis to plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wish {
    pub(super) label: usize,
    /// Part of the range of sizes, from 0 to 1, that the first lesion at least has.
    pub(super) least: f32,
    /// The finding it comes from.
    pub(super) cause: Option<usize>,
}

impl Plan {
    /// Labels in the order of `models::labels::DIAGNOSES`.
    #[must_use]
    pub fn labels(&self) -> Vec<bool> {
        let mut labels = vec![false; DIAGNOSES.len()];
        for finding in &self.findings {
            labels[finding.diagnosis] = true;
        }
        labels
    }

    /// Adds the layers to a head that was built with this plan's pushes and changes; what stands
    /// in the voxel mask. Sides of findings are turned where the anatomy was mirrored. A finding
    /// whose component fills no voxel, because it fell outside of its tissue or under another one,
    /// is not there: it leaves the findings and the mask.
    pub fn apply(&mut self, built: &mut Built) -> Vec<Lesion> {
        if built.to_head([40.0, 0.0, 20.0])[0] < built.to_head([-40.0, 0.0, 20.0])[0] {
            self.mirror();
        }
        let mut layers = Vec::new();
        {
            let canvas = Canvas::new(built);
            for brush in self.under.iter().chain(&self.over) {
                if let Some(mut layer) = canvas.paint(brush) {
                    layer.component = brush.finding.and_then(|i| self.findings[i].component);
                    layers.push(layer);
                }
            }
        }
        let volumes_ml = volumes(built, &layers);
        let gone = |c: Option<u8>| c.is_some_and(|c| volumes_ml[usize::from(c)] <= 0.0);
        for layer in layers.iter_mut().filter(|layer| gone(layer.component)) {
            layer.component = None;
        }
        built.head.layers.extend(layers);
        self.retain(|finding| !gone(finding.component));
        let mut lesions = Vec::new();
        for finding in &self.findings {
            let own = finding.cause.is_none_or(|c| self.findings[c].component != finding.component);
            if let Some(component) = finding.component.filter(|_| own) {
                lesions.push(Lesion {
                    component,
                    diagnosis: finding.diagnosis,
                    place: finding.places.first().map(Place::text).unwrap_or_default(),
                    volume_ml: volumes_ml[usize::from(component)],
                    diameter_mm: finding.size_mm[0],
                });
            }
        }
        lesions
    }

    /// Keeps some of the findings. What follows from one that leaves, such as the shift that its
    /// push made all the same, follows from that one's own cause, or from none.
    fn retain(&mut self, stays: impl Fn(&Finding) -> bool) {
        let mut count = 0;
        let index: Vec<Option<usize>> = self
            .findings
            .iter()
            .map(|finding| {
                stays(finding).then(|| {
                    count += 1;
                    count - 1
                })
            })
            .collect();
        let causes: Vec<Option<usize>> = self.findings.iter().map(|f| f.cause).collect();
        for finding in &mut self.findings {
            // A chain of causes is at most as long as the list.
            for _ in 0..causes.len() {
                match finding.cause {
                    Some(cause) if index[cause].is_none() => finding.cause = causes[cause],
                    _ => break,
                }
            }
            finding.cause = finding.cause.and_then(|cause| index[cause]);
        }
        for brush in self.under.iter_mut().chain(&mut self.over) {
            brush.finding = brush.finding.and_then(|finding| index[finding]);
        }
        let mut there = index.iter().map(Option::is_some);
        self.findings.retain(|_| there.next().unwrap_or(false));
    }

    fn mirror(&mut self) {
        let places = self.findings.iter_mut().flat_map(|f| &mut f.places);
        let others = self.incidentals.iter_mut().filter_map(|i| i.place.as_mut());
        for place in places.chain(others) {
            place.side = match place.side {
                Some(Side::Left) => Some(Side::Right),
                Some(Side::Right) => Some(Side::Left),
                other => other,
            };
        }
    }

    /// How far the septum is moved to the left by the pushes, its mean over three points.
    pub(super) fn shift_mm(&self) -> f32 {
        let points = [[0.0, -20.0, 12.0], [0.0, -5.0, 14.0], [0.0, 10.0, 16.0]];
        points.iter().map(|&p| displacement(&self.pushes, p)[0]).sum::<f32>() / 3.0
    }
}

/// Volume of each component, a voxel counting for the last layer that fills half of it.
fn volumes(built: &Built, layers: &[Layer]) -> Vec<f32> {
    let grid = &built.head.grid;
    let mut mask = vec![0_u8; grid.len()];
    for layer in layers {
        let Some(component) = layer.component else { continue };
        let [nx, ny, _] = layer.alpha.size;
        for (row, parts) in layer.alpha.parts.chunks_exact(nx.max(1)).enumerate() {
            let [x, y, z] = layer.alpha.lower;
            let start = grid.index([x, y + row % ny, z + row / ny]);
            for (voxel, &part) in mask[start..start + nx].iter_mut().zip(parts) {
                if part >= 128 {
                    *voxel = component;
                }
            }
        }
    }
    let mut voxels = vec![0_u32; 256];
    for component in mask {
        voxels[usize::from(component)] += 1;
    }
    let voxel_ml = grid.spacing_mm.powi(3) / 1000.0;
    voxels.into_iter().map(|n| n as f32 * voxel_ml).collect()
}

/// Displacement of a point by pushes.
fn displacement(pushes: &[Push], p: Vec3) -> Vec3 {
    let mut sum = [0.0; 3];
    for push in pushes {
        let from = sub(p, push.centre_mm);
        let d = (length(from) - push.radius_mm).max(0.0) / push.reach_mm;
        let mm = push.displacement_mm * (-0.5 * d * d).exp();
        sum = add(sum, push.direction.unwrap_or_else(|| unit(from)), mm);
    }
    sum
}

impl<'a> Planner<'a> {
    pub(super) fn new(atlas: &'a Atlas, table: &'a Table, rng: &'a mut ChaCha8Rng) -> Self {
        let plan = Plan { ventricles: 1.0, ..Plan::default() };
        let places = table.places(atlas);
        Self { atlas, table, places, rng, plan, oedema: Vec::new() }
    }

    /// The table of a diagnosis; it outlives the planner.
    pub(super) fn entry(&self, label: usize) -> &'a Entry {
        &self.table.entries[label]
    }

    /// A variant by weight.
    pub(super) fn variant(&mut self, label: usize) -> &'a Variant {
        let variants = &self.table.entries[label].variants;
        &variants[pick(self.rng, variants.iter().map(|v| v.weight))]
    }

    /// A size from the diagnosis's range, large ones when wished.
    pub(super) fn size(&mut self, wish: Wish) -> f32 {
        let [low, high] = self.entry(wish.label).size_mm;
        let low = low + wish.least * (high - low);
        log_uniform(self.rng, [low.max(0.5), high.max(0.6)])
    }

    /// Starts a finding with a variant's appearance.
    pub(super) fn find(&mut self, wish: Wish, variant: &Variant) -> usize {
        self.plan.findings.push(Finding {
            diagnosis: wish.label,
            cause: wish.cause,
            component: None,
            places: Vec::new(),
            count: 1,
            size_mm: [0.0; 3],
            severity: Severity::Moderate,
            stage: variant.stage,
            enhancement: variant.enhancement,
            diffusion: variant.diffusion,
            t1: variant.t1,
            t2: variant.t2,
            flair: variant.flair,
            blooming: variant.blooming,
            flow_voids: variant.flow_voids,
            cystic: variant.cystic,
            oedema: Severity::None,
            mass_effect_mm: 0.0,
            details: variant.details.clone(),
        });
        self.plan.findings.len() - 1
    }

    /// The finding being planned.
    pub(super) fn finding(&mut self, i: usize) -> &mut Finding {
        &mut self.plan.findings[i]
    }

    /// Records size and grade of a lesion; the largest counts.
    pub(super) fn measure(&mut self, i: usize, size_mm: Vec3) {
        let [low, high] = self.entry(self.plan.findings[i].diagnosis).size_mm;
        let finding = self.finding(i);
        if size_mm[0] > finding.size_mm[0] {
            finding.size_mm = size_mm;
            let t = (size_mm[0] - low) / (high - low).max(0.1);
            finding.severity = grade(t, [0.3, 0.65]);
        }
    }

    /// Adds a place once.
    pub(super) fn locate(&mut self, i: usize, words: &'static str, side: Option<Side>) {
        let place = Place { words, side };
        let places = &mut self.finding(i).places;
        if !places.contains(&place) {
            places.push(place);
        }
    }

    /// Adds a detail where there is room.
    pub(super) fn detail(&mut self, i: usize, detail: Detail) {
        let details = &mut self.finding(i).details;
        if !details.contains(&detail) && details.len() < 3 {
            details.push(detail);
        }
    }

    /// A material, its relaxation times varied as between patients.
    pub(super) fn material(&mut self, name: &str) -> [Material; 2] {
        let t1 = uniform(self.rng, [0.92, 1.08]);
        let t2 = uniform(self.rng, [0.9, 1.1]);
        let agent = uniform(self.rng, [0.75, 1.25]);
        self.table.material(name).map(|m| Material {
            t1_ms: m.t1_ms * t1,
            t2_ms: (m.t2_ms * t2).min(m.t1_ms * t1),
            t2_star_ms: m.t2_star_ms * t2,
            gadolinium_mm: m.gadolinium_mm * agent,
            ..m
        })
    }

    /// A region by its weight in the table; frontal lobe where there is none.
    pub(super) fn region(&mut self, label: usize) -> Region {
        let places = &self.table.entries[label].places;
        let i = pick(self.rng, places.values().copied());
        places
            .keys()
            .nth(i)
            .and_then(|name| Region::from_identifier(name))
            .unwrap_or(Region::Frontal)
    }

    /// Left or right.
    pub(super) fn side(&mut self) -> Side {
        if chance(self.rng, 0.5) { Side::Left } else { Side::Right }
    }

    /// A position inside a region.
    pub(super) fn place(&mut self, region: Region, side: Option<Side>, margin_mm: f32) -> Vec3 {
        self.places.draw(self.atlas, region, side, margin_mm, self.rng)
    }

    /// The middle of a small region.
    pub(super) fn middle(&self, region: Region, side: Option<Side>) -> Vec3 {
        self.places.middle(region, side)
    }

    /// Where a ray from the middle of the head meets the skull, atlas space.
    pub(super) fn inner_table(&self, towards: Vec3) -> Vec3 {
        let direction = unit(towards);
        let start = [0.0, 18.0, 12.0];
        let mut last = add(start, direction, 40.0);
        for step in 0_u8..170 {
            let p = add(start, direction, 30.0 + 0.5 * f32::from(step));
            let f = self.atlas.fractions(p);
            let skull = f[Tissue::Bone as usize] + f[Tissue::Marrow as usize];
            if skull > 0.5 {
                return p;
            }
            last = p;
        }
        last
    }

    /// Where the same ray leaves the head.
    pub(super) fn surface(&self, towards: Vec3) -> Vec3 {
        let start = self.inner_table(towards);
        let direction = unit(towards);
        let mut last = start;
        for step in 0_u8..60 {
            let p = add(start, direction, f32::from(step));
            last = p;
            if self.atlas.fractions(p)[Tissue::Air as usize] > 0.5 {
                break;
            }
        }
        last
    }

    /// Adds mass effect.
    pub(super) fn push(&mut self, i: usize, push: Push) {
        if push.displacement_mm.abs() > 0.3 {
            let finding = self.finding(i);
            finding.mass_effect_mm = finding.mass_effect_mm.max(push.displacement_mm);
            self.plan.pushes.push(push);
        }
    }

    /// Paints a blob of a material for a finding, above what is there.
    pub(super) fn dab(&mut self, i: usize, blob: Blob, gate: Gate, material: &str) {
        let brush = Brush {
            shape: Shape::Blob(blob),
            gate,
            planes: Vec::new(),
            material: self.material(material),
            opacity: 1.0,
            finding: Some(i),
        };
        self.plan.over.push(brush);
    }

    /// Paints a shape of a material that is no part of the mask.
    pub(super) fn extra(&mut self, shape: Shape, gate: Gate, material: &str, opacity: f32) {
        let material = self.material(material);
        let brush = Brush { shape, gate, planes: Vec::new(), material, opacity, finding: None };
        self.plan.over.push(brush);
    }

    /// A lesion with all its parts, its oedema and its mass effect; its longest diameter given.
    pub(super) fn body(&mut self, i: usize, variant: &Variant, at: Seat<'_>) {
        let entry = self.entry(self.plan.findings[i].diagnosis);
        let long = at.size_mm * 0.5;
        let short = long / uniform(self.rng, entry.elongation);
        let radii = [long, uniform(self.rng, [short, long]), short];
        let axes = frame(at.along.unwrap_or_else(|| direction(self.rng)));
        self.measure(i, [radii[0] * 2.0, radii[1] * 2.0, radii[2] * 2.0]);
        let oedema_mm = uniform(self.rng, entry.oedema_mm) * (at.size_mm / 24.0).clamp(0.35, 1.15);
        if oedema_mm > 1.5 {
            let blob = Blob {
                centre: at.centre,
                radii_mm: radii.map(|r| r + oedema_mm),
                axes,
                rough: 0.4,
                seed: self.rng.random(),
                grain_mm: (0.9 * radii[2]).max(3.0),
                edge_mm: 5.0,
                holes: None,
            };
            let brush = Brush {
                shape: Shape::Blob(blob),
                gate: Gate::White,
                planes: at.planes.to_vec(),
                material: self.material("oedema"),
                opacity: uniform(self.rng, [0.8, 1.0]),
                finding: None,
            };
            self.oedema.push((self.plan.under.len(), i));
            self.plan.under.push(brush);
            let finding = self.finding(i);
            finding.oedema = finding.oedema.max(grade(oedema_mm / 24.0, [0.25, 0.6]));
        }
        // One surface for all concentric parts: a rim is nowhere torn by its core.
        let seed = self.rng.random();
        for part in &variant.parts {
            if chance(self.rng, part.chance) {
                let brush = self.part(i, part, entry, at, (radii, axes, seed));
                self.plan.over.push(brush);
            }
        }
        let part_of_radius = uniform(self.rng, entry.push);
        let mean = (radii[0] + radii[1] + radii[2]) / 3.0;
        let swelling = if oedema_mm > 3.0 { 0.1 * oedema_mm } else { 0.0 };
        self.push(
            i,
            Push {
                centre_mm: at.centre,
                radius_mm: mean,
                displacement_mm: part_of_radius.mul_add(mean, swelling),
                reach_mm: 17.0 + 0.8 * mean,
                direction: at.push_along,
            },
        );
        let [low, high] = entry.ventricles;
        if high > 1.0 {
            let range = entry.size_mm[1] - entry.size_mm[0];
            let t = ((at.size_mm - entry.size_mm[0]) / range.max(0.1)).clamp(0.0, 1.0);
            let factor = low + (high - low) * t.powf(0.6) * uniform(self.rng, [0.45, 1.0]);
            self.plan.ventricles = self.plan.ventricles.max(factor);
        }
    }

    fn part(
        &mut self,
        i: usize,
        part: &Part,
        entry: &Entry,
        at: Seat<'_>,
        (radii, axes, seed): (Vec3, [Vec3; 3], u32),
    ) -> Brush {
        let centre = add(at.centre, direction(self.rng), part.shift * radii[2]);
        let blob = Blob {
            centre,
            radii_mm: radii.map(|r| r * part.scale + part.add_mm),
            axes,
            rough: part.rough.unwrap_or(entry.rough),
            seed: if part.shift > 0.0 { self.rng.random() } else { seed },
            grain_mm: (0.9 * radii[2]).max(2.0),
            edge_mm: part.edge_mm,
            holes: part.holes,
        };
        Brush {
            shape: Shape::Blob(blob),
            gate: part.gate,
            planes: at.planes.to_vec(),
            material: self.material(&part.material),
            opacity: part.opacity,
            finding: Some(i),
        }
    }
}

/// Where a lesion sits.
#[derive(Clone, Copy)]
pub(super) struct Seat<'a> {
    pub(super) centre: Vec3,
    pub(super) size_mm: f32,
    /// Direction of its longest axis.
    pub(super) along: Option<Vec3>,
    /// Direction in which it displaces, where that is one.
    pub(super) push_along: Option<Vec3>,
    /// What it may not cross.
    pub(super) planes: &'a [Plane],
}

impl Seat<'_> {
    pub(super) fn at(centre: Vec3, size_mm: f32) -> Self {
        Self { centre, size_mm, along: None, push_along: None, planes: &[] }
    }
}

/// Side of a position; none near the midline.
pub(super) fn side_of(position: Vec3) -> Option<Side> {
    match position[0] {
        x if x > 4.0 => Some(Side::Left),
        x if x < -4.0 => Some(Side::Right),
        _ => None,
    }
}

/// `1` for left, `-1` for right.
pub(super) fn sign(side: Side) -> f32 {
    if side == Side::Right { -1.0 } else { 1.0 }
}

/// A severity from a number and the lower ends of moderate and severe.
pub(super) fn grade(value: f32, [moderate, severe]: [f32; 2]) -> Severity {
    match value {
        v if v >= severe => Severity::Severe,
        v if v >= moderate => Severity::Moderate,
        _ => Severity::Mild,
    }
}

/// A direction at right angles to another.
pub(super) fn sideways(rng: &mut ChaCha8Rng, along: Vec3) -> Vec3 {
    unit(cross(along, direction(rng)))
}
