//! A site's file over the built-in settings.

use toml::{Table, Value};

use super::SettingsError;

/// Puts `own` over `all`, which knows every key and its type.
pub(super) fn overlay(
    all: &mut Table,
    own: Table,
    table: &str,
    file: &str,
) -> Result<(), SettingsError> {
    for (key, value) in own {
        let name = if table.is_empty() { key.clone() } else { format!("{table}.{key}") };
        // The lists of tables, which the built-in file shows as comments.
        let lists =
            ["dicom.peers", "results.archives", "results.hl7", "results.fhir", "results.stow"];
        if lists.contains(&name.as_str()) && value.is_array() {
            all.insert(key, value);
            continue;
        }
        let Some(known) = all.get_mut(&key) else {
            let hint = nearest(&key, all.keys());
            return Err(SettingsError::Unknown { file: file.to_owned(), key: name, hint });
        };
        match (known, value) {
            (Value::Table(known), Value::Table(value)) => overlay(known, value, &name, file)?,
            (known, value) if known.same_type(&value) => *known = value,
            (known, value) => {
                let expected = format!("{}, such as {known}", article(known));
                let found = format!("{} ({value})", article(&value));
                return Err(SettingsError::Value {
                    file: file.to_owned(),
                    key: name,
                    found,
                    expected,
                });
            }
        }
    }
    Ok(())
}

fn article(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// A key that differs by a few letters, as a question.
fn nearest<'a>(key: &str, keys: impl Iterator<Item = &'a String>) -> String {
    let closest = keys.map(|known| (distance(key, known), known)).min();
    match closest {
        Some((differences, known)) if differences <= 3 => format!(", did you mean {known}"),
        _ => String::new(),
    }
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
