//! Which other studies are shown beside one.

use std::sync::Arc;

use crate::clock::ManualClock;
use crate::store::Store;
use crate::store::instances::{Arrival, StudyFacts};

#[test]
fn priors_are_of_the_same_patient() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.sqlite");
    let store = Store::open(&path, Arc::new(ManualClock::new(1))).unwrap();
    for (study, patient_id, birth_date) in [
        (1, "MRN7", "19700101"),
        (2, "MRN7", ""),
        (3, "MRN7", "19700101"),
        (4, "MRN7", "20100101"),
        (5, "MRN8", "19700101"),
        (6, "", "19700101"),
        (7, "", "19700101"),
    ] {
        let facts = StudyFacts {
            uid: format!("1.{study}"),
            patient_id: patient_id.to_owned(),
            birth_date: birth_date.to_owned(),
            study_date: format!("2026010{study}"),
            ..StudyFacts::default()
        };
        let sop_uid = format!("1.9.{study}");
        store.index(Arrival { study: facts, sop_uid, ..Arrival::default() }).unwrap();
    }
    #[track_caller]
    fn check(store: &Store, study: i64, expected: &[i64]) {
        let priors = store.priors(study, 10).unwrap();
        assert_eq!(priors.iter().map(|prior| prior.id).collect::<Vec<_>>(), expected);
    }
    // Newest first; an ID that is used again for somebody born otherwise is another patient.
    check(&store, 1, &[3, 2]);
    check(&store, 2, &[4, 3, 1]);
    check(&store, 4, &[2]);
    check(&store, 5, &[]);
    // No Patient ID says nothing.
    check(&store, 6, &[]);
    assert_eq!(store.priors(2, 1).unwrap().len(), 1);
}
