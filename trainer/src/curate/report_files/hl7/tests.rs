//! Messages as three kinds of senders write them.

use super::parse;
use crate::cohort::record::Setting;
use crate::curate::report_files::Status;

const MESSAGE: &str = "MSH|^~\\&|RIS|HOSP|CDR|HOSP|20210309170212||ORU^R01|77|P|2.5.1\r\
    PID|1||8812345^^^HOSP^MR~99-1^^^STATE||Quux^Ada^M||19600102|F|||12 Elm St^^Ann Arbor^MI^48109\
    ||(734)555-0199\r\
    PV1|1|E|||||4711^Grey^Meredith^^^Dr\r\
    ORC|RE|PO1|ACC-9\r\
    OBR|1|PO1|ACC-9|70553^MRI BRAIN|||20210309101500|||||||||1234^House^Gregory||||||\
    20210309163000-0500|||F|||||||5678&Wilson&James&E\r\
    OBX|1|FT|18782-3^Study report||FINDINGS:\\.br\\No mass \\T\\ no shift; T1\\S\\T2 \\X41\\.||||||F\r\
    OBX|2|TX|IMP&Impression||Normal for age.~C:\\path stays||||||F\r\
    ZDS|1.2.840.1^App^Application^DICOM\r";

#[test]
fn every_framing_gives_the_same_report() {
    let parsed = parse(MESSAGE.as_bytes(), None);
    assert_eq!(parsed.bad, []);
    let [report] = &parsed.reports[..] else { panic!("{:?}", parsed.reports) };
    let expected =
        "FINDINGS:\nNo mass & no shift; T1^T2 A.\nIMPRESSION:\nNormal for age.\nC:\\path stays";
    assert_eq!(report.text, expected);
    assert_eq!(report.accessions, ["PO1", "ACC-9"]);
    assert_eq!(report.study_uids, ["1.2.840.1"]);
    assert_eq!(report.patient_ids, ["8812345", "99-1"]);
    assert_eq!(report.names, ["Quux^Ada^M", "Grey^Meredith^", "House^Gregory^", "Wilson^James^E"]);
    assert!(report.identifiers.iter().any(|id| id == "(734)555-0199"), "{:?}", report.identifiers);
    assert_eq!((report.setting, report.rank), (Some(Setting::Emergency), Status::Final));
    assert_eq!(report.date.unwrap().to_string(), "2021-03-09");
    assert_eq!(report.finalised.unwrap().to_string(), "2021-03-09T16:30:00");

    let framed = format!("\u{b}{MESSAGE}\u{1c}\r\u{b}{MESSAGE}\u{1c}\r");
    let batch = format!("FHS|^~\\&\nBHS|^~\\&\n{}BTS|1\nFTS|1\n", MESSAGE.replace('\r', "\n"));
    let windows = MESSAGE.replace('\r', "\r\n");
    for (text, copies) in [(framed, 2), (batch, 1), (windows, 1)] {
        let other = parse(text.as_bytes(), None);
        assert_eq!(other.bad, []);
        assert_eq!(other.reports, vec![report.clone(); copies]);
    }
    // Other delimiters, as MSH declares them.
    let exotic: String = MESSAGE
        .chars()
        .map(|c| match c {
            '|' => '$',
            '^' => '@',
            '~' => '!',
            '&' => '%',
            other => other,
        })
        .collect();
    let other = parse(exotic.as_bytes(), None).reports;
    assert_eq!(other[0].text, expected.replace('&', "%").replace("T1^T2", "T1@T2"));
    assert_eq!(other[0].names, report.names);
}

#[test]
fn times_are_brought_to_the_hospitals_zone() {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let report = &parse(MESSAGE.as_bytes(), Some(&zone)).reports[0];
    assert_eq!(report.finalised.unwrap().to_string(), "2021-03-09T22:30:00");
    assert_eq!(report.date.unwrap().to_string(), "2021-03-09");
}

#[test]
fn linked_orders_share_the_report() {
    let text = MESSAGE.replace("OBR|1|", "OBR|1|X|ACC-8\rOBR|2|");
    let report = &parse(text.as_bytes(), None).reports[0];
    assert!(report.accessions.iter().any(|a| a == "ACC-8"), "{:?}", report.accessions);
}

#[test]
fn text_may_come_as_base64() {
    let text = MESSAGE.replace(
        "OBX|2|TX|IMP&Impression||Normal for age.~C:\\path stays",
        "OBX|2|ED|IMP||RIS^text^plain^Base64^Tm9ybWFsLg==\rOBX|3|ED|PDF||RIS^application^pdf^Base64^JVBE",
    );
    let report = &parse(text.as_bytes(), None).reports[0];
    assert!(report.text.ends_with("IMPRESSION:\nNormal."), "{}", report.text);
}

#[test]
fn bad_messages_are_told_apart_from_good_ones() {
    for (text, expected) in [
        ("", "holds no HL7 message"),
        ("PID|1", "does not begin with an MSH segment"),
        ("MSH", "message 1: declares no field separator (MSH-1)"),
        ("MSH|A", "message 1: declares no encoding characters (MSH-2)"),
        (
            "MSH|^~\\&|||||||ADT^A01\rPID|1",
            "message 1: is not of type \"ORU\" (MSH-9): only results hold reports",
        ),
        (
            "MSH|^~\\&|||||||ORU^R01\rOBR|1",
            "message 1: has no report text in its OBX segments (OBX-5)",
        ),
        (
            "MSH|^~\\&|||||||ORU^R01\rOBR|1||A||||20211332\rOBX|1|TX|||x",
            "message 1: OBR-7 is no point of time of the calendar",
        ),
    ] {
        let both = parse(format!("{text}\r{MESSAGE}").as_bytes(), None);
        let alone = parse(text.as_bytes(), None);
        let (place, what) = alone.bad[0].clone();
        assert_eq!(super::super::located(place.as_deref(), &what), expected);
        assert!(alone.reports.is_empty() && both.reports.len() <= 1);
    }
}
