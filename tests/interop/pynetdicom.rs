//! pynetdicom: files byte by byte as they are, in every transfer syntax that pydicom has an
//! example of, and storage commitments.

use std::process::Command;

use serde_json::{Value, json};
use tests::sender::{Association, Peer, slice};

use super::{Clinic, available, free_port, repository, succeed};

/// Test files that belong to no study.
const WITHOUT_STUDY: [&str; 4] = [
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jls_lossy_sample.dcm",
];

/// A Python that has pynetdicom; `ops/test` makes one.
pub(super) fn python() -> Option<String> {
    let python = std::env::var("PRIMA_PEERS_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut probe = Command::new(&python);
    probe.args(["-c", "import pynetdicom"]);
    available("pynetdicom", &mut probe).then_some(python)
}

/// What `peer.py` printed.
pub(super) fn peer(python: &str, arguments: &[&str]) -> Value {
    let script = repository().join("tests/interop/peer.py");
    let script = script.to_str().expect("UTF-8");
    let printed = succeed(python, &[&[script], arguments].concat());
    serde_json::from_str(&printed).unwrap_or_else(|why| panic!("{why}: {printed}"))
}

#[test]
fn pydicoms_test_files() {
    let Some(python) = python() else { return };
    let clinic = Clinic::open("");
    let answers = peer(&python, &[&clinic.port(), "store"]);
    let answers = answers.as_object().expect("an answer for each file");
    for (file, answer) in answers {
        let homeless = WITHOUT_STUDY.contains(&file.as_str());
        let refused = json!([0xC000, "Study Instance UID is no UID"]);
        assert_eq!(*answer, if homeless { refused } else { json!([0, ""]) }, "{file}");
    }
    let received = super::stored_instances(&clinic.launch.data());
    let mut sent = clinic.tap.sent();
    sent.retain(|uid, _| received.contains_key(uid));
    assert_eq!(received, sent, "other bytes than sent");
    // Many are one image in several encodings, kept aside as another content of its UID; one is
    // there twice.
    assert_eq!((answers.len(), received.len(), clinic.quarantined()), (61, 34, 22));
}

/// Three slices in the archive, and their UIDs.
fn three_slices(clinic: &Clinic) -> Vec<String> {
    let mut association = Association::open(&Peer::new(clinic.daemon.dicom)).expect("a scanner");
    let slices: Vec<_> = (1..=3).map(|number| slice(7, 1, 1, number, 16)).collect();
    for slice in &slices {
        assert_eq!(association.store(slice).expect("an answer").status, 0);
    }
    association.release().expect("a release");
    slices.into_iter().map(|slice| slice.sop_uid).collect()
}

/// What a commitment of three stored slices, and of another that is not there, reports.
fn check_commitment(settings: &str, listen: u16) {
    let Some(python) = python() else { return };
    let clinic = Clinic::open(settings);
    let slices = three_slices(&clinic);
    let commit = |uids: &[&str]| {
        let (port, listen) = (clinic.port(), listen.to_string());
        peer(&python, &[&[&port, "commit", &listen], uids].concat())
    };
    let mut uids: Vec<&str> = slices.iter().map(String::as_str).collect();
    let all_good = json!({
        "status": 0, "same_transaction": true, "event_type": 1, "good": slices, "failed": {},
    });
    assert_eq!(commit(&uids), all_good);
    uids.push("2.25.404");
    // 0x0112: no such object instance (PS3.4 table J.3.3-1).
    let one_missing = json!({
        "status": 0, "same_transaction": true, "event_type": 2, "good": slices,
        "failed": {"2.25.404": 0x0112},
    });
    assert_eq!(commit(&uids), one_missing);
}

#[test]
fn commitment_on_the_same_association() {
    check_commitment("", 0);
}

#[test]
fn commitment_on_an_association_of_its_own() {
    let listen = free_port();
    let peers = format!(
        "dicom.peers = [{{ae_title = 'PYNETDICOM', host = '127.0.0.1', port = {listen}}}]\n"
    );
    check_commitment(&peers, listen);
}
