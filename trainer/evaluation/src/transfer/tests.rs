use std::collections::BTreeSet;

use rand::Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use statistics::metrics::auroc;
use statistics::rows::Rows;

use super::folds::{INNER_FOLDS, rng};
use super::measure::{RESAMPLES, resample};
use super::*;

const WIDTH: usize = 12;
const PLAN: Plan = Plan { folds: 5, repeats: 2, seed: 3 };

/// Patients with one to three studies, and embeddings that tell the label: the first value leads
/// `yes`, the class and the number; `random` knows nothing of it.
struct Cohort {
    table: Table,
    rows: Vec<f32>,
}

fn cohort(patients: usize) -> Cohort {
    let rng = &mut rng(1, 0);
    let (mut text, mut rows) =
        (String::from("study,patient,site,yes,dx,age:number,random\n"), Vec::new());
    for patient in 0..patients {
        for study in 0..=patient % 3 {
            let row: [f32; WIDTH] = std::array::from_fn(|_| rng.sample(StandardNormal));
            let noise: f32 = rng.sample(StandardNormal);
            let lead = row[0] + 0.5 * noise;
            let class = if lead < -0.5 {
                "AD"
            } else if lead < 0.5 {
                "CN"
            } else {
                "MCI"
            };
            let yes = if lead > 0.0 { "yes" } else { "no" };
            let random = if rng.random_bool(0.5) { "yes" } else { "no" };
            let site = ["A", "B", ""][patient % 3];
            let age = 60.0 + 10.0 * lead;
            text += &format!("s{patient}-{study},p{patient},{site},{yes},{class},{age},{random}\n");
            rows.extend(row);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.csv");
    std::fs::write(&path, text).unwrap();
    Cohort { table: Table::read(&path).unwrap(), rows }
}

impl Cohort {
    fn task(&self, name: &str) -> Task {
        let label = self.table.labels.iter().find(|label| label.name == name).unwrap();
        Task::new(&self.table, label, PLAN, |_| true).unwrap()
    }

    fn linear(&self, name: &str) -> LabelResult {
        let (task, rows) = (self.task(name), Rows::new(&self.rows, WIDTH));
        let parts = task.parts(PLAN);
        let outputs = parts.par_iter().map(|part| linear::predict(rows, &task, part)).collect();
        task.result(&parts, vec![("linear", outputs)])
    }
}

fn patients<'a>(task: &'a Task, studies: &[usize]) -> BTreeSet<&'a str> {
    studies.iter().map(|study| task.studies[*study].patient.as_str()).collect()
}

#[test]
fn no_patient_is_in_two_folds_and_every_study_is_predicted_once() {
    let cohort = cohort(90);
    for name in ["yes", "dx", "age"] {
        let task = cohort.task(name);
        let parts = task.parts(PLAN);
        assert_eq!(parts.len(), PLAN.folds * PLAN.repeats);
        for repeat in parts.chunks(PLAN.folds) {
            let mut tested: Vec<usize> = repeat.iter().flat_map(|part| part.test.clone()).collect();
            tested.sort_unstable();
            assert!(tested.into_iter().eq(0..task.studies.len()), "{name}");
        }
        for part in &parts {
            assert_eq!(part.train.len() + part.test.len(), task.studies.len());
            assert!(patients(&task, &part.train).is_disjoint(&patients(&task, &part.test)));
            for inner in 0..INNER_FOLDS {
                let (outside, inside) = part.without(inner);
                assert!(!inside.is_empty());
                assert!(patients(&task, &outside).is_disjoint(&patients(&task, &inside)));
            }
        }
        assert_ne!(parts[0].test, parts[PLAN.folds].test, "repeats divide differently");
        assert_eq!(parts, task.parts(PLAN), "the same division every time");
    }
}

/// As many patients of a kind in each fold, give or take one.
#[test]
fn folds_are_alike() {
    let cohort = cohort(90);
    let yes = cohort.task("yes");
    for positive in [false, true] {
        let count = |part: &Part| {
            let says_yes = |patient: &&&str| {
                let own = (0..yes.studies.len()).filter(|s| yes.studies[*s].patient == ***patient);
                own.map(|study| yes.values.target(study, 0)).sum::<f64>() > 0.0
            };
            let of = patients(&yes, &part.test);
            of.iter().filter(|patient| says_yes(patient) == positive).count()
        };
        let counts: Vec<usize> = yes.parts(PLAN)[..PLAN.folds].iter().map(count).collect();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(*least > 0 && most - least <= 1, "{positive}: {counts:?}");
    }
    let age = cohort.task("age");
    let parts = age.parts(PLAN);
    let means = parts[..PLAN.folds].iter().map(|part| {
        let ages: Vec<f64> = part.test.iter().map(|study| age.values.target(*study, 0)).collect();
        mean(&ages)
    });
    let means: Vec<f64> = means.collect();
    assert!(means.iter().all(|mean| (mean - 60.0).abs() < 2.0), "{means:?}");
}

#[test]
fn a_planted_label_is_found_and_a_random_one_is_not() {
    let cohort = cohort(240);
    let found = cohort.linear("yes");
    let Measure::YesNo { auroc: Some(area), .. } = &found.probes[0].measure else { panic!() };
    // x ranks the sign of x + e / 2 with an area of 0.936 (a million draws).
    assert!(area.lower < 0.936 && area.upper > 0.936 && area.lower > 0.85, "{area:?}");
    let probe = &found.probes[0];
    assert_eq!((probe.folds.len(), probe.outputs.len()), (10, found.studies.len()));
    assert!((probe.mean.unwrap() - area.value).abs() < 0.03, "{:?}", probe.mean);
    assert!(probe.sd.unwrap() < 0.06);
    assert_eq!(probe.sites.keys().collect::<Vec<_>>(), ["A", "B"]);
    // What the outputs reach is what they reach, computed from the file alone.
    let outputs: Vec<f64> = probe.outputs.iter().map(|row| row[0]).collect();
    let Values::YesNo { truth } = &found.values else { panic!() };
    assert_eq!(auroc(&outputs, truth), Some(*area));
    let text = serde_json::to_string(&found).unwrap();
    let read: LabelResult = serde_json::from_str(&text).unwrap();
    assert_eq!((read.studies, read.values, read.folds), (found.studies, found.values, found.folds));

    let random = cohort.linear("random");
    let Measure::YesNo { auroc: Some(area), .. } = &random.probes[0].measure else { panic!() };
    assert!(area.lower < 0.5 && area.upper > 0.5, "{area:?}");

    let classes = cohort.linear("dx");
    let Measure::Class { auroc, mean_auroc, accuracy } = &classes.probes[0].measure else {
        panic!()
    };
    assert_eq!(auroc.len(), 3);
    let (area, accuracy) = (mean_auroc.unwrap(), accuracy.unwrap());
    assert!(area.value > 0.75 && accuracy.value > 0.55, "{:?}", classes.probes[0].measure);
    for of in [area, accuracy] {
        assert!(of.lower < of.value && of.value < of.upper && of.upper - of.lower < 0.2, "{of:?}");
    }
}

#[test]
fn numbers_are_measured_as_their_formulas_say() {
    let cohort = cohort(240);
    let found = cohort.linear("age");
    let Values::Number { truth } = &found.values else { panic!() };
    let probe = &found.probes[0];
    let Measure::Number { mean_absolute_error: Some(error), pearson: Some(pearson) } =
        &probe.measure
    else {
        panic!()
    };
    let gaps: Vec<f64> = probe.outputs.iter().zip(truth).map(|(out, t)| out[0] - t).collect();
    let direct = gaps.iter().map(|gap| gap.abs()).sum::<f64>() / gaps.len() as f64;
    assert!((error.value - direct).abs() < 1e-12);
    // Noise of 5 years leaves 4.0, and a correlation of 0.89.
    assert!((error.value - 3.99).abs() < 0.4 && (pearson.value - 0.894).abs() < 0.03, "{error:?}");
    assert!(
        error.lower < 3.99 && error.upper > 3.99 && pearson.lower < 0.894 && pearson.upper > 0.894
    );
    // The interval from the exported resamplings.
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (study, of) in found.studies.iter().enumerate() {
        groups.entry(&of.patient).or_default().push(study);
    }
    let groups: Vec<Vec<usize>> = groups.into_values().collect();
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|index| {
            mean(&resample(&groups, index).iter().map(|s| gaps[*s].abs()).collect::<Vec<_>>())
        })
        .collect();
    means.sort_by(f64::total_cmp);
    assert!((means[25] - error.lower).abs() < 1e-12 && (means[974] - error.upper).abs() < 1e-12);

    // x explains 4/5 of the variance, which is the slope that predictions regress by.
    let bias = probe.bias.unwrap();
    assert!((bias.slope - 0.8).abs() < 0.06, "{bias:?}");
    assert!((bias.intercept - 12.0).abs() < 3.6, "{bias:?}");
    assert!(bias.gap_correlation.unwrap() < -0.3, "{bias:?}");
    assert!(bias.corrected_gap_correlation.unwrap().abs() < 0.05, "{bias:?}");
    let of = |fold: usize| {
        let others = (0..truth.len()).filter(|study| found.folds[*study][0] != fold);
        let others: Vec<[f64; 2]> = others.map(|s| [1.0, truth[s]]).collect();
        let y: Vec<f64> = (0..truth.len())
            .filter(|s| found.folds[*s][0] != fold)
            .map(|s| gaps[s] + truth[s])
            .collect();
        solve_normal_equations(&others, &y)
    };
    let corrected = (0..truth.len()).map(|study| {
        let [intercept, slope] = of(found.folds[study][0]);
        // Corrected prediction = prediction + (age - (slope * age + intercept)), less the age.
        let predicted = gaps[study] + truth[study];
        (predicted + (truth[study] - (slope * truth[study] + intercept)) - truth[study]).abs()
    });
    let corrected = mean(&corrected.collect::<Vec<_>>());
    assert!(
        (bias.corrected_error - corrected).abs() < 1e-9,
        "{} {corrected}",
        bias.corrected_error
    );
}

fn solve_normal_equations(x: &[[f64; 2]], y: &[f64]) -> [f64; 2] {
    let sum = |a: usize, b: usize| x.iter().map(|row| row[a] * row[b]).sum::<f64>();
    let right = |a: usize| x.iter().zip(y).map(|(row, y)| row[a] * y).sum::<f64>();
    let determinant = sum(0, 0) * sum(1, 1) - sum(0, 1) * sum(1, 0);
    [
        (right(0) * sum(1, 1) - right(1) * sum(0, 1)) / determinant,
        (sum(0, 0) * right(1) - sum(1, 0) * right(0)) / determinant,
    ]
}

#[test]
fn a_class_with_fewer_patients_than_folds_is_refused() {
    let cohort = cohort(30);
    let label = cohort.table.labels.iter().find(|label| label.name == "yes").unwrap();
    let four: Vec<usize> = {
        let Values::YesNo { truth } = &label.values else { panic!() };
        let mut seen = BTreeSet::new();
        let said_yes = (0..truth.len()).filter(|row| truth[*row]);
        said_yes.filter(|row| seen.insert(&cohort.table.patients[*row])).take(4).collect()
    };
    let Values::YesNo { truth } = &label.values else { panic!() };
    let usable = |row: usize| !truth[row] || four.contains(&row);
    let refused = Task::new(&cohort.table, label, PLAN, usable).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "column `yes`: 4 patients with yes have a study that can be looked at, fewer than 5 folds; \
         give fewer --folds, or leave the class or the column out"
    );
}

#[test]
fn positives_are_counted_at_the_threshold_by_subset() {
    let study = |id: usize, logits: &[(&str, f32)]| PositiveStudy {
        study: format!("s{id}"),
        logits: logits.iter().map(|(subset, logit)| ((*subset).to_owned(), *logit)).collect(),
    };
    let studies = vec![
        study(0, &[("all series", 1.0), ("flair alone", 0.5)]),
        study(1, &[("all series", 0.5), ("flair alone", 0.4)]),
        study(2, &[("all series", 2.0)]),
    ];
    let found = Positives::of("tumor_adult_glioma", 0.5, studies);
    let subsets: Vec<(&str, usize, usize)> =
        found.subsets.iter().map(|s| (s.subset.as_str(), s.called, s.studies)).collect();
    assert_eq!(subsets, [("all series", 3, 3), ("flair alone", 1, 2)]);
    assert_eq!(found.subsets[0].rate, 1.0);
    assert!((found.subsets[0].interval[0] - 0.438_502_968_244_954_44).abs() < 1e-12);
}
