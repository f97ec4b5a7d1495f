//! Which report belongs to which study: by Study Instance UID, by accession number, or by patient
//! and day where a patient has one study and one report on that day.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::Serialize;

use super::SourceReport;
use crate::curate::scan::Found;

/// How a report was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::curate) enum JoinedBy {
    StudyUid,
    Accession,
    PatientAndDate,
}

/// Why a study has no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::curate) enum Unjoined {
    /// There is none.
    None,
    /// The accession number's report is about somebody else.
    AnotherPatient,
}

/// Indices of reports by what may join them.
pub(in crate::curate) struct Index<'a> {
    reports: &'a [SourceReport],
    by_uid: BTreeMap<&'a str, Vec<usize>>,
    by_accession: BTreeMap<String, Vec<usize>>,
    by_day: BTreeMap<(&'a str, Date), Vec<usize>>,
    /// Studies of a patient on a day.
    studies: BTreeMap<(&'a str, Date), usize>,
}

impl<'a> Index<'a> {
    pub(in crate::curate) fn new(reports: &'a [SourceReport], studies: &'a [Found]) -> Self {
        let mut index = Self {
            reports,
            by_uid: BTreeMap::new(),
            by_accession: BTreeMap::new(),
            by_day: BTreeMap::new(),
            studies: BTreeMap::new(),
        };
        for (at, report) in reports.iter().enumerate().filter(|(_, r)| !r.text.trim().is_empty()) {
            for uid in &report.study_uids {
                index.by_uid.entry(uid).or_default().push(at);
            }
            for accession in &report.accessions {
                index.by_accession.entry(plain(accession)).or_default().push(at);
            }
            if let Some(date) = report.date {
                for patient in &report.patient_ids {
                    index.by_day.entry((patient, date)).or_default().push(at);
                }
            }
        }
        for study in studies {
            if let (Some(patient), Some(date)) = (&study.patient_id, study.date) {
                *index.studies.entry((patient, date)).or_default() += 1;
            }
        }
        index
    }

    /// The report of a study.
    pub(in crate::curate) fn find(
        &self,
        study: &Found,
    ) -> Result<(&'a SourceReport, JoinedBy), Unjoined> {
        if let Some(report) = self.best(self.by_uid.get(study.uid.as_str())) {
            return Ok((report, JoinedBy::StudyUid));
        }
        let filed = study.accessions.iter().filter_map(|a| self.by_accession.get(&plain(a)));
        let filed: Vec<usize> = filed.flatten().copied().collect();
        let same = |at: &usize| self.reports.get(*at).is_some_and(|report| about(report, study));
        let own: Vec<usize> = filed.iter().copied().filter(same).collect();
        if let Some(report) = self.best(Some(&own)) {
            return Ok((report, JoinedBy::Accession));
        }
        if let (Some(patient), Some(date)) = (&study.patient_id, study.date) {
            let key = (patient.as_str(), date);
            let candidates = self.by_day.get(&key);
            if self.studies.get(&key) == Some(&1)
                && candidates.is_some_and(|list| self.one_study(list))
                && let Some(report) = self.best(candidates)
            {
                return Ok((report, JoinedBy::PatientAndDate));
            }
        }
        Err(if filed.is_empty() { Unjoined::None } else { Unjoined::AnotherPatient })
    }

    /// The most final of several reports, of equal ones the latest, then the last read.
    fn best(&self, list: Option<&Vec<usize>>) -> Option<&'a SourceReport> {
        let reports = list?.iter().filter_map(|at| self.reports.get(*at));
        reports.max_by_key(|report| (report.rank, report.finalised))
    }

    /// True when all these reports are filed under one accession number.
    fn one_study(&self, list: &[usize]) -> bool {
        let reports = list.iter().filter_map(|at| self.reports.get(*at));
        reports.map(|report| &report.accessions).collect::<BTreeSet<_>>().len() == 1
    }
}

/// True unless both sides name a patient and none of the names is the same.
fn about(report: &SourceReport, study: &Found) -> bool {
    let same = |id: &String| report.patient_ids.iter().any(|other| plain(other) == plain(id));
    report.patient_ids.is_empty() || study.patient_id.as_ref().is_none_or(same)
}

/// Systems differ in case and in leading zeros.
fn plain(id: &str) -> String {
    let text = id.trim().to_uppercase();
    let digits = text.trim_start_matches('0');
    if digits.is_empty() { text } else { digits.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{Index, JoinedBy, Unjoined};
    use crate::curate::report_files::{SourceReport, Status};
    use crate::curate::scan::Found;

    fn study(uid: &str, accession: &str, patient: &str) -> Found {
        Found {
            uid: uid.into(),
            accessions: [accession.to_owned()].into(),
            patient_id: Some(patient.into()),
            date: Some(jiff::civil::date(2021, 3, 9)),
            ..Found::default()
        }
    }

    fn report(text: &str, uid: &str, accession: &str, patient: &str) -> SourceReport {
        let list = |id: &str| if id.is_empty() { vec![] } else { vec![id.to_owned()] };
        SourceReport {
            text: text.into(),
            study_uids: list(uid),
            accessions: list(accession),
            patient_ids: list(patient),
            date: Some(jiff::civil::date(2021, 3, 9)),
            ..SourceReport::default()
        }
    }

    #[test]
    fn the_surest_key_wins() {
        let studies = [
            study("1.1", "A1", "P1"),
            study("1.2", "0042", "P2"),
            study("1.3", "A3", "P3"),
            study("1.4", "A4", "P4"),
            study("1.5", "A5", "P4"),
        ];
        let final_report = SourceReport { rank: Status::Final, ..report("final", "", "42", "P2") };
        let reports = [
            report("wrong accession, right uid", "1.1", "A9", "P1"),
            report("by accession, other uid", "", "A1", "P1"),
            final_report,
            report("preliminary", "", "42", "P2"),
            report("by day", "", "", "P3"),
            report("two studies that day", "", "", "P4"),
        ];
        let index = Index::new(&reports, &studies);
        let found =
            studies.each_ref().map(|study| index.find(study).map(|(r, by)| (r.text.as_str(), by)));
        assert_eq!(
            found,
            [
                Ok(("wrong accession, right uid", JoinedBy::StudyUid)),
                Ok(("final", JoinedBy::Accession)),
                Ok(("by day", JoinedBy::PatientAndDate)),
                Err(Unjoined::None),
                Err(Unjoined::None),
            ]
        );
        let other = [report("x", "", "A1", "P7")];
        let index = Index::new(&other, &studies);
        assert_eq!(index.find(&studies[0]).unwrap_err(), Unjoined::AnotherPatient);
    }
}
