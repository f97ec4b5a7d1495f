//! What to curate, from one TOML file. Every key is checked before a file of the export is read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::{Deserialize, Deserializer};

use super::CurateError;

/// The whole configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folders of DICOM files in any layout.
    pub dicom: Vec<PathBuf>,
    /// Folder outside the cohort, for the pseudonym key and the files that name patients.
    pub private_dir: PathBuf,
    /// Where the reports are.
    pub reports: Reports,
    /// Which studies take part.
    #[serde(default)]
    pub include: Include,
    /// How patients are shared out.
    pub split: SplitRule,
}

/// Sources of reports; several may be given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reports {
    /// IANA name of the hospital's time zone. Times that carry an offset are brought to it; times
    /// without one are taken to be in it, as the scanners' are.
    pub time_zone: Option<String>,
    /// Tables with one report a row.
    pub csv: Vec<CsvSource>,
    /// HL7 v2 ORU^R01 messages: files, or folders of files.
    pub hl7: Vec<PathBuf>,
    /// FHIR R4 `DiagnosticReport` as JSON or NDJSON: files, or folders of files.
    pub fhir: Vec<PathBuf>,
}

/// One table of reports.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvSource {
    /// The file.
    pub path: PathBuf,
    /// One character between fields.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// How dates are written, in the notation of `strptime`.
    #[serde(default = "iso_date")]
    pub date_format: String,
    /// How points of time are written.
    #[serde(default = "iso_time")]
    pub time_format: String,
    /// Which column holds what.
    pub columns: Columns,
    /// Words of the table for the words of the cohort, by field (`setting`, `insurance`,
    /// `county_density`): `{ setting = { "ED" = "emergency" } }`.
    #[serde(default)]
    pub words: BTreeMap<String, BTreeMap<String, String>>,
}

/// Names of columns; `text`, or `findings` and `impression`, and one way to join are needed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    /// The whole report.
    pub text: Option<String>,
    /// Sections in columns of their own.
    pub indication: Option<String>,
    /// As above.
    pub technique: Option<String>,
    /// As above.
    pub comparison: Option<String>,
    /// As above.
    pub findings: Option<String>,
    /// As above.
    pub impression: Option<String>,
    /// Accession number.
    pub accession: Option<String>,
    /// Study Instance UID.
    pub study_uid: Option<String>,
    /// Patient id.
    pub patient_id: Option<String>,
    /// Day of the study.
    pub study_date: Option<String>,
    /// Point of time at which the report was final.
    pub finalised: Option<String>,
    /// Columns with names of persons, which are removed from the report.
    pub names: Vec<String>,
    /// Columns with other identifiers, which are removed from the report.
    pub identifiers: Vec<String>,
    /// Ward, home or emergency.
    pub setting: Option<String>,
    /// Who pays.
    pub insurance: Option<String>,
    /// How densely the county is settled.
    pub county_density: Option<String>,
}

/// Which studies take part. The default is the paper's rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Include {
    /// Whole words, of which Body Part Examined, a study, series or procedure description holds
    /// at least one.
    pub words: Vec<String>,
    /// Fewest usable series.
    pub min_series: usize,
    /// Last day of acquisition.
    #[serde(deserialize_with = "day")]
    pub last_date: Option<Date>,
    /// Decode all pixels, so that a corrupt image is found now and not in training.
    pub check_pixels: bool,
}

impl Default for Include {
    fn default() -> Self {
        let words = [
            "head",
            "brain",
            "orbit",
            "orbits",
            "orbital",
            "face",
            "facial",
            "neck",
            "headneck",
            "headandneck",
            "iac",
            "iacs",
            "pituitary",
            "sella",
            "skull",
            "cranial",
            "cranium",
            "intracranial",
            "cerebral",
            "brainstem",
            "cerebrum",
            "cerebellum",
            "kopf",
            "schaedel",
            "schädel",
            "cerveau",
            "encephale",
            "encéphale",
            "cabeza",
            "cerebro",
            "craneo",
        ];
        Self {
            words: words.map(String::from).to_vec(),
            min_series: 2,
            last_date: None,
            check_pixels: true,
        }
    }
}

/// How patients are shared out: test by date, the rest by a hash of the patient.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitRule {
    /// Studies from this day on are the test split; or give `test_last_percent`.
    #[serde(default, deserialize_with = "day")]
    pub test_from: Option<Date>,
    /// The most recent studies, in percent, are the test split; or give `test_from`.
    pub test_last_percent: Option<f64>,
    /// Percent of the other patients whose studies are the validation split.
    pub validation_percent: f64,
    /// Changes who is in the validation split.
    #[serde(default)]
    pub salt: String,
}

/// A day as `"2023-05-30"`, quoted or not.
fn day<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Date>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Toml(toml::value::Datetime),
        Text(String),
    }
    let text = match Written::deserialize(from)? {
        Written::Toml(day) => day.to_string(),
        Written::Text(text) => text,
    };
    text.parse().map(Some).map_err(|_| {
        serde::de::Error::custom(format!("\"{text}\" is no day: write it as \"2023-05-30\""))
    })
}

fn comma() -> char {
    ','
}

fn iso_date() -> String {
    "%Y-%m-%d".into()
}

fn iso_time() -> String {
    "%Y-%m-%d %H:%M:%S".into()
}

impl Config {
    /// Reads and checks a configuration; relative paths in it start at the file's folder.
    ///
    /// # Errors
    /// When the file cannot be read, has an unknown key or a value that cannot work.
    pub fn load(path: &Path) -> Result<Self, CurateError> {
        let text = fs::read_to_string(path).map_err(|source| CurateError::Read {
            what: "configuration",
            path: path.into(),
            source,
        })?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| CurateError::Config { path: path.into(), what: error.to_string() })?;
        let base = path.parent().unwrap_or(Path::new(""));
        config.resolve(base);
        config.check().map_err(|what| CurateError::Config { path: path.into(), what })?;
        Ok(config)
    }

    fn resolve(&mut self, base: &Path) {
        let reports = &mut self.reports;
        let tables = reports.csv.iter_mut().map(|source| &mut source.path);
        let paths = self.dicom.iter_mut().chain([&mut self.private_dir]);
        for path in paths.chain(&mut reports.hl7).chain(&mut reports.fhir).chain(tables) {
            *path = base.join(&*path);
        }
    }

    /// What is wrong, as a sentence that names the key.
    fn check(&self) -> Result<(), String> {
        if self.dicom.is_empty() {
            return Err("dicom is empty: name at least one folder of DICOM files".into());
        }
        let reports = &self.reports;
        if reports.csv.is_empty() && reports.hl7.is_empty() && reports.fhir.is_empty() {
            return Err("reports names no source: give reports.csv, reports.hl7 or reports.fhir, \
                        because a study without a report cannot take part"
                .into());
        }
        if let Some(name) = &reports.time_zone
            && jiff::tz::TimeZone::get(name).is_err()
        {
            return Err(format!(
                "reports.time_zone is \"{name}\", which is no known time zone: give an IANA name \
                 such as \"America/Detroit\""
            ));
        }
        reports.csv.iter().try_for_each(CsvSource::check)?;
        if self.include.min_series == 0 {
            return Err("include.min_series is 0: give at least 1 (the paper's rule is 2)".into());
        }
        if self.include.words.is_empty() {
            return Err("include.words is empty: no study could take part".into());
        }
        self.split.check()
    }
}

impl CsvSource {
    fn check(&self) -> Result<(), String> {
        let columns = &self.columns;
        let path = self.path.display();
        if columns.text.is_none() && columns.findings.is_none() && columns.impression.is_none() {
            return Err(format!(
                "reports.csv of {path} maps no report: name columns.text, or columns.findings and \
                 columns.impression"
            ));
        }
        let dated = columns.patient_id.is_some() && columns.study_date.is_some();
        if columns.accession.is_none() && columns.study_uid.is_none() && !dated {
            return Err(format!(
                "reports.csv of {path} cannot be joined: name columns.accession, \
                 columns.study_uid, or columns.patient_id with columns.study_date"
            ));
        }
        if !self.delimiter.is_ascii() {
            return Err(format!("reports.csv of {path}: delimiter must be one ASCII character"));
        }
        let known = ["setting", "insurance", "county_density"];
        match self.words.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(format!(
                "reports.csv of {path}: words.{key} is unknown, expected one of {}",
                known.join(", ")
            )),
            None => Ok(()),
        }
    }
}

impl SplitRule {
    fn check(&self) -> Result<(), String> {
        let percent = |key: &str, value: f64| {
            if (0.0..100.0).contains(&value) {
                Ok(())
            } else {
                Err(format!("split.{key} is {value}: give a percentage from 0 to below 100"))
            }
        };
        match (self.test_from, self.test_last_percent) {
            (Some(_), None) => {}
            (None, Some(value)) => percent("test_last_percent", value)?,
            _ => {
                return Err("split needs exactly one of test_from (a date) and \
                            test_last_percent"
                    .into());
            }
        }
        percent("validation_percent", self.validation_percent)
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    const GOOD: &str = "dicom = ['pacs']\nprivate_dir = 'private'\nreports.hl7 = ['hl7']\n\
                        split = { test_last_percent = 10, validation_percent = 10 }\n";

    fn complaint(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("curate.toml");
        std::fs::write(&path, text).unwrap();
        match Config::load(&path) {
            Ok(_) => String::new(),
            Err(error) => error.to_string().replace(&format!("{}/", dir.path().display()), ""),
        }
    }

    #[test]
    fn the_shipped_configuration_loads() {
        assert_eq!(complaint(include_str!("../../configs/curate.toml")), "");
    }

    #[test]
    fn bad_configurations_are_refused_with_the_key() {
        assert_eq!(complaint(GOOD), "");
        for (change, with, expected) in [
            ("['pacs']", "[]", "dicom is empty: name at least one folder of DICOM files"),
            (
                "reports.hl7 = ['hl7']",
                "reports = {}",
                "reports names no source: give reports.csv, reports.hl7 or reports.fhir, because \
                 a study without a report cannot take part",
            ),
            (
                "test_last_percent = 10,",
                "",
                "split needs exactly one of test_from (a date) and test_last_percent",
            ),
            (
                "validation_percent = 10",
                "validation_percent = 100",
                "split.validation_percent is 100: give a percentage from 0 to below 100",
            ),
            (
                "reports.hl7 = ['hl7']",
                "reports.csv = [{ path = 'r.csv', columns = { text = 'T' } }]",
                "reports.csv of r.csv cannot be joined: name columns.accession, \
                 columns.study_uid, or columns.patient_id with columns.study_date",
            ),
        ] {
            let found = complaint(&GOOD.replace(change, with));
            assert_eq!(found, format!("the configuration curate.toml cannot be used: {expected}"));
        }
        let found = complaint(&format!("dicom_dir = 'x'\n{GOOD}"));
        assert!(found.contains("unknown field `dicom_dir`"), "{found}");
    }
}
