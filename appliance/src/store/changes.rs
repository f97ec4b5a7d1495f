//! Which studies changed lately, for pages that are open.
//!
//! Triggers number the changes of what pages show of a study (migration 6), and a study keeps the
//! number of its latest one. The numbers rise and outlive the daemon: a page that was away asks for
//! what came after the last number that it knows.

use super::{Store, StoreError};

/// Studies that are named.
const NAMED: usize = 100;

/// The latest changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Number of the latest one, 0 before the first.
    pub latest: i64,
    /// Number and study of the latest [`NAMED`], newest first.
    named: Vec<(i64, i64)>,
}

/// What changed after a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Nothing.
    Nothing,
    /// Rows of these studies, in the order of their latest changes.
    Studies(Vec<i64>),
    /// Any study may have: there were more than are named, or the number is of a database that was
    /// replaced since.
    Any,
}

impl Changes {
    /// What changed after the number `seen`.
    #[must_use]
    pub fn after(&self, seen: i64) -> Changed {
        if seen == self.latest {
            return Changed::Nothing;
        }
        // The number before the oldest that is named: whoever knows it has missed nothing.
        let known_from = match self.named.last() {
            Some((oldest, _)) if self.named.len() == NAMED => oldest - 1,
            _ => i64::MIN,
        };
        if seen > self.latest || seen < known_from {
            return Changed::Any;
        }
        let later = self.named.iter().rev().filter(|(number, _)| *number > seen);
        Changed::Studies(later.map(|(_, study)| *study).collect())
    }
}

/// By the table's own order, newest first.
const LATEST: &str = "SELECT id, study_id FROM change ORDER BY id DESC LIMIT ?";
const NEWEST: &str = "SELECT coalesce(max(id), 0) FROM change";

impl Store {
    /// The latest changes.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn changes(&self) -> Result<Changes, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached(LATEST)?;
            let rows =
                select.query_map([NAMED.cast_signed()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let named: Vec<(i64, i64)> = rows.collect::<Result<_, _>>()?;
            Ok(Changes { latest: named.first().map_or(0, |(number, _)| *number), named })
        })
    }

    /// Number of the latest change, 0 before the first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn latest_change(&self) -> Result<i64, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached(NEWEST)?;
            Ok(select.query_row([], |row| row.get(0))?)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;
    use crate::store::assembly::Periods;
    use crate::store::audit::Entry;
    use crate::store::decisions::Decision;
    use crate::store::deliveries::{Kind, Recipient};
    use crate::store::events::Level;
    use crate::store::explanations::ExplanationJob;
    use crate::store::instances::{Arrival, SeriesFacts, StudyFacts};
    use crate::store::jobs::Finished;
    use crate::store::models::{Mode, Model};

    struct Fixture {
        store: Store,
        seen: i64,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let clock = Arc::new(ManualClock::new(1_800_000_000_000));
            let store = Store::open(&folder.path().join("a.sqlite"), clock).unwrap();
            Self { store, seen: 0, _folder: folder }
        }

        fn image(&self, study: usize, image: usize) {
            let uid = format!("1.2.{study}");
            let arrival = Arrival {
                study: StudyFacts { uid: uid.clone(), ..StudyFacts::default() },
                series: SeriesFacts { uid: format!("{uid}.1"), ..SeriesFacts::default() },
                sop_uid: format!("{uid}.1.{image}"),
                path: format!("{study}/{image}.dcm"),
                ..Arrival::default()
            };
            self.store.index(arrival).unwrap();
        }

        /// What changed since this was called last.
        fn changed(&mut self) -> Changed {
            let changes = self.store.changes().unwrap();
            assert_eq!(self.store.latest_change().unwrap(), changes.latest);
            let changed = changes.after(self.seen);
            self.seen = changes.latest;
            changed
        }

        /// What came since is a change of study 1 and of no other.
        #[track_caller]
        fn is_one(&mut self, what: &str) {
            assert_eq!(self.changed(), Changed::Studies(vec![1]), "{what}");
        }
    }

    fn model() -> Model {
        Model {
            digest: "ab".repeat(32),
            name: "tiny".to_owned(),
            folder: "models/tiny".to_owned(),
            mode: Mode::Off,
            installed_at: 0,
            promoted_at: None,
            killed_at: None,
            context_encoder: String::new(),
            self_test: None,
            provenance: String::new(),
        }
    }

    #[test]
    fn whatever_happens_to_a_study_is_a_change() {
        let mut fixture = Fixture::new();
        let pacs = Recipient { name: "PACS".to_owned(), kinds: vec![Kind::Report] };
        fixture.store.set_destinations(&[pacs]).unwrap();
        fixture.store.install_model(&model(), "test").unwrap();
        let model = fixture.store.set_model_mode("tiny", Mode::Assist, "test").unwrap();
        fixture.image(1, 1);
        fixture.is_one("the first image");
        fixture.image(1, 2);
        fixture.is_one("another image");
        let now = Periods { quiet: 0, after_release: 0, all_announced: 0, partial: 0 };
        fixture.store.complete_due(now).unwrap();
        fixture.is_one("completion");
        let job = fixture.store.next_job(Some(&model), None).unwrap().unwrap();
        fixture.store.start_job(&job).unwrap();
        fixture.is_one("analysis");
        let assessment = r#"{"acuity": "high", "acuity_from": [], "findings": [{"label": "x",
            "name": "x", "margin": 0.1, "probability": null, "acuity": "high"}],
            "referrals": [], "rules_version": "", "rules_approver": "", "rules_sha256": ""}"#;
        let finished = Finished {
            acuity: Some("high"),
            assessment: Some(assessment.to_owned()),
            result: Some("{}".to_owned()),
            ..Finished::default()
        };
        fixture.store.finish_job(&job, Some(&model), &finished).unwrap();
        fixture.is_one("a result");
        let explained = ExplanationJob {
            study_id: 1,
            inference_id: 1,
            folder: String::new(),
            context: String::new(),
            finding: "x".to_owned(),
        };
        fixture.store.explained(&explained, Err("why not".to_owned())).unwrap();
        fixture.is_one("an explanation");
        let delivery = fixture.store.begin_delivery("PACS").unwrap().unwrap();
        assert_eq!((fixture.changed(), delivery.kind), (Changed::Nothing, Kind::Report));
        fixture.store.delivery_sent(&delivery, "PACS").unwrap();
        fixture.is_one("a report sent");
        let agreed = Decision::Agree { finding: "x".to_owned() };
        let decision = fixture.store.decide(1, &agreed, "test").unwrap();
        fixture.is_one("a decision");
        fixture.store.undo(decision, "test").unwrap();
        fixture.is_one("a decision undone");
        fixture.store.set_context(1, Some("fall"), "test").unwrap();
        fixture.is_one("a context");
        fixture.store.kill_model("tiny", true, "test").unwrap();
        fixture.is_one("a model killed");
    }

    #[test]
    fn what_no_page_of_a_study_shows_is_no_change() {
        let mut fixture = Fixture::new();
        fixture.image(1, 1);
        fixture.is_one("the first image");
        fixture.image(1, 1);
        fixture.store.note(Level::Info, "receive", "words").unwrap();
        let entry = Entry {
            actor: "test",
            action: "study.view",
            object: "study 1",
            detail: &serde_json::json!({}),
        };
        fixture.store.audit(&entry).unwrap();
        assert_eq!(fixture.changed(), Changed::Nothing);
    }

    #[test]
    fn the_latest_changes_are_read_without_the_rest() {
        let fixture = Fixture::new();
        // In the order of its keys, of which LIMIT takes the last.
        assert_eq!(fixture.store.plan(LATEST), ["SCAN change"]);
        assert_eq!(fixture.store.plan(NEWEST), ["SEARCH change"]);
    }

    #[test]
    fn studies_are_named_in_order_until_there_are_too_many() {
        let mut fixture = Fixture::new();
        for study in 1..=3 {
            fixture.image(study, 1);
        }
        fixture.image(1, 2);
        assert_eq!(fixture.changed(), Changed::Studies(vec![2, 3, 1]));
        let long_ago = fixture.seen;
        for study in 4..=3 + NAMED {
            fixture.image(study, 1);
        }
        let changes = fixture.store.changes().unwrap();
        let Changed::Studies(named) = changes.after(long_ago) else { panic!("{changes:?}") };
        assert_eq!(named.len(), NAMED);
        assert_eq!(changes.after(long_ago - 1), Changed::Any, "one more than are named");
        assert_eq!(changes.after(changes.latest + 1), Changed::Any, "of another database");
    }
}
