//! How a student agrees with its teacher, and what both cost.

use burn::DispatchDevice;
use models::nn::Compute;
use serde::{Deserialize, Serialize};

use super::cost::Cost;
use super::teacher::{Reading, Taught};
use super::{School, Student};
use crate::cohort::record::Split;
use crate::stage::batch::Augmentation;
use crate::stage::heads::expected_class;
use statistics::embedding::linear_cka;
use statistics::metrics::{auroc, pearson, spearman};
use statistics::rows::Rows;

impl School<'_> {
    pub(super) fn agreement(
        &self,
        student: &Student<Compute>,
        split: Split,
        ids: &[String],
        device: &DispatchDevice,
    ) -> anyhow::Result<Agreement> {
        let (own, embeddings) = self.answers(student, ids, &Augmentation::none(), device)?;
        let taught: Vec<&Taught> = ids.iter().map(|id| &self.taught[id]).collect();
        let names = self.manifest.diagnosis.iter().chain(&self.manifest.referral);
        let outputs = names.enumerate().map(|(i, head)| {
            let scores: Vec<f64> = own.iter().map(|row| row[i]).collect();
            let teacher: Vec<f64> = taught.iter().map(|t| f64::from(t.answers[i])).collect();
            let labels = self.truth(ids, i);
            let area = |scores: &[f64]| Some(auroc(scores, labels.as_ref()?)?.value);
            OutputAgreement {
                name: head.name.clone(),
                spearman: spearman(&scores, &teacher),
                student_auroc: area(&scores),
                teacher_auroc: area(&teacher),
            }
        });
        let outputs: Vec<OutputAgreement> = outputs.collect();
        let mean = |of: fn(&OutputAgreement) -> Option<f64>| {
            let values: Vec<f64> =
                outputs[..self.manifest.diagnosis.len()].iter().filter_map(of).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let (binary, classes) = (self.binary(), self.classes());
        let age_row = binary + classes;
        let acuity = (classes > 0).then(|| {
            let own: Vec<f64> =
                own.iter().map(|row| expected_class(&row[binary..age_row])).collect();
            let teacher = taught.iter().map(|t| {
                let row = t.answers[binary..age_row].iter().map(|v| f64::from(*v));
                expected_class(&row.collect::<Vec<_>>())
            });
            spearman(&own, &teacher.collect::<Vec<_>>())
        });
        // Correlation knows no units: the student's own will do.
        let age = self.age.map(|_| {
            let own: Vec<f64> = own.iter().map(|row| row[age_row]).collect();
            let teacher: Vec<f64> = taught.iter().map(|t| f64::from(t.answers[age_row])).collect();
            pearson(&own, &teacher)
        });
        let teacher: Vec<f32> = taught.iter().flat_map(|t| t.embedding.iter().copied()).collect();
        let width = teacher.len() / ids.len();
        let cka = linear_cka(
            Rows::new(&embeddings, self.config.sizes.embedding()),
            Rows::new(&teacher, width),
        );
        let [student_auroc, teacher_auroc] = [mean(|o| o.student_auroc), mean(|o| o.teacher_auroc)];
        Ok(Agreement {
            split,
            studies: ids.len(),
            mean_student_auroc: student_auroc,
            mean_teacher_auroc: teacher_auroc,
            auroc_difference: student_auroc.zip(teacher_auroc).map(|(own, other)| own - other),
            acuity_spearman: acuity.flatten(),
            age_pearson: age.flatten(),
            embedding_cka: cka,
            outputs,
        })
    }
}

/// `agreement.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgreementReport {
    /// Size and speed of the teacher.
    pub teacher: Cost,
    /// The same of the student, as it is exported.
    pub student: Cost,
    /// What the teacher's one reading of the cohort cost.
    pub reading: Reading,
    /// All of the distillation on the wall, that reading included, as far as it ran in one go or
    /// between checkpoints.
    pub seconds: f64,
    /// Agreement on the validation and the test studies, where there are any.
    pub splits: Vec<Agreement>,
}

/// How a student agrees with its teacher on one split.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Agreement {
    /// Which studies.
    pub split: Split,
    /// How many.
    pub studies: usize,
    /// Over the diagnoses, where labels are known.
    pub mean_student_auroc: Option<f64>,
    /// Over the diagnoses, where labels are known.
    pub mean_teacher_auroc: Option<f64>,
    /// Mean of the student less that of the teacher.
    pub auroc_difference: Option<f64>,
    /// Of the expected acuity class.
    pub acuity_spearman: Option<f64>,
    /// Of the age, where the teacher tells it.
    pub age_pearson: Option<f64>,
    /// Linear CKA of the study embeddings.
    pub embedding_cka: Option<f64>,
    /// Every output.
    pub outputs: Vec<OutputAgreement>,
}

/// Agreement of one output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutputAgreement {
    /// Label or service.
    pub name: String,
    /// Of the logits.
    pub spearman: Option<f64>,
    /// Where labels are known.
    pub student_auroc: Option<f64>,
    /// Where labels are known.
    pub teacher_auroc: Option<f64>,
}
