//! A referral as a FHIR R4 transaction, for hospitals that have systems of their own.
//!
//! ```text
//! Patient ◀─ ImagingStudy ◀─ DiagnosticReport ─▶ Observation of each finding ─▶ Device (the model)
//!                                   ▲
//!              ServiceRequest of each service ◀─ Task      Provenance of all of it
//! ```
//!
//! Every entry is a PUT under an id that follows from the site, the study and what the resource is
//! there for: sent again it changes nothing, and a later state of the referral replaces an earlier
//! one. A patient's id follows from the study too. Numbers that clinics give to patients are not
//! sure enough to merge records by; they are there as identifiers.

mod prune;
mod report;
mod request;
mod subject;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::command::Answer;
use crate::flag::{Finding, Flag, Referral};
use crate::manifest::Manifest;
use crate::push::Verdict;

/// Media type of what is sent.
pub const MEDIA_TYPE: &str = "application/fhir+json";
/// All ids follow from names in it, and it is the code system of what has no public code.
const NAMESPACE: Uuid = Uuid::from_u128(0x58e8_f624_c5a3_4ad6_a1b2_3fe7_c5e4_dc66);
/// Findings and services that become resources, the most urgent first, so that a transaction stays
/// within the 50 writes that servers allow (medplum). The report names all findings.
const MOST: (usize, usize) = (20, 12);
const UCUM: &str = "http://unitsofmeasure.org";
/// Said before anything else.
const CAVEAT: &str = "AI result - preliminary - not a diagnosis - not verified.";
const NOT_A_DEVICE: &str = "Research use; not a medical device. AI preview, not for diagnosis.";

/// A referral as it stands, with the objects that are there and the answer so far.
#[must_use]
pub fn transaction(
    site: &str,
    flag: &Flag,
    objects: &[Manifest],
    answer: Option<&Answer>,
) -> Value {
    let case = Case { site, flag, objects, answer };
    let mut resources = vec![case.patient(), case.imaging_study(), case.device()];
    resources.extend(case.findings().iter().map(|finding| case.observation(finding)));
    resources.push(case.report());
    for referral in case.referrals() {
        resources.extend([case.service_request(referral), case.task(referral)]);
    }
    resources.push(case.provenance());
    let mut seen = BTreeSet::new();
    // A label or service that a site names twice is one resource: no transaction has two of one id.
    resources.retain(|resource| seen.insert(place(resource)));
    let entries: Vec<Value> = resources.into_iter().map(entry).collect();
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

/// Adds to a transaction what an earlier one of the same study said and this one says no more:
/// findings are withdrawn, and requests that nobody has finished are revoked. A server would show
/// them as they were for ever.
#[must_use]
pub fn supersede(earlier: &Value, mut now: Value) -> Value {
    let Some(entries) = now["entry"].as_array_mut() else { return now };
    let said: BTreeSet<String> = entries.iter().map(|entry| place(&entry["resource"])).collect();
    for gone in earlier["entry"].as_array().into_iter().flatten() {
        let mut resource = gone["resource"].clone();
        if !said.contains(&place(&resource))
            && let Some(status) = withdrawn(&resource)
        {
            resource["status"] = json!(status);
            entries.push(entry(resource));
        }
    }
    now
}

/// The status of what is no longer said; `None` for what stays as it is.
fn withdrawn(resource: &Value) -> Option<&'static str> {
    let finished = matches!(resource["status"].as_str(), Some("completed" | "rejected"));
    match resource["resourceType"].as_str()? {
        "Task" if !finished => Some("cancelled"),
        "ServiceRequest" if !finished => Some("revoked"),
        "Observation" => Some("entered-in-error"),
        _ => None,
    }
}

/// What the answer to a transaction says.
#[must_use]
pub fn verdict(status: u16, body: &str) -> Verdict {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    let issue = &answer["issue"][0];
    let said = [&issue["diagnostics"], &issue["details"]["text"]].into_iter();
    let said = said.filter_map(Value::as_str).next().unwrap_or(body);
    if let Some(verdict) = Verdict::of_status(status, said) {
        return verdict;
    }
    // A transaction is taken whole or not at all; a server that treats it as a batch says so here.
    let entries = answer["entry"].as_array().into_iter().flatten();
    let mut statuses = entries.filter_map(|entry| entry["response"]["status"].as_str());
    match statuses.find(|status| !status.starts_with('2')) {
        Some(status) => Verdict::refused(format!("it refused an entry with status {status}"), ""),
        None => Verdict::Taken,
    }
}

/// `Type/id`, as in references and URLs.
fn place(resource: &Value) -> String {
    let text = |key: &str| resource[key].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", text("resourceType"), text("id"))
}

fn entry(resource: Value) -> Value {
    let url = place(&resource);
    let full_url = resource["id"].as_str().map(|id| format!("urn:uuid:{id}"));
    json!({
        "fullUrl": full_url,
        "resource": prune::pruned(resource),
        "request": {"method": "PUT", "url": url},
    })
}

/// What is told.
struct Case<'a> {
    site: &'a str,
    flag: &'a Flag,
    objects: &'a [Manifest],
    answer: Option<&'a Answer>,
}

impl Case<'_> {
    /// Those that become resources.
    fn findings(&self) -> &[Finding] {
        let findings = &self.flag.findings;
        findings.get(..MOST.0).unwrap_or(findings)
    }

    /// Those that become resources.
    fn referrals(&self) -> &[Referral] {
        let referrals = &self.flag.referrals;
        referrals.get(..MOST.1).unwrap_or(referrals)
    }

    /// The id of what has this role in this study.
    fn id(&self, role: &str) -> String {
        id(&[self.site, &self.flag.study.uid, role])
    }

    fn refer(&self, kind: &str, role: &str) -> Value {
        json!({"reference": format!("{kind}/{}", self.id(role))})
    }

    /// One model at one site is one device, whatever studies it looked at.
    fn device_id(&self) -> String {
        let model = &self.flag.model;
        id(&[self.site, &model.id, &model.sha256, &model.software, "device"])
    }

    fn device_reference(&self) -> Value {
        json!({"reference": format!("Device/{}", self.device_id())})
    }

    /// Day of the study, unless it is hidden.
    fn performed(&self) -> Option<String> {
        date(&self.flag.study.date)
    }

    /// An identifier that this site gives out; nothing for an empty one.
    fn local_identifier(&self, what: &str, kind: &Value, value: &str) -> Value {
        if value.is_empty() {
            return Value::Null;
        }
        let system = format!("urn:uuid:{}", id(&[self.site, what]));
        let site = json!({"display": self.site});
        json!({"type": kind, "system": system, "value": value, "assigner": site})
    }

    /// What a resource says of its origin.
    fn meta(&self, by_model: bool) -> Value {
        let security = |code: &str, display: &str| {
            coding("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", code, display)
        };
        let by_model_too = by_model.then(|| security("AIAST", "Artificial Intelligence asserted"));
        let hidden = self.flag.patient.pseudonym.then(|| security("PSEUDED", "pseudonymized"));
        let tag = by_model.then(|| our_coding("preliminary-ai", "Preliminary output of an AI"));
        json!({"security": [by_model_too, hidden], "tag": [tag]})
    }
}

/// A UUID of version 5 that follows from these words.
fn id(words: &[&str]) -> String {
    Uuid::new_v5(&NAMESPACE, words.join("\n").as_bytes()).to_string()
}

/// A study, series or object by its DICOM UID.
fn dicom_identifier(uid: &str) -> Value {
    json!({"system": "urn:dicom:uid", "value": format!("urn:oid:{uid}")})
}

fn coding(system: &str, code: &str, display: &str) -> Value {
    json!({"system": system, "code": code, "display": display})
}

/// A code has no double spaces and no line breaks.
fn our_coding(code: &str, display: &str) -> Value {
    let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
    coding(&format!("urn:uuid:{NAMESPACE}"), &code, display)
}

/// Something that has a code of ours and words for people.
fn our_concept(code: &str, text: &str) -> Value {
    json!({"coding": [our_coding(code, text)], "text": text})
}

fn concept(system: &str, code: &str, display: &str) -> Value {
    json!({"coding": [coding(system, code, display)]})
}

/// A dimensionless number without the digits that single precision does not have.
fn quantity(value: f32, unit: &str, code: &str) -> Value {
    let value = (f64::from(value) * 1e6).round() / 1e6;
    json!({"value": value, "unit": unit, "system": UCUM, "code": code})
}

/// A day of DICOM as one of FHIR.
fn date(day: &str) -> Option<String> {
    let day = Date::strptime("%Y%m%d", day).ok().filter(|day| day.year() > 0)?;
    Some(day.to_string())
}

fn instant(ms: i64) -> String {
    Timestamp::from_millisecond(ms.max(0)).unwrap_or_default().to_string()
}
