//! The SQL against the pure order, and what a row says.

use std::sync::Arc;
use std::time::Duration;

use super::{DONE, OLDEST, ROW, Row, WorklistQuery, found, ordered, patterns, search_sql};
use crate::clock::ManualClock;
use crate::store::Store;
use crate::store::instances::{Arrival, SeriesFacts, StudyFacts};
use crate::triage::Acuity;
use crate::worklist::{AgeCaps, Facts, Queue, place};

const NOW: i64 = 1_800_000_000_000;
const HOUR: i64 = 3_600_000;

fn store() -> (tempfile::TempDir, Arc<ManualClock>, Store) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(NOW));
    let store = Store::open(&folder.path().join("test.sqlite"), clock.clone()).unwrap();
    (folder, clock, store)
}

/// Random studies, some of the same millisecond, ages around the limits.
fn fill(store: &Store, count: i64) -> Vec<(Queue, Facts)> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move |below: i64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.cast_unsigned()).cast_signed()
    };
    let mut studies = Vec::new();
    for id in 1..=count {
        let acuity = match random(5) {
            0 => None,
            1 => Some(Acuity::None),
            2 => Some(Acuity::Low),
            3 => Some(Acuity::Medium),
            _ => Some(Acuity::High),
        };
        let age = random(30 * HOUR);
        let first_at = NOW - if age % 3 == 0 { age / HOUR * HOUR } else { age };
        let done_at = (random(5) == 0).then(|| NOW - random(5) * 1000);
        let queue = Queue::of(acuity, random(2) == 0, done_at.is_some());
        studies.push((queue, Facts { id, acuity, first_at, done_at }));
    }
    store
        .write(|tx| {
            for (queue, Facts { id, acuity, first_at, done_at }) in &studies {
                tx.execute(
                    "INSERT INTO study (id, uid, first_at, last_at, queue, acuity, done_at)
                     VALUES (?1, ?1, ?2, ?2, ?3, ?4, ?5)",
                    (id, first_at, queue.word(), acuity.map(Acuity::word), done_at),
                )?;
            }
            Ok(())
        })
        .unwrap();
    studies
}

#[test]
fn the_database_orders_as_the_function_does() {
    let (_folder, _, store) = store();
    let studies = fill(&store, 600);
    let hours = |h: u64| Duration::from_secs(h * 3600);
    let tight = AgeCaps {
        high: hours(2),
        medium: hours(2),
        low: hours(3),
        none: hours(3),
        not_analysed: hours(3),
    };
    let endless = [Duration::MAX; 5];
    let [high, medium, low, none, not_analysed] = endless;
    let endless = AgeCaps { high, medium, low, none, not_analysed };
    for caps in [AgeCaps::default(), tight, endless] {
        for step in 0..30 {
            let now = NOW + step * HOUR - 2 * HOUR;
            for queue in Queue::ALL.map(Some).into_iter().chain([None]) {
                let mut expected: Vec<&Facts> = studies
                    .iter()
                    .filter(|(stands_in, _)| queue.is_none_or(|queue| *stands_in == queue))
                    .map(|(_, facts)| facts)
                    .collect();
                expected.sort_by_key(|facts| place(facts, &caps, now));
                let expected: Vec<i64> = expected.iter().map(|facts| facts.id).collect();
                let page = |offset, limit| {
                    let query = WorklistQuery { queue, offset, limit, ..Default::default() };
                    store.read(|db| ordered(db, &query, &caps, now)).unwrap()
                };
                assert_eq!(page(0, usize::MAX), expected, "{queue:?} at {now}");
                let pages: Vec<i64> = (0..7).flat_map(|i| page(i * 100, 100)).collect();
                assert_eq!(pages, expected, "{queue:?} at {now} in pages");
                let search = |offset, limit| {
                    let query = WorklistQuery { queue, offset, limit, ..Default::default() };
                    let all = patterns("^");
                    store.read(|db| found(db, &all, &query, &caps, now)).unwrap().1
                };
                assert_eq!(search(0, usize::MAX), expected, "{queue:?} at {now} by a search");
                let pages: Vec<i64> = (0..7).flat_map(|i| search(i * 100, 100)).collect();
                assert_eq!(pages, expected, "{queue:?} at {now} by a search in pages");
            }
        }
    }
}

#[test]
fn the_counts_are_those_of_the_queues() {
    let (_folder, _, store) = store();
    let studies = fill(&store, 600);
    let counts = store.queue_counts().unwrap();
    for queue in Queue::ALL {
        let expected = studies.iter().filter(|(stands_in, _)| *stands_in == queue).count();
        assert!(expected > 10, "{queue} is hardly tested");
        assert_eq!(counts.of(queue), expected.cast_signed() as i64, "{queue}");
    }
}

/// Otherwise a page of a list of 100,000 takes tenths of a second.
#[test]
fn a_page_reads_what_it_shows_and_a_search_one_index() {
    let (_folder, _, store) = store();
    let check = |sql: &str, expected: &str| {
        let plan = store.plan(sql);
        assert_eq!(plan.first().map(String::as_str), Some(expected), "{plan:?}");
        let rest = |step: &String| step.starts_with("SEARCH") || step.starts_with("CORRELATED");
        assert!(plan.iter().skip(1).all(rest), "{plan:?}");
    };
    let range = "(queue=? AND acuity=? AND first_at>? AND first_at<?)";
    check(OLDEST, &format!("SEARCH study USING COVERING INDEX study_queue {range}"));
    check(DONE, "SCAN study USING COVERING INDEX study_done");
    check(ROW, "SEARCH study USING INTEGER PRIMARY KEY (rowid=?)");
    for words in [1, 8] {
        check(&search_sql(words), "SCAN study USING COVERING INDEX study_search");
    }
}

fn arrive(store: &Store, number: i64, name: &str, id: &str, accession: &str) {
    let arrival = Arrival {
        study: StudyFacts {
            uid: format!("1.2.{number}"),
            patient_name: name.to_owned(),
            patient_id: id.to_owned(),
            accession: accession.to_owned(),
            expected_instances: Some(3),
            ..Default::default()
        },
        series: SeriesFacts { uid: "1.2.3".to_owned(), ..Default::default() },
        sop_uid: format!("1.2.{number}.1"),
        ..Default::default()
    };
    store.index(arrival).unwrap();
}

#[test]
fn a_search_needs_every_word() {
    let (_folder, _, store) = store();
    arrive(&store, 1, "Okafor^Ngozi", "P-100", "A1");
    arrive(&store, 2, "Okafor^Emeka", "P_200", "A2");
    arrive(&store, 3, "देवी^सीता", "100%", "B\\3");
    let check = |search: &str, expected: &[i64]| {
        let query = WorklistQuery { search: search.to_owned(), limit: 10, ..Default::default() };
        let listed = store.worklist(&query, &AgeCaps::default()).unwrap();
        let ids: Vec<_> = listed.rows.iter().map(|row| row.id).collect();
        assert_eq!(ids, expected, "{search:?}");
        assert_eq!(listed.counts.review, expected.len().cast_signed() as i64, "{search:?}");
    };
    check("", &[1, 2, 3]);
    check("  ", &[1, 2, 3]);
    check("okafor", &[1, 2]);
    check("ngozi okafor", &[1]);
    check("OKAFOR^EMEKA", &[2]);
    check("okafor A2", &[2]);
    check("okafor B", &[]);
    check("सीता", &[3]);
    check("100", &[1, 3]);
    // Signs that mean something to LIKE mean themselves.
    check("%", &[3]);
    check("_", &[2]);
    check("\\", &[3]);
    check("'; DROP TABLE study; --", &[]);
    check("o k a f o r n g z-but-the-ninth-word-does-not-count", &[1]);
}

#[test]
fn a_row_says_what_there_is() {
    let (_folder, clock, store) = store();
    arrive(&store, 1, "Okafor^Ngozi", "P-100", "A1");
    let row = || store.worklist_row(1, &AgeCaps::default()).unwrap().unwrap();
    let new = row();
    let expected = Row {
        id: 1,
        uid: "1.2.1".to_owned(),
        patient_id: "P-100".to_owned(),
        patient_name: "Okafor^Ngozi".to_owned(),
        birth_date: String::new(),
        sex: String::new(),
        age: String::new(),
        accession: "A1".to_owned(),
        study_date: String::new(),
        description: String::new(),
        state: "receiving".to_owned(),
        generation: 0,
        partial: false,
        instances: 1,
        expected_instances: Some(3),
        queue: Queue::Review,
        acuity: None,
        model_acuity: None,
        overridden_acuity: None,
        inference_id: None,
        findings: Vec::new(),
        referrals: Vec::new(),
        not_analysed: None,
        first_at: NOW,
        last_at: NOW,
        complete_at: None,
        finished_at: None,
        done_at: None,
        due_at: NOW + 4 * HOUR,
        overdue: false,
        hub: None,
    };
    assert_eq!(new, expected);
    clock.advance(Duration::from_secs(4 * 3600));
    assert_eq!(row(), Row { overdue: true, ..expected });
    assert_eq!(store.worklist_row(2, &AgeCaps::default()).unwrap(), None);
}

#[test]
fn an_assessment_of_another_format_is_said_to_be_unreadable() {
    let (_folder, _, store) = store();
    arrive(&store, 1, "", "", "");
    let check = |outcome: &str, reason: &str, assessment: Option<&str>, expected: Option<&str>| {
        store
            .write(|tx| {
                tx.execute("UPDATE study SET shown_inference = NULL", [])?;
                tx.execute("DELETE FROM inference", [])?;
                tx.execute(
                    "INSERT INTO inference (id, study_id, generation, model_digest, mode, outcome,
                                            reason, partial, finished_at, assessment)
                     VALUES (1, 1, 1, 'm', 'assist', ?, ?, 0, 0, ?)",
                    (outcome, reason, assessment),
                )?;
                tx.execute("UPDATE study SET shown_inference = 1", [])?;
                Ok(())
            })
            .unwrap();
        let row = store.worklist_row(1, &AgeCaps::default()).unwrap().unwrap();
        assert_eq!(row.not_analysed.as_deref(), expected, "{assessment:?}");
    };
    let unreadable = "the stored assessment cannot be read; analyse the study again";
    check("analysed", "", Some("{\"acuity\": 7}"), Some(unreadable));
    check("analysed", "", None, None);
    check("not_analysed", "no usable series", None, Some("no usable series"));
}
