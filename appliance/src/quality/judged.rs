//! How often readers agree with findings at this site, by groups of patients and by scanner.

use std::collections::BTreeMap;

use serde::Serialize;
use statistics::interval::wilson;

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
    let mut findings: Vec<Finding> =
        by_label.into_iter().filter_map(|(label, judged)| finding(label, &judged)).collect();
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
        interval: [interval.lower, interval.upper],
        low: by != By::All && interval.upper < overall,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(label: &str, agreed: bool, sex: &'static str, scanner: &str) -> Judged {
        let (label, scanner) = (label.to_owned(), scanner.to_owned());
        Judged { label, agreed, sex, age_band: "", scanner }
    }

    #[test]
    fn small_groups_are_not_shown_and_low_ones_are_marked() {
        // Right in 38 of 40 on MR1, in 10 of 20 on MR2; men and women, 19 of unknown sex.
        let mut all = Vec::new();
        for n in 0..40 {
            all.push(judged("a", n >= 2, if n % 2 == 0 { "F" } else { "M" }, "MR1"));
        }
        for n in 0..20 {
            all.push(judged("a", n % 2 == 0, if n == 0 { "F" } else { "" }, "MR2"));
        }
        for n in 0..LEAST - 1 {
            all.push(judged("b", n == 0, "F", "MR1"));
        }
        let (findings, few) = findings(&all);
        assert_eq!((findings.len(), few), (1, 1), "b was judged too rarely");
        let shares: Vec<_> = findings[0]
            .shares
            .iter()
            .map(|s| (s.by, s.group.as_str(), s.judged, s.agreed, s.low))
            .collect();
        assert_eq!(
            shares,
            [
                (By::All, "", 60, 48, false),
                (By::Sex, "F", 21, 20, false),
                (By::Sex, "M", 20, 19, false),
                (By::Scanner, "MR1", 40, 38, false),
                (By::Scanner, "MR2", 20, 10, true),
            ]
        );
    }
}
