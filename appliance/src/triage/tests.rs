//! The rules as tables: scores in, assessment out; and every way a file can be wrong.

mod labels;

use std::path::Path;

use models::engine::{ClassScore, LabelScore, StudyScores};
use models::labels::DIAGNOSES;

use super::{Acuity, Assessment, Rules, Tables, Urgency};

const SHIPPED: &str = include_str!("../../../firmware-config/referral.toml");

/// `name=number ...` to scores: `p:` a priority class with its logit, `r:` a referral head with
/// its margin, else a diagnosis with its margin. Every other diagnosis is far below its threshold.
fn scores(text: &str) -> StudyScores {
    let label = |name: &str, margin| LabelScore {
        name: name.to_owned(),
        logit: 0.0,
        margin,
        probability: None,
    };
    let mut scores = StudyScores {
        diagnosis: DIAGNOSES.iter().map(|name| label(name, -5.0)).collect(),
        referral: Vec::new(),
        priority: Vec::new(),
        age_years: None,
        with_context: false,
        embedding: Vec::new(),
    };
    for part in text.split_whitespace() {
        let (name, number) = part.split_once('=').unwrap();
        let number = number.parse().unwrap();
        if let Some(class) = name.strip_prefix("p:") {
            let name = class.to_owned();
            scores.priority.push(ClassScore { name, logit: number, probability: None });
        } else if let Some(head) = name.strip_prefix("r:") {
            scores.referral.push(label(head, number));
        } else {
            let known = scores.diagnosis.iter_mut().find(|score| score.name == name);
            match known {
                Some(score) => score.margin = number,
                None => scores.diagnosis.push(label(name, number)),
            }
        }
    }
    scores
}

/// An assessment on one line.
fn render(assessment: &Assessment) -> String {
    let from: Vec<_> =
        assessment.acuity_from.iter().map(|r| format!("{:?}: {}", r.source, r.text)).collect();
    let findings: Vec<_> =
        assessment.findings.iter().map(|f| format!("{} {}", f.name, f.acuity)).collect();
    let referrals: Vec<_> = assessment
        .referrals
        .iter()
        .map(|r| format!("{} {} ({})", r.service, r.urgency, r.findings.join(", ")))
        .collect();
    let lists = [from, findings, referrals].map(|list| list.join("; "));
    format!("{} | {}", assessment.acuity, lists.join(" | "))
}

fn check(tables: &Tables, given: &str, expected: &str) {
    assert_eq!(render(&tables.assess(&scores(given)).unwrap()), expected, "{given}");
}

/// Those that ship.
fn shipped() -> Tables {
    Tables::open([""; 3].map(Path::new)).unwrap()
}

/// Few rules, so that each case shows one thing.
fn small() -> Tables {
    let mut text = header().to_owned();
    text.push_str(
        "[label.infectious_brain_abscess]\nacuity = 'high'\n\
         referral = { service = 'neurosurgery', urgency = 'urgent', reason = 'Drain it.' }\n\
         [label.structural_edema]\nacuity = 'low'\nraise = { margin = 2.0, acuity = 'medium' }\n\
         referral = { service = 'neurology', urgency = 'soon', reason = 'Find the cause.' }\n\
         [label.spine_syrinx]\nacuity = 'low'\n\
         referral = { service = 'neurosurgery', urgency = 'routine', reason = 'Follow it.' }\n\
         [[combination]]\nlabels = ['structural_edema', 'spine_syrinx']\nacuity = 'high'\n\
         referral = { service = 'neurosurgery', urgency = 'emergency', reason = 'Call now.' }\n",
    );
    let written = ["infectious_brain_abscess", "structural_edema", "spine_syrinx"];
    for name in DIAGNOSES.iter().filter(|name| !written.contains(name)) {
        text.push_str(&format!("[label.{name}]\nacuity = 'none'\n"));
    }
    Tables { referral: Rules::parse(&text, "small.toml").unwrap(), ..shipped() }
}

fn header() -> &'static str {
    "format_version = 1\nversion = '7'\ndate = '2026-08-01'\napprover = 'Dr. A'\n\
     services = ['neurosurgery', 'neurology']\n\
     [priority]\nnone = 'none'\nmedium = 'medium'\nhigh = 'high'\n\
     [model_referral]\nurgency = 'routine'\nreason = 'Recommended by the model.'\n\
     service = { head_1 = 'neurology' }\n"
}

#[test]
fn scores_become_an_assessment() {
    let rules = small();
    let check = |given, expected| check(&rules, given, expected);
    check("", "none | NoFinding: no finding at or above its threshold |  | ");
    // The priority head: the highest logit, and of equal ones the higher acuity.
    check("p:none=2 p:high=1", "none | PriorityHead: the model's priority: none |  | ");
    check("p:none=-2 p:high=-1", "high | PriorityHead: the model's priority: high |  | ");
    check("p:high=1 p:medium=1 p:none=1", "high | PriorityHead: the model's priority: high |  | ");
    check("p:none=1 p:medium=1", "medium | PriorityHead: the model's priority: medium |  | ");
    // A finding: at the threshold and not below it.
    check(
        "infectious_brain_abscess=0 p:none=1",
        "high | Finding: brain abscess | brain abscess high | \
         neurosurgery urgent (infectious_brain_abscess)",
    );
    check(
        "infectious_brain_abscess=-0.01",
        "none | NoFinding: no finding at or above its threshold |  | ",
    );
    // The higher acuity from its margin on.
    check(
        "structural_edema=1.99",
        "low | Finding: edema | edema low | neurology soon (structural_edema)",
    );
    check(
        "structural_edema=2",
        "medium | Finding: edema | edema medium | neurology soon (structural_edema)",
    );
    // The highest wins, and everything that gave it is named.
    check(
        "structural_edema=2 p:medium=1",
        "medium | PriorityHead: the model's priority: medium; Finding: edema | edema medium | \
         neurology soon (structural_edema)",
    );
    check(
        "structural_edema=1 p:high=1",
        "high | PriorityHead: the model's priority: high | edema low | \
         neurology soon (structural_edema)",
    );
    // Findings: acuity, then margin.
    check(
        "infectious_brain_abscess=0 structural_edema=1 surgical_catheter=9 cyst_colloid_cyst=8",
        "high | Finding: brain abscess | \
         brain abscess high; edema low; catheter none; colloid cyst none | \
         neurosurgery urgent (infectious_brain_abscess); neurology soon (structural_edema)",
    );
    // A combination raises the study and the referral, which is one per service.
    check(
        "structural_edema=1 spine_syrinx=3",
        "high | Combination: edema with syrinx | syrinx low; edema low | \
         neurosurgery emergency (structural_edema, spine_syrinx); \
         neurology soon (structural_edema)",
    );
    // The model's own referrals: mapped, or under the name of the head; negative ones not.
    check(
        "r:head_1=0 r:eye_clinic=2 r:head_3=-1",
        "none | NoFinding: no finding at or above its threshold |  | \
         neurology routine (); eye clinic routine ()",
    );
    check(
        "r:head_1=1 structural_edema=0",
        "low | Finding: edema | edema low | neurology soon (structural_edema)",
    );
}

#[test]
fn reasons_of_one_service_are_strung_together_most_urgent_first() {
    let check = |given, expected: &[&str]| {
        let assessment = small().assess(&scores(given)).unwrap();
        let reasons: Vec<_> = assessment.referrals.into_iter().map(|r| r.reason).collect();
        assert_eq!(reasons, expected, "{given}");
    };
    check("spine_syrinx=0 infectious_brain_abscess=0", &["Drain it. Follow it."]);
    check(
        "structural_edema=0 spine_syrinx=0 r:head_1=0",
        &["Call now. Follow it.", "Find the cause. Recommended by the model."],
    );
}

#[test]
fn what_cannot_be_assessed_is_an_error() {
    let check = |given, expected: &str| {
        let error = small().assess(&scores(given)).unwrap_err();
        assert_eq!(error.to_string(), expected, "{given}");
    };
    check(
        "new_disease=-1",
        "small.toml has no rule for the diagnosis new_disease; add [label.new_disease]",
    );
    check(
        "p:low=1",
        "small.toml has no acuity for the priority class \"low\"; add it to [priority]",
    );
    check("structural_edema=NaN", "the score of \"structural_edema\" is not a finite number");
    check("p:none=inf", "the score of \"none\" is not a finite number");
    check("r:head_1=NaN", "the score of \"head_1\" is not a finite number");
    let rules = small().referral;
    assert!(rules.check(&DIAGNOSES, &["none", "medium", "high"]).is_ok());
    assert!(rules.check(&["structural_edema"], &["low"]).is_err());
    assert!(rules.check(&["new_disease"], &[]).is_err());
}

#[test]
fn an_assessment_names_its_rules_and_survives_storing() {
    let tables = small();
    let given = "structural_edema=1 spine_syrinx=3 p:high=1 r:eye_clinic=1";
    let assessment = tables.assess(&scores(given)).unwrap();
    let rules = tables.referral.head();
    assert_eq!(
        (rules.version.as_str(), rules.date.as_str(), rules.approver.as_str()),
        ("7", "2026-08-01", "Dr. A")
    );
    assert_eq!(assessment.rules_version, "7");
    assert_eq!(assessment.rules_approver, "Dr. A");
    assert_eq!(assessment.rules_sha256, rules.sha256);
    assert_eq!(assessment.labels, *tables.labels.head());
    let text = serde_json::to_string(&assessment).unwrap();
    assert_eq!(serde_json::from_str::<Assessment>(&text).unwrap(), assessment);
}

/// The whole shipped table, so that no line of it changes unseen: acuity at the threshold and far
/// above it, and the referral.
const TABLE: &str = "\
cyst_arachnoid_cyst low low neurosurgery routine
cyst_colloid_cyst medium high neurosurgery urgent
developmental_dandy_walker_malformation low low paediatric neurosurgery routine
developmental_dysgenesis_corpus_callosum low low paediatric neurology routine
developmental_heterotopia low low epilepsy routine
infectious_brain_abscess high high neurosurgery emergency
infectious_viral_encephalitis high high neurology emergency
inflammatory_multiple_sclerosis medium medium neuroimmunology soon
inflammatory_neurosarcoid medium medium neuroimmunology soon
sellar_craniopharyngioma medium medium skull base and pituitary surgery soon
sellar_pituitary_adenoma low medium skull base and pituitary surgery soon
sellar_rathkes_cleft_cyst low low endocrinology routine
spine_syrinx medium medium csf and spine surgery soon
structural_brain_herniation high high neurosurgery emergency
structural_cephaloceles low low skull base and pituitary surgery soon
structural_cerebral_atrophy none none memory clinic routine
structural_chiari_malformation low low csf and spine surgery routine
structural_edema medium high neurology urgent
structural_encephalomalacia none none -
structural_mass_effect high high neurosurgery urgent
structural_midline_shift high high neurosurgery urgent
surgical_catheter none none -
surgical_craniotomy none none -
surgical_resection_cavity low low neuro-oncology routine
trauma_brain_contusion high high neurosurgery urgent
trauma_diffuse_axonal_injury high high neurosurgery urgent
trauma_subdural_hematoma high high neurosurgery emergency
tumor_adult_brain_metastasis medium high neurosurgical oncology urgent
tumor_adult_glioma medium medium neurosurgical oncology soon
tumor_adult_high_grade_glioma medium high neurosurgical oncology urgent
tumor_adult_low_grade_glioma medium medium neurosurgical oncology soon
tumor_adult_lymphoma medium medium neuro-oncology urgent
tumor_adult_meningioma low low neurosurgical oncology routine
tumor_adult_pineal_tumor medium medium neurosurgical oncology urgent
tumor_adult_schwannoma low low skull base and pituitary surgery routine
tumor_pediatric_brainstem_glioma high high paediatric neurosurgery urgent
tumor_pediatric_ependymoma high high paediatric neurosurgery urgent
tumor_pediatric_germ_cell_tumor medium medium paediatric neurosurgery urgent
tumor_pediatric_medulloblastoma high high paediatric neurosurgery emergency
tumor_pediatric_pilocytic_astrocytoma medium medium paediatric neurosurgery urgent
vascular_hemorrhagic_intracranial_hemorrhage high high neurosurgery emergency
vascular_hemorrhagic_intraventricular_hemorrhage high high neurosurgery emergency
vascular_hemorrhagic_subarachnoid_hemorrahage high high neurosurgery emergency
vascular_ischemic_lacunar_stroke medium high stroke urgent
vascular_ischemic_large_vessel_stroke high high stroke emergency
vascular_ischemic_moyamoya medium medium vascular neurosurgery soon
vascular_ischemic_small_vessel_disease none none primary care routine
vascular_malformation_arteriovenous_malformation medium medium vascular neurosurgery soon
vascular_malformation_cavernoma low low vascular neurosurgery routine
vascular_malformation_cerebral_aneurysm medium medium vascular neurosurgery soon
ventricular_intracranial_hypotension medium medium neurology soon
ventricular_ventriculomegaly medium high neurosurgery urgent
";

#[test]
fn the_shipped_rules_are_these() {
    let rules = shipped();
    let row = |label: &str| {
        let at = |margin: &str| rules.assess(&scores(&format!("{label}={margin}"))).unwrap();
        let (low, high) = (at("0"), at("19"));
        assert_eq!(low.findings.len(), 1, "{label}");
        let referral = low.referrals.first();
        let referral = referral.map_or("-".to_owned(), |r| format!("{} {}", r.service, r.urgency));
        format!("{label} {} {} {referral}\n", low.acuity, high.acuity)
    };
    let table: String = DIAGNOSES.iter().map(|label| row(label)).collect();
    assert_eq!(table, TABLE);
}

#[test]
fn the_shipped_combinations_are_these() {
    let rules = shipped();
    let check = |labels: &str, expected: &str| {
        let given: Vec<_> = labels.split_whitespace().map(|label| format!("{label}=0")).collect();
        let assessment = rules.assess(&scores(&given.join(" "))).unwrap();
        assert_eq!(assessment.acuity, Acuity::High, "{labels}");
        let top = &assessment.referrals[0];
        assert_eq!((top.service.as_str(), top.urgency), ("neurosurgery", Urgency::Emergency));
        assert!(top.reason.starts_with(expected), "{labels}: {}", top.reason);
        for label in labels.split_whitespace() {
            assert!(top.findings.iter().any(|f| f == label), "{labels}: {:?}", top.findings);
        }
    };
    check(
        "structural_mass_effect structural_midline_shift",
        "Mass effect with midline shift is impending herniation.",
    );
    check(
        "tumor_adult_glioma structural_midline_shift",
        "A tumour that shifts the midline needs steroids and a neurosurgeon now.",
    );
    check(
        "tumor_adult_high_grade_glioma structural_mass_effect",
        "A high-grade glioma with mass effect needs steroids and a neurosurgeon now.",
    );
    check(
        "tumor_adult_brain_metastasis structural_mass_effect",
        "A metastasis with mass effect needs steroids and a neurosurgeon now.",
    );
    check(
        "cyst_colloid_cyst ventricular_ventriculomegaly",
        "A colloid cyst with enlarged ventricles can kill suddenly.",
    );
    check(
        "vascular_hemorrhagic_subarachnoid_hemorrahage vascular_malformation_cerebral_aneurysm",
        "Subarachnoid haemorrhage needs a search for an aneurysm before it bleeds again. \
         A ruptured aneurysm bleeds again, most often within the first day.",
    );
    check(
        "vascular_hemorrhagic_intracranial_hemorrhage \
         vascular_malformation_arteriovenous_malformation",
        "Intracranial haemorrhage can grow within hours. \
         A malformation that has bled needs a neurosurgeon now.",
    );
    check(
        "surgical_catheter ventricular_ventriculomegaly",
        "Enlarged ventricles with a catheter in place may be a blocked shunt.",
    );
    assert_eq!(SHIPPED.matches("[[combination]]").count(), 8, "each has a case above");
}

/// Nobody has approved the shipped rules, and the file must not claim otherwise.
#[test]
fn the_shipped_rules_say_that_nobody_approved_them() {
    let tables = shipped();
    for (file, head) in tables.heads() {
        assert_eq!(head.approver, "", "{file}");
    }
    for text in [SHIPPED, labels::SHIPPED] {
        assert!(text.contains("WRITTEN BY ENGINEERS AND APPROVED BY NOBODY."));
    }
    for classes in [3, 4] {
        tables.check(&DIAGNOSES, models::labels::priority_classes(classes).unwrap()).unwrap();
    }
    tables.check(&DIAGNOSES, &["normal", "medium", "high"]).unwrap();
}

/// Replaces the first `from` of the shipped file by `to` and expects this message.
fn check_bad(from: &str, to: &str, expected: &str) {
    let text = SHIPPED.replacen(from, to, 1);
    assert_ne!(text, SHIPPED, "{from}");
    let error = Rules::parse(&text, "referral.toml").unwrap_err();
    assert_eq!(error.to_string(), expected, "{to}");
}

const TOP_FIELDS: &str = "expected one of `format_version`, `version`, `date`, `approver`, \
    `services`, `priority`, `model_referral`, `label`, `combination`";

/// The same, with the line on which `from` stands.
fn check_line(from: &str, to: &str, message: &str) {
    let (before, _) = SHIPPED.split_once(from).unwrap();
    let line = before.matches('\n').count() + 1;
    check_bad(from, to, &format!("referral.toml, line {line}: {message}"));
}

#[test]
fn a_bad_file_is_refused_with_its_line() {
    check_line(
        "format_version = 1",
        "format_version = 2",
        "format_version is 2; this program reads 1",
    );
    check_line(
        "format_version = 1",
        "format_version = -1",
        "invalid value: integer `-1`, expected u32",
    );
    check_line(
        "version = \"2\"",
        "version = \" \"",
        "version is empty; give this table a number or a name",
    );
    check_line(
        "date = \"2026-11-24\"",
        "date = \"1.8.2026\"",
        "date is \"1.8.2026\"; write YYYY-MM-DD",
    );
    check_line(
        "approver = \"\"",
        "aprover = \"\"",
        &format!("unknown field `aprover`, {TOP_FIELDS}"),
    );
    check_bad("approver = \"\"", "", "referral.toml, line 1: missing field `approver`");
    check_line("  \"stroke\",", "  \"\",", "a service has no name");
    check_line(
        "  \"stroke\",",
        "  \"neurology\",",
        "the service \"neurology\" stands twice in services",
    );
    check_line(
        "normal = \"none\"",
        "normal = \"normal\"",
        "unknown variant `normal`, expected one of `none`, `low`, `medium`, `high`",
    );
    check_line(
        "reason = \"Recommended by the model.\"",
        "reason = \"?\"",
        "the reason \"?\" is no sentence; end it with a full stop",
    );
    check_line(
        "urgency = \"routine\"\nreason",
        "urgency = \"now\"\nreason",
        "unknown variant `now`, expected one of `routine`, `soon`, `urgent`, `emergency`",
    );
    check_line("[label.cyst_colloid_cyst]", "[label.cyst_arachnoid_cyst]", "duplicate key");
}

#[test]
fn a_bad_rule_is_refused_with_its_line() {
    check_line(
        "raise = { margin = 1.0, acuity = \"high\" }",
        "raise = { margin = 0, acuity = \"high\" }",
        "raise.margin is 0; it must be above 0 and at most 20",
    );
    check_line(
        "raise = { margin = 1.0, acuity = \"high\" }",
        "raise = { margin = nan, acuity = \"high\" }",
        "raise.margin is NaN; it must be above 0 and at most 20",
    );
    check_line(
        "raise = { margin = 1.0, acuity = \"high\" }",
        "raise = { margin = 1.0, acuity = \"medium\" }",
        "raise.acuity is medium; it must be above the label's own, medium",
    );
    check_line(
        "{ service = \"stroke\"",
        "{ service = \"strokes\"",
        "the service \"strokes\" is not in services; add it there or correct it",
    );
    check_line(
        "reason = \"Intracranial haemorrhage can grow within hours.\"",
        "reason = \"Bad\"",
        "the reason \"Bad\" is no sentence; end it with a full stop",
    );
    check_line(
        "labels = [\"structural_mass_effect\", \"structural_midline_shift\"]",
        "labels = [\"structural_mass_effect\"]",
        "a combination needs two or more labels, each once",
    );
    check_line(
        "labels = [\"structural_mass_effect\", \"structural_midline_shift\"]",
        "labels = [\"spine_syrinx\", \"spine_syrinx\"]",
        "a combination needs two or more labels, each once",
    );
    check_line(
        "labels = [\"structural_mass_effect\", \"structural_midline_shift\"]",
        "labels = [\"spine_syrinx\", \"mass\"]",
        "the combination names \"mass\", but there is no [label.mass]",
    );
    check_line(
        "[[combination]]",
        "[[combinations]]",
        &format!("unknown field `combinations`, {TOP_FIELDS}"),
    );
    check_bad(
        "[label.spine_syrinx]",
        "[label.spine_syrnix]",
        "referral.toml has no rule for the diagnosis spine_syrinx; add [label.spine_syrinx]",
    );
    let error = Rules::open("no/such/file.toml".as_ref()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the referral rules no/such/file.toml");
}
