//! From one format of the settings to the next, and back.
//!
//! A box that falls back to its earlier program must still start, so every step has its way back.
//! What the earlier format has no key for is left out on that way; the later file stays beside it.

use toml::{Table, Value};

/// The format that this program writes.
///
/// 1: the appliance's tables. 2: the machine's tables too; the temperatures at which a graphics
/// card is spared stand in `[thermal]`, no longer in `[analysis]`.
pub const FORMAT: i64 = 2;

/// Tables that came with format 2.
const SINCE_2: [&str; 10] = [
    "quality", "network", "firewall", "trial", "clock", "ups", "thermal", "journal", "watchdog",
    "update",
];
/// Keys that came with it into tables that were there.
const KEYS_SINCE_2: [(&str, &str); 4] = [
    ("site", "time_zone"),
    ("analysis", "model_keys"),
    ("analysis", "labels_file"),
    ("analysis", "series_selection_file"),
];
/// Keys that moved from `[analysis]` to `[thermal]`.
const TEMPERATURES: [&str; 2] = ["gpu_slow_c", "gpu_pause_c"];

/// Why settings cannot be brought to the present format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MigrateError {
    /// A later program wrote them.
    #[error("the settings have format {0}, and this program knows up to {FORMAT}")]
    Later(i64),
}

/// A site's settings of any format so far, in the present one.
///
/// # Errors
///
/// When they are of a later format.
pub fn up(mut settings: Table) -> Result<Table, MigrateError> {
    match settings.get("format_version") {
        None => {}
        Some(Value::Integer(1)) => {}
        Some(Value::Integer(found)) if *found > FORMAT => return Err(MigrateError::Later(*found)),
        // The present one, or nothing that a check would accept.
        Some(_) => return Ok(settings),
    }
    shift(&mut settings, "analysis", "thermal");
    settings.insert("format_version".to_owned(), FORMAT.into());
    Ok(settings)
}

/// A site's settings of the present format in the one before, which had no `format_version`.
#[must_use]
pub fn down(mut settings: Table) -> Table {
    shift(&mut settings, "thermal", "analysis");
    for table in SINCE_2 {
        settings.remove(table);
    }
    for (table, key) in KEYS_SINCE_2 {
        if let Some(Value::Table(table)) = settings.get_mut(table) {
            table.remove(key);
        }
    }
    settings.remove("format_version");
    settings
}

/// Moves the temperatures between two tables; a table that comes out empty goes.
fn shift(settings: &mut Table, from: &str, to: &str) {
    let Some(Value::Table(source)) = settings.get_mut(from) else { return };
    let found: Vec<(&str, Value)> =
        TEMPERATURES.iter().filter_map(|key| Some((*key, source.remove(*key)?))).collect();
    if found.is_empty() {
        return;
    }
    if source.is_empty() {
        settings.remove(from);
    }
    let target = settings.entry(to).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(target) = target {
        target.extend(found.into_iter().map(|(key, value)| (key.to_owned(), value)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    /// A site's file of format 1, with whatever it may hold.
    fn of_format_1() -> impl Strategy<Value = Table> {
        let table = |keys: &'static [&'static str]| {
            btree_map(prop::sample::select(keys), 1_i64..100, 0..=keys.len())
        };
        let analysis = table(&["gpu_slow_c", "gpu_pause_c", "deaths", "lime_samples"]);
        let disk = table(&["tight_percent", "evict_percent"]);
        (any::<bool>(), analysis, disk).prop_map(|(named, analysis, disk)| {
            let mut settings = Table::new();
            for (name, keys) in [("analysis", analysis), ("disk", disk)] {
                if keys.is_empty() {
                    continue;
                }
                let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), value.into()));
                settings.insert(name.to_owned(), Value::Table(keys.collect()));
            }
            if named {
                let site = [("name".to_owned(), Value::from("Clinic"))];
                settings.insert("site".to_owned(), Value::Table(site.into_iter().collect()));
            }
            settings
        })
    }

    proptest! {
        #[test]
        fn a_file_survives_the_next_format_and_the_way_back(settings in of_format_1()) {
            let later = up(settings.clone()).unwrap();
            prop_assert_eq!(later.get("format_version"), Some(&Value::Integer(FORMAT)));
            let keeps_old_place = later.get("analysis").and_then(|t| t.get("gpu_slow_c"));
            prop_assert_eq!(keeps_old_place, None);
            prop_assert_eq!(down(later.clone()), settings);
            prop_assert_eq!(up(down(later.clone())).unwrap(), later);
        }
    }
}
