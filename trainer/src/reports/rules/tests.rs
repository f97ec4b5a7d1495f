//! The rules on report texts that came from no generator, and every way a file can be wrong.

use serde::Deserialize;

use super::*;
use crate::reports::sections;

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    expect: Vec<String>,
    text: String,
}

fn cases(text: &str) -> Vec<Case> {
    toml::from_str::<Cases>(text).unwrap().case
}

/// Every difference, and the counts of true positives, false positives and false negatives.
fn score(cases: &[Case]) -> (Vec<String>, [usize; 3]) {
    let rules = Rules::built_in().unwrap();
    let (mut wrong, mut counts) = (Vec::new(), [0; 3]);
    for Case { expect, text } in cases {
        let reading = rules.read(&sections::split(text));
        let found: Vec<_> = (0..52).filter(|d| reading.diagnoses[*d]).collect();
        let expect: Vec<_> = expect.iter().map(|name| index_of(name).unwrap()).collect();
        let hits = found.iter().filter(|d| expect.contains(d)).count();
        let add = [hits, found.len() - hits, expect.len() - hits];
        counts.iter_mut().zip(add).for_each(|(count, n)| *count += n);
        if found != expect {
            let names = |list: &[usize]| list.iter().map(|d| DIAGNOSES[*d]).collect::<Vec<_>>();
            let (found, expect) = (names(&found), names(&expect));
            wrong.push(format!("{text}\n  found {found:?}\n  expected {expect:?}"));
        }
    }
    (wrong, counts)
}

fn f1([hits, extra, missed]: [usize; 3]) -> f64 {
    2.0 * hits as f64 / (2 * hits + extra + missed) as f64
}

#[test]
fn the_rules_agree_with_the_cases_they_were_tuned_on() {
    let (wrong, counts) = score(&cases(include_str!("cases.toml")));
    println!("tuned on: {counts:?}, F1 {:.3}", f1(counts));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rules_hold_on_cases_they_have_not_seen() {
    let cases = cases(include_str!("held_out.toml"));
    let (wrong, counts) = score(&cases);
    let (differ, texts) = (wrong.len(), cases.len());
    println!("held out: {differ} of {texts} texts differ, {counts:?}, F1 {:.3}", f1(counts));
    assert!(f1(counts) > 0.9, "{counts:?}");
}

#[test]
fn every_diagnosis_is_asked_on_cases_not_seen() {
    let (tuned_on, held_out) =
        (cases(include_str!("cases.toml")), cases(include_str!("held_out.toml")));
    assert!(held_out.len() >= 200, "{}", held_out.len());
    for diagnosis in DIAGNOSES {
        let texts = held_out.iter().filter(|case| case.expect.iter().any(|d| d == diagnosis));
        assert!(texts.count() >= 2, "{diagnosis}");
    }
    let seen = |case: &&Case| tuned_on.iter().any(|other| other.text == case.text);
    assert_eq!(held_out.iter().find(seen).map(|case| &case.text), None);
}

#[derive(Deserialize)]
struct Concept {
    name: String,
    body_system: Option<String>,
}

#[derive(Deserialize)]
struct Finding {
    name: Option<String>,
    description: Option<String>,
    pathology_name: Option<String>,
    modality: Option<String>,
}

/// The MRI sentences of the concepts that radiology-semantic-dict 1.4.0 tags as neurological: on
/// its concept's name with the sentence the rules must find what the table says, and what the
/// sentence alone says besides is printed.
#[test]
#[expect(clippy::disallowed_methods, reason = "whoever has the package says where it is")]
fn the_rules_know_the_concepts_of_a_public_dictionary() {
    let Some(folder) = std::env::var_os("PRIMA_SEMANTIC_DICT_DIR") else {
        eprintln!("SKIPPED: PRIMA_SEMANTIC_DICT_DIR is not set: no dictionary is here");
        return;
    };
    let folder = Path::new(&folder).join("radiology_semantic/data");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let concepts: Vec<Concept> = serde_json::from_slice(&read("medical_concepts.json")).unwrap();
    let findings: Vec<Finding> = serde_json::from_slice(&read("imaging_findings.json")).unwrap();
    let table: std::collections::BTreeMap<String, Vec<String>> =
        toml::from_str(include_str!("concepts.toml")).unwrap();
    let is_neuro = |name: &str| {
        concepts.iter().any(|c| c.name == name && c.body_system.as_deref() == Some("Neuro"))
    };
    let rules = Rules::built_in().unwrap();
    let find = |text: String| {
        let report = Report { impression: text, ..Report::default() };
        let reading = rules.read(&report);
        (0..52).filter(|d| reading.diagnoses[*d]).collect::<Vec<_>>()
    };
    let (mut named, mut alone, mut sentences) = ([0; 3], [0; 3], 0);
    for f in &findings {
        let (Some(concept), Some(modality)) = (&f.pathology_name, &f.modality) else { continue };
        if !modality.contains("MR") || !is_neuro(concept) {
            continue;
        }
        sentences += 1;
        let expect = table.get(concept).cloned().unwrap_or_default();
        let expect: Vec<_> = expect.iter().map(|name| index_of(name).unwrap()).collect();
        let text = [&f.name, &f.description].map(|t| t.as_deref().unwrap_or_default()).join(". ");
        let counts = |found: &[usize]| {
            let hits = found.iter().filter(|d| expect.contains(d)).count();
            [hits, found.len() - hits, expect.len() - hits]
        };
        let add =
            |to: &mut [usize; 3], n: [usize; 3]| to.iter_mut().zip(n).for_each(|(a, b)| *a += b);
        let found = find(format!("{concept}."));
        if found != expect {
            println!("{}: {:?}", concept, found.iter().map(|d| DIAGNOSES[*d]).collect::<Vec<_>>());
        }
        add(&mut named, counts(&found));
        let found = find(text.clone());
        for d in found.iter().filter(|d| !expect.contains(d)) {
            println!("alone: {} | {text} -> {}", concept, DIAGNOSES[*d]);
        }
        add(&mut alone, counts(&found));
    }
    println!("{sentences} sentences; named {named:?} F1 {:.3}; alone {alone:?}", f1(named));
    assert!(f1(named) > 0.95, "{named:?}");
}

#[test]
fn the_rules_explain_themselves() {
    let rules = Rules::built_in().unwrap();
    let check = |text: &str, expected: &[&str]| {
        let report = Report { impression: text.to_owned(), ..Report::default() };
        let evidence: Vec<_> = rules.read(&report).evidence.iter().map(|e| e.to_string()).collect();
        assert_eq!(evidence, expected, "{text}");
    };
    check(
        "No cavernoma. 6 mm aneurysm vs. infundibulum. Father has MS.",
        &[
            "vascular_malformation_cavernoma: negated by \"no\" (\"cavernoma\" in \"No cavernoma.\")",
            "vascular_malformation_cerebral_aneurysm: affirmed (\"aneurysm\" in \
             \"6 mm aneurysm vs. infundibulum.\")",
            "inflammatory_multiple_sclerosis: of somebody else by \"father\" (\"ms\" in \
             \"Father has MS.\")",
        ],
    );
    check(
        "History of abscess. Possible GBM.",
        &[
            "infectious_brain_abscess: history by \"history of\" (\"abscess\" in \
             \"History of abscess.\")",
            "tumor_adult_high_grade_glioma: uncertain by \"possible\" (\"gbm\" in \"Possible GBM.\")",
        ],
    );
    check(
        "Glioblastoma.",
        &[
            "tumor_adult_glioma: implied by tumor_adult_high_grade_glioma (\"glioblastoma\" in \
             \"Glioblastoma.\")",
            "tumor_adult_high_grade_glioma: affirmed (\"glioblastoma\" in \"Glioblastoma.\")",
        ],
    );
}

#[test]
fn indication_comparison_and_technique_say_nothing() {
    let rules = Rules::built_in().unwrap();
    let report = Report {
        indication: "Meningioma.".to_owned(),
        technique: "Tumour protocol for glioma.".to_owned(),
        comparison: "MRI with a subdural haematoma.".to_owned(),
        ..Report::default()
    };
    assert_eq!(rules.read(&report), Reading { diagnoses: vec![false; 52], evidence: Vec::new() });
}

#[test]
fn bad_files_are_refused() {
    let check = |from: &str, to: &str, expected: &str| {
        let (lexicon, context) = (LEXICON.replacen(from, to, 1), CONTEXT.replacen(from, to, 1));
        assert!(lexicon != LEXICON || context != CONTEXT, "{from}");
        let parsed = Rules::parse((&lexicon, "lexicon.toml"), (&context, "context.toml"));
        assert_eq!(parsed.unwrap_err().to_string(), expected);
    };
    check(
        "[spine_syrinx]",
        "[spine_syrnix]",
        "lexicon.toml: there is no table [spine_syrinx]; add it with its terms",
    );
    check(
        "[spine_syrinx]",
        "[syrinx]\nterms = ['syrinx']\n[spine_syrinx]",
        "lexicon.toml: [syrinx] is none of the 52 diagnoses; correct or remove it",
    );
    check(
        "terms = [\"meningiomas?\", \"meningiomatosis\"]",
        "",
        "lexicon.toml: [tumor_adult_meningioma] has neither terms nor near; add one",
    );
    check(
        "implies = [\"tumor_adult_glioma\"]",
        "implies = [\"glioma\"]",
        "lexicon.toml: [tumor_adult_high_grade_glioma] implies \"glioma\", which is no diagnosis; \
         correct it",
    );
    check(
        "\"colloid cysts?\"",
        "\"colloid (cyst\"",
        "lexicon.toml, [cyst_colloid_cyst] terms: the pattern \"colloid (cyst\" is no regular \
         expression; correct it",
    );
    check(
        "\"family history\"",
        "\"family (history\"",
        "context.toml, other_person: the pattern \"family (history\" is no regular expression; \
         correct it",
    );
    let missing = Rules::load_or_built_in(Some("no/such.toml".as_ref()), None).unwrap_err();
    assert_eq!(missing.to_string(), "cannot read the labelling rules no/such.toml");
}
