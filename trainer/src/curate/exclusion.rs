//! Why a study is not in the cohort: the steps of the paper's flow chart, in its order. A study is
//! counted at the first that applies.

use serde::Serialize;

/// A reason to leave a study out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exclusion {
    /// No file of the study holds an MR image.
    NotMr,
    /// Neither body part nor a description says head, brain, orbits, face or neck.
    OtherBodyPart,
    /// Acquired after the last day of the cohort.
    TooLate,
    /// Without patient id or study date it cannot be put into a split.
    NoMetadata,
    /// No report could be joined, or none with findings or impression.
    NoReport,
    /// The accession number's report is about another patient.
    ReportOfAnotherPatient,
    /// Fewer usable series than asked for.
    FewSeries,
    /// Files or pixels of too many series cannot be read.
    Corrupt,
    /// An identifier is still there after de-identification.
    NotDeidentified,
    /// Earlier study of a patient of the test split.
    TestPatient,
}

impl Exclusion {
    /// All of them, in the order of the flow chart.
    pub const ALL: [Self; 10] = [
        Self::NotMr,
        Self::OtherBodyPart,
        Self::TooLate,
        Self::NoMetadata,
        Self::NoReport,
        Self::ReportOfAnotherPatient,
        Self::FewSeries,
        Self::Corrupt,
        Self::NotDeidentified,
        Self::TestPatient,
    ];

    /// The words of the flow chart.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NotMr => "No MR image",
            Self::OtherBodyPart => "Not head, brain, orbits, face or neck",
            Self::TooLate => "After the last day of the cohort",
            Self::NoMetadata => "No patient id or study date",
            Self::NoReport => "No radiology report",
            Self::ReportOfAnotherPatient => "Report is about another patient",
            Self::FewSeries => "Too few usable series",
            Self::Corrupt => "Corrupt data",
            Self::NotDeidentified => "Could not be de-identified",
            Self::TestPatient => "Earlier study of a test patient",
        }
    }
}
