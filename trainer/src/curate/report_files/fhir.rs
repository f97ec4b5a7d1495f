//! FHIR R4 `DiagnosticReport` as JSON: one resource, a Bundle, an array, or NDJSON. What a report
//! refers to (patient, imaging study, order) is looked up in the same file.

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use serde_json::Value;

use super::{Parsed, SourceReport, Status, base64, decode, html, local, push};

/// Reads all reports of a file.
pub(super) fn parse(bytes: &[u8], zone: Option<&TimeZone>) -> Parsed {
    let text = decode(bytes);
    let mut parsed = Parsed::default();
    let mut resources = Vec::new();
    match serde_json::from_str::<Value>(&text) {
        Ok(value) => collect(value, &mut resources),
        Err(whole) => {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            for (number, line) in lines {
                match serde_json::from_str::<Value>(line) {
                    Ok(value) => collect(value, &mut resources),
                    // Without a first line of its own the file was meant to be one document.
                    Err(_) if resources.is_empty() => {
                        let what = format!(
                            "is no JSON (line {}, column {})",
                            whole.line(),
                            whole.column()
                        );
                        return Parsed::fail(None, what);
                    }
                    Err(_) => {
                        parsed
                            .bad
                            .push((Some(format!("line {}", number + 1)), "is no JSON".into()));
                    }
                }
            }
        }
    }
    let mut found = false;
    for resource in resources.iter().filter(|resource| kind(resource) == "DiagnosticReport") {
        found = true;
        match report(resource, &resources, zone) {
            Ok(Some(report)) => parsed.reports.push(report),
            Ok(None) => {}
            Err(what) => {
                parsed.bad.push((None, what));
            }
        }
    }
    // Bulk exports have files of other resources beside the reports.
    if !found && parsed.bad.is_empty() && resources.iter().all(|r| kind(r).is_empty()) {
        return Parsed::fail(None, "holds no FHIR resource (no resourceType)");
    }
    parsed
}

/// Resources of a document, out of bundles and arrays.
fn collect(value: Value, resources: &mut Vec<Value>) {
    match value {
        Value::Array(items) => items.into_iter().for_each(|item| collect(item, resources)),
        Value::Object(mut object) => {
            if object.get("resourceType").and_then(Value::as_str) == Some("Bundle") {
                if let Some(Value::Array(entries)) = object.remove("entry") {
                    for mut entry in entries {
                        let url = entry.get("fullUrl").cloned();
                        if let Some(mut resource) = entry.get_mut("resource").map(Value::take) {
                            if let (Some(object), Some(url)) = (resource.as_object_mut(), url) {
                                object.insert(FULL_URL.into(), url);
                            }
                            collect(resource, resources);
                        }
                    }
                }
            } else {
                resources.push(Value::Object(object));
            }
        }
        _ => {}
    }
}

/// Key under which a resource keeps the address its bundle gave it; no FHIR element has a space.
const FULL_URL: &str = "full url";

fn kind(resource: &Value) -> &str {
    text(resource, "/resourceType")
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    match value.get(key) {
        Some(Value::Array(items)) => items,
        Some(single @ Value::Object(_)) => std::slice::from_ref(single),
        _ => &[],
    }
}

/// One report; `None` for one that was cancelled or entered in error.
fn report(
    resource: &Value,
    all: &[Value],
    zone: Option<&TimeZone>,
) -> Result<Option<SourceReport>, String> {
    let rank = match text(resource, "/status") {
        "entered-in-error" | "cancelled" => return Ok(None),
        "amended" | "corrected" | "appended" => Status::Corrected,
        "final" => Status::Final,
        _ => Status::Preliminary,
    };
    let mut report = SourceReport { rank, text: body(resource)?, ..SourceReport::default() };
    identifiers(resource, &mut report);
    let study_date = ["/effectiveDateTime", "/effectivePeriod/start"];
    let study_date = study_date.map(|pointer| text(resource, pointer));
    if let Some(written) = study_date.into_iter().find(|written| !written.is_empty()) {
        report.date = Some(day(written, zone)?);
    }
    let issued = text(resource, "/issued");
    if !issued.is_empty() {
        report.finalised = Some(moment(issued, zone)?);
    }
    for key in ["imagingStudy", "study", "basedOn"] {
        for reference in list(resource, key) {
            reference_identifiers(reference, &mut report);
            if let Some(target) = resolve(reference, resource, all) {
                identifiers(target, &mut report);
            }
        }
    }
    for key in ["performer", "resultsInterpreter"] {
        for reference in list(resource, key) {
            push(&mut report.names, text(reference, "/display"));
            if let Some(target) = resolve(reference, resource, all) {
                names(target, &mut report.names);
            }
        }
    }
    if let Some(subject) = resource.get("subject") {
        push(&mut report.names, text(subject, "/display"));
        push(&mut report.patient_ids, text(subject, "/identifier/value"));
        let id = text(subject, "/reference").rsplit('/').next().unwrap_or_default();
        push(&mut report.patient_ids, id.trim_start_matches('#'));
        if let Some(patient) = resolve(subject, resource, all) {
            about_patient(patient, &mut report);
        }
    }
    Ok(Some(report))
}

/// The text: attachments first, since a conclusion is a part of them; the narrative at last.
fn body(resource: &Value) -> Result<String, String> {
    for form in list(resource, "presentedForm") {
        let content = text(form, "/contentType");
        let Some(data) = form.get("data").and_then(Value::as_str) else { continue };
        if !content.starts_with("text/") {
            continue;
        }
        let bytes = base64::decode(data).ok_or("presentedForm.data is not base64")?;
        let decoded = decode(&bytes);
        let plain = if content.starts_with("text/html") { html::text(&decoded) } else { decoded };
        if !plain.trim().is_empty() {
            return Ok(plain.trim().replace("\r\n", "\n"));
        }
    }
    let conclusion = text(resource, "/conclusion").trim();
    let narrative = html::text(text(resource, "/text/div"));
    match (narrative.is_empty(), conclusion.is_empty()) {
        (_, false) => Ok(format!("IMPRESSION:\n{conclusion}")),
        (false, true) => Ok(narrative),
        (true, true) => Err("has no text: neither presentedForm with text, nor conclusion, nor \
                             narrative"
            .into()),
    }
}

/// Accession numbers and Study Instance UIDs among the identifiers of a resource.
fn identifiers(resource: &Value, report: &mut SourceReport) {
    for identifier in list(resource, "identifier") {
        let value = text(identifier, "/value").trim();
        match value.strip_prefix("urn:oid:") {
            Some(uid) => push(&mut report.study_uids, uid),
            None => push(&mut report.accessions, value),
        }
    }
}

fn reference_identifiers(reference: &Value, report: &mut SourceReport) {
    let value = text(reference, "/identifier/value");
    match value.strip_prefix("urn:oid:") {
        Some(uid) => push(&mut report.study_uids, uid),
        None => push(&mut report.accessions, value),
    }
}

/// The resource that a reference means: contained, or in the same file.
fn resolve<'a>(reference: &Value, owner: &'a Value, all: &'a [Value]) -> Option<&'a Value> {
    let wanted = text(reference, "/reference");
    if wanted.is_empty() {
        return None;
    }
    if let Some(id) = wanted.strip_prefix('#') {
        return list(owner, "contained").iter().find(|resource| text(resource, "/id") == id);
    }
    all.iter().find(|resource| {
        let id = text(resource, "/id");
        let address = format!("{}/{id}", kind(resource));
        resource.get(FULL_URL).and_then(Value::as_str) == Some(wanted)
            || (!id.is_empty() && (wanted == address || wanted.ends_with(&format!("/{address}"))))
    })
}

fn about_patient(patient: &Value, report: &mut SourceReport) {
    names(patient, &mut report.names);
    for identifier in list(patient, "identifier") {
        push(&mut report.patient_ids, text(identifier, "/value"));
    }
    push(&mut report.identifiers, text(patient, "/birthDate"));
    for contact in list(patient, "telecom") {
        push(&mut report.identifiers, text(contact, "/value"));
    }
    for address in list(patient, "address") {
        for line in list_of_text(address, "line") {
            push(&mut report.identifiers, line);
        }
        push(&mut report.identifiers, text(address, "/city"));
        push(&mut report.identifiers, text(address, "/postalCode"));
    }
}

fn names(resource: &Value, names: &mut Vec<String>) {
    for name in list(resource, "name") {
        push(names, text(name, "/text"));
        let given = list_of_text(name, "given").collect::<Vec<_>>().join("^");
        push(names, &format!("{}^{given}", text(name, "/family")));
    }
}

fn list_of_text<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    let items = value.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(Value::as_str)
}

/// A day, out of a date or a point of time.
fn day(written: &str, zone: Option<&TimeZone>) -> Result<Date, String> {
    match written.parse::<Date>() {
        Ok(date) if written.len() == 10 => Ok(date),
        _ => moment(written, zone).map(DateTime::date),
    }
}

fn moment(written: &str, zone: Option<&TimeZone>) -> Result<DateTime, String> {
    let bad = || "a date or issued is no FHIR date and time".to_owned();
    let (clock, offset) = split_offset(written);
    let moment: DateTime = clock.parse().map_err(|_| bad())?;
    match offset {
        Some(offset) => {
            moment.to_zoned_datetime(offset).map(|at| local(&at, zone)).map_err(|_| bad())
        }
        None => Ok(moment),
    }
}

/// A point of time without its offset, and the offset.
fn split_offset(written: &str) -> (&str, Option<TimeZone>) {
    if let Some(clock) = written.strip_suffix('Z') {
        return (clock, Some(TimeZone::UTC));
    }
    let seconds = |sign: &str, offset: &str| {
        let (hours, minutes) = offset.split_once(':')?;
        let seconds = (hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok()?) * 60;
        Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok()
    };
    let split = || {
        let (clock, offset) = written.split_at_checked(written.len().checked_sub(6)?)?;
        let (sign, offset) = offset.split_at_checked(1)?;
        let zone = TimeZone::fixed(seconds(sign, offset)?);
        (clock.contains('T') && ["+", "-"].contains(&sign)).then_some((clock, Some(zone)))
    };
    split().unwrap_or((written, None))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::curate::report_files::Status;

    const REPORT: &str = r##"{"resourceType":"DiagnosticReport","id":"r1","status":"final",
        "identifier":[{"type":{"coding":[{"code":"ACSN"}]},"value":"ACC-9"}],
        "subject":{"reference":"Patient/p9","display":"Ada Quux"},
        "effectiveDateTime":"2021-03-09T10:15:00-05:00","issued":"2021-03-09T16:30:00.5-05:00",
        "imagingStudy":[{"reference":"ImagingStudy/i1"}],
        "resultsInterpreter":[{"display":"James Wilson MD"}],
        "conclusion":"short",
        "presentedForm":[{"contentType":"application/pdf","data":"JVBE"},
        {"contentType":"text/plain; charset=utf-8","data":"RklORElOR1M6DQpObyBtYXNzLg=="}]}"##;
    const OTHERS: &str = r##"{"resourceType":"Patient","id":"p9","identifier":[{"value":"8812345"}],
        "name":[{"family":"Quux","given":["Ada","M"]}],"birthDate":"1960-01-02",
        "address":[{"line":["12 Elm St"],"city":"Ann Arbor","postalCode":"48109"}]}
        {"resourceType":"ImagingStudy","id":"i1","identifier":[{"value":"urn:oid:1.2.840.1"}]}"##;

    #[test]
    fn bundle_lines_and_single_resource_agree() {
        let one = |text: &str| text.replace('\n', " ").replace("}          {", "}\n{");
        let (patient, study) = OTHERS.split_once("\n        {\"resourceType\":\"I").unwrap();
        let study = format!("{{\"resourceType\":\"I{study}");
        let lines = format!("{}\n{}\n{}\n", one(REPORT), one(patient), one(&study));
        let entries = [REPORT, patient, &study].map(|r| format!("{{\"resource\":{r}}}")).join(",");
        let bundle = format!("{{\"resourceType\":\"Bundle\",\"entry\":[{entries}]}}");
        let from_lines = parse(lines.as_bytes(), None);
        assert_eq!(from_lines.bad, []);
        assert_eq!(from_lines.reports, parse(bundle.as_bytes(), None).reports);
        let report = &from_lines.reports[0];
        assert_eq!(report.text, "FINDINGS:\nNo mass.");
        assert_eq!(
            (report.rank, &report.accessions[..]),
            (Status::Final, &["ACC-9".to_owned()][..])
        );
        assert_eq!(report.study_uids, ["1.2.840.1"]);
        assert_eq!(report.patient_ids, ["p9", "8812345"]);
        assert_eq!(report.names, ["James Wilson MD", "Ada Quux", "Quux^Ada^M"]);
        assert_eq!(report.date.unwrap().to_string(), "2021-03-09");
        assert_eq!(report.finalised.unwrap().to_string(), "2021-03-09T16:30:00.5");
        let alone = parse(REPORT.as_bytes(), None);
        assert_eq!(alone.reports[0].patient_ids, ["p9"]);
    }

    #[test]
    fn text_is_taken_from_what_there_is() {
        for (cut, expected) in
            [("text/plain; charset=utf-8", "FINDINGS:\nNo mass."), ("none", "IMPRESSION:\nshort")]
        {
            let text = REPORT.replace("text/plain; charset=utf-8", cut);
            assert_eq!(parse(text.as_bytes(), None).reports[0].text, expected);
        }
        let zone = jiff::tz::TimeZone::get("America/Detroit").unwrap();
        let utc = REPORT.replace("2021-03-09T16:30:00.5-05:00", "2021-03-09T21:30:00Z");
        let report = &parse(utc.as_bytes(), Some(&zone)).reports[0];
        assert_eq!(report.finalised.unwrap().to_string(), "2021-03-09T16:30:00");
    }

    #[test]
    fn bad_files_are_named_and_void_reports_dropped() {
        let void = REPORT.replace("\"final\"", "\"entered-in-error\"");
        let parsed = parse(void.as_bytes(), None);
        assert!(parsed.reports.is_empty() && parsed.bad.is_empty());
        for (text, expected) in [
            ("{\"a\": ", "is no JSON (line 1, column 6)"),
            ("[1, 2]", "holds no FHIR resource (no resourceType)"),
            (
                "{\"resourceType\":\"DiagnosticReport\"}",
                "has no text: neither presentedForm with text, nor conclusion, nor narrative",
            ),
            (&REPORT.replace("RklORElO", "*"), "presentedForm.data is not base64"),
            (
                &REPORT.replace("\"2021-03-09T16", "\"yesterday"),
                "a date or issued is no FHIR date and time",
            ),
        ] {
            assert_eq!(parse(text.as_bytes(), None).bad[0].1, expected, "{text}");
        }
    }
}
