//! A clinic replayed, study by study: two scanners, one of which gets new software.

mod clinic;
mod store;

use clinic::{Clinic, OUTPUTS, Random};

use super::chart::{self, Chart};
use super::drift::{Compared, compare};
use super::*;
use crate::store::quality::{Fate, Measured};

const CONFIG: Config = Config { reference: 300, recent: 100, studies_per_false_alarm: 5000 };

/// Studies of one scanner, from the first.
fn studies(clinic: &mut Clinic, number: i64) -> Vec<Study> {
    (1..=number)
        .map(|row| Study {
            row,
            at: row * 3_600_000,
            software: clinic.software().to_owned(),
            measured: Some(clinic.measured()),
        })
        .collect()
}

/// What a look at these studies finds; the reference are the first.
fn compared(studies: &[Study], new: u32) -> Compared {
    let (reference, rest) = studies.split_at(CONFIG.reference);
    let latest = &rest[rest.len().saturating_sub(2 * CONFIG.recent)..];
    let share = f64::from(new) / CONFIG.studies_per_false_alarm as f64;
    compare(reference, latest, CONFIG.recent, &clinic::outputs(), share)
}

/// Every look of `LOOK` studies from the first that can be made.
fn looks(studies: &[Study]) -> impl Iterator<Item = Compared> {
    let first = CONFIG.reference + CONFIG.recent;
    (first..=studies.len()).step_by(LOOK as usize).map(|end| compared(&studies[..end], LOOK))
}

#[test]
fn a_scanner_that_stays_as_it_is_alarms_as_rarely_as_stated() {
    const SEEDS: u64 = 25;
    const STUDIES: i64 = 1400;
    let (mut alarmed, mut looked) = (0, 0);
    for seed in 0..SEEDS {
        let studies = studies(&mut Clinic::new(seed), STUDIES);
        for compared in looks(&studies) {
            looked += 1;
            alarmed += usize::from(!compared.alarms.is_empty());
        }
    }
    let stated = looked * LOOK as usize / CONFIG.studies_per_false_alarm;
    assert!(alarmed <= stated, "{alarmed} of {looked} looks alarmed, {stated} are stated");
}

#[test]
fn an_upgrade_is_told_within_eighty_studies_with_what_it_changed() {
    for seed in 0..25 {
        let mut clinic = Clinic::new(seed);
        let mut studies = studies(&mut clinic, 500);
        clinic.upgrade();
        let more = (501..=580).map(|row| Study {
            row,
            at: row * 3_600_000,
            software: clinic.software().to_owned(),
            measured: Some(clinic.measured()),
        });
        studies.extend(more);
        let found = compared(&studies, LOOK).alarms;
        let [(Kind::Input, images), (Kind::Scores, scores)] = &found[..] else {
            panic!("seed {seed}: {found:?}");
        };
        assert_eq!(images.name, "brightness", "seed {seed}");
        assert!((1.2..1.45).contains(&images.now), "seed {seed}: {images:?}");
        let software = Some(["V1".to_owned(), "V2".to_owned()]);
        assert_eq!((images.after, &images.software), (500, &software), "seed {seed}");
        assert!(scores.name.starts_with("shifted"), "seed {seed}: {scores:?}");
        assert!(scores.now > scores.before + 0.8, "seed {seed}: {scores:?}");
    }
}

/// Scanners that say nothing of their software: when it began is estimated.
#[test]
fn a_change_that_nobody_announces_is_dated() {
    let mut late = Vec::new();
    for seed in 0..25 {
        let mut clinic = Clinic::new(seed);
        let mut all = studies(&mut clinic, 500);
        clinic.upgrade();
        all.extend(studies(&mut clinic, 80).into_iter().map(|study| Study {
            row: study.row + 500,
            at: (study.row + 500) * 3_600_000,
            ..study
        }));
        all.iter_mut().for_each(|study| study.software.clear());
        let alarms = compared(&all, LOOK).alarms;
        let evidence = &alarms[0].1;
        assert_eq!((alarms[0].0, &evidence.software), (Kind::Input, &None));
        assert_eq!(evidence.since, (evidence.after + 1) * 3_600_000);
        late.push((evidence.after - 500).abs());
    }
    late.sort_unstable();
    assert!(late[12] <= 2 && late[24] <= 20, "{late:?}");
}

#[test]
fn another_mixture_of_sequences_is_no_drift() {
    let mut clinic = Clinic::new(3);
    let mut all = studies(&mut clinic, 400);
    // From now on every study has its FLAIR twice and no diffusion.
    for study in &mut all[300..] {
        let series = &mut study.measured.as_mut().unwrap().series;
        let flair = series.iter().find(|s| s.kind == "flair").unwrap().clone();
        series.retain(|s| s.kind != "diffusion");
        series.push(flair);
    }
    assert_eq!(compared(&all, LOOK).alarms, []);
}

#[test]
fn a_figure_that_was_always_the_same_is_watched_too() {
    for (slices, more) in [(20.0, false), (30.0, true)] {
        let mut all = studies(&mut Clinic::new(5), 440);
        for study in &mut all[360..] {
            for series in &mut study.measured.as_mut().unwrap().series {
                series.slices = slices;
            }
        }
        let alarms = compared(&all, LOOK).alarms;
        let evidence = &alarms[0].1;
        assert_eq!((evidence.name.as_str(), evidence.after), ("slices", 360));
        assert_eq!(evidence.now > 1.0, more);
    }
}

#[test]
fn studies_without_figures_are_no_drift_and_no_failure() {
    let mut all = studies(&mut Clinic::new(1), 400);
    for study in &mut all[340..] {
        study.measured = None;
    }
    let compared = compared(&all, LOOK);
    assert_eq!((compared.streams.len(), compared.alarms.len()), (0, 0), "too few are measured");
    let empty = Measured::default();
    for study in &mut all {
        study.measured = Some(empty.clone());
    }
    assert!(self::compared(&all, LOOK).alarms.is_empty());
}

/// What became of studies, with events at a rate; all were read.
fn fates(random: &mut Random, rows: std::ops::RangeInclusive<i64>, rate: f64) -> Vec<Fate> {
    rows.map(|row| {
        let event = random.uniform() < rate;
        Fate { row, at: row, analysed: !event, overridden: Some(event) }
    })
    .collect()
}

fn of_results(reference: &[Fate], course: &[Fate], after: i64) -> Chart {
    chart::no_result(reference, course, after, CONFIG.studies_per_false_alarm as f64).unwrap()
}

#[test]
fn charts_alarm_as_rarely_as_stated_whatever_the_reference_was() {
    const COURSE: i64 = 2000;
    for rate in [0.02, 0.1, 0.4] {
        let (mut alarms, mut studies) = (0, 0);
        for seed in 0..60 {
            let random = &mut Random(seed);
            let reference = fates(random, 1..=300, rate);
            let course = fates(random, 301..=300 + COURSE, rate);
            let chart = of_results(&reference, &course, 300);
            assert!(chart.usual > chart.reference && chart.noticed > chart.usual);
            assert!(chart.run_length >= 5000.0 && chart.delay < 500.0, "{chart:?}");
            // Until the alarm; what comes after it is not counted.
            let seen = chart.alarm.as_ref().map_or(COURSE, |alarm| alarm.after - 300);
            alarms += usize::from(chart.alarm.is_some());
            studies += usize::try_from(seen).unwrap();
        }
        let stated = studies / CONFIG.studies_per_false_alarm;
        assert!(alarms <= stated, "at {rate}: {alarms} alarms in {studies}, {stated} are stated");
    }
}

#[test]
fn a_run_of_overrides_is_told_until_somebody_knows() {
    let random = &mut Random(1);
    let reference = fates(random, 1..=300, 0.1);
    let mut course = fates(random, 301..=500, 0.1);
    course.extend(fates(random, 501..=600, 0.4));
    let run_length = CONFIG.studies_per_false_alarm as f64;
    let of = |after| chart::overrides(&reference, &course, after, run_length).unwrap();
    let evidence = of(300).alarm.unwrap();
    assert!((490..=520).contains(&evidence.after), "{evidence:?}");
    assert!(evidence.now > 0.3 && evidence.before < 0.15, "{evidence:?}");
    // Acknowledged, the chart begins anew; what goes on is told again.
    assert_eq!((of(590).alarm, of(590).studies), (None, 10));
    course.extend(fates(random, 601..=700, 0.4));
    let again = chart::overrides(&reference, &course, 600, run_length).unwrap();
    assert!(again.alarm.unwrap().after >= 600);
    // Nobody has read the reference.
    let unread: Vec<Fate> =
        reference.iter().map(|fate| Fate { overridden: None, ..*fate }).collect();
    assert_eq!(chart::overrides(&unread, &course, 300, run_length), None);
}

#[test]
fn a_reference_without_an_event_is_watched_too() {
    let random = &mut Random(2);
    let reference = fates(random, 1..=300, 0.0);
    let course = fates(random, 301..=400, 0.2);
    let chart = of_results(&reference, &course, 300);
    assert!(chart.usual > 0.005 && chart.usual < 0.02, "{chart:?}");
    assert!(chart.alarm.is_some());
}

#[test]
fn outputs_have_one_name_each() {
    let names = clinic::outputs();
    assert_eq!(names.len(), OUTPUTS);
}
