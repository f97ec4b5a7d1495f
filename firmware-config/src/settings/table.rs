//! Every setting in one table, for the README: made of the built-in file and the ranges.

use super::{BUILT_IN, RANGES, WORDS};

/// A table in Markdown: key, default, what it may be, what it means.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| Key | Default | Values | Meaning |\n|---|---|---|---|\n");
    let (mut table, mut comment) = (String::new(), String::new());
    for line in BUILT_IN.lines() {
        if let Some(words) = line.strip_prefix('#') {
            comment = format!("{comment} {}", words.trim());
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_end_matches(']').to_owned() + ".";
        } else if let Some((key, rest)) = line.split_once(" = ") {
            let (default, beside) = rest.split_once(" #").unwrap_or((rest, ""));
            let key = format!("{table}{key}");
            let meaning = format!("{comment} {}", beside.trim()).trim().replace('|', "\\|");
            let values = values(&key, default.trim());
            text += &format!("| `{key}` | `{}` | {values} | {meaning} |\n", default.trim());
        }
        comment.clear();
    }
    text
}

/// What a key may be.
fn values(key: &str, default: &str) -> String {
    if let Some((_, low, high)) = RANGES.iter().find(|(name, ..)| *name == key) {
        return format!("{low} to {high}");
    }
    if let Some((_, words)) = WORDS.iter().find(|(name, _)| *name == key) {
        return words.join(", ");
    }
    match default.chars().next() {
        Some('[') => "list",
        Some('t' | 'f') => "true, false",
        _ => "text",
    }
    .to_owned()
}
