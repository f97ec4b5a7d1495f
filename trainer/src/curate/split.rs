//! Who is in which split: test by date, the rest by patient; and the check that it is so.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use sha2::{Digest, Sha256};

use super::CurateError;
use super::config::SplitRule;
use crate::cohort::record::{Split, StudyRecord};

/// What splitting needs to know of a study.
#[derive(Clone, Debug)]
pub(super) struct Member<'a> {
    /// Pseudonym.
    pub(super) patient: &'a str,
    pub(super) date: Date,
}

/// The split of each study, in order; `None` for an earlier study of a patient who has one in the
/// test split, because that patient may not be seen in training.
pub(super) fn assign(members: &[Member<'_>], rule: &SplitRule) -> Vec<Option<Split>> {
    let first_test_day = first_test_day(members, rule);
    let in_test = |member: &Member<'_>| first_test_day.is_some_and(|day| member.date >= day);
    let test_patients: BTreeSet<&str> =
        members.iter().filter(|member| in_test(member)).map(|member| member.patient).collect();
    let split = |member: &Member<'_>| {
        if in_test(member) {
            Some(Split::Test)
        } else if test_patients.contains(member.patient) {
            None
        } else if fraction(&rule.salt, member.patient) * 100.0 < rule.validation_percent {
            Some(Split::Validation)
        } else {
            Some(Split::Train)
        }
    };
    members.iter().map(split).collect()
}

/// The day from which on studies are for testing. With a percentage it is the day on which that
/// share begins; the whole day belongs to it.
fn first_test_day(members: &[Member<'_>], rule: &SplitRule) -> Option<Date> {
    let Some(percent) = rule.test_last_percent else { return rule.test_from };
    let mut days: Vec<Date> = members.iter().map(|member| member.date).collect();
    days.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is a count"
    )]
    let test = (days.len() as f64 * percent / 100.0).round() as usize;
    if test == 0 { None } else { days.get(days.len() - test).copied() }
}

/// A number in [0, 1) that only patient and salt decide.
fn fraction(salt: &str, patient: &str) -> f64 {
    let hash = Sha256::new().chain_update(salt).chain_update([0]).chain_update(patient).finalize();
    let number = hash.iter().take(4).fold(0u32, |sum, byte| (sum << 8) | u32::from(*byte));
    f64::from(number) / (f64::from(u32::MAX) + 1.0)
}

/// Checks what every later stage relies on.
///
/// # Errors
/// When a study occurs twice, or a patient's studies are in two splits.
pub fn verify(records: &[StudyRecord]) -> Result<(), CurateError> {
    let mut ids = BTreeSet::new();
    let mut patients: BTreeMap<&str, &StudyRecord> = BTreeMap::new();
    for record in records {
        if !ids.insert(record.id.as_str()) {
            return Err(CurateError::DuplicateStudy { id: record.id.clone() });
        }
        let first = patients.entry(&record.patient).or_insert(record);
        if first.split != record.split {
            return Err(CurateError::PatientInTwoSplits {
                patient: record.patient.clone(),
                first: first.id.clone(),
                first_split: name(first.split),
                second: record.id.clone(),
                second_split: name(record.split),
            });
        }
    }
    Ok(())
}

/// Refuses a cohort that has nothing to train on, and says which key took it all.
pub(super) fn verify_training(
    records: &[StudyRecord],
    rule: &SplitRule,
) -> Result<(), CurateError> {
    if records.iter().any(|record| record.split == Split::Train) {
        return Ok(());
    }
    let validation = records.iter().filter(|r| r.split == Split::Validation).count();
    let what = if validation > 0 {
        format!(
            "split.validation_percent is {}, and all {validation} studies outside of the test \
             split fell to validation: give a smaller percentage, or another split.salt",
            rule.validation_percent
        )
    } else if let Some(percent) = rule.test_last_percent {
        format!(
            "split.test_last_percent is {percent}, and every patient has a study among these: \
             give a smaller percentage"
        )
    } else {
        let day = rule.test_from.map(|day| day.to_string()).unwrap_or_default();
        format!(
            "split.test_from is {day}, and every patient has a study on or after that day: give a \
             later day"
        )
    };
    Err(CurateError::NoTraining { studies: records.len(), what })
}

/// The word of a split.
pub(super) fn name(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Validation => "validation",
        Split::Test => "test",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::civil::date;

    use super::{Member, assign, verify, verify_training};
    use crate::cohort::record::{Demographics, Report, Split, StudyRecord};
    use crate::curate::config::SplitRule;

    fn rule(last_percent: f64) -> SplitRule {
        SplitRule {
            test_from: None,
            test_last_percent: Some(last_percent),
            validation_percent: 20.0,
            salt: "a".into(),
        }
    }

    #[test]
    fn patients_stay_together_and_shares_are_as_asked() {
        let names: Vec<String> = (0..700).map(|patient| format!("p{patient}")).collect();
        let members: Vec<Member<'_>> = (0..1000)
            .map(|study: i16| Member {
                patient: &names[usize::try_from(study).unwrap() * 3 % 700],
                date: date(2015 + study / 200, 1 + i8::try_from(study % 12).unwrap(), 1),
            })
            .collect();
        let splits = assign(&members, &rule(10.0));
        let mut by_patient: BTreeMap<&str, Vec<Split>> = BTreeMap::new();
        for (member, split) in members.iter().zip(&splits) {
            by_patient.entry(member.patient).or_default().extend(split);
        }
        for splits in by_patient.values() {
            assert!(splits.iter().all(|split| *split == splits[0]), "{splits:?}");
        }
        let count = |wanted| splits.iter().filter(|split| **split == wanted).count();
        let [train, validation, test] =
            [Split::Train, Split::Validation, Split::Test].map(|split| count(Some(split)));
        assert!((100..=130).contains(&test), "{test}");
        assert!(count(None) > 0);
        let share = validation as f64 / (train + validation) as f64;
        assert!((0.15..0.25).contains(&share), "{share}");
        // Earlier than any test study, or left out.
        let first = members.iter().zip(&splits).filter(|(_, s)| **s == Some(Split::Test));
        let first = first.map(|(member, _)| member.date).min().unwrap();
        assert!(
            members
                .iter()
                .zip(&splits)
                .all(|(m, s)| (m.date >= first) == (*s == Some(Split::Test)))
        );
        assert_eq!(splits, assign(&members, &rule(10.0)));
    }

    fn record(id: &str, split: Split) -> StudyRecord {
        StudyRecord {
            id: id.into(),
            patient: "p1".into(),
            split,
            day: 0,
            description: String::new(),
            report: Report::default(),
            demographics: Demographics::default(),
        }
    }

    #[test]
    fn a_cohort_without_training_studies_is_refused_with_the_key() {
        let complaint = |splits: &[Split], rule: &SplitRule| {
            let records: Vec<StudyRecord> = splits.iter().map(|s| record("s1", *s)).collect();
            verify_training(&records, rule).err().map_or_else(String::new, |e| e.to_string())
        };
        assert_eq!(complaint(&[Split::Train, Split::Test], &rule(10.0)), "");
        assert_eq!(
            complaint(&[Split::Test], &rule(90.0)),
            "no study of the 1 in the cohort is left to train on: split.test_last_percent is 90, \
             and every patient has a study among these: give a smaller percentage"
        );
        assert_eq!(
            complaint(&[Split::Validation, Split::Test], &rule(10.0)),
            "no study of the 2 in the cohort is left to train on: split.validation_percent is 20, \
             and all 1 studies outside of the test split fell to validation: give a smaller \
             percentage, or another split.salt"
        );
    }

    #[test]
    fn a_patient_in_two_splits_is_refused() {
        let good = [record("s1", Split::Train), record("s2", Split::Train)];
        assert!(verify(&good).is_ok());
        let split = [record("s1", Split::Train), record("s2", Split::Test)];
        assert_eq!(
            verify(&split).unwrap_err().to_string(),
            "patient p1 is in two splits: study s1 is in train, study s2 in test; curate again, or \
             put both into one split"
        );
        let twice = [record("s1", Split::Train), record("s1", Split::Train)];
        assert_eq!(
            verify(&twice).unwrap_err().to_string(),
            "study s1 occurs twice in the cohort: remove one of the two lines"
        );
    }
}
