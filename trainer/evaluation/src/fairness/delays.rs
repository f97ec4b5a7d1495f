//! How much likelier a late report is in one group than in another (paper, Fig. 4).
//!
//! A report is late when it took at least a stated number of hours. The crude odds ratio is that of
//! the 2 × 2 table, tested by Fisher's exact test as the paper does. Raw groups differ in more than
//! the attribute: weekends hold few outpatients, whose reports take longest, so that weekends can
//! look quick where everyone waits longer on them. An adjusted odds ratio ([`super::standardised`])
//! therefore stands beside it. The crude interval and Fisher's test take studies to be independent;
//! the adjusted ones take patients to be.

use serde::{Deserialize, Serialize};
use statistics::contingency::{OddsRatio, Table};
use statistics::multiple::holm;

use super::groups::{patients, value};
use super::standardised::{Case, LEAST_EVENTS, Standardised};
use crate::set::Set;

/// Which delay between which groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What divides the groups.
    pub attribute: String,
    /// The group that every other one is compared with.
    pub reference: String,
    /// Hours from which a report is late.
    pub at_least_h: f64,
    /// Other attributes that the adjusted odds ratio holds fixed.
    pub adjusted_for: Vec<String>,
}

/// A group beside its reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delay {
    /// What divides the groups.
    pub attribute: String,
    /// The group.
    pub group: String,
    /// What it is compared with.
    pub reference: String,
    /// Hours from which a report is late.
    pub at_least_h: f64,
    /// Studies whose report was late (`with`) or timely.
    pub table: Table,
    /// Odds of a late report in the group over those in the reference; `None` where all are late,
    /// or none.
    pub crude: Option<OddsRatio>,
    /// Fisher's exact two-sided p.
    pub p: f64,
    /// The same after Holm's correction over all delays.
    pub p_holm: f64,
    /// What the adjusted odds ratio holds fixed.
    pub adjusted_for: Vec<String>,
    /// The odds ratio with this held fixed; `None` where too few reports are late, or timely.
    pub adjusted: Option<Standardised>,
    /// Its p after Holm's correction over all adjusted delays.
    pub adjusted_p_holm: Option<f64>,
}

/// Every question answered; what cannot be is added to `left_out`.
pub fn delays(set: &Set, questions: &[Question], left_out: &mut Vec<String>) -> Vec<Delay> {
    let mut delays: Vec<Delay> = Vec::new();
    for question in questions {
        delays.extend(answer(set, question, left_out));
    }
    let crude = holm(&delays.iter().map(|delay| delay.p).collect::<Vec<_>>());
    for (delay, p) in delays.iter_mut().zip(crude) {
        delay.p_holm = p;
    }
    let adjusted = || delays.iter().filter_map(|delay| delay.adjusted.as_ref());
    let corrected = holm(&adjusted().map(|adjusted| adjusted.p).collect::<Vec<_>>());
    let with_p = delays.iter_mut().filter(|delay| delay.adjusted.is_some());
    for (delay, p) in with_p.zip(corrected) {
        delay.adjusted_p_holm = Some(p);
    }
    delays
}

/// Every group against the reference.
fn answer(set: &Set, question: &Question, left_out: &mut Vec<String>) -> Vec<Delay> {
    let Question { attribute, reference, at_least_h, adjusted_for } = question;
    let timed = Timed::of(set, question);
    let mut groups: Vec<&str> = timed.iter().map(|study| study.group).collect();
    groups.sort_unstable();
    groups.dedup();
    if groups.len() < 2 || !groups.contains(&reference.as_str()) {
        left_out.push(format!(
            "delays by {attribute}: studies with a turnaround are {groups:?}; \
             a comparison needs \"{reference}\" and another"
        ));
        return Vec::new();
    }
    groups.retain(|group| group != reference);
    let of = |group: &&str| {
        let both =
            || timed.iter().filter(|study| study.group == *group || study.group == reference);
        let table = Table::of(both().map(|study| (study.group == *group, study.late)));
        let cases: Vec<Case> = both()
            .filter_map(|study| {
                let (first, stratum) = (study.group == *group, study.stratum.clone()?);
                Some(Case { patient: study.patient, first, late: study.late, stratum })
            })
            .collect();
        let adjusted = Standardised::of(&cases);
        if adjusted.is_none() {
            left_out.push(format!(
                "delays of {at_least_h} h, {group} against {reference}: not adjusted; of {} \
                 studies {} have {}, and of these each group needs {LEAST_EVENTS} late and \
                 {LEAST_EVENTS} timely ones",
                both().count(),
                cases.len(),
                adjusted_for.join(", ")
            ));
        }
        Delay {
            attribute: attribute.clone(),
            group: (*group).to_owned(),
            reference: reference.clone(),
            at_least_h: *at_least_h,
            table,
            crude: table.odds_ratio(),
            p: table.fisher_exact(),
            p_holm: 1.0,
            adjusted_for: adjusted_for.clone(),
            adjusted,
            adjusted_p_holm: None,
        }
    };
    groups.iter().map(of).collect()
}

/// A study whose turnaround and group are known.
struct Timed<'a> {
    group: &'a str,
    patient: usize,
    late: bool,
    /// Levels of what is adjusted for; `None` where one is not known.
    stratum: Option<Vec<usize>>,
}

impl<'a> Timed<'a> {
    fn of(set: &'a Set, question: &'a Question) -> Vec<Self> {
        let mut levels: Vec<Vec<&str>> = vec![Vec::new(); question.adjusted_for.len()];
        let mut timed = Vec::new();
        for (study, patient) in set.studies.iter().zip(patients(set)) {
            let (Some(hours), Some(group)) =
                (study.turnaround_h, value(set, study, &question.attribute))
            else {
                continue;
            };
            let stratum =
                question.adjusted_for.iter().zip(&mut levels).map(|(attribute, levels)| {
                    let value = value(set, study, attribute)?;
                    let level = levels.iter().position(|level| *level == value);
                    Some(level.unwrap_or_else(|| {
                        levels.push(value);
                        levels.len() - 1
                    }))
                });
            let stratum = stratum.collect();
            timed.push(Self { group, patient, late: hours >= question.at_least_h, stratum });
        }
        timed
    }
}
