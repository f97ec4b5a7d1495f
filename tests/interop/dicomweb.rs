//! DICOMweb: dicomweb-client stores a study, searches for it and retrieves it.

use std::process::Command;

use serde_json::{Value, json};

use super::{Clinic, available, real_studies, repository, succeed};

/// A Python that has dicomweb-client; `ops/test` makes one.
fn python() -> Option<String> {
    let python = std::env::var("PRIMA_PEERS_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut probe = Command::new(&python);
    probe.args(["-c", "import dicomweb_client"]);
    available("dicomweb-client", &mut probe).then_some(python)
}

#[test]
fn a_study_goes_in_and_comes_out() {
    let Some(python) = python() else { return };
    let clinic = Clinic::open("");
    let (folder, _, _) = real_studies();
    let study = folder.join("brain1_t1c");
    let script = repository().join("tests/interop/viewer.py");
    let url = format!("http://{}/dicomweb", clinic.daemon.web);
    let [script, study] = [&script, &study].map(|path| path.to_str().expect("UTF-8"));
    let printed = succeed(python, &[script, &url, &clinic.api().token, study]);
    let report: Value = serde_json::from_str(&printed).expect("JSON");
    let expected = json!({
        "stored": [25, 0],
        "stored_again": [25, 0],
        "studies": [true, 25],
        "series": [true],
        "instances": 25,
        "nothing": [],
        "refused": 400,
        "study": 25,
        "instance": true,
        "metadata": 25,
        "frame": true,
        "bulk": true,
        "picture": true,
    });
    assert_eq!(report, expected);
    assert_eq!((clinic.studies_shown(), clinic.quarantined()), (1, 0));
}
