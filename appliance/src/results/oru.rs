//! A result as an HL7 version 2.5.1 message, ORU^R01 (chapter 7.3.1), for systems that take no
//! DICOM: a radiology information system, an interface engine. It says what the structured report
//! says, is preliminary, and carries no image.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use jiff::Timestamp;
use models::dicom::parse::DataSet;

use super::content::PRIVATE;
use super::identity;
use crate::inference::TriageResult;
use crate::triage::{Assessment, Finding};

/// Said before anything else.
const CAVEAT: &str = "AI result - preliminary - not a diagnosis - not verified";
/// Said behind it of a study that is not whole.
const PARTIAL: &str = "announced images were missing; the result is of the images that came";
/// Longest Message Control ID (MSH-10).
const LONGEST_CONTROL_ID: usize = 20;

/// Who writes to whom (MSH-3 to MSH-6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parties {
    /// Our AE title.
    pub sending_application: String,
    /// Name of the site.
    pub sending_facility: String,
    /// As the receiver wants to be called.
    pub receiving_application: String,
    /// As the receiver's house wants to be called.
    pub receiving_facility: String,
}

/// Message Control ID: the same for the same result and receiver, so that a receiver can tell that
/// a message was sent twice.
pub(super) fn control_id(epoch: &str, inference_id: i64, receiver: &str) -> String {
    let uid = super::uid(&[epoch, "message", &inference_id.to_string(), receiver]);
    // The last digits: the first are those of a small range.
    uid.get(uid.len().saturating_sub(LONGEST_CONTROL_ID)..).unwrap_or(&uid).to_owned()
}

/// What is said of whom.
pub struct Message<'a> {
    /// Header of an image of the study.
    pub identity: &'a DataSet,
    /// When the result was there, box time in milliseconds.
    pub finished_at: i64,
    /// What the model said.
    pub result: &'a TriageResult,
    /// What the rules made of it.
    pub assessment: &'a Assessment,
    /// SHA-256 of the model's manifest.
    pub model_digest: &'a str,
    /// Announced images were missing.
    pub partial: bool,
    /// Who writes to whom.
    pub parties: &'a Parties,
    /// Message Control ID.
    pub control_id: &'a str,
}

impl Message<'_> {
    /// The message: segments that end with a carriage return, in UTF-8.
    #[must_use]
    pub fn write(&self) -> String {
        let mut segments = vec![self.header(), self.patient(), self.visit()];
        segments.extend(self.order());
        segments.extend(self.observations());
        segments.into_iter().map(|segment| segment + "\r").collect()
    }

    fn time(&self) -> String {
        let time = Timestamp::from_millisecond(self.finished_at).unwrap_or_default();
        time.strftime("%Y%m%d%H%M%S+0000").to_string()
    }

    /// An attribute of the image.
    fn text(&self, tag: Tag) -> String {
        escape(&self.identity.texts(tag).join("\\"))
    }

    fn header(&self) -> String {
        let Parties {
            sending_application,
            sending_facility,
            receiving_application,
            receiving_facility,
        } = self.parties;
        let time = self.time();
        // MSH-1 is the separator itself.
        let fields = [
            (2, "^~\\&"),
            (3, &escape(sending_application)),
            (4, &escape(sending_facility)),
            (5, &escape(receiving_application)),
            (6, &escape(receiving_facility)),
            (7, &time),
            (9, "ORU^R01^ORU_R01"),
            (10, self.control_id),
            (11, "P"),
            (12, "2.5.1"),
            (18, "UNICODE UTF-8"),
        ];
        segment("MSH", &fields.map(|(number, value)| (number - 1, value)))
    }

    fn patient(&self) -> String {
        let id = self.text(tags::PATIENT_ID);
        let id = match self.text(tags::ISSUER_OF_PATIENT_ID) {
            issuer if issuer.is_empty() => id,
            issuer => format!("{id}^^^{issuer}"),
        };
        let sex = self.text(tags::PATIENT_SEX);
        let sex = if matches!(sex.as_str(), "M" | "F" | "O") { sex.as_str() } else { "U" };
        segment(
            "PID",
            &[
                (1, "1"),
                (3, &id),
                (5, &name(&self.identity.texts(tags::PATIENT_NAME))),
                (7, &self.text(tags::PATIENT_BIRTH_DATE)),
                (8, sex),
            ],
        )
    }

    /// Nothing is known of the visit but who asked.
    fn visit(&self) -> String {
        let doctor = name(&self.identity.texts(tags::REFERRING_PHYSICIAN_NAME));
        let doctor = if doctor.is_empty() { doctor } else { format!("^{doctor}") };
        segment("PV1", &[(1, "1"), (2, "U"), (8, &doctor)])
    }

    /// The order that is answered: its number at who placed it, and at the department.
    fn order(&self) -> [String; 2] {
        let accession = self.text(tags::ACCESSION_NUMBER);
        let placer = self.text(tags::PLACER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST);
        let known = [&accession, &escape(&identity::study_uid(self.identity))];
        let filler = known.into_iter().find(|id| !id.is_empty()).cloned().unwrap_or_default();
        let time = |tag| {
            let text = self.text(tag);
            // Fractions of a second, and colons of old files, say nothing here.
            text.chars().take_while(|c| *c != '.').filter(char::is_ascii_digit).collect::<String>()
        };
        let performed = match time(tags::STUDY_DATE) {
            date if date.is_empty() => date,
            date => date + &time(tags::STUDY_TIME),
        };
        [
            segment("ORC", &[(1, "RE"), (2, &placer), (3, &filler)]),
            segment(
                "OBR",
                &[
                    (1, "1"),
                    (2, &placer),
                    (3, &filler),
                    (4, "24590-2^MR Brain^LN"),
                    (7, &performed),
                    (18, &accession),
                    (22, &self.time()),
                    (24, "RAD"),
                    (25, "P"),
                ],
            ),
        ]
    }

    fn observations(&self) -> Vec<String> {
        let comment = ["TX", "121106^Comment^DCM"];
        let study_uid = escape(&identity::study_uid(self.identity));
        let mut all = vec![Observation::of(comment, CAVEAT.to_owned())];
        all.extend(self.partial.then(|| Observation::of(comment, PARTIAL.to_owned())));
        all.push(Observation::of(["ST", "110180^Study Instance UID^DCM"], study_uid));
        let findings = self.assessment.findings.iter().enumerate();
        all.extend(findings.map(|(place, finding)| self.finding(place + 1, finding)));
        let acuity = self.assessment.acuity.word();
        all.push(Observation::of(
            ["CE", &private("priority", "Triage priority")],
            private(acuity, acuity),
        ));
        for (place, reason) in self.assessment.acuity_from.iter().enumerate() {
            let code = private("priority_from", "Reason of the priority");
            let explained = Observation::of(["TX", &code], escape(&reason.text));
            all.push(Observation { group: place + 1, ..explained });
        }
        for (place, referral) in self.assessment.referrals.iter().enumerate() {
            let service = referral.service.replace('_', " ");
            let urgency = referral.urgency.word();
            let reason = lines(&format!("{service}, {urgency}: {}", referral.reason));
            let named = Observation::of(
                ["CE", &private("referral", "Referral recommended")],
                private(&referral.service, &service),
            );
            let explained = Observation::of(
                ["TX", &private("referral_reason", "Reason of the referral")],
                reason,
            );
            all.extend([named, explained].map(|one| Observation { group: place + 1, ..one }));
        }
        all.push(Observation::of(comment, escape(&self.result.model.statement)));
        let time = self.time();
        (1_usize..).zip(&all).map(|(number, one)| one.segment(number, &time)).collect()
    }

    /// One finding: its probability where the model is calibrated, else how far the output lies
    /// above the threshold.
    fn finding(&self, group: usize, finding: &Finding) -> Observation {
        let (what, value) = match finding.probability {
            Some(probability) => ("122157^Probability^DCM".to_owned(), probability),
            None => (private("margin", "Model output minus its threshold"), finding.margin),
        };
        let version = self.model_digest.get(..16).unwrap_or(self.model_digest);
        let label = private(&finding.label, &finding.name);
        Observation {
            group,
            units: "1^no units^UCUM",
            flag: "A",
            method: private(&self.result.model.id, version),
            ..Observation::of(["NM", &format!("{label}^{what}")], format!("{value:.6}"))
        }
    }
}

/// An OBX segment; values are escaped already.
struct Observation {
    value_type: String,
    identifier: String,
    value: String,
    /// Observations of one finding or referral; 0 for none.
    group: usize,
    units: &'static str,
    flag: &'static str,
    method: String,
}

impl Observation {
    fn of([value_type, identifier]: [&str; 2], value: String) -> Self {
        Self {
            value_type: value_type.to_owned(),
            identifier: identifier.to_owned(),
            value,
            group: 0,
            units: "",
            flag: "",
            method: String::new(),
        }
    }

    fn segment(&self, number: usize, time: &str) -> String {
        let group = if self.group == 0 { String::new() } else { self.group.to_string() };
        segment(
            "OBX",
            &[
                (1, &number.to_string()),
                (2, &self.value_type),
                (3, &self.identifier),
                (4, &group),
                (5, &self.value),
                (6, self.units),
                (8, self.flag),
                (11, "P"),
                (14, time),
                (17, &self.method),
            ],
        )
    }
}

/// A segment of these numbered fields, which ascend.
fn segment(name: &str, fields: &[(usize, &str)]) -> String {
    let mut text = name.to_owned();
    let mut written = 0;
    for (number, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        text.extend(std::iter::repeat_n('|', number - written));
        text.push_str(value);
        written = *number;
    }
    text
}

/// A code of ours.
fn private(code: &str, meaning: &str) -> String {
    format!("{}^{}^{PRIVATE}", escape(code), escape(meaning))
}

/// The first alphabet of a DICOM name, its prefix and suffix changed over (PS3.5 6.2.1, XPN).
fn name(values: &[String]) -> String {
    let first = values.first().map(String::as_str).unwrap_or_default();
    let alphabetic = first.split('=').find(|group| !group.is_empty()).unwrap_or_default();
    let parts: Vec<String> = alphabetic.split('^').map(escape).collect();
    let part = |place: usize| parts.get(place).map(String::as_str).unwrap_or_default();
    let name = [part(0), part(1), part(2), part(4), part(3)].join("^");
    name.trim_end_matches('^').to_owned()
}

/// A sentence each, as repetitions: many receivers cut what is longer than 199 characters.
fn lines(text: &str) -> String {
    let sentences: Vec<String> = text.split_inclusive(". ").map(|one| escape(one.trim())).collect();
    sentences.join("~")
}

/// A text in which no character separates anything (HL7 2.7).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.replace("\r\n", "\n").chars() {
        match character {
            '|' => escaped.push_str("\\F\\"),
            '^' => escaped.push_str("\\S\\"),
            '&' => escaped.push_str("\\T\\"),
            '~' => escaped.push_str("\\R\\"),
            '\\' => escaped.push_str("\\E\\"),
            '\n' | '\r' => escaped.push_str("\\.br\\"),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
