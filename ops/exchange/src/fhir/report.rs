//! What the model said.

use serde_json::{Value, json};

use super::{CAVEAT, Case, concept, dicom_identifier, instant, our_concept, quantity};
use crate::flag::Finding;
use crate::manifest::{Manifest, Object};

/// The role of a finding.
pub(super) fn finding_role(label: &str) -> String {
    format!("finding {label}")
}

/// The role of a request to a service.
pub(super) fn request_role(service: &str) -> String {
    format!("request {service}")
}

/// SOP classes of structured reports begin with this (PS3.4 B.5).
const STRUCTURED_REPORTS: &str = "1.2.840.10008.5.1.4.1.1.88.";

impl Case<'_> {
    /// A finding: its probability where the model is calibrated, and always how far its output
    /// lies above the threshold.
    pub(super) fn observation(&self, finding: &Finding) -> Value {
        let categories = "http://terminology.hl7.org/CodeSystem/observation-category";
        let interpretations = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";
        json!({
            "resourceType": "Observation",
            "id": self.id(&finding_role(&finding.label)),
            "meta": self.meta(true),
            "status": "preliminary",
            "category": [concept(categories, "imaging", "Imaging")],
            "code": our_concept(&finding.label, &finding.name),
            "subject": self.refer("Patient", "patient"),
            "effectiveDateTime": self.performed(),
            "issued": instant(self.flag.study.analysed_ms),
            "valueQuantity": finding.probability.map(|p| quantity(p, "probability", "{0:1}")),
            "interpretation": [concept(interpretations, "POS", "Positive")],
            "device": self.device_reference(),
            "derivedFrom": [self.refer("ImagingStudy", "study")],
            "component": [
                {
                    "code": our_concept("margin", "Model output minus its threshold"),
                    "valueQuantity": quantity(finding.margin, "1", "1"),
                },
                {
                    "code": our_concept("acuity", "Acuity of the finding"),
                    "valueCodeableConcept": our_concept(&finding.acuity, &finding.acuity),
                },
            ],
        })
    }

    pub(super) fn report(&self) -> Value {
        let sections = "http://terminology.hl7.org/CodeSystem/v2-0074";
        let reports = self.result_objects();
        let reports = reports.filter(|(_, o)| o.sop_class.starts_with(STRUCTURED_REPORTS));
        json!({
            "resourceType": "DiagnosticReport",
            "id": self.id("report"),
            "meta": self.meta(true),
            "identifier": reports
                .map(|(_, object)| dicom_identifier(&object.sop_instance))
                .collect::<Vec<_>>(),
            "status": "preliminary",
            "category": [
                concept(sections, "RAD", "Radiology"),
                our_concept("preliminary-ai", "Preliminary output of an AI"),
            ],
            "code": concept("http://loinc.org", "24590-2", "MR Brain"),
            "subject": self.refer("Patient", "patient"),
            "effectiveDateTime": self.performed(),
            "issued": instant(self.flag.study.analysed_ms),
            "result": self.observations(),
            "imagingStudy": [self.refer("ImagingStudy", "study")],
            "conclusion": self.conclusion(),
            "conclusionCode": [our_concept(
                &format!("acuity-{}", self.flag.acuity),
                &format!("Acuity: {}", self.flag.acuity),
            )],
        })
    }

    pub(super) fn provenance(&self) -> Value {
        let participants = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";
        let Self { flag, site, .. } = self;
        let model = &flag.model;
        let mut targets = vec![self.refer("DiagnosticReport", "report")];
        targets.extend(self.observations());
        targets.extend(
            (self.referrals().iter())
                .map(|referral| self.refer("ServiceRequest", &request_role(&referral.service))),
        );
        // In the archive, under their DICOM UIDs.
        targets.extend(self.result_objects().map(|(manifest, object)| {
            let identifier = dicom_identifier(&object.sop_instance);
            json!({"identifier": identifier, "display": manifest.title})
        }));
        let approver = Some(model.rules_approver.as_str()).filter(|name| !name.is_empty());
        let approver = approver.unwrap_or("nobody");
        let rules = format!("Clinical rules {}, approved by {approver}.", model.rules_version);
        let reader = flag.reader.as_ref().map(|reader| {
            json!({"type": {"text": "reader at the clinic"}, "who": {"display": reader.name}})
        });
        json!({
            "resourceType": "Provenance",
            "id": self.id("provenance"),
            "target": targets,
            "recorded": instant(flag.study.analysed_ms),
            "reason": [{"text": rules}],
            "agent": [
                {
                    "type": concept(participants, "assembler", "Assembler"),
                    "who": self.device_reference(),
                    "onBehalfOf": {"display": site},
                },
                reader,
            ],
            "entity": [{"role": "source", "what": self.refer("ImagingStudy", "study")}],
        })
    }

    /// References to all findings.
    fn observations(&self) -> Vec<Value> {
        self.findings()
            .iter()
            .map(|one| self.refer("Observation", &finding_role(&one.label)))
            .collect()
    }

    /// Objects that were made from the result.
    fn result_objects(&self) -> impl Iterator<Item = (&Manifest, &Object)> {
        let manifests = self.objects.iter().filter(|manifest| manifest.series.is_empty());
        manifests.flat_map(|manifest| manifest.objects.iter().map(move |one| (manifest, one)))
    }

    /// For people.
    fn conclusion(&self) -> String {
        let flag = self.flag;
        let names: Vec<&str> = flag.findings.iter().map(|finding| finding.name.as_str()).collect();
        let mut lines = vec![CAVEAT.to_owned(), format!("Acuity: {}.", flag.acuity)];
        lines.push(match names.as_slice() {
            [] => "No finding at or above its threshold.".to_owned(),
            names => format!("Findings: {}.", names.join(", ")),
        });
        if flag.partial {
            lines.push("Announced images were missing; it is of the images that came.".to_owned());
        }
        if let (true, Some(age)) = (flag.patient.pseudonym, flag.patient.age_years) {
            lines.push(format!("Age at the study: {age} years."));
        }
        if let Some(reader) = &flag.reader {
            lines.push(format!("Reader at the clinic, {}: {}.", reader.name, reader.decision));
        }
        if !flag.asked {
            lines.push("The clinic has withdrawn its request.".to_owned());
        }
        lines.join("\n")
    }
}
