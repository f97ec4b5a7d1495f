//! What an image changes of its study, and what it costs.

use std::time::Duration;

use rusqlite::Connection;

use super::*;
use crate::clock::ManualClock;
use crate::store::{READERS, STEPS};
use crate::worklist::{AgeCaps, Queue};

const NOW: i64 = 1_800_000_000_000;

fn store() -> (tempfile::TempDir, Arc<ManualClock>, Store) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(NOW));
    let store = Store::open(&folder.path().join("test.sqlite"), clock.clone()).unwrap();
    (folder, clock, store)
}

fn image(number: u32, study: StudyFacts) -> Arrival {
    Arrival {
        study: StudyFacts { uid: "1.2".to_owned(), ..study },
        series: SeriesFacts { uid: "1.2.3".to_owned(), ..SeriesFacts::default() },
        sop_uid: format!("1.2.3.{number}"),
        ..Arrival::default()
    }
}

#[test]
fn the_first_image_that_has_a_value_sets_it() {
    let (_folder, clock, store) = store();
    let facts = |name: &str, station: &str, expected: Option<i64>| StudyFacts {
        patient_name: name.to_owned(),
        station: station.to_owned(),
        expected_instances: expected,
        field_strength_t: expected.map(|_| 1.5),
        ..StudyFacts::default()
    };
    let study = |number: u32, facts, expected: (&str, &str, Option<i64>)| {
        clock.advance(Duration::from_millis(1));
        let indexed = store.index(image(number, facts)).unwrap();
        assert_eq!(indexed, Indexed::New { study_id: 1 });
        let row = store.worklist_row(1, &AgeCaps::default()).unwrap().unwrap();
        let view = store.study_view(1).unwrap().unwrap();
        let said = (row.patient_name.as_str(), view.station.as_str(), row.expected_instances);
        assert_eq!(said, expected, "after image {number}");
        assert_eq!(view.field_strength_t, expected.2.map(|_| 1.5));
        let known = (row.instances, row.first_at, row.last_at);
        assert_eq!(known, (i64::from(number), NOW + 1, NOW + i64::from(number)));
    };
    study(1, facts("", "", None), ("", "", None));
    study(2, facts("", "", None), ("", "", None));
    study(3, facts("A", "", None), ("A", "", None));
    study(4, facts("B", "", None), ("A", "", None));
    study(5, facts("A", "S", Some(4)), ("A", "S", Some(4)));
    study(6, facts("", "", Some(3)), ("A", "S", Some(4)));
    study(7, facts("A", "S", Some(9)), ("A", "S", Some(9)));
    study(8, facts("A", "S", None), ("A", "S", Some(9)));
}

#[test]
fn an_image_opens_its_study_again() {
    let (_folder, _, store) = store();
    let marks = || -> (String, Option<i64>, Option<i64>) {
        store
            .read(|db| {
                let sql = "SELECT state, released_at, evicted_at FROM study";
                Ok(db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?)
            })
            .unwrap()
    };
    let open = ("receiving".to_owned(), None::<i64>, None::<i64>);
    store.index(image(1, StudyFacts::default())).unwrap();
    for (number, sql) in [
        (2, "UPDATE study SET released_at = 7"),
        (3, "UPDATE study SET evicted_at = 7"),
        (4, "UPDATE study SET state = 'settled', released_at = 7, evicted_at = 7"),
        (5, "UPDATE study SET queue = 'done', done_at = 7"),
    ] {
        store.sql(sql);
        store.index(image(number, StudyFacts::default())).unwrap();
        assert_eq!(marks(), open, "{sql}");
    }
    // What a reader was done with is back on the list.
    assert_eq!(store.queue_counts().unwrap().of(Queue::Review), 1);
}

/// However many images and studies there are, an image costs a few searches.
#[test]
fn an_image_walks_past_no_other() {
    let (_folder, _, store) = store();
    for sql in [LOOKED_UP, KNOWN, SERIES, RELEASED, ARRIVED, &complete_sql(), &upsert_sql()] {
        let plan = store.plan(sql);
        assert!(!plan.is_empty() && plan.iter().all(|step| step.starts_with("SEARCH")), "{plan:?}");
    }
    // Its triggers, the condition of each as the schema has it.
    let plan = store.plan("DELETE FROM change WHERE study_id = 7 AND id < 9");
    assert_eq!(plan, ["SEARCH change USING COVERING INDEX change_study (study_id=? AND rowid<?)"]);
    assert!(store.plan(ADDED).is_empty(), "adding a row looks for nothing");
}

/// Otherwise each image writes pages of indices in which nothing changed.
#[test]
fn no_index_has_what_every_image_changes() {
    let (_folder, _, store) = store();
    let indices: Vec<String> = store
        .read(|db| {
            let of_study = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql <> ''
                            AND tbl_name = 'study'";
            let mut select = db.prepare(of_study)?;
            let rows = select.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .unwrap();
    assert!(indices.len() > 5, "{indices:?}");
    for column in ["last_at", "released_at", "evicted_at"] {
        assert!(ARRIVED.contains(column));
        assert!(indices.iter().all(|sql| !sql.contains(column)), "{column}: {indices:?}");
    }
}

#[test]
fn a_database_of_an_earlier_version_knows_how_many_studies_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.sqlite");
    let mut old = Connection::open(&path).unwrap();
    rusqlite_migration::Migrations::from_slice(&STEPS[..11]).to_latest(&mut old).unwrap();
    old.execute_batch(
        "INSERT INTO study (uid, patient_name, first_at, last_at, queue, acuity, done_at) VALUES
             ('1', 'A', 1, 1, 'urgent', 'high', NULL), ('2', 'B', 2, 2, 'review', 'low', NULL),
             ('3', 'A', 3, 3, 'review', NULL, NULL), ('4', 'A', 4, 4, 'done', NULL, 5)",
    )
    .unwrap();
    drop(old);
    let store = Store::open(&path, Arc::new(ManualClock::new(6))).unwrap();
    let counts = || Queue::ALL.map(|queue| store.queue_counts().unwrap().of(queue));
    assert_eq!(counts(), [1, 2, 0, 1]);
    store.sql("UPDATE study SET queue = 'not_analysed' WHERE uid IN ('2', '3')");
    store.sql("UPDATE study SET queue = 'done', done_at = 7 WHERE uid = '1'");
    store.sql("UPDATE study SET queue = 'done' WHERE uid = '4'");
    assert_eq!(counts(), [0, 0, 2, 2]);
    store.sql("DELETE FROM study WHERE uid = '2'");
    store.index(image(1, StudyFacts::default())).unwrap();
    assert_eq!(counts(), [0, 1, 1, 2]);
}

#[test]
fn few_connections_are_kept() {
    fn read(store: &Store, deeper: usize) -> Result<usize, StoreError> {
        store.read(|_| if deeper == 0 { Ok(0) } else { read(store, deeper - 1) })
    }
    let (_folder, _, store) = store();
    read(&store, 2 * READERS).unwrap();
    assert_eq!(lock(&store.readers).len(), READERS);
    assert!(lock(&store.arrivals.0).is_empty());
}
