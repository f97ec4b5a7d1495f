//! Infarcts of large vessels, moyamoya, arteriovenous malformations; blood outside the brain.

use rand::Rng as _;

use super::{
    brush::{Blob, Brush, Gate, Plane, Shape},
    finding::{Detail, Side, Stage},
    lesions::tentorium,
    noise::{chance, direction, pick, uniform},
    plan::{Planner, Wish, grade, side_of, sign},
    vector::{Vec3, add, cross, length, sub, unit},
};
use crate::simulate::{anatomy::Region, head::Push};

/// Territory of an artery: words, detail, centre on the left, relative radii.
struct Territory {
    words: &'static str,
    detail: Detail,
    centre: Vec3,
    radii: Vec3,
    weight: f32,
}

const TERRITORIES: [Territory; 6] = [
    Territory {
        words: "middle cerebral artery territory, superior division",
        detail: Detail::MiddleCerebralTerritory,
        centre: [50.0, -12.0, 24.0],
        radii: [0.75, 1.0, 0.75],
        weight: 3.0,
    },
    Territory {
        words: "middle cerebral artery territory, inferior division",
        detail: Detail::MiddleCerebralTerritory,
        centre: [52.0, 32.0, 8.0],
        radii: [0.7, 1.0, 0.75],
        weight: 3.0,
    },
    Territory {
        words: "middle cerebral artery territory",
        detail: Detail::MiddleCerebralTerritory,
        centre: [42.0, 6.0, 14.0],
        radii: [0.9, 1.1, 0.95],
        weight: 2.0,
    },
    Territory {
        words: "anterior cerebral artery territory",
        detail: Detail::AnteriorCerebralTerritory,
        centre: [4.0, -30.0, 34.0],
        radii: [0.45, 1.1, 0.8],
        weight: 1.0,
    },
    Territory {
        words: "posterior cerebral artery territory",
        detail: Detail::PosteriorCerebralTerritory,
        centre: [16.0, 70.0, 4.0],
        radii: [0.6, 0.9, 0.6],
        weight: 2.0,
    },
    Territory {
        words: "posterior inferior cerebellar artery territory",
        detail: Detail::CerebellarTerritory,
        centre: [24.0, 68.0, -46.0],
        radii: [0.65, 0.7, 0.45],
        weight: 1.2,
    },
];

/// Borders of a territory with its neighbours.
fn borders(detail: Detail, side: Side) -> Vec<Plane> {
    let s = sign(side);
    let ragged = |normal: Vec3, offset: f32| Plane { normal, offset, soft_mm: 5.0 };
    let mut planes = vec![Plane::side(side == Side::Left)];
    match detail {
        Detail::MiddleCerebralTerritory => {
            planes.push(ragged([0.9 * s, 0.0, 0.25], 20.0));
            planes.push(ragged([0.3 * s, 0.0, -0.95], -52.0));
            planes.push(ragged([0.4 * s, -0.9, 0.0], -52.0));
            planes.push(tentorium(true));
        }
        Detail::AnteriorCerebralTerritory => planes.push(ragged([-s, 0.0, 0.0], -22.0)),
        Detail::PosteriorCerebralTerritory => {
            planes.push(ragged([-s, 0.0, 0.0], -40.0));
            planes.push(ragged([0.0, 0.0, -1.0], -30.0));
            planes.push(tentorium(true));
        }
        _ => planes.push(ragged([0.0, 0.0, -1.0], 28.0)),
    }
    planes
}

impl Planner<'_> {
    /// Infarct of an arterial territory.
    pub(super) fn large_vessel(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let t = &TERRITORIES[pick(self.rng, TERRITORIES.iter().map(|t| t.weight))];
        let side = self.side();
        let size_mm = self.size(wish);
        let jitter = direction(self.rng);
        let site = [t.centre[0] * sign(side), t.centre[1], t.centre[2]];
        let centre = add(site, jitter, 0.08 * size_mm);
        let seed = self.rng.random();
        let planes = borders(t.detail, side);
        for part in &variant.parts {
            let blob = Blob {
                radii_mm: t.radii.map(|r| r * 0.5 * size_mm * part.scale + part.add_mm),
                rough: 0.28,
                edge_mm: 2.5,
                holes: part.holes,
                ..Blob::ball(centre, 0.0, seed)
            };
            let material = self.material(&part.material);
            let bleeds = part.material.starts_with("blood");
            if bleeds && chance(self.rng, 0.6) {
                continue;
            }
            if bleeds {
                self.detail(i, Detail::HaemorrhagicTransformation);
                self.finding(i).blooming = true;
            }
            self.plan.over.push(Brush {
                shape: Shape::Blob(blob),
                gate: part.gate,
                planes: planes.clone(),
                material,
                opacity: part.opacity,
                finding: Some(i),
            });
        }
        self.measure(i, t.radii.map(|r| r * size_mm));
        self.finding(i).size_mm.sort_by(|a, b| b.total_cmp(a));
        self.locate(i, t.words, Some(side));
        self.detail(i, t.detail);
        let old = variant.stage == Stage::Chronic;
        let swelling = if old { -0.035 } else { uniform(self.rng, [0.02, 0.13]) };
        let push = Push {
            centre_mm: centre,
            radius_mm: size_mm * 0.32,
            displacement_mm: swelling * size_mm,
            reach_mm: 22.0,
            direction: None,
        };
        self.push(i, push);
    }

    /// Narrow carotid ends and collaterals in the basal ganglia.
    pub(super) fn moyamoya(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let both = chance(self.rng, 0.75);
        let first = self.side();
        let sides = match (both, first) {
            (true, _) => vec![Side::Left, Side::Right],
            (false, side) => vec![side],
        };
        for &side in &sides {
            let s = sign(side);
            let reach = self.size(wish);
            let blob = Blob {
                radii_mm: [reach * 0.75, reach * 0.4, reach * 0.45],
                ..Blob::ball([s * 24.0, -4.0, -14.0], reach, self.rng.random())
            };
            self.dab(i, blob, Gate::Artery, "fluid");
            if let Some(brush) = self.plan.over.last_mut() {
                brush.opacity = 0.85;
                brush.planes = vec![Plane::side(side == Side::Left)];
            }
            let twigs = self.rng.random_range(9..18);
            for _ in 0..twigs {
                let region = [Region::Putamen, Region::Pallidum, Region::Thalamus, Region::Caudate]
                    [pick(self.rng, [3.0, 3.0, 1.5, 1.0].into_iter())];
                let top = self.place(region, Some(side), 0.0);
                let foot = [s * uniform(self.rng, [10.0, 26.0]), top[1] - 3.0, -13.0];
                let path = self.winding(foot, top, 3.0);
                let radius_mm = uniform(self.rng, [0.6, 1.0]);
                let material = self.material("void");
                self.plan.over.push(Brush {
                    shape: Shape::Tube { path, radius_mm },
                    gate: Gate::Intracranial,
                    planes: Vec::new(),
                    material,
                    opacity: 1.0,
                    finding: Some(i),
                });
            }
            self.measure(i, [reach, 0.0, 0.0]);
        }
        self.finding(i).size_mm = [0.0; 3];
        let side = if both { Side::Bilateral } else { first };
        self.locate(i, "distal internal carotid and middle cerebral arteries", Some(side));
    }

    /// A path from one point to another with random bends.
    fn winding(&mut self, from: Vec3, to: Vec3, bend_mm: f32) -> Vec<Vec3> {
        let along = sub(to, from);
        let mut path = vec![from];
        for step in [0.2_f32, 0.4, 0.6, 0.8] {
            let bend = direction(self.rng);
            path.push(add(add(from, along, step), bend, bend_mm));
        }
        path.push(to);
        path
    }

    /// A nest of flow voids with a draining vein.
    pub(super) fn malformation(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let region = self.region(wish.label);
        let side = self.side();
        let size_mm = self.size(wish);
        let r = size_mm * 0.5;
        let centre = self.place(region, Some(side), 4.0);
        self.locate(i, region.name(), side_of(centre));
        let back =
            Blob { rough: 0.3, edge_mm: 2.5, ..Blob::ball(centre, r * 0.95, self.rng.random()) };
        self.dab(i, back, Gate::Brain, "gliosis");
        let loops = 12.0 + size_mm * 0.8;
        for _ in 0..super::lesions::whole(loops) {
            let mut path = Vec::new();
            let mut p = add(centre, direction(self.rng), r * uniform(self.rng, [0.1, 0.9]));
            let mut heading = direction(self.rng);
            for _ in 0..7 {
                path.push(p);
                let turn = direction(self.rng);
                heading = unit(add(heading, turn, 0.9));
                p = add(p, heading, r * 0.3);
                let out = sub(p, centre);
                if length(out) > r {
                    p = add(centre, unit(out), r);
                }
            }
            let vein = chance(self.rng, 0.3);
            let material = self.material(if vein { "slow_vein" } else { "void" });
            let radius_mm = uniform(self.rng, [0.8, 1.5]) * (size_mm / 30.0).clamp(0.8, 1.3);
            self.plan.over.push(Brush {
                shape: Shape::Tube { path, radius_mm },
                gate: Gate::Intracranial,
                planes: Vec::new(),
                material,
                opacity: 1.0,
                finding: Some(i),
            });
        }
        let towards = sub(centre, [0.0, 18.0, 12.0]);
        let wall = self.inner_table(towards);
        for (end, name, radius) in [
            (add(wall, [0.0, 8.0, 6.0], 1.0), "slow_vein", uniform(self.rng, [1.8, 3.0])),
            ([sign(side) * 34.0, 0.0, -12.0], "void", uniform(self.rng, [1.3, 2.0])),
        ] {
            let path = self.winding(centre, end, 5.0);
            let shape = Shape::Tube { path, radius_mm: radius };
            self.extra(shape, Gate::Intracranial, name, 1.0);
        }
        self.measure(i, [size_mm, size_mm * 0.9, size_mm * 0.8]);
        let push = Push {
            centre_mm: centre,
            radius_mm: r,
            displacement_mm: uniform(self.rng, [0.0, 0.06]) * r,
            reach_mm: 15.0,
            direction: None,
        };
        self.push(i, push);
    }

    /// Crescent of blood below the dura.
    pub(super) fn subdural(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let both = chance(self.rng, 0.13) && wish.least < 0.1;
        let first = self.side();
        let sides = if both { vec![Side::Left, Side::Right] } else { vec![first] };
        for &side in &sides {
            let s = sign(side);
            let thickness_mm = self.size(wish);
            let back = uniform(self.rng, [-0.35, 0.35]);
            let towards = [s, back, uniform(self.rng, [0.0, 0.55])];
            let wall = self.inner_table(towards);
            let spread_mm = uniform(self.rng, [48.0, 74.0]);
            let seed = self.rng.random();
            for (k, part) in variant.parts.iter().enumerate() {
                let mut planes = vec![Plane::side(side == Side::Left), tentorium(wall[1] > 0.0)];
                planes[1] = Plane { normal: [0.0, 0.0, 1.0], offset: -22.0, soft_mm: 4.0 };
                if k > 0 {
                    // Cells settle at the back.
                    let offset = wall[1] + uniform(self.rng, [0.0, 25.0]);
                    planes.push(Plane { normal: [0.0, 1.0, 0.0], offset, soft_mm: 1.5 });
                }
                let material = self.material(&part.material);
                self.plan.over.push(Brush {
                    shape: Shape::Sheet { centre: wall, thickness_mm, spread_mm, seed },
                    gate: Gate::Any,
                    planes,
                    material,
                    opacity: 1.0,
                    finding: Some(i),
                });
            }
            self.measure(i, [thickness_mm, 0.0, 0.0]);
            let push = Push {
                centre_mm: wall,
                radius_mm: 12.0,
                displacement_mm: 0.95 * thickness_mm,
                reach_mm: 44.0,
                direction: Some(unit([-s, -0.3 * back, -0.15])),
            };
            self.push(i, push);
        }
        self.finding(i).count = if both { 2 } else { 1 };
        let side = if both { Side::Bilateral } else { first };
        self.locate(i, "cerebral convexity", Some(side));
    }

    /// Blood between arachnoid and pia.
    pub(super) fn subarachnoid(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let reach = self.size(wish) * 0.5;
        let cisternal = variant.details.contains(&Detail::Cisternal);
        let side = self.side();
        let (centre, radii) = if cisternal {
            self.locate(i, "basal cisterns", None);
            self.locate(i, "Sylvian fissure", Some(side));
            let middle = self.middle(Region::Suprasellar, None);
            (add(middle, [4.0 * sign(side), 10.0, 2.0], 1.0), [reach, reach * 0.85, reach * 0.55])
        } else {
            let towards =
                [sign(side), uniform(self.rng, [-0.8, 0.7]), uniform(self.rng, [0.0, 1.0])];
            let wall = self.inner_table(towards);
            let words = if towards[1] < -0.2 { "frontal sulci" } else { "parietal sulci" };
            self.locate(i, words, Some(side));
            (wall, [reach; 3])
        };
        let blob = Blob {
            radii_mm: radii,
            rough: 0.3,
            edge_mm: 10.0,
            ..Blob::ball(centre, reach, self.rng.random())
        };
        self.dab(i, blob, Gate::Subarachnoid, "blood_cisternal");
        self.measure(i, [reach * 2.0, 0.0, 0.0]);
        self.finding(i).size_mm = [0.0; 3];
        let enlarged = uniform(self.rng, self.entry(wish.label).ventricles);
        if cisternal {
            self.plan.ventricles = self.plan.ventricles.max(enlarged);
        }
    }

    /// Blood in the ventricles: a level at the back, or a cast.
    pub(super) fn intraventricular(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let height_mm = self.size(wish);
        let material = variant.parts.first().map_or("blood_acute", |p| p.material.as_str());
        let both = chance(self.rng, 0.65);
        let first = self.side();
        for side in [Side::Left, Side::Right] {
            if !both && side != first {
                continue;
            }
            let mut back = f32::MIN;
            for _ in 0..48 {
                back = back.max(self.place(Region::LateralVentricle, Some(side), 0.0)[1]);
            }
            let blob = Blob { rough: 0.0, ..Blob::ball([sign(side) * 25.0, back, 5.0], 75.0, 0) };
            self.dab(i, blob, Gate::Ventricle, material);
            let offset = back - height_mm;
            if let Some(brush) = self.plan.over.last_mut() {
                brush.planes = vec![
                    Plane::side(side == Side::Left),
                    Plane { normal: [0.0, 1.0, 0.0], offset, soft_mm: 1.2 },
                ];
            }
        }
        if chance(self.rng, 0.45) {
            for region in [Region::ThirdVentricle, Region::FourthVentricle] {
                if chance(self.rng, 0.6) {
                    let centre = self.middle(region, None);
                    let ball = Blob { rough: 0.5, ..Blob::ball(centre, 11.0, self.rng.random()) };
                    self.dab(i, ball, Gate::Ventricle, material);
                    self.locate(i, region.name(), None);
                }
            }
        }
        if chance(self.rng, 0.4) {
            // A clot in one ventricle besides the level.
            let centre = self.place(Region::LateralVentricle, Some(first), 1.0);
            let r = uniform(self.rng, [8.0, 18.0]);
            let clot = Blob { rough: 0.45, ..Blob::ball(centre, r, self.rng.random()) };
            self.dab(i, clot, Gate::Ventricle, material);
        }
        let side = if both { Side::Bilateral } else { first };
        let place = super::finding::Place { words: "lateral ventricle", side: Some(side) };
        self.finding(i).places.insert(0, place);
        self.measure(i, [height_mm, 0.0, 0.0]);
        self.finding(i).size_mm = [0.0; 3];
        self.finding(i).severity = grade(height_mm, [9.0, 17.0]);
        let enlarged = uniform(self.rng, self.entry(wish.label).ventricles);
        self.plan.ventricles = self.plan.ventricles.max(enlarged);
    }

    /// A vein that collects thin veins of the white matter.
    pub(super) fn venous_anomaly(&mut self, side: Side) {
        let head = self.place(Region::Frontal, Some(side), 6.0);
        let wall = self.inner_table(sub(head, [0.0, 18.0, 12.0]));
        let axis = unit(sub(wall, head));
        self.extra(
            Shape::Tube { path: vec![head, wall], radius_mm: 1.0 },
            Gate::Intracranial,
            "slow_vein",
            1.0,
        );
        for _ in 0..5 {
            let out = unit(add(cross(axis, direction(self.rng)), axis, -0.7));
            let end = add(head, out, uniform(self.rng, [8.0, 14.0]));
            let shape = Shape::Tube { path: vec![head, end], radius_mm: 0.5 };
            self.extra(shape, Gate::Intracranial, "slow_vein", 0.9);
        }
    }
}
