//! The sections of a report that a hospital exports as one text.

use std::sync::LazyLock;

use regex::Regex;

use crate::cohort::record::Report;

/// Sections by the words of their headings. A heading stands at the start of a line and ends with
/// a colon, or is a line by itself.
const HEADINGS: [(Section, &str); 6] = [
    (
        Section::Indication,
        "(clinical )?(indications?|history|information|question|details|context|data)|clinical|\
         reason for (the )?(exam|examination|study|scan|request)|history of present illness|\
         presenting complaint|referral( details)?|clinical history( and indication)?|\
         indication for (study|exam)|exam indication",
    ),
    (
        Section::Technique,
        "techniques?|procedure|protocol|sequences?|methods?|contrast|imaging protocol|\
         technical factors|scan technique|mri technique|acquisition",
    ),
    (
        Section::Comparison,
        "comparisons?( studies| study| exams?)?|compared? (with|to)|prior( studies| study| exams?)|\
         previous (studies|imaging|examinations?)|correlation",
    ),
    (
        Section::Findings,
        "findings?|observations?|report|description|results?|mri (brain|head)( findings)?|\
         brain( and orbits)?|interpretation of findings|body of report",
    ),
    (
        Section::Impression,
        "impressions?|conclusions?|opinion|summary|assessment|interpretation|diagnosis|\
         comment|summary and recommendations?|conclusion and recommendations?|recommendations?",
    ),
    // What belongs to no section and must not become a finding.
    (
        Section::Other,
        "exam(ination)?( type| date)?|study( date| type)?|dictated by|signed( by)?|\
         electronically signed( by)?|attending|resident|radiologist|accession( number)?|\
         critical results?|addendum signed|transcribed by|date of (exam|service)|ordering \\w+",
    ),
];

/// Part of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Indication,
    Technique,
    Comparison,
    Findings,
    Impression,
    Other,
}

static PATTERNS: LazyLock<Vec<(Section, Regex)>> = LazyLock::new(|| {
    let compile = |(section, words): (Section, &str)| {
        let pattern = format!(r"(?i)^\W*(?:{words})\s*(?::|[-–—]\s|$)[\s:]*");
        Some((section, Regex::new(&pattern).ok()?))
    };
    HEADINGS.into_iter().filter_map(compile).collect()
});

/// Some exports put everything on one line: a heading in capitals with a colon begins a new one.
static INLINE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:^|[.;:]\s+|\s{2,})((?:[A-Z]{4,}|OF|FOR|AND|THE)(?: [A-Z]+){0,4}:)").ok()
});

/// Splits a report at its headings.
///
/// Text before the first heading belongs to the findings, as does a report without headings; an
/// absent section is empty; a section that stands twice is joined.
#[must_use]
pub fn split(text: &str) -> Report {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text = INLINE.as_ref().map_or(text.clone(), |inline| {
        inline
            .replace_all(&text, |found: &regex::Captures<'_>| {
                let (whole, heading) = (&found[0], &found[1]);
                format!("{}\n{heading}", whole.trim_end_matches(heading))
            })
            .into_owned()
    });
    let mut report = Report::default();
    let mut section = Section::Findings;
    for line in text.lines() {
        let mut body = line.trim();
        if let Some((next, rest)) = heading(body) {
            section = next;
            body = rest;
        }
        let into = match section {
            Section::Indication => &mut report.indication,
            Section::Technique => &mut report.technique,
            Section::Comparison => &mut report.comparison,
            Section::Findings => &mut report.findings,
            Section::Impression => &mut report.impression,
            Section::Other => continue,
        };
        if !into.is_empty() {
            into.push('\n');
        }
        into.push_str(body);
    }
    for part in [
        &mut report.indication,
        &mut report.technique,
        &mut report.comparison,
        &mut report.findings,
        &mut report.impression,
    ] {
        let trimmed = part.trim().to_owned();
        *part = trimmed;
    }
    report
}

/// The section that begins with this line, and what stands behind its heading.
fn heading(line: &str) -> Option<(Section, &str)> {
    PATTERNS.iter().find_map(|(section, pattern)| {
        let end = pattern.find(line)?.end();
        Some((*section, line.split_at_checked(end)?.1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_heading_compiles() {
        assert_eq!(PATTERNS.len(), HEADINGS.len());
        assert!(INLINE.is_some());
    }

    /// Sections as `I|T|C|F|M` with new lines as slashes.
    fn check(text: &str, expected: &str) {
        let report = split(text);
        let parts = [
            report.indication,
            report.technique,
            report.comparison,
            report.findings,
            report.impression,
        ];
        assert_eq!(parts.join("|").replace('\n', "/"), expected, "{text}");
    }

    #[test]
    fn reports_split_at_their_headings() {
        check(
            "EXAM: MRI BRAIN\nCLINICAL HISTORY: Headache.\nTECHNIQUE: T1, T2.\nCOMPARISON: None.\n\
             FINDINGS: Normal.\nBrain volume normal.\n\nIMPRESSION:\n1. Normal.\nSigned by: A",
            "Headache.|T1, T2.|None.|Normal./Brain volume normal.|1. Normal.",
        );
        check("Normal study.", "|||Normal study.|");
        check("Conclusion - Normal.", "||||Normal.");
        check("Reason for exam\nSeizure\nFindings\nNormal", "Seizure|||Normal|");
        check(
            "INDICATION: Fall. FINDINGS: Thin subdural. IMPRESSION: SDH: 4 mm.",
            "Fall.|||Thin subdural.|SDH: 4 mm.",
        );
        check("Opinion: Glioma.\r\nThe findings: as above", "||||Glioma./The findings: as above");
    }

    #[test]
    fn words_of_a_sentence_are_no_headings() {
        check(
            "Impression of the gyri is normal.\nFindings suggest MS.",
            "|||Impression of the gyri is normal./Findings suggest MS.|",
        );
    }
}
