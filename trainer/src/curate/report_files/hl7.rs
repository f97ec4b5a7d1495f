//! HL7 v2 ORU^R01 messages: plain, in batches, or in the frames of the lower layer protocol
//! (MLLP). Delimiters are those that each message declares; segments may end in any line break.

mod text;

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

use self::text::{Delimiters, unescape};
use super::{Parsed, SourceReport, Status, base64, decode, local, push};
use crate::cohort::record::Setting;

/// Reads all messages of a file.
pub(super) fn parse(bytes: &[u8], zone: Option<&TimeZone>) -> Parsed {
    let text = decode(bytes);
    let lines = text.split(['\r', '\n', '\u{b}', '\u{1c}']).map(str::trim_start);
    let mut messages: Vec<Vec<&str>> = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        if line.starts_with("MSH") {
            messages.push(vec![line]);
        } else if !["FHS", "BHS", "BTS", "FTS"].iter().any(|batch| line.starts_with(batch)) {
            match messages.last_mut() {
                Some(message) => message.push(line),
                None => return Parsed::fail(None, "does not begin with an MSH segment"),
            }
        }
    }
    if messages.is_empty() {
        return Parsed::fail(None, "holds no HL7 message");
    }
    let mut parsed = Parsed::default();
    for (index, segments) in messages.iter().enumerate() {
        match message(segments, zone) {
            Ok(reports) => parsed.reports.extend(reports),
            Err(what) => parsed.bad.push((Some(format!("message {}", index + 1)), what)),
        }
    }
    parsed
}

/// One segment and the delimiters of its message.
#[derive(Clone, Copy)]
struct Segment<'a> {
    line: &'a str,
    with: Delimiters,
}

impl<'a> Segment<'a> {
    fn name(&self) -> &'a str {
        self.line.split(self.with.field).next().unwrap_or_default()
    }

    /// Field by its number in the standard, still escaped. In MSH the separator itself is field 1.
    fn raw(&self, number: usize) -> &'a str {
        let index = if self.name() == "MSH" { number.saturating_sub(1) } else { number };
        self.line.split(self.with.field).nth(index).unwrap_or_default()
    }

    fn repetitions(&self, number: usize) -> impl Iterator<Item = &'a str> {
        self.raw(number).split(self.with.repetition)
    }

    /// Component of a field's text, first sub-component, unescaped; both count from 1.
    fn part(&self, field: &'a str, component: usize) -> String {
        let part = field.split(self.with.component).nth(component - 1).unwrap_or_default();
        let part = part.split(self.with.sub).next().unwrap_or_default();
        unescape(part, self.with).trim().to_owned()
    }

    /// First repetition of a field's component.
    fn get(&self, field: usize, component: usize) -> String {
        self.part(self.repetitions(field).next().unwrap_or_default(), component)
    }

    /// Every component and sub-component of a field.
    fn parts(&self, field: usize) -> impl Iterator<Item = String> {
        let with = self.with;
        self.raw(field)
            .split([with.repetition, with.component, with.sub])
            .map(move |part| unescape(part, with))
    }
}

/// What the patient and visit segments say; copied into every report of the message.
fn message(lines: &[&str], zone: Option<&TimeZone>) -> Result<Vec<SourceReport>, String> {
    let header = lines.first().copied().unwrap_or_default();
    let with = Delimiters::of(header)?;
    let segments = lines.iter().map(|line| Segment { line, with });
    let kind = Segment { line: header, with }.get(9, 1);
    if kind != "ORU" {
        // What stands there is not quoted: in a shifted segment it may be the patient's name.
        return Err("is not of type \"ORU\" (MSH-9): only results hold reports".into());
    }
    let mut shared = SourceReport::default();
    let mut orders: Vec<Order<'_>> = vec![Order::default()];
    for segment in segments {
        match segment.name() {
            "PID" => patient(&segment, &mut shared),
            "PV1" => visit(&segment, &mut shared),
            "OBR" => orders.push(Order { obr: Some(segment), ..Order::default() }),
            "ORC" | "OBX" | "ZDS" | "IPC" | "NTE" => {
                if let Some(order) = orders.last_mut() {
                    order.rest.push(segment);
                }
            }
            _ => {}
        }
    }
    let mut reports = Vec::new();
    // Linked orders: several OBR, of which only the last is followed by the report.
    let mut waiting: Option<SourceReport> = None;
    for order in &orders {
        let mut report = waiting.take().unwrap_or_else(|| shared.clone());
        order.fill(&mut report, zone)?;
        if report.text.is_empty() {
            waiting = Some(report);
        } else {
            reports.push(report);
        }
    }
    if reports.is_empty() {
        return Err("has no report text in its OBX segments (OBX-5)".into());
    }
    Ok(reports)
}

fn patient(pid: &Segment<'_>, report: &mut SourceReport) {
    for field in [2, 3, 4] {
        for id in pid.repetitions(field) {
            push(&mut report.patient_ids, &pid.part(id, 1));
        }
    }
    // Name, mother's maiden name, alias.
    for field in [5, 6, 9] {
        names(pid, field, 1, &mut report.names);
    }
    for field in [7, 18, 19, 20] {
        push(&mut report.identifiers, &pid.get(field, 1));
    }
    for address in pid.repetitions(11) {
        for component in [1, 2, 3, 5] {
            push(&mut report.identifiers, &pid.part(address, component));
        }
    }
    for field in [13, 14] {
        pid.parts(field).for_each(|part| push(&mut report.identifiers, &part));
    }
}

fn visit(pv1: &Segment<'_>, report: &mut SourceReport) {
    // Table 0004.
    report.setting = match pv1.get(2, 1).as_str() {
        "E" => Some(Setting::Emergency),
        "I" => Some(Setting::Inpatient),
        "O" | "P" | "R" => Some(Setting::Outpatient),
        _ => None,
    };
    for field in [7, 8, 9, 17] {
        names(pv1, field, 2, &mut report.names);
    }
    push(&mut report.identifiers, &pv1.get(19, 1));
}

/// Person names: family and given name from component `first` on.
fn names(segment: &Segment<'_>, field: usize, first: usize, names: &mut Vec<String>) {
    for person in segment.repetitions(field) {
        let parts = [0, 1, 2].map(|index| segment.part(person, first + index));
        push(names, &parts.join("^"));
    }
}

/// An OBR segment and what follows it; the first order of a message has none.
#[derive(Default)]
struct Order<'a> {
    obr: Option<Segment<'a>>,
    rest: Vec<Segment<'a>>,
}

impl Order<'_> {
    fn fill(&self, report: &mut SourceReport, zone: Option<&TimeZone>) -> Result<(), String> {
        if let Some(obr) = &self.obr {
            // Which field holds the accession number differs between systems.
            for field in [2, 3, 18, 19, 20, 21] {
                push(&mut report.accessions, &obr.get(field, 1));
            }
            report.rank = status(&obr.get(25, 1));
            report.finalised = time(&obr.get(22, 1), "OBR-22", zone)?;
            report.date = time(&obr.get(7, 1), "OBR-7", zone)?.map(DateTime::date);
            for field in [10, 16, 28] {
                names(obr, field, 2, &mut report.names);
            }
            for field in [32, 33, 34, 35] {
                interpreters(obr, field, &mut report.names);
            }
        }
        let mut text = String::new();
        for segment in &self.rest {
            match segment.name() {
                "ORC" => {
                    for field in [2, 3] {
                        push(&mut report.accessions, &segment.get(field, 1));
                    }
                    names(segment, 12, 2, &mut report.names);
                }
                "IPC" => {
                    push(&mut report.accessions, &segment.get(1, 1));
                    push(&mut report.study_uids, &segment.get(3, 1));
                }
                "ZDS" => push(&mut report.study_uids, &segment.get(1, 1)),
                "OBX" if is_study_uid(segment) => {
                    push(&mut report.study_uids, &segment.get(5, 1));
                }
                "OBX" => {
                    observation(segment, &mut text);
                    names(segment, 16, 2, &mut report.names);
                }
                _ => {}
            }
        }
        report.text = text.trim().to_owned();
        Ok(())
    }
}

/// 113014 is the code of DCM, (0020,000D) what some gateways write instead.
fn is_study_uid(obx: &Segment<'_>) -> bool {
    let code = obx.get(3, 1);
    code == "113014" || code.eq_ignore_ascii_case("study instance uid") || code == "0020000D"
}

/// Result status of OBR-25 (table 0123).
fn status(code: &str) -> Status {
    match code {
        "C" => Status::Corrected,
        "F" | "A" => Status::Final,
        _ => Status::Preliminary,
    }
}

/// Interpreters are of type NDL: the name's parts are sub-components.
fn interpreters(obr: &Segment<'_>, field: usize, names: &mut Vec<String>) {
    for person in obr.repetitions(field) {
        let name = person.split(obr.with.component).next().unwrap_or_default();
        let mut parts: Vec<_> =
            name.split(obr.with.sub).map(|part| unescape(part, obr.with)).collect();
        if parts.len() == 1 {
            // Some systems write a plain XCN.
            parts = (1..=3).map(|component| obr.part(person, component)).collect();
        }
        push(names, &parts.iter().skip(1).take(3).cloned().collect::<Vec<_>>().join("^"));
    }
}

/// Appends the value of an OBX segment as lines.
fn observation(obx: &Segment<'_>, text: &mut String) {
    // Deleted, not available, wrong.
    if ["D", "X", "W"].contains(&obx.get(11, 1).as_str()) {
        return;
    }
    for value in obx.repetitions(5) {
        let line = match obx.get(2, 1).as_str() {
            "TX" | "FT" | "ST" | "" => unescape(value, obx.with),
            "CE" | "CWE" | "CNE" => {
                let words = obx.part(value, 2);
                if words.is_empty() { obx.part(value, 1) } else { words }
            }
            "ED" => encapsulated(obx, value).unwrap_or_default(),
            _ => continue,
        };
        if let Some(heading) = heading(obx)
            && !text.contains(heading)
        {
            text.push_str(heading);
            text.push('\n');
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// The heading that an observation's code stands for. A report that comes in coded parts often
/// leaves the headings out.
fn heading(obx: &Segment<'_>) -> Option<&'static str> {
    let coded = obx.repetitions(3).next().unwrap_or_default();
    let with = obx.with;
    let mut codes = coded.split([with.component, with.sub]);
    codes.find_map(|code| match code {
        "IMP" | "19005-8" => Some("IMPRESSION:"),
        "59776-5" => Some("FINDINGS:"),
        "55115-0" | "18785-6" => Some("INDICATION:"),
        "55111-9" => Some("TECHNIQUE:"),
        "18834-2" => Some("COMPARISON:"),
        _ => None,
    })
}

/// Text sent as encapsulated data: source ^ type ^ subtype ^ encoding ^ data.
fn encapsulated(obx: &Segment<'_>, value: &str) -> Option<String> {
    let kinds = [2, 3].map(|component| obx.part(value, component).to_lowercase());
    if !kinds.iter().any(|kind| kind.contains("plain") || kind == "text" || kind == "txt") {
        return None;
    }
    let data = value.split(obx.with.component).nth(4)?;
    match obx.part(value, 4).to_lowercase().as_str() {
        "base64" => base64::decode(&unescape(data, obx.with)).map(|bytes| decode(&bytes)),
        _ => Some(unescape(data, obx.with)),
    }
}

/// A time stamp `YYYYMMDD[HHMM[SS[.S]]][+-ZZZZ]`; `None` when empty or without a day.
fn time(text: &str, field: &str, zone: Option<&TimeZone>) -> Result<Option<DateTime>, String> {
    let digits: Vec<i16> =
        text.bytes().take_while(u8::is_ascii_digit).map(|digit| i16::from(digit - b'0')).collect();
    if digits.len() < 8 {
        return Ok(None);
    }
    let number = |from: usize, to: usize| {
        digits.get(from..to).unwrap_or_default().iter().fold(0, |sum, digit| sum * 10 + digit)
    };
    let small = |from: usize| i8::try_from(number(from, from + 2)).unwrap_or(0);
    let moment = Date::new(number(0, 4), small(4), small(6))
        .and_then(|date| {
            let at =
                DateTime::new(date.year(), date.month(), date.day(), small(8), small(10), 0, 0)?;
            // A leap second of 60 becomes 59.
            at.with().second(small(12).min(59)).build()
        })
        .map_err(|_| format!("{field} is no point of time of the calendar"))?;
    Ok(Some(match offset(text) {
        Some(offset) => match moment.to_zoned_datetime(TimeZone::fixed(offset)) {
            Ok(instant) => local(&instant, zone),
            Err(_) => moment,
        },
        None => moment,
    }))
}

fn offset(text: &str) -> Option<Offset> {
    let at = text.find(['+', '-'])?;
    let (sign, digits) = text.split_at_checked(at)?.1.split_at_checked(1)?;
    let number: i32 = digits.get(..4)?.parse().ok()?;
    let seconds = (number / 100 * 60 + number % 100) * 60;
    Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok()
}

#[cfg(test)]
mod tests;
