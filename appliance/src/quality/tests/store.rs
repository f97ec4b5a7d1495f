//! The same through the database: what results leave behind, looks, alarms, and what people do
//! about them.

use std::sync::Arc;
use std::time::Duration;

use super::clinic::Clinic;
use super::*;
use crate::clock::ManualClock;
use crate::store::assembly::Periods;
use crate::store::decisions::Decision;
use crate::store::instances::{Arrival, SeriesFacts, StudyFacts};
use crate::store::jobs::Finished;
use crate::store::models::Model;
use crate::store::quality::alarms::{Alarm, AlarmError};
use crate::triage::Acuity;

/// Small windows, so that few studies do.
const CONFIG: Config = Config { reference: 100, recent: 50, studies_per_false_alarm: 5000 };
/// From one study to the next.
const STUDY_MS: u64 = 600_000;
const SCANNERS: [&str; 2] = ["MR1", "MR2"];

struct Site {
    store: Store,
    clock: Arc<ManualClock>,
    clinics: [Clinic; 2],
    model: Model,
    studies: i64,
    /// Readers change so many of a hundred results.
    overrides: i64,
    _folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_800_000_000_000));
        let store = Store::open(&folder.path().join("a.sqlite"), clock.clone()).unwrap();
        let model = install(&store, "first");
        let clinics = [Clinic::new(11), Clinic::new(12)];
        Self { store, clock, clinics, model, studies: 0, overrides: 10, _folder: folder }
    }

    /// An image of a study arrives from a scanner, and the study is complete.
    fn image(&self, study: i64, image: i64, scanner: usize) {
        let name = SCANNERS[scanner];
        let arrival = Arrival {
            study: StudyFacts {
                uid: format!("1.2.{study}"),
                station: name.to_owned(),
                device_serial: format!("serial of {name}"),
                software: self.clinics[scanner].software().to_owned(),
                ..StudyFacts::default()
            },
            series: SeriesFacts { uid: format!("1.2.{study}.1"), ..SeriesFacts::default() },
            sop_uid: format!("1.2.{study}.1.{image}"),
            path: format!("{study}/{image}.dcm"),
            ..Arrival::default()
        };
        self.store.index(arrival).unwrap();
        let now = Periods { quiet: 0, after_release: 0, all_announced: 0, partial: 0 };
        self.store.complete_due(now).unwrap();
    }

    /// A study of one scanner, ten minutes after the last: it arrives, is analysed and read.
    fn study(&mut self, scanner: usize, not_analysed: bool) {
        self.clock.advance(Duration::from_millis(STUDY_MS));
        self.studies += 1;
        self.image(self.studies, 1, scanner);
        let job = self.store.next_job(Some(&self.model), None).unwrap().unwrap();
        let measured = self.clinics[scanner].measured();
        let finished = Finished {
            not_analysed: not_analysed.then(|| "no series of the study can be used".to_owned()),
            acuity: (!not_analysed).then_some("low"),
            measured: Some(if not_analysed { Measured::default() } else { measured }),
            ..Finished::default()
        };
        self.store.finish_job(&job, Some(&self.model), &finished).unwrap();
        // Spread evenly over the studies of each scanner: 10 of 100 is every tenth.
        let of_scanner = (self.studies + 1) / 2;
        let changed = |studies: i64| studies * self.overrides / 100;
        if !not_analysed && changed(of_scanner) > changed(of_scanner - 1) {
            let urgent = Decision::Reprioritise { acuity: Acuity::High, reason: "seen".to_owned() };
            self.store.decide(job.study_id, &urgent, "Dr. A").unwrap();
        }
        self.store.decide(job.study_id, &Decision::Done, "Dr. A").unwrap();
        look(&self.store, &CONFIG).unwrap();
    }

    /// So many studies of each scanner in turn, all analysed.
    fn go_on(&mut self, studies: usize) {
        for _ in 0..studies {
            self.study(0, false);
            self.study(1, false);
        }
    }

    fn open(&self) -> Vec<Alarm> {
        self.store.alarms(0).unwrap()
    }

    /// Scanner and kind of open alarms, the oldest first.
    fn told(&self) -> Vec<(String, Kind)> {
        self.open().into_iter().rev().map(|alarm| (alarm.scanner, alarm.kind)).collect()
    }

    fn found(&self, scanner: &str) -> Found {
        let looks = self.store.quality_looks(&self.model.digest).unwrap();
        let look = looks.iter().find(|look| look.scanner == scanner).unwrap();
        serde_json::from_str(&look.found).unwrap()
    }
}

fn install(store: &Store, name: &str) -> Model {
    let model = Model {
        digest: name.repeat(8),
        name: name.to_owned(),
        folder: String::new(),
        mode: Mode::Off,
        installed_at: 0,
        promoted_at: None,
        killed_at: None,
        context_encoder: String::new(),
        self_test: None,
        provenance: String::new(),
    };
    store.install_model(&model, "test").unwrap();
    store.set_model_mode(name, Mode::Assist, "test").unwrap()
}

#[test]
fn an_upgrade_of_one_scanner_is_told_named_and_silenced() {
    let mut site = Site::new();
    site.go_on(50);
    assert_eq!(site.found("MR2").studies, [41, 150], "it learns; the latest look was at study 41");
    site.go_on(130);
    assert_eq!(site.told(), [], "nothing has changed yet");
    let found = site.found("MR2");
    assert_eq!(found.studies, [150, 150]);
    assert!(found.no_result.is_some() && found.overrides.is_some(), "{found:?}");

    site.clinics[1].upgrade();
    let upgraded_at = site.store.clock().now();
    let mut studies = 0;
    while site.told().len() < 2 {
        site.go_on(1);
        studies += 1;
        assert!(studies <= 80, "{:?}", site.told());
    }
    let mr2 = || "MR2".to_owned();
    let mut told = site.told();
    told.sort_by_key(|(_, kind)| kind.word());
    assert_eq!(told, [(mr2(), Kind::Input), (mr2(), Kind::Scores)]);
    let alarms = site.open();
    let input = alarms.iter().find(|alarm| alarm.kind == Kind::Input).unwrap();
    let evidence: Evidence = serde_json::from_str(&input.evidence).unwrap();
    assert_eq!(evidence.name, "brightness");
    assert_eq!(evidence.software, Some(["V1".to_owned(), "V2".to_owned()]));
    let after = u64::try_from(evidence.since - upgraded_at).unwrap();
    assert_eq!(after, 2 * STUDY_MS, "its first study since, the other scanner's in between");
    let events = site.store.events(10).unwrap();
    let text = "scanner MR2: images look otherwise than before; see the page Quality";
    assert!(events.iter().any(|event| event.text == text), "{events:?}");

    // It stays open however often it is seen, and whoever acknowledges it says what was found.
    site.go_on(40);
    assert_eq!(site.told().len(), 2);
    assert_eq!(site.store.alarm_counts().unwrap(), [2, 0]);
    let id = alarms[0].id;
    assert!(matches!(site.store.acknowledge_alarm(id, " ", "x"), Err(AlarmError::NoReason)));
    site.store.acknowledge_alarm(id, "new software", "web: A").unwrap();
    assert_eq!(site.store.alarm_counts().unwrap(), [1, 1]);

    // The new normal is silent while it learns and afterwards.
    let scanner = alarms[0].scanner_id;
    new_normal(&site.store, scanner, "Dr. A has looked at ten studies", "web: A").unwrap();
    assert_eq!(site.told(), []);
    site.go_on(150);
    assert_eq!(site.told(), []);
    assert_eq!(site.found("MR2").studies, [150, 150]);
    let audit = site.store.audit_rows(0, 10_000).unwrap();
    let of = |action: &str| audit.iter().filter(|row| row.action == action).count();
    assert_eq!((of("quality.acknowledge"), of("quality.baseline")), (1, 1));
    let closed = site.store.alarms(10).unwrap();
    assert!(closed.iter().all(|alarm| alarm.closed_how.as_deref() == Some("baseline")));
}

#[test]
fn overrides_and_studies_without_a_result_are_told() {
    let mut site = Site::new();
    site.go_on(150);
    assert_eq!(site.told(), []);
    // Readers change half of the results, whatever the scanner.
    site.overrides = 50;
    let mut studies = 0;
    while site.told().len() < 2 {
        site.go_on(1);
        studies += 1;
        assert!(studies <= 60, "{:?}", site.told());
    }
    assert!(site.told().iter().all(|(_, kind)| *kind == Kind::Override), "{:?}", site.told());
    for alarm in site.open() {
        site.store.acknowledge_alarm(alarm.id, "a new reader", "test").unwrap();
    }
    // Nothing more of it, and after a whole window the alarms are closed.
    site.overrides = 10;
    site.go_on(80);
    assert_eq!(site.told(), []);
    let how = |alarm: &Alarm| alarm.closed_how.clone().unwrap();
    let past = site.store.alarms(10).unwrap();
    assert_eq!(past.iter().map(how).collect::<Vec<_>>(), ["passed", "passed"]);

    // Every third study of one scanner cannot be read.
    for n in 0..60 {
        site.study(0, n % 3 == 0);
        site.study(1, false);
    }
    assert!(site.told().contains(&("MR1".to_owned(), Kind::NoResult)), "{:?}", site.told());
    assert!(site.told().iter().all(|(scanner, _)| scanner == "MR1"), "{:?}", site.told());
    // Another model: what was said of the results of the one before is no longer open.
    site.model = install(&site.store, "second");
    site.go_on(1);
    assert_eq!(site.told(), []);
    assert_eq!(site.found("MR1").studies[0], 1, "it learns anew");
}

#[test]
fn only_the_assisting_model_and_one_result_a_study_are_watched() {
    let mut site = Site::new();
    site.study(0, false);
    let digest = site.model.digest.clone();
    let scanners = site.store.monitored_scanners(&digest).unwrap();
    assert_eq!((scanners.len(), scanners[0].name.as_str()), (1, "MR1"));
    // A late image: the study is analysed again, and counts once.
    site.image(1, 2, 0);
    let job = site.store.next_job(Some(&site.model), None).unwrap().unwrap();
    let measured = Measured { scores: vec![7.0], ..Measured::default() };
    let finished = Finished { measured: Some(measured), ..Finished::default() };
    site.store.finish_job(&job, Some(&site.model), &finished).unwrap();
    let studies = site.store.monitored_studies(&digest, 1, 0, Take::First(9)).unwrap();
    assert_eq!(studies.len(), 1);
    assert_eq!(studies[0].measured.as_ref().unwrap().scores, [7.0]);
    // A shadow's results are nobody's.
    site.image(2, 1, 0);
    let shadow = Model { mode: Mode::Shadow, digest: "s".repeat(40), ..site.model.clone() };
    let job = site.store.next_job(Some(&shadow), None).unwrap().unwrap();
    site.store.finish_job(&job, Some(&shadow), &Finished::default()).unwrap();
    assert!(site.store.monitored_scanners(&shadow.digest).unwrap().is_empty());
    assert_eq!(site.store.monitored_outputs(&digest).unwrap(), clinic::outputs());
    let error = new_normal(&site.store, 9, "why", "test").unwrap_err();
    assert_eq!(error.to_string(), "there is no scanner 9 whose studies are watched");
}
