//! What the archive holds, for those who query it (PS3.4 C, PS3.18 10.6): patients, studies,
//! series and instances by matching keys.
//!
//! SQL narrows by what an index finds: UIDs, dates, identifiers without wildcards. Texts and times
//! are matched row by row in `matching`, because SQLite knows no case beyond ASCII and no times.
//! Studies whose images were deleted are not here.

mod matching;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use rusqlite::{Connection, Row as SqlRow, params_from_iter};
use serde_json::Value;

use self::matching::{Kind, Pattern, in_time_range};
use super::{Store, StoreError};

/// Characters of the longest text to match with: it is compared with every study.
pub const LONGEST_KEY: usize = 1024;

/// Matching keys (PS3.4 C.2.2.2); an empty text or list matches all.
///
/// Texts may hold the wildcards `*` and `?`; person names and descriptions match without regard
/// to case, beyond ASCII too, but `ü` is not `u`. A name is compared whole, without the `^` at its
/// end. Keys below the level that is asked for are not looked at.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Patient ID.
    pub patient_id: String,
    /// Patient's Name.
    pub patient_name: String,
    /// Patient's Birth Date, YYYYMMDD.
    pub birth_date: String,
    /// Patient's Sex.
    pub sex: String,
    /// Accession Number.
    pub accession: String,
    /// Study Instance UIDs, any of which matches.
    pub study_uids: Vec<String>,
    /// Study Date from and to, both inclusive; an empty text is an open end.
    pub study_date: Option<[String; 2]>,
    /// Study Time from and to, in any precision: the end `1030` includes 10:30:59.
    pub study_time: Option<[String; 2]>,
    /// Study Description.
    pub study_description: String,
    /// Referring Physician's Name.
    pub referring_physician: String,
    /// Modalities in Study, any of which matches.
    pub modalities: Vec<String>,
    /// Series Instance UIDs, any of which matches.
    pub series_uids: Vec<String>,
    /// Modality of the series.
    pub modality: String,
    /// Series Number.
    pub series_number: Option<i64>,
    /// Series Description.
    pub series_description: String,
    /// SOP Instance UIDs, any of which matches.
    pub sop_uids: Vec<String>,
    /// SOP Class UIDs, any of which matches.
    pub sop_classes: Vec<String>,
}

/// Which of the entries found.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Entries to skip.
    pub offset: usize,
    /// Entries to return at most.
    pub limit: usize,
}

/// A patient whose images are here. Texts are those of the newest study.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatientEntry {
    /// Patient ID, never empty.
    pub patient_id: String,
    /// Patient's Name.
    pub patient_name: String,
    /// Patient's Birth Date.
    pub birth_date: String,
    /// Patient's Sex.
    pub sex: String,
    /// Studies that are here.
    pub n_studies: i64,
}

/// A study whose images are here. Texts are empty when absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StudyEntry {
    /// Row of the study.
    pub id: i64,
    /// Study Instance UID.
    pub uid: String,
    /// Patient ID.
    pub patient_id: String,
    /// Patient's Name.
    pub patient_name: String,
    /// Patient's Birth Date, YYYYMMDD.
    pub birth_date: String,
    /// Patient's Sex.
    pub sex: String,
    /// Accession Number.
    pub accession: String,
    /// Study Date, YYYYMMDD.
    pub study_date: String,
    /// Study Time.
    pub study_time: String,
    /// Study Description.
    pub description: String,
    /// Referring Physician's Name.
    pub referring_physician: String,
    /// Modalities in Study, each once.
    pub modalities: Vec<String>,
    /// Series that are here.
    pub n_series: i64,
    /// Instances that are here.
    pub n_instances: i64,
}

/// A series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesEntry {
    /// Its study.
    pub study: StudyEntry,
    /// Series Instance UID.
    pub uid: String,
    /// Series Number.
    pub number: Option<i64>,
    /// Series Description.
    pub description: String,
    /// Modality.
    pub modality: String,
    /// Instances that are here.
    pub n_instances: i64,
}

/// An instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceEntry {
    /// Its series.
    pub series: SeriesEntry,
    /// SOP Instance UID.
    pub sop_uid: String,
    /// SOP Class UID.
    pub sop_class: String,
    /// Transfer Syntax UID of the data set as stored.
    pub transfer_syntax: String,
    /// File below the archive's folder.
    pub path: String,
    /// Bytes of the data set.
    pub bytes: i64,
}

impl Store {
    /// Patients, that of the newest study first. Those without a Patient ID are left out, because
    /// nobody could ask for their studies by it; their studies are found as studies.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn find_patients(
        &self,
        keys: &Keys,
        window: Window,
    ) -> Result<Vec<PatientEntry>, StoreError> {
        self.read(|db| {
            let matcher = Matcher::new(keys);
            let mut seen = BTreeSet::new();
            let mut found = scan(db, Level::Study, keys, window, |row| {
                if !matcher.accepts_study(db, row)? {
                    return Ok(None);
                }
                let study = read_study(row)?;
                let new = !study.patient_id.is_empty() && seen.insert(study.patient_id.clone());
                Ok(new.then_some(PatientEntry {
                    patient_id: study.patient_id,
                    patient_name: study.patient_name,
                    birth_date: study.birth_date,
                    sex: study.sex,
                    n_studies: 0,
                }))
            })?;
            let mut count = db.prepare_cached(
                "SELECT count(*) FROM study
                 WHERE patient_id = ? AND patient_id <> '' AND evicted_at IS NULL",
            )?;
            for patient in &mut found {
                patient.n_studies = count.query_row([&patient.patient_id], |row| row.get(0))?;
            }
            Ok(found)
        })
    }

    /// Studies, newest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn find_studies(&self, keys: &Keys, window: Window) -> Result<Vec<StudyEntry>, StoreError> {
        self.read(|db| {
            let matcher = Matcher::new(keys);
            let mut found = scan(db, Level::Study, keys, window, |row| {
                Ok(if matcher.accepts_study(db, row)? { Some(read_study(row)?) } else { None })
            })?;
            count_studies(db, found.iter_mut())?;
            Ok(found)
        })
    }

    /// Series, those of the newest study first, in it by their number and, without a number,
    /// behind those by arrival.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn find_series(&self, keys: &Keys, window: Window) -> Result<Vec<SeriesEntry>, StoreError> {
        self.read(|db| {
            let matcher = Matcher::new(keys);
            let mut found = scan(db, Level::Series, keys, window, |row| {
                Ok(if matcher.accepts_series(db, row)? { Some(read_series(row)?) } else { None })
            })?;
            count_studies(db, found.iter_mut().map(|series| &mut series.study))?;
            count_series(db, found.iter_mut())?;
            Ok(found)
        })
    }

    /// Instances in the order of their series, in it by arrival.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn find_instances(
        &self,
        keys: &Keys,
        window: Window,
    ) -> Result<Vec<InstanceEntry>, StoreError> {
        self.read(|db| {
            let matcher = Matcher::new(keys);
            let mut found = scan(db, Level::Instance, keys, window, |row| {
                Ok(if matcher.accepts_series(db, row)? { Some(read_instance(row)?) } else { None })
            })?;
            count_studies(db, found.iter_mut().map(|instance| &mut instance.series.study))?;
            count_series(db, found.iter_mut().map(|instance| &mut instance.series))?;
            Ok(found)
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Study,
    Series,
    Instance,
}

/// Columns of a study, a series and an instance, in the order in which they are read.
const STUDY: &str = "study.id, study.uid, study.patient_id, study.patient_name, study.birth_date,
    study.sex, study.accession, study.study_date, study.study_time, study.description,
    study.referring_physician";
const SERIES: &str = "series.uid, series.number, series.description, series.modality";
const INSTANCE: &str = "instance.sop_uid, instance.sop_class, instance.transfer_syntax,
    instance.path, instance.bytes";

impl Level {
    fn sql(self, keys: &Keys, filter: &str) -> String {
        let series = "series.number IS NULL, series.number, series.id";
        // SQLite takes the tables of a CROSS JOIN as they stand: it walks the studies by id and
        // sorts one at a time, where it would rather sort the whole index before the first row.
        // A UID below the study is looked up first.
        let by_series = self >= Self::Series && !keys.series_uids.is_empty();
        let by_instance = self == Self::Instance && !keys.sop_uids.is_empty();
        let join = if by_series || by_instance { "JOIN" } else { "CROSS JOIN" };
        match self {
            Self::Study => {
                format!("SELECT {STUDY} FROM study WHERE {filter} ORDER BY study.id DESC")
            }
            Self::Series => format!(
                "SELECT {STUDY}, {SERIES} FROM study {join} series ON series.study_id = study.id
                 WHERE {filter} ORDER BY study.id DESC, {series}"
            ),
            Self::Instance => format!(
                "SELECT {STUDY}, {SERIES}, {INSTANCE} FROM study
                 {join} series ON series.study_id = study.id
                 {join} instance ON instance.series_id = series.id
                 WHERE {filter} ORDER BY study.id DESC, {series}, instance.id"
            ),
        }
    }
}

/// The entries of the window among those that `read` returns.
fn scan<E>(
    db: &Connection,
    level: Level,
    keys: &Keys,
    window: Window,
    mut read: impl FnMut(&SqlRow<'_>) -> Result<Option<E>, StoreError>,
) -> Result<Vec<E>, StoreError> {
    let (filter, values) = narrowing(keys, level);
    let mut select = db.prepare(&level.sql(keys, &filter))?;
    let mut rows = select.query(params_from_iter(values))?;
    let mut skip = window.offset;
    let mut found = Vec::new();
    while found.len() < window.limit
        && let Some(row) = rows.next()?
    {
        match read(row)? {
            Some(_) if skip > 0 => skip -= 1,
            Some(entry) => found.push(entry),
            None => {}
        }
    }
    Ok(found)
}

/// The condition that an index can help with, and its parameters.
fn narrowing(keys: &Keys, level: Level) -> (String, Vec<String>) {
    let mut filter = String::from("study.evicted_at IS NULL");
    let mut values = Vec::new();
    let mut narrow = |clause: &str, value: String| {
        filter.push_str(" AND ");
        filter.push_str(clause);
        values.push(value);
    };
    for (column, list, of) in [
        ("study.uid", &keys.study_uids, Level::Study),
        ("series.uid", &keys.series_uids, Level::Series),
        ("instance.sop_uid", &keys.sop_uids, Level::Instance),
        ("instance.sop_class", &keys.sop_classes, Level::Instance),
    ] {
        if level >= of && !list.is_empty() {
            let clause = format!("{column} IN (SELECT value FROM json_each(?))");
            narrow(&clause, Value::from(list.clone()).to_string());
        }
    }
    let modalities = keys.modalities.iter().map(|key| key.trim()).filter(|key| !key.is_empty());
    let modalities: Vec<&str> = modalities.collect();
    if !modalities.is_empty() && !modalities.iter().any(|key| key.contains(['*', '?'])) {
        let clause = "EXISTS (SELECT 1 FROM series AS its WHERE its.study_id = study.id
             AND its.modality IN (SELECT value FROM json_each(?)))";
        narrow(clause, Value::from(modalities).to_string());
    }
    // The indices leave empty texts out, so the condition must too.
    for (column, text) in
        [("study.patient_id", &keys.patient_id), ("study.accession", &keys.accession)]
    {
        let text = text.trim();
        if !text.is_empty() && !text.contains(['*', '?']) {
            narrow(&format!("{column} <> '' AND {column} = ?"), text.to_owned());
        }
    }
    if let Some([from, to]) = &keys.study_date {
        for (comparison, bound) in [(">=", from), ("<=", to)] {
            if !bound.is_empty() {
                let clause = format!("study.study_date <> '' AND study.study_date {comparison} ?");
                narrow(&clause, bound.clone());
            }
        }
    }
    if let Some(number) = keys.series_number
        && level >= Level::Series
    {
        narrow("series.number = CAST(? AS INTEGER)", number.to_string());
    }
    (filter, values)
}

fn read_study(row: &SqlRow<'_>) -> Result<StudyEntry, rusqlite::Error> {
    Ok(StudyEntry {
        id: row.get(0)?,
        uid: row.get(1)?,
        patient_id: row.get(2)?,
        patient_name: row.get(3)?,
        birth_date: row.get(4)?,
        sex: row.get(5)?,
        accession: row.get(6)?,
        study_date: row.get(7)?,
        study_time: row.get(8)?,
        description: row.get(9)?,
        referring_physician: row.get(10)?,
        ..StudyEntry::default()
    })
}

fn read_series(row: &SqlRow<'_>) -> Result<SeriesEntry, rusqlite::Error> {
    Ok(SeriesEntry {
        study: read_study(row)?,
        uid: row.get(11)?,
        number: row.get(12)?,
        description: row.get(13)?,
        modality: row.get(14)?,
        n_instances: 0,
    })
}

fn read_instance(row: &SqlRow<'_>) -> Result<InstanceEntry, rusqlite::Error> {
    Ok(InstanceEntry {
        series: read_series(row)?,
        sop_uid: row.get(15)?,
        sop_class: row.get(16)?,
        transfer_syntax: row.get(17)?,
        path: row.get(18)?,
        bytes: row.get(19)?,
    })
}

/// The keys that SQL leaves.
struct Matcher<'a> {
    /// In the order of the columns in [`Matcher::accepts_study`]; `None` matches all.
    study: [Option<Pattern>; 7],
    study_time: Option<&'a [String; 2]>,
    modalities: Vec<Pattern>,
    /// In the order of the columns in [`Matcher::accepts_series`].
    series: [Option<Pattern>; 2],
}

impl<'a> Matcher<'a> {
    fn new(keys: &'a Keys) -> Self {
        let identifier = |key: &str| Pattern::new(key, Kind::Identifier);
        let description = |key: &str| Pattern::new(key, Kind::Description);
        let name = |key: &str| Pattern::new(key, Kind::Name);
        Self {
            study: [
                identifier(&keys.patient_id),
                name(&keys.patient_name),
                identifier(&keys.birth_date),
                identifier(&keys.sex),
                identifier(&keys.accession),
                description(&keys.study_description),
                name(&keys.referring_physician),
            ],
            study_time: keys.study_time.as_ref(),
            modalities: keys.modalities.iter().filter_map(|key| identifier(key)).collect(),
            series: [identifier(&keys.modality), description(&keys.series_description)],
        }
    }

    /// Whether the study of a row is meant. Most are not: nothing of them is copied.
    fn accepts_study(&self, db: &Connection, row: &SqlRow<'_>) -> Result<bool, StoreError> {
        if !all_match(&self.study, row, [2, 3, 4, 5, 6, 9, 10])? {
            return Ok(false);
        }
        if let Some(range) = self.study_time
            && !in_time_range(text(row, 8)?, range)
        {
            return Ok(false);
        }
        if self.modalities.is_empty() {
            return Ok(true);
        }
        let there = modalities(db, row.get(0)?)?;
        Ok(there.iter().any(|modality| self.modalities.iter().any(|key| key.matches(modality))))
    }

    fn accepts_series(&self, db: &Connection, row: &SqlRow<'_>) -> Result<bool, StoreError> {
        Ok(all_match(&self.series, row, [14, 13])? && self.accepts_study(db, row)?)
    }
}

/// Whether the texts in some columns of a row match their patterns.
fn all_match<const N: usize>(
    patterns: &[Option<Pattern>; N],
    row: &SqlRow<'_>,
    columns: [usize; N],
) -> Result<bool, StoreError> {
    for (pattern, column) in patterns.iter().zip(columns) {
        if let Some(pattern) = pattern
            && !pattern.matches(text(row, column)?)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A text where SQLite holds it.
fn text<'a>(row: &'a SqlRow<'_>, column: usize) -> Result<&'a str, StoreError> {
    let value = row.get_ref(column)?;
    Ok(value.as_str().map_err(rusqlite::Error::from)?)
}

fn modalities(db: &Connection, study_id: i64) -> Result<Vec<String>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT DISTINCT modality FROM series WHERE study_id = ? AND modality <> ''
         ORDER BY modality",
    )?;
    let rows = select.query_map([study_id], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Fills in what is counted. Neighbours mostly share their study.
fn count_studies<'a>(
    db: &Connection,
    studies: impl Iterator<Item = &'a mut StudyEntry>,
) -> Result<(), StoreError> {
    let mut count = db.prepare_cached(
        "SELECT (SELECT count(*) FROM series WHERE study_id = ?1),
                (SELECT count(*) FROM instance WHERE study_id = ?1)",
    )?;
    let mut last: Option<StudyEntry> = None;
    for study in studies {
        let counted = match last.take() {
            Some(last) if last.id == study.id => last,
            _ => {
                let (n_series, n_instances) =
                    count.query_row([study.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
                let modalities = modalities(db, study.id)?;
                StudyEntry { modalities, n_series, n_instances, ..study.clone() }
            }
        };
        study.clone_from(&counted);
        last = Some(counted);
    }
    Ok(())
}

/// As [`count_studies`], for series.
fn count_series<'a>(
    db: &Connection,
    all: impl Iterator<Item = &'a mut SeriesEntry>,
) -> Result<(), StoreError> {
    let mut count = db.prepare_cached(
        "SELECT count(*) FROM instance
         WHERE series_id = (SELECT id FROM series WHERE study_id = ? AND uid = ?)",
    )?;
    let mut last: Option<(i64, String, i64)> = None;
    for series in all {
        let counted = match last.take() {
            Some(last) if last.0 == series.study.id && last.1 == series.uid => last,
            _ => {
                let of = (series.study.id, &series.uid);
                let n_instances = count.query_row(of, |row| row.get(0))?;
                (series.study.id, series.uid.clone(), n_instances)
            }
        };
        series.n_instances = counted.2;
        last = Some(counted);
    }
    Ok(())
}
