//! How often readers agree with findings at this site, by groups of patients and by scanner.

use std::collections::BTreeMap;

use serde::Serialize;
use statistics::compare::wilson;

use crate::store::quality::judged::Judged;

/// Findings that must have been judged before a share is shown: fewer say nothing, and may tell of
/// single patients.
pub const LEAST: usize = 20;

/// What a group is taken by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Everybody.
    All,
    /// Sex.
    Sex,
    /// Age.
    Age,
    /// Scanner.
    Scanner,
}

/// How often a finding is right in a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// What the group is taken by.
    pub by: By,
    /// The group; empty for everybody.
    pub group: String,
    /// Findings that were judged.
    pub judged: usize,
    /// Of these, right.
    pub agreed: usize,
    /// agreed / judged: the positive predictive value.
    pub ppv: f64,
    /// Its 95 % interval by Wilson's score.
    pub interval: [f64; 2],
    /// The interval lies below the share of everybody: a reason to look, not an alarm.
    pub low: bool,
}

/// The shares of one finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The label.
    pub label: String,
    /// Everybody first.
    pub shares: Vec<Share>,
}

/// Findings that were judged often enough, most often judged first, with the groups that were too;
/// and how many labels were not.
#[must_use]
pub fn findings(judged: &[Judged]) -> (Vec<Finding>, usize) {
    let mut by_label: BTreeMap<&str, Vec<&Judged>> = BTreeMap::new();
    for one in judged {
        by_label.entry(&one.label).or_default().push(one);
    }
    let labels = by_label.len();
    let mut findings: Vec<Finding> = by_label
        .into_iter()
        .filter_map(|(label, judged)| finding(label, &judged))
        .collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.shares[0].judged));
    let few = labels - findings.len();
    (findings, few)
}

fn finding(label: &str, judged: &[&Judged]) -> Option<Finding> {
    let all = share(By::All, "", judged, 1.0)?;
    let overall = all.ppv;
    let mut groups: BTreeMap<(By, &str), Vec<&Judged>> = BTreeMap::new();
    for one in judged {
        for (by, group) in
            [(By::Sex, one.sex), (By::Age, one.age_band), (By::Scanner, one.scanner.as_str())]
        {
            groups.entry((by, group)).or_default().push(one);
        }
    }
    let known = groups.into_iter().filter(|((_, group), _)| !group.is_empty());
    let shares = known.filter_map(|((by, group), judged)| share(by, group, &judged, overall));
    let shares = std::iter::once(all).chain(shares).collect();
    Some(Finding { label: label.to_owned(), shares })
}

fn share(by: By, group: &str, judged: &[&Judged], overall: f64) -> Option<Share> {
    if judged.len() < LEAST {
        return None;
    }
    let agreed = judged.iter().filter(|one| one.agreed).count();
    let interval = wilson(agreed, judged.len())?;
    Some(Share {
        by,
        group: group.to_owned(),
        judged: judged.len(),
        agreed,
        ppv: agreed as f64 / judged.len() as f64,
        interval,
        low: by != By::All && interval[1] < overall,
    })
}
