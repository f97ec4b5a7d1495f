//! Lesions that are bodies: in the brain, on the dura, at the skull base.

use models::labels::DIAGNOSES;
use rand::Rng as _;

use super::{
    brush::{Blob, Brush, Gate, Plane, Shape},
    finding::{Detail, Severity, Side},
    noise::{chance, direction, pick, uniform},
    plan::{Planner, Seat, Wish, side_of, sign},
    table::Variant,
    vector::{Vec3, add, length, sub, unit},
};
use crate::simulate::{
    anatomy::{Change, Region},
    head::Push,
};

/// Regions without a left and a right.
const MIDLINE: [Region; 12] = [
    Region::CorpusCallosum,
    Region::ThirdVentricle,
    Region::Aqueduct,
    Region::FourthVentricle,
    Region::ForamenOfMonro,
    Region::Midbrain,
    Region::Medulla,
    Region::CervicalCord,
    Region::Vermis,
    Region::Sella,
    Region::Suprasellar,
    Region::Pineal,
];
/// Regions of a hemisphere, whose lesions do not cross to the other one.
const HEMISPHERE: [Region; 14] = [
    Region::Frontal,
    Region::Parietal,
    Region::Temporal,
    Region::Occipital,
    Region::Insula,
    Region::Cingulate,
    Region::DeepWhite,
    Region::PeriventricularWhite,
    Region::Caudate,
    Region::Putamen,
    Region::Pallidum,
    Region::Thalamus,
    Region::InternalCapsule,
    Region::Hippocampus,
];

/// A plane that keeps lesions of a hemisphere above the tentorium or below it.
pub(super) fn tentorium(above: bool) -> Plane {
    let up = if above { 1.0 } else { -1.0 };
    Plane { normal: [0.0, 0.24 * up, 0.97 * up], offset: 2.0 * up - 2.0, soft_mm: 1.5 }
}

impl Planner<'_> {
    /// One or more bodies inside regions.
    pub(super) fn bodies(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let entry = self.entry(wish.label);
        let [fewest, most] = entry.count;
        let count = if most > fewest {
            // Few are more frequent than many.
            let spread = (most - fewest + 1) as f32;
            fewest + whole(spread * uniform(self.rng, [0.0, 0.999]).powi(2))
        } else {
            fewest
        };
        self.finding(i).count = count;
        for k in 0..count {
            let region = self.region(wish.label);
            let first = k == 0;
            let mut size = self.size(Wish { least: if first { wish.least } else { 0.0 }, ..wish });
            if !first {
                size = size.min(self.plan.findings[i].size_mm[0] * 0.9).max(entry.size_mm[0]);
            }
            self.seat_in(i, region, size, variant);
        }
    }

    /// A body inside one region, with the place named.
    pub(super) fn seat_in(&mut self, i: usize, region: Region, size_mm: f32, variant: &Variant) {
        let side = self.side();
        let centre = self.place(region, Some(side), (size_mm * 0.3).clamp(2.0, 9.0));
        let mut planes = Vec::new();
        if HEMISPHERE.contains(&region) {
            planes.push(Plane::side(side == Side::Left));
            if centre[1] > 25.0 && centre[2] < 25.0 && region != Region::Thalamus {
                planes.push(tentorium(true));
            }
        } else if matches!(region, Region::CerebellarHemisphere | Region::Vermis) {
            planes.push(tentorium(false));
        }
        let word_side = if MIDLINE.contains(&region) { None } else { side_of(centre) };
        self.locate(i, region.name(), word_side);
        let along = (region == Region::CorpusCallosum).then_some([1.0, 0.0, 0.0]);
        if region == Region::CorpusCallosum && size_mm > 25.0 {
            self.detail(i, Detail::CallosalExtension);
        }
        self.body(i, variant, Seat { along, planes: &planes, ..Seat::at(centre, size_mm) });
    }

    /// A body on the dura.
    pub(super) fn dural(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let region = self.region(wish.label);
        let side = self.side();
        let size_mm = self.size(wish);
        let target = self.place(region, Some(side), 0.0);
        let towards = unit(sub(target, [0.0, 18.0, 12.0]));
        let wall = self.inner_table(towards);
        // A third of the body would lie in the bone: a broad base.
        let centre = add(wall, towards, -0.27 * size_mm);
        let arachnoid = DIAGNOSES[wish.label] == "cyst_arachnoid_cyst";
        let words = match (region, arachnoid) {
            (Region::Temporal, _) => "middle cranial fossa",
            (Region::CerebellarHemisphere, _) => "posterior fossa",
            (Region::Frontal, false) => "frontal convexity",
            (Region::Parietal, false) => "parietal convexity",
            (Region::Occipital, false) => "occipital convexity",
            (Region::Frontal, true) => "frontal convexity",
            _ => "cerebral convexity",
        };
        self.locate(i, words, side_of(centre));
        let mut planes = vec![Plane::side(side == Side::Left)];
        if region == Region::CerebellarHemisphere {
            planes = vec![tentorium(false)];
        } else if centre[1] > 25.0 {
            planes.push(tentorium(true));
        }
        if self.plan.findings[i].details.contains(&Detail::DuralTail) {
            let shape = Shape::Sheet {
                centre: wall,
                thickness_mm: uniform(self.rng, [1.6, 2.6]),
                spread_mm: size_mm * uniform(self.rng, [0.75, 1.0]),
                seed: self.rng.random(),
            };
            self.extra(shape, Gate::Intracranial, "dura", 0.9);
        }
        let inward = towards.map(|v| -v);
        let seat = Seat { centre, size_mm, along: None, push_along: Some(inward), planes: &planes };
        self.body(i, variant, seat);
        if arachnoid && size_mm > 25.0 {
            self.detail(i, Detail::BoneRemodelling);
        }
    }

    /// A body centred on a small structure.
    pub(super) fn fixed(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let region = self.region(wish.label);
        let size_mm = self.size(wish);
        let mut centre = self.middle(region, None);
        let jitter = direction(self.rng);
        centre = add(centre, jitter, uniform(self.rng, [0.0, (size_mm * 0.06).min(2.5)]));
        let r = size_mm * 0.5;
        let mut along = None;
        let name = DIAGNOSES[wish.label];
        match region {
            Region::Sella if !name.contains("rathkes") => {
                // Grows upwards out of the sella.
                centre[2] += 0.55 * (r - 6.0).max(0.0);
                if size_mm > 14.0 {
                    let mm = (0.3 * (r - 6.0)).min(4.0);
                    self.plan.changes.push(Change::EnlargedSella { mm, empty: false });
                }
                centre[0] += uniform(self.rng, [-0.15, 0.15]) * size_mm;
                along = Some([0.0, 0.0, 1.0]);
                let details = &mut self.finding(i).details;
                if size_mm < 16.0 {
                    details.clear();
                } else if size_mm > 26.0 {
                    details.push(Detail::CavernousInvasion);
                }
                if size_mm < 10.0 {
                    self.finding(i).enhancement = super::finding::Enhancement::Reduced;
                }
            }
            Region::Suprasellar => centre[2] += 0.25 * (r - 8.0).max(0.0),
            Region::FourthVentricle => along = Some([0.0, 0.25, -1.0]),
            Region::Pineal => centre[1] += 0.2 * (r - 6.0).max(0.0),
            _ => {}
        }
        self.locate(i, region.name(), None);
        let mut planes = Vec::new();
        if matches!(region, Region::Vermis | Region::FourthVentricle) {
            planes.push(tentorium(false));
        }
        self.body(i, variant, Seat { along, planes: &planes, ..Seat::at(centre, size_mm) });
        if name == "tumor_pediatric_ependymoma" {
            self.foraminal_tongue(i, centre, r, variant);
        }
    }

    /// Tongue of an ependymoma through the outlets towards the cisterna magna.
    fn foraminal_tongue(&mut self, i: usize, centre: Vec3, r: f32, variant: &Variant) {
        let cistern = self.middle(Region::CisternaMagna, None);
        let lateral = uniform(self.rng, [-10.0, 10.0]);
        let end = add(cistern, [lateral, -4.0, 2.0], 1.0);
        if let Some(part) = variant.parts.first() {
            let material = self.material(&part.material);
            self.plan.over.push(Brush {
                shape: Shape::Tube {
                    path: vec![centre, add(centre, sub(end, centre), 0.6), end],
                    radius_mm: (r * 0.32).clamp(3.0, 7.0),
                },
                gate: Gate::Intracranial,
                planes: Vec::new(),
                material,
                opacity: 1.0,
                finding: Some(i),
            });
        }
    }

    /// Vestibular schwannoma: canal and cistern.
    pub(super) fn schwannoma(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let side = self.side();
        let size_mm = self.size(wish);
        let cistern = self.middle(Region::CerebellopontineAngle, Some(side));
        let canal = self.middle(Region::InternalAuditoryCanal, Some(side));
        let medial = unit(sub(cistern, canal));
        let centre = add(canal, medial, 6.0 + size_mm * 0.35);
        self.locate(i, "cerebellopontine angle", Some(side));
        let planes = [tentorium(false)];
        let seat = Seat { push_along: Some(medial), planes: &planes, ..Seat::at(centre, size_mm) };
        self.body(i, variant, seat);
        let material = self.material("schwann");
        self.plan.over.push(Brush {
            shape: Shape::Tube {
                path: vec![add(canal, medial, -3.0), centre],
                radius_mm: uniform(self.rng, [2.4, 3.6]),
            },
            gate: Gate::Any,
            planes: Vec::new(),
            material,
            opacity: 1.0,
            finding: Some(i),
        });
        if size_mm < 12.0 {
            self.locate(i, "internal auditory canal", Some(side));
        }
    }

    /// Nodules of grey matter along the ventricles.
    pub(super) fn heterotopia(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let [fewest, most] = self.entry(wish.label).count;
        let count = self.rng.random_range(fewest..=most);
        let both = chance(self.rng, 0.5);
        let first = self.side();
        for k in 0..count {
            let other = both && k % 2 == 1;
            let left = (first == Side::Left) != other;
            let side = if left { Side::Left } else { Side::Right };
            let inside = self.place(Region::LateralVentricle, Some(side), 1.0);
            let out =
                unit([sign(side), uniform(self.rng, [-0.3, 0.5]), uniform(self.rng, [-0.2, 0.6])]);
            let size_mm = self.size(wish);
            let wall = self.ventricle_wall(inside, out);
            let along = super::plan::sideways(self.rng, out);
            let centre = add(wall, out, size_mm * 0.18);
            self.body(i, variant, Seat { along: Some(along), ..Seat::at(centre, size_mm) });
        }
        self.finding(i).count = count;
        let side = if both { Side::Bilateral } else { first };
        self.locate(i, "lateral ventricle", Some(side));
        let severity = super::plan::grade(count as f32, [5.0, 9.0]);
        self.finding(i).severity = severity;
    }

    /// First point along a ray that is no longer fluid.
    pub(super) fn ventricle_wall(&self, inside: Vec3, out: Vec3) -> Vec3 {
        let csf = crate::simulate::head::Tissue::Csf as usize;
        (0_u8..30)
            .map(|step| add(inside, out, f32::from(step)))
            .find(|&p| self.atlas.fractions(p)[csf] < 0.5)
            .unwrap_or(inside)
    }

    /// Sac of an aneurysm on the circle of Willis.
    pub(super) fn aneurysm(&mut self, wish: Wish) {
        /// Name, whether paired, position on the left, direction in which it points.
        const SITES: [(&str, bool, Vec3, Vec3, f32); 5] = [
            ("anterior communicating artery", false, [0.0, -6.0, -13.0], [0.0, -0.8, 0.6], 3.0),
            ("middle cerebral artery bifurcation", true, [36.0, -2.0, -14.0], [0.8, 0.0, 0.4], 3.0),
            ("posterior communicating artery", true, [13.0, 4.0, -18.0], [0.4, 0.9, -0.2], 3.0),
            ("internal carotid artery terminus", true, [13.0, -3.0, -14.0], [0.1, 0.0, 1.0], 1.5),
            ("basilar tip", false, [0.0, 16.0, -20.0], [0.0, 0.2, 1.0], 1.5),
        ];
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let (words, paired, site, points, _) = SITES[pick(self.rng, SITES.iter().map(|s| s.4))];
        let side = if paired { Some(self.side()) } else { None };
        let flip = |p: Vec3| if side == Some(Side::Right) { [-p[0], p[1], p[2]] } else { p };
        let neck = self.artery_near(flip(site));
        let size_mm = self.size(wish);
        let tilt = direction(self.rng);
        let out = unit(add(unit(flip(points)), tilt, 0.5));
        let centre = add(neck, out, size_mm * 0.42);
        self.body(i, variant, Seat { along: Some(out), ..Seat::at(centre, size_mm) });
        self.locate(i, words, side);
    }

    /// The artery nearest to a position, or the position.
    fn artery_near(&self, near: Vec3) -> Vec3 {
        let artery = crate::simulate::head::Tissue::Artery as usize;
        let mut best = (near, 1e9);
        for n in 0_i16..13 * 13 * 13 {
            let offset = [n % 13 - 6, n / 13 % 13 - 6, n / 169 - 6].map(|v| f32::from(v) * 1.5);
            let p = add(near, offset, 1.0);
            let d = length(offset);
            if d < best.1 && self.atlas.fractions(p)[artery] > 0.3 {
                best = (p, d);
            }
        }
        best.0
    }

    /// Contused brain at the poles and undersides.
    pub(super) fn contusion(&mut self, wish: Wish) {
        const SITES: [(&str, Vec3, f32); 5] = [
            ("inferior frontal lobe", [20.0, -52.0, -14.0], 3.0),
            ("frontal pole", [22.0, -64.0, 4.0], 2.0),
            ("temporal pole", [42.0, -12.0, -32.0], 3.0),
            ("inferior temporal lobe", [54.0, 22.0, -24.0], 2.0),
            ("parietal lobe", [50.0, 45.0, 45.0], 0.6),
        ];
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let [fewest, most] = self.entry(wish.label).count;
        let count = self.rng.random_range(fewest..=most);
        let first = self.side();
        for k in 0..count {
            let (words, site, _) = SITES[pick(self.rng, SITES.iter().map(|s| s.2))];
            let left = (first == Side::Left) != chance(self.rng, 0.3);
            let side = if left { Side::Left } else { Side::Right };
            let jitter = direction(self.rng);
            let centre = add([site[0] * sign(side), site[1], site[2]], jitter, 6.0);
            let size_mm = self.size(Wish { least: if k == 0 { wish.least } else { 0.0 }, ..wish });
            let planes = [Plane::side(left)];
            self.body(i, variant, Seat { planes: &planes, ..Seat::at(centre, size_mm) });
            self.locate(i, words, Some(side));
        }
        self.finding(i).count = count;
    }

    /// Swollen limbic cortex.
    pub(super) fn encephalitis(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let side = self.side();
        let both = chance(self.rng, 0.35);
        let extent = self.size(wish);
        let sites = [
            (Region::Hippocampus, 1.0, 0.40),
            (Region::Temporal, 0.8, 0.36),
            (Region::Insula, 0.75, 0.36),
            (Region::Cingulate, 0.35, 0.26),
            (Region::Frontal, 0.2, 0.22),
        ];
        let sides = [side, if side == Side::Left { Side::Right } else { Side::Left }];
        for (k, &side) in sides.iter().take(if both { 2 } else { 1 }).enumerate() {
            for (region, probability, part) in sites {
                let weaker = if k == 0 { 1.0 } else { 0.55 };
                if chance(self.rng, probability * weaker) {
                    let mut centre = self.place(region, Some(side), 1.0);
                    if region == Region::Temporal {
                        centre = [sign(side) * 38.0, -2.0, -28.0];
                    }
                    let r = extent * part * uniform(self.rng, [0.8, 1.1]);
                    let blob = Blob {
                        radii_mm: [r * 0.75, r, r * 0.75],
                        rough: 0.45,
                        edge_mm: 5.0,
                        ..Blob::ball(centre, r, self.rng.random())
                    };
                    self.dab(i, blob, Gate::Brain, "encephalitic");
                    if let Some(brush) = self.plan.over.last_mut() {
                        brush.planes = vec![Plane::side(side == Side::Left)];
                        brush.opacity = 0.9;
                    }
                    self.locate(i, region.name(), Some(side));
                }
            }
        }
        self.measure(i, [extent, extent * 0.6, extent * 0.5]);
        self.finding(i).oedema = Severity::None;
        let centre = [sign(side) * 34.0, 0.0, -18.0];
        let push = Push {
            centre_mm: centre,
            radius_mm: 16.0,
            displacement_mm: uniform(self.rng, [0.5, 3.0]),
            reach_mm: 18.0,
            direction: None,
        };
        self.push(i, push);
    }
}

/// A small positive number without its fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of lesions, far below the limits"
)]
pub(super) fn whole(value: f32) -> u32 {
    value.max(0.0) as u32
}
