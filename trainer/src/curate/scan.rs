//! The files of an export, sorted into studies by their headers, whatever folders they lie in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use jiff::civil::{Date, DateTime, Time};
use models::dicom::parse::{self, DataSet};
use rayon::prelude::*;

use super::deidentify::Identifiers;
use super::deidentify::copy::fault;
use super::report_files::files_under;
use super::{CurateError, Progress};
use crate::cohort::record::Sex;

/// Files read at a time, so that progress can be told and memory stays bounded.
const CHUNK: usize = 4096;

/// What the headers of a study say.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) uid: String,
    /// Files with an MR image, in order of their paths.
    pub(super) files: Vec<PathBuf>,
    pub(super) patient_id: Option<String>,
    pub(super) accessions: BTreeSet<String>,
    pub(super) date: Option<Date>,
    /// End of the acquisition: the latest time of any image, else the time of the study.
    pub(super) acquired: Option<DateTime>,
    pub(super) description: Option<String>,
    /// Lower case words of body part and descriptions.
    pub(super) words: BTreeSet<String>,
    pub(super) age_years: Option<f32>,
    pub(super) sex: Option<Sex>,
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    pub(super) field_t: Option<f32>,
    pub(super) names: BTreeSet<String>,
    pub(super) codes: BTreeSet<String>,
    pub(super) dates: BTreeSet<Date>,
    pub(super) study_time: Option<DateTime>,
}

impl Found {
    /// Everything in the headers that names the patient or the staff.
    pub(super) fn identifiers(&self) -> Identifiers {
        let mut identifiers = Identifiers::default();
        self.names.iter().for_each(|name| identifiers.add_name(name));
        self.codes.iter().for_each(|code| identifiers.add_code(code));
        self.dates.iter().for_each(|date| identifiers.add_date(*date));
        identifiers
    }
}

/// A file that belongs to no study.
#[derive(Clone, Debug)]
pub(super) struct BadFile {
    pub(super) path: PathBuf,
    pub(super) what: String,
}

/// The whole export.
#[derive(Debug, Default)]
pub(super) struct Export {
    pub(super) files: usize,
    /// In order of their UIDs.
    pub(super) studies: Vec<Found>,
    pub(super) bad: Vec<BadFile>,
    /// Folders that could not be looked into.
    pub(super) unreadable: Vec<BadFile>,
}

/// Reads the headers of all files under `folders`.
pub(super) fn scan(folders: &[PathBuf], progress: &Progress<'_>) -> Result<Export, CurateError> {
    let mut paths = Vec::new();
    let mut unreadable = Vec::new();
    for folder in folders {
        let fails =
            |source| CurateError::Read { what: "DICOM folder", path: folder.clone(), source };
        let under = files_under(folder).map_err(fails)?;
        paths.extend(under.files);
        unreadable.extend(under.unreadable);
    }
    paths.sort();
    paths.dedup();
    unreadable.sort();
    unreadable.dedup();
    let unreadable = unreadable.into_iter().map(|(path, what)| BadFile { path, what }).collect();
    let mut export = Export { files: paths.len(), unreadable, ..Export::default() };
    let mut studies: BTreeMap<String, Found> = BTreeMap::new();
    for (index, chunk) in paths.chunks(CHUNK).enumerate() {
        progress("reading headers", index * CHUNK, paths.len());
        let headers: Vec<_> = chunk.par_iter().map(|path| Header::read(path)).collect();
        for (path, header) in chunk.iter().zip(headers) {
            match header {
                Ok(header) => {
                    let found = studies.entry(header.uid.clone()).or_default();
                    found.add(path, header);
                }
                Err(what) => export.bad.push(BadFile { path: path.clone(), what }),
            }
        }
    }
    progress("reading headers", paths.len(), paths.len());
    export.studies = studies.into_values().collect();
    Ok(export)
}

/// What one file says.
struct Header {
    uid: String,
    mr: bool,
    found: Found,
}

/// Attributes that hold names of persons.
const NAMES: [Tag; 13] = [
    tags::PATIENT_NAME,
    tags::OTHER_PATIENT_NAMES,
    tags::PATIENT_BIRTH_NAME,
    tags::PATIENT_MOTHER_BIRTH_NAME,
    tags::RESPONSIBLE_PERSON,
    tags::REFERRING_PHYSICIAN_NAME,
    tags::CONSULTING_PHYSICIAN_NAME,
    tags::PHYSICIANS_OF_RECORD,
    tags::PERFORMING_PHYSICIAN_NAME,
    tags::NAME_OF_PHYSICIANS_READING_STUDY,
    tags::OPERATORS_NAME,
    tags::REQUESTING_PHYSICIAN,
    tags::SCHEDULED_PERFORMING_PHYSICIAN_NAME,
];

/// Attributes that hold numbers, addresses and places.
#[expect(deprecated, reason = "old archives are full of retired attributes")]
const CODES: [Tag; 17] = [
    tags::PATIENT_ID,
    tags::OTHER_PATIENT_I_DS,
    tags::ACCESSION_NUMBER,
    tags::STUDY_ID,
    tags::ADMISSION_ID,
    tags::PATIENT_ADDRESS,
    tags::PATIENT_TELEPHONE_NUMBERS,
    tags::MEDICAL_RECORD_LOCATOR,
    tags::MILITARY_RANK,
    tags::INSTITUTION_NAME,
    tags::INSTITUTION_ADDRESS,
    tags::INSTITUTIONAL_DEPARTMENT_NAME,
    tags::STATION_NAME,
    tags::DEVICE_SERIAL_NUMBER,
    tags::REQUESTED_PROCEDURE_ID,
    tags::SCHEDULED_PROCEDURE_STEP_ID,
    tags::PERFORMED_PROCEDURE_STEP_ID,
];

impl Header {
    fn read(path: &Path) -> Result<Self, String> {
        let file = parse::read_header(path).map_err(|error| fault(&error))?;
        let data = &file.data;
        let uid = data.text(tags::STUDY_INSTANCE_UID).ok_or("no Study Instance UID")?;
        let class = data.text(tags::SOP_CLASS_UID).unwrap_or_default();
        let image = file.pixels.is_some() && !class.starts_with("1.2.840.10008.5.1.4.1.1.7");
        let mr = image && data.text(tags::MODALITY).as_deref() == Some("MR");
        let texts = |list: &[Tag]| list.iter().flat_map(|tag| data.texts(*tag)).collect();
        let date = date(data, tags::STUDY_DATE).or_else(|| date(data, tags::SERIES_DATE));
        let mut codes: BTreeSet<String> = texts(&CODES);
        let other_ids = data.items(tags::OTHER_PATIENT_I_DS_SEQUENCE).iter();
        codes.extend(other_ids.filter_map(|item| item.text(tags::PATIENT_ID)));
        let words = [
            tags::BODY_PART_EXAMINED,
            tags::STUDY_DESCRIPTION,
            tags::SERIES_DESCRIPTION,
            tags::PROTOCOL_NAME,
            tags::REQUESTED_PROCEDURE_DESCRIPTION,
            tags::PERFORMED_PROCEDURE_STEP_DESCRIPTION,
        ];
        let field = data.f64s(tags::MAGNETIC_FIELD_STRENGTH).first().map(|field| field_t(*field));
        let clock = time(data, tags::STUDY_TIME).or_else(|| time(data, tags::SERIES_TIME));
        let found = Found {
            patient_id: data.text(tags::PATIENT_ID),
            accessions: data.text(tags::ACCESSION_NUMBER).into_iter().collect(),
            date,
            acquired: acquired(data),
            study_time: date.zip(clock).map(|(date, clock)| date.to_datetime(clock)),
            description: data.text(tags::STUDY_DESCRIPTION),
            words: words
                .iter()
                .filter_map(|tag| data.text(*tag))
                .flat_map(|text| split(&text))
                .collect(),
            age_years: age(data, date),
            sex: data.text(tags::PATIENT_SEX).and_then(|sex| match sex.as_str() {
                "F" => Some(Sex::Female),
                "M" => Some(Sex::Male),
                "O" => Some(Sex::Other),
                _ => None,
            }),
            manufacturer: data.text(tags::MANUFACTURER),
            model: data.text(tags::MANUFACTURER_MODEL_NAME),
            field_t: field,
            names: texts(&NAMES),
            codes,
            dates: [date, self::date(data, tags::PATIENT_BIRTH_DATE)]
                .into_iter()
                .flatten()
                .collect(),
            ..Found::default()
        };
        Ok(Self { uid, mr, found })
    }
}

impl Found {
    fn add(&mut self, path: &Path, header: Header) {
        let other = header.found;
        if self.uid.is_empty() {
            self.uid = header.uid;
        }
        self.names.extend(other.names);
        self.codes.extend(other.codes);
        self.dates.extend(other.dates);
        self.accessions.extend(other.accessions);
        self.words.extend(other.words);
        fill(&mut self.patient_id, other.patient_id);
        fill(&mut self.date, other.date);
        fill(&mut self.description, other.description);
        fill(&mut self.age_years, other.age_years);
        fill(&mut self.sex, other.sex);
        fill(&mut self.study_time, other.study_time);
        if header.mr {
            self.files.push(path.to_owned());
            fill(&mut self.manufacturer, other.manufacturer);
            fill(&mut self.model, other.model);
            fill(&mut self.field_t, other.field_t);
            self.acquired = self.acquired.max(other.acquired);
        }
    }

    /// When the study was acquired.
    pub(super) fn end(&self) -> Option<DateTime> {
        self.acquired.or(self.study_time)
    }
}

fn fill<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}

fn split(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// Tesla; some scanners write gauss.
fn field_t(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "a few digits matter")]
    let tesla = if value > 100.0 { value / 10_000.0 } else { value } as f32;
    (tesla * 100.0).round() / 100.0
}

/// A DA value, in today's or ACR-NEMA's writing.
fn date(data: &DataSet, tag: Tag) -> Option<Date> {
    let digits: String = data.text(tag)?.chars().filter(char::is_ascii_digit).collect();
    if digits.len() == 8 { Date::strptime("%Y%m%d", &digits).ok() } else { None }
}

/// A TM value down to seconds.
fn time(data: &DataSet, tag: Tag) -> Option<Time> {
    clock(&data.text(tag)?)
}

fn clock(text: &str) -> Option<Time> {
    let mut digits = text.chars().filter(|c| *c != ':').map_while(|c| c.to_digit(10));
    let mut pair = || Some(i8::try_from(digits.next()? * 10 + digits.next()?).unwrap_or(0));
    let hour = pair()?;
    let (minute, second) = (pair().unwrap_or(0), pair().unwrap_or(0));
    Time::new(hour, minute, second.min(59), 0).ok()
}

/// When the image was acquired.
fn acquired(data: &DataSet) -> Option<DateTime> {
    if let Some(moment) = data.text(tags::ACQUISITION_DATE_TIME)
        && let Some((day, rest)) = moment.split_at_checked(8)
    {
        return Some(Date::strptime("%Y%m%d", day).ok()?.to_datetime(clock(rest)?));
    }
    let day = date(data, tags::ACQUISITION_DATE).or_else(|| date(data, tags::STUDY_DATE))?;
    Some(day.to_datetime(time(data, tags::ACQUISITION_TIME)?))
}

/// Age at the study: as written, else from the birth date.
fn age(data: &DataSet, study: Option<Date>) -> Option<f32> {
    let written = || {
        let text = data.text(tags::PATIENT_AGE)?;
        let number: f32 = text.trim_end_matches(char::is_alphabetic).parse().ok()?;
        match text.chars().next_back()? {
            'Y' => Some(number),
            'M' => Some(number / 12.0),
            'W' => Some(number / 52.18),
            'D' => Some(number / 365.25),
            _ => None,
        }
    };
    let counted = || {
        let born = date(data, tags::PATIENT_BIRTH_DATE)?;
        let days = i16::try_from(study?.duration_since(born).as_hours() / 24 / 30).ok()?;
        Some(f32::from(days) * 30.0 / 365.25)
    };
    let age = written().or_else(counted).filter(|age| (0.0..130.0).contains(age))?;
    Some((age.min(super::deidentify::text::OLDEST) * 10.0).round() / 10.0)
}

/// True when body part or descriptions hold one of the words.
pub(super) fn holds_word(found: &Found, words: &[String]) -> bool {
    words.iter().any(|word| found.words.contains(&word.to_lowercase()))
}
