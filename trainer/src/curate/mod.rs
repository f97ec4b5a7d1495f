//! A PACS export and its reports to a cohort: inclusion rules, de-identification, splits, flow
//! chart and summary.
//!
//! In the order data flows: [`Config`] names the sources; `scan` sorts DICOM files into studies;
//! `report_files` reads tables, HL7 and FHIR and joins them; `study` applies the inclusion rules
//! to one study, with `deidentify`; `split` shares patients out; `summary` and `flow` tell what
//! came of it. A bad file or study is listed and never stops the run.

pub mod config;
mod deidentify;
mod error;
pub mod exclusion;
mod flow;
mod output;
mod report_files;
mod scan;
mod split;
mod study;
pub mod summary;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use models::dicom::decoder::Decoder;
use models::dicom::select::Selection;
use rayon::prelude::*;

pub use self::config::Config;
use self::deidentify::Key;
pub use self::error::CurateError;
use self::exclusion::Exclusion;
use self::output::{Output, Rejected};
use self::report_files::join::{Index, JoinedBy, Unjoined};
use self::report_files::{Loaded, SourceReport};
use self::scan::{BadFile, Export, Found};
pub use self::split::verify;
use self::study::{Outcome, Site};
pub use self::summary::Summary;
use self::summary::{Counts, Input, SeriesFacts};
use crate::cohort::record::StudyRecord;

/// Told what is being done, how much of it is done, and how much there is.
pub type Progress<'a> = dyn Fn(&'static str, usize, usize) + Sync + 'a;

/// Makes the cohort folder `output`, which must be new or empty.
///
/// Files that name patients (the key, where each study came from, paths of rejected files) go to
/// the configuration's `private_dir`. `decoder` reads compressed pixels when `check_pixels` is on.
///
/// # Errors
/// When a source or folder cannot be read or written, or no study is left.
pub fn curate(
    config: &Config,
    output: &Path,
    decoder: &Decoder,
    progress: &Progress<'_>,
) -> Result<Summary, CurateError> {
    let output = Output::create(output, &config.private_dir)?;
    let key = Key::load_or_create(&output.private.join("pseudonym.key"))?;
    let loaded = report_files::load(config)?;
    let export = scan::scan(&config.dicom, progress)?;
    let mut run = Run { output, key, rejected: Vec::new(), private: Vec::new() };
    for bad in &loaded.bad {
        let place = bad.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
        run.reject_file("report", &bad.path, &format!("{place}{}", bad.what));
    }
    export.unreadable.iter().for_each(|bad| run.reject_file("folder", &bad.path, &bad.what));
    export.bad.iter().for_each(|bad| run.reject_file("file", &bad.path, &bad.what));
    let cohort = run.studies(config, &export, &loaded, decoder, progress)?;
    run.finish(config, &export, &loaded, cohort)
}

/// State of a run.
struct Run {
    output: Output,
    key: Key,
    rejected: Vec<Rejected>,
    /// Pseudonym and path or identifiers of what is listed, for the private folder.
    private: Vec<serde_json::Value>,
}

/// A study that took every hurdle.
struct Included<'a> {
    found: &'a Found,
    record: StudyRecord,
    series: Vec<SeriesFacts>,
    joined: JoinedBy,
}

impl Run {
    fn reject_file(&mut self, kind: &'static str, path: &Path, what: &str) {
        let id = self.key.file(path);
        self.private.push(serde_json::json!({ "id": id, "path": path.to_string_lossy() }));
        self.rejected.push(Rejected { kind, id, reason: None, what: what.to_owned() });
    }

    fn reject_study(&mut self, found: &Found, reason: Exclusion, what: String) {
        let id = self.key.study(&found.uid);
        self.rejected.push(Rejected { kind: "study", id, reason: Some(reason), what });
    }

    /// Applies the inclusion rules to every study.
    fn studies<'a>(
        &mut self,
        config: &Config,
        export: &'a Export,
        loaded: &Loaded,
        decoder: &Decoder,
        progress: &Progress<'_>,
    ) -> Result<Vec<Included<'a>>, CurateError> {
        let index = Index::new(&loaded.reports, &export.studies);
        let mut open: Vec<(&Found, &SourceReport, JoinedBy)> = Vec::new();
        for found in &export.studies {
            match header_rules(config, found, &index) {
                Ok((report, joined)) => open.push((found, report, joined)),
                Err((reason, what)) => self.reject_study(found, reason, what),
            }
        }
        let studies = self.output.cohort.join("studies");
        let selection = Selection::built_in()?;
        let site = Site {
            key: &self.key,
            studies: &studies,
            min_series: config.include.min_series,
            selection: &selection,
            decoder: config.include.check_pixels.then_some(decoder),
        };
        let (done, total) = (AtomicUsize::new(0), open.len());
        let outcomes: Vec<Outcome> = open
            .par_iter()
            .map(|(found, report, _)| {
                let outcome = study::curate(&site, found, report);
                progress("copying studies", done.fetch_add(1, Ordering::Relaxed) + 1, total);
                outcome
            })
            .collect();
        let mut included = Vec::new();
        for ((found, _, joined), outcome) in open.into_iter().zip(outcomes) {
            if let Some(what) = outcome.fatal {
                let source = std::io::Error::other(what);
                return Err(CurateError::Write { path: studies, source });
            }
            for BadFile { path, what } in &outcome.bad {
                self.reject_file("file", path, what);
            }
            match outcome.result {
                Ok((record, series)) => included.push(Included { found, record, series, joined }),
                Err((reason, what)) => self.reject_study(found, reason, what),
            }
        }
        Ok(included)
    }

    /// Shares patients out and writes everything but the images, which are there.
    fn finish(
        mut self,
        config: &Config,
        export: &Export,
        loaded: &Loaded,
        cohort: Vec<Included<'_>>,
    ) -> Result<Summary, CurateError> {
        let mut included = self.share_out(config, cohort);
        let first_day = included.iter().filter_map(|study| study.found.date).min();
        for study in &mut included {
            if let (Some(date), Some(first)) = (study.found.date, first_day) {
                let days = date.duration_since(first).as_hours() / 24;
                study.record.day = u32::try_from(days).unwrap_or(0);
            }
            self.private.push(study.origin());
        }
        included.sort_by(|a, b| a.record.id.cmp(&b.record.id));
        let mut exclusions: BTreeMap<Exclusion, usize> = BTreeMap::new();
        for reason in self.rejected.iter().filter_map(|rejected| rejected.reason) {
            *exclusions.entry(reason).or_default() += 1;
        }
        let mut records = Vec::new();
        let mut series = Vec::new();
        let mut joined = Vec::new();
        for study in included {
            records.push(study.record);
            series.push(study.series);
            joined.push(study.joined);
        }
        let counts = Counts::new(export.files, &records, exclusions);
        let is_file = |rejected: &&Rejected| rejected.kind == "file";
        let summary = Summary::new(Input {
            counts,
            records: &records,
            series: &series,
            joined: &joined,
            bad_files: self.rejected.iter().filter(is_file).count(),
            bad_folders: export.unreadable.len(),
            reports: loaded.reports.len(),
            bad_reports: loaded.bad.len(),
        });
        self.output.write_lists(&self.rejected, &self.private)?;
        self.output.write_summary(&summary)?;
        if records.is_empty() {
            let counts = &summary.counts;
            let most = Exclusion::ALL.into_iter().max_by_key(|reason| counts.left_out(*reason));
            return Err(CurateError::EmptyCohort {
                studies: counts.studies,
                reason: match most {
                    Some(reason) if counts.studies > 0 => reason.words().to_lowercase(),
                    _ => "there is no DICOM study in the export".into(),
                },
                rejected: self.output.cohort.join("rejected.jsonl"),
            });
        }
        verify(&records)?;
        split::verify_training(&records, &config.split)?;
        self.output.write_cohort(&records, &summary)?;
        Ok(summary)
    }

    /// Gives every study its split; earlier studies of test patients leave.
    fn share_out<'a>(&mut self, config: &Config, cohort: Vec<Included<'a>>) -> Vec<Included<'a>> {
        let members: Vec<split::Member<'_>> = cohort
            .iter()
            .map(|study| split::Member {
                patient: &study.record.patient,
                date: study.found.date.unwrap_or_default(),
            })
            .collect();
        let splits = split::assign(&members, &config.split);
        let mut included = Vec::new();
        for (mut study, split) in cohort.into_iter().zip(splits) {
            if let Some(split) = split {
                study.record.split = split;
                included.push(study);
            } else {
                study::remove(&self.output.cohort.join("studies").join(&study.record.id));
                self.reject_study(study.found, Exclusion::TestPatient, String::new());
            }
        }
        included
    }
}

impl Included<'_> {
    /// Where a study came from; this names the patient.
    fn origin(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.record.id,
            "patient": self.record.patient,
            "patient_id": self.found.patient_id,
            "study_uid": self.found.uid,
            "accession": self.found.accessions,
            "date": self.found.date.map(|date| date.to_string()),
        })
    }
}

/// The rules that headers and reports decide.
fn header_rules<'a>(
    config: &Config,
    found: &Found,
    index: &Index<'a>,
) -> Result<(&'a SourceReport, JoinedBy), (Exclusion, String)> {
    let out = |reason: Exclusion, what: &str| Err((reason, what.to_owned()));
    if found.files.is_empty() {
        return out(Exclusion::NotMr, "");
    }
    if !scan::holds_word(found, &config.include.words) {
        return out(Exclusion::OtherBodyPart, "");
    }
    if let (Some(date), Some(last)) = (found.date, config.include.last_date)
        && date > last
    {
        return out(Exclusion::TooLate, "");
    }
    if found.patient_id.is_none() {
        return out(Exclusion::NoMetadata, "no patient id");
    }
    if found.date.is_none() {
        return out(Exclusion::NoMetadata, "no study date");
    }
    index.find(found).map_err(|unjoined| match unjoined {
        Unjoined::None => (Exclusion::NoReport, String::new()),
        Unjoined::AnotherPatient => (Exclusion::ReportOfAnotherPatient, String::new()),
    })
}

/// A path that is compared with another: links resolved as far as the path exists.
fn resolved(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    let mut head = path;
    loop {
        if let Ok(real) =
            fs::canonicalize(if head == Path::new("") { Path::new(".") } else { head })
        {
            return rest.iter().rev().fold(real, |path, part| path.join(part));
        }
        match (head.parent(), head.file_name()) {
            (Some(parent), Some(name)) => {
                rest.push(name);
                head = parent;
            }
            _ => return path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
