//! Stored values as people read them. Templates only place what these functions say.

use jiff::Timestamp;

use crate::store::worklist::Row;
use crate::triage::Acuity;

/// An acuity as a badge: never by colour alone, so a word and a shape each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Badge {
    pub(super) shape: &'static str,
    pub(super) word: &'static str,
    /// Name of its style.
    pub(super) class: &'static str,
}

pub(super) fn badge(acuity: Option<Acuity>) -> Badge {
    let (shape, word, class) = match acuity {
        Some(Acuity::High) => ("▲", "HIGH", "high"),
        Some(Acuity::Medium) => ("◆", "MEDIUM", "medium"),
        Some(Acuity::Low) => ("●", "LOW", "low"),
        Some(Acuity::None) => ("○", "NONE", "none"),
        None => ("?", "UNKNOWN", "unknown"),
    };
    Badge { shape, word, class }
}

/// The badge of a study. While no analysis has ended, nobody can know an acuity yet.
pub(super) fn study_badge(row: &Row) -> Badge {
    match (row.acuity, row.inference_id) {
        (None, None) => Badge { shape: "…", word: "NOT YET", class: "unknown" },
        (acuity, _) => badge(acuity),
    }
}

/// Patient's Name (PS3.5 6.2, PN): `Family^Given^Middle^Prefix^Suffix`, up to three groups by `=`.
/// The first group leads, another script follows in brackets; the phonetic group is left out.
pub(super) fn person(name: &str) -> String {
    let mut groups = name.split('=').map(|group| {
        let mut parts = group.split('^').map(str::trim);
        let family = parts.next().unwrap_or_default();
        let given: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        match (family.is_empty(), given.is_empty()) {
            (false, false) => format!("{family}, {}", given.join(" ")),
            (true, false) => given.join(" "),
            (_, true) => family.to_owned(),
        }
    });
    let first = groups.next().unwrap_or_default();
    let second = groups.next().unwrap_or_default();
    match (first.is_empty(), second.is_empty()) {
        (true, true) => "(no name)".to_owned(),
        (false, true) => first,
        (true, false) => second,
        (false, false) => format!("{first} ({second})"),
    }
}

/// As [`person`], and empty when there is no name.
pub(super) fn person_or_nothing(name: &str) -> String {
    if name.trim_matches(['^', '=', ' ']).is_empty() { String::new() } else { person(name) }
}

/// Age and sex: `42 years, F`. The age is the scanner's (PS3.5 6.2, AS), else the years between
/// birth and study.
pub(super) fn age_sex(age: &str, birth_date: &str, study_date: &str, sex: &str) -> String {
    let age = age_string(age).or_else(|| years_between(birth_date, study_date));
    let sex = match sex.trim() {
        "" => None,
        "O" => Some("other sex".to_owned()),
        known => Some(known.to_owned()),
    };
    match (age, sex) {
        (Some(age), Some(sex)) => format!("{age}, {sex}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => "age and sex unknown".to_owned(),
    }
}

fn age_string(age: &str) -> Option<String> {
    let (number, unit) = age.trim().split_at_checked(3)?;
    let unit = match unit {
        "Y" => "year",
        "M" => "month",
        "W" => "week",
        "D" => "day",
        _ => return None,
    };
    Some(counted(number.parse().ok()?, unit))
}

fn years_between(birth: &str, study: &str) -> Option<String> {
    let number = |text: &str, from, to| text.get(from..to)?.parse::<i64>().ok();
    let years = number(study, 0, 4)? - number(birth, 0, 4)?;
    // As numbers, so that 0229 against 0228 compares like a calendar.
    let before = number(study, 4, 8)? < number(birth, 4, 8)?;
    let years = years - i64::from(before);
    (0..=130).contains(&years).then(|| counted(years, "year"))
}

/// `1 image`, `2 images`.
pub(super) fn counted(count: i64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A DICOM date as `2026-11-24`; what is no date stays as it is.
pub(super) fn date(text: &str) -> String {
    let parts = (text.get(0..4), text.get(4..6), text.get(6..8), text.len());
    match parts {
        (Some(year), Some(month), Some(day), 8) if text.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{year}-{month}-{day}")
        }
        _ => text.to_owned(),
    }
}

/// A DICOM time as `14:05`; what is no time is left out.
pub(super) fn clock(text: &str) -> String {
    match (text.get(0..2), text.get(2..4)) {
        (Some(hours), Some(minutes)) if text.bytes().take(4).all(|b| b.is_ascii_digit()) => {
            format!("{hours}:{minutes}")
        }
        _ => String::new(),
    }
}

/// Box time as `2026-11-24 00:31 UTC`.
pub(super) fn utc(at: i64) -> String {
    let text =
        Timestamp::from_millisecond(at).map(|t| t.strftime("%Y-%m-%d %H:%M UTC").to_string());
    // Beyond the year 9999.
    text.unwrap_or_else(|_| "at an unknown time".to_owned())
}

/// Box time for machines, as in the attribute `datetime`.
pub(super) fn iso(at: i64) -> String {
    Timestamp::from_millisecond(at).map(|t| t.to_string()).unwrap_or_default()
}

/// How long ago: `just now`, `5 min ago`, `3 h ago`, `2 days ago`.
pub(super) fn ago(at: i64, now: i64) -> String {
    match now.saturating_sub(at) {
        ..60_000 => "just now".to_owned(),
        ms => format!("{} ago", span(ms)),
    }
}

/// A length of time in its largest unit, rounded down: `5 min`, `3 h`, `2 days`.
pub(super) fn span(ms: i64) -> String {
    match ms.max(0) / 1000 {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min", s / 60),
        s @ 3600..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

/// A share as `80 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// Where a study is on its way, as a technologist says it.
pub(super) fn state(row: &Row) -> String {
    let late = row.generation > 0;
    match row.state.as_str() {
        "receiving" if late => format!("late images arriving: {} so far", images(row)),
        "receiving" => format!("receiving: {} so far", images(row)),
        "waiting" => format!("complete, waiting for analysis ({})", images(row)),
        "triaging" => format!("analysing ({})", images(row)),
        _ if row.not_analysed.is_some() => format!("not analysed ({})", images(row)),
        _ if row.inference_id.is_none() => format!("complete ({})", images(row)),
        _ => format!("analysed ({})", images(row)),
    }
}

/// `212 images`, or `212 of 480 images` while some of those announced are missing.
fn images(row: &Row) -> String {
    match row.expected_instances {
        Some(expected) if expected > row.instances => {
            format!("{} of {}", row.instances, counted(expected, "image"))
        }
        _ => counted(row.instances, "image"),
    }
}

/// What somebody must know who reads the row.
pub(super) fn marks(row: &Row, now: i64) -> Vec<(&'static str, String)> {
    let mut marks = Vec::new();
    if row.overdue {
        marks.push(("OVERDUE", format!("waited {} too long", span(now - row.due_at))));
    }
    if row.partial {
        marks.push(("PARTIAL", "images that the scanner announced are missing".to_owned()));
    }
    if row.generation > 1 || (row.generation > 0 && row.state == "receiving") {
        marks.push(("LATE IMAGES", "images came after the study was complete".to_owned()));
    }
    if let Some(acuity) = row.overridden_acuity {
        marks.push(("SET BY READER", format!("a reader set {}", badge(Some(acuity)).word)));
    }
    marks
}

/// Cut to so many characters, with a mark where it was.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |name: &str, expected: &str| assert_eq!(person(name), expected, "{name}");
        check("Otieno^Grace^Achieng", "Otieno, Grace Achieng");
        check("Otieno", "Otieno");
        check("^Grace", "Grace");
        check("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田, 太郎)");
        check("=शर्मा^अनिता", "शर्मा, अनिता");
        check("عبد الله^محمد", "عبد الله, محمد");
        check("", "(no name)");
        check("^^^^", "(no name)");
        check("O'Neill^Ann^^Dr^PhD", "O'Neill, Ann Dr PhD");
    }

    #[test]
    fn ages() {
        let check = |[age, birth, study, sex]: [&str; 4], expected: &str| {
            assert_eq!(age_sex(age, birth, study, sex), expected);
        };
        check(["042Y", "", "", "F"], "42 years, F");
        check(["001Y", "", "", "M"], "1 year, M");
        check(["018M", "", "", ""], "18 months");
        check(["003W", "", "", "O"], "3 weeks, other sex");
        check(["", "19840301", "20261124", "M"], "42 years, M");
        check(["", "19841125", "20261124", "M"], "41 years, M");
        check(["", "20261125", "20261124", "M"], "M");
        check(["old", "unknown", "20261124", ""], "age and sex unknown");
        check(["०४२Y", "", "", "F"], "F");
    }

    #[test]
    fn times() {
        let now = 1_795_480_260_000;
        assert_eq!(utc(now), "2026-11-24 00:31 UTC");
        assert_eq!(iso(now), "2026-11-24T00:31:00Z");
        assert_eq!(utc(i64::MAX), "at an unknown time");
        let check = |ms: i64, expected: &str| assert_eq!(ago(now - ms, now), expected);
        check(-5, "just now");
        check(59_999, "just now");
        check(60_000, "1 min ago");
        check(3_599_999, "59 min ago");
        check(3_600_000, "1 h ago");
        check(47 * 3_600_000, "47 h ago");
        check(50 * 3_600_000, "2 days ago");
        assert_eq!(date("20261124"), "2026-11-24");
        assert_eq!(date("2026.11."), "2026.11.");
        assert_eq!(date(""), "");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("अनिता", 9), "अनिता");
        assert_eq!(cut("ééé ééé", 4), "ééé…");
    }
}
