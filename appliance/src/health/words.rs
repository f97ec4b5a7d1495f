//! Numbers as people say them.

use std::time::Duration;

/// Bytes in decimal units, as disks are sold: `40 GB`, `1.2 TB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (unit, name) in UNITS {
        // From 9.95 on one digit is rounded away, so that three digits are the most.
        if bytes >= unit {
            let tenths = bytes.saturating_add(unit / 20) / (unit / 10);
            return if tenths < 100 {
                format!("{}.{} {name}", tenths / 10, tenths % 10).replace(".0 ", " ")
            } else {
                format!("{} {name}", bytes.saturating_add(unit / 2) / unit)
            };
        }
    }
    count(bytes, "byte", "bytes")
}

/// `1 study`, `812 studies`.
#[must_use]
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A time span in its largest whole unit: `3 days`, `5 hours`, `20 seconds`.
#[must_use]
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..120 => count(seconds, "second", "seconds"),
        120..7_200 => count(seconds / 60, "minute", "minutes"),
        7_200..172_800 => count(seconds / 3_600, "hour", "hours"),
        _ => count(seconds / 86_400, "day", "days"),
    }
}

/// The span between two moments in milliseconds, whichever is earlier.
#[must_use]
pub fn between(from: i64, to: i64) -> Duration {
    Duration::from_millis(from.abs_diff(to))
}
