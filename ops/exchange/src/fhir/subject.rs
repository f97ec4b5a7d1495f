//! Whom and what it is about, and what looked at it.

use serde_json::{Value, json};

use super::{Case, NOT_A_DEVICE, coding, concept, date, dicom_identifier, id};
use crate::manifest::Manifest;

const IDENTIFIER_TYPE: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";

impl Case<'_> {
    pub(super) fn patient(&self) -> Value {
        let patient = &self.flag.patient;
        let gender = match patient.sex.as_str() {
            "F" => "female",
            "M" => "male",
            "O" => "other",
            _ => "",
        };
        let (kind, name, birth_date) = if patient.pseudonym {
            (concept(IDENTIFIER_TYPE, "ANON", "Anonymous identifier"), Value::Null, None)
        } else {
            let kind = concept(IDENTIFIER_TYPE, "MR", "Medical record number");
            (kind, human_name(&patient.name), date(&patient.birth_date))
        };
        json!({
            "resourceType": "Patient",
            "id": self.id("patient"),
            "meta": self.meta(false),
            "identifier": [self.local_identifier("patients", &kind, &patient.id)],
            "name": [name],
            "gender": gender,
            "birthDate": birth_date,
        })
    }

    pub(super) fn imaging_study(&self) -> Value {
        let study = &self.flag.study;
        let accession = concept(IDENTIFIER_TYPE, "ACSN", "Accession ID");
        let series = self.objects.iter().filter(|manifest| !manifest.series.is_empty());
        json!({
            "resourceType": "ImagingStudy",
            "id": self.id("study"),
            "meta": self.meta(false),
            "identifier": [
                dicom_identifier(&study.uid),
                self.local_identifier("accession numbers", &accession, &study.accession),
            ],
            "status": "available",
            "modality": [magnetic_resonance()],
            "subject": self.refer("Patient", "patient"),
            "started": self.performed(),
            "description": study.description,
            "series": series.map(series_of).collect::<Vec<_>>(),
        })
    }

    pub(super) fn device(&self) -> Value {
        let model = &self.flag.model;
        let manifests = format!("urn:uuid:{}", id(&["SHA-256 of a model's manifest"]));
        json!({
            "resourceType": "Device",
            "id": self.device_id(),
            "identifier": [{"system": manifests, "value": model.sha256}],
            "status": "active",
            "deviceName": [{"name": model.id, "type": "model-name"}],
            "type": {"text": "Software that triages magnetic resonance images of the brain"},
            "version": [
                {"type": {"text": "appliance"}, "value": model.software},
                {"type": {"text": "SHA-256 of the model's manifest"}, "value": model.sha256},
            ],
            "note": [{"text": NOT_A_DEVICE}, {"text": model.intended_use}],
        })
    }
}

fn magnetic_resonance() -> Value {
    coding("http://dicom.nema.org/resources/ontology/DCM", "MR", "Magnetic Resonance")
}

/// Without its images one by one: a viewer asks the archive for them.
fn series_of(manifest: &Manifest) -> Value {
    json!({
        "uid": manifest.series,
        "modality": magnetic_resonance(),
        "description": manifest.title,
        "numberOfInstances": manifest.objects.len(),
    })
}

/// The first alphabet of a DICOM name (PS3.5 6.2.1).
fn human_name(name: &str) -> Value {
    let alphabetic = name.split('=').find(|group| !group.is_empty()).unwrap_or_default();
    let parts: Vec<&str> = alphabetic.split('^').collect();
    let part = |place: usize| parts.get(place).copied().unwrap_or_default();
    json!({
        "family": part(0),
        "given": [part(1), part(2)],
        "prefix": [part(3)],
        "suffix": [part(4)],
    })
}
