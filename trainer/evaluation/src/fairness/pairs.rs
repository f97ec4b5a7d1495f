//! What disparities are counted over: pairs of a study and a diagnosis.

use serde::{Deserialize, Serialize};

use super::groups::patients;
use crate::set::Set;

/// Which of the two rates of equalised odds (paper, eq. 15 and 16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// Share of the diagnoses that are there which the model calls: a low one does harm.
    TruePositive,
    /// Share of the diagnoses that are not there which the model calls: a high one does harm.
    FalsePositive,
}

/// Diagnoses that are taken together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// As people call them.
    pub name: String,
    /// Names of outputs, [`crate::set::Output::name`].
    pub diagnoses: Vec<String>,
}

/// Decisions of the model on a set, from images alone.
pub(super) struct Decisions {
    diagnoses: usize,
    /// By study, then diagnosis.
    there: Vec<bool>,
    called: Vec<bool>,
    /// The patient of every study, from 0.
    pub(super) patients: Vec<usize>,
}

impl Decisions {
    /// At the operating points of the set.
    pub(super) fn of(set: &Set) -> Self {
        let outputs = &set.header.diagnoses;
        let mut there = vec![false; set.studies.len() * outputs.len()];
        let mut called = Vec::with_capacity(there.len());
        for (study, of) in set.studies.iter().enumerate() {
            of.truth.diagnoses.iter().for_each(|d| there[study * outputs.len() + d] = true);
            called.extend(
                outputs.iter().zip(&of.scores.diagnosis).map(|(o, logit)| *logit >= o.threshold),
            );
        }
        Self { diagnoses: outputs.len(), there, called, patients: patients(set) }
    }

    pub(super) fn studies(&self) -> usize {
        self.patients.len()
    }
}

/// The pairs that one rate is a share of.
pub(super) struct Pairs<'a> {
    pub(super) decisions: &'a Decisions,
    pub(super) rate: Rate,
    /// What the scope is called, and its outputs.
    pub(super) scope: &'a str,
    pub(super) diagnoses: &'a [usize],
    /// Studies of the pairs, by diagnosis; empty outside the scope.
    pub(super) studies: Vec<Vec<usize>>,
    /// Share that the model calls, by diagnosis; not a number without pairs.
    pub(super) called: Vec<f64>,
}

impl<'a> Pairs<'a> {
    pub(super) fn of(
        decisions: &'a Decisions,
        rate: Rate,
        (scope, diagnoses): &'a (String, Vec<usize>),
    ) -> Self {
        let nothing = vec![Vec::new(); decisions.diagnoses];
        let called = Vec::new();
        let mut pairs = Self { decisions, rate, scope, diagnoses, studies: nothing, called };
        for study in 0..decisions.studies() {
            for (diagnosis, _) in pairs.in_study(study).collect::<Vec<_>>() {
                pairs.studies[diagnosis].push(study);
            }
        }
        let share = |(diagnosis, studies): (usize, &Vec<usize>)| {
            let called = studies.iter().filter(|study| pairs.is_called(**study, diagnosis));
            called.count() as f64 / studies.len() as f64
        };
        pairs.called = pairs.studies.iter().enumerate().map(share).collect();
        pairs
    }

    /// Diagnoses of the pairs of a study, and whether the model calls them.
    pub(super) fn in_study(&self, study: usize) -> impl Iterator<Item = (usize, bool)> + use<'a> {
        let (decisions, there) = (self.decisions, self.rate == Rate::TruePositive);
        let first = study * decisions.diagnoses;
        let counts = move |diagnosis: &&usize| decisions.there[first + **diagnosis] == there;
        let called = move |diagnosis: &usize| (*diagnosis, decisions.called[first + diagnosis]);
        self.diagnoses.iter().filter(counts).map(called)
    }

    pub(super) fn is_called(&self, study: usize, diagnosis: usize) -> bool {
        self.decisions.called[study * self.decisions.diagnoses + diagnosis]
    }

    /// The rate of all studies (paper, eq. 18).
    pub(super) fn rate_of_all(&self) -> f64 {
        let counted = self.studies.iter().zip(&self.called).filter(|(s, _)| !s.is_empty());
        let (called, pairs) = counted.fold((0.0, 0.0), |(called, pairs), (studies, share)| {
            let count = studies.len() as f64;
            (called + share * count, pairs + count)
        });
        called / pairs
    }
}
