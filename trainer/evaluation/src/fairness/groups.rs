//! Who belongs to which group.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::set::{Set, Study};

/// The attribute that is no group of a study but its true acuity, by the name of the class.
pub const ACUITY: &str = "acuity";

/// Studies that share an attribute, or several: an intersection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Attribute to value.
    pub of: BTreeMap<String, String>,
    /// Its studies.
    pub studies: usize,
    /// Their patients.
    pub patients: usize,
}

impl Group {
    /// The group as people say it: "female, rural".
    #[must_use]
    pub fn title(&self) -> String {
        self.of.values().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// A group and the indices of its studies.
pub(super) struct Members {
    pub(super) group: Group,
    pub(super) studies: Vec<usize>,
}

/// What a study has of an attribute; `None` where it is not known.
pub(super) fn value<'a>(set: &'a Set, study: &'a Study, attribute: &str) -> Option<&'a str> {
    match study.groups.get(attribute) {
        Some(value) => Some(value),
        None if attribute == ACUITY => {
            study.truth.acuity.map(|class| set.header.acuity[class].as_str())
        }
        None => None,
    }
}

/// Attributes that at least one study has.
pub(super) fn known(set: &Set) -> BTreeSet<&str> {
    set.studies.iter().flat_map(|study| study.groups.keys()).map(String::as_str).collect()
}

/// Every group that the attributes make together, in the order of their values. A study of which
/// one attribute is not known belongs to none.
pub(super) fn divide(set: &Set, attributes: &[String]) -> Vec<Members> {
    let mut groups: BTreeMap<Vec<&str>, Vec<usize>> = BTreeMap::new();
    for (index, study) in set.studies.iter().enumerate() {
        let values = attributes.iter().map(|attribute| value(set, study, attribute)).collect();
        if let Some(values) = values {
            groups.entry(values).or_default().push(index);
        }
    }
    let patients = patients(set);
    let groups = groups.into_iter().map(|(values, studies)| {
        let named = attributes.iter().zip(values);
        let of = named.map(|(attribute, value)| (attribute.clone(), value.to_owned())).collect();
        let different: BTreeSet<usize> = studies.iter().map(|study| patients[*study]).collect();
        let group = Group { of, studies: studies.len(), patients: different.len() };
        Members { group, studies }
    });
    groups.collect()
}

/// The patient of every study, numbered from 0 in the order of their first study.
pub(super) fn patients<'a>(set: &'a Set) -> Vec<usize> {
    let mut numbers: HashMap<&'a str, usize> = HashMap::new();
    let number = |study: &'a Study| {
        let next = numbers.len();
        *numbers.entry(&study.patient).or_insert(next)
    };
    set.studies.iter().map(number).collect()
}
