//! The rules of the house, as tests: who may depend on whom, where a library may be used, which
//! words are out, how long a file may grow (ops/docs/ARCHITECTURE.md gives the reasons).
//!
//! A rule is a function from sources to complaints. Each test first plants a breach and checks
//! that the rule finds it, because a rule that cannot fail guards nothing.

mod controls;
mod order;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cargo_metadata::MetadataCommand;

use controls::missing_tests;
use order::{BACKWARD_USES, DOORS, MAY_DEPEND_ON, MODULE_ORDER};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Names of the reference code that ours replace (ops/docs/GLOSSARY.md): out everywhere, except
/// quoted in backticks or as a string.
const REPLACED_WORDS: &[&str] = &["serie", "lenss", "patdis", "mri_img"];

/// Names that say nothing: out of code and file names. As English words in comments they may
/// stand.
const EMPTY_WORDS: &[&str] = &["util", "utils", "helper", "helpers", "common", "manager", "misc"];

const LONGEST_FILE: usize = 600;

/// Longer files: path, reason.
const LONG_FILES: &[(&str, &str)] =
    &[("appliance/src/web/tests.rs", "one clinic, and every route and message beside it")];

/// Beginnings of paths that exist on one machine only. Split, so that this file passes.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/tm", "p/"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
];

/// A text file, its path relative to the repository with `/` between folders.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn plant(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// Every text file of the repository. Hidden folders, build outputs and test data stay out.
fn sources() -> Vec<Source> {
    fn walk(folder: &Path, sources: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let relative = path.strip_prefix(ROOT).unwrap().to_str().unwrap().replace('\\', "/");
            if path.is_dir() {
                let skipped = name.starts_with('.') && name != ".ci" && name != ".config";
                let data = ["tests/golden", "tests/data", "models/bundles"];
                if !skipped && name != "target" && !data.contains(&relative.as_str()) {
                    walk(&path, sources);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                sources.push(Source { path: relative, text });
            }
        }
    }
    let mut sources = Vec::new();
    walk(Path::new(ROOT), &mut sources);
    assert!(sources.iter().any(|s| s.path == "tests/tidy.rs"), "the walk misses its own file");
    sources
}

/// The Rust files, each split into code without strings, and comments.
fn rust(sources: &[Source]) -> impl Iterator<Item = (&Source, Split)> {
    sources.iter().filter(|source| source.is_rust()).map(|source| (source, split(&source.text)))
}

/// Code and comments of a Rust file, each with the line breaks of the whole.
#[derive(Default)]
struct Split {
    code: String,
    comments: String,
}

/// Separates code from comments and drops the content of strings and characters.
fn split(text: &str) -> Split {
    let mut split = Split::default();
    let mut rest = text;
    while !rest.is_empty() {
        let (length, is_comment, keep) = next_piece(rest);
        let (piece, after) = rest.split_at(length);
        let kept = if keep { piece.to_owned() } else { only_line_breaks(piece) };
        let breaks = only_line_breaks(piece);
        let (code, comment) = if is_comment { (breaks, kept) } else { (kept, breaks) };
        split.code.push_str(&code);
        split.comments.push_str(&comment);
        rest = after;
    }
    split
}

fn only_line_breaks(piece: &str) -> String {
    piece.chars().filter(|c| *c == '\n').collect()
}

/// Length in bytes of the piece that `rest` starts with, whether it is a comment, and whether its
/// content matters (that of a string does not).
fn next_piece(rest: &str) -> (usize, bool, bool) {
    let until = |end: &str, from: usize| {
        rest[from..].find(end).map_or(rest.len(), |found| from + found + end.len())
    };
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), true, true);
    }
    if rest.starts_with("/*") {
        return (until("*/", 2), true, true);
    }
    if let Some(raw) = rest.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            return (until(&format!("\"{}", "#".repeat(hashes)), hashes + 2), false, false);
        }
    }
    if rest.starts_with('"') {
        let mut escaped = false;
        for (place, character) in rest.char_indices().skip(1) {
            match character {
                '"' if !escaped => return (place + 1, false, false),
                '\\' => escaped = !escaped,
                _ => escaped = false,
            }
        }
        return (rest.len(), false, false);
    }
    if rest.starts_with("'\\") {
        return (until("'", 3), false, false);
    }
    // A character; a lifetime has no second quote behind its first letter.
    if rest.starts_with('\'')
        && let Some((place, '\'')) = rest.char_indices().nth(2)
    {
        return (place + 1, false, false);
    }
    // A word whole, so that the r of `for"` is not taken for a raw string.
    let word = rest.len() - rest.trim_start_matches(is_word).len();
    (word.max(rest.chars().next().map_or(1, char::len_utf8)), false, true)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Numbered lines, from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}

/// The words of a line of code with what follows each.
fn words(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split_inclusive(|c| !is_word(c)).scan(0, |start, piece| {
        let word = piece.trim_end_matches(|c| !is_word(c));
        let after = &line[*start + word.len()..];
        *start += piece.len();
        Some((word, after))
    })
}

// The rules.

/// Names of the crates that are ours, and what each depends on.
type Manifests = [(String, Vec<String>)];

fn wrong_directions(manifests: &Manifests) -> Vec<String> {
    let ours: BTreeSet<&str> = manifests.iter().map(|(name, _)| name.as_str()).collect();
    let mut complaints = Vec::new();
    for (name, dependencies) in manifests {
        let allowed = MAY_DEPEND_ON.iter().find(|(of, _)| of == name).map(|(_, allowed)| *allowed);
        let Some(allowed) = allowed else {
            complaints.push(format!("{name}: say in MAY_DEPEND_ON which crates it may use"));
            continue;
        };
        for dependency in dependencies.iter().filter(|d| ours.contains(d.as_str())) {
            if !allowed.contains(&dependency.as_str()) {
                complaints.push(format!("{name} must not depend on {dependency}"));
            }
        }
    }
    complaints
}

fn is_of(library: &str, family: &str) -> bool {
    match family.strip_suffix('*') {
        Some(prefix) => library.starts_with(prefix),
        None => library == family,
    }
}

fn wrong_doors(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (source, split) in rust(sources) {
        for (number, line) in lines(&split.code) {
            let import = line.trim_start().trim_start_matches("pub ").starts_with("use ");
            for (word, after) in words(line) {
                let named = after.starts_with("::") || (import && after.starts_with([';', ' ']));
                for (family, doors) in DOORS.iter().filter(|(family, _)| is_of(word, family)) {
                    if named && !doors.iter().any(|door| source.path.starts_with(door)) {
                        let path = &source.path;
                        complaints.push(format!("{path}:{number}: {family} belongs to {doors:?}"));
                    }
                }
            }
        }
    }
    complaints
}

fn wrong_library_dependencies(manifests: &Manifests) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, dependencies) in manifests {
        for dependency in dependencies {
            let library = dependency.replace('-', "_");
            for (family, doors) in DOORS.iter().filter(|(family, _)| is_of(&library, family)) {
                let folder = format!("{name}/");
                if !doors.iter().any(|door| door.trim_start_matches("ops/").starts_with(&folder)) {
                    complaints.push(format!("{name}: {family} belongs to {doors:?}"));
                }
            }
        }
    }
    complaints
}

fn lints_not_inherited(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with("/Cargo.toml")) {
        let manifest: toml::Table = source.text.parse().unwrap();
        let inherits = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .and_then(toml::Value::as_bool);
        if inherits != Some(true) {
            complaints.push(format!("{}: add `[lints] workspace = true`", source.path));
        }
    }
    complaints
}

fn backward_uses(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (source, split) in rust(sources) {
        let of_crate = |(folder, order)| Some((source.path.strip_prefix(folder)?, order));
        let order = MODULE_ORDER.iter().copied().find_map(of_crate);
        let Some((inner, order)) = order else { continue };
        let module = inner.split(['/', '.']).next().unwrap_or_default();
        let Some(place) = order.iter().position(|name| *name == module) else { continue };
        if inner.ends_with("/tests.rs") {
            continue;
        }
        // Tests stand at the end of a file and may look anywhere.
        let code = split.code.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in lines(code) {
            for later in &order[place + 1..] {
                let used = words(line).any(|(word, after)| {
                    let rest = after.strip_prefix("::").unwrap_or_default();
                    word == "crate" && words(rest).next().is_some_and(|(next, _)| next == *later)
                });
                let path = &source.path;
                if used && !BACKWARD_USES.iter().any(|(file, m, _)| file == path && m == later) {
                    complaints.push(format!("{path}:{number}: {module} comes before {later}"));
                }
            }
        }
    }
    complaints
}

fn forbidden_words(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (source, split) in rust(sources) {
        let path = &source.path;
        let mut complain = |number, word| complaints.push(format!("{path}:{number}: {word}"));
        let in_names = |text: &str, list: &[&'static str]| -> Option<&'static str> {
            // A library's name is not ours to choose, nor is that of an attribute of X.500.
            let text = snake(text).replace("tokio_util", "tokio").replace("common_name", "name");
            let text = format!("_{text}_");
            list.iter().find(|word| text.contains(&format!("_{word}_"))).copied()
        };
        for list in [REPLACED_WORDS, EMPTY_WORDS] {
            in_names(path, list).into_iter().for_each(|word| complain(0, word));
            for (number, line) in lines(&split.code) {
                in_names(line, list).into_iter().for_each(|word| complain(number, word));
            }
        }
        for (number, line) in lines(&split.comments) {
            let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
            in_names(&prose, REPLACED_WORDS).into_iter().for_each(|word| complain(number, word));
        }
    }
    complaints
}

/// Words in lower case with `_` between them: `seriesName-x` becomes `series_name_x`.
fn snake(text: &str) -> String {
    let mut snake = String::new();
    for character in text.chars() {
        if character.is_uppercase() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.push(if character.is_alphanumeric() { character.to_ascii_lowercase() } else { '_' });
    }
    snake
}

fn long_files(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let length = source.text.lines().count();
        let excepted = LONG_FILES.iter().any(|(path, _)| *path == source.path);
        if length > LONGEST_FILE && !excepted {
            complaints.push(format!("{}: {length} lines; divide it", source.path));
        }
        if length <= LONGEST_FILE && excepted {
            complaints.push(format!("{}: short enough now; leave LONG_FILES", source.path));
        }
    }
    complaints
}

fn ignored_without_reason(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (source, split) in rust(sources) {
        for (number, line) in lines(&split.code) {
            if line.contains("#[ignore]") {
                let path = &source.path;
                complaints.push(format!("{path}:{number}: say why: #[ignore = \"reason\"]"));
            }
        }
    }
    complaints
}

fn machine_paths(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        for (number, line) in lines(&source.text) {
            for path in MACHINE_PATHS {
                // `$HOME/` and `x/home/` are no absolute paths.
                let begins = |(place, _): (usize, &str)| {
                    !line[..place].ends_with(|c| is_word(c) || "}.$~".contains(c))
                };
                if line.match_indices(path).any(begins) {
                    let file = &source.path;
                    complaints.push(format!("{file}:{number}: {path} is on one machine only"));
                }
            }
        }
    }
    complaints
}

// The tests.

fn manifests() -> Vec<(String, Vec<String>)> {
    let metadata = MetadataCommand::new()
        .manifest_path(Path::new(ROOT).join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap();
    let one = |package: &cargo_metadata::Package| {
        let dependencies = package.dependencies.iter().map(|d| d.name.clone()).collect();
        (package.name.to_string(), dependencies)
    };
    metadata.packages.iter().map(one).collect()
}

/// The rule must find the breach, leave the good file alone, and find nothing in the repository.
#[track_caller]
fn check(rule: fn(&[Source]) -> Vec<String>, breach: (&str, &str), good: (&str, &str)) {
    let planted = rule(&[Source::plant(breach.0, breach.1)]);
    assert_eq!(planted.len(), 1, "a planted breach must be found once: {planted:?}");
    let innocent = rule(&[Source::plant(good.0, good.1)]);
    assert!(innocent.is_empty(), "{innocent:?}");
    let found = rule(&sources());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[track_caller]
fn check_manifests(rule: fn(&Manifests) -> Vec<String>, breach: (&str, &str)) {
    let mut planted = manifests();
    let package = planted.iter_mut().find(|(name, _)| name == breach.0).unwrap();
    package.1.push(breach.1.to_owned());
    assert_eq!(rule(&planted).len(), 1, "a planted breach must be found once");
    let found = rule(&manifests());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn crates_depend_in_one_direction() {
    check_manifests(wrong_directions, ("appliance", "trainer"));
    check_manifests(wrong_directions, ("models", "appliance"));
}

#[test]
fn controls_are_shown_by_tests_that_exist() {
    check(
        missing_tests,
        ("ops/docs/HAZARDS.md", "| wrong | `a_test_that_is_nowhere` |"),
        ("ops/docs/HAZARDS.md", "| `model_keys` | `hub.images_mib_per_day` |"),
    );
}

#[test]
fn libraries_enter_by_one_door() {
    check_manifests(wrong_library_dependencies, ("appliance", "burn-flex"));
    check(
        wrong_doors,
        ("appliance/src/web/x.rs", "// dicom_core::X\nlet db = rusqlite::open();"),
        ("appliance/src/web/x.rs", "use axum::Router; let s = \"burn::x\"; x.zip(y); a::<tokio>()"),
    );
    check(
        wrong_doors,
        ("models/src/engine/x.rs", "use tokio;"),
        ("models/src/nn/x.rs", "use burn::Tensor;\nuse crate::dicom::read;"),
    );
}

#[test]
fn every_crate_inherits_the_lints() {
    let good = "[lints]\nworkspace = true";
    check(lints_not_inherited, ("x/Cargo.toml", "[lints]\nrust = {}"), ("x/Cargo.toml", good));
}

#[test]
fn models_modules_use_only_earlier_ones() {
    check(
        backward_uses,
        ("models/src/volume/mod.rs", "/// [`crate::engine`]\nuse crate::tokens::X;"),
        ("models/src/nn/mod.rs", "use crate::dims;\n#[cfg(test)]\nmod t { use crate::weights; }"),
    );
    check(
        backward_uses,
        ("models/src/dims.rs", "x = crate::nn::Y"),
        ("models/src/lib.rs", "crate::nn"),
    );
}

#[test]
fn names_are_ours_and_say_something() {
    let bad = concat!("let ser", "ieName = 1;");
    check(
        forbidden_words,
        ("models/src/a.rs", bad),
        ("models/src/b.rs", "// `serie` is common\nlet series_uncommon = \"serie\";"),
    );
    check(forbidden_words, (concat!("models/src/ut", "ils.rs"), ""), ("models/src/utility.rs", ""));
    check(
        forbidden_words,
        ("a.rs", concat!("// the pat", "dis loss")),
        ("a.rs", "fn commonly() {}"),
    );
}

#[test]
fn files_stay_short() {
    let bad = "x\n".repeat(LONGEST_FILE + 1);
    check(long_files, ("a.rs", &bad), ("a.txt", &bad));
}

#[test]
fn ignored_tests_say_why() {
    let bad = concat!("#[", "ignore]\nfn f() {}");
    check(ignored_without_reason, ("a.rs", bad), ("a.rs", "#[ignore = \"needs a GPU\"]"));
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let bad = format!("see {}x", MACHINE_PATHS[1]);
    check(machine_paths, ("a.md", &bad), ("a.md", &format!("$X{}x", MACHINE_PATHS[2])));
}

#[test]
fn code_comments_and_strings_are_told_apart() {
    let text = "a /* b\nb */ c 'd' &'e r#\"f\"f\"# \"g\\\"g\" // h \"\nfor\"i\" '\\'' '\\u{e9}' j";
    let Split { code, comments } = split(text);
    assert_eq!(code.split_whitespace().collect::<String>(), "ac&'eforj");
    assert_eq!(comments.split_whitespace().collect::<String>(), "/*bb*///h\"");
    let breaks = |text: &str| text.matches('\n').count();
    assert_eq!((breaks(&code), breaks(&comments)), (2, 2));
}
