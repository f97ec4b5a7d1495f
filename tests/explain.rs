//! `appliance triage --explain`: pictures and boxes where the model looked.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tests::phantom::Plane;

use crate::programs::{Clinic, copy_folder, run, series, triage, write};

/// Pixels of a PNG file, after a look at its signature and first chunk.
fn png_size(path: &Path) -> [u32; 2] {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n", "{}", path.display());
    assert_eq!(&bytes[12..16], b"IHDR", "{}", path.display());
    [16, 20].map(|at| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes")))
}

#[test]
fn an_explanation_shows_tokens_in_the_head() {
    let clinic = Clinic::new();
    let (study, out) = (clinic.folder("study"), clinic.path("pictures"));
    let coronal = series(2, "COR FLAIR", Plane::Coronal);
    write(&study, &series(1, "AX T2", Plane::Axial));
    write(&study, &coronal);
    let json = clinic.path("result.json");
    let mut command = clinic.triage(&study);
    command.args(["--explain", "top", "--explain-series", "2", "--lime-samples", "50"]);
    let ran = run(command.arg("--out").arg(&out).arg("--json").arg(&json));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));

    let result: Value = serde_json::from_slice(&fs::read(&json).expect("JSON")).expect("JSON");
    let scores = result["outcome"]["scores"]["diagnosis"].as_array().expect("scores");
    let margin = |score: &&Value| score["margin"].as_f64().expect("a number");
    let top = scores.iter().max_by(|a, b| margin(a).total_cmp(&margin(b))).expect("a score");
    let explanation = &result["explanation"];
    assert_eq!(explanation["output"], top["name"]);
    assert_eq!(explanation["series"], "COR_FLAIR-BRAIN-Protocol");
    assert_eq!((&explanation["series_index"], &explanation["samples"]), (&1.into(), &50.into()));

    let pictures = explanation["pictures"].as_array().expect("a list");
    assert!((1..=3).contains(&pictures.len()), "{pictures:?}");
    assert_eq!(fs::read_dir(&out).expect("a folder").count(), pictures.len());
    for picture in pictures {
        let path = Path::new(picture.as_str().expect("a path"));
        assert!(path.starts_with(&out) && ran.stdout.contains(&path.display().to_string()));
        let size = png_size(path);
        assert!(size.iter().all(|&pixels| (100..4000).contains(&pixels)), "{size:?}");
    }

    let tokens = explanation["tokens"].as_array().expect("a list");
    let used = result["series"][1]["tokens"].as_u64().expect("a number");
    assert_eq!(tokens.len() as u64, used.min(10));
    // Acquired voxels around the stack's centre, which is the patient's origin. The resize keeps
    // the centre of the first voxel, so the grid may end half a voxel later.
    let ends = [16.5 * 7.5, 6.0 * 5.0 / 2.0, 14.5 * 8.0];
    let millimetres = |token: &Value, corner: &str| {
        [0, 1, 2].map(|axis| token[corner][axis].as_f64().expect("a number"))
    };
    for token in tokens {
        let (low, high) = (millimetres(token, "low_mm"), millimetres(token, "high_mm"));
        for axis in 0..3 {
            let inside = -ends[axis] <= low[axis] && high[axis] <= ends[axis];
            assert!(inside && low[axis] < high[axis], "{token}");
        }
        // The phantom's head is an ellipsoid; a box meets it where its nearest point does.
        let nearest = [(0, 85.0), (1, 105.0), (2, 99.0)]
            .map(|(axis, radius)| 0.0_f64.clamp(low[axis], high[axis]) / radius);
        assert!(nearest.iter().map(|d| d * d).sum::<f64>() < 1.0, "outside the head: {token}");
    }
}

/// Labels come from the bundle and name the pictures.
#[test]
fn pictures_stay_in_their_folder() {
    let clinic = Clinic::new();
    let (study, model) = (clinic.folder("study"), clinic.path("odd"));
    write(&study, &series(1, "AX T2", Plane::Axial));
    copy_folder(&clinic.model(), &model);
    let path = model.join("manifest.toml");
    let text = fs::read_to_string(&path).expect("a manifest");
    fs::write(&path, text.replace("\"cyst_colloid_cyst\"", "\"../../odd\"")).expect("a file");
    let mut command = triage(&study, &model);
    command.args(["--explain", "../../odd", "--lime-samples", "10", "--out"]);
    let ran = run(command.arg(clinic.folder("a/b")));
    let names = fs::read_dir(clinic.folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let names: BTreeSet<String> = names.collect();
    let expected = BTreeSet::from(["a", "odd", "study"].map(str::to_owned));
    assert_eq!(names, expected, "{}", ran.stderr);
}

/// Whatever becomes of the explanation, the scores that were computed are shown.
#[test]
fn a_failed_explanation_does_not_take_the_result_along() {
    let clinic = Clinic::new();
    let study = clinic.folder("study");
    write(&study, &series(1, "AX T2", Plane::Axial));
    fs::write(clinic.path("file"), "").expect("a written file");
    let mut command = clinic.triage(&study);
    command.args(["--explain", "top", "--lime-samples", "10", "--out"]).arg(clinic.path("file"));
    let ran = run(command.arg("--json").arg(clinic.path("result.json")));
    assert_eq!(ran.code, 73, "{}", ran.stderr);
    insta::assert_snapshot!(clinic.stderr(&ran), @r"
    error: no explanation was made
      because: cannot write DIR/file
      because: File exists (os error 17)
    ");
    assert!(ran.stdout.contains("\nPriority  "), "no table: {}", ran.stderr);
    assert!(clinic.path("result.json").is_file(), "no JSON: {}", ran.stderr);
}

#[test]
fn an_explanation_of_nothing_is_wrong_usage() {
    let clinic = Clinic::new();
    let study = clinic.folder("study");
    write(&study, &series(1, "AX T2", Plane::Axial));
    let refusal = |arguments: &[&str]| {
        let ran = run(clinic.triage(&study).args(arguments));
        assert_eq!(ran.code, 64, "{}", ran.stderr);
        clinic.stderr(&ran)
    };
    let unknown = refusal(&["--explain", "stroke"]);
    assert!(unknown.contains(r#"the model has no output "stroke"; it has: "#), "{unknown}");
    for known in [" cyst_arachnoid_cyst, ", " ventricular_ventriculomegaly", " none", " high"] {
        assert!(unknown.contains(known), "{known:?} is not listed: {unknown}");
    }
    for asked in ["0", "2"] {
        let text = refusal(&["--explain", "top", "--explain-series", asked]);
        let said = format!(
            "error: no explanation was made\n  because: series {asked} cannot be explained: the \
             study has 1 used series, counted from 1\n"
        );
        assert_eq!(text, said);
    }
}
