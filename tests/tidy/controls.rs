//! Risk documents name the tests that show their controls: a test that is not there shows nothing.

use std::collections::HashSet;

use super::Source;

/// Documents in which a word in backticks with so many underscores is the name of a test.
const DOCUMENTS: [&str; 4] = ["HAZARDS.md", "THREAT_MODEL.md", "PRIVACY.md", "MODEL_CHANGES.md"];
const UNDERSCORES: usize = 3;

/// Tests that a document names and nobody wrote.
pub(super) fn missing_tests(sources: &[Source]) -> Vec<String> {
    let is_document = |source: &&Source| {
        let name = source.path.strip_prefix("ops/docs/").unwrap_or_default();
        DOCUMENTS.contains(&name)
    };
    let functions: HashSet<&str> = sources
        .iter()
        .filter(|source| source.is_rust())
        .flat_map(|source| source.text.split("fn ").skip(1))
        .filter_map(|rest| rest.split(['(', '<']).next())
        .collect();
    let mut missing = Vec::new();
    for document in sources.iter().filter(is_document) {
        for word in document.text.split('`').skip(1).step_by(2) {
            let name = word.rsplit("::").next().unwrap_or(word);
            let is_name =
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            // Metrics have our name in front.
            let is_name = is_name && !name.starts_with("prima_");
            if is_name && name.matches('_').count() >= UNDERSCORES && !functions.contains(name) {
                missing.push(format!("{}: there is no test {name}", document.path));
            }
        }
    }
    missing
}
