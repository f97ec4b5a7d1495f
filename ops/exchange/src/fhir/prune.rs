//! FHIR has no empty texts, lists and objects, and no control characters.

use serde_json::{Map, Value};

/// The value without what is empty; texts on their own merits.
pub(super) fn pruned(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(printable(&text)),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(pruned).filter(|item| !is_empty(item)).collect())
        }
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| (key, pruned(value)));
            Value::Object(fields.filter(|(_, value)| !is_empty(value)).collect::<Map<_, _>>())
        }
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn printable(text: &str) -> String {
    let printable = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    text.chars().map(printable).collect::<String>().trim().to_owned()
}
