//! Many small lesions: plaques, shearing, small vessel disease, sarcoid.

use rand::Rng as _;

use super::{
    brush::{Blob, Brush, Gate, Shape},
    finding::{Detail, Side},
    lesions::whole,
    noise::{chance, direction, log_uniform, pick, uniform},
    plan::{Planner, Seat, Wish, grade, side_of, sign},
    vector::{Vec3, add, frame, unit},
};
use crate::simulate::anatomy::Region;

const LOBES: [Region; 4] = [Region::Frontal, Region::Parietal, Region::Temporal, Region::Occipital];

impl Planner<'_> {
    /// A lobe, frontal and parietal more often.
    fn lobe(&mut self) -> Region {
        LOBES[pick(self.rng, [4.0, 3.0, 2.0, 1.0].into_iter())]
    }

    /// Plaques of multiple sclerosis.
    pub(super) fn multiple_sclerosis(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let [fewest, most] = self.entry(wish.label).count;
        let count = whole(log_uniform(self.rng, [fewest as f32, most as f32 + 0.9]));
        let active = variant.parts.iter().any(|p| p.material == "plaque_active");
        for k in 0..count {
            let kind = if k < 4 { 0 } else { pick(self.rng, [5.0, 3.0, 1.2, 1.5].into_iter()) };
            let side = self.side();
            let (centre, along) = match kind {
                0 => {
                    let inside = self.place(Region::LateralVentricle, Some(side), 0.5);
                    let tilt =
                        [0.2 * uniform(self.rng, [-1.0, 1.0]), uniform(self.rng, [-0.4, 0.4])];
                    let out = unit([sign(side), tilt[1], 0.55 + tilt[0]]);
                    let wall = self.ventricle_wall(inside, out);
                    (add(wall, out, uniform(self.rng, [1.5, 6.0])), out)
                }
                1 => {
                    let lobe = self.lobe();
                    (self.place(lobe, Some(side), 3.0), direction(self.rng))
                }
                2 => {
                    let region = [Region::Pons, Region::CerebellarHemisphere, Region::Medulla]
                        [pick(self.rng, [3.0, 3.0, 1.0].into_iter())];
                    self.detail(i, Detail::Infratentorial);
                    (self.place(region, Some(side), 2.0), direction(self.rng))
                }
                _ => (self.place(Region::DeepWhite, Some(side), 2.0), direction(self.rng)),
            };
            let size_mm = self.size(wish);
            let long = size_mm * 0.5;
            let short = long / uniform(self.rng, self.entry(wish.label).elongation);
            let ball = Blob {
                radii_mm: [long, short, short],
                axes: frame(along),
                rough: 0.15,
                edge_mm: 1.4,
                ..Blob::ball(centre, long, self.rng.random())
            };
            let hot = active && (k == 0 || chance(self.rng, 0.25));
            let material = if hot { "plaque_active" } else { "plaque" };
            let core = Blob { radii_mm: ball.radii_mm.map(|r| r * 0.55), ..ball.clone() };
            self.dab(i, ball, Gate::Brain, material);
            if !active && long > 3.5 && chance(self.rng, 0.4) {
                self.dab(i, core, Gate::Brain, "black_hole");
            }
            self.measure(i, [long * 2.0, short * 2.0, short * 2.0]);
            if kind == 2 {
                self.locate(i, "infratentorial white matter", None);
            }
        }
        self.finding(i).count = count;
        self.finding(i).severity = grade(count as f32, [12.0, 22.0]);
        self.finding(i).places.insert(
            0,
            super::finding::Place {
                words: "periventricular white matter",
                side: Some(Side::Bilateral),
            },
        );
    }

    /// Shearing of axons.
    pub(super) fn axonal_injury(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let [fewest, most] = self.entry(wish.label).count;
        let count = self.rng.random_range(fewest..=most);
        let mut deep = false;
        for k in 0..count {
            let side = self.side();
            let kind = if k == 0 { 1 } else { pick(self.rng, [6.0, 2.0, 1.0].into_iter()) };
            let (region, centre) = match kind {
                0 => {
                    let lobe = self.lobe();
                    (lobe, self.place(lobe, Some(side), 2.0))
                }
                1 => (Region::CorpusCallosum, self.place(Region::CorpusCallosum, Some(side), 1.0)),
                _ => (Region::Midbrain, self.place(Region::Midbrain, Some(side), 2.0)),
            };
            deep |= kind == 2;
            let size_mm = self.size(wish);
            let long = size_mm * 0.5;
            let short = long / uniform(self.rng, self.entry(wish.label).elongation);
            let ball = Blob {
                radii_mm: [long, short, short],
                axes: frame(direction(self.rng)),
                ..Blob::ball(centre, long, self.rng.random())
            };
            let bleed = Blob::ball(centre, uniform(self.rng, [1.2, 2.4]), self.rng.random());
            if chance(self.rng, 0.7) {
                self.dab(i, ball, Gate::Brain, "shear");
            }
            if chance(self.rng, 0.8) {
                self.dab(i, bleed, Gate::Brain, "shear_bleed");
            }
            self.measure(i, [long * 2.0, short * 2.0, short * 2.0]);
            let side = if kind == 0 { side_of(centre) } else { None };
            if self.plan.findings[i].places.len() < 4 {
                self.locate(i, region.name(), side);
            }
        }
        self.finding(i).count = count;
        let burden = count as f32 + if deep { 8.0 } else { 0.0 };
        self.finding(i).severity = grade(burden, [12.0, 20.0]);
    }

    /// Confluent and punctate changes of the white matter.
    pub(super) fn small_vessels(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let width_mm = self.size(wish);
        let material = self.material("wmd");
        self.plan.under.push(Brush {
            shape: Shape::Halo { width_mm, seed: self.rng.random(), ragged: 0.55 },
            gate: Gate::White,
            planes: Vec::new(),
            material,
            opacity: uniform(self.rng, [0.75, 0.95]),
            finding: Some(i),
        });
        let t = (width_mm - 3.0) / 8.0;
        let [fewest, most] = self.entry(wish.label).count;
        let count = fewest + whole(t.clamp(0.0, 1.0) * (most - fewest) as f32);
        for _ in 0..count {
            let side = self.side();
            let deep = chance(self.rng, 0.55);
            let region = if deep { Region::DeepWhite } else { self.lobe() };
            let centre = self.place(region, Some(side), 3.0);
            let r = uniform(self.rng, [1.6, 3.2 + 3.0 * t]);
            self.white_spot(Some(i), centre, r);
        }
        if chance(self.rng, 0.3) {
            let centre = self.place(Region::Pons, None, 3.0);
            self.white_spot(Some(i), centre, 5.0);
        }
        self.finding(i).count = count;
        self.measure(i, [width_mm * 2.0, width_mm, width_mm]);
        self.finding(i).severity = grade(t, [0.0, 0.55]);
        self.locate(i, "cerebral white matter", Some(Side::Bilateral));
    }

    /// One spot in the white matter.
    pub(super) fn white_spot(&mut self, finding: Option<usize>, centre: Vec3, r: f32) {
        let stretch = uniform(self.rng, [1.0, 1.6]);
        let blob = Blob {
            radii_mm: [r * stretch, r, r],
            axes: frame(direction(self.rng)),
            rough: 0.3,
            edge_mm: 1.6,
            ..Blob::ball(centre, r, self.rng.random())
        };
        let brush = Brush {
            shape: Shape::Blob(blob),
            gate: Gate::White,
            planes: Vec::new(),
            material: self.material("wmd"),
            opacity: uniform(self.rng, [0.7, 1.0]),
            finding,
        };
        self.plan.under.push(brush);
    }

    /// Exudate of the basal cisterns with granulomas.
    pub(super) fn sarcoid(&mut self, wish: Wish) {
        let variant = self.variant(wish.label);
        let i = self.find(wish, variant);
        let centre = self.middle(Region::Suprasellar, None);
        let reach = uniform(self.rng, [28.0, 55.0]);
        let blob = Blob {
            radii_mm: [reach, reach, reach * 0.8],
            rough: 0.35,
            edge_mm: 6.0,
            ..Blob::ball(add(centre, [0.0, 14.0, -4.0], 1.0), reach, self.rng.random())
        };
        self.dab(i, blob, Gate::Pia, "exudate");
        self.locate(i, "basal cisterns", None);
        let [fewest, most] = self.entry(wish.label).count;
        let count = self.rng.random_range(fewest..=most);
        for k in 0..count {
            let region = match k {
                0 => Region::Suprasellar,
                _ => {
                    [Region::Pons, Region::CerebellarHemisphere, Region::Frontal, Region::Temporal]
                        [pick(self.rng, [2.0, 2.0, 2.0, 2.0].into_iter())]
                }
            };
            let side = self.side();
            let centre = self.place(region, if k == 0 { None } else { Some(side) }, 0.0);
            let size_mm = self.size(wish);
            let granuloma = super::table::Variant {
                parts: variant
                    .parts
                    .iter()
                    .filter(|p| p.material == "granuloma")
                    .cloned()
                    .collect(),
                ..variant.clone()
            };
            self.body(i, &granuloma, Seat::at(centre, size_mm));
            let words = if k == 0 { "hypothalamus" } else { region.name() };
            self.locate(i, words, if k == 0 { None } else { side_of(centre) });
        }
        self.finding(i).count = count;
    }
}
