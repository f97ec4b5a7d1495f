//! Differences in true and false positive rates between a group and all studies.
//!
//! **What is counted.** A study may show several diagnoses, so a rate is a share of pairs of a
//! study and a diagnosis: for the true positive rate the diagnoses that are there, for the false
//! positive rate those that are not. The model calls a diagnosis when its logit reaches the
//! operating point.
//!
//! **Matched by diagnosis.** Some diagnoses are harder than others, and groups differ in what they
//! have. The rate of all studies is therefore taken at the group's mix of diagnoses: for each pair
//! of the group the rate of all studies with the same diagnosis. The disparity is the group's rate
//! less this one; it is what the paper's resampling ([`super::resampled`]) estimates.
//!
//! **Interval.** The disparity is the group's mean of `called - rate of all for the diagnosis`. Its
//! variance is that of the influence function, which also knows that the group is a part of all
//! studies, summed by patient; or the variance that a fair model with independent pairs would
//! have, where that is larger: a group whose every pair is called has no variance of its own, but
//! is not known exactly.
//!
//! **Verdict.** A difference of at least 0.1 matters clinically (paper, Extended Data Fig. 10). A
//! group is treated unfairly when its disparity is that large *and* differs from 0 at 5 % after
//! Holm's correction over every comparison of the report; fairly when the whole interval is nearer
//! to 0; and else there are too few studies to say.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use statistics::distribution::{Z95, normal_two_sided};
use statistics::multiple::holm;

use super::Settings;
use super::groups::{Group, Members};
use super::pairs::{Pairs, Rate};
use super::resampled::{Resampled, resample};

/// Share of fair reports that may call any group unfairly treated.
const SIGNIFICANCE: f64 = 0.05;
/// A disparity below is none: the group has every pair, or all pairs of a diagnosis are alike.
const ROUNDING: f64 = 1e-12;

/// A rate of a group beside that of all studies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disparity {
    /// Diagnoses that are counted.
    pub scope: String,
    /// Which rate.
    pub rate: Rate,
    /// Who.
    pub group: Group,
    /// Pairs of the group.
    pub pairs: usize,
    /// Its patients with a pair.
    pub patients: usize,
    /// The group's rate (paper, eq. 17).
    pub in_group: f64,
    /// The rate of all studies (paper, eq. 18).
    pub in_all: f64,
    /// The rate of all studies at the group's mix of diagnoses.
    pub in_all_matched: f64,
    /// `in_group - in_all_matched`.
    pub disparity: f64,
    /// Lower end of its 95 % interval.
    pub lower: f64,
    /// Upper end of its 95 % interval.
    pub upper: f64,
    /// Two-sided p of no disparity.
    pub p: f64,
    /// The same after Holm's correction.
    pub p_holm: f64,
    /// What follows.
    pub verdict: Verdict,
    /// The paper's experiment.
    pub resampled: Resampled,
}

/// What a disparity means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Large and beyond chance.
    Unfair,
    /// Surely small.
    Fair,
    /// Too few studies to say.
    Undecided,
}

impl Disparity {
    /// Of a group, before any correction; else why it cannot be judged.
    pub(super) fn of(
        pairs: &Pairs<'_>,
        members: &Members,
        settings: &Settings,
        stream: u64,
    ) -> Result<Self, String> {
        let found = Estimate::of(pairs, members);
        if found.patients < settings.least_patients.max(2) {
            let rate = match pairs.rate {
                Rate::TruePositive => "with a diagnosis",
                Rate::FalsePositive => "without a diagnosis",
            };
            return Err(format!(
                "{}, {}: {} patients {rate}; a judgement needs {}",
                members.group.title(),
                pairs.scope,
                found.patients,
                settings.least_patients.max(2)
            ));
        }
        let Estimate { disparity, error, .. } = found;
        Ok(Self {
            scope: pairs.scope.to_owned(),
            rate: pairs.rate,
            group: members.group.clone(),
            pairs: found.pairs,
            patients: found.patients,
            in_group: found.in_group,
            in_all: pairs.rate_of_all(),
            in_all_matched: found.in_group - disparity,
            disparity,
            lower: (disparity - Z95 * error).max(-1.0),
            upper: (disparity + Z95 * error).min(1.0),
            p: if disparity.abs() < ROUNDING { 1.0 } else { normal_two_sided(disparity / error) },
            p_holm: 1.0,
            verdict: Verdict::Undecided,
            resampled: resample(pairs, members, settings.resampling, stream),
        })
    }

    fn verdict(&self, matters: f64) -> Verdict {
        if self.disparity.abs() >= matters && self.p_holm < SIGNIFICANCE {
            Verdict::Unfair
        } else if self.lower > -matters && self.upper < matters {
            Verdict::Fair
        } else {
            Verdict::Undecided
        }
    }
}

/// Corrects both families of p-values, and gives every verdict; `matters` is the least disparity
/// that does.
pub(super) fn correct(disparities: &mut [Disparity], matters: f64) {
    let own = holm(&disparities.iter().map(|d| d.p).collect::<Vec<_>>());
    let papers = holm(&disparities.iter().map(|d| d.resampled.p).collect::<Vec<_>>());
    for ((disparity, own), papers) in disparities.iter_mut().zip(own).zip(papers) {
        disparity.p_holm = own;
        disparity.resampled.p_holm = papers;
        disparity.verdict = disparity.verdict(matters);
    }
}

/// A disparity before its p is corrected.
pub(super) struct Estimate {
    pub(super) pairs: usize,
    pub(super) patients: usize,
    pub(super) in_group: f64,
    pub(super) disparity: f64,
    /// Standard error of the disparity.
    pub(super) error: f64,
}

impl Estimate {
    /// Of a group; without pairs its values are no numbers.
    pub(super) fn of(pairs: &Pairs<'_>, members: &Members) -> Self {
        let mut inside = vec![false; pairs.decisions.studies()];
        let mut mix = vec![0.0; pairs.called.len()];
        let (mut patients, mut counted, mut called) = (BTreeSet::new(), 0, 0);
        let mut excess = 0.0;
        for study in &members.studies {
            inside[*study] = true;
            for (diagnosis, yes) in pairs.in_study(*study) {
                mix[diagnosis] += 1.0;
                counted += 1;
                called += usize::from(yes);
                excess += f64::from(u8::from(yes)) - pairs.called[diagnosis];
                patients.insert(pairs.decisions.patients[*study]);
            }
        }
        let count = counted as f64;
        let disparity = excess / count;
        // What a pair of any study weighs in the matched rate.
        let weight: Vec<f64> = mix
            .iter()
            .zip(&pairs.studies)
            .map(|(own, all)| own / count / all.len() as f64)
            .collect();
        let mut influence = vec![0.0; pairs.decisions.patients.len()];
        for (study, patient) in pairs.decisions.patients.iter().enumerate() {
            for (diagnosis, yes) in pairs.in_study(study).filter(|(d, _)| mix[*d] > 0.0) {
                let rest = f64::from(u8::from(yes)) - pairs.called[diagnosis];
                let own = if inside[study] { (rest - disparity) / count } else { 0.0 };
                influence[*patient] += own - weight[diagnosis] * rest;
            }
        }
        let m = patients.len() as f64;
        let seen = influence.iter().map(|sum| sum * sum).sum::<f64>() * m / (m - 1.0);
        let fair = (0..mix.len()).filter(|d| mix[*d] > 0.0).map(|d| {
            let (share, others) = (pairs.called[d], 1.0 - mix[d] / pairs.studies[d].len() as f64);
            mix[d] * others * share * (1.0 - share)
        });
        let fair = fair.sum::<f64>() / (count * count);
        Self {
            pairs: counted,
            patients: patients.len(),
            in_group: called as f64 / count,
            disparity,
            error: seen.max(fair).sqrt(),
        }
    }
}
