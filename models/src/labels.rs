//! The labels of the published model.
//!
//! Names are spelled as the published checkpoint spells them, including the misspelling in
//! `vascular_hemorrhagic_subarachnoid_hemorrahage`; [`display_name`] is what people see.

/// The 52 diagnoses in the order of the published heads.
pub const DIAGNOSES: [&str; 52] = [
    "cyst_arachnoid_cyst",
    "cyst_colloid_cyst",
    "developmental_dandy_walker_malformation",
    "developmental_dysgenesis_corpus_callosum",
    "developmental_heterotopia",
    "infectious_brain_abscess",
    "infectious_viral_encephalitis",
    "inflammatory_multiple_sclerosis",
    "inflammatory_neurosarcoid",
    "sellar_craniopharyngioma",
    "sellar_pituitary_adenoma",
    "sellar_rathkes_cleft_cyst",
    "spine_syrinx",
    "structural_brain_herniation",
    "structural_cephaloceles",
    "structural_cerebral_atrophy",
    "structural_chiari_malformation",
    "structural_edema",
    "structural_encephalomalacia",
    "structural_mass_effect",
    "structural_midline_shift",
    "surgical_catheter",
    "surgical_craniotomy",
    "surgical_resection_cavity",
    "trauma_brain_contusion",
    "trauma_diffuse_axonal_injury",
    "trauma_subdural_hematoma",
    "tumor_adult_brain_metastasis",
    "tumor_adult_glioma",
    "tumor_adult_high_grade_glioma",
    "tumor_adult_low_grade_glioma",
    "tumor_adult_lymphoma",
    "tumor_adult_meningioma",
    "tumor_adult_pineal_tumor",
    "tumor_adult_schwannoma",
    "tumor_pediatric_brainstem_glioma",
    "tumor_pediatric_ependymoma",
    "tumor_pediatric_germ_cell_tumor",
    "tumor_pediatric_medulloblastoma",
    "tumor_pediatric_pilocytic_astrocytoma",
    "vascular_hemorrhagic_intracranial_hemorrhage",
    "vascular_hemorrhagic_intraventricular_hemorrhage",
    "vascular_hemorrhagic_subarachnoid_hemorrahage",
    "vascular_ischemic_lacunar_stroke",
    "vascular_ischemic_large_vessel_stroke",
    "vascular_ischemic_moyamoya",
    "vascular_ischemic_small_vessel_disease",
    "vascular_malformation_arteriovenous_malformation",
    "vascular_malformation_cavernoma",
    "vascular_malformation_cerebral_aneurysm",
    "ventricular_intracranial_hypotension",
    "ventricular_ventriculomegaly",
];

/// Label families that stand at the front of a diagnosis name, longest first.
const FAMILIES: [&str; 15] = [
    "vascular_hemorrhagic_",
    "vascular_malformation_",
    "vascular_ischemic_",
    "tumor_pediatric_",
    "tumor_adult_",
    "developmental_",
    "inflammatory_",
    "ventricular_",
    "infectious_",
    "structural_",
    "surgical_",
    "sellar_",
    "trauma_",
    "spine_",
    "cyst_",
];

/// Categories of diagnoses for people, in the order of [`FAMILIES`].
const CATEGORIES: [&str; 15] = [
    "haemorrhage",
    "vascular malformation",
    "ischaemia",
    "tumour, paediatric",
    "tumour, adult",
    "developmental",
    "inflammatory",
    "ventricular",
    "infectious",
    "structural",
    "surgical",
    "sellar",
    "trauma",
    "spine",
    "cyst",
];

/// The category of a diagnosis, for people; empty for a name that is none of [`DIAGNOSES`].
#[must_use]
pub fn category(label: &str) -> &'static str {
    let family = FAMILIES.iter().position(|family| label.starts_with(family));
    family.map_or("", |family| CATEGORIES[family])
}

/// Classes of the priority head by their number (specification §10).
#[must_use]
pub fn priority_classes(count: usize) -> Option<&'static [&'static str]> {
    match count {
        3 => Some(&["none", "low", "high"]),
        4 => Some(&["none", "low", "medium", "high"]),
        _ => None,
    }
}

/// A label for people: without its family, in words.
#[must_use]
pub fn display_name(label: &str) -> String {
    let (family, short) = FAMILIES
        .iter()
        .find_map(|family| Some((*family, label.strip_prefix(family)?)))
        .unwrap_or(("", label));
    let words = short.replace("hemorrahage", "hemorrhage").replace('_', " ");
    if family == "tumor_pediatric_" { format!("{words} (paediatric)") } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_well() {
        assert_eq!(
            display_name("vascular_hemorrhagic_subarachnoid_hemorrahage"),
            "subarachnoid hemorrhage"
        );
        assert_eq!(display_name("tumor_pediatric_ependymoma"), "ependymoma (paediatric)");
        assert_eq!(category("tumor_pediatric_ependymoma"), "tumour, paediatric");
        assert_eq!(display_name("placeholder_referral_0"), "placeholder referral 0");
    }

    #[test]
    fn every_label_belongs_to_a_family_and_stands_once() {
        let mut seen = DIAGNOSES.to_vec();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 52);
        assert!(DIAGNOSES.iter().all(|l| FAMILIES.iter().any(|f| l.starts_with(f))));
    }
}
