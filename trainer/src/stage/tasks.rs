//! What heads are trained for: the outputs in their order, and their targets.

use models::labels::DIAGNOSES;
use serde::{Deserialize, Serialize};

use crate::cohort::record::{Acuity, StudyLabels};
use crate::cohort::{Cohort, CohortError};

/// Names of the acuity classes in the order of their outputs.
pub const CLASSES: [&str; 4] = ["none", "low", "medium", "high"];

/// Outputs of a shared head: diagnoses, then services, then acuity classes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tasks {
    /// Services that studies are referred to.
    pub services: Vec<String>,
}

/// Targets of one study.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets {
    /// Diagnoses, then services: 0 or 1, NaN where nobody knows.
    pub binary: Vec<f32>,
    /// Index of [`CLASSES`].
    pub class: usize,
    /// Age in years, where it is known.
    pub age: Option<f32>,
}

impl Tasks {
    /// The services that any study of the cohort is referred to, in alphabetical order.
    #[must_use]
    pub fn of(cohort: &Cohort) -> Self {
        let mut services: Vec<String> =
            cohort.labels.values().flat_map(|l| l.referrals.iter().cloned()).collect();
        services.sort();
        services.dedup();
        Self { services }
    }

    /// Yes-or-no outputs.
    #[must_use]
    pub fn binary(&self) -> usize {
        DIAGNOSES.len() + self.services.len()
    }

    /// All outputs.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.binary() + CLASSES.len()
    }

    /// Names of the yes-or-no outputs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        DIAGNOSES.into_iter().chain(self.services.iter().map(String::as_str))
    }

    /// Targets of a study of the cohort.
    ///
    /// # Errors
    ///
    /// When it has no labels.
    pub fn targets(&self, cohort: &Cohort, id: &str) -> Result<Targets, CohortError> {
        let labels = cohort.labels(id)?;
        let record = cohort.records.iter().find(|record| record.id == id);
        let age = record.and_then(|record| record.demographics.age_years);
        Ok(self.targets_of(labels, age))
    }

    fn targets_of(&self, labels: &StudyLabels, age: Option<f32>) -> Targets {
        let float = |yes: bool| f32::from(u8::from(yes));
        let diagnoses = labels.diagnoses.iter().map(|yes| float(*yes));
        let services = self.services.iter().map(|s| float(labels.referrals.contains(s)));
        Targets { binary: diagnoses.chain(services).collect(), class: class(labels.acuity), age }
    }
}

/// Output of an acuity.
#[must_use]
pub fn class(acuity: Acuity) -> usize {
    match acuity {
        Acuity::None => 0,
        Acuity::Low => 1,
        Acuity::Medium => 2,
        Acuity::High => 3,
    }
}
