//! The planted factors are found again: by regression, and by the fairness part of the evaluation.

use std::collections::BTreeMap;

use evaluation::fairness::Settings;
use evaluation::fairness::delays::{Delay, delays};
use evaluation::set::{FORMAT_VERSION, Header, Scores, Set, Study, Truth};
use rand::{Rng, SeedableRng};
use rayon::prelude::*;
use statistics::distribution::normal_above;

use super::*;
use crate::cohort::record::Sex;
use crate::evaluate::score::groups;
use crate::simulate::story::patient::pick;

/// Cohorts whose intervals are counted, and studies in each.
const SEEDS: u64 = 200;
const STUDIES: usize = 4000;
const ACUITIES: [Acuity; 4] = [Acuity::None, Acuity::Low, Acuity::Medium, Acuity::High];

/// Least squares of `y` on the rows of `x`, by the normal equations.
fn regress(x: &[[f64; 10]], y: &[f64]) -> [f64; 10] {
    let mut a = [[0.0; 11]; 10];
    for (row, &value) in x.iter().zip(y) {
        for i in 0..10 {
            (0..10).for_each(|j| a[i][j] += row[i] * row[j]);
            a[i][10] += row[i] * value;
        }
    }
    for pivot in 0..10 {
        for other in (0..10).filter(|&o| o != pivot) {
            let factor = a[other][pivot] / a[pivot][pivot];
            let line = a[pivot];
            (0..11).for_each(|j| a[other][j] -= factor * line[j]);
        }
    }
    std::array::from_fn(|i| a[i][10] / a[i][i])
}

#[test]
fn regression_recovers_the_planted_factors() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for _ in 0..20_000 {
        let p = Patient::draw(260, &mut rng);
        let acuity = [Acuity::None, Acuity::High][rng.random_range(0..2)];
        y.push(f64::from(draw_h(&p, acuity, &mut rng)).ln());
        let flag = |holds: bool| if holds { 1.0 } else { 0.0 };
        x.push([
            1.0,
            flag(p.setting == Setting::Emergency),
            flag(p.setting == Setting::Inpatient),
            flag(acuity == Acuity::High),
            flag(p.county_density == Density::Rural),
            flag(p.county_density == Density::Suburban),
            flag(p.weekend()),
            flag(p.insurance == Insurance::Government),
            flag(p.insurance == Insurance::Uninsured),
            flag(p.sex == Sex::Female),
        ]);
    }
    let expected =
        [36.0, 4.0 / 36.0, 12.0 / 36.0, 0.45, RURAL, SUBURBAN, WEEKEND, GOVERNMENT, UNINSURED, 1.0];
    for (found, planted) in regress(&x, &y).into_iter().map(f64::exp).zip(expected) {
        // Four standard errors of the rarest group, uninsured patients.
        assert!((found / planted - 1.0).abs() < 0.08, "{found}, planted {planted}");
    }
}

/// Percent of every acuity: the old have more to be found, and other insurances.
fn acuities(age_years: f32) -> [u32; 4] {
    match age_years {
        ..18.0 => [50, 25, 15, 10],
        ..65.0 => [40, 25, 20, 15],
        _ => [25, 25, 30, 20],
    }
}

/// What an evaluation knows of a patient; every patient has one study.
fn study(patient: &Patient, acuity: usize, hours: f32, number: usize) -> Study {
    Study {
        id: format!("s{number}"),
        patient: format!("p{number}"),
        groups: groups(&patient.demographics(hours)),
        age_years: Some(f64::from(patient.age_years)),
        turnaround_h: Some(f64::from(hours)),
        truth: Truth { acuity: Some(acuity), ..Truth::default() },
        scores: Scores::default(),
        with_context: None,
        lesions: Vec::new(),
    }
}

fn cohort(seed: u64) -> Set {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let one = |number| {
        let patient = Patient::draw(260, &mut rng);
        let weights = acuities(patient.age_years);
        let weighted: Vec<(u32, usize)> = weights.into_iter().zip(0..).collect();
        let acuity = pick(&mut rng, &weighted);
        let hours = draw_h(&patient, ACUITIES[acuity], &mut rng);
        study(&patient, acuity, hours, number)
    };
    let studies = (0..STUDIES).map(one).collect();
    let header = Header {
        format_version: FORMAT_VERSION,
        model: "none".to_owned(),
        cohort: "turnaround".to_owned(),
        split: "test".to_owned(),
        simulated: true,
        diagnoses: Vec::new(),
        services: Vec::new(),
        acuity: ["none", "low", "medium", "high"].map(str::to_owned).to_vec(),
        embedding: 0,
    };
    Set { header, studies }
}

/// Every kind of patient with its acuity and its probability, by the table of [`Patient::draw`].
fn kinds() -> Vec<(Patient, usize, f64)> {
    let beyond = |years: f64| normal_above((years - 60.0) / 15.0);
    let elderly = |from, to| (beyond(from) - beyond(to)) / (beyond(18.0) - beyond(95.0));
    let ages = [
        (10.0, 0.30, [0.38, 0.58, 0.04]),
        (30.0, 0.25 * 22.0 / 27.0 + 0.45 * elderly(18.0, 40.0), [0.26, 0.66, 0.08]),
        (50.0, 0.25 * 5.0 / 27.0 + 0.45 * elderly(40.0, 65.0), [0.26, 0.66, 0.08]),
        (70.0, 0.45 * elderly(65.0, 95.0), [0.82, 0.17, 0.01]),
    ];
    let insurances = [Insurance::Government, Insurance::Private, Insurance::Uninsured];
    let counties = [(Density::Rural, 0.22), (Density::Suburban, 0.38), (Density::Urban, 0.40)];
    let days = [
        (Setting::Outpatient, 0, 0.62 * 0.96),
        (Setting::Outpatient, 5, 0.62 * 0.04),
        (Setting::Inpatient, 0, 0.22 * 0.75),
        (Setting::Inpatient, 5, 0.22 * 0.25),
        (Setting::Emergency, 0, 0.16 * 0.75),
        (Setting::Emergency, 5, 0.16 * 0.25),
    ];
    let mut kinds = Vec::new();
    for (age_years, of_age, insured) in ages {
        for (insurance, of_insurance) in insurances.into_iter().zip(insured) {
            for (county_density, of_county) in counties {
                for (setting, day, of_day) in days {
                    let sex = Sex::Other;
                    let patient =
                        Patient { age_years, sex, county_density, insurance, setting, day };
                    let share = of_age * of_insurance * of_county * of_day;
                    for (acuity, percent) in acuities(age_years).into_iter().enumerate() {
                        kinds.push((patient.clone(), acuity, share * f64::from(percent) / 100.0));
                    }
                }
            }
        }
    }
    kinds
}

/// The planted odds ratios: crude, and standardised over the strata of both groups.
fn planted(delay: &Delay) -> [f64; 2] {
    // Share of patients, and of late ones, in the group and in the reference.
    let mut strata: BTreeMap<Vec<String>, [[f64; 2]; 2]> = BTreeMap::new();
    for (patient, acuity, share) in kinds() {
        let groups = groups(&patient.demographics(0.0));
        let value = |name: &String| groups.get(name).cloned().unwrap_or(acuity.to_string());
        let own = value(&delay.attribute);
        let Some(arm) = [&delay.group, &delay.reference].iter().position(|name| **name == own)
        else {
            continue;
        };
        // Hours are written to a hundredth.
        let late = (delay.at_least_h - 0.005) / median_h(&patient, ACUITIES[acuity]);
        let slot = strata.entry(delay.adjusted_for.iter().map(value).collect()).or_default();
        slot[arm][0] += share;
        slot[arm][1] += share * normal_above(late.ln() / SIGMA);
    }
    let odds = |late: f64| late / (1.0 - late);
    let both: f64 = strata.values().flatten().map(|[share, _]| share).sum();
    let crude = [0, 1].map(|arm| {
        let sum = |what: usize| strata.values().map(|slot| slot[arm][what]).sum::<f64>();
        odds(sum(1) / sum(0))
    });
    let standardised = [0, 1].map(|arm| {
        let late = |slot: &[[f64; 2]; 2]| (slot[0][0] + slot[1][0]) * slot[arm][1] / slot[arm][0];
        odds(strata.values().map(late).sum::<f64>() / both)
    });
    [crude, standardised].map(|[group, reference]| group / reference)
}

/// Raw groups hide what was planted: on weekends fewer reports are late although every patient
/// waits longer, since weekends hold few outpatients. Intervals cover both truths.
///
/// Of 200 seeds, an interval that covers 95 % covers between 92 and 98 % nineteen times in twenty,
/// so that among a dozen one may miss by chance: all together they must not. Over 1000 seeds each
/// of the twelve covered between 94.1 and 96.4 %.
#[test]
fn intervals_cover_the_planted_odds_ratios() {
    let questions = Settings::of(&cohort(0)).questions;
    let found: Vec<Vec<Delay>> = (0..SEEDS)
        .into_par_iter()
        .map(|seed| delays(&cohort(seed), &questions, &mut Vec::new()))
        .collect();
    let share = |holds: &dyn Fn(&Vec<Delay>) -> bool| {
        found.iter().filter(|delays| holds(delays)).count() as f64 / SEEDS as f64
    };
    let mut sums = [0.0; 2];
    for (place, first) in found[0].iter().enumerate() {
        let [crude, adjusted] = planted(first);
        // What has no estimate covers nothing.
        let covered = [
            share(&|delays| {
                let own = delays[place].crude.as_ref();
                own.is_some_and(|own| own.lower <= crude && crude <= own.upper)
            }),
            share(&|delays| {
                let own = delays[place].adjusted.as_ref();
                own.is_some_and(|own| own.lower <= adjusted && adjusted <= own.upper)
            }),
        ];
        println!("{} {crude:.3} {adjusted:.3} {covered:?}", first.group);
        assert!(covered.iter().all(|c| (0.90..=0.99).contains(c)), "{}: {covered:?}", first.group);
        sums = [sums[0] + covered[0], sums[1] + covered[1]];
        let seen = share(&|d| d[place].adjusted.as_ref().is_some_and(|own| own.lower > 1.0));
        match first.group.as_str() {
            "rural" => assert!(seen > 0.95, "{seen}"),
            "weekend" => assert!(crude < 0.7 && adjusted > 1.9 && seen > 0.95, "{crude} {seen}"),
            _ => {}
        }
    }
    let means = sums.map(|sum| sum / found[0].len() as f64);
    assert!(means.iter().all(|mean| (0.92..=0.98).contains(mean)), "{means:?}");
}
