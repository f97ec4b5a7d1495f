//! The clinical tables of a site together: what its results rest on besides the model.

use std::path::Path;

use models::dicom::select::Selection;
use models::table::Head;

use super::{Labels, Rules, RulesError};

/// The clinical tables of a site, checked.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Which diagnoses are shown.
    pub labels: Labels,
    /// What they mean.
    pub referral: Rules,
    /// Which series the model sees.
    pub selection: Selection,
}

impl Tables {
    /// Labels, referral rules and series selection of a site; an empty path stands for the table
    /// that ships.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or something in it is wrong.
    pub fn open([labels, referral, selection]: [&Path; 3]) -> Result<Self, RulesError> {
        Ok(Self {
            labels: Labels::open(labels)?,
            referral: Rules::open(referral)?,
            selection: Selection::open(selection)?,
        })
    }

    /// Whether they fit a bundle: names of its diagnoses, and of the classes of its priority head.
    ///
    /// # Errors
    ///
    /// The first label or class that a table lacks, or that the bundle does.
    pub fn check(&self, diagnoses: &[&str], classes: &[&str]) -> Result<(), RulesError> {
        self.labels.check(diagnoses)?;
        self.referral.check(diagnoses, classes)
    }

    /// Each by the name of the file that ships.
    #[must_use]
    pub fn heads(&self) -> [(&'static str, &Head); 3] {
        [
            ("labels.toml", self.labels.head()),
            ("referral.toml", self.referral.head()),
            ("series-selection.toml", self.selection.head()),
        ]
    }
}
