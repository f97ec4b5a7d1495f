//! The order as a table and as properties, and the published effect in the simulator.

use std::time::Duration;

use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

use super::simulate::{SimulationConfig, simulate};
use super::{AgeCaps, Facts, Place, Queue, due_at, place};
use crate::triage::Acuity;

const HOUR: i64 = 3_600_000;
const NOW: i64 = 1_800_000_000_000;

/// `letter:acuity:age in hours`, with `-` for no acuity and `done` for the age of what is done;
/// expects the letters in reading order.
fn check_order(studies: &str, expected: &str) {
    let mut placed: Vec<(Place, &str)> = Vec::new();
    for (id, study) in (0..).zip(studies.split_whitespace()) {
        let [name, acuity, age] = study.split(':').collect::<Vec<_>>().try_into().unwrap();
        let done = age == "done";
        let hours: f64 = if done { 0.5 } else { age.parse().unwrap() };
        let age_ms = Duration::from_secs_f64(hours * 3600.0).as_millis();
        let facts = Facts {
            id,
            acuity: Acuity::from_word(acuity),
            first_at: NOW - i64::try_from(age_ms).unwrap(),
            done_at: done.then_some(NOW + id),
        };
        placed.push((place(&facts, &AgeCaps::default(), NOW), name));
    }
    placed.sort_unstable();
    let names: Vec<_> = placed.into_iter().map(|(_, name)| name).collect();
    assert_eq!(names.join(" "), expected, "{studies}");
}

#[test]
fn the_order_is_acuity_then_age_and_the_overdue_first() {
    check_order("", "");
    check_order("a:none:0.5 b:low:0.5 c:medium:0.5 d:high:0.5", "d c b a");
    check_order("a:medium:1 b:medium:3 c:medium:2", "b c a");
    // The same millisecond: the order of arrival.
    check_order("a:low:1 b:low:1", "a b");
    // Without an acuity: with medium, by age.
    check_order("a:medium:1 b:-:2 c:medium:3 d:low:5 e:high:0", "e c b a d");
    // A limit is reached at its last millisecond, not after it.
    check_order("a:high:0.5 b:none:23.99", "a b");
    check_order("a:high:0.5 b:none:24", "b a");
    // Longest overdue first, whatever the acuity.
    check_order("a:high:3 b:none:27 c:-:5 d:low:12.5", "b a c d");
    // Overdue for the same time: the acuity.
    check_order("a:none:25 b:high:2 c:-:5", "b c a");
    check_order("a:high:done b:high:done c:none:0", "c b a");
}

#[test]
fn a_study_stands_in_one_queue() {
    let check = |acuity: Option<Acuity>, not_analysed, done, expected| {
        assert_eq!(Queue::of(acuity, not_analysed, done), expected, "{acuity:?}");
    };
    check(Some(Acuity::High), false, false, Queue::Urgent);
    check(Some(Acuity::High), true, false, Queue::Urgent);
    check(Some(Acuity::Medium), false, false, Queue::Review);
    check(Some(Acuity::Low), true, false, Queue::Review);
    check(Some(Acuity::None), false, false, Queue::Review);
    check(None, false, false, Queue::Review);
    check(None, true, false, Queue::NotAnalysed);
    check(Some(Acuity::High), false, true, Queue::Done);
    check(None, true, true, Queue::Done);
    for queue in Queue::ALL {
        assert_eq!(Queue::from_word(queue.word()), Some(queue));
    }
    assert_eq!(Queue::from_word("Urgent"), None);
}

#[test]
fn limits_must_rise_as_acuity_falls() {
    let check = |hours: [u64; 5], expected: Option<&str>| {
        let [high, medium, low, none, not_analysed] = hours.map(|h| Duration::from_secs(h * 3600));
        let caps = AgeCaps { high, medium, low, none, not_analysed };
        let error = caps.check().err().map(|e| e.to_string());
        assert_eq!(error.as_deref(), expected, "{hours:?}");
    };
    check([1, 4, 12, 24, 4], None);
    check([4, 4, 4, 4, 4], None);
    check([0, 4, 12, 24, 4], Some("the waiting limit of acuity high is 0; it must be longer"));
    for (hours, longer, shorter) in [
        ([5, 4, 12, 24, 5], "high", "medium"),
        ([1, 13, 12, 24, 4], "medium", "low"),
        ([1, 4, 25, 24, 4], "low", "none"),
        ([2, 4, 12, 24, 1], "high", "not_analysed"),
        ([1, 4, 12, 24, 13], "not_analysed", "low"),
    ] {
        let message = format!(
            "the waiting limit of {longer} is longer than that of {shorter}; it must be the same \
             or shorter"
        );
        check(hours, Some(&message));
    }
    assert_eq!(AgeCaps::default().check(), Ok(()));
}

fn acuities() -> impl Strategy<Value = Option<Acuity>> {
    prop::option::of(prop::sample::select(Acuity::ALL.to_vec()))
}

/// Ages around the limits, so that both sides of each are met.
fn studies() -> impl Strategy<Value = Vec<Facts>> {
    let study = (acuities(), 0..30 * HOUR, prop::option::weighted(0.2, 0..HOUR));
    prop::collection::vec(study, 0..40).prop_map(|drafts| {
        let facts = drafts.into_iter().zip(0..).map(|((acuity, age, done), id)| Facts {
            id,
            acuity,
            // Whole hours now and then, so that times coincide.
            first_at: NOW - if age % 2 == 0 { age } else { age / HOUR * HOUR },
            done_at: done.map(|ago| NOW - ago),
        });
        facts.collect()
    })
}

/// Limits that [`AgeCaps::check`] accepts, in whole hours.
fn limits() -> impl Strategy<Value = AgeCaps> {
    (prop::array::uniform4(1_u64..30), any::<bool>()).prop_map(|(mut hours, early)| {
        hours.sort_unstable();
        let [high, medium, low, none] = hours.map(|h| Duration::from_secs(h * 3600));
        let not_analysed = if early { high } else { low };
        AgeCaps { high, medium, low, none, not_analysed }
    })
}

fn ids_in_order(mut facts: Vec<Facts>, caps: &AgeCaps, now: i64) -> Vec<i64> {
    facts.sort_by_key(|facts| place(facts, caps, now));
    facts.iter().map(|facts| facts.id).collect()
}

proptest! {
    /// No two places are equal, so the order cannot depend on where it began.
    #[test]
    fn the_order_is_total(facts in studies(), caps in limits()) {
        let order = ids_in_order(facts.clone(), &caps, NOW);
        prop_assert_eq!(&ids_in_order(facts.iter().rev().copied().collect(), &caps, NOW), &order);
        let mut places: Vec<_> = facts.iter().map(|f| place(f, &caps, NOW)).collect();
        places.sort_unstable();
        prop_assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
    }

    /// Once a study is overdue nothing that arrives from then on is read before it, and those
    /// that are read before it stay before it: it is their turn first and then its own.
    #[test]
    fn no_study_starves(facts in studies(), caps in limits(), later in 1..30 * HOUR,
                        acuity in acuities(), gap in 0..HOUR) {
        let after = NOW + later;
        let overdue = |f: &&Facts| f.done_at.is_none() && due_at(f, &caps) <= NOW;
        for study in facts.iter().filter(overdue) {
            let newcomer = Facts { id: 1000, acuity, first_at: NOW + gap, done_at: None };
            prop_assert!(place(study, &caps, after) < place(&newcomer, &caps, after));
            let before = |now: i64| {
                let own = place(study, &caps, now);
                facts.iter().filter(|f| place(f, &caps, now) < own).map(|f| f.id).collect::<Vec<_>>()
            };
            prop_assert_eq!(before(NOW), before(after));
        }
    }

    /// Not analysed, or not yet, never stands behind a negative that arrived with it or later.
    #[test]
    fn unknown_is_never_below_a_negative(facts in studies(), caps in limits()) {
        let open = |f: &&Facts| f.done_at.is_none();
        for unknown in facts.iter().filter(open).filter(|f| f.acuity.is_none()) {
            for negative in facts.iter().filter(open).filter(|f| f.acuity == Some(Acuity::None)) {
                if unknown.first_at <= negative.first_at {
                    prop_assert!(place(unknown, &caps, NOW) < place(negative, &caps, NOW));
                }
            }
        }
    }

    /// The same for every pair of acuities: more acute and not younger is read first.
    #[test]
    fn age_and_acuity_together_win(facts in studies(), caps in limits()) {
        let known = || facts.iter().filter(|f| f.done_at.is_none() && f.acuity.is_some());
        for (a, b) in known().flat_map(|a| known().map(move |b| (a, b))) {
            if a.acuity > b.acuity && a.first_at <= b.first_at {
                prop_assert!(place(a, &caps, NOW) < place(b, &caps, NOW));
            }
        }
    }
}

/// A clinic with one reader in the day, 95 % busy, and a model like the published ones.
fn clinic() -> SimulationConfig {
    SimulationConfig {
        arrivals_per_day: 44.0,
        reader_hours: (8.0, 18.0),
        minutes_per_study: 13.0,
        prevalence: [0.1, 0.2, 0.3],
        sensitivity: 0.9,
        specificity: 0.9,
        caps: AgeCaps::default(),
        days: 180,
        seed: 1,
    }
}

#[test]
fn the_cap_repairs_what_priority_breaks() {
    for seed in 1..=5 {
        let report = simulate(&SimulationConfig { seed, ..clinic() }).unwrap();
        let [first, priority, cap] =
            [report.first_come, report.by_priority, report.with_cap].map(|o| *o.of(Acuity::High));
        assert!(first.studies > 500 && first.studies == priority.studies, "seed {seed}");
        assert!(priority.mean < first.mean, "seed {seed}\n{report}");
        assert!(priority.maximum > first.maximum, "seed {seed}\n{report}");
        assert!(cap.maximum < priority.maximum, "seed {seed}\n{report}");
        assert!(cap.mean < first.mean, "seed {seed}\n{report}");
    }
}

#[test]
fn a_report_is_a_table() {
    assert_eq!(simulate(&clinic()).unwrap().to_string(), TABLE);
}

const TABLE: &str = "\
order                  true acuity  studies      mean 95 of 100   longest
first come             high             825      9:57     20:09     32:27
first come             medium          1566     10:11     21:28     30:15
first come             low             2357     10:10     21:14     32:59
first come             none            3269     10:18     21:16     33:41
first come             all             8017     10:12     21:08     33:41
by priority            high             825      5:53     14:34     57:49
by priority            medium          1566      6:21     14:52     51:42
by priority            low             2357      7:16     16:20     51:11
by priority            none            3269     15:37     40:34     56:37
by priority            all             8017     10:21     33:27     57:49
by priority, with cap  high             825      6:14     14:58     36:38
by priority, with cap  medium          1566      6:37     15:19     38:04
by priority, with cap  low             2357      8:10     20:07     38:01
by priority, with cap  none            3269     14:21     32:07     39:27
by priority, with cap  all             8017     10:11     27:34     39:27
Waiting from the first image to the beginning of the reading, in h:mm.
";

#[test]
fn a_report_depends_on_the_seed_alone() {
    let config = SimulationConfig { days: 30, ..clinic() };
    assert_eq!(simulate(&config), simulate(&config));
    assert_ne!(simulate(&config), simulate(&SimulationConfig { seed: 2, ..config }));
}

/// A model that is always right and a list that never backs up: nobody waits in any order.
#[test]
fn nobody_waits_for_an_idle_reader() {
    let config = SimulationConfig {
        arrivals_per_day: 0.5,
        reader_hours: (0.0, 24.0),
        minutes_per_study: 0.1,
        ..clinic()
    };
    let report = simulate(&config).unwrap();
    assert!(report.first_come.all.studies > 50);
    assert!(report.first_come.all.maximum < Duration::from_secs(10), "{report}");
    assert_eq!(report.first_come, report.by_priority);
}

#[test]
fn impossible_clinics_are_refused() {
    let check = |config: SimulationConfig, expected: &str| {
        assert_eq!(simulate(&config).unwrap_err().to_string(), expected);
    };
    let c = clinic();
    let range = "it must be";
    check(
        SimulationConfig { arrivals_per_day: f64::NAN, ..c },
        &format!("arrivals_per_day is NaN; {range} above 0"),
    );
    check(
        SimulationConfig { minutes_per_study: 0.0, ..c },
        &format!("minutes_per_study is 0; {range} above 0"),
    );
    check(
        SimulationConfig { reader_hours: (24.0, 25.0), ..c },
        &format!("the reader's first hour is 24; {range} from 0 to below 24"),
    );
    check(
        SimulationConfig { reader_hours: (9.0, 9.0), ..c },
        &format!("the reader's last hour is 9; {range} after the first and at most 24"),
    );
    check(
        SimulationConfig { prevalence: [0.1, 0.2, -0.3], ..c },
        &format!("the share of low is -0.3; {range} from 0 to 1"),
    );
    check(
        SimulationConfig { prevalence: [0.5, 0.5, 0.5], ..c },
        &format!("the sum of the shares is 1.5; {range} at most 1"),
    );
    check(
        SimulationConfig { sensitivity: 1.5, ..c },
        &format!("sensitivity is 1.5; {range} from 0 to 1"),
    );
    check(SimulationConfig { days: 0, ..c }, &format!("days is 0; {range} above 0"));
    check(
        SimulationConfig { arrivals_per_day: 100.0, ..c },
        "reading takes 21.7 h a day and the reader has 10.0 h: the list grows without end in any \
         order; give the reader more hours or fewer studies",
    );
    check(
        SimulationConfig { days: 30_000, ..c },
        "1320000 studies are too many; a run has at most 1000000",
    );
    let caps = AgeCaps { none: Duration::from_secs(1), ..c.caps };
    check(
        SimulationConfig { caps, ..c },
        "the waiting limit of low is longer than that of none; it must be the same or shorter",
    );
}
