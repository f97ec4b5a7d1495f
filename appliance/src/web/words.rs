//! Stored values as people read them. Templates only place what these functions say.

use jiff::Timestamp;

use super::language::{Language, Sentence};
use crate::store::outbox::{AtHub, FlagState};
use crate::store::worklist::Row;
use crate::triage::{Acuity, Urgency};

/// A referral that has waited so long to get to the hospital is marked.
const LATE_MS: i64 = 15 * 60_000;

/// An acuity as a badge: never by colour alone, so a word and a shape each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Badge {
    pub(super) shape: &'static str,
    /// What the word is about, for those who hear the page.
    pub(super) label: String,
    pub(super) word: String,
    /// Name of its style.
    pub(super) class: &'static str,
}

pub(super) fn badge(acuity: Option<Acuity>, words: Language) -> Badge {
    let (shape, word, class) = match acuity {
        Some(Acuity::High) => ("▲", "acuity-high", "high"),
        Some(Acuity::Medium) => ("◆", "acuity-medium", "medium"),
        Some(Acuity::Low) => ("●", "acuity-low", "low"),
        Some(Acuity::None) => ("○", "acuity-none", "none"),
        None => ("?", "acuity-unknown", "unknown"),
    };
    let label = words.say("acuity-label").to_string();
    Badge { shape, label, word: words.say(word).to_string(), class }
}

/// The badge of a study. While no analysis has ended, nobody can know an acuity yet.
pub(super) fn study_badge(row: &Row, words: Language) -> Badge {
    let badge = badge(row.acuity, words);
    if row.acuity.is_some() || row.inference_id.is_some() {
        return badge;
    }
    Badge { shape: "…", word: words.say("acuity-not-yet").to_string(), ..badge }
}

pub(super) fn urgency(urgency: Urgency, words: Language) -> String {
    let key = match urgency {
        Urgency::Routine => "urgency-routine",
        Urgency::Soon => "urgency-soon",
        Urgency::Urgent => "urgency-urgent",
        Urgency::Emergency => "urgency-emergency",
    };
    words.say(key).to_string()
}

/// Patient's Name (PS3.5 6.2, PN): `Family^Given^Middle^Prefix^Suffix`, up to three groups by `=`.
/// The first group leads, another script follows in brackets; the phonetic group is left out.
pub(super) fn person(name: &str, words: Language) -> String {
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
        (true, true) => words.say("patient-no-name").to_string(),
        (false, true) => first,
        (true, false) => second,
        (false, false) => format!("{first} ({second})"),
    }
}

/// As [`person`], and empty when there is no name.
pub(super) fn person_or_nothing(name: &str, words: Language) -> String {
    if name.trim_matches(['^', '=', ' ']).is_empty() { String::new() } else { person(name, words) }
}

/// Age and sex: `42 years, F`. The age is the scanner's (PS3.5 6.2, AS), else the years between
/// birth and study.
pub(super) fn age_sex(
    age: &str,
    birth_date: &str,
    study_date: &str,
    sex: &str,
    words: Language,
) -> String {
    let age = age_string(age, words);
    let age = age.or_else(|| {
        let years = years_between(birth_date, study_date)?;
        Some(words.say("age-years").n(years).to_string())
    });
    let sex = match sex.trim() {
        "" => None,
        "O" => Some(words.say("sex-other").to_string()),
        known => Some(known.to_owned()),
    };
    match (age, sex) {
        (Some(age), Some(sex)) => format!("{age}, {sex}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => words.say("age-sex-unknown").to_string(),
    }
}

fn age_string(age: &str, words: Language) -> Option<String> {
    let (number, unit) = age.trim().split_at_checked(3)?;
    let unit = match unit {
        "Y" => "age-years",
        "M" => "age-months",
        "W" => "age-weeks",
        "D" => "age-days",
        _ => return None,
    };
    Some(words.say(unit).n(number.parse::<i64>().ok()?).to_string())
}

fn years_between(birth: &str, study: &str) -> Option<i64> {
    let number = |text: &str, from, to| text.get(from..to)?.parse::<i64>().ok();
    let years = number(study, 0, 4)? - number(birth, 0, 4)?;
    // As numbers, so that 0229 against 0228 compares like a calendar.
    let before = number(study, 4, 8)? < number(birth, 4, 8)?;
    let years = years - i64::from(before);
    (0..=130).contains(&years).then_some(years)
}

/// `1 image`, `2 images`.
pub(super) fn images(count: i64, words: Language) -> String {
    words.say("count-images").n(count).to_string()
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
pub(super) fn utc(at: i64, words: Language) -> String {
    let text =
        Timestamp::from_millisecond(at).map(|t| t.strftime("%Y-%m-%d %H:%M UTC").to_string());
    // Beyond the year 9999.
    text.unwrap_or_else(|_| words.say("time-unknown").to_string())
}

/// Box time for machines, as in the attribute `datetime`.
pub(super) fn iso(at: i64) -> String {
    Timestamp::from_millisecond(at).map(|t| t.to_string()).unwrap_or_default()
}

/// How long ago: `just now`, `5 min ago`, `3 h ago`, `2 days ago`.
pub(super) fn ago(at: i64, now: i64, words: Language) -> String {
    match now.saturating_sub(at) {
        ..60_000 => words.say("time-just-now").to_string(),
        ms => words.say("time-ago").with("span", span(ms, words)).to_string(),
    }
}

/// A length of time in its largest unit, rounded down: `5 min`, `3 h`, `2 days`.
pub(super) fn span(ms: i64, words: Language) -> String {
    let (key, n) = match ms.max(0) / 1000 {
        s @ 0..60 => ("span-seconds", s),
        s @ 60..3600 => ("span-minutes", s / 60),
        s @ 3600..172_800 => ("span-hours", s / 3600),
        s => ("span-days", s / 86_400),
    };
    words.say(key).n(n).to_string()
}

/// A share as `80 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// Where a study is on its way, as a technologist says it.
pub(super) fn state(row: &Row, words: Language) -> String {
    let late = row.generation > 0;
    let key = match row.state.as_str() {
        "receiving" if late => "state-late",
        "receiving" => "state-receiving",
        "waiting" => "state-waiting",
        "triaging" => "state-analysing",
        _ if row.not_analysed.is_some() => "state-not-analysed",
        _ if row.inference_id.is_none() => "state-complete",
        _ => "state-analysed",
    };
    words.say(key).with("images", images_of(row, words)).to_string()
}

/// `212 images`, or `212 of 480 images` while some of those announced are missing.
fn images_of(row: &Row, words: Language) -> String {
    match row.expected_instances {
        Some(expected) if expected > row.instances => {
            let said = words.say("count-images-of").with("n", row.instances);
            said.number("expected", expected).to_string()
        }
        _ => images(row.instances, words),
    }
}

/// What somebody must know who reads the row: a mark and why it is there.
pub(super) fn marks(row: &Row, now: i64, words: Language) -> Vec<(String, String)> {
    let mut marks = Vec::new();
    if row.overdue {
        let span = span(now - row.due_at, words);
        marks.push(("mark-overdue", words.say("mark-overdue-why").with("span", span)));
    }
    if row.partial {
        marks.push(("mark-partial", words.say("mark-partial-why")));
    }
    if row.generation > 1 || (row.generation > 0 && row.state == "receiving") {
        marks.push(("mark-late", words.say("mark-late-why")));
    }
    if let Some(acuity) = row.overridden_acuity {
        let acuity = badge(Some(acuity), words).word;
        marks.push(("mark-set", words.say("mark-set-why").with("acuity", acuity)));
    }
    marks.extend(row.hub.iter().flat_map(|hub| hospital_marks(hub, now, words)));
    marks.into_iter().map(|(mark, why)| (words.say(mark).to_string(), why.to_string())).collect()
}

/// What the hospital says of a study, and that it cannot yet.
fn hospital_marks(hub: &AtHub, now: i64, words: Language) -> Vec<(&'static str, Sentence)> {
    let mut marks = Vec::new();
    let waited = now.saturating_sub(hub.since);
    match hub.flag {
        FlagState::Dead => {
            let why = words.say("mark-hospital-dead-why").with("why", &hub.why);
            marks.push(("mark-hospital-dead", why));
        }
        FlagState::Waiting if hub.asked && waited >= LATE_MS => {
            let why = words.say("mark-hospital-waits-why").with("span", span(waited, words));
            marks.push(("mark-hospital-waits", why));
        }
        FlagState::Waiting | FlagState::There => {}
    }
    let Some(answer) = &hub.answer else { return marks };
    let mark = match answer.status.as_str() {
        "accepted" => "mark-accepted",
        "declined" => "mark-declined",
        "completed" => "mark-completed",
        _ => return marks,
    };
    let why = words.say("mark-answer-why").with("name", &answer.by);
    marks.push((mark, why.with("ago", ago(answer.at, now, words))));
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
        let check = |name: &str, expected: &str| {
            assert_eq!(person(name, Language::En), expected, "{name}");
        };
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
            assert_eq!(age_sex(age, birth, study, sex, Language::En), expected);
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
        assert_eq!(utc(now, Language::En), "2026-11-24 00:31 UTC");
        assert_eq!(iso(now), "2026-11-24T00:31:00Z");
        assert_eq!(utc(i64::MAX, Language::En), "at an unknown time");
        let check = |ms: i64, expected: &str| {
            assert_eq!(ago(now - ms, now, Language::En), expected);
        };
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
