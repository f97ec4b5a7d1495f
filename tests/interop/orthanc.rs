//! Orthanc as a source, as clinics have it between scanner and reader: it sends what it holds and
//! asks for a storage commitment; and as an archive that is asked for prior studies.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::sender::{Association, EXPLICIT_LE, MR_IMAGE, Peer, Slice, slice, text};

use super::{AE, Clinic, available, eventually, files_below, free_port, get, post, real_studies};

/// Where Debian puts the plugin.
const DICOM_WEB: &str = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";

/// A running Orthanc that knows the daemon as `prima`.
pub(super) struct Orthanc {
    child: Child,
    _folder: TempDir,
    pub(super) url: String,
    /// Where it speaks DICOM.
    pub(super) dicom: u16,
}

impl Orthanc {
    pub(super) fn start(clinic: &Clinic, dicom: u16) -> Self {
        let prima = json!({
            "AET": AE, "Host": "127.0.0.1", "Port": clinic.tap.address.port(),
            "AllowStorageCommitment": true,
        });
        Self::launch(dicom, "DicomModalities", &json!({"prima": prima}))
    }

    /// One that speaks DICOMweb, below `/dicom-web/`, and knows nobody.
    pub(super) fn with_dicom_web() -> Option<Self> {
        let mut probe = Command::new("test");
        let found = available("Orthanc's DICOMweb plugin", probe.args(["-f", DICOM_WEB]));
        found.then(|| Self::launch(free_port(), "Plugins", &json!([DICOM_WEB])))
    }

    fn launch(dicom: u16, key: &str, value: &Value) -> Self {
        let folder = TempDir::new().expect("a folder");
        let http = free_port();
        let settings = json!({
            "StorageDirectory": folder.path(), "IndexDirectory": folder.path(),
            "DicomAet": "ORTHANC", "DicomPort": dicom, "HttpPort": http, key: value,
        });
        let config = folder.path().join("orthanc.json");
        fs::write(&config, settings.to_string()).expect("a file");
        let log = fs::File::create(folder.path().join("log")).expect("a file");
        let child = Command::new("Orthanc").arg(&config).stdout(Stdio::null()).stderr(log).spawn();
        let url = format!("http://127.0.0.1:{http}");
        let orthanc = Self { child: child.expect("Orthanc"), _folder: folder, url, dicom };
        eventually("Orthanc", || ureq::get(format!("{}/system", orthanc.url)).call().ok());
        orthanc
    }

    pub(super) fn post(&self, path: &str, body: impl ureq::AsSendBody) -> Value {
        post(&format!("{}/{path}", self.url), body)
    }

    /// Status and failures of a commitment, once it is reported.
    fn commitment(&self, instances: &[Value]) -> Value {
        let body = json!({"DicomInstances": instances, "Timeout": 20}).to_string();
        let asked = self.post("modalities/prima/storage-commitment", body);
        let id = asked["ID"].as_str().expect("an identifier");
        let url = format!("{}/storage-commitment/{id}", self.url);
        eventually("a report", || Some(get(&url)).filter(|report| report["Status"] != "Pending"))
    }
}

impl Drop for Orthanc {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        drop((self.child.kill(), self.child.wait()));
    }
}

#[test]
fn orthanc_sends_and_has_it_committed() {
    if !available("Orthanc", Command::new("Orthanc").arg("--version")) {
        return;
    }
    let dicom = free_port();
    let clinic = Clinic::open(&format!(
        "dicom.peers = [{{ae_title = 'ORTHANC', host = '127.0.0.1', port = {dicom}}}]\n"
    ));
    let orthanc = Orthanc::start(&clinic, dicom);
    let (folder, instances, studies) = real_studies();
    let is_dicom = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "dcm");
    for path in files_below(&folder).into_iter().filter(is_dicom) {
        orthanc.post("instances", fs::read(path).expect("a file"));
    }
    for study in get(&format!("{}/studies", orthanc.url)).as_array().expect("studies") {
        let answer = orthanc.post("modalities/prima/store", study.as_str().expect("an id"));
        assert_eq!(answer["FailedInstancesCount"], 0, "{answer}");
    }
    clinic.check_received(instances, studies);

    let class = "1.2.840.10008.5.1.4.1.1.4";
    let mut sent: Vec<Value> = clinic.tap.sent().keys().map(|uid| json!([class, uid])).collect();
    check_commitment(&orthanc.commitment(&sent), instances, &json!([]));
    sent.push(json!([class, "2.25.404"]));
    // 0x0112: no such object instance (PS3.4 table J.3.3-1).
    let missing = json!([["2.25.404", 0x0112]]);
    check_commitment(&orthanc.commitment(&sent), instances, &missing);
}

/// A report with so many successes and these failures, each an instance and a reason.
fn check_commitment(report: &Value, good: usize, bad: &Value) {
    let status = if bad == &json!([]) { "Success" } else { "Failure" };
    assert_eq!(report["Status"], status, "{report}");
    assert_eq!(report["Success"].as_array().map(Vec::len), Some(good), "{report}");
    let failure = |failure: &Value| json!([failure["SOPInstanceUID"], failure["FailureReason"]]);
    let failures = report["Failures"].as_array().expect("failures");
    assert_eq!(failures.iter().map(failure).collect::<Value>(), *bad, "{report}");
}

/// A study of one image of the same patient as [`slice()`]'s study 1, with a text beyond ASCII.
fn prior(uid: &str, patient_id: &str) -> Slice {
    let sop_uid = format!("{uid}.1.1");
    let mut set = Vec::new();
    text(&mut set, 0x0008, 0x0005, "CS", "ISO_IR 192");
    text(&mut set, 0x0008, 0x0016, "UI", MR_IMAGE);
    text(&mut set, 0x0008, 0x0018, "UI", &sop_uid);
    text(&mut set, 0x0008, 0x0020, "DA", "20250131");
    text(&mut set, 0x0008, 0x0050, "SH", "A9");
    text(&mut set, 0x0008, 0x0060, "CS", "MR");
    text(&mut set, 0x0008, 0x1030, "LO", "Schädel");
    text(&mut set, 0x0010, 0x0010, "PN", "Phantom^1");
    text(&mut set, 0x0010, 0x0020, "LO", patient_id);
    text(&mut set, 0x0020, 0x000D, "UI", uid);
    text(&mut set, 0x0020, 0x000E, "UI", &format!("{uid}.1"));
    Slice {
        sop_class: MR_IMAGE.to_owned(),
        sop_uid,
        transfer_syntax: EXPLICIT_LE.to_owned(),
        data_set: set,
    }
}

/// Stores images on one association.
fn store(peer: &Peer, slices: &[Slice]) {
    let mut association = Association::open(peer).expect("an association");
    for slice in slices {
        assert_eq!(association.store(slice).expect("an answer").status, 0);
    }
    association.release().expect("a release");
}

#[test]
fn orthanc_is_asked_for_prior_studies() {
    if !available("Orthanc", Command::new("Orthanc").arg("--version")) {
        return;
    }
    let dicom = free_port();
    let clinic = Clinic::open(&format!(
        "dicom.peers = [{{ae_title = 'ORTHANC', host = '127.0.0.1', port = {dicom}}}]\n\
         priors.archive = 'ORTHANC'\n"
    ));
    let _orthanc = Orthanc::start(&clinic, dicom);
    let mut archive = Peer::new(([127, 0, 0, 1], dicom).into());
    archive.called = "ORTHANC".to_owned();
    let current = slice(7, 1, 1, 1, 64);
    store(&archive, &[prior("2.25.98", "P1"), prior("2.25.99", "P11"), current.clone()]);
    store(&Peer::new(clinic.daemon.dicom), &[current]);
    let api = clinic.api();
    let found = eventually("a prior study", || {
        let rows = api.get("worklist?limit=500")["rows"].clone();
        let study = api.get(&format!("studies/{}", rows[0]["id"].as_i64()?));
        let found = study["priors_elsewhere"].clone();
        (found != json!([])).then_some(found)
    });
    let expected = json!([{
        "uid": "2.25.98", "study_date": "20250131", "study_time": "", "description": "Schädel",
        "accession": "A9", "modalities": ["MR"], "archive": "ORTHANC",
    }]);
    assert_eq!(found, expected);
}
