//! Figures against ones computed by hand.

use super::*;
use crate::clock::Clock as _;
use crate::store::testing::{NOW_MS, store};

fn case(site: &str, sex: &str) -> Case {
    let of = [site, sex, "18-39", "Acme"].map(str::to_owned);
    Case { of, analysed: true, ..Case::default() }
}

fn named<'g>(groups: &'g [Group], dimension: Dimension, name: &str) -> &'g Group {
    groups.iter().find(|group| group.dimension == dimension && group.name == name).unwrap()
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 5e-5, "{found} is not {expected}");
}

#[test]
fn figures_are_those_computed_by_hand() {
    let mut cases = vec![case("a", "F"); 10];
    for (n, case) in (1..).zip(&mut cases) {
        // 10, 20, ... 90; the last one has no result.
        case.result_s = (n < 10).then_some(10 * n);
        case.analysed = n < 10;
        case.judged = 1;
        case.confirmed = i64::from(n <= 8);
        case.read = n <= 5;
        case.overridden = n == 1;
    }
    let waits = [60, 120, 180, 240, 300, 3600]
        .map(|answer_s| Answered { of: ["a", "F", "18-39"].map(str::to_owned), answer_s });
    let groups = report(&cases, &waits);
    let figures = named(&groups, Dimension::Site, "a").figures.clone().unwrap();
    assert_eq!(figures.studies, 10);
    assert_eq!(figures.result, Some(Spread { median_s: 50, p90_s: 90 }));
    assert_eq!(figures.answer, Some(Spread { median_s: 180, p90_s: 3600 }));
    let ppv = figures.ppv.unwrap();
    // Eight of ten: 49.0 % to 94.3 %.
    near(ppv.value, 0.8);
    near(ppv.low, 0.49016);
    near(ppv.high, 0.94332);
    near(figures.overridden.unwrap().value, 0.2);
    near(figures.no_result.unwrap().value, 0.1);
    let vendor = named(&groups, Dimension::Vendor, "Acme").figures.clone().unwrap();
    assert_eq!(vendor.answer, None, "flags do not name the scanner");
}

#[test]
fn small_groups_are_hidden_and_none_can_be_subtracted() {
    let mut cases = vec![case("a", "F"); 30];
    cases.extend(vec![case("b", "M"); 6]);
    cases.extend(vec![case("c", "O"); 4]);
    let groups = report(&cases, &[]);
    let shown = |dimension| {
        let of = groups.iter().filter(|group| group.dimension == dimension);
        of.map(|group| (group.name.as_str(), group.figures.is_some())).collect::<Vec<_>>()
    };
    let expected = |names: [&'static str; 3]| [true, false, false].into_iter().zip(names);
    for (dimension, names) in
        [(Dimension::Site, ["a", "b", "c"]), (Dimension::Sex, ["F", "M", "O"])]
    {
        let expected: Vec<_> = expected(names).map(|(shown, name)| (name, shown)).collect();
        assert_eq!(shown(dimension), expected);
    }
    assert_eq!(shown(Dimension::Vendor), [("Acme", true)]);
    // Of many studies few were read.
    let figures = named(&groups, Dimension::Site, "a").figures.clone().unwrap();
    assert_eq!((figures.ppv, figures.overridden, figures.result), (None, None, None));
}

#[test]
fn a_later_outcome_replaces_an_earlier_one() {
    let (store, clock) = store();
    let outcome = |case: usize, sex: &str| Outcome {
        case: format!("c{case}"),
        outcome: "analysed".into(),
        sex: sex.into(),
        age_band: "<b>".into(),
        confirmed: 9,
        judged: 3,
        ..Outcome::default()
    };
    let apply = |outcome: &Outcome| {
        store.write(|tx| apply_outcome(tx, "a", outcome, clock.now_ms())).unwrap();
    };
    for case in 0..6 {
        apply(&outcome(case, "M"));
    }
    clock.forward(10_000);
    for case in 0..6 {
        apply(&outcome(case, "F"));
    }
    let groups = store.quality(NOW_MS).unwrap();
    let women = named(&groups, Dimension::Sex, "F").figures.clone().unwrap();
    assert_eq!(women.studies, 6);
    near(women.ppv.unwrap().value, 1.0);
    assert!(groups.iter().all(|group| group.name != "M" && group.name != "<b>"));
    assert!(store.quality(NOW_MS + 1).unwrap().is_empty(), "the period is that of the first");
}

#[test]
fn shares_of_the_beginning_are_kept_and_a_new_model_begins_anew() {
    let (store, _) = store();
    let say = |model: &str, studies: u32, rate: f32| {
        let telemetry = Telemetry {
            model_sha256: model.to_owned(),
            studies,
            finding_rates: BTreeMap::from([("glioma".to_owned(), rate)]),
            ..Telemetry::default()
        };
        store.write(|tx| apply_telemetry(tx, "a", &telemetry, NOW_MS)).unwrap();
        store.health().unwrap().remove("a").unwrap()
    };
    say("m1", 100, 0.5);
    say("m1", 100, 0.1);
    let later = say("m1", 100, 0.6);
    near(later.drift[0].first, 0.1);
    near(later.drift[0].now, 0.6);
    assert!(!later.drift[0].marked, "the samples overlap");
    assert!(say("m1", 100, 0.6).drift[0].marked);
    let other = say("m2", 100, 0.6);
    assert_eq!(other.studies, 100);
    near(other.drift[0].first, 0.6);
    near(say("m2", 1, f32::INFINITY).drift[0].now, 1.0);
}

#[test]
fn a_share_is_marked_beyond_four_standard_errors() {
    // Of 10 % and 24.3 %: the pooled share is 17.15 %, the error 3.77 %, four of them 15.1 %.
    assert!(!has_drifted(0.10, 0.243, 400));
    // Of 10 % and 26 %: 18 %, 3.84 %, 15.4 %.
    assert!(has_drifted(0.10, 0.26, 400));
    assert!(has_drifted(0.26, 0.10, 400));
    assert!(!has_drifted(0.0, 0.0, 400));
}
