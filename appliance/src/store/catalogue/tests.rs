//! What keys match, in which order, and how much of it.

use std::sync::Arc;

use super::matching::{Kind, Pattern, in_time_range};
use super::{Keys, Level, Window, narrowing};
use crate::clock::ManualClock;
use crate::store::Store;
use crate::store::instances::{Arrival, SeriesFacts, StudyFacts};

const ALL: Window = Window { offset: 0, limit: 100 };

/// Four studies: 1 and 2 of one patient, 3 of a patient without an ID, 4 with nothing but UIDs.
/// Study 1 has series 12 (number 2), 11 (number 1) and 13 (none), in order of arrival.
fn archive() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.sqlite");
    let store = Store::open(&path, Arc::new(ManualClock::new(1))).unwrap();
    let facts = |uid: &str, texts: [&str; 6]| {
        let [id, name, accession, date, time, description] = texts.map(str::to_owned);
        StudyFacts {
            uid: uid.to_owned(),
            patient_id: id,
            patient_name: name,
            accession,
            study_date: date,
            study_time: time,
            description,
            ..StudyFacts::default()
        }
    };
    let first = facts("1.1", ["MRN7", "DOE^JANE", "A1", "20260101", "0930", "Brain w/o"]);
    let second = facts("1.2", ["MRN7", "DOE^JANE", "A2", "20260201", "103059.5", "Spine"]);
    let third = facts("1.3", ["", "MÜLLER^JÖRG", "A10", "20260301", "23", "BRAIN [3T] 100%"]);
    let fourth = facts("1.4", [""; 6]);
    for (study, series, number, modality, instance) in [
        (&first, "12", Some(2), "MR", "1.1.12.1"),
        (&first, "11", Some(1), "MR", "1.1.11.1"),
        (&first, "13", None, "SR", "1.1.13.1"),
        (&first, "11", Some(1), "MR", "1.1.11.2"),
        (&second, "21", Some(1), "MR", "1.2.21.1"),
        (&third, "31", Some(1), "CT", "1.3.31.1"),
        (&fourth, "41", None, "", "1.4.41.1"),
    ] {
        let series = SeriesFacts {
            uid: series.to_owned(),
            number,
            description: format!("T1 {modality}"),
            modality: modality.to_owned(),
            ..SeriesFacts::default()
        };
        let arrival = Arrival {
            study: study.clone(),
            series,
            sop_uid: instance.to_owned(),
            sop_class: format!("class {modality}"),
            transfer_syntax: "1.2.840.10008.1.2.1".to_owned(),
            bytes: 10,
            path: format!("studies/{instance}"),
            ..Arrival::default()
        };
        store.index(arrival).unwrap();
    }
    (folder, store)
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn studies_by_their_keys() {
    let (_folder, store) = archive();
    #[track_caller]
    fn check(store: &Store, change: impl FnOnce(&mut Keys), expected: &[&str]) {
        let mut keys = Keys::default();
        change(&mut keys);
        let found = store.find_studies(&keys, ALL).unwrap();
        assert_eq!(found.iter().map(|study| study.uid.as_str()).collect::<Vec<_>>(), expected);
    }
    let range = |from: &str, to: &str| Some([text(from), text(to)]);
    check(&store, |_| (), &["1.4", "1.3", "1.2", "1.1"]);
    check(&store, |k| k.patient_id = text("MRN7"), &["1.2", "1.1"]);
    check(&store, |k| k.patient_id = text("mrn7"), &[]);
    check(&store, |k| k.patient_id = text("M?N*"), &["1.2", "1.1"]);
    check(&store, |k| k.patient_name = text("doe^jane^"), &["1.2", "1.1"]);
    check(&store, |k| k.patient_name = text("DOE"), &[]);
    check(&store, |k| k.patient_name = text("müller*"), &["1.3"]);
    check(&store, |k| k.accession = text("A1"), &["1.1"]);
    check(&store, |k| k.accession = text("A1*"), &["1.3", "1.1"]);
    // No wildcards are those of SQL.
    check(&store, |k| k.accession = text("A_"), &[]);
    check(&store, |k| k.study_description = text("*[3t]*"), &["1.3"]);
    check(&store, |k| k.study_description = text("%"), &[]);
    check(&store, |k| k.study_uids = vec![text("1.1"), text("1.3"), text("1.9")], &["1.3", "1.1"]);
    check(&store, |k| k.study_date = range("20260101", "20260201"), &["1.2", "1.1"]);
    check(&store, |k| k.study_date = range("20260201", ""), &["1.3", "1.2"]);
    check(&store, |k| k.study_date = range("", "20260131"), &["1.1"]);
    check(&store, |k| k.study_time = range("1030", "1030"), &["1.2"]);
    check(&store, |k| k.study_time = range("", "10"), &["1.2", "1.1"]);
    check(&store, |k| k.modalities = vec![text("SR"), text("CT")], &["1.3", "1.1"]);
    check(&store, |k| k.modalities = vec![text("U*")], &[]);
    // Keys of a lower level do not count.
    check(&store, |k| k.series_uids = vec![text("11")], &["1.4", "1.3", "1.2", "1.1"]);
}

#[test]
fn what_a_study_says() {
    let (_folder, store) = archive();
    let window = |offset, limit| Window { offset, limit };
    let one = store.find_studies(&Keys::default(), window(3, 5)).unwrap();
    let [study] = &one[..] else { panic!("{one:?}") };
    assert_eq!((study.uid.as_str(), study.patient_name.as_str()), ("1.1", "DOE^JANE"));
    assert_eq!((study.n_series, study.n_instances), (3, 4));
    assert_eq!(study.modalities, ["MR", "SR"]);
    assert_eq!(store.find_studies(&Keys::default(), window(0, 2)).unwrap().len(), 2);
    assert!(store.find_studies(&Keys::default(), window(4, 2)).unwrap().is_empty());
}

#[test]
fn series_and_instances() {
    let (_folder, store) = archive();
    let of_first = Keys { study_uids: vec![text("1.1")], ..Keys::default() };
    let series = store.find_series(&of_first, ALL).unwrap();
    let said: Vec<_> = series.iter().map(|s| (s.uid.as_str(), s.n_instances)).collect();
    assert_eq!(said, [("11", 2), ("12", 1), ("13", 1)]);
    assert!(series.iter().all(|s| s.study.n_instances == 4 && s.study.patient_id == "MRN7"));

    let instances = store.find_instances(&of_first, ALL).unwrap();
    let paths: Vec<_> = instances.iter().map(|i| i.path.as_str()).collect();
    assert_eq!(
        paths,
        ["studies/1.1.11.1", "studies/1.1.11.2", "studies/1.1.12.1", "studies/1.1.13.1"]
    );
    assert_eq!((instances[0].series.n_instances, instances[0].bytes), (2, 10));

    #[track_caller]
    fn check(store: &Store, change: impl FnOnce(&mut Keys), n_series: usize, n_instances: usize) {
        let mut keys = Keys::default();
        change(&mut keys);
        assert_eq!(store.find_series(&keys, ALL).unwrap().len(), n_series);
        assert_eq!(store.find_instances(&keys, ALL).unwrap().len(), n_instances);
    }
    check(&store, |k| k.modality = text("MR"), 3, 4);
    check(&store, |k| k.series_number = Some(1), 3, 4);
    check(&store, |k| k.series_description = text("t1 s*"), 1, 1);
    check(&store, |k| k.series_uids = vec![text("11"), text("31")], 2, 3);
    check(&store, |k| k.sop_uids = vec![text("1.1.11.2")], 6, 1);
    check(&store, |k| k.sop_classes = vec![text("class SR")], 6, 1);
    check(&store, |k| k.patient_name = text("*j?rg"), 1, 1);
}

#[test]
fn studies_are_walked_and_sorted_one_at_a_time() {
    let (_folder, store) = archive();
    let plan = |level: Level, keys: &Keys| {
        let (filter, values) = narrowing(keys, level);
        let sql = format!("EXPLAIN QUERY PLAN {}", level.sql(keys, &filter));
        let steps = store.read(|db| {
            let mut explain = db.prepare(&sql)?;
            let steps = explain.query_map(rusqlite::params_from_iter(values), |row| row.get(3))?;
            Ok(steps.collect::<Result<Vec<String>, _>>()?)
        });
        steps.unwrap().join("; ")
    };
    for level in [Level::Series, Level::Instance] {
        let plan = plan(level, &Keys::default());
        assert!(plan.starts_with("SCAN study;"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE FOR ORDER BY"), "{plan}");
    }
    let of_uid = plan(Level::Instance, &Keys { sop_uids: vec![text("1")], ..Keys::default() });
    assert!(of_uid.starts_with("SEARCH instance"), "{of_uid}");
    let of_modality = plan(Level::Study, &Keys { modalities: vec![text("CT")], ..Keys::default() });
    assert!(of_modality.contains("COVERING INDEX series_modality"), "{of_modality}");
}

#[test]
fn patients_once_and_with_an_id() {
    let (_folder, store) = archive();
    let patients = store.find_patients(&Keys::default(), ALL).unwrap();
    let said: Vec<_> = patients.iter().map(|p| (p.patient_id.as_str(), p.n_studies)).collect();
    assert_eq!(said, [("MRN7", 2)]);
    let keys = Keys { patient_name: text("roe*"), ..Keys::default() };
    assert!(store.find_patients(&keys, ALL).unwrap().is_empty());
}

#[test]
fn evicted_studies_are_not_here() {
    let (_folder, store) = archive();
    store.begin_eviction(1, |_| true).unwrap();
    let uids = Keys { study_uids: vec![text("1.1")], ..Keys::default() };
    assert!(store.find_studies(&uids, ALL).unwrap().is_empty());
    assert!(store.find_instances(&uids, ALL).unwrap().is_empty());
    assert_eq!(store.find_patients(&Keys::default(), ALL).unwrap()[0].n_studies, 1);
}

#[test]
fn patterns() {
    #[track_caller]
    fn check(key: &str, kind: Kind, text: &str, expected: bool) {
        let pattern = Pattern::new(key, kind);
        assert_eq!(pattern.is_none_or(|pattern| pattern.matches(text)), expected);
    }
    let (identifier, description, name) = (Kind::Identifier, Kind::Description, Kind::Name);
    check("", identifier, "x", true);
    check("*", identifier, "", true);
    check(" A1 ", identifier, "A1", true);
    check("a1", identifier, "A1", false);
    check("A?", identifier, "A", false);
    check("*1*2", identifier, "1x1x2", true);
    check("*1*2", identifier, "1x2x", false);
    check("a*a", identifier, "a", false);
    check("[A]", identifier, "A", false);
    check("ÄRZTE*", description, "ärzte 5", true);
    check("a", description, "ä", false);
    check("doe", name, "DOE^JANE", false);
    check("DOE^JANE^^^", name, "doe^jane", true);
    check("DOE^*", name, "DOE", true);
    check("DOE*^JANE*", name, "DOE", false);
    check("DOE^^^^*", name, "DOE", true);
    check("DOE^^^^^*", name, "DOE", false);
    check("Yamada^Tarou=山田^太郎", name, "YAMADA^TAROU", true);
    check("=山田*", name, "山田^太郎", true);
    // No `^` at the end of an identifier is spare.
    check("A^*", identifier, "A", false);
    // Long patterns against long texts end.
    check(&"*a".repeat(200), identifier, &"a".repeat(199), false);
}

#[test]
fn times_of_unequal_precision() {
    #[track_caller]
    fn check(time: &str, from: &str, to: &str, expected: bool) {
        assert_eq!(in_time_range(time, &[text(from), text(to)]), expected);
    }
    check("103059.5", "10", "10", true);
    check("10", "1000", "1000", true);
    check("10", "1001", "11", false);
    check("11", "", "10", false);
    check("110000.000001", "", "110000", true);
    check("235960", "2359", "2359", true);
    check("10:30", "1030", "1030", true);
    check("", "", "", true);
    check("", "", "10", false);
}
