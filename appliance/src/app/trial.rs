//! Trials of settings, which another program runs (`firmware_config::trial`), as the pages tell of
//! them.

use firmware_config::trial::{Place, Standing, uptime_s};

use crate::health::words;
use crate::web::{Check, Trial, Verdict};

/// The machine itself.
pub(super) fn place() -> Place {
    Place { root: "/".into() }
}

/// What people have to know of the latest trial; `now` is box time in milliseconds.
pub(super) fn look(place: &Place, now: i64) -> Option<Trial> {
    match place.standing()? {
        Standing::Awaiting { id, until_s } => {
            let left_ms = until_s.saturating_sub(uptime_s()).saturating_mul(1000);
            let left_ms = i64::try_from(left_ms).unwrap_or(i64::MAX);
            Some(Trial::Awaiting { id, until: now.saturating_add(left_ms) })
        }
        Standing::Kept { .. } => None,
        Standing::Undone { why } => Some(Trial::Undone { why }),
    }
}

/// The line of the system page.
pub(super) fn check(trial: &Trial, now: i64) -> Check {
    let (verdict, said) = match trial {
        Trial::Awaiting { until, .. } => {
            let left = words::span(words::between(now, *until));
            let said = format!(
                "new ones are on trial; those from before come back in {left} unless an \
                 administrator keeps them"
            );
            (Verdict::Notice, said)
        }
        Trial::Undone { why } => {
            let said = format!(
                "new ones were not kept: {why}; those from before are in force, and the new ones \
                 are failed.toml in the folder of the settings. This stands here until the next \
                 `firmware-config apply` or start of the box"
            );
            (Verdict::Problem, said)
        }
    };
    Check { name: "network settings".to_owned(), verdict, said }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// As `firmware-config` writes it.
    #[test]
    fn how_a_trial_stands_is_read_where_it_is_written() {
        let root = tempfile::tempdir().unwrap();
        let place = Place { root: root.path().to_owned() };
        assert_eq!(look(&place, 5), None);
        fs::create_dir_all(root.path().join("run/prima")).unwrap();
        let write = |text: &str| {
            fs::write(root.path().join("run/prima/standing.toml"), text).unwrap();
            look(&place, 5)
        };
        let awaiting =
            write(&format!("state = \"awaiting\"\nid = \"a\"\nuntil_s = {}", uptime_s() + 600));
        let Some(Trial::Awaiting { id, until }) = &awaiting else { panic!("{awaiting:?}") };
        // The clock may have moved on by a second.
        assert!(id == "a" && [599_005, 600_005].contains(until), "{until}");
        let line = check(&awaiting.unwrap(), 5);
        assert_eq!(line.verdict, Verdict::Notice);
        assert_eq!(write("state = \"kept\"\nid = \"a\""), None);
        let undone = write("state = \"undone\"\nwhy = \"nobody confirmed them\"").unwrap();
        let line = check(&undone, 5);
        assert_eq!((line.name.as_str(), line.verdict), ("network settings", Verdict::Problem));
        assert!(line.said.starts_with("new ones were not kept: nobody confirmed them; those"));
        assert_eq!(write("torn"), None);
    }
}
