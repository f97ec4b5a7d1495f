//! `labels.toml`: which diagnoses of the model a site shows, and which it withholds. A model's label
//! may do well on average and too badly at one site; who withholds it says so, and why, to everybody
//! who sees a result.

use std::collections::BTreeMap;
use std::path::Path;

use models::labels::display_name;
use models::table::{ClinicalTable, Content, Fault, Head, Written, expect, expect_sentence};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::RulesError;

/// The labels of a site, checked.
#[derive(Clone, Debug)]
pub struct Labels(ClinicalTable<Raw>);

/// A diagnosis that a site withholds, whatever it scored: nobody may take silence about it for
/// "not there".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// As the model spells it.
    pub label: String,
    /// For people.
    pub name: String,
    /// One sentence.
    pub reason: String,
}

/// The file as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format_version: Spanned<u32>,
    version: Spanned<String>,
    date: Spanned<String>,
    approver: String,
    label: BTreeMap<Spanned<String>, Label>,
}

/// What a site does with a diagnosis.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Label {
    category: Spanned<String>,
    finding: Spanned<Use>,
    reason: Option<Spanned<String>>,
}

/// Whether a diagnosis may become a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Use {
    Shown,
    Withheld,
}

impl Labels {
    /// The labels of a site; an empty path stands for those that ship.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or something in it is wrong.
    pub fn open(path: &Path) -> Result<Self, RulesError> {
        Ok(Self(ClinicalTable::open(path)?))
    }

    /// Labels from their text; `file` is what messages call it.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its line.
    pub fn parse(text: &str, file: &str) -> Result<Self, RulesError> {
        Ok(Self(ClinicalTable::parse(text, file)?))
    }

    /// Whether these are the diagnoses of a bundle, each of them and no other.
    ///
    /// # Errors
    ///
    /// The first that the file lacks, else the first that the model does not know.
    pub fn check(&self, diagnoses: &[&str]) -> Result<(), RulesError> {
        diagnoses.iter().try_for_each(|name| self.label(name).map(drop))?;
        let listed = self.0.content().label.keys();
        let mut foreign = listed.filter(|name| !diagnoses.contains(&name.get_ref().as_str()));
        match foreign.next() {
            None => Ok(()),
            Some(name) => {
                let message =
                    format!("the model has no diagnosis {name}; take it out or correct it");
                Err(self.0.wrong(name.span().start, message).into())
            }
        }
    }

    /// Version and approver.
    #[must_use]
    pub fn head(&self) -> &Head {
        self.0.head()
    }

    /// All that are withheld.
    pub(super) fn withheld(&self) -> Vec<Withheld> {
        let listed = self.0.content().label.iter();
        let withheld = listed.filter(|(_, label)| label.is_withheld());
        let described = withheld.map(|(name, label)| Withheld {
            label: name.get_ref().clone(),
            name: display_name(name.get_ref()),
            reason: label.reason.as_ref().map(|r| r.get_ref().clone()).unwrap_or_default(),
        });
        described.collect()
    }

    pub(super) fn label(&self, name: &str) -> Result<&Label, RulesError> {
        let file = || self.0.file().to_owned();
        let label = self.0.content().label.get(name);
        label.ok_or_else(|| RulesError::NotListed { name: name.to_owned(), file: file() })
    }
}

impl Label {
    pub(super) fn is_withheld(&self) -> bool {
        *self.finding.get_ref() == Use::Withheld
    }

    pub(super) fn category(&self) -> &str {
        self.category.get_ref()
    }
}

impl Content for Raw {
    const FILE: &'static str = "labels.toml";
    const WHAT: &'static str = "list of labels";
    const BUILT_IN: &'static str = include_str!("../../../firmware-config/labels.toml");
    const FORMAT_VERSION: u32 = 1;

    fn written(&self) -> Written<'_> {
        let Self { format_version, version, date, approver, .. } = self;
        Written { format_version, version, date, approver }
    }

    fn validate(&self) -> Result<(), Fault> {
        for (name, label) in &self.label {
            expect(
                &label.category,
                |category| !category.trim().is_empty(),
                |_| format!("{name} has an empty category; name one"),
            )?;
            match (&label.reason, label.is_withheld()) {
                (None, false) => {}
                (Some(reason), true) => expect_sentence(reason)?,
                (None, true) => expect(
                    &label.finding,
                    |_| false,
                    |_| format!("{name} is withheld without a reason; add one, in one sentence"),
                )?,
                (Some(reason), false) => expect(
                    reason,
                    |_| false,
                    |_| format!("{name} is shown and needs no reason; take it out or withhold it"),
                )?,
            }
        }
        Ok(())
    }
}
