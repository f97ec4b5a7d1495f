//! The radiologists' vocabulary: TOML tables of templates ([`super::grammar`]), read once.

use std::collections::BTreeMap;

use models::labels::DIAGNOSES;
use serde::Deserialize;

use super::grammar::Template;

/// Fewest ways of saying a diagnosis, in findings and in the impression.
pub(super) const PHRASINGS: usize = 6;

/// Files with one table per diagnosis.
const FILES: [(&str, &str); 5] = [
    ("developmental.toml", include_str!("developmental.toml")),
    ("inflammatory.toml", include_str!("inflammatory.toml")),
    ("structural.toml", include_str!("structural.toml")),
    ("tumours.toml", include_str!("tumours.toml")),
    ("vascular.toml", include_str!("vascular.toml")),
];

/// Why the vocabulary cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PhraseError {
    /// Not the TOML that is expected.
    #[error("{file} cannot be read: {message}")]
    Toml {
        /// Name below `phrases/`.
        file: &'static str,
        /// What and where.
        message: String,
    },
    /// A table or a reference with a name that is no diagnosis.
    #[error(
        "{file} names the diagnosis \"{label}\", which models::labels::DIAGNOSES does not have; correct the name"
    )]
    Unknown {
        /// Name below `phrases/`.
        file: &'static str,
        /// As written.
        label: String,
    },
    /// A diagnosis stands twice.
    #[error("{file} describes {label} once more; keep one table for each diagnosis")]
    Twice {
        /// Name below `phrases/`.
        file: &'static str,
        /// The diagnosis.
        label: String,
    },
    /// A diagnosis has no table.
    #[error("no file below phrases/ describes {label}; add a table for it")]
    Missing {
        /// The diagnosis.
        label: &'static str,
    },
    /// Too little variety.
    #[error("{file}: {label} has {found} entries in \"{list}\", at least {least} are needed")]
    TooFew {
        /// Name below `phrases/`.
        file: &'static str,
        /// The diagnosis.
        label: String,
        /// The key.
        list: &'static str,
        /// Entries there are.
        found: usize,
        /// Entries wanted.
        least: usize,
    },
}

/// Part of the report that a sentence belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Section {
    Parenchyma,
    Ventricles,
    Midline,
    Posterior,
    Vessels,
    Bones,
}

/// How one diagnosis is described.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Diagnosis {
    /// What later sentences call it: "mass".
    pub(super) it: String,
    /// `it` is a plural.
    #[serde(default)]
    pub(super) many: bool,
    /// Signal, and what is *not* seen on diffusion and after contrast, go without saying.
    #[serde(default)]
    pub(super) plain: bool,
    /// Its size is its thickness: the smallest axis.
    #[serde(default)]
    pub(super) thickness: bool,
    pub(super) section: Section,
    /// Words of which an affirmed diagnosis shows at least one, lower case.
    pub(super) terms: Vec<String>,
    /// Names for denying it, without an article.
    pub(super) nouns: Vec<String>,
    /// Diagnoses that a reader would weigh against it.
    #[serde(default)]
    pub(super) rivals: Vec<String>,
    /// Not worth a sentence when it follows from one of these.
    #[serde(default)]
    pub(super) implied_by: Vec<String>,
    pub(super) findings: Vec<Template>,
    pub(super) impression: Vec<Template>,
    /// Noun phrases that join it to the item of its cause: "with ...".
    #[serde(default)]
    pub(super) joined: Vec<Template>,
    pub(super) advice: Vec<Template>,
}

/// Sentences about lesions of any kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Descriptors {
    pub(super) hedges: Vec<Template>,
    pub(super) signal: Vec<Template>,
    pub(super) csf_signal: Vec<Template>,
    pub(super) cystic: Vec<Template>,
    pub(super) blooming: Vec<Template>,
    pub(super) flow_voids: Vec<Template>,
    pub(super) large_count: Vec<Template>,
    pub(super) enhancement: BTreeMap<String, Vec<Template>>,
    pub(super) diffusion: BTreeMap<String, Vec<Template>>,
    pub(super) detail: BTreeMap<String, Vec<Template>>,
    pub(super) incidental: BTreeMap<String, Vec<Template>>,
}

/// What a statement needs to have been acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Need {
    Diffusion,
    Susceptibility,
    Enhancement,
}

/// A statement of normality.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Normal {
    pub(super) section: Section,
    pub(super) needs: Option<Need>,
    /// Labels, or their beginnings, that forbid it.
    pub(super) unless: Vec<String>,
    /// Incidental findings that forbid it.
    #[serde(default)]
    pub(super) without: Vec<String>,
    pub(super) says: Vec<Template>,
}

/// Something to be denied.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Negative {
    pub(super) words: Vec<String>,
    /// Labels, or their beginnings, that forbid it.
    pub(super) unless: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Study {
    pub(super) normal: Vec<Template>,
    pub(super) quality: Vec<Template>,
}

/// What is normal or absent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Normals {
    pub(super) normal: Vec<Normal>,
    pub(super) negative: Vec<Negative>,
    pub(super) study: Study,
}

/// Symptoms that bring patients with some diagnoses, among others.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Complaint {
    /// Labels, or their beginnings.
    pub(super) labels: Vec<String>,
    /// From and up to this age in years.
    #[serde(default = "every_age")]
    pub(super) ages: [f32; 2],
    pub(super) says: Vec<Template>,
}

fn every_age() -> [f32; 2] {
    [0.0, 200.0]
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Generic {
    pub(super) says: Vec<Template>,
    pub(super) history: Vec<Template>,
    /// Label that must be absent, and what was removed.
    pub(super) removed: Vec<[String; 2]>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Comparison {
    pub(super) none: Vec<Template>,
    pub(super) prior: Vec<Template>,
    pub(super) ago: Vec<Template>,
    pub(super) changed: Vec<Template>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Technique {
    pub(super) lead: Vec<Template>,
    pub(super) with: Vec<Template>,
    pub(super) without: Vec<Template>,
}

/// Indication, comparison, technique.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clinic {
    pub(super) complaint: Vec<Complaint>,
    pub(super) generic: Generic,
    pub(super) comparison: Comparison,
    pub(super) technique: Technique,
}

/// The whole vocabulary.
#[derive(Clone, Debug)]
pub(super) struct Phrases {
    /// In the order of [`DIAGNOSES`].
    pub(super) diagnoses: Vec<Diagnosis>,
    pub(super) descriptors: Descriptors,
    pub(super) normals: Normals,
    pub(super) clinic: Clinic,
}

impl Phrases {
    pub(super) fn load() -> Result<Self, PhraseError> {
        let tables = FILES
            .into_iter()
            .map(|(file, text)| Ok((file, read(file, text)?)))
            .collect::<Result<Vec<_>, PhraseError>>()?;
        Ok(Self {
            diagnoses: collect(tables)?,
            descriptors: read("descriptors.toml", include_str!("descriptors.toml"))?,
            normals: read("normal.toml", include_str!("normal.toml"))?,
            clinic: read("clinic.toml", include_str!("clinic.toml"))?,
        })
    }

    /// The diagnosis with its place in [`DIAGNOSES`].
    pub(super) fn named(&self, label: &str) -> Option<(usize, &Diagnosis)> {
        let index = DIAGNOSES.iter().position(|&known| known == label)?;
        Some((index, &self.diagnoses[index]))
    }
}

fn read<T: serde::de::DeserializeOwned>(file: &'static str, text: &str) -> Result<T, PhraseError> {
    toml::from_str(text)
        .map_err(|error| PhraseError::Toml { file, message: error.to_string().trim().to_owned() })
}

/// Checks the tables and puts them into the order of [`DIAGNOSES`].
fn collect(
    files: Vec<(&'static str, BTreeMap<String, Diagnosis>)>,
) -> Result<Vec<Diagnosis>, PhraseError> {
    let mut all = BTreeMap::new();
    for (file, tables) in files {
        for (label, diagnosis) in tables {
            check(file, &label, &diagnosis)?;
            if all.contains_key(&label) {
                return Err(PhraseError::Twice { file, label });
            }
            all.insert(label, diagnosis);
        }
    }
    DIAGNOSES.iter().map(|&label| all.remove(label).ok_or(PhraseError::Missing { label })).collect()
}

fn check(file: &'static str, label: &str, diagnosis: &Diagnosis) -> Result<(), PhraseError> {
    let named = diagnosis.rivals.iter().chain(&diagnosis.implied_by).map(String::as_str);
    for name in named.chain([label]) {
        if !DIAGNOSES.contains(&name) {
            return Err(PhraseError::Unknown { file, label: name.to_owned() });
        }
    }
    let lists = [
        ("findings", diagnosis.findings.len(), PHRASINGS),
        ("impression", diagnosis.impression.len(), PHRASINGS),
        ("terms", diagnosis.terms.len(), 1),
        ("nouns", diagnosis.nouns.len(), 1),
        ("advice", diagnosis.advice.len(), 1),
    ];
    for (list, found, least) in lists {
        if found < least {
            return Err(PhraseError::TooFew { file, label: label.to_owned(), list, found, least });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAVERNOMA: &str = r#"
        [vascular_malformation_cavernoma]
        it = "lesion"
        section = "parenchyma"
        terms = ["cavernoma"]
        nouns = ["cavernoma"]
        findings = ["A lesion."]
        impression = ["Cavernoma."]
        advice = ["Follow-up."]
    "#;

    fn error(text: &str) -> String {
        let tables = read("some.toml", text).map(|tables| vec![("some.toml", tables)]);
        tables.and_then(collect).unwrap_err().to_string()
    }

    #[test]
    fn every_diagnosis_has_its_phrasings() {
        let phrases = Phrases::load().unwrap();
        assert_eq!(phrases.diagnoses.len(), 52);
        for (label, diagnosis) in DIAGNOSES.iter().zip(&phrases.diagnoses) {
            assert!(diagnosis.findings.len() >= PHRASINGS, "{label}");
            assert!(diagnosis.impression.len() >= PHRASINGS, "{label}");
            assert!(diagnosis.terms.iter().all(|t| *t == t.to_lowercase()), "{label}");
        }
    }

    #[test]
    fn bad_tables_are_refused() {
        let six = format!("[{}]", ["\"A.\""; 6].join(","));
        let enough = CAVERNOMA.replace("[\"A lesion.\"]", &six).replace("[\"Cavernoma.\"]", &six);
        let cases = [
            (
                CAVERNOMA.to_owned(),
                "some.toml: vascular_malformation_cavernoma has 1 entries in \"findings\", at least 6 are needed",
            ),
            (
                CAVERNOMA.replace("cavernoma]", "cavernom]"),
                "some.toml names the diagnosis \"vascular_malformation_cavernom\", which models::labels::DIAGNOSES does not have; correct the name",
            ),
            (enough, "no file below phrases/ describes cyst_arachnoid_cyst; add a table for it"),
        ];
        for (text, expected) in cases {
            assert_eq!(error(&text), expected);
        }
        let message = error(&CAVERNOMA.replace("A lesion.", "A {lesion}."));
        assert!(message.starts_with("some.toml cannot be read: TOML parse error at line 7"));
        assert!(message.contains("names the slot {lesion}, which does not exist"), "{message}");
    }

    #[test]
    fn forbidding_labels_exist() {
        let phrases = Phrases::load().unwrap();
        let starts = phrases
            .normals
            .normal
            .iter()
            .flat_map(|n| &n.unless)
            .chain(phrases.normals.negative.iter().flat_map(|n| &n.unless))
            .chain(phrases.clinic.complaint.iter().flat_map(|c| &c.labels));
        for start in starts {
            assert!(DIAGNOSES.iter().any(|label| label.starts_with(start)), "{start}");
        }
    }
}
