use models::labels::DIAGNOSES;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::simulate::anatomy::{AnatomyParameters, Atlas, Built, build};

const ADULT: Person = Person { age_years: 50.0, female: true };

fn number(label: &str) -> usize {
    DIAGNOSES.iter().position(|d| *d == label).unwrap()
}

fn built(atlas: &Atlas, plan: &Plan, rng: &mut ChaCha8Rng) -> Built {
    let parameters = AnatomyParameters {
        pushes: plan.pushes.clone(),
        changes: plan.changes.clone(),
        ventricles: plan.ventricles,
        grid_mm: 2.0,
        ..AnatomyParameters::default()
    };
    build(atlas, &parameters, rng)
}

#[test]
fn every_label_can_be_planned_alone_and_leaves_a_mask_or_a_measured_change() {
    let atlas = Atlas::load().unwrap();
    let table = Table::load().unwrap();
    for (label, name) in DIAGNOSES.iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(label as u64);
        let mut plan = plan_with(&atlas, &table, ADULT, &[label], &mut rng);
        assert!(plan.labels()[label], "{name} was not planned");
        let mut head = built(&atlas, &plan, &mut rng);
        let lesions = plan.apply(&mut head);
        let finding = plan.findings.iter().find(|f| f.diagnosis == label).unwrap();
        let structural = finding.size_mm[0] >= MIDLINE_SHIFT_MM
            || plan.atrophy > 0.5
            || plan.ventricles >= VENTRICULOMEGALY
            || !plan.changes.is_empty();
        let painted = |c| lesions.iter().any(|l| l.component == c && l.volume_ml >= 0.05);
        match finding.component {
            Some(component) => assert!(painted(component), "{name}: {lesions:?}"),
            None => assert!(structural, "{name} leaves nothing"),
        }
    }
}

#[test]
fn labels_that_follow_agree_with_what_causes_them() {
    let atlas = Atlas::load().unwrap();
    let table = Table::load().unwrap();
    for seed in 0..400 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let plan = plan(&atlas, &table, ADULT, false, &mut rng);
        let labels = plan.labels();
        let has = |name| labels[number(name)];
        let grades = has("tumor_adult_high_grade_glioma") || has("tumor_adult_low_grade_glioma");
        assert_eq!(has("tumor_adult_glioma"), grades, "{seed}");
        let most = plan.pushes.iter().map(|p| p.displacement_mm).fold(0.0, f32::max);
        assert!(has("structural_mass_effect") == (most >= MASS_EFFECT_MM), "{seed}: {most} mm");
        let shifted = plan.shift_mm().abs() >= MIDLINE_SHIFT_MM;
        assert_eq!(has("structural_midline_shift"), shifted, "{seed}");
        assert!(!has("structural_brain_herniation") || shifted, "{seed}");
        let large = plan.ventricles >= VENTRICULOMEGALY;
        assert_eq!(has("ventricular_ventriculomegaly"), large, "{seed}");
        assert!(!has("surgical_resection_cavity") || has("surgical_craniotomy"), "{seed}");
    }
}

#[test]
fn oedema_that_is_planned_is_there() {
    let atlas = Atlas::load().unwrap();
    let table = Table::load().unwrap();
    let label = number("structural_edema");
    for seed in 0..4 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut plan = plan_with(&atlas, &table, ADULT, &[label], &mut rng);
        let mut head = built(&atlas, &plan, &mut rng);
        let lesions = plan.apply(&mut head);
        let oedema = lesions.iter().find(|l| l.diagnosis == label).unwrap();
        assert!(oedema.volume_ml > 0.4 * OEDEMA_ML, "{oedema:?}");
    }
}

#[test]
fn a_finding_that_fills_no_voxel_is_not_there() {
    let atlas = Atlas::load().unwrap();
    let table = Table::load().unwrap();
    let label = number("tumor_adult_high_grade_glioma");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut plan = plan_with(&atlas, &table, ADULT, &[label], &mut rng);
    let tumour = plan.findings.iter().position(|f| f.diagnosis == label);
    for brush in plan.under.iter_mut().chain(&mut plan.over) {
        if brush.finding == tumour {
            brush.opacity = 0.0;
        }
    }
    let planned = plan.findings.len();
    let mut head = built(&atlas, &plan, &mut rng);
    let lesions = plan.apply(&mut head);
    // The wider name of the same lesion leaves with it.
    let labels = plan.labels();
    assert!(!labels[label] && !labels[number("tumor_adult_glioma")]);
    assert!(plan.findings.len() + 2 <= planned);
    for finding in &plan.findings {
        assert!(finding.cause.is_none_or(|cause| cause < plan.findings.len()), "{finding:?}");
        let drawn = |component: u8| lesions.iter().any(|l| l.component == component);
        assert!(finding.component.is_none_or(drawn), "{finding:?}");
    }
}

#[test]
fn every_label_is_frequent_enough_to_be_judged() {
    let atlas = Atlas::load().unwrap();
    let table = Table::load().unwrap();
    let studies = 4000;
    let mut counts = [0_u32; DIAGNOSES.len()];
    let mut normal = 0_u32;
    for seed in 0..studies {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // The ages of the simulator's patients.
        let age_years = match rng.random::<f32>() {
            u if u < 0.30 => rng.random_range(1.0..18.0),
            u if u < 0.55 => rng.random_range(18.0..45.0),
            _ => (0..12).fold(60.0 - 90.0, |sum, _| rng.random::<f32>().mul_add(15.0, sum)),
        };
        let person = Person { age_years, female: rng.random() };
        let labels = plan(&atlas, &table, person, false, &mut rng).labels();
        normal += u32::from(!labels.contains(&true));
        for (count, there) in counts.iter_mut().zip(labels) {
            *count += u32::from(there);
        }
    }
    let per_thousand = |count: u32| 1000.0 * count as f32 / studies as f32;
    assert!((200.0..300.0).contains(&per_thousand(normal)), "normal {}", per_thousand(normal));
    for (name, count) in DIAGNOSES.iter().zip(counts) {
        // Expected 45 or more; four standard errors of a count below.
        assert!(per_thousand(count) >= 32.0, "{name}: {}", per_thousand(count));
    }
}

#[test]
fn a_crowded_head_has_at_least_twice_as_much() {
    let atlas = Atlas::load().unwrap();
    let table = Table::load().unwrap();
    let findings = |crowded: bool| {
        let findings = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            plan(&atlas, &table, ADULT, crowded, &mut rng).findings.len()
        };
        (0..100).map(findings).collect::<Vec<_>>()
    };
    let [usual, crowded] = [findings(false), findings(true)];
    assert!(crowded.iter().all(|&n| n >= 3), "{crowded:?}");
    let [usual, crowded]: [usize; 2] = [usual.iter().sum(), crowded.iter().sum()];
    assert!(crowded >= 2 * usual, "{crowded} and {usual}");
}

#[test]
fn equal_seeds_plan_and_paint_the_same() {
    let atlas = Atlas::load().unwrap();
    let table = Table::load().unwrap();
    let make = |seed| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let label = number("infectious_brain_abscess");
        let mut plan = plan_with(&atlas, &table, ADULT, &[label], &mut rng);
        let mut head = built(&atlas, &plan, &mut rng);
        let lesions = plan.apply(&mut head);
        (plan.findings, lesions, head.head.layers)
    };
    assert_eq!(make(3), make(3));
    assert_ne!(make(3).1, make(4).1);
}
