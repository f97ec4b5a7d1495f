//! Reports as they are read back.

use std::path::Path;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use models::dicom::parse::{DataSet, DicomFile, parse_bytes, read_header};
use serde_json::json;

use super::super::Frame;
use super::super::report::Report;
use crate::inference::TriageResult;
use crate::triage::Assessment;

fn image() -> DicomFile {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/real");
    let mut folders = vec![Path::new(folder).to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "dcm") {
                return read_header(&path).unwrap();
            }
        }
    }
    panic!("no image in tests/data/real");
}

pub(super) fn result() -> TriageResult {
    let series = json!({
        "uid": "1.5.1", "number": 4, "name": "AX FLAIR", "part": null, "plane": "axial",
        "size_vox": [64, 64, 20], "patches": 20, "tokens": 10, "remarks": [],
    });
    serde_json::from_value(json!({
        "schema_version": 1,
        "model": {
            "id": "edge-simulated-1", "provenance": "trained_on_simulated_data",
            "statement": "Trained on simulated studies", "intended_use": "Research",
            "preprocessing": "v1", "device": "cpu",
        },
        "study": {"uid": "1.5", "description": null},
        "series": [series],
        "left_out": [],
        "outcome": {"kind": "not_analysed", "reason": "unused here"},
        "timings": [],
        "explanation": null,
    }))
    .unwrap()
}

pub(super) fn assessment(findings: bool) -> Assessment {
    let finding = |label: &str, margin: f32, probability: Option<f32>| {
        json!({
            "label": label, "name": label.replace('_', " "), "margin": margin,
            "probability": probability, "acuity": "high",
        })
    };
    let findings = if findings {
        vec![
            finding("structural_mass_effect", 1.25, Some(0.625)),
            finding("hydrocephalus", 0.1, None),
        ]
    } else {
        Vec::new()
    };
    serde_json::from_value(json!({
        "acuity": "high",
        "acuity_from": [{"source": "finding", "text": "mass effect"}],
        "findings": findings,
        "referrals": [{
            "service": "neurosurgery", "urgency": "urgent", "reason": "Mass effect.",
            "findings": ["structural_mass_effect"],
        }],
        "rules_version": "1", "rules_approver": "", "rules_sha256": "",
    }))
    .unwrap()
}

/// Result and assessment as the store keeps them.
pub(super) fn stored() -> [String; 2] {
    [json!(result()).to_string(), json!(assessment(true)).to_string()]
}

fn written(findings: bool, partial: bool) -> DicomFile {
    let image = image();
    let report = Report {
        frame: Frame {
            identity: &image.data,
            finished_at: 1_795_480_260_000,
            series_uid: "2.25.2",
            sop_uid: "2.25.3",
            device_uid: "2.25.1",
            number: 12,
        },
        result: &result(),
        assessment: &assessment(findings),
        model_digest: "0123456789abcdef0123",
        partial,
        images: &[["1.5.1", "1.2.840.10008.5.1.4.1.1.4", "1.5.1.9"], ["1.5.2", "1.2", "1.5.2.9"]]
            .map(|image| image.map(str::to_owned)),
    };
    let bytes = report.write().unwrap();
    assert_eq!(report.write().unwrap(), bytes, "the same again");
    parse_bytes(Path::new("report"), bytes).unwrap()
}

/// Items of the content tree below `data` whose concept has this code.
fn items<'a>(data: &'a DataSet, code: &str) -> Vec<&'a DataSet> {
    let mut found = Vec::new();
    for item in data.items(tags::CONTENT_SEQUENCE) {
        let concept = item.items(tags::CONCEPT_NAME_CODE_SEQUENCE).first();
        if concept.and_then(coded).is_some_and(|value| value == code) {
            found.push(item);
        }
        found.extend(items(item, code));
    }
    found
}

fn coded(item: &DataSet) -> Option<String> {
    item.text(tags::CODE_VALUE).or_else(|| item.text(tags::LONG_CODE_VALUE))
}

fn values(data: &DataSet, code: &str) -> Vec<String> {
    let value = |item: &DataSet| {
        let first = |tag: Tag| item.items(tag).first();
        item.text(tags::TEXT_VALUE)
            .or_else(|| item.text(tags::UID))
            .or_else(|| first(tags::CONCEPT_CODE_SEQUENCE).and_then(coded))
            .or_else(|| first(tags::MEASURED_VALUE_SEQUENCE)?.text(tags::NUMERIC_VALUE))
    };
    items(data, code).into_iter().filter_map(value).collect()
}

#[test]
fn a_report_says_what_the_page_says() {
    let file = written(true, false);
    let data = &file.data;
    assert_eq!(values(data, "121071"), ["structural_mass_effect", "hydrocephalus"]);
    assert_eq!(values(data, "122157"), ["0.625000"], "only where there is a probability");
    assert_eq!(values(data, "margin"), ["1.250000", "0.100000"]);
    assert_eq!(values(data, "priority"), ["high"]);
    assert_eq!(values(data, "priority_from"), ["mass effect"]);
    assert_eq!(values(data, "referral"), ["neurosurgery"]);
    assert_eq!(values(data, "referral_reason"), ["neurosurgery, urgent: Mass effect."]);
    assert_eq!(values(data, "111001"), ["edge-simulated-1"; 2]);
    assert_eq!(values(data, "111003"), ["0123456789abcdef"; 2]);
    let said = values(data, "121106").join("\n");
    assert!(said.contains("simulated") && said.contains("not for diagnosis"), "{said}");
}

#[test]
fn a_report_is_preliminary_and_in_the_images_study() {
    let image = image();
    let file = written(true, true);
    for tag in [
        tags::PATIENT_NAME,
        tags::PATIENT_ID,
        tags::PATIENT_BIRTH_DATE,
        tags::PATIENT_SEX,
        tags::STUDY_INSTANCE_UID,
        tags::STUDY_DATE,
        tags::ACCESSION_NUMBER,
    ] {
        assert_eq!(file.data.texts(tag), image.data.texts(tag), "{tag}");
        assert!(file.data.contains(tag), "{tag}: type 2");
    }
    for (tag, expected) in [
        (tags::VERIFICATION_FLAG, "UNVERIFIED"),
        (tags::PRELIMINARY_FLAG, "PRELIMINARY"),
        (tags::COMPLETION_FLAG, "PARTIAL"),
        (tags::MODALITY, "SR"),
        (tags::CONTENT_DATE, "20261124"),
        (tags::CONTENT_TIME, "003100"),
    ] {
        assert_eq!(file.data.text(tag).as_deref(), Some(expected), "{tag}");
    }
    let complete = written(true, false).data.text(tags::COMPLETION_FLAG);
    assert_eq!(complete.as_deref(), Some("COMPLETE"));
    // Only series that the model read are evidence.
    let study = &file.data.items(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE)[0];
    let series: Vec<_> = study.items(tags::REFERENCED_SERIES_SEQUENCE).iter().collect();
    assert_eq!(series.len(), 1);
    assert_eq!(series[0].text(tags::SERIES_INSTANCE_UID).as_deref(), Some("1.5.1"));
    assert_eq!(values(&file.data, "112002"), ["1.5.1"]);
}

#[test]
fn nothing_found_is_a_report_too() {
    let file = written(false, false);
    assert_eq!(values(&file.data, "priority"), ["high"]);
    assert!(items(&file.data, "126010").is_empty(), "no container without content");
}
