//! Which diagnoses a patient has.

use models::labels::DIAGNOSES;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::{
    noise::{chance, pick},
    plan::{Plan, Planner, Wish},
    table::{Entry, Layout, Table, number},
};
use crate::simulate::anatomy::Atlas;

/// Share of studies without a primary diagnosis.
const NORMAL: f32 = 0.23;
/// How often an abnormal study has one to four primary diagnoses.
const PRIMARIES: [f32; 4] = [0.12, 0.33, 0.40, 0.15];
/// Fewest and most primary diagnoses of a crowded head.
const CROWD: [usize; 2] = [4, 8];
/// How often a forced plan is drawn anew until what was asked for is there.
const ATTEMPTS: usize = 60;

/// What of a patient decides about diseases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Person {
    /// Age.
    pub age_years: f32,
    /// Sex.
    pub female: bool,
}

/// Draws diseases for a patient and plans them: as many as patients have, or a crowd of them.
#[must_use]
pub fn plan(
    atlas: &Atlas,
    table: &Table,
    person: Person,
    crowded: bool,
    rng: &mut ChaCha8Rng,
) -> Plan {
    let wishes = draw(table, person, crowded, rng);
    let mut planner = Planner::new(atlas, table, rng);
    for wish in wishes {
        planner.add(wish);
    }
    planner.finish();
    planner.incidentals(person.age_years);
    planner.plan
}

/// Plans given diagnoses (indices into `models::labels::DIAGNOSES`) whatever the age says; those
/// that follow from others come with one of these. Others may follow from them.
#[must_use]
pub fn plan_with(
    atlas: &Atlas,
    table: &Table,
    person: Person,
    labels: &[usize],
    rng: &mut ChaCha8Rng,
) -> Plan {
    let mut best = (0, Plan::default());
    for attempt in 0..ATTEMPTS {
        let mut planner = Planner::new(atlas, table, rng);
        for &label in labels {
            let wish = via(table, label, attempt, planner.rng);
            planner.add(wish);
        }
        planner.finish();
        planner.incidentals(person.age_years);
        let has = planner.plan.labels();
        let there = labels.iter().filter(|&&label| has[label]).count();
        if there > best.0 || attempt == 0 {
            best = (there, planner.plan);
        }
        if best.0 == labels.len() {
            break;
        }
    }
    best.1
}

/// A wish for a diagnosis; for an implied one, for a large lesion that implies it.
fn via(table: &Table, label: usize, attempt: usize, rng: &mut ChaCha8Rng) -> Wish {
    let entry = &table.entries[label];
    if entry.layout == Layout::Implied {
        // Displacement of the midline takes more than oedema does.
        let least = match DIAGNOSES[label] {
            "structural_brain_herniation" => 0.8,
            "structural_midline_shift" => 0.65,
            _ => 0.45,
        };
        let through = &entry.through[rng.random_range(0..entry.through.len())];
        return Wish { label: number(through).unwrap_or(label), least, cause: None };
    }
    Wish { label, least: if attempt > ATTEMPTS / 2 { 0.5 } else { 0.0 }, cause: None }
}

/// How likely a primary diagnosis is for a patient, up to a factor.
fn likelihood(entry: &Entry, person: Person) -> f32 {
    let [begins, full, falls, ends] = entry.ages;
    let age = person.age_years;
    let by_age = if age < begins || age > ends {
        0.0
    } else {
        let up = (age - begins + 1.0) / (full - begins + 1.0);
        let down = (ends - age + 1.0) / (ends - falls + 1.0);
        up.min(down).clamp(0.0, 1.0)
    };
    let share = if person.female { entry.female } else { 1.0 - entry.female };
    entry.weight * by_age * 2.0 * share
}

/// Of the malignant tumours a patient has one, and of what displaces the tonsils; 0 is free.
fn family(label: usize) -> u8 {
    let name = DIAGNOSES[label];
    match name {
        "tumor_adult_meningioma" | "tumor_adult_schwannoma" => 0,
        "sellar_craniopharyngioma" => 1,
        _ if name.starts_with("tumor_") => 1,
        "developmental_dandy_walker_malformation"
        | "structural_chiari_malformation"
        | "ventricular_intracranial_hypotension" => 2,
        _ => 0,
    }
}

/// Primary diagnoses and what comes with them.
fn draw(table: &Table, person: Person, crowded: bool, rng: &mut ChaCha8Rng) -> Vec<Wish> {
    let mut wishes: Vec<Wish> = Vec::new();
    if !crowded && chance(rng, NORMAL) {
        return wishes;
    }
    let primaries = if crowded {
        rng.random_range(CROWD[0]..=CROWD[1])
    } else {
        1 + pick(rng, PRIMARIES.into_iter())
    };
    for _ in 0..primaries {
        let open = |label: usize, taken: &[Wish]| {
            !taken.iter().any(|w| {
                w.label == label || (family(label) != 0 && family(w.label) == family(label))
            })
        };
        let weights: Vec<f32> =
            (0..DIAGNOSES.len())
                .map(|label| {
                    if open(label, &wishes) {
                        likelihood(&table.entries[label], person)
                    } else {
                        0.0
                    }
                })
                .collect();
        if weights.iter().all(|&w| w <= 0.0) {
            break;
        }
        let drawn = pick(rng, weights.iter().copied());
        let wish = via(table, drawn, 0, rng);
        if !open(wish.label, &wishes) {
            continue;
        }
        wishes.push(wish);
        for (other, &probability) in &table.entries[wish.label].with {
            if let Some(label) = number(other)
                && chance(rng, probability)
                && open(label, &wishes)
                && table.entries[label].ages[0] <= person.age_years
            {
                wishes.push(via(table, label, 0, rng));
            }
        }
    }
    let has = |name: &str| number(name).is_some_and(|n| wishes.iter().any(|w| w.label == n));
    // A cavity brings its own bone flap.
    if has("surgical_resection_cavity") {
        wishes.retain(|w| DIAGNOSES[w.label] != "surgical_craniotomy");
    }
    wishes
}
