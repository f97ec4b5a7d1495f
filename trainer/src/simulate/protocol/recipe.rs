//! Which series a study consists of.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::{Kind, Order, Plane};
use crate::cohort::record::Setting;

/// A series before its parameters are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) kind: Kind,
    pub(super) plane: Plane,
    pub(super) contrast: bool,
    pub(super) fat_saturated: bool,
    /// Thin slices around a small structure, in atlas space.
    pub(super) slab: Option<[f32; 3]>,
    /// How often the protocol has it.
    probability: f64,
}

/// Most and fewest series of a study.
const MOST: usize = 7;
const FEWEST: usize = 3;

/// Pituitary, internal auditory canals, circle of Willis; LPS, origin at the anterior commissure.
const SELLA: [f32; 3] = [0.0, -2.0, -32.0];
const AUDITORY_CANALS: [f32; 3] = [0.0, 32.0, -36.0];
const CIRCLE_OF_WILLIS: [f32; 3] = [0.0, 4.0, -8.0];

/// What is ordered for a patient of this age from this setting.
pub(super) fn order(age_years: f32, setting: Option<Setting>, rng: &mut ChaCha8Rng) -> Order {
    use Order as O;
    let weights: &[(Order, f32)] = if age_years < 16.0 {
        &[(O::Paediatric, 0.6), (O::Seizure, 0.2), (O::Tumour, 0.1), (O::Enhanced, 0.1)]
    } else {
        match setting {
            Some(Setting::Emergency) => {
                &[(O::Stroke, 0.4), (O::Routine, 0.25), (O::Trauma, 0.13), (O::Enhanced, 0.22)]
            }
            Some(Setting::Inpatient) => &[
                (O::Stroke, 0.22),
                (O::Routine, 0.2),
                (O::Enhanced, 0.36),
                (O::Tumour, 0.12),
                (O::Seizure, 0.1),
            ],
            Some(Setting::Outpatient) | None => &[
                (O::Routine, 0.24),
                (O::Enhanced, 0.34),
                (O::Demyelination, 0.11),
                (O::Tumour, 0.1),
                (O::Seizure, 0.07),
                (O::Pituitary, 0.05),
                (O::AuditoryCanal, 0.05),
                (O::Angiography, 0.04),
            ],
        }
    };
    weights.choose_weighted(rng, |row| row.1).map_or(O::Routine, |row| row.0)
}

/// Whether the order comes with a contrast agent.
pub(super) fn contrast(order: Order, age_years: f32, rng: &mut ChaCha8Rng) -> bool {
    let probability = match order {
        Order::Enhanced | Order::Tumour => 1.0,
        Order::Pituitary | Order::AuditoryCanal => 0.95,
        Order::Demyelination => 0.75,
        Order::Seizure => 0.55,
        Order::Paediatric if age_years < 2.0 => 0.35,
        Order::Paediatric => 0.5,
        Order::Angiography => 0.2,
        Order::Routine | Order::Stroke | Order::Trauma => 0.0,
    };
    rng.random_bool(probability)
}

/// The series, in the order of acquisition.
pub(super) fn choose(
    order: Order,
    contrast: bool,
    volumes: bool,
    rng: &mut ChaCha8Rng,
) -> Vec<Choice> {
    let all = recipe(order, contrast, rng.random_bool(0.6));
    let mut kept: Vec<Choice> =
        all.iter().filter(|choice| rng.random_bool(choice.probability)).copied().collect();
    // A map needs the images it is computed from; those are what gets lost on the way.
    if !kept.iter().any(|c| c.kind == Kind::Diffusion) {
        kept.retain(|c| c.kind != Kind::Adc || rng.random_bool(0.1));
    }
    if !kept.iter().any(|c| matches!(c.kind, Kind::T2 | Kind::Flair)) {
        kept.push(choice(Kind::Flair, Plane::Axial, 1.0));
    }
    if contrast && !kept.iter().any(|c| c.contrast) {
        kept.push(enhanced(choice(Kind::T1, Plane::Axial, 1.0), false));
    }
    for filler in
        [(Kind::T2, Plane::Axial), (Kind::T1, Plane::Sagittal), (Kind::Flair, Plane::Axial)]
    {
        let absent = !kept.iter().any(|c| (c.kind, c.plane) == filler);
        if kept.len() < FEWEST && absent {
            kept.push(choice(filler.0, filler.1, 1.0));
        }
    }
    while kept.len() > MOST {
        // The rarer a series is, the sooner it is dispensed with.
        let rare = (0..kept.len())
            .filter(|&i| kept[i].probability < 1.0)
            .min_by(|&a, &b| kept[a].probability.total_cmp(&kept[b].probability));
        kept.remove(rare.unwrap_or(kept.len() - 1));
    }
    if volumes && rng.random_bool(0.4) {
        let volume = choice(Kind::T1Volume, Plane::Sagittal, 1.0);
        kept.push(if contrast { enhanced(volume, false) } else { volume });
    }
    kept.sort_by_key(|c| c.contrast);
    kept
}

fn choice(kind: Kind, plane: Plane, probability: f64) -> Choice {
    Choice { kind, plane, contrast: false, fat_saturated: false, slab: None, probability }
}

fn enhanced(choice: Choice, fat_saturated: bool) -> Choice {
    Choice { contrast: true, fat_saturated, ..choice }
}

fn slab(choice: Choice, position: [f32; 3]) -> Choice {
    Choice { slab: Some(position), ..choice }
}

/// Everything that an order may consist of. `swi` tells sites with susceptibility-weighted
/// volumes from those with T2* slices.
fn recipe(order: Order, contrast: bool, swi: bool) -> Vec<Choice> {
    use Kind as K;
    use Plane::{Axial, Coronal, Sagittal};
    let iron = if swi { K::Susceptibility } else { K::GradientEcho };
    let mut list = vec![
        choice(K::T1, Sagittal, if order == Order::Stroke { 0.5 } else { 0.8 }),
        choice(K::T2, Axial, 0.92),
        choice(K::Flair, Axial, 0.95),
        choice(K::Diffusion, Axial, if order == Order::Stroke { 0.98 } else { 0.9 }),
        choice(K::Adc, Axial, 0.88),
        choice(K::DiffusionB0, Axial, 0.06),
        choice(iron, Axial, if contrast { 0.5 } else { 0.72 }),
        choice(K::T1, Axial, if contrast { 0.55 } else { 0.3 }),
        choice(K::ProtonDensity, Axial, 0.03),
    ];
    match order {
        Order::Stroke => list.push(slab(choice(K::Angiography, Axial, 0.35), CIRCLE_OF_WILLIS)),
        Order::Angiography => {
            list.push(slab(choice(K::Angiography, Axial, 0.97), CIRCLE_OF_WILLIS));
        }
        Order::Seizure => {
            list.push(choice(K::Flair, Coronal, 0.7));
            list.push(choice(K::T2, Coronal, 0.6));
        }
        Order::Demyelination => list.push(choice(K::Flair, Sagittal, 0.8)),
        Order::Paediatric => list.push(choice(K::T2, Coronal, 0.35)),
        Order::Trauma => list.push(choice(K::Flair, Coronal, 0.3)),
        Order::Pituitary => {
            list.push(slab(choice(K::T1, Coronal, 0.8), SELLA));
            list.push(slab(choice(K::T2, Coronal, 0.4), SELLA));
        }
        Order::AuditoryCanal => list.push(slab(choice(K::T2, Axial, 0.85), AUDITORY_CANALS)),
        Order::Routine | Order::Enhanced | Order::Tumour => {
            list.push(choice(K::T2, Coronal, 0.15));
        }
    }
    if contrast {
        list.push(enhanced(choice(K::T1, Axial, 0.97), false));
        list.push(enhanced(choice(K::T1, Coronal, 0.65), order != Order::Tumour && swi));
        list.push(enhanced(choice(K::T1, Sagittal, 0.3), false));
        match order {
            Order::Pituitary => {
                list.push(slab(enhanced(choice(K::T1, Coronal, 0.9), false), SELLA));
                list.push(slab(enhanced(choice(K::T1, Sagittal, 0.7), false), SELLA));
            }
            Order::AuditoryCanal => {
                list.push(slab(enhanced(choice(K::T1, Axial, 0.9), true), AUDITORY_CANALS));
            }
            _ => {}
        }
    }
    list
}
