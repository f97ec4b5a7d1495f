//! What a site shows and withholds, and every way its list can be wrong.

use std::collections::BTreeSet;

use models::labels::{DIAGNOSES, display_name};

use super::super::{Labels, Tables};
use super::{check, scores, shipped, small};

pub(super) const SHIPPED: &str = include_str!("../../../../firmware-config/labels.toml");

/// The shipped labels with these withheld.
fn withholding(labels: &[&str]) -> String {
    labels.iter().fold(SHIPPED.to_owned(), |text, label| {
        let (before, line) = text.split_once(&format!("\n{label} = ")).unwrap();
        let reason = "\"withheld\", reason = \"Too many false alarms here.\"";
        format!("{before}\n{label} = {}", line.replacen("\"shown\"", reason, 1))
    })
}

#[test]
fn what_is_withheld_is_no_finding_and_is_named() {
    let labels = ["infectious_brain_abscess", "spine_syrinx"];
    let text = withholding(&labels);
    let tables = Tables { labels: Labels::parse(&text, "site.toml").unwrap(), ..small() };
    let check = |given, expected| check(&tables, given, expected);
    let nothing = "none | NoFinding: no finding at or above its threshold |  | ";
    check("infectious_brain_abscess=9 spine_syrinx=9", nothing);
    // A combination with it does not hold, and what is shown is as before.
    check(
        "structural_edema=1 spine_syrinx=3",
        "low | Finding: edema | edema low | neurology soon (structural_edema)",
    );
    // The model's own heads are no labels.
    check(
        "infectious_brain_abscess=9 p:high=1 r:head_1=1",
        "high | PriorityHead: the model's priority: high |  | neurology routine ()",
    );
    // It is named whatever it scored, so that its name tells nothing of the study.
    for given in ["", "infectious_brain_abscess=9"] {
        let assessment = tables.assess(&scores(given)).unwrap();
        let named: Vec<_> = assessment.withheld.iter().map(|w| w.label.as_str()).collect();
        assert_eq!(named, labels);
        assert_eq!(assessment.withheld[1].name, "syrinx");
        assert_eq!(assessment.withheld[1].reason, "Too many false alarms here.");
        assert_eq!(assessment.labels.sha256, tables.labels.head().sha256);
    }
    let error = tables.assess(&scores("spine_syrinx=NaN")).unwrap_err();
    assert_eq!(error.to_string(), "the score of \"spine_syrinx\" is not a finite number");
    assert_eq!(shipped().assess(&scores("")).unwrap().withheld, []);
}

/// The paper names categories in words, its checkpoint at the front of each label.
#[test]
fn a_family_of_labels_is_a_category() {
    let labels: toml::Table = SHIPPED.parse().unwrap();
    let category = |label: &str| labels["label"][label]["category"].as_str().unwrap().to_owned();
    let family = |label: &str| {
        let short = display_name(label).replace(" (paediatric)", "").replace(' ', "_");
        let short = short.replace("subarachnoid_hemorrhage", "subarachnoid_hemorrahage");
        label.strip_suffix(&short).unwrap().to_owned()
    };
    let pairs: BTreeSet<_> = DIAGNOSES.iter().map(|l| (family(l), category(l))).collect();
    let families: BTreeSet<_> = pairs.iter().map(|(family, _)| family).collect();
    let categories: BTreeSet<_> = pairs.iter().map(|(_, category)| category).collect();
    assert_eq!((pairs.len(), families.len(), categories.len()), (15, 15, 15), "{pairs:#?}");
    let finding = shipped().assess(&scores("tumor_adult_glioma=1")).unwrap().findings.remove(0);
    assert_eq!(finding.category, "adult tumor");
}

/// Replaces the first `from` of the shipped labels by `to` and expects this message for its line.
fn check_line(from: &str, to: &str, message: &str) {
    let (before, _) = SHIPPED.split_once(from).unwrap();
    let line = before.matches('\n').count() + 1;
    let error = Labels::parse(&SHIPPED.replacen(from, to, 1), "labels.toml").unwrap_err();
    assert_eq!(error.to_string(), format!("labels.toml, line {line}: {message}"), "{to}");
}

#[test]
fn bad_labels_are_refused_with_their_line() {
    let edema = "structural_edema = { category = \"structural\", finding = \"shown\" }";
    let line = |rest: &str| format!("structural_edema = {{ {rest} }}");
    let check = |rest: &str, message: &str| check_line(edema, &line(rest), message);
    check_line(
        "format_version = 1",
        "format_version = 3",
        "format_version is 3; this program reads 1",
    );
    check(
        "category = \"structural\", finding = \"withheld\"",
        "structural_edema is withheld without a reason; add one, in one sentence",
    );
    check(
        "category = \"structural\", finding = \"withheld\", reason = \"bad\"",
        "the reason \"bad\" is no sentence; end it with a full stop",
    );
    check(
        "category = \"structural\", finding = \"shown\", reason = \"Good.\"",
        "structural_edema is shown and needs no reason; take it out or withhold it",
    );
    check(
        "category = \" \", finding = \"shown\"",
        "structural_edema has an empty category; name one",
    );
    check(
        "category = \"structural\", finding = \"hidden\"",
        "unknown variant `hidden`, expected `shown` or `withheld`",
    );
    check("category = \"structural\"", "missing field `finding`");
    check(
        "category = \"structural\", finding = \"shown\", code = \"1\"",
        "unknown field `code`, expected one of `category`, `finding`, `reason`",
    );
    check_line("structural_midline_shift", "structural_edema", "duplicate key");
    let error = Labels::open("no/such/file.toml".as_ref()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the list of labels no/such/file.toml");
}

/// Both ways: a diagnosis that is not listed, and a line for what the model does not know.
#[test]
fn labels_and_model_must_name_the_same() {
    let text = SHIPPED.replacen("spine_syrinx", "spine_syrnix", 1);
    let labels = Labels::parse(&text, "labels.toml").unwrap();
    let said = |diagnoses: &[&str]| labels.check(diagnoses).unwrap_err().to_string();
    assert_eq!(
        said(&DIAGNOSES),
        "labels.toml does not list the diagnosis spine_syrinx; add it to [label], shown or withheld"
    );
    let known: Vec<&str> = DIAGNOSES.into_iter().filter(|name| *name != "spine_syrinx").collect();
    let line = text.lines().position(|line| line.starts_with("spine_syrnix")).unwrap() + 1;
    assert_eq!(
        said(&known),
        format!(
            "labels.toml, line {line}: the model has no diagnosis spine_syrnix; take it out or \
             correct it"
        )
    );
    let with_it: Vec<&str> = known.iter().copied().chain(["spine_syrnix"]).collect();
    assert!(labels.check(&with_it).is_ok());
}
