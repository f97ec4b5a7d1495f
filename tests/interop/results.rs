//! Results on their way out: into Orthanc beside their images, past an archive that is dead, and
//! through kills, and to an HL7 receiver; read back by dciodvfy, pydicom, highdicom and hl7apy.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tests::api::Api;
use tests::program;
use tests::sender::{Association, Peer, slice};

use super::orthanc::Orthanc;
use super::{
    AE, Clinic, available, eventually, files_below, free_port, get, pynetdicom, real_studies,
    repository, run, stored_instances, succeed,
};

const REPORT: &str = "1.2.840.10008.5.1.4.1.1.88.34";
const SEGMENTATION: &str = "1.2.840.10008.5.1.4.1.1.66.4";
const QUICK: &str = "assembly.quiet_s = 2\nassembly.quiet_after_release_s = 1\n";

fn archive(ae_title: &str, port: u16) -> String {
    format!("{{ae_title = '{ae_title}', host = '127.0.0.1', port = {port}}}")
}

/// A clinic with a model, and these archives.
fn clinic(archives: &[String]) -> Clinic {
    clinic_with(&format!("results.archives = [{}]\n", archives.join(", ")))
}

pub(super) fn clinic_with(settings: &str) -> Clinic {
    let clinic = Clinic::open(&format!("{QUICK}{settings}"));
    let bundle = clinic.folder.path().join("bundle");
    let made =
        ["init", "--preset", "tiny", "--seed", "1", "--out", bundle.to_str().expect("UTF-8")];
    succeed(program("trainer"), &made);
    let data = clinic.launch.data();
    let data = data.to_str().expect("UTF-8");
    for words in [["install", bundle.to_str().expect("UTF-8")], ["promote", "untrained-tiny-1"]] {
        succeed(program("appliance"), &[&["model"], &words[..], &["--data", data]].concat());
    }
    clinic
}

/// How it stands with a destination.
pub(super) fn queue(api: &Api, archive: &str) -> Value {
    let system = api.get("system");
    let queues = system["archives"].as_array().expect("archives").clone();
    queues.into_iter().find(|queue| queue["destination"] == archive).expect("the archive")
}

#[test]
fn orthanc_files_the_report_beside_the_images() {
    if !available("Orthanc", Command::new("Orthanc").arg("--version")) {
        return;
    }
    let port = free_port();
    let committing = archive("ORTHANC", port).replace('}', ", commitment = true}");
    let clinic = clinic(&[archive("DEAD", free_port()), committing]);
    let orthanc = Orthanc::start(&clinic, port);
    let (folder, _, studies) = real_studies();
    let is_dicom = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "dcm");
    for path in files_below(&folder).into_iter().filter(is_dicom) {
        orthanc.post("instances", fs::read(path).expect("a file"));
    }
    let ids = |what: &str| get(&format!("{}/{what}", orthanc.url));
    for study in ids("studies").as_array().expect("studies") {
        orthanc.post("modalities/prima/store", study.as_str().expect("an id"));
    }
    let count = |what: &str| ids(what).as_array().map(Vec::len);
    let patients = count("patients");

    let find = |modality: &str| {
        let query = json!({"Level": "Instance", "Query": {"Modality": modality}}).to_string();
        orthanc.post("tools/find", query).as_array().expect("instances").clone()
    };
    // Each report is followed by the picture of what it rests on, and by its places.
    let [reports, pictures, segmentations] = eventually("reports, pictures and places", || {
        let found = ["SR", "OT", "SEG"].map(&find);
        let all = queue(&clinic.api(), "ORTHANC")["waiting"] == 0;
        let one_each = found.iter().all(|objects| objects.len() == found[0].len());
        (all && one_each && !found[0].is_empty()).then_some(found)
    });
    assert_eq!((count("patients"), count("studies")), (patients, Some(studies)));
    for report in &reports {
        let id = report.as_str().expect("an id");
        // The images' study has three series more.
        let study = ids(&format!("instances/{id}/study"));
        assert!(study["Series"].as_array().is_some_and(|series| series.len() >= 4), "{study}");
        check_report(&clinic, &orthanc, id, &study["MainDicomTags"]["StudyInstanceUID"]);
    }
    for segmentation in &segmentations {
        check_segmentation(&clinic, &orthanc, segmentation.as_str().expect("an id"));
    }
    for picture in &pictures {
        let path = fetch(&clinic, &orthanc, picture.as_str().expect("an id"), 250_000);
        validate(&path);
        let Some(python) = pynetdicom::python() else { return };
        let script = repository().join("tests/interop/read_picture.py");
        let said = succeed(python, &[script.to_str().expect("UTF-8"), &path]);
        let read: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(read["image_type"], json!(["DERIVED", "SECONDARY"]));
        assert_eq!(read["shape"].as_array().map(Vec::len), Some(3), "{read}");
        // Grey slices with a tint: neither black nor without colour.
        assert!(read["mean"].as_f64().is_some_and(|mean| mean > 10.0), "{read}");
        assert!(read["tinted"].as_f64().is_some_and(|share| share > 0.001), "{read}");
    }
    check_committed(&clinic.api(), reports.len());
    // The other archive does not answer, and is waited for.
    let dead = queue(&clinic.api(), "DEAD");
    assert_eq!((&dead["sent"], &dead["dead"]), (&json!(0), &json!(0)), "{dead}");
    assert_eq!(dead["waiting"], 3 * reports.len(), "{dead}");
}

/// Orthanc has committed to each report.
fn check_committed(api: &Api, reports: usize) {
    let rows = api.get("worklist?limit=500")["rows"].clone();
    let studies: Vec<Value> =
        rows.as_array().expect("rows").iter().map(|row| row["id"].clone()).collect();
    eventually("a commitment to each report", || {
        let committed = |study: &Value| {
            let study = api.get(&format!("studies/{study}"));
            let deliveries = study["deliveries"].as_array().expect("deliveries").clone();
            let report = |d: &Value| d["destination"] == "ORTHANC" && d["kind"] == "report";
            deliveries.iter().any(|d| report(d) && d["committed_at"].is_i64())
        };
        (studies.iter().filter(|study| committed(study)).count() == reports).then_some(())
    });
}

/// An object that Orthanc holds, as a file; it is small. With a report of 100 kB and a picture of
/// 250 kB at most, but usually 10 kB and 150 kB, a study's results stay below 300 kB.
fn fetch(clinic: &Clinic, orthanc: &Orthanc, id: &str, most_bytes: usize) -> String {
    let url = format!("{}/instances/{id}/file", orthanc.url);
    let bytes = ureq::get(url).call().expect("file").body_mut().read_to_vec().expect("bytes");
    assert!(bytes.len() < most_bytes, "{} bytes, {most_bytes} are the most", bytes.len());
    let path = clinic.folder.path().join(format!("{id}.dcm"));
    fs::write(&path, bytes).expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

/// dciodvfy finds no error in a file.
fn validate(path: &str) {
    if available("dciodvfy", Command::new("sh").args(["-c", "command -v dciodvfy"])) {
        let said = run("dciodvfy", &[path]);
        let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        let errors: Vec<_> = said.lines().filter(|line| line.starts_with("Error")).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

/// highdicom reads the mask that was meant, in the images' study.
///
/// Orthanc takes it deflated, as some 3 kB, and keeps it inflated.
fn check_segmentation(clinic: &Clinic, orthanc: &Orthanc, id: &str) {
    let path = fetch(clinic, orthanc, id, 150_000);
    let Some(python) = pynetdicom::python() else { return };
    let script = repository().join("tests/interop/read_segmentation.py");
    let [script, database] = [script, clinic.launch.data().join("appliance.sqlite")]
        .map(|path| path.to_str().expect("UTF-8").to_owned());
    let plain = format!("{path}.plain");
    let read = succeed(python, &[&script, &path, &database, &plain]);
    let read: Value = serde_json::from_str(&read).expect("JSON");
    assert_eq!(read["class"], SEGMENTATION);
    let study = get(&format!("{}/instances/{id}/study", orthanc.url));
    assert_eq!(read["study"], study["MainDicomTags"]["StudyInstanceUID"]);
    assert_eq!(read["patient"], study["PatientMainDicomTags"]["PatientID"]);
    assert_eq!(read["algorithm"], "AUTOMATIC");
    let label = read["label"].as_str().expect("a label");
    assert!(label.starts_with("AI: region that raised "), "{label}");
    assert!(read["frames"].as_i64().is_some_and(|frames| frames > 0), "{read}");
    assert_eq!((&read["empty"], &read["as_meant"]), (&json!(0), &json!(true)), "{read}");
    validate(&plain);
}

/// highdicom and pydicom read what the box says.
fn check_report(clinic: &Clinic, orthanc: &Orthanc, id: &str, study_uid: &Value) {
    let path = fetch(clinic, orthanc, id, 100_000);
    validate(&path);
    let Some(python) = pynetdicom::python() else { return };
    let script = repository().join("tests/interop/read_report.py");
    let read = succeed(python, &[script.to_str().expect("UTF-8"), &path]);
    let read: Value = serde_json::from_str(&read).expect("JSON");
    assert_eq!((&read["class"], &read["study"]), (&json!(REPORT), study_uid));
    assert_eq!(read["flags"], json!(["PRELIMINARY", "UNVERIFIED", "COMPLETE"]));

    let api = &clinic.api();
    let rows = api.get("worklist?limit=500")["rows"].clone();
    let rows = rows.as_array().expect("rows").clone();
    let row = rows.iter().find(|row| row["uid"] == *study_uid).expect("the study");
    assert_eq!(read["patient"], row["patient_id"]);
    let result = format!("studies/{}/results/{}", row["id"], row["inference_id"]);
    let assessment = &api.get(&result)["assessment"];
    let names = |list: &Value, key: &str| -> Vec<Value> {
        list.as_array().expect("a list").iter().map(|item| item[key].clone()).collect()
    };
    assert_eq!(names(&read["findings"], "label"), names(&assessment["findings"], "label"));
    for (read, ours) in read["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .zip(assessment["findings"].as_array().expect("findings"))
    {
        let difference =
            read["margin"].as_f64().expect("a number") - ours["margin"].as_f64().expect("a number");
        assert!(difference.abs() < 1e-6, "{read} {ours}");
        assert_eq!(read["probability"].is_null(), ours["probability"].is_null());
    }
    assert_eq!(read["priority"], json!([assessment["acuity"]]));
    assert_eq!(read["referrals"], json!(names(&assessment["referrals"], "service")));
}

/// The archive is another box of ours, which sets aside what comes again with other bytes.
#[test]
fn results_survive_kills_and_arrive_once() {
    let pacs = Clinic::open("");
    let Clinic { folder: _folder, launch, mut daemon, .. } =
        clinic(&[archive(AE, pacs.daemon.dicom.port())]);
    for study in 1..=6_u64 {
        let mut association = Association::open(&Peer::new(daemon.dicom)).expect("a scanner");
        for number in 1..=8 {
            let answer = association.store(&slice(7, study, 1, number, 64)).expect("an answer");
            assert_eq!(answer.status, 0);
        }
        association.release().expect("a release");
    }
    for pause_ms in [1500, 900, 700, 500, 300] {
        std::thread::sleep(Duration::from_millis(pause_ms));
        daemon.kill().expect("a daemon that runs");
        daemon = launch.start().expect("a daemon that starts");
    }
    eventually("six reports, pictures and segmentations", || {
        let queue = queue(&Api::new(&launch, daemon.web).expect("a token"), AE);
        (queue["sent"] == 18 && queue["waiting"] == 0).then_some(())
    });
    assert_eq!(stored_instances(&pacs.launch.data()).len(), 18);
    assert_eq!(pacs.quarantined(), 0, "other bytes under the same UID");
}

/// The next message over MLLP, acknowledged.
fn take_message(listener: &TcpListener) -> String {
    listener.set_nonblocking(true).expect("a listener");
    let (mut stream, _) = eventually("a message", || listener.accept().ok());
    stream.set_nonblocking(false).expect("a stream");
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\x1C\r") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the rest of a message");
        bytes.push(byte[0]);
    }
    let frame = bytes.strip_prefix(b"\x0B").and_then(|rest| rest.strip_suffix(b"\x1C\r"));
    let message = String::from_utf8(frame.expect("a frame").to_vec()).expect("UTF-8");
    acknowledge(&mut stream, &message);
    message
}

fn acknowledge(stream: &mut TcpStream, message: &str) {
    let id = message.split('|').nth(9).expect("MSH-10");
    let answer = format!("\x0BMSH|^~\\&|||||||ACK|1|P|2.5.1\rMSA|AA|{id}\r\x1C\r");
    stream.write_all(answer.as_bytes()).expect("a sender that listens");
}

#[test]
fn an_hl7_receiver_is_told_the_result() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let clinic = clinic_with(&format!(
        "results.hl7 = [{{name = 'RIS', host = '127.0.0.1', port = {port}}}]\n"
    ));
    let mut association = Association::open(&Peer::new(clinic.daemon.dicom)).expect("a scanner");
    for number in 1..=8 {
        let answer = association.store(&slice(7, 1, 1, number, 64)).expect("an answer");
        assert_eq!(answer.status, 0);
    }
    association.release().expect("a release");
    let message = take_message(&listener);
    let api = &clinic.api();
    eventually("an empty queue", || (queue(api, "RIS")["sent"] == 1).then_some(()));

    let Some(python) = pynetdicom::python() else { return };
    let path = clinic.folder.path().join("message.hl7");
    fs::write(&path, message).expect("a file");
    let script = repository().join("tests/interop/read_message.py");
    let [script, path] = [script, path].map(|path| path.to_str().expect("UTF-8").to_owned());
    let read = succeed(python, &[script, path]);
    let read: Value = serde_json::from_str(&read).expect("JSON");
    assert_eq!((&read["type"], &read["status"]), (&json!("ORU^R01^ORU_R01"), &json!("P")));
    assert_eq!((&read["patient"], &read["charset"]), (&json!("P1"), &json!("UNICODE UTF-8")));

    let row = api.get("worklist?limit=500")["rows"][0].clone();
    let result = format!("studies/{}/results/{}", row["id"], row["inference_id"]);
    let assessment = &api.get(&result)["assessment"];
    let observations = read["observations"].as_array().expect("observations");
    assert!(observations.iter().all(|one| one["status"] == "P"), "{read}");
    let caveat = "AI result - preliminary - not a diagnosis - not verified";
    assert_eq!(observations[0]["value"], caveat);
    let acuity = assessment["acuity"].as_str().expect("an acuity");
    let priority = observations.iter().find(|one| one["code"] == "priority").expect("a priority");
    assert_eq!(priority["value"], format!("{acuity}^{acuity}^99PRIMA"));
    let numbers: Vec<_> = observations.iter().filter(|one| one["type"] == "NM").collect();
    let findings = assessment["findings"].as_array().expect("findings");
    assert_eq!(numbers.len(), findings.len());
    for (number, finding) in numbers.into_iter().zip(findings) {
        assert_eq!((&number["code"], &number["flag"]), (&finding["label"], &json!("A")));
        let key = if finding["probability"].is_null() { "margin" } else { "probability" };
        let said: f64 = number["value"].as_str().and_then(|n| n.parse().ok()).expect("a number");
        assert!((said - finding[key].as_f64().expect("a number")).abs() < 1e-6, "{number}");
    }
}
