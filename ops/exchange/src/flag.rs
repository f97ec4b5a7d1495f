//! P0: this patient, this reason, please answer.
//!
//! A flag says all that is known of a referral at that moment; a later flag of the same study
//! replaces an earlier one. It has at most [`FLAG_BYTES`] as JSON, so that it crosses any link
//! first.

use serde::{Deserialize, Serialize};

use crate::row::FLAG_BYTES;

/// Longest text of one field in a flag, in bytes.
const TEXT_BYTES: usize = 400;

/// A referral as it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    /// False when the reader took it back, or later images changed the result: nobody is asked any
    /// more.
    pub asked: bool,
    /// The patient, as far as the profile of the site lets it out.
    pub patient: Patient,
    /// The study.
    pub study: Study,
    /// `none`, `low`, `medium` or `high`.
    pub acuity: String,
    /// Who should see the patient, most urgent first.
    pub referrals: Vec<Referral>,
    /// What it rests on, most acute first; the last are left out when there are too many.
    pub findings: Vec<Finding>,
    /// What the model is, and where its thresholds and rules come from.
    pub model: Model,
    /// The clinic's own reader, when one decided.
    pub reader: Option<Reader>,
    /// Announced images were missing when it was analysed.
    pub partial: bool,
}

/// Whom it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patient {
    /// Patient ID (0010,0020), or a pseudonym.
    pub id: String,
    /// Patient's Name (0010,0010) as in DICOM; empty under a pseudonym.
    pub name: String,
    /// `M`, `F`, `O`, or empty.
    pub sex: String,
    /// `YYYYMMDD`; empty under a pseudonym.
    pub birth_date: String,
    /// Age at the study, at most 90 under a pseudonym.
    pub age_years: Option<u32>,
    /// `id` is a pseudonym.
    pub pseudonym: bool,
}

/// What was examined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// Study Instance UID, or what stands for it.
    pub uid: String,
    /// Accession Number; empty under a pseudonym.
    pub accession: String,
    /// Study Date, `YYYYMMDD`; empty under a pseudonym.
    pub date: String,
    /// Study Description.
    pub description: String,
    /// When the first image arrived at the box, box time in milliseconds.
    pub arrived_ms: i64,
    /// When the result was there.
    pub analysed_ms: i64,
}

/// Who should see the patient, how soon and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Referral {
    /// Such as `neurosurgery`.
    pub service: String,
    /// `routine`, `soon`, `urgent` or `emergency`.
    pub urgency: String,
    /// In sentences.
    pub reason: String,
    /// Labels it rests on; empty when the model alone recommends it.
    pub findings: Vec<String>,
}

/// A diagnosis at or above its threshold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// As the model spells it.
    pub label: String,
    /// For people.
    pub name: String,
    /// Logit minus threshold; no probability.
    pub margin: f32,
    /// Where the bundle carries a calibration.
    pub probability: Option<f32>,
    /// `none` to `high`.
    pub acuity: String,
}

/// Where the result comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Name of the bundle.
    pub id: String,
    /// SHA-256 of its manifest, hexadecimal.
    pub sha256: String,
    /// Version of the appliance's program.
    pub software: String,
    /// Version of the clinical rules.
    pub rules_version: String,
    /// Who approved them; empty for nobody.
    pub rules_approver: String,
    /// What the bundle says it is for.
    pub intended_use: String,
}

/// The decision of the clinic's reader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reader {
    /// Who, as the box knows them.
    pub name: String,
    /// In words: `agrees`, `disagrees: ...`.
    pub decision: String,
    /// When, box time in milliseconds.
    pub at_ms: i64,
}

impl Flag {
    /// As the body of a row: within [`FLAG_BYTES`], whatever the study says of itself. Long texts
    /// are cut, then the least acute findings are left out.
    ///
    /// # Errors
    ///
    /// When even that is too long, which fixed limits of every text rule out for sane input.
    pub fn to_body(mut self) -> Result<String, FlagError> {
        self.texts().into_iter().for_each(cut);
        loop {
            let body = serde_json::to_string(&self).map_err(FlagError::Json)?;
            if body.len() <= FLAG_BYTES {
                return Ok(body);
            }
            if self.findings.pop().is_none() && self.referrals.pop().is_none() {
                return Err(FlagError::Long { found: body.len() });
            }
        }
    }

    fn texts(&mut self) -> Vec<&mut String> {
        let Self { patient, study, referrals, findings, model, reader, .. } = self;
        let mut texts = vec![
            &mut patient.id,
            &mut patient.name,
            &mut study.accession,
            &mut study.description,
            &mut model.id,
            &mut model.rules_version,
            &mut model.rules_approver,
            &mut model.intended_use,
        ];
        for referral in referrals {
            texts.extend([&mut referral.service, &mut referral.reason]);
        }
        for finding in findings {
            texts.extend([&mut finding.label, &mut finding.name]);
        }
        if let Some(reader) = reader {
            texts.extend([&mut reader.name, &mut reader.decision]);
        }
        texts
    }
}

/// Why a flag cannot be a row.
#[derive(Debug, thiserror::Error)]
pub enum FlagError {
    /// No JSON.
    #[error("a flag cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    /// Too long.
    #[error("a flag without findings has {found} bytes, expected at most {FLAG_BYTES}")]
    Long {
        /// Its length.
        found: usize,
    },
}

/// Cuts a text at a character.
fn cut(text: &mut String) {
    if text.len() > TEXT_BYTES {
        let end = (0..=TEXT_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_fits_whatever_it_is_made_of() {
        let long = "ü".repeat(5000);
        let finding = Finding { label: long.clone(), name: long.clone(), ..Finding::default() };
        let referral =
            Referral { service: long.clone(), reason: long.clone(), ..Referral::default() };
        let flag = Flag {
            patient: Patient { name: long.clone(), id: long, ..Patient::default() },
            findings: vec![finding; 52],
            referrals: vec![referral; 12],
            ..Flag::default()
        };
        let body = flag.to_body().unwrap();
        assert!(body.len() <= FLAG_BYTES, "{}", body.len());
        let read: Flag = serde_json::from_str(&body).unwrap();
        assert_eq!(read.referrals.len(), 8, "findings go first");
        assert!(read.patient.name.ends_with('…'));
    }

    #[test]
    fn a_short_flag_loses_nothing() {
        let flag = Flag { acuity: "high".into(), asked: true, ..Flag::default() };
        let body = flag.clone().to_body().unwrap();
        assert_eq!(serde_json::from_str::<Flag>(&body).unwrap(), flag);
    }
}
