//! Sentences of a report, and one spelling for all of them.

use std::sync::LazyLock;

use regex::Regex;

/// Words that end in a full stop and end no sentence.
const ABBREVIATIONS: [&str; 8] = ["dr", "e.g", "i.e", "vs", "approx", "ca", "cf", "resp"];

/// Lines shorter than this that are followed by a capital letter are whole by themselves.
const SHORT_LINE: usize = 60;

/// Sentences of a text in their order, without list numbers and bullets.
pub(crate) fn sentences(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for paragraph in paragraphs(text) {
        let mut rest = paragraph.as_str();
        let mut from = 0;
        while let Some(at) = rest.split_at_checked(from).and_then(|(_, t)| t.find(['.', '!', '?']))
        {
            let end = from + at + 1;
            let (head, tail) = rest.split_at(end);
            if tail.chars().next().is_none_or(char::is_whitespace) && !is_abbreviation(head) {
                push(&mut found, head);
                rest = tail;
                from = 0;
            } else {
                from = end;
            }
        }
        push(&mut found, rest);
    }
    found
}

fn push(found: &mut Vec<String>, sentence: &str) {
    let bare = sentence
        .trim()
        .trim_start_matches(|c: char| c.is_ascii_digit() || "-*•–#().>".contains(c))
        .trim_start();
    // "3 mm aneurysm": the number belongs to the sentence unless a list mark followed it.
    let numbered = sentence.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
    let sentence = if numbered.starts_with(['.', ')']) || !starts_with_digit(sentence) {
        bare
    } else {
        sentence.trim()
    };
    if sentence.chars().any(char::is_alphabetic) {
        found.push(sentence.to_owned());
    }
}

fn starts_with_digit(text: &str) -> bool {
    text.trim_start().starts_with(|c: char| c.is_ascii_digit())
}

/// "1" of "1. No infarct", "e.g" and the like.
fn is_abbreviation(head: &str) -> bool {
    let word = head.trim_end_matches('.').rsplit([' ', '(']).next().unwrap_or(head);
    let number = head.trim().trim_end_matches('.').chars().all(|c| c.is_ascii_digit());
    number || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

/// Joins lines that only the width of a page broke.
fn paragraphs(text: &str) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines().map(str::trim) {
        let first = line.chars().next();
        let marked = line.starts_with(['-', '*', '•', '–', '>']) || starts_with_digit(line);
        let previous = joined.last().map_or(0, String::len);
        let wrapped = open
            && !marked
            && first.is_some_and(|c| c.is_lowercase() || previous >= SHORT_LINE || c == '(');
        match joined.last_mut() {
            Some(last) if wrapped => {
                last.push(' ');
                last.push_str(line);
            }
            _ => joined.push(line.to_owned()),
        }
        open = first.is_some() && !line.ends_with(['.', ':', ';', '!', '?']);
    }
    joined.retain(|line| !line.is_empty());
    joined
}

/// Replacements on lower-case text, in this order.
const SPELLING: [(&str, &str); 34] = [
    (r"\bw/o\b", "without"),
    (r"\bw/ ?", "with "),
    (r"\bc/w\b", "consistent with"),
    (r"\bs/p\b", "status post"),
    (r"\bh/o\b", "history of"),
    (r"\br/o\b", "rule out"),
    (r"\bb/l\b", "bilateral"),
    (r"\bddx\b", "differential diagnosis"),
    (r"\?\s*([a-z])", " query $1"),
    (r"\+/-", " "),
    (r"haem(o|at|or|a|an)", "hem$1"),
    (r"\bhaem", "hem"),
    (r"oedema", "edema"),
    (r"isch(ae|æ)m", "ischem"),
    (r"gr[e]y\b", "gray"),
    (r"tumour", "tumor"),
    (r"paediatr", "pediatr"),
    (r"favour", "favor"),
    (r"colour", "color"),
    (r"centre", "center"),
    (r"fibre", "fiber"),
    (r"oesoph", "esoph"),
    (r"leucoenc", "leukoenc"),
    (r"leucoar", "leukoar"),
    (r"caecum", "cecum"),
    (r"ised\b", "ized"),
    (r"isation", "ization"),
    (r"[’‘`]", "'"),
    (r"[-‐‑–—_]", " "),
    (r"/", ", "),
    (r"[()\[\]{}*•]", " "),
    (r"(\d)\s*(mm|cm|ml)\b", "$1 $2"),
    (r"\b(\d+) ?(x|×) ?(\d+)", "$1 x $3"),
    (r"\.$", ""),
];

static REPLACEMENTS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let compile = |(pattern, to): (&str, &'static str)| Some((Regex::new(pattern).ok()?, to));
    SPELLING.into_iter().filter_map(compile).collect()
});

/// A sentence as the patterns of the rules expect it: lower case, American spelling, hyphens as
/// spaces, slashes as commas, usual shorthand written out, single spaces.
pub(crate) fn normalise(sentence: &str) -> String {
    let mut text = sentence.trim().to_lowercase();
    for (pattern, to) in REPLACEMENTS.iter() {
        if pattern.is_match(&text) {
            text = pattern.replace_all(&text, *to).into_owned();
        }
    }
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words = words.replace(" ,", ",").replace(",,", ",");
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_replacement_compiles() {
        assert_eq!(REPLACEMENTS.len(), SPELLING.len());
    }

    #[test]
    fn texts_become_sentences() {
        let check = |text: &str, expected: &[&str]| assert_eq!(sentences(text), expected, "{text}");
        check(
            "1. No acute infarct. 2. 1.5 cm mass, e.g. glioma.",
            &["No acute infarct.", "1.5 cm mass, e.g. glioma."],
        );
        check("3 mm aneurysm", &["3 mm aneurysm"]);
        check("- Normal\n- 4 mm cyst", &["Normal", "4 mm cyst"]);
        check(
            "There is no evidence of an acute infarct or of intracranial\nhemorrhage.",
            &["There is no evidence of an acute infarct or of intracranial hemorrhage."],
        );
        check("BRAIN\nNo mass.\n\nNormal.", &["BRAIN", "No mass.", "Normal."]);
        check("", &[]);
    }

    #[test]
    fn sentences_get_one_spelling() {
        let check = |text: &str, expected: &str| assert_eq!(normalise(text), expected);
        check("Vasogenic oedema w/o haemorrhage.", "vasogenic edema without hemorrhage");
        check("High-grade tumour c/w GBM (WHO 4)", "high grade tumor consistent with gbm who 4");
        check("?MS; ICH/mass, 9mm", "query ms; ich, mass, 9 mm");
    }
}
