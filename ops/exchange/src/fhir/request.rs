//! Who should see the patient, and what becomes of that: a request is what is wanted, a task the
//! work on it.

use serde_json::{Value, json};

use super::report::{finding_role, request_role};
use super::{Case, concept, instant, our_concept};
use crate::command::{Answer, Status};
use crate::flag::Referral;

impl Case<'_> {
    pub(super) fn service_request(&self, referral: &Referral) -> Value {
        let service = referral.service.replace('_', " ");
        let mut because = vec![self.refer("DiagnosticReport", "report")];
        // Findings that a flag has no room for are not there to be referred to.
        let told = |label: &&String| self.flag.findings.iter().any(|one| one.label == **label);
        because.extend(
            (referral.findings.iter().filter(told))
                .map(|label| self.refer("Observation", &finding_role(label))),
        );
        json!({
            "resourceType": "ServiceRequest",
            "id": self.id(&request_role(&referral.service)),
            "meta": self.meta(true),
            "status": self.request_status(),
            "intent": "order",
            "priority": priority(&referral.urgency),
            "code": our_concept(&referral.service, &format!("Referral to {service}")),
            "subject": self.refer("Patient", "patient"),
            "authoredOn": instant(self.flag.study.analysed_ms),
            "requester": self.device_reference(),
            "performerType": {"text": service},
            "reasonCode": [{"text": referral.reason}],
            "reasonReference": because,
            "supportingInfo": [self.refer("ImagingStudy", "study")],
        })
    }

    pub(super) fn task(&self, referral: &Referral) -> Value {
        let analysed = self.flag.study.analysed_ms;
        let answer = self.answer;
        let codes = "http://hl7.org/fhir/CodeSystem/task-code";
        let modified = answer.map_or(analysed, |answer| answer.at_ms);
        let note = |answer: &Answer| {
            // Whose and when is said of a text only.
            (!answer.note.is_empty()).then(|| {
                let time = instant(answer.at_ms);
                json!({"authorString": answer.by, "time": time, "text": answer.note})
            })
        };
        let actions = answer
            .into_iter()
            .flat_map(|answer| &answer.actions)
            .map(|action| json!({"type": {"text": "Requested action"}, "valueString": action}));
        json!({
            "resourceType": "Task",
            "id": self.id(&format!("task {}", referral.service)),
            "meta": self.meta(false),
            "status": self.task_status(),
            "intent": "order",
            "priority": priority(&referral.urgency),
            "code": concept(codes, "fulfill", "Fulfill the focal request"),
            "focus": self.refer("ServiceRequest", &request_role(&referral.service)),
            "for": self.refer("Patient", "patient"),
            "authoredOn": instant(analysed),
            "lastModified": instant(modified),
            "requester": self.device_reference(),
            "owner": {"display": answer.map(|answer| answer.by.as_str())},
            "note": [answer.and_then(note)],
            "output": actions.filter(|action| action["valueString"] != "").collect::<Vec<_>>(),
        })
    }

    /// What is completed stays so, whether it is still asked for or not.
    fn request_status(&self) -> &'static str {
        match (self.flag.asked, self.answer.map(|answer| answer.status)) {
            (_, Some(Status::Completed)) => "completed",
            (false, _) => "revoked",
            (true, _) => "active",
        }
    }

    fn task_status(&self) -> &'static str {
        match (self.flag.asked, self.answer.map(|answer| answer.status)) {
            (_, Some(Status::Completed)) => "completed",
            (false, _) => "cancelled",
            (true, None | Some(Status::Received)) => "requested",
            (true, Some(Status::Accepted)) => "accepted",
            (true, Some(Status::Declined)) => "rejected",
        }
    }
}

/// In FHIR `asap` comes before `urgent`, and `stat` before both.
fn priority(urgency: &str) -> &'static str {
    match urgency {
        "emergency" => "stat",
        "urgent" => "asap",
        "soon" => "urgent",
        _ => "routine",
    }
}
