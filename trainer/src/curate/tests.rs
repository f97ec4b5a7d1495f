//! One export with a study for every way in and out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::open_file;
use models::dicom::decoder::{Decoder, DecoderLimits};
use models::dicom::read::{Limits, read_study};
use models::dicom::select::Selection;
use models::dicom::series::read_stack;
use models::study::Stack;
use tempfile::TempDir;

use super::exclusion::Exclusion;
use super::{Config, CurateError, Summary, curate};
use crate::cohort::record::{Setting, Sex, Split, StudyRecord};
use crate::cohort::{Cohort, CohortKind};

use crate::phantom::{Layout, Plane, SeriesSpec, write_series};

/// One study of the export.
struct Case<'a> {
    uid: &'a str,
    patient: &'a str,
    accession: &'a str,
    date: &'a str,
    description: &'a str,
    series: &'a [SeriesSpec],
}

const NAME: &str = "Quux^Ada^Mirabelle";

impl Case<'_> {
    fn write(&self, root: &Path) {
        for (index, spec) in self.series.iter().enumerate() {
            // Folders as some archives make them: with the patient's name in the path.
            let folder = root.join(format!("Quux_Ada/{}/{index}", self.uid));
            let uid = format!("{}.{index}", self.uid);
            let spec = SeriesSpec {
                study_uid: self.uid.into(),
                uid,
                number: i64::try_from(index).unwrap() + 1,
                ..spec.clone()
            };
            write_series(&folder, &spec).unwrap();
            for file in fs::read_dir(folder).unwrap() {
                self.stamp(&file.unwrap().path());
            }
        }
    }

    fn stamp(&self, path: &Path) {
        let mut object = open_file(path).unwrap();
        for (tag, vr, value) in [
            (tags::PATIENT_NAME, VR::PN, NAME),
            (tags::PATIENT_ID, VR::LO, self.patient),
            (tags::PATIENT_BIRTH_DATE, VR::DA, "19290102"),
            (tags::PATIENT_AGE, VR::AS, "092Y"),
            (tags::PATIENT_SEX, VR::CS, "F"),
            (tags::ACCESSION_NUMBER, VR::SH, self.accession),
            (tags::STUDY_DATE, VR::DA, self.date),
            (tags::STUDY_TIME, VR::TM, "093000"),
            (tags::ACQUISITION_TIME, VR::TM, "101500.25"),
            (tags::STUDY_DESCRIPTION, VR::LO, self.description),
            (tags::REFERRING_PHYSICIAN_NAME, VR::PN, "House^Gregory"),
            (tags::OPERATORS_NAME, VR::PN, "Wilsonius^J"),
            (tags::INSTITUTION_NAME, VR::LO, "Saint Elsewhere"),
            (tags::STATION_NAME, VR::SH, "AWP45123"),
            (tags::MANUFACTURER, VR::LO, "SIEMENS"),
            (tags::MANUFACTURER_MODEL_NAME, VR::LO, "Skyra"),
            (tags::MAGNETIC_FIELD_STRENGTH, VR::DS, "30000"),
            (tags::IMAGE_COMMENTS, VR::LT, "call 734-555-0199"),
            (Tag(0x0029, 0x0020), VR::LO, "QUUX PRIVATE"),
            (Tag(0x0029, 0x2001), VR::LO, "Quux Ada"),
        ] {
            object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
        }
        object.write_to_file(path).unwrap();
    }
}

fn message(accession: &str, patient: &str, text: &str) -> String {
    format!(
        "\u{b}MSH|^~\\&|RIS|H|CDR|H|20210309170212||ORU^R01|1|P|2.5.1\r\
         PID|1||{patient}^^^H^MR||Quux^Ada^Mirabelle||19290102|F\rPV1|1|E\r\
         OBR|1||{accession}|70553|||20210309101500|||||||||99^House^Gregory||||||20210309164500|||F\r\
         OBX|1|FT|18782-3||{text}||||||F\r\u{1c}\r"
    )
}

const REPORT: &str = "INDICATION: Ms. Quux, 92-year-old, fell 03/08/2021.\\.br\\COMPARISON: MRI from \
    3/9/2020.\\.br\\FINDINGS:\\.br\\White matter T2 change. 12 mm meningioma.\\.br\\IMPRESSION:\\.br\\\
    Meningioma. Discussed with Dr. Cuddy at 4:15 PM.\\.br\\Electronically signed by: Gregory House MD";

/// A screenshot in the first study, pixels cut off in the seventh, and rubbish.
fn spoil(pacs: &Path) {
    let first = pacs.join("Quux_Ada/1.2.99.1/0/S001_IM0001.dcm");
    let mut screenshot = open_file(&first).unwrap();
    screenshot.put(DataElement::new(
        tags::BURNED_IN_ANNOTATION,
        VR::CS,
        PrimitiveValue::from("YES"),
    ));
    screenshot.write_to_file(pacs.join("screen.dcm")).unwrap();
    for file in fs::read_dir(pacs.join("Quux_Ada/1.2.99.7/0")).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 400]).unwrap();
    }
    fs::write(pacs.join("empty"), "").unwrap();
    fs::write(pacs.join("Quux.txt"), "Ada Quux").unwrap();
}

/// Messages, a table, and the configuration that names them.
fn write_reports(dir: &Path) {
    fs::create_dir(dir.join("hl7")).unwrap();
    let messages: Vec<String> = ["ACC9001", "ACC9002", "ACC9005", "ACC9007"]
        .iter()
        .zip(["8812345", "8812345", "8812347", "8812348"])
        .map(|(accession, patient)| message(accession, patient, REPORT))
        .collect();
    fs::write(dir.join("hl7/all.hl7"), messages.concat()).unwrap();
    fs::write(dir.join("hl7/bad.hl7"), "PID|1").unwrap();
    let table = "MRN;Day;Report\n8812346;2020-01-01;\"IMPRESSION: Normal.\"\n";
    fs::write(dir.join("reports.csv"), table).unwrap();
    let config = "dicom = ['pacs']\nprivate_dir = 'private'\n\
        [reports]\nhl7 = ['hl7']\n\
        [[reports.csv]]\npath = 'reports.csv'\ndelimiter = ';'\n\
        columns = { patient_id = 'MRN', study_date = 'Day', text = 'Report' }\n\
        [split]\ntest_from = '2021-01-01'\nvalidation_percent = 0\n";
    fs::write(dir.join("curate.toml"), config).unwrap();
}

struct Site {
    dir: TempDir,
}

impl Site {
    fn export() -> Self {
        let dir = TempDir::new().unwrap();
        let pacs = dir.path().join("pacs");
        let flair = SeriesSpec { description: "AX T2 FLAIR QUUX".into(), ..SeriesSpec::default() };
        let sagittal = SeriesSpec {
            description: "SAG T1".into(),
            plane: Plane::Sagittal,
            seed: 5,
            ..SeriesSpec::default()
        };
        let mosaic = SeriesSpec {
            description: "ep2d_diff".into(),
            layout: Layout::Mosaic,
            b_values: vec![0.0, 1000.0],
            ..SeriesSpec::default()
        };
        let enhanced = SeriesSpec { layout: Layout::Enhanced, ..flair.clone() };
        let ct = SeriesSpec {
            modality: "CT".into(),
            sop_class: uids::CT_IMAGE_STORAGE.into(),
            ..SeriesSpec::default()
        };
        let spine = SeriesSpec { protocol: "SPINE".into(), ..sagittal.clone() };
        let two = [flair.clone(), sagittal.clone()];
        let localiser = SeriesSpec { description: "localizer".into(), slices: 3, ..flair.clone() };
        let head = "MRI HEAD Quux 03/09/2021";
        let case = |uid, patient, accession, date, series| Case {
            uid,
            patient,
            accession,
            date,
            description: head,
            series,
        };
        for case in [
            case("1.2.99.1", "8812345", "ACC9001", "20210309", &two[..]),
            case("1.2.99.2", "8812345", "ACC9002", "20200309", &two),
            case("1.2.99.3", "8812346", "", "20200101", &[mosaic, enhanced, localiser.clone()]),
            Case {
                description: "MRI LUMBAR SPINE",
                ..case("1.2.99.4", "1", "A4", "20200101", &[spine])
            },
            case("1.2.99.5", "8812347", "ACC9005", "20200101", &[flair, localiser]),
            case("1.2.99.6", "8812347", "ACC9006", "20200102", &two),
            case("1.2.99.7", "8812348", "ACC9007", "20200103", &two),
            case("1.2.99.8", "8812349", "ACC9008", "20200103", &[ct]),
            case("1.2.99.9", "8812350", "ACC9001", "20200103", &two),
        ] {
            case.write(&pacs);
        }
        spoil(&pacs);
        write_reports(dir.path());
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn curate(&self, output: &str) -> Result<Summary, CurateError> {
        let config = Config::load(&self.path("curate.toml"))?;
        curate(&config, &self.path(output), &decoder(), &|_, _, _| {})
    }

    fn records(&self, output: &str) -> Vec<StudyRecord> {
        let text = fs::read_to_string(self.path(output).join("cohort.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn decoder() -> Decoder {
    Decoder::new("unused".into(), Vec::new(), DecoderLimits::default())
}

fn stacks(folder: &Path) -> Vec<(String, Option<String>, Stack)> {
    let study = read_study(folder, Limits::default(), &Selection::built_in().unwrap()).unwrap();
    let stack = |series| read_stack(series, &decoder()).unwrap().0;
    study.series.iter().map(|s| (s.name.clone(), s.part.clone(), stack(s))).collect()
}

/// Every file below a folder, by its path in it.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = super::report_files::files_under(folder).unwrap().files;
    let inside = |path: &PathBuf| path.strip_prefix(folder).unwrap().to_owned();
    files.iter().map(|path| (inside(path), fs::read(path).unwrap())).collect()
}

#[test]
fn every_study_is_counted_once_and_nothing_names_the_patient() {
    let site = Site::export();
    let summary = site.curate("cohort").unwrap();
    let counts = &summary.counts;
    assert_eq!((counts.studies, counts.included), (9, 2));
    let expected = [
        (Exclusion::NotMr, 1),
        (Exclusion::OtherBodyPart, 1),
        (Exclusion::NoReport, 1),
        (Exclusion::ReportOfAnotherPatient, 1),
        (Exclusion::FewSeries, 1),
        (Exclusion::Corrupt, 1),
        (Exclusion::TestPatient, 1),
    ];
    assert_eq!(counts.exclusions, expected.into());

    let mut records = site.records("cohort");
    records.sort_by_key(|record| record.day);
    let [early, late] = &records[..] else { panic!("{records:?}") };
    assert_eq!((early.split, early.day), (Split::Train, 0));
    assert_eq!((late.split, late.day), (Split::Test, 433));
    assert_eq!(late.report.indication, "Ms. [name], 90-year-old, fell [date].");
    assert_eq!(late.report.comparison, "MRI from [date].");
    assert_eq!(late.report.findings, "White matter T2 change. 12 mm meningioma.");
    assert_eq!(late.report.impression, "Meningioma. Discussed with Dr. [name] at [time].");
    assert_eq!(late.description.trim(), "MRI HEAD");
    let person = &late.demographics;
    assert_eq!(
        (person.age_years, person.sex, person.field_t),
        (Some(90.0), Some(Sex::Female), Some(3.0))
    );
    assert_eq!((person.setting, person.weekday), (Some(Setting::Emergency), Some(1)));
    assert_eq!(person.turnaround_h, Some(6.5));

    let cohort = site.path("cohort");
    let forbidden = [
        "Quux",
        "QUUX",
        "Mirabelle",
        "House",
        "Wilsonius",
        "Cuddy",
        "Elsewhere",
        "AWP45123",
        "88123",
        "ACC90",
        "1.2.99.",
        "20210309",
        "03/09",
        "19290102",
        "555-0199",
        "pacs",
    ];
    for (path, bytes) in contents(&cohort) {
        let text: String = bytes.iter().copied().map(char::from).collect();
        for word in forbidden {
            assert!(!text.contains(word), "{word} is in {}", path.display());
            assert!(!path.to_string_lossy().contains(word), "{word} is in {}", path.display());
        }
    }
    let private = fs::read_to_string(site.path("private/pseudonyms.local.jsonl")).unwrap();
    assert!(private.contains("8812345") && private.contains("Quux.txt"));
}

#[test]
fn later_stages_open_the_cohort() {
    let site = Site::export();
    site.curate("cohort").unwrap();
    let cohort = Cohort::open(&site.path("cohort")).unwrap();
    assert_eq!(cohort.header.kind, CohortKind::Clinical);
    assert_eq!(cohort.header.source, "2 studies of 2 patients from a hospital's archive");
    let studies = [("test".to_owned(), 1), ("train".to_owned(), 1)];
    assert_eq!(cohort.header.studies, studies.into());
    assert_eq!(cohort.records, site.records("cohort"));
}

#[test]
fn images_are_read_back_as_they_were() {
    let site = Site::export();
    site.curate("cohort").unwrap();
    for record in site.records("cohort") {
        let uid = if record.split == Split::Test { "1.2.99.1" } else { "1.2.99.3" };
        let before = stacks(&site.path("pacs/Quux_Ada").join(uid));
        let after = stacks(&site.path("cohort/studies").join(&record.id));
        assert_eq!(before.len(), after.len(), "{uid}");
        for ((name, part, stack), (new_name, new_part, new_stack)) in before.iter().zip(&after) {
            assert_eq!((part, stack), (new_part, new_stack), "{uid}");
            assert_eq!(*new_name, name.replace("_QUUX", ""));
        }
    }
}

#[test]
fn the_same_export_gives_the_same_bytes() {
    let site = Site::export();
    site.curate("one").unwrap();
    site.curate("two").unwrap();
    assert_eq!(contents(&site.path("one")), contents(&site.path("two")));
}

#[test]
fn what_cannot_work_is_said() {
    let site = Site::export();
    let complain = |output: &str| {
        let error = site.curate(output).unwrap_err();
        error.to_string().replace(&format!("{}/", site.dir.path().display()), "")
    };
    assert_eq!(
        complain("private/cohort"),
        "private_dir private and the cohort folder private/cohort lie in each other: the key and \
         the files that name patients must stay outside the cohort"
    );
    assert_eq!(
        complain("pacs"),
        "the cohort folder pacs is not empty: name a new folder, or remove this one"
    );
    let config = fs::read_to_string(site.path("curate.toml")).unwrap();
    let write = |text: &str| fs::write(site.path("curate.toml"), text).unwrap();
    write(&config.replace("hl7 = ['hl7']", "hl7 = ['hl7/bad.hl7']"));
    assert_eq!(
        complain("a"),
        "no report could be read from hl7/bad.hl7: does not begin with an MSH segment"
    );
    write(&config.replace("[split]", "[include]\nwords = ['knee']\n[split]"));
    assert_eq!(
        complain("b"),
        "no study of 9 passed the inclusion rules; most were left out because: not head, brain, \
         orbits, face or neck; b/rejected.jsonl lists every study"
    );
    write(&config.replace("2021-01-01", "2019-01-01"));
    assert_eq!(
        complain("c"),
        "no study of the 3 in the cohort is left to train on: split.test_from is 2019-01-01, and \
         every patient has a study on or after that day: give a later day"
    );
}
