//! Evaluation sets of made-up predictions, for benches, tests and for looking at the report.
//!
//! Every score is drawn from a normal distribution that the label shifts; no network was trained.

mod files;

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use statistics::calibration::sigmoid;

pub use self::files::write;
use crate::set::{FORMAT_VERSION, Header, Output, Scores, Set, Study, Truth};

const DIAGNOSES: usize = 52;
const SERVICES: usize = 15;
const CATEGORIES: [&str; 6] =
    ["tumour", "ischaemia", "haemorrhage", "trauma", "cyst", "structural"];
const CLASSES: [&str; 4] = ["none", "low", "medium", "high"];

/// A set of so many studies, the same for the same seed.
#[must_use]
pub fn set(studies: u32, seed: u64) -> Set {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Set { header: header(), studies: (0..studies).map(|number| study(number, &mut rng)).collect() }
}

fn header() -> Header {
    let output = |kind: &str, i: usize, category: &str| Output {
        name: format!("{kind}_{i}"),
        title: format!("{kind} {i}"),
        category: category.to_owned(),
        threshold: 0.0,
        context_threshold: None,
    };
    let departments = ["neurology", "neurosurgery"];
    Header {
        format_version: FORMAT_VERSION,
        model: "made-up".to_owned(),
        cohort: "made-up predictions".to_owned(),
        split: "test".to_owned(),
        simulated: true,
        diagnoses: (0..DIAGNOSES)
            .map(|d| output("diagnosis", d, CATEGORIES[d % CATEGORIES.len()]))
            .collect(),
        services: (0..SERVICES).map(|s| output("service", s, departments[s % 2])).collect(),
        acuity: CLASSES.map(str::to_owned).to_vec(),
        embedding: 0,
    }
}

fn study(number: u32, rng: &mut ChaCha8Rng) -> Study {
    let mut pick = |of: &[&str]| of[rng.random_range(0..of.len())].to_owned();
    let groups: BTreeMap<String, String> = [
        ("sex", pick(&["female", "male"])),
        ("age", pick(&["below 18", "18 to 39", "40 to 64", "65 and above"])),
        ("county", pick(&["rural", "suburban", "urban"])),
        ("insurance", pick(&["government", "private", "uninsured"])),
        ("setting", pick(&["emergency", "inpatient", "outpatient"])),
        ("schedule", pick(&["working day", "working day", "working day", "weekend"])),
        ("manufacturer", pick(&["GE", "Philips", "Siemens"])),
        ("field strength", pick(&["1.5 T", "3 T"])),
    ]
    .map(|(attribute, group)| (attribute.to_owned(), group))
    .into();
    let slow = if groups["county"] == "rural" { 1.6 } else { 1.0 };
    let mut normal = || rng.sample::<f64, _>(StandardNormal);
    let age_years = (50.0 + 20.0 * normal()).clamp(0.0, 90.0);
    let turnaround_h = slow * 60.0 * (0.75 * normal()).exp();
    let age_found = age_years + 6.0 * normal();
    let has: Vec<bool> = (0..DIAGNOSES).map(|d| rng.random_bool(0.3 / (1.0 + d as f64))).collect();
    let referred: Vec<bool> =
        (0..SERVICES).map(|s| rng.random_bool(if has[s] { 0.9 } else { 0.02 })).collect();
    let class = has.iter().take(12).filter(|yes| **yes).count().min(CLASSES.len() - 1);
    let scores = |shift: f64, rng: &mut ChaCha8Rng| {
        let mut logit = |yes: bool| logit(if yes { shift } else { -shift }, rng);
        let diagnosis: Vec<f32> = has.iter().map(|yes| logit(*yes)).collect();
        Scores {
            probability: diagnosis.iter().map(|z| narrow(sigmoid(f64::from(*z)))).collect(),
            diagnosis,
            service: referred.iter().map(|yes| logit(*yes)).collect(),
            acuity: (0..CLASSES.len()).map(|c| logit(c == class)).collect(),
            age_years: Some(age_found),
        }
    };
    Study {
        id: format!("s{number:06}"),
        patient: format!("p{:06}", number / 6 * 5 + number % 6 % 5),
        groups,
        age_years: Some(age_years),
        turnaround_h: Some(turnaround_h),
        truth: Truth {
            diagnoses: (0..DIAGNOSES).filter(|d| has[*d]).collect(),
            services: (0..SERVICES).filter(|s| referred[*s]).collect(),
            acuity: Some(class),
        },
        scores: scores(0.9, rng),
        with_context: Some(scores(1.0, rng)),
        lesions: Vec::new(),
    }
}

fn logit(shift: f64, rng: &mut ChaCha8Rng) -> f32 {
    narrow(shift + rng.sample::<f64, _>(StandardNormal))
}

#[expect(clippy::cast_possible_truncation, reason = "a set holds f32")]
fn narrow(value: f64) -> f32 {
    value as f32
}
