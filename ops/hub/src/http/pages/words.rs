//! Times and names as people say them.

use exchange::flag::Patient;
use jiff::Timestamp;

use crate::store::referrals::Urgency;

const MINUTE_MS: i64 = 60_000;

/// A moment in the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// `3 min ago`.
    pub(super) ago: String,
    /// `2026-11-24 00:31 UTC`.
    pub(super) utc: String,
}

impl Moment {
    pub(super) fn new(at_ms: i64, now_ms: i64) -> Self {
        let ago = format!("{} ago", span(now_ms.saturating_sub(at_ms)));
        Self { ago, utc: utc(at_ms) }
    }
}

/// A time span in its largest sensible unit; nothing is shorter than a minute to people.
pub(super) fn span(ms: i64) -> String {
    match ms.max(0) / MINUTE_MS {
        0 => "under 1 min".to_owned(),
        minutes @ 1..120 => format!("{minutes} min"),
        minutes @ 120..2880 => format!("{} h", minutes / 60),
        minutes => format!("{} d", minutes / 1440),
    }
}

/// As in [`span`], for spans that machines need.
pub(super) fn seconds(seconds: i64) -> String {
    if (0..120).contains(&seconds) {
        format!("{seconds} s")
    } else {
        span(seconds.saturating_mul(1000))
    }
}

/// To the minute.
pub(super) fn utc(at_ms: i64) -> String {
    let time = Timestamp::from_millisecond(at_ms);
    time.map(|time| time.strftime("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default()
}

/// `PHIRI^GRACE` as `PHIRI, GRACE`; a pseudonym as itself.
pub(super) fn person(patient: &Patient) -> String {
    // Only the first representation of a name is in letters that everybody reads.
    let letters = patient.name.split('=').next().unwrap_or_default();
    let parts: Vec<&str> =
        letters.split('^').map(str::trim).filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [] if patient.id.is_empty() => "No name".to_owned(),
        [] => patient.id.clone(),
        [only] => (*only).to_owned(),
        [family, rest @ ..] => format!("{family}, {}", rest.join(" ")),
    }
}

/// `54 y, female`.
pub(super) fn age_sex(patient: &Patient) -> String {
    let sex = match patient.sex.as_str() {
        "F" => "female",
        "M" => "male",
        "O" => "other",
        _ => "sex not known",
    };
    match patient.age_years {
        Some(years) => format!("{years} y, {sex}"),
        None => sex.to_owned(),
    }
}

/// What a level is shown as: the shape and the word say it, the colour repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Badge {
    /// For the style sheet.
    pub(super) class: &'static str,
    /// A mark that differs without colour.
    pub(super) shape: &'static str,
    /// The word.
    pub(super) word: &'static str,
}

pub(super) fn urgency(urgency: Urgency) -> Badge {
    let (class, shape) = match urgency {
        Urgency::Emergency => ("high", "▲"),
        Urgency::Urgent => ("medium", "◆"),
        Urgency::Soon => ("low", "■"),
        Urgency::Routine => ("none", "●"),
    };
    Badge { class, shape, word: urgency.word() }
}

pub(super) fn acuity(word: &str) -> Badge {
    match word {
        "high" => Badge { class: "high", shape: "▲", word: "high" },
        "medium" => Badge { class: "medium", shape: "◆", word: "medium" },
        "low" => Badge { class: "low", shape: "■", word: "low" },
        "none" => Badge { class: "none", shape: "●", word: "none" },
        _ => Badge { class: "unknown", shape: "?", word: "not known" },
    }
}

/// A share as people read it: `12.5 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

pub(super) fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_names_are_short() {
        let shown = [59_000, 119 * 60_000, 120 * 60_000, 48 * 3_600_000, -5].map(span);
        assert_eq!(shown, ["under 1 min", "119 min", "2 h", "2 d", "under 1 min"]);
        let named = |name: &str, id: &str| {
            person(&Patient { name: name.into(), id: id.into(), ..Patient::default() })
        };
        assert_eq!(named("PHIRI^GRACE^^", "1"), "PHIRI, GRACE");
        assert_eq!(named("PHIRI=フィリ", "1"), "PHIRI");
        assert_eq!((named("", "P-7"), named("^", "")), ("P-7".into(), "No name".into()));
    }
}
