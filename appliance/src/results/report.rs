//! The structured report of one result: Comprehensive 3D SR (PS3.3 A.35.13) by TID 1500
//! "Measurement Report" (PS3.16), preliminary and unverified.
//!
//! ```text
//! Imaging Measurement Report
//! ├─ language; observer: this device; procedure reported
//! ├─ Image Library: one image of each series that was looked at
//! ├─ Imaging Measurements: one group for each finding, with its number and the algorithm
//! └─ Qualitative Evaluations: priority and why, referrals, what the numbers rest on
//! ```
//!
//! Findings are the diagnoses at or above their thresholds, as on the study page. Their codes are
//! ours: a wrong code of a clinical terminology is worse than none.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::content::{Code, Item, PRIVATE, Relation, put, reference, sequence};
use super::{Frame, MANUFACTURER, REPORT, WriteError, identity};
use crate::inference::TriageResult;
use crate::triage::{Assessment, Finding, Referral};

/// Series Number (0020,0011): behind those of any scanner.
const SERIES_NUMBER: &str = "9901";
const SERIES_DESCRIPTION: &str = "PRIMA triage (AI, preliminary)";
const NOT_A_DEVICE: &str = "Research use; not a medical device. AI preview, not for diagnosis.";

/// What is reported on what.
pub struct Report<'a> {
    /// What all objects say.
    pub frame: Frame<'a>,
    /// What the model said.
    pub result: &'a TriageResult,
    /// What the rules made of it.
    pub assessment: &'a Assessment,
    /// SHA-256 of the model's manifest.
    pub model_digest: &'a str,
    /// Announced images were missing.
    pub partial: bool,
    /// One image of each series: series, SOP class and SOP instance UIDs.
    pub images: &'a [[String; 3]],
}

impl Report<'_> {
    /// The DICOM file.
    ///
    /// # Errors
    ///
    /// When a value does not fit its representation.
    pub fn write(&self) -> Result<Vec<u8>, WriteError> {
        let mut object = InMemDicomObject::new_empty();
        let (class, syntax) = REPORT;
        self.frame.fill(&mut object, class, ["SR", SERIES_NUMBER, SERIES_DESCRIPTION]);
        self.document(&mut object);
        for element in self.content().finish() {
            object.put(element);
        }
        super::write(object, syntax)
    }

    /// The document as a whole (PS3.3 C.17.2).
    fn document(&self, object: &mut InMemDicomObject) {
        let completion = if self.partial { "PARTIAL" } else { "COMPLETE" };
        put(object, tags::COMPLETION_FLAG, VR::CS, completion);
        put(object, tags::VERIFICATION_FLAG, VR::CS, "UNVERIFIED");
        put(object, tags::PRELIMINARY_FLAG, VR::CS, "PRELIMINARY");
        sequence(object, tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, Vec::new());
        sequence(object, tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, Vec::new());
        let mut scheme = InMemDicomObject::new_empty();
        put(&mut scheme, tags::CODING_SCHEME_DESIGNATOR, VR::SH, PRIVATE);
        put(&mut scheme, tags::CODING_SCHEME_NAME, VR::ST, "Labels and rules of Prima");
        sequence(object, tags::CODING_SCHEME_IDENTIFICATION_SEQUENCE, vec![scheme]);
        let evidence: Vec<_> = self.looked_at().map(evidence).collect();
        if !evidence.is_empty() {
            let mut study = InMemDicomObject::new_empty();
            let uid = identity::study_uid(self.frame.identity);
            put(&mut study, tags::STUDY_INSTANCE_UID, VR::UI, &uid);
            sequence(&mut study, tags::REFERENCED_SERIES_SEQUENCE, evidence);
            let tag = tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE;
            sequence(object, tag, vec![study]);
        }
    }

    /// Images of the series that the model read, each series once.
    fn looked_at(&self) -> impl Iterator<Item = &[String; 3]> {
        self.images
            .iter()
            .filter(|[series, ..]| self.result.series.iter().any(|s| s.uid == *series))
    }

    fn content(&self) -> Item {
        use Relation::{Context, Modifier};
        let mut root =
            Item::root(&Code::dcm("126000", "Imaging Measurement Report"), "1500").with([
                Item::code(
                    Modifier,
                    &Code::dcm("121049", "Language of Content Item and Descendants"),
                    &Code::of("RFC5646", "en", "English"),
                ),
                Item::code(
                    Context,
                    &Code::dcm("121005", "Observer Type"),
                    &Code::dcm("121007", "Device"),
                ),
                Item::uid(
                    Context,
                    &Code::dcm("121012", "Device Observer UID"),
                    self.frame.device_uid,
                ),
                Item::text(
                    Context,
                    &Code::dcm("121014", "Device Observer Manufacturer"),
                    MANUFACTURER,
                ),
                Item::code(
                    Modifier,
                    &Code::dcm("121058", "Procedure reported"),
                    &Code::of("LN", "24590-2", "MR Brain"),
                ),
            ]);
        let groups: Vec<_> = self.looked_at().map(|image| self.library_group(image)).collect();
        if !groups.is_empty() {
            let library = Item::container(&Code::dcm("111028", "Image Library"));
            root = root.with([library.template("1600").with(groups)]);
        }
        let findings: Vec<_> =
            self.assessment.findings.iter().map(|finding| self.group(finding)).collect();
        if !findings.is_empty() {
            let measurements = Item::container(&Code::dcm("126010", "Imaging Measurements"));
            root = root.with([measurements.with(findings)]);
        }
        root.with([self.evaluations()])
    }

    /// A series of the image library (TID 1600, 1602).
    fn library_group(&self, [series, class, instance]: &[String; 3]) -> Item {
        let group = Item::container(&Code::dcm("126200", "Image Library Group"));
        group.with([
            Item::code(
                Relation::Acquisition,
                &Code::dcm("121139", "Modality"),
                &Code::dcm("MR", "Magnetic Resonance"),
            ),
            Item::uid(Relation::Acquisition, &Code::dcm("112002", "Series Instance UID"), series),
            Item::image(class, instance),
        ])
    }

    /// One finding (TID 1501). A probability only where the model is calibrated; how far the
    /// output lies above the threshold always.
    fn group(&self, finding: &Finding) -> Item {
        let probability = finding
            .probability
            .map(|value| Item::number(&Code::dcm("122157", "Probability"), value));
        let margin = Code::private("margin", "Model output minus its threshold");
        let tracking = super::uid(&[self.frame.sop_uid, &finding.label]);
        Item::container(&Code::dcm("125007", "Measurement Group"))
            .template("1501")
            .with([
                Item::text(
                    Relation::Context,
                    &Code::dcm("112039", "Tracking Identifier"),
                    &finding.label,
                ),
                Item::uid(
                    Relation::Context,
                    &Code::dcm("112040", "Tracking Unique Identifier"),
                    &tracking,
                ),
                Item::code(
                    Relation::Contains,
                    &Code::dcm("121071", "Finding"),
                    &Code::private(&finding.label, &finding.name),
                ),
            ])
            .with(self.algorithm())
            .with(probability)
            .with([Item::number(&margin, finding.margin)])
            .with([Item::code(
                Relation::Contains,
                &Code::private("acuity", "Acuity of the finding"),
                &Code::private(finding.acuity.word(), finding.acuity.word()),
            )])
    }

    /// Which algorithm (TID 4019).
    fn algorithm(&self) -> [Item; 3] {
        let version = self.model_digest.get(..16).unwrap_or(self.model_digest);
        let modifier = Relation::Modifier;
        [
            Item::code(
                modifier,
                &Code::dcm("111000", "Algorithm Family"),
                &Code::dcm("123110", "Artificial Intelligence"),
            ),
            Item::text(modifier, &Code::dcm("111001", "Algorithm Name"), &self.result.model.id),
            Item::text(modifier, &Code::dcm("111003", "Algorithm Version"), version),
        ]
    }

    /// What is no measurement: priority, referrals, what to think of it.
    fn evaluations(&self) -> Item {
        let acuity = self.assessment.acuity.word();
        let because: Vec<_> =
            self.assessment.acuity_from.iter().map(|reason| reason.text.as_str()).collect();
        let comment = Code::dcm("121106", "Comment");
        let text = |code: &Code, value: &str| Item::text(Relation::Contains, code, value);
        let code = Code::of("UMLS", "C0034375", "Qualitative Evaluations");
        Item::container(&code)
            .with([
                Item::code(
                    Relation::Contains,
                    &Code::private("priority", "Triage priority"),
                    &Code::private(acuity, acuity),
                ),
                text(
                    &Code::private("priority_from", "Reason of the priority"),
                    &because.join("; "),
                ),
            ])
            .with(self.assessment.referrals.iter().flat_map(referral))
            .with([text(&comment, &self.result.model.statement), text(&comment, NOT_A_DEVICE)])
    }
}

/// An image in the evidence of a document (PS3.3 C.17.2.1).
fn evidence([series, class, instance]: &[String; 3]) -> InMemDicomObject {
    let mut item = InMemDicomObject::new_empty();
    put(&mut item, tags::SERIES_INSTANCE_UID, VR::UI, series);
    sequence(&mut item, tags::REFERENCED_SOP_SEQUENCE, vec![reference(class, instance)]);
    item
}

/// A service, and one sentence why.
fn referral(referral: &Referral) -> [Item; 2] {
    let service = referral.service.replace('_', " ");
    let urgency = referral.urgency.word();
    [
        Item::code(
            Relation::Contains,
            &Code::private("referral", "Referral recommended"),
            &Code::private(&referral.service, &service),
        ),
        Item::text(
            Relation::Contains,
            &Code::private("referral_reason", "Reason of the referral"),
            &format!("{service}, {urgency}: {}", referral.reason),
        ),
    ]
}
