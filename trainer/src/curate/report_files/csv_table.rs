//! Reports in a table, one a row; the configuration says which column holds what.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};

use super::{Parsed, SourceReport, Status, decode, local, push};
use crate::curate::CurateError;
use crate::curate::config::CsvSource;

/// Reads a table. A bad row is noted; a missing column is an error, because it means all rows.
pub(super) fn read(source: &CsvSource, zone: Option<&TimeZone>) -> Result<Parsed, CurateError> {
    let fails = |error| CurateError::Read {
        what: "report table",
        path: source.path.clone(),
        source: error,
    };
    let mut bytes = Vec::new();
    File::open(&source.path).map_err(fails)?.read_to_end(&mut bytes).map_err(fails)?;
    let text = decode(&bytes);
    let delimiter = u8::try_from(source.delimiter).unwrap_or(b',');
    let mut table = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .trim(csv::Trim::Headers)
        .from_reader(text.as_bytes());
    let header = table.headers().map(|record| record.iter().map(String::from).collect());
    let header: Vec<String> = header.unwrap_or_default();
    let columns = Columns::find(source, &header)?;
    let mut parsed = Parsed::default();
    for (index, record) in table.records().enumerate() {
        let place = format!("row {}", index + 1);
        match record {
            Err(error) => parsed.bad.push((Some(place), row_fault(&error))),
            Ok(record) => match columns.report(source, &record, zone) {
                Ok(report) => parsed.reports.push(report),
                Err(what) => parsed.bad.push((Some(place), what)),
            },
        }
    }
    Ok(parsed)
}

/// The reader's own message quotes no cell, but counts lines from its buffer's start.
fn row_fault(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("has {len} field(s), the header has {expected_len}: check quotes and delimiter")
        }
        _ => "cannot be read as comma-separated text: check quotes and delimiter".into(),
    }
}

/// Where each mapped field stands.
struct Columns {
    at: BTreeMap<&'static str, usize>,
    names: Vec<usize>,
    identifiers: Vec<usize>,
}

impl Columns {
    fn find(source: &CsvSource, header: &[String]) -> Result<Self, CurateError> {
        let position = |key: &str, column: &String| {
            header.iter().position(|name| name == column).ok_or_else(|| CurateError::Column {
                path: source.path.clone(),
                key: key.to_owned(),
                column: column.clone(),
                found: header.to_vec(),
            })
        };
        let columns = &source.columns;
        let mut at = BTreeMap::new();
        for (key, column) in [
            ("text", &columns.text),
            ("indication", &columns.indication),
            ("technique", &columns.technique),
            ("comparison", &columns.comparison),
            ("findings", &columns.findings),
            ("impression", &columns.impression),
            ("accession", &columns.accession),
            ("study_uid", &columns.study_uid),
            ("patient_id", &columns.patient_id),
            ("study_date", &columns.study_date),
            ("finalised", &columns.finalised),
            ("setting", &columns.setting),
            ("insurance", &columns.insurance),
            ("county_density", &columns.county_density),
        ] {
            if let Some(column) = column {
                at.insert(key, position(key, column)?);
            }
        }
        let list = |key: &str, columns: &[String]| {
            columns.iter().map(|column| position(key, column)).collect::<Result<Vec<_>, _>>()
        };
        let names = list("names", &columns.names)?;
        Ok(Self { at, names, identifiers: list("identifiers", &columns.identifiers)? })
    }

    fn report(
        &self,
        source: &CsvSource,
        record: &csv::StringRecord,
        zone: Option<&TimeZone>,
    ) -> Result<SourceReport, String> {
        let cell = |key: &str| {
            let index = *self.at.get(key)?;
            record.get(index).map(str::trim).filter(|text| !text.is_empty())
        };
        let mut text = cell("text").unwrap_or_default().to_owned();
        for key in ["indication", "technique", "comparison", "findings", "impression"] {
            if let Some(section) = cell(key) {
                text.push_str(&format!("\n{}:\n{section}\n", key.to_uppercase()));
            }
        }
        let date = cell("study_date").map(|text| {
            Date::strptime(&source.date_format, text).map_err(|_| {
                format!("the study date is not written as date_format \"{}\"", source.date_format)
            })
        });
        let finalised = cell("finalised").map(|text| moment(&source.time_format, text, zone));
        let mut report = SourceReport {
            text: text.trim().to_owned(),
            rank: Status::Final,
            date: date.transpose()?,
            finalised: finalised.transpose()?,
            setting: word(source, "setting", cell("setting"))?,
            insurance: word(source, "insurance", cell("insurance"))?,
            county_density: word(source, "county_density", cell("county_density"))?,
            ..SourceReport::default()
        };
        for (key, list) in [
            ("accession", &mut report.accessions),
            ("study_uid", &mut report.study_uids),
            ("patient_id", &mut report.patient_ids),
        ] {
            push(list, cell(key).unwrap_or_default());
        }
        let at = |index: &usize| record.get(*index).unwrap_or_default();
        self.names.iter().for_each(|index| push(&mut report.names, at(index)));
        self.identifiers.iter().for_each(|index| push(&mut report.identifiers, at(index)));
        Ok(report)
    }
}

fn moment(format: &str, text: &str, zone: Option<&TimeZone>) -> Result<DateTime, String> {
    if let Ok(instant) = jiff::ZonedDateTime::strptime(format, text) {
        return Ok(local(&instant, zone));
    }
    DateTime::strptime(format, text).map_err(|_| {
        format!("the time of the final report is not written as time_format \"{format}\"")
    })
}

/// A word of the table as one of the cohort's, through the table's own words first. The message
/// goes into the cohort, so it names the column and not what stands there.
fn word<T: DeserializeOwned>(
    source: &CsvSource,
    key: &str,
    cell: Option<&str>,
) -> Result<Option<T>, String> {
    let Some(cell) = cell else { return Ok(None) };
    let mapped = source.words.get(key).and_then(|words| words.get(cell));
    let text = mapped.map_or_else(|| cell.to_lowercase(), Clone::clone);
    let value: StrDeserializer<'_, ValueError> = text.as_str().into_deserializer();
    T::deserialize(value).map(Some).map_err(|_| {
        let columns = &source.columns;
        let column = match key {
            "setting" => &columns.setting,
            "insurance" => &columns.insurance,
            _ => &columns.county_density,
        };
        format!(
            "what column \"{}\" says is no {key}: map it in words.{key} of the configuration",
            column.as_deref().unwrap_or(key)
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::read;
    use crate::cohort::record::Setting;
    use crate::curate::config::CsvSource;

    fn source(path: &Path, more: &str) -> CsvSource {
        let text = format!(
            "path = '{}'\ncolumns = {{ text = 'Report', accession = 'Acc', setting = 'Class', \
             study_date = 'Day' {more} }}\nwords.setting = {{ ED = 'emergency' }}\n\
             date_format = '%m/%d/%Y'",
            path.display()
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn rows_become_reports_and_bad_rows_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.csv");
        let table = "\u{feff}Acc,Class,Day,Report\nA1,ED,03/09/2021,\"FINDINGS: one,\ntwo\"\n\
                     A2,Ward 7,03/09/2021,x\nA3,,2021-03-09,x\nA4,ED\n";
        std::fs::write(&path, table).unwrap();
        let parsed = read(&source(&path, ""), None).unwrap();
        assert_eq!(parsed.reports.len(), 1);
        let report = &parsed.reports[0];
        assert_eq!(
            (report.text.as_str(), report.accessions[0].as_str()),
            ("FINDINGS: one,\ntwo", "A1")
        );
        assert_eq!(report.setting, Some(Setting::Emergency));
        assert_eq!(report.date.unwrap().to_string(), "2021-03-09");
        let bad: Vec<String> = parsed
            .bad
            .iter()
            .map(|(place, what)| format!("{}: {what}", place.as_ref().unwrap()))
            .collect();
        assert_eq!(
            bad,
            [
                "row 2: what column \"Class\" says is no setting: map it in words.setting of the \
                 configuration",
                "row 3: the study date is not written as date_format \"%m/%d/%Y\"",
                "row 4: has 2 field(s), the header has 4: check quotes and delimiter",
            ]
        );
        let error = read(&source(&path, ", patient_id = 'MRN'"), None).unwrap_err().to_string();
        let expected = "r.csv has no column \"MRN\", which columns.patient_id names; it has: Acc, \
                        Class, Day, Report";
        assert!(error.ends_with(expected), "{error}");
    }
}
