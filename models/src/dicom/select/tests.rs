//! The table of rules: what ships, what counts as the same, and every way a file can be wrong.

use super::*;

const SHIPPED: &str = include_str!("../../../../firmware-config/series-selection.toml");

/// Training and boxes are compared by this number, so whoever changes a rule raises `version`.
#[test]
fn the_shipped_rules_have_this_version_and_digest() {
    let shipped = Selection::built_in().unwrap();
    let Head { version, date, approver, sha256 } = shipped.head();
    assert_eq!((version.as_str(), date.as_str(), approver.as_str()), ("1", "2026-11-29", ""));
    assert_eq!(*sha256, table::sha256(SHIPPED.as_bytes()));
    // Made by Python's json and hashlib from the same file.
    let rules = "de213afe86bfde27aaed8b5bef1001f430dccf0cec5786164bb9759971cebd1c";
    assert_eq!(shipped.rules_sha256(), rules);
    assert!(SHIPPED.contains("WRITTEN BY ENGINEERS AND APPROVED BY NOBODY."));
}

#[test]
fn the_same_rules_have_the_same_digest_and_others_have_not() {
    let shipped = Selection::built_in().unwrap();
    let changed = |from: &str, to: &str| {
        let text = SHIPPED.replacen(from, to, 1);
        assert_ne!(text, SHIPPED, "{from}");
        let table = Selection::parse(&text, "site.toml").unwrap();
        assert_ne!(table.head().sha256, shipped.head().sha256, "the file is another");
        table.rules_sha256() != shipped.rules_sha256()
    };
    assert!(!changed("# Fewest slices of a volume.", "# Fewest slices."));
    assert!(!changed("approver = \"\"", "approver = \"Dr. A\""));
    assert!(!changed("version = \"1\"", "version = \"our 7\""));
    assert!(!changed("\"loc\", \"survey\"", "\"survey\", \"loc\""));
    assert!(changed("min_slices = 3", "min_slices = 4"));
    assert!(changed("most_slices = 11", "most_slices = 12"));
    assert!(changed("\"survey\", ", ""));
    assert!(changed("\"scout\",", ""));
    assert!(changed("\"MIP\", ", ""));
    assert!(changed("\"SCREEN\"", ""));
    assert!(changed("\"LOCALIZER\"", ""));
    assert!(changed("\"diffusion tensor\"", "\"tensor\""));
}

/// Replaces the first `from` of the shipped file by `to` and expects this message for its line.
fn check(from: &str, to: &str, message: &str) {
    let (before, _) = SHIPPED.split_once(from).unwrap();
    let line = before.matches('\n').count() + 1;
    let error = Selection::parse(&SHIPPED.replacen(from, to, 1), "series.toml").unwrap_err();
    assert_eq!(error.to_string(), format!("series.toml, line {line}: {message}"), "{to}");
}

#[test]
fn a_bad_table_is_refused_with_its_line() {
    check("format_version = 1", "format_version = 2", "format_version is 2; this program reads 1");
    let empty = "version is empty; give this table a number or a name";
    check("version = \"1\"", "version = \"\"", empty);
    check("date = \"2026-11-29\"", "date = \"today\"", "date is \"today\"; write YYYY-MM-DD");
    let fields = "expected one of `format_version`, `version`, `date`, `approver`, `min_slices`, \
                  `screenshots`, `localiser`, `derived`";
    check("min_slices", "least_slices", &format!("unknown field `least_slices`, {fields}"));
    for few in ["0", "2", "101"] {
        let message = format!("min_slices is {few}; it must be from 3 to 100");
        check("min_slices = 3", &format!("min_slices = {few}"), &message);
    }
    let many = "localiser.most_slices is 101; it must be at most 100";
    check("most_slices = 11", "most_slices = 101", many);
    for bad in ["screen", "", "A_VALUE_THAT_IS_TOO_LONG", "A\\\\B"] {
        let message = format!(
            "{:?} is no value of Image Type; write up to 16 capital letters, digits, spaces and \
             underscores",
            bad.replace("\\\\", "\\")
        );
        check("\"SCREEN\"", &format!("\"{bad}\""), &message);
        check("\"LOCALIZER\"", &format!("\"{bad}\""), &message);
        check("\"TENSOR\"", &format!("\"{bad}\""), &message);
    }
    for bad in ["Loc", "", "plan scan"] {
        let message =
            format!("the word {bad:?} never occurs; write letters and digits in lower case");
        check("\"loc\"", &format!("\"{bad}\""), &message);
    }
    for bad in ["", "   \t", "t1", "Scout"] {
        let message = format!(
            "the part {bad:?} leaves out too much or nothing; write 4 characters or more, in lower \
             case"
        );
        check("\"scout\"", &format!("{bad:?}"), &message);
    }
    let twice = "the Image Type \"MIP\" stands twice in derived";
    check("\"TENSOR\"", "\"MIP\"", twice);
    check(
        "what = \"projection\"",
        "what = \" \"",
        "what is empty; say in words what these images are",
    );
    let error = Selection::open("no/such/file.toml".as_ref()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the series selection no/such/file.toml");
}
