//! From the queue to another box, which is down, refuses, or hangs up.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::super::Objects;
use super::super::association::ByAssociation;
use super::super::content::put;
use super::super::delivery::{Outages, Pace, Task, Way};
use crate::archive::{self, Archive};
use crate::clock::SystemClock;
use crate::scp::{self, Destination, Scp};
use crate::store::Store;
use crate::store::assembly::Periods;
use crate::store::deliveries::{Kind, Recipient};
use crate::store::instances::{Arrival, SeriesFacts, StudyFacts};
use crate::store::jobs::Finished;
use crate::store::models::{Mode, Model};
use crate::worklist::AgeCaps;

/// A store with an archive and a receiver, on one side of a wire.
pub(super) struct Site {
    folder: tempfile::TempDir,
    pub(super) store: Arc<Store>,
    archive: Arc<Archive>,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = Arc::new(Store::open(&path, Arc::new(SystemClock::new())).unwrap());
        store.begin_run().unwrap();
        let limits = archive::Config { max_instance_bytes: 4 << 20 };
        let archive = Archive::open(&folder.path().join("archive"), Arc::clone(&store), limits);
        Self { folder, store, archive: Arc::new(archive.unwrap()) }
    }

    /// Listens on this port, 0 for any.
    fn listen(&self, runtime: &Runtime, port: u16, limits: scp::Limits) -> Arc<Scp> {
        let address = Some(Ipv4Addr::LOCALHOST.into());
        let config = scp::Config { address, port: Some(port), limits, ..scp::Config::default() };
        let guard = runtime.enter();
        let scp = Scp::bind(config, Arc::clone(&self.archive), Arc::clone(&self.store)).unwrap();
        drop(guard);
        let scp = Arc::new(scp);
        let running = Arc::clone(&scp);
        runtime.spawn(async move { running.run(CancellationToken::new()).await });
        scp
    }

    /// Studies with an image and a result each, from `first` to `last`.
    pub(super) fn results(&self, numbers: std::ops::RangeInclusive<u32>) {
        for number in numbers {
            let name = format!("{number}.dcm");
            write_image(&self.archive.root().join(&name), number);
            let arrival = Arrival {
                study: StudyFacts { uid: format!("1.5.{number}"), ..Default::default() },
                series: SeriesFacts { uid: format!("1.5.{number}.1"), ..Default::default() },
                sop_uid: format!("1.5.{number}.1.1"),
                path: name,
                ..Default::default()
            };
            self.store.index(arrival).unwrap();
        }
        let now = Periods { quiet: 0, after_release: 0, all_announced: 0, partial: 0 };
        self.store.complete_due(now).unwrap();
        let model = self.model();
        let [result, assessment] = super::report::stored().map(Some);
        let finished = Finished { acuity: Some("high"), result, assessment, ..Finished::default() };
        while let Some(job) = self.store.next_job(Some(&model), None).unwrap() {
            self.store.finish_job(&job, Some(&model), &finished).unwrap();
        }
    }

    fn model(&self) -> Model {
        let model = Model {
            digest: "ab".repeat(32),
            name: "tiny".to_owned(),
            folder: "models/tiny".to_owned(),
            mode: Mode::Assist,
            installed_at: 0,
            promoted_at: None,
            killed_at: None,
            context_encoder: String::new(),
            self_test: None,
            provenance: "random numbers".to_owned(),
        };
        self.store.install_model(&model, "test").unwrap();
        self.store.set_model_mode("tiny", Mode::Assist, "test").unwrap()
    }

    /// Studies whose reports arrived, in this order.
    fn arrived(&self) -> Vec<String> {
        let studies = self.store.latest_studies(1000).unwrap();
        let caps = AgeCaps::default();
        let uid = |id: &i64| self.store.worklist_row(*id, &caps).unwrap().unwrap().uid;
        studies.iter().rev().map(uid).collect()
    }
}

fn write_image(path: &Path, number: u32) {
    let mut object = InMemDicomObject::new_empty();
    for (tag, vr, value) in [
        (tags::SOP_CLASS_UID, VR::UI, uids::MR_IMAGE_STORAGE.to_owned()),
        (tags::SOP_INSTANCE_UID, VR::UI, format!("1.5.{number}.1.1")),
        (tags::STUDY_INSTANCE_UID, VR::UI, format!("1.5.{number}")),
        (tags::PATIENT_ID, VR::LO, format!("MRN{number}")),
    ] {
        put(&mut object, tag, vr, &value);
    }
    let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    object.with_meta(meta).unwrap().write_to_file(path).unwrap();
}

const PACE: Pace = Pace {
    tick: Duration::from_millis(5),
    first_pause: Duration::from_millis(20),
    longest_silence: Duration::from_millis(50),
    longest_refusal: Duration::from_millis(50),
};

/// Our side with a task for each destination.
pub(super) struct Sender {
    pub(super) site: Site,
    runtime: Runtime,
    pub(super) outages: Outages,
}

impl Sender {
    fn new(archives: &[(&str, u16)]) -> Self {
        let new = Self::to(archives);
        let scp = new.site.listen(&new.runtime, 0, scp::Limits::default());
        for &(name, port) in archives {
            let way = ByAssociation {
                calling: "PRIMA".to_owned(),
                called: name.to_owned(),
                destination: Destination { host: "127.0.0.1".to_owned(), port, tls: false },
                commitment: false,
                scp: Arc::clone(&scp),
            };
            new.start(name, way);
        }
        new
    }

    /// With these destinations, and no task yet.
    pub(super) fn to(destinations: &[(&str, u16)]) -> Self {
        let new = Self {
            site: Site::new(),
            runtime: Runtime::new().unwrap(),
            outages: Outages::default(),
        };
        let recipient = |&(name, _): &(&str, u16)| Recipient {
            name: name.to_owned(),
            kinds: Kind::ALL.to_vec(),
        };
        let recipients: Vec<_> = destinations.iter().map(recipient).collect();
        new.site.store.set_destinations(&recipients).unwrap();
        new
    }

    /// The task of a destination.
    pub(super) fn start(&self, name: &str, way: impl Way + 'static) {
        let task = Task {
            name: name.to_owned(),
            way,
            refusals: 3,
            pace: PACE,
            objects: Objects {
                folder: self.site.folder.path().join("results"),
                archive: self.site.archive.root().to_owned(),
            },
            store: Arc::clone(&self.site.store),
            outages: self.outages.clone(),
        };
        self.runtime.spawn(task.run(CancellationToken::new()));
    }

    /// Waiting, sent and dead for an archive.
    fn counts(&self, archive: &str) -> [i64; 3] {
        let queues = self.site.store.delivery_queues().unwrap();
        let queue = queues.into_iter().find(|queue| queue.destination == archive).unwrap();
        [queue.waiting, queue.sent, queue.dead]
    }

    #[track_caller]
    pub(super) fn becomes(&self, archive: &str, counts: [i64; 3]) {
        let begun = Instant::now();
        while self.counts(archive) != counts {
            let now = self.counts(archive);
            assert!(begun.elapsed() < Duration::from_secs(60), "{archive}: {now:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A port that nobody listens on now.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_dead_archive_delays_no_other_and_gets_everything_in_order_when_it_is_back() {
    let alive = Site::new();
    let runtime = Runtime::new().unwrap();
    let scp = alive.listen(&runtime, 0, scp::Limits::default());
    let (port, dead_port) = (scp.addresses().plain.unwrap().port(), free_port());
    let sender = Sender::new(&[("ALIVE", port), ("DEAD", dead_port)]);
    sender.site.results(1..=500);
    sender.becomes("ALIVE", [0, 500, 0]);
    assert_eq!(sender.counts("DEAD"), [500, 0, 0]);
    let outage = sender.outages.now().remove("DEAD").unwrap();
    assert!(outage.said.starts_with("cannot connect to 127.0.0.1:"), "{}", outage.said);

    let back = Site::new();
    let _scp = back.listen(&runtime, dead_port, scp::Limits::default());
    sender.becomes("DEAD", [0, 500, 0]);
    let expected: Vec<String> = (1..=500).map(|number| format!("1.5.{number}")).collect();
    assert_eq!(back.arrived(), expected);
    assert_eq!(alive.arrived(), expected);
    assert!(sender.outages.now().is_empty());
    // What every archive has is not kept.
    let kept = std::fs::read_dir(sender.site.folder.path().join("results")).unwrap();
    assert_eq!(kept.count(), 0);
}

#[test]
fn an_object_that_is_refused_is_given_up_and_can_be_sent_again() {
    let theirs = Site::new();
    let runtime = Runtime::new().unwrap();
    let scp = theirs.listen(&runtime, 0, scp::Limits::default());
    theirs.archive.set_full(true);
    let sender = Sender::new(&[("PACS", scp.addresses().plain.unwrap().port())]);
    sender.site.results(1..=2);
    sender.becomes("PACS", [0, 0, 2]);
    let dead = sender.site.store.dead_deliveries(10).unwrap();
    let why = "it refused the object with status A700H";
    assert_eq!((dead[0].last_error.as_str(), dead[0].said.as_str()), (why, ""));
    let of_study = sender.site.store.study_deliveries(dead[0].study_id).unwrap();
    assert_eq!(of_study[0].last_error, why);
    assert_eq!(of_study[0].said, "disk full, keep the images");
    theirs.archive.set_full(false);
    assert!(sender.site.store.retry_delivery(dead[1].id, "Asha").unwrap());
    sender.becomes("PACS", [0, 1, 1]);
    assert_eq!(theirs.arrived(), ["1.5.1"]);
}

#[test]
fn an_archive_that_hangs_up_over_an_object_is_not_asked_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let theirs = Site::new();
    let runtime = Runtime::new().unwrap();
    let scp = theirs.listen(&runtime, 0, scp::Limits::default());
    let real = scp.addresses().plain.unwrap().port();
    // Between them a wire that passes the association on and cuts the first data set.
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            cut_after_association(stream, real);
        }
    });
    let sender = Sender::new(&[("PACS", port)]);
    sender.site.results(1..=1);
    sender.becomes("PACS", [0, 0, 1]);
    let dead = sender.site.store.dead_deliveries(10).unwrap();
    assert!(dead[0].last_error.starts_with("the association failed while"), "{dead:?}");
}

/// Passes the request and the answer on, and hangs up at the first data.
fn cut_after_association(mut client: TcpStream, real: u16) {
    let mut server = TcpStream::connect(("127.0.0.1", real)).unwrap();
    let pass = |from: &mut TcpStream, to: &mut TcpStream| {
        let mut header = [0; 6];
        from.read_exact(&mut header).unwrap();
        let mut body = vec![0; u32::from_be_bytes(header[2..].try_into().unwrap()) as usize];
        from.read_exact(&mut body).unwrap();
        to.write_all(&[&header[..], &body].concat()).unwrap();
    };
    pass(&mut client, &mut server);
    pass(&mut server, &mut client);
    client.read_exact(&mut [0]).unwrap();
}

#[test]
fn without_an_image_nobody_knows_whose_result_it_is() {
    let sender = Sender::new(&[("PACS", free_port())]);
    sender.site.results(1..=1);
    sender.becomes("PACS", [1, 0, 0]);
    drop(std::fs::remove_dir_all(sender.site.folder.path().join("results")));
    std::fs::remove_file(sender.site.archive.root().join("1.dcm")).unwrap();
    sender.becomes("PACS", [0, 0, 1]);
    let dead = sender.site.store.dead_deliveries(10).unwrap();
    assert!(dead[0].last_error.contains("whose result it is cannot be read"), "{dead:?}");
}
