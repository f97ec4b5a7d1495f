//! Malformations, atrophy, displacement, and what surgeons leave.

use models::labels::DIAGNOSES;
use rand::Rng as _;

use super::{
    brush::{Blob, Brush, Gate, Plane, Shape},
    finding::{Detail, Incidental, IncidentalKind, Place, Severity, Side},
    noise::{chance, direction, pick, uniform},
    plan::{Planner, Seat, Wish, grade, sign},
    vector::{Vec3, add, frame, sub, unit},
};
use crate::simulate::{
    anatomy::{Change, Region},
    head::Push,
};

impl Planner<'_> {
    /// A malformation of the callosum or the posterior fossa.
    pub(super) fn malformed(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let size_mm = self.size(wish);
        let [low, high] = self.entry(wish.label).size_mm;
        let t = (size_mm - low) / (high - low);
        let callosum = DIAGNOSES[wish.label] == "developmental_dysgenesis_corpus_callosum";
        if callosum {
            let extent = 0.35 + 0.65 * t;
            self.plan.changes.push(Change::NoCallosum { extent });
            self.locate(i, "corpus callosum", None);
        } else {
            self.plan.changes.push(Change::DandyWalker { severity: 0.5 + 0.5 * t });
            self.locate(i, "posterior fossa", None);
        }
        self.finding(i).severity = grade(t, [0.2, 0.6]);
        let factor = uniform(self.rng, self.entry(wish.label).ventricles);
        self.plan.ventricles = self.plan.ventricles.max(factor);
    }

    /// Low tonsils.
    pub(super) fn chiari(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let mm = self.size(wish);
        self.plan.changes.push(Change::TonsilDescent { mm });
        self.measure(i, [mm, 0.0, 0.0]);
        self.locate(i, "cerebellar tonsils", None);
        let factor = uniform(self.rng, self.entry(wish.label).ventricles);
        self.plan.ventricles = self.plan.ventricles.max(factor);
    }

    /// A cavity in the cord.
    pub(super) fn syrinx(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let width_mm = self.size(wish);
        let mut cord: Vec<Vec3> =
            (0..64).map(|_| self.place(Region::CervicalCord, None, 1.0)).collect();
        cord.sort_by(|a, b| b[2].total_cmp(&a[2]));
        let path: Vec<Vec3> = cord
            .chunks_exact(8)
            .map(|c| c.iter().fold([0.0; 3], |sum, &p| add(sum, p, 0.125)))
            .collect();
        let skip = self.rng.random_range(0..3);
        let material = self.material("fluid");
        let length_mm = path.first().zip(path.last()).map_or(20.0, |(a, b)| a[2] - b[2]);
        self.plan.over.push(Brush {
            shape: Shape::Tube {
                path: path.into_iter().skip(skip).collect(),
                radius_mm: width_mm * 0.5,
            },
            gate: Gate::Cord,
            planes: Vec::new(),
            material,
            opacity: 1.0,
            finding: Some(i),
        });
        self.measure(i, [width_mm, width_mm, width_mm]);
        self.finding(i).size_mm = [length_mm.max(width_mm), width_mm, width_mm];
        self.locate(i, "upper cervical cord", None);
    }

    /// A sac of meninges outside of the skull.
    pub(super) fn cephalocele(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let size_mm = self.size(wish);
        let (words, towards) = [
            ("occipital midline", [0.0, 1.0, -0.12]),
            ("parietal midline", [0.0, 0.75, 0.75]),
            ("frontal midline", [0.0, -1.0, 0.1]),
        ][pick(self.rng, [5.0, 3.0, 1.5].into_iter())];
        let lean = [uniform(self.rng, [-0.06, 0.06]), 0.0, uniform(self.rng, [-0.06, 0.06])];
        let out = unit(add(towards, lean, 1.0));
        let wall = self.inner_table(out);
        let skin = self.surface(out);
        let r = size_mm * 0.5;
        let centre = add(skin, out, r * -0.05);
        let neck = uniform(self.rng, [3.5, 7.0]).min(r * 0.6);
        let sac = |planner: &mut Self, grow: f32| Blob {
            rough: 0.08,
            radii_mm: [r + grow, (r + grow) * 0.9, (r + grow) * 0.9],
            axes: frame(out),
            ..Blob::ball(centre, r, planner.rng.random())
        };
        let skin_sac = sac(self, 2.8);
        self.extra(Shape::Blob(skin_sac), Gate::Any, "soft_tissue", 1.0);
        let fluid = self.material("fluid");
        self.plan.over.push(Brush {
            shape: Shape::Tube { path: vec![add(wall, out, -3.0), centre], radius_mm: neck },
            gate: Gate::Any,
            planes: Vec::new(),
            material: fluid,
            opacity: 1.0,
            finding: Some(i),
        });
        let sac_blob = sac(self, 0.0);
        self.dab(i, sac_blob, Gate::Any, "fluid");
        if variant.details.contains(&Detail::BrainInSac) {
            let brain = Blob { rough: 0.35, ..sac(self, -r * 0.32) };
            self.dab(i, brain, Gate::Any, "grey");
            let grey = self.material("grey");
            self.plan.over.push(Brush {
                shape: Shape::Tube {
                    path: vec![add(wall, out, -6.0), centre],
                    radius_mm: neck * 0.6,
                },
                gate: Gate::Any,
                planes: Vec::new(),
                material: grey,
                opacity: 1.0,
                finding: Some(i),
            });
        }
        self.measure(i, [size_mm, size_mm * 0.9, size_mm * 0.9]);
        self.locate(i, words, None);
    }

    /// Loss of brain beyond that of the age.
    pub(super) fn atrophy(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let amount = uniform(self.rng, [0.55, 1.0]);
        self.plan.atrophy = self.plan.atrophy.max(amount);
        if variant.details.is_empty() {
            self.plan.temporal_atrophy = self.plan.temporal_atrophy.max(amount * 0.4);
        } else {
            self.plan.temporal_atrophy = self.plan.temporal_atrophy.max(amount);
        }
        self.finding(i).severity = grade(amount, [0.6, 0.85]);
    }

    /// Large ventricles.
    pub(super) fn large_ventricles(&mut self, wish: Wish) {
        let factor = uniform(self.rng, self.entry(wish.label).ventricles);
        self.plan.ventricles = self.plan.ventricles.max(factor);
    }

    /// Low pressure of the fluid: the brain sags, the dura swells.
    pub(super) fn hypotension(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let mm = self.size(wish);
        self.plan.changes.push(Change::BrainSag { mm });
        self.plan.ventricles = self.plan.ventricles.max(1.0) * uniform(self.rng, [0.75, 0.95]);
        let sheet = |thickness_mm, seed| Shape::Sheet {
            centre: [0.0, 15.0, 15.0],
            thickness_mm,
            spread_mm: 135.0,
            seed,
        };
        if chance(self.rng, 0.45) {
            let thickness = uniform(self.rng, [2.0, 5.0]);
            let seed = self.rng.random();
            let plane = Plane { normal: [0.0, 0.0, 1.0], offset: 0.0, soft_mm: 4.0 };
            let material = self.material("effusion");
            self.plan.over.push(Brush {
                shape: sheet(thickness, seed),
                gate: Gate::Intracranial,
                planes: vec![plane],
                material,
                opacity: 1.0,
                finding: Some(i),
            });
        } else {
            self.finding(i).details.retain(|d| *d != Detail::SubduralCollections);
        }
        let thickness = uniform(self.rng, [1.8, 2.8]);
        let seed = self.rng.random();
        let material = self.material("dura");
        // Neither the nose nor the spinal canal.
        let planes = vec![
            Plane { normal: [0.0, 0.5, 0.87], offset: -48.0, soft_mm: 2.0 },
            Plane { normal: [0.0, 0.0, 1.0], offset: -56.0, soft_mm: 2.0 },
        ];
        self.plan.over.push(Brush {
            shape: sheet(thickness, seed),
            gate: Gate::Intracranial,
            planes,
            material,
            opacity: 0.95,
            finding: Some(i),
        });
        let sella = self.middle(Region::Sella, None);
        let gland = Blob {
            radii_mm: [7.5, 6.0, uniform(self.rng, [4.8, 6.0])],
            ..Blob::ball(add(sella, [0.0, 0.0, 1.5], 1.0), 6.0, self.rng.random())
        };
        self.extra(Shape::Blob(gland), Gate::Intracranial, "gland", 1.0);
        self.measure(i, [mm, 0.0, 0.0]);
    }

    /// A shunt or drain.
    pub(super) fn catheter(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let side = self.side();
        let s = sign(side);
        let (words, towards) = if chance(self.rng, 0.6) {
            ("frontal", [s * 0.42, -0.62, 0.72])
        } else {
            ("parieto-occipital", [s * 0.42, 0.85, 0.35])
        };
        let skin = self.surface(towards);
        let wall = self.inner_table(towards);
        let tip = self.middle(Region::ForamenOfMonro, None);
        let tip = add(tip, [s * uniform(self.rng, [2.0, 7.0]), -4.0, 3.0], 1.0);
        let radius_mm = self.size(wish) * 0.5;
        let tract = Shape::Tube { path: vec![wall, tip], radius_mm: radius_mm + 1.6 };
        self.extra(tract, Gate::Brain, "gliosis", 0.8);
        let out = unit(towards);
        let hole = Blob { edge_mm: 1.0, ..Blob::ball(add(wall, out, 3.0), 6.5, self.rng.random()) };
        self.extra(Shape::Blob(hole), Gate::Bone, "scar", 1.0);
        let valve = add(skin, out, -3.5);
        let reservoir = Blob {
            radii_mm: [3.5, 8.0, 8.0],
            axes: frame(out),
            ..Blob::ball(valve, 7.0, self.rng.random())
        };
        self.dab(i, reservoir, Gate::Any, "silicone");
        if chance(self.rng, 0.35) {
            let magnet = Blob::ball(valve, 3.0, self.rng.random());
            self.extra(Shape::Blob(magnet), Gate::Any, "metal", 1.0);
            self.detail(i, Detail::MetalArtefact);
        }
        let down = add(valve, [s * 14.0, 22.0, -26.0], 1.0);
        let material = self.material("silicone");
        let distal = self.surface(sub(down, [0.0, 18.0, 12.0]));
        let distal = add(distal, unit(sub(distal, [0.0, 18.0, 12.0])), -3.0);
        for path in [vec![valve, wall, tip], vec![valve, distal]] {
            self.plan.over.push(Brush {
                shape: Shape::Tube { path, radius_mm },
                gate: Gate::Any,
                planes: Vec::new(),
                material,
                opacity: 1.0,
                finding: Some(i),
            });
        }
        self.measure(i, [radius_mm * 2.0, 0.0, 0.0]);
        self.finding(i).size_mm = [0.0; 3];
        self.locate(i, words, Some(side));
    }

    /// A bone flap; over a lesion when one is the cause.
    pub(super) fn craniotomy(&mut self, wish: Wish, over: Option<Vec3>) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let side = self.side();
        let towards = over.map_or_else(
            || [sign(side), uniform(self.rng, [-0.7, 0.7]), uniform(self.rng, [0.0, 0.8])],
            |p| sub(p, [0.0, 18.0, 12.0]),
        );
        let side = if towards[0] >= 0.0 { Side::Left } else { Side::Right };
        let out = unit(towards);
        let wall = self.inner_table(towards);
        let skin = self.surface(towards);
        let r = self.size(wish) * 0.5;
        let middle = add(wall, sub(skin, wall), 0.4);
        let kerf =
            Shape::Shell { centre: middle, radius_mm: r, width_mm: uniform(self.rng, [2.2, 3.6]) };
        let material = self.material("scar");
        self.plan.over.push(Brush {
            shape: kerf,
            gate: Gate::Bone,
            planes: Vec::new(),
            material,
            opacity: 1.0,
            finding: Some(i),
        });
        // The marrow of the flap has died.
        let flap = Blob { rough: 0.0, ..Blob::ball(middle, r - 1.0, self.rng.random()) };
        self.dab(i, flap, Gate::Bone, "bone");
        if let Some(brush) = self.plan.over.last_mut() {
            brush.opacity = 0.6;
        }
        let ring = frame(out);
        for k in 0_u8..4 {
            let angle = f32::from(k) * 1.57 + uniform(self.rng, [-0.3, 0.3]);
            let edge = add(add(middle, ring[1], r * angle.cos()), ring[2], r * angle.sin());
            let burr = Blob::ball(edge, uniform(self.rng, [4.0, 6.5]), self.rng.random());
            self.extra(Shape::Blob(burr), Gate::Bone, "scar", 1.0);
            if chance(self.rng, 0.7) {
                let plate = Blob::ball(add(edge, out, 4.0), 1.4, self.rng.random());
                self.extra(Shape::Blob(plate), Gate::Any, "metal", 1.0);
            }
        }
        let dura = Shape::Sheet {
            centre: wall,
            thickness_mm: uniform(self.rng, [1.6, 3.0]),
            spread_mm: r * uniform(self.rng, [1.0, 1.3]),
            seed: self.rng.random(),
        };
        self.extra(dura, Gate::Intracranial, "dura", 0.9);
        let recent = chance(self.rng, 0.35);
        let scalp =
            Blob { edge_mm: 8.0, rough: 0.2, ..Blob::ball(skin, r * 1.1, self.rng.random()) };
        let scalp_material = if recent { "effusion" } else { "scar" };
        let opacity = if recent { 0.8 } else { 0.5 };
        self.extra(Shape::Blob(scalp), Gate::Scalp, scalp_material, opacity);
        self.measure(i, [r * 2.0, 0.0, 0.0]);
        let words = match (out[1], out[2]) {
            (y, z) if y > 0.6 && z < -0.1 => "suboccipital",
            (y, _) if y > 0.6 => "parieto-occipital",
            (y, _) if y < -0.45 => "frontal",
            (_, z) if z > 0.6 => "parietal",
            _ => "frontotemporal",
        };
        self.locate(i, words, Some(side));
    }

    /// A cavity that reaches the dura, below a bone flap.
    pub(super) fn resection(&mut self, wish: Wish, craniotomy: usize) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let region = self.region(wish.label);
        let side = self.side();
        let size_mm = self.size(wish);
        let inside = self.place(region, Some(side), 4.0);
        let towards = unit(sub(inside, [0.0, 18.0, 12.0]));
        let wall = self.inner_table(towards);
        let centre = add(wall, towards, -size_mm * uniform(self.rng, [0.4, 0.6]));
        let mut planes = vec![Plane::side(side == Side::Left)];
        if centre[1] > 25.0 {
            planes.push(super::lesions::tentorium(true));
        }
        let seat = Seat { along: Some(towards), planes: &planes, ..Seat::at(centre, size_mm) };
        self.body(i, variant, seat);
        if chance(self.rng, 0.3) {
            let nodule = add(centre, direction(self.rng), size_mm * 0.45);
            let r = uniform(self.rng, [3.5, 7.5]);
            let ball = Blob { rough: 0.3, ..Blob::ball(nodule, r, self.rng.random()) };
            self.extra(Shape::Blob(ball), Gate::Brain, "high_grade_rim", 0.95);
            self.detail(i, Detail::ResidualTumour);
            self.finding(i).enhancement = super::finding::Enhancement::Patchy;
        }
        self.locate(i, region.name(), Some(side));
        self.craniotomy(Wish { label: craniotomy, least: 0.0, cause: Some(i) }, Some(centre));
    }

    /// Normal variants and trifles.
    #[expect(clippy::too_many_lines, reason = "a list, one entry after another")]
    pub(super) fn incidentals(&mut self, age_years: f32) {
        use IncidentalKind as Kind;
        let side = self.side();
        let mut note = Vec::new();
        let place = |words, side| Some(Place { words, side });
        if chance(self.rng, (age_years - 20.0).clamp(0.0, 60.0) / 120.0) {
            for _ in 0..self.rng.random_range(2..8) {
                let side = self.side();
                let region = [Region::Frontal, Region::DeepWhite, Region::Parietal]
                    [pick(self.rng, [1.0, 1.0, 1.0].into_iter())];
                let centre = self.place(region, Some(side), 4.0);
                let r = uniform(self.rng, [1.2, 2.0]);
                self.white_spot(None, centre, r);
            }
            note.push((Kind::WhiteMatterSpots, place("subcortical white matter", None)));
        }
        if age_years > 60.0 && self.plan.atrophy < 0.1 && chance(self.rng, 0.5) {
            note.push((Kind::VolumeLossForAge, None));
        }
        if chance(self.rng, 0.05) {
            let centre = self.middle(Region::CisternaMagna, None);
            let r = uniform(self.rng, [9.0, 14.0]);
            let blob = Blob {
                radii_mm: [r * 1.3, r * 0.8, r],
                ..Blob::ball(centre, r, self.rng.random())
            };
            self.extra(Shape::Blob(blob), Gate::Intracranial, "fluid", 1.0);
            note.push((Kind::MegaCisternaMagna, None));
        }
        if chance(self.rng, 0.07) {
            self.plan.pushes.push(Push {
                centre_mm: [sign(side) * 12.0, 5.0, 14.0],
                radius_mm: 3.0,
                displacement_mm: uniform(self.rng, [1.0, 2.2]),
                reach_mm: 9.0,
                direction: None,
            });
            note.push((Kind::AsymmetricVentricles, place("lateral ventricle", Some(side))));
        }
        if chance(self.rng, 0.06) {
            let centre = self.middle(Region::Pineal, None);
            let r = uniform(self.rng, [2.5, 4.5]);
            let ball = Blob { rough: 0.03, ..Blob::ball(centre, r, self.rng.random()) };
            self.extra(Shape::Blob(ball), Gate::Intracranial, "cyst_fluid", 1.0);
            note.push((Kind::PinealCyst, place("pineal gland", None)));
        }
        if chance(self.rng, 0.15) {
            for _ in 0..self.rng.random_range(3..9) {
                let side = self.side();
                let p = self.place(Region::Putamen, Some(side), 0.0);
                let low = [p[0], p[1], p[2].min(2.0)];
                let ball = Blob::ball(low, uniform(self.rng, [0.9, 1.6]), self.rng.random());
                self.extra(Shape::Blob(ball), Gate::Brain, "fluid", 0.9);
            }
            note.push((Kind::PerivascularSpaces, place("basal ganglia", Some(Side::Bilateral))));
        }
        if chance(self.rng, 0.18) {
            let centre = [sign(side) * uniform(self.rng, [18.0, 28.0]), -52.0, -52.0];
            let r = uniform(self.rng, [7.0, 15.0]);
            let blob = Blob { rough: 0.2, ..Blob::ball(centre, r, self.rng.random()) };
            self.extra(Shape::Blob(blob), Gate::Air, "mucosa", 1.0);
            note.push((Kind::SinusMucosa, place("maxillary sinus", Some(side))));
        }
        if chance(self.rng, 0.05) {
            let ear = [sign(side) * 52.0, 38.0, -36.0];
            let blob = Blob { holes: Some((5.0, 0.0)), ..Blob::ball(ear, 14.0, self.rng.random()) };
            self.extra(Shape::Blob(blob), Gate::Air, "mucosa", 1.0);
            note.push((Kind::MastoidFluid, place("mastoid air cells", Some(side))));
        }
        if chance(self.rng, 0.05) {
            self.venous_anomaly(side);
            note.push((Kind::VenousAnomaly, place("frontal lobe", Some(side))));
        }
        if chance(self.rng, 0.04) {
            let towards =
                [sign(side), uniform(self.rng, [-0.5, 0.9]), uniform(self.rng, [0.3, 1.0])];
            let skin = self.surface(towards);
            let r = uniform(self.rng, [4.0, 8.0]);
            let ball = Blob::ball(add(skin, unit(towards), -4.0), r, self.rng.random());
            self.extra(Shape::Blob(ball), Gate::Scalp, "colloid_iso", 1.0);
            note.push((Kind::ScalpLesion, place("scalp", Some(side))));
        }
        if self.plan.changes.is_empty() && chance(self.rng, 0.05) {
            let mm = uniform(self.rng, [1.5, 3.5]);
            self.plan.changes.push(Change::TonsilDescent { mm });
            note.push((Kind::LowTonsils, None));
        }
        self.plan.incidentals =
            note.into_iter().map(|(kind, place)| Incidental { kind, place }).collect();
    }

    /// Severity of a structural displacement.
    pub(super) fn displaced(&mut self, i: usize, mm: f32, limits: [f32; 2]) {
        let finding = self.finding(i);
        finding.size_mm = [mm, 0.0, 0.0];
        finding.severity = if mm > 0.0 { grade(mm, limits) } else { Severity::Mild };
    }
}
