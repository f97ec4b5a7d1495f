//! What a key may be where its type allows more. The table of the README is made of these too.

use toml::{Table, Value};

/// Keys with a whole number, and its lowest and highest value.
pub const RANGES: &[(&str, i64, i64)] = &[
    ("format_version", 1, super::FORMAT),
    ("dicom.port", 0, 65_535),
    ("dicom.max_associations", 1, 1000),
    ("dicom.max_associations_per_peer", 1, 1000),
    ("dicom.handshake_limit_s", 1, 600),
    ("dicom.idle_limit_s", 1, 3600),
    ("dicom.association_limit_s", 10, 604_800),
    ("dicom.max_instance_mib", 1, 4095),
    ("dicom.tls.port", 0, 65_535),
    ("assembly.quiet_s", 1, 3600),
    ("assembly.quiet_after_release_s", 0, 3600),
    ("assembly.quiet_when_all_announced_s", 0, 3600),
    ("assembly.partial_after_s", 1, 604_800),
    ("analysis.start_limit_s", 5, 3600),
    ("analysis.study_limit_s", 5, 86_400),
    ("analysis.lime_samples", 0, 100_000),
    ("analysis.deaths", 1, 20),
    ("analysis.gpu_pause_s", 0, 86_400),
    ("worklist.max_wait_high_min", 0, 525_600),
    ("worklist.max_wait_medium_min", 0, 525_600),
    ("worklist.max_wait_low_min", 0, 525_600),
    ("worklist.max_wait_none_min", 0, 525_600),
    ("worklist.max_wait_not_analysed_min", 0, 525_600),
    ("quality.reference_studies", 100, 5000),
    ("quality.recent_studies", 50, 1000),
    ("quality.studies_per_false_alarm", 1000, 1_000_000),
    ("results.refusals", 1, 100),
    ("hub.images_mib_per_day", 0, 1_048_576),
    ("hub.poll_s", 1, 3600),
    ("disk.tight_percent", 10, 99),
    ("disk.evict_percent", 10, 99),
    ("disk.full_percent", 10, 99),
    ("import.poll_s", 1, 3600),
    ("backup.every_h", 1, 720),
    ("thermal.gpu_slow_c", 40, 110),
    ("thermal.gpu_pause_c", 40, 110),
    ("trial.confirm_within_min", 1, 60),
    ("ups.drain_below_percent", 5, 95),
    ("ups.drain_below_min", 1, 120),
    ("journal.max_mib", 16, 102_400),
    ("journal.keep_days", 1, 3650),
    ("watchdog.daemon_s", 10, 3600),
    ("watchdog.machine_s", 0, 600),
    ("watchdog.reboot_after_panic_s", 0, 3600),
];

/// Keys with one of a few words.
pub const WORDS: &[(&str, &[&str])] = &[
    ("analysis.device", &["auto", "cpu", "wgpu", "cuda"]),
    ("hub.identity", &["full", "pseudonym"]),
    ("hub.series", &["none", "referred"]),
];

/// The first key that is none of these: its name, what was found and what is expected.
pub(super) fn first_outside(settings: &Table) -> Option<(&'static str, String, String)> {
    let number = |&(key, low, high): &(&'static str, i64, i64)| {
        let found = value(settings, key)?.as_integer()?;
        let expected = format!("a number from {low} to {high}");
        (!(low..=high).contains(&found)).then(|| (key, found.to_string(), expected))
    };
    let word = |&(key, words): &(&'static str, &[&str])| {
        let found = value(settings, key)?.as_str()?;
        (!words.contains(&found)).then(|| (key, format!("{found:?}"), either(words)))
    };
    RANGES.iter().find_map(number).or_else(|| WORDS.iter().find_map(word))
}

/// The value of a key with its table.
pub(super) fn value<'a>(settings: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => settings.get(key),
        Some((table, rest)) => value(settings.get(table)?.as_table()?, rest),
    }
}

/// `a, b or c`.
pub(crate) fn either(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => words.concat(),
    }
}
