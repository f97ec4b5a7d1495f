//! One study into the cohort: its images copied, de-identified and read back as every later stage
//! will read them; its report scrubbed; the result searched for identifiers once more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use models::dicom::decoder::Decoder;
use models::dicom::parse;
use models::dicom::read::{Limits, read_study};
use models::dicom::select::Selection;
use models::dicom::series::read_stack;
use models::study::Series;

use super::deidentify::copy::{NotCopied, Subject, copy};
use super::deidentify::text::{scrub, scrub_description};
use super::deidentify::{Identifiers, Key};
use super::exclusion::Exclusion;
use super::report_files::SourceReport;
use super::scan::{BadFile, Found};
use super::summary::SeriesFacts;
use crate::cohort::record::{Demographics, Report, Split, StudyRecord};
use crate::reports::sections;

/// What all studies share.
pub(super) struct Site<'a> {
    pub(super) key: &'a Key,
    /// `studies/` of the cohort.
    pub(super) studies: &'a Path,
    pub(super) min_series: usize,
    /// Which series are usable.
    pub(super) selection: &'a Selection,
    /// Decodes every pixel when given.
    pub(super) decoder: Option<&'a Decoder>,
}

/// What became of one study.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The record, without split and day, and what the summary counts; or why it is left out.
    pub(super) result: Result<(StudyRecord, Vec<SeriesFacts>), (Exclusion, String)>,
    /// Files that were left out on the way.
    pub(super) bad: Vec<BadFile>,
    /// A failure to write that ends the run: the disk is full.
    pub(super) fatal: Option<String>,
}

/// Curates one study that has a report.
pub(super) fn curate(site: &Site<'_>, found: &Found, source: &SourceReport) -> Outcome {
    let id = site.key.study(&found.uid);
    let folder = site.studies.join(&id);
    let mut bad = Vec::new();
    let mut fatal = None;
    let result = build(site, found, source, &folder, &mut bad, &mut fatal);
    if result.is_err() {
        remove(&folder);
    }
    Outcome { result, bad, fatal }
}

/// Removes a study's folder. A folder that stays is in no list and so in no later stage.
pub(super) fn remove(folder: &Path) {
    drop(fs::remove_dir_all(folder));
}

fn build(
    site: &Site<'_>,
    found: &Found,
    source: &SourceReport,
    folder: &Path,
    bad: &mut Vec<BadFile>,
    fatal: &mut Option<String>,
) -> Result<(StudyRecord, Vec<SeriesFacts>), (Exclusion, String)> {
    let identifiers = identifiers(found, source);
    let patient = site.key.patient(found.patient_id.as_deref().unwrap_or_default());
    let record = record(site, found, source, &identifiers, &patient)?;
    let staged = folder.join("staged");
    if let Err(error) = fs::create_dir_all(&staged) {
        *fatal = Some(error.to_string());
    }
    let subject = Subject { key: site.key, identifiers: &identifiers, patient: &patient };
    for (index, path) in found.files.iter().enumerate() {
        let what = match copy(path, &staged.join(format!("{index:06}.dcm")), &subject) {
            Ok(()) => continue,
            Err(NotCopied::Residual(what)) => {
                return Err((Exclusion::NotDeidentified, format!("an identifier is in {what}")));
            }
            Err(NotCopied::Write(what)) => {
                *fatal = Some(what);
                continue;
            }
            Err(NotCopied::BurnedIn) => "annotations are burned into the image".into(),
            Err(NotCopied::Unreadable(what)) => what,
        };
        bad.push(BadFile { path: path.clone(), what });
    }
    let series = usable(site, &staged, bad.len())?;
    let facts = place(folder, &series).map_err(|error| {
        *fatal = Some(error.to_string());
        (Exclusion::Corrupt, "could not be written".to_owned())
    })?;
    remove(&staged);
    Ok((record, facts))
}

/// Everything that names somebody, from headers and from the report's envelope.
fn identifiers(found: &Found, source: &SourceReport) -> Identifiers {
    let mut identifiers = found.identifiers();
    source.names.iter().for_each(|name| identifiers.add_name(name));
    for code in source.identifiers.iter().chain(&source.patient_ids).chain(&source.accessions) {
        identifiers.add_code(code);
    }
    for uid in source.study_uids.iter().chain([&found.uid]) {
        identifiers.add_code(uid);
    }
    if let Some(date) = source.date {
        identifiers.add_date(date);
    }
    identifiers
}

/// The study's line of the cohort; split and day are filled in when all studies are known.
fn record(
    site: &Site<'_>,
    found: &Found,
    source: &SourceReport,
    identifiers: &Identifiers,
    patient: &str,
) -> Result<StudyRecord, (Exclusion, String)> {
    let report = sections::split(&scrub(&source.text, identifiers));
    if report.findings.is_empty() && report.impression.is_empty() {
        return Err((Exclusion::NoReport, "the report has no findings and no impression".into()));
    }
    let clean = |text: &Option<String>| {
        text.as_ref()
            .map(|text| scrub_description(text, identifiers))
            .filter(|text| !text.is_empty())
    };
    let hours = found
        .end()
        .zip(source.finalised)
        .map(|(acquired, finalised)| finalised.duration_since(acquired).as_secs_f32() / 3600.0);
    let record = StudyRecord {
        id: site.key.study(&found.uid),
        patient: patient.to_owned(),
        split: Split::Train,
        day: 0,
        description: clean(&found.description).unwrap_or_default(),
        report,
        demographics: Demographics {
            age_years: found.age_years,
            sex: found.sex,
            county_density: source.county_density,
            insurance: source.insurance,
            setting: source.setting,
            weekday: found
                .date
                .and_then(|date| u8::try_from(date.weekday().to_monday_zero_offset()).ok()),
            manufacturer: clean(&found.manufacturer),
            model: clean(&found.model),
            field_t: found.field_t,
            // A report cannot be final before the images are there: such clocks are wrong.
            turnaround_h: hours.filter(|hours| *hours >= 0.0).map(|h| (h * 100.0).round() / 100.0),
        },
    };
    match residual(&record, identifiers) {
        Some(field) => Err((Exclusion::NotDeidentified, format!("an identifier is in {field}"))),
        None => Ok(record),
    }
}

/// The field of a record in which an identifier is left.
fn residual(record: &StudyRecord, identifiers: &Identifiers) -> Option<&'static str> {
    let Report { indication, technique, comparison, findings, impression } = &record.report;
    let demographics = &record.demographics;
    let fields = [
        ("the description", Some(&record.description)),
        ("the report's indication", Some(indication)),
        ("the report's technique", Some(technique)),
        ("the report's comparison", Some(comparison)),
        ("the report's findings", Some(findings)),
        ("the report's impression", Some(impression)),
        ("the manufacturer", demographics.manufacturer.as_ref()),
        ("the model", demographics.model.as_ref()),
    ];
    let names = |text: Option<&String>| text.is_some_and(|text| identifiers.occur_in(text));
    fields.into_iter().find(|(_, text)| names(*text)).map(|(field, _)| field)
}

/// The usable series among the copies.
fn usable(site: &Site<'_>, staged: &Path, bad: usize) -> Result<Vec<Series>, (Exclusion, String)> {
    let too_few = |found: usize, bad: usize, reasons: &str| {
        let what = format!("{found} usable series, {} are needed{reasons}", site.min_series);
        (if bad > 0 { Exclusion::Corrupt } else { Exclusion::FewSeries }, what)
    };
    let Ok(study) = read_study(staged, Limits::default(), site.selection) else {
        return Err(too_few(0, bad, ""));
    };
    let reasons: BTreeSet<String> =
        study.left_out.iter().map(|left| left.reason.to_string()).collect();
    let reasons: String = reasons.iter().map(|reason| format!("; {reason}")).collect();
    // Several volumes of one series (b-values, echoes) count once.
    let count = |series: &[Series]| series.iter().map(|s| &s.uid).collect::<BTreeSet<_>>().len();
    let found = count(&study.series);
    if found < site.min_series {
        return Err(too_few(found, bad, &reasons));
    }
    let Some(decoder) = site.decoder else { return Ok(study.series) };
    let mut faults = String::new();
    let readable: Vec<Series> = study
        .series
        .into_iter()
        .filter(|series| match read_stack(series, decoder) {
            Ok(_) => true,
            Err(reason) => {
                faults.push_str(&format!("; {reason}"));
                false
            }
        })
        .collect();
    let found = count(&readable);
    if found < site.min_series { Err(too_few(found, 1, &faults)) } else { Ok(readable) }
}

/// Moves the files of the usable series to `NN/IM0001.dcm`, one folder a series.
fn place(folder: &Path, series: &[Series]) -> std::io::Result<Vec<SeriesFacts>> {
    let mut folders: Vec<&str> = Vec::new();
    let mut moved: BTreeMap<&Path, PathBuf> = BTreeMap::new();
    let mut counts: Vec<usize> = Vec::new();
    let mut facts = Vec::new();
    for one in series {
        let index = folders.iter().position(|uid| *uid == one.uid).unwrap_or_else(|| {
            folders.push(&one.uid);
            counts.push(0);
            folders.len() - 1
        });
        let into = folder.join(format!("{:02}", index + 1));
        fs::create_dir_all(&into)?;
        if let Some(first) = one.slices.first()
            && let Ok(header) = parse::read_header(moved.get(&*first.path).unwrap_or(&first.path))
        {
            facts.push(SeriesFacts::of(one, &header.data));
        }
        for slice in &one.slices {
            if moved.contains_key(&*slice.path) {
                continue;
            }
            let Some(count) = counts.get_mut(index) else { continue };
            *count += 1;
            let to = into.join(format!("IM{count:04}.dcm"));
            fs::rename(&slice.path, &to)?;
            moved.insert(&slice.path, to);
        }
    }
    Ok(facts)
}
