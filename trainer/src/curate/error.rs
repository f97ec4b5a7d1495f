//! Why curation stops. Bad files and unusable studies never stop it; they are listed.

use std::io;
use std::path::PathBuf;

use models::table::TableError;

use crate::cohort::CohortError;

/// What a person has to put right before curation can run.
#[derive(Debug, thiserror::Error)]
pub enum CurateError {
    /// A file or folder that the configuration names cannot be read.
    #[error("the {what} {} cannot be read: check that it exists and its permissions", path.display())]
    Read {
        /// What it is for.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file of the cohort or of the private folder cannot be written.
    #[error("{} cannot be written: check free space and permissions", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The configuration cannot work.
    #[error("the configuration {} cannot be used: {what}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The key and what to do.
        what: String,
    },
    /// A table of reports lacks a column that the configuration names.
    #[error(
        "{} has no column \"{column}\", which columns.{key} names; it has: {}",
        path.display(), found.join(", ")
    )]
    Column {
        /// The table.
        path: PathBuf,
        /// Key of the configuration.
        key: String,
        /// The column it names.
        column: String,
        /// Columns of the table.
        found: Vec<String>,
    },
    /// No report could be read from a source.
    #[error("no report could be read from {}: {what}", path.display())]
    NoReports {
        /// The source.
        path: PathBuf,
        /// What was expected, or what the first bad file was about.
        what: String,
    },
    /// The cohort folder is in use.
    #[error("the cohort folder {} is not empty: name a new folder, or remove this one", path.display())]
    OutputInUse {
        /// The folder.
        path: PathBuf,
    },
    /// The private folder is inside the cohort or the other way round.
    #[error(
        "private_dir {} and the cohort folder {} lie in each other: the key and the files that \
         name patients must stay outside the cohort",
        private.display(), output.display()
    )]
    PrivateInside {
        /// The private folder.
        private: PathBuf,
        /// The cohort folder.
        output: PathBuf,
    },
    /// The key file is no key.
    #[error(
        "{} is no pseudonym key: expected 64 hexadecimal digits, found {found} character(s); \
         restore it from its backup, or remove it to begin with new pseudonyms",
        path.display()
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// Length of what is there.
        found: usize,
    },
    /// No study passed the inclusion rules.
    #[error(
        "no study of {studies} passed the inclusion rules; most were left out because: {reason}; \
         {} lists every study",
        rejected.display()
    )]
    EmptyCohort {
        /// Studies found.
        studies: usize,
        /// The most frequent reason.
        reason: String,
        /// The list.
        rejected: PathBuf,
    },
    /// Every study went to the other splits.
    #[error("no study of the {studies} in the cohort is left to train on: {what}")]
    NoTraining {
        /// Studies in the cohort.
        studies: usize,
        /// The key and what to do.
        what: String,
    },
    /// The rules for series that ship with this program.
    #[error("series cannot be selected")]
    Selection(#[from] TableError),
    /// The cohort's own files are refused or cannot be written.
    #[error(transparent)]
    Cohort(#[from] CohortError),
    /// One patient's studies are in two splits.
    #[error(
        "patient {patient} is in two splits: study {first} is in {first_split}, study {second} \
         in {second_split}; curate again, or put both into one split"
    )]
    PatientInTwoSplits {
        /// Pseudonym.
        patient: String,
        /// A study.
        first: String,
        /// Its split.
        first_split: &'static str,
        /// Another study.
        second: String,
        /// Its split.
        second_split: &'static str,
    },
    /// Two records of one study.
    #[error("study {id} occurs twice in the cohort: remove one of the two lines")]
    DuplicateStudy {
        /// Pseudonym.
        id: String,
    },
}
