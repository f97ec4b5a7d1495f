//! A hub sends on what it has: a referral into medplum's router, an object into Orthanc by STOW-RS.
//! A box without a hub does the same with its results.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use dicom_core::VR;
use dicom_object::InMemDicomObject;
use exchange::flag::Flag;
use exchange::manifest::{Manifest, Object};
use exchange::push::{Http, Server};
use exchange::row::{Kind as RowKind, hex};
use exchange::stow;
use hub::blobs::{BlobStore, Folder, Name};
use hub::clock::SystemClock;
use hub::db::sqlite::Sqlite;
use hub::db::{Database, DbError, Transaction};
use hub::outward::settings::Archive;
use hub::outward::{Door, Worker};
use hub::store::Store;
use hub::store::outbound::{Kind, queue_flag, queue_objects};
use hub::store::referrals::{apply_flag, apply_manifest};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tests::sender::{Association, Peer, slice};

use super::fhir::{PACKAGES, all, flag};
use super::node::Script;
use super::orthanc::Orthanc;
use super::results::{clinic_with, queue};
use super::{eventually, free_port, get, real_studies};

const SITE: &str = "kitgum";

/// A hub with an empty database.
struct Hub {
    database: Arc<Sqlite>,
    store: Store,
    blobs: Arc<Folder>,
    _folder: TempDir,
}

impl Hub {
    fn new(kind: Kind) -> Self {
        let database = Arc::new(Sqlite::memory().expect("a database"));
        let shared = Arc::clone(&database) as Arc<dyn Database>;
        let store = Store::open(shared, Arc::new(SystemClock)).expect("a store");
        store.set_outbound_destinations(&[("it", kind)]).expect("a destination");
        let folder = TempDir::new().expect("a folder");
        let blobs = Arc::new(Folder::new(folder.path()));
        Self { database, store, blobs, _folder: folder }
    }

    /// To a web service.
    fn worker(&self, kind: Kind, url: &str) -> Worker {
        let server =
            Server { name: "it".into(), url: url.into(), bearer_token_file: None, ca_file: None };
        let path = if kind == Kind::Stow { stow::PATH } else { "" };
        self.worker_to(kind, Box::new(Http::new(&server, path).expect("a door")))
    }

    fn worker_to(&self, kind: Kind, door: Box<dyn Door>) -> Worker {
        let blobs = Arc::clone(&self.blobs) as Arc<dyn BlobStore>;
        Worker::new("it", kind, door, self.store.clone(), blobs)
    }

    fn write(&self, mut work: impl FnMut(&mut dyn Transaction) -> Result<(), DbError>) {
        self.database.transaction(&mut work).expect("a transaction");
    }

    fn flag(&self, seq: i64, flag: &Flag) {
        self.write(|tx| {
            apply_flag(tx, SITE, flag, ("e", seq), 1)?;
            queue_flag(tx, SITE, &flag.study.uid)
        });
    }

    /// Sends all that is due; how often the destination took something, and what it does not have.
    fn sent(&self, worker: &mut Worker) -> (i64, i64) {
        while worker.step() == Duration::ZERO {}
        let queue = self.store.outbound_queues().expect("queues").remove(0);
        (queue.sent, queue.waiting + queue.dead)
    }
}

#[test]
fn medplum_gets_what_a_hub_knows_and_one_of_each_from_a_restored_one() {
    let Some(mut peer) = Script::start("fhir_peer.mjs", &PACKAGES, &[]) else { return };
    let url = format!("http://127.0.0.1:{}", peer.line());
    let statuses = || {
        let requests = all(&url, "ServiceRequest");
        let mut statuses: Vec<String> =
            requests.iter().map(|one| one["status"].as_str().expect("a word").to_owned()).collect();
        statuses.sort();
        statuses
    };
    for _ in 0..2 {
        let hub = Hub::new(Kind::Fhir);
        let mut worker = hub.worker(Kind::Fhir, &url);
        hub.flag(1, &flag(true));
        assert_eq!(hub.sent(&mut worker), (1, 0));
        assert_eq!((all(&url, "Patient").len(), statuses()), (1, vec!["active".to_owned(); 2]));
        hub.flag(2, &flag(false));
        assert_eq!(hub.sent(&mut worker), (2, 0));
        assert_eq!(statuses(), ["active", "revoked"]);
        hub.flag(3, &Flag { asked: false, ..flag(false) });
        assert_eq!(hub.sent(&mut worker), (3, 0));
        assert_eq!(statuses(), ["revoked", "revoked"]);
    }
}

/// A hub of this kind, an object in it that waits, and the object's bytes.
fn hub_with_object(kind: Kind) -> (Hub, Vec<u8>) {
    let bytes = fs::read(real_studies().0.join("brain1_t1c/IM001.dcm")).expect("a file");
    let sha256 = hex(&Sha256::digest(&bytes));
    let object = Object {
        sop_class: "1.2.840.10008.5.1.4.1.1.4".into(),
        sop_instance: "2.25.1".into(),
        sha256: sha256.clone(),
        bytes: bytes.len() as u64,
    };
    let manifest = Manifest { study: "1.2".into(), objects: vec![object], ..Manifest::default() };
    let hub = Hub::new(kind);
    let name = Name::new(SITE, &sha256).expect("a name");
    hub.blobs.append(&name, 0, &bytes).expect("room");
    hub.blobs.finish(&name, bytes.len() as u64).expect("a whole blob");
    hub.write(|tx| {
        apply_manifest(tx, SITE, RowKind::Objects, &manifest, 1)?;
        queue_objects(tx, SITE, "1.2")
    });
    (hub, bytes)
}

/// The only instance that an Orthanc has, and its file.
fn only_instance(orthanc: &Orthanc) -> (String, Vec<u8>) {
    let stored = get(&format!("{}/instances", orthanc.url));
    let stored = stored.as_array().expect("instances");
    assert_eq!(stored.len(), 1, "{stored:?}");
    let id = stored[0].as_str().expect("an id");
    let instance = format!("{}/instances/{id}", orthanc.url);
    let mut file = ureq::get(format!("{instance}/file")).call().expect("a file");
    (instance, file.body_mut().read_to_vec().expect("bytes"))
}

#[test]
fn orthanc_stores_an_object_once_however_often_it_comes() {
    let Some(orthanc) = Orthanc::with_dicom_web() else { return };
    for _ in 0..2 {
        let (hub, bytes) = hub_with_object(Kind::Stow);
        let mut worker = hub.worker(Kind::Stow, &format!("{}/dicom-web/", orthanc.url));
        assert_eq!(hub.sent(&mut worker), (1, 0));
        assert_eq!(only_instance(&orthanc).1, bytes, "other bytes than sent");
    }
}

#[test]
fn orthanc_gets_an_object_by_c_store() {
    let Some(orthanc) = Orthanc::with_dicom_web() else { return };
    let archive = |port| Archive {
        name: "it".into(),
        ae_title: "ORTHANC".into(),
        host: "127.0.0.1".into(),
        port,
        calling_ae_title: "PRIMAHUB".into(),
    };
    let (hub, bytes) = hub_with_object(Kind::Dicom);
    let mut nobody = hub.worker_to(Kind::Dicom, Box::new(archive(free_port())));
    assert_ne!(nobody.step(), Duration::ZERO, "nobody listens there");
    let said = hub.store.outbound_queues().expect("queues").remove(0).said;
    assert!(said.contains("connect"), "{said}");
    let mut worker = hub.worker_to(Kind::Dicom, Box::new(archive(orthanc.dicom)));
    assert_eq!(hub.sent(&mut worker), (1, 0));
    let (instance, stored) = only_instance(&orthanc);
    let (stored, sent) = (data_set(&stored), data_set(&bytes));
    assert!(stored.tags().eq(sent.tags()), "other elements than sent");
    for (stored, sent) in stored.iter().zip(&sent) {
        // An archive writes lengths of sequences its own way.
        assert!(stored == sent || sent.vr() == VR::SQ, "{} was changed", sent.header().tag);
    }
    let metadata = get(&format!("{instance}/metadata?expand"));
    assert_eq!(metadata["Origin"], "DicomProtocol", "{metadata}");
    assert_eq!(metadata["RemoteAET"], "PRIMAHUB", "{metadata}");
}

fn data_set(file: &[u8]) -> InMemDicomObject {
    dicom_object::from_reader(file).expect("a file of DICOM").into_inner()
}

#[test]
fn a_box_without_a_hub_sends_its_results_itself() {
    let Some(mut peer) = Script::start("fhir_peer.mjs", &PACKAGES, &[]) else { return };
    let Some(orthanc) = Orthanc::with_dicom_web() else { return };
    let url = format!("http://127.0.0.1:{}", peer.line());
    let clinic = clinic_with(&format!(
        "results.fhir = [{{name = 'EHR', url = '{url}'}}]\n\
         results.stow = [{{name = 'PACS', url = '{}/dicom-web', objects = ['report']}}]\n",
        orthanc.url
    ));
    let mut association = Association::open(&Peer::new(clinic.daemon.dicom)).expect("a scanner");
    for number in 1..=8 {
        let answer = association.store(&slice(7, 1, 1, number, 64)).expect("an answer");
        assert_eq!(answer.status, 0);
    }
    association.release().expect("a release");
    let api = &clinic.api();
    for name in ["EHR", "PACS"] {
        eventually(name, || (queue(api, name)["sent"] == 1).then_some(()));
    }
    let reports = all(&url, "DiagnosticReport");
    let [report] = &reports[..] else { panic!("one report: {reports:?}") };
    let row = api.get("worklist?limit=500")["rows"][0].clone();
    let result = format!("studies/{}/results/{}", row["id"], row["inference_id"]);
    let assessment = &api.get(&result)["assessment"];
    let count = |key: &str| assessment[key].as_array().expect("a list").len();
    // No more than a server takes in one transaction.
    assert_eq!(all(&url, "Observation").len(), count("findings").min(20));
    assert_eq!(all(&url, "ServiceRequest").len(), count("referrals").min(12));
    // The report that the archive has is the one that the transaction names.
    let instances = get(&format!("{}/instances?expand", orthanc.url));
    let stored = instances[0]["MainDicomTags"]["SOPInstanceUID"].as_str().expect("a report");
    assert_eq!(report["identifier"][0]["value"], format!("urn:oid:{stored}"));
}
