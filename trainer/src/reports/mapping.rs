//! What the diagnoses of a study mean: its acuity and the services that should see the patient,
//! from `firmware-config/referral.toml`, the same table the appliance applies to scores.
//!
//! Labels are yes or no, so `raise` (a higher acuity far above a threshold) has no meaning here
//! and is passed over, as are urgencies; the combinations count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use models::labels::DIAGNOSES;
use serde::Deserialize;

use crate::cohort::record::Acuity;

const BUILT_IN: &str = include_str!("../../../firmware-config/referral.toml");
const FORMAT_VERSION: u32 = 1;

/// Services of neurology in the shipped table: ours, because the list of the published study is
/// not public.
pub const NEUROLOGY: [&str; 7] = [
    "neurology",
    "stroke",
    "epilepsy",
    "neuroimmunology",
    "neuro-oncology",
    "memory clinic",
    "paediatric neurology",
];

/// Services of neurosurgery in the shipped table: ours as well.
pub const NEUROSURGERY: [&str; 6] = [
    "neurosurgery",
    "vascular neurosurgery",
    "skull base and pituitary surgery",
    "neurosurgical oncology",
    "csf and spine surgery",
    "paediatric neurosurgery",
];

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The file cannot be read.
    #[error("cannot read the referral table {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no table of this form.
    #[error("{file}: {message}")]
    Format {
        /// The file.
        file: String,
        /// What was found, and what to do.
        message: String,
    },
}

/// The table of a site.
#[derive(Clone, Debug)]
pub struct ReferralTable {
    services: Vec<String>,
    /// One per diagnosis.
    labels: Vec<Consequence>,
    combinations: Vec<(Vec<usize>, Consequence)>,
}

/// What a diagnosis or a combination means.
#[derive(Clone, Debug)]
struct Consequence {
    acuity: Acuity,
    /// Index of the services.
    service: Option<usize>,
}

/// The parts of the file that labels need; the appliance checks the rest.
#[derive(Deserialize)]
struct Raw {
    format_version: u32,
    services: Vec<String>,
    label: BTreeMap<String, RawLabel>,
    #[serde(default)]
    combination: Vec<RawCombination>,
}

#[derive(Deserialize)]
struct RawLabel {
    acuity: Acuity,
    referral: Option<RawReferral>,
}

#[derive(Deserialize)]
struct RawCombination {
    labels: Vec<String>,
    acuity: Acuity,
    referral: RawReferral,
}

#[derive(Deserialize)]
struct RawReferral {
    service: String,
}

impl ReferralTable {
    /// The table that is built in. It was approved by nobody.
    ///
    /// # Errors
    ///
    /// Never in a build that passed its tests.
    pub fn built_in() -> Result<Self, MappingError> {
        Self::parse(BUILT_IN, "referral.toml (built in)")
    }

    /// The table of a site.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or lacks something that labels need.
    pub fn load(path: &Path) -> Result<Self, MappingError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| MappingError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// A table from its text; `file` is what messages call it.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn parse(text: &str, file: &str) -> Result<Self, MappingError> {
        let wrong = |message: String| MappingError::Format { file: file.to_owned(), message };
        let raw: Raw = toml::from_str(text)
            .map_err(|error| wrong(error.to_string().trim_end().replace('\n', " ")))?;
        let format = raw.format_version;
        if format != FORMAT_VERSION {
            return Err(wrong(format!(
                "format_version is {format}; this program reads {FORMAT_VERSION}"
            )));
        }
        let service = |referral: &RawReferral| {
            let name = &referral.service;
            raw.services.iter().position(|known| known == name).ok_or_else(|| {
                wrong(format!(
                    "the service {name:?} is not in services; add it there or correct it"
                ))
            })
        };
        let labels = DIAGNOSES.iter().map(|name| {
            let rule = raw.label.get(*name).ok_or_else(|| {
                wrong(format!("no rule for the diagnosis {name}; add [label.{name}]"))
            })?;
            let service = rule.referral.as_ref().map(service).transpose()?;
            Ok(Consequence { acuity: rule.acuity, service })
        });
        let combinations = raw.combination.iter().map(|rule| {
            let labels = rule.labels.iter().map(|name| {
                DIAGNOSES.iter().position(|known| known == name).ok_or_else(|| {
                    wrong(format!(
                        "a combination names {name:?}, which is no diagnosis; correct it"
                    ))
                })
            });
            let service = Some(service(&rule.referral)?);
            Ok((labels.collect::<Result<_, _>>()?, Consequence { acuity: rule.acuity, service }))
        });
        let labels = labels.collect::<Result<_, MappingError>>()?;
        let combinations = combinations.collect::<Result<_, MappingError>>()?;
        Ok(Self { labels, combinations, services: raw.services })
    }

    /// Every service of the table, in its order: one referral head each.
    #[must_use]
    pub fn services(&self) -> &[String] {
        &self.services
    }

    /// Acuity of a study with these diagnoses (one per entry of [`DIAGNOSES`]): the highest that
    /// a diagnosis or a combination gives.
    #[must_use]
    pub fn acuity(&self, diagnoses: &[bool]) -> Acuity {
        self.consequences(diagnoses).map(|c| c.acuity).max().unwrap_or(Acuity::None)
    }

    /// Services that should see the patient, each once, in the order of the table.
    #[must_use]
    pub fn referrals(&self, diagnoses: &[bool]) -> Vec<String> {
        let mut wanted = vec![false; self.services.len()];
        for service in self.consequences(diagnoses).filter_map(|c| c.service) {
            if let Some(wanted) = wanted.get_mut(service) {
                *wanted = true;
            }
        }
        let named = self.services.iter().zip(wanted).filter(|(_, wanted)| *wanted);
        named.map(|(service, _)| service.clone()).collect()
    }

    fn consequences<'a>(&'a self, diagnoses: &'a [bool]) -> impl Iterator<Item = &'a Consequence> {
        let found = |label: &usize| diagnoses.get(*label).copied().unwrap_or(false);
        let single = self.labels.iter().zip(diagnoses).filter(|(_, found)| **found);
        let combined = self.combinations.iter().filter(move |(labels, _)| labels.iter().all(found));
        single.map(|(consequence, _)| consequence).chain(combined.map(|(_, c)| c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagnoses_become_acuity_and_referrals() {
        let table = ReferralTable::built_in().unwrap();
        let check = |labels: &str, acuity, referrals: &[&str]| {
            let given: Vec<_> = labels.split_whitespace().collect();
            let diagnoses: Vec<_> = DIAGNOSES.iter().map(|name| given.contains(name)).collect();
            assert_eq!(diagnoses.iter().filter(|d| **d).count(), given.len(), "{labels}");
            assert_eq!(table.acuity(&diagnoses), acuity, "{labels}");
            assert_eq!(table.referrals(&diagnoses), referrals, "{labels}");
        };
        check("", Acuity::None, &[]);
        // The examples of the paper.
        check("trauma_subdural_hematoma", Acuity::High, &["neurosurgery"]);
        check("cyst_arachnoid_cyst", Acuity::Low, &["neurosurgery"]);
        check("inflammatory_multiple_sclerosis", Acuity::Medium, &["neuroimmunology"]);
        check("surgical_craniotomy", Acuity::None, &[]);
        check(
            "vascular_malformation_cavernoma vascular_ischemic_small_vessel_disease",
            Acuity::Low,
            &["vascular neurosurgery", "primary care"],
        );
        check("surgical_catheter ventricular_ventriculomegaly", Acuity::High, &["neurosurgery"]);
        check(
            "tumor_adult_glioma structural_midline_shift",
            Acuity::High,
            &["neurosurgery", "neurosurgical oncology"],
        );
    }

    #[test]
    fn the_shipped_table_has_our_services_and_every_one_is_used() {
        let table = ReferralTable::built_in().unwrap();
        let used = table.referrals(&[true; DIAGNOSES.len()]);
        assert_eq!(used, table.services());
        for service in NEUROLOGY.iter().chain(&NEUROSURGERY) {
            assert!(used.iter().any(|known| known == service), "{service}");
        }
    }

    #[test]
    fn a_bad_table_is_refused() {
        let check = |from: &str, to: &str, expected: &str| {
            let text = BUILT_IN.replacen(from, to, 1);
            assert_ne!(text, BUILT_IN, "{from}");
            let error = ReferralTable::parse(&text, "referral.toml").unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check(
            "format_version = 1",
            "format_version = 2",
            "referral.toml: format_version is 2; this program reads 1",
        );
        check(
            "[label.spine_syrinx]",
            "[label.spine_syrnix]",
            "referral.toml: no rule for the diagnosis spine_syrinx; add [label.spine_syrinx]",
        );
        check(
            "service = \"stroke\"",
            "service = \"strokes\"",
            "referral.toml: the service \"strokes\" is not in services; add it there or correct it",
        );
        check(
            "labels = [\"structural_mass_effect\"",
            "labels = [\"mass\"",
            "referral.toml: a combination names \"mass\", which is no diagnosis; correct it",
        );
        let error = ReferralTable::load("no/such.toml".as_ref()).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the referral table no/such.toml");
    }
}
