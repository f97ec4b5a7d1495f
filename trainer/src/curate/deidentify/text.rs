//! Free text without persons, dates and numbers that name somebody. What is known of the study
//! ([`Identifiers`]) goes first, then whatever looks like an identifier.
//!
//! Placeholders keep sentences whole: `[name]`, `[date]`, `[phone]`, `[id]`, `[address]`,
//! `[place]`, `[contact]`.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::Identifiers;
use super::identifiers::Kind;

/// Oldest age that is written as it is (45 CFR 164.514(b)(2)(i)(C): 90 and more are one class).
pub(in crate::curate) const OLDEST: f32 = 90.0;

/// A pattern and what to write instead; `$1` keeps what introduces the identifier.
struct Rule {
    pattern: Regex,
    with: &'static str,
}

const MONTH: &str = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)";
/// A capitalised word of a name, or an initial.
const NAME: &str = r"(?:\p{Lu}[\p{L}'’-]+|\p{Lu}\.)";

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let name = format!(r"{NAME}(?:[ \t]+{NAME}){{0,3}}");
    let month = MONTH;
    let rows: [(String, &'static str); 29] = [
        // Signatures, up to their line's end; the limit spares reports that are one long line.
        (r"(?i)\b(?:(?:electronically|digitally|e-?)[ -]?signed|(?:dictated|transcribed|interpreted|reviewed|signed(?: off)?|verified|approved|finali[sz]ed)(?: and (?:signed|approved|verified))?[ \t]*(?:by|:))[^\n]{0,120}".into(), ""),
        (r"(?im)^[ \t]*(?:attending|resident|fellow|radiologist|reading physician|interpreting physician|ordering (?:provider|physician)|referring (?:provider|physician)|requesting physician|technologist|transcriptionist|signed|patient name|patient|name|dob|date of birth|mrn|accession(?: number)?|exam date|date of (?:exam|service|study))[ \t]*(?:#|no\.?|:)[^\n]{0,80}$".into(), ""),
        (r"(?i)\bI,[^,\n]{3,60}(?:,[^,\n]{1,12})?, (?:have|the|attending|personally|attest|was)".into(), "I, [name], have"),
        // Addresses of the net.
        (r"(?i)\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+".into(), "[contact]"),
        (r"(?i)\b(?:https?://|www\.)\S+".into(), "[contact]"),
        // Labelled numbers.
        (r"(?i)\b((?:mrn|medical record(?: number)?|accession(?: number)?|acc|account|visit|encounter|csn|ssn|patient id|case|order(?: number)?)[ \t]*(?:#|no\.?|number|:)[ \t]*:?[ \t]*)[a-z]{0,4}[- ]?\d[\w-]*".into(), "$1[id]"),
        (r"(?i)\b((?:dob|date of birth|born(?: on)?)[ \t]*:?[ \t]*)[\w/.-]*\d[\w/.-]*".into(), "$1[date]"),
        // Dates and times.
        (r"\b(?:19|20)\d{2}[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])(?:[T ]\d{1,2}:\d{2}(?::\d{2})?)?\b".into(), "[date]"),
        (r"\b(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:(?:19|20)\d{2}|\d{2})\b".into(), "[date]"),
        (r"\b(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d{4}(?:\d{2})?)?\b".into(), "[date]"),
        (format!(r"(?i)\b{month}\.?[ \t]+\d{{1,2}}(?:st|nd|rd|th)?,?[ \t]+(?:19|20)\d{{2}}\b"), "[date]"),
        (format!(r"(?i)\b\d{{1,2}}(?:st|nd|rd|th)?[ \t-]+(?:of[ \t]+)?{month}\.?,?[ \t-]+(?:(?:19|20)\d{{2}}|\d{{2}})\b"), "[date]"),
        (format!(r"(?i)\b{month}\.?,?[ \t]+(?:19|20)\d{{2}}\b"), "[date]"),
        (format!(r"(?i)\b((?:on|dated|from|of|since|prior|comparison:?)[ \t]+){month}\.?[ \t]+\d{{1,2}}(?:st|nd|rd|th)?\b"), "$1[date]"),
        (r"(?i)\b((?:on|dated|from|of|since|comparison:?|prior|previous|mri|ct)[ \t]+)(?:0?[1-9]|1[0-2])/(?:(?:19|20)\d{2}|0?[1-9]|[12]\d|3[01])\b".into(), "$1[date]"),
        (r"(?i)\b(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?(?:[ \t]*(?:[ap]\.m\.|[ap]m\b|hours\b|hrs\b))?".into(), "[time]"),
        (r"(?i)\b(at[ \t]+)(?:[01]\d|2[0-3])[0-5]\d[ \t]*(?:hours|hrs|h)\b".into(), "$1[time]"),
        // Telephone, pager, social security.
        (r"(?:\+?\d{1,2}[ .-]?)?\(\d{3}\)[ ]?\d{3}[ .-]?\d{4}\b".into(), "[phone]"),
        (r"\b(?:\+?1[ .-])?\d{3}[.-]\d{3}[.-]\d{4}\b".into(), "[phone]"),
        (r"(?i)\b((?:phone|tel|telephone|fax|pager|pgr|beeper)\b\.?[ \t]*(?:#|no\.?|number|:|at)?[ \t]*)\+?\d[\d .-]{2,14}\d".into(), "$1[phone]"),
        (r"(?i)\b((?:ext|extension)\b\.?[ \t]*(?:#|:)?[ \t]*)\d{4,6}\b".into(), "$1[phone]"),
        (r"\b\d{3}-\d{2}-\d{4}\b".into(), "[id]"),
        // Persons.
        (format!(r"\b((?i:discussed with|communicated (?:to|with)|conveyed to|relayed to|reported to|notified|paged|called|telephoned|spoke (?:to|with)|signed by|read by|reviewed by|performed by)[ \t]+(?:(?:Dr|DR|Prof|Mr|Mrs|Ms)\.?[ \t]+)?){name}"), "$1[name]"),
        (format!(r"\b((?:(?:[Dd]r|[Pp]rof|PROF|Mr|Mrs|MRS|Ms|[Dd]octor|Nurse)\.?|DR\.)[ \t]+){name}"), "$1[name]"),
        (format!(r"\b(?:{NAME}(?:[ \t]+{NAME}){{1,3}},?|{NAME},)[ \t]+(M\.?D\b\.?|D\.?O\b\.?|Ph\.?D\b\.?|MBBS|FRCR|R\.?N\b\.?|PA-C|RT\(R\))"), "[name], $1"),
        // Places.
        (r"(?i)\b\d{1,5}[ \t]+(?:[nsew]\.?[ \t]+)?[a-z][\w'-]*(?:[ \t]+[a-z][\w'-]*){0,2}[ \t]+(?:street|avenue|boulevard|road|parkway|highway)\b\.?(?:[ \t]*,?[ \t]*(?:apt|unit|suite|ste)\.?[ \t]*\w+)?".into(), "[address]"),
        (r"\b\d{1,5}[ \t]+(?:[NSEW]\.?[ \t]+)?(?:\p{Lu}[\w'-]*[ \t]+){1,3}(?:St|Ave|Rd|Blvd|Drive|Dr|Lane|Ln|Court|Ct|Pkwy|Hwy)\b\.?(?:[ \t]*,?[ \t]*(?:Apt|Unit|Suite|Ste)\.?[ \t]*\w+)?".into(), "[address]"),
        (r"\b[A-Z]{2}[ \t]+\d{5}(?:-\d{4})?\b".into(), "[address]"),
        (format!(r"\b(?:{NAME}[ \t]+){{1,4}}(?:Hospital|Medical Center|Medical Centre|Clinic|Health System|Infirmary|Klinikum|Imaging Center)\b"), "[place]"),
    ];
    let rule = |(pattern, with): (String, &'static str)| {
        Some(Rule { pattern: Regex::new(&pattern).ok()?, with })
    };
    rows.into_iter().filter_map(rule).collect()
});

/// Long numbers that nothing else explains.
static NUMBER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b[A-Za-z]{0,4}\d{6,}\b|\b\d{2,}(?:-\d{2,}){2,}\b").ok());
/// The same in descriptions, where underscores join words.
static CODE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\d(?:-?\d){5,}").ok());
/// Ages.
static AGE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(9\d|1[01]\d)([ \t-]*(?:years?|yrs?|y/?o)\b)|\b(aged?:?[ \t]+)(9\d|1[01]\d)\b",
    )
    .ok()
});
static BLANK_LINES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\n[ \t]*\n[ \t\n]*\n").ok());

/// A report's text without identifiers.
pub(in crate::curate) fn scrub(text: &str, identifiers: &Identifiers) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    // Signature lines need the names that mark them, so patterns go first; the study's own
    // identifiers take what is left, in every writing.
    let text = RULES
        .iter()
        .fold(text, |text, rule| owned(rule.pattern.replace_all(&text, rule.with), &text));
    let text = known(&text, identifiers);
    let text = replace(&NUMBER, &text, |_| "[id]".to_owned());
    let text = replace(&AGE, &text, |found| {
        let part = |index| found.get(index).map_or("", |part| part.as_str());
        format!("{}90{}", part(3), part(2))
    });
    replace(&BLANK_LINES, &text, |_| "\n\n".to_owned()).trim().to_owned()
}

/// A description of a study or series without identifiers; longer numbers go, `T2` and `b1000`
/// stay.
pub(in crate::curate) fn scrub_description(text: &str, identifiers: &Identifiers) -> String {
    let text = known(text, identifiers);
    let fit = |rule: &&Rule| ["[date]", "[phone]", "[contact]", "$1[name]"].contains(&rule.with);
    let text = RULES
        .iter()
        .filter(fit)
        .fold(text, |text, rule| owned(rule.pattern.replace_all(&text, " "), &text));
    let text = replace(&CODE, &text, |_| " ".to_owned());
    text.replace("[name]", " ").replace("[id]", " ").trim_end().to_owned()
}

fn owned(text: Cow<'_, str>, before: &str) -> String {
    match text {
        Cow::Borrowed(_) => before.to_owned(),
        Cow::Owned(text) => text,
    }
}

fn replace(
    pattern: &LazyLock<Option<Regex>>,
    text: &str,
    with: impl Fn(&Captures<'_>) -> String,
) -> String {
    match LazyLock::force(pattern) {
        Some(pattern) => pattern.replace_all(text, with).into_owned(),
        None => text.to_owned(),
    }
}

fn known(text: &str, identifiers: &Identifiers) -> String {
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for (range, kind) in identifiers.find(text) {
        out.push_str(text.get(end..range.start).unwrap_or_default());
        out.push_str(match kind {
            Kind::Name => "[name]",
            Kind::Code => "[id]",
        });
        end = range.end;
    }
    out.push_str(text.get(end..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests;
